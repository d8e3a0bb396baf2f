"""The pages that a user sees in the browser: plain HTML, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.oauth.browser import AUTHORIZE, DEVICE, LOGIN
from civitai_ext.emulator.oauth.clients import Client
from civitai_ext.emulator.scopes import in_words

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f1f3f5, #141517) }
main { box-sizing: border-box; width: min(26rem, 100vw); padding: 2rem; border-radius: 12px;
  background: light-dark(#fff, #25262b); box-shadow: 0 4px 24px #0002 }
h1 { margin: 0 0 1rem; font-size: 1.25rem }
ul { padding-left: 1.2rem }
small { opacity: .7 }
input[type=text] { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit; text-transform: uppercase }
button { width: 100%; margin-top: .6rem; padding: .6rem; border: 1px solid #8886; border-radius: 8px; font: inherit;
  background: none; color: inherit; cursor: pointer }
button.main { border-color: #228be6; background: #228be6; color: #fff }
"""


def login_page(accounts: Iterable[Account], return_url: str) -> HTMLResponse:
    """Show the accounts that one can sign in with."""
    buttons = "".join(
        f'<button name="account" value="{account.id}">{escape(account.username)}</button>' for account in accounts
    )
    return _page("Sign in", f"<p>Choose an account.</p>{_form(LOGIN, {'returnUrl': return_url}, buttons)}")


def consent_page(client: Client, account: Account, scope: int, fields: Mapping[str, str]) -> HTMLResponse:
    """Show what a client asks for; the form carries the fields of the request."""
    choice = '<p><label><input type="checkbox" name="remember" value="true"> Do not ask me again</label></p>'
    again = urlencode({"returnUrl": f"{AUTHORIZE}?{urlencode(fields)}"})
    other = f'<p><small><a href="{LOGIN}?{escape(again)}">Use another account</a></small></p>'
    body = _asked(account, scope) + _form(AUTHORIZE, fields, choice + _BUTTONS) + other
    return _page(f"{client.name} wants to use your account", body)


def device_page(client: Client, account: Account, scope: int, user_code: str) -> HTMLResponse:
    """Show what a device asks for."""
    body = f"<p>The code is <b>{escape(user_code)}</b>.</p>{_asked(account, scope)}"
    return _page(f"{client.name} wants to use your account", body + _form(DEVICE, {"code": user_code}, _BUTTONS))


def code_page(user_code: str) -> HTMLResponse:
    """Ask for the code that a device shows; one that was given is not good."""
    said = f"<p>No device waits with the code {escape(user_code)}.</p>" if user_code else ""
    entry = (
        f'<form action="{DEVICE}"><label>Code <input type="text" name="code" required autofocus></label>'
        '<button class="main">Go on</button></form>'
    )
    return _page("Enter the code that your device shows", said + entry, 404 if user_code else 200)


def message_page(title: str, text: str) -> HTMLResponse:
    """Show that something is done."""
    return _page(title, f"<p>{escape(text)}</p>")


_BUTTONS = (
    '<button class="main" name="approved" value="true">Allow</button>'
    '<button name="approved" value="false">Deny</button>'
)


def _asked(account: Account, scope: int) -> str:
    items = "".join(f"<li>{escape(words)}</li>" for words in in_words(scope))
    return f"<p>You are signed in as <b>{escape(account.username)}</b>. It asks to:</p><ul>{items}</ul>"


def _form(action: str, fields: Mapping[str, str], content: str) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    return f'<form method="post" action="{action}">{hidden}{content}</form>'


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}<p><small>The civitai-ext emulator, not Civitai.</small></p></main>"
        "</body></html>",
        status,
        _HEADERS,
    )
