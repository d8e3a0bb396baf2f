"""`/permissions/check`: whether a user may generate with versions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.site.parameters import Parameters
from civitai_ext.emulator.site.rules import public
from civitai_ext.emulator.world import World


async def _check(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    listed = Quirk.PERMISSIONS_LIST in world.quirks
    ids = read.integers("entityIds") if listed or read.text("entityIds") else None
    read.choice("entityType", ("ModelVersion",))
    read.choice("permission", ("Generate",))
    user_id = read.optional_number("userId")
    if read.issues:
        refuse({"error": "Could not parse provided model versions array."}, 400)
    if user_id is None and caller is not None:
        user_id = caller.id
    if ids is None and listed:
        return answer([])
    return answer({str(id_): _may_generate(world, id_, user_id) for id_ in ids or ()})


def _may_generate(world: World, id_: int, user_id: int | None) -> bool:
    version = world.catalogue.version_by_id.get(id_)
    return version is not None and version.supports_generation and not version.is_gated_for(user_id, world.clock.now())


ROUTES = [public("/api/v1/permissions/check", _check)]
