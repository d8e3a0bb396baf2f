"""Images from text."""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.drawing import FORMATS, Picture, generation_data
from civitai_ext.emulator.pricing import Price, image_price
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.steps.checks import between, rules
from civitai_ext.emulator.steps.choices import IMAGES
from civitai_ext.emulator.steps.core import LONGEST_PROCESSING, Faults, Input, Json, Kind, Workplace
from civitai_ext.emulator.steps.sources import LARGEST_SIDE

OUTPUT_FORMATS = ("jpeg", "png", "webP")
_MEGAPIXEL = 1024 * 1024
# Number of images and length of a side, where an engine is stricter than the rest.
_MOST_IMAGES = {"flux2": 4, "google": 4, "grok": 4}
# A side of 0 leaves the choice to the engine.
_SIDES = {"flux2": (512, 2048), "qwen": (0, 2048), "sdcpp": (0, 2048)}

_check_choice = rules("prompt", chosen_by=IMAGES)
_check_prompt = rules("prompt")
_check_rest = rules(within={"steps": (1, 150)}, one_of={"outputFormat": OUTPUT_FORMATS})


def _check_image_gen(given: Input, path: str, faults: Faults) -> None:
    _check_choice(given, path, faults)
    name = str(given.raw("engine")).lower()
    _check_numbers(given, path, faults, most=_MOST_IMAGES.get(name, 12), sides=_SIDES.get(name, (64, LARGEST_SIDE)))


def _check_text_to_image(given: Input, path: str, faults: Faults) -> None:
    _check_prompt(given, path, faults)
    _check_numbers(given, path, faults, most=100, sides=(64, 4084))


def _check_numbers(given: Input, path: str, faults: Faults, *, most: int, sides: tuple[int, int]) -> None:
    for name in ("quantity", "numImages"):
        between(given, name, 1, most, path, faults)
    for name in ("width", "height"):
        between(given, name, *sides, path, faults)
    _check_rest(given, path, faults)


def _price(given: Input, priority: str) -> Price:
    width, height = _size(given)
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


def _seconds(given: Input) -> float:
    width, height = _size(given)
    each = 0.04 * given.integer("steps", 25) * max(0.25, width * height / _MEGAPIXEL)
    return min(LONGEST_PROCESSING, 2 + each * _quantity(given))


def _produce_image_gen(given: Input, place: Workplace) -> Json:
    return {"images": _draw(given, place), "errors": []}


def _produce_text_to_image(given: Input, place: Workplace) -> Json:
    return {"images": _draw(given, place)}


def _draw(given: Input, place: Workplace) -> list[Blob]:
    width, height = _size(given)
    first_seed = given.integer("seed", place.seed)
    images = []
    for number in range(_quantity(given)):
        seed = first_seed + number
        caption = f"civitai-ext emulator · {width}x{height} · seed {seed}"
        parameters = _parameters(given, width, height, seed)
        images.append(keep_picture(given, place, width, height, seed, caption=caption, parameters=parameters))
    return images


def keep_picture(
    given: Input, place: Workplace, width: int, height: int, seed: int, *, caption: str, parameters: str = ""
) -> Blob:
    """Keep a picture of the prompt in an input, in the format that it asks for."""
    format_ = given.text("outputFormat", "png").lower()
    picture = Picture(width, height, seed, given.text("prompt"), caption, parameters, format_)
    return place.keep(picture, FORMATS[format_], width, height)


def _parameters(given: Input, width: int, height: int, seed: int) -> str:
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
    return generation_data(given.text("prompt"), given.text("negativePrompt"), facts)


def _quantity(given: Input) -> int:
    return given.integer("quantity", given.integer("numImages", 1))


def _size(given: Input) -> tuple[int, int]:
    """Read the size: `size` like 1024x1536, else an aspect ratio of a megapixel, else width and height."""
    default = 1024 if given.raw("engine") else 512
    width, height = map(whole_number, given.text("size").partition("x")[::2])
    if width is not None and height is not None:
        return _side(width), _side(height)
    ratio = aspect_ratio(given.text("aspectRatio"))
    if ratio is not None:
        # Sides are multiples of 16, as with real models.
        return 16 * round(1024 * ratio**0.5 / 16), 16 * round(1024 / ratio**0.5 / 16)
    return _side(given.integer("width", default) or default), _side(given.integer("height", default) or default)


def aspect_ratio(text: str) -> float | None:
    """Read an aspect ratio like 16:9, within reason."""
    across, colon, down = text.partition(":")
    if not colon:
        return None
    try:
        return min(max(float(across) / float(down), 0.1), 10)
    except (ValueError, ZeroDivisionError):
        return 1.0


def _side(pixels: int) -> int:
    return min(max(pixels, 1), LARGEST_SIDE)


KINDS: Mapping[str, Kind] = {
    "imageGen": Kind(
        _check_image_gen, _price, _seconds, _produce_image_gen, failed=lambda reason: {"images": [], "errors": [reason]}
    ),
    "textToImage": Kind(
        _check_text_to_image, _price, _seconds, _produce_text_to_image, failed=lambda reason: {"images": []}
    ),
}
