"""The sections of the page, as HTML. Everything that came from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.callbacks import Delivery
from civitai_ext.emulator.control import views
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.operations import newest
from civitai_ext.emulator.faults import Fault
from civitai_ext.emulator.jobs import Job
from civitai_ext.emulator.journal import Exchange
from civitai_ext.emulator.ledger import Transaction
from civitai_ext.emulator.steps import Input
from civitai_ext.emulator.workflows import Step, Workflow

ACTIONS = "/_emulator/page/"
"""Where the forms of the page are sent to."""

_REQUESTS, _CARDS, _MOVES, _DELIVERIES = 100, 12, 20, 30
_LONGEST_TEXT = 160
_LONGEST_BODY = 4000
_MOST_THUMBNAILS = 8
_NO_THUMBNAIL = "image/svg+xml"


@dataclass(frozen=True)
class Wanted:
    """What of it all somebody wants to see: the query of the page.

    Attributes:
        failures: Only requests that failed.
        path: Only requests whose path contains this.
        requests: Only requests before this number.
        workflows: Only workflows before this number.
        jobs: Only jobs before this number.

    """

    failures: bool = False
    path: str = ""
    requests: int | None = None
    workflows: int | None = None
    jobs: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """Read a query; what makes no sense is left out."""
        numbers = {
            name: int(query[name])
            for name in ("requests", "workflows", "jobs")
            if query.get(name, "").isascii() and query.get(name, "").isdecimal()
        }
        return cls(failures="failures" in query, path=query.get("path", ""), **numbers)

    def link(self, **changes: Any) -> str:
        """Write the address of the page with something else wanted, escaped."""
        chosen = {**vars(self), **changes}
        query = urlencode({name: str(value) for name, value in chosen.items() if value not in (None, False, "")})
        return escape(f"/?{query}" if query else "/")


def clock(desk: Desk) -> str:
    """Show the clock."""
    time = desk.world.clock
    now, speed = time.now(), time.speed
    pace = "time stands still" if not speed else f"{speed:g} × real time"
    return f'<time datetime="{now.isoformat()}">{now:%Y-%m-%d} <b>{now:%H:%M:%S}</b></time> <small>{pace}</small>'


def counts(desk: Desk) -> str:
    """Show where on the page one finds what, and how much of it there is."""
    world = desk.world
    entries = {
        "workflows": _count(world.workflows),
        "jobs": _count(world.jobs),
        "journal": world.journal[-1].number if world.journal else 0,
        "ledger": sum(len(account.ledger.transactions) for account in world.accounts),
        "faults": _count(desk.faults) + len(desk.faults.drawn),
        "deliveries": len(world.callbacks.deliveries),
        "accounts": _count(world.accounts),
    }
    return "".join(f'<a href="#{name}">{name} <b>{count}</b></a>' for name, count in entries.items())


def workflows(desk: Desk, wanted: Wanted) -> str:
    """Show the newest workflows with what came out."""
    shown = newest(desk.world.workflows, wanted.workflows, _CARDS)
    if not shown:
        return _nothing("No workflow yet. What a program submits shows up here, with its pictures.")
    pager = _pager(wanted, "workflows", [each.number for each in shown], _CARDS)
    return f'<div class="cards">{"".join(_workflow(each) for each in shown)}</div>{pager}'


def jobs(desk: Desk, wanted: Wanted) -> str:
    """Show the newest jobs of the Generator API."""
    shown = newest(desk.world.jobs, wanted.jobs, _CARDS)
    if not shown:
        return _nothing("No job of the Generator API yet.")
    now = desk.world.clock.now()
    pager = _pager(wanted, "jobs", [each.number for each in shown], _CARDS)
    return f'<div class="cards">{"".join(_job(each, now) for each in shown)}</div>{pager}'


def journal(desk: Desk, wanted: Wanted) -> str:
    """Show the newest requests."""
    fitting = [
        exchange
        for exchange in reversed(desk.world.journal)
        if (wanted.requests is None or exchange.number < wanted.requests)
        and (exchange.status >= 400 or exchange.fault or not wanted.failures)
        and wanted.path in exchange.path
    ]
    shown = fitting[:_REQUESTS]
    if not shown:
        return _nothing("No request yet." if not desk.world.journal else "No request like that.")
    head = "<tr><th>time<th>request<th>status<th>token<th>fault</tr>"
    pager = _pager(wanted, "requests", [each.number for each in shown], _REQUESTS)
    return f'<table class="journal"><thead>{head}</thead>{"".join(map(_exchange, shown))}</table>{pager}'


def ledger(desk: Desk) -> str:
    """Show the balances, and what moved last."""
    return "".join(_account_ledger(account) for account in desk.world.accounts)


def faults(desk: Desk) -> str:
    """Show what goes wrong on purpose."""
    items = [_fault(fault) for fault in desk.faults]
    for chaos in desk.faults.drawn:
        kinds = ", ".join(map(str, chaos.kinds))
        what = f"<b>by chance</b>, {chaos.rate:.0%} of the requests, seed {chaos.seed}: {escape(kinds)}"
        items.append(f"<li><code>{escape(chaos.route)}</code><span>{what}</span><em>{_hits(chaos.hits)}</em></li>")
    return f'<ul class="faults">{"".join(items)}</ul>' if items else _nothing("Nothing goes wrong on purpose.")


def deliveries(desk: Desk) -> str:
    """Show the last events that were posted to callbacks."""
    shown = list(desk.world.callbacks.deliveries)[: -_DELIVERIES - 1 : -1]
    if not shown:
        return _nothing("No event was posted to a callback.")
    head = "<tr><th>time<th>event<th>status<th>attempt</tr>"
    return f"<table><thead>{head}</thead>{''.join(map(_delivery, shown))}</table>"


def accounts(desk: Desk) -> str:
    """Show who has an account, and what points a client here."""
    rows = "".join(
        f"<tr><td>{escape(account.username)}<td><code>{escape(account.token)}</code>"
        f"<td>{escape(account.tier or 'none')}</tr>"
        for account in desk.world.accounts
    )
    lines = "\n".join(f"export {name}={escape(value)}" for name, value in desk.environment.items())
    table = f"<table><thead><tr><th>account<th>token<th>membership</tr></thead>{rows}</table>"
    return f"{table}<p>Point a program here:</p><pre>{lines}</pre>"


def _workflow(workflow: Workflow) -> str:
    cost, paid = workflow.template.bill.total, views.paid(workflow.transactions)
    back = f", {cost - paid} given back" if paid < cost else ""
    extra = f" · {escape(workflow.template.external_id)}" if workflow.template.external_id else ""
    steps = "".join(map(_step, workflow.steps))
    head = (
        f"{_state(workflow.status)}<span>{cost} Buzz{back}</span>"
        f'<time title="{workflow.created_at.isoformat()}">{workflow.created_at:%H:%M:%S}</time>'
    )
    return (
        f'<article id="{escape(workflow.id or "")}"><header>{head}</header>{_media(workflow.blobs)}<ol>{steps}</ol>'
        f"<footer><code>{escape(workflow.id or '')}</code>{extra} · {escape(workflow.account.username)}</footer>"
        "</article>"
    )


def _step(step: Step) -> str:
    name = "" if step.template.name.startswith("$") else f" {escape(step.template.name)}"
    reason = step.blocked_reason or step.reason
    why = f' <small class="bad">{escape(reason)}</small>' if reason else ""
    given = Input(step.input)
    said = _short(given.text("prompt") or given.text("message") or given.text("text"))
    text = f"<p>{escape(said)}</p>" if said else ""
    bar = ""
    if step.progress is not None and step.status in ("preparing", "processing"):
        bar = f'<progress value="{step.progress:.3f}">{step.progress:.0%}</progress>'
    return f"<li>{_state(step.status)} <b>{escape(step.template.type)}</b>{name}{why}{bar}{text}</li>"


def _job(job: Job, now: datetime) -> str:
    said = _short(job.template.given.object("params").text("prompt"))
    media = _media([job.blob] if job.blob else [])
    state = _state(job.last_event(now).type)
    head = f"{state}<span>{job.template.price} Buzz</span><time>{job.created_at:%H:%M:%S}</time>"
    return (
        f"<article><header>{head}</header>{media}<ol><li><b>{escape(job.template.kind)}</b>"
        f"<p>{escape(said)}</p></li></ol>"
        f"<footer><code>{escape(job.id)}</code> · {escape(job.account.username)}</footer></article>"
    )


def _media(blobs: Iterable[Blob]) -> str:
    made = list(blobs)
    shown = "".join(map(_medium, made[:_MOST_THUMBNAILS]))
    more = f"<span>and {len(made) - _MOST_THUMBNAILS} more</span>" if len(made) > _MOST_THUMBNAILS else ""
    return f'<div class="media">{shown}{more}</div>' if made else ""


def _medium(blob: Blob) -> str:
    address = escape(views.BLOBS + quote(blob.id))
    label = "blocked" if blob.blocked_reason else "withheld" if blob.withheld else "mature" if blob.mature else ""
    mark = f"<i>{label}</i>" if label else ""
    if blob.type == "image" and blob.media_type != _NO_THUMBNAIL:
        kind = escape(blob.media_type)
        size = f'width="{blob.width}" height="{blob.height}"' if blob.width else ""
        title = f"{kind} {blob.width} × {blob.height}" if blob.width else kind
        picture = f'<img src="{address}?thumbnail" alt="{title}" {size} loading="lazy">'
        return f'<a href="{address}" title="{title}">{picture}{mark}</a>'
    length = f" {blob.duration:g} s" if blob.duration is not None else ""
    return f'<a class="file" href="{address}">{escape(blob.media_type)}{length}{mark}</a>'


def _exchange(exchange: Exchange) -> str:
    query = urlencode(exchange.query)
    asked = f"<b>{escape(exchange.method)}</b> <span>{escape(exchange.path)}</span>"
    asked += f"<small>?{escape(_short(query))}</small>" if query else ""
    asked += f" <small>{escape(exchange.range)}</small>" if exchange.range else ""
    if exchange.body is not None:
        body = json.dumps(exchange.body, indent=2, ensure_ascii=False)
        body = body if len(body) <= _LONGEST_BODY else f"{body[:_LONGEST_BODY]}\n…"
        asked = f'<details data-key="r{exchange.number}"><summary>{asked}</summary><pre>{escape(body)}</pre></details>'
    fault = f"<mark>{escape(exchange.fault)}</mark>" if exchange.fault else ""
    return (
        f'<tr><td><time title="{exchange.at.isoformat()}">{exchange.at:%H:%M:%S}</time><td>{asked}'
        f'<td class="s{exchange.status // 100}">{exchange.status}<td>{exchange.credential or ""}<td>{fault}</tr>'
    )


def _account_ledger(account: Account) -> str:
    balance = "".join(
        f'<span class="buzz {colour}">{colour} <b>{amount:,}</b></span>'
        for colour, amount in account.ledger.balance.items()
    )
    moves = account.ledger.transactions[: -_MOVES - 1 : -1]
    table = ""
    if moves:
        number = len(account.ledger.transactions)
        count = "1 transaction" if number == 1 else f"{number} transactions"
        rows = "".join(map(_move, moves))
        table = f'<details data-key="l{account.id}" open><summary>{count}</summary>'
        table += f'<table class="moves">{rows}</table></details>'
    return f"<h3>{escape(account.username)}</h3><p>{balance}</p>{table}"


def _move(move: Transaction) -> str:
    sign, kind = ("−", "bad") if move.type == "debit" else ("+", "good")
    return (
        f'<tr><td><time title="{move.at.isoformat()}">{move.at:%H:%M:%S}</time>'
        f'<td class="{kind}">{sign}{move.amount}<td>{move.account}'
        f'<td><a href="#{escape(quote(move.workflow_id))}"><code>{escape(move.workflow_id)}</code></a></tr>'
    )


def _fault(fault: Fault) -> str:
    said = ", ".join(f"{name} = {_short(json.dumps(value, default=str))}" for name, value in views.given(fault).items())
    form = (
        f'<form method="post" action="{ACTIONS}remove-fault"><input type="hidden" name="id" value="{fault.id}">'
        '<button title="let this not go wrong any more">remove</button></form>'
    )
    over = ' class="over"' if fault.times is not None and fault.hits >= fault.times else ""
    what = f"<code>{escape(fault.route)}</code><span>{escape(said)}</span><em>{_hits(fault.hits)}</em>"
    return f"<li{over}>{what}{form}</li>"


def _delivery(delivery: Delivery) -> str:
    answered = delivery.status
    kind = f"s{answered // 100}" if answered else "bad" if delivery.attempt else ""
    told = answered or ("no answer" if delivery.attempt else "not posted")
    event = escape(delivery.event).replace(":", ":<wbr>")
    return (
        f'<tr><td><time title="{delivery.at.isoformat()}">{delivery.at:%H:%M:%S}</time>'
        f"<td><b>{event}</b> <small>{escape(delivery.url)}</small>"
        f'<td class="{kind}">{told}<td>{delivery.attempt or ""}</tr>'
    )


def _pager(wanted: Wanted, name: str, numbers: list[int], most: int) -> str:
    links = [f'<a href="{wanted.link(**{name: None})}#{_anchor(name)}">newest</a>'] if vars(wanted)[name] else []
    if len(numbers) == most and numbers[-1] > 1:
        links.append(f'<a href="{wanted.link(**{name: numbers[-1]})}#{_anchor(name)}">older</a>')
    return f'<p class="pager">{"".join(links)}</p>' if links else ""


def _anchor(name: str) -> str:
    return "journal" if name == "requests" else name


def _state(status: str) -> str:
    return f'<span class="state {escape(status.lower())}">{escape(status)}</span>'


def _hits(hits: int) -> str:
    return "met once" if hits == 1 else f"met {hits} times"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _nothing(text: str) -> str:
    return f'<p class="nothing">{escape(text)}</p>'


def _count(things: Iterable[Any]) -> int:
    return sum(1 for _ in things)
