"""An app with starlette-flash: messages that wait for the page that shows them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette_flash import flash

NOTED = [{"category": "success", "message": "first"}, {"category": "error", "message": "second"}]


async def note(request: Request) -> Response:
    for category, message in request.query_params.multi_items():
        flash(request).add(message, category)
    return RedirectResponse("/done", 303)


async def done(request: Request) -> Response:
    return Response("done")


async def show(request: Request) -> Response:
    return JSONResponse(list(flash(request)))


async def show_errors(request: Request) -> Response:
    return JSONResponse(list(flash(request).get_by_category("error")))


async def peek(request: Request) -> Response:
    bag = flash(request)
    return JSONResponse({"length": len(bag), "any": bool(bag), "all": bag.all()})


async def clear(request: Request) -> Response:
    flash(request).clear()
    return Response("cleared")


@pytest.fixture
def visitor(visit: Any) -> Any:
    endpoints = {"/note": note, "/done": done, "/show": show, "/errors": show_errors, "/peek": peek, "/clear": clear}
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    middleware = [Middleware(SessionMiddleware, secret_key="the key of an app with flashes")]
    return visit(Starlette(routes=routes, middleware=middleware))


def test_a_message_survives_the_redirect(visitor: Any) -> None:
    visitor.get("/note?success=first", follow_redirects=True)

    assert visitor.get("/show").json() == NOTED[:1]


def test_two_messages_of_one_request_are_shown(visitor: Any) -> None:
    visitor.get("/note?success=first&error=second")

    assert visitor.get("/show").json() == NOTED


def test_a_second_message_joins_one_that_waits(visitor: Any) -> None:
    visitor.get("/note?success=first")
    visitor.get("/note?error=second")

    assert visitor.get("/show").json() == NOTED


def test_a_message_is_shown_once(visitor: Any) -> None:
    visitor.get("/note?success=first")
    visitor.get("/show")

    assert visitor.get("/show").json() == []


def test_messages_of_one_category_are_taken_and_the_others_stay(visitor: Any) -> None:
    visitor.get("/note?success=first&error=second")

    assert visitor.get("/errors").json() == NOTED[1:]
    assert visitor.get("/show").json() == NOTED[:1]


def test_looking_takes_no_message(visitor: Any) -> None:
    visitor.get("/note?success=first")

    looked = [visitor.get("/peek").json() for _ in range(2)]

    assert looked == [{"length": 1, "any": True, "all": NOTED[:1]}] * 2


def test_messages_that_are_cleared_are_gone(visitor: Any) -> None:
    visitor.get("/note?success=first")
    visitor.get("/clear")

    assert visitor.get("/peek").json() == {"length": 0, "any": False, "all": []}


def test_a_message_after_others_were_shown_is_shown(visitor: Any) -> None:
    visitor.get("/note?success=first")
    visitor.get("/show")
    visitor.get("/note?error=second")

    assert visitor.get("/show").json() == NOTED[1:]
