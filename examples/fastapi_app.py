"""The smallest whole app on FastAPI.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.fastapi_app:app
"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket
from fastapi.requests import HTTPConnection

from asgi_signed_session import Session, SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"])


def get_session(connection: HTTPConnection) -> Session:
    session: Session = connection.scope["session"]
    return session


CurrentSession = Annotated[Session, Depends(get_session)]


def describe(session: Session) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


@app.get("/")
async def whoami(session: CurrentSession) -> dict[str, Any]:
    return describe(session)


@app.post("/login")
async def login(session: CurrentSession, user: str) -> dict[str, Any]:
    session.principal = user  # first: it empties a session that belonged to somebody else
    session["user"] = user
    session.regenerate()
    return describe(session)


@app.post("/notes")
async def add_note(session: CurrentSession, note: str) -> dict[str, Any]:
    session.setdefault("notes", []).append(note)
    return describe(session)


@app.post("/logout")
async def logout(session: CurrentSession) -> dict[str, Any]:
    session.clear()
    return describe(session)


@app.websocket("/ws")
async def handshake(websocket: WebSocket, session: CurrentSession) -> None:
    if "user" not in session:
        await websocket.close()  # before the accept, this refuses the handshake
        return
    session["handshakes"] = session.get("handshakes", 0) + 1
    await websocket.accept()  # the cookie goes out here
    await websocket.send_json(describe(session))
    await websocket.close()
