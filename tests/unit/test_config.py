from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._config import Config, Secret, origin_of
from civitai_ext._lazy import AsyncLazy, Lazy
from civitai_ext._redact import public_text, public_url
from civitai_ext.errors import ConfigurationError

TOKEN = "t0ken-that-nobody-may-see"


def load(environ: dict[str, str] | None = None, **given: Any) -> Config:
    return Config.load(environ=environ or {}, **given)


# -------------------------------------------------------------------------------------------------------------- token


def test_tokens_are_looked_for_in_this_order() -> None:
    environ = {"CIVITAI_API_KEY": "key", "CIVITAI_API_TOKEN": "api", "CIVITAI_TOKEN": "plain"}
    found = []
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY", None):
        config = load(environ)
        found.append((config.token, config.token_source))
        environ.pop(name or "", None)
    assert found == [
        ("plain", "CIVITAI_TOKEN"),
        ("api", "CIVITAI_API_TOKEN"),
        ("key", "CIVITAI_API_KEY"),
        (None, None),
    ]
    assert load({"CIVITAI_TOKEN": "plain"}, token="mine").token == "mine"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", TOKEN)
    assert Config.load().token == TOKEN


def test_an_empty_variable_counts_as_not_set() -> None:
    config = load({"CIVITAI_TOKEN": " \n", "CIVITAI_API_KEY": "key"})
    assert config.token_source == "CIVITAI_API_KEY"


def test_a_token_is_stripped() -> None:
    assert load(token=f" {TOKEN}\r\n").token == TOKEN


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (f"Bearer {TOKEN}", "begins with 'Bearer'"),
        (f"{TOKEN} x", "white space"),
        (f"{TOKEN}\nx", "white space"),
        (f"{TOKEN}\x00", "control characters"),
        (f"{TOKEN}é", "beyond ASCII"),
        (f"{TOKEN}\u00a0x", "beyond ASCII"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(token: str, why: str) -> None:
    for config, source in (
        ({"token": token}, "the token argument"),
        ({"environ": {"CIVITAI_TOKEN": token}}, "CIVITAI"),
    ):
        if source == "CIVITAI" and not token.strip():
            continue
        with pytest.raises(ConfigurationError, match=why) as caught:
            Config.load(**{"environ": {}, **config})  # type: ignore[arg-type]
        assert source in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_the_token_does_not_show_in_a_repr() -> None:
    config = load(token=TOKEN)
    assert TOKEN not in repr(config)
    assert TOKEN not in repr([config.token])
    assert f"Bearer {config.token}" == f"Bearer {TOKEN}", "it is a plain text where it is used"
    assert isinstance(config.token, Secret)


# --------------------------------------------------------------------------------------------------------------- hosts


def test_the_services_and_their_hosts() -> None:
    config = load()
    assert {name: config.base_url(name) for name in ("site", "orchestration", "generator", "oauth")} == {
        "site": "https://civitai.com",
        "orchestration": "https://orchestration.civitai.com",
        "generator": "https://orchestration.civitai.com",
        "oauth": "https://auth.civitai.com",
    }
    with pytest.raises(ConfigurationError, match="'blobs'"):
        config.base_url("blobs")


def test_hosts_come_from_arguments_then_from_the_environment() -> None:
    environ = {
        "CIVITAI_SITE_URL": "https://civitai.red/",
        "CIVITAI_ORCHESTRATION_URL": "http://127.0.0.1:8000/o/",
        "CIVITAI_AUTH_URL": " ",
    }
    config = load(environ, site_url="http://localhost:1")
    assert config.site_url == "http://localhost:1"
    assert config.orchestration_url == "http://127.0.0.1:8000/o"
    assert config.auth_url == "https://auth.civitai.com"
    assert load(environ).site_url == "https://civitai.red"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "civitai.com",
        "//civitai.com",
        "ftp://civitai.com",
        "https://",
        "https://a b/",
        "https://h:99999",
        "https://h:x",
        "https://h\\@evil.example",
        "https://h/\nx",
        "https://[::1",
        "https://h/?x=1",
        "https://h/#x",
        "https://h:0",
        f"https://me:{TOKEN}@h/",
    ],
)
def test_what_is_no_url_of_a_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="site_url") as caught:
        load(site_url=url)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8000", "civitai.localhost"])
def test_a_token_may_go_unencrypted_to_this_machine(host: str) -> None:
    assert load(token=TOKEN, site_url=f"http://{host}").site_url == f"http://{host}"


@pytest.mark.parametrize("name", ["site_url", "orchestration_url", "auth_url"])
@pytest.mark.parametrize("host", ["civitai.com", "10.0.0.1", "localhost.example", "127.0.0.1.example"])
def test_a_token_never_goes_unencrypted_to_another(name: str, host: str) -> None:
    url: dict[str, Any] = {name: f"http://{host}"}
    with pytest.raises(ConfigurationError, match="unencrypted"):
        load(token=TOKEN, **url)
    load(**url)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://civitai.com", True),
        ("https://CIVITAI.com:443/x?y", True),
        ("https://auth.civitai.com/", True),
        ("https://orchestration.civitai.com/v2", True),
        ("http://civitai.com/", False),
        ("https://civitai.com:8443/", False),
        ("https://blobs.civitai.com/", False),
        ("https://civitai.com.evil.example/", False),
        ("https://civitai.com@evil.example/", False),
        ("https://evil.example\\@civitai.com/", False),
        ("https://evil.example#@civitai.com/", False),
        ("/api/v1/models", False),
        ("", False),
    ],
)
def test_who_may_receive_the_token(url: str, may: bool) -> None:
    assert load(token=TOKEN).may_receive_token(url) is may


@given(st.text())
def test_any_text_has_an_origin_or_none(url: str) -> None:
    origin_of(url)
    assert isinstance(public_url(url), str)
    assert isinstance(public_text(url), str)


# ---------------------------------------------------------------------------------------------------------- user agent


def test_the_user_agent() -> None:
    assert load().user_agent.startswith("civitai-ext/")
    assert load(app="my-tool/1.2").user_agent.startswith("my-tool/1.2 civitai-ext/")
    assert not any(word in load().user_agent.lower() for word in ("mozilla", "chrome", "safari", "firefox", "opera"))


@pytest.mark.parametrize(
    ("app", "why"), [("Mozilla/5.0", "'mozilla'"), ("operator", "'opera'"), ("Knowledge", "'edge'"), ("a b", "neither")]
)
def test_names_that_would_get_a_login_page_or_break_the_header(app: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        load(app=app)


# ----------------------------------------------------------------------------------------------------------- redaction


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://h/p?a=1&b=", "https://h/p?a=1&b="),
        ("https://h/p?Token=x&limit=2", "https://h/p?Token=***&limit=2"),
        ("https://h/p?X-Amz-Credential=x&X-Amz-Expires=9", "https://h/p?X-Amz-Credential=***&X-Amz-Expires=9"),
        ("https://h/p?access_token=x#access_token=y", "https://h/p?access_token=***"),
        ("https://u:p@h:1/p", "https://h:1/p"),
        ("https://[bad/p?token=x", "https://[bad/p"),
    ],
)
def test_public_urls(url: str, public: str) -> None:
    assert public_url(url) == public


# ---------------------------------------------------------------------------------------------------------------- lazy


def test_many_threads_make_one_value() -> None:
    made: list[object] = []
    start = threading.Barrier(8)

    def make() -> object:
        made.append(object())
        return made[-1]

    lazy = Lazy(make)
    got: list[object] = []

    def use() -> None:
        start.wait()
        got.append(lazy.get())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == made * 8


def test_a_value_is_given_away_once() -> None:
    lazy = Lazy(object)
    value = lazy.get()
    assert [lazy.take(), lazy.take()] == [value, None]
    with pytest.raises(ConfigurationError, match="closed"):
        lazy.get()


def test_a_value_stays_in_its_event_loop() -> None:
    lazy = AsyncLazy(object)

    async def get() -> object:
        return lazy.get()

    async def take() -> object:
        return lazy.take()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(get()) is first.run(get())
        with pytest.raises(ConfigurationError, match="another event loop"):
            second.run(get())
        assert second.run(take()) is None, "closing it in another loop would not work"
        with pytest.raises(ConfigurationError, match="closed"):
            first.run(get())
