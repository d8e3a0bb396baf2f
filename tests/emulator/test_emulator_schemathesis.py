"""The emulator against all that schemathesis makes of the documents, in few examples; `make fuzz` takes many."""

from __future__ import annotations

import logging

import pytest

from scripts.openapi.documents import operations
from tests.emulator.fuzzing import fuzz, prepared


@pytest.mark.parametrize(("name", "examples"), [("site", 2), ("oauth", 4), ("generator", 2), ("orchestration", 1)])
def test_no_answer_breaks_its_document(name: str, examples: int, caplog: pytest.LogCaptureFixture) -> None:
    outcome = fuzz(name, examples=examples, seed=None, phases=("examples", "fuzzing"))
    assert "\n".join(outcome.findings.values()) == ""
    every = {f"{verb.upper()} {path}" for path, verb, _ in operations(prepared(name))}
    assert outcome.operations == every
    assert outcome.cases >= len(every)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
