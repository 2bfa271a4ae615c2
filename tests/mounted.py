"""Apps inside apps, for test_mounted.py."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_signed_session import SessionMiddleware

KEY = os.environ["SESSION_SECRET"]


async def show(request: Request) -> JSONResponse:
    return JSONResponse({**request.session, "root_path": request.scope["root_path"]})


async def put(request: Request) -> JSONResponse:
    request.session.update(request.query_params)
    return await show(request)


async def handshake(websocket: WebSocket) -> None:
    websocket.session["handshakes"] = websocket.session.get("handshakes", 0) + 1
    await websocket.accept()
    await websocket.send_json(websocket.session)
    await websocket.close()


def make_starlette(*more: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/", show),
            Route("/put", put, methods=["POST"]),
            WebSocketRoute("/ws", handshake),
            *more,
        ]
    )


def make_raw_around(inner: Any) -> Any:
    """A raw app that notes in the session each path that it passes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            scope["session"].setdefault("paths", []).append(scope["path"])
        await inner(scope, receive, send)

    return app


def make_django() -> Any:
    try:
        from examples.django_app import app
    except ImportError:
        return None
    return app.app  # without its own session


django = make_django()
app = Starlette(
    routes=[
        Mount("/raw", SessionMiddleware(make_raw_around(make_starlette()), KEY)),
        Mount("/shop", SessionMiddleware(make_starlette(), KEY, "shop", path="/shop")),
        Mount("/admin", SessionMiddleware(make_starlette(), KEY, "admin", path="/admin", same_site="strict")),
        Mount("/around", SessionMiddleware(make_starlette(*([Mount("/django", django)] if django else [])), KEY)),
    ]
)
