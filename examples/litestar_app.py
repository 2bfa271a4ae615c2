"""The smallest whole app on Litestar, with Litestar's own `request.session`.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.litestar_app:app
"""

import os
from typing import Any, cast

from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.middleware import DefineMiddleware

from asgi_signed_session import Session, SessionMiddleware

AnyRequest = Request[Any, Any, Any]


def describe(session: dict[str, Any]) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


@get("/")
async def whoami(request: AnyRequest) -> dict[str, Any]:
    return describe(request.session)


@post("/login", status_code=200)
async def login(request: AnyRequest, user: str) -> dict[str, Any]:
    session = cast("Session", request.session)
    session.principal = user  # first: it empties a session that belonged to somebody else
    session["user"] = user
    session.regenerate()
    return describe(request.session)


@post("/notes", status_code=200)
async def add_note(request: AnyRequest, note: str) -> dict[str, Any]:
    request.session.setdefault("notes", []).append(note)
    return describe(request.session)


@post("/logout", status_code=200)
async def logout(request: AnyRequest) -> dict[str, Any]:
    request.clear_session()
    return describe({})


@websocket("/ws")
async def handshake(socket: WebSocket[Any, Any, Any]) -> None:
    session = socket.session
    if "user" not in session:
        await socket.close()  # before the accept, this refuses the handshake
        return
    session["handshakes"] = session.get("handshakes", 0) + 1
    await socket.accept()  # the cookie goes out here
    await socket.send_json(describe(session))
    await socket.close()


app = Litestar(
    [whoami, login, add_note, logout, handshake],
    middleware=[DefineMiddleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"])],
)
