"""Work on the disk: whole files or none, also when a task is canceled."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from civitai_ext._disk import AsyncDisk, PartFile


def test_a_part_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "new")
    part.write(b"a")
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".part"]
    part.write(b"b")
    part.become(tmp_path / "new" / "x")
    part.discard()
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "new").iterdir()] == [("x", b"ab")]


def test_a_part_file_that_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    part = PartFile(tmp_path)
    part.discard()  # nothing was written
    part.write(b"a")
    part.discard()
    assert list(tmp_path.iterdir()) == []


def test_other_tasks_go_on_meanwhile() -> None:
    gate = threading.Event()

    async def main() -> bool:
        work = asyncio.create_task(AsyncDisk.run(gate.wait, 10))
        await asyncio.sleep(0)
        gate.set()  # it would wait for this in vain if it held up the loop
        return await work

    assert asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_what_has_begun_is_over_when_a_canceled_task_is(fails: bool) -> None:
    begun, gate, over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(10)
        over.set()
        if fails:
            raise OSError

    async def main() -> None:
        task = asyncio.create_task(AsyncDisk.run(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        asyncio.get_running_loop().call_soon(gate.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert over.is_set()

    asyncio.run(main())
