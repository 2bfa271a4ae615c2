"""What the pages for those who come from elsewhere say of old cookies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from itsdangerous import TimestampSigner

from .apps import app_that, show_session
from .browser import Browser
from .conftest import KEY
from .pages import OLD_KEY, Names, run_in_page, run_page
from .wire import set_cookie

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def starlette(names: Names) -> Any:
    """An app in Starlette's own middleware."""
    from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/login":
            scope["session"].update(user="ada")
        body = json.dumps(dict(scope["session"])).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    names["app"] = app
    return StarlettesMiddleware(app, KEY)


def test_starlettes_cookies_are_read_and_signed_anew(starlette: Any, names: Names) -> None:
    browser = Browser(starlette)
    browser.get("/login")
    browser.app = run_in_page("how-to/from-starlette.md", "import TimestampSigner", names)["app"]

    response = browser.get()

    assert response.json() == {"user": "ada"}
    assert response.all(b"set-cookie") == [set_cookie({"user": "ada"})]


@pytest.mark.parametrize(("before", "after"), [("starlette", "step_1"), ("step_1", "step_2"), ("step_2", "step_3")])
def test_servers_of_two_steps_from_starlette_read_each_others_cookies(
    before: str, after: str, starlette: Any, names: Names
) -> None:
    names["TimestampSigner"] = TimestampSigner
    steps = run_in_page("how-to/from-starlette.md", "step_1", names) | {"starlette": starlette}

    for signing, reading in ((before, after), (after, before)):
        browser = Browser(steps[signing])
        browser.get("/login")
        browser.app = steps[reading]
        assert browser.get().json() == {"user": "ada"}


def test_quarts_own_session_has_no_permanent(names: Names) -> None:
    from starlette.testclient import TestClient

    run_page("how-to/from-flask.md", names)

    async def remember() -> str:
        try:
            names["session"].permanent = True
        except AttributeError as error:
            return type(error).__name__
        return "it has"

    names["app"].add_url_rule("/remember", view_func=remember)

    assert TestClient(names["app"]).get("/remember").text == "AttributeError"


def test_quarts_own_session_is_the_one_in_the_scope(names: Names) -> None:
    from quart import Quart, flash, get_flashed_messages
    from quart.sessions import SecureCookieSessionInterface
    from starlette.testclient import TestClient

    run_page("how-to/from-flask.md", names)

    async def flash_hello() -> str:
        await flash("hello")
        return ""

    async def flashed() -> list[Any]:
        return list(get_flashed_messages())

    names["app"].add_url_rule("/flash", view_func=flash_hello)
    names["app"].add_url_rule("/flashed", view_func=flashed)
    before = Quart("before")
    before.secret_key = OLD_KEY
    signer = SecureCookieSessionInterface().get_signing_serializer(before)
    assert signer is not None
    client = TestClient(names["app"])
    client.cookies.set("session", str(signer.dumps({"user": "ada"})), domain="testserver.local")

    assert client.get("/").json() == {"user": "ada"}
    client.get("/flash")
    assert [client.get("/flashed").json(), client.get("/flashed").json()] == [["hello"], []]


# What Django 5.2 made at NOW with OLD_KEY as its SECRET_KEY, of two sessions.
PLAIN = "eyJfYXV0aF91c2VyX2lkIjoiNDIiLCJuYW1lIjoiWm9cdTAwZWIifQ:1xocE4:BjBdhXkPTf3jXaD0-dISTXCc1kpfJqo_7jlvyzqRnFc"
COMPRESSED = ".eJyrVkpOLCpRsopWKklNVNKhmIytBQDc7Rel:1xocE4:1jd62UBJBo0_9IOmUAvRN7wyuc3o8DE22mVDc4fA0V8"


@pytest.fixture
def after_django(names: Names) -> Any:
    names["app"] = app_that(show_session)
    return run_in_page("how-to/from-django.md", "class DjangoSigner", names)["app"]


@pytest.mark.parametrize(
    ("value", "read"),
    [(PLAIN, {"_auth_user_id": "42", "name": "Zoë"}), (COMPRESSED, {"cart": ["tea"] * 12})],
    ids=["plain", "compressed"],
)
def test_djangos_cookies_are_read_and_signed_anew(value: str, read: Any, after_django: Any) -> None:
    response = Browser(after_django, cookies={"sessionid": value}).get()

    assert response.json() == [read, None]
    assert response.all(b"set-cookie") == [set_cookie(read, name="sessionid")]
