"""Logs on the terminal for those who ask for them with `CIVITAI_LOG`.

Everything is logged to the standard library's logger `civitai_ext`, which programs set up as they like. The variable
is for looking at a program that does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from civitai_ext.errors import ConfigurationError

__all__ = ["show_logs"]

_LEVELS: Final = ("debug", "info", "warning", "error")
_HANDLER: Final = "civitai_ext.stderr"


def show_logs(environ: Mapping[str, str] | None = None) -> None:
    """Write what `civitai_ext` logs to the standard error, from the level on that `CIVITAI_LOG` names, if it does.

    Doing so again changes the level and nothing else. Other loggers, the root one among them, are left as they are.

    Raises:
        ConfigurationError: The variable has another value than `debug`, `info`, `warning` and `error`.
    """
    level = (os.environ if environ is None else environ).get("CIVITAI_LOG", "").strip().lower()
    if not level:
        return
    if level not in _LEVELS:
        raise ConfigurationError(f"CIVITAI_LOG is {level!r}", hint=f"It is one of {', '.join(_LEVELS)}, or not set.")
    import logging  # loaded here, so that a client without logs does not pay for it

    logger = logging.getLogger("civitai_ext")
    logger.setLevel(level.upper())
    if not any(handler.name == _HANDLER for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.name = _HANDLER
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
