"""Where downloaded files go below a folder: where a program looks for them, or by a pattern.

>>> Layout("comfyui"), Layout("{type}/{base_model}/{file_name}")
(Layout(pattern='comfyui'), Layout(pattern='{type}/{base_model}/{file_name}'))
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

import attrs

from civitai_ext._file_names import safe_name
from civitai_ext._reading import text
from civitai_ext.errors import InvalidRequest

if TYPE_CHECKING:
    from civitai_ext.catalogue import Model, ModelFile, ModelVersion

__all__ = ["PROGRAMS", "TOKENS", "Layout"]

# ------------------------------------------------------------------------------------------------ what a file is for

# A type that is not here, of a model or of a file, is a kind of its own.
_OF_MODEL: Final = {
    "Checkpoint": "checkpoint",
    **dict.fromkeys(("LORA", "LoCon", "DoRA"), "lora"),
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernetwork",
    "AestheticGradient": "aesthetic_gradient",
    "Controlnet": "controlnet",
    "Upscaler": "upscaler",
    "MotionModule": "motion_module",
    "VAE": "vae",
    **dict.fromkeys(("TextEncoder", "CLIP"), "text_encoder"),
    "UNet": "diffusion_model",
    "CLIPVision": "clip_vision",
    **dict.fromkeys(("LLM", "VisionLanguage"), "language_model"),
    "Detection": "detector",
    "Poses": "poses",
    "Wildcards": "wildcards",
    **dict.fromkeys(("Workflows", "ComfyWorkflows"), "workflows"),
    "Other": "other",
}
_MODELS_OWN: Final = frozenset({"", "Model", "Pruned Model", "Archive", "Config"})
_OF_FILE: Final = {
    "Negative": "embedding",
    "VAE": "vae",
    "Text Encoder": "text_encoder",
    **dict.fromkeys(("Vision Encoder", "CLIPVision"), "clip_vision"),
    **dict.fromkeys(("UNet", "Diffusion Model"), "diffusion_model"),
    "ControlNet": "controlnet",
    "Upscaler": "upscaler",
    "Enhancement LoRA": "lora",
    "Workflow": "workflows",
    "Training Data": "training_data",
    "Other": "other",
}

# Base models, by their beginning, whose checkpoints hold text encoder and VAE as a rule. Those of all others, and so of
# new ones, do not.
_ALL_IN_ONE: Final = (
    *("SD ", "SDXL ", "SVD", "Pony", "Illustrious", "NoobAI", "Playground", "Stable Cascade", "AuraFlow"),
    *("Hunyuan 1", "Hunyuan3D", "LTXV", "Lumina", "ACE Audio", "Upscaler", "Other"),
)
_SAYS_ALL_IN_ONE: Final = re.compile(
    r"(?<![A-Za-z])(?i:aio)(?![a-z])|(?<=[a-z])A(?:IO|io)(?![a-z])|(?i:all[-_ ]?in[-_ ]?one)"
)


def _kind(model_type: str, version: ModelVersion, file: ModelFile) -> str:
    """Give what a file is for, as the programs tell it apart."""
    own = _OF_MODEL.get(model_type, model_type or "other")
    file_type = text(file.type)
    if file_type not in _MODELS_OWN:
        return _OF_FILE.get(file_type, file_type)
    if file_type == "Config" and own in ("checkpoint", "diffusion_model"):
        return "config"
    if own == "checkpoint" and file_type != "Archive" and _is_bare(version, file):
        return "diffusion_model"
    if own == "detector" and "seg" in text(file.name).casefold():
        return "segmenter"
    return own


def _is_bare(version: ModelVersion, file: ModelFile) -> bool:
    """Tell whether a checkpoint is the diffusion model alone, without text encoder and VAE."""
    if file.format == "GGUF":
        return True
    base_model = text(version.base_model)
    if not base_model or base_model.startswith(_ALL_IN_ONE):
        return False
    # Who gives the bare model beside this file, and calls it that, means another thing by this file.
    named = any(_SAYS_ALL_IN_ONE.search(text(name)) for name in (file.name, version.name))
    return not named and not any(_OF_FILE.get(text(each.type)) == "diffusion_model" for each in version.files)


# ------------------------------------------------------------------------------------------- where programs look for it


@attrs.frozen
class _Program:
    """Where a program looks for files, from its own folder.

    Attributes:
        models: The folder that it has for models. A folder of this name is taken for it.
        folders: The folder of each kind that it looks for.
        unsorted: Where the folder is in which other kinds have each their own.
    """

    models: str
    folders: Mapping[str, str]
    unsorted: str = ""

    def folder_for(self, kind: str, to: str | os.PathLike[str] | None) -> PurePosixPath:
        known = self.folders.get(kind, "")
        unsorted = PurePosixPath("unsorted", safe_name(kind))
        if to is None or Path(to).absolute().name.casefold() != self.models:
            return PurePosixPath(known or self.unsorted / unsorted)
        # What lies beside the folder of models would leave the folder that was given.
        inside = known.startswith(f"{self.models}/")
        return PurePosixPath(known).relative_to(self.models) if inside else unsorted


PROGRAMS: Final = ("comfyui", "a1111", "invokeai")
"""The programs whose folders are known."""

_PROGRAMS: Final[Mapping[str, _Program]] = {
    "comfyui": _Program(
        "models",
        {
            "checkpoint": "models/checkpoints",
            "diffusion_model": "models/diffusion_models",
            "lora": "models/loras",
            "vae": "models/vae",
            "text_encoder": "models/text_encoders",
            "clip_vision": "models/clip_vision",
            "embedding": "models/embeddings",
            "hypernetwork": "models/hypernetworks",
            "controlnet": "models/controlnet",
            "upscaler": "models/upscale_models",
            "config": "models/configs",
            "motion_module": "models/animatediff_models",
            "detector": "models/ultralytics/bbox",
            "segmenter": "models/ultralytics/segm",
            "language_model": "models/LLM",
            "workflows": "user/default/workflows",
        },
        unsorted="models",
    ),
    "a1111": _Program(
        "models",
        {
            **dict.fromkeys(("checkpoint", "diffusion_model", "config"), "models/Stable-diffusion"),
            "lora": "models/Lora",
            "vae": "models/VAE",
            "text_encoder": "models/text_encoder",
            "embedding": "embeddings",
            "hypernetwork": "models/hypernetworks",
            "controlnet": "models/ControlNet",
            "upscaler": "models/ESRGAN",
            **dict.fromkeys(("detector", "segmenter"), "models/adetailer"),
        },
        unsorted="models",
    ),
    "invokeai": _Program(
        "autoimport",
        {
            **dict.fromkeys(("checkpoint", "diffusion_model", "config"), "autoimport/main"),
            "lora": "autoimport/lora",
            "embedding": "autoimport/embedding",
            "controlnet": "autoimport/controlnet",
            "vae": "autoimport/vae",
            "text_encoder": "autoimport/text_encoder",
            "clip_vision": "autoimport/clip_vision",
            "upscaler": "autoimport/upscaler",
        },
    ),
}

# -------------------------------------------------------------------------------------------------------- by a pattern

TOKENS: Final = (
    "model",
    "model_id",
    "version",
    "version_id",
    "file_name",
    "file_id",
    "creator",
    "type",
    "file_type",
    "base_model",
    "date",
    "format",
    "precision",
    "ext",
)
"""What can stand in braces in a pattern."""

_PROGRAM_NAMES: Final = ", ".join(f"{name!r}" for name in PROGRAMS)
_TOKENS_NOTE: Final = "There are " + ", ".join(f"{{{name}}}" for name in TOKENS) + "."


def _checked(pattern: Any) -> tuple[str, ...]:
    """Give the parts of a pattern; none for the name of a program.

    Raises:
        InvalidRequest: It is neither.
    """
    if not isinstance(pattern, str):
        raise InvalidRequest(f"layout is {pattern!r}, which is no text", hint=f"Name a program, {_PROGRAM_NAMES}.")
    if pattern.casefold() in _PROGRAMS:
        return ()
    if "{" not in pattern and "}" not in pattern:
        raise _wrong(pattern, "which is neither a program nor a pattern", f"Programs are {_PROGRAM_NAMES}. ")
    if pattern.startswith(("/", "~")):
        raise _wrong(pattern, "which does not begin below the folder")
    parts = tuple(pattern.split("/"))
    tokens = [_tokens_in(part, pattern) for part in parts]
    if not tokens[-1] & {"file_name", "ext"}:
        raise _wrong(pattern, f"whose last part {parts[-1]!r} is to name the file and lacks {{file_name}} or {{ext}}")
    return parts


def _tokens_in(part: str, pattern: str) -> set[str]:
    if not part:
        raise _wrong(pattern, "which has an empty part")
    try:
        read = list(Formatter().parse(part))
    except ValueError as error:
        raise _wrong(pattern, f"whose part {part!r} cannot be read: {error}") from None
    tokens = {token for _, token, _, _ in read if token is not None}
    for _, token, spec, conversion in read:
        if token is not None and (token not in TOKENS or spec or conversion):
            written = f"{token}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}"
            raise _wrong(pattern, f"in which there is no {{{written}}}")
    sample = part.format_map(dict.fromkeys(tokens, "x"))
    if safe_name(sample) != sample:
        raise _wrong(pattern, f"whose part {part!r} can be no name on every system", f"{safe_name(part)!r} can. ")
    return tokens


def _wrong(pattern: str, what: str, hint: str = "") -> InvalidRequest:
    return InvalidRequest(f"layout is {pattern!r}, {what}", hint=f"{hint}{_TOKENS_NOTE}")


@attrs.frozen
class Layout:
    """Where files go below a folder.

    Args:
        pattern: A program, `comfyui`, `a1111` or `invokeai`; or a path with tokens in braces, whose last part names the
            file: `{type}/{base_model}/{file_name}`.

    Raises:
        InvalidRequest: It is neither, or has a token that there is not, or leads out of the folder.

    >>> Layout("{kind}/{ext}")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    civitai_ext.errors.InvalidRequest: layout is '{kind}/{ext}', in which there is no {kind}. There are {model}, ...
    """

    pattern: str
    _parts: tuple[str, ...] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: _checked(self.pattern), takes_self=True)
    )

    def path_for(
        self,
        model: Model | None,
        version: ModelVersion,
        file: ModelFile,
        *,
        to: str | os.PathLike[str] | None = None,
    ) -> PurePosixPath:
        """Give the path of a file below a folder. Every part of it is a safe name.

        A pattern is filled in. A program's path starts from the folder of the program, or from its folder of models if
        `to` is called that.

        Args:
            model: The model; None if all that is known of it is what the version says.
            version: The version.
            file: The file.
            to: The folder that it will be below; it is not looked into.

        >>> from civitai_ext.catalogue import ModelFile, ModelVersion
        >>> version = ModelVersion.from_dict({"name": "v8", "baseModel": "SD 1.5", "model": {"type": "Checkpoint"}})
        >>> file = ModelFile.from_dict({"name": "ds_8.safetensors", "type": "Model"})
        >>> print(Layout("comfyui").path_for(None, version, file, to="ComfyUI"))
        models/checkpoints/ds_8.safetensors
        >>> print(Layout("comfyui").path_for(None, version, file, to="ComfyUI/models"))
        checkpoints/ds_8.safetensors
        >>> print(Layout("{type}/{base_model}/{version} {file_name}").path_for(None, version, file))
        Checkpoint/SD 1.5/v8 ds_8.safetensors
        """
        name = safe_name(text(file.name))
        model_type = text(getattr(model, "type", None)) or text(getattr(version.model, "type", None))
        if not self._parts:
            program = _PROGRAMS[self.pattern.casefold()]
            return program.folder_for(_kind(model_type, version, file), to) / name
        values = {token: value or "unknown" for token, value in _values(model, version, file).items()}
        values |= {"type": model_type or "unknown", "file_name": name, "ext": PurePosixPath(name).suffix[1:]}
        return PurePosixPath(*(safe_name(part.format_map(values)) for part in self._parts))


def _values(model: Model | None, version: ModelVersion, file: ModelFile) -> dict[str, str]:
    """Give what stands for the tokens; an empty text for what is not known."""
    creators = (getattr(each, "creator", None) for each in (model, version))
    made = next((day for day in (version.published_at, version.created_at) if isinstance(day, datetime)), None)
    return {
        "model": text(getattr(model, "name", None)) or text(getattr(version.model, "name", None)),
        "model_id": _number(getattr(model, "id", None)) or _number(version.model_id),
        "version": text(version.name),
        "version_id": _number(version.id),
        "file_id": _number(file.id),
        "creator": next(filter(None, (text(getattr(each, "username", None)) for each in creators)), ""),
        "file_type": text(file.type),
        "base_model": text(version.base_model),
        "date": f"{made:%Y-%m-%d}" if made else "undated",
        "format": file.format or "",
        "precision": file.precision or "",
    }


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64 else ""
