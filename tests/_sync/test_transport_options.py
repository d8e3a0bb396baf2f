# Derived from tests/_async/test_transport_options.py by scripts/unasync.py: change that file, then run `make fix`.
"""What can be set for a client, for a copy of it and for a single call."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest

from civitai_api.site.api.models import list_models
from civitai_ext import Civitai, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer, Silence

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(server: FaultServer) -> FaultServer:
    """The same server, which knows one answer."""
    server.script(Answer(body=b'{"id": 1, "name": "x"}'))
    return server


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


def test_what_a_call_sends_more_comes_after_its_own(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(body=b'{"items": []}'))
    civitai.transport.call(list_models.request(limit=1), extra_query={"limit": 2, "x": "é&"})
    assert server.received[0].target == "/api/v1/models?limit=1&limit=2&x=%C3%A9%26"


def test_a_header_is_a_text(civitai: Civitai, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidRequest, match="X-Trace"):
        civitai.models.get(1, extra_headers={"X-Trace": 7})  # type: ignore[dict-item]
    assert server.received == []


def test_a_call_can_be_given_less_time(civitai: Civitai, server: FaultServer) -> None:
    server.script(Silence())
    once = civitai.with_options(retry=RetryPolicy.off())
    with pytest.raises(errors.RequestTimeout):
        once.models.get(1, timeout=0.02)
    with pytest.raises(errors.RequestTimeout):
        once.with_options(timeout=0.02).me()


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


def test_what_was_used_before_does_not_tie_a_copy(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(body=b'{"items": []}'))
    civitai.models.list(limit=1).to_list()
    copy = (
        civitai.with_options(token=False)
        .with_options(extra_headers={"x-a": "1"})
        .with_options(extra_headers={"X-B": "2"})
    )
    copy.models.list(limit=1).to_list()
    mine, others = (request.headers for request in server.received)
    assert ("authorization" in mine, "authorization" in others) == (True, False)
    assert (others["x-a"], others["x-b"]) == ("1", "2")
    assert copy.config.token is None
    assert "anonymous" in repr(copy)


def test_a_copy_ends_with_its_original(civitai: Civitai, server: FaultServer) -> None:
    copy = civitai.with_options(timeout=5)
    civitai.close()
    with pytest.raises(errors.ConfigurationError, match="closed"):
        copy.models.get(1)


@pytest.mark.parametrize("wrong", [{"token": ""}, {"token": "Bearer x"}])
def test_a_copy_is_checked_as_a_client_is(civitai: Civitai, wrong: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigurationError, match="token"):
        civitai.with_options(token=wrong["token"])
    with pytest.raises(errors.InvalidRequest, match="cannot set Cookie"):
        civitai.with_options(extra_headers={"Cookie": "a=b"})


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


# ---------------------------------------------------------------------------------------------------- the HTTP client


def test_what_sends_can_be_exchanged() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"id": 1})

    with Civitai(False, transport=httpx.MockTransport(answer)) as civitai:
        assert (civitai.models.get(1)).id == 1
    assert seen == [f"{civitai.config.site_url}/api/v1/models/1"]


@pytest.mark.parametrize("url", ["http://civitai.invalid", "http://127.0.0.1:1"])
def test_a_proxy_can_be_named(server: FaultServer, url: str) -> None:
    with Civitai(False, site_url=url, proxy=server.url) as civitai:
        civitai.models.get(1)
    assert server.received[0].target == f"{url}/api/v1/models/1"


def test_certificates_can_come_from_a_file_or_a_folder(server: FaultServer, tmp_path: Path) -> None:
    for verify in (certifi.where(), Path(certifi.where()), tmp_path, ssl.create_default_context(), False):
        with Civitai(False, site_url=server.url, verify=verify) as civitai:
            civitai.models.get(1)
    with Civitai(False, site_url=server.url, verify=tmp_path / "missing.pem") as civitai:
        with pytest.raises(errors.ConfigurationError, match="cannot be set up"):
            civitai.models.get(1)


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


def test_a_cache_is_between_the_client_and_whatever_sends(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(200, json={"id": 1}, headers={"cache-control": "public, s-maxage=60"})

    cache = tmp_path / "deep" / "answers"
    with Civitai(False, transport=httpx.MockTransport(answer), cache=cache) as civitai:
        for _ in range(3):
            assert (civitai.models.get(1)).id == 1
        assert seen == ["/api/v1/models/1"]
        civitai.models.get(1, extra_headers={"x-api-key": "mine"})
        civitai.models.get(1, extra_query={"token": "mine"})
        for _ in range(2):
            civitai.with_options(token="other-token").me()
        assert len(seen) == 5
    assert b"mine" not in b"".join(path.read_bytes() for path in cache.parent.iterdir())


@pytest.mark.parametrize("status", [404, 502])
def test_no_error_is_kept(server: FaultServer, tmp_path: Path, status: int) -> None:
    public = {"cache-control": "public, s-maxage=300"}
    server.script(Answer(status, headers=public), Answer(body=b'{"id": 1}', headers=public))
    off = RetryPolicy.off()
    with Civitai(False, site_url=server.url, cache=tmp_path / "answers", retry=off) as civitai:
        with pytest.raises(errors.ApiError):
            civitai.models.get(1)
        assert (civitai.models.get(1)).id == 1


def test_what_is_stale_is_asked_for_again(server: FaultServer, tmp_path: Path) -> None:
    answer = Answer(body=b'{"id": 1}', headers={"cache-control": "public, max-age=0", "etag": '"v1"'})
    server.script(answer, Answer(304, b"", headers={"etag": '"v1"', "cache-control": "public, s-maxage=60"}))
    with Civitai(False, site_url=server.url, cache=tmp_path / "answers") as civitai:
        for _ in range(3):
            assert (civitai.models.get(1)).id == 1
    assert [request.headers.get("if-none-match") for request in server.received] == [None, '"v1"']


def test_a_cache_in_the_folder_of_the_user(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **more: tmp_path / name)
    with Civitai(False, site_url=server.url, cache=True) as civitai:
        civitai.models.get(1)
    assert list((tmp_path / "civitai-ext").glob("answers-*"))


def test_a_file_that_is_no_cache_is_told(server: FaultServer, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mine")) as database:
        database.execute("create table entries (x)")
    with Civitai(False, site_url=server.url, cache=tmp_path / "mine") as civitai:
        with pytest.raises(errors.ConfigurationError, match="cache cannot be used"):
            civitai.models.get(1)


def test_a_cache_without_its_extra_says_what_to_install(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hishel", None)
    with Civitai(False, site_url=server.url, cache=tmp_path / "answers") as civitai:
        with pytest.raises(errors.ConfigurationError, match=r"civitai-ext\[cache\]"):
            civitai.models.get(1)


@pytest.mark.parametrize("control", ["no-store", "private, max-age=60", ""])
def test_what_says_so_is_not_kept(server: FaultServer, tmp_path: Path, control: str) -> None:
    headers = {"cache-control": control} if control else {}
    server.script(Answer(body=b'{"id": 1, "name": "x"}', headers=headers))
    with Civitai(False, site_url=server.url, cache=tmp_path / "answers") as civitai:
        for _ in range(2):
            civitai.models.get(1)
    assert len(server.received) == 2


@pytest.mark.parametrize("wrong", [0, -1, "5", True, 1e10, float("inf"), float("nan")])
def test_no_host_can_be_silent_for_so_long(server: FaultServer, tmp_path: Path, wrong: Any) -> None:
    with Civitai(False, site_url=server.url) as civitai, Civitai(timeout=wrong) as other:
        calls: list[Callable[[], Any]] = [
            lambda: civitai.models.get(1, timeout=wrong),
            lambda: civitai.with_options(timeout=wrong).models.get(1),
            lambda: civitai.images.download(f"{server.url}/a.jpeg", tmp_path, timeout=wrong),
            lambda: other.models.get(1),
        ]
        for call in calls:
            with pytest.raises(errors.InvalidRequest, match="timeout is"):
                call()
    assert not server.received
