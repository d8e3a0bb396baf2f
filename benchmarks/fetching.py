"""One download in a process of its own: how long it takes, and how much memory."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path
from typing import Any

from civitai_ext._config import Config
from civitai_ext._sync.fetching import Expected, fetch
from civitai_ext._sync.transport import Transport

__all__ = ["fetched"]


def fetched(site: str, model: str, target: str, sha256: str, connections: int) -> dict[str, Any]:
    """Download a file; give the seconds that it took, verification included, and the most memory in MiB."""
    transport = Transport(Config.load(site_url=site, environ={}))
    began = time.perf_counter()
    done = fetch(
        transport,
        f"{site}/api/download/models/{model}",
        Path(target),
        expected=Expected(hashes={"SHA256": sha256}),
        connections=connections,
        exists="overwrite",
    )
    seconds = time.perf_counter() - began
    transport.close()
    return {"seconds": seconds, "verified": done.verified, "memory": _peak() / 1024}


def _peak() -> int:
    """The most memory of this process, in KiB."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    # This counts what the process had been before it ran Python, too.
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
