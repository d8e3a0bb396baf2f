"""What is put beside a downloaded file: what the service says about it, a picture, and its description."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from civitai_ext._async.media_files import medium_in, save_medium
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._disk import AsyncDisk, PartFile
from civitai_ext._reading import text
from civitai_ext.catalogue import Model, ModelVersion
from civitai_ext.errors import CivitaiError

__all__ = ["is_beside", "write_sidecars"]

_ENDINGS: Final = {"json": ".civitai.info", "readme": ".md"}

_PREVIEW_WIDTH: Final = 450  # what the site shows in lists, and so has at hand


def is_beside(path: Path, kind: str) -> bool:
    """Tell whether a file has its `json` or `readme` already."""
    return os.path.lexists(_beside(path, kind))


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.stem}{_ENDINGS[kind]}")


async def write_sidecars(
    transport: AsyncTransport,
    path: Path,
    wanted: Collection[str],
    version: ModelVersion | None,
    model: Model | None,
    *,
    replace: bool,
) -> tuple[list[Path], list[CivitaiError | OSError]]:
    """Put beside a file what is wanted there. What is there already stays, unless it is to be replaced.

    Args:
        transport: What sends.
        path: The file.
        wanted: `json`, `preview`, `readme`.
        version: The version it is of.
        model: The model it is of.
        replace: Whether to replace what is there.

    Returns:
        What is there now, and what went wrong: nothing of that is worth losing the file for.
    """
    written: list[Path] = []
    problems: list[CivitaiError | OSError] = []
    if version is None:
        return written, problems
    for kind in sorted(wanted):
        try:
            if kind == "json":
                content = json.dumps(version.to_dict(), indent=2, ensure_ascii=False)
                written.append(await AsyncDisk.run(_write, _beside(path, kind), content, replace))
            elif kind == "readme":
                written.append(await AsyncDisk.run(_write, _beside(path, kind), _readme(version, model), replace))
            elif (preview := await _preview(transport, path, version, replace)) is not None:
                written.append(preview)
        except (CivitaiError, OSError) as error:
            problems.append(error)
    return written, problems


async def _preview(transport: AsyncTransport, path: Path, version: ModelVersion, replace: bool) -> Path | None:
    """Save the first picture of the showcase, or of its first video a frame."""
    shown = [image for image in version.images if text(image.url)]
    if not shown:
        return None
    image = next((image for image in shown if not image.is_video), shown[0])
    stem = f"{path.stem}.preview"
    if not replace and (there := await AsyncDisk.run(medium_in, path.parent, stem)) is not None:
        return there
    url = image.url_at(_PREVIEW_WIDTH, still=image.is_video) or ""
    return await save_medium(transport, url, path.parent, stem=stem, kind="image", exists="overwrite")


def _readme(version: ModelVersion, model: Model | None) -> str:
    name = text(getattr(model, "name", None)) or text(getattr(version.model, "name", None))
    parts = [f"# {' – '.join(filter(None, (name, text(version.name))))}"]
    if version.url:
        parts.append(f"<{version.url}>")
    if version.trained_words:
        parts.append("Trained words: " + ", ".join(f"`{word}`" for word in version.trained_words))
    if text(version.description):
        parts.append(version.description_markdown())
    if model is not None and text(model.description):
        parts.append(model.description_markdown())
    return "\n\n".join(parts) + "\n"


def _write(path: Path, content: str, replace: bool) -> Path:
    if replace or not os.path.lexists(path):
        part = PartFile(path.parent)
        try:
            part.write(content.encode("utf-8", "replace"))
            part.become(path)
        finally:
            part.discard()
    return path
