"""Which operation runs a step of a type by itself. No I/O."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

from civitai_api.orchestration.api import recipes
from civitai_ext.errors import InvalidRequest

__all__ = ["recipe_of"]


def recipe_of(type: str) -> Any:
    """Give the module of the operation that runs steps of a type.

    The fifty modules are found by their file names, so that only the one that is wanted is imported.

    Raises:
        InvalidRequest: There is none.

    >>> recipe_of("imageGen").__name__.rpartition(".")[2]
    'invoke_image_gen_step_template'
    """
    name = _modules().get(type.casefold())
    if name is None:
        raise InvalidRequest(
            f"There is no recipe for steps of type {type!r}", hint="`workflows.run` takes steps of any type."
        )
    return importlib.import_module(f"{recipes.__name__}.{name}")


@functools.cache
def _modules() -> dict[str, str]:
    names = [module.name for module in pkgutil.iter_modules(recipes.__path__)]
    return {name.removeprefix("invoke_").removesuffix("_step_template").replace("_", ""): name for name in names}
