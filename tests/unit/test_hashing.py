"""Hashes of files: alone, piece by piece, many at once, and remembered."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from civitai_ext import FileHashes, Hasher, errors, hash_file, hash_files
from civitai_ext.catalogue import ModelFile
from civitai_ext.emulator.files import archive, safetensors
from civitai_ext.emulator.files import hashes as listed_hashes

LONG_AGO = 1_700_000_000_123_456_789


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    return tmp_path / "cache-home"


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # reproducible on purpose


def packed(payload: bytes, note: str = "") -> bytes:
    header = {"__metadata__": {"note": note}, "w": {"dtype": "U8", "shape": [], "data_offsets": [0, len(payload)]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def changed_in_secret(path: Path, content: bytes) -> None:
    """Change a file so that nothing but its content shows it: hashes of before must then come from memory."""
    status = path.stat()
    assert status.st_size == len(content)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def one_by_one(content: bytes, payload: bytes | None = None) -> FileHashes:
    """The hashes by the simplest code that there is, but for BLAKE3."""
    sample = content[0x100000:0x110000]
    return FileHashes(
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest().upper(),
        crc32=f"{zlib.crc32(content):08X}",
        auto_v1=hashlib.sha256(sample).hexdigest()[:8].upper() if len(sample) == 0x10000 else None,
        auto_v3=None if payload is None else hashlib.sha256(payload).hexdigest()[:12].upper(),
    )


# ------------------------------------------------------------------------------------------------------- what they are


@pytest.mark.parametrize(
    ("content", "sha256", "blake3", "crc32"),
    [
        (
            b"",
            "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "AF1349B9F5F9A1A6A0404DEA36DCC9499BCB25C9ADC112B7CC9A93CAE41F3262",
            "00000000",
        ),
        (
            b"abc",
            "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
            "6437B3AC38465133FFB63B75273A8DB548C558465D79DB03FD359C6CD5BD9D85",
            "352441C2",
        ),
    ],
)
def test_published_vectors(tmp_path: Path, content: bytes, sha256: str, blake3: str, crc32: str) -> None:
    found = hash_file(written(tmp_path / "x.bin", content), blake3=True)
    assert found == FileHashes(size=len(content), sha256=sha256, crc32=crc32, blake3=blake3)
    assert found.auto_v2 == sha256[:10]


def test_all_hashes_of_a_large_file(tmp_path: Path) -> None:
    payload = noise(9_000_001)
    content = packed(payload)
    found = hash_file(written(tmp_path / "x.safetensors", content), blake3=False)
    assert found == one_by_one(content, payload)
    assert None not in (found.auto_v1, found.auto_v3)


def test_blake3_of_a_large_file_is_that_of_its_library(tmp_path: Path) -> None:
    from blake3 import blake3

    content = noise(5_000_000)
    assert hash_file(written(tmp_path / "x", content)).blake3 == blake3(content).hexdigest().upper()


@pytest.mark.parametrize("size", [0x100000, 0x10FFFF, 0x110000, 0x110001])
def test_auto_v1_is_there_when_all_that_it_looks_at_is(size: int) -> None:
    hasher = Hasher(blake3=False)
    hasher.update(content := noise(size))
    assert hasher.digests() == one_by_one(content)
    assert (hasher.digests().auto_v1 is not None) == (size >= 0x110000)


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_the_emulator_lists_the_same(tmp_path: Path, size: int) -> None:
    for name, content in (("a.safetensors", safetensors("k", size, "a")), ("a.zip", archive("k", size, "a"))):
        found = hash_file(written(tmp_path / name, content), blake3=False)
        listed = listed_hashes(content, is_safetensors=name.endswith("safetensors"))
        ours = {
            "SHA256": found.sha256,
            "AutoV1": found.auto_v1,
            "AutoV2": found.auto_v2,
            "AutoV3": found.auto_v3,
            "CRC32": found.crc32,
        }
        assert {kind: hash for kind, hash in ours.items() if hash is not None} == listed
        assert found.matches(ModelFile.from_dict({"hashes": listed})) is True


def test_auto_v3_does_not_depend_on_the_header_or_the_name(tmp_path: Path) -> None:
    payload = noise(3_000_000)
    names = ("a.safetensors", "b.SFT", "c.part", "d")
    found = [hash_file(written(tmp_path / name, packed(payload, note=name * 9))) for name in names]
    assert len({each.auto_v3 for each in found}) == 1
    assert len({each.sha256 for each in found}) == 4


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", b"GGUF\x03\0\0\0", b"<html>", b'{"a": 1}', b"\x80\x02}q\x01.", b"\0" * 9]
)
def test_other_files_have_no_auto_v3(tmp_path: Path, start: bytes) -> None:
    assert hash_file(written(tmp_path / "x.bin", start + noise(100))).auto_v3 is None


@pytest.mark.parametrize(
    ("hashes", "expected"),
    [
        ({}, None),
        ({"NewKind": "AB"}, None),
        ({"BLAKE3": "0" * 64}, None),  # it was not computed
        ({"SHA256": "too short"}, None),
        ({"SHA256": 5}, None),
        ({"SHA256": "own"}, True),
        ({"SHA256": "0" * 64}, False),
        ({"SHA256": "0" * 64, "AutoV3": "own"}, False),  # the same tensors with another header are another file
        ({"SHA256": "own", "CRC32": "00000000"}, True),
        ({"AutoV1": "own"}, True),
        ({"AutoV2": "own"}, True),
        ({"AutoV3": "own"}, True),
        ({"AutoV3": "long"}, True),
        ({"CRC32": "own"}, True),
        ({"CRC32": "00000000"}, False),
    ],
)
@pytest.mark.parametrize("spelled", [str.upper, str.lower])
def test_matching_a_file_of_the_catalogue(hashes: dict[str, Any], expected: bool | None, spelled: Any) -> None:
    payload = noise(2_000_000)
    hasher = Hasher(blake3=False)
    hasher.update(packed(payload))
    found = hasher.digests()
    own = {
        "SHA256": found.sha256,
        "AutoV1": found.auto_v1,
        "AutoV2": found.auto_v2,
        "AutoV3": found.auto_v3,
        "CRC32": found.crc32,
    }
    for kind, hash in hashes.items():
        given = {"own": own.get(kind), "long": hashlib.sha256(payload).hexdigest()}.get(hash, hash)
        hashes = hashes | {kind: spelled(given) if isinstance(given, str) else given}
    assert found.matches(ModelFile.from_dict({"hashes": hashes})) is expected


# ------------------------------------------------------------------------------------------------------ piece by piece


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 5_000_000),
    st.booleans(),
    st.lists(st.integers(1, 3_000_000) | st.integers(1, 20), min_size=1, max_size=6),
    st.integers(),
)
@example(4 << 20, False, [2 << 20], 0)  # blocks that are full at the end
@example((1 << 20) + 0x10000, False, [1 << 20], 0)
@example(2_100_000, True, [7, 3, 100_000], 0)
def test_pieces_of_any_size_give_the_same_as_one_hash_after_the_other(
    size: int, is_safetensors: bool, pieces: list[int], seed: int
) -> None:
    payload = noise(size, seed)
    content = packed(payload, note="x" * (size % 5000)) if is_safetensors else b"\xff" * 8 + payload
    hasher, at, number = Hasher(blake3=False), 0, 0
    while at < len(content):
        # A few small pieces, then large ones, else there are too many.
        piece = bytearray(content[at : at + (pieces[number % len(pieces)] if number < 50 else 1_000_000)])
        hasher.update(piece)
        at, number = at + len(piece), number + 1
        piece[:] = bytes(len(piece))  # it belongs to the caller again
    assert hasher.digests() == one_by_one(content, payload if is_safetensors else None)


def test_a_header_longer_than_a_block(tmp_path: Path) -> None:
    payload = noise(3_000_000)
    content = packed(payload, note="x" * 5_000_000)
    found = hash_file(written(tmp_path / "x.safetensors", content), blake3=False)
    assert found == one_by_one(content, payload)
    with pytest.raises(errors.InvalidFile, match="ends within"):
        hash_file(written(tmp_path / "y.safetensors", content[:4_000_000]))


def test_it_can_be_looked_at_on_the_way() -> None:
    content = noise(7_000_000)
    hasher = Hasher(blake3=False)
    for end in (5, 3_000_000, 7_000_000):
        hasher.update(content[hasher.digests().size : end])
        assert hasher.digests() == hasher.digests() == one_by_one(content[:end])


def test_memory_of_any_form_is_taken() -> None:
    hasher = Hasher(blake3=False)
    hasher.update(memoryview(b"abcd").cast("H"))
    hasher.update(b"")
    assert hasher.digests() == one_by_one(b"abcd")


def test_a_page_in_place_of_a_model_is_told_early() -> None:
    hasher = Hasher("model.safetensors")
    hasher.update(b"<!DOCTYPE html>")
    with pytest.raises(errors.InvalidFile, match=r"model\.safetensors: it is no safetensors file"):
        hasher.digests()


@pytest.mark.parametrize("start", [b"<!DOCTYPE html>", packed(b"")[:20], (9).to_bytes(8, "little") + b"{nothing}"])
def test_what_is_broken_stays_so(start: bytes) -> None:
    hasher = Hasher("model.safetensors", blake3=False)
    for _ in range(3):
        with pytest.raises(errors.InvalidFile):
            hasher.update(start + noise(3_000_000))
        with pytest.raises(errors.InvalidFile):
            hasher.digests()


def test_no_thread_is_left(tmp_path: Path) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("civitai-hash")]

    hasher = Hasher()
    hasher.update(noise(7_000_000))
    assert threads()
    del hasher  # as a download does that fails
    hash_file(written(tmp_path / "x", noise(7_000_000)))
    list(hash_files(tmp_path, suffixes=None))
    gc.collect()
    for thread in threads():
        thread.join(10)
    assert not threads()


# ---------------------------------------------------------------------------------------------------------- whole files


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    path = written(tmp_path / "x.bin", noise(5_000_000))
    for cache in (False, True, True):
        told: list[tuple[int, int]] = []
        hash_file(path, cache=cache, on_progress=lambda done, total, told=told: told.append((done, total)))  # type: ignore[misc]
        assert told == sorted(told)
        assert told[-1] == (5_000_000, 5_000_000)


@pytest.mark.parametrize("change", ["append", "rewrite", "cut"])
def test_a_file_that_changes_meanwhile_is_told_and_not_remembered(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "x.bin", noise(5_000_000))

    def interfere(done: int, total: int) -> None:
        with path.open("r+b") as file:
            if change == "cut":
                file.truncate(3_000_000)
            else:
                file.seek(0, os.SEEK_END if change == "append" else os.SEEK_SET)
                file.write(b"other")

    with pytest.raises(errors.InvalidFile, match="changed while it was hashed"):
        hash_file(path, on_progress=interfere)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    assert hash_file(path, blake3=False) == one_by_one(path.read_bytes())


@pytest.mark.parametrize("kind", ["missing", "folder", "loop", "pipe"])
def test_what_is_no_file_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises((OSError, errors.InvalidFile), match=r"x\.safetensors"):
        hash_file(path)


def test_blake3_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.bin", b"abc")
    assert hash_file(path, blake3=False).blake3 is None
    monkeypatch.setitem(sys.modules, "blake3", None)
    assert hash_file(path, cache=False) == one_by_one(b"abc")
    for call in (
        lambda: hash_file(path, blake3=True),
        lambda: hash_files(path, blake3=True),
        lambda: Hasher(blake3=True),
    ):
        with pytest.raises(errors.ConfigurationError, match=r"civitai-ext\[hash\]"):
            call()


# ----------------------------------------------------------------------------------------------------------- remembered


@pytest.mark.parametrize("cache", [None, True, "own"])
def test_hashes_are_remembered(tmp_path: Path, cache_home: Path, cache: Any) -> None:
    place = tmp_path / "new" / "hashes.db" if cache == "own" else cache
    path = written(tmp_path / "x.safetensors", packed(noise(2_000_000)))
    first = hash_file(path, cache=place)
    changed_in_secret(path, packed(noise(2_000_000, seed=1)))
    assert hash_file(path, cache=place) == first
    assert hash_file(os.path.relpath(path), cache=place) == first
    assert list(hash_files(tmp_path, cache=place)) == [(path, first)]
    assert hash_file(path, cache=False) != first
    assert (tmp_path / "new").is_dir() == (cache == "own")
    assert bool(list(cache_home.rglob("hashes-*"))) == (cache != "own")


def test_nothing_is_remembered_if_that_is_wanted(tmp_path: Path, cache_home: Path) -> None:
    hash_file(written(tmp_path / "x", b"abc"), cache=False)
    assert not cache_home.exists()


@pytest.mark.parametrize("change", ["size", "time", "file"])
def test_a_file_that_changed_is_hashed_again_and_its_entry_replaced(tmp_path: Path, change: str) -> None:
    cache = tmp_path / "hashes.db"
    path = written(tmp_path / "x.bin", b"abc")
    hash_file(path, cache=cache)
    if change == "size":
        written(path, b"abcd")
    elif change == "time":
        path.write_bytes(b"abd")
        os.utime(path, ns=(LONG_AGO, LONG_AGO + 1))
    else:
        written(tmp_path / "y.bin", b"abe").replace(path)
    assert hash_file(path, cache=cache, blake3=False) == one_by_one(path.read_bytes())
    with sqlite3.connect(cache) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM hashes")
    connection.close()
    assert count == 1


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    cache, path = tmp_path / "hashes.db", tmp_path / "x.bin"
    for content in (b"abc", b"abd", b"abe"):  # perhaps within one tick of the file system's clock
        path.write_bytes(content)
        assert hash_file(path, cache=cache, blake3=False) == one_by_one(content)


def test_what_was_remembered_without_blake3_does_not_hide_it(tmp_path: Path) -> None:
    path = written(tmp_path / "x.bin", b"abc")
    without, having = hash_file(path, blake3=False), hash_file(path, blake3=True)
    assert (without.blake3, (having.blake3 or "")[:4]) == (None, "6437")
    assert hash_file(path, blake3=False) == without


def test_without_the_extra_nothing_is_remembered_unless_that_is_wanted(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    path = written(tmp_path / "x.bin", b"abc")
    assert hash_file(path, blake3=False) == one_by_one(b"abc")
    assert not cache_home.exists()
    with pytest.raises(errors.ConfigurationError, match=r"civitai-ext\[cache\]"):
        hash_file(path, cache=True)
    hash_file(path, cache=tmp_path / "hashes.db")
    assert (tmp_path / "hashes.db").is_file()


@pytest.mark.parametrize("broken", ["garbage", "damaged"])
def test_a_broken_cache_is_set_aside_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    cache = tmp_path / "hashes.db"
    path = written(tmp_path / "x.bin", b"abc")
    hash_file(path, cache=cache)
    content = b"not a database" * 500 if broken == "garbage" else cache.read_bytes()[:4096] + b"\xff" * 8192
    cache.write_bytes(content)
    with caplog.at_level(logging.WARNING, "civitai_ext"):
        first = hash_file(path, cache=cache, blake3=False)
    assert first == one_by_one(b"abc")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hashes.db.broken" in caplog.text
    assert (tmp_path / "hashes.db.broken").read_bytes() == content
    changed_in_secret(path, b"abd")
    assert hash_file(path, cache=cache, blake3=False) == first  # remembered again


@pytest.mark.parametrize("place", ["folder", "below a file", "/proc"])
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, place: str) -> None:
    cache = {"folder": tmp_path, "below a file": tmp_path / "x.bin" / "db", "/proc": Path("/proc/new/db")}[place]
    path = written(tmp_path / "x.bin", b"abc")
    for _ in range(2):
        assert hash_file(path, cache=cache, blake3=False) == one_by_one(b"abc")


def test_a_cache_that_can_only_be_read_is_done_without(tmp_path: Path) -> None:
    cache = tmp_path / "hashes.db"
    path = written(tmp_path / "x.bin", b"abc")
    hash_file(path, cache=cache)
    with sqlite3.connect(cache) as connection:  # so that writing fails, also for those who may write everywhere
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON hashes BEGIN SELECT RAISE(ABORT, 'no'); END")
    connection.close()
    written(path, b"abcd")
    assert hash_file(path, cache=cache, blake3=False) == one_by_one(b"abcd")


def _hash_all(folder: Path, cache: Path) -> list[tuple[str, FileHashes]]:
    return sorted((path.name, found) for path, found in hash_files(folder, cache=cache, at_once=3))  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("begin", ["without", "broken"])
def test_many_use_a_cache_at_once(tmp_path: Path, kind: str, begin: str) -> None:
    folder, cache = tmp_path / "models", tmp_path / "hashes.db"
    for number in range(30):
        written(folder / f"{number}.bin", noise(20_000, seed=number))
    if begin == "broken":
        cache.write_bytes(b"not a database" * 500)
    context = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(4) if kind == "threads" else ProcessPoolExecutor(3, mp_context=context) as pool:
        results = list(pool.map(_hash_all, [folder] * 6, [cache] * 6))
    assert all(result == results[0] for result in results)
    assert {name: found.sha256 for name, found in results[0]} == {
        f"{number}.bin": one_by_one(noise(20_000, seed=number)).sha256 for number in range(30)
    }


# ----------------------------------------------------------------------------------------------------------- many files


def names(found: Iterator[tuple[Path, object]]) -> list[str]:
    return sorted(path.name for path, _ in found)


def test_files_of_models_are_found_in_folders(tmp_path: Path) -> None:
    models = ("a.safetensors", "sub/b.CKPT", "sub/sub/c.gguf", "d.pt", "e.pth", "f.bin", "g.onnx", "h.sft")
    for name in models:
        written(tmp_path / name, packed(b"") if name.endswith(("safetensors", "sft")) else b"x")
    written(tmp_path / "readme.txt", b"x")
    written(tmp_path / "i.safetensors.part", b"x")
    assert names(hash_files(tmp_path, cache=False)) == sorted(Path(name).name for name in models)
    assert len(names(hash_files(str(tmp_path), suffixes=None, cache=False))) == len(models) + 2
    assert names(hash_files(tmp_path, suffixes=".TXT")) == ["readme.txt"]
    assert names(hash_files([tmp_path / "readme.txt", tmp_path / "sub"])) == ["b.CKPT", "c.gguf", "readme.txt"]
    assert list(hash_files([])) == []


def test_every_file_comes_once_however_many_links_lead_there(tmp_path: Path) -> None:
    written(tmp_path / "real" / "a.bin", b"a")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    roots = [tmp_path, tmp_path / "real", tmp_path / "linked", tmp_path / "real" / "a.bin"]
    assert names(hash_files(roots[0])) == ["a.bin"]
    assert len({path.resolve() for path, _ in hash_files(roots)}) == 1


def test_nothing_stops_at_what_cannot_be_hashed(tmp_path: Path) -> None:
    good = written(tmp_path / "models" / "good.bin", b"abc")
    (tmp_path / "models" / "loop.bin").symlink_to("loop.bin")
    (tmp_path / "models" / "gone.bin").symlink_to("nowhere")
    os.mkfifo(tmp_path / "models" / "pipe.bin")
    written(tmp_path / "models" / "page.safetensors", b"<html>")
    paths = [tmp_path / "missing.bin", tmp_path / "a\0b", tmp_path / "models"]
    found = {path.name: result for path, result in hash_files(paths, blake3=False)}
    assert found.pop(good.name) == one_by_one(b"abc")
    assert {name: type(result).__name__ for name, result in found.items()} == {
        "missing.bin": "FileNotFoundError",
        "a\0b": "InvalidFile",
        "loop.bin": "OSError",
        "gone.bin": "FileNotFoundError",
        "pipe.bin": "InvalidFile",
        "page.safetensors": "InvalidFile",
    }


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="those who may read everything are never refused")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    written(tmp_path / "a.bin", b"a").chmod(0)
    written(tmp_path / "closed" / "b.bin", b"b")
    written(tmp_path / "c.bin", b"c")
    (tmp_path / "closed").chmod(0)
    try:
        found = {path.name: type(result).__name__ for path, result in hash_files(tmp_path)}
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found == {"a.bin": "PermissionError", "closed": "PermissionError", "c.bin": "FileHashes"}


@pytest.mark.parametrize("at_once", [1, 2, 7, None])
def test_as_many_at_a_time_as_wanted(tmp_path: Path, at_once: int | None) -> None:
    for number in range(20):
        written(tmp_path / f"{number}.bin", noise(1000 + number, seed=number))
    found = dict(hash_files(tmp_path, at_once=at_once, blake3=False))
    assert found == {path: one_by_one(path.read_bytes()) for path in tmp_path.glob("*.bin")}


def test_it_ends_when_the_caller_wants_no_more(tmp_path: Path) -> None:
    for number in range(8):
        written(tmp_path / f"{number}.bin", noise(3_000_000, seed=number))
    files = hash_files(tmp_path, at_once=2, cache=False)
    next(files)
    files.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("civitai-hash-files")]


@pytest.mark.parametrize("at_once", [0, -1])
def test_a_wrong_number_is_told_at_the_call(at_once: int) -> None:
    with pytest.raises(errors.ConfigurationError, match="at_once"):
        hash_files([], at_once=at_once)
