"""Keep a folder of models up to date: tell what the files are, and download what is newer.

    python examples/library.py ComfyUI/models            say what there is
    python examples/library.py ComfyUI/models --update   … and download the newer versions beside the old ones

What the catalogue does not know is left alone. To try it without an account, start `python -m civitai_ext.emulator` and
set the variables that it prints.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from civitai_ext import Civitai, CivitaiError, Match, errors


def run(civitai: Civitai, folder: Path, *, update: bool) -> int:
    """Say what the files are; give how many could not be updated."""
    newer: dict[Path, list[Match]] = {}
    for match in civitai.identify(folder):
        print(match)
        if match.update is not None:
            newer.setdefault(match.path.parent, []).append(match)
    if not update:
        return 0
    failed = 0
    for place, matches in newer.items():  # each beside the file that it replaces
        versions = {match.update.id: match.update for match in matches if match.update is not None}
        try:
            found = civitai.download_many(versions.values(), place, sidecars=["json", "preview"], progress=True)
        except errors.DownloadsFailed as error:
            found = list(error.downloads)
        for done in found:
            print(done)
            failed += done.error is not None
    return failed


def main() -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(description="Keep a folder of models up to date.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--update", action="store_true", help="download newer versions")
    options = parser.parse_args()
    try:
        with Civitai(app="civitai-ext-library") as civitai:
            return 1 if run(civitai, options.folder, update=options.update) else 0
    except (CivitaiError, OSError) as error:
        print(f"library: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlibrary: interrupted; run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
