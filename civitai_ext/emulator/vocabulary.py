"""The words of the catalogue: the platform's enumerations, and invented names to fill it with."""

from __future__ import annotations

from typing import NamedTuple


class BaseModel(NamedTuple):
    """A base model: its exact spelling, what it makes, whether `/enums` lists it as active, its ecosystem in an AIR."""

    name: str
    media: str
    active: bool
    ecosystem: str


BASE_MODELS = (
    BaseModel("Anima", "image", True, "anima"),
    BaseModel("AuraFlow", "image", True, "auraflow"),
    BaseModel("Chroma", "image", True, "chroma"),
    BaseModel("CogVideoX", "video", True, "cogvideox"),
    BaseModel("Ernie", "image", True, "ernie"),
    BaseModel("Flux.1 S", "image", True, "flux1"),
    BaseModel("Flux.1 D", "image", True, "flux1"),
    BaseModel("Flux.1 Krea", "image", True, "fluxkrea"),
    BaseModel("Flux.1 Kontext", "image", True, "flux1kontext"),
    BaseModel("Flux.2 D", "image", True, "flux2"),
    BaseModel("Flux.2 Klein 9B", "image", True, "flux2"),
    BaseModel("Flux.2 Klein 9B-base", "image", True, "flux2"),
    BaseModel("Flux.2 Klein 4B", "image", True, "flux2"),
    BaseModel("Flux.2 Klein 4B-base", "image", True, "flux2"),
    BaseModel("Flux 3 Video", "video", True, "flux3video"),
    BaseModel("Grok", "image+video", True, "grok"),
    BaseModel("HappyHorse", "video", True, "happyhorse"),
    BaseModel("HiDream", "image", True, "hidream"),
    BaseModel("HiDream-O1", "image", True, "hidream-o1"),
    BaseModel("Hunyuan 1", "image", True, "hydit1"),
    BaseModel("Hunyuan Video", "video", True, "hyv1"),
    BaseModel("Ideogram 4.0", "image", True, "ideogram"),
    BaseModel("Boogu", "image", True, "boogu"),
    BaseModel("Illustrious", "image", True, "sdxl"),
    BaseModel("Imagen4", "image", False, "imagen4"),
    BaseModel("Kolors", "image", True, "kolors"),
    BaseModel("Krea 2", "image", True, "krea2"),
    BaseModel("LTXV", "video", True, "ltxv"),
    BaseModel("LTXV2", "video", True, "ltxv2"),
    BaseModel("LTXV 2.3", "video", True, "ltxv23"),
    BaseModel("Lens", "image", True, "lens"),
    BaseModel("Lumina", "image", True, "lumina"),
    BaseModel("MageFlow", "image", True, "mageflow"),
    BaseModel("MAI", "image", True, "mai"),
    BaseModel("Mochi", "video", True, "mochi"),
    BaseModel("Nano Banana", "image", False, "nanobanana"),
    BaseModel("NoobAI", "image", True, "sdxl"),
    BaseModel("ODOR", "image", False, "odor"),
    BaseModel("OpenAI", "image", False, "openai"),
    BaseModel("Upscaler", "image", True, "other"),
    BaseModel("Other", "image", True, "other"),
    BaseModel("PixArt a", "image", True, "pixarta"),
    BaseModel("PixArt E", "image", True, "pixarte"),
    BaseModel("Playground v2", "image", False, "playgroundv2"),
    BaseModel("Pony", "image", True, "sdxl"),
    BaseModel("Pony V7", "image", True, "auraflow"),
    BaseModel("Qwen", "image", True, "qwen"),
    BaseModel("Qwen 2", "image", True, "qwen2"),
    BaseModel("Qwen 3", "image", True, "qwen3"),
    BaseModel("Stable Cascade", "image", False, "scascade"),
    BaseModel("SD 1.4", "image", True, "sd1"),
    BaseModel("SD 1.5", "image", True, "sd1"),
    BaseModel("SD 1.5 LCM", "image", True, "sd1"),
    BaseModel("SD 1.5 Hyper", "image", True, "sd1"),
    BaseModel("SD 2.0", "image", True, "sd2"),
    BaseModel("SD 2.0 768", "image", False, "sd2"),
    BaseModel("SD 2.1", "image", True, "sd2"),
    BaseModel("SD 2.1 768", "image", False, "sd2"),
    BaseModel("SD 2.1 Unclip", "image", False, "sd2"),
    BaseModel("SD 3", "image", False, "sd3"),
    BaseModel("SD 3.5", "image", False, "sd3"),
    BaseModel("SD 3.5 Large", "image", False, "sd3"),
    BaseModel("SD 3.5 Large Turbo", "image", False, "sd3"),
    BaseModel("SD 3.5 Medium", "image", False, "sd3_5m"),
    BaseModel("SDXL 0.9", "image", False, "sdxl"),
    BaseModel("SDXL 1.0", "image", True, "sdxl"),
    BaseModel("SDXL 1.0 LCM", "image", False, "sdxl"),
    BaseModel("SDXL Lightning", "image", True, "sdxl"),
    BaseModel("SDXL Hyper", "image", True, "sdxl"),
    BaseModel("SDXL Turbo", "image", False, "sdxl"),
    BaseModel("SDXL Distilled", "image", False, "sdxldistilled"),
    BaseModel("Reve", "image", True, "reve"),
    BaseModel("Seedream", "image", False, "seedream"),
    BaseModel("SVD", "image", False, "svd"),
    BaseModel("SVD XT", "image", False, "svd"),
    BaseModel("Sora 2", "video", False, "sora2"),
    BaseModel("Veo 3", "video", False, "veo3"),
    BaseModel("Wan Video", "video", False, "wanvideo"),
    BaseModel("Wan Video 1.3B t2v", "video", True, "wanvideo1_3b_t2v"),
    BaseModel("Wan Video 14B t2v", "video", True, "wanvideo14b_t2v"),
    BaseModel("Wan Video 14B i2v 480p", "video", True, "wanvideo14b_i2v_480p"),
    BaseModel("Wan Video 14B i2v 720p", "video", True, "wanvideo14b_i2v_720p"),
    BaseModel("Wan Video 2.2 TI2V-5B", "video", True, "wanvideo-22-ti2v-5b"),
    BaseModel("Wan Video 2.2 I2V-A14B", "video", True, "wanvideo-22-i2v-a14b"),
    BaseModel("Wan Video 2.2 T2V-A14B", "video", True, "wanvideo-22-t2v-a14b"),
    BaseModel("Wan Video 2.5 T2V", "video", True, "wanvideo-25-t2v"),
    BaseModel("Wan Video 2.5 I2V", "video", True, "wanvideo-25-i2v"),
    BaseModel("Wan Image 2.7", "image", True, "wanimage27"),
    BaseModel("Wan Video 2.7", "video", True, "wanvideo27"),
    BaseModel("ZImageTurbo", "image", True, "zimageturbo"),
    BaseModel("ZImageBase", "image", True, "zimagebase"),
    BaseModel("Vidu Q1", "video", False, "vidu"),
    BaseModel("MiniMax H3", "video", True, "minimaxh3"),
    BaseModel("Kling", "video", False, "kling"),
    BaseModel("Seedance", "video", False, "seedance"),
    BaseModel("ACE Audio", "audio", True, "ace"),
    BaseModel("PolyGen", "image", False, "polygen"),
    BaseModel("Tripo", "image", False, "tripo"),
    BaseModel("Hunyuan3D", "image", False, "hunyuan3d"),
)
"""All base models in the order of `/enums`."""

AIR_TYPES = {
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
    "Poses": "unknown",
    "Wildcards": "unknown",
    "Workflows": "unknown",
    "ComfyWorkflows": "unknown",
    "Detection": "unknown",
    "VisionLanguage": "visionlanguage",
    "CLIP": "clip",
    "LLM": "unknown",
    "Other": "unknown",
}
"""Every model type, in the order of `/enums`, with the type that its AIR carries."""

FILE_TYPES = (
    "Model",
    "Text Encoder",
    "Vision Encoder",
    "Pruned Model",
    "Negative",
    "Training Data",
    "VAE",
    "Config",
    "Archive",
    "UNet",
    "Diffusion Model",
    "CLIPVision",
    "ControlNet",
    "Workflow",
    "Upscaler",
    "Enhancement LoRA",
    "Other",
)
"""What a file of a version is."""

FILE_FORMATS = (
    "SafeTensor",
    "PickleTensor",
    "GGUF",
    "Diffusers",
    "Core ML",
    "ONNX",
    "Other",
)
"""How a file is serialised."""

BASE_MODEL_TYPES = (
    "Standard",
    "Inpainting",
    "Refiner",
    "Pix2Pix",
)
"""Variants of a base model."""

MODEL_SORTS = (
    "Highest Rated",
    "Most Downloaded",
    "Most Liked",
    "Most Discussed",
    "Most Collected",
    "Most Images",
    "Newest",
    "Oldest",
)
"""Orders of `/models`."""

IMAGE_SORTS = (
    "Most Reactions",
    "Most Comments",
    "Most Collected",
    "Newest",
    "Oldest",
    "Random",
)
"""Orders of `/images`."""

TAG_SORTS = (
    "Most Models",
    "Most Images",
    "Most Posts",
    "Most Articles",
    "Most Hidden",
)
"""Orders of `/tags`."""

ARTICLE_SORTS = (
    "Most Bookmarks",
    "Most Reactions",
    "Most Comments",
    "Most Collected",
    "Newest",
    "Recently Updated",
)
"""Orders of `/articles`."""

COLLECTION_SORTS = ("Most Followers", "Newest")
"""Orders of `/collections`."""

VAULT_SORTS = ("Recently Added", "Recently Created", "Model Name", "Model Size")
"""Orders of `/vault/all`."""

APP_SORTS = ("top-rated", "popular", "newest", "name")
"""Orders of `/apps`."""

APP_KINDS = ("all", "onsite", "offsite")
"""What `/apps` can be narrowed to by kind."""

APP_CATEGORIES = ("generation", "games", "utility", "discovery", "moderation", "analytics", "other")
"""What an app is for."""

AVAILABILITIES = (
    "Public",
    "Unsearchable",
    "Private",
    "EarlyAccess",
)
"""Who can see a model."""

COMMERCIAL_USES = (
    "None",
    "Image",
    "RentCivit",
    "Rent",
    "Sell",
)
"""What a licence allows."""

MODEL_STATUSES = (
    "Draft",
    "Training",
    "Published",
    "Scheduled",
    "Unpublished",
    "UnpublishedViolation",
    "GatherInterest",
    "Deleted",
)
"""Where a model stands between draft and deleted."""

COLLECTION_ITEM_STATUSES = (
    "ACCEPTED",
    "REVIEW",
    "REJECTED",
)
"""Where an entry of a collection stands."""

CHECKPOINT_TYPES = ("Trained", "Merge")
"""Kinds of checkpoint."""

PERIODS = {"Day": 1, "Week": 7, "Month": 30, "Year": 365, "AllTime": None}
"""Periods that a list can be narrowed to, in days."""

NSFW_LABELS = {"None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32}
"""The labels that `/images` accepts as `nsfw`, with the mask each one stands for."""

# Invented. No word here names a person, a studio or a model that exists.

FIRST_WORDS = (
    "Amber", "Ashen", "Auric", "Boreal", "Brass", "Cinder", "Cobalt", "Copper", "Coral", "Drift", "Dusk", "Ember",
    "Fable", "Fern", "Frost", "Gilded", "Glass", "Harbour", "Hollow", "Indigo", "Ivory", "Juniper", "Kelp",
    "Lantern", "Lumen", "Marble", "Meadow", "Mist", "Moss", "Nimbus", "Ochre", "Opal", "Orchard", "Paper", "Pollen",
    "Quartz", "Quiet", "Rust", "Saffron", "Salt", "Sepia", "Silt", "Slate", "Sundial", "Tidal", "Umber", "Velvet",
    "Verdant", "Willow", "Zephyr",
)  # fmt: skip
SECOND_WORDS = (
    "Alley", "Almanac", "Archive", "Atlas", "Bloom", "Canopy", "Cartographer", "Cathedral", "Chorus", "Compass",
    "Courtyard", "Current", "Diorama", "Echo", "Engine", "Field", "Garden", "Greenhouse", "Harvest", "Horizon",
    "Journal", "Kiln", "Lagoon", "Lattice", "Lighthouse", "Loom", "Machine", "Mosaic", "Museum", "Observatory",
    "Orbit", "Palette", "Parade", "Pavilion", "Quarry", "Railway", "Reverie", "Ridge", "Sanctum", "Sketchbook",
    "Station", "Storm", "Terrace", "Theatre", "Tides", "Vault", "Viaduct", "Voyage", "Weave", "Workshop",
)  # fmt: skip
SUFFIXES = {
    "Checkpoint": ("XL", "Mix", "Realism", "Illustration"),
    "LORA": ("Style", "Lighting", "Details", "Outfit"),
    "LoCon": ("Texture", "Strokes"),
    "DoRA": ("Shading",),
    "TextualInversion": ("Embedding",),
    "Controlnet": ("Edges", "Depth"),
    "Upscaler": ("4x",),
    "VAE": ("VAE",),
    "Workflows": ("Graph",),
    "Wildcards": ("Word Lists",),
    "Poses": ("Poses",),
}
"""What the name of a model of a type ends in."""
CREATOR_WORDS = (
    "badger", "cormorant", "fennec", "heron", "ibex", "jackdaw", "lynx", "magpie", "newt", "otter", "pika",
    "quokka", "raven", "stoat", "tapir", "vole", "wren", "yak",
)  # fmt: skip
CREATOR_TRADES = ("Baker", "Binder", "Carver", "Dyer", "Glazier", "Mender", "Potter", "Printer", "Tinker", "Weaver")
TAGS = (
    "abstract", "aircraft", "animal", "anime", "architecture", "autumn", "background", "ceramics", "city",
    "clothing", "comics", "cosmic", "detail", "fantasy", "food", "forest", "furniture", "garden", "glass", "horror",
    "illustration", "interior", "landscape", "lighting", "macro", "mechanical", "minimalist", "nature", "night",
    "ocean", "paper", "photography", "pixel art", "poster", "robot", "ruins", "sculpture", "sketch", "steampunk",
    "style", "texture", "toy", "vehicle", "vintage", "watercolour", "weather", "winter", "woodcut",
)  # fmt: skip
SUBJECTS = (
    "a lighthouse", "a greenhouse at night", "a paper boat", "a brass telescope", "a mountain railway",
    "a market square", "an old observatory", "a fox in tall grass", "a ceramic teapot", "a harbour in fog",
    "a robot gardener", "a library staircase", "a hot-air balloon", "a stone bridge",
)  # fmt: skip
MANNERS = (
    "soft morning light", "heavy rain", "isometric view", "ink and wash", "golden hour", "long exposure",
    "wide angle", "stained glass", "cut paper", "muted palette", "crisp detail", "woodblock print",
)  # fmt: skip
ARTICLE_TITLES = (
    "How to draw {subject}", "Notes on {manner}", "{subject}, step by step", "A month of {manner}",
    "What I learned from {subject}", "Settings for {manner}",
)  # fmt: skip
COLLECTION_NAMES = ("{manner}", "{manner}, the best of", "Studies: {manner}", "{manner} for later")
APP_NAMES = (
    "Grid Maker", "Prompt Dice", "Palette Picker", "Frame Stepper", "Tag Garden", "Seed Atlas", "Mask Brush",
    "Batch Namer", "Colour Duel", "Pixel Relay", "Caption Desk", "Queue Lamp", "Style Compass", "Sketch Relay",
    "Model Shelf", "Ratio Board", "Noise Lab", "Gallery Walk", "Daily Theme", "Buzz Meter", "Upscale Bench",
    "Pose Desk", "Loop Studio", "Word Lists",
)  # fmt: skip
BUG_TITLES = (
    "The gallery jumps back to its top", "Search forgets the chosen sort order", "A download stops at its end",
    "Tags with spaces are cut off", "The vault shows an old size", "Videos stay silent", "Notifications come twice",
    "Collections cannot be renamed", "An article loses its cover", "The image counter is off by one",
)  # fmt: skip
BUG_STATUSES = ("Investigating", "Confirmed", "In progress", "Fixed", "Closed")
