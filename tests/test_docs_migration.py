"""What the pages for those who come from elsewhere say of old cookies."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pytest
import time_machine
from itsdangerous import Signer, TimestampSigner

from .apps import app_that, show_session
from .browser import Browser
from .conftest import KEY, NOW
from .pages import OLD_KEY, Names, run_in_page, run_page
from .wire import set_cookie

DAY = 86400  # seconds

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


@pytest.fixture(params=["flask", "quart"])
def sign_as_before(request: pytest.FixtureRequest) -> Any:
    """Makes the cookie values of an app whose SECRET_KEY is the old key."""
    import flask
    import flask.sessions
    import quart
    import quart.sessions

    if request.param == "flask":
        flask_app = flask.Flask("before")
        flask_app.secret_key = OLD_KEY
        serializer = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(flask_app)
    else:
        quart_app = quart.Quart("before")
        quart_app.secret_key = OLD_KEY
        serializer = quart.sessions.SecureCookieSessionInterface().get_signing_serializer(quart_app)
    assert serializer is not None
    return serializer.dumps


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ({"user": "Zoë"}, {"user": "Zoë"}),
        ({"cart": ["tea"] * 50}, {"cart": ["tea"] * 50}),  # compressed
        ({"_flashes": [("message", "hi")]}, {"_flashes": [["message", "hi"]]}),
        ({"nested": {"one": ({"a": (1,)},)}}, {"nested": {"one": [{"a": [1]}]}}),
        ({"bytes": b"\xff"}, {"bytes": "/w=="}),
        ({"uuid": UUID(int=1)}, {"uuid": "00000000000000000000000000000001"}),
        ({"at": datetime.fromtimestamp(NOW, timezone.utc)}, {"at": "Fri, 15 Jan 2027 08:00:00 GMT"}),
    ],
)
def test_flasks_and_quarts_cookies_are_read_and_signed_anew(
    content: Any, read: Any, sign_as_before: Any, names: Names
) -> None:
    names["app"] = app_that(show_session)
    run_in_page("how-to/from-flask.md", "class FlaskSigner", names)

    response = Browser(names["app"], cookies={"session": sign_as_before(content)}).get()

    assert response.json() == [read, None]
    assert response.all(b"set-cookie") == [set_cookie(read)]


def test_the_age_of_flasks_and_quarts_cookies_counts(
    sign_as_before: Any, names: Names, clock: time_machine.Traveller
) -> None:
    names["app"] = app_that(show_session)
    run_in_page("how-to/from-flask.md", "class FlaskSigner", names)
    browser = Browser(names["app"], cookies={"session": sign_as_before({"user": "ada"})})

    clock.shift(14 * DAY + 1)

    assert browser.get().json() == [{}, "expired"]


def test_flasks_cookies_of_another_key_are_not_read(names: Names) -> None:
    names["app"] = app_that(show_session)
    run_in_page("how-to/from-flask.md", "class FlaskSigner", names)
    value = names["FlaskSigner"](KEY).sign("eyJ1c2VyIjoiYWRhIn0").decode()

    assert Browser(names["app"], cookies={"session": value}).get().json() == [{}, "bad-signature"]


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


def test_quarts_own_session_is_the_one_in_the_scope(sign_as_before: Any, names: Names) -> None:
    from quart import flash, get_flashed_messages
    from starlette.testclient import TestClient

    run_page("how-to/from-flask.md", names)

    async def flash_hello() -> str:
        await flash("hello")
        return ""

    async def flashed() -> list[Any]:
        return list(get_flashed_messages())

    names["app"].add_url_rule("/flash", view_func=flash_hello)
    names["app"].add_url_rule("/flashed", view_func=flashed)
    client = TestClient(names["app"])
    client.cookies.set("session", sign_as_before({"user": "ada"}), domain="testserver.local")

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


@pytest.mark.skipif(not find_spec("django"), reason="Django is not installed")
def test_cookies_of_the_django_that_is_installed_are_read(after_django: Any) -> None:
    from django.core import signing

    value = signing.TimestampSigner(
        key=OLD_KEY, salt="django.contrib.sessions.backends.signed_cookies", fallback_keys=()
    ).sign_object({"user": "ada"}, compress=True)

    assert Browser(after_django, cookies={"sessionid": value}).get().json() == [{"user": "ada"}, None]


@pytest.mark.parametrize("value", [PLAIN.replace("1xocE4", "1xocE5"), PLAIN.replace(":", "."), f"{PLAIN}A"])
def test_what_django_did_not_sign_is_rejected(value: str, after_django: Any) -> None:
    assert Browser(after_django, cookies={"sessionid": value}).get().json() == [{}, "bad-signature"]


def test_a_pickle_that_django_signed_is_rejected(names: Names, after_django: Any) -> None:
    value = Signer.sign(names["DjangoSigner"](OLD_KEY), "gASVDwAAAAAAAAB9lIwEdXNlcpSMA2FkYZRzLg:1xocE4").decode()

    assert Browser(after_django, cookies={"sessionid": value}).get().json() == [{}, "bad-signature"]


def test_the_age_of_djangos_cookies_counts(after_django: Any, clock: time_machine.Traveller) -> None:
    clock.shift(14 * DAY + 1)

    assert Browser(after_django, cookies={"sessionid": PLAIN}).get().json() == [{}, "expired"]
