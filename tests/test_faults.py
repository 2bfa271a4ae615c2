"""A store that fails, loses its answer or is cancelled at each of its calls in turn: nothing half-done is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session.stores import Sessions

from .apps import app_that
from .browser import Browser
from .conftest import KEY
from .records import Records, key_of, open_record, read_id

pytestmark = pytest.mark.usefixtures("clock")

Act = Callable[[Session], Any]


class Faulty(Records):
    """Has a fault at one call, counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.fault_at = 0
        self.fault = ""
        self.calls = 0

    def arm(self, fault: str, at: int) -> None:
        self.fault, self.fault_at, self.calls = fault, at, 0

    async def get(self, key: str) -> Any:
        return await self._call(super().get, key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await self._call(super().swap, key, expected, record, ttl=ttl)

    async def delete(self, key: str) -> None:
        await self._call(super().delete, key)

    async def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        fault = self.fault if self.calls == self.fault_at else ""
        if fault == "fails":
            raise ConnectionError
        if fault == "is cancelled":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        answer = await method(*arguments, **options)
        if fault == "loses its answer":
            raise ConnectionError
        return answer


def sign_in(session: Session) -> None:
    session.principal = "42"
    session["name"] = "Ada"


def sign_in_as_another(session: Session) -> None:
    session.principal = "7"


def begin_anew(session: Session) -> None:
    session.clear()
    session["a"] = 1


ACTS: dict[str, Act] = {
    "read": lambda session: session.get("cart"),
    "change": lambda session: session.setdefault("cart", []).append("milk"),
    "regenerate": lambda session: session.regenerate(),
    "sign in": sign_in,
    "sign in as another": sign_in_as_another,
    "clear": lambda session: session.clear(),
    "clear and set": begin_anew,
}
SIGN_INS = {"regenerate", "sign in", "sign in as another", "clear and set"}
FAULTS = ["fails", "loses its answer", "is cancelled"]


def make_app(act: Act, late: Act | None, error_page: bool) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        act(session)
        try:
            await send({"type": "http.response.start", "status": 200})
        except ConnectionError:
            if not error_page:
                raise
            session["failed"] = True
            await send({"type": "http.response.start", "status": 500})
        if late is not None:
            late(session)
        await send({"type": "http.response.body"})

    return app


def visit(browser: Browser, app: Any, store: Records) -> bool:
    """Whether the app was answered without a fault."""
    browser.app = SessionMiddleware(app, KEY, store=store, max_age=1000)
    try:
        browser.get()
    except (ConnectionError, asyncio.CancelledError):
        return False
    return True


def look(browser: Browser, store: Records) -> Any:
    def read(scope: Any) -> Any:
        session = scope["session"]
        return [session.rejected, session.principal, dict(session)]

    looking = Browser(SessionMiddleware(app_that(read), KEY, store=store, max_age=1000), cookies=dict(browser.cookies))
    return looking.get().json()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("error_page", [False, True])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("act", ACTS)
def test_a_fault_at_any_call_of_the_store_leaves_nothing_half_done(
    act: str, known: bool, late: bool, error_page: bool, fault: str
) -> None:
    at = 1
    while try_at(at, act, known, late, error_page, fault):
        at += 1

    asks = known or act not in ("read", "regenerate", "clear")
    assert (at > 1) == asks


def try_at(at: int, act: str, known: bool, late: bool, error_page: bool, fault: str) -> bool:
    """Whether there was such a call."""
    store = Faulty()
    browser = Browser(SessionMiddleware(app_that(lambda scope: None), KEY, store=store))
    if known:
        visit(browser, make_app(lambda session: session.update(cart=["tea"]), None, error_page=False), store)
    thief = Browser(browser.app, cookies=dict(browser.cookies))
    before = dict(browser.cookies)
    store.arm(fault, at)
    visit(browser, make_app(ACTS[act], (lambda s: s.update(late=1)) if late else None, error_page), store)
    happened = store.calls >= at
    store.arm("", 0)

    # The next request works, and whoever has a cookie has a session or is told why not.
    rejected, principal, content = look(browser, store)
    if browser.cookies:
        key = key_of(read_id(browser.cookies["session"]))
        if browser.cookies != before:
            assert rejected is None
            assert key in store.records
        elif rejected is not None:  # a write that held, and whose answer was lost
            assert fault != "fails" or act == "clear"
    # A sign-in that was answered has left the old cookie behind.
    if known and act in SIGN_INS and browser.cookies != before:
        assert look(thief, store)[0] in ("superseded", "expired")
    # Nothing lives for ever.
    assert all(ttl is not None and ttl <= 1000 for ttl in store.times_to_live)
    # What can be ended by its principal is all that there is of them.
    asyncio.run(Sessions(store, KEY).end_all("42"))
    if principal == "42":
        assert look(browser, store)[0] == "expired"
    for record_key, (record, _) in store.records.items():
        assert b'"principal":"42"' not in open_record(record_key, record).payload
    # And a second try does what the first was to do.
    if act == "sign in":
        assert visit(browser, make_app(sign_in, None, error_page=False), store)
        assert look(browser, store)[:2] == [None, "42"]
    assert content == {} or content.keys() <= {"cart", "name", "a", "failed", "late"}
    return happened


@pytest.mark.slow
def test_10_000_cancelled_requests_leave_no_growth() -> None:
    logging.disable(logging.WARNING)  # pytest would keep each warning that a change was not saved
    store = Faulty()
    browser = Browser(SessionMiddleware(app_that(lambda scope: None), KEY, store=store))
    visit(browser, make_app(lambda session: session.update(cart=["tea"]), None, error_page=False), store)
    middleware = SessionMiddleware(make_app(ACTS["change"], None, error_page=False), KEY, store=store)

    async def send(message: Any) -> None: ...

    async def cancel(count: int) -> None:
        for number in range(count):
            store.arm("is cancelled", number % 3 + 1)
            scope = {"type": "http", "path": "/", "headers": browser.headers()}
            task = asyncio.create_task(middleware(scope, None, send))
            await asyncio.wait([task])
            store.forget()

    def measure() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        asyncio.run(cancel(500))
        before = measure()
        asyncio.run(cancel(10_000))
        growth = measure() - before
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)

    assert growth < 100_000  # bytes, ten for each request
