"""An app with imia: sign in, sign out, and be somebody else for a while."""

from __future__ import annotations

from typing import Any

import pytest
from imia import AuthenticationMiddleware, ImpersonationMiddleware, InMemoryProvider, LoginManager, SessionAuthenticator
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "the key of an app with imia"


class User:
    def __init__(self, name: str, scopes: tuple[str, ...] = ()) -> None:
        self.name, self.scopes = name, scopes

    def get_id(self) -> str:
        return self.name

    def get_display_name(self) -> str:
        return self.name.title()

    def get_hashed_password(self) -> str:
        return f"the password of {self.name}"

    def get_scopes(self) -> list[str]:
        return list(self.scopes)


class Plain:
    def verify(self, plain: str, hashed: str) -> bool:
        return plain == hashed


USERS = InMemoryProvider({"ada": User("ada", ("auth:impersonate_others",)), "bob": User("bob")})
MANAGER = LoginManager(USERS, Plain(), KEY)


async def login(request: Request) -> Response:
    name, password = request.query_params["name"], request.query_params["password"]
    return JSONResponse(bool(await MANAGER.login(request, name, password)))


async def logout(request: Request) -> Response:
    await MANAGER.logout(request)
    return JSONResponse(None)


async def whoami(request: Request) -> Response:
    return JSONResponse(request.scope["auth"].display_name)


@pytest.fixture
def visitor(visit: Any) -> Any:
    middleware = [
        Middleware(SessionMiddleware, secret_key=KEY),
        Middleware(AuthenticationMiddleware, authenticators=[SessionAuthenticator(USERS)]),
        Middleware(ImpersonationMiddleware, user_provider=USERS),
    ]
    routes = [Route("/login", login), Route("/logout", logout), Route("/", whoami)]
    return visit(Starlette(routes=routes, middleware=middleware))


def sign_in(visitor: Any, name: str) -> bool:
    return bool(visitor.get("/login", params={"name": name, "password": f"the password of {name}"}).json())


def test_who_has_signed_in_is_known_until_she_signs_out(visitor: Any) -> None:
    stranger = visitor.get("/").json()

    assert sign_in(visitor, "ada")
    assert [visitor.get("/").json() for _ in range(2)] == ["Ada", "Ada"]
    visitor.get("/logout")
    assert visitor.get("/").json() == stranger
    assert list(visitor.cookies) == []


def test_a_wrong_password_signs_nobody_in(visitor: Any) -> None:
    stranger = visitor.get("/").json()

    assert not visitor.get("/login?name=ada&password=wrong").json()
    assert visitor.get("/").json() == stranger


def test_another_user_who_signs_in_takes_the_session_over(visitor: Any) -> None:
    sign_in(visitor, "ada")
    sign_in(visitor, "bob")

    assert visitor.get("/").json() == "Bob"


def test_who_may_is_somebody_else_until_she_stops(visitor: Any) -> None:
    sign_in(visitor, "ada")

    names = [visitor.get(path).json() for path in ("/?_impersonate=bob", "/", "/?_impersonate=__exit__", "/")]

    assert names == ["Bob", "Bob", "Ada", "Ada"]


def test_who_may_not_stays_himself(visitor: Any) -> None:
    sign_in(visitor, "bob")

    assert visitor.get("/?_impersonate=ada").json() == "Bob"
