"""What media and texts are said to show: captions, tags, ratings, moderation. Hashes are computed from the pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from civitai_ext.emulator.drawing import Source
from civitai_ext.emulator.media.pictures import average_hash, frequency_hash
from civitai_ext.emulator.steps.checks import folded, rules
from civitai_ext.emulator.steps.choices import MODERATIONS
from civitai_ext.emulator.steps.core import Ending, Input, Json, Kind, Workplace, fraction, metered, utility
from civitai_ext.emulator.steps.sources import image, shown_in

_HASHES: Mapping[str, Callable[[Source], str]] = {
    "perceptual": average_hash,
    "perceptualDct": partial(frequency_hash, side=8),
    "perceptualDct256": partial(frequency_hash, side=16),
}
_LABELS = ("nsfw", "minor", "violence")
_THRESHOLD = 0.5
_MOST_TAGS = 20
# Each part of a rating, what asks for it, and what it says.
_PARTS: tuple[tuple[str, str, Json], ...] = (
    ("includeAgeClassification", "ageClassification", {"detections": [], "ran": True, "minorDetected": False}),
    ("includeFaceRecognition", "faceRecognition", {"faces": []}),
    ("includeAIRecognition", "aiRecognition", {"label": "ai", "confidence": 0.99}),
    ("includeAnimeRecognition", "animeRecognition", {"label": "real", "confidence": 0.9}),
    (
        "includeHumanRecognition",
        "humanRecognition",
        {"label": "no human", "confidence": 0.98, "humanScore": 0.02, "noHumanScore": 0.98},
    ),
    ("includeBodyAgeClassification", "bodyAgeClassification", {"detections": [], "ran": True, "childDetected": False}),
)


# Media


def _caption(given: Input, place: Workplace) -> Json:
    shown, _ = shown_in(given.text("mediaUrl"), place)
    return {"caption": f"A colourful pattern that shows the words: {shown}"}


def _tag(given: Input, place: Workplace) -> Json:
    shown, blob = shown_in(given.text("mediaUrl"), place)
    threshold = given.number("threshold", 0.35)
    scores = {tag: max(0.4, fraction("tag", tag)) for tag in _words(f"{shown} {given.text('prompt')} pattern")}
    mature = 0.97 if blob is not None and blob.mature else 0.01
    return {
        "tags": {tag: score for tag, score in scores.items() if score >= threshold},
        "rating": {"general": round(1 - mature, 2), "explicit": mature},
    }


def _rate(given: Input, place: Workplace) -> Json:
    shown, blob = shown_in(given.text("image"), place)
    output: Json = {
        "nsfwLevel": "x" if Ending.MATURE in shown else blob.level if blob else place.level,
        "isBlocked": blob is not None and blob.blocked_reason is not None,
        "labels": _words(shown),
    }
    if blob is not None and blob.blocked_reason:
        output["blockedReason"] = blob.blocked_reason
    return output | {name: said for field, name, said in _PARTS if given.raw(field) is True}


def _classify_age(given: Input, place: Workplace) -> Json:
    # Nobody is in these pictures.
    shown_in(given.text("mediaUrl"), place)
    return {
        "labels": {given.text("mediaUrl"): []},
        "hasMinor": False,
        "numPredictions": 0,
        "numFlagged": 0,
        "faceRecognitionAvailable": False,
    }


def _hash(given: Input, place: Workplace) -> Json:
    source, _, _ = image(given.text("mediaUrl"), place)
    wanted = set(map(folded, given.items("hashTypes")))
    return {"hashes": {name: compute(source) for name, compute in _HASHES.items() if folded(name) in wanted}}


def _score(given: Input, place: Workplace) -> Json:
    """Score images by dimensions; how well a picture fits follows from its prompt."""
    dimensions = given.texts("dimensions") or ["quality", "alignment"]
    results = {}
    for item in map(Input, given.items("items")):
        image(item.text("image"), place)
        scores = {name: round(5 * fraction(item.text("prompt"), name), 2) for name in dimensions}
        results[item.text("id")] = {
            "fieldScores": scores,
            "totalScore": round(sum(scores.values()) / len(scores), 2),
            "scores": [{"name": name, "score": score, "children": []} for name, score in scores.items()],
            "errors": {},
        }
    return {"results": results}


def _classify_texts(given: Input, place: Workplace) -> Json:
    results = []
    for url in given.texts("mediaUrls"):
        text, blob = shown_in(url, place)
        results.append({"mediaUrl": url, "classification": "unsafe" if blob and blob.mature else "safe", "text": text})
    return {"results": results}


# Texts


def _moderate_by_labels(given: Input, place: Workplace) -> Json:
    overrides = {item.text("label"): item for item in map(Input, given.items("labelOverrides"))}
    field = "positivePrompt" if given.text("mode").lower() == "prompt" else "text"
    results: list[Json] = [
        {"label": label, "field": field, "modelReason": "The emulator reads no more than the word [mature].", **verdict}
        for label in given.texts("labels") or list(overrides) or _LABELS
        for verdict in [_verdict(given, label, overrides.get(label, Input({})))]
    ]
    triggered = [result["label"] for result in results if result["triggered"]]
    return {"results": results, "blocked": _blocks(results), "triggeredLabels": triggered}


def _moderate_by_policies(given: Input, place: Workplace) -> Json:
    overrides = {item.text("name"): item for item in map(Input, given.items("policyOverrides"))}
    results: list[Json] = [
        {"policy": policy, **_verdict(given, policy, overrides.get(policy, Input({})))}
        for policy in given.texts("policies") or list(overrides) or _LABELS
    ]
    triggered = [result["policy"] for result in results if result["triggered"]]
    return {"results": results, "blocked": _blocks(results), "triggeredPolicies": triggered}


def _verdict(given: Input, name: str, override: Input) -> Json:
    """Judge a text: mature ones trigger everything, all others nothing."""
    mature = given.ending is Ending.MATURE
    threshold = override.number("threshold", _THRESHOLD)
    score = 0.97 if mature else round(threshold * 0.5 * fraction(name), 4)
    return {
        "action": override.text("action", "block"),
        "threshold": threshold,
        "score": score,
        "triggered": score > threshold,
        "topToken": "yes" if mature else "no",
        "finishReason": "stop",
    }


def _blocks(results: list[Json]) -> bool:
    return any(result["triggered"] and folded(result["action"]) == "block" for result in results)


def _words(text: str) -> list[str]:
    found = re.findall(r"\w{3,}", text.lower())
    return list(dict.fromkeys(found))[:_MOST_TAGS]


KINDS: Mapping[str, Kind] = {
    "mediaCaptioning": utility(
        rules("mediaUrl", one_of={"model": ("joy-caption", "ideogram4")}), _caption, buzz=2, seconds=4
    ),
    "wdTagging": utility(rules("mediaUrl", within={"threshold": (0, 1)}), _tag, buzz=1, seconds=2),
    "mediaRating": utility(rules(), _rate, buzz=1, seconds=2),
    "ageClassification": utility(rules("mediaUrl"), _classify_age, buzz=1, seconds=2),
    "mediaHash": utility(rules("mediaUrl hashTypes[]", one_of={"hashTypes": _HASHES}), _hash, buzz=1, seconds=1),
    "qwenImageBench": Kind(
        rules("items[]", within={"maxTokens": (1, 128_000)}, parts={"items": rules("id prompt image")}),
        metered(lambda given: 2 * len(given.items("items"))),
        lambda given: 10,
        _score,
        prepares=False,
    ),
    "batchOCRSafetyClassification": utility(rules("mediaUrls[]"), _classify_texts, buzz=2, seconds=3),
    "xGuardModeration": utility(
        rules(chosen_by=MODERATIONS, parts={"labelOverrides": rules("label")}), _moderate_by_labels, buzz=1, seconds=2
    ),
    "shieldstralModeration": utility(
        rules(chosen_by=MODERATIONS, parts={"policyOverrides": rules("name")}), _moderate_by_policies, buzz=1, seconds=2
    ),
}
