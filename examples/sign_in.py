"""A web app that people sign in to with their Civitai accounts, and that acts for them as long as they stay signed in.

    pip install 'civitai-ext[oauth]' starlette uvicorn
    export CLIENT_ID=…  CLIENT_SECRET=…         # of an OAuth client made at https://civitai.com/user/account
    export REDIRECT_URI=http://localhost:8000/callback
    python examples/sign_in.py

FastAPI is Starlette, so the same works there. What matters for any other framework, too:

- what `sign_in` gives is kept in the visitor's own session until they come back: it ties the answer to this browser;
- it is kept there by its state, so that several tabs, and whatever else leads to the callback, do not disturb it;
- the session gets a new name then, so that nobody can know it from before;
- tokens stay on the server, in a store, and no cookie holds one. Several processes can share the store.
"""

from __future__ import annotations

import asyncio
import html
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from civitai_ext import AsyncCivitai, errors
from civitai_ext.oauth import AsyncApp, FileStore, Login, Scope, SignIn, TokenStore, logout

COOKIE = "session"
MOST_ATTEMPTS = 5  # that one visitor may have begun
logger = logging.getLogger("sign_in")
PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Sign in with Civitai</title>{}"


class Site:
    """The pages, and who is signed in. The sessions are in memory here; put them where your framework has them.

    Args:
        app: The OAuth client.
        store: Where the tokens of the people are kept, by the ids of their accounts.
    """

    def __init__(self, app: AsyncApp, store: TokenStore) -> None:
        self.app = app
        self.store = store
        self.sessions: dict[str, dict[str, Any]] = {}

    async def home(self, request: Request) -> Response:
        """Show who is signed in, and what may be spent for them."""
        account = self.session(request).get("account")
        login = None if account is None else await asyncio.to_thread(self.login, account)
        if login is None:
            return page("<p><a href=/sign-in>Sign in with Civitai</a>")
        config = self.app.config
        async with AsyncCivitai(
            auth=login,
            site_url=config.site_url,
            orchestration_url=config.orchestration_url,
            auth_url=config.auth_url,
        ) as civitai:
            try:
                user = await civitai.me()
            except errors.LoginExpired:
                return page("<p>Your session has ended. <a href=/sign-in>Sign in again</a>")
        scopes = ", ".join(user.scopes.names) if user.scopes else "nothing"
        budgets = "".join(f"<li>{html.escape(budget.kind)}: {budget.limit} Buzz" for budget in user.budgets)
        return page(
            f"<p>Hello, {html.escape(str(user.username))}. This site may: {html.escape(scopes)}.<ul>{budgets}</ul>"
            "<form method=post action=/sign-out><button>Sign out</button></form>"
        )

    async def sign_in(self, request: Request) -> Response:
        """Send the visitor to Civitai, and keep what their return is checked against."""
        attempt = self.app.sign_in(Scope.AI_SERVICES)
        known = self.session(request)
        attempts = [*known.get("attempts", {}).items(), (attempt.state, attempt.to_dict())]
        response = RedirectResponse(attempt.url, 303)
        self.begin(response, known | {"attempts": dict(attempts[-MOST_ATTEMPTS:])}, request)
        return response

    async def callback(self, request: Request) -> Response:
        """Take the visitor back: with a code for tokens, or with the reason why there is none."""
        attempts = self.session(request).get("attempts", {})
        attempt = attempts.pop(request.query_params.get("state"), None)
        if attempt is None:
            return page("<p>Nobody is signing in here. <a href=/sign-in>Try again</a>", 400)
        # Behind a proxy the request may name another host than the browser did; the query is what counts.
        came_by = f"{self.app.redirect_uri}?{request.url.query}"
        try:
            tokens = await self.app.exchange(came_by, SignIn.from_dict(attempt))
            user = await self.app.userinfo(tokens)
        except errors.LoginDenied:
            return page("<p>You did not allow it. <a href=/>Back</a>", 403)
        except errors.LoginFailed as error:
            return page(f"<p>{html.escape(str(error))} <a href=/sign-in>Try again</a>", 400)
        if not isinstance(user.id, int):
            return page("<p>Civitai did not say who you are. <a href=/sign-in>Try again</a>", 502)
        account = str(user.id)
        await asyncio.to_thread(Login, self.app, tokens, store=self.store, account=account, username=str(user.username))
        response = RedirectResponse("/", 303)
        self.begin(response, {"account": account, "attempts": attempts}, request)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Have the tokens forgotten, here and at Civitai."""
        account = self.session(request).get("account")
        self.sessions.pop(request.cookies.get(COOKIE, ""), None)
        if account is not None:
            try:
                await asyncio.to_thread(logout, account, store=self.store, app=self.app)
            except errors.CivitaiError as error:
                return page(f"<p>You are signed out here. {html.escape(str(error))}")
        return RedirectResponse("/", 303)

    async def failed(self, request: Request, error: Exception) -> Response:
        """Answer where Civitai does not, or not as it should. What is wrong is for the log, and not for visitors."""
        logger.error("%s failed: %s", request.url.path, error)
        return page("<p>That did not work just now. <a href=/>Try again later</a>", 502)

    def login(self, account: str) -> Login | None:
        """Find the login of an account."""
        return Login.stored(account, store=self.store, app=self.app)

    def session(self, request: Request) -> dict[str, Any]:
        """Give what is known of a visitor."""
        return self.sessions.get(request.cookies.get(COOKIE, ""), {})

    def begin(self, response: Response, known: dict[str, Any], request: Request) -> None:
        """Begin a new session in place of the one before."""
        self.sessions.pop(request.cookies.get(COOKIE, ""), None)
        name = secrets.token_urlsafe()
        self.sessions[name] = known
        secure = self.app.redirect_uri.startswith("https:")
        response.set_cookie(COOKIE, name, httponly=True, samesite="lax", secure=secure)

    def application(self) -> Starlette:
        """Give the app for a server to run."""

        @asynccontextmanager
        async def lifespan(application: Starlette) -> AsyncIterator[None]:
            async with self.app:
                yield

        routes = [
            Route("/", self.home),
            Route("/sign-in", self.sign_in),
            Route("/callback", self.callback),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]
        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={errors.CivitaiError: self.failed})


def page(content: str, status: int = 200) -> Response:
    """Wrap what is shown."""
    return HTMLResponse(PAGE.format(content), status, {"Cache-Control": "no-store"})


def main() -> None:
    """Serve it on this machine."""
    import uvicorn

    client = AsyncApp(os.environ["CLIENT_ID"], os.environ["REDIRECT_URI"], os.environ.get("CLIENT_SECRET"))
    site = Site(client, FileStore("sign-ins"))
    uvicorn.run(site.application(), host="127.0.0.1", port=8000)


if __name__ == "__main__":
    main()
