"""Measure the hashing of files: `python benchmarks/hashing.py` prints a table.

It exits with 1 if a budget is missed. The file is kept in memory where there is a place for that, so that no disk is
measured. Both sides are measured in turns, and the median of the quotients counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.budgets import Row, table
from civitai_ext import hash_file

__all__ = ["main"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # where there is one, files in it take no disk
_MEBIBYTE: Final = 1 << 20


def _write(path: Path, mebibytes: int) -> None:
    """Write a safetensors file: the one kind of file that has all hashes."""
    size = mebibytes * _MEBIBYTE
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    block = os.urandom(_MEBIBYTE)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(mebibytes):
            file.write(block)


def _sha256(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _one_pass(path: Path, pairs: int) -> Row:
    blake3 = hash_file(path, cache=False).blake3 is not None
    times = [(_seconds(lambda: _sha256(path)), _seconds(lambda: hash_file(path, cache=False))) for _ in range(pairs)]
    ratio = median(ours / theirs for theirs, ours in times)
    theirs, ours = (median(column) for column in zip(*times, strict=True))
    without = "" if blake3 else " but BLAKE3, which is not installed"
    return Row(
        f"all hashes of {path.stat().st_size // _MEBIBYTE} MiB{without}",
        f"{ratio:.2f} × the time of SHA-256 ({ours:.3f} s, {theirs:.3f} s)",
        "≤ 1.15 ×",
        ratio <= 1.15,
    )


def _remembered(path: Path, cache: Path, rounds: int) -> Row:
    first = _seconds(lambda: hash_file(path, cache=cache))
    again = median(_seconds(lambda: hash_file(path, cache=cache)) for _ in range(rounds))
    return Row(
        "the same file again",
        f"{first / again:.0f} × faster ({1000 * again:.2f} ms)",
        "> 1000 ×",
        first / again > 1000,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description="Measure the hashing of files.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--mebibytes", type=int, default=1024, help="how large the file is")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        path = Path(folder, "model.safetensors")
        _write(path, options.mebibytes)
        rows = [_one_pass(path, pairs=7), _remembered(path, Path(folder, "hashes.db"), rounds=50)]
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
