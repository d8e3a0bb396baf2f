# Derived from civitai_ext/_async/workflows.py by scripts/unasync.py: change that file, then run `make fix`.
"""Workflows: pricing, submitting, waiting, and saving what comes out."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import attrs

from civitai_api.orchestration import models
from civitai_api.orchestration.api.blobs import refresh_blob
from civitai_api.orchestration.api.workflows import (
    delete_workflow,
    get_workflow,
    query_workflows,
    submit_workflow,
    update_workflow,
)
from civitai_api.runtime import UNSET, ApiModel
from civitai_ext._backoff import delay_after
from civitai_ext._checks import check_types
from civitai_ext._outputs import Output, file_stem, is_error_page, outputs_of, suffix_of
from civitai_ext._polling import Polling
from civitai_ext._reading import models_in, record, text
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import (
    BadRequest,
    BudgetExceeded,
    ConnectionFailed,
    InvalidRequest,
    UnexpectedResponse,
    WaitTimeout,
    WorkflowCanceled,
    WorkflowExpired,
    WorkflowFailed,
)
from civitai_ext.estimates import Estimate
from civitai_ext.progress import FINAL_STATUSES, Progress
from civitai_ext.steps import Step, StepLike, build_steps

if TYPE_CHECKING:
    from datetime import datetime

    from civitai_api.orchestration.models import Blob, BuzzClientAccount, WorkflowCallback, WorkflowTips

__all__ = ["Workflow", "Workflows", "WorkflowOptions"]

logger: Final = logging.getLogger("civitai_ext")

DEFAULT_TIMEOUT: Final = 600.0
_SLACK: Final = 30.0
"""Seconds that an answer to a held request may come late."""
_KEY: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class WorkflowOptions(TypedDict, total=False):
    """What a workflow can be submitted with, besides its steps."""

    tags: Sequence[str]
    """Up to 10, each at most 200 characters; workflows can be listed by them."""
    metadata: Mapping[str, Any]
    """Values of your own, kept with the workflow."""
    callbacks: Sequence[WorkflowCallback]
    """Where to post its events."""
    arguments: Mapping[str, Any]
    """Values that steps may refer to as `{"$ref": "$arguments", "path": …}`."""
    tips: WorkflowTips
    """What to give to Civitai and to the creators of the models, as factors of the price."""
    currencies: Sequence[BuzzClientAccount]
    """Which kinds of Buzz may be taken; by default blue, then green, then yellow."""
    allow_mature_content: bool
    """Whether mature output is wanted; it is paid in yellow Buzz."""
    upgrade_mode: str
    """`manual` or `automatic`: what happens where output turns out to be mature."""
    experimental: bool
    """Whether experimental providers may be used."""
    ephemeral: bool
    """Whether the service forgets the workflow once it is over."""


class Workflow:
    """A workflow at the service: what is known of it, and what can be done with it.

    Attributes:
        id: The service's name for it; with it `civitai.workflows.attach` finds it again, from any process.
        snapshot: The whole of it as it was last read; None if it has not been read yet.
    """

    def __init__(self, workflows: Workflows, id: str, snapshot: models.Workflow | None = None) -> None:
        self._workflows = workflows
        self.id = id
        self.snapshot = snapshot

    @property
    def status(self) -> str:
        """Its status when it was last read, such as `processing`; `unknown` if it never was."""
        return (text(self.snapshot.status) if self.snapshot is not None else "") or "unknown"

    @property
    def is_final(self) -> bool:
        """Whether it is over, with or without success."""
        return self.status in FINAL_STATUSES

    @property
    def steps(self) -> list[models.WorkflowStep]:
        """Its steps as they were last read, each of the class of its type."""
        return models_in(self.snapshot.steps) if self.snapshot is not None else []

    @property
    def cost(self) -> models.WorkflowCost | None:
        """What it cost; None if the service did not say."""
        return next(iter(models_in([self.snapshot.cost])), None) if self.snapshot is not None else None

    @property
    def outputs(self) -> list[Blob]:
        """Every blob that its steps gave, in order: images, videos, audio and 3D models."""
        return [output.blob for output in self._outputs()]

    def refresh(self) -> Workflow:
        """Read it again.

        Raises:
            NotFound: There is no such workflow, or it was ephemeral and is over.
        """
        self.snapshot = self._workflows.read(self.id)
        return self

    def wait(
        self,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
    ) -> Workflow:
        """Wait until it is over.

        The service holds each request until then, so the end is known at once; one request is under way at a time.

        Args:
            timeout: Seconds to wait in all.
            on_progress: Called with every look at it; then it is looked at more often.
            raise_on_failure: Whether an end without success is an error.
            cancel_on_timeout: Whether to cancel it when the time is up; if not, it goes on.

        Raises:
            WorkflowFailed: A step failed. So do `WorkflowExpired` and `WorkflowCanceled`; all hold the workflow.
            WaitTimeout: It was not over in time.
        """
        if timeout < 0:
            raise InvalidRequest(f"timeout is {timeout}, which is less than 0")
        started = monotonic()
        polling = Polling(timeout=timeout, started=started, watched=on_progress is not None)
        reported: Progress | None = None
        while not self.is_final:
            poll = polling.next(monotonic())
            if poll is None:
                if cancel_on_timeout:
                    self.cancel()
                raise WaitTimeout(
                    f"Workflow {self.id} was {self.status} after {timeout:g} seconds", workflow_id=self.id
                )
            if poll.pause:
                self._workflows.transport.sleep(poll.pause)
            try:
                self.snapshot = self._workflows.read(self.id, hold=poll.hold)
            except BadRequest:
                # Deployments that know `wait` as a switch refuse a number of seconds.
                if not poll.hold:
                    raise
                polling.refused()
                continue
            if on_progress is not None:
                progress = Progress.of(self.snapshot, monotonic() - started)
                if reported is None or attrs.evolve(progress, elapsed=0.0) != attrs.evolve(reported, elapsed=0.0):
                    on_progress(progress)
                reported = progress
        if raise_on_failure:
            self._raise_failure()
        return self

    def cancel(self) -> None:
        """Stop it. What has not begun may be refunded; the record stays."""
        self._workflows.cancel(self.id)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Save every blob that it gave in a folder, which is made if it is not there, and give the paths.

        A file has its name only once it is whole. A file that is there already under that name is replaced. Blobs that
        were blocked have no file; they are logged as warnings and stand in `outputs` with their `blocked_reason`.

        Raises:
            UnexpectedResponse: The host gave a page, an error or half a file instead of the blob.
            ConnectionFailed: The host was not reached.
            OSError: The folder or a file cannot be written.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        paths = []
        for output in self._outputs():
            if output.blob.blocked_reason or not text(output.blob.url):
                reason = output.blob.blocked_reason or "it has no URL"
                logger.warning("%s, blob %s of step %s, is not saved: %s", self.id, output.blob.id, output.step, reason)
            else:
                paths.append(self._save(output, target))
        return paths

    def _outputs(self) -> list[Output]:
        return outputs_of(self.snapshot) if self.snapshot is not None else []

    def _save(self, output: Output, folder: Path) -> Path:
        transport, url = self._workflows.transport, str(output.blob.url)
        attempt, fresh = 1, False
        while True:
            try:
                return self._fetch(output, url, folder)
            except (ConnectionFailed, UnexpectedResponse) as error:
                if isinstance(error, UnexpectedResponse) and error.status in {401, 403} and not fresh:
                    # The URL has run out; the service signs another.
                    blob = transport.call(refresh_blob.request(blob_id=str(output.blob.id)))
                    output.blob.url, output.blob.url_expires_at = blob.url, blob.url_expires_at
                    url, fresh = str(blob.url), True
                    continue
                delay = delay_after(error, transport.policy, attempt, idempotent=True)
                if delay is None:
                    raise
            transport.sleep(delay)
            attempt += 1

    def _fetch(self, output: Output, url: str, folder: Path) -> Path:
        transport = self._workflows.transport
        if not transport.config.may_be_fetched(url):
            raise UnexpectedResponse(f"the URL of blob {output.blob.id} is not one to fetch", status=200, url=url)
        # A blob's URL carries its own credential, and its host refuses a second one.
        headers = transport.headers_for(url, authenticated=False)
        with transport.http.stream("GET", url, headers=headers) as answer:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            stem, suffix = file_stem(self.id, output), suffix_of(kind, output.blob, url)
            problem = f"blob {output.blob.id} did not come" if answer.status != 200 else None
            wanted = answer.headers.get("content-length")
            part = folder / f".{stem}-{uuid.uuid4().hex}.part"
            try:
                size = 0
                with part.open("xb") as file:
                    for chunk in answer.chunks():
                        if not size and is_error_page(kind, chunk):
                            problem = problem or "a page or an error came in place of the file"
                        if problem:
                            break
                        file.write(chunk)
                        size += len(chunk)
                cut = not problem and not (size and str(size) == (wanted or str(size)))
                if cut:
                    problem = f"{size} bytes came of {wanted or 'an unknown number'}"
                if problem:
                    raise UnexpectedResponse(
                        problem, status=answer.status, media_type=kind, truncated=cut, method="GET", url=url
                    )
                return part.replace(folder / f"{stem}{suffix}")
            finally:
                part.unlink(missing_ok=True)

    def _raise_failure(self) -> None:
        errors = {"failed": WorkflowFailed, "expired": WorkflowExpired, "canceled": WorkflowCanceled}
        error = errors.get(self.status)
        if error is not None:
            reasons = "; ".join(_reasons(self.steps))
            raise error(f"Workflow {self.id} {_ENDS[self.status]}{f': {reasons}' if reasons else ''}", workflow=self)

    def __getstate__(self) -> dict[str, Any]:
        # An error that holds a workflow can be pickled; the connections behind it cannot.
        return {"id": self.id, "snapshot": self.snapshot}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.status}>"


_ENDS: Final = {"failed": "failed", "expired": "was not done within its time", "canceled": "was canceled"}


def _reasons(steps: Iterable[models.WorkflowStep]) -> Iterator[str]:
    """What the service says about the steps that did not succeed: the fields differ by deployment and by step type."""
    for step in models_in(steps):
        if step.status not in ("failed", "expired"):
            continue
        holders = [getattr(step, "output", None) or step.additional_properties.get("output"), *models_in(step.jobs)]
        told = [_field(holder, name) for holder in holders for name in ("errors", "message", "reason", "blockedReason")]
        texts = [text(item) for found in told for item in (found if isinstance(found, list) else [found])]
        said = ", ".join(dict.fromkeys(filter(None, texts)))
        yield f"step {text(step.name)} {step.status}{f' ({said})' if said else ''}"


def _field(holder: Any, name: str) -> Any:
    """A field by its name in JSON, known to the class or not."""
    return holder.to_dict().get(name) if isinstance(holder, ApiModel) else record(holder).get(name)


class Workflows:
    """Workflows of the caller: `civitai.workflows`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def estimate(self, *steps: StepLike, **options: Unpack[WorkflowOptions]) -> Estimate:
        """Price a workflow, and check it, without running it.

        Raises:
            BadRequest: The service refuses the workflow.
            InvalidRequest: It cannot be right: nothing was sent.
        """
        # The key of a priced workflow would be taken for that of the real one, which would then never run.
        body = _template(steps, None, options)
        request = attrs.evolve(submit_workflow.request(body=body, whatif=True), idempotent=True)
        return Estimate.of(self.transport.call(request))

    def submit(
        self,
        *steps: StepLike,
        external_id: str | None = None,
        max_cost: float | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Submit a workflow, and pay for it.

        It is never paid twice: each call sends a key with which the service knows a repeated request.

        Args:
            steps: Input models, `Step`s, generated step templates, or dicts with `$type` and `input`.
            external_id: The key, 1 to 128 letters, digits, `_` and `-`. Submitting again with a key that was used gives
                the workflow of the first time. By default every call makes its own.
            max_cost: The most Buzz it may cost; it is priced first.
            options: As in `WorkflowOptions`.

        Raises:
            BudgetExceeded: It would cost more than `max_cost`, or the price is not known. Nothing was submitted.
            InsufficientBuzz: The account cannot pay for it.
            BadRequest: The service refuses the workflow.
            InvalidRequest: It cannot be right: nothing was sent.
        """
        if external_id is not None and not (1 <= len(external_id) <= 128 and _KEY.issuperset(external_id)):
            raise InvalidRequest(f"external_id is {external_id!r}; it takes 1 to 128 letters, digits, '_' and '-'")
        body = _template(steps, external_id or uuid.uuid4().hex, options)
        if max_cost is not None:
            estimate = self.estimate(*steps, **options)
            if estimate.total is None or estimate.total > max_cost:
                raise BudgetExceeded(
                    f"It would cost {estimate}, and at most {max_cost:g} is allowed", estimate=estimate
                )
        request = attrs.evolve(submit_workflow.request(body=body), idempotent=True)
        return self._handle(self.transport.call(request))

    def run(
        self,
        *steps: StepLike,
        timeout: float = DEFAULT_TIMEOUT,
        on_progress: Callable[[Progress], object] | None = None,
        external_id: str | None = None,
        max_cost: float | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Submit a workflow and wait until it is over: `submit` and `wait` in one."""
        workflow = self.submit(*steps, external_id=external_id, max_cost=max_cost, **options)
        return workflow.wait(timeout, on_progress=on_progress)

    def get(self, id: str) -> Workflow:
        """Read a workflow.

        Raises:
            NotFound: There is no such workflow: it is older than 30 days, was deleted, or was ephemeral and is over.
        """
        return self._handle(self.read(id))

    def attach(self, id: str) -> Workflow:
        """Take up a workflow by its id, without a request.

        Raises:
            InvalidRequest: No workflow can have such an id.
        """
        return Workflow(self, _id(id))

    def wait(
        self,
        workflow: Workflow | str,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Workflow:
        """Wait until a workflow is over: see `Workflow.wait`."""
        handle = self.attach(workflow) if isinstance(workflow, str) else workflow
        return handle.wait(timeout, on_progress=on_progress)

    def list(
        self,
        *,
        tags: Sequence[str] | None = None,
        query: str | None = None,
        ascending: bool = False,
        hide_mature_content: bool = False,
        from_date: datetime | None = None,
        to_date: datetime | None = None,
        exclude_failed: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
    ) -> Pager[Workflow]:
        """List the caller's workflows of the last 30 days, newest first.

        Args:
            tags: Only workflows that have all of these tags.
            query: Only workflows whose metadata contains this text.
            ascending: Whether to begin with the oldest.
            hide_mature_content: Whether mature blobs come without their URL.
            from_date: Only workflows made at this time or later; one without a zone is UTC.
            to_date: Only workflows made at this time or earlier.
            exclude_failed: Whether to leave out those that failed, expired or were canceled.
            limit: How many to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
        """

        def fetch(at: str | None, size: int) -> Page[Workflow]:
            page = self.transport.call(
                query_workflows.request(
                    cursor=UNSET if at is None else at,
                    take=size,
                    tags=tags,
                    query=query,
                    ascending=True if ascending else UNSET,
                    hide_mature_content=hide_mature_content,
                    from_date=from_date,
                    to_date=to_date,
                    exclude_failed=True if exclude_failed else UNSET,
                )
            )
            return Page([self._handle(item) for item in models_in(page.items)], text(page.next) or None)

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size)

    def cancel(self, id: str) -> None:
        """Stop a workflow; its record stays."""
        self.transport.call(
            update_workflow.request(workflow_id=_id(id), body=models.UpdateWorkflowRequest(status="canceled"))
        )

    def delete(self, id: str) -> None:
        """Remove a workflow with its record; what has not begun may be refunded."""
        self.transport.call(delete_workflow.request(workflow_id=_id(id)))

    def read(self, id: str, hold: int = 0) -> models.Workflow:
        """Read a workflow, the request held for up to `hold` seconds until it is over."""
        request = get_workflow.request(workflow_id=_id(id), wait=hold or UNSET)
        return self.transport.call(request, timeout=hold + _SLACK if hold else None)

    def _handle(self, workflow: models.Workflow) -> Workflow:
        return Workflow(self, text(workflow.id), workflow)


def _id(value: Any) -> str:
    """An id that can stand in a path; what it looks like beyond that is the service's business."""
    if not isinstance(value, str) or value.strip() in {"", ".", ".."}:
        raise InvalidRequest(f"{value!r} is not the id of a workflow")
    return value


def _template(steps: Sequence[StepLike], key: str | None, options: WorkflowOptions) -> models.WorkflowTemplate:
    for place, step in enumerate(steps, start=1):
        held, what = (step.input, "input") if isinstance(step, Step) else (step, type(step).__name__)
        check_types(held, f"steps[{place}].{what}")
    fields: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    known = {*WorkflowOptions.__annotations__}
    if unknown := sorted(fields.keys() - known):
        raise InvalidRequest(f"There is no option {unknown[0]!r}", hint=f"There are {', '.join(sorted(known))}.")
    built: Any = build_steps(steps)
    template = models.WorkflowTemplate(steps=built, external_id=UNSET if key is None else key, **fields)
    check_types(template, "workflow")
    return template
