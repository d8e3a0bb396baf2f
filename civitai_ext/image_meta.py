"""How a picture was made, as the file of it says: for local files, and for images of which the API does not know it.

    meta = image.meta or read_image_meta("pictures/1.png")
    if meta:
        print(meta.prompt, meta.seed, meta.size)

Programs write it into PNG, JPEG and WebP files as the web UI of AUTOMATIC1111 does (Forge, SD.Next and Civitai itself
write so too), as the graph of ComfyUI, or as JSON of their own: Draw Things, Fooocus, InvokeAI, NovelAI, SwarmUI.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from civitai_ext._comfy_graph import is_graph, read_graph
from civitai_ext._image_texts import texts_in
from civitai_ext._infotext import parse_infotext
from civitai_ext._program_json import read_json
from civitai_ext._reading import record, text
from civitai_ext.catalogue import ImageMeta

__all__ = ["read_image_meta"]

_INFOTEXTS: Final = ("parameters", "UserComment", "ImageDescription", "Comment")


def read_image_meta(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> ImageMeta | None:
    r"""Read how a picture was made from the file of it; None if it does not say, or is no PNG, JPEG or WebP.

    The keys are those of the API, and what the API does not name keeps the name that the program gave it. Only what is
    certain is there: of a ComfyUI graph, what the sampler got that began the picture. The graph itself is under
    `comfy`, as a text. Of a file that is broken or cut there is what came before that. The pixels are passed over, and
    so are texts of more than 4 MiB.

    Args:
        source: A path, the content of a file, or a file that is open for reading bytes, which is read from where it
            stands.

    Raises:
        OSError: The file cannot be read.

    >>> text = b"parameters\0a cat\nSteps: 20, Seed: 5, Size: 512x768, Model: x"
    >>> chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + bytes(4)
    >>> meta = read_image_meta(b"\x89PNG\r\n\x1a\n" + chunk)
    >>> meta.prompt, meta.steps, meta.seed, meta.size, meta.model
    ('a cat', 20, 5, (512, 768), 'x')
    """
    if isinstance(source, (str, os.PathLike)):
        # Without a buffer, which would be filled anew behind everything that is passed over.
        with Path(source).open("rb", buffering=0) as file:
            texts = texts_in(file)
    else:
        texts = texts_in(io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else source)
    found = _described(texts)
    return ImageMeta.from_dict(found) if found else None


def _described(texts: Mapping[str, str]) -> dict[str, Any]:
    """Give what the texts of a picture say, whichever program wrote them."""
    found: dict[str, Any] = {}
    graphs: dict[str, str] = {}
    read: dict[str, Any] = {}
    for keyword, value in texts.items():
        # Some files of ComfyUI have the names of the texts within them.
        name, _, rest = value.partition(":") if keyword in ("Make", "Model") else (keyword, "", value)
        said = _object(rest)
        if is_graph(said):
            name = "prompt"
        if said and name in ("prompt", "workflow"):
            graphs.setdefault(name, rest)
            read.setdefault(name, said)
        elif said:
            found = read_json(said, name, texts) | found
        elif keyword in _INFOTEXTS:
            found = parse_infotext(value, certain=keyword == "parameters") | found
    if graphs:
        graph = read.get("prompt", {})
        found = read_graph(graph) | read_json(_object(graph.get("extraMetadata")), "extraMetadata", texts) | found
        # Put together as texts: they may hold numbers that JSON does not have.
        found["comfy"] = "{" + ", ".join(f'"{name}": {graphs[name]}' for name in sorted(graphs)) + "}"
    return found


def _object(value: Any) -> dict[str, Any]:
    """Read a JSON object; an empty one if a text is none."""
    if not text(value).lstrip().startswith("{"):
        return {}
    try:
        return record(json.loads(value, strict=False))
    except (ValueError, RecursionError):
        return {}
