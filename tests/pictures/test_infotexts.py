"""Texts of the A1111 web UI and its kin, in all the ways in which people and programs write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civitai_ext import read_image_meta
from civitai_ext.catalogue import ImageMeta
from tests.pictures import files


def read(infotext: str, keyword: str = "parameters") -> dict[str, Any]:
    meta = read_image_meta(files.png(files.international(keyword, infotext)))
    return {} if meta is None else dict(meta.items())


def test_a_text_of_the_web_ui() -> None:
    found = read(
        "masterpiece, (a cat:1.2), <lora:add_detail:0.8> <lora:MJ-52.v2:1> <hypernet:old:0.5>\n"
        "second line\n"
        "Negative prompt: blurry, <lora:not this:1>\nworst quality\n"
        "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 17739416935733250000, "
        "Size: 832x1216, Model hash: 31e35c80fc, Model: sd_xl_base_1.0, VAE hash: 735e4c3a44, VAE: a.safetensors, "
        "Clip skip: 2, Denoising strength: 0.35, Hires upscale: 1.5, "
        'Lora hashes: "add_detail: 9c783c8ce46c, MJ-52.v2: 000c96b6bd08", TI hashes: "BadDream: 48d0e6ab6e3d", '
        'Wildcard prompt: "a \\"big\\" cat, __pose__\\nand more", Version: v1.10.1'
    )
    assert found.pop("resources") == [
        {"type": "lora", "name": "add_detail", "weight": 0.8, "hash": "9c783c8ce46c"},
        {"type": "lora", "name": "MJ-52.v2", "weight": 1, "hash": "000c96b6bd08"},
        {"type": "hypernet", "name": "old", "weight": 0.5},
        {"type": "embed", "name": "BadDream", "hash": "48d0e6ab6e3d"},
        {"type": "model", "name": "sd_xl_base_1.0", "hash": "31e35c80fc"},
    ]
    assert found.pop("hashes") == {
        "lora:add_detail": "9c783c8ce46c",
        "lora:MJ-52.v2": "000c96b6bd08",
        "embed:BadDream": "48d0e6ab6e3d",
        "model": "31e35c80fc",
        "vae": "735e4c3a44",
    }
    assert found == {
        "prompt": "masterpiece, (a cat:1.2), <lora:add_detail:0.8> <lora:MJ-52.v2:1> <hypernet:old:0.5>\nsecond line",
        "negativePrompt": "blurry, <lora:not this:1>\nworst quality",
        "steps": 30,
        "sampler": "DPM++ 2M",
        "Schedule type": "Karras",
        "cfgScale": 7,
        "seed": 17739416935733250000,
        "Size": "832x1216",
        "Model hash": "31e35c80fc",
        "Model": "sd_xl_base_1.0",
        "VAE hash": "735e4c3a44",
        "VAE": "a.safetensors",
        "clipSkip": 2,
        "Denoising strength": "0.35",
        "Hires upscale": "1.5",
        "Wildcard prompt": 'a "big" cat, __pose__\nand more',
        "Version": "v1.10.1",
    }


def test_a_text_of_the_sites_own_generator() -> None:
    used = [
        {"type": "checkpoint", "modelVersionId": 345685, "modelVersionName": "FUSION, OG: [2]"},
        {"type": "lora", "weight": 0.4, "modelVersionId": 240274},
    ]
    meta = read_image_meta(
        files.jpeg(
            files.segment(
                0xE1,
                b"Exif\0\0"
                + files.commented(
                    "a cat\nNegative prompt: dogs\nSteps: 40, Sampler: DPM++ 2M Karras, "
                    "CFG scale: 3.5, Seed: 23241252, Size: 832x1216, Clip skip: 2, "
                    f"Created Date: 2024-06-12T1606:18.2570201Z, "
                    f'Civitai resources: {json.dumps(used)}, Civitai metadata: {{"remixOfId": 5}}'
                ),
            )
        )
    )
    assert isinstance(meta, ImageMeta)
    assert (meta.prompt, meta.negative_prompt, meta.steps, meta.cfg_scale) == ("a cat", "dogs", 40, 3.5)
    assert (meta.sampler, meta.seed, meta.size, meta.clip_skip) == ("DPM++ 2M Karras", 23241252, (832, 1216), 2)
    assert meta["civitaiResources"] == used
    assert [(each.type, each.model_version_id, each.weight) for each in meta.civitai_resources] == [
        ("checkpoint", 345685, None),
        ("lora", 240274, 0.4),
    ]
    assert (meta["Created Date"], meta["extra"]) == ("2024-06-12T1606:18.2570201Z", {"remixOfId": 5})


@pytest.mark.parametrize(
    ("infotext", "expected"),
    [
        ("a cat", {"prompt": "a cat"}),
        ("Negative prompt: dogs", {"negativePrompt": "dogs"}),
        ("Steps: 8, Seed: 3", {"steps": 8, "seed": 3}),
        ("\nSteps: 8", {"steps": 8}),
        ("a cat\r\nNegative prompt: dogs\r\nSteps: 8", {"prompt": "a cat", "negativePrompt": "dogs", "steps": 8}),
        ("a cat\nSteps: 8, Seed: 3\n", {"prompt": "a cat", "steps": 8, "seed": 3}),
        ("how to:\nSteps: 3 to go\nSteps: 8", {"prompt": "how to:\nSteps: 3 to go", "steps": 8}),
        ("Steps: 4, and more\nSteps: 8", {"prompt": "Steps: 4, and more", "steps": 8}),
        ("a\nSteps: 4\nNegative prompt: b", {"prompt": "a\nSteps: 4", "negativePrompt": "b"}),
        ("a, Negative prompt: b", {"prompt": "a, Negative prompt: b"}),
        ("a\nMood: calm, Light: soft", {"prompt": "a\nMood: calm, Light: soft"}),
        ("a\nSampler: Euler, Seed: 5, Size: 8x8", {"prompt": "a", "sampler": "Euler", "seed": 5, "Size": "8x8"}),
        ("Steps: many, Seed: -1", {"prompt": "Steps: many, Seed: -1"}),
        ("Steps: 8, Seed: unknown, CFG scale: nan", {"steps": 8, "seed": "unknown", "cfgScale": "nan"}),
        ("Steps: 8, Seed: -1, CFG scale: 1e999", {"steps": 8, "seed": -1, "cfgScale": "1e999"}),
        ("Steps: 8, Styles: a, b and c, Seed: 5", {"steps": 8, "Styles": "a, b and c", "seed": 5}),
        ("Steps: 8, Styles: a, b", {"steps": 8, "Styles": "a, b"}),
        ('Steps: 8, Note: "half, Seed: 5', {"steps": 8, "Note": '"half', "seed": 5}),
        ('Steps: 8, Note: "a" b, Seed: 5', {"steps": 8, "Note": '"a" b', "seed": 5}),
        ("Steps: 8, Time: 12:30, URL: https://x.example/a:b", {"steps": 8, "Time": "12:30", "URL": "https://x.example/a:b"}),
        ("Steps: 8, Empty:, Seed: 5", {"steps": 8, "Empty": "", "seed": 5}),
        ("Steps: 8, Seed: 5\nTemplate: a {b|c}, d\nNegative Template: e",
         {"steps": 8, "seed": 5, "Template": "a {b|c}, d", "Negative Template": "e"}),
        ('Steps: 8, Tiles: {"Method": "a, b", "Overlap": 48}, Seed: 5',
         {"steps": 8, "Tiles": {"Method": "a, b", "Overlap": 48}, "seed": 5}),
        ('Steps: 8, Hashes: {"vae": "735e4c3a44"}', {"steps": 8, "hashes": {"vae": "735e4c3a44"}}),
        ("Steps: 8, Civitai metadata: {}", {"steps": 8}),
        ("a <lora:x> <lora::1> <lora:y:te=0.5:unet=1> <lora:z:much>",
         {"prompt": "a <lora:x> <lora::1> <lora:y:te=0.5:unet=1> <lora:z:much>",
          "resources": [{"type": "lora", "name": "x"}, {"type": "lora", "name": "y", "weight": 0.5},
                        {"type": "lora", "name": "z"}]}),
        ("a <lora:x:0.5> <lora:x:0.9>\nSteps: 8",
         {"prompt": "a <lora:x:0.5> <lora:x:0.9>", "steps": 8,
          "resources": [{"type": "lora", "name": "x", "weight": 0.5}]}),
        ("a cat\nSteps: 8, prompt: other, resources: none, hashes: 5", {"prompt": "a cat", "steps": 8}),
    ],
)  # fmt: skip
def test_what_a_text_says(infotext: str, expected: dict[str, Any]) -> None:
    found = read(infotext)
    assert {
        name: value for name, value in found.items() if name in expected or name not in ("resources", "hashes")
    } == (expected)


@pytest.mark.parametrize("comment", ["a cat", "Camera: A, Lens: B, Light: C", "Steps to the sea", "Steps: 3 to go"])
def test_a_comment_about_something_else_is_none(comment: str) -> None:
    assert read(comment, "UserComment") == {}
    assert read(comment)  # known to be about the picture


WORDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters='":,{}[]<>'), max_size=30
).map(str.strip)
NAMES = WORDS.filter(bool).map(lambda name: f"X {name}")


@given(WORDS, WORDS, st.integers(0, 10**6), st.integers(-1, 2**64), st.dictionaries(NAMES, WORDS, max_size=5))
@example("Steps", "Negative prompt", 1, -1, {})
def test_what_was_written_is_read(prompt: str, negative: str, steps: int, seed: int, others: dict[str, str]) -> None:
    details = ", ".join(f"{name}: {value}" for name, value in {"Steps": steps, "Seed": seed, **others}.items())
    found = read(f"{prompt}\nNegative prompt: {negative}\n{details}")
    assert found.pop("prompt", "") == prompt
    assert found.pop("negativePrompt", "") == negative
    assert found == {"steps": steps, "seed": seed, **others}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_value_in_quotes_is_read_whatever_is_in_it(value: str) -> None:
    found = read(f"a cat\nSteps: 5, Hires prompt: {json.dumps(value, ensure_ascii=False)}, Seed: 7")
    assert (found["steps"], found["Hires prompt"], found["seed"]) == (5, value, 7)


@given(
    st.lists(st.sampled_from(['"', ":", ",", "\n", "{", "[", "]", "}", " ", "\\", "Steps: 1", "Negative prompt:", "a",
                              "<lora:", ">", "Lora hashes", "Hashes", "Civitai resources", "1"]), max_size=40)
)  # fmt: skip
def test_no_text_is_fatal(parts: list[str]) -> None:
    read("".join(parts))
    read("".join(parts), "UserComment")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_a_prompt_alone_is_kept(prompt: str) -> None:
    found = read_image_meta(files.png(files.international("parameters", f"{prompt}\nand a cat")))
    assert found is not None
    assert str(found.prompt).endswith("and a cat")
