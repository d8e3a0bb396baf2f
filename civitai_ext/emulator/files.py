"""The bytes behind a download: small, valid files that follow from the seed, and their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
import zlib
from functools import lru_cache

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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for entry, content in (
            ("README.txt", f"{name}\nMade by the civitai-ext emulator.\n"),
            ("data.txt", _noise(key, size // 2).hex()),
        ):
            made.writestr(zipfile.ZipInfo(entry, (2026, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


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
