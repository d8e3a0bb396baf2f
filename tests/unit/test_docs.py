"""What the documentation shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from civitai_api.orchestration.models import Flux2KleinCreateImageInput
from civitai_ext import Civitai
from civitai_ext.emulator import Emulator
from tests.webhooks.posting import SECRET, Serving, step_event, workflow_event

ROOT = Path(__file__).parents[2]


def examples(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = examples("README.md")
    monkeypatch.chdir(tmp_path)
    with Emulator(models=60, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        with Civitai() as civitai:
            (model,) = civitai.models.list(types=["Checkpoint"], limit=1).to_list()
        # The one thing that the stand-in does not have is that very version.
        exec(code.replace("2514310", str(model.model_versions[0].id)), {})  # noqa: S102  # it is ours
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_the_example_of_the_emulator() -> None:
    code, *_ = examples("docs/emulator.md")
    exec(code, {})  # noqa: S102  # it is ours


def test_the_examples_of_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (each for each in examples("docs/emulator.md") if "def test_" in each)
    (tmp_path / "test_examples.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    command = [sys.executable, "-m", "pytest", "-p", "civitai_ext.pytest_plugin", "--strict-markers", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


def test_the_examples_of_generating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Emulator(models=1, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        exec("\n".join(examples("docs/generation.md")), {})  # noqa: S102  # they are ours
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    assert (tmp_path / "batch.zip").is_file()


def test_the_examples_of_the_generator_run() -> None:
    with Emulator(models=1, speed=1000) as emulator, Civitai(emulator.token, orchestration_url=emulator.url) as civitai:
        civitai.transport.sleep = lambda seconds: None
        names: dict[str, object] = {"civitai": civitai}
        for code in examples("docs/generator.md"):
            exec(code, names)  # noqa: S102  # it is ours
    assert {each.status for each in emulator.journal} == {200}


def test_the_examples_about_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Emulator(models=60, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        with Civitai() as civitai:
            picture = civitai.recipes.invoke({"prompt": "a cat", "width": 64, "height": 64}, type="textToImage").images[
                0
            ]
            civitai.blobs.download(picture, "cat.png")
            names = {"civitai": civitai}
            for code in examples("docs/blobs.md"):
                exec(code, names)  # noqa: S102  # it is ours
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_examples_about_downloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Emulator(models=60, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        names: dict[str, Any] = {}
        for code in examples("docs/downloads.md"):
            exec(code.replace("2514310", str(emulator.oddities["needs_login"].id)), names)  # noqa: S102  # it is ours
    assert (tmp_path / "models" / "odd.safetensors").read_bytes() == emulator.oddities["needs_login"].files[0].content
    assert len(list((tmp_path / "ComfyUI" / "models").rglob("*.safetensors"))) >= 1
    assert not (tmp_path / "elsewhere").exists()


def test_the_examples_about_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    with Emulator(models=60, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        with Civitai() as civitai:
            versions = (version for model in civitai.models.list() for version in model.model_versions)
            file = next(
                file for version in versions for file in version.files if (file.name or "").endswith(".safetensors")
            )
            signed = httpx.get(file.download_url, headers={"authorization": f"Bearer {emulator.token}"})
            answer = httpx.get(signed.headers["location"])
            (tmp_path / "models" / "detail.safetensors").write_bytes(answer.content)
            names = {"civitai": civitai}
            for code in examples("docs/files.md"):
                exec(code, names)  # noqa: S102  # it is ours
    assert (tmp_path / "copy.part").read_bytes() == answer.content


def test_the_examples_of_webhooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    seen: dict[str, Any] = {}
    with Emulator(models=1, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        for code in examples("docs/webhooks.md"):
            exec(code, seen)  # noqa: S102  # it is ours
        with Serving(seen["app"]) as server:
            assert httpx.post(f"{server.url}/{SECRET}", json=step_event()).status_code == 202
        with Civitai() as civitai, Serving(seen["site"]) as server:
            done = civitai.workflows.run(Flux2KleinCreateImageInput(prompt="a cat"))
            event = workflow_event(done.id, "succeeded")
            assert httpx.post(f"{server.url}/hooks/{SECRET}", json=event).status_code == 202
            while not (saved := list((tmp_path / "out" / done.id).glob("*.png"))):
                server.wait()
    assert len(saved) == 1
    assert emulator.deliveries


@pytest.mark.parametrize("name", ["README.md", *(path.name for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name if (ROOT / name).exists() else ROOT / "docs" / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples/demo.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pictures = list((tmp_path / "demo-output").glob("*.png"))
    assert len(pictures) == 2
    assert all(picture.name in done.stdout for picture in pictures)
    (model,) = (tmp_path / "demo-output" / "ComfyUI" / "models" / "checkpoints").glob("*.safetensors")
    assert f"7. Identify: {model.relative_to(tmp_path)}: " in done.stdout


def test_the_example_of_a_library_runs(tmp_path: Path) -> None:
    with Emulator(models=60) as emulator:
        environment = {**os.environ, **emulator.environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        with Civitai(emulator.token, site_url=emulator.url) as civitai:
            models = civitai.models.list(types=["LORA"], limit=20)
            old, *_ = [model.model_versions[-1] for model in models if len(model.model_versions) > 1]
            done = civitai.download(old, tmp_path / "models", cache=False)
        said = []
        for options in ([], ["--update"], []):
            command = [sys.executable, str(ROOT / "examples/library.py"), str(tmp_path / "models"), *options]
            ran = subprocess.run(
                command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
            )
            assert ran.returncode == 0, ran.stderr
            said.append(ran.stdout.splitlines())
    assert [len(lines) for lines in said] == [1, 2, 2]
    assert said[0][0].startswith(f"{done.path}: ")
    assert "update: " in said[0][0]
    assert "downloaded" in said[1][1]
    assert sorted("update: " in line for line in said[2]) == [False, True]


def test_the_example_of_webhooks_runs() -> None:
    command = [sys.executable, str(ROOT / "examples/webhooks.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("workflow:succeeded") == 2
    assert done.stdout.count("saved ") == 2


def test_a_batch_that_is_killed_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    prompts = [f"lighthouse {number}" for number in range(20)]
    (tmp_path / "prompts.txt").write_text("\n".join([*prompts, "", prompts[0], "broken [fail]"]), encoding="utf-8")
    command = [sys.executable, str(ROOT / "examples/batch.py"), "prompts.txt", "pictures"]
    with Emulator(models=1, speed=40, balance={"yellow": 10_000}) as emulator:
        environment = {**os.environ, **emulator.environment}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(4):
                process.stdout.readline()
            process.kill()
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("failed: broken [fail]: Workflow ")
        paid = [each.workflow_id for each in emulator.ledger.transactions if each.type == "debit"]
    assert len(paid) == len(set(paid)) == 21
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 20


@pytest.mark.parametrize("port", ["taken", "abc", "99999"])
def test_a_demo_that_cannot_start_says_why_in_a_line(
    tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(models=1) as emulator:
        monkeypatch.setenv("PORT", emulator.url.rpartition(":")[2] if port == "taken" else port)
        command = [sys.executable, str(ROOT / "examples/demo.py")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("demo: ")


def test_make_says_in_a_line_that_python_is_too_old(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").touch()
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    # What the make that runs the tests tells its own children is not for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for arguments in ([f"PYTHON={old}"], ["PYTHON="]):
        command = ["make", "demo", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "3.11 or newer" in done.stderr.splitlines()[0]
        assert not (tmp_path / ".venv").exists()


def test_the_examples_of_layouts() -> None:
    exec("\n".join(examples("docs/layouts.md")), {})  # noqa: S102  # they are ours


def test_the_examples_about_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIVITAI_LOGINS", str(tmp_path / "shared"))
    with Emulator(models=1) as emulator, ThreadPoolExecutor() as browser:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CIVITAI_TOKEN")
        monkeypatch.setattr(
            webbrowser, "open", lambda url: bool(browser.submit(lambda: httpx.get(emulator.oauth.approve(url))))
        )
        names: dict[str, Any] = {}
        for code in examples("docs/accounts.md"):
            exec(code.replace("your-client-id", emulator.oauth.public.id), names)  # noqa: S102  # it is ours
    assert (names["me"].username, names["guest"].account) == ("emulated", "default")
    assert [path.name for path in (tmp_path / "logins").glob("*.json")] == ["bob.json"]
    assert not list((tmp_path / "shared").glob("*.json"))
