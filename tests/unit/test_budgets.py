"""What `benchmarks/` measures, as far as it can be told without a clock; and that it measures what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any, get_args

import attrs
import pytest
from pydantic import BaseModel

import civitai_ext
from benchmarks import budgets, identify, pydantic_page
from benchmarks.page import count_objects, page
from benchmarks.template_reading import BODY
from civitai_api.orchestration.models import Flux2KleinCreateImageInput, ImageGenStepTemplate, WorkflowTemplate
from civitai_api.runtime import ApiModel
from civitai_api.site import models


def modules_after(code: str) -> set[str]:
    """What is loaded in a fresh process that ran `code`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIVITAI_")}
    command = [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return set(json.loads(done.stdout))


def generated_classes(loaded: set[str]) -> set[str]:
    """Modules of generated classes; the packages that hold them only know their names."""
    return {name for name in loaded if re.match(r"civitai_api\.\w+\.models\.", name)}


def test_the_probe_sees_what_is_loaded() -> None:
    loaded = modules_after("import httpx; from civitai_api.site.models import Tag")
    assert "httpx" in loaded
    assert "civitai_api.site.models.tag" in generated_classes(loaded)


def test_importing_loads_nothing_else() -> None:
    loaded = modules_after("import civitai_ext")
    assert "httpx" not in loaded
    assert not [name for name in loaded if name.partition(".")[0] == "civitai_api"]
    assert {name for name in loaded if name.startswith("civitai_ext")} == {"civitai_ext", "civitai_ext._version"}


def test_webhooks_load_neither_http_nor_generated_classes() -> None:
    loaded = modules_after("from civitai_ext.webhooks import *")
    assert "civitai_ext.webhooks.receiver" in loaded
    assert not loaded & {"httpx", "starlette", "uvicorn"}
    assert not generated_classes(loaded)


@pytest.mark.parametrize("client", ["Civitai", "AsyncCivitai"])
def test_a_client_loads_http_with_its_transport_and_classes_with_their_use(client: str) -> None:
    ready = f"from civitai_ext import {client}; civitai = {client}()"
    before = modules_after(ready)
    assert "httpx" not in before
    assert not generated_classes(before)
    after = modules_after(f"{ready}; civitai.transport")
    assert "httpx" in after
    assert not generated_classes(after)


def test_all_calls_share_one_http_client_and_one_tls_context() -> None:
    # In a process of its own: the context is made once for all clients.
    counted = budgets.probe("import json; from benchmarks import clients; print(json.dumps(clients.count()))")
    assert counted == {"requests": 5, "clients": 1, "tls_contexts": 1}


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(civitai_ext.__all__) == dir(civitai_ext)
    assert len(set(civitai_ext.__all__)) == len(civitai_ext.__all__)
    for name in civitai_ext.__all__:
        assert getattr(civitai_ext, name) is not None


@pytest.mark.parametrize("name", ["Civitay", "_sync_", "models"])
def test_other_names_are_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(civitai_ext, name)


def test_public_names_are_the_objects_that_their_modules_define() -> None:
    for name in civitai_ext.__all__:
        value = getattr(civitai_ext, name)
        if isinstance(value, type):
            assert value.__name__ == name
            assert getattr(sys.modules[value.__module__], name) is value


# What keeps the comparison with pydantic honest.


def pydantic_classes() -> list[type[BaseModel]]:
    found = [value for name, value in vars(pydantic_page).items() if not name.startswith("_") and is_page_class(value)]
    assert len(found) > 10
    return found


def is_page_class(value: Any) -> bool:
    return isinstance(value, type) and value.__module__ == pydantic_page.__name__


@pytest.mark.parametrize("theirs", pydantic_classes(), ids=lambda cls: cls.__name__)
def test_both_sides_have_the_same_fields(theirs: type[BaseModel]) -> None:
    ours: type[ApiModel] = getattr(models, theirs.__name__)
    fields = [field for field in attrs.fields(ours) if field.name != "additional_properties"]
    assert {field.alias or name for name, field in theirs.model_fields.items()} == {
        field.metadata["wire"] or field.name for field in fields
    }
    nested = {field.metadata["wire"] or field.name for field in fields if classes_in(field.metadata["shape"])}
    # The metadata of an image is a class of hundreds of free fields; the page has none of it.
    assert nested - {"meta"} == {
        field.alias or name for name, field in theirs.model_fields.items() if has_class(field.annotation)
    }


def classes_in(shape: Any) -> bool:
    return isinstance(shape[0] if isinstance(shape, list) else shape, str)


def has_class(annotation: Any) -> bool:
    return is_page_class(annotation) or any(map(has_class, get_args(annotation)))


def test_the_page_is_as_large_as_it_says_and_always_the_same() -> None:
    content = page()
    assert content == page()
    assert 3.5e6 < len(content) < 3.9e6
    assert 9_300 < count_objects(json.loads(content)) < 10_100


def test_both_sides_read_the_whole_page_and_know_every_field() -> None:
    content = page(12)
    ours = models.ModelPage.from_dict(json.loads(content))
    theirs = pydantic_page.ModelPage.model_validate_json(content)
    assert ours.to_dict() == json.loads(content)
    assert not any(unknown_in(ours))
    assert not any(unknown_in(theirs))
    assert theirs.model_dump(mode="json", by_alias=True, exclude_unset=True)["items"][0]["name"] == ours.items[0].name
    assert theirs.items is not None
    assert theirs.items[0].model_versions is not None
    for a, b in zip(ours.items[0].model_versions, theirs.items[0].model_versions, strict=True):
        assert a.published_at == b.published_at


def unknown_in(value: Any) -> list[str]:
    """The names of the fields in `value`, at any depth, that its class does not declare."""
    if isinstance(value, ApiModel):
        inner = [getattr(value, field.name) for field in attrs.fields(type(value))]
        return [*value.additional_properties, *(name for item in inner for name in unknown_in(item))]
    if isinstance(value, BaseModel):
        return [*(value.model_extra or {}), *(name for _, item in value for name in unknown_in(item))]
    return [name for item in value for name in unknown_in(item)] if isinstance(value, list) else []


def test_the_measured_template_is_understood_to_the_last_field() -> None:
    template = WorkflowTemplate.from_dict(BODY)
    (step,) = template.steps
    assert type(step) is ImageGenStepTemplate
    assert type(step.input) is Flux2KleinCreateImageInput
    assert not any(unknown_in(template))


# The command.


def test_the_command_reports_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert budgets.main(["--only", "import", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ok"] is True
    assert row["measured"] == "0 of them"


def test_the_command_fails_when_a_budget_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [budgets.Row("one", "1 ms", "≤ 2 ms", ok=True), budgets.Row("two", "3 ms", "≤ 2 ms", ok=False)]
    monkeypatch.setattr(budgets, "BUDGETS", {"both": lambda: rows})
    assert budgets.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "what  measured  budget  ok",
        "one   1 ms      ≤ 2 ms  yes",
        "two   3 ms      ≤ 2 ms  MISSED",
    ]


def test_identifying_takes_as_few_requests_as_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    assert identify.main(["--files", "150", "--json"]) == 0
    first, again = json.loads(capsys.readouterr().out)
    assert first["what"].startswith("150 files of as many models, 150 found")
    assert first["measured"].startswith("3 requests")
    assert again["measured"].startswith("0 requests")
