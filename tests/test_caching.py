from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_signed_session.caching import lets_caches_share

from .apps import app_that
from .conftest import Wrap
from .records import Records
from .wire import cookie, set_cookie

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
ALONE = b'no-cache="Set-Cookie"'


def log_in(scope: Any) -> None:
    scope["session"]["user"] = "ada"


def read(scope: Any) -> Any:
    return scope["session"].get("user")


def touch_nothing(scope: Any) -> None:
    """As most pages of an app."""


# A cookie beside the app's own Cache-Control


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ([b"public, max-age=60"], [b"public, max-age=60, " + ALONE]),
        ([b"max-age=60"], [b"max-age=60, " + ALONE]),
        ([b"s-maxage=60"], [b"s-maxage=60, " + ALONE]),
        ([b"must-revalidate"], [b"must-revalidate, " + ALONE]),
        ([b""], [ALONE]),
        ([b"public", b"max-age=60"], [b"public", b"max-age=60, " + ALONE]),
        ([b'private="X-Name"'], [b'private="X-Name", ' + ALONE]),  # that header alone
        ([b'no-cache="X-Name, private"'], [b'no-cache="X-Name, private", ' + ALONE]),
        ([b'x="no-store"'], [b'x="no-store", ' + ALONE]),
        ([b"x=no-store"], [b"x=no-store, " + ALONE]),
        ([b"privately"], [b"privately, " + ALONE]),
        *(
            ([own], [own])
            for own in (b"private", b"no-store", b"no-cache", b"Private, max-age=60", b"max-age=60,NO-STORE")
        ),
        ([b"public", b" no-cache "], [b"public", b" no-cache "]),
        ([b"public", b"private"], [b"public", b"private"]),
        ([b"private", b"max-age=60"], [b"private", b"max-age=60"]),
        ([ALONE], [ALONE]),
        ([b'public, PRIVATE = "set-cookie, x"'], [b'public, PRIVATE = "set-cookie, x"']),
        ([b"max-age=60, no-cache=Set-Cookie"], [b"max-age=60, no-cache=Set-Cookie"]),
    ],
)
def test_no_shared_cache_may_keep_a_cookie_whatever_the_app_says_of_the_response(
    wrap: Wrap, own: list[bytes], sent: list[bytes]
) -> None:
    headers = [(b"cache-control", value) for value in own]

    response = wrap(app_that(log_in, headers)).get()

    assert response.all(b"cache-control") == sent
    assert response.all(b"set-cookie") == [set_cookie(ADA)]
    assert headers == [(b"cache-control", value) for value in own]


def test_the_apps_header_keeps_its_place_in_whatever_case_it_came(wrap: Wrap) -> None:
    response = wrap(app_that(log_in, [(b"Cache-Control", b"max-age=60"), (b"x", b"y")])).get()

    assert response.headers == [
        (b"cache-control", b"max-age=60, " + ALONE),
        (b"x", b"y"),
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA)),
    ]


@pytest.mark.parametrize("act", [read, touch_nothing])
def test_a_response_without_a_cookie_keeps_its_cache_control(wrap: Wrap, act: Any) -> None:
    response = wrap(app_that(act, [(b"cache-control", b"public, max-age=60")])).get(headers=[cookie(ADA)])

    assert response.all(b"cache-control") == [b"public, max-age=60"]


def test_a_deleting_cookie_is_kept_from_shared_caches_too(wrap: Wrap) -> None:
    app = app_that(lambda scope: scope["session"].clear(), [(b"cache-control", b"public")])

    assert wrap(app).get(headers=[cookie(ADA)]).all(b"cache-control") == [b"public, " + ALONE]


def test_long_values_take_no_more_than_linear_time() -> None:
    for value in (b'a="' + b'\\"' * 500_000, b"a" * 1_000_000, b"a =" * 300_000, b" " * 1_000_000):
        assert lets_caches_share([(b"cache-control", value)])


# A session that is read when the response has started


def late_reader(headers: Any, act: Any = read) -> Any:
    return app_that(touch_nothing, headers, late=act)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [
        (record.getMessage(), getattr(record, "event", None))
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


@pytest.mark.parametrize("store", [None, Records])
def test_a_session_first_read_in_the_body_of_a_response_that_caches_share_is_warned_about(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, store: Any
) -> None:
    app = late_reader([(b"Cache-Control", b"public"), (b"cache-control", b"max-age=60")])

    wrap(app, store=store and store()).get("/feed", headers=[cookie(ADA)])

    [(message, event)] = warnings_of(caplog)
    assert event == "session.read-late"
    assert message == (
        "The session on '/feed' was first read after the start of a response that caches may share (Cache-Control:"
        " public, max-age=60), so it was too late to add 'Vary: Cookie': read the session earlier, or send"
        " 'Cache-Control: private'."
    )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"cache-control", b"private")],
        [(b"cache-control", b"public, no-store")],
        [(b"cache-control", b"public"), (b"vary", b"accept, Cookie")],
        [(b"cache-control", b"public"), (b"Vary", b"*")],
    ],
)
@pytest.mark.parametrize("store", [None, Records])
def test_one_first_read_in_the_body_of_a_response_that_no_cache_shares_is_not(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, headers: Any, store: Any
) -> None:
    wrap(late_reader(headers), store=store and store()).get(headers=[cookie(ADA)])

    assert warnings_of(caplog) == []


@pytest.mark.parametrize("store", [None, Records])
def test_one_read_before_the_response_and_in_its_body_or_not_at_all_is_not(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, store: Any
) -> None:
    headers = [(b"cache-control", b"public")]
    for app in (app_that(read, headers, late=read), app_that(read, headers), app_that(touch_nothing, headers)):
        wrap(app, store=store and store()).get(headers=[cookie(ADA)])

    assert warnings_of(caplog) == []


def test_a_websocket_that_reads_after_its_accept_is_not(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    wrap(late_reader([(b"cache-control", b"public")])).websocket(headers=[cookie(ADA)])

    assert warnings_of(caplog) == []


def test_a_change_in_the_body_of_a_response_that_caches_share_is_warned_about_as_such_too(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(late_reader([(b"cache-control", b"public")], log_in)).get()

    assert [event for _, event in warnings_of(caplog)] == ["session.unsaved", "session.read-late"]
