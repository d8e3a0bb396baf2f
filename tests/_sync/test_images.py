# Derived from tests/_async/test_images.py by scripts/unasync.py: change that file, then run `make fix`.
from __future__ import annotations

import json

import pytest

from civitai_ext import Civitai, errors
from civitai_ext.emulator import Emulator
from civitai_ext.levels import BrowsingLevel, NsfwLevel
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio

ALL = BrowsingLevel.ALL


def levels(civitai: Civitai, **filters: NsfwLevel | BrowsingLevel | bool | int | str) -> set[BrowsingLevel | None]:
    images = civitai.images.list(**filters)  # type: ignore[arg-type]
    return {image.browsing_level for image in images}


def test_without_a_level_there_is_pg_only(civitai: Civitai, emulator: Emulator) -> None:
    assert levels(civitai) == {1}
    assert emulator.journal[-1].credential == "header"
    with Civitai(site_url=emulator.url) as anonymous:
        assert levels(anonymous) == {1}
        assert levels(anonymous, browsing_level=ALL) > {1}


@pytest.mark.parametrize("word", list(NsfwLevel))
def test_a_word_lists_what_its_mask_lists(civitai: Civitai, word: NsfwLevel) -> None:
    by_word = [image.id for image in civitai.images.list(nsfw=word)]
    by_mask = [image.id for image in civitai.images.list(browsing_level=word.mask)]
    assert by_word == by_mask


def test_levels_are_those_that_were_asked_for(civitai: Civitai) -> None:
    assert levels(civitai, browsing_level=BrowsingLevel.SFW) <= {1, 2}
    assert levels(civitai, browsing_level=BrowsingLevel.R) == {4}
    assert not levels(civitai, nsfw=True) & {1, 2}
    assert levels(civitai, nsfw=False) == {1}


def test_images_by_model_version_post_and_user(civitai: Civitai) -> None:
    first = (civitai.images.list(browsing_level=ALL, limit=1).to_list())[0]
    assert first.model_version_ids
    version = civitai.model_versions.get(first.model_version_ids[0])
    assert isinstance(version.model_id, int)
    for found in (
        civitai.images.list(model_id=version.model_id, browsing_level=ALL),
        civitai.images.list(model_version_id=version.id, browsing_level=ALL),
        civitai.images.list(post_id=first.post_id, browsing_level=ALL),
        civitai.images.list(username=first.username, browsing_level=ALL),
        civitai.images.list(image_id=first.id, browsing_level=ALL),
        civitai.images.list(base_models=version.base_model, browsing_level=ALL),
    ):
        assert first.id in [image.id for image in found]
    of_version = list(civitai.images.list(model_version_id=version.id, browsing_level=ALL))
    assert all(version.id in (image.model_version_ids or []) for image in of_version)


def test_a_list_goes_through_every_page(civitai: Civitai) -> None:
    whole = [image.id for image in civitai.images.list(browsing_level=ALL, sort="Newest")]
    assert len(set(whole)) == len(whole) > 50
    first = civitai.images.list(browsing_level=ALL, sort="Newest", page_size=7)
    begun = [image.id for image in first.take(17)]
    rest = [image.id for image in civitai.images.list(browsing_level=ALL, sort="Newest", cursor=first.cursor)]
    assert begun + rest == whole


def test_how_it_was_made_is_given_on_every_page_when_asked_for(civitai: Civitai, emulator: Emulator) -> None:
    assert all([not image.meta and not image.tags for image in civitai.images.list(limit=20)])
    found = list(civitai.images.list(with_meta=True, with_tags=True, limit=20, page_size=5))
    assert any(image.meta for image in found)
    assert any(image.tags for image in found)
    assert all(("withMeta", "true") in each.query for each in list(emulator.journal)[1:])
    known = list(civitai.images.list(with_meta=True, requiring_meta=True, limit=20))
    assert known
    assert all(image.meta for image in known)


def test_images_of_some_tags(civitai: Civitai) -> None:
    image = next(image for image in civitai.images.list(with_tags=True).to_list() if image.tags)
    assert image.tags
    tag = image.tags[0].id
    assert isinstance(tag, int)
    found = list(civitai.images.list(tags=tag, with_tags=True))
    assert image.id in [each.id for each in found]
    assert all(tag in [held.id for held in each.tags or []] for each in found)


def test_an_image_is_given_whatever_its_level(civitai: Civitai, emulator: Emulator) -> None:
    (mature,) = civitai.images.list(browsing_level=BrowsingLevel.R, limit=1).to_list()
    image = civitai.images.get(mature.id)
    assert (image.id, image.browsing_level) == (mature.id, 4)
    assert ("withMeta", "true") in emulator.journal[-1].query
    assert ("withTags", "true") in emulator.journal[-1].query


def test_an_image_that_is_not_there(civitai: Civitai) -> None:
    with pytest.raises(errors.NotFound, match="there is no image with id 2000000000") as caught:
        civitai.images.get(2_000_000_000)
    assert isinstance(caught.value, LookupError)
    assert caught.value.status == 200
    assert "imageId=2000000000" in caught.value.url


def test_another_image_is_not_taken_for_it() -> None:
    body = json.dumps({"items": [{"id": 6}, {}], "metadata": {}}).encode()
    with FaultServer([Answer(body=body)]) as server:
        with Civitai(site_url=server.url) as civitai:
            assert (civitai.images.get(6)).id == 6
            with pytest.raises(errors.NotFound):
                civitai.images.get(5)
