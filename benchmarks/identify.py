"""Measure finding out what files are: `python benchmarks/identify.py` prints a table.

It exits with 1 if a budget is missed. The emulator, in a thread of the same process, counts the requests. Each file is
of a model of its own, which is what takes the most of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.budgets import Row, table
from civitai_ext import Civitai
from civitai_ext.emulator import Emulator

__all__ = ["main"]


def _identify(emulator: Emulator, civitai: Civitai, folder: Path, cache: Path) -> tuple[int, int, float]:
    """Give how many files were found, how many requests that took, and how many seconds."""
    emulator.journal.clear()
    began = time.perf_counter()
    found = sum(match.status in ("found", "archived", "taken_down") for match in civitai.identify(folder, cache=cache))
    return found, len(emulator.journal), time.perf_counter() - began


def _rows(count: int) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as place,
        Emulator(models=count) as emulator,
        Civitai(token=False, site_url=emulator.url) as civitai,
    ):
        folder, cache = Path(place, "models"), Path(place, "cache.db")
        folder.mkdir()
        for model in emulator.catalogue.models[:count]:
            Path(folder, f"{model.id}.bin").write_bytes(model.versions[0].primary_file.content)
        civitai.model_versions.ids_by_hashes(["0" * 64])  # lets the emulator hash all of its files
        found, requests, seconds = _identify(emulator, civitai, folder, cache)
        most = count // 100 + 2
        first = Row(
            f"{count:,} files of as many models, {found:,} found",
            f"{requests} requests ({seconds:.1f} s)",
            f"≤ {most} requests",
            requests <= most and found == count,
        )
        found, requests, seconds = _identify(emulator, civitai, folder, cache)
        again = Row(
            f"the same files again, {found:,} known",
            f"{requests} requests ({1000 * seconds / count:.2f} ms for each file)",
            "no request",
            requests == 0 and found == count,
        )
    return [first, again]


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description="Measure finding out what files are.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--files", type=int, default=1000, help="how many files there are")
    options = parser.parse_args(argv)
    rows = _rows(options.files)
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
