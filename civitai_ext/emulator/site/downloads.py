"""Downloads: the route that checks and redirects, and the storage that serves the bytes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from civitai_ext.emulator.answers import answer, site_time, storage_error
from civitai_ext.emulator.catalogue import ModelFile, Version
from civitai_ext.emulator.ranges import file_answer
from civitai_ext.emulator.signing import ExpiredError, SignatureError
from civitai_ext.emulator.site.parameters import Parameters
from civitai_ext.emulator.site.rules import caller_of
from civitai_ext.emulator.vocabulary import FILE_FORMATS, FILE_TYPES
from civitai_ext.emulator.world import World

URL_LIFETIME = timedelta(minutes=15)
"""How long a signed storage URL holds."""

_BROWSERS = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
_MAIN_TYPES = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
_LOGIN_REQUIRED = "The creator of this asset requires you to be logged in to download it"
_NO_DOWNLOADS = "The creator of this asset has disabled downloads on this file"
_NO_STORE = {"Cache-Control": "no-store, max-age=0"}


async def _download(request: Request) -> Response:
    world = World.of(request)
    read = Parameters(QueryParams([*request.query_params.multi_items(), ("id", request.path_params["id"])]))
    version_id = read.number("id", 0)
    file_id = read.optional_number("fileId")
    read.choice("type", FILE_TYPES)
    read.choice("format", FILE_FORMATS)
    read.choice("size", ("full", "pruned"))
    read.refuse_text()
    if not version_id:
        return _failure(request, 400, "Missing modelVersionId")

    version = world.catalogue.version_by_id.get(version_id)
    if version is None:
        return _failure(request, 404, "File not found")
    if version.model.mode == "Archived":
        return _failure(request, 410, "Model archived, not available for download")
    if version.usage_control != "Download":
        return answer({"error": "Unauthorized", "message": _NO_DOWNLOADS}, 401, _NO_STORE)
    if version.requires_auth and caller_of(request) is None:
        if _is_browser(request):
            query = urlencode({"returnUrl": f"/model-versions/{version_id}", "reason": "download-auth"})
            return RedirectResponse(f"{world.origin}/login?{query}", 307, _NO_STORE)
        return answer({"error": "Unauthorized", "message": _LOGIN_REQUIRED}, 401, _NO_STORE)
    if version.early_access_until:
        if _is_browser(request):
            return RedirectResponse(f"{world.origin}/model-versions/{version_id}", 307, _NO_STORE)
        message = "This asset is in early access. You can buy access on its page."
        deadline = site_time(version.early_access_until)
        return answer({"error": "Early Access", "deadline": deadline, "message": message}, 403, _NO_STORE)
    file = _choose(version, request.query_params, file_id)
    if file is None:
        return _failure(request, 404, "File not found")

    expires = world.clock.now() + URL_LIFETIME
    query = urlencode(
        {"sig": world.signer.sign({"file": file.id}, expires=expires), "expires": int(expires.timestamp())}
    )
    return RedirectResponse(f"{world.origin}/storage/{file.id}/{quote(file.name)}?{query}", 307, _NO_STORE)


def _choose(version: Version, query: QueryParams, file_id: int | None) -> ModelFile | None:
    """Choose a file: the one named by id, else the one that fits best, unless it contradicts what was asked for."""
    if file_id is not None:
        return next((file for file in version.files if file.id == file_id), None)
    candidates = [file for file in version.files if "type" not in query or file.type == query["type"]]
    if not candidates:
        return None
    preferences = {"format": "SafeTensor", "size": "pruned", "fp": "fp16"} | dict(query.items())
    weights = {"format": 100.0, "size": 10.0, "fp": 1.0}

    def score(file: ModelFile) -> float:
        points = 1000.0 if file.type in _MAIN_TYPES else 0.0
        for name, weight in weights.items():
            value = getattr(file, name)
            if value is not None:
                points += weight if value == preferences[name] else -weight
        return points

    best = max(candidates, key=score)
    contradicted = any(name in query and getattr(best, name) not in (None, query[name]) for name in weights)
    return None if contradicted else best


def _failure(request: Request, status: int, message: str) -> Response:
    """Answer with an error: as text to what looks like a browser, as JSON to everything else."""
    if _is_browser(request):
        return PlainTextResponse(message, status, _NO_STORE)
    return answer({"error": message}, status, _NO_STORE)


def _is_browser(request: Request) -> bool:
    agent = request.headers.get("user-agent", "").lower()
    return any(name in agent for name in _BROWSERS)


async def _storage(request: Request) -> Response:
    """Serve a file to whoever holds a signed URL, and to nobody who adds another credential to it."""
    world = World.of(request)
    if "authorization" in request.headers:
        return storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    try:
        content = world.signer.read(request.query_params.get("sig", ""), now=world.clock.now())
    except ExpiredError:
        return storage_error(403, "AccessDenied", "Request has expired")
    except SignatureError:
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    file = world.catalogue.file_by_id.get(content.get("file", 0))
    if file is None or str(file.id) != request.path_params["id"]:
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    data = await asyncio.to_thread(lambda: file.content)
    return file_answer(request, data, "application/octet-stream", filename=file.name)


async def _login(request: Request) -> Response:
    """Show the page that a browser is sent to: HTML with status 200 where a file was expected."""
    page = "<!doctype html><title>Sign in</title><p>The civitai-ext emulator has no accounts to sign in to.</p>"
    return Response(page, media_type="text/html")


ROUTES = [
    Route("/api/download/models/{id}", _download),
    Route("/storage/{id}/{name}", _storage),
    Route("/login", _login),
]
