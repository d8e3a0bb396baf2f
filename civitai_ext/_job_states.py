"""How far jobs of the Generator API v1 are, and when to look again. Decisions only: who asks is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from civitai_api.generator.models import JobEvent, JobResult, JobStatus, QueuePosition, ServiceProviderStatus
from civitai_ext._reading import models_in, number, record, text

__all__ = ["is_late", "is_over", "jobs_ahead", "pauses", "reason_of", "results_of", "state_of", "succeeded"]

# What happens to a job last, in lower case. Those in the second line may be followed by another try.
_LOST: Final = frozenset({"expired", "deleted", "canceled"})
_REFUSED: Final = frozenset({"failed", "rejected", "laterejected"})


def results_of(job: JobStatus) -> list[JobResult]:
    """What a job has made, or will make: one thing, several, or nothing."""
    results: Any = job.result
    return models_in(results if isinstance(results, list) else [results])


def state_of(job: JobStatus) -> str:
    """What happened to a job last, in the service's own word, such as `Claimed`.

    Older answers do not say it: then `Succeeded` if its results are there, else `Initialized` while it waits in the
    queue, else `unknown`.
    """
    if event := text(_event(job).type):
        return event
    if _is_available(job):
        return "Succeeded"
    return "Initialized" if job.scheduled is True else "unknown"


def succeeded(job: JobStatus) -> bool:
    """Whether a job is over, and made what it was to make."""
    return not _is_lost(job) and (state_of(job).casefold() == "succeeded" or _is_available(job))


def is_over(job: JobStatus) -> bool:
    """Whether nothing happens to a job any more.

    A worker that refuses or fails is not the end if the service says that the job goes on, or if it is in the queue
    again. States that are not known yet are no end.
    """
    return succeeded(job) or _is_lost(job)


def is_late(job: JobStatus) -> bool:
    """Whether a job succeeded, and a result is not there all the same."""
    return succeeded(job) and any(result.available is False for result in results_of(job))


def jobs_ahead(job: JobStatus) -> int | None:
    """How many jobs are before one where it comes up first; None if nobody says."""
    outlooks = record(job.service_providers).values()
    places = [each.queue_position for each in outlooks if isinstance(each, ServiceProviderStatus)]
    ahead = [number(place.preceding_jobs) for place in places if isinstance(place, QueuePosition)]
    return min((int(count) for count in ahead if count is not None), default=None)


def reason_of(job: JobStatus) -> str:
    """How a job ended that did not succeed: its state, and what the service says about it."""
    context = record(_event(job).context)
    said = [context.get(name) for name in ("message", "reason", "error", "blockedReason")]
    reasons = ", ".join(dict.fromkeys(filter(None, map(text, said))))
    return f"{text(job.job_id) or 'a job'} {state_of(job)}{f' ({reasons})' if reasons else ''}"


def _is_lost(job: JobStatus) -> bool:
    state, ended = state_of(job).casefold(), _event(job).job_has_completed
    if state in _LOST:
        return True
    if state not in _REFUSED:
        return False
    return ended if isinstance(ended, bool) else job.scheduled is not True


def _is_available(job: JobStatus) -> bool:
    results = results_of(job)
    return bool(results) and all(result.available is True for result in results)


def _event(job: JobStatus) -> JobEvent:
    return job.last_event if isinstance(job.last_event, JobEvent) else JobEvent()


_CADENCE: Final = (1.0, 1.0, 2.0, 2.0, 3.0, 5.0)
"""Seconds between looks, the last one again and again. The official client looked every second."""


def pauses(*, known: bool) -> Iterator[float]:
    """Give the seconds to wait before each look; before the first one none, if nothing is known so far."""
    if not known:
        yield 0.0
    yield from _CADENCE
    while True:
        yield _CADENCE[-1]
