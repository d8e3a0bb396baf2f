"""The page at `/`, as a browser gets it: its HTML, its forms, and what it lets a browser do."""

from __future__ import annotations

import functools
import re
import ssl
from base64 import b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx

from civitai_ext.emulator import Emulator

# Without certificates, as nothing is called by https: to load them takes longer than most tests.
_BARE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_request = functools.partial(httpx.request, verify=_BARE)

WORKFLOWS = "/v2/consumer/workflows"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """What is on the page: tags, texts by section, forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self.sections: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self._section = self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.tags.append((tag, given))
        self._tag = tag
        if tag == "section":
            self._section = given.get("id", "reset")
        if tag == "form":
            self.forms.append(Form(given["action"], given.get("method", "get")))
        if tag == "input" and given.get("type") != "checkbox":
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        if tag == "select":
            self.forms[-1].fields[given["name"]] = ""
        if tag == "button":
            self.forms[-1].buttons.append(given)

    def handle_data(self, data: str) -> None:
        self.contents[self._tag] = self.contents.get(self._tag, "") + data
        self.sections[self._section] = self.sections.get(self._section, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [given for name, given in self.tags if name == tag]

    def form(self, action: str) -> Form:
        return next(form for form in self.forms if form.action.endswith(action))


def _page(emulator: Emulator, query: str = "") -> Page:
    answer = _request("GET", f"{emulator.url}/{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(answer.text)


def _send(emulator: Emulator, form: Form, **fields: str) -> httpx.Response:
    assert form.method == "post"
    headers = {"Origin": emulator.url, "Sec-Fetch-Site": "same-origin"}
    return _request("POST", f"{emulator.url}{form.action}", data=form.fields | fields, headers=headers)


def _submit(client: httpx.Client, *steps: dict[str, Any], **fields: Any) -> str:
    answer = client.post(WORKFLOWS, json={"steps": list(steps), **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _image(prompt: str) -> dict[str, Any]:
    given = {"engine": "flux2", "model": "klein", "operation": "createImage", "prompt": prompt}
    return {"$type": "imageGen", "input": given | {"width": 512, "height": 512}}


def test_it_shows_what_a_program_did(emulator: Emulator, client: httpx.Client) -> None:
    emulator.faults.add("GET /api/v1/tags", status=503, times=1)
    emulator.faults.chaos(7, 0, route="GET /none")
    id_ = _submit(
        client,
        _image("a lighthouse"),
        externalId="mine",
        callbacks=[{"url": "https://a.example", "type": ["workflow:*"]}],
    )
    failing = _submit(client, _image("[fail]"))
    emulator.clock.advance(100)
    emulator.callbacks.settle()
    client.get("/api/v1/tags?limit=2")
    sections = _page(emulator).sections
    for shown in (id_, failing, "succeeded", "failed", "no_provider_available", "a lighthouse", "mine", "2 given back"):
        assert shown in sections["workflows"]
    assert re.search(r"GET /api/v1/tags\?limit=2\s*503\s*header\s*status", sections["journal"])
    assert '"prompt": "a lighthouse"' in sections["journal"]
    assert f"−2blue{id_}" in sections["ledger"]
    assert f"+2blue{failing}" in sections["ledger"]
    assert "met once" in sections["faults"]
    assert "by chance" in sections["faults"]
    assert "workflow:succeeded" in sections["deliveries"]
    assert f"export CIVITAI_AUTH_URL={emulator.auth_url}" in sections["accounts"]
    assert emulator.token in sections["accounts"]


def test_it_says_so_where_there_is_nothing(emulator: Emulator) -> None:
    sections = _page(emulator).sections
    assert "No workflow yet" in sections["workflows"]
    assert "No request yet" in sections["journal"]
    assert "Nothing goes wrong" in sections["faults"]


def test_jobs_of_the_generator_are_shown(emulator: Emulator, client: httpx.Client) -> None:
    model = "urn:air:sd1:checkpoint:civitai:4201@130072"
    params = {"prompt": "a boat", "width": 512, "height": 512, "scheduler": "EulerA", "steps": 20, "cfgScale": 7}
    assert client.post("/v1/consumer/jobs", json={"$type": "textToImage", "model": model, "params": params}).is_success
    emulator.clock.advance(100)
    page = _page(emulator)
    assert "Succeeded" in page.sections["jobs"]
    assert "a boat" in page.sections["jobs"]
    assert len(page.all("img")) == 1


def test_pictures_are_small_and_seen_without_a_trace(emulator: Emulator, client: httpx.Client) -> None:
    source = {"$ref": "first", "path": "output.images[0].url"}
    _submit(
        client,
        _image("a cat") | {"name": "first"},
        {"$type": "convertImage", "name": "gif", "input": {"image": source, "output": {"format": "gif"}}},
        {"$type": "imageToSvg", "name": "svg", "input": {"image": source, "engine": "comfy", "ecosystem": "vtracer"}},
        {"$type": "textToSpeech", "name": "said", "input": {"text": "hello"}},
    )
    emulator.clock.advance(1000)
    page = _page(emulator)
    requests = len(emulator.journal)
    pictures = [_request("GET", f"{emulator.url}{image['src']}") for image in page.all("img")]
    assert [picture.content[:4] for picture in pictures] == [b"\x89PNG"] * 2
    links = [link["href"] for link in page.all("a") if link["href"].startswith("/_emulator/blobs/")]
    files = [_request("GET", f"{emulator.url}{link}") for link in links]
    assert sorted(file.headers["content-type"] for file in files) == [
        "audio/wav", "image/gif", "image/png", "image/svg+xml",
    ]  # fmt: skip
    assert all(file.headers["content-security-policy"].startswith("sandbox") for file in files)
    assert len(emulator.journal) == requests
    assert _request("GET", f"{emulator.url}/_emulator/blobs/none").status_code == 404


# What came from outside


def test_nothing_from_outside_becomes_a_tag(emulator: Emulator, client: httpx.Client) -> None:
    plain = _page(emulator)
    allowed = {name for name, _ in plain.tags} | {
        "article", "ol", "li", "a", "img", "i", "table", "thead", "tr", "th", "td", "details", "summary", "pre", "code",
        "mark", "ul", "em", "footer", "p", "b", "small", "span", "time", "progress", "wbr",
    }  # fmt: skip
    emulator.accounts.add(HOSTILE, token=HOSTILE.replace(" ", "/"))
    emulator.faults.add("GET /<script>*", status=503, body={"x": HOSTILE})
    callback = {"url": f"https://a.example/{HOSTILE}", "type": ["workflow:*"]}
    step = _image(HOSTILE) | {"name": HOSTILE}
    id_ = _submit(client, step, metadata={"x": HOSTILE}, tags=["<b>"], callbacks=[callback])
    emulator.clock.advance(100)
    client.get(f"/api/v1/<script>{HOSTILE}", params={HOSTILE: HOSTILE}, headers={"Range": "<script>"})
    client.get(f"{WORKFLOWS}/{id_}")
    emulator.callbacks.settle()
    page = _page(emulator, "?path=%22%3E%3Cscript%3E") and _page(emulator)
    assert "alert(1)" in page.sections["workflows"]
    assert {name for name, _ in page.tags} <= allowed
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") or value == "x" for _, given in page.tags for name, value in given.items())


def test_the_filter_shows_what_was_typed(emulator: Emulator) -> None:
    page = _page(emulator, "?path=%22%3E%3Cscript%3E&failures=1&requests=x&workflows=-1")
    assert page.form("/#journal").fields["path"] == '"><script>'
    assert len(page.all("script")) == 1


def test_a_browser_applies_the_pages_own_script_and_style_and_loads_nothing_from_elsewhere(emulator: Emulator) -> None:
    answer = _request("GET", emulator.url)
    page, policy = Page(answer.text), answer.headers["content-security-policy"]
    for tag in ("style", "script"):
        digest = b64encode(sha256(page.contents[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    addresses = [given[name] for _, given in page.tags for name in ("src", "href", "action") if name in given]
    assert all(address.startswith(("/", "#", "data:,")) and not address.startswith("//") for address in addresses)
    assert "style" not in {name for _, given in page.tags for name in given}


def test_odd_json_can_be_shown(emulator: Emulator, client: httpx.Client) -> None:
    deep = "[" * 50 + "]" * 50
    for metadata in (f'{{"x": {deep}}}', '{"x": "half a pair: \\ud800"}'):
        body = f'{{"steps": [{{"$type": "echo", "input": {{"message": "\\ud800"}}}}], "metadata": {metadata}}}'
        answer = client.post(WORKFLOWS, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202
    client.get("/api/v1/%ff%fe", params={"\x00": "\x00"})
    assert "half a pair" in _page(emulator).sections["journal"]
    for path in ("journal", "workflows", "ledger", "state"):
        assert _request("GET", f"{emulator.url}/_emulator/{path}").status_code == 200


# Forms


def test_the_clock_is_moved_and_its_pace_changed(emulator: Emulator) -> None:
    page, before = _page(emulator), emulator.clock.now()
    minute = page.form("advance").buttons[1]
    answer = _send(emulator, page.form("advance"), **{minute["name"]: minute["value"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (emulator.clock.now() - before).total_seconds() == 60
    assert _send(emulator, page.form("speed"), speed="10").status_code == 303
    assert emulator.clock.speed == 10


def test_every_fault_of_the_form_can_be_added_and_removed(emulator: Emulator) -> None:
    page = _page(emulator)
    for option in page.all("option"):
        effect = option["value"]
        assert _send(emulator, page.form("add-fault"), effect=effect, times="2").status_code == 303
        (fault,) = emulator.faults
        assert (fault.route, fault.kind, fault.times) == ("GET /api/*", effect, 2)
        assert _send(emulator, _page(emulator).form("remove-fault")).status_code == 303
        assert list(emulator.faults) == []


def test_what_is_wrong_in_a_form_is_said(emulator: Emulator) -> None:
    form = _page(emulator).form("add-fault")
    for fields, said in (
        ({"effect": "status", "value": "high"}, 'status is a whole number or null, not "high"'),
        ({"effect": "status", "times": "many"}, "times is a whole number or null"),
        ({"effect": "nonsense"}, "nothing goes wrong that is called 'nonsense'"),
        ({"effect": "status", "route": "everywhere"}, "a route is a verb and a path"),
    ):
        answer = _send(emulator, form, **fields)
        assert (answer.status_code, said in answer.text) == (400, True), answer.text
    assert _send(emulator, replace(form, action="/_emulator/page/nonsense")).status_code == 404


def test_faults_journal_and_all_are_cleared(emulator: Emulator, client: httpx.Client) -> None:
    emulator.faults.add("GET *", status=500)
    client.get("/api/v1/models")
    page = _page(emulator)
    for action in ("clear-faults", "clear-journal"):
        assert _send(emulator, page.form(action)).status_code == 303
    assert (list(emulator.faults), list(emulator.journal)) == ([], [])
    emulator.accounts.add("ada")
    assert _send(emulator, page.form("reset")).status_code == 303
    assert [account.username for account in emulator.accounts] == ["emulated"]


# Much of it


def test_much_of_it_comes_in_pieces(emulator: Emulator, client: httpx.Client) -> None:
    emulator.ledger.balance["yellow"] = 100_000
    ids = [_submit(client, _image(f"number {number}")) for number in range(30)]
    entry = emulator.journal[-1]
    emulator.journal.extend(replace(entry, number=number, status=200 + number % 300) for number in range(31, 10_031))
    page = _page(emulator)
    assert [given["id"] for given in page.all("article")] == ids[:17:-1]
    assert page.sections["journal"].count("POST") == 100
    older = next(link["href"] for link in page.all("a") if link["href"].endswith("#workflows") and "?" in link["href"])
    second = _page(emulator, older.lstrip("/").partition("#")[0])
    assert [given["id"] for given in second.all("article")] == ids[17:5:-1]
    failures = _page(emulator, "?failures=1").sections["journal"]
    assert failures.count("POST") == 100
    assert not re.search(r"\b2\d\d\b(?=\s*header)", failures)
    assert "No request like that" in _page(emulator, "?path=nowhere").sections["journal"]


# The site beside it


def test_nothing_but_the_very_address_is_the_page(emulator: Emulator) -> None:
    assert _request("HEAD", emulator.url).status_code == 200
    for verb, path in (("POST", "/"), ("GET", "/index.html"), ("GET", "//"), ("GET", "/_emulators")):
        answer = _request(verb, f"{emulator.url}{path}")
        assert "nothing here" in answer.text
        assert "content-security-policy" not in answer.headers
