# Derived from civitai_ext/_async/workflows.py by scripts/unasync.py: change that file, then run `make fix`.
"""Workflows: pricing, submitting, waiting, finding and changing them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from math import ceil
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Unpack, overload

import attrs

from civitai_api.orchestration import models
from civitai_api.orchestration.api.workflows import (
    query_workflows,
    submit_workflow,
)
from civitai_api.runtime import UNSET
from civitai_ext._arguments import a_count, a_moment, a_path, a_switch, texts
from civitai_ext._checks import Validation, check
from civitai_ext._filters import a_text, switches
from civitai_ext._polling import LONGEST_HOLD, check_wait
from civitai_ext._reading import models_in, text
from civitai_ext._submitting import WorkflowOptions, check_cost, check_hold, check_key, template_of, template_problems
from civitai_ext._sync.export import save_zip
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext._sync.workflow import DEFAULT_TIMEOUT, Workflow
from civitai_ext._sync.workflow_service import WorkflowService, WorkflowSteps, checked_id
from civitai_ext._together import Together
from civitai_ext.errors import (
    BudgetExceeded,
    CivitaiError,
    ConnectionFailed,
    InvalidRequest,
    ServerError,
    UnexpectedResponse,
    WaitTimeout,
    WorkflowError,
)
from civitai_ext.estimates import Estimate
from civitai_ext.progress import Progress
from civitai_ext.steps import StepLike

if TYPE_CHECKING:
    from datetime import date

__all__ = ["Workflows"]

_MOST_WATCHED: Final = 256
"""How many workflows one call waits for at once; the others follow."""
_SLACK: Final = 60.0
"""Seconds that the answer to a held submit may come late."""


class Workflows(WorkflowService):
    """Workflows of the caller: `civitai.workflows`.

    Attributes:
        transport: What sends.
        waiting: All waits of this client.
        steps: Single steps of workflows.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.steps = WorkflowSteps(transport)

    # --------------------------------------------------------------------------------------------------- submitting

    def estimate(self, *steps: StepLike, validate: Validation = "warn", **options: Unpack[WorkflowOptions]) -> Estimate:
        """Price a workflow, and check it, without running it.

        Args:
            steps: As for `submit`.
            validate: As for `submit`, except that `warn` puts what it finds into the `warnings` of the estimate.
            options: As in `WorkflowOptions`.

        Raises:
            BadRequest: The service refuses the workflow.
            InvalidRequest: It cannot be right: nothing was sent.
        """
        # The key of a priced workflow would be taken for that of the real one, which would then never run.
        body = template_of(steps, None, options)
        found = list(template_problems(steps, body))
        check(found if validate != "warn" else [problem for problem in found if problem.certain], validate)
        request = attrs.evolve(submit_workflow.request(body=body, whatif=True), idempotent=True)
        answer = self.transport.call(request)
        told = [problem.text for problem in found] if validate == "warn" else []
        return Estimate.of(answer, sent=body, warnings=told)

    def submit(
        self,
        *steps: StepLike,
        external_id: str | None = None,
        max_cost: float | None = None,
        wait: float = 0,
        hide_mature_content: bool = False,
        validate: Validation = "warn",
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Submit a workflow, and pay for it.

        It is never paid twice: each call sends a key with which the service knows a repeated request. Where no answer
        came at all, the error has it as `external_id`: submitting again with it gives the workflow, if there is one.

        Args:
            steps: Input models, `Step`s, generated step templates, or dicts with `$type` and `input`.
            external_id: The key, 1 to 128 letters, digits, `_` and `-`. Submitting again with a key that was used gives
                the workflow of the first time. By default every call makes its own.
            max_cost: The most Buzz it may cost; it is priced first.
            wait: How many seconds the service may hold the answer until the workflow is over, 0 to 90.
            hide_mature_content: Whether mature files come without their URL.
            validate: What to do about values beyond the limits that the documents name: `warn` (with a
                `ValidationWarning`) and send them all the same, refuse them (`strict`), or check nothing, not even
                types (`off`).
            options: As in `WorkflowOptions`.

        Raises:
            BudgetExceeded: It would cost more than `max_cost`, or the price is not known. Nothing was submitted.
            InsufficientBuzz: The account cannot pay for it, or a limit of the token or the app is used up.
            BadRequest: The service refuses the workflow.
            PermissionDenied: The token or the account may not do this.
            InvalidRequest: It cannot be right: nothing was sent.
            ConnectionFailed: No answer came, after all attempts. So may `ServerError` and `UnexpectedResponse` be.
        """
        check_key(external_id)
        check_cost(max_cost)
        check_hold(wait, options)
        key = external_id or uuid.uuid4().hex
        body = template_of(steps, key, options)
        check(template_problems(steps, body), validate)
        if max_cost is not None:
            estimate = self.estimate(*steps, validate="off", **options)
            if estimate.total is None or estimate.total > max_cost:
                raise BudgetExceeded(
                    f"It would cost {estimate}, and at most {max_cost:g} is allowed", estimate=estimate
                )
        hold = ceil(wait)  # a part of a second would be none for the service
        switched = switches(hide_mature_content=hide_mature_content)
        request = submit_workflow.request(body=body, wait=hold or UNSET, **switched)
        try:
            answer = self.transport.call(
                attrs.evolve(request, idempotent=True), timeout=hold + _SLACK if hold else None, held=hold > 0
            )
        except (ConnectionFailed, ServerError, UnexpectedResponse) as error:
            error.external_id = key
            error.hint = f"It may have been accepted. Submit it again with external_id={key!r}: it is not paid twice."
            raise
        return self._handle(answer)

    def run(
        self,
        *steps: StepLike,
        timeout: float | None = DEFAULT_TIMEOUT,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
        external_id: str | None = None,
        max_cost: float | None = None,
        validate: Validation = "warn",
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Submit a workflow and wait until it is over: `submit` and `Workflow.wait` in one."""
        if "wait" in options:
            raise InvalidRequest("run takes no `wait`: it waits in any case", hint="Say for how long with `timeout`.")
        check_wait(  # before anything is paid for
            timeout,
            on_progress,
            raise_on_failure=raise_on_failure,
            cancel_on_timeout=cancel_on_timeout,
            cancel_on_interrupt=cancel_on_interrupt,
        )
        # What is ephemeral has to be waited for from the beginning: once it is over it is gone.
        hold = min(LONGEST_HOLD, LONGEST_HOLD if timeout is None else timeout) if options.get("ephemeral") else 0
        workflow = self.submit(
            *steps, external_id=external_id, max_cost=max_cost, wait=hold, validate=validate, **options
        )
        return workflow.wait(
            timeout,
            on_progress=on_progress,
            raise_on_failure=raise_on_failure,
            cancel_on_timeout=cancel_on_timeout,
            cancel_on_interrupt=cancel_on_interrupt,
        )

    # ------------------------------------------------------------------------------------------------------ waiting

    @overload
    def wait(  # type: ignore[overload-overlap]  # a text is an id, and not several of one character
        self,
        workflow: Workflow | str,
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> Workflow: ...
    @overload
    def wait(
        self,
        workflow: Iterable[Workflow | str],
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> list[Workflow]: ...
    def wait(
        self,
        workflow: Workflow | str | Iterable[Workflow | str],
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> Workflow | list[Workflow]:
        """Wait until a workflow is over, or several are: see `Workflow.wait`.

        Several are all waited for, whatever becomes of the others; then the first error is raised, which names the
        others in its notes.

        Args:
            workflow: One or several, as handles or as ids. Several are given back in this order.
            timeout: Seconds to wait in all; None for no end.
            on_progress: Called with every change of any of them, one call at a time.
            raise_on_failure: Whether an end without success is an error.
            cancel_on_timeout: Whether to cancel what is not over when the time is up.
            cancel_on_interrupt: Whether to cancel what is not over when the waiting is interrupted, as with Ctrl-C.

        Raises:
            WorkflowFailed: A step failed. So do `WorkflowExpired` and `WorkflowCanceled`; all hold the workflow.
            WaitTimeout: Not all were over in time; it names all that were not.
        """
        if isinstance(workflow, (str, Workflow)):
            return self._taken(workflow).wait(
                timeout,
                on_progress=on_progress,
                raise_on_failure=raise_on_failure,
                cancel_on_timeout=cancel_on_timeout,
                cancel_on_interrupt=cancel_on_interrupt,
            )
        handles = [*self._all_taken(workflow)]
        for _ in self.as_completed(
            handles,
            timeout,
            on_progress=on_progress,
            cancel_on_timeout=cancel_on_timeout,
            cancel_on_interrupt=cancel_on_interrupt,
        ):
            pass
        if raise_on_failure:
            failures: list[WorkflowError] = []
            for handle in handles:
                try:
                    handle.raise_for_status()
                except WorkflowError as error:
                    failures.append(error)
            _raise_first(failures)
        return handles

    def as_completed(
        self,
        workflows: Iterable[Workflow | str],
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> Generator[Workflow]:
        """Give each of several workflows when it is over, with or without success.

        Up to 16 are waited for with a request each, so that each end is known at once. Where there are more, one list
        every 2 to 10 seconds serves all of them. Whether one succeeded its `status` says, or `raise_for_status`.

        Args:
            workflows: The workflows, as handles or as ids.
            timeout: Seconds to wait in all; None for no end.
            on_progress: Called with every change of any of them, one call at a time.
            cancel_on_timeout: Whether to cancel what is not over when the time is up.
            cancel_on_interrupt: Whether to cancel what is not over when the loop ends early: by Ctrl-C, whether it
                waits or its body runs, by an error in its body, or by `break`. With `contextlib.closing` around this
                it is done at once in any case; without, when Python closes the iterator, which with tasks may be after
                the client is closed.

        Raises:
            WaitTimeout: Not all were over in time; it names all that were not. It comes after all that were.
            NotFound: One of them is not there. It comes after all others.
        """
        check_wait(timeout, on_progress, cancel_on_timeout=cancel_on_timeout, cancel_on_interrupt=cancel_on_interrupt)
        handles = self._all_taken(workflows)
        turn, started = Lock(), monotonic()

        def tell(progress: Progress) -> None:
            with turn:
                if on_progress is not None:
                    on_progress(progress)

        failures: list[BaseException] = []
        try:
            with self.waiting.queued(handles) as take:

                def wait_for(handle: Workflow) -> None:
                    take(handle)
                    watcher = tell if on_progress is not None else None
                    left = None if timeout is None else max(0.0, started + timeout - monotonic())
                    handle.wait(left, on_progress=watcher, raise_on_failure=False)

                waits = Together(wait_for, most=_MOST_WATCHED).as_completed(handles)
                with closing(waits) as ended:
                    for handle, failure in ended:
                        if failure is None:
                            yield handle
                        else:
                            failures.append(failure)
        except (KeyboardInterrupt, GeneratorExit):  # which comes while nobody waits, in the body of the loop
            if cancel_on_interrupt:
                self._cancel_all(handles)
            raise
        late = [failure for failure in failures if isinstance(failure, WaitTimeout)]
        if late and cancel_on_timeout:
            self._cancel_all(handles)
        _raise_first([failure for failure in failures if not isinstance(failure, WaitTimeout)])
        if late:
            ids = [failure.workflow_id for failure in late]
            what = str(late[0].message) if len(late) == 1 else f"{len(late)} of {len(handles)} workflows were not over"
            raise WaitTimeout(what, workflow_ids=ids) from late[0].__cause__

    def _cancel_all(self, handles: Sequence[Workflow]) -> None:
        def cancel(handle: Workflow) -> None:
            with suppress(CivitaiError):
                handle.cancel()

        Together(cancel).each([handle for handle in handles if not handle.is_final])

    # ------------------------------------------------------------------------------------------------------ finding

    def get(self, id: str, *, hide_mature_content: bool = False) -> Workflow:
        """Read a workflow.

        Args:
            id: The workflow.
            hide_mature_content: Whether mature files come without their URL.

        Raises:
            NotFound: There is no such workflow: it is older than 30 days, was deleted, or was ephemeral and is over.
        """
        return self._handle(self.read(id, hide_mature_content=hide_mature_content))

    def attach(self, id: str) -> Workflow:
        """Take up a workflow by its id, without a request.

        Raises:
            InvalidRequest: No workflow can have such an id.
        """
        return Workflow(self, checked_id(id))

    def list(
        self,
        *,
        tags: Sequence[str] | str | None = None,
        query: str | None = None,
        ascending: bool = False,
        hide_mature_content: bool = False,
        from_date: date | None = None,
        to_date: date | None = None,
        exclude_failed: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
    ) -> Pager[Workflow]:
        """List the caller's workflows of the last 30 days, newest first.

        Args:
            tags: Only workflows that have this tag, or all of these.
            query: Only workflows whose metadata contains this text.
            ascending: Whether to begin with the oldest.
            hide_mature_content: Whether mature files come without their URL. This is always sent, since the service
                hides them in lists when nothing is said.
            from_date: Only workflows made at this time or later: a datetime, which is UTC if it has no zone, or a date,
                which means its beginning in UTC.
            to_date: Only workflows made at this time or earlier.
            exclude_failed: Whether to leave out those that failed, expired or were canceled.
            limit: How many to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.

        Raises:
            InvalidRequest: A filter is of a wrong type.
        """
        filters = _filters(tags, query, ascending, hide_mature_content, from_date, to_date, exclude_failed)

        def fetch(at: str | None, size: int) -> Page[Workflow]:
            request = query_workflows.request(cursor=UNSET if at is None else at, take=size, **filters)
            page = self.transport.call(request)
            return Page([self._handle(item) for item in models_in(page.items)], text(page.next) or None)

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size)

    def export(
        self,
        to: str | os.PathLike[str],
        *,
        tags: Sequence[str] | str | None = None,
        query: str | None = None,
        ascending: bool = False,
        hide_mature_content: bool = False,
        from_date: date | None = None,
        to_date: date | None = None,
        exclude_failed: bool = False,
        take: int = 100,
        cursor: str | None = None,
    ) -> Path:
        """Save all files of up to 100 workflows in one zip file, and give its path.

        Args:
            to: The file; one that is there is replaced, once the new one is whole.
            take: The most workflows, 1 to 100. For more, narrow by dates or go on from the `cursor` of a pager of
                `list` with the same filters.
            tags: This and all others as for `list`.
            query: As for `list`.
            ascending: As for `list`.
            hide_mature_content: As for `list`.
            from_date: As for `list`.
            to_date: As for `list`.
            exclude_failed: As for `list`.
            cursor: As for `list`.

        Raises:
            UnexpectedResponse: What came is no zip file, or not whole.
            OSError: The file cannot be written.
            InvalidRequest: A filter is of a wrong type.
        """
        a_count("take", take, 1, 100)
        cursor = a_text("cursor", cursor)
        filters = _filters(tags, query, ascending, hide_mature_content, from_date, to_date, exclude_failed)
        request = query_workflows.request(
            cursor=UNSET if cursor is None else cursor, take=take, accept="application/zip", **filters
        )
        return save_zip(self.transport, request, Path(a_path("to", to)))

    # ----------------------------------------------------------------------------------------------------- internal

    def _handle(self, workflow: models.Workflow) -> Workflow:
        return Workflow(self, text(workflow.id), workflow)

    def _taken(self, workflow: Workflow | str) -> Workflow:
        return workflow if isinstance(workflow, Workflow) else self.attach(workflow)

    def _all_taken(self, workflows: Iterable[Workflow | str]) -> Sequence[Workflow]:
        if isinstance(workflows, (str, Workflow)):
            return [self._taken(workflows)]  # a text is an id, and not several of one character
        if not isinstance(workflows, Iterable):
            raise InvalidRequest(f"{workflows!r} is neither a workflow nor several", hint="Give handles, or ids.")
        return [self._taken(each) for each in workflows]


def _filters(
    tags: Sequence[str] | str | None,
    query: str | None,
    ascending: bool,
    hide_mature_content: bool,
    from_date: date | None,
    to_date: date | None,
    exclude_failed: bool,
) -> dict[str, Any]:
    return {
        "tags": None if tags is None else _tags(tags),
        "query": a_text("query", query),
        "hide_mature_content": a_switch("hide_mature_content", hide_mature_content),
        "from_date": a_moment("from_date", from_date),
        "to_date": a_moment("to_date", to_date),
        **switches(ascending=ascending, exclude_failed=exclude_failed),
    }


def _tags(given: Sequence[str] | str) -> list[str]:
    tags = texts("tags", [given] if isinstance(given, str) else given)
    if not tags:
        raise InvalidRequest("tags is empty", hint="Leave it out to take every one.")
    return tags


def _raise_first(failures: Sequence[BaseException]) -> None:
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"And: {other}")
        raise failures[0]
