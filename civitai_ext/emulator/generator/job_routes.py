"""`/v1/consumer/jobs`."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse, refuse_problem
from civitai_ext.emulator.generator.access import consumer
from civitai_ext.emulator.generator.shapes import job_json, jobs_json, preview_json
from civitai_ext.emulator.jobs import InvalidJobError, Job, parse_jobs, token_of
from civitai_ext.emulator.ledger import InsufficientBuzzError
from civitai_ext.emulator.orchestration.access import boolean_parameter, json_body, purse_of
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.scopes import AI_SERVICES_READ
from civitai_ext.emulator.world import World

LONGEST_WAIT = 600
"""Seconds for which an answer is held back with `wait`."""

_PAGE = 20
"""How many jobs a page of a query has."""


async def _submit(request: Request, world: World, caller: Account) -> Response:
    waits, detailed = boolean_parameter(request, "wait"), boolean_parameter(request, "detailed")
    boolean_parameter(request, "charge")
    try:
        templates = parse_jobs(await json_body(request))
    except InvalidJobError as error:
        refuse_problem(400, errors=error.faults)
    if boolean_parameter(request, "whatif"):
        jobs = world.jobs.preview(caller, templates, purse_of(request))
        return answer({"token": token_of(jobs), "jobs": [preview_json(job) for job in jobs]})
    try:
        jobs = world.jobs.submit(caller, templates, purse_of(request))
    except InsufficientBuzzError:
        refuse("Not enough Buzz to run these jobs", 403)
    return await _answer_jobs(world, jobs, waits=waits, detailed=detailed)


async def _get_by_token(request: Request, world: World, caller: Account) -> Response:
    jobs = _of_token(request, world, caller)
    waits, detailed = boolean_parameter(request, "wait"), boolean_parameter(request, "detailed")
    return await _answer_jobs(world, jobs, waits=waits, detailed=detailed)


async def _answer_jobs(world: World, jobs: list[Job], *, waits: bool, detailed: bool) -> Response:
    """Answer with jobs, held back until they are over if that is wanted: then 202 says that they are not."""
    over = await _wait(world, jobs) if waits else True
    shown = {"token": token_of(jobs), "jobs": jobs_json(world, jobs, detailed=detailed)}
    return answer(shown, 200 if over else 202)


async def _wait(world: World, jobs: list[Job]) -> bool:
    """Wait until jobs are over or the time is up, in virtual or in real time, whichever comes first."""
    virtual_end = world.clock.now() + timedelta(seconds=LONGEST_WAIT)
    real_end = time.monotonic() + LONGEST_WAIT
    while not (over := all(job.is_over(world.clock.now()) for job in jobs)):
        left = real_end - time.monotonic()
        if left <= 0 or world.clock.now() >= virtual_end or world.clock.stopped:
            break
        change = world.jobs.next_change(jobs)
        await world.clock.pause(min(change, virtual_end) if change else virtual_end, at_most=left)
    for job in jobs:
        world.jobs.refresh(job)
    return over


async def _cancel_by_token(request: Request, world: World, caller: Account) -> Response:
    world.jobs.cancel(_of_token(request, world, caller), force=boolean_parameter(request, "force"))
    return Response()


async def _taint_by_token(request: Request, world: World, caller: Account) -> Response:
    body = await _object(request)
    properties = body.get("properties")
    if "token" in request.query_params:
        jobs = _of_token(request, world, caller)
    elif isinstance(properties, dict) and properties:
        jobs = world.jobs.find(caller, properties)
    else:
        refuse_problem(400, errors={"properties": ["The properties field is required without a token."]})
    return answer({"jobs": _taint(jobs, body)})


async def _query(request: Request, world: World, caller: Account) -> Response:
    body = await _object(request)
    properties, kind, cursor = body.get("properties"), body.get("jobType"), body.get("cursor")
    if properties is None:
        properties = {}
    elif not isinstance(properties, dict):
        refuse_problem(400, errors={"properties": ["The properties field must be an object."]})
    if not isinstance(kind, str | None):
        refuse_problem(400, errors={"jobType": ["The jobType field must be a string."]})
    found = world.jobs.find(caller, properties, kind)
    if cursor is not None:
        first = whole_number(cursor) if isinstance(cursor, str) else None
        if first is None:
            refuse_problem(400, errors={"cursor": [f"The value '{cursor}' is not valid."]})
        found = [job for job in found if job.number <= first]
    page, rest = found[:_PAGE], found[_PAGE:]
    jobs = jobs_json(world, page, detailed=boolean_parameter(request, "detailed"))
    return answer({"cursor": str(rest[0].number) if rest else None, "jobs": jobs})


async def _get(request: Request, world: World, caller: Account) -> Response:
    job = _find(request, world, caller)
    return answer(job_json(world, job, detailed=boolean_parameter(request, "detailed")))


async def _taint_one(request: Request, world: World, caller: Account) -> Response:
    job = _find(request, world, caller)
    _taint([job], await _object(request))
    return Response()


async def _cancel_one(request: Request, world: World, caller: Account) -> Response:
    world.jobs.cancel([_find(request, world, caller)], force=boolean_parameter(request, "force"))
    return Response()


def _taint(jobs: list[Job], body: dict[str, Any]) -> int:
    """Note a complaint about jobs."""
    if not isinstance(body.get("reason"), str) or not body["reason"]:
        refuse_problem(400, errors={"reason": ["The reason field is required."]})
    if not isinstance(body.get("context"), dict | None):
        refuse_problem(400, errors={"context": ["The context field must be an object."]})
    for job in jobs:
        job.taints.append({name: body[name] for name in ("reason", "context") if name in body})
    return len(jobs)


def _of_token(request: Request, world: World, caller: Account) -> list[Job]:
    token = request.query_params.get("token")
    if not token:
        refuse_problem(400, errors={"token": ["The token field is required."]})
    try:
        jobs = world.jobs.of_token(caller, token)
    except ValueError:
        refuse_problem(400, errors={"token": [f"The value '{token}' is not valid."]})
    if not jobs:
        refuse_problem(404)
    return jobs


def _find(request: Request, world: World, caller: Account) -> Job:
    job = world.jobs.get(caller, request.path_params["job"])
    if job is None:
        refuse_problem(404)
    return job


async def _object(request: Request) -> dict[str, Any]:
    body = await json_body(request)
    if not isinstance(body, dict):
        refuse_problem(400, errors={"$": ["The request body must be a JSON object."]})
    return body


_JOBS = "/v1/consumer/jobs"
ROUTES = [
    Route(_JOBS, consumer(_submit), methods=["POST"]),
    Route(_JOBS, consumer(_get_by_token), methods=["GET"]),
    Route(_JOBS, consumer(_taint_by_token), methods=["PUT"]),
    Route(_JOBS, consumer(_cancel_by_token), methods=["DELETE"]),
    Route(f"{_JOBS}/query", consumer(_query, needs=AI_SERVICES_READ), methods=["POST"]),
    Route(f"{_JOBS}/{{job}}", consumer(_get), methods=["GET"]),
    Route(f"{_JOBS}/{{job}}", consumer(_taint_one), methods=["PUT"]),
    Route(f"{_JOBS}/{{job}}", consumer(_cancel_one), methods=["DELETE"]),
]
