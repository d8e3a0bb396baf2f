"""Graphs of ComfyUI: every text in them becomes part of the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.drawing import FORMATS, Stored
from civitai_ext.emulator.media.packages import Package
from civitai_ext.emulator.references import is_reference
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.core import Faults, Input, Json, Kind, Part, Workplace, flat, metered, utility
from civitai_ext.emulator.steps.image_tools import placeholder

_BUZZ_PER_SECOND = 0.5
_SECONDS = 20.0


def _check_graph(given: Input, path: str, faults: Faults) -> None:
    rules("comfyWorkflow{}", within={"quantity": (1, 100)})(given, path, faults)
    graph = given.raw("comfyWorkflow")
    if isinstance(graph, dict) and not is_reference(graph):
        for name, node in graph.items():
            # The service knows `classType`; exports of ComfyUI say `class_type`.
            key = "class_type" if Input(node).raw("class_type") else "classType"
            rules(key)(Input(node), f"{path}.comfyWorkflow.{name}", faults)


def _run_graph(given: Input, place: Workplace) -> Json:
    return {"blobs": _draw(given.raw("comfyWorkflow"), place, given.integer("quantity", 1))}


def _run_custom(given: Input, place: Workplace) -> Json:
    output: Json = {
        "blobs": _draw(given.raw("workflow"), place, 1),
        "tempBlobs": [],
        "usage": {
            "buzzPerSecond": _BUZZ_PER_SECOND,
            "runtimeSeconds": place.seconds,
            "estimatedCost": _BUZZ_PER_SECOND * place.seconds,
            "computedAt": orchestration_time(place.at),
        },
    }
    if given.text("trace", "none").lower() != "none":
        trace = place.keep(Stored(b"The emulator ran nothing and drew a picture.\n"), "text/plain", level="pg")
        output["traceUrl"] = Part(trace, "url")
    return output


def _snapshot(given: Input, place: Workplace) -> Json:
    results = []
    for nodepack in given.texts("nodepacks"):
        note = Stored(f"{nodepack}\nMade by the civitai-ext emulator.\n".encode())
        package = Package((("README.txt", note),))
        results.append(
            {
                "nodepack": nodepack,
                "layerAir": f"urn:air:other:other:civitai-ext-emulator:{nodepack}@1",
                "layer": place.keep(package, "application/zip", level="pg"),
                "objectInfo": place.keep(Stored(json.dumps({nodepack: {}}).encode()), "application/json", level="pg"),
                "web": place.keep(package, "application/zip", level="pg"),
            }
        )
    return {"results": results}


def _draw(graph: Any, place: Workplace, quantity: int) -> list[Blob]:
    prompt = " ".join(_texts(graph)) or "a graph"
    pictures = [placeholder(place, prompt, f"picture {number} of {quantity}") for number in range(1, quantity + 1)]
    pictures = [replace(picture, graph=_exported(graph)) for picture in pictures]
    return [place.keep(picture, FORMATS["png"], picture.width, picture.height) for picture in pictures]


def _exported(graph: Any) -> str:
    """Write a graph as ComfyUI exports it."""
    nodes = graph.items() if isinstance(graph, dict) else ()
    return json.dumps(
        {
            name: {"class_type": node.get("classType", node.get("class_type")), "inputs": node.get("inputs", {})}
            for name, node in nodes
            if isinstance(node, dict)
        }
    )


def _texts(value: Any) -> Iterator[str]:
    """Find the texts in a graph that people wrote: those of several words."""
    if isinstance(value, str):
        if " " in value:
            yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


KINDS: Mapping[str, Kind] = {
    "comfy": Kind(_check_graph, metered(lambda given: 10 * given.integer("quantity", 1)), lambda given: 15, _run_graph),
    "customComfy": Kind(
        rules("resources[] workflow*", one_of={"trace": ("none", "logs", "binary")}),
        flat(round(_BUZZ_PER_SECOND * _SECONDS)),
        lambda given: _SECONDS,
        _run_custom,
    ),
    "comfyNodepackSnapshot": utility(rules("nodepacks[]"), _snapshot, buzz=5, seconds=30),
}
