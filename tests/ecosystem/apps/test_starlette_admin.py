"""An admin with starlette-admin, whose sign-in is kept in the session."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette_admin.auth import AdminUser, AuthProvider, LoginFailed
from starlette_admin.contrib.sqla import Admin, ModelView

KEY = "the key of an app with starlette-admin"


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Provider(AuthProvider):
    async def login(self, username: str, password: str, remember_me: bool, request: Request) -> None:
        if password != "right":
            raise LoginFailed("That is wrong.")
        request.session["user"] = username

    async def logout(self, request: Request) -> None:
        request.session.clear()

    async def authenticate(self, request: Request) -> AdminUser | None:
        name = request.session.get("user")
        return AdminUser(name) if name else None


@pytest.fixture
def visitor(visit: Any) -> Any:
    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    Base.metadata.create_all(engine)
    sessions = [Middleware(SessionMiddleware, secret_key=KEY)]
    admin = Admin(engine, auth_provider=Provider(), secret_key=KEY, middlewares=sessions)
    admin.add_view(ModelView(Book))
    app = Starlette()
    admin.mount_to(app)
    return visit(app)


def post(visitor: Any, path: str, **data: str) -> Any:
    visitor.get("/admin/login")
    return visitor.post(path, data=data, headers={"x-csrftoken": visitor.cookies["starlette_admin_csrftoken"]})


def sign_in(visitor: Any, password: str = "right") -> Any:
    return post(visitor, "/admin/login", username="ada", password=password)


def test_who_has_signed_in_is_known_until_she_signs_out(visitor: Any) -> None:
    assert "/admin/login" in visitor.get("/admin/").headers["location"]

    assert sign_in(visitor).status_code == 303
    assert [visitor.get("/admin/").status_code for _ in range(2)] == [200, 200]
    assert "ada" in visitor.get("/admin/").text
    post(visitor, "/admin/logout")
    assert visitor.get("/admin/").status_code == 303


def test_a_wrong_password_signs_nobody_in(visitor: Any) -> None:
    assert sign_in(visitor, "wrong").status_code == 400
    assert visitor.get("/admin/").status_code == 303


def test_a_forged_cookie_signs_nobody_in(visitor: Any) -> None:
    sign_in(visitor)
    value = visitor.cookies["session"]
    visitor.cookies.delete("session")
    visitor.cookies.set("session", "x" + value[1:], domain="127.0.0.1")

    assert visitor.get("/admin/").status_code == 303
