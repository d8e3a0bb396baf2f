"""No public method is without a recorded test."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import Civitai
from civitai_ext.oauth import App
from scripts.cassettes import CASSETTES

MODULES = [path.stem for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]


def methods() -> list[str]:
    """Every public method of the client, of its parts and of the OAuth client, as its test is called."""
    found = []
    with Civitai() as civitai:
        for name, member in inspect.getmembers_static(Civitai):
            if name.startswith("_") or name in {"close", "config", "transport", "with_options"}:
                continue
            if inspect.isfunction(member):
                found.append(name)
            elif hasattr(member, "attrname"):
                found += [f"{name}__{each}" for each in functions(getattr(civitai, name))]
        found += [f"workflows_steps__{each}" for each in functions(civitai.workflows.steps)]
    with App("my-id", "http://127.0.0.1/callback") as app:
        found += [f"oauth__{each}" for each in functions(app) if each not in {"authorize_url", "close", "sign_in"}]
    return found


def functions(part: Any) -> list[str]:
    return [name for name, member in inspect.getmembers(type(part), inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("method", methods())
def test_every_method_is_recorded(method: str) -> None:
    test = f"test_{method}"
    modules = [name for name in MODULES if test in vars(importlib.import_module(f"tests.recorded.{name}"))]
    assert modules
    assert all((Path(CASSETTES) / module / f"{test}.yaml").exists() for module in modules)
