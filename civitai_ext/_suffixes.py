"""How the names of files end."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL_SUFFIXES"]

MODEL_SUFFIXES: Final = frozenset(
    {".bin", ".ckpt", ".gguf", ".onnx", ".pickle", ".pkl", ".pt", ".pth", ".safetensors", ".sft"}
)
"""How the names of files end that hold models."""
