"""Reading OpenAPI documents from anywhere, and writing them in one fixed form.

Reading is bounded in time and size and ends either with a document or with a `DocumentError`, whose one line of text
says what is wrong. Writing gives the same text for the same content, so that a diff shows nothing but changes.
"""

import html
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, TypeAlias

import yaml

__all__ = [
    "DocumentError",
    "Json",
    "check_openapi",
    "dump",
    "load",
    "operations",
    "parse",
    "read",
    "replace_files",
    "schemas",
]

Json: TypeAlias = dict[str, Any]

MAX_BYTES: Final = 64 * 1024 * 1024
"""No document that we know is over 2 MB; what is this large is something else."""
MAX_SECONDS: Final = 60.0
METHODS: Final = ("delete", "get", "head", "options", "patch", "post", "put", "trace")

_VERSION = re.compile(r"3\.(0\.[1-9]\d*|1\.\d+)")
_TOP = ("openapi", "info", "servers", "security", "tags", "paths", "components")


class DocumentError(Exception):
    """A document that cannot be had or is not what it should be. The text is one line."""


# ----------------------------------------------------------------------------------------------------------- reading


def load(source: str | Path) -> Json:
    """Read a JSON or YAML document from a path or an `http(s)` URL.

    Raises:
        DocumentError: It cannot be had, is too large, or holds no object.

    """
    return parse(read(source), str(source))


def read(source: str | Path) -> bytes:
    """Read the bytes of a path or an `http(s)` URL.

    Raises:
        DocumentError: The source cannot be read in time, or is too large.

    """
    name = str(source)
    try:
        data = _fetch(name) if name.startswith(("http://", "https://")) else _read_file(Path(source))
    except urllib.error.HTTPError as error:
        error.close()
        raise DocumentError(f"{name}: the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DocumentError(f"{name}: cannot be reached: {error.reason}") from error
    except HTTPException as error:
        raise DocumentError(f"{name}: the answer broke off: {error!r}") from error
    except TimeoutError as error:
        raise DocumentError(f"{name}: no whole answer within {MAX_SECONDS:g} seconds") from error
    except (OSError, ValueError) as error:
        raise DocumentError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{name}: is larger than {MAX_BYTES // 1024**2} MB")
    return data


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _fetch(url: str) -> bytes:
    """Read in pieces, because the socket's timeout alone does not end an answer that trickles."""
    deadline = time.monotonic() + MAX_SECONDS
    data = bytearray()
    request = urllib.request.Request(url, headers={"Accept": "application/json, application/yaml;q=0.9"})
    with urllib.request.urlopen(request, timeout=MAX_SECONDS / 4) as answer:
        # read1 returns what one read of the socket gives, so the deadline is looked at between any two.
        while len(data) <= MAX_BYTES and (piece := answer.read1(1 << 16)):
            data += piece
            if time.monotonic() > deadline:
                raise TimeoutError
        length = answer.headers.get("Content-Length", "")
    if len(data) <= MAX_BYTES and length.isdecimal() and len(data) < int(length):
        raise HTTPException(f"{len(data)} of {length} bytes")
    return bytes(data)


def parse(data: bytes, name: str = "document") -> Json:
    """Make a document of the bytes of a JSON or YAML text.

    Raises:
        DocumentError: The bytes are empty, a web page, cut off, no JSON or YAML, or no object.

    Example:
        >>> parse(b"paths: {/v2/jobs: {}}")
        {'paths': {'/v2/jobs': {}}}

    """
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name}: is not UTF-8 text") from error
    if not text:
        raise DocumentError(f"{name}: is empty")
    if text.startswith("<"):
        title = re.search(r"<title[^>]*>(.*?)</title", text, re.IGNORECASE | re.DOTALL)
        shown = f' with the title "{" ".join(html.unescape(title[1]).split())[:100]}"' if title else ""
        raise DocumentError(f"{name}: is a web page{shown}, not a document")
    try:
        document = json.loads(text) if text[0] in "{[" else _strings(yaml.load(text, _Loader))  # noqa: S506
    except json.JSONDecodeError as error:
        what = "is cut off" if error.pos >= len(text) - 1 or "Unterminated" in error.msg else "is broken JSON"
        raise DocumentError(f"{name}: {what} at line {error.lineno}, column {error.colno} ({error.msg})") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{name}: is neither JSON nor YAML ({' '.join(str(error).split())[:160]})") from error
    except RecursionError as error:
        raise DocumentError(f"{name}: is nested too deeply") from error
    if not isinstance(document, dict):
        raise DocumentError(f"{name}: holds no object, but {type(document).__name__}")
    return document


_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """Reads scalars as JSON means them: no dates, no `on`/`off`, no `16:9` in base 60, which YAML 1.1 has."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  # the base class declares it so


_EXPONENT = re.compile(r"^[-+]?\d+[eE][-+]?\d+$")
for _tag, _pattern, _first in (
    ("null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""]),
    ("bool", re.compile(r"^(?:true|false)$"), list("tf")),
    ("int", re.compile(r"^[-+]?(?:0|[1-9]\d*)$"), list("-+0123456789")),
    ("float", re.compile(r"^[-+]?\d+\.\d*(?:[eE][-+]?\d+)?$"), list("-+0123456789")),
    ("float", _EXPONENT, list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)


def _strings(node: Any) -> Any:
    """Make every key a text, as in JSON: YAML reads the status `200` as a number."""
    if isinstance(node, dict):
        return {key if isinstance(key, str) else json.dumps(key): _strings(value) for key, value in node.items()}
    return [_strings(value) for value in node] if isinstance(node, list) else node


def check_openapi(document: Json, name: str = "document") -> None:
    """Make sure that `document` is OpenAPI 3.0.1 to 3.1 and has operations and schemas whose references resolve.

    Raises:
        DocumentError: It is not.

    """
    version = document.get("openapi")
    if version is None:
        what = f"is Swagger {document['swagger']}, not OpenAPI 3" if "swagger" in document else "is no OpenAPI document"
        raise DocumentError(f"{name}: {what}")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise DocumentError(f"{name}: is OpenAPI {version}; versions 3.0.1 to 3.1 are understood")
    components = document.get("components")
    for what, held in (
        ("paths", document.get("paths")),
        ("schemas", components.get("schemas") if isinstance(components, dict) else None),
    ):
        if not isinstance(held, dict) or not held:
            raise DocumentError(f"{name}: has no {what}; is it cut off?")
        for key, value in held.items():
            if not isinstance(value, (dict, bool)):
                raise DocumentError(f"{name}: {key} of its {what} is no object; is it cut off?")
    if not any(True for _ in operations(document)):
        raise DocumentError(f"{name}: has no operations")
    lost = sorted({target for target in _targets(document) if not _resolves(document, target)})
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise DocumentError(f"{name}: refers to what it does not hold: {', '.join(lost[:3])}{more}; is it cut off?")


def _targets(node: Any) -> Iterator[str]:
    """Every reference, but not what looks like one: a property called `$ref`, or a step reference in an example."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for key, value in node.items():
            if key not in ("example", "examples", "default", "enum", "const"):
                yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _resolves(document: Json, target: str) -> bool:
    node: Any = document
    root, *parts = target.split("/")
    for part in parts:
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return root == "#" and node is not None


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Every operation as path, method and object, in the order of the document."""
    for path, item in document["paths"].items():
        for method, operation in item.items() if isinstance(item, dict) else ():
            if method in METHODS and isinstance(operation, dict):
                yield path, method, operation


def schemas(document: Json) -> Json:
    """Give the named schemas of a document."""
    found: Json = document["components"]["schemas"]
    return found


# ----------------------------------------------------------------------------------------------------------- writing


class _Dumper(_SafeDumper):  # type: ignore[misc, valid-type]
    """Writes everything out: a value that occurs twice is no anchor and alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


# Quote a text such as 1e5, which YAML 1.1 takes for a text and YAML 1.2 for a number.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def dump(document: Json, *, comment: str = "") -> str:
    r"""Write a document as YAML: block style, keys sorted, one line per scalar, LF.

    Only the outermost keys are in the order that OpenAPI documents use.

    Args:
        document: What to write.
        comment: Lines to put before it.

    Example:
        >>> dump({"paths": {}, "openapi": "3.1.1"}, comment="Made by hand.")
        '# Made by hand.\nopenapi: 3.1.1\npaths: {}\n'

    """
    first = {key: document[key] for key in _TOP if key in document}
    rest = {key: document[key] for key in sorted(document.keys() - first.keys())}
    parts = [f"# {line}".rstrip() + "\n" for line in comment.splitlines()]
    parts += [
        yaml.dump(
            {key: value},
            Dumper=_Dumper,
            default_flow_style=False,
            allow_unicode=True,
            sort_keys=True,
            width=2**31 - 1,
            line_break="\n",
        )
        for key, value in {**first, **rest}.items()
    ]
    return "".join(parts)


def replace_files(texts: Mapping[Path, str]) -> None:
    """Write several files so that either all of them are new or none is touched.

    Raises:
        OSError: A file could not be written; all are as they were.

    """
    with ExitStack() as undo:
        ready: list[tuple[Path, Path]] = []
        for path, text in texts.items():
            with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
                temporary = Path(file.name)
                undo.callback(temporary.unlink, missing_ok=True)
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            ready.append((temporary, path))
        with ExitStack() as restore:
            for temporary, path in ready:
                restore.callback(_restorer(path))
                temporary.replace(path)
            restore.pop_all()


def _restorer(path: Path) -> Callable[[], None]:
    """Make the function that puts the present state of `path` back."""
    if not path.exists():
        return lambda: path.unlink(missing_ok=True)
    before = path.read_bytes()

    def restore() -> None:
        if path.read_bytes() != before:
            path.write_bytes(before)

    return restore
