"""Measure going through a list: `python benchmarks/crawl.py` prints a table.

It exits with 1 if a budget is missed. The real client reads the real format from a server on this machine that is a
process of its own, so that neither its time nor its memory is counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from statistics import median
from typing import Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.budgets import Row, table
from benchmarks.page import page
from civitai_ext import Civitai
from civitai_ext._sync.pager import Pager
from civitai_ext.catalogue import Model

__all__ = ["main", "memory", "seconds", "server"]

LATENCY: Final = 0.05
WORK: Final = 0.03
"""What the caller does with a page, waiting for something else such as a disk."""
_WINDOW: Final = 5
"""Over how many pages the highest use of memory is looked for: it changes with what is fetched at the moment."""


def seconds(url: str, *, prefetch: bool) -> float:
    """Go through the whole list as a caller who has work to do, and tell how long it took."""
    with Civitai(site_url=url) as civitai:
        _list(civitai).first()  # what is made once, such as the connection
        pager = _list(civitai)
        pager.prefetch = prefetch
        began = time.perf_counter()
        for _ in pager.pages():
            time.sleep(WORK)
        return time.perf_counter() - began


def memory(url: str, early: int = 10, late: int = 100) -> tuple[int, int]:
    """Go through the list without keeping anything; give how many bytes were in use around two of its pages."""
    with Civitai(site_url=url) as civitai:
        _list(civitai).first()  # what is made once, such as readers
        peaks: dict[int, int] = {}
        tracemalloc.start()
        try:
            for number, _ in enumerate(_list(civitai).pages(), start=1):
                if number in (early - _WINDOW, late - _WINDOW):
                    tracemalloc.reset_peak()
                if number in (early, late):
                    peaks[number] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return peaks[early], peaks[late]


@contextmanager
def server(*, pages: int, models: int, latency: float = 0.0) -> Iterator[str]:
    """Run a server that has `pages` pages of `models` models, and answers after `latency` seconds; give its URL."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, pages, models, latency), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
        ours.close()


def _list(civitai: Civitai) -> Pager[Model]:
    return civitai.models.list(nsfw=True)


def _serve(ready: Connection, pages: int, models: int, latency: float) -> None:
    items = [json.dumps(item | {"id": 0}).partition('"id": 0') for item in json.loads(page(models))["items"]]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits until the head is acknowledged

        def do_GET(self) -> None:
            time.sleep(latency)
            number = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
            listed = (
                f'{before}"id": {number * models + place}{after}' for place, (before, _, after) in enumerate(items, 1)
            )
            following = {"nextCursor": str(number + 1)} if number + 1 < pages else {}
            body = f'{{"items": [{", ".join(listed)}], "metadata": {json.dumps(following)}}}'.encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        ready.send(listening.server_port)
        listening.serve_forever()


def _time(pages: int, pairs: int) -> Row:
    with server(pages=pages, models=2, latency=LATENCY) as url:
        times = [(seconds(url, prefetch=False), seconds(url, prefetch=True)) for _ in range(pairs)]
    ratio = median(plain / ahead for plain, ahead in times)
    plain, ahead = (median(column) for column in zip(*times, strict=True))
    return Row(
        f"{pages} pages, {LATENCY * 1000:.0f} ms latency, {WORK * 1000:.0f} ms of work",
        f"{ratio:.2f} × faster ({plain:.2f} s, {ahead:.2f} s)",
        "≥ 1.5 × a plain loop",
        ratio >= 1.5,
    )


def _memory(early: int, late: int) -> Row:
    with server(pages=late + 1, models=25) as url:
        first, last = memory(url, early, late)
    growth = last / first - 1
    return Row(
        f"memory, page {early} to {late}",
        f"{growth:+.1%} ({first / 1e6:.1f} MB, {last / 1e6:.1f} MB)",
        "< 5 % more",
        growth < 0.05,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description="Measure going through a list.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    rows = [_time(pages=40, pairs=3), _memory(early=10, late=100)]
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
