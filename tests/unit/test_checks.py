from __future__ import annotations

from typing import Any

import pytest

from civitai_api.orchestration.models import (
    Flux2KleinCreateImageInput,
    ImageUpscalerInput,
    SdxlCreateImageGenInput,
    WorkflowTemplate,
)
from civitai_api.runtime import Reference
from civitai_ext import Air
from civitai_ext._checks import check_types
from civitai_ext.errors import InvalidRequest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": 3}, r"steps\[1\]\.prompt of Flux2KleinCreateImageInput takes text or a reference.*not 3 \(int\)"),
        ({"prompt": None}, "prompt.*not None"),
        ({"prompt": ["x"]}, "prompt.*list"),
        ({"prompt": "x", "steps": "20"}, "steps.*takes an integer"),
        ({"prompt": "x", "steps": True}, "steps.*not True"),
        ({"prompt": "x", "cfg_scale": "high"}, "cfg_scale.*takes a number"),
        ({"prompt": "x", "loras": ["a"]}, "loras.*takes a map of a number"),
        ({"prompt": "x", "loras": {"a": "1"}}, "loras"),
    ],
)
def test_wrong_types_are_named_with_their_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_types(Flux2KleinCreateImageInput(**fields), "steps[1]")


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "x"},
        {"prompt": Reference("a", "output.text")},
        {"prompt": {"$ref": "a", "path": "output.text"}},
        {"prompt": "x", "cfg_scale": 4},
        {"prompt": "x", "loras": {"urn:air:flux2:lora:civitai:1@2": 1, "b": Reference("a", "x")}},
        {"prompt": "x", "negative_prompt": None},
        {"prompt": "x", "additional_properties": {"new": object()}},
    ],
)
def test_what_the_service_takes_is_let_through(fields: dict[str, Any]) -> None:
    check_types(Flux2KleinCreateImageInput(**fields), "steps[1]")


def test_an_air_stands_where_the_service_takes_one() -> None:
    air = Air.parse("urn:air:sdxl:checkpoint:civitai:1@2")
    step = SdxlCreateImageGenInput(prompt="x", model=air)
    check_types(step, "steps[1]")
    assert step.to_dict()["model"] == "urn:air:sdxl:checkpoint:civitai:1@2"


def test_nested_models_are_looked_into() -> None:
    template = WorkflowTemplate(steps=[ImageUpscalerInput(image=5)])  # type: ignore[list-item, arg-type]
    with pytest.raises(InvalidRequest, match=r"workflow\.steps\[0\]\.image"):
        check_types(template, "workflow")
