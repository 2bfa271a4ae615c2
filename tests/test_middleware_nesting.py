"""Several middlewares around one app, and one scope used more than once."""

from __future__ import annotations

import copy
import gc
import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

import pytest
from itsdangerous import TimestampSigner

from asgi_signed_session import SessionError, SessionMiddleware

from .apps import App, app_that
from .browser import Browser
from .conftest import KEY, Wrap
from .intents import run_now
from .records import Records
from .test_parallel import pause
from .wire import cookie, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
DELETED_B = b"b=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"


class Nothing(Enum):
    """What a framework may have for no value, as Litestar has."""

    HERE = 1


def session_in(name: str, app: App, **options: Any) -> SessionMiddleware:
    return SessionMiddleware(app, KEY, name, **options)


def around(app: App, before: Callable[[Any], Any], after: Callable[[Any], Any] = lambda scope: None) -> App:
    """A middleware of the app's own that looks at the scope before and after the app inside it."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        before(scope)
        try:
            await app(scope, receive, send)
        finally:
            after(scope)

    return middleware


def without_answer(act: Callable[[Any], Any]) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope)

    return app


def put(**content: Any) -> Callable[[Any], Any]:
    return lambda scope: scope["session"].update(content)


def fail(scope: Any) -> None:
    raise ZeroDivisionError


def replace(scope: Any) -> None:
    scope["session"] = {"inner": 2}


def delete(scope: Any) -> None:
    del scope["session"]


@pytest.fixture
def visit(run: Any) -> Callable[..., Browser]:
    """Makes a browser of an app that is wrapped already, with those sessions in its cookies."""

    def make_browser(app: App, **cookies: Any) -> Browser:
        return Browser(app, run=run, cookies={name: sign(content, name=name) for name, content in cookies.items()})

    return make_browser


# The same cookie twice: the outer one owns it.


def test_the_outer_of_two_with_one_cookie_owns_the_session(wrap: Wrap) -> None:
    inner = SessionMiddleware(app_that(put(user="ada")), "another key of sixteen bytes", max_age=1, path="/inner")

    response = wrap(inner, max_age=60).get()

    assert response.headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA, "path=/; Max-Age=60; httponly; samesite=lax")),
        (b"cache-control", b'no-cache="Set-Cookie"'),
    ]


def test_both_of_two_with_one_cookie_see_one_session(wrap: Wrap) -> None:
    seen: list[Any] = []

    def look(scope: Any) -> None:
        seen.append(scope["session"])

    wrap(around(SessionMiddleware(app_that(look), KEY), look, look)).get()

    assert seen[0] is seen[1] is seen[2]


def test_a_change_on_either_side_of_the_inner_of_two_with_one_cookie_is_saved(wrap: Wrap) -> None:
    app = around(SessionMiddleware(app_that(put(inside=1)), KEY), put(outside=1))

    assert wrap(app).websocket().headers == [(b"set-cookie", set_cookie({"outside": 1, "inside": 1}))]


def test_a_replacement_inside_two_with_one_cookie_is_written_once(wrap: Wrap) -> None:
    response = wrap(SessionMiddleware(app_that(replace), KEY)).get(headers=[cookie(ADA)])

    assert response.all(b"set-cookie") == [set_cookie({"inner": 2})]


def test_the_inner_of_two_with_one_cookie_passes_a_replacement_through(wrap: Wrap) -> None:
    def put_outer(scope: Any) -> None:
        scope["session"] = {"outer": 2}

    seen: list[Any] = []
    app = around(SessionMiddleware(app_that(lambda scope: seen.append(dict(scope["session"]))), KEY), put_outer)

    response = wrap(app).get(headers=[cookie(ADA)])

    assert seen == [{"outer": 2}]
    assert response.all(b"set-cookie") == [set_cookie({"outer": 2})]


# One scope key, two cookies: each writes only its own.


def test_the_inner_session_is_seen_inside_and_the_outer_one_around_it(visit: Any) -> None:
    seen: list[Any] = []

    def look(scope: Any) -> None:
        seen.append(dict(scope["session"]))

    app = session_in("a", around(session_in("b", app_that(look)), look, look))
    response = visit(app, a={"in": "a"}, b={"in": "b"}).get()

    assert seen == [{"in": "a"}, {"in": "b"}, {"in": "a"}]
    assert response.headers == [(b"vary", b"Cookie")]


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
@pytest.mark.parametrize("cookies", [{}, {"a": {}, "b": {}}])
def test_each_of_two_cookies_is_written_by_its_own_middleware(visit: Any, connect: Any, cookies: Any) -> None:
    app = session_in("a", around(session_in("b", app_that(put(inner=1))), put(outer=1)))

    response = connect(visit(app, **cookies))

    assert response.all(b"set-cookie") == [set_cookie({"inner": 1}, name="b"), set_cookie({"outer": 1}, name="a")]


def test_a_change_of_the_inner_session_leaves_the_outer_cookie_alone(visit: Any) -> None:
    app = session_in("a", session_in("b", app_that(put(inner=1))))

    assert visit(app, a=ADA).get().all(b"set-cookie") == [set_cookie({"inner": 1}, name="b")]


def test_a_change_of_the_outer_session_leaves_the_inner_cookie_alone(visit: Any) -> None:
    app = session_in("a", around(session_in("b", app_that(lambda scope: None)), put(outer=1)))

    assert visit(app, b=ADA).get().all(b"set-cookie") == [set_cookie({"outer": 1}, name="a")]


@pytest.mark.parametrize("touch_outer", [lambda scope: None, lambda scope: bool(scope["session"])])
@pytest.mark.parametrize(("act", "left"), [(replace, {"inner": 2}), (delete, {})])
def test_what_the_app_puts_in_the_inner_place_never_reaches_the_outer_cookie(
    visit: Any, act: Any, left: Any, touch_outer: Any
) -> None:
    seen: list[Any] = []
    app = around(session_in("b", app_that(act)), touch_outer, lambda scope: seen.append(dict(scope["session"])))

    response = visit(session_in("a", app), a=ADA, b={"inner": 1}).get()

    assert response.all(b"set-cookie") == [set_cookie(left, name="b") if left else DELETED_B]
    assert seen == [ADA]


def test_a_change_of_the_outer_session_is_saved_though_the_app_replaces_the_inner(visit: Any) -> None:
    app = session_in("a", around(session_in("b", app_that(replace)), put(outer=1)))

    response = visit(app, b={"inner": 1}).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 2}, name="b"), set_cookie({"outer": 1}, name="a")]


def test_a_replacement_of_the_outer_session_around_the_inner_is_saved(visit: Any) -> None:
    """The outer one is replaced before the inner middleware runs, which must bring it back and not what it hid."""
    seen: list[Any] = []

    def put_outer(scope: Any) -> None:
        scope["session"] = {"outer": 2}

    app = around(session_in("b", app_that(put(inner=1))), put_outer, lambda scope: seen.append(dict(scope["session"])))

    response = visit(session_in("a", app), a=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 1}, name="b"), set_cookie({"outer": 2}, name="a")]
    assert seen == [{"outer": 2}]


def test_an_outer_session_taken_away_around_the_inner_is_cleared(visit: Any) -> None:
    left: list[bool] = []
    app = around(session_in("b", app_that(put(inner=1))), delete, lambda scope: left.append("session" in scope))

    response = visit(session_in("a", app), a=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 1}, name="b"), DELETED_B.replace(b"b=", b"a=", 1)]
    assert left == [False]


@pytest.mark.parametrize("value", [None, Nothing, Nothing.HERE])
def test_an_outer_session_that_a_framework_has_cleared_around_the_inner_is_no_other_middlewares(
    visit: Any, value: Any, caplog: pytest.LogCaptureFixture, nothing_said_yet: None
) -> None:
    def clear(scope: Any) -> None:
        scope["session"] = value

    app = around(session_in("b", app_that(put(inner=1))), clear)

    response = visit(session_in("a", app), a=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 1}, name="b"), DELETED_B.replace(b"b=", b"a=", 1)]
    assert caplog.records == []


def test_what_is_no_mapping_in_the_outer_place_is_refused_though_the_inner_session_hides_it(visit: Any) -> None:
    def put_outer(scope: Any) -> None:
        scope["session"] = ["a"]

    app = session_in("a", around(session_in("b", app_that(put(inner=1))), put_outer))

    with pytest.raises(
        SessionError, match="^" + re.escape("scope['session'] was replaced by a list; put a dict there")
    ):
        visit(app).get()


@pytest.mark.parametrize(("act", "kept"), [(put(user="ada"), True), (lambda scope: scope["session"].clear(), False)])
@pytest.mark.parametrize("store", [None, Records()])
def test_an_error_page_carries_the_inner_cookie_where_the_outer_one_was_refused(
    run: Any, act: Any, kept: bool, store: Any
) -> None:

    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope)
        scope["cart"]["items"] = "x" * 5000
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except SessionError:
            await send({"type": "http.response.start", "status": 500, "headers": []})

    inner = session_in("session", app, store=store)
    browser = Browser(session_in("cart", inner, scope_key="cart"), run=run)
    browser.cookies["session"] = "rejected"
    response = browser.get()

    assert response.start["status"] == 500
    assert len(response.all(b"set-cookie")) == 1
    assert list(browser.cookies) == ["session"] * kept
    assert browser.cookies.get("session") != "rejected"


def test_the_outer_session_is_back_after_the_inner_app_has_failed(run: Any) -> None:
    seen: list[Any] = []
    app = around(session_in("b", app_that(fail)), put(outer=1), lambda scope: seen.append(dict(scope["session"])))

    async def error_page(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except ZeroDivisionError:
            scope["session"]["failed"] = True
            await send({"type": "http.response.start", "status": 500, "headers": []})

    response = Browser(session_in("a", error_page), run=run).get()

    assert seen == [{"outer": 1}]
    assert response.all(b"set-cookie") == [set_cookie({"outer": 1, "failed": True}, name="a")]


def test_an_error_page_may_replace_the_outer_session_after_the_inner_app_has_failed(visit: Any) -> None:
    inner = session_in("b", app_that(fail))

    async def error_page(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ZeroDivisionError):
            await inner(scope, receive, send)
        await app_that(replace)(scope, receive, send)

    response = visit(session_in("a", error_page), a=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 2}, name="a")]


def test_a_response_from_between_two_middlewares_carries_the_outer_session_alone(visit: Any) -> None:
    """An error page of a middleware between them, after the inner app has changed its own session and failed."""
    inner = session_in("b", around(app_that(fail), put(inner=1)))

    async def error_page(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ZeroDivisionError):
            await inner(scope, receive, send)
        await send({"type": "http.response.start", "status": 500, "headers": []})

    assert visit(session_in("a", error_page)).get().headers == []


# A(B(A)): the innermost sees the outermost's session.


def test_the_third_of_three_finds_the_first_ones_session_through_the_second(visit: Any) -> None:
    seen: list[Any] = []

    def look(scope: Any) -> None:
        seen.append(dict(scope["session"]))

    innermost = around(session_in("a", app_that(put(third=1))), look, look)
    app = session_in("a", around(session_in("b", around(innermost, put(second=1))), put(first=1), look))

    response = visit(app).get()

    assert seen == [{"second": 1}, {"second": 1}, {"first": 1, "third": 1}]
    assert response.all(b"set-cookie") == [
        set_cookie({"second": 1}, name="b"),
        set_cookie({"first": 1, "third": 1}, name="a"),
    ]


def test_the_fourth_of_four_finds_the_second_ones_session_through_the_third(visit: Any) -> None:
    seen: list[Any] = []
    app: App = app_that(lambda scope: seen.append(dict(scope["session"])))
    for name in ("a", "b", "a", "b"):  # from the inside
        app = session_in(name, around(app, put(**{name: 1})))

    response = visit(app).get()

    assert seen == [{"a": 1}]
    assert response.all(b"set-cookie") == [set_cookie({"a": 1}, name="a"), set_cookie({"b": 1}, name="b")]


def test_the_fourth_of_four_finds_the_first_ones_session_through_two_others(visit: Any) -> None:
    inner = session_in("b", session_in("c", session_in("a", app_that(put(fourth=4)))))

    response = visit(session_in("a", around(inner, put(first=1)))).get()

    assert response.all(b"set-cookie") == [set_cookie({"first": 1, "fourth": 4}, name="a")]


def test_a_late_replacement_in_the_third_of_three_is_reported(visit: Any, caplog: pytest.LogCaptureFixture) -> None:
    third = session_in("a", app_that(lambda scope: None, late=replace))

    visit(session_in("a", session_in("b", third)), a=ADA).get("/late")

    assert [(vars(record)["path"], vars(record)["keys"]) for record in caplog.records] == [("/late", ["user", "inner"])]


def test_the_third_of_three_may_be_called_again(visit: Any) -> None:
    seen: list[Any] = []
    inner = session_in("b", session_in("a", without_answer(lambda scope: seen.append(dict(scope["session"])))))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        await inner(scope, receive, send)
        await app_that(put(second=2))(scope, receive, send)

    response = visit(session_in("a", app), a=ADA, b={"b": 1}).get()

    assert seen == [ADA, ADA]
    assert response.all(b"set-cookie") == [set_cookie({**ADA, "second": 2}, name="a")]


def test_one_that_has_ended_inside_hides_none_of_those_around(visit: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for inner in (
            session_in("b", session_in("a", without_answer(put(first=1)))),
            session_in("c", without_answer(put(second=2))),
            session_in("b", app_that(put(third=3))),
        ):
            await inner(scope, receive, send)

    response = visit(session_in("c", session_in("a", app))).get()

    assert response.all(b"set-cookie") == [
        set_cookie({"third": 3}, name="b"),
        set_cookie({"first": 1}, name="a"),
        set_cookie({"second": 2}, name="c"),
    ]


def test_a_replacement_in_the_third_of_three_is_the_first_ones(visit: Any) -> None:
    app = session_in("a", session_in("b", session_in("a", app_that(replace))))

    response = visit(app, a=ADA, b=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 2}, name="a")]


def test_a_replacement_between_the_second_and_the_third_of_three_is_the_second_ones(visit: Any) -> None:
    """By an error page, after the third, which had brought back the first one's session, has failed."""
    third = session_in("a", app_that(fail))

    async def error_page(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ZeroDivisionError):
            await third(scope, receive, send)
        await app_that(replace)(scope, receive, send)

    response = visit(session_in("a", session_in("b", error_page)), a=ADA, b=ADA).get()

    assert response.all(b"set-cookie") == [set_cookie({"inner": 2}, name="b")]


def test_the_second_of_three_is_cleared_where_its_session_is_taken_away_before_the_third(visit: Any) -> None:
    left: list[bool] = []
    third = session_in("a", app_that(put(third=3)))
    second = session_in("b", around(third, delete, lambda scope: left.append("session" in scope)))

    response = visit(session_in("a", second), a=ADA, b=ADA).get()

    assert response.all(b"set-cookie") == [DELETED_B, set_cookie({**ADA, "third": 3}, name="a")]
    assert left == [False]


# Different scope keys: independent sessions.


def test_sessions_under_different_scope_keys_are_independent(visit: Any) -> None:
    def act(scope: Any) -> Any:
        scope["session"]["n"] = 1
        scope["admin"]["n"] = 2

    app = session_in("a", session_in("b", app_that(act), scope_key="admin"))
    browser = visit(app)

    assert browser.get().all(b"set-cookie") == [set_cookie({"n": 2}, name="b"), set_cookie({"n": 1}, name="a")]


def test_sessions_under_different_scope_keys_merge_vary_once(visit: Any) -> None:
    app = session_in("a", session_in("b", app_that(lambda s: [len(s["session"]), len(s["admin"])]), scope_key="admin"))

    assert visit(app, a=ADA).get().headers == [(b"vary", b"Cookie")]


def test_a_session_under_another_scope_key_leaves_the_usual_one_alone(wrap: Wrap) -> None:
    seen: list[Any] = []
    wrap(app_that(lambda scope: seen.append("session" in scope)), scope_key="admin").get()

    assert seen == [False]


def test_a_session_of_another_kind_in_the_scope_is_replaced_by_ours(wrap: Wrap) -> None:
    """As where a test client or another middleware has put a dict there."""
    response = wrap(app_that(put(user="ada"))).get(session={"theirs": 1})

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_scope_copied_between_two_middlewares_keeps_their_sessions_apart(visit: Any, connect: Any) -> None:
    inner = session_in("b", session_in("a", app_that(put(third=1))))

    async def copy_scope(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    response = connect(visit(session_in("a", copy_scope), b=ADA))

    assert response.all(b"set-cookie") == [set_cookie({"third": 1}, name="a")]


# A scope used again starts again from its cookie.


def test_a_deep_copy_of_the_scope_starts_again_from_its_cookie(visit: Any) -> None:
    inner = session_in("a", app_that(put(inner=1)))

    async def copying(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["outer"] = 1
        await inner(copy.deepcopy(scope), receive, send)

    response = visit(session_in("a", copying), a=ADA).get()

    assert set_cookie({**ADA, "inner": 1}, name="a") in response.all(b"set-cookie")


def test_a_scope_used_again_starts_again_from_its_cookie(wrap: Wrap) -> None:
    browser = wrap(app_that(lambda scope: [dict(scope["session"]), scope["session"].setdefault("n", 1)][0]))
    scope = {"type": "http", "path": "/", "headers": [cookie(ADA)]}

    first, second = browser.connect(scope, []), browser.connect(scope, [])

    assert first.json() == second.json() == ADA
    assert first.all(b"set-cookie") == second.all(b"set-cookie") == [set_cookie({"user": "ada", "n": 1})]


def test_a_scope_used_again_within_one_more_middleware_starts_again_from_its_cookie(run: Any) -> None:
    inner = session_in("b", app_that(put(n=1)))
    scope = {"type": "http", "path": "/", "headers": [cookie(ADA, name="b")]}

    Browser(inner, run=run).connect(scope, [])
    response = Browser(session_in("a", inner), run=run).connect(scope, [])

    assert response.all(b"set-cookie") == [set_cookie({"user": "ada", "n": 1}, name="b")]


def test_a_scope_whose_headers_came_as_an_iterator_can_be_used_again(wrap: Wrap) -> None:
    browser = wrap(app_that(lambda scope: dict(scope["session"])))
    scope = {"type": "http", "path": "/", "headers": iter([cookie(ADA)])}

    assert [browser.connect(scope, []).json() for _ in range(2)] == [ADA, ADA]


@pytest.mark.parametrize("make_scope", [lambda scope: scope, dict], ids=["the scope", "a copy"])
def test_a_second_call_while_the_store_is_read_for_the_first_finds_the_session(run: Any, make_scope: Any) -> None:
    store = Records()
    found: list[Any] = []
    inner = SessionMiddleware(without_answer(lambda scope: found.append(dict(scope["session"]))), KEY, store=store)

    async def call_twice(scope: Any, receive: Any, send: Any) -> None:
        async def call_again() -> None:
            store.before.clear()
            await inner(make_scope(scope), receive, send)

        store.before["get"] = call_again
        await inner(scope, receive, send)

    browser = Browser(SessionMiddleware(app_that(put(**ADA)), KEY, store=store), run=run)
    browser.get()
    browser.app = call_twice
    browser.get()

    assert found == [ADA, ADA]


@pytest.mark.parametrize("failing", [set(), {"swap"}], ids=["it is saved", "the store fails"])
def test_a_copy_of_a_scope_starts_again_though_a_task_answers_when_its_first_call_is_over(failing: Any) -> None:
    store = Records()
    copies: list[Any] = []
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["n"] = 1
        copies.append(dict(scope))
        answers.append(send({"type": "http.response.start", "status": 200}))
        store.before["swap"] = pause
        answers[0].send(None)

    browser = Browser(SessionMiddleware(app_that(put(**ADA)), KEY, store=store), run=run_now)
    browser.get()
    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()
    store.before, store.failing = {}, failing
    with suppress(StopIteration, ConnectionError):
        answers[0].send(None)
    store.failing = set()
    browser.app = SessionMiddleware(app_that(put(n=2)), KEY, store=store)
    browser.connect(copies[0], [])

    assert list(store.sessions.values()) == [{**ADA, "n": 2}]


def retry_once(app: App) -> App:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except ZeroDivisionError:
            await app(scope, receive, send)

    return middleware


def fails_at_first() -> Callable[[Any], Any]:
    tries: list[int] = []

    def act(scope: Any) -> None:
        tries.append(1)
        scope["session"].setdefault("tries", []).append(len(tries))
        if len(tries) == 1:
            raise ZeroDivisionError

    return act


def test_a_retry_starts_again_from_the_cookie(visit: Any) -> None:
    response = visit(retry_once(session_in("b", app_that(fails_at_first())))).get()

    assert response.all(b"set-cookie") == [set_cookie({"tries": [2]}, name="b")]


def test_a_retry_within_an_outer_middleware_starts_again_from_the_cookie(visit: Any) -> None:
    app = session_in("a", around(retry_once(session_in("b", app_that(fails_at_first()))), put(outer=1)))

    response = visit(app, b=ADA).get()

    assert response.all(b"set-cookie") == [
        set_cookie({"user": "ada", "tries": [2]}, name="b"),
        set_cookie({"outer": 1}, name="a"),
    ]


def test_a_retry_within_the_middleware_that_owns_the_session_keeps_it(visit: Any) -> None:
    response = visit(session_in("b", retry_once(session_in("b", app_that(fails_at_first()))))).get()

    assert response.all(b"set-cookie") == [set_cookie({"tries": [1, 2]}, name="b")]


def test_a_session_deleted_from_a_copied_scope_inside_a_second_middleware_is_cleared() -> None:
    store = Records()

    async def delete_late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        del scope["session"]

    inner = SessionMiddleware(delete_late, KEY, store=store)

    async def copying(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    browser = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(user="ada")), KEY, store=store))
    browser.get()
    browser.app = SessionMiddleware(copying, KEY, store=store)
    browser.get()

    assert store.records == {}


# An inner middleware whose options don't apply


def with_options(app: Any, **options: Any) -> Any:
    arguments: dict[str, Any] = {"secret_key": KEY, **options}
    return SessionMiddleware(app, **arguments)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [record.getMessage() for record in caplog.records]


STORE = Records()


@pytest.mark.parametrize(
    ("outer", "inner", "named"),
    [
        ({}, {"secret_key": "another key of sixteen bytes"}, "secret_key"),
        ({}, {"secret_key": TimestampSigner(KEY)}, "secret_key"),
        ({"fallbacks": ["an older key of sixteen bytes"]}, {}, "secret_key"),
        ({}, {"store": STORE}, "store"),
        ({"store": Records()}, {"store": STORE}, "store"),
        ({}, {"max_age": 60}, "max_age"),
        ({}, {"refresh_after": 60}, "refresh_after"),
        ({}, {"lifetime": 60}, "lifetime"),
        ({}, {"trusted_origins": ()}, "trusted_origins"),
        ({"trusted_origins": ["https://app.example.com"]}, {}, "trusted_origins"),
        ({"trusted_origins": ["https://app.example.com"]}, {"trusted_origins": ()}, "trusted_origins"),
        (
            {},
            {"secret_key": "another key of sixteen bytes", "store": STORE, "max_age": 5},
            "secret_key, store, max_age",
        ),
    ],
)
def test_an_inner_middleware_of_the_same_cookie_says_once_which_of_its_options_do_not_apply(
    said: Any, run: Any, outer: Any, inner: Any, named: str
) -> None:
    browser = Browser(with_options(with_options(app_that(put(n=1)), **inner), **outer), run=run)
    browser.get()
    browser.get()
    browser.app = with_options(with_options(app_that(put(n=1)), **inner), **outer)
    browser.get()

    [message] = said()
    assert message == (
        "Two SessionMiddlewares, one inside the other, keep scope['session'] in the cookie 'session': the outer one"
        f" manages the session, and these options of the inner one have no effect: {named}. Give both the same"
        " options, or give the inner one a"
        " session_cookie and a scope_key of its own."
    )


def test_an_inner_middleware_of_the_same_cookie_and_options_says_nothing(said: Any, run: Any) -> None:
    options: dict[str, Any] = {"store": STORE, "fallbacks": [TimestampSigner(KEY)], "max_age": 60, "lifetime": 600}
    options["trusted_origins"] = ["https://a.example", "https://b.example"]

    Browser(with_options(with_options(app_that(put(n=1)), **options), **options), run=run).get()
    same = with_options(app_that(put(n=1)))
    Browser(retry_inside(same), run=run).get()

    assert said() == []


def retry_inside(middleware: Any) -> Any:
    """``middleware`` around itself, as a framework has it that is called again with its own scope."""
    calls: list[int] = []
    own = middleware.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        await (middleware if len(calls) == 1 else own)(scope, receive, send)

    middleware.app = app
    return middleware


def test_an_inner_middleware_that_is_gone_is_not_kept_for_having_been_compared(run: Any) -> None:
    inner: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        middleware = SessionMiddleware(app_that(put(n=1)), KEY)
        inner.append(weakref.ref(middleware._parts))
        await middleware(scope, receive, send)

    Browser(SessionMiddleware(app, KEY), run=run).get()
    gc.collect()

    assert [reference() for reference in inner] == [None]
