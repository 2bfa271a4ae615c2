"""NiceGUI's pages on our middleware: it is put where NiceGUI looks, before anything is started."""

from __future__ import annotations

import os

import nicegui.storage
from nicegui import app, ui

from asgi_signed_session import SessionMiddleware

os.environ.pop("PYTEST_CURRENT_TEST", None)  # NiceGUI would take this for a test of its own
nicegui.storage.SessionMiddleware = SessionMiddleware  # type: ignore[attr-defined, assignment]  # pyright: ignore[reportPrivateImportUsage]


@app.get("/login")
def login(name: str) -> None:
    app.storage.user["name"] = name


@ui.page("/")
def index() -> None:
    ui.label(f"Hello {app.storage.user.get('name')}")


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), show=False, reload=False, storage_secret="the key of NiceGUI")
