"""The graph that ComfyUI ran to make a picture, and what it says of how that was done. No I/O.

A graph is nodes by id; an input of a node is a value, or the id of another node and the number of its output. Only what
is certain is taken: where several samplers begin a picture, only what all of them say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from civitai_ext._reading import record, text

__all__ = ["is_graph", "read_graph"]

_MOST_NODES: Final = 20_000
_MOST_SAMPLERS: Final = 32
_LONGEST_WAY: Final = 64

# Names of inputs; nodes are told by them, as there are thousands of classes. The first that is there counts.
_MODELS: Final = ("ckpt_name", "unet_name", "base_ckpt_name")
_ENCODED: Final = ("text", "text_g", "text_l", "clip_l", "t5xxl")
_HELD: Final = frozenset({"value", "text", "string", "STRING", "prompt", "int", "float", "number", "Number"})
_SAMPLER: Final[Mapping[str, tuple[tuple[str, ...], str, type]]] = {
    # by key of the API: inputs of the sampler, or of what is plugged into another input of it
    "steps": (("steps",), "sigmas", int),
    "sampler": (("sampler_name",), "sampler", str),
    "cfgScale": (("cfg",), "guider", float),
    "seed": (("seed", "noise_seed"), "noise", int),
    "scheduler": (("scheduler",), "sigmas", str),
    "denoise": (("denoise",), "sigmas", float),
}

Graph = Mapping[str, Mapping[str, Any]]


def is_graph(value: Any) -> bool:
    """Tell whether something read from JSON is a graph that ComfyUI ran.

    >>> is_graph({"3": {"class_type": "KSampler", "inputs": {}}}), is_graph({"nodes": []}), is_graph([])
    (True, False, False)
    """
    return isinstance(value, dict) and any("class_type" in record(node) for node in value.values())


def read_graph(value: Mapping[str, Any]) -> dict[str, Any]:
    """Read how a picture was made from the graph that made it, by the keys that the API has.

    >>> read_graph({
    ...     "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
    ...     "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
    ...     "3": {"class_type": "KSampler", "inputs": {"seed": 5, "model": ["1", 0], "positive": ["2", 0]}},
    ... })["prompt"]
    'a cat'
    """
    graph = {id: _inputs(node) for id, node in value.items() if "inputs" in record(node)}
    samplers = [id for id, inputs in graph.items() if _is_sampler(inputs)]
    if len(graph) > _MOST_NODES or len(samplers) > _MOST_SAMPLERS:
        return {}
    firsts = [graph[id] for id in samplers if _before(graph, graph[id]).isdisjoint(samplers)]
    described = [_described(graph, inputs) for inputs in firsts]
    common = described[0].items() if described else ()
    return {key: each for key, each in common if all(other.get(key) == each for other in described)}


def _inputs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    # What this class is given is multiplied by zero.
    return {} if "ZeroOut" in text(node.get("class_type")) else record(node["inputs"])


def _is_sampler(inputs: Mapping[str, Any]) -> bool:
    conditioned = any(_is_link(inputs.get(name)) for name in ("positive", "guider"))
    return conditioned and any(name in inputs for name in ("seed", "noise_seed", "noise"))


def _described(graph: Graph, sampler: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    guider = _node(graph, sampler.get("guider")) or sampler
    for key, role in {"prompt": "positive", "negativePrompt": "negative"}.items():
        link = guider.get("conditioning") if role == "positive" and role not in guider else guider.get(role)
        said = dict.fromkeys(_prompts(graph, link, role))
        if None not in said and (prompt := ", ".join(filter(None, said))):
            found[key] = prompt
    for key, (names, part, kind) in _SAMPLER.items():
        held = {**_node(graph, sampler.get(part)), **sampler}
        value = _value(graph, next((held[name] for name in names if name in held), None), kind, *names)
        if value is not None:
            found[key] = value
    resources = list(_resources(graph, guider.get("model") or sampler.get("model")))
    models = [each["name"] for each in resources if each["type"] == "model"]
    if models:
        found["Model"] = models[0]
    if resources:
        found["resources"] = resources
    return found | _size(graph, sampler.get("latent_image"))


# ------------------------------------------------------------------------------------------------- walking the graph


def _is_link(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _node(graph: Graph, link: Any) -> Mapping[str, Any]:
    """The inputs of the node that is plugged in; none if there is nothing."""
    return graph.get(link[0], {}) if _is_link(link) else {}


def _way(graph: Graph, link: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """The inputs of the nodes on the way back by inputs of these names, or through nodes that have no other."""
    seen: set[str] = set()
    while (inputs := _node(graph, link)) and link[0] not in seen:
        seen.add(link[0])
        yield inputs
        link = next((inputs[name] for name in names if name in inputs), _alone(inputs))


def _alone(inputs: Mapping[str, Any]) -> Any:
    """What is plugged into a node that has no other input: it hands that on."""
    only = next(iter(inputs.values())) if len(inputs) == 1 else None
    return only if _is_link(only) else None


def _before(graph: Graph, inputs: Mapping[str, Any]) -> set[str]:
    """The ids of all nodes on which inputs depend."""
    found: set[str] = set()
    todo = list(inputs.values())
    while todo:
        link = todo.pop()
        if _is_link(link) and link[0] not in found:
            found.add(link[0])
            todo += _node(graph, link).values()
    return found


# ------------------------------------------------------------------------------------------------------ what it says


def _value(graph: Graph, value: Any, kind: type, *names: str) -> Any:
    """A value, or that of the node that is plugged in; None if that node makes it of others.

    A node holds it under one of the names, or under a usual one and has no other of its kind.
    """
    for _ in range(_LONGEST_WAY):
        if not _is_link(value):
            break
        inputs = _node(graph, value)
        usual = {name: each for name, each in inputs.items() if _is_link(each) or _is(each, kind)}
        usual = {name: each for name, each in usual.items() if not name.startswith("text_")}  # what a node has shown
        value = next((inputs[name] for name in names if name in inputs), _alone(inputs))
        if value is None and len(usual) == 1 and usual.keys() <= _HELD:
            (value,) = usual.values()
    return value if _is(value, kind) else None


def _is(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _prompts(graph: Graph, link: Any, role: str) -> Iterator[str | None]:
    """The texts from which a conditioning is made; None for one that is not certain."""
    seen: set[str] = set()
    todo = [link]
    while todo:
        link = todo.pop()
        if not _is_link(link):
            yield text(link)
        elif link[0] not in graph:
            yield None
        elif link[0] not in seen:
            seen.add(link[0])
            inputs = graph[link[0]]
            parts = [each for name, each in inputs.items() if name.startswith("cond") and _is_link(each)]
            parts = parts or [each for each in (_alone(inputs),) if each]
            if encoded := [inputs[name] for name in _ENCODED if name in inputs]:
                yield from (_value(graph, each, str, "populated_text") for each in encoded)
            elif role in inputs:
                todo.append(inputs[role])
            elif parts:
                todo += parts[::-1]
            elif inputs:
                yield None


def _resources(graph: Graph, link: Any) -> Iterator[dict[str, Any]]:
    """The model, and what changes it on the way to the sampler."""
    for inputs in _way(graph, link, "model"):
        yield from _networks(inputs)
        if name := next(filter(None, (_file(inputs.get(name)) for name in _MODELS)), ""):
            yield {"type": "model", "name": name}
            return


def _networks(inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    strengths = (inputs.get(name) for name in ("strength_model", "lora_model_strength"))
    found = [(inputs.get("lora_name"), next((each for each in strengths if _is(each, float)), None))]
    found += [(each.get("lora"), each.get("strength")) for each in inputs.values() if record(each).get("on") is True]
    for file, weight in found:
        if (name := _file(file)) and name != "None":
            yield {"type": "lora", "name": name} | ({"weight": weight} if _is(weight, float) else {})


def _file(value: Any) -> str:
    """The name of a file, which some nodes keep together with a picture of it."""
    return text(value) or text(record(value).get("content"))


def _size(graph: Graph, link: Any) -> dict[str, Any]:
    for inputs in _way(graph, link, "samples", "latent"):
        sides = [
            _value(graph, inputs.get(name, inputs.get(f"empty_latent_{name}")), int) for name in ("width", "height")
        ]
        if all(isinstance(side, int) and side > 0 for side in sides):
            return dict(zip(("width", "height"), sides, strict=True))
    return {}
