"""Measure waiting for workflows: `python benchmarks/waiting.py` prints a table.

It exits with 1 if a budget is missed. The emulator counts the requests; it runs in a thread of the same process, which
makes round trips slower than they need to be.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from statistics import median

from benchmarks.budgets import Row, table
from civitai_api.orchestration.models import EchoInput
from civitai_ext import Civitai, Step, Workflow
from civitai_ext.emulator import Emulator

__all__ = ["main"]

_WORKFLOWS = "/v2/consumer/workflows"


@contextmanager
def _world(speed: float) -> Iterator[tuple[Emulator, Civitai]]:
    with (
        Emulator(models=1, speed=speed, balance={"yellow": 100_000}) as emulator,
        Civitai(emulator.token, orchestration_url=emulator.url) as civitai,
    ):
        yield emulator, civitai


def _looks(emulator: Emulator) -> int:
    return sum(each.method == "GET" and each.path.startswith(_WORKFLOWS) for each in emulator.journal)


def _lateness(rounds: int) -> Row:
    """How long after its end a workflow is known to be over, in round trips and on top of one."""
    late, trips = [], []
    with _world(speed=0) as (emulator, civitai):
        for _ in range(rounds):
            workflow = civitai.workflows.submit(EchoInput(message="x"))
            began = time.perf_counter()
            workflow.refresh()
            trips.append(time.perf_counter() - began)
            ended: list[float] = []

            def end(ended: list[float] = ended) -> None:
                ended.append(time.perf_counter())
                emulator.clock.advance(60)

            timer = threading.Timer(0.1, end)
            timer.start()
            workflow.wait(timeout=30)
            late.append(time.perf_counter() - ended[0])
            timer.join()
    trip, worst = median(trips), max(late)
    measured = f"{1000 * median(late):.1f} ms, at worst {1000 * worst:.1f} ms; a round trip is {1000 * trip:.1f} ms"
    return Row("the end of a workflow is known after", measured, "≤ a round trip + 100 ms", worst <= trip + 0.1)


def _requests(minutes: int) -> Row:
    """How many requests a long wait takes."""
    with _world(speed=2000) as (emulator, civitai):
        civitai.transport.sleep = lambda seconds: None  # a second is so short here that answers seem to come too soon
        step = Step(EchoInput(message="[expire]"), timeout=f"00:{minutes:02}:00")
        workflow = civitai.workflows.submit(step)
        workflow.wait(timeout=None, raise_on_failure=False)
        asked, most = _looks(emulator), math.ceil(60 * minutes / 90) + 1
    return Row(f"requests to wait for {minutes} minutes", str(asked), f"≤ {most}", asked <= most)


def _many(count: int) -> Row:
    """How many requests it takes to wait for many workflows, each in a thread of its own."""
    with _world(speed=4) as (emulator, civitai):
        workflows = [civitai.workflows.submit(EchoInput(message=str(number))) for number in range(count)]
        emulator.journal.clear()
        threads = [threading.Thread(target=Workflow.wait, args=(workflow, 60)) for workflow in workflows]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, asked = time.perf_counter() - began, _looks(emulator)
        done = sum(workflow.status == "succeeded" for workflow in workflows)
    measured = f"{asked} ({asked / count:.2f} each) in {took:.1f} s, {done} done"
    return Row(f"requests to wait for {count} at once", measured, f"< {count}", asked < count and done == count)


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description="Measure waiting for workflows.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    rows = [_lateness(rounds=10), _requests(minutes=30), _many(count=200)]
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
