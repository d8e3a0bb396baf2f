"""Callbacks: what is posted, when, in which order, and what happens if it is not taken."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator

PATH = "/v2/consumer/workflows"
Json = dict[str, Any]


class Hook(ThreadingHTTPServer):
    """A server that takes events, or refuses them with the statuses that are put into `answers`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hooks/secret"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def names(self) -> list[str]:
        return [f"{body['$type']}:{body['status']}" for body in self.bodies]


class _Handler(BaseHTTPRequestHandler):
    server: Hook
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.headers.append(dict(self.headers))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        yield server
        server.shutdown()


Submit = Callable[..., Json]


@pytest.fixture
def submit(client: httpx.Client, hook: Hook) -> Submit:
    """Submit steps with a callback for some events."""

    def submit(*steps: Json, events: tuple[str, ...] = ("workflow:*",), detailed: bool = False, **fields: Any) -> Json:
        callback = {"url": hook.url, "type": list(events), "detailed": detailed}
        answer = client.post(PATH, json={"steps": steps or [echo()], "callbacks": [callback], **fields})
        assert answer.status_code == 202, answer.text
        workflow: Json = answer.json()
        return workflow

    return submit


def echo(message: Any = "hello", **fields: Any) -> Json:
    return {"$type": "echo", "input": {"message": message}, **fields}


def image(prompt: str = "a cat", **fields: Any) -> Json:
    given = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": prompt}
    return {"$type": "imageGen", "name": "hero", "input": given, **fields}


def advance(emulator: Emulator, seconds: float) -> None:
    emulator.clock.advance(seconds)
    emulator.callbacks.settle()


def test_all_events_come_in_order_after_one_leap(emulator: Emulator, hook: Hook, submit: Submit) -> None:
    workflow = submit(image(), events=("workflow:*", "step:*", "job:*"))
    emulator.callbacks.settle()
    begun = ["workflow:unassigned", "step:unassigned", "job:unassigned"]
    assert hook.names == begun
    advance(emulator, 600)
    going = ["job:processing", "step:processing", "workflow:processing", "job:processing"]
    assert hook.names == [*begun, *going, "job:succeeded", "step:succeeded", "workflow:succeeded"]
    assert {body["workflowId"] for body in hook.bodies} == {workflow["id"]}
    assert [delivery.status for delivery in emulator.deliveries] == [204] * 10
    assert [delivery.event for delivery in emulator.deliveries] == hook.names
    assert {(delivery.url, delivery.attempt) for delivery in emulator.deliveries} == {(hook.url, 1)}
    assert {headers["Content-Type"] for headers in hook.headers} == {"application/json"}
    assert not any("Authorization" in headers for headers in hook.headers)


@pytest.mark.parametrize("step", [600, 0.25])
def test_a_job_that_is_tried_again_fails_without_its_step(
    emulator: Emulator, hook: Hook, submit: Submit, step: float
) -> None:
    submit(echo("[retry]", retries=1), events=("workflow:*", "step:*", "job:*"))
    for _ in range(1 if step == 600 else 40):
        advance(emulator, step)
    begun = ["workflow:unassigned", "step:unassigned", "job:unassigned"]
    first = ["job:processing", "step:processing", "workflow:processing", "job:processing", "job:failed"]
    second = ["job:processing", "step:processing", "job:processing", "job:succeeded"]
    assert hook.names == [*begun, *first, *second, "step:succeeded", "workflow:succeeded"]
    jobs = [body for body in hook.bodies if body["$type"] == "job"]
    assert [body["jobId"] for body in jobs] == [jobs[0]["jobId"]] * 4 + [jobs[-1]["jobId"]] * 3
    assert jobs[0]["jobId"] != jobs[-1]["jobId"]
    assert [body.get("reason") for body in jobs] == [None] * 3 + ["no_provider_available"] + [None] * 3


def test_events_have_the_shapes_of_the_document(
    emulator: Emulator, hook: Hook, submit: Submit, client: httpx.Client
) -> None:
    id_ = submit(image(), events=("workflow:*", "step:*", "job:*"))["id"]
    advance(emulator, 600)
    workflow = client.get(f"{PATH}/{id_}").json()
    by_name = {f"{body['$type']}:{body['status']}": body for body in hook.bodies}
    assert by_name["workflow:succeeded"] == {
        "$type": "workflow", "workflowId": id_, "status": "succeeded", "timestamp": workflow["completedAt"],
    }  # fmt: skip
    assert by_name["workflow:processing"]["timestamp"] == workflow["startedAt"]
    assert by_name["workflow:unassigned"]["timestamp"] == workflow["createdAt"]
    assert by_name["step:succeeded"] == {
        "$type": "step", "workflowId": id_, "status": "succeeded", "name": "hero",
    }  # fmt: skip
    assert by_name["job:succeeded"] == {
        "$type": "job", "workflowId": id_, "status": "succeeded", "stepName": "hero",
        "jobId": workflow["steps"][0]["jobs"][0]["id"], "matureContent": False,
    }  # fmt: skip
    assert [body["progress"] for body in hook.bodies if "progress" in body] == [0.0, 0.5]


def test_details_are_those_of_the_moment(emulator: Emulator, hook: Hook, submit: Submit) -> None:
    second = image("over $ref", name="second")
    second["input"] |= {"prompt": {"$ref": "hero", "path": "input.prompt"}}
    submit(image(), second, events=("workflow:*", "step:*"), detailed=True, metadata={"order": 7})
    advance(emulator, 600)
    workflows = [body for body in hook.bodies if body["$type"] == "workflow"]
    assert [[step["status"] for step in body["details"]["steps"]] for body in workflows] == [
        ["unassigned", "unassigned"], ["processing", "unassigned"], ["succeeded", "succeeded"],
    ]  # fmt: skip
    assert all(body["details"]["metadata"] == {"order": 7} for body in workflows)
    assert [sorted({"startedAt", "completedAt"} & body["details"].keys()) for body in workflows] == [
        [], ["startedAt"], ["completedAt", "startedAt"],
    ]  # fmt: skip
    assert ["output" in step for body in workflows for step in body["details"]["steps"]] == [False] * 4 + [True] * 2
    steps = [body for body in hook.bodies if body["$type"] == "step"]
    assert ["output" in body["details"] for body in steps] == [body["status"] == "succeeded" for body in steps]
    assert workflows[-1]["details"]["steps"][1]["output"]["images"][0]["url"].startswith(emulator.url)
    order = [f"{body.get('name', 'all')} {body['status']}" for body in hook.bodies]
    assert order.index("hero succeeded") < order.index("second processing")


def test_a_callback_gets_what_it_asked_for(emulator: Emulator, hook: Hook, submit: Submit) -> None:
    submit(events=("workflow:succeeded", "step:processing"))
    submit(events=())
    advance(emulator, 600)
    assert hook.names == ["step:processing", "workflow:succeeded"]
    assert not any("details" in body for body in hook.bodies)


@pytest.mark.parametrize(
    ("word", "end", "reason"),
    [
        ("[fail]", "failed", "no_provider_available"),
        ("[expire]", "expired", "expired"),
        ("[block]", "failed", "blocked"),
    ],
)
def test_other_ends(emulator: Emulator, hook: Hook, submit: Submit, word: str, end: str, reason: str) -> None:
    submit(image(word), events=("job:*", "workflow:*"))
    advance(emulator, 700)
    assert hook.names[-2:] == [f"job:{end}", f"workflow:{end}"]
    assert hook.bodies[-2]["reason"] == reason
    assert ("blockedReason" in hook.bodies[-2]) == (word == "[block]")


@pytest.mark.parametrize("seconds", [0, 1, 2])  # in the last case, in the moment that the processing begins
@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_what_is_canceled(
    emulator: Emulator, hook: Hook, submit: Submit, client: httpx.Client, way: str, seconds: int
) -> None:
    path = f"{PATH}/{submit(events=('workflow:*', 'step:*'))['id']}"
    advance(emulator, seconds)
    if way == "cancel":
        client.put(path, json={"status": "canceled"})
    else:
        client.delete(path)
    advance(emulator, 600)
    going = ["step:processing", "workflow:processing"] if seconds == 2 else []
    assert hook.names == [
        "workflow:unassigned", "step:unassigned", *going, "step:canceled", "workflow:canceled",
    ]  # fmt: skip


def test_ephemeral_workflows_tell_their_end(
    emulator: Emulator, hook: Hook, submit: Submit, client: httpx.Client
) -> None:
    id_ = submit(ephemeral=True)["id"]
    advance(emulator, 600)
    assert client.get(f"{PATH}/{id_}").status_code == 404
    assert hook.names[-1] == "workflow:succeeded"


def test_what_is_not_taken_is_posted_again_and_the_rest_waits(emulator: Emulator, hook: Hook, submit: Submit) -> None:
    hook.answers = [500, 503, 404, 302]
    submit()
    emulator.callbacks.settle()
    for _ in range(5):
        advance(emulator, 100)
    assert hook.names == ["workflow:unassigned"] * 5 + ["workflow:processing", "workflow:succeeded"]
    assert [(delivery.status, delivery.attempt) for delivery in emulator.deliveries[:6]] == [
        (500, 1), (503, 2), (404, 3), (302, 4), (204, 5), (204, 1),
    ]  # fmt: skip


def test_delays_grow_in_the_emulators_time_until_it_gives_up(client: httpx.Client, emulator: Emulator) -> None:
    callback = {"url": "http://127.0.0.1:9/nobody", "type": ["workflow:unassigned"]}
    client.post(PATH, json={"steps": [echo()], "callbacks": [callback]})
    emulator.callbacks.settle()
    for _ in range(4000):
        due = emulator.deliveries[-1].at + timedelta(seconds=min(2 ** (len(emulator.deliveries) - 1), 60))
        advance(emulator, max(0.0, (due - emulator.clock.now()).total_seconds()))
        if emulator.deliveries[-1].at < due:
            break
    moments = [delivery.at for delivery in emulator.deliveries]
    delays = [round((after - before).total_seconds()) for before, after in itertools.pairwise(moments)]
    assert delays[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert moments[-1] - moments[0] >= timedelta(hours=1)
    assert len(moments) < 70
    assert {delivery.status for delivery in emulator.deliveries} == {None}


def test_a_dead_callback_holds_up_no_other(client: httpx.Client, emulator: Emulator, hook: Hook) -> None:
    callbacks = [{"url": url, "type": ["workflow:*"]} for url in ("http://127.0.0.1:9/nobody", hook.url)]
    client.post(PATH, json={"steps": [echo()], "callbacks": callbacks})
    advance(emulator, 600)
    assert hook.names[-1] == "workflow:succeeded"


def test_duplicates_and_swaps_on_demand(emulator: Emulator, hook: Hook, submit: Submit) -> None:
    emulator.callbacks.duplicate(times=1)
    submit()
    advance(emulator, 600)
    assert hook.names == ["workflow:unassigned"] * 2 + ["workflow:processing", "workflow:succeeded"]
    assert hook.bodies[0] == hook.bodies[1]
    hook.bodies.clear()
    emulator.callbacks.clear()
    emulator.callbacks.swap(times=1)
    submit()
    advance(emulator, 0)
    assert hook.names == []  # it waits for the one that is to overtake it
    advance(emulator, 600)
    assert hook.names == ["workflow:processing", "workflow:unassigned", "workflow:succeeded"]
    hook.bodies.clear()
    emulator.callbacks.swap(every=2)
    emulator.callbacks.duplicate(every=3)
    submit(events=("workflow:*", "step:*"))
    advance(emulator, 600)
    assert hook.names == [
        "workflow:unassigned", "step:processing", "step:unassigned", "step:unassigned", "workflow:processing",
        "workflow:succeeded", "step:succeeded", "step:succeeded",
    ]  # fmt: skip


def test_only_this_machine_is_called(client: httpx.Client, emulator: Emulator) -> None:
    callback = {"url": "https://hooks.example/secret", "type": ["workflow:*"]}
    assert client.post(PATH, json={"steps": [echo()], "callbacks": [callback]}).status_code == 202
    advance(emulator, 600)
    sent = [(delivery.event, delivery.status, delivery.attempt) for delivery in emulator.deliveries]
    names = ["workflow:unassigned", "workflow:processing", "workflow:succeeded"]
    assert sent == [(name, None, 0) for name in names]


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/x", "http://127.0.0.1.example/x", "http://[::1/x", "http://10.0.0.1/x", "ftp://[::1]/x"],
)
def test_other_addresses_need_https(client: httpx.Client, url: str) -> None:
    callback = {"url": url, "type": ["workflow:*"]}
    answer = client.post(PATH, json={"steps": [echo()], "callbacks": [callback]})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["callbacks[0].url"]


def test_time_that_runs_posts_by_itself(hook: Hook) -> None:
    with Emulator(models=1, speed=1000) as emulator, httpx.Client(base_url=emulator.url) as client:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        callback = {"url": hook.url, "type": ["workflow:*"]}
        body = {"steps": [echo()], "callbacks": [callback]}
        client.post(PATH, json=body, headers=headers, params={"wait": 90})
        emulator.callbacks.settle()
        while hook.names[-1:] != ["workflow:succeeded"]:
            emulator.callbacks.settle()
        moments = [datetime.fromisoformat(body["timestamp"]) for body in hook.bodies]
    assert moments == sorted(moments)
    assert len(set(moments)) == 3


def test_an_emulator_that_closes_posts_nothing_more(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    with Emulator(models=1, speed=0) as emulator, httpx.Client(base_url=emulator.url) as client:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        callbacks = [{"url": url, "type": ["workflow:*"]} for url in (hook.url, "http://127.0.0.1:9/nobody")]
        client.post(PATH, json={"steps": [echo()], "callbacks": callbacks}, headers=headers)
        emulator.callbacks.settle()
    emulator.callbacks.settle()
    assert hook.names == ["workflow:unassigned"]
    assert len(emulator.deliveries) == 2
    assert not [record for record in caplog.records if record.levelname != "INFO"]
