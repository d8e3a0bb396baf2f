"""Uploads: signed URLs that take files, whole or in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator with parts of ten bytes, so that nobody has to send megabytes."""
    with Emulator(speed=0, models=2, chunk_size=10) as running:
        yield running


def _begin(client: httpx.Client, size: int, **more: str) -> dict[str, Any]:
    begun: dict[str, Any] = client.post("/api/v1/image-upload/multipart", json={"size": size, **more}).json()
    return begun


def _put(anonymous: httpx.Client, begun: dict[str, Any], content: bytes) -> list[dict[str, Any]]:
    """Put all parts; return what completes the upload."""
    size = begun["chunkSize"]
    return [
        {
            "ETag": anonymous.put(part["url"], content=content[size * place : size * (place + 1)]).headers["etag"],
            "PartNumber": part["partNumber"],
        }
        for place, part in enumerate(begun["urls"])
    ]


def _named(begun: dict[str, Any]) -> dict[str, Any]:
    return {name: begun[name] for name in ("bucket", "key", "uploadId", "backend")} | {"type": "image"}


def test_an_image_is_put_and_served(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    begun = client.post("/api/v1/image-upload").json()
    put = anonymous.put(begun["uploadURL"], content=b"an image", headers={"Content-Type": "image/png"})
    assert put.status_code == 200
    assert put.headers["etag"] == f'"{hashlib.md5(b"an image", usedforsecurity=False).hexdigest()}"'
    served = anonymous.get(f"/media/{begun['id']}/original=true/x.png")
    assert (served.content, served.headers["content-type"]) == (b"an image", "image/png")
    assert client.get("/api/v1/image-upload").json().keys() == {"id", "uploadURL"}  # any verb does
    refused = anonymous.post("/api/v1/image-upload")
    assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})


def test_upload_urls_carry_their_own_credential_for_twelve_hours(
    emulator: Emulator, client: httpx.Client, anonymous: httpx.Client
) -> None:
    url = client.post("/api/v1/image-upload").json()["uploadURL"]
    refused = client.put(url, content=b"x")
    assert refused.status_code == 400
    assert "Only one auth mechanism allowed" in refused.text
    assert anonymous.put(url.replace("sig=", "sig=A"), content=b"x").status_code == 403
    assert anonymous.put(url.replace("?", "x?"), content=b"x").status_code == 403
    assert anonymous.put(url, content=iter([b"chunked"])).status_code == 411
    emulator.clock.advance(12 * 3600 - 1)
    assert anonymous.put(url, content=b"x").status_code == 200
    emulator.clock.advance(2)
    expired = anonymous.put(url, content=b"x")
    assert expired.status_code == 403
    assert "expired" in expired.text


def test_a_file_comes_in_parts(client: httpx.Client, anonymous: httpx.Client) -> None:
    content = b"0123456789abcdefghij-and-more"
    begun = _begin(client, len(content), filename="a.b/picture.PNG", mimeType="image/png")
    assert [part["partNumber"] for part in begun["urls"]] == [1, 2, 3]
    assert begun["key"].endswith(".PNG")
    parts = _put(anonymous, begun, content)
    completed = client.post("/api/upload/complete", json=_named(begun) | {"parts": parts})
    assert completed.status_code == 200
    assert completed.json().endswith(begun["key"])
    again = client.post("/api/upload/complete", json=_named(begun) | {"parts": parts})
    assert again.status_code == 409
    assert anonymous.put(begun["urls"][0]["url"], content=b"late").status_code == 404
    # The catch-all download leads to it, for its owner.
    redirect = client.get(f"/api/download/{begun['key']}")
    assert redirect.status_code == 307
    assert anonymous.get(redirect.headers["location"]).content == content
    assert anonymous.get(f"/api/download/{begun['key']}").status_code == 401
    assert client.get("/api/download/some/other/key").status_code == 404


@pytest.mark.parametrize("mistake", ["order", "tag", "missing", "never", "length", "nothing", "form"])
def test_parts_that_make_up_no_file_are_refused(client: httpx.Client, anonymous: httpx.Client, mistake: str) -> None:
    begun = _begin(client, 15)
    content = b"0123456789abcde"
    if mistake == "never":
        parts = [{"ETag": '"x"', "PartNumber": number} for number in (1, 2)]
    elif mistake == "length":
        parts = _put(anonymous, begun, content[:-1])
    else:
        parts = _put(anonymous, begun, content)
    match mistake:
        case "order":
            parts.reverse()
        case "tag":
            parts[1]["ETag"] = '"0"'
        case "missing":
            parts.pop()
        case "nothing":
            parts = []
        case "form":
            parts = [{"part": 1}]
    refused = client.post("/api/upload/complete", json=_named(begun) | {"parts": parts})
    assert refused.status_code == 422
    assert isinstance(refused.json()["error"], str)
    # Nothing is lost by it.
    parts = _put(anonymous, begun, content)
    assert client.post("/api/upload/complete", json=_named(begun) | {"parts": parts}).status_code == 200


def test_an_upload_is_given_up(client: httpx.Client, anonymous: httpx.Client) -> None:
    begun = _begin(client, 15)
    parts = _put(anonymous, begun, b"0123456789abcde")
    assert client.post("/api/upload/abort", json=_named(begun)).status_code == 200
    assert client.post("/api/upload/complete", json=_named(begun) | {"parts": parts}).status_code == 409
    assert anonymous.put(begun["urls"][0]["url"], content=b"late").status_code == 404
    assert client.post("/api/upload/abort", json=_named(begun)).status_code == 200
    assert anonymous.post("/api/upload/abort", json=_named(begun)).status_code == 401
    unknown = client.post("/api/upload/complete", json=_named(begun) | {"key": "other", "parts": parts})
    assert unknown.status_code == 409


def test_a_part_is_no_longer_than_agreed(client: httpx.Client, anonymous: httpx.Client) -> None:
    first = _begin(client, 15)["urls"][0]
    assert anonymous.put(first["url"], content=b"x" * 11).status_code == 400
    assert anonymous.put(first["url"].replace("partNumber=1", "partNumber=2"), content=b"x").status_code == 403


def test_parts_have_the_length_that_the_service_uses(reader: httpx.Client, library: Emulator) -> None:
    headers, path = {"Authorization": f"Bearer {library.token}"}, "/api/v1/image-upload/multipart"
    begun = reader.post(path, json={"size": 26_214_401}, headers=headers).json()
    assert (begun["chunkSize"], len(begun["urls"])) == (26_214_400, 2)


def test_the_length_must_be_known_beforehand(client: httpx.Client) -> None:
    named: list[Any] = [{"size": 5, "filename": 7}, {"size": 5, "mimeType": ["image/png"]}]
    for wrong in ({}, {"size": 0}, {"size": "5"}, {"size": True}, [5], *named):
        assert client.post("/api/v1/image-upload/multipart", json=wrong).status_code == 500
    assert client.get("/api/v1/image-upload/multipart").status_code == 405


def test_parts_have_a_length() -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        Emulator(models=1, chunk_size=0)
