"""Reading a session when the app asks for it, and again, and saving it, on a connection that lives long."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_signed_session import Session, SessionError, SessionMiddleware, SessionNotLoadedError
from asgi_signed_session.session import READING
from asgi_signed_session.stores import MemoryStore, SQLiteStore

from .advice import ENDED, RENEWED
from .apps import app_that, app_with_error_page, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap, warnings
from .records import Records, hash_proof, key_of, open_record, read_id
from .wire import cookie, make_signer

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
Talk = Callable[[Session], Awaitable[Any]]


@pytest.fixture
def store() -> Records:
    return Records()


@pytest.fixture
def browser(wrap: Wrap, store: Records) -> Browser:
    """Of a visitor who is logged in."""
    browser = wrap(visit, store=store)
    browser.get("/login")
    store.forget()
    return browser


def own_key(browser: Browser) -> str:
    return key_of(read_id(browser.cookies["session"]))


def serve(browser: Browser, store: Any, talk: Talk, **options: Any) -> Any:
    """What ``talk`` makes of the session on a request of the browser's, before the response starts."""
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answers.append(await talk(scope["session"]))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    browser.app = SessionMiddleware(app, KEY, store=store, **options)
    browser.get("/talk")
    return answers[0]


def hold(browser: Browser, store: Any, talk: Talk, **options: Any) -> Any:
    """What ``talk`` makes of the session on a websocket that was accepted."""
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        answers.append(await talk(scope["session"]))

    browser.app = SessionMiddleware(app, KEY, store=store, **options)
    browser.websocket("/talk")
    return answers[0]


def test_what_was_saved_before_a_load_still_counts_as_changed_on_this_connection(
    browser: Browser, store: Records
) -> None:
    async def talk(session: Session) -> Any:
        before = session.modified
        session["seen"] = 1
        await session.save()
        await session.load()
        return [before, session.modified]

    assert hold(browser, store, talk) == [False, True]


def test_a_session_that_is_loaded_again_has_its_times_still_and_is_saved_in_one_step(
    browser: Browser, store: Records, clock: Any
) -> None:
    async def talk(session: Session) -> Any:
        clock.shift(5)
        store.write(own_key(browser), {**ADA, "there": 1})
        await session.load()
        store.forget()
        times = [session.issued_at, session.expires_at]
        session["here"] = 1
        await session.save()
        return [dict(session), times, store.methods]

    end = NOW + 14 * 86400
    assert hold(browser, store, talk) == [{**ADA, "there": 1, "here": 1}, [NOW, end], ["swap"]]
    [(record, ttl)] = store.records.values()
    assert (open_record(own_key(browser), record).end, ttl) == (end, 14 * 86400 - 5)


def test_a_session_that_is_loaded_again_is_there_until_its_last_second(
    browser: Browser, store: Records, clock: Any
) -> None:
    async def talk(session: Session) -> Any:
        found = []
        for seconds in (14 * 86400, 1):
            clock.shift(seconds)
            await session.load()
            found.append((dict(session), session.rejected))
        return found

    assert hold(browser, store, talk) == [(ADA, None), ({}, "expired")]


def test_a_mere_change_after_a_second_load_sets_no_cookie(browser: Browser, store: Records, clock: Any) -> None:
    async def talk(session: Session) -> Any:
        clock.shift(5)
        store.write(own_key(browser), {**ADA, "there": 1})
        await session.load()
        session["here"] = 1

    before = dict(browser.cookies)
    serve(browser, store, talk)

    assert browser.cookies == before
    assert store.sessions == {own_key(browser): {**ADA, "there": 1, "here": 1}}


# Without autoload


def test_without_autoload_a_request_that_leaves_the_session_alone_asks_nothing(
    browser: Browser, store: Records
) -> None:
    browser.app = SessionMiddleware(visit, KEY, store=store, autoload=False)
    response = browser.get("/untouched")

    assert (response.headers, store.asked) == ([], [])


def test_without_autoload_the_session_is_there_once_it_is_loaded(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        await session.load()
        session["seen"] = 1
        return dict(session)

    assert serve(browser, store, talk, autoload=False) == {"user": "ada", "seen": 1}
    assert store.methods == ["get", "swap"]
    assert store.sessions == {own_key(browser): {"user": "ada", "seen": 1}}


def test_without_autoload_a_visitor_without_a_cookie_has_a_new_session(wrap: Wrap, store: Records) -> None:
    async def talk(session: Session) -> Any:
        await session.load()
        session["user"] = "ada"

    browser = wrap(visit, store=store)
    serve(browser, store, talk, autoload=False)

    assert store.sessions == {own_key(browser): ADA}


TOUCHES: dict[str, Callable[[Any], Any]] = {
    "in": lambda session: "user" in session,
    "[]": lambda session: session["user"],
    "get": lambda session: session.get("user"),
    "len": len,
    "bool": bool,
    "iteration": list,
    "==": lambda session: session == {},
    "set": lambda session: session.update(a=1),
    "clear": lambda session: session.clear(),
    "dict": dict,
    "json": json.dumps,
    "rejected": lambda session: session.rejected,
    "principal": lambda session: session.principal,
    "store_key": lambda session: session.store_key,
    "set max_age": lambda session: setattr(session, "max_age", 60),
    "set principal": lambda session: setattr(session, "principal", "ada"),
    "set modified": lambda session: setattr(session, "modified", True),
    "regenerate": lambda session: session.regenerate(),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_touch_before_the_load_says_what_to_write(browser: Browser, store: Records, touch: str) -> None:
    async def talk(session: Session) -> Any:
        with pytest.raises(SessionNotLoadedError) as error:
            TOUCHES[touch](session)
        return str(error.value)

    assert serve(browser, store, talk, autoload=False) == (
        "The session isn't loaded: write 'await request.session.load()' before it is first used,"
        " or leave out autoload=False."
    )
    assert store.asked == []


def test_each_method_and_property_that_needs_the_content_raises_before_the_load(
    browser: Browser, store: Records
) -> None:
    async def talk(session: Session) -> Any:
        for name in sorted(READING - {"__repr__", "__sizeof__"}):
            with pytest.raises(SessionNotLoadedError):
                getattr(session, name)("a", "b")
        return [session.accessed, session.modified, repr(session)]

    assert serve(browser, store, talk, autoload=False) == [False, False, "<a session that isn't loaded>"]


def test_an_error_page_goes_out_though_the_session_was_replaced_before_it_was_loaded(
    wrap: Wrap, store: Records
) -> None:
    app = app_with_error_page(lambda scope: scope.update(session={"user": "grace"}))

    response = wrap(app, store=store, autoload=False).get()

    assert response.start["status"] == 500
    assert response.body == (
        b"SessionNotLoadedError: The session isn't loaded: write 'await request.session.load()' before it is first"
        b" used, or leave out autoload=False."
    )
    assert store.asked == []


@pytest.mark.parametrize("autoload", [True, False])
def test_a_load_after_the_connection_has_ended_says_so(browser: Browser, store: Records, autoload: bool) -> None:
    left: list[Session] = []

    async def talk(session: Session) -> Any:
        left.append(session)

    serve(browser, store, talk, autoload=autoload)
    store.forget()

    with pytest.raises(SessionNotLoadedError) as error:
        asyncio.run(left[0].load())
    assert str(error.value) == (
        "The session can't be loaded any more, because its connection has ended: write 'await request.session.load()'"
        " before"
        " the app returns."
    )
    assert store.asked == []


def test_a_load_after_a_change_that_is_lost_says_so_too(browser: Browser, store: Records) -> None:
    left: list[Session] = []

    async def talk(session: Session) -> Any:
        left.append(session)

    serve(browser, store, talk)
    left[0]["late"] = 1

    with pytest.raises(SessionNotLoadedError):
        asyncio.run(left[0].load())


@pytest.mark.parametrize("touched", [True, False])
def test_without_a_store_a_load_after_the_end_does_nothing_as_before(wrap: Wrap, touched: bool) -> None:
    left: list[Session] = []

    def act(scope: Any) -> None:
        left.append(scope["session"])
        assert not touched or scope["session"] == {}

    wrap(app_that(act)).get()
    asyncio.run(left[0].load())

    assert left[0] == {}


def test_a_session_that_is_loaded_again_is_signed_anew_all_the_same(
    browser: Browser, store: Records, clock: Any
) -> None:
    options: dict[str, Any] = {"max_age": 100, "refresh_after": 50}
    browser.app = SessionMiddleware(visit, KEY, store=store, **options)
    browser.get("/login")
    clock.shift(51)

    async def talk(session: Session) -> Any:
        await session.load()
        return dict(session)

    before = browser.cookies["session"]
    assert serve(browser, store, talk, **options) == ADA
    assert browser.cookies["session"] != before


def test_starlettes_request_leads_to_a_session_that_can_be_loaded(store: Records) -> None:
    async def count(request: Request) -> JSONResponse:
        session: Any = request.session
        await session.load()
        session["count"] = session.get("count", 0) + 1
        return JSONResponse(session)

    app = Starlette(routes=[Route("/", count)])
    browser = Browser(SessionMiddleware(app, KEY, store=store, autoload=False))

    assert [browser.get().json() for _ in range(2)] == [{"count": 1}, {"count": 2}]


def test_without_a_store_a_load_does_nothing_and_autoload_changes_nothing(wrap: Wrap) -> None:
    async def talk(session: Session) -> Any:
        await session.load()
        return [session.accessed, session["user"]]

    browser = wrap(visit)
    browser.cookies["session"] = cookie(ADA)[1].decode().removeprefix("session=")

    assert serve(browser, None, talk, autoload=False) == [False, "ada"]


# A store that answers at once


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_store_that_answers_at_once_is_asked_at_the_first_touch(
    wrap: Wrap, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, kind: str
) -> None:
    store: Any = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "sessions.db")
    asked: list[str] = []
    get_now = store.get_now

    def note(key: str) -> Any:
        asked.append(key)
        return get_now(key)

    monkeypatch.setattr(store, "get_now", note)
    browser = wrap(visit, store=store)
    browser.get("/login")

    assert browser.get("/untouched").headers == []
    assert asked == []
    assert browser.get("/whoami").json() == ADA
    assert asked == [own_key(browser)]
    store.close() if kind == "sqlite" else None


def test_a_store_that_answers_at_once_and_fails_fails_the_first_touch(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(MemoryStore):
        def get_now(self, key: str) -> bytes | None:
            raise ConnectionError("no store")

    browser = wrap(visit, store=Failing())
    browser.get("/login")

    with pytest.raises(ConnectionError, match=r"^no store$"):
        browser.get("/whoami")
    browser.app = SessionMiddleware(visit, KEY, store=Failing(), on_store_error="empty")
    assert browser.get("/whoami").json() == {}
    [warning] = warnings(caplog)
    assert warning.startswith("The session store can't be read (ConnectionError): ")


def test_an_app_that_fails_raises_its_own_error_though_the_store_cannot_say_what_it_has_replaced(wrap: Wrap) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {"a": 1}
        raise ZeroDivisionError

    class Failing(MemoryStore):
        def get_now(self, key: str) -> bytes | None:
            raise ConnectionError("no store")

    browser = wrap(visit, store=Failing())
    browser.get("/login")
    browser.app = SessionMiddleware(app, KEY, store=Failing())

    with pytest.raises(ZeroDivisionError):
        browser.get()


def look_at_both(scope: Any) -> Any:
    return [dict(scope["session"]), scope["session"].rejected]


@pytest.mark.parametrize(
    ("others", "found"),
    [
        (["junk", "own"], [ADA, None]),
        (["unknown", "own"], [ADA, None]),
        (["junk", "unknown"], [{}, "expired"]),  # it was signed, and says more
        (["unknown", "junk"], [{}, "expired"]),
        (["junk", "before"], [{}, "superseded"]),
        (["before", "junk"], [{}, "superseded"]),
    ],
)
def test_a_store_that_answers_at_once_is_asked_for_one_cookie_after_another_too(
    wrap: Wrap, others: list[str], found: list[Any]
) -> None:
    store = MemoryStore()
    browser = wrap(visit, store=store)
    browser.get("/login")
    values = {"junk": "junk", "unknown": make_signer().sign("U" * 43).decode(), "before": browser.cookies["session"]}
    browser.app = SessionMiddleware(app_that(lambda scope: scope["session"].regenerate()), KEY, store=store)
    browser.get()
    values["own"] = browser.cookies["session"]
    browser.app = SessionMiddleware(app_that(look_at_both), KEY, store=store)

    header = "; ".join(f"session={values[name]}" for name in others).encode()

    assert browser.get(headers=[(b"cookie", header)]).json() == found


# Once more


def test_what_another_request_has_changed_is_there_after_a_load_and_what_was_changed_here_stays(
    browser: Browser, store: Records
) -> None:
    async def talk(session: Session) -> Any:
        session["cart"] = ["tea"]
        held = session["cart"]
        store.write(own_key(browser), {"user": "grace", "lang": "en"})
        await session.load()
        held.append("milk")
        return dict(session)

    found = {"user": "grace", "lang": "en", "cart": ["tea", "milk"]}
    assert hold(browser, store, talk) == found
    assert store.sessions == {own_key(browser): found}


def test_a_load_that_finds_what_was_read_changes_nothing(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        before = dict(session)
        await session.load()
        await session.load()
        return [session == before, session.modified]

    assert hold(browser, store, talk) == [True, False]
    assert store.methods == ["get"] * 3


def test_a_nested_value_that_nobody_else_has_changed_is_the_one_that_the_app_has_in_hand(
    browser: Browser, store: Records
) -> None:
    store.write(own_key(browser), {"user": "ada", "cart": ["tea"]})

    async def talk(session: Session) -> Any:
        cart = session["cart"]
        store.write(own_key(browser), {"user": "grace", "cart": ["tea"]})
        await session.load()
        cart.append("milk")
        return session.modified

    assert hold(browser, store, talk) is True
    assert store.sessions == {own_key(browser): {"user": "grace", "cart": ["tea", "milk"]}}


def sign_out_elsewhere(store: Records, key: str) -> None:
    del store.records[key]


def sign_in_elsewhere(store: Records, key: str) -> None:
    store.write(key, {"user": "bob"}, proof=b"another proof...")


def break_record(store: Records, key: str) -> None:
    store.records[key] = b"junk", None


def outlive_record(store: Records, key: str) -> None:
    store.write(key, ADA, ttl=-1)


@pytest.mark.parametrize(
    ("act", "rejected"),
    [
        (sign_out_elsewhere, "expired"),
        (sign_in_elsewhere, "superseded"),
        (break_record, "malformed"),
        (outlive_record, "expired"),
    ],
)
def test_a_websocket_sees_that_its_session_was_ended_elsewhere(
    browser: Browser, store: Records, act: Any, rejected: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(session: Session) -> Any:
        before = dict(session)
        act(store, own_key(browser))
        await session.load()
        return [before, dict(session), session.rejected, session.modified]

    assert hold(browser, store, talk) == [ADA, {}, rejected, False]
    assert warnings(caplog) == []


@pytest.mark.parametrize(("act", "why"), [(sign_out_elsewhere, ENDED), (sign_in_elsewhere, RENEWED)])
def test_what_was_changed_before_a_load_that_finds_the_session_ended_is_reported(
    browser: Browser, store: Records, act: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(session: Session) -> Any:
        session["seen"] = 1
        act(store, own_key(browser))
        await session.load()
        return dict(session)

    assert hold(browser, store, talk) == {}
    assert warnings(caplog) == [f"Session changes on '/talk' not saved: 'seen'. {why}"]
    assert [vars(record)["event"] for record in caplog.records] == ["session.ended"]
    assert all("seen" not in content for content in store.sessions.values())


def test_a_session_that_the_same_principal_has_renewed_is_read_again(wrap: Wrap, store: Records) -> None:
    def sign_in(scope: Any) -> None:
        scope["session"].principal = "ada"

    browser = wrap(app_that(sign_in), store=store)
    browser.get()

    async def talk(session: Session) -> Any:
        len(session)
        metadata = json.loads(store.records[own_key(browser)][0][64:])["$session"]
        store.write(own_key(browser), {"lang": "en", "$session": metadata}, proof=hash_proof("x" * 43))
        await session.load()
        session["seen"] = 1
        return [dict(session), session.principal]

    assert hold(browser, store, talk) == [{"lang": "en", "seen": 1}, "ada"]
    assert store.sessions[own_key(browser)] == {"lang": "en", "seen": 1, "$session": {"principal": "ada"}}


def test_a_load_of_a_session_that_is_to_begin_anew_leaves_it_as_it_is(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session.clear()
        session["user"] = "bob"
        store.write(own_key(browser), {"user": "ada", "others": 1})
        await session.load()
        return dict(session)

    assert serve(browser, store, talk) == {"user": "bob"}
    assert list(store.sessions.values()) == [{"user": "bob"}]


def test_what_another_task_changes_while_the_session_is_loaded_stays(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        len(session)

        async def change() -> None:
            store.before.clear()
            session["meanwhile"] = 1

        store.before["get"] = change
        store.write(own_key(browser), {"user": "grace"})
        await session.load()
        return dict(session)

    assert hold(browser, store, talk) == {"user": "grace", "meanwhile": 1}


def test_a_load_of_a_new_session_leaves_it_as_it_is(wrap: Wrap, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session["user"] = "ada"
        await session.load()
        return dict(session)

    browser = wrap(visit, store=store)
    assert serve(browser, store, talk) == ADA
    assert store.sessions == {own_key(browser): ADA}


def test_a_store_that_fails_a_load_fails_it_and_the_session_is_as_it_was(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        len(session)
        store.failing = {"get"}
        with pytest.raises(ConnectionError):
            await session.load()
        return [dict(session), session.rejected]

    assert hold(browser, store, talk) == [ADA, None]


# Saving


def test_a_change_on_an_open_websocket_is_in_the_store_once_it_is_saved(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session["seen"] = [1]
        await session.save()
        saved = list(store.sessions.values())
        session["seen"].append(2)
        await session.save()
        await session.save()
        return [*saved, *store.sessions.values()]

    assert hold(browser, store, talk) == [{"user": "ada", "seen": [1]}, {"user": "ada", "seen": [1, 2]}]
    assert store.methods == ["get", "swap", "swap"]


def test_a_change_that_is_saved_before_the_response_starts_is_not_saved_once_more(
    browser: Browser, store: Records
) -> None:
    async def talk(session: Session) -> Any:
        session["seen"] = 1
        await session.save()
        return list(store.sessions.values())

    assert serve(browser, store, talk) == [{"user": "ada", "seen": 1}]
    assert store.methods == ["get", "swap"]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda session: session.regenerate(), id="regenerate"),
        pytest.param(lambda session: session.clear(), id="clear"),
        pytest.param(lambda session: setattr(session, "principal", "bob"), id="principal"),
    ],
)
def test_what_needs_a_cookie_is_left_to_the_start_of_the_response(browser: Browser, store: Records, act: Any) -> None:
    records = dict(store.records)

    async def talk(session: Session) -> Any:
        act(session)
        await session.save()
        return store.records == records

    assert serve(browser, store, talk) is True
    assert store.records != records


def test_a_new_session_is_left_to_the_start_of_the_response(wrap: Wrap, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session["user"] = "ada"
        await session.save()
        return dict(store.records)

    browser = wrap(visit, store=store)
    assert serve(browser, store, talk) == {}
    assert store.sessions == {own_key(browser): ADA}


def test_a_save_after_a_sign_in_elsewhere_is_reported(
    browser: Browser, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(session: Session) -> Any:
        session["seen"] = 1
        sign_in_elsewhere(store, own_key(browser))
        await session.save()

    hold(browser, store, talk)

    assert store.sessions == {own_key(browser): {"user": "bob"}}
    assert warnings(caplog) == [f"Session changes on '/talk' not saved: 'seen'. {RENEWED}"]


def test_a_save_of_a_session_that_nobody_has_touched_does_nothing(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        await session.save()
        return session.accessed

    assert serve(browser, store, talk) is False
    assert serve(browser, store, talk, autoload=False) is False
    assert "swap" not in store.methods


@pytest.mark.parametrize("options", [{}, {"autoload": False}], ids=["autoload", "no autoload"])
def test_a_save_of_a_session_that_nobody_has_touched_does_nothing_inside_another_middleware_too(
    browser: Browser, store: Records, options: dict[str, Any]
) -> None:
    saved: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]

        async def save(inner_scope: Any, receive: Any, send: Any) -> None:
            await session.save()
            saved.append(session.accessed)

        await SessionMiddleware(save, KEY, "inner")(scope, receive, send)

    browser.app = SessionMiddleware(app, KEY, store=store, **options)
    browser.get()

    assert saved == [False]
    assert "swap" not in store.methods


def test_a_change_that_another_task_makes_while_the_session_is_saved_is_saved_as_well(
    browser: Browser, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(session: Session) -> Any:
        async def change() -> None:
            store.before.clear()
            session["b"] = 2

        session["a"] = 1
        store.before["swap"] = change
        await session.save()

    hold(browser, store, talk)

    assert store.sessions == {own_key(browser): {"user": "ada", "a": 1, "b": 2}}
    assert warnings(caplog) == []


def test_a_save_that_has_failed_may_be_tried_again(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session["a"] = 1
        store.failing = {"swap"}
        with pytest.raises(ConnectionError):
            await session.save()
        store.failing = set()
        await session.save()
        return list(store.sessions.values())

    assert hold(browser, store, talk) == [{"user": "ada", "a": 1}]


@pytest.mark.parametrize("change", ["max_age", "prolong"])
def test_a_save_before_the_response_starts_leaves_it_its_cookie(
    browser: Browser, store: Records, clock: Any, change: str
) -> None:
    async def talk(session: Session) -> Any:
        if change == "max_age":
            session.max_age = 60
        session["a"] = 1
        await session.save()

    if change == "prolong":
        clock.shift(2 * 86400)
    before = dict(browser.cookies)
    serve(browser, store, talk)

    assert store.methods == ["get", "swap"]
    assert store.times_to_live == [60 if change == "max_age" else 14 * 86400]
    assert (browser.cookies == before) == (change == "max_age")  # signed at the same moment


def test_a_save_after_the_session_was_replaced_is_of_what_is_there_now(browser: Browser, store: Records) -> None:
    records: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        assert session["user"] == "ada"
        scope["session"] = {"b": 2}
        await session.save()
        records.append(len(store.records))
        await send({"type": "http.response.start", "status": 200})

    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()

    assert records == [1]
    assert store.sessions == {own_key(browser): {"b": 2}}


def test_a_load_finds_the_session_again_once_the_store_is_back(browser: Browser, store: Records) -> None:
    store.failing = {"get"}

    async def talk(session: Session) -> Any:
        before = session.rejected
        store.failing = set()
        await session.load()
        session["a"] = 1
        return [before, session.rejected, dict(session)]

    assert hold(browser, store, talk, on_store_error="empty") == ["unavailable", None, {"user": "ada", "a": 1}]
    assert store.sessions == {own_key(browser): {"user": "ada", "a": 1}}


def test_a_load_leaves_a_new_generation_without_a_beginning(browser: Browser, store: Records) -> None:
    begun: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session.regenerate()
        await send({"type": "websocket.accept"})
        await session.load()
        begun.append(session.issued_at)

    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.websocket()

    assert begun == [None]


def test_an_unloaded_session_has_a_size(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        return sys.getsizeof(session) > 0

    assert serve(browser, store, talk, autoload=False) is True


NEEDS_A_STORE = "session.save() needs a store, SessionMiddleware(..., store=...), and a connection that is still open."


def test_without_a_store_a_save_is_refused_where_something_has_changed(wrap: Wrap) -> None:
    async def talk(session: Session) -> Any:
        await session.save()
        session["a"] = 1
        with pytest.raises(SessionError) as refusal:
            await session.save()
        return str(refusal.value)

    assert serve(wrap(visit), None, talk) == NEEDS_A_STORE


def test_a_save_after_the_connection_has_ended_is_refused(browser: Browser, store: Records, run: Any) -> None:
    sessions: list[Session] = []

    async def keep(session: Session) -> None:
        sessions.append(session)

    serve(browser, store, keep)

    async def main() -> None:
        sessions[0]["a"] = 1
        with pytest.raises(SessionError) as refusal:
            await sessions[0].save()
        assert str(refusal.value) == NEEDS_A_STORE

    run(main)


# A store that fails, and one that is to be protected


def test_while_the_store_is_unavailable_a_visitor_may_find_an_empty_session(
    browser: Browser, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = {"get"}

    async def talk(session: Session) -> Any:
        return [dict(session), session.rejected]

    cookies, records = dict(browser.cookies), dict(store.records)
    for _ in range(3):
        assert serve(browser, store, talk, on_store_error="empty") == [{}, "unavailable"]
    assert (browser.cookies, store.records) == (cookies, records)
    advice = "Make the store available again; this warning is logged once a minute."
    failed = "The session store can't be read (ConnectionError): visitors who have a session find an empty one."
    assert warnings(caplog) == [f"{failed} {advice}"]
    store.failing = set()
    assert serve(browser, store, talk, on_store_error="empty") == [ADA, None]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda session: session.update(a=1), id="set"),
        pytest.param(lambda session: session.clear(), id="clear"),
        pytest.param(lambda session: session.regenerate(), id="regenerate"),
        pytest.param(lambda session: setattr(session, "principal", "bob"), id="principal"),
    ],
)
def test_while_the_store_is_unavailable_a_change_is_refused(browser: Browser, store: Records, act: Any) -> None:
    store.failing = {"get"}

    async def talk(session: Session) -> Any:
        act(session)

    cookies, records = dict(browser.cookies), dict(store.records)
    with pytest.raises(SessionError, match=r"^The store could not be read"):
        serve(browser, store, talk, on_store_error="empty")
    assert (browser.cookies, store.records) == (cookies, records)


def test_while_the_store_is_unavailable_a_late_change_is_reported(
    browser: Browser, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = {"get"}

    async def talk(session: Session) -> Any:
        session["a"] = 1

    hold(browser, store, talk, on_store_error="empty")

    assert [text for text in warnings(caplog) if "'a'" in text and "could not be read" in text] != []


@pytest.mark.parametrize("unit", ["x", "é"])
def test_a_session_over_max_size_is_refused_before_the_store_has_it(
    browser: Browser, store: Records, unit: str
) -> None:
    async def talk(session: Session) -> Any:
        session["text"] = unit * 2000

    size = len(json.dumps({"user": "ada", "text": unit * 2000}, ensure_ascii=False, separators=(",", ":")).encode())
    serve(browser, store, talk, max_size=size)
    with pytest.raises(SessionError) as refusal:
        serve(browser, store, talk, max_size=size - 1)

    largest = f"'text' ({(len(unit.encode()) * 2000 + 11) / 1000:.1f} kB), 'user' (14 bytes)"
    assert str(refusal.value) == (
        f"the session of cookie 'session' is {size / 1000:.1f} kB, and max_size is {(size - 1) / 1000:.1f} kB;"
        f" largest: {largest}. Store less, or pass a larger max_size."
    )


def test_a_session_has_64_kib_unless_it_is_said_otherwise(browser: Browser, store: Records) -> None:
    async def talk(session: Session) -> Any:
        session["text"] = "x" * 65_600

    with pytest.raises(SessionError, match=r"^the session of cookie 'session' is 65\.6 kB, and max_size is 65\.5 kB;"):
        serve(browser, store, talk)
    serve(browser, store, talk, max_size=None)


@pytest.mark.parametrize(
    ("options", "kind", "refusal"),
    [
        ({"autoload": None}, TypeError, "autoload=None must be True or False."),
        ({"on_store_error": "ignore"}, ValueError, "on_store_error='ignore' must be 'raise' or 'empty'."),
        ({"max_size": 0}, ValueError, "max_size=0 must be a positive number of bytes, or None."),
        ({"max_size": True}, ValueError, "max_size=True must be a positive number of bytes, or None."),
        ({"max_size": "1"}, ValueError, "max_size='1' must be a positive number of bytes, or None."),
    ],
)
@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_what_a_store_cannot_be_used_with_is_refused_at_start_up(
    options: Any, kind: type[Exception], refusal: str, make_store: Any
) -> None:
    with pytest.raises(kind) as error:
        SessionMiddleware(visit, KEY, store=make_store(), **options)

    assert str(error.value) == refusal


def test_a_forged_cookie_is_rejected_before_the_store_is_asked_whether_it_fails_or_not(
    wrap: Wrap, store: Records
) -> None:
    store.failing = {"get"}

    async def talk(session: Session) -> Any:
        return session.rejected

    browser = wrap(visit, store=store)
    browser.cookies["session"] = make_signer("another key of more than 16 bytes").sign("x" * 43).decode()

    assert serve(browser, store, talk, on_store_error="empty") == "bad-signature"
