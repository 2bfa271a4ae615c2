"""One small app for each set of options. The first part of the path says which: /lax/login, /strict/whoami."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import unquote

from asgi_signed_session import SessionMiddleware
from asgi_signed_session.stores import MemoryStore

from ..apps import app_that
from ..conftest import KEY
from . import guarded

FULL = "full-size-x"  # a name with which a Set-Cookie can be of 4096 bytes: base64 grows by four

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "until-closed": {"max_age": None},
    "path": {"path": "/path"},
    "odd-path": {"path": "/odd-path/%C3%A9,=@"},
    "domain": {"domain": "shop.test"},
    "host-prefix": {"session_cookie": "__Host-session", "https_only": True},
    "secure-prefix": {"session_cookie": "__Secure-session", "https_only": True, "domain": "shop.test"},
    "lax": {"same_site": "lax"},
    "strict": {"same_site": "strict"},
    "none": {"same_site": "none", "https_only": True},
    "partitioned": {
        "session_cookie": "__Host-session",
        "same_site": "none",
        "https_only": True,
        "partitioned": True,
    },
    "never-secure": {"https_only": False},
    "always-secure": {"https_only": True},
    "http-prefix": {"session_cookie": "__Host-Http-session", "https_only": True},
    FULL: {"session_cookie": FULL},
}


def act(scope: Any) -> dict[str, Any]:
    session = scope["session"]
    action = scope["path"].rpartition("/")[2]
    if action == "login":
        session["user"] = scope["query_string"].decode() or "ada"
    elif action == "logout":
        session.clear()
    return dict(session)


PASSWORD_CHECK = 0.12  # seconds
LOGIN_PAGE = b'<!doctype html><form method="post" action="login"><button>Sign in</button></form>'

logins: list[str | None] = []  # whose session each had come with
clicked_twice = asyncio.Event()


async def log_in_slowly(scope: Any, receive: Any, send: Any) -> None:
    """Signs in where the page's form is sent, and takes its time: on a slow machine, until the second click is here."""
    session = scope["session"]
    status, headers, body = 200, [(b"content-type", b"text/html")], LOGIN_PAGE
    if scope["method"] == "POST":
        logins.append(session.principal)
        if len(logins) == 2:
            clicked_twice.set()
        await asyncio.sleep(PASSWORD_CHECK)
        await clicked_twice.wait()
        session.principal = "ada"
        status, headers, body = 303, [(b"location", b"whoami")], b""
    elif scope["path"].endswith("/whoami"):
        body = json.dumps([session.principal, logins]).encode()
    else:
        session["cart"] = ["tea"]
        logins.clear()
        clicked_twice.clear()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


APPS = {name: SessionMiddleware(app_that(act), KEY, **options) for name, options in OPTIONS.items()}
APPS["slow-login"] = SessionMiddleware(log_in_slowly, KEY, store=MemoryStore())


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError(scope["type"])  # how an app says that it has none
    name = scope["path"].split("/")[1]
    if name == "by-hand":
        cookie = unquote(scope["query_string"].decode()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", cookie)]})
        await send({"type": "http.response.body", "body": b""})
    elif (chosen := APPS.get(name) or guarded.make_apps(scope["server"][1]).get(name)) is not None:
        await chosen(scope, receive, send)
    else:  # a browser asks for /favicon.ico
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
