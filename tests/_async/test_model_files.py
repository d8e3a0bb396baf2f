"""What is inside files of models."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_ext import AsyncCivitai, errors
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio


async def test_the_tensors_of_a_file(civitai: AsyncCivitai, emulator: Emulator) -> None:
    models = await civitai.models.list(types=["Checkpoint"], limit=20).to_list()
    versions = [version for model in models for version in model.model_versions]
    file = next(v.files[0] for v in versions if not v.early_access_deadline and v.files[0].name.endswith("safetensors"))
    whole = await civitai.model_files.tensor_metadata(file.id)
    assert whole.format == "SafeTensor"
    assert whole.tensors
    assert whole.tensor_count == len(whole.tensors)
    assert sum(tensor.size_bytes or 0 for tensor in whole.tensors) == whole.total_tensor_bytes
    assert dict(emulator.journal[-1].query) == {}
    summary = await civitai.model_files.tensor_metadata(file.id, summary_only=True)
    assert not summary.tensors
    assert summary.tensor_count == whole.tensor_count
    assert dict(emulator.journal[-1].query) == {"summaryOnly": "true"}


async def test_a_file_that_is_not_there(civitai: AsyncCivitai) -> None:
    with pytest.raises(errors.NotFound):
        await civitai.model_files.tensor_metadata(5)


@pytest.mark.parametrize("id", ["5", 0, 2**31, True, None])
async def test_ids_that_nothing_can_have_are_not_sent(civitai: AsyncCivitai, emulator: Emulator, id: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
        await civitai.model_files.tensor_metadata(id)
    assert not emulator.journal
