"""What once went wrong: https://github.com/Kludex/starlette/issues/483, with the Starlette of that time.

It needs an environment of its own: nox --session history
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesOwn

from asgi_signed_session import SessionMiddleware
from tests.browser import Browser
from tests.conftest import KEY
from tests.wire import set_cookie


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def make_app(middleware: Any) -> Any:
    """A websocket that counts its handshakes, behind two ``BaseHTTPMiddleware``s and a session middleware."""
    app: Any = Starlette()

    @app.websocket_route("/ws")  # type: ignore[untyped-decorator]
    async def handshake(websocket: Any) -> None:
        session = websocket["session"]
        session["handshakes"] = session.get("handshakes", 0) + 1
        await websocket.accept()
        await websocket.send_json(dict(session))
        await websocket.close()

    app.add_middleware(middleware, secret_key=KEY)
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    return app


def test_this_is_the_starlette_of_that_time() -> None:
    assert version("starlette") == "0.12.0"


def test_its_own_middleware_fails_on_a_websocket() -> None:
    with pytest.raises(AssertionError):
        Browser(make_app(StarlettesOwn)).websocket("/ws")


def test_ours_reads_and_writes_the_session_there(clock: Any) -> None:
    browser = Browser(make_app(SessionMiddleware))

    for handshakes in (1, 2):
        assert browser.websocket("/ws").all(b"set-cookie") == [set_cookie({"handshakes": handshakes})]
