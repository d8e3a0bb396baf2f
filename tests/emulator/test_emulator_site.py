"""The Site API: shapes, filters, cursors, and the service's own ways of saying no."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image

from civitai_ext.emulator import Emulator

PUBLIC = "public, s-maxage=300, stale-while-revalidate=150"


def _zod(error: dict[str, Any]) -> list[dict[str, Any]]:
    assert error["name"] == "ZodError"
    issues: list[dict[str, Any]] = json.loads(error["message"])
    return issues


def _all(reader: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """Walk a list by its cursors."""
    items: list[dict[str, Any]] = []
    while True:
        page = reader.get(path, params=query).json()
        items += page["items"]
        if "nextCursor" not in page["metadata"]:
            return items
        query["cursor"] = page["metadata"]["nextCursor"]


# /models: paging


def test_models_page_by_an_opaque_cursor(reader: httpx.Client) -> None:
    first = reader.get("/api/v1/models", params={"limit": 7}).json()
    assert len(first["items"]) == 7
    assert "|" in first["metadata"]["nextCursor"]
    assert set(first["metadata"]) == {"nextCursor", "nextPage"}
    second = reader.get(first["metadata"]["nextPage"]).json()
    assert not {item["id"] for item in first["items"]} & {item["id"] for item in second["items"]}
    everything = _all(reader, "/api/v1/models", limit=50, nsfw="true")
    ids = [item["id"] for item in everything]
    assert len(ids) == len(set(ids)) > 150


def test_models_next_page_repeats_the_query_token_included(reader: httpx.Client) -> None:
    query: dict[str, Any] = {"limit": 2, "types": ["LORA", "Checkpoint"], "token": "t"}
    next_page = reader.get("/api/v1/models", params=query).json()["metadata"]["nextPage"]
    assert parse_qs(urlsplit(next_page).query) | {"cursor": ["-"]} == {
        "limit": ["2"],
        "types": ["LORA", "Checkpoint"],
        "token": ["t"],
        "cursor": ["-"],
    }


def test_models_page_by_number_up_to_a_thousand(reader: httpx.Client) -> None:
    page = reader.get("/api/v1/models", params={"limit": 10, "page": 2}).json()
    assert page["metadata"]["currentPage"] == 2
    assert page["metadata"]["pageSize"] == 10
    assert "nextCursor" not in page["metadata"]
    assert "page=3" in page["metadata"]["nextPage"]
    refused = reader.get("/api/v1/models", params={"limit": 100, "page": 11})
    assert refused.status_code == 429
    assert refused.json() == {"error": "You've requested too many pages, please use cursors instead"}


def test_a_text_search_pages_by_offset_and_only_by_cursor(reader: httpx.Client) -> None:
    page = reader.get("/api/v1/models", params={"query": "style", "limit": 3}).json()
    assert page["metadata"]["nextCursor"] == "3"
    assert all("style" in json.dumps(item).lower() for item in page["items"])
    refused = reader.get("/api/v1/models", params={"query": "style", "page": 1})
    assert refused.status_code == 400
    assert refused.json() == {"error": "Cannot use page param with query search. Use cursor-based pagination."}


def test_a_text_search_filters_after_the_page_is_cut(reader: httpx.Client) -> None:
    page = reader.get("/api/v1/models", params={"query": "style", "limit": 5, "baseModels": "Flux.1 D"}).json()
    assert len(page["items"]) < 5
    assert page["metadata"]["nextCursor"] == "5"


# /models: filters and shapes


def test_types_are_repeated_and_never_separated_by_commas(reader: httpx.Client) -> None:
    items = _all(reader, "/api/v1/models", types=["LORA", "Checkpoint"])
    assert {item["type"] for item in items} == {"LORA", "Checkpoint"}
    refused = reader.get("/api/v1/models", params={"types": "LORA,Checkpoint"})
    assert refused.status_code == 400
    (issue,) = _zod(refused.json()["error"])
    assert (issue["code"], issue["path"]) == ("invalid_value", ["types", 0])


def test_base_models_narrow_the_versions_too(reader: httpx.Client) -> None:
    items = _all(reader, "/api/v1/models", baseModels="SDXL 1.0")
    assert items
    assert {version["baseModel"] for item in items for version in item["modelVersions"]} == {"SDXL 1.0"}


def test_sorting(reader: httpx.Client) -> None:
    items = _all(reader, "/api/v1/models", sort="Most Downloaded")
    downloads = [item["stats"]["downloadCount"] for item in items]
    assert downloads == sorted(downloads, reverse=True)
    newest = _all(reader, "/api/v1/models", sort="Newest")
    oldest = _all(reader, "/api/v1/models", sort="Oldest")
    assert newest[0]["modelVersions"][0]["publishedAt"] > oldest[0]["modelVersions"][0]["publishedAt"]


def test_ids_tags_and_user_names(reader: httpx.Client) -> None:
    first, second = reader.get("/api/v1/models", params={"limit": 2}).json()["items"]
    found = reader.get("/api/v1/models", params={"ids": f"{first['id']},{second['id']}"}).json()["items"]
    assert {item["id"] for item in found} == {first["id"], second["id"]}
    tag = first["tags"][0]
    assert all(tag in item["tags"] for item in _all(reader, "/api/v1/models", tag=tag))
    # An unknown tag is no filter; an unknown user is an error.
    assert len(_all(reader, "/api/v1/models", tag="no such tag")) > 100
    name = first["creator"]["username"]
    found = _all(reader, "/api/v1/models", username=name.upper())
    assert {item["creator"]["username"] for item in found} == {name}
    missing = reader.get("/api/v1/models", params={"username": "nobody"})
    assert (missing.status_code, missing.json()) == (404, {"message": "User not found"})


def test_levels(reader: httpx.Client) -> None:
    safe = _all(reader, "/api/v1/models")
    images = [image for item in safe for version in item["modelVersions"] for image in version["images"]]
    assert {image["nsfwLevel"] for image in images} == {1}
    everything = _all(reader, "/api/v1/models", nsfw="yes")
    images = [image for item in everything for version in item["modelVersions"] for image in version["images"]]
    assert {image["nsfwLevel"] for image in images} > {1, 2}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "101"},
        {"limit": "many"},
        {"page": "Infinity"},
        {"ids": "1,nan"},
        {"sort": "newest"},
        {"period": "Decade"},
        {"nsfw": "maybe"},
        {"checkpointType": "Standard"},
        {"fileFormats": "SafeTensor"},
        {"browsingLevel": "1"},
        {"excludedTagIds": "3"},
        {"page": "0"},
    ],
)
def test_bad_parameters_are_nested_zod_errors(reader: httpx.Client, query: dict[str, str]) -> None:
    refused = reader.get("/api/v1/models", params=query)
    assert refused.status_code == 400
    assert _zod(refused.json()["error"])[0]["path"][0] == next(iter(query))


@pytest.mark.parametrize("name", ["favorites", "hidden"])
def test_personal_filters_need_a_session_even_to_be_named(reader: httpx.Client, name: str) -> None:
    refused = reader.get("/api/v1/models", params={name: "false"})
    assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
    assert reader.get("/api/v1/models", params={name: "false", "token": "test-token"}).status_code == 200


def test_the_shape_of_a_listed_model(reader: httpx.Client) -> None:
    item = reader.get("/api/v1/models", params={"limit": 1}).json()["items"][0]
    assert item["allowCommercialUse"].startswith("{")
    assert item["allowCommercialUse"].endswith("}")
    assert "mode" not in item
    version = item["modelVersions"][0]
    assert "createdAt" not in version
    assert "supportsGeneration" in version
    assert version["description"] is None
    assert "id" in version["images"][0]


def test_files_name_the_primary_one_by_a_key_that_others_lack(reader: httpx.Client) -> None:
    for item in _all(reader, "/api/v1/models", types="Checkpoint"):
        for version in item["modelVersions"]:
            first, *others = version["files"] or [{"primary": True}]
            assert first["primary"] is True
            assert all("primary" not in other for other in others)
            assert all("?type=" in other["downloadUrl"] for other in others)


def test_archived_and_taken_down_models(reader: httpx.Client) -> None:
    items = {item.get("mode"): item for item in _all(reader, "/api/v1/models", nsfw="true")}
    archived, taken_down = items["Archived"], items["TakenDown"]
    assert archived["modelVersions"][0]["files"] == []
    assert "downloadUrl" not in archived["modelVersions"][0]
    assert taken_down["modelVersions"][0]["images"] == []


def test_a_model_in_detail_lacks_what_is_empty(reader: httpx.Client) -> None:
    listed = reader.get("/api/v1/models", params={"limit": 1, "types": "Upscaler"}).json()["items"][0]
    answer = reader.get(f"/api/v1/models/{listed['id']}")
    version = answer.json()["modelVersions"][0]
    assert "trainedWords" not in version
    assert "description" not in version
    assert "supportsGeneration" not in version
    assert {"covered", "createdAt", "status"} <= set(version)
    assert "id" not in version["images"][0]
    assert "size" not in version["files"][0]["metadata"]
    assert answer.headers["cache-control"] == PUBLIC
    assert answer.headers["access-control-allow-origin"] == "*"


def test_models_that_do_not_exist(reader: httpx.Client) -> None:
    missing = reader.get("/api/v1/models/7")
    assert (missing.status_code, missing.json()) == (404, {"error": "No model with id 7"})
    refused = reader.get("/api/v1/models/seven")
    assert refused.status_code == 400
    assert refused.json() == {"error": "✖ Invalid input: expected number, received NaN\n  → at id"}
    assert reader.get("/api/v1/models/2147483648").status_code == 400


# /model-versions


@pytest.fixture(scope="module")
def version(reader: httpx.Client) -> dict[str, Any]:
    item = reader.get("/api/v1/models", params={"limit": 1, "types": "Checkpoint"}).json()["items"][0]
    shown: dict[str, Any] = reader.get(f"/api/v1/model-versions/{item['modelVersions'][0]['id']}").json()
    return shown


def test_the_shape_of_a_version(version: dict[str, Any]) -> None:
    assert version["air"].endswith(f":checkpoint:civitai:{version['modelId']}@{version['id']}")
    assert set(version["model"]) == {"name", "type", "nsfw", "poi"}
    file = version["files"][0]
    assert file["primary"] is True
    assert not file["scannedAt"].endswith("Z")
    assert "overrideName" not in file
    assert "availability" in version["images"][0]


def test_versions_that_do_not_exist(reader: httpx.Client) -> None:
    assert reader.get("/api/v1/model-versions/1").json() == {"error": "Model not found"}
    assert reader.get("/api/v1/model-versions/0").status_code == 400
    assert reader.get("/api/v1/model-versions/x").status_code == 400
    too_large = reader.get("/api/v1/model-versions/99999999999")
    assert too_large.json() == {"error": "Failed to fetch model version details"}
    assert too_large.status_code == 500


def test_mixed_routes_know_their_verb_and_their_caller(reader: httpx.Client, version: dict[str, Any]) -> None:
    path = f"/api/v1/model-versions/{version['id']}"
    assert reader.get(path).headers["cache-control"] == PUBLIC
    private = reader.get(path, headers={"Authorization": "Whatever test-token"})
    assert private.headers["cache-control"] == "max-age=0, private, no-cache"
    assert reader.get(path, headers={"Authorization": "Bearer wrong"}).headers["cache-control"] == PUBLIC
    refused = reader.post(path)
    assert (refused.status_code, refused.json()) == (405, {"error": "Method not allowed"})


@pytest.mark.parametrize("kind", ["SHA256", "AutoV2", "CRC32", "AutoV3"])
def test_by_hash_takes_any_hash_in_any_case(reader: httpx.Client, version: dict[str, Any], kind: str) -> None:
    hash_ = version["files"][0]["hashes"][kind]
    answer = reader.get(f"/api/v1/model-versions/by-hash/{hash_.lower()}")
    assert answer.json()["id"] == version["id"]
    assert "overrideName" in answer.json()["files"][0]
    assert answer.headers["cache-control"] == "public, s-maxage=3600, stale-while-revalidate=1800"


def test_by_hash_of_nothing(reader: httpx.Client) -> None:
    missing = reader.get("/api/v1/model-versions/by-hash/DEADBEEF")
    assert (missing.status_code, missing.json()) == (404, {"error": "Model not found"})


def test_by_hashes(reader: httpx.Client, version: dict[str, Any]) -> None:
    sha256 = version["files"][0]["hashes"]["SHA256"]
    hashes = ["0" * 64, sha256.lower()]
    (found,) = reader.post("/api/v1/model-versions/by-hash", json=hashes).json()
    assert found["id"] == version["id"]
    assert found["downloadUrl"] == f"https://undefined/api/download/models/{version['id']}"
    ids = reader.post("/api/v1/model-versions/by-hash/ids", json=hashes).json()
    assert ids == [{"modelVersionId": version["id"], "modelId": version["modelId"], "hash": sha256}]


@pytest.mark.parametrize("body", [["short"], {"a": 1}, ["0" * 64] * 101, [1]])
def test_by_hashes_refuses_what_is_no_list_of_hashes(reader: httpx.Client, body: object) -> None:
    refused = reader.post("/api/v1/model-versions/by-hash", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("Request must include an array of SHA256 Hashes. ")


def test_mini(reader: httpx.Client, version: dict[str, Any]) -> None:
    path, file = f"/api/v1/model-versions/mini/{version['id']}", version["files"][0]
    mini = reader.get(path).json()
    assert (mini["air"], mini["hashes"]) == (version["air"], file["hashes"])
    chosen = reader.get(path, params={"modelFileId": file["id"]}).json()
    assert chosen["air"] == f"{version['air']}+{file['id']}"
    assert chosen["downloadUrls"][0].endswith(f"?fileId={file['id']}")
    assert reader.get(path, params={"epoch": 1}).status_code == 400
    missing = reader.get(path, params={"modelFileId": 1})
    assert missing.json() == {"error": f"Model file 1 not found in version {version['id']}"}


# /images


def test_images_have_words_for_levels_and_page_by_cursor(reader: httpx.Client) -> None:
    items = _all(reader, "/api/v1/images", limit=150, nsfw="X")
    assert len({item["id"] for item in items}) == len(items) > 300
    words = {1: "None", 2: "Soft", 4: "Mature", 8: "X"}
    assert all(item["nsfwLevel"] == words[item["browsingLevel"]] for item in items)
    assert {item["browsingLevel"] for item in reader.get("/api/v1/images").json()["items"]} == {1}
    assert all(item["nsfw"] for item in reader.get("/api/v1/images", params={"nsfw": "true"}).json()["items"])


def test_images_show_their_generation_data_in_two_shapes(reader: httpx.Client) -> None:
    (listed,) = reader.get("/api/v1/images", params={"limit": 1, "requiringMeta": "true"}).json()["items"]
    assert listed["meta"] is None
    query: dict[str, Any] = {"limit": 1, "withMeta": "true", "requiringMeta": "true"}
    (flat,) = reader.get("/api/v1/images", params=query).json()["items"]
    assert flat["meta"]["seed"]
    (nested,) = reader.get("/api/v1/images", params=query | {"imageId": flat["id"]}).json()["items"]
    assert nested["meta"] == {"id": flat["id"], "meta": flat["meta"]}


@pytest.mark.parametrize(
    "query",
    [{"username": "not ok"}, {"baseModels": "No Such Model"}, {"sort": "Best"}, {"limit": "201"}, {"nsfw": "much"}],
)
def test_images_refuse_bad_parameters(reader: httpx.Client, query: dict[str, str]) -> None:
    refused = reader.get("/api/v1/images", params=query)
    assert refused.status_code == 400
    assert _zod(refused.json()["error"])


def test_image_urls_serve_images_at_any_width(reader: httpx.Client) -> None:
    (item,) = reader.get("/api/v1/images", params={"limit": 1}).json()["items"]
    original = reader.get(item["url"])
    assert original.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(original.content)) as image:
        assert image.size == (item["width"], item["height"])
    with Image.open(io.BytesIO(reader.get(item["url"].replace("original=true", "width=96")).content)) as image:
        assert image.width == 96
    assert reader.get("/media/none/original=true/1.jpeg").status_code == 404


# People, tags, enums


def test_creators_page_by_number_with_totals(reader: httpx.Client) -> None:
    first = reader.get("/api/v1/creators", params={"limit": 20}).json()
    assert first["metadata"]["totalPages"] == 2
    assert "prevPage" not in first["metadata"]
    second = reader.get(first["metadata"]["nextPage"]).json()
    assert "nextPage" not in second["metadata"]
    assert len(first["items"]) + len(second["items"]) == first["metadata"]["totalItems"]
    name = first["items"][0]["username"]
    found = reader.get("/api/v1/creators", params={"query": name.upper()}).json()
    assert [item["username"] for item in found["items"]] == [name]
    assert found["metadata"]["hasMore"] is False
    assert reader.get(first["items"][0]["image"]).headers["content-type"] == "image/png"


def test_a_search_for_creators_counts_only_as_far_as_it_looked(reader: httpx.Client) -> None:
    whole = reader.get("/api/v1/creators", params={"query": "e", "limit": 200}).json()["metadata"]["totalItems"]
    first = reader.get("/api/v1/creators", params={"query": "e", "limit": 2}).json()["metadata"]
    assert (first["totalItems"], first["totalPages"], first["hasMore"]) == (3, 2, True)
    assert whole > 5
    assert "hasMore" not in reader.get("/api/v1/creators").json()["metadata"]


def test_creators_and_tags_refuse_with_a_bare_list(reader: httpx.Client) -> None:
    for path in ("/api/v1/creators", "/api/v1/tags"):
        refused = reader.get(path, params={"limit": 201})
        assert refused.status_code == 400
        assert refused.json()[0]["code"] == "too_big"


def test_tags_never_name_a_next_page(reader: httpx.Client) -> None:
    page, names = 1, []
    while items := (answer := reader.get("/api/v1/tags", params={"limit": 20, "page": page}).json())["items"]:
        assert answer["metadata"] == {"totalItems": 0, "currentPage": page, "pageSize": 20, "totalPages": 1}
        names += [item["name"] for item in items]
        page += 1
    assert len(set(names)) == len(names) > 40
    found = reader.get("/api/v1/tags", params={"query": "wat"}).json()["items"]
    assert [item["name"] for item in found] == ["watercolour"]


def test_users(reader: httpx.Client) -> None:
    items = reader.get("/api/v1/users").json()["items"]
    assert len(items) == 5
    assert set(items[0]) == {"id", "username", "avatarUrl", "avatarNsfw", "meta"}
    assert {"/" in item["avatarUrl"] for item in items} == {True, False}  # now a URL, now a bare key
    ids = [item["id"] for item in items[:2]]
    found = reader.get("/api/v1/users", params={"ids": ids}).json()["items"]
    assert [item["id"] for item in found] == ids
    refused = reader.get("/api/v1/users", params={"email": "a@example.com"})
    assert refused.status_code == 400
    assert _zod(refused.json())


def test_me_needs_a_known_credential(reader: httpx.Client, library: Emulator) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        refused = reader.get("/api/v1/me", headers=headers)
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
    me = reader.get("/api/v1/me", headers={"Authorization": f"Bearer {library.token}"}).json()
    assert (me["username"], me["subject"]) == ("emulated", {"type": "apiKey", "id": 1})


def test_enums(reader: httpx.Client) -> None:
    enums = reader.get("/api/v1/enums").json()
    assert (len(enums["BaseModel"]), len(enums["ActiveBaseModel"]), len(enums["ModelType"])) == (99, 69, 23)


# /models and beyond: what was deleted


def test_a_deleted_model_is_nowhere(emulator: Emulator, anonymous: httpx.Client) -> None:
    model = emulator.catalogue.models[3]
    version, file = model.versions[0], model.versions[0].primary_file
    sha256 = file.hashes["SHA256"]
    paths = [
        f"/api/v1/models/{model.id}",
        f"/api/v1/model-versions/{version.id}",
        f"/api/v1/model-versions/by-hash/{sha256}",
        f"/api/download/models/{version.id}",
    ]
    assert all(anonymous.get(path).status_code != 404 for path in paths)
    emulator.catalogue.remove(model.id)
    assert [anonymous.get(path).status_code for path in paths] == [404] * 4
    assert anonymous.post("/api/v1/model-versions/by-hash/ids", json=[sha256]).json() == []
    assert model.id not in {item["id"] for item in _all(anonymous, "/api/v1/models", nsfw="true")}
    assert anonymous.get("/api/v1/images", params={"modelId": model.id}).json()["items"] == []
    with pytest.raises(KeyError):
        emulator.catalogue.remove(model.id)
