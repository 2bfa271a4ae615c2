"""Several tasks of one connection that load and save its session at the same time, and answers that are lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, count
from threading import Event, Thread
from time import monotonic
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session import turns as turns_module
from asgi_signed_session.store_keeper import StoreKeeper
from asgi_signed_session.stores import Sessions
from asgi_signed_session.turns import Turns

from .apps import app_that, show_session
from .browser import Browser
from .conftest import KEY
from .intents import run_now
from .records import Records
from .test_parallel import pause

Operation = tuple[str, int]  # a name and a value that no other operation has

names = st.sampled_from(["append", "set", "load", "save", "save", "elsewhere"])


@dataclass
class Answering(Records):
    """A store that gives way before each call and before its answer, and loses the answers that it is told to."""

    lost: frozenset[int] = frozenset()  # numbers of swaps whose answers are lost
    unheard: frozenset[int] = frozenset()  # numbers of swaps that are lost themselves
    swaps: int = 0
    is_slow: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    async def get(self, key: str) -> bytes | None:
        if not self.is_slow:
            return await super().get(key)
        await pause()
        record = await super().get(key)
        await pause()
        return record

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        if not self.is_slow:
            return await super().swap(key, expected, record, ttl=ttl)
        number, self.swaps = self.swaps, self.swaps + 1
        await pause()
        if number in self.unheard:
            raise ConnectionError("not sent")
        answer = await super().swap(key, expected, record, ttl=ttl)
        await pause()
        if number in self.lost:
            raise ConnectionError("no answer")
        return answer


@dataclass
class Open:
    """A websocket that is open, and what its tasks have put into its session."""

    store: Answering
    appended: list[int] = field(default_factory=list)
    set: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.visitor = Browser(SessionMiddleware(app_that(self._put(0)), KEY, store=self.store), run=run_now)
        self.visitor.get()
        self.sessions: list[Session] = []
        self.connection = self._serve()
        self.connection.send(None)
        self.store.is_slow = True

    def _put(self, value: int) -> Any:
        self.appended.append(value)
        return lambda scope: scope["session"].setdefault("list", []).append(value)

    def _serve(self) -> Coroutine[Any, Any, None]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            self.sessions.append(scope["session"])
            await pause()

        async def send(message: Any) -> None:
            """To nobody."""

        scope = {"type": "websocket", "path": "/", "headers": self.visitor.headers()}
        return SessionMiddleware(app, KEY, store=self.store)(scope, None, send)

    async def run(self, program: list[Operation]) -> None:
        [session] = self.sessions
        for name, value in program:
            if name == "append":
                session.setdefault("list", []).append(value)
                self.appended.append(value)
            elif name == "set":
                session[f"key {value}"] = self.set[f"key {value}"] = value
            elif name == "elsewhere":
                self.store.is_slow = False
                self.visitor.app = SessionMiddleware(app_that(self._put(value)), KEY, store=self.store)
                self.visitor.get()
                self.store.is_slow = True
            else:
                with suppress(ConnectionError):  # the app goes on, and may try again
                    await getattr(session, name)()

    def close(self) -> None:
        self.store.lost = self.store.unheard = frozenset()
        with suppress(StopIteration):
            for _ in range(100):
                self.connection.send(None)


def play(programs: list[list[str]], order: list[int], lost: frozenset[int], unheard: frozenset[int]) -> Any:
    """What is in the store in the end, and what was put in, where the tasks have their turns in this order."""
    websocket = Open(Answering(lost=lost, unheard=unheard))
    numbers = iter(range(1, 100))
    tasks: list[Any] = [websocket.run([(name, next(numbers)) for name in program]) for program in programs]
    turns = chain(order, count())
    while tasks:
        task = tasks[next(turns) % len(tasks)]
        try:
            task.send(None)
        except StopIteration:
            tasks.remove(task)
    websocket.close()
    [content] = websocket.store.sessions.values()
    return content, websocket


few = st.frozensets(st.integers(0, 12), max_size=6)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(names, max_size=6), max_size=3), st.lists(st.integers(0, 5), max_size=60), few, few)
@example([["append", "save"], ["append", "save"]], [0, 1, 0, 1, 0, 1, 1, 1], frozenset(), frozenset())
@example([["append", "save"], ["load"]], [0, 0, 1, 1, 1, 0], frozenset(), frozenset())
@example([["load"], ["elsewhere", "load"]], [0, 1, 1, 1, 0, 0], frozenset(), frozenset())
@example([["append", "save", "load", "save"]], [], frozenset({0, 1}), frozenset())
@example([["append", "save", "append", "save"]], [], frozenset({0, 1}), frozenset())  # both of the first save's answers
def test_in_any_order_each_change_is_in_the_store_once(
    programs: list[list[str]], order: list[int], lost: frozenset[int], unheard: frozenset[int]
) -> None:
    # What somebody else has written over a save that wasn't answered doesn't tell whether that save had held.
    is_alone = all("elsewhere" not in program for program in programs)

    content, websocket = play(programs, order, lost if is_alone else frozenset(), unheard)

    assert Counter(content.pop("list")) == Counter(websocket.appended)
    assert content == websocket.set


def test_a_session_whose_first_save_was_not_answered_is_saved_once(caplog: pytest.LogCaptureFixture) -> None:
    """A new visitor's, on a server that the driver loses twice."""
    store = Answering(lost=frozenset({0, 1}), is_slow=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["list"] = [1]
        with suppress(ConnectionError):
            await send({"type": "http.response.start", "status": 200})
        scope["session"]["list"].append(2)
        await send({"type": "http.response.start", "status": 500})

    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    connection: Any = SessionMiddleware(app, KEY, store=store)({"type": "http", "path": "/", "headers": []}, None, send)
    with suppress(StopIteration):
        while True:
            connection.send(None)

    assert list(store.sessions.values()) == [{"list": [1, 2]}]
    assert [name for name, _ in answers[0]["headers"]] == [b"vary", b"set-cookie", b"cache-control"]
    assert caplog.records == []


def test_a_response_that_starts_while_a_task_loads_is_saved_when_its_turn_has_come() -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(n=0)), KEY, store=store))
    visitor.get()
    sessions: list[Session] = []
    started: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sessions.append(scope["session"])
        await pause()
        scope["session"]["n"] = 1
        scope["session"].regenerate()
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        started.append(message)

    scope = {"type": "http", "path": "/", "headers": visitor.headers()}
    request: Any = SessionMiddleware(app, KEY, store=store)(scope, None, send)
    request.send(None)
    store.is_slow = True
    task: Any = sessions[0].load()
    task.send(None)
    for _ in range(3):
        request.send(None)
    for each in (task, request):
        with suppress(StopIteration):
            for _ in range(100):
                each.send(None)

    assert [name for name, _ in started[0]["headers"]] == [b"vary", b"set-cookie", b"cache-control"]
    assert list(store.sessions.values()) == [{"n": 1}]


@pytest.mark.parametrize("before", [{}, {"cart": ["tea"]}], ids=["new", "renewed"])
def test_a_sign_in_whose_last_look_at_the_store_fails_is_saved_by_the_error_page(
    before: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = Records()
    browser = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(before)), KEY, store=store))
    browser.get()

    async def fail_from_now_on() -> None:
        if "swap" in store.methods[:-1]:  # this is the session's; the one before was of the principal's list
            store.failing = {"get"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].principal = "ada"
        with pytest.raises(ConnectionError, match=r"^get failed$"):
            await send({"type": "http.response.start", "status": 200})
        store.failing, store.before = set(), {}
        scope["session"]["error"] = 1
        await send({"type": "http.response.start", "status": 500})

    store.forget()
    store.before["swap"] = fail_from_now_on
    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()
    browser.app = SessionMiddleware(app_that(show_session), KEY, store=store)

    assert browser.get().json() == [{**before, "error": 1}, None]
    assert asyncio.run(Sessions(store, KEY).end_all("ada")) == 1
    assert caplog.records == []


# Under event loops


def test_tasks_wait_for_one_another_under_any_event_loop(run: Any) -> None:
    """The store of each answers once the other has asked for its turn."""
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(list=[])), KEY, store=store))
    visitor.get()
    store.forget()

    async def add(session: Session, number: int) -> None:
        session["list"].append(number)
        await session.save()
        await session.load()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        session = scope["session"]
        store.before = dict.fromkeys(("get", "swap"), checkpoint)
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(add, session, number)

    visitor.app, visitor.run = SessionMiddleware(app, KEY, store=store), run
    visitor.websocket()

    [content] = store.sessions.values()
    assert sorted(content["list"]) == [0, 1, 2, 3, 4]


async def checkpoint() -> None:
    await anyio.lowlevel.checkpoint()


def test_a_task_that_is_cancelled_while_it_waits_keeps_nobody_waiting(run: Any) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(n=0)), KEY, store=store))
    visitor.get()
    held: list[int] = []
    waiting: list[int] = []

    async def save(session: Session, number: int) -> None:
        session["n"] = number
        await session.save()

    async def hold() -> None:
        held.append(1)
        store.before.clear()
        while len(waiting) < 1:
            await anyio.lowlevel.checkpoint()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        session = scope["session"]
        store.before["swap"] = hold
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(save, session, 1)
            while not held:
                await anyio.lowlevel.checkpoint()
            with anyio.CancelScope() as scope_of_the_second:
                scope_of_the_second.cancel()
                await session.load()
            tasks.start_soon(save, session, 3)
            await anyio.lowlevel.checkpoint()
            waiting.append(1)

    visitor.app, visitor.run = SessionMiddleware(app, KEY, store=store), run
    visitor.websocket()

    assert list(store.sessions.values()) == [{"n": 3}]


def test_a_task_that_waits_for_one_in_another_thread_is_woken(run: Any) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(n=0)), KEY, store=store))
    visitor.get()
    held, waits = Event(), Event()
    took: list[float] = []

    async def hold() -> None:
        store.before.clear()
        held.set()
        waits.wait(10)
        await anyio.sleep(0.05)  # until the other loop has nothing to do

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        session = scope["session"]
        session["a"] = 1
        store.before["swap"] = hold
        other = Thread(target=run, args=[session.save])
        other.start()
        held.wait(10)
        session["b"] = 2
        waits.set()
        begun = monotonic()
        with anyio.move_on_after(5):
            await session.save()
        took.append(monotonic() - begun)
        other.join()

    visitor.app, visitor.run = SessionMiddleware(app, KEY, store=store), run
    visitor.websocket()

    assert took[0] < 4
    assert list(store.sessions.values()) == [{"n": 0, "a": 1, "b": 2}]


def test_a_waiter_whose_event_loop_has_ended_keeps_no_task_from_going_on(run: Any) -> None:
    turns = Turns()
    assert turns.take_now()

    async def give_up() -> None:
        with anyio.move_on_after(0.01):
            await turns.take()

    run(give_up)
    turns.give_back()

    assert turns.take_now()


def test_an_app_that_is_closed_while_another_task_saves_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(n=0)), KEY, store=store))
    visitor.get()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        scope["session"]["n"] = 1
        saving = scope["session"].save()
        store.is_slow = True
        saving.send(None)  # as a task that waits for the store
        scope["session"]["n"] = 2
        running.append(saving)
        await pause()

    async def nothing(*_: Any) -> None:
        pass

    running: list[Any] = []
    scope = {"type": "websocket", "path": "/ws", "headers": visitor.headers()}
    connection = SessionMiddleware(app, KEY, store=store)(scope, nothing, nothing)
    connection.send(None)
    connection.close()

    assert running
    assert scope.keys() == {"type", "path", "headers", "session"}
    assert "'n'" in caplog.text

    caplog.clear()
    running.pop().close()
    assert [vars(record)["event"] for record in caplog.records] == ["session.unsaved"]  # it was changed in time


def test_what_an_outage_leaves_unanswered_takes_no_more_room_the_longer_it_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(list=[])), KEY, store=store))
    visitor.get()
    unanswered: list[Any] = []
    keep = StoreKeeper.keep

    async def spy(self: StoreKeeper, *args: Any) -> Any:
        unanswered[:] = [args[-1]]
        return await keep(self, *args)

    monkeypatch.setattr(StoreKeeper, "keep", spy)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        session = scope["session"]
        store.is_slow, store.lost, store.unheard = True, frozenset({0}), frozenset(range(1, 2000))
        for number in range(500):
            session["list"].append(number)
            with suppress(ConnectionError):
                await session.save()
        assert len(unanswered[0]) == 32
        store.unheard = frozenset()
        await session.save()
        assert unanswered == [{}]

    visitor.app = SessionMiddleware(app, KEY, store=store)
    visitor.websocket()

    assert list(store.sessions.values()) == [{"list": list(range(500))}]  # the first had held


def test_two_tasks_that_load_a_session_for_the_first_time_read_it_once(run: Any) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(n=0)), KEY, store=store))
    visitor.get()
    store.forget()
    store.before["get"] = checkpoint
    seen: list[Any] = []

    async def look(session: Session) -> None:
        await session.load()
        session["n"] += 1
        seen.append(dict(session))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(look, scope["session"])
        await send({"type": "http.response.start", "status": 200})

    visitor.app, visitor.run = SessionMiddleware(app, KEY, store=store, autoload=False), run
    visitor.get()

    assert seen == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert store.methods == ["get", "swap"]


def test_the_start_of_a_response_waits_for_a_task_that_saves_and_saves_the_rest(run: Any) -> None:
    store = Answering()
    visitor = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(list=[])), KEY, store=store))
    visitor.get()

    async def save(session: Session) -> None:
        session["list"].append(1)
        await session.save()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        asked = anyio.Event()

        async def answer_later() -> None:
            asked.set()
            await checkpoint()

        store.before["swap"] = answer_later
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(save, session)
            await asked.wait()
            session["list"].append(2)
            await send({"type": "http.response.start", "status": 200})
            tasks.start_soon(session.save)

    visitor.app, visitor.run = SessionMiddleware(app, KEY, store=store), run

    assert visitor.get().start["status"] == 200
    assert list(store.sessions.values()) == [{"list": [1, 2]}]


def test_a_turn_that_another_thread_gives_back_at_the_worst_moment_is_taken(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    turns.take_now()
    make_event = turns_module._make_event

    def give_back_first() -> Any:
        turns.give_back()
        return make_event()

    monkeypatch.setattr(turns_module, "_make_event", give_back_first)

    async def take() -> None:
        with anyio.fail_after(60):
            await turns.take()

    run(take)
    assert turns.take_now() is False
