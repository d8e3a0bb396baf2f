"""`python -m civitai_ext.emulator`: run the emulator until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from civitai_ext._version import __version__

_MODELS = 2000
_AFTERWARDS = """\
what it prints can be read by a shell:
  rm -f emulator.env
  python -m civitai_ext.emulator > emulator.env &
  until [ -s emulator.env ]; do sleep 0.1; done
  . ./emulator.env
"""


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment such as 2026-08-01T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _folder(text: str) -> Path:
    if not text:  # as an unset variable of a shell
        raise argparse.ArgumentTypeError("a folder has a name")
    return Path(text)


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m civitai_ext.emulator",
        description="A local server that stands in for Civitai. Not the service: what it answers is invented.",
        epilog=_AFTERWARDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    where.add_argument("--port", type=int, default=8765, help="port, 0 for a free one (default: %(default)s)")
    where.add_argument("--auth-port", type=int, metavar="PORT", help="port of the accounts service")
    what = parser.add_argument_group("what there is")
    what.add_argument("--seed", type=int, help="chooses the catalogue (default: 1)")
    what.add_argument("--models", type=int, metavar="N", help=f"size of the catalogue (default: {_MODELS})")
    what.add_argument("--token", help="the API key of the account (default: test-token)")
    what.add_argument("--tier", help="the membership of the account, or none (default: bronze)")
    what.add_argument("--data", type=_folder, metavar="DIR", help="folder that keeps what is made between runs")
    what.add_argument("--no-quirks", action="store_true", help="answer as documented, not as the services do")
    time = parser.add_argument_group("time")
    time.add_argument("--speed", type=float, default=1.0, help="how fast it passes, 0 stops it (default: %(default)g)")
    time.add_argument("--start", type=_moment, metavar="MOMENT", help="when it begins (default: now)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--version", action="version", version=f"civitai-ext {__version__}")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    over = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(each) is not signal.SIG_IGN:  # as in the background of a script
            signal.signal(each, lambda number, frame: over.set())
    try:
        from civitai_ext.emulator import Emulator, EmulatorError
        from civitai_ext.emulator.keeping.folder import FolderError, settings_of
    except ImportError as error:
        parser.error(str(error))

    try:
        # What is not said is as it was in the runs before.
        settings: dict[str, Any] = {"models": _MODELS} | (settings_of(options.data) if options.data else {})
        said = {name: getattr(options, name) for name in ("seed", "models", "token", "tier")}
        settings |= {name: value for name, value in said.items() if value is not None}
        if settings.get("tier") == "none":
            settings["tier"] = None
        emulator = Emulator(
            options.port,
            options.host,
            auth_port=options.auth_port,
            speed=options.speed,
            start=options.start,
            data=options.data,
            quirks=not options.no_quirks,
            **settings,
        ).start()
    except (EmulatorError, FolderError, ValueError) as error:
        parser.error(str(error))
    if not options.quiet:
        print(f"# The civitai-ext emulator listens on {emulator.url} and shows itself there. Ctrl-C ends it. To use:")
        for name, value in emulator.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
    try:
        over.wait()
    finally:
        emulator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
