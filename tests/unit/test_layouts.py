"""Layouts: every type of the catalogue has its folder, and nothing that a creator writes leads out of it."""

from __future__ import annotations

import pickle
from pathlib import PurePosixPath
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.site.models.base_model import BaseModel
from civitai_api.site.models.model_file_type import ModelFileType
from civitai_api.site.models.model_type import ModelType
from civitai_ext._file_names import safe_name
from civitai_ext.catalogue import Model, ModelFile, ModelVersion
from civitai_ext.errors import InvalidRequest
from civitai_ext.layouts import PROGRAMS, TOKENS, Layout


def words(enum: Any) -> list[str]:
    """The words that an open enumeration knows."""
    return list(get_args(get_args(enum)[0]))


def folder(
    layout: str,
    model_type: str | None = "Checkpoint",
    file_type: str | None = "Model",
    *,
    base_model: str = "SD 1.5",
    name: str = "a.safetensors",
    version: str = "v1",
    to: str | None = None,
    others: tuple[str, ...] = (),
    **metadata: str,
) -> str:
    file = {"name": name, "type": file_type, "metadata": metadata}
    whole = ModelVersion.from_dict(
        {
            "name": version,
            "baseModel": base_model,
            "model": {"type": model_type},
            "files": [file, *({"name": "b.safetensors", "type": other} for other in others)],
        }
    )
    return str(Layout(layout).path_for(None, whole, whole.files[0], to=to).parent)


# Every type of model: where its main file goes in ComfyUI, AUTOMATIC1111 and InvokeAI.
OF_MODELS = {
    "AestheticGradient": ("models/unsorted/aesthetic_gradient",) * 2 + ("unsorted/aesthetic_gradient",),
    "CLIP": ("models/text_encoders", "models/text_encoder", "autoimport/text_encoder"),
    "CLIPVision": ("models/clip_vision", "models/unsorted/clip_vision", "autoimport/clip_vision"),
    "Checkpoint": ("models/checkpoints", "models/Stable-diffusion", "autoimport/main"),
    "ComfyWorkflows": ("user/default/workflows", "models/unsorted/workflows", "unsorted/workflows"),
    "Controlnet": ("models/controlnet", "models/ControlNet", "autoimport/controlnet"),
    "Detection": ("models/ultralytics/bbox", "models/adetailer", "unsorted/detector"),
    "DoRA": ("models/loras", "models/Lora", "autoimport/lora"),
    "Hypernetwork": ("models/hypernetworks", "models/hypernetworks", "unsorted/hypernetwork"),
    "LLM": ("models/LLM", "models/unsorted/language_model", "unsorted/language_model"),
    "LORA": ("models/loras", "models/Lora", "autoimport/lora"),
    "LoCon": ("models/loras", "models/Lora", "autoimport/lora"),
    "MotionModule": ("models/animatediff_models", "models/unsorted/motion_module", "unsorted/motion_module"),
    "Other": ("models/unsorted/other", "models/unsorted/other", "unsorted/other"),
    "Poses": ("models/unsorted/poses", "models/unsorted/poses", "unsorted/poses"),
    "TextEncoder": ("models/text_encoders", "models/text_encoder", "autoimport/text_encoder"),
    "TextualInversion": ("models/embeddings", "embeddings", "autoimport/embedding"),
    "UNet": ("models/diffusion_models", "models/Stable-diffusion", "autoimport/main"),
    "Upscaler": ("models/upscale_models", "models/ESRGAN", "autoimport/upscaler"),
    "VAE": ("models/vae", "models/VAE", "autoimport/vae"),
    "VisionLanguage": ("models/LLM", "models/unsorted/language_model", "unsorted/language_model"),
    "Wildcards": ("models/unsorted/wildcards", "models/unsorted/wildcards", "unsorted/wildcards"),
    "Workflows": ("user/default/workflows", "models/unsorted/workflows", "unsorted/workflows"),
}

# Every type of file: where it goes in ComfyUI if it comes with a checkpoint, and with a LoRA.
OF_FILES = {
    "Archive": ("models/checkpoints", "models/loras"),
    "CLIPVision": ("models/clip_vision",) * 2,
    "Config": ("models/configs", "models/loras"),
    "ControlNet": ("models/controlnet",) * 2,
    "Diffusion Model": ("models/diffusion_models",) * 2,
    "Enhancement LoRA": ("models/loras",) * 2,
    "Model": ("models/checkpoints", "models/loras"),
    "Negative": ("models/embeddings",) * 2,
    "Other": ("models/unsorted/other",) * 2,
    "Pruned Model": ("models/checkpoints", "models/loras"),
    "Text Encoder": ("models/text_encoders",) * 2,
    "Training Data": ("models/unsorted/training_data",) * 2,
    "UNet": ("models/diffusion_models",) * 2,
    "Upscaler": ("models/upscale_models",) * 2,
    "VAE": ("models/vae",) * 2,
    "Vision Encoder": ("models/clip_vision",) * 2,
    "Workflow": ("user/default/workflows",) * 2,
}

# The base models whose checkpoints are whole as a rule; of all others they are the bare diffusion model.
WHOLE = {
    *(
        "SD 1.4",
        "SD 1.5",
        "SD 1.5 Hyper",
        "SD 1.5 LCM",
        "SD 2.0",
        "SD 2.0 768",
        "SD 2.1",
        "SD 2.1 768",
        "SD 2.1 Unclip",
    ),
    *("SD 3", "SD 3.5", "SD 3.5 Large", "SD 3.5 Large Turbo", "SD 3.5 Medium"),
    *("SDXL 0.9", "SDXL 1.0", "SDXL 1.0 LCM", "SDXL Distilled", "SDXL Hyper", "SDXL Lightning", "SDXL Turbo"),
    *("Illustrious", "NoobAI", "Pony", "Pony V7", "AuraFlow", "Playground v2", "Stable Cascade", "SVD", "SVD XT"),
    *("ACE Audio", "Hunyuan 1", "Hunyuan3D", "LTXV", "LTXV 2.3", "LTXV2", "Lumina", "Other", "Upscaler"),
}


@pytest.mark.parametrize("model_type", words(ModelType))
def test_every_type_of_model_has_its_folders(model_type: str) -> None:
    assert tuple(folder(program, model_type) for program in PROGRAMS) == OF_MODELS[model_type]


@pytest.mark.parametrize("file_type", words(ModelFileType))
def test_every_type_of_file_has_its_folder(file_type: str) -> None:
    assert tuple(folder("comfyui", model, file_type) for model in ("Checkpoint", "LORA")) == OF_FILES[file_type]


@pytest.mark.parametrize("base_model", words(BaseModel))
def test_of_every_base_model_it_is_known_what_its_checkpoints_hold(base_model: str) -> None:
    expected = "models/checkpoints" if base_model in WHOLE else "models/diffusion_models"
    assert folder("comfyui", base_model=base_model) == expected
    assert folder("comfyui", "LORA", base_model=base_model) == "models/loras"
    assert folder("a1111", base_model=base_model) == "models/Stable-diffusion"


@pytest.mark.parametrize(
    ("told", "last"),
    [
        ({"base_model": ""}, "checkpoints"),
        ({"base_model": "Of Next Year"}, "diffusion_models"),
        ({"base_model": "SD 1.5", "format": "GGUF"}, "diffusion_models"),
        ({"base_model": "SD 1.5", "name": "a.gguf"}, "diffusion_models"),
        ({"base_model": "Flux.1 D", "name": "flux_AIO_fp8.safetensors"}, "checkpoints"),
        ({"base_model": "Flux.1 D", "name": "fluxUnchained_aioFP8.safetensors"}, "checkpoints"),
        ({"base_model": "Flux.1 D", "name": "fluxAIO.safetensors"}, "checkpoints"),
        ({"base_model": "Flux.1 D", "version": "v2 All-in-One"}, "checkpoints"),
        ({"base_model": "Flux.1 D", "name": "ciaio.safetensors", "version": "Maiorca"}, "diffusion_models"),
        ({"base_model": "Flux.1 D", "others": ("UNet",)}, "checkpoints"),
        ({"base_model": "Flux.1 D", "others": ("VAE", "Text Encoder")}, "diffusion_models"),
        ({"base_model": "Flux.1 D", "file_type": None}, "diffusion_models"),
        ({"base_model": "Flux.1 D", "file_type": "Archive"}, "checkpoints"),
        ({"model_type": "Detection", "name": "face_yolov8m-seg_60.pt"}, "ultralytics/segm"),
        ({"model_type": "Controlnet", "file_type": "Config"}, "controlnet"),
        ({"model_type": None}, "unsorted/other"),
        ({"model_type": "New/../Kind"}, "unsorted/New_.._Kind"),
        ({"file_type": ".."}, "unsorted/file"),
    ],
)
def test_what_the_catalogue_tells_decides(told: dict[str, Any], last: str) -> None:
    assert folder("ComfyUI", **told) == f"models/{last}"


@pytest.mark.parametrize(
    ("layout", "model_type", "to", "expected"),
    [
        ("comfyui", "LORA", "ComfyUI", "models/loras"),
        ("comfyui", "LORA", "ComfyUI/models", "loras"),
        ("comfyui", "LORA", "models/", "loras"),
        ("comfyui", "LORA", "models-of-mine", "models/loras"),
        ("comfyui", "Poses", "models", "unsorted/poses"),
        ("comfyui", "Workflows", "models", "unsorted/workflows"),
        ("a1111", "TextualInversion", "Models", "unsorted/embedding"),
        ("a1111", "Checkpoint", "models", "Stable-diffusion"),
        ("invokeai", "LORA", "autoimport", "lora"),
        ("invokeai", "LORA", "models", "autoimport/lora"),
        ("invokeai", "Poses", "autoimport", "unsorted/poses"),
        ("{type}/{file_name}", "LORA", "models", "LORA"),
    ],
)
def test_the_folder_of_a_program_or_its_folder_of_models(layout: str, model_type: str, to: str, expected: str) -> None:
    assert folder(layout, model_type, to=to) == expected


MODEL = Model.from_dict({"id": 4, "name": "Dream/Shaper", "type": "Checkpoint", "creator": {"username": "lykon"}})
VERSION = ModelVersion.from_dict(
    {
        "id": 128713,
        "modelId": 4,
        "name": "8",
        "baseModel": "SD 1.5",
        "publishedAt": "2023-07-29T22:01:45Z",
        "model": {"name": "of the version", "type": "LORA"},
    }
)
FILE = ModelFile.from_dict({"id": 5, "name": "ds_8.safetensors", "type": "Model", "metadata": {"fp": "fp16"}})


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{file_name}", "ds_8.safetensors"),
        ("{type}/{base_model}/{file_name}", "Checkpoint/SD 1.5/ds_8.safetensors"),
        ("{creator}/{model} - {version}.{ext}", "lykon/Dream_Shaper - 8.safetensors"),
        ("by {creator}/{model_id}@{version_id}+{file_id}.{ext}", "by lykon/4@128713+5.safetensors"),
        ("{date}/{format}-{precision}-{file_type}/{file_name}", "2023-07-29/SafeTensor-fp16-Model/ds_8.safetensors"),
        ("{{x}}/{file_name}", "{x}/ds_8.safetensors"),
    ],
)
def test_a_pattern_is_filled_in(pattern: str, path: str) -> None:
    assert Layout(pattern).path_for(MODEL, VERSION, FILE) == PurePosixPath(path)


def test_a_version_alone_tells_of_its_model() -> None:
    assert (
        str(Layout("{type}/{model}/{file_name}").path_for(None, VERSION, FILE))
        == "LORA/of the version/ds_8.safetensors"
    )


def test_what_is_not_known_is_called_so() -> None:
    pattern = "/".join(f"{{{token}}}" for token in TOKENS if token not in ("ext", "file_name")) + "/{model}.{ext}"
    empty = Layout(pattern).path_for(None, ModelVersion.from_dict({}), ModelFile.from_dict({}))
    assert set(empty.parts) == {"unknown", "undated"}
    assert empty.name == "unknown"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{basemodel}/{file_name}", "there is no {basemodel}"),
        ("{}/{file_name}", "there is no {}"),
        ("{0}/{file_name}", "there is no {0}"),
        ("{model.name}/{file_name}", "there is no {model.name}"),
        ("{model[0]}/{file_name}", "there is no {model[0]}"),
        ("{model!r}/{file_name}", "there is no {model!r}"),
        ("{model_id:08}/{file_name}", "there is no {model_id:08}"),
        ("/{file_name}", "does not begin below the folder"),
        ("~/{file_name}", "does not begin below the folder"),
        ("../{file_name}", "part '..' can be no name"),
        ("a/./{file_name}", "part '.' can be no name"),
        ("C:/{file_name}", "part 'C:' can be no name"),
        ("{type}\\{file_name}", "can be no name"),
        ("nul/{file_name}", "part 'nul' can be no name"),
        (".{model}/{file_name}", "can be no name"),
        ("{type}//{file_name}", "empty part"),
        ("{type}/", "empty part"),
        ("{type/{file_name}", "cannot be read"),
        ("type}/{file_name}", "cannot be read"),
        ("{type}/{model}", "lacks {file_name} or {ext}"),
        ("", "neither a program nor a pattern"),
        ("comfy", "Programs are 'comfyui', 'a1111', 'invokeai'"),
        ("checkpoints/fixed.safetensors", "neither a program nor a pattern"),
    ],
)
def test_a_wrong_layout_is_refused_at_once(pattern: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        Layout(pattern)
    assert said in str(error.value)
    assert all(f"{{{token}}}" in str(error.value) for token in TOKENS)


def test_a_layout_is_a_text() -> None:
    wrong: Any = None
    with pytest.raises(InvalidRequest, match="comfyui"):
        Layout(wrong)


def test_layouts_are_values() -> None:
    assert Layout("comfyui") == Layout("comfyui") != Layout("a1111")
    assert repr(Layout("a1111")) == "Layout(pattern='a1111')"
    assert pickle.loads(pickle.dumps(Layout("{file_name}"))) == Layout("{file_name}")  # noqa: S301  # it is ours
    assert len({Layout("a1111"), Layout("a1111")}) == 1


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
NASTY = JSON | st.sampled_from(["..", "../..", "/", "C:\\", "\u202e", "nul", "a/b", "x" * 300, ".", "｟／．．／"])


@given(
    st.sampled_from([*PROGRAMS, *(f"{{{token}}}/{{{token}}} {{file_name}}" for token in TOKENS), "{model}.{ext}"]),
    st.fixed_dictionaries({}, optional={"id": NASTY, "name": NASTY, "type": NASTY, "creator": NASTY}),
    st.fixed_dictionaries({}, optional={"name": NASTY, "baseModel": NASTY, "publishedAt": NASTY, "model": NASTY}),
    st.fixed_dictionaries({}, optional={"id": NASTY, "name": NASTY, "type": NASTY, "metadata": NASTY}),
    st.sampled_from([None, "models", "x"]),
)
def test_nothing_that_is_sent_leads_out_of_the_folder(
    layout: str, model: dict[str, Any], version: dict[str, Any], file: dict[str, Any], to: str | None
) -> None:
    path = Layout(layout).path_for(
        Model.from_dict(model), ModelVersion.from_dict(version), ModelFile.from_dict(file), to=to
    )
    assert not path.is_absolute()
    assert all(safe_name(part) == part for part in path.parts)
