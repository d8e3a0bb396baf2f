"""What of an emulator outlasts a run, or is undone by a reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from civitai_ext.emulator.accounts import Account, Credential, Subject
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.catalogue import Version
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.drawing import Picture, Resized, Stored
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.jobs import Event, Job, JobTemplate, Submission
from civitai_ext.emulator.keeping.graph import Graph, Json, Outside, UnreadableError
from civitai_ext.emulator.ledger import Ledger, Transaction
from civitai_ext.emulator.media.glb import Mesh
from civitai_ext.emulator.media.mp4 import Film
from civitai_ext.emulator.media.packages import Package, Weights
from civitai_ext.emulator.media.pictures import Animation, Blurred, Cutout, Preprocessed, Tracing
from civitai_ext.emulator.media.wav import Sound
from civitai_ext.emulator.oauth.clients import Client
from civitai_ext.emulator.oauth.grants import Code, DeviceCode, Grant, Token
from civitai_ext.emulator.oauth.sessions import Session
from civitai_ext.emulator.pricing import Bill, Price
from civitai_ext.emulator.spending import BuzzLimit, Purse
from civitai_ext.emulator.steps import Input, Part
from civitai_ext.emulator.templates import StepTemplate, Template
from civitai_ext.emulator.uploads import StoredObject, Upload
from civitai_ext.emulator.vaults import Vault, VaultItem
from civitai_ext.emulator.workflows import Step, Timeline, Workflow
from civitai_ext.emulator.world import World

_CLASSES: tuple[type, ...] = (
    Account, Subject, Credential, Ledger, Transaction, Purse, BuzzLimit,
    Client, Code, DeviceCode, Grant, Token, Session,
    Workflow, Step, Timeline, Template, StepTemplate, Bill, Price, Part,
    Job, JobTemplate, Event, Submission, Input,
    Blob, Stored, Picture, Resized, Animation, Blurred, Cutout, Preprocessed, Tracing, Film, Sound,
    Mesh, Package, Weights, Vault, VaultItem, Upload, StoredObject,
)  # fmt: skip


class State:
    """What is kept of one emulator.

    Args:
        world: The emulator.
        identifiers: Where its identifiers come from.

    """

    def __init__(self, world: World, identifiers: Identifiers) -> None:
        self._catalogue = world.catalogue
        # Each says in KEPT which of its attributes are kept.
        self._parts: dict[str, Any] = {
            "identifiers": identifiers,
            "accounts": world.accounts,
            "oauth": world.oauth,
            "grants": world.oauth.grants,
            "sessions": world.oauth.sessions,
            "catalogue": world.catalogue,
            "blobs": world.blobs,
            "workflows": world.workflows,
            "callbacks": world.callbacks,
            "jobs": world.jobs,
            "vaults": world.vaults,
            "uploads": world.uploads,
        }
        self._graph = Graph(
            _CLASSES,
            (
                Outside(Clock, lambda clock: None, lambda name: world.clock),
                Outside(Identifiers, lambda given: None, lambda name: identifiers),
                Outside(Version, lambda version: version.id, lambda id_: world.catalogue.version_by_id[id_]),
            ),
        )

    def write(self, store: Callable[[bytes], str]) -> Json:
        """Write the state as plain data; `store` puts bytes away and names them."""
        state = {name: {each: getattr(part, each) for each in part.KEPT} for name, part in self._parts.items()}
        return self._graph.write(state, store)

    def read(self, data: Json, load: Callable[[str], bytes]) -> None:
        """Bring a state back; `load` gives the bytes of a name.

        Raises:
            UnreadableError: The data is no state of such an emulator.

        """
        # What refers to a version finds it even if its model is to be removed.
        self._catalogue.changes = {"removed": [], "access": []}
        state: Any = self._graph.read(data, load)
        found = {name: set(attributes) for name, attributes in state.items()}
        if found != {name: set(part.KEPT) for name, part in self._parts.items()}:
            raise UnreadableError("it has other parts than this version of the emulator knows")
        for name, part in self._parts.items():
            for attribute in part.KEPT:
                setattr(part, attribute, state[name][attribute])

    def remember(self) -> Callable[[], None]:
        """Remember the state as it is; what is returned goes back to it."""
        contents: list[bytes] = []

        def store(content: bytes) -> str:
            contents.append(content)
            return str(len(contents) - 1)

        data = self.write(store)
        return lambda: self.read(data, lambda name: contents[int(name)])
