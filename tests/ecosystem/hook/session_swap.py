"""A pytest plugin: puts the middleware that is asked for in the place of Starlette's, and writes down what happened.

It runs in the environment of another package, with its tests: Starlette, pytest and ours are all that it can import.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import sessions

import asgi_signed_session

MIDDLEWARES: dict[str, Any] = {
    "Starlette's": sessions.SessionMiddleware,
    "ours": asgi_signed_session.SessionMiddleware,
}
RANK = ("passed", "skipped", "failed")  # a test that passes and then fails to tear down has failed


def put_in_place(middleware: Any) -> list[int]:
    """Gives ``middleware`` to all who import Starlette's from now on, and counts its connections in what it returns."""
    connections = [0]
    call = middleware.__call__

    async def count(self: Any, scope: Any, receive: Any, send: Any) -> None:
        connections[0] += scope["type"] in ("http", "websocket")
        await call(self, scope, receive, send)

    middleware.__call__ = count
    sessions.SessionMiddleware = middleware  # type: ignore[misc]
    return connections


CONNECTIONS = put_in_place(MIDDLEWARES[os.environ["SESSION_MIDDLEWARE"]])
OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    before = OUTCOMES.get(report.nodeid, RANK[0])
    OUTCOMES[report.nodeid] = max(before, report.outcome, key=RANK.index)


def pytest_sessionfinish() -> None:
    found = {"connections": CONNECTIONS[0], "outcomes": OUTCOMES}
    Path(os.environ["SESSION_RESULT"]).write_text(json.dumps(found), encoding="utf-8")
