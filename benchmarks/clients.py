"""How many HTTP clients and TLS contexts a `Civitai` makes."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import httpx

from civitai_ext import Civitai

__all__ = ["count"]


def count() -> dict[str, int]:
    """Make calls to every part of the API that there is, on a server of this process, and count.

    Returns:
        `requests` that the server got, HTTP `clients` and `tls_contexts` that were made.
    """
    with (
        _server() as (url, requests),
        patch.object(httpx.Client, "__init__", autospec=True, side_effect=httpx.Client.__init__) as clients,
        patch.object(ssl.SSLContext, "__new__", side_effect=ssl.SSLContext.__new__) as contexts,
    ):
        with Civitai("token", site_url=url, orchestration_url=url, auth_url=url) as civitai:
            list(civitai.models.list(limit=1))
            civitai.models.get(1)
            civitai.model_versions.get(1)
            civitai.me()
            civitai.workflows.get("1")
        return {"requests": len(requests), "clients": clients.call_count, "tls_contexts": contexts.call_count}


@contextmanager
def _server() -> Iterator[tuple[str, list[str]]]:
    """Run a server that has one answer to everything; gives its URL and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            paths.append(self.path)
            body = json.dumps({"id": "1", "status": "succeeded", "items": [], "metadata": {}}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", paths
        finally:
            server.shutdown()
            thread.join()
