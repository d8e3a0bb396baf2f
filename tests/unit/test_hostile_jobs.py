"""Whatever JSON the Generator API sends in place of a field, what reads it neither fails nor makes things up."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civitai_api.generator.models import JobStatusCollection
from civitai_api.runtime import Response
from civitai_ext import Civitai, CivitaiError
from civitai_ext._reading import models_in
from civitai_ext._sync.jobs import JobBatch
from tests.unit.test_hostile_answers import json_values, places

JOB: dict[str, Any] = {
    "jobId": "6fdf99c9-7851-403c-b827-9ae7f7740656",
    "cost": 2.0,
    "result": {"blobKey": "1E74", "available": True, "blobUrl": "https://x/", "blobUrlExpirationDate": "2024-06-08"},
    "scheduled": False,
    "properties": {"order": 1},
    "lastEvent": {"type": "Failed", "context": {"message": "x"}, "jobHasCompleted": True, "retryAttempt": 0},
    "serviceProviders": {"Civitai": {"support": "Available", "queuePosition": {"precedingJobs": 2}}},
}
COLLECTION: dict[str, Any] = {"token": "eyJ9", "jobs": [JOB, {**JOB, "result": [JOB["result"]]}]}
ANSWERS: dict[str, Any] = {
    "jobs": {**COLLECTION, "cursor": None},
    "coverage": {"urn:air:sd1:lora:civitai:1@2": {"availability": "Available", "workers": 1}},
    "consumption": {"images": 1, "totalCost": 2.0, "startDate": None, "endDate": "2026-01-01T00:00:00Z"},
    "requests": {
        "cursor": {"nextDateTime": "2026-01-01T00:00:00Z", "nextId": 5},
        "requests": [{"dateTime": "2026-01-01T00:00:00Z", "jobs": [{"job": {"id": "a"}, "lastEvent": None}]}],
    },
}


@st.composite
def damaged(draw: st.DrawFn, whole: dict[str, Any]) -> Any:
    """An answer, with one to three of its values replaced by anything or taken out; or anything at all."""
    body: Any = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(body)))
        holder: Any = body
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and len(body) > 1 and draw(st.booleans()):
            holder.pop(last)
        else:
            holder[last] = draw(json_values)
    return body


@given(damaged(COLLECTION))
def test_jobs_of_any_shape_can_be_looked_at(body: dict[str, Any]) -> None:
    collection = JobStatusCollection.from_dict(body)
    jobs = JobBatch(None, models_in(collection.jobs))  # type: ignore[arg-type]
    assert all(isinstance(state, str) for state in jobs.states)
    assert len(jobs.ids) == len(jobs.jobs)
    assert isinstance(jobs.cost, (int, float))
    assert isinstance(jobs.queue_position, int | None)
    assert set(map(id, jobs.failed)) <= set(map(id, jobs.jobs))
    assert isinstance(jobs.results, list)
    assert repr(jobs)
    assert jobs._told()


class _Scripted:
    """Answers everything in the same way."""

    def __init__(self, civitai: Civitai, body: Any) -> None:
        self._transport = civitai.transport
        self._body = body

    def install(self) -> None:
        self._transport.sleep = lambda seconds: None
        self._transport.send = self._send  # type: ignore[method-assign]

    def _send(self, request: Any, /, **options: Any) -> Response:
        return Response(200, {"content-type": "application/json"}, json.dumps(self._body).encode())


EVERYTHING: dict[str, list[Callable[[Civitai], object]]] = {
    "jobs": [
        lambda civitai: civitai.jobs.estimate({"$type": "x"}),
        lambda civitai: civitai.jobs.submit({"$type": "x"}),
        lambda civitai: civitai.jobs.get("x"),
        lambda civitai: civitai.jobs.wait("x", timeout=0),
        lambda civitai: civitai.jobs.query().to_list(),
        lambda civitai: civitai.jobs.taint_by_token("x", "y"),
    ],
    "coverage": [lambda civitai: civitai.coverage.get("urn:air:sd1:lora:civitai:1@2")],
    "consumption": [lambda civitai: civitai.usage.consumption()],
    "requests": [lambda civitai: civitai.usage.requests().to_list()],
}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(ANSWERS)).flatmap(lambda name: st.tuples(st.just(name), damaged(ANSWERS[name]))))
def test_every_call_gives_something_or_an_error_of_this_package(case: tuple[str, Any]) -> None:
    name, body = case
    with Civitai("token") as civitai:
        _Scripted(civitai, body).install()
        for call in EVERYTHING[name]:
            with contextlib.suppress(CivitaiError):
                assert repr(call(civitai))
