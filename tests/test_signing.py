from __future__ import annotations

import base64
import json
import marshal
import pickle
import re
import secrets
import string
import sys
import uuid
import warnings
import zlib
from base64 import b64decode, b64encode
from collections import ChainMap
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from hashlib import sha1
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import time_machine
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import (
    BadData,
    BadPayload,
    BadSignature,
    HMACAlgorithm,
    NoneAlgorithm,
    SignatureExpired,
    Signer,
    TimestampSigner,
    URLSafeTimedSerializer,
)
from pydantic import SecretBytes, SecretStr
from starlette.datastructures import Secret

from asgi_signed_session import SessionMiddleware, SessionSigner, UnserializableSessionError
from asgi_signed_session.keys import check_key
from asgi_signed_session.payload import METADATA_KEY
from asgi_signed_session.stores import MemoryStore, Sessions

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, Wrap
from .libraries import ORJSON
from .wire import make_signer, read_payload, sign, sign_payload

NOW = 1_800_000_000  # Unix seconds
OLD_KEY = "the key that was in use before"
NEW_KEY = "the key that is in use today"
MAKE_A_KEY = "Make one with 'python -m asgi_signed_session key' and keep it outside the code."

whoami = app_that(lambda scope: [dict(scope["session"]), scope["session"].rejected])


def read(value: str, secret_key: Any = KEY, **options: Any) -> Any:
    """What an app sees of the session in the cookie ``value``: its content and ``rejected``."""
    middleware = SessionMiddleware(whoami, secret_key, **options)
    return Browser(middleware, cookies={options.get("session_cookie", "session"): value}).get().json()


def payload_of(value: str) -> bytes:
    return b64decode(value.partition(".")[0], validate=True)


class AnySecret:
    """Any object with ``get_secret_value()`` will do, not pydantic's alone."""

    def get_secret_value(self) -> str:
        return KEY


@pytest.mark.parametrize(
    "key", [KEY, KEY.encode(), SecretStr(KEY), SecretBytes(KEY.encode()), Secret(KEY), AnySecret()]
)
def test_a_key_of_every_kind_signs_with_what_is_in_it(key: Any) -> None:
    value = SessionSigner(key).dumps({"n": 1})

    assert b64decode(make_signer(KEY).unsign(value)) == b'{"n":1}'
    assert SessionSigner(KEY, fallbacks=[key]).loads(value) == {"n": 1}
    assert read(value, key) == [{"n": 1}, None]


def test_a_whole_signer_signs_as_it_is() -> None:
    signer = TimestampSigner("the key of another program", salt="its salt")
    value = SessionSigner(signer, "its-cookie").dumps({"n": 1})

    assert b64decode(signer.unsign(value)) == b'{"n":1}'
    assert read(value, signer) == [{"n": 1}, None]


def test_a_value_of_one_cookie_is_never_anothers() -> None:
    value = SessionSigner(KEY, "admin").dumps({"n": 1})

    assert SessionSigner(KEY, "admin").loads(value) == {"n": 1}
    with pytest.raises(BadSignature):
        SessionSigner(KEY, "session").loads(value)
    assert read(value, session_cookie="session") == [{}, "bad-signature"]
    assert read(value, session_cookie="admin") == [{"n": 1}, None]


@pytest.mark.parametrize(
    "token",
    [
        TimestampSigner(KEY).sign(b64encode(b'{"n": 1}')).decode(),
        Signer(KEY).sign(b64encode(b'{"n": 1}')).decode(),
        make_signer(KEY, "other").sign(b64encode(b'{"n": 1}')).decode(),
        URLSafeTimedSerializer(KEY).dumps({"n": 1}),
    ],
    ids=["a timestamp signer's", "a signer's", "another cookie's", "a serializer's"],
)
def test_no_other_token_of_the_same_key_is_a_session(token: str | bytes) -> None:
    with pytest.raises(BadSignature):
        SessionSigner(KEY).loads(token)


# fmt: off
NO_NAMES = [
    ("my session",        ValueError),
    ("",                  ValueError),
    ("session=",          ValueError),
    ("a;b",               ValueError),
    ("a\r\nset-cookie: b", ValueError),
    ("séance",            ValueError),
    (b"session",          TypeError),
    (None,                TypeError),
]
# fmt: on


@pytest.mark.parametrize(("name", "error"), NO_NAMES)
def test_a_name_that_no_cookie_can_have_is_refused_wherever_it_is_given(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as from_middleware:
        SessionMiddleware(whoami, KEY, session_cookie=name)
    with pytest.raises(error) as from_signer:
        SessionSigner(KEY, session_cookie=name)
    with pytest.raises(error) as from_sessions:
        Sessions(MemoryStore(), KEY, session_cookie=name)

    assert str(from_signer.value) == str(from_sessions.value) == str(from_middleware.value)
    assert str(from_signer.value).startswith("session_cookie")


def test_fallbacks_verify_and_never_sign() -> None:
    signer = SessionSigner(NEW_KEY, fallbacks=[KEY, OLD_KEY])

    assert [signer.loads(sign({"n": 1}, key)) for key in (NEW_KEY, KEY, OLD_KEY)] == [{"n": 1}] * 3
    assert make_signer(NEW_KEY).validate(signer.dumps({}))
    assert not make_signer(KEY).validate(signer.dumps({}))
    with pytest.raises(BadSignature):
        signer.loads(sign({"n": 1}, "a key that nobody has heard of"))


def test_fallbacks_may_be_any_iterable_and_are_read_once() -> None:
    signer = SessionSigner(NEW_KEY, fallbacks=iter([OLD_KEY]))

    assert [signer.loads(sign({"n": 1}, OLD_KEY)) for _ in range(2)] == [{"n": 1}] * 2


@time_machine.travel(NOW, tick=False)
def test_a_session_of_starlettes_is_read_and_rewritten_on_the_next_access() -> None:
    starlettes = TimestampSigner(KEY).sign(b64encode(json.dumps({"user": "ädä", "cart": [1, 2]}).encode())).decode()
    browser = Browser(SessionMiddleware(whoami, KEY, fallbacks=[TimestampSigner(KEY)]), cookies={"session": starlettes})

    first, second = browser.get(), browser.get()

    assert first.json() == second.json() == [{"user": "ädä", "cart": [1, 2]}, None]
    value = sign({"user": "ädä", "cart": [1, 2]})
    assert first.all(b"set-cookie") == [f"session={value}; path=/; Max-Age=1209600; httponly; samesite=lax".encode()]
    assert second.all(b"set-cookie") == []


def test_starlettes_own_signer_writes_what_starlette_reads() -> None:
    value = SessionSigner(TimestampSigner(KEY)).dumps({"user": "ädä"})

    # As starlette.middleware.sessions does it.
    assert json.loads(b64decode(TimestampSigner(KEY).unsign(value, max_age=60))) == {"user": "ädä"}


def test_an_app_moves_off_sha1_with_nobody_logged_out() -> None:
    before = TimestampSigner(KEY, salt="asgi-signed-session.session", digest_method=sha1, key_derivation="hmac")
    signer = SessionSigner(KEY, fallbacks=[before])

    assert signer.loads(sign({"n": 1}, signer=before)) == {"n": 1}
    assert not before.validate(signer.dumps({}))


def test_max_age_counts_from_the_signing() -> None:
    signer = SessionSigner(KEY)
    with time_machine.travel(NOW, tick=False) as clock:
        value = signer.dumps({"n": 1})
        clock.shift(10)
        assert signer.loads(value, max_age=10) == {"n": 1}
        assert read(value, max_age=10) == [{"n": 1}, None]
        clock.shift(1)

        with pytest.raises(SignatureExpired, match=r"^Signed 11 seconds ago, 1 more than max_age\.$"):
            signer.loads(value, max_age=10)
        assert read(value, max_age=10) == [{}, "expired"]


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore])
def test_freezegun_moves_the_clock_of_a_middleware_that_was_built_before(make_store: Any) -> None:
    browser = Browser(SessionMiddleware(visit, KEY, max_age=60, store=make_store()))
    with freeze_time("2026-01-01") as clock:
        browser.get("/login")
        clock.tick(59)
        in_time = browser.get("/whoami").json()
        clock.tick(2)

        assert [in_time, browser.get("/whoami").json()] == [{"user": "ada"}, {}]


def test_without_max_age_a_value_never_expires() -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        value = SessionSigner(KEY).dumps({"n": 1})
        clock.shift(10 * 366 * 86400)

        assert SessionSigner(KEY).loads(value) == {"n": 1}
        assert read(value, max_age=None) == [{"n": 1}, None]


def test_a_clock_60_seconds_ahead_is_tolerated_and_61_are_not() -> None:
    signer = SessionSigner(KEY)
    with time_machine.travel(NOW, tick=False) as clock:
        value = signer.dumps({"n": 1})
        clock.shift(-60)
        assert signer.loads(value, max_age=10) == {"n": 1}
        assert read(value) == read(value, max_age=None) == [{"n": 1}, None]
        clock.shift(-1)

        with pytest.raises(SignatureExpired, match=r"^Signed 61 seconds in the future\.$"):
            signer.loads(value, max_age=10)
        assert read(value) == read(value, max_age=None) == [{}, "expired"]


@pytest.mark.parametrize("secret_key", [KEY, make_signer()])
@pytest.mark.parametrize("timestamp", [b"", b"\xff" * 8, (253_402_300_800).to_bytes(8, "big")])
def test_a_signed_but_absurd_time_is_no_session_and_no_error(secret_key: Any, timestamp: bytes) -> None:
    text = b64encode(b'{"n":1}') + b"." + b64encode(timestamp, b"-_").rstrip(b"=")
    value = (text + b"." + make_signer().get_signature(text)).decode()

    content, rejected = read(value, secret_key)

    assert content == {}
    assert rejected in ("expired", "bad-signature")


def visit_with(act: Any, value: str | None = None, **options: Any) -> Browser:
    """A browser that has made one request to an app which calls ``act`` with its session."""

    def run(scope: Any) -> Any:
        act(scope["session"])

    browser = Browser(SessionMiddleware(app_that(run), KEY, **options), cookies={"session": value} if value else {})
    browser.get()
    return browser


def test_a_session_with_a_max_age_of_its_own_keeps_to_it_in_place_of_the_middlewares() -> None:
    def remember(session: Any) -> None:
        session["n"] = 1
        session.max_age = 100

    with time_machine.travel(NOW, tick=False) as clock:
        value = visit_with(remember, max_age=10).cookies["session"]
        clock.shift(100)
        assert read(value, max_age=10) == [{"n": 1}, None]
        clock.shift(1)

        assert read(value, max_age=10) == [{}, "expired"]
        assert read(value, max_age=1000) == [{}, "expired"]


# fmt: off
AGES = [
    # own,  of loads,  alive at,  over at,  by
    (100,   None,      100,       101,      1),
    (100,   1000,      100,       101,      1),
    (100,   100,       100,       101,      1),
    (100,   10,        10,        11,       1),
    (100,   10,        0,         101,      91),  # the smaller one is what is said
    (None,  10,        10,        11,       1),
    (None,  0,         0,         1,        1),
    (None,  None,      10**9,     None,     None),
]
# fmt: on


@pytest.mark.parametrize("metadata", ["absent", "null"])
@pytest.mark.parametrize(("own", "max_age", "alive", "over", "by"), AGES)
def test_the_signer_counts_a_sessions_own_max_age_and_the_one_it_is_given(
    metadata: str, own: int | None, max_age: int | None, alive: int, over: int | None, by: int | None
) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        value = sign({"n": 1} if own is None and metadata == "absent" else {"n": 1, "$session": {"max_age": own}})
        clock.move_to(NOW + alive)
        assert SessionSigner(KEY).loads(value, max_age) == {"n": 1}
        if over is not None:
            clock.move_to(NOW + over)
            with pytest.raises(SignatureExpired, match=rf"^Signed {over} seconds ago, {by} more than max_age\.$"):
                SessionSigner(KEY).loads(value, max_age)


@pytest.mark.parametrize("max_age", [None, 10])
@pytest.mark.parametrize("content", [{}, {"$session": {"max_age": 10}}, {"$session": {"max_age": None}}])
def test_the_signer_takes_no_value_from_the_future(max_age: int | None, content: Any) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        value = sign(content)
        clock.move_to(NOW - 60)
        assert SessionSigner(KEY).loads(value, max_age) == {}
        clock.move_to(NOW - 61)

        with pytest.raises(SignatureExpired, match=r"^Signed 61 seconds in the future\.$"):
            SessionSigner(KEY).loads(value, max_age)
        clock.move_to(NOW - 50 * 366 * 86400)
        with pytest.raises(SignatureExpired, match=r"^Signed \d+ seconds in the future\.$"):
            SessionSigner(KEY).loads(value, max_age)


def test_a_session_that_ends_with_the_browser_ends_on_the_server_as_any_other() -> None:
    def forget(session: Any) -> None:
        session["n"] = 1
        session.max_age = None

    with time_machine.travel(NOW, tick=False) as clock:
        value = visit_with(forget, max_age=10).cookies["session"]
        clock.shift(10)
        assert read(value, max_age=10) == [{"n": 1}, None]
        clock.shift(1)
        assert read(value, max_age=10) == [{}, "expired"]
        assert read(value, max_age=None) == [{"n": 1}, None]


def test_metadata_travels_under_one_reserved_key_that_is_never_seen() -> None:
    seen: list[Any] = []

    def remember(session: Any) -> None:
        session["n"] = 1
        session.max_age = 100

    with time_machine.travel(NOW, tick=False):
        value = visit_with(remember, lifetime=1000).cookies["session"]
        visit_with(lambda session: seen.append({**session}), value)

    assert json.loads(payload_of(value)) == {"n": 1, "$session": {"max_age": 100, "iat": NOW}}
    with time_machine.travel(NOW, tick=False):
        assert SessionSigner(KEY).loads(value) == {"n": 1}
    assert seen == [{"n": 1}]


def test_metadata_is_written_only_when_used() -> None:
    value = visit_with(lambda session: session.update(n=1)).cookies["session"]

    assert payload_of(value) == b'{"n":1}'


def test_the_key_of_the_metadata_is_nobody_elses() -> None:
    with pytest.raises(UnserializableSessionError, match=r"^session\['\$session'\] is reserved; use another key\.$"):
        SessionSigner(KEY).dumps({"$session": 1})


def test_no_content_of_a_session_becomes_metadata_on_a_lower_level() -> None:
    content = {"a": {"$session": {"max_age": 1}}, "$": 1, "session": {"iat": 1}}

    assert SessionSigner(KEY).loads(SessionSigner(KEY).dumps(content)) == content


# fmt: off
SESSIONS = [
    (b"{}",                                          {}),
    (b'{"n":1}',                                     {"n": 1}),
    (b' \r\n\t{"n" : 1}\n ',                         {"n": 1}),  # white space is JSON's
    (b'{"\\u00e4": "\xc3\xa4"}',                     {"ä": "ä"}),
    (b'{"n":1,"$session":{}}',                       {"n": 1}),
    (b'{"n":1,"$session":{"max_age":null}}',         {"n": 1}),
    (b'{"n":1,"$session":{"max_age":60,"iat":9}}',   {"n": 1}),
    (b'{"n":1,"$session":{"from":"the future"}}',    {"n": 1}),  # a newer version's, during a deployment
]
# fmt: on


@pytest.mark.parametrize(("payload", "content"), SESSIONS)
def test_one_json_object_is_a_session(payload: bytes, content: dict[str, Any]) -> None:
    value = sign_payload(payload)

    assert SessionSigner(KEY).loads(value) == content
    assert read(value) == [content, None]


def test_what_a_newer_version_puts_beside_the_data_leaves_max_age_as_it_is(clock: time_machine.Traveller) -> None:
    value = sign_payload(b'{"n":1,"$session":{"from":"the future"}}')

    clock.shift(61)

    with pytest.raises(SignatureExpired):
        SessionSigner(KEY).loads(value, max_age=60)


def test_a_session_may_live_for_a_second(clock: time_machine.Traveller) -> None:
    value = sign_payload(b'{"n":1,"$session":{"max_age":1}}')

    clock.shift(1)

    assert SessionSigner(KEY).loads(value, max_age=60) == {"n": 1}


def test_a_session_that_does_not_say_when_it_began_began_when_it_was_signed() -> None:
    seen: list[Any] = []
    value = sign_payload(b'{"$session":{"max_age":60}}')

    visit_with(lambda session: seen.append((session.signed_at, session.issued_at)), value)

    assert [signed_at == issued_at for signed_at, issued_at in seen] == [True]


# fmt: off
MALFORMED = {
    "nothing":                     b"",
    "white space":                 b" ",
    "an array":                    b'[{"n":1}]',
    "pairs":                       b'[["n",1]]',
    "a string":                    b'"n"',
    "a number":                    b"1",
    "null":                        b"null",
    "true":                        b"true",
    "two objects":                 b"{}{}",
    "two objects on two lines":    b"{}\n{}",
    "garbage after":               b"{}x",
    "a NUL after":                 b"{}\0",
    "garbage before":              b"x{}",
    "no end":                      b'{"n":1',
    "a comma too many":            b'{"n":1,}',
    "a key that is no string":     b"{1:1}",
    "single quotes":               b"{'n':1}",
    "white space that isn't":      b"\xc2\xa0{}",
    "a form feed":                 b"{}\x0c",
    "a byte order mark":           b"\xef\xbb\xbf{}",
    "UTF-16":                      '{"n":1}'.encode("utf-16"),
    "UTF-32":                      '{"n":1}'.encode("utf-32-be"),
    "Latin-1":                     '{"n":"ä"}'.encode("latin-1"),
    "half a character":            b'{"n":"\xc3"}',
    "half a surrogate pair":       b'{"n":"\xed\xa0\x80"}',
    "a pickle":                    pickle.dumps({"n": 1}),
    "deep arrays":                 b"[" * 3000,
    "deep arrays that end":        b'{"n":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects":                b'{"n":' * 100_000,
    "metadata: a number":          b'{"$session":1}',
    "metadata: null":              b'{"$session":null}',
    "metadata: an array":          b'{"$session":[]}',
    "metadata: a string":          b'{"$session":"max_age"}',
    "max_age: a string":           b'{"$session":{"max_age":"60"}}',
    "max_age: a fraction":         b'{"$session":{"max_age":1.5}}',
    "max_age: true":               b'{"$session":{"max_age":true}}',
    "max_age: zero":               b'{"$session":{"max_age":0}}',
    "max_age: negative":           b'{"$session":{"max_age":-1}}',
    "max_age: infinite":           b'{"$session":{"max_age":Infinity}}',
    "iat: null":                   b'{"$session":{"iat":null}}',
    "iat: a string":               b'{"$session":{"iat":"now"}}',
    "iat: true":                   b'{"$session":{"iat":true}}',
    "iat: a fraction":             b'{"$session":{"iat":1.5}}',
}
# fmt: on
if hasattr(sys, "get_int_max_str_digits"):
    MALFORMED["a number of many digits"] = b'{"n":' + b"9" * (sys.get_int_max_str_digits() + 1) + b"}"


@pytest.mark.parametrize("what", MALFORMED)
def test_a_signed_payload_that_is_no_session_is_malformed(what: str) -> None:
    value = sign_payload(MALFORMED[what])

    with pytest.raises(BadData) as caught:
        SessionSigner(KEY).loads(value, max_age=60)
    assert not isinstance(caught.value, BadSignature)
    if len(value) < 4000:  # the middleware looks at none that a browser can't have sent
        assert read(value) == [{}, "malformed"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"{", "The payload is not what the serializer writes."),
        (b"[]", "The payload is not an object."),
        (b'{"$session":1}', "The payload's metadata is of another form."),
    ],
)
def test_the_error_says_what_is_wrong_with_a_payload(payload: bytes, message: str) -> None:
    with pytest.raises(BadData) as caught:
        SessionSigner(KEY).loads(sign_payload(payload))
    assert str(caught.value) == message


@pytest.mark.parametrize("encoded", [b"e", b"e3@0=", b"e30=@example.com"])
def test_the_error_says_that_a_payload_is_no_base64(encoded: bytes) -> None:
    with pytest.raises(BadData) as caught:
        SessionSigner(KEY).loads(make_signer().sign(encoded))
    assert str(caught.value) == "The payload is not base64."


@pytest.mark.parametrize(("payload", "message"), [(b"{}{}", "More than one JSON value."), (b" ", "No JSON value.")])
def test_the_error_has_what_the_serializer_said(payload: bytes, message: str) -> None:
    with pytest.raises(BadPayload) as caught:
        SessionSigner(KEY).loads(sign_payload(payload))
    assert repr(caught.value.original_error) == f"ValueError('{message}')"


@pytest.mark.parametrize(
    "encoded",
    [
        *(b"", b"e", b"e30", b"{}", b"\xff\xfe"),
        *(b"e30=@example.com", b"e30==", b"e30=e30=", b"e30=\n", b" e30=", b"e3.0=", b"e-30=", b"=e30="),
        b"eyJ1c2VyX2lkIjoxfQ==@evil.com",  # what an app signs into an e-mail, with the same key
    ],
)
def test_a_signed_payload_that_is_more_or_less_than_base64_is_malformed(encoded: bytes) -> None:
    for signer in (make_signer(), TimestampSigner(KEY)):
        value = signer.sign(encoded)

        with pytest.raises(BadData) as caught:
            SessionSigner(KEY, fallbacks=[TimestampSigner(KEY)]).loads(value)
        assert not isinstance(caught.value, BadSignature)


def test_a_signed_e_mail_address_is_no_session_where_the_signer_is_a_fallback() -> None:
    value = TimestampSigner(KEY).sign("eyJ1c2VyX2lkIjoxfQ==@evil.com").decode()

    assert read(value, fallbacks=[TimestampSigner(KEY)]) == [{}, "malformed"]


def with_metadata(metadata: Any) -> bytes:
    return b64encode(json.dumps({"n": 1, METADATA_KEY: metadata}).encode())


@pytest.mark.parametrize("ahead", [1, 60, 10**9])
def test_a_session_that_says_it_began_after_it_was_signed_is_malformed(ahead: int) -> None:
    with time_machine.travel(NOW, tick=False):
        value = make_signer().sign(with_metadata({"iat": NOW + ahead}))

        assert read(value.decode(), lifetime=3600) == [{}, "malformed"]
        with pytest.raises(BadPayload, match=r"^It says that the session began after it was signed\.$"):
            SessionSigner(KEY).loads(value)
        assert read(make_signer().sign(with_metadata({"iat": NOW})).decode(), lifetime=3600) == [{"n": 1}, None]


def test_a_session_that_a_server_with_a_clock_ahead_has_begun_stays_one_when_it_is_signed_anew() -> None:
    with time_machine.travel(NOW + 60, tick=False) as clock:
        value = visit_with(lambda session: session.update(n=1), lifetime=3600).cookies["session"]
        clock.move_to(NOW)
        value = visit_with(lambda session: session.update(n=2), value, lifetime=3600).cookies["session"]

        assert json.loads(payload_of(value)) == {"n": 2, METADATA_KEY: {"iat": NOW}}
        assert read(value, lifetime=3600) == [{"n": 2}, None]


@pytest.mark.parametrize(
    "metadata",
    [
        {"iat": NOW - 10**6},
        {"iat": NOW + 10**9},
        {"max_age": 10**9},
        {"principal": "admin"},
        {"iat": "x"},
        "x",
        [],
        None,
    ],
)
def test_what_a_foreign_signer_has_put_under_the_reserved_key_is_no_metadata(metadata: Any) -> None:
    seen: list[Any] = []

    def look(session: Any) -> None:
        seen.append([{**session}, session.rejected, session.issued_at, session.max_age, session.principal])

    with time_machine.travel(NOW, tick=False):
        foreign = TimestampSigner(KEY).sign(with_metadata(metadata)).decode()
        options: dict[str, Any] = {"fallbacks": [TimestampSigner(KEY)], "lifetime": 3600}
        rewritten = visit_with(look, foreign, **options).cookies["session"]

        assert seen == [[{"n": 1}, None, NOW, 1209600, None]]
        assert json.loads(payload_of(rewritten)) == {"n": 1, METADATA_KEY: {"iat": NOW}}
        assert SessionSigner(KEY, fallbacks=[TimestampSigner(KEY)]).loads(foreign) == {"n": 1}


def test_a_late_change_to_a_session_of_a_foreign_signer_is_reported_whatever_it_has_for_metadata(
    caplog: pytest.LogCaptureFixture,
) -> None:
    foreign = TimestampSigner(KEY).sign(with_metadata("x")).decode()
    app = app_that(lambda scope: scope["session"]["n"], late=lambda scope: scope["session"].update(late=1))
    middleware = SessionMiddleware(app, KEY, fallbacks=[TimestampSigner(KEY)])
    Browser(middleware, cookies={"session": foreign}).get()

    assert [record.getMessage().partition(". ")[0] for record in caplog.records] == [
        "Session changes on '/' not saved: 'late'"
    ]


def test_a_fallback_key_and_a_whole_signer_as_the_key_are_not_foreign() -> None:
    with time_machine.travel(NOW, tick=False):
        old = make_signer(OLD_KEY).sign(with_metadata({"max_age": 5, "iat": NOW - 9})).decode()
        own = TimestampSigner(KEY).sign(with_metadata({"max_age": 5, "iat": NOW - 9})).decode()

        seen: list[Any] = []
        cases: list[tuple[str, Any, Any]] = [(old, KEY, [OLD_KEY]), (own, TimestampSigner(KEY), [])]
        for value, key, fallbacks in cases:
            app = app_that(lambda scope: seen.append([scope["session"].max_age, scope["session"].issued_at]))
            Browser(SessionMiddleware(app, key, fallbacks=fallbacks), cookies={"session": value}).get()

        assert seen == [[5, NOW - 9], [5, NOW - 9]]


@settings(deadline=None, max_examples=200)
@given(st.binary() | st.text().map(str.encode) | st.text(st.sampled_from('{}[]",:$session01 ')).map(str.encode))
def test_any_signed_payload_is_a_session_or_malformed(payload: bytes) -> None:
    try:
        content = SessionSigner(KEY).loads(sign_payload(payload))
    except BadData as error:
        assert not isinstance(error, BadSignature)  # noqa: PT017 - it may not raise at all
    else:
        assert content == json.loads(payload)


@pytest.mark.parametrize("value", ["", ".", "..", "e30=", "e30=.AAAA", "ä.ö.ü", "\udc80.\ud800.x", "x" * 5000])
def test_a_str_that_nobody_signed_is_a_bad_signature(value: str) -> None:
    with pytest.raises(BadSignature, match=r"^No key verifies the signature\.$"):
        SessionSigner(KEY).loads(value)


def test_the_payload_is_compact_json_in_utf8_as_standard_base64() -> None:
    content: dict[str, Any] = {"name": "Zoë 🍵", "cart": [1, 2.5, None, True, {"a": []}], "~~~???": ""}

    with time_machine.travel(NOW, tick=False):
        value = SessionSigner(KEY).dumps(content)

        assert value == sign_payload('{"name":"Zoë 🍵","cart":[1,2.5,null,true,{"a":[]}],"~~~???":""}'.encode())
    assert {"+", "/"} & set(SessionSigner(KEY).dumps({"?": "?~~~???>>>"}).partition(".")[0])


def test_the_escapes_are_those_that_json_requires() -> None:
    payload = payload_of(SessionSigner(KEY).dumps({"a": '"\\/\b\f\n\r\t\0\x7f\u2028'}))

    assert payload == b'{"a":"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\x7f\xe2\x80\xa8"}'


@pytest.mark.parametrize("text", [chr(0xD800), chr(0xDFFF), "a" + chr(0xD83C), chr(0xDF75) + chr(0xD83C) + "b"])
def test_half_a_surrogate_pair_makes_the_round_trip(text: str) -> None:
    signer = SessionSigner(KEY)

    assert signer.loads(signer.dumps({text: text})) == {text: text}
    assert payload_of(signer.dumps({"a": "\ud800"})) == b'{"a":"\\ud800"}'


class Reversed:
    """A serializer whose payload is no UTF-8."""

    def dumps(self, content: Any) -> bytes:
        return bytes(255 - byte for byte in json.dumps(content).encode())

    def loads(self, payload: bytes) -> Any:
        return json.loads(bytes(255 - byte for byte in payload))


class Spaced:
    """A serializer of str."""

    def dumps(self, content: Any) -> str:
        return json.dumps(content, indent=1, ensure_ascii=False)

    def loads(self, payload: str) -> Any:
        assert isinstance(payload, str)
        return json.loads(payload)


@pytest.mark.filterwarnings("ignore:serializer=pickle")
@pytest.mark.parametrize(
    ("serializer", "payload"),
    [
        (json, '{"a":["ä"]}'.encode()),
        *((each, '{"a":["ä"]}'.encode()) for each in ORJSON),
        (Spaced(), '{\n "a": [\n  "ä"\n ]\n}'.encode()),
        (Reversed(), Reversed().dumps({"a": ["ä"]})),
        (pickle, pickle.dumps({"a": ["ä"]})),
    ],
)
def test_the_payload_is_what_the_serializer_writes_and_reads(serializer: Any, payload: bytes) -> None:
    with time_machine.travel(NOW, tick=False):
        signer = SessionSigner(KEY, serializer=serializer)
        value = signer.dumps({"a": ["ä"]})

        assert value == sign_payload(payload)
        assert signer.loads(value) == {"a": ["ä"]}
        assert read(value, serializer=serializer) == [{"a": ["ä"]}, None]


def test_a_serializer_that_takes_no_subclass_of_dict_is_given_a_dict(wrap: Wrap) -> None:
    seen: list[type] = []

    class Exact:
        def dumps(self, content: Any) -> bytes:
            seen.append(type(content))
            return json.dumps(content).encode()

        def loads(self, payload: bytes) -> Any:
            return json.loads(payload)

    wrap(app_that(lambda scope: scope["session"].update(a=1)), serializer=Exact()).get()

    assert set(seen) == {dict}


@pytest.mark.parametrize("make", [MappingProxyType, ChainMap])
def test_the_signer_signs_any_mapping(make: Any) -> None:
    signer = SessionSigner(KEY)

    assert signer.loads(signer.dumps(make({"a": 1}))) == {"a": 1}


@pytest.mark.parametrize("orjson", ORJSON)
def test_orjson_and_json_read_each_others(orjson: Any) -> None:
    ours, theirs = SessionSigner(KEY), SessionSigner(KEY, serializer=orjson)

    assert ours.loads(theirs.dumps({"ä": [1]})) == {"ä": [1]}
    assert theirs.loads(ours.dumps({"ä": [1]})) == {"ä": [1]}


@pytest.mark.filterwarnings("ignore:serializer=pickle")
@pytest.mark.parametrize("payload", [b"[]", b"{}{}", b"\xff", b"", b"null"])
@pytest.mark.parametrize("serializer", [*ORJSON, Spaced(), Reversed(), pickle])
def test_what_any_serializer_cannot_read_is_malformed(serializer: Any, payload: bytes) -> None:
    assert read(sign_payload(payload), serializer=serializer) == [{}, "malformed"]


def test_a_session_with_metadata_goes_through_any_serializer() -> None:
    def remember(session: Any) -> None:
        session["n"] = 1
        session.max_age = 100

    value = visit_with(remember, serializer=Reversed()).cookies["session"]

    assert Reversed().loads(payload_of(value)) == {"n": 1, "$session": {"max_age": 100}}
    assert read(value, serializer=Reversed()) == [{"n": 1}, None]


# What "dumps" writes must be what a middleware writes: a session, whether it was touched or made by hand.
def test_the_signer_and_the_middleware_write_the_same() -> None:
    with time_machine.travel(NOW, tick=False):
        value = visit_with(lambda session: session.update(a=["ä"])).cookies["session"]

        assert value == SessionSigner(KEY).dumps({"a": ["ä"]})
        assert read_payload(f"session={value}".encode()) == '{"a":["ä"]}'.encode()


def make_cycle() -> list[Any]:
    cart: list[Any] = []
    cart.append(cart)
    return cart


def nest(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


MOMENT = datetime(2030, 1, 1, tzinfo=timezone.utc)
WHAT_TO_DO = (
    " can't be written by the serializer, or is nested too deeply. Store a str, number, bool, None, list or dict, or"
    " pass a serializer that can write it:"
    " asgi_signed_session.serializers.Tagged() takes dates, UUIDs, decimals, bytes and sets."
)


# fmt: off
UNSERIALIZABLE = [
    ({"at": MOMENT},                                   "session['at']: datetime"),
    ({"a": 1, "cart": [MOMENT]},                       "session['cart'][0]: datetime"),
    ({"cart": [1, {"ok": 1, "tags": {"tea"}}]},        "session['cart'][1]['tags']: set"),
    ({"cart": (1, [b"tea"])},                          "session['cart'][1][0]: bytes"),
    ({"it's": object()},                               "session[\"it's\"]: object"),
    ({"n": 1j, "m": {"n": MOMENT}},                    "session['n']: complex"),  # the first of them
    ({"cart": make_cycle()},                           "session['cart']" + "[0]" * 19 + ": list"),
    ({"deep": {"er": nest(100_000)}},                  "session['deep']['er']" + "[0]" * 18 + ": list"),
]
# fmt: on


@pytest.mark.parametrize(("content", "place"), UNSERIALIZABLE)
def test_what_cannot_be_written_is_named_by_its_place_and_type(content: dict[str, Any], place: str) -> None:
    with pytest.raises(UnserializableSessionError) as caught:
        SessionSigner(KEY).dumps(content)

    assert str(caught.value) == place + WHAT_TO_DO
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("content", "place"), [({(1, 2): 3}, "session"), ({"cart": [{(1, 2): 3}]}, "session['cart'][0]")]
)
def test_a_key_that_cannot_be_written_is_named_by_its_place_and_type(content: dict[Any, Any], place: str) -> None:
    with pytest.raises(UnserializableSessionError) as caught:
        SessionSigner(KEY).dumps(content)

    assert str(caught.value).startswith(place)
    assert "tuple" in str(caught.value)


class Picky:
    """Refuses with an error of its own what holds a 13."""

    def dumps(self, content: Any) -> bytes:
        text = json.dumps(content)
        if "13" in text:
            raise OSError("unlucky")
        return text.encode()

    def loads(self, payload: bytes) -> Any:
        return json.loads(payload)


def test_what_a_serializer_of_ones_own_refuses_is_named_too() -> None:
    with pytest.raises(UnserializableSessionError) as caught:
        SessionSigner(KEY, serializer=Picky()).dumps({"a": [1, 13]})

    assert str(caught.value) == "session['a'][1]: int" + WHAT_TO_DO
    assert repr(caught.value.__cause__) == "OSError('unlucky')"


def test_what_cannot_be_written_is_never_shown() -> None:
    with pytest.raises(UnserializableSessionError) as caught:
        SessionSigner(KEY).dumps({"token": b"t0ken of somebody"})

    assert "t0ken" not in str(caught.value)


class Masked(str):
    __slots__ = ()

    def get_secret_value(self) -> str:
        return "*" * 20


UNLIKE_A_KEY = "secret_key is of type {}: pass a str, bytes, or an itsdangerous.TimestampSigner."
IN_A_LIST = "secret_key is a {}: pass only the newest key, and the older ones as fallbacks=[...]."
MISSING = "secret_key is None: the setting that it comes from is missing. " + MAKE_A_KEY
HIDDEN = "secret_key is {!r}, which stands for a hidden or missing key. " + MAKE_A_KEY


# fmt: off
class Odd:
    """It has what Starlette's ``Secret`` is told by, and isn't one."""

    _value = KEY


NO_KEYS = [
    (None,                      TypeError,  MISSING),
    ("",                        ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (b"",                       ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (" \t\n" * 9,               ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (SecretStr(""),             ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (SecretBytes(b""),          ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (Secret(""),                ValueError, "secret_key is empty. " + MAKE_A_KEY),
    (TimestampSigner(""),       ValueError, "a key of the signer in secret_key is empty. " + MAKE_A_KEY),
    (TimestampSigner([KEY, ""]), ValueError, "a key of the signer in secret_key is empty. " + MAKE_A_KEY),
    (str(SecretStr(KEY)),       ValueError, HIDDEN.format("*" * 10)),
    (b"*" * 40,                 ValueError, HIDDEN.format("*" * 40)),
    (Masked(KEY),               ValueError, HIDDEN.format("*" * 20)),
    ("None",                    ValueError, HIDDEN.format("None")),
    (b"None",                   ValueError, HIDDEN.format("None")),
    ("null",                    ValueError, HIDDEN.format("null")),
    ("undefined\n",             ValueError, HIDDEN.format("undefined")),
    (str(SecretBytes(b"key")),  ValueError, HIDDEN.format("b'**********'")),
    (str(SecretBytes(b"key")).encode(), ValueError, HIDDEN.format("b'**********'")),
    ([KEY, OLD_KEY],            TypeError,  IN_A_LIST.format("list")),
    ([],                        TypeError,  IN_A_LIST.format("list")),
    ((KEY,),                    TypeError,  IN_A_LIST.format("tuple")),
    ({KEY},                     TypeError,  IN_A_LIST.format("set")),
    (frozenset([KEY]),          TypeError,  IN_A_LIST.format("frozenset")),
    (42,                        TypeError,  UNLIKE_A_KEY.format("int")),
    (bytearray(KEY.encode()),   TypeError,  UNLIKE_A_KEY.format("bytearray")),
    ({"key": KEY},              TypeError,  UNLIKE_A_KEY.format("dict")),
    (Odd(),                     TypeError,  UNLIKE_A_KEY.format("Odd")),
    (URLSafeTimedSerializer(KEY), TypeError, UNLIKE_A_KEY.format("URLSafeTimedSerializer")),
    (Signer(KEY), TypeError, "secret_key is of type Signer, which doesn't sign the time; pass a TimestampSigner."),
]
# fmt: on


@pytest.mark.parametrize(("key", "error", "message"), NO_KEYS)
def test_a_key_that_is_none_is_refused(key: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as from_signer:
        SessionSigner(key)
    with pytest.raises(error) as from_middleware:
        SessionMiddleware(whoami, key)
    with pytest.raises(error) as from_fallbacks:
        SessionSigner(KEY, fallbacks=[OLD_KEY, key])

    assert [str(from_signer.value), str(from_middleware.value)] == [message, message]
    assert str(from_fallbacks.value) == message.replace("secret_key", "fallbacks[1]")
    assert KEY not in message


@pytest.mark.parametrize("key", [repr(SecretStr(KEY)), repr(SecretBytes(KEY.encode())), repr(Secret(KEY))])
def test_the_repr_of_a_masked_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"^secret_key is .* which stands for a hidden or missing key"):
        SessionSigner(key)


def test_a_signer_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="secret_key"):
        SessionSigner(TimestampSigner([]))


def test_a_key_that_is_no_unicode_is_refused_by_name() -> None:
    # As os.environ gives a variable that holds bytes which are no UTF-8.
    with pytest.raises(ValueError, match="secret_key"):
        SessionSigner("\udcff" * 32)


class Nothing(NoneAlgorithm):
    """Of another name, and no better."""


class Constant(HMACAlgorithm):
    """Signs whatever it is in the same way."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return super().get_signature(key, b"")


class Lenient(TimestampSigner):
    """Takes any signature for its own."""

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        return True


@pytest.mark.parametrize(
    "signer",
    [
        TimestampSigner(KEY, algorithm=NoneAlgorithm()),
        TimestampSigner([OLD_KEY, KEY], salt="a salt", algorithm=Nothing()),
        TimestampSigner(KEY, algorithm=Constant()),
        Lenient(KEY),
    ],
    ids=["none", "a subclass", "constant", "lenient"],
)
def test_a_signer_that_accepts_what_it_has_not_signed_is_refused(signer: TimestampSigner) -> None:
    refuse_everywhere(
        signer,
        "is a signer that accepts what it hasn't signed, as one with NoneAlgorithm does: anybody could make sessions;"
        " pass a TimestampSigner with an algorithm that signs.",
    )


def refuse_everywhere(signer: TimestampSigner, what: str) -> None:
    store = MemoryStore()
    # fmt: off
    makers: list[tuple[str, Callable[[], object]]] = [
        ("secret_key",   lambda: SessionSigner(signer)),
        ("secret_key",   lambda: SessionMiddleware(whoami, signer)),
        ("secret_key",   lambda: SessionMiddleware(whoami, signer, store=store)),
        ("secret_key",   lambda: Sessions(store, signer)),
        ("fallbacks[1]", lambda: SessionSigner(KEY, fallbacks=[OLD_KEY, signer])),
        ("fallbacks[1]", lambda: SessionMiddleware(whoami, KEY, fallbacks=[OLD_KEY, signer])),
        ("fallbacks[1]", lambda: Sessions(store, KEY, fallbacks=[OLD_KEY, signer])),
    ]
    # fmt: on
    for option, make in makers:
        with pytest.raises(ValueError, match=r"is a signer") as caught:
            make()
        assert str(caught.value) == f"{option} {what}"


UNFIT = [*';, "\\\t\r\n\0\x1f\x7f', "\x80".encode("latin-1"), "é", ".;", "a b", ". "]


@pytest.mark.parametrize("sep", UNFIT)
def test_a_signer_whose_sep_no_cookie_carries_is_refused(sep: Any) -> None:
    signer = TimestampSigner(KEY, sep=sep)

    refuse_everywhere(signer, f"is a signer with sep={signer.sep!r}, which a cookie can't carry; write sep='.'.")


@pytest.mark.parametrize("sep", ["--", "ba", "_-", "=="])
def test_a_signer_whose_sep_may_be_in_a_signature_is_refused(sep: str) -> None:
    signer = TimestampSigner(KEY, sep=sep)

    refuse_everywhere(signer, f"is a signer with sep={signer.sep!r}, which a signature may contain; write sep='.'.")


# RFC 6265, 4.1.1: printable ASCII but for white space, the double quote, comma, semicolon and backslash.
@pytest.mark.parametrize("sep", [*"!#$%&'()*+./:<>?@[]^`{|}~", "..", "-.-", "a.", ".a", ":~:"])
def test_a_signer_with_any_other_sep_does_what_it_did(sep: str) -> None:
    signer = TimestampSigner(KEY, sep=sep)

    for n in range(50):  # so that signatures of all beginnings and ends are among them
        value = SessionSigner(signer).dumps({"n": n})
        assert read(value, signer) == read(value, fallbacks=[signer]) == [{"n": n}, None]
        assert SessionSigner(KEY, fallbacks=[signer]).loads(value) == {"n": n}


class OfTwoHalves(TimestampSigner):
    """As one that verifies what another program signs with a private key: it can't sign."""

    def get_signature(self, value: str | bytes) -> bytes:
        raise NotImplementedError

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        return TimestampSigner(KEY).verify_signature(value, sig)


def test_a_signer_that_only_verifies_may_be_a_fallback() -> None:
    value = SessionSigner(TimestampSigner(KEY)).dumps({"n": 1})

    assert SessionSigner(NEW_KEY, fallbacks=[OfTwoHalves(KEY)]).loads(value) == {"n": 1}


# fmt: off
NO_FALLBACKS = [
    (OLD_KEY,                     "str"),
    (OLD_KEY.encode(),            "bytes"),
    (TimestampSigner(OLD_KEY),    "TimestampSigner"),
    (SecretStr(OLD_KEY),          "SecretStr"),
    (Secret(OLD_KEY),             "Secret"),
    (None,                        "NoneType"),
    ({"january": OLD_KEY},        "dict"),  # or its names would be the keys
]
# fmt: on


@pytest.mark.parametrize(("fallbacks", "kind"), NO_FALLBACKS)
def test_fallbacks_that_are_no_list_are_refused(fallbacks: Any, kind: str) -> None:
    message = f"fallbacks must be a list of keys, not a {kind}; write fallbacks=[old_key]."

    with pytest.raises(TypeError) as from_signer:
        SessionSigner(KEY, fallbacks=fallbacks)
    with pytest.raises(TypeError) as from_middleware:
        SessionMiddleware(whoami, KEY, fallbacks=fallbacks)

    assert [str(from_signer.value), str(from_middleware.value)] == [message, message]


class OnlyDumps:
    dumps = staticmethod(json.dumps)


class OnlyLoads:
    dumps = "no function"
    loads = staticmethod(json.loads)


NEEDED = "needs functions dumps and loads, as json and orjson have; write serializer=json."

# fmt: off
NO_SERIALIZERS = [
    (None,          f"serializer of type NoneType {NEEDED}"),
    ("json",        f"serializer of type str {NEEDED}"),
    (OnlyDumps(),   f"serializer of type OnlyDumps {NEEDED}"),
    (OnlyLoads(),   f"serializer of type OnlyLoads {NEEDED}"),
]
# fmt: on


@pytest.mark.parametrize(("serializer", "message"), NO_SERIALIZERS)
def test_a_serializer_without_dumps_or_loads_is_refused(serializer: Any, message: str) -> None:
    with pytest.raises(TypeError) as from_signer:
        SessionSigner(KEY, serializer=serializer)
    with pytest.raises(TypeError) as from_middleware:
        SessionMiddleware(whoami, KEY, serializer=serializer)

    assert [str(from_signer.value), str(from_middleware.value)] == [message, message]


class Pickled:
    """As aiocache's and others' are made."""

    def dumps(self, content: Any) -> bytes:
        return pickle.dumps(content)

    def loads(self, payload: bytes) -> Any:
        return pickle.loads(payload)  # noqa: S301 - it comes from here


class Squeezed:
    """Its name says nothing."""

    def dumps(self, content: Any) -> bytes:
        return zlib.compress(pickle.dumps(content))

    def loads(self, payload: bytes) -> Any:
        return pickle.loads(zlib.decompress(payload))  # noqa: S301 - it comes from here


class Borrowed:
    dumps = staticmethod(json.dumps)
    loads = staticmethod(pickle.loads)


class Bound:
    dumps = staticmethod(pickle.dumps)
    loads = staticmethod(partial(pickle.loads, fix_imports=False))


dill: Any = pickle  # which is installed


class WithDill:
    dumps = staticmethod(json.dumps)

    def loads(self, payload: bytes) -> Any:
        return dill.loads(payload)


# fmt: off
RUN_CODE: list[tuple[Any, str]] = [
    (pickle,      "pickle"),
    (marshal,     "marshal"),
    (Pickled(),   "Pickled"),
    (Squeezed(),  "Squeezed"),
    (Borrowed(),  "Borrowed"),
    (Borrowed,    "Borrowed"),
    (Bound(),     "Bound"),
    (WithDill(),  "WithDill"),
]
# fmt: on


@pytest.mark.parametrize(("serializer", "name"), RUN_CODE)
@pytest.mark.parametrize(
    "make",
    [
        lambda serializer: SessionSigner(KEY, serializer=serializer),
        lambda serializer: SessionMiddleware(whoami, KEY, serializer=serializer),
        lambda serializer: Sessions(MemoryStore(), KEY, serializer=serializer),
    ],
    ids=["signer", "middleware", "sessions"],
)
def test_a_serializer_that_can_run_code_is_a_warning(make: Any, serializer: Any, name: str) -> None:
    with pytest.warns(UserWarning, match=r"^serializer=") as caught:
        make(serializer)

    [warning] = caught
    assert str(warning.message) == (
        f"serializer={name} can run code that it finds in a payload: somebody who gets the key can run their code on"
        f" this server; pass serializer=json, or asgi_signed_session.serializers.Tagged() for types that JSON doesn't"
        f" have."
    )
    assert (warning.filename, warning.lineno) == (__file__, make.__code__.co_firstlineno)


@pytest.mark.parametrize(
    "serializer", [json, *ORJSON, Spaced(), Reversed(), SimpleNamespace(dumps=json.dumps, loads=json.loads)]
)
def test_a_serializer_that_runs_no_code_is_no_warning(serializer: Any) -> None:
    SessionSigner(KEY, serializer=serializer)  # a warning is an error in these tests


# fmt: off
SHORT_KEYS = [
    ("k" * 15,                     "secret_key"),
    (b"k" * 15,                    "secret_key"),
    ("é" * 7 + "k",                "secret_key"),  # bytes count, not characters
    (SecretStr("k" * 15),          "secret_key"),
    (Secret("k" * 15),             "secret_key"),
    (TimestampSigner("k" * 15),    "a key of the signer in secret_key"),
]
# fmt: on


def warnings_of(secret_key: Any, fallbacks: Any = ()) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SessionMiddleware(whoami, secret_key, fallbacks=fallbacks)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("key", "option"), SHORT_KEYS)
def test_a_key_under_16_bytes_is_a_warning(key: Any, option: str) -> None:
    message = f"{option} has 15 bytes; under 16 can be guessed. {MAKE_A_KEY}"

    assert warnings_of(key) == [message]
    assert warnings_of(KEY, [key]) == [message.replace("secret_key", "fallbacks[0]")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SessionSigner("short"),
        lambda: SessionSigner(TimestampSigner("short")),
        lambda: SessionSigner(KEY, fallbacks=["short"]),
        lambda: SessionMiddleware(whoami, "short"),
        lambda: SessionMiddleware(whoami, KEY, fallbacks=["short"]),
        lambda: SessionMiddleware(whoami, KEY, fallbacks=["change me"]),
        lambda: SessionSigner("abcd" * 4),
    ],
)
def test_a_warning_points_at_the_code_that_passes_the_key(make: Callable[[], object]) -> None:
    with pytest.warns(UserWarning, match=r"^(secret_key|fallbacks\[0\]|a key of the signer in secret_key) ") as caught:
        make()

    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, make.__code__.co_firstlineno)]


@pytest.mark.parametrize(
    "key", ["abcde" + "k" * 11, b"abcde" + b"k" * 11, "éàèùô123456", TimestampSigner("abcd" * 4 + "e")]
)
def test_a_key_of_16_bytes_and_five_different_characters_is_no_warning(key: Any) -> None:
    assert warnings_of(key, [key]) == []


def test_a_key_with_stars_in_it_is_a_key() -> None:
    key = "a key with ten stars: **********"

    assert SessionSigner(key).loads(SessionSigner(key).dumps({"n": 1})) == {"n": 1}


def to_be_filled_in(shown: str, rest: str = "") -> str:
    return f"is {shown!r}{rest}, which is a placeholder that has to be filled in"


def of_samples(shown: str, rest: str = "") -> str:
    return f"is {shown!r}{rest}, which is a placeholder from samples"


OF_AN_OBJECT = "is how Python shows an object, another in each process, and no key"
WHERE_KEPT = "says where a key is kept, and is none"
IN_DOCUMENTATION = "is one that the documentation of a framework shows, so everybody has it"

# fmt: off
PLACEHOLDERS: list[tuple[Any, str | None]] = [
    ("${SECRET}",               to_be_filled_in("${SECRET}")),       # a shell, Compose
    ("$SECRET",                 to_be_filled_in("$SECRET")),
    ("$(SECRET)",               to_be_filled_in("$(SECRET)")),       # Kubernetes, Azure
    ("$session_secret",         to_be_filled_in("$session_secret")),
    ('"${SECRET}"\n',           to_be_filled_in("${SECRET}")),
    (b"'${SECRET}'",            to_be_filled_in("${SECRET}")),
    ("${SECRET:-hunter2}",      to_be_filled_in("${SECRET", "...")),  # a default may be a real key
    ("${SECRET-hunter2}",       to_be_filled_in("${SECRET", "...")),
    ("${SECRET+hunter2}",       to_be_filled_in("${SECRET", "...")),
    ("${SECRET?not set}",       to_be_filled_in("${SECRET", "...")),
    ("${{ secrets.SESSION }}",  to_be_filled_in("${{ secrets.SESSION }}")),  # GitHub
    ("{{ secret }}",            to_be_filled_in("{{ secret }}")),    # Jinja, Helm, Ansible
    ("{{ secret | default('hunter2') }}", to_be_filled_in("{{ secret ", "...")),
    ("{% env SECRET %}",        to_be_filled_in("{% env SECRET %}")),
    ("<%= secret %>",           to_be_filled_in("<%", "...")),
    ("%SECRET%",                to_be_filled_in("%SECRET%")),        # Windows
    ("%(secret)s",              to_be_filled_in("%(secret)s")),
    ("@SECRET@",                to_be_filled_in("@SECRET@")),        # CMake
    ("__SESSION_TOKEN__",       to_be_filled_in("__SESSION_TOKEN__")),
    ("#{Session_Token}#",       None),                                      # of both cases: it may be a key
    ("#{SESSION_TOKEN}#",       to_be_filled_in("#{SESSION_TOKEN}#")),
    ("{session_token}",         to_be_filled_in("{session_token}")),
    ("<your-key>",              to_be_filled_in("<your-key>")),
    ("<a 32-byte hex string>",  to_be_filled_in("<a 32-byte hex string>")),
    ("<no value>",              to_be_filled_in("<no value>")),      # Helm, of what isn't set
    ("[the shop's token]",      to_be_filled_in("[the shop", "...")),
    (str(lambda: KEY), OF_AN_OBJECT),
    (str(object()), OF_AN_OBJECT),
    ("op://shop/session/key", WHERE_KEPT),
    ("/run/secrets/shop", WHERE_KEPT),
    ("arn:aws:secretsmanager:eu-west-1:1:secret:a", WHERE_KEPT),
    ("ENC[AES256_GCM,data:abc]", WHERE_KEPT),
    ("change me",               of_samples("change me")),
    ("changeme",                of_samples("changeme")),
    ("CHANGE_ME_123",           of_samples("CHANGE_ME_123")),
    ("changethis",              of_samples("changethis")),
    ("change-me-in-production", of_samples("change-me-in-production")),
    ("THIS_NEEDS_TO_BE_CHANGED", of_samples("THIS_NEEDS_TO_BE_CHANGED")),
    ("your-secret-key-here",    of_samples("your-secret-key-here")),
    (b"your_secret_key",        of_samples("your_secret_key")),
    ("your-256-bit-secret",     of_samples("your-256-bit-secret")),
    ("your-super-secret-key-please-change-in-production",
     of_samples("your-super-secret-key-please-change-in-p", "...")),
    ("replace-this-with-a-long-random-string", of_samples("replace-this-with-a-long-random-string")),
    ("insert your key here",    of_samples("insert your key here")),
    ("TODO",                    of_samples("TODO")),
    ("TODO: set a real key",    of_samples("TODO", "...")),
    ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", IN_DOCUMENTATION),  # FastAPI's
    ('_5#y2L"F4Q8z\n\xec]/',    IN_DOCUMENTATION),                          # Flask's
    (b'_5#y2L"F4Q8z\n\xec]/',   IN_DOCUMENTATION),
    # What may be a key:
    ("change-me-8d969eef6ecad3c29a3a629280e686cf", None),
    ("replace-this-key-with-1234567890",           None),
    ("change your mind and the weather",           None),
    ("the secret of the old clock",                None),
    ("a key of more than sixteen bytes",           None),
    ("$argon2id$v=19$m=65536,t=3,p=4",             None),
    ("<kQ7]w>9%x{{2}}pZ>",                         None),
    ("${kQ7w9x2pZ5tY8vB1}",                        None),
    ("änder mich, your secret key",                None),
    ("some-random-string",                         None),
]
# fmt: on


def name_key(key: object) -> str:
    """The same in each process: pytest runs a test again by its name."""
    return re.sub(r" at 0x[0-9a-f]+|[^ -~]|\\", "", str(key))


@pytest.mark.parametrize(("key", "what"), PLACEHOLDERS, ids=name_key)
def test_what_only_stands_in_the_place_of_a_key_is_refused(key: Any, what: str | None) -> None:
    if what is None:
        assert warnings_of(key) == []
        return
    for secret_key, option in ((key, "secret_key"), (TimestampSigner([KEY, key]), "a key of the signer in secret_key")):
        with pytest.raises(ValueError, match=r"^") as from_middleware:
            SessionMiddleware(whoami, secret_key)
        with pytest.raises(ValueError, match=r"^") as from_signer:
            SessionSigner(secret_key)

        assert str(from_middleware.value) == str(from_signer.value) == f"{option} {what}. {MAKE_A_KEY}"
        assert "hunter2" not in str(from_signer.value)


@pytest.mark.parametrize(("key", "what"), [(key, what) for key, what in PLACEHOLDERS if what is not None], ids=name_key)
def test_a_fallback_that_only_stands_in_the_place_of_a_key_is_a_warning(key: Any, what: str) -> None:
    # It may really have been in use, and whoever moves away from it wants to sign nobody out.
    rest = f"{what}: anybody can make sessions while it is accepted, and it needs to go soon."

    assert warnings_of(KEY, [key]) == [f"fallbacks[0] {rest}"]
    assert warnings_of(KEY, [TimestampSigner(key)]) == [f"a key of the signer in fallbacks[0] {rest}"]
    assert warnings_of(TimestampSigner([key, KEY])) == [f"a key of the signer in secret_key {rest}"]


def test_an_app_moves_off_the_key_of_a_sample_with_nobody_logged_out() -> None:
    with pytest.warns(UserWarning, match="anybody can make sessions"):
        signer = SessionSigner(KEY, fallbacks=["change-me-in-production"])

    assert signer.loads(sign({"n": 1}, "change-me-in-production")) == {"n": 1}


GUESSED = "secret_key is one of the first that anybody would guess, such as 'secret'. " + MAKE_A_KEY

# fmt: off
WEAK_KEYS = [
    *((key, GUESSED) for key in ("secret", "!secret", "Secret-Key", "super_secret_key", b"this is my secret",
                                 "SESSION_SECRET", "password1", "keyboard cat", "my-super-secret-key-2024")),
    ("xxxxxxxxxxxxxxxxxxxx",      "secret_key has fewer than 5 different characters and can be guessed. " + MAKE_A_KEY),
    ("abcd" * 8,                  "secret_key has fewer than 5 different characters and can be guessed. " + MAKE_A_KEY),
    (b"\0" * 32,                  "secret_key has fewer than 5 different characters and can be guessed. " + MAKE_A_KEY),
    ("é" * 32,                    "secret_key has fewer than 5 different characters and can be guessed. " + MAKE_A_KEY),
    ("django-insecure-8!kd&x2u(", ("secret_key begins with 'django-insecure-': Django has made it for development, and"
                                   " put it into a file that others may have. " + MAKE_A_KEY)),
]
# fmt: on


@pytest.mark.parametrize(("key", "message"), WEAK_KEYS)
def test_a_key_that_looks_weak_is_a_warning(key: str | bytes, message: str) -> None:
    assert warnings_of(key) == [message]
    assert warnings_of(KEY, [key]) == [message.replace("secret_key", "fallbacks[0]")]
    assert warnings_of(TimestampSigner(key)) == ["a key of the signer in " + message]


def test_random_bytes_may_begin_or_end_with_a_space() -> None:
    assert warnings_of(b" \x9c\xd5\x02\x8f\xe1k\xb3\x17\xd9\x80\x0c\xf2\xaaw\x1e\n") == []
    assert "white space" in warnings_of(KEY.encode() + b"\n")[0]


DJANGOS = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"  # of its get_random_secret_key
TYPED = string.ascii_letters + string.digits + string.punctuation  # which a password manager's are of


def draw(alphabet: str, length: int) -> str:
    return "".join(map(secrets.choice, [alphabet] * length))


@pytest.mark.parametrize(
    "generate",
    [
        lambda: secrets.token_urlsafe(32),
        lambda: secrets.token_hex(16),
        lambda: secrets.token_bytes(24),
        lambda: str(uuid.uuid4()),
        lambda: uuid.uuid4().hex,
        lambda: b64encode(secrets.token_bytes(16)),
        lambda: base64.b32encode(secrets.token_bytes(20)).decode(),
        lambda: draw(DJANGOS, 50),
        lambda: draw(TYPED, 20),
        lambda: draw(TYPED, 64),
    ],
    ids=["urlsafe", "hex", "bytes", "uuid", "its hex", "base64", "base32", "Django", "20 typed", "64 typed"],
)
def test_no_random_key_is_taken_for_a_weak_one(generate: Callable[[], str | bytes]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in (generate() for _ in range(1000)):
            check_key("secret_key", key, is_fallback=False)
