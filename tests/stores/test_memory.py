"""What MemoryStore does beyond the protocol: it is bounded, keeps lists the longest, and is safe in several threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import time_machine

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session.stores import MemoryStore, Sessions

from ..apps import app_that
from ..browser import Browser
from ..conftest import KEY as SECRET
from . import NEW, OLD, make_key, make_record

THREADS = 8
SWAPS = 200  # of each thread


def keep(store: MemoryStore, *keys: str, ttl: int | None = None) -> None:
    for key in keys:
        assert asyncio.run(store.swap(key, None, OLD, ttl=ttl)) is None


def find(store: MemoryStore, *keys: str) -> list[bytes | None]:
    return [store.get_now(key) for key in keys]


# How much it keeps


def test_it_keeps_as_many_records_as_it_is_told_and_loses_that_which_was_written_longest_ago() -> None:
    store = MemoryStore(max_records=3)
    keep(store, "a", "b", "c")
    assert find(store, "a", "b", "c") == [OLD, OLD, OLD]

    keep(store, "d")

    assert find(store, "a", "b", "c", "d") == [None, OLD, OLD, OLD]


def test_a_change_makes_a_record_the_last_to_be_lost_and_loses_no_other() -> None:
    store = MemoryStore(max_records=2)
    keep(store, "a", "b")

    assert asyncio.run(store.swap("a", OLD, NEW, ttl=None)) is None
    assert find(store, "a", "b") == [NEW, OLD]

    keep(store, "c")
    assert find(store, "a", "b", "c") == [NEW, None, OLD]


def test_a_record_whose_time_is_over_makes_way_for_a_new_one(clock: time_machine.Traveller) -> None:
    store = MemoryStore()
    keep(store, "a", ttl=10)
    clock.shift(10)

    assert asyncio.run(store.swap("a", None, NEW, ttl=10)) is None
    assert find(store, "a") == [NEW]


def test_a_refused_swap_and_a_read_leave_the_order_as_it_is() -> None:
    store = MemoryStore(max_records=2)
    keep(store, "a", "b")

    assert asyncio.run(store.swap("a", None, NEW, ttl=None)) == OLD
    assert asyncio.run(store.get("a")) == OLD

    keep(store, "c")
    assert find(store, "a", "b", "c") == [None, OLD, OLD]


def test_a_lost_record_is_as_good_as_deleted() -> None:
    store = MemoryStore(max_records=1)
    keep(store, "a", "b")

    assert asyncio.run(store.swap("a", OLD, NEW, ttl=None)) == b""


def test_the_first_lost_record_is_warned_about_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(max_records=1)
    keep(store, "a")
    assert caplog.records == []

    keep(store, "b", "c", "d")

    warning: Any
    (warning,) = caplog.records
    assert (warning.levelname, warning.name, warning.event) == ("WARNING", "asgi_signed_session", "session.evicted")
    assert warning.getMessage() == (
        "MemoryStore has no room for more than 1 sessions: for each new one, the one that was written longest ago is"
        " lost. Give it a larger max_records, or use a SQLiteStore."
    )


def test_a_record_whose_time_is_over_makes_room_without_a_warning(
    clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(max_records=2)
    keep(store, "a", ttl=10)
    keep(store, "b")
    clock.shift(10)

    keep(store, "c")

    assert find(store, "a", "b", "c") == [None, OLD, OLD]
    assert caplog.records == []


def test_records_whose_time_is_over_do_not_pile_up(clock: time_machine.Traveller) -> None:
    store = MemoryStore()
    for _ in range(100):
        keep(store, *(make_key() for _ in range(10)), ttl=60)
        clock.shift(30)

    assert len(store._records) <= 40


def test_a_record_is_there_until_its_last_moment(clock: time_machine.Traveller) -> None:
    store = MemoryStore()
    keep(store, "a", ttl=10)

    clock.shift(9.5)
    assert find(store, "a") == [OLD]

    clock.shift(0.5)
    assert find(store, "a") == [None]


@pytest.mark.parametrize("max_records", [0, -1, 1.5, None, "10"])
def test_a_bound_that_is_none_is_refused(max_records: Any) -> None:
    with pytest.raises(ValueError, match=r"^max_records=.* must be a positive int\.$"):
        MemoryStore(max_records)


# The list of a user's sessions


def browse(store: MemoryStore, act: Callable[[Session], object], browser: Browser | None = None) -> Browser:
    """The browser after a request whose app has done that to its session."""
    browser = browser or Browser(app_that(len))
    browser.app = SessionMiddleware(app_that(lambda scope: act(scope["session"])), SECRET, store=store)
    browser.get()
    return browser


def sign_in(session: Session) -> None:
    session.principal = "42"


def use(session: Session) -> None:
    session["used"] = session.get("used", 0) + 1


def count_sessions(store: MemoryStore) -> int:
    return len(asyncio.run(Sessions(store, SECRET).of("42")))


def test_a_session_that_is_in_use_is_listed_and_ended_with_the_others_however_many_come_and_go() -> None:
    store = MemoryStore(max_records=4)
    phone = browse(store, sign_in)
    for _ in range(10):
        browse(store, use)
        browse(store, use, phone)

    assert count_sessions(store) == 1
    assert asyncio.run(Sessions(store, SECRET).end_all("42")) == 1


def test_the_list_of_a_user_s_sessions_goes_after_each_of_them() -> None:
    store = MemoryStore(max_records=4)
    phone = browse(store, sign_in)
    browse(store, sign_in)
    (users_list,) = {*store._lists.values()}
    browse(store, use, phone)
    counts: list[int] = []
    while users_list in store._records:
        counts.append(count_sessions(store))
        browse(store, use)

    assert counts == [2, 2, 1, 0]
    assert store._lists == {}


def test_sessions_that_were_never_written_do_not_pile_up() -> None:
    store = MemoryStore(max_records=5)
    keep(store, "session")
    store._keep_list("list", "session")
    for _ in range(20):
        store._keep_list("list", make_key())

    assert len(store._lists) <= 5
    assert store._lists["session"] == "list"


# Several threads


def test_nothing_is_lost_when_several_threads_swap_one_record() -> None:
    store = MemoryStore()
    key = make_key()
    start = Barrier(THREADS)

    async def count() -> None:
        start.wait()
        for _ in range(SWAPS):
            there = await store.get(key)
            while True:
                number = int((there or b"")[32:] or b"0") + 1
                answer = await store.swap(key, there, make_record(b"%d" % number), ttl=60)
                if answer is None:
                    break
                there = answer

    with ThreadPoolExecutor(THREADS) as threads:
        for future in [threads.submit(asyncio.run, count()) for _ in range(THREADS)]:
            future.result()

    assert store.get_now(key) == make_record(b"%d" % (THREADS * SWAPS))


def test_several_threads_that_write_more_than_there_is_room_for_raise_nothing() -> None:
    store = MemoryStore(max_records=5)
    start = Barrier(THREADS)

    async def fill() -> None:
        start.wait()
        for number in range(SWAPS):
            key = make_key()
            await store.swap(key, None, OLD, ttl=number % 2)
            store.get_now(key)
            await store.delete(key)

    with ThreadPoolExecutor(THREADS) as threads:
        for future in [threads.submit(asyncio.run, fill()) for _ in range(THREADS)]:
            future.result()

    assert len(store._records) == 0
