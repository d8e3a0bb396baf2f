"""What the transport does when things go wrong, over real sockets, in both halves."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from civitai_api import runtime
from civitai_api.runtime import Request, Response
from civitai_ext import AsyncCivitai, Civitai, errors
from civitai_ext._async.http import AsyncHttp
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import RetryPolicy
from civitai_ext._config import Config
from civitai_ext._sync.http import Http
from civitai_ext._sync.transport import Transport
from tests.faults.server import Answer, Cut, FaultServer, Quota, Raw, Reset, Silence, closed_port

TOKEN = "t0ken-that-nobody-may-see"
STEADY = RetryPolicy(jitter=0)
PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


class SyncDriver:
    """The synchronous half, driven as the asynchronous one is."""

    def __init__(self, config: Config, policy: RetryPolicy, timeout: float) -> None:
        self.sleeps: list[float] = []
        self.transport = Transport(
            config, Http(timeout=timeout), policy=policy, sleep=self.sleeps.append, clock=lambda: sum(self.sleeps)
        )

    def send(self, request: Request[Any], **options: Any) -> Response:
        return self.transport.send(request, **options)

    def call(self, request: Request[Any]) -> Any:
        return self.transport.call(request)

    def operation(self, build: Callable[[], Request[Any]]) -> Any:
        return runtime.sync(build)(self.transport)

    def post(self, url: str, headers: dict[str, str], pieces: list[bytes]) -> Response:
        return self.transport.http.send("POST", url, headers=headers, content=iter(pieces))

    def chunks(self, url: str, headers: dict[str, str] | None = None) -> bytes:
        with self.transport.http.stream("GET", url, headers=headers) as stream:
            return b"".join(stream.chunks())

    def read(self, url: str, limit: int) -> Response:
        with self.transport.http.stream("GET", url) as stream:
            return stream.read(limit)

    def close_transport(self) -> None:
        self.transport.close()

    def close(self) -> None:
        self.close_transport()


class AsyncDriver:
    """The asynchronous half, each call in the same event loop."""

    def __init__(self, config: Config, policy: RetryPolicy, timeout: float) -> None:
        self.sleeps: list[float] = []
        self.transport = AsyncTransport(
            config, AsyncHttp(timeout=timeout), policy=policy, sleep=self._sleep, clock=lambda: sum(self.sleeps)
        )
        self._runner = asyncio.Runner()

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)

    def send(self, request: Request[Any], **options: Any) -> Response:
        return self._runner.run(self.transport.send(request, **options))

    def call(self, request: Request[Any]) -> Any:
        return self._runner.run(self.transport.call(request))

    def operation(self, build: Callable[[], Request[Any]]) -> Any:
        async def run() -> Any:
            return await runtime.asyncio(build)(self.transport)

        return self._runner.run(run())

    def post(self, url: str, headers: dict[str, str], pieces: list[bytes]) -> Response:
        async def content() -> Any:
            for piece in pieces:
                yield piece

        return self._runner.run(self.transport.http.send("POST", url, headers=headers, content=content()))

    def chunks(self, url: str, headers: dict[str, str] | None = None) -> bytes:
        async def run() -> bytes:
            async with self.transport.http.stream("GET", url, headers=headers) as stream:
                return b"".join([chunk async for chunk in stream.chunks()])

        return self._runner.run(run())

    def read(self, url: str, limit: int) -> Response:
        async def run() -> Response:
            async with self.transport.http.stream("GET", url) as stream:
                return await stream.read(limit)

        return self._runner.run(run())

    def close_transport(self) -> None:
        self._runner.run(self.transport.aclose())

    def close(self) -> None:
        self.close_transport()
        self._runner.close()


Driver = SyncDriver | AsyncDriver
Make = Callable[..., Driver]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Driver] = []

    def one(
        url: str, *, token: str | None = TOKEN, policy: RetryPolicy = STEADY, timeout: float = 10.0, **more: str
    ) -> Driver:
        urls = {"site_url": url, "orchestration_url": url, "auth_url": url, **more}
        driver: Driver = request.param(Config.load(token=token, environ={}, **urls), policy, timeout)
        made.append(driver)
        return driver

    yield one
    for driver in made:
        driver.close()


@pytest.fixture
def driver(make: Make, server: FaultServer) -> Driver:
    return make(server.url)


def operation(method: str = "GET", path: str = "/api/v1/things", **more: Any) -> Request[Any]:
    return Request(service="site", operation="doThings", method=method, path=path, answers={200: None}, **more)


GET = operation()
POST = operation("POST", body={"steps": []}, media_type="application/json")


# ------------------------------------------------------------------------------------------------------------- sending


def test_an_answer_comes_back_decoded(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=b'{"items": [1]}'))
    assert driver.call(GET) == {"items": [1]}
    assert driver.operation(lambda: GET) == {"items": [1]}
    assert driver.sleeps == []


def test_what_is_sent(driver: Driver, server: FaultServer) -> None:
    driver.send(operation("POST", query={"a": [1, 2], "b": None}, body={"x": "é"}, media_type="application/json"))
    (request,) = server.received
    assert (request.method, request.target) == ("POST", "/api/v1/things?a=1&a=2")
    assert json.loads(request.body) == {"x": "é"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["user-agent"].startswith("civitai-ext/")


def test_an_operation_can_ask_for_another_media_type(driver: Driver, server: FaultServer) -> None:
    driver.send(operation(headers={"Accept": "application/zip"}))
    assert server.received[0].headers["accept"] == "application/zip"


def test_a_content_in_pieces_is_sent_with_its_length(driver: Driver, server: FaultServer) -> None:
    driver.post(server.url + "/blobs", {"content-length": "6"}, [b"abc", b"def"])
    assert server.received[0].body == b"abcdef"
    assert "transfer-encoding" not in server.received[0].headers


def test_a_path_cannot_change_the_host(driver: Driver, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidRequest, match="slash"):
        driver.send(operation(path="@evil.example/"))
    assert server.received == []


def test_a_header_that_cannot_be_sent_is_found_and_not_shown(driver: Driver) -> None:
    for value in (f"{TOKEN}\r\nx: y", "ключ"):
        with pytest.raises(errors.InvalidRequest) as caught:
            driver.send(operation(headers={"x-extra": value}))
        assert TOKEN not in shown(caught.value)


# --------------------------------------------------------------------------------------------------------- credentials


def test_the_token_goes_only_where_it_is_asked_for(driver: Driver, server: FaultServer) -> None:
    driver.send(operation(authenticated=False))
    driver.send(GET)
    assert ["authorization" in request.headers for request in server.received] == [False, True]


def test_the_token_goes_to_no_other_origin(driver: Driver, server: FaultServer) -> None:
    own = server.url
    assert driver.transport.knows_caller(f"{own}/x")
    for other in (f"http://localhost:{own.rpartition(':')[2]}/", own.rpartition(":")[0], f"{own}@evil.example/", ""):
        assert not driver.transport.knows_caller(other)


def test_a_redirect_is_given_back_and_not_followed(driver: Driver, server: FaultServer) -> None:
    with FaultServer() as other:
        server.script(Answer(307, b"", {"location": f"{other.url}/f?X-Amz-Signature=deadbeef"}))
        answer = driver.send(GET)
        assert (answer.status, answer.headers["location"]) == (307, f"{other.url}/f?X-Amz-Signature=deadbeef")
        with pytest.raises(errors.UnexpectedResponse) as caught:
            driver.call(GET)
        assert f"redirects to {other.url}/f?X-Amz-Signature=***" in str(caught.value)
        assert "deadbeef" not in shown(caught.value)
        assert other.received == []


def test_a_redirect_to_the_login_page_says_what_is_missing(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(302, b"", {"location": "/login?reason=download-auth"}))
    with pytest.raises(errors.UnexpectedResponse, match="a token is needed"):
        driver.call(GET)


def test_cookies_are_not_kept(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(headers={"set-cookie": "session=abc; Path=/"}))
    driver.send(GET)
    driver.send(GET)
    assert "cookie" not in server.received[1].headers


def test_netrc_is_not_read(make: Make, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    make(server.url, token=None).send(GET)
    assert "authorization" not in server.received[0].headers


def test_proxies_come_from_the_environment(make: Make, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    make("http://civitai.invalid", token=None).send(GET)
    assert server.received[0].target == "http://civitai.invalid/api/v1/things"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_of_the_environment_hears_what_this_machine_tells_itself(
    make: Make, server: FaultServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with FaultServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        make(server.url.replace("127.0.0.1", host)).send(GET)
        assert not proxy.received
    assert server.received[0].target == "/api/v1/things"


@pytest.mark.parametrize(
    "url",
    [
        "me:pass-word@proxy.example",
        "http://me:pass/word@proxy.example",
        "http://me:pass@[::1",
        "gopher://me:pass@h",
        "http://",
        "",
    ],
)
def test_a_proxy_that_is_none_is_not_quoted(url: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ConfigurationError, match="proxy is not the URL") as caught:
        Http(proxy=url)
    told = "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("HTTP_PROXY", "http://me:pass/word@proxy.example")
    monkeypatch.setenv("http_proxy", "http://me:pass/word@proxy.example")
    with pytest.raises(errors.ConfigurationError, match="proxy in the environment") as caught:
        Http().send("GET", server.url)
    assert "pass" not in told + "".join(traceback.format_exception(caught.value))


# ------------------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 524])
def test_a_passing_error_is_retried_with_growing_delays(driver: Driver, server: FaultServer, status: int) -> None:
    server.script(Answer(status), Answer(status), Answer(body=b"[1]"))
    assert driver.call(GET) == [1]
    assert driver.sleeps == [0.5, 1.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 451, 501, 530])
def test_a_lasting_error_is_not_retried(driver: Driver, server: FaultServer, status: int) -> None:
    server.script(Answer(status))
    with pytest.raises(errors.ApiError) as caught:
        driver.send(GET)
    assert caught.value.status == status
    assert len(server.received) == 1


def test_attempts_end(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(502))
    with pytest.raises(errors.ServerError) as caught:
        driver.send(GET)
    assert len(server.received) == 4
    assert driver.sleeps == [0.5, 1.0, 2.0]
    assert caught.value.__notes__ == ["It was sent 4 times."]


def test_retries_can_be_switched_off(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(502))
    with pytest.raises(errors.ServerError):
        driver.send(GET, policy=RetryPolicy.off())
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": formatdate(0, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, 0.5),
    ],
)
def test_retry_after_is_honoured(driver: Driver, server: FaultServer, headers: dict[str, str], delay: float) -> None:
    server.script(Answer(503, headers=headers), Answer())
    driver.send(GET)
    assert sum(driver.sleeps) == delay


def test_the_time_for_all_attempts_is_limited(make: Make, server: FaultServer) -> None:
    server.script(Answer(429, headers={"retry-after": "50"}))
    driver = make(server.url, policy=RetryPolicy(attempts=9, jitter=0))
    with pytest.raises(errors.RateLimited) as caught:
        driver.send(GET)
    assert driver.sleeps == [50, 50], "a third wait would end 150 seconds after the first attempt"
    assert caught.value.__notes__ == ["It was sent 3 times."]


def test_no_waiting_where_none_is_wanted(make: Make, server: FaultServer) -> None:
    server.script(Answer(429, headers={"retry-after": "50"}), Answer(502), Answer())
    driver = make(server.url, policy=RetryPolicy.immediate())
    driver.send(GET)
    assert sum(driver.sleeps) == 0


def test_others_wait_too_when_the_service_gets_too_much(make: Make, server: FaultServer) -> None:
    driver = make(server.url, policy=RetryPolicy(attempts=2, jitter=0))
    server.script(Answer(503, headers={"retry-after": "2"}), Answer(429, headers={"retry-after": "7"}), Answer())
    with pytest.raises(errors.RateLimited):
        driver.send(GET)
    driver.send(GET)
    assert driver.sleeps == [2, 7]


def test_a_call_that_is_not_to_be_repeated_makes_nobody_wait(make: Make, server: FaultServer) -> None:
    driver = make(server.url, policy=RetryPolicy.off())
    server.script(Answer(429, headers={"retry-after": "7"}), Answer())
    with pytest.raises(errors.RateLimited):
        driver.send(GET)
    driver.send(GET)
    assert driver.sleeps == []


def test_a_retry_after_that_is_too_long_is_told_at_once(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(429, headers={"retry-after": "3600"}))
    with pytest.raises(errors.RateLimited, match="Wait 3600 seconds") as caught:
        driver.send(GET)
    assert caught.value.retry_after == 3600
    assert driver.sleeps == []


def test_the_page_limit_is_not_retried(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(429, b'{"error": "You\'ve requested too many pages, please use cursors instead"}'))
    with pytest.raises(errors.PageLimitReached, match="cursor"):
        driver.send(GET)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "fault", [Reset(), Cut(), Raw(b""), Raw(b"\x00\xff nonsense\r\n\r\n"), Answer(500), Answer(503)]
)
def test_what_may_have_been_done_is_not_done_twice(driver: Driver, server: FaultServer, fault: Any) -> None:
    server.script(fault, Answer())
    with pytest.raises(errors.CivitaiError):
        driver.send(POST)
    assert len(server.received) == 1
    assert driver.sleeps == []


@pytest.mark.parametrize("fault", [Reset(), Reset(before_reading=True), Cut(), Raw(b""), Raw(b"HTTP/1.1 2\r\n\r\n")])
def test_what_is_safe_is_done_again(driver: Driver, server: FaultServer, fault: Any) -> None:
    server.script(fault, Answer(body=b"[1]"))
    assert driver.call(GET) == [1]
    assert driver.sleeps == [0.5]


def test_an_operation_can_say_that_it_is_idempotent(driver: Driver, server: FaultServer) -> None:
    server.script(Reset(), Answer(body=b"[1]"))
    assert driver.call(operation("POST", body={}, media_type="application/json", idempotent=True)) == [1]


@pytest.mark.parametrize("status", [429, 503])
def test_a_post_is_repeated_if_the_service_says_when(driver: Driver, server: FaultServer, status: int) -> None:
    server.script(Answer(status, headers={"retry-after": "1"}), Answer())
    driver.send(POST)
    assert driver.sleeps == [1.0]
    assert server.received[0].body == server.received[1].body


# ----------------------------------------------------------------------------------------------------------- bulk work


def check_speed(server: FaultServer, quota: Quota, got: int, began: float) -> None:
    needed = (got / quota.allowed - 1) * quota.seconds
    assert needed <= time.monotonic() - began < 3 * needed + 1
    assert got < len(server.received) < 3 * got, "some are refused, and not many more than once"


def test_threads_work_at_the_speed_that_the_service_allows(server: FaultServer) -> None:
    server.script(quota := Quota(allowed=10, seconds=0.1))
    began = time.monotonic()
    with Civitai(False, site_url=server.url) as civitai, ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: civitai.transport.call(GET), range(80)))
    assert answers == [{}] * 80
    check_speed(server, quota, 80, began)


def test_tasks_work_at_the_speed_that_the_service_allows(server: FaultServer) -> None:
    async def work() -> list[Any]:
        async with AsyncCivitai(False, site_url=server.url) as civitai:
            return await asyncio.gather(*[civitai.transport.call(GET) for _ in range(80)])

    server.script(quota := Quota(allowed=10, seconds=0.1))
    began = time.monotonic()
    assert asyncio.run(work()) == [{}] * 80
    check_speed(server, quota, 80, began)


# ----------------------------------------------------------------------------------------------- no or broken answers


def test_a_host_that_refuses(make: Make) -> None:
    port = closed_port()
    driver = make(f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionError) as caught:
        driver.send(POST)
    error = caught.value
    assert isinstance(error, errors.ConnectionFailed)
    assert (error.host, error.sent) == (f"127.0.0.1:{port}", False)
    assert f"127.0.0.1:{port}" in str(error)
    assert len(driver.sleeps) == 3, "nothing was sent, so even a POST is repeated"
    assert isinstance(error.__cause__, OSError)
    assert_standard_chain(error)


def test_an_error_that_the_caller_handles_is_not_taken_for_the_reason(driver: Driver, server: FaultServer) -> None:
    server.script(Raw(b""))
    try:
        raise FileNotFoundError("theirs")
    except FileNotFoundError:
        with pytest.raises(errors.ConnectionFailed) as caught:
            driver.send(POST)
    assert caught.value.__cause__ is None
    assert "theirs" not in str(caught.value)


def test_a_reset_connection(driver: Driver, server: FaultServer) -> None:
    server.script(Reset())
    with pytest.raises(errors.ConnectionFailed) as caught:
        driver.send(POST)
    assert caught.value.sent
    assert_standard_chain(caught.value)


def test_a_silent_service(driver: Driver, server: FaultServer) -> None:
    server.script(Silence())
    with pytest.raises(TimeoutError) as caught:
        driver.send(POST, timeout=0.02)
    assert isinstance(caught.value, errors.RequestTimeout)
    assert caught.value.sent
    assert "did not answer in time" in str(caught.value)
    assert_standard_chain(caught.value)


def test_a_service_that_falls_silent(make: Make, server: FaultServer) -> None:
    server.script(Silence(some=b"{"))
    with pytest.raises(errors.RequestTimeout):
        make(server.url, timeout=0.02).send(POST)


def test_a_cut_answer(driver: Driver, server: FaultServer) -> None:
    server.script(Cut())
    with pytest.raises(errors.UnexpectedResponse, match="not whole") as caught:
        driver.send(POST)
    assert (caught.value.truncated, caught.value.status) == (True, 200)
    assert_standard_chain(caught.value)


def test_an_answer_that_cannot_be_decompressed(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=b"no gzip", headers={"content-encoding": "gzip"}))
    with pytest.raises(errors.UnexpectedResponse, match="not whole"):
        driver.send(POST)


def test_an_html_page_instead_of_data(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=PAGE, media_type="text/html; charset=UTF-8"))
    with pytest.raises(errors.UnexpectedResponse, match=r"Just a moment\.\.\.") as caught:
        driver.call(GET)
    error = caught.value
    assert (error.status, error.media_type, error.title) == (200, "text/html", "Just a moment...")
    assert len(server.received) == 1


def test_an_html_page_with_an_error_status(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(403, PAGE, media_type="text/html", headers={"cf-ray": "8f00-AMS"}))
    with pytest.raises(errors.PermissionDenied, match=r"Just a moment.*gateway") as caught:
        driver.call(GET)
    assert caught.value.request_id == "8f00-AMS"


def test_a_body_that_is_not_json(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=b'{"access_token": "abc'))
    with pytest.raises(errors.UnexpectedResponse) as caught:
        driver.call(GET)
    assert "abc" not in shown(caught.value), "what a success says may be confidential"


def test_an_empty_body(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=b""))
    with pytest.raises(errors.UnexpectedResponse):
        driver.call(GET)


# ----------------------------------------------------------------------------------------------------------- streaming


def test_a_body_comes_as_it_is_on_the_wire(driver: Driver, server: FaultServer) -> None:
    packed = gzip.compress(b"data")
    server.script(Answer(body=packed, headers={"content-encoding": "gzip"}))
    assert driver.chunks(server.url) == packed
    assert server.received[0].headers["accept-encoding"] == "identity"
    assert "authorization" not in server.received[0].headers


def test_a_cut_stream(driver: Driver, server: FaultServer) -> None:
    server.script(Cut())
    signed = server.url + "/f?sig=deadbeef"
    with pytest.raises(errors.UnexpectedResponse) as caught:
        driver.chunks(signed)
    assert caught.value.truncated
    assert "deadbeef" not in shown(caught.value)
    assert_standard_chain(caught.value)


def test_a_silent_stream(make: Make, server: FaultServer) -> None:
    server.script(Silence(some=b"abc"))
    with pytest.raises(errors.RequestTimeout):
        make(server.url, timeout=0.02).chunks(server.url)


def test_a_stream_that_is_too_long(driver: Driver, server: FaultServer) -> None:
    server.script(Answer(body=b"x" * 100))
    assert driver.read(server.url, 100).content == b"x" * 100
    with pytest.raises(errors.UnexpectedResponse, match="longer than 99 bytes") as caught:
        driver.read(server.url, 99)
    assert not caught.value.truncated


# ------------------------------------------------------------------------------------------------------------- secrets


def shown(error: BaseException) -> str:
    """Everything of an error that may end up in front of people, or in a file."""
    kept = pickle.loads(pickle.dumps(error))  # noqa: S301
    parts = [str(error), repr(error), *traceback.format_exception(error), str(kept), repr(vars(kept))]
    return "\n".join(parts)


def assert_standard_chain(error: BaseException) -> None:
    """No exception of another library may be reached from `error`: what they hold includes the request's headers."""
    while (cause := error.__cause__ or error.__context__) is not None:
        assert type(cause).__module__ in ("builtins", "socket", "ssl"), cause
        error = cause


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_no_error_shows_the_token(driver: Driver, server: FaultServer, status: int) -> None:
    echo = json.dumps({"error": f"bad token {TOKEN}", "nextPage": f"https://civitai.com/?token={TOKEN}"})
    server.script(Answer(status, echo.encode(), {"x-request-id": TOKEN}))
    with pytest.raises(errors.ApiError) as caught:
        driver.send(operation(query={"token": TOKEN}))
    assert TOKEN not in shown(caught.value)
    assert "bad token ***" in str(caught.value)


def test_no_log_shows_a_secret(driver: Driver, server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signed = f"{server.url}/f?X-Amz-Signature=deadbeef"
    server.script(Answer(307, b"", {"location": signed}), Answer(502), Answer(), Reset())
    driver.send(operation(query={"token": TOKEN}))
    driver.send(operation(query={"token": TOKEN}))
    with pytest.raises(errors.ConnectionFailed):
        driver.send(POST)
    server.script(Answer())
    driver.chunks(signed)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert TOKEN not in text
    assert "deadbeef" not in text
    assert "GET " + server.url + "/api/v1/things?token=***: 502" in text
    assert "X-Amz-Signature=***" in text, "the HTTP library's own lines stay, without the signature"


def test_the_logs_of_others_are_left_alone(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    driver.send(GET)
    with caplog.at_level(logging.INFO, "httpx"):
        logging.getLogger("httpx").info("GET %s", "https://example.com/?token=theirs")
    assert "token=theirs" in caplog.text


def test_a_401_tells_where_tokens_are_looked_for(make: Make, server: FaultServer) -> None:
    server.script(Answer(401, b'{"error": "Unauthorized"}'))
    with pytest.raises(errors.AuthenticationError) as caught:
        make(server.url, token=None).send(GET)
    for name in ("No token was sent", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        assert name in str(caught.value)
    with pytest.raises(errors.AuthenticationError, match="The token from the token argument was sent and refused"):
        make(server.url).send(GET)
    with pytest.raises(errors.AuthenticationError, match="No token was sent"):
        make(server.url).send(operation(authenticated=False))


# ---------------------------------------------------------------------------------------------------------- life cycle


def test_a_closed_client_says_so(driver: Driver, server: FaultServer) -> None:
    driver.send(GET)
    driver.close_transport()
    with pytest.raises(errors.ConfigurationError, match="closed"):
        driver.send(GET)


def test_closing_twice_and_closing_what_was_never_used() -> None:
    http = Http()
    http.close()
    http.close()
    asyncio.run(AsyncHttp().aclose())


def test_a_second_event_loop_is_refused_not_waited_in(server: FaultServer) -> None:
    http = AsyncHttp()

    async def use() -> None:
        await http.send("GET", server.url)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(use())
        with pytest.raises(errors.ConfigurationError, match="another event loop"):
            second.run(use())
        first.run(http.aclose())


def test_options_that_make_no_client(server: FaultServer) -> None:
    with pytest.raises(errors.ConfigurationError, match="cannot be set up"):
        Http(verify="/nowhere/certificates.pem").send("GET", server.url)
