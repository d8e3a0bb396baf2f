"""MP4 files with a video track of JPEG frames, written and read by hand.

An encoder for a modern codec would be a dependency of many megabytes, for films that nobody watches: the container
takes a hundred lines, and Pillow writes the frames.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from civitai_ext.emulator.drawing import Picture

_DRAWINGS = 8
_TICKS = 1000
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_JPEG = 0x6C  # the object type of JPEG frames in an elementary stream descriptor
_IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@dataclass(frozen=True)
class Film:
    """A film: the drawing of a prompt, over which a bar runs from left to right.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        seed: Chooses colours and shapes.
        prompt: The text to show.
        seconds: How long it lasts.
        fps: Frames per second.

    """

    width: int
    height: int
    seed: int
    prompt: str
    seconds: float = 5
    fps: float = 24

    @property
    def count(self) -> int:
        """How many frames it has."""
        return max(1, round(self.seconds * self.fps))

    def picture(self, format: str = "jpeg") -> Picture:
        """The drawing below the bar."""
        caption = f"civitai-ext emulator · {self.width}x{self.height} · {self.seconds:g} s · seed {self.seed}"
        return Picture(self.width, self.height, self.seed, self.prompt, caption, "", format)

    def render(self) -> bytes:
        """Draw a few frames, each of which is shown for a while, and write the file."""
        shown = min(_DRAWINGS, self.count)
        with Image.open(io.BytesIO(self.picture().render())) as image:
            frames = [_with_bar(image, (number + 1) / shown) for number in range(shown)]
        return write([frames[number * shown // self.count] for number in range(self.count)], self.fps)


@dataclass(frozen=True)
class Facts:
    """What an MP4 file says about its video."""

    width: int
    height: int
    seconds: float
    fps: float


def write(frames: Sequence[bytes], fps: float) -> bytes:
    """Write an MP4 file of JPEG frames. Equal frames are stored once."""
    with Image.open(io.BytesIO(frames[0])) as image:
        width, height = image.size
    start = _box(b"ftyp", b"isom\0\0\2\0isommp41")
    places: dict[bytes, int] = {}
    data = b""
    for frame in dict.fromkeys(frames):
        places[frame] = len(start) + 8 + len(data)
        data += frame
    # A sample may lie anywhere in the file, so that several can share their bytes.
    table = b"".join(
        (
            _full(b"stsd", struct.pack(">I", 1), _sample_entry(width, height)),
            _full(b"stts", struct.pack(">3I", 1, len(frames), _TICKS)),
            _full(b"stsc", struct.pack(">4I", 1, 1, 1, 1)),
            _full(b"stsz", struct.pack(f">2I{len(frames)}I", 0, len(frames), *map(len, frames))),
            _full(b"stco", struct.pack(f">I{len(frames)}I", len(frames), *(places[frame] for frame in frames))),
        )
    )
    return start + _box(b"mdat", data) + _movie(width, height, round(fps * _TICKS), len(frames) * _TICKS, table)


def read(content: bytes) -> Facts:
    """Read the facts about the video of an MP4 file.

    >>> read(Film(64, 32, 1, "a", seconds=2, fps=12).render())
    Facts(width=64, height=32, seconds=2.0, fps=12.0)

    Raises:
        ValueError: There is no such thing in the file.

    """
    boxes: dict[bytes, bytes] = {}
    try:
        for name, body in _boxes(content):
            if name == b"trak" and boxes.get(b"hdlr", b"")[8:12] == b"vide":
                break
            boxes[name] = body
        head, stts = boxes[b"mdhd"], boxes[b"stts"]
        ticks, length = struct.unpack_from(">IQ", head, 20) if head[0] else struct.unpack_from(">2I", head, 12)
        runs = struct.unpack_from(f">{2 * struct.unpack_from('>I', stts, 4)[0]}I", stts, 8)
        width, height = struct.unpack(">2I", boxes[b"tkhd"][-8:])
        if boxes[b"hdlr"][8:12] != b"vide" or not length:
            raise ValueError("no video in the file")
        return Facts(width >> 16, height >> 16, length / ticks, sum(runs[::2]) * ticks / length)
    except (KeyError, IndexError, struct.error, ZeroDivisionError) as error:
        raise ValueError("not an MP4 file") from error


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Go through the boxes in order; containers come before what is in them."""
    place = 0
    while place + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", content, place + 8), 16
        size = size or len(content) - place
        if size < header:
            raise ValueError("not an MP4 file")
        body = content[place + header : place + size]
        yield name, body
        if name in _CONTAINERS:
            yield from _boxes(body)
        place += size


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _full(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)


def _movie(width: int, height: int, ticks: int, length: int, table: bytes) -> bytes:
    header = struct.pack(">4IIH10x", 0, 0, ticks, length, 0x10000, 0x100) + _IDENTITY + bytes(24)
    track = struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0) + _IDENTITY
    media = struct.pack(">4I2H", 0, 0, ticks, length, 0x55C4, 0)
    return _box(
        b"moov",
        _full(b"mvhd", header, struct.pack(">I", 2)),
        _box(
            b"trak",
            _full(b"tkhd", track, struct.pack(">2I", width << 16, height << 16), flags=3),
            _box(
                b"mdia",
                _full(b"mdhd", media),
                _full(b"hdlr", struct.pack(">I4s12x", 0, b"vide"), b"video\0"),
                _box(
                    b"minf",
                    _full(b"vmhd", bytes(8), flags=1),
                    _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1))),
                    _box(b"stbl", table),
                ),
            ),
        ),
    )


def _sample_entry(width: int, height: int) -> bytes:
    config = b"\x04" + bytes([13]) + struct.pack(">BB3x2I", _JPEG, 0x11, 0, 0)
    stream = b"\x03" + bytes([3 + len(config) + 3]) + struct.pack(">HB", 1, 0) + config + b"\x06\x01\x02"
    entry = struct.pack(">6xH16x2H2I4xH32xHh", 1, width, height, 0x480000, 0x480000, 1, 24, -1)
    return _box(b"mp4v", entry, _full(b"esds", stream))


def _with_bar(image: Image.Image, share: float) -> bytes:
    frame = image.copy()
    height = max(2, frame.height // 60)
    bar = (0, frame.height - height, round(frame.width * share), frame.height)
    ImageDraw.Draw(frame).rectangle(bar, fill=(255, 255, 255))
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
