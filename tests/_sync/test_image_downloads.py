# Derived from tests/_async/test_image_downloads.py by scripts/unasync.py: change that file, then run `make fix`.
"""Images: from the image host to the disk, and back to how they were made."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import Flux2KleinCreateImageInput, ImageUpscalerInput, TextToImageInput
from civitai_ext import Civitai, Step, errors, read_image_meta
from civitai_ext.catalogue import Image, ModelImage
from civitai_ext.emulator import Emulator
from civitai_ext.levels import BrowsingLevel
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
KEY = "b2e2bdc0-e20d-4c6f-9570-570ff47af635"
ALL = BrowsingLevel.ALL


def content(body: bytes = PNG, media_type: str | None = "image/jpeg", **headers: str) -> Answer:
    return Answer(200, body, headers, media_type)


def url_of(server: FaultServer, options: str = "original=true", name: str = "5.jpeg") -> str:
    return f"{server.url}/account/{KEY}/{options}/{name}"


# ---------------------------------------------------------------------------------------------------- from the emulator


def test_what_is_listed_can_be_downloaded_and_says_how_it_was_made(
    civitai: Civitai, emulator: Emulator, tmp_path: Path
) -> None:
    known = []
    for image in civitai.images.list(browsing_level=ALL, with_meta=True, limit=12):
        path = civitai.images.download(image, tmp_path)
        assert path == tmp_path / f"{image.id}.jpeg"
        meta = image.meta or read_image_meta(path)
        assert meta is not None  # also where the API does not know it
        read = read_image_meta(path)
        assert read is not None
        for name in (
            "prompt",
            "negative_prompt",
            "steps",
            "sampler",
            "cfg_scale",
            "seed",
            "size",
            "clip_skip",
            "model",
        ):
            assert getattr(read, name) == getattr(meta, name), name
        known.append(image.meta is not None)
    assert set(known) == {True, False}
    fetched = [request for request in emulator.journal if request.path.startswith("/media/")]
    assert len(fetched) == 12
    assert {request.credential for request in fetched} == {None}


def test_an_image_in_every_form_in_which_it_is_known(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    (image,) = civitai.images.list(limit=1).to_list()
    version = civitai.model_versions.get(image.model_version_ids[0])  # type: ignore[index]
    shown = next(shown for shown in version.images if shown.key == image.key)
    forms: list[Any] = [image, image.id, image.url, f"{emulator.url}/images/{image.id}", shown, shown.url]
    paths = [civitai.images.download(form, f"{tmp_path}/{place}/") for place, form in enumerate(forms)]
    assert len({path.read_bytes() for path in paths}) == 1
    assert {path.stem for path in paths} == {str(image.id), image.key}
    assert (civitai.images.download(image.id, tmp_path / "any.name")).name == "any.name"


@pytest.mark.parametrize("host", ["civitai.com", "www.civitai.com", "civitai.red", "civitai.green"])
def test_pages_of_every_host_of_the_site(civitai: Civitai, tmp_path: Path, host: str) -> None:
    (image,) = civitai.images.list(limit=1).to_list()
    path = civitai.images.download(f"https://{host}/images/{image.id}?period=AllTime", tmp_path)
    assert path == tmp_path / f"{image.id}.jpeg"


def test_other_sizes(civitai: Civitai, tmp_path: Path) -> None:
    (image,) = civitai.images.list(limit=1).to_list()
    whole = civitai.images.download(image, tmp_path)
    small = civitai.images.download(image, tmp_path, width=96)
    high = civitai.images.download(image, tmp_path, width=96, height=64)
    assert [path.name for path in (small, high)] == [f"{image.id}-w96.jpeg", f"{image.id}-w96-h64.jpeg"]
    assert len(small.read_bytes()) < len(whole.read_bytes())
    assert read_image_meta(small) is None


def test_one_that_is_there_is_left_alone_without_a_request(
    civitai: Civitai, emulator: Emulator, tmp_path: Path
) -> None:
    (image,) = civitai.images.list(limit=1).to_list()
    (tmp_path / f"{image.id}.txt").write_text("a caption")
    (tmp_path / f"{image.id}.webp").write_bytes(b"mine")
    before = len(emulator.journal)
    for form in (image, image.id):
        assert (civitai.images.download(form, tmp_path)).read_bytes() == b"mine"
        with pytest.raises(FileExistsError):
            civitai.images.download(form, tmp_path, exists="error")
    with pytest.raises(FileExistsError):
        civitai.images.download(image, tmp_path / f"{image.id}.webp")
    assert len(emulator.journal) == before
    path = civitai.images.download(image, tmp_path / f"{image.id}.webp", exists="overwrite")
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_what_a_step_gives_says_how_it_was_made(civitai: Civitai, tmp_path: Path, format: str) -> None:
    made: Any = TextToImageInput(
        model="urn:air:sdxl:checkpoint:civitai:1@2",
        prompt="a cat, 海辺の猫\nwith <lora:hat:0.8>",
        negative_prompt="dogs",
        seed=7,
        steps=12,
        cfg_scale=4.5,
        width=640,
        height=512,
        output_format=format,
    )
    done = (civitai.workflows.submit(made)).wait()
    (path,) = done.save(tmp_path)
    meta = read_image_meta(path)
    assert meta is not None
    assert (meta.prompt, meta.negative_prompt) == (made.prompt, "dogs")
    assert (meta.seed, meta.steps, meta.cfg_scale, meta.size) == (7, 12, 4.5, (640, 512))
    assert meta.model == made.model
    assert next((used.type, used.name, used.weight) for used in meta.resources) == ("lora", "hat", 0.8)


def test_what_a_step_makes_of_a_picture_still_says_it(civitai: Civitai, tmp_path: Path) -> None:
    hero = Step(Flux2KleinCreateImageInput(prompt="a cat astronaut", seed=5), name="hero")
    big = Step(ImageUpscalerInput(image=hero.output.images[0].url))
    done = (civitai.workflows.submit(hero, big)).wait()
    for path in done.save(tmp_path):
        meta = read_image_meta(path)
        assert meta is not None
        assert (meta.prompt, meta.seed) == ("a cat astronaut", 5)


def test_what_a_graph_gives_says_which_graph(civitai: Civitai, tmp_path: Path) -> None:
    graph = {
        "1": {"classType": "CLIPTextEncode", "inputs": {"text": "a cat astronaut"}},
        "2": {"classType": "KSampler", "inputs": {"seed": 9, "steps": 20, "positive": ["1", 0]}},
    }
    done = (civitai.workflows.submit({"$type": "comfy", "input": {"comfyWorkflow": graph}})).wait()
    (path,) = done.save(tmp_path)
    meta = read_image_meta(path)
    assert meta is not None
    assert (meta.prompt, meta.seed, meta.steps) == ("a cat astronaut", 9, 20)
    assert json.loads(str(meta["comfy"]))["prompt"]["2"]["class_type"] == "KSampler"


# ---------------------------------------------------------------------------------------------------- from other hosts


@pytest.mark.parametrize(
    ("body", "media_type", "suffix"),
    [
        (PNG, "image/jpeg", ".png"),
        (b"RIFF\0\0\0\0WEBP", "image/jpeg", ".webp"),
        (b"\xff\xd8\xff\xe0", "application/octet-stream", ".jpeg"),
        (b"\0\0\0\x20ftypisom", "image/jpeg", ".mp4"),
        (b"\0\0\0\x20ftypavif", None, ".avif"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\x82\x84webm", "video/mp4", ".webm"),
        (b"ID3\4", "audio/mpeg", ".mp3"),
        (b"?", "image/webp", ".webp"),
        (b"?", "video/webm", ".webm"),
        (b"?", None, ".jpeg"),
        (b"<svg/>", "image/svg+xml", ".svg"),
    ],
)
def test_the_suffix_is_that_of_what_came(
    scripted: Civitai, server: FaultServer, tmp_path: Path, body: bytes, media_type: str | None, suffix: str
) -> None:
    server.script(content(body, media_type))
    path = scripted.images.download(url_of(server), tmp_path)
    assert path == tmp_path / f"{KEY}{suffix}"
    assert path.read_bytes() == body


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (ModelImage(url="{url}/account/{key}/width=450/9.jpeg"), KEY),
        (ModelImage(url="{url}/account/{key}/width=450/9.jpeg", id=9), "9"),
        (Image(url="{url}/elsewhere/a picture.jpg", type="video"), "a picture"),
        (Image(url="{url}/..%2F..%2Fetc"), "..%2F..%2Fetc"),
        (Image(url="{url}/"), "image"),
        (Image(url="{url}/CON.png?a/b.exe"), "_CON"),
        (Image(url="{url}/x.jpeg", id="../../x"), "x"),  # type: ignore[arg-type]
    ],
)
def test_names_stay_in_the_folder(
    scripted: Civitai, server: FaultServer, tmp_path: Path, image: Any, name: str
) -> None:
    server.script(content())
    image.url = image.url.format(url=server.url, key=KEY).replace(" ", "%20")
    path = scripted.images.download(image, tmp_path)
    assert path.parent == tmp_path
    assert list(tmp_path.iterdir()) == [path]
    assert path.suffix == ".png"
    if name in (KEY, "9", "image", "x"):
        assert path.stem == name


@pytest.mark.parametrize(
    "page",
    [
        content(b"<!DOCTYPE html><title>Log in</title>", "text/html"),
        content(b"\n <HTML>", "image/png"),
        content(b'{"error": "busy"}', "application/json"),
        content(b'{"no": "picture"}', "image/jpeg"),
        content(b"<Error><Code>NoSuchKey</Code></Error>", "application/xml"),
        content(b"Not Found", "text/plain"),
        content(b"PK\3\4", "application/zip"),
    ],
)
def test_nothing_else_is_taken_for_a_picture(
    scripted: Civitai, server: FaultServer, tmp_path: Path, page: Answer
) -> None:
    server.script(page)
    for to in (tmp_path, tmp_path / "1.png"):
        with pytest.raises(errors.NotAFile):
            scripted.images.download(url_of(server), to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("faults", [[Cut(b"\x89PNG\r\n\x1a\n" + b"x" * 600)], [Reset(), Answer(503)], [content(b"")]])
def test_what_passes_is_tried_again(
    scripted: Civitai, server: FaultServer, tmp_path: Path, faults: list[Action]
) -> None:
    server.script(*faults, content())
    path = scripted.images.download(url_of(server), tmp_path)
    assert path.read_bytes() == PNG
    assert list(tmp_path.iterdir()) == [path]
    assert len(server.received) == len(faults) + 1


def test_a_picture_that_never_comes_whole_leaves_nothing(
    scripted: Civitai, server: FaultServer, tmp_path: Path
) -> None:
    server.script(Cut(b"\x89PNG\r\n\x1a\n" + b"x" * 600))
    with pytest.raises(errors.UnexpectedResponse):
        scripted.images.download(url_of(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed_without_the_token(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    server.script(Answer(302, b"", {"location": "/cache/1.png"}), content())
    assert (scripted.images.download(url_of(server), tmp_path)).read_bytes() == PNG
    assert [request.target for request in server.received][1] == "/cache/1.png"
    assert not any("authorization" in request.headers for request in server.received)


@pytest.mark.parametrize(
    ("location", "requests"),
    [("http://192.168.0.1/admin", 1), ("ftp://x/y", 1), ("", 1), ("/again", 6)],
)
def test_redirects_that_lead_nowhere(
    scripted: Civitai, server: FaultServer, tmp_path: Path, location: str, requests: int
) -> None:
    server.script(Answer(302, b"", {"location": location}))
    with pytest.raises(errors.UnexpectedResponse):
        scripted.images.download(url_of(server), tmp_path)
    assert len(server.received) == requests


@pytest.mark.parametrize(("status", "error"), [(404, errors.NotFound), (403, errors.PermissionDenied)])
def test_refusals_of_the_host(
    scripted: Civitai, server: FaultServer, tmp_path: Path, status: int, error: type[errors.ApiError]
) -> None:
    server.script(Answer(status, b"no", media_type="text/plain"))
    with pytest.raises(error):
        scripted.images.download(url_of(server), tmp_path)
    assert len(server.received) == 1


def test_progress_is_told(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    server.script(content())
    told: list[tuple[int, int | None]] = []
    scripted.images.download(url_of(server), tmp_path, on_progress=lambda *so_far: told.append(so_far))
    assert told[-1] == (len(PNG), len(PNG))
    assert all(before[0] < after[0] for before, after in itertools.pairwise(told))


# ------------------------------------------------------------------------------------------------------ wrong questions


@pytest.mark.parametrize(
    "image",
    [None, 5.0, True, 0, -1, 2**31, b"x", "", "5", "x", "file:///etc/passwd", "http://192.168.0.1/x", "https://a@b/x",
     "https://[x", "https://civitai.com/images/0", Image(), ModelImage()],
)  # fmt: skip
def test_what_is_no_image(scripted: Civitai, server: FaultServer, tmp_path: Path, image: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        scripted.images.download(image, tmp_path)
    assert server.received == []


@pytest.mark.parametrize("url", ["http://192.168.0.1/x", "ftp://x/y", "https://[x", "https://x\r\ny/"])
def test_an_url_of_the_service_that_is_not_to_trust_is_not_fetched(
    scripted: Civitai, server: FaultServer, tmp_path: Path, url: str
) -> None:
    with pytest.raises(errors.UnexpectedResponse, match="not one to fetch"):
        scripted.images.download(Image(id=5, url=url), tmp_path)
    assert server.received == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [{"width": 0}, {"height": -5}, {"width": "450"}, {"width": True}, {"exists": "ask"}])
def test_what_cannot_be_asked_for(
    scripted: Civitai, server: FaultServer, tmp_path: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidRequest, match=next(iter(asked))):
        scripted.images.download(url_of(server), tmp_path, **asked)
    assert server.received == []


def test_other_hosts_have_no_other_sizes(scripted: Civitai, server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="other sizes"):
        scripted.images.download(f"{server.url}/x.png", tmp_path, width=450)
    assert server.received == []
