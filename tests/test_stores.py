from __future__ import annotations

import asyncio
import hmac
import json
import pickle
import types
from base64 import urlsafe_b64decode
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from asgi_signed_session import Session, SessionError, SessionMiddleware, UnserializableSessionError
from asgi_signed_session.sealing import Sealed
from asgi_signed_session.stores import Store

from .advice import ENDED, FAILED, NO_HEADERS, SUPERSEDED, TOO_LATE, TOO_LATE_TO_RENEW, UNREADABLE
from .apps import Interrupted, app_that, app_with_error_page, clear_twice, deny, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap, warnings
from .records import Records, close_record, hash_proof, key_of, make_seal, open_record, read_id
from .wire import DELETED, KEPT, cookie, make_signer, sign, sign_payload

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
DAY = 86400
OLD_KEY = "an old key of more than 16 bytes"
UNKNOWN_ID = "x" * 43


@pytest.fixture
def store() -> Records:
    return Records()


@pytest.fixture
def visitor(wrap: Wrap, store: Records) -> Browser:
    return wrap(visit, store=store)


def log_in(scope: Any) -> None:
    scope["session"]["user"] = "ada"


def look(scope: Any) -> Any:
    return [dict(scope["session"]), scope["session"].rejected]


def untouched(scope: Any) -> None:
    pass


def put(**content: Any) -> Callable[[Any], None]:
    return lambda scope: scope["session"].update(content)


def regenerate(scope: Any) -> None:
    scope["session"].regenerate()


def clear(scope: Any) -> None:
    scope["session"].clear()


def own_id(browser: Browser, name: str = "session") -> str:
    return read_id(browser.cookies[name], name)


def own_key(browser: Browser, name: str = "session") -> str:
    return key_of(own_id(browser, name), name)


def change_app(browser: Browser, act: Any, store: Any, *, late: Any = None, **options: Any) -> None:
    """Lets the browser visit another app with the same store."""
    browser.app = SessionMiddleware(app_that(act, late=late), KEY, store=store, **options)


# What is in the cookie, and what in the store


def test_a_session_in_a_store_lives_from_login_to_logout(visitor: Browser, store: Records) -> None:
    assert visitor.get("/whoami").json() == {}
    visitor.get("/login")
    assert visitor.get("/whoami").json() == {"user": "ada"}
    visitor.get("/add")
    visitor.get("/add")
    assert visitor.get("/whoami").json() == {"user": "ada", "cart": ["tea", "tea"]}
    visitor.get("/logout")
    assert visitor.get("/whoami").json() == {}
    assert visitor.cookies == {}
    assert store.records == {}


def test_the_cookie_carries_a_signed_id_and_the_store_has_the_data_under_its_hash(
    visitor: Browser, store: Records
) -> None:
    response = visitor.get("/login")

    session_id = own_id(visitor)
    assert len(urlsafe_b64decode(session_id + "=")) == 32
    assert response.headers == [
        (b"vary", b"Cookie"),
        (b"set-cookie", f"session={make_signer().sign(session_id).decode()}; {KEPT}".encode()),
        (b"cache-control", b'no-cache="Set-Cookie"'),
    ]
    [(key, (record, ttl))] = store.records.items()
    assert (key, ttl) == (key_of(session_id), 14 * DAY)
    assert open_record(key, record) == (hash_proof(session_id), NOW + 14 * DAY, b'{"user":"ada"}')


def test_each_session_has_an_id_of_its_own(wrap: Wrap, store: Records) -> None:
    browsers = [wrap(visit, store=store) for _ in range(20)]
    for browser in browsers:
        browser.get("/login")

    assert len({own_id(browser) for browser in browsers}) == len(store.records) == 20


@pytest.mark.parametrize("path", ["/", "/whoami", "/logout"])
def test_a_visitor_who_stores_nothing_leaves_nothing(visitor: Browser, store: Records, path: str) -> None:
    response = visitor.get(path)

    assert response.all(b"set-cookie") == []
    assert store.asked == []


def test_what_a_request_asks_of_the_store(visitor: Browser, store: Records) -> None:
    asked: dict[str, list[str]] = {}
    for name in ["login", "untouched", "whoami", "add", "logout", "whoami"]:
        store.forget()
        visitor.get(f"/{name}")
        asked[name] = asked.get(name, []) + store.methods

    assert asked == {
        "login": ["swap"],
        "untouched": ["get"],
        "whoami": ["get"],  # and nothing the second time, when there is no cookie
        "add": ["get", "swap"],
        "logout": ["get", "delete"],
    }


def test_an_untouched_session_sends_no_headers(visitor: Browser) -> None:
    visitor.get("/login")

    assert visitor.get("/untouched").headers == []


def test_a_session_in_a_store_may_be_larger_than_a_cookie(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(put(text="x" * 60_000)), store=store)
    browser.get()
    change_app(browser, look, store)

    assert browser.get().json() == [{"text": "x" * 60_000}, None]
    assert len(browser.cookies["session"]) < 110


def test_websocket_and_http_share_the_session_in_the_store(visitor: Browser, store: Records) -> None:
    visitor.get("/login")
    response = visitor.websocket("/add")

    assert response.headers == []
    assert visitor.get("/whoami").json() == {"user": "ada", "cart": ["tea"]}


def test_a_change_on_a_refused_websocket_is_stored_with_the_denial_response(wrap: Wrap, store: Records) -> None:
    browser = wrap(deny, store=store)
    response = browser.websocket()

    assert response.start["type"] == "websocket.http.response.start"
    assert store.sessions == {own_key(browser): ADA}


def test_a_denial_response_carries_the_cookie_where_an_accept_can_not(wrap: Wrap, store: Records) -> None:
    browser = wrap(deny, store=store)
    browser.websocket(asgi={"version": "3.0", "spec_version": "2.0"})

    assert store.sessions == {own_key(browser): ADA}


@pytest.mark.parametrize(
    "content", [{"a": "\ud800", "b": "\x00", "c": "é\n"}, {"$oid": {"a.b": 1}}, {"": [None, True, 1.5, {}]}]
)
def test_any_content_comes_back_from_the_store(wrap: Wrap, store: Records, content: Any) -> None:
    browser = wrap(app_that(put(**content)), store=store)
    browser.get()
    seen: list[Any] = []
    change_app(browser, lambda scope: seen.append(dict(scope["session"])), store)
    browser.get()

    assert seen == [content]


@pytest.mark.filterwarnings("ignore:serializer=pickle")
def test_a_serializer_of_bytes_that_are_no_text_may_be_used_with_a_store(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(put(when={1, 2})), store=store, serializer=pickle)
    browser.get()
    seen: list[Any] = []
    change_app(browser, lambda scope: seen.append(dict(scope["session"])), store, serializer=pickle)
    browser.get()

    assert seen == [{"when": {1, 2}}]


ACTS: dict[str, Callable[[Any], Any]] = {
    "read": lambda session: None,
    "set": lambda session: session.update(n=session.get("n", 0) + 1),
    "nest": lambda session: session.setdefault("list", []).append(len(session)),
    "pop": lambda session: session.pop("n", None),
    "clear": lambda session: session.clear(),
    "regenerate": lambda session: session.regenerate(),
    "remember": lambda session: setattr(session, "max_age", 60),
    "end": lambda session: setattr(session, "max_age", None),
}


@given(st.lists(st.tuples(st.lists(st.sampled_from(sorted(ACTS)), max_size=3), st.integers(0, 50)), max_size=8))
def test_an_app_sees_the_same_session_with_and_without_a_store(visits: list[tuple[list[str], int]]) -> None:
    """As long as it isn't emptied: in a store an empty session is kept."""

    def act(scope: Any) -> Any:
        session: Session = scope["session"]
        session.setdefault("visits", 0)
        for name in json.loads(scope["path"][1:]):
            ACTS[name](session)
        session["visits"] = session.get("visits", 0) + 1
        return [session, session.modified, session.rejected, session.max_age]

    browsers = [Browser(SessionMiddleware(app_that(act), KEY, store=s, max_age=90)) for s in (None, Records())]
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for names, seconds in visits:
            clock.shift(seconds // 6)  # a change within a tenth of its life doesn't prolong a session in a store
            first, second = (browser.get(f"/{json.dumps(names)}") for browser in browsers)

            assert second.json() == first.json()
            assert second.all(b"vary") == first.all(b"vary")


# Cookies that can't be used


def test_an_id_that_the_store_does_not_know_is_not_adopted(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(look), store=store)
    browser.cookies["session"] = make_signer().sign(UNKNOWN_ID).decode()
    assert browser.get().json() == [{}, "expired"]

    change_app(browser, log_in, store)
    browser.get()

    assert own_id(browser) != UNKNOWN_ID
    assert store.sessions == {own_key(browser): ADA}


@pytest.mark.parametrize(
    ("value", "rejected"),
    [
        ("junk", "bad-signature"),
        (make_signer("another key of sixteen bytes").sign(UNKNOWN_ID).decode(), "bad-signature"),
        (make_signer(name="other").sign(UNKNOWN_ID).decode(), "bad-signature"),
        (sign({"user": "ada"}), "malformed"),  # data, from before there was a store
        (sign_payload(b"x" * 31), "malformed"),
        (make_signer().sign("x" * 42).decode(), "malformed"),
        (make_signer().sign("x" * 44).decode(), "malformed"),
        (make_signer().sign("x" * 42 + "\u00e9").decode(), "malformed"),
        (make_signer().sign("x" * 42 + "\n").decode(), "malformed"),
        ("x" * 4097, "malformed"),
    ],
    ids=[
        *("not signed", "another key", "another cookie", "data", "31 bytes", "42 letters", "44 letters"),
        *("a letter beyond ASCII", "a line's end", "too long"),
    ],
)
def test_a_cookie_without_an_id_of_ours_never_reaches_the_store(
    wrap: Wrap, store: Records, value: str, rejected: str
) -> None:
    browser = wrap(app_that(look), store=store)
    response = browser.get(headers=[(b"cookie", b"session=" + value.encode())])

    assert response.json() == [{}, rejected]
    assert response.all(b"set-cookie") == []
    assert store.asked == []


UNKNOWN_KEY = key_of(UNKNOWN_ID)
EMPTY = close_record(UNKNOWN_KEY, {}, hash_proof(UNKNOWN_ID))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 63, id="too short"),
        pytest.param(b"x" * 100, id="junk"),
        pytest.param("text", id="text"),
        pytest.param("text " * 30, id="as long as one"),
        pytest.param({"session": "{}"}, id="a dict"),
        pytest.param(EMPTY[:-1] + b"]", id="changed"),
        pytest.param(bytes([EMPTY[0] ^ 1]) + EMPTY[1:], id="another signature"),
        pytest.param(EMPTY[:40] + b"\0" * 16 + EMPTY[56:], id="another proof"),
        pytest.param(EMPTY[:56] + b"\0" * 8 + EMPTY[64:], id="another end"),
        pytest.param(close_record("0" * 64, {}, hash_proof(UNKNOWN_ID)), id="moved"),
        pytest.param(
            make_seal(OLD_KEY).close(UNKNOWN_KEY, Sealed(hash_proof(UNKNOWN_ID), None, b"{}")), id="other key"
        ),
        pytest.param(close_record(UNKNOWN_KEY, b"[", hash_proof(UNKNOWN_ID)), id="no JSON"),
        pytest.param(close_record(UNKNOWN_KEY, b"[]", hash_proof(UNKNOWN_ID)), id="a list"),
        pytest.param(close_record(UNKNOWN_KEY, {"$session": 1}, hash_proof(UNKNOWN_ID)), id="no metadata"),
        pytest.param(close_record(UNKNOWN_KEY, {"$session": {"principal": 1}}, hash_proof(UNKNOWN_ID)), id="principal"),
        pytest.param(close_record(UNKNOWN_KEY, {"$session": {"renewed": "x"}}, b"another's proof!"), id="renewed"),
    ],
)
def test_a_record_that_is_no_session_is_malformed(wrap: Wrap, store: Records, record: Any) -> None:
    browser = wrap(app_that(look), store=store)
    browser.cookies["session"] = make_signer().sign(UNKNOWN_ID).decode()
    store.records[UNKNOWN_KEY] = record, None

    assert browser.get().json() == [{}, "malformed"]


def test_a_record_begins_with_an_hmac_of_its_key_and_of_all_that_follows(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(log_in), store=store, max_age=100)
    browser.get()
    [(key, (record, _))] = store.records.items()
    seal = hmac.digest(make_signer().derive_key(), b"asgi-signed-session.record", "sha256")

    mac, nonce, rest = record[:32], record[32:40], record[40:]

    assert mac == hmac.digest(seal, key.encode() + nonce + rest, "sha256")
    assert rest == hash_proof(own_id(browser)) + (NOW + 100).to_bytes(8, "big") + b'{"user":"ada"}'


def test_a_record_that_was_copied_to_another_sessions_key_is_malformed(wrap: Wrap, store: Records) -> None:
    """Whoever can write the store can end sessions, and neither make nor move one."""
    admin, mallory = wrap(app_that(put(user="admin")), store=store), wrap(app_that(put(user="mallory")), store=store)
    admin.get()
    mallory.get()
    store.records[own_key(mallory)] = store.records[own_key(admin)]
    change_app(mallory, look, store)

    assert mallory.get().json() == [{}, "malformed"]


def test_the_next_change_leaves_a_record_that_is_no_session_alone(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(log_in), store=store)
    browser.cookies["session"] = make_signer().sign(UNKNOWN_ID).decode()
    store.records[UNKNOWN_KEY] = b"junk", None
    browser.get()

    assert store.records.pop(UNKNOWN_KEY) == (b"junk", None)
    assert store.sessions == {own_key(browser): ADA}
    assert own_id(browser) != UNKNOWN_ID


def test_the_session_is_that_of_the_first_cookie_whose_record_can_be_used(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    unknown = make_signer().sign(UNKNOWN_ID).decode()

    response = browser.get(
        "/whoami", headers=[(b"cookie", f"session={unknown}; session={browser.cookies['session']}".encode())]
    )

    assert response.json() == ADA


def test_a_rejected_cookie_is_deleted_when_the_session_is_cleared(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(clear), store=store)
    browser.cookies["session"] = make_signer().sign(UNKNOWN_ID).decode()

    assert browser.get().all(b"set-cookie") == [DELETED]
    assert store.records == {}


# Ids


def test_regenerate_gives_the_session_a_new_id_in_one_step_and_its_key_stays(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    before = own_id(browser)
    store.forget()
    change_app(browser, regenerate, store)
    browser.get()

    assert own_id(browser) != before
    assert own_id(browser)[:22] == before[:22]
    assert store.sessions == {key_of(before): ADA}
    assert store.asked == [("get", key_of(before)), ("swap", key_of(before))]


def sign_in_as_bob(scope: Any) -> None:
    scope["session"].clear()
    scope["session"]["user"] = "bob"


def replace_by_bob(scope: Any) -> None:
    scope["session"] = {"user": "bob"}


@pytest.mark.parametrize("act", [sign_in_as_bob, replace_by_bob])
def test_what_is_put_into_a_cleared_or_replaced_session_gets_a_new_id_and_nothing_of_before(
    wrap: Wrap, store: Records, act: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/add")
    before = own_id(browser)
    change_app(browser, act, store)
    browser.get()

    assert own_id(browser) != before
    assert store.sessions == {own_key(browser): {"user": "bob"}}


def test_a_cookie_of_before_finds_an_empty_session_and_can_do_nothing(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    thief = wrap(app_that(look), store=store)
    thief.cookies.update(browser.cookies)
    change_app(browser, regenerate, store)
    browser.get()
    records = dict(store.records)

    assert thief.get().json() == [{}, "superseded"]
    for act in (log_in, clear, put(user=None)):
        change_app(thief, act, store, late=put(b=1))
        assert thief.get("/thief").all(b"set-cookie") == []
    assert store.records == records
    assert warnings(caplog) == [
        f"Session changes on '/thief' not saved: {keys}. {SUPERSEDED}"
        for keys in ("'user'", "'user', 'b'", "'b'", "'user'", "'user', 'b'")
    ]


@pytest.mark.parametrize(
    "sign_in",
    [
        pytest.param([lambda s: s.update(user="bob"), lambda s: s.regenerate()], id="regenerate"),
        pytest.param([lambda s: setattr(s, "principal", "bob"), lambda s: s.update(user="bob")], id="principal"),
        pytest.param([lambda s: s.clear(), lambda s: s.update(user="bob")], id="clear and set"),
    ],
)
def test_who_comes_with_a_cookie_of_before_and_signs_in_begins_a_session_of_its_own(
    wrap: Wrap, store: Records, sign_in: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    other = wrap(app_that(lambda scope: [act(scope["session"]) for act in sign_in]), store=store)
    other.cookies.update(browser.cookies)
    change_app(browser, regenerate, store)
    browser.get()
    other.get()
    change_app(other, look, store)
    change_app(browser, look, store)

    assert (other.get().json(), browser.get().json()) == ([{"user": "bob"}, None], [ADA, None])
    assert own_key(other) != own_key(browser)


@pytest.mark.parametrize("order", [0, 1])
def test_a_cookie_of_before_gives_way_to_the_next(wrap: Wrap, store: Records, order: int) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    cookies = [browser.cookies["session"]]
    change_app(browser, regenerate, store)
    browser.get()
    cookies.insert(order, browser.cookies["session"])
    change_app(browser, look, store)

    header = "; ".join(f"session={value}" for value in cookies).encode()
    assert browser.get(headers=[(b"cookie", header)]).json() == [ADA, None]


@pytest.mark.parametrize("others", [("junk",), ("junk", "junk"), ("",), ("ended",), ("ended", "junk")])
def test_with_a_cookie_of_before_among_others_that_cannot_be_used_nothing_is_set(
    wrap: Wrap, store: Records, others: tuple[str, ...]
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    old = browser.cookies["session"]
    change_app(browser, regenerate, store)
    browser.get()
    change_app(browser, log_in, store)

    ended = make_signer().sign(UNKNOWN_ID).decode()
    values = [ended if each == "ended" else each for each in (*others, old, *others)]
    header = "; ".join(f"session={value}" for value in values).encode()
    assert browser.get(headers=[(b"cookie", header)]).all(b"set-cookie") == []


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(clear, id="clear"),
        pytest.param(lambda scope: scope.pop("session"), id="taken away"),
        pytest.param(lambda scope: bool(scope["session"]) + bool(scope.update(session={})), id="replaced"),
    ],
)
def test_ending_the_session_deletes_record_and_cookie(wrap: Wrap, store: Records, empty: Any) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    change_app(browser, empty, store)

    assert browser.get().all(b"set-cookie") == [DELETED]
    assert store.records == {}


@pytest.mark.parametrize(("path", "lines"), [("/login", [DELETED]), ("/untouched", [])])
def test_a_cookie_that_is_deleted_is_deleted_by_an_error_page_too(
    wrap: Wrap, store: Records, path: str, lines: list[bytes]
) -> None:
    browser = wrap(visit, store=store)
    browser.get(path)
    browser.app = SessionMiddleware(clear_twice, KEY, store=store)
    starts = browser.get().messages

    assert [[value for name, value in start["headers"] if name == b"set-cookie"] for start in starts] == [lines, lines]


def test_the_sessions_id_is_the_key_of_its_record_and_never_what_the_cookie_carries(wrap: Wrap, store: Records) -> None:
    seen: list[str | None] = []

    def note(scope: Any) -> None:
        seen.append(scope["session"].store_key)

    def note_and_log_in(scope: Any) -> None:
        note(scope)
        log_in(scope)

    browser = wrap(app_that(note_and_log_in, late=note), store=store)
    browser.get()
    first = own_key(browser)
    change_app(browser, note, store)
    browser.get()

    assert seen == [first] * 3
    assert own_id(browser) not in seen


def test_a_session_that_is_emptied_is_kept_with_its_cookie(wrap: Wrap, store: Records) -> None:
    """As another request may be adding to it; a flash is often the last key that there is."""
    browser = wrap(visit, store=store)
    browser.get("/login")
    cookies = dict(browser.cookies)
    change_app(browser, lambda scope: scope["session"].pop("user"), store)

    assert browser.get().all(b"set-cookie") == []
    assert (browser.cookies, store.sessions) == (cookies, {own_key(browser): {}})
    change_app(browser, look, store)
    assert browser.get().json() == [{}, None]


def test_a_new_session_has_its_key_before_it_is_saved_and_the_same_after_regenerate(wrap: Wrap, store: Records) -> None:
    seen: list[str | None] = []

    def act(scope: Any) -> None:
        session = scope["session"]
        session["user"] = "ada"
        seen.append(session.store_key)
        session.regenerate()
        seen.append(session.store_key)
        session.clear()
        seen.append(session.store_key)
        session["user"] = "bob"

    browser = wrap(app_that(act), store=store)
    browser.get()

    assert seen == [own_key(browser)] * 3
    assert store.sessions == {own_key(browser): {"user": "bob"}}


def test_looking_at_the_id_of_a_session_that_stays_empty_leaves_nothing(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].store_key), store=store)

    assert len(browser.get().json()) == 64
    assert (browser.cookies, store.asked) == ({}, [])


def test_a_session_without_a_store_has_no_id(wrap: Wrap) -> None:
    assert wrap(app_that(lambda scope: scope["session"].store_key)).get(headers=[cookie(ADA)]).json() is None
    assert Session(ADA).store_key is None


def test_a_session_is_ended_by_deleting_its_id_from_the_store(wrap: Wrap, store: Records) -> None:
    phone, laptop = wrap(visit, store=store), wrap(visit, store=store)
    phone.get("/login")
    laptop.get("/login")

    async def end_the_phone() -> None:
        await store.delete(own_key(phone))

    asyncio.run(end_the_phone())

    assert phone.get("/whoami").json() == {}
    assert laptop.get("/whoami").json() == ADA


def test_a_session_made_by_hand_can_be_regenerated() -> None:
    session = Session(ADA)
    session.regenerate()

    assert (session, session.modified, session.store_key) == (ADA, True, None)


@pytest.mark.parametrize("key", [KEY, TimestampSigner(KEY)], ids=["key", "signer"])
def test_an_id_of_one_cookie_leads_to_nothing_as_another_cookies(wrap: Wrap, store: Records, key: Any) -> None:
    """A whole signer signs both alike, and both are kept in one store."""
    user = wrap(visit, key, session_cookie="user", store=store)
    user.get("/login")
    admin = wrap(visit, key, session_cookie="admin", store=store)
    admin.cookies["admin"] = user.cookies["user"]

    assert admin.get("/whoami").json() == {}
    assert user.get("/whoami").json() == ADA


# Time


@pytest.mark.parametrize(
    ("options", "own", "attributes", "ttl"),
    [
        ({}, ..., KEPT, 14 * DAY),
        ({"max_age": 60}, ..., "path=/; Max-Age=60; httponly; samesite=lax", 60),
        ({"max_age": None}, ..., "path=/; httponly; samesite=lax", None),
        ({"max_age": None, "lifetime": 90}, ..., "path=/; httponly; samesite=lax", 90),
        ({"max_age": 60, "lifetime": 30}, ..., "path=/; Max-Age=30; httponly; samesite=lax", 30),
        ({}, 5, "path=/; Max-Age=5; httponly; samesite=lax", 5),
        ({}, None, "path=/; httponly; samesite=lax", 14 * DAY),
        ({"max_age": None}, None, "path=/; httponly; samesite=lax", None),
        ({"max_age": 60, "lifetime": 90}, None, "path=/; httponly; samesite=lax", 60),
        ({"lifetime": 90}, None, "path=/; httponly; samesite=lax", 90),
    ],
)
def test_the_records_time_to_live_follows_the_sessions(
    wrap: Wrap, store: Records, options: Any, own: Any, attributes: str, ttl: int | None
) -> None:
    def act(scope: Any) -> None:
        log_in(scope)
        if own is not ...:
            scope["session"].max_age = own

    browser = wrap(app_that(act), store=store, **options)
    [line] = browser.get().all(b"set-cookie")

    assert line.partition(b"; ")[2].decode() == attributes
    assert store.times_to_live == [ttl]


def test_a_session_past_its_own_max_age_is_expired_though_the_store_still_has_it(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    def remember(scope: Any) -> None:
        log_in(scope)
        scope["session"].max_age = 60

    browser = wrap(app_that(remember), store=store)
    browser.get()
    change_app(browser, look, store)
    clock.shift(60)
    assert browser.get().json() == [ADA, None]
    clock.shift(1)
    assert browser.get().json() == [{}, "expired"]


def test_a_session_past_the_middlewares_max_age_is_expired_though_the_store_still_has_it(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    browser = wrap(app_that(log_in), store=store, max_age=60)
    browser.get()
    change_app(browser, look, store, max_age=60)
    clock.shift(60)
    assert browser.get().json() == [ADA, None]
    clock.shift(1)
    assert browser.get().json() == [{}, "expired"]


def test_a_session_older_than_refresh_after_gets_a_new_cookie_and_its_record_a_new_time(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    browser = wrap(app_that(log_in), store=store, max_age=100, refresh_after=50)
    browser.get()
    key = own_key(browser)
    change_app(browser, look, store, max_age=100, refresh_after=50)
    clock.shift(51)
    store.records[key] = store.records[key][0], 49
    response = browser.get()

    assert response.all(b"set-cookie") == [
        f"session={make_signer().sign(own_id(browser)).decode()}; path=/; Max-Age=100; httponly; samesite=lax".encode()
    ]
    assert (own_key(browser), store.times_to_live) == (key, [100])
    assert open_record(key, store.records[key][0]).end == NOW + 151


def test_a_session_in_a_store_is_not_signed_anew_before_half_of_its_life_is_over(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    """A cookie that is sent now and then is one that may arrive after that of a sign-in."""
    browser = wrap(app_that(log_in), store=store, max_age=100, refresh_after=10)
    browser.get()
    change_app(browser, look, store, max_age=100, refresh_after=10)
    clock.shift(50)
    assert browser.get().all(b"set-cookie") == []
    clock.shift(1)
    assert len(browser.get().all(b"set-cookie")) == 1


@pytest.mark.parametrize(("own", "seconds"), [(40, 20), (31, 15)])
def test_one_with_a_shorter_life_of_its_own_is_signed_anew_once_half_of_that_is_over(
    wrap: Wrap, store: Records, clock: Any, own: int, seconds: int
) -> None:
    def begin(scope: Any) -> None:
        log_in(scope)
        scope["session"].max_age = own

    browser = wrap(app_that(begin), store=store, max_age=1000, refresh_after=500)
    browser.get()
    change_app(browser, look, store, max_age=1000, refresh_after=500)
    clock.shift(seconds)
    assert browser.get().all(b"set-cookie") == []
    clock.shift(1)
    assert len(browser.get().all(b"set-cookie")) == 1


def test_one_without_end_is_signed_anew_as_soon_as_it_is_due(wrap: Wrap, store: Records, clock: Any) -> None:
    browser = wrap(app_that(log_in), store=store, max_age=None, refresh_after=10)
    browser.get()
    change_app(browser, look, store, max_age=None, refresh_after=10)
    clock.shift(10)
    assert browser.get().all(b"set-cookie") == []
    clock.shift(1)
    assert len(browser.get().all(b"set-cookie")) == 1


@pytest.mark.parametrize(
    ("options", "own", "seconds"), [({"max_age": 100}, None, 10), ({}, 50, 5), ({"max_age": None}, None, 10**9)]
)
def test_a_change_sets_no_cookie_until_a_tenth_of_its_life_is_over(
    wrap: Wrap, store: Records, clock: Any, options: Any, own: int | None, seconds: int
) -> None:
    def begin(scope: Any) -> None:
        log_in(scope)
        if own is not None:
            scope["session"].max_age = own

    browser = wrap(app_that(begin), store=store, **options)
    browser.get()
    [(_, ttl)] = store.records.values()
    change_app(browser, put(seen=1), store, **options)
    clock.shift(seconds)
    assert browser.get().all(b"set-cookie") == []
    assert store.times_to_live == [ttl and ttl - seconds]
    if ttl is not None:
        clock.shift(1)
        change_app(browser, put(seen=2), store, **options)
        [line] = browser.get().all(b"set-cookie")
        assert f"; Max-Age={ttl};" in line.decode()
        assert store.times_to_live == [ttl]


def test_a_session_signed_with_a_fallback_keeps_its_id_and_is_signed_anew(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, OLD_KEY, store=store)
    browser.get("/login")
    old_cookie = browser.cookies["session"]
    browser.app = SessionMiddleware(visit, KEY, fallbacks=[OLD_KEY], store=store)
    assert browser.get("/whoami").json() == ADA

    assert browser.cookies["session"] != old_cookie
    assert store.sessions == {own_key(browser): ADA}


def test_a_signer_of_several_keys_reads_the_records_of_each_of_them(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, TimestampSigner(OLD_KEY), store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(visit, TimestampSigner([OLD_KEY, KEY]), store=store)

    assert browser.get("/whoami").json() == ADA


def test_a_sessions_lifetime_is_kept_in_its_record(wrap: Wrap, store: Records, clock: Any) -> None:
    browser = wrap(app_that(log_in), store=store, lifetime=100)
    browser.get()
    clock.shift(60)
    change_app(browser, put(user="bob"), store, lifetime=100)
    browser.get()
    assert store.sessions == {own_key(browser): {"user": "bob", "$session": {"iat": NOW}}}
    assert store.times_to_live == [40]

    clock.shift(40)
    change_app(browser, look, store, lifetime=100)
    assert browser.get().json() == [{}, "expired"]


# Late changes


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_change_after_the_cookie_went_out_is_saved(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, clock: Any, connect: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    clock.shift(60)
    change_app(browser, untouched, store, late=put(seen=1))
    response = connect(browser)

    assert response.all(b"set-cookie") == []
    assert store.sessions == {own_key(browser): {"user": "ada", "seen": 1}}
    assert store.times_to_live == [14 * DAY - 60]
    assert warnings(caplog) == []


def test_a_late_change_of_a_session_that_began_with_this_response_is_saved(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(app_that(log_in, late=lambda scope: scope["session"].setdefault("cart", []).append(1)), store=store)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "ada", "cart": [1]}}
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("start", "more", "end"),
    [
        ("http.response.start", {"type": "http.response.body", "more_body": True}, {"type": "http.response.body"}),
        ("http.response.start", {"type": "http.response.debug"}, {"type": "http.response.pathsend"}),
        (
            "http.response.start",
            {"type": "http.response.zerocopysend", "more_body": True},
            {"type": "http.response.zerocopysend"},
        ),
        ("websocket.accept", {"type": "websocket.send", "text": ""}, {"type": "websocket.close"}),
    ],
)
def test_a_late_change_is_saved_before_the_response_ends_and_once_more_where_the_app_goes_on(
    wrap: Wrap, store: Records, start: str, more: Any, end: Any
) -> None:
    saved: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["user"] = "ada"
        await send({"type": start})
        session["seen"] = 1
        await send(more)
        saved.extend(store.sessions.values())
        await send(end)
        saved.extend(store.sessions.values())
        session["seen"] = 2

    connection = start.partition(".")[0]
    wrap(app, store=store).connect({"type": connection, "path": "/"}, [])

    assert saved == [ADA, {"user": "ada", "seen": 1}]
    assert list(store.sessions.values()) == [{"user": "ada", "seen": 2}]


def test_a_late_change_keeps_when_the_session_began_and_how_long_it_is_to_live(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    def remember(scope: Any) -> None:
        log_in(scope)
        scope["session"].max_age = 60

    browser = wrap(app_that(remember, late=put(seen=1)), store=store, lifetime=100)
    browser.get()
    clock.shift(61)
    change_app(browser, look, store, lifetime=100)

    assert store.times_to_live == [60]
    assert browser.get().json() == [{}, "expired"]


def test_a_late_change_has_the_rest_of_the_lifetime(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    browser = wrap(visit, store=store, max_age=None, lifetime=100)
    browser.get("/login")
    clock.shift(60)
    change_app(browser, look, store, late=put(seen=1), max_age=None, lifetime=100)
    browser.get()

    changed = {"user": "ada", "seen": 1, "$session": {"iat": NOW}}
    assert (list(store.sessions.values()), store.times_to_live) == ([changed], [40])
    assert warnings(caplog) == []


def test_a_session_saved_again_and_again_on_one_websocket_lives_no_longer_than_its_lifetime(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    def an_hour_later(scope: Any) -> None:
        clock.shift(90)
        scope["session"]["seen"] = 1

    wrap(app_that(log_in, late=an_hour_later), store=store, lifetime=100).websocket()

    changed = {"user": "ada", "seen": 1, "$session": {"iat": NOW}}
    assert (list(store.sessions.values()), store.times_to_live) == ([changed], [10])


def test_a_session_without_end_is_read_and_changed_late_without_one(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store, max_age=None)
    browser.get("/login")
    change_app(browser, look, store, late=put(seen=1), max_age=None)

    assert browser.get().json() == [ADA, None]
    assert (list(store.sessions.values()), store.times_to_live) == ([{"user": "ada", "seen": 1}], [None])
    assert warnings(caplog) == []


def test_a_late_change_of_a_session_without_end_is_saved_without_one(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(log_in, late=put(seen=1)), store=store, max_age=None)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "ada", "seen": 1}}
    assert store.times_to_live == [None]


def test_a_session_that_begins_after_the_response_has_is_reported(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(app_that(untouched, late=log_in), store=store).get("/late")

    assert warnings(caplog) == [f"Session changes on '/late' not saved: 'user'. {TOO_LATE}"]
    assert store.records == {}


def test_a_late_clear_deletes_the_record(wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    change_app(browser, untouched, store, late=clear)
    browser.get()

    assert store.records == {}
    assert warnings(caplog) == []


def test_what_begins_late_in_place_of_a_session_leaves_no_record_and_is_reported(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    change_app(browser, clear, store, late=log_in)
    browser.get("/late")

    assert store.records == {}
    assert warnings(caplog) == [f"Session changes on '/late' not saved: 'user'. {TOO_LATE}"]


def test_what_is_put_late_into_an_emptied_session_is_saved(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    change_app(browser, lambda scope: scope["session"].pop("user"), store, late=log_in)
    browser.get("/late")

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == []


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
@pytest.mark.parametrize(
    "renew", [lambda session: session.regenerate(), lambda session: setattr(session, "principal", "ada")]
)
def test_a_new_id_that_no_cookie_can_carry_any_more_is_refused_and_the_visitor_stays_signed_in(
    wrap: Wrap, store: Records, connect: Any, renew: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    refused: list[str] = []

    def try_to_renew(scope: Any) -> None:
        with pytest.raises(SessionError) as refusal:
            renew(scope["session"])
        refused.append(str(refusal.value))

    change_app(browser, untouched, store, late=try_to_renew)
    connect(browser)
    change_app(browser, look, store)

    advice = "no cookie can carry the new id any more. Call it earlier, or on a request of its own."
    when = "after the response has started or the websocket was accepted"
    assert refused == [f"regenerate() or a new principal {when}: {advice}"]
    assert browser.get().json() == [ADA, None]


def test_a_new_id_is_not_saved_where_an_accept_takes_no_headers(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")

    def change(scope: Any) -> None:
        regenerate(scope)
        put(seen=1)(scope)

    change_app(browser, change, store)
    browser.websocket("/ws", asgi={"version": "3.0", "spec_version": "2.0"})

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == [f"Session changes on '/ws' not saved: 'seen', its renewal. {TOO_LATE_TO_RENEW}"]


def test_a_late_change_after_a_new_id_that_could_not_be_written_leaves_the_record(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].regenerate()
        store.failing = {"swap"}
        with pytest.raises(ConnectionError):
            await send({"type": "http.response.start", "status": 200})
        store.failing = set()
        await send({"type": "http.response.start", "status": 500})
        scope["session"]["seen"] = 1

    browser = wrap(visit, store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get("/late")

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == [f"Session changes on '/late' not saved: 'seen', its renewal. {TOO_LATE_TO_RENEW}"]


def test_after_a_new_id_that_could_not_be_written_the_error_page_may_try_again(wrap: Wrap, store: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].regenerate()
        store.failing = {"swap"}
        with pytest.raises(ConnectionError):
            await send({"type": "http.response.start", "status": 200})
        store.failing = set()
        scope["session"].regenerate()
        await send({"type": "http.response.start", "status": 500})

    browser = wrap(visit, store=store)
    browser.get("/login")
    before = own_id(browser)
    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()
    change_app(browser, look, store)

    assert own_id(browser) != before
    assert browser.get().json() == [ADA, None]


def test_a_change_in_the_last_second_of_a_session_is_saved(wrap: Wrap, store: Records, clock: Any) -> None:
    def wait_and_change(scope: Any) -> None:
        clock.shift(59)
        scope["session"]["seen"] = 1

    browser = wrap(app_that(log_in, late=wait_and_change), store=store, max_age=60)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "ada", "seen": 1}}
    assert store.times_to_live == [1]


def test_a_change_after_the_session_has_expired_is_reported(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    def wait_and_change(scope: Any) -> None:
        clock.shift(60)
        scope["session"]["seen"] = 1

    browser = wrap(app_that(log_in, late=wait_and_change), store=store, max_age=60)
    browser.websocket("/ws")

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == [f"Session changes on '/ws' not saved: 'seen'. {ENDED}"]
    assert [vars(record)["event"] for record in caplog.records] == ["session.ended"]


def add_a_key_by_replacing(scope: Any) -> None:
    scope["session"] = {**scope["session"], "seen": 1}


@pytest.mark.parametrize(
    ("early", "late"),
    [
        pytest.param(untouched, add_a_key_by_replacing, id="replaced late"),
        pytest.param(untouched, lambda scope: scope.update(session={**ADA, "seen": 1}), id="replaced by less, late"),
        pytest.param(
            lambda scope: scope.update(session={"user": "ada"}),
            lambda scope: scope["session"].update(seen=1),
            id="replaced in time, changed late",
        ),
    ],
)
def test_a_late_replacement_changes_the_content_and_the_visitor_stays_signed_in(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, early: Any, late: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/add")
    browser.get("/login")
    change_app(browser, early, store, late=late)
    browser.get()

    assert [content["seen"] for content in store.sessions.values()] == [1]
    change_app(browser, lambda scope: scope["session"].get("user"), store)
    assert browser.get().json() == "ada"
    assert warnings(caplog) == []


def test_a_replacement_before_an_accept_that_takes_no_headers_changes_the_content(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    change_app(browser, add_a_key_by_replacing, store)
    browser.websocket(asgi={"version": "3.0", "spec_version": "2.0"})

    assert store.sessions == {own_key(browser): {**ADA, "seen": 1}}


def test_a_replacement_before_an_accept_that_takes_headers_gets_a_new_id(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    before = own_id(browser)
    change_app(browser, add_a_key_by_replacing, store)
    browser.websocket(asgi={"version": "3.0", "spec_version": "2.3"})

    assert own_id(browser) != before
    assert store.sessions == {own_key(browser): {**ADA, "seen": 1}}


def test_a_late_change_that_the_store_refuses_leaves_the_scope_as_after_any_call(store: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        scope["session"]["seen"] = 1

    async def send(message: Any) -> None:
        pass

    browser = Browser(SessionMiddleware(app_that(log_in), KEY, store=store))
    browser.get()
    scope = {"type": "http", "path": "/", "headers": browser.headers()}
    middleware = SessionMiddleware(app, KEY, store=store)
    store.failing = {"swap"}
    with pytest.raises(ConnectionError):
        asyncio.run(middleware(scope, None, send))
    store.failing = set()
    asyncio.run(middleware(scope, None, send))

    assert store.sessions == {own_key(browser): {**ADA, "seen": 1}}


def test_a_clear_that_is_repeated_while_the_store_is_writing_is_one_more_clear(store: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def clear_again() -> None:
            store.before.clear()
            sign_in_as_bob(scope)

        clear(scope)
        log_in(scope)
        store.before = {"swap": clear_again}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.start", "status": 200})

    browser = Browser(SessionMiddleware(app_that(log_in), KEY, store=store))
    browser.get()
    browser.app = SessionMiddleware(app, KEY, store=store)
    response = browser.get()

    ids = [
        read_id(value.decode().partition(";")[0].removeprefix("session="))
        for message in response.messages
        for name, value in message["headers"]
        if name == b"set-cookie"
    ]
    assert len(set(ids)) == 2
    assert store.sessions == {key_of(ids[-1]): {"user": "bob"}}


def test_a_new_id_that_is_asked_for_while_the_store_is_writing_is_refused(store: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def regenerate_again() -> None:
            store.before.clear()
            with pytest.raises(
                SessionError, match=r"^regenerate\(\) or a new principal after the response has started"
            ):
                regenerate(scope)

        regenerate(scope)
        store.before = {"swap": regenerate_again}
        await send({"type": "http.response.start", "status": 200})

    browser = Browser(SessionMiddleware(app_that(log_in), KEY, store=store))
    browser.get()
    browser.app = SessionMiddleware(app, KEY, store=store)
    browser.get()

    assert store.sessions == {own_key(browser): ADA}


def test_a_late_replacement_that_is_no_mapping_is_reported_and_the_record_left(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(app_that(log_in, late=lambda scope: scope.update(session=[1])), store=store)
    browser.get("/late")

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == [
        (
            "Session on '/late' not saved: scope['session'] was replaced by a list;"
            " put a dict there, or delete the key to clear the session."
        )
    ]


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_change_on_a_websocket_that_is_closed_before_its_accept_is_saved_where_a_cookie_leads_to_it(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, signed_in: bool
) -> None:
    async def close(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["refused"] = 1
        await send({"type": "websocket.close"})

    browser = wrap(visit, store=store)
    if signed_in:
        browser.get("/login")
    browser.app = SessionMiddleware(close, KEY, store=store)
    browser.websocket("/ws")

    assert list(store.sessions.values()) == [{"user": "ada", "refused": 1}] * signed_in
    assert warnings(caplog) == [f"Session changes on '/ws' not saved: 'refused'. {TOO_LATE}"] * (not signed_in)


OLD_SERVER = {"version": "3.0", "spec_version": "2.0"}


def test_where_an_accept_takes_no_headers_the_change_of_a_stored_session_is_saved(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    response = browser.websocket("/add", asgi=OLD_SERVER)

    assert response.headers == []
    assert store.sessions == {own_key(browser): {"user": "ada", "cart": ["tea"]}}
    assert warnings(caplog) == []


def test_where_an_accept_takes_no_headers_a_new_session_is_reported(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(visit, store=store).websocket("/login", asgi=OLD_SERVER)

    assert store.records == {}
    assert warnings(caplog) == [f"Session changes on '/login' not saved: 'user'. {NO_HEADERS}"]


@pytest.mark.parametrize("answered", [False, True])
def test_what_an_app_changed_before_it_failed_is_saved_once_it_has_answered(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, answered: bool
) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        if answered:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["session"]["seen"] = 1
        raise LookupError

    browser = wrap(visit, store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(fail, KEY, store=store)
    with pytest.raises(LookupError):
        browser.get("/fail")

    assert store.sessions == {own_key(browser): {"user": "ada", **({"seen": 1} if answered else {})}}
    assert warnings(caplog) == ([] if answered else [f"Session changes on '/fail' not saved: 'seen'. {FAILED}"])


# Requests at one time


def while_asked(store: Records, method: str, act: Callable[[], None]) -> None:
    """Calls ``act`` when the store is next asked, before it answers."""
    left = [act]

    async def before() -> None:
        if left:
            left.pop()()

    store.before[method] = before


@pytest.mark.parametrize("late", [False, True])
def test_a_request_that_ends_after_the_sign_out_does_not_bring_the_record_back(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")

    def sign_out_elsewhere_and_change(scope: Any) -> None:
        store.records.clear()
        scope["session"]["seen"] = 1

    acts = (untouched, sign_out_elsewhere_and_change) if late else (sign_out_elsewhere_and_change, None)
    change_app(browser, acts[0], store, late=acts[1])
    response = browser.get("/slow")

    assert store.records == {}
    assert response.all(b"set-cookie") == []
    assert warnings(caplog) == [f"Session changes on '/slow' not saved: 'seen'. {ENDED}"]


@pytest.mark.parametrize("act", [regenerate, look])
def test_neither_a_new_id_nor_a_refresh_brings_the_record_back(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture, clock: Any, act: Any
) -> None:
    browser = wrap(app_that(log_in), store=store, refresh_after=50)
    browser.get()
    clock.shift(51)

    def sign_out_elsewhere_and_act(scope: Any) -> None:
        store.records.clear()
        act(scope)

    change_app(browser, sign_out_elsewhere_and_act, store, refresh_after=50)
    response = browser.get()

    assert (store.records, response.all(b"set-cookie")) == ({}, [])
    lost = [f"Session changes on '/' not saved: its renewal. {ENDED}"]
    assert warnings(caplog) == (lost if act is regenerate else [])


@pytest.mark.parametrize("by", ["age", "key"])
def test_a_session_that_is_only_signed_anew_keeps_what_another_request_has_changed(
    wrap: Wrap, store: Records, clock: Any, by: str
) -> None:
    options: Any = {"refresh_after": 50, "max_age": 100} if by == "age" else {"fallbacks": [OLD_KEY]}
    browser = wrap(visit, OLD_KEY if by == "key" else KEY, store=store)
    browser.get("/login")
    [key] = store.records
    clock.shift(51)

    def read_while_another_changes(scope: Any) -> None:
        look(scope)
        sealed = make_seal(OLD_KEY if by == "key" else KEY).open(key, store.records[key][0])
        store.records[key] = close_record(key, {"lang": "de", "$session": {"max_age": 60}}, sealed.proof), None

    change_app(browser, read_while_another_changes, store, **options)
    [line] = browser.get().all(b"set-cookie")

    assert line.endswith(b"; path=/; Max-Age=60; httponly; samesite=lax")
    assert store.sessions == {key: {"lang": "de", "$session": {"max_age": 60}}}
    assert store.times_to_live == [60]


def test_a_session_that_is_only_signed_anew_remembers_when_it_began(wrap: Wrap, store: Records, clock: Any) -> None:
    browser = wrap(visit, store=store, max_age=100)
    browser.get("/login")
    clock.shift(51)
    change_app(browser, look, store, refresh_after=50, max_age=100, lifetime=100)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "ada", "$session": {"iat": NOW}}}
    assert store.times_to_live == [49]


OTHER_RECORDS: dict[str, Callable[[str, bytes], bytes]] = {
    "junk": lambda key, proof: b"junk",
    "of another key": lambda key, proof: make_seal(OLD_KEY).close(key, Sealed(proof, None, b"{}")),
    "no session": lambda key, proof: close_record(key, b"[]", proof),
}


@pytest.mark.parametrize("kind", OTHER_RECORDS)
@pytest.mark.parametrize("act", [look, put(seen=1), regenerate, log_in])
def test_a_record_that_has_become_unreadable_is_left_as_it_is_and_the_change_is_reported(
    wrap: Wrap, store: Records, clock: Any, caplog: pytest.LogCaptureFixture, kind: str, act: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    key, proof = own_key(browser), hash_proof(own_id(browser))
    record = OTHER_RECORDS[kind](key, proof)
    clock.shift(8 * DAY)

    def act_while_another_writes(scope: Any) -> None:
        act(scope)
        store.records[key] = record, None

    change_app(browser, act_while_another_writes, store, refresh_after=50)

    assert browser.get().all(b"set-cookie") == []
    assert store.records == {key: (record, None)}
    lost = {look: [], log_in: [], regenerate: ["its renewal"]}.get(act, ["'seen'"])
    assert warnings(caplog) == [f"Session changes on '/' not saved: {change}. {UNREADABLE}" for change in lost]


def test_who_clears_the_session_and_signs_in_needs_no_record_of_the_one_before(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")

    def sign_in_where_another_tab_was_quicker(scope: Any) -> None:
        store.records.clear()
        sign_in_as_bob(scope)

    change_app(browser, sign_in_where_another_tab_was_quicker, store)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "bob"}}
    assert warnings(caplog) == []


def test_a_session_that_began_after_a_clear_is_ended_as_any_other(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")

    def sign_out_elsewhere_and_change(scope: Any) -> None:
        store.records.clear()
        scope["session"]["seen"] = 1

    change_app(browser, sign_in_as_bob, store, late=sign_out_elsewhere_and_change)
    browser.get("/late")

    assert store.records == {}
    assert warnings(caplog) == [f"Session changes on '/late' not saved: 'seen'. {ENDED}"]


def test_a_change_by_another_thread_while_the_record_is_written_is_saved_too(wrap: Wrap, store: Records) -> None:
    serializer = Interrupted()

    def act(scope: Any) -> None:
        scope["session"]["first"] = 1
        serializer.act = lambda: scope["session"].update(second=2)

    browser = wrap(app_that(act), store=store, serializer=serializer)
    browser.get()

    assert store.sessions == {own_key(browser): {"first": 1, "second": 2}}


def test_a_change_while_the_store_is_writing_is_saved_too(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    scopes: list[Any] = []

    def act(scope: Any) -> None:
        scopes.append(scope)
        scope["session"]["first"] = 1
        while_asked(store, "swap", lambda: scopes[0]["session"].update(second=2))

    change_app(browser, act, store)
    browser.get()

    assert store.sessions == {own_key(browser): {"user": "ada", "first": 1, "second": 2}}


def test_a_slow_store_holds_up_only_its_own_request(store: Records) -> None:
    async def main() -> None:
        slow, released = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            slow.set()
            await released.wait()

        store.before["get"] = wait
        app = SessionMiddleware(app_that(look), KEY, store=store)
        sent: list[Any] = []

        async def request(value: str | None) -> None:
            async def send(message: Any) -> None:
                sent.append((value, message["type"]))

            headers = [] if value is None else [(b"cookie", f"session={value}".encode())]
            await app({"type": "http", "path": "/", "headers": headers}, None, send)

        waiting = asyncio.create_task(request(make_signer().sign(UNKNOWN_ID).decode()))
        await slow.wait()
        await request(None)
        assert sent == [(None, "http.response.start"), (None, "http.response.body")]
        released.set()
        await waiting
        assert len(sent) == 4

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_request_cancelled_while_the_store_writes_sends_nothing(store: Records) -> None:
    async def main() -> None:
        writing = asyncio.Event()

        async def wait() -> None:
            writing.set()
            await asyncio.Event().wait()

        store.before["swap"] = wait
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        app = SessionMiddleware(app_that(log_in), KEY, store=store)
        request = asyncio.create_task(app({"type": "http", "path": "/", "headers": []}, None, send))
        await writing.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert sent == []

    asyncio.run(asyncio.wait_for(main(), 5))
    assert store.records == {}


def test_a_late_change_that_is_cancelled_before_the_store_has_it_is_reported(
    store: Records, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"]["user"] = "ada"
            await send({"type": "http.response.start"})
            scope["session"]["seen"] = [1]
            store.before["swap"] = anyio.lowlevel.checkpoint
            connection.cancel()
            await anyio.lowlevel.checkpoint()

        async def send(message: Any) -> None: ...

        with anyio.CancelScope() as connection:
            await SessionMiddleware(app, KEY, store=store)({"type": "http", "path": "/", "headers": []}, None, send)

    run(main)

    assert list(store.sessions.values()) == [ADA]
    cancelled = "The app was cancelled before the store had them."
    assert warnings(caplog) == [f"Session changes on '/' not saved: 'seen'. {cancelled}"]


def test_a_change_that_is_cancelled_before_the_store_has_it_is_reported(
    store: Records, wrap: Wrap, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    sent: list[Any] = []

    async def main() -> None:
        async def cancel() -> None:
            connection.cancel()
            await anyio.lowlevel.checkpoint()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"]["seen"] = 1
            store.before["swap"] = cancel
            await send({"type": "http.response.start"})

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/", "headers": browser.headers()}
        with anyio.CancelScope() as connection:
            await SessionMiddleware(app, KEY, store=store)(scope, None, send)

    run(main)

    assert (sent, list(store.sessions.values())) == ([], [ADA])
    cancelled = "The app was cancelled before the store had them."
    assert warnings(caplog) == [f"Session changes on '/' not saved: 'seen'. {cancelled}"]


@types.coroutine
def pause() -> Generator[None]:
    yield


def test_an_app_that_is_closed_leaves_the_store_alone_and_its_late_change_is_reported(
    store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        await send({"type": "http.response.start"})
        scope["session"]["seen"] = [1]
        store.before["swap"] = pause
        await pause()

    async def send(message: Any) -> None: ...

    connection = SessionMiddleware(app, KEY, store=store)({"type": "http", "path": "/", "headers": []}, None, send)
    connection.send(None)
    connection.close()

    assert list(store.sessions.values()) == [ADA]
    assert warnings(caplog) == [f"Session changes on '/' not saved: 'seen'. {FAILED}"]


# A store that fails


def test_a_store_that_cannot_read_fails_the_request_and_the_visitor_stays_signed_in(
    visitor: Browser, store: Records
) -> None:
    visitor.get("/login")
    store.failing = {"get"}
    with pytest.raises(ConnectionError, match=r"^get failed$"):
        visitor.get("/whoami")
    store.failing = set()

    assert visitor.get("/whoami").json() == ADA


def test_an_error_page_around_the_middleware_finds_an_empty_session_when_the_store_cannot_read(
    visitor: Browser, store: Records
) -> None:
    visitor.get("/login")
    scope: dict[str, Any] = {"type": "http", "path": "/whoami", "headers": visitor.headers()}
    store.failing = {"get"}

    with pytest.raises(ConnectionError):
        visitor.connect(scope, [])

    session: Session = scope["session"]
    assert (session, session.rejected, session.modified) == ({}, None, False)
    assert session.store_key not in store.records


def test_a_scope_used_again_after_the_store_has_failed_starts_again_from_its_cookie(
    visitor: Browser, store: Records, run: Any
) -> None:
    visitor.get("/login")
    scope: dict[str, Any] = {"type": "http", "path": "/whoami", "headers": visitor.headers()}
    store.failing = {"get"}
    with pytest.raises(ConnectionError):
        visitor.connect(scope, [])
    store.failing = set()

    assert visitor.connect(scope, []).json() == ADA


@pytest.mark.parametrize("holds", [False, True])
def test_a_swap_that_raises_is_asked_for_once_more_and_no_more(visitor: Browser, store: Records, holds: bool) -> None:
    """It may have held, and only the answer be lost."""
    visitor.get("/login")
    store.forget()
    swap, calls = store.swap, []

    async def raise_first(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        answer = await swap(*arguments, **options) if holds or len(calls) > 1 else None
        if len(calls) == 1:
            raise ConnectionError("no answer")
        return answer

    store.swap = raise_first  # type: ignore[method-assign]
    visitor.get("/add")

    assert calls == [calls[0]] * 2
    assert store.sessions == {own_key(visitor): {**ADA, "cart": ["tea"]}}


@pytest.mark.parametrize("connect", [Browser.get, Browser.websocket])
def test_a_store_that_cannot_write_fails_the_request_before_anything_is_sent(
    wrap: Wrap, store: Records, connect: Any
) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    cookies, records = dict(browser.cookies), dict(store.records)
    sent: list[Any] = []

    def act(scope: Any) -> None:
        store.failing = {"swap"}
        scope["session"]["seen"] = 1

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            sent.append(message)

        await SessionMiddleware(app_that(act), KEY, store=store)(scope, receive, watch)

    browser.app = watched
    with pytest.raises(ConnectionError, match=r"^swap failed$"):
        connect(browser)

    assert sent == []
    assert (browser.cookies, store.records) == (cookies, records)


def test_a_store_that_cannot_delete_fails_the_sign_out(visitor: Browser, store: Records) -> None:
    visitor.get("/login")
    store.failing = {"delete"}
    with pytest.raises(ConnectionError, match=r"^delete failed$"):
        visitor.get("/logout")
    store.failing = set()

    assert visitor.get("/whoami").json() == ADA


def test_what_the_store_could_not_delete_is_deleted_at_the_second_try(wrap: Wrap, store: Records) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        clear(scope)
        store.failing = {"delete"}
        with pytest.raises(ConnectionError):
            await send({"type": "http.response.start", "status": 200})
        store.failing = set()
        clear(scope)
        await send({"type": "http.response.start", "status": 200})

    browser = wrap(visit, store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(app, KEY, store=store)

    assert browser.get().all(b"set-cookie") == [DELETED]
    assert store.records == {}


def test_after_the_store_has_failed_the_error_page_goes_out_without_a_cookie(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = {"swap"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except ConnectionError:
            await send({"type": "http.response.start", "status": 500, "headers": []})

    response = wrap(app, store=store).get()

    assert [(message["status"], message["headers"]) for message in response.messages] == [(500, [(b"vary", b"Cookie")])]
    # The second, as the first may have held, and only its answer be lost.
    assert (store.methods, warnings(caplog)) == (["swap", "swap"], [])


def test_a_store_that_fails_a_late_change_fails_the_call(wrap: Wrap, store: Records) -> None:
    def break_and_change(scope: Any) -> None:
        store.failing = {"swap"}
        scope["session"]["seen"] = 1

    browser = wrap(app_that(log_in, late=break_and_change), store=store)
    with pytest.raises(ConnectionError, match=r"^swap failed$"):
        browser.get()

    assert store.sessions == {own_key(browser): ADA}


def test_what_the_serializer_cannot_write_never_reaches_the_store(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(put(when={1})), store=store)
    with pytest.raises(UnserializableSessionError, match=r"^session\['when'\]: set can't be written"):
        browser.get()

    assert (browser.cookies, store.asked) == ({}, [])


def test_an_error_page_may_follow_what_the_serializer_cannot_write(wrap: Wrap, store: Records) -> None:
    response = wrap(app_with_error_page(put(when={1})), store=store).get()

    assert (response.start["status"], response.headers) == (500, [(b"vary", b"Cookie")])


# Several sessions, and what is refused


def test_an_error_page_may_sign_out_after_what_the_serializer_cannot_write(wrap: Wrap, store: Records) -> None:
    browser = wrap(visit, store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(app_with_error_page(put(a=object()), clear), KEY, store=store)

    assert browser.get().all(b"set-cookie") == [DELETED]
    assert store.records == {}


def test_two_sessions_side_by_side_share_a_store(wrap: Wrap, store: Records) -> None:
    def act(scope: Any) -> Any:
        scope["session"]["user"] = "ada"
        scope["admin"]["user"] = "root"
        return scope["session"].store_key != scope["admin"].store_key

    inner = SessionMiddleware(app_that(act), KEY, store=store)
    browser = wrap(inner, session_cookie="admin", scope_key="admin", store=store)

    assert browser.get().json() is True
    assert store.sessions == {own_key(browser): ADA, own_key(browser, "admin"): {"user": "root"}}


def test_a_stored_session_inside_one_in_a_cookie_hides_it(wrap: Wrap, store: Records) -> None:
    inner = SessionMiddleware(app_that(put(place="store")), KEY, "inner", store=store)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["place"] = "cookie"
        await inner(scope, receive, send)

    browser = wrap(between)
    browser.get()

    assert set(browser.cookies) == {"session", "inner"}
    assert store.sessions == {own_key(browser, "inner"): {"place": "store"}}


def test_the_inner_of_two_with_one_cookie_leaves_the_stored_session_to_the_outer(wrap: Wrap, store: Records) -> None:
    browser = wrap(SessionMiddleware(visit, KEY), store=store)
    browser.get("/login")

    assert store.sessions == {own_key(browser): ADA}


class WithoutWrite:
    async def get(self, key: str) -> None: ...

    async def delete(self, key: str) -> None: ...


class WithoutDelete:
    async def get(self, key: str) -> None: ...

    async def put(self, key: str, value: Any, *, ttl: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("redis://:password@127.0.0.1", "of type str"),
        (Records, "the class Records"),
        (WithoutDelete(), "of type WithoutDelete"),
        (WithoutWrite(), "of type WithoutWrite"),
        ({}, "of type dict"),
        (0, "of type int"),
        (False, "of type bool"),
    ],
)
def test_what_is_no_store_is_refused_at_start_up_with_what_to_write_instead(wrong: Any, kind: str) -> None:
    with pytest.raises(TypeError) as refusal:
        SessionMiddleware(visit, KEY, store=wrong)

    assert str(refusal.value) == (
        f"store is {kind}: it needs the async methods get, swap and delete, as those of asgi_signed_session.stores"
        " have; write store=SQLiteStore('sessions.db') or store=RedisStore('redis://...')."
    )


def test_any_object_with_the_three_methods_is_a_store(store: Records) -> None:
    typed: Store = store

    SessionMiddleware(visit, KEY, store=typed)


def test_a_max_age_that_another_task_sets_while_the_session_is_written_is_reported(
    run: Any, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """The cookie that goes out has another one."""
    sessions: list[Session] = []

    async def remember() -> None:
        store.before.clear()
        sessions[0].max_age = 60

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sessions.append(scope["session"])
        scope["session"].update(ADA)
        scope["session"].regenerate()
        store.before["swap"] = remember
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    browser = Browser(SessionMiddleware(app, KEY, store=store), run=run)
    browser.get()

    assert store.sessions == {own_key(browser): ADA}
    assert warnings(caplog) == [f"Session changes on '/' not saved: its max_age. {TOO_LATE}"]


def test_a_second_try_to_write_a_new_session_leaves_one_record_with_what_it_wrote(run: Any, store: Records) -> None:
    """The first has written its record, and the answer of the store was lost."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user"] = "ada"
        swap = store.swap

        async def lose_the_answer(*args: Any, **kwargs: Any) -> bytes | None:
            await swap(*args, **kwargs)
            raise ConnectionError

        store.swap = lose_the_answer  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        store.swap = swap  # type: ignore[method-assign]
        del scope["session"]["user"]
        scope["session"]["failed"] = True
        await send({"type": "http.response.start", "status": 500, "headers": []})

    browser = Browser(SessionMiddleware(app, KEY, store=store), run=run)
    browser.get()

    assert store.sessions == {own_key(browser): {"failed": True}}
