"""The bar that shows how far downloads are."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import Any

import pytest

from civitai_ext.downloads import DownloadProgress, Phase

pytest.importorskip("tqdm")

from civitai_ext._bar import Bar


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def told(done: int, phase: Phase = "downloading", name: str = "a.safetensors") -> DownloadProgress:
    said: dict[str, Any] = {"files_done": 0, "files": 1, "size": 4000, "rate": 0.0, "eta": None}
    return DownloadProgress(name=name, phase=phase, file_done=done, file_size=4000, done=done, **said)


def drawn(on: io.StringIO, *steps: DownloadProgress) -> list[str]:
    """Give what is drawn, one after the other."""
    with redirect_stderr(on):
        bar = Bar()
        for step in steps:
            bar(step)
        bar.close()
    return [line for line in on.getvalue().split("\r") if line.strip()]


def test_it_has_its_length_from_the_first() -> None:
    lines = drawn(Terminal(), told(0), told(4000, "done"))
    assert all("/4.00k" in line for line in lines)  # a notebook takes no other later
    assert "a.safetensors: 100%" in lines[-1]


def test_nothing_is_drawn_for_nothing_or_where_nobody_looks() -> None:
    assert drawn(Terminal()) == []
    assert drawn(io.StringIO(), told(0), told(4000, "done")) == []


def test_a_long_name_is_cut() -> None:
    (*_, last) = drawn(Terminal(), told(4000, "done", "a" * 100 + ".safetensors"))
    assert "…" in last
    assert "a" * 41 not in last
