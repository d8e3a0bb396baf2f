"""No public method of the client is without a recorded test, but for those of workflows."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import Civitai
from scripts.cassettes import CASSETTES
from tests.recorded import test_orchestration, test_site


def methods() -> list[str]:
    """Every public method of the client and of its parts, but for workflows, as its test is called."""
    found = []
    with Civitai() as civitai:
        for name, member in inspect.getmembers_static(Civitai):
            if name.startswith("_") or name in {"close", "config", "transport", "with_options", "workflows"}:
                continue
            if inspect.isfunction(member):
                found.append(name)
            elif hasattr(member, "attrname"):
                part: Any = type(getattr(civitai, name))
                found += [f"{name}__{each}" for each in vars(part) if not each.startswith("_")]
    return found


@pytest.mark.parametrize("method", methods())
def test_every_method_is_recorded(method: str) -> None:
    (module,) = (each for each in (test_site, test_orchestration) if f"test_{method}" in vars(each))
    folder = module.__name__.rpartition(".")[2]
    assert (Path(CASSETTES) / folder / f"test_{method}.yaml").exists()
