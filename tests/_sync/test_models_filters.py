# Derived from tests/_async/test_models_filters.py by scripts/unasync.py: change that file, then run `make fix`.
"""Lists of models by more ids than one request takes."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from civitai_ext import Civitai
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


def all_ids(civitai: Civitai) -> list[int]:
    return sorted([model.id for model in civitai.models.list(nsfw=True)])


def spread(ids: list[int], among: int = 280) -> list[int]:
    """The ids, with others between them that nothing has."""
    strangers = iter(range(2_000_000_000, 2_000_000_000 + among))
    gap = among // len(ids)
    return [each for id in ids for each in [id, *(next(strangers) for _ in range(gap))]]


def test_any_number_of_ids_is_asked_for_in_parts(civitai: Civitai, emulator: Emulator) -> None:
    ids = all_ids(civitai)
    asked = spread(ids)
    assert len(asked) > 200
    emulator.journal.clear()
    found = [model.id for model in civitai.models.list(ids=asked, nsfw=True)]
    assert sorted(found) == ids
    sent = [[int(value) for name, value in each.query if name == "ids"] for each in emulator.journal]
    assert all(len(part) <= 100 for part in sent)
    assert len(sent) == -(-len(asked) // 100)
    assert [id for part in sent for id in part] == asked


def test_versions_are_asked_for_in_parts_too(civitai: Civitai, emulator: Emulator) -> None:
    models = list(civitai.models.list(nsfw=True))
    versions = [model.model_versions[0].id for model in models]
    found = [model.id for model in civitai.models.list(model_version_ids=spread(versions), nsfw=True)]
    assert sorted(found) == sorted(model.id for model in models)


def test_two_lists_of_ids_meet_and_no_address_is_too_long(civitai: Civitai, emulator: Emulator) -> None:
    models = list(civitai.models.list(nsfw=True))
    ids = [model.id for model in models]
    versions = [model.model_versions[0].id for model in models[::2]]
    emulator.journal.clear()
    found = civitai.models.list(ids=spread(ids), model_version_ids=spread(versions, 90), nsfw=True)
    assert sorted([model.id for model in found]) == sorted(model.id for model in models[::2])
    for each in emulator.journal:
        assert sum(len(name) + len(value) + 2 for name, value in each.query) < 2200


@pytest.mark.parametrize("page_size", [None, 7])
@pytest.mark.parametrize("done", [0, 1, 7, 25, 40, 41])
def test_a_cursor_holds_across_the_parts(civitai: Civitai, done: int, page_size: int | None) -> None:
    asked = spread(all_ids(civitai))
    whole = [model.id for model in civitai.models.list(ids=asked, nsfw=True)]
    assert len(whole) > 41
    first = civitai.models.list(ids=asked, nsfw=True, page_size=page_size)
    begun = [model.id for model in first.take(done)]
    rest = civitai.models.list(ids=asked, nsfw=True, cursor=first.cursor)
    assert begun + [model.id for model in rest] == whole


def test_the_limit_is_of_all_parts(civitai: Civitai, emulator: Emulator) -> None:
    asked = spread(all_ids(civitai))
    emulator.journal.clear()
    assert len(civitai.models.list(ids=asked, nsfw=True, limit=3).to_list()) == 3
    assert len(emulator.journal) == 1
    assert len(civitai.models.list(ids=asked, nsfw=True, limit=30).to_list()) == 30


def test_a_hundred_ids_are_one_request_with_the_cursors_of_the_service(civitai: Civitai, emulator: Emulator) -> None:
    ids = all_ids(civitai)
    first = civitai.models.list(ids=ids, nsfw=True, page_size=20)
    first.take(20)
    assert "|" in (first.cursor or "")
    assert "/" not in (first.cursor or "")


def test_a_cursor_that_stands_still_once_loses_nothing(civitai: Civitai, emulator: Emulator) -> None:
    ids = all_ids(civitai)
    fault = emulator.faults.add("GET /api/v1/models", repeat_cursor=1, times=1)
    assert sorted([model.id for model in civitai.models.list(nsfw=True, page_size=10)]) == ids
    assert fault.hits == 1


def test_a_part_whose_cursor_stands_still_does_not_end_the_others() -> None:
    body = json.dumps({"items": [{"id": 1}], "metadata": {"nextCursor": "5|5"}}).encode()
    with FaultServer([Answer(body=body)]) as server:
        with Civitai(site_url=server.url) as civitai:
            assert len(civitai.models.list(ids=range(1, 250)).to_list()) == 1
    asked = [parse_qsl(urlsplit(each.target).query) for each in server.received]
    assert {int(value) for query in asked for name, value in query if name == "ids"} == set(range(1, 250))
    assert len(asked) == 6


def test_a_name_that_nothing_has_is_not_an_error_of_ours(civitai: Civitai) -> None:
    assert civitai.models.list(base_models="Brand New 1").to_list() == []
