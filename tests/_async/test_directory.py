from __future__ import annotations

import pytest

from civitai_ext import AsyncCivitai, errors
from civitai_ext.emulator import Emulator
from tests._async.helpers import no_sleep

pytestmark = pytest.mark.anyio


async def test_apps(civitai: AsyncCivitai) -> None:
    whole = [app async for app in civitai.apps.list(sort="name")]
    assert whole
    first = civitai.apps.list(sort="name", page_size=1)
    begun = [app.slug for app in await first.take(1)]
    rest = [app.slug async for app in civitai.apps.list(sort="name", cursor=first.cursor)]
    assert begun + rest == [app.slug for app in whole]
    app = await civitai.apps.get(whole[0].slug)
    assert app.name == whole[0].name
    assert app.description
    assert all([each.kind == "onsite" async for each in civitai.apps.list(kind="onsite")])
    with pytest.raises(errors.NotFound, match="App not found"):
        await civitai.apps.get("no-such-app")


async def test_bugs(civitai: AsyncCivitai, emulator: Emulator) -> None:
    listed = [bug.id async for bug in civitai.bugs.list()]
    whole = [bug async for bug in civitai.bugs.list(include_closed=True, page_size=2)]
    assert {bug.id for bug in whole} > set(listed)
    assert len({bug.id for bug in whole}) == len(whole)
    bug = await civitai.bugs.get(whole[0].id)
    assert bug.title == whole[0].title
    same = [each.id async for each in civitai.bugs.list(statuses=bug.status, include_closed=True)]
    assert bug.id in same
    with pytest.raises(errors.NotFound):
        await civitai.bugs.get(2_000_000_000)


@pytest.mark.parametrize("slug", ["tos", "rules/minors"])
async def test_texts_of_the_site(civitai: AsyncCivitai, slug: str) -> None:
    text = await civitai.content.get(slug)
    assert text.title
    assert text.content


async def test_a_text_that_is_not_there(civitai: AsyncCivitai) -> None:
    civitai.transport.sleep = no_sleep
    with pytest.raises(errors.ServerError):
        await civitai.content.get("no-such-text")
