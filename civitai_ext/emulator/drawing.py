"""Pictures: real image files that show what was asked for.

A picture is described first and rendered when somebody fetches it, so that a workflow costs no drawing until then.
"""

from __future__ import annotations

import colorsys
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

_DRAWN_AT_MOST = 1024
_USER_COMMENT = 0x9286
_EXIF_DIRECTORY = 0x8769

FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""The file formats that can be made, with their media types."""


class Source(Protocol):
    """Something that turns into the bytes of a file; hashable, so that rendered files can be kept for a while."""

    def render(self) -> bytes:
        """Make the bytes."""
        ...

    def __hash__(self) -> int: ...


@lru_cache(maxsize=48)
def rendered(source: Source) -> bytes:
    """Render a source, or take the bytes from the last few that were rendered."""
    return source.render()


@dataclass(frozen=True)
class Stored:
    """Bytes that came from outside."""

    content: bytes

    def render(self) -> bytes:
        """Give the bytes back."""
        return self.content


@dataclass(frozen=True)
class Picture:
    """A drawing: a gradient that the seed chooses, with the prompt on it.

    Attributes:
        width: Width of the file in pixels. Larger pictures than 1024 are drawn at 1024 and enlarged.
        height: Height of the file in pixels.
        seed: Chooses colours and shapes.
        prompt: The text to show.
        caption: A small line below it.
        parameters: Generation data to embed, in the words of the A1111 web UI.
        format: A key of `FORMATS`.
        graph: The graph that ComfyUI would have run, as JSON, to embed as ComfyUI does; only in PNG files.

    """

    width: int
    height: int
    seed: int
    prompt: str
    caption: str
    parameters: str
    format: str = "png"
    graph: str = ""

    def render(self) -> bytes:
        """Draw the picture and write it as a file."""
        scale = min(1.0, _DRAWN_AT_MOST / max(self.width, self.height))
        image = _backdrop(max(1, round(self.width * scale)), max(1, round(self.height * scale)), self.seed)
        _write_panel(image, self.prompt, self.caption)
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling.BICUBIC)
        return _encode(image, self.format, self.parameters, self.graph)


@dataclass(frozen=True)
class Resized:
    """Another file of ours or of the caller's, at another size or in another format."""

    original: Source
    width: int
    height: int
    parameters: str = ""
    format: str = "png"

    def render(self) -> bytes:
        """Resize the original and write it as a file."""
        with Image.open(io.BytesIO(rendered(self.original))) as image:
            kept = self.parameters or str(image.info.get("parameters", ""))
            resized = image.convert("RGB").resize((self.width, self.height), Image.Resampling.BICUBIC)
        return _encode(resized, self.format, kept)


def generation_data(prompt: str, negative_prompt: str, facts: Mapping[str, object]) -> str:
    """Write how a picture was made, as the A1111 web UI does.

    >>> print(generation_data("a cat", "dogs", {"Steps": 20, "Seed": 1}))
    a cat
    Negative prompt: dogs
    Steps: 20, Seed: 1
    """
    lines = [prompt, *([f"Negative prompt: {negative_prompt}"] if negative_prompt else [])]
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in facts.items())])


def measure(content: bytes) -> tuple[int, int, str]:
    """Read width, height and media type of an image file.

    Raises:
        ValueError: The bytes are no image.

    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
            return image.width, image.height, Image.MIME.get(image.format or "", "application/octet-stream")
    except (OSError, SyntaxError) as error:  # Pillow reports broken PNG files as SyntaxError
        raise ValueError("not an image") from error


def _encode(image: Image.Image, format: str, parameters: str, graph: str = "") -> bytes:
    buffer = io.BytesIO()
    if format == "png":
        chunks = PngImagePlugin.PngInfo()
        if parameters:
            chunks.add_text("parameters", parameters)
        if graph:
            chunks.add_text("prompt", graph)
        image.save(buffer, "PNG", pnginfo=chunks, compress_level=3)
    else:
        exif = Image.Exif()
        if parameters:
            exif.get_ifd(_EXIF_DIRECTORY)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
        image.save(buffer, format.upper(), exif=exif, quality=88)
    return buffer.getvalue()


def _backdrop(width: int, height: int, seed: int) -> Image.Image:
    """Paint a soft mesh of a few related colours with translucent discs on it."""
    choose = random.Random(seed)  # noqa: S311 - reproducible on purpose
    hue = choose.random()

    def tone() -> tuple[int, int, int]:
        shade = colorsys.hls_to_rgb((hue + choose.uniform(-0.12, 0.16)) % 1, choose.uniform(0.3, 0.72), 0.55)
        red, green, blue = (round(255 * part) for part in shade)
        return red, green, blue

    mesh = Image.new("RGB", (4, 4))
    mesh.putdata([tone() for _ in range(16)])
    image = mesh.resize((width, height), Image.Resampling.BICUBIC)
    discs = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(discs)
    for _ in range(9):
        radius = choose.uniform(0.05, 0.28) * max(width, height)
        x, y = choose.uniform(0, width), choose.uniform(0, height)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*tone(), choose.randrange(40, 110)))
    image.paste(discs, mask=discs)
    return image


def _write_panel(image: Image.Image, prompt: str, caption: str) -> None:
    """Write the prompt as large as it fits on a dark panel, and the caption below it."""
    margin = round(min(image.size) * 0.07)
    room = (image.width - 4 * margin, image.height - 5 * margin)
    size, lines = _fit(prompt or "(no prompt)", *room)
    text = "\n".join(lines)
    pen = ImageDraw.Draw(image, "RGBA")
    font = _font(size)
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font, spacing=size * 0.35)
    width, height = right - left, bottom - top
    x, y = (image.width - width) / 2, (image.height - height - 2 * margin) / 2 + margin / 2
    panel = tuple(round(edge) for edge in (x - margin, y - margin, x + width + margin, y + height + margin))
    pen.rounded_rectangle(panel, radius=round(margin * 0.6), fill=(12, 14, 22, 168))
    pen.multiline_text((x - left, y - top), text, font=font, fill=(255, 255, 255), spacing=size * 0.35)

    small = max(7, min(22, round(min(image.size) * 0.024)))
    x, y = margin, image.height - margin
    pen.text((x + 1, y + 1), caption, font=_font(small), fill=(0, 0, 0, 150), anchor="ls")
    pen.text((x, y), caption, font=_font(small), fill=(255, 255, 255, 230), anchor="ls")


def _fit(text: str, width: int, height: int) -> tuple[int, list[str]]:
    """Choose the largest size at which the text fits, cutting the text when even the smallest does not."""
    words = " ".join(text[:2000].split())
    for size in (72, 60, 50, 42, 36, 30, 26, 22, 18, 15, 13, 11, 9):
        lines = _wrap(words, _font(size), width)
        if len(lines) * size * 1.4 <= height:
            break
    most = max(1, int(height / (size * 1.4)))
    return size, lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][:-1]}…"]


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        # A word that is wider than the panel is broken where the panel ends.
        while len(word) > 1 and font.getlength(word) > width:
            cut = max(1, int(len(word) * width / font.getlength(word)))
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    return [*lines, line]


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font that comes with Pillow: the same picture on every machine.
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ImportError("the emulator needs a Pillow that was built with FreeType")
    return font
