"""The storage behind downloads: signed URLs that run out, and the bytes that they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator import files
from civitai_ext.emulator.answers import storage_error
from civitai_ext.emulator.catalogue import ModelFile, Version
from civitai_ext.emulator.drawing import rendered
from civitai_ext.emulator.faults import REVISION
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.ranges import file_answer
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.signing import ExpiredError, SignatureError
from civitai_ext.emulator.world import World

URL_LIFETIME = timedelta(minutes=15)
"""How long a signed storage URL holds."""

Kind = Literal["attachment", "images", "details", "upload"]
_BINARY = "application/octet-stream"


class _Stored(NamedTuple):
    """Something that can be fetched: where it lies, what makes its bytes, what it is called."""

    place: str
    content: Callable[[], bytes | files.Content]
    media_type: str
    name: str


def model_file_url(world: World, file: ModelFile) -> str:
    """Sign the URL of a file of a version."""
    return _sign(world, {"file": file.id}, str(file.id), file.name)


def object_url(world: World, kind: Kind, id: int | str, name: str) -> str:
    """Sign the URL of something else: an attachment, the images or details of a version, or an upload."""
    return _sign(world, {"kind": kind, "id": id, "name": name}, kind, name)


def _sign(world: World, content: dict[str, Any], place: str, name: str) -> str:
    expires = world.clock.now() + URL_LIFETIME
    query = urlencode({"sig": world.signer.sign(content, expires=expires), "expires": int(expires.timestamp())})
    # Clients take a name of dots for a way up, and the router no line for a name.
    shown = quote(name, safe="") if name.strip(".") and name.isprintable() else "file"
    return f"{world.origin}/storage/{place}/{shown}?{query}"


async def _serve(request: Request) -> Response:
    """Serve a file to whoever holds a signed URL, and to nobody who adds another credential to it."""
    world = World.of(request)
    if "authorization" in request.headers and Quirk.SECOND_CREDENTIAL in world.quirks:
        return storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    try:
        signed = world.signer.read(request.query_params.get("sig", ""), now=world.clock.now())
    except ExpiredError:
        return storage_error(403, "AccessDenied", "Request has expired")
    except SignatureError:
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    stored = _find(world, signed, request.scope.get(REVISION, 0))
    if stored is None or stored.place != request.path_params["place"]:
        return storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
    content = await asyncio.to_thread(stored.content)
    return file_answer(request, content, stored.media_type, filename=stored.name)


def _find(world: World, signed: dict[str, Any], revision: int) -> _Stored | None:
    """Find what was signed; other tokens of the emulator lead to nothing here."""
    id_, name = signed.get("id"), str(signed.get("name"))
    if file := world.catalogue.stored_files.get(signed.get("file", 0)):
        return _Stored(str(file.id), lambda: file.stored(revision), _BINARY, file.name)
    match signed.get("kind"):
        case "attachment":
            attachment = world.community.attachment_by_id[int(str(id_))]
            return _Stored("attachment", lambda: attachment.content, "application/zip", name)
        case "images":
            version = world.catalogue.stored_versions[int(str(id_))]
            return _Stored("images", lambda: _pack(version), "application/zip", name)
        case "details":
            version = world.catalogue.stored_versions[int(str(id_))]
            return _Stored("details", lambda: version.details, "application/pdf", name)
        case "upload":
            upload = world.uploads.objects[str(id_)]
            return _Stored("upload", lambda: upload.content, upload.media_type, name)
    return None


def _pack(version: Version) -> bytes:
    return files.packed((f"{image.id}.jpeg", rendered(image.picture)) for image in version.images)


ROUTES = [Route(f"/storage/{{place}}/{{name:{REST}}}", _serve)]
