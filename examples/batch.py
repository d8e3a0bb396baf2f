"""Generate a picture for every line of a file, and never pay for a line twice: stop it at any time and run it again.

    python examples/batch.py prompts.txt pictures/

It works for the account of `CIVITAI_TOKEN`; to try it without one, start `python -m civitai_ext.emulator` and set the
variables that it prints.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from civitai_api.orchestration.models import Flux2KleinCreateImageInput
from civitai_ext import Civitai, CivitaiError, Workflow, errors

MOST_AT_ONCE = 50
"""How many workflows are at the service at a time: some accounts may not have more."""


def key_of(prompt: str) -> str:
    """The key of a prompt. The service gives the workflow of the first time when it sees a key again."""
    return f"batch-{hashlib.sha256(prompt.encode()).hexdigest()[:32]}"


def run(civitai: Civitai, prompts: list[str], folder: Path, max_cost: float) -> int:
    """Generate and save what is not there yet; give how many prompts failed."""
    waiting = [prompt for prompt in prompts if not any(folder.glob(f"{key_of(prompt)}*"))]
    failed = 0
    print(f"{len(prompts)} prompts, {len(prompts) - len(waiting)} of them done before")
    while waiting:
        batch, waiting = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
        submitted: dict[Workflow, str] = {}
        for prompt in batch:
            step = Flux2KleinCreateImageInput(prompt=prompt)
            submitted[civitai.workflows.submit(step, external_id=key_of(prompt), max_cost=max_cost)] = prompt
        for workflow in civitai.workflows.as_completed(submitted, timeout=1800):
            prompt = submitted[workflow]
            try:
                workflow.raise_for_status()
            except errors.WorkflowError as error:
                failed += 1
                print(f"failed: {prompt}: {error}", file=sys.stderr)
            else:
                for path in workflow.save(folder, pattern=f"{key_of(prompt)}-{{index}}"):
                    print(f"{path}: {prompt}")
    return failed


def main() -> int:
    """Run the command; gives the exit status."""
    parser = argparse.ArgumentParser(description="Generate a picture for every line of a file.")
    parser.add_argument("prompts", type=Path, help="a text file with a prompt on every line")
    parser.add_argument("folder", type=Path, help="where to put the pictures")
    parser.add_argument("--max-cost", type=float, default=20, metavar="BUZZ", help="the most that a picture may cost")
    options = parser.parse_args()
    try:
        lines = options.prompts.read_text(encoding="utf-8").splitlines()
        prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        with Civitai() as civitai:
            return 1 if run(civitai, prompts, options.folder, options.max_cost) else 0
    except (CivitaiError, OSError, UnicodeError) as error:
        print(f"batch: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbatch: interrupted; run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
