"""How far downloads are: counts what comes, and tells it now and then."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

import attrs

from civitai_ext._reading import printable
from civitai_ext.downloads import DownloadProgress, OnDownload, Phase

__all__ = ["Meter"]

_EVERY: Final = 0.1
"""Seconds between two calls, unless a phase changes."""
_WINDOW: Final = 5.0
"""Seconds over which the rate is taken."""


@attrs.define
class _File:
    name: str
    phase: Phase = "asking"
    done: int = 0
    size: int | None = None
    begun: bool = False


class Meter:
    """Counts for all downloads of one call; for use by several threads.

    Args:
        tell: Called with how far it is, by one thread at a time; None for nobody.
        clock: Gives the time in seconds.

    >>> seconds = iter(range(10))
    >>> meter = Meter(print, clock=lambda: float(next(seconds)))
    >>> number = meter.add("a.ckpt", 4_000_000)
    >>> meter.moved(number, 1_000_000, 4_000_000)
    0/1 a.ckpt: downloading 25% (0.0 MB/s)
    >>> meter.moved(number, 2_000_000, 4_000_000)
    0/1 a.ckpt: downloading 50% (1.0 MB/s, 2 s left)
    """

    def __init__(self, tell: OnDownload | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._files: list[_File] = []
        self._came = 0  # in this call
        self._samples: deque[tuple[float, int]] = deque()
        self._told = float("-inf")
        self._lock = threading.RLock()

    def add(self, name: str, size: int | None) -> int:
        """Count one more file, and give its number.

        Args:
            name: What it is called.
            size: How many bytes it has about, if that is known.
        """
        with self._lock:
            self._files.append(_File(printable(name), size=size))  # it comes from a stranger, and is shown
            return len(self._files) - 1

    def begins(self, number: int) -> None:
        """Take down that a file is looked for, here and where it comes from."""
        with self._lock:
            self._call(self._files[number], self._clock())

    def moved(self, number: int, done: int, size: int | None) -> None:
        """Take down how many bytes of a file are there."""
        with self._lock:
            file, now = self._files[number], self._clock()
            if file.begun:
                self._came += max(0, done - file.done)
            else:  # what is there from an earlier call did not come now
                file.begun = True
            file.done, file.size = done, size
            self._samples.append((now, self._came))
            while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
                self._samples.popleft()
            before = file.phase
            file.phase = "verifying" if done == size else "downloading"
            if file.phase != before or now - self._told >= _EVERY:
                self._call(file, now)

    def is_over(self, number: int, phase: Phase, size: int | None = None) -> None:
        """Take down how it ended with a file."""
        with self._lock:
            file = self._files[number]
            file.phase = phase
            if size is not None:
                file.size = file.done = size
            self._call(file, self._clock())

    def _call(self, file: _File, now: float) -> None:
        self._told = now
        if self._tell is None:
            return
        sizes = [each.size for each in self._files if each.size is not None]
        # What failed does not come any more.
        left = sum(
            max(0, (each.size or 0) - each.done) for each in self._files if each.phase not in ("failed", "done", "kept")
        )
        (start, before), (end, after) = self._samples[0] if self._samples else (now, 0), (now, self._came)
        rate = (after - before) / (end - start) if end > start else 0.0
        self._tell(
            DownloadProgress(
                name=file.name,
                phase=file.phase,
                file_done=file.done,
                file_size=file.size,
                files_done=sum(each.phase in ("done", "kept", "failed") for each in self._files),
                files=len(self._files),
                done=sum(each.done for each in self._files),
                size=sum(sizes) if sizes else None,
                rate=rate,
                eta=left / rate if left and rate else None,
            )
        )
