"""The bytes behind a download: small, valid files that follow from the seed, and their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_AUTOV1_START = 0x100000
_AUTOV1_LENGTH = 0x10000


@lru_cache(maxsize=32)
def safetensors(key: str, size: int, name: str) -> bytes:
    """Make a safetensors file: one half-precision tensor of about `size` bytes, and metadata that names the file.

    >>> content = safetensors("a key", 64, "example")
    >>> header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    >>> header["weight"]
    {'dtype': 'F16', 'shape': [32], 'data_offsets': [0, 64]}
    """
    elements = size // 2
    header = json.dumps(
        {
            "__metadata__": {"format": "pt", "modelspec.title": name, "note": "made by the civitai-ext emulator"},
            "weight": {"dtype": "F16", "shape": [elements], "data_offsets": [0, elements * 2]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + _noise(key, elements * 2)


@lru_cache(maxsize=32)
def archive(key: str, size: int, name: str) -> bytes:
    """Make a ZIP archive with a text file of about `size` characters and a note."""
    note = f"{name}\nMade by the civitai-ext emulator.\n"
    return packed([("README.txt", note.encode()), ("data.txt", _noise(key, size // 2).hex().encode())])


def tensors(content: bytes) -> list[dict[str, Any]]:
    """Read the header of a safetensors file: name, shape, type and length in bytes of every tensor.

    >>> tensors(safetensors("a key", 64, "example"))
    [{'name': 'weight', 'shape': [32], 'dtype': 'F16', 'sizeBytes': 64}]
    """
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header.pop("__metadata__", None)
    return [
        {
            "name": name,
            "shape": tensor["shape"],
            "dtype": tensor["dtype"],
            "sizeBytes": tensor["data_offsets"][1] - tensor["data_offsets"][0],
        }
        for name, tensor in header.items()
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


def hashes(content: bytes, *, is_safetensors: bool) -> dict[str, str]:
    """Compute the hashes that the catalogue lists, in upper-case hexadecimal.

    `AutoV1` reads 64 KiB at the first mebibyte and is left out for smaller files. `AutoV3` covers what follows the
    header of a safetensors file and is listed with twelve digits, as in recorded answers. BLAKE3 is left out: Python's
    standard library does not have it.
    """
    sha256 = hashlib.sha256(content).hexdigest().upper()
    found = {"AutoV2": sha256[:10], "SHA256": sha256, "CRC32": f"{zlib.crc32(content):08X}"}
    sample = content[_AUTOV1_START : _AUTOV1_START + _AUTOV1_LENGTH]
    if len(sample) == _AUTOV1_LENGTH:
        found["AutoV1"] = hashlib.sha256(sample).hexdigest()[:8].upper()
    if is_safetensors:
        payload = content[8 + int.from_bytes(content[:8], "little") :]
        found["AutoV3"] = hashlib.sha256(payload).hexdigest()[:12].upper()
    return found


def _noise(key: str, size: int) -> bytes:
    # One random block, repeated: distinct for every key, and quick even for thousands of files.
    block = random.Random(key).randbytes(min(4093, size))  # noqa: S311 - reproducible on purpose
    return (block * (size // max(1, len(block)) + 1))[:size]
