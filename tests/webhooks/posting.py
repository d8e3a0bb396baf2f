"""Posting to a receiver, as an ASGI server does it and over a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Self

import uvicorn

SECRET = "a-secret-of-the-tests"

Json = dict[str, Any]


def workflow_event(workflow: str = "wf_1", status: str = "processing", second: int = 0) -> Json:
    """An event of a workflow."""
    timestamp = f"2026-08-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.1234567Z"
    return {"$type": "workflow", "workflowId": workflow, "status": status, "timestamp": timestamp}


def step_event(workflow: str = "wf_1", step: str = "hero", status: str = "processing", **more: Any) -> Json:
    """An event of a step."""
    return {"$type": "step", "workflowId": workflow, "name": step, "status": status, **more}


def job_event(workflow: str = "wf_1", job: str = "j1", status: str = "processing", **more: Any) -> Json:
    """An event of a job."""
    return {"$type": "job", "workflowId": workflow, "stepName": "hero", "jobId": job, "status": status, **more}


async def post(
    app: Any,
    body: Any = b"",
    *,
    path: str = f"/{SECRET}",
    method: str = "POST",
    headers: Sequence[tuple[bytes, bytes]] = (),
    chunk: int | None = None,
    cut: bool = False,
) -> int | None:
    """Call an application once; give the status of its answer, None if it gave none.

    Args:
        app: The application.
        body: Bytes, or what is sent as JSON.
        path: The path.
        method: The verb.
        headers: Headers of the request.
        chunk: The length of the parts in which the body comes; all at once by default.
        cut: Whether the connection is closed before the last part.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = chunk or max(len(content), 1)
    parts = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1:] = [{"type": "http.disconnect"}] if cut else [{**messages[-1], "more_body": False}]
    coming = iter(messages)
    sent: list[Json] = []

    async def receive() -> Json:
        return next(coming)

    async def send(message: Json) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(errors="replace"), "root_path": "", "query_string": b"",
        "headers": list(headers), "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return next((message["status"] for message in sent if message["type"] == "http.response.start"), None)


async def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Serving:
    """An application behind uvicorn on a socket, in a thread, with its lifespan."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, port=0, log_config=None, ws="none", http="h11", lifespan="on", loop="asyncio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._end = 0.0

    @property
    def url(self) -> str:
        """Where it listens."""
        (server,) = self._server.servers
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def wait(self) -> None:
        """Let it work for a moment, and not for too many of them."""
        assert self._thread.is_alive()
        assert monotonic() < self._end, "what is waited for does not happen"
        self._thread.join(0.002)

    def __enter__(self) -> Self:
        self._end = monotonic() + 20
        self._thread.start()
        while not self._server.started:
            self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
