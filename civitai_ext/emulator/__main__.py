"""`python -m civitai_ext.emulator`: run the emulator until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from typing import NoReturn

from civitai_ext._version import __version__


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator; return the exit code."""
    parser = _Parser(
        prog="python -m civitai_ext.emulator",
        description="A local server that stands in for Civitai. Not the service: what it answers is invented.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8765, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--auth-port", type=int, help="port of the accounts service (default: the one after --port, or a free one)"
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the catalogue (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how fast time passes, 0 stops it (default: %(default)s)"
    )
    parser.add_argument("--models", type=int, default=200, help="size of the catalogue (default: %(default)s)")
    parser.add_argument(
        "--no-quirks", action="store_true", help="answer as the services are documented, not as they are"
    )
    parser.add_argument("--version", action="version", version=f"civitai-ext {__version__}")
    options = parser.parse_args(arguments)
    try:
        from civitai_ext.emulator import Emulator, EmulatorError
    except ImportError as error:
        parser.error(str(error))

    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    try:
        emulator = Emulator(
            options.port,
            options.host,
            auth_port=options.auth_port,
            seed=options.seed,
            speed=options.speed,
            models=options.models,
            quirks=not options.no_quirks,
        ).start()
    except (EmulatorError, ValueError) as error:
        parser.error(str(error))
    print(f"# The civitai-ext emulator listens on {emulator.url}; Ctrl-C ends it. Point a client at it with:")
    for name, value in emulator.environment.items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    try:
        over.wait()
    except KeyboardInterrupt:
        print()
    finally:
        emulator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
