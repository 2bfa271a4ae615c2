"""What a request leaves behind, and what a connection keeps while it is open."""

from __future__ import annotations

import gc
import json
import tracemalloc
import types
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from asgi_signed_session import Session, SessionMiddleware

from .conftest import KEY
from .records import Records
from .wire import sign

BIG = "x" * 1000
FLAT = {"text": BIG}
NESTED = {"text": BIG, "cart": [1]}


@types.coroutine
def pause() -> Generator[None]:
    """Gives way to who drives the coroutine."""
    yield


def finish(connection: Any) -> None:
    with pytest.raises(StopIteration):
        connection.send(None)


def cookie_of(content: dict[str, Any], store: Records | None) -> bytes:
    """The cookie of a visitor who has ``content`` in the session."""
    if store is None:
        return b"session=" + sign(content).encode()
    cookies: list[bytes] = []

    async def put(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].update(content)
        await send({"type": "http.response.start"})

    async def send(message: Any) -> None:
        cookies.append(dict(message["headers"])[b"set-cookie"].partition(b";")[0])

    finish(SessionMiddleware(put, KEY, store=store)({"type": "http", "headers": []}, None, send))
    return cookies[0]


# What a request leaves behind


def read_write_or_neither(scope: Any) -> None:
    if scope["path"] != "/":
        scope["session"].get("cart")
    if scope["path"] == "/write":
        scope["session"]["cart"].append(1)
        scope["session"]["cart"].pop(0)
        scope["session"].update(n=scope["session"].get("n", 0) ^ 1)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    read_write_or_neither(scope)
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def drop(message: Any) -> None:
    """Sends to nobody."""


def visits(store: Any, around: dict[str, Any] | None = None, **options: Any) -> Callable[[int], None]:
    """Has so many visits of every kind be made; ``around``: the session of a middleware of another package's."""
    middleware = SessionMiddleware(answer, KEY, store=store, **options)
    cookies = [cookie_of(NESTED, store), b"session=forged", b""]

    def visit(count: int) -> None:
        for number in range(count):
            path, cookie = ("/write", "/read", "/")[number % 3], cookies[number // 3 % 3]
            if path == "/write" and cookie != cookies[0]:
                continue
            scope: dict[str, Any] = {"type": "http", "path": path, "headers": [(b"cookie", cookie)]}
            connection = middleware(scope if around is None else {**scope, "session": around}, None, drop)
            with suppress(StopIteration):
                connection.send(None)
        if store is not None:
            store.forget()

    return visit


each_way = pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])


class Theirs(dict[str, Any]):
    """The session of a middleware around ours."""


@each_way
@pytest.mark.parametrize("around", [None, Theirs()], ids=["alone", "inside another's"])
@pytest.mark.parametrize("trusted_origins", [None, ()])
def test_a_request_leaves_nothing_to_the_garbage_collector(make_store: Any, around: Any, trusted_origins: Any) -> None:
    visit = visits(make_store(), around, trusted_origins=trusted_origins)
    visit(18)
    gc.collect()
    gc.disable()
    try:
        visit(180)

        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.slow
@each_way
def test_100_000_requests_leave_no_growth(make_store: Any) -> None:
    visit = visits(make_store())

    def measure() -> int:
        gc.collect()  # frees also what the interpreter keeps to use again
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        visit(1000)
        before = measure()
        for _ in range(100):
            visit(1000)
        growth = measure() - before
    finally:
        tracemalloc.stop()

    assert growth < 50_000  # bytes, half of one for each request


# What an open connection keeps


@contextmanager
def open_websocket(act: Callable[[Session], object], content: dict[str, Any], store: Records | None) -> Iterator[Any]:
    """The scope of a websocket whose app has called ``act`` and accepted it."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope["session"])
        await send({"type": "websocket.accept"})
        scopes.append(scope)
        await pause()

    headers = [(b"cookie", cookie_of(content, store)), (b"x-large", b"x" * 1000)]
    connection = SessionMiddleware(app, KEY, store=store)({"type": "websocket", "headers": headers}, None, drop)
    connection.send(None)
    yield scopes[0]
    connection.close()


def find_large(session: Session, scope: Any) -> list[Any]:
    """All text and bytes of more than 500 that the connection and ``session`` hold alive and ``scope`` would not."""
    connection = scope["asgi_signed_session.session"]
    known = {id(scope["headers"]), id(connection.parts.keeper), id(connection)}  # what others hold anyway
    seen: dict[int, Any] = {}
    unknown: list[Any] = [session, connection.set_cookie]
    while unknown:
        thing = unknown.pop()
        if id(thing) not in known and id(thing) not in seen and not isinstance(thing, type):
            seen[id(thing)] = thing
            unknown += gc.get_referents(thing)
    return [thing for thing in seen.values() if isinstance(thing, (str, bytes)) and len(thing) > 500]


def show(things: list[Any]) -> list[str]:
    """Each thing by what it is."""
    payloads = [json.dumps(content, separators=(",", ":")).encode() for content in (FLAT, NESTED)]
    names: dict[Any, str] = {BIG: "value", **dict.fromkeys(payloads, "payload")}
    return sorted(names.get(thing) or guess(thing) for thing in things)


def guess(thing: Any) -> str:
    if thing[:8] == b"session=":
        return "set-cookie"
    return "record" if thing.endswith(b"}") else "fingerprint"


def touch(session: Session) -> None:
    assert session["text"] == BIG


def touch_list(session: Session) -> None:
    assert session["cart"]


def rewrite(session: Session) -> None:
    session.mark_modified()


def change(session: Session) -> None:
    session["text"] = "changed"


def clear(session: Session) -> None:
    session.clear()


# The payload tells at the end which keys have changed since; the fingerprint, whether one has; the Set-Cookie value
# goes out again if the app starts once more. In a store a change is only made where the record is still what it was.
# fmt: off
STORED = ["payload", "record", "value"]
KEPT = [
    (lambda session: None,       FLAT,   [],                                   STORED),
    (lambda session: None,       NESTED, [],                                   STORED),
    (touch,                      FLAT,   ["payload", "value"],                 STORED),
    (touch,                      NESTED, ["payload", "value"],                 STORED),
    (touch_list,                 NESTED, ["fingerprint", "payload", "value"],  ["fingerprint", *STORED]),
    (rewrite,                    FLAT,   ["payload", "set-cookie", "value"],   STORED),
    (change,                     FLAT,   [],                                   []),
    (clear,                      FLAT,   [],                                   []),
]
# fmt: on


@pytest.mark.parametrize(("act", "content", "kept", "kept_with_store"), KEPT)
@each_way
def test_an_open_websocket_keeps_no_more_of_its_session_than_it_needs(
    make_store: Any, act: Any, content: dict[str, Any], kept: list[str], kept_with_store: list[str]
) -> None:
    store = make_store()
    with open_websocket(act, content, store) as scope:
        large = find_large(scope["session"], scope)

        assert show(large) == (kept if store is None else kept_with_store)
