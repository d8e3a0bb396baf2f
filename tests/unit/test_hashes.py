from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.site.models import ModelVersionHashMatch
from civitai_ext._hashes import assign, assign_ids, assign_rest, match_of, normal, repair_downloads, spellings
from civitai_ext.catalogue import ModelVersion
from civitai_ext.errors import InvalidRequest

A, B, C = "A" * 64, "B" * 64, "C" * 64


def version(id: Any, *files: Any, **fields: Any) -> ModelVersion:
    return ModelVersion.from_dict({"id": id, "files": list(files), **fields})


def file(*hashes: str, type: str = "Model") -> dict[str, Any]:
    return {"type": type, "hashes": {f"kind {number}": hash for number, hash in enumerate(hashes)}}


# ----------------------------------------------------------------------------------------------------------- spelling


@pytest.mark.parametrize("length", [8, 10, 12, 64])
def test_a_hash_is_taken_in_any_case_and_with_space_around_it(length: int) -> None:
    assert normal("\n " + "aB" * (length // 2) + "\t") == "AB" * (length // 2)


@pytest.mark.parametrize("hash", ["", " ", "xyz", "g" * 64, "a" * 63, "a" * 65, "٣" * 8, "a b c d e", None, 12345678])
def test_what_is_no_hash_is_told(hash: Any) -> None:
    with pytest.raises(InvalidRequest):
        normal(hash)


def test_every_spelling_is_kept_in_order() -> None:
    assert spellings([B.lower(), A, B]) == {B.lower(): B, A: A, B: B}
    assert list(spellings([B, A])) == [B, A]
    assert spellings(A) == {A: A}


# ------------------------------------------------------------------------------------------------ whose answer is whose


def test_versions_are_assigned_by_the_hashes_of_their_files() -> None:
    first, second = version(1, file(A.lower()), file(C)), version(2, file("x", B))
    found, unexplained = assign([None, first, second, first], {A, B, C})
    assert {hash: each.id for hash, each in found.items()} == {A: 1, B: 2, C: 1}
    assert unexplained == []


def test_a_version_that_is_given_more_often_than_it_shows_hashes_stands_for_another() -> None:
    first, second = version(1, file(A), {"hashes": {}}), version(2, file(B))
    _, unexplained = assign([first, second, first], {A, B, C})
    assert [each.id for each in unexplained] == [1]


def test_hashes_that_nobody_asked_for_are_left_out() -> None:
    found, unexplained = assign([version(1, file(A))], {B})
    assert found == {}
    assert [each.id for each in unexplained] == [1]


def test_of_several_versions_the_oldest_is_taken_whatever_the_order() -> None:
    old = version(9, file(A), publishedAt="2023-01-01T00:00:00.000Z")
    new = version(3, file(A), publishedAt="2024-01-01T00:00:00.000Z")
    none = version(1, file(A), publishedAt=None)
    for order in ([old, new, none], [none, new, old], [new, old, none]):
        assert assign(list(order), {A})[0][A].id == 9
    assert assign([none, version(0, file(A))], {A})[0][A].id == 0


def test_a_linked_vae_belongs_to_the_version_that_it_is_of() -> None:
    linked = version(1, file(B), file(A, type="VAE"), publishedAt="2020-01-01T00:00:00.000Z")
    own = version(2, file(A), publishedAt="2024-01-01T00:00:00.000Z")
    for order in ([linked, own], [own, linked]):
        found, _ = assign(list(order), {A, B})
        assert (found[A].id, found[B].id) == (2, 1)
    assert assign([linked], {A})[0][A].id == 1


def test_of_several_ids_the_lowest_is_taken() -> None:
    matches: Any = [
        ModelVersionHashMatch(model_version_id=5, model_id=1, hash=A),
        None,
        ModelVersionHashMatch(model_version_id=3, model_id=1, hash=A.lower()),
        ModelVersionHashMatch(model_version_id=4, model_id=1, hash=A),
        ModelVersionHashMatch(model_version_id=1, model_id=1, hash=B),
    ]
    assert {hash: match.model_version_id for hash, match in assign_ids(matches, {A, C}).items()} == {A: 3}


def test_versions_that_show_no_hash_are_assigned_by_their_ids() -> None:
    unexplained = [version(1), version(2), version(None)]
    matches = {
        hash: ModelVersionHashMatch.from_dict({"modelVersionId": id, "hash": hash})
        for hash, id in ((A, 2), (B, 3), (C, None))
    }
    assert {hash: each.id for hash, each in assign_rest(unexplained, matches).items()} == {A: 2}


def test_a_version_as_a_match() -> None:
    match = match_of(version(5, modelId=4), A)
    assert match.to_dict() == {"modelVersionId": 5, "modelId": 4, "hash": A}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(A),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("SHA256"), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "files", "publishedAt"), JSON))), JSON)
def test_nothing_that_comes_is_fatal(answers: list[Any], files: Any) -> None:
    read = [ModelVersion.from_dict(each) if isinstance(each, dict) else each for each in answers]
    read.append(ModelVersion.from_dict({"files": [{"hashes": files, "downloadUrl": files, "type": files}]}))
    found, unexplained = assign(read, {A})
    for each in [*found.values(), *unexplained]:
        repair_downloads(each, "https://site.example")
    fields = {"modelVersionId": files, "hash": A}
    matches: list[Any] = [ModelVersionHashMatch.from_dict(fields), ModelVersionHashMatch.from_dict(fields), *read]
    assign_rest(unexplained, assign_ids(matches, {A}))


# ------------------------------------------------------------------------------------------------------- download URLs


@pytest.mark.parametrize(
    ("url", "repaired"),
    [
        ("https://undefined/api/download/models/5?fileId=7", "https://site.example/x/api/download/models/5?fileId=7"),
        ("http://UNDEFINED/api", "https://site.example/x/api"),
        ("https://undefined", "https://site.example/x"),
        ("https://undefined.example/api", "https://undefined.example/api"),
        ("https://civitai.com/api?next=https://undefined/", "https://civitai.com/api?next=https://undefined/"),
        (r"https://undefined/\1", r"https://site.example/x/\1"),
        (None, None),
        (5, 5),
    ],
)
def test_the_host_is_put_in_only_where_it_is_missing(url: Any, repaired: Any) -> None:
    given = version(5, {"downloadUrl": url}, downloadUrl=url)
    assert repair_downloads(given, "https://site.example/x") is given
    assert (given.download_url, given.files[0].download_url) == (repaired, repaired)
