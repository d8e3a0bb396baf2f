"""Meshes, and pictures of meshes."""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.drawing import FORMATS, Picture
from civitai_ext.emulator.media.glb import Mesh
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.choices import SHAPES
from civitai_ext.emulator.steps.core import Input, Json, Kind, Workplace, metered
from civitai_ext.emulator.steps.images import OUTPUT_FORMATS, keep_picture
from civitai_ext.emulator.steps.sources import first_medium, shown_in

_THUMBNAIL = 512
_LIMITS = {"targetPolycount": (100, 300_000), "faceLimit": (1000, 500_000), "steps": (1, 150)}


def _make_mesh(given: Input, place: Workplace) -> Json:
    source = first_medium(given, "imageUrl", "imageUrls")
    shown = given.text("prompt") or (shown_in(source, place)[0] if source else "")
    seed = given.integer("seed", place.seed)
    picture = Picture(_THUMBNAIL, _THUMBNAIL, seed, shown, "civitai-ext emulator · thumbnail of a mesh", "")
    output: Json = {
        "model": _keep(place, seed, "model"),
        "thumbnail": place.keep(picture, FORMATS["png"], _THUMBNAIL, _THUMBNAIL),
    }
    if given.raw("enableRigging") is True:
        output["riggedModel"] = _keep(place, seed, "rigged")
    if given.raw("enableAnimation") is True:
        output["animatedModel"] = _keep(place, seed, "animated")
    return output


def _keep(place: Workplace, seed: int, name: str) -> Blob:
    return place.keep(Mesh(seed, name), "model/gltf-binary")


def _preview(given: Input, place: Workplace) -> Json:
    width, height = given.integer("width", 1024), given.integer("height", 1024)
    poses = [Input(pose) for pose in given.items("cameraPoses")] or [Input({"name": "front"})]
    images = []
    for number, pose in enumerate(poses):
        name = pose.text("name") or f"yaw {pose.number('yaw', 0):g}, pitch {pose.number('pitch', 0):g}"
        caption = f"civitai-ext emulator · {given.text('model')} · {name}"
        images.append(keep_picture(given, place, width, height, place.seed + number, caption=caption))
    return {"images": images}


KINDS: Mapping[str, Kind] = {
    "polyGen": Kind(rules(chosen_by=SHAPES, within=_LIMITS), metered(lambda given: 120), lambda given: 90, _make_mesh),
    "model3DPreview": Kind(
        rules("model", within={"width": (256, 4096), "height": (256, 4096)}, one_of={"outputFormat": OUTPUT_FORMATS}),
        metered(lambda given: 2 * max(1, len(given.items("cameraPoses")))),
        lambda given: 5,
        _preview,
        failed=lambda reason: {"images": []},
    ),
}
