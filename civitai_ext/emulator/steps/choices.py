"""Which values the discriminators of inputs take, and what each choice needs, as the service's document has it."""

from __future__ import annotations

from typing import Any

Tree = dict[str, dict[str | None, Any]]
"""A discriminator with its values. Each value leads to another discriminator or to the names of the fields it needs,
written as `steps.checks.rules` reads them. `None` leads to the value that an absent discriminator means."""

# fmt: off

IMAGES: Tree = {"engine": {
    "comfy": {"ecosystem": {
        "anima": {"operation": {"createImage": "", "createVariant": "image"}},
        "boogu": {"model": {
            "base": {"operation": {"createImage": ""}},
            "edit": {"operation": {"editImage": ""}},
            "editTurbo": {"operation": {"editImage": ""}},
            "turbo": {"operation": {"createImage": ""}},
        }},
        "ernie": {"model": {
            "ernie": {"operation": {"createImage": ""}},
            "turbo": {"operation": {"createImage": ""}},
        }},
        "flux1": {"operation": {"createImage": "model", "createVariant": "model image"}},
        "flux2Dev": {"operation": {"createImage": "", "editImage": ""}},
        "hidream-o1": {"model": {
            "HiDream-O1-Image": {"operation": {"createImage": "", "editImage": ""}},
            "HiDream-O1-Image-dev": {"operation": {"createImage": "", "editImage": ""}},
        }},
        "ideogram4": {"operation": {"createImage": ""}},
        "krea2": {"model": {
            "edit": {"operation": {"editImage": "images[]"}},
            "raw": {"operation": {"createImage": ""}},
            "turbo": {"operation": {"createImage": ""}},
        }},
        "lens": {"model": {
            "normal": {"operation": {"createImage": ""}},
            "turbo": {"operation": {"createImage": ""}},
        }},
        "mageflow": {"model": {
            "4b": {"operation": {"createImage": ""}},
            "4b-edit": {"operation": {"editImage": "images[]"}},
            "4b-edit-turbo": {"operation": {"editImage": "images[]"}},
            "4b-turbo": {"operation": {"createImage": ""}},
        }},
        "sd1": {"operation": {"createImage": "model", "createVariant": "model image"}},
        "sdxl": {"operation": {"createImage": "model", "createVariant": "model image"}},
    }},
    "fal": {"model": {
        "krea2": {"operation": {"createImage": ""}},
        "maiImage": {"operation": {"createImage": "", "editImage": "images[]"}},
        "qwen2": {"operation": {
            "createImage": "",
            "editImage": "images[]",
            "proCreateImage": "",
            "proEditImage": "images[]",
        }},
        "reve": {"operation": {"createImage": "", "editImage": "images[]"}},
    }},
    "flux1-kontext": {"model": {"dev": "", "max": "", "pro": ""}},
    "flux2": {"model": {
        "dev": {"operation": {"createImage": "", "editImage": ""}},
        "flex": {"operation": {"createImage": "", "editImage": ""}},
        "klein": {"operation": {"createImage": "", "editImage": ""}},
        "max": {"operation": {"createImage": "", "editImage": ""}},
        "pro": {"operation": {"createImage": "", "editImage": ""}},
    }},
    "gemini": {"model": {"2.5-flash": {"operation": {"createImage": "", "editImage": "images[]"}}}},
    "google": {"model": {
        "imagen4": "",
        "nano-banana-2": "",
        "nano-banana-2-lite": "",
        "nano-banana-pro": "",
    }},
    "grok": {"version": {
        None: "v1.0",
        "v1.0": {"operation": {"createImage": "", "editImage": "images[]"}},
        "v2.0": {"operation": {None: "createImage", "createImage": "", "editImage": "images[]"}},
    }},
    "openai": {"model": {
        "dall-e-2": {"operation": {"createImage": "", "editImage": "image"}},
        "dall-e-3": {"operation": {"createImage": ""}},
        "gpt-image-1": {"operation": {"createImage": "", "editImage": "images[]"}},
        "gpt-image-1.5": {"operation": {"createImage": "", "editImage": "images[]"}},
        "gpt-image-2": {"operation": {"createImage": "", "editImage": "images[]"}},
    }},
    "qwen": {"operation": {None: "createImage", "createImage": "", "editImage": "images[]"}},
    "sdcpp": {"ecosystem": {
        "anima": {"operation": {"createImage": "", "createVariant": "image"}},
        "flux1": {"operation": {
            "createImage": "diffuserModel",
            "createVariant": "diffuserModel image",
            "editImage": "diffuserModel",
        }},
        "flux2Dev": {"operation": {"createImage": "", "createVariant": "image", "editImage": ""}},
        "flux2Klein": {"operation": {"createImage": "", "createVariant": "image", "editImage": ""}},
        "qwen": {"model": {
            "20b": {"operation": {"createImage": "", "createVariant": "image", "editImage": "images[]"}},
        }},
        "sd1": {"operation": {"createImage": "model", "createVariant": "model image"}},
        "sdxl": {"operation": {"createImage": "model", "createVariant": "model image"}},
        "zImage": {"model": {
            "base": {"operation": {"createImage": ""}},
            "turbo": {"operation": {"createImage": ""}},
        }},
    }},
    "seedream": "",
    "wan": {"version": {
        None: "v2.2",
        "v2.2": {"provider": {None: "fal", "fal": ""}},
        "v2.2-5b": {"provider": {None: "fal", "fal": ""}},
        "v2.5": {"provider": {
            None: "fal",
            "fal": {"operation": {None: "text-to-image", "image-to-image": "", "text-to-image": ""}},
        }},
        "v2.7": {"provider": {
            None: "fal",
            "fal": {"operation": {None: "createImage", "createImage": "", "editImage": "images[]"}},
        }},
    }},
}}

VIDEOS: Tree = {"engine": {
    "flux": {"version": {
        None: "v3.0",
        "v3.0": {"operation": {
            "draftEnhance": "draftCache",
            "extendVideo": "sourceVideo",
            "firstLastFrameToVideo": "endImage startImage",
            "imageToVideo": "image",
            "keyframesToVideo": "keyframes[]",
            "textToVideo": "",
        }},
    }},
    "grok": {"version": {
        None: "v1.0",
        "v1.0": {"operation": {
            None: "text-to-video",
            "edit-video": "videoUrl",
            "image-to-video": "",
            "text-to-video": "",
        }},
        "v1.5": {"operation": {
            None: "textToVideo",
            "imageToVideo": "",
            "referenceToVideo": "images[]",
            "textToVideo": "",
        }},
    }},
    "haiper": "",
    "happyHorse": {"version": {
        "v1.0": {"operation": {
            "imageToVideo": "image",
            "referenceToVideo": "images[]",
            "textToVideo": "",
            "videoEdit": "sourceVideo",
        }},
        "v1.1": {"operation": {"imageToVideo": "image", "referenceToVideo": "images[]", "textToVideo": ""}},
    }},
    "hunyuan": "",
    "kling": "",
    "kling-v3": "",
    "lightricks": "",
    "ltx2": {"operation": {
        None: "createVideo",
        "createVideo": "",
        "editVideo": "sourceVideo",
        "extendVideo": "sourceVideo",
        "firstLastFrameToVideo": "",
    }},
    "ltx2.3": {"operation": {
        None: "createVideo",
        "audioToVideo": "sourceAudio",
        "createVideo": "",
        "editVideo": "sourceVideo",
        "extendVideo": "sourceVideo",
        "firstLastFrameToVideo": "",
        "videoToVideo": "sourceVideo",
    }},
    "ltx2.5": {"operation": {
        None: "createVideo",
        "audioToVideo": "sourceAudio",
        "createVideo": "",
        "editVideo": "sourceVideo",
        "extendVideo": "sourceVideo",
        "firstLastFrameToVideo": "",
        "videoToVideo": "sourceVideo",
    }},
    "minimax": "",
    "minimax-h3": "",
    "minimax-h3-comfy": {"operation": {None: "imageToVideo", "imageToVideo": "", "referenceToVideo": "images[]"}},
    "mochi": "",
    "seedance": "",
    "sora": {"operation": {None: "text-to-video", "image-to-video": "", "text-to-video": ""}},
    "veo3": "",
    "vidu": "",
    "vidu-q3": "",
    "wan": {"version": {
        None: "v2.1",
        "v2.1": {"provider": {None: "civitai", "civitai": "", "fal": ""}},
        "v2.2": {"provider": {
            None: "fal",
            "comfy": "",
            "fal": {"operation": {None: "text-to-video", "image-to-video": "", "text-to-video": ""}},
        }},
        "v2.2-5b": {"provider": {
            None: "fal",
            "fal": {"operation": {None: "text-to-video", "image-to-video": "", "text-to-video": ""}},
        }},
        "v2.5": {"provider": {
            None: "fal",
            "fal": {"operation": {None: "text-to-video", "image-to-video": "", "text-to-video": ""}},
        }},
        "v2.6": {"provider": {
            None: "fal",
            "fal": {"operation": {
                None: "text-to-video",
                "image-to-video": "",
                "reference-to-video": "",
                "text-to-video": "",
            }},
        }},
        "v2.7": {"provider": {
            None: "fal",
            "fal": {"operation": {
                None: "text-to-video",
                "edit-video": "videoUrl",
                "image-to-video": "",
                "reference-to-video": "",
                "text-to-video": "",
            }},
        }},
    }},
}}

PREPROCESSORS: Tree = {"kind": dict.fromkeys((
    "animal-pose", "anyline", "bae-normal", "binary", "canny", "color", "densepose", "depth-anything",
    "depth-anything-v2", "dsine-normal", "dwpose", "fake-scribble", "hed", "leres-depth", "lineart-anime",
    "lineart-manga", "lineart-realistic", "lineart-standard", "mediapipe-face", "metric3d-depth", "metric3d-normal",
    "midas-depth", "midas-normal", "mlsd", "oneformer-ade20k", "oneformer-coco", "openpose", "pidinet", "scribble",
    "scribble-pidinet", "scribble-xdog", "shuffle", "teed", "tile", "uniformer", "zoe-depth", "zoe-depth-anything",
), "image")}

TRACERS: Tree = {"engine": {
    "comfy": {"ecosystem": {"omnisvg": "image", "starvector": "image", "vtracer": "image"}},
}}

SHAPES: Tree = {"engine": {
    "comfy": {"model": {
        "hunyuan3D": {"operation": {
            None: "imageTo3D",
            "imageTo3D": "imageUrl",
            "shapeGen": "imageUrl",
            "texGen": "imageUrl mesh",
        }},
    }},
    "fal": {"model": {
        "meshy": {"version": {
            None: "v6",
            "v6": {"operation": {"imageTo3D": "imageUrl", "textTo3D": "prompt"}},
            "v7": {"operation": {"imageTo3D": "imageUrl", "multiImageTo3D": "imageUrls[]"}},
        }},
        "tripo": "imageUrl",
    }},
}}

VOICES: Tree = {"engine": {
    None: "custom",
    "custom": "",
    "vllm-omni": {"ecosystem": {
        "omnivoice": "",
        "qwen3": {"operation": {"base": "", "customVoice": "speaker", "voiceDesign": "instruct"}},
    }},
}}

TRAININGS: Tree = {"engine": {
    "ai-toolkit": {"ecosystem": {
        "ace_step_15": "",
        "ace_step_15_xl": {"modelVariant": {"base": "", "sft": ""}},
        "anima": "",
        "boogu": "",
        "chroma": "",
        "ernie": "",
        "flux1": {"modelVariant": {"dev": "", "schnell": ""}},
        "flux2klein": {"modelVariant": {"4b": "", "9b": ""}},
        "hidream-o1": "",
        "ideogram4": "",
        "krea2": "",
        "ltx2": "",
        "ltx23": "",
        "ltx25": "",
        "mageflow": "",
        "minimaxh3": "",
        "qwen": "",
        "sd1": "",
        "sdxl": "",
        "zimagebase": "",
        "zimageturbo": "",
    }},
    "comfy": "",
}}

RESOURCE_TRAININGS: Tree = {"engine": dict.fromkeys((
    "flux-dev-fast", "flux2-dev", "flux2-dev-edit", "kohya", "musubi",
), "model trainingData")}

MODERATIONS: Tree = {"mode": {"prompt": "positivePrompt", "text": "text"}}
