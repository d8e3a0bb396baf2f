"""The Python SDK for Civitai: catalogue, generation, files and accounts.

    from civitai_ext import Civitai

    with Civitai() as civitai:
        for model in civitai.models.list(query="pony", types=["LORA"], limit=5):
            print(model.name)

`AsyncCivitai` is the same for `async` programs. Names are imported when they are first used, so importing the package
costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from civitai_ext._version import __version__

if TYPE_CHECKING:
    from civitai_ext import errors as errors
    from civitai_ext._async.client import AsyncCivitai as AsyncCivitai
    from civitai_ext._async.jobs import AsyncJobBatch as AsyncJobBatch
    from civitai_ext._async.output import AsyncOutput as AsyncOutput
    from civitai_ext._async.pager import AsyncPager as AsyncPager
    from civitai_ext._async.workflow import AsyncWorkflow as AsyncWorkflow
    from civitai_ext._backoff import RetryPolicy as RetryPolicy
    from civitai_ext._sync.client import Civitai as Civitai
    from civitai_ext._sync.jobs import JobBatch as JobBatch
    from civitai_ext._sync.output import Output as Output
    from civitai_ext._sync.pager import Pager as Pager
    from civitai_ext._sync.workflow import Workflow as Workflow
    from civitai_ext.air import Air as Air
    from civitai_ext.air import AirError as AirError
    from civitai_ext.downloads import Download as Download
    from civitai_ext.downloads import DownloadProgress as DownloadProgress
    from civitai_ext.errors import CivitaiError as CivitaiError
    from civitai_ext.estimates import Estimate as Estimate
    from civitai_ext.hashing import FileHashes as FileHashes
    from civitai_ext.hashing import Hasher as Hasher
    from civitai_ext.hashing import hash_file as hash_file
    from civitai_ext.hashing import hash_files as hash_files
    from civitai_ext.image_meta import read_image_meta as read_image_meta
    from civitai_ext.jobs import image_job as image_job
    from civitai_ext.levels import BrowsingLevel as BrowsingLevel
    from civitai_ext.levels import NsfwLevel as NsfwLevel
    from civitai_ext.matches import Match as Match
    from civitai_ext.matches import MatchProgress as MatchProgress
    from civitai_ext.progress import Progress as Progress
    from civitai_ext.safetensors import SafetensorsHeader as SafetensorsHeader
    from civitai_ext.safetensors import read_safetensors as read_safetensors
    from civitai_ext.steps import Step as Step
    from civitai_ext.steps import arguments as arguments
    from civitai_ext.unfinished import Unfinished as Unfinished
    from civitai_ext.unfinished import unfinished_downloads as unfinished_downloads

__all__ = [
    "Air",
    "AirError",
    "AsyncCivitai",
    "AsyncOutput",
    "AsyncJobBatch",
    "AsyncPager",
    "AsyncWorkflow",
    "BrowsingLevel",
    "Civitai",
    "CivitaiError",
    "Download",
    "DownloadProgress",
    "Estimate",
    "FileHashes",
    "Hasher",
    "JobBatch",
    "Match",
    "MatchProgress",
    "NsfwLevel",
    "Output",
    "Pager",
    "Progress",
    "RetryPolicy",
    "SafetensorsHeader",
    "Step",
    "Unfinished",
    "Workflow",
    "__version__",
    "arguments",
    "errors",
    "hash_file",
    "hash_files",
    "image_job",
    "read_image_meta",
    "read_safetensors",
    "unfinished_downloads",
]

_WHERE = {
    "Air": "air",
    "AirError": "air",
    "AsyncCivitai": "_async.client",
    "AsyncOutput": "_async.output",
    "AsyncJobBatch": "_async.jobs",
    "AsyncPager": "_async.pager",
    "AsyncWorkflow": "_async.workflow",
    "BrowsingLevel": "levels",
    "Civitai": "_sync.client",
    "CivitaiError": "errors",
    "Download": "downloads",
    "DownloadProgress": "downloads",
    "Estimate": "estimates",
    "FileHashes": "hashing",
    "Hasher": "hashing",
    "JobBatch": "_sync.jobs",
    "Match": "matches",
    "MatchProgress": "matches",
    "NsfwLevel": "levels",
    "Output": "_sync.output",
    "Pager": "_sync.pager",
    "Progress": "progress",
    "RetryPolicy": "_backoff",
    "SafetensorsHeader": "safetensors",
    "Step": "steps",
    "Workflow": "_sync.workflow",
    "arguments": "steps",
    "hash_file": "hashing",
    "hash_files": "hashing",
    "image_job": "jobs",
    "read_image_meta": "image_meta",
    "read_safetensors": "safetensors",
    "Unfinished": "unfinished",
    "unfinished_downloads": "unfinished",
}

if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name == "errors":
            return importlib.import_module("civitai_ext.errors")
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
