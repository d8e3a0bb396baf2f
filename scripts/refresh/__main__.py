"""`python -m scripts.refresh SOURCE`: take a published revision of the Orchestration API's document into `openapi/`.

SOURCE is a URL or a file with OpenAPI 3.0.1 to 3.1.1. The command brings it into the house form, writes
`orchestration.yaml` and `sources.lock`, and prints what changed. Exit codes: 0 done, or no drift; 1 drift, with
`--check`; 2 the document was refused, and nothing was written.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from scripts.openapi import lock
from scripts.openapi.documents import (
    DocumentError,
    Json,
    check_openapi,
    dump,
    load,
    operations,
    parse,
    read,
    replace_files,
)
from scripts.openapi.drift import compare
from scripts.openapi.normalise import normalise

NAME: Final = "orchestration"
PUBLISHED: Final = "https://orchestration.civitai.com/openapi/v2-consumers.json"
COMMENT: Final = "Written by `python -m scripts.refresh`, never by hand: corrections belong in overlays/."
FEWEST: Final = 0.8
"""A revision with a smaller share of the operations that are there is taken for a mistake."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's description."""
    options = _options(argv)
    try:
        return _refresh(options)
    except DocumentError as error:
        print(f"refused: {error}\nNothing was written to {options.openapi}.", file=sys.stderr)
    except OSError as error:
        print(f"failed: {error}\nNothing was written to {options.openapi}.", file=sys.stderr)
    return 2


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.refresh",
        description="Take a published revision of the Orchestration API into openapi/, and tell what changed.",
        epilog="Exit codes: 0 done or no drift; 1 drift (with --check); 2 refused, nothing written.",
    )
    parser.add_argument("source", nargs="?", default=PUBLISHED, help="URL or file; default: %(default)s")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything differs")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--openapi", type=Path, default=lock.OPENAPI, metavar="DIR", help="the folder to write to")
    parser.add_argument(
        "--allow-fewer",
        action="store_true",
        help=f"accept a document with less than {FEWEST:.0%} of the present operations",
    )
    return parser.parse_args(argv)


def _refresh(options: argparse.Namespace) -> int:
    target: Path = options.openapi / f"{NAME}.yaml"
    present = load(target)
    check_openapi(present, str(target))
    present = normalise(present)
    known = lock.read(options.openapi)
    data = read(options.source)
    document = parse(data, options.source)
    check_openapi(document, options.source)
    if not options.allow_fewer:
        _check_size(options.source, document, present)
    try:
        after = normalise(document, present)
    except DocumentError as error:
        raise DocumentError(f"{options.source}: {error}") from error

    report = compare(present, after)
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n" if options.json else report.to_text()
    sys.stdout.write(text)
    if options.check:
        return 1 if report.changes else 0

    text = dump(after, comment=COMMENT)
    source = lock.Source(
        source=options.source if "://" in options.source else Path(options.source).name,
        retrieved=lock.today(),
        sha256=lock.digest(text.encode()),
        published_sha256=lock.digest(data),
    )
    renewed = replace(known, documents={**known.documents, NAME: source})
    replace_files({target: text, options.openapi / lock.NAME: lock.render(renewed)})
    return 0


def _check_size(name: str, document: Json, present: Json) -> None:
    found, before = (sum(1 for _ in operations(each)) for each in (document, present))
    if found < FEWEST * before:
        raise DocumentError(
            f"{name}: has {found} operations where {before} are known, so it looks cut down or outdated;"
            " --allow-fewer takes it all the same"
        )


if __name__ == "__main__":
    sys.exit(main())
