"""The texts in the containers PNG, JPEG and WebP, read without the picture itself.

Own code, because `sd-parsers` and the like go through Pillow, which has to decode a whole PNG to find what is written
behind its pixels.

Files are hostile until read: every length is checked before anything of it is read, what is compressed is unpacked up
to a limit, and a file that is cut or broken gives what came before that.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from html import unescape
from itertools import islice
from typing import BinaryIO, Final

import attrs

__all__ = ["texts_in"]

_LONGEST_TEXT: Final = 4 * 1024 * 1024
"""Bytes of a text at most, packed or not. Longer ones are passed over; graphs of ComfyUI have some 100 KB."""

_MOST_TEXTS: Final = 64
_MOST_PARTS: Final = 250_000
"""Chunks that are looked at: PNG files of 2 GB have as many."""
_PIECE: Final = 1 << 20

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_KEYWORD: Final = "XML:com.adobe.xmp"

_USER_COMMENT: Final = 0x9286
_EXIF_DIRECTORY: Final = 0x8769
_TAGS: Final = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", _USER_COMMENT: "UserComment"}
_MOST_TAGS: Final = 512


@attrs.frozen
class _Input:
    """A file that is read from where it stands, forwards."""

    file: BinaryIO

    def exactly(self, size: int) -> bytes:
        """Give the next bytes; none if the file ends before them."""
        found = bytearray()
        while len(found) < size:
            piece = self.file.read(min(_PIECE, size - len(found)))
            if not piece:
                return b""
            found += piece
        return bytes(found)

    def skip(self, size: int) -> None:
        """Leave bytes out. Beyond the end of a file nothing can be read, which is found then."""
        if self.file.seekable():
            self.file.seek(size, 1)
        else:
            while size and (piece := self.file.read(min(_PIECE, size))):
                size -= len(piece)


def texts_in(file: BinaryIO) -> dict[str, str]:
    r"""Give the texts in a picture by their keywords, the first of each; none if it is no PNG, JPEG or WebP.

    Those of EXIF, and what XMP says instead of it, have the names of their tags; the comment of a JPEG is `Comment`.

    Args:
        file: A file that is open for reading bytes, which is read from where it stands.

    Raises:
        OSError: The file cannot be read.

    >>> import io
    >>> chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + bytes(4)
    >>> chunks = chunk(b"IDAT", bytes(9)) + chunk(b"tEXt", b"parameters\0a cat")
    >>> texts_in(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks))
    {'parameters': 'a cat'}
    """
    source = _Input(file)
    start = source.exactly(3)
    if start == _JPEG:
        parts = _in_jpeg(source)
    else:
        start += source.exactly(5)
        if start == _PNG:
            parts = _in_png(source)
        elif start[:4] == b"RIFF" and source.exactly(4) == b"WEBP":
            parts = _in_webp(source)
        else:
            return {}
    found: dict[str, str] = {}
    for keyword, value in islice(parts, _MOST_TEXTS):
        if value := value.strip("\0"):
            found.setdefault(keyword, value)
        if sum(map(len, found.values())) > 2 * _LONGEST_TEXT:
            break
    return found


# ---------------------------------------------------------------------------------------------------------------- PNG


def _in_png(source: _Input) -> Iterator[tuple[str, str]]:
    for _ in range(_MOST_PARTS):
        head = source.exactly(8)
        length, kind = int.from_bytes(head[:4]), head[4:]
        if not kind.isalpha() or kind == b"IEND" or length >= 2**31:
            return
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"eXIf") or length > _LONGEST_TEXT:
            source.skip(length + 4)
            continue
        data = source.exactly(length)
        source.skip(4)
        if kind == b"eXIf":
            yield from _in_exif(data)
        else:
            keyword, value = _png_text(kind, data)
            if keyword == _XMP_KEYWORD:
                yield from _in_xmp(value.encode())
            else:
                yield keyword, value


def _png_text(kind: bytes, data: bytes) -> tuple[str, str]:
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, _decoded(rest)
    if kind == b"zTXt":
        return name, _decoded(_unpacked(rest[1:]) if rest[:1] == b"\0" else b"")
    packed, _, rest = rest[:1], rest[1:2], rest[2:]
    content = rest.partition(b"\0")[2].partition(b"\0")[2]  # behind the language, and the keyword in it
    return name, _decoded(_unpacked(content) if packed == b"\1" else content)


def _unpacked(data: bytes) -> bytes:
    """Unpack what is not longer than a text may be; nothing if it is longer or broken."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, _LONGEST_TEXT)
    except zlib.error:
        return b""
    return found if unpacker.eof else b""


def _decoded(data: bytes) -> str:
    """Decode a text. Where the format says Latin-1 many programs write UTF-8, which is rarely something else."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --------------------------------------------------------------------------------------------------------------- JPEG


def _in_jpeg(source: _Input) -> Iterator[tuple[str, str]]:
    # Before every segment is a byte 0xFF; that of the first was read with the start of the file.
    for _ in range(_MOST_PARTS):
        marker = source.exactly(1)
        if marker == b"\xff":  # fills up
            continue
        if not marker or marker in b"\x00\xd9\xda":  # the picture begins, or it is over
            return
        length = int.from_bytes(source.exactly(2)) - 2
        if length < 0:
            return
        if marker in b"\xe1\xfe":
            data = source.exactly(length)
            if marker == b"\xfe":
                yield "Comment", _decoded(data)
            elif data.startswith(_EXIF):
                yield from _in_exif(data)
            elif data.startswith(_XMP):
                yield from _in_xmp(data[len(_XMP) :])
        else:
            source.skip(length)
        if source.exactly(1) != b"\xff":
            return


# --------------------------------------------------------------------------------------------------------------- WebP


def _in_webp(source: _Input) -> Iterator[tuple[str, str]]:
    for _ in range(_MOST_PARTS):
        head = source.exactly(8)
        if not head:
            return
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind in (b"EXIF", b"XMP ") and length <= _LONGEST_TEXT:
            data = source.exactly(length)
            if kind == b"EXIF":
                yield from _in_exif(data)
            else:
                yield from _in_xmp(data)
        else:
            source.skip(length)
        source.skip(length % 2)


# --------------------------------------------------------------------------------------------------------------- EXIF


def _in_exif(data: bytes) -> Iterator[tuple[str, str]]:
    """Give the texts of an EXIF block, which is a TIFF file without a picture."""
    data = data.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    places = [struct.unpack_from(f"{order}I", data, 4)[0]]
    for place in places:  # of the first directory, which may say where the one with the tags of EXIF is
        for tag, value in _in_directory(data, place, order):
            if tag == _EXIF_DIRECTORY:
                if len(places) == 1:
                    places.append(struct.unpack(f"{order}I", value)[0])
            elif tag == _USER_COMMENT:
                yield "UserComment", _comment(value)
            else:
                yield _TAGS[tag], _decoded(value)


def _in_directory(data: bytes, at: int, order: str) -> Iterator[tuple[int, bytes]]:
    """Give the tags of a directory that are texts, and the one that says where the next directory is."""
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * min(count, _MOST_TAGS), 12):
        if entry + 12 > len(data):
            return
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
        if tag == _EXIF_DIRECTORY and kind == 4 and length == 1:
            yield tag, data[entry + 8 : entry + 12]
        elif tag in _TAGS and kind in (1, 2, 7):  # bytes, a text, or whatever
            start = entry + 8 if length <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
            if start + length <= len(data):
                yield tag, data[start : start + length]


def _comment(data: bytes) -> str:
    """Decode a comment, before which eight bytes say how it is written."""
    code, content = data[:8], data[8:]
    if code == b"UNICODE\0":
        return content.decode(_utf16_of(content), "replace").removeprefix("\ufeff")
    if code in (b"ASCII\0\0\0", bytes(8)):
        return _decoded(content)
    return _decoded(data)


def _utf16_of(data: bytes) -> str:
    """Tell which half of each unit comes first.

    The order of the EXIF block does not tell: some programs always write one and the same. Whatever the language, line
    breaks and digits have an upper half of zero.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16-le" if data[:2] == b"\xff\xfe" else "utf-16-be"
    return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"


# ---------------------------------------------------------------------------------------------------------------- XMP


def _in_xmp(data: bytes) -> Iterator[tuple[str, str]]:
    """Give the comment in a block of XMP. A parser of XML would follow what a hostile file makes of it."""
    value = _decoded(data)
    at = value.find("<exif:UserComment>")
    for mark in ("<rdf:li", ">"):
        at = value.find(mark, at) if at >= 0 else at
    end = value.find("</rdf:li>", at)
    if 0 <= at < end:
        yield "UserComment", unescape(value[at + 1 : end])
