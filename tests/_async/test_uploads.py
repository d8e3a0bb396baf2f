"""Uploads of images: whole and in parts, and never with the token where it does not belong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import AsyncCivitai, errors
from civitai_ext._async import uploads
from civitai_ext.emulator import Emulator
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 400 bytes go in parts."""
    monkeypatch.setattr(uploads, "LARGEST_WHOLE", 400)


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def begun(server: FaultServer, count: int = 3, **fields: Any) -> Answer:
    """An upload in parts of 400 bytes has begun."""
    urls = [{"url": f"{server.url}/storage?part={n}&X-Amz-Signature=s3cret", "partNumber": n} for n in (2, 1, 3)]
    body = {"urls": urls[:count], "bucket": "b", "key": "k", "uploadId": "u", "chunkSize": 400, "backend": "r2"}
    return answer(body | fields)


def stored(tag: str) -> Answer:
    return Answer(200, b"", {"etag": tag}, media_type=None)


def calls(server: FaultServer) -> list[str]:
    return [f"{request.method} {request.target.partition('&')[0]}" for request in server.received]


NAMES = {"bucket": "b", "key": "k", "type": "image", "uploadId": "u", "backend": "r2"}
BEGIN, COMPLETE, ABORT = "POST /api/v1/image-upload/multipart", "POST /api/upload/complete", "POST /api/upload/abort"
PARTS = [f"PUT /storage?part={number}" for number in (1, 2, 3)]


# ------------------------------------------------------------------------------------------------------ on the emulator


async def test_an_image_is_uploaded(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    told: list[tuple[int, int]] = []
    ids = {
        await civitai.uploads.image(tmp_path / "cat.png", on_progress=lambda *sent: told.append(sent)),
        await civitai.uploads.image(str(tmp_path / "cat.png")),
        await civitai.uploads.image(PNG),
    }
    assert len(ids) == 3
    assert all(ids)
    assert told == [(len(PNG), len(PNG))]
    puts = [each for each in emulator.journal if each.method == "PUT"]
    assert [each.status for each in puts] == [200] * 3
    assert [each.credential for each in puts] == [None] * 3


async def test_a_large_image_is_uploaded_in_parts(civitai: AsyncCivitai, emulator: Emulator) -> None:
    content = bytes(range(256)) * (uploads.LARGEST_WHOLE // 256) + b"the rest"
    told: list[tuple[int, int]] = []
    key = await civitai.uploads.image(content, filename="cat.png", on_progress=lambda *sent: told.append(sent))
    assert key.endswith(".png")
    assert told == [(uploads.LARGEST_WHOLE, len(content)), (len(content), len(content))]
    assert [(each.method, each.status) for each in emulator.journal] == [
        ("POST", 200),
        ("PUT", 200),
        ("PUT", 200),
        ("POST", 200),
    ]
    assert [each.credential for each in emulator.journal] == ["header", None, None, "header"]


async def test_nobody_uploads_nothing(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncCivitai(site_url=emulator.url) as anonymous:
        with pytest.raises(errors.AuthenticationError):
            await anonymous.uploads.image(PNG)


# -------------------------------------------------------------------------------------------------------- what is sent


async def test_what_is_sent_and_to_whom(scripted: AsyncCivitai, server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "cat.webp").write_bytes(b"RIFF")
    server.script(answer({"id": "key", "uploadURL": f"{server.url}/storage?sig=s3cret"}), stored('"1"'))
    assert await scripted.uploads.image(tmp_path / "cat.webp") == "key"
    ask, put = server.received
    assert (ask.method, ask.target, ask.headers["authorization"]) == (
        "POST",
        "/api/v1/image-upload",
        "Bearer secret-token",
    )
    assert (put.method, put.target, put.body) == ("PUT", "/storage?sig=s3cret", b"RIFF")
    assert (put.headers["content-type"], put.headers["content-length"]) == ("image/webp", "4")
    assert "authorization" not in put.headers


@pytest.mark.parametrize("kind", ["open file", "stream", "bytearray"])
async def test_images_of_every_kind(scripted: AsyncCivitai, server: FaultServer, tmp_path: Path, kind: str) -> None:
    (tmp_path / "cat.gif").write_bytes(b"..GIF")
    server.script(answer({"id": "key", "uploadURL": f"{server.url}/storage"}), stored('"1"'))
    with (tmp_path / "cat.gif").open("rb") as file:
        file.read(2)
        image: Any = {"open file": file, "stream": _Stream(b"GIF"), "bytearray": bytearray(b"GIF")}[kind]
        await scripted.uploads.image(image)
    put = server.received[1]
    assert put.body == b"GIF"
    assert put.headers["content-type"] == ("image/gif" if kind == "open file" else "application/octet-stream")


class _Stream(io.BytesIO):
    """A file that cannot be wound back, such as a pipe."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("not seekable")

    def seek(self, offset: int, whence: int = 0) -> int:
        raise OSError("not seekable")


@pytest.mark.parametrize("image", [b"", io.BytesIO(), 5, None, io.StringIO("text")])
async def test_what_is_no_image_is_not_sent(scripted: AsyncCivitai, server: FaultServer, image: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        await scripted.uploads.image(image)
    assert server.received == []


async def test_a_file_that_is_not_there(scripted: AsyncCivitai, server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await scripted.uploads.image(tmp_path / "none.png")
    assert server.received == []


async def test_parts_are_sent_in_order_and_joined(scripted: AsyncCivitai, server: FaultServer, in_parts: None) -> None:
    server.script(begun(server), stored('"1"'), stored('"2"'), stored('"3"'), answer(None))
    assert await scripted.uploads.image(PNG, filename="cat.png") == "k"
    assert calls(server) == [BEGIN, *PARTS, COMPLETE]
    assert json.loads(server.received[0].body) == {"size": len(PNG), "mimeType": "image/png", "filename": "cat.png"}
    assert b"".join(request.body for request in server.received[1:4]) == PNG
    tags = [{"ETag": f'"{number}"', "PartNumber": number} for number in (1, 2, 3)]
    assert json.loads(server.received[4].body) == NAMES | {"parts": tags}
    assert ["authorization" in request.headers for request in server.received] == [True, False, False, False, True]


# ---------------------------------------------------------------------------------------------- when something is wrong


@pytest.mark.parametrize("fault", [Reset(), Cut(), Answer(503, b"<Error/>", media_type="application/xml")])
async def test_what_did_not_get_through_is_sent_again(
    scripted: AsyncCivitai, server: FaultServer, in_parts: None, fault: Action
) -> None:
    server.script(begun(server), stored('"1"'), fault, fault, stored('"2"'), stored('"3"'), answer(None))
    await scripted.uploads.image(PNG)
    assert calls(server) == [BEGIN, PARTS[0], *[PARTS[1]] * 3, PARTS[2], COMPLETE]
    assert len({request.body for request in server.received[2:5]}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Answer(403, b"<Error><Message>Request has expired</Message></Error>", media_type="application/xml"),
        Answer(200, b"", media_type=None),
        Answer(302, b"", {"location": "https://evil.example/"}),
        Reset(),
    ],
)
async def test_an_upload_that_fails_is_given_up(
    scripted: AsyncCivitai, server: FaultServer, in_parts: None, fault: Action
) -> None:
    tries = 4 if isinstance(fault, Reset) else 1
    server.script(begun(server), stored('"1"'), *[fault] * tries, answer({}))
    with pytest.raises(errors.CivitaiError) as caught:
        await scripted.uploads.image(PNG)
    assert calls(server) == [BEGIN, PARTS[0], *[PARTS[1]] * tries, ABORT]
    assert json.loads(server.received[-1].body) == NAMES
    assert "s3cret" not in str(caught.value) + repr(caught.value.__dict__)


async def test_a_signed_address_that_ran_out_is_told(scripted: AsyncCivitai, server: FaultServer) -> None:
    expired = Answer(403, b"<Error><Message>Request has expired</Message></Error>", media_type="application/xml")
    server.script(answer({"id": "key", "uploadURL": f"{server.url}/storage?sig=s3cret"}), expired)
    with pytest.raises(errors.PermissionDenied, match="Upload again"):
        await scripted.uploads.image(PNG)


async def test_what_fails_is_told_even_if_giving_up_fails_too(
    scripted: AsyncCivitai, server: FaultServer, in_parts: None
) -> None:
    refused = answer({"error": "part 2 is missing"}, 422)
    server.script(begun(server), stored('"1"'), stored('"2"'), stored('"3"'), refused, Answer(500))
    with pytest.raises(errors.UnprocessableContent, match="part 2 is missing"):
        await scripted.uploads.image(PNG)
    assert calls(server) == [BEGIN, *PARTS, COMPLETE, ABORT]


async def test_joining_is_asked_for_again_only_if_the_service_says_so(
    scripted: AsyncCivitai, server: FaultServer, in_parts: None
) -> None:
    busy = Answer(503, b'{"error": "busy"}', {"retry-after": "2"})
    server.script(begun(server), stored('"1"'), stored('"2"'), stored('"3"'), busy, answer("https://x.example/k"))
    assert await scripted.uploads.image(PNG) == "k"
    server.received.clear()
    server.script(begun(server), stored('"1"'), stored('"2"'), stored('"3"'), Reset(), answer({}))
    with pytest.raises(errors.ConnectionFailed):
        await scripted.uploads.image(PNG)
    assert calls(server) == [BEGIN, *PARTS, COMPLETE, ABORT]


async def test_an_error_of_the_caller_gives_up_too(scripted: AsyncCivitai, server: FaultServer, in_parts: None) -> None:
    def stop(sent: int, size: int) -> None:
        raise ZeroDivisionError

    server.script(begun(server), stored('"1"'), answer({}))
    with pytest.raises(ZeroDivisionError):
        await scripted.uploads.image(PNG, on_progress=stop)
    assert calls(server) == [BEGIN, PARTS[0], ABORT]


@pytest.mark.parametrize(
    "url", ["http://192.168.0.1/x", "ftp://x/y", "file:///etc/passwd", "https://a@b/x", "", None, 5, {}]
)
async def test_nothing_is_sent_to_an_address_that_is_not_to_trust(
    scripted: AsyncCivitai, server: FaultServer, url: Any
) -> None:
    server.script(answer({"id": "key", "uploadURL": url}))
    with pytest.raises(errors.UnexpectedResponse, match="not one to trust"):
        await scripted.uploads.image(PNG)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 2},
        {"chunkSize": 0},
        {"chunkSize": 1},
        {"chunkSize": "400"},
        {"urls": None},
        {"urls": [{"url": "https://x.example/", "partNumber": [1]}] * 3},
        {"urls": [{"url": "https://x.example/", "partNumber": 7}] * 3},
    ],
)
async def test_parts_without_a_place_are_not_sent(
    scripted: AsyncCivitai, server: FaultServer, in_parts: None, fields: dict[str, Any]
) -> None:
    server.script(begun(server, **fields), answer({}))
    with pytest.raises(errors.UnexpectedResponse, match="an address for every part"):
        await scripted.uploads.image(PNG)
    assert calls(server) == [BEGIN, ABORT]


async def test_a_file_that_shrinks_meanwhile(scripted: AsyncCivitai, server: FaultServer, in_parts: None) -> None:
    source = io.BytesIO(PNG)
    server.script(begun(server), stored('"1"'), answer({}))
    with pytest.raises(errors.InvalidRequest, match="changed while it was sent"):
        await scripted.uploads.image(source, on_progress=lambda sent, size: source.truncate(sent))
    assert calls(server) == [BEGIN, PARTS[0], ABORT]
