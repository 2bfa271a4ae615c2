"""Packages that bring a session middleware of their own, beside ours: each visitor keeps both sessions."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest

from asgi_signed_session import SessionMiddleware
from tests.apps import app_that
from tests.browser import Browser, Response
from tests.conftest import KEY
from tests.daemons import free_port
from tests.servers import browse, running
from tests.wire import sign

ADA = {"user": "ada"}


def test_sqladmin_mounted_as_its_documentation_says_signs_no_visitor_out() -> None:
    pytest.importorskip("sqladmin")
    command = ("-m", "uvicorn", "tests.others.sqladmin_app:app", "--port", "0", "--no-access-log")
    with running(*command) as server, browse(server) as visitor:
        visitor.get("/login")

        assert visitor.get("/admin/login").headers.get_list("set-cookie") == []
        assert visitor.get("/whoami").json() == ADA
        assert visitor.get("/admin/").headers["location"].endswith("/admin/login")
        visitor.post("/admin/login", data={"username": "root", "password": "secret"})
        assert visitor.get("/admin/").status_code == 200
        assert visitor.get("/whoami").json() == ADA
        assert sorted(visitor.cookies) == ["admin", "session"]
        visitor.get("/admin/logout")
        assert visitor.get("/admin/").status_code == 302
        assert visitor.get("/whoami").json() == ADA


def test_nicegui_around_ours_keeps_its_id_and_ours_its_content() -> None:
    pytest.importorskip("nicegui")
    command = ("-m", "tests.others.nicegui_app")
    with running(*command, PORT=str(free_port())) as server, browse(server) as visitor:
        first = visitor.get("/")
        theirs = visitor.cookies["session"]

        assert [visitor.get("/count").json() for _ in range(2)] == [{"count": 1}, {"count": 2}]
        assert [first.status_code, visitor.get("/").status_code] == [200, 200]
        assert visitor.cookies["session"] == theirs
        assert visitor.get("/count").json() == {"count": 3}


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
@pytest.mark.parametrize("name", ["session", "theirs"])
def test_starsessions_inside_ours_leaves_ours_alone(connect: Any, name: str) -> None:
    starsessions = pytest.importorskip("starsessions")
    inner = starsessions.SessionMiddleware(app_that(lambda scope: None), starsessions.InMemoryStore(), cookie_name=name)
    browser = Browser(SessionMiddleware(inner, KEY), cookies={"session": sign(ADA)})

    assert connect(browser).headers == []


def test_starsessions_around_ours_stores_its_own(caplog: pytest.LogCaptureFixture) -> None:
    starsessions = pytest.importorskip("starsessions")
    caplog.set_level(logging.WARNING)
    store = starsessions.InMemoryStore()
    app = SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY, "ours")
    browser = Browser(starsessions.SessionMiddleware(app, store, cookie_https_only=False))
    browser.get()

    assert list(browser.cookies) == ["ours"]
    assert store.data == {}
    assert len(caplog.records) == 1


@pytest.fixture
def channels() -> Generator[Any]:
    """Channels' middleware, with its session in a cookie."""
    pytest.importorskip("channels")
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY=KEY)
    from django.test import override_settings

    with override_settings(SECRET_KEY=KEY, SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        from channels.sessions import SessionMiddlewareStack

        yield SessionMiddlewareStack


def put_theirs(scope: Any) -> None:
    scope["session"]["csrf"] = "token"


def names_set(response: Response) -> list[bytes]:
    return sorted(line.partition(b"=")[0] for line in response.all(b"set-cookie"))


@pytest.mark.parametrize(("connect", "written"), [(Browser.get, [b"sessionid"]), (Browser.websocket, [])])
def test_channels_inside_ours_needs_a_scope_key_of_its_own(channels: Any, connect: Any, written: list[bytes]) -> None:
    """It takes any session that it finds for its own lazy one, and fails. It writes none on a websocket."""
    app = channels(app_that(put_theirs, headers=[]))
    browser = Browser(SessionMiddleware(app, KEY), cookies={"session": sign(ADA)})
    with pytest.raises(AttributeError, match="_wrapped"):
        connect(browser)

    browser.app = SessionMiddleware(app, KEY, scope_key="signed_session")

    assert names_set(connect(browser)) == written


@pytest.mark.parametrize(
    ("connect", "written"), [(Browser.get, [b"session", b"sessionid"]), (Browser.websocket, [b"session"])]
)
def test_channels_around_ours_stores_its_own(channels: Any, connect: Any, written: list[bytes]) -> None:
    ours = SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        put_theirs(scope)
        await ours(scope, receive, send)

    assert names_set(connect(Browser(channels(between)))) == written
