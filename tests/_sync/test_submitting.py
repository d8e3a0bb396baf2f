# Derived from tests/_async/test_submitting.py by scripts/unasync.py: change that file, then run `make fix`.
"""Submitting and pricing: what is sent, what is checked before, and what an answer tells."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import (
    EchoInput,
    EchoStepTemplate,
    Flux2KleinCreateImageInput,
    ImageUpscalerInput,
    WorkflowTips,
)
from civitai_ext import Civitai, RetryPolicy, Step, arguments, errors
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio

WORKFLOWS = "/v2/consumer/workflows"


def picture(prompt: str = "a cat", **fields: Any) -> Flux2KleinCreateImageInput:
    return Flux2KleinCreateImageInput(prompt=prompt, width=512, height=512, **fields)


def bodies(emulator: Emulator) -> list[Any]:
    return [each.body for each in emulator.journal if each.method == "POST" and each.path == WORKFLOWS]


# --------------------------------------------------------------------------------------------------------- what is sent


def test_steps_in_every_form(civitai: Civitai, emulator: Emulator) -> None:
    done = civitai.workflows.run(
        EchoInput(message="input"),
        Step(EchoInput(message="step"), name="second", priority="high", retries=1, metadata={"a": 1}),
        EchoStepTemplate(input=EchoInput(message="template"), name="third"),
        {"$type": "echo", "input": {"message": "dict"}},
    )
    assert done.text == ["input", "step", "template", "dict"]
    assert [step["name"] for step in bodies(emulator)[0]["steps"]] == ["step1", "second", "third", "step4"]
    assert bodies(emulator)[0]["steps"][1].items() >= {"priority": "high", "retries": 1, "metadata": {"a": 1}}.items()


def test_every_option_is_sent(civitai: Civitai, emulator: Emulator) -> None:
    civitai.workflows.submit(
        EchoInput(message=arguments["words"][0]),
        tags=["a", "b"],
        metadata={"order": 17},
        arguments={"words": ["hello"]},
        tips=WorkflowTips(civitai=0.1, creators=0.2),
        currencies=["yellow"],
        allow_mature_content=False,
        upgrade_mode="automatic",
        experimental=True,
        external_id="key-1",
        wait=5,
        hide_mature_content=True,
    )
    (body,) = bodies(emulator)
    assert {name: value for name, value in body.items() if name != "steps"} == {
        "tags": ["a", "b"],
        "metadata": {"order": 17},
        "arguments": {"words": ["hello"]},
        "tips": {"civitai": 0.1, "creators": 0.2},
        "currencies": ["yellow"],
        "allowMatureContent": False,
        "upgradeMode": "automatic",
        "experimental": True,
        "externalId": "key-1",
    }
    assert body["steps"][0]["input"] == {"message": {"$ref": "$arguments", "path": "words[0]"}}
    assert dict(emulator.journal[-1].query) == {"wait": "5", "hideMatureContent": "true"}


def test_arguments_and_outputs_are_filled_in(civitai: Civitai) -> None:
    first = Step(EchoInput(message=arguments["prompt"]), name="first")
    done = civitai.workflows.run(first, EchoInput(message=first.output.message), arguments={"prompt": "hello"})
    assert done.text == ["hello", "hello"]


def test_an_argument_that_is_missing_is_not_sent(civitai: Civitai, emulator: Emulator) -> None:
    with pytest.raises(errors.InvalidRequest, match="no such argument"):
        civitai.workflows.submit(EchoInput(message=arguments["prompt"]), arguments={"promt": "x"})
    assert not emulator.journal


def test_a_held_submit_can_come_back_done(civitai: Civitai, emulator: Emulator) -> None:
    workflow = civitai.workflows.submit(EchoInput(message="x"), wait=90)
    assert workflow.status == "succeeded"
    assert len(emulator.journal) == 1


# ----------------------------------------------------------------------------------------------------------------- keys


def test_one_key_is_kept_by_all_attempts_of_a_call(civitai: Civitai, emulator: Emulator) -> None:
    civitai = civitai.with_options(retry=RetryPolicy.immediate())
    emulator.faults.add(f"POST {WORKFLOWS}", lost_answer=True, times=2)
    emulator.faults.add(f"POST {WORKFLOWS}", status=502, accepted=True, times=1)
    workflow = civitai.workflows.submit(EchoInput(message="x"))
    assert len({body["externalId"] for body in bodies(emulator)}) == 1
    assert len(bodies(emulator)) == 4
    assert [each.workflow_id for each in emulator.ledger.transactions] == [workflow.id]


def test_a_call_that_gets_no_answer_tells_its_key(civitai: Civitai, emulator: Emulator) -> None:
    civitai = civitai.with_options(retry=RetryPolicy.off())
    emulator.faults.add(f"POST {WORKFLOWS}", lost_answer=True, times=1)
    with pytest.raises(errors.ConnectionFailed, match=r"external_id='.*': it is not paid twice") as caught:
        civitai.workflows.submit(picture())
    paid = dict(emulator.ledger.balance)
    workflow = civitai.workflows.submit(picture(), external_id=caught.value.external_id)
    assert dict(emulator.ledger.balance) == paid
    assert [each.id for each in civitai.workflows.list()] == [workflow.id]


def test_a_refusal_has_no_key_to_go_on_with(civitai: Civitai) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        civitai.workflows.submit(Flux2KleinCreateImageInput(prompt="x", width=5), validate="off")
    assert caught.value.external_id is None


# -------------------------------------------------------------------------------------------------- before the sending


OUT_OF_RANGE = [
    (
        picture(quantity=99),
        r"steps\[1\]\.Flux2KleinCreateImageInput\.quantity of .* is 99, and the service takes 1 to 4",
    ),
    (picture("x" * 1001), r"prompt of .* is 'x+…, and the service takes 0 to 1000 characters"),
    (picture(output_format="bmp"), "output_format of .* is 'bmp'; known are jpeg, png, webP"),
    ({"$type": "imageGen", "input": {"engine": "flux2", "model": "klein", "width": 512}}, "prompt of .* is missing"),
    (
        {"$type": "imageGen", "input": {"engine": "FLUX2", "model": "Klein", "prompt": "x", "steps": 9999}},
        "steps of .* is 9999",
    ),
]


@pytest.mark.parametrize(("step", "message"), OUT_OF_RANGE)
def test_limits_of_the_documents_are_warnings_or_errors(
    civitai: Civitai, emulator: Emulator, step: Any, message: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        civitai.workflows.submit(step, validate="strict")
    with pytest.raises(errors.InvalidRequest, match=message):
        civitai.workflows.estimate(step, validate="strict")
    assert not emulator.journal
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _sent(civitai, step)
    assert [warning.category for warning in told] == [errors.ValidationWarning]
    assert told[0].filename == __file__, "the line of the caller is named"
    assert "It is sent all the same" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _sent(civitai, step, validate="off")
    assert len(bodies(emulator)) == 2


def _sent(civitai: Civitai, step: Any, **options: Any) -> None:
    """Submit, whatever the service says to it."""
    try:
        civitai.workflows.submit(step, **options)
    except (errors.ApiError, errors.UnexpectedResponse):
        return


@pytest.mark.parametrize(
    "step",
    [
        picture(output_format="PNG"),
        picture(sample_method="EULER"),
        {"$type": "imageGen", "input": {"Engine": "Flux2", "engine": "flux2", "Prompt": "x", "Model": "Klein"}},
        Step({"engine": "flux2", "prompt": "x"}, type="imageGen"),
    ],
)
def test_any_case_is_known(civitai: Civitai, step: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _sent(civitai, step)


@pytest.mark.parametrize("validate", ["warn", "strict"])
def test_a_wrong_type_is_never_sent_unless_asked_for(civitai: Civitai, emulator: Emulator, validate: Any) -> None:
    wrong: Any = EchoInput(message=3)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidRequest, match="message of EchoInput takes text"):
        civitai.workflows.submit(wrong, validate=validate)
    assert not emulator.journal
    with pytest.raises(errors.BadRequest):
        civitai.workflows.submit(wrong, validate="off")


def test_a_validation_that_there_is_not(civitai: Civitai, emulator: Emulator) -> None:
    unknown: Any = "lenient"
    with pytest.raises(errors.InvalidRequest, match="validate is 'lenient'"):
        civitai.workflows.submit(EchoInput(message="x"), validate=unknown)
    assert not emulator.journal


def test_a_tag_that_is_too_long(civitai: Civitai) -> None:
    with pytest.raises(errors.InvalidRequest, match="201 characters"):
        civitai.workflows.submit(EchoInput(message="x"), tags=["x" * 201], validate="strict")
    with pytest.raises(errors.InvalidRequest, match=r"tags of WorkflowTemplate .* 0 to 10 items"):
        civitai.workflows.submit(EchoInput(message="x"), tags=list("abcdefghijk"), validate="strict")


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        ([], {}, "at least one step"),
        (["a cat"], {}, "Step 1 is a str without a step type"),
        ([EchoInput], {}, "Step 1 is the class EchoInput, and no input made of it"),
        ([[EchoInput(message="x")]], {}, r"Step 1 is a list .*submit\(\*steps\)"),
        ([EchoInput(message="x")], {"max_cost": "5"}, "max_cost is '5'; it takes an amount of Buzz"),
        ([EchoInput(message="x")], {"max_cost": -1}, "max_cost is -1"),
        ([EchoInput(message="x")], {"wait": "5"}, "wait is '5'"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(
    civitai: Civitai, emulator: Emulator, steps: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        civitai.workflows.submit(*steps, **options)
    assert not emulator.journal


# -------------------------------------------------------------------------------------------------------------- prices


def test_an_estimate_tells_all_there_is(civitai: Civitai, emulator: Emulator) -> None:
    step = picture(quantity=2, steps=20)
    estimate = civitai.workflows.estimate(step, tips=WorkflowTips(civitai=0.5, creators=0), currencies=["yellow"])
    assert estimate.total is not None
    assert estimate.base is not None
    assert estimate.total >= estimate.base
    assert estimate.tips["civitai"] > 0
    assert list(estimate.currencies) == ["yellow"]
    assert estimate.affordable is True
    assert estimate.warnings == ()
    assert bodies(emulator)[0].keys() == {"steps", "tips", "currencies"}


def test_an_estimate_warns_instead_of_warning(civitai: Civitai, emulator: Emulator) -> None:
    estimate = civitai.workflows.estimate(picture(output_format="PNG"), {"$type": "echo", "input": {"message": "x"}})
    assert estimate.warnings == ()
    estimate = civitai.workflows.estimate(EchoInput(message="x"), tags=["x" * 200, "y" * 200])
    assert estimate.warnings == ()
    strange = Step(EchoInput(message="x"), name="a")
    strange.input = {"message": "x", "sampler": "y"}
    assert (civitai.workflows.estimate(strange)).warnings == ()
    # A service that is newer than this package knows more values; the emulator does not.
    emulator.faults.add(f"POST {WORKFLOWS}", status=200, body={"cost": {"total": 4}, "steps": []})
    estimate = civitai.workflows.estimate(picture(sample_method="dream"))
    assert len(estimate.warnings) == 1
    assert "sample_method" in estimate.warnings[0]


def test_what_the_service_takes_for_something_else_is_told(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {WORKFLOWS}", fields={"steps.0.input.steps": 4, "steps.0.input.prompt": "other"})
    estimate = civitai.workflows.estimate(picture(steps=8))
    assert estimate.warnings == ("steps[1].input: steps is 8, and the service takes it for 4",)


def test_a_limit_of_the_token_is_told_apart(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {WORKFLOWS}", status=403, body="Buzz limit exceeded for this API key")
    with pytest.raises(errors.SpendLimitReached, match="budgets"):
        civitai.workflows.submit(picture())
    emulator.faults.clear()
    emulator.faults.add(f"POST {WORKFLOWS}", status=403, body="You are not allowed to use this model")
    with pytest.raises(errors.PermissionDenied) as caught:
        civitai.workflows.submit(picture())
    assert not isinstance(caught.value, errors.InsufficientBuzz)


def test_a_chain_is_saved(civitai: Civitai, tmp_path: Path) -> None:
    hero = Step(picture(), name="hero")
    done = civitai.workflows.run(hero, ImageUpscalerInput(image=hero.output.images[0].url))
    assert len(done.save(tmp_path)) == 2
