"""What several test modules share."""

import os
import signal
from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[2] / "shared"

# In the background of a script, Ctrl-C is ignored, and by all processes that are started from there, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout that holds published revisions and recorded answers; skips where there is none."""
    if not _SHARED.is_dir():
        pytest.skip("the folder of published revisions and recorded answers is not here")
    return _SHARED


@pytest.fixture(scope="session", autouse=True)
def _nobody_is_logged_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the logins of whoever runs the tests out of them."""
    os.environ["CIVITAI_LOGINS"] = str(tmp_path_factory.mktemp("logins"))
