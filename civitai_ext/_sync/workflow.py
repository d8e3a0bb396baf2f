# Derived from civitai_ext/_async/workflow.py by scripts/unasync.py: change that file, then run `make fix`.
"""A workflow at the service: watching it, changing it, and what it gave."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from civitai_api.orchestration import models
from civitai_ext._disk import Disk, Exists
from civitai_ext._display import workflow_html
from civitai_ext._known import KnownWorkflow
from civitai_ext._outcome import failure_of
from civitai_ext._outputs import DEFAULT_PATTERN, file_stems, outputs_of
from civitai_ext._polling import check_wait
from civitai_ext._saved import SavedFiles, Skipped
from civitai_ext._sync.blob_files import save_blob
from civitai_ext._sync.output import Output
from civitai_ext._sync.waiting import Watch
from civitai_ext._sync.workflow_service import WorkflowService
from civitai_ext._together import Together
from civitai_ext.errors import BlobUnavailable, CivitaiError, WaitTimeout
from civitai_ext.progress import Progress

__all__ = ["DEFAULT_TIMEOUT", "Workflow"]

logger: Final = logging.getLogger("civitai_ext")

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds that a workflow is waited for."""

_MOST_SAVED: Final = 4
"""How many files are fetched at once."""
_MOST_SHOWN: Final = 8
"""How many images a workflow shows in a notebook."""


class Workflow(KnownWorkflow):
    """A workflow at the service: what is known of it, and what can be done with it.

    What it tells is from when it was last read: by the submit, by `refresh`, or while it was waited for. In a notebook
    it shows its steps and its images.

    Attributes:
        id: The service's name for it; with it `civitai.workflows.attach` finds it again, from any process.
        snapshot: The whole of it as it was last read; None if it has not been read yet.
    """

    def __init__(self, service: WorkflowService | None, id: str, snapshot: models.Workflow | None = None) -> None:
        super().__init__(id, snapshot)
        self._service = service
        self._outputs: tuple[models.Workflow, list[Output]] | None = None

    # ------------------------------------------------------------------------------------------------- what it gave

    @property
    def outputs(self) -> list[Output]:
        """Every file that its steps gave, in order: images, videos, audio, 3D models, and whatever else."""
        if self.snapshot is None:
            return []
        if self._outputs is None or self._outputs[0] is not self.snapshot:
            transport = self._service.transport if self._service is not None else None
            found = outputs_of(self.snapshot)
            stems = file_stems(DEFAULT_PATTERN, self.snapshot, found)
            listed = [Output(transport, each, stem) for each, stem in zip(found, stems, strict=True)]
            self._outputs = (self.snapshot, listed)
        return list(self._outputs[1])

    @property
    def images(self) -> list[Output]:
        """The images among the outputs."""
        return self._of_type("image")

    @property
    def videos(self) -> list[Output]:
        """The videos among the outputs."""
        return self._of_type("video")

    @property
    def audio(self) -> list[Output]:
        """The sound files among the outputs."""
        return self._of_type("audio")

    @property
    def models3d(self) -> list[Output]:
        """The 3D models among the outputs."""
        return self._of_type("model3d")

    def _of_type(self, type: str) -> list[Output]:
        return [output for output in self.outputs if output.type == type]

    def save(
        self, folder: str | os.PathLike[str], *, pattern: str = DEFAULT_PATTERN, exists: Exists = "overwrite"
    ) -> SavedFiles:
        """Save every file that it gave in a folder, which is made if it is not there, and give the paths.

        A file has its name only once it is whole. What cannot be fetched, because it was blocked or is withheld, is
        left out, logged as a warning, and told in `skipped` of the result.

        Args:
            folder: Where to.
            pattern: How to call the files, without the suffix: text with `{workflow}`, `{step}`, `{index}` (of the
                file in its step), `{number}` (of the file in the workflow), `{blob}`, `{type}` and `{date}`. Slashes
                make folders, and nothing leads out of `folder`. Names are made such that every system bears them, and
                those that would be the same on some system get a number.
            exists: What to do about a file that is there already: `overwrite`, `skip` or `error`. By default the names
                are those of this workflow alone, so that saving it twice gives the same files.

        Raises:
            ApiError: A host refuses to give a file.
            UnexpectedResponse: A host gave a page or half a file instead.
            ConnectionFailed: A host was not reached.
            InvalidRequest: The pattern has a token that there is not, or leads out of the folder.
            OSError: The folder or a file cannot be written.
        """
        target = Path(folder)
        Disk.run(target.mkdir, parents=True, exist_ok=True)
        saved = SavedFiles()
        if self.snapshot is None:
            return saved
        outputs = self.outputs
        stems = file_stems(pattern, self.snapshot, outputs_of(self.snapshot))
        transport = self._connected().transport

        def save_one(place: int) -> Path | Skipped:
            output = outputs[place]
            try:
                return save_blob(transport, output.blob, target, stem=stems[place], exists=exists)
            except BlobUnavailable as error:
                return Skipped(output, output.unavailable or error.reason)

        for kept in Together(save_one, most=_MOST_SAVED).each(range(len(outputs))):
            if isinstance(kept, Skipped):
                saved.skipped.append(kept)
                logger.warning("%s: %s", self.id, kept)
            else:
                saved.append(kept)
        return saved

    # ------------------------------------------------------------------------------------------------------ waiting

    def refresh(self) -> Workflow:
        """Read it again.

        Raises:
            NotFound: There is no such workflow, or it was ephemeral and is over.
        """
        self.snapshot = self._connected().read(self.id)
        return self

    def wait(
        self,
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        raise_on_failure: bool = True,
        cancel_on_timeout: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> Workflow:
        """Wait until it is over.

        The service holds each request until then, so the end is known at once; one request is under way at a time.
        What goes wrong in between, such as a connection that breaks, is waited out. Where very many workflows are
        waited for with one client, they are looked at in lists.

        Args:
            timeout: Seconds to wait in all; None for no end.
            on_progress: Called with every change; then it is looked at more often, every 2 to 10 seconds.
            raise_on_failure: Whether an end without success is an error.
            cancel_on_timeout: Whether to cancel it when the time is up; if not, it goes on.
            cancel_on_interrupt: Whether to cancel it when the waiting is interrupted, as with Ctrl-C; if not, it goes
                on.

        Raises:
            WorkflowFailed: A step failed. So do `WorkflowExpired` and `WorkflowCanceled`; all hold the workflow.
            WaitTimeout: It was not over in time.
            NotFound: There is no such workflow, or it was ephemeral and is over.
        """
        check_wait(
            timeout,
            on_progress,
            raise_on_failure=raise_on_failure,
            cancel_on_timeout=cancel_on_timeout,
            cancel_on_interrupt=cancel_on_interrupt,
        )
        try:
            with closing(self._changes(timeout, watched=on_progress is not None)) as changes:
                for progress in changes:
                    if on_progress is not None:
                        on_progress(progress)
        except WaitTimeout as error:
            if cancel_on_timeout:
                try:
                    self.cancel()
                except CivitaiError as failure:
                    error.add_note(f"And it could not be canceled: {failure}")
            raise
        except KeyboardInterrupt:
            if cancel_on_interrupt:
                with suppress(CivitaiError):
                    self.cancel()
            raise
        if raise_on_failure:
            self.raise_for_status()
        return self

    def events(self, timeout: float | None = DEFAULT_TIMEOUT) -> Iterator[Progress]:
        """Give every change of its status, its step, its progress or its place in the queue; the last is its end.

        An end without success is no error here: see `raise_for_status`.

        Args:
            timeout: Seconds to wait in all; None for no end.

        Raises:
            WaitTimeout: It was not over in time.
            NotFound: There is no such workflow, or it was ephemeral and is over.
        """
        with closing(self._changes(timeout, watched=True)) as changes:
            yield from changes

    def _changes(self, timeout: float | None, *, watched: bool) -> Generator[Progress]:
        waiting = self._connected().waiting
        watch = Watch(self, timeout, watched=watched)
        with waiting.joined(watch):
            while (progress := waiting.next(watch)) is not None:
                yield progress

    # ----------------------------------------------------------------------------------------------------- changing

    def cancel(self) -> None:
        """Stop it. What has not begun may be refunded; the record stays."""
        self._connected().cancel(self.id)

    def delete(self) -> None:
        """Remove it with its record; what has not begun may be refunded."""
        self._connected().delete(self.id)

    def update(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        allow_mature_content: bool | None = None,
    ) -> Workflow:
        """Change it: see `civitai.workflows.update`. It is read again."""
        self._connected().update(self.id, metadata=metadata, tags=tags, allow_mature_content=allow_mature_content)
        return self.refresh()

    def add_tag(self, tag: str) -> Workflow:
        """Give it a tag. It is read again."""
        self._connected().add_tag(self.id, tag)
        return self.refresh()

    def remove_tag(self, tag: str) -> Workflow:
        """Take a tag from it. It is read again."""
        self._connected().remove_tag(self.id, tag)
        return self.refresh()

    # ------------------------------------------------------------------------------------------------------ showing

    def _connected(self) -> WorkflowService:
        if self._service is None:
            from civitai_ext.errors import ConfigurationError

            raise ConfigurationError(
                "This workflow was copied from elsewhere and has no connection",
                hint="Take it up with `civitai.workflows.attach(workflow.id)`.",
            )
        return self._service

    def __getstate__(self) -> dict[str, Any]:
        # An error that holds a workflow can be pickled; the connections behind it cannot.
        return {"id": self.id, "snapshot": self.snapshot, "_service": None, "_outputs": None}

    def _repr_html_(self) -> str:
        images = [html for output in self.images[:_MOST_SHOWN] if (html := output.html()) is not None]
        notes = [repr(output) for output in self.outputs if output.type != "image" or output.unavailable is not None]
        snapshot = self.snapshot if self.snapshot is not None else models.Workflow()
        failure = failure_of(snapshot, self)
        told = [] if failure is None else [failure.message]
        return workflow_html(snapshot, self.status, self.id, [*told, *notes, *self.text], images)
