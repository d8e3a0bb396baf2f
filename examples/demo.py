"""The main job from end to end: search, pick, price, submit, wait, save; and the model itself.

Runs against the emulator. With LIVE=1 and CIVITAI_TOKEN set it runs against Civitai, and spends Buzz after asking.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from civitai_api.orchestration.models import SdxlCreateImageGenInput
from civitai_ext import Air, Civitai, CivitaiError, Progress, Step
from civitai_ext.emulator import Emulator, EmulatorError

PROMPT = "a lighthouse on a cliff at dawn, sea mist, oil painting"
OUT = Path("demo-output")


def main() -> int:
    """Run the demo; gives the exit status."""
    live = os.environ.get("LIVE") == "1"
    try:
        with ExitStack() as stack:
            token, url = (None, None) if live else emulated(stack)
            client = Civitai(token, site_url=url, orchestration_url=url, auth_url=url, app="civitai-ext-demo")
            civitai = stack.enter_context(client)
            if live and civitai.config.token is None:
                print("demo: LIVE=1 needs a token; set CIVITAI_TOKEN to one of your API keys", file=sys.stderr)
                return 2
            return run(civitai, ask=live)
    except (CivitaiError, EmulatorError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130


def emulated(stack: ExitStack) -> tuple[str, str]:
    """Start the emulator, and give its token and its address."""
    port = os.environ.get("PORT", "0")
    if not (port.isdecimal() and int(port) < 65536):
        raise EmulatorError(f"PORT is {port!r}, which is no port; leave it out to take a free one")
    emulator = stack.enter_context(Emulator(port=int(port), speed=3))
    print(f"Emulator at {emulator.url}: a stand-in, nothing leaves this machine and nothing is charged.\n")
    return emulator.token, emulator.url


def run(civitai: Civitai, *, ask: bool) -> int:
    """Do the job with a client; `ask` before Buzz is spent."""
    print("1. Search: checkpoints for SDXL, most downloaded first")
    found = civitai.models.list(
        types=["Checkpoint"], base_models=["SDXL 1.0"], sort="Most Downloaded", supports_generation=True, limit=5
    ).to_list()
    for model in found:
        creator = model.creator.username if model.creator else "unknown"
        print(f"   {model.id:>8}  {model.name[:40]:<40}  by {creator}")
    if not found:
        print("demo: the catalogue has no checkpoint to generate with", file=sys.stderr)
        return 1

    version = civitai.model_versions.get(found[0].model_versions[0].id)
    air = Air.parse(version.air or "")
    print(f"2. Pick: {found[0].name}, version {version.name}\n   {air}")

    step = Step(SdxlCreateImageGenInput(prompt=PROMPT, model=air, width=832, height=576, quantity=2), name="picture")
    estimate = civitai.workflows.estimate(step)
    print(f"3. Price: {estimate}")
    if ask and input("   Spend it? [y/N] ").strip().lower() not in {"y", "yes"}:
        print("   Nothing was submitted.")
        return 0

    workflow = civitai.workflows.submit(step, tags=["civitai-ext-demo"], max_cost=estimate.total)
    print(f"4. Submit: workflow {workflow.id}")
    layout = "   waiting: {percentage:3.0f}%|{bar:40}| {elapsed}{postfix}"
    with tqdm(total=100, bar_format=layout) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(progress.status)
            bar.update(round(progress.fraction * 100) - bar.n)

        workflow.wait(timeout=600, on_progress=show)

    print("5. Save:")
    for path in workflow.save(OUT):
        print(f"   {path}  {path.stat().st_size / 1024:.0f} KiB")

    plan = civitai.download(version, OUT / "ComfyUI", layout="comfyui", dry_run=True)
    print(f"6. Download: the model, to {plan.path}, {(plan.size or 0) / 1024**2:.2f} MiB")
    if plan.error is not None:
        print(f"   It is not given: {plan.error}")
        return 0
    if ask and input("   Download it? [y/N] ").strip().lower() not in {"y", "yes"}:
        return 0
    done = civitai.download(version, OUT / "ComfyUI", layout="comfyui", progress=True)
    print(f"   {done.status}, {'its hash is the published one' if done.verified else 'no hash is published'}")
    for match in civitai.identify(OUT / "ComfyUI", cache=False):
        print(f"7. Identify: {match}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
