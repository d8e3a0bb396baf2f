"""Every method of the catalogue and of accounts, as it was recorded: a test and a cassette for each.

The tests are called after the methods: `test_images__list` is about `civitai.images.list`.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from civitai_ext import Civitai, errors, hash_file
from civitai_ext.catalogue import Image, Model, ModelVersion

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

ODD_VERSION = 1_910_000_001
"""A version of the emulator with a file that is small enough for a cassette."""


def a_version(civitai: Civitai) -> ModelVersion:
    """Give a version that has files."""
    (model,) = civitai.models.list(types=["LORA"], limit=1)
    return civitai.model_versions.get(model.model_versions[0].id)


def sha256_of(version: ModelVersion) -> str:
    return str(version.files[0].hashes["SHA256"])


def test_models__list(civitai: Civitai) -> None:
    found = civitai.models.list(
        types="LORA", sort="Newest", period="AllTime", primary_file_only=True, limit=2
    ).to_list()
    assert [(type(model), model.type) for model in found] == [(Model, "LORA")] * 2


def test_models__get(civitai: Civitai) -> None:
    (listed,) = civitai.models.list(limit=1)
    assert civitai.models.get(listed.id).name == listed.name


def test_model_versions__get(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert version.air is not None
    assert version.air.version_id == version.id


def test_model_versions__get_mini(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert str(civitai.model_versions.get_mini(version.id).air) == str(version.air)


def test_model_versions__by_hash(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert civitai.model_versions.by_hash(sha256_of(version)[:10].lower()).id == version.id


def test_model_versions__by_hashes(civitai: Civitai) -> None:
    version = a_version(civitai)
    known, unknown = sha256_of(version), "0" * 64
    found = civitai.model_versions.by_hashes([unknown, known, known])
    assert list(found) == [unknown, known]
    assert found[unknown] is None
    match = found[known]
    assert match is not None
    assert match.id == version.id
    assert str(match.download_url).startswith(civitai.config.site_url)  # the service says "undefined"


def test_model_versions__ids_by_hashes(civitai: Civitai) -> None:
    version = a_version(civitai)
    match = civitai.model_versions.ids_by_hashes([sha256_of(version)])[sha256_of(version)]
    assert match is not None
    assert match.model_version_id == version.id


def test_model_versions__set_early_access(civitai: Civitai) -> None:
    with pytest.raises(errors.ApiError) as caught:
        civitai.model_versions.set_early_access(a_version(civitai).id, None, rights_affirmed=True)
    assert caught.value.status in (403, 404)  # it is somebody else's


def test_images__list(civitai: Civitai) -> None:
    found = civitai.images.list(limit=2, with_meta=True).to_list()
    assert [(type(image), image.nsfw_level) for image in found] == [(Image, "None")] * 2


def test_images__get(civitai: Civitai) -> None:
    (listed,) = civitai.images.list(limit=1)
    assert civitai.images.get(listed.id).id == listed.id


def test_images__download(civitai: Civitai, tmp_path: Path) -> None:
    key = civitai.uploads.image(PIXEL, filename="pixel.png", mime_type="image/png")
    path = civitai.images.download(f"{civitai.config.site_url}/media/{key}/original=true/pixel.jpeg", tmp_path)
    assert path.name == f"{key}.png"
    assert path.read_bytes() == PIXEL


def test_creators__list(civitai: Civitai) -> None:
    assert all(creator.username for creator in civitai.creators.list(limit=3))


def test_tags__list(civitai: Civitai) -> None:
    assert len(civitai.tags.list(limit=3).to_list()) == 3


def test_users__list(civitai: Civitai) -> None:
    (found,) = civitai.users.list(query="emulated", limit=1)
    assert found.username == "emulated"


def test_users__get(civitai: Civitai) -> None:
    (found,) = civitai.users.list(query="emulated", limit=1)
    assert civitai.users.get(found.id).username == "emulated"


def test_articles__list(civitai: Civitai) -> None:
    assert all(article.title for article in civitai.articles.list(sort="Newest", limit=2))


def test_articles__get(civitai: Civitai) -> None:
    (listed,) = civitai.articles.list(limit=1)
    assert civitai.articles.get(listed.id).title == listed.title


def test_collections__list(civitai: Civitai) -> None:
    assert all(collection.name for collection in civitai.collections.list(limit=2))


def test_collections__get(civitai: Civitai) -> None:
    (listed,) = civitai.collections.list(limit=1)
    assert civitai.collections.get(listed.id).name == listed.name


def test_vault__get(civitai: Civitai) -> None:
    vault = civitai.vault.get()
    assert vault is not None
    assert vault.storage_kb > 0


def test_vault__list(civitai: Civitai) -> None:
    assert civitai.vault.list(limit=5).to_list() == []


def test_vault__check(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert civitai.vault.check([version.id]) == {version.id: None}


def test_vault__add(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert civitai.vault.add(version.id).model_version_id == version.id
    assert civitai.vault.add(version.id).model_version_id == version.id  # it was there already


def test_vault__remove(civitai: Civitai) -> None:
    version = a_version(civitai)
    civitai.vault.remove(version.id)  # it was not there
    assert civitai.vault.check([version.id]) == {version.id: None}


def test_vault__toggle(civitai: Civitai) -> None:
    assert civitai.vault.toggle(a_version(civitai).id).success is True


def test_permissions__check(civitai: Civitai) -> None:
    version = a_version(civitai)
    assert set(civitai.permissions.check([version.id, 1])) == {version.id, 1}


def test_apps__list(civitai: Civitai) -> None:
    assert all(app.slug for app in civitai.apps.list(limit=2))


def test_apps__get(civitai: Civitai) -> None:
    (listed,) = civitai.apps.list(limit=1)
    assert civitai.apps.get(listed.slug).name == listed.name


def test_bugs__list(civitai: Civitai) -> None:
    assert all(bug.title for bug in civitai.bugs.list(limit=2))


def test_bugs__get(civitai: Civitai) -> None:
    (listed,) = civitai.bugs.list(limit=1)
    assert civitai.bugs.get(listed.id).title == listed.title


def test_content__get(civitai: Civitai) -> None:
    assert civitai.content.get("tos").title


def test_model_files__tensor_metadata(civitai: Civitai) -> None:
    found = civitai.model_files.tensor_metadata(a_version(civitai).files[0].id)
    assert (found.format, found.tensor_count) == ("SafeTensor", len(found.tensors or ()))


def test_uploads__image(civitai: Civitai) -> None:
    assert civitai.uploads.image(PIXEL, filename="pixel.png", mime_type="image/png")


def test_me(civitai: Civitai) -> None:
    assert civitai.me().username == "emulated"


def test_enums(civitai: Civitai) -> None:
    assert "LORA" in civitai.enums().model_type


def test_identify(civitai: Civitai, tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"trained at home")
    (match,) = civitai.identify(tmp_path, cache=False)
    assert match.status == "unknown"


def test_download(civitai: Civitai, tmp_path: Path) -> None:
    done = civitai.download(ODD_VERSION, tmp_path, type="Config", connections=1, cache=False)
    assert (done.status, done.verified) == ("downloaded", True)
    assert done.path == tmp_path / "odd.yaml"
    assert hash_file(tmp_path / "odd.yaml", cache=False) == done.hashes


def test_download_many(civitai: Civitai, tmp_path: Path) -> None:
    whats: list[int | str] = [ODD_VERSION, f"https://civitai.com/model-versions/{ODD_VERSION}"]
    first, second = civitai.download_many(whats, tmp_path, at_once=1, type="Config", connections=1, cache=False)
    assert first.path == second.path == tmp_path / "odd.yaml"
