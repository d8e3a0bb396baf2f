"""Faults on demand: each kind, how often, for whom, and how the journal tells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.faults import Asked, Fault, Faults, Verdict

MODELS = "/api/v1/models"
LIST = "GET /api/v1/models"


def _asked(path: str = MODELS, *, method: str = "GET", **query: str) -> Asked:
    return Asked(method, path, tuple(query.items()))


# Decisions


def _hits(faults: Faults, count: int, asked: Asked | None = None) -> list[bool]:
    return [faults.decide(asked or _asked()).fault is not None for _ in range(count)]


def test_how_often() -> None:
    faults = Faults()
    faults.add(LIST, status=503, times=2)
    assert _hits(faults, 4) == [True, True, False, False]
    faults.clear()
    faults.add(LIST, status=503, every=3)
    assert _hits(faults, 6) == [False, False, True, False, False, True]
    faults.clear()
    faults.add(LIST, status=503, after=2, times=1)
    assert _hits(faults, 5) == [False, False, True, False, False]
    faults.clear()
    fault = faults.add(LIST, status=503)
    assert _hits(faults, 3) == [True, True, True]
    assert fault.hits == 3


@pytest.mark.parametrize(
    ("route", "asked", "fits"),
    [
        (LIST, _asked(), True),
        (LIST, _asked("/api/v1/models/5"), False),
        ("GET /api/v1/models/*", _asked("/api/v1/models/5"), True),
        ("GET *", _asked("/anything"), True),
        ("GET *", _asked("/anything", method="POST"), False),
        ("* *", _asked("/anything", method="POST"), True),
    ],
)
def test_for_which_requests(route: str, asked: Asked, *, fits: bool) -> None:
    faults = Faults()
    faults.add(route, status=500)
    assert _hits(faults, 1, asked) == [fits]


def test_the_first_that_fits_is_the_one_and_delays_add_up() -> None:
    faults = Faults()
    faults.add("* *", delay=0.5)
    first = faults.add(LIST, status=500, delay=0.25, times=1)
    second = faults.add(LIST, status=503)
    assert faults.decide(_asked()) == Verdict(0.75, first)
    assert faults.decide(_asked()) == Verdict(0.5, second)
    assert second.hits == 1


def test_rates_and_advances_go_with_the_fault_that_is_chosen() -> None:
    faults = Faults()
    faults.add("* *", rate=500, advance=2)
    faults.add("* *", rate=300, delay=0.5, accepted=True, advance=1, skew=-7)
    cut = faults.add(LIST, cut_body=0, rate=400, skew=5)
    assert faults.decide(_asked()) == Verdict(0, cut, late=0.5, rate=300, advance=3, skew=-2)
    assert faults.decide(_asked("/other")) == Verdict(0, None, late=0.5, rate=300, advance=3, skew=-7)


def test_a_file_changes_with_every_hit_and_for_everybody() -> None:
    faults = Faults()
    faults.add(LIST, changed=True, after=1, times=2)
    assert [faults.decide(_asked()).revision for _ in range(4)] == [0, 1, 2, 2]
    assert faults.decide(_asked("/other")).revision == 0
    faults.clear()
    assert faults.decide(_asked()).revision == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({}, "does one thing"),
        ({"times": 1}, "does one thing"),
        ({"status": 500, "lost_answer": True}, "does one thing"),
        ({"status": 500, "every": 0}, "every is a whole number, 1 or more"),
        ({"status": 500, "times": -1}, "times is a whole number, 0 or more, not -1"),
        ({"status": 500, "after": "1"}, "after is a whole number, 0 or more, not '1'"),
        ({"status": "500"}, "status is a number from 200 to 999, not '500'"),
        ({"status": 500, "retry_after": 2}, "retry_after is a text, such as '2'"),
        ({"status": 500, "retry_after": "2\r\nX: y"}, "retry_after is a text"),
        ({"status": 500, "body": {1}}, "body cannot be sent as JSON"),
        ({"fields": {"a": {1}}}, "fields cannot be sent as JSON"),
        ({"duplicate_items": -1}, "duplicate_items is a whole number"),
        ({"repeat_cursor": -1}, "repeat_cursor is a whole number"),
        ({"shift_range": 0.5}, "shift_range is a whole number, not 0.5"),
        ({"status": 500, "route": "/api"}, "a verb and a path"),
        ({"status": 500, "route": None}, "a verb and a path"),
        ({"status": 500, "route": "get /api/v1/models"}, "no request fits .* verbs are in capitals"),
        ({"status": 500, "route": "GET api/v1/models"}, "no request fits .* paths begin with /"),
        ({"status": 500, "route": "GET http://127.0.0.1/api/v1/models"}, "no request fits"),
        ({"status": 500, "route": "GET /api/v1/models?limit=1"}, "no request fits .* no query"),
        ({"status": 500, "cut_body": 5}, "status and cut_body are several"),
        ({"lost_answer": True, "ignore_range": True}, "lost_answer and ignore_range are several"),
        ({"fields": {"a": 1}, "headers": {"A": "b"}}, "fields and headers are several"),
        ({"cut_body": -1}, "cut_body is a whole number, 0 or more"),
        ({"end": "reset", "delay": 1}, "end goes with"),
        ({"end": "bang", "cut_body": True}, "close, reset, stall"),
        ({"rate": 0}, "rate is a number"),
        ({"rate": float("nan")}, "rate is a number"),
        ({"rate": float("inf")}, "rate is a number"),
        ({"delay": float("nan")}, "delay is a number of seconds"),
        ({"advance": 1e12}, "advance is a number of seconds, 0 to a hundred years"),
        ({"delay": -1}, "time does not run backwards"),
        ({"advance": -1, "status": 500}, "time does not run backwards"),
        ({"body": {"error": "x"}}, "body goes with status"),
        ({"headers": {"Content-Length": "many"}}, "Content-Length is a number"),
        ({"headers": {"X": "a\r\nB: c"}}, "cannot be sent"),
        ({"headers": {"no name": "a"}}, "cannot be sent"),
        ({"headers": {"Content-Length": 5}}, "a text or None"),
        ({"skew": 0.5}, "whole seconds"),
        ({"skew": 10**12}, "a hundred years at most"),
    ],
)
def test_faults_that_make_no_sense(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Faults().add(**wrong)


def test_chaos_draws_only_what_needs_no_particulars() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        Faults().chaos(1, 0.5, ["fields"])
    with pytest.raises(ValueError, match="0 to 1, not 20"):
        Faults().chaos(1, 20)
    with pytest.raises(ValueError, match=r"kinds is a list such as .*, not \[\]"):
        Faults().chaos(1, kinds=[])
    with pytest.raises(ValueError, match="not 'delay'"):
        Faults().chaos(1, kinds="delay")  # type: ignore[arg-type]  # what somebody may write


def test_chaos_follows_from_its_seed_whatever_the_order() -> None:
    def drawn(seed: int, order: list[Asked]) -> dict[Asked, list[str | None]]:
        faults = Faults()
        faults.chaos(seed, 0.4)
        found: dict[Asked, list[str | None]] = {}
        for asked in order * 4:
            fault = faults.decide(asked).fault
            found.setdefault(asked, []).append(f"{fault.kind} {fault.status}" if fault else None)
        return found

    requests = [_asked(cursor=str(number)) for number in range(50)]
    assert drawn(1, requests) == drawn(1, requests[::-1])
    assert drawn(1, requests) != drawn(2, requests)
    kinds = Counter(kind for kinds in drawn(1, requests).values() for kind in kinds)
    assert len(kinds) == 9
    assert 50 < sum(count for kind, count in kinds.items() if kind) < 110


def test_chaos_may_have_files_go_wrong() -> None:
    faults = Faults()
    faults.chaos(1, 1, ["cut_body", "gzip", "ignore_range", "shift_range"])
    drawn = (faults.decide(_asked(cursor=str(number))).fault for number in range(50))
    assert {fault and fault.kind for fault in drawn} == {"cut_body", "gzip", "ignore_range", "shift_range"}


def test_chaos_is_everywhere_and_loses_no_tokens() -> None:
    faults = Faults()
    faults.chaos(5, 1)

    def drawn(*asked: str) -> set[str | None]:
        found = (faults.decide(_asked(asked[1], method=asked[0])).fault for _ in range(200))
        return {fault.kind if fault else None for fault in found}

    everything = {None, "status", "html_page", "lost_answer", "cut_body"}  # None: spared, or a delay
    assert drawn("POST", "/v2/consumer/workflows") == everything
    assert drawn("PUT", "/emulated-uploads/1/x") == everything
    assert (
        drawn("POST", "/api/auth/oauth/token")
        == drawn("POST", "/api/auth/oauth/device-token")
        == everything
        - {
            "lost_answer",
            "cut_body",
        }
    )
    assert drawn("POST", "/api/auth/oauth/revoke") == everything


def test_chaos_spares_whoever_failed_twice() -> None:
    faults = Faults()
    faults.chaos(1, 1, [500], route="GET *")
    assert _hits(faults, 6) == [True, True, False, True, True, False]
    assert _hits(faults, 1, _asked(method="POST")) == [False]
    faults.clear()
    assert not faults.needs_answers
    assert _hits(faults, 3) == [False, False, False]


# Statuses and pages


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (MODELS, 503, {"error": "Model search is temporarily overloaded — please retry."}),
        ("/api/v1/images", 503, {"error": "Server busy, please retry shortly."}),
        ("/api/v1/images", 429, {"error": "Rate limit exceeded, please retry shortly."}),
        ("/api/v1/me", 401, {"error": "Unauthorized"}),
        ("/api/v1/tags", 500, {"message": "An unexpected error occurred", "error": {"name": "Error"}}),
        ("/api/v1/tags", 520, {"error": "Error 520"}),
        ("/api/v1/tags", 404, {"error": "Not Found"}),
    ],
)
def test_a_status_comes_in_the_shape_of_the_service(
    emulator: Emulator, anonymous: httpx.Client, path: str, status: int, expected: dict[str, Any]
) -> None:
    emulator.faults.add("* *", status=status)
    answer = anonymous.get(path)
    assert (answer.status_code, answer.json()) == (status, expected)
    assert answer.headers["cache-control"] == "no-store"
    assert (emulator.journal[-1].fault, emulator.journal[-1].status) == ("status", status)


def test_other_services_have_other_shapes(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add("* *", status=503)
    problem = anonymous.get("/v2/consumer/workflows")
    assert problem.headers["content-type"] == "application/problem+json"
    assert anonymous.get("/storage/1/x").headers["content-type"] == "application/xml"
    emulator.faults.clear()
    emulator.faults.add("* *", status=451)
    assert anonymous.get(MODELS).json()["code"] == "REGION_BLOCKED"
    emulator.faults.clear()
    emulator.faults.add("* *", status=418, body=["tea"], headers={"Retry-After-Ms": "5"})
    answer = anonymous.get(MODELS)
    assert (answer.json(), answer.headers["retry-after-ms"]) == (["tea"], "5")


def test_retry_after_is_a_number_or_a_date(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add(LIST, status=429, retry_after="2", times=1)
    emulator.faults.add(LIST, status=429, retry_after="date", times=1)
    emulator.faults.add(LIST, status=429, times=1)
    assert anonymous.get(MODELS).headers["retry-after"] == "2"
    moment = parsedate_to_datetime(anonymous.get(MODELS).headers["retry-after"])
    assert 0 < (moment - datetime.now(UTC)).total_seconds() <= 2
    assert "retry-after" not in anonymous.get(MODELS).headers
    assert anonymous.get(MODELS).status_code == 200


def test_a_page_where_json_was_expected(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add(LIST, html_page=True, times=1)
    emulator.faults.add(LIST, html_page=True, status=200)
    for status in (502, 200):
        answer = anonymous.get(MODELS)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert emulator.journal[-1].fault == "html_page"


def test_a_clock_that_is_wrong(emulator: Emulator, client: httpx.Client) -> None:
    workflow = client.post(SUBMIT.split()[1], json=ECHO).json()
    path = f"{SUBMIT.split()[1]}/{workflow['id']}"
    right = client.get(path)
    emulator.faults.add("* *", skew=-7200)
    wrong = client.get(path)
    assert emulator.journal[-1].fault == "skew"

    def seconds(earlier: str, later: str) -> float:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()

    assert seconds(right.json()["createdAt"], wrong.json()["createdAt"]) == -7200
    assert len(wrong.content) == len(right.content)
    assert wrong.json() | {"createdAt": 0, "steps": 0} == right.json() | {"createdAt": 0, "steps": 0}
    for headers, off in ((right.headers, 0), (wrong.headers, -7200)):
        assert len(headers.get_list("date")) == 1
        moment = parsedate_to_datetime(headers["date"])
        assert -2 < (moment - datetime.now(UTC)).total_seconds() - off <= 0
    # With something else: what it says of time is wrong as well.
    emulator.faults.add("* *", status=503, retry_after="date", times=1)
    emulator.faults.add("* *", status=503, retry_after="2", times=1)
    refused = client.get(path)
    dates = (parsedate_to_datetime(refused.headers[name]) for name in ("retry-after", "date"))
    assert 1 <= (next(dates) - next(dates)).total_seconds() <= 2
    assert client.get(path).headers["retry-after"] == "2"
    for date, later in [
        ("Thu, 01 Jan 2026 01:00:00 -0000", "Wed, 31 Dec 2025 23:00:00 GMT"),
        ("Thu, 01 Jan 2026 01:00:00 +0100", "Wed, 31 Dec 2025 22:00:00 GMT"),
        ("never", "never"),
    ]:
        emulator.faults.add("* *", headers={"Expires": date}, times=1)
        assert client.get(path).headers["expires"] == later


# Every API


ACCOUNTS = "/api/auth/oauth/"
APIS = [
    ("GET", "/api/v1/models", "items"),
    ("GET", "/api/v1/me", "id"),
    ("POST", "/v2/consumer/workflows", "status"),
    ("GET", "/v2/consumer/workflows", "items"),
    ("POST", "/v1/consumer/jobs", "token"),
    ("POST", "/v1/consumer/jobs/query", "jobs"),
    ("POST", f"{ACCOUNTS}token", "access_token"),
    ("GET", f"{ACCOUNTS}userinfo", "sub"),
    ("GET", "/storage/*", None),
]


@pytest.fixture
def ask(emulator: Emulator, client: httpx.Client) -> Callable[[str, str], httpx.Response]:
    """Ask an API what it is asked most of the time, so that it would be answered."""

    def send(verb: str, path: str) -> httpx.Response:
        body: dict[str, Any] = {}
        if path == "/storage/*":
            location = client.get(f"/api/download/models/{emulator.oddities['large'].id}").headers["location"]
            return httpx.get(location, headers={"Range": "bytes=0-99"})
        if path == f"{ACCOUNTS}token":
            token = emulator.oauth.issue().refresh_token
            form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": emulator.oauth.public.id}
            body = {"data": form}
        elif path.startswith(ACCOUNTS):
            body = {"headers": {"Authorization": f"Bearer {emulator.oauth.issue().access_token}"}}
        elif verb == "POST":
            body = {"json": {"/v2/consumer/workflows": ECHO, "/v1/consumer/jobs": JOB}.get(path, {})}
        return client.request(verb, (emulator.auth_url if path.startswith(ACCOUNTS) else "") + path, **body)

    return send


@pytest.mark.parametrize(("verb", "path", "name"), APIS)
def test_every_fault_works_everywhere(
    emulator: Emulator, ask: Callable[[str, str], httpx.Response], verb: str, path: str, name: str | None
) -> None:
    emulator.oauth.rate_limits = False
    route, add = f"{verb} {path}", emulator.faults.add
    whole = ask(verb, path)
    assert whole.is_success

    add(route, status=429, retry_after="date", times=1)
    refused = ask(verb, path)
    assert refused.status_code == 429
    assert parsedate_to_datetime(refused.headers["retry-after"]) > parsedate_to_datetime(refused.headers["date"])
    assert refused.content

    add(route, html_page=True, times=1)
    assert ask(verb, path).headers["content-type"].startswith("text/html")

    for broken in ({"lost_answer": True}, {"cut_body": True}, {"cut_body": 5, "end": "reset"}):
        add(route, times=1, **broken)
        with pytest.raises(httpx.TransportError):
            ask(verb, path)

    add(route, delay=0.001, skew=3600, times=1)
    late = ask(verb, path)
    ahead = parsedate_to_datetime(late.headers["date"]) - datetime.now(UTC)
    assert (late.status_code, round(ahead.total_seconds(), -2)) == (whole.status_code, 3600)

    if name is not None:
        assert name in whole.json()
        add(route, fields={name: {"of": "another type"}}, times=1)
        assert ask(verb, path).json()[name] == {"of": "another type"}
    assert ask(verb, path).is_success
    kinds = [each.fault for each in emulator.journal if each.fault]
    expected = ["status", "html_page", "lost_answer", "cut_body", "cut_body", "skew", "fields"]
    assert [kind if kind != "delay" else "skew" for kind in kinds] == expected[: None if name else -1]


# Connections


def test_a_lost_answer_did_its_work(emulator: Emulator, client: httpx.Client) -> None:
    version = next(
        version
        for version in emulator._catalogue.version_by_id.values()
        if version.usage_control == "Download" and not version.early_access_until and not version.model.mode
    )
    emulator.faults.add("POST /api/v1/vault/*", lost_answer=True, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version.id})
    exchange = emulator.journal[-1]
    assert (exchange.path, exchange.status, exchange.fault) == ("/api/v1/vault/toggle-version", 200, "lost_answer")
    (item,) = client.get("/api/v1/vault/all").json()["items"]
    assert item["modelVersionId"] == version.id


def test_a_body_is_cut(emulator: Emulator, anonymous: httpx.Client) -> None:
    whole = anonymous.get(MODELS).content
    emulator.faults.add(LIST, cut_body=True, times=1)
    got: list[bytes] = []
    with anonymous.stream("GET", MODELS) as answer:
        assert answer.headers["content-length"] == str(len(whole))
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(answer.iter_raw())
    assert b"".join(got) == whole[: len(whole) // 2]
    assert emulator.journal[-1].fault == "cut_body"
    assert anonymous.get(MODELS).content == whole


def test_other_connections_stay(emulator: Emulator) -> None:
    with httpx.Client(base_url=emulator.url) as one, httpx.Client(base_url=emulator.url) as other:
        other.get("/api/v1/enums")
        emulator.faults.add(LIST, lost_answer=True)
        with pytest.raises(httpx.RemoteProtocolError):
            one.get(MODELS)
        assert other.get("/api/v1/enums").status_code == 200


def test_a_delay(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add(LIST, delay=0.1)
    begin = time.perf_counter()
    assert anonymous.get(MODELS).status_code == 200
    assert time.perf_counter() - begin >= 0.1
    assert emulator.journal[-1].fault == "delay"
    with pytest.raises(httpx.ReadTimeout):
        anonymous.get(MODELS, timeout=0.05)


# Answers


def _page(reader: httpx.Client, cursor: str | None = None) -> tuple[list[int], str]:
    query: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
    page = reader.get(MODELS, params=query).json()
    return [item["id"] for item in page["items"]], page["metadata"]["nextCursor"]


def test_items_come_twice(emulator: Emulator, anonymous: httpx.Client) -> None:
    first, cursor = _page(anonymous)
    plain, _ = _page(anonymous, cursor)
    emulator.faults.add(LIST, duplicate_items=2)
    assert _page(anonymous)[0] == first
    assert _page(anonymous, cursor)[0] == first[-2:] + plain
    assert emulator.journal[-1].fault == "duplicate_items"


def test_a_cursor_comes_again(emulator: Emulator, anonymous: httpx.Client) -> None:
    _, second = _page(anonymous)
    _, third = _page(anonymous, second)
    _, fourth = _page(anonymous, third)
    emulator.faults.add(LIST, repeat_cursor=1, times=1)
    assert _page(anonymous)[1] == second  # nothing was given before
    assert _page(anonymous, second)[1] == second
    assert emulator.journal[-1].fault == "repeat_cursor"
    assert _page(anonymous, second)[1] == third
    emulator.faults.clear()
    emulator.faults.add(LIST, repeat_cursor=2, after=1)
    assert [_page(anonymous, second)[1], _page(anonymous, third)[1]] == [third, second]
    assert _page(anonymous, third)[1] == second  # for ever
    emulator.faults.clear()
    assert _page(anonymous, third)[1] == fourth


def test_a_cursor_that_is_a_number_stays_one(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add("GET /api/v1/collections", repeat_cursor=1)
    first = anonymous.get("/api/v1/collections", params={"limit": 2}).json()["metadata"]["nextCursor"]
    second = anonymous.get("/api/v1/collections", params={"limit": 2, "cursor": first}).json()["metadata"]
    assert second == {"nextCursor": first}


def test_lists_do_not_mix(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add("GET *", duplicate_items=1)
    anonymous.get(MODELS, params={"limit": 2})
    images = anonymous.get("/api/v1/images", params={"limit": 2}).json()
    query = {"limit": 2, "cursor": images["metadata"]["nextCursor"]}
    assert anonymous.get("/api/v1/images", params=query).json()["items"][0] == images["items"][-1]


def test_fields_change_their_type(emulator: Emulator, anonymous: httpx.Client) -> None:
    emulator.faults.add(LIST, fields={"items.0.name": 7, "items.*.stats": None, "metadata.nextCursor": [], "no.way": 1})
    page = anonymous.get(MODELS, params={"limit": 2}).json()
    assert page["items"][0]["name"] == 7
    assert isinstance(page["items"][1]["name"], str)
    assert [item["stats"] for item in page["items"]] == [None, None]
    assert page["metadata"]["nextCursor"] == []
    assert "no" not in page
    emulator.faults.clear()
    emulator.faults.add("* *", fields={"x": 1})
    assert anonymous.get("/api/v1/models/1").json() == {"error": "No model with id 1"}  # errors stay errors


def test_what_a_fault_is_called() -> None:
    assert Fault(LIST, delay=1).kind == "delay"
    assert Fault(LIST, fields={"a": 1}).kind == "fields"
    assert Fault(LIST, rate=1).kind == "rate"
    assert Fault(LIST, advance=1).kind == "advance"
    assert Fault(LIST, skew=1).kind == "skew"
    assert Fault(LIST, status=503, headers={"a": "b"}).kind == "status"
    assert Fault(LIST, headers={"a": "b"}, changed=True, delay=1).kind == "changed"


def test_a_crawl_that_asks_again_gets_everything(emulator: Emulator) -> None:
    emulator.faults.chaos(3, 0.35)
    ids: list[int] = []
    cursor: str | None = None
    with httpx.Client(base_url=emulator.url) as reader:
        while True:
            query: dict[str, Any] = {"limit": 4, "nsfw": "true"} | ({"cursor": cursor} if cursor else {})
            try:
                page = reader.get(MODELS, params=query)
            except httpx.HTTPError:
                continue
            if page.status_code != 200:
                continue
            ids += [item["id"] for item in page.json()["items"]]
            if "nextCursor" not in page.json()["metadata"]:
                break
            cursor = page.json()["metadata"]["nextCursor"]
    found = {exchange.fault for exchange in emulator.journal}
    assert found >= {None, "status", "lost_answer"}
    assert set(ids) == {model.id for model in emulator._catalogue.models if model.availability == "Public"}


# Work that is done all the same


JOB = {"$type": "echo"}
ECHO = {"steps": [{"$type": "echo", "input": {"message": "x"}}]}
SUBMIT = "POST /v2/consumer/workflows"


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        ({"status": 502, "accepted": True}, 502, 1),
        ({"html_page": True, "accepted": True}, 502, 1),
        ({"status": 502}, 502, 0),
        ({"doubled": True}, 202, 2),
        ({"delay": 0.001, "accepted": True}, 202, 1),
    ],
)
def test_what_was_done_before_it_went_wrong(
    emulator: Emulator, client: httpx.Client, fault: dict[str, Any], status: int, done: int
) -> None:
    emulator.faults.add(SUBMIT, **fault)
    assert client.post("/v2/consumer/workflows", json=ECHO).status_code == status
    assert len(emulator.ledger.transactions) == done


def test_a_caller_that_goes_away_stops_nothing(emulator: Emulator, client: httpx.Client) -> None:
    emulator.faults.add(SUBMIT, delay=0.1, times=1)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v2/consumer/workflows", json=ECHO, timeout=0.02)
    with httpx.Client(base_url=emulator.url, headers=client.headers) as other:
        deadline = time.monotonic() + 5
        while not emulator.ledger.transactions and time.monotonic() < deadline:
            other.get("/v2/services")
    assert len(emulator.ledger.transactions) == 1


def test_accepted_needs_something_to_come_after() -> None:
    with pytest.raises(ValueError, match="accepted goes with"):
        Faults().add(lost_answer=True, accepted=True)
