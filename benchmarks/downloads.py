"""Measure downloads from a local nginx: `python benchmarks/downloads.py` prints a table.

It exits with 1 if a budget is missed, and with 2 if nginx, curl or aria2 is missing and cannot be installed. Files are
kept in memory where there is room for that, so that no disk is measured. Both sides are measured in turns, and the
median of the quotients counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Any, Final

from benchmarks.budgets import Row, probe, table

__all__ = ["main"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # where there is one, files in it take no disk
_MEBIBYTE: Final = 1 << 20
_PACKAGES: Final = {"nginx": "nginx-light", "curl": "curl", "aria2c": "aria2"}
_SBIN: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_RATE: Final = "40m"


def _programs() -> dict[str, str]:
    """Find the programs, or install them where that can be done without asking.

    Raises:
        SystemExit: Some are missing, with status 2.
    """
    found = {name: shutil.which(name, path=_SBIN) for name in _PACKAGES}
    missing = [_PACKAGES[name] for name, path in found.items() if path is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *missing]):
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        found = {name: shutil.which(name, path=_SBIN) for name in _PACKAGES}
    paths = {name: path for name, path in found.items() if path is not None}
    if len(paths) < len(found):
        names = ", ".join(name for name in found if name not in paths)
        line = f"apt-get install {' '.join(_PACKAGES[name] for name in found if name not in paths)}"
        print(f"Missing: {names}. Install them first; on Debian: {line}", file=sys.stderr)
        raise SystemExit(2)
    return paths


@contextmanager
def _served(nginx: str, folder: Path) -> Iterator[str]:
    """Serve the files in a folder as the storage, and the routes that lead there as the service; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = dedent(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off;
        worker_processes 2;
        pid {folder}/nginx.pid;
        error_log {folder}/nginx.log;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            sendfile on;
            tcp_nopush on;
            types {{ }}
            default_type application/octet-stream;
            client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
            uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
            server {{
                listen 127.0.0.1:{port};
                location ~ ^/api/download/models/(\\w+)$ {{ return 307 http://127.0.0.1:{port}/files/$1.bin; }}
                location ~ ^/api/download/models/(\\w+)-slow$ {{ return 307 http://127.0.0.1:{port}/slow/$1.bin; }}
                location /files/ {{ alias {folder}/; }}
                location /slow/ {{ alias {folder}/; limit_rate {_RATE}; }}
            }}
        }}
    """)
    path = folder / "nginx.conf"
    path.write_text(config)
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(path), "-e", str(folder / "nginx.log")])
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"nginx does not run: {(folder / 'nginx.log').read_text()}")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _made(path: Path, mebibytes: int, *, sparse: bool = False) -> str:
    """Make a file; give its SHA-256."""
    blocks = [bytes(_MEBIBYTE)] if sparse else [os.urandom(_MEBIBYTE) for _ in range(8)]
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(mebibytes):
            block = blocks[number % len(blocks)]
            sha256.update(block)
            if sparse:
                file.truncate((number + 1) * _MEBIBYTE)
            else:
                file.write(block)
    return sha256.hexdigest()


def _ours(site: str, model: str, target: Path, sha256: str, connections: int) -> dict[str, Any]:
    arguments = (site, model, str(target), sha256, connections)
    done: dict[str, Any] = probe(
        f"import json; from benchmarks.fetching import fetched; print(json.dumps(fetched(*{arguments!r})))"
    )
    if not done["verified"]:
        raise RuntimeError("the download was not verified")
    target.unlink()
    return done


def _theirs(command: list[str], target: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def _compared(what: str, than: str, budget: float, times: list[tuple[float, float]]) -> Row:
    ratio = median(theirs / ours for ours, theirs in times)
    ours, theirs = (median(column) for column in zip(*times, strict=True))
    measured = f"{ratio:.2f} × {than} ({ours:.2f} s, {theirs:.2f} s)"
    return Row(what, measured, f"≥ {budget} ×", ratio >= budget)


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, 1 where a budget is missed, or 2 where a program is missing."""
    parser = argparse.ArgumentParser(description="Measure downloads from a local nginx.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--mebibytes", type=int, default=2048, help="how large the file is")
    parser.add_argument("--pairs", type=int, default=5, help="how often both sides are measured")
    parser.add_argument("--folder", type=Path, help="where the files are; in memory, if there is room")
    options = parser.parse_args(argv)
    programs = _programs()
    room = (2 * options.mebibytes + 5 * 1024) * _MEBIBYTE
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > room
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder or (_MEMORY if in_memory else None)) as name:
        folder = Path(name)
        target = folder / "target"
        size = f"{options.mebibytes} MiB"
        with _served(programs["nginx"], folder) as site:
            sha256 = _made(folder / "large.bin", options.mebibytes)

            def one() -> tuple[float, float]:
                curl = [programs["curl"], "--silent", "--fail", "-o", str(target), f"{site}/files/large.bin"]
                return _ours(site, "large", target, sha256, 1)["seconds"], _theirs(curl, target)

            def eight() -> tuple[float, float]:
                aria2 = [programs["aria2c"], "-q", "-x8", "-s8", "--file-allocation=none", "--no-conf", "-d", name]
                aria2 += ["-o", target.name, "--allow-overwrite=true", f"{site}/slow/large.bin"]
                return _ours(site, "large-slow", target, sha256, 8)["seconds"], _theirs(aria2, target)

            one()  # the files take their place in memory
            times = [one() for _ in range(options.pairs)]
            rows.append(_compared(f"{size} over one connection, verified", "curl", 0.8, times))
            times = [eight() for _ in range(3)]
            rows.append(_compared(f"{size} over 8 connections of {_RATE}B/s, verified", "aria2c -x8 -s8", 1.0, times))
            (folder / "large.bin").unlink()
            for mebibytes in (200, 4096):
                sha256 = _made(folder / "sparse.bin", mebibytes, sparse=True)
                for connections in (1, 8):
                    peak = _ours(site, "sparse", target, sha256, connections)["memory"]
                    what = f"memory for {mebibytes} MiB over {connections}"
                    rows.append(Row(what, f"{peak:.0f} MiB", "≤ 100 MB", peak * _MEBIBYTE <= 100e6))
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
