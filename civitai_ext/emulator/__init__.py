"""A local stand-in for Civitai, to build and test against.

    with Emulator() as emulator:
        ...  # emulator.environment holds the variables that point a client at it

Needs the extra: `pip install 'civitai-ext[emulator]'`. `python -m civitai_ext.emulator` runs it on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_ext.emulator.oauth.browser import BrowserError
    from civitai_ext.emulator.server import Emulator, EmulatorError

__all__ = ["BrowserError", "Emulator", "EmulatorError"]

_EXTRA = ("PIL", "starlette", "uvicorn")


def __getattr__(name: str) -> Any:
    # Loaded on first use: the package itself costs nothing to import and needs no extra.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from civitai_ext.emulator import server
        from civitai_ext.emulator.oauth import browser
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        message = f"the emulator needs {error.name}, which an extra brings: pip install 'civitai-ext[emulator]'"
        raise ImportError(message, name=error.name) from error
    return getattr(browser if name == "BrowserError" else server, name)
