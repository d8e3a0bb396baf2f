"""Every kind of file that comes out of the emulator is one that programs for such files can read."""

from __future__ import annotations

import io
import itertools
import json
import pickletools
import re
import struct
import tarfile
import wave
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from PIL import Image

from civitai_ext.emulator import Emulator, files
from civitai_ext.emulator.drawing import Picture
from civitai_ext.emulator.media import glb, mp4, wav
from civitai_ext.emulator.media.packages import Package, Weights
from civitai_ext.emulator.media.pictures import Tracing
from civitai_ext.safetensors import read_safetensors

PROMPT = 'a "quiet" <lighthouse> & 猫 ]]>'


def _picture(format: str, width: int = 96, height: int = 64) -> Picture:
    return Picture(width, height, 7, PROMPT, "caption", "Steps: 20", format)


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("size", [(96, 64), (1, 1), (7, 500)])
def test_pictures(format_: str, size: tuple[int, int]) -> None:
    content = _picture(format_, *size).render()
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert (image.format, image.size) == (format_.upper(), size)


@pytest.mark.parametrize("size", [(96, 64), (1, 900)])
def test_drawings(size: tuple[int, int]) -> None:
    root = ElementTree.fromstring(Tracing(_picture("png", *size), *size).render())  # noqa: S314 - it is ours
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.attrib["width"], root.attrib["height"]) == tuple(map(str, size))
    _, _, across, down = map(int, root.attrib["viewBox"].split())
    squares = {(int(square.attrib["x"]), int(square.attrib["y"])) for square in root}
    assert squares == set(itertools.product(range(across), range(down)))
    assert all(re.fullmatch(r"#[0-9a-f]{6}", square.attrib["fill"]) for square in root)


@pytest.mark.parametrize(("seconds", "fps"), [(1, 24), (0.01, 24), (1, 23.976), (3, 0.5)])
def test_films(seconds: float, fps: float) -> None:
    film = mp4.Film(64, 48, 3, PROMPT, seconds, fps)
    content = film.render()
    boxes = dict(_boxes(content))
    assert next(iter(boxes)) == b"ftyp"
    assert sum(8 + len(body) for _, body in _boxes(content)) == len(content)
    facts = mp4.read(content)
    assert (facts.width, facts.height) == (64, 48)
    assert facts.seconds == pytest.approx(film.count / fps, rel=1e-3)
    table = boxes[b"moov"]
    sizes, places = (_numbers(table, name, start) for name, start in ((b"stsz", 12), (b"stco", 8)))
    assert len(sizes) == len(places) == film.count
    for size, place in zip(sizes, places, strict=True):
        with Image.open(io.BytesIO(content[place : place + size])) as frame:
            frame.load()


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        yield name, content[place + 8 : place + size]
        place += size


def _numbers(table: bytes, name: bytes, start: int) -> list[int]:
    """Read the numbers of a table of samples; how many there are stands before them."""
    place = table.index(name) + start
    (count,) = struct.unpack_from(">I", table, place)
    return list(struct.unpack_from(f">{count}I", table, place + 4))


@pytest.mark.parametrize("seconds", [0, 0.1, 1, 2.5])
def test_sounds(seconds: float) -> None:
    with wave.open(io.BytesIO(wav.Sound(3, seconds).render())) as sound:
        assert sound.getnframes() == len(sound.readframes(10**6)) / 2 == seconds * sound.getframerate()


def test_meshes() -> None:
    content = glb.Mesh(3, PROMPT).render()
    magic, version, length = struct.unpack_from("<4s2I", content)
    assert (magic, version, length, length % 4) == (b"glTF", 2, len(content), 0)
    (size,) = struct.unpack_from("<I", content, 12)
    described, data = json.loads(content[20 : 20 + size]), content[28 + size :]
    points, indices = described["accessors"]
    views = described["bufferViews"]
    assert [view["byteOffset"] + view["byteLength"] for view in views] == [views[1]["byteOffset"], len(data)]
    corners = list(struct.iter_unpack("<3f", data[: views[0]["byteLength"]]))
    assert len(corners) == points["count"]
    for axis in range(3):
        values = [corner[axis] for corner in corners]
        assert (min(values), max(values)) == pytest.approx((points["min"][axis], points["max"][axis]))
    used = struct.unpack(f"<{indices['count']}H", data[views[1]["byteOffset"] :])
    assert set(used) == set(range(points["count"]))
    # Every edge belongs to two triangles, once in either direction: the surface is closed, and its outside is outside.
    triangles = (used[place : place + 3] for place in range(0, len(used), 3))
    edges = [edge for a, b, c in triangles for edge in ((a, b), (b, c), (c, a))]
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)


def test_weights() -> None:
    content = Weights("a key", 5000, PROMPT).render()
    header = read_safetensors(io.BytesIO(content))
    assert header.metadata["modelspec.title"] == PROMPT
    assert header.size % 8 == 0
    assert header.size + max(tensor.offsets[1] for tensor in header.tensors.values()) == len(content)


def test_archives() -> None:
    members = (("über/first.png", _picture("png")), ("second.png", _picture("png", 32, 32)))
    with zipfile.ZipFile(io.BytesIO(Package(members).render())) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == [name for name, _ in members]
    with tarfile.open(fileobj=io.BytesIO(Package(members, "tar").render())) as packed_too:
        assert packed_too.getnames() == [name for name, _ in members]


def test_documents() -> None:
    content = files.document(["a (title)", "back\\slash", PROMPT])
    start = int(content[content.rindex(b"startxref") :].split()[1])
    assert content[start:].startswith(b"xref")
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n", content[start:])]
    assert [content[place:].split(b" ", 1)[0] for place in places] == [b"%d" % n for n in range(1, len(places) + 1)]


def test_files_of_the_catalogue() -> None:
    versions = Emulator(models=40).catalogue.version_by_id.values()
    found = {(file.format, file.is_archive): file.content for version in versions for file in version.files}
    assert {format_ for format_, _ in found} == {"SafeTensor", "Other", "GGUF", "PickleTensor"}
    read_safetensors(io.BytesIO(found["SafeTensor", False]))
    assert found["GGUF", False].startswith(b"GGUF")
    operations = {code.name for code, _, _ in pickletools.genops(found["PickleTensor", False])}
    assert operations.isdisjoint({"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ", "NEWOBJ"})  # nothing would run
    with zipfile.ZipFile(io.BytesIO(found["Other", True])) as packed:
        assert packed.testzip() is None


@pytest.mark.parametrize("size", [0, 2, 1000])
def test_quantised_weights(size: int) -> None:
    content = files.gguf("a key", size, PROMPT)
    magic, version, tensors, pairs = struct.unpack_from("<4sI2Q", content.read())
    assert (magic, version, tensors, pairs) == (b"GGUF", 3, 1, 2)
    assert len(content.head) % 32 == 0
    assert len(content) == len(content.head) + size
