"""Texts are found wherever a format has them, and no file, however broken, does more harm than saying nothing."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import read_image_meta
from civitai_ext.catalogue import ImageMeta
from tests.pictures import files

INFOTEXT = (
    "a café by the sea, 海\nNegative prompt: rain\nSteps: 20, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 64x32"
)
EXPECTED = {
    "prompt": "a café by the sea, 海",
    "negativePrompt": "rain",
    "steps": 20,
    "sampler": "Euler a",
    "cfgScale": 6.5,
    "seed": 5,
    "Size": "64x32",
}
UNICODE = b"UNICODE\0"
MARKED = files.exif({}, comment=UNICODE + b"\xff\xfe" + INFOTEXT.encode("utf-16-le"))

PICTURES: dict[str, bytes] = {
    "PNG iTXt": files.png(files.international("parameters", INFOTEXT)),
    "PNG iTXt, packed": files.png(files.international("parameters", INFOTEXT, is_packed=True)),
    "PNG tEXt in UTF-8": files.png(files.plain("parameters", INFOTEXT, "utf-8")),
    "PNG zTXt": files.png(files.packed("parameters", INFOTEXT.encode())),
    "PNG eXIf": files.png(files.chunk(b"eXIf", files.commented(INFOTEXT))),
    "PNG behind the pixels": files.png(files.chunk(b"IDAT", b"x"), files.international("parameters", INFOTEXT)),
    "PNG, cut before its end": files.png(files.international("parameters", INFOTEXT))[:-30],
    "JPEG": files.jpeg(files.segment(0xE1, b"Exif\0\0" + files.commented(INFOTEXT))),
    "JPEG, big end first": files.jpeg(files.segment(0xE1, b"Exif\0\0" + files.commented(INFOTEXT, order=">"))),
    "JPEG, UTF-16 LE": files.jpeg(
        files.segment(0xE1, b"Exif\0\0" + files.commented(INFOTEXT, order=">", encoding="utf-16-le"))
    ),
    "JPEG, marked": files.jpeg(files.segment(0xE1, b"Exif\0\0" + MARKED)),
    "JPEG, no encoding": files.jpeg(files.segment(0xE1, b"Exif\0\0" + files.exif({}, comment=INFOTEXT.encode()))),
    "JPEG, called ASCII": files.jpeg(
        files.segment(0xE1, b"Exif\0\0" + files.exif({}, comment=b"ASCII\0\0\0" + INFOTEXT.encode()))
    ),
    "JPEG, description": files.jpeg(
        files.segment(0xE1, b"Exif\0\0" + files.exif({0x010E: INFOTEXT.encode() + b"\0", 0x0131: b"a program\0"}))
    ),
    "JPEG comment": files.jpeg(files.segment(0xFE, INFOTEXT.encode())),
    "JPEG, filled up": files.jpeg(b"\xff" * 5 + files.segment(0xFE, INFOTEXT.encode())),
    "JPEG XMP": files.jpeg(files.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + files.xmp(INFOTEXT).encode())),
    "WebP": files.webp((b"EXIF", files.commented(INFOTEXT))),
    "WebP, as in JPEG": files.webp((b"ICCP", b"odd"), (b"EXIF", b"Exif\0\0" + files.commented(INFOTEXT))),
    "WebP XMP": files.webp((b"XMP ", files.xmp(INFOTEXT).encode())),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_text_is_found(name: str) -> None:
    meta = read_image_meta(PICTURES[name])
    assert meta is not None
    assert dict(meta.items()) == EXPECTED


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_anywhere_says_what_came_before(name: str) -> None:
    picture = PICTURES[name]
    found = [read_image_meta(picture[:length]) for length in range(len(picture) + 1)]
    told = [meta is not None for meta in found]
    assert told == sorted(told)  # from some length on, and not before
    assert not told[0]
    assert told[-1]


@pytest.mark.parametrize("name", PICTURES)
def test_a_byte_that_is_wrong_is_never_fatal(name: str) -> None:
    picture = PICTURES[name]
    for place in range(0, len(picture), 3):
        for wrong in (0, 0x7F, 0xFF):
            read_image_meta(picture[:place] + bytes([wrong]) + picture[place + 1 :])


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]), st.binary(max_size=400))
def test_any_bytes_are_a_picture_or_not(start: bytes, rest: bytes) -> None:
    assert isinstance(read_image_meta(start + rest), ImageMeta | None)


@given(st.sampled_from([b"II*\0", b"MM\0*", b""]), st.binary(max_size=300))
def test_any_bytes_are_exif_or_not(start: bytes, rest: bytes) -> None:
    read_image_meta(files.webp((b"EXIF", start + rest)))


@given(st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"eXIf"]), st.binary(max_size=300))
def test_any_bytes_are_a_text_or_not(kind: bytes, data: bytes) -> None:
    read_image_meta(files.png(files.chunk(kind, b"parameters\0" + data)))


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        files.png(),
        files.jpeg(),
        files.webp(),
        b"GIF89a" + files.PIXELS,
        b"<!doctype html>",
        files.jpeg(files.segment(0xFE, b"CREATOR: gd-jpeg, quality: 90, colours: all")),
        files.jpeg(files.segment(0xE1, b"Exif\0\0" + files.exif({0x010F: b"Canon\0", 0x0110: b"EOS: prompt\0"}))),
        files.png(files.plain("Software", "GIMP"), files.plain("Comment", "Steps to the sea")),
        files.png(files.packed("parameters", INFOTEXT.encode())[:-20]),
    ],
)
def test_a_picture_that_says_nothing_gives_none(picture: bytes) -> None:
    assert read_image_meta(picture) is None


def test_a_picture_is_read_from_paths_bytes_and_files(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(PICTURES["PNG iTXt"])
    with path.open("rb") as opened:
        sources: list[Any] = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), opened]
        assert {str(read_image_meta(source)) for source in sources} == {str(read_image_meta(path))}


def test_a_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"before" + PICTURES["WebP"])
    assert read_image_meta(file) is None
    file.seek(6)
    assert read_image_meta(file) is not None


@pytest.mark.parametrize("name", ["PNG behind the pixels", "JPEG", "WebP"])
def test_a_file_that_cannot_be_sought_in_is_read(name: str) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._content = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece = self._content.read(min(7, len(buffer)))  # as pipes do, less than was asked for
            buffer[: len(piece)] = piece
            return len(piece)

    pipe: Any = Pipe(PICTURES[name])
    meta = read_image_meta(pipe)
    assert meta is not None
    assert meta.seed == 5


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image_meta(tmp_path / "none.png")
    with pytest.raises(OSError, match=r"."):
        read_image_meta(tmp_path)


def test_pixels_are_passed_over(tmp_path: Path) -> None:
    """A picture of 200 MB, most of which is not even on the disk, costs what its texts cost."""
    path = tmp_path / "large.png"
    size = 200_000_000
    with path.open("wb") as file:
        file.write(files.png()[:33])
        file.write(struct.pack(">I", size) + b"IDAT")
        file.seek(size + 4, 1)
        file.write(files.international("parameters", INFOTEXT) + files.chunk(b"IEND", b""))
    tracemalloc.start()
    try:
        meta = read_image_meta(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert meta is not None
    assert peak < 2_000_000


BOMB = zlib.compress(bytes(50_000_000), 9)
HOSTILE = {
    "a text that unpacks to 50 MB": files.png(files.chunk(b"zTXt", b"parameters\0\0" + BOMB)),
    "many of them": files.png(*[files.chunk(b"iTXt", b"parameters\0\1\0\0\0" + BOMB)] * 200),
    "a length of 2 GB": b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xfftEXtparameters\0a cat",
    "a length of 4 GB": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtparameters\0a cat",
    "a WebP chunk of 4 GB": b"RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\xff" + files.commented(INFOTEXT),
    "a tag of 4 GB": files.webp((b"EXIF", b"II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\xff\xff\xff\xff\x08\0\0\0")),
    "a directory of 65,535 tags": files.webp(
        (b"EXIF", b"II*\0\x08\0\0\0\xff\xff" + b"\x0e\x01\x02\0\xff\0\0\0" * 9000)
    ),
    "a directory within itself": files.webp((b"EXIF", b"II*\0\x08\0\0\0\x01\0\x69\x87\4\0\1\0\0\0\x08\0\0\0")),
    "deep JSON": files.png(files.plain("parameters", '{"a":' * 100_000)),
    "a deep graph": files.png(files.plain("prompt", '{"1":{"class_type":' + "[" * 100_000)),
    "a number without end": files.png(files.plain("prompt", '{"1":{"class_type":"K","inputs":{"seed":' + "9" * 9999)),
    "details within details": files.png(files.plain("parameters", "Steps: 1, " + 'x:[{"a":1,' * 20_000)),
    "colons": files.png(files.plain("parameters", "Steps: 1, " + ":" * 1_000_000)),
    "names without a colon": files.png(files.plain("parameters", "Steps: 1, " + "a" * 1_000_000)),
    "lines": files.png(files.plain("parameters", "Steps: 1\n" * 100_000)),
    "networks": files.png(files.plain("parameters", "<lora:" * 100_000)),
    "a comment in XMP": files.png(files.international("XML:com.adobe.xmp", "<exif:UserComment>" * 50_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_costs_little_memory(name: str) -> None:
    picture = HOSTILE[name]
    tracemalloc.start()
    try:
        read_image_meta(picture)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000
