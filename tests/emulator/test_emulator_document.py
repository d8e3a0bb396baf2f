"""The emulator against `openapi/site.yaml` and `oauth.yaml`: it serves every operation, in the shapes written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from civitai_ext.emulator import Emulator
from tests.documents import document

Operations = dict[str, tuple[str, str, dict[str, Any]]]


def _operations(document: dict[str, Any]) -> Operations:
    return {
        operation["operationId"]: (verb.upper(), path, operation)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }


DOCUMENT = document("site.yaml")
OPERATIONS = _operations(DOCUMENT)
ACCOUNTS = document("oauth.yaml")
ACCOUNTS_OPERATIONS = _operations(ACCOUNTS)
JSON_OPERATIONS = sorted(
    name
    for name, (_, _, operation) in OPERATIONS.items()
    if "application/json" in operation["responses"].get("200", {}).get("content", {})
)


ANSWERED = [name for name in JSON_OPERATIONS if name != "completeUpload"]  # which needs an upload before

# Objects of which the service sends more than the document lists.
OPEN_ENDED = ("coverImage",)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Emulator, httpx.Client]]:
    with Emulator(speed=0, models=60) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            yield emulator, client


def _values(emulator: Emulator) -> dict[str, dict[str, Any]]:
    """What the operations are asked with: path parameters, `params`, `json`."""
    catalogue = emulator._catalogue
    model = next(model for model in catalogue.models if model.mode is None and not model.versions[0].early_access_until)
    version = next(v for v in model.versions if v.usage_control == "Download")
    file = version.primary_file
    own = catalogue.models[-1].versions[0]
    sha256 = file.hashes["SHA256"]
    return {
        "getModel": {"id": model.id},
        "getModelVersion": {"id": version.id},
        "getModelVersionMini": {"id": version.id},
        "getModelVersionByHash": {"hash": sha256},
        "getModelVersionsByHashes": {"json": [sha256]},
        "getModelVersionIdsByHashes": {"json": [sha256]},
        "setEarlyAccess": {"json": {"id": own.id, "paidAccess": {"permanent": True}, "rightsAffirmed": True}},
        "listImages": {"params": {"withMeta": "true", "withTags": "true"}},
        "checkPermissions": {"params": {"entityIds": version.id}},
        "toggleVaultVersion": {"params": {"modelVersionId": version.id}},
        "checkVault": {"params": {"modelVersionIds": version.id}},
        "getArticle": {"id": next(article.id for article in _community(emulator).articles if article.attachments)},
        "getCollection": {"id": _community(emulator).collections[-2].id},
        "getApp": {"slug": "grid-maker"},
        "getBug": {"id": 1},
        "getContent": {"slug": "rules/minors"},
        "getTensorMetadata": {"id": next(f.id for f in own.files if not f.is_archive)},
        "createMultipartUpload": {"json": {"size": 5}},
    }


def _community(emulator: Emulator) -> Any:
    assert emulator._server is not None
    return emulator._server._world.community


def _ask(world: tuple[Emulator, httpx.Client], name: str) -> httpx.Response:
    emulator, client = world
    verb, path, _ = OPERATIONS[name]
    if name in ("listVaultItems", "checkVault"):
        # Something has to be there to be looked at.
        (checked,) = client.get("/api/v1/vault/check-vault", params=_values(emulator)["checkVault"]["params"]).json()
        if checked["vaultItem"] is None:
            _ask(world, "toggleVaultVersion")
    values = _values(emulator).get(name, {})
    for part in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{part}}}", str(values.get(part, 1)))
    return client.request(verb, path, params=values.get("params"), json=values.get("json"))


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_served(world: tuple[Emulator, httpx.Client], name: str) -> None:
    answer = _ask(world, name)
    assert "text/html" not in answer.headers.get("content-type", ""), "the page for what nobody serves"
    assert str(answer.status_code) in OPERATIONS[name][2]["responses"]


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_have_the_shape_of_the_document(world: tuple[Emulator, httpx.Client], name: str) -> None:
    answer = _ask(world, name)
    assert answer.status_code == 200, answer.text
    schema = OPERATIONS[name][2]["responses"]["200"]["content"]["application/json"]["schema"]
    assert _problems(answer.json(), schema, DOCUMENT) == []


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_have_no_key_that_the_document_does_not_know(world: tuple[Emulator, httpx.Client], name: str) -> None:
    schema = OPERATIONS[name][2]["responses"]["200"]["content"]["application/json"]["schema"]
    assert sorted(_unknown(_ask(world, name).json(), schema, DOCUMENT)) == []


def _problems(value: Any, schema: Any, document: dict[str, Any]) -> list[str]:
    """Tell where a value does not fit its schema."""
    whole = {"components": document["components"]} | schema
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in OAS31Validator(whole).iter_errors(value)
    ]


def _unknown(value: Any, schema: Any, document: dict[str, Any], path: str = "") -> set[str]:
    """Find the keys of objects whose schema lists its keys and lacks them."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return min((_unknown(value, choice, document, path) for choice in schema["anyOf"]), key=len)
    if isinstance(value, list):
        return {found for item in value for found in _unknown(item, schema.get("items", {}), document, f"{path}[]")}
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties:
        return set()
    if path.endswith(OPEN_ENDED):
        return set()
    found = {f"{path}.{name}" for name in value.keys() - properties.keys()}
    known = value.keys() & properties.keys()
    return found.union(*(_unknown(value[name], properties[name], document, f"{path}.{name}") for name in known))


# The accounts service


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, list[httpx.Response]]]:
    """What the operations answer, by their names: first as they should, then a refusal."""
    with Emulator(speed=0, models=1) as emulator, httpx.Client(base_url=emulator.auth_url) as client:
        oauth = emulator.oauth
        own = oauth.register(confidential=True, introspects=True)
        secret = {"client_id": own.id, "client_secret": own.secret}
        redirect = own.redirect_uris[0]
        asked = {"client_id": own.id, "redirect_uri": redirect, "response_type": "code", "scope": "1", "state": "s"}
        back = oauth.approve(f"{oauth.issuer}/api/auth/oauth/authorize?{urlencode(asked | {'nonce': 'n'})}")
        exchange = {"grant_type": "authorization_code", "code": _code(back), "redirect_uri": redirect, **secret}
        token = oauth.issue(own).access_token
        device = {"client_id": oauth.device.id, "scope": "1"}
        started = client.post("/api/auth/oauth/device", data=device)
        oauth.approve_device(started.json()["user_code"])
        poll = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": oauth.device.id,
            "device_code": started.json()["device_code"],
        }

        def post(path: str, form: dict[str, Any]) -> list[httpx.Response]:
            return [client.post(path, data=form), client.post(path)]

        path = "/api/auth/oauth/"
        yield {
            "authorize": [client.get(f"{path}authorize", params=asked), client.get(f"{path}authorize")],
            "createToken": post(f"{path}token", exchange),
            "revokeToken": post(f"{path}revoke", {"token": "unknown", **secret}),
            "introspectToken": post(f"{path}introspect", {"token": token, **secret}),
            "startDeviceFlow": [started, client.post(f"{path}device")],
            "pollDeviceToken": post(f"{path}device-token", poll),
            "getUserInfo": [
                client.get(f"{path}userinfo", headers={"Authorization": f"Bearer {token}"}),
                client.get(f"{path}userinfo"),
            ],
            "getDiscovery": [client.get("/.well-known/openid-configuration")],
            "getKeys": [client.get("/.well-known/jwks.json")],
        }


def _code(url: str) -> str:
    return parse_qs(urlsplit(url).query)["code"][0]


@pytest.mark.parametrize("name", sorted(ACCOUNTS_OPERATIONS))
def test_the_accounts_service_answers_as_its_document_says(answers: dict[str, list[httpx.Response]], name: str) -> None:
    verb, path, operation = ACCOUNTS_OPERATIONS[name]
    done = 303 if name == "authorize" else 200
    for answer, status in zip(answers[name], (done, None), strict=False):
        assert (answer.request.method, answer.request.url.path) == (verb, path)
        assert answer.status_code == status or status is None
        told = operation["responses"].get(str(answer.status_code)) or operation["responses"]["4XX"]
        if "content" in told:
            schema = told["content"]["application/json"]["schema"]
            assert _problems(answer.json(), schema, ACCOUNTS) == []
            assert _unknown(answer.json(), schema, ACCOUNTS) == set()
        assert {each.lower() for each in told.get("headers", {})} <= set(answer.headers)
