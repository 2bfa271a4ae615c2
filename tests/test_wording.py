"""Nothing that comes from outside forges a line of the log, or steers the terminal of whoever reads it."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from itsdangerous import Signer

from asgi_signed_session import Session, SessionMiddleware, SessionSigner, stores
from asgi_signed_session.reporting import report_merged, report_unsaved
from asgi_signed_session.serializers import Tagged
from asgi_signed_session.wording import name_of, printable, show_key

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY
from .records import Records

FORGED = "x\n2027-01-15 CRITICAL all is lost\r\x1b[2J\x9b\u202e\u2028\U000e0001"
SHOWN = r"x\n2027-01-15 CRITICAL all is lost\r\x1b[2J\x9b\u202e\u2028\U000e0001"


def made(*bases: type, **members: Any) -> Any:
    """A class whose name was made from what somebody has sent."""
    return type(FORGED, bases, members)


class Named(str):
    """A key whose ``repr`` is anything."""

    __slots__ = ()

    def __repr__(self) -> str:
        return FORGED


class Shown:
    """As a part of a key."""

    def __repr__(self) -> str:
        return FORGED


def lose(*, act: Any = None, late: Any = None, path: str = "/cart") -> Callable[[], object]:
    app = app_that(act or (lambda scope: None), late=late)
    return lambda: Browser(SessionMiddleware(app, KEY)).get(path)


def come_with_another_under_a_key() -> None:
    another: dict[str, Any] = {FORGED: made(dict)()}
    Browser(SessionMiddleware(app_that(lambda scope: None), KEY, scope_key=FORGED)).get(**another)


def put(key: Any, value: Any) -> Callable[[Any], Any]:
    return lambda scope: scope["session"].update({key: value})


def fail_to_read() -> None:
    class Failing(Records):
        async def get(self, key: str) -> bytes | None:
            raise made(Exception)

    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")
    failing = Failing()
    browser.app = SessionMiddleware(visit, KEY, store=failing, on_store_error="empty")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("asgi_signed_session.reporting._silent_until", [0.0])
        browser.get("/whoami")


def lose_what_was_put() -> None:
    async def do_nothing(*_: Any, **__: Any) -> None: ...

    losing = made(get=do_nothing, put=do_nothing, delete=do_nothing)
    asyncio.run(stores.KeyValueStore(losing()).swap("a" * 64, None, b"x" * 64, ttl=None))


def refuse_swaps() -> None:
    async def swap(self: Any, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes:
        return await self.get(key) or b"another"

    def sign_in(scope: Any) -> None:
        scope["session"].principal = "42"

    Browser(SessionMiddleware(app_that(sign_in), KEY, store=made(Records, swap=swap)())).get()


def build(**options: Any) -> Callable[[], object]:
    arguments: dict[str, Any] = {"app": visit, "secret_key": KEY, **options}
    return lambda: SessionMiddleware(**arguments)


OF_JSON: Any = {"dumps": staticmethod(lambda content: "{}"), "loads": staticmethod(lambda payload: {})}

# fmt: off
CAUSES: dict[str, Callable[[], object]] = {
    "a value's type":                 lambda: SessionSigner(KEY).dumps({"a": made()()}),
    "a nested value's type":          lambda: SessionSigner(KEY).dumps({"a": [{"b": made()()}]}),
    "a key's type":                   lambda: SessionSigner(KEY).dumps({"a": {made()(): 1}}),
    "a key":                          lambda: SessionSigner(KEY).dumps({FORGED: made()()}),
    "a key of a str's subclass":      lambda: SessionSigner(KEY).dumps({Named(FORGED): object()}),
    "the largest keys":               lose(act=put(Named(FORGED), "a" * 4000)),
    "a key that came late":           lose(late=put(FORGED, 1)),
    "a path":                         lose(late=put("a", 1), path=FORGED),
    "keys that can't be read back":   lambda: report_unsaved({}, [Named(FORGED)], [], "", "session.unsaved"),
    "keys that gave way":             lambda: report_merged([Named(FORGED)]),
    "a list's subclass":              lose(act=lambda scope: scope.update(session=made(list)())),
    "a list's subclass, late":        lose(late=lambda scope: scope.update(session=made(list)())),
    "another middleware's session":   lose(act=lambda scope: scope.update(session=made(dict)(a=1))),
    "another session's module":       lose(act=lambda scope: scope.update(session=made(dict, __module__=FORGED)(a=1))),
    "another session before ours":    lambda: Browser(SessionMiddleware(visit, KEY)).get(session=made(dict)(a=1)),
    "another session, by scope key":  come_with_another_under_a_key,
    "a store's error":                fail_to_read,
    "a principal":                    lambda: setattr(Session(), "principal", made()()),
    "an app":                         build(app=made()()),
    "a cookie's name":                build(session_cookie=made()()),
    "a cookie's name of text":        build(session_cookie=FORGED),
    "a path's type":                  build(path=made()()),
    "a domain's type":                build(domain=made()()),
    "a key's type at start-up":       build(secret_key=made()()),
    "a list of keys":                 build(secret_key=made(list)()),
    "a signer's type":                build(secret_key=made(Signer)(KEY)),
    "a key that is to be filled in":  build(secret_key="{{" + FORGED + "}}"),
    "fallbacks":                      build(fallbacks=made()()),
    "a serializer":                   build(serializer=made()()),
    "a serializer's class":           build(serializer=made(Tagged)),
    "a serializer that runs code":    build(serializer=made(**OF_JSON, __name__=FORGED + "pickle")()),
    "a store":                        build(store=made()()),
    "a store's class":                build(store=made()),
    "a store that loses":             lose_what_was_put,
    "a store that refuses":           refuse_swaps,
    "a Redis client":                 lambda: stores.RedisStore(made()()),
    "a Redis client's class":         lambda: stores.RedisStore(made()),
    "a pool":                         lambda: stores.PostgresStore(made()()),
    "a pool's class":                 lambda: stores.PostgresStore(made()),
}
# fmt: on


@pytest.mark.parametrize("cause", CAUSES)
def test_no_message_shows_what_came_from_outside_as_it_is(cause: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_signed_session")
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            CAUSES[cause]()
        except Exception as error:  # of any kind: all are messages
            said.append(str(error))

    said += [str(warning.message) for warning in caught] + [record.getMessage() for record in caplog.records]
    assert any(SHOWN[:30] in text for text in said)
    assert [text for text in said if not text.isprintable()] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("séance 🍵", "séance 🍵"), ("a b", "a b"), ("\ud800\0\xa0", r"\ud800\x00\xa0"), (FORGED, SHOWN)],
)
def test_what_can_be_printed_stays_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_name_of_a_class_is_printable() -> None:
    assert [name_of(kind) for kind in (dict, made(), type(None))] == ["dict", SHOWN, "NoneType"]


# fmt: off
KEYS: list[tuple[Any, str]] = [
    ("it's",              '"it\'s"'),
    (Named("a"),          "'a'"),
    (1,                   "1"),
    (None,                "None"),
    ((1, Shown()),        f"(1, {SHOWN})"),
]
# fmt: on


@pytest.mark.parametrize(("key", "shown"), KEYS)
def test_a_key_is_shown_as_python_writes_it(key: Any, shown: str) -> None:
    assert show_key(key) == shown
