"""Uploads: the routes that hand out signed URLs, and the storage behind these."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, failed, refuse, storage_error
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.signing import ExpiredError, SignatureError
from civitai_ext.emulator.site.rules import authenticated, caller_of
from civitai_ext.emulator.uploads import BACKEND, BUCKET, Upload, UploadPartsError, UploadStateError
from civitai_ext.emulator.world import World

URL_LIFETIME = timedelta(hours=12)
"""How long a signed upload URL holds."""

_LARGEST = 256 * 1024 * 1024


async def _begin_image(request: Request) -> Response:
    """Hand out the URL for one image; any verb does."""
    world, caller = World.of(request), caller_of(request)
    if caller is None:
        return answer({"error": "Unauthorized"}, 401)
    key = world.uploads.new_key()
    return answer({"id": key, "uploadURL": _signed(world, key, {"key": key, "owner": caller.id})})


async def _begin_multipart(request: Request, world: World, caller: Account | None) -> Response:
    body = await _body(request)
    size = body.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= _LARGEST:
        failed(f"size must be a number from 1 to {_LARGEST}")
    for name in ("mimeType", "filename"):
        if not isinstance(body.get(name), str | None):
            failed(f"{name} must be a string")
    owner = caller.id if caller else 0
    media_type = body.get("mimeType") or "application/octet-stream"
    upload = world.uploads.begin(owner, size, media_type, body.get("filename") or "")
    numbers = range(1, upload.part_count + 1)
    urls = [
        {
            "url": _signed(world, upload.key, {"key": upload.key, "upload": upload.id, "part": number}),
            "partNumber": number,
        }
        for number in numbers
    ]
    return answer(
        {
            "urls": urls,
            "bucket": BUCKET,
            "key": upload.key,
            "uploadId": upload.id,
            "chunkSize": world.uploads.chunk,
            "backend": BACKEND,
        }
    )


async def _complete(request: Request, world: World, caller: Account | None) -> Response:
    body = await _body(request)
    upload = _find(world, caller, body)
    if upload is None:
        refuse({"error": "There is no such upload"}, 409)
    parts = body.get("parts")
    try:
        named = [(int(part["PartNumber"]), str(part["ETag"])) for part in parts or ()]
        stored = world.uploads.complete(upload, named)
    except UploadStateError:
        refuse({"error": f"The upload is {upload.state} already"}, 409)
    except (UploadPartsError, KeyError, TypeError, ValueError) as error:
        refuse({"error": f"The parts do not make up a file: {error}"}, 422)
    return answer(f"{world.origin}/{BUCKET}/{stored.key}")


async def _abort(request: Request, world: World, caller: Account | None) -> Response:
    upload = _find(world, caller, await _body(request))
    if upload is not None:
        world.uploads.abort(upload)
    return answer({})


def _find(world: World, caller: Account | None, body: dict[str, Any]) -> Upload | None:
    upload = world.uploads.find(str(body.get("uploadId")), str(body.get("key")))
    ours = body.get("bucket") == BUCKET and body.get("backend") == BACKEND
    return upload if upload and ours and caller and upload.owner == caller.id else None


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        failed("the body must be a JSON object")
    return body


def _signed(world: World, key: str, content: dict[str, object]) -> str:
    signature = world.signer.sign(content, expires=world.clock.now() + URL_LIFETIME)
    number = f"partNumber={content['part']}&" if "part" in content else ""
    return f"{world.origin}/{BUCKET}/{quote(key)}?{number}sig={signature}"


async def _put(request: Request) -> Response:
    """Store what is put by whoever holds a signed URL, and by nobody who adds another credential to it."""
    world = World.of(request)
    if "authorization" in request.headers and Quirk.SECOND_CREDENTIAL in world.quirks:
        return storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    try:
        signed = world.signer.read(request.query_params.get("sig", ""), now=world.clock.now())
    except ExpiredError:
        return storage_error(403, "AccessDenied", "Request has expired")
    except SignatureError:
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    key = request.path_params["key"]
    if signed.get("key") != key or str(signed.get("part", "")) != request.query_params.get("partNumber", ""):
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    if "content-length" not in request.headers:
        return storage_error(411, "MissingContentLength", "You must provide the Content-Length HTTP header")
    most = world.uploads.chunk if "upload" in signed else _LARGEST
    if int(request.headers["content-length"]) > most:
        return storage_error(400, "EntityTooLarge", f"At most {most} bytes are accepted at once")
    content = await request.body()
    if "upload" not in signed:
        media_type = request.headers.get("content-type", "application/octet-stream")
        return Response(headers={"ETag": world.uploads.put(key, int(signed["owner"]), content, media_type)})
    upload = world.uploads.find(str(signed["upload"]), key)
    try:
        if upload is None:
            raise UploadStateError
        return Response(headers={"ETag": world.uploads.put_part(upload, int(signed["part"]), content)})
    except UploadStateError:
        return storage_error(404, "NoSuchUpload", "The upload does not exist any more")


ROUTES = [
    Route("/api/v1/image-upload", _begin_image, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    authenticated("/api/v1/image-upload/multipart", _begin_multipart, verb="POST"),
    authenticated("/api/upload/complete", _complete, verb="POST"),
    authenticated("/api/upload/abort", _abort, verb="POST"),
    Route(f"/{BUCKET}/{{key:{REST}}}", _put, methods=["PUT"]),
]
