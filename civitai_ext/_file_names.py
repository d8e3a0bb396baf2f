"""Which names files get: what a server calls a file, and what of it a folder can bear. No I/O.

Headers are taken apart by the standard library's `email`: `pyrfc6266` is bound to one minor release of pyparsing, and
Werkzeug is a whole framework. Names are made safe by own code: `pathvalidate` lets pass what file systems turn into
separators, what is invisible, and what is longer than 255 bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["name_from_headers", "numbered", "safe_name", "same_name"]

# ------------------------------------------------------------------------------------------- what a server calls a file

_LONGEST: Final = 8192
"""No honest header is longer, and taking apart a very long one takes long."""

_IN_QUERY: Final = frozenset({"response-content-disposition", "b2contentdisposition"})
_CHARSETS: Final = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "iso-8859-15", "windows-1252", "cp1252"}
    | {"shift_jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "koi8-r", "windows-1251"}
)
_LOST: Final = "\N{REPLACEMENT CHARACTER}"


def name_from_headers(headers: Mapping[str, str], url: str) -> str | None:
    r"""Give the name that a server gives to a file, as it is: it is for `safe_name` to make a name for a file of it.

    It is what `Content-Disposition` says, else what a signed URL asks the storage to say there, else the last part of
    the path; of a name with folders in it only the last part. None if there is no name. It never raises.

    Args:
        headers: The headers of the answer, their names in any case.
        url: Where the answer came from.

    >>> said = "attachment; filename=\"e.ckpt\"; filename*=UTF-8''%C3%A9.ckpt"
    >>> name_from_headers({"content-disposition": said}, "")
    'é.ckpt'
    >>> signed = "https://storage.example/7f?response-content-disposition=attachment%3B%20filename%3D%22a%20b.ckpt%22"
    >>> name_from_headers({}, signed), name_from_headers({}, "https://storage.example/x/7f.ckpt?token=a/b")
    ('a b.ckpt', '7f.ckpt')
    """
    try:
        parts = urlsplit(url)
        path, query = parts.path, parse_qsl(parts.query)
    except ValueError:
        path, query = "", []
    said = [value for name, value in headers.items() if name.lower() == "content-disposition"]
    said += [value for name, value in query if name.lower() in _IN_QUERY]
    names = [*(name for value in said for name in _names_in(value)), unquote(path)]
    return next(filter(None, map(_last_part, names)), None)


def _last_part(name: str) -> str:
    last = re.split(r"[/\\]", name.strip())[-1].strip()
    return "" if last in (".", "..") else last


def _names_in(disposition: str) -> list[str]:
    """Give the names in a value of `Content-Disposition`, the best first."""
    if len(disposition) > _LONGEST:
        return []
    message = Message()
    message["Content-Disposition"] = disposition
    try:
        found: list[tuple[str, Any]] = message.get_params([], "content-disposition")
    except (TypeError, ValueError):  # odd numbers of continuations
        return []
    values = [value for name, value in found if name.lower() == "filename"]
    # A value of the extended form, whose parameter is written with a star, is a tuple.
    names = [_extended(value) for value in values if isinstance(value, tuple)]
    names += [_plain(value) for value in values if isinstance(value, str)]
    return sorted(names, key=lambda name: _LOST in name)


def _extended(value: tuple[str | None, str | None, str]) -> str:
    return collapse_rfc2231_value(value) if _is_charset(value[0]) else value[2]


def _is_charset(name: str | None) -> bool:
    """Whether it is a character set that headers are written in; Python knows more, some of which are programs."""
    return (name or "utf-8").lower() in _CHARSETS


def _plain(value: str) -> str:
    """Give what is meant by a plain value, which many servers fill in ways that the standards do not know."""
    value = value.strip('"')
    if "=?" in value:
        with suppress(HeaderParseError, LookupError, ValueError):
            words = decode_header(value)
            if all(_is_charset(charset) for _, charset in words):
                value = str(make_header(words))
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode()  # UTF-8 that was read as Latin-1: hardly anything else is valid
    decoded = unquote(value)
    # Percent signs are no escapes here, but a name in which everything is escaped that can be was escaped.
    return decoded if quote(decoded, safe="!'()*", errors="replace") == value else value


# --------------------------------------------------------------------------------------------- what a folder can bear

_MOST_BYTES: Final = 255
_ROOM: Final = 35
"""Bytes that are left for what is put behind a name, such as ` (12)` or `.part`."""
_LONGEST_SUFFIX: Final = 32

_RESERVED: Final = re.compile(r"con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9]", re.IGNORECASE)
_ILLEGAL: Final = frozenset('<>:"/\\|?*')
# What looks like a slash, a backslash or a colon and is not one for Unicode's compatibility forms.
_LOOKALIKES: Final = frozenset("\u2044\u2215\u2216\u2236\u29f5\u29f8\u29f9\ua789")
# Letters and marks that nobody sees, and that some file systems pass over when they compare names.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def safe_name(name: str, *, fallback: str = "file") -> str:
    r"""Make a name that a file or folder can have on Linux, macOS and Windows, directly in its folder.

    Letters of all scripts stay. Separators, drives, streams and what can be taken for them become `_`; what is
    invisible goes; a name that Windows keeps for a device gets a `_`. A long name is cut before its suffix, so that
    there is room for 35 more bytes. A safe name stays as it is.

    Args:
        name: Any text.
        fallback: The name if nothing is left.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\x.ckpt:stream"), safe_name("aux.safetensors")
    ('_.._etc_passwd', 'C__x.ckpt_stream', 'aux_.safetensors')
    >>> safe_name("東京 \u202egpj.exe "), safe_name(" . "), len(safe_name("長" * 300 + ".ckpt").encode())
    ('東京 gpj.exe', 'file', 218)
    """
    return _cleaned(name) or _cleaned(fallback) or "file"


def _cleaned(name: str) -> str:
    spaced = " ".join("".join(map(_fitting, _INVISIBLE.sub("", name))).split())
    name = unicodedata.normalize("NFC", spaced).lstrip(" .-").rstrip(" .")
    device, dot, rest = name.partition(".")
    if _RESERVED.fullmatch(unicodedata.normalize("NFKC", device).rstrip()):
        name = f"{device.rstrip()}_{dot}{rest}"
    return _cut(name, _MOST_BYTES - _ROOM)


def _fitting(character: str) -> str:
    """Give what stands for a character in a name."""
    category = unicodedata.category(character)
    if character.isspace():
        return " "
    if category in ("Cc", "Cf"):
        return ""
    alike = unicodedata.normalize("NFKC", character)
    if alike.strip(". ") == "":  # an ellipsis, a full-width full stop, a wide space
        return alike
    # Some file systems take private and unassigned characters for the illegal ones, and others refuse them.
    illegal = category.startswith("C") or character in _LOOKALIKES or not _ILLEGAL.isdisjoint(alike)
    return "_" if illegal else character


def _cut(name: str, most: int, addition: str = "") -> str:
    """Put something between a name and its suffix, and cut the name before it to a number of bytes."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) >= _LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    end = f"{addition}{dot}{suffix}"
    if len(f"{stem}{end}".encode()) > most:
        stem = stem.encode()[: most - len(end.encode())].decode(errors="ignore").rstrip(" .")
    return f"{stem}{end}"


def numbered(name: str) -> Iterator[str]:
    """Give a name that `safe_name` gave, and then without end that name with a number.

    >>> from itertools import islice
    >>> list(islice(numbered("a.ckpt"), 3))
    ['a.ckpt', 'a (2).ckpt', 'a (3).ckpt']
    """
    yield name
    number = 2
    while True:
        yield _cut(name, _MOST_BYTES, f" ({number})")
        number += 1


def same_name(name: str) -> str:
    """Give what is equal for names that a file system may take for equal.

    >>> same_name("A.png") == same_name("a.PNG")
    True
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
