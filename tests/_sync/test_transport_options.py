# Derived from tests/_async/test_transport_options.py by scripts/unasync.py: change that file, then run `make fix`.
"""What can be set for a client, for a copy of it and for a single call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from civitai_ext import Civitai, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that answers as it is told."""
    with FaultServer() as server:
        server.script(Answer(body=b'{"id": 1, "name": "x"}'))
        yield server


@pytest.fixture
def civitai(server: FaultServer) -> Iterator[Civitai]:
    """A client of it."""
    with Civitai("secret-token", site_url=server.url, retry=RetryPolicy.immediate()) as civitai:
        yield civitai


# ---------------------------------------------------------------------------------------------------------- one call


def test_a_call_can_send_more(civitai: Civitai, server: FaultServer) -> None:
    civitai.models.get(1, extra_headers={"X-Trace": "7"}, extra_query={"a": ["b", "c"], "d": None})
    (request,) = server.received
    assert request.headers["x-trace"] == "7"
    assert request.target == "/api/v1/models/1?a=b&a=c"


@pytest.mark.parametrize("name", ["Authorization", "host", "Cookie", "Content-Length", "user-agent"])
def test_headers_that_decide_who_asks_whom_are_not_for_callers(
    civitai: Civitai, server: FaultServer, name: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"cannot set {name}"):
        civitai.models.get(1, extra_headers={name: "x"})
    assert server.received == []


@pytest.mark.parametrize(
    "part", ["models", "images", "creators", "tags", "users", "articles", "collections", "vault", "apps", "bugs"]
)
def test_a_misspelt_filter_is_told_at_once(civitai: Civitai, server: FaultServer, part: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'limitt'"):
        getattr(civitai, part).list(limitt=5)
    assert server.received == []


# ------------------------------------------------------------------------------------------------------------- copies


def test_a_copy_shares_the_connections_and_has_its_own_settings(civitai: Civitai, server: FaultServer) -> None:
    copy = civitai.with_options(token="other-token", extra_headers={"X-Job": "1"})
    civitai.me()
    copy.me()
    copy.close()
    civitai.me()
    tokens = [request.headers["authorization"] for request in server.received]
    assert tokens == ["Bearer secret-token", "Bearer other-token", "Bearer secret-token"]
    assert [request.headers.get("x-job") for request in server.received] == [None, "1", None]
    assert copy.transport.http is civitai.transport.http
    assert copy.transport.limiter is civitai.transport.limiter


def test_a_copy_can_be_anonymous(civitai: Civitai, server: FaultServer) -> None:
    civitai.with_options(token=False).me()
    assert "authorization" not in server.received[0].headers


def test_a_copy_can_give_up_at_once(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(502))
    with pytest.raises(errors.ServerError):
        civitai.with_options(retry=RetryPolicy.off()).models.get(1)
    assert len(server.received) == 1


def test_a_client_can_be_anonymous_whatever_the_environment_says(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", "from-the-environment")
    with Civitai(False, site_url=server.url) as civitai:
        civitai.models.get(1)
    assert "authorization" not in server.received[0].headers


# --------------------------------------------------------------------------------------------------------------- logs


def test_logs_on_demand_never_hold_the_token(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("civitai_ext")
    before = (logger.level, list(logger.handlers), list(logging.getLogger().handlers))
    monkeypatch.setenv("CIVITAI_LOG", "debug")
    try:
        for _ in range(2):
            with Civitai("secret-token", site_url=server.url) as civitai:
                civitai.models.get(1, extra_query={"token": "hidden"})
        assert len(logger.handlers) == len(before[1]) + 1
        assert logging.getLogger().handlers == before[2]
        told = capsys.readouterr().err
        assert told.count("GET ") == 2
        assert "secret-token" not in told
        assert "hidden" not in told
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]


def test_an_unknown_level_of_logs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_LOG", "loud")
    with pytest.raises(errors.ConfigurationError, match="loud"):
        Civitai()


# -------------------------------------------------------------------------------------------------------------- cache


def asked(emulator: Emulator) -> int:
    return len(emulator.journal)


def test_public_answers_are_kept_for_as_long_as_they_say(tmp_path: Path) -> None:
    with Emulator(models=5) as emulator:
        for _ in range(2):
            with Civitai(False, site_url=emulator.url, cache=tmp_path / "answers") as civitai:
                first = civitai.models.list(limit=2).to_list()
                assert civitai.models.list(limit=2).to_list() == first
        assert asked(emulator) == 1


def test_what_is_asked_with_a_token_is_never_kept(tmp_path: Path) -> None:
    with Emulator(models=5) as emulator:
        with Civitai(emulator.token, site_url=emulator.url, cache=tmp_path / "answers") as civitai:
            for _ in range(2):
                civitai.models.list(limit=2).to_list()
                civitai.me()
        assert asked(emulator) == 4


@pytest.mark.parametrize("control", ["no-store", "private, max-age=60", ""])
def test_what_says_so_is_not_kept(server: FaultServer, tmp_path: Path, control: str) -> None:
    headers = {"cache-control": control} if control else {}
    server.script(Answer(body=b'{"id": 1, "name": "x"}', headers=headers))
    with Civitai(False, site_url=server.url, cache=tmp_path / "answers") as civitai:
        for _ in range(2):
            civitai.models.get(1)
    assert len(server.received) == 2
