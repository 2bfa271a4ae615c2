"""The smallest whole app on BlackSheep.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.blacksheep_app:app
"""

import os
from typing import Any, cast

from blacksheep import Application, FromQuery, Request, WebSocket, get, post, ws

from asgi_signed_session import Session, SessionMiddleware


def session_of(connection: Request) -> Session:  # a WebSocket is a Request too
    return cast("dict[str, Session]", connection.scope)["session"]


def describe(session: Session) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


@get("/")
async def whoami(request: Request) -> dict[str, Any]:
    return describe(session_of(request))


@post("/login")
async def login(request: Request, user: FromQuery[str]) -> dict[str, Any]:
    session = session_of(request)
    session.principal = user.value  # first: it empties a session that belonged to somebody else
    session["user"] = user.value
    session.regenerate()
    return describe(session)


@post("/notes")
async def add_note(request: Request, note: FromQuery[str]) -> dict[str, Any]:
    session = session_of(request)
    session.setdefault("notes", []).append(note.value)
    return describe(session)


@post("/logout")
async def logout(request: Request) -> dict[str, Any]:
    session = session_of(request)
    session.clear()
    return describe(session)


@ws("/ws")
async def handshake(websocket: WebSocket) -> None:
    session = session_of(websocket)
    if "user" not in session:
        await websocket.close()  # before the accept, this refuses the handshake
        return
    session["handshakes"] = session.get("handshakes", 0) + 1
    await websocket.accept()  # the cookie goes out here
    await websocket.send_json(describe(session))
    await websocket.close()


app = SessionMiddleware(Application(), os.environ["SESSION_SECRET"])
