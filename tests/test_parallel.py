"""Requests of one visitor that run at the same time: in any order nothing is lost without a word."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import secrets
import types
from binascii import a2b_base64
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session.stores import MemoryStore

from .apps import app_that
from .browser import Browser
from .conftest import KEY, NOW
from .intents import INTENTS, MEANWHILE, TABLE, Outcome, play, run_now
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
        is_session = record[40:56] != bytes(16)  # no cookie leads to the index
        if answer is None and is_session:
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
        if "path" not in fields:  # that a session was begun anew: what was put in is in it
            return
        self.requests[int(fields["path"][1:])].lost |= {*fields["keys"]}


def check_step(step: Step, request: Request) -> None:
    """What a swap leaves of what was there: all but what this request has changed."""
    assert step.after is not None
    if step.before is None:  # a sign-in takes along what was nobody's
        return
    before, after = dict(step.before), dict(step.after)
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


@time_machine.travel(NOW, tick=False)
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
    copied: dict[str, set[int]] = {}
    for step in world.store.steps:
        request = requests[step.request]
        seen = seen_under.setdefault(step.key, set())
        if step.after is None:
            ended |= seen
            continue
        check_step(step, request)
        now = values_in(step.after)
        own = {value for _, value in [*request.early, *request.late]}
        # Of two sign-ins at once the later one takes a copy, which whoever ends the first doesn't reach.
        if step.before is None and "sign in" in {name for name, _ in request.early}:
            copied[step.key] = now
        assert not (now & ended) - own - copied.get(step.key, set())
        if request.has_ended:
            ended |= seen - now
        seen |= now

    saved = {step.request for step in world.store.steps}
    for number, request in enumerate(requests):
        assert number in saved or request.changed <= request.lost or request.rejected == "superseded"

    acts = {name for request in requests for name, _ in request.early}
    found = world.look()
    # A cookie that is signed again, as its key was an older one, may arrive after that of a sign-in.
    if "clear" not in acts and key == KEY:
        assert found.rejected is None
        if "sign in" in acts and "regenerate" not in acts:
            assert found.principal is not None


# What a helper's random programs and a reviewer have found


Act = Callable[[Session], Any]


def meet(
    first: Act, second: Act, *, begin: Act | None = None, late: Act | None = None, **options: Any
) -> tuple[Browser, Browser, MemoryStore]:
    """Two browsers of one visitor: what the one does comes while the request of the other is under way."""
    store = MemoryStore()
    options = {"store": store, **options}
    browser = Browser(SessionMiddleware(app_of(begin or len), KEY, **options), run=run_now)
    browser.get()
    other = Browser(SessionMiddleware(app_of(second), KEY, **options), cookies=dict(browser.cookies), run=run_now)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first(scope["session"])
        other.get()
        await send({"type": "http.response.start", "status": 200})
        if late is not None:
            late(scope["session"])

    browser.app = SessionMiddleware(app, KEY, **options)
    browser.get()
    return browser, other, store


def app_of(act: Act) -> Any:
    return app_that(lambda scope: (act(scope["session"]), None)[1])


def ask(browser: Browser, store: MemoryStore, question: Act, **options: Any) -> Any:
    """What the next request of this browser finds."""
    app = app_that(lambda scope: question(scope["session"]))
    options = {"store": store, **options}
    asking = Browser(SessionMiddleware(app, KEY, **options), cookies=dict(browser.cookies), run=run_now)
    return asking.get().json()


def find(browser: Browser, store: MemoryStore, **options: Any) -> Any:
    return ask(browser, store, lambda session: [session.rejected, session.principal, dict(session)], **options)


def add(item: str) -> Act:
    return lambda session: session.setdefault("cart", []).append(item)


def put(**content: Any) -> Act:
    return lambda session: session.update(content)


def sign_in(session: Session) -> None:
    session.principal = "ada"


def test_two_tabs_that_add_the_same_to_a_cart_both_find_it_there() -> None:
    browser, _, store = meet(add("tea"), add("tea"), begin=put(user="ada"))

    assert find(browser, store) == [None, None, {"user": "ada", "cart": ["tea", "tea"]}]


def test_a_change_that_comes_after_a_merge_is_merged_as_well() -> None:
    browser, _, store = meet(add("tea"), add("milk"), begin=add("salt"), late=add("jam"))

    assert find(browser, store) == [None, None, {"cart": ["salt", "milk", "tea", "jam"]}]


def renew(name: str) -> Act:
    def act(session: Session) -> None:
        session[name] = 1
        session.regenerate()

    return act


def test_renewals_of_one_user_at_the_same_time_are_merged() -> None:
    browser, other, store = meet(renew("a"), renew("b"), begin=sign_in)

    assert find(other, store) == [None, "ada", {"a": 1, "b": 1}]
    assert find(browser, store)[0] == "superseded"  # the answer that has the new cookie is the other one


def test_both_of_two_sign_ins_at_the_same_time_keep_what_the_visitor_had_put_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A double click on "Sign in"."""

    def sign_in_by_form(session: Session) -> None:
        sign_in(session)
        session["name"] = "Ada"

    browser, other, store = meet(sign_in_by_form, sign_in_by_form, begin=add("tea"))

    assert find(browser, store) == find(other, store) == [None, "ada", {"cart": ["tea"], "name": "Ada"}]
    assert browser.cookies != other.cookies
    assert caplog.records == []


def test_what_was_signed_out_meanwhile_does_not_come_back_with_a_sign_in() -> None:
    browser, _, store = meet(sign_in, lambda session: session.clear(), begin=add("tea"))

    assert find(browser, store) == [None, "ada", {}]


def test_what_a_session_that_is_begun_anew_beside_another_leaves_behind_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser, _, store = meet(renew("rotated"), lambda session: session.regenerate(), begin=put(user="ada"))

    assert find(browser, store) == [None, None, {"rotated": 1}]
    assert [(vars(record)["event"], vars(record)["keys"]) for record in caplog.records] == [
        ("session.left-behind", ["user"])
    ]


def test_a_session_that_was_cleared_and_signed_in_by_the_same_user_has_nothing_of_a_request_from_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As after a new password: who came with the cookie of before has no part in it."""

    def clear_and_sign_in(session: Session) -> None:
        session.clear()
        session.principal = "ada"
        session["fresh"] = 1

    browser, other, store = meet(put(planted=1), clear_and_sign_in, begin=sign_in)

    assert find(other, store) == [None, "ada", {"fresh": 1}]
    assert find(browser, store)[0] == "superseded"
    assert [vars(record)["event"] for record in caplog.records] == ["session.ended"]


def put_later(clock: Any, **content: Any) -> Act:
    """Five seconds later."""

    def act(session: Session) -> None:
        clock.shift(5)
        session.update(content)

    return act


def test_what_is_merged_ends_when_it_would_have_and_began_when_it_did(clock: Any) -> None:
    options: dict[str, Any] = {"max_age": 100, "lifetime": 150}

    browser, _, store = meet(put_later(clock, a=1), put(b=1), begin=put(user="ada"), **options)

    times = ask(browser, store, lambda session: [len(session), session.issued_at, session.expires_at], **options)
    assert times == [3, NOW, NOW + 100]
    clock.shift(96)
    assert find(browser, store, **options)[0] == "expired"


def test_after_a_merge_the_app_still_finds_when_the_session_began(clock: Any) -> None:
    times: list[Any] = []

    def note(session: Session) -> None:
        times.append(session.issued_at)

    meet(put_later(clock, a=1), put(b=1), begin=put(user="ada"), late=note)

    assert times == [NOW]


def test_renewals_of_one_user_are_merged_where_a_clear_came_before_them() -> None:
    def clear_and_sign_in(session: Session) -> None:
        session["old"] = 1
        session.clear()
        sign_in(session)

    browser, other, store = meet(renew("a"), renew("b"), begin=clear_and_sign_in)

    assert find(other, store) == [None, "ada", {"a": 1, "b": 1}]
    assert find(browser, store)[0] == "superseded"


def test_what_begins_anew_after_a_sign_out_elsewhere_has_neither_its_user_nor_its_age() -> None:
    def sign_in_for_an_hour(session: Session) -> None:
        sign_in(session)
        session.max_age = 3600

    browser, _, store = meet(renew("rotated"), lambda session: session.clear(), begin=sign_in_for_an_hour)

    assert find(browser, store) == [None, None, {"rotated": 1}]
    assert ask(browser, store, lambda session: session.max_age) == 14 * 86400


def test_a_cookie_of_before_begins_anew_once_no_answer_can_be_under_way_any_more(clock: Any) -> None:
    """The answer of a sign-in may be lost: who keeps the old cookie isn't to be locked out for as long as it lives."""
    browser, _, store = meet(len, lambda session: session.regenerate(), begin=put(user="ada"))
    clock.shift(300)
    assert find(browser, store)[0] == "superseded"
    clock.shift(1)
    assert find(browser, store)[0] == "expired"
    browser.app = SessionMiddleware(app_of(put(token=1)), KEY, store=store)
    browser.get()

    assert find(browser, store) == [None, None, {"token": 1}]


def test_a_dict_that_has_all_of_the_session_and_more_changes_it_and_gives_it_a_new_id() -> None:
    def begin(session: Session) -> None:
        session.principal = "ada"
        session["user"] = "ada"

    store = MemoryStore()
    browser = Browser(SessionMiddleware(app_of(begin), KEY, store=store), run=run_now)
    browser.get()
    before = dict(browser.cookies)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {**scope["session"], "x": 1}
        await send({"type": "http.response.start", "status": 200})

    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()

    assert browser.cookies != before
    assert find(browser, store) == [None, "ada", {"user": "ada", "x": 1}]


@pytest.mark.filterwarnings("ignore:serializer=pickle")
def test_a_key_that_is_no_text_is_named_where_its_value_gave_way(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_signed_session")
    content: Any = {1: "ours", "a\nb": 1}
    browser, _, store = meet(
        lambda session: session.update(content),
        lambda session: session.update(dict.fromkeys(content, "theirs")),
        begin=put(user="ada"),
        serializer=pickle,
    )

    assert [record.getMessage() for record in caplog.records] == [
        "Two requests have changed 1, 'a\\nb' in the session; the later change was kept."
    ]
    assert len(browser.cookies) == 1
    assert len(store._records) == 1


class Salted:
    """Writes other bytes each time, as what encrypts does."""

    def dumps(self, content: Any) -> bytes:
        return secrets.token_bytes(8) + json.dumps(content).encode()

    def loads(self, payload: bytes) -> Any:
        return json.loads(payload[8:])


def test_with_a_serializer_that_writes_other_bytes_each_time_changes_are_merged_and_late_ones_saved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser, _, store = meet(
        add("tea"), put(lang="en"), begin=put(user={"id": 1}), late=put(late=1), serializer=Salted()
    )

    assert find(browser, store, serializer=Salted()) == [
        None,
        None,
        {"user": {"id": 1}, "lang": "en", "cart": ["tea"], "late": 1},
    ]
    assert caplog.records == []


def test_content_nested_to_the_limit_is_merged() -> None:
    nested: Any = 1
    for _ in range(900):
        nested = [nested]

    browser, _, store = meet(put(a=1), put(nested=nested), begin=put(user="ada"))

    assert list(find(browser, store)[2]) == ["user", "nested", "a"]


def test_the_cookie_of_a_start_that_failed_to_go_out_goes_with_the_next() -> None:
    store = MemoryStore()
    browser = Browser(SessionMiddleware(app_of(put(user="ada")), KEY, store=store), run=run_now)
    browser.get()
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].max_age = 30 * 86400
        with pytest.raises(OSError, match=r"^gone$"):
            await send({"type": "http.response.start", "status": 200})
        scope["session"]["flash"] = 1
        await send({"type": "http.response.start", "status": 500})

    async def send(message: Any) -> None:
        sent.append(message)
        if message["status"] == 200:
            raise OSError("gone")

    scope = {"type": "http", "path": "/", "headers": browser.headers()}
    run_now(lambda: SessionMiddleware(app, KEY, store=store)(scope, None, send))

    cookies = [[value for name, value in message["headers"] if name == b"set-cookie"] for message in sent]
    assert cookies[0] == cookies[1] != []


def test_a_max_age_that_is_set_too_late_for_a_cookie_is_reported_and_the_session_lives_on(
    caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    def shorten(session: Session) -> None:
        session.max_age = 60
        session["late"] = 1

    browser, _, store = meet(len, len, begin=put(user="ada"), late=shorten)
    clock.shift(61)

    assert find(browser, store) == [None, None, {"user": "ada", "late": 1}]
    [record] = caplog.records
    assert record.getMessage().startswith("Session changes on '/' not saved: its max_age. ")


def test_two_middlewares_with_one_bare_store_lose_nothing() -> None:
    """Mounted apps, each with a middleware of its own around one backend."""
    backend = Bare()

    async def main() -> None:
        cookies: list[str] = []

        async def send(message: Any) -> None:
            for name, value in message.get("headers", ()):
                if name == b"set-cookie":
                    cookies.append(value.decode().partition(";")[0])

        async def request(number: int, headers: Any) -> None:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                scope["session"][str(number)] = number
                await asyncio.sleep(0)
                await send({"type": "http.response.start", "status": 200})

            await SessionMiddleware(app, KEY, store=backend)({"type": "http", "headers": headers}, None, send)

        await request(0, [])
        headers = [(b"cookie", cookies[0].encode())]
        await asyncio.gather(*[request(number, headers) for number in range(1, 7)])

    asyncio.run(main())

    [value] = backend.values.values()
    assert json.loads(a2b_base64(value["record"])[64:]) == {str(number): number for number in range(7)}


class Bare:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        await asyncio.sleep(0)
        return self.values.get(key)

    async def put(self, key: str, value: Any, *, ttl: int | None) -> None:
        await asyncio.sleep(0)
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)


@pytest.mark.parametrize("late", [False, True])
def test_what_the_app_has_failed_with_comes_out_though_the_store_fails_as_well(
    late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(MemoryStore):
        async def swap(self, *_: Any, **__: Any) -> bytes | None:
            raise ConnectionError

    store = MemoryStore()
    browser = Browser(SessionMiddleware(app_of(put(user="ada")), KEY, store=store), run=run_now)
    browser.get()
    full = Full()
    full._records = store._records

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        scope["session"]["seen"] = 1
        if late:
            raise LookupError

    browser.app = SessionMiddleware(app, KEY, store=full)
    with pytest.raises(LookupError if late else ConnectionError):
        browser.get()

    failed = "The store failed to write them, and the app had failed before: see to the app's error first."
    shown = [f"Session changes on '/' not saved: 'seen'. {failed}"]
    assert [record.getMessage() for record in caplog.records] == (shown if late else [])
