# Derived from tests/_async/test_jobs.py by scripts/unasync.py: change that file, then run `make fix`.
"""Jobs of the Generator API: submitted once whatever becomes of the answers, followed to their end."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from civitai_api.generator.models import MediaTaggingJob, TextToImageJob
from civitai_ext import Civitai, JobBatch, RetryPolicy, errors, image_job
from civitai_ext.emulator import Emulator
from civitai_ext.jobs import SUBMISSION
from tests._sync.helpers import no_sleep
from tests.faults.server import closed_port

pytestmark = pytest.mark.anyio

JOBS = "/v1/consumer/jobs"
MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"


def cat(prompt: str = "a cat", **fields: Any) -> TextToImageJob:
    return image_job(MODEL, prompt, width=512, height=512, **fields)


@pytest.fixture(autouse=True)
def nobody_sleeps(civitai: Civitai) -> None:
    """Looks and retries come at once; a job of some seconds lasts some milliseconds."""
    civitai.transport.sleep = no_sleep


def sent(emulator: Emulator, method: str, path: str = JOBS) -> list[Any]:
    """What was asked of the emulator."""
    return [each for each in emulator.journal if (each.method, each.path) == (method, path)]


def paid_jobs(emulator: Emulator) -> set[str]:
    """The jobs that were paid for."""
    return {each.workflow_id for each in emulator.ledger.transactions if each.type == "debit"}


# ----------------------------------------------------------------------------------------------- from submit to the end


def test_a_job_from_submit_to_its_picture(civitai: Civitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    jobs = civitai.jobs.submit(cat(properties={"order": 17}))
    assert (len(jobs.jobs), jobs.is_final, jobs.results, jobs.failed) == (1, False, [], [])
    emulator.clock.speed = 1000
    assert jobs.cost == sum(each.amount for each in emulator.ledger.transactions) > 0
    seen: list[str] = []
    assert jobs.wait(on_progress=lambda jobs: seen.append(repr(jobs))) is jobs
    assert "Succeeded" in seen[-1]
    assert len(seen) == len(set(seen))
    (picture,) = jobs.results
    answer = civitai.transport.http.send("GET", str(picture.blob_url), headers={})
    assert answer.content.startswith(b"\x89PNG")
    assert jobs.jobs[0].properties == {"order": 17, SUBMISSION: jobs.submission_id}


@pytest.mark.parametrize(
    "job",
    [
        cat(),
        MediaTaggingJob(media_url="https://image.example/1.png"),
        {"$type": "wdTagging", "mediaUrl": "https://image.example/1.png", "model": MODEL},
        {"$type": "textToImage", "model": MODEL, "params": {"prompt": "x", "width": 64, "height": 64}},
    ],
    ids=["image_job", "template", "unknown kind", "dict"],
)
def test_what_a_job_may_be_given_as(civitai: Civitai, job: Any) -> None:
    before = job if isinstance(job, dict) else job.to_dict()
    jobs = (civitai.jobs.submit(job)).wait()
    assert jobs.states == ["Succeeded"]
    assert len(jobs.results) == 1
    assert before == (job if isinstance(job, dict) else job.to_dict()), "what was given stays as it was"


def test_an_argument_that_is_not_there_is_told_before_anything_is_sent(civitai: Civitai, emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_costs'"):
        civitai.jobs.submit(cat(), max_costs=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert not emulator.journal


def test_jobs_may_come_from_a_generator(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", lost_answer=True, after=1)
    jobs = civitai.jobs.submit_batch((cat(str(number)) for number in range(3)), max_cost=100)
    assert len(jobs.ids) == len(paid_jobs(emulator)) == 3


def test_several_jobs_are_followed_in_one_request(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit_batch([cat(quantity=2), cat(), {"$type": "mediaTagging"}])
    jobs.wait()
    assert jobs.states == ["Succeeded"] * 4
    assert len(sent(emulator, "POST")) == 1
    assert not [each for each in emulator.journal if each.path.startswith(f"{JOBS}/")]


def test_jobs_are_found_again_by_their_token(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit(cat())
    assert jobs.token is not None
    waited = civitai.jobs.wait(jobs.token)
    assert waited.ids == jobs.ids
    again = civitai.jobs.get_by_token(jobs.token, detailed=True)
    assert (again.token, again.states) == (jobs.token, ["Succeeded"])
    assert again.jobs[0].job is not None
    asked = len(emulator.journal)
    civitai.jobs.wait(again)
    assert len(emulator.journal) == asked, "what is over is not asked for again"


def test_a_job_is_read_with_its_definition(civitai: Civitai) -> None:
    jobs = civitai.jobs.submit(cat(), detailed=True)
    assert jobs.jobs[0].job is not None
    job = civitai.jobs.get(jobs.ids[0], detailed=True)
    assert job.job
    assert (job.job.model, job.job.base_model) == (MODEL, "SDXL")
    assert not (civitai.jobs.get(jobs.ids[0])).job


def test_a_failure_holds_all_jobs(civitai: Civitai) -> None:
    jobs = civitai.jobs.submit_batch([cat("[fail]"), cat()])
    with pytest.raises(errors.JobsFailed, match=r"1 of 2 jobs failed: \S+ Failed \(no_provider_available\)") as caught:
        jobs.wait()
    assert caught.value.jobs is jobs
    assert [job.job_id for job in jobs.failed] == [jobs.ids[0]]
    assert len(jobs.results) == 1, "what the others made is there"
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (copy.jobs.token, copy.jobs.states) == (jobs.token, ["Failed", "Succeeded"])
    assert (jobs.wait(raise_on_failure=False)).is_final


def test_what_is_not_over_in_time_goes_on(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit(cat("[expire]", timeout="10.00:00:00"))
    with pytest.raises(errors.WaitTimeout, match=r"0 of 1 jobs were over \(1 Initialized\) after 0 seconds") as caught:
        jobs.wait(timeout=0)
    assert caught.value.jobs is jobs
    assert len(sent(emulator, "GET")) == 1, "one look at least"
    jobs.refresh()
    assert not jobs.is_final
    with pytest.raises(errors.WaitTimeout, match="The rest was canceled"):
        civitai.jobs.wait(jobs, timeout=0, cancel_on_timeout=True)
    assert (jobs.refresh()).states == ["Deleted"]
    with pytest.raises(errors.InvalidRequest, match="timeout is -1"):
        jobs.wait(-1)


def test_a_rejection_by_one_worker_is_not_the_end() -> None:
    seen: list[list[str]] = []
    with Emulator(speed=100, models=1) as slow:
        with Civitai(slow.token, orchestration_url=slow.url) as patient:
            patient.transport.sleep = no_sleep
            jobs = patient.jobs.submit(cat("[reject]"))
            jobs.wait(on_progress=lambda jobs: seen.append(jobs.states))
    assert ["Rejected"] in seen
    assert jobs.states == ["Succeeded"]


def test_an_unknown_state_is_not_the_end(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit(cat())
    pondering = {"jobs.*.lastEvent.type": "Pondering", "jobs.*.result": None}
    fault = emulator.faults.add(f"GET {JOBS}", fields=pondering, times=30)
    seen: list[list[str]] = []
    jobs.wait(on_progress=lambda jobs: seen.append(jobs.states))
    assert seen[0] == ["Pondering"]
    assert (fault.hits, jobs.states) == (30, ["Succeeded"])


def test_answers_without_events_end_with_their_results(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"* {JOBS}", fields={"jobs.*.lastEvent": None, "jobs.*.serviceProviders": None})
    jobs = civitai.jobs.submit(cat())
    assert jobs.states == ["Initialized"]
    assert (jobs.wait()).states == ["Succeeded"]
    assert jobs.results[0].blob_url


def test_results_that_come_late_are_waited_for_a_little(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit(cat())
    fault = emulator.faults.add(
        f"GET {JOBS}", fields={"jobs.*.lastEvent.type": "Succeeded", "jobs.*.result": {"available": False}}
    )
    jobs.wait()
    assert fault.hits == 4, "and not for ever: old pictures are gone"
    assert (jobs.wait(timeout=0)).is_final
    emulator.faults.clear()
    assert (jobs.refresh()).jobs[0].job_id == jobs.ids[0]


def test_a_job_that_the_service_does_not_show_for_once_is_not_over(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit_batch([cat(), cat()])
    emulator.faults.add(f"GET {JOBS}", fields={"jobs": []}, times=2)
    jobs.refresh()
    assert (len(jobs.jobs), jobs.is_final) == (2, False)
    assert (jobs.wait()).states == ["Succeeded"] * 2


# ---------------------------------------------------------------------------------------------------------- never twice


LOST: dict[str, dict[str, Any]] = {
    "lost answer": {"lost_answer": True},
    "cut answer": {"cut_body": True},
    "gateway": {"status": 502, "accepted": True},
    "failure": {"status": 500, "accepted": True},
    "page": {"html_page": True, "status": 200, "accepted": True},
    "slow": {"delay": 0.6, "accepted": True},
    "empty": {"fields": {"jobs": None, "token": None}},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_submit_whose_answer_is_lost_is_found_and_not_sent_again(
    civitai: Civitai, emulator: Emulator, fault: dict[str, Any]
) -> None:
    civitai.jobs.submit(cat("another"))
    added = emulator.faults.add(f"POST {JOBS}", **fault)
    jobs = civitai.jobs.submit_batch([cat(properties={"order": 1}), cat(quantity=2)], timeout=0.3)
    assert jobs.token is None
    assert len(jobs.ids) == 3
    assert set(jobs.ids) < paid_jobs(emulator)
    assert len(paid_jobs(emulator)) == 4
    jobs.wait()
    assert jobs.states == ["Succeeded"] * 3
    jobs.taint("bad")
    jobs.cancel(force=True)
    assert added.hits == 1, "it was sent once"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 502}, {"html_page": True}, {"status": 524}])
def test_a_submit_that_cannot_be_found_says_so_and_how_to_go_on(
    civitai: Civitai, emulator: Emulator, fault: dict[str, Any]
) -> None:
    emulator.faults.add(f"POST {JOBS}", **fault, times=1)
    with pytest.raises(errors.SubmissionUnclear, match=r"no good answer came .POST.* 0 of 1 can be found") as caught:
        civitai.jobs.submit(cat())
    assert isinstance(caught.value.__cause__, errors.CivitaiError)
    assert len(sent(emulator, "POST")) == 1
    assert caught.value.submission_id in str(caught.value)
    assert list(civitai.jobs.query(caught.value.properties)) == []
    first = civitai.jobs.submit(cat(), submission_id=caught.value.submission_id)
    second = civitai.jobs.submit(cat(), submission_id=caught.value.submission_id)
    assert first.ids == second.ids == list(paid_jobs(emulator))
    assert len(sent(emulator, "POST")) == 2


def test_jobs_that_show_up_late_are_found(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", lost_answer=True, times=1)
    emulator.faults.add(f"POST {JOBS}/query", fields={"jobs": []}, times=1)
    emulator.faults.add(f"POST {JOBS}/query", status=400, times=1)
    jobs = civitai.jobs.submit(cat())
    assert set(jobs.ids) == paid_jobs(emulator)


@pytest.mark.parametrize(
    "fault", [{"status": 400}, {"fields": {"jobs.*.properties": {"order": 1}}}], ids=["refused", "jobs of others"]
)
def test_nothing_is_taken_for_a_job_that_cannot_be_told_from_others(
    civitai: Civitai, emulator: Emulator, fault: dict[str, Any]
) -> None:
    emulator.faults.add(f"POST {JOBS}", lost_answer=True, times=1)
    emulator.faults.add(f"POST {JOBS}/query", **fault)
    with pytest.raises(errors.SubmissionUnclear) as caught:
        civitai.jobs.submit(cat())
    assert isinstance(caught.value.__cause__, errors.ConnectionFailed)
    emulator.faults.clear()
    jobs = civitai.jobs.submit(cat(), submission_id=caught.value.submission_id)
    assert set(jobs.ids) == paid_jobs(emulator)


def test_part_of_a_submission_is_not_taken_for_all_of_it(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", lost_answer=True, times=1)
    emulator.faults.add(f"POST {JOBS}/query", fields={"jobs.0.properties": None})
    with pytest.raises(errors.SubmissionUnclear, match="1 of 2 can be found"):
        civitai.jobs.submit_batch([cat(), cat()])


def test_an_id_that_was_used_for_fewer_jobs_is_not_taken_for_these(civitai: Civitai, emulator: Emulator) -> None:
    civitai.jobs.submit(cat(), submission_id="order-17")
    with pytest.raises(errors.SubmissionUnclear, match="submission_id was used before, and 1 of 2 can be found"):
        civitai.jobs.submit_batch([cat(), cat()], submission_id="order-17")
    assert len(sent(emulator, "POST")) == 1


def test_a_service_that_finds_what_was_not_asked_for_is_not_read_to_its_end(
    civitai: Civitai, emulator: Emulator
) -> None:
    civitai.jobs.submit_batch([{"$type": "mediaTagging"}] * 160, submission_id="order-17")
    emulator.faults.add(f"POST {JOBS}/query", fields={"jobs.*.properties": {SUBMISSION: "another"}})
    emulator.journal.clear()
    civitai.jobs.submit(cat(), submission_id="order-17")
    assert len(sent(emulator, "POST", f"{JOBS}/query")) < 8


def test_what_certainly_did_not_arrive_is_an_ordinary_error() -> None:
    with Civitai("token", orchestration_url=f"http://127.0.0.1:{closed_port()}") as unreachable:
        unreachable.transport.sleep = no_sleep
        with pytest.raises(errors.ConnectionFailed) as caught:
            unreachable.jobs.submit(cat())
    assert not caught.value.sent


def test_what_is_refused_for_now_is_sent_again(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", status=429, retry_after="1", times=1)
    emulator.faults.add(f"POST {JOBS}", status=503, retry_after="1", times=1)
    jobs = civitai.jobs.submit(cat())
    assert set(jobs.ids) == paid_jobs(emulator)
    emulator.faults.add(f"POST {JOBS}", status=429)
    with pytest.raises(errors.RateLimited):
        civitai.with_options(retry=RetryPolicy.off()).jobs.submit(cat())


def _submitted_at_last(civitai: Civitai, key: str) -> JobBatch:
    """Submit again and again, as somebody would who saw the error."""
    for _ in range(50):
        with contextlib.suppress(errors.CivitaiError):
            return civitai.jobs.submit(cat(key), submission_id=key)
    raise AssertionError("nothing came of it")


def test_whatever_goes_wrong_every_submission_stands_once(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.chaos(3, 0.5, [500, 502, "lost_answer", "cut_body", "html_page"], route=f"POST {JOBS}*")
    accepted: set[str] = set()
    for number in range(30):
        accepted |= set((_submitted_at_last(civitai, f"order-{number}")).ids)
    assert len(accepted) == 30
    assert paid_jobs(emulator) == accepted


# --------------------------------------------------------------------------------------------------------------- prices


def test_an_estimate_costs_nothing_and_leaves_no_trace(civitai: Civitai, emulator: Emulator) -> None:
    cost = civitai.jobs.estimate(cat(quantity=2), cat())
    assert (emulator.ledger.transactions, list(civitai.jobs.query())) == ([], [])
    (asked,) = sent(emulator, "POST")
    assert ("whatif", "true") in asked.query
    assert SUBMISSION not in str(asked.body)
    jobs = civitai.jobs.submit_batch([cat(quantity=2), cat()], charge=True)
    assert jobs.cost == cost
    assert ("charge", "true") in sent(emulator, "POST")[-1].query


def test_an_estimate_is_asked_for_again(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(f"POST {JOBS}", status=502, times=2)
    assert civitai.jobs.estimate(cat())
    emulator.faults.add(f"POST {JOBS}", fields={"jobs.*.cost": None})
    assert civitai.jobs.estimate(cat()) is None


def test_what_costs_too_much_is_not_submitted(civitai: Civitai, emulator: Emulator) -> None:
    with pytest.raises(errors.BudgetExceeded, match=r"It would cost \d+ Buzz, and at most 1 is allowed"):
        civitai.jobs.submit(cat(), max_cost=1)
    emulator.faults.add(f"POST {JOBS}", fields={"jobs.*.cost": "free"})
    with pytest.raises(errors.BudgetExceeded, match="does not tell"):
        civitai.jobs.submit(cat(), max_cost=1)
    emulator.faults.clear()
    with pytest.raises(errors.BudgetExceeded):
        civitai.jobs.submit(cat(), max_cost=float("nan"))
    assert not paid_jobs(emulator)
    assert SUBMISSION not in str([each.body for each in emulator.journal])
    assert (civitai.jobs.submit(cat(), max_cost=100)).ids


def test_what_cannot_be_paid_is_refused() -> None:
    with Emulator(models=1, balance={"yellow": 1}) as poor:
        with Civitai(poor.token, orchestration_url=poor.url) as civitai:
            with pytest.raises(errors.InsufficientBuzz):
                civitai.jobs.submit(cat())


# ---------------------------------------------------------------------------------------- finding, cancelling, tainting


def test_jobs_are_found_by_properties_page_by_page(civitai: Civitai, emulator: Emulator) -> None:
    civitai.jobs.submit(cat(properties={"order": 1}))
    jobs = civitai.jobs.submit_batch([cat(quantity=10, properties={"order": 2, "by": "me"})] * 3)
    pager = civitai.jobs.query({"order": 2, "by": "me"}, detailed=True)
    first = pager.take(25)
    rest = civitai.jobs.query({"order": 2, "by": "me"}, cursor=pager.cursor).to_list()
    assert {job.job_id for job in first + rest} == set(jobs.ids)
    assert len(first + rest) == 30
    assert first[0].job is not None
    assert civitai.jobs.query(job_type="mediaTagging").to_list() == []
    assert len(civitai.jobs.query(limit=5).to_list()) == 5


def test_jobs_are_canceled() -> None:
    with Emulator(speed=0, models=1) as still:
        with Civitai(still.token, orchestration_url=still.url) as civitai:
            jobs = civitai.jobs.submit_batch([cat(), cat()])
            civitai.jobs.cancel(jobs.ids[0])
            assert (jobs.refresh()).states == ["Deleted", "Initialized"]
            still.clock.advance(3.5)
            jobs.cancel()
            assert (jobs.refresh()).states == ["Deleted", "Claimed"]
            civitai.jobs.cancel_by_token(str(jobs.token), force=True)
            assert (jobs.refresh()).states == ["Deleted", "Deleted"]
            with pytest.raises(errors.JobsFailed):
                jobs.wait()


def test_jobs_are_tainted(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit_batch([cat(properties={"order": 1}), cat()])
    civitai.jobs.taint(jobs.ids[0], "six fingers", context={"hand": "left"})
    assert civitai.jobs.taint_by_token(str(jobs.token), "dull") == 2
    assert civitai.jobs.taint_by_token(None, "dull", properties={"order": 1}) == 1
    jobs.taint("bad", context={"why": "?"})
    assert [each.body for each in emulator.journal if each.method == "PUT"] == [
        {"reason": "six fingers", "context": {"hand": "left"}},
        {"reason": "dull"},
        {"reason": "dull", "properties": {"order": 1}},
        {"reason": "bad", "context": {"why": "?"}},
    ]


def test_jobs_whose_token_is_too_long_are_followed_by_their_property(civitai: Civitai, emulator: Emulator) -> None:
    jobs = civitai.jobs.submit_batch([{"$type": "mediaTagging", "number": number} for number in range(160)])
    assert len(str(jobs.token)) > 8000
    assert (jobs.wait()).states == ["Succeeded"] * 160
    assert not sent(emulator, "GET")
    jobs.taint("dull")
    assert emulator.journal[-1].status == 200


# ------------------------------------------------------------------------------------------------------------- mistakes


Call = Callable[[Civitai], object]
MISTAKES: dict[str, tuple[Call, str]] = {
    "text": (lambda civitai: civitai.jobs.submit("a cat"), r"jobs\[0\] is a str"),  # type: ignore[arg-type]
    "no type": (lambda civitai: civitai.jobs.submit({"model": MODEL}), r"jobs\[0\] has no `\$type`"),
    "wrong field": (
        lambda civitai: civitai.jobs.submit({"$type": "textToImage", "model": 5, "params": {}}),
        r"jobs\[0\].model of TextToImageJob takes text",
    ),
    "no jobs": (lambda civitai: civitai.jobs.submit_batch([]), "There are no jobs"),
    "one job": (lambda civitai: civitai.jobs.submit_batch(cat()), "jobs is a TextToImageJob. Give a list"),  # type: ignore[arg-type]
    "no key": (lambda civitai: civitai.jobs.submit(cat(), submission_id=" "), "submission_id is ' '"),
    "no id": (lambda civitai: civitai.jobs.get(""), "'' is not the id of a job"),
    "dots": (lambda civitai: civitai.jobs.cancel(".."), r"'\.\.' is not the id of a job"),
    "no token": (lambda civitai: civitai.jobs.get_by_token(""), "'' is not a token"),
    "nothing to wait for": (lambda civitai: civitai.jobs.wait(""), "'' is not a token"),
    "waiting for a number": (lambda civitai: civitai.jobs.wait(5), "5 is not a token"),  # type: ignore[arg-type]
    "no properties": (lambda civitai: civitai.jobs.query("x").to_list(), "it takes a dict"),  # type: ignore[arg-type]
    "no context": (lambda civitai: civitai.jobs.taint("x", "y", context=5), "it takes a dict"),  # type: ignore[arg-type]
    "no reason": (lambda civitai: civitai.jobs.taint("x", " "), "reason is ' '"),
    "no choice": (lambda civitai: civitai.jobs.taint_by_token(None, "x"), "takes a token, or properties"),
}


@pytest.mark.parametrize(("call", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_before_anything_is_sent(
    civitai: Civitai, emulator: Emulator, call: Call, message: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        call(civitai)
    assert not emulator.journal


NEEDS_TOKEN: dict[str, Call] = {
    "estimate": lambda civitai: civitai.jobs.estimate(cat()),
    "submit": lambda civitai: civitai.jobs.submit(cat()),
    "submit_batch": lambda civitai: civitai.jobs.submit_batch([cat()]),
    "get": lambda civitai: civitai.jobs.get("x"),
    "get_by_token": lambda civitai: civitai.jobs.get_by_token("x"),
    "query": lambda civitai: civitai.jobs.query().to_list(),
    "wait": lambda civitai: civitai.jobs.wait("x"),
    "cancel": lambda civitai: civitai.jobs.cancel("x"),
    "cancel_by_token": lambda civitai: civitai.jobs.cancel_by_token("x"),
    "taint": lambda civitai: civitai.jobs.taint("x", "y"),
    "taint_by_token": lambda civitai: civitai.jobs.taint_by_token("x", "y"),
    "coverage": lambda civitai: civitai.coverage.get(MODEL),
    "consumption": lambda civitai: civitai.usage.consumption(),
    "requests": lambda civitai: civitai.usage.requests().to_list(),
}


@pytest.mark.parametrize("call", NEEDS_TOKEN.values(), ids=NEEDS_TOKEN.keys())
def test_a_token_is_asked_for_before_anything_is_sent(civitai: Civitai, emulator: Emulator, call: Call) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"needs a token.*CIVITAI_TOKEN"):
        call(civitai.with_options(token=False))
    assert not emulator.journal


def test_what_the_service_refuses_is_named(civitai: Civitai) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        civitai.jobs.submit({"$type": "textToImage", "model": MODEL, "params": {"prompt": "x", "width": 64}})
    assert list(caught.value.issues) == ["jobs[0].params.height"]
    with pytest.raises(errors.NotFound):
        civitai.jobs.get("nobody")
    with pytest.raises(errors.BadRequest):
        civitai.jobs.get_by_token("nothing")


def test_a_handle_of_ones_own(civitai: Civitai) -> None:
    jobs = civitai.jobs.submit(cat())
    assert isinstance(jobs, JobBatch)
    assert str(jobs.token) not in repr(jobs)


# ---------------------------------------------------------------------------------------------------------------- files


def test_what_jobs_made_is_saved_without_the_token(civitai: Civitai, emulator: Emulator, tmp_path: Path) -> None:
    jobs = civitai.jobs.submit_batch([image_job(MODEL, f"cat {n}", width=64, height=64) for n in range(2)])
    jobs.wait()
    paths = jobs.save(tmp_path / "out")
    assert len({path.read_bytes() for path in paths}) == 2
    assert {path.suffix for path in paths} <= {".png", ".jpeg", ".webp"}
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted(paths)
    fetched = [each.credential for each in emulator.journal if "/blobs/" in each.path]
    assert fetched == [None, None]
    assert jobs.save(tmp_path / "out") == paths
    with pytest.raises(FileExistsError):
        jobs.save(tmp_path / "out", exists="error")


def test_urls_of_results_that_have_run_out_are_signed_anew(
    civitai: Civitai, emulator: Emulator, tmp_path: Path
) -> None:
    jobs = civitai.jobs.submit(image_job(MODEL, "a cat", width=64, height=64))
    jobs.wait()
    for result in jobs.results:
        result.blob_url_expiration_date = datetime(2020, 1, 1, tzinfo=UTC)
        result.blob_url = f"{emulator.url}/v2/consumer/blobs/content/old"
    (path,) = jobs.save(tmp_path)
    assert path.stat().st_size > 100
