"""The operation of every step type is found by its name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from civitai_api.orchestration.api import recipes
from civitai_ext._recipes import recipe_of
from civitai_ext.errors import InvalidRequest

FILES = sorted(Path(recipes.__path__[0]).glob("invoke_*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_operation_is_found(file: Path) -> None:
    (type,) = re.findall(r'path="/v2/consumer/recipes/(\w+)"', file.read_text(encoding="utf-8"))
    module = recipe_of(type)
    assert module.__name__ == f"{recipes.__name__}.{file.stem}"
    assert module.request(body={}).path == f"/v2/consumer/recipes/{type}"


def test_there_are_fifty() -> None:
    assert len(FILES) == 50


@pytest.mark.parametrize("type", ["", "imageGenerator", "../blobs", "image_gen"])
def test_no_other_is(type: str) -> None:
    with pytest.raises(InvalidRequest):
        recipe_of(type)


def test_only_the_one_that_is_wanted_is_imported() -> None:
    code = "import sys; from civitai_ext._recipes import recipe_of; recipe_of('echo'); " + (
        "print(sum('.recipes.invoke_' in name for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
