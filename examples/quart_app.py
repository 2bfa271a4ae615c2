"""The smallest whole app on Quart, with Quart's own `session` name.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.quart_app:app
"""

import os
from typing import Any, cast

from quart import Quart, abort, request, session, websocket
from quart.sessions import SecureCookieSessionInterface
from quart.wrappers.base import BaseRequestWebsocket

from asgi_signed_session import Session, SessionMiddleware


class ScopeSession(SecureCookieSessionInterface):
    """Makes `quart.session` the one in the scope, which SessionMiddleware reads and writes."""

    async def open_session(self, app: Quart, request: BaseRequestWebsocket) -> Any:
        return cast("dict[str, Any]", request.scope)["session"]

    async def save_session(self, *_: Any, **__: Any) -> None:
        """Leave it to SessionMiddleware."""


app = Quart(__name__)
app.session_interface = ScopeSession()
app.asgi_app = SessionMiddleware(app.asgi_app, os.environ["SESSION_SECRET"])  # type: ignore[method-assign]


def describe() -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


@app.get("/")
async def whoami() -> dict[str, Any]:
    return describe()


@app.post("/login")
async def login() -> dict[str, Any]:
    user, own = request.args["user"], cast("Session", session)
    own.principal = user  # first: it empties a session that belonged to somebody else
    own["user"] = user
    own.regenerate()
    return describe()


@app.post("/notes")
async def add_note() -> dict[str, Any]:
    session.setdefault("notes", []).append(request.args["note"])
    return describe()


@app.post("/logout")
async def logout() -> dict[str, Any]:
    session.clear()
    return describe()


@app.websocket("/ws")
async def handshake() -> None:
    if "user" not in session:
        abort(403)  # before the accept, this refuses the handshake
    session["handshakes"] = session.get("handshakes", 0) + 1
    await websocket.accept()  # the cookie goes out here
    await websocket.send_json(describe())
