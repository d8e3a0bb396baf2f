from __future__ import annotations

import json

import pytest

from civitai_ext.levels import BrowsingLevel, NsfwLevel


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (BrowsingLevel.PG, 1),
        (BrowsingLevel.PG13, 2),
        (BrowsingLevel.R, 4),
        (BrowsingLevel.X, 8),
        (BrowsingLevel.XXX, 16),
        (BrowsingLevel.BLOCKED, 32),
        (BrowsingLevel.PUBLIC, 1),
        (BrowsingLevel.SFW, 3),
        (BrowsingLevel.ALL, 31),
    ],
)
def test_levels_are_the_bits_of_the_service(level: BrowsingLevel, number: int) -> None:
    assert level == number
    assert json.dumps(level) == str(number)
    assert BrowsingLevel(number) is level


def test_presets_are_no_levels_of_their_own() -> None:
    assert [level.name for level in BrowsingLevel] == ["PG", "PG13", "R", "X", "XXX", "BLOCKED"]
    assert list(BrowsingLevel.SFW) == [BrowsingLevel.PG, BrowsingLevel.PG13]
    assert BrowsingLevel.BLOCKED not in BrowsingLevel.ALL


def test_a_number_of_a_model_is_a_set_of_levels() -> None:
    found = BrowsingLevel(28)
    assert list(found) == [BrowsingLevel.R, BrowsingLevel.X, BrowsingLevel.XXX]
    assert not found & BrowsingLevel.SFW


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("pg", BrowsingLevel.PG),
        ("pg13", BrowsingLevel.PG13),
        ("pg-13", BrowsingLevel.PG13),
        ("PG-13", BrowsingLevel.PG13),
        ("r", BrowsingLevel.R),
        ("x", BrowsingLevel.X),
        (" XXX ", BrowsingLevel.XXX),
        ("Blocked", BrowsingLevel.BLOCKED),
        ("na", BrowsingLevel(0)),
    ],
)
def test_every_spelling_is_read(text: str, level: BrowsingLevel) -> None:
    assert BrowsingLevel.parse(text) is level


@pytest.mark.parametrize("text", ["", "nc17", "all", "sfw", "xx", "1"])
def test_what_is_no_level_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a level"):
        BrowsingLevel.parse(text)


@pytest.mark.parametrize(("word", "mask"), [("None", 1), ("Soft", 3), ("Mature", 7), ("X", 31), ("Blocked", 32)])
def test_the_older_words_stand_for_levels(word: str, mask: int) -> None:
    assert NsfwLevel(word).mask is BrowsingLevel(mask)
    assert str(NsfwLevel(word)) == word


def test_there_are_no_other_words() -> None:
    assert [word.value for word in NsfwLevel] == ["None", "Soft", "Mature", "X", "Blocked"]
