"""Where a download goes, and that no file that is there is lost by it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from civitai_ext._file_names import same_name
from civitai_ext._placing import Names, Placement, place, target_in
from civitai_ext.catalogue import ModelFile
from civitai_ext.downloads import EXISTS, Collision
from civitai_ext.errors import InvalidRequest

CONTENT = b"the right content"


@pytest.fixture
def file() -> ModelFile:
    sha256 = hashlib.sha256(CONTENT).hexdigest().upper()
    return ModelFile.from_dict({"name": "a.bin", "sizeKB": len(CONTENT) / 1024, "hashes": {"SHA256": sha256}})


def placed(target: Path, file: ModelFile | None, exists: Any = None, *, is_named: bool = False) -> Placement:
    return place(target, file, exists=exists, is_named=is_named, names=Names(), cache=False)


def test_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "models.d").mkdir()
    for folder in (tmp_path, tmp_path / "models.d", tmp_path / "new", f"{tmp_path}/new.d/", tmp_path / ".hidden"):
        assert target_in(folder, "a.bin") == (Path(folder) / "a.bin", False)
    assert target_in(tmp_path / "own.BIN", "a.bin") == (tmp_path / "own.BIN", True)
    assert target_in(tmp_path / "own.bin", "a.bin", folder=True) == (tmp_path / "own.bin" / "a.bin", False)
    assert target_in("x.bin", "a.bin", below=Path("loras/b.bin")) == (Path("x.bin/loras/b.bin"), False)
    with pytest.raises(InvalidRequest, match=r"\.ckpt") as caught:
        target_in(tmp_path / "own.ckpt", "a.bin")
    assert "slash" in str(caught.value)


def test_names_of_servers_stay_in_the_folder(tmp_path: Path) -> None:
    assert target_in(tmp_path, "../../a.bin")[0].parent == tmp_path
    assert target_in(tmp_path, "")[0].parent == tmp_path


def test_nothing_is_there(tmp_path: Path, file: ModelFile) -> None:
    rules: list[Collision | None] = [None, *EXISTS]
    for exists in rules:
        found = placed(tmp_path / "no" / "a.bin", file, exists)
        assert (found.path, found.is_there) == (tmp_path / "no" / "a.bin", False)
        assert found.replaces is (exists in ("overwrite", "verify"))


@pytest.mark.parametrize(
    ("exists", "expected"),
    [
        (None, ("a.bin", True, False, True)),
        ("rename", ("a.bin", True, False, True)),
        ("skip", ("a.bin", True, False, False)),
        ("verify", ("a.bin", True, False, True)),
        ("overwrite", ("a.bin", False, True, False)),
    ],
)
def test_the_same_is_there(tmp_path: Path, file: ModelFile, exists: Any, expected: tuple[Any, ...]) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    found = placed(tmp_path / "a.bin", file, exists)
    assert (found.path.name, found.is_there, found.replaces, found.verified) == expected
    assert (found.hashes is not None) is found.verified


@pytest.mark.parametrize(
    ("exists", "expected"),
    [
        (None, ("a (2).bin", False, False, False)),
        ("rename", ("a (2).bin", False, False, False)),
        ("skip", ("a.bin", True, False, False)),
        ("verify", ("a.bin", False, True, False)),
        ("overwrite", ("a.bin", False, True, False)),
    ],
)
@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT.upper(), b"", CONTENT * 1000])
def test_another_is_there(
    tmp_path: Path, file: ModelFile, exists: Any, expected: tuple[Any, ...], content: bytes
) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    found = placed(tmp_path / "a.bin", file, exists)
    assert (found.path.name, found.is_there, found.replaces, found.verified) == expected


def test_the_same_is_there_under_a_number(tmp_path: Path, file: ModelFile) -> None:
    (tmp_path / "a.bin").write_bytes(b"another")
    (tmp_path / "a (2).bin").write_bytes(b"a third")
    (tmp_path / "a (3).bin").write_bytes(CONTENT)
    found = placed(tmp_path / "a.bin", file)
    assert (found.path.name, found.is_there, found.verified) == ("a (3).bin", True, True)


def test_a_file_that_the_caller_named(tmp_path: Path, file: ModelFile) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert placed(tmp_path / "a.bin", file, is_named=True).is_there
    (tmp_path / "a.bin").write_bytes(b"another")
    with pytest.raises(FileExistsError, match="exists"):
        placed(tmp_path / "a.bin", file, is_named=True)
    assert placed(tmp_path / "a.bin", file, "rename", is_named=True).path.name == "a (2).bin"
    assert placed(tmp_path / "a.bin", file, "overwrite", is_named=True).replaces


def test_error_is_an_error_even_for_the_same(tmp_path: Path, file: ModelFile) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(FileExistsError):
        placed(tmp_path / "a.bin", file, "error")


def test_without_a_hash_the_size_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    sized = ModelFile.from_dict({"name": "a.bin", "sizeKB": len(CONTENT) / 1024})
    found = placed(tmp_path / "a.bin", sized)
    assert (found.is_there, found.verified, found.hashes) == (True, False, None)
    assert placed(tmp_path / "a.bin", ModelFile.from_dict({"name": "a.bin"})).path.name == "a (2).bin"
    assert placed(tmp_path / "a.bin", None).path.name == "a (2).bin"


def test_a_broken_safetensors_is_another(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"<html>")
    file = ModelFile.from_dict({"name": "a.safetensors", "hashes": {"SHA256": "0" * 64}})
    assert placed(tmp_path / "a.safetensors", file, "verify").replaces


@pytest.mark.parametrize("exists", ["skip", "verify", "overwrite", "error", None])
def test_a_folder_is_no_file(tmp_path: Path, file: ModelFile, exists: Any) -> None:
    (tmp_path / "a.bin").mkdir()
    if exists is None:
        assert placed(tmp_path / "a.bin", file).path.name == "a (2).bin"
    else:
        with pytest.raises(FileExistsError):
            placed(tmp_path / "a.bin", file, exists)


def test_a_dangling_link_is_something(tmp_path: Path, file: ModelFile) -> None:
    (tmp_path / "a.bin").symlink_to(tmp_path / "nowhere")
    assert placed(tmp_path / "a.bin", file).path.name == "a (2).bin"


def test_what_is_there_is_found_in_any_order(tmp_path: Path) -> None:
    contents = [b"one", b"two", b"three"]
    files = [
        ModelFile.from_dict({"name": "a.bin", "hashes": {"SHA256": hashlib.sha256(content).hexdigest()}})
        for content in contents
    ]
    for name, content in zip(("a.bin", "a (2).bin", "a (3).bin"), contents, strict=True):
        (tmp_path / name).write_bytes(content)
    for order in permutations(files):
        names = Names()
        with ThreadPoolExecutor(3) as pool:
            placing = partial(place, tmp_path / "a.bin", exists=None, is_named=False, names=names, cache=False)
            assert all(found.is_there for found in pool.map(placing, order))


def test_downloads_of_one_call_do_not_meet(tmp_path: Path, file: ModelFile) -> None:
    names = Names()
    wanted: list[tuple[str, Collision | None]] = [("a.bin", None), ("A.bin", None), ("a.bin", "overwrite")]
    found = [
        place(tmp_path / name, file, exists=exists, is_named=False, names=names, cache=False).path.name
        for name, exists in [*wanted, ("b.bin", "skip")]
    ]
    assert found == ["a.bin", "A (2).bin", "a (3).bin", "b.bin"]
    assert len({same_name(name) for name in found}) == 4
    with pytest.raises(FileExistsError):
        place(tmp_path / "a.bin", file, exists="overwrite", is_named=True, names=names, cache=False)
