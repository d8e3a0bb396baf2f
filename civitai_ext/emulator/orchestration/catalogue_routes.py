"""`/v2/services` and `/v2/resources`: what can be run, and with which models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.answers import RefusalError, answer, orchestration_time, refuse_problem
from civitai_ext.emulator.catalogue import Version
from civitai_ext.emulator.orchestration.access import integer_parameter
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.world import World

Json = dict[str, Any]

_STATUSES = ("unknown", "available", "degraded", "unavailable")
_BUCKETS = 24
_SERVICES: tuple[tuple[str, str, str, dict[str, str], str], ...] = (
    # id, step type, name, parameters, strengths
    ("image/flux2/klein/createImage/4b", "imageGen", "FLUX.2 Klein 4B",
     {"engine": "flux2", "model": "klein", "operation": "createImage", "modelVersion": "4b"}, "fast"),
    ("image/flux2/klein/createImage/9b", "imageGen", "FLUX.2 Klein 9B",
     {"engine": "flux2", "model": "klein", "operation": "createImage", "modelVersion": "9b"}, "detail"),
    ("image/sdcpp/sdxl/createImage", "imageGen", "SDXL",
     {"engine": "sdcpp", "ecosystem": "sdxl", "operation": "createImage"}, "many models"),
    ("image/textToImage", "textToImage", "Text to image", {}, "many models"),
    ("image/upscaler", "imageUpscaler", "Upscaler", {}, "size"),
    ("utility/echo", "echo", "Echo", {}, "predictable"),
)  # fmt: skip


async def _list_services(request: Request) -> Response:
    world, query = World.of(request), request.query_params
    limit = integer_parameter(request, "limit", 50, low=1, high=200)
    offset = integer_parameter(request, "offset", 0, low=0)
    status = query.get("status", "available").lower()
    if status not in _STATUSES:
        refuse_problem(400, errors={"status": [f"The value '{query['status']}' is not valid."]})
    wanted_tags = set(query.getlist("tags"))
    text = query.get("query", "").lower()
    found = [
        service
        for service in (_service(world, row, query.get("window", "24h")) for row in _SERVICES)
        if service["category"] == query.get("category", service["category"])
        and service["id"].startswith(query.get("prefix", ""))
        and wanted_tags <= set(service["tags"])
        and text in f"{service['id']} {service['name']}".lower()
        and service["status"] == status
    ]
    page = found[offset : offset + limit]
    return answer({"items": page, "totalCount": len(found), "limit": limit, "offset": offset})


async def _get_service(request: Request) -> Response:
    world, query = World.of(request), request.query_params
    row = next((row for row in _SERVICES if row[0] == request.path_params["service"]), None)
    if row is None:
        refuse_problem(404)
    service = _service(world, row, query.get("window", "24h"))
    now = world.clock.now().replace(minute=0, second=0, microsecond=0)
    buckets = [
        {"at": orchestration_time(now - timedelta(hours=hour)), **_figures(row[0], hour)}
        for hour in reversed(range(_BUCKETS))
    ]
    service["history"] = {"interval": query.get("interval", "1h"), "buckets": buckets}
    return answer(service)


def _service(world: World, row: tuple[str, str, str, dict[str, str], str], window: str) -> Json:
    id_, step, name, parameters, strengths = row
    category = id_.partition("/")[0]
    return {
        "id": id_,
        "category": category,
        "parameters": parameters,
        "step": step,
        "submit": "/v2/consumer/workflows",
        "estimate": "/v2/consumer/workflows?whatif=true",
        "name": name,
        "description": f"{name}, as the emulator stands in for it.",
        "tags": [category, step],
        "strengths": strengths,
        "weaknesses": "draws the prompt instead of what it says",
        "modalities": {"input": ["text"], "output": ["text" if step == "echo" else "image"]},
        "status": "available",
        "metrics": {"window": window, "asOf": orchestration_time(world.clock.now()), **_figures(id_, 0)},
    }


def _figures(id_: str, hour: int) -> Json:
    requests = 400 + 13 * len(id_) + 7 * hour
    return {
        "requests": requests,
        "successRate": 0.98,
        "canceledRate": 0.01,
        "userErrorRate": 0.01,
        "costBuzz": {"p50": 8.0, "p80": 12.0, "p95": 24.0},
        "latencySeconds": {"p50": 7.0, "p80": 11.0, "p95": 19.0},
    }


async def _list_resources(request: Request) -> Response:
    world = _world_of_caller(request)
    take = integer_parameter(request, "take", 100, low=1, high=100)
    start = integer_parameter(request, "cursor", 0, low=0)
    view = request.query_params.get("view")
    if view is None:
        refuse_problem(400, errors={"view": ["The view field is required."]})
    if view.lower() != "queue":
        refuse_problem(400, errors={"view": [f"The value '{view}' is not valid."]})
    queued = [
        version for version in world.catalogue.version_by_id.values() if _availability(version)["status"] == "loading"
    ]
    items = [_resource(world, version, version.air) for version in queued[start : start + take]]
    return answer({"next": str(start + take) if len(queued) > start + take else None, "items": items})


async def _get_resource(request: Request) -> Response:
    world = _world_of_caller(request)
    air = request.path_params["air"]
    try:
        version = world.catalogue.version_of(air)
    except ValueError:
        refuse_problem(400, errors={"air": [f"The value '{air}' is not an AIR of this catalogue."]})
    if version is None:
        refuse_problem(404)
    return answer(_resource(world, version, version.air))


def _world_of_caller(request: Request) -> World:
    """Find the world; without a token these routes answer 401 with an empty body."""
    world = World.of(request)
    if world.accounts.of(request) is None:
        raise RefusalError(Response(status_code=401))
    return world


def _resource(world: World, version: Version, air: str) -> Json:
    file = version.primary_file
    return {
        "air": air,
        "size": round(file.size_kb * 1024),
        "hashes": file.hashes,
        "downloadUrls": [f"{world.origin}/api/download/models/{version.id}"],
        "resourceName": version.model.name,
        "versionName": version.name,
        "checkPermission": version.gated_until(world.clock.now()) is not None,
        "canGenerate": version.supports_generation,
        "requiresAuthorization": version.requires_auth,
        "fileFormat": "safeTensor" if file.is_safetensors else "unknown",
        "hasMatureContentRestriction": False,
        "hasNSFWContentRestriction": False,
        "popularityRank": version.downloads / 100,
        "isFeatured": False,
        "publishedAt": orchestration_time(version.published_at),
        "payoutEnabled": False,
        "fees": [],
        "userId": version.model.creator.id,
        "availability": _availability(version),
    }


def _availability(version: Version) -> Json:
    if not version.supports_generation:
        return {"status": "unsupported"}
    if version.id % 7 == 0:
        return {"status": "loading", "progress": 0.4, "workers": 1, "etaSeconds": 30}
    if version.id % 5 == 0:
        return {"status": "unavailable", "queuePosition": 3}
    return {"status": "available", "workers": 1 + version.id % 4}


ROUTES = [
    Route("/v2/services", _list_services, methods=["GET"]),
    Route(f"/v2/services/{{service:{REST}}}", _get_service, methods=["GET"]),
    Route("/v2/resources", _list_resources, methods=["GET"]),
    Route(f"/v2/resources/{{air:{REST}}}", _get_resource, methods=["GET"]),
]
