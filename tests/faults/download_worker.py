"""Download in a process of its own, which may be killed: `python -m tests.faults.download_worker URL TARGET SHA256`."""

from __future__ import annotations

import sys
from pathlib import Path

from civitai_ext._config import Config
from civitai_ext._sync.fetching import Expected, fetch
from civitai_ext._sync.transport import Transport


def main(url: str, target: str, sha256: str) -> None:
    config = Config.load(token="token", site_url=url, environ={})
    done = fetch(
        Transport(config), f"{url}/api/download/models/1", Path(target), expected=Expected(hashes={"SHA256": sha256})
    )
    print(done.verified)


if __name__ == "__main__":
    main(*sys.argv[1:])
