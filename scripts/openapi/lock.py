"""`openapi/sources.lock`: where each document came from, when, what it hashes to, and which generator reads it.

`python -m scripts.openapi.lock` writes the hashes anew; with `--check` it names what differs and exits 1.
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from scripts.openapi.documents import DocumentError, replace_files

__all__ = ["DOCUMENTS", "NAME", "OPENAPI", "Lock", "Source", "check", "digest", "read", "render", "today", "update"]

OPENAPI: Final = Path(__file__).parents[2] / "openapi"
NAME: Final = "sources.lock"
DOCUMENTS: Final = ("generator", "oauth", "orchestration", "site")
GENERATOR: Final = "openapi-python-client"
BY_HAND: Final = "written by hand"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document came from."""

    source: str
    """A URL, the name of a file, or `written by hand`."""
    retrieved: date
    """When its content was taken from the service, be it as a document or as facts."""
    sha256: str
    """Of the file in `openapi/`."""
    published_sha256: str | None = None
    """Of what was read from `source`, for a document that `scripts.refresh` brought into the house form."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of the lock."""

    documents: dict[str, Source]
    generator: str
    """The version of openapi-python-client that `generated/` was made with."""


def read(folder: Path = OPENAPI) -> Lock:
    """Read the lock of a folder; an empty one if there is none yet.

    Raises:
        DocumentError: The lock cannot be understood.

    """
    path = folder / NAME
    if not path.exists():
        return Lock({}, version(GENERATOR))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        documents = {name: Source(**entry) for name, entry in content["documents"].items()}
        return Lock(documents, content["generator"][GENERATOR])
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError(f"{path}: cannot be understood ({error})") from error


def render(lock: Lock) -> str:
    """Write a lock as TOML, documents by name."""
    lines = ["# Where each document in this folder came from. Written by scripts/, never by hand."]
    for name, source in sorted(lock.documents.items()):
        lines += ["", f"[documents.{name}]", f"source = {json.dumps(source.source, ensure_ascii=False)}"]
        lines += [f"retrieved = {source.retrieved.isoformat()}", f'sha256 = "{source.sha256}"']
        if source.published_sha256:
            lines.append(f'published_sha256 = "{source.published_sha256}"')
    return "\n".join([*lines, "", "[generator]", f'{GENERATOR} = "{lock.generator}"', ""])


def update(folder: Path = OPENAPI) -> Lock:
    """Hash the documents of a folder anew and write its lock; a document that is new there counts as written by hand.

    Raises:
        DocumentError: The present lock cannot be understood.

    """
    known = read(folder).documents
    documents = {}
    for name in DOCUMENTS:
        path = folder / f"{name}.yaml"
        if path.exists():
            source = known.get(name, Source(BY_HAND, today(), ""))
            documents[name] = replace(source, sha256=digest(path.read_bytes()))
    lock = Lock(documents, version(GENERATOR))
    replace_files({folder / NAME: render(lock)})
    return lock


def check(folder: Path = OPENAPI) -> list[str]:
    """Name every difference between a folder and its lock; none is an empty list.

    Raises:
        DocumentError: The lock cannot be understood.

    """
    return list(_differences(folder, read(folder)))


def _differences(folder: Path, lock: Lock) -> Iterator[str]:
    for name in DOCUMENTS:
        path = folder / f"{name}.yaml"
        if not path.exists():
            yield f"{path.name} is missing"
        elif name not in lock.documents:
            yield f"{path.name} is not in {NAME}"
        elif digest(path.read_bytes()) != lock.documents[name].sha256:
            yield f"{path.name} is not the one in {NAME}"
    if lock.generator != version(GENERATOR):
        yield f"{GENERATOR} is {version(GENERATOR)}, but {lock.generator} in {NAME}"


def digest(data: bytes) -> str:
    """Give the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def today() -> date:
    """Give the date in UTC."""
    return datetime.now(UTC).date()


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's description."""
    parser = argparse.ArgumentParser(prog="python -m scripts.openapi.lock", description="Hash the documents anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something differs")
    parser.add_argument("--openapi", type=Path, default=OPENAPI, metavar="DIR", help="the folder of the documents")
    options = parser.parse_args(argv)
    try:
        differences = check(options.openapi) if options.check else []
        if not options.check:
            update(options.openapi)
    except DocumentError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    for difference in differences:
        print(difference, file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
