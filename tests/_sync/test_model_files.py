# Derived from tests/_async/test_model_files.py by scripts/unasync.py: change that file, then run `make fix`.
"""What is inside files of models."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_ext import Civitai, errors
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio


def test_the_tensors_of_a_file(civitai: Civitai, emulator: Emulator) -> None:
    models = civitai.models.list(types=["Checkpoint"], limit=20).to_list()
    versions = [version for model in models for version in model.model_versions]
    file = next(v.files[0] for v in versions if not v.early_access_deadline and v.files[0].name.endswith("safetensors"))
    whole = civitai.model_files.tensor_metadata(file.id)
    assert whole.format == "SafeTensor"
    assert whole.tensors
    assert whole.tensor_count == len(whole.tensors)
    assert sum(tensor.size_bytes or 0 for tensor in whole.tensors) == whole.total_tensor_bytes
    assert dict(emulator.journal[-1].query) == {}
    summary = civitai.model_files.tensor_metadata(file.id, summary_only=True)
    assert not summary.tensors
    assert summary.tensor_count == whole.tensor_count
    assert dict(emulator.journal[-1].query) == {"summaryOnly": "true"}


def test_a_file_that_is_not_there(civitai: Civitai) -> None:
    with pytest.raises(errors.NotFound):
        civitai.model_files.tensor_metadata(5)


@pytest.mark.parametrize("id", ["5", 0, 2**31, True, None])
def test_ids_that_nothing_can_have_are_not_sent(civitai: Civitai, emulator: Emulator, id: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
        civitai.model_files.tensor_metadata(id)
    assert not emulator.journal
