"""NiceGUI's page beside one of ours: when it starts, NiceGUI puts Starlette's middleware around ours."""

from __future__ import annotations

import os
from typing import Any

from fastapi import Request
from nicegui import app, ui

from asgi_signed_session import SessionMiddleware

os.environ.pop("PYTEST_CURRENT_TEST", None)  # NiceGUI would take this for a test of its own
app.add_middleware(SessionMiddleware, secret_key="the key of our sessions", session_cookie="ours")


@app.get("/count")
def count(request: Request) -> Any:
    request.session["count"] = request.session.get("count", 0) + 1
    return dict(request.session)


@ui.page("/")
def index() -> None:
    app.storage.browser.get("id")
    ui.label("Hello from NiceGUI")


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), show=False, reload=False, storage_secret="the key of NiceGUI")
