"""The page at `/`: what a program asks of the emulator, while it does so.

Without scripts it works as well, but is not live.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from civitai_ext._version import __version__
from civitai_ext.emulator.control import sections
from civitai_ext.emulator.control.arguments import call_with_texts
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.operations import Operations
from civitai_ext.emulator.control.sections import ACTIONS, Wanted

_ASK = "Everything that programs have made here will be lost. Go on?"

_EFFECTS = {
    "status": ("answer with a status", "503"),
    "lost_answer": ("lose the answer", "true"),
    "cut_body": ("cut the body", "true"),
    "html_page": ("answer with a page", "true"),
    "delay": ("wait, in seconds", "1"),
    "rate": ("send slowly, in bytes a second", "10000"),
    "doubled": ("do the work twice", "true"),
    "duplicate_items": ("repeat items of the page before", "3"),
    "repeat_cursor": ("repeat a cursor", "1"),
    "gzip": ("compress the body", "true"),
    "ignore_range": ("ignore the range", "true"),
    "changed": ("change the file", "true"),
    "advance": ("move the clock, in seconds", "901"),
}
"""What the form for faults offers, in words, with the value that holds when none is given."""


async def _show(request: Request) -> Response:
    desk, wanted = Desk.of(request), Wanted.of(request.query_params)
    policy = (
        f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    # Half a surrogate pair is legal in JSON and has no UTF-8.
    return HTMLResponse(_page(desk, wanted).encode(errors="replace"), headers=headers)


def _page(desk: Desk, wanted: Wanted) -> str:
    origin = escape(desk.world.origin.removeprefix("http://"))
    live = {
        "workflows": sections.workflows(desk, wanted),
        "jobs": sections.jobs(desk, wanted),
        "journal": sections.journal(desk, wanted),
        "ledger": sections.ledger(desk),
        "faults": sections.faults(desk),
        "deliveries": sections.deliveries(desk),
        "accounts": sections.accounts(desk),
    }
    titles = {"jobs": "Jobs of the Generator API", "deliveries": "Events posted to callbacks"}
    before = {"journal": _journal_filter(wanted)}
    after = {"faults": _fault_form(), "journal": _button("clear-journal", "clear the journal")}

    def section(name: str) -> str:
        return (
            f'<section id="{name}"><h2>{titles.get(name, name.capitalize())}</h2>{before.get(name, "")}'
            f'<div data-live="{name}">{live[name]}</div>{after.get(name, "")}</section>'
        )

    wide = "".join(map(section, ("workflows", "jobs", "journal")))
    narrow = "".join(map(section, ("faults", "ledger", "deliveries", "accounts")))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>civitai-ext emulator at {origin}</title><link rel="icon" href="data:,">'
        f"<style>{_asset('page.css')}</style></head><body>"
        f'<header class="top"><h1>civitai-ext emulator <small>{__version__} at {origin}, not Civitai</small></h1>'
        f'<div class="clock"><span data-live="clock">{sections.clock(desk)}</span>{_clock_forms()}</div>'
        f'<nav data-live="counts">{sections.counts(desk)}</nav></header>'
        f'<p id="said" role="status" hidden></p><main><div>{wide}</div><div>{narrow}'
        f"<section><h2>Reset</h2>{_button('reset', 'bring everything back to the start', ask=_ASK)}</section>"
        f"</div></main><script>{_asset('page.js')}</script></body></html>"
    )


def _clock_forms() -> str:
    steps = {"10": "+10 s", "60": "+1 min", "3600": "+1 h", "86400": "+1 d"}
    buttons = "".join(f'<button name="seconds" value="{value}">{text}</button>' for value, text in steps.items())
    speeds = "".join(f'<button name="speed" value="{value}">{value} ×</button>' for value in (0, 1, 10, 100))
    return (
        f'<form method="post" action="{ACTIONS}advance" aria-label="move the clock">{buttons}</form>'
        f'<form method="post" action="{ACTIONS}speed" aria-label="how fast time passes">{speeds}</form>'
    )


def _journal_filter(wanted: Wanted) -> str:
    checked = " checked" if wanted.failures else ""
    return (
        '<form class="filter" action="/#journal"><label><input type="checkbox" name="failures" value="1"'
        f"{checked}> failures</label>"
        f'<input name="path" value="{escape(wanted.path)}" placeholder="path contains" aria-label="path contains">'
        "<button>show</button></form>"
    )


def _fault_form() -> str:
    options = "".join(f'<option value="{name}">{words}</option>' for name, (words, _) in _EFFECTS.items())
    return (
        f'<form class="fault" method="post" action="{ACTIONS}add-fault">'
        '<label>route <input name="route" value="GET /api/*" required></label>'
        f'<label>what goes wrong <select name="effect">{options}</select></label>'
        '<label>value <input name="value" placeholder="503"></label>'
        '<label>times <input name="times" inputmode="numeric" placeholder="always"></label>'
        f'<button class="main">add</button></form>{_button("clear-faults", "clear all faults")}'
    )


def _button(action: str, text: str, *, ask: str = "") -> str:
    asking = f' data-ask="{ask}"' if ask else ""
    return f'<form method="post" action="{ACTIONS}{action}"{asking}><button>{text}</button></form>'


async def _act(request: Request) -> Response:
    """Do what a form of the page asks for, and show the page again."""
    desk, action = Desk.of(request), request.path_params["action"]
    fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    operations = Operations(desk)
    try:
        match action:
            case "advance":
                call_with_texts(operations.advance, fields)
            case "speed":
                call_with_texts(operations.set_speed, fields)
            case "add-fault":
                call_with_texts(desk.faults.add, _fault_arguments(fields))
            case "remove-fault":
                call_with_texts(operations.remove_fault, fields)
            case "clear-faults":
                operations.clear_faults()
            case "clear-journal":
                operations.clear_journal()
            case "reset":
                await operations.reset()
            case _:
                return HTMLResponse(f"there is no action {escape(action)}", 404)
    except (ValueError, LookupError) as error:
        return Response(str(error).encode(errors="replace"), 400, media_type="text/plain")
    return RedirectResponse("/", 303)


def _fault_arguments(fields: dict[str, str]) -> dict[str, str]:
    effect = fields.pop("effect", "")
    value = fields.pop("value", "")
    if effect not in _EFFECTS:
        raise ValueError(f"nothing goes wrong that is called {effect!r}")
    return {**fields, effect: value or _EFFECTS[effect][1]}


@cache
def _asset(name: str) -> str:
    return (files("civitai_ext.emulator.control") / name).read_text(encoding="utf-8")


@cache
def _hash(name: str) -> str:
    """Name the only style, or the only script, that a browser may apply."""
    return f"'sha256-{b64encode(sha256(_asset(name).encode()).digest()).decode()}'"


ROUTES = [Route("/", _show), Route(f"{ACTIONS}{{action}}", _act, methods=["POST"])]
