"""Controlling an emulator over HTTP, and who may."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from civitai_ext.emulator import Emulator, EmulatorError

# Without certificates, as nothing is called by https: to load them takes longer than most tests.
_BARE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_request = functools.partial(httpx.request, verify=_BARE)

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "emulator.md"
WORKFLOWS = "/v2/consumer/workflows"
Json = dict[str, Any]


@pytest.fixture
def control(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client without a credential, for which paths begin at the control."""
    with httpx.Client(base_url=f"{emulator.url}/_emulator/", timeout=20, verify=_BARE) as client:
        yield client


@pytest.fixture(scope="module")
def untouched() -> Iterator[Emulator]:
    """An emulator for what is refused."""
    with Emulator(speed=0, models=2) as running:
        yield running


def _submit(client: httpx.Client, **fields: Any) -> str:
    body = {"steps": [{"$type": "echo", "input": {"message": "hello"}}], **fields}
    answer = client.post(WORKFLOWS, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _error(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"])


# Seeing


def test_the_state_names_the_variables_and_counts_what_there_is(
    control: httpx.Client, emulator: Emulator, client: httpx.Client
) -> None:
    _submit(client)
    state = control.get("state").json()
    assert state["environment"] == emulator.environment
    assert (state["workflows"], state["requests"], state["accounts"], state["faults"]) == (1, 1, 1, 0)
    assert state["oddities"]["pickle"] == emulator.oddities["pickle"].id


def test_the_journal_tells_requests_oldest_first_and_those_after_a_number(
    control: httpx.Client, client: httpx.Client
) -> None:
    for limit in (1, 2, 3):
        client.get("/api/v1/models", params={"limit": limit})
    client.get("/api/v1/models/999999999")
    items = control.get("journal").json()["items"]
    assert [(item["number"], item["status"]) for item in items] == [(1, 200), (2, 200), (3, 200), (4, 404)]
    assert items[1]["query"] == [["limit", "2"]]
    assert [item["number"] for item in control.get("journal?limit=2").json()["items"]] == [3, 4]
    assert [item["number"] for item in control.get("journal?after=1&limit=2").json()["items"]] == [2, 3]
    assert [item["number"] for item in control.get("journal?failures=true").json()["items"]] == [4]
    assert control.delete("journal").status_code == 204
    assert control.get("journal").json() == {"items": []}


def test_the_control_is_in_no_journal_and_meets_no_fault(control: httpx.Client, emulator: Emulator) -> None:
    emulator.faults.add("* *", status=500)
    assert control.get("state").status_code == 200
    assert _request("GET", emulator.url).status_code == 200
    assert not emulator.journal


def test_workflows_come_newest_first_with_the_content_of_their_blobs(
    control: httpx.Client, client: httpx.Client, emulator: Emulator
) -> None:
    picture = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": "a cat", "width": 512}
    first = _submit(client, steps=[{"$type": "imageGen", "input": picture | {"height": 512}}], externalId="mine")
    second = _submit(client)
    emulator.clock.advance(100)
    newest, oldest = control.get("workflows").json()["items"]
    assert (newest["id"], oldest["id"], oldest["external_id"]) == (second, first, "mine")
    assert oldest["status"] == "succeeded"
    assert oldest["paid"] == oldest["cost"] > 0
    blob = oldest["steps"][0]["blobs"][0]
    whole, small = (_request("GET", f"{emulator.url}{blob['content']}{query}") for query in ("", "?thumbnail"))
    assert whole.content.startswith(b"\x89PNG")
    assert small.content.startswith(b"\x89PNG")
    assert len(small.content) < len(whole.content)
    assert control.get("workflows?limit=1").json()["items"] == [newest]
    assert control.get(f"workflows?before={newest['number']}").json()["items"] == [oldest]
    assert control.get(f"workflows/{first}").json() == oldest
    assert [entry.path for entry in emulator.journal] == [WORKFLOWS, WORKFLOWS]


def test_seeing_does_not_end_an_ephemeral_workflow(
    control: httpx.Client, client: httpx.Client, emulator: Emulator
) -> None:
    callback = {"url": "https://elsewhere.example/hook", "type": ["workflow:*"]}
    _submit(client, ephemeral=True, callbacks=[callback])
    emulator.clock.advance(100)
    assert [item["status"] for item in control.get("workflows").json()["items"]] == ["succeeded"]


def test_the_ledger_tells_what_moved(control: httpx.Client, client: httpx.Client) -> None:
    id_ = _submit(client)
    (ledger,) = control.get("ledger").json()["items"]
    assert ledger["username"] == "emulated"
    assert [each["workflow_id"] for each in ledger["transactions"]] == [id_]
    assert control.get("ledger?account=emulated").json()["items"] == [ledger]
    assert _error(control.get("ledger?account=nobody"), 404) == "there is no account 'nobody'; there are emulated"


# Time and faults


def test_the_clock_moves_and_changes_its_pace(control: httpx.Client, emulator: Emulator) -> None:
    before = emulator.clock.now()
    assert control.post("clock/advance", json={"seconds": 90.5}).json() == control.get("clock").json()
    assert (emulator.clock.now() - before).total_seconds() == 90.5
    assert control.post("clock/speed", json={"speed": 1000}).json()["speed"] == emulator.clock.speed == 1000


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("clock/advance", {}, "seconds is missing: a number"),
        ("clock/advance", {"seconds": "60"}, 'seconds is a number, not "60"'),
        ("clock/advance", {"seconds": True}, "seconds is a number, not true"),
        ("clock/advance", {"seconds": -1}, "the clock only moves forward"),
        ("clock/advance", {"seconds": 1e300}, "the clock ends with the year 8999"),
        ("clock/advance", {"seconds": 10**400}, "seconds is a number, not 1000"),
        ("clock/advance", {"minutes": 1}, 'there is no "minutes"; there are seconds'),
        ("clock/speed", {"speed": -1}, "speed must not be negative"),
        ("clock/speed", {"speed": 1e9}, "speed is 1,000,000 at most"),
        ("faults", {}, "this one does nothing"),
        ("faults", {"route": "GET"}, "a route is a verb and a path"),
        ("faults", {"status": "503"}, 'status is a whole number or null, not "503"'),
        ("faults", {"status": 99}, "status is a number from 200 to 999, not 99"),
        ("faults", {"stauts": 503}, 'there is no "stauts"; there are route, status, '),
        ("faults", {"status": 503, "lost_answer": True}, "several"),
        ("faults", {"lost_answer": True, "end": "bang"}, 'end is "close", "reset" or "stall", not "bang"'),
        ("faults", {"headers": {"ETag": 5}}, "headers is an object of which each is a text or null or null, not"),
        ("faults", {"cut_body": "half"}, 'cut_body is true or false or a whole number, not "half"'),
        ("chaos", {"seed": 1, "rate": 0.5, "kinds": ["no_such"]}, "kinds is a list of which each is"),
        ("callbacks/duplicate", {"times": 1.5}, "times is a whole number or null, not 1.5"),
        ("accounts", {"username": "emulated"}, "there is an account 'emulated' already"),
        ("accounts", {"username": "x", "tier": "iron"}, "there is no membership 'iron'"),
        ("accounts", {"username": "x", "balance": {"red": 5}}, "unknown Buzz colours"),
        ("accounts/emulated/keys", {"scope": -1}, "a scope is a sum of bits"),
        ("accounts/emulated/keys", {"expires": "soon"}, 'expires is a moment such as 2026-08-01T12:00:00Z, not "soon"'),
        ("oauth/limits", {"limits": []}, "one of both is needed"),
        ("oauth/limits", {"limits": [{"type": "odd"}], "token": "test-token"}, "a limit of Buzz has a type"),
        ("oauth/approve", {"url": "http://127.0.0.1:1/elsewhere"}, "emulator"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence_and_changes_nothing(
    untouched: Emulator, path: str, body: Json, error: str
) -> None:
    before = untouched.clock.now()
    assert error in _error(_request("POST", f"{untouched.url}/_emulator/{path}", json=body))
    assert (untouched.clock.now(), list(untouched.faults), len(list(untouched.accounts))) == (before, [], 1)


@pytest.mark.parametrize(
    ("content", "media_type", "error"),
    [
        (b'{"seconds": 60}', "text/plain", "the body is JSON, and says so"),
        (b"{", "application/json", "the body is no JSON"),
        (b"[60]", "application/json", "the body is an object"),
        (b'{"seconds": NaN}', "application/json", "seconds is a number, not NaN"),
        (b"[" * 100_000, "application/json", "the body is no JSON"),
    ],
)
def test_bodies_are_json_objects(untouched: Emulator, content: bytes, media_type: str, error: str) -> None:
    url, headers = f"{untouched.url}/_emulator/clock/advance", {"Content-Type": media_type}
    answer = _request("POST", url, content=content, headers=headers)
    assert error in _error(answer)


def test_faults_are_added_listed_and_removed(control: httpx.Client, emulator: Emulator, client: httpx.Client) -> None:
    answer = control.post("faults", json={"route": "GET /api/v1/models", "status": 503, "retry_after": "2"})
    assert answer.status_code == 201
    fault = answer.json()
    assert fault == {
        "id": 1, "kind": "status", "hits": 0, "route": "GET /api/v1/models", "status": 503, "retry_after": "2",
    }  # fmt: skip
    assert client.get("/api/v1/models").status_code == 503
    cut = control.post("faults", json={"cut_body": 0}).json()
    assert control.get("faults").json() == {"items": [fault | {"hits": 1}, cut], "chaos": []}
    assert cut["cut_body"] == 0
    control.delete(f"faults/{fault['id']}")
    assert [each.id for each in emulator.faults] == [cut["id"]]
    assert _error(control.delete("faults/1"), 404) == "there is no fault 1"
    assert control.delete("faults").json() == {"items": [], "chaos": []}
    assert client.get("/api/v1/models").status_code == 200


def test_chaos_over_http_is_that_of_python(control: httpx.Client, emulator: Emulator, client: httpx.Client) -> None:
    answer = control.post("chaos", json={"seed": 3, "rate": 1, "kinds": [429]})
    assert answer.status_code == 201
    assert client.get("/api/v1/enums").status_code == 429
    (chaos,) = control.get("faults").json()["chaos"]
    assert chaos == {"route": "* *", "seed": 3, "rate": 1, "kinds": [429], "hits": 1}
    (_, usual) = control.post("chaos", json={"seed": 3}).json()["chaos"]
    emulator.faults.clear()
    emulator.faults.chaos(3)
    assert control.get("faults").json()["chaos"] == [usual]


# Accounts and the accounts service


def test_accounts_and_keys_are_made(control: httpx.Client, emulator: Emulator) -> None:
    made = control.post("accounts", json={"username": "ada", "tier": "gold", "balance": {"blue": 5}})
    assert made.status_code == 201
    assert control.get("accounts").json()["items"][1] == made.json()
    key = control.post("accounts/ada/keys", json={"expires": "2999-01-01T00:00:00Z"}).json()["token"]
    for token in (made.json()["token"], key):
        me = _request("GET", f"{emulator.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert (me["username"], me["tier"]) == ("ada", "gold")
    assert _error(control.post("accounts/nobody/keys"), 404).startswith("there is no account 'nobody'")


def test_a_user_approves_and_declines(control: httpx.Client, emulator: Emulator) -> None:
    client = control.post("oauth/clients", json={"name": "A tool", "id": "tool"}).json()
    query = {
        "response_type": "code", "client_id": client["client_id"], "redirect_uri": "http://127.0.0.1:9/callback",
        "code_challenge": "x" * 43, "code_challenge_method": "S256", "scope": "1", "state": "s",
    }  # fmt: skip
    url = str(httpx.URL(f"{emulator.auth_url}/api/auth/oauth/authorize", params=query))
    declined = control.post("oauth/deny", json={"url": url}).json()["location"]
    assert parse_qs(urlsplit(declined).query)["error"] == ["access_denied"]
    approved = control.post("oauth/approve", json={"url": url}).json()["location"]
    assert set(parse_qs(urlsplit(approved).query)) == {"code", "state"}
    assert "no device" in _error(control.post("oauth/approve-device", json={"user_code": "BBBB-BBBB"})).lower()


def test_tokens_are_issued_limited_and_revoked(control: httpx.Client, emulator: Emulator) -> None:
    tokens = control.post("oauth/tokens", json={}).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    limit = {"type": "absolute", "limit": 7}
    assert control.post("oauth/limits", json={"client": emulator.oauth.public.id, "limits": [limit]}).status_code == 204
    assert _request("GET", f"{emulator.url}/api/v1/me", headers=headers).json()["buzzLimit"] == [limit]
    assert control.post("oauth/revoke").status_code == 204
    assert _request("GET", f"{emulator.url}/api/v1/me", headers=headers).status_code == 401


def test_switches_of_the_accounts_service_are_set(control: httpx.Client, emulator: Emulator) -> None:
    switches = control.patch("oauth", json={"rate_limits": False, "legacy_failure": 502}).json()["switches"]
    assert (switches["rate_limits"], switches["legacy_failure"], switches["access_seconds"]) == (False, 502, 3600)
    assert control.patch("oauth", json={"legacy_failure": 0}).json()["switches"]["legacy_failure"] is None
    assert emulator.oauth.rate_limits is False


def test_events_are_waited_for(control: httpx.Client, client: httpx.Client, emulator: Emulator) -> None:
    callback = {"url": "https://elsewhere.example/hook", "type": ["workflow:*"]}
    _submit(client, callbacks=[callback])
    emulator.clock.advance(60)
    events = [item["event"] for item in control.post("callbacks/settle").json()["items"]]
    assert events == ["workflow:unassigned", "workflow:processing", "workflow:succeeded"]
    assert control.get("deliveries").json()["items"][0]["attempt"] == 0


# Back to the start


def test_a_reset_brings_everything_back_to_the_start(
    control: httpx.Client, client: httpx.Client, emulator: Emulator
) -> None:
    start = control.get("state").json()
    ledger, models = control.get("ledger").json(), client.get("/api/v1/models?limit=100").content
    ids = []
    for _ in range(2):
        ids.append(_submit(client, externalId="mine"))
        emulator.clock.advance(1000)
        client.get(f"{WORKFLOWS}/{ids[-1]}")
        model = emulator.catalogue.models[3]
        assert control.delete(f"catalogue/models/{model.id}").status_code == 204
        assert client.get("/api/v1/models?limit=100").content != models
        version = emulator.catalogue.models[0].versions[0].id
        client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version})
        control.post("accounts", json={"username": "ada"})
        control.post("faults", json={"status": 500})
        control.post("callbacks/swap")
        control.patch("oauth", json={"access_seconds": 5})
        control.post("oauth/clients", json={"id": "tool"})
        after = control.post("reset").json()
        assert {**after, "clock": None} == {**start, "clock": None}
        assert control.get("ledger").json() == ledger
        assert client.get("/api/v1/models?limit=100").content == models
        assert client.get(f"{WORKFLOWS}/{ids[-1]}").status_code == 404
        assert client.get("/api/v1/vault/all").json()["items"] == []
        control.delete("journal")
    assert ids[0] == ids[1], "the same identifiers come again"


def test_python_resets_too_and_the_clock_goes_back(client: httpx.Client) -> None:
    emulator = Emulator(speed=0, models=2)
    with pytest.raises(EmulatorError, match="not running"):
        emulator.reset()
    with emulator:
        start = emulator.clock.now()
        emulator.clock.speed = 1000
        emulator.clock.advance(10_000)
        emulator.ledger.balance["yellow"] = 0
        emulator.reset()
        assert (emulator.clock.now() - start).total_seconds() < 60
        assert (emulator.clock.speed, emulator.ledger.balance["yellow"]) == (0, 10_000)


# Who may


@pytest.mark.parametrize("path", ["/", "/_emulator/accounts", "/_emulator/reset", "/_emulator/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example:80"},
        {"Host": "192.168.1.5"},
        {"Host": "["},
        {"Host": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_web_pages_of_others_see_and_change_nothing(untouched: Emulator, path: str, headers: dict[str, str]) -> None:
    verb = "POST" if path.endswith("reset") else "GET"
    answer = _request(verb, f"{untouched.url}{path}", headers=headers)
    assert answer.status_code == 403
    assert untouched.token not in answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_a_cross_site_form_changes_nothing(untouched: Emulator) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = _request("POST", f"{untouched.url}/_emulator/page/advance", data={"seconds": "9"}, headers=headers)
    assert answer.status_code == 403


def test_this_machine_may_by_all_its_names(untouched: Emulator) -> None:
    port = urlsplit(untouched.url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"civitai.localhost:{port}", f"[::1]:{port}"):
        origin = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert _request("POST", f"{untouched.url}/_emulator/callbacks/clear", headers=origin).status_code == 204


def test_the_accounts_service_has_no_control(untouched: Emulator) -> None:
    assert _request("GET", f"{untouched.auth_url}/_emulator/state").status_code == 404
    assert _request("GET", untouched.auth_url).status_code == 404


def test_what_was_uploaded_cannot_run_scripts_beside_the_control(emulator: Emulator, client: httpx.Client) -> None:
    headers = {"Sec-Fetch-Dest": "document"}
    shown = client.get("/api/v1/models?limit=1", headers=headers)
    assert shown.headers["content-security-policy"] == "sandbox"
    assert "content-security-policy" not in client.get("/api/v1/models?limit=1").headers


@pytest.mark.parametrize(
    ("verb", "path", "status"), [("GET", "nothing", 404), ("POST", "state", 405), ("GET", "reset", 405)]
)
def test_what_is_not_there_is_said(untouched: Emulator, verb: str, path: str, status: int) -> None:
    assert f"there is no {verb} /_emulator/{path}" in _error(
        _request(verb, f"{untouched.url}/_emulator/{path}"), status
    )


# The documentation


def test_the_examples_in_the_documentation_work(emulator: Emulator) -> None:
    if shutil.which("curl") is None or "--json" not in subprocess.check_output(["curl", "--help", "all"], text=True):
        pytest.skip("there is no curl that knows --json")
    commands = re.findall(r"^curl .*$", DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) > 10
    written = "; ".join(f"{command} -s -o /dev/null -w '%{{http_code}} '" for command in commands)
    done = subprocess.run(["sh", "-c", written], env=emulator.environment, capture_output=True, text=True, check=True)
    statuses = done.stdout.split()
    refused = [shlex.split(command) for command, status in zip(commands, statuses, strict=True) if status[0] != "2"]
    assert refused == []
