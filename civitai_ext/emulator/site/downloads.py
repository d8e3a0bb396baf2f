"""Downloads of versions: who may have which file, and where it lies."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse, site_time
from civitai_ext.emulator.catalogue import ModelFile, Version
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.ranges import file_answer
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.site.parameters import Parameters, path_number
from civitai_ext.emulator.site.rules import authenticated, caller_of
from civitai_ext.emulator.site.storage import model_file_url
from civitai_ext.emulator.vocabulary import FILE_FORMATS, FILE_TYPES
from civitai_ext.emulator.world import World

_BROWSERS = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
# What a file is chosen by: the parameter, the field of a file, what is preferred, and how much that counts.
_CHOICES = (
    ("format", "format", "SafeTensor", 100.0),
    ("size", "size", "pruned", 10.0),
    ("fp", "fp", "fp16", 1.0),
    ("quantType", "quant_type", "Q4_K_M", 0.5),
)
_LONGEST_WORD = 64
_MAIN_TYPES = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
_LOGIN_REQUIRED = "The creator of this asset requires you to be logged in to download it"
_TOO_MANY = "You have downloaded an unusual amount of files in the last 24 hours. Try again later."
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
    read.text("fp", longest=_LONGEST_WORD)
    read.text("quantType", longest=_LONGEST_WORD)
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
    caller = caller_of(request)
    if version.requires_auth and caller is None:
        if is_browser(request):
            return to_login(f"/model-versions/{version_id}", world.origin)
        return answer({"error": "Unauthorized", "message": _LOGIN_REQUIRED}, 401, _NO_STORE)
    now = world.clock.now()
    if (until := version.gated_until(now)) and version.is_gated_for(caller.id if caller else None, now):
        if is_browser(request):
            return RedirectResponse(f"{world.origin}/model-versions/{version_id}", 307, _NO_STORE)
        message = "This asset is in early access. You can buy access on its page."
        deadline = site_time(until)
        return answer({"error": "Early Access", "deadline": deadline, "message": message}, 403, _NO_STORE)
    if version.restricted:
        return _failure(request, 403, "You do not have access to download this file")
    file = _choose(version, request.query_params, file_id)
    if file is None:
        return _failure(request, 404, "File not found")
    who = f"downloads of user {caller.id}" if caller else f"downloads of {request.client and request.client.host}"
    if world.download_quota is not None and world.day.take(who, most=world.download_quota):
        return _failure(request, 429, _TOO_MANY)
    return RedirectResponse(model_file_url(world, file), 307, _NO_STORE)


def _choose(version: Version, query: QueryParams, file_id: int | None) -> ModelFile | None:
    """Choose a file: the one named by id, else the one that fits best, unless it contradicts what was asked for."""
    if file_id is not None:
        return next((file for file in version.files if file.id == file_id), None)
    candidates = [file for file in version.files if "type" not in query or file.type == query["type"]]
    if not candidates:
        return None

    def score(file: ModelFile) -> float:
        points = 1000.0 if file.type in _MAIN_TYPES else 0.0
        for name, field, preferred, weight in _CHOICES:
            value = getattr(file, field)
            if value is not None:
                points += weight if value == query.get(name, preferred) else -weight
        return points

    best = max(candidates, key=score)
    contradicted = any(
        name in query and getattr(best, field) not in (None, query[name]) for name, field, _, _ in _CHOICES
    )
    return None if contradicted else best


def _failure(request: Request, status: int, message: str) -> Response:
    """Answer with an error: as text to what looks like a browser, as JSON to everything else."""
    if is_browser(request):
        return PlainTextResponse(message, status, _NO_STORE)
    return answer({"error": message}, status, _NO_STORE)


def to_login(from_path: str, origin: str) -> Response:
    """Send a browser to the page where one signs in."""
    query = urlencode({"returnUrl": from_path, "reason": "download-auth"})
    return RedirectResponse(f"{origin}/login?{query}", 307, _NO_STORE)


def is_browser(request: Request) -> bool:
    """Whether the site takes the caller for a browser: by a word in its `User-Agent`."""
    agent = request.headers.get("user-agent", "").lower()
    return any(name in agent for name in _BROWSERS)


async def _training_data(request: Request) -> Response:
    """Send the caller on to the route for all files."""
    return RedirectResponse(f"/api/download/models/{request.path_params['id']}?type=Training%20Data", 308)


async def _training(request: Request, world: World, caller: Account | None) -> Response:
    """Serve what came of an epoch of the caller's own training."""
    id_ = path_number(request, "id")
    read = Parameters(request.query_params)
    number = read.number("epochNumber", 0, low=1) if "epochNumber" in read else None
    read.refuse_text()
    if number is None:
        refuse({"error": "Missing epochNumber"}, 400)
    version = world.catalogue.version_by_id.get(id_)
    if version is None:
        refuse({"error": "Model version not found"}, 404)
    if caller is None or version.model.creator.id != caller.id:
        refuse({"error": "Forbidden"}, 403)
    content = version.epoch(number)
    if content is None:
        refuse({"error": "Epoch not found"}, 404)
    name = f"{'_'.join(version.model.name.split())}_epoch_{number}.safetensors"
    return file_answer(request, content, "application/octet-stream", filename=name)


async def _login(request: Request) -> Response:
    """Show the page that a browser is sent to: HTML with status 200 where a file was expected."""
    page = "<!doctype html><title>Sign in</title><p>The civitai-ext emulator has no accounts to sign in to.</p>"
    return Response(page, media_type="text/html")


class _Head(Route):
    """Takes every caller who asks with HEAD for somebody who has not signed in."""

    def __init__(self) -> None:
        super().__init__(f"/api/download/{{rest:{REST}}}", self._refuse, methods=["HEAD"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        quirks = scope["app"].state.world.quirks
        return super().matches(scope) if Quirk.HEAD_401 in quirks else (Match.NONE, {})

    async def _refuse(self, request: Request) -> Response:
        return Response(status_code=401, headers=_NO_STORE)


ROUTES = [
    _Head(),
    Route("/api/download/models/{id}", _download),
    Route("/api/download/training-data/{id}", _training_data),
    authenticated("/api/download/training/{id}", _training),
    Route("/login", _login),
]
