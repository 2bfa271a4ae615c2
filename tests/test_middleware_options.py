"""What each option does on the wire, and which are refused at start-up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha1
from typing import Any

import msgspec
import pydantic
import pytest
from itsdangerous import TimestampSigner
from starlette.datastructures import Secret

from asgi_signed_session import Session, SessionMiddleware, SessionSigner
from asgi_signed_session.stores import MemoryStore

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap
from .libraries import ORJSON
from .records import Records
from .wire import DELETED, cookie, make_signer, read_attributes, read_payload, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
OLD_KEY = "an older key of enough bytes"


def log_in(scope: Any) -> None:
    scope["session"]["user"] = "ada"


def look(scope: Any) -> Any:
    return [dict(scope["session"]), scope["session"].rejected]


def count(scope: Any) -> None:
    scope["session"]["n"] = scope["session"].get("n", 0) + 1


# Attributes


# fmt: off
ATTRIBUTES = [
    ("http",  {},                                         "path=/; {}; httponly; samesite=lax"),
    ("https", {},                                         "path=/; {}; httponly; samesite=lax; secure"),
    ("ws",    {},                                         "path=/; {}; httponly; samesite=lax"),
    ("wss",   {},                                         "path=/; {}; httponly; samesite=lax; secure"),
    ("http",  {"https_only": True},                       "path=/; {}; httponly; samesite=lax; secure"),
    ("ws",    {"https_only": True},                       "path=/; {}; httponly; samesite=lax; secure"),
    ("https", {"https_only": False},                      "path=/; {}; httponly; samesite=lax"),
    ("wss",   {"https_only": False},                      "path=/; {}; httponly; samesite=lax"),
    ("http",  {"path": "/app"},                           "path=/app; {}; httponly; samesite=lax"),
    ("http",  {"same_site": "strict"},                    "path=/; {}; httponly; samesite=strict"),
    ("http",  {"same_site": "none", "https_only": True},  "path=/; {}; httponly; samesite=none; secure"),
    ("http",  {"domain": "example.com"},                  "path=/; {}; httponly; samesite=lax; domain=example.com"),
    ("http",  {"https_only": True, "partitioned": True},  "path=/; {}; httponly; samesite=lax; secure; partitioned"),
    ("https", {"https_only": True, "partitioned": True, "domain": "a.b"},
     "path=/; {}; httponly; samesite=lax; secure; domain=a.b; partitioned"),
]
# fmt: on


@pytest.mark.parametrize(("scheme", "options", "attributes"), ATTRIBUTES)
def test_a_cookie_is_set_and_deleted_with_the_same_attributes(
    wrap: Wrap, scheme: str, options: dict[str, Any], attributes: str
) -> None:
    browser = wrap(visit, **options)
    send = Browser.websocket if scheme.startswith("ws") else Browser.get

    login, logout = send(browser, "/login", scheme=scheme), send(browser, "/logout", scheme=scheme)

    gone = attributes.format("Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT")
    assert login.all(b"set-cookie") == [set_cookie(ADA, attributes.format("Max-Age=1209600"))]
    assert logout.all(b"set-cookie") == [f"session=null; {gone}".encode()]


# fmt: off
MAX_AGES = [
    (60,    "path=/; Max-Age=60; httponly; samesite=lax"),
    (None,  "path=/; httponly; samesite=lax"),  # ends with the browser
]
# fmt: on


@pytest.mark.parametrize(("max_age", "attributes"), MAX_AGES)
def test_the_cookie_is_kept_for_max_age_and_deleted_all_the_same(wrap: Wrap, max_age: Any, attributes: str) -> None:
    browser = wrap(visit, max_age=max_age)

    assert browser.get("/login").all(b"set-cookie") == [set_cookie(ADA, attributes)]
    assert browser.get("/logout").all(b"set-cookie") == [DELETED]


@pytest.mark.parametrize("name", ["sid", "__Host-session", "__Secure-session"])
def test_the_cookie_may_have_any_name_and_prefix_that_browsers_take(wrap: Wrap, name: str) -> None:
    browser = wrap(visit, session_cookie=name, https_only=True)

    attributes = "path=/; Max-Age=1209600; httponly; samesite=lax; secure"
    assert browser.get("/login").all(b"set-cookie") == [set_cookie(ADA, attributes, name=name)]
    assert browser.get("/whoami").json() == ADA


def test_options_up_to_partitioned_can_be_given_by_position_as_to_starlettes(run: Any) -> None:
    app = SessionMiddleware(visit, KEY, "sid", 60, "/app", "none", True, "example.com", True)

    attributes = "path=/app; Max-Age=60; httponly; samesite=none; secure; domain=example.com; partitioned"
    assert Browser(app, run=run).get("/login").all(b"set-cookie") == [set_cookie(ADA, attributes, name="sid")]


def test_the_session_is_under_the_scope_key(wrap: Wrap) -> None:
    response = wrap(app_that(lambda scope: scope["cart"].update(ADA)), scope_key="cart").get()

    assert response.all(b"set-cookie") == [set_cookie(ADA)]


class Holder:
    """No ``Secret`` of Starlette's, though it has what tells one."""

    _value = KEY


# fmt: off
REFUSED = [
    ({"session_cookie": "my session"}, ValueError,
     "session_cookie='my session' can't be a cookie's name; use ASCII letters, digits, '-', '_': 'session'."),
    ({"session_cookie": ""}, ValueError,
     "session_cookie='' can't be a cookie's name; use ASCII letters, digits, '-', '_': 'session'."),
    ({"path": "/a;b"}, ValueError,
     ("path='/a;b' can't be a cookie's path; start it with '/' and use printable ASCII without ';',"
     " percent-encoding the rest.")),
    ({"path": "app"}, ValueError,
     ("path='app' can't be a cookie's path; start it with '/' and use printable ASCII without ';', percent-encoding"
     " the rest.")),
    ({"domain": "example.com\r\nx: y"}, ValueError,
     ("domain='example.com\\r\\nx: y' can't be a cookie's domain; write a host name such as 'example.com', without"
     " scheme, port or path (punycode for other scripts), or None for this host only.")),
    ({"same_site": "Laxer"}, ValueError,
     "same_site='Laxer' isn't one of the three values; write 'lax', 'strict' or 'none'."),
    ({"same_site": "none"}, ValueError,
     "same_site='none' needs https_only=True: browsers refuse such a cookie without Secure."),
    ({"same_site": "none", "https_only": False}, ValueError,
     "same_site='none' needs https_only=True: browsers refuse such a cookie without Secure."),
    ({"partitioned": True}, ValueError,
     "partitioned=True needs https_only=True: browsers refuse such a cookie without Secure."),
    ({"session_cookie": "__Host-s"}, ValueError,
     "session_cookie='__Host-s' needs https_only=True: browsers refuse the prefix without Secure."),
    ({"session_cookie": "__host-s", "https_only": True, "domain": "a.b"}, ValueError,
     "session_cookie='__host-s' can't have a domain: write domain=None, or '__Secure-' instead."),
    ({"session_cookie": "__Host-s", "https_only": True, "path": "/a"}, ValueError,
     "session_cookie='__Host-s' needs path='/': write that, or '__Secure-' instead."),
    ({"session_cookie": "__Secure-s"}, ValueError,
     "session_cookie='__Secure-s' needs https_only=True: browsers refuse the prefix without Secure."),
    ({"max_age": 0}, ValueError,
     "max_age=0 must be a positive number of seconds, or None."),
    ({"max_age": -1}, ValueError,
     "max_age=-1 must be a positive number of seconds, or None."),
    ({"max_age": "60"}, TypeError,
     "max_age='60' must be a whole number of seconds (an int or a timedelta) or None."),
    ({"max_age": 60.5}, TypeError,
     "max_age=60.5 must be a whole number of seconds (an int or a timedelta) or None."),
    ({"max_age": True}, TypeError,
     "max_age=True must be a whole number of seconds (an int or a timedelta) or None."),
    ({"lifetime": 0}, ValueError,
     "lifetime=0 must be a positive number of seconds, or None."),
    ({"lifetime": "60"}, TypeError,
     "lifetime='60' must be a whole number of seconds (an int or a timedelta) or None."),
    ({"refresh_after": 0}, ValueError,
     "refresh_after=0 must be a positive number of seconds, or None."),
    ({"refresh_after": -1}, ValueError,
     "refresh_after=-1 must be a positive number of seconds, or None."),
    ({"refresh_after": 1.5}, TypeError,
     "refresh_after=1.5 must be a whole number of seconds (an int or a timedelta) or None."),
    ({"refresh_after": 60, "max_age": 60}, ValueError,
     ("refresh_after=60 must be less than max_age=60, or the session expires before it is signed again; half of"
     " max_age is a good value.")),
    ({"refresh_after": 61, "max_age": 60}, ValueError,
     ("refresh_after=61 must be less than max_age=60, or the session expires before it is signed again; half of"
     " max_age is a good value.")),
    ({"scope_key": ""}, TypeError,
     "scope_key='' must be a str that isn't empty; write scope_key='session'."),
    ({"scope_key": None}, TypeError,
     "scope_key=None must be a str that isn't empty; write scope_key='session'."),
    ({"serializer": object()}, TypeError,
     "serializer of type object needs functions dumps and loads, as json and orjson have; write serializer=json."),
    ({"secret_key": ""}, ValueError,
     "secret_key is empty. Make one with 'python -m asgi_signed_session key' and keep it outside the code."),
    ({"secret_key": None}, TypeError,
     ("secret_key is None: the setting that it comes from is missing. Make one with 'python -m asgi_signed_session"
     " key' and keep it outside the code.")),
    ({"secret_key": "**********"}, ValueError,
     ("secret_key is '**********', which stands for a hidden or missing key. Make one with 'python -m"
     " asgi_signed_session key' and keep it outside the code.")),
    ({"secret_key": "${SECRET}"}, ValueError,
     ("secret_key is '${SECRET}', which is a placeholder that has to be filled in. Make one with 'python -m"
     " asgi_signed_session key' and keep it outside the code.")),
    ({"secret_key": "change me"}, ValueError,
     ("secret_key is 'change me', which is a placeholder from samples. Make one with 'python -m"
     " asgi_signed_session key' and keep it outside the code.")),
    ({"secret_key": [KEY, OLD_KEY]}, TypeError,
     "secret_key is a list: pass only the newest key, and the older ones as fallbacks=[...]."),
    ({"secret_key": KEY + "\ud800"}, ValueError,
     "secret_key is text that UTF-8 can't encode; pass it as bytes."),
    ({"secret_key": Holder()}, TypeError,
     "secret_key is of type Holder: pass a str, bytes, or an itsdangerous.TimestampSigner."),
    ({"secret_key": type("Secret", (), {})()}, TypeError,
     "secret_key is of type Secret: pass a str, bytes, or an itsdangerous.TimestampSigner."),
    ({"fallbacks": OLD_KEY}, TypeError,
     "fallbacks must be a list of keys, not a str; write fallbacks=[old_key]."),
    ({"app": None}, TypeError,
     "app must be an ASGI app, not a NoneType; write SessionMiddleware(app, secret_key)."),
    ({"app": KEY, "secret_key": visit}, TypeError,
     "app must be an ASGI app, not a str; write SessionMiddleware(app, secret_key)."),
]
# fmt: on


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_cannot_work_is_refused_at_start_up_with_what_to_write_instead(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"app": visit, "secret_key": KEY, **options}

    with pytest.raises(error) as raised:
        SessionMiddleware(**arguments)

    assert (type(raised.value), str(raised.value)) == (error, message)
    assert KEY not in message


def test_refresh_after_needs_no_max_age_to_be_under() -> None:
    SessionMiddleware(visit, KEY, max_age=None, refresh_after=60)


def test_a_short_key_is_taken_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="under 16") as caught:
        SessionMiddleware(visit, "short")

    [warning] = caught
    assert "short" not in str(warning.message)
    assert warning.filename == __file__


# Time


def at(seconds: int, browser: Browser, clock: Any, path: str = "/") -> Any:
    """What the app answers so many seconds after ``NOW``."""
    clock.move_to(NOW + seconds)
    return browser.get(path).json()


def test_a_session_expires_max_age_after_it_was_signed(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), max_age=60)
    browser.cookies["session"] = sign(ADA)

    assert [at(seconds, browser, clock) for seconds in (0, 60, 61)] == [[ADA, None], [ADA, None], [{}, "expired"]]


def test_a_session_without_max_age_ends_with_the_browser_alone(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=None)
    browser.get("/login")

    assert at(10**9, browser, clock, "/whoami") == ADA


def test_a_session_from_a_clock_up_to_a_minute_ahead_is_taken(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look))
    browser.cookies["session"] = sign(ADA)

    assert [at(seconds, browser, clock) for seconds in (-61, -60)] == [[{}, "expired"], [ADA, None]]


def test_a_session_that_is_not_refreshed_keeps_its_age(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), max_age=60)
    browser.cookies["session"] = sign(ADA)
    clock.shift(59)

    assert browser.get().all(b"set-cookie") == []


def test_an_accessed_session_older_than_refresh_after_is_signed_anew(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), max_age=100, refresh_after=50)
    browser.cookies["session"] = sign(ADA)

    clock.shift(50)
    assert browser.get().headers == [(b"vary", b"Cookie")]
    clock.shift(1)
    assert browser.get().headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", set_cookie(ADA, "path=/; Max-Age=100; httponly; samesite=lax")),
        (b"cache-control", b'no-cache="Set-Cookie"'),
    ]
    clock.shift(99)
    assert browser.get().json() == [ADA, None]
    clock.shift(101)
    assert browser.get().json() == [{}, "expired"]


def test_a_session_of_a_shorter_max_age_of_its_own_is_signed_anew_at_half_of_it(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), refresh_after=50)
    browser.cookies["session"] = sign({**ADA, "$session": {"max_age": 40}})

    clock.shift(20)
    assert browser.get().all(b"set-cookie") == []
    clock.shift(1)
    kept = set_cookie({**ADA, "$session": {"max_age": 40}}, "path=/; Max-Age=40; httponly; samesite=lax")
    assert browser.get().all(b"set-cookie") == [kept]


def test_a_session_with_a_lifetime_is_signed_anew_after_refresh_after(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, refresh_after=50, lifetime=1000)
    browser.get("/login")

    clock.shift(50)
    assert browser.get("/whoami").all(b"set-cookie") == []
    clock.shift(1)
    assert len(browser.get("/whoami").all(b"set-cookie")) == 1


def test_a_session_of_a_longer_max_age_of_its_own_is_signed_anew_after_refresh_after(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), refresh_after=50)
    browser.cookies["session"] = sign({**ADA, "$session": {"max_age": 400}})

    clock.shift(50)
    assert browser.get().all(b"set-cookie") == []
    clock.shift(1)
    assert len(browser.get().all(b"set-cookie")) == 1


def test_a_websocket_signs_anew_too(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), refresh_after=50)
    browser.cookies["session"] = sign(ADA)
    clock.shift(51)

    assert browser.websocket().headers == [(b"set-cookie", set_cookie(ADA))]


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_an_untouched_session_is_not_signed_anew(wrap: Wrap, clock: Any, connect: Any) -> None:
    browser = wrap(app_that(lambda scope: None), refresh_after=50, fallbacks=[OLD_KEY])
    browser.cookies["session"] = sign(ADA, OLD_KEY)
    clock.shift(51)

    assert connect(browser).headers == []


def test_lifetime_ends_a_session_however_often_it_is_signed_anew(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(count), max_age=60, lifetime=150)
    lines = []
    for seconds in (0, 50, 100, 149):
        clock.move_to(NOW + seconds)
        lines += browser.get().all(b"set-cookie")

    # The browser may keep the cookie for max_age, but not beyond the lifetime.
    assert [read_attributes(line) for line in lines] == [
        f"path=/; Max-Age={age}; httponly; samesite=lax" for age in (60, 60, 50, 1)
    ]
    assert json.loads(read_payload(lines[-1]))["n"] == 4
    clock.move_to(NOW + 151)
    browser.app = wrap(app_that(look), max_age=60, lifetime=150).app
    assert browser.get().json() == [{}, "expired"]


def test_lifetime_ends_a_session_that_is_refreshed(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=60, lifetime=150, refresh_after=10)
    browser.get("/login")

    alive = [at(seconds, browser, clock, "/whoami") for seconds in range(40, 240, 40)]

    assert alive == [ADA, ADA, ADA, {}, {}]


def test_lifetime_ends_a_session_that_lives_until_the_browser_ends(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=None, lifetime=150)

    [line] = browser.get("/login").all(b"set-cookie")

    assert read_attributes(line) == "path=/; httponly; samesite=lax"
    assert [at(seconds, browser, clock, "/whoami") for seconds in (149, 151)] == [ADA, {}]


def test_lifetime_caps_a_session_from_before_the_option_from_when_it_was_signed(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), lifetime=150)
    browser.cookies["session"] = sign(ADA)

    assert [at(seconds, browser, clock) for seconds in (149, 151)] == [[ADA, None], [{}, "expired"]]


def test_issued_at_stays_while_signed_at_moves_until_the_session_is_regenerated(wrap: Wrap, clock: Any) -> None:
    def act(scope: Any) -> Any:
        session = scope["session"]
        times = [session.issued_at, session.signed_at]
        if scope["path"] == "/regenerate":
            session.regenerate()
        else:
            count(scope)
        return times

    browser = wrap(app_that(act), lifetime=1000)

    assert at(0, browser, clock) == [None, None]
    assert at(10, browser, clock) == [NOW, NOW]
    assert at(20, browser, clock, "/regenerate") == [NOW, NOW + 10]
    assert at(30, browser, clock) == [NOW + 20, NOW + 20]
    assert at(1015, browser, clock) == [NOW + 20, NOW + 30]


def test_a_session_that_was_saved_says_still_when_it_began(wrap: Wrap, clock: Any) -> None:
    began: list[int | None] = []
    browser = wrap(app_that(count, late=lambda scope: began.append(scope["session"].issued_at)), lifetime=1000)

    for seconds in (0, 10):
        at(seconds, browser, clock)

    assert began == [NOW, NOW]


def test_without_lifetime_a_session_began_when_it_was_signed(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(lambda scope: [scope["session"].issued_at, scope["session"].signed_at]))
    browser.cookies["session"] = sign(ADA)

    assert at(10, browser, clock) == [NOW, NOW]


# Remember me


def remember(seconds: int | None) -> Callable[[Any], Any]:
    def act(scope: Any) -> Any:
        if scope["path"] == "/login":
            log_in(scope)
            scope["session"].max_age = seconds
        elif scope["path"] == "/count":
            count(scope)
        return dict(scope["session"])

    return act


@pytest.mark.parametrize("own", [30, 3000])
def test_a_session_may_have_a_max_age_of_its_own_which_the_cookie_remembers(wrap: Wrap, clock: Any, own: int) -> None:
    browser = wrap(app_that(remember(own)), max_age=300)
    attributes = f"path=/; Max-Age={own}; httponly; samesite=lax"

    [login] = browser.get("/login").all(b"set-cookie")
    clock.shift(own)
    [later] = browser.get("/count").all(b"set-cookie")

    assert [read_attributes(login), read_attributes(later)] == [attributes, attributes]
    clock.shift(own)
    assert browser.get().json() == {"user": "ada", "n": 1}
    clock.shift(1)
    assert browser.get().json() == {}


def test_a_max_age_of_its_own_that_is_none_ends_with_the_browser_and_with_the_middlewares(
    wrap: Wrap, clock: Any
) -> None:
    browser = wrap(app_that(remember(None)), max_age=300)

    [login] = browser.get("/login").all(b"set-cookie")

    assert read_attributes(login) == "path=/; httponly; samesite=lax"
    assert at(300, browser, clock) == ADA
    assert at(301, browser, clock) == {}


def test_a_max_age_of_its_own_is_kept_when_the_session_is_signed_anew(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(remember(3000)), max_age=300, refresh_after=100)
    browser.get("/login")
    clock.shift(2000)

    [line] = browser.get().all(b"set-cookie")

    assert read_attributes(line) == "path=/; Max-Age=3000; httponly; samesite=lax"


def test_a_max_age_of_its_own_ends_with_the_lifetime(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(remember(3000)), lifetime=1000)

    [login] = browser.get("/login").all(b"set-cookie")

    assert read_attributes(login) == "path=/; Max-Age=1000; httponly; samesite=lax"
    assert [at(seconds, browser, clock) for seconds in (999, 1001)] == [ADA, {}]


def test_a_max_age_of_its_own_is_remembered_beside_a_lifetime(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(remember(30)), max_age=300, lifetime=1000)
    browser.get("/login")
    clock.shift(20)

    [line] = browser.get("/count").all(b"set-cookie")

    assert read_attributes(line) == "path=/; Max-Age=30; httponly; samesite=lax"
    assert [at(seconds, browser, clock) for seconds in (50, 51)] == [{"user": "ada", "n": 1}, {}]


def test_what_travels_beside_the_data_is_under_one_key_and_only_when_used(wrap: Wrap) -> None:
    [plain] = wrap(visit).get("/login").all(b"set-cookie")
    [capped] = wrap(visit, lifetime=60).get("/login").all(b"set-cookie")
    [remembered] = wrap(app_that(remember(60)), lifetime=60).get("/login").all(b"set-cookie")

    assert read_payload(plain) == b'{"user":"ada"}'
    keys = [list(json.loads(read_payload(line))) for line in (capped, remembered)]
    assert keys[0] == keys[1]
    assert (len(keys[0]), "user" in keys[0]) == (2, True)


# Signing, and rotation


def test_a_cookie_is_what_plain_itsdangerous_signs_and_verifies(wrap: Wrap) -> None:
    browser = wrap(visit)

    [line] = browser.get("/login").all(b"set-cookie")

    value = line.removeprefix(b"session=").partition(b";")[0]
    assert make_signer().unsign(value) == b"eyJ1c2VyIjoiYWRhIn0="
    browser.cookies["session"] = make_signer().sign(b"eyJ1c2VyIjoiYm9iIn0=").decode()
    assert browser.get("/whoami").json() == {"user": "bob"}


def test_a_cookie_is_what_a_session_signer_signs_and_loads(wrap: Wrap) -> None:
    browser, signer = wrap(visit, session_cookie="sid"), SessionSigner(KEY, "sid")

    browser.cookies["sid"] = signer.dumps({"cart": ["ünï"]})
    browser.get("/add")

    assert signer.loads(browser.cookies["sid"]) == {"cart": ["ünï", "tea"]}


KEYS = [KEY, KEY.encode(), pydantic.SecretStr(KEY), pydantic.SecretBytes(KEY.encode()), Secret(KEY), make_signer()]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_one_key_in_any_form_signs_alike_and_verifies_what_the_others_sign(wrap: Wrap, key: Any) -> None:
    assert wrap(visit, key).get("/login").all(b"set-cookie") == [set_cookie(ADA)]
    assert wrap(app_that(look), OLD_KEY, fallbacks=[key]).get(headers=[cookie(ADA)]).json() == [ADA, None]


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_session_read_with_a_fallback_is_signed_anew_with_the_key(wrap: Wrap, connect: Any) -> None:
    browser = wrap(app_that(look), fallbacks=["another key of enough bytes", OLD_KEY])
    browser.cookies["session"] = sign(ADA, OLD_KEY)

    assert connect(browser).all(b"set-cookie") == [set_cookie(ADA)]
    assert connect(browser).all(b"set-cookie") == []
    assert browser.get().json() == [ADA, None]


def test_a_session_changed_after_it_was_read_with_a_fallback_is_signed_once_with_the_key(wrap: Wrap) -> None:
    browser = wrap(app_that(count), fallbacks=[OLD_KEY])

    assert browser.get(headers=[cookie(ADA, OLD_KEY)]).all(b"set-cookie") == [set_cookie({"user": "ada", "n": 1})]


def test_a_session_of_a_fallback_expires_as_any_other(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(look), max_age=60, fallbacks=[OLD_KEY])
    browser.cookies["session"] = sign(ADA, OLD_KEY)
    clock.shift(61)

    assert browser.get().json() == [{}, "expired"]


def test_a_session_emptied_after_it_was_read_with_a_fallback_is_deleted(wrap: Wrap) -> None:
    browser = wrap(visit, fallbacks=[OLD_KEY])

    assert browser.get("/logout", headers=[cookie(ADA, OLD_KEY)]).all(b"set-cookie") == [DELETED]


def test_a_fallback_never_signs(wrap: Wrap) -> None:
    browser = wrap(visit, fallbacks=[OLD_KEY])

    assert browser.get("/login").all(b"set-cookie") == [set_cookie(ADA)]


def test_a_signer_with_sha1_among_the_fallbacks_moves_its_sessions_to_sha256(wrap: Wrap) -> None:
    old = TimestampSigner(KEY, salt="asgi-signed-session.session", digest_method=sha1, key_derivation="hmac")
    browser = wrap(app_that(look), fallbacks=[old])
    browser.cookies["session"] = sign(ADA, signer=old)

    response = browser.get()

    assert response.json() == [ADA, None]
    assert response.all(b"set-cookie") == [set_cookie(ADA)]


def test_one_cookies_value_is_never_anothers(wrap: Wrap) -> None:
    headers = [(b"cookie", f"b={sign(ADA, name='a')}".encode())]

    assert wrap(app_that(look), session_cookie="b").get(headers=headers).json() == [{}, "bad-signature"]


class MsgSpec:
    dumps = staticmethod(msgspec.json.encode)
    loads = staticmethod(msgspec.json.decode)


@pytest.mark.parametrize("serializer", [json, *ORJSON, MsgSpec])
def test_a_session_lives_with_any_serializer(wrap: Wrap, serializer: Any) -> None:
    browser = wrap(visit, serializer=serializer)
    browser.get("/login")
    browser.get("/add")
    browser.get("/add")

    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea", "tea"]}


def test_a_session_that_would_be_too_large_when_signed_anew_keeps_the_cookie_it_has(wrap: Wrap) -> None:
    old = TimestampSigner("an older key of more than sixteen bytes")  # its signatures are shorter
    session = {"a": "x" * 3025}
    browser = wrap(app_that(lambda scope: len(scope["session"]["a"])), fallbacks=[old])
    browser.cookies["session"] = sign(session, signer=old)

    response = browser.get()

    assert (response.json(), response.headers) == (3025, [(b"vary", b"Cookie")])


# In every form


@pytest.mark.parametrize("option", ["max_age", "refresh_after", "lifetime"])
def test_a_timedelta_is_taken_where_seconds_are(wrap: Wrap, clock: Any, option: str) -> None:
    options: dict[str, Any] = {"max_age": 7200, option: timedelta(hours=1)}
    seen: list[Any] = []

    def look(scope: Any) -> None:
        seen.append(scope["session"].setdefault("n", 1))

    with_timedelta = wrap(app_that(look), **options)
    with_seconds = wrap(app_that(look), **{**options, option: 3600})

    for seconds in (0, 3599, 3601):
        clock.shift(seconds)
        assert with_timedelta.get().headers == with_seconds.get().headers


def test_the_seconds_of_a_timedelta_are_an_int_and_may_be_a_hundred_years() -> None:
    century = timedelta(days=365 * 100)

    max_age = SessionMiddleware(visit, KEY, max_age=century).max_age

    assert (max_age, type(max_age)) == (100 * 365 * 86400, int)


def test_a_sessions_own_max_age_may_be_a_timedelta(wrap: Wrap) -> None:
    def remember(scope: Any) -> Any:
        scope["session"].max_age = timedelta(days=30)
        return scope["session"].max_age

    response = wrap(app_that(remember)).get(headers=[cookie({"n": 1})])

    assert response.json() == 30 * 86400
    assert b"; Max-Age=2592000; " in response.all(b"set-cookie")[0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (timedelta(seconds=0.5), "must be whole seconds."),
        (timedelta(0), "must be a positive number of seconds, or None."),
        (timedelta(seconds=-1), "must be a positive number of seconds, or None."),
    ],
)
def test_a_timedelta_that_is_no_time_is_refused(value: timedelta, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'lifetime={value!r} {message}')}$"):
        SessionMiddleware(visit, KEY, lifetime=value)


@pytest.mark.parametrize("same_site", ["Lax", "LAX", "lax", "Strict", "STRICT"])
def test_same_site_is_taken_in_any_case_and_written_as_starlette_does(wrap: Wrap, same_site: Any) -> None:
    [line] = wrap(app_that(lambda scope: scope["session"].update(n=1)), same_site=same_site).get().all(b"set-cookie")

    assert line.rpartition(b"; ")[2] == b"samesite=" + same_site.lower().encode()


@pytest.mark.parametrize("key", [KEY + "\n", "é" + KEY + "\n", " " + KEY, KEY.encode() + b"\r\n", "\t" + KEY])
def test_a_key_with_white_space_around_it_is_taken_with_a_warning(key: str | bytes) -> None:
    with pytest.warns(UserWarning, match="white space") as warned:
        SessionMiddleware(visit, KEY, fallbacks=[key])

    [warning] = warned
    assert str(warning.message) == (
        "fallbacks[0] begins or ends with white space, such as the newline of a secret file: a server that reads the"
        " key without that white space accepts none of these cookies. Pass key.strip(), and if cookies are in use"
        " already, also pass the key as it is now as a fallback."
    )
    assert warning.filename == __file__


# When a session ends


STORES: list[Any] = [None, Records, MemoryStore]


@pytest.mark.parametrize("make_store", STORES)
@pytest.mark.parametrize(
    ("options", "own", "ends"),
    [
        ({}, ..., 14 * 86400),
        ({"max_age": 60}, ..., 60),
        ({"max_age": None}, ..., None),
        ({"max_age": None}, 90, 90),
        ({"max_age": 60}, None, 60),
        ({"max_age": 60, "lifetime": 30}, ..., 30),
        ({"max_age": None, "lifetime": 30}, ..., 30),
        ({"max_age": 60}, 90, 90),
    ],
)
def test_a_session_says_when_it_ends_once_it_is_saved_and_on_later_requests(
    wrap: Wrap, clock: Any, make_store: Any, options: Any, own: Any, ends: int | None
) -> None:
    seen: list[Any] = []

    def sign_in(scope: Any) -> None:
        seen.append(scope["session"].expires_at)
        scope["session"]["user"] = "ada"
        if own is not ...:
            scope["session"].max_age = own
        seen.append(scope["session"].expires_at)

    def look(scope: Any) -> None:
        seen.append(scope["session"].expires_at)

    options = {"store": make_store and make_store(), **options}
    browser = wrap(app_that(sign_in, late=look), **options)
    browser.get()
    clock.shift(10)
    browser.app = SessionMiddleware(app_that(look, late=look), KEY, **options)
    browser.get()

    end = None if ends is None else NOW + ends
    assert seen == [None, None, end, end, end]


@pytest.mark.parametrize("make_store", STORES)
def test_a_session_that_is_signed_anew_ends_later_and_one_that_was_ended_has_no_end(
    wrap: Wrap, clock: Any, make_store: Any
) -> None:
    seen: list[Any] = []

    def look(scope: Any) -> None:
        seen.append(scope["session"].expires_at)

    def renew(scope: Any) -> None:
        look(scope)
        scope["session"]["n"] = 1

    options: dict[str, Any] = {"max_age": 60, "store": make_store and make_store()}
    browser = wrap(app_that(renew, late=look), **options)
    browser.get()
    clock.shift(10)
    browser.get()
    browser.app = SessionMiddleware(app_that(lambda scope: scope["session"].clear(), late=look), KEY, **options)
    browser.get()

    assert seen == [None, NOW + 60, NOW + 60, NOW + 70, None]


def test_a_session_of_nobody_one_made_by_hand_and_one_of_another_site_have_no_end(wrap: Wrap) -> None:
    seen: list[Any] = [Session({"a": 1}).expires_at]
    browser = wrap(app_that(lambda scope: seen.append(scope["session"].expires_at)), trusted_origins=())
    browser.get()
    browser.post(headers=[cookie({"user": "ada"}), (b"sec-fetch-site", b"cross-site")])
    browser.post(headers=[cookie({"user": "ada"})])

    assert seen == [None, None, None, NOW + 14 * 86400]


# A request that doesn't prolong the session


def poll(scope: Any) -> Any:
    session = scope["session"]
    session.prolong = scope["path"] != "/poll"
    if scope["path"] == "/login":
        session["user"] = "ada"
    elif scope["path"] == "/change":
        session.prolong = False
        session["n"] = 1
    return [dict(session), session.prolong]


@pytest.mark.parametrize("make_store", [lambda: None, Records, MemoryStore], ids=["cookie", "store", "store at once"])
def test_a_page_that_polls_keeps_no_session_alive(wrap: Wrap, clock: Any, make_store: Any) -> None:
    browser = wrap(app_that(poll), store=make_store(), max_age=100, refresh_after=60)
    browser.get("/login")
    clock.shift(61)

    assert browser.get("/poll").all(b"set-cookie") == []
    assert len(browser.get("/read").all(b"set-cookie")) == 1
    for _ in range(2):
        clock.shift(51)
        assert browser.get("/poll").all(b"set-cookie") == []
    assert browser.get("/read").json() == [{}, True]


@pytest.mark.parametrize("make_store", [Records, MemoryStore])
def test_in_a_store_a_change_that_is_not_to_prolong_the_session_does_not(
    wrap: Wrap, clock: Any, make_store: Any
) -> None:
    browser = wrap(app_that(poll), store=make_store(), max_age=100)
    browser.get("/login")
    clock.shift(80)

    assert browser.get("/change").all(b"set-cookie") == []
    assert browser.get("/read").json() == [{"user": "ada", "n": 1}, True]
    clock.shift(21)
    assert browser.get("/read").json() == [{}, True]


def test_without_a_store_a_change_is_saved_all_the_same(wrap: Wrap, clock: Any) -> None:
    browser = wrap(app_that(poll), max_age=100)
    browser.get("/login")
    clock.shift(80)

    assert browser.get("/change").all(b"set-cookie") == [
        set_cookie({"user": "ada", "n": 1}, "path=/; Max-Age=100; httponly; samesite=lax")
    ]


def test_what_does_not_prolong_is_still_said_after_a_clear_and_a_save(wrap: Wrap) -> None:
    seen: list[bool] = []

    def act(scope: Any) -> None:
        scope["session"].prolong = False
        scope["session"].clear()
        scope["session"]["n"] = 1
        seen.append(scope["session"].prolong)

    wrap(app_that(act, late=lambda scope: seen.append(scope["session"].prolong)), store=Records()).get()

    assert seen == [False, False]


def test_prolong_is_true_or_false() -> None:
    session = Session()
    wrong: Any = 0

    assert session.prolong is True
    with pytest.raises(TypeError, match=r"^session\.prolong is of type int; write session\.prolong = False\.$"):
        session.prolong = wrong
