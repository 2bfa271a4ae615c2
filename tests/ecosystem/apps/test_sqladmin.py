"""An admin with sqladmin, as its documentation sets it up: sign in, sign out, its flashes, its forms."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from sqladmin import Admin, BaseView, ModelView, expose
from sqladmin.authentication import AuthenticationBackend
from sqladmin.flash import Flash
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.responses import RedirectResponse


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Books(ModelView, model=Book):
    column_list = (Book.title,)


class Notes(BaseView):
    name = "Notes"

    @expose("/note", methods=["GET"])
    async def note(self, request: Request) -> Any:
        Flash.success(request, request.query_params["words"])
        return RedirectResponse("/done", 303)


class Authentication(AuthenticationBackend):
    async def login(self, request: Request) -> bool:
        form = await request.form()
        request.session.update({"user_id": str(form["username"])})
        return form["password"] == "right"

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return "user_id" in request.session


@pytest.fixture
def visitor(visit: Any) -> Any:
    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    Base.metadata.create_all(engine)
    app = FastAPI()
    admin = Admin(app, engine, authentication_backend=Authentication("the key of an app with sqladmin"))
    admin.add_view(Books)
    admin.add_view(Notes)
    return visit(app)


def sign_in(visitor: Any) -> None:
    visitor.post("/admin/login", data={"username": "ada", "password": "right"})


def test_who_has_signed_in_is_known_until_she_signs_out(visitor: Any) -> None:
    assert visitor.get("/admin/").headers["location"].endswith("/admin/login")

    sign_in(visitor)

    assert visitor.get("/admin/").status_code == 200
    visitor.get("/admin/logout")
    assert visitor.get("/admin/").status_code == 302
    assert list(visitor.cookies) == []


def test_a_forged_cookie_signs_nobody_in(visitor: Any) -> None:
    sign_in(visitor)
    name, value = next(iter(visitor.cookies.items()))
    visitor.cookies.clear()
    visitor.cookies.set(name, "x" + value[1:], domain="127.0.0.1")

    assert visitor.get("/admin/").status_code == 302


def test_what_is_saved_in_a_form_is_listed(visitor: Any) -> None:
    sign_in(visitor)

    visitor.post("/admin/book/create", data={"title": "Sketch of the Engine", "save": "Save"})

    assert "Sketch of the Engine" in visitor.get("/admin/book/list").text


def test_a_flash_survives_the_redirect_and_is_shown_once(visitor: Any) -> None:
    sign_in(visitor)
    visitor.get("/admin/note?words=Saved+it")

    assert ["Saved it" in visitor.get("/admin/book/list").text for _ in range(2)] == [True, False]


def test_a_second_flash_joins_one_that_waits(visitor: Any) -> None:
    sign_in(visitor)
    visitor.get("/admin/note?words=Saved+it")
    visitor.get("/admin/note?words=Sent+it")

    page = visitor.get("/admin/book/list").text

    assert [words in page for words in ("Saved it", "Sent it")] == [True, True]
