"""The header of a safetensors file: what is in the file, without reading the tensors.

    header = read_safetensors("models/detail.safetensors")
    print(header.metadata.get("modelspec.title"), len(header.tensors))

A header is what somebody else wrote: it is refused unless everything in it can be relied on.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard

import attrs

from civitai_ext.errors import InvalidFile

__all__ = ["SafetensorsHeader", "Tensor", "read_safetensors"]

PREFIX: Final = 8
"""How many bytes say how long the header is. They come first."""
_LONGEST: Final = 100_000_000
"""What the format allows. A file of any other format seems to have a header that is far longer."""
_PIECE: Final = 1 << 20
_LARGEST: Final = 2**63


@attrs.frozen
class Tensor:
    """Where a tensor is in a file, and how it is to be read.

    Attributes:
        dtype: The type of its elements, such as `F16`.
        shape: How many elements it has in each dimension.
        offsets: Where it begins and ends, in bytes after the header.
    """

    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]


@attrs.frozen
class SafetensorsHeader:
    """What the header of a safetensors file says.

    Attributes:
        metadata: What the maker of the file noted; empty if that is nothing.
        tensors: The tensors by name, in the order of the header.
        size: How many bytes come before the tensors. `AutoV3` is the hash of what comes after.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    size: int

    @classmethod
    def parse(cls, header: bytes | bytearray) -> SafetensorsHeader:
        """Read it from the start of a file, which ends where the header does.

        Raises:
            InvalidFile: It is no header, or says what cannot be.

        >>> text = b'{"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}'
        >>> header = SafetensorsHeader.parse(len(text).to_bytes(8, "little") + text)
        >>> header.tensors["w"], header.size
        (Tensor(dtype='F16', shape=(2,), offsets=(0, 4)), 69)
        """
        try:
            read = json.loads(header[PREFIX:].decode("utf-8"), object_pairs_hook=_once)
        except InvalidFile:
            raise
        except (ValueError, RecursionError) as error:  # what is no UTF-8 is a ValueError too
            raise InvalidFile("the safetensors header is not JSON") from error
        if not isinstance(read, dict):
            raise InvalidFile("the safetensors header is not a JSON object")
        metadata = read.pop("__metadata__", None)
        if metadata is None:
            metadata = {}
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise InvalidFile("the metadata in the safetensors header is not texts by name")
        tensors = {name: _tensor(name, value) for name, value in read.items()}
        _no_overlaps(tensors)
        return cls(metadata=metadata, tensors=tensors, size=len(header))

    def check(self, size: int) -> None:
        """Make sure that all tensors are inside a file of `size` bytes.

        Raises:
            InvalidFile: The file is too short.
        """
        needed = self.size + max((tensor.offsets[1] for tensor in self.tensors.values()), default=0)
        if needed > size:
            raise InvalidFile(f"it has {size} bytes, and its safetensors header speaks of {needed}")


def header_length(start: bytes | bytearray | memoryview) -> int | None:
    """Give how many bytes come before the tensors, by the first nine of a file; None if it is no safetensors file."""
    length = int.from_bytes(start[:PREFIX], "little")
    return PREFIX + length if len(start) > PREFIX and 2 <= length <= _LONGEST and start[PREFIX] == ord("{") else None


def read_safetensors(file: str | os.PathLike[str] | BinaryIO) -> SafetensorsHeader:
    """Read the header of a safetensors file, and nothing else of it.

    Args:
        file: A path, or a file that is open for reading bytes, which is read from where it stands.

    Raises:
        InvalidFile: It is no safetensors file, or the header says what cannot be.
        OSError: The file cannot be read.

    >>> import io
    >>> text = b'{"__metadata__": {"format": "pt"}}'
    >>> read_safetensors(io.BytesIO(len(text).to_bytes(8, "little") + text)).metadata
    {'format': 'pt'}
    """
    if not isinstance(file, (str, os.PathLike)):
        return _read(file)
    path = Path(file)
    with path.open("rb", buffering=0) as opened:
        try:
            return _read(opened)
        except InvalidFile as error:
            raise InvalidFile(error.message, path=path) from error


def _read(file: Any) -> SafetensorsHeader:
    start = _exactly(file, PREFIX + 1)
    length = header_length(start)
    if length is None:
        raise InvalidFile("it is no safetensors file")
    header = start + _exactly(file, length - len(start))
    if len(header) < length:
        raise InvalidFile(f"its safetensors header should have {length} bytes, and the file ends after {len(header)}")
    read = SafetensorsHeader.parse(header)
    if file.seekable():
        here = file.tell()
        read.check(length + file.seek(0, io.SEEK_END) - here)
        file.seek(here)
    return read


def _exactly(file: Any, size: int) -> bytearray:
    # In pieces, so that a header that claims to be long takes no memory that is not there to be read.
    data = bytearray()
    while len(data) < size and (piece := file.read(min(size - len(data), _PIECE))):
        data += piece
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidFile("the safetensors header has a name twice")
    return found


def _tensor(name: str, value: Any) -> Tensor:
    wrong = InvalidFile(f"the safetensors header says of tensor {name[:100]!r} what cannot be")
    if not isinstance(value, dict):
        raise wrong
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not _counts(shape) or not _counts(offsets):
        raise wrong
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise wrong
    return Tensor(dtype=dtype, shape=tuple(shape), offsets=(offsets[0], offsets[1]))


def _counts(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < _LARGEST for value in values)


def _no_overlaps(tensors: Mapping[str, Tensor]) -> None:
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].offsets):
        if tensor.offsets[0] < end:
            raise InvalidFile(f"tensor {name[:100]!r} overlaps another in the safetensors header")
        end = max(end, tensor.offsets[1])
