"""Apps that say what they find where another origin's page has caused the request, with ``trusted_origins`` or without.

The first part of the path says which: /guarded-lax/whoami, /trusting-none/login. /found says what the last one found.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from asgi_signed_session import SessionMiddleware

from ..apps import App, app_that
from ..conftest import KEY

SAME_SITES: dict[str, dict[str, Any]] = {
    "strict": {"same_site": "strict"},
    "lax": {},
    "none": {"same_site": "none", "https_only": True},
}
FRIENDS = ("friend.shop.test", "friend.test")  # a sibling and another site, whose pages are trusted
PROVIDER = "provider.test"
SAID = (b"sec-fetch-site", b"sec-fetch-mode", b"origin")

found: list[Any] = []  # in the sessions, at first sight, and what the browser said of the requests


def act(scope: Any) -> Any:
    session = scope["session"]
    headers = dict(scope["headers"])
    said = [headers[name].decode() if name in headers else None for name in SAID]
    found.append({"session": dict(session), "rejected": session.rejected, "said": said})
    if scope["path"].endswith("/login"):
        session["user"] = scope["query_string"].decode()
    return found[-1]


async def act_with_cors(scope: Any, receive: Any, send: Any) -> None:
    """Acts, and lets pages of the two friends read the answer."""
    origin = dict(scope["headers"]).get(b"origin", b"")
    headers = [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
    is_friend = origin.decode() in origins_of(FRIENDS, scope["server"][1])
    await app_that(act, headers if is_friend else ())(scope, receive, send)


async def sign_in(scope: Any, receive: Any, send: Any) -> None:
    """Sends the visitor off with a state, has the provider's form bring it back, and signs in after a redirect."""
    handshake, session = scope["handshake"], scope["session"]
    action = scope["path"].rpartition("/")[2]
    status, headers = 200, []
    if action == "begin":
        handshake["state"] = scope["query_string"].decode()
    elif action == "callback" and handshake.pop("state", None) == scope["query_string"].decode():
        handshake["user"] = "ada"
        status, headers = 303, [(b"location", b"finish")]
    elif action == "finish" and "user" in handshake:
        session["user"] = handshake["user"]
        handshake.clear()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps([dict(session), dict(handshake)]).encode()})


def origins_of(hosts: tuple[str, ...], port: int) -> list[str]:
    return [f"https://{host}:{port}" for host in hosts]


@cache
def make_apps(port: int) -> dict[str, App]:
    """The apps, by name; an origin has the port of the server, which is known with the first request."""
    guards = {"unguarded": None, "guarded": (), "trusting": origins_of(FRIENDS, port)}
    apps: dict[str, App] = {
        f"{guard}-{same_site}": SessionMiddleware(act_with_cors, KEY, **attributes, trusted_origins=trusted)
        for guard, trusted in guards.items()
        for same_site, attributes in SAME_SITES.items()
    }
    handshake = SessionMiddleware(
        sign_in,
        KEY,
        session_cookie="handshake",
        scope_key="handshake",
        same_site="none",
        https_only=True,
        max_age=600,
        trusted_origins=origins_of((PROVIDER,), port),
    )
    apps["sign-in"] = SessionMiddleware(handshake, KEY, trusted_origins=())
    apps["found"] = app_that(lambda scope: found[-1])
    return apps
