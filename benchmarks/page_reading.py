"""How long it takes from the bytes of a page of models to objects, against pydantic."""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter

from benchmarks.page import page
from benchmarks.pydantic_page import ModelPage
from civitai_api.runtime import Response
from civitai_api.site.api.models import list_models

__all__ = ["compare"]


def compare(pairs: int = 25) -> dict[str, float]:
    """Read the page in turns, in this process, with the garbage collector on for both.

    Ours is what the client does with an answer, `Request.decode`. Theirs is `model_validate_json`.

    Returns:
        The medians in seconds, `ours` and `pydantic`, and of the quotients of the pairs, `ratio`.
    """
    answer = Response(200, {"content-type": "application/json"}, page())
    request = list_models.request()
    ours, theirs = (lambda: request.decode(answer)), (lambda: ModelPage.model_validate_json(answer.content))
    _seconds(ours), _seconds(theirs)  # compiles readers on first use
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(pairs)]
    return {
        "ours": median(a for a, _ in times),
        "pydantic": median(b for _, b in times),
        "ratio": median(a / b for a, b in times),
    }


def _seconds(read: Callable[[], object]) -> float:
    gc.collect()  # so that none pays for what another left
    began = perf_counter()
    result = read()
    seconds = perf_counter() - began
    del result  # freeing the objects is not counted; freeing what is only needed on the way to them is
    return seconds
