"""What the service refuses or misreads is not sent, and the rest is sent in the form that works."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from civitai_ext import Civitai
from civitai_ext._sync.pager import Pager
from civitai_ext.errors import CivitaiError, InvalidRequest
from civitai_ext.levels import BrowsingLevel, NsfwLevel
from tests.faults.server import Answer, FaultServer

Call = Callable[[Civitai], Any]


@pytest.fixture(scope="module")
def service() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(service: FaultServer) -> FaultServer:
    """A service that answers everything with an empty object."""
    service.received.clear()
    return service


@pytest.fixture
def civitai(server: FaultServer) -> Iterator[Civitai]:
    with Civitai("a-token", site_url=server.url) as civitai:
        yield civitai


@pytest.fixture
def anonymous(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Civitai]:
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with Civitai(site_url=server.url) as civitai:
        yield civitai


def run(call: Call, civitai: Civitai) -> None:
    found = call(civitai)
    if isinstance(found, Pager):
        found.take(1)


def models(**filters: Any) -> Call:
    return lambda civitai: civitai.models.list(**filters)


def get(area: str, id: Any) -> Call:
    return lambda civitai: getattr(civitai, area).get(id)


def images(**filters: Any) -> Call:
    return lambda civitai: civitai.images.list(**filters)


def creators(**filters: Any) -> Call:
    return lambda civitai: civitai.creators.list(**filters)


def tags(**filters: Any) -> Call:
    return lambda civitai: civitai.tags.list(**filters)


def users(**filters: Any) -> Call:
    return lambda civitai: civitai.users.list(**filters)


def articles(**filters: Any) -> Call:
    return lambda civitai: civitai.articles.list(**filters)


def collections(**filters: Any) -> Call:
    return lambda civitai: civitai.collections.list(**filters)


def apps(**filters: Any) -> Call:
    return lambda civitai: civitai.apps.list(**filters)


def bugs(**filters: Any) -> Call:
    return lambda civitai: civitai.bugs.list(**filters)


# ------------------------------------------------------------------------------------------------------ what is refused

REFUSED: list[tuple[Call, str]] = [
    # Lists, where a text with commas is one value that nothing has, or refused.
    (models(types="LORA,Checkpoint"), "types holds 'LORA,Checkpoint'"),
    (models(types=["LORA", "Checkpoint,VAE"]), "types holds 'Checkpoint,VAE'"),
    (models(base_models="SDXL 1.0,Pony"), "base_models holds"),
    (models(allow_commercial_use="Image,Rent"), "allow_commercial_use holds"),
    (models(file_formats=["GGUF,ONNX", "Other"]), "file_formats holds"),
    (models(types=[]), "types is empty"),
    (models(types=[""]), "types holds ''"),
    (models(types=[5]), "types holds 5"),
    (models(types=5), "types holds 5"),
    (images(base_models="SDXL 1.0,Pony"), "base_models holds"),
    (bugs(statuses="open,closed"), "statuses holds"),
    (bugs(tags=["a,b"]), "tags holds"),
    # Values that are spelt otherwise; those that may be new are sent.
    (models(types="lora"), "types holds 'lora', which is spelt 'LORA'"),
    (models(base_models=["SDXL 1.0", "sdxl turbo"]), "which is spelt 'SDXL Turbo'"),
    (models(allow_commercial_use="rent"), "which is spelt 'Rent'"),
    (images(base_models="PONY"), "which is spelt 'Pony'"),
    # Values of which the service refuses all but a few.
    (models(checkpoint_type="Standard"), "it takes 'Merge' or 'Trained'"),
    (models(sort="newest"), "sort is 'newest'; it takes 'Highest Rated', "),
    (models(sort="Most Popular"), "sort is 'Most Popular'"),
    (models(sort=""), "sort is ''"),
    (models(period="Decade"), "'Week' or 'Year'"),
    (models(period_mode="created"), "period_mode is"),
    (models(availability="Secret"), "availability is"),
    (images(sort="Most Downloaded"), "sort is"),
    (images(period="Hour"), "period is"),
    (images(type="gif"), "type is 'gif'"),
    (tags(sort="Newest"), "sort is"),
    (articles(sort="Oldest"), "sort is"),
    (collections(sort="Oldest"), "sort is"),
    (apps(sort="best"), "sort is"),
    (apps(kind="mobile"), "kind is"),
    (apps(category="fun"), "category is"),
    # Switches: the service takes every text for true, or refuses it.
    (models(early_access="false"), "early_access is 'false'"),
    (models(supports_generation=0), "supports_generation is 0"),
    (models(nsfw="X"), "nsfw is 'X'"),
    (models(nsfw=NsfwLevel.X), "nsfw is"),
    (images(with_meta="no"), "with_meta is 'no'"),
    (articles(nsfw=1), "nsfw is 1"),
    (collections(nsfw=None), "nsfw is None"),
    (bugs(include_closed="true"), "include_closed is"),
    # Texts that the service takes for none, and then lists everything.
    (models(query="  "), "query is empty"),
    (models(tag=""), "tag is empty"),
    (models(username=""), "username is empty"),
    (models(username="!?"), "username is '!\\?', of which"),
    (models(query=5), "query is 5"),
    (creators(query=""), "query is empty"),
    (tags(query=" "), "query is empty"),
    (users(query=""), "query is empty"),
    (articles(query=""), "query is empty"),
    (articles(username=""), "username is empty"),
    (collections(query=" "), "query is empty"),
    (bugs(search=""), "search is empty"),
    # Names and texts that cannot be.
    (images(username="some body"), "letters, digits and underscores"),
    (images(username="some.body"), "letters, digits and underscores"),
    (images(username="sömebody"), "letters, digits and underscores"),
    (images(username="somebody\n"), "letters, digits and underscores"),
    (images(username=""), "letters, digits and underscores"),
    (collections(query="x" * 101), "query has 101 characters; the service takes 100"),
    # Ids.
    (models(ids="1,2"), "ids is '1,2'"),
    (models(ids=[]), "ids is empty"),
    (models(ids=[1, "2"]), "An item of ids is '2'"),
    (models(ids=[1, 0]), "An item of ids is 0"),
    (models(model_version_ids=2**31), "An item of model_version_ids is"),
    (images(model_id="5"), "model_id is '5'"),
    (images(model_version_id=0), "model_version_id is 0"),
    (images(post_id=-1), "post_id is -1"),
    (images(user_id=True), "user_id is True"),
    (images(image_id=1.0), "image_id is 1.0"),
    (images(tags="cat"), "tags is 'cat'"),
    (images(tags=["cat"]), "An item of tags is 'cat'"),
    (users(ids="1,2"), "ids is '1,2'"),
    (articles(tags="1,2"), "tags is '1,2'"),
    (get("models", "5"), "id is '5'"),
    (get("images", 0), "id is 0"),
    (get("users", 2**31), "id is 2147483648"),
    (get("articles", "a"), "id is 'a'"),
    (get("collections", None), "id is None"),
    (get("bugs", -5), "id is -5"),
    # Combinations.
    (models(availability="Private"), "needs a token and your own `username`"),
    (images(nsfw="X", browsing_level=1), "both given"),
    (images(nsfw=False, browsing_level=BrowsingLevel.ALL), "both given"),
    (images(sort="Random", model_id=5), "sort is 'Random'"),
    (images(sort="Random", image_id=5), "sort is 'Random'"),
    (images(sort="Random", image_id=5, model_version_id=6), "sort is 'Random'"),
    (users(), "by query or by ids"),
    (users(query="a", ids=[1]), "by query or by ids"),
    (collections(sort="Most Followers", cursor="5"), "refuses a cursor"),
    # Levels.
    (images(nsfw="soft"), "nsfw is 'soft'; it takes True, False or one of None, Soft"),
    (images(nsfw=BrowsingLevel.R), "A BrowsingLevel goes in browsing_level"),
    (images(browsing_level=0), "browsing_level is 0"),
    (images(browsing_level=64), "browsing_level is 64"),
    (images(browsing_level=True), "browsing_level is True"),
    (images(browsing_level="Soft"), "browsing_level is 'Soft'"),
    # Sizes and cursors.
    (models(page_size=0), "page_size is 0"),
    (models(page_size=101), "1 to 100"),
    (models(limit=-1), "limit is -1"),
    (images(page_size=201), "1 to 200"),
    (creators(page_size=201), "1 to 200"),
    (tags(page_size=201), "1 to 200"),
    (articles(page_size=101), "1 to 100"),
    (collections(page_size=101), "1 to 100"),
    (apps(page_size=51), "1 to 50"),
    (bugs(page_size=201), "1 to 200"),
    (models(ids=range(1, 300), cursor="3/"), "not a cursor of this list"),
    (models(ids=range(1, 300), cursor="8|5"), "not a cursor of this list"),
    (models(ids=range(1, 300), cursor="-1/5"), "not a cursor of this list"),
    (creators(cursor="x"), "not a cursor of this list"),
    (tags(cursor="-5"), "not a cursor of this list"),
    (users(query="a", cursor="100"), "not a cursor of this list"),
    (users(ids=[1], cursor="x"), "not a cursor of this list"),
    (collections(cursor="x"), "not a cursor of this list"),
    (bugs(cursor="9" * 5000), "not a cursor of this list"),
    (articles(cursor="x" * 101), "cursor has 101 characters"),
    (apps(cursor="x" * 129), "cursor has 129 characters"),
    # Paths.
    (get("apps", ""), "slug is ''"),
    (get("apps", ".."), "slug is '..'"),
    (get("apps", "a/b"), "slug is 'a/b'"),
    (get("content", ""), "slug is ''"),
    (get("content", "rules/"), "slug is 'rules/'"),
    (get("content", "../me"), "slug is '../me'"),
    (get("content", "rules/minörs"), "slug is"),
    (get("content", "tos?x=1"), "slug is"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_broken_is_not_sent(civitai: Civitai, server: FaultServer, call: Call, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        run(call, civitai)
    assert server.received == []


@pytest.mark.parametrize(
    "filters",
    [{"favorites": True}, {"hidden": True}, {"followed": True}, {"availability": "Private", "username": "me"}],
)
def test_what_is_about_the_caller_needs_a_token(
    anonymous: Civitai, civitai: Civitai, server: FaultServer, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="token"):
        run(models(**filters), anonymous)
    assert server.received == []
    run(models(**filters), civitai)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("area", "names"),
    [
        (
            "models",
            # A page is refused beside a query, and ends after 1000 items; of the others every value is refused, or has
            # no effect for anybody but moderators.
            "page browsing_level allow_no_credit allow_derivatives allow_different_license collection_id "
            "collection_tag_id pending disable_poi disable_minor is_featured poi_only minor_only excluded_tag_ids "
            "excluded_user_ids excluded_image_ids excluded_model_ids collection_item_status status rating needs_review",
        ),
        ("images", "page"),
        ("creators", "page"),
        ("tags", "page"),
        ("users", "email page"),
        ("collections", "page"),
    ],
)
def test_what_never_works_is_not_offered(civitai: Civitai, area: str, names: str) -> None:
    offered = inspect.signature(getattr(civitai, area).list).parameters
    assert not offered.keys() & set(names.split())


def test_a_filter_that_is_not_there_is_an_error(civitai: Civitai, server: FaultServer) -> None:
    with pytest.raises(TypeError, match="browsing_level"):
        run(models(browsing_level=31), civitai)
    assert server.received == []


# --------------------------------------------------------------------------------------------------------- what is sent

SENT: list[tuple[Call, str]] = [
    (models(), "models?limit=100"),
    (models(types="LORA"), "models?limit=100&types=LORA"),
    (models(types=["LORA", "SomethingNew"]), "models?limit=100&types=LORA&types=SomethingNew"),
    (models(base_models=("Pony", "New 1")), "models?limit=100&baseModels=Pony&baseModels=New+1"),
    (models(allow_commercial_use={"None"}), "models?limit=100&allowCommercialUse=None"),
    (models(file_formats=["GGUF", "ONNX"]), "models?limit=100&fileFormats=GGUF&fileFormats=ONNX"),
    (models(file_formats="GGUF"), "models?limit=100&fileFormats=GGUF&fileFormats=GGUF"),
    (models(ids=[3, 1, 3]), "models?limit=100&ids=3&ids=1"),
    (models(model_version_ids=7), "models?limit=100&modelVersionIds=7"),
    (models(early_access=False, nsfw=False, favorites=False, hidden=False, archived=False), "models?limit=100"),
    (models(early_access=True, supports_generation=True), "models?limit=100&earlyAccess=true&supportsGeneration=true"),
    (models(from_platform=True, archived=True), "models?limit=100&fromPlatform=true&archived=true"),
    (models(nsfw=True, primary_file_only=True), "models?limit=100&nsfw=true&primaryFileOnly=true"),
    (models(favorites=True, hidden=True, followed=True), "models?limit=100&favorites=true&hidden=true&followed=true"),
    (models(new_creators=True, checkpoint_type="Merge"), "models?limit=100&newCreators=true&checkpointType=Merge"),
    (models(query="pony", sort="Newest", limit=7), "models?limit=7&query=pony&sort=Newest"),
    (models(period="Week", period_mode="stats"), "models?limit=100&period=Week&periodMode=stats"),
    (models(cursor="12|5", tag="cat"), "models?limit=100&cursor=12%7C5&tag=cat"),
    (models(username="Some Body"), "models?limit=100&username=Some+Body"),
    (models(availability="Private", username="me"), "models?limit=100&availability=Private&username=me"),
    (images(), "images?limit=200"),
    (images(model_id=1, model_version_id=2), "images?limit=200&modelId=1&modelVersionId=2"),
    (images(post_id=1, user_id=2, image_id=3), "images?limit=200&postId=1&userId=2&imageId=3"),
    (images(username="some_body_5"), "images?limit=200&username=some_body_5"),
    (images(nsfw=False), "images?limit=200"),
    (images(nsfw=True), "images?limit=200&nsfw=true"),
    (images(nsfw="None"), "images?limit=200&nsfw=None"),
    (images(nsfw=NsfwLevel.MATURE), "images?limit=200&nsfw=Mature"),
    (images(browsing_level=BrowsingLevel.SFW), "images?limit=200&browsingLevel=3"),
    (images(browsing_level=28), "images?limit=200&browsingLevel=28"),
    (images(sort="Random"), "images?limit=200&sort=Random"),
    (images(sort="Random", model_id=1, model_version_id=2), "images?limit=200&sort=Random&modelId=1&modelVersionId=2"),
    (images(period="Day", type="video"), "images?limit=200&period=Day&type=video"),
    (images(tags=[4, 2], base_models="Pony"), "images?limit=200&tags=4&tags=2&baseModels=Pony"),
    (images(with_meta=True, requiring_meta=True), "images?limit=200&withMeta=true&requiringMeta=true"),
    (images(with_tags=True, limit=3), "images?limit=3&withTags=true"),
    (creators(query="Ann"), "creators?limit=200&page=1&query=Ann"),
    (creators(cursor="300"), "creators?limit=150&page=3"),
    (tags(query="CAT", sort="Most Models"), "tags?limit=200&page=1&query=cat&sort=Most+Models"),
    (users(query="ann"), "users?limit=100&query=ann"),
    (users(query="ann", limit=5), "users?limit=5&query=ann"),
    (users(ids=[5, 6, 5]), "users?ids=5&ids=6"),
    (articles(), "articles?limit=100"),
    (articles(query="x", tags=5, sort="Most Bookmarks"), "articles?limit=100&query=x&tags=5&sort=Most+Bookmarks"),
    (articles(username="A.B", nsfw=True, cursor="5|7"), "articles?limit=100&username=A.B&nsfw=true&cursor=5%7C7"),
    (collections(query="x" * 100), "collections?limit=100&query=" + "x" * 100),
    (collections(nsfw=True, cursor="17"), "collections?limit=100&nsfw=true&cursor=17"),
    (collections(sort="Most Followers", limit=10), "collections?limit=10&sort=Most+Followers"),
    (apps(), "apps?limit=50"),
    (
        apps(kind="onsite", category="games", sort="top-rated"),
        "apps?limit=50&kind=onsite&category=games&sort=top-rated",
    ),
    (bugs(), "bugs?limit=200"),
    (bugs(statuses=["a", "b"], tags="c", search="d"), "bugs?limit=200&statuses=a&statuses=b&tags=c&search=d"),
    (bugs(include_closed=True, cursor="30"), "bugs?limit=200&includeClosed=true&cursor=30"),
    (get("apps", "an-app"), "apps/an-app"),
    (get("content", "rules/minors"), "content/rules/minors"),
    (get("articles", 5), "articles/5"),
    (get("collections", 5), "collections/5"),
    (get("bugs", 5), "bugs/5"),
]


@pytest.mark.parametrize(("call", "target"), SENT)
def test_the_rest_is_sent_in_the_form_that_works(
    civitai: Civitai, server: FaultServer, call: Call, target: str
) -> None:
    run(call, civitai)
    (received,) = server.received
    sent, wanted = urlsplit(received.target), urlsplit(f"/api/v1/{target}")
    assert sent.path == wanted.path
    assert sorted(parse_qsl(sent.query)) == sorted(parse_qsl(wanted.query))


def test_a_value_that_is_newer_than_the_package_has_a_way(civitai: Civitai, server: FaultServer) -> None:
    civitai.models.list(limit=1, extra_query={"sort": "Most Loved"}).to_list()
    assert dict(parse_qsl(urlsplit(server.received[0].target).query)) == {"limit": "1", "sort": "Most Loved"}


@pytest.mark.parametrize("body", [b"[]", b"5", b'"text"', b"null"])
def test_an_answer_that_is_no_list_is_said_to_be_none(body: bytes) -> None:
    calls = [models(), images(), creators(), tags(), users(ids=[1]), articles(), collections(), apps(), bugs()]
    with FaultServer([Answer(body=body)]) as server, Civitai(site_url=server.url) as civitai:
        for call in calls:
            with pytest.raises(CivitaiError):
                run(call, civitai)


@pytest.mark.parametrize("metadata", [b"5", b"[]", b'"text"', b"null", b'{"nextCursor": [], "nextPage": {}}'])
@pytest.mark.parametrize("items", [b"5", b'"text"', b"null", b"[1, null, [], {}]"])
def test_a_page_may_hold_anything(metadata: bytes, items: bytes) -> None:
    calls = [models(), images(), creators(), tags(), users(ids=[1]), articles(), collections(), apps(), bugs()]
    answer = Answer(body=b'{"items": %b, "metadata": %b}' % (items, metadata))
    with FaultServer([answer]) as server, Civitai(site_url=server.url) as civitai:
        for call in calls:
            run(call, civitai)
