from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import unasync

PAIRS = {"pkg/_async": "pkg/_sync", "tests/_async": "tests/_sync"}

SOURCE = '''"""A room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from pkg._async.other import AsyncOther, _AsyncHidden


class AsyncThing:
    """A comment stays."""

    sleep: Callable[[dict[str, list[int]]], Awaitable[dict[str, list[int]]]]

    async def __aenter__(self) -> AsyncThing:  # as does this one
        await asyncio.sleep(1)
        return self

    async def __anext__(self) -> int:
        return await self.first()

    @asynccontextmanager
    async def use(self, other: AsyncOther) -> AsyncIterator[_AsyncHidden]:
        async with other as found:
            yield found
        async for item in other:
            await item.use([x async for x in item.aiter_bytes()])
            await get_thing.asyncio(item)
        try:
            async with aclosing(other):
                await other.aclose()
        except asyncio.CancelledError:
            pass
'''

DERIVED = '''# Derived from pkg/_async/thing.py by scripts/unasync.py: change that file, then run `make fix`.
"""A room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from pkg._sync.other import Other, _Hidden


class Thing:
    """A comment stays."""

    sleep: Callable[[dict[str, list[int]]], dict[str, list[int]]]

    def __enter__(self) -> Thing:  # as does this one
        time.sleep(1)
        return self

    def __next__(self) -> int:
        return self.first()

    @contextmanager
    def use(self, other: Other) -> Iterator[_Hidden]:
        with other as found:
            yield found
        for item in other:
            item.use(list(item.iter_bytes()))
            get_thing.sync(item)
        try:
            with closing(other):
                other.close()
        except KeyboardInterrupt:
            pass
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "pkg/_async"
    source.mkdir(parents=True)
    (source / "thing.py").write_text(SOURCE, encoding="utf-8")
    unasync.write(tmp_path, PAIRS)
    return tmp_path


def test_every_word_is_replaced(tree: Path) -> None:
    assert (tree / "pkg/_sync/thing.py").read_text(encoding="utf-8") == DERIVED
    assert not (tree / "tests/_sync").exists()


def test_what_is_up_to_date_passes(tree: Path) -> None:
    assert unasync.problems(tree, PAIRS) == []


@pytest.mark.parametrize(
    "change", ["", DERIVED[:-1], DERIVED + "\n", DERIVED.replace("# as does this one", "# edited")]
)
def test_any_difference_is_found(tree: Path, change: str) -> None:
    (tree / "pkg/_sync/thing.py").write_text(change, encoding="utf-8")
    assert unasync.problems(tree, PAIRS) == ["pkg/_sync/thing.py differs"]
    unasync.write(tree, PAIRS)
    assert unasync.problems(tree, PAIRS) == []


def test_missing_and_superfluous_files_are_found_and_put_right(tree: Path) -> None:
    (tree / "pkg/_sync/thing.py").unlink()
    (tree / "pkg/_sync/old.py").write_text("", encoding="utf-8")
    assert unasync.problems(tree, PAIRS) == [
        "pkg/_sync/thing.py is missing",
        "pkg/_sync/old.py is derived from nothing",
    ]
    unasync.write(tree, PAIRS)
    assert unasync.problems(tree, PAIRS) == []
    assert not (tree / "pkg/_sync/old.py").exists()


def test_a_rule_that_nothing_needs_is_named(tree: Path) -> None:
    source = tree / "pkg/_async/thing.py"
    source.write_text(SOURCE.replace("await other.aclose()", "pass"), encoding="utf-8")
    unasync.write(tree, PAIRS)
    (problem,) = unasync.problems(tree, PAIRS)
    assert "aclose" in problem


def test_tests_are_derived_too(tree: Path) -> None:
    (tree / "tests/_async/deep").mkdir(parents=True)
    (tree / "tests/_async/deep/test_x.py").write_text("async def test() -> None: ...\n", encoding="utf-8")
    unasync.write(tree, PAIRS)
    assert (tree / "tests/_sync/deep/test_x.py").read_text(encoding="utf-8").endswith("\ndef test() -> None: ...\n")


def test_the_command_says_how_to_repair(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unasync.main(["--check"], tree, PAIRS) == 0
    (tree / "pkg/_sync/thing.py").unlink()
    assert unasync.main(["--check"], tree, PAIRS) == 1
    assert capsys.readouterr().err == "pkg/_sync/thing.py is missing\nRun `make fix`.\n"
    assert unasync.main([], tree, PAIRS) == 0
    assert (tree / "pkg/_sync/thing.py").is_file()


def test_it_runs_as_a_script() -> None:
    done = subprocess.run([sys.executable, unasync.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--check" in done.stdout
