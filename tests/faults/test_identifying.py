"""Files that are identified by several at once, and by somebody who gives up."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from civitai_ext import Civitai
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

SYNC = """
import sys
from civitai_ext import Civitai

with Civitai() as civitai:
    tell = lambda progress: print(progress, flush=True)
    for match in civitai.identify(sys.argv[1], cache=sys.argv[2], on_progress=tell):
        print(match)
"""
ASYNC = """
import asyncio, sys
from civitai_ext import AsyncCivitai

async def main():
    async with AsyncCivitai() as civitai:
        tell = lambda progress: print(progress, flush=True)
        async for match in civitai.identify(sys.argv[1], cache=sys.argv[2], on_progress=tell):
            print(match)

asyncio.run(main())
"""


def found(url: str, folder: Path, cache: Path) -> list[tuple[str, str, str]]:
    with Civitai(token=False, site_url=url) as civitai:
        matches = list(civitai.identify(folder, cache=cache, max_age=timedelta(0)))
    return sorted((match.path.name, match.status, str(match.air)) for match in matches)


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("begin", ["without", "broken"])
def test_many_remember_at_once(tmp_path: Path, kind: str, begin: str) -> None:
    folder, cache = tmp_path / "models", tmp_path / "cache.db"
    folder.mkdir()
    if begin == "broken":
        cache.write_bytes(b"not a database" * 500)
    with Emulator(models=60, speed=1000) as emulator:
        files = [file for model in emulator.catalogue.models for version in model.versions for file in version.files]
        for file in files:
            (folder / f"{file.id}.bin").write_bytes(file.content)
        pool: Executor
        context = multiprocessing.get_context("spawn")
        with ThreadPoolExecutor(4) if kind == "threads" else ProcessPoolExecutor(3, mp_context=context) as pool:
            results = list(pool.map(found, [emulator.url] * 5, [folder] * 5, [cache] * 5))
        found(emulator.url, folder, cache)  # a broken file may have been set aside by several
        emulator.journal.clear()
        with Civitai(token=False, site_url=emulator.url) as civitai:
            assert all(match.is_known for match in civitai.identify(folder, cache=cache))
        assert not emulator.journal
    assert len(results[0]) == len(files)
    assert all(result == results[0] for result in results)
    assert {status for _, status, _ in results[0]} == {"found", "archived"}


def test_ten_thousand_files_take_one_request(tmp_path: Path) -> None:
    for number in range(10_001):
        (tmp_path / f"{number}.bin").write_bytes(b"%d" % number)
    with FaultServer([Answer(200, b"[]")]) as server, Civitai(token=False, site_url=server.url) as civitai:
        matches = [match.status for match in civitai.identify(tmp_path, cache=False)]
        assert [len(json.loads(request.body)) for request in server.received] == [10_000, 1]
    assert matches == ["unknown"] * 10_001


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes in another way there")
@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_ctrl_c_while_a_large_file_is_hashed(tmp_path: Path, program: str) -> None:
    folder, cache = tmp_path / "models", tmp_path / "cache.db"
    folder.mkdir()
    with Emulator(models=3, speed=1000) as emulator:
        (small,) = [model.versions[0].primary_file for model in emulator.catalogue.models[:1]]
        (folder / "a.bin").write_bytes(small.content)
        with (folder / "b.bin").open("wb") as large:
            large.truncate(100 << 30)  # nothing is written; to hash it would take a minute
        command = [sys.executable, "-c", program, str(folder), str(cache)]
        with subprocess.Popen(
            command,
            env={**os.environ, **emulator.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith("hashing: 1 of 2"):
                assert line
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=20)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in complaint
        assert "Exception ignored" not in complaint
        (folder / "b.bin").unlink()
        assert [status for _, status, _ in found(emulator.url, folder, cache)] == ["found"]
