"""How long it takes to read the body of a submit: the first time in a process, and every time after."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

from civitai_api.orchestration.models import WorkflowTemplate

__all__ = ["BODY", "times"]

BODY: Final[dict[str, Any]] = {
    "steps": [
        {
            "$type": "imageGen",
            "name": "a",
            "input": {
                "engine": "flux2",
                "model": "klein",
                "operation": "createImage",
                "prompt": "x",
                "width": 1024,
                "height": 1024,
                "cfgScale": 3.5,
                "steps": 4,
                "seed": 1,
                "quantity": 2,
            },
        }
    ],
    "tags": ["a"],
}


def times(repeats: int = 5000) -> dict[str, float]:
    """Read the body once, then many times. To be called once in a process.

    Returns:
        Seconds: `first`, which imports the classes of the step and its input, and `repeated`, the mean of the others.
    """
    began = perf_counter()
    WorkflowTemplate.from_dict(BODY)
    first = perf_counter() - began
    began = perf_counter()
    for _ in range(repeats):
        WorkflowTemplate.from_dict(BODY)
    return {"first": first, "repeated": (perf_counter() - began) / repeats}
