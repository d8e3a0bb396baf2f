"""Kill a download of 200 MB at 50 random places, and tell how much each kill costs.

python -m benchmarks.kills [seed]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.faults.range_server import MB
from tests.faults.test_download_kills import ALLOWED, kill_often


def main(seed: int = 1) -> int:
    """Run it; give the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        lost = kill_often(Path(folder), 200 * MB, 50, seed=seed, pace=30 * MB)
    print(f"{len(lost)} kills: lost on average {statistics.mean(lost):.2%}, at most {max(lost):.2%} of the file")
    return 0 if max(lost) < ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
