"""What the caller may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_ext import AsyncCivitai, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


async def test_permissions_by_version(civitai: AsyncCivitai, emulator: Emulator) -> None:
    models = await civitai.models.list(supports_generation=True, limit=20).to_list()
    id = next(version.id for model in models for version in model.model_versions if not version.early_access_deadline)
    assert await civitai.permissions.check([1, id, 1]) == {1: False, id: True}
    assert list(await civitai.permissions.check([id, 1])) == [id, 1]
    assert await civitai.permissions.check([id], user_id=99) == {id: True}
    assert dict(emulator.journal[-1].query) == {
        "entityIds": str(id),
        "entityType": "ModelVersion",
        "permission": "Generate",
        "userId": "99",
    }


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([["5"]], {}),
        ([[0]], {}),
        (["5"], {}),
        ([[5]], {"user_id": 0}),
        ([[5]], {"permission": "Download"}),
    ],
)
async def test_what_the_service_would_refuse_is_not_sent(
    civitai: AsyncCivitai, emulator: Emulator, arguments: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidRequest):
        await civitai.permissions.check(*arguments, **options)
    assert await civitai.permissions.check([]) == {}
    assert not emulator.journal


async def test_many_ids_go_in_batches_and_silence_means_no() -> None:
    body = {"1": True, "2": "yes", "3": 1, "4": None, "250": True}
    with FaultServer([Answer(200, json.dumps(body).encode())]) as server:
        async with AsyncCivitai("secret-token", site_url=server.url) as civitai:
            verdicts = await civitai.permissions.check(range(1, 251))
    assert list(verdicts) == list(range(1, 251))
    assert {id for id, may in verdicts.items() if may} == {1, 250}
    assert sorted(request.target.count("entityIds=") for request in server.received) == [50, 100, 100]
    assert {request.headers["authorization"] for request in server.received} == {"Bearer secret-token"}
