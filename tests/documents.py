"""The documents of the services, each read once: they are large."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parents[1] / "openapi"
# The one in C takes a tenth of the time; it is not in every build of the library.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def document(name: str) -> dict[str, Any]:
    """Give a document of `openapi/`, for all to read and nobody to change."""
    found: dict[str, Any] = yaml.load((_FOLDER / name).read_text(encoding="utf-8"), _LOADER)  # noqa: S506  # a safe one
    return found
