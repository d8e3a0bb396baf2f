"""A page of the catalogue as large as the real ones get, made up but always the same."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

__all__ = ["count_objects", "page"]

MODELS: Final = 100
_SEED: Final = 20260101
_HEX: Final = "0123456789ABCDEF"
_BLURHASH: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_WORDS: Final = ["a", "best", "detailed", "for", "landscape", "portrait", "prompt", "recommended", "strength", "style"]


def page(models: int = MODELS) -> bytes:
    """Give the body of an answer to `GET /models`, as JSON.

    A model has 1 to 12 versions, a version 1 or 2 files and 7 to 10 images. The default comes to about
    3.7 MB and 9,700 objects.
    """
    random = Random(_SEED)  # noqa: S311  # repeatable on purpose
    body = {
        "items": [_model(random, number) for number in range(models)],
        "metadata": {
            "nextCursor": "41291|348916|4468",
            "nextPage": f"https://civitai.com/api/v1/models?limit={models}&cursor=41291%7C348916%7C4468",
        },
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def count_objects(value: Any) -> int:
    """Count the JSON objects in a parsed value.

    >>> count_objects([{"a": {}}, 1])
    2
    """
    if isinstance(value, dict):
        return 1 + sum(map(count_objects, value.values()))
    return sum(map(count_objects, value)) if isinstance(value, list) else 0


def _model(random: Random, number: int) -> dict[str, Any]:
    id = 1_000_000 + 7 * number
    versions = [_version(random, 10 * id + index, index) for index in range(1 + number % 12)]
    return {
        "id": id,
        "name": _text(random, 5),
        "description": _description(random, number),
        "allowNoCredit": True,
        "allowCommercialUse": "{Image,RentCivit}",
        "allowDerivatives": True,
        "allowDifferentLicense": number % 3 == 0,
        "type": random.choice(["LORA", "Checkpoint", "TextualInversion"]),
        "minor": False,
        "sfwOnly": False,
        "poi": False,
        "nsfw": number % 4 == 0,
        "nsfwLevel": random.randrange(64),
        "availability": "Public",
        "userId": random.randrange(10**7),
        "baseModels": sorted({version["baseModel"] for version in versions}),
        "cosmetic": None,
        "supportsGeneration": True,
        "stats": {
            "downloadCount": random.randrange(10**6),
            "thumbsUpCount": random.randrange(10**5),
            "thumbsDownCount": random.randrange(100),
            "commentCount": random.randrange(1000),
            "tippedAmountCount": random.randrange(10**5),
        },
        "creator": {"username": f"user{number}", "image": _image_url(random, 96)},
        "tags": random.sample(_WORDS, 6),
        "modelVersions": versions,
    }


def _version(random: Random, id: int, index: int) -> dict[str, Any]:
    return {
        "id": id,
        "index": index,
        "name": f"v{index + 1}.0",
        "baseModel": random.choice(["SDXL 1.0", "Illustrious", "Flux.1 D", "SD 1.5"]),
        "baseModelType": "Standard",
        "publishedAt": _moment(random),
        "flags": 0,
        "availability": "Public",
        "nsfwLevel": random.randrange(64),
        "description": _paragraph(random) if index % 2 else None,
        "trainedWords": random.sample(_WORDS, 3),
        "vaeId": None,
        "paidAccess": None,
        "stats": {
            "downloadCount": random.randrange(10**5),
            "thumbsUpCount": random.randrange(10**4),
            "thumbsDownCount": random.randrange(100),
        },
        "supportsGeneration": True,
        "files": [
            _file(random, 10 * id + number, id, primary=number == 0) for number in range(random.choice([1, 1, 1, 2]))
        ],
        "images": [_image(random, 100 * id + number) for number in range(random.choice([7, 8, 10, 10, 10]))],
        "downloadUrl": f"https://civitai.com/api/download/models/{id}",
    }


def _file(random: Random, id: int, version: int, *, primary: bool) -> dict[str, Any]:
    sha256 = _digits(random, 64)
    hashes = {
        "AutoV1": _digits(random, 8),
        "AutoV2": sha256[:10],
        "AutoV3": _digits(random, 12),
        "SHA256": sha256,
        "CRC32": _digits(random, 8),
        "BLAKE3": _digits(random, 64),
    }
    return {
        "id": id,
        "sizeKB": random.randrange(10**10) / 1024,
        "name": f"{_text(random, 3).replace(' ', '_')}.safetensors",
        "overrideName": None,
        "type": "Model",
        "pickleScanResult": "Success",
        "pickleScanMessage": "No Pickle imports",
        "virusScanResult": "Success",
        "virusScanMessage": None,
        "scannedAt": _moment(random),
        "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        "hashes": hashes,
        "downloadUrl": f"https://civitai.com/api/download/models/{version}",
    } | ({"primary": True} if primary else {})


def _image(random: Random, id: int) -> dict[str, Any]:
    width, height = random.choice([(832, 1216), (1216, 832), (1024, 1024), (512, 768)])
    return {
        "id": id,
        "url": _image_url(random, width),
        "nsfwLevel": 2 ** random.randrange(5),
        "width": width,
        "height": height,
        "hash": "".join(random.choices(_BLURHASH, k=36)),
        "type": "image",
        "minor": False,
        "poi": False,
        "hasMeta": True,
        "hasPositivePrompt": True,
        "onSite": False,
        "remixOfId": None,
    }


def _image_url(random: Random, width: int) -> str:
    name = f"{random.getrandbits(128):032x}"
    return f"https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/{name}/width={width}/{random.randrange(10**8)}.jpeg"


def _moment(random: Random) -> str:
    return (
        f"202{random.randrange(3, 6)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}"
        f"T{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}.{random.randrange(1000):03}Z"
    )


def _digits(random: Random, count: int) -> str:
    return "".join(random.choices(_HEX, k=count))


def _description(random: Random, number: int) -> str:
    """Give a description; every third has characters beyond ASCII, as in real pages."""
    text = "".join(_paragraph(random) for _ in range(random.randrange(2, 44)))
    return text if number % 3 else f"<h3>🎨 Überblick – 概要</h3>{text}"


def _paragraph(random: Random) -> str:
    """Give a paragraph as the site's editor writes them, with quotes that JSON escapes."""
    link = f'<a target="_blank" rel="ugc" href="https://example.com/{random.randrange(10**6)}">{_text(random, 3)}</a>'
    return f"<p><strong>{_text(random, 4)}</strong>: {_text(random, 30)} {link}</p>"


def _text(random: Random, words: int) -> str:
    return " ".join(random.choices(_WORDS, k=words))
