from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext.errors import InvalidRequest
from civitai_ext.oauth import Scope
from civitai_ext.oauth.signing_in import asked_scopes

BITS = {
    "UserRead": 1,
    "UserWrite": 2,
    "ModelsRead": 4,
    "ModelsWrite": 8,
    "ModelsDelete": 16,
    "MediaRead": 32,
    "MediaWrite": 64,
    "MediaDelete": 128,
    "ArticlesRead": 256,
    "ArticlesWrite": 512,
    "ArticlesDelete": 1024,
    "BountiesRead": 2048,
    "BountiesWrite": 4096,
    "BountiesDelete": 8192,
    "AIServicesRead": 16384,
    "AIServicesWrite": 32768,
    "BuzzRead": 65536,
    "CollectionsRead": 131072,
    "CollectionsWrite": 262144,
    "SocialWrite": 524288,
    "SocialTip": 1048576,
    "NotificationsRead": 2097152,
    "NotificationsWrite": 4194304,
    "VaultRead": 8388608,
    "VaultWrite": 16777216,
    "AppBlocksSubmit": 33554432,
    "AppBlocksDevTunnel": 67108864,
    "LinkConnect": 134217728,
}


def test_every_bit_has_its_value_and_its_name() -> None:
    assert {name: int(Scope.parse(name)) for name in BITS} == BITS
    assert [scope.value for scope in Scope] == list(BITS.values())
    assert Scope(sum(BITS.values())).names == list(BITS)


@pytest.mark.parametrize(
    ("preset", "sum_", "names"),
    [
        (Scope.READ_ONLY, 10701093, [name for name in BITS if name.endswith("Read")]),
        (Scope.AI_SERVICES, 114689, ["UserRead", "AIServicesRead", "AIServicesWrite", "BuzzRead"]),
        (Scope.FULL, 33554431, list(BITS)[:25]),
        (
            Scope.CREATOR,
            11492205,
            [
                name
                for name in BITS
                if name.endswith("Read")
                or name in {f"{of}Write" for of in ("Models", "Media", "Articles", "Bounties", "Collections", "Social")}
            ],
        ),
    ],
)
def test_the_sets_are_those_of_the_service(preset: Scope, sum_: int, names: list[str]) -> None:
    assert int(preset) == sum_
    assert preset.names == names


@pytest.mark.parametrize(
    "value",
    [
        114689,
        "114689",
        ["114689"],
        [114689],
        "AIServices",
        "ai_services",
        "UserRead AIServicesRead, AIServicesWrite,BuzzRead",
        ["user-read", "ai_services_read", Scope.AI_SERVICES_WRITE, "65536"],
        ["16384 65536", "32769"],
    ],
)
def test_all_forms_mean_the_same(value: Any) -> None:
    assert Scope.parse(value) is Scope.AI_SERVICES
    assert asked_scopes(value) is Scope.AI_SERVICES


@pytest.mark.parametrize("value", [None, True, 1.5, -1, "-1", "x", "²", "9" * 20, ["x"], [None], [True], object()])
def test_what_is_no_set_of_scopes_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="scope"):
        Scope.parse(value)
    with pytest.raises(InvalidRequest, match="scopes cannot be like that"):
        asked_scopes(value)


@pytest.mark.parametrize("value", [0, "", [], "0", Scope(0)])
def test_nothing_can_be_read_and_not_asked_for(value: Any) -> None:
    assert Scope.parse(value) == 0
    with pytest.raises(InvalidRequest, match="No scope is asked for"):
        asked_scopes(value)


def test_bytes_are_not_taken_for_numbers() -> None:
    with pytest.raises(InvalidRequest, match="bytes"):
        asked_scopes(b"AIServices")


@given(st.integers(min_value=0, max_value=2**60))
def test_a_set_survives_every_way_of_writing_it(bits: int) -> None:
    scopes = Scope(bits)
    assert Scope.parse([str(bits)]) == Scope.parse(str(bits)) == Scope.parse(scopes.names) == scopes
