"""Saves the state of a running emulator again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.keeping.folder import Folder, FolderError, content_name
from civitai_ext.emulator.keeping.graph import Json
from civitai_ext.emulator.keeping.state import State

_PAUSE_SECONDS = 0.3
_PAUSES_PER_WORK = 2
"""How much longer than the saving the pause after it is at least: a large state does not take up all the time."""

_log = logging.getLogger(__name__)


class Saver:
    """Keeps a folder up to date.

    Args:
        folder: Where to.
        state: What.
        clock: The moment at which it is.

    """

    def __init__(self, folder: Folder, state: State, clock: Clock) -> None:
        self._folder = folder
        self._state = state
        self._clock = clock
        self._names: dict[int, tuple[bytes, str]] = {}
        self._failure = ""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Bring back what the folder holds, if it holds something; let go of the folder if that fails.

        Raises:
            FolderError: It is damaged.

        """
        try:
            if (found := self._folder.read()) is not None:
                self._state.read(found["state"], self._folder.load)
                self._clock.go_on(datetime.fromisoformat(found["moment"]))
        except (ValueError, KeyError, TypeError) as error:
            self._folder.close()
            raise self._folder.damaged(error) from error
        except FolderError:
            self._folder.close()
            raise

    def start(self, run_within: Callable[[Callable[[], Json]], Json], changes: Callable[[], object]) -> None:
        """Save whenever something has changed, in a thread of its own.

        Args:
            run_within: Runs something where nothing else changes meanwhile.
            changes: Gives another value after every change.

        """

        def run() -> None:
            saved, pause = None, _PAUSE_SECONDS
            while not self._over.wait(pause):
                begin = time.monotonic()
                now = changes()
                if now != saved and self._save(lambda: run_within(self._take)):
                    saved = now
                pause = max(_PAUSE_SECONDS, _PAUSES_PER_WORK * (time.monotonic() - begin))

        self._thread = threading.Thread(target=run, name="civitai-ext-emulator-saver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Save no more by itself."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def finish(self) -> None:
        """Save for the last time, once nothing changes any more, and let go of the folder."""
        self._save(self._take)
        self._folder.close()

    def _save(self, take: Callable[[], Json]) -> bool:
        """Save, or say once why that is not possible."""
        try:
            taken = take()
            self._folder.write(taken, {name: content for content, name in self._names.values()})
        except (OSError, TypeError, RecursionError) as error:
            if str(error) != self._failure:
                self._failure = str(error)
                _log.error("the emulator cannot save its state in %s: %s", self._folder.path, error)
            return False
        self._failure = ""
        return True

    def _take(self) -> Json:
        names = self._names
        self._names = {}

        def store(content: bytes) -> str:
            # Bytes are known again by being the same object, which is quicker than looking at all of them.
            known = names.get(id(content)) or (content, content_name(content))
            self._names[id(content)] = known
            return known[1]

        return {"moment": self._clock.now().isoformat(), "state": self._state.write(store)}
