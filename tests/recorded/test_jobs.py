"""Every method of the Generator API, as it was recorded: a test and a cassette for each.

The tests are called after the methods: `test_jobs__submit` is about `civitai.jobs.submit`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from civitai_ext import Civitai, JobBatch, errors, image_job

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

Advance = Callable[[float], None]

MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"


def cat(prompt: str = "a cat", **fields: Any) -> Any:
    return image_job(MODEL, prompt, width=512, height=512, seed=7, **fields)


def submitted(civitai: Civitai, *jobs: Any) -> JobBatch:
    return civitai.jobs.submit_batch(jobs or [cat()], submission_id="recorded-1")


def test_jobs__estimate(civitai: Civitai) -> None:
    one, two = civitai.jobs.estimate(cat()), civitai.jobs.estimate(cat(), cat())
    assert one is not None
    assert two == 2 * one > 0


def test_jobs__submit(civitai: Civitai) -> None:
    jobs = civitai.jobs.submit(
        cat(properties={"order": 17}, additional_networks={"urn:air:sdxl:lora:civitai:82098@87153": 0.8}),
        submission_id="recorded-1",
        max_cost=100,
        detailed=True,
    )
    assert jobs.token
    (job,) = jobs.jobs
    assert job.properties == {"order": 17, "civitaiExtSubmission": "recorded-1"}
    assert job.job
    assert job.job.type == "textToImage"
    again = civitai.jobs.submit(cat(), submission_id="recorded-1")
    assert again.ids == jobs.ids


def test_jobs__submit_batch(civitai: Civitai) -> None:
    jobs = submitted(civitai, cat(quantity=2), {"$type": "mediaTagging", "mediaUrl": "https://image.example/1.png"})
    assert jobs.states == ["Initialized"] * 3


def test_jobs__get(civitai: Civitai) -> None:
    id = submitted(civitai).ids[0]
    job = civitai.jobs.get(id, detailed=True)
    assert (job.job_id, job.scheduled) == (id, True)
    with pytest.raises(errors.NotFound):
        civitai.jobs.get("nobody")


def test_jobs__get_by_token(civitai: Civitai) -> None:
    jobs = submitted(civitai)
    assert civitai.jobs.get_by_token(str(jobs.token)).ids == jobs.ids


def test_jobs__query(civitai: Civitai) -> None:
    ids = set(submitted(civitai, cat(properties={"order": 17}, quantity=2), *[cat(quantity=10)] * 2).ids)
    assert {job.job_id for job in civitai.jobs.query()} == ids
    assert len(civitai.jobs.query({"order": 17}, job_type="textToImage").to_list()) == 2


def test_jobs__wait(civitai: Civitai, advance: Advance) -> None:
    jobs = submitted(civitai, cat(), cat("[fail]"))
    advance(60)
    done = civitai.jobs.wait(str(jobs.token), raise_on_failure=False)
    assert done.states == ["Succeeded", "Failed"]
    (picture,) = done.results
    assert str(picture.blob_url).startswith("http")
    with pytest.raises(errors.JobsFailed, match="1 of 2 jobs failed"):
        done.wait()


def test_jobs__cancel(civitai: Civitai) -> None:
    jobs = submitted(civitai, cat(), cat())
    civitai.jobs.cancel(jobs.ids[1])
    assert jobs.refresh().states == ["Initialized", "Deleted"]


def test_jobs__cancel_by_token(civitai: Civitai, advance: Advance) -> None:
    jobs = submitted(civitai)
    advance(3.5)
    civitai.jobs.cancel_by_token(str(jobs.token))
    assert jobs.refresh().states == ["Claimed"]
    civitai.jobs.cancel_by_token(str(jobs.token), force=True)
    assert jobs.refresh().states == ["Deleted"]


def test_jobs__taint(civitai: Civitai) -> None:
    civitai.jobs.taint(submitted(civitai).ids[0], "six fingers", context={"hand": "left"})


def test_jobs__taint_by_token(civitai: Civitai) -> None:
    jobs = submitted(civitai, cat(properties={"order": 17}), cat())
    assert civitai.jobs.taint_by_token(jobs.token, "dull") == 2
    assert civitai.jobs.taint_by_token(None, "dull", properties={"order": 17}) == 1


def test_coverage__get(civitai: Civitai) -> None:
    airs = [str(model.model_versions[0].air_of(model)) for model in civitai.models.list(types="Checkpoint", limit=2)]
    found = civitai.coverage.get([*airs, MODEL])
    assert list(found) == [*airs, MODEL]
    assert found[MODEL].availability == "Unknown"


def test_usage__consumption(civitai: Civitai, advance: Advance) -> None:
    jobs = submitted(civitai, cat(quantity=2))
    advance(60)
    jobs.refresh()
    used = civitai.usage.consumption(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))
    assert (used.images, used.total_cost) == (2, jobs.cost)


def test_usage__requests(civitai: Civitai, advance: Advance) -> None:
    for number in range(3):
        civitai.jobs.submit(cat(f"number {number}"), submission_id=f"recorded-{number}")
        advance(1)
    listed = civitai.usage.requests(page_size=2).to_list()
    assert len(listed) == 3
    assert [job.job.type for job in listed[0].jobs if job.job] == ["textToImage"]
