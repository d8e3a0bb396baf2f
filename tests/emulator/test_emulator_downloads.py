"""Downloads: the redirect, the signed URL, ranges, and the refusals."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import Version

BROWSER = {"User-Agent": "Mozilla/5.0"}


def _open(version: Version) -> bool:
    usable = version.usage_control == "Download" and version.model.mode != "Archived"
    return usable and not version.early_access_until


@pytest.fixture(scope="module")
def find(library: Emulator) -> Callable[[Callable[[Version], bool]], Version]:
    def find(wanted: Callable[[Version], bool]) -> Version:
        return next(version for version in library._catalogue.version_by_id.values() if wanted(version))

    return find


def _path(version: Version) -> str:
    return f"/api/download/models/{version.id}"


def test_a_download_redirects_to_the_bytes_that_the_catalogue_describes(
    reader: httpx.Client, library: Emulator
) -> None:
    library_versions = [
        version for version in library._catalogue.version_by_id.values() if _open(version) and not version.requires_auth
    ]
    for version in library_versions[:12]:
        listed = reader.get(f"/api/v1/model-versions/{version.id}").json()
        for file in listed["files"]:
            redirect = reader.get(file["downloadUrl"])
            assert redirect.status_code == 307
            assert redirect.headers["cache-control"] == "no-store, max-age=0"
            got = reader.get(redirect.headers["location"])
            assert len(got.content) == file["sizeKB"] * 1024
            assert hashlib.sha256(got.content).hexdigest().upper() == file["hashes"]["SHA256"]
            assert got.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
            if file["name"].endswith(".zip"):
                assert zipfile.ZipFile(io.BytesIO(got.content)).testzip() is None


def test_the_storage_refuses_a_second_credential(reader: httpx.Client, find: Callable[..., Version]) -> None:
    version = find(lambda version: _open(version) and not version.requires_auth)
    url = reader.get(_path(version)).headers["location"]
    refused = reader.get(url, headers={"Authorization": "Bearer test-token"})
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/xml"
    assert "Only one auth mechanism allowed" in refused.text


def test_the_storage_serves_ranges_and_head(reader: httpx.Client, find: Callable[..., Version]) -> None:
    version = find(lambda version: _open(version) and not version.requires_auth)
    url = reader.get(_path(version)).headers["location"]
    whole = reader.get(url)
    size = len(whole.content)

    head = reader.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(size), "bytes")
    for text, expected in (
        ("bytes=0-9", whole.content[:10]),
        ("bytes=10-", whole.content[10:]),
        ("bytes=-7", whole.content[-7:]),
        (f"bytes=5-{size + 100}", whole.content[5:]),
    ):
        part = reader.get(url, headers={"Range": text})
        assert (part.status_code, part.content) == (206, expected)
        start = size - len(expected) if not text.startswith("bytes=0") else 0
        assert part.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{size}"
    beyond = reader.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for unusual in ("bytes=0-1,4-5", "lines=1-2", "bytes=-"):
        assert reader.get(url, headers={"Range": unusual}).status_code == 200
    stale = reader.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert stale.status_code == 200
    fresh = reader.get(url, headers={"Range": "bytes=0-9", "If-Range": whole.headers["etag"]})
    assert fresh.status_code == 206


def test_signed_urls_expire_and_cannot_be_made_up(emulator: Emulator, anonymous: httpx.Client) -> None:
    versions = emulator._catalogue.version_by_id.values()
    version = next(version for version in versions if _open(version) and not version.requires_auth)
    url = anonymous.get(_path(version)).headers["location"]
    assert anonymous.get(url).status_code == 200
    assert anonymous.get(url.replace("sig=", "sig=A")).status_code == 403
    other = str(version.primary_file.id + 1)
    assert anonymous.get(url.replace(str(version.primary_file.id), other, 1)).status_code == 403
    emulator.clock.advance(16 * 60)
    expired = anonymous.get(url)
    assert expired.status_code == 403
    assert "expired" in expired.text


def test_some_versions_need_a_token(reader: httpx.Client, find: Callable[..., Version]) -> None:
    version = find(lambda version: _open(version) and version.requires_auth)
    refused = reader.get(_path(version))
    assert refused.status_code == 401
    assert refused.json()["error"] == "Unauthorized"
    assert "logged in" in refused.json()["message"]
    assert reader.get(_path(version), headers={"Authorization": "Bearer test-token"}).status_code == 307
    assert reader.get(_path(version), params={"token": "test-token"}).status_code == 307
    # What looks like a browser ends at a page with status 200.
    page = reader.get(_path(version), headers=BROWSER, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/login")
    assert page.headers["content-type"].startswith("text/html")


def test_refusals(reader: httpx.Client, find: Callable[..., Version]) -> None:
    archived = reader.get(_path(find(lambda version: version.model.mode == "Archived")))
    assert (archived.status_code, archived.json()) == (410, {"error": "Model archived, not available for download"})
    disabled = reader.get(_path(find(lambda version: version.usage_control != "Download")))
    assert disabled.status_code == 401
    assert "disabled downloads" in disabled.json()["message"]
    token = {"Authorization": "Bearer test-token"}
    gated = reader.get(_path(find(lambda version: version.early_access_until is not None)), headers=token)
    assert gated.status_code == 403
    assert gated.json()["error"] == "Early Access"
    missing = reader.get("/api/download/models/1")
    assert (missing.status_code, missing.json()) == (404, {"error": "File not found"})
    assert reader.get("/api/download/models/1", headers=BROWSER).text == "File not found"
    assert reader.get("/api/download/models/0").json() == {"error": "Missing modelVersionId"}
    assert reader.get("/api/download/models/x").status_code == 400


def test_choosing_a_file(reader: httpx.Client, find: Callable[..., Version]) -> None:
    version = find(
        lambda version: (
            _open(version) and not version.requires_auth and {file.size for file in version.files} >= {"full", "pruned"}
        )
    )
    by_size = {file.size: file for file in version.files}

    def chosen(**query: Any) -> str | None:
        location: str | None = reader.get(_path(version), params=query).headers.get("location")
        return location and location.split("/")[4]

    assert chosen() == str(by_size["pruned"].id)
    assert chosen(size="full", fp="fp32") == str(by_size["full"].id)
    assert chosen(fileId=by_size["full"].id) == str(by_size["full"].id)
    assert chosen(fileId=1) is None
    assert chosen(format="GGUF") is None
    assert chosen(type="Config") is None
    assert reader.get(_path(version), params={"format": "Stone Tablet"}).status_code == 400
