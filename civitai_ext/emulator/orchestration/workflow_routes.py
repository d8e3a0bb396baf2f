"""`/v2/consumer/workflows` and `/v2/consumer/recipes`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, problem, refuse, refuse_problem
from civitai_ext.emulator.json_patch import PatchError, apply_patch
from civitai_ext.emulator.ledger import InsufficientBuzzError
from civitai_ext.emulator.media.packages import Package
from civitai_ext.emulator.orchestration.access import (
    LONGEST_REQUEST,
    MOST_LEVELS,
    authorized,
    boolean_parameter,
    integer_parameter,
    is_deeper,
    json_body,
    long_poll,
    moment_parameter,
    purse_of,
)
from civitai_ext.emulator.orchestration.shapes import step_json, workflow_json
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.steps import KINDS, Faults, Input, find_kind
from civitai_ext.emulator.templates import (
    InvalidTemplateError,
    Template,
    check_tags,
    parse_template,
)
from civitai_ext.emulator.workflows import Step, Workflow
from civitai_ext.emulator.world import World

_LARGEST_PAGE = 100
_NOT_ENOUGH = "Not enough Buzz to run this workflow"


async def _submit(request: Request, world: World, caller: Account) -> Response:
    wait = integer_parameter(request, "wait", 0, low=0)
    whatif = boolean_parameter(request, "whatif")
    hide_mature = boolean_parameter(request, "hideMatureContent")
    template = _parse(await json_body(request), waits=wait > 0 or whatif)
    keeps_previews = Quirk.PREVIEW_EXTERNAL_ID in world.quirks
    workflow = world.workflows.earlier(caller, template) if keeps_previews or not whatif else None
    if workflow is None and world.deduplicates and not whatif:
        workflow = world.workflows.equal(caller, template)
    if workflow is None and whatif:
        workflow = world.workflows.preview(caller, template, purse_of(request), takes_key=keeps_previews)
    elif workflow is None:
        workflow = _start(request, world, caller, template)
    return await _answer_workflow(world, workflow, wait, hide_mature=hide_mature)


def _parse(body: Any, *, waits: bool) -> Template:
    try:
        return parse_template(body, waits=waits)
    except InvalidTemplateError as error:
        refuse_problem(400, errors=error.faults)


def _start(request: Request, world: World, caller: Account, template: Template, *, listed: bool = True) -> Workflow:
    try:
        workflow = world.workflows.submit(caller, template, purse_of(request), listed=listed)
    except InsufficientBuzzError:
        # A bare JSON string, not a problem document.
        refuse(_NOT_ENOUGH, 403)
    world.callbacks.watch(workflow, world.workflows)
    return workflow


async def _answer_workflow(world: World, workflow: Workflow, wait: int, *, hide_mature: bool) -> Response:
    """Answer with a workflow, after waiting for its end: 200 when it is over, 202 when it is not."""
    await long_poll(world, workflow, wait)
    return answer(workflow_json(world, workflow, hide_mature=hide_mature), 200 if workflow.final else 202)


async def _list(request: Request, world: World, caller: Account) -> Response:
    take = integer_parameter(request, "take", _LARGEST_PAGE, low=1, high=_LARGEST_PAGE)
    cursor = request.query_params.get("cursor")
    hide_mature = boolean_parameter(request, "hideMatureContent", default=True)
    matches = _filter(request)
    workflows = [workflow for workflow in world.workflows.of(caller) if matches(workflow)]
    ascending = boolean_parameter(request, "ascending")
    if not ascending:
        workflows.reverse()
    if cursor:
        first = whole_number(cursor)
        if first is None:
            refuse_problem(400, errors={"cursor": [f"The value '{cursor}' is not valid."]})
        workflows = [flow for flow in workflows if (flow.number >= first if ascending else flow.number <= first)]
    page, rest = workflows[:take], workflows[take:]
    if "application/zip" in request.headers.get("accept", ""):
        content = await asyncio.to_thread(_archive, page, hide_mature=hide_mature)
        return Response(content, media_type="application/zip")
    items = [workflow_json(world, workflow, hide_mature=hide_mature) for workflow in page]
    return answer({"next": str(rest[0].number) if rest else "", "items": items})


def _filter(request: Request) -> Callable[[Workflow], bool]:
    """Read which workflows a list is narrowed to."""
    tags = set(request.query_params.getlist("tags"))
    text = request.query_params.get("query", "").lower()
    exclude_failed = boolean_parameter(request, "excludeFailed")
    since, until = moment_parameter(request, "fromDate"), moment_parameter(request, "toDate")

    def matches(workflow: Workflow) -> bool:
        return (
            tags <= set(workflow.tags)
            and text in json.dumps(workflow.metadata, ensure_ascii=False).lower()
            and not (exclude_failed and workflow.status in ("failed", "expired", "canceled"))
            and (since is None or since <= workflow.created_at)
            and (until is None or workflow.created_at <= until)
        )

    return matches


def _archive(workflows: list[Workflow], *, hide_mature: bool) -> bytes:
    """Pack the blobs of some workflows."""
    shown = [
        (f"{workflow.id}/{blob.id}", blob.source)
        for workflow in workflows
        for blob in workflow.blobs
        if not (blob.withheld or blob.blocked_reason or (hide_mature and blob.mature))
    ]
    return Package(tuple(shown)).render()


async def _get(request: Request, world: World, caller: Account) -> Response:
    wait = integer_parameter(request, "wait", 0, low=0)
    hide_mature = boolean_parameter(request, "hideMatureContent")
    return await _answer_workflow(world, _find(request, world, caller), wait, hide_mature=hide_mature)


async def _put(request: Request, world: World, caller: Account) -> Response:
    workflow = _find(request, world, caller)
    body = await json_body(request)
    if not isinstance(body, dict):
        refuse_problem(400, errors={"$": ["The request body must be a JSON object."]})
    given = Input(body)
    status = given.raw("status")
    if status is not None and str(status).lower() != "canceled":
        refuse_problem(400, errors={"status": [f"The value '{status}' is not valid."]})
    changes = {name: given.raw(name) for name in ("metadata", "tags", "allowMatureContent")}
    _change(world, workflow, {name: value for name, value in changes.items() if value is not None})
    if status:
        world.workflows.cancel(workflow)
    return Response(status_code=204)


async def _patch(request: Request, world: World, caller: Account) -> Response:
    workflow = _find(request, world, caller)
    before = {"metadata": workflow.metadata, "tags": workflow.tags, "allowMatureContent": workflow.allow_mature}
    after = _patched(before, await json_body(request))
    _change(world, workflow, {name: after[name] for name in before if name in after and after[name] != before[name]})
    return Response(status_code=204)


def _patched(document: Any, operations: Any) -> dict[str, Any]:
    try:
        after = apply_patch(document, operations)
    except PatchError as error:
        refuse_problem(400, str(error))
    if is_deeper(after, MOST_LEVELS):
        refuse_problem(400, f"The result has more than {MOST_LEVELS} levels.")
    return after if isinstance(after, dict) else {}


def _change(world: World, workflow: Workflow, changes: dict[str, Any]) -> None:
    """Change what may be changed of a workflow, or nothing."""
    faults: Faults = {}
    if not isinstance(changes.get("metadata", {}), dict):
        faults["metadata"] = ["The metadata field must be an object."]
    if not isinstance(changes.get("allowMatureContent", False), bool | None):
        faults["allowMatureContent"] = ["The allowMatureContent field must be true or false."]
    if "tags" in changes:
        check_tags(changes["tags"], faults)
    if faults:
        refuse_problem(400, errors=faults)
    if changes.get("allowMatureContent") and not workflow.allow_mature:
        try:
            world.workflows.allow_mature(workflow)
        except InsufficientBuzzError:
            refuse_problem(400, "Not enough yellow Buzz to allow mature content")
    workflow.metadata = changes.get("metadata", workflow.metadata)
    workflow.tags = changes.get("tags", workflow.tags)


async def _delete(request: Request, world: World, caller: Account) -> Response:
    world.workflows.delete(_find(request, world, caller))
    return Response(status_code=204)


async def _add_tag(request: Request, world: World, caller: Account) -> Response:
    workflow = _find(request, world, caller)
    tag = await json_body(request)
    if not isinstance(tag, str):
        refuse_problem(400, errors={"$": ["The request body must be a JSON text."]})
    _change(world, workflow, {"tags": list(dict.fromkeys([*workflow.tags, tag]))})
    return Response(status_code=204)


async def _remove_tags(request: Request, world: World, caller: Account) -> Response:
    workflow = _find(request, world, caller)
    tag = request.path_params.get("tag")
    workflow.tags = [kept for kept in workflow.tags if tag is not None and kept != tag]
    return Response(status_code=204)


async def _get_step(request: Request, world: World, caller: Account) -> Response:
    workflow, step = _find_step(request, world, caller)
    return answer(step_json(world, workflow, step))


async def _put_step(request: Request, world: World, caller: Account) -> Response:
    _, step = _find_step(request, world, caller)
    body = await json_body(request)
    return _change_step(step, Input(body).raw("metadata"))


async def _patch_step(request: Request, world: World, caller: Account) -> Response:
    _, step = _find_step(request, world, caller)
    return _change_step(step, _patched({"metadata": step.metadata}, await json_body(request)).get("metadata"))


def _change_step(step: Step, metadata: Any) -> Response:
    if not isinstance(metadata, dict):
        return problem(400, errors={"metadata": ["The metadata field is required."]})
    if step.status == "processing" or step.final:
        return problem(409, "The step has started and cannot be changed any more.")
    step.metadata = metadata
    return Response(status_code=204)


def _find(request: Request, world: World, caller: Account) -> Workflow:
    workflow = world.workflows.get(caller, request.path_params["workflow"])
    if workflow is None:
        refuse_problem(404)
    return workflow


def _find_step(request: Request, world: World, caller: Account) -> tuple[Workflow, Step]:
    workflow = _find(request, world, caller)
    step = workflow.step(request.path_params["step"])
    if step is None:
        refuse_problem(404)
    return workflow, step


async def _recipe(request: Request, world: World, caller: Account) -> Response:
    """Run one step and answer its output, not a workflow."""
    type_ = find_kind(KINDS, request.path_params["type"])
    if type_ is None:
        refuse_problem(404)
    body: dict[str, Any] = {"steps": [{"$type": type_, "name": "$0", "input": await json_body(request)}]}
    for name in ("allowMatureContent", "experimental", "ephemeral"):
        if name in request.query_params:
            body[name] = boolean_parameter(request, name)
    template = _parse(body, waits=True)
    if boolean_parameter(request, "whatif"):
        # There is no output to show: what an estimate answers here is a workflow.
        return answer(workflow_json(world, world.workflows.preview(caller, template, purse_of(request))))
    workflow = _start(request, world, caller, template, listed=False)
    await long_poll(world, workflow, LONGEST_REQUEST)
    step = workflow.steps[0]
    if step.status != "succeeded":
        return problem(400, step.blocked_reason or step.reason or "The step is not done.")
    return answer(world.workflows.show(step.output))


_WORKFLOW = "/v2/consumer/workflows/{workflow}"
ROUTES = [
    Route("/v2/consumer/workflows", authorized(_submit), methods=["POST"]),
    Route("/v2/consumer/workflows", authorized(_list), methods=["GET"]),
    Route(_WORKFLOW, authorized(_get), methods=["GET"]),
    Route(_WORKFLOW, authorized(_put), methods=["PUT"]),
    Route(_WORKFLOW, authorized(_patch), methods=["PATCH"]),
    Route(_WORKFLOW, authorized(_delete), methods=["DELETE"]),
    Route(f"{_WORKFLOW}/tags", authorized(_add_tag), methods=["POST"]),
    Route(f"{_WORKFLOW}/tags", authorized(_remove_tags), methods=["DELETE"]),
    Route(f"{_WORKFLOW}/tags/{{tag}}", authorized(_remove_tags), methods=["DELETE"]),
    Route(f"{_WORKFLOW}/steps/{{step}}", authorized(_get_step), methods=["GET"]),
    Route(f"{_WORKFLOW}/steps/{{step}}", authorized(_put_step), methods=["PUT"]),
    Route(f"{_WORKFLOW}/steps/{{step}}", authorized(_patch_step), methods=["PATCH"]),
    Route("/v2/consumer/recipes/{type}", authorized(_recipe), methods=["POST"]),
]
