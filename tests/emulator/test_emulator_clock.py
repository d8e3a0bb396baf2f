"""The clock: it only ever goes forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from civitai_ext.emulator.clock import Clock

START = datetime(2026, 8, 1, tzinfo=UTC)


def test_a_change_of_speed_keeps_the_time() -> None:
    clock = Clock(speed=1e6, start=START)
    while clock.now() < START + timedelta(hours=1):
        pass
    before = clock.now()
    clock.speed = 0
    stopped = clock.now()
    assert stopped >= before
    assert clock.now() == stopped
    clock.advance(10)
    clock.speed = 2
    assert timedelta(seconds=10) <= clock.now() - stopped < timedelta(seconds=30)


@pytest.mark.parametrize("speed", [-1, -0.001])
def test_time_does_not_run_backwards(speed: float) -> None:
    with pytest.raises(ValueError, match="backwards"):
        Clock(speed=speed)
    clock = Clock()
    with pytest.raises(ValueError, match="backwards"):
        clock.speed = speed
    with pytest.raises(ValueError, match="forward"):
        clock.advance(speed)
