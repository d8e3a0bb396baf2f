"""The Generator API as its users write it. Never run: two type checkers read it, and errors here are theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_type

from civitai_api.generator.models import (
    ConsumptionDetails,
    JobResult,
    JobStatus,
    MediaTaggingJob,
    NetworkParams,
    ProviderAssetAvailability,
    RequestRecord,
    TextToImageJob,
)
from civitai_ext import Air, AsyncCivitai, AsyncJobBatch, AsyncPager, Civitai, JobBatch, Pager, errors, image_job


def jobs(civitai: Civitai, air: Air) -> None:
    job = image_job(
        air,
        "a cat",
        width=512,
        height=512,
        scheduler="EulerA",
        additional_networks={air: 0.8, "urn:air:sd1:lora:civitai:1@2": NetworkParams(strength=1, trigger_word="x")},
        timeout=timedelta(minutes=5),
    )
    assert_type(job, TextToImageJob)
    assert_type(civitai.jobs.estimate(job, MediaTaggingJob(media_url="https://x.example/")), float | None)
    submitted = civitai.jobs.submit(job, max_cost=60, timeout=30)
    assert_type(submitted, JobBatch)
    assert_type(submitted.wait(timeout=600, on_progress=print), JobBatch)
    assert_type(submitted.results, list[JobResult])
    assert_type(submitted.jobs, list[JobStatus])
    assert_type(submitted.token, str | None)
    civitai.jobs.submit_batch([job, {"$type": "wdTagging", "mediaUrl": "https://x.example/"}])
    assert_type(civitai.jobs.query({"order": 17}), Pager[JobStatus])
    assert_type(civitai.jobs.get("id", detailed=True), JobStatus)
    assert_type(civitai.jobs.taint_by_token(None, "dull", properties={"order": 17}), int | None)


def usage(civitai: Civitai, air: Air) -> None:
    assert_type(civitai.coverage.get([air, str(air)]), dict[str, ProviderAssetAvailability])
    assert_type(civitai.coverage.get(air)[str(air)].workers, int)
    assert_type(civitai.usage.consumption(datetime(2026, 1, 1, tzinfo=UTC)), ConsumptionDetails)
    assert_type(civitai.usage.requests(limit=5), Pager[RequestRecord])


async def asynchronous(civitai: AsyncCivitai, job: TextToImageJob) -> None:
    assert_type(await civitai.jobs.submit(job), AsyncJobBatch)
    assert_type(await (await civitai.jobs.get_by_token("token")).wait(), AsyncJobBatch)
    assert_type(civitai.jobs.query(), AsyncPager[JobStatus])


def failures(civitai: Civitai, job: TextToImageJob) -> None:
    try:
        civitai.jobs.submit(job).wait()
    except errors.SubmissionUnclear as error:
        assert_type(error.submission_id, str)
    except (errors.JobsFailed, errors.WaitTimeout) as error:
        print(error.jobs)


def mistakes(civitai: Civitai) -> None:
    """Each line is wrong, and a type checker has to say so: an ignore that is not needed is an error itself."""
    image_job("urn:air:sd1:checkpoint:civitai:1@2", "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    civitai.jobs.submit("a cat")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    civitai.jobs.submit_batch(TextToImageJob)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    civitai.jobs.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
