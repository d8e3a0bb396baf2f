"""The listener for the browser that comes back, over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_ext.errors import ConfigurationError, LoginDenied, LoginFailed, LoginTimeout
from civitai_ext.oauth.loopback import Loopback

URI: Final = "http://127.0.0.1/callback"


@attrs.frozen
class Page:
    status: int
    headers: dict[str, str]
    text: str


def get(
    port: int, target: str, headers: dict[str, str] | None = None, *, method: str = "GET", host: str = "127.0.0.1"
) -> Page:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        return Page(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())


def say(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


def listens(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback(URI) as loopback:
        loopback.expect("right")
        yield loopback


@pytest.fixture
def browser() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def coming(browser: ThreadPoolExecutor, loopback: Loopback, query: str = "code=c&state=right") -> Future[Page]:
    return browser.submit(get, loopback.port, f"/callback?{query}")


def test_the_browser_is_told_that_it_worked_when_it_did(browser: ThreadPoolExecutor) -> None:
    with Loopback(URI) as loopback:
        loopback.expect("right")
        page = coming(browser, loopback)
        assert loopback.wait(10) == f"{loopback.redirect_uri}?code=c&state=right"
        assert not page.done()
        loopback.succeed("As <alice> & friends.")
        port = loopback.port
    answer = page.result(10)
    assert answer.status == 200
    assert "<h1>You are logged in</h1><p>As &lt;alice&gt; &amp; friends.</p>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "python" not in answer.headers["server"].lower()
    assert not listens(port)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LoginDenied("<b>No</b>", hint="Ask again."), "&lt;b&gt;No&lt;/b&gt;. Ask again."),
        (KeyboardInterrupt(), "The program stopped before the login was over."),
        (RuntimeError("of no interest to the browser"), "The program stopped before the login was over."),
    ],
)
def test_the_browser_is_told_what_went_wrong(browser: ThreadPoolExecutor, error: BaseException, text: str) -> None:
    def fail() -> None:
        with Loopback(URI) as loopback:
            loopback.expect("right")
            pages.append(coming(browser, loopback))
            loopback.wait(10)
            raise error

    pages: list[Future[Page]] = []
    with pytest.raises(type(error)):
        fail()
    answer = pages[0].result(10)
    assert answer.status == 400
    assert f"<p>{text}</p>" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=wrong",
        "code=c&state=right%20",
        "code=c&state=right&state=right",
        "code=c&state=%ff",
        "&".join(["state=right", *(f"x{number}=1" for number in range(40))]),
    ],
)
def test_a_wrong_state_ends_nothing(browser: ThreadPoolExecutor, loopback: Loopback, query: str) -> None:
    wrong = get(loopback.port, f"/callback?{query}")
    assert wrong.status == 400
    assert "not the login that is waited for" in wrong.text
    with pytest.raises(LoginTimeout):
        loopback.wait(0)
    page = coming(browser, loopback)
    loopback.wait(10)
    loopback.succeed("")
    assert page.result(10).status == 200


def test_nothing_is_right_before_it_is_known_what_to_expect() -> None:
    with Loopback(URI) as loopback:
        assert get(loopback.port, "/callback?code=c&state=None").status == 400
        assert get(loopback.port, "/callback?code=c&state=").status == 400


def test_a_second_right_one_is_told_so(browser: ThreadPoolExecutor, loopback: Loopback) -> None:
    page = coming(browser, loopback, "code=first&state=right")
    callback = loopback.wait(10)
    second = get(loopback.port, "/callback?code=second&state=right")
    assert (second.status, "Already done" in second.text) == (409, True)
    assert loopback.wait(0) == callback
    loopback.succeed("")
    assert page.result(10).status == 200
    assert get(loopback.port, "/callback?code=first&state=right").status == 409


@pytest.mark.parametrize(
    "target", ["/", "/favicon.ico", "/callback/", "/Callback", "/callback/../callback", "/x?", "*"]
)
def test_other_paths_are_not_here(loopback: Loopback, target: str) -> None:
    assert get(loopback.port, f"{target}?code=c&state=right").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT"])
def test_other_methods_are_refused(loopback: Loopback, method: str) -> None:
    assert get(loopback.port, "/callback?code=c&state=right", method=method).status == 501
    with pytest.raises(LoginTimeout):
        loopback.wait(0)


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "[::1"])
def test_other_hosts_are_refused(loopback: Loopback, host: str) -> None:
    answer = get(loopback.port, "/callback?code=c&state=right", {"Host": host.format(port=loopback.port)})
    assert answer.status == 421
    with pytest.raises(LoginTimeout):
        loopback.wait(0)


@pytest.mark.parametrize("hosts", [b"", b"Host: 127.0.0.1:%d\r\nHost: rebound.example\r\n"])
def test_a_host_that_is_missing_or_doubled_is_refused(loopback: Loopback, hosts: bytes) -> None:
    lines = hosts.replace(b"%d", str(loopback.port).encode())
    answer = say(loopback.port, b"GET /callback?code=c&state=right HTTP/1.1\r\n" + lines + b"\r\n")
    assert answer.startswith(b"HTTP/1.0 421 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Mode": "cors"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://evil.example", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_what_other_pages_ask_for_is_refused(loopback: Loopback, headers: dict[str, str]) -> None:
    answer = get(loopback.port, "/callback?code=c&state=right", headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(LoginTimeout):
        loopback.wait(0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "null", "Sec-Fetch-Mode": "navigate"},
        {"Host": "LOCALHOST:{port}"},
        {"Host": "[::1]:{port}", "Origin": "http://[::1]:{port}"},
    ],
)
def test_browsers_that_are_sent_here_are_answered(
    browser: ThreadPoolExecutor, loopback: Loopback, headers: dict[str, str]
) -> None:
    sent = {name: value.format(port=loopback.port) for name, value in headers.items()}
    page = browser.submit(get, loopback.port, "/callback?code=c&state=right", sent)
    loopback.wait(10)
    loopback.succeed("")
    assert page.result(10).status == 200


def test_localhost_is_listened_on_at_both_addresses(browser: ThreadPoolExecutor) -> None:
    with Loopback("http://localhost/callback") as loopback:
        loopback.expect("right")
        assert loopback.redirect_uri == f"http://localhost:{loopback.port}/callback"
        assert listens(loopback.port)
        assert [each for each in threading.enumerate() if each.name == f"civitai-loopback-{loopback.port}"]
        if not _has_ipv6():
            pytest.skip("this machine has no ::1")
        page = browser.submit(get, loopback.port, "/callback?code=c&state=right", host="::1")
        loopback.wait(10)
        loopback.succeed("")
        assert page.result(10).status == 200


def test_ipv6(browser: ThreadPoolExecutor) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no ::1")
    with Loopback("http://[::1]/callback") as loopback:
        loopback.expect("right")
        assert loopback.redirect_uri == f"http://[::1]:{loopback.port}/callback"
        page = browser.submit(get, loopback.port, "/callback?code=c&state=right", host="::1")
        assert loopback.wait(10).startswith("http://[::1]:")
        loopback.succeed("")
        assert page.result(10).status == 200
        assert not listens(loopback.port)


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_given_and_used_is_an_error_that_names_it(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(LoginFailed, match=rf"http://{host}:{port}/cb: .*in use") as caught,
            Loopback(f"http://{host}:{port}/cb"),
        ):
            pass
        assert "without a port" in str(caught.value)
    with Loopback(f"http://{host}:{port}/cb") as loopback:
        assert (loopback.port, loopback.redirect_uri) == (port, f"http://{host}:{port}/cb")
    with Loopback(f"http://{host}:{port}/cb"):  # free again at once
        pass


def test_a_port_that_is_used_at_the_second_address_is_an_error() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no ::1")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(LoginFailed, match="in use"), Loopback(f"http://localhost:{port}/cb"):
            pass
        assert not listens(port)


def test_two_at_once_have_two_ports(browser: ThreadPoolExecutor) -> None:
    with Loopback(URI) as one, Loopback(URI) as other:
        one.expect("right")
        other.expect("other")
        assert one.port != other.port
        assert get(one.port, "/callback?code=c&state=other").status == 400
        page = coming(browser, one)
        one.wait(10)
        one.succeed("")
        assert page.result(10).status == 200
        with pytest.raises(LoginTimeout, match="within 0 seconds"):
            other.wait(0)


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1/callback",
        "http://example.com/callback",
        "http://127.0.0.1.example.com/callback",
        "http://localhost@example.com/callback",
        "http://me@localhost/callback",
        "http://0.0.0.0/callback",
        "http://127.0.0.1/callback?next=1",
        "http://127.0.0.1/callback#top",
        "http://127.0.0.1:x/callback",
        "http://127.0.0.1:99999/callback",
        "http://[::1/callback",
        "127.0.0.1/callback",
        "",
    ],
)
def test_other_redirect_uris_are_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri is"):
        Loopback(uri)


def test_connections_that_say_nothing_are_ended_and_keep_nobody_waiting(
    browser: ThreadPoolExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    with Loopback(URI) as loopback, contextlib.ExitStack() as stack:
        loopback.expect("right")
        spare = [
            stack.enter_context(socket.create_connection(("127.0.0.1", loopback.port), timeout=5)) for _ in range(10)
        ]
        spare[1].sendall(b"GET /call")
        page = coming(browser, loopback)
        loopback.wait(10)
        loopback.succeed("")
        assert page.result(10).status == 200
        loopback.__exit__(None, None, None)
        assert not any(connection.recv(100) for connection in (spare[0], *spare[2:]))
    assert capfd.readouterr() == ("", "")


def test_very_many_connections_do_not_keep_the_right_one_out(browser: ThreadPoolExecutor) -> None:
    with contextlib.ExitStack() as stack, Loopback(URI) as loopback:
        loopback.expect("right")

        def many() -> list[socket.socket]:
            address = ("127.0.0.1", loopback.port)
            return [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(40)]

        before = many()
        page = coming(browser, loopback)
        loopback.wait(10)
        assert before[0].recv(1) == b""  # the oldest made room
        after = many()
        assert after[-1].recv(1) == b""  # and now the right one does not
        loopback.succeed("")
        assert page.result(10).status == 200


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="ports are never shared here")
def test_nobody_else_can_listen_on_its_port(loopback: Loopback) -> None:
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", loopback.port), reuse_port=True).close()


def test_what_is_too_long_is_refused(loopback: Loopback) -> None:
    assert get(loopback.port, f"/callback?state=right&code={'c' * 9000}").status == 414
    assert b" 414 " in say(loopback.port, b"GET /" + b"x" * 70_000)[:20]
    assert get(loopback.port, "/callback", {f"X-{number}": "x" for number in range(200)}).status == 431


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_whatever_is_said_it_goes_on(data: bytes) -> None:
    say(_SHARED.port, data + b"\r\n\r\n")
    assert get(_SHARED.port, "/").status == 404


_SHARED = Loopback(URI)


@pytest.fixture(autouse=True, scope="module")
def _listening() -> Iterator[None]:
    with _SHARED:
        yield


def test_nothing_is_written_to_the_terminal(loopback: Loopback, capfd: pytest.CaptureFixture[str]) -> None:
    get(loopback.port, "/callback?code=secret&state=wrong")
    get(loopback.port, "/elsewhere")
    say(loopback.port, b"nonsense\r\n\r\n")
    with socket.create_connection(("127.0.0.1", loopback.port)) as connection:
        connection.sendall(b"GET /callback?code=secret&state=wrong HTTP/1.1\r\nHost: x\r\n\r\n")
    assert capfd.readouterr() == ("", "")


def test_no_thread_is_left(browser: ThreadPoolExecutor) -> None:
    with Loopback("http://localhost/callback") as loopback:
        loopback.expect("right")
        page = browser.submit(
            get, loopback.port, "/callback?code=c&state=right", {"Host": f"localhost:{loopback.port}"}
        )
        loopback.wait(10)
    assert page.result(10).status == 400
    assert not [thread for thread in threading.enumerate() if thread.name == f"civitai-loopback-{loopback.port}"]
