"""Which file of a version is meant. No I/O.

The platform scores the files when a download does not say which one it wants: by what they are, then by format, size,
precision and quantisation, each weighing more than all that follow. The same is done here.
"""

# ruff: noqa: N818  # the names of errors say what happened

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from civitai_api.runtime import ApiModel
from civitai_ext._reading import printable, text
from civitai_ext.errors import CivitaiError

if TYPE_CHECKING:
    from civitai_api.site.models import ModelFile

F = TypeVar("F", bound="ModelFile")

__all__ = ["DETAILS", "MAIN_TYPES", "NoSuchFile", "best", "detail", "main_file"]

DETAILS: Final = {"format": "format", "size": "size", "fp": "fp", "quant": "quant_type"}
"""What a file can be chosen by, and the attribute of its metadata that says so."""

_WEIGHTS: Final = {"format": 100.0, "size": 10.0, "fp": 1.0, "quant": 0.5}
_PREFERENCES: Final = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quant": "Q4_K_M"}
_WEIGHTY_TYPES: Final = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
_WEIGHT_OF_TYPE: Final = 1000.0

_MODEL_ONLY: Final = ("Model",)
_ARCHIVES: Final = ("Archive", "Config")
MAIN_TYPES: Final[Mapping[str, Sequence[str]]] = {
    "Checkpoint": ("Model", "Pruned Model", "UNet", "Diffusion Model"),
    **dict.fromkeys(("LORA", "DoRA", "LoCon", "VisionLanguage", "LLM"), ("Model", "Pruned Model")),
    "TextualInversion": ("Model", "Negative"),
    **dict.fromkeys(("Hypernetwork", "AestheticGradient", "Controlnet", "MotionModule", "Detection"), _MODEL_ONLY),
    **dict.fromkeys(("Upscaler", "VAE", "TextEncoder", "UNet", "CLIPVision"), _MODEL_ONLY),
    "CLIP": ("Text Encoder", "Vision Encoder"),
    **dict.fromkeys(("Poses", "Wildcards", "Workflows", "ComfyWorkflows"), _ARCHIVES),
    "Other": (*_ARCHIVES, "Model"),
}
"""The types of file that a model of each type is about; other files come along with them."""


class NoSuchFile(CivitaiError, LookupError):
    """No file of a version is what was asked for.

    Not a `FileNotFoundError`: nothing was looked for on a disk, and not `NotFound`: the service was not asked.

    Attributes:
        wanted: What was asked for, by name.
        names: The names of the files that there are.

    >>> print(NoSuchFile("This version has no such file", wanted={"fp": "fp8"}, names=["a.safetensors"]))
    This version has no such file (fp='fp8'); it has a.safetensors
    """

    wanted: Mapping[str, str]
    names: Sequence[str]

    def __init__(
        self, message: str = "", *, wanted: Mapping[str, str], names: Iterable[str], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.wanted = dict(wanted)
        self.names = list(names)

    def describe(self) -> str:
        """Say what was asked for, and what there is."""
        asked = ", ".join(f"{name}={value!r}" for name, value in self.wanted.items())
        more = f" and {len(self.names) - 5} more" if len(self.names) > 5 else ""
        there = ", ".join(map(printable, self.names[:5])) + more if self.names else "no files"
        return f"{self.message}{f' ({asked})' if asked else ''}; it has {there}"


def detail(file: ModelFile, name: str) -> str:
    """Give what the metadata of a file says, by a name of `DETAILS`; an empty text if it says nothing."""
    metadata: Any = file.metadata
    return text(getattr(metadata, DETAILS[name], None)) if isinstance(metadata, ApiModel) else ""


def best(files: Iterable[F], wanted: Mapping[str, str] | None = None, types: Sequence[str] = ()) -> F | None:
    """Choose the file that scores highest, the first of several; None if there is none.

    Args:
        files: What to choose from.
        wanted: What its metadata must not contradict, by the names of `DETAILS`. A file that does not say is not ruled
            out.
        types: The types that it may be of; none if that does not matter.
    """
    wanted = wanted or {}
    preferred = {name: value.casefold() for name, value in ({**_PREFERENCES, **wanted}).items()}
    spelled = {type.casefold() for type in types}

    def score(file: ModelFile) -> float:
        points = _WEIGHT_OF_TYPE if text(file.type) in _WEIGHTY_TYPES else 0.0
        for name, weight in _WEIGHTS.items():
            if said := detail(file, name):
                points += weight if said.casefold() == preferred[name] else -weight
        return points

    fitting = (
        file
        for file in files
        if (not spelled or text(file.type).casefold() in spelled)
        and all(detail(file, name).casefold() in ("", preferred[name]) for name in wanted)
    )
    return max(fitting, key=score, default=None)


def main_file(files: Sequence[F], model_type: str) -> F | None:
    """Choose the file that a version is about; None if it has no files.

    The service says so as a rule. Where it does not, it is the best of those files that models of this type are about,
    or of all where there are none or the type is not known.
    """
    flagged = (file for file in files if file.primary is True)
    return next(flagged, None) or best(files, types=MAIN_TYPES.get(model_type, ())) or best(files)
