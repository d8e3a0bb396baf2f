"""Submits and inputs of steps whose values do not fit what the document declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from scripts import inputs

WORKFLOWS = "/v2/consumer/workflows"
ECHO = {"$type": "echo", "input": {"message": "m"}}
IMAGE = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": "a lighthouse"}


@pytest.fixture(scope="module")
def asking() -> Iterator[httpx.Client]:
    with Emulator(speed=0, models=3, balance={"yellow": 10**6}) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            yield client


def test_the_declarations_are_those_of_the_document() -> None:
    assert inputs.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"steps": [ECHO], "nsfwLevel": "mild"}, "nsfwLevel"),
        ({"steps": [ECHO], "callbacks": [{"url": "https://a.example", "type": [], "detailed": "yes"}]},
         "callbacks[0].detailed"),
        ({"steps": [{**ECHO, "retries": "2"}]}, "steps[0].retries"),
        ({"steps": [{**ECHO, "retries": 2**31}]}, "steps[0].retries"),
        ({"steps": [{**ECHO, "retries": {"$ref": "$arguments", "path": "a"}}]}, "steps[0].retries"),
        ({"steps": [{**ECHO, "metadata": []}]}, "steps[0].metadata"),
        ({"steps": [ECHO], "arguments": []}, "arguments"),
        ({"steps": [ECHO], "allowMatureContent": "yes"}, "allowMatureContent"),
        ({"steps": [{"$type": "echo", "input": {"message": 7}}]}, "steps[0].input.message"),
        ({"steps": [{"$type": "ECHO", "input": {"Message": True}}]}, "steps[0].input.message"),
    ],
)  # fmt: skip
def test_a_submit_that_does_not_fit(asking: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = asking.post(WORKFLOWS, json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": "12"}, "input.steps"),
        ({"steps": 51}, "input.steps"),
        ({"steps": 4.5}, "input.steps"),
        ({"cfgScale": [5]}, "input.cfgScale"),
        ({"negativePrompt": {}}, "input.negativePrompt"),
        ({"loras": []}, "input.loras"),
        ({"loras": {"urn:air:flux2:lora:civitai:1@2": "strong"}}, "input.loras.urn:air:flux2:lora:civitai:1@2"),
        ({"modelVersion": "5b"}, "input.modelVersion"),
        ({"enablePromptExpansion": 1}, "input.enablePromptExpansion"),
        ({"outputFormat": {"type": "jpeg", "quality": "high"}}, "input.outputFormat"),
        ({"seed": True}, "input.seed"),
        ({"prompt": "p" * 1001}, "input.prompt"),
    ],
)
def test_an_input_that_does_not_fit(asking: httpx.Client, change: dict[str, Any], field: str) -> None:
    for path, body, place in (
        (WORKFLOWS, {"steps": [{"$type": "imageGen", "input": {**IMAGE, **change}}]}, f"steps[0].{field}"),
        ("/v2/consumer/recipes/imageGen?whatif=true", {**IMAGE, **change}, f"steps[0].{field}"),
    ):
        answer = asking.post(path, json=body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [place])


@pytest.mark.parametrize(
    "change",
    [
        {"STEPS": 12},
        {"steps": 12.0},
        {"steps": None},
        {"steps": {"$ref": "$arguments", "path": "steps"}},
        {"modelVersion": "9B"},
        {"somethingNew": {"of": ["next", "week"]}},
        {"loras": {"urn:air:flux2:lora:civitai:1@2": 1}},
    ],
)
def test_what_the_service_takes_is_taken(asking: httpx.Client, change: dict[str, Any]) -> None:
    body = {"arguments": {"steps": 12}, "steps": [{"$type": "imageGen", "input": {**IMAGE, **change}}]}
    answer = asking.post(WORKFLOWS, json=body)
    assert answer.status_code == 202, answer.text


def test_steps_that_are_known_from_their_recipes_are_checked_too(asking: httpx.Client) -> None:
    answer = asking.post("/v2/consumer/recipes/batchOCRSafetyClassification", json={"mediaUrls": [7]})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["steps[0].input.mediaUrls[0]"])
