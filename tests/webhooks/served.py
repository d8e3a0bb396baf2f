"""A receiver in a process of its own, for tests that kill it: `python -m tests.webhooks.served FILE LOG`.

The log has a line when a handler begins and one when it ends. The port is told on standard output.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

import uvicorn

from civitai_ext.webhooks import Event, Receiver, SQLiteStore
from tests.webhooks.posting import SECRET

CONCURRENCY = 6


def main(file: str, log: str) -> None:
    """Serve until somebody ends it."""
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(event: Event) -> None:
        number = event.data["number"]
        os.write(out, f"begin {event.workflow_id} {number}\n".encode())
        await asyncio.sleep(random.random() / 500)  # noqa: S311
        os.write(out, f"end {event.workflow_id} {number}\n".encode())

    app = Receiver(handle, secret=SECRET, store=SQLiteStore(file), concurrency=CONCURRENCY)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, ws="none", http="h11"))

    async def serve() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.001)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await serving

    asyncio.run(serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
