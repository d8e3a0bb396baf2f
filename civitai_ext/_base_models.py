"""The platform's base models and type words as data; `civitai_ext.air` turns them into AIR parts.

Taken from the platform as of 2026-08-08. The lists grow with every new model family, so nothing here may be used to
refuse a name: it only says what is known.
"""

from __future__ import annotations

from typing import Final

BASE_MODELS: Final[dict[str, str]] = {
    "Anima": "Anima",
    "AuraFlow": "AuraFlow",
    "Chroma": "Chroma",
    "CogVideoX": "CogVideoX",
    "Ernie": "Ernie",
    "Flux.1 S": "Flux1",
    "Flux.1 D": "Flux1",
    "Flux.1 Krea": "FluxKrea",
    "Flux.1 Kontext": "Flux1Kontext",
    "Flux.2 D": "Flux2",
    "Flux.2 Klein 9B": "Flux2Klein_9B",
    "Flux.2 Klein 9B-base": "Flux2Klein_9B_base",
    "Flux.2 Klein 4B": "Flux2Klein_4B",
    "Flux.2 Klein 4B-base": "Flux2Klein_4B_base",
    "Flux 3 Video": "Flux3Video",
    "Grok": "Grok",
    "HappyHorse": "HappyHorse",
    "HiDream": "HiDream",
    "HiDream-O1": "HiDream-O1",
    "Hunyuan 1": "HyDit1",
    "Hunyuan Video": "HyV1",
    "Ideogram 4.0": "Ideogram",
    "Boogu": "Boogu",
    "Illustrious": "Illustrious",
    "Imagen4": "Imagen4",
    "Kolors": "Kolors",
    "Krea 2": "Krea2",
    "LTXV": "LTXV",
    "LTXV2": "LTXV2",
    "LTXV 2.3": "LTXV23",
    "Lens": "Lens",
    "Lumina": "Lumina",
    "MageFlow": "MageFlow",
    "MAI": "MAI",
    "Mochi": "Mochi",
    "Nano Banana": "NanoBanana",
    "NoobAI": "NoobAI",
    "ODOR": "ODOR",
    "OpenAI": "OpenAI",
    "Upscaler": "Upscaler",
    "Other": "Other",
    "PixArt a": "PixArtA",
    "PixArt E": "PixArtE",
    "Playground v2": "PlaygroundV2",
    "Pony": "Pony",
    "Pony V7": "PonyV7",
    "Qwen": "Qwen",
    "Qwen 2": "Qwen2",
    "Qwen 3": "Qwen3",
    "Stable Cascade": "SCascade",
    "SD 1.4": "SD1",
    "SD 1.5": "SD1",
    "SD 1.5 LCM": "SD1",
    "SD 1.5 Hyper": "SD1",
    "SD 2.0": "SD2",
    "SD 2.0 768": "SD2",
    "SD 2.1": "SD2",
    "SD 2.1 768": "SD2",
    "SD 2.1 Unclip": "SD2",
    "SD 3": "SD3",
    "SD 3.5": "SD3",
    "SD 3.5 Large": "SD3",
    "SD 3.5 Large Turbo": "SD3",
    "SD 3.5 Medium": "SD3_5M",
    "SDXL 0.9": "SDXL",
    "SDXL 1.0": "SDXL",
    "SDXL 1.0 LCM": "SDXL",
    "SDXL Lightning": "SDXL",
    "SDXL Hyper": "SDXL",
    "SDXL Turbo": "SDXL",
    "SDXL Distilled": "SDXLDistilled",
    "Reve": "Reve",
    "Seedream": "Seedream",
    "SVD": "SVD",
    "SVD XT": "SVD",
    "Sora 2": "Sora2",
    "Veo 3": "Veo3",
    "Wan Video": "WanVideo",
    "Wan Video 1.3B t2v": "WanVideo1_3B_T2V",
    "Wan Video 14B t2v": "WanVideo14B_T2V",
    "Wan Video 14B i2v 480p": "WanVideo14B_I2V_480p",
    "Wan Video 14B i2v 720p": "WanVideo14B_I2V_720p",
    "Wan Video 2.2 TI2V-5B": "WanVideo-22-TI2V-5B",
    "Wan Video 2.2 I2V-A14B": "WanVideo-22-I2V-A14B",
    "Wan Video 2.2 T2V-A14B": "WanVideo-22-T2V-A14B",
    "Wan Video 2.5 T2V": "WanVideo-25-T2V",
    "Wan Video 2.5 I2V": "WanVideo-25-I2V",
    "Wan Image 2.7": "WanImage27",
    "Wan Video 2.7": "WanVideo27",
    "ZImageTurbo": "ZImageTurbo",
    "ZImageBase": "ZImageBase",
    "Vidu Q1": "Vidu",
    "MiniMax H3": "MiniMaxH3",
    "Kling": "Kling",
    "Seedance": "Seedance",
    "ACE Audio": "Ace",
    "PolyGen": "PolyGen",
    "Tripo": "Tripo",
    "Hunyuan3D": "Hunyuan3D",
}
"""Base model, spelled as the API spells it → key of its ecosystem; in the order of `GET /api/v1/enums`."""

ROOT_ECOSYSTEMS: Final[dict[str, str]] = {
    "Flux2Klein_4B": "Flux2",
    "Flux2Klein_4B_base": "Flux2",
    "Flux2Klein_9B": "Flux2",
    "Flux2Klein_9B_base": "Flux2",
    "Illustrious": "SDXL",
    "NoobAI": "SDXL",
    "Pony": "SDXL",
    "PonyV7": "AuraFlow",
}
"""Ecosystem key → key of the ecosystem it descends from; a key that is absent is its own root."""

ECOSYSTEM_WORDS: Final[dict[str, str]] = {"Upscaler": "other"}
"""Root ecosystem key → its word in an AIR, where that is not the key in lower case."""

MODEL_TYPES: Final[dict[str, str]] = {
    "Checkpoint": "checkpoint",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernet",
    "AestheticGradient": "ag",
    "LORA": "lora",
    "LoCon": "lycoris",
    "DoRA": "dora",
    "Controlnet": "controlnet",
    "Upscaler": "upscaler",
    "MotionModule": "motion",
    "VAE": "vae",
    "TextEncoder": "text_encoders",
    "UNet": "unet",
    "CLIPVision": "clipvision",
    "VisionLanguage": "visionlanguage",
    "CLIP": "clip",
}
"""Model type → its word in an AIR; every other model type is `UNKNOWN_TYPE`."""

UNKNOWN_TYPE: Final = "unknown"
"""The AIR type of model types that have no word of their own (`Workflows`, `Poses`, `Other`, …)."""

FILE_TYPES: Final[dict[str, str]] = {"Diffusion Model": "diffusionmodel", "UNet": "unet"}
"""File type → AIR type, for the file types that override the model's own type."""
