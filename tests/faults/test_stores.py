"""Logins in files, while processes die, are killed, run out of disk, or meet each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from civitai_ext._locks import lock, unlock
from civitai_ext.oauth.file_store import FileStore

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the worker forks, and there are no such signals")


def start(task: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.store_worker", task, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def result(process: subprocess.Popen[str]) -> int:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return int(out)


@pytest.mark.parametrize(("task", "least"), [("bytes", 300), ("calls", 15), ("failures", 6), ("kills", 50)])
def test_whoever_dies_or_fails_while_storing_leaves_the_old_login_or_the_new_one(
    tmp_path: Path, task: str, least: int
) -> None:
    assert result(start(task, tmp_path / "logins")) >= least


def test_no_room_is_found_out_before_a_token_is_used_up(tmp_path: Path) -> None:
    assert result(start("no_room", tmp_path / "logins")) > 300


def test_threads_and_processes_never_see_a_part_of_a_login(tmp_path: Path) -> None:
    both = [start("share", tmp_path / "logins") for _ in range(2)]
    assert [result(each) for each in both] == [8, 8]
    assert [path.name for path in (tmp_path / "logins").iterdir()] == ["alice.json"]


def test_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    both = [start("count", tmp_path / "logins") for _ in range(2)]
    assert [result(each) for each in both] == [80, 80]
    assert number.read_text() == "160"
    assert list((tmp_path / "logins").iterdir()) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_lock_ends_with_its_process_though_a_child_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    (said, say), (end, go_on) = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        signal.alarm(20)  # nobody is left behind by a test that fails
        held = lock(path, 1)
        if os.fork() == 0:
            signal.alarm(20)
            os.close(go_on)
            unlock(path, held)  # it is not the child's to give away
            os.write(say, b"kept" if path.exists() else b"lost")
            os.read(end, 1)
            os._exit(0)
        signal.pause()
    assert os.read(said, 4) == b"kept"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    unlock(path, lock(path, 0.1))  # the child is still there
    for file in (said, say, end, go_on):
        os.close(file)


def test_a_lock_says_who_has_it_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "logins" / "alice.lock"
    with start("hold", tmp_path / "logins") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(TimeoutError, match=rf"process {process.pid} has held it for 0.01 seconds.*alice\.lock"):
            lock(path, 0.01)
        process.kill()
    with FileStore(tmp_path / "logins").lock("alice"):
        with pytest.raises(TimeoutError, match="another thread of this process"):
            lock(path, 0.01)
        unlock(tmp_path / "other.lock", lock(tmp_path / "other.lock", 0.01))
    assert not path.exists()
