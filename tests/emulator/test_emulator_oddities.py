"""Odd files: what is odd about each, that they disturb nothing else, and that large ones cost nothing."""

from __future__ import annotations

import hashlib
import pickle
import tracemalloc
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from civitai_ext.emulator import Emulator, files
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.oddities import HOSTILE_NAMES, add_oddities

MODELS = "/api/v1/models"


def _url(reader: httpx.Client, version_id: int, **query: Any) -> str:
    answer = reader.get(f"/api/download/models/{version_id}", params=query)
    assert answer.status_code == 307, answer.text
    return answer.headers["location"]


def _listed(reader: httpx.Client, library: Emulator, name: str) -> list[dict[str, Any]]:
    """Give the files of an oddity as a list shows them."""
    answer = reader.get(MODELS, params={"ids": library.oddities[name].model.id})
    (model,) = answer.json()["items"]
    found: list[dict[str, Any]] = model["modelVersions"][0]["files"]
    return found


def test_only_ids_and_the_name_of_their_creator_lead_to_them(reader: httpx.Client, library: Emulator) -> None:
    by_name = reader.get(MODELS, params={"username": "oddities"}).json()["items"]
    assert {model["id"] for model in by_name} == {version.model.id for version in library.oddities.values()}
    for name, version in library.oddities.items():
        assert reader.get(f"{MODELS}/{version.model.id}").json()["name"] == f"Odd {name.replace('_', ' ')}"
        assert reader.get(f"/api/v1/model-versions/{version.id}").json()["air"] == version.air
    assert not reader.get(MODELS, params={"query": "odd files"}).json()["items"]
    creators = reader.get("/api/v1/creators", params={"query": "oddities"}).json()
    assert creators["items"] == []


def test_the_rest_of_the_catalogue_is_as_without_them(library: Emulator) -> None:
    plain = Catalogue(1, 30)
    odd = Catalogue(1, 30)
    versions = add_oddities(odd)
    assert [model.id for model in plain.models] == [model.id for model in odd.models]
    assert odd.image_by_id.keys() == plain.image_by_id.keys()
    assert odd.version_by_id.keys() - plain.version_by_id.keys() == {version.id for version in versions.values()}
    # They are the same ones in every catalogue.
    assert [version.id for version in library.oddities.values()] == [version.id for version in versions.values()]


def test_every_file_is_what_its_hashes_say_but_for_one(reader: httpx.Client, library: Emulator) -> None:
    wrong = []
    for name in library.oddities.keys() - {"archived", "downloads_disabled", "early_access", "restricted", "large"}:
        version = library.oddities[name]
        for file in reader.get(f"/api/v1/model-versions/{version.id}").json()["files"]:
            content = httpx.get(_url(reader, version.id, fileId=file["id"], token="test-token")).content
            assert len(content) == file["sizeKB"] * 1024
            sha256 = hashlib.sha256(content).hexdigest().upper()
            if file["hashes"].get("SHA256", sha256) != sha256:
                wrong.append(name)
    assert wrong == ["wrong_hash"]


def test_a_version_has_files_of_many_kinds(reader: httpx.Client, library: Emulator) -> None:
    version = library.oddities["many_files"]
    listed = _listed(reader, library, "many_files")
    kinds = {(file["type"], file["metadata"]["format"], file["metadata"].get("quantType")) for file in listed}
    assert kinds == {
        ("Model", "SafeTensor", None),
        ("Model", "GGUF", "Q4_K_M"),
        ("Model", "GGUF", "Q8_0"),
        ("Model", "PickleTensor", None),
        ("VAE", "SafeTensor", None),
        ("Config", "Other", None),
        ("Training Data", "Other", None),
    }
    # A version on its own tells less of its files.
    alone = reader.get(f"/api/v1/model-versions/{version.id}").json()["files"]
    assert not any("quantType" in file["metadata"] for file in alone)
    starts = {"gguf": b"GGUF", "ckpt": b"\x80\x04", "yaml": b"# ", "zip": b"PK"}
    for file in listed:
        got = httpx.get(_url(reader, version.id, fileId=file["id"])).content
        assert got.startswith(starts.get(file["name"].rpartition(".")[2], got[:1]))
        assert httpx.get(reader.get(file["downloadUrl"]).headers["location"]).content == got
    pickled = next(file for file in version.files if file.format == "PickleTensor")
    assert pickle.loads(pickled.content)["name"] == "odd.ckpt"  # noqa: S301 - our own, and harmless


def test_a_quantisation_is_chosen(reader: httpx.Client, library: Emulator) -> None:
    for name in ("gguf", "many_files"):
        version = library.oddities[name]
        by_type = {file.quant_type: str(file.id) for file in version.files if file.quant_type}

        def chosen(version_id: int = version.id, **query: str) -> str:
            return _url(reader, version_id, format="GGUF", **query).split("/")[4]

        assert chosen() == chosen(quantType="Q4_K_M") == by_type["Q4_K_M"]
        assert chosen(quantType="Q8_0") == by_type["Q8_0"]
        path = f"/api/download/models/{version.id}"
        assert reader.get(path, params={"format": "GGUF", "quantType": "Q2_K"}).status_code == 404
        assert reader.get(path, params={"quantType": "Q" * 65}).status_code == 400
        assert reader.get(path, params={"fp": "f" * 65}).status_code == 400


@pytest.mark.parametrize(
    ("name", "pickle_scan", "virus_scan", "is_scanned"),
    [
        ("dangerous_pickle", "Danger", "Success", True),
        ("pickle", "Success", "Success", True),
        ("scan_pending", "Pending", "Pending", False),
        ("scan_danger", "Success", "Danger", True),
        ("scan_error", "Success", "Error", True),
        ("scan_missing", None, None, False),
    ],
)
def test_scans(
    reader: httpx.Client,
    library: Emulator,
    name: str,
    pickle_scan: str | None,
    virus_scan: str | None,
    *,
    is_scanned: bool,
) -> None:
    (listed,) = _listed(reader, library, name)
    assert (listed["pickleScanResult"], listed["virusScanResult"]) == (pickle_scan, virus_scan)
    (alone,) = reader.get(f"/api/v1/model-versions/{library.oddities[name].id}").json()["files"]
    assert (listed["scannedAt"] is not None) == (alone["scannedAt"] is not None) == is_scanned


def test_some_files_have_few_hashes_or_none(reader: httpx.Client, library: Emulator) -> None:
    assert _listed(reader, library, "no_hashes")[0]["hashes"] == {}
    names = ["AutoV1", "AutoV2", "AutoV3", "CRC32"] + (["BLAKE3"] if find_spec("blake3") else [])
    assert ("only_blake3" in library.oddities) == ("BLAKE3" in names)
    for name in names:
        oddity = f"only_{name.lower()}"
        ((found, value),) = _listed(reader, library, oddity)[0]["hashes"].items()
        assert found == name
        answer = reader.get(f"/api/v1/model-versions/by-hash/{value}").json()
        assert answer["id"] == library.oddities[oddity].id


def test_hostile_names_come_in_answers_and_in_headers(reader: httpx.Client, library: Emulator) -> None:
    listed = _listed(reader, library, "hostile_names")
    assert [file["name"] for file in listed] == list(HOSTILE_NAMES)
    assert max(len(name) for name in HOSTILE_NAMES) == 300
    for file in listed:
        got = httpx.get(_url(reader, library.oddities["hostile_names"].id, fileId=file["id"]))
        assert len(got.content) == file["sizeKB"] * 1024
        plain, _, encoded = got.headers["content-disposition"].partition("; filename*=UTF-8''")
        assert plain.startswith('attachment; filename="')
        assert plain.isprintable()
        assert (unquote(encoded) if encoded else plain.removeprefix('attachment; filename="')[:-1]) == file["name"]
        assert "/" not in encoded


@pytest.mark.parametrize(
    ("name", "status", "error", "signed_in"),
    [
        ("needs_login", 401, "Unauthorized", 307),
        ("early_access", 403, "Early Access", 403),
        ("downloads_disabled", 401, "Unauthorized", 401),
        ("restricted", 403, "You do not have access to download this file", 403),
        ("archived", 410, "Model archived, not available for download", 410),
    ],
)
def test_refusals(reader: httpx.Client, library: Emulator, name: str, status: int, error: str, signed_in: int) -> None:
    path = f"/api/download/models/{library.oddities[name].id}"
    refused = reader.get(path)
    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert reader.get(path, headers={"Authorization": f"Bearer {library.token}"}).status_code == signed_in


def test_a_quota_is_used_up_and_comes_back_after_a_day() -> None:
    with Emulator(speed=0, models=3, download_quota=2) as emulator, httpx.Client(base_url=emulator.url) as reader:
        path = f"/api/download/models/{emulator.oddities['no_suffix'].id}"
        assert reader.get("/api/download/models/1").status_code == 404  # counts for nothing
        assert [reader.get(path).status_code for _ in range(3)] == [307, 307, 429]
        refused = reader.get(path)
        assert "unusual amount" in refused.json()["error"]
        assert "retry-after" not in refused.headers
        assert reader.get(path, params={"token": emulator.token}).status_code == 307
        emulator.clock.advance(86_400)
        assert reader.get(path).status_code == 307


@pytest.mark.parametrize("rest", ["models/1910000001", "attachments/1", "vault/1", "some/key", "training-data/5"])
def test_head_is_taken_for_a_stranger(reader: httpx.Client, library: Emulator, rest: str) -> None:
    headers = {"Authorization": f"Bearer {library.token}"}
    assert reader.head(f"/api/download/{rest}", headers=headers).status_code == 401


def test_a_large_file_takes_no_memory() -> None:
    length = 2_000_000_000
    with Emulator(speed=0, models=3, large_file=length) as emulator, httpx.Client(base_url=emulator.url) as reader:
        version = emulator.oddities["large"]
        url = _url(reader, version.id)
        tracemalloc.start()
        head = httpx.head(url)
        part = httpx.get(url, headers={"Range": "bytes=1999000000-1999999999"})
        with httpx.stream("GET", url) as whole:
            first = next(whole.iter_raw(1_000_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    size = int(head.headers["content-length"])
    assert size > length
    assert part.headers["content-range"] == f"bytes 1999000000-1999999999/{size}"
    stored = version.primary_file.stored()
    assert part.content == stored.read(1_999_000_000, 2_000_000_000)
    assert first == stored.read(0, 1_000_000)
    assert head.headers["etag"] == part.headers["etag"] == stored.etag
    assert peak < 20_000_000


def test_a_file_in_pieces_is_the_file() -> None:
    content = files.weights("key", 2_000_000, "title")
    whole = content.read()
    assert len(whole) == len(content)
    assert whole == files.safetensors("key", 2_000_000, "title")
    for start, end in ((0, 5), (5, 300), (100, 2_000_100), (4092, 8187), (len(whole) - 3, len(whole)), (7, 7)):
        assert content.read(start, end) == whole[start:end]
        assert b"".join(content.pieces(start, end)) == whole[start:end]
    assert content.read(len(whole) - 2, len(whole) + 9) == whole[-2:]
    assert content.read(len(whole) + 1, len(whole) + 9) == b""
    assert (
        len({content.etag, files.weights("key", 1_999_998, "title").etag, files.weights("k", 2_000_000, "title").etag})
        == 3
    )


def test_the_length_of_the_large_file_is_checked() -> None:
    with pytest.raises(ValueError, match="large_file is a whole number, 0 or more, not -1"):
        Emulator(large_file=-1)
