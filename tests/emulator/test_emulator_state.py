"""What changes in the emulator while it runs: time ends early access, users choose models, creators delete them."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import Version

DAY = 86_400


def _listed(client: httpx.Client, **query: Any) -> list[int]:
    answer = client.get("/api/v1/models", params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def _storable(emulator: Emulator) -> Version:
    return next(
        version
        for version in emulator.catalogue.version_by_id.values()
        if version.usage_control == "Download" and not version.model.mode and not version.early_access_until
    )


# Early access


def test_early_access_ends_by_the_clock(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    version = emulator.catalogue.models[-1].versions[0]  # the account's own
    path, query = f"/api/download/models/{version.id}", {"username": "emulated"}

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = anonymous.get("/api/v1/models", params=query).json()["items"][0]["modelVersions"][0]
        return found

    client.post(
        "/api/v1/model-versions/early-access", json={"id": version.id, "paidAccess": {}, "rightsAffirmed": True}
    )
    assert shown()["paidAccess"]["permanent"] is False
    assert shown()["earlyAccessDeadline"] == shown()["paidAccess"]["endsAt"]
    assert _listed(anonymous, **query, earlyAccess=True) == [version.model.id]
    refused = anonymous.get(path)
    assert (refused.status_code, refused.json()["deadline"]) == (403, shown()["earlyAccessDeadline"])
    assert anonymous.get(f"/api/v1/model-versions/mini/{version.id}").json()["checkPermission"] is True

    emulator.clock.advance(14 * DAY - 1)
    assert anonymous.get(path).status_code == 403
    emulator.clock.advance(1)
    assert anonymous.get(path).status_code == 307
    assert (shown()["paidAccess"], "earlyAccessDeadline" in shown()) == (None, False)
    assert _listed(anonymous, **query, earlyAccess=True) == []
    assert anonymous.get(f"/api/v1/model-versions/{version.id}").json()["paidAccess"] is None
    assert anonymous.get(f"/api/v1/model-versions/mini/{version.id}").json()["checkPermission"] is False


def test_paid_access_can_have_no_end(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    version = emulator.catalogue.models[-1].versions[0]
    body = {"id": version.id, "paidAccess": {"permanent": True}, "rightsAffirmed": True}
    client.post("/api/v1/model-versions/early-access", json=body)
    emulator.clock.advance(10_000 * DAY)
    assert anonymous.get(f"/api/download/models/{version.id}").status_code == 403
    assert client.get(f"/api/download/models/{version.id}").status_code == 307


# What a user chooses


def test_a_list_can_be_narrowed_to_what_the_user_has_chosen(emulator: Emulator, client: httpx.Client) -> None:
    first, second, third = _listed(client)[:3]
    assert _listed(client, favorites=True) == _listed(client, hidden=True) == []
    emulator.account.favorites |= {first, third}
    emulator.account.hidden.add(second)
    assert _listed(client, favorites=True) == [first, third]
    assert _listed(client, hidden=True) == [second]
    assert len(_listed(client, favorites=False, hidden=False)) > 3


@pytest.mark.parametrize(("username", "status"), [("emulated", 200), ("Emulated", 200), (None, 401)])
def test_private_models_are_for_their_owner(client: httpx.Client, username: str | None, status: int) -> None:
    query = {"availability": "Private"} | ({"username": username} if username else {})
    assert client.get("/api/v1/models", params=query).status_code == status


# What creators delete


def test_a_vault_outlasts_the_model(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    version = _storable(emulator)
    sha = version.primary_file.hashes["SHA256"]
    client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version.id})
    emulator.clock.advance(60)
    emulator.catalogue.remove(version.model.id)
    assert client.get(f"/api/v1/model-versions/{version.id}").status_code == 404
    (item,) = client.get("/api/v1/vault/all").json()["items"]
    assert item["modelVersionId"] == version.id
    contents = {}
    for kind in ("model", "images", "details"):
        link = client.get(f"/api/download/vault/{item['id']}", params={"type": kind}).headers["Location"]
        contents[kind] = anonymous.get(link).raise_for_status().content
    assert hashlib.sha256(contents["model"]).hexdigest().upper() == sha
    assert (contents["images"][:2], contents["details"][:4]) == (b"PK", b"%PDF")
    # It can be taken out and not put back.
    answers = [
        client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version.id}).status_code for _ in range(2)
    ]
    assert answers == [200, 500]


@pytest.mark.parametrize("sort", ["Highest Rated", "Newest", "Oldest", "Most Images"])
def test_a_cursor_outlives_a_change_in_the_catalogue(emulator: Emulator, anonymous: httpx.Client, sort: str) -> None:
    every = _listed(anonymous, sort=sort)
    page = anonymous.get("/api/v1/models", params={"limit": 5, "sort": sort}).json()
    emulator.catalogue.remove(every[2])
    emulator.catalogue.remove(every[5])
    assert _listed(anonymous, sort=sort, cursor=page["metadata"]["nextCursor"]) == every[6:]


def test_an_odd_model_can_be_removed_too(emulator: Emulator, anonymous: httpx.Client) -> None:
    version = emulator.oddities["gguf"]
    emulator.catalogue.remove(version.model.id)
    assert anonymous.get(f"/api/v1/models/{version.model.id}").status_code == 404
    assert version.model.id not in _listed(anonymous, username="oddities")
