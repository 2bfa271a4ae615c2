"""An app with kupala: its sign-in, and its check of forms against forgery, whose token is in the session."""

from __future__ import annotations

from typing import Any

import pytest
from kupala.authentication import SessionBackend, login, logout
from kupala.exceptions import PermissionDenied
from kupala.middleware.csrf import CSRFMiddleware, get_csrf_token
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


class User(SimpleUser):
    @property
    def identity(self) -> str:
        return self.username


async def find_user(connection: HTTPConnection, name: str) -> User:
    return User(name)


async def sign_in(request: Request) -> Response:
    await login(request, User(request.query_params["name"]))
    return PlainTextResponse("signed in")


async def sign_out(request: Request) -> Response:
    await logout(request)
    return PlainTextResponse("signed out")


async def whoami(request: Request) -> Response:
    return PlainTextResponse(request.user.display_name)


async def token(request: Request) -> Response:
    return PlainTextResponse(get_csrf_token(request) or "")


class Refusing(CSRFMiddleware):
    """kupala's check wants a session at start-up, too, where there is none, and leaves its error to the app."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        except PermissionDenied:
            await PlainTextResponse("refused", 403)(scope, receive, send)


@pytest.fixture
def visitor(visit: Any) -> Any:
    middleware = [
        Middleware(SessionMiddleware, secret_key="the key of an app with kupala"),
        Middleware(Refusing, secret_key="the key of its tokens"),
        Middleware(AuthenticationMiddleware, backend=SessionBackend(find_user)),
    ]
    pages = {"/login": sign_in, "/logout": sign_out, "/token": token}
    routes = [Route("/", whoami, methods=["GET", "POST"]), *(Route(path, page) for path, page in pages.items())]
    return visit(Starlette(routes=routes, middleware=middleware))


def test_who_has_signed_in_is_known_until_she_signs_out(visitor: Any) -> None:
    visitor.get("/login?name=ada")

    assert [visitor.get("/").text for _ in range(2)] == ["ada", "ada"]
    visitor.get("/logout")
    assert visitor.get("/").text == ""


def test_a_form_with_its_token_is_taken_and_one_without_is_not(visitor: Any) -> None:
    token = visitor.get("/token").text

    assert visitor.post("/", headers={"x-csrf-token": token}).status_code == 200
    assert visitor.post("/", headers={"x-csrf-token": "forged"}).status_code == 403


def test_a_token_of_another_visitor_is_refused(visitor: Any) -> None:
    token = visitor.get("/token").text
    visitor.cookies.clear()
    own = visitor.get("/token").text

    assert visitor.post("/", headers={"x-csrf-token": token}).status_code == 403
    assert visitor.post("/", headers={"x-csrf-token": own}).status_code == 200


def test_a_token_lives_on_when_its_visitor_signs_in(visitor: Any) -> None:
    token = visitor.get("/token").text
    visitor.get("/login?name=ada")

    assert visitor.post("/", headers={"x-csrf-token": token}).text == "ada"
