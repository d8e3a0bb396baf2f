"""GLB files: a coloured box as binary glTF 2.0."""

from __future__ import annotations

import colorsys
import itertools
import json
import random
import struct
from dataclasses import dataclass

_TRIANGLES = (
    0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3,
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """A box whose measures and colour the seed chooses.

    Attributes:
        seed: Chooses measures and colour.
        name: What the mesh is called in the file.

    """

    seed: int
    name: str

    def render(self) -> bytes:
        """Write the file."""
        choose = random.Random(self.seed)  # noqa: S311 - reproducible on purpose
        half = [round(choose.uniform(0.3, 1), 3) for _ in range(3)]
        corners = list(itertools.product(*((-side, side) for side in half)))
        points = struct.pack("<24f", *itertools.chain.from_iterable(corners))
        indices = struct.pack(f"<{len(_TRIANGLES)}H", *_TRIANGLES)
        colour = [*colorsys.hls_to_rgb(choose.random(), 0.5, 0.6), 1.0]
        described = {
            "asset": {"version": "2.0", "generator": "civitai-ext emulator"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": self.name}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
            "materials": [{"pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0.1}}],
            "buffers": [{"byteLength": len(points) + len(indices)}],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": len(points), "target": 34962},
                {"buffer": 0, "byteOffset": len(points), "byteLength": len(indices), "target": 34963},
            ],
            "accessors": [
                {
                    "bufferView": 0,
                    "componentType": 5126,
                    "count": len(corners),
                    "type": "VEC3",
                    "min": [-side for side in half],
                    "max": half,
                },
                {"bufferView": 1, "componentType": 5123, "count": len(_TRIANGLES), "type": "SCALAR"},
            ],
        }
        text = json.dumps(described).encode()
        chunks = _chunk(b"JSON", text + b" " * (-len(text) % 4)) + _chunk(b"BIN\0", points + indices)
        return struct.pack("<4s2I", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<I4s", len(content), name) + content
