"""Downloads that somebody ends: Ctrl-C, a kill, or a client that is closed meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from civitai_ext import AsyncCivitai, Civitai, DownloadProgress, RetryPolicy, errors, unfinished_downloads
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes in another way there")

SIZE = 6 * 1024 * 1024
KILLS = 10
PROMPT = 10.0
"""Seconds in which what is ended has to be over, also on a busy computer."""

SYNC = """
import sys
from civitai_ext import Civitai

folder, *whats = sys.argv[1:]
with Civitai(verify=False) as civitai:
    civitai.download_many(
        map(int, whats), folder, at_once=3, cache=False, progress=lambda each: print(each.done, flush=True)
    )
"""
ASYNC = """
import asyncio, sys
from civitai_ext import AsyncCivitai

async def main():
    folder, *whats = sys.argv[1:]
    async with AsyncCivitai(verify=False) as civitai:
        await civitai.download_many(
            map(int, whats), folder, at_once=3, cache=False, progress=lambda each: print(each.done, flush=True)
        )

asyncio.run(main())
"""
FILES = ("large", "many_files", "no_suffix", "only_autov1", "gguf")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=1, speed=0, large_file=SIZE) as emulator:
        yield emulator


def start(program: str, emulator: Emulator, folder: Path, files: tuple[str, ...] = FILES) -> subprocess.Popen[str]:
    whats = [str(emulator.oddities[name].id) for name in files]
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *whats],
        env={**os.environ, **emulator.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], count: int) -> bool:
    """Wait until it says that so many bytes are there; tell whether it did before it ended."""
    assert process.stdout is not None
    return any(int(line) >= count for line in process.stdout)


def check(emulator: Emulator, folder: Path, files: tuple[str, ...] = FILES) -> int:
    """Make sure that nothing wrong is to be seen in the folder; give how many files are."""
    right = {file.name: file.content for file in (emulator.oddities[name].primary_file for name in files)}
    seen = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    assert [name for name, content in seen.items() if content != right[name]] == []
    return len(seen)


def asked_for(emulator: Emulator) -> int:
    """How many bytes of files were asked for."""
    ranges = [re.fullmatch(r"bytes=(\d+)-(\d+)", each.range or "") for each in emulator.journal]
    return sum(int(each[2]) - int(each[1]) + 1 for each in ranges if each)


def finish(emulator: Emulator, folder: Path, files: tuple[str, ...] = FILES) -> None:
    """Download what is missing, and make sure that it is all."""
    emulator.faults.clear()
    emulator.journal.clear()
    process = start(SYNC, emulator, folder, files)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 0, complaint
    assert unfinished_downloads(folder) == []  # which removes the lock of one that was killed right before it did so
    assert check(emulator, folder, files) == len(files) == len(list(folder.iterdir()))


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("files", [("large",), FILES], ids=["one", "many"])
def test_ctrl_c(program: str, files: tuple[str, ...], emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults.add("GET /storage/1920001401/*", rate=1e6)
    with start(program, emulator, tmp_path, files) as process:
        assert wait_for(process, SIZE * 3 // 4)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=PROMPT)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in complaint
    assert not (tmp_path / "large.safetensors").exists()
    check(emulator, tmp_path, files)
    finish(emulator, tmp_path, files)
    assert 0 < asked_for(emulator) < SIZE * 0.75


def test_kills(emulator: Emulator, tmp_path: Path) -> None:
    size = sum(len(emulator.oddities[name].primary_file.content) for name in FILES)
    choose = random.Random(7)  # noqa: S311 - reproducible on purpose
    emulator.faults.add("GET /storage/*", rate=4e6)
    for number in range(KILLS):
        process = start((SYNC, ASYNC)[number % 2], emulator, tmp_path)
        was_at_it = wait_for(process, choose.randrange(size * (number + 1) // (KILLS + 1)))
        process.kill()
        process.communicate()
        assert was_at_it
        check(emulator, tmp_path)
    finish(emulator, tmp_path)
    assert asked_for(emulator) < size * 0.6


def test_a_client_that_is_closed_meanwhile(emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults.add("GET /storage/*", rate=1e6)
    url = emulator.url
    begun, caught = threading.Event(), list[BaseException]()

    def show(progress: DownloadProgress) -> None:
        if progress.done > SIZE // 2:
            begun.set()

    civitai = Civitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url, verify=False)

    def work() -> None:
        try:
            civitai.download_many([emulator.oddities[name].id for name in FILES], tmp_path, progress=show, cache=False)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    civitai.close()
    thread.join(PROMPT)
    assert not thread.is_alive()
    assert isinstance(caught[0], errors.CivitaiError)
    assert not (tmp_path / "large.safetensors").exists()
    check(emulator, tmp_path)
    finish(emulator, tmp_path)
    assert 0 < asked_for(emulator) < SIZE * 1.2  # with the other files


def test_a_task_that_is_canceled(emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults.add("GET /storage/*", rate=1e6)
    url = emulator.url

    async def run() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def show(progress: DownloadProgress) -> None:
            if progress.done > SIZE // 8:
                loop.call_soon_threadsafe(begun.set)

        async with AsyncCivitai(
            emulator.token, site_url=url, orchestration_url=url, auth_url=url, verify=False, retry=RetryPolicy.off()
        ) as civitai:
            whats = [emulator.oddities[name].id for name in FILES]
            task = asyncio.create_task(civitai.download_many(whats, tmp_path, progress=show, cache=False))
            await begun.wait()
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=PROMPT)
            assert done
            assert task.cancelled()

    asyncio.run(run())
    assert not (tmp_path / "large.safetensors").exists()
    check(emulator, tmp_path)
    finish(emulator, tmp_path)
    assert asked_for(emulator) < SIZE * 1.5
