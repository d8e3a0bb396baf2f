"""`/v2/consumer/blobs`: uploads, signed URLs, content, archives; and what lies beside it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, orchestration_time, problem, refuse_problem
from civitai_ext.emulator.blobs import ARCHIVE_PATH, CONTENT_PATH, Blob
from civitai_ext.emulator.drawing import Stored, measure
from civitai_ext.emulator.orchestration.access import authorized, boolean_parameter, permitted
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.ranges import file_answer
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.scopes import AI_SERVICES_WRITE
from civitai_ext.emulator.signing import ExpiredError, SignatureError
from civitai_ext.emulator.world import World

UPLOAD_LIFETIME = timedelta(hours=1)
"""How long a signed upload URL holds."""

_LARGEST_ID = 2**31 - 1
_LARGEST_UPLOAD = 64 * 1024 * 1024
_ACCEPTED = ("image/", "video/", "audio/")
_LEVELS = frozenset({"pg", "pg13", "r", "x", "xxx", "na"})
_PIECE = 16 * 1024
_SECOND_CREDENTIAL = "This URL carries its own credential; send no other."


async def _get(request: Request, world: World, caller: Account) -> Response:
    """Redirect to the content of a blob; HEAD only tells whether it is there."""
    blob = _find(request, world, caller)
    if request.method == "HEAD":
        return Response(status_code=204)
    query = request.query_params
    level = query.get("nsfwLevel")
    if level is not None and level.lower() not in _LEVELS:
        refuse_problem(400, errors={"nsfwLevel": [f"The value '{level}' is not valid."]})
    if (id_ := query.get("workflowId")) is not None:
        workflow = world.workflows.get(caller, id_)
        if workflow is None or blob not in workflow.blobs:
            refuse_problem(404)
    if blob.blocked_reason or blob.withheld:
        return _blocked(blob)
    wants_file = boolean_parameter(request, "download")
    filename = query.get("filename") or (blob.id if wants_file else None)
    return RedirectResponse(world.blobs.url(blob, filename=filename), 308)


def _blocked(blob: Blob) -> Response:
    return problem(403, blob.blocked_reason or "The content is mature and its workflow does not allow that.")


async def _refresh(request: Request, world: World, caller: Account) -> Response:
    blob = _find(request, world, caller)
    world.blobs.refresh(blob)
    return answer(world.blobs.as_json(blob))


def _find(request: Request, world: World, caller: Account) -> Blob:
    blob = world.blobs.get(request.path_params["blob"])
    if blob is None or blob.owner != caller.id:
        refuse_problem(404)
    return blob


async def _content(request: Request) -> Response:
    """Serve a blob to whoever holds a signed URL, and to nobody who adds another credential to it."""
    blob, signed = _signed_for(request)
    content = await asyncio.to_thread(lambda: blob.content)
    return file_answer(request, content, blob.media_type, filename=signed.get("filename"))


async def _blocked_content(request: Request) -> Response:
    """Say why a blob is not shown: never anything else."""
    return _blocked(_signed_for(request)[0])


async def _streamed(request: Request) -> Response:
    """Serve a blob in pieces, as one that is still being made: without its length."""
    blob, _ = _signed_for(request)
    content = await asyncio.to_thread(lambda: blob.content)
    pieces = (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
    return StreamingResponse(pieces, media_type=blob.media_type)


def _signed_for(request: Request) -> tuple[Blob, dict[str, Any]]:
    """Find the blob that a signed URL is for, and all that was signed."""
    world = World.of(request)
    try:
        signed = _signed(request)
    except SignatureError:
        refuse_problem(401, "The URL is not valid or has expired.")
    blob = world.blobs.get(str(signed.get("blob")))
    if blob is None:
        refuse_problem(404)
    return blob, signed


def _signed(request: Request) -> dict[str, Any]:
    """Read what is signed in the path, or answer 401 if there is another credential."""
    world = World.of(request)
    if "authorization" in request.headers and Quirk.SECOND_CREDENTIAL in world.quirks:
        refuse_problem(401, _SECOND_CREDENTIAL)
    return world.signer.read(request.path_params["token"], now=world.clock.now())


async def _archive(request: Request) -> Response:
    """Serve the archive of a `blobArchive` step, which is gone when its URL has run out."""
    try:
        blob = World.of(request).blobs.get(str(_signed(request).get("blob")))
    except ExpiredError:
        blob = None
    except SignatureError:
        refuse_problem(401, "The URL is not valid.")
    if blob is None:
        return problem(410, "The archive is not kept any more.")
    content = await asyncio.to_thread(lambda: blob.content)
    return file_answer(request, content, blob.media_type, filename=blob.id)


async def _presign(request: Request, world: World, caller: Account) -> Response:
    """Hand out a URL that takes one upload without a token."""
    expires = world.clock.now() + UPLOAD_LIFETIME
    signature = world.signer.sign({"upload": caller.id}, expires=expires)
    url = f"{world.origin}/v2/consumer/blobs?sig={signature}"
    return answer({"uploadUrl": url, "expiresAt": orchestration_time(expires)})


async def _upload(request: Request) -> Response:
    """Keep what is uploaded, after looking at it."""
    world = World.of(request)
    owner = _uploader(request, world)
    # A length must be known beforehand: chunked bodies are refused.
    length = request.headers.get("content-length", "")
    size = whole_number(length)
    if size is None:
        return problem(411, "A Content-Length is required; chunked bodies are not accepted.")
    if size > _LARGEST_UPLOAD:
        return problem(413, f"At most {_LARGEST_UPLOAD} bytes are accepted.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type.startswith(_ACCEPTED):
        return problem(415, "The Content-Type must be that of an image, a video or an audio file.")
    content = await request.body()
    if not content:
        return problem(400, "The body is empty.")
    width = height = None
    if media_type.startswith("image/"):
        try:
            width, height, media_type = await asyncio.to_thread(measure, content)
        except ValueError:
            return problem(422, "The content is not an image.")
    now = world.clock.now()
    blob = world.blobs.add(Stored(content), media_type=media_type, owner=owner, at=now, width=width, height=height)
    return answer(world.blobs.as_json(blob), 201)


def _uploader(request: Request, world: World) -> int:
    """Find whose upload this is: the URL says so when it is signed, the bearer token otherwise."""
    signature = request.query_params.get("sig")
    if signature is None:
        return permitted(request, AI_SERVICES_WRITE).account.id
    if "authorization" in request.headers and Quirk.SECOND_CREDENTIAL in world.quirks:
        refuse_problem(401, _SECOND_CREDENTIAL)
    try:
        return int(world.signer.read(signature, now=world.clock.now())["upload"])
    except (SignatureError, KeyError):
        refuse_problem(401, "The URL is not valid or has expired.")


async def _forget_user(request: Request, world: World, caller: Account) -> Response:
    """Drop what is cached of a user, or of their tokens. Nothing is, here."""
    user = whole_number(request.path_params["user"])
    if user is None or user > _LARGEST_ID:
        refuse_problem(404)
    return Response(status_code=204)


ROUTES = [
    Route("/v2/consumer/blobs", _upload, methods=["POST"]),
    Route("/v2/consumer/blobs/upload", authorized(_presign, needs=AI_SERVICES_WRITE), methods=["GET"]),
    Route(f"{CONTENT_PATH}{{token}}", _content, methods=["GET"]),
    Route("/v2/consumer/blobs/blocked/{token}", _blocked_content, methods=["GET"]),
    Route(f"{ARCHIVE_PATH}{{token}}", _archive, methods=["GET"]),
    Route("/v2/consumer/streaming-blobs/{token}", _streamed, methods=["GET"]),
    Route("/v2/consumer/blobs/{blob}", authorized(_get), methods=["GET", "HEAD"]),
    Route("/v2/consumer/blobs/{blob}/refresh", authorized(_refresh), methods=["POST"]),
    Route("/v2/consumer/civitai/{user}", authorized(_forget_user), methods=["DELETE"]),
    Route("/v2/consumer/civitai/{user}/tokens", authorized(_forget_user), methods=["DELETE"]),
]
