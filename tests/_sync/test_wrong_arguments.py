# Derived from tests/_async/test_wrong_arguments.py by scripts/unasync.py: change that file, then run `make fix`.
"""Arguments of a wrong type: told before anything is sent, and so before anything is paid."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import Air, Civitai, Step, errors
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio

ECHO = EchoInput(message="x")
CIRCLE: dict[str, Any] = {}
CIRCLE["itself"] = CIRCLE

Call = Callable[[Civitai], object]


def update(**fields: Any) -> Call:
    return lambda civitai: civitai.workflows.update("wf_1", **fields)


def patch(before: Any, after: Any) -> Call:
    return lambda civitai: civitai.workflows.patch("wf_1", before, after)


def listed(**filters: Any) -> Call:
    return lambda civitai: civitai.workflows.list(**filters).first()


def export(**filters: Any) -> Call:
    return lambda civitai: civitai.workflows.export("x.zip", **filters)


def submit(step: Any = ECHO, **options: Any) -> Call:
    return lambda civitai: civitai.workflows.submit(step, **options)


def run(**options: Any) -> Call:
    return lambda civitai: civitai.workflows.run(ECHO, **options)


def invoke(**options: Any) -> Call:
    return lambda civitai: civitai.recipes.invoke(ECHO, **options)


WRONG: list[tuple[Call, str]] = [
    (update(tags="x"), "tags is 'x'; it takes a list of texts"),
    (update(tags=["x", 5]), "tags holds 5"),
    (update(tags=[" "]), "tags holds ' '"),
    (update(tags={"x"}), "it takes a list"),
    (update(allow_mature_content="yes"), "either True or False"),
    (update(metadata=[1]), r"metadata is \[1\]; it takes a dict"),
    (update(metadata={"a": [{1}]}), r"metadata\['a'\]\[0\] is \{1\} \(set\), which JSON cannot hold"),
    (update(metadata={"a": math.nan}), r"metadata\['a'\] is nan"),
    (update(metadata={"a": b"x"}), "JSON"),
    (update(metadata={"a": object()}), "JSON"),
    (update(metadata={1: 2}), "metadata has the key 1"),
    (update(metadata=CIRCLE), "holds itself"),
    (patch(5, {}), "before is 5"),
    (patch({}, 6), "after is 6"),
    (patch({}, {"metadata": {"a": {1}}}), r"after\['metadata'\]\['a'\] is \{1\}"),
    (patch({"metadata": {}}, {"metadata": {1: 2}}), r"after\['metadata'\] has the key 1"),
    (lambda civitai: civitai.workflows.steps.update("wf_1", "a", metadata=5), "metadata is 5"),  # type: ignore[arg-type]
    (lambda civitai: civitai.workflows.steps.update("wf_1", "a", metadata={"a": {1}}), "JSON"),
    (lambda civitai: civitai.workflows.steps.patch("wf_1", "a", 5, {}), "before is 5"),  # type: ignore[arg-type]
    (listed(from_date="2024-01-01"), "from_date is '2024-01-01'; it takes a datetime or a date"),
    (listed(to_date=5), "to_date is 5"),
    (listed(tags=5), "tags is 5"),
    (listed(tags=[5]), "tags holds 5"),
    (listed(tags=[]), "tags is empty"),
    (listed(query=5), "query is 5"),
    (listed(query=""), "query is empty"),
    (listed(hide_mature_content="no"), "hide_mature_content is 'no'"),
    (listed(limit="5"), "limit is '5'"),
    (listed(limit=2.5), "limit is 2.5"),
    (listed(limit=True), "limit is True"),
    (listed(page_size="5"), "page_size is '5'"),
    (listed(cursor=5), "5 is not a cursor"),
    (lambda civitai: civitai.workflows.list().take("5"), "count is '5'"),  # type: ignore[arg-type]
    (export(take="5"), "take is '5'"),
    (export(take=0), "take is 0"),
    (export(cursor=5), "cursor is 5"),
    (export(from_date="2024-01-01"), "from_date is"),
    (submit(callbacks=["https://x"]), r"callbacks.*a list of a WorkflowCallback"),
    (submit(metadata={"x": math.nan}), r"workflow\.metadata\['x'\] is nan"),
    (submit(metadata={"x": math.nan}, validate="off"), "SubmitWorkflow is to send is nothing for JSON"),
    (submit(metadata={"x": {1}}), r"workflow\.metadata\['x'\]"),
    (submit(arguments={"x": {1}}), r"workflow\.arguments\['x'\]"),
    (submit(Step(ECHO, metadata={"x": {1}})), r"steps\[1\]\.metadata\['x'\]"),
    (submit(Step({"message": "x"}, type="echo", metadata={"x": {1}})), r"steps\[1\]\.metadata\['x'\]"),
    (submit({"$type": "echo", "input": {"message": math.inf}}), "message"),
    (lambda civitai: civitai.workflows.estimate(ECHO, metadata={"x": math.nan}), r"metadata\['x'\]"),
    (run(wait=5), "run takes no `wait`"),
    (run(on_progress=5), "on_progress is 5; it takes a function"),
    (run(cancel_on_timeout="no"), "cancel_on_timeout is 'no'"),
    (run(cancel_on_interrupt=1), "cancel_on_interrupt is 1"),
    (run(raise_on_failure="no"), "raise_on_failure is 'no'"),
    (lambda civitai: civitai.workflows.wait("wf_1", on_progress=5), "on_progress is 5"),  # type: ignore[call-overload]
    (lambda civitai: civitai.workflows.wait([], on_progress=5), "on_progress is 5"),  # type: ignore[call-overload]
    (invoke(timeout="5"), "timeout is '5'"),
    (invoke(timeout=math.nan), "timeout is nan"),
    (invoke(timeout=0), "more than 0 seconds"),
    (invoke(allow_mature_content="yes"), "allow_mature_content is 'yes'"),
    (lambda civitai: civitai.jobs.wait("token", timeout="y"), "timeout is 'y'"),  # type: ignore[arg-type]
    (lambda civitai: civitai.jobs.wait("token", timeout=math.nan), "timeout is nan"),
    (lambda civitai: civitai.jobs.wait("token", on_progress=5), "on_progress is 5"),  # type: ignore[arg-type]
    (lambda civitai: civitai.jobs.query({"a": {1}}).first(), r"properties\['a'\]"),
    (lambda civitai: civitai.jobs.taint("id", "bad", context={"a": {1}}), r"context\['a'\]"),
    (lambda civitai: civitai.models.list(limit="5").first(), "limit is '5'"),  # type: ignore[arg-type]
    (lambda civitai: civitai.images.list(page_size="5").first(), "page_size is '5'"),  # type: ignore[arg-type]
    (lambda civitai: civitai.resources.list(view="x").first(), "view is 'x'; it takes 'queue'"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_right_is_not_sent(civitai: Civitai, emulator: Emulator, call: Call, message: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        call(civitai)
    assert not emulator.journal


def test_what_has_a_form_in_json_may_be_kept_with_a_workflow(civitai: Civitai) -> None:
    workflow = civitai.workflows.submit(ECHO)
    air = Air.parse("urn:air:sdxl:checkpoint:civitai:1@2")
    given = {"at": datetime(2026, 8, 1, tzinfo=UTC), "air": air, "list": (1, None, "x"), "deep": {"on": True}}
    workflow.update(metadata=given, tags=("a", "b"))
    assert workflow.metadata == {
        "at": "2026-08-01T00:00:00Z",
        "air": "urn:air:sdxl:checkpoint:civitai:1@2",
        "list": [1, None, "x"],
        "deep": {"on": True},
    }
    assert workflow.tags == ["a", "b"]


def test_a_date_is_its_beginning(civitai: Civitai, emulator: Emulator) -> None:
    civitai.workflows.list(from_date=date(2026, 8, 1), to_date=datetime(2026, 8, 2), tags="x").to_list()
    query = dict(emulator.journal[-1].query)
    assert (query["fromDate"], query["toDate"], query["tags"]) == ("2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z", "x")


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_no_end_is_an_end_to_wait_for(civitai: Civitai, timeout: float | None) -> None:
    assert (civitai.recipes.invoke(ECHO, timeout=timeout)).message == "x"


def test_a_file_that_is_open_as_text_is_left_as_it_is(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("some text")
    with path.open() as file:
        for upload in (civitai.blobs.upload, civitai.uploads.image):
            with pytest.raises(errors.InvalidRequest, match="open as text"):
                upload(file)  # type: ignore[arg-type]
        assert file.read() == "some text"
    assert not emulator.journal
