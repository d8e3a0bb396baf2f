"""Odd files, to try clients on: they are in no list and change nothing else in the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any

from civitai_ext.emulator import files
from civitai_ext.emulator.catalogue import AS_OF, Catalogue, Creator, Model, ModelFile, Version

CREATOR = "oddities"
"""Who publishes them: the name leads to all of them."""
LARGE = 64 * 1024 * 1024
"""How long the large file is, unless it is told otherwise."""

HOSTILE_NAMES = (
    "../../evil.safetensors",
    "..\\..\\evil.safetensors",
    "/etc/evil.safetensors",
    "C:\\Windows\\evil.safetensors",
    "%2e%2e%2fevil.safetensors",
    "..",
    "a/b\\c.safetensors",
    "CON.safetensors",
    "nul",
    "trailing dots...",
    " spaces .safetensors ",
    "evil\u202esrotsnetefas.exe",
    "line\r\nX-Evil: 1.safetensors",
    'quote".safetensors',
    "stream.safetensors:evil",
    "~/.ssh/evil.safetensors",
    "--evil.safetensors",
    f"{'long' * 72}.safetensors",
    "cat 🐈 über 猫.safetensors",
    "e\u0301 is \u00e9.safetensors",
)
"""File names that a careful client does not use as they are."""

# Far beyond what a catalogue of any size gives out.
_FIRST_MODEL, _FIRST_VERSION, _FIRST_FILE = 1_900_000_001, 1_910_000_001, 1_920_000_001
_SMALL = 40_000
_WITH_AUTOV1 = 1_200_000
_WRONG = "0123456789ABCDEF" * 4


@dataclass(frozen=True)
class _Oddity:
    """A version that something is odd about: what its files have that others have not, and what it has itself."""

    files: tuple[dict[str, Any], ...]
    mode: str | None = None
    requires_auth: bool = False
    usage_control: str = "Download"
    early_access_until: datetime | None = None
    restricted: bool = False


def add_oddities(catalogue: Catalogue, *, large: int = LARGE) -> dict[str, Version]:
    """Add odd files to a catalogue.

    Args:
        catalogue: What to add them to.
        large: The length of the large file, in bytes; it takes no memory.

    Returns:
        The versions that have them, by what is odd.

    """
    creator = Creator(_FIRST_MODEL, CREATOR)
    versions = {}
    for number, (name, oddity) in enumerate(_oddities(large).items()):
        model = _model(number, name, oddity, creator, catalogue)
        creator.models.append(model)
        catalogue.add(model)
        versions[name] = model.versions[0]
    return versions


def _oddities(large: int) -> dict[str, _Oddity]:
    q4 = _file("odd_Q4_K_M.gguf", format="GGUF", quant_type="Q4_K_M")
    q8 = _file("odd_Q8_0.gguf", format="GGUF", quant_type="Q8_0")
    pickle = _file("odd.ckpt", format="PickleTensor", size="full", fp="fp16")
    dangerous_pickle = pickle | {"pickle_scan": "Danger"}
    found = {
        "many_files": _Oddity(
            (
                _file("odd_pruned.safetensors", size="pruned", fp="fp16"),
                _file("odd_full.safetensors", size="full", fp="fp32"),
                q4,
                q8,
                dangerous_pickle,
                _file("odd_vae.safetensors", type="VAE"),
                _file("odd.yaml", type="Config", format="Other", length=400),
                _file("odd_trainingData.zip", type="Training Data", format="Other"),
            )
        ),
        "gguf": _Oddity((q8, q4)),
        "pickle": _Oddity((pickle,)),
        "dangerous_pickle": _Oddity((dangerous_pickle,)),
        "scan_pending": _Oddity((_file(pickle_scan="Pending", virus_scan="Pending", scanned_at=None),)),
        "scan_danger": _Oddity((_file(virus_scan="Danger"),)),
        "scan_error": _Oddity((_file(virus_scan="Error"),)),
        "scan_missing": _Oddity((_file(pickle_scan=None, virus_scan=None, scanned_at=None),)),
        "no_hashes": _Oddity((_file(published=lambda file: {}),)),
        "wrong_hash": _Oddity((_file(published=lambda file: {"SHA256": _WRONG, "AutoV2": _WRONG[:10]}),)),
        "same_names": _Oddity((_file(size="pruned"), _file(size="full"))),
        "hostile_names": _Oddity(tuple(_file(name) for name in HOSTILE_NAMES)),
        "no_suffix": _Oddity((_file("odd"),)),
        "empty": _Oddity((_file("odd.yaml", type="Config", format="Other", length=0),)),
        "large": _Oddity((_file("large.safetensors", length=large),)),
        "needs_login": _Oddity((_file(),), requires_auth=True),
        "early_access": _Oddity((_file(),), early_access_until=AS_OF + timedelta(days=36_500)),
        "downloads_disabled": _Oddity((_file(),), usage_control="Generation"),
        "restricted": _Oddity((_file(),), restricted=True),
        "archived": _Oddity((_file(),), mode="Archived"),
    }
    for name in ("AutoV1", "AutoV2", "AutoV3", "CRC32"):
        found[f"only_{name.lower()}"] = _Oddity((_file(length=_WITH_AUTOV1, published=_only(name)),))
    if find_spec("blake3") is not None:
        found["only_blake3"] = _Oddity((_file(published=lambda file: {"BLAKE3": files.blake3(file.stored())}),))
    return found


def _file(name: str = "odd.safetensors", **odd: Any) -> dict[str, Any]:
    """Describe a file by what `ModelFile` takes."""
    plain = {"name": name, "type": "Model", "format": "SafeTensor", "size": None, "fp": None, "length": _SMALL}
    return plain | odd


def _only(name: str) -> Callable[[ModelFile], dict[str, str]]:
    """Publish nothing but one of the hashes."""
    return lambda file: {name: files.hashes(file.stored(), is_safetensors=file.is_safetensors)[name]}


def _model(number: int, name: str, oddity: _Oddity, creator: Creator, catalogue: Catalogue) -> Model:
    """Make the model of a version that something is odd about."""
    title = f"Odd {name.replace('_', ' ')}"
    model = Model(
        id=_FIRST_MODEL + number,
        number=number,
        seed=catalogue.seed,
        name=title,
        description=f"<p>{title}: to try clients on.</p>",
        type="Checkpoint",
        nsfw=False,
        mode=oddity.mode,
        availability="Unsearchable",
        commercial_use=("None",),
        checkpoint_type="Trained",
        comments=0,
        tips=0,
        collected=0,
        creator=creator,
        tags=catalogue.tags[:2],
    )
    version = Version(
        id=_FIRST_VERSION + number,
        index=0,
        name="v1.0",
        base_model="SDXL 1.0",
        published_at=AS_OF - timedelta(days=number + 1),
        trained_words=[],
        downloads=0,
        likes=0,
        requires_auth=oddity.requires_auth,
        usage_control=oddity.usage_control,
        early_access_until=oddity.early_access_until,
        restricted=oddity.restricted,
        supports_generation=False,
        model=model,
    )
    scanned: dict[str, Any] = {"scanned_at": version.published_at + timedelta(minutes=9)}
    version.files = [
        ModelFile(id=_FIRST_FILE + 100 * number + place, primary=place == 0, version=version, **scanned | file)
        for place, file in enumerate(oddity.files)
    ]
    model.versions.append(version)
    return model
