"""Whatever JSON the service sends in place of a field, what reads it neither fails nor makes things up."""

from __future__ import annotations

import copy
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.orchestration.models import Blob, Workflow
from civitai_ext import Workflow as Handle
from civitai_ext import errors
from civitai_ext._file_names import safe_name
from civitai_ext._media import media_type_of
from civitai_ext._outputs import blob_stem, is_error_page, suffix_of
from civitai_ext._sync.blob_files import has_run_out
from civitai_ext.estimates import Estimate
from civitai_ext.progress import Progress

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

WHOLE: dict[str, Any] = {
    "id": "wf_1",
    "status": "processing",
    "cost": {"base": 4, "factors": {"size": 2.0}, "fixed": {}, "tips": {"civitai": 0, "creators": 0}, "total": 8},
    "transactions": {"list": [{"type": "debit", "amount": 8, "accountType": "blue"}], "insufficientBuzz": False},
    "steps": [
        {
            "$type": "imageGen",
            "name": "hero",
            "status": "failed",
            "estimatedProgressRate": 0.5,
            "jobs": [{"id": "j", "status": "failed", "queuePosition": {"precedingJobs": 2}, "reason": "timeout"}],
            "blockedReason": "no",
            "output": {
                "images": [{"type": "image", "id": "b.png", "available": True, "url": "https://x/y"}],
                "errors": [],
            },
        },
        {"$type": "chatCompletion", "name": "t", "output": {"choices": [{"message": {"content": "hello"}}]}},
        {"$type": "unheard-of", "name": "b", "status": "processing", "output": {"x": [{"id": "c", "available": True}]}},
    ],
}

TEXTS = st.sampled_from(
    ["../../x", "/etc/x.png", "C:\\x.exe", "nul", "image", "2026-13-45", "0001-01-01T00:00:00+23:59"]
)
PLAIN = {*string.ascii_letters, *string.digits, "_", "-"}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value, as the keys that lead there."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The workflow, with one to three of its values replaced by anything or taken out."""
    body = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(body)))
        holder: Any = body
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            holder.pop(last)
        else:
            holder[last] = draw(json_values)
    return body


@given(damaged())
def test_a_workflow_of_any_shape_can_be_looked_at(body: dict[str, Any]) -> None:
    workflow = Workflow.from_dict(body)
    progress = Progress.of(workflow, 1.0)
    assert 0 <= progress.fraction <= 1
    assert str(progress)
    handle = Handle(None, "wf_1", workflow)
    for output in handle.outputs:
        assert output.stem
        assert not set(output.stem) & set("/\\:\0")
        assert suffix_of("", output.blob, str(output.blob.url)).startswith(".")
        assert repr(output)
        assert isinstance(output.unavailable, (str, type(None)))
    assert len({output.stem for output in handle.outputs}) == len(handle.outputs)
    assert all(isinstance(text, str) for text in handle.text)
    assert len(handle.images + handle.videos + handle.audio + handle.models3d) <= len(handle.outputs)
    assert handle._repr_html_().startswith("<div><b>wf_1</b>")
    assert (handle.tags, handle.metadata, handle.created_at, handle.ephemeral) is not None
    if handle.status in ("failed", "expired", "canceled"):
        with pytest.raises(errors.WorkflowError) as caught:
            handle.raise_for_status()
        error = caught.value
        assert {type(error.reason), type(error.blocked_reason), type(error.step)} <= {str, type(None)}


@given(damaged())
def test_a_price_of_any_shape_can_be_read(body: dict[str, Any]) -> None:
    estimate = Estimate.of(Workflow.from_dict(body))
    assert estimate.total is None or isinstance(estimate.total, (int, float))
    assert str(estimate)


@given(st.dictionaries(st.sampled_from(["id", "type", "url", "urlExpiresAt", "blockedReason"]), json_values | TEXTS))
def test_a_blob_of_any_shape_has_a_name_for_its_file(body: dict[str, Any]) -> None:
    blob = Blob.from_dict(body)
    assert blob_stem(blob) == safe_name(blob_stem(blob))
    assert set(suffix_of("", blob, str(blob.url))) <= PLAIN | {"."}
    assert has_run_out(blob.url_expires_at) in (True, False)


@given(st.binary(max_size=600), st.text(max_size=8))
def test_content_of_any_kind_can_be_looked_at(start: bytes, media_type: str) -> None:
    assert "/" in (media_type_of(start) or "/")
    assert set(suffix_of(media_type, Blob(), "", start)) <= PLAIN | {"."}
    assert is_error_page(media_type, start) in (True, False)
