"""Random requests against the emulator, made from the documents: no answer may be one that its document lacks.

`python -m tests.emulator.fuzzing` runs it long, see `--help`; `test_emulator_schemathesis.py` runs it short.
"""

from __future__ import annotations

import argparse
import copy
import random
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from civitai_ext.emulator import Emulator
from scripts.openapi import overlay
from scripts.openapi.documents import operations
from tests.documents import document

DOCUMENTS = ("site", "oauth", "generator", "orchestration")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
_EVERY_GRANT = (
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
)
_SCHEMAS = "#/components/schemas/"
_MUCH_BUZZ = 10**12

# Where the site itself takes mistakes of its callers for its own, or answers 500 to what it cannot find.
OWN_FAILURES = {
    "GET /api/download/user-transactions",
    "GET /api/download/vault/{vaultItemId}",
    "GET /api/v1/content/{slug}",
    "GET /api/v1/model-versions/{id}",
    "GET /api/v1/vault/all",
    "POST /api/upload/abort",
    "POST /api/upload/complete",
    "POST /api/v1/image-upload/multipart",
    "POST /api/v1/vault/toggle-version",
}

# Where something is taken that the document forbids, and what.
LENIENT = {
    "GET /api/download/training-data/{modelVersionId}": "the redirect does not look at what it passes on",
    "GET /api/download/user-transactions": "an empty type counts as none",
    "GET /api/v1/bugs": "numbers out of range count as none",
    "GET /api/v1/collections": "numbers are cut to whole ones",
    "GET /api/v1/creators": "numbers are cut to whole ones",
    "GET /api/v1/images": "numbers are cut to whole ones",
    "GET /api/v1/model-files/{id}/tensor-metadata": "only `true` means yes, and all else no",
    "GET /api/v1/models": "every text means yes, and numbers are cut to whole ones",
    "GET /api/v1/permissions/check": "numbers are cut to whole ones",
    "GET /api/v1/users": "numbers are cut to whole ones",
    "GET /api/v1/vault/all": "numbers are cut to whole ones",
    "GET /v1/consumer/consumption": "an empty date counts as none, and a day is a date",
    "GET /v2/consumer/workflows": "a page that is too large is cut, and a day is a date",
    "GET /v2/resources": "a page that is too large is cut",
    "GET /v2/services": "a page that is too large is cut",
    "POST /api/auth/oauth/introspect": "a token that nobody knows is not active",
    "POST /api/auth/oauth/revoke": "a token that nobody knows is as good as revoked, and hints are ignored",
    "POST /api/auth/oauth/token": "what a grant has no use for is ignored",
    "POST /api/upload/abort": "nobody's upload is aborted at once",
    "POST /v1/consumer/jobs": "of kinds that are not known, nothing is checked",
    "PUT /v1/consumer/jobs": "null counts as none",
    "PUT /v1/consumer/jobs/{jobId}": "null counts as none",
    "POST /v2/consumer/workflows": "what is required describes answers, and null counts as none; for recipes too",
}

Json = dict[str, Any]


@dataclass
class Outcome:
    """What a run has found.

    Attributes:
        cases: How many requests were sent.
        operations: The operations that were asked, as verb and path.
        findings: What was wrong: the check, the request as a command for curl, and the answer; one for each kind.

    """

    cases: int = 0
    operations: set[str] = field(default_factory=set)
    findings: dict[tuple[str, ...], str] = field(default_factory=dict)


def fuzz(name: str, *, examples: int, seed: int | None, phases: Collection[str]) -> Outcome:
    """Send requests made from a document, good ones and bad ones.

    Args:
        name: The document.
        examples: How many requests of the random phases there are for an operation.
        seed: Chooses the requests; without one they are always the same.
        phases: Which of `PHASES` are run.

    """
    balance = dict.fromkeys(("blue", "green", "yellow"), _MUCH_BUZZ)
    # Nothing is waited for: a step that takes minutes is over at once.
    with Emulator(speed=100_000, models=40, balance=balance, tier="gold") as emulator:
        emulator.oauth.rate_limits = False
        config = SchemathesisConfig.from_dict(
            {
                "base-url": emulator.auth_url if name == "oauth" else emulator.url,
                "headers": {"Authorization": f"Bearer {emulator.token}"},
                "cache": {"enabled": False},  # what one run has learned would change the next
                "max-redirects": 0,
                "request-timeout": 20,
                "continue-on-failure": True,
                "suppress-health-check": ["all"],
                "generation": {
                    "max-examples": examples,
                    "deterministic": seed is None,
                    "database": "none",
                    "no-shrink": True,
                },
                "checks": {"enabled": False} | {check: {"enabled": True} for check in CHECKS},
                "phases": {phase: {"enabled": phase in phases} for phase in PHASES},
                **({} if seed is None else {"seed": seed}),
            }
        )
        return _run(schemathesis.openapi.from_dict(prepared(name, emulator), config=config))


def _run(schema: Any) -> Outcome:
    outcome = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            outcome.findings["error", type(event).__name__] = str(getattr(event, "value", None) or event)
        if not isinstance(event, events.ScenarioFinished):
            continue
        recorded = event.recorder
        outcome.cases += len(recorded.cases)
        outcome.operations |= {case.value.operation.label for case in recorded.cases.values()}
        for id_, check in ((id_, check) for id_, checks in recorded.checks.items() for check in checks):
            if check.status is not Status.FAILURE or check.failure_info is None:
                continue
            label, response = recorded.cases[id_].value.operation.label, recorded.interactions[id_].response
            if check.name == "not_a_server_error" and label in OWN_FAILURES:
                continue
            if check.name == "negative_data_rejection" and (label in LENIENT or "/recipes/" in label):
                continue
            failure = check.failure_info.failure
            told = re.sub(r"^.*? is not ", "… is not ", getattr(failure, "validation_message", ""))
            kind = (label, check.name, str(response and response.status_code), told)
            answer = response.text[:400] if response else "no answer"
            outcome.findings.setdefault(kind, f"{check.failure_info.code_sample}\n{failure.message}\n-> {answer}")
    return outcome


# The documents, as a generator of requests can use them


def prepared(name: str, emulator: Emulator | None = None) -> Json:
    """Give a document with its corrections, and without what describes no single answer.

    Args:
        name: The document.
        emulator: What the requests are for; some of them then have values that it knows.

    """
    found = copy.deepcopy(document(f"{name}.yaml"))
    if name == "orchestration":
        actions = document("overlays/orchestration.yaml")["actions"]
        # The others are prose, or tell what requests may leave out; and they are many.
        actions = [each for each in actions if not each.get("x-existing") and ".." not in each["target"]]
        found = overlay.apply(found, {"actions": actions})
        bases = {name: found["components"]["schemas"][name] for name in ("Blob", "WorkflowStep")}
        _without_inheritance(found["components"]["schemas"])
        _lenient_orchestration(found, bases)
    if name == "site":
        _lenient_site(found["components"]["schemas"])
    if emulator is not None:
        _know(found, _known_values(name, emulator))
    return found


def _without_inheritance(schemas: Json) -> None:
    """Put the choice between its leaves in place of every base, and all that it inherits in place of every leaf."""
    parts = {name: list(_parts(schemas, name)) for name in schemas}
    leaves = {name: list(_leaves(schemas, name)) for name in schemas}
    for name in list(schemas):
        if len(parts[name]) > 1:
            whole: Json = {"type": "object", "properties": {}, "required": []}
            for part in parts[name]:
                whole["properties"] |= part.get("properties", {})
                whole["required"] += part.get("required", [])
            schemas[name] = whole
        else:
            schemas[name] = {key: value for key, value in parts[name][0].items() if key != "discriminator"}
    for name, below in leaves.items():
        if below != [name]:
            schemas[name] = {"anyOf": [{"$ref": _SCHEMAS + leaf} for leaf in dict.fromkeys(below)]}


def _parts(schemas: Json, name: str) -> Iterator[Json]:
    schema = schemas[name]
    for part in schema.get("allOf", ()):
        yield from _parts(schemas, _named(part["$ref"])) if "$ref" in part else (part,)
    if "allOf" not in schema:
        yield schema


def _leaves(schemas: Json, name: str) -> Iterator[str]:
    own = [schemas[name], *schemas[name].get("allOf", ())]
    choices: Json = next((part["discriminator"]["mapping"] for part in own if "discriminator" in part), {})
    if not choices:
        yield name
    for reference in choices.values():
        yield from _leaves(schemas, _named(reference))


def _named(reference: str) -> str:
    return reference.removeprefix(_SCHEMAS)


def _lenient_orchestration(found: Json, bases: Json) -> None:
    """Allow what the emulator answers by the service's guide, or has made up."""
    for path, item in found["paths"].items():
        if "/recipes/" in path:
            # An estimate has no output to show; what it answers is a workflow.
            content = item["post"]["responses"]["200"]["content"]["application/json"]
            content["schema"] = {"anyOf": [content["schema"], {"$ref": f"{_SCHEMAS}Workflow"}]}
    schemas = found["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith("Step") and "input" in schema.get("properties", {}):
            # It comes back as it was sent, in any case and without what has a default.
            schema["properties"]["input"] = {}
    for name, base in bases.items():
        # Answers may be of a type that the document does not list: the base is all that is known of them.
        choice = base["discriminator"]
        unlisted = {choice["propertyName"]: {"not": {"enum": list(choice["mapping"])}}}
        schemas[name]["anyOf"].append({**base, "properties": base["properties"] | unlisted})


def _lenient_site(schemas: Json) -> None:
    """Allow the quirks that the document tells in words only."""
    version, file = schemas["ModelVersion"], schemas["ModelFile"]
    # Inside a single model, empty lists are left out.
    version["required"] = [name for name in version["required"] if name not in ("trainedWords", "files", "images")]
    # It can lack the time zone.
    del file["properties"]["scannedAt"]["format"]


def _known_values(name: str, emulator: Emulator) -> dict[str, list[str]]:
    """Tell values that random ones never meet, by the name of the parameter or field."""
    oauth, version = emulator.oauth, emulator.catalogue.models[0].versions[0]
    if name != "oauth":
        return {"air": [version.air], "hash": [version.primary_file.hashes["SHA256"]]}
    client = oauth.register(confidential=True, introspects=True, grants=_EVERY_GRANT)
    tokens = oauth.issue(client)
    return {
        "client_id": [client.id],
        "client_secret": [client.secret or ""],
        "redirect_uri": [client.redirect_uris[0]],
        "scope": ["1", "16385"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "token": [tokens.access_token],
        "refresh_token": [tokens.refresh_token],
    }


def _know(found: Json, known: dict[str, list[str]]) -> None:
    """Have good requests made of known values."""
    choices: Json = {name: {"type": "string", "enum": values} for name, values in known.items()}
    for _, _, operation in operations(found):
        for parameter in operation.get("parameters", ()):
            if parameter.get("name") in choices:
                parameter["schema"] = choices[parameter["name"]]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            _know_fields(found["components"]["schemas"], content["schema"], choices)


def _know_fields(schemas: Json, schema: Json, choices: Json) -> None:
    if "$ref" in schema:
        schema = schemas[_named(schema["$ref"])]
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        _know_fields(schemas, part, choices)
    properties = schema.get("properties", {})
    properties |= {name: choices[name] for name in choices.keys() & properties.keys()}


def main(argv: list[str] | None = None) -> int:
    """Run it from the command line; gives 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator.fuzzing", description=__doc__)
    parser.add_argument("documents", nargs="*", default=DOCUMENTS, help="site, oauth, generator, orchestration")
    parser.add_argument("--examples", type=int, default=100, help="random requests for an operation (default: 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chooses them")  # noqa: S311
    parser.add_argument(
        "--phases",
        default="examples,fuzzing,stateful",
        help="the default, or with coverage: all edges of all schemas, which takes some ten minutes",
    )
    options = parser.parse_args(argv)
    phases = options.phases.split(",")
    for given, known in ((options.documents, DOCUMENTS), (phases, PHASES)):
        if wrong := set(given) - set(known):
            parser.error(f"there is no {', '.join(sorted(wrong))}, but {', '.join(known)}")
    print(f"seed {options.seed}")
    found = 0
    for name in options.documents:
        outcome = fuzz(name, examples=options.examples, seed=options.seed, phases=phases)
        print(f"{name}: {outcome.cases} requests to {len(outcome.operations)} operations")
        for kind, text in sorted(outcome.findings.items()):
            print(f"\n{' | '.join(kind)}\n{text}")
        found += len(outcome.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
