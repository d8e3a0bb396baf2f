"""Ctrl-C in a loop of the synchronous client, where nothing but the loop closes the iterator."""

from __future__ import annotations

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import Civitai
from civitai_ext.emulator import Emulator


@pytest.mark.parametrize("cancel", [False, True])
def test_ctrl_c_in_the_body_of_a_loop_can_cancel(cancel: bool) -> None:
    with Emulator(models=1, speed=0) as emulator, Civitai(emulator.token, orchestration_url=emulator.url) as civitai:
        workflows = [civitai.workflows.submit(EchoInput(message="short"))]
        emulator.clock.advance(60)
        workflows += [civitai.workflows.submit(EchoInput(message="long")) for _ in range(2)]

        def interrupted() -> None:
            for _ in civitai.workflows.as_completed(workflows, cancel_on_interrupt=cancel):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        statuses = [each.refresh().status for each in workflows]
        emulator.clock.advance(3600)
    assert statuses == ["succeeded", *["canceled" if cancel else "unassigned"] * 2]
