"""What API keys and access tokens are good for: accounts, scopes, expiry, and limits of Buzz."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.scopes import ALL, FULL, NAMES

ME = "/api/v1/me"
WORKFLOWS = "/v2/consumer/workflows"
AI_SERVICES = 114689


@pytest.fixture
def site(anonymous: httpx.Client) -> httpx.Client:
    return anonymous


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def image(prompt: str = "a cat") -> dict[str, Any]:
    """Give a workflow that costs something."""
    return {"steps": [{"$type": "textToImage", "input": {"prompt": prompt}}]}


def test_an_access_token_is_a_credential_until_it_expires(emulator: Emulator, site: httpx.Client) -> None:
    token = emulator.oauth.issue(scope=AI_SERVICES).access_token
    shown = site.get(ME, headers=bearing(token)).json()
    assert (shown["tokenScope"], shown["buzzLimit"]) == (AI_SERVICES, None)
    assert shown["subject"] == {"type": "oauth", "id": emulator.oauth.public.id}
    assert shown["email"] == "emulated@example.com"
    assert site.get(ME, params={"token": token}).status_code == 200
    places = ("/v2/consumer/workflows", "/v1/consumer/requests")
    assert [site.get(path, headers=bearing(token)).status_code for path in places] == [200, 200]
    emulator.clock.advance(3600)
    assert [site.get(path, headers=bearing(token)).status_code for path in (ME, *places)] == [401, 401, 401]
    assert site.get("/api/v1/models?limit=1", headers=bearing(token)).status_code == 200


def test_api_keys_have_a_scope_and_an_end(emulator: Emulator, site: httpx.Client) -> None:
    account = next(iter(emulator.accounts))
    assert site.get(ME, headers=bearing(emulator.token)).json()["tokenScope"] == FULL
    expires = emulator.clock.now() + timedelta(hours=1)
    key = emulator.accounts.add_key(account, scope=4, expires=expires)
    shown = site.get(ME, headers=bearing(key)).json()
    assert (shown["tokenScope"], shown["subject"]) == (4, {"type": "apiKey", "id": 2})
    assert not {"email", "emailVerified"} & set(shown)
    emulator.clock.advance(3600)
    assert site.get(ME, headers=bearing(key)).status_code == 401
    with pytest.raises(ValueError, match="already"):
        emulator.accounts.add_key(account, token=emulator.token)
    with pytest.raises(ValueError, match="sum of bits"):
        emulator.accounts.add_key(account, scope=ALL + 1)


READ, WRITE = 16384, 32768


@pytest.mark.parametrize(
    ("verb", "path", "needed"),
    [
        ("GET", "/v2/consumer/workflows", READ),
        ("POST", "/v2/consumer/workflows", WRITE),
        ("POST", "/v2/consumer/recipes/echo", WRITE),
        ("GET", "/v2/consumer/workflows/none", READ),
        ("DELETE", "/v2/consumer/workflows/none", WRITE),
        ("GET", "/v2/consumer/blobs/none", READ),
        ("GET", "/v2/consumer/blobs/upload", WRITE),
        ("POST", "/v2/consumer/blobs", WRITE),
        ("GET", "/v1/consumer/jobs/none", READ),
        ("POST", "/v1/consumer/jobs", WRITE),
        ("POST", "/v1/consumer/jobs/query", READ),
        ("GET", "/v1/consumer/coverage", READ),
    ],
)
def test_the_orchestrator_asks_for_scopes(
    emulator: Emulator, site: httpx.Client, verb: str, path: str, needed: int
) -> None:
    content = {"content": b"{}", "headers": bearing(emulator.oauth.issue(scope=FULL & ~needed).access_token)}
    answer = site.request(verb, path, **content)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"The token lacks the scope {NAMES[needed]}."
    content["headers"] = bearing(emulator.oauth.issue(scope=needed).access_token)
    assert site.request(verb, path, **content).status_code not in (401, 403)  # type: ignore[arg-type]


def test_the_site_asks_for_no_scopes(emulator: Emulator, site: httpx.Client) -> None:
    token = emulator.oauth.issue(scope=1).access_token
    assert site.get("/api/v1/vault/get", headers=bearing(token)).status_code == 200


def test_accounts_have_their_own_buzz_and_workflows(emulator: Emulator, site: httpx.Client) -> None:
    rich = emulator.accounts.add("rich", balance={"yellow": 77})
    poor = emulator.accounts.add("poor", token="poor-token", balance={})
    mine = site.post(WORKFLOWS, json=image(), headers=bearing(rich.token))
    assert mine.status_code == 202
    assert rich.ledger.total < 77
    assert emulator.ledger.total == 1020
    assert site.post(WORKFLOWS, json=image(), headers=bearing(poor.token)).status_code == 403
    assert site.get(f"{WORKFLOWS}/{mine.json()['id']}", headers=bearing(emulator.token)).status_code == 404
    with pytest.raises(ValueError, match="already"):
        emulator.accounts.add("rich")
    with pytest.raises(ValueError, match="membership"):
        emulator.accounts.add("third", tier="platinum")
    assert [account.username for account in emulator.accounts] == ["emulated", "rich", "poor"]


# Limits of Buzz


def spend(site: httpx.Client, token: str, prompt: str = "a cat") -> httpx.Response:
    return site.post(WORKFLOWS, json=image(prompt), headers=bearing(token))


def price(site: httpx.Client, token: str) -> int:
    answer = site.post(WORKFLOWS, params={"whatif": "true"}, json=image(), headers=bearing(token))
    cost: int = answer.json()["cost"]["total"]
    return cost


def out_of_buzz(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()) == (403, "Not enough Buzz to run this workflow")


def test_a_limit_looks_like_an_empty_balance(emulator: Emulator, site: httpx.Client) -> None:
    token, again = (emulator.oauth.issue().access_token for _ in range(2))
    cost = price(site, token)
    limits = [{"type": "absolute", "limit": 2 * cost}]
    emulator.oauth.limit(emulator.oauth.public, limits)
    assert site.get(ME, headers=bearing(token)).json()["buzzLimit"] == limits
    assert spend(site, token).status_code == 202
    assert spend(site, again).status_code == 202
    before = emulator.ledger.total
    assert out_of_buzz(spend(site, token))
    estimate = site.post(WORKFLOWS, params={"whatif": "true"}, json=image(), headers=bearing(token)).json()
    assert estimate["transactions"]["insufficientBuzz"] is True
    job = {"$type": "textToImage", "baseModel": "SD_1_5", "model": "urn:air:sd1:checkpoint:civitai:1@1"}
    job["params"] = {"prompt": "a cat", "width": 512, "height": 512}  # type: ignore[assignment]
    assert site.post("/v1/consumer/jobs", json=job, headers=bearing(token)).status_code == 403
    assert emulator.ledger.total == before
    assert spend(site, emulator.token).status_code == 202, "others are not limited"
    emulator.oauth.limit(token, [])
    assert site.get(ME, headers=bearing(again)).json()["buzzLimit"] is None
    assert spend(site, token).status_code == 202


def test_what_is_given_back_was_not_spent(emulator: Emulator, site: httpx.Client) -> None:
    token = emulator.oauth.issue().access_token
    emulator.oauth.limit(token, [{"type": "absolute", "limit": price(site, token)}])
    failing = spend(site, token, "[fail]").json()["id"]
    assert out_of_buzz(spend(site, token))
    emulator.clock.advance(600)
    assert site.get(f"{WORKFLOWS}/{failing}", headers=bearing(token)).json()["status"] == "failed"
    assert spend(site, token).status_code == 202


def test_a_window_slides(emulator: Emulator, site: httpx.Client) -> None:
    token = emulator.oauth.issue().access_token
    emulator.oauth.limit(token, [{"type": "sliding", "limit": 2 * price(site, token), "unit": 2, "window": "minute"}])
    assert spend(site, token).status_code == 202
    emulator.clock.advance(60)
    assert spend(site, token).status_code == 202
    emulator.clock.advance(59)
    assert out_of_buzz(spend(site, token))
    emulator.clock.advance(1)
    assert spend(site, token).status_code == 202
    assert out_of_buzz(spend(site, token))


def test_a_limit_rolls_over() -> None:
    start = datetime(2026, 8, 1, 23, 59, 30, tzinfo=UTC)
    with Emulator(speed=0, models=1, start=start) as emulator, httpx.Client(base_url=emulator.url) as site:
        cost = price(site, emulator.token)
        emulator.oauth.limit(emulator.token, [{"type": "rollover", "limit": cost, "cron": "0 0 * * *"}])
        assert spend(site, emulator.token).status_code == 202
        emulator.clock.advance(29)
        assert out_of_buzz(spend(site, emulator.token))
        emulator.clock.advance(1)
        assert spend(site, emulator.token).status_code == 202
        emulator.clock.advance(86_399)
        assert out_of_buzz(spend(site, emulator.token))


def test_a_limit_of_some_colours_leaves_the_others(emulator: Emulator, site: httpx.Client) -> None:
    key = emulator.accounts.add_key(next(iter(emulator.accounts)))
    emulator.oauth.limit(key, [{"type": "absolute", "limit": 1, "currencies": ["yellow"]}])
    cost, count = price(site, key), 0
    while not out_of_buzz(spend(site, key)):
        count += 1
    paid = {"blue": 20 - emulator.ledger.balance["blue"], "yellow": 1000 - emulator.ledger.balance["yellow"]}
    assert count == 21 // cost
    assert sum(paid.values()) == count * cost
    assert paid["yellow"] <= 1


def test_several_limits_hold_together(emulator: Emulator, site: httpx.Client) -> None:
    token = emulator.oauth.issue().access_token
    cost = price(site, token)
    hourly = {"type": "sliding", "limit": cost, "unit": 1, "window": "hour"}
    emulator.oauth.access_seconds = 10**6
    token = emulator.oauth.issue().access_token
    emulator.oauth.limit(emulator.oauth.public, [hourly, {"type": "absolute", "limit": 2 * cost}])
    for status in (202, 403):
        assert spend(site, token).status_code == status
    emulator.clock.advance(3600)
    for status in (202, 403):
        assert spend(site, token).status_code == status
    emulator.clock.advance(3600)
    assert out_of_buzz(spend(site, token))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"limit": 1}, "has a type"),
        ({"type": "daily", "limit": 1}, "has a type"),
        ({"type": "absolute"}, "needs limit"),
        ({"type": "absolute", "limit": -1}, "0 or more"),
        ({"type": "absolute", "limit": "5"}, "0 or more"),
        ({"type": "absolute", "limit": 1, "window": "day"}, "has no window"),
        ({"type": "absolute", "limit": 1, "currencies": ["red"]}, "currencies"),
        ({"type": "sliding", "limit": 1}, "needs unit and window"),
        ({"type": "sliding", "limit": 1, "unit": 1, "window": "year"}, "a window is"),
        ({"type": "sliding", "limit": 1, "unit": 0, "window": "day"}, "a window is"),
        ({"type": "rollover", "limit": 1, "cron": "every day"}, "no cron expression"),
    ],
)
def test_limits_that_cannot_be(emulator: Emulator, limit: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        emulator.oauth.limit(emulator.token, [limit])


def test_a_token_that_is_limited_must_be_known(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="no such token"):
        emulator.oauth.limit("unknown", [])
