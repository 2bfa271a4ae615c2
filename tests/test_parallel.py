"""Requests of one visitor that run at the same time: in any order nothing is lost without a word."""

from __future__ import annotations

import copy
import json
import logging
import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_signed_session import Session, SessionMiddleware

from .conftest import KEY
from .intents import INTENTS, MEANWHILE, TABLE, Outcome, play
from .records import Records

OLD_KEY = "an old key of more than 16 bytes"


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("intent", INTENTS)
def test_what_becomes_of_a_change_when_another_request_changes_the_session_meanwhile(
    intent: str, meanwhile: str
) -> None:
    assert play(INTENTS[intent], MEANWHILE[meanwhile]) == Outcome(*TABLE[intent, meanwhile])


# Any interleaving of any requests

Operation = tuple[str, int]  # a name and a value that no other operation has
names = st.sampled_from(["set", "shared", "append", "nest", "delete", "clear", "regenerate", "sign in", "read"])
late_names = st.sampled_from(["set", "shared", "append", "nest"])
KEYS = {"shared": "shared", "append": "list", "nest": "dict", "delete": "old"}


def operate(session: Session, operation: Operation) -> None:
    name, value = operation
    if name == "set":
        session[f"key {value}"] = value
    elif name == "shared":
        session["shared"] = value
    elif name == "append":
        session.setdefault("list", []).append(value)
    elif name == "nest":
        session.setdefault("dict", {})[str(value)] = value
    elif name == "delete":
        session.pop("old", None)
    elif name == "clear":
        session.clear()
    elif name == "regenerate":
        session.regenerate()
    elif name == "sign in":
        session.principal = f"user {value}"
    else:
        len(session)


@types.coroutine
def pause() -> Generator[None]:
    """Gives way to the scheduler."""
    yield


@dataclass
class Step:
    """One call of the store that has changed a record."""

    request: int
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Scheduled(Records):
    """Gives way before each call, and notes those that have changed something."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0  # whose turn it is
        self.steps: list[Step] = []
        self.before = {"get": pause, "swap": pause, "delete": pause}

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        answer = await super().swap(key, expected, record, ttl=ttl)
        if answer is None:
            self.steps.append(Step(self.running, key, read(expected), read(record)))
        return answer

    async def delete(self, key: str) -> None:
        # The record is gone as of its turn, not of this moment.
        await super().delete(key)
        self.steps.append(Step(self.running, key, None, None))


def read(record: bytes | None) -> dict[str, Any] | None:
    return None if record is None else json.loads(record[64:])


@dataclass
class Request:
    early: list[Operation]
    late: list[Operation]
    running: Coroutine[Any, Any, None] | None = None
    touched: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)  # keys, by all that it did
    has_ended: bool = False  # what was there before
    lost: set[str] = field(default_factory=set)  # keys that were warned about
    rejected: str | None = None

    def operate(self, session: Session, operation: Operation) -> None:
        name, value = operation
        self.has_ended |= name == "clear" or (name == "sign in" and session.principal is not None)
        if name == "clear" or (name == "sign in" and session.principal is not None):
            self.touched |= {*session}
        before = dict(session)
        operate(session, operation)
        key = KEYS.get(name) or (f"key {value}" if name == "set" else None)
        if key is not None and (key in before or key in session):
            self.touched.add(key)


class World:
    """A visitor's browser with several requests under way, and who decides what happens next."""

    def __init__(self, requests: list[Request], max_age: int | None) -> None:
        self.store = Scheduled()
        self.requests = requests
        self.jar: str | None = None
        self.answers: list[str | None] = []  # cookies on their way to the browser; None deletes it
        self.options: dict[str, Any] = {"store": self.store, "fallbacks": [OLD_KEY], "max_age": max_age}

    def begin(self, key: str) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"].update({"old": 1, "list": [0], "dict": {"0": 0}, "shared": 0})
            await send({"type": "http.response.start", "status": 200})

        middleware = SessionMiddleware(app, key, store=self.store)
        connection = middleware({"type": "http", "path": "/", "headers": []}, None, self.answer)
        for _ in connection.__await__():
            pass
        self.arrive(0)
        [self.first_key] = self.store.records
        self.store.steps.clear()

    async def answer(self, message: Any) -> None:
        for name, value in message.get("headers", ()):
            if name == b"set-cookie":
                line = value.decode()
                self.answers.append(None if "Max-Age=0" in line else line.partition(";")[0].partition("=")[2])

    def arrive(self, place: int) -> None:
        self.jar = self.answers.pop(place)

    def start(self, number: int) -> Coroutine[Any, Any, None]:
        request = self.requests[number]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            session = scope["session"]
            request.rejected = session.rejected
            read = copy.deepcopy(dict(session))
            for operation in request.early:
                request.operate(session, operation)
            await pause()
            await send({"type": "http.response.start", "status": 200})
            for operation in request.late:
                request.operate(session, operation)
            request.changed = {key for key in {*read, *session} if read.get(key) != session.get(key)}
            await pause()

        headers = [] if self.jar is None else [(b"cookie", f"session={self.jar}".encode())]
        scope = {"type": "http", "path": f"/{number}", "headers": headers}
        request.running = SessionMiddleware(app, KEY, **self.options)(scope, None, self.answer)
        return request.running

    def run(self, choose: Any) -> None:
        """Lets one request go on to where it next waits, or one answer arrive, until all have."""
        left = set(range(len(self.requests)))
        while left or self.answers:
            choices: list[Any] = [("go on", number) for number in sorted(left)]
            choices += [("arrive", place) for place in range(len(self.answers))]
            what, number = choose(choices)
            if what == "arrive":
                self.arrive(number)
                continue
            self.store.running = number
            try:
                (self.requests[number].running or self.start(number)).send(None)
            except StopIteration:
                left.remove(number)

    def close(self) -> None:
        for request in self.requests:
            if request.running is not None:
                request.running.close()

    def look(self) -> Session:
        sessions: list[Session] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            len(scope["session"])
            sessions.append(scope["session"])

        headers = [] if self.jar is None else [(b"cookie", f"session={self.jar}".encode())]
        connection = SessionMiddleware(app, KEY, **self.options)(
            {"type": "http", "path": "/", "headers": headers}, None, self.answer
        )
        for _ in connection.__await__():
            pass
        return sessions[0]


class Warnings(logging.Handler):
    def __init__(self, requests: list[Request]) -> None:
        super().__init__(logging.WARNING)
        self.requests = requests

    def emit(self, record: logging.LogRecord) -> None:
        fields: Any = vars(record)
        self.requests[int(fields["path"][1:])].lost |= {*fields["keys"]}


def check_step(step: Step, request: Request) -> None:
    """What a swap leaves of what was there: all but what this request has changed."""
    assert step.after is not None
    before, after = dict(step.before or {}), dict(step.after)
    for content in (before, after):
        content.pop("$session", None)
    if not request.has_ended:
        for key in {*before, *after} - request.touched:
            assert before.get(key) == after.get(key)
        for key in ("list", "dict"):
            if key in request.touched and key in before:
                assert all(item in after[key] for item in before[key])


def values_in(content: Any) -> set[int]:
    """The values, each of which one operation has put in."""
    if isinstance(content, dict):
        return {value for key, inner in content.items() if key != "$session" for value in values_in(inner)}
    if isinstance(content, list):
        return {value for inner in content for value in values_in(inner)}
    return {content}


@st.composite
def programs(draw: Any) -> list[Request]:
    value = iter(range(10, 1000))
    count = draw(st.integers(2, 4))
    return [
        Request(
            [(name, next(value)) for name in draw(st.lists(names, min_size=1, max_size=3))],
            [(name, next(value)) for name in draw(st.lists(late_names, max_size=1))],
        )
        for _ in range(count)
    ]


@settings(deadline=None, max_examples=500)
@given(
    requests=programs(),
    max_age=st.sampled_from([None, 1_000_000]),
    key=st.sampled_from([KEY, OLD_KEY]),
    data=st.data(),
)
def test_in_any_interleaving_nothing_is_lost_without_a_word_and_nothing_ended_comes_back(
    requests: list[Request], max_age: int | None, key: str, data: st.DataObject
) -> None:
    world = World(requests, max_age)
    logger, handler = logging.getLogger("asgi_signed_session"), Warnings(requests)
    logger.addHandler(handler)
    try:
        world.begin(key)
        world.run(lambda choices: data.draw(st.sampled_from(choices)))
    finally:
        logger.removeHandler(handler)
        world.close()

    seen_under: dict[str, set[int]] = {world.first_key: {0, 1}}
    ended: set[int] = set()
    for step in world.store.steps:
        request = requests[step.request]
        seen = seen_under.setdefault(step.key, set())
        if step.after is None:
            ended |= seen
            continue
        check_step(step, request)
        now = values_in(step.after)
        own = {value for _, value in [*request.early, *request.late]}
        assert not (now & ended) - own
        if request.has_ended:
            ended |= seen - now
        seen |= now

    saved = {step.request for step in world.store.steps}
    for number, request in enumerate(requests):
        assert number in saved or request.changed <= request.lost or request.rejected == "superseded"

    acts = {name for request in requests for name, _ in request.early}
    found = world.look()
    # A cookie that is signed anew, as its key was an older one, may arrive after that of a sign-in.
    if "clear" not in acts and key == KEY:
        assert found.rejected is None
        if "sign in" in acts and "regenerate" not in acts:
            assert found.principal is not None
