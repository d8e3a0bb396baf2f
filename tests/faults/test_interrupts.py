"""Ctrl-C while workflows are waited for, in programs of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from civitai_ext.emulator import Emulator

SYNC = """
from civitai_api.orchestration.models import EchoInput
from civitai_ext import Civitai

with Civitai() as civitai:
    workflows = [civitai.workflows.submit(EchoInput(message=str(number))) for number in range({count})]
    {wait}
"""
ASYNC = """
import asyncio
from civitai_api.orchestration.models import EchoInput
from civitai_ext import AsyncCivitai

async def main():
    async with AsyncCivitai() as civitai:
        workflows = [await civitai.workflows.submit(EchoInput(message=str(number))) for number in range({count})]
        await {wait}

asyncio.run(main())
"""
OPTIONS = "on_progress=lambda progress: print('waiting', flush=True), cancel_on_interrupt={cancel}"
ONE = f"workflows[0].wait({OPTIONS})"
ALL = f"civitai.workflows.wait(workflows, {OPTIONS})"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes in another way there")
@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(("wait", "count"), [(ONE, 1), (ALL, 3), (ALL, 30)], ids=["one", "some", "many"])
@pytest.mark.parametrize("cancel", [True, False])
def test_ctrl_c(program: str, wait: str, count: int, cancel: bool) -> None:
    with Emulator(models=1, speed=0) as emulator:
        source = program.format(count=count, wait=wait.format(cancel=cancel))
        environment: dict[str, Any] = {**os.environ, **emulator.environment}
        with subprocess.Popen(
            [sys.executable, "-c", source], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=20)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in complaint
        canceled = [each for each in emulator.journal if each.method == "PUT"]
        assert len(canceled) == (count if cancel else 0)
        assert {each.status for each in canceled} <= {204}
