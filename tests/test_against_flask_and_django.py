"""Held against the sessions of Flask, Quart and Django: which of their cookies can be read, how, and what can't."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import flask
import pytest
import quart
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import BadSignature
from markupsafe import Markup

from asgi_signed_session import SessionMiddleware

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap
from .pages import make_names, run_in_page
from .wire import set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

THEIR_KEY = "the key that the app had before the move"
OLD_KEY = "the key that the app had before that"

DAY = 86400
FlaskSigner = run_in_page("how-to/from-flask.md", "class FlaskSigner", make_names())["FlaskSigner"]
DjangoSigner = run_in_page("how-to/from-django.md", "class DjangoSigner", make_names())["DjangoSigner"]
FLASKS = {"max_age": 31 * DAY, "fallbacks": [FlaskSigner(THEIR_KEY)]}
DJANGOS = {"session_cookie": "sessionid", "fallbacks": [DjangoSigner(THEIR_KEY)]}
ONE_MONTH = "path=/; Max-Age=2678400; httponly; samesite=lax"

LONG = {"user": "ada", "cart": ["tea"] * 100}  # longer than it is compressed

Sign = Callable[..., str]


def flask_cookie(content: dict[str, Any], key: str = THEIR_KEY) -> str:
    """The value of the cookie that a Flask app sets."""
    app = flask.Flask(__name__)
    app.secret_key = key
    app.add_url_rule("/", view_func=lambda: flask.session.update(content) or "")
    client = app.test_client()
    client.get("/")
    return value_of(client.get_cookie("session"))


def quart_cookie(content: dict[str, Any], key: str = THEIR_KEY) -> str:
    """The value of the cookie that a Quart app sets."""
    app = quart.Quart(__name__)
    app.secret_key = key

    @app.get("/")
    async def _() -> str:
        quart.session.update(content)
        return ""

    response = asyncio.run(app.test_client().get("/"))
    return response.headers["set-cookie"].partition("=")[2].partition(";")[0]


def value_of(cookie: Any) -> str:
    value: str = cookie.value
    return value


def django_cookie(content: dict[str, Any], key: str = THEIR_KEY, **options: Any) -> str:
    """The value of the cookie that Django's session middleware sets."""
    from django.conf import settings
    from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
    from django.http import HttpResponse
    from django.test import RequestFactory, override_settings

    if not settings.configured:
        settings.configure(SECRET_KEY=KEY)

    def view(request: Any) -> Any:
        request.session.update(content)
        return HttpResponse()

    engine = "django.contrib.sessions.backends.signed_cookies"
    with override_settings(SESSION_ENGINE=engine, SECRET_KEY=key, **options):
        response: Any = DjangosMiddleware(view)(RequestFactory().get("/"))
        return value_of(response.cookies["sessionid"])


NEEDS_DJANGO = pytest.mark.skipif(find_spec("django") is None, reason="django is not installed")
FLASK = pytest.param(flask_cookie, FLASKS, id="flask")
QUART = pytest.param(quart_cookie, FLASKS, id="quart")
DJANGO = pytest.param(django_cookie, DJANGOS, id="django", marks=NEEDS_DJANGO)
EACH = pytest.mark.parametrize(("sign_as_they_do", "options"), [FLASK, QUART, DJANGO])
FLASK_AND_QUART = pytest.mark.parametrize("sign_as_they_do", [flask_cookie, quart_cookie])


def open_with(wrap: Wrap, value: str, options: dict[str, Any]) -> Browser:
    """A browser of our app that still has the cookie of theirs."""
    browser = wrap(visit, **options)
    browser.cookies[options.get("session_cookie", "session")] = value
    return browser


def why_rejected(value: str, options: dict[str, Any]) -> str | None:
    """What the session says of a cookie with that value."""
    rejected: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        rejected.append(scope["session"].rejected)

    name = options.get("session_cookie", "session")
    Browser(SessionMiddleware(app, KEY, **options), cookies={name: value}).get()
    return rejected[0]


class PythonSerializer:
    """Writes what JSON can't read, as Django's PickleSerializer did."""

    def dumps(self, obj: Any) -> bytes:
        return repr(obj).encode()

    def loads(self, data: bytes) -> Any:
        raise NotImplementedError


# What can be read


@EACH
@pytest.mark.parametrize("content", [{"user": "ada"}, LONG], ids=["short", "compressed"])
def test_a_cookie_of_theirs_is_read(
    wrap: Wrap, sign_as_they_do: Sign, options: dict[str, Any], content: dict[str, Any]
) -> None:
    value = sign_as_they_do(content)
    browser = open_with(wrap, value, options)

    assert value.startswith(".") is (content is LONG)
    assert browser.get("/whoami").json() == content


@pytest.mark.parametrize(
    ("sign_as_they_do", "options", "name", "attributes"),
    [
        pytest.param(flask_cookie, FLASKS, "session", ONE_MONTH, id="flask"),
        pytest.param(quart_cookie, FLASKS, "session", ONE_MONTH, id="quart"),
        pytest.param(
            django_cookie,
            DJANGOS,
            "sessionid",
            "path=/; Max-Age=1209600; httponly; samesite=lax",
            id="django",
            marks=NEEDS_DJANGO,
        ),
    ],
)
def test_a_session_of_theirs_is_signed_anew_as_one_of_ours_when_it_is_accessed(
    wrap: Wrap, sign_as_they_do: Sign, options: dict[str, Any], name: str, attributes: str
) -> None:
    browser = open_with(wrap, sign_as_they_do({"user": "ada"}), options)

    assert browser.get("/").all(b"set-cookie") == []
    assert browser.get("/whoami").all(b"set-cookie") == [set_cookie({"user": "ada"}, attributes, name=name)]
    assert browser.get("/whoami").all(b"set-cookie") == []


@EACH
def test_a_cookie_of_theirs_signed_with_another_key_is_not_read(
    wrap: Wrap, sign_as_they_do: Sign, options: dict[str, Any]
) -> None:
    browser = open_with(wrap, sign_as_they_do({"user": "ada"}, OLD_KEY), options)

    assert browser.get("/whoami").json() == {}


@EACH
def test_a_cookie_of_theirs_that_was_changed_is_not_read(
    wrap: Wrap, sign_as_they_do: Sign, options: dict[str, Any]
) -> None:
    value = sign_as_they_do({"user": "ada"})
    other = "B" if value[-2] == "A" else "A"  # not the last letter, some of whose bits belong to no byte
    browser = open_with(wrap, f"{value[:-2]}{other}{value[-1]}", options)

    assert browser.get("/whoami").json() == {}


@pytest.mark.parametrize(
    ("sign_as_they_do", "signer"),
    [(flask_cookie, FlaskSigner), pytest.param(django_cookie, DjangoSigner, marks=NEEDS_DJANGO)],
)
def test_a_key_older_than_theirs_is_one_more_fallback(wrap: Wrap, sign_as_they_do: Sign, signer: Any) -> None:
    name = "session" if signer is FlaskSigner else "sessionid"
    options = {"session_cookie": name, "fallbacks": [signer(THEIR_KEY), signer(OLD_KEY)]}
    browser = open_with(wrap, sign_as_they_do({"user": "ada"}, OLD_KEY), options)

    assert browser.get("/whoami").json() == {"user": "ada"}


@pytest.mark.parametrize(
    ("sign_as_they_do", "options", "days"),
    [
        pytest.param(flask_cookie, FLASKS, 31, id="flask"),
        pytest.param(quart_cookie, FLASKS, 31, id="quart"),
        pytest.param(django_cookie, DJANGOS, 14, id="django", marks=NEEDS_DJANGO),
    ],
)
def test_a_cookie_of_theirs_expires_when_theirs_would(
    wrap: Wrap, clock: Any, sign_as_they_do: Sign, options: dict[str, Any], days: int
) -> None:
    browser = open_with(wrap, sign_as_they_do({"user": "ada"}), options)

    clock.move_to(NOW + days * DAY + 1)
    assert browser.get("/whoami").json() == {}

    clock.move_to(NOW + days * DAY)
    assert browser.get("/whoami").json() == {"user": "ada"}


@EACH
def test_a_session_began_when_they_signed_it(
    wrap: Wrap, clock: Any, sign_as_they_do: Sign, options: dict[str, Any]
) -> None:
    value = sign_as_they_do({"user": "ada"})
    clock.shift(60)

    browser = wrap(app_that(lambda scope: [scope["session"].issued_at, scope["session"].signed_at]), **options)
    browser.cookies[options.get("session_cookie", "session")] = value

    assert browser.get().json() == [NOW, NOW]


@pytest.mark.parametrize("signer", [FlaskSigner(THEIR_KEY), DjangoSigner(THEIR_KEY)])
@given(st.binary(max_size=100))
def test_no_bytes_make_a_recipe_raise_what_the_middleware_lets_out(signer: Any, value: bytes) -> None:
    with pytest.raises(BadSignature):
        signer.unsign(value)

    Browser(SessionMiddleware(visit, KEY, fallbacks=[signer])).get(
        "/whoami", headers=[(b"cookie", b"session=" + value)]
    )


# Flask's tags


@FLASK_AND_QUART
@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (b"\xff\xfe", "//4="),
        (Markup("<b>ada</b>"), "<b>ada</b>"),
        (UUID(int=7), "00000000000000000000000000000007"),
        (datetime(2027, 1, 15, 8, tzinfo=timezone.utc), "Fri, 15 Jan 2027 08:00:00 GMT"),
        ({" t": [1]}, {" t": [1]}),  # looks like a tag
        ({" di": {" t__": 1}}, {" di": {" t__": 1}}),
        ({" other": 1}, {" other": 1}),
        ({}, {}),
        ({"a": 1, " t": 2}, {"a": 1, " t": 2}),
        ([("info", "Saved.")], [["info", "Saved."]]),  # as flash() keeps it
        (None, None),
    ],
)  # fmt: skip
def test_what_flask_marks_with_a_tag_comes_without(wrap: Wrap, sign_as_they_do: Sign, value: Any, becomes: Any) -> None:
    browser = open_with(wrap, sign_as_they_do({"value": value}), FLASKS)

    assert browser.get("/whoami").json() == {"value": becomes}


def test_a_whole_session_that_looks_like_a_tag_is_read(wrap: Wrap) -> None:
    browser = open_with(wrap, flask_cookie({" t": "tea"}), FLASKS)

    assert browser.get("/whoami").json() == {" t": "tea"}


# Django


@NEEDS_DJANGO
def test_what_django_keeps_of_a_login_comes_along(wrap: Wrap) -> None:
    content = {"_auth_user_id": "42", "_auth_user_backend": "django.contrib.auth.backends.ModelBackend"}
    browser = open_with(wrap, django_cookie(content), DJANGOS)

    assert browser.get("/whoami").json() == content


@NEEDS_DJANGO
def test_a_session_that_django_does_not_write_as_json_is_malformed() -> None:
    value = django_cookie({"user": "ada"}, SESSION_SERIALIZER=f"{__name__}.PythonSerializer")

    assert why_rejected(value, DJANGOS) == "malformed"


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("qbw3gmlzcd4tnfu0oqdz9ud2q8jqrnhv", DJANGOS),  # the key of a session in Django's database
        (sign({"user": "ada"}), DJANGOS),  # signed for another cookie's name
        ("eyJ1c2VyIjoiYWRhIn0", FLASKS),
    ],
    ids=["a key of Django's database", "signed for another cookie", "not signed"],
)
def test_what_is_no_signed_cookie_of_theirs_is_a_bad_signature(value: str, options: dict[str, Any]) -> None:
    assert why_rejected(value, options) == "bad-signature"
