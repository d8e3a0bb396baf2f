"""Values that fit their types and are absurd: numbers without end, ends of the calendar, towers of brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator

WORKFLOWS = "/v2/consumer/workflows"
JOBS = "/v1/consumer/jobs"
DIGITS = "9" * 5000
FIRST, LAST = "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(speed=0, models=3, balance={"yellow": 10**6}) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def asking(running: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=running.url, headers=headers) as client:
        yield client


def tower(levels: int) -> Any:
    value: Any = "top"
    for _ in range(levels):
        value = {"on": value}
    return value


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{WORKFLOWS}?cursor={DIGITS}", 400),
        (f"{WORKFLOWS}?cursor=²", 400),
        (f"{WORKFLOWS}?fromDate={FIRST}", 400),
        (f"{WORKFLOWS}?fromDate=0001-01-01", 200),
        (f"/v1/consumer/consumption?startDate={FIRST}", 400),
        (f"/v1/consumer/consumption?endDate={LAST}", 400),
        (f"/v1/consumer/coverage?model=urn:air:sdxl:checkpoint:civitai:1@{DIGITS}", 200),
        ('/v1/consumer/requests?cursor={"nextId":1e999}', 400),
        (f"/v1/consumer/requests?cursor={'[' * 3000}", 400),
        (f"/api/v1/bugs?limit={DIGITS}", 200),
        (f"/api/v1/bugs/{DIGITS}", 400),
        (f"/api/download/attachments/{DIGITS}", 400),
        ("/api/download/key%0Awith%0Alines", 404),
    ],
)
def test_a_query_is_refused_or_answered(asking: httpx.Client, path: str, status: int) -> None:
    assert asking.get(path).status_code == status


def test_media_of_any_width(running: Emulator, asking: httpx.Client) -> None:
    key = next(iter(running.catalogue.image_by_key))
    assert asking.get(f"/media/{key}/width={DIGITS}/image.jpeg").status_code == 200


@pytest.mark.parametrize("path", ["/v2/consumer/civitai/{}", "/v2/consumer/civitai/{}/tokens"])
def test_users_with_endless_numbers_are_nobody(asking: httpx.Client, path: str) -> None:
    assert asking.delete(path.format(DIGITS)).status_code == 404


def test_paid_access_ends_within_the_calendar(running: Emulator, asking: httpx.Client) -> None:
    own = running.catalogue.models[-1].versions[0]
    body = {"id": own.id, "rightsAffirmed": True, "paidAccess": {"endsAt": "9999-12-31T23:59:59-14:00"}}
    assert asking.post("/api/v1/model-versions/early-access", json=body).status_code == 400


def test_moments_of_early_years_have_four_digits(asking: httpx.Client) -> None:
    answer = asking.get("/v1/consumer/consumption?startDate=0195-12-11T15:36:02")
    assert answer.json()["startDate"] == "0195-12-11T15:36:02.0000000Z"


@pytest.mark.parametrize("levels", [64, 300, 900])
def test_json_has_as_many_levels_as_the_service_reads(asking: httpx.Client, levels: int) -> None:
    steps = [{"$type": "echo", "input": {"message": "m"}}]
    for body in ({"metadata": tower(levels), "steps": steps}, {"steps": [{**steps[0], "input": tower(levels)}]}):
        assert asking.post(WORKFLOWS, json=body).status_code == 400
    assert asking.post(WORKFLOWS, json={"metadata": tower(60), "steps": steps}).status_code == 202
    assert asking.post(JOBS, json={"$type": "any", "properties": tower(levels)}).status_code == 400
    assert asking.get(WORKFLOWS).status_code == 200


def test_a_patch_builds_no_tower_and_leaves_something(asking: httpx.Client) -> None:
    id_ = asking.post(WORKFLOWS, json={"steps": [{"$type": "echo", "input": {"message": "m"}}]}).json()["id"]
    deep = {"op": "add", "path": "/metadata/a", "value": tower(60)}
    for operations in ([deep, {**deep, "path": f"/metadata/a{'/on' * 59}"}], [{"op": "remove", "path": ""}]):
        assert asking.patch(f"{WORKFLOWS}/{id_}", json=operations).status_code == 400
    assert asking.get(f"{WORKFLOWS}/{id_}").json()["metadata"] == {}


@pytest.mark.parametrize("word", ["", "[expire]"])
@pytest.mark.parametrize(
    ("timeout", "works"), [("99999.00:00:00", True), ("999999999999.00:00:00", False), (f"{DIGITS}.00:00:00", False)]
)
def test_a_step_may_take_its_time_but_not_for_ever(
    asking: httpx.Client, timeout: str, word: str, *, works: bool
) -> None:
    step = {"$type": "echo", "timeout": timeout, "input": {"message": word or "m"}}
    assert asking.post(WORKFLOWS, json={"steps": [step]}).status_code == (202 if works else 400)
    job = {"$type": "any", "timeout": timeout, "word": word}
    assert asking.post(JOBS, json=job).status_code == (200 if works else 400)


def test_a_job_is_not_tried_for_ever(asking: httpx.Client) -> None:
    answer = asking.post(JOBS, json={"$type": "any", "word": "[fail]", "retries": 10**15})
    assert answer.status_code == 200


@pytest.mark.parametrize("size", [f"{DIGITS}x1", "²x²"])
def test_sizes_that_are_no_sizes(asking: httpx.Client, size: str) -> None:
    given = {"engine": "openai", "model": "gpt-image-1", "operation": "createImage", "prompt": "p", "size": size}
    answer = asking.post(WORKFLOWS, json={"steps": [{"$type": "imageGen", "input": given}]})
    assert answer.status_code in (202, 400)
    assert asking.get(WORKFLOWS).status_code == 200


@pytest.mark.parametrize("target", [None, 0, [], {}, 1.5])
def test_a_reference_names_its_step_in_words(asking: httpx.Client, target: Any) -> None:
    steps = [{"$type": "echo", "input": {"message": {"$ref": target, "path": "output.message"}}}]
    answer = asking.post(WORKFLOWS, json={"steps": steps})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["steps[0].input.message"])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "http://127.0.0.1:0/", "https://[::1", "https:///path", "x"]
)
def test_a_callback_has_an_address_that_can_be(asking: httpx.Client, url: str) -> None:
    callbacks = [{"url": url, "type": ["workflow:*"]}]
    answer = asking.post(
        WORKFLOWS, json={"steps": [{"$type": "echo", "input": {"message": "m"}}], "callbacks": callbacks}
    )
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["callbacks[0].url"])


def test_what_is_changed_of_a_workflow_has_its_type(asking: httpx.Client) -> None:
    step = {"$type": "echo", "input": {"message": "x"}}
    id = asking.post(WORKFLOWS, json={"steps": [step]}).json()["id"]
    assert asking.post(f"{WORKFLOWS}/{id}/tags", json=[]).status_code == 400
    assert asking.put(f"{WORKFLOWS}/{id}", json={"allowMatureContent": -5}).status_code == 400
    assert asking.put(f"{WORKFLOWS}/{id}", json={"allowMatureContent": None}).status_code == 204
    assert asking.post(f"{WORKFLOWS}/{id}/tags", json="kept").status_code == 204
    assert asking.get(f"{WORKFLOWS}/{id}").json()["tags"] == ["kept"]
