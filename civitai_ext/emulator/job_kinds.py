"""The kinds of job of the Generator API: what they take, what they cost, how long they last, what comes of them.

Only `textToImage` has rules here. Of any other kind whatever fields come are taken, and what comes of it is made up.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from civitai_ext.emulator.steps import KINDS, Faults, Input, Workplace

SCHEDULERS = (
    "EulerA", "Euler", "LMS", "Heun", "DPM2", "DPM2A", "DPM2SA", "DPM2M", "DPMSDE", "DPMFast", "DPMAdaptive",
    "LMSKarras", "DPM2Karras", "DPM2AKarras", "DPM2SAKarras", "DPM2MKarras", "DPMSDEKarras", "DDIM", "PLMS", "UniPC",
    "Undefined", "LCM", "DDPM", "DEIS",
)  # fmt: skip
NETWORKS = (
    "Lora", "Hypernetwork", "TextualInversion", "Lycoris", "Checkpoint", "Vae", "LoCon", "ControlNet",
)  # fmt: skip
AIR = re.compile(r"urn:air:[^:]+:[^:]+:[^:]+:[^@:]+(?:@[^:]+)?", re.IGNORECASE)
"""What names a model."""

_IMAGES = KINDS["textToImage"]
_PICTURES = ("textToImage", "imageTransform")
_LARGEST_SIDE = 2048
_MOST_IMAGES = 10


def check(kind: str, given: Input, path: str, faults: Faults) -> None:
    """Note what is wrong with a job, below the path given."""
    if kind != "textToImage":
        return
    if AIR.fullmatch(given.text("model")) is None:
        faults[f"{path}.model"] = ["The model field must be an AIR."]
    _whole(given, "quantity", 1, _MOST_IMAGES, path, faults)
    if not isinstance(given.raw("params"), dict):
        faults[f"{path}.params"] = ["The params field is required."]
        return
    params = Input(given.raw("params"))
    if not params.text("prompt"):
        faults[f"{path}.params.prompt"] = ["The prompt field is required."]
    for name in ("width", "height"):
        if params.raw(name) is None:
            faults[f"{path}.params.{name}"] = [f"The {name} field is required."]
        _whole(params, name, 1, _LARGEST_SIDE, f"{path}.params", faults)
    _whole(params, "steps", 1, 150, f"{path}.params", faults)
    _one_of(params, "scheduler", SCHEDULERS, f"{path}.params", faults)
    networks = given.raw("additionalNetworks")
    if networks is not None and not isinstance(networks, dict):
        faults[f"{path}.additionalNetworks"] = ["The additionalNetworks field must be an object."]
        return
    for air, network in (networks or {}).items():
        if AIR.fullmatch(air) is None:
            faults[f"{path}.additionalNetworks['{air}']"] = ["The key must be an AIR."]
        _one_of(Input(network), "type", NETWORKS, f"{path}.additionalNetworks['{air}']", faults)


def quantity(kind: str, given: Input) -> int:
    """Tell how many jobs a template stands for: each makes one image."""
    return given.integer("quantity", 1) if kind == "textToImage" else 1


def price(kind: str, given: Input, priority: str) -> int:
    """Price one job in Buzz."""
    if kind == "textToImage":
        return _IMAGES.price(_settings(given), priority.lower()).total
    return 1


def seconds(kind: str, given: Input) -> float:
    """Tell how long a worker is busy with a job."""
    return _IMAGES.seconds(_settings(given)) if kind == "textToImage" else 1.0


def gives_picture(kind: str) -> bool:
    """Tell whether what comes of a job is a picture, whose key is known beforehand."""
    return kind in _PICTURES


def picture(kind: str, given: Input, place: Workplace) -> Any:
    """Draw the picture that comes of a job."""
    settings = _settings(given) if kind == "textToImage" else Input({"prompt": f"{kind} of {given.text('imageUrl')}"})
    (blob,) = _IMAGES.produce(settings, place)["images"]
    return blob


def result(kind: str, given: Input) -> dict[str, Any]:
    """Make up what comes of a job that gives no picture."""
    source = given.text("mediaUrl") or given.text("imageUrl")
    number = int(hashlib.sha256(source.encode()).hexdigest()[:8], 16)
    match kind:
        case "mediaTagging" | "wdTagging":
            return {"tags": {"solo": 0.98, "outdoors": 0.5 + number % 50 / 100}}
        case "mediaCaptioning":
            return {"caption": "A picture that the emulator has not looked at."}
        case "movieRating":
            return {"nsfwLevel": "pg"}
        case "imageEmbedding":
            return {"embedding": [(number >> shift) % 256 / 256 for shift in range(0, 32, 4)]}
        case "copyAsset":
            return {"found": True, "fileSize": 1024}
        case "clearAssets":
            return {"total": 1}
    return {}


def _settings(given: Input) -> Input:
    """Put the settings of a picture where a step of the Orchestration API has them."""
    params = {name: value for name, value in given.raw("params").items() if (name, value) != ("seed", -1)}
    return Input({**params, "model": given.text("model"), "additionalNetworks": given.raw("additionalNetworks")})


def _whole(given: Input, name: str, low: int, high: int, path: str, faults: Faults) -> None:
    value = given.raw(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        faults[f"{path}.{name}"] = [f"The {name} field must be an integer."]
    elif not low <= value <= high:
        faults[f"{path}.{name}"] = [f"The field {name} must be between {low} and {high}."]


def _one_of(given: Input, name: str, known: tuple[str, ...], path: str, faults: Faults) -> None:
    value = given.raw(name)
    if value is not None and value not in known:
        faults[f"{path}.{name}"] = [f"The value '{value}' is not valid."]
