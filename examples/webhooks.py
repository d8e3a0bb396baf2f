"""Webhooks from end to end: a receiver, a workflow that posts its events to it, and a handler that saves the pictures.

Runs against the emulator: Civitai itself can only post to an https URL that it reaches.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

import uvicorn

from civitai_api.orchestration.models import Flux2KleinCreateImageInput
from civitai_ext import AsyncCivitai, AsyncWorkflow, CivitaiError
from civitai_ext.emulator import Emulator, EmulatorError
from civitai_ext.webhooks import Event, Receiver, SQLiteStore, callback


async def run(civitai: AsyncCivitai, folder: Path) -> None:
    """Receive the events of two workflows until both are over."""
    secret = secrets.token_urlsafe()
    submitted: set[str] = set()
    over = asyncio.Event()

    async def handle(event: Event, workflow: AsyncWorkflow) -> None:
        print(f"   {event}")
        if event.kind == "workflow" and event.is_final:
            for path in await workflow.save(folder):
                print(f"   saved {path.name}")
            submitted.discard(event.workflow_id)
            if not submitted:
                over.set()

    app = Receiver(handle, secret=secret, store=SQLiteStore(folder / "events.db"), refetch=civitai.workflows.get)
    # The log of the server would show the secret.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"1. The receiver listens on port {port}.")

    hook = callback(f"http://127.0.0.1:{port}/hooks/{secret}", "workflow:*", "step:processing")
    for prompt in ("a lighthouse at dawn", "a lighthouse at dusk"):
        workflow = await civitai.workflows.submit(Flux2KleinCreateImageInput(prompt=prompt), callbacks=[hook])
        submitted.add(workflow.id)
    print("2. Two workflows are submitted; their events:")
    await over.wait()
    server.should_exit = True
    await serving
    print("3. Both are over.")


async def main() -> int:
    """Run the example; gives the exit status."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with Emulator(speed=10) as emulator:
                url = emulator.url
                async with AsyncCivitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url) as civitai:
                    await run(civitai, Path(folder))
    except (CivitaiError, EmulatorError, OSError) as error:
        print(f"webhooks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        print("\nwebhooks: interrupted", file=sys.stderr)
        sys.exit(130)
