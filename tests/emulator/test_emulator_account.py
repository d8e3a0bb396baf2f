"""What belongs to an account: the vault, permissions, membership, own versions, transactions."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import Version


def _storable(emulator: Emulator) -> Iterator[Version]:
    for version in emulator._catalogue.version_by_id.values():
        usable = version.usage_control == "Download" and version.model.mode is None
        if usable and not version.early_access_until and version.model.creator.id != 1:
            yield version


@pytest.fixture
def toggle(client: httpx.Client) -> Callable[[Any], httpx.Response]:
    return lambda id_: client.post("/api/v1/vault/toggle-version", params={"modelVersionId": id_})


@pytest.fixture
def stranger() -> Iterator[httpx.Client]:
    """The client of an account without membership."""
    with Emulator(speed=0, models=12, tier=None) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            yield client


# Vault


def test_a_vault_takes_and_gives_back(
    emulator: Emulator, client: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    version = next(_storable(emulator))
    assert client.get("/api/v1/vault/get").json()["vault"]["usedStorageKb"] == 0
    put = toggle(version.id).json()
    assert put["success"] is True
    (item,) = client.get("/api/v1/vault/all").json()["items"]
    # What is called the vault's id is the item's.
    assert put["vaultId"] == item["id"] != item["vaultId"]
    assert item["modelSizeKb"] == sum(file["sizeKB"] for file in item["files"])
    used = client.get("/api/v1/vault/get").json()["vault"]["usedStorageKb"]
    assert used == item["modelSizeKb"] + item["detailsSizeKb"] + item["imagesSizeKb"]
    checked = client.get("/api/v1/vault/check-vault", params={"modelVersionIds": f"{version.id},7"}).json()
    assert [entry["modelVersionId"] for entry in checked] == [version.id, 7]
    assert checked[1]["vaultItem"] is None
    assert checked[0]["vaultItem"] == {name: value for name, value in item.items() if name != "coverImageUrl"}
    assert toggle(version.id).json() == {"success": True}
    assert client.get("/api/v1/vault/all").json()["items"] == []


def test_a_vault_item_is_stored_after_a_while(
    emulator: Emulator, client: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    toggle(next(_storable(emulator)).id)
    assert client.get("/api/v1/vault/all").json()["items"][0]["status"] == "Pending"
    emulator.clock.advance(20)
    assert client.get("/api/v1/vault/all").json()["items"][0]["status"] == "Stored"


def test_vault_items_are_listed_by_page_filter_and_order(
    emulator: Emulator, client: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    versions = [version for version in _storable(emulator) if version.primary_file.size_kb < 100][:5]
    for version in versions:
        emulator.clock.advance(1)
        assert toggle(version.id).status_code == 200

    def listed(**query: Any) -> list[int]:
        return [item["modelVersionId"] for item in client.get("/api/v1/vault/all", params=query).json()["items"]]

    assert listed() == [version.id for version in reversed(versions)]
    page = client.get("/api/v1/vault/all", params={"limit": 2, "page": 3}).json()
    assert (page["totalItems"], page["currentPage"], page["pageSize"], page["totalPages"]) == (5, 3, 2, 3)
    assert len(page["items"]) == 1
    by_name = sorted(versions, key=lambda version: version.model.name)
    assert [version.model.name for version in by_name] == [
        item["modelName"] for item in client.get("/api/v1/vault/all", params={"sort": "Model Name"}).json()["items"]
    ]
    types = [versions[0].model.type, "VAE"]
    assert set(listed(types=types)) == {version.id for version in versions if version.model.type in types}
    assert versions[0].id in listed(query=versions[0].model.name.upper())
    category = versions[0].model.tags[0].name
    assert set(listed(categories=[category, "none"])) == {
        version.id for version in versions if version.model.tags[0].name == category
    }


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "201"}, {"sort": "Newest"}, {"types": "LORA"}, {"types": "LORA,VAE"},
        {"categories": "style"}, {"baseModels": "Pony"}, {"dateAddedFrom": "2026-01-01"},
        {"dateCreatedTo": "2026-01-01"},
    ],
)  # fmt: skip
def test_the_vault_takes_mistakes_for_its_own_failures(client: httpx.Client, query: dict[str, str]) -> None:
    refused = client.get("/api/v1/vault/all", params=query)
    assert refused.status_code == 500
    body = refused.json()
    assert set(body) == {"message", "error"}
    assert json.loads(body["error"]["message"])[0]["path"][0] == next(iter(query))


def test_toggling_fails_with_500_and_is_refused_only_without_a_number(
    emulator: Emulator, client: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    for id_ in ("x", ""):
        refused = client.post(f"/api/v1/vault/toggle-version{f'?modelVersionId={id_}' if id_ else ''}")
        assert (refused.status_code, refused.json()) == (400, {"error": "Could not parse provided model version"})
    assert toggle(7).status_code == 500
    versions = emulator._catalogue.version_by_id.values()
    archived = next(version for version in versions if version.model.mode == "Archived")
    assert toggle(archived.id).json().keys() == {"message", "error"}
    assert client.get("/api/v1/vault/toggle-version").status_code == 405
    bad = client.get("/api/v1/vault/check-vault", params={"modelVersionIds": "a"})
    assert (bad.status_code, bad.json()) == (400, {"error": "Could not parse provided model versions array."})
    assert client.get("/api/v1/vault/check-vault").json() == []


def test_a_vault_has_only_so_much_room(client: httpx.Client, emulator: Emulator) -> None:
    quota = client.get("/api/v1/vault/get").json()["vault"]["storageKb"]
    emulator._account.tier = None
    lost = client.get("/api/v1/vault/get").json()["vault"]
    assert (quota, lost["storageKb"]) == (8192.0, 0.0)  # the vault outlasts the membership, the room does not
    emulator._account.tier = "bronze"
    statuses = set()
    for version in sorted(_storable(emulator), key=lambda version: -version.primary_file.size_kb):
        statuses.add(client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version.id}).status_code)
    assert statuses == {200, 500}
    assert client.get("/api/v1/vault/get").json()["vault"]["usedStorageKb"] <= quota


def test_without_membership_there_is_no_vault(stranger: httpx.Client) -> None:
    assert stranger.get("/api/v1/vault/get").json() == {"vault": None}
    assert stranger.get("/api/v1/vault/all").json()["items"] == []
    me = stranger.get("/api/v1/me").json()
    assert (me["isMember"], me["subscriptions"], "tier" in me) == (False, [], False)
    version = stranger.get("/api/v1/models").json()["items"][0]["modelVersions"][0]["id"]
    refused = stranger.post("/api/v1/vault/toggle-version", params={"modelVersionId": version})
    assert refused.status_code == 500
    assert "membership" in refused.json()["error"]["message"]


def test_the_vault_is_its_owners(anonymous: httpx.Client) -> None:
    for path in ("get", "all", "check-vault"):
        refused = anonymous.get(f"/api/v1/vault/{path}")
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})


def test_there_is_no_such_membership() -> None:
    with pytest.raises(ValueError, match="no membership 'platinum'"):
        Emulator(models=1, tier="platinum")


# Downloads from the vault


def test_vault_files_are_fetched_by_signed_urls(
    emulator: Emulator, client: httpx.Client, anonymous: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    version = next(_storable(emulator))
    path = f"/api/download/vault/{toggle(version.id).json()['vaultId']}"
    assert client.get(path).status_code == 404  # not copied yet
    emulator.clock.advance(20)

    def fetch(**query: Any) -> httpx.Response:
        redirect = client.get(path, params=query)
        assert redirect.status_code == 307
        return anonymous.get(redirect.headers["location"])

    assert fetch(type="model").content == version.primary_file.content
    assert fetch(type="model", fileId=version.files[-1].id).content == version.files[-1].content
    images = fetch(type="images")
    assert images.headers["content-disposition"].endswith('-images.zip"')
    assert len(zipfile.ZipFile(io.BytesIO(images.content)).namelist()) == len(version.images)
    details = fetch(type="details")
    assert details.headers["content-disposition"].endswith('-details.pdf"')
    assert details.content.startswith(b"%PDF-")
    assert client.get(path, params={"type": "model", "fileId": 1}).status_code == 404
    assert client.get(path, params={"type": "notes"}).status_code == 500
    assert client.get("/api/download/vault/1").status_code == 404
    assert anonymous.get(path).status_code == 401


def test_a_vault_without_room_can_be_emptied_for_thirty_days(
    emulator: Emulator, client: httpx.Client, toggle: Callable[[Any], httpx.Response]
) -> None:
    path = f"/api/download/vault/{toggle(next(_storable(emulator)).id).json()['vaultId']}"
    emulator.clock.advance(29 * 86_400)
    emulator._account.tier = None
    assert client.get(path).status_code == 307
    emulator.clock.advance(2 * 86_400)
    assert client.get(path).status_code == 403
    emulator._account.tier = "gold"
    assert client.get(path).status_code == 307


# Permissions and own versions


def test_permissions(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    versions = emulator._catalogue.version_by_id.values()
    free = next(v for v in versions if v.supports_generation and not v.early_access_until)
    query = {"entityType": "ModelVersion", "permission": "Generate"}
    asked = anonymous.get("/api/v1/permissions/check", params=query | {"entityIds": f"{free.id},1"})
    assert asked.json() == {str(free.id): True, "1": False}
    assert anonymous.get("/api/v1/permissions/check", params=query).json() == []
    assert anonymous.get("/api/v1/permissions/check", params={"entityIds": ""}).json() == {"0": False}
    for wrong in ({"entityIds": "a"}, {"entityType": "Model"}, {"permission": "Eat"}, {"userId": "me"}):
        refused = anonymous.get("/api/v1/permissions/check", params={"entityIds": "1"} | wrong)
        assert refused.status_code == 400
        assert refused.json() == {"error": "Could not parse provided model versions array."}


def test_early_access_is_set_by_the_owner_and_locks_others_out(
    emulator: Emulator, client: httpx.Client, anonymous: httpx.Client
) -> None:
    (model,) = client.get("/api/v1/models", params={"username": "emulated"}).json()["items"]
    version, path = model["modelVersions"][0]["id"], "/api/v1/model-versions/early-access"
    emulator._catalogue.version_by_id[version].supports_generation = True
    terms = {"id": version, "paidAccess": {"endsAt": "2027-01-01T00:00:00Z"}, "rightsAffirmed": True}
    expected = {"permanent": False, "endsAt": "2027-01-01T00:00:00.000Z"}
    assert client.post(path, json=terms).json() == {"id": version, "paidAccess": expected}
    (model,) = client.get("/api/v1/models", params={"username": "emulated"}).json()["items"]
    assert model["modelVersions"][0]["paidAccess"] == expected

    check = {"entityIds": version}
    assert anonymous.get("/api/v1/permissions/check", params=check).json() == {str(version): False}
    assert anonymous.get("/api/v1/permissions/check", params=check | {"userId": 1}).json() == {str(version): True}
    assert client.get("/api/v1/permissions/check", params=check).json() == {str(version): True}
    assert anonymous.get(f"/api/download/models/{version}").status_code == 403
    assert client.get(f"/api/download/models/{version}").status_code == 307

    assert client.post(path, json=terms | {"paidAccess": {"permanent": True}}).json()["paidAccess"] == {
        "permanent": True,
        "endsAt": None,
    }
    assert client.post(path, json=terms | {"paidAccess": None}).json()["paidAccess"] is None
    assert anonymous.get(f"/api/download/models/{version}").status_code == 307


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"id": 7}, 404), ({"id": "x"}, 400), ({"rightsAffirmed": False}, 400), ({"rightsAffirmed": None}, 400),
        ({"paidAccess": 5}, 400), ({"paidAccess": {"endsAt": "soon"}}, 400), ({"id": 500_040}, 403),
    ],
)  # fmt: skip
def test_early_access_refuses(emulator: Emulator, client: httpx.Client, changes: dict[str, Any], status: int) -> None:
    assert 500_040 in emulator._catalogue.version_by_id
    own = emulator._catalogue.models[-1].versions[0].id
    body = {"id": own, "paidAccess": {}, "rightsAffirmed": True} | changes
    refused = client.post("/api/v1/model-versions/early-access", json=body)
    assert refused.status_code == status
    assert isinstance(refused.json()["error"], str)


def test_training_results_are_their_owners(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    own = emulator._catalogue.models[-1].versions[0]
    path = f"/api/download/training/{own.id}"
    first = client.get(path, params={"epochNumber": 1})
    assert first.headers["content-type"] == "application/octet-stream"
    assert first.headers["content-disposition"].endswith('_epoch_1.safetensors"')
    assert first.content != client.get(path, params={"epochNumber": 5}).content
    other = next(_storable(emulator)).id
    statuses = {
        client.get(path, params={"epochNumber": 6}).status_code: 404,
        client.get(path).status_code: 400,
        client.get(f"/api/download/training/{other}", params={"epochNumber": 1}).status_code: 403,
        anonymous.get(path, params={"epochNumber": 1}).status_code: 401,
    }
    assert all(status == expected for status, expected in statuses.items())
    assert len(statuses) == 4
    shown = client.get(f"/api/v1/model-versions/{own.id}").json()
    assert (shown["uploadType"], shown["trainingStatus"]) == ("Trained", "Approved")


# Transactions


def test_transactions_are_a_table(emulator: Emulator, client: httpx.Client, anonymous: httpx.Client) -> None:
    path = "/api/download/user-transactions"
    asked = {"prompt": "[fail]", "model": "urn:air:sd1:checkpoint:civitai:1@2"}
    client.post("/v2/consumer/workflows", json={"steps": [{"$type": "textToImage", "input": asked}]})

    def rows(**query: Any) -> list[dict[str, str]]:
        answer = client.get(path, params=query)
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(answer.text)))

    moves = emulator.ledger.transactions
    assert [row["id"] for row in rows()] == [move.id for move in moves]
    assert moves
    assert {row["account"] for row in rows(accountTypes="yellow,green")} <= {"yellow"}
    assert rows(start="2999-01-01") == rows(end="2001-01-01") == rows(probe="1") == []
    assert len(rows(type="1")) + len(rows(type="2")) == len(moves)
    assert client.get(path, params={"type": "debit"}).status_code == 500
    assert client.get(path, params={"start": "now"}).status_code == 500
    assert anonymous.get(path).status_code == 401


def test_transactions_are_rationed_by_the_hour(emulator: Emulator, client: httpx.Client) -> None:
    path = "/api/download/user-transactions"
    assert {client.get(path).status_code for _ in range(60)} == {200}
    refused = client.get(path)
    assert refused.status_code == 429
    assert "retry-after" not in refused.headers
    assert client.get(path, params={"probe": "1"}).status_code == 200
    emulator.clock.advance(3600)
    assert client.get(path).status_code == 200
