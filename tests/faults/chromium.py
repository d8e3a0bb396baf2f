"""A real browser without a window, told over a pipe what to do."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PROGRAM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_LONGEST_SECONDS: Final = 60  # after that it is stuck


class Chromium:
    """One tab of a browser with a profile of its own."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        theirs = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs_in, theirs_out)]

        def as_it_expects() -> None:
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self._process = subprocess.Popen(
            [
                PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            ],
            preexec_fn=as_it_expects,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for each in (theirs_in, theirs_out, *theirs):
            os.close(each)
        self._timer = threading.Timer(_LONGEST_SECONDS, self._process.kill)
        self._timer.start()
        self._in, self._out = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self._number = 0
        self._session: str | None = None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._out.close()  # which it takes for the end
        self._in.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self._ask(method, params)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def look(self, expression: str) -> Any:
        """Give what an expression of JavaScript says on the page that is shown; None if that page is just left."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", asked)
        return answer.get("result", {}).get("result", {}).get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true on the page that is shown, or on the next."""
        for _ in range(1000):
            if self.look(f"Boolean({expression})"):
                return
            self.look("new Promise(done => setTimeout(done, 10))")  # the browser's clock, so that nobody here sleeps
        raise AssertionError(f"never: {expression}; it shows {self.look('document.body.innerText')!r}")

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer: dict[str, Any] = json.loads(self._read())
            if answer.get("id") == self._number:
                return answer

    def _read(self) -> bytes:
        data = bytearray()
        while (character := self._in.read(1)) != b"\0":
            assert character, "the browser is gone"
            data += character
        return bytes(data)
