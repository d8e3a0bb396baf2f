"""Downloading whatever somebody names, to where it belongs, and nothing that nobody should have by accident."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import Flux2KleinCreateImageInput
from civitai_ext import Air, AsyncCivitai, DownloadProgress, errors, hash_file
from civitai_ext.catalogue import NoSuchFile
from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import Version
from civitai_ext.errors import CivitaiError
from civitai_ext.safetensors import read_safetensors

pytestmark = pytest.mark.anyio


@pytest.fixture
def version(emulator: Emulator) -> Version:
    """A version that everybody may have."""
    return emulator.oddities["many_files"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest().upper()


def free_version(emulator: Emulator, type: str) -> Version:
    """A listed version of a type that everybody may have, and that has images."""
    return next(
        version
        for model in emulator.catalogue.models
        for version in model.versions
        if model.type == type and not model.mode and version.usage_control == "Download" and version.images
        if version.early_access_until is None and model.availability == "Public"
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --------------------------------------------------------------------------------------------------- what can be named


async def test_every_way_to_name_a_version_leads_to_its_file(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    read = await civitai.model_versions.get(version.id)
    model = await civitai.models.get(version.model.id)
    file = version.primary_file
    origin = emulator.url
    whats: list[Any] = [
        version.id,
        str(version.id),
        version.air,
        Air.parse(version.air),
        f"civitai:{version.model.id}",
        f"civitai:{version.model.id}@{version.id}+{file.id}",
        read,
        model,
        model.latest,
        read.primary_file,
        await civitai.model_versions.get_mini(version.id),
        f"https://civitai.com/models/{version.model.id}/any-name",
        f"https://civitai.red/models/{version.model.id}?modelVersionId={version.id}",
        f"{origin}/model-versions/{version.id}",
        f"https://civitai.green/api/download/models/{version.id}?fileId={file.id}&token=elsewhere",
        f"{origin}/api/download/models/{version.id}?type=Model&format=SafeTensor&size=pruned&fp=fp16",
    ]
    for number, what in enumerate(whats):
        done = await civitai.download(what, tmp_path / str(number))
        assert (done.status, done.verified, done.what) == ("downloaded", True, what)
        assert done.path == tmp_path / str(number) / file.name
        assert done.path.read_bytes() == file.content
        assert done.size == len(file.content)
        assert done.hashes is not None
        assert done.hashes.sha256 == sha256(done.path)


async def test_images_and_blobs_are_downloaded_too(civitai: AsyncCivitai, tmp_path: Path) -> None:
    (image,) = await civitai.images.list(limit=1).to_list()
    workflow = await civitai.workflows.run(Flux2KleinCreateImageInput(prompt="a cat"))
    output = workflow.outputs[0]
    whats: list[Any] = [image, f"https://civitai.com/images/{image.id}", output, output.blob, output.url]
    for number, what in enumerate(whats):
        done = await civitai.download(what, tmp_path / str(number))
        assert (done.status, done.verified) == ("downloaded", False)
        assert done.path is not None
        assert done.path.parent == tmp_path / str(number)
        assert done.size == done.path.stat().st_size > 1000
        assert done.path.suffix in (".jpeg", ".jpg", ".png")


async def test_an_image_that_is_there_stays(civitai: AsyncCivitai, tmp_path: Path) -> None:
    (image,) = await civitai.images.list(limit=1).to_list()
    folder = tmp_path / "pictures.v2"
    folder.mkdir()
    for status in ("downloaded", "kept"):
        done = await civitai.download(image, folder)
        assert (done.status, done.size) == (status, (folder / f"{image.id}.jpeg").stat().st_size)
    mine = tmp_path / "mine.jpeg"
    mine.write_bytes(b"mine")
    assert (await civitai.download(image, mine, exists="skip")).status == "kept"
    with pytest.raises(FileExistsError):
        await civitai.download(image, mine)
    assert mine.read_bytes() == b"mine"
    assert (await civitai.download(image, mine, exists="overwrite")).status == "downloaded"


async def test_attachments_need_to_be_asked_for(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    found = [await civitai.articles.get(article.id) async for article in civitai.articles.list(limit=20)]
    (address, *_) = [file["url"] for article in found for file in article.attachments]
    assert "/api/download/attachments/" in address
    with pytest.raises(errors.UnsafeFile, match="viruses"):
        await civitai.download(address, tmp_path)
    done = await civitai.download(address, tmp_path, allow_unscanned=True)
    assert done.path is not None
    assert done.path.name.endswith(".zip")
    assert done.verified is False


async def test_the_catalogue_is_asked_as_little_as_possible(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path
) -> None:
    models = await civitai.models.list(limit=3, types=["Upscaler"]).to_list()
    emulator.journal.clear()
    await civitai.download_many(models, tmp_path, layout="comfyui", at_once=1)
    assert {each.path.rsplit("/", 1)[0] for each in emulator.journal if not each.path.startswith("/storage/")} == {
        "/api/download/models"
    }


async def test_the_token_goes_to_the_service_alone(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    await civitai.download(emulator.oddities["needs_login"].id, tmp_path)
    storage = [each for each in emulator.journal if each.path.startswith("/storage/")]
    service = [each for each in emulator.journal if each.path.startswith("/api/download/")]
    assert storage
    assert {each.credential for each in storage} == {None}
    assert {each.credential for each in service} == {"header"}
    assert all(each.method == "GET" for each in emulator.journal)


# ------------------------------------------------------------------------------------------------ which file it may be


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "odd_pruned.safetensors"),
        ({"fp": "fp32"}, "odd_full.safetensors"),
        ({"size": "full", "format": "SafeTensor"}, "odd_full.safetensors"),
        ({"format": "GGUF", "quant": "Q8_0"}, "odd_Q8_0.gguf"),
        ({"quant": "Q4_K_M", "format": "GGUF"}, "odd_Q4_K_M.gguf"),
        ({"type": "VAE"}, "odd_vae.safetensors"),
        ({"type": "Config"}, "odd.yaml"),
    ],
)
async def test_the_file_is_chosen(
    civitai: AsyncCivitai, version: Version, tmp_path: Path, options: Any, name: str
) -> None:
    done = await civitai.download(version.id, tmp_path, **options)
    assert done.path == tmp_path / name
    assert done.verified


async def test_there_is_no_such_file(civitai: AsyncCivitai, version: Version, tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match="fp8"):
        await civitai.download(version.id, tmp_path, fp="fp8", format="SafeTensor")
    assert files_in(tmp_path) == []


async def test_all_files_of_a_version(civitai: AsyncCivitai, version: Version, tmp_path: Path) -> None:
    with pytest.raises(errors.DownloadsFailed) as caught:
        await civitai.download(version.id, tmp_path, all_files=True)
    refused = [each for each in caught.value.downloads if each.error is not None]
    assert [type(each.error) for each in refused] == [errors.UnsafeFile]
    found = await civitai.download(version.id, tmp_path, all_files=True, allow_pickle=True, allow_unscanned=True)
    assert sorted(each.path.name for each in found if each.path) == files_in(tmp_path)
    assert [each.file.id for each in found if each.file] == [file.id for file in version.files]


async def test_two_files_of_one_name_do_not_meet(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    version = emulator.oddities["same_names"]
    first = await civitai.download(version.id, tmp_path, all_files=True)
    assert sorted(each.path.name for each in first if each.path) == ["odd (2).safetensors", "odd.safetensors"]
    assert {sha256(each.path) for each in first if each.path} == {
        hashlib.sha256(file.content).hexdigest().upper() for file in version.files
    }
    again = await civitai.download(version.id, tmp_path, all_files=True)
    assert {each.status for each in again} == {"kept"}
    assert len(files_in(tmp_path)) == 2


@pytest.mark.parametrize(
    ("oddity", "kind", "allowed"),
    [
        ("pickle", errors.UnsafeFile, {"allow_pickle": True}),
        ("dangerous_pickle", errors.UnsafeFile, {"allow_pickle": True, "allow_unscanned": True}),
        ("scan_pending", errors.UnsafeFile, {"allow_unscanned": True}),
        ("scan_danger", errors.UnsafeFile, {"allow_unscanned": True}),
        ("scan_error", errors.UnsafeFile, {"allow_unscanned": True}),
        ("scan_missing", errors.UnsafeFile, {"allow_unscanned": True}),
        ("early_access", errors.EarlyAccess, None),
        ("downloads_disabled", errors.DownloadsDisabled, None),
        ("restricted", errors.AccessDenied, None),
        ("archived", errors.Archived, None),
        ("wrong_hash", errors.HashMismatch, None),
    ],
)
async def test_what_is_refused(
    civitai: AsyncCivitai,
    emulator: Emulator,
    tmp_path: Path,
    oddity: str,
    kind: type[CivitaiError],
    allowed: dict[str, Any] | None,
) -> None:
    version = emulator.oddities[oddity]
    with pytest.raises(kind):
        await civitai.download(version.id, tmp_path)
    assert files_in(tmp_path) == []
    if allowed is not None:
        done = await civitai.download(version.id, tmp_path, **allowed)
        assert done.path is not None
        assert done.path.read_bytes() == version.primary_file.content


async def test_a_login_is_required(emulator: Emulator, tmp_path: Path) -> None:
    async with AsyncCivitai(False, site_url=emulator.url) as anonymous:
        with pytest.raises(errors.LoginRequired, match="token"):
            await anonymous.download(emulator.oddities["needs_login"].id, tmp_path)


async def test_a_file_whose_address_has_no_host(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    address = f"https://undefined/api/download/models/{version.id}"
    emulator.faults.add("GET /api/v1/model-versions/*", fields={"files.*.downloadUrl": address})
    file = (await civitai.model_versions.get(version.id)).primary_file
    assert file is not None
    assert (await civitai.download(file, tmp_path, layout="comfyui")).verified


async def test_what_there_is_not(civitai: AsyncCivitai, tmp_path: Path) -> None:
    for what in (1, "civitai:1@1", "civitai:1"):
        with pytest.raises(errors.NotFound):
            await civitai.download(what, tmp_path)


@pytest.mark.parametrize("kind", ["autov1", "autov2", "autov3", "crc32"])
async def test_whatever_hash_there_is_counts(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path, kind: str
) -> None:
    assert (await civitai.download(emulator.oddities[f"only_{kind}"].id, tmp_path)).verified


async def test_without_a_hash_it_says_so(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    done = await civitai.download(emulator.oddities["no_hashes"].id, tmp_path)
    assert (done.status, done.verified) == ("downloaded", False)


@pytest.mark.parametrize("name", ["a.ckpt.", "a.ckpt ", "a.ck\u200bpt", "a.pt\x00"])
async def test_a_pickle_is_known_by_the_name_that_it_gets(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path, name: str
) -> None:
    emulator.faults.add("GET /api/v1/model-versions/*", fields={"files.*.name": name, "files.*.metadata": {}})
    with pytest.raises(errors.UnsafeFile, match="pickle"):
        await civitai.download(version.id, tmp_path)
    assert files_in(tmp_path) == []


async def test_files_without_ids_are_told_apart(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    fields = {"files.*.id": None, "files.*.downloadUrl": None}
    emulator.faults.add("GET /api/v1/model-versions/*", fields=fields)
    found = await civitai.download(version.id, tmp_path, format="SafeTensor", type="Model", all_files=True)
    assert {each.path.name for each in found if each.path} == {"odd_pruned.safetensors", "odd_full.safetensors"}
    assert all(each.verified for each in found)


# ------------------------------------------------------------------------------------------------------- where it goes


async def test_hostile_names_stay_in_the_folder(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "here"
    version = emulator.oddities["hostile_names"]
    found = await civitai.download(version.id, folder, all_files=True, allow_unscanned=True)
    assert len(found) == len(version.files)
    for done in found:
        assert done.path is not None
        assert done.path.resolve().parent == folder.resolve()
    inside = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert inside == {f"in/here/{done.path.name}" for done in found if done.path}
    assert len(inside) == len(version.files)


@pytest.mark.parametrize(
    ("layout", "place"),
    [
        ("comfyui", "models/checkpoints"),
        ("{type}/{base_model}/{version_id}.{ext}", None),
        ("{creator}/{model}/{file_name}", None),
    ],
)
async def test_layouts(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path, layout: str, place: str | None
) -> None:
    version = free_version(emulator, "Checkpoint")
    model = version.model
    read = (await civitai.models.get(model.id)).version(version.id)
    for what in (version.id, read):
        done = await civitai.download(what, tmp_path, layout=layout)
        assert done.path is not None
        below = done.path.relative_to(tmp_path)
        if place is not None:
            assert below.parent.as_posix() in (place, "models/diffusion_models")
        elif "creator" in layout:
            assert below.as_posix() == f"{model.creator.username}/{model.name}/{version.primary_file.name}"
        else:
            assert below.as_posix() == f"Checkpoint/{version.base_model}/{version.id}.safetensors"


async def test_the_home_folder(
    civitai: AsyncCivitai, version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    done = await civitai.download(version.id, "~/models/")
    assert done.path == tmp_path / "models" / version.primary_file.name
    (image,) = await civitai.images.list(limit=1).to_list()
    assert (await civitai.images.download(image, "~/pictures/")).parent == tmp_path / "pictures"


@pytest.mark.parametrize("to", ["", "a\0b", b"models", 5, None])
async def test_what_is_no_path(civitai: AsyncCivitai, emulator: Emulator, to: Any) -> None:
    for download in (civitai.download, civitai.images.download, civitai.blobs.download):
        with pytest.raises(errors.InvalidRequest, match=r"to is .*path"):
            await download("https://image.civitai.com/a/b/c.jpeg", to)
    assert not emulator.journal


async def test_a_file_of_ones_own_name(civitai: AsyncCivitai, version: Version, tmp_path: Path) -> None:
    done = await civitai.download(version.id, tmp_path / "new" / "mine.safetensors")
    assert done.path == tmp_path / "new" / "mine.safetensors"
    with pytest.raises(errors.InvalidRequest, match=r"\.ckpt"):
        await civitai.download(version.id, tmp_path / "mine.ckpt")
    (tmp_path / "other.safetensors").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        await civitai.download(version.id, tmp_path / "other.safetensors")
    assert (tmp_path / "other.safetensors").read_bytes() == b"mine"


async def test_what_is_there_stays_and_is_found_again(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    name = version.primary_file.name
    (tmp_path / name).write_bytes(b"another")
    first = await civitai.download(version.id, tmp_path)
    assert first.path is not None
    assert first.path.name == f"{Path(name).stem} (2).safetensors"
    emulator.journal.clear()
    again = await civitai.download(version.id, tmp_path)
    assert (again.status, again.path, again.verified) == ("kept", first.path, True)
    assert not [each for each in emulator.journal if "download" in each.path]
    repaired = await civitai.download(version.id, tmp_path, exists="verify")
    assert (repaired.status, repaired.path) == ("downloaded", tmp_path / name)
    assert (tmp_path / name).read_bytes() == version.primary_file.content


async def test_its_hashes_are_remembered(
    civitai: AsyncCivitai, version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("platformdirs")
    cache = tmp_path / "hashes.db"
    done = await civitai.download(version.id, tmp_path, cache=cache)
    assert done.path is not None
    monkeypatch.setattr("civitai_ext.hashing.Hasher", None)  # nothing is computed
    if time.time() - done.path.stat().st_mtime > 0.2:  # else it was too fresh to be remembered
        assert hash_file(done.path, cache=cache) == done.hashes


# ------------------------------------------------------------------------------------------------------------ sidecars


async def test_sidecars(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    version = free_version(emulator, "LORA")
    model = version.model
    done = await civitai.download(version.id, tmp_path, sidecars=["json", "preview", "readme"])
    assert done.path is not None
    stem = done.path.stem
    said = json.loads((tmp_path / f"{stem}.civitai.info").read_text("utf-8"))
    assert (said["id"], said["model"]["name"]) == (version.id, model.name)
    assert said["files"][0]["hashes"]["SHA256"] == sha256(done.path)
    readme = (tmp_path / f"{stem}.md").read_text("utf-8")
    assert readme.startswith(f"# {model.name} – {version.name}\n")
    assert "<p>" not in readme
    preview = next(path for path in done.sidecars if ".preview." in path.name)
    assert preview.read_bytes()[:3] in (b"\xff\xd8\xff", b"\x89PN")
    assert sorted(done.sidecars) == sorted(path for path in tmp_path.iterdir() if path != done.path)
    assert done.problems == ()

    (tmp_path / f"{stem}.md").write_text("my own notes")
    again = await civitai.download(version.id, tmp_path, sidecars=["readme"])
    assert (again.status, (tmp_path / f"{stem}.md").read_text()) == ("kept", "my own notes")


async def test_a_file_is_not_lost_for_want_of_a_preview(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.faults.add("GET /media/*", status=404)
    version = free_version(emulator, "LORA")
    done = await civitai.download(version.id, tmp_path, sidecars=["preview", "json"])
    assert done.status == "downloaded"
    assert [path.suffix for path in done.sidecars] == [".info"]
    assert [type(problem) for problem in done.problems] == [errors.NotFound]


async def test_a_file_is_not_lost_for_want_of_its_model(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    emulator.faults.add("GET /api/v1/models/*", status=404)
    done = await civitai.download(version.id, tmp_path, sidecars=["readme", "json"])
    assert (done.status, done.verified) == ("downloaded", True)
    assert [path.suffix for path in done.sidecars] == [".info"]
    assert [type(problem) for problem in done.problems] == [errors.NotFound]


async def test_the_json_beside_a_file_says_which_model_it_is_of(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    model = await civitai.models.get(version.model.id)
    whats: list[Any] = [model, model.latest, f"civitai:{version.model.id}"]
    for what in whats:
        emulator.journal.clear()
        done = await civitai.download(what, tmp_path, sidecars=["json"])
        said = json.loads(done.sidecars[0].read_text("utf-8"))
        assert (said["modelId"], said["model"]["name"]) == (version.model.id, version.model.name)
        if done.status == "kept":  # there is nothing to be read for it
            assert f"/api/v1/model-versions/{version.id}" not in {each.path for each in emulator.journal}


async def test_a_file_that_is_replaced_gets_its_own_sidecars(
    civitai: AsyncCivitai, version: Version, tmp_path: Path
) -> None:
    path = tmp_path / version.primary_file.name
    path.write_bytes(b"an older one")
    beside = path.with_suffix(".civitai.info")
    beside.write_text('{"id": 1}')
    assert (await civitai.download(version.id, tmp_path, sidecars=["json"], exists="skip")).status == "kept"
    assert beside.read_text() == '{"id": 1}'
    await civitai.download(version.id, tmp_path, sidecars=["json"], exists="verify")
    assert json.loads(beside.read_text("utf-8"))["id"] == version.id


# ------------------------------------------------------------------------------------------------- saying what would be


async def test_a_dry_run_says_what_would_come_of_it(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    planned = await civitai.download(version.id, tmp_path / "new", dry_run=True)
    assert (planned.status, planned.allowed) == ("planned", True)
    assert planned.path == tmp_path / "new" / version.primary_file.name
    assert planned.size == len(version.primary_file.content)
    assert files_in(tmp_path) == []
    for name, kind in (
        ("early_access", errors.EarlyAccess),
        ("pickle", errors.UnsafeFile),
        ("downloads_disabled", errors.DownloadsDisabled),
    ):
        refused = await civitai.download(emulator.oddities[name].id, tmp_path, dry_run=True)
        assert (refused.status, refused.allowed, type(refused.error)) == ("planned", False, kind)
    assert not list(tmp_path.iterdir())
    await civitai.download(version.id, tmp_path)
    assert (await civitai.download(version.id, tmp_path, dry_run=True)).status == "kept"


async def test_what_came_of_an_address_is_said_without_its_token(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path
) -> None:
    for address in ("https://civitai.com/api/download/models/7?token=s3cret", "civitai.com/posts/7?token=s3cret"):
        planned = await civitai.download(address, tmp_path, dry_run=True)
        assert (planned.status, planned.allowed) == ("planned", False)
        assert "s3cret" not in f"{planned}{planned!r}"
    with pytest.raises(errors.DownloadsFailed) as caught:
        await civitai.download_many([await civitai.models.get(emulator.oddities["archived"].model.id)], tmp_path)
    assert str(caught.value.downloads[0]).startswith((str(tmp_path), "Model 19"))


async def test_a_dry_run_looks_for_the_image_of_a_page(civitai: AsyncCivitai, tmp_path: Path) -> None:
    (image,) = await civitai.images.list(limit=1).to_list()
    for what in (image, f"https://civitai.com/images/{image.id}"):
        planned = await civitai.download(what, tmp_path, dry_run=True)
        assert (planned.status, planned.allowed, planned.path) == ("planned", True, None)
    planned = await civitai.download("https://civitai.com/images/1", tmp_path, dry_run=True)
    assert (planned.allowed, type(planned.error)) == (False, errors.NotFound)


# ---------------------------------------------------------------------------------------------------------------- many


async def test_many_share_one_call(civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path) -> None:
    good = emulator.oddities["gguf"]
    whats: list[Any] = [version.id, emulator.oddities["archived"].id, good.id, version.air, "nonsense"]
    with pytest.raises(errors.DownloadsFailed, match="2 of 5") as caught:
        await civitai.download_many(whats, tmp_path)
    found = caught.value.downloads
    assert [each.what for each in found] == whats
    assert [each.status for each in found] == ["downloaded", "failed", "downloaded", "downloaded", "failed"]
    assert [type(each.error) for each in found if each.error] == [errors.Archived, errors.InvalidRequest]
    assert found[0].path == found[3].path  # named twice, fetched once
    assert len([each for each in emulator.journal if each.path == f"/api/download/models/{version.id}"]) == 1


async def test_a_pager_can_be_given(civitai: AsyncCivitai, tmp_path: Path) -> None:
    models = civitai.models.list(types=["LORA"], limit=4)
    found = await civitai.download_many(models, tmp_path, at_once=4)
    assert len(found) == len(files_in(tmp_path)) == 4
    assert await civitai.download_many([], tmp_path) == []


async def test_progress_is_told(civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path) -> None:
    seen: list[DownloadProgress] = []
    await civitai.download_many([version.id, emulator.oddities["gguf"].id], tmp_path, progress=seen.append)
    last = seen[-1]
    assert (last.files_done, last.files) == (2, 2)
    assert last.done == last.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert {each.phase for each in seen} == {"asking", "downloading", "verifying", "done"}
    assert seen[0].phase == "asking"
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert all("odd" in str(each) for each in seen)


async def test_names_that_are_shown_do_nothing_to_a_terminal(
    civitai: AsyncCivitai, emulator: Emulator, version: Version, tmp_path: Path
) -> None:
    emulator.faults.add("GET /api/v1/model-versions/*", fields={"files.*.name": "\x1b[31mred\n.safetensors"})
    seen: list[DownloadProgress] = []
    await civitai.download(version.id, tmp_path, progress=seen.append)
    assert {each.name for each in seen} == {"[31mred.safetensors"}


async def test_what_a_callback_raises_ends_it(civitai: AsyncCivitai, version: Version, tmp_path: Path) -> None:
    def fail(progress: DownloadProgress) -> None:
        raise RuntimeError(progress.name)

    with pytest.raises(RuntimeError, match="odd_pruned"):
        await civitai.download(version.id, tmp_path, progress=fail)
    assert [name for name in files_in(tmp_path) if not name.endswith((".part", ".json"))] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"exists": "maybe"},
        {"layout": "{nothing}"},
        {"connections": 0},
        {"connections": 99},
        {"sidecars": ["picture"]},
        {"fp": 16},
        {"allow_pickle": "yes"},
        {"timeout": -1},
        {"timeout": float("inf")},
        {"cache": 5},
        {"progress": "yes"},
    ],
)
async def test_wrong_options_are_told_before_anything_is_asked(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path, wrong: Any
) -> None:
    with pytest.raises(errors.InvalidRequest):
        await civitai.download(5, tmp_path, **wrong)
    assert not emulator.journal


async def test_what_is_not_installed_is_told_before_anything_is_asked(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("platformdirs", "tqdm.auto", "bs4"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "civitai_ext._html", raising=False)
    wrong: Any
    for wrong in ({"cache": True}, {"progress": True}, {"sidecars": ["readme"]}):
        with pytest.raises((errors.ConfigurationError, ImportError), match="pip install"):
            await civitai.download(emulator.oddities["gguf"].id, tmp_path, **wrong)
    assert not emulator.journal
    assert (await civitai.download(emulator.oddities["gguf"].id, tmp_path)).verified


async def test_several_things_are_not_one(civitai: AsyncCivitai, tmp_path: Path) -> None:
    several: Any = [1, 2]
    one: Any = 5
    with pytest.raises(errors.InvalidRequest, match="several"):
        await civitai.download(several, tmp_path)
    for wrong in (one, "civitai:1@2", b"12"):
        with pytest.raises(errors.InvalidRequest, match="one thing"):
            await civitai.download_many(wrong, tmp_path)
    with pytest.raises(errors.InvalidRequest, match="at_once"):
        await civitai.download_many([5], tmp_path, at_once=0)
    with pytest.raises(TypeError, match="colour"):
        await civitai.download(5, tmp_path, colour="blue")  # type: ignore[call-overload]


async def test_what_came_is_a_model(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    done = await civitai.download(emulator.oddities["large"].id, tmp_path, connections=8)
    assert done.path is not None
    assert done.verified
    assert read_safetensors(done.path).metadata["modelspec.title"] == done.path.name
