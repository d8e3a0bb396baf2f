"""Starting, stopping, the command line, the journal, and what importing it costs."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import os
import pkgutil
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

import civitai_ext.emulator
from civitai_ext.emulator import Emulator, EmulatorError

PACKAGE = Path(civitai_ext.emulator.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(PACKAGE)], "civitai_ext.emulator."))
COMMAND = [sys.executable, "-m", "civitai_ext.emulator"]


def test_it_starts_in_less_than_a_second_and_says_what_it_is() -> None:
    begin = time.perf_counter()
    with Emulator() as emulator:
        answer = httpx.get(f"{emulator.site_url}/api/v1/enums")
        assert time.perf_counter() - begin < 1
    assert answer.status_code == 200
    assert answer.headers.get_list("server") == ["civitai-ext-emulator"]


def test_it_is_an_async_context_manager() -> None:
    async def run() -> int:
        async with Emulator(models=2) as emulator, httpx.AsyncClient() as client:
            return (await client.get(f"{emulator.url}/api/v1/enums")).status_code

    assert asyncio.run(run()) == 200


def test_it_names_the_variables_that_point_a_client_at_it(emulator: Emulator) -> None:
    assert emulator.environment == {
        "CIVITAI_SITE_URL": emulator.url,
        "CIVITAI_ORCHESTRATION_URL": emulator.url,
        "CIVITAI_AUTH_URL": emulator.auth_url,
        "CIVITAI_TOKEN": "test-token",
    }


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmulatorError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .+$"):
            Emulator(port, models=1).start()


def test_it_must_run_to_have_an_address() -> None:
    with pytest.raises(EmulatorError, match="not running"):
        _ = Emulator(models=1).url


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"models": "5"}, "models is a whole number, 0 or more, not '5'"),
        ({"port": "x"}, "port is a whole number"),
        ({"download_quota": -1}, "download_quota is a whole number, 0 or more"),
        ({"seed": "x"}, "seed is a whole number, not 'x'"),
        ({"speed": "fast"}, "speed is a number, not 'fast'"),
        ({"start": "2026-01-01"}, "start is a datetime, not '2026-01-01'"),
        ({"start": datetime(9000, 1, 1, tzinfo=UTC)}, "the clock ends with the year 8999"),
        ({"balance": 5}, "a balance is Buzz per colour, .*, not 5"),
        ({"balance": {"blue": -5}}, "blue Buzz is a whole number, 0 or more, not -5"),
        ({"token": ""}, "a token is one word"),
        ({"token": "tö\nken"}, "a token is one word"),
        ({"quirks": None}, "quirks is True, False or a set of names"),
    ],
)
def test_arguments_that_cannot_be_are_told_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Emulator(**{"models": 1} | wrong)


def test_its_clock_begins_at_the_moment_that_it_is_given() -> None:
    start = datetime(2026, 8, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    body = {"steps": [{"$type": "echo", "input": {"message": "hello"}}]}
    with Emulator(speed=0, models=1, start=start) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        answer = httpx.post(f"{emulator.url}/v2/consumer/workflows", json=body, headers=headers)
    assert answer.json()["createdAt"] == "2026-08-01T12:00:00.0000000Z"


def test_closing_twice_is_harmless_and_closing_ends_waiting_requests() -> None:
    emulator = Emulator(speed=0, models=1).start()
    headers = {"Authorization": f"Bearer {emulator.token}"}
    body = {"steps": [{"$type": "echo", "input": {"message": "hello"}}]}
    statuses: list[int] = []

    def wait() -> None:
        url = f"{emulator.url}/v2/consumer/workflows?wait=60"
        statuses.append(httpx.post(url, json=body, headers=headers, timeout=60).status_code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    _until(lambda: bool(emulator.clock._sleepers))
    emulator.close()
    emulator.close()
    waiting.join(10)
    assert statuses == [202]


def test_the_journal_holds_requests_but_no_credentials(emulator: Emulator, client: httpx.Client) -> None:
    client.get("/api/v1/models", params={"limit": 1, "token": "secret-in-query"})
    httpx.get(f"{emulator.url}/api/v1/me?token=secret-in-query")
    client.post("/v2/consumer/workflows", json={"steps": []})
    first, second, third = emulator.journal
    assert (first.method, first.path, first.query, first.status) == ("GET", "/api/v1/models", (("limit", "1"),), 200)
    assert (first.credential, second.credential) == ("header", "query")
    assert (third.status, third.body) == (400, {"steps": []})
    assert "secret-in-query" not in repr(emulator.journal)
    assert "test-token" not in repr(emulator.journal)


def test_unknown_paths_are_a_page_on_the_site_and_a_problem_elsewhere(reader: httpx.Client) -> None:
    assert reader.get("/api/v1/nothing").headers["content-type"].startswith("text/html")
    assert reader.get("/v2/nothing").headers["content-type"] == "application/problem+json"


# The command


def test_the_command_prints_the_variables_and_ends_on_ctrl_c() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--models", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        found = re.search(r"export CIVITAI_SITE_URL=(\S+)", "".join(lines))
        assert found, lines
        assert httpx.get(f"{found[1]}/api/v1/models").json()["items"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert "export CIVITAI_TOKEN=test-token\n" in lines


@pytest.mark.parametrize("arguments", [["--port", "none"], ["--models", "0"], ["--speed", "-1"], ["--port", "99999"]])
def test_bad_arguments_are_one_line(arguments: list[str]) -> None:
    process = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line_on_the_command_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ["--port", str(taken.getsockname()[1])]
        process = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1
    assert "cannot listen" in process.stderr


# Importing


def test_the_package_does_not_load_the_emulator_and_the_emulator_does_not_load_its_server() -> None:
    code = (
        "import sys, civitai_ext\n"
        "assert 'civitai_ext.emulator' not in sys.modules\n"
        "import civitai_ext.emulator\n"
        "assert not {'uvicorn', 'starlette', 'PIL', 'civitai_ext.emulator.server'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['uvicorn'] = None\nfrom civitai_ext.emulator import Emulator"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert "pip install 'civitai-ext[emulator]'" in process.stderr.splitlines()[-1]


def test_it_imports_nothing_of_the_sdk_but_the_version() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                own = name.startswith("civitai_ext.emulator") or name == "civitai_ext._version"
                own = own or (name == "httpx" and path.name == "callbacks.py")  # the one that calls others
                assert own or not name.startswith(("civitai_ext", "civitai_api", "httpx")), f"{path}: {name}"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def _until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """Give other threads the processor until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        os.sched_yield()
