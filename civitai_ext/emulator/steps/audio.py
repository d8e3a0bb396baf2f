"""Music and speech, and what is heard in them."""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.media.wav import Sound
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.choices import VOICES
from civitai_ext.emulator.steps.core import Input, Json, Kind, Workplace, metered, utility
from civitai_ext.emulator.steps.sources import sound

_SECONDS_OF_A_WORD = 0.4
_UNHEARD = "the emulator hears only what it has said itself"


def _make_song(given: Input, place: Workplace) -> Json:
    return {"blob": _keep(place, given.integer("seed", place.seed), given.number("duration", 60), given.text("lyrics"))}


def _make_music(given: Input, place: Workplace) -> Json:
    # The model may end before the longest duration that it is given, and so it does here.
    length = min(given.number("maxDuration", 120), 90)
    return {"blob": _keep(place, given.integer("seed", place.seed), length, given.text("lyrics"))}


def _speak(given: Input, place: Workplace) -> Json:
    text = given.text("text")
    output: Json = {
        "audioBlob": _keep(place, place.seed, _spoken_seconds(text), text),
        "modelType": given.text("operation") or given.text("ecosystem") or given.text("engine", "custom"),
    }
    if given.text("speaker"):
        output["speaker"] = given.text("speaker")
    return output


def _transcribe(given: Input, place: Workplace) -> Json:
    heard = sound(given.text("mediaUrl"), place)
    words = (heard.words or _UNHEARD).split()
    each = heard.seconds / len(words)
    stamps = [
        {"text": word, "startTime": round(number * each, 3), "endTime": round((number + 1) * each, 3)}
        for number, word in enumerate(words)
    ]
    return {
        "text": " ".join(words),
        "language": given.text("language", "en"),
        "timeStamps": [] if given.raw("returnTimeStamps") is False else stamps,
        "elapsedSeconds": place.seconds,
    }


def _caption(given: Input, place: Workplace) -> Json:
    heard = sound(given.text("mediaUrl"), place)
    text = heard.words or _UNHEARD
    item = {"text": text, "caption": f"A simple melody for: {text}", "duration": f"{heard.seconds:g}"}
    return {"results": {given.text("mediaUrl"): item}}


def _keep(place: Workplace, seed: int, seconds: float, words: str) -> Blob:
    return place.keep(Sound(seed, seconds, words), "audio/wav", seconds=seconds)


def _spoken_seconds(text: str) -> float:
    return max(1, len(text.split())) * _SECONDS_OF_A_WORD


KINDS: Mapping[str, Kind] = {
    "aceStepAudio": Kind(
        rules("musicDescription", within={"duration": (1, 190), "bpm": (40, 200), "steps": (1, 200), "cfg": (0, 30)}),
        metered(lambda given: given.number("duration", 60) / 6),
        lambda given: 10 + given.number("duration", 60) / 4,
        _make_song,
    ),
    "miniMaxMusic3": Kind(
        rules("caption", within={"maxDuration": (0.04, 360), "steps": (1, 100), "cfg": (0, 100)}),
        metered(lambda given: given.number("maxDuration", 120) / 4),
        lambda given: 20 + given.number("maxDuration", 120) / 4,
        _make_music,
    ),
    "textToSpeech": Kind(
        rules("text", chosen_by=VOICES),
        metered(lambda given: len(given.text("text").split()) / 10),
        lambda given: min(300, 3 + _spoken_seconds(given.text("text")) / 2),
        _speak,
    ),
    "transcription": utility(rules("mediaUrl"), _transcribe, buzz=2, seconds=6),
    "audioCaptioning": utility(rules("mediaUrl"), _caption, buzz=2, seconds=8),
}
