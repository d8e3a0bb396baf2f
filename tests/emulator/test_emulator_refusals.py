"""What every operation of the documents answers to those who may not ask: in the shapes of the documents."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from civitai_ext.emulator import Emulator
from scripts.openapi.documents import operations
from tests.emulator.fuzzing import DOCUMENTS, prepared
from tests.emulator.test_emulator_inputs import RECIPES, sample

Json = dict[str, Any]

PROFILE, READ, WRITE = 1, 1 << 14, 1 << 15


class _Operation(NamedTuple):
    document: str
    verb: str
    path: str
    described: Json

    @property
    def url(self) -> str:
        return re.sub(r"{\w+}", "1", self.path)

    @property
    def label(self) -> str:
        return f"{self.verb} {self.path}"

    @property
    def needs_token(self) -> bool:
        security = self.described.get("security", [])
        return bool(security) and {} not in security

    def problems(self, answer: httpx.Response) -> list[str]:
        """Tell in what an answer differs from what the document has for its status."""
        whole, status = prepared_once(self.document), str(answer.status_code)
        answers = self.described["responses"]
        told = answers.get(status) or answers.get(f"{status[0]}XX") or answers.get("default")
        if told is None:
            return [f"{status} is not in the document"]
        if "$ref" in told:
            told = whole["components"]["responses"][told["$ref"].rpartition("/")[2]]
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if "content" not in told or self.verb == "HEAD":
            return [] if answer.content == b"" else ["a body that the document lacks"]
        if media_type not in told["content"]:
            return [f"{media_type} is not in the document"]
        if not media_type.endswith("json"):
            return []
        schema = told["content"][media_type]["schema"]
        validator = OAS31Validator({"components": whole["components"], **schema})
        return [error.message for error in validator.iter_errors(answer.json())]


prepared_once = cache(prepared)
"""Documents with their corrections."""


def every(*names: str) -> Iterator[_Operation]:
    """The operations of documents."""
    for name in names:
        for path, verb, described in operations(prepared_once(name)):
            yield _Operation(name, verb.upper(), path, described)


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    """An emulator whose account has no Buzz."""
    with Emulator(speed=0, models=3, balance={}) as emulator:
        yield emulator


def client_of(emulator: Emulator, document: str) -> httpx.Client:
    """A client of the service that a document describes."""
    return httpx.Client(base_url=emulator.auth_url if document == "oauth" else emulator.url)


def _ask(client: httpx.Client, operation: _Operation, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.request(operation.verb, operation.url, headers=headers)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_token_that_is_missing_or_unknown(world: Emulator, name: str) -> None:
    asked = [operation for operation in every(name) if operation.needs_token]
    assert asked
    with client_of(world, name) as client:
        for operation, token in itertools.product(asked, (None, "unknown")):
            answer = _ask(client, operation, token)
            assert (answer.status_code, operation.problems(answer)) == (401, []), operation.label


READING = {
    "GetBlob", "GetWorkflow", "GetWorkflowStep", "HeadBlob", "QueryWorkflows",
    "getConsumption", "getCoverage", "getJob", "queryJobs", "queryJobsByToken", "queryRequests",
}  # fmt: skip


def test_a_token_without_the_scope(world: Emulator) -> None:
    tokens = {scope: world.oauth.issue(scope=scope).access_token for scope in (PROFILE, READ, WRITE)}
    with client_of(world, "orchestration") as client:
        for operation in every("generator", "orchestration"):
            if not operation.needs_token or operation.described["tags"] == ["Resources"]:
                continue
            reads = operation.described["operationId"] in READING
            for scope in (PROFILE, WRITE if reads else READ):
                answer = _ask(client, operation, tokens[scope])
                assert (answer.status_code, operation.problems(answer)) == (403, []), operation.label
                told = answer.text or "AIServicesRead"  # HEAD tells nothing
                assert ("AIServicesRead" if reads else "AIServicesWrite") in told, operation.label


def test_a_budget_that_is_used_up(world: Emulator) -> None:
    found = {operation.label: operation for operation in every("generator", "orchestration")}
    limited = world.oauth.issue(account=world.accounts.add("limited", balance={"yellow": 10**6})).access_token
    world.oauth.limit(limited, [{"type": "absolute", "limit": 0}])
    spending: Json = {
        "/v2/consumer/workflows": {"steps": [{"$type": "echo", "input": {"message": "m"}}]},
        "/v1/consumer/jobs": {"$type": "mediaTagging", "mediaUrl": "https://media.example/source"},
    }
    for type_, described in RECIPES.items():
        if type_ == "repeat":  # by itself it has nothing to go through
            continue
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        spending[f"/v2/consumer/recipes/{type_}"] = sample(schema, "", "urn:air:sdxl:checkpoint:civitai:1@2")
    with client_of(world, "orchestration") as client:
        for (path, body), token in itertools.product(spending.items(), (world.token, limited)):
            answer = client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, found[f"POST {path}"].problems(answer)) == (403, []), path
            assert answer.json().startswith("Not enough Buzz")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_verb_that_the_document_lacks(world: Emulator, name: str) -> None:
    verbs: dict[str, set[str]] = defaultdict(set)
    for operation in every(*DOCUMENTS):
        verbs[operation.url].add(operation.verb)
    with client_of(world, name) as client:
        for operation in every(name):
            wrong = next(verb for verb in ("PATCH", "PUT", "DELETE", "POST") if verb not in verbs[operation.url])
            answer = client.request(wrong, operation.url, headers={"Authorization": f"Bearer {world.token}"})
            if "405" in operation.described["responses"]:
                assert (answer.status_code, operation.problems(answer)) == (405, []), operation.label
            elif name in ("generator", "orchestration"):
                assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
                assert verbs[operation.url] <= set(answer.headers["allow"].split(", ")), operation.label
            elif answer.status_code != 405:
                # The site does not look at the verb where everybody may ask.
                assert operation.problems(answer) == [], operation.label
