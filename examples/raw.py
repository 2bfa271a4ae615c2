"""The smallest whole app on raw ASGI.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.raw:app
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from asgi_signed_session import Session, SessionMiddleware

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def describe(session: Session) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


def login(session: Session, user: str) -> None:
    session.principal = user  # first: it empties a session that belonged to somebody else
    session["user"] = user
    session.regenerate()


async def http(scope: Scope, send: Send) -> None:
    session: Session = scope["session"]
    match scope["method"], scope["path"]:
        case "GET", "/":
            pass
        case "POST", "/login":
            login(session, parse_qs(scope["query_string"].decode())["user"][0])
        case "POST", "/notes":
            session.setdefault("notes", []).append(parse_qs(scope["query_string"].decode())["note"][0])
        case "POST", "/logout":
            session.clear()
        case _:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
    body = json.dumps(describe(session)).encode()  # before the start, which carries what reading and changing brings
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    session: Session = scope["session"]
    await receive()
    if "user" not in session:
        await send({"type": "websocket.close"})  # before the accept, this refuses the handshake
        return
    session["handshakes"] = session.get("handshakes", 0) + 1
    await send({"type": "websocket.accept"})  # the cookie goes out here
    await send({"type": "websocket.send", "text": json.dumps(describe(session))})
    await send({"type": "websocket.close"})


async def router(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await http(scope, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])  # how an app says that it has no lifespan


app = SessionMiddleware(router, os.environ["SESSION_SECRET"])
