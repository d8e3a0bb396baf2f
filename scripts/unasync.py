"""Derive the synchronous half from the asynchronous one, which is the only one that is written.

    python scripts/unasync.py           write civitai_ext/_sync (and tests/_sync, if there is a tests/_async)
    python scripts/unasync.py --check   change nothing; fail if what is there differs from what would be written

It replaces words, not syntax, so comments and layout stay. A word that means nothing in the other half belongs into a
helper with one form for each (`_lazy.AsyncLazy` and `_lazy.Lazy`), not into a cleverer rule here.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRS = {"civitai_ext/_async": "civitai_ext/_sync", "tests/_async": "tests/_sync"}
LINT = (
    # Imports that only the asynchronous form needs go; the others are sorted under their new names; and loops that
    # only pass on what they get are written as such.
    "--select=I,F401,C416,UP028",
    "--config=lint.extend-safe-fixes=['C416', 'UP028']",
    "--config=lint.isort.known-first-party=['civitai_ext']",  # else looked for on disk, where it may be missing still
)
BANNER = "# Derived from {source} by scripts/unasync.py: change that file, then run `make fix`.\n"

_BRACKETED = r"((?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*)"  # what is between two brackets, two more levels deep
RULES: dict[str, str] = {
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\bAwaitable\[" + _BRACKETED + r"\]": r"\1",
    r"\basynccontextmanager\b": "contextmanager",
    r"\b(_?)Async([A-Z]\w*)": r"\1\2",
    r"\b(_?)aiter(_\w+)": r"\1iter\2",
    r"\b__a(iter|next|enter|exit)__": r"__\1__",
    r"\baclose\b": "close",
    r"\baclosing\b": "closing",
    r"\basyncio\.CancelledError\b": "KeyboardInterrupt",
    r"\bimport asyncio\b": "import time",
    r"\basyncio\.sleep\b": "time.sleep",
    r"\.asyncio(_detailed)?\b": r".sync\1",
    r"(?<![A-Za-z0-9])_async\b": "_sync",
}


def derive(text: str, source: str, used: set[str] | None = None) -> str:
    """Give the synchronous form of `text`, the content of the file `source`, and note the rules that it took."""
    for pattern, replacement in RULES.items():
        text, count = re.subn(pattern, replacement, text)
        if count and used is not None:
            used.add(pattern)
    name = source.replace("_async", "_sync")
    text = _ruff("check", "--fix-only", "--quiet", *LINT, text=text, name=name)
    return _ruff("format", "--quiet", text=BANNER.format(source=source) + text, name=name)


def _ruff(*arguments: str, text: str, name: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", name, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def expected(root: Path, pairs: Mapping[str, str], used: set[str]) -> dict[Path, str]:
    """Give what every derived file has to contain."""
    return {
        root / target / path.relative_to(root / source): derive(
            path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), used
        )
        for source, target in pairs.items()
        for path in sorted((root / source).rglob("*.py"))
    }


def present(root: Path, pairs: Mapping[str, str]) -> dict[Path, str]:
    """Give what the derived files contain."""
    return {
        path: path.read_text(encoding="utf-8")
        for target in pairs.values()
        for path in sorted((root / target).rglob("*.py"))
    }


def problems(root: Path, pairs: Mapping[str, str]) -> list[str]:
    """Tell what differs from what would be written, and which rules are of no use any more."""
    used: set[str] = set()
    wanted, found = expected(root, pairs, used), present(root, pairs)
    return [
        *(f"{path.relative_to(root)} is missing" for path in wanted.keys() - found.keys()),
        *(f"{path.relative_to(root)} is derived from nothing" for path in found.keys() - wanted.keys()),
        *(f"{path.relative_to(root)} differs" for path in wanted.keys() & found.keys() if wanted[path] != found[path]),
        *(f"scripts/unasync.py: no file needs the rule {rule!r}" for rule in RULES if rule not in used),
    ]


def write(root: Path, pairs: Mapping[str, str]) -> None:
    """Make the derived files what they have to be, and remove those that are derived from nothing."""
    wanted = expected(root, pairs, set())
    for path in present(root, pairs).keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, pairs: Mapping[str, str] = PAIRS) -> int:
    """Run the command line; give back the exit status."""
    parser = argparse.ArgumentParser(description="Derive the synchronous half from the asynchronous one.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if anything differs")
    if not parser.parse_args(arguments).check:
        write(root, pairs)
        return 0
    found = problems(root, pairs)
    if found:
        print(*sorted(found), "Run `make fix`.", sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
