"""Code that was written for Starlette's middleware and looks into it: on ours it works, or it is told what to do."""

from __future__ import annotations

import copy
import inspect
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha384, sha512
from typing import Any

import orjson
import pytest
import starlette.middleware.sessions
import time_machine
from itsdangerous import BadSignature, HMACAlgorithm, SignatureExpired, TimestampSigner
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware

from asgi_signed_session import SessionMiddleware, SessionSigner
from asgi_signed_session.serializers import Tagged

from .apps import app_that, show_session, visit
from .browser import Browser
from .conftest import KEY
from .records import Records
from .wire import make_signer, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

OLD_KEY = "the key that has signed until now"
# Any: an older Starlette has fewer options, and a class of the user's may do what a checker would forbid.
Middleware: Any = SessionMiddleware
Starlettes: Any = StarlettesMiddleware

OPTIONS: list[dict[str, Any]] = [
    options
    for options in (
        {},
        {"session_cookie": "sid", "max_age": 60, "path": "/app"},
        {"max_age": None, "same_site": "strict", "domain": "example.com"},
        {"https_only": True, "same_site": "none", "domain": "example.com"},
        {"https_only": True, "partitioned": True, "domain": "example.com"},
    )
    if {*options} <= {*inspect.signature(StarlettesMiddleware).parameters}
]
NAMES = ["signer", "session_cookie", "max_age", "path", "security_flags", "scope_key"]

whoami = app_that(lambda scope: dict(scope["session"]))


class WithStarlettesCall(Middleware):  # type: ignore[misc]
    """As a class that has copied what it was to change a little."""

    __call__ = Starlettes.__call__


# To be read


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
@pytest.mark.parametrize("name", ["session_cookie", "max_age", "path", "security_flags"])
def test_each_attribute_says_what_starlettes_says(name: str, options: dict[str, Any]) -> None:
    theirs, ours = (getattr(middleware(visit, KEY, **options), name) for middleware in (Starlettes, Middleware))

    assert ours == theirs


def test_the_flags_of_a_cookie_that_is_secure_on_https_are_those_on_http() -> None:
    middleware = SessionMiddleware(visit, KEY)

    [line] = Browser(middleware).get("/login").all(b"set-cookie")

    assert line.decode().endswith(f"; Max-Age=1209600; {middleware.security_flags}")


def test_the_key_of_the_scope_is_said_too() -> None:
    assert SessionMiddleware(visit, KEY, scope_key="admin").scope_key == "admin"


def test_the_app_may_be_replaced() -> None:
    middleware = SessionMiddleware(visit, KEY)

    middleware.app = app_that(lambda scope: "another")

    assert Browser(middleware).get().json() == "another"


def test_a_copy_does_as_the_middleware_does() -> None:
    middleware = SessionMiddleware(visit, KEY, "sid", 60)
    copied = copy.copy(middleware)

    assert [getattr(copied, name) for name in NAMES] == [getattr(middleware, name) for name in NAMES]
    assert Browser(copied).get("/login").messages == Browser(middleware).get("/login").messages


# The signer


def with_key(**options: Any) -> SessionMiddleware:
    return SessionMiddleware(whoami, KEY, **options)


MADE: dict[str, Callable[[], SessionMiddleware]] = {
    "a key": with_key,
    "a key and another cookie's name": lambda: with_key(session_cookie="sid"),
    "Starlette's signer": lambda: SessionMiddleware(whoami, TimestampSigner(KEY)),
    "a key and an older one": lambda: with_key(fallbacks=[OLD_KEY]),
    "a key, Starlette's signer and an older key": lambda: with_key(fallbacks=[TimestampSigner(KEY), OLD_KEY]),
    "Starlette's signer and a key": lambda: SessionMiddleware(whoami, TimestampSigner(KEY), fallbacks=[KEY]),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_its_signer_signs_is_a_session(make: Callable[[], SessionMiddleware]) -> None:
    middleware = make()
    value = middleware.signer.sign(b64encode(json.dumps({"user": "ada"}).encode())).decode()

    assert Browser(middleware, cookies={middleware.session_cookie: value}).get().json() == {"user": "ada"}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_its_signer_reads_what_the_middleware_has_signed(make: Callable[[], SessionMiddleware]) -> None:
    middleware = make()
    middleware.app = visit
    browser = Browser(middleware)
    browser.get("/login")

    signed = middleware.signer.unsign(browser.cookies[middleware.session_cookie], max_age=middleware.max_age)

    assert json.loads(b64decode(signed)) == {"user": "ada"}


OF_EACH_KEY = [
    make_signer(),
    TimestampSigner(KEY),
    make_signer(OLD_KEY),
    make_signer("a key that nobody has given it"),
]


@pytest.mark.parametrize("signed_by", OF_EACH_KEY, ids=["key", "Starlette's", "older key", "unknown key"])
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_its_signer_reads_just_what_the_middleware_reads(
    make: Callable[[], SessionMiddleware], signed_by: TimestampSigner
) -> None:
    middleware = make()
    value = sign({"user": "ada"}, signer=signed_by)

    session = Browser(middleware, cookies={middleware.session_cookie: value}).get().json()

    assert middleware.signer.validate(value) is bool(session)


def test_its_signer_is_made_as_the_first_of_its_signers_is() -> None:
    first = TimestampSigner(KEY, "a salt", ":", "django-concat", sha384, HMACAlgorithm(sha512))
    signer = SessionMiddleware(whoami, first, fallbacks=[OLD_KEY]).signer

    assert {name: getattr(signer, name) for name in vars(first)} == vars(first)


def test_a_session_signer_takes_its_signer_as_a_key() -> None:
    signer = SessionSigner(with_key(fallbacks=[OLD_KEY]).signer)

    assert signer.loads(sign({"user": "ada"}, key=OLD_KEY)) == {"user": "ada"}
    assert signer.dumps({"user": "ada"}) == sign({"user": "ada"})


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_its_signer_says_how_old_a_value_is_and_refuses_one_that_is_too_old(
    key: str, clock: time_machine.Traveller
) -> None:
    signer = with_key(fallbacks=[OLD_KEY]).signer
    value = sign({}, key=key)
    signed_at = signer.unsign(value, max_age=60, return_timestamp=True)[1]
    clock.shift(61)

    with pytest.raises(BadSignature):
        signer.unsign(value, max_age=60)
    assert signer.unsign(value, return_timestamp=True) == (value.partition(".")[0].encode(), signed_at)


def test_its_signer_tells_expired_from_forged() -> None:
    signer = with_key(fallbacks=[OLD_KEY]).signer

    with pytest.raises(SignatureExpired):
        signer.unsign(sign({}), max_age=-1)


def test_a_signer_that_was_given_is_the_one_that_comes_back() -> None:
    signer = TimestampSigner(KEY)

    assert SessionMiddleware(visit, signer).signer is signer


@pytest.mark.parametrize(
    "options",
    [{"store": Records()}, {"serializer": orjson}, {"serializer": Tagged()}],
    ids=["a store", "orjson", "Tagged"],
)
def test_there_is_no_signer_where_the_cookie_does_not_hold_the_session_as_json_writes_it(
    options: dict[str, Any],
) -> None:
    middleware = with_key(**options)

    assert not hasattr(middleware, "signer")
    with pytest.raises(AttributeError) as caught:
        _ = middleware.signer
    assert str(caught.value) == (
        "signer is there only if the cookie holds the session as JSON. With another serializer, use SessionSigner"
        " with the same one; with a store the cookie holds an id, so sign in through the app."
    )


# Not to be set


OTHERS: list[tuple[str, Any, str]] = [
    ("signer", TimestampSigner(OLD_KEY), "secret_key=TimestampSigner(...), and older keys as fallbacks=[...],"),
    ("session_cookie", "sid", "session_cookie=..."),
    ("max_age", 60, "max_age=..."),
    ("path", "/app", "path=..."),
    ("security_flags", "httponly", "same_site=..., https_only=..., domain=... or partitioned=..."),
    ("scope_key", "admin", "scope_key=..."),
]


@pytest.mark.parametrize(("name", "value", "instead"), OTHERS, ids=NAMES)
def test_an_attribute_that_is_set_says_what_to_pass_instead(name: str, value: Any, instead: str) -> None:
    middleware = SessionMiddleware(visit, KEY)
    before = getattr(middleware, name)

    with pytest.raises(AttributeError) as caught:
        setattr(middleware, name, value)

    assert str(caught.value) == (
        f"{name} can't be set on a middleware, which reads its options only when it is made; pass {instead} to its"
        f" constructor."
    )
    assert getattr(middleware, name) == before


@pytest.mark.parametrize("store", [None, Records()], ids=["cookie", "store"])
@pytest.mark.parametrize(("name", "value", "instead"), OTHERS, ids=NAMES)
def test_a_subclass_that_sets_an_attribute_is_told_when_the_app_is_built(
    name: str, value: Any, instead: str, store: Any
) -> None:
    class After(Middleware):  # type: ignore[misc]
        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(app, **options)
            setattr(self, name, value)

    class Before(Middleware):  # type: ignore[misc]
        def __init__(self, app: Any, **options: Any) -> None:
            setattr(self, name, value)
            super().__init__(app, **options)

    subclasses: list[Any] = [After, Before]
    for subclass in subclasses:
        app = Starlette()
        app.add_middleware(subclass, secret_key=KEY, store=store)
        with pytest.raises(AttributeError, match="can't be set"):
            Browser(app).get()


def test_flags_that_are_extended_say_what_to_pass_instead() -> None:
    middleware: Any = SessionMiddleware(visit, KEY)

    with pytest.raises(AttributeError, match="partitioned="):
        middleware.security_flags += "; partitioned"


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_it_has_already_may_be_set(name: str) -> None:
    middleware = SessionMiddleware(visit, KEY)

    setattr(middleware, name, getattr(middleware, name))

    assert Browser(middleware).get("/login").all(b"set-cookie") == [set_cookie({"user": "ada"})]


class WithKeyOfTheDay:
    @property
    def signer(self) -> TimestampSigner:
        return TimestampSigner(OLD_KEY)


@pytest.mark.parametrize(
    ("bases", "members", "name"),
    [
        ((), {"max_age": 60}, "max_age"),
        ((), {"session_cookie": "sid"}, "session_cookie"),
        ((), {"signer": property(lambda self: TimestampSigner(OLD_KEY))}, "signer"),
        ((WithKeyOfTheDay,), {}, "signer"),
    ],
    ids=["number", "text", "property", "mixin"],
)
def test_a_subclass_whose_attribute_would_never_be_read_is_refused(
    bases: tuple[type, ...], members: dict[str, Any], name: str
) -> None:
    with pytest.raises(TypeError) as caught:
        type("Mine", (*bases, SessionMiddleware), members)

    instead = {attribute: instead for attribute, _, instead in OTHERS}[name]
    assert str(caught.value) == (
        f"Mine.{name} would never be read; pass {instead} to super().__init__(), or give the attribute another name."
    )


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Mine(SessionMiddleware):
        kind = "mine"

        def __init__(self, app: Any) -> None:
            super().__init__(app, KEY, max_age=60)
            self.keys = [OLD_KEY]

    assert Browser(Mine(visit)).get("/login").all(b"set-cookie") == [
        set_cookie({"user": "ada"}, "path=/; Max-Age=60; httponly; samesite=lax")
    ]


# A call of Starlette's


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_starlettes_call_in_a_subclass_of_ours_does_what_it_does_in_starlettes(options: dict[str, Any]) -> None:
    theirs = Browser(Starlettes(visit, KEY, **options))
    ours = Browser(WithStarlettesCall(visit, TimestampSigner(KEY), **options))

    for path in ("/whoami", "/login", "/whoami", "/add", "/whoami", "/logout", "/whoami"):
        expected, response = theirs.get(path), ours.get(path)

        assert response.messages == expected.messages


def test_starlettes_call_reads_the_cookies_of_all_keys() -> None:
    app = WithStarlettesCall(whoami, KEY, fallbacks=[OLD_KEY, TimestampSigner(OLD_KEY)])

    for signed_by in (make_signer(), make_signer(OLD_KEY), TimestampSigner(OLD_KEY)):
        browser = Browser(app, cookies={"session": sign({"user": "ada"}, signer=signed_by)})
        assert browser.get().json() == {"user": "ada"}


def test_starlettes_call_and_ours_share_cookies() -> None:
    browser = Browser(WithStarlettesCall(visit, KEY))
    browser.get("/login")
    browser.app = SessionMiddleware(visit, KEY)
    browser.get("/add")
    browser.app = WithStarlettesCall(visit, KEY)

    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea"]}


@pytest.mark.parametrize("options", [{"store": Records()}, {"serializer": Tagged()}], ids=["store", "serializer"])
def test_starlettes_call_does_not_put_into_the_cookie_what_was_to_be_elsewhere_or_otherwise(
    options: dict[str, Any],
) -> None:
    browser = Browser(WithStarlettesCall(visit, KEY, **options))

    with pytest.raises(AttributeError, match="signer is there only if"):
        browser.get("/login")


# The class


def find_by_class(app: Any) -> list[Any]:
    return [m for m in app.user_middleware if m.cls is starlette.middleware.sessions.SessionMiddleware]


def test_code_that_looks_for_starlettes_class_finds_ours_once_it_stands_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Starlette()
    app.add_middleware(SessionMiddleware, secret_key=KEY)
    assert find_by_class(app) == []

    monkeypatch.setattr(starlette.middleware.sessions, "SessionMiddleware", SessionMiddleware)

    assert [m.kwargs for m in find_by_class(app)] == [{"secret_key": KEY}]


class Both(SessionMiddleware, StarlettesMiddleware):
    """For code that asks for Starlette's by ``isinstance`` or ``issubclass``."""


def test_a_class_of_both_counts_as_starlettes_and_does_what_ours_does() -> None:
    app = Starlette()
    app.add_middleware(Both, secret_key=KEY)
    app.mount("/", app_that(show_session))
    browser = Browser(app, cookies={"session": sign({"user": "ada"})})

    assert browser.get().json() == [{"user": "ada"}, None]
    layer: Any = app.middleware_stack
    while not isinstance(layer, StarlettesMiddleware):
        layer = layer.app
    value = layer.signer.sign(b64encode(b'{"user": "grace"}')).decode()
    assert Browser(app, cookies={layer.session_cookie: value}).get().json() == [{"user": "grace"}, None]
