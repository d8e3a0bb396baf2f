# Derived from tests/_async/test_waiting.py by scripts/unasync.py: change that file, then run `make fix`.
"""Waiting for workflows: how soon the end is known, how many requests that takes, and what does not disturb it."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput, Flux2KleinCreateImageInput
from civitai_ext import Civitai, Progress, Step, Workflow, errors
from civitai_ext._together import Together
from civitai_ext.emulator import Emulator
from tests._sync.helpers import no_sleep

pytestmark = pytest.mark.anyio

WORKFLOWS = "/v2/consumer/workflows"
PHASES = ["unassigned", "preparing", "scheduled", "processing", "succeeded"]


def picture(prompt: str = "a cat", **fields: Any) -> Flux2KleinCreateImageInput:
    return Flux2KleinCreateImageInput(prompt=prompt, width=512, height=512, **fields)


def looks(emulator: Emulator) -> Counter[str]:
    """How often workflows were asked for: alone, and in lists."""
    asked = [each.path for each in emulator.journal if each.method == "GET" and each.path.startswith(WORKFLOWS)]
    return Counter("list" if path == WORKFLOWS else "alone" for path in asked)


def submitted(civitai: Civitai, count: int, **options: Any) -> list[Workflow]:
    """So many workflows, one a tenth of a second after the other for the emulator."""
    return [civitai.workflows.submit(EchoInput(message=str(number)), **options) for number in range(count)]


@pytest.fixture
def slow(emulator: Emulator, civitai: Civitai) -> Iterator[Civitai]:
    """The same client, in a world where time stands still until it is moved."""
    emulator.clock.speed = 0
    yield civitai
    emulator.clock.advance(3600)


# -------------------------------------------------------------------------------------------------- how soon, how often


def test_the_end_is_known_at_once(slow: Civitai, emulator: Emulator) -> None:
    late = []
    for _ in range(5):
        workflow = slow.workflows.submit(EchoInput(message="x"))
        began = time.monotonic()
        workflow.refresh()
        round_trip = time.monotonic() - began
        ended: list[float] = []

        def end(ended: list[float] = ended) -> None:
            ended.append(time.monotonic())
            emulator.clock.advance(60)

        timer = threading.Timer(0.05, end)
        timer.start()
        workflow.wait(timeout=30)
        late.append(time.monotonic() - ended[0] - round_trip)
        timer.join()
    assert min(late) < 0.1


def test_a_long_wait_takes_few_requests(civitai: Civitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep  # a second lasts a millisecond here, so that answers seem to come too soon
    workflow = civitai.workflows.submit(Step(EchoInput(message="[expire]"), timeout="00:20:00"))
    workflow.wait(timeout=None, raise_on_failure=False)
    assert workflow.status == "expired"
    assert 1 < looks(emulator)["alone"] <= math.ceil(1200 / 90) + 1


def test_who_watches_sees_how_it_goes(civitai: Civitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    emulator.clock.speed = 20
    workflow = civitai.workflows.submit(Step(picture(quantity=4), name="hero"))
    seen = list(workflow.events(timeout=30))
    statuses = list(dict.fromkeys(each.status for each in seen))
    assert statuses == [each for each in PHASES if each in statuses]
    assert {"unassigned", "processing", "succeeded"} <= set(statuses)
    assert {each.step for each in seen} == {None, "hero"}
    rates = [each.fraction for each in seen]
    assert rates == sorted(rates)
    assert 0 < rates[-2] < rates[-1] == 1
    assert workflow.status == "succeeded"


def test_events_of_what_is_over_are_its_end(civitai: Civitai, emulator: Emulator) -> None:
    done = civitai.workflows.run(EchoInput(message="[fail]"), raise_on_failure=False)
    asked = len(emulator.journal)
    assert [each.status for each in done.events()] == ["failed"]
    assert len(emulator.journal) == asked


# ----------------------------------------------------------------------------------------------------------------- many


def test_several_come_back_in_order(civitai: Civitai) -> None:
    workflows = submitted(civitai, 3)
    done = civitai.workflows.wait([workflows[2], workflows[0].id, workflows[1]])
    assert [each.text for each in done] == [["2"], ["0"], ["1"]]
    assert done[0] is workflows[2]
    assert civitai.workflows.wait([]) == []


def test_each_is_given_when_it_is_over(slow: Civitai, emulator: Emulator) -> None:
    first = slow.workflows.submit(picture("long"), tags=["x"])
    second = slow.workflows.submit(EchoInput(message="short"))
    emulator.clock.speed = 20
    assert list(slow.workflows.as_completed([first, second])) == [second, first]


@pytest.mark.parametrize("tags", [None, ["a", "b"]])
def test_many_are_looked_at_in_lists(civitai: Civitai, emulator: Emulator, tags: list[str] | None) -> None:
    emulator.clock.speed = 0
    submitted(civitai, 30)  # which are not waited for
    workflows = submitted(civitai, 200, tags=tags)
    civitai.transport.sleep = no_sleep
    emulator.clock.speed = 1
    emulator.journal.clear()
    emulator.clock.advance(60)
    done = civitai.workflows.wait(workflows, timeout=60)
    assert {each.status for each in done} == {"succeeded"}
    asked = looks(emulator)
    assert asked["alone"] < 100, "those that begin before there are many"
    assert 1 <= asked["list"] <= 20
    lists = [dict(each.query) for each in emulator.journal if each.path == WORKFLOWS]
    assert all({"fromDate", "toDate", "take"} <= query.keys() for query in lists)
    assert all(("tags" in query) == bool(tags) for query in lists)
    assert {query["hideMatureContent"] for query in lists} == {"false"}


def test_many_waits_of_one_client_share_lists_and_outlive_refusals(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 200)
    emulator.clock.speed = 5
    emulator.faults.add(f"GET {WORKFLOWS}*", status=429, retry_after="0", every=4, times=20)
    emulator.journal.clear()

    def wait(workflow: Workflow) -> str:
        return (workflow.wait(timeout=60)).status

    statuses = Together(wait, most=200).each(workflows)
    assert statuses == ["succeeded"] * 200
    asked = looks(emulator)
    assert asked["alone"] + asked["list"] < 100


def test_more_than_can_be_watched_at_once(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 600)
    emulator.journal.clear()
    began = time.monotonic()
    done = list(civitai.workflows.as_completed(workflows, timeout=60))
    assert len({each.id for each in done}) == 600
    assert time.monotonic() - began < 20
    asked = looks(emulator)
    assert asked["alone"] + asked["list"] < 100


def test_what_no_list_has_is_asked_for_alone(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 30)
    emulator.clock.speed = 5
    emulator.faults.add(f"GET {WORKFLOWS}", fields={"items": []})
    done = civitai.workflows.wait(workflows, timeout=60)
    assert {each.status for each in done} == {"succeeded"}


def test_a_service_that_does_not_list_is_asked_for_each(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 120)
    emulator.clock.speed = 5
    emulator.faults.add(f"GET {WORKFLOWS}", status=403)
    done = civitai.workflows.wait(workflows, timeout=60)
    assert {each.status for each in done} == {"succeeded"}


def test_lists_that_fail_for_a_while_are_asked_for_again(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 30)
    civitai.transport.sleep = no_sleep
    emulator.faults.add(f"GET {WORKFLOWS}", status=500, times=9)
    done = civitai.workflows.wait(workflows, timeout=60)
    assert {each.status for each in done} == {"succeeded"}
    assert looks(emulator)["alone"] <= 30


def test_a_list_that_comes_late_does_not_undo_an_end(civitai: Civitai, emulator: Emulator) -> None:
    workflows = submitted(civitai, 20)
    emulator.clock.speed = 0
    late = submitted(civitai, 20)
    emulator.faults.add(f"GET {WORKFLOWS}", delay=0.3, accepted=True, times=1)
    timer = threading.Timer(0.15, emulator.clock.advance, [60])
    timer.start()
    ends = [(each, each.status) for each in civitai.workflows.as_completed([*workflows, *late], timeout=30)]
    timer.join()
    assert len(ends) == 40
    assert {status for _, status in ends} == {each.status for each, _ in ends} == {"succeeded"}


def test_ids_of_another_process_can_be_many_too(civitai: Civitai, emulator: Emulator) -> None:
    ids = [each.id for each in submitted(civitai, 120)]
    emulator.clock.speed = 5
    done = civitai.workflows.wait(ids, timeout=60)
    assert [each.id for each in done] == ids
    assert {each.status for each in done} == {"succeeded"}


def test_all_are_waited_for_before_a_failure_is_told(civitai: Civitai) -> None:
    bad = [civitai.workflows.submit(EchoInput(message="[fail]")) for _ in range(2)]
    good = civitai.workflows.submit(picture())
    with pytest.raises(errors.WorkflowFailed) as caught:
        civitai.workflows.wait([bad[0], good, bad[1]])
    assert caught.value.workflow is bad[0]
    assert bad[1].id in caught.value.__notes__[0]
    assert good.status == "succeeded"


def test_one_that_is_not_there_does_not_stop_the_others(civitai: Civitai) -> None:
    workflows = submitted(civitai, 3)
    with pytest.raises(errors.NotFound, match="404 Not Found"):
        civitai.workflows.wait(["wf_nobody_knows", *workflows])
    assert {each.status for each in workflows} == {"succeeded"}


# ------------------------------------------------------------------------------------------------------ ends and breaks


@pytest.mark.parametrize("cancel", [False, True])
def test_a_timeout_names_all_that_are_not_over(slow: Civitai, emulator: Emulator, cancel: bool) -> None:
    short = slow.workflows.submit(EchoInput(message="short"))
    emulator.clock.advance(60)
    long = submitted(slow, 2)
    with pytest.raises(errors.WaitTimeout, match="2 of 3 workflows were not over") as caught:
        slow.workflows.wait([short, *long], timeout=0, cancel_on_timeout=cancel)
    assert sorted(caught.value.workflow_ids) == sorted(each.id for each in long)
    assert short.status == "succeeded"
    assert {(each.refresh()).status for each in long} == ({"canceled"} if cancel else {"unassigned"})


def test_a_crowd_keeps_its_time(slow: Civitai) -> None:
    workflows = submitted(slow, 40)
    began = time.monotonic()
    with pytest.raises(errors.WaitTimeout, match="40 of 40"):
        slow.workflows.wait(workflows, timeout=0.3)
    assert time.monotonic() - began < 5


def test_a_crowd_without_time_is_looked_at_once(slow: Civitai, emulator: Emulator) -> None:
    workflows = submitted(slow, 40)
    emulator.clock.advance(60)
    done = slow.workflows.wait(workflows, timeout=0)
    assert {each.status for each in done} == {"succeeded"}


def test_a_crowd_is_looked_at_once_more_at_the_deadline(slow: Civitai, emulator: Emulator) -> None:
    # What is known by its id only is looked at alone before it can be listed.
    ids = [each.id for each in submitted(slow, 40)]
    timer = threading.Timer(0.6, emulator.clock.advance, [60])
    timer.start()
    done = slow.workflows.wait(ids, timeout=1)
    timer.join()
    assert {each.status for each in done} == {"succeeded"}


def test_the_time_is_for_all_of_them(slow: Civitai, emulator: Emulator) -> None:
    workflows = submitted(slow, 260)
    emulator.journal.clear()
    with pytest.raises(errors.WaitTimeout, match="260 of 260"):
        slow.workflows.wait(workflows, timeout=1)
    last = [dict(each.query) for each in emulator.journal if each.path.endswith(workflows[-1].id)]
    assert last == [{}], "those that had to wait for others have no time of their own"


def test_a_timeout_is_told_where_canceling_fails(slow: Civitai, emulator: Emulator) -> None:
    (workflow,) = submitted(slow, 1)
    emulator.faults.add(f"PUT {WORKFLOWS}/*", status=400)
    with pytest.raises(errors.WaitTimeout) as caught:
        workflow.wait(timeout=0, cancel_on_timeout=True)
    assert "could not be canceled" in caught.value.__notes__[0]


@pytest.mark.parametrize("wrong", [5, ["wf_1", 5], [None]])
def test_what_is_no_workflow_is_not_waited_for(civitai: Civitai, emulator: Emulator, wrong: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"5 is neither a workflow nor several|is not the id of a workflow"):
        civitai.workflows.wait(wrong)
    assert not emulator.journal


def test_an_interrupt_in_a_callback_leaves_nobody_waiting(slow: Civitai) -> None:
    workflows = submitted(slow, 3)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slow.workflows.wait(workflows, timeout=5, on_progress=interrupt)


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_a_timeout_that_is_no_time(civitai: Civitai, timeout: float) -> None:
    with pytest.raises(errors.InvalidRequest, match="timeout is"):
        civitai.workflows.attach("wf_1").wait(timeout)


@pytest.mark.parametrize("timeout", [-1, math.nan, "10", True])
@pytest.mark.parametrize("ephemeral", [False, True])
def test_a_timeout_that_is_no_time_is_told_before_anything_is_paid(
    civitai: Civitai, emulator: Emulator, timeout: Any, ephemeral: bool
) -> None:
    with pytest.raises(errors.InvalidRequest, match="timeout is"):
        civitai.workflows.run(EchoInput(message="x"), timeout=timeout, ephemeral=ephemeral)
    with pytest.raises(errors.InvalidRequest, match="timeout is"):
        civitai.workflows.wait([], timeout)
    assert not emulator.journal


def test_a_text_is_one_id(civitai: Civitai) -> None:
    (workflow,) = submitted(civitai, 1)
    assert [each.id for each in civitai.workflows.as_completed(workflow.id)] == [workflow.id]


@pytest.mark.parametrize("cancel", [False, True])
def test_an_interrupt_can_cancel(slow: Civitai, cancel: bool) -> None:
    (workflow,) = submitted(slow, 1)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workflow.wait(on_progress=interrupt, cancel_on_interrupt=cancel)
    assert (workflow.refresh()).status == ("canceled" if cancel else "unassigned")


@pytest.mark.parametrize("cancel", [False, True])
def test_an_interrupt_between_two_ends_can_cancel(slow: Civitai, emulator: Emulator, cancel: bool) -> None:
    workflows = submitted(slow, 1)
    emulator.clock.advance(60)
    workflows += submitted(slow, 2)

    def interrupted() -> None:
        with closing(slow.workflows.as_completed(workflows, cancel_on_interrupt=cancel)) as ended:
            for _ in ended:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    statuses = [(each.refresh()).status for each in workflows]
    assert statuses == ["succeeded", *["canceled" if cancel else "unassigned"] * 2]


def test_what_passes_is_waited_out(civitai: Civitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    workflow = civitai.workflows.submit(Step(EchoInput(message="[expire]"), timeout="00:10:00"))
    route = f"GET {WORKFLOWS}/*"
    for fault in ({"status": 500}, {"status": 524}, {"html_page": True}, {"lost_answer": True}, {"cut_body": True}):
        emulator.faults.add(route, times=3, **fault)
    emulator.faults.add(route, status=429, retry_after="0", times=3)
    done = workflow.wait(raise_on_failure=False)
    assert done.status == "expired"


def test_the_last_trouble_is_told_when_the_time_is_up(slow: Civitai, emulator: Emulator) -> None:
    workflow = slow.workflows.submit(EchoInput(message="x"))
    emulator.faults.add(f"GET {WORKFLOWS}/*", status=500)
    with pytest.raises(errors.WaitTimeout, match=r"the last look at it failed.*500") as caught:
        workflow.wait(timeout=0)
    assert isinstance(caught.value.__cause__, errors.ServerError)


def test_a_service_that_never_answers_is_not_waited_for(civitai: Civitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    fault = emulator.faults.add(f"GET {WORKFLOWS}/*", status=500)
    with pytest.raises(errors.ServerError):
        civitai.workflows.attach("wf_1").wait()
    assert fault.hits == civitai.transport.policy.attempts


# ------------------------------------------------------------------------------------------------------------ ephemeral


def test_an_ephemeral_run_gives_what_it_made(civitai: Civitai, emulator: Emulator) -> None:
    done = civitai.workflows.run(EchoInput(message="gone at once"), ephemeral=True)
    assert done.text == ["gone at once"]
    assert [each.method for each in emulator.journal] == ["POST"]
    with pytest.raises(errors.NotFound, match="ephemeral ones are gone"):
        done.refresh()


def test_an_ephemeral_workflow_that_ended_unseen_is_explained(slow: Civitai, emulator: Emulator) -> None:
    workflow = slow.workflows.submit(EchoInput(message="x"), ephemeral=True, wait=1)
    emulator.clock.advance(60)
    with pytest.raises(errors.NotFound, match="It was ephemeral: the service forgot it"):
        workflow.wait()


def test_a_part_of_a_second_is_time_to_wait_for_what_is_ephemeral(civitai: Civitai, emulator: Emulator) -> None:
    civitai.workflows.submit(EchoInput(message="x"), ephemeral=True, wait=0.3)
    assert dict(emulator.journal[-1].query)["wait"] == "1"


@pytest.mark.parametrize("wait", [-1, 91])
def test_a_submit_cannot_be_held_for_longer_than_a_gateway_lets_it(
    civitai: Civitai, emulator: Emulator, wait: float
) -> None:
    with pytest.raises(errors.InvalidRequest, match="0 to 90 seconds"):
        civitai.workflows.submit(EchoInput(message="x"), wait=wait)
    with pytest.raises(errors.InvalidRequest, match="forgotten as soon as it is over"):
        civitai.workflows.submit(EchoInput(message="x"), ephemeral=True)
    assert not emulator.journal
