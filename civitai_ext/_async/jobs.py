"""Jobs of the Generator API v1: pricing, submitting, waiting."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar, Unpack

import attrs

from civitai_api.generator.api.jobs import (
    cancel_job,
    cancel_jobs_by_token,
    get_job,
    query_jobs,
    query_jobs_by_token,
    submit_jobs,
    taint_job,
    taint_jobs_by_token,
)
from civitai_api.generator.models import (
    JobResult,
    JobStatus,
    JobStatusCollection,
    JobSubmission,
    JobTemplate,
    QueryJobsRequest,
    TaintJobRequest,
    TaintJobsRequest,
)
from civitai_api.orchestration.models import Blob
from civitai_api.runtime import UNSET, Request, Unset
from civitai_ext._arguments import a_mapping
from civitai_ext._async.blob_files import has_run_out, save_blob
from civitai_ext._async.pager import AsyncPager, Page
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import is_throttled
from civitai_ext._disk import Exists
from civitai_ext._filters import a_segment
from civitai_ext._job_states import (
    is_late,
    is_over,
    jobs_ahead,
    pauses,
    reason_of,
    results_of,
    state_of,
    succeeded,
)
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._outputs import blob_stem
from civitai_ext._polling import check_wait
from civitai_ext._reading import models_in, number, record, text
from civitai_ext._together import AsyncTogether
from civitai_ext.errors import (
    BudgetExceeded,
    CivitaiError,
    ConnectionFailed,
    InvalidRequest,
    JobsFailed,
    ServerError,
    SubmissionUnclear,
    UnexpectedResponse,
    WaitTimeout,
)
from civitai_ext.jobs import SUBMISSION, JobLike, prepared

__all__ = ["AsyncJobBatch", "AsyncJobs"]

T = TypeVar("T")

DEFAULT_TIMEOUT: Final = 600.0
_LOOKS: Final = (0.5, 1.5, 4.0)
"""Seconds before each look for jobs whose submission was not answered: the service may take a moment to show them."""
_LATE_LOOKS: Final = 3
"""How often to look again at jobs that succeeded and do not have their results yet."""
_MOST_STRANGERS: Final = 100
"""After how many jobs of other submissions looking for those of one is given up: the service ignores what was asked."""
_LONGEST_TOKEN: Final = 4000
"""Tokens grow with the number of jobs, and servers refuse longer request lines than 8,000 characters."""


class AsyncJobBatch:
    """Jobs that were submitted together: what is known of them, and what can be done with them.

    Attributes:
        token: The service's name for all of them; with it `civitai.jobs.get_by_token` finds them again, from any
            process. None if the service's answer to the submit was lost: they are followed by their property then.
        submission_id: The value of their property `civitaiExtSubmission`; None if they were not submitted here.
        jobs: The state of each, as it was last read.
    """

    def __init__(
        self,
        service: AsyncJobs,
        jobs: Sequence[JobStatus] = (),
        *,
        token: str | None = None,
        submission_id: str | None = None,
    ) -> None:
        self._service = service
        self.token = token
        self.submission_id = submission_id
        self.jobs = list(jobs)

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs."""
        return [text(job.job_id) for job in self.jobs]

    @property
    def states(self) -> list[str]:
        """What happened to each job last: `Initialized`, `Claimed`, `Succeeded`, `Failed` and others."""
        return [state_of(job) for job in self.jobs]

    @property
    def is_final(self) -> bool:
        """Whether all jobs are over, with or without success."""
        return bool(self.jobs) and all(is_over(job) for job in self.jobs)

    @property
    def failed(self) -> list[JobStatus]:
        """The jobs that are over without success."""
        return [job for job in self.jobs if is_over(job) and not succeeded(job)]

    @property
    def results(self) -> list[JobResult]:
        """Everything that the jobs made, in order. Of an image, `blob_url` serves it for about an hour, to anybody."""
        return [result for job in self.jobs if succeeded(job) for result in results_of(job)]

    @property
    def cost(self) -> float:
        """What the jobs cost together, in Buzz, as far as the service said."""
        return sum(number(job.cost) or 0 for job in self.jobs)

    @property
    def queue_position(self) -> int | None:
        """How many other jobs are before the next of these; None if none of them waits, or nobody says."""
        return min((ahead for job in self.jobs if (ahead := jobs_ahead(job)) is not None), default=None)

    async def refresh(self) -> AsyncJobBatch:
        """Read all jobs again, as a rule in one request.

        Raises:
            NotFound: The service does not know them any more.
        """
        read = await self._read()
        if read:
            # A job that the service does not show for once is not over.
            shown = {"", *(text(job.job_id) for job in read)}
            self.jobs = [*read, *(job for job in self.jobs if text(job.job_id) not in shown)]
        return self

    async def wait(
        self,
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[AsyncJobBatch], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
    ) -> AsyncJobBatch:
        """Wait until all jobs are over.

        They are looked at again and again, all of them in one request: every second at first, every five seconds later.

        Args:
            timeout: Seconds to wait in all; None for no end.
            on_progress: Called with this object whenever something has changed.
            raise_on_failure: Whether a job that ended without success is an error.
            cancel_on_timeout: Whether to cancel what is not over when the time is up; if not, it goes on.

        Raises:
            JobsFailed: All are over, and some without success; holds them all.
            WaitTimeout: They were not over in time; holds them too.
        """
        check_wait(timeout, on_progress, raise_on_failure=raise_on_failure, cancel_on_timeout=cancel_on_timeout)
        ends, late = inf if timeout is None else monotonic() + timeout, 0
        reported: object = None
        for looks, pause in enumerate(pauses(known=bool(self.jobs))):
            left = ends - monotonic()
            if self.is_final:
                if left <= 0 or late == _LATE_LOOKS or not any(is_late(job) for job in self.jobs):
                    break
                late += 1
            if left <= 0 and looks:
                if cancel_on_timeout:
                    await self.cancel(force=True)
                goes_on = "The jobs go on: wait for them again, by their token from any process, or cancel them."
                raise WaitTimeout(
                    f"{self._told()} after {timeout:g} seconds",
                    jobs=self,
                    hint="The rest was canceled." if cancel_on_timeout else goes_on,
                )
            await self._service.transport.sleep(min(pause, max(left, 0.0)))
            await self.refresh()
            if on_progress is not None and reported != (seen := (self.states, self.queue_position)):
                reported = seen
                on_progress(self)
        if raise_on_failure and self.failed:
            reasons = "; ".join(reason_of(job) for job in self.failed[:5])
            raise JobsFailed(f"{len(self.failed)} of {len(self.jobs)} jobs failed: {reasons}", jobs=self)
        return self

    async def save(self, folder: str | os.PathLike[str], *, exists: Exists = "overwrite") -> list[Path]:
        """Save every file that the jobs made in a folder, which is made if it is not there, and give the paths.

        A file is called after its job, and has its name only once it is whole. URLs that have run out are signed anew.

        Args:
            folder: Where to.
            exists: What to do about a file that is there already: `overwrite`, `skip` or `error`.

        Raises:
            ApiError: The host refuses to give a file.
            BlobUnavailable: A file has no URL.
            ConnectionFailed: The host was not reached.
            OSError: The folder or a file cannot be written.
            UnexpectedResponse: The host gave a page or half a file instead.
        """
        if any(has_run_out(result.blob_url_expiration_date) for result in self.results):
            await self.refresh()

        async def save(made: tuple[str, int, JobResult]) -> Path:
            id, index, result = made
            # Without an id: it is not one of the blobs that can be renewed one by one.
            blob = Blob(url=text(result.blob_url) or UNSET, type="image")
            stem = "-".join(filter(None, (blob_stem(Blob(id=id)), str(index) if index else "")))
            return await save_blob(self._service.transport, blob, Path(folder), stem=stem, exists=exists)

        made = [
            (text(job.job_id), index, result)
            for job in self.jobs
            if succeeded(job)
            for index, result in enumerate(results_of(job))
        ]
        return await AsyncTogether(save).each(made)

    async def cancel(self, *, force: bool = False) -> None:
        """Stop the jobs that are not over. What no worker has taken may be refunded.

        Args:
            force: Whether to stop those too that a worker has taken.
        """
        if self._by_token:
            await self._service.cancel_by_token(str(self.token), force=force)
        else:
            for id in self.ids:
                await self._service.cancel(id, force=force)

    async def taint(self, reason: str, *, context: Mapping[str, Any] | None = None) -> None:
        """Report what came of the jobs as bad.

        Args:
            reason: What is wrong with it.
            context: Details of your own.
        """
        if self._by_token:
            await self._service.taint_by_token(self.token, reason, context=context)
        else:
            own = {SUBMISSION: self.submission_id}
            await self._service.taint_by_token(None, reason, context=context, properties=own)

    async def _read(self) -> list[JobStatus]:
        if self._by_token:
            return await self._service._of_token(str(self.token))
        return await self._service._of_submission(str(self.submission_id))

    @property
    def _by_token(self) -> bool:
        return self.submission_id is None or (self.token is not None and len(self.token) <= _LONGEST_TOKEN)

    def _told(self) -> str:
        over = sum(is_over(job) for job in self.jobs)
        counts = {state: self.states.count(state) for state in dict.fromkeys(self.states)}
        listed = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"{over} of {len(self.jobs)} jobs were over{f' ({listed})' if listed else ''}"

    def __getstate__(self) -> dict[str, Any]:
        # An error that holds jobs can be pickled; the connections behind them cannot.
        return {"token": self.token, "submission_id": self.submission_id, "jobs": self.jobs}

    def __repr__(self) -> str:
        ahead = "" if self.queue_position is None else f", {self.queue_position} ahead"
        return f"<{type(self).__name__} of {len(self.jobs)}: {', '.join(dict.fromkeys(self.states))}{ahead}>"


class AsyncJobs:
    """Jobs of the older Generator API: `civitai.jobs`. All of it needs a token.

    New programs should use `civitai.workflows`; this is for the few kinds of job that only this API runs.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport

    async def estimate(
        self, *jobs: JobLike, charge: bool | None = None, **options: Unpack[CallOptions]
    ) -> float | None:
        """Price jobs, and have the service check them, without running them.

        Args:
            jobs: As `submit` takes them.
            charge: As `submit` takes it.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Returns:
            What they cost together, in Buzz; None if the service did not say.

        Raises:
            BadRequest: The service refuses a job.
            InvalidRequest: A job cannot be right; nothing was sent.
            ConfigurationError: There is no token.
        """
        return await self._price(_prepared(jobs, None), charge, options)

    async def submit(
        self,
        job: JobLike,
        *,
        charge: bool | None = None,
        detailed: bool = False,
        max_cost: float | None = None,
        submission_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncJobBatch:
        """Submit a job, and pay for it. One that makes several images may come back as several.

        It is sent once: nothing tells the service that a job is the same as one before, so sending it again could be
        paid twice. If no good answer comes, it is looked for by a property that every submission gets, and what is
        found is given back as if nothing had happened.

        Args:
            job: `image_job(…)`, a generated template, or a dict with `$type`.
            charge: Whether to ask for the price to be taken from the account's Buzz; left to the service by default.
            detailed: Whether to have the definitions that the service made of the jobs, as `job` of each.
            max_cost: The most Buzz it may cost; it is priced first.
            submission_id: The value of that property. If it is given, the jobs that have it already are looked for
                first and given back, and only if there are none is anything submitted.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            SubmissionUnclear: No good answer came, and no such job was found; it may run all the same.
            BudgetExceeded: It would cost more than `max_cost`, or the price is not known. Nothing was submitted.
            InsufficientBuzz: The account cannot pay for it.
            BadRequest: The service refuses the job.
            InvalidRequest: It cannot be right; nothing was sent.
            ConfigurationError: There is no token.
        """
        return await self.submit_batch(
            [job], charge=charge, detailed=detailed, max_cost=max_cost, submission_id=submission_id, **options
        )

    async def submit_batch(
        self,
        jobs: Iterable[JobLike],
        *,
        charge: bool | None = None,
        detailed: bool = False,
        max_cost: float | None = None,
        submission_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncJobBatch:
        """Submit several jobs in one request, as `submit` does."""
        if submission_id is not None and not (isinstance(submission_id, str) and submission_id.strip()):
            raise InvalidRequest(f"submission_id is {submission_id!r}; it takes a text")
        options = checked_options(options)
        key = submission_id or uuid.uuid4().hex
        priced = _prepared(jobs, None)
        count = len(priced)
        request = _submit(_prepared(priced, key), charge, detailed=detailed)
        if submission_id is not None and (found := await self._of_submission(key, options)):
            if len(found) < count:
                raise _unclear("the submission_id was used before, and", key, len(found), count)
            return AsyncJobBatch(self, found, submission_id=key)
        if max_cost is not None:
            cost = await self._price(priced, charge, options)
            if cost is None or not cost <= max_cost:
                price = "a price that the service does not tell" if cost is None else f"{cost:g} Buzz"
                raise BudgetExceeded(f"It would cost {price}, and at most {max_cost:g} is allowed", estimate=cost)
        try:
            answer = await self._call(request, options)
        except (ConnectionFailed, ServerError, UnexpectedResponse) as error:
            if not _may_have_arrived(error):
                raise
            return await self._found_after(error, key, count, options)
        token, accepted = text(answer.token), models_in(answer.jobs)
        if not token and not accepted:
            empty = UnexpectedResponse("neither a token nor jobs", status=200, method="POST", url=request.path)
            return await self._found_after(empty, key, count, options)
        return AsyncJobBatch(self, accepted, token=token or None, submission_id=key)

    async def get(self, id: str, *, detailed: bool = False, **options: Unpack[CallOptions]) -> JobStatus:
        """Read the state of a job.

        Args:
            id: The job.
            detailed: Whether to have its definition too, as `job`.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no such job.
            InvalidRequest: No job can have such an id.
            ConfigurationError: There is no token.
        """
        return await self._call(get_job.request(job_id=_id(id), detailed=detailed or UNSET), options)

    async def get_by_token(
        self, token: str, *, detailed: bool = False, **options: Unpack[CallOptions]
    ) -> AsyncJobBatch:
        """Read the jobs that were submitted together, by the token that the service gave for them.

        Args:
            token: `token` of what `submit` gave.
            detailed: Whether to have their definitions too, as `job` of each.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            BadRequest: It is no token.
            NotFound: There are no such jobs.
            InvalidRequest: The token is empty.
            ConfigurationError: There is no API key or other token of an account.
        """
        return AsyncJobBatch(self, await self._of_token(token, options, detailed=detailed), token=token)

    def query(
        self,
        properties: Mapping[str, Any] | None = None,
        *,
        job_type: str | None = None,
        detailed: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPager[JobStatus]:
        """Find the caller's jobs. The service decides how many come on a page.

        Args:
            properties: Only jobs that were submitted with all of these.
            job_type: Only jobs of this kind, such as `textToImage`.
            detailed: Whether to have their definitions too, as `job` of each.
            limit: How many to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            options: Options of every request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            ConfigurationError: There is no token.
        """
        self.transport.config.require_token(_API)
        options = checked_options(options)
        wanted = _mapping("properties", properties)

        async def fetch(at: str | None, size: int) -> Page[JobStatus]:
            body = QueryJobsRequest(cursor=UNSET if at is None else at, job_type=job_type or UNSET, properties=wanted)
            request = attrs.evolve(query_jobs.request(body=body, detailed=detailed or UNSET), idempotent=True)
            page = await self._call(request, options)
            return Page(models_in(page.jobs), text(page.cursor) or None)

        return AsyncPager(fetch, limit=limit, cursor=cursor, identity=lambda job: text(job.job_id) or None)

    async def wait(
        self,
        jobs: AsyncJobBatch | str,
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[AsyncJobBatch], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
    ) -> AsyncJobBatch:
        """Wait until jobs that were submitted together are over, given as such or by their token.

        See `AsyncJobBatch.wait`.
        """
        if not isinstance(jobs, AsyncJobBatch):
            jobs = AsyncJobBatch(self, token=_id(jobs, "a token"))
        return await jobs.wait(
            timeout, on_progress=on_progress, raise_on_failure=raise_on_failure, cancel_on_timeout=cancel_on_timeout
        )

    async def cancel(self, id: str, *, force: bool = False, **options: Unpack[CallOptions]) -> None:
        """Stop a job. If no worker has taken it, its price may be refunded.

        Args:
            id: The job.
            force: Whether to stop it too if a worker has taken it.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no such job.
            InvalidRequest: No job can have such an id.
            ConfigurationError: There is no token.
        """
        await self._call(cancel_job.request(job_id=_id(id), force=force or UNSET), options)

    async def cancel_by_token(self, token: str, *, force: bool = False, **options: Unpack[CallOptions]) -> None:
        """Stop the jobs that were submitted together, as `cancel` does."""
        await self._call(cancel_jobs_by_token.request(token=_id(token, "a token"), force=force or UNSET), options)

    async def taint(
        self, id: str, reason: str, *, context: Mapping[str, Any] | None = None, **options: Unpack[CallOptions]
    ) -> None:
        """Report what came of a job as bad.

        Args:
            id: The job.
            reason: What is wrong with it.
            context: Details of your own.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no such job.
            InvalidRequest: No job can have such an id, or no reason is given.
            ConfigurationError: There is no token.
        """
        body = TaintJobRequest(reason=_reason(reason), context=_mapping("context", context))
        await self._call(taint_job.request(job_id=_id(id), body=body), options)

    async def taint_by_token(
        self,
        token: str | None,
        reason: str,
        *,
        context: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> int | None:
        """Report what came of several jobs as bad.

        Args:
            token: The token of jobs that were submitted together; None to choose jobs by `properties`.
            reason: What is wrong with it.
            context: Details of your own.
            properties: What the jobs were submitted with, all of it.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Returns:
            How many jobs that were; None if the service did not say.

        Raises:
            InvalidRequest: Neither a token nor properties are given, or no reason.
            ConfigurationError: There is no API key or other token of an account.
        """
        if token is None and not properties:
            raise InvalidRequest("taint_by_token takes a token, or properties that choose the jobs")
        body = TaintJobsRequest(
            reason=_reason(reason),
            context=_mapping("context", context),
            properties=_mapping("properties", properties),
        )
        request = taint_jobs_by_token.request(body=body, token=UNSET if token is None else _id(token, "a token"))
        count = number((await self._call(request, options)).jobs)
        return None if count is None else int(count)

    async def _of_token(
        self, token: str, options: CallOptions | None = None, *, detailed: bool = False
    ) -> list[JobStatus]:
        """Read the jobs of a token."""
        request = query_jobs_by_token.request(token=_id(token, "a token"), detailed=detailed or UNSET)
        return models_in((await self._call(request, options or {})).jobs)

    async def _of_submission(self, key: str, options: CallOptions | None = None) -> list[JobStatus]:
        """Find the jobs that were submitted with a key of ours."""
        found: list[JobStatus] = []
        strangers = 0
        async for job in self.query({SUBMISSION: key}, **(options or {})):
            # Jobs of some other submission must not pass for these, whatever the service takes for a match.
            if record(job.properties).get(SUBMISSION) == key:
                found.append(job)
            elif (strangers := strangers + 1) == _MOST_STRANGERS:
                break
        return found

    async def _price(self, jobs: list[JobTemplate], charge: bool | None, options: CallOptions) -> float | None:
        request = attrs.evolve(_submit(jobs, charge, whatif=True), idempotent=True)
        costs = [number(job.cost) for job in models_in((await self._call(request, options)).jobs)]
        return sum(cost for cost in costs if cost is not None) if costs and None not in costs else None

    async def _found_after(self, error: CivitaiError, key: str, count: int, options: CallOptions) -> AsyncJobBatch:
        """Look for jobs that were submitted without a good answer."""
        found: list[JobStatus] = []
        for pause in _LOOKS:
            await self.transport.sleep(pause * self.transport.policy.scale)
            try:
                found = await self._of_submission(key, options)
            except CivitaiError as failure:
                error.add_note(f"Looking for the jobs failed: {failure}")
                continue
            if len(found) >= count:
                return AsyncJobBatch(self, found, submission_id=key)
        raise _unclear(f"no good answer came ({error.describe()}), and", key, len(found), count) from error

    async def _call(self, request: Request[T], options: CallOptions) -> T:
        self.transport.config.require_token(_API)
        return await self.transport.call(request, **options)


_API: Final = "The Generator API"


def _submit(
    jobs: list[JobTemplate], charge: bool | None, *, detailed: bool = False, whatif: bool = False
) -> Request[JobStatusCollection]:
    return submit_jobs.request(
        body=JobSubmission(jobs=jobs),
        charge=UNSET if charge is None else charge,
        detailed=detailed or UNSET,
        whatif=whatif or UNSET,
    )


def _prepared(jobs: Iterable[JobLike], key: str | None) -> list[JobTemplate]:
    if isinstance(jobs, (str, bytes, Mapping)) or not isinstance(jobs, Iterable):
        raise InvalidRequest(f"jobs is a {type(jobs).__name__}", hint="Give a list of jobs, or one to `submit`.")
    templates = [prepared(job, f"jobs[{place}]", key) for place, job in enumerate(jobs)]
    if not templates:
        raise InvalidRequest("There are no jobs to submit")
    return templates


def _unclear(what: str, key: str, found: int, count: int) -> SubmissionUnclear:
    return SubmissionUnclear(
        f"Whether the jobs were accepted is not known: {what} {found} of {count} can be found",
        submission_id=key,
        properties={SUBMISSION: key},
        hint=f"They may run all the same. Later, submit them again with submission_id={key!r}, which looks for them "
        "first.",
    )


def _may_have_arrived(error: CivitaiError) -> bool:
    """Whether the service may have accepted what it was sent."""
    if isinstance(error, ConnectionFailed):
        return error.sent
    return not is_throttled(error)


def _id(value: Any, what: str = "the id of a job") -> str:
    return a_segment(value, what)


def _mapping(name: str, value: Mapping[str, Any] | None) -> dict[str, Any] | Unset:
    return UNSET if value is None else a_mapping(name, value)


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f"reason is {value!r}; it takes a text that says what is wrong")
    return value
