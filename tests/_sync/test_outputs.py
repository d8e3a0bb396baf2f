# Derived from tests/_async/test_outputs.py by scripts/unasync.py: change that file, then run `make fix`.
"""What a workflow gave: read, saved and shown."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import Flux2KleinCreateImageInput
from civitai_ext import Civitai, Step, Workflow, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


def picture(prompt: str = "a cat", **fields: Any) -> Flux2KleinCreateImageInput:
    return Flux2KleinCreateImageInput(prompt=prompt, width=512, height=512, **fields)


PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100
OUTSIDE = ["..", "../{step}", "a/../../{step}", " .. /{step}", "{step}/.."]


def finished(*steps: dict[str, Any]) -> Answer:
    body = {"id": "wf_1", "status": "succeeded", "createdAt": "2026-08-01T12:00:00Z", "steps": list(steps)}
    return Answer(200, json.dumps(body).encode())


def step(type: str, output: Any, name: str = "") -> dict[str, Any]:
    return {"$type": type, "name": name or type, "status": "succeeded", "output": output}


def blob(kind: str, id: str, url: str = "", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": id, "available": True, "url": url or f"https://blobs.civitai.com/{id}", **fields}


# ---------------------------------------------------------------------------------------------------------------- kinds


def test_outputs_are_found_by_kind_whatever_step_made_them(scripted: Civitai, server: FaultServer) -> None:
    nested = {"steps": [step("imageGen", {"images": [blob("image", "inner.png")]})]}
    server.script(
        finished(
            step("imageGen", {"images": [blob("image", "a.png", width=512, height=768), blob("image", "b.png")]}),
            step("videoGen", {"video": blob("video", "c.mp4"), "additionalVideos": [blob("video", "d.mp4")]}),
            step("textToSpeech", {"audioBlob": blob("audio", "e.wav", duration=2.5)}),
            step("polyGen", {"model": blob("model3d", "f.glb", format="glb"), "thumbnail": blob("image", "g.png")}),
            step("transcode", {"id": "h.mp4", "available": True, "jobId": "j", "url": "https://blobs.civitai.com/h"}),
            step("training", {"epochs": [{"epochNumber": 1, "model": blob("other", "i.safetensors"), "samples": []}]}),
            step(
                "imageResourceTraining", {"epochs": [{"epochNumber": 1, "blobName": "k.zip", "blobUrl": "https://x/k"}]}
            ),
            step("blobArchive", {"entryCount": 2, "url": "https://blobs.civitai.com/all", "format": "zip"}),
            step("repeat", nested),
            step("dreamGen", {"deep": [{"er": blob("hologram", "l.holo")}]}),
            step("chatCompletion", {"choices": [{"message": {"role": "assistant", "content": "one"}}]}),
            step("transcription", {"text": "two", "timeStamps": [{"text": "tw"}]}),
            step("mediaCaptioning", {"caption": "three"}),
            step("audioCaptioning", {"results": {"x": {"text": "four"}, "y": {"text": "five"}}}),
            step("promptEnhancement", {"enhancedPrompt": "six", "recommendations": ["no"]}),
            step("echo", {"message": "seven"}),
            step("poetry", {"text": "eight"}),
        )
    )
    done = scripted.workflows.get("wf_1")
    assert [each.id for each in done.images] == ["a.png", "b.png", "g.png", "inner.png"]
    assert sorted(each.id for each in done.videos) == ["c.mp4", "d.mp4", "h.mp4"]
    assert [(each.id, each.duration) for each in done.audio] == [("e.wav", 2.5)]
    assert [each.id for each in done.models3d] == ["f.glb"]
    others = {each.id for each in done.outputs} - {
        "a.png",
        "b.png",
        "g.png",
        "inner.png",
        "c.mp4",
        "d.mp4",
        "e.wav",
        "h.mp4",
    }
    assert others == {"f.glb", "i.safetensors", "k.zip", "l.holo", ""}
    assert done.text == ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    assert (done.images[0].width, done.images[0].height, done.images[1].width) == (512, 768, None)
    assert "Output a.png: image 512x768 of step imageGen>" in repr(done.images[0])
    assert done.outputs[0] is done.outputs[0]


# --------------------------------------------------------------------------------------------------------------- saving


def test_one_output_is_read_and_saved(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    done = civitai.workflows.run(Step(picture(quantity=2), name="hero"))
    second = done.images[1]
    content = second.read()
    asked = len(emulator.journal)
    assert second.read() is content
    assert len(emulator.journal) == asked
    inside = second.save(tmp_path)
    assert inside.name == f"{done.id}-hero-1.png"
    named = second.save(tmp_path / "mine.bin")
    assert named == tmp_path / "mine.bin"
    assert inside.read_bytes() == named.read_bytes() == content
    with pytest.raises(FileExistsError, match="exists"):
        second.save(named, exists="error")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{workflow}-{step}-{index}", ["WF-hero-0.png", "WF-hero-1.png", "WF-other-0.png"]),
        ("{date}/{step}/{number:03}", ["DATE/hero/001.png", "DATE/hero/002.png", "DATE/other/003.png"]),
        ("{type}", ["image.png", "image-2.png", "image-3.png"]),
        ("bild {index}", ["bild 0.png", "bild 1.png", "bild 0-2.png"]),
    ],
)
def test_files_are_called_as_wanted(civitai: Civitai, tmp_path: Path, pattern: str, names: list[str]) -> None:
    done = civitai.workflows.run(Step(picture(quantity=2), name="hero"), Step(picture(), name="other"))
    paths = done.save(tmp_path, pattern=pattern)
    assert done.created_at is not None
    put = {"WF": done.id, "DATE": f"{done.created_at:%Y-%m-%d}"}
    wanted = [re.sub("WF|DATE", lambda match: put[match[0]], name) for name in names]
    found = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert found == [name.replace(done.id, re.sub("[^A-Za-z0-9-]", "_", done.id)) for name in wanted]
    assert all(path.is_file() for path in paths)
    assert paths.skipped == []


@pytest.mark.parametrize("pattern", ["{nobody}", "{0}", "{", "", "x/", "/etc/passwd", "{index:xyz}", *OUTSIDE])
def test_a_pattern_that_gives_no_names(civitai: Civitai, tmp_path: Path, pattern: str) -> None:
    done = civitai.workflows.run(picture())
    with pytest.raises(errors.InvalidRequest, match="pattern is"):
        done.save(tmp_path, pattern=pattern)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "pattern", "stems"),
    [
        (["Hero", "hero", "HERO"], "{step}", ["Hero", "hero-2", "HERO-3"]),
        (["caf\u00e9", "cafe\u0301"], "{step}", ["caf\u00e9", "caf\u00e9-2"]),
        (["a", "a"], "{step}/{type}", ["a/image", "a/image-2"]),
        (["a", "A"], "{step}/{type}", ["a/image", "A/image-2"]),
        (["con", "AUX", "lpt1"], "{step}", ["con_", "AUX_", "lpt1_"]),
        (["con"], "{step}/nul", ["con_/nul_"]),
        (["../../x", "C:\\x", "a:b"], "{step}", ["_.._x", "C__x", "a_b"]),
        (["a"], "./x//{step}", ["x/a"]),
        (["a"], "x\\..\\{step}", ["x_.._a"]),
        (["long" * 100, "long" * 101], "{step}-{index}", [("long" * 20) + "-0", ("long" * 20) + "-0-2"]),
        (["a", "b"], "x" * 300 + "{step}", ["x" * 220, "x" * 220 + "-2"]),
    ],
)
def test_every_file_system_bears_the_names(
    scripted: Civitai, server: FaultServer, tmp_path: Path, names: list[str], pattern: str, stems: list[str]
) -> None:
    content = Answer(200, PNG, media_type="image/png")
    steps = [
        step("imageGen", {"images": [blob("image", f"{place}.png", f"{server.url}/{place}")]}, name)
        for place, name in enumerate(names)
    ]
    server.script(finished(*steps), *[content] * len(names))
    done = scripted.workflows.get("wf_1")
    saved = done.save(tmp_path, pattern=pattern)
    assert [path.relative_to(tmp_path).as_posix() for path in saved] == [f"{stem}.png" for stem in stems]
    assert all(path.is_file() for path in saved)


def test_what_is_not_saved_is_told(
    scripted: Civitai, server: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = [
        {"type": "image", "id": "b.png", "available": False, "blockedReason": "moderated"},
        {"type": "image", "id": "c.png", "available": False},
    ]
    fresh = json.dumps({"type": "image", "id": "c.png", "available": False}).encode()
    server.script(finished(step("imageGen", {"images": images}, "hero")), Answer(200, fresh))
    done = scripted.workflows.get("wf_1")
    with caplog.at_level(logging.WARNING, "civitai_ext"):
        paths = done.save(tmp_path)
    assert paths == []
    assert [(each.output.id, each.reason[:10]) for each in paths.skipped] == [
        ("b.png", "moderated"),
        ("c.png", "it is with"),
    ]
    assert len(caplog.records) == 2


def test_a_workflow_that_gave_nothing(civitai: Civitai, tmp_path: Path) -> None:
    nothing = civitai.workflows.attach("wf_1")
    assert nothing.save(tmp_path / "out") == []
    assert (nothing.outputs, nothing.text, nothing.tags, nothing.metadata, nothing.cost) == ([], [], [], {}, None)


# -------------------------------------------------------------------------------------------------------------- showing


def test_images_show_themselves_in_notebooks(civitai: Civitai) -> None:
    done = civitai.workflows.run(
        Step(picture(), name="<b>png</b>"), picture(output_format="jpeg"), picture(output_format="webP")
    )
    for image in done.images:
        image.read()
    png, jpeg, webp = done.images
    assert (png._repr_png_(), png._repr_jpeg_(), png._repr_html_()) == (png.read(), None, None)
    assert (jpeg._repr_png_(), jpeg._repr_jpeg_(), jpeg._repr_html_()) == (None, jpeg.read(), None)
    assert webp._repr_png_() is webp._repr_jpeg_() is None
    assert (webp._repr_html_() or "").startswith('<img src="data:image/webp;base64,')
    html = done._repr_html_()
    assert html.count("<img ") == 3
    assert "&lt;b&gt;png" in html
    assert "<b>png" not in html
    assert "/blobs/content/" not in html, "a signed URL is a credential"


def test_a_failure_shows_why(civitai: Civitai) -> None:
    failed = civitai.workflows.run(Step(picture("[block]"), name="hero"), raise_on_failure=False)
    assert "step hero failed (blocked, The content was blocked" in failed._repr_html_()


def test_what_cannot_be_fetched_hides_nothing(scripted: Civitai, server: FaultServer) -> None:
    images = [
        blob("image", "a.png", f"{server.url}/a"),
        {"type": "image", "id": "b.png", "blockedReason": "no <script>"},
    ]
    server.script(finished(step("imageGen", {"images": images}, "hero")), Answer(404))
    done = scripted.workflows.get("wf_1")
    html = done._repr_html_()
    assert "no &lt;script&gt;" in html
    assert "<img" not in html
    assert done.images[1]._repr_png_() is None


def test_copies_have_no_connection(civitai: Civitai, tmp_path: Path) -> None:
    done = civitai.workflows.run(picture())
    twin: Workflow = pickle.loads(pickle.dumps(done))  # noqa: S301
    assert twin.status == "succeeded"
    assert [each.id for each in twin.outputs] == [each.id for each in done.outputs]
    for refused in (twin.refresh, twin.cancel, twin.outputs[0].read, copy.deepcopy(done.outputs[0]).read):
        with pytest.raises(errors.ConfigurationError, match="has no connection"):
            refused()
