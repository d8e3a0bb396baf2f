"""`/model-files/{id}/tensor-metadata`: what is in a file, read from the file itself."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator import files
from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse
from civitai_ext.emulator.site.parameters import path_number
from civitai_ext.emulator.site.rules import mixed
from civitai_ext.emulator.site.shapes import Json
from civitai_ext.emulator.world import World

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_PAGE = 2 * 1024 * 1024
_RESERVE = 512 * 1024 * 1024


async def _describe(request: Request, world: World, caller: Account | None) -> Response:
    file = world.catalogue.file_by_id.get(path_number(request, "id"))
    if file is None:
        refuse({"error": "File not found"}, 404)
    version = file.version
    if version.model.mode == "Archived":
        refuse({"error": "Model archived"}, 410)
    if version.usage_control != "Download":
        refuse({"error": "Downloads are disabled for this file"}, 403)
    if version.is_gated_for(caller.id if caller else None, world.clock.now()):
        refuse({"error": "This file is in early access"}, 403)
    if not file.is_safetensors:
        refuse({"error": "Unsupported file format"}, 400)
    tensors = files.tensors(file.stored())
    shown = _summary(tensors)
    if request.query_params.get("summaryOnly") != "true":
        shown["tensors"] = tensors
    return answer(shown, headers=_FOR_EVER)


def _summary(tensors: list[Json]) -> Json:
    counts: dict[str, Json] = {}
    for tensor in tensors:
        count = counts.setdefault(tensor["dtype"], {"dtype": tensor["dtype"], "count": 0, "bytes": 0})
        count["count"] += 1
        count["bytes"] += tensor["sizeBytes"]
    total = sum(tensor["sizeBytes"] for tensor in tensors)
    largest = max(tensors, key=lambda tensor: int(tensor["sizeBytes"]), default=None)
    # The service's own estimate is not known: here it is the weights and a fixed reserve.
    estimate = {
        "estimatedMinimumVramBytes": total // 2 + _RESERVE,
        "recommendedVramBytes": total + _RESERVE,
        "residentWeightsBytes": total // 2,
        "fullyResidentWeightsBytes": total,
        "inferenceReserveBytes": _RESERVE,
        "extraReservedBytes": 0,
        "dynamicVramPageBytes": _PAGE,
    }
    return {
        "format": "SafeTensor",
        "tensorCount": len(tensors),
        "totalTensorBytes": total,
        "dtypeCounts": list(counts.values()),
        "largestTensor": largest,
        "vramEstimate": estimate,
    }


ROUTES = [mixed("/api/v1/model-files/{id}/tensor-metadata", _describe)]
