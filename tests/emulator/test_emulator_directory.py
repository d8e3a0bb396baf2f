"""Apps, bugs, texts and tensors: what the documentation of the service does not mention."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator


def _all(reader: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        page = reader.get(path, params=query).json()
        items += page["items"]
        if "nextCursor" not in page["metadata"]:
            return items
        query["cursor"] = page["metadata"]["nextCursor"]


# Apps


@pytest.mark.parametrize("sort", ["top-rated", "popular", "newest", "name"])
def test_apps_page_by_a_cursor(anonymous: httpx.Client, sort: str) -> None:
    slugs = [app["slug"] for app in _all(anonymous, "/api/v1/apps", sort=sort, limit=7)]
    assert len(slugs) == len(set(slugs)) == 24
    assert slugs == [app["slug"] for app in _all(anonymous, "/api/v1/apps", sort=sort, limit=50)]
    if sort == "name":
        assert slugs == sorted(slugs)


def test_apps_by_kind_and_category(anonymous: httpx.Client) -> None:
    offsite = _all(anonymous, "/api/v1/apps", kind="offsite")
    assert {app["kindData"]["subKind"] for app in offsite} == {"connect", "external-link"}
    assert {app["kind"] for app in _all(anonymous, "/api/v1/apps", kind="onsite")} == {"onsite"}
    category = offsite[0]["category"]
    assert {app["category"] for app in _all(anonymous, "/api/v1/apps", category=category)} == {category}


def test_an_app(anonymous: httpx.Client) -> None:
    card = _all(anonymous, "/api/v1/apps", kind="offsite")[0]
    app = anonymous.get(f"/api/v1/apps/{card['slug']}").json()
    assert app.items() >= card.items()
    assert app.keys() - card.keys() == {"serialId", "description", "screenshots", "connectClientId"}
    missing = anonymous.get("/api/v1/apps/none")
    assert (missing.status_code, missing.json()) == (404, {"error": "App not found"})


def test_apps_refuse_in_their_own_words(anonymous: httpx.Client) -> None:
    for query in ({"limit": "51"}, {"kind": "both"}, {"sort": "best"}, {"cursor": "c" * 129}, {"category": "food"}):
        refused = anonymous.get("/api/v1/apps", params=query)
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert error["formErrors"] == []
        assert list(error["fieldErrors"]) == list(query)
    assert {anonymous.get("/api/v1/apps/none").status_code for _ in range(55)} == {404}
    refused = anonymous.get("/api/v1/apps")
    assert refused.status_code == 429
    body = refused.json()
    assert (body["retryAfterSeconds"], body["limit"], body["windowSeconds"]) == (60, 60, 60)
    assert refused.headers["retry-after"] == "60"


# Bugs


def test_bugs_page_by_offset(anonymous: httpx.Client) -> None:
    everything = _all(anonymous, "/api/v1/bugs", includeClosed="true", limit=15)
    assert [bug["id"] for bug in everything] == list(range(40, 0, -1))
    first = anonymous.get("/api/v1/bugs", params={"includeClosed": "true"}).json()
    assert (len(first["items"]), first["metadata"]) == (30, {"nextCursor": 30})
    # What is out of bounds counts for nothing.
    for limit in ("0", "201", "many", "-1"):
        page = anonymous.get("/api/v1/bugs", params={"includeClosed": "true", "limit": limit}).json()
        assert len(page["items"]) == 30


def test_bugs_are_filtered(anonymous: httpx.Client) -> None:
    everything = _all(anonymous, "/api/v1/bugs", includeClosed="true")
    closed = {bug["id"] for bug in everything if bug["status"] in ("Fixed", "Closed")}
    assert closed
    for query in ({}, {"includeClosed": "yes"}):
        assert not closed & {bug["id"] for bug in _all(anonymous, "/api/v1/bugs", **query)}
    for statuses in ("Fixed,Confirmed", ["Fixed", "Confirmed"]):
        found = _all(anonymous, "/api/v1/bugs", statuses=statuses)
        assert {bug["status"] for bug in found} == {"Fixed", "Confirmed"}
    tag = everything[0]["tags"][0]
    assert all(tag in bug["tags"] for bug in _all(anonymous, "/api/v1/bugs", tags=tag))
    assert all("vault" in bug["title"] for bug in _all(anonymous, "/api/v1/bugs", search="VAULT"))


def test_a_bug_answers_with_messages(anonymous: httpx.Client) -> None:
    assert anonymous.get("/api/v1/bugs/1").json()["id"] == 1
    for path, status in (("x", 400), ("1000", 404)):
        refused = anonymous.get(f"/api/v1/bugs/{path}")
        assert (refused.status_code, list(refused.json())) == (status, ["message"])
    assert anonymous.post("/api/v1/bugs/1").status_code == 405


# Texts


def test_texts(anonymous: httpx.Client) -> None:
    text = anonymous.get("/api/v1/content/rules/minors").json()
    assert text["content"].startswith("# ")
    assert "lastmod" not in anonymous.get("/api/v1/content/privacy").json()
    missing = anonymous.get("/api/v1/content/no/such/text")
    assert (missing.status_code, list(missing.json())) == (500, ["error"])


# Tensors


def test_tensors_are_read_from_the_file(emulator: Emulator, anonymous: httpx.Client) -> None:
    file = next(
        file
        for file in emulator._catalogue.file_by_id.values()
        if not file.is_archive and file.version.usage_control == "Download" and not file.version.early_access_until
        and not file.version.model.mode
    )  # fmt: skip
    path = f"/api/v1/model-files/{file.id}/tensor-metadata"
    answer = anonymous.get(path, params={"v": "2"})
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    shown = answer.json()
    header = int.from_bytes(file.content[:8], "little")
    assert shown["totalTensorBytes"] == len(file.content) - 8 - header
    assert shown["tensorCount"] == len(shown["tensors"])
    assert shown["largestTensor"] in shown["tensors"]
    assert shown["dtypeCounts"] == [{"dtype": "F16", "count": 1, "bytes": shown["totalTensorBytes"]}]
    summary = anonymous.get(path, params={"summaryOnly": "true"}).json()
    assert summary == {name: value for name, value in shown.items() if name != "tensors"}
    assert "tensors" in anonymous.get(path, params={"summaryOnly": "1"}).json()


def test_tensors_refuse(reader: httpx.Client, library: Emulator) -> None:
    files = library._catalogue.file_by_id.values()

    def status(wanted: Any) -> int:
        file = next(file for file in files if wanted(file))
        answer = reader.get(f"/api/v1/model-files/{file.id}/tensor-metadata")
        assert list(answer.json()) == ["error"]
        return answer.status_code

    assert status(lambda file: file.version.model.mode == "Archived") == 410
    assert status(lambda file: file.version.usage_control == "Generation") == 403
    assert status(lambda file: file.version.early_access_until) == 403
    assert status(lambda file: file.is_archive and file.version.model.mode is None) == 400
    assert reader.get("/api/v1/model-files/1/tensor-metadata").status_code == 404
    assert reader.get("/api/v1/model-files/x/tensor-metadata").status_code == 400
