"""A session middleware of somebody else's inside ours, or around it: each keeps its own session.

Starlette's is the real one, of the version that is installed: nox also runs this file with 0.46.
"""

from __future__ import annotations

import json
import logging
import pickle
from base64 import b64decode
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from starlette.middleware import sessions as starlette_sessions
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware

from asgi_signed_session import Session, SessionMiddleware

from .apps import App, app_that
from .browser import Browser, Response
from .conftest import KEY, Wrap
from .intents import run_now
from .records import Records
from .test_parallel import pause
from .wire import DELETED, cookie, set_cookie, sign

THEIR_KEY = "the key of another middleware"
ADA = {"user": "ada"}
THEIRS = {"csrf": "token"}

pytestmark = pytest.mark.usefixtures("clock")


class Guard:
    """What starsessions puts there until its session is loaded: nothing may be asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("not loaded")


class Lazy:
    """What Channels puts there: an object that becomes a session when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked")


class TheirSession(dict[str, Any]):
    pass


def putting(session: Any) -> Callable[[App], App]:
    """A middleware that does nothing but put ``session`` there."""

    def wrap_app(app: App) -> App:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            scope["session"] = session
            await app(scope, receive, send)

        return middleware

    return wrap_app


def starlettes(app: App) -> App:
    return StarlettesMiddleware(app, THEIR_KEY, session_cookie="theirs")


def starlettes_of_our_name(app: App) -> App:
    return StarlettesMiddleware(app, THEIR_KEY)


# Starlette before 1.0 puts a plain dict there, which an app may have put there just as well.
puts_a_dict = pytest.mark.skipif(
    not hasattr(starlette_sessions, "Session"), reason="a dict of Starlette's is taken for the app's"
)

OTHERS: dict[str, Callable[[App], App]] = {
    "Starlette": starlettes,
    "Starlette, our cookie's name": starlettes_of_our_name,
    "an empty dict": putting({}),
    "an empty dict of its own class": putting(TheirSession()),
    "a full dict of its own class": putting(TheirSession(theirs=1)),
    "a guard": putting(Guard()),
    "a lazy object": putting(Lazy()),
    "a mapping that is no dict": putting(type("Mapping", (), {"keys": None, "__getitem__": None})()),
}
each_other = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
each_connection = pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])


def nothing(scope: Any) -> None:
    """Leaves the session alone."""


def put_theirs(scope: Any) -> None:
    scope["session"].update(THEIRS)


def read_theirs(response: Response, name: str = "theirs") -> list[Any]:
    """What Starlette's ``Set-Cookie`` lines hold."""
    values = [line.partition(b";")[0].partition(b"=") for line in response.all(b"set-cookie")]
    signed = [value for key, _, value in values if key == name.encode()]
    return [json.loads(b64decode(TimestampSigner(THEIR_KEY).unsign(value))) for value in signed]


def around(app: App, before: Callable[[Any], Any], after: Callable[[Any], Any] = nothing) -> App:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        before(scope)
        await app(scope, receive, send)
        after(scope)

    return middleware


# Inside ours


@each_other
@each_connection
@pytest.mark.parametrize("store", [None, Records()], ids=["cookie", "store"])
def test_the_presence_of_another_middleware_inside_ours_signs_nobody_out(
    run: Any, other: Any, connect: Any, store: Any
) -> None:
    browser = Browser(
        SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY, store=store), run=run
    )
    browser.get()
    before = dict(browser.cookies)
    browser.app = SessionMiddleware(other(app_that(nothing)), KEY, store=store)

    response = connect(browser)

    assert response.all(b"set-cookie") == []
    assert browser.cookies == before
    browser.app = SessionMiddleware(app_that(lambda scope: dict(scope["session"])), KEY, store=store)
    assert browser.get().json() == ADA


@puts_a_dict
@each_other
@each_connection
def test_what_was_changed_around_the_other_is_saved(run: Any, other: Any, connect: Any) -> None:
    if other is OTHERS["an empty dict"]:
        pytest.skip("in place of a session that was touched it is the app's, which clears the session")
    app = around(other(app_that(nothing)), lambda scope: scope["session"].update(ADA))

    response = connect(Browser(SessionMiddleware(app, KEY), run=run))

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


@puts_a_dict
@each_connection
@pytest.mark.parametrize("touch", [nothing, lambda scope: bool(scope["session"])], ids=["untouched", "touched"])
def test_what_is_written_inside_starlettes_is_starlettes_alone(run: Any, connect: Any, touch: Any) -> None:
    app = around(starlettes(app_that(put_theirs)), touch)
    browser = Browser(SessionMiddleware(app, KEY), run=run, cookies={"session": sign(ADA)})

    response = connect(browser)

    assert read_theirs(response) == [THEIRS] * (connect is Browser.get)  # Starlette's writes none on a websocket
    assert browser.cookies["session"] == sign(ADA)
    assert (b"vary", b"Cookie") in response.headers or touch is nothing or connect is Browser.websocket


def test_a_dict_that_is_not_empty_is_the_apps_and_replaces_ours(wrap: Wrap) -> None:
    response = wrap(putting({"n": 1})(app_that(nothing))).get(headers=[cookie(ADA)])

    assert response.all(b"set-cookie") == [set_cookie({"n": 1})]


@pytest.mark.parametrize("replacement", [{}, Session()])
def test_an_empty_dict_in_place_of_a_session_that_was_touched_clears_it(wrap: Wrap, replacement: Any) -> None:
    app = around(putting(replacement)(app_that(nothing)), lambda scope: bool(scope["session"]))

    assert wrap(app).get(headers=[cookie(ADA)]).all(b"set-cookie") == [DELETED]


def test_an_empty_session_of_ours_clears_one_that_nobody_touched(wrap: Wrap) -> None:
    assert wrap(putting(Session())(app_that(nothing))).get(headers=[cookie(ADA)]).all(b"set-cookie") == [DELETED]


# Around ours


@each_connection
@pytest.mark.parametrize("store", [None, Records()], ids=["cookie", "store"])
@pytest.mark.parametrize("act", [nothing, lambda scope: scope["session"].update(ADA)], ids=["untouched", "changed"])
def test_each_of_two_stores_its_own_where_starlettes_is_around_ours(
    run: Any, connect: Any, store: Any, act: Any
) -> None:
    """As NiceGUI adds it, which puts an id into its session before it calls the app."""
    app = starlettes(around(SessionMiddleware(app_that(act), KEY, store=store), put_theirs))
    browser = Browser(app, run=run)

    response = connect(browser)

    assert read_theirs(response) == [THEIRS] * (connect is Browser.get)
    assert sorted(browser.cookies) == ["session"] * (act is not nothing) + ["theirs"] * (connect is Browser.get)


@pytest.mark.parametrize("make_other", [lambda: TheirSession(theirs=1), lambda: {"theirs": 1}, Guard, Lazy])
@pytest.mark.parametrize("store", [None, Records()], ids=["cookie", "store"])
@pytest.mark.parametrize("name", ["session", "another"], ids=["one of ours", "two of ours"])
def test_what_stood_there_is_back_from_when_the_response_starts(
    run: Any, make_other: Any, store: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_other()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["n"] = 1
        seen.append(type(session))
        await send({"type": "http.response.start", "status": 200})
        session["n"] = 2
        await send({"type": "http.response.body"})

    inner = SessionMiddleware(app, KEY, name, store=store)

    async def look_at_the_scope(scope: Any, receive: Any, send: Any) -> None:
        async def look(message: Any) -> None:
            seen.append(scope["session"] is other)
            await send(message)

        await SessionMiddleware(inner, KEY, store=store)(scope, receive, look)
        seen.append(scope["session"] is other)

    response = Browser(putting(other)(look_at_the_scope), run=run).get()

    assert seen == [Session, True, True, True]
    assert [line.partition(b"=")[0] for line in response.all(b"set-cookie")] == [name.encode()]
    unsaved = [record.getMessage() for record in caplog.records if "not saved" in record.getMessage()]
    assert len(unsaved) == (store is None)  # what was changed after the start


def test_what_stood_there_is_back_behind_a_base_http_middleware() -> None:
    """It passes the start of a response on when our ``send`` has returned, as in NiceGUI."""
    seen: list[Any] = []

    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    between = BaseHTTPMiddleware(SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY), pass_on)
    browser = Browser(starlettes(around(between, put_theirs, lambda scope: seen.append(dict(scope["session"])))))

    response = browser.get()

    assert read_theirs(response) == [THEIRS]
    assert set_cookie(ADA) in response.all(b"set-cookie")
    assert seen == [THEIRS]


def test_what_stood_there_is_back_when_the_app_has_failed(run: Any) -> None:
    def fail(scope: Any) -> None:
        raise ZeroDivisionError

    theirs = TheirSession()
    scope = {"type": "http", "path": "/", "headers": [], "session": theirs}

    with pytest.raises(ZeroDivisionError):
        Browser(SessionMiddleware(app_that(fail), KEY), run=run).connect(scope, [])

    assert scope["session"] is theirs


# One warning


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "asgi_signed_session")
    return lambda: [record.getMessage() for record in caplog.records]


def test_another_middleware_inside_ours_is_warned_about_once(wrap: Wrap, said: Any) -> None:
    browser = wrap(putting(TheirSession())(app_that(nothing)))
    browser.get()
    browser.get()

    [message] = said()

    assert message == (
        "scope['session'] holds a tests.test_other_middlewares.TheirSession: another session middleware "
        "inside this one has put its own session there. Inside that middleware the app finds that "
        "session, and this middleware's session stays as it is. Take one of the two out, or give this one another"
        " scope key: SessionMiddleware(..., scope_key='signed_session')."
    )


def test_another_middleware_around_ours_is_warned_about_once(wrap: Wrap, said: Any) -> None:
    browser = wrap(app_that(nothing))
    browser.get(session=TheirSession())
    browser.get(session=TheirSession())

    [message] = said()

    assert message == (
        "scope['session'] held a tests.test_other_middlewares.TheirSession before: another session "
        "middleware is around this one. Inside this one the app finds this one's session, and outside it the other's."
        " Take one of the two out, or give this one another scope key: SessionMiddleware(..., "
        "scope_key='signed_session')."
    )


def test_ours_around_ours_is_not_warned_about(run: Any, said: Any) -> None:
    inner = SessionMiddleware(app_that(lambda scope: scope["session"].update(n=1)), KEY, "inner")
    browser = Browser(SessionMiddleware(inner, KEY), run=run)
    scope = {"type": "http", "path": "/", "headers": []}
    browser.connect(scope, [])
    browser.connect(scope, [])  # finds what the first call has left there

    assert said() == []


@pytest.mark.parametrize(
    "make", [Counter, OrderedDict, UserDict, MappingProxyType, ChainMap, lambda content: defaultdict(list, content)]
)
def test_a_mapping_of_the_standard_library_in_place_of_the_session_is_the_apps(
    wrap: Wrap, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(app_that(lambda scope: scope.update(session=make(ADA))))
    browser.get()
    browser.app = SessionMiddleware(app_that(lambda scope: dict(scope["session"])), KEY)

    assert browser.get().json() == ADA
    assert caplog.records == []


def test_a_middleware_between_two_of_ours_finds_its_own_session_at_the_start_of_the_response() -> None:
    theirs = TheirSession(THEIRS)
    seen: list[Any] = []

    def between(app: App) -> App:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            async def look(message: Any) -> None:
                seen.append(scope["session"])
                await send(message)

            scope["session"] = theirs
            await app(scope, receive, look)

        return middleware

    inner = SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY, session_cookie="inner")
    browser = Browser(SessionMiddleware(between(inner), KEY))
    browser.get()

    assert seen[0] is theirs
    assert theirs == THEIRS
    assert list(browser.cookies) == ["inner"]


def test_after_the_accept_the_app_inside_finds_our_session_again() -> None:
    theirs = TheirSession(THEIRS)
    seen: list[Any] = []
    inner = SessionMiddleware(app_that(lambda scope: None, late=lambda scope: seen.append(scope["session"])), KEY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = theirs
        await inner(scope, receive, send)
        seen.append(scope["session"])

    Browser(app).websocket()

    assert type(seen[0]) is not TheirSession
    assert isinstance(seen[0], Session)
    assert seen[1] is theirs


def test_what_stood_there_stays_back_though_a_message_goes_out_when_the_app_has_returned() -> None:
    theirs = TheirSession(THEIRS)
    sending: list[Any] = []

    async def accept(scope: Any, receive: Any, send: Any) -> None:
        sending.append(send({"type": "websocket.accept"}))
        sending[0].send(None)

    async def wait(message: Any) -> None:
        await pause()

    scope = {"type": "websocket", "path": "/", "headers": [], "session": theirs}
    run_now(lambda: SessionMiddleware(accept, KEY)(scope, None, wait))
    with suppress(StopIteration):
        sending[0].send(None)

    assert scope == {"type": "websocket", "path": "/", "headers": [], "session": theirs}


def test_a_scope_can_be_pickled_inside_the_app() -> None:
    def pickle_scope(scope: Any) -> Any:
        return dict(pickle.loads(pickle.dumps({key: scope[key] for key in scope if "session" in key}))["session"])  # noqa: S301

    assert Browser(SessionMiddleware(app_that(pickle_scope), KEY)).get().json() == {}
