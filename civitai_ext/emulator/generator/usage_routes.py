"""`/v1/consumer/coverage`, `/consumption` and `/requests`: what can be run, and what was."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, orchestration_time, refuse_problem
from civitai_ext.emulator.generator.access import consumer
from civitai_ext.emulator.generator.shapes import definition_json, event_json
from civitai_ext.emulator.job_kinds import AIR
from civitai_ext.emulator.jobs import Submission
from civitai_ext.emulator.orchestration.access import integer_parameter, moment_parameter
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.world import World

Json = dict[str, Any]

_PAGE = 20
_LARGEST_PAGE = 100


async def _coverage(request: Request, world: World, caller: Account) -> Response:
    airs = request.query_params.getlist("model")
    wrong = {f"model[{place}]": [f"'{air}' is no AIR."] for place, air in enumerate(airs) if not AIR.fullmatch(air)}
    if wrong:
        refuse_problem(400, errors=wrong)
    return answer({air: _availability(world, air) for air in airs})


def _availability(world: World, air: str) -> Json:
    number = whole_number(air.rpartition("@")[2].partition("+")[0])
    version = None if number is None else world.catalogue.version_by_id.get(number)
    if version is None or version.air.lower() != air.lower():
        return {"availability": "Unknown", "workers": 0}
    if not version.supports_generation:
        return {"availability": "Unsupported", "workers": 0}
    if version.id % 5 == 0:
        return {"availability": "Unavailable", "workers": 0}
    return {"availability": "Available", "workers": 1 + version.id % 4}


async def _consumption(request: Request, world: World, caller: Account) -> Response:
    since, until = moment_parameter(request, "startDate"), moment_parameter(request, "endDate")
    jobs = [
        job
        for job in world.jobs.find(caller, {})
        if (since is None or since <= job.created_at) and (until is None or job.created_at <= until)
    ]
    ids = {job.id for job in jobs}
    moved = [transaction for transaction in caller.ledger.transactions if transaction.workflow_id in ids]
    return answer(
        {
            "images": sum(job.blob is not None for job in jobs),
            "totalCost": float(sum(each.amount if each.type == "debit" else -each.amount for each in moved)),
            "startDate": orchestration_time(since) if since else None,
            "endDate": orchestration_time(until) if until else None,
        }
    )


async def _requests(request: Request, world: World, caller: Account) -> Response:
    """List submissions. That the cursor comes back as JSON is a guess: how it is written has not been published."""
    take = integer_parameter(request, "take", _PAGE, low=1, high=_LARGEST_PAGE)
    found, cursor = world.jobs.submissions(caller), request.query_params.get("cursor")
    if cursor is not None:
        try:
            first = int(json.loads(cursor)["nextId"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            refuse_problem(400, errors={"cursor": [f"The value '{cursor}' is not valid."]})
        found = [submission for submission in found if submission.number <= first]
    page, rest = found[:take], found[take:]
    following = {"nextDateTime": orchestration_time(rest[0].at), "nextId": rest[0].number} if rest else None
    return answer({"cursor": following, "requests": [_submission_json(world, each) for each in page]})


def _submission_json(world: World, submission: Submission) -> Json:
    now = world.clock.now()
    jobs = [
        {"job": definition_json(job), "lastEvent": event_json(job, job.last_event(now), job.claimed_at(now))}
        for job in submission.jobs
    ]
    return {"dateTime": orchestration_time(submission.at), "jobs": jobs}


ROUTES = [
    Route("/v1/consumer/coverage", consumer(_coverage), methods=["GET"]),
    Route("/v1/consumer/consumption", consumer(_consumption), methods=["GET"]),
    Route("/v1/consumer/requests", consumer(_requests), methods=["GET"]),
]
