"""A store that fails, hangs, loses its answer or is cancelled, at each of its calls: nothing half-done is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import pytest

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session.stores import Sessions

from .apps import app_that
from .browser import RUNNERS, Browser, Runner
from .conftest import KEY
from .daemons import DEADLINE
from .records import Records, key_of, open_record, read_id

pytestmark = pytest.mark.usefixtures("clock")

Act = Callable[[Session], Any]
Main = Callable[[], Coroutine[Any, Any, None]]


class Faulty(Records):
    """Has a fault at one call, counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.fault_at = 0
        self.fault = ""
        self.calls = 0
        self.hanging = anyio.Event()

    def arm(self, fault: str, at: int) -> None:
        self.fault, self.fault_at, self.calls = fault, at, 0
        self.hanging = anyio.Event()

    async def get(self, key: str) -> Any:
        return await self._call(super().get, key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await self._call(super().swap, key, expected, record, ttl=ttl)

    async def delete(self, key: str) -> None:
        await self._call(super().delete, key)

    async def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        goes_on = self.fault == "hangs from then on" and self.calls > self.fault_at
        fault = self.fault if self.calls == self.fault_at or goes_on else ""
        if fault == "fails":
            raise ConnectionError
        if fault == "is cancelled":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        if fault in ("hangs", "hangs from then on"):
            await self._hang()
        answer = await method(*arguments, **options)
        if fault == "hangs once it has done it":
            await self._hang()
        if fault == "loses its answer":
            raise ConnectionError
        return answer

    async def _hang(self) -> None:
        self.hanging.set()
        await anyio.sleep_forever()


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
HANGS = ["hangs", "hangs once it has done it", "hangs from then on"]


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


# How who waits for the app gives up once the store hangs


def cancel_task(store: Faulty) -> Runner:
    """As asyncio.timeout, and a server that shuts down: one CancelledError, and no more."""

    async def give_up(main: Main) -> None:
        task, hanging = asyncio.ensure_future(main()), asyncio.ensure_future(store.hanging.wait())
        await asyncio.wait([task, hanging], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        hanging.cancel()
        await asyncio.wait([task, hanging], timeout=DEADLINE)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        task.result()

    return lambda main: asyncio.run(give_up(main))


def cancel_scope(store: Faulty, run: Runner) -> Runner:
    """As anyio.fail_after: whatever the app awaits from then on is cancelled, too."""

    async def give_up(main: Main) -> None:
        async with anyio.create_task_group() as tasks:

            async def wait_for_hang() -> None:
                await store.hanging.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(wait_for_hang)
            await main()
            tasks.cancel_scope.cancel()

    return lambda main: run(lambda: give_up(main))


WAYS: dict[str, Callable[[Faulty], Runner]] = {
    "a task is cancelled": cancel_task,
    **{f"a scope is cancelled, {name}": partial(cancel_scope, run=run) for name, run in RUNNERS.items()},
}


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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", HANGS)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("act", ACTS)
def test_a_store_that_hangs_at_any_call_leaves_nothing_half_done_and_no_task_once_the_app_is_given_up(
    act: str, known: bool, late: bool, fault: str, way: str
) -> None:
    at = 1
    while try_at(at, act, known, late, error_page=False, fault=fault, way=WAYS[way]):
        at += 1

    asks = known or act not in ("read", "regenerate", "clear")
    assert (at > 1) == asks


def try_at(
    at: int,
    act: str,
    known: bool,
    late: bool,
    error_page: bool,
    fault: str,
    way: Callable[[Faulty], Runner] | None = None,
) -> bool:
    """Whether there was such a call."""
    store = Faulty()
    browser = Browser(SessionMiddleware(app_that(lambda scope: None), KEY, store=store))
    if known:
        visit(browser, make_app(lambda session: session.update(cart=["tea"]), None, error_page=False), store)
    thief = Browser(browser.app, cookies=dict(browser.cookies))
    before = dict(browser.cookies)
    store.arm(fault, at)
    if way is not None:
        browser.run = way(store)
    visit(browser, make_app(ACTS[act], (lambda s: s.update(late=1)) if late else None, error_page), store)
    happened = store.calls >= at
    store.arm("", 0)
    browser.run = thief.run

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


def test_a_late_change_is_saved_though_the_app_is_cancelled_and_a_second_time_ends_that_too() -> None:
    """A store that hangs only then is waited for: asyncio.timeout cancels once, and the driver has to give up."""
    store = Faulty()
    browser = Browser(SessionMiddleware(app_that(lambda scope: None), KEY, store=store))
    visit(browser, make_app(ACTS["change"], None, error_page=False), store)
    store.arm("hangs", at=2)

    async def main() -> None:
        has_changed = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            scope["session"]["late"] = 1
            has_changed.set()
            await anyio.sleep_forever()

        async def send(message: Any) -> None: ...

        scope = {"type": "http", "path": "/", "headers": browser.headers()}
        task = asyncio.create_task(SessionMiddleware(app, KEY, store=store)(scope, None, send))
        await has_changed.wait()
        task.cancel()
        await store.hanging.wait()
        assert not task.done()
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()

    asyncio.run(main())
    store.arm("", 0)

    assert look(browser, store) == [None, None, {"cart": ["milk"]}]


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
