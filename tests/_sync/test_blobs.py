# Derived from tests/_async/test_blobs.py by scripts/unasync.py: change that file, then run `make fix`.
"""Blobs: up, down, and never with the token where it does not belong."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from civitai_api.orchestration.models import (
    Blob,
    BlobArchiveOutput,
    ConsumerBlobPresignResponse,
    Flux2KleinCreateImageInput,
    ImageBlob,
)
from civitai_ext import Civitai, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Action, Answer, Cut, FaultServer, Raw, Reset, Silence

pytestmark = pytest.mark.anyio

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
DAY = 24 * 3600


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), named)


def content(body: bytes = PNG, media_type: str | None = "image/png", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, body, named, media_type)


def blob_of(server: FaultServer, **fields: Any) -> dict[str, Any]:
    return {"type": "image", "id": "b1.png", "available": True, "url": f"{server.url}/content/s3cret"} | fields


def calls(server: FaultServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.received]


def made(civitai: Civitai) -> Blob:
    """Let a picture be made."""
    done = civitai.workflows.run(Flux2KleinCreateImageInput(prompt="a cat", width=512, height=512))
    return done.outputs[0].blob


def of_blobs(emulator: Emulator) -> list[tuple[str, int, str | None]]:
    return [(each.method, each.status, each.credential) for each in emulator.journal if "/blobs" in each.path]


UPLOAD, REFRESH, FETCH = "POST /v2/consumer/blobs", "POST /v2/consumer/blobs/b1.png/refresh", "GET /content/s3cret"
NEW = "GET /content/new"


# ------------------------------------------------------------------------------------------------------------ fetching


def test_a_blob_is_saved_under_its_id(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    blob = made(civitai)
    told: list[tuple[int, int | None]] = []
    path = civitai.blobs.download(blob, tmp_path, on_progress=lambda *so_far: told.append(so_far))
    assert path == tmp_path / str(blob.id)
    assert path.read_bytes().startswith(b"\x89PNG")
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert [so_far for so_far, _ in told] == sorted({so_far for so_far, _ in told})
    assert civitai.blobs.read(blob) == path.read_bytes()
    assert of_blobs(emulator) == [("GET", 200, None)] * 2
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_blob_by_its_id_or_its_url(civitai: Civitai, tmp_path: Path) -> None:
    blob = made(civitai)
    whole = civitai.blobs.read(str(blob.id))
    assert civitai.blobs.read(str(blob.url)) == whole
    assert civitai.blobs.download(str(blob.url), f"{tmp_path}/new/") == tmp_path / "new" / "blob.png"
    target = tmp_path / "deep" / "cat.image"
    assert civitai.blobs.download(str(blob.id), target) == target
    assert target.read_bytes() == whole


def test_an_url_that_ran_out_is_renewed_once(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    blob = made(civitai)
    emulator.clock.speed = 0
    emulator.clock.advance(2 * DAY)
    before = blob.url
    civitai.blobs.download(blob, tmp_path)
    assert of_blobs(emulator) == [("GET", 401, None), ("POST", 200, "header"), ("GET", 200, None)]
    assert blob.url != before
    civitai.blobs.read(blob)  # it has the new URL
    assert len(of_blobs(emulator)) == 4


def test_an_url_that_is_known_to_have_run_out_is_not_tried(
    civitai: Civitai, emulator: Emulator, tmp_path: Path
) -> None:
    blob = made(civitai)
    blob.url_expires_at = datetime.now(UTC) - timedelta(minutes=1)
    civitai.blobs.download(blob, tmp_path)
    assert of_blobs(emulator) == [("POST", 200, "header"), ("GET", 200, None)]


def test_an_url_that_only_seems_to_have_run_out_is_tried_where_no_other_is_to_be_had(
    civitai: Civitai, emulator: Emulator, tmp_path: Path
) -> None:
    blob = made(civitai)
    blob.url_expires_at = datetime.now(UTC) - timedelta(minutes=1)
    emulator.faults.add("POST */refresh", status=403)
    civitai.blobs.download(blob, tmp_path)
    assert of_blobs(emulator) == [("POST", 403, "header"), ("GET", 200, None)]


def test_a_blob_that_is_gone_or_blocked_is_unavailable(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    blob = made(civitai)
    emulator.clock.speed = 0
    emulator.clock.advance(31 * DAY)
    with pytest.raises(errors.BlobUnavailable, match="does not have it") as caught:
        civitai.blobs.download(blob, tmp_path)
    assert caught.value.blob_id == blob.id
    assert list(tmp_path.iterdir()) == []


def test_a_blocked_blob_is_not_asked_for(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    blocked = Blob.from_dict(blob_of(server, url=None, available=False, blockedReason="minor"))
    with pytest.raises(errors.BlobUnavailable, match=r"b1\.png cannot be fetched: minor") as caught:
        scripted.blobs.download(blocked, tmp_path)
    assert caught.value.reason == "minor"
    assert server.received == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": None, "blockedReason": "hive"}, "hive"),
        ({"url": None, "available": False}, "not there yet"),
        ({"url": None}, "no URL"),
        ({"url": 5}, "no URL"),
    ],
)
def test_a_blob_that_a_new_url_does_not_help(
    scripted: Civitai, server: FaultServer, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    server.script(answer(blob_of(server, **fields)))
    with pytest.raises(errors.BlobUnavailable, match=reason):
        scripted.blobs.download(Blob.from_dict(blob_of(server, url=None)), tmp_path)
    assert calls(server) == [REFRESH]


def test_without_an_id_nothing_is_renewed(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    server.script(answer({"title": "Unauthorized"}, 401))
    with pytest.raises(errors.AuthenticationError, match="may have run out") as caught:
        scripted.blobs.download(f"{server.url}/v2/consumer/blobs/content/s3cret", tmp_path)
    assert "s3cret" not in str(caught.value) + repr(vars(caught.value))
    with pytest.raises(errors.BlobUnavailable):
        scripted.blobs.download(Blob(), tmp_path)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_new_url_that_is_refused_too_is_the_end(
    scripted: Civitai, server: FaultServer, tmp_path: Path, status: int
) -> None:
    fresh = blob_of(server, url=f"{server.url}/content/new")
    server.script(answer({}, status), answer(fresh), answer({}, status))
    with pytest.raises((errors.AuthenticationError, errors.PermissionDenied)):
        scripted.blobs.download(Blob.from_dict(blob_of(server)), tmp_path)
    assert calls(server) == [FETCH, REFRESH, NEW]
    assert ["authorization" in request.headers for request in server.received] == [False, True, False]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fields", [{"url": None}, {"urlExpiresAt": "2026-01-01T00:00:00.0000000Z"}])
def test_an_url_that_was_renewed_before_is_not_renewed_again(
    scripted: Civitai, server: FaultServer, fields: dict[str, Any]
) -> None:
    server.script(answer(blob_of(server, url=f"{server.url}/content/new")), answer({}, 401))
    with pytest.raises(errors.AuthenticationError):
        scripted.blobs.read(Blob.from_dict(blob_of(server) | fields))
    assert calls(server) == [REFRESH, NEW]


def test_a_renewal_is_asked_for_again(scripted: Civitai, server: FaultServer) -> None:
    server.script(Reset(), answer(blob_of(server)), content())
    assert scripted.blobs.read("b1.png") == PNG
    assert calls(server) == [REFRESH, REFRESH, FETCH]


def test_what_breaks_is_fetched_again(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    faults: list[Action] = [Cut(PNG[:1000], promised=len(PNG)), Reset(), answer({}, 503, retry_after="1"), content()]
    server.script(*faults)
    path = scripted.blobs.download(Blob.from_dict(blob_of(server)), tmp_path)
    assert path.read_bytes() == PNG
    assert calls(server) == [FETCH] * 4
    assert list(tmp_path.iterdir()) == [path]


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: image/png\r\n\r\n"


def test_a_stream_without_a_length(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PNG[:1], PNG[1:2000], PNG[2000:]))
    server.script(Raw(CHUNKED + pieces), Raw(CHUNKED + pieces + b"0\r\n\r\n"))  # the first time it is cut
    told: list[tuple[int, int | None]] = []
    path = scripted.blobs.download(f"{server.url}/s", f"{tmp_path}/", on_progress=lambda *so_far: told.append(so_far))
    assert path.read_bytes() == PNG
    assert path.suffix == ".png"
    assert told[-1] == (len(PNG), None)


@pytest.mark.parametrize(
    "page",
    [
        content(b"<!DOCTYPE html><title>Log in</title>", "text/html"),
        content(b"\n <HTML>", "image/png"),
        content(b'{"error": "busy"}', "application/json"),
        content(b'{"status": 500}', "image/png"),
        content(PNG, content_encoding="gzip"),
        content(b""),
        Answer(204, b""),
        Answer(206, PNG),
        Answer(302, b"", {"location": "https://evil.example/"}),
    ],
)
def test_nothing_else_is_taken_for_the_content(
    scripted: Civitai, server: FaultServer, tmp_path: Path, page: Answer
) -> None:
    server.script(page)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.blobs.download(Blob.from_dict(blob_of(server)), tmp_path)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.blobs.read(Blob.from_dict(blob_of(server)))
    assert list(tmp_path.iterdir()) == []
    assert {request.target for request in server.received} == {"/content/s3cret"}


@pytest.mark.parametrize(("status", "error"), [(404, errors.NotFound), (410, errors.Gone), (451, errors.RegionBlocked)])
def test_refusals_of_the_host(
    scripted: Civitai, server: FaultServer, tmp_path: Path, status: int, error: type[errors.ApiError]
) -> None:
    server.script(answer({"title": "no"}, status))
    output = BlobArchiveOutput(url=f"{server.url}/v2/consumer/blobs/archive/s3cret")
    with pytest.raises(error, match="no"):
        scripted.blobs.download(output, tmp_path / "all.zip")
    assert len(server.received) == 1


def test_an_archive_is_saved(
    civitai: Civitai, emulator: Emulator, tmp_path: Path, server: FaultServer, scripted: Civitai
) -> None:
    server.script(content(b"PK\x03\x04...", "application/zip"))
    output = BlobArchiveOutput(url=f"{server.url}/v2/consumer/blobs/archive/s3cret")
    path = scripted.blobs.download(output, tmp_path)
    assert path == tmp_path / "blob.zip"
    assert "authorization" not in server.received[0].headers


URLS = ["http://192.168.0.1/admin", "ftp://x/y", "file:///etc/passwd", "https://a@b/x", "https://x\r\ny/"]


@pytest.mark.parametrize("url", URLS)
def test_an_url_that_is_not_to_trust_is_not_fetched(
    scripted: Civitai, server: FaultServer, tmp_path: Path, url: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match="not one to trust"):
        scripted.blobs.download(url, tmp_path)
    with pytest.raises(errors.UnexpectedResponse, match="not one to fetch"):
        scripted.blobs.download(Blob(id="b1", url=url), tmp_path)
    assert server.received == []


@pytest.mark.parametrize("what", [None, 5, b"b1", {}, "", "..", BlobArchiveOutput()])
def test_what_cannot_be_fetched(scripted: Civitai, server: FaultServer, tmp_path: Path, what: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"nothing that can be fetched|not the id"):
        scripted.blobs.download(what, tmp_path)
    assert server.received == []


@pytest.mark.parametrize("id", ["../../etc/passwd", "/etc/x.png", "..\\x.png", "a\0b.png", "CON.png", "x" * 300, "."])
def test_names_stay_in_the_folder(scripted: Civitai, server: FaultServer, tmp_path: Path, id: str) -> None:
    server.script(content())
    path = scripted.blobs.download(Blob(id=id, url=f"{server.url}/x"), tmp_path)
    assert path.parent == tmp_path
    assert path.suffix == ".png"
    assert path.stem.lower() != "con"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("start", "media_type", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", "image/png", ".jpeg"),
        (b"RIFF\0\0\0\0WEBP", None, ".webp"),
        (b"\0\0\0\x20ftypisom", "application/octet-stream", ".mp4"),
        (b"OggS", "audio/ogg", ".ogg"),
        (b"<svg", "image/svg+xml", ".svg"),
        (b"????", None, ".png"),  # as its id says
    ],
)
def test_the_suffix_fits_what_came(
    scripted: Civitai, server: FaultServer, tmp_path: Path, start: bytes, media_type: str | None, suffix: str
) -> None:
    server.script(content(start.ljust(600, b"."), media_type))
    path = scripted.blobs.download(Blob.from_dict(blob_of(server)), tmp_path)
    assert path.name == f"b1{suffix}"


@pytest.mark.parametrize("name", ["", "b1.png"])
def test_a_file_that_is_there_already(scripted: Civitai, server: FaultServer, tmp_path: Path, name: str) -> None:
    blob, there, to = Blob.from_dict(blob_of(server)), tmp_path / "b1.png", tmp_path / name
    there.write_bytes(b"old")
    server.script(content())
    with pytest.raises(FileExistsError, match=r"b1\.png"):
        scripted.blobs.download(blob, to, exists="error")
    assert scripted.blobs.download(blob, to, exists="skip") == there
    assert there.read_bytes() == b"old"
    assert scripted.blobs.download(blob, to) == there
    assert there.read_bytes() == PNG
    with pytest.raises(errors.InvalidRequest, match="'error', 'skip', 'overwrite'"):
        scripted.blobs.download(blob, to, exists="rename")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [there]
    assert len(server.received) == (1 if name else 3)  # where the name is known, nothing is asked for in vain


def test_a_file_that_comes_meanwhile_stays(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    blob, target = Blob.from_dict(blob_of(server)), tmp_path / "cat.png"
    server.script(content())

    def other(*so_far: int | None) -> None:
        target.write_bytes(b"other")

    with pytest.raises(FileExistsError):
        scripted.blobs.download(blob, target, exists="error", on_progress=other)
    assert target.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [target]


def test_disks_that_refuse(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    server.script(content())
    blob = Blob.from_dict(blob_of(server))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        scripted.blobs.download(blob, tmp_path / "file" / "cat.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="name too long"):
        scripted.blobs.download(blob, tmp_path / "folder" / ("x" * 300))
    assert sorted(tmp_path.rglob("*.part")) == []


def test_a_host_that_says_nothing(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    server.script(Silence(PNG[:1000]), Silence(), Silence())
    hasty, url = scripted.with_options(timeout=0.1, retry=RetryPolicy.off()), f"{server.url}/s"
    with pytest.raises(errors.RequestTimeout):
        hasty.blobs.download(url, tmp_path)
    with pytest.raises(errors.RequestTimeout):
        hasty.blobs.upload(PNG, presigned=url)
    patient = scripted.with_options(retry=RetryPolicy.off())
    with pytest.raises(errors.RequestTimeout):
        patient.blobs.read(url, timeout=0.1)
    assert list(tmp_path.iterdir()) == []


def test_a_length_that_is_not_kept(tmp_path: Path) -> None:
    def half(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-length": str(2 * len(PNG))}, stream=httpx.ByteStream(PNG))

    retry, transport = RetryPolicy.off(), httpx.MockTransport(half)
    with Civitai(False, retry=retry, transport=transport) as civitai:
        with pytest.raises(errors.UnexpectedResponse, match=f"{len(PNG)} bytes came of {2 * len(PNG)}") as caught:
            civitai.blobs.download("https://x.example/cat", tmp_path)
    assert caught.value.truncated
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_caller_leaves_nothing_behind(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    def stop(*so_far: int | None) -> None:
        raise ZeroDivisionError

    server.script(content())
    with pytest.raises(ZeroDivisionError):
        scripted.blobs.download(Blob.from_dict(blob_of(server)), tmp_path, on_progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert len(server.received) == 1


def test_what_is_too_large_for_memory(scripted: Civitai, server: FaultServer) -> None:
    server.script(content())
    blob = Blob.from_dict(blob_of(server))
    assert scripted.blobs.read(blob, limit=len(PNG)) == PNG
    with pytest.raises(errors.UnexpectedResponse, match="more than 1000 bytes"):
        scripted.blobs.read(blob, limit=1000)
    assert len(server.received) == 2


# ----------------------------------------------------------------------------------------------------------- uploading


def test_what_was_uploaded_can_be_fetched(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(PIXEL)
    told: list[tuple[int, int]] = []
    blob = civitai.blobs.upload(tmp_path / "cat.jpg", on_progress=lambda *sent: told.append(sent))
    assert isinstance(blob, ImageBlob)
    assert (blob.width, blob.height) == (1, 1)
    assert civitai.blobs.read(blob) == PIXEL
    assert told == [(len(PIXEL), len(PIXEL))]


def test_a_presigned_upload_needs_no_token(emulator: Emulator, civitai: Civitai) -> None:
    permission = civitai.blobs.presign()
    with Civitai(False, orchestration_url=emulator.url) as anonymous:
        first = anonymous.blobs.upload(PIXEL, presigned=permission)
        second = anonymous.blobs.upload(PIXEL, presigned=permission.upload_url)
        with pytest.raises(errors.AuthenticationError):
            anonymous.blobs.upload(PIXEL)
    civitai.blobs.upload(PIXEL, presigned=permission)
    assert [civitai.blobs.exists(str(blob.id)) for blob in (first, second)] == [True, True]
    assert of_blobs(emulator)[1:3] == [("POST", 201, None)] * 2
    assert of_blobs(emulator)[4] == ("POST", 201, None)  # a token that is there is not sent either


def test_what_is_sent_and_to_whom(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer(blob_of(server), 201))
    large = PNG * 8
    told: list[tuple[int, int]] = []
    scripted.blobs.upload(io.BytesIO(large), on_progress=lambda *sent: told.append(sent))
    (request,) = server.received
    assert (f"{request.method} {request.target}", request.body) == (UPLOAD, large)
    assert request.headers["content-length"] == str(len(large))
    assert "transfer-encoding" not in request.headers
    assert request.headers["content-type"] == "image/png"
    assert request.headers["authorization"] == "Bearer secret-token"
    assert len(told) > 1
    assert told[-1] == (len(large), len(large))


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("cat.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("cat.webm", b"\x1a\x45\xdf\xa3", "video/webm"),
        ("cat", b"fLaC", "audio/flac"),
    ],
)
def test_the_kind_is_told(
    scripted: Civitai, server: FaultServer, tmp_path: Path, name: str, body: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(body)
    server.script(answer(blob_of(server), 201))
    scripted.blobs.upload(tmp_path / name)
    scripted.blobs.upload(str(tmp_path / name), content_type="image/x-own")
    assert [request.headers["content-type"] for request in server.received] == [kind, "image/x-own"]


def test_an_open_file_is_sent_from_where_it_stands_also_again(scripted: Civitai, server: FaultServer) -> None:
    file = io.BytesIO(b"skip" + PNG)
    file.seek(4)
    server.script(Reset(), answer({}, 503), Cut(b"{"), answer(blob_of(server), 201))
    scripted.blobs.upload(file)
    assert [request.body for request in server.received] == [PNG] * 4
    assert not file.closed


@pytest.mark.parametrize(
    "file", [b"", io.BytesIO(), 5, None, io.StringIO("text"), b"of no kind", "https://x.example/cat.png"]
)
def test_what_cannot_be_uploaded_is_not_sent(scripted: Civitai, server: FaultServer, file: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        scripted.blobs.upload(file)
    assert server.received == []


def test_a_file_that_is_not_there(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scripted.blobs.upload(tmp_path / "none.png")
    assert server.received == []


def test_a_file_that_shrinks_meanwhile(scripted: Civitai, tmp_path: Path) -> None:
    file = io.BytesIO(PNG * 8)
    with pytest.raises(errors.InvalidRequest, match="changed while it was sent"):
        scripted.blobs.upload(file, on_progress=lambda sent, size: file.truncate(sent))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BadRequest),
        (401, errors.AuthenticationError),
        (413, errors.PayloadTooLarge),
        (415, errors.UnsupportedMediaType),
        (422, errors.UnprocessableContent),
    ],
)
def test_uploads_that_are_refused(
    scripted: Civitai, server: FaultServer, status: int, error: type[errors.ApiError]
) -> None:
    server.script(answer({"title": "Refused", "status": status, "detail": "this is why"}, status))
    with pytest.raises(error, match="this is why"):
        scripted.blobs.upload(PNG)
    with pytest.raises(error, match="this is why"):
        scripted.blobs.upload(PNG, presigned=f"{server.url}/up?sig=s3cret")
    assert [request.target for request in server.received] == ["/v2/consumer/blobs", "/up?sig=s3cret"]


def test_a_presigned_upload_is_sent_again(scripted: Civitai, server: FaultServer) -> None:
    server.script(Reset(), answer({}, 502), answer(blob_of(server), 201))
    blob = scripted.blobs.upload(PNG, presigned=f"{server.url}/up?sig=s3cret")
    assert blob.id == "b1.png"
    assert [(request.target, request.body) for request in server.received] == [("/up?sig=s3cret", PNG)] * 3
    assert all("authorization" not in request.headers for request in server.received)


@pytest.mark.parametrize("presigned", [*URLS, "", ConsumerBlobPresignResponse(), 5])
def test_nothing_is_uploaded_to_an_address_that_is_not_to_trust(
    scripted: Civitai, server: FaultServer, presigned: Any
) -> None:
    with pytest.raises(errors.InvalidRequest, match="trusted"):
        scripted.blobs.upload(PNG, presigned=presigned)
    assert server.received == []


@pytest.mark.parametrize("page", [Answer(200, b"<html>", media_type="text/html"), answer([]), Answer(302, b"")])
def test_an_upload_whose_answer_is_no_blob(scripted: Civitai, server: FaultServer, page: Answer) -> None:
    server.script(page)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.blobs.upload(PNG)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.blobs.upload(PNG, presigned=f"{server.url}/up?sig=s3cret")


# ------------------------------------------------------------------------------------------------------- what is known


def test_whether_a_blob_exists(civitai: Civitai, emulator: Emulator) -> None:
    blob = civitai.blobs.upload(PIXEL)
    assert civitai.blobs.exists(str(blob.id)) is True
    assert civitai.blobs.exists("none") is False
    with Civitai(False, orchestration_url=emulator.url) as anonymous:
        with pytest.raises(errors.AuthenticationError):
            anonymous.blobs.exists(str(blob.id))


def test_a_refresh_prolongs_the_life_of_a_blob(civitai: Civitai, emulator: Emulator) -> None:
    blob = civitai.blobs.upload(PIXEL)
    emulator.clock.speed = 0
    emulator.clock.advance(20 * DAY)
    fresh = civitai.blobs.refresh(str(blob.id))
    assert isinstance(fresh, ImageBlob)
    assert fresh.url != blob.url
    emulator.clock.advance(20 * DAY)
    assert civitai.blobs.exists(str(blob.id))
    with pytest.raises(errors.NotFound):
        civitai.blobs.refresh("none")


def test_an_url_to_hand_on(civitai: Civitai, emulator: Emulator) -> None:
    blob = civitai.blobs.upload(PIXEL)
    url = civitai.blobs.url(str(blob.id), filename="cat.png", download=True, nsfw_level="pg")
    assert emulator.journal[-1].query == (("nsfwLevel", "pg"), ("filename", "cat.png"), ("download", "true"))
    assert civitai.blobs.read(url) == PIXEL
    with pytest.raises(errors.NotFound):
        civitai.blobs.url(str(blob.id), workflow_id="other")


@pytest.mark.parametrize(
    "page",
    [
        Answer(308, b""),
        Answer(308, b"", {"location": "http://192.168.0.1/"}),
        Answer(200, PNG, media_type="image/png"),
    ],
)
def test_a_redirect_that_leads_nowhere(scripted: Civitai, server: FaultServer, page: Answer) -> None:
    server.script(page)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.blobs.url("b1")
    assert len(server.received) == 1


@pytest.mark.parametrize("id", ["", " ", ".", "..", None, 5])
def test_ids_that_no_blob_has(scripted: Civitai, server: FaultServer, id: Any) -> None:
    for ask in (scripted.blobs.exists, scripted.blobs.refresh, scripted.blobs.url):
        with pytest.raises(errors.InvalidRequest):
            ask(id)
    assert server.received == []


def test_an_id_is_one_segment_of_the_path(scripted: Civitai, server: FaultServer) -> None:
    server.script(Answer(404))
    assert scripted.blobs.exists("../workflows?x#y") is False
    assert server.received[0].target == "/v2/consumer/blobs/..%2Fworkflows%3Fx%23y"
