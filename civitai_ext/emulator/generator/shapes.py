"""Jobs as the Generator API shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.jobs import QUEUE_SECONDS, Event, Job
from civitai_ext.emulator.world import World

Json = dict[str, Any]

URL_LIFETIME = timedelta(hours=1)
"""How long the signed URL of a picture holds."""

_PRIORITIES = {"High": 1, "Normal": 2, "Low": 3}
_PROVIDER = "Civitai"
_WORKER = "emulated-worker"
_PER_SECOND = 2
"""How many jobs are ahead of one for every second that it still has to wait."""


def jobs_json(world: World, jobs: Iterable[Job], *, detailed: bool) -> list[Json]:
    """Show the states of jobs."""
    return [job_json(world, job, detailed=detailed) for job in jobs]


def job_json(world: World, job: Job, *, detailed: bool = False) -> Json:
    """Show the state of a job."""
    now = world.clock.now()
    last, claimed = job.last_event(now), job.claimed_at(now)
    scheduled = claimed is None and not last.final
    shown: Json = {
        "jobId": job.id,
        "cost": float(job.template.price),
        "result": _result(world, job, last),
        "scheduled": scheduled,
        "properties": job.template.properties or None,
        "lastEvent": event_json(job, last, claimed),
        "serviceProviders": {_PROVIDER: _outlook(world, job) if scheduled else {"support": "Available"}},
    }
    return shown | ({"job": definition_json(job)} if detailed else {})


def preview_json(job: Job) -> Json:
    """Show what a job would cost."""
    return {"jobId": job.id, "cost": float(job.template.price), "scheduled": False}


def event_json(job: Job, event: Event, claimed: datetime | None) -> Json:
    """Show an event."""
    waiting = event.type in ("Initialized", "Rejected")
    return {
        "jobId": job.id,
        "type": event.type,
        "dateTime": orchestration_time(event.at),
        "provider": None if event.type == "Initialized" else _PROVIDER,
        "workerId": None if claimed is None else _WORKER,
        "context": {"message": "no_provider_available"} if event.type == "Failed" else None,
        "claimDuration": None if claimed is None else _duration(event.at - claimed),
        "jobDuration": _duration(event.at - job.created_at),
        "retryAttempt": event.attempt,
        "cost": float(job.template.price),
        "jobProperties": job.template.properties or None,
        "jobType": job.template.kind,
        "jobPriority": _PRIORITIES.get(job.template.priority, 2),
        "claimHasCompleted": event.final or (not waiting and event.type not in ("Claimed", "Updated")),
        "jobHasCompleted": event.final,
    }


def definition_json(job: Job) -> Json:
    """Show a job as it was submitted."""
    template = job.template
    fields = {name: value for name, value in template.given.value.items() if not name.startswith("$")}
    shown: Json = {
        **{name: fields.pop(name, None) for name in ("expireAt", "properties", "dependencies")},
        "id": job.id,
        "createdAt": orchestration_time(job.created_at),
        "webhook": fields.pop("callbackUrl", None),
        "type": template.kind,
        "cost": float(template.price),
        "maxRetryAttempt": template.retries,
        "issuedBy": str(job.account.id),
        "claimDuration": _duration(template.timeout),
    }
    shown["dependencies"] = shown["dependencies"] or []
    if template.kind == "textToImage":
        # The quantity has become that many jobs.
        own = ("baseModel", "model", "params", "additionalNetworks", "controlNets")
        return shown | {name: fields.get(name) for name in own} | {"storeAsBlob": True}
    return shown | {name: value for name, value in fields.items() if name not in ("name", "priority", "timeout")}


def _result(world: World, job: Job, last: Event) -> Json | None:
    if job.blob_key is None:
        return job.result if last.type == "Succeeded" else None
    shown: Json = {"blobKey": job.blob_key, "available": False}
    if job.blob is not None and world.blobs.get(job.blob.id) is not None:
        now = world.clock.now()
        if not now < job.blob.url_expires_at <= now + URL_LIFETIME:
            job.blob.url_expires_at = now + URL_LIFETIME
        shown["available"] = True
        shown["blobUrl"] = world.blobs.url(job.blob)
        shown["blobUrlExpirationDate"] = orchestration_time(job.blob.url_expires_at)
    return shown


def _outlook(world: World, job: Job) -> Json:
    """Show where a job stands that waits for a worker."""
    starts = next((event.at for event in job.course if event.type == "Claimed"), None)
    if starts is None:
        return {"support": "Unavailable", "queuePosition": None}
    left = min(max((starts - world.clock.now()).total_seconds(), 0.0), QUEUE_SECONDS)
    ahead = math.ceil(left * _PER_SECOND) - 1
    return {
        "support": "Available",
        "queuePosition": {
            "precedingJobs": max(ahead, 0),
            "precedingCost": float(max(ahead, 0) * 8),
            "throughputRate": float(_PER_SECOND),
            "workerId": None,
            "estimatedStartDuration": _duration(timedelta(seconds=left)),
            "estimatedStartDate": orchestration_time(starts),
        },
    }


def _duration(length: timedelta) -> str:
    """Write a duration as .NET does.

    >>> _duration(timedelta(minutes=1, seconds=2.5))
    '00:01:02.5000000'
    """
    whole, part = divmod(length // timedelta(microseconds=1), 1_000_000)
    fraction = f".{part:06d}0" if part else ""
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{fraction}"
