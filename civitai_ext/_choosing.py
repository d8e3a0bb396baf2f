"""Which files of a version to download, and whether they are safe to have. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from civitai_ext._picking import DETAILS, MAIN_TYPES, NoSuchFile, best, detail
from civitai_ext._reading import text
from civitai_ext.errors import UnsafeFile

if TYPE_CHECKING:
    from civitai_ext.catalogue import ModelFile, ModelVersion

__all__ = ["check_safety", "chosen_files"]


def chosen_files(
    version: ModelVersion,
    model_type: str,
    *,
    asked: Mapping[str, Any],
    file_id: int | None = None,
    all_files: bool = False,
    allow_pickle: bool = False,
) -> list[ModelFile]:
    """Choose the files that are meant.

    Where nothing in particular is asked for it is the file that the version is about; if that is a pickle, which is not
    wanted, the best of the others of its kind.

    Args:
        version: The version.
        model_type: The type of its model; empty if that is not known.
        asked: What the file has to be, as for `ModelVersion.pick_file`.
        file_id: The one with this id.
        all_files: Whether to give all that are what is asked for instead of the best.
        allow_pickle: Whether pickles are wanted as much as others.

    Raises:
        NoSuchFile: There is none.
    """
    if file_id is not None:
        found = [file for file in version.files if file.id == file_id]
        if not found:
            raise _none(version, {"id": str(file_id)})
        return found
    files = _narrowed(version.files, asked)
    if all_files:
        chosen = [file for file in files if best([file], _details(asked), _types(asked)) is not None]
        if not chosen:
            raise _none(version, asked)
        return chosen
    main = version.primary_file
    if main is None:
        return [version.pick_file(**asked)]  # tells that there is none
    # What does not say of which precision it is fits any: it must not be the VAE that fits where no model does.
    types = _types(asked) or (*MAIN_TYPES.get(model_type, ()), text(main.type))
    if not asked and (allow_pickle or not main.is_pickle):
        return [main]
    safe = files if allow_pickle else [file for file in files if not file.is_pickle]
    choice = best(safe, _details(asked), types) or best(files, _details(asked), types)
    if choice is None:
        raise _none(version, asked)
    return [choice if asked or not choice.is_pickle else main]


def _narrowed(files: Sequence[ModelFile], asked: Mapping[str, Any]) -> Sequence[ModelFile]:
    """Leave out the files that do not say of themselves what is asked for, if others do.

    Who asks for a precision means none of the files that have none, such as quantised ones.
    """
    for name in DETAILS:
        saying = [file for file in files if detail(file, name)] if name in asked else []
        files = saying or files
    return files


def _none(version: ModelVersion, wanted: Mapping[str, Any]) -> NoSuchFile:
    return NoSuchFile(
        f"Version {text(version.name) or version.id!r} has no such file",
        wanted=wanted,
        names=[f"{text(file.name)} (id {file.id})" for file in version.files],
    )


def _details(asked: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if name != "type"}


def _types(asked: Mapping[str, Any]) -> tuple[str, ...]:
    return (asked["type"],) if "type" in asked else ()


def check_safety(file: ModelFile, *, allow_pickle: bool, allow_unscanned: bool) -> None:
    """Refuse a file that nobody should have by accident.

    Args:
        file: The file.
        allow_pickle: Whether it may be a pickle.
        allow_unscanned: Whether it may be one that the scans did not find clean.

    Raises:
        UnsafeFile: It is one of these and may not be.

    >>> from civitai_ext.catalogue import ModelFile
    >>> file = ModelFile.from_dict({"name": "a.ckpt", "virusScanResult": "Success", "pickleScanResult": "Danger"})
    >>> check_safety(file, allow_pickle=True, allow_unscanned=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    civitai_ext.errors.UnsafeFile: 'a.ckpt' was not downloaded: the scan for dangerous pickles says Danger. Pass ...
    """
    name = text(file.name)
    if file.is_pickle and not allow_pickle:
        reason = "it is a pickle, and loading it can run code that is in it"
        raise UnsafeFile(
            f"{name!r} was not downloaded: {reason}",
            name=name,
            reason=reason,
            hint="Choose a SafeTensor if there is one, or pass allow_pickle=True if you trust the creator.",
        )
    virus, pickle = text(file.virus_scan_result), text(file.pickle_scan_result)
    reason = ""
    if virus != "Success":
        reason = f"the scan for viruses says {virus or 'nothing'}"
    elif pickle != "Success" and (file.is_pickle or pickle == "Danger"):
        reason = f"the scan for dangerous pickles says {pickle or 'nothing'}"
    if reason and not allow_unscanned:
        raise UnsafeFile(
            f"{name!r} was not downloaded: {reason}",
            name=name,
            reason=reason,
            hint="Pass allow_unscanned=True to have it all the same.",
        )
