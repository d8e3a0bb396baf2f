"""A process with a login: reads a line, calls the service from several threads at once, writes what came of it."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from civitai_ext import Civitai
from civitai_ext.oauth import FileStore, Login


def main(folder: str, account: str, threads: int) -> None:
    login = Login.stored(account, store=FileStore(Path(folder)))
    assert login is not None
    config = login.app.config
    at_once = Barrier(threads)
    with (
        Civitai(
            auth=login,
            site_url=config.site_url,
            orchestration_url=config.orchestration_url,
            auth_url=config.auth_url,
        ) as civitai,
        ThreadPoolExecutor(threads) as pool,
    ):

        def call(number: int) -> str:
            at_once.wait(30)
            try:
                return str(civitai.me().username)
            except Exception as error:
                return f"{type(error).__name__}: {error}"

        print("ready", flush=True)
        for _ in sys.stdin:
            print(json.dumps(list(pool.map(call, range(threads)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
