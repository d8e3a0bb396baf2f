"""Files of models: what is in them, and the training of new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping

from civitai_ext.emulator import files
from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.drawing import FORMATS, Picture
from civitai_ext.emulator.media.mp4 import Film
from civitai_ext.emulator.media.packages import Weights
from civitai_ext.emulator.media.wav import Sound
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.choices import RESOURCE_TRAININGS, TRAININGS
from civitai_ext.emulator.steps.core import (
    LONGEST_PROCESSING,
    Input,
    Json,
    Kind,
    Part,
    Workplace,
    metered,
    utility,
)
from civitai_ext.emulator.steps.sources import model_file

_WEIGHTS = 200_000
_SAFETENSORS = "application/octet-stream"
_HASHES = {
    "SHA256": "sha256",
    "AutoV1": "autoV1",
    "AutoV2": "autoV2",
    "AutoV3": "autoV3",
    "BLAKE3": "blake3",
    "CRC32": "crc32",
}


# What is in a file


def _hash(given: Input, place: Workplace) -> Json:
    hashes = model_file(given.text("model"), place).hashes
    return {_HASHES[name]: value for name, value in hashes.items() if name in _HASHES}


def _parse_metadata(given: Input, place: Workplace) -> Json:
    file = model_file(given.text("model"), place)
    if not file.is_safetensors:
        return {}
    return {"metadata": json.dumps(files.header(file.stored())["__metadata__"])}


def _scan_for_pickles(given: Input, place: Workplace) -> Json:
    skipped = model_file(given.text("model"), place).is_safetensors
    output: Json = {
        "exitCode": 0,
        "output": "",
        "globalImports": [],
        "dangerousImports": [],
        "status": "skippedSafetensors" if skipped else "clean",
        "dangerousImportsFound": False,
        "skipped": skipped,
        "scannedFileCount": 0 if skipped else 1,
        "infectedFileCount": 0,
        "dangerousGlobalCount": 0,
    }
    return output | ({"skipReason": "safetensors files hold no code"} if skipped else {})


def _scan_for_viruses(given: Input, place: Workplace) -> Json:
    name = model_file(given.text("model"), place).name
    return {
        "exitCode": 0,
        "output": f"{name}: OK",
        "status": "clean",
        "infected": False,
        "infectedFileCount": 0,
        "scannedFileCount": 1,
    }


def _prepare(given: Input, place: Workplace) -> Json:
    return {
        "resource": given.text("resource"),
        "preparedAt": orchestration_time(place.at),
        "provider": "civitai-ext-emulator",
    }


# Training

_LIMITS = {"epochs": (1, 200), "steps": (1, 10_000), "batchSize": (1, 4), "lr": (0, 1), "networkDim": (1, 256)}


def _epochs(given: Input) -> int:
    return given.integer("epochs", given.integer("maxTrainEpochs", 5))


def _training_seconds(given: Input) -> float:
    return min(LONGEST_PROCESSING, 60 + 20.0 * _epochs(given))


def _train(given: Input, place: Workplace) -> Json:
    prompts = given.object("samples").texts("prompts")
    name = given.text("triggerWord") or given.text("ecosystem") or "lora"
    epochs = [
        {
            "epochNumber": epoch,
            "model": _weights(place, f"{name}-{epoch:06d}"),
            "samples": [
                _sample(place, given.text("ecosystem").lower(), prompt, place.seed + 1000 * epoch + number)
                for number, prompt in enumerate(prompts)
            ],
        }
        for epoch in range(1, _epochs(given) + 1)
    ]
    return {"moderationStatus": "approved", "epochs": epochs}


def _sample(place: Workplace, ecosystem: str, prompt: str, seed: int) -> Blob:
    """Make what a model of an ecosystem makes: a film, a sound or a picture."""
    if ecosystem.startswith(("ltx", "minimax")):
        film = Film(640, 360, seed, prompt, seconds=3)
        return place.keep(film, "video/mp4", film.width, film.height)
    if ecosystem.startswith("ace_step"):
        return place.keep(Sound(seed, 10, prompt), "audio/wav", seconds=10)
    picture = Picture(512, 512, seed, prompt, f"civitai-ext emulator · sample · seed {seed}", "")
    return place.keep(picture, FORMATS["png"], 512, 512)


def _weights(place: Workplace, name: str) -> Blob:
    return place.keep(Weights(f"{place.seed} {name}", _WEIGHTS, name), _SAFETENSORS, level="pg")


def _train_resource(given: Input, place: Workplace) -> Json:
    prompts = given.texts("samplePrompts")
    epochs = []
    for epoch in range(1, _epochs(given) + 1):
        name = f"{given.text('loraName', 'my-lora')}-{epoch:06d}"
        model = _weights(place, name)
        # These are plain URLs, which cannot be withheld: nothing mature is in them.
        samples = [
            place.keep(Picture(512, 512, place.seed + epoch, prompt, name, ""), FORMATS["png"], 512, 512, level="pg")
            for prompt in prompts
        ]
        epochs.append(
            {
                "epochNumber": epoch,
                "blobName": f"{name}.safetensors",
                "blobSize": len(model.content),
                "sampleImages": [Part(sample, "url") for sample in samples],
                "blobUrl": Part(model, "url"),
            }
        )
    return {"moderationStatus": "approved", "epochs": epochs, "sampleImagesPrompts": prompts}


KINDS: Mapping[str, Kind] = {
    "modelHash": utility(rules("model"), _hash, buzz=1, seconds=4),
    "modelParseMetadata": utility(rules("model"), _parse_metadata, buzz=1, seconds=2),
    "modelPickleScan": utility(rules("model"), _scan_for_pickles, buzz=1, seconds=4),
    "modelClamScan": utility(rules("model"), _scan_for_viruses, buzz=1, seconds=6),
    "prepareResource": utility(rules("resource"), _prepare, buzz=1, seconds=1, prepares=True),
    "training": Kind(
        rules(
            "trainingData{}",
            chosen_by=TRAININGS,
            within=_LIMITS,
            parts={"trainingData": rules("type sourceUrl", one_of={"type": ("zip",)})},
        ),
        metered(lambda given: 100 + 20 * _epochs(given)),
        _training_seconds,
        _train,
    ),
    "imageResourceTraining": Kind(
        rules(chosen_by=RESOURCE_TRAININGS, within={"epochs": (0, 20), "maxTrainEpochs": (0, 20)}),
        metered(lambda given: 400 + 20 * _epochs(given)),
        _training_seconds,
        _train_resource,
    ),
}
