"""The pytest plugin, as somebody else's test suite sees it: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from civitai_ext.pytest_plugin import read_setting

pytest_plugins = ["pytester"]

PLUGIN = "civitai_ext.pytest_plugin"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load this plugin and no other, whatever is installed, and let the package be found from anywhere."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-p {PLUGIN} -p no:cacheprovider --strict-markers -W error")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'generated'}")


def test_the_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "of whoever runs the tests")
    monkeypatch.setenv("CIVITAI_LOGINS", "/of/whoever/runs/the/tests")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.delenv("CIVITAI_SITE_URL", raising=False)
    pytester.makepyfile(
        test_clients="""
        import asyncio, pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        def test_a_client(civitai, civitai_emulator):
            assert len(civitai.models.list(limit=3).to_list()) == 3
            workflow = civitai.workflows.submit({"$type": "echo", "input": {"message": "hello"}})
            assert workflow.wait(timeout=20).status == "succeeded"
            assert {each.credential for each in civitai_emulator.journal if each.path.startswith("/v2/")} == {"header"}

        def test_it_sends_again_at_once(civitai, civitai_emulator):
            civitai_emulator.faults.add("GET /api/v1/models", status=503, retry_after="30", times=2)
            assert civitai.models.list(limit=1).to_list()

        @pytest.mark.parametrize("number", range(2))
        def test_nothing_is_left_for_the_next_test(civitai, civitai_emulator, number):
            assert not civitai_emulator.journal and not civitai_emulator.ledger.transactions
            civitai.workflows.submit({"$type": "echo", "input": {"message": "hello"}})
            civitai_emulator.faults.add(status=500)
            assert civitai_emulator.journal

        @pytest.mark.anyio
        async def test_with_anyio(async_civitai):
            async with async_civitai as civitai:
                assert [each async for each in civitai.models.list(limit=2)]

        def test_with_a_loop_of_ones_own(async_civitai):
            async def asks():
                async with async_civitai as civitai:
                    return await civitai.me()
            assert asyncio.run(asks()).username == "emulated"
        """,
        test_arguments="""
        import pytest

        pytestmark = pytest.mark.civitai(speed=3, seed=2)

        def of(emulator):
            (account,) = emulator.accounts
            few = len(emulator.catalogue.models) < 10
            return emulator.clock.speed, few, account.tier, emulator.ledger.balance["yellow"]

        def test_of_the_settings_and_the_module(civitai_emulator):
            assert of(civitai_emulator) == (3, True, "gold", 5)

        @pytest.mark.civitai(speed=0, tier=None)
        def test_of_a_nearer_marker(civitai_emulator):
            assert of(civitai_emulator) == (0, True, None, 5)
        """,
        test_environment="""
        import os, subprocess, sys

        def test_before():
            assert "CIVITAI_SITE_URL" not in os.environ

        def test_programs_find_the_emulator_and_nobodys_credentials(civitai_emulator):
            program = (
                "import os; from civitai_ext import Civitai; civitai = Civitai(); print(civitai.me().username);"
                "print('whoever' in str(os.environ), os.environ['no_proxy'], os.listdir(os.environ['CIVITAI_LOGINS']))"
            )
            printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            assert printed.stdout.split() == ["emulated", "False", "127.0.0.1,example.com", "[]"]

        def test_after():
            assert os.environ["CIVITAI_API_KEY"] == "of whoever runs the tests"
            assert "CIVITAI_SITE_URL" not in os.environ
        """,
    )
    settings = ["models=5", "tier = gold", 'balance={"blue": 100, "yellow": 5}']
    pytester.makefile(".toml", pyproject=f"[tool.pytest.ini_options]\ncivitai_emulator = {settings}")
    pytester.runpytest_subprocess("-p", "anyio").assert_outcomes(passed=11)


def test_arguments_that_cannot_be(pytester: pytest.Pytester) -> None:
    markers = ["sped=0", "tier='tin'", "0", "port=1 << 20"]
    tests = [
        f"@pytest.mark.civitai({marker})\ndef test_{place}(civitai_emulator): pass"
        for place, marker in enumerate(markers)
    ]
    pytester.makepyfile("import pytest\n" + "\n".join(tests))
    outcome = pytester.runpytest_subprocess()
    outcome.assert_outcomes(errors=4)
    outcome.stdout.fnmatch_lines(
        [
            "*cannot start: *unexpected keyword argument 'sped'",
            "*cannot start: there is no membership 'tin'; there are founder, *",
            "*cannot start: pytest.mark.civitai takes names and values, such as speed=0, and not 0",
            "*cannot start: cannot listen on 127.0.0.1:1048576*",
        ]
    )
    outcome.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_setting_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="has the line 'speed', and not a name and a value such as speed=0"):
        read_setting(["models=5", "speed"])


def test_in_several_processes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(civitai, civitai_emulator, number):
            civitai.models.list(limit=1).to_list()
            assert len(civitai_emulator.journal) == 1
        """
    )
    pytester.runpytest_subprocess("-p", "xdist", "-n", "2").assert_outcomes(passed=4)


def test_what_a_missing_extra_says(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['starlette'] = None")
    pytester.makepyfile("def test_it(civitai): pass\ndef test_other(): pass")
    outcome = pytester.runpytest_subprocess()
    outcome.assert_outcomes(errors=1, passed=1)
    outcome.stdout.fnmatch_lines(["the emulator needs starlette*, which *pip install 'civitai-ext[[]emulator]'"])
    said = [line for line in outcome.outlines if "pip install" in line]
    assert len([line for line in said if not line.startswith("ERROR")]) == 1  # in CI, the summary repeats it


def test_it_costs_nothing_before_it_is_used() -> None:
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    assert entries == {"civitai": PLUGIN}
    program = f"import pytest, json, sys; before = set(sys.modules); import {PLUGIN}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name not in sys.stdlib_module_names}
    assert loaded == {"civitai_ext", "civitai_ext._version", PLUGIN}
