"""A bar in the terminal or the notebook that shows how far downloads are. Needs the extra `cli`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from civitai_ext.errors import ConfigurationError

if TYPE_CHECKING:
    from civitai_ext.downloads import DownloadProgress

__all__ = ["Bar"]


class Bar:
    """One bar for all downloads of a call; draws nothing where standard error is no terminal.

    Raises:
        ConfigurationError: The extra `cli` is not installed.
    """

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ConfigurationError(
                "A progress bar needs a package that is not installed",
                hint="Install it with pip install 'civitai-ext[cli]', or pass a function as progress.",
            ) from error
        self._make = partial(tqdm, unit="B", unit_scale=True, disable=None, dynamic_ncols=True)
        self._bar: Any = None
        self._begun: set[str] = set()

    def __call__(self, progress: DownloadProgress) -> None:
        """Draw how far it is."""
        if self._bar is None:  # not before the size is known: a notebook takes it only when it makes the bar
            self._bar = self._make(total=progress.size)
        bar = self._bar
        if bar.disable:
            return
        # What was there before did not come now, and would spoil the rate.
        if progress.phase != "asking" and progress.name not in self._begun:
            self._begun.add(progress.name)
            bar.initial += progress.file_done
        bar.total = progress.size
        many = f"{progress.files_done}/{progress.files} " if progress.files > 1 else ""
        bar.set_description_str(f"{many}{_short(progress.name)}", refresh=False)
        bar.set_postfix_str("" if progress.phase == "downloading" else progress.phase, refresh=False)
        bar.update(progress.done - bar.n)
        if progress.phase != "downloading":
            bar.refresh()

    def close(self) -> None:
        """Leave it as it is."""
        if self._bar is not None:
            self._bar.close()


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"
