"""No name of a file leaves its folder, whoever gives it: the catalogue, or the host in a header."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PureWindowsPath
from urllib.parse import quote

import pytest

from civitai_ext import Civitai
from civitai_ext.catalogue import ModelVersion
from civitai_ext.emulator.files import safetensors
from tests.faults.range_server import RangeServer

SEPARATORS = (
    *("/", "\\", "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "%c0%af", "%c1%9c", "%e0%80%af", "%u2215", "%u2216"),
    *("\N{FRACTION SLASH}", "\N{DIVISION SLASH}", "\N{FULLWIDTH SOLIDUS}", "\N{FULLWIDTH REVERSE SOLIDUS}"),
    *("\N{SMALL REVERSE SOLIDUS}", "\N{BIG SOLIDUS}", "\N{SET MINUS}", "/\u200b", "/./", "//", "\\/", "¥", "₩"),
)
PARENTS = ("..", "%2e%2e", "\u2025", "．．", ". .", ".%00.", ".\u200b.")
DEVICES = (
    *("CON", "con", "PRN", "AUX", "NUL", "nul.", "COM1", "com9", "LPT1", "COM\u00b9", "LPT\u00b2", "CONIN$", "CONOUT$"),
    *("CON.tar", "AUX .x", "NUL:", "CLOCK$"),
)
ROOTS = (
    *(
        "/etc/passwd",
        "//server/share/x",
        "\\\\server\\share\\x",
        "\\\\?\\C:\\x",
        "\\\\.\\PhysicalDrive0",
        "C:\\x",
        "C:x",
    ),
    *(
        "c:/x",
        "file:///etc/passwd",
        "~/x",
        "~root/x",
        "$HOME/x",
        "%APPDATA%\\x",
        "${HOME}",
        "`id`",
        "$(id)",
        "|x",
        ";x",
    ),
    *("x:y", "x::$DATA", "x:$DATA", "-rf", "--help", "*", "?", "<x>", '"', "'", "x\x00.png", "\x00"),
    *("@x", "!x", "&x"),
)
INVISIBLE = [
    f"a{chr(code)}b.safetensors"
    for code in (
        *(0x01, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B, 0x1F, 0x7F, 0x80, 0x85, 0x9B, 0x9F, 0xAD),
        *(0x034F, 0x061C, 0x115F, 0x17B4, 0x180E, 0x200B, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B),
        *(0x202C, 0x202D, 0x202E, 0x2060, 0x2064, 0x2066, 0x2069, 0x206F, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9),
        *(0xFFFD, 0xE000, 0xE0001, 0xE0041, 0x1F3F4, 0x10FFFF),
    )
]
ENDINGS = (
    "x.",
    "x..",
    "x. .",
    "x ",
    "x.safetensors.",
    "x.safetensors ",
    "x.safetensors...",
    "x\u00a0",
    "x\u3000",
    ". ",
)
LONG = (
    "a" * 255,
    "a" * 256,
    "a" * 1000 + ".safetensors",
    "é" * 200,
    "長" * 120,
    "😀" * 90,
    "a." + "b" * 400,
    "." * 300,
)
PLAIN = (
    "",
    " ",
    ".",
    "..",
    "...",
    "....",
    ".hidden",
    "..hidden",
    ".git",
    ".ssh",
    "-",
    "_",
    "\ud800",
    "\udcff.x",
    "a\u0301" * 90,
)

CORPUS = list(
    dict.fromkeys(
        [
            *(f"{parent}{separator}evil.safetensors" for parent, separator in product(PARENTS, SEPARATORS)),
            *(f"{parent}{separator}" * 8 + "evil" for parent, separator in product(("..", "%2e%2e"), SEPARATORS)),
            *(f"{device}{suffix}" for device, suffix in product(DEVICES, ("", ".safetensors", ".txt"))),
            *ROOTS,
            *INVISIBLE,
            *ENDINGS,
            *LONG,
            *PLAIN,
        ]
    )
)


def test_there_are_many() -> None:
    assert len(CORPUS) >= 350


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer(safetensors("hostile", 64, "the same for all")) as server:
        yield server


def assert_all_inside(root: Path, folder: Path, names: list[str], content: bytes) -> None:
    everywhere = [path for path in root.rglob("*") if not path.is_dir()]
    assert {path.parent for path in everywhere} == {folder}
    assert sorted(path.name for path in everywhere) == sorted(names)
    for path in everywhere:
        assert path.read_bytes() == content
        assert PureWindowsPath(path.name).parts == (path.name,)
        assert path.name.isprintable()
        assert not path.name.startswith((".", "-"))
        assert not path.name.endswith((".", " "))
        assert len(os.fsencode(path.name)) <= 255


def test_names_in_the_catalogue(server: RangeServer, tmp_path: Path) -> None:
    versions = [
        ModelVersion.from_dict({"id": id, "files": [{"id": id, "name": name, "virusScanResult": "Success"}]})
        for id, name in enumerate(CORPUS, start=1)
    ]
    folder = tmp_path / "a" / "b"
    with Civitai("secret", site_url=server.url) as civitai:
        found = civitai.download_many(versions, folder, at_once=8, connections=1, allow_pickle=True, cache=False)
    assert_all_inside(tmp_path, folder, [done.path.name for done in found if done.path], server.content)
    # Two that differ in upper and lower case alone would be one on some systems.
    assert len({done.path.name.casefold() for done in found if done.path}) == len(found) == len(CORPUS)


def test_names_in_headers(server: RangeServer, tmp_path: Path) -> None:
    names = []
    folder = tmp_path / "a" / "b"
    with Civitai("secret", site_url=server.url) as civitai:
        for number, name in enumerate(CORPUS[::3], start=1):  # each takes five requests
            if number % 2:
                said = f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
            else:
                plain = name.encode("latin-1", "replace").decode("latin-1")
                plain = "".join(c for c in plain if c.isprintable() or c == "\t")
                said = f'attachment; filename="{plain}"'
            server.extra = {"content-disposition": said}
            address = f"{server.url}/api/download/attachments/{number}"
            done = civitai.download(
                address, folder, connections=1, allow_unscanned=True, allow_pickle=True, cache=False
            )
            assert done.path is not None
            names.append(done.path.name)
    assert_all_inside(tmp_path, folder, names, server.content)
