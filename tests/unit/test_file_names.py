"""Names of files: whatever a server or a creator calls them, they stay in their folder, on every system."""

from __future__ import annotations

import tempfile
import unicodedata
from itertools import islice
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civitai_ext._file_names import name_from_headers, numbered, safe_name, same_name


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename=plain.ckpt", "plain.ckpt"),
        ('attachment; filename="two words.ckpt"', "two words.ckpt"),
        ('ATTACHMENT; FILENAME = "a.ckpt"', "a.ckpt"),
        ('attachment; filename="semi;colon.ckpt"; size=5', "semi;colon.ckpt"),
        (r'attachment; filename="a \"quote\".ckpt"', 'a "quote".ckpt'),
        ("attachment; filename=\"e.ckpt\"; filename*=UTF-8''%C3%A9.ckpt", "é.ckpt"),
        ("attachment; filename*=UTF-8''%C3%A9.ckpt; filename=\"e.ckpt\"", "é.ckpt"),
        ("attachment; filename*=utf-8'ja'%E6%9D%B1%E4%BA%AC.ckpt", "東京.ckpt"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates.ckpt", "£ rates.ckpt"),
        ("attachment; filename*=UTF-8''%FF.ckpt; filename=whole.ckpt", "whole.ckpt"),
        ("attachment; filename*=UTF-8''%FF.ckpt", "\ufffd.ckpt"),
        ("attachment; filename*=no-such-charset''a%20b.ckpt", "a b.ckpt"),
        ("attachment; filename*=idna''a%20b.ckpt", "a b.ckpt"),
        ("attachment; filename*=a%20b.ckpt", "a b.ckpt"),
        ("attachment; filename*0=a; filename*1=b.ckpt", "ab.ckpt"),
        ('attachment; filename="=?utf-8?B?5p2x5LqsLmNrcHQ=?="', "東京.ckpt"),
        ('attachment; filename="=?utf-8?Q?=E6=9D=B1.ckpt?="', "東.ckpt"),
        ('attachment; filename="=?utf-8?B?broken!"', "=?utf-8?B?broken!"),
        ('attachment; filename="=?utf-7?Q?+2AA-.ckpt?="', "=?utf-7?Q?+2AA-.ckpt?="),
        ("attachment; filename*=utf-7''%2B2AA-.ckpt", "+2AA-.ckpt"),
        (r"attachment; filename*=unicode_escape''%5C8.ckpt", "8.ckpt"),
        (r'attachment; filename="=?unicode_escape?Q?=5C8.ckpt?="', "=?unicode_escape?Q?=5C8.ckpt?="),
        ("attachment; filename*=shift_jis''%93%8C.ckpt", "東.ckpt"),
        ("attachment; filename*=a\x00b''a.ckpt", "a.ckpt"),
        ('attachment; filename="=?no-such?B?5p2x?="', "=?no-such?B?5p2x?="),
        ('attachment; filename="' + "東京.ckpt".encode().decode("latin-1") + '"', "東京.ckpt"),
        ('attachment; filename="東京.ckpt"', "東京.ckpt"),
        ('attachment; filename="café.ckpt"', "café.ckpt"),
        ('attachment; filename="two%20words.ckpt"', "two words.ckpt"),
        ('attachment; filename="100% of %20.ckpt"', "100% of %20.ckpt"),
        ('attachment; filename="50%off.ckpt"', "50%off.ckpt"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        (r'attachment; filename="C:\\Windows\\a.ckpt"', "a.ckpt"),
        ("attachment; filename*=UTF-8''..%2F..%2Fa.ckpt", "a.ckpt"),
        ('attachment; filename="unterminated.ckpt', "unterminated.ckpt"),
        ("filename=no-type.ckpt", "no-type.ckpt"),
        ("attachment", "path.ckpt"),
        ("", "path.ckpt"),
        ('attachment; filename=""', "path.ckpt"),
        ('attachment; filename=".."', "path.ckpt"),
        ('attachment; filename="a/"', "path.ckpt"),
        ("attachment; filename*=UTF-8''a.ckpt; filename*0=b", "path.ckpt"),
        ("attachment; filename*" + "9" * 5000 + "=a.ckpt", "path.ckpt"),
        ("attachment; filename=" + "a" * 9000, "path.ckpt"),
    ],
)
def test_what_a_server_calls_a_file(disposition: str, name: str) -> None:
    assert name_from_headers({"CONTENT-Disposition": disposition}, "https://host/the/path.ckpt?x=/y.ckpt") == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "https://r2.example/?response-content-disposition=attachment%3B%20filename%3D%22a%20b.ckpt%22",
            "a b.ckpt",
        ),
        ("https://b2.example/7f?X=1&b2ContentDisposition=attachment%3B+filename%3Da.ckpt", "a.ckpt"),
        ("https://r2.example/k/7f.ckpt?response-content-disposition=inline", "7f.ckpt"),
        ("https://host/a%20b.ckpt#part", "a b.ckpt"),
        ("https://host/folder%2Fa.ckpt", "a.ckpt"),
        ("https://host/..%5C..%5Ca.ckpt", "a.ckpt"),
        ("https://host/%2E%2E", None),
        ("https://host/", None),
        ("https://host", None),
        ("https://[broken", None),
        ("", None),
    ],
)
def test_without_a_header_the_address_says_it(url: str, name: str | None) -> None:
    assert name_from_headers({}, url) == name


CHARSETS = st.sampled_from(["utf-8", "utf-7", "utf-16", "iso-8859-1", "idna", "hex", "unknown-8bit", "unicode_escape"])
ENCODED = st.text(st.characters() | st.sampled_from("%+-=?_/AD80'\"\\"), max_size=30)
DISPOSITIONS = st.one_of(
    st.text(st.characters()),
    st.text("\"'*=;%?0123 filename\\UTF-8BQ\udce9é", max_size=60).map("attachment; filename".__add__),
    st.builds("attachment; filename*={}''{}".format, CHARSETS, ENCODED),
    st.builds('attachment; filename="=?{}?{}?{}?="'.format, CHARSETS, st.sampled_from("BQ"), ENCODED),
)


@given(DISPOSITIONS, st.text(st.characters()) | st.text("/%?#[]&=;.\ud800", max_size=30).map("https://h/".__add__))
def test_no_header_is_fatal(disposition: str, url: str) -> None:
    for headers in ({"Content-Disposition": disposition}, {}):
        name = name_from_headers(headers, url)
        assert name is None or (name and "/" not in name and "\\" not in name)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        # what is fine stays
        ("a.safetensors", "a.safetensors"),
        (
            "Modèle d'été (v1.0) [fp16] {東京} Привет.gguf",
            "Modèle d'été (v1.0) [fp16] {東京} Привет.gguf",
        ),
        ("CONSOLE.txt", "CONSOLE.txt"),
        ("x" * 208 + ".safetensors", "x" * 208 + ".safetensors"),
        # ways out of the folder
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("  ", "file"),
        ("/etc/passwd", "_etc_passwd"),
        ("../../a.ckpt", "_.._a.ckpt"),
        (r"..\..\a.ckpt", r"_.._a.ckpt"),
        ("．．／a.ckpt", "_a.ckpt"),
        ("‥/a.ckpt", "_a.ckpt"),
        ("a⁄b∕c⧸d∖e⧵f⧹g／h＼i﹨j", "a_b_c_d_e_f_g_h_i_j"),
        ("℀.ckpt", "_.ckpt"),
        ("C:a.ckpt", "C_a.ckpt"),
        ("a.ckpt:hidden", "a.ckpt_hidden"),
        ("a.ckpt：hidden꞉$DATA", "a.ckpt_hidden_$DATA"),
        # what no system, or one of them, takes
        ('a<b>c"d|e?f*g', "a_b_c_d_e_f_g"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        ("a\nb\tc\u3000d", "a b c d"),
        ("a\ud800b\ue000c\uffffd", "a_b_c_d"),
        ("a. . .", "a"),
        ("a.ckpt ", "a.ckpt"),
        ("-rf", "rf"),
        (".-.hidden", "hidden"),
        ("con", "con_"),
        ("NUL.safetensors", "NUL_.safetensors"),
        ("aux .tar.gz", "aux_.tar.gz"),
        ("COM¹.ckpt", "COM¹_.ckpt"),
        ("lpt9", "lpt9_"),
        ("CONIN$", "CONIN$_"),
        # what nobody sees
        ("a\u202egpj.exe", "agpj.exe"),
        ("\ufeffa\u200bb\u2066c\u00add\u3164.ckpt", "abcd.ckpt"),
        ("c\u200don.txt", "con_.txt"),
        (".\u200b.", "file"),
        # one spelling
        ("Cafe\u0301.ckpt", "Caf\u00e9.ckpt"),
        ("e\u200b\u0301", "\u00e9"),
        # length
        ("長" * 100 + ".safetensors", "長" * 69 + ".safetensors"),
        ("😀" * 100 + ".gguf", "😀" * 53 + ".gguf"),
        ("a" * 300, "a" * 220),
        ("a." + "b" * 300, "a." + "b" * 218),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_the_fallback_is_made_safe_too() -> None:
    assert safe_name("..", fallback="v1/0.ckpt") == "v1_0.ckpt"
    assert safe_name("..", fallback="..") == "file"


NASTY = st.text(
    st.characters() | st.sampled_from('./\\:-_ ~$%*?"<>|\x00\n\u200d\u202e\uff0f\uff0e\u2025\u0301\u0338¹COMNULPRTAUX1')
)


DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789¹²³")}


@given(NASTY | st.builds(lambda name, times: name * times, NASTY, st.integers(50, 300)))
@example("CON" + " " * 300 + "x.txt")
@example("COM1." * 60)
def test_whatever_comes_is_a_name_of_a_file_in_the_folder(name: str) -> None:
    safe = safe_name(name)
    assert len(safe.encode()) <= 220
    assert safe_name(safe) == safe == unicodedata.normalize("NFC", safe)
    # Windows would see one part without drive, stream or device, and cut nothing off its end.
    assert PureWindowsPath(safe).parts == (safe,)
    assert safe.partition(".")[0].rstrip().upper() not in DEVICES
    assert not safe.endswith((" ", "."))
    assert not safe.startswith(("-", ".", " "))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, safe)
        assert path.resolve().parent == Path(folder).resolve()
        path.write_bytes(b"x")
        assert [each.name for each in Path(folder).iterdir()] == [safe]


@given(st.text(st.characters(categories=["Lu", "Ll", "Lt", "Lo", "Nd"]), min_size=1, max_size=40))
def test_letters_and_digits_of_all_scripts_stay(name: str) -> None:
    name = unicodedata.normalize("NFC", name)
    kept = safe_name(name).removesuffix("_")
    assert set(name) - set(kept) <= set("\u115f\u1160\u3164\uffa0")


def test_names_that_a_file_system_may_take_for_one() -> None:
    assert same_name("a.safetensors") == same_name("A.SafeTensors")
    assert same_name("Caf\u00e9") == same_name("cafe\u0301")
    assert same_name("Straße") == same_name("STRASSE")
    assert same_name("a.ckpt") != same_name("a (2).ckpt")


def test_a_long_name_gets_a_number_too() -> None:
    longest = "é" * 121 + "x.safetensors"
    assert len(longest.encode()) == 255
    assert list(islice(numbered(longest), 2)) == [longest, "é" * 119 + " (2).safetensors"]


@given(NASTY)
def test_numbered_names_never_meet(name: str) -> None:
    found = list(islice(numbered(safe_name(name)), 12))
    assert len({same_name(each) for each in found}) == len(found)
    assert all(len(each.encode()) <= 255 for each in found)
