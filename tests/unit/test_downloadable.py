"""Whatever somebody names is understood, or refused with a reason; and never leads to another host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._downloadable import (
    BlobRef,
    ModelRef,
    PictureRef,
    RouteRef,
    VersionRef,
    file_route,
    reference,
)
from civitai_ext.air import Air
from civitai_ext.catalogue import ModelFile
from civitai_ext.errors import InvalidRequest

SITE = "https://civitai.com"


@pytest.mark.parametrize(
    ("what", "meant"),
    [
        (5, VersionRef(5)),
        (" 5 ", VersionRef(5)),
        ("urn:air:sdxl:lora:civitai:1@2", VersionRef(2)),
        ("civitai:1@2", VersionRef(2)),
        ("civitai:1@2+3", VersionRef(2, 3)),
        ("civitai:1", ModelRef(1)),
        (Air.parse("civitai:1@2"), VersionRef(2)),
        (f"{SITE}/models/1", ModelRef(1)),
        (f"{SITE}/models/1/", ModelRef(1)),
        (f"{SITE}/models/1/a-name", ModelRef(1)),
        (f"{SITE}/models/1/a-name?modelVersionId=2", VersionRef(2)),
        (f"{SITE}/models/1?modelVersionId=2#reviews", VersionRef(2)),
        (f"{SITE}/models/1?modelVersionId=", ModelRef(1)),
        ("https://civitai.red/models/1", ModelRef(1)),
        ("https://civitai.green/models/1", ModelRef(1)),
        ("https://www.civitai.com/models/1", ModelRef(1)),
        ("http://civitai.com/models/1", ModelRef(1)),
        (f"{SITE}/models/1?tab=x&amp;modelVersionId=2", VersionRef(2)),
        ("civitai.com/models/1/a-name?modelVersionId=2", VersionRef(2)),
        ("www.civitai.com/models/1", ModelRef(1)),
        ("Civitai.red/images/9", PictureRef(9)),
        (f"{SITE}/model-versions/2", VersionRef(2)),
        (f"{SITE}/api/v1/models/1", ModelRef(1)),
        (f"{SITE}/api/v1/model-versions/2", VersionRef(2)),
        (f"{SITE}/api/v1/model-versions/mini/2?modelFileId=3", VersionRef(2, 3)),
        (f"{SITE}/api/download/models/2", VersionRef(2)),
        (f"{SITE}/api/download/models/2?fileId=3", VersionRef(2, 3)),
        (f"{SITE}/api/download/models/2?token=secret&fp=fp16", VersionRef(2, None, {"fp": "fp16"})),
        (
            f"{SITE}/api/download/models/2?type=Model&format=GGUF&size=full&quantType=Q8_0",
            VersionRef(2, None, {"type": "Model", "format": "GGUF", "size": "full", "quant": "Q8_0"}),
        ),
        (f"{SITE}/api/download/training-data/2", VersionRef(2, None, {"type": "Training Data"})),
        (f"{SITE}/api/download/attachments/7", RouteRef("/api/download/attachments/7")),
        (f"{SITE}/api/download/vault/7?type=model&token=secret", RouteRef("/api/download/vault/7?type=model")),
        (f"{SITE}/api/download/training/7?epochNumber=3", RouteRef("/api/download/training/7?epochNumber=3")),
        (f"{SITE}/images/9", PictureRef(9)),
        (
            "https://image.civitai.com/a/b/width=450/c.jpeg",
            PictureRef("https://image.civitai.com/a/b/width=450/c.jpeg"),
        ),
        ("https://orchestration.civitai.com/v2/x?sig=1", BlobRef("https://orchestration.civitai.com/v2/x?sig=1")),
    ],
)
def test_what_is_meant(what: Any, meant: Any) -> None:
    assert reference(what) == meant


@pytest.mark.parametrize(
    "what",
    [
        "",
        "a model",
        f"{SITE}/models/1?modelVersionId=2)",
        f"{SITE}/models/1?modelVersionId=99999999999",
        f"{SITE}/api/download/models/2?fileId=3,",
        "civitai.com.example/models/1",
        "0",
        "99999999999",
        "civitai:1@latest",
        "urn:air:sdxl:lora:huggingface:org/name@main",
        "https://example.com/models/1",
        "https://civitai.com.example/models/1",
        "https://evilcivitai.com/models/1",
        "https://civitai.com@example.com/models/1",
        "https://example.com/?https://civitai.com/models/1",
        "ftp://civitai.com/models/1",
        "file:///etc/passwd",
        "https://[civitai.com/models/1",
        f"{SITE}/",
        f"{SITE}/user/me",
        f"{SITE}/models/abc",
        f"{SITE}/models/99999999999",
        f"{SITE}/models/0",
        f"{SITE}/api/download/user-transactions",
        f"{SITE}/api/download/../v1/me",
        0,
        -1,
        2**31,
    ],
)
def test_what_is_refused(what: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        reference(what)
    assert caught.value.hint or "an id is" in str(caught.value)


def test_another_site_is_understood_below_its_own_path() -> None:
    site = "http://127.0.0.1:8080/mirror"
    assert reference(f"{site}/models/1", site=site) == ModelRef(1)
    with pytest.raises(InvalidRequest):
        reference("http://127.0.0.1:8081/mirror/models/1", site=site)


def test_secrets_in_addresses_are_not_told() -> None:
    with pytest.raises(InvalidRequest) as caught:
        reference("https://example.com/x?token=hunter2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(reference("https://orchestration.civitai.com/v2/x?sig=hunter2"))


@given(st.text() | st.text("/:?&=.@civtamodels123[]%\\", max_size=60).map("https://".__add__))
def test_no_text_is_fatal(text: str) -> None:
    try:
        meant = reference(text)
    except InvalidRequest:
        return
    if isinstance(meant, RouteRef):
        assert meant.route.startswith("/api/download/")


@pytest.mark.parametrize(
    ("file", "route"),
    [
        ({"id": 3}, "/api/download/models/2?fileId=3"),
        ({"id": 3, "downloadUrl": f"{SITE}/api/download/models/2?type=VAE"}, "/api/download/models/2?fileId=3"),
        ({"id": 3, "downloadUrl": f"{SITE}/api/download/models/9?type=VAE"}, "/api/download/models/9?fileId=3"),
        ({"id": 3, "downloadUrl": "https://undefined/api/download/models/9"}, "/api/download/models/9?fileId=3"),
        (
            {"id": 3, "downloadUrl": "https://evil.example/?x=/api/download/models/9"},
            "/api/download/models/2?fileId=3",
        ),
        ({"id": 3, "downloadUrl": "//"}, "/api/download/models/2?fileId=3"),
        ({"id": 3, "downloadUrl": 5}, "/api/download/models/2?fileId=3"),
        ({"downloadUrl": f"{SITE}/api/download/models/2?type=VAE&token=x"}, "/api/download/models/2?type=VAE"),
        ({"id": "3"}, "/api/download/models/2"),
        ({"id": True}, "/api/download/models/2"),
        ({}, "/api/download/models/2"),
    ],
)
def test_where_a_file_is_asked_for(file: dict[str, Any], route: str) -> None:
    assert file_route(2, ModelFile.from_dict(file)) == route
