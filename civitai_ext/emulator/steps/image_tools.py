"""Images from images."""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.drawing import FORMATS, Picture, Resized, Source, measure, rendered
from civitai_ext.emulator.media.pictures import Animation, Blurred, Cutout, Preprocessed, Tracing
from civitai_ext.emulator.references import is_reference
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.choices import PREPROCESSORS, TRACERS
from civitai_ext.emulator.steps.core import Faults, Input, Json, Kind, Workplace, flat, utility
from civitai_ext.emulator.steps.sources import LARGEST_SIDE, image

_SVG = "image/svg+xml"
_check_conversion = rules(
    "image output{}",
    parts={
        "output": rules("format", one_of={"format": ("jpeg", "png", "webp", "gif")}),
        "transforms": rules(
            "type",
            one_of={"type": ("resize", "blur")},
            within={"targetWidth": (1, LARGEST_SIDE), "targetHeight": (1, LARGEST_SIDE), "blur": (1, 100)},
        ),
    },
)


def _check_upload(given: Input, path: str, faults: Faults) -> None:
    if not isinstance(given.value, str) and not is_reference(given.value):
        faults[path] = ["The input field must be a string."]


def _upscale(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("image"), place)
    factor = min(2 ** given.integer("numberOfRepeats", 1), LARGEST_SIDE / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return {"blob": place.keep(Resized(source, *size), FORMATS["png"], *size)}


def _convert(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("image"), place)
    for change in map(Input, given.items("transforms")):
        if change.text("type").lower() == "resize":
            target = _side(change.integer("targetWidth", width))
            width, height = target, _side(change.integer("targetHeight", height * target // width))
        else:
            source = Blurred(source, change.integer("blur", 1))
    format_ = given.object("output").text("format", "png").lower()
    if format_ == "gif":
        return {"blob": place.keep(Animation(source, width, height), "image/gif", width, height)}
    return {"blob": place.keep(Resized(source, width, height, format=format_), FORMATS[format_], width, height)}


def _upload(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.value, place)
    _, _, media_type = measure(rendered(source))
    return {"blob": place.keep(source, media_type, width, height)}


def _remove_background(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("image"), place)
    format_ = given.text("format", "png").lower()
    return {"image": place.keep(Cutout(source, format_), FORMATS[format_], width, height)}


def _preprocess(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("image"), place)
    # The shorter side gets the resolution.
    factor = given.integer("resolution", 512) / min(width, height)
    size = _side(round(width * factor)), _side(round(height * factor))
    kind, threshold = given.text("kind").lower(), given.integer("binThreshold", 100)
    return {"blob": place.keep(Preprocessed(source, kind, *size, threshold), FORMATS["png"], *size)}


def _trace(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("image"), place)
    return {"svg": place.keep(Tracing(source, width, height), _SVG, width, height)}


def _try_on(given: Input, place: Workplace) -> Json:
    subject, width, height = image(given.text("subjectUrl"), place)
    # The garment has to be there, though it does not show.
    image(given.text("garmentUrl"), place)
    return {"blob": place.keep(Resized(subject, width, height), FORMATS["png"], width, height)}


def _mask(given: Input, place: Workplace) -> Json:
    source, width, height = image(given.text("imageUrl"), place)
    mask: Source = Preprocessed(source, "binary", width, height)
    return {"blob": place.keep(mask, FORMATS["png"], width, height)}


def placeholder(place: Workplace, prompt: str, caption: str) -> Picture:
    """Make a picture for what nobody gave a size."""
    return Picture(512, 512, place.seed, prompt, f"civitai-ext emulator · {caption}", "")


def _side(pixels: int) -> int:
    return min(max(pixels, 1), LARGEST_SIDE)


KINDS: Mapping[str, Kind] = {
    "imageUpscaler": Kind(rules("image", within={"numberOfRepeats": (1, 3)}), flat(5), lambda given: 3, _upscale),
    "convertImage": utility(_check_conversion, _convert, buzz=1, seconds=1),
    "imageUpload": utility(_check_upload, _upload, buzz=1, seconds=1),
    "imageBackgroundRemoval": utility(
        rules("image", one_of={"format": ("png", "webp")}), _remove_background, buzz=3, seconds=3
    ),
    "preprocessImage": utility(
        rules(chosen_by=PREPROCESSORS, within={"resolution": (64, LARGEST_SIDE), "binThreshold": (0, 255)}),
        _preprocess,
        buzz=1,
        seconds=2,
    ),
    "imageToSvg": utility(rules("image", chosen_by=TRACERS), _trace, buzz=10, seconds=6),
    "tryOnU": utility(rules("subjectUrl garmentUrl", within={"steps": (1, 150)}), _try_on, buzz=12, seconds=12),
    "humanoidImageMask": utility(
        rules("imageUrl category", one_of={"category": ("dresses", "upperBody", "lowerBody")}),
        _mask,
        buzz=1,
        seconds=2,
    ),
}
