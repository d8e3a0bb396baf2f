# Derived from tests/_async/test_directory.py by scripts/unasync.py: change that file, then run `make fix`.
from __future__ import annotations

import pytest

from civitai_ext import Civitai, errors
from civitai_ext.emulator import Emulator
from tests._sync.helpers import no_sleep

pytestmark = pytest.mark.anyio


def test_apps(civitai: Civitai) -> None:
    whole = list(civitai.apps.list(sort="name"))
    assert whole
    first = civitai.apps.list(sort="name", page_size=1)
    begun = [app.slug for app in first.take(1)]
    rest = [app.slug for app in civitai.apps.list(sort="name", cursor=first.cursor)]
    assert begun + rest == [app.slug for app in whole]
    app = civitai.apps.get(whole[0].slug)
    assert app.name == whole[0].name
    assert app.description
    assert all([each.kind == "onsite" for each in civitai.apps.list(kind="onsite")])
    with pytest.raises(errors.NotFound, match="App not found"):
        civitai.apps.get("no-such-app")


def test_bugs(civitai: Civitai, emulator: Emulator) -> None:
    listed = [bug.id for bug in civitai.bugs.list()]
    whole = list(civitai.bugs.list(include_closed=True, page_size=2))
    assert {bug.id for bug in whole} > set(listed)
    assert len({bug.id for bug in whole}) == len(whole)
    bug = civitai.bugs.get(whole[0].id)
    assert bug.title == whole[0].title
    same = [each.id for each in civitai.bugs.list(statuses=bug.status, include_closed=True)]
    assert bug.id in same
    with pytest.raises(errors.NotFound):
        civitai.bugs.get(2_000_000_000)


@pytest.mark.parametrize("slug", ["tos", "rules/minors"])
def test_texts_of_the_site(civitai: Civitai, slug: str) -> None:
    text = civitai.content.get(slug)
    assert text.title
    assert text.content


def test_a_text_that_is_not_there(civitai: Civitai) -> None:
    civitai.transport.sleep = no_sleep
    with pytest.raises(errors.ServerError):
        civitai.content.get("no-such-text")
