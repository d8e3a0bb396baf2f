"""Recorded answers of the real services are read by the operations that gave them, and written back unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest

from civitai_api.generator.api.coverage import get_coverage
from civitai_api.generator.api.jobs import query_jobs_by_token
from civitai_api.generator.models import JobStatus, JobStatusCollection
from civitai_api.orchestration.models import WorkflowEvent
from civitai_api.runtime import ApiModel, Request, Response, Timestamp, dump
from civitai_api.site.api.creators import list_creators
from civitai_api.site.api.images import list_images
from civitai_api.site.api.model_versions import get_model_version
from civitai_api.site.api.models import get_model, list_models
from civitai_api.site.api.tags import list_tags
from civitai_api.site.models import Image, Model, ModelImage, ModelPage, ModelVersion
from civitai_ext._job_states import is_over

REAL = Path(__file__).parents[3] / "shared" / "real"
BODIES = sorted(REAL.glob("*/*.json"))
# What gives one body, and what gives a page of them or a body of another kind, by a word of the file's name.
OPERATIONS: dict[str, dict[str, Request[Any]]] = {
    "site_models": {"": get_model.request(id=1), "_page_": list_models.request()},
    "site_images": {"_page_": list_images.request()},
    "site_model_versions": {"": get_model_version.request(id=1)},
    "site_creators": {"": list_creators.request()},
    "site_tags": {"": list_tags.request()},
    "orchestration_v1": {"": query_jobs_by_token.request(token="x"), "coverage": get_coverage.request()},
}

needs_bodies = pytest.mark.skipif(not BODIES, reason="the recorded answers are not here")


def read(path: Path, body: bytes) -> Any:
    """What the operation makes of a recorded body; pictures and events come alone, without the call around them."""
    if path.parent.name == "orchestration_v2":
        return WorkflowEvent.from_dict(json.loads(body))
    choices = OPERATIONS[path.parent.name]
    request = next((choices[word] for word in sorted(choices, reverse=True) if word in path.name), None)
    if request is None:
        return Image.from_dict(json.loads(body))
    return request.decode(Response(200, {"content-type": "application/json"}, body))


def text_of(value: Any) -> str:
    """A JSON text that is equal only for the same JSON: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


@needs_bodies
@pytest.mark.parametrize("path", BODIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_body_is_read_and_written_back(path: Path) -> None:
    body = path.read_bytes()
    found = read(path, body)
    assert isinstance(found, ApiModel) or all(isinstance(value, ApiModel) for value in found.values())
    assert text_of(dump(found)) == text_of(json.loads(body))
    assert repr(found)


@needs_bodies
@pytest.mark.parametrize(
    "path", [path for path in BODIES if path.parent.name == "site_models"], ids=lambda path: path.stem
)
def test_a_model_is_typed_all_the_way_down(path: Path) -> None:
    found = read(path, path.read_bytes())
    for model in found.items if isinstance(found, ModelPage) else [found]:
        assert isinstance(model, Model)
        assert isinstance(model.id, int)
        assert all(isinstance(version, ModelVersion) for version in model.model_versions)
        assert all(isinstance(image, ModelImage) for version in model.model_versions for image in version.images)


@needs_bodies
def test_jobs_are_typed_even_where_one_holds_others() -> None:
    for path in (path for path in BODIES if "_jobs_" in path.name):
        found = read(path, path.read_bytes())
        assert type(found) is JobStatusCollection
        assert [type(job) for job in found.jobs] == [JobStatus]


@needs_bodies
def test_jobs_without_events_are_over_when_their_pictures_are_there() -> None:
    for path in (path for path in BODIES if "_jobs_" in path.name):
        found = read(path, path.read_bytes())
        assert [is_over(job) for job in found.jobs] == [b'"available": true' in path.read_bytes()], path.name


@needs_bodies
def test_an_event_has_its_moment_to_the_digit() -> None:
    for path in (path for path in BODIES if "_event_" in path.name):
        event = read(path, path.read_bytes())
        assert isinstance(event.timestamp, Timestamp)
        assert event.timestamp.text == json.loads(path.read_bytes())["timestamp"]
