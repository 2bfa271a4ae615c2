"""Small apps that do one thing with their session."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgi_signed_session import SessionError

App = Callable[[Any, Any, Any], Awaitable[None]]
Act = Callable[[MutableMapping[str, Any]], Any]


def app_that(act: Act, headers: Any = (), *, late: Act | None = None) -> App:
    """An app that calls ``act`` with the scope, then answers on any kind of connection with JSON of what it returned.

    It calls ``late`` when its headers are gone.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = json.dumps(act(scope)).encode()
        if scope["type"] == "websocket":
            await receive()
            start = {"type": "websocket.accept", "headers": headers}
            body = {"type": "websocket.send", "bytes": answer}
        else:
            start = {"type": f"{scope['type']}.response.start", "status": 200, "headers": headers}
            body = {"type": f"{scope['type']}.response.body", "body": answer}
        await send(start)
        if late is not None:
            late(scope)
        await send(body)

    return app


def app_with_error_page(act: Act, on_error: Act = lambda scope: None) -> App:
    """An app that calls ``act`` with the scope, and whose error page says why its session can't be saved."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        prefix = {"http": "http", "websocket": "websocket.http"}[scope["type"]]
        act(scope)
        body = b"saved"
        try:
            await send({"type": f"{prefix}.response.start", "status": 200, "headers": []})
        except SessionError as error:
            on_error(scope)
            body = f"{type(error).__name__}: {error}".encode()
            await send({"type": f"{prefix}.response.start", "status": 500, "headers": []})
        await send({"type": f"{prefix}.response.body", "body": body})

    return app


class Interrupted:
    """A serializer that calls ``act`` once, when it has written: what another thread may do there, at its worst."""

    def __init__(self) -> None:
        self.act: Callable[[], Any] | None = None

    def dumps(self, content: Any) -> str:
        written = json.dumps(content)
        act, self.act = self.act, None
        if act is not None:
            act()
        return written

    def loads(self, payload: str) -> Any:
        return json.loads(payload)


async def clear_twice(scope: Any, receive: Any, send: Any) -> None:
    """Clears the session before its response and again before an error page, as if the first had not gone out."""
    for status in (200, 500):
        scope["session"].clear()
        await send({"type": "http.response.start", "status": status})


async def deny(scope: Any, receive: Any, send: Any) -> None:
    """Logs in, and refuses the websocket with a response of its own."""
    await receive()
    scope["session"]["user"] = "ada"
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


def show_session(scope: MutableMapping[str, Any]) -> Any:
    """What is in the session, and why the cookie that came was not used."""
    return [dict(scope["session"]), scope["session"].rejected]


def _act(scope: MutableMapping[str, Any]) -> Any:
    path = scope["path"]
    if path == "/login":
        scope["session"]["user"] = "ada"
    elif path == "/add":
        scope["session"].setdefault("cart", []).append("tea")
    elif path == "/logout":
        scope["session"].clear()
    elif path == "/whoami":
        return dict(scope["session"])
    return None


visit = app_that(_act)
