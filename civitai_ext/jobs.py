"""Jobs of the Generator API v1: how they are written. New programs should use workflows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, get_args

from civitai_api.generator.models import (
    AssetType,
    BaseDiffusionModel,
    ControlNet,
    ImageParams,
    ImageTransformer,
    JobPriority,
    JobTemplate,
    NetworkParams,
    Scheduler,
    TextToImageJob,
)
from civitai_api.runtime import UNSET
from civitai_ext._checks import check_types
from civitai_ext._reading import text
from civitai_ext.air import Air
from civitai_ext.errors import InvalidRequest
from civitai_ext.steps import timespan

__all__ = ["SUBMISSION", "JobLike", "image_job", "prepared"]

JobLike = JobTemplate | Mapping[str, Any]
"""A job: a generated template such as `TextToImageJob`, or a dict with `$type`."""

SUBMISSION: Final = "civitaiExtSubmission"
"""The property that every job is submitted with besides its own; its value tells one submission from all others."""

_LARGEST_SIDE: Final = 1024
_LARGER: Final = "The service may take more: give a TextToImageJob, whose numbers are not checked."
# The kind of a network, by the type in its AIR.
_NETWORKS: Final = {
    "lora": "Lora",
    "embedding": "TextualInversion",
    "hypernet": "Hypernetwork",
    "lycoris": "Lycoris",
    "locon": "LoCon",
    "checkpoint": "Checkpoint",
    "vae": "Vae",
    "controlnet": "ControlNet",
}


def image_job(
    model: Air | str,
    prompt: str,
    *,
    width: int,
    height: int,
    negative_prompt: str | None = None,
    scheduler: Scheduler | None = None,
    steps: int | None = None,
    cfg_scale: float | None = None,
    seed: int | None = None,
    clip_skip: int | None = None,
    quantity: int | None = None,
    additional_networks: Mapping[Any, NetworkParams | float | str] | None = None,
    control_nets: Sequence[ControlNet] | None = None,
    base_model: BaseDiffusionModel | None = None,
    priority: JobPriority | None = None,
    callback_url: str | None = None,
    properties: Mapping[str, Any] | None = None,
    timeout: timedelta | str | None = None,
    retries: int | None = None,
) -> TextToImageJob:
    """Make the template of a job that draws images.

    Names, values and limits are those of the retired official client. What is left out is for the service to choose.

    Args:
        model: The AIR of the checkpoint.
        prompt: What to show.
        width: In pixels, 1 to 1024.
        height: In pixels, 1 to 1024.
        negative_prompt: What to avoid.
        scheduler: The sampler, such as `EulerA`.
        steps: How many sampling steps to take.
        cfg_scale: How closely to follow the prompt.
        seed: The seed of the noise; -1 picks one at random.
        clip_skip: How many of the last CLIP layers to skip.
        quantity: How many images to make, 1 if left out. Each may come as a job of its own.
        additional_networks: Further models by their AIR, each with its strength, or the word that calls it up, or
            `NetworkParams` for both. Its kind follows from the AIR, unless the `NetworkParams` say it.
        control_nets: Pictures that guide the composition.
        base_model: The family of the checkpoint; else `SDXL` if the AIR says so, and `SD_1_5` if not.
        priority: The place in the queue: `High`, `Normal` or `Low`.
        callback_url: Where the service is to tell how it goes.
        properties: Values of your own, with which the job can be found again.
        timeout: How long a worker may take, as a `timedelta` or as `HH:MM:SS`.
        retries: How often to try again if it fails.

    Raises:
        AirError: The model or a network is no AIR.
        InvalidRequest: The official client would refuse it.

    >>> job = image_job("urn:air:sdxl:checkpoint:civitai:101055@128078", "a cat", width=1024, height=768)
    >>> job.base_model, job.params.height
    ('SDXL', 768)
    """
    air = str(Air.parse(model))
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequest("prompt is empty")
    for name, pixels in (("width", width), ("height", height)):
        if isinstance(pixels, bool) or not isinstance(pixels, int) or not 1 <= pixels <= _LARGEST_SIDE:
            raise InvalidRequest(f"{name} is {pixels!r}; it is an integer from 1 to {_LARGEST_SIDE}", hint=_LARGER)
    if quantity is not None and (isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1):
        raise InvalidRequest(f"quantity is {quantity!r}; it is an integer from 1 on")
    for control_net in control_nets or ():
        if isinstance(control_net, ControlNet):
            _spelt("A preprocessor", control_net.preprocessor, ImageTransformer)
    params = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "scheduler": _spelt("scheduler", scheduler, Scheduler),
        "steps": steps,
        "cfg_scale": cfg_scale,
        "width": width,
        "height": height,
        "seed": seed,
        "clip_skip": clip_skip,
    }
    fields = {
        "base_model": base_model or ("SDXL" if "sdxl" in air.lower() else "SD_1_5"),
        "model": air,
        "params": ImageParams(**_given(params)),
        "additional_networks": _networks(additional_networks) if additional_networks else None,
        "control_nets": list(control_nets) if control_nets else None,
        "quantity": quantity,
        "priority": _spelt("priority", priority, JobPriority),
        "callback_url": callback_url,
        "properties": dict(properties) if properties is not None else None,
        "timeout": timespan(timeout) if isinstance(timeout, timedelta) else timeout,
        "retries": retries,
    }
    job = TextToImageJob(**_given(fields))
    check_types(job, "job")
    return job


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _networks(given: Mapping[Any, NetworkParams | float | str]) -> dict[str, NetworkParams]:
    networks = {}
    for key, value in given.items():
        air = Air.parse(key)
        if isinstance(value, NetworkParams):
            network = copy.copy(value)
        elif isinstance(value, str):
            network = NetworkParams(trigger_word=value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            network = NetworkParams(strength=value)
        else:
            raise InvalidRequest(
                f"additional_networks has {value!r} for {air}; it takes a strength, a trigger word or NetworkParams"
            )
        if network.type is UNSET and air.type in _NETWORKS:
            network.type = _NETWORKS[air.type]
        _spelt(f"The type of network {air}", network.type, AssetType)
        networks[str(air)] = network
    return networks


def _spelt(name: str, value: Any, kind: Any) -> Any:
    """A value of an open enum. It may be new, unless it is a known one but for case and underscores."""
    known = [member for part in get_args(kind) for member in get_args(part)]
    meant = next((each for each in known if _folded(each) == _folded(text(value))), value)
    if meant != value:
        raise InvalidRequest(f"{name} is {value!r}, which is spelt {meant!r}")
    return value


def _folded(value: str) -> str:
    return value.replace("_", "").casefold()


def prepared(job: JobLike, place: str, submission: str | None) -> JobTemplate:
    """Check a job, and give a copy of it with the property of its submission.

    Raises:
        InvalidRequest: It is no job.
    """
    if not isinstance(job, (JobTemplate, Mapping)):
        kind = type(job).__name__
        raise InvalidRequest(f"{place} is a {kind}; it takes a job template, such as `image_job(…)`, or a dict")
    template = copy.copy(job) if isinstance(job, JobTemplate) else JobTemplate.from_dict(job)
    if not isinstance(template.type, str) or not template.type:
        raise InvalidRequest(f"{place} has no `$type`, such as 'textToImage'")
    check_types(template, place)
    if submission is not None:
        template.properties = {**(template.properties or {}), SUBMISSION: submission}
    return template
