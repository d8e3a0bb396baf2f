"""Workflows over HTTP: submit, estimate, wait, states, references, Buzz, cancel, change."""

from __future__ import annotations

import base64
import functools
import io
import os
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest
from PIL import Image

from civitai_ext.emulator import Emulator

PATH = "/v2/consumer/workflows"
Json = dict[str, Any]


def _image(prompt: str = "a cat astronaut", **fields: Any) -> Json:
    given = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": prompt, **fields}
    return {"$type": "imageGen", "name": "hero", "input": given}


def _upscale(source: str = "hero", **fields: Any) -> Json:
    return {"$type": "imageUpscaler", "input": {"image": {"$ref": source, "path": "output.images[0].url"}}, **fields}


def _echo(message: Any = "hello", **fields: Any) -> Json:
    return {"$type": "echo", "input": {"message": message}, **fields}


def _submit(client: httpx.Client, *steps: Json, query: Json | None = None, **fields: Any) -> Json:
    answer = client.post(PATH, json={"steps": list(steps), **fields}, params=query)
    assert answer.status_code in (200, 202), answer.text
    workflow: Json = answer.json()
    return workflow


@pytest.fixture
def finish(client: httpx.Client, emulator: Emulator) -> Callable[[Json], Json]:
    """Move time on until a workflow is over, and answer it as it then is."""

    def finish(workflow: Json) -> Json:
        for _ in range(40):
            answer = client.get(f"{PATH}/{workflow['id']}")
            if answer.status_code == 200:
                over: Json = answer.json()
                return over
            assert answer.status_code == 202
            emulator.clock.advance(20)
        raise AssertionError("the workflow does not end")

    return finish


def _problem(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "traceId"} <= set(problem)
    return problem


# Submitting


def test_a_token_is_needed(anonymous: httpx.Client) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        _problem(anonymous.post(PATH, json={"steps": [_echo()]}, headers=headers), 401)
    _problem(anonymous.post(f"{PATH}?token=test-token", json={"steps": [_echo()]}), 401)


def test_a_workflow_starts_unassigned_and_answers_202(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"steps": [_image()], "tags": ["demo"], "metadata": {"a": 1}})
    assert answer.status_code == 202
    workflow = answer.json()
    assert (workflow["status"], workflow["tags"], workflow["metadata"]) == ("unassigned", ["demo"], {"a": 1})
    assert workflow["steps"][0]["name"] == "hero"
    assert workflow["cost"]["total"] == sum(entry["amount"] for entry in workflow["transactions"]["list"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", workflow["createdAt"])


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"$type": "makeCoffee", "input": {}}, "steps[0].$type"),
        ({"$type": "textToImage", "input": {}}, "steps[0].input.prompt"),
        ({"$type": "imageGen", "input": {"prompt": "p"}}, "steps[0].input.engine"),
        ({"$type": "imageGen", "input": {"engine": "steam", "prompt": "p"}}, "steps[0].input.engine"),
        (_image(width=100), "steps[0].input.width"),
        (_image(quantity=5), "steps[0].input.quantity"),
        (_image(engine="gemini", model="2.5-flash", operation="editImage"), "steps[0].input.images"),
        (_image(operation="melt"), "steps[0].input.operation"),
        ({"$type": "videoGen", "input": {"engine": "wan", "version": "v9", "prompt": "p"}}, "steps[0].input.version"),
        (_image(outputFormat="bmp"), "steps[0].input.outputFormat"),
        ({"$type": "imageUpscaler", "input": {}}, "steps[0].input.image"),
        ({"$type": "echo", "input": {"message": 5}}, "steps[0].input.message"),
    ],
)
def test_faulty_steps_are_named(client: httpx.Client, emulator: Emulator, step: Json, path: str) -> None:
    problem = _problem(client.post(PATH, json={"steps": [step]}), 400)
    assert list(problem["errors"]) == [path]
    assert all(isinstance(message, str) for message in problem["errors"][path])
    assert emulator.ledger.transactions == []


@pytest.mark.parametrize("body", [b"{", b"", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json(client: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert "$" in _problem(client.post(PATH, content=body, headers=headers), 400)["errors"]


@pytest.mark.parametrize("query", [{"wait": "true"}, {"wait": "-1"}, {"whatif": "perhaps"}])
def test_bad_parameters(client: httpx.Client, query: Json) -> None:
    problem = _problem(client.post(PATH, json={"steps": [_echo()]}, params=query), 400)
    assert list(problem["errors"]) == list(query)


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "\\ud800 half a pair", "engine": "openai", "size": "99999x1"}',
        '{"prompt": "p", "engine": "gemini", "aspectRatio": "1:0", "seed": -1}',
        '{"prompt": "p", "engine": "google", "aspectRatio": "1000:1", "seed": 17739416935733250000}',
    ],
)
def test_odd_but_legal_input(
    client: httpx.Client, anonymous: httpx.Client, finish: Callable[[Json], Json], text: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post(PATH, content=f'{{"steps": [{{"$type": "imageGen", "input": {text}}}]}}', headers=headers)
    (blob,) = finish(answer.json())["steps"][0]["output"]["images"]
    with Image.open(io.BytesIO(anonymous.get(blob["url"]).content)) as image:
        assert image.size == (blob["width"], blob["height"])
        assert max(image.size) <= 4096


# Prices and Buzz


def test_prices_follow_the_input_and_add_up(client: httpx.Client) -> None:
    def cost(*steps: Json, **fields: Any) -> Json:
        estimate: Json = _submit(client, *steps, query={"whatif": "true"}, **fields)["cost"]
        return estimate

    one = cost(_image())
    assert cost(_image()) == one
    assert cost(_image(quantity=3))["total"] == 3 * one["total"]
    assert cost(_image(width=2048, height=1024))["total"] == 2 * one["total"]
    assert cost(_image(steps=50))["total"] == 2 * one["total"]
    hurried = cost(_image() | {"priority": "high"})
    assert (hurried["factors"], hurried["total"]) == ({"priority": 2.0}, 2 * one["total"])
    assert cost(_image(loras={"urn:air:flux2:lora:civitai:1@2": 1}))["fixed"] == {"additionalNetworks": 1}
    tipped = cost(_image(), tips={"civitai": 0.5, "creators": 0.25})
    assert tipped["tips"] == {"civitai": 4, "creators": 2}
    assert tipped["total"] == one["total"] + 6


def test_an_estimate_charges_nothing(client: httpx.Client, emulator: Emulator) -> None:
    estimate = _submit(client, _image(quantity=4), query={"whatif": "true"})
    assert "id" not in estimate
    assert estimate["transactions"] == {
        "list": [
            {"type": "debit", "amount": 20, "accountType": "blue"},
            {"type": "debit", "amount": 12, "accountType": "yellow"},
        ],
        "insufficientBuzz": False,
    }
    assert emulator.ledger.total == 1020
    assert client.get(PATH).json()["items"] == []


def test_blue_is_spent_first(client: httpx.Client, emulator: Emulator) -> None:
    _submit(client, _image(quantity=4))
    assert emulator.ledger.balance == {"blue": 0, "green": 0, "yellow": 988}
    _submit(client, _echo(), currencies=["yellow"])
    _submit(client, _echo(), allowMatureContent=True)
    assert emulator.ledger.balance["yellow"] == 986


def test_not_enough_buzz_is_a_bare_string(client: httpx.Client, emulator: Emulator) -> None:
    body = {"steps": [_image(quantity=4)], "currencies": ["blue"]}
    estimate = client.post(PATH, json=body, params={"whatif": "true"}).json()
    assert estimate["transactions"]["insufficientBuzz"] is True
    refused = client.post(PATH, json=body)
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/json"
    assert isinstance(refused.json(), str)
    assert emulator.ledger.transactions == []


def test_an_external_id_makes_a_repeat_free(client: httpx.Client, emulator: Emulator) -> None:
    first = _submit(client, _image(), externalId="once")
    again = _submit(client, _image("something else"), externalId="once")
    assert again["id"] == first["id"]
    assert len(emulator.ledger.transactions) == 1
    client.delete(f"{PATH}/{first['id']}")
    assert _submit(client, _image(), externalId="once")["id"] != first["id"]


def test_an_estimate_takes_its_external_id_away(client: httpx.Client, emulator: Emulator) -> None:
    _submit(client, _image(), query={"whatif": "true"}, externalId="trap")
    trapped = client.post(PATH, json={"steps": [_image()], "externalId": "trap"})
    assert trapped.status_code == 200
    assert "id" not in trapped.json()
    assert emulator.ledger.transactions == []


# States


def test_states_progress_and_queue_positions(client: httpx.Client, emulator: Emulator) -> None:
    model = "urn:air:sdxl:checkpoint:civitai:827184@2514310"
    step = {"$type": "textToImage", "input": {"prompt": "p", "model": model, "width": 1024, "height": 1024}}
    workflow = _submit(client, step)
    seen: list[tuple[str, Json]] = []
    while True:
        answer = client.get(f"{PATH}/{workflow['id']}")
        shown = answer.json()["steps"][0]
        assert answer.json()["status"] == shown["status"] == shown["jobs"][0]["status"]
        seen.append((shown["status"], shown))
        if answer.status_code == 200:
            break
        emulator.clock.advance(0.5)
    statuses = list(dict.fromkeys(status for status, _ in seen))
    assert statuses == ["unassigned", "preparing", "scheduled", "processing", "succeeded"]

    def of(status: str) -> list[Json]:
        return [shown for name, shown in seen if name == status]

    assert [shown["preparation"]["resource"] for shown in of("preparing")] == [model] * len(of("preparing"))
    for status in ("preparing", "processing"):
        rates = [shown["estimatedProgressRate"] for shown in of(status)]
        assert rates == sorted(rates)
        assert 0 <= rates[0] < rates[-1] <= 1
    ahead = [shown["jobs"][0]["queuePosition"]["precedingJobs"] for shown in of("scheduled")]
    assert ahead == sorted(ahead, reverse=True)
    assert ahead[0] > ahead[-1]
    (over,) = of("succeeded")
    assert set(over["jobs"][0]) == {"id", "status", "startedAt", "completedAt", "cost"}
    assert over["startedAt"] < over["completedAt"]


def test_a_long_poll_ends_with_the_work(client: httpx.Client, emulator: Emulator) -> None:
    workflow = _submit(client, _image())
    assert _wait(client, emulator, f"{PATH}/{workflow['id']}", 60).json()["status"] == "succeeded"


def test_a_long_poll_ends_with_its_time(client: httpx.Client, emulator: Emulator) -> None:
    workflow = _submit(client, _image("[expire]"))
    answer = _wait(client, emulator, f"{PATH}/{workflow['id']}", 30)
    assert (answer.status_code, answer.json()["status"]) == (202, "scheduled")


def test_a_submit_can_wait(emulator: Emulator, client: httpx.Client) -> None:
    call = functools.partial(client.post, f"{PATH}?wait=30", json={"steps": [_echo()]})
    answer = _while_waiting(call, emulator, lambda: emulator.clock.advance(20))
    assert answer.status_code == 200
    assert answer.json()["steps"][0]["output"] == {"message": "hello"}


def test_the_gateway_ends_a_wait_of_more_than_a_hundred_seconds(client: httpx.Client, emulator: Emulator) -> None:
    workflow = _submit(client, _image("[expire]"))
    answer = _wait(client, emulator, f"{PATH}/{workflow['id']}", 101)
    assert answer.status_code == 504
    assert answer.headers["content-type"].startswith("text/html")


def _wait(client: httpx.Client, emulator: Emulator, path: str, seconds: int) -> httpx.Response:
    """Long-poll in another thread, and let the time pass at once when the request waits."""
    call = functools.partial(client.get, path, params={"wait": seconds})
    return _while_waiting(call, emulator, lambda: emulator.clock.advance(seconds))


def _while_waiting(call: Callable[[], httpx.Response], emulator: Emulator, act: Callable[[], object]) -> httpx.Response:
    """Make a request in another thread; act as soon as it waits for the clock."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call)
        while not (emulator.clock._sleepers or answer.done()):
            os.sched_yield()
        act()
        return answer.result(timeout=20)


def test_a_cancel_ends_a_long_poll(client: httpx.Client, emulator: Emulator) -> None:
    path = f"{PATH}/{_submit(client, _image())['id']}"

    def cancel() -> None:
        assert client.put(path, json={"status": "canceled"}).status_code == 204

    answer = _while_waiting(functools.partial(client.get, path, params={"wait": 60}), emulator, cancel)
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("[fail]", "failed", "no_provider_available"),
        ("[expire]", "expired", "expired"),
        ("[block]", "failed", "blocked"),
    ],
)
def test_words_choose_the_end_and_what_is_not_made_is_refunded(
    client: httpx.Client, emulator: Emulator, finish: Callable[[Json], Json], word: str, status: str, reason: str
) -> None:
    over = finish(_submit(client, _image(f"a cat {word}"), _upscale()))
    first, second = over["steps"]
    assert (over["status"], first["status"], second["status"]) == (status, status, "canceled")
    assert first["jobs"][0]["reason"] == reason
    assert first["output"]["images"] == []
    assert ("blockedReason" in first["jobs"][0]) is (word == "[block]")
    assert emulator.ledger.total == 1020


@pytest.mark.parametrize(("timeout", "begun"), [("00:00:03", False), ("00:00:05", True)])
def test_a_timeout_cuts_a_step_off(
    emulator: Emulator, client: httpx.Client, finish: Callable[[Json], Json], timeout: str, begun: bool
) -> None:
    over = finish(_submit(client, _image() | {"timeout": timeout}))
    (step,) = over["steps"]
    assert (over["status"], step["jobs"][0]["reason"]) == ("expired", "timeout")
    assert ("startedAt" in step) is begun
    assert emulator.ledger.total == 1020


# Trying again


def test_each_attempt_is_a_job_and_only_the_last_one_fails_the_step(
    emulator: Emulator, client: httpx.Client, finish: Callable[[Json], Json]
) -> None:
    workflow = _submit(client, _echo("[fail]", retries=2), _echo("then"))
    seen: list[tuple[str, list[str]]] = []
    for _ in range(400):
        step = client.get(f"{PATH}/{workflow['id']}").json()["steps"][0]
        state = (step["status"], [job["status"] for job in step["jobs"]])
        if not seen or seen[-1] != state:
            seen.append(state)
        emulator.clock.advance(0.1)
    failed = ["failed"]
    assert seen == [
        ("unassigned", ["unassigned"]),
        ("scheduled", ["scheduled"]),
        ("processing", ["processing"]),
        ("scheduled", [*failed, "scheduled"]),
        ("processing", [*failed, "processing"]),
        ("scheduled", [*failed * 2, "scheduled"]),
        ("processing", [*failed * 2, "processing"]),
        ("failed", failed * 3),
    ]
    over = finish(workflow)
    jobs = over["steps"][0]["jobs"]
    assert len({job["id"] for job in jobs}) == 3
    assert [job["reason"] for job in jobs] == ["no_provider_available"] * 3
    assert jobs[0]["completedAt"] < jobs[1]["startedAt"]
    assert over["steps"][0]["startedAt"] == jobs[0]["startedAt"]


def test_what_is_tried_again_can_succeed_and_is_paid_once(
    emulator: Emulator, client: httpx.Client, finish: Callable[[Json], Json]
) -> None:
    once = finish(_submit(client, _image("[retry]")))
    assert once["status"] == "failed"
    total = emulator.ledger.total
    twice = finish(_submit(client, _image("[retry]") | {"retries": 1}))
    assert twice["status"] == "succeeded"
    first, second = twice["steps"][0]["jobs"]
    assert (first["status"], second["status"]) == ("failed", "succeeded")
    assert twice["steps"][0]["output"]["images"][0]["jobId"] == second["id"]
    assert total - emulator.ledger.total == twice["cost"]["total"]


def test_attempts_end_with_the_timeout(client: httpx.Client, finish: Callable[[Json], Json]) -> None:
    over = finish(_submit(client, _image("[fail]") | {"retries": 10_000, "timeout": "00:00:20"}))
    jobs = over["steps"][0]["jobs"]
    assert [job["status"] for job in jobs] == ["failed"] * (len(jobs) - 1) + ["expired"]
    assert 2 <= len(jobs) <= 10


def test_a_canceled_step_is_not_tried_again(client: httpx.Client, emulator: Emulator) -> None:
    workflow = _submit(client, _image("[fail]") | {"retries": 3})
    while len(jobs := client.get(f"{PATH}/{workflow['id']}").json()["steps"][0]["jobs"]) < 2:
        emulator.clock.advance(0.5)
    client.put(f"{PATH}/{workflow['id']}", json={"status": "canceled"})
    emulator.clock.advance(600)
    jobs = client.get(f"{PATH}/{workflow['id']}").json()["steps"][0]["jobs"]
    assert [job["status"] for job in jobs] == ["failed", "canceled"]


def test_a_higher_priority_waits_less(client: httpx.Client, finish: Callable[[Json], Json]) -> None:
    runs = [finish(_submit(client, _echo(priority=name))) for name in ("high", "normal", "low")]
    waits = [_seconds(over["steps"][0]["startedAt"]) - _seconds(over["createdAt"]) for over in runs]
    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_names_and_enumerations_are_read_in_any_case(client: httpx.Client, emulator: Emulator) -> None:
    hook = {"URL": "https://hooks.example/a", "Type": ["Workflow:Canceled"], "Detailed": True}
    body = {"Steps": [_echo()], "Currencies": ["YELLOW"], "Callbacks": [hook], "UpgradeMode": "Automatic"}
    workflow = client.post(PATH, json=body).json()
    assert (workflow["currencies"], workflow["upgradeMode"]) == (["yellow"], "automatic")
    assert workflow["callbacks"] == [{"url": hook["URL"], "type": ["workflow:canceled"], "detailed": True}]
    url = f"{PATH}/{workflow['id']}"
    assert client.put(url, json={"Status": "Canceled", "Metadata": {"a": 1}}).status_code == 204
    emulator.callbacks.settle()
    assert [delivery.event for delivery in emulator.deliveries] == ["workflow:canceled"]
    assert client.get(url).json()["metadata"] == {"a": 1}


def test_equal_steps_can_lead_to_the_earlier_workflow() -> None:
    with Emulator(speed=0, models=1, deduplicate=True) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            first, total = _submit(client, _echo(), externalId="a"), emulator.ledger.total
            assert _submit(client, _echo(), externalId="b")["id"] == first["id"]
            assert "id" not in _submit(client, _echo(), query={"whatif": True})
            assert emulator.ledger.total == total
            assert _submit(client, _echo("another"))["id"] != first["id"]
            assert _submit(client, _echo(), arguments={"a": 1})["id"] != first["id"]
            client.put(f"{PATH}/{first['id']}", json={"status": "canceled"})
            assert _submit(client, _echo())["id"] != first["id"]


def test_a_key_is_free_again_when_its_workflow_is_not_kept_any_more(client: httpx.Client, emulator: Emulator) -> None:
    first = _submit(client, _echo(), externalId="monthly")
    emulator.clock.advance(29 * 86_400)
    assert _submit(client, _echo(), externalId="monthly")["id"] == first["id"]
    emulator.clock.advance(2 * 86_400)
    assert _submit(client, _echo(), externalId="monthly")["id"] != first["id"]


# References


def test_a_reference_orders_the_steps_and_is_filled_in(
    client: httpx.Client, anonymous: httpx.Client, finish: Callable[[Json], Json]
) -> None:
    over = finish(_submit(client, _upscale(name="big"), _image(width=640, height=512)))
    big, hero = over["steps"]
    assert big["startedAt"] > hero["completedAt"]
    assert big["input"]["image"].startswith("http")
    blob = big["output"]["blob"]
    assert (blob["width"], blob["height"]) == (1280, 1024)
    with Image.open(io.BytesIO(anonymous.get(blob["url"]).content)) as image:
        assert image.size == (1280, 1024)
        assert image.info["parameters"].startswith("a cat astronaut\n")


def test_references_to_arguments_and_positions(client: httpx.Client, finish: Callable[[Json], Json]) -> None:
    first = _echo({"$ref": "$arguments", "path": "greeting"}, name="first")
    second = _echo({"$ref": "$0", "path": "output.message"})
    over = finish(_submit(client, first, second, arguments={"greeting": "good day"}))
    assert [step["output"]["message"] for step in over["steps"]] == ["good day", "good day"]


def test_a_reference_that_leads_nowhere_fails_the_step(
    client: httpx.Client, emulator: Emulator, finish: Callable[[Json], Json]
) -> None:
    over = finish(_submit(client, _echo(name="a"), _echo({"$ref": "a", "path": "output.images[3]"})))
    assert [step["status"] for step in over["steps"]] == ["succeeded", "failed"]
    assert emulator.ledger.total == 1019


# Outputs


def test_an_output_image_is_a_real_png_that_says_how_it_was_made(
    client: httpx.Client, anonymous: httpx.Client, finish: Callable[[Json], Json]
) -> None:
    given = {"quantity": 2, "seed": 42, "steps": 30, "cfgScale": 4.5, "width": 512, "height": 768}
    over = finish(_submit(client, _image("a paper boat", negativePrompt="fog", sampleMethod="heun", **given)))
    images = over["steps"][0]["output"]["images"]
    contents = [anonymous.get(blob["url"]).content for blob in images]
    assert contents[0] != contents[1]
    for place, (blob, content) in enumerate(zip(images, contents, strict=True)):
        assert {"type", "id", "available", "url", "urlExpiresAt", "jobId", "nsfwLevel"} <= set(blob)
        assert blob["jobId"] == over["steps"][0]["jobs"][0]["id"]
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("PNG", (512, 768))
            assert image.info["parameters"] == (
                "a paper boat\nNegative prompt: fog\n"
                f"Steps: 30, Sampler: heun, CFG scale: 4.5, Seed: {42 + place}, Size: 512x768, Model: klein, "
                "Version: civitai-ext-emulator"
            )


@pytest.mark.parametrize(("format_", "kind"), [("jpeg", "JPEG"), ("webP", "WEBP")])
def test_other_formats(
    client: httpx.Client, anonymous: httpx.Client, finish: Callable[[Json], Json], format_: str, kind: str
) -> None:
    over = finish(_submit(client, _image(outputFormat=format_)))
    with Image.open(io.BytesIO(anonymous.get(over["steps"][0]["output"]["images"][0]["url"]).content)) as image:
        assert image.format == kind


def test_the_same_requests_to_the_same_seed_give_the_same_answers() -> None:
    def run() -> tuple[str, bytes]:
        with Emulator(speed=0, models=2, seed=5) as emulator:
            headers = {"Authorization": f"Bearer {emulator.token}"}
            with httpx.Client(base_url=emulator.url, headers=headers) as client:
                id_ = _submit(client, _image())["id"]
                emulator.clock.advance(60)
                blob = client.get(f"{PATH}/{id_}").json()["steps"][0]["output"]["images"][0]
            return id_, httpx.get(blob["url"]).content

    assert run() == run()


def test_images_from_elsewhere(client: httpx.Client, anonymous: httpx.Client, finish: Callable[[Json], Json]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    steps: list[Json] = [
        {"$type": "imageUpscaler", "input": {"image": f"data:image/png;base64,{text}"}},
        {"$type": "convertImage", "input": {"image": text, "output": {"format": "jpeg"}}},
        {"$type": "imageUpload", "input": "https://elsewhere.example/picture.png?secret=1"},
    ]
    blobs = [step["output"]["blob"] for step in finish(_submit(client, *steps))["steps"]]
    assert [(blob["width"], blob["height"]) for blob in blobs] == [(60, 40), (30, 20), (512, 512)]
    types = [anonymous.get(blob["url"]).headers["content-type"] for blob in blobs]
    assert types == ["image/png", "image/jpeg", "image/png"]


def test_an_image_that_is_none_fails_the_step(client: httpx.Client, finish: Callable[[Json], Json]) -> None:
    over = finish(_submit(client, {"$type": "imageUpscaler", "input": {"image": "not base64!"}}))
    assert over["status"] == "failed"


# Mature content


def test_mature_content_is_withheld_until_yellow_pays_for_it(
    client: httpx.Client, emulator: Emulator, finish: Callable[[Json], Json]
) -> None:
    over = finish(_submit(client, _image("[mature]")))
    (blob,) = over["steps"][0]["output"]["images"]
    assert (over["nsfwLevel"], blob["available"], "url" in blob) == ("x", False, False)
    assert emulator.ledger.balance["blue"] == 12
    changes = [{"op": "replace", "path": "/allowMatureContent", "value": True}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert client.patch(f"{PATH}/{over['id']}", json=changes, headers=headers).status_code == 204
    assert emulator.ledger.balance == {"blue": 20, "green": 0, "yellow": 992}
    shown = client.get(f"{PATH}/{over['id']}").json()
    assert shown["steps"][0]["output"]["images"][0]["url"]
    hidden = client.get(f"{PATH}/{over['id']}", params={"hideMatureContent": "true"}).json()
    assert "url" not in hidden["steps"][0]["output"]["images"][0]
    # Lists hide it unless told otherwise.
    (listed,) = client.get(PATH).json()["items"]
    assert "url" not in listed["steps"][0]["output"]["images"][0]


def test_mature_content_upgrades_by_itself_when_told_to(
    client: httpx.Client, emulator: Emulator, finish: Callable[[Json], Json]
) -> None:
    over = finish(_submit(client, _image("[mature]"), upgradeMode="automatic"))
    assert over["steps"][0]["output"]["images"][0]["url"]
    assert over["allowMatureContent"] is True
    assert emulator.ledger.balance == {"blue": 20, "green": 0, "yellow": 992}


def test_too_little_yellow_is_a_400() -> None:
    with Emulator(speed=0, models=1, balance={"blue": 100}) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            path = f"{PATH}/{_submit(client, _image())['id']}"
            _problem(client.put(path, json={"allowMatureContent": True}), 400)
        assert emulator.ledger.balance["blue"] == 92


# Ending and changing


def test_a_cancel_refunds_what_has_not_begun(client: httpx.Client, emulator: Emulator) -> None:
    workflow = _submit(client, _image(), _upscale(), tips={"civitai": 1, "creators": 0})
    emulator.clock.advance(4.5)
    path = f"{PATH}/{workflow['id']}"
    assert client.get(path).json()["steps"][0]["status"] == "processing"
    assert client.put(path, json={"status": "canceled"}).status_code == 204
    over = client.get(path).json()
    assert [step["status"] for step in over["steps"]] == ["canceled", "canceled"]
    assert [entry["amount"] for entry in over["transactions"]["list"] if entry["type"] == "credit"] == [5]
    # A second cancel changes nothing.
    client.put(path, json={"status": "canceled"})
    assert emulator.ledger.total == 1020 - 26 + 5


def test_a_delete_refunds_everything_that_has_not_begun_and_forgets(client: httpx.Client, emulator: Emulator) -> None:
    path = f"{PATH}/{_submit(client, _image(), tips={'civitai': 1, 'creators': 0})['id']}"
    assert client.delete(path).status_code == 204
    _problem(client.get(path), 404)
    _problem(client.delete(path), 404)
    assert emulator.ledger.total == 1020


def test_bad_changes(client: httpx.Client) -> None:
    path = f"{PATH}/{_submit(client, _echo())['id']}"
    assert "status" in _problem(client.put(path, json={"status": "succeeded"}), 400)["errors"]
    assert "tags" in _problem(client.put(path, json={"tags": ["a"] * 11}), 400)["errors"]
    assert "metadata" in _problem(client.put(path, json={"metadata": 1}), 400)["errors"]
    _problem(client.put(path, json=[]), 400)
    _problem(client.patch(path, json=[{"op": "remove", "path": "/nothing"}]), 400)


def test_tags_and_metadata(client: httpx.Client) -> None:
    path = f"{PATH}/{_submit(client, _echo(), tags=['a'])['id']}"
    assert client.post(f"{path}/tags", json="b c").status_code == 204
    assert client.post(f"{path}/tags", json="b c").status_code == 204
    assert client.get(path).json()["tags"] == ["a", "b c"]
    assert client.delete(f"{path}/tags/b%20c").status_code == 204
    changes = [{"op": "add", "path": "/metadata/note", "value": "n"}, {"op": "add", "path": "/tags/-", "value": "z"}]
    assert client.patch(path, json=changes).status_code == 204
    shown = client.get(path).json()
    assert (shown["tags"], shown["metadata"]) == (["a", "z"], {"note": "n"})
    assert client.delete(f"{path}/tags").status_code == 204
    assert client.get(path).json()["tags"] == []
    _problem(client.post(f"{path}/tags", json=5), 400)


def test_a_step_can_be_changed_until_it_starts(client: httpx.Client, emulator: Emulator) -> None:
    path = f"{PATH}/{_submit(client, _image())['id']}/steps/hero"
    assert client.put(path, json={"metadata": {"k": 1}}).status_code == 204
    assert client.patch(path, json=[{"op": "add", "path": "/metadata/l", "value": 2}]).status_code == 204
    assert client.get(path).json()["metadata"] == {"k": 1, "l": 2}
    _problem(client.put(path, json={}), 400)
    emulator.clock.advance(60)
    assert client.get(path).json()["status"] == "succeeded"
    _problem(client.put(path, json={"metadata": {}}), 409)
    _problem(client.get(path.replace("hero", "villain")), 404)


# Finding again


def test_listing_pages_newest_first(client: httpx.Client) -> None:
    ids = [_submit(client, _echo())["id"] for _ in range(5)]
    found: list[str] = []
    query: Json = {"take": 2}
    while True:
        page = client.get(PATH, params=query).json()
        found += [item["id"] for item in page["items"]]
        if not page["next"]:
            break
        query["cursor"] = page["next"]
    assert found == ids[::-1]
    ascending = client.get(PATH, params={"ascending": "true"}).json()["items"]
    assert [item["id"] for item in ascending] == ids
    for cursor in ("x", "²"):
        _problem(client.get(PATH, params={"cursor": cursor}), 400)
    _problem(client.get(PATH, params={"take": "0"}), 400)


def test_listing_filters(client: httpx.Client, emulator: Emulator) -> None:
    first = _submit(client, _echo(), tags=["a", "b"], metadata={"note": "Garden"})
    emulator.clock.advance(100)
    second = _submit(client, _echo("[fail]"), tags=["a"])
    emulator.clock.advance(100)

    def found(**query: Any) -> list[str]:
        return [item["id"] for item in client.get(PATH, params=query).json()["items"]]

    assert found(tags=["a", "b"]) == [first["id"]]
    assert found(query="garden") == [first["id"]]
    assert found(excludeFailed="true") == [first["id"]]
    assert found(fromDate=second["createdAt"]) == [second["id"]]
    assert found(toDate=first["createdAt"]) == [first["id"]]
    _problem(client.get(PATH, params={"fromDate": "yesterday"}), 400)


def test_listing_as_an_archive(client: httpx.Client, finish: Callable[[Json], Json]) -> None:
    over = finish(_submit(client, _image(quantity=2)))
    answer = client.get(PATH, headers={"Accept": "application/zip"})
    assert answer.headers["content-type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert names == [f"{over['id']}/{blob['id']}" for blob in over["steps"][0]["output"]["images"]]


def test_an_ephemeral_workflow_is_gone_when_it_is_over(client: httpx.Client, emulator: Emulator) -> None:
    callback = {"url": "https://example.com/hook", "type": ["workflow:*"]}
    workflow = _submit(client, _echo(), ephemeral=True, callbacks=[callback])
    assert client.get(f"{PATH}/{workflow['id']}").status_code == 202
    emulator.clock.advance(60)
    _problem(client.get(f"{PATH}/{workflow['id']}"), 404)


def test_workflows_are_kept_for_thirty_days(client: httpx.Client, emulator: Emulator) -> None:
    path = f"{PATH}/{_submit(client, _echo())['id']}"
    emulator.clock.advance(29 * 86_400)
    assert client.get(path).status_code == 200
    emulator.clock.advance(2 * 86_400)
    _problem(client.get(path), 404)


# Recipes


def _invoke(client: httpx.Client, emulator: Emulator, type_: str, body: Any, **query: Any) -> httpx.Response:
    call = functools.partial(client.post, f"/v2/consumer/recipes/{type_}", json=body, params=query)
    return _while_waiting(call, emulator, lambda: emulator.clock.advance(60))


def test_a_recipe_answers_its_output(client: httpx.Client, anonymous: httpx.Client, emulator: Emulator) -> None:
    answer = _invoke(client, emulator, "textToImage", {"prompt": "a teapot"})
    assert answer.status_code == 200
    assert anonymous.get(answer.json()["images"][0]["url"]).content.startswith(b"\x89PNG")
    assert client.get(PATH).json()["items"] == []


def test_recipes_that_do_not_work_out(client: httpx.Client, emulator: Emulator) -> None:
    assert "blocked" in _problem(_invoke(client, emulator, "echo", {"message": "[block]"}), 400)["detail"]
    _problem(_invoke(client, emulator, "makeCoffee", {}), 404)
    assert _problem(_invoke(client, emulator, "echo", {}), 400)["errors"]
    estimate = _invoke(client, emulator, "textToImage", {"prompt": "p"}, whatif="true").json()
    assert estimate["cost"]["total"] > 0
