"""Which file of a version is downloaded, and which is not without being asked for."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_ext._choosing import check_safety, chosen_files
from civitai_ext.catalogue import ModelFile, ModelVersion, NoSuchFile
from civitai_ext.errors import UnsafeFile

CLEAN = {"virusScanResult": "Success", "pickleScanResult": "Success"}


def a_file(id: int, name: str, type: str = "Model", **metadata: Any) -> dict[str, Any]:
    primary = metadata.pop("primary", None)
    made = {"id": id, "name": name, "type": type, "metadata": metadata, **CLEAN}
    return made if primary is None else made | {"primary": primary}


FILES = [
    a_file(1, "a.ckpt", format="PickleTensor", size="pruned", fp="fp16", primary=True),
    a_file(2, "a_full.safetensors", format="SafeTensor", size="full", fp="fp32"),
    a_file(3, "a.safetensors", format="SafeTensor", size="pruned", fp="fp16"),
    a_file(4, "a.Q4_K_M.gguf", format="GGUF", quantType="Q4_K_M"),
    a_file(5, "a.Q8_0.gguf", format="GGUF", quantType="Q8_0"),
    a_file(6, "vae.safetensors", "VAE", format="SafeTensor"),
    a_file(7, "vae.pt", "VAE", format="PickleTensor"),
    a_file(8, "a.yaml", "Config", format="Other"),
]


def chosen(files: list[dict[str, Any]] = FILES, **options: Any) -> list[int]:
    version = ModelVersion.from_dict({"id": 10, "name": "v1", "files": files})
    return [file.id for file in chosen_files(version, "Checkpoint", **{"asked": {}, **options})]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, [3]),  # the primary one is a pickle
        ({"allow_pickle": True}, [1]),
        ({"asked": {"fp": "fp32"}}, [2]),
        ({"asked": {"size": "full"}}, [2]),
        ({"asked": {"format": "GGUF"}}, [4]),
        ({"asked": {"format": "GGUF", "quant": "Q8_0"}}, [5]),
        ({"asked": {"quant": "q8_0"}}, [5]),  # what does not say how it is quantised is not meant
        ({"asked": {"type": "VAE"}}, [6]),
        ({"asked": {"type": "VAE", "format": "PickleTensor"}}, [7]),  # asked for by name: it is refused later
        ({"asked": {"type": "Config"}}, [8]),
        ({"file_id": 7}, [7]),
        ({"all_files": True}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"all_files": True, "asked": {"type": "VAE"}}, [6, 7]),
        ({"all_files": True, "asked": {"format": "SafeTensor"}}, [2, 3, 6]),
    ],
)
def test_the_file_that_is_meant(options: dict[str, Any], ids: list[int]) -> None:
    assert chosen(**options) == ids


def test_what_no_file_says_rules_none_out() -> None:
    assert chosen([a_file(1, "a.safetensors"), a_file(2, "b.safetensors")], asked={"fp": "fp16", "quant": "Q8_0"}) == [
        1
    ]


def test_the_only_file_is_the_one_even_if_it_is_a_pickle() -> None:
    assert chosen(FILES[:1]) == [1]
    assert chosen([FILES[0], FILES[5]]) == [1]  # a VAE is no substitute for the model
    assert chosen([a_file(1, "unknown", "New Type")]) == [1]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ([], {}, "it has no files"),
        (FILES, {"asked": {"fp": "fp8", "format": "SafeTensor"}}, "fp='fp8'"),
        (FILES, {"asked": {"fp": "fp8"}}, "fp='fp8'"),
        (FILES, {"all_files": True, "asked": {"fp": "fp8"}}, "fp='fp8'"),
        (FILES, {"asked": {"type": "LoRA"}}, "type='LoRA'"),
        (FILES, {"all_files": True, "asked": {"type": "LoRA"}}, "type='LoRA'"),
        (FILES, {"file_id": 99}, "id='99'"),
    ],
)
def test_there_is_no_such_file(files: list[dict[str, Any]], options: dict[str, Any], said: str) -> None:
    with pytest.raises(NoSuchFile, match="v1") as caught:
        chosen(files, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("said", "allowed", "reason"),
    [
        ({}, {}, None),
        ({"pickleScanResult": "Pending"}, {}, None),  # it is no pickle
        ({"pickleScanResult": None}, {}, None),
        ({"virusScanResult": "Pending"}, {}, "viruses says Pending"),
        ({"virusScanResult": None}, {}, "viruses says nothing"),
        ({"virusScanResult": "Danger"}, {}, "viruses says Danger"),
        ({"virusScanResult": "SomethingNew"}, {}, "viruses says SomethingNew"),
        ({"virusScanResult": "Danger"}, {"allow_pickle": True}, "viruses says Danger"),
        ({"virusScanResult": "Danger"}, {"allow_unscanned": True}, None),
        ({"pickleScanResult": "Danger"}, {}, "pickles says Danger"),
        ({"name": "a.ckpt"}, {}, "it is a pickle"),
        ({"name": "a.PT"}, {}, "it is a pickle"),
        ({"name": "a.bin", "metadata": {"format": "PickleTensor"}}, {}, "it is a pickle"),
        ({"name": "a.ckpt"}, {"allow_unscanned": True}, "it is a pickle"),
        ({"name": "a.ckpt"}, {"allow_pickle": True}, None),
        ({"name": "a.ckpt", "pickleScanResult": None}, {"allow_pickle": True}, "pickles says nothing"),
        ({"name": "a.ckpt", "pickleScanResult": "Error"}, {"allow_pickle": True}, "pickles says Error"),
        ({"name": "a.ckpt", "pickleScanResult": "Error"}, {"allow_pickle": True, "allow_unscanned": True}, None),
    ],
)
def test_what_nobody_should_have_by_accident(
    said: dict[str, Any], allowed: dict[str, bool], reason: str | None
) -> None:
    file = ModelFile.from_dict({"name": "a.safetensors", **CLEAN, **said})
    options = {"allow_pickle": False, "allow_unscanned": False, **allowed}
    if reason is None:
        check_safety(file, **options)
        return
    with pytest.raises(UnsafeFile) as caught:
        check_safety(file, **options)
    assert reason in caught.value.reason
    assert caught.value.name == file.name
    assert caught.value.hint is not None
    assert "allow_" in caught.value.hint
