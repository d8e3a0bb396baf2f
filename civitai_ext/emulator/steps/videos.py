"""Films: from text, from other media, and from other films."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping

from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.drawing import FORMATS, Stored
from civitai_ext.emulator.media.mp4 import Film
from civitai_ext.emulator.media.wav import Sound
from civitai_ext.emulator.steps.checks import between, folded, rules
from civitai_ext.emulator.steps.choices import VIDEOS
from civitai_ext.emulator.steps.core import (
    LONGEST_PROCESSING,
    Faults,
    Input,
    Json,
    Kind,
    Part,
    StepFailedError,
    Workplace,
    metered,
    utility,
)
from civitai_ext.emulator.steps.images import aspect_ratio
from civitai_ext.emulator.steps.sources import LARGEST_SIDE, LONGEST, MOST_FPS, first_medium, sound, video

_MOST_FRAMES = 100
_LINES = {"360p": 360, "480p": 480, "540p": 540, "580p": 580, "720p": 720, "1080p": 1080, "2k": 1440}


# From text and other media

_LIMITS = {"quantity": (1, 10), "steps": (1, 60), "width": (1, 2048), "height": (1, 2048)}
_DURATIONS_IN_WORDS = ("5", "10")  # as Kling writes them
_check_choice = rules("prompt", chosen_by=VIDEOS, within=_LIMITS)


def _check_video_gen(given: Input, path: str, faults: Faults) -> None:
    _check_choice(given, path, faults)
    if given.text("duration") not in _DURATIONS_IN_WORDS:
        between(given, "duration", 1, 30, path, faults)


def _length(given: Input) -> float:
    text = given.text("duration")
    return float(text) if text in _DURATIONS_IN_WORDS else given.number("duration", 5)


def _size(given: Input) -> tuple[int, int]:
    """Read the size: width and height, else the lines of a resolution in an aspect ratio."""
    width, height = given.integer("width", 0), given.integer("height", 0)
    if width and height:
        return _even(width), _even(height)
    resolution = given.text("resolution").lower()
    lines = _LINES.get(resolution, given.integer("resolution", 720))
    ratio = aspect_ratio(given.text("aspectRatio")) or 16 / 9
    return (_even(lines * ratio), _even(lines)) if ratio >= 1 else (_even(lines), _even(lines / ratio))


def _video_buzz(given: Input) -> float:
    width, height = _size(given)
    return 20 * _length(given) * max(0.25, width * height / 1280 / 720) * given.integer("quantity", 1)


def _video_seconds(given: Input) -> float:
    return min(LONGEST_PROCESSING, 15 + 6 * _length(given) * given.integer("quantity", 1))


def _make_video(given: Input, place: Workplace) -> Json:
    width, height = _size(given)
    length = _length(given)
    fps = given.number("fps", given.number("frameRate", 24))
    operation = folded(given.text("operation"))
    original = first_medium(given, "sourceVideo", "videoUrl")
    if original:
        source = video(original, place)
        width, height = source.width, source.height
        # An edit lasts as long as what it edits, an extension goes on from there.
        length = source.seconds + length if "extend" in operation else source.seconds
    first_seed = given.integer("seed", place.seed)
    films = [
        keep_film(place, Film(width, height, first_seed + number, given.text("prompt"), length, fps))
        for number in range(given.integer("quantity", 1))
    ]
    output: Json = {"video": films[0]}
    if films[1:]:
        output["additionalVideos"] = films[1:]
    if given.raw("draft") is True:
        cache = Stored(json.dumps({"seed": first_seed, "prompt": given.text("prompt")}).encode())
        output["draftCache"] = place.keep(cache, "application/json", level="pg")
    return output


def keep_film(place: Workplace, film: Film) -> Blob:
    """Keep a film, within what is reasonable."""
    film = dataclasses.replace(film, seconds=min(film.seconds, LONGEST), fps=min(max(film.fps, 1), MOST_FPS))
    return place.keep(film, "video/mp4", film.width, film.height)


# From other films


def _upscale(given: Input, place: Workplace) -> Json:
    film = video(given.text("video"), place)
    factor = given.integer("scaleFactor", 2)
    return {"video": keep_film(place, _resized(film, film.width * factor, film.height * factor))}


def _interpolate(given: Input, place: Workplace) -> Json:
    film = video(given.text("video"), place)
    faster = dataclasses.replace(film, fps=film.fps * given.integer("interpolationFactor", 2))
    return {"video": keep_film(place, faster)}


def _enhance(given: Input, place: Workplace) -> Json:
    film = video(given.text("sourceUrl"), place)
    upscaler, interpolation = given.object("upscaler"), given.object("interpolation")
    film = _resized(film, upscaler.integer("width", film.width), upscaler.integer("height", film.height))
    film = dataclasses.replace(film, fps=film.fps * max(1, interpolation.integer("multiplier", 1)))
    return {"video": keep_film(place, film)}


def _remove_background(given: Input, place: Workplace) -> Json:
    return {"video": keep_film(place, video(given.text("video"), place))}


def _extract_frames(given: Input, place: Workplace) -> Json:
    film = video(given.text("videoUrl"), place)
    start, rate = max(0.0, given.number("startTime", 0)), given.number("frameRate", 1)
    count = math.ceil(max(0.0, film.seconds - start) * rate)
    count = min(count, given.integer("maxFrames", _MOST_FRAMES), _MOST_FRAMES)
    frames = []
    for number in range(count):
        moment = start + number / rate
        picture = dataclasses.replace(
            film.picture("png"), caption=f"civitai-ext emulator · second {moment:g} of {film.seconds:g}"
        )
        frames.append(place.keep(picture, FORMATS["png"], film.width, film.height))
    return {"frames": frames, "totalFramesExtracted": len(frames)}


def _tell_metadata(given: Input, place: Workplace) -> Json:
    film = video(given.text("video"), place)
    whole = int(film.seconds)
    rest = f".{round((film.seconds - whole) * 1e7):07d}" if film.seconds > whole else ""
    duration = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{rest}"
    return {"width": film.width, "height": film.height, "fps": film.fps, "duration": duration}


def _transcode(given: Input, place: Workplace) -> Json:
    _only(given.text("containerFormat", "mp4"), "mp4")
    film = video(given.text("sourceUrl"), place)
    width = given.integer("width", 0) or film.width
    blob = keep_film(place, _resized(film, width, film.height * width / film.width))
    return {name: Part(blob, name) for name in ("id", "available", "url", "urlExpiresAt", "jobId")}


# From several media


def _compose(given: Input, place: Workplace) -> Json:
    """Lay the elements one after another, or where they say; the composition ends with the last of them."""
    output, canvas = given.object("output"), given.object("canvas")
    as_audio = output.text("type", "video").lower() == "audio"
    resolved, films, end = [], [], 0.0
    for element in map(Input, given.items("elements")):
        url = element.text("url")
        if not url:
            length = 0.0  # an empty place
        elif as_audio:
            length = sound(url, place).seconds
        else:
            films.append(video(url, place))
            length = films[-1].seconds
        start = max(0.0, element.number("at", end) + element.number("offset", 0))
        resolved.append({"startSeconds": start, "duration": length})
        end = min(max(end, start + length), LONGEST)
    container = output.text("container", "auto")
    if as_audio:
        _only(container, "auto", "wav")
        blob = place.keep(Sound(place.seed, end), "audio/wav", seconds=end)
        return {"type": "audio", "audioBlob": blob, "elements": resolved}
    _only(container, "auto", "mp4")
    width = _even(canvas.integer("width", films[0].width if films else 1280))
    height = _even(canvas.integer("height", films[0].height if films else 720))
    prompt = ", then ".join(film.prompt for film in films)
    film = Film(width, height, place.seed, prompt, end, canvas.number("fps", 30))
    return {"type": "video", "videoBlob": keep_film(place, film), "elements": resolved}


def _only(container: str, *known: str) -> None:
    if container.lower() not in known:
        raise StepFailedError(f"the emulator does not write {container} files")


def _resized(film: Film, width: float, height: float) -> Film:
    return dataclasses.replace(film, width=_even(width), height=_even(height))


def _even(pixels: float) -> int:
    return min(max(2 * round(pixels / 2), 2), LARGEST_SIDE)


KINDS: Mapping[str, Kind] = {
    "videoGen": Kind(_check_video_gen, metered(_video_buzz), _video_seconds, _make_video),
    "videoUpscaler": utility(rules("video", within={"scaleFactor": (2, 4)}), _upscale, buzz=60, seconds=60),
    "videoInterpolation": utility(
        rules("video", within={"interpolationFactor": (2, 3)}), _interpolate, buzz=40, seconds=40
    ),
    "videoEnhancement": utility(rules("sourceUrl"), _enhance, buzz=80, seconds=90),
    "videoBackgroundRemoval": utility(
        rules("video", within={"maskExpansion": (-32, 32), "maskFeather": (0, 32)}),
        _remove_background,
        buzz=30,
        seconds=30,
    ),
    "videoFrameExtraction": utility(
        rules("videoUrl", within={"frameRate": (0.01, 120), "maxFrames": (1, 10_000), "startTime": (0, 86_400)}),
        _extract_frames,
        buzz=2,
        seconds=4,
    ),
    "videoMetadata": utility(rules("video"), _tell_metadata, buzz=1, seconds=1),
    "transcode": utility(rules("sourceUrl", within={"width": (0, LARGEST_SIDE)}), _transcode, buzz=2, seconds=10),
    "composeMedia": utility(
        rules("elements[]", parts={"elements": rules(within={"at": (0, LONGEST), "offset": (-LONGEST, LONGEST)})}),
        _compose,
        buzz=10,
        seconds=15,
    ),
}
