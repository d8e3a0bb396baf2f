"""Layouts as their users write them. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import assert_type

from civitai_ext.catalogue import Model, ModelFile, ModelVersion
from civitai_ext.layouts import PROGRAMS, TOKENS, Layout


def layouts(model: Model, version: ModelVersion, file: ModelFile) -> None:
    layout = Layout("comfyui")
    assert_type(layout.pattern, str)
    assert_type(layout.path_for(model, version, file), PurePosixPath)
    assert_type(layout.path_for(None, version, file, to="ComfyUI/models"), PurePosixPath)
    layout.path_for(model, version, version.pick_file(), to=Path("ComfyUI"))
    assert_type(layout == Layout("{type}/{file_name}"), bool)
    print(PROGRAMS[0], "ext" in TOKENS)


def mistakes(layout: Layout, model: Model, version: ModelVersion) -> None:
    """Each line is wrong, and a type checker has to say so."""
    Layout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Layout(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    layout.path_for(model, version)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    layout.pattern = "a1111"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
