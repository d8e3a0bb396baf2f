# Derived from tests/_async/test_identifying.py by scripts/unasync.py: change that file, then run `make fix`.
"""What files on the disk are: found, remembered, renamed, gone, and when nobody can be asked."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import Civitai, Match, MatchProgress, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import ModelFile
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio

NOW = timedelta(0)
IDS, LIST, BY_HASH = "/api/v1/model-versions/by-hash/ids", "/api/v1/models", "/api/v1/model-versions/by-hash"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder for models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The file to remember in."""
    return tmp_path / "cache.db"


@pytest.fixture
def scripted(server: FaultServer) -> Iterator[Civitai]:
    """A client of it that sends nothing again."""
    with Civitai(token=False, site_url=server.url, retry=RetryPolicy.off()) as civitai:
        yield civitai


def files_of(emulator: Emulator) -> list[ModelFile]:
    """The safetensors files of the emulator whose models nothing is wrong with."""
    every = emulator.catalogue.file_by_id.values()
    return [file for file in every if not file.is_archive and file.version.model.mode is None]


def has_two_versions(file: ModelFile) -> bool:
    return len(file.version.model.versions) == 2


def save(file: ModelFile, folder: Path, name: str | None = None) -> Path:
    path = folder / (name or f"{file.id}.safetensors")
    path.write_bytes(file.content)
    return path


def asked(emulator: Emulator) -> list[str]:
    """What the emulator was asked for since the last time."""
    paths = [each.path for each in emulator.journal]
    emulator.journal.clear()
    return paths


def identified(civitai: Civitai, *paths: Path, **how: Any) -> dict[str, Match]:
    """The matches, by the names of the files; each file has exactly one."""
    matches = list(civitai.identify(*paths, **how))
    found = {match.path.name: match for match in matches}
    assert len(found) == len(matches)
    return found


# ------------------------------------------------------------------------------------------------------ what they are


def test_files_are_found_whatever_they_are_called(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    known = files_of(emulator)[:20]
    (models / "sub").mkdir()
    for number, file in enumerate(known):
        save(file, models / "sub" if number % 2 else models, f"{number}.safetensors")
    (models / "notes.txt").write_text("no model")
    matches = identified(civitai, models, cache=cache)
    assert asked(emulator) == [IDS, LIST]
    assert len(matches) == 20
    for number, file in enumerate(known):
        match = matches[f"{number}.safetensors"]
        assert match.model is not None
        assert match.version is not None
        assert match.file is not None
        assert match.hashes is not None
        assert match.status == "found"
        assert match.is_known
        assert (match.model.id, match.version.id, match.file.id) == (file.version.model.id, file.version.id, file.id)
        assert match.model.name == file.version.model.name
        assert match.hashes.sha256 == file.hashes["SHA256"]
        assert str(match.air) == file.version.air
        assert match.found_by == "SHA256"
        assert match.checked_at is not None
        assert match.error is None


def test_what_is_remembered_is_not_asked_for_again(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    path, *_ = [save(file, models) for file in files_of(emulator)[:5]]
    (models / "own.pt").write_bytes(b"trained at home")
    first = identified(civitai, models, cache=cache)
    assert asked(emulator) == [IDS, LIST]
    path.rename(models / "renamed.safetensors")
    second = identified(civitai, models, cache=cache)
    assert asked(emulator) == []
    first["renamed.safetensors"] = first.pop(path.name)
    for name, match in second.items():
        before = first[name]
        assert match.status == before.status
        assert match.checked_at == before.checked_at
        assert match.air == before.air
        assert match.found_by == before.found_by
        for one, other in ((match.model, before.model), (match.version, before.version), (match.file, before.file)):
            assert (one and one.to_dict()) == (other and other.to_dict())
    assert second["own.pt"].status == "unknown"
    assert not second["own.pt"].is_known
    assert second["own.pt"].found_by is None


def test_what_is_remembered_grows_old(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    save(files_of(emulator)[0], models)
    (models / "own.pt").write_bytes(b"trained at home")
    identified(civitai, models, cache=cache)
    asked(emulator)
    identified(civitai, models, cache=cache, max_age=None, max_unknown_age=None)
    assert asked(emulator) == []
    identified(civitai, models, cache=cache, max_unknown_age=NOW)
    assert asked(emulator) == [IDS]
    identified(civitai, models, cache=cache, max_age=NOW)
    assert asked(emulator) == [IDS, LIST]


def test_nothing_is_remembered_where_that_is_not_wanted(
    civitai: Civitai, emulator: Emulator, models: Path, tmp_path: Path
) -> None:
    save(files_of(emulator)[0], models)
    for _ in range(2):
        assert [match.status for match in (identified(civitai, models, cache=False)).values()] == ["found"]
        assert asked(emulator) == [IDS, LIST]
    assert list(tmp_path.iterdir()) == [models]


def test_copies_share_a_question(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    file = files_of(emulator)[0]
    for number in range(4):
        save(file, models, f"{number}.safetensors")
    (models / "a.pt").write_bytes(b"x")
    (models / "b.pt").write_bytes(b"x")
    matches = identified(civitai, models, cache=cache)
    assert sorted(match.status for match in matches.values()) == ["found"] * 4 + ["unknown"] * 2
    first = emulator.journal[0]
    assert first.path == IDS
    assert len(first.body) == 2


def test_a_newer_version_is_an_update(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    newest, older = next(
        file.version.model for file in files_of(emulator) if len(file.version.model.versions) == 2
    ).versions
    save(older.primary_file, models, "older.safetensors")
    save(newest.primary_file, models, "newest.safetensors")
    for _ in range(2):
        matches = identified(civitai, models, cache=cache)
        update = matches["older.safetensors"].update
        assert update is not None
        assert update.id == newest.id
        assert matches["older.safetensors"].update_available
        assert not matches["newest.safetensors"].update_available
        assert "update: " in str(matches["older.safetensors"])


def test_single_files_and_an_empty_folder(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    assert identified(civitai, models, cache=cache) == {}
    assert identified(civitai, cache=cache) == {}
    path = save(files_of(emulator)[0], models, "model.dat")
    assert [match.status for match in (identified(civitai, path, cache=cache)).values()] == ["found"]
    assert identified(civitai, models, cache=cache) == {}
    assert list(identified(civitai, models, suffixes=".dat", cache=cache)) == ["model.dat"]
    assert list(identified(civitai, models, path, suffixes=None, cache=cache)) == ["model.dat"]


def test_more_models_than_a_request_takes(tmp_path: Path, cache: Path) -> None:
    with Emulator(models=250, speed=1000) as emulator:
        folder = tmp_path / "many"
        folder.mkdir()
        first = [model.versions[0].primary_file for model in emulator.catalogue.models]
        names = {f"{file.id}.bin": file.version.id for file in first}
        for file in first:
            save(file, folder, f"{file.id}.bin")
        with Civitai(token=False, site_url=emulator.url) as civitai:
            matches = identified(civitai, folder, cache=cache)
        assert sorted(asked(emulator)) == sorted([IDS, LIST, LIST, LIST])
    assert {name: match.version and match.version.id for name, match in matches.items()} == names


# --------------------------------------------------------------------------------------------------------- what is gone


def test_a_model_that_is_deleted_stays_as_it_was_seen(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    gone = next(file for file in files_of(emulator) if has_two_versions(file))
    stays = next(file for file in files_of(emulator) if file.version.model is not gone.version.model)
    save(gone.version.model.versions[1].primary_file, models, "gone.safetensors")
    save(stays, models, "stays.safetensors")
    before = (identified(civitai, models, cache=cache))["gone.safetensors"]
    assert before.update_available
    emulator.catalogue.remove(gone.version.model.id)
    for max_age in (NOW, timedelta(days=1), NOW):
        matches = identified(civitai, models, cache=cache, max_age=max_age)
        match = matches["gone.safetensors"]
        assert match.status == "deleted"
        assert match.is_known
        assert not match.update_available
        assert match.air == before.air
        for one, other in ((match.model, before.model), (match.version, before.version), (match.file, before.file)):
            assert one is not None
            assert other is not None
            assert one.to_dict() == other.to_dict()
        assert matches["stays.safetensors"].status == "found"
    # Nobody who has not seen it can tell what it was.
    assert (identified(civitai, models, cache=False))["gone.safetensors"].status == "unknown"


def test_a_model_that_is_archived_keeps_its_file(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    file = files_of(emulator)[0]
    save(file, models)
    identified(civitai, models, cache=cache)
    for mode, status in (("Archived", "archived"), ("TakenDown", "taken_down"), (None, "found")):
        file.version.model.mode = mode
        for max_age in (NOW, None):
            (match,) = (identified(civitai, models, cache=cache, max_age=max_age)).values()
            assert match.status == status
            assert match.version is not None
            assert match.version.id == file.version.id
            assert match.file is not None
            assert match.file.id == file.id


def test_a_model_that_is_archived_before_it_is_seen(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    model = next(model for model in emulator.catalogue.models if model.mode == "Archived")
    save(model.versions[0].primary_file, models, "a.bin")
    (match,) = (identified(civitai, models, cache=cache)).values()
    assert match.status == "archived"
    assert match.file is None
    assert str(match.air) == model.versions[0].air


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_path_that_is_not_there_is_told_before_anything_is_asked(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    save(files_of(emulator)[0], models)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        identified(civitai, models, models / "nowhere", cache=cache)
    assert asked(emulator) == []
    assert not cache.exists()


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"max_age": 3600}, {"max_unknown_age": "1d"}])
def test_wrong_arguments_are_told_at_the_call(civitai: Civitai, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError, match=next(iter(wrong))):
        civitai.identify(".", **wrong)
    with pytest.raises(TypeError, match="recursiv"):
        civitai.identify(".", recursiv=True)  # type: ignore[call-arg]


def test_files_that_cannot_be_read_do_not_stop_it(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    good = save(files_of(emulator)[0], models)
    content = good.read_bytes()
    (models / "cut.safetensors").write_bytes(content[:-100])
    (models / "page.safetensors").write_bytes(b"<html>")
    (models / "dangling.pt").symlink_to("nowhere")
    (models / "loop").symlink_to("loop")
    (models / "loop.pt").symlink_to("loop.pt")
    matches = identified(civitai, models, cache=cache)
    assert matches.pop(good.name).status == "found"
    assert {name: type(match.error).__name__ for name, match in matches.items()} == {
        "cut.safetensors": "InvalidFile",
        "page.safetensors": "InvalidFile",
        "dangling.pt": "FileNotFoundError",
        "loop.pt": "OSError",
    }
    assert {(match.status, match.hashes, match.is_known) for match in matches.values()} == {("failed", None, False)}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="those who may read everything are never refused")
def test_what_may_not_be_read_does_not_stop_it(civitai: Civitai, models: Path, cache: Path) -> None:
    (models / "closed").mkdir(mode=0)
    (models / "closed.pt").write_bytes(b"x")
    (models / "closed.pt").chmod(0)
    (models / "open.pt").write_bytes(b"x")
    try:
        matches = identified(civitai, models, cache=cache)
    finally:
        (models / "closed").chmod(0o700)
    assert {name: type(match.error).__name__ for name, match in matches.items()} == {
        "closed": "PermissionError",
        "closed.pt": "PermissionError",
        "open.pt": "NoneType",
    }


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"lost_answer": True}, {"cut_body": True}])
@pytest.mark.parametrize("route", [f"POST {IDS}", f"GET {LIST}"])
def test_a_fault_that_passes_is_not_seen(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path, route: str, fault: dict[str, Any]
) -> None:
    def no_sleep(seconds: float) -> None:
        """Wait for nothing."""

    save(files_of(emulator)[0], models)
    civitai.transport.sleep = no_sleep
    emulator.faults.add(route, times=1, **fault)
    (match,) = (identified(civitai, models, cache=cache)).values()
    assert match.status == "found"
    assert match.error is None
    assert len(asked(emulator)) == 3


@pytest.mark.parametrize("route", [IDS, LIST, "/nothing/else"])
def test_what_is_remembered_survives_a_service_that_is_down(
    emulator: Emulator, models: Path, cache: Path, caplog: pytest.LogCaptureFixture, route: str
) -> None:
    old, new = (file for file in files_of(emulator)[:2])
    save(old, models, "old.safetensors")
    with Civitai(token=False, site_url=emulator.url, retry=RetryPolicy.off()) as civitai:
        before = (identified(civitai, models, cache=cache))["old.safetensors"]
        save(new, models, "new.safetensors")
        asked(emulator)
        if route.startswith("/api"):
            emulator.faults.add(f"* {route}", status=503)
        else:
            emulator.close()
        with caplog.at_level(logging.WARNING, "civitai_ext"):
            matches = identified(civitai, models, cache=cache, max_age=NOW)
        assert len(caplog.records) == 1
        assert "could not be asked for: 2" in caplog.text
    assert len(asked(emulator)) == {IDS: 1, LIST: 2}.get(route, 0)
    wrong = errors.ServiceOverloaded if route.startswith("/api") else errors.ConnectionFailed
    assert isinstance(matches["old.safetensors"].error, wrong)
    assert matches["old.safetensors"].status == "found"
    assert matches["old.safetensors"].checked_at == before.checked_at
    assert matches["old.safetensors"].air == before.air
    assert isinstance(matches["new.safetensors"].error, wrong)
    assert matches["new.safetensors"].status == "failed"
    assert matches["new.safetensors"].hashes is not None
    assert matches["new.safetensors"].checked_at is None


def test_what_was_answered_before_a_failure_is_remembered(tmp_path: Path, cache: Path) -> None:
    with Emulator(models=250, speed=1000) as emulator:
        folder = tmp_path / "many"
        folder.mkdir()
        for model in emulator.catalogue.models:
            save(model.versions[0].primary_file, folder, f"{model.id}.bin")
        with Civitai(token=False, site_url=emulator.url, retry=RetryPolicy.off()) as civitai:
            emulator.faults.add(f"GET {LIST}", status=503, after=2, times=1)
            statuses = [match.status for match in (identified(civitai, folder, cache=cache)).values()]
            assert statuses.count("failed") == 51
            asked(emulator)
            assert all(match.is_known for match in (identified(civitai, folder, cache=cache)).values())
            assert asked(emulator) == [IDS, LIST]


def test_whoever_stops_early_breaks_nothing(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    for file in files_of(emulator)[:6]:
        save(file, models)
    matches: Any = civitai.identify(models, cache=cache)
    for match in matches:
        assert match.status == "found"
        break
    matches.close()
    asked(emulator)
    assert len(identified(civitai, models, cache=cache)) == 6
    assert asked(emulator) == []  # the answer was whole before the first match was given


def test_what_was_remembered_and_is_broken_is_asked_for_again(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    save(files_of(emulator)[0], models)
    identified(civitai, models, cache=cache)
    connection = sqlite3.connect(cache)
    for broken in (b"", b"x\x9c garbage", b"x\x9c\x03\x00\x00\x00\x00\x01"):
        with connection:
            connection.execute("UPDATE models SET body = ?", (broken,))
        asked(emulator)
        (match,) = (identified(civitai, models, cache=cache)).values()
        assert match.status == "found"
        assert asked(emulator) == [IDS, LIST]
    connection.close()


# ---------------------------------------------------------------------------------------------------- how it is going


def test_progress_counts_files_and_bytes(civitai: Civitai, emulator: Emulator, models: Path, cache: Path) -> None:
    paths = [save(file, models) for file in files_of(emulator)[:5]]
    (models / "broken.safetensors").write_bytes(b"<html>")
    size = sum(path.stat().st_size for path in paths) + 6
    for first in (True, False):
        seen: list[MatchProgress] = []
        identified(civitai, models, cache=cache, on_progress=seen.append)
        assert {(each.files, each.bytes) for each in seen} == {(6, size)}
        hashing = [each for each in seen if each.phase == "hashing"]
        assert [each.files_done for each in hashing] == sorted(each.files_done for each in hashing)
        assert (hashing[-1].files_done, hashing[-1].bytes_done) == (6, size)
        asking = [each for each in seen if each.phase == "asking"]
        assert [each.files_done for each in asking[:: len(asking) - 1 or 1]] == ([1, 6] if first else [])
        assert str(hashing[-1]) == "hashing: 6 of 6 files (100%)"


# ------------------------------------------------------------------------------------------------------- other hashes


def edited(file: ModelFile) -> bytes:
    """The same tensors under another header, as programs that edit metadata leave them."""
    content = file.content
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = {"edited": "yes"}
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + content[8 + length :]


def test_edited_files_are_found_by_their_tensors_on_request(
    civitai: Civitai, emulator: Emulator, models: Path, cache: Path
) -> None:
    file = files_of(emulator)[0]
    (models / "edited.safetensors").write_bytes(edited(file))
    (models / "own.pt").write_bytes(b"trained at home")
    matches = identified(civitai, models, cache=cache)
    assert [match.status for match in matches.values()] == ["unknown"] * 2
    asked(emulator)
    matches = identified(civitai, models, cache=cache, thorough=True)
    requests = asked(emulator)
    assert f"{BY_HASH}/{file.hashes['AutoV3']}" in requests
    for again in ({}, {"max_age": NOW}, {"thorough": True}):
        match = matches["edited.safetensors"]
        assert match.status == "found"
        assert match.found_by == "AutoV3"
        assert match.version is not None
        assert match.version.id == file.version.id
        assert match.file is not None
        assert match.file.id == file.id
        assert matches["own.pt"].status == "unknown"
        matches = identified(civitai, models, cache=cache, **again)
        assert asked(emulator) == []
    emulator.catalogue.remove(file.version.model.id)
    matches = identified(civitai, models, cache=cache, thorough=True, max_age=NOW)
    assert matches["edited.safetensors"].status == "deleted"
    assert matches["edited.safetensors"].found_by == "AutoV3"


# -------------------------------------------------------------------------------------------- answers of another kind


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


SHA256 = "2D711642B726B04401627CA9FBAC32F5C8530FB1903CC4DB02258717921A4881"  # of b"x"
MATCHED = [{"modelVersionId": 5, "modelId": 50, "hash": SHA256}]
FILE = {"id": 1, "name": "x.pt", "hashes": {"SHA256": SHA256}}
BRIEF = {"name": "Hidden", "type": "LORA", "mode": "Archived"}


def test_a_model_that_no_list_shows(scripted: Civitai, server: FaultServer, models: Path, cache: Path) -> None:
    (models / "x.pt").write_bytes(b"x")
    version = {"id": 5, "modelId": 50, "name": "v1", "baseModel": "Pony", "model": BRIEF, "files": [FILE]}
    server.script(answer(MATCHED), answer({"items": [], "metadata": {}}), answer([version]))
    for _ in range(2):
        (match,) = (identified(scripted, models, cache=cache)).values()
        assert match.status == "archived"
        assert match.model is not None
        assert (match.model.id, match.model.name) == (50, "Hidden")
        assert match.file is not None
        assert match.file.id == 1
        assert str(match.air) == "urn:air:sdxl:lora:civitai:50@5"
        assert match.update is None
    assert len(server.received) == 3


def test_a_version_that_is_deleted_while_its_model_goes_on(
    scripted: Civitai, server: FaultServer, models: Path, cache: Path
) -> None:
    (models / "x.pt").write_bytes(b"x")
    old = {"id": 5, "name": "v1", "publishedAt": "2026-01-01T00:00:00Z", "files": [FILE]}
    new = {"id": 6, "name": "v2", "publishedAt": "2026-02-01T00:00:00Z"}
    model = {"id": 50, "name": "Goes on", "type": "LORA"}
    server.script(
        answer(MATCHED),
        answer({"items": [model | {"modelVersions": [old]}], "metadata": {}}),
        answer([]),
        answer({"items": [model | {"modelVersions": [new]}], "metadata": {}}),
    )
    (match,) = (identified(scripted, models, cache=cache)).values()
    assert (match.status, match.update) == ("found", None)
    for max_age in (NOW, None):
        (match,) = (identified(scripted, models, cache=cache, max_age=max_age)).values()
        assert match.version is not None
        assert match.file is not None
        assert match.update is not None
        assert (match.status, match.version.id, match.file.id, match.update.id) == ("deleted", 5, 1, 6)
    assert len(server.received) == 4
    server.script(answer([]), answer({"items": [], "metadata": {}}))
    (match,) = (identified(scripted, models, cache=cache, max_age=NOW)).values()
    assert match.version is not None
    assert (match.status, match.version.id) == ("deleted", 5)


def test_a_version_that_its_model_does_not_list(
    scripted: Civitai, server: FaultServer, models: Path, cache: Path
) -> None:
    (models / "x.pt").write_bytes(b"x")
    model = {"id": 50, "name": "Shown", "type": "LORA", "modelVersions": [{"id": 6, "baseModel": "Pony"}]}
    version = {"id": 5, "modelId": 50, "name": "v1", "baseModel": "Pony", "model": BRIEF, "files": [FILE]}
    server.script(answer(MATCHED), answer({"items": [model], "metadata": {}}), answer([None, version]))
    for _ in range(2):
        (match,) = (identified(scripted, models, cache=cache)).values()
        assert match.model is not None
        assert match.version is not None
        assert match.file is not None
        assert (match.status, match.model.name, match.version.id, match.file.id) == ("found", "Shown", 5, 1)


@pytest.mark.parametrize(
    ("shown", "then"),
    [
        ([], answer({"error": "Model not found"}, 404)),
        ([None], answer({"error": "Model not found"}, 404)),
        ([{"id": 7, "files": [FILE]}], answer([])),
        ([{"id": 5, "files": None, "model": 3}], answer(MATCHED)),
    ],
)
def test_a_version_of_which_only_the_id_is_told(
    scripted: Civitai, server: FaultServer, models: Path, cache: Path, shown: list[Any], then: Answer
) -> None:
    (models / "x.pt").write_bytes(b"x")
    server.script(answer(MATCHED), answer({"items": [], "metadata": {}}), answer(shown), then)
    (match,) = (identified(scripted, models, cache=cache)).values()
    assert match.model is not None
    assert match.version is not None
    assert (match.status, match.model.id, match.version.id, match.air) == ("found", 50, 5, None)
    assert "?" in str(match)
    (again,) = (identified(scripted, models, cache=cache)).values()
    assert again.version is not None
    assert again.version.id == 5


@pytest.mark.parametrize(
    "matched",
    [
        [None, 3, {}, {"hash": SHA256}],
        [{"modelVersionId": "five", "modelId": None, "hash": SHA256}],
        [{"modelVersionId": 2**70, "modelId": -1, "hash": SHA256}],
    ],
)
def test_ids_that_nothing_can_be_asked_by(
    scripted: Civitai, server: FaultServer, models: Path, cache: Path, matched: list[Any]
) -> None:
    (models / "x.pt").write_bytes(b"x")
    server.script(answer(matched))
    (match,) = (identified(scripted, models, cache=cache)).values()
    assert match.status == "unknown"
    assert len(server.received) == 1


def test_models_that_are_odd(scripted: Civitai, server: FaultServer, models: Path, cache: Path) -> None:
    (models / "x.pt").write_bytes(b"x")
    versions = [
        None,
        {"id": [5]},
        {"id": 5, "name": "\x1b[31mred\n", "publishedAt": "soon", "files": [{"hashes": None}, FILE]},
        {"id": 6, "name": "v2", "publishedAt": "2026-01-01T00:00:00Z"},
    ]
    items: list[Any] = [None, {"id": []}, {"id": 51}, {"id": 50, "name": None, "mode": 3, "modelVersions": versions}]
    server.script(answer(MATCHED), answer({"items": items, "metadata": None}))
    for _ in range(2):
        (match,) = (identified(scripted, models, cache=cache)).values()
        assert match.status == "found"
        assert match.file is not None
        assert match.file.id == 1
        assert match.update is None  # nobody can tell which is newer
        assert match.air is None
        assert str(match) == f"{models / 'x.pt'}: ?, [31mred (found)"
    assert len(server.received) == 2


def test_a_stand_in_is_not_remembered_unless_asked_for(
    civitai: Civitai, emulator: Emulator, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(files_of(emulator)[0], models)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **more: tmp_path / name)
    folder = tmp_path / "civitai-ext"
    identified(civitai, models)
    assert list(folder.glob("hashes*"))
    assert not list(folder.glob("matches*"))
    identified(civitai, models, cache=True)
    assert list(folder.glob("matches*"))
