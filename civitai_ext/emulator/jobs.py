"""Jobs of the Generator API: how they move through their events as the clock goes on, and what happens to their Buzz.

Nothing here waits. The course of a job is laid out when it is submitted; `Jobs.refresh` brings it up to the present
whenever somebody looks at it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from civitai_ext.emulator import job_kinds
from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.blobs import Blob, Blobs
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.ledger import COLOURS, Transaction
from civitai_ext.emulator.spending import Purse
from civitai_ext.emulator.steps import Ending, Faults, Input, Workplace
from civitai_ext.emulator.templates import parse_duration

RETENTION = timedelta(days=30)
"""How long a job is kept, as long as a workflow."""
QUEUE_SECONDS = 3.0
"""How long a job waits for a worker."""

_REJECT = "[reject]"
_MOST_RETRIES = 100
_DEFAULT_TIMEOUT = "00:10:00"
_PRIORITIES = ("High", "Normal", "Low")


class InvalidJobError(Exception):
    """Jobs cannot be accepted; `faults` tells why, by the path of the field."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(str(faults))
        self.faults = faults


@dataclass(frozen=True)
class JobTemplate:
    """A job as it was asked for, after it was checked."""

    kind: str
    given: Input
    price: int
    quantity: int
    properties: dict[str, Any]
    priority: str
    retries: int
    timeout: timedelta


@dataclass(frozen=True)
class Event:
    """Something that happens to a job."""

    type: str
    at: datetime
    attempt: int = 0
    final: bool = False


@dataclass
class Job:
    """A job that was accepted.

    Attributes:
        number: Its place in the order of all jobs.
        course: What happens to it, in order of time, also what is still to come.
        blob_key: Under which its picture will be found; None if it gives none.
        blob: The picture, once it is there.
        taints: What was complained about.
    """

    id: str
    number: int
    account: Account
    purse: Purse
    template: JobTemplate
    created_at: datetime
    course: list[Event]
    seed: int
    blob_key: str | None
    transactions: list[Transaction] = field(default_factory=list)
    blob: Blob | None = None
    settled: bool = False
    taints: list[dict[str, Any]] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        """What comes of it if that is no picture."""
        return job_kinds.result(self.template.kind, self.template.given)

    def last_event(self, now: datetime) -> Event:
        """Tell what happened to it last."""
        return [event for event in self.course if event.at <= now][-1]

    def claimed_at(self, now: datetime) -> datetime | None:
        """Tell since when a worker has it; None before that."""
        return next((event.at for event in self.course if event.type == "Claimed" and event.at <= now), None)

    def is_over(self, now: datetime) -> bool:
        """Tell whether nothing happens to it any more."""
        return self.last_event(now).final


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together."""

    number: int
    account: Account
    at: datetime
    jobs: list[Job]


class Jobs:
    """Takes jobs in, moves them on, settles their Buzz."""

    KEPT = ("_count", "_by_id", "_submission_count", "_submissions")

    def __init__(self, clock: Clock, blobs: Blobs, identifiers: Identifiers, catalogue: Catalogue) -> None:
        self._clock = clock
        self._blobs = blobs
        self._catalogue = catalogue
        self._identifiers = identifiers
        self._count = 0
        self._by_id: dict[str, Job] = {}
        self._submission_count = 0
        self._submissions: list[Submission] = []

    def __iter__(self) -> Iterator[Job]:
        """Go through all that was submitted, oldest first."""
        for job in list(self._by_id.values()):
            self.refresh(job)
            yield job

    def preview(self, account: Account, templates: Iterable[JobTemplate], purse: Purse) -> list[Job]:
        """Price jobs without running them."""
        return self._make(account, templates, purse)

    def submit(self, account: Account, templates: Iterable[JobTemplate], purse: Purse) -> list[Job]:
        """Charge a purse for jobs and set them going.

        Raises:
            InsufficientBuzzError: The account cannot pay for all; nothing is kept.

        """
        jobs = self._make(account, templates, purse)
        purse.split(sum(job.template.price for job in jobs), COLOURS)
        for job in jobs:
            job.transactions = purse.charge(job.template.price, COLOURS, workflow_id=job.id, at=job.created_at)
            self._by_id[job.id] = job
        self._submission_count += 1
        self._submissions.append(Submission(self._submission_count, account, self._clock.now(), jobs))
        self._forget_old()
        return jobs

    def get(self, account: Account, id_: str) -> Job | None:
        """Find a job of an account."""
        job = self._by_id.get(id_)
        if job is None or job.account is not account or self._clock.now() > job.created_at + RETENTION:
            return None
        self.refresh(job)
        return job

    def of_token(self, account: Account, token: str) -> list[Job]:
        """Find the jobs of an account that a token stands for.

        Raises:
            ValueError: It is no token.

        """
        try:
            ids = json.loads(base64.b64decode(token, validate=True))["Jobs"]
        except (binascii.Error, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(token) from error
        if not isinstance(ids, list):
            raise ValueError(token)
        return [job for job in (self.get(account, str(id_)) for id_ in ids) if job is not None]

    def find(self, account: Account, properties: Mapping[str, Any], kind: str | None = None) -> list[Job]:
        """Find the jobs of an account that have all of these properties, the newest first."""
        found = (self.get(account, id_) for id_ in reversed(self._by_id))
        return [
            job
            for job in found
            if job is not None
            and (kind is None or job.template.kind == kind)
            and all(
                name in job.template.properties and job.template.properties[name] == value
                for name, value in properties.items()
            )
        ]

    def submissions(self, account: Account) -> list[Submission]:
        """List what an account has submitted, the newest first."""
        return [submission for submission in reversed(self._submissions) if submission.account is account]

    def cancel(self, jobs: Iterable[Job], *, force: bool) -> None:
        """End jobs that are not over; those that a worker has only by force. What has not begun is refunded."""
        now = self._clock.now()
        for job in jobs:
            claimed = job.claimed_at(now) is not None
            if job.is_over(now) or (claimed and not force):
                continue
            last = job.last_event(now)
            job.course = [event for event in job.course if event.at <= now]
            job.course.append(Event("Deleted", now, last.attempt, final=True))
            job.settled = claimed
            self.refresh(job)
        self._clock.wake()

    def next_change(self, jobs: Iterable[Job]) -> datetime | None:
        """Tell when something happens next to one of some jobs."""
        now = self._clock.now()
        return min((event.at for job in jobs for event in job.course if event.at > now), default=None)

    def refresh(self, job: Job) -> None:
        """Bring a job up to the present: when it is over, it has its picture, or its price is given back."""
        last = job.last_event(self._clock.now())
        if job.settled or not last.final:
            return
        job.settled = True
        if last.type != "Succeeded":
            job.purse.refund(job.template.price, job.transactions, workflow_id=job.id, at=last.at)
        elif job.blob_key is not None:
            given = job.template.given
            place = Workplace(
                blobs=self._blobs,
                catalogue=self._catalogue,
                owner=job.account.id,
                job_id=job.id,
                at=last.at,
                seed=job.seed,
                seconds=(last.at - (job.claimed_at(last.at) or last.at)).total_seconds(),
                level="x" if given.ending is Ending.MATURE else "pg",
                look_up=lambda name: None,  # jobs do not refer to each other
            )
            job.blob = job_kinds.picture(job.template.kind, given, place)

    def _forget_old(self) -> None:
        now = self._clock.now()
        while now > self._submissions[0].at + RETENTION:
            for job in self._submissions.pop(0).jobs:
                del self._by_id[job.id]

    def _make(self, account: Account, templates: Iterable[JobTemplate], purse: Purse) -> list[Job]:
        now, jobs = self._clock.now(), []
        for template in templates:
            for _ in range(template.quantity):
                id_ = self._identifiers.uuid()
                key = hashlib.sha256(id_.encode()).hexdigest().upper()
                self._count += 1
                jobs.append(
                    Job(
                        id=id_,
                        number=self._count,
                        account=account,
                        purse=purse,
                        template=template,
                        created_at=now,
                        course=_course(template, now),
                        seed=self._identifiers.number(),
                        blob_key=key if job_kinds.gives_picture(template.kind) else None,
                    )
                )
        return jobs


def token_of(jobs: Iterable[Job]) -> str:
    """Write the token that stands for jobs."""
    content = json.dumps({"Jobs": [job.id for job in jobs]}, separators=(",", ":"))
    return base64.b64encode(content.encode()).decode()


def parse_jobs(body: Any) -> list[JobTemplate]:
    """Read the body of a submission: one template, or several under `jobs`.

    Raises:
        InvalidJobError: The body does not fit.

    """
    if not isinstance(body, dict):
        raise InvalidJobError({"$": ["The request body must be a JSON object."]})
    several = "$type" not in body
    given = body.get("jobs") if several else [body]
    if not isinstance(given, list) or not given:
        raise InvalidJobError({"jobs": ["The jobs field is required."]})
    faults: Faults = {}
    templates = [_template(item, f"jobs[{place}]" if several else "$", faults) for place, item in enumerate(given)]
    if faults:
        raise InvalidJobError(faults)
    return templates


def _template(item: Any, path: str, faults: Faults) -> JobTemplate:
    given = Input(item)
    kind = given.text("$type")
    if not kind:
        faults[f"{path}.$type"] = ["The $type field is required."]
    properties = given.raw("properties")
    if properties is not None and not isinstance(properties, dict):
        faults[f"{path}.properties"] = ["The properties field must be an object."]
        properties = None
    priority = given.raw("priority")
    if priority is not None and priority not in _PRIORITIES:
        faults[f"{path}.priority"] = [f"The value '{priority}' is not valid."]
    timeout = given.raw("timeout")
    try:
        limit = parse_duration(_DEFAULT_TIMEOUT if timeout is None else str(timeout))
    except ValueError:
        faults[f"{path}.timeout"] = [f"The value '{timeout}' is not a duration like {_DEFAULT_TIMEOUT}."]
        limit = timedelta()
    wrong = len(faults)
    job_kinds.check(kind, given, path, faults)
    fits = kind != "" and len(faults) == wrong
    return JobTemplate(
        kind=kind,
        given=given,
        price=job_kinds.price(kind, given, given.text("priority")) if fits else 0,
        quantity=job_kinds.quantity(kind, given) if fits else 0,
        properties=properties or {},
        priority=given.text("priority", "Normal"),
        retries=min(max(0, given.integer("retries", 0)), _MOST_RETRIES),
        timeout=limit,
    )


def _course(template: JobTemplate, start: datetime) -> list[Event]:
    """Lay out what happens to a job."""
    ending, rejected = template.given.ending, _REJECT in json.dumps(template.given.value)
    work = timedelta(seconds=job_kinds.seconds(template.kind, template.given))
    at, attempt = start, 0
    course = [Event("Initialized", at)]
    if ending is Ending.EXPIRE:
        return [*course, Event("Expired", at + template.timeout, final=True)]

    def then(type_: str, after: timedelta, *, final: bool = False) -> None:
        nonlocal at
        at += after
        course.append(Event(type_, at, attempt, final))

    queue = timedelta(seconds=QUEUE_SECONDS)
    if rejected:
        then("Rejected", queue / 2)
        attempt += 1
        queue /= 2
    then("Claimed", queue)
    if work > template.timeout:
        then("Expired", template.timeout, final=True)
    elif ending is Ending.FAIL or (ending is Ending.RETRY and not template.retries):
        for left in range(template.retries, -1, -1):
            then("Failed", work / 2, final=left == 0)
            if left:
                attempt += 1
                then("Claimed", queue)
    elif ending is Ending.BLOCK:
        then("LateRejected", work, final=True)
    else:
        if ending is Ending.RETRY:
            then("Failed", work / 2)
            attempt += 1
            then("Claimed", queue)
        then("Updated", work / 2)
        then("Succeeded", work / 2, final=True)
    return course
