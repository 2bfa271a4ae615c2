from __future__ import annotations

import asyncio
import copy
import json
import types
from collections.abc import Callable, Generator
from enum import Enum
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from itsdangerous import TimestampSigner

from asgi_signed_session import Session, SessionMiddleware

from .apps import app_that, clear_twice, deny, visit
from .browser import Browser
from .conftest import KEY, Wrap
from .records import Records
from .wire import DELETED, cookie, read_payload, set_cookie, sign, sign_payload

pytestmark = pytest.mark.usefixtures("clock")

NO_CACHE = b'no-cache="Set-Cookie"'
ADA = {"user": "ada"}


def log_in(scope: Any) -> None:
    scope["session"]["user"] = "ada"


login = app_that(log_in)
whoami = app_that(lambda scope: [dict(scope["session"]), scope["session"].rejected])
untouched = app_that(lambda scope: None)


async def receive_nothing() -> Any:
    raise AssertionError("the app was not to receive")


async def drop(message: Any) -> None:
    """Sends to nobody."""


# Which connections


def test_a_session_lives_from_login_to_logout(browser: Browser) -> None:
    assert browser.get("/whoami").json() == {}
    browser.get("/login")
    assert browser.get("/whoami").json() == {"user": "ada"}
    browser.get("/add")
    browser.get("/add")
    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea", "tea"]}
    browser.get("/logout")
    assert browser.get("/whoami").json() == {}
    assert browser.cookies == {}


def test_a_change_on_http_is_written_on_the_response(browser: Browser) -> None:
    response = browser.get("/login")

    assert response.start["type"] == "http.response.start"
    assert response.headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA)),
        (b"cache-control", NO_CACHE),
    ]


def test_a_change_on_a_websocket_is_written_on_its_accept_without_headers_for_caches(browser: Browser) -> None:
    response = browser.websocket("/login")

    assert response.start["type"] == "websocket.accept"
    assert response.headers == [(b"set-cookie", set_cookie(ADA))]


def test_a_session_that_is_only_read_on_a_websocket_adds_nothing_to_its_accept(browser: Browser) -> None:
    browser.get("/login")

    assert browser.websocket("/whoami").headers == []


def test_a_change_on_a_refused_websocket_is_written_on_the_denial_response(wrap: Wrap) -> None:
    response = wrap(deny).websocket()

    assert response.start["type"] == "websocket.http.response.start"
    assert response.headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA)),
        (b"cache-control", NO_CACHE),
    ]


def test_a_denial_response_takes_the_cookie_where_an_accept_would_take_no_headers(wrap: Wrap) -> None:
    response = wrap(deny).websocket(asgi={"version": "3.0", "spec_version": "2.0"})

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


def test_websocket_and_http_share_the_session(browser: Browser) -> None:
    browser.websocket("/login")
    assert browser.get("/whoami").json() == {"user": "ada"}
    browser.get("/add")
    browser.websocket("/add")
    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea", "tea"]}


def test_a_websocket_goes_on_undisturbed_after_its_accept() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        scope["session"]["user"] = "ada"
        await send({"type": "websocket.accept", "subprotocol": "chat"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def main() -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "asgi": {"version": "3.0", "spec_version": "2.3"}}
        server: Any = ApplicationCommunicator(SessionMiddleware(echo, KEY), scope)  # type: ignore[no-untyped-call]
        await server.send_input({"type": "websocket.connect"})
        assert await server.receive_output() == {
            "type": "websocket.accept",
            "subprotocol": "chat",
            "headers": [(b"set-cookie", set_cookie(ADA))],
        }
        for text in ("one", "two"):
            await server.send_input({"type": "websocket.receive", "text": text})
            assert await server.receive_output() == {"type": "websocket.send", "text": text}
        await server.send_input({"type": "websocket.disconnect", "code": 1000})
        await server.wait()

    asyncio.run(main())


@pytest.mark.parametrize("make", [list, tuple, iter])
def test_any_other_connection_with_headers_has_a_session(wrap: Wrap, make: Callable[[Any], Any]) -> None:
    browser = wrap(visit)

    response = browser.connect({"type": "x", "path": "/login", "headers": make([(b"host", b"testserver")])}, [])

    assert response.start["type"] == "x.response.start"
    assert response.all(b"set-cookie") == [set_cookie(ADA)]
    assert browser.connect({"type": "x", "path": "/whoami"}, []).json() == {"user": "ada"}


def test_any_other_connection_may_be_accepted_with_the_cookie(wrap: Wrap) -> None:
    async def accept(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": "x.session.accept"})

    # It has an accept of its own, which the websocket's history doesn't bind.
    response = wrap(accept).connect({"type": "x", "asgi": {"version": "3.0"}}, [])

    assert response.headers == [(b"set-cookie", set_cookie(ADA))]


@pytest.mark.parametrize("kind", ["lifespan", "x"])
def test_a_connection_without_headers_is_passed_through_untouched(run: Any, kind: str) -> None:
    called: list[tuple[Any, ...]] = []

    async def app(*args: Any) -> None:
        called.append(args)

    scope = {"type": kind, "asgi": {"version": "3.0"}, "state": {}}
    before = dict(scope)

    run(lambda: SessionMiddleware(app, KEY)(scope, receive_nothing, drop))

    [(app_scope, receive, send)] = called
    assert (app_scope is scope, receive is receive_nothing, send is drop) == (True, True, True)
    assert scope == before


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_http_and_websocket_have_a_session_even_without_headers(run: Any, kind: str) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    run(lambda: SessionMiddleware(login, KEY)({"type": kind, "path": "/"}, receive, send))

    assert (b"set-cookie", set_cookie(ADA)) in sent[0]["headers"]


def test_the_session_is_set_in_the_scope_that_came(run: Any) -> None:
    class Scope(dict[str, Any]):
        """As instrumentation's that watches what routing finds."""

    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        scope["route"] = "/users/{id}"

    scope = Scope(type="http", path="/", headers=[])
    run(lambda: SessionMiddleware(app, KEY)(scope, receive_nothing, drop))

    assert seen[0] is scope
    assert scope["route"] == "/users/{id}"
    assert isinstance(scope["session"], Session)


@types.coroutine
def pause() -> Generator[None]:
    """Gives way once, to whoever drives the coroutine."""
    yield


async def log_in_slowly(scope: Any, receive: Any, send: Any) -> None:
    scope["session"]["user"] = scope["path"]
    await pause()
    await send({"type": "http.response.start", "status": 200})


def test_connections_at_one_time_have_sessions_of_their_own_and_need_no_event_loop() -> None:
    app = SessionMiddleware(log_in_slowly, KEY)
    lines: dict[str, Any] = {}

    def connect(path: str) -> Any:
        async def send(message: Any) -> None:
            lines[path] = dict(message["headers"])[b"set-cookie"]

        return app({"type": "http", "path": path, "headers": []}, receive_nothing, send)

    connections = [connect("/a"), connect("/b")]
    for connection in connections:
        connection.send(None)
    for connection in connections:
        with pytest.raises(StopIteration):
            connection.send(None)

    assert lines == {path: set_cookie({"user": path}) for path in ("/a", "/b")}


def test_receive_reaches_the_app_as_it_came(run: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(receive)

    run(lambda: SessionMiddleware(app, KEY)({"type": "http", "headers": []}, receive_nothing, drop))

    assert seen == [receive_nothing]


# Reading the cookie


FORGED = b"session=eyJ1c2VyIjoiYWRhIn0=.aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


# fmt: off
COOKIES = [
    (lambda a, b: [(b"cookie", b"session=" + a)],                                         "ada"),
    (lambda a, b: [(b"Cookie", b"session=" + a)],                                         "ada"),  # as ASGI permits
    (lambda a, b: [(b"COOKIE", b"theme=dark;session=" + a)],                              "ada"),
    (lambda a, b: [(b"cookie", b" \t session \t=\t " + a + b" \t; theme=dark")],          "ada"),
    (lambda a, b: [(b"cookie", b'session="' + a + b'"')],                                 "ada"),
    (lambda a, b: [(b"cookie", b"theme=dark"), (b"cookie", b"session=" + a)],             "ada"),  # RFC 9113, 8.2.3
    (lambda a, b: [(b"cookie", b"session=" + a + b"; session=" + b)],                     "ada"),
    (lambda a, b: [(b"cookie", b"session=" + b), (b"cookie", b"session=" + a)],           "bob"),
    (lambda a, b: [(b"cookie", FORGED + b"; session=" + b)],                              "bob"),
    (lambda a, b: [(b"cookie", FORGED), (b"cookie", b"session=" + b)],                    "bob"),
    (lambda a, b: [(b"cookie", b"session=" + b"x" * 5000 + b"; session=" + b)],           "bob"),
    (lambda a, b: [(b"cookie", (FORGED + b"; ") * 7 + b"session=" + a)],                  "ada"),
    (lambda a, b: [(b"cookie", (FORGED + b"; ") * 8 + b"session=" + a)],                  None),  # not the ninth
    (lambda a, b: [(b"cookie", FORGED)] * 8 + [(b"cookie", b"session=" + a)],             None),
    (lambda a, b: [(b"cookie", b"Session=" + a)],                                         None),  # another cookie
    (lambda a, b: [(b"cookie", b"mysession=" + a + b"; session2=" + a)],                  None),
    (lambda a, b: [(b"cookie", b"theme=session=" + a)],                                   None),
    (lambda a, b: [(b"cookie", b"\xa0session=" + a + b"; \x0bsession=" + a)],             None),  # str.strip would
    (lambda a, b: [(b"x-cookie", b"session=" + a)],                                       None),
]
# fmt: on


@pytest.mark.parametrize(("make_headers", "user"), COOKIES)
def test_the_session_is_that_of_the_first_cookie_that_verifies(wrap: Wrap, make_headers: Any, user: str | None) -> None:
    headers = make_headers(sign({"user": "ada"}).encode(), sign({"user": "bob"}).encode())

    content, _ = wrap(whoami, path="/shop").get(headers=headers).json()  # with "/" it is the one signed last

    assert content == ({} if user is None else {"user": user})


# fmt: off
UNUSABLE = [
    (lambda: "",                                                                 "bad-signature"),
    (lambda: "null",                                                             "bad-signature"),  # as we delete it
    (lambda: FORGED.decode()[8:],                                                "bad-signature"),
    (lambda: sign(ADA, key="another key of sixteen bytes"),                      "bad-signature"),
    (lambda: sign(ADA, name="other"),                                            "bad-signature"),  # another cookie's
    (lambda: sign(ADA, signer=TimestampSigner(KEY)),                             "bad-signature"),  # any other token
    (lambda: sign({"user": "x" * 3100}),                                         "malformed"),  # over 4096 bytes
    (lambda: sign_payload(b"[]"),                                                "malformed"),
    (lambda: sign_payload(b"1"),                                                 "malformed"),
    (lambda: sign_payload(b"null"),                                              "malformed"),
    (lambda: sign_payload(b'"user"'),                                            "malformed"),
    (lambda: sign_payload(b""),                                                  "malformed"),
    (lambda: sign_payload(b"{}{}"),                                              "malformed"),
    (lambda: sign_payload(b'{"user": "ada"} x'),                                 "malformed"),
    (lambda: sign_payload(b'{"user": "ada"'),                                    "malformed"),
    (lambda: sign_payload(b'{"user": "\xff"}'),                                  "malformed"),
    (lambda: sign_payload(b'{"a":' + b"[" * 2900 + b"]" * 100 + b"}"),           "malformed"),  # json runs out of stack
]
# fmt: on


@pytest.mark.parametrize(("value", "reason"), UNUSABLE)
def test_a_cookie_that_cannot_be_used_gives_an_empty_session_that_says_why(
    wrap: Wrap, value: Callable[[], str], reason: str
) -> None:
    response = wrap(whoami).get(headers=[(b"cookie", f"session={value()}".encode())])

    assert response.start["status"] == 200
    assert response.json() == [{}, reason]


def test_a_cookie_that_cannot_be_used_is_left_alone(wrap: Wrap) -> None:
    response = wrap(whoami).get(headers=[(b"cookie", FORGED)])

    assert response.headers == [(b"vary", b"Cookie")]


def test_a_cookie_that_cannot_be_used_is_replaced_by_the_next_change(wrap: Wrap) -> None:
    response = wrap(login).get(headers=[(b"cookie", FORGED)])

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


def test_a_visitor_without_a_cookie_has_an_empty_session_that_was_not_rejected(wrap: Wrap) -> None:
    assert wrap(whoami).get().json() == [{}, None]


@pytest.mark.parametrize("make", [list, tuple, iter, lambda headers: (header for header in headers)])
@pytest.mark.parametrize("session_first", [True, False])
def test_scope_headers_of_any_kind_reach_both_the_app_and_the_session(
    wrap: Wrap, make: Callable[[Any], Any], session_first: bool
) -> None:
    headers = [(b"host", b"testserver"), cookie(ADA), (b"X-Last", b"1")]
    before = list(headers)

    def act(scope: Any) -> Any:
        session = dict(scope["session"]) if session_first else None
        seen = list(scope["headers"])
        return [session or dict(scope["session"]), [value.decode() for _, value in seen], seen == headers]

    answer = wrap(app_that(act)).get(headers=make(headers)).json()

    assert answer == [ADA, [value.decode() for _, value in headers], True]
    assert headers == before


# Lazy


class WatchedSigner(TimestampSigner):
    """Counts what it is asked to verify."""

    checks = 0

    def unsign(self, *args: Any, **kwargs: Any) -> Any:
        self.checks += 1
        return super().unsign(*args, **kwargs)


class WatchedJSON:
    """Counts what it is asked to parse and to write."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def dumps(self, content: Any) -> str:
        self.calls.append("dumps")
        return json.dumps(content)

    def loads(self, payload: Any) -> Any:
        self.calls.append("loads")
        return json.loads(payload)


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_an_untouched_session_costs_no_signature_check_and_no_json(wrap: Wrap, connect: Any) -> None:
    signer, serializer = WatchedSigner(KEY), WatchedJSON()
    browser = wrap(untouched, signer, serializer=serializer)
    serializer.calls.clear()

    response = connect(browser, headers=[(b"cookie", f"session={sign(ADA, signer=signer)}".encode())])

    assert (signer.checks, serializer.calls) == (0, [])
    assert response.headers == []


def test_a_session_is_verified_and_parsed_once_however_often_it_is_read(wrap: Wrap) -> None:
    signer, serializer = WatchedSigner(KEY), WatchedJSON()

    def act(scope: Any) -> Any:
        return [scope["session"]["user"], len(scope["session"]), "user" in scope["session"]]

    browser = wrap(app_that(act), signer, serializer=serializer)
    serializer.calls.clear()

    response = browser.get(headers=[(b"cookie", f"session={sign(ADA, signer=signer)}".encode())])

    assert response.json() == ["ada", 1, True]
    assert (signer.checks, serializer.calls) == (1, ["loads"])


def test_nothing_is_parsed_that_does_not_verify(wrap: Wrap) -> None:
    serializer = WatchedJSON()
    browser = wrap(whoami, serializer=serializer)
    serializer.calls.clear()

    browser.get(headers=[(b"cookie", FORGED)])

    assert serializer.calls == []


READS: dict[str, Callable[[Any], Any]] = {
    "in": lambda session: "user" in session,
    "len": len,
    "truth": bool,
    "equality": lambda session: session == {},
    "inequality": lambda session: session != {},
    "iteration": list,
    "reversed": lambda session: list(reversed(session)),
    "get": lambda session: session.get("user"),
    "keys": lambda session: list(session.keys()),
    "values": lambda session: list(session.values()),
    "items": lambda session: list(session.items()),
    "copy": lambda session: session.copy(),
    "union": lambda session: session | {},
    "unpacking": lambda session: {**session},
    "json": json.dumps,
    "repr": repr,
    "rejected": lambda session: session.rejected,
    "issued_at": lambda session: session.issued_at,
    "mark_accessed": lambda session: session.mark_accessed(),
}


@pytest.mark.parametrize("form", READS)
def test_reading_in_any_form_adds_vary_but_no_cookie(wrap: Wrap, form: str) -> None:
    response = wrap(app_that(lambda scope: bool(READS[form](scope["session"])))).get(headers=[cookie(ADA)])

    assert response.headers == [(b"vary", b"Cookie")]


CHANGES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "item": (lambda session: session.__setitem__("n", 1), {"user": "ada", "cart": [[]], "n": 1}),
    "same item": (lambda session: session.__setitem__("user", "ada"), {"user": "ada", "cart": [[]]}),
    "del": (lambda session: session.__delitem__("user"), {"cart": [[]]}),
    "pop": (lambda session: session.pop("user"), {"cart": [[]]}),
    "popitem": (lambda session: session.popitem(), {"user": "ada"}),
    "setdefault": (lambda session: session.setdefault("n", 1), {"user": "ada", "cart": [[]], "n": 1}),
    "update": (lambda session: session.update(n=1), {"user": "ada", "cart": [[]], "n": 1}),
    "|=": (lambda session: session.__ior__({"n": 1}), {"user": "ada", "cart": [[]], "n": 1}),
    "mark_modified": (lambda session: session.mark_modified(), {"user": "ada", "cart": [[]]}),
    "nested": (lambda session: session["cart"].append("tea"), {"user": "ada", "cart": [[], "tea"]}),
    "deeper": (lambda session: session["cart"][0].append("tea"), {"user": "ada", "cart": [["tea"]]}),
}


@pytest.mark.parametrize("form", CHANGES)
def test_a_change_in_any_form_is_saved(wrap: Wrap, form: str) -> None:
    change, content = CHANGES[form]

    response = wrap(app_that(lambda scope: bool(change(scope["session"])))).get(
        headers=[cookie({"user": "ada", "cart": [[]]})]
    )

    assert response.all(b"set-cookie") == [set_cookie(content)]


UNCHANGED: dict[str, Callable[[Any], Any]] = {
    "pop what is missing": lambda session: session.pop("n", None),
    "setdefault what is there": lambda session: session.setdefault("user", "bob"),
    "change nested and back": lambda session: (session["cart"].append(1), session["cart"].pop()),
    "read nested": lambda session: session["cart"][0],
    "change a copy": lambda session: session.copy().clear(),
}


@pytest.mark.parametrize("form", UNCHANGED)
def test_what_changes_nothing_sets_no_cookie(wrap: Wrap, form: str) -> None:
    response = wrap(app_that(lambda scope: bool(UNCHANGED[form](scope["session"])))).get(
        headers=[cookie({"user": "ada", "cart": [[]]})]
    )

    assert response.headers == [(b"vary", b"Cookie")]


@pytest.mark.parametrize("status", [200, 204, 302, 304, 404, 500])
def test_a_change_is_saved_whatever_the_status(wrap: Wrap, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": "http.response.start", "status": status, "headers": []})

    assert wrap(app).get().all(b"set-cookie") == [set_cookie(ADA)]


# Writing the response


def test_the_payload_is_compact_utf8_json_in_standard_base64(wrap: Wrap) -> None:
    content = {"name": "Zoë", "n": [1, 2], "tea": "茶", "any": "~~~???"}

    [line] = wrap(app_that(lambda scope: scope["session"].update(content))).get().all(b"set-cookie")

    assert read_payload(line) == '{"name":"Zoë","n":[1,2],"tea":"茶","any":"~~~???"}'.encode()
    assert line == set_cookie(content)


# fmt: off
VARY = [
    ([],                                                   [b"Cookie"]),
    ([(b"vary", b"")],                                     [b"Cookie"]),
    ([(b"vary", b"Accept")],                               [b"Accept, Cookie"]),
    ([(b"Vary", b"Accept")],                               [b"Accept, Cookie"]),
    ([(b"vary", b"X-Cookie")],                             [b"X-Cookie, Cookie"]),
    ([(b"vary", b"Cookie")],                               [b"Cookie"]),
    ([(b"VARY", b"accept,COOKIE")],                        [b"accept,COOKIE"]),
    ([(b"vary", b"*")],                                    [b"*"]),
    ([(b"vary", b"Accept"), (b"vary", b"Origin")],         [b"Accept", b"Origin, Cookie"]),
    ([(b"vary", b"Cookie"), (b"vary", b"Origin")],         [b"Cookie", b"Origin"]),
    ([(b"vary", b"*"), (b"vary", b"Origin")],              [b"*", b"Origin"]),
]
# fmt: on


@pytest.mark.parametrize(("headers", "vary"), VARY)
@pytest.mark.parametrize("act", [log_in, lambda scope: bool(scope["session"])])
def test_vary_is_merged_into_what_the_app_has(wrap: Wrap, act: Any, headers: Any, vary: list[bytes]) -> None:
    before = copy.deepcopy(headers)

    response = wrap(app_that(act, headers)).get()

    assert response.all(b"vary") == vary
    assert headers == before


def test_deleting_the_cookie_keeps_caches_away_too(wrap: Wrap) -> None:
    response = wrap(app_that(lambda scope: scope["session"].clear())).get(headers=[cookie(ADA)])

    assert response.headers == [(b"vary", b"Cookie"), (b"set-cookie", DELETED), (b"cache-control", NO_CACHE)]


def delete_key(scope: Any) -> None:
    del scope["session"]


EMPTYING: dict[str, Callable[[Any], Any]] = {
    "clear": lambda scope: scope["session"].clear(),
    "del": lambda scope: scope["session"].__delitem__("user"),
    "pop": lambda scope: bool(scope["session"].pop("user", None)),
    "popitem": lambda scope: bool(scope["session"].popitem()),
    "another dict": lambda scope: bool(scope["session"]) + bool(scope.update(session={})),
    "None": lambda scope: scope.update(session=None),
    "no key": delete_key,
}


@pytest.mark.parametrize("form", EMPTYING)
@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_emptying_the_session_deletes_the_cookie_that_came(wrap: Wrap, form: str, connect: Any) -> None:
    browser = wrap(app_that(EMPTYING[form]))
    browser.cookies["session"] = sign(ADA)

    response = connect(browser)

    assert response.all(b"set-cookie") == [DELETED]
    assert browser.cookies == {}


@pytest.mark.parametrize("form", sorted({*EMPTYING} - {"del", "popitem"}))  # those two need something to take
def test_emptying_the_session_of_a_visitor_without_a_cookie_sets_none(wrap: Wrap, form: str) -> None:
    assert wrap(app_that(EMPTYING[form])).get().all(b"set-cookie") == []


def test_a_session_filled_and_emptied_again_sets_no_cookie(wrap: Wrap) -> None:
    def act(scope: Any) -> None:
        scope["session"]["user"] = "ada"
        scope["session"].clear()

    assert wrap(app_that(act)).get().headers == [(b"vary", b"Cookie")]


@pytest.mark.parametrize("form", ["clear", "another dict", "None", "no key"])
def test_clearing_the_session_deletes_a_cookie_that_was_rejected(wrap: Wrap, form: str) -> None:
    response = wrap(app_that(EMPTYING[form])).get(headers=[(b"cookie", FORGED)])

    assert response.all(b"set-cookie") == [DELETED]


# The app's own messages


HEADER_LISTS: dict[str, Callable[[], Any]] = {
    "list": lambda: [(b"X-App", b"1")],
    "tuple": lambda: ((b"X-App", b"1"),),
    "lists": lambda: [[b"X-App", b"1"]],
    "iterator": lambda: iter([(b"X-App", b"1")]),
    "generator": lambda: (header for header in [(b"X-App", b"1")]),
}


@pytest.mark.parametrize("kind", HEADER_LISTS)
def test_a_response_keeps_its_headers_of_any_kind_before_ours(wrap: Wrap, kind: str) -> None:
    response = wrap(app_that(log_in, HEADER_LISTS[kind]())).get()

    assert response.headers == [
        (b"X-App", b"1"),
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA)),
        (b"cache-control", NO_CACHE),
    ]


@pytest.mark.parametrize("kind", HEADER_LISTS)
def test_an_accept_keeps_its_headers_of_any_kind_before_ours(wrap: Wrap, kind: str) -> None:
    response = wrap(app_that(log_in, HEADER_LISTS[kind]())).websocket()

    assert response.headers == [(b"X-App", b"1"), (b"set-cookie", set_cookie(ADA))]


@pytest.mark.parametrize("extra", [{}, {"headers": None}])
@pytest.mark.parametrize("kind", ["http.response.start", "websocket.accept"])
def test_a_message_without_headers_gets_ours(wrap: Wrap, kind: str, extra: dict[str, Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": kind, **extra})

    response = wrap(app).connect({"type": kind.partition(".")[0], "path": "/"}, [])

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


def test_what_else_is_in_a_message_survives(wrap: Wrap) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": "http.response.start", "status": 418, "headers": [], "trailers": True, "x": [1]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    start, *rest = wrap(app).get().messages

    del start["headers"]
    assert start == {"type": "http.response.start", "status": 418, "trailers": True, "x": [1]}
    assert rest == [
        {"type": "http.response.body", "body": b"", "more_body": False},
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]},
    ]


@pytest.mark.parametrize("kind", ["http.response.start", "websocket.accept", "websocket.http.response.start"])
def test_a_message_sent_to_every_visitor_is_never_mutated(wrap: Wrap, kind: str) -> None:
    message = {"type": kind, "status": 200, "headers": [(b"vary", b"Accept"), (b"x-app", b"1")]}
    before = copy.deepcopy(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/":
            scope["session"]["user"] = scope["path"]
        await send(message)

    browser = wrap(app)
    scope = {"type": kind.partition(".")[0], "headers": []}
    lines = [browser.connect({**scope, "path": path}, []).all(b"set-cookie") for path in ("/a", "/", "/b")]

    assert lines == [[set_cookie({"user": "/a"})], [], [set_cookie({"user": "/b"})]]
    assert message == before


def test_one_visitors_session_never_reaches_another(wrap: Wrap) -> None:
    app = wrap(visit)
    ada, bob = Browser(app.app, run=app.run), Browser(app.app, run=app.run)

    ada.get("/login")
    bob.get("/add")
    ada.get("/add")

    assert ada.get("/whoami").json() == {"user": "ada", "cart": ["tea"]}
    assert bob.get("/whoami").json() == {"cart": ["tea"]}


# What an app may put in the session's place


class Missing(Enum):
    MISSING = 0


class Empty:
    """As Litestar's, whose clear_session() leaves the class itself in the scope."""


def replace_with(value: Any) -> Callable[[Any], Any]:
    return lambda scope: scope.update(session=value)


# fmt: off
DICTS = [
    {"n": 1},
    Session({"n": 1}),
]
# fmt: on


@pytest.mark.parametrize("replacement", DICTS)
@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_dict_in_the_sessions_place_replaces_its_content(wrap: Wrap, replacement: Any, connect: Any) -> None:
    response = connect(wrap(app_that(replace_with(replacement))), headers=[cookie(ADA)])

    assert response.all(b"set-cookie") == [set_cookie({"n": 1})]


def test_an_empty_dict_in_the_place_of_an_empty_session_is_no_change(wrap: Wrap) -> None:
    sessions: list[Session] = []

    def empty(scope: Any) -> None:
        sessions.append(scope["session"])
        scope["session"] = {}

    response = wrap(app_that(empty)).get()

    assert response.headers == []
    assert [(session.accessed, session.modified) for session in sessions] == [(False, False)]


def test_a_session_signed_anew_has_not_changed(wrap: Wrap) -> None:
    old = "an old key of more than 16 bytes"
    sessions: list[Session] = []

    def look(scope: Any) -> Any:
        sessions.append(scope["session"])
        return dict(scope["session"])

    response = wrap(app_that(look), fallbacks=[old]).get(headers=[cookie({"user": "ada"}, key=old)])

    assert response.all(b"set-cookie") == [set_cookie({"user": "ada"})]
    assert [session.modified for session in sessions] == [False]


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.update({}),
        lambda session: session.mark_modified(),
        lambda session: session.regenerate(),
        lambda session: setattr(session, "max_age", 60),
    ],
)
def test_a_rejected_cookie_stays_where_nothing_was_put_in_or_cleared(wrap: Wrap, act: Any) -> None:
    foreign = cookie({"user": "ada"}, key="the key of the other half")

    response = wrap(app_that(lambda scope: act(scope["session"]))).get(headers=[foreign])

    assert response.all(b"set-cookie") == []


@pytest.mark.parametrize(("came", "lines"), [(True, [DELETED]), (False, [])])
def test_a_cookie_that_is_deleted_is_deleted_by_an_error_page_too(wrap: Wrap, came: bool, lines: list[bytes]) -> None:
    first, second = wrap(clear_twice).get(headers=[cookie({"user": "ada"})] * came).messages

    assert [value for name, value in first["headers"] if name == b"set-cookie"] == lines
    assert second["headers"] == first["headers"]


def test_a_replacement_is_saved_as_it_is_when_the_response_starts(wrap: Wrap) -> None:
    def act(scope: Any) -> None:
        scope["session"] = {**scope["session"], "cart": []}
        scope["session"]["cart"].append("tea")

    response = wrap(app_that(act)).get(headers=[cookie(ADA)])

    assert response.headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie({"user": "ada", "cart": ["tea"]})),
        (b"cache-control", NO_CACHE),
    ]


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_the_keys_of_a_replacement_keep_their_order(wrap: Wrap, make_store: Any) -> None:
    def act(scope: Any) -> Any:
        if scope["path"] == "/login":
            log_in(scope)
        elif scope["path"] == "/replace":
            scope["session"] = {"seen": 1, **scope["session"]}
        return list(scope["session"])

    browser = wrap(app_that(act), store=make_store())
    browser.get("/login")
    browser.get("/replace")

    assert browser.get("/").json() == ["seen", "user"]


def test_a_replacement_stays_in_the_scope_for_who_looks_from_outside(run: Any) -> None:
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": [cookie(ADA)]}

    run(lambda: SessionMiddleware(app_that(replace_with({"n": 1})), KEY)(scope, receive_nothing, drop))

    assert scope["session"] == {"n": 1}


@pytest.mark.parametrize("act", [replace_with(None), replace_with(Empty), replace_with(Missing.MISSING), delete_key])
def test_taking_the_session_away_clears_it(wrap: Wrap, act: Any) -> None:
    response = wrap(app_that(act)).get(headers=[cookie(ADA)])

    assert response.start["status"] == 200
    assert response.all(b"set-cookie") == [DELETED]


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
@pytest.mark.parametrize("act", [replace_with(None), replace_with(Empty), replace_with({}), delete_key])
def test_taking_an_empty_session_away_ends_a_sign_in_of_the_same_request(wrap: Wrap, act: Any, make_store: Any) -> None:
    def sign_in(scope: Any) -> Any:
        if scope["path"] != "/login":
            return scope["session"].principal
        scope["session"].principal = "ada"
        act(scope)
        return None

    browser = wrap(app_that(sign_in), store=make_store())

    assert browser.get("/login").all(b"set-cookie") == []
    assert browser.get("/").json() is None
