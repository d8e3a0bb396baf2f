"""Hashes of files as users write them. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from civitai_ext import (
    CivitaiError,
    FileHashes,
    Hasher,
    SafetensorsHeader,
    errors,
    hash_file,
    hash_files,
    read_safetensors,
)
from civitai_ext.catalogue import ModelFile


def hashing(file: ModelFile) -> None:
    hashes = hash_file("a.safetensors", blake3=True, cache=Path("hashes.db"), on_progress=print)
    assert_type(hashes, FileHashes)
    assert_type(hashes.sha256, str)
    assert_type(hashes.auto_v2, str)
    assert_type(hashes.auto_v3, str | None)
    assert_type(hashes.matches(file), bool | None)
    found = hash_files(["models", Path("a.pt")], suffixes=[".pt"], at_once=2)
    assert_type(found, Iterator[tuple[Path, FileHashes | OSError | CivitaiError]])
    hasher = Hasher("a.safetensors")
    hasher.update(bytearray(b"abc"))
    assert_type(hasher.digests(), FileHashes)


def headers() -> None:
    try:
        header = read_safetensors(Path("a.safetensors"))
    except errors.InvalidFile as error:
        assert_type(error.path, Path | None)
        return
    assert_type(header, SafetensorsHeader)
    with Path("a.safetensors").open("rb") as opened:
        read_safetensors(opened)
    for name, tensor in header.tensors.items():
        assert_type(name, str)
        assert_type(tensor.shape, tuple[int, ...])
