"""The smallest whole app on Starlette.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.starlette_app:app
"""

import os
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_signed_session import Session, SessionMiddleware


def describe(session: dict[str, Any]) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


async def whoami(request: Request) -> JSONResponse:
    return JSONResponse(describe(request.session))


async def login(request: Request) -> JSONResponse:
    session: Session = request.scope["session"]  # as request.session, which Starlette types as a plain dict
    user = request.query_params["user"]
    session.principal = user  # first: it empties a session that belonged to somebody else
    session["user"] = user
    session.regenerate()
    return JSONResponse(describe(session))


async def add_note(request: Request) -> JSONResponse:
    request.session.setdefault("notes", []).append(request.query_params["note"])
    return JSONResponse(describe(request.session))


async def logout(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse(describe(request.session))


async def handshake(websocket: WebSocket) -> None:
    session = websocket.session
    if "user" not in session:
        await websocket.close()  # before the accept, this refuses the handshake
        return
    session["handshakes"] = session.get("handshakes", 0) + 1
    await websocket.accept()  # the cookie goes out here
    await websocket.send_json(describe(session))
    await websocket.close()


app = Starlette(
    routes=[
        Route("/", whoami),
        Route("/login", login, methods=["POST"]),
        Route("/notes", add_note, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        WebSocketRoute("/ws", handshake),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"])],
)
