"""What several test modules share."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout that holds published revisions and recorded answers; skips where there is none."""
    if not _SHARED.is_dir():
        pytest.skip("the folder of published revisions and recorded answers is not here")
    return _SHARED
