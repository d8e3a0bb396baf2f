"""What other programs write: the graph of ComfyUI, and JSON of their own."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import read_image_meta
from civitai_ext.catalogue import ImageMeta
from tests.pictures import files

Node = dict[str, Any]
Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> Node:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def basic(**changes: Node) -> Graph:
    """The graph that ComfyUI begins with, with two LoRAs, and whatever is changed."""
    return {
        "3": node(
            "KSampler", seed=156680208700286, steps=20, cfg=8, sampler_name="euler", scheduler="normal", denoise=1,
            model=["11", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="XL\\base.safetensors"),
        "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
        "6": node("CLIPTextEncode", text="a cat", clip=["11", 1]),
        "7": node("CLIPTextEncode", text="dogs", clip=["11", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "10": node("LoraLoader", lora_name="a.safetensors", strength_model=0.8, strength_clip=1, model=["4", 0],
                   clip=["4", 1]),
        "11": node("LoraLoaderModelOnly", lora_name="b.safetensors", strength_model=1, model=["10", 0]),
        **{name.removeprefix("n"): value for name, value in changes.items()},
    }  # fmt: skip


def linked(**inputs: Any) -> Node:
    """The sampler of that graph with some of its inputs plugged in."""
    return node("KSampler", **{**basic()["3"]["inputs"], **inputs})


BASIC: dict[str, Any] = {
    "prompt": "a cat",
    "negativePrompt": "dogs",
    "steps": 20,
    "sampler": "euler",
    "cfgScale": 8,
    "seed": 156680208700286,
    "scheduler": "normal",
    "denoise": 1,
    "Model": "XL\\base.safetensors",
    "resources": [
        {"type": "lora", "name": "b.safetensors", "weight": 1},
        {"type": "lora", "name": "a.safetensors", "weight": 0.8},
        {"type": "model", "name": "XL\\base.safetensors"},
    ],
    "width": 832,
    "height": 1216,
}


def read(**texts: str) -> dict[str, Any]:
    meta = read_image_meta(files.png(*[files.international(keyword, value) for keyword, value in texts.items()]))
    return {} if meta is None else dict(meta.items())


def of_graph(graph: Any) -> dict[str, Any]:
    found = read(prompt=json.dumps(graph))
    assert json.loads(found.pop("comfy"))["prompt"] == graph
    return found


def test_a_graph_is_followed_from_the_sampler() -> None:
    assert of_graph(basic()) == BASIC


def test_a_graph_is_kept_as_it_is_beside_the_workflow() -> None:
    workflow = '{"nodes": [], "version": 0.4, "changed": [NaN]}'
    found = read(prompt=json.dumps(basic()), workflow=workflow)
    assert found["comfy"] == f'{{"prompt": {json.dumps(basic())}, "workflow": {workflow}}}'
    assert found["seed"] == BASIC["seed"]
    assert read(workflow=workflow) == {"comfy": f'{{"workflow": {workflow}}}'}


def test_a_graph_has_its_types() -> None:
    meta = read_image_meta(files.png(files.plain("prompt", json.dumps(basic()))))
    assert isinstance(meta, ImageMeta)
    assert (meta.size, meta.seed, meta.cfg_scale) == ((832, 1216), 156680208700286, 8.0)
    assert [(each.type, each.weight) for each in meta.resources] == [("lora", 1), ("lora", 0.8), ("model", None)]


CUSTOM = {
    "13": node(
        "SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0], sigmas=["17", 0],
        latent_image=["27", 0],
    ),
    "25": node("RandomNoise", noise_seed=77),
    "22": node("BasicGuider", model=["30", 0], conditioning=["26", 0]),
    "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    "6": node("CLIPTextEncodeFlux", clip_l="a cat", t5xxl="a cat on a mat", guidance=3.5, clip=["11", 0]),
    "16": node("KSamplerSelect", sampler_name="euler"),
    "17": node("BasicScheduler", scheduler="simple", steps=["40", 0], denoise=1.0, model=["30", 0]),
    "40": node("PrimitiveInt", value=4),
    "27": node("EmptySD3LatentImage", width=["41", 0], height=1024, batch_size=1),
    "41": node("PrimitiveInt", value=768, control_after_generate="fixed"),
    "30": node("ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=768, height=1024, model=["12", 0]),
    "12": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
    "11": node("DualCLIPLoader", clip_name1="t5.safetensors", clip_name2="clip_l.safetensors", type="flux"),
}  # fmt: skip


def test_a_sampler_of_parts() -> None:
    assert of_graph(CUSTOM) == {
        "prompt": "a cat, a cat on a mat",
        "steps": 4,
        "sampler": "euler",
        "seed": 77,
        "scheduler": "simple",
        "denoise": 1.0,
        "Model": "flux1-dev.safetensors",
        "resources": [{"type": "model", "name": "flux1-dev.safetensors"}],
        "width": 768,
        "height": 1024,
    }


EFFICIENT = {
    "1": node("Efficient Loader", ckpt_name="a.safetensors", lora_name="b.safetensors", lora_model_strength=0.6,
              positive="a cat", negative=["3", 0], empty_latent_width=512, empty_latent_height=768),
    "2": node("KSampler (Efficient)", seed=5, steps=9, cfg=2.5, sampler_name="lcm", scheduler="sgm_uniform",
              denoise=1, model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3]),
    "3": node("Text Multiline", text="dogs"),
}  # fmt: skip


def test_a_loader_that_holds_the_prompts() -> None:
    found = of_graph(EFFICIENT)
    assert (found["prompt"], found["negativePrompt"], found["Model"]) == ("a cat", "dogs", "a.safetensors")
    assert (found["width"], found["height"], found["cfgScale"]) == (512, 768, 2.5)
    assert found["resources"][0] == {"type": "lora", "name": "b.safetensors", "weight": 0.6}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # What is on the way from the texts to the sampler.
        ({"n3": linked(positive=["20", 0], negative=["20", 1]),
          "n20": node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], control_net=["21", 0],
                      image=["22", 0])},
         {}),
        ({"n7": node("ConditioningZeroOut", conditioning=["6", 0])}, {"negativePrompt": None}),
        ({"n6": node("ConditioningCombine", conditioning_1=["20", 0], conditioning_2=["21", 0]),
          "n20": node("CLIPTextEncode", text="one"), "n21": node("CLIPTextEncode", text="two")},
         {"prompt": "one, two"}),
        ({"n6": node("CLIPTextEncodeSDXL", text_g="same", text_l="same", width=1024, height=1024)}, {"prompt": "same"}),
        # A text that is made by other nodes.
        ({"n6": node("CLIPTextEncode", text=["20", 0]), "n20": node("ShowText|pysssss", text=["21", 0], text_0="old"),
          "n21": node("PrimitiveStringMultiline", value="shown")}, {"prompt": "shown"}),
        ({"n6": node("CLIPTextEncode", text=["20", 0]),
          "n20": node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="a", mode="populate")},
         {"prompt": "a"}),
        ({"n6": node("CLIPTextEncode", text=["20", 0]),
          "n20": node("StringReplace", string="a cat", find="a", replace="b")}, {"prompt": None}),
        ({"n6": node("CLIPTextEncodeSDXL", text_g=["20", 0], text_l="a part"),
          "n20": node("StringConcatenate", string_a="a", string_b="b", delimiter=" ")}, {"prompt": None}),
        ({"n6": node("ConditioningConcat", conditioning_to=["20", 0], conditioning_from=["21", 0]),
          "n20": node("CLIPTextEncode", text="a part"), "n21": node("LoadConditioning", name="b")}, {"prompt": None}),
        ({"n6": node("ConditioningConcat", conditioning_to=["20", 0], conditioning_from=["21", 0]),
          "n20": node("CLIPTextEncode", text="all"), "n21": node("CLIPTextEncode", text="")}, {"prompt": "all"}),
        ({"n6": node("CLIPTextEncode", text=["20", 0]), "n20": node("LoadText", file="a.txt")}, {"prompt": None}),
        ({"n6": node("CLIPTextEncode", text=["6", 0])}, {"prompt": None}),
        ({"n6": node("CLIPTextEncode", text=["99", 0])}, {"prompt": None}),
        ({"n6": node("CLIPTextEncode", text=5)}, {"prompt": None}),
        # Numbers and words that are made by other nodes.
        ({"n3": linked(seed=["20", 0], steps=["21", 0], cfg=["23", 0], sampler_name=["24", 0], scheduler=["24", 1]),
          "n20": node("Seed (rgthree)", seed=9), "n21": node("MathExpression|pysssss", expression="a*2", a=["22", 0]),
          "n22": node("PrimitiveInt", value=4), "n23": node("Reroute", **{"": ["25", 0]}),
          "n24": node("Sampler Selector", sampler_name="lcm", scheduler="simple"),
          "n25": node("PrimitiveFloat", value=2.5)},
         {"seed": 9, "steps": None, "cfgScale": 2.5, "sampler": "lcm", "scheduler": "simple"}),
        ({"n5": node("EmptyLatentImage", width=["20", 0], height=["20", 1]),
          "n20": node("CR Aspect Ratio", width=512, height=512, aspect_ratio="4:3")}, {"width": None, "height": None}),
        # Models and what changes them.
        ({"n11": node("Power Lora Loader (rgthree)", lora_1={"on": True, "lora": "c", "strength": 0.5},
                      lora_2={"on": False, "lora": "d", "strength": 1}, model=["4", 0])},
         {"resources": [{"type": "lora", "name": "c", "weight": 0.5}, BASIC["resources"][2]]}),
        ({"n4": node("CheckpointLoader|pysssss", ckpt_name={"content": "e.safetensors", "image": None}),
          "n11": node("Reroute", **{"": ["4", 0]})},
         {"Model": "e.safetensors", "resources": [{"type": "model", "name": "e.safetensors"}]}),
        ({"n11": node("LoraLoader", lora_name="None", strength_model=1, model=["4", 0])},
         {"resources": [BASIC["resources"][2]]}),
        ({"n11": node("ModelMergeSimple", model1=["4", 0], model2=["10", 0], ratio=1)},
         {"Model": None, "resources": None}),
        # Pictures that begin with a picture.
        ({"n5": node("VAEEncode", pixels=["20", 0], vae=["4", 2]), "n20": node("LoadImage", image="a.png")},
         {"width": None, "height": None}),
        # Values that are none.
        ({"n5": node("EmptyLatentImage", width="wide", height=True)}, {"width": None, "height": None}),
        # A second sampler that goes on with what the first one began.
        ({"n20": node("KSampler", seed=1, steps=5, cfg=1, positive=["6", 0], negative=["7", 0], model=["4", 0],
                      latent_image=["21", 0]), "n21": node("LatentUpscaleBy", samples=["3", 0], scale_by=1.5)}, {}),
        ({"n20": node("UltimateSDUpscale", seed=1, steps=5, cfg=1, positive=["6", 0], negative=["7", 0],
                      model=["4", 0], image=["8", 0])}, {}),
    ],
)  # fmt: skip
def test_what_is_certain_of_a_graph(changes: dict[str, Node], expected: dict[str, Any]) -> None:
    wanted = {name: value for name, value in {**BASIC, **expected}.items() if value is not None}
    assert of_graph(basic(**changes)) == wanted


def test_of_two_beginnings_only_what_both_say() -> None:
    found = of_graph(basic(n20=linked(seed=6, steps=21)))
    assert found == {name: value for name, value in BASIC.items() if name not in ("seed", "steps")}


def test_numbers_that_are_none_are_left_out() -> None:
    graph = basic()
    graph["3"]["inputs"] |= {"cfg": math.nan, "denoise": math.inf, "seed": "5", "steps": None}
    found = read(prompt=json.dumps(graph))
    assert not {"cfgScale", "denoise", "seed", "steps"} & found.keys()
    assert found["prompt"] == "a cat"


def test_a_graph_in_circles_comes_to_an_end() -> None:
    graph = basic(
        n6=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["7", 0]),
        n10=node("LoraLoader", lora_name="a", model=["11", 0]),
        n5=node("LatentFlip", samples=["5", 0]),
    )
    assert of_graph(graph)["prompt"] == "dogs"


def test_a_graph_with_very_many_samplers_says_nothing() -> None:
    graph = {str(number): basic()["3"] for number in range(3000)}
    assert of_graph(graph) == {}


def test_a_graph_in_a_webp_file_of_comfyui() -> None:
    tags = {0x0110: f"prompt:{json.dumps(basic())}".encode() + b"\0", 0x010F: b'workflow:{"nodes": []}\0'}
    meta = read_image_meta(files.webp((b"EXIF", files.exif(tags))))
    assert meta is not None
    assert meta.seed == BASIC["seed"]
    assert json.loads(str(meta["comfy"])) == {"prompt": basic(), "workflow": {"nodes": []}}


def test_a_graph_of_the_sites_own_generator() -> None:
    said = {
        "prompt": "as it was asked for", "negativePrompt": "n", "steps": 25, "cfgScale": 4, "sampler": "Euler a",
        "seed": 3, "workflowId": "txt2img", "resources": [{"modelVersionId": 691639, "strength": 0.5}, 5],
    }  # fmt: skip
    graph = {**basic(), "extra": {"airs": ["urn:air:x"]}, "extraMetadata": json.dumps(said)}
    comment = files.commented(json.dumps(graph), order=">")
    meta = read_image_meta(files.jpeg(files.segment(0xE1, b"Exif\0\0" + comment)))
    assert meta is not None
    assert (meta.prompt, meta.steps, meta.seed, meta["workflowId"]) == ("as it was asked for", 25, 3, "txt2img")
    assert [(used.model_version_id, used.weight) for used in meta.civitai_resources] == [(691639, 0.5)]
    assert meta.size == (832, 1216)
    assert json.loads(str(meta["comfy"])) == {"prompt": graph}


def test_a_text_beside_a_graph_goes_first() -> None:
    found = read(parameters="said by hand\nSteps: 9", prompt=json.dumps(basic()))
    assert (found["prompt"], found["steps"], found["seed"]) == ("said by hand", 9, BASIC["seed"])
    assert "comfy" in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "lora", "on", "strength", "name", "model", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
LINKS = st.tuples(st.sampled_from("12345"), st.integers(0, 2)).map(list)
INPUTS = st.dictionaries(
    st.sampled_from(
        ["positive", "negative", "model", "latent_image", "seed", "steps", "cfg", "text", "noise", "guider", "sampler",
         "sigmas", "conditioning", "lora_name", "strength_model", "ckpt_name", "width", "height", "value", "lora_1"]
    ),
    LINKS | JSON,
    max_size=9,
)  # fmt: skip
NODES = st.fixed_dictionaries({"class_type": st.just("K") | JSON, "inputs": INPUTS | JSON}) | JSON


@given(st.dictionaries(st.sampled_from("12345"), NODES, max_size=5))
def test_no_graph_is_fatal(graph: dict[str, Any]) -> None:
    meta = read_image_meta(files.png(files.plain("prompt", json.dumps(graph))))
    assert (meta is None) == (not graph)
    if meta is not None:
        assert meta.size is None or min(meta.size) > 0
        assert isinstance(meta.resources, list)


# ------------------------------------------------------------------------------------------------------ JSON of others

NOVEL = {
    "prompt": "a cat", "steps": 28, "height": 1216, "width": 832, "scale": 5.0, "uncond_scale": 1.0, "seed": 1234567890,
    "n_samples": 1, "sampler": "k_euler_ancestral", "uc": "dogs", "strength": None,
}  # fmt: skip
INVOKE = {
    "app_version": "5.0.0", "generation_mode": "sdxl_txt2img", "positive_prompt": "a cat", "negative_prompt": "dogs",
    "width": 832, "height": 1216, "seed": 1234567890, "cfg_scale": 5.0, "steps": 28, "scheduler": "euler_a",
    "model": {"key": "k", "hash": "blake3:01", "name": "base", "base": "sdxl", "type": "main"},
    "loras": [{"model": {"name": "detail"}, "weight": 0.75}, {"lora": {"model_name": "old"}, "weight": 1}],
}  # fmt: skip
FOOOCUS = {
    "prompt": "a cat", "negative_prompt": "dogs", "steps": 28, "resolution": "(832, 1216)", "guidance_scale": 5.0,
    "base_model": "base", "base_model_hash": "31e35c80fc", "sampler": "dpmpp_2m_sde_gpu", "seed": "1234567890",
    "loras": [["detail", 0.75, "9c783c8ce46c"]], "metadata_scheme": "fooocus", "version": "Fooocus v2.5.0",
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        "prompt": "a cat", "negativeprompt": "dogs", "model": "base", "seed": 1234567890, "steps": 28, "cfgscale": 5.0,
        "width": 832, "height": 1216, "loras": ["detail"], "loraweights": ["0.75"], "swarm_version": "0.9.2",
    },
    "sui_models": [],
}  # fmt: skip
DRAW_THINGS = {
    "c": "a cat", "uc": "dogs", "seed": 1234567890, "steps": 28, "scale": 5.0, "size": "832x1216", "model": "base",
    "sampler": "Euler a", "lora": [{"model": "detail", "weight": 0.75}], "v2": {"shift": 1},
}  # fmt: skip
OTHERS = {
    "NovelAI": [
        files.plain("Software", "NovelAI"), files.plain("Description", "a cat"),
        files.plain("Comment", json.dumps(NOVEL)),
    ],
    "InvokeAI": [files.plain("invokeai_metadata", json.dumps(INVOKE))],
    "Fooocus": [files.plain("fooocus_scheme", "fooocus"), files.plain("parameters", json.dumps(FOOOCUS))],
    "SwarmUI": [files.plain("parameters", json.dumps(SWARM))],
    "Draw Things": [files.international("XML:com.adobe.xmp", files.xmp(json.dumps(DRAW_THINGS)))],
}  # fmt: skip


@pytest.mark.parametrize("program", OTHERS)
def test_json_of_a_program(program: str) -> None:
    meta = read_image_meta(files.png(*OTHERS[program]))
    assert isinstance(meta, ImageMeta)
    assert (meta.prompt, meta.negative_prompt, meta.steps, meta.seed) == ("a cat", "dogs", 28, 1234567890)
    assert (meta.cfg_scale, meta.size) == (5.0, (832, 1216))
    if program != "NovelAI":
        assert meta.model == "base"
        assert ("lora", "detail", 0.75) in [(used.type, used.name, used.weight) for used in meta.resources]


def test_what_the_api_does_not_name_is_kept() -> None:
    meta = read_image_meta(files.png(*OTHERS["InvokeAI"]))
    assert meta is not None
    assert (meta["generation_mode"], meta["scheduler"], meta["model"]["base"]) == ("sdxl_txt2img", "euler_a", "sdxl")


def test_json_of_nobody_knows_whom_says_nothing() -> None:
    assert read(parameters='{"prompt": "a cat"}') == {}
    assert read(Comment=json.dumps(NOVEL)) == {}
    assert read(UserComment="[1]", invokeai_metadata="null") == {}


@given(
    st.sampled_from(sorted(OTHERS)),
    st.dictionaries(
        st.sampled_from(["prompt", "c", "uc", "lora", "loras", "loraweights", "model", "resolution", "resources", "id",
                         "meta", "hashes", "seed", "size", "comfy"]),
        JSON,
        max_size=6,
    ),
)  # fmt: skip
def test_no_json_is_fatal(program: str, changes: dict[str, Any]) -> None:
    said = {
        "NovelAI": NOVEL | changes,
        "InvokeAI": INVOKE | changes,
        "Fooocus": FOOOCUS | changes,
        "SwarmUI": {"sui_image_params": SWARM["sui_image_params"] | changes},  # type: ignore[operator]
        "Draw Things": DRAW_THINGS | changes,
    }[program]
    keyword = {"NovelAI": "Comment", "InvokeAI": "invokeai_metadata"}.get(program, "parameters")
    meta = read_image_meta(files.png(files.plain("Software", "NovelAI"), files.plain(keyword, json.dumps(said))))
    assert meta is not None
    for name in ("prompt", "seed", "size", "resources", "civitai_resources", "model"):
        getattr(meta, name)
    assert meta.to_dict()
