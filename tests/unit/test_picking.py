"""The choice of a file: the platform's own, as far as it goes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.runtime import UNSET
from civitai_ext._picking import NoSuchFile, best, main_file
from civitai_ext.catalogue import ModelFile, ModelVersion
from civitai_ext.errors import CivitaiError


def file(name: str, type: str = "Model", **metadata: Any) -> ModelFile:
    return ModelFile.from_dict({"name": name, "type": type, "metadata": metadata})


def version(*files: ModelFile, model_type: str | None = None) -> ModelVersion:
    body: dict[str, Any] = {"id": 1, "name": "v1", "files": [each.to_dict() for each in files]}
    return ModelVersion.from_dict(body | ({"model": {"type": model_type}} if model_type else {}))


SMALL = file("small.safetensors", format="SafeTensor", size="pruned", fp="fp16")
LARGE = file("large.safetensors", format="SafeTensor", size="full", fp="fp32")
PICKLE = file("old.ckpt", format="PickleTensor", size="pruned", fp="fp16")
Q8 = file("q8.gguf", format="GGUF", quantType="Q8_0")
Q4 = file("q4.gguf", format="GGUF", quantType="Q4_K_M")
VAE = file("vae.safetensors", "VAE", format="SafeTensor", size="pruned", fp="fp16")
EVERYTHING = (VAE, Q8, Q4, PICKLE, LARGE, SMALL)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({}, "small.safetensors"),
        ({"size": "full"}, "large.safetensors"),
        ({"fp": "fp32"}, "large.safetensors"),
        ({"format": "PickleTensor"}, "old.ckpt"),
        ({"format": "GGUF"}, "q4.gguf"),
        ({"format": "GGUF", "quant": "Q8_0"}, "q8.gguf"),
        ({"format": "gguf", "quant": "q8_0"}, "q8.gguf"),
        ({"type": "VAE"}, "vae.safetensors"),
        ({"type": "vae", "fp": "FP16"}, "vae.safetensors"),
    ],
)
def test_what_is_asked_for_goes_first_then_what_the_platform_prefers(wanted: dict[str, str], name: str) -> None:
    assert version(*EVERYTHING).pick_file(**wanted).name == name
    assert version(*reversed(EVERYTHING)).pick_file(**wanted).name == name


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"format": "SafeTensor", "size": "full", "fp": "fp32"}, {"format": "Other", "size": "pruned", "fp": "fp16"}),
        ({"size": "pruned", "fp": "fp32"}, {"size": "full", "fp": "fp16"}),
        ({"fp": "fp16", "quantType": "Q2_K"}, {"fp": "fp8", "quantType": "Q4_K_M"}),
        ({"quantType": "Q4_K_M"}, {}),
        ({}, {"quantType": "Q2_K"}),
        ({}, {"size": "full"}),
    ],
)
def test_each_detail_weighs_more_than_all_that_follow(better: dict[str, str], worse: dict[str, str]) -> None:
    files = [file("worse", **worse), file("better", **better)]
    assert version(*files).pick_file().name == version(*files[::-1]).pick_file().name == "better"


@pytest.mark.parametrize("main", ["Model", "Pruned Model", "Diffusion Model", "UNet"])
def test_what_holds_the_model_goes_before_what_comes_along(main: str) -> None:
    files = version(VAE, file("main", main, format="PickleTensor", size="full", fp="fp32"))
    assert files.pick_file().name == "main"


def test_of_equals_the_first_is_taken() -> None:
    assert version(file("a"), file("b")).pick_file().name == "a"


def test_what_a_file_does_not_say_does_not_rule_it_out() -> None:
    assert version(file("silent")).pick_file(fp="fp16", format="SafeTensor").name == "silent"
    assert version(file("silent"), SMALL).pick_file(fp="fp16").name == "small.safetensors"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"fp": "fp8"}, "No file of version 'v1' is what was asked for (fp='fp8'); it has small.safetensors, old.ckpt"),
        (
            {"type": "Config", "format": "Other"},
            "No file of version 'v1' is what was asked for (type='Config', format='Other'); "
            "it has small.safetensors, old.ckpt",
        ),
    ],
)
def test_what_no_file_is_is_an_error_that_says_what_there_is(wanted: dict[str, str], text: str) -> None:
    with pytest.raises(NoSuchFile) as caught:
        version(SMALL, PICKLE).pick_file(**wanted)
    assert str(caught.value) == text
    assert caught.value.wanted == wanted
    assert isinstance(caught.value, CivitaiError)
    assert isinstance(caught.value, LookupError)
    for twin in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):  # noqa: S301  # our own
        assert (str(twin), twin.names) == (text, ["small.safetensors", "old.ckpt"])


def test_a_version_without_files_has_none_to_pick() -> None:
    assert version().primary_file is None
    with pytest.raises(NoSuchFile, match=r"it has no files$"):
        version().pick_file()
    with pytest.raises(NoSuchFile, match=r"it has 0, 1, 2, 3, 4 and 7 more$"):
        version(*(file(str(number), fp="fp16") for number in range(12))).pick_file(fp="fp32")


def test_the_primary_file_is_the_one_that_is_marked() -> None:
    marked = ModelFile.from_dict({"name": "marked", "type": "VAE", "primary": True})
    assert version(SMALL, marked).primary_file == marked
    unsure = ModelFile.from_dict({"name": "unsure", "type": "VAE", "primary": "true"})
    assert version(SMALL, unsure).primary_file == SMALL


@pytest.mark.parametrize(
    ("model_type", "main"),
    [
        ("CLIP", "Text Encoder"),
        ("Workflows", "Archive"),
        ("Poses", "Config"),
        ("TextualInversion", "Negative"),
        ("Other", "Archive"),
    ],
)
def test_unmarked_the_primary_file_is_of_a_type_that_fits_the_model(model_type: str, main: str) -> None:
    files = [file("beside", "UNet", format="SafeTensor"), file("main", main)]
    for order in (files, files[::-1]):
        assert main_file(order, model_type) == files[1]
        assert version(*order, model_type=model_type).primary_file == files[1]
        assert version(*order).primary_file == files[0], "without the type it is the best of all"
        assert version(*order, model_type="NewType").primary_file == files[0]


def test_a_model_whose_only_file_does_not_fit_it_still_has_a_primary_file() -> None:
    assert version(VAE, model_type="LORA").primary_file == VAE


metadata = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["SafeTensor", "PickleTensor", "GGUF", None]),
        "size": st.sampled_from(["full", "pruned", None]),
        "fp": st.sampled_from(["fp16", "fp32", "bf16", None]),
        "quantType": st.sampled_from(["Q4_K_M", "Q8_0", None]),
    },
)
files_of_any_kind = st.lists(
    st.builds(
        lambda type, metadata: file("f", type, **metadata), st.sampled_from(["Model", "VAE", "Config"]), metadata
    ),
    max_size=6,
)


@given(files_of_any_kind, st.sampled_from([None, "fp16", "fp32"]), st.sampled_from([None, "full"]))
def test_the_choice_is_the_platforms_wherever_the_platform_makes_one(
    files: list[ModelFile], fp: str | None, size: str | None
) -> None:
    asked = {name: value for name, value in (("fp", fp), ("size", size)) if value is not None}
    preferred = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M", **asked}
    weights = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}

    def score(each: ModelFile) -> float:
        said = {name: value for name, value in each.metadata.to_dict().items() if value}
        points = sum(weights[name] * (1 if value == preferred[name] else -1) for name, value in said.items())
        return points + (2000 if each.type == "Model" else 1000)

    def contradicts(each: ModelFile) -> bool:
        return any(getattr(each.metadata, name) not in (value, None, UNSET) for name, value in asked.items())

    theirs = max(files, key=score, default=None)
    ours = best(files, asked)
    if theirs is not None and not contradicts(theirs):
        assert ours is theirs
    else:  # the platform gives up: what else is there is found
        assert (ours is None) == all(map(contradicts, files))
        assert ours is None or not contradicts(ours)
