"""Blobs: signed URLs, refresh, upload; services and resources."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.drawing import Stored
from civitai_ext.emulator.world import World

PATH = "/v2/consumer/blobs"
Json = dict[str, Any]


@pytest.fixture
def blob(client: httpx.Client, emulator: Emulator) -> Json:
    step = {"$type": "textToImage", "input": {"prompt": "a stone bridge", "width": 256, "height": 192}}
    workflow = client.post("/v2/consumer/workflows", json={"steps": [step]}).json()
    emulator.clock.advance(60)
    shown = client.get(f"/v2/consumer/workflows/{workflow['id']}").json()
    made: Json = shown["steps"][0]["output"]["images"][0]
    return made


def _png(width: int = 8, height: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


def _status(answer: httpx.Response) -> int:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_content_is_served_to_the_url_and_refused_to_a_second_credential(
    client: httpx.Client, anonymous: httpx.Client, blob: Json
) -> None:
    content = anonymous.get(blob["url"])
    assert content.headers["content-type"] == "image/png"
    assert _status(client.get(blob["url"])) == 401
    part = anonymous.get(blob["url"], headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert anonymous.head(blob["url"]).headers["content-length"] == str(len(content.content))
    assert _status(anonymous.get(blob["url"][:-1])) == 401


def test_urls_expire_and_are_refreshed(
    client: httpx.Client, anonymous: httpx.Client, emulator: Emulator, blob: Json
) -> None:
    emulator.clock.advance(25 * 3600)
    assert _status(anonymous.get(blob["url"])) == 401
    fresh = client.post(f"{PATH}/{blob['id']}/refresh").json()
    assert (fresh["id"], fresh["type"]) == (blob["id"], "image")
    assert fresh["urlExpiresAt"] > blob["urlExpiresAt"]
    assert anonymous.get(fresh["url"]).status_code == 200


def test_a_refresh_keeps_a_blob_for_another_thirty_days(client: httpx.Client, emulator: Emulator, blob: Json) -> None:
    emulator.clock.advance(20 * 86_400)
    client.post(f"{PATH}/{blob['id']}/refresh")
    emulator.clock.advance(20 * 86_400)
    assert client.head(f"{PATH}/{blob['id']}").status_code == 204
    emulator.clock.advance(20 * 86_400)
    assert client.head(f"{PATH}/{blob['id']}").status_code == 404


def test_a_blob_redirects_to_its_content(client: httpx.Client, anonymous: httpx.Client, blob: Json) -> None:
    redirect = client.get(f"{PATH}/{blob['id']}")
    assert redirect.status_code == 308
    plain = anonymous.get(redirect.headers["location"])
    assert plain.status_code == 200
    assert "content-disposition" not in plain.headers
    named = client.get(f"{PATH}/{blob['id']}", params={"filename": "brücke.png"})
    assert "filename*=UTF-8''br%C3%BCcke.png" in anonymous.get(named.headers["location"]).headers["content-disposition"]
    split = client.get(f"{PATH}/{blob['id']}", params={"filename": "a\r\nSet-Cookie: b.png"})
    assert "set-cookie" not in anonymous.get(split.headers["location"]).headers
    assert client.head(f"{PATH}/{blob['id']}").status_code == 204
    assert client.head(f"{PATH}/none").status_code == 404
    assert _status(client.get(f"{PATH}/none")) == 404
    assert _status(anonymous.get(f"{PATH}/{blob['id']}")) == 401


def test_an_upload_is_measured_and_can_be_used(
    client: httpx.Client, anonymous: httpx.Client, emulator: Emulator
) -> None:
    answer = client.post(PATH, content=_png(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 201
    blob = answer.json()
    assert (blob["type"], blob["width"], blob["height"], blob["available"]) == ("image", 8, 6, True)
    assert anonymous.get(blob["url"]).content == _png()
    step = {"$type": "imageUpscaler", "input": {"image": blob["url"], "numberOfRepeats": 2}}
    workflow = client.post("/v2/consumer/workflows", json={"steps": [step]}).json()
    emulator.clock.advance(60)
    over = client.get(f"/v2/consumer/workflows/{workflow['id']}").json()
    assert over["steps"][0]["output"]["blob"]["width"] == 32


def test_uploads_that_are_refused(client: httpx.Client, anonymous: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield _png()

    image = {"Content-Type": "image/png"}
    assert _status(client.post(PATH, content=pieces(), headers=image)) == 411
    assert _status(client.post(PATH, content=b"", headers=image)) == 400
    assert _status(client.post(PATH, content=b"text", headers={"Content-Type": "text/plain"})) == 415
    assert _status(client.post(PATH, content=b"no image", headers=image)) == 422
    assert _status(anonymous.post(PATH, content=_png(), headers=image)) == 401


def test_a_signed_upload_needs_no_token_and_takes_none(
    client: httpx.Client, anonymous: httpx.Client, emulator: Emulator
) -> None:
    url = client.get(f"{PATH}/upload").json()["uploadUrl"]
    image = {"Content-Type": "image/png"}
    assert anonymous.post(url, content=_png(), headers=image).status_code == 201
    assert _status(client.post(url, content=_png(), headers=image)) == 401
    assert _status(anonymous.post(url + "x", content=_png(), headers=image)) == 401
    emulator.clock.advance(2 * 3600)
    assert _status(anonymous.post(url, content=_png(), headers=image)) == 401
    assert _status(anonymous.get(f"{PATH}/upload")) == 401


def _world(emulator: Emulator) -> World:
    assert emulator._server is not None
    return emulator._server._world


def test_the_parameters_of_a_blob_are_checked(client: httpx.Client, emulator: Emulator, blob: Json) -> None:
    path = f"{PATH}/{blob['id']}"
    own = client.get("/v2/consumer/workflows").json()["items"][0]["id"]
    assert client.get(path, params={"workflowId": own, "nsfwLevel": "PG"}).status_code == 308
    assert _status(client.get(path, params={"workflowId": "wf_other"})) == 404
    assert _status(client.get(path, params={"nsfwLevel": "17"})) == 400
    assert _status(client.get(path, params={"download": "maybe"})) == 400


@pytest.mark.parametrize("media_type", ["application/zip", "application/x-tar"])
def test_an_archive_is_served_until_its_url_runs_out(
    client: httpx.Client, anonymous: httpx.Client, emulator: Emulator, media_type: str
) -> None:
    blobs = _world(emulator).blobs
    archive = blobs.add(Stored(b"packed"), media_type=media_type, owner=1, at=emulator.clock.now())
    url = blobs.url(archive)
    assert "/blobs/archive/" in url
    answer = anonymous.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"packed", media_type)
    assert answer.headers["content-disposition"] == f'attachment; filename="{archive.id}"'
    assert _status(client.get(url)) == 401
    assert _status(anonymous.get(url + "x")) == 401
    emulator.clock.advance(25 * 3600)
    assert _status(anonymous.get(url)) == 410
    emulator.clock.advance(30 * 86_400)
    assert _status(anonymous.get(blobs.url(archive))) == 410


def test_blocked_content_says_why(client: httpx.Client, anonymous: httpx.Client, blob: Json) -> None:
    url = blob["url"].replace("/content/", "/blocked/")
    refused = anonymous.get(url)
    assert (_status(refused), refused.json()["detail"][:11]) == (403, "The content")
    assert _status(client.get(url)) == 401
    assert _status(anonymous.get(url + "x")) == 401


def test_a_stream_has_no_length(client: httpx.Client, anonymous: httpx.Client, emulator: Emulator, blob: Json) -> None:
    url = blob["url"].replace("/blobs/content/", "/streaming-blobs/")
    streamed = anonymous.get(url)
    assert "content-length" not in streamed.headers
    assert streamed.content == anonymous.get(blob["url"]).content
    assert _status(client.get(url)) == 401
    assert _status(anonymous.get(url + "x")) == 401
    emulator.clock.advance(31 * 86_400)
    assert _status(anonymous.get(url)) == 401


def test_caches_of_a_user_can_be_dropped(client: httpx.Client, anonymous: httpx.Client) -> None:
    for path in ("/v2/consumer/civitai/7", "/v2/consumer/civitai/7/tokens"):
        assert client.delete(path).status_code == 204
        assert _status(anonymous.delete(path)) == 401
    assert _status(client.delete("/v2/consumer/civitai/me")) == 404


# Services and resources


def test_services_need_no_token(reader: httpx.Client) -> None:
    page = reader.get("/v2/services", params={"limit": 2}).json()
    assert (len(page["items"]), page["totalCount"], page["limit"], page["offset"]) == (2, 6, 2, 0)
    found = reader.get("/v2/services", params={"prefix": "image/flux2", "query": "9b"}).json()["items"]
    assert [service["id"] for service in found] == ["image/flux2/klein/createImage/9b"]
    assert reader.get("/v2/services", params={"status": "degraded"}).json()["items"] == []
    assert _status(reader.get("/v2/services", params={"status": "fine"})) == 400
    service = reader.get("/v2/services/image/flux2/klein/createImage/9b").json()
    assert len(service["history"]["buckets"]) == 24
    assert _status(reader.get("/v2/services/image/none")) == 404


def test_resources(reader: httpx.Client, library: Emulator) -> None:
    token = {"Authorization": f"Bearer {library.token}"}
    version = next(iter(library._catalogue.version_by_id.values()))
    refused = reader.get(f"/v2/resources/{version.air}")
    assert (refused.status_code, refused.content) == (401, b"")
    shown = reader.get(f"/v2/resources/{version.air}", headers=token).json()
    assert (shown["air"], shown["hashes"]) == (version.air, version.primary_file.hashes)
    assert shown["availability"]["status"] in ("available", "loading", "unavailable", "unsupported")
    assert _status(reader.get("/v2/resources/urn:air:sdxl:lora:civitai:1@2", headers=token)) == 404
    assert _status(reader.get("/v2/resources/nonsense", headers=token)) == 400
    no_view = reader.get("/v2/resources", headers=token)
    assert no_view.json()["errors"] == {"view": ["The view field is required."]}
    queue = reader.get("/v2/resources", params={"view": "queue", "take": 3}, headers=token).json()
    assert {item["availability"]["status"] for item in queue["items"]} == {"loading"}
    assert queue["next"] == "3"
