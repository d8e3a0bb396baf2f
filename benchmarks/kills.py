"""Kill a download of 200 MB at 50 random places: `python benchmarks/kills.py` prints how much each kill costs.

It exits with 1 if a kill costs more than is promised. What is lost is what the host had sent and was not noted: it is
fetched again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from benchmarks.budgets import Row, table
from tests.faults.range_server import MB
from tests.faults.test_download_kills import ALLOWED, kill_often

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where the budget is missed."""
    parser = argparse.ArgumentParser(description="Kill downloads at random places.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--kills", type=int, default=50, help="how often it is killed")
    parser.add_argument("--seed", type=int, default=1, help="which places are taken")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        lost = kill_often(Path(folder), 200 * MB, options.kills, seed=options.seed, pace=30 * MB)
    measured = f"{max(lost):.2%} at most, {mean(lost):.2%} on average"
    row = Row(f"fetched again after each of {len(lost)} kills", measured, f"< {ALLOWED:.0%} each", max(lost) < ALLOWED)
    print(json.dumps([asdict(row)], indent=2) if options.json else table([row]))
    return 0 if row.ok else 1


if __name__ == "__main__":
    sys.exit(main())
