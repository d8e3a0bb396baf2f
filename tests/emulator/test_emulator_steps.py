"""What the kinds of step do, beyond taking every input and answering in the right shape."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import wave
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.drawing import Source
from civitai_ext.emulator.media import glb, mp4, wav
from civitai_ext.emulator.steps import KINDS

PATH = "/v2/consumer/workflows"
PLACE = "https://media.example/source"
Json = dict[str, Any]
Run = Callable[..., Json]


@pytest.fixture
def run(client: httpx.Client, emulator: Emulator) -> Run:
    """Submit some steps, let the time pass, and answer the workflow as it then is."""
    emulator.ledger.balance["yellow"] = 100_000

    def run(*steps: Json, **fields: Any) -> Json:
        answer = client.post(PATH, json={"steps": list(steps), **fields})
        assert answer.status_code == 202, answer.text
        emulator.clock.advance(1200)
        over: Json = client.get(f"{PATH}/{answer.json()['id']}").json()
        return over

    return run


def _step(type_: str, name: str = "only", /, **fields: Any) -> Json:
    return {"$type": type_, "name": name, "input": fields}


def _image(prompt: str = "a lighthouse", **fields: Any) -> Json:
    size = {"width": 512, "height": 512}
    given = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": prompt, "seed": 7}
    return _step("imageGen", "image", **given, **size, **fields)


def _video(prompt: str = "a lighthouse", **fields: Any) -> Json:
    given = {"engine": "ltx2.3", "operation": "createVideo", "prompt": prompt, "seed": 7, "width": 320, "height": 192}
    return _step("videoGen", "video", **given, **fields)


def _of(name: str, path: str) -> Json:
    return {"$ref": name, "path": f"output.{path}"}


def _output(workflow: Json, place: int = -1) -> Json:
    step = workflow["steps"][place]
    assert step["status"] == "succeeded", step
    output: Json = step["output"]
    return output


def _problem(client: httpx.Client, *steps: Json) -> list[str]:
    answer = client.post(PATH, json={"steps": list(steps)})
    assert answer.status_code == 400, answer.text
    return list(answer.json()["errors"])


# ---------------------------------------------------------------------------------------------------------- all kinds


@pytest.mark.parametrize("word", ["[fail]", "[block]"])
@pytest.mark.parametrize(
    ("step", "output"),
    [
        (_step("echo", message="m"), None),
        (_image(), {"images": [], "errors": [None]}),
        (_step("textToImage", prompt="p"), {"images": []}),
        (_video(), None),
        (_step("textToSpeech", text="t"), None),
        (_step("training", engine="comfy", trainingData={"type": "zip", "sourceUrl": PLACE}), None),
        (_step("model3DPreview", model="m"), {"images": []}),
    ],
    ids=lambda value: value["$type"] if value and "$type" in value else None,
)
def test_words_end_any_kind(run: Run, emulator: Emulator, step: Json, output: Json | None, word: str) -> None:
    given = {**step, "input": {**step["input"], "note": word}}
    (over,) = run(given)["steps"]
    assert over["status"] == "failed"
    if output and "errors" in output:
        assert len(over["output"].pop("errors")) == 1
        output = {"images": []}
    assert over.get("output") == output
    assert emulator.ledger.transactions[-1].type == "credit"


def test_mature_films_are_withheld_until_they_are_allowed(run: Run, client: httpx.Client) -> None:
    workflow = run(_video("[mature]", quantity=2))
    output = _output(workflow)
    for video in (output["video"], *output["additionalVideos"]):
        assert (video["nsfwLevel"], video["available"], "url" in video) == ("x", False, False)
    client.put(f"{PATH}/{workflow['id']}", json={"allowMatureContent": True})
    assert client.get(f"{PATH}/{workflow['id']}").json()["steps"][0]["output"]["video"]["available"] is True


def test_kinds_differ_in_price_and_length(client: httpx.Client, run: Run) -> None:
    echo, video = run(_step("echo", message="m")), run(_video(duration=3))
    longer = run(_video(duration=12))
    assert echo["cost"]["total"] < video["cost"]["total"] < longer["cost"]["total"]
    ends = [workflow["steps"][0]["completedAt"][11:19] for workflow in (echo, video, longer)]
    begins = [workflow["steps"][0]["startedAt"][11:19] for workflow in (echo, video, longer)]
    lengths = [
        sum(60**place * int(part) for place, part in enumerate(reversed(end.split(":"))))
        - sum(60**place * int(part) for place, part in enumerate(reversed(begin.split(":"))))
        for begin, end in zip(begins, ends, strict=True)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_types_and_enumerations_are_taken_in_any_case(run: Run) -> None:
    step = {"$type": "TEXTTOIMAGE", "name": "i", "input": {"PROMPT": "p", "outputFormat": "JPEG"}}
    (over,) = run(step)["steps"]
    assert over["$type"] == "textToImage"
    assert over["output"]["images"][0]["id"].endswith(".jpeg")


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (
            _step("videoGen", engine="wan", version="v2.7", provider="fal", operation="edit-video", prompt="p"),
            "videoUrl",
        ),
        (_video(duration=31), "duration"),
        (_step("videoGen", engine="kling", prompt="p", duration="500"), "duration"),
        (_video(quantity=11), "quantity"),
        (_step("mediaHash", mediaUrl=PLACE, hashTypes=["md5"]), "hashTypes[0]"),
        (_step("blobArchive", entries=[]), "entries"),
        (_step("blobArchive", entries=[{}]), "entries[0].blobId"),
        (_step("convertImage", image=PLACE, output={"format": "bmp"}), "output.format"),
        (_step("chatCompletion", model="m", messages=[{"role": "king", "content": "c"}]), "messages[0].role"),
        (_step("training", engine="comfy", trainingData={"type": "rar", "sourceUrl": "x"}), "trainingData.type"),
        (_step("training", engine="comfy", trainingData="x"), "trainingData"),
        (_step("comfy", comfyWorkflow={"1": {"inputs": {}}}), "comfyWorkflow.1.classType"),
        (_step("customComfy", resources=["r"], trace="none"), "workflow"),
        (_step("preprocessImage", kind="canny"), "image"),
        (_step("xGuardModeration", mode="text", text="t", labelOverrides=[{}]), "labelOverrides[0].label"),
        (_step("qwenImageBench", items=[{"id": "i", "prompt": "p"}]), "items[0].image"),
        (_step("textToSpeech", engine="custom"), "text"),
    ],
)
def test_faults_are_found_at_their_place(client: httpx.Client, step: Json, path: str) -> None:
    assert _problem(client, step) == [f"steps[0].input.{path}"]


def test_an_input_that_is_no_object(client: httpx.Client) -> None:
    for type_ in KINDS.keys() - {"imageUpload"}:
        assert _problem(client, {"$type": type_, "input": 5}) == ["steps[0].input"], type_


def test_the_same_seed_gives_the_same_files() -> None:
    makers: list[Callable[[int], Source]] = [
        lambda seed: mp4.Film(64, 64, seed, "p"),
        lambda seed: glb.Mesh(seed, "n"),
        lambda seed: wav.Sound(seed, 2),
    ]
    for make in makers:
        assert make(1).render() == make(1).render()
        assert make(1).render() != make(2).render()


# --------------------------------------------------------------------------------------------------------- references


def test_a_reference_may_stand_for_any_value(run: Run) -> None:
    arguments = {"texts": ["hello there"], "number": 2, "engine": "ltx2.3", "input": {"message": "whole"}}
    ref = {name: {"$ref": "$arguments", "path": name} for name in arguments}
    workflow = run(
        _step("videoGen", "a", engine=ref["engine"], prompt={"$ref": "$arguments", "path": "texts[0]"}, quantity=1),
        _step("textToSpeech", "b", text={"$ref": "$arguments", "path": "texts[0]"}),
        _step("textToImage", "c", prompt="p", quantity=ref["number"]),
        {"$type": "echo", "name": "d", "input": ref["input"]},
        _step("composeMedia", "e", elements=[{"url": _of("a", "video.url")}, {"url": _of("a", "video.url")}]),
        arguments=arguments,
    )
    assert [step["status"] for step in workflow["steps"]] == ["succeeded"] * 5
    assert len(_output(workflow, 2)["images"]) == 2
    assert _output(workflow, 3) == {"message": "whole"}
    assert [part["startSeconds"] for part in _output(workflow, 4)["elements"]] == [0, 5]


@pytest.mark.parametrize("given", [{"prompt": "p", "quantity": 10**9}, {"prompt": 5}, {"prompt": None}])
def test_what_a_reference_leads_to_is_checked_too(run: Run, given: Json) -> None:
    fields = {name: {"$ref": "$arguments", "path": name} for name in given}
    (step,) = run(_step("textToImage", **fields), arguments=given)["steps"]
    assert (step["status"], step["output"]) == ("failed", {"images": []})
    assert step["jobs"][0]["reason"].startswith("input.")


# --------------------------------------------------------------------------------------------------------- repetition


def _repeat(template: Json, path: str = "words") -> Json:
    return _step("repeat", **{"for": {"$ref": "$arguments", "path": path, "as": "word"}, "template": template})


def test_a_repeated_step_runs_for_every_member(run: Run, anonymous: httpx.Client) -> None:
    template = {"$type": "textToImage", "name": "i", "input": {"prompt": {"$ref": "word", "path": "text"}}}
    workflow = run(_repeat(template), arguments={"words": [{"text": "one"}, {"text": "two"}]})
    (step,) = workflow["steps"]
    # What was submitted is shown as it was submitted.
    assert step["input"] == _repeat(template)["input"]
    inner = _output(workflow)["steps"]
    assert [(each["$type"], each["status"], each["input"]["prompt"]) for each in inner] == [
        ("textToImage", "succeeded", "one"),
        ("textToImage", "succeeded", "two"),
    ]
    contents = [anonymous.get(each["output"]["images"][0]["url"]).content for each in inner]
    assert contents[0].startswith(b"\x89PNG")
    assert contents[0] != contents[1]


def test_a_member_that_fails_leaves_the_others_alone(run: Run) -> None:
    template = {"$type": "echo", "input": {"message": {"$ref": "word", "path": ""}}}
    workflow = run(_repeat(template), arguments={"words": ["a", "[fail]", 5]})
    inner = _output(workflow)["steps"]
    assert [each["status"] for each in inner] == ["succeeded", "failed", "failed"]
    assert inner[0]["output"] == {"message": "a"}
    reasons = [each["jobs"][0].get("reason") for each in inner]
    assert reasons == [None, "no_provider_available", "input.message: The message field must be a string."]


def test_a_repetition_of_what_another_step_made(run: Run, client: httpx.Client) -> None:
    images = _image(quantity=3)
    template = {"$type": "imageUpscaler", "input": {"image": {"$ref": "image_", "path": "url"}}}
    clause = {"$ref": "image", "path": "output.images", "as": "image_"}
    workflow = run(images, _step("repeat", **{"for": clause, "template": template}))
    assert [each["output"]["blob"]["width"] for each in _output(workflow)["steps"]] == [1024] * 3
    assert client.get(f"{PATH}/{workflow['id']}").status_code == 200


def test_repetitions_that_cannot_be(client: httpx.Client, run: Run) -> None:
    echo = {"$type": "echo", "input": {"message": "m"}}
    start = "steps[0].input"
    assert _problem(client, _step("repeat", template=echo)) == [f"{start}.for"]
    assert _problem(client, _repeat({"$type": "echo", "input": {}})) == [f"{start}.template.input.message"]
    assert _problem(client, _repeat({"$type": "echo"})) == [f"{start}.template.input"]
    assert _problem(client, _repeat(_repeat(echo))) == [f"{start}.template.$type"]
    stray = {"$type": "echo", "input": {"message": {"$ref": "other", "path": "x"}}}
    assert _problem(client, _repeat(stray)) == [f"{start}.template.input.message"]
    (step,) = run(_repeat(echo), arguments={"words": "no list"})["steps"]
    assert (step["status"], step["output"]) == ("failed", {"steps": []})
    (step,) = run(_repeat(echo, "gone"), arguments={"words": []})["steps"]
    assert step["status"] == "failed"


# ------------------------------------------------------------------------------------------- what is computed honestly


def test_hashes_of_a_model_are_those_of_its_file(run: Run, client: httpx.Client, emulator: Emulator) -> None:
    versions = emulator._catalogue.version_by_id.values()
    version = next(v for v in versions if v.usage_control == "Download" and not v.primary_file.is_archive)
    content = version.primary_file.content
    workflow = run(
        _step("modelHash", "a", model=version.air),
        _step("modelParseMetadata", "b", model=version.air),
        _step("modelPickleScan", "c", model=version.air),
    )
    assert _output(workflow, 0)["sha256"] == hashlib.sha256(content).hexdigest().upper()
    assert json.loads(_output(workflow, 1)["metadata"])["format"] == "pt"
    assert _output(workflow, 2)["status"] == "skippedSafetensors"
    (step,) = run(_step("modelHash", model="urn:air:sdxl:checkpoint:civitai:1@1"))["steps"]
    assert step["status"] == "failed"


def test_like_pictures_have_like_hashes(run: Run) -> None:
    types = ["Perceptual", "perceptualDct", "perceptualDct256"]
    url = _of("image", "images[0].url")
    workflow = run(
        _image(),
        _step("imageUpscaler", "large", image=url),
        _step("mediaHash", "a", mediaUrl=url, hashTypes=types),
        _step("mediaHash", "b", mediaUrl=_of("large", "blob.url"), hashTypes=types),
        _step("mediaHash", "c", mediaUrl=PLACE, hashTypes=types),
    )
    first, second, other = (_output(workflow, place)["hashes"] for place in (2, 3, 4))
    assert {name: len(value) for name, value in first.items()} == {
        "perceptual": 16,
        "perceptualDct": 16,
        "perceptualDct256": 64,
    }
    for name, value in first.items():
        apart = [(int(value, 16) ^ int(found[name], 16)).bit_count() for found in (second, other)]
        assert apart[0] < apart[1]


@pytest.mark.parametrize("format_", ["zip", "tar"])
def test_an_archive_holds_the_blobs_it_was_asked_for(run: Run, anonymous: httpx.Client, format_: str) -> None:
    workflow = run(
        _image(quantity=2),
        _step(
            "blobArchive",
            entries=[
                {"blobId": _of("image", "images[0].id"), "fileName": "first.png"},
                {"blobId": _of("image", "images[1].id")},
            ],
            format=format_,
        ),
    )
    images, output = _output(workflow, 0)["images"], _output(workflow)
    assert (output["entryCount"], output["format"]) == (2, format_)
    content = io.BytesIO(anonymous.get(output["url"]).content)
    if format_ == "zip":
        with zipfile.ZipFile(content) as archive:
            packed = {name: archive.read(name) for name in archive.namelist()}
    else:
        with tarfile.open(fileobj=content) as files:
            packed = {name: files.extractfile(name).read() for name in files.getnames()}  # type: ignore[union-attr]
    assert packed == {
        "first.png": anonymous.get(images[0]["url"]).content,
        images[1]["id"]: anonymous.get(images[1]["url"]).content,
    }


def test_an_archive_of_what_is_not_there_fails(run: Run) -> None:
    (step,) = run(_step("blobArchive", entries=[{"blobId": "gone.png"}]))["steps"]
    assert step["status"] == "failed"


def test_a_blob_of_which_only_parts_are_shown_is_listed_once(run: Run, client: httpx.Client) -> None:
    blob = _output(run(_step("transcode", sourceUrl=PLACE)))
    listing = client.get(PATH, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(listing.content)) as archive:
        assert [name.rpartition("/")[2] for name in archive.namelist()] == [blob["id"]]


def test_films_keep_count_of_their_frames(run: Run, anonymous: httpx.Client) -> None:
    url = _of("video", "video.url")
    workflow = run(
        _video(duration=4, fps=10),
        _step("videoInterpolation", "fast", video=url, interpolationFactor=3),
        _step("videoMetadata", "facts", video=_of("fast", "video.url")),
        _step("videoUpscaler", "large", video=url, scaleFactor=3),
        _step("videoFrameExtraction", "frames", videoUrl=url, frameRate=2, startTime=1),
        _step("transcode", "small", sourceUrl=url, width=160),
    )
    assert _output(workflow, 2) == {"width": 320, "height": 192, "fps": 30, "duration": "00:00:04"}
    assert (_output(workflow, 3)["video"]["width"], _output(workflow, 3)["video"]["height"]) == (960, 576)
    frames = _output(workflow, 4)
    assert (frames["totalFramesExtracted"], len(frames["frames"])) == (6, 6)
    assert (frames["frames"][0]["width"], frames["frames"][0]["height"]) == (320, 192)
    facts = mp4.read(anonymous.get(_output(workflow, 5)["url"]).content)
    assert facts == mp4.Facts(160, 96, 4, 10)


def test_a_film_of_the_callers_is_measured(run: Run, client: httpx.Client) -> None:
    content = mp4.Film(96, 64, 1, "p", seconds=2.5, fps=8).render()
    blob = client.post("/v2/consumer/blobs", content=content, headers={"Content-Type": "video/mp4"}).json()
    facts = _output(run(_step("videoMetadata", video=blob["url"])))
    assert facts == {"width": 96, "height": 64, "fps": 8, "duration": "00:00:02.5000000"}
    broken = client.post("/v2/consumer/blobs", content=b"no film", headers={"Content-Type": "video/mp4"}).json()
    (step,) = run(_step("videoMetadata", video=broken["url"]))["steps"]
    assert step["status"] == "failed"


def test_what_was_said_is_heard(run: Run) -> None:
    said = "the tide comes in at noon"
    workflow = run(
        _step("textToSpeech", "voice", text=said, engine="vllm-omni", ecosystem="omnivoice"),
        _step("transcription", mediaUrl=_of("voice", "audioBlob.url")),
    )
    heard = _output(workflow)
    assert heard["text"] == said
    assert [stamp["text"] for stamp in heard["timeStamps"]] == said.split()
    assert heard["timeStamps"][-1]["endTime"] == pytest.approx(_output(workflow, 0)["audioBlob"]["duration"])


def test_songs_are_as_long_as_asked(run: Run, anonymous: httpx.Client) -> None:
    workflow = run(_step("aceStepAudio", musicDescription="m", lyrics="l", seed=1, duration=12))
    blob = _output(workflow)["blob"]
    with wave.open(io.BytesIO(anonymous.get(blob["url"]).content)) as sound:
        assert sound.getnframes() / sound.getframerate() == blob["duration"] == 12


def test_pictures_are_told_by_what_they_show(run: Run) -> None:
    url = _of("image", "images[0].url")
    workflow = run(
        _image("a quiet lighthouse"),
        _step("imageUpscaler", "large", image=url),
        _step("mediaCaptioning", "a", mediaUrl=_of("large", "blob.url")),
        _step("wdTagging", "b", mediaUrl=url),
        _step("mediaRating", "c", image=url, includeFaceRecognition=True),
    )
    assert "a quiet lighthouse" in _output(workflow, 2)["caption"]
    assert {"quiet", "lighthouse"} <= _output(workflow, 3)["tags"].keys()
    assert _output(workflow, 4) == {
        "nsfwLevel": "pg",
        "isBlocked": False,
        "labels": ["quiet", "lighthouse"],
        "faceRecognition": {"faces": []},
    }


@pytest.mark.parametrize(("text", "blocked"), [("a lighthouse", False), ("[mature] a lighthouse", True)])
def test_moderation(run: Run, text: str, blocked: bool) -> None:
    workflow = run(
        _step("xGuardModeration", "a", mode="text", text=text, labels=["nsfw"]),
        _step("shieldstralModeration", "b", mode="prompt", positivePrompt=text, policies=["nsfw"]),
    )
    labels, policies = (step["output"] for step in workflow["steps"])
    assert (labels["blocked"], labels["triggeredLabels"]) == (blocked, ["nsfw"] if blocked else [])
    assert (policies["blocked"], policies["triggeredPolicies"]) == (blocked, ["nsfw"] if blocked else [])


def test_a_chat(run: Run, anonymous: httpx.Client) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "Why?"}]}]
    given = {"model": "m", "messages": messages, "n": 2, "modalities": ["text", "image"]}
    output = _output(run(_step("chatCompletion", **given, responseFormat={"type": "json_object"})))
    assert [choice["index"] for choice in output["choices"]] == [0, 1]
    message = output["choices"][0]["message"]
    assert json.loads(message["content"]) == output["parsed"]
    assert "Why?" in output["parsed"]["answer"]
    assert anonymous.get(message["images"][0]["image_url"]["url"]).content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "suffix", "count"),
    [
        ({"engine": "ai-toolkit", "ecosystem": "ltx2", "epochs": 2}, "mp4", 2),
        ({"engine": "ai-toolkit", "ecosystem": "ace_step_15", "epochs": 1}, "wav", 1),
        ({"engine": "comfy", "ecosystem": "sdxl"}, "png", 5),
    ],
)
def test_a_training_gives_weights_and_samples(
    run: Run, anonymous: httpx.Client, given: Json, suffix: str, count: int
) -> None:
    data = {"type": "zip", "sourceUrl": PLACE, "count": 20}
    workflow = run(_step("training", **given, trainingData=data, samples={"prompts": ["a", "b"]}))
    epochs = _output(workflow)["epochs"]
    assert [epoch["epochNumber"] for epoch in epochs] == list(range(1, count + 1))
    assert [sample["id"].rpartition(".")[2] for sample in epochs[0]["samples"]] == [suffix, suffix]
    content = anonymous.get(epochs[-1]["model"]["url"]).content
    assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def test_urls_in_outputs_are_renewed(
    run: Run, client: httpx.Client, emulator: Emulator, anonymous: httpx.Client
) -> None:
    given = {"engine": "kohya", "model": "m", "trainingData": PLACE, "samplePrompts": ["a"], "maxTrainEpochs": 1}
    workflow = run(_step("imageResourceTraining", **given))
    emulator.clock.advance(25 * 3600)
    (epoch,) = client.get(f"{PATH}/{workflow['id']}").json()["steps"][0]["output"]["epochs"]
    assert len(anonymous.get(epoch["blobUrl"]).content) == epoch["blobSize"]
    assert anonymous.get(epoch["sampleImages"][0]).content.startswith(b"\x89PNG")
    assert anonymous.get(_output(workflow)["epochs"][0]["blobUrl"]).status_code == 401


# -------------------------------------------------------------------------------------------------------------- images


def test_conversions(run: Run, anonymous: httpx.Client) -> None:
    transforms = [{"type": "blur", "blur": 9, "mode": "include"}, {"type": "resize", "targetWidth": 100}]
    step = _step("convertImage", image=_of("image", "images[0].url"), transforms=transforms, output={"format": "gif"})
    blob = _output(run(_image(), step))["blob"]
    with Image.open(io.BytesIO(anonymous.get(blob["url"]).content)) as image:
        assert (image.format, image.size) == ("GIF", (100, 100))


def test_a_background_is_removed(run: Run, anonymous: httpx.Client) -> None:
    step = _step("imageBackgroundRemoval", image=_of("image", "images[0].url"), format="webp")
    blob = _output(run(_image(), step))["image"]
    with Image.open(io.BytesIO(anonymous.get(blob["url"]).content)) as image:
        assert (image.format, image.convert("RGBA").getpixel((0, 0))[3]) == ("WEBP", 0)  # type: ignore[index]


def test_a_medium_of_another_kind_is_no_source(run: Run) -> None:
    voice = _step("textToSpeech", "voice", text="t")
    url = _of("voice", "audioBlob.url")
    for step in (_step("imageUpscaler", image=url), _step("videoUpscaler", video=url)):
        over = run(voice, step)["steps"][1]
        assert (over["status"], "output" in over) == ("failed", False)
    drawing = _step("imageToSvg", "drawing", engine="comfy", ecosystem="vtracer", image=PLACE)
    assert run(drawing, _step("imageUpscaler", image=_of("drawing", "svg.url")))["steps"][1]["status"] == "failed"
    over = run(_step("transcription", mediaUrl="data:audio/wav;base64,UklGRg=="))["steps"][0]
    assert over["status"] == "failed"


def test_a_draft_can_be_enhanced(run: Run) -> None:
    flux = {"engine": "flux", "version": "v3.0"}
    workflow = run(
        _step("videoGen", "draft", **flux, operation="textToVideo", prompt="p", draft=True),
        _step("videoGen", **flux, operation="draftEnhance", prompt="p", draftCache=_of("draft", "draftCache.id")),
    )
    assert _output(workflow)["video"]["type"] == "video"


def test_a_comfy_graph_shows_its_prompts(run: Run) -> None:
    graph = {"1": {"classType": "CLIPTextEncode", "inputs": {"text": "a quiet lighthouse"}}}
    output = _output(
        run(
            _step("comfy", "a", comfyWorkflow=graph, quantity=2),
            _step("customComfy", "b", resources=["r"], workflow=graph, trace="logs"),
            _step("mediaCaptioning", mediaUrl=_of("b", "blobs[0].url")),
        )
    )
    assert "a quiet lighthouse" in output["caption"]


# --------------------------------------------------------------------------------------------------------------- files


def test_every_frame_of_a_film_is_where_the_table_says() -> None:
    film = mp4.Film(64, 48, 3, "p", seconds=2, fps=12)
    content = film.render()
    table = content.index(b"stco") + 8
    count = int.from_bytes(content[table : table + 4])
    places = [int.from_bytes(content[table + 4 * n : table + 4 * n + 4]) for n in range(1, count + 1)]
    assert count == film.count == 24
    for place in places:
        with Image.open(io.BytesIO(content[place:])) as frame:
            frame.load()
            assert (frame.format, frame.size) == ("JPEG", (64, 48))


@pytest.mark.parametrize("content", [b"", b"\0\0\0\1moov", b"\0\0\0\x08moov", b"\0\0\0\0ftyp", b"RIFF" * 9])
def test_what_is_no_film_or_sound_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not an MP4"):
        mp4.read(content)
    with pytest.raises(ValueError, match="not a WAV"):
        wav.length(content)


def test_a_mesh_is_as_long_as_its_parts() -> None:
    content = glb.Mesh(1, "box").render()
    length = int.from_bytes(content[12:16], "little")
    described = json.loads(content[20 : 20 + length])
    assert content[16:20] == b"JSON"
    data = content[20 + length :]
    assert data[4:8] == b"BIN\0"
    assert int.from_bytes(data[:4], "little") == len(data) - 8 == described["buffers"][0]["byteLength"]
    assert described["accessors"][1]["count"] == 36
