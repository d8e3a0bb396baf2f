"""The kinds of step that the emulator runs: what they take, what they cost, how long they last, what comes out.

Words in square brackets in the input of a step choose how it ends; see `Ending`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from civitai_ext.emulator.blobs import Blob, Blobs
from civitai_ext.emulator.drawing import FORMATS, Picture, Resized, Source, Stored, measure
from civitai_ext.emulator.pricing import Price, flat_price, image_price
from civitai_ext.emulator.references import is_reference

_LARGEST_SIDE = 4096
_MEGAPIXEL = 1024 * 1024
_ENGINES = (
    "openai", "flux1-kontext", "flux2", "google", "wan", "gemini", "sdcpp", "comfy", "seedream", "grok", "fal", "qwen",
)  # fmt: skip
# Number of images and length of a side, where an engine is stricter than the rest.
_MOST_IMAGES = {"flux2": 4, "google": 4, "grok": 4}
_SIDES = {"flux2": (512, 2048)}


class Ending(StrEnum):
    """Words that a step's input can contain to make it end in a certain way.

    `[fail]` fails half-way through. `[block]` is refused by moderation once it is made. `[expire]` is never picked up
    by a worker, so that the step's `timeout` runs out. `[mature]` succeeds with content beyond PG-13.
    """

    FAIL = "[fail]"
    BLOCK = "[block]"
    EXPIRE = "[expire]"
    MATURE = "[mature]"


class StepFailedError(Exception):
    """The step cannot be carried out with what it was given."""


Faults = dict[str, list[str]]
"""What is wrong with a request: messages by the path of the field."""


class Input:
    """Reads the input of a step, whose names are matched in any case.

    A reference that is not filled in yet counts as present, of the right type, and of the default value.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        self._fields = {name.lower(): item for name, item in value.items()} if isinstance(value, dict) else {}

    def raw(self, name: str) -> Any:
        """Read a field as it is."""
        return self._fields.get(name.lower())

    def text(self, name: str, default: str = "") -> str:
        """Read a string."""
        value = self.raw(name)
        # Half a surrogate pair is legal in JSON, but can be neither drawn nor written.
        return value.encode(errors="replace").decode() if isinstance(value, str) else default

    def number(self, name: str, default: float) -> float:
        """Read a number."""
        value = self.raw(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else default

    def integer(self, name: str, default: int) -> int:
        """Read a whole number."""
        return int(self.number(name, default))

    @property
    def ending(self) -> Ending | None:
        """The ending that a word in the input asks for."""
        text = json.dumps(self.value)
        return next((ending for ending in Ending if ending in text), None)


@dataclass(frozen=True)
class Workplace:
    """What the making of an output may use."""

    blobs: Blobs
    owner: int
    job_id: str
    at: datetime
    seed: int

    def keep(self, source: Source, media_type: str, width: int, height: int, *, level: str = "pg") -> Blob:
        """Keep an output image."""
        return self.blobs.add(
            source,
            media_type=media_type,
            owner=self.owner,
            at=self.at,
            width=width,
            height=height,
            level=level,
            job_id=self.job_id,
        )


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
        check: Notes what is wrong with an input, below the path given.
        price: Prices an input at a priority.
        seconds: How long the processing lasts.
        produce: Makes the output; blobs in it stand for themselves until somebody reads the answer.
        prepares: Whether models are fetched before.
        media: The name of the list of images that a failed step answers empty, if there is one.
    """

    check: Callable[[Input, str, Faults], None]
    price: Callable[[Input, str], Price]
    seconds: Callable[[Input], float]
    produce: Callable[[Input, Workplace], dict[str, Any]]
    prepares: bool = True
    media: str | None = None


# Images from text


def _check_image_gen(given: Input, path: str, faults: Faults) -> None:
    engine = given.raw("engine")
    if _required(given, "engine", path, faults) and str(engine).lower() not in _ENGINES and not is_reference(engine):
        faults[f"{path}.engine"] = [f"'{engine}' is not one of the engines: {', '.join(_ENGINES)}."]
    operation = given.text("operation").lower()
    if operation == "editimage" and not given.raw("images") and not given.raw("image"):
        faults[f"{path}.images"] = ["The images field is required."]
    if operation == "createvariant":
        _required(given, "image", path, faults)
    name = str(engine).lower()
    _check_image(given, path, faults, most=_MOST_IMAGES.get(name, 12), sides=_SIDES.get(name, (64, _LARGEST_SIDE)))


def _check_text_to_image(given: Input, path: str, faults: Faults) -> None:
    _check_image(given, path, faults, most=100, sides=(64, 4084))


def _check_image(given: Input, path: str, faults: Faults, *, most: int, sides: tuple[int, int]) -> None:
    _required(given, "prompt", path, faults)
    for name in ("quantity", "numImages"):
        _between(given, name, 1, most, path, faults)
    for name in ("width", "height"):
        _between(given, name, *sides, path, faults)
    _between(given, "steps", 1, 150, path, faults)
    if given.text("outputFormat", "png").lower() not in FORMATS:
        faults[f"{path}.outputFormat"] = [f"'{given.raw('outputFormat')}' is not one of: jpeg, png, webP."]


def _price_image(given: Input, priority: str) -> Price:
    width, height = _image_size(given)
    networks = given.raw("additionalNetworks") or given.raw("loras") or ()
    return image_price(
        width=width,
        height=height,
        steps=given.integer("steps", 25),
        quantity=_quantity(given),
        engine=given.text("engine").lower() or None,
        networks=len(networks) if isinstance(networks, dict | list) else 0,
        priority=priority,
    )


def _image_seconds(given: Input) -> float:
    width, height = _image_size(given)
    return 2 + 0.04 * given.integer("steps", 25) * max(0.25, width * height / _MEGAPIXEL) * _quantity(given)


def _produce_images(given: Input, place: Workplace) -> dict[str, Any]:
    width, height = _image_size(given)
    format_ = given.text("outputFormat", "png").lower()
    first_seed = given.integer("seed", place.seed)
    level = "x" if given.ending is Ending.MATURE else "pg"
    images = []
    for number in range(_quantity(given)):
        seed = first_seed + number
        picture = Picture(
            width=width,
            height=height,
            seed=seed,
            prompt=given.text("prompt"),
            caption=f"civitai-ext emulator · {width}x{height} · seed {seed}",
            parameters=_generation_data(given, width, height, seed),
            format=format_,
        )
        images.append(place.keep(picture, FORMATS[format_], width, height, level=level))
    return {"images": images, "errors": []}


def _generation_data(given: Input, width: int, height: int, seed: int) -> str:
    """Write how an image was made, as the A1111 web UI does."""
    lines = [given.text("prompt")]
    if given.text("negativePrompt"):
        lines.append(f"Negative prompt: {given.text('negativePrompt')}")
    model = given.text("model") or given.text("engine") or "unknown"
    sampler = given.text("sampleMethod") or given.text("scheduler") or given.text("sampler") or "Euler"
    facts = {
        "Steps": given.integer("steps", 25),
        "Sampler": sampler,
        "CFG scale": given.number("cfgScale", 7),
        "Seed": seed,
        "Size": f"{width}x{height}",
        "Model": model,
        "Version": "civitai-ext-emulator",
    }
    lines.append(", ".join(f"{name}: {value}" for name, value in facts.items()))
    return "\n".join(lines)


def _quantity(given: Input) -> int:
    return given.integer("quantity", given.integer("numImages", 1))


def _image_size(given: Input) -> tuple[int, int]:
    """Read the size: `size` like 1024x1536, else an aspect ratio of a megapixel, else width and height."""
    default = 1024 if given.raw("engine") else 512
    width, by, height = given.text("size").partition("x")
    if by and width.isdecimal() and height.isdecimal():
        return _side(int(width)), _side(int(height))
    across, colon, down = given.text("aspectRatio").partition(":")
    if colon:
        try:
            ratio = min(max(float(across) / float(down), 0.1), 10)
        except (ValueError, ZeroDivisionError):
            ratio = 1.0
        # Sides are multiples of 16, as with real models.
        return 16 * round(1024 * ratio**0.5 / 16), 16 * round(1024 / ratio**0.5 / 16)
    return _side(given.integer("width", default)), _side(given.integer("height", default))


def _side(pixels: int) -> int:
    return min(max(pixels, 1), _LARGEST_SIDE)


# Images from images


def _check_source(given: Input, path: str, faults: Faults) -> None:
    _required(given, "image", path, faults)
    _between(given, "numberOfRepeats", 1, 3, path, faults)


def _produce_upscaled(given: Input, place: Workplace) -> dict[str, Any]:
    source, width, height = _original(given.text("image"), place)
    factor = min(2 ** given.integer("numberOfRepeats", 1), _LARGEST_SIDE / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return {"blob": place.keep(Resized(source, *size), FORMATS["png"], *size)}


def _produce_converted(given: Input, place: Workplace) -> dict[str, Any]:
    source, width, height = _original(given.text("image"), place)
    for transform in given.raw("transforms") or ():
        change = Input(transform)
        if change.text("type") == "resize":
            target = _side(change.integer("targetWidth", width))
            width, height = target, _side(change.integer("targetHeight", height * target // width))
    output = Input(given.raw("output"))
    format_ = output.text("format", "png").lower()
    if format_ not in FORMATS:
        raise StepFailedError(f"the emulator does not write {format_} files")
    return {"blob": place.keep(Resized(source, width, height, format=format_), FORMATS[format_], width, height)}


def _produce_uploaded(given: Input, place: Workplace) -> dict[str, Any]:
    source, width, height = _original(given.value, place)
    _, _, media_type = measure(source.render())
    return {"blob": place.keep(source, media_type, width, height)}


def _original(text: str, place: Workplace) -> tuple[Source, int, int]:
    """Find the image that a URL, a data URL or bare base64 stands for.

    The emulator fetches nothing from elsewhere: another host's image is replaced by a picture that says so.
    """
    blob = place.blobs.find(text)
    if blob is not None and blob.width is not None and blob.height is not None:
        return blob.source, blob.width, blob.height
    if text.startswith(("http://", "https://")):
        # No query: it may hold a credential.
        shown = text.partition("?")[0]
        seed = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
        caption = "civitai-ext emulator · stands for an image of another host"
        return Picture(512, 512, seed, shown, caption, ""), 512, 512
    try:
        content = base64.b64decode(text.rpartition(",")[2], validate=True)
        width, height, _ = measure(content)
    except (ValueError, binascii.Error) as error:
        raise StepFailedError("the image can be neither found nor decoded") from error
    return Stored(content), width, height


# Text


def _check_echo(given: Input, path: str, faults: Faults) -> None:
    _required(given, "message", path, faults)


def _produce_echo(given: Input, place: Workplace) -> dict[str, Any]:
    return {"message": given.text("message")}


# Checks that several kinds share


def _required(given: Input, name: str, path: str, faults: Faults) -> bool:
    value = given.raw(name)
    if value is None:
        faults[f"{path}.{name}"] = [f"The {name} field is required."]
    elif not isinstance(value, str) and not is_reference(value):
        faults[f"{path}.{name}"] = [f"The {name} field must be a string."]
    else:
        return True
    return False


def _between(given: Input, name: str, low: int, high: int, path: str, faults: Faults) -> None:
    value = given.raw(name)
    if value is None or is_reference(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults[f"{path}.{name}"] = [f"The {name} field must be a number."]
    elif not low <= value <= high:
        faults[f"{path}.{name}"] = [f"The field {name} must be between {low} and {high}."]


def _check_upload(given: Input, path: str, faults: Faults) -> None:
    if not isinstance(given.value, str) and not is_reference(given.value):
        faults[path] = ["The input field must be a string."]


def _flat(amount: int) -> Callable[[Input, str], Price]:
    return lambda given, priority: flat_price(amount, priority=priority)


KINDS: Mapping[str, Kind] = {
    "imageGen": Kind(_check_image_gen, _price_image, _image_seconds, _produce_images, media="images"),
    "textToImage": Kind(_check_text_to_image, _price_image, _image_seconds, _produce_images, media="images"),
    "imageUpscaler": Kind(_check_source, _flat(5), lambda given: 3, _produce_upscaled),
    "convertImage": Kind(_check_source, _flat(1), lambda given: 1, _produce_converted, prepares=False),
    "imageUpload": Kind(_check_upload, _flat(1), lambda given: 1, _produce_uploaded, prepares=False),
    "echo": Kind(_check_echo, _flat(1), lambda given: 0.5, _produce_echo, prepares=False),
}
"""The kinds that run, by `$type`."""

OTHER_KINDS = frozenset(
    {
        "aceStepAudio", "ageClassification", "audioCaptioning", "blobArchive", "chatCompletion", "comfy",
        "comfyNodepackSnapshot", "composeMedia", "customComfy", "imageBackgroundRemoval", "imageResourceTraining",
        "imageToSvg", "mediaCaptioning", "mediaHash", "mediaRating", "miniMaxMusic3", "model3DPreview", "modelClamScan",
        "modelHash", "modelParseMetadata", "modelPickleScan", "polyGen", "preprocessImage", "promptEnhancement",
        "qwenImageBench", "shieldstralModeration", "textToSpeech", "training", "transcode", "transcription",
        "videoBackgroundRemoval", "videoEnhancement", "videoFrameExtraction", "videoGen", "videoInterpolation",
        "videoMetadata", "videoUpscaler", "wdTagging", "xGuardModeration",
    }
)  # fmt: skip
"""The kinds that the service runs and the emulator does not."""
