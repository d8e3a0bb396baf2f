"""Pictures that are made from other pictures."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from civitai_ext.emulator.drawing import Source, rendered

_TRACED = 24


@dataclass(frozen=True)
class Cutout:
    """The oval in the middle of another picture, on nothing."""

    original: Source
    format: str = "png"

    def render(self) -> bytes:
        """Cut and write the file."""
        image = _opened(self.original)
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse((0, 0, *image.size), fill=255)
        image.putalpha(mask)
        return _written(image, self.format)


@dataclass(frozen=True)
class Blurred:
    """Another picture, blurred."""

    original: Source
    radius: int

    def render(self) -> bytes:
        """Blur and write the file."""
        return _written(_opened(self.original).filter(ImageFilter.GaussianBlur(self.radius)), "png")


@dataclass(frozen=True)
class Animation:
    """Another picture as a GIF."""

    original: Source
    width: int
    height: int

    def render(self) -> bytes:
        """Convert and write the file."""
        return _written(_opened(self.original).resize((self.width, self.height)), "gif")


@dataclass(frozen=True)
class Preprocessed:
    """What a preprocessor could have made of another picture: lines, depths, patches or the same.

    Attributes:
        original: The other picture.
        kind: The name of the preprocessor.
        width: Width in pixels.
        height: Height in pixels.
        threshold: From which brightness on `binary` shows white.

    """

    original: Source
    kind: str
    width: int
    height: int
    threshold: int = 100

    def render(self) -> bytes:
        """Filter and write the file."""
        image = _opened(self.original).resize((self.width, self.height))
        grey = ImageOps.grayscale(image)
        if self.kind == "binary":
            return _written(grey.point([0 if level < self.threshold else 255 for level in range(256)]), "png")
        if self.kind in ("color", "tile", "shuffle"):
            size = (max(1, self.width // 32), max(1, self.height // 32))
            return _written(image.resize(size).resize(image.size, Image.Resampling.NEAREST), "png")
        if "depth" in self.kind:
            return _written(ImageOps.autocontrast(grey.filter(ImageFilter.GaussianBlur(8))), "png")
        if "normal" in self.kind:
            return _written(image.filter(ImageFilter.EMBOSS), "png")
        return _written(grey.filter(ImageFilter.FIND_EDGES), "png")


@dataclass(frozen=True)
class Tracing:
    """Another picture as an SVG of coloured squares."""

    original: Source
    width: int
    height: int

    def render(self) -> bytes:
        """Trace and write the file."""
        side = max(self.width, self.height) / _TRACED
        across, down = max(1, round(self.width / side)), max(1, round(self.height / side))
        colours = _opened(self.original).resize((across, down)).tobytes()
        squares = "".join(
            f'<rect x="{place % across}" y="{place // across}" width="1" height="1" fill="#{colour.hex()}"/>'
            for place in range(across * down)
            for colour in [colours[3 * place : 3 * place + 3]]
        )
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}"'
        return f'{head} viewBox="0 0 {across} {down}" preserveAspectRatio="none">{squares}</svg>\n'.encode()


def average_hash(source: Source) -> str:
    """Hash a picture by which of its 64 parts are lighter than the whole, in hexadecimal."""
    return _bits(list(ImageOps.grayscale(_opened(source)).resize((8, 8)).tobytes()))


def frequency_hash(source: Source, side: int) -> str:
    """Hash a picture by its lowest frequencies, `side` in both directions, in hexadecimal."""
    size = 4 * side
    levels = ImageOps.grayscale(_opened(source)).resize((size, size)).tobytes()
    waves = [[math.cos(math.pi / size * (place + 0.5) * wave) for place in range(size)] for wave in range(side)]
    rows = [
        [sum(map(float.__mul__, wave, map(float, levels[y * size : (y + 1) * size]))) for wave in waves]
        for y in range(size)
    ]
    columns = list(zip(*rows, strict=True))
    return _bits([sum(map(float.__mul__, wave, column)) for wave in waves for column in columns])


def _bits(values: list[int] | list[float]) -> str:
    middle = sorted(values)[len(values) // 2]
    bits = "".join("1" if value > middle else "0" for value in values)
    return f"{int(bits, 2):0{len(bits) // 4}x}"


def _opened(source: Source) -> Image.Image:
    with Image.open(io.BytesIO(rendered(source))) as image:
        return image.convert("RGB")


def _written(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format.upper())
    return buffer.getvalue()
