"""Reading events, and telling which are the same."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.orchestration.models import WorkflowCallback, WorkflowEvent, WorkflowStepEvent, WorkflowStepJobEvent
from civitai_api.runtime import ApiModel
from civitai_ext.errors import CivitaiError, InvalidRequest
from civitai_ext.webhooks import Event, InvalidEvent, callback, parse
from tests.webhooks.posting import job_event, step_event, workflow_event

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_an_event_of_a_workflow() -> None:
    event = parse(json.dumps(workflow_event("wf_9", "succeeded", 61)))
    assert (event.kind, event.workflow_id, event.step, event.job) == ("workflow", "wf_9", None, None)
    assert (event.status, event.name, event.is_final) == ("succeeded", "workflow:succeeded", True)
    assert event.timestamp == datetime(2026, 8, 1, 0, 1, 1, 123456, UTC)
    assert isinstance(event.data, WorkflowEvent)
    assert str(event) == "workflow:succeeded wf_9"


def test_an_event_of_a_step() -> None:
    event = parse(step_event(details={"retries": 1, "output": {"images": []}}))
    assert (event.kind, event.step, event.job, event.is_final, event.timestamp) == ("step", "hero", None, False, None)
    assert isinstance(event.data, WorkflowStepEvent)
    assert event.data.details
    assert event.data.details.retries == 1


def test_an_event_of_a_job() -> None:
    event = parse(job_event(status="failed", reason="blocked"))
    assert (event.kind, event.step, event.job, event.name) == ("job", "hero", "j1", "job:failed")
    assert isinstance(event.data, WorkflowStepJobEvent)
    assert event.data.reason == "blocked"


def test_what_is_not_known_yet_is_kept() -> None:
    body = {"$type": "blob", "workflowId": "wf_1", "blobId": "b", "status": "stored"}
    body["timestamp"] = "2026-08-01T00:00:00Z"
    event = parse(body)
    assert type(event.data) is ApiModel
    assert event.data.to_dict() == body
    assert (event.kind, event.status, event.is_final) == ("blob", "stored", False)
    assert event.timestamp == datetime(2026, 8, 1, tzinfo=UTC)
    assert event.key != parse(body | {"blobId": "c"}).key
    assert parse({"$type": "ping", "workflowId": "wf_1"}).status == ""
    odd = workflow_event(status="resting") | {"newField": [1]}
    assert parse(odd).data.to_dict() == odd
    assert not parse(odd).is_final


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_that_json_readers_know(encoding: str) -> None:
    assert parse(json.dumps(step_event()).encode(encoding)).step == "hero"


def test_an_event_has_few_needs() -> None:
    assert parse({"$type": "Step", "workflowId": "wf_1", "status": "failed", "name": 5}).step is None
    assert parse(workflow_event() | {"timestamp": "yesterday"}).timestamp is None
    assert len({parse(step_event()), parse(step_event()), parse(job_event())}) == 2


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hello", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        ("\ud800", "it is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (None, "it is null"),
        ([], "it is a list"),
        (1.5, "it is a float"),
        (b"[]", "it is a list"),
        (b'"workflow"', "it is a text"),
        (b"5", "it is a number"),
        (b"null", "it is null"),
        (b"true", "it is true or false"),
        ({}, r"\$type is missing"),
        ({"$type": "workflow"}, "workflowId is missing"),
        ({"$type": ["workflow"], "workflowId": "w"}, r"\$type is not a text"),
        ({"$type": "workflow", "workflowId": ""}, "workflowId is not a text with something in it"),
        ({"$type": "step", "workflowId": "w", "name": "x"}, "status is missing"),
        ({"$type": "step", "workflowId": "w", "status": 5}, "status is not a text"),
        (b'{"$type": "step", "workflowId": "\\ud800", "status": "x"}', "surrogate"),
        (b'{"$type": "step", "workflowId": "w", "status": "x", "n": ' + b"9" * 5000 + b"}", "not JSON|too long"),
    ],
)
def test_what_is_no_event(body: Any, problem: str) -> None:
    with pytest.raises(InvalidEvent, match=problem) as caught:
        parse(body)
    assert isinstance(caught.value, CivitaiError)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert len(str(caught.value)) < 120


def test_errors_do_not_show_the_body() -> None:
    value = "".join(["pri", "vate"])
    with pytest.raises(InvalidEvent) as caught:
        parse(f'{{"$type": "workflow", "workflowId": "{value}, and not closed')
    assert value not in "".join(traceback.format_exception(caught.value))


# Which events are the same


def test_the_timestamp_tells_events_of_workflows_apart() -> None:
    same = {parse(workflow_event(second=1)).key, parse(workflow_event(second=1) | {"details": {"steps": []}}).key}
    assert len(same) == 1
    assert parse(workflow_event(second=2)).key not in same
    assert parse(workflow_event("wf_2", second=1)).key not in same
    assert parse(workflow_event(status="failed", second=1)).key not in same


def test_what_is_over_is_over_once() -> None:
    for make in (step_event, job_event):
        assert parse(make(status="failed")).key == parse(make(status="failed", reason="x", details={})).key
        assert parse(make(status="failed")).key != parse(make(status="canceled")).key
    assert parse(step_event(step="a", status="failed")).key != parse(step_event(step="b", status="failed")).key
    assert parse(job_event(job="a", status="failed")).key != parse(job_event(job="b", status="failed")).key
    nameless = {"$type": "step", "workflowId": "w", "status": "failed"}
    assert parse(nameless | {"details": 1}).key != parse(nameless | {"details": 2}).key


def test_what_goes_on_may_say_something_new() -> None:
    assert parse(job_event(progress=0.1)).key != parse(job_event(progress=0.2)).key
    assert parse(job_event(progress=0.1)).key == parse(json.dumps(job_event(progress=0.1))).key
    turned = dict(reversed(job_event(progress=0.1).items()))
    assert parse(turned).key == parse(job_event(progress=0.1)).key


def test_kinds_are_never_the_same() -> None:
    bodies = [{"$type": kind, "workflowId": "w", "status": "failed"} for kind in ("workflow", "step", "job", "new")]
    assert len({parse(body).key for body in bodies}) == 4


# Anything at all


def is_event(body: bytes | str) -> bool:
    try:
        return isinstance(parse(body), Event)
    except InvalidEvent:
        return False


@given(st.binary())
def test_any_bytes_are_an_event_or_are_refused(body: bytes) -> None:
    assert is_event(body) in {True, False}


@given(any_json)
def test_any_json_is_an_event_or_is_refused(value: Any) -> None:
    assert is_event(json.dumps(value)) in {True, False}


@given(st.integers(0, 3000), st.sampled_from(["[", '{"a":']))
def test_any_depth_is_an_event_or_is_refused(depth: int, start: str) -> None:
    inner = start * depth + "1" + {"[": "]"}.get(start, "}") * depth
    body = f'{{"$type": "step", "workflowId": "w", "status": "processing", "n": {inner}}}'
    assert is_event(body) or depth > 100


@given(
    st.sampled_from(["workflow", "step", "job", "new"]), texts, texts,
    st.dictionaries(st.sampled_from(["name", "stepName", "jobId", "timestamp", "details", "progress", "x"]), any_json),
)  # fmt: skip
def test_nothing_of_an_event_is_lost(kind: str, workflow: str, status: str, more: dict[str, Any]) -> None:
    body = {"$type": kind, "workflowId": workflow, "status": status, **more}
    event = parse(json.dumps(body))
    assert json.dumps(event.data.to_dict(), sort_keys=True) == json.dumps(body, sort_keys=True)
    assert event.key == parse(body).key
    assert repr(event)
    assert str(event)


def test_a_recorded_event(shared: Path) -> None:
    for path in (shared / "real" / "orchestration_v2").glob("*event*.json"):
        event = parse(path.read_bytes())
        assert (event.kind, event.is_final) == ("workflow", True)
        assert event.timestamp is not None


# Asking for events


def test_a_callback() -> None:
    made = callback("https://example.com/hooks/s", "workflow:*", "job:failed", detailed=True)
    assert isinstance(made, WorkflowCallback)
    expected = {"url": "https://example.com/hooks/s", "type": ["workflow:*", "job:failed"], "detailed": True}
    assert made.to_dict() == expected
    assert callback("http://127.0.0.1:8000/s", "step:*").url == "http://127.0.0.1:8000/s"


@pytest.mark.parametrize(
    ("url", "events", "problem"),
    [
        ("http://example.com/top-secret", ["workflow:*"], "not https"),
        ("http://127.0.0.1.example.com/top-secret", ["workflow:*"], "not https"),
        ("ftp://example.com/top-secret", ["workflow:*"], "absolute"),
        ("/top-secret", ["workflow:*"], "absolute"),
        ("https://me@example.com/top-secret", ["workflow:*"], "absolute"),
        ("https://example.com/top-secret", [], "needs an event"),
        ("https://example.com/top-secret", ["workflow:done"], "'workflow:done'"),
        ("https://example.com/top-secret", ["workflow:*", "step:preparing"], "'step:preparing'"),
    ],
)
def test_callbacks_that_the_service_would_refuse(url: str, events: list[str], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        callback(url, *events)
    assert "top-secret" not in str(caught.value)
