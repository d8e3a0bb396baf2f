"""Downloads in processes that are killed, run out of disk, or meet each other."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.range_server import MB, RangeServer

SIZE = 32 * MB
KILLS = 6
ALLOWED = 0.02  # of the file, per kill, may be fetched again


def start(server: RangeServer, target: Path, sha256: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.download_worker", server.url, str(target), sha256]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def present(folder: Path) -> int:
    for notes in folder.glob(".*.part.recent.json"):
        return sum(end - start for start, end in json.loads(notes.read_text())["done"])
    return 0


def kill_often(folder: Path, size: int, kills: int, seed: int, pace: float) -> list[float]:
    """Kill a download at so many places, then let it end; give the part of the file lost by each kill."""
    content = hashlib.shake_256(b"kill").digest(size)
    sha256, target = hashlib.sha256(content).hexdigest(), folder / "a.bin"
    places = sorted(random.Random(seed).sample(range(size // 50, size - size // 50), kills))  # noqa: S311
    lost: list[float] = []
    with RangeServer(content) as server:
        server.pace = pace
        for place in places:
            sent, there = server.sent, present(folder)
            process = start(server, target, sha256)
            while there + server.sent - sent < place and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert not target.exists()
            # What is under way in the sockets at that moment is counted as lost, too.
            lost.append((there + server.sent - sent - present(folder)) / size)
        server.pace = None
        out, err = start(server, target, sha256).communicate(timeout=60)
        assert out == "True\n", err
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sha256
    assert [path.name for path in folder.iterdir()] == [target.name]
    return lost


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_kills_lose_little(tmp_path: Path) -> None:
    lost = kill_often(tmp_path, SIZE, KILLS, seed=1, pace=20 * MB)
    assert len(lost) == KILLS
    assert sum(lost) / KILLS < ALLOWED * 4  # of 32 MB, where notes are made every MB; see benchmarks/kills.py


def test_two_processes_at_once(tmp_path: Path) -> None:
    content = hashlib.shake_256(b"two").digest(8 * MB)
    sha256, target = hashlib.sha256(content).hexdigest(), tmp_path / "a.bin"
    with RangeServer(content) as server:
        server.pace = 4 * MB
        both = [start(server, target, sha256) for _ in range(2)]
        ended = [process.communicate(timeout=60) for process in both]
    outs = sorted(out for out, _ in ended)
    assert outs == ["", "True\n"]
    assert any("AlreadyDownloading" in err or "FileExistsError" in err for _, err in ended)
    assert target.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, 2 * 2**20))
from tests.faults.download_worker import main
main(*sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_no_room(tmp_path: Path) -> None:
    content = hashlib.shake_256(b"room").digest(5 * MB)
    target = tmp_path / "a.bin"
    with RangeServer(content) as server:
        command = [sys.executable, "-c", LIMITED, server.url, str(target), hashlib.sha256(content).hexdigest()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "civitai_ext.errors.NoSpace" in done.stderr
    assert "Traceback" in done.stderr
    assert not target.exists()
