"""The parts without HTTP: clock, ledger, signatures, patches, templates, pictures, files."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import threading
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from civitai_ext.emulator import files
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.drawing import FORMATS, Picture, Resized, measure
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.json_patch import PatchError, apply_patch
from civitai_ext.emulator.ledger import COLOURS, InsufficientBuzzError, Ledger, Room
from civitai_ext.emulator.signing import ExpiredError, SignatureError, Signer
from civitai_ext.emulator.templates import InvalidTemplateError, parse_duration, parse_template

NOW = datetime(2026, 8, 1, tzinfo=UTC)


# Clock


def test_advance_wakes_a_waiting_coroutine_from_another_thread() -> None:
    clock = Clock(speed=0, start=NOW)

    async def wait() -> datetime:
        pause = asyncio.create_task(clock.pause(NOW + timedelta(hours=1), at_most=60))
        await asyncio.sleep(0)
        threading.Thread(target=clock.advance, args=(3600,)).start()
        await pause
        return clock.now()

    assert asyncio.run(wait()) == NOW + timedelta(hours=1)


def test_time_passes_faster_and_never_backwards() -> None:
    clock = Clock(speed=1e6, start=NOW)
    assert clock.now() > NOW
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="backwards"):
        Clock(speed=-1)


# Ledger


def test_buzz_is_split_in_order_and_refunded_to_where_it_came_from() -> None:
    ledger = Ledger({"blue": 10, "green": 5, "yellow": 100}, Identifiers(1))
    charged = ledger.charge(20, ("blue", "green", "yellow"), workflow_id="w", at=NOW)
    assert [(entry.account, entry.amount) for entry in charged] == [("blue", 10), ("green", 5), ("yellow", 5)]
    ledger.refund(12, charged, workflow_id="w", at=NOW)
    assert ledger.balance == {"blue": 2, "green": 5, "yellow": 100}
    # No more is given back than was taken.
    ledger.refund(1000, ledger.transactions, workflow_id="w", at=NOW)
    assert ledger.balance == {"blue": 10, "green": 5, "yellow": 100}


def test_an_insufficient_balance_is_left_alone() -> None:
    ledger = Ledger({"blue": 10}, Identifiers(1))
    with pytest.raises(InsufficientBuzzError):
        ledger.charge(11, ("blue", "yellow"), workflow_id="w", at=NOW)
    assert ledger.balance["blue"] == 10
    assert ledger.transactions == []


def test_a_room_is_used_up_by_all_its_colours() -> None:
    ledger = Ledger({"blue": 10, "yellow": 100}, Identifiers(1))
    assert ledger.split(20, COLOURS, [Room(20, COLOURS)]) == [("blue", 10), ("yellow", 10)]
    assert ledger.split(20, COLOURS, [Room(4, ["blue"]), Room(16, ["yellow"])]) == [("blue", 4), ("yellow", 16)]
    with pytest.raises(InsufficientBuzzError):
        ledger.split(20, COLOURS, [Room(19, COLOURS)])


def test_unknown_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="purple"):
        Ledger({"purple": 1}, Identifiers(1))


# Signatures


def test_signatures_expire_and_cannot_be_changed() -> None:
    signer = Signer(1)
    token = signer.sign({"blob": "b"}, expires=NOW)
    assert signer.read(token, now=NOW) == {"blob": "b"}
    with pytest.raises(ExpiredError):
        signer.read(token, now=NOW + timedelta(seconds=1))
    assert signer.read(token, now=None) == {"blob": "b"}
    for forged in ("", "x", token[:-1], "A" + token, f"{token.partition('.')[0]}.é"):
        with pytest.raises(SignatureError):
            signer.read(forged, now=NOW)
    with pytest.raises(SignatureError):
        Signer(2).read(token, now=NOW)


# JSON Patch


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/tags/0", "value": "z"}], {"tags": ["z", "a"], "m": {"k/y": 1}}),
        ([{"op": "remove", "path": "/m/k~1y"}], {"tags": ["a"], "m": {}}),
        ([{"op": "replace", "path": "/tags", "value": []}], {"tags": [], "m": {"k/y": 1}}),
        ([{"op": "move", "from": "/m/k~1y", "path": "/n"}], {"tags": ["a"], "m": {}, "n": 1}),
        ([{"op": "copy", "from": "/m", "path": "/n"}], {"tags": ["a"], "m": {"k/y": 1}, "n": {"k/y": 1}}),
        ([{"op": "test", "path": "/tags/0", "value": "a"}], {"tags": ["a"], "m": {"k/y": 1}}),
        ([{"op": "replace", "path": "", "value": 1}], 1),
    ],
)
def test_patches(operations: list[object], expected: object) -> None:
    document = {"tags": ["a"], "m": {"k/y": 1}}
    assert apply_patch(document, operations) == expected
    assert document == {"tags": ["a"], "m": {"k/y": 1}}


@pytest.mark.parametrize(
    "operations",
    [
        {},
        [1],
        [{"op": "add", "path": "/tags/5", "value": 1}],
        [{"op": "remove", "path": "/x"}],
        [{"op": "test", "path": "/tags/0", "value": "b"}],
        [{"op": "melt", "path": "/x"}],
        [{"op": "add", "path": "x", "value": 1}],
    ],
)
def test_bad_patches(operations: object) -> None:
    with pytest.raises(PatchError):
        apply_patch({"tags": ["a"]}, operations)


# Templates


def test_durations() -> None:
    assert parse_duration("1.02:03:04.5000000") == timedelta(days=1, hours=2, minutes=3, seconds=4)
    with pytest.raises(ValueError, match="no duration"):
        parse_duration("10m")


def test_names_are_matched_in_any_case() -> None:
    template = parse_template({"Steps": [{"$type": "echo", "Input": {"Message": "m"}}], "Tags": ["t"]}, waits=False)
    assert (template.tags, template.steps[0].name) == (["t"], "$0")


def _echo(**fields: object) -> dict[str, object]:
    return {"$type": "echo", "input": {"message": "m"}, **fields}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], "$"),
        ({"steps": []}, "steps"),
        ({"steps": [{"input": {}}]}, "steps[0].$type"),
        ({"steps": [{"$type": ["echo"]}]}, "steps[0].$type"),
        ({"steps": [_echo(name="a"), _echo(name="a")]}, "steps[1].name"),
        ({"steps": [_echo(timeout="soon")]}, "steps[0].timeout"),
        ({"steps": [_echo(priority="urgent")]}, "steps[0].priority"),
        ({"steps": [{"$type": "echo"}]}, "steps[0].input"),
        ({"steps": [{"$type": "echo", "input": {"message": {"$ref": "gone", "path": "x"}}}]}, "steps[0].input.message"),
        ({"steps": [{"$type": "echo", "input": {"message": {"$ref": "$0", "path": "x"}}}]}, "steps[0].input.message"),
        (
            {
                "steps": [
                    {"$type": "echo", "name": "a", "input": {"message": {"$ref": "b", "path": "output.message"}}},
                    {"$type": "echo", "name": "b", "input": {"message": {"$ref": "a", "path": "output.message"}}},
                ]
            },
            "steps",
        ),
        ({"steps": [_echo()], "tags": [str(number) for number in range(11)]}, "tags"),
        ({"steps": [_echo()], "tags": ["x" * 201]}, "tags"),
        ({"steps": [_echo()], "externalId": "with space"}, "externalId"),
        ({"steps": [_echo()], "externalId": "x" * 129}, "externalId"),
        ({"steps": [_echo()], "tips": {"civitai": 3}}, "tips.civitai"),
        ({"steps": [_echo()], "currencies": ["gold"]}, "currencies"),
        ({"steps": [_echo()], "upgradeMode": "maybe"}, "upgradeMode"),
        ({"steps": [_echo()], "ephemeral": True}, "ephemeral"),
        ({"steps": [_echo()], "allowMatureContent": "yes"}, "allowMatureContent"),
        ({"steps": [_echo()], "callbacks": [{"url": "http://a.example", "type": ["job:*"]}]}, "callbacks[0].url"),
        ({"steps": [_echo()], "callbacks": [{"url": "https://a.example", "type": ["all"]}]}, "callbacks[0].type"),
    ],
)
def test_faults_are_reported_at_their_field(body: object, path: str) -> None:
    with pytest.raises(InvalidTemplateError) as caught:
        parse_template(body, waits=False)
    assert path in caught.value.faults


# Pictures and files


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("size", [(64, 64), (832, 1216), (1536, 512)])
def test_pictures_have_the_size_and_format_asked_for(format_: str, size: tuple[int, int]) -> None:
    content = Picture(*size, 7, "a lighthouse " * 60, "caption", "prompt\nSteps: 20", format_).render()
    assert measure(content) == (*size, FORMATS[format_])


def test_the_same_picture_has_the_same_bytes_and_another_seed_other_ones() -> None:
    first = Picture(128, 128, 1, "p", "", "")
    assert first.render() == Picture(128, 128, 1, "p", "", "").render()
    assert first.render() != Picture(128, 128, 2, "p", "", "").render()


def test_generation_data_is_embedded_whatever_the_script() -> None:
    for text in ("plain", "灯台 é"):
        with Image.open(io.BytesIO(Picture(64, 64, 1, text, "", f"{text}\nSteps: 1").render())) as image:
            assert image.info["parameters"] == f"{text}\nSteps: 1"


def test_enlarging_keeps_the_generation_data() -> None:
    content = Resized(Picture(64, 64, 1, "p", "", "p\nSteps: 1"), 128, 128).render()
    with Image.open(io.BytesIO(content)) as image:
        assert (image.size, image.info["parameters"]) == ((128, 128), "p\nSteps: 1")


def test_what_is_no_image_is_not_measured() -> None:
    with pytest.raises(ValueError, match="not an image"):
        measure(b"<html>")


def test_safetensors_files_are_valid_and_hashed_by_definition() -> None:
    content = files.safetensors("key", 2_000_000, "title")
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert header["__metadata__"]["modelspec.title"] == "title"
    assert header["weight"]["data_offsets"] == [0, len(content) - 8 - length]
    sha256 = hashlib.sha256(content).hexdigest().upper()
    assert files.hashes(content, is_safetensors=True) == {
        "SHA256": sha256,
        "AutoV1": hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8].upper(),
        "AutoV2": sha256[:10],
        "AutoV3": hashlib.sha256(content[8 + length :]).hexdigest()[:12].upper(),
        "CRC32": f"{zlib.crc32(content):08X}",
    }


def test_the_catalogue_follows_from_the_seed() -> None:
    def names(seed: int) -> list[str]:
        return [file.name for file in Catalogue(seed, 30).file_by_id.values()]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_ids_are_unique_and_every_version_has_one_primary_file() -> None:
    catalogue = Catalogue(1, 300)
    assert len(catalogue.model_by_id) == 300
    versions = [version for model in catalogue.models for version in model.versions]
    assert len(catalogue.version_by_id) == len(versions)
    assert all(sum(file.primary for file in version.files) == 1 for version in versions)
    sha256 = [file.hashes["SHA256"] for file in catalogue.file_by_id.values()]
    assert len(set(sha256)) == len(sha256)
