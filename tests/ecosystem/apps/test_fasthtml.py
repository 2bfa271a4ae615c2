"""An app with FastHTML: toasts that wait for the page that shows them, and a sign-in by a beforeware."""

from __future__ import annotations

from typing import Any

import pytest
from fasthtml.common import Beforeware, FastHTML, P, RedirectResponse, Titled, add_toast, setup_toasts

KEY = "the key of an app with FastHTML"


# FastHTML gives to a parameter without an annotation what its name says.
def sign_in_first(req, session):
    req.scope["auth"] = session.get("user")
    return None if req.scope["auth"] else RedirectResponse("/login", status_code=303)


@pytest.fixture
def visitor(visit: Any) -> Any:
    skipped = ["/login", "/toast/.*", "/toasts", "/nothing"]
    app = FastHTML(secret_key=KEY, before=Beforeware(sign_in_first, skip=skipped))
    setup_toasts(app)

    @app.get("/toast/{words}")
    def toast(session, words: str):
        add_toast(session, words, "info")
        return RedirectResponse("/nothing", status_code=303)

    @app.get("/toasts")
    def toasts(session):
        return Titled("Toasts", P("shown"))

    @app.get("/login")
    def login(session, user: str = ""):
        if user:
            session["user"] = user
        return P("signed in" if user else "sign in")

    @app.get("/logout")
    def logout(session):
        session.clear()
        return P("signed out")

    @app.get("/")
    def home(auth):
        return P(f"Hello {auth}")

    return visit(app)


def test_a_toast_survives_the_redirect_and_is_shown_once(visitor: Any) -> None:
    visitor.get("/toast/first")

    assert [visitor.get("/toasts").text.count("first") for _ in range(2)] == [1, 0]


def test_a_second_toast_joins_one_that_waits(visitor: Any) -> None:
    visitor.get("/toast/first")
    visitor.get("/toast/second")

    page = visitor.get("/toasts").text

    assert [page.count(words) for words in ("first", "second")] == [1, 1]


def test_who_has_signed_in_is_known_until_she_signs_out(visitor: Any) -> None:
    assert visitor.get("/").headers["location"] == "/login"

    visitor.get("/login?user=ada")

    assert "Hello ada" in visitor.get("/").text
    visitor.get("/logout")
    assert visitor.get("/").headers["location"] == "/login"
