"""How jobs of the Generator API are written, and what their states mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from civitai_api.generator.models import ControlNet, JobStatus, NetworkParams
from civitai_ext import Air, AirError, errors, image_job
from civitai_ext._job_states import is_late, is_over, jobs_ahead, pauses, reason_of, state_of, succeeded

SDXL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
SD1 = "urn:air:sd1:checkpoint:civitai:107842@275408"
LORA = "urn:air:sd1:lora:civitai:162141@182559"
EMBEDDING = "urn:air:sd1:embedding:civitai:7808@9208"


def test_a_job_with_everything() -> None:
    job = image_job(
        Air.parse(SD1),
        "a cat",
        width=512,
        height=768,
        negative_prompt="a dog",
        scheduler="EulerA",
        steps=20,
        cfg_scale=7,
        seed=-1,
        clip_skip=2,
        quantity=3,
        additional_networks={
            LORA: 0.8,
            Air.parse(EMBEDDING): "bad hands",
            "urn:air:sd1:unheard:civitai:1@2": NetworkParams(type="Lora", strength=1, trigger_word="x"),
        },
        control_nets=[ControlNet(preprocessor="Canny", image_url="https://image.example/1.png")],
        priority="High",
        callback_url="https://example.com/hook",
        properties={"order": 17},
        timeout=timedelta(minutes=5),
        retries=2,
    )
    assert job.to_dict() == {
        "$type": "textToImage",
        "baseModel": "SD_1_5",
        "model": SD1,
        "params": {
            "prompt": "a cat",
            "negativePrompt": "a dog",
            "scheduler": "EulerA",
            "steps": 20,
            "cfgScale": 7,
            "width": 512,
            "height": 768,
            "seed": -1,
            "clipSkip": 2,
        },
        "quantity": 3,
        "additionalNetworks": {
            LORA: {"type": "Lora", "strength": 0.8},
            EMBEDDING: {"type": "TextualInversion", "triggerWord": "bad hands"},
            "urn:air:sd1:unheard:civitai:1@2": {"type": "Lora", "strength": 1, "triggerWord": "x"},
        },
        "controlNets": [{"preprocessor": "Canny", "imageUrl": "https://image.example/1.png"}],
        "priority": "High",
        "callbackUrl": "https://example.com/hook",
        "properties": {"order": 17},
        "timeout": "00:05:00",
        "retries": 2,
    }


def test_what_is_left_out_is_not_sent() -> None:
    assert image_job(SDXL, "x", width=1, height=1024).to_dict() == {
        "$type": "textToImage",
        "baseModel": "SDXL",
        "model": SDXL,
        "params": {"prompt": "x", "width": 1, "height": 1024},
    }
    assert image_job(SD1, "x", width=1, height=1, base_model="SDXL").base_model == "SDXL"


def test_network_params_that_were_given_stay_as_they_are() -> None:
    given = NetworkParams(strength=1)
    image_job(SD1, "x", width=1, height=1, additional_networks={LORA: given})
    assert given == NetworkParams(strength=1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"width": 0}, "width is 0; it is an integer from 1 to 1024. The service may take more"),
        ({"height": 1216}, "height is 1216"),
        ({"width": "512"}, "width is '512'"),
        ({"width": True}, "width is True"),
        ({"quantity": 0}, "quantity is 0"),
        ({"scheduler": "euler_a"}, "scheduler is 'euler_a', which is spelt 'EulerA'"),
        ({"priority": "high"}, "priority is 'high', which is spelt 'High'"),
        ({"steps": "20"}, "takes an integer, not '20'"),
        ({"additional_networks": {LORA: None}}, f"additional_networks has None for {LORA}"),
        ({"additional_networks": {LORA: True}}, "additional_networks has True"),
        ({"additional_networks": {LORA: NetworkParams(type="lora")}}, "is 'lora', which is spelt 'Lora'"),
        ({"control_nets": [ControlNet(preprocessor="canny")]}, "is 'canny', which is spelt 'Canny'"),
        ({"callback_url": 5}, "callback_url of TextToImageJob takes text"),
    ],
)
def test_what_cannot_be_is_told_at_once(fields: dict[str, Any], message: str) -> None:
    prompt = fields.pop("prompt", "x")
    with pytest.raises(errors.InvalidRequest, match=message):
        image_job(SD1, prompt, **{"width": 1, "height": 1, **fields})


def test_a_scheduler_that_is_not_known_may_be_new() -> None:
    assert image_job(SD1, "x", width=1, height=1, scheduler="DPM9000").params.scheduler == "DPM9000"


@pytest.mark.parametrize("fields", [{"model": "pony"}, {"additional_networks": {"pony": 1}}])
def test_what_is_no_air_is_told_at_once(fields: dict[str, Any]) -> None:
    model = fields.pop("model", SD1)
    with pytest.raises(AirError):
        image_job(model, "x", width=1, height=1, **fields)


# --------------------------------------------------------------------------------------------------------------- states


def status(type_: str | None = None, **fields: Any) -> JobStatus:
    event = {} if type_ is None else {"lastEvent": {"type": type_} | fields.pop("event", {})}
    return JobStatus.from_dict({"jobId": "j", "cost": 1, "scheduled": False, **event, **fields})


THERE: dict[str, Any] = {"result": {"blobKey": "A", "available": True, "blobUrl": "https://x/"}}
NOT_THERE: dict[str, Any] = {"result": {"blobKey": "A", "available": False}}


@pytest.mark.parametrize(
    ("job", "over", "success"),
    [
        (status(), False, False),
        (status("Initialized"), False, False),
        (status("Claimed", **NOT_THERE), False, False),
        (status("Updated"), False, False),
        (status("ClaimExpired"), False, False),
        (status("Pondering", **NOT_THERE), False, False),
        (status("Pondering", event={"jobHasCompleted": True}), False, False),
        (status("Succeeded"), True, True),
        (status("succeeded"), True, True),
        (status("Succeeded", event={"jobHasCompleted": False}), True, True),
        (status(**THERE), True, True),
        (status("Updated", **THERE), True, True),
        (status(result=[THERE["result"], NOT_THERE["result"]]), False, False),
        (status(result=[THERE["result"], THERE["result"]]), True, True),
        (status(result=[]), False, False),
        (status("Failed"), True, False),
        (status("Failed", event={"jobHasCompleted": False}), False, False),
        (status("Failed", event={"jobHasCompleted": True}, scheduled=True), True, False),
        (status("Failed", **THERE), True, False),
        (status("Rejected"), True, False),
        (status("Rejected", scheduled=True), False, False),
        (status("Rejected", event={"jobHasCompleted": False}), False, False),
        (status("LateRejected"), True, False),
        (status("Expired", scheduled=True), True, False),
        (status("Deleted", scheduled=True), True, False),
        (status("Canceled"), True, False),
    ],
    ids=str,
)
def test_when_a_job_is_over(job: JobStatus, over: bool, success: bool) -> None:
    assert (is_over(job), succeeded(job)) == (over, success)


def test_a_state_without_an_event_follows_from_the_rest() -> None:
    assert [state_of(job) for job in (status(), status(scheduled=True), status(**THERE), status("New"))] == [
        "unknown", "Initialized", "Succeeded", "New",
    ]  # fmt: skip


def test_a_result_can_be_late() -> None:
    assert [is_late(job) for job in (status("Succeeded", **NOT_THERE), status("Succeeded"), status(**NOT_THERE))] == [
        True, False, False,
    ]  # fmt: skip


def test_a_reason_says_what_the_service_said() -> None:
    assert reason_of(status("Failed")) == "j Failed"
    told = {"context": {"message": "no GPU", "reason": "no GPU", "error": 5}}
    assert reason_of(status("Failed", event=told)) == "j Failed (no GPU)"


def test_the_place_in_the_queue_is_the_best_of_all_providers() -> None:
    outlooks = {
        "A": {"support": "Available", "queuePosition": {"precedingJobs": 7}},
        "B": {"queuePosition": {"precedingJobs": 3}},
        "C": {"queuePosition": None},
        "D": {"queuePosition": {"precedingJobs": "many"}},
    }
    assert jobs_ahead(status(serviceProviders=outlooks)) == 3
    assert jobs_ahead(status()) is None


def test_looks_become_rarer() -> None:
    known, unknown = pauses(known=True), pauses(known=False)
    assert next(unknown) == 0
    assert next(known) == next(unknown) == 1
    assert [next(known) for _ in range(9)] == [1, 2, 2, 3, 5, 5, 5, 5, 5]
