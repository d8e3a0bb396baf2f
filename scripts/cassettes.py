"""Record the cassettes of `tests/recorded` anew, from the emulator.

    python -m scripts.cassettes           write tests/cassettes
    python -m scripts.cassettes --check   change nothing; fail if what is there differs from what would be written

The same code gives the same bytes, so whatever differs is a change of behaviour: of the client's requests, or of the
emulator's answers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASSETTES = ROOT / "tests" / "cassettes"

_PYTEST = ("-m", "pytest", "tests/recorded", "-m", "vcr", "--record-mode=rewrite", "-q", "-p", "no:cacheprovider")


class RecordingError(RuntimeError):
    """A test failed while it was recorded; the message is what pytest says."""


def record() -> dict[Path, bytes]:
    """Run the tests against the emulator and give what every cassette has to contain, by its path in the folder.

    Raises:
        RecordingError: A test failed, so that there is nothing to rely on.
    """
    # Options and workers of a pytest that this one may be running in are not for it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with tempfile.TemporaryDirectory() as folder:
        # The library that writes the files leaves the encoding to Python.
        environment |= {"CIVITAI_CASSETTES": folder, "PYTHONUTF8": "1"}
        run = subprocess.run(
            [sys.executable, *_PYTEST], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            raise RecordingError(f"{run.stdout}{run.stderr}".strip())
        return present(Path(folder))


def present(folder: Path) -> dict[Path, bytes]:
    """Give what the cassettes in a folder contain."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.yaml"))}


def differences(wanted: Mapping[Path, bytes], found: Mapping[Path, bytes]) -> list[str]:
    """Tell in which files two sets of cassettes differ, one line each."""
    return sorted(
        [
            *(f"{path.as_posix()} is missing" for path in wanted.keys() - found.keys()),
            *(f"{path.as_posix()} has no test" for path in found.keys() - wanted.keys()),
            *(f"{path.as_posix()} differs" for path in wanted.keys() & found.keys() if wanted[path] != found[path]),
        ]
    )


def write(wanted: Mapping[Path, bytes], folder: Path) -> None:
    """Make the cassettes in a folder what they have to be, and remove those that have no test."""
    for path in present(folder).keys() - wanted.keys():
        (folder / path).unlink()
    for path, content in wanted.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def main(arguments: Sequence[str] | None = None, folder: Path = CASSETTES) -> int:
    """Run the command line; give back the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.cassettes", description="Record the cassettes anew.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if anything differs")
    check = parser.parse_args(arguments).check
    try:
        wanted = record()
    except RecordingError as error:
        print(f"{error}\nNothing was written: a test failed while it was recorded.", file=sys.stderr)
        return 1
    found = differences(wanted, present(folder))
    if check:
        if found:
            print(*found, "Run `python -m scripts.cassettes`, and see what `git diff` says.", sep="\n", file=sys.stderr)
        return 1 if found else 0
    write(wanted, folder)
    print(*found, f"{len(wanted)} cassettes, {len(found)} changed", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
