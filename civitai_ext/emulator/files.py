"""The bytes behind a download: valid files that follow from the seed, and their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

PIECE = 256 * 1024
"""How much of a file is made at a time."""

_AUTOV1_START = 0x100000
_AUTOV1_LENGTH = 0x10000
_BLOCK = 4093
_GGUF_TEXT = 8
_GGUF_HALF_PRECISION = 1
_GGUF_ALIGNMENT = 32


@dataclass(frozen=True)
class Content:
    """A file of any length that takes next to no memory: how it begins, and a block that is repeated after that.

    Attributes:
        head: How it begins; the whole file if there is no block.
        block: What follows, over and over.
        repeated: For how many bytes.

    >>> content = Content(b"head", b"abc", 7)
    >>> content.read(), content.read(2, 9), len(content)
    (b'headabcabca', b'adabcab', 11)
    """

    head: bytes
    block: bytes = b""
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.head) + self.repeated

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Read what lies between two places, in as much time as that is long."""
        end = len(self) if end is None else min(end, len(self))
        begin = len(self.head)
        beginning = self.head[start:end]
        start = max(start, begin) - begin
        length = end - begin - start
        if length <= 0:
            return beginning
        offset = start % len(self.block)
        return beginning + (self.block * ((offset + length) // len(self.block) + 1))[offset : offset + length]

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Read what lies between two places, piece by piece."""
        end = len(self) if end is None else min(end, len(self))
        for at in range(start, end, PIECE):
            yield self.read(at, min(at + PIECE, end))

    @property
    def etag(self) -> str:
        """The entity tag: another one for every other content."""
        parts = self.head + self.block + (str(self.repeated).encode() if self.block else b"")
        return f'"{hashlib.md5(parts, usedforsecurity=False).hexdigest()}"'


def weights(key: str, size: int, name: str) -> Content:
    """Make a safetensors file: one half-precision tensor of about `size` bytes, and metadata that names the file."""
    elements = size // 2
    header = json.dumps(
        {
            "__metadata__": {"format": "pt", "modelspec.title": name, "note": "made by the civitai-ext emulator"},
            "weight": {"dtype": "F16", "shape": [elements], "data_offsets": [0, elements * 2]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    return Content(len(header).to_bytes(8, "little") + header, _block(key, elements * 2), elements * 2)


@lru_cache(maxsize=32)
def safetensors(key: str, size: int, name: str) -> bytes:
    """Make a safetensors file: one half-precision tensor of about `size` bytes, and metadata that names the file.

    >>> content = safetensors("a key", 64, "example")
    >>> header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    >>> header["weight"]
    {'dtype': 'F16', 'shape': [32], 'data_offsets': [0, 64]}
    """
    return weights(key, size, name).read()


def gguf(key: str, size: int, name: str) -> Content:
    """Make a GGUF file: one half-precision tensor of about `size` bytes, and metadata that names the file."""

    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(8, "little") + value.encode()

    elements = size // 2
    pairs = (("general.architecture", "emulated"), ("general.name", name))
    header = b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") + len(pairs).to_bytes(8, "little")
    header += b"".join(text(word) + _GGUF_TEXT.to_bytes(4, "little") + text(value) for word, value in pairs)
    header += text("weight") + (1).to_bytes(4, "little") + elements.to_bytes(8, "little")
    header += _GGUF_HALF_PRECISION.to_bytes(4, "little") + (0).to_bytes(8, "little")
    header += bytes(-len(header) % _GGUF_ALIGNMENT)
    return Content(header, _block(key, elements * 2), elements * 2)


def pickled(key: str, size: int, name: str) -> Content:
    """Make a pickle of about `size` bytes; there is nothing in it that could run."""
    return Content(pickle.dumps({"name": name, "weight": _noise(key, size)}, protocol=4))


def settings(key: str, size: int, name: str) -> Content:
    """Make a YAML file of `size` characters."""
    return Content(f"# {key}\nname: {json.dumps(name)}\n".encode()[:size].ljust(size, b"#"))


@lru_cache(maxsize=32)
def archive(key: str, size: int, name: str) -> bytes:
    """Make a ZIP archive with a text file of about `size` characters and a note."""
    note = f"{name}\nMade by the civitai-ext emulator.\n"
    return packed([("README.txt", note.encode()), ("data.txt", _noise(key, size // 2).hex().encode())])


def header(content: Content) -> dict[str, Any]:
    """Read the header of a safetensors file."""
    found: dict[str, Any] = json.loads(content.read(8, 8 + int.from_bytes(content.read(0, 8), "little")))
    return found


def tensors(content: Content) -> list[dict[str, Any]]:
    """Read name, shape, type and length in bytes of every tensor of a safetensors file.

    >>> tensors(weights("a key", 64, "example"))
    [{'name': 'weight', 'shape': [32], 'dtype': 'F16', 'sizeBytes': 64}]
    """
    return [
        {
            "name": name,
            "shape": tensor["shape"],
            "dtype": tensor["dtype"],
            "sizeBytes": tensor["data_offsets"][1] - tensor["data_offsets"][0],
        }
        for name, tensor in header(content).items()
        if name != "__metadata__"
    ]


def packed(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Make a ZIP archive of files that are given by name and content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in members:
            made.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


def document(lines: Iterable[str]) -> bytes:
    r"""Make a PDF document of one page with some lines of text.

    >>> document(["hello"])[:8], document(["hello"])[-6:]
    (b'%PDF-1.4', b'%%EOF\n')
    """
    escaped = (re.sub(r"([()\\])", r"\\\1", line) for line in lines)
    shown = "".join(f"({line}) '\n" for line in escaped)
    stream = f"BT /F1 14 Tf 20 TL 60 780 Td {shown}ET".encode("latin-1", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    made = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    made_at = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return made + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, made_at)


@lru_cache(maxsize=1024)  # of large files and of large catalogues once, however many emulators run
def hashes(content: bytes | Content, *, is_safetensors: bool) -> dict[str, str]:
    """Compute the hashes that the catalogue lists, in upper-case hexadecimal.

    `AutoV1` reads 64 KiB at the first mebibyte and is left out for smaller files. `AutoV3` covers what follows the
    header of a safetensors file and is listed with twelve digits, as in recorded answers. BLAKE3 is left out: Python's
    standard library does not have it.
    """
    if isinstance(content, bytes):
        content = Content(content)
    whole, payload, crc32 = hashlib.sha256(), hashlib.sha256(), 0
    for piece in content.pieces():
        whole.update(piece)
        crc32 = zlib.crc32(piece, crc32)
    sha256 = whole.hexdigest().upper()
    found = {"AutoV2": sha256[:10], "SHA256": sha256, "CRC32": f"{crc32:08X}"}
    sample = content.read(_AUTOV1_START, _AUTOV1_START + _AUTOV1_LENGTH)
    if len(sample) == _AUTOV1_LENGTH:
        found["AutoV1"] = hashlib.sha256(sample).hexdigest()[:8].upper()
    if is_safetensors:
        for piece in content.pieces(8 + int.from_bytes(content.read(0, 8), "little")):
            payload.update(piece)
        found["AutoV3"] = payload.hexdigest()[:12].upper()
    return found


def blake3(content: Content) -> str | None:
    """Compute the BLAKE3 hash, if the package for it is there."""
    if find_spec("blake3") is None:
        return None
    from blake3 import blake3 as start

    state = start()
    for piece in content.pieces():
        state.update(piece)
    return state.hexdigest().upper()


def _block(key: str, size: int) -> bytes:
    # Repeated, it makes a file: distinct for every key, and quick even for thousands of files.
    return random.Random(key).randbytes(min(_BLOCK, size))  # noqa: S311 - reproducible on purpose


def _noise(key: str, size: int) -> bytes:
    return Content(b"", _block(key, size), size).read()
