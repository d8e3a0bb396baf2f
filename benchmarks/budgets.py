"""Measure what the package promises about speed: `python benchmarks/budgets.py` prints a table.

It exits with 1 if a budget is missed. Everything is measured in fresh processes that use cached byte code. What is
compared is measured in turns, and the median of the quotients counts, so that a machine that is busy or slow changes
the times but hardly the verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Any, Final

__all__ = ["BUDGETS", "Row", "main"]

ROOT: Final = Path(__file__).parents[1]
_NO_CLICK: Final = "import sys; sys.modules['click'] = None\n"
"""Hides `click`, which only developers have: where it is, httpx imports its own command line, and is slower for it."""
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    budget: str
    ok: bool


def probe(code: str) -> Any:
    """Run `code` in a fresh process and give what it printed last, read as JSON.

    Raises:
        CalledProcessError: The code failed; what it said about that is on the standard error.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("CIVITAI_") and name.lower() not in _PROXIES
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _timed(code: str) -> str:
    """Code that prints how many seconds `code` takes, measured inside the process: starting Python is not counted."""
    return f"from time import perf_counter as now\nbegan = now()\n{code}\nprint(now() - began)"


# ------------------------------------------------------------------------------------------------------- the budgets


def import_loads_little() -> list[Row]:
    """`import civitai_ext` loads neither the HTTP library nor a generated class."""
    loaded = probe("import json, sys, civitai_ext; print(json.dumps(list(sys.modules)))")
    found = [name for name in loaded if re.match(r"httpx$|civitai_api\.\w+\.models\.", name)]
    return [Row("import civitai_ext loads", f"{len(found)} of them", "no httpx, no generated model", not found)]


def client_is_ready(pairs: int = 11) -> list[Row]:
    """Importing the package and making a client takes little more than importing what it stands on."""
    ready = "from civitai_ext import Civitai; civitai = Civitai()"
    base = _NO_CLICK + _timed("import httpx, attrs")
    variants = {
        "Civitai() ready": _NO_CLICK + _timed(ready),
        "Civitai() with its transport": _NO_CLICK + _timed(f"{ready}; civitai.transport"),
    }
    for code in (base, *variants.values()):
        probe(code)  # writes the byte code
    rows = []
    for what, code in variants.items():
        times = [(probe(code), probe(base)) for _ in range(pairs)]
        ratio = median(a / b for a, b in times)
        ours, theirs = (median(column) for column in zip(*times, strict=True))
        measured = f"{ratio:.2f} × ({1e3 * ours:.0f} ms, {1e3 * theirs:.0f} ms)"
        rows.append(Row(what, measured, "≤ 1.3 × import httpx, attrs", ratio <= 1.3))
    return rows


def template_reads_fast(runs: int = 7) -> list[Row]:
    """Reading a workflow is fast, also the first time."""
    code = "import json; from benchmarks.template_reading import times; print(json.dumps(times()))"
    probe(code)
    times = [probe(code) for _ in range(runs)]
    first = 1e3 * median(time["first"] for time in times)
    repeated = 1e6 * median(time["repeated"] for time in times)
    return [
        Row("WorkflowTemplate.from_dict, first", f"{first:.1f} ms", "≤ 15 ms", first <= 15),
        Row("WorkflowTemplate.from_dict, repeated", f"{repeated:.1f} µs", "≤ 25 µs", repeated <= 25),
    ]


def page_reads_fast() -> list[Row]:
    """A page of 100 models is read as fast as pydantic does."""
    code = "import json; from benchmarks.page_reading import compare; print(json.dumps(compare()))"
    result = probe(code)
    ratio, ours, theirs = result["ratio"], 1e3 * result["ours"], 1e3 * result["pydantic"]
    measured = f"{ratio:.2f} × ({ours:.1f} ms, {theirs:.1f} ms)"
    return [Row("100 models, bytes to objects", measured, "≤ 1 × pydantic", ratio <= 1)]


def generation_is_fast() -> list[Row]:
    """All clients are generated in half a minute."""
    code = dedent("""
        from pathlib import Path
        from tempfile import TemporaryDirectory
        from scripts.generate.__main__ import ROOT, SERVICES, build
        with TemporaryDirectory() as folder:
            build({name: ROOT / "openapi" / f"{name}.yaml" for name in SERVICES}, Path(folder, "civitai_api"))
    """)
    seconds = probe(_timed(code))
    return [Row("generating all four clients", f"{seconds:.1f} s", "≤ 30 s", seconds <= 30)]


def one_client_is_made() -> list[Row]:
    """All calls of a `Civitai` share one HTTP client and one TLS context."""
    made = probe("import json; from benchmarks.clients import count; print(json.dumps(count()))")
    clients, contexts, requests = made["clients"], made["tls_contexts"], made["requests"]
    ok = clients == contexts == 1 and requests > 1
    return [Row(f"made for {requests} calls of a Civitai", f"{clients} clients, {contexts} contexts", "1, 1", ok)]


BUDGETS: Final[dict[str, Callable[[], list[Row]]]] = {
    "import": import_loads_little,
    "ready": client_is_ready,
    "template": template_reads_fast,
    "page": page_reads_fast,
    "generate": generation_is_fast,
    "clients": one_client_is_made,
}

# ------------------------------------------------------------------------------------------------------- the command


def table(rows: Sequence[Row]) -> str:
    """Lay out the rows in columns."""
    cells = [("what", "measured", "budget", "ok")]
    cells += [(row.what, row.measured, row.budget, "yes" if row.ok else "MISSED") for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives 0, or 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description="Measure what the package promises about speed.")
    parser.add_argument("--only", action="append", choices=BUDGETS, metavar="NAME", help=f"one of {', '.join(BUDGETS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    rows = [row for name in options.only or BUDGETS for row in BUDGETS[name]()]
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) if options.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
