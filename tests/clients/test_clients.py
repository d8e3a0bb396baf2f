"""Two clients that this project did not write, as they are: they work against the emulator unchanged.

Both are fetched from their registries once and kept in the cache folder of the user. Where that cannot be, their tests
are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from civitai_ext.emulator import Emulator

JAVASCRIPT = ("@civitai/client@0.2.0-beta.86", "esbuild@0.28.2")
PYTHON = "civitai-py==0.1.10"
OFFICIAL = Path(__file__).with_name("official.mjs")
RETIRED = """
import json, sys
import civitai

civitai.civitai.base_path = sys.argv[1]
job = {"model": "urn:air:sd1:checkpoint:civitai:4384@128713",
       "params": {"prompt": "a cat", "scheduler": "EulerA", "steps": 20, "cfgScale": 7, "width": 512, "height": 512}}
token = civitai.image.create(job)["token"]
print(json.dumps({"before": civitai.jobs.get(token=token), "done": civitai.image.create(job, wait=True)}))
"""
SECONDS = 120


def _run(command: list[str], **variables: str) -> str:
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fetched(name: str, *command: str) -> Path:
    """Find the folder of this name in the cache, or let a command fill it, whose last word is to be the folder."""
    folder = platformdirs.user_cache_path("civitai-ext") / "tests" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Filled under another name first: whatever ends half-way, or runs at the same time, does no harm.
    with tempfile.TemporaryDirectory(dir=folder.parent) as filling:
        inside = Path(filling) / "inside"
        inside.mkdir()
        try:
            subprocess.run([*command, str(inside)], capture_output=True, text=True, timeout=SECONDS, check=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{name} cannot be fetched: {(error.stderr or error.stdout).strip().splitlines()[-1:]}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"{name} cannot be fetched within {SECONDS} seconds")
        try:
            inside.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that uses the official client; Node alone cannot resolve the modules of that."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1")
    folder = _fetched("_".join(JAVASCRIPT).replace("/", "_"), npm, "install", *options, *JAVASCRIPT, "--prefix")
    modules, bundle = folder / "node_modules", tmp_path_factory.mktemp("javascript") / "bundle.mjs"
    esbuild = [str(modules / ".bin" / "esbuild"), str(OFFICIAL), "--bundle", "--platform=node", "--format=esm"]
    _run([*esbuild, f"--outfile={bundle}", "--log-level=error"], NODE_PATH=str(modules))
    return bundle


@pytest.fixture(scope="module")
def library() -> Path:
    """The folder that the retired client is in, with all that it needs."""
    options = ("--quiet", "--disable-pip-version-check", "--retries", "1")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _fetched(f"{PYTHON}_{version}", sys.executable, "-m", "pip", "install", *options, PYTHON, "--target")


def _javascript(bundle: Path, emulator: Emulator, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_run(["node", str(bundle), what], **emulator.environment))
    return found


def test_the_official_client_waits_for_a_workflow(bundle: Path) -> None:
    with Emulator(models=1, speed=50) as emulator:
        found = _javascript(bundle, emulator, "wait")
        assert found["statuses"][-1] == "succeeded"
        assert [image["type"].partition("/")[0] for image in found["images"]] == ["image"] * 2
        assert all(image["length"] for image in found["images"])
        assert {exchange.status for exchange in emulator.journal} <= {200, 202}
        assert {transaction.workflow_id for transaction in emulator.ledger.transactions} == {found["id"]}


def test_the_official_client_cancels_a_workflow(bundle: Path) -> None:
    with Emulator(models=1, speed=0) as emulator:
        before = dict(emulator.ledger.balance)
        found = _javascript(bundle, emulator, "cancel")
        assert found["statuses"] == ["unassigned", "canceled"]
        assert found["images"] == []
        assert emulator.ledger.balance == before
        assert [transaction.type for transaction in emulator.ledger.transactions] == ["debit", "credit"]


def test_the_retired_client_waits_for_a_job(library: Path) -> None:
    with Emulator(models=1, speed=50) as emulator:
        # -S: nothing but its own packages.
        command = [sys.executable, "-S", "-c", RETIRED, emulator.orchestration_url]
        found = json.loads(_run(command, PYTHONPATH=str(library), CIVITAI_API_TOKEN=emulator.token))
        (before,), (done,) = found["before"]["jobs"], found["done"]["jobs"]
        assert before["cost"] == done["cost"] > 0
        assert done["result"]["available"] is True
        assert done["result"]["blobUrl"].startswith(emulator.url)
        assert {transaction.workflow_id for transaction in emulator.ledger.transactions} == {
            before["jobId"],
            done["jobId"],
        }
