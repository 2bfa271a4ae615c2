"""An app that tells what its server does, and answers a refused websocket as well as the server lets it."""

from __future__ import annotations

import json
import os
from typing import Any

from fastapi.requests import Request
from fastapi.responses import Response
from starlette.middleware.base import BaseHTTPMiddleware

from asgi_signed_session import SessionMiddleware


async def probe(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        cookies = [value.decode() for name, value in scope["headers"] if name == b"cookie"]
        body = json.dumps({"cookies": cookies, "http": scope["http_version"], "session": scope["session"]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        await deny(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def deny(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["session"]["denied"] = True
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"6")]})
        await send({"type": "websocket.http.response.body", "body": b"denied"})
    else:
        await send({"type": "websocket.close"})


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


def make_fastapi_behind_a_base_http_middleware() -> Any:
    from examples.fastapi_app import app

    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    return app


app = SessionMiddleware(probe, os.environ.get("SESSION_SECRET", "a key of more than sixteen bytes"))
