"""Which event is next: those of a workflow one after another, those of different workflows side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from civitai_ext.webhooks.stores import Waiting

__all__ = ["Lanes"]


class Lanes:
    """A queue for each workflow. Nothing is done here, and nobody waits.

    >>> lanes = Lanes()
    >>> lanes.add([Waiting(1, "a"), Waiting(2, "a"), Waiting(3, "b")])
    >>> lanes.take(), lanes.take(), lanes.take()
    (Waiting(number=1, workflow_id='a'), Waiting(number=3, workflow_id='b'), None)
    >>> lanes.done("a")
    >>> lanes.take()
    Waiting(number=2, workflow_id='a')
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[int]] = {}
        self._ready: deque[str] = deque()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, events: Iterable[Waiting]) -> None:
        """Put events at the ends of the queues of their workflows."""
        for number, workflow_id in events:
            if workflow_id not in self._queues:
                self._queues[workflow_id] = deque()
                self._ready.append(workflow_id)
            self._queues[workflow_id].append(number)

    def take(self) -> Waiting | None:
        """Give the next event to work on; its workflow then rests until `done` or `again`. None if there is none."""
        if not self._ready:
            return None
        workflow_id = self._ready.popleft()
        return Waiting(self._queues[workflow_id][0], workflow_id)

    def done(self, workflow_id: str) -> None:
        """Go on with the next event of a workflow, after other workflows had their turn."""
        queue = self._queues[workflow_id]
        queue.popleft()
        if queue:
            self._ready.append(workflow_id)
        else:
            del self._queues[workflow_id]

    def again(self, workflow_id: str) -> None:
        """Let the same event of a workflow be taken again."""
        self._ready.append(workflow_id)
