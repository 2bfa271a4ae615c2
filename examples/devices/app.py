"""The app, put together."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_signed_session import SessionMiddleware
from asgi_signed_session.stores import Sessions, SQLiteStore, Store

from .accounts import Accounts
from .chat import Room
from .dependencies import NotSignedInError, Services
from .pages import go_to, router, show
from .passwords import COST, Cost

COOKIE = "devices"
DAY = 24 * 60 * 60  # seconds

HEADERS = {
    # No inline style or script anywhere, so the strictest policy costs nothing.
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # with no-referrer, a form's Origin would be null
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Settings:
    secret_key: str
    fallbacks: tuple[str, ...] = ()  # older keys
    folder: Path = Path(".devices")
    redis_url: str | None = None  # None: one process, and sessions in a file
    look_every: float = 5  # seconds
    cost: Cost = COST


def read_settings() -> Settings:
    """The settings that the environment has."""
    return Settings(
        secret_key=os.environ["SESSION_SECRET"],
        fallbacks=tuple(os.environ.get("SESSION_SECRET_FALLBACKS", "").split()),
        folder=Path(os.environ.get("DEVICES_FOLDER", ".devices")),
        redis_url=os.environ.get("DEVICES_REDIS_URL"),
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """For `uvicorn --factory examples.devices.app:create_app`, too."""
    settings = settings or read_settings()
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, room = open_store(settings)
    # What they are signed with has to be the same in both.
    sessions = Sessions(store, settings.secret_key, COOKIE, fallbacks=settings.fallbacks)
    accounts = Accounts(settings.folder / "accounts.db", settings.cost)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        async with room.open():
            yield

    app = FastAPI(lifespan=live, openapi_url=None)
    app.state.services = Services(accounts, sessions, room, settings.look_every)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.add_exception_handler(NotSignedInError, send_to_signin)
    app.add_exception_handler(HTTPException, show_error)
    app.add_middleware(
        SessionMiddleware,
        secret_key=settings.secret_key,
        fallbacks=settings.fallbacks,
        session_cookie=COOKIE,
        store=store,
        autoload=False,  # what doesn't ask for the session, such as a style sheet, doesn't wait for the store
        max_age=DAY,  # without a visit; longer, where the visitor wants to be remembered
        lifetime=90 * DAY,  # since the sign-in, however often they come
        trusted_origins=(),  # another site's forms and scripts find nobody signed in, and sign nobody in
    )
    app.add_middleware(SecurityHeaders)
    return app


def open_store(settings: Settings) -> tuple[Store, Room]:
    """Where the sessions are, and what joins those who chat."""
    if settings.redis_url is None:
        return SQLiteStore(settings.folder / "sessions.db"), Room()
    from asgi_signed_session.stores import RedisStore  # needs redis-py, as the next

    from .redis_chat import RedisRoom, connect

    client = connect(settings.redis_url)
    return RedisStore(client), RedisRoom(client)


async def send_to_signin(request: Request, error: Exception) -> Response:
    return go_to("/signin")


async def show_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return show(request, "error.html", error.status_code, problem=error.detail)


class SecurityHeaders:
    """Adds to each response what keeps a browser from doing too much with it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)
