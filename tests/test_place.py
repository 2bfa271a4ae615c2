"""A session's place in the scope: what stood there before, what is put there instead, and what is left there."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_signed_session import Session, SessionMiddleware

from .apps import app_that
from .browser import Browser
from .conftest import KEY, warnings
from .intents import run_now
from .test_other_middlewares import TheirSession
from .wire import set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
WEBSOCKET = {"type": "websocket", "path": "/", "headers": []}


async def ignore(message: Any) -> None:
    """A server's send."""


def call(app: Any, scope: dict[str, Any], send: Any = ignore) -> None:
    run_now(lambda: app(scope, None, send))


def test_from_the_start_of_a_response_on_the_app_finds_what_stood_there_before() -> None:
    theirs = TheirSession()
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        found.append(scope["session"])
        await send({"type": "http.response.body"})
        found.append(scope["session"])

    call(SessionMiddleware(app, KEY), {"type": "http", "path": "/", "headers": [], "session": theirs})

    assert [each is theirs for each in found] == [True, True]


def test_after_the_accept_nothing_stands_there_where_the_app_has_deleted_it() -> None:
    found: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope["session"]
        await send({"type": "websocket.accept"})
        found.append("session" in scope)

    call(SessionMiddleware(app, KEY), {**WEBSOCKET, "session": TheirSession()})

    assert found == [False]


def test_a_message_that_a_task_sends_after_the_call_goes_straight_to_the_server() -> None:
    sends: list[Any] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sends.append(send)

    async def server(message: Any) -> None:
        sent.append((message["type"], scope.get("session")))

    scope: dict[str, Any] = {**WEBSOCKET, "session": TheirSession(a=1)}
    call(SessionMiddleware(app, KEY), scope, server)
    scope["session"] = "what somebody else has put there since"
    run_now(lambda: sends[0]({"type": "websocket.accept"}))

    assert sent == [("websocket.accept", "what somebody else has put there since")]


def test_what_the_app_has_put_there_is_in_the_session_that_the_scope_shows_afterwards() -> None:
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": []}
    app = SessionMiddleware(app_that(lambda scope: scope.update(session=dict(ADA))), KEY)

    call(app, scope)

    assert type(scope["session"]) is Session
    assert scope["session"] == ADA


def test_what_is_no_content_stays_where_the_app_has_put_it() -> None:
    theirs = object()
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": []}

    call(SessionMiddleware(app_that(lambda scope: scope.update(session=theirs)), KEY), scope)

    assert scope["session"] is theirs


@pytest.mark.parametrize("put", [lambda scope: scope.update(session={"n": 1}), lambda scope: scope.pop("session")])
def test_what_the_app_does_between_two_of_ours_is_no_other_middleware(
    put: Any, caplog: pytest.LogCaptureFixture
) -> None:
    inner = SessionMiddleware(app_that(lambda scope: dict(scope["session"])), KEY, "inner")

    async def between(scope: Any, receive: Any, send: Any) -> None:
        put(scope)
        await inner(scope, receive, send)

    browser = Browser(SessionMiddleware(between, KEY))
    browser.cookies["session"] = sign(ADA)

    assert browser.get().json() == {}
    assert warnings(caplog) == []


def test_what_is_put_into_a_copied_scope_before_a_second_middleware_of_the_same_cookie_is_the_sessions() -> None:
    inner = SessionMiddleware(app_that(lambda scope: dict(scope["session"])), KEY)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "session": {"n": 1}}, receive, send)

    browser = Browser(SessionMiddleware(between, KEY))
    response = browser.get()

    assert response.json() == {"n": 1}
    assert response.all(b"set-cookie") == [set_cookie({"n": 1})]
