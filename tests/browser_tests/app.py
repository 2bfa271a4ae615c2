"""One small app for each set of options. The first part of the path says which: /lax/login, /strict/whoami."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from asgi_signed_session import SessionMiddleware

from ..apps import app_that
from ..conftest import KEY

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


APPS = {name: SessionMiddleware(app_that(act), KEY, **options) for name, options in OPTIONS.items()}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError(scope["type"])  # how an app says that it has none
    name = scope["path"].split("/")[1]
    if name == "by-hand":
        cookie = unquote(scope["query_string"].decode()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", cookie)]})
        await send({"type": "http.response.body", "body": b""})
    elif name in APPS:
        await APPS[name](scope, receive, send)
    else:  # a browser asks for /favicon.ico
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
