"""The classes of the catalogue: one form for what was sent in many, and helpers that cope with anything."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.runtime import UNSET, ApiModel, extension, model, shown, wire
from civitai_api.site import models as site
from civitai_ext import Civitai
from civitai_ext.air import Air, AirError
from civitai_ext.catalogue import (
    Image,
    ImageMeta,
    Model,
    ModelFile,
    ModelFileHashes,
    ModelImage,
    ModelVersion,
    ModelVersionMini,
    NoSuchFile,
    NoSuchVersion,
)
from civitai_ext.emulator import Emulator
from civitai_ext.errors import CivitaiError, InvalidRequest
from civitai_ext.levels import BrowsingLevel

ROOT = Path(__file__).parents[2]
KEY = "b2e2bdc0-e20d-4c6f-9570-570ff47af635"
CDN = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
SHA256 = "CD2A5120031B" + "0" * 52


def text_of(value: Any) -> str:
    """A JSON text that is equal only for the same JSON: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


# -------------------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("sent", "uses"),
    [
        ("Sell", {"Sell"}),
        ("None", set()),
        ("{Image,RentCivit}", {"Image", "RentCivit"}),
        ('{"Image", NextUse}', {"Image", "NextUse"}),
        ("{}", set()),
        ("", set()),
        (["Image", "Rent"], {"Image", "Rent"}),
        (["None"], set()),
        ([], set()),
        (["Image", None, 5], {"Image"}),
        (None, set()),
        (7, set()),
    ],
)
def test_commercial_uses_are_a_set(sent: Any, uses: set[str]) -> None:
    found = Model.from_dict({"allowCommercialUse": sent})
    assert found.allow_commercial_use == frozenset(uses)
    assert found.to_dict() == {"allowCommercialUse": sent}


def test_what_is_shown_can_be_set() -> None:
    found = Model()
    assert found.allow_commercial_use == frozenset()
    found.allow_commercial_use = ["Sell"]
    assert found.allow_commercial_use == {"Sell"}
    assert found.to_dict() == {"allowCommercialUse": ["Sell"]}


def versions(*bodies: dict[str, Any]) -> Model:
    return Model.from_dict({"id": 9, "type": "LORA", "modelVersions": list(bodies)})


@pytest.mark.parametrize(
    ("bodies", "latest"),
    [
        ([], None),
        ([{"id": 2}, {"id": 1}], 2),
        ([{"id": 1, "index": 1}, {"id": 2, "index": 0}], 2),
        ([{"id": 3, "status": "Draft"}, {"id": 2, "status": "Published"}, {"id": 1}], 2),
        ([{"id": 3, "status": "Scheduled"}], None),
        ([{"id": 3, "index": None}, {"id": 2, "index": 0}], 3),
        ([{"id": 3, "index": True}, {"id": 2, "index": "x"}], 3),
        ([None, "x", {"id": 2}], 2),
    ],
)
def test_the_latest_version_is_the_first_that_is_published(bodies: list[Any], latest: int | None) -> None:
    found = versions(*bodies).latest
    assert (found.id if found else None) == latest


def test_a_version_is_found_by_id_and_by_name() -> None:
    found = versions({"id": 2, "name": "V1.0"}, {"id": 1, "name": "v1.0"}, {"id": 3, "name": "7"})
    assert found.version(1).id == 1
    assert found.version("v1.0").id == 1
    assert found.version("V1.0").id == 2
    assert found.version("7").id == 3
    assert versions({"id": 2, "name": "Final"}).version("final").id == 2
    with pytest.raises(
        NoSuchVersion, match=r"Model 9 has no version 'x'\. It has 2 \(V1\.0\), 1 \(v1\.0\), 3 \(7\)\.$"
    ):
        found.version("x")
    with pytest.raises(LookupError, match=r"Model 9 has no version 7\. It has none\.$"):
        versions().version(7)


def test_tags_are_names() -> None:
    found = Model.from_dict({"tags": ["a", {"id": 1, "name": "b"}, None, {"id": 2}, 5, ""]})
    assert found.tag_names == ["a", "b"]
    assert Model().tag_names == Model.from_dict({"tags": "x"}).tag_names == []


def test_pages_have_addresses() -> None:
    assert Model.from_dict({"id": 5}).url == "https://civitai.com/models/5"
    assert ModelVersion.from_dict({"id": 6, "modelId": 5}).url == "https://civitai.com/models/5?modelVersionId=6"
    assert ModelVersion.from_dict({"id": 6}).url == "https://civitai.com/model-versions/6"
    assert Model().url is ModelVersion().url is None


# ------------------------------------------------------------------------------------------------------------ versions


def test_an_air_is_an_air() -> None:
    text = "urn:air:sdxl:checkpoint:civitai:827184@2514310"
    for cls in (ModelVersion, ModelVersionMini):
        found = cls.from_dict({"air": text})
        assert found.air == Air.parse(text)
        assert found.to_dict() == {"air": text}
        assert cls.from_dict({}).air is cls.from_dict({"air": "no air"}).air is None
        assert cls.from_dict({"air": "no air"}).to_dict() == {"air": "no air"}


def test_the_model_knows_the_air_of_its_versions() -> None:
    parent = versions({"id": 1, "baseModel": "Pony"}, {"id": 2, "air": "urn:air:sd1:lora:civitai:9@2"}, {"id": 3})
    assert [str(each.air_of(parent)) for each in parent.model_versions[:2]] == [
        "urn:air:sdxl:lora:civitai:9@1",
        "urn:air:sd1:lora:civitai:9@2",
    ]
    with pytest.raises(AirError, match="base_model"):
        parent.version(3).air_of(parent)


def test_lists_are_lists_that_can_be_changed() -> None:
    found = ModelVersion()
    assert (found.trained_words, found.files, found.images, Model().model_versions) == ([], [], [], [])
    found = ModelVersion.from_dict({"trainedWords": ["a"], "files": [{"name": "x"}]})
    found.trained_words.append("b")
    found.files[0].name = "y"
    assert found.to_dict() == {"trainedWords": ["a", "b"], "files": [{"name": "y"}]}
    odd = ModelVersion.from_dict({"trainedWords": ["a", None, 5], "files": [None, {"name": "x"}]})
    assert (odd.trained_words, [file.name for file in odd.files]) == (["a"], ["x"])
    assert odd.to_dict() == {"trainedWords": ["a", None, 5], "files": [None, {"name": "x"}]}


SOON, LATE = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%S}.000Z" for days in (3, -3))


@pytest.mark.parametrize(
    ("body", "is_early"),
    [
        ({}, False),
        ({"availability": "Public"}, False),
        ({"availability": "EarlyAccess"}, True),
        ({"earlyAccessDeadline": SOON}, True),
        ({"earlyAccessDeadline": LATE}, False),
        ({"earlyAccessDeadline": LATE, "availability": "EarlyAccess"}, False),
        ({"paidAccess": None}, False),
        ({"paidAccess": {"permanent": True, "endsAt": None}}, True),
        ({"paidAccess": {"permanent": False, "endsAt": SOON}}, True),
        ({"paidAccess": {"permanent": False, "endsAt": LATE}}, False),
        ({"earlyAccessEndsAt": SOON, "earlyAccessConfig": {"timeframe": 5}}, True),
        ({"earlyAccessEndsAt": None, "earlyAccessConfig": None}, False),
        ({"earlyAccessTimeFrame": 7, "publishedAt": LATE}, True),
        ({"earlyAccessTimeFrame": 2, "publishedAt": LATE}, False),
        ({"earlyAccessTimeFrame": 7, "createdAt": LATE}, True),
        ({"earlyAccessTimeFrame": 0, "publishedAt": SOON}, False),
        ({"earlyAccessTimeFrame": 7}, False),
        ({"earlyAccessTimeFrame": 10**9, "publishedAt": SOON}, False),
        ({"earlyAccessTimeFrame": 9999, "publishedAt": "9999-12-01T00:00:00Z"}, False),
        ({"earlyAccessDeadline": "nonsense", "paidAccess": "nonsense"}, False),
    ],
)
def test_early_access_is_known_from_the_fields_of_any_year(body: dict[str, Any], is_early: bool) -> None:
    assert ModelVersion.from_dict(body).is_early_access is is_early


def test_when_early_access_ends() -> None:
    body = {"earlyAccessTimeFrame": 14, "publishedAt": "2023-05-01T12:00:00.000Z"}
    assert ModelVersion.from_dict(body).early_access_ends == datetime(2023, 5, 15, 12, tzinfo=UTC)
    body = {"earlyAccessDeadline": "2025-01-01T00:00:00Z", "earlyAccessEndsAt": "2026-01-01T00:00:00Z"}
    assert ModelVersion.from_dict(body).early_access_ends == datetime(2025, 1, 1, tzinfo=UTC)
    own = ModelVersion(early_access_ends_at=datetime(2025, 1, 1))  # a caller's own, without a zone
    assert own.early_access_ends == datetime(2025, 1, 1, tzinfo=UTC)
    assert ModelVersion().early_access_ends is None


# --------------------------------------------------------------------------------------------------------------- files


def test_hashes_are_found_in_any_spelling() -> None:
    sent = {"SHA256": SHA256, "AutoV3": "AB", "SHA256_12": "CD2A5120031B", "Next9": "EF", "CRC32": None}
    hashes = ModelFileHashes.from_dict(sent)
    assert hashes["sha256"] == hashes["SHA-256"] == hashes.get("Sha_256") == hashes.sha256 == SHA256
    assert (hashes["autov3"], hashes["NEXT9"], hashes["sha256_12"]) == ("AB", "EF", "CD2A5120031B")
    assert "next9" in hashes
    assert "crc32" not in hashes
    assert 5 not in hashes
    assert hashes.get("blake3") is None
    assert hashes.get("blake3", "none") == "none"
    with pytest.raises(KeyError, match="blake3"):
        hashes["blake3"]
    assert set(hashes) == set(hashes.keys()) == {"SHA256", "AutoV3", "SHA256_12", "Next9"}
    assert dict(hashes) == dict(hashes.items())
    assert len(hashes) == 4
    assert text_of(hashes.to_dict()) == text_of(sent)


def test_hashes_can_be_set_in_any_spelling() -> None:
    hashes = ModelFileHashes.from_dict({"Next9": "EF"})
    hashes["sha256"], hashes["next9"], hashes["other"] = "AB", "CD", "12"
    assert hashes.sha256 == "AB"
    assert hashes.to_dict() == {"SHA256": "AB", "Next9": "CD", "other": "12"}


@pytest.mark.parametrize("sent", [{}, {"hashes": {}}, {"hashes": None}, {"hashes": [1]}, {"hashes": "x"}])
def test_a_file_without_hashes_has_no_hash(sent: dict[str, Any]) -> None:
    file = ModelFile.from_dict(sent)
    assert not file.hashes
    assert file.hash() is file.hashes.get("SHA256") is None
    assert not file.matches(SHA256)
    assert file.to_dict() == sent


@pytest.mark.parametrize(
    ("hashes", "given", "same"),
    [
        ({"SHA256": SHA256}, SHA256, True),
        ({"SHA256": SHA256}, f" {SHA256.lower()}\n", True),
        ({"SHA256": SHA256.lower()}, SHA256, True),
        ({"SHA256": SHA256}, SHA256[:10], True),
        ({"SHA256": SHA256}, SHA256[:12], True),
        ({"SHA256": SHA256}, SHA256[:8], False),
        ({"SHA256": SHA256}, SHA256[:20], False),
        ({"SHA256": SHA256}, SHA256[1:11], False),
        ({"AutoV2": SHA256[:10]}, SHA256[:10].lower(), True),
        ({"AutoV2": SHA256[:10]}, SHA256, True),
        ({"AutoV2": SHA256[:10], "SHA256": "F" * 64}, SHA256, False),
        ({"AutoV3": "A" * 12}, "a" * 12, True),
        ({"AutoV3": "A" * 12}, "a" * 64, True),
        ({"AutoV3": "A" * 64}, "a" * 12, True),
        ({"AutoV3": "A" * 64}, "a" * 64, True),
        ({"AutoV3": "A" * 64}, "a" * 10, False),
        ({"AutoV1": "12345678"}, "12345678", True),
        ({"CRC32": "ABCDEF01"}, "abcdef01", True),
        ({"BLAKE3": "B" * 64}, "b" * 64, True),
        ({"BLAKE3": "B" * 64}, "b" * 12, False),
        ({"Next9": "EF01"}, "ef01", True),
        ({"SHA256": SHA256}, "", False),
        ({"SHA256": ""}, "", False),
    ],
)
def test_a_hash_of_any_kind_is_recognised(hashes: dict[str, str], given: str, same: bool) -> None:
    assert ModelFile.from_dict({"hashes": hashes}).matches(given) is same


@pytest.mark.parametrize(
    ("sent", "size"),
    [
        (1, 1024),
        (1.5, 1536),
        (6775430.353515625, 6938040682),
        ("2", 2048),
        (0, 0),
        (-1, None),
        (True, None),
        (None, None),
        ("x", None),
        (float("nan"), None),
        (float("inf"), None),
        (1e308, None),
        (10**400, None),
        ([1], None),
    ],
)
def test_the_size_is_in_bytes(sent: Any, size: int | None) -> None:
    assert ModelFile.from_dict({"sizeKB": sent}).size_bytes == size
    assert ModelFile().size_bytes is None


@pytest.mark.parametrize(
    ("name", "metadata", "format", "is_pickle"),
    [
        ("a.safetensors", {"format": "SafeTensor"}, "SafeTensor", False),
        ("a.safetensors", {}, "SafeTensor", False),
        ("A.SAFETENSORS", None, "SafeTensor", False),
        ("a.gguf", None, "GGUF", False),
        ("a.ckpt", None, "PickleTensor", True),
        ("a.pt", {"format": "Other"}, "Other", True),
        ("a.bin", {"format": None}, "PickleTensor", True),
        ("a.ckpt", {"format": "SafeTensor"}, "SafeTensor", True),
        ("a", {"format": "PickleTensor"}, "PickleTensor", True),
        ("a.zip", {}, None, False),
        ("pt", {}, None, False),
        (None, {}, None, False),
    ],
)
def test_the_format_is_what_is_said_or_what_the_name_says(
    name: str | None, metadata: Any, format: str | None, is_pickle: bool
) -> None:
    file = ModelFile.from_dict({"name": name, "metadata": metadata})
    assert (file.format, file.is_pickle) == (format, is_pickle)


def test_precision_and_quantisation() -> None:
    file = ModelFile.from_dict({"metadata": {"fp": "bf16", "quantType": "Q8_0"}})
    assert (file.precision, file.quant) == ("bf16", "Q8_0")
    for metadata in ({}, {"fp": None, "quantType": None}, {"fp": 16, "quantType": "None"}, "x"):
        file = ModelFile.from_dict({"metadata": metadata})
        assert (file.precision, file.quant) == (None, None)


@pytest.mark.parametrize(
    ("virus", "pickled", "ok"),
    [
        ("Success", "Success", True),
        ("Success", "Danger", False),
        ("Pending", "Success", False),
        ("Error", "Error", False),
        (None, None, False),
    ],
)
def test_scans_are_ok_only_if_both_are_done(virus: Any, pickled: Any, ok: bool) -> None:
    assert ModelFile.from_dict({"virusScanResult": virus, "pickleScanResult": pickled}).scans_ok is ok
    assert not ModelFile().scans_ok


# -------------------------------------------------------------------------------------------------------------- images

META = {"prompt": "a cat", "steps": "30", "cfgScale": 7, "Size": "832x1216", "Hires upscale": "1.5", "Clip skip": "2"}
FORMS = [META, {"id": 5, "meta": META}]


@pytest.mark.parametrize("cls", [Image, ModelImage])
@pytest.mark.parametrize("sent", FORMS, ids=["flat", "nested"])
def test_metadata_has_one_shape(cls: type[Image | ModelImage], sent: dict[str, Any]) -> None:
    image = cls.from_dict({"meta": sent})
    assert isinstance(image, (Image, ModelImage))
    meta = image.meta
    assert meta is not None
    assert (meta.prompt, meta.steps, meta.cfg_scale, meta.size, meta.clip_skip) == ("a cat", 30, 7.0, (832, 1216), 2)
    assert (meta.negative_prompt, meta.seed, meta.sampler, meta.model) == (None, None, None, None)
    assert meta["Hires upscale"] == "1.5"
    assert meta["steps"] == "30"
    assert dict(meta) == dict(meta.items()) == META
    assert set(meta) == set(meta.keys()) == META.keys()
    assert len(meta) == len(META)
    assert "Size" in meta
    assert "seed" not in meta
    assert meta.get("seed") is None
    with pytest.raises(KeyError, match="seed"):
        meta["seed"]
    assert text_of(image.to_dict()) == text_of({"meta": sent})


@pytest.mark.parametrize("sent", FORMS, ids=["flat", "nested"])
def test_what_is_changed_in_metadata_is_written(sent: dict[str, Any]) -> None:
    image = Image.from_dict({"meta": sent})
    assert image.meta is image.meta
    assert image.meta is not None
    image.meta["Size"], image.meta["New"] = "10x20", 1
    assert (image.meta.size, image.meta["New"]) == ((10, 20), 1)
    assert image.meta["Size"] == "10x20"
    written = image.to_dict()["meta"]
    written = written.get("meta", written)
    assert written == META | {"Size": "10x20", "New": 1}


@pytest.mark.parametrize("sent", [None, {"id": 5, "meta": None}, {"meta": "x"}, "x", [META], 5])
def test_without_metadata_there_is_none(sent: Any) -> None:
    image = Image.from_dict({"meta": sent})
    assert image.meta is Image().meta is None
    assert text_of(image.to_dict()) == text_of({"meta": sent})


def test_empty_metadata_is_falsy() -> None:
    assert not Image.from_dict({"meta": {}}).meta
    assert Image.from_dict({"meta": {"x": None}}).meta


def test_metadata_that_has_a_key_called_meta_is_not_taken_apart() -> None:
    meta = Image.from_dict({"meta": {"prompt": "x", "meta": {"prompt": "y"}}}).meta
    assert meta is not None
    assert (meta.prompt, meta["meta"]) == ("x", {"prompt": "y"})


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        (20, 20),
        ("20", 20),
        (" 20 ", 20),
        (20.0, 20),
        ("20.0", 20),
        ("2e1", 20),
        (-1, -1),
        (10**30, 10**30),
        (str(10**30), 10**30),
        (20.5, None),
        ("20.5", None),
        ("x", None),
        ("", None),
        (".", None),
        ("1_0", None),
        ("٣", None),
        ("nan", None),
        ("inf", None),
        (float("nan"), None),
        ("9" * 5000, None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_whole_numbers_are_numbers(sent: Any, number: int | None) -> None:
    meta = ImageMeta.from_dict({"steps": sent, "seed": sent, "clipSkip": sent})
    assert meta.steps == meta.seed == meta.clip_skip == number
    assert {type(meta.steps), type(meta.seed)} == {type(number)}


@pytest.mark.parametrize(
    ("sent", "number"),
    [(7, 7.0), ("7", 7.0), ("7.5", 7.5), (".5", 0.5), ("1e400", None), (10**400, None), ("0x10", None), (False, None)],
)
def test_decimal_numbers_are_numbers(sent: Any, number: float | None) -> None:
    meta = ImageMeta.from_dict({"cfgScale": sent, "Denoising strength": sent, "resources": [{"weight": sent}]})
    assert meta.cfg_scale == meta.denoising_strength == meta.resources[0].weight == number
    assert type(meta.cfg_scale) is type(number)


@pytest.mark.parametrize(
    ("sent", "size"),
    [
        ({"Size": "832x1216"}, (832, 1216)),
        ({"Size": "832 × 1216"}, (832, 1216)),
        ({"Size": "0x5"}, None),
        ({"Size": "x"}, None),
        ({"Size": [1, 2]}, None),
        ({"width": 832, "height": "1216"}, (832, 1216)),
        ({"Size": "x", "width": 832, "height": 1216}, (832, 1216)),
        ({"width": -1, "height": 5}, None),
        ({}, None),
    ],
)
def test_the_size_is_a_pair(sent: dict[str, Any], size: tuple[int, int] | None) -> None:
    assert ImageMeta.from_dict(sent).size == size


def test_an_object_instead_of_a_name_is_reached_by_its_key() -> None:
    meta = ImageMeta.from_dict({"Model": {"meina_belly_7": "3mix"}})
    assert meta.model is None
    assert meta["Model"] == {"meina_belly_7": "3mix"}


def test_resources_are_lists() -> None:
    sent = {
        "resources": [{"name": "a", "weight": "0.8"}, None],
        "civitaiResources": [{"modelVersionId": 5, "weight": 1}],
    }
    meta = ImageMeta.from_dict(sent)
    assert [(each.name, each.weight) for each in meta.resources] == [("a", 0.8)]
    assert [(each.model_version_id, each.weight) for each in meta.civitai_resources] == [(5, 1.0)]
    assert meta["resources"] == sent["resources"]
    assert meta.to_dict() == sent
    assert ImageMeta().resources == ImageMeta.from_dict({"civitaiResources": "x"}).civitai_resources == []


@pytest.mark.parametrize(
    ("sent", "level"),
    [
        ({"browsingLevel": 1}, BrowsingLevel.PG),
        ({"browsingLevel": 32}, BrowsingLevel.BLOCKED),
        ({"browsingLevel": 64}, BrowsingLevel(64)),
        ({"nsfwLevel": "Soft"}, BrowsingLevel.PG13),
        ({"browsingLevel": None, "nsfwLevel": "Mature"}, BrowsingLevel.R),
        ({"browsingLevel": 0}, None),
        ({"browsingLevel": -1}, None),
        ({"browsingLevel": True}, None),
        ({"browsingLevel": 10**40, "nsfwLevel": "Next"}, None),
        ({}, None),
    ],
)
def test_the_level_is_a_level(sent: dict[str, Any], level: BrowsingLevel | None) -> None:
    image = Image.from_dict(sent)
    assert image.browsing_level == level
    assert type(image.browsing_level) is type(level)
    assert text_of(image.to_dict()) == text_of(sent)


@pytest.mark.parametrize(
    ("sent", "level"),
    [
        ({"nsfwLevel": 8}, BrowsingLevel.X),
        ({"nsfw": "None"}, BrowsingLevel.PG),
        ({"nsfw": "X"}, BrowsingLevel.X),
        ({"nsfw": True}, None),
        ({"nsfw": False}, None),
    ],
)
def test_the_level_of_a_showcase_is_known_from_the_fields_of_any_year(
    sent: dict[str, Any], level: BrowsingLevel | None
) -> None:
    assert ModelImage.from_dict(sent).browsing_level == level


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({}, "original=true/5.jpeg"),
        ({"original": True}, "original=true/5.jpeg"),
        ({"width": 450}, "width=450/5.jpeg"),
        ({"width": 450, "original": True}, "original=true/5.jpeg"),
        ({"height": 300}, "height=300/5.jpeg"),
        ({"width": 450, "height": 300}, "width=450,height=300/5.jpeg"),
        ({"width": 5000, "height": 5000}, "width=1800,height=1000/5.jpeg"),
        ({"width": 450, "still": True}, "anim=false,width=450/5.jpeg"),
    ],
)
@pytest.mark.parametrize("cls", [Image, ModelImage])
@pytest.mark.parametrize("old", ["original=true/", "width=450/", "anim=false,width=450/", ""])
def test_other_sizes_have_urls(cls: Any, old: str, options: dict[str, Any], end: str) -> None:
    image = cls.from_dict({"url": f"{CDN}/{KEY}/{old}5.jpeg", "type": "image"})
    assert image.url_at(**options) == f"{CDN}/{KEY}/{end}"


def test_urls_of_videos() -> None:
    video = Image.from_dict({"url": f"{CDN}/{KEY}/original=true/5.mp4", "type": "video"})
    assert video.url_at(450) == f"{CDN}/{KEY}/transcode=true,width=450/5.mp4"
    assert video.url_at() == f"{CDN}/{KEY}/original=true/5.mp4"
    assert video.url_at(450, still=True) == f"{CDN}/{KEY}/anim=false,transcode=true,width=450/5.jpeg"


@pytest.mark.parametrize(("kind", "ending"), [("image", "jpeg"), ("video", "mp4"), ("audio", "mp3"), (None, "jpeg")])
def test_a_bare_key_is_a_url_of_the_image_cdn(kind: str | None, ending: str) -> None:
    image = Image.from_dict({"url": KEY, "type": kind})
    assert image.url_at() == f"{CDN}/{KEY}/original=true/{KEY}.{ending}"
    assert Image.from_dict({"url": f"{CDN}/{KEY}", "type": kind}).url_at() == image.url_at()


@pytest.mark.parametrize("url", ["https://example.com/a.png", "blob:x", f"{CDN}/short/width=450/5.jpeg"])
def test_other_urls_stay_as_they_are(url: str) -> None:
    assert Image.from_dict({"url": url}).url_at(450) == url


def test_an_image_without_a_url_has_none_in_another_size() -> None:
    assert Image().url_at(450) is Image.from_dict({"url": 5}).url_at() is None


@pytest.mark.parametrize("options", [{"width": 0}, {"width": -5}, {"height": 0, "original": True}])
def test_a_size_of_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="at least one pixel"):
        Image.from_dict({"url": KEY}).url_at(**options)


@pytest.mark.parametrize(
    ("sent", "is_video"),
    [
        ({"type": "video"}, True),
        ({"type": "image", "url": "https://x/a.mp4"}, False),
        ({"url": "https://x/a.MP4?x"}, True),
        ({"url": "https://x/a.jpeg"}, False),
        ({"url": "https://[x"}, False),
        ({}, False),
    ],
)
def test_a_video_is_known_by_its_type_or_its_url(sent: dict[str, Any], is_video: bool) -> None:
    assert Image.from_dict(sent).is_video is ModelImage.from_dict(sent).is_video is is_video


# -------------------------------------------------------------------------------------------------- wherever they occur

WORDS = "<p>Words</p>"
MODEL: dict[str, Any] = {
    "id": 9,
    "name": "Name",
    "description": WORDS,
    "type": "LORA",
    "allowCommercialUse": ["Image"],
    "tags": ["a", {"id": 1, "name": "b"}],
    "modelVersions": [
        {
            "id": 2,
            "index": 0,
            "name": "v2",
            "modelId": 9,
            "status": "Published",
            "baseModel": "Pony",
            "description": WORDS,
            "air": "urn:air:sdxl:lora:civitai:9@2",
            "availability": "EarlyAccess",
            "publishedAt": "2025-01-01T00:00:00.000Z",
            "createdAt": "2025-01-01T00:00:00",
            "earlyAccessDeadline": "2025-02-01T00:00:00.000Z",
            "earlyAccessEndsAt": "2025-02-01T00:00:00.000Z",
            "earlyAccessTimeFrame": 7,
            "paidAccess": {"permanent": False, "endsAt": "2025-02-01T00:00:00.000Z"},
            "trainedWords": ["word"],
            "model": {"name": "Name", "type": "LORA"},
            "files": [
                {
                    "id": 3,
                    "name": "a.safetensors",
                    "type": "Model",
                    "sizeKB": 1.5,
                    "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q8_0"},
                    "hashes": {"SHA256": SHA256, "AutoV2": SHA256[:10], "AutoV3": "A" * 12, "Next9": "1"},
                    "virusScanResult": "Success",
                    "pickleScanResult": "Success",
                    "primary": True,
                }
            ],
            "images": [{"url": KEY, "type": "image", "nsfwLevel": 2, "nsfw": "Soft", "meta": FORMS[1]}],
        }
    ],
}
IMAGE: dict[str, Any] = {
    "id": 5,
    "url": f"{CDN}/{KEY}/width=450/5.jpeg",
    "type": "image",
    "nsfwLevel": "Soft",
    "browsingLevel": 2,
    "meta": {
        "id": 5,
        "meta": {
            **META,
            "clipSkip": 2,
            "seed": 1,
            "width": 5,
            "height": 6,
            "sampler": "Euler",
            "Model": "x",
            "resources": [{"name": "a", "type": "lora", "weight": 1, "hash": "x"}],
            "civitaiResources": [{"type": "lora", "weight": 1, "modelVersionId": 5}],
        },
    },
}
FLAT_IMAGE = IMAGE | {"meta": IMAGE["meta"]["meta"]}


OF_ALL = set(dir(ApiModel))


def helpers_of(found: Any) -> Iterator[Any]:
    """The values of everything that a class has beyond the generated one, with those of what is in it."""
    if isinstance(found, list):
        for each in found:
            yield from helpers_of(each)
    if not isinstance(found, ApiModel):
        return
    yield repr(found)
    if isinstance(found, (Model, ModelVersion)) and found.description != WORDS:  # these take their time
        yield from (found.description_text(), found.description_markdown())
    for name in set(dir(type(found))) - OF_ALL:
        if not name.startswith("_") and not callable(value := getattr(found, name)):
            yield value
            yield from helpers_of(value)
    match found:
        case Model():
            for version in found.model_versions:
                with suppress(NoSuchVersion):
                    yield found.version(version.id)
                with suppress(AirError):
                    yield version.air_of(found)
        case ModelVersion():
            try:
                yield found.pick_file()
                yield found.pick_file(format="SafeTensor", size="pruned", fp="fp16", quant="Q8_0", type="Model")
            except NoSuchFile as error:
                yield str(error)
        case ModelFile():
            yield from (found.hash(), found.hash("next9"), found.matches(SHA256), found.matches("A" * 12))
        case ModelFileHashes() | ImageMeta():
            yield from (dict(found), [found[name] for name in found], len(found), list(found.items()))
        case Image() | ModelImage():
            yield from (found.url_at(450), found.url_at(still=True))


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Where in a JSON value there are values."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (name,)
        yield from ((name, *rest) for rest in places(member))


def replaced(value: Any, place: tuple[str | int, ...], by: Any) -> Any:
    changed = copy.deepcopy(value)
    holder = changed
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = by
    return changed


any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [10**400, "{", "9" * 5000, "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "nan", "<p"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "meta", "name", "type", "files"]) | st.text(max_size=4), inner, max_size=3
        )
    ),
    max_leaves=6,
)
bodies = st.sampled_from([(Model, MODEL), (Image, IMAGE), (Image, FLAT_IMAGE)])


NASTY: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1.5,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    "x",
    "{",
    "<![",
    "9" * 5000,
]
NASTY += ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", [], [None], [[]], {}, {"id": []}, {"meta": {}}]


@pytest.mark.parametrize(("cls", "body"), [(Model, MODEL), (Image, IMAGE), (Image, FLAT_IMAGE)])
def test_nothing_odd_in_place_of_any_value_makes_a_helper_fail(cls: type[ApiModel], body: dict[str, Any]) -> None:
    for place in places(body):
        for value in NASTY:
            sent = replaced(body, place, value)
            found = cls.from_dict(sent)
            assert list(helpers_of(found)), (place, value)
            assert text_of(found.to_dict()) == text_of(sent)


@given(bodies.flatmap(lambda chosen: st.tuples(st.just(chosen), st.sampled_from(list(places(chosen[1]))))), any_json)
def test_whatever_stands_in_place_of_a_value_no_helper_fails(
    where: tuple[tuple[type[ApiModel], dict[str, Any]], tuple[str | int, ...]], value: Any
) -> None:
    (cls, body), place = where
    sent = replaced(body, place, value)
    found = cls.from_dict(sent)
    assert list(helpers_of(found))
    assert text_of(found.to_dict()) == text_of(sent)


def test_the_helpers_are_all_called() -> None:
    values = [*helpers_of(Model.from_dict(MODEL)), *helpers_of(Image.from_dict(IMAGE))]
    for expected in (1536, (832, 1216), "https://civitai.com/models/9", f"{CDN}/{KEY}/width=450/5.jpeg"):
        assert expected in values


def test_they_are_what_is_read_anywhere() -> None:
    page = site.ModelPage.from_dict({"items": [MODEL]})
    for found in (page.items[0], site.Model.from_dict(MODEL)):
        assert isinstance(found, Model)
        assert isinstance(found.model_versions[0].files[0].hashes, ModelFileHashes)
        assert found == Model.from_dict(MODEL)
    mini = site.ModelVersionMini.from_dict({"hashes": {"SHA256": "AB"}})
    assert isinstance(mini.hashes, ModelFileHashes)


def test_copies_are_the_same() -> None:
    for found in (Model.from_dict(MODEL), Image.from_dict(IMAGE)):
        for twin in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301  # our own
            assert type(twin) is type(found)
            assert twin == found
            assert text_of(twin.to_dict()) == text_of(found.to_dict())
    assert Image.from_dict(IMAGE) != Image.from_dict(IMAGE | {"browsingLevel": 4})


def test_objects_of_the_generated_classes_serve_too() -> None:
    made = ModelVersion(
        name="v1",
        files=[site.ModelFile(name="a", type="Model", hashes=site.ModelFileHashes(sha256="AB"), size_kb=1.0)],
        images=[site.ModelImage(url=KEY, width=1, height=1, hash=None, meta=site.ImageMeta(prompt="x"))],
    )
    assert made.pick_file().name == "a"
    assert ModelFile(hashes=site.ModelFileHashes(sha256="AB")).hash() == "AB"
    meta = Image(meta=site.ImageMeta(prompt="x")).meta
    assert meta is not None
    assert meta["prompt"] == "x"


def test_recorded_answers_are_written_back_unchanged(shared: Path) -> None:
    kinds: dict[str, type[ApiModel]] = {
        "site_models": Model,
        "site_images": Image,
        "site_model_versions": ModelVersion,
    }
    read = 0
    for folder, cls in kinds.items():
        for path in sorted((shared / "real" / folder).glob("*.json")):
            body = json.loads(path.read_bytes())
            for sent in body.get("items", [body]):
                found = cls.from_dict(sent)
                assert list(helpers_of(found))
                assert text_of(found.to_dict()) == text_of(sent)
                read += 1
    assert read > 40


def test_recorded_answers_have_what_people_look_for(shared: Path) -> None:
    for path in sorted((shared / "real" / "site_models").glob("*.json")):
        body = json.loads(path.read_bytes())
        for found in map(Model.from_dict, body.get("items", [body])):
            assert found.latest is (found.model_versions[0] if found.model_versions else None)
            assert found.allow_commercial_use <= {"Image", "Rent", "RentCivit", "Sell"}
            for version in found.model_versions:
                assert (version.primary_file is None) == (not version.files)
                assert str(version.air_of(found)).endswith(f":{found.id}@{version.id}")
                for file in version.files:
                    assert file.size_bytes
                    assert not file.hashes or file.matches(file.hashes["sha256"][:10].lower())
    path = shared / "real/site_images/2026_123156450_nested-meta.json"
    meta = Image.from_dict(json.loads(path.read_bytes())).meta
    assert meta is not None
    assert (meta.model, meta.size, meta.cfg_scale, meta.clip_skip) == ("anima-preview", (832, 1216), 4.0, 2)
    assert meta["Module 1"] == "qwen_3_06b_base"


# ------------------------------------------------------------------------------------------------------- the mechanism


@model
class Thing(ApiModel):
    name: str = wire(default=UNSET)


def test_a_class_that_was_read_before_can_still_be_extended() -> None:
    assert type(Thing.from_dict({"name": "a"})) is Thing

    @extension
    class LoudThing(Thing):
        __slots__ = ()

        @shown
        def name(self, raw: Any) -> str:
            return str(raw).upper()

    found = Thing.from_dict({"name": "a"})
    assert (type(found), found.name, found.to_dict()) == (LoudThing, "A", {"name": "a"})
    with pytest.raises(TypeError, match="Thing is extended by LoudThing already"):

        @extension
        class Other(Thing):
            __slots__ = ()


def test_an_extension_has_no_fields() -> None:
    with pytest.raises(TypeError, match="does not merely extend"):

        @extension
        class WithDict(Thing):
            pass

    with pytest.raises(TypeError, match="does not merely extend"):

        @extension
        @model
        class WithField(Thing):
            more: str = wire(default=UNSET)


def test_reading_a_model_before_the_helpers_are_loaded_does_no_harm() -> None:
    code = """
from civitai_api.site import models as site
assert type(site.Model.from_dict({})) is site.Model
from civitai_ext.catalogue import Model
assert type(site.Model.from_dict({})) is Model
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/catalogue.md").read_text(encoding="utf-8")
    codes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with Emulator(models=60, speed=1000) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        with Civitai() as civitai:
            names: dict[str, Any] = {"civitai": civitai}
            for code in codes:
                exec(code, names)  # noqa: S102  # it is ours
    assert len(codes) >= 4
    assert issubclass(names["NoSuchFile"], CivitaiError)
