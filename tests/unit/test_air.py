"""AIRs: what is read, what is refused, how they compare, and how they are built from a model version."""

from __future__ import annotations

import copy
import enum
import itertools
import pickle
import re
import string
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from civitai_ext._base_models import BASE_MODELS, MODEL_TYPES, ROOT_ECOSYSTEMS
from civitai_ext.air import MAX_LENGTH, Air, AirError, air_type_of, ecosystem_of
from civitai_ext.errors import CivitaiError


def parts(air: Air) -> tuple[Any, ...]:
    return air.ecosystem, air.type, air.source, air.id, air.version, air.file_id, air.format


# -------------------------------------------------------------------------------------------------------------- reading

_FULL = "urn:air:sdxl:checkpoint:civitai:827184"
_LORA = ("sdxl", "lora", "civitai", "1", "2", None, None)

READ = [
    (f"{_FULL}@2514310", ("sdxl", "checkpoint", "civitai", "827184", "2514310", None, None)),
    (f"{_FULL}@2514310+2402203", ("sdxl", "checkpoint", "civitai", "827184", "2514310", 2402203, None)),
    (
        f"{_FULL}@2514310+2402203.safetensor",
        ("sdxl", "checkpoint", "civitai", "827184", "2514310", 2402203, "safetensor"),
    ),
    (f"{_FULL}@2514310.safetensor", ("sdxl", "checkpoint", "civitai", "827184", "2514310.safetensor", None, None)),
    (_FULL, ("sdxl", "checkpoint", "civitai", "827184", None, None, None)),
    (f"{_FULL}.safetensor", ("sdxl", "checkpoint", "civitai", "827184.safetensor", None, None, None)),
    (f"{_FULL}+5", ("sdxl", "checkpoint", "civitai", "827184", None, 5, None)),
    (f"{_FULL}+5.gguf", ("sdxl", "checkpoint", "civitai", "827184", None, 5, "gguf")),
    ("air:sdxl:lora:civitai:1@2", _LORA),
    ("sdxl:lora:civitai:1@2", _LORA),
    ("urn:sdxl:lora:civitai:1@2", _LORA),
    ("URN:AIR:SDXL:LORA:CIVITAI:1@2", _LORA),
    (" \turn:air:sdxl:lora:civitai:1@2\n", _LORA),
    ("civitai:1@2", (None, None, "civitai", "1", "2", None, None)),
    ("urn:air:civitai:1@2", (None, None, "civitai", "1", "2", None, None)),
    ("lora:civitai:1@2", ("lora", None, "civitai", "1", "2", None, None)),
    (
        "urn:air:flux1:vae:huggingface:black-forest-labs/FLUX.1-dev@main/ae.safetensors",
        ("flux1", "vae", "huggingface", "black-forest-labs/FLUX.1-dev", "main/ae.safetensors", None, None),
    ),
    (
        "urn:air:other:other:civitai-r2:civitai-worker-assets@sam_vit_b_01ec64.pth",
        ("other", "other", "civitai-r2", "civitai-worker-assets", "sam_vit_b_01ec64.pth", None, None),
    ),
    (
        "urn:air:oci:image:dockerhub:library/python@3.12-slim",
        ("oci", "image", "dockerhub", "library/python", "3.12-slim", None, None),
    ),
    (
        "urn:air:oci:image:ghcr:civitai/training-toolkit@sha256:abc123",
        ("oci", "image", "ghcr", "civitai/training-toolkit", "sha256:abc123", None, None),
    ),
    (
        "urn:air:comfy:nodepack:comfyregistry:comfyui-x@1.2.3+a1b2c3",
        ("comfy", "nodepack", "comfyregistry", "comfyui-x", "1.2.3+a1b2c3", None, None),
    ),
    (
        # A build suffix that happens to hold digits only is no file id.
        "urn:air:comfy:nodepacklayer:comfyregistry:comfyui-x@1.2.3+123456",
        ("comfy", "nodepacklayer", "comfyregistry", "comfyui-x", "1.2.3+123456", None, None),
    ),
    ("urn:air:sdxl:checkpoint:civitai:1@2:layer", ("sdxl", "checkpoint", "civitai", "1", "2:layer", None, None)),
    (
        "urn:air:boogu:diffusionmodel:civitai:2714299@3049541",
        ("boogu", "diffusionmodel", "civitai", "2714299", "3049541", None, None),
    ),
    (
        "urn:air:zimageturbo:diffusion_model:huggingface:Comfy-Org/z_image_turbo@main/split_files/z.safetensors",
        (
            "zimageturbo",
            "diffusion_model",
            "huggingface",
            "Comfy-Org/z_image_turbo",
            "main/split_files/z.safetensors",
            None,
            None,
        ),
    ),
    ("urn:air:qwen:clip:huggingface:a/b@main", ("qwen", "clip", "huggingface", "a/b", "main", None, None)),
    (
        "urn:air:flux2:text_encoders:huggingface:a/b@main",
        ("flux2", "text_encoders", "huggingface", "a/b", "main", None, None),
    ),
    (
        "urn:air:qwen3:repository:huggingface:org/repo@main.tar",
        ("qwen3", "repository", "huggingface", "org/repo", "main.tar", None, None),
    ),
    (
        "urn:air:other:other:civitai-r2:bucket@training/12/set.zip",
        ("other", "other", "civitai-r2", "bucket", "training/12/set.zip", None, None),
    ),
    (
        "urn:air:sdxl:lora:orchestrator:0a1b-2c@epoch_5.safetensors",
        ("sdxl", "lora", "orchestrator", "0a1b-2c", "epoch_5.safetensors", None, None),
    ),
    (
        "urn:air:other:other:orchestrator:blob@1F2E.jpeg",
        ("other", "other", "orchestrator", "blob", "1F2E.jpeg", None, None),
    ),
    (
        "urn:air:openai:checkpoint:openai:gpt-image-1@2025",
        ("openai", "checkpoint", "openai", "gpt-image-1", "2025", None, None),
    ),
    ("urn:air:sdxl:image:leonardo:x@1", ("sdxl", "image", "leonardo", "x", "1", None, None)),
    (
        "urn:air:flux1:image:replicate:owner/name@v1",
        ("flux1", "image", "replicate", "owner/name", "v1", None, None),
    ),
    ("urn:air:flux1:diffuser:civitai:1@2", ("flux1", "diffuser", "civitai", "1", "2", None, None)),
    ("urn:air:sdxl:model:civitai:1@2", ("sdxl", "model", "civitai", "1", "2", None, None)),
    (
        "urn:air:pony:checkpoint:civitai:372465@534642",
        ("pony", "checkpoint", "civitai", "372465", "534642", None, None),
    ),
    (
        "urn:air:illustrious:checkpoint:civitai:795765@900661",
        ("illustrious", "checkpoint", "civitai", "795765", "900661", None, None),
    ),
    ("urn:air:zImage:lora:civitai:1@2", ("zimage", "lora", "civitai", "1", "2", None, None)),
    # Only the strict reader takes these characters, and only when everything is written.
    ("urn:air:other:other:s3:a:b~c(1)é@v@~!", ("other", "other", "s3", "a:b~c(1)é", "v@~!", None, None)),
    ("urn:air:other:other:web:https://x.org/a@v1", ("other", "other", "web", "https://x.org/a", "v1", None, None)),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[text for text, _ in READ])
def test_reads(text: str, expected: tuple[Any, ...]) -> None:
    air = Air.parse(text)
    assert parts(air) == expected
    assert Air.parse(str(air)) == air
    assert Air.try_parse(text) == air


REFUSED = [
    ("urn:air:sd1:checkpoint:civitai:@2", 31, "the id is missing"),
    ("1@2", 0, "the source is missing"),
    ("2514310", 0, "the source is missing"),
    ("", 0, "the source is missing"),
    ("urn:air:", 8, "the source is missing"),
    ("urn:air:1@2", 8, "the source is missing"),
    ("air:1@2", 4, "the source is missing"),
    ("urn:1@2", 4, "the source is missing"),
    ("urn::lora:civitai:1", 4, "the ecosystem is missing"),
    ("urn:air:sdxl::civitai:1@2", 13, "the type is missing"),
    ("urn:air:sdxl:lora::1@2", 18, "the source is missing"),
    (":1", 0, "the source is missing"),
    ("civitai:", 8, "the id is missing"),
    ("civitai:1@", 10, "the version is missing"),
    ("urn:air:sdxl:lora:civitai:1@", 28, "the version is missing"),
    ("urn:air:sdxl:lo ra:civitai:1@2", 15, "the type cannot hold ' '"),
    ("sd.xl:lora:civitai:1@2", 2, "the ecosystem cannot hold '.'"),
    ("sdxl:lora:civitai:1~@2", 19, "the id cannot hold '~'"),
    ("air:sdxl:lora:civitai:1@2~", 25, "the version cannot hold '~'"),
    ("urn", 0, "the source is missing"),
    ("urn:air", 4, "the source is missing"),
    ("civitai:1 @2", 9, "the id cannot hold ' '"),
    ("civitai:1\n@2", 9, "the id cannot hold '\\n'"),
    ("civitai:1+abc@2", 9, "the id cannot hold '+'"),
    ("civitai:é@2", 8, "the id cannot hold 'é'"),
    ("civitai:٣@2", 8, "the id cannot hold '٣'"),
    ("civitai:1@2@3", 11, "the version cannot hold '@'"),
    ("civitai:1@2 3", 11, "the version cannot hold ' '"),
    ("urn:air:sdxl:lora:civitai:a b@2", 27, "the id cannot hold ' '"),
    ("urn:air:sdxl:lora:civitai:1@2\u202e", 29, "the version cannot hold '\\u202e'"),
    ("urn:air:sdxl:lora:civitai:1@2\ud800", 29, "the version cannot hold '\\ud800'"),
    ("a:b:c:d:1@2", 8, "more parts"),
    ("urn:a:b:c:d:1@2", 12, "more parts"),
    ("https://civitai.com/models/1", 5, "a URL is not an AIR"),
    ("http://localhost:8080/x", 4, "a URL is not an AIR"),
    ("civitai:" + "1" * MAX_LENGTH, MAX_LENGTH, "longer than 2048"),
]


@pytest.mark.parametrize(("text", "position", "reason"), REFUSED, ids=[ascii(text[:40]) for text, _, _ in REFUSED])
def test_refuses_and_says_where(text: str, position: int, reason: str) -> None:
    with pytest.raises(AirError) as caught:
        Air.parse(text)
    error = caught.value
    assert (error.position, error.text) == (position, text)
    assert reason in error.reason
    assert f"at {position}: {error.reason}" in str(error)
    assert Air.try_parse(text) is None


def test_error_points_at_the_place() -> None:
    with pytest.raises(AirError) as caught:
        Air.parse("  urn:air:sd1:checkpoint:civitai:@2 ")
    assert str(caught.value) == (
        "not an AIR: 'urn:air:sd1:checkpoint:civitai:@2' (at 31: the id is missing)\n"
        "  urn:air:sd1:checkpoint:civitai:@2\n"
        "                                 ^"
    )
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, CivitaiError)


@pytest.mark.parametrize("text", ["civitai:" + "1" * 500 + "!" + "2" * 500, "x" * 5_000_000, "civitai:1@\n\n\x1b[31m"])
def test_error_of_a_hostile_text_is_short_and_printable(text: str) -> None:
    with pytest.raises(AirError) as caught:
        Air.parse(text)
    first, line, caret = str(caught.value).split("\n")
    assert max(len(first), len(line), len(caret)) < 250
    assert (first + line + caret).isprintable()
    assert caret.strip() == "^"
    if "!" in text:
        assert line[caret.index("^")] == "!"


@pytest.mark.parametrize(
    "text",
    [
        "https://user:SECRET@civitai.com/api/download/models/1",
        "https://civitai.com/api/download/models/1?token=SECRET",
        "https://civitai.com/api/download/models/1?token=SECRET" + "A" * MAX_LENGTH,
        "s3://key:SECRET@bucket/x",
        "urn:air:other:other:web:https://x.org/a?token=SECRET@v 1",
    ],
)
def test_error_of_a_url_keeps_its_secrets(text: str) -> None:
    with pytest.raises(AirError) as caught:
        Air.parse(text)
    assert "SECRET" not in f"{caught.value}{caught.value!r}{vars(caught.value)}"
    assert caught.value.position is not None
    assert caught.value.position <= len(caught.value.text)


@pytest.mark.parametrize("error", [AirError("why", "civitai:", 8), AirError("why")])
def test_error_survives_pickling(error: AirError) -> None:
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(twin), twin.reason, twin.text, twin.position) == (str(error), error.reason, error.text, error.position)


@pytest.mark.parametrize("value", [None, 5, b"civitai:1@2", ["civitai:1@2"], object()])
def test_what_is_not_text_is_refused(value: Any) -> None:
    assert Air.try_parse(value) is None
    with pytest.raises(AirError, match=f"not {type(value).__name__}"):
        Air.parse(value)


def test_an_air_is_returned_as_it_is() -> None:
    air = Air.parse("civitai:1@2")
    assert Air.parse(air) is air
    assert Air.try_parse(air) is air


# ----------------------------------------------------------------------------------- the grammars, as written by others

_WORD = r"[A-Za-z0-9_\-/]+"
_PREFIXED = rf"(?:urn:)?(?:air:)?(?:({_WORD}):)?(?:({_WORD}):)?({_WORD}):([A-Za-z0-9_\-/.]+)"
CLIENT_GRAMMAR = re.compile(rf"{_PREFIXED}(?:@([A-Za-z0-9_\-/.]+))?(?:\+([0-9]+))?(?:\.([A-Za-z0-9_\-]+))?", re.ASCII)
SERVER_GRAMMAR = re.compile(rf"{_PREFIXED}(?:@([A-Za-z0-9_\-/.=,%+:]+))?", re.ASCII)
STRICT_GRAMMAR = re.compile(rf"urn:air:({_WORD}):({_WORD}):({_WORD}):([!-?A-~]+)(?:@([!-~]+))?", re.ASCII)
DIGITS_GRAMMAR = re.compile(r"urn:air:[a-z0-9]+:[a-z]+:[a-z]+:[0-9]+@[0-9]+", re.ASCII)
ALL_GRAMMARS = [CLIENT_GRAMMAR, SERVER_GRAMMAR, STRICT_GRAMMAR, DIGITS_GRAMMAR]

grammar_texts = st.one_of([st.from_regex(grammar, fullmatch=True) for grammar in ALL_GRAMMARS])


def _is_mistake(text: str) -> bool:
    """What is refused on purpose: URLs, prefixes without a source, texts without end."""
    head = text.lower().partition("@")[0]
    return len(text) > MAX_LENGTH - 10 or "://" in head or re.fullmatch(r"(urn:air|urn|air):[^:]*", head) is not None


@given(grammar_texts)
def test_reads_what_any_grammar_reads(text: str) -> None:
    assume(not _is_mistake(text))
    air = Air.parse(text)
    assert Air.parse(str(air)) == air


@given(st.from_regex(SERVER_GRAMMAR, fullmatch=True))
def test_agrees_with_the_service(text: str) -> None:
    assume(not _is_mistake(text))
    match = SERVER_GRAMMAR.fullmatch(text)
    assert match is not None
    air = Air.parse(text)
    ecosystem, kind, source = (part and part.lower() for part in match.groups()[:3])
    assert (air.ecosystem, air.type, air.source) == (ecosystem, kind, source)
    if air.file_id is None:
        assert (air.id, air.version) == (match[4], match[5])


@given(st.from_regex(CLIENT_GRAMMAR, fullmatch=True), st.from_regex(r"[0-9]{1,9}@[0-9]{1,9}\+[0-9]{1,9}(\.[a-z]+)?\Z"))
def test_agrees_with_the_client_about_files(head: str, tail: str) -> None:
    text = re.sub(r"[^:]+$", "", head.partition("@")[0]) + "civitai:" + tail
    match = CLIENT_GRAMMAR.fullmatch(text)
    assume(match is not None and not _is_mistake(text))
    assert match is not None
    air = Air.parse(text)
    assert (air.id, air.version, air.file_id, air.format) == (match[4], match[5], int(match[6]), match[7])


# -------------------------------------------------------------------------------------------------------------- writing

_letters = string.ascii_letters + string.digits
names = st.one_of(
    st.sampled_from(["civitai", "huggingface", "sdxl", "lora", "urn", "air"]),
    st.text(_letters + "_-/", min_size=1, max_size=12),
)
ids = st.one_of(st.integers(0, 10**9).map(str), st.text(_letters + "_-/.", min_size=1, max_size=20))
versions = st.one_of(ids, st.text(_letters + "_-/.=,%+:", min_size=1, max_size=20))
wide = st.text(st.characters(exclude_characters="@ "), min_size=1, max_size=20).filter(str.isprintable)


@st.composite
def airs(draw: st.DrawFn) -> Air:
    """Any AIR that can be built by keywords."""
    ecosystem = draw(st.none() | names)
    kind = None if ecosystem is None else draw(st.none() | names)
    source = draw(st.just("civitai") | names)
    full = kind is not None
    file_id = draw(st.none() | st.integers(0, 10**12)) if source.lower() == "civitai" else None
    built: dict[str, Any] = {
        "ecosystem": ecosystem,
        "type": kind,
        "source": source,
        "id": draw(ids | wide if full else ids),
        "version": draw(st.none() | (versions | wide if full else versions)),
        "file_id": file_id,
        "format": None if file_id is None else draw(st.none() | st.text(_letters + "_-", min_size=1, max_size=8)),
    }
    try:
        return Air(**built)
    except AirError as error:
        # Only parts that mean something else once they are written may be refused.
        if "would be read as" in error.reason or error.reason == "a URL is not an AIR":
            reject()
        raise


@given(airs())
def test_what_is_written_is_read_back(air: Air) -> None:
    text = str(air)
    assert text.startswith("urn:air:")
    again = Air.parse(text)
    assert again == air
    assert hash(again) == hash(air)
    assert str(again) == text
    assert parts(again)[:-1] == parts(air)[:-1]
    assert air.to_wire() == text
    assert repr(air) == f"Air({text!r})"


@given(st.builds(dict, ecosystem=names, type=names, source=names, id=ids, version=ids))
def test_plain_parts_are_always_accepted(built: dict[str, Any]) -> None:
    air = Air(**built)
    assert (air.id, air.version) == (built["id"], built["version"])
    assert air.source == built["source"].lower()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("URN:AIR:SDXL:LORA:CIVITAI:1@2", "urn:air:sdxl:lora:civitai:1@2"),
        ("lora:civitai:1@2", "urn:air:lora:civitai:1@2"),
        ("civitai:1", "urn:air:civitai:1"),
        ("sdxl:lora:civitai:1@2+007.safetensor", "urn:air:sdxl:lora:civitai:1@2+7"),
        ("flux1:vae:HuggingFace:Org/Repo@Main/Ae.bin", "urn:air:flux1:vae:huggingface:Org/Repo@Main/Ae.bin"),
    ],
)
def test_writes_the_full_form(text: str, written: str) -> None:
    assert str(Air.parse(text)) == written
    assert f"{Air.parse(text)}" == written


def test_keywords_take_numbers_and_members_of_enumerations() -> None:
    class Source(str, enum.Enum):  # noqa: UP042  # as the generated clients have it
        CIVITAI = "Civitai"

    air = Air(ecosystem="SDXL", type="LORA", source=Source.CIVITAI, id=1, version=2, file_id=3)
    assert str(air) == "urn:air:sdxl:lora:civitai:1@2+3"
    assert type(air.source) is type(air.id) is str


@pytest.mark.parametrize(
    ("built", "reason"),
    [
        ({"source": "civitai", "id": 1, "type": "lora"}, "a type needs an ecosystem"),
        ({"source": "huggingface", "id": "a", "version": "b", "file_id": 1}, "a file id needs the source civitai"),
        ({"source": "civitai", "id": 1, "version": 2, "format": "gguf"}, "a format needs a file id"),
        ({"source": "civitai", "id": 1, "version": 2, "file_id": 3, "format": "a.b"}, "would be read as"),
        ({"source": "civitai", "id": 1, "version": "2+3"}, "the version '2+3' would be read as '2'"),
        ({"source": "civitai", "id": 1, "version": 2, "file_id": -3}, "would be read as"),
        ({"source": "civitai", "id": 1, "version": 2, "file_id": "3"}, "the file_id '3' would be read as 3"),
        ({"source": "civitai", "id": 1, "version": 2, "file_id": True}, "would be read as"),
        ({"source": "civitai", "id": "1@2"}, "the id '1@2' would be read as '1'"),
        ({"source": "civitai", "id": ""}, "the id is missing"),
        ({"source": "", "id": 1}, "the source is missing"),
        ({"source": "civitai", "id": 1, "version": ""}, "the version is missing"),
        ({"source": "a:b", "id": 1}, "would be read as"),
        ({"source": "civitai", "id": "a b"}, "the id cannot hold ' '"),
        ({"source": "civitai", "id": " 1"}, "the id cannot hold ' '"),
        ({"source": "civitai", "id": None}, "the id must be text or a number, not NoneType"),
        ({"source": "civitai", "id": True}, "the id must be text or a number, not bool"),
        ({"source": "civitai", "id": 1, "version": 1.5}, "the version must be text or a number, not float"),
        ({"source": "civitai", "id": "1" * MAX_LENGTH}, "longer than"),
    ],
)
def test_refuses_parts_that_would_not_come_back(built: dict[str, Any], reason: str) -> None:
    with pytest.raises(AirError, match=re.escape(reason)):
        Air(**built)


def test_is_immutable() -> None:
    air = Air.parse("civitai:1@2")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        air.id = "2"  # type: ignore[misc]


def test_copies_and_pickles() -> None:
    air = Air.parse("sdxl:lora:civitai:1@2+3.gguf")
    for twin in (copy.copy(air), copy.deepcopy(air), pickle.loads(pickle.dumps(air))):  # noqa: S301
        assert twin == air
        assert parts(twin) == parts(air)


# --------------------------------------------------------------------------------------------------- equality and order


def test_equality_ignores_case_of_words_and_format_only() -> None:
    air = Air.parse("urn:air:sdxl:lora:civitai:1@2+3")
    assert {air, Air.parse("URN:AIR:SDXL:LORA:CIVITAI:1@2+3.gguf"), Air.parse("sdxl:lora:civitai:1@2+3")} == {air}
    assert Air.parse("huggingface:a/b") != Air.parse("huggingface:A/b")
    others = ["sdxl:lora:civitai:1@2", "sdxl:lora:civitai:1", "lora:civitai:1@2+3", "sdxl:lora:civitai:01@2+3"]
    assert air not in {Air.parse(other) for other in others}
    assert air != str(air)  # type: ignore[comparison-overlap]


def test_order_is_natural_and_missing_parts_come_first() -> None:
    ordered = [
        "civitai:1",
        "civitai:1@2",
        "civitai:2@9",
        "civitai:2@10",
        "civitai:10",
        "flux1:civitai:1",
        "flux2:lora:civitai:7@8",
        "flux2:lora:civitai:7@8+9",
        "flux2:lora:civitai:7@8+10",
        "flux2:lora:huggingface:a/v2@main",
        "flux2:lora:huggingface:a/v10@main",
        "flux10:lora:civitai:1@1",
    ]
    shuffled = sorted(ordered, key=lambda text: text[::-1])
    assert shuffled != ordered
    assert sorted(map(Air.parse, shuffled)) == [Air.parse(text) for text in ordered]
    assert Air.parse("civitai:01") < Air.parse("civitai:1")  # of equal value but not the same


def test_order_with_other_types_is_an_error() -> None:
    with pytest.raises(TypeError):
        Air.parse("civitai:1") < "civitai:2"  # type: ignore[operator]  # noqa: B015


_near = st.builds(
    lambda *pieces: Air.parse(":".join(filter(None, pieces[:3])) + "".join(pieces[3:])),
    st.sampled_from(["", "sdxl", "sd1", "sd10"]),
    st.sampled_from(["", "lora"]),
    st.sampled_from(["civitai", "hf"]),
    st.sampled_from([":1", ":01", ":2", ":10", ":a1"]),
    st.sampled_from(["", "@1", "@2", "@10", "@1a"]),
    st.sampled_from(["", "+1", "+2"]),
)


@given(airs() | _near, airs() | _near, airs() | _near)
def test_order_is_total_and_agrees_with_equality(a: Air, b: Air, c: Air) -> None:
    assert [a < b, a == b, a > b].count(True) == 1
    assert (a <= b) is (a < b or a == b)
    assert (a >= b) is (a > b or a == b)
    assert (a < b) is (b > a)
    if a == b:
        assert hash(a) == hash(b)
    for x, y, z in itertools.permutations((a, b, c)):
        if x < y and y < z:
            assert x < z


# ------------------------------------------------------------------------------------------------------------ any input


@given(st.text() | st.text("urnai:@+./ 12\n", max_size=40) | grammar_texts.map(lambda text: text.replace(":", "::", 1)))
def test_any_text_is_read_or_refused(text: str) -> None:
    air = Air.try_parse(text)
    if air is None:
        with pytest.raises(AirError) as caught:
            Air.parse(text)
        assert caught.value.position is not None
        assert 0 <= caught.value.position <= len(caught.value.text)
        assert str(caught.value)
    else:
        assert Air.parse(str(air)) == air


@given(
    st.binary() | st.none() | st.floats() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)
def test_try_parse_takes_any_object(value: object) -> None:
    air = Air.try_parse(value)
    assert air is None or isinstance(air, Air)


@pytest.mark.parametrize(
    "text", ["a:" * 1024, "civitai:1@" + "+1" * 1000 + "!", "urn:air:a:b:civitai:1@" + "+1." * 600]
)
def test_long_texts_are_decided_at_once(text: str) -> None:
    # Growth is what matters: a pattern that backtracks would not come back within the life of the test.
    Air.try_parse(text)
    Air.try_parse(text * 1000)


# --------------------------------------------------------------------------------------------------------- conveniences


@pytest.mark.parametrize(
    ("text", "model_id", "version_id", "url"),
    [
        ("urn:air:sdxl:lora:civitai:1@2", 1, 2, "https://civitai.com/models/1?modelVersionId=2"),
        ("urn:air:sdxl:lora:civitai:1@2+3", 1, 2, "https://civitai.com/models/1?modelVersionId=2"),
        ("urn:air:sdxl:lora:civitai:1@2.safetensor", 1, 2, "https://civitai.com/models/1?modelVersionId=2"),
        ("urn:air:sdxl:lora:civitai:1@2:layer", 1, 2, "https://civitai.com/models/1?modelVersionId=2"),
        ("civitai:1.safetensor", 1, None, "https://civitai.com/models/1"),
        ("civitai:1@2.5", 1, None, "https://civitai.com/models/1"),
        ("civitai:x@2", None, 2, None),
        ("civitai:12ab@latest", None, None, None),
        ("civitai-r2:1@2", None, None, None),
        ("huggingface:1@2", None, None, None),
    ],
)
def test_numbers_and_page(text: str, model_id: int | None, version_id: int | None, url: str | None) -> None:
    air = Air.parse(text)
    assert (air.model_id, air.version_id, air.url) == (model_id, version_id, url)


def test_replace() -> None:
    air = Air.parse("sdxl:lora:civitai:1@2+3.gguf")
    assert parts(air.replace(ecosystem="SD1", id=7)) == ("sd1", "lora", "civitai", "7", "2", 3, "gguf")
    assert parts(air.with_version(4)) == ("sdxl", "lora", "civitai", "1", "4", None, None)
    assert air.with_version(None).version is None
    with pytest.raises(AirError, match="needs the source civitai"):
        air.replace(source="huggingface")


# ------------------------------------------------------------------------------------------------- from a model version

# By hand and by result, not by rule, so that a slip in the package's tables shows.
AIR_ECOSYSTEMS = {
    "anima": ["Anima"],
    "auraflow": ["AuraFlow", "Pony V7"],
    "chroma": ["Chroma"],
    "cogvideox": ["CogVideoX"],
    "ernie": ["Ernie"],
    "flux1": ["Flux.1 S", "Flux.1 D"],
    "fluxkrea": ["Flux.1 Krea"],
    "flux1kontext": ["Flux.1 Kontext"],
    "flux2": ["Flux.2 D", "Flux.2 Klein 9B", "Flux.2 Klein 9B-base", "Flux.2 Klein 4B", "Flux.2 Klein 4B-base"],
    "flux3video": ["Flux 3 Video"],
    "grok": ["Grok"],
    "happyhorse": ["HappyHorse"],
    "hidream": ["HiDream"],
    "hidream-o1": ["HiDream-O1"],
    "hydit1": ["Hunyuan 1"],
    "hyv1": ["Hunyuan Video"],
    "ideogram": ["Ideogram 4.0"],
    "boogu": ["Boogu"],
    "sdxl": [
        "Illustrious",
        "NoobAI",
        "Pony",
        "SDXL 0.9",
        "SDXL 1.0",
        "SDXL 1.0 LCM",
        "SDXL Lightning",
        "SDXL Hyper",
        "SDXL Turbo",
    ],
    "imagen4": ["Imagen4"],
    "kolors": ["Kolors"],
    "krea2": ["Krea 2"],
    "ltxv": ["LTXV"],
    "ltxv2": ["LTXV2"],
    "ltxv23": ["LTXV 2.3"],
    "lens": ["Lens"],
    "lumina": ["Lumina"],
    "mageflow": ["MageFlow"],
    "mai": ["MAI"],
    "mochi": ["Mochi"],
    "nanobanana": ["Nano Banana"],
    "odor": ["ODOR"],
    "openai": ["OpenAI"],
    "other": ["Upscaler", "Other"],
    "pixarta": ["PixArt a"],
    "pixarte": ["PixArt E"],
    "playgroundv2": ["Playground v2"],
    "qwen": ["Qwen"],
    "qwen2": ["Qwen 2"],
    "qwen3": ["Qwen 3"],
    "scascade": ["Stable Cascade"],
    "sd1": ["SD 1.4", "SD 1.5", "SD 1.5 LCM", "SD 1.5 Hyper"],
    "sd2": ["SD 2.0", "SD 2.0 768", "SD 2.1", "SD 2.1 768", "SD 2.1 Unclip"],
    "sd3": ["SD 3", "SD 3.5", "SD 3.5 Large", "SD 3.5 Large Turbo"],
    "sd3_5m": ["SD 3.5 Medium"],
    "sdxldistilled": ["SDXL Distilled"],
    "reve": ["Reve"],
    "seedream": ["Seedream"],
    "svd": ["SVD", "SVD XT"],
    "sora2": ["Sora 2"],
    "veo3": ["Veo 3"],
    "wanvideo": ["Wan Video"],
    "wanvideo1_3b_t2v": ["Wan Video 1.3B t2v"],
    "wanvideo14b_t2v": ["Wan Video 14B t2v"],
    "wanvideo14b_i2v_480p": ["Wan Video 14B i2v 480p"],
    "wanvideo14b_i2v_720p": ["Wan Video 14B i2v 720p"],
    "wanvideo-22-ti2v-5b": ["Wan Video 2.2 TI2V-5B"],
    "wanvideo-22-i2v-a14b": ["Wan Video 2.2 I2V-A14B"],
    "wanvideo-22-t2v-a14b": ["Wan Video 2.2 T2V-A14B"],
    "wanvideo-25-t2v": ["Wan Video 2.5 T2V"],
    "wanvideo-25-i2v": ["Wan Video 2.5 I2V"],
    "wanimage27": ["Wan Image 2.7"],
    "wanvideo27": ["Wan Video 2.7"],
    "zimageturbo": ["ZImageTurbo"],
    "zimagebase": ["ZImageBase"],
    "vidu": ["Vidu Q1"],
    "minimaxh3": ["MiniMax H3"],
    "kling": ["Kling"],
    "seedance": ["Seedance"],
    "ace": ["ACE Audio"],
    "polygen": ["PolyGen"],
    "tripo": ["Tripo"],
    "hunyuan3d": ["Hunyuan3D"],
}
AIR_TYPES = {
    "Checkpoint": "checkpoint",
    "LORA": "lora",
    "LoCon": "lycoris",
    "DoRA": "dora",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernet",
    "AestheticGradient": "ag",
    "MotionModule": "motion",
    "Upscaler": "upscaler",
    "VAE": "vae",
    "Controlnet": "controlnet",
    "TextEncoder": "text_encoders",
    "UNet": "unet",
    "CLIPVision": "clipvision",
    "CLIP": "clip",
    "VisionLanguage": "visionlanguage",
    "Poses": "unknown",
    "Wildcards": "unknown",
    "Workflows": "unknown",
    "ComfyWorkflows": "unknown",
    "Detection": "unknown",
    "LLM": "unknown",
    "Other": "unknown",
}


def version_json(**changes: Any) -> dict[str, Any]:
    version: dict[str, Any] = {
        "id": 2514310,
        "modelId": 827184,
        "baseModel": "Illustrious",
        "model": {"name": "x", "type": "Checkpoint"},
        "files": [
            {"id": 4, "type": "UNet", "primary": False},
            {"id": 1, "type": "VAE", "primary": False},
            {"id": 2402203, "type": "Model", "primary": True},
            {"id": 3, "type": "Diffusion Model", "primary": False},
        ],
    }
    return {key: value for key, value in {**version, **changes}.items() if value is not None}


_PAIRS = [(base_model, word) for word, base_models in AIR_ECOSYSTEMS.items() for base_model in base_models]


@pytest.mark.parametrize(("base_model", "word"), _PAIRS, ids=[base_model for base_model, _ in _PAIRS])
def test_ecosystem_of_every_base_model(base_model: str, word: str) -> None:
    assert ecosystem_of(base_model) == word
    assert ecosystem_of(BASE_MODELS[base_model]) == word
    air = Air.for_version(version_json(baseModel=base_model))
    assert str(air) == f"urn:air:{word}:checkpoint:civitai:827184@2514310"


def test_base_models_are_complete() -> None:
    assert len(BASE_MODELS) == 99
    assert set(BASE_MODELS) == {base_model for base_model, _ in _PAIRS}
    assert set(ROOT_ECOSYSTEMS) <= set(BASE_MODELS.values())
    # 84 keys in all: two have no base model.
    assert len(set(BASE_MODELS.values()) | {"Haiper", "Lightricks"}) == 84


@pytest.mark.parametrize(
    ("name", "word"), [("Haiper", "haiper"), ("Lightricks", "lightricks"), ("SD1", "sd1"), ("New-One 2", "new-one 2")]
)
def test_ecosystem_of_other_text_is_its_lower_case(name: str, word: str) -> None:
    assert ecosystem_of(name) == word


@pytest.mark.parametrize(("model_type", "word"), AIR_TYPES.items())
def test_type_of_every_model_type(model_type: str, word: str) -> None:
    assert air_type_of(model_type) == word
    assert air_type_of(model_type, "Model") == word
    assert air_type_of(model_type, "Diffusion Model") == "diffusionmodel"
    assert air_type_of(model_type, "UNet") == "unet"
    assert Air.for_version(version_json(), model_type=model_type).type == word


def test_model_types_are_complete() -> None:
    assert set(MODEL_TYPES) == {model_type for model_type, word in AIR_TYPES.items() if word != "unknown"}
    assert air_type_of("SomethingNew") == "unknown"


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {}, "urn:air:sdxl:checkpoint:civitai:827184@2514310"),
        ({}, {"file_id": 2402203}, "urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203"),
        ({}, {"file_id": 3}, "urn:air:sdxl:diffusionmodel:civitai:827184@2514310+3"),
        ({}, {"file_id": 1}, "urn:air:sdxl:checkpoint:civitai:827184@2514310+1"),
        ({}, {"file": {"id": 5, "type": "UNet"}}, "urn:air:sdxl:unet:civitai:827184@2514310+5"),
        ({}, {"file": {"id": 5, "type": "UNet"}, "file_id": 5}, "urn:air:sdxl:unet:civitai:827184@2514310+5"),
        ({"files": None}, {}, "urn:air:sdxl:checkpoint:civitai:827184@2514310"),
        ({"files": None}, {"file_id": 9}, "urn:air:sdxl:checkpoint:civitai:827184@2514310+9"),
        ({"files": [{"id": 1, "type": "UNet", "primary": True}]}, {}, "urn:air:sdxl:unet:civitai:827184@2514310"),
        # Old answers do not mark the primary file. One file alone is it; among several none can be told.
        ({"files": [{"id": 1, "type": "UNet"}]}, {}, "urn:air:sdxl:unet:civitai:827184@2514310"),
        ({"files": [{"id": 1, "type": "UNet"}] * 2}, {}, "urn:air:sdxl:checkpoint:civitai:827184@2514310"),
        (
            {"modelId": None, "model": None},
            {"model_id": 4, "model_type": "LoCon"},
            "urn:air:sdxl:lycoris:civitai:4@2514310",
        ),
        ({"modelId": None, "model": {"id": 4, "type": "VAE"}}, {}, "urn:air:sdxl:vae:civitai:4@2514310"),
        ({}, {"model_id": 4, "model_type": "LORA"}, "urn:air:sdxl:lora:civitai:4@2514310"),
    ],
)
def test_for_version(changes: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    assert str(Air.for_version(version_json(**changes), **options)) == expected


def test_for_version_takes_objects() -> None:
    class Kind(str, enum.Enum):  # noqa: UP042  # as the generated clients have it
        LORA = "LORA"

    class Unset:
        def __bool__(self) -> bool:
            return False

    version = SimpleNamespace(
        id=2,
        model_id=1,
        base_model="SD 1.5",
        model=SimpleNamespace(type_=Kind.LORA),
        files=[SimpleNamespace(id=3, type_="Model", primary=True)],
    )
    assert str(Air.for_version(version)) == "urn:air:sd1:lora:civitai:1@2"
    assert str(Air.for_version(version, file=version.files[0])) == "urn:air:sd1:lora:civitai:1@2+3"
    version.model, version.files = SimpleNamespace(type="VAE"), Unset()
    assert str(Air.for_version(version)) == "urn:air:sd1:vae:civitai:1@2"
    version.model = version.base_model = Unset()
    with pytest.raises(AirError, match=r"lacks base_model, model\.type"):
        Air.for_version(version)


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"id": None}, {}, "the version lacks id"),
        ({"baseModel": None}, {}, "the version lacks base_model"),
        ({"modelId": None}, {}, "the version lacks model_id (pass model_id=…)"),
        ({"model": None}, {}, "the version lacks model.type (pass model_type=…)"),
        ({"id": None, "baseModel": None, "modelId": None}, {}, "lacks id, base_model, model_id"),
        ({"id": True}, {}, "lacks id"),
        ({"baseModel": ""}, {}, "lacks base_model"),
        ({"baseModel": "Wan Video 9"}, {}, "the base model 'Wan Video 9' is not known to this release"),
        ({}, {"file_id": 99}, "the version has no file 99"),
        ({}, {"file": {"type": "UNet"}}, "the file lacks id"),
        ({}, {"file": {"id": 5}, "file_id": 6}, "file_id is 6 but the file's id is 5"),
    ],
)
def test_for_version_says_what_lacks(changes: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(AirError, match=re.escape(reason)) as caught:
        Air.for_version(version_json(**changes), **options)
    assert (caught.value.text, caught.value.position) == ("", None)


@pytest.mark.parametrize("version", [None, 5, "text", {}])
def test_for_version_of_something_else(version: object) -> None:
    with pytest.raises(AirError, match="lacks id, base_model, model_id"):
        Air.for_version(version)


# --------------------------------------------------------------------------------------------------------------- import


def test_import_is_cheap() -> None:
    code = "import sys, civitai_ext.air; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "civitai_ext.air" in loaded
    assert not loaded & {"httpx", "civitai_api", "asyncio"}
