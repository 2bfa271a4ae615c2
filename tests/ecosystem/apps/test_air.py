"""An app with air, whose session middleware is a class of its own made from Starlette's."""

from __future__ import annotations

from typing import Any

import air
import pytest


@pytest.fixture
def visitor(visit: Any) -> Any:
    app = air.Air()
    app.add_middleware(air.SessionMiddleware, secret_key="the key of an app with air", session_cookie="air")

    @app.get("/")
    async def index(request: air.Request) -> Any:
        request.session.setdefault("first", request.url.query)
        return air.H1(request.session["first"])

    @app.get("/reset")
    async def reset(request: air.Request) -> Any:
        request.session.pop("first")
        return air.RedirectResponse("/?again", status_code=303)

    return visit(app)


def test_what_came_first_stays_until_it_is_reset(visitor: Any) -> None:
    pages = [visitor.get(path, follow_redirects=True).text for path in ("/?one", "/?two", "/reset", "/?three")]

    assert pages == ["<h1>one</h1>", "<h1>one</h1>", "<h1>again</h1>", "<h1>again</h1>"]


def test_its_class_takes_the_options_of_starlettes(visitor: Any) -> None:
    visitor.get("/?one")

    assert list(visitor.cookies) == ["air"]
