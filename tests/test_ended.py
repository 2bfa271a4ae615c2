"""A session that is changed after its connection has ended: by whom, and where, is said once."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from asgi_signed_session import Session, SessionError, SessionMiddleware, SessionNotLoadedError
from asgi_signed_session.stores import MemoryStore

from .apps import app_that
from .browser import Browser
from .conftest import KEY
from .records import Records

ADA = {"user": "ada", "cart": ["tea"]}
HERE = Path(__file__).name

Act = Callable[[Any], Any]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was warned of, but for the line."""
    return [
        record.getMessage().partition(", line")[0] for record in caplog.records if record.levelno >= logging.WARNING
    ]


def lost(function: str) -> str:
    return f"A session was changed after its connection had ended, in {function}() ({HERE}"


def end(run: Any, act: Act, **options: Any) -> Any:
    """The session of a connection that has ended, in which the app called ``act``."""
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(ADA)), KEY, **options), run=run)
    visitor.get()
    scopes: list[Any] = []

    def act_there(scope: Any) -> None:
        scopes.append(scope)
        act(scope)

    visitor.app = SessionMiddleware(app_that(act_there), KEY, **options)
    visitor.get()
    return scopes[0]["session"]


FIRST: dict[str, Act] = {
    "untouched": lambda scope: None,
    "flat key read": lambda scope: scope["session"]["user"],
    "nested value handed out": lambda scope: scope["session"].get("cart"),
    "changed": lambda scope: scope["session"].update(n=1),
}
CHANGES: dict[str, Act] = {
    "set": lambda session: session.__setitem__("n", 2),
    "delete": lambda session: session.__delitem__("user"),
    "update": lambda session: session.update(n=2),
    "or": lambda session: session.__ior__({"n": 2}),
    "pop": lambda session: session.pop("user"),
    "popitem": lambda session: session.popitem(),
    "setdefault": lambda session: session.setdefault("m", 2),
    "clear": lambda session: session.clear(),
    "max_age": lambda session: setattr(session, "max_age", 60),
    "principal": lambda session: setattr(session, "principal", "ada"),
    "regenerate": lambda session: session.regenerate(),
    "mark_modified": lambda session: session.mark_modified(),
    "modified": lambda session: setattr(session, "modified", True),
}
STORES = {"cookie": lambda: None, "store": Records, "store at once": MemoryStore}


@pytest.mark.parametrize("make_store", STORES.values(), ids=STORES)
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_after_the_end_is_told_once(
    run: Any, caplog: pytest.LogCaptureFixture, make_store: Any, first: Act, change: Act
) -> None:
    session = end(run, first, store=make_store())

    change(session)
    session.update(n=3)

    assert session["n"] == 3
    assert said(caplog) == [lost("<lambda>")]
    assert [vars(record)["event"] for record in caplog.records] == ["session.changed-after-end"]


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_to_read_after_the_end_is_no_warning(run: Any, caplog: pytest.LogCaptureFixture, first: Act) -> None:
    session = end(run, first)

    assert session["cart"] == ["tea"]
    assert "user" in session
    assert session.get("no") is None
    assert session.issued_at is not None
    assert {**session, "n": 1} == {**ADA, "n": 1}
    assert said(caplog) == []


def test_a_copy_made_after_the_end_is_nobodys_and_may_be_changed(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    @dataclasses.dataclass
    class Context:
        session: Any

    for first in FIRST.values():
        session = end(run, first)
        copied = dataclasses.asdict(Context(session))["session"]
        copied["n"] = 2

        assert isinstance(copied, Session)
        assert said(caplog) == []


def test_saving_what_was_changed_after_the_end_raises(run: Any) -> None:
    session = end(run, FIRST["flat key read"], store=Records())
    session["n"] = 2

    with pytest.raises(SessionError, match="still open"):
        asyncio.run(session.save())


def test_the_line_that_changed_it_is_named(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    session = end(run, FIRST["untouched"])
    session["n"] = 2  # this line

    [message] = [record.getMessage() for record in caplog.records]
    line = int(message.partition(", line ")[2].partition(")")[0])
    assert Path(__file__).read_text(encoding="utf-8").splitlines()[line - 1].strip() == 'session["n"] = 2  # this line'


# As it comes about


def make_app_that_apologises() -> FastAPI:
    app = FastAPI()

    @app.exception_handler(Exception)
    async def apologise(request: Request, error: Exception) -> PlainTextResponse:
        request.session["flash"] = "Sorry"
        return PlainTextResponse("Sorry", 500)

    @app.get("/")
    async def fail() -> None:
        raise ValueError

    return app


def test_fastapis_handler_of_all_exceptions_is_outside_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app_that_apologises()
    app.add_middleware(SessionMiddleware, secret_key=KEY)
    client = TestClient(app, raise_server_exceptions=False)

    assert client.get("/").headers.get("set-cookie") is None
    assert said(caplog) == [lost("apologise")]


def test_with_the_middleware_around_the_whole_app_the_handlers_change_is_saved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app_that_apologises()
    client = TestClient(SessionMiddleware(app, KEY), raise_server_exceptions=False)

    assert client.get("/").headers["set-cookie"].startswith("session=eyJmbGFzaCI6IlNvcnJ5In0=.")
    assert said(caplog) == []


@pytest.mark.parametrize("make_store", STORES.values(), ids=STORES)
def test_a_middleware_around_ours_is_told(run: Any, caplog: pytest.LogCaptureFixture, make_store: Any) -> None:
    inside = SessionMiddleware(app_that(lambda scope: None), KEY, store=make_store())
    sent: list[Any] = []

    async def around(scope: Any, receive: Any, send: Any) -> None:
        await inside(scope, receive, send)
        scope["session"]["n"] = 1

    async def send(message: Any) -> None:
        sent.append(message)

    run(lambda: around({"type": "http", "path": "/", "headers": []}, None, send))

    assert said(caplog) == [lost("around")]


def test_a_task_that_outlives_its_request_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ended = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def work(session: Any) -> None:
            await ended.wait()
            session["done"] = True

        async def app(scope: Any, receive: Any, send: Any) -> None:
            tasks.append(asyncio.ensure_future(work(scope["session"])))
            await send({"type": "http.response.start", "status": 200})

        async def drop(message: Any) -> None:
            pass

        await SessionMiddleware(app, KEY)({"type": "http", "path": "/", "headers": []}, None, drop)
        ended.set()
        await tasks[0]

    asyncio.run(main())

    assert said(caplog) == [lost("work")]


def test_a_scope_that_is_used_again_has_a_session_of_its_own(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    inside = SessionMiddleware(app_that(lambda scope: scope["session"].update(n=1)), KEY)

    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await inside(scope, receive, send)
        await inside(scope, receive, send)

    async def drop(message: Any) -> None:
        pass

    run(lambda: twice({"type": "http", "path": "/", "headers": []}, None, drop))

    assert said(caplog) == []


@pytest.mark.parametrize("make_store", STORES.values(), ids=STORES)
@pytest.mark.parametrize("kind", [dict, Session])
def test_what_the_app_has_put_in_its_place_is_told_too(
    run: Any, caplog: pytest.LogCaptureFixture, make_store: Any, kind: type[dict[str, Any]]
) -> None:
    session = end(run, lambda scope: scope.update(session=kind(user="grace")), store=make_store())

    session["n"] = 2

    assert session == {"user": "grace", "n": 2}
    assert said(caplog) == [lost("test_what_the_app_has_put_in_its_place_is_told_too")]


@pytest.mark.parametrize("make_store", [Records, MemoryStore])
def test_loading_raises_after_a_change_was_lost_too(run: Any, make_store: Any) -> None:
    session = end(run, FIRST["flat key read"], store=make_store())
    session["n"] = 2

    with pytest.raises(SessionNotLoadedError, match="ended"):
        asyncio.run(session.load())


class Closing(Records):
    """A store that fails once the connection has ended."""

    ended: asyncio.Event | None = None

    async def _ask(self, method: str, key: str) -> None:
        if self.ended is not None and method == "swap":
            await self.ended.wait()
            raise ConnectionError
        await super()._ask(method, key)


def test_a_save_that_fails_after_the_end_is_no_change(caplog: pytest.LogCaptureFixture) -> None:
    """Its task is told, and the change was made in time."""
    store = Closing()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(user="ada")), KEY, store=store))
    visitor.get()
    saving: list[asyncio.Task[None]] = []

    async def main() -> None:
        store.ended = asyncio.Event()

        async def work(session: Any) -> None:
            session["n"] = 1
            await session.save()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"].get("user")
            await send({"type": "http.response.start", "status": 200})
            saving.append(asyncio.ensure_future(work(scope["session"])))
            await asyncio.sleep(0)

        async def drop(message: Any) -> None:
            pass

        scope = {"type": "http", "path": "/", "headers": visitor.headers()}
        await SessionMiddleware(app, KEY, store=store)(scope, None, drop)
        store.ended.set()
        with pytest.raises(ConnectionError):
            await saving[0]
        with pytest.raises(SessionError, match="still open"):
            await scope["session"].save()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    asyncio.run(main())

    assert said(caplog) == []
