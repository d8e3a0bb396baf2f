"""What the emulator keeps does not grow for ever: what nobody would find any more is gone."""

from __future__ import annotations

import gc
from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.ledger import Ledger
from civitai_ext.emulator.limits import Allowance
from civitai_ext.emulator.spending import BuzzLimit, Purse

MONTH = timedelta(days=30).total_seconds()
# The journal and the ledger are there to be looked at, and end by themselves.
RECORDS = {"Exchange", "Transaction"}


def _kept() -> Counter[str]:
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    found = Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith("civitai_ext.emulator"))
    return Counter({name: count for name, count in found.items() if name not in RECORDS})


def _a_month(emulator: Emulator, client: httpx.Client, number: int) -> None:
    picture = {"$type": "textToImage", "input": {"prompt": "a cat", "width": 64, "height": 64}}
    template = {"steps": [picture], "externalId": f"month-{number}"}
    assert client.post("/v2/consumer/workflows", json=template).status_code == 202
    preview = {"steps": [picture], "externalId": f"preview-{number}"}
    assert client.post("/v2/consumer/workflows?whatif=true", json=preview).status_code == 200
    assert client.post("/v1/consumer/jobs", json={"$type": "echo"}).is_success
    emulator.clock.advance(60)
    (workflow,) = client.get("/v2/consumer/workflows").json()["items"]
    assert workflow["status"] == "succeeded"

    auth, public = f"{emulator.auth_url}/api/auth/oauth", emulator.oauth.public
    query = f"response_type=code&client_id={public.id}&redirect_uri=http://127.0.0.1/callback&scope=1&state=x"
    query += "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    back = emulator.oauth.approve(f"{auth}/authorize?{query}")
    assert parse_qs(urlsplit(back).query)["code"]
    tokens = emulator.oauth.issue()
    for _ in range(3):
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, "client_id": public.id}
        client.post(f"{auth}/token", data=form).raise_for_status()
        tokens = emulator.oauth.issue()
    device = client.post(f"{auth}/device", data={"client_id": emulator.oauth.device.id, "scope": "1"})
    assert device.is_success
    emulator.clock.advance(MONTH)


def test_what_is_given_up_takes_no_memory(emulator: Emulator, client: httpx.Client) -> None:
    for number in range(2):
        _a_month(emulator, client, number)
    before = _kept()
    assert before["Workflow"] >= 1
    for number in range(2, 6):
        _a_month(emulator, client, number)
    assert _kept() - before == Counter()


def test_a_submission_is_forgotten_with_its_workflow(emulator: Emulator, client: httpx.Client) -> None:
    template = {"steps": [{"$type": "echo", "input": {"message": "x"}}], "externalId": "once"}
    first = client.post("/v2/consumer/workflows", json=template).json()["id"]
    emulator.clock.advance(MONTH - 1)
    assert client.post("/v2/consumer/workflows", json=template).json()["id"] == first
    emulator.clock.advance(2)
    assert client.get(f"/v2/consumer/workflows/{first}").status_code == 404
    assert client.post("/v2/consumer/workflows", json=template).json()["id"] != first
    job = client.post("/v1/consumer/jobs", json={"$type": "echo"}).json()["jobs"][0]["jobId"]
    emulator.clock.advance(MONTH + 1)
    assert client.get(f"/v1/consumer/jobs/{job}").status_code == 404


def test_long_ledgers_drop_their_beginning_and_limits_count_it() -> None:
    clock = Clock(speed=0)
    ledger = Ledger({"yellow": 50_000}, Identifiers(1))
    purse = Purse(ledger, clock)
    for number in range(25_000):
        purse.charge(1, ["yellow"], workflow_id=str(number), at=clock.now())
    assert ledger.balance["yellow"] == 25_000
    assert 10_000 <= len(ledger.transactions) <= 11_000
    assert ledger.transactions[-1].workflow_id == "24999"
    purse.limits = (BuzzLimit({"type": "absolute", "limit": 25_001, "currencies": ["yellow"]}),)
    assert purse.split(1, ["yellow"]) == [("yellow", 1)]
    purse.charge(1, ["yellow"], workflow_id="last", at=clock.now())
    purse.limits = (BuzzLimit({"type": "absolute", "limit": 25_001, "currencies": ["blue"]}), *purse.limits)
    assert [room.left for room in purse._rooms()] == [25_001, 0]


def test_callers_who_went_away_are_forgotten() -> None:
    clock = Clock(speed=0)
    allowance = Allowance(clock, seconds=60)
    for number in range(5000):
        assert allowance.take(str(number), most=1) == 0
        clock.advance(1)
    assert allowance.take("4999", most=1) > 0
    assert len(allowance._used) <= 1000
