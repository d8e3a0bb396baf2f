"""Whatever JSON the site sends in place of a field: a method gives something, or raises an error of this package."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civitai_ext import Civitai, CivitaiError, RetryPolicy
from civitai_ext.emulator import Emulator
from tests.unit.test_hostile_answers import json_values, places


def _identify(civitai: Civitai, ids: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.bin")
        path.write_bytes(ids["content"])
        for _ in range(2):  # the second time it is what was remembered
            (match,) = civitai.identify(path, cache=Path(folder, "cache.db"), thorough=True)
            assert str(match).startswith(str(path))
            assert match.is_known == (match.status not in ("unknown", "failed"))
            assert match.air is None or match.is_known
            assert match.update_available <= match.is_known


CALLS: dict[str, Callable[[Civitai, dict[str, Any]], Any]] = {
    "models.list": lambda c, ids: c.models.list(limit=5, page_size=2).to_list(),
    "models.get": lambda c, ids: c.models.get(ids["model"]).latest,
    "model_versions.get": lambda c, ids: c.model_versions.get(ids["version"]).primary_file,
    "model_versions.get_mini": lambda c, ids: c.model_versions.get_mini(ids["version"]).air,
    "model_versions.by_hash": lambda c, ids: c.model_versions.by_hash(ids["hash"]),
    "model_versions.by_hashes": lambda c, ids: c.model_versions.by_hashes([ids["hash"]]),
    "model_versions.ids_by_hashes": lambda c, ids: c.model_versions.ids_by_hashes([ids["hash"]]),
    "images.list": lambda c, ids: [image.meta for image in c.images.list(limit=3, with_meta=True)],
    "images.get": lambda c, ids: c.images.get(ids["image"]),
    "creators.list": lambda c, ids: c.creators.list(limit=3).count(),
    "tags.list": lambda c, ids: c.tags.list(limit=3).to_list(),
    "users.list": lambda c, ids: c.users.list(query="e", limit=2).to_list(),
    "articles.list": lambda c, ids: c.articles.list(limit=2).to_list(),
    "collections.list": lambda c, ids: c.collections.list(limit=2).to_list(),
    "vault.get": lambda c, ids: c.vault.get(),
    "vault.list": lambda c, ids: c.vault.list(limit=2).to_list(),
    "vault.check": lambda c, ids: c.vault.check([ids["version"]]),
    "vault.add": lambda c, ids: c.vault.add(ids["version"]),
    "permissions.check": lambda c, ids: c.permissions.check([ids["version"]]),
    "apps.list": lambda c, ids: c.apps.list(limit=2).to_list(),
    "bugs.list": lambda c, ids: c.bugs.list(limit=2).to_list(),
    "content.get": lambda c, ids: c.content.get("tos"),
    "model_files.tensor_metadata": lambda c, ids: c.model_files.tensor_metadata(ids["file"]),
    "uploads.image": lambda c, ids: c.uploads.image(b"\x89PNG", filename="x.png", mime_type="image/png"),
    "identify": _identify,
    "me": lambda c, ids: c.me(),
    "enums": lambda c, ids: c.enums(),
}


class Tape(httpx.BaseTransport):
    """Sends requests, and keeps what came back."""

    def __init__(self) -> None:
        self.kept: list[httpx.Response] = []
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._network.handle_request(request)
        body = response.read()
        response.close()
        self.kept.append(httpx.Response(response.status_code, headers=dict(response.headers), content=body))
        return httpx.Response(response.status_code, headers=dict(response.headers), content=body)

    def close(self) -> None:
        self._network.close()


class Replay(httpx.BaseTransport):
    """Answers in turn, the last one for all that follow."""

    def __init__(self, answers: list[tuple[int, str, bytes]]) -> None:
        self._answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        status, kind, body = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return httpx.Response(status, headers={"content-type": kind, "etag": '"x"'}, content=body)


@cache
def whole() -> tuple[str, dict[str, Any], dict[str, list[tuple[int, str, bytes]]]]:
    """What the methods are answered when all is well."""
    found: dict[str, list[tuple[int, str, bytes]]] = {}
    with Emulator(models=12) as emulator:
        with Civitai(emulator.token, site_url=emulator.url) as civitai:
            (model,) = civitai.models.list(types=["LORA"], limit=1)
            version = civitai.model_versions.get(model.model_versions[0].id)
            (image,) = civitai.images.list(limit=1)
        ids: dict[str, Any] = {"model": model.id, "version": version.id, "file": version.files[0].id, "image": image.id}
        ids["content"] = emulator.catalogue.file_by_id[ids["file"]].content
        ids["hash"] = version.files[0].hashes["SHA256"]
        for name, call in CALLS.items():
            tape = Tape()
            with Civitai(emulator.token, site_url=emulator.url, transport=tape) as civitai:
                call(civitai, ids)
            found[name] = [(kept.status_code, kept.headers.get("content-type", ""), kept.content) for kept in tape.kept]
        return emulator.url, ids, found


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(data=st.data())
def test_a_field_may_be_anything(name: str, data: st.DataObject) -> None:
    url, ids, found = whole()
    answers = list(found[name])
    which = data.draw(st.sampled_from([place for place, (_, kind, _) in enumerate(answers) if "json" in kind]))
    status, kind, body = answers[which]
    value = copy.deepcopy(json.loads(body))
    for _ in range(data.draw(st.integers(1, 2))):
        ways = places(value)
        if not ways or data.draw(st.integers(0, 9)) == 0:
            value = data.draw(json_values)
            continue
        *way, last = data.draw(st.sampled_from(ways))
        holder = value
        for key in way:
            holder = holder[key]
        holder[last] = data.draw(json_values)
    answers[which] = (status, kind, json.dumps(value).encode())
    client = Civitai("token", site_url=url, transport=Replay(answers), retry=RetryPolicy.immediate())
    with client as civitai, suppress(CivitaiError):
        CALLS[name](civitai, ids)
