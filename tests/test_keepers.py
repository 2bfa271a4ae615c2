"""Several cookies of the session's name, and what a process says once of cookies that can't be its own."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask import session as flask_session
from itsdangerous import TimestampSigner

from asgi_signed_session import SessionSigner

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap, warnings
from .records import Records
from .wire import DELETED, make_signer, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

ADA, GRACE = {"user": "ada"}, {"user": "grace"}
OTHER_KEY = "another key of more than 16 bytes"
DOMAIN = "path=/; Max-Age=1209600; httponly; samesite=lax; domain=shop.test"


def cookies(*values: str, host: bytes = b"www.shop.test") -> list[tuple[bytes, bytes]]:
    """The headers of a browser that sends ``values`` in that order."""
    return [(b"cookie", "; ".join(f"session={value}" for value in values).encode()), (b"Host", host)]


def signed_before(content: Any, seconds: int = 60) -> str:
    with time_machine.travel(NOW - seconds, tick=False):
        return sign(content)


# Several cookies of one name


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_cookies_for_the_whole_site_the_one_signed_last_counts(wrap: Wrap, order: int) -> None:
    values = [signed_before(ADA), sign(GRACE)][::order]

    assert wrap(visit).get("/whoami", headers=cookies(*values)).json() == GRACE


def test_of_two_signed_in_one_second_the_one_that_came_last_counts(wrap: Wrap) -> None:
    assert wrap(visit).get("/whoami", headers=cookies(sign(ADA), sign(GRACE))).json() == GRACE


@pytest.mark.parametrize("order", [1, -1])
def test_with_a_path_the_first_cookie_counts_as_it_has_the_longest(wrap: Wrap, order: int) -> None:
    values = [signed_before(ADA), sign(GRACE)][::order]

    first = wrap(visit, path="/shop").get("/whoami", headers=cookies(*values)).json()

    assert first == SessionSigner(KEY).loads(values[0])


@pytest.mark.parametrize("path", ["/", "/shop"])
@pytest.mark.parametrize(
    "make_unusable",
    [lambda: "x", lambda: sign(GRACE, OTHER_KEY), lambda: signed_before(GRACE, 15 * 86400)],
    ids=["not signed", "of another key", "expired"],
)
def test_a_cookie_that_cannot_be_used_gives_way_to_another(wrap: Wrap, path: str, make_unusable: Any) -> None:
    browser, unusable = wrap(visit, path=path), make_unusable()

    assert browser.get("/whoami", headers=cookies(unusable, signed_before(ADA))).json() == ADA
    assert browser.get("/whoami", headers=cookies(signed_before(ADA), unusable)).json() == ADA


def test_where_none_can_be_used_the_session_says_why_the_first_is_not(wrap: Wrap) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].rejected))
    expired = signed_before(GRACE, 15 * 86400)

    assert browser.get(headers=cookies(expired, "x")).json() == "expired"
    assert browser.get(headers=cookies("x", expired)).json() == "bad-signature"


def begin_two_sessions(browser: Browser, clock: Any, *paths: str) -> Generator[str]:
    """The cookies of sessions that begin at these paths, a minute apart."""
    for path in paths:
        browser.cookies.clear()
        clock.shift(60)
        browser.get(path)
        yield browser.cookies["session"]


def test_in_a_store_the_session_whose_cookie_was_signed_last_counts(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, store=Records())
    older, newer = begin_two_sessions(browser, clock, "/add", "/login")

    for values in [(older, newer), (newer, older)]:
        assert browser.get("/whoami", headers=cookies(*values)).json() == ADA


def test_in_a_store_a_session_that_was_ended_gives_way_to_one_signed_before(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, store=Records())
    older, newer = begin_two_sessions(browser, clock, "/login", "/add")
    browser.get("/logout")

    assert browser.get("/whoami", headers=cookies(older, newer)).json() == ADA


# The cookie of this host alone, beside the one of the domain


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_a_sign_out_deletes_the_cookie_of_this_host_alone_too(wrap: Wrap, clock: Any, make_store: Any) -> None:
    browser = wrap(visit, store=make_store(), domain="shop.test")
    browser.get("/login", headers=cookies())
    older = browser.cookies["session"]

    response = browser.get("/logout", headers=cookies(older, older))

    assert response.all(b"set-cookie") == [DELETED, DELETED + b"; domain=shop.test"]


def test_a_change_leaves_the_browser_one_cookie(wrap: Wrap) -> None:
    response = wrap(visit, domain="shop.test").get("/add", headers=cookies(signed_before(ADA), sign(GRACE)))

    assert response.all(b"set-cookie") == [DELETED, set_cookie({**GRACE, "cart": ["tea"]}, DOMAIN)]


def test_an_accepted_websocket_leaves_the_browser_one_cookie(wrap: Wrap) -> None:
    response = wrap(visit, domain="shop.test").websocket("/add", headers=cookies(signed_before(ADA), sign(GRACE)))

    assert response.all(b"set-cookie") == [DELETED, set_cookie({**GRACE, "cart": ["tea"]}, DOMAIN)]


def test_the_second_cookie_goes_where_the_app_has_taken_the_headers_out_of_the_scope(wrap: Wrap) -> None:
    def act(scope: Any) -> None:
        scope["session"].clear()
        scope["headers"] = []

    response = wrap(app_that(act), domain="shop.test").get(headers=cookies(sign(ADA), sign(GRACE)))

    assert response.all(b"set-cookie") == [DELETED, DELETED + b"; domain=shop.test"]


@pytest.mark.parametrize(
    ("options", "values", "lines"),
    [
        ({"domain": "shop.test"}, [sign(ADA)], [DELETED + b"; domain=shop.test"]),
        ({}, [sign(ADA), sign(GRACE)], [DELETED]),
    ],
    ids=["one came", "without a domain"],
)
def test_otherwise_one_cookie_is_set(wrap: Wrap, options: Any, values: Any, lines: list[bytes]) -> None:
    assert wrap(visit, **options).get("/logout", headers=cookies(*values)).all(b"set-cookie") == lines


# Said once a process

OTHER_WORKER = (
    "A cookie 'session' that was signed less than a minute ago was signed with a key that this process doesn't have."
    " Give all workers one key, from the environment: a key that is made at start-up differs in each of them. After a"
    " change of key, pass the old one in fallbacks."
)
OTHER_SOFTWARE = (
    "A cookie 'session' that was signed less than a minute ago was signed by other software, such as a Flask app on the"
    " same host, whose cookie has the same name, so each overwrites the other's session. Give this middleware a"
    " session_cookie of its own. If it was Starlette's middleware, which this one has replaced, pass"
    " fallbacks=[TimestampSigner(str(key))] instead, with Starlette's key: then nobody is signed out."
)
BY_HAND = (
    "The app itself sets a cookie 'session', in addition to this middleware's: a browser keeps only the last of them."
    " Leave the cookie to the middleware, or give the middleware a session_cookie of its own."
)
OTHER_HOST = (
    "The cookie 'session' was set with domain='shop.test' on a request to another host ({!r}), and browsers drop such a"
    " cookie. Pass the domain that visitors see, or none; if a proxy changes the Host header, have it pass the"
    " visitor's on."
)


@pytest.mark.parametrize("store", [None, Records()], ids=["cookie", "store"])
def test_workers_with_keys_of_their_own_are_told(wrap: Wrap, caplog: pytest.LogCaptureFixture, store: Any) -> None:
    first = wrap(visit, OTHER_KEY, store=store)
    second = wrap(visit, store=store)
    first.get("/login")
    second.cookies = first.cookies

    for _ in range(2):
        assert second.get("/whoami").json() == {}
    assert warnings(caplog) == [OTHER_WORKER]
    assert [vars(record)["event"] for record in caplog.records if record.levelno >= logging.WARNING] == [
        "session.other-key"
    ]


class TextSigner(TimestampSigner):
    """One that only verifies: a cookie is bytes."""

    def sign(self, value: str | bytes) -> Any:
        return super().sign(value).decode()


def test_a_signer_that_gives_text_makes_no_error_of_a_cookie_of_another_key(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, TextSigner(KEY))

    assert browser.get("/whoami", headers=cookies(sign(ADA, OTHER_KEY))).json() == {}
    assert warnings(caplog) == [OTHER_WORKER]


@pytest.mark.parametrize("age", [60, 0, -60])
@pytest.mark.parametrize("size", [100, 4096])
def test_a_cookie_of_another_key_that_is_a_minute_old_is_told(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, age: int, size: int
) -> None:
    with time_machine.travel(NOW - age, tick=False):
        value = make_signer(OTHER_KEY).sign("a" * (size - len(make_signer().sign("")))).decode()

    wrap(visit).get("/whoami", headers=cookies(value))

    assert len(value) == size
    assert warnings(caplog) == [OTHER_WORKER]


@pytest.mark.parametrize("age", [61, -61])
def test_an_older_cookie_of_another_key_is_no_warning(wrap: Wrap, caplog: pytest.LogCaptureFixture, age: int) -> None:
    with time_machine.travel(NOW - age, tick=False):
        older = sign(ADA, OTHER_KEY)

    assert wrap(visit).get("/whoami", headers=cookies(older)).json() == {}
    assert warnings(caplog) == []


@pytest.mark.parametrize("value", ["x", "a.b.c", "a.!.c", f"a.{'A' * 40}.c", "x" * 5000])
def test_what_says_no_time_is_no_warning(wrap: Wrap, caplog: pytest.LogCaptureFixture, value: str) -> None:
    wrap(visit).get("/whoami", headers=cookies(value))

    assert warnings(caplog) == []


def test_a_flask_app_beside_it_with_the_same_cookie_is_told(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    flask = Flask(__name__)
    flask.secret_key = KEY

    @flask.route("/")
    def log_in() -> str:
        flask_session["user"] = "ada"
        return ""

    browser = wrap(visit)
    value = flask.test_client().get("/").headers["set-cookie"].partition(";")[0].partition("=")[2]

    assert browser.get("/whoami", headers=cookies(value)).json() == {}
    assert warnings(caplog) == [OTHER_SOFTWARE]


@pytest.mark.parametrize("name", [b"set-cookie", b"Set-Cookie"])
def test_an_app_that_sets_the_cookie_by_hand_is_told(wrap: Wrap, caplog: pytest.LogCaptureFixture, name: bytes) -> None:
    own = [(b"set-cookie", b"other=1"), (name, b"session=1; path=/")]
    browser = wrap(app_that(lambda scope: dict(scope["session"]), own))

    for _ in range(2):
        browser.get()
    assert warnings(caplog) == [BY_HAND]


def test_a_cookie_of_the_apps_with_another_name_is_no_warning(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    own = [(b"set-cookie", b"session_id=1"), (b"x-cookie", b"session=1")]
    wrap(app_that(lambda scope: scope["session"].update(n=1), own)).get()

    assert warnings(caplog) == []


@pytest.mark.parametrize("value", ["other=1", memoryview(b"other=1")], ids=["text", "memoryview"])
def test_a_cookie_of_the_apps_that_is_no_bytes_is_left_to_the_server(wrap: Wrap, value: Any) -> None:
    """Daphne sends text, too."""
    sent: list[Any] = []

    browser = wrap(app_that(lambda scope: scope["session"].update(ADA), [(b"set-cookie", value)]))
    inside = browser.app

    async def daphne(scope: Any, receive: Any, _send: Any) -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        await inside(scope, receive, send)

    browser.app = daphne
    browser.get()

    assert [content for name, content in sent[0]["headers"] if name == b"set-cookie"] == [value, set_cookie(ADA)]


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        (b"127.0.0.1:8000", "127.0.0.1"),
        (b"myshop.test", "myshop.test"),
        (b"test", "test"),
        (b"[::1]:8000", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"evil\nhost", "evil\nhost"),
        (b"12345", "12345"),
    ],
)
def test_a_domain_that_is_not_the_hosts_is_told(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, host: bytes, shown: str
) -> None:
    browser = wrap(visit, domain="shop.test")

    browser.get("/login", headers=cookies(host=host))
    browser.get("/login", headers=cookies(host=b"other.test"))
    assert warnings(caplog) == [OTHER_HOST.format(shown)]


@pytest.mark.parametrize("domain", ["shop.test", ".shop.test", "Shop.Test"])
@pytest.mark.parametrize("host", [b"shop.test", b"www.shop.test", b"WWW.SHOP.TEST:8000", b"shop.test:"])
def test_a_domain_of_the_host_or_above_it_is_no_warning(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, domain: str, host: bytes
) -> None:
    wrap(visit, domain=domain).get("/login", headers=cookies(host=host))

    assert warnings(caplog) == []


@pytest.mark.parametrize("headers", [[], [(b"host", b"")], [(b"host", b":8000")]])
def test_a_request_without_a_host_is_no_warning(
    wrap: Wrap, caplog: pytest.LogCaptureFixture, headers: list[tuple[bytes, bytes]]
) -> None:
    wrap(visit, domain="shop.test").get("/login", headers=headers)

    assert warnings(caplog) == []
