"""What can't be saved, comes too late or comes in a bad cookie: an error that names the cause, or a line in the log."""

from __future__ import annotations

import asyncio
import json
import logging
import operator
from base64 import b64encode
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_signed_session import CookieTooLargeError, SessionError, SessionMiddleware, UnserializableSessionError

from .advice import FAILED, NO_HEADERS, TOO_LATE
from .apps import Interrupted, app_that, app_with_error_page, visit
from .browser import Browser, Response
from .conftest import KEY, NOW, Wrap
from .records import Records
from .wire import DELETED, cookie, make_signer, set_cookie, sign, sign_payload

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
LOGGER = "asgi_signed_session"


OLD_KEY = "an older key of enough bytes"


def put(**content: Any) -> Callable[[Any], Any]:
    return lambda scope: scope["session"].update(content)


def replace_with(value: Any) -> Callable[[Any], Any]:
    return lambda scope: scope.update(session=value)


def read(scope: Any) -> Any:
    return dict(scope["session"])


def take_away(scope: Any) -> None:
    del scope["session"]


def nothing(scope: Any) -> None:
    """Leaves the session alone."""


# Too large


# With seven letters of name, 2991 bytes of payload make exactly 4096:
# 7 and "=", 3988 of base64, 51 of time and signature, 49 of attributes.
LARGEST = {"a": "x" * 2983}


def test_a_cookie_of_4096_bytes_with_its_attributes_is_written_and_read_again(wrap: Wrap) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].setdefault("a", LARGEST["a"])), session_cookie="visitor")

    [line] = browser.get().all(b"set-cookie")

    assert line == set_cookie(LARGEST, name="visitor")
    assert len(line) == 4096
    assert browser.get().headers == [(b"vary", b"Cookie")]


def test_a_cookie_of_4097_bytes_is_refused(wrap: Wrap) -> None:
    browser = wrap(app_that(put(**LARGEST)), session_cookie="visitors")

    with pytest.raises(CookieTooLargeError) as raised:
        browser.get()

    assert str(raised.value) == (
        "session cookie 'visitors' is 4097 bytes, 49 of them its attributes, 1 over the 4096 that browsers and front"
        " ends keep; largest: 'a' (3.0 kB)."
        " Store less, compress it (asgi_signed_session.serializers.Compressed), or use a store."
    )


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_too_large_a_session_is_refused_before_anything_is_sent(run: Any, connect: Any) -> None:
    sent: list[Any] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            sent.append(message)

        await SessionMiddleware(app_that(put(b="y" * 600, d=1, a="x" * 3022, c="z" * 60)), KEY)(scope, receive, watch)

    with pytest.raises(CookieTooLargeError) as raised:
        connect(Browser(watched, run=run))

    assert str(raised.value) == (
        "session cookie 'session' is 5056 bytes, 49 of them its attributes, 960 over the 4096 that browsers and front"
        " ends keep;"
        " largest: 'a' (3.0 kB), 'b' (608 bytes), 'c' (68 bytes)."
        " Store less, compress it (asgi_signed_session.serializers.Compressed), or use a store."
    )
    assert sent == []


@pytest.mark.parametrize(
    ("length", "size"),
    [(991, "999 bytes"), (992, "1.0 kB"), (99_992, "100.0 kB")],
)
def test_the_largest_are_named_by_size(wrap: Wrap, length: int, size: str) -> None:
    content = {"a": 1, "b": "x" * length, "c": "y" * 100_000}  # as JSON {"b":"xxx"}: eight bytes more

    with pytest.raises(CookieTooLargeError) as raised:
        wrap(app_that(put(**content))).get()

    assert f"largest: 'c' (100.0 kB), 'b' ({size}), 'a' (7 bytes)." in str(raised.value)


BIG = "x" * 5000
NOT_JSON = datetime(2026, 11, 22, tzinfo=timezone.utc)

UNSAVABLE: dict[str, Callable[[Any], Any]] = {
    "too large": put(a=BIG),
    "too large, nested": lambda scope: scope["session"].setdefault("cart", []).append(BIG),
    "too large, in its place": replace_with({"a": BIG}),
    "not serialisable": put(a=NOT_JSON),
    "not serialisable, nested": lambda scope: scope["session"].setdefault("cart", []).append(NOT_JSON),
    "not serialisable, nor to be copied": put(a=[lambda: None]),
    "not serialisable, in its place": replace_with({"a": NOT_JSON}),
    "no mapping in its place": lambda scope: scope.update(session=list(scope["session"].items())),
}


@pytest.mark.parametrize("why", UNSAVABLE)
@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_after_the_error_the_error_page_goes_out_without_the_cookie(wrap: Wrap, why: str, connect: Any) -> None:
    response = connect(wrap(app_with_error_page(UNSAVABLE[why])), headers=[cookie(ADA)])

    assert [message.get("status") for message in response.messages] == [500, None]
    assert response.headers == [(b"vary", b"Cookie")]


def test_a_session_whose_change_was_refused_has_changed(wrap: Wrap) -> None:
    seen: list[bool] = []
    wrap(app_with_error_page(put(a=BIG), lambda scope: seen.append(scope["session"].modified))).get()

    assert seen == [True]


@pytest.mark.parametrize("why", UNSAVABLE)
def test_a_change_that_was_refused_is_not_reported_again(
    wrap: Wrap, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(app_with_error_page(UNSAVABLE[why])).get(headers=[cookie(ADA)])

    assert caplog.record_tuples == []


@pytest.mark.parametrize("nested", [False, True])
def test_an_error_handler_that_mends_the_session_has_it_saved(wrap: Wrap, nested: bool) -> None:
    def mend(scope: Any) -> None:
        if nested:
            scope["session"]["cart"].clear()
        else:
            scope["session"]["cart"] = []

    response = wrap(app_with_error_page(put(cart=[BIG]), mend)).get()

    assert response.start["status"] == 500
    assert response.all(b"set-cookie") == [set_cookie({"cart": []})]


def test_an_error_handler_that_clears_the_session_deletes_the_cookie(wrap: Wrap) -> None:
    browser = wrap(app_with_error_page(put(a=BIG), lambda scope: scope["session"].clear()))

    assert browser.get(headers=[cookie(ADA)]).all(b"set-cookie") == [DELETED]


# Not serialisable


def make_cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


# fmt: off
NOT_SERIALISABLE = [
    ({"at": NOT_JSON},                          "session['at']: datetime"),
    ({"n": 1, "cart": [NOT_JSON]},              "session['cart'][0]: datetime"),
    ({"cart": {"tea": [1, {"at": {1, 2}}]}},    "session['cart']['tea'][1]['at']: set"),
    ({"user": object},                          "session['user']: type"),
    ({"key": b"bytes"},                         "session['key']: bytes"),
]
# fmt: on


@pytest.mark.parametrize(("content", "place"), NOT_SERIALISABLE)
def test_what_json_cannot_write_is_refused_with_its_place_and_type(wrap: Wrap, content: Any, place: str) -> None:
    with pytest.raises(UnserializableSessionError) as raised:
        wrap(app_that(lambda scope: scope["session"].update(content))).get()

    assert str(raised.value) == (
        f"{place} can't be written by the serializer, or is nested too deeply. Store a str, number, bool, None, list"
        f" or dict, or pass a serializer that can write it:"
        " asgi_signed_session.serializers.Tagged() takes dates, UUIDs, decimals, bytes and sets."
    )


def test_a_session_that_holds_itself_is_refused_and_not_a_recursion_error(wrap: Wrap) -> None:
    with pytest.raises(UnserializableSessionError):
        wrap(app_that(put(cycle=make_cycle()))).get()


# Something else in the session's place


@pytest.mark.parametrize(
    ("value", "kind"), [([("a", 1)], "list"), ("ada", "str"), ("", "str"), (1, "int"), (False, "bool")]
)
def test_what_is_no_mapping_in_the_sessions_place_is_refused(wrap: Wrap, value: Any, kind: str) -> None:
    with pytest.raises(SessionError) as raised:
        wrap(app_that(replace_with(value))).get()

    assert str(raised.value) == (
        f"scope['session'] was replaced by a {kind}; put a dict there, or delete the key to clear the session."
    )


# Too late


def unsaved(caplog: pytest.LogCaptureFixture) -> tuple[str, str, list[str]]:
    """The message, path and keys of the one record there is, a warning about a change that was not saved."""
    [record] = caplog.records
    assert (record.name, record.levelno) == (LOGGER, logging.WARNING)
    fields = vars(record)
    assert fields["event"] == "session.unsaved"
    return record.getMessage(), fields["path"], fields["keys"]


# fmt: off
LATE: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "a new key":            (put(n=1),                                              ["n"]),
    "another value":        (put(user="bob"),                                       ["user"]),
    "several":              (put(user="bob", n=1, m=2),                             ["user", "n", "m"]),
    "a key gone":           (lambda scope: scope["session"].pop("user"),            ["user"]),
    "all gone":             (lambda scope: scope["session"].clear(),                ["user", "cart"]),
    "nested":               (lambda scope: scope["session"]["cart"].append("tea"),  ["cart"]),
    "not serialisable":     (put(at=NOT_JSON),                                      ["at"]),
    "too large":            (put(a=BIG),                                            ["a"]),
    "another dict":         (replace_with({"user": "bob"}),                         ["user", "cart"]),
    "no session":           (take_away,                                             ["user", "cart"]),
}
# fmt: on


@pytest.mark.parametrize("form", LATE)
@pytest.mark.parametrize("early", [nothing, lambda scope: scope["session"].mark_modified()])
@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_change_after_the_cookie_went_out_is_reported_once(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, connect: Any, early: Any, form: str
) -> None:
    late, keys = LATE[form]

    connect(wrap(app_that(early, late=late)), "/stream", headers=[cookie({"user": "ada", "cart": []})])

    names = ", ".join(map(repr, keys))
    assert unsaved(caplog) == (f"Session changes on '/stream' not saved: {names}. {TOO_LATE}", "/stream", keys)


def test_a_late_change_reports_only_what_differs_from_what_went_out(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    response = wrap(app_that(put(user="ada", n=1), late=put(user="ada", n=2))).get("/")

    assert response.all(b"set-cookie") == [set_cookie({"user": "ada", "n": 1})]
    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'n'. {TOO_LATE}", "/", ["n"])


def test_a_late_change_reports_nothing_that_travels_beside_the_data(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    remembered = {"user": "ada", "$session": {"max_age": 60, "iat": NOW}}

    wrap(app_that(nothing, late=put(n=1)), lifetime=100).get("/", headers=[cookie(remembered)])

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'n'. {TOO_LATE}", "/", ["n"])


def test_a_late_change_reports_no_key_that_json_makes_a_text_of(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    wrap(app_that(lambda scope: scope["session"].update({1: "one"}), late=put(n=1))).get("/")

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'n'. {TOO_LATE}", "/", ["n"])


@pytest.mark.parametrize("seconds", [60, None])
def test_a_max_age_that_came_too_late_is_reported(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, seconds: int | None
) -> None:
    def remember(scope: Any) -> None:
        scope["session"].max_age = seconds

    wrap(app_that(put(user="ada"), late=remember)).get("/")

    assert unsaved(caplog) == (
        f"Session changes on '/' not saved: its max_age. {TOO_LATE}",
        "/",
        [],
    )


def test_an_empty_sessions_max_age_is_nothing_to_report(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    def remember(scope: Any) -> None:
        scope["session"].max_age = 60

    wrap(app_that(nothing, late=remember)).get("/")

    assert caplog.records == []


def change_and_back(scope: Any) -> None:
    scope["session"]["n"] = 1
    del scope["session"]["n"]
    scope["session"]["cart"].append(1)
    scope["session"]["cart"].pop()


# fmt: off
QUIET: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "read late":                      (nothing,                        read),
    "read early and late":            (read,                           read),
    "changed early, read late":       (put(n=1),                       read),
    "changed twice to the same":      (put(n=1),                       put(n=1)),
    "changed late to what it was":    (nothing,                        put(user="ada")),
    "changed late and back":          (nothing,                        change_and_back),
    "marked late":                    (nothing,                        lambda scope: scope["session"].mark_modified()),
    "replaced early":                 (replace_with({"user": "bob"}),  nothing),
    "replaced early, keys not text":  (replace_with({1: "one"}),       nothing),  # JSON makes them text
    "taken away early":               (take_away,                      nothing),
}
# fmt: on


@pytest.mark.parametrize("form", QUIET)
@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_nothing_is_reported_where_nothing_was_lost(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, connect: Any, form: str
) -> None:
    early, late = QUIET[form]

    connect(wrap(app_that(early, late=late)), headers=[cookie({"user": "ada", "cart": []})])

    assert caplog.records == []


def test_nothing_is_reported_of_a_visitor_without_a_cookie_whose_session_stays_empty(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(app_that(nothing, late=lambda scope: scope["session"].clear())).get()

    assert caplog.records == []


def test_a_change_between_chunks_of_a_stream_is_reported_at_the_end(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(3):
            scope["session"]["chunks"] = n
            await send({"type": "http.response.body", "body": b"%d" % n, "more_body": n < 2})
            assert caplog.records == []

    assert wrap(stream).get("/stream").body == b"012"
    assert unsaved(caplog) == (f"Session changes on '/stream' not saved: 'chunks'. {TOO_LATE}", "/stream", ["chunks"])


def test_a_change_in_a_background_task_is_reported(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await visit(scope, receive, send)
        scope["session"]["mailed"] = True

    wrap(app).get("/login")

    assert unsaved(caplog) == (f"Session changes on '/login' not saved: 'mailed'. {TOO_LATE}", "/login", ["mailed"])


def test_a_change_on_an_open_websocket_is_reported_when_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    async def count(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            scope["session"].setdefault("seen", []).append(1)
            await send({"type": "websocket.send", "text": "seen"})

    async def main() -> None:
        scope = {"type": "websocket", "path": "/ws", "headers": [], "asgi": {"version": "3.0", "spec_version": "2.3"}}
        server: Any = ApplicationCommunicator(SessionMiddleware(count, KEY), scope)  # type: ignore[no-untyped-call]
        await server.send_input({"type": "websocket.connect"})
        assert await server.receive_output() == {"type": "websocket.accept"}
        await server.send_input({"type": "websocket.receive", "text": "one"})
        assert await server.receive_output() == {"type": "websocket.send", "text": "seen"}
        assert caplog.records == []
        await server.send_input({"type": "websocket.disconnect", "code": 1000})
        await server.wait()

    asyncio.run(main())

    assert unsaved(caplog) == (f"Session changes on '/ws' not saved: 'seen'. {TOO_LATE}", "/ws", ["seen"])


def test_a_change_on_a_websocket_that_is_closed_before_its_accept_is_reported(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    async def close(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": "websocket.close", "code": 1008})

    response = wrap(close).websocket("/ws")

    assert response.messages == [{"type": "websocket.close", "code": 1008}]
    assert unsaved(caplog) == (f"Session changes on '/ws' not saved: 'user'. {TOO_LATE}", "/ws", ["user"])


# fmt: off
SERVERS = [
    ({"version": "3.0", "spec_version": "2.0"},  False),
    ({"version": "3.0", "spec_version": "1.0"},  False),
    ({"version": "3.0"},                         False),  # the specification says: 2.0
    ({"version": "3.0", "spec_version": "2.1"},  True),
    ({"version": "3.0", "spec_version": "2.10"}, True),
    ({"version": "3.0", "spec_version": "3.0"},  True),
]
# fmt: on


@pytest.mark.parametrize(("asgi", "takes_headers"), SERVERS)
def test_a_server_without_headers_on_accept_gets_none_and_the_change_is_reported(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, asgi: Any, takes_headers: bool
) -> None:
    response = wrap(visit).websocket("/login", asgi=asgi)

    if takes_headers:
        assert response.headers == [(b"set-cookie", set_cookie(ADA))]
        assert caplog.records == []
    else:
        assert response.headers == []
        assert unsaved(caplog) == (f"Session changes on '/login' not saved: 'user'. {NO_HEADERS}", "/login", ["user"])


@pytest.mark.parametrize("version", ["2.1", "2.3", "2.10", "3.0", "2.1rc1", "", None])
def test_a_server_of_any_other_version_gets_the_cookie_on_its_accept(wrap: Wrap, version: Any) -> None:
    response = wrap(app_that(put(a=1))).websocket(asgi={"version": "3.0", "spec_version": version})

    assert response.all(b"set-cookie") == [set_cookie({"a": 1})]


def test_a_test_client_that_names_no_server_takes_headers_on_accept(run: Any) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    run(lambda: SessionMiddleware(visit, KEY)({"type": "websocket", "path": "/login", "headers": []}, receive, send))

    assert sent[0] == {"type": "websocket.accept", "headers": [(b"set-cookie", set_cookie(ADA))]}


def test_a_read_only_session_is_not_reported_where_an_accept_takes_no_headers(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, refresh_after=1, fallbacks=["an older key of enough bytes"])

    browser.websocket("/whoami", asgi={"version": "3.0"}, headers=[cookie(ADA, key="an older key of enough bytes")])

    assert caplog.records == []


def test_a_change_that_ends_with_an_error_of_the_app_is_reported(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    def fail(scope: Any) -> None:
        scope["session"]["user"] = "ada"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wrap(app_that(fail)).get("/")

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'user'. {FAILED}", "/", ["user"])


def test_a_change_by_another_thread_while_the_cookie_is_written_is_reported(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    serializer = Interrupted()

    def act(scope: Any) -> None:
        scope["session"]["a"] = 1
        serializer.act = lambda: scope["session"].update(b=2)

    wrap(app_that(act), serializer=serializer).get("/")

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'b'. {TOO_LATE}", "/", ["b"])


@pytest.mark.parametrize("update", [lambda session, other: session.update(other), operator.ior])
def test_a_response_that_starts_in_the_midst_of_an_update_hides_no_change(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, update: Any
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        started: list[Any] = []

        class Slow:
            def keys(self) -> list[str]:
                started.append(send({"type": "http.response.start", "status": 200, "headers": []}))
                return ["late"]

            def __getitem__(self, key: str) -> int:
                return 1

        scope["session"]["a"] = 1
        update(scope["session"], Slow())
        await started[0]
        await send({"type": "http.response.body", "body": b""})

    wrap(app).get("/")

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'late'. {TOO_LATE}", "/", ["late"])


class WriteOnly:
    def dumps(self, content: Any) -> str:
        return json.dumps(content)

    def loads(self, payload: str) -> Any:
        raise LookupError("what was written can't be read")


def test_a_serializer_that_cannot_read_what_it_wrote_hides_no_error_of_the_apps(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(scope: Any) -> None:
        scope["session"]["late"] = 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wrap(app_that(put(user="ada"), late=fail), serializer=WriteOnly()).get("/")

    assert unsaved(caplog) == (f"Session changes on '/' not saved: 'user', 'late'. {FAILED}", "/", ["user", "late"])


def test_each_of_two_middlewares_reports_its_own_late_changes(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    inner = SessionMiddleware(app_that(nothing, late=put(inner=1)), KEY, "b")

    async def between(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        await inner(scope, receive, send)
        session["outer"] = 1

    Browser(SessionMiddleware(between, KEY, "a"), run=run).get("/")

    assert [vars(record)["keys"] for record in caplog.records] == [["inner"], ["outer"]]


def test_a_late_replacement_that_is_no_mapping_is_reported(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    response = wrap(app_that(put(user="ada"), late=replace_with(["a"]))).get("/")

    assert response.all(b"set-cookie") == [set_cookie(ADA)]
    [record] = caplog.records
    assert (record.name, record.levelno) == (LOGGER, logging.WARNING)
    assert record.getMessage() == (
        "Session on '/' not saved:"
        " scope['session'] was replaced by a list; put a dict there, or delete the key to clear the session."
    )
    assert [vars(record)[name] for name in ("event", "path", "keys")] == ["session.unsaved", "/", []]


# The log


def rejected(caplog: pytest.LogCaptureFixture) -> tuple[int, str, str, str]:
    [record] = caplog.records
    assert record.name == LOGGER
    return record.levelno, record.getMessage(), vars(record)["event"], vars(record)["reason"]


# fmt: off
REJECTED = [
    (lambda: "forged",                "bad-signature"),
    (lambda: sign_payload(b"[]"),     "malformed"),
    (lambda: sign(ADA),               "expired"),
]
# fmt: on


@pytest.mark.parametrize(("value", "reason"), REJECTED)
def test_a_rejected_cookie_is_a_debug_line_with_the_reason(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, clock: Any, value: Callable[[], str], reason: str
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    headers = [(b"cookie", f"session={value()}".encode())]
    clock.shift(61)

    wrap(app_that(lambda scope: len(scope["session"])), max_age=60).get(headers=headers)

    assert rejected(caplog) == (
        logging.DEBUG,
        f"Session cookie 'session' rejected: {reason}.",
        "session.rejected",
        reason,
    )


def test_a_rejected_cookie_that_nobody_reads_is_not_logged(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)

    wrap(app_that(nothing)).get(headers=[(b"cookie", b"session=forged")])

    assert caplog.records == []


def test_a_log_filter_may_read_the_session_whose_cookie_was_rejected(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    seen: list[Any] = []

    def look(scope: Any) -> Any:
        def note_user(_record: logging.LogRecord) -> bool:
            seen.append(scope["session"].get("user"))
            return True

        logging.getLogger(LOGGER).addFilter(note_user)
        try:
            return scope["session"].rejected
        finally:
            logging.getLogger(LOGGER).removeFilter(note_user)

    response = wrap(app_that(look)).get(headers=[(b"cookie", b"session=forged")])

    assert (response.json(), seen) == ("bad-signature", [None])


def test_no_record_holds_a_value_a_key_or_a_payload(wrap: Wrap, caplog: pytest.LogCaptureFixture, clock: Any) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    secrets = {"user": "s3cret-before"}
    values = [sign(secrets), sign(secrets, key="another-key-of-enough-bytes"), sign_payload(b'["s3cret-before"]')]
    browser = wrap(
        app_that(lambda scope: len(scope["session"]), late=put(user="s3cret-after", at=NOT_JSON)),
        "the-key-in-use-of-enough-bytes",
        fallbacks=[KEY],
        max_age=60,
    )

    for seconds in (0, 61):
        clock.shift(seconds)
        for value in values:
            browser.get(headers=[(b"cookie", f"session={value}".encode())])

    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 7  # six late changes, one other key
    assert [record.levelno for record in caplog.records].count(logging.DEBUG) == 5
    parts = [part for value in values for part in value.split(".")]
    for secret in ("s3cret", KEY, "-of-enough-bytes", *values, *parts):
        assert secret not in logged


# Bad input


@pytest.fixture(scope="module")
def loud() -> Generator[list[logging.LogRecord]]:
    """Everything that anybody logs above DEBUG, but for what is said, once, of a cookie that was signed just now."""
    records: list[logging.LogRecord] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) not in ("session.other-key", "session.name-taken"):
                records.append(record)

    listener = Listener(logging.DEBUG + 1)
    logging.getLogger().addHandler(listener)
    yield records
    logging.getLogger().removeHandler(listener)


def read_with(headers: list[tuple[bytes, bytes]]) -> tuple[int, Response]:
    calls: list[Any] = []

    def act(scope: Any) -> Any:
        calls.append(scope)
        return [dict(scope["session"]), scope["session"].rejected]

    response = Browser(SessionMiddleware(app_that(act), KEY, lifetime=60, refresh_after=10)).get(headers=headers)
    return len(calls), response


PIECES = [
    b"session",
    b"=",
    b";",
    b" ",
    b'"',
    b"\\",
    b".",
    b"\x00",
    b"\xff",
    b"\r\n",
    b"e30=",
    b"; session=",
    b"session=e30=.",
]
pieces = st.sampled_from(PIECES) | st.binary(max_size=4)
cookie_bytes = st.binary(max_size=300) | st.lists(pieces, max_size=40).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(cookies=st.lists(cookie_bytes, min_size=1, max_size=2), genuine=st.booleans())
def test_any_bytes_in_cookie_headers_reach_the_app_once_and_raise_nothing(
    loud: list[logging.LogRecord], cookies: list[bytes], genuine: bool
) -> None:
    headers = [(b"cookie", value) for value in cookies] + [cookie(ADA)] * genuine

    calls, response = read_with(headers)

    content, why = response.json()
    assert (calls, response.start["status"]) == (1, 200)
    assert content in ({}, ADA)
    assert (why is None) or (content, why) == ({}, "bad-signature")
    assert response.all(b"set-cookie") == []
    assert loud == []


# As a serializer or a version of ours might write what travels beside the data, or a key that leaked.
scalars = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.none())
metadata_like = st.fixed_dictionaries({}, optional={"iat": scalars, "max_age": scalars}) | scalars
payloads = st.one_of(
    st.binary(max_size=100),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text()),
    metadata_like.map(lambda metadata: {"user": "ada", "$session": metadata}),
)


@settings(deadline=None, max_examples=300)
@given(payload=payloads, moment=st.integers(0, 2**64 - 1) | st.none(), in_base64=st.booleans())
def test_any_payload_signed_with_our_key_reaches_the_app_once_and_raises_nothing(
    loud: list[logging.LogRecord], payload: Any, moment: int | None, in_base64: bool
) -> None:
    signer = make_signer()
    if moment is not None:
        signer.get_timestamp = lambda: moment  # type: ignore[method-assign]
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    value = signer.sign(b64encode(raw) if in_base64 else raw)

    calls, response = read_with([(b"cookie", b'session="' + value + b'"')])

    content, why = response.json()
    assert (calls, response.start["status"]) == (1, 200)
    assert "$session" not in content
    assert (why is None) or (content == {} and why in {"bad-signature", "expired", "malformed"})
    assert loud == []


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_an_error_page_goes_out_where_what_cannot_be_saved_was_also_due_to_be_signed_anew(
    run: Any, make_store: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store()
    browser = Browser(SessionMiddleware(app_that(put(user="ada")), OLD_KEY, store=store), run=run)
    browser.get()
    app = app_with_error_page(put(user=object()))
    browser.app = SessionMiddleware(app, KEY, fallbacks=[OLD_KEY], store=store)

    response = browser.get()

    assert (response.start["status"], response.all(b"set-cookie")) == (500, [])
    assert response.body.startswith(b"UnserializableSessionError: session['user']: object can't be written")
    assert caplog.records == []


# A page that only reads, and whose session was to be signed again


class FailsAtWriting:
    """A serializer that reads what it can't write: of another version, for one."""

    loads = staticmethod(json.loads)

    def dumps(self, content: Any) -> bytes:
        if content:
            raise ZeroDivisionError
        return b"{}"


BARELY = {"user": "x" * 2970}  # in a cookie that one attribute more makes too large


def not_renewed(why: str) -> list[tuple[str, str, str]]:
    happened = (
        "should have been signed again, but that failed; nothing is lost, and the session ends when it would have ended"
        " before."
    )
    return [("WARNING", "session.not-renewed", f"The session on '/cart' {happened} {why}")]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [(record.levelname, vars(record)["event"], record.getMessage()) for record in caplog.records]


def test_a_page_that_reads_goes_out_where_its_cookie_would_be_too_large_signed_anew(
    wrap: Wrap, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_that(lambda scope: len(scope["session"]))
    browser = wrap(app, path="/" + "a" * 40, refresh_after=60)
    browser.cookies["session"] = sign(BARELY)
    clock.shift(61)

    response = browser.get("/cart")

    assert (response.start["status"], response.json(), response.all(b"set-cookie")) == (200, 1, [])
    [(level, event, message)] = logged(caplog)
    assert (level, event) == ("WARNING", "session.not-renewed")
    assert message.startswith(not_renewed("session cookie 'session' is ")[0][2])


def test_a_page_that_reads_goes_out_where_its_session_cannot_be_written_any_more(
    wrap: Wrap, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(app_that(read), serializer=FailsAtWriting(), refresh_after=60)
    browser.cookies["session"] = sign({"user": "ada"})
    clock.shift(61)

    response = browser.get("/cart")

    assert (response.start["status"], response.all(b"set-cookie")) == (200, [])
    assert [event for _, event, _ in logged(caplog)] == ["session.not-renewed"]


@pytest.mark.parametrize("due", ["refresh_after", "fallback"])
def test_a_page_that_reads_goes_out_where_the_store_fails_to_sign_its_session_anew(
    wrap: Wrap, clock: Any, caplog: pytest.LogCaptureFixture, due: str
) -> None:
    store = Records()
    options: dict[str, Any] = {"store": store, "max_age": 100, "refresh_after": 60}
    browser = wrap(app_that(put(user="ada")), OLD_KEY if due == "fallback" else KEY, **options)
    browser.get()
    clock.shift(61 if due == "refresh_after" else 1)
    browser.app = SessionMiddleware(
        app_that(lambda scope: scope["session"]["user"]), KEY, fallbacks=[OLD_KEY], **options
    )
    store.failing.add("swap")

    response = browser.get("/cart")

    assert (response.start["status"], response.json(), response.all(b"set-cookie")) == (200, "ada", [])
    assert logged(caplog) == not_renewed("ConnectionError: see to the store.")
    store.failing.clear()
    assert len(browser.get("/cart").all(b"set-cookie")) == 1  # the next one is signed again


def test_a_page_that_changes_something_is_an_error_where_the_store_fails(wrap: Wrap, clock: Any) -> None:
    store = Records()
    browser = wrap(app_that(put(n=1)), store=store, max_age=100, refresh_after=60)
    browser.get()
    clock.shift(61)
    store.failing.add("swap")
    browser.app = SessionMiddleware(app_that(put(n=2)), KEY, store=store, max_age=100, refresh_after=60)

    with pytest.raises(ConnectionError):
        browser.get("/cart")
