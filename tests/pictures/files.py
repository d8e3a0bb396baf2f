"""Pictures as programs write them, byte by byte: without the library that the emulator writes its pictures with."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

PIXELS = bytes(range(200)) * 3


def png(*chunks: bytes) -> bytes:
    """A PNG with some chunks before its pixels."""
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(PIXELS)), chunk(b"IEND", b"")]
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def plain(keyword: str, value: str, encoding: str = "latin-1") -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + value.encode(encoding))


def packed(keyword: str, value: bytes) -> bytes:
    return chunk(b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(value))


def international(keyword: str, value: str, *, is_packed: bool = False) -> bytes:
    content = zlib.compress(value.encode()) if is_packed else value.encode()
    flags = b"\1\0" if is_packed else b"\0\0"
    return chunk(b"iTXt", keyword.encode() + b"\0" + flags + b"en\0" + "übersetzt".encode() + b"\0" + content)


def exif(tags: Mapping[int, bytes], *, order: str = "<", comment: bytes | None = None) -> bytes:
    """An EXIF block: tags of texts in its first directory, and a comment in the second."""
    count = len(tags) + (comment is not None)
    at = 8 + 2 + 12 * count + 4
    entries, values = b"", b""
    for tag, value in tags.items():
        place = struct.pack(f"{order}I", at + len(values)) if len(value) > 4 else value.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, 2, len(value)) + place
        values += value if len(value) > 4 else b""
    if comment is not None:
        entries += struct.pack(f"{order}HHII", 0x8769, 4, 1, at + len(values))
        start = at + len(values) + 2 + 12 + 4
        values += struct.pack(f"{order}HHHIII", 1, 0x9286, 7, len(comment), start, 0) + comment
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", count) + entries + bytes(4) + values


def commented(value: str, *, order: str = "<", encoding: str = "utf-16-be") -> bytes:
    """An EXIF block with a comment as A1111 and Civitai write it."""
    return exif({}, order=order, comment=b"UNICODE\0" + value.encode(encoding))


def segment(marker: int, data: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg(*segments: bytes) -> bytes:
    """A JPEG with some segments before its pixels, in which there is what looks like a segment."""
    start = b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    return start + b"".join(segments) + segment(0xDA, bytes(10)) + PIXELS + segment(0xFE, b"x\nSteps: 1") + b"\xff\xd9"


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP with some chunks behind its pixels, where they belong."""
    body = b"WEBP"
    for kind, data in ((b"VP8X", bytes(10)), (b"VP8 ", PIXELS + b"\0"), *chunks):
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def xmp(comment: str) -> str:
    """A block of XMP with a comment."""
    escaped = comment.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><exif:UserComment><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{escaped}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    )
