from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.orchestration.models import (
    EchoInput,
    Flux2KleinCreateImageInput,
    ImageGenStepTemplate,
    ImageUpscalerInput,
)
from civitai_api.runtime import Reference
from civitai_ext import Step
from civitai_ext.errors import InvalidRequest
from civitai_ext.steps import StepLike, arguments, build_steps, timespan


def hero(**options: Any) -> Step:
    return Step(Flux2KleinCreateImageInput(prompt="a cat astronaut"), **options)


def test_the_step_type_follows_from_the_input() -> None:
    assert hero().type == "imageGen"
    assert Step(ImageUpscalerInput(image="https://example.com/a.png")).type == "imageUpscaler"


def test_a_dict_needs_its_type_named() -> None:
    with pytest.raises(InvalidRequest, match=r"step type of a dict is not known.*type='imageGen'"):
        Step({"prompt": "x"})
    assert Step({"prompt": "x"}, type="imageGen").to_wire() == {"$type": "imageGen", "input": {"prompt": "x"}}


def test_a_type_that_contradicts_the_input_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'imageGen', not 'echo'"):
        hero(type="echo")


def test_every_form_of_a_step_gives_the_same_template() -> None:
    model = Flux2KleinCreateImageInput(prompt="x")
    wanted = {"$type": "imageGen", "name": "step1", "input": model.to_dict()}
    forms: list[StepLike] = [
        model,
        Step(model),
        ImageGenStepTemplate(input=model),
        {"$type": "imageGen", "input": model},
    ]
    for form in forms:
        assert build_steps([form]) == [wanted]


def test_a_leaf_writes_every_discriminator_without_being_told() -> None:
    assert Flux2KleinCreateImageInput(prompt="x").to_dict() == {
        "prompt": "x",
        "engine": "flux2",
        "model": "klein",
        "operation": "createImage",
    }


def test_a_reference_names_its_step_and_place() -> None:
    first = hero(name="hero")
    second = Step(ImageUpscalerInput(image=first.output.images[0].url))
    built = build_steps([first, second])
    assert built[1]["input"]["image"] == {"$ref": "hero", "path": "output.images[0].url"}
    assert built[1]["name"] == "step2"


def test_a_reference_to_an_unnamed_step_finds_its_made_up_name() -> None:
    first = hero()
    built = build_steps([Step(ImageUpscalerInput(image=first.output.images[1].preview_url)), first])
    assert built[0]["input"]["image"] == {"$ref": "step2", "path": "output.images[1].previewUrl"}


def test_made_up_names_avoid_those_that_are_taken() -> None:
    built = build_steps([hero(), hero(name="step1"), hero(name="step10")])
    assert [step["name"] for step in built] == ["step11", "step1", "step10"]


def test_exact_keys_of_an_output_can_be_named() -> None:
    assert hero(name="a").output["Odd key"].path == "output.Odd key"


def test_a_step_that_is_not_in_the_workflow_cannot_be_referred_to() -> None:
    outside = hero(name="hero")
    with pytest.raises(InvalidRequest, match="not in the workflow"):
        build_steps([Step(ImageUpscalerInput(image=outside.output.images[0].url))])
    by_name = ImageUpscalerInput(image=Reference("heroo", "output.images[0].url"))
    with pytest.raises(InvalidRequest, match=r"'heroo'.*no step.*Its steps are hero, step2"):
        build_steps([outside, by_name])


def test_duplicate_names_and_circles_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Steps 1 and 3 are both named 'a'"):
        build_steps([hero(name="a"), hero(), hero(name="a")])
    a = Step(EchoInput(message=Reference("b", "output.message")), name="a")
    b = Step(EchoInput(message=Reference("$0", "output.message")), name="b")
    with pytest.raises(InvalidRequest, match="a and b go round in a circle"):
        build_steps([a, b])


def test_references_to_arguments_and_loop_variables_are_let_through() -> None:
    build_steps([EchoInput(message=Reference("$item", "prompt"))])
    build_steps([EchoInput(message=arguments["prompt"])], {"prompt": "a cat"})
    build_steps([EchoInput(message=arguments["styles"][0]["name"])], {"styles": [{"name": "x"}]})


@pytest.mark.parametrize("given", [None, {}, {"prompts": "x"}])
def test_an_argument_that_is_not_given_is_an_error(given: dict[str, Any] | None) -> None:
    with pytest.raises(InvalidRequest, match=r"Step 'step1' refers to the argument 'prompt'.*Give arguments="):
        build_steps([EchoInput(message=arguments["prompt"])], given)


def test_no_step_and_something_else_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="at least one step"):
        build_steps([])
    with pytest.raises(InvalidRequest, match="Step 1 is a dict without a step type"):
        build_steps([{"input": {}}])


def test_the_same_step_can_be_submitted_twice() -> None:
    step = hero()
    assert build_steps([step]) == build_steps([step])
    assert step.name is None


def test_an_output_cannot_be_gone_through() -> None:
    with pytest.raises(TypeError, match="not there yet"):
        list(hero(name="a").output.images)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_timespans_read_back(span: timedelta) -> None:
    text = timespan(span)
    day, _, clock = text.partition(".") if "." in text.partition(":")[0] else ("0", "", text)
    hours, minutes, seconds = clock.split(":")
    assert timedelta(days=int(day), hours=int(hours), minutes=int(minutes), seconds=float(seconds)) == span


def test_references_are_no_part_of_a_text() -> None:
    for reference in (hero().output.images[0].url, arguments["prompt"]):
        with pytest.raises(InvalidRequest, match="cannot be a part of a text"):
            format(reference)


@pytest.mark.parametrize("key", [-1, 1.5, True, slice(0, 2), None, ""])
def test_references_lead_to_names_and_places(key: Any) -> None:
    for root in (hero().output.images, arguments["images"], arguments):
        with pytest.raises(InvalidRequest, match="a name, or an index of 0 or more"):
            root[key]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 5),
        ("name", ""),
        ("priority", 1),
        ("timeout", 600),
        ("timeout", timedelta(seconds=-1)),
        ("retries", "three"),
        ("retries", -1),
        ("retries", True),
        ("metadata", ["x"]),
    ],
)
def test_options_of_a_wrong_type_are_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} of a step is {re.escape(repr(value))}; it takes"):
        hero(**{name: value})
