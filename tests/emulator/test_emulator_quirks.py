"""The quirks of the services: each of them can be had alone, and none has to be."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from civitai_ext import Civitai
from civitai_ext.emulator import BrowserError, Emulator
from civitai_ext.emulator.quirks import Quirk

DOCS = Path(__file__).parents[2] / "docs/emulator.md"
WORKFLOWS = "/v2/consumer/workflows"
REDIRECT = "http://127.0.0.1:53682/callback"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Probe(NamedTuple):
    """An emulator that is looked at, a client with its token, and one without."""

    emulator: Emulator
    client: httpx.Client
    stranger: httpx.Client

    def get(self, path: str, /, **query: Any) -> httpx.Response:
        return self.client.get(f"/api/v1/{path}", params=query)

    def json(self, path: str, /, **query: Any) -> Any:
        return self.get(path, **query).json()

    def anonymous(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return self.stranger.request(verb, path, **options)

    def hub(self, name: str, **form: Any) -> httpx.Response:
        return self.stranger.post(f"{self.emulator.auth_url}/api/auth/oauth/{name}", data=form)

    def authorize(self, *, scope: int = 1, **changes: str) -> str:
        """Ask a user, and return where that leads."""
        client = self.emulator.oauth.confidential
        query = {"client_id": client.id, "redirect_uri": REDIRECT, "response_type": "code", "state": "s"}
        url = f"{self.emulator.auth_url}/api/auth/oauth/authorize?{urlencode(query | {'scope': scope} | changes)}"
        return self.emulator.oauth.approve(url)

    def token(self, **form: Any) -> httpx.Response:
        client = self.emulator.oauth.confidential
        return self.hub("token", client_id=client.id, client_secret=client.secret, **form)


Probing = Callable[..., AbstractContextManager[Probe]]


@pytest.fixture(scope="module")
def probing() -> Iterator[Probing]:
    """What starts an emulator with some options and looks at it."""
    # All clients share it: most of the time that one takes goes into certificates that nobody needs here.
    with httpx.HTTPTransport() as transport:

        @contextmanager
        def probing(**options: Any) -> Iterator[Probe]:
            # A whole second, so that the moments that are shown are exact.
            with Emulator(speed=0, models=90, start=datetime(2026, 9, 1, tzinfo=UTC), **options) as emulator:
                known, stranger = httpx.Client(transport=transport), httpx.Client(transport=transport)
                known.base_url = stranger.base_url = emulator.url
                known.headers["Authorization"] = f"Bearer {emulator.token}"
                yield Probe(emulator, known, stranger)

        yield probing


def _ids(answer: Any) -> list[int]:
    return [item["id"] for item in answer["items"]]


def _first_version(probe: Probe) -> Any:
    return probe.json("models", limit=1)["items"][0]["modelVersions"][0]


def _yes(probe: Probe) -> bool:
    said, unsaid = probe.json("models", limit=90, supportsGeneration="false"), probe.json("models", limit=90)
    return _ids(said) == _ids(unsaid)


def _page_sizes(probe: Probe) -> set[int]:
    """The sizes of all pages of a search but the last."""
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = probe.json("models", query="e", baseModels="SDXL 1.0", limit=3, **cursor)
        sizes.append(len(page["items"]))
        if "nextCursor" not in page["metadata"]:
            return set(sizes[:-1])
        cursor = {"cursor": page["metadata"]["nextCursor"]}


def _by_model(probe: Probe) -> tuple[int, bool]:
    image = probe.json("images", limit=1, withMeta=True, requiringMeta=True)["items"][0]
    (version,) = image["modelVersionIds"]
    model = probe.json(f"model-versions/{version}")["modelId"]
    random = probe.get("images", modelId=model, sort="Random")
    return random.status_code, "meta" in probe.json("images", imageId=image["id"], withMeta=True)["items"][0]["meta"]


def _creators_are_counted(probe: Probe) -> bool:
    names = [creator.username for creator in probe.emulator.catalogue.creators]
    found = probe.json("creators", query="a", limit=1)["metadata"]
    total: int = found["totalItems"]
    return total == sum("a" in name.lower() for name in names)


def _creators_are_sorted(probe: Probe) -> bool:
    names = [item["username"].lower() for item in probe.json("creators", limit=100)["items"]]
    return names == sorted(names)


def _tags(probe: Probe) -> tuple[bool, bool]:
    metadata = probe.json("tags", limit=2)["metadata"]
    return metadata["totalItems"] == len(probe.emulator.catalogue.tags), "nextPage" in metadata


def _followed(probe: Probe) -> Any:
    first = probe.json("collections", sort="Most Followers", limit=2)
    second = probe.get("collections", sort="Most Followers", limit=2, cursor=first["metadata"]["nextCursor"])
    if second.is_error:
        return second.status_code
    return _ids(first) + _ids(second.json()) == _ids(probe.json("collections", sort="Most Followers", limit=4))


def _next_page(probe: Probe) -> bool:
    page = probe.anonymous("GET", "/api/v1/models?limit=1&token=test-token").json()["metadata"]["nextPage"]
    return "test-token" in page


def _detail(probe: Probe) -> tuple[bool, bool, bool]:
    version = probe.json(f"models/{probe.emulator.catalogue.models[0].id}")["modelVersions"][0]
    return "vaeId" in version, "supportsGeneration" in version, "id" in version["images"][0]


def _hosts(probe: Probe) -> set[str | None]:
    sha = _first_version(probe)["files"][0]["hashes"]["SHA256"]
    found = probe.client.post("/api/v1/model-versions/by-hash", json=[sha]).json()
    return {urlsplit(version["downloadUrl"]).hostname for version in found}


def _epoch(probe: Probe) -> Any:
    version = next(v for v in probe.emulator.catalogue.version_by_id.values() if v.epochs)
    answer = probe.get(f"model-versions/mini/{version.id}", epoch=2)
    missing = probe.get(f"model-versions/mini/{version.id}", epoch=99)
    if answer.is_error:
        return answer.status_code, missing.status_code
    (url,) = answer.json()["downloadUrls"]
    return probe.client.get(url).status_code, missing.status_code


def _keys(probe: Probe) -> tuple[bool, ...]:
    users = [user["avatarUrl"] for user in probe.json("users", query="a", limit=30)["items"]]
    articles = [article["coverImage"]["url"] for article in probe.json("articles")["items"] if "coverImage" in article]
    return tuple(all(url.startswith("http") for url in urls) for urls in (users, articles))


def _counts(probe: Probe) -> bool:
    article = next(article for article in probe.json("articles")["items"] if "stats" in article)
    return {*probe.json(f"articles/{article['id']}")["stats"]} == {*article["stats"]}


def _permissions(probe: Probe) -> tuple[Any, Any]:
    return probe.json("permissions/check"), probe.json("permissions/check", entityIds="")


def _shapes(probe: Probe) -> list[Any]:
    asked = [
        probe.get("models", limit="many"), probe.get("users", ids="x"), probe.get("tags", limit="many"),
        probe.get("articles/7"), probe.get("models", username="nobody"), probe.get("bugs/x"),
    ]  # fmt: skip
    assert [answer.status_code for answer in asked] == [400, 400, 400, 404, 404, 400]
    return [isinstance(answer.json(), dict) and isinstance(answer.json().get("error"), str) for answer in asked]


def _vault(probe: Probe) -> tuple[int, int]:
    return probe.get("vault/all", limit=0).status_code, probe.client.get(
        "/api/download/vault/7", params={"type": "x"}
    ).status_code


def _toggled(probe: Probe, id_: int) -> httpx.Response:
    return probe.client.post("/api/v1/vault/toggle-version", params={"modelVersionId": id_})


def _filtered(probe: Probe) -> Any:
    for version in itertools.islice(probe.emulator.catalogue.version_by_id.values(), 6):
        _toggled(probe, version.id)
        probe.emulator.clock.advance(3600)
    stored = probe.json("vault/all")["items"]
    first = stored[-1]
    queries: list[dict[str, Any]] = [
        {"types": f"{first['type']},Poses"},
        {"dateAddedTo": first["addedAt"]},
        {"dateCreatedFrom": "2000-01-01", "dateCreatedTo": first["createdAt"]},
    ]
    answers = [probe.get("vault/all", **query) for query in queries]
    if any(answer.is_error for answer in answers):
        return [answer.status_code for answer in answers]
    assert probe.get("vault/all", dateAddedTo="yesterday").is_error
    kept = [
        [item for item in stored if item["type"] in (first["type"], "Poses")],
        [first],
        [item for item in stored if item["createdAt"] <= first["createdAt"]],
    ]
    return [answer.json()["items"] for answer in answers] == kept


def _vault_id(probe: Probe) -> bool:
    answers = (_toggled(probe, id_) for id_ in probe.emulator.catalogue.version_by_id)
    stored = next(answer.json() for answer in answers if answer.is_success)
    return bool(stored["vaultId"] == probe.json("vault/all")["items"][0]["vaultId"])


def _second_credential(probe: Probe) -> list[int]:
    version = probe.emulator.oddities["many_files"]
    link = probe.client.get(f"/api/download/models/{version.id}").headers["Location"]
    upload = probe.client.get("/v2/consumer/blobs/upload").json()["uploadUrl"]
    picture = probe.client.get(f"/media/avatars/{probe.emulator.catalogue.creators[0].id}.png").content
    uploaded = probe.client.post(upload, content=picture, headers={"Content-Type": "image/png"})
    own = probe.client.post("/v2/consumer/blobs", content=picture, headers={"Content-Type": "image/png"}).json()
    put = probe.client.put(probe.client.post("/api/v1/image-upload").json()["uploadURL"], content=picture)
    content = probe.client.get(own["url"])
    return [answer.status_code for answer in (probe.client.get(link), uploaded, put, content)]


def _preview_key(probe: Probe) -> Any:
    body = {"externalId": "k", "steps": [{"$type": "echo", "input": {"message": "m"}}]}
    probe.client.post(WORKFLOWS, params={"whatif": True}, json=body)
    real = probe.client.post(WORKFLOWS, json=body).json()
    again = probe.client.post(WORKFLOWS, params={"whatif": True}, json=body).json()
    return real.get("id") is None, again.get("id") is None


def _nulls(probe: Probe) -> tuple[bool, bool]:
    body = {"steps": [{"$type": "echo", "input": {"message": "m"}}]}
    shown = probe.client.post(WORKFLOWS, json=body).json()
    return "completedAt" in shown, "output" in shown["steps"][0]


def _ceiling(probe: Probe) -> Any:
    probe.emulator.oauth.confidential.scope = 5
    where = probe.authorize(scope=7)
    if "code=" not in where:
        return parse_qs(urlsplit(where).query)["error"]
    return probe.token(grant_type="authorization_code", code=_code(where), redirect_uri=REDIRECT).json()["scope"]


def _code(where: str) -> str:
    return parse_qs(urlsplit(where).query)["code"][0]


def _sent_back(probe: Probe) -> Any:
    try:
        where = probe.authorize(response_type="token")
    except BrowserError as error:
        return error.status
    with pytest.raises(BrowserError):
        probe.authorize(redirect_uri="https://elsewhere.example/")
    assert where.startswith(REDIRECT)
    return {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}


def _refreshed(probe: Probe, **form: Any) -> Any:
    pair = probe.emulator.oauth.issue(probe.emulator.oauth.confidential, scope=7)
    return probe.token(grant_type="refresh_token", refresh_token=pair.refresh_token, **form).json()["scope"]


def _narrowed(probe: Probe) -> str:
    return str(_refreshed(probe, scope="3"))


def _json_form(probe: Probe) -> int:
    client = probe.emulator.oauth.confidential
    form = {"client_id": client.id, "client_secret": client.secret, "grant_type": "client_credentials"}
    return probe.stranger.post(f"{probe.emulator.auth_url}/api/auth/oauth/token", json=form).status_code


def _many_clients(probe: Probe) -> int:
    for _ in range(20):
        probe.token(grant_type="refresh_token", refresh_token="none")
    device = probe.emulator.oauth.device
    return probe.hub("token", client_id=device.id, grant_type="refresh_token", refresh_token="none").status_code


def _late_code(probe: Probe) -> int:
    where = probe.authorize()
    probe.emulator.clock.advance(400)
    return probe.token(grant_type="authorization_code", code=_code(where), redirect_uri=REDIRECT).status_code


def _start_device(probe: Probe) -> dict[str, str]:
    started = probe.hub("device", client_id=probe.emulator.oauth.device.id, scope="1").json()
    return {
        "grant_type": DEVICE_GRANT,
        "device_code": started["device_code"],
        "client_id": probe.emulator.oauth.device.id,
    }


def _device_at_token(probe: Probe) -> Any:
    return probe.hub("token", **_start_device(probe)).json()["error"]


def _too_many_polls(probe: Probe) -> Any:
    form = _start_device(probe)
    for _ in range(20):
        probe.hub("device-token", **form)
    answer = probe.hub("device-token", **form)
    return answer.status_code, answer.json()["error"]


def _former(probe: Probe) -> int:
    return probe.anonymous("GET", "/api/auth/oauth/userinfo").status_code


LARGE = 2**31
TESTS: dict[Quirk, tuple[Callable[[Probe], Any], Any, Any]] = {
    Quirk.MODELS_TYPES_COMMA: (lambda p: p.get("models", types="LORA,VAE").status_code, 400, 200),
    Quirk.MODELS_QUERY_PAGE: (lambda p: p.get("models", query="a", page=2).status_code, 400, 200),
    Quirk.MODELS_FAVORITES_401: (
        lambda p: [p.anonymous("GET", f"/api/v1/models?favorites={word}").status_code for word in ("false", "true")],
        [401, 401],
        [200, 401],
    ),
    Quirk.MODELS_YES_WORDS: (_yes, False, True),
    Quirk.MODELS_UNKNOWN_TAG: (lambda p: len(p.json("models", tag="no such tag", limit=3)["items"]), 3, 0),
    Quirk.MODELS_SEARCH_CUT: (lambda p: _page_sizes(p) == {3}, False, True),
    Quirk.MODELS_CHECKPOINT_STANDARD: (lambda p: p.get("models", checkpointType="Standard").status_code, 400, 200),
    Quirk.DEEP_PAGES_429: (
        lambda p: [p.get(name, limit=100, page=11).status_code for name in ("models", "images")],
        [429, 429],
        [200, 200],
    ),
    Quirk.IMAGES_BY_MODEL: (_by_model, (400, True), (200, False)),
    Quirk.IMAGES_LIMIT: (lambda p: len(p.json("images")["items"]), 100, 50),
    Quirk.IMAGES_USERNAME: (lambda p: p.get("images", username="emulated!").status_code, 400, 200),
    Quirk.CREATORS_TOTALS: (_creators_are_counted, False, True),
    Quirk.CREATORS_ORDER: (_creators_are_sorted, False, True),
    Quirk.TAGS_TOTALS: (_tags, (False, False), (True, True)),
    Quirk.COLLECTIONS_CURSOR: (_followed, 400, True),
    Quirk.NEXT_PAGE_TOKEN: (_next_page, True, False),
    Quirk.MODEL_DETAIL: (_detail, (False, False, False), (True, True, True)),
    Quirk.VERSION_FIELDS: (
        lambda p: "earlyAccessEndsAt" in p.json(f"model-versions/{p.emulator.oddities['early_access'].id}"),
        False,
        True,
    ),
    Quirk.VERSION_ID_500: (lambda p: p.get(f"model-versions/{LARGE}").status_code, 500, 404),
    Quirk.BY_HASH_HOST: (_hosts, {"undefined"}, {"127.0.0.1"}),
    Quirk.MINI_EPOCH: (_epoch, (400, 400), (200, 404)),
    Quirk.BARE_IMAGE_KEYS: (_keys, (False, False), (True, True)),
    Quirk.ARTICLE_COUNTS: (_counts, False, True),
    Quirk.PERMISSIONS_LIST: (_permissions, ([], {"0": False}), ({}, {})),
    Quirk.CONTENT_500: (lambda p: p.get("content/none").status_code, 500, 404),
    Quirk.ERROR_SHAPES: (_shapes, [False] * 6, [True] * 6),
    Quirk.VAULT_500: (_vault, (500, 500), (400, 400)),
    Quirk.VAULT_FILTERS: (_filtered, [400, 400, 400], True),
    Quirk.TOGGLE_500: (lambda p: _toggled(p, 7).status_code, 500, 400),
    Quirk.TOGGLE_VAULT_ID: (_vault_id, False, True),
    Quirk.HEAD_401: (
        lambda p: p.client.head(f"/api/download/models/{p.emulator.oddities['many_files'].id}").status_code,
        401,
        307,
    ),
    Quirk.ATTACHMENT_TEXT: (
        lambda p: "json" in p.client.get("/api/download/attachments/1").headers["Content-Type"],
        False,
        True,
    ),
    Quirk.SECOND_CREDENTIAL: (_second_credential, [400, 401, 400, 401], [200, 201, 200, 200]),
    Quirk.PREVIEW_EXTERNAL_ID: (_preview_key, (True, True), (False, True)),
    Quirk.V2_NULLS: (_nulls, (False, False), (True, True)),
    Quirk.OAUTH_SCOPE_CEILING: (_ceiling, ["invalid_scope"], "5"),
    Quirk.OAUTH_ERROR_PAGES: (
        _sent_back,
        400,
        {
            "error": "invalid_request",
            "error_description": "The only response_type is `code`.",
            "state": "s",
        },
    ),
    Quirk.OAUTH_SCOPE_LIST: (_refreshed, ["7"], "7"),
    Quirk.OAUTH_REFRESH_SCOPE: (_narrowed, "7", "3"),
    Quirk.OAUTH_JSON: (_json_form, 200, 400),
    Quirk.OAUTH_RATE_KEY: (_many_clients, 429, 400),
    Quirk.OAUTH_CODE_LIFETIME: (_late_code, 400, 200),
    Quirk.OAUTH_DEVICE_TOKEN: (_device_at_token, "unsupported_grant_type", "authorization_pending"),
    Quirk.OAUTH_SLOW_DOWN: (_too_many_polls, (429, "rate_limited"), (400, "slow_down")),
    Quirk.OAUTH_FORMER_ADDRESS: (_former, 401, 308),
}


@pytest.mark.parametrize("quirk", TESTS, ids=str)
def test_a_quirk_can_be_had_alone_or_not_at_all(probing: Probing, quirk: Quirk) -> None:
    look, with_it, without = TESTS[quirk]
    with probing(quirks={str(quirk)}) as probe:
        assert look(probe) == with_it
    with probing(quirks=False) as probe:
        assert look(probe) == without


def test_a_membership_is_named_free_where_there_is_none(probing: Probing) -> None:
    with probing(tier=None, quirks={"me-tier"}) as probe:
        assert "tier" not in probe.json("me")
    with probing(tier=None, quirks=False) as probe:
        assert probe.json("me")["tier"] == "free"


def test_every_quirk_is_tested() -> None:
    assert {*TESTS, Quirk.ME_TIER} == {*Quirk}


def test_the_documentation_lists_the_quirks() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Quirks\n")[2]
    assert re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE) == [str(quirk) for quirk in Quirk]


def test_an_emulator_tells_its_quirks() -> None:
    assert Emulator(models=1).quirks == {*Quirk}
    assert Emulator(models=1, quirks=False).quirks == frozenset()
    assert "head-401" in Emulator(models=1, quirks=["vault-500", "head-401"]).quirks


@pytest.mark.parametrize("wrong", [{"vault-404"}, {"vault-500", 7}, "vault-500"])
def test_a_quirk_that_there_is_not_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match="quirk"):
        Emulator(models=1, quirks=wrong)


def test_a_client_works_without_quirks() -> None:
    with Emulator(quirks=False, speed=1000, models=40) as emulator:
        url = emulator.url
        with Civitai(emulator.token, site_url=url, orchestration_url=url, auth_url=emulator.auth_url) as civitai:
            model = civitai.models.list(limit=3).to_list()[0]
            assert civitai.models.get(model.id).name == model.name
            assert len(civitai.tags.list().to_list()) == len(emulator.catalogue.tags)
            sha = str(model.model_versions[0].files[0].hashes.sha256)
            found = civitai.model_versions.by_hashes([sha])[sha]
            assert found is not None
            assert found.id == model.model_versions[0].id
            assert civitai.workflows.estimate({"$type": "echo", "input": {"message": "m"}}).affordable
            done = civitai.workflows.run({"$type": "echo", "input": {"message": "m"}})
            assert done.status == "succeeded"


def test_the_command_line_switches_them_off() -> None:
    command = [sys.executable, "-m", "civitai_ext.emulator", "--port", "0", "--models", "3", "--no-quirks"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if "SITE_URL" in line).partition("=")[2].strip()
        assert httpx.get(f"{url}/api/v1/models?types=LORA,VAE").status_code == 200
        process.send_signal(signal.SIGTERM)
