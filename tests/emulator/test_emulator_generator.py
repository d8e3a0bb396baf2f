"""The Generator API of the emulator, over raw HTTP: what `openapi/generator.yaml` and our notes say."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from civitai_ext.emulator import Emulator
from tests.documents import document

DOCUMENT = document("generator.yaml")
OPERATIONS = {
    operation["operationId"]: (verb, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for verb, operation in item.items()
    if isinstance(operation, dict) and "operationId" in operation
}
JOBS = "/v1/consumer/jobs"
MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
LORA = "urn:air:sdxl:lora:civitai:82098@87153"


def image(prompt: str = "a cat", **fields: Any) -> dict[str, Any]:
    params = {"prompt": prompt, "width": 512, "height": 512, "seed": 7} | fields.pop("params", {})
    return {"$type": "textToImage", "model": MODEL, "params": params, **fields}


def submit(client: httpx.Client, *jobs: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json={"jobs": list(jobs)}, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def read(client: httpx.Client, batch: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    return list(client.get(JOBS, params={"token": batch["token"], **query}).json()["jobs"])


# ---------------------------------------------------------------------------------------------------- the life of a job


def test_a_job_goes_from_the_queue_to_its_picture(client: httpx.Client, emulator: Emulator) -> None:
    batch = submit(client, image())
    (job,) = batch["jobs"]
    assert (job["scheduled"], job["lastEvent"]["type"]) == (True, "Initialized")
    assert re.fullmatch(r"[0-9A-F]{64}", job["result"]["blobKey"])
    assert (job["result"]["available"], "blobUrl" in job["result"]) == (False, False)
    place = job["serviceProviders"]["Civitai"]["queuePosition"]
    assert place["precedingJobs"] > 0
    emulator.clock.advance(2)
    (later,) = read(client, batch)
    assert later["serviceProviders"]["Civitai"]["queuePosition"]["precedingJobs"] < place["precedingJobs"]
    emulator.clock.advance(1)
    (claimed,) = read(client, batch)
    assert (claimed["scheduled"], claimed["lastEvent"]["type"]) == (False, "Claimed")
    assert claimed["result"] == job["result"]
    emulator.clock.advance(60)
    (done,) = read(client, batch)
    assert (done["lastEvent"]["type"], done["lastEvent"]["jobHasCompleted"]) == ("Succeeded", True)
    assert done["result"]["blobKey"] == job["result"]["blobKey"]
    assert httpx.get(done["result"]["blobUrl"]).content.startswith(b"\x89PNG")


def test_the_url_of_a_picture_refuses_a_token_and_runs_out_after_an_hour(
    client: httpx.Client, emulator: Emulator
) -> None:
    batch = submit(client, image())
    emulator.clock.advance(60)
    url = read(client, batch)[0]["result"]["blobUrl"]
    assert client.get(url).status_code == 401
    emulator.clock.advance(timedelta(minutes=59).total_seconds())
    assert httpx.get(url).status_code == 200
    emulator.clock.advance(120)
    assert httpx.get(url).status_code == 401
    fresh = read(client, batch)[0]["result"]["blobUrl"]
    assert fresh != url
    assert httpx.get(fresh).status_code == 200


def test_a_token_is_the_base64_of_the_ids(client: httpx.Client) -> None:
    batch = submit(client, image(), image())
    ids = [job["jobId"] for job in batch["jobs"]]
    assert json.loads(base64.b64decode(batch["token"])) == {"Jobs": ids}
    assert [job["jobId"] for job in read(client, batch)] == ids


def test_each_image_is_a_job_and_a_template_may_stand_alone(client: httpx.Client) -> None:
    answer = client.post(JOBS, json=image(quantity=3))
    jobs = answer.json()["jobs"]
    assert len({job["jobId"] for job in jobs}) == len({job["result"]["blobKey"] for job in jobs}) == 3


@pytest.mark.parametrize(
    ("prompt", "seconds", "ending"),
    [("[fail]", 30, "Failed"), ("[block]", 30, "LateRejected"), ("[expire]", 600, "Expired")],
)
def test_words_choose_the_ending_and_the_price_is_given_back(
    client: httpx.Client, emulator: Emulator, prompt: str, seconds: float, ending: str
) -> None:
    before = emulator.ledger.total
    batch = submit(client, image(prompt))
    assert emulator.ledger.total == before - batch["jobs"][0]["cost"] < before
    emulator.clock.advance(seconds)
    (job,) = read(client, batch)
    assert (job["lastEvent"]["type"], job["result"]["available"]) == (ending, False)
    assert emulator.ledger.total == before


def test_a_job_that_one_worker_rejects_is_taken_by_another(client: httpx.Client, emulator: Emulator) -> None:
    batch = submit(client, image("[reject]"))
    seen = []
    for _ in range(20):
        emulator.clock.advance(0.5)
        (job,) = read(client, batch)
        seen.append((job["lastEvent"]["type"], job["lastEvent"]["retryAttempt"], job["scheduled"]))
    assert list(dict.fromkeys(seen)) == [
        ("Initialized", 0, True), ("Rejected", 0, True), ("Claimed", 1, False), ("Updated", 1, False),
        ("Succeeded", 1, False),
    ]  # fmt: skip


def test_a_job_that_fails_is_tried_again_as_often_as_it_says(client: httpx.Client, emulator: Emulator) -> None:
    batch = submit(client, image("[fail]", retries=1))
    seen = set()
    for _ in range(40):
        emulator.clock.advance(0.25)
        event = read(client, batch)[0]["lastEvent"]
        seen.add((event["type"], event["retryAttempt"], event["jobHasCompleted"]))
    assert {("Failed", 0, False), ("Claimed", 1, False), ("Failed", 1, True)} <= seen


@pytest.mark.parametrize(("retries", "end"), [(0, "Failed"), (1, "Succeeded")])
def test_a_job_that_fails_once_succeeds_if_it_is_tried_again(
    client: httpx.Client, emulator: Emulator, retries: int, end: str
) -> None:
    batch = submit(client, image("[retry]", retries=retries))
    emulator.clock.advance(60)
    event = read(client, batch)[0]["lastEvent"]
    assert (event["type"], event["retryAttempt"]) == (end, retries)


def test_a_job_that_takes_too_long_expires(client: httpx.Client, emulator: Emulator) -> None:
    batch = submit(client, image(timeout="00:00:01"))
    emulator.clock.advance(60)
    assert read(client, batch)[0]["lastEvent"]["type"] == "Expired"


def test_waiting_holds_the_answer_back_until_the_end() -> None:
    with Emulator(speed=1000, models=5) as fast:
        headers = {"Authorization": f"Bearer {fast.token}"}
        with httpx.Client(base_url=fast.url, headers=headers, timeout=20) as client:
            answer = client.post(JOBS, json=image(), params={"wait": True})
            assert (answer.status_code, answer.json()["jobs"][0]["result"]["available"]) == (200, True)
            token = client.post(JOBS, json=image("[expire]", timeout="1.00:00:00")).json()["token"]
            assert client.get(JOBS, params={"token": token, "wait": True}).status_code == 202


def test_other_kinds_of_job_are_taken_as_they_come(client: httpx.Client, emulator: Emulator) -> None:
    media = "https://image.example/1.png"
    batch = submit(
        client,
        {"$type": "mediaTagging", "mediaUrl": media},
        {"$type": "mediaCaptioning", "mediaUrl": media},
        {"$type": "imageTransform", "imageUrl": media, "transformer": "Canny"},
        {"$type": "somethingNew", "of": "yours"},
    )
    assert [job["result"] is None for job in batch["jobs"]] == [True, True, False, True]
    emulator.clock.advance(60)
    tagged, captioned, transformed, new = read(client, batch, detailed=True)
    assert tagged["result"]["tags"]
    assert captioned["result"]["caption"]
    assert httpx.get(transformed["result"]["blobUrl"]).status_code == 200
    assert (new["result"], new["job"]["of"]) == ({}, "yours")


# --------------------------------------------------------------------------------------------------------------- prices


def test_a_price_is_told_without_running_anything(client: httpx.Client, emulator: Emulator) -> None:
    before = emulator.ledger.total
    priced = submit(client, image(quantity=2), whatif=True)
    assert emulator.ledger.total == before
    assert client.get(JOBS, params={"token": priced["token"]}).status_code == 404
    submitted = submit(client, image(quantity=2))
    assert [job["cost"] for job in priced["jobs"]] == [job["cost"] for job in submitted["jobs"]]
    assert before - emulator.ledger.total == sum(job["cost"] for job in submitted["jobs"])


def test_larger_pictures_networks_and_a_better_place_cost_more(client: httpx.Client) -> None:
    def cost(**fields: Any) -> float:
        return float(submit(client, image(**fields), whatif=True)["jobs"][0]["cost"])

    plain = cost()
    assert cost(params={"width": 1024, "height": 1024}) > plain
    assert cost(additionalNetworks={LORA: {"type": "Lora", "strength": 1}}) > plain
    assert cost(priority="High") > plain


def test_what_cannot_be_paid_is_refused_whole(client: httpx.Client, emulator: Emulator) -> None:
    large = image(params={"width": 2048, "height": 2048, "steps": 150})
    answer = client.post(JOBS, json={"jobs": [large] * 10})
    assert (answer.status_code, answer.json()) == (403, "Not enough Buzz to run these jobs")
    assert emulator.ledger.transactions == []
    assert client.post(f"{JOBS}/query", json={}).json()["jobs"] == []


# ------------------------------------------------------------------------------------------------- cancelling, tainting


def test_what_no_worker_has_is_canceled_and_refunded(client: httpx.Client, emulator: Emulator) -> None:
    before = emulator.ledger.total
    batch = submit(client, image(), image())
    first, second = (job["jobId"] for job in batch["jobs"])
    assert client.delete(f"{JOBS}/{first}").content == b""
    events = {job["jobId"]: job["lastEvent"]["type"] for job in read(client, batch)}
    assert events == {first: "Deleted", second: "Initialized"}
    assert client.delete(JOBS, params={"token": batch["token"]}).status_code == 200
    assert emulator.ledger.total == before
    emulator.clock.advance(60)
    assert {job["lastEvent"]["type"] for job in read(client, batch)} == {"Deleted"}


def test_what_a_worker_has_is_canceled_by_force_only(client: httpx.Client, emulator: Emulator) -> None:
    batch = submit(client, image())
    paid = emulator.ledger.total
    emulator.clock.advance(3.5)
    client.delete(JOBS, params={"token": batch["token"]})
    assert read(client, batch)[0]["lastEvent"]["type"] == "Claimed"
    client.delete(JOBS, params={"token": batch["token"], "force": True})
    assert read(client, batch)[0]["lastEvent"]["type"] == "Deleted"
    assert emulator.ledger.total == paid


def test_jobs_are_tainted_by_id_token_and_properties(client: httpx.Client) -> None:
    batch = submit(client, image(properties={"order": 1}), image(properties={"order": 2}))
    reason = {"reason": "six fingers", "context": {"hand": "left"}}
    assert client.put(f"{JOBS}/{batch['jobs'][0]['jobId']}", json=reason).status_code == 200
    assert client.put(JOBS, params={"token": batch["token"]}, json=reason).json() == {"jobs": 2}
    assert client.put(JOBS, json={**reason, "properties": {"order": 2}}).json() == {"jobs": 1}
    assert client.put(JOBS, json=reason).status_code == 400
    assert client.put(JOBS, params={"token": batch["token"]}, json={}).json()["errors"] == {
        "reason": ["The reason field is required."]
    }


# -------------------------------------------------------------------------------------------------------------- finding


def test_jobs_are_found_by_all_of_their_properties(client: httpx.Client, emulator: Emulator) -> None:
    for order, colour in ((1, "red"), (2, "red"), (2, "blue")):
        submit(client, image(properties={"order": order, "colour": colour}))
        emulator.clock.advance(1)
    submit(client, {"$type": "mediaTagging", "mediaUrl": "https://x.example/", "properties": {"order": 2}})

    def found(**body: Any) -> list[Any]:
        return [job["properties"] for job in client.post(f"{JOBS}/query", json=body).json()["jobs"]]

    assert found(properties={"order": 2, "colour": "red"}) == [{"order": 2, "colour": "red"}]
    assert len(found(properties={"order": 2})) == 3
    assert len(found(properties={"order": 2}, jobType="mediaTagging")) == 1
    assert len(found()) == 4
    assert found(properties={"order": "2"}) == []


def test_a_query_has_pages(client: httpx.Client) -> None:
    for _ in range(5):
        submit(client, *[image(quantity=5, properties={"a": 1})])
    ids: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = client.post(f"{JOBS}/query", json={"properties": {"a": 1}, "cursor": cursor}).json()
        ids += [job["jobId"] for job in page["jobs"]]
        cursor, pages = page["cursor"], pages + 1
    assert (pages, len(ids), len(set(ids))) == (2, 25, 25)


def test_submissions_are_listed_newest_first(client: httpx.Client, emulator: Emulator) -> None:
    for number in range(3):
        submit(client, image(f"number {number}"), image())
        emulator.clock.advance(1)
    first = client.get("/v1/consumer/requests", params={"take": 2}).json()
    assert [request["jobs"][0]["job"]["params"]["prompt"] for request in first["requests"]] == ["number 2", "number 1"]
    rest = client.get("/v1/consumer/requests", params={"cursor": json.dumps(first["cursor"])}).json()
    assert [len(request["jobs"]) for request in rest["requests"]] == [2]
    assert rest["cursor"] is None
    assert client.get("/v1/consumer/requests", params={"cursor": "elsewhere"}).status_code == 400


def test_consumption_is_what_the_ledger_says(client: httpx.Client, emulator: Emulator) -> None:
    start = emulator.clock.now()
    submit(client, image())
    emulator.clock.advance(3600)
    submit(client, image("[fail]"), image())
    emulator.clock.advance(60)
    client.post(f"{JOBS}/query", json={})
    whole = client.get("/v1/consumer/consumption").json()
    taken = sum(each.amount if each.type == "debit" else -each.amount for each in emulator.ledger.transactions)
    assert (whole["images"], whole["totalCost"]) == (2, taken)
    later = {"startDate": (start + timedelta(minutes=30)).isoformat()}
    assert client.get("/v1/consumer/consumption", params=later).json()["images"] == 1
    assert client.get("/v1/consumer/consumption", params={"endDate": "soon"}).status_code == 400


def test_coverage_follows_the_catalogue(client: httpx.Client, emulator: Emulator) -> None:
    versions = [version for version in emulator._catalogue.version_by_id.values() if version.supports_generation]
    airs = [version.air for version in versions[:5]]
    covered = client.get("/v1/consumer/coverage", params={"model": [*airs, "urn:air:sd1:lora:civitai:1@2"]}).json()
    assert {covered[air]["availability"] for air in airs} <= {"Available", "Unavailable"}
    assert any(covered[air]["workers"] for air in airs)
    assert covered["urn:air:sd1:lora:civitai:1@2"] == {"availability": "Unknown", "workers": 0}
    assert client.get("/v1/consumer/coverage", params={"model": "x"}).status_code == 400
    assert client.get("/v1/consumer/coverage", params={"model": airs * 60}).status_code == 414


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "pony"}, "$.model"),
        ({"params": None}, "$.params"),
        ({"quantity": 0}, "$.quantity"),
        ({"properties": []}, "$.properties"),
        ({"priority": "Soon"}, "$.priority"),
        ({"timeout": "soon"}, "$.timeout"),
        ({"additionalNetworks": {LORA: {"type": "lora"}}}, f"$.additionalNetworks['{LORA}'].type"),
        ({"params": {"prompt": "", "width": 1, "height": 1}}, "$.params.prompt"),
        ({"params": {"prompt": "x", "width": 9999, "height": 1}}, "$.params.width"),
        ({"params": {"prompt": "x", "width": 1}}, "$.params.height"),
        ({"params": {"prompt": "x", "width": 1, "height": 1, "scheduler": "euler_a"}}, "$.params.scheduler"),
    ],
)
def test_what_does_not_fit_is_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = client.post(JOBS, json=image() | change)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(answer.json()["errors"]) == [field]


def test_what_are_no_jobs_is_refused(client: httpx.Client) -> None:
    bodies: list[Any] = [[], {}, {"jobs": []}, {"jobs": [{"model": MODEL}]}, {"jobs": [image(), 3]}]
    assert [client.post(JOBS, json=body).status_code for body in bodies] == [400] * 5
    wrong: Any
    for wrong in ([], "x", False):
        assert client.post(f"{JOBS}/query", json={"properties": wrong}).status_code == 400
    assert client.post(f"{JOBS}/query", json={"properties": None}).status_code == 200
    assert client.post(f"{JOBS}/query", json={"cursor": "x"}).status_code == 400
    assert client.post(f"{JOBS}/query", json={"jobType": {}}).status_code == 400


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_nothing_is_answered_without_a_token(anonymous: httpx.Client, name: str) -> None:
    verb, path, _ = OPERATIONS[name]
    assert anonymous.request(verb, path.replace("{jobId}", "x"), json={}).status_code == 401


@pytest.mark.parametrize("verb", ["get", "put", "delete"])
def test_jobs_that_are_not_there(client: httpx.Client, verb: str) -> None:
    nobody = base64.b64encode(b'{"Jobs":["nobody"]}').decode()
    assert client.request(verb, f"{JOBS}/nobody", json={"reason": "x"}).status_code == 404
    assert client.request(verb, JOBS, params={"token": nobody}, json={"reason": "x"}).status_code == 404
    for wrong in ("?", base64.b64encode(b"[]").decode(), base64.b64encode(b'{"Jobs":1}').decode()):
        assert client.request(verb, JOBS, params={"token": wrong}, json={"reason": "x"}).status_code == 400


def test_an_unknown_path_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/v1/consumer/nothing")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


# --------------------------------------------------------------------------------------------------------- the document


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_answers_have_the_shape_of_the_document(client: httpx.Client, emulator: Emulator, name: str) -> None:
    verb, path, operation = OPERATIONS[name]
    batch = submit(client, image(properties={"a": 1}), {"$type": "mediaTagging", "mediaUrl": "https://x.example/"})
    emulator.clock.advance(60)
    id_, token = batch["jobs"][0]["jobId"], batch["token"]
    answer = client.request(
        verb,
        path.replace("{jobId}", id_),
        params={"token": token, "detailed": True, "model": MODEL},
        json=image() | {"reason": "x", "jobType": "textToImage"},
    )
    assert answer.status_code == 200, answer.text
    content = operation["responses"]["200"].get("content")
    if content is None:
        assert answer.content == b""
        return
    whole = {"components": DOCUMENT["components"]} | content["application/json"]["schema"]
    assert [error.message for error in OAS31Validator(whole).iter_errors(answer.json())] == []


def test_a_fault_can_strike_after_the_work_is_done(client: httpx.Client, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", status=502, accepted=True, times=1)
    assert client.post(JOBS, json=image()).status_code == 502
    emulator.faults.add(f"POST {JOBS}", delay=0.2, accepted=True, times=1)
    with pytest.raises(httpx.ReadTimeout):
        client.post(JOBS, json=image(), timeout=0.05)
    assert len(client.post(f"{JOBS}/query", json={}).json()["jobs"]) == 2
