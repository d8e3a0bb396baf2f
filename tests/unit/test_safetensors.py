"""Headers of safetensors files, honest and hostile."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import SafetensorsHeader, errors, hash_file, read_safetensors
from civitai_ext.safetensors import Tensor


def packed(header: Any, payload: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


def tensor(begin: Any, end: Any, **others: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [], "data_offsets": [begin, end], **others}


HOSTILE = {
    "nothing": b"",
    "too short for a length": b"\x10\0\0",
    "too short for a header": (64).to_bytes(8, "little") + b"{",
    "a page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "an error": b'{"error":"Unauthorized"}',
    "longer than the file": (5000).to_bytes(8, "little") + b'{"a": 1}',
    "longer than the format allows": (100_000_001).to_bytes(8, "little") + b'{"a": 1}',
    "longer than anything": b"\xff" * 8 + b"{}",
    "no length": packed(b""),
    "no object": packed(b"[]"),
    "no JSON": packed(b"{nothing}"),
    "no UTF-8": packed(b'{"\xff": 1}'),
    "deep": packed(b'{"a":' * 100_000),
    "a huge number": packed(b'{"a": {"dtype": "U8", "shape": [' + b"9" * 10_000 + b'], "data_offsets": [0, 0]}}'),
    "a name twice": packed(b'{"a": %s, "a": %s}' % ((json.dumps(tensor(0, 0)).encode(),) * 2)),
    "metadata twice": packed(b'{"__metadata__": {}, "__metadata__": {}}'),
    "a key of a tensor twice": packed(b'{"a": {"dtype": "U8", "dtype": "U8", "shape": [], "data_offsets": [0, 0]}}'),
    "metadata is a list": packed({"__metadata__": []}),
    "metadata is no text": packed({"__metadata__": {"a": 1}}),
    "a tensor is a number": packed({"a": 1}),
    "a tensor without anything": packed({"a": {}}),
    "no type": packed({"a": tensor(0, 0, dtype=None)}),
    "shape is a text": packed({"a": tensor(0, 0, shape="12")}),
    "shape is negative": packed({"a": tensor(0, 0, shape=[-1])}),
    "shape is true": packed({"a": tensor(0, 0, shape=[True])}),
    "one offset": packed({"a": {"dtype": "U8", "shape": [], "data_offsets": [0]}}),
    "three offsets": packed({"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 0, 0]}}),
    "backwards": packed({"a": tensor(2, 1)}, b"1234"),
    "a fraction": packed({"a": tensor(0, 1.5)}, b"1234"),
    "before the start": packed({"a": tensor(-1, 1)}, b"1234"),
    "behind the end": packed({"a": tensor(0, 5)}, b"1234"),
    "far behind the end": packed({"a": tensor(0, 2**62)}, b"1234"),
    "overlapping": packed({"a": tensor(0, 3), "b": tensor(2, 4)}, b"1234"),
    "inside of another": packed({"a": tensor(0, 4), "b": tensor(1, 2), "c": tensor(2, 3)}, b"1234"),
    "the same place": packed({"a": tensor(0, 4), "b": tensor(0, 4)}, b"1234"),
}


def test_what_a_header_says(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt", "modelspec.title": "Détail"},
        "b": tensor(4, 8, dtype="F16", shape=[2, 1]),
        "a": tensor(0, 4, dtype="F8_E9M9", shape=[4]),  # a type that is not known yet
    }
    content = packed(header, b"12345678")
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    read = read_safetensors(path)
    assert read == read_safetensors(str(path)) == read_safetensors(io.BytesIO(content))
    assert read.metadata == header["__metadata__"]
    assert list(read.tensors.items()) == [("b", Tensor("F16", (2, 1), (4, 8))), ("a", Tensor("F8_E9M9", (4,), (0, 4)))]
    assert read.size == len(content) - 8


@pytest.mark.parametrize("metadata", [{}, {"__metadata__": None}, {"__metadata__": {}}])
def test_there_may_be_no_metadata_and_no_tensors(metadata: Any) -> None:
    read = read_safetensors(io.BytesIO(packed(metadata)))
    assert (read.metadata, read.tensors) == ({}, {})


def test_gaps_and_empty_tensors_are_no_fault() -> None:
    content = packed({"a": tensor(0, 0), "b": tensor(1, 2), "c": tensor(2, 2), "d": tensor(2, 3)}, b"12345")
    assert len(read_safetensors(io.BytesIO(content)).tensors) == 4


def test_an_open_file_is_read_from_where_it_stands_and_no_further() -> None:
    content = packed({"a": tensor(0, 4)}, b"1234")
    file = io.BytesIO(b"before" + content)
    file.seek(6)
    assert read_safetensors(file).size == file.tell() - 6 == len(content) - 4


def test_a_file_that_cannot_seek_is_read_too() -> None:
    class Pipe(io.RawIOBase):
        rest = packed({"a": tensor(0, 4)})

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            given, self.rest = self.rest[: min(size, 3)], self.rest[min(size, 3) :]
            return given

    assert list(read_safetensors(Pipe()).tensors) == ["a"]  # type: ignore[arg-type]


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_a_broken_header_is_told_with_the_name_of_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.SafeTensors"
    path.write_bytes(content)
    for read in (read_safetensors, lambda path: hash_file(path, cache=False)):
        with pytest.raises(errors.InvalidFile, match=r"x\.SafeTensors: ") as caught:
            read(path)
        assert caught.value.path == path
        assert len(str(caught.value)) < 500 + len(str(path))
    with pytest.raises(errors.InvalidFile):
        read_safetensors(io.BytesIO(content))


def test_a_header_that_lies_about_its_length_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    content = (100_000_000).to_bytes(8, "little") + b"{}"
    tracemalloc.start()
    try:
        with pytest.raises(errors.InvalidFile):
            read_safetensors(io.BytesIO(content))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


NAMES = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={"dtype": JSON | st.just("F16"), "shape": JSON, "data_offsets": JSON | st.lists(st.integers(0, 9))},
)


@given(st.binary() | st.dictionaries(NAMES | st.just("__metadata__"), TENSORS | JSON).map(packed), st.binary())
def test_a_header_is_understood_or_told(start: bytes, payload: bytes) -> None:
    try:
        read = read_safetensors(io.BytesIO(start + payload))
    except errors.InvalidFile:
        return
    assert isinstance(read, SafetensorsHeader)
    assert all(
        0 <= begin <= end <= len(start + payload) - read.size for begin, end in map(places, read.tensors.values())
    )


def places(tensor: Tensor) -> tuple[int, int]:
    return tensor.offsets
