"""What SECURITY.md says: who can do what, the production recipe, and the rotation of keys."""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64decode
from hashlib import sha1, sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
import time_machine
from itsdangerous import TimestampSigner

import asgi_signed_session
from asgi_signed_session import SessionMiddleware, SessionSigner
from asgi_signed_session.stores import Sessions

from .apps import app_that, visit
from .browser import Browser, Header
from .conftest import KEY, NOW, Wrap
from .intents import run_now
from .records import Records, close_record, hash_proof, key_of, read_id
from .wire import make_signer, read_attributes, sign

pytestmark = pytest.mark.usefixtures("clock")

ROOT = Path(__file__).parents[1]
PACKAGE = Path(asgi_signed_session.__file__).parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

ADA, MALLORY = {"user": "ada"}, {"user": "mallory"}
DAY = 24 * 60 * 60  # seconds
COOKIE_OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+"  # RFC 6265, 4.1.1


@pytest.fixture(params=["cookie", "store"])
def store(request: pytest.FixtureRequest) -> Records | None:
    """Where sessions are kept: a test with this runs twice."""
    return Records() if request.param == "store" else None


def either(what: str, in_cookie: Any, in_store: Any) -> pytest.MarkDecorator:
    """Runs a test with each ``store``, where ``what`` is not the same with both."""
    cases = [("cookie", in_cookie), ("store", in_store)]
    return pytest.mark.parametrize(("store", what), cases, indirect=["store"], ids=["cookie", "store"])


def names_after(first_words: str, **names: Any) -> dict[str, Any]:
    """Runs the block of SECURITY.md with these words."""
    [block] = [block for block in BLOCKS if first_words in block]
    exec(block, names)
    return names


def open_session(wrap: Wrap, app: Any, cookies: dict[str, str], **options: Any) -> Browser:
    browser = wrap(app, **options)
    browser.cookies.update(cookies)
    return browser


# Without the key


@pytest.mark.parametrize(
    "value",
    [
        sign(MALLORY, key="the attacker's own key"),
        sign(MALLORY).rpartition(".")[0] + "." + sign(ADA).rpartition(".")[2],
        sign(MALLORY).rpartition(".")[0] + ".",
        sign(MALLORY).rpartition(".")[0],
        "eyJ1c2VyIjogImFkYSJ9",
        "",
    ],
    ids=["another key", "another's signature", "an empty signature", "no signature", "a payload alone", "nothing"],
)
def test_without_the_key_nothing_is_a_session(wrap: Wrap, value: str) -> None:
    assert open_session(wrap, visit, {"session": value}).get("/whoami").json() == {}


def test_one_cookies_value_is_no_other_cookies(wrap: Wrap) -> None:
    assert open_session(wrap, visit, {"session": sign(ADA, name="admin")}).get("/whoami").json() == {}


# With the visitor's cookie


def test_a_cookie_can_be_read_without_the_key(browser: Browser) -> None:
    browser.get("/login")

    assert json.loads(b64decode(browser.cookies["session"].partition(".")[0])) == ADA


def test_with_a_store_a_cookie_holds_nothing_but_an_id(wrap: Wrap) -> None:
    browser = wrap(visit, store=Records())
    browser.get("/login")

    assert re.fullmatch(r"[\w-]{43}\.[\w-]{6}\.[\w-]{43}", browser.cookies["session"])


def test_whose_session_it_is_can_be_read_in_the_cookie(wrap: Wrap) -> None:
    browser = wrap(app_that(lambda scope: setattr(scope["session"], "principal", "ada@example.com")))
    browser.get()

    assert b"ada@example.com" in b64decode(browser.cookies["session"].partition(".")[0])


def test_a_copy_works_after_the_sign_out_until_it_expires(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=60)
    browser.get("/login")
    thief = open_session(wrap, visit, browser.cookies, max_age=60)
    browser.get("/logout")

    assert browser.get("/whoami").json() == {}
    assert thief.get("/whoami").json() == ADA
    clock.shift(61)
    assert thief.get("/whoami").json() == {}


def test_with_a_store_no_copy_works_after_the_sign_out(wrap: Wrap) -> None:
    store = Records()
    browser = wrap(visit, store=store)
    browser.get("/login")
    thief = open_session(wrap, visit, browser.cookies, store=store)
    assert thief.get("/whoami").json() == ADA

    browser.get("/logout")

    assert thief.get("/whoami").json() == {}


def test_a_copy_that_is_used_is_prolonged_until_the_lifetime_is_over(wrap: Wrap, clock: Any) -> None:
    options = {"max_age": 60, "refresh_after": 20, "lifetime": 200}
    browser = wrap(visit, **options)
    browser.get("/login")
    thief = open_session(wrap, visit, browser.cookies, **options)
    browser.get("/logout")

    for _ in range(4):
        clock.shift(49)
        assert thief.get("/whoami").json() == ADA
    clock.shift(4)
    assert thief.get("/whoami").json() == {}


# An earlier cookie, sent again


def guess(scope: Any) -> Any:
    """Takes a code that is wrong, three times at most."""
    session = scope["session"]
    if session.get("wrong", 0) >= 3:
        return "locked"
    session["wrong"] = session.get("wrong", 0) + 1
    return "wrong"


@either("tenth", "wrong", "locked")
def test_an_earlier_cookie_undoes_a_count_but_not_with_a_store(wrap: Wrap, store: Any, tenth: str) -> None:
    browser = wrap(app_that(guess), store=store)
    browser.get()
    first = dict(browser.cookies)

    answers: list[Any] = []
    for _ in range(9):
        browser.cookies = dict(first)
        answers.append(browser.get().json())

    assert answers[-1] == tenth


def spend(scope: Any) -> Any:
    """Takes a coupon's price off, once."""
    session = scope["session"]
    return "spent" if "coupon" in scope["path"] and session.pop("coupon", None) is None else "taken off"


@either("again", "taken off", "spent")
def test_an_earlier_cookie_has_a_spent_coupon_again_but_not_with_a_store(wrap: Wrap, store: Any, again: str) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].update(coupon=1, name="Ada")), store=store)
    browser.get()
    shopper = open_session(wrap, app_that(spend), browser.cookies, store=store)
    earlier = dict(shopper.cookies)
    assert shopper.get("/coupon").json() == "taken off"
    assert shopper.get("/coupon").json() == "spent"

    shopper.cookies = earlier

    assert shopper.get("/coupon").json() == again


def test_what_comes_at_the_same_time_is_counted_once_and_spends_a_coupon_twice_in_a_store_too() -> None:
    answers: list[Any] = []

    def act(scope: Any) -> Any:
        if scope["path"] == "/begin":
            scope["session"].update(coupon=1, name="Ada")
        elif scope["path"] == "/look":
            return dict(scope["session"])
        else:
            answers.extend([guess(scope), spend(scope)])
        if scope["path"] == "/first/coupon":
            browser.get("/second/coupon")
        return None

    browser = Browser(SessionMiddleware(app_that(act), KEY, store=Records()), run=run_now)
    browser.get("/begin")
    browser.get("/first/coupon")

    assert answers == ["wrong", "taken off"] * 2
    assert browser.get("/look").json() == {"name": "Ada", "wrong": 1}


# A sign-out, and what is still open then


def answer_after_the_sign_out(store: Any, **options: Any) -> Browser:
    """Ada's browser: she signs out while a request of hers that changes something is under way."""

    def act(scope: Any) -> Any:
        if scope["path"] == "/slow":
            scope["session"]["seen"] = True
            browser.get("/logout")
            assert browser.cookies == {}
        elif scope["path"] == "/login":
            scope["session"].update(ADA)
        elif scope["path"] == "/logout":
            scope["session"].clear()
        return [dict(scope["session"]), scope["session"].issued_at]

    browser = Browser(SessionMiddleware(app_that(act), KEY, store=store, **options), run=run_now)
    browser.get("/login")
    browser.get("/slow")
    return browser


@either("session", {**ADA, "seen": True}, {})
def test_a_request_in_flight_at_the_sign_out_undoes_it_but_not_with_a_store(store: Any, session: Any) -> None:
    browser = answer_after_the_sign_out(store)

    assert bool(browser.cookies) is bool(session)
    assert browser.get().json()[0] == session


def test_with_a_lifetime_alone_a_request_in_flight_leaves_the_session_its_beginning(clock: Any) -> None:
    for options, began in ({"lifetime": DAY}, NOW), ({}, NOW + 10):
        clock.move_to(NOW)
        browser = answer_after_the_sign_out(None, **options)
        clock.shift(10)
        browser.get("/slow")

        assert browser.get().json()[1] == began


@either("seen", [ADA, ADA, ADA], [ADA, ADA, {}])
def test_an_open_websocket_keeps_its_session_until_it_loads_from_a_store(wrap: Wrap, store: Any, seen: Any) -> None:
    found: list[Any] = []

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        session = scope["session"]
        found.append(dict(session))
        await send({"type": "websocket.accept"})
        other = Browser(SessionMiddleware(visit, KEY, store=store), cookies=dict(browser.cookies), run=run_now)
        other.get("/logout")
        assert other.get("/whoami").json() == {}
        found.append(dict(session))
        await session.load()
        found.append(dict(session))

    browser = wrap(visit, store=store)
    browser.get("/login")
    browser.app = SessionMiddleware(talk, KEY, store=store)
    browser.websocket()

    assert found == seen


# Who reads or writes the store


def test_whoever_reads_the_store_learns_no_id(wrap: Wrap) -> None:
    store = Records()
    browser = wrap(visit, store=store)
    browser.get("/login")

    session_id = read_id(browser.cookies["session"])
    assert session_id[:22] not in repr(store.records)
    assert session_id[22:] not in repr(store.records)
    [key] = store.records
    thief = open_session(wrap, visit, {"session": make_signer().sign(key.encode()).decode()}, store=store)
    assert thief.get("/whoami").json() == {}


def test_whoever_writes_the_store_can_neither_make_nor_move_a_session(wrap: Wrap) -> None:
    store = Records()
    ada, mallory = wrap(visit, store=store), wrap(visit, store=store)
    ada.get("/login")
    mallory.get("/add")
    [adas, mallorys] = store.records
    own = dict(store.records)
    record, ttl = own[mallorys]
    for forged in (own[adas][0], record[:64] + own[adas][0][64:], record.replace(b"tea", b"jam"), b"{}"):
        store.records[mallorys] = forged, ttl
        assert mallory.get("/whoami").json() == {}
    store.records[mallorys] = own[mallorys]

    assert mallory.get("/whoami").json() == {"cart": ["tea"]}


def test_whoever_writes_the_store_can_put_back_a_session_that_was_ended(wrap: Wrap, clock: Any) -> None:
    store = Records()
    browser = wrap(visit, store=store, max_age=60)
    browser.get("/login")
    kept = dict(store.records), dict(browser.cookies)
    browser.get("/logout")
    assert store.records == {}

    store.records, browser.cookies = kept

    assert browser.get("/whoami").json() == ADA
    clock.shift(61)
    assert browser.get("/whoami").json() == {}


def test_whoever_writes_the_store_can_hide_a_session(wrap: Wrap) -> None:
    store = Records()
    browser = wrap(app_that(lambda scope: setattr(scope["session"], "principal", "ada")), store=store)
    browser.get()
    [index] = [key for key, (record, _) in store.records.items() if record[40:56] == bytes(16)]
    del store.records[index]

    assert asyncio.run(Sessions(store, KEY).end_all("ada")) == 0
    look = open_session(wrap, app_that(lambda scope: scope["session"].principal), browser.cookies, store=store)
    assert look.get().json() == "ada"


# With a key


def test_with_a_store_a_key_alone_makes_no_session(wrap: Wrap) -> None:
    made_up = token_urlsafe(32)
    forged = [make_signer().sign(made_up).decode(), sign(ADA), SessionSigner(KEY).dumps(ADA)]
    assert open_session(wrap, visit, {"session": forged[-1]}).get("/whoami").json() == ADA
    assert (
        open_session(wrap, visit, {"session": forged[-1]}, secret_key="the-newest-key-of-many-bytes", fallbacks=[KEY])
        .get("/whoami")
        .json()
        == ADA
    )

    store = Records()
    wrap(visit, store=store).get("/login")
    for value in forged:
        assert open_session(wrap, visit, {"session": value}, store=store).get("/whoami").json() == {}

    store.records[key_of(made_up)] = close_record(key_of(made_up), MALLORY, hash_proof(made_up)), None
    assert open_session(wrap, visit, {"session": forged[0]}, store=store).get("/whoami").json() == MALLORY


# A session planted before the sign-in


def sign_in_regenerated(scope: Any) -> None:
    scope["session"].update(ADA)
    scope["session"].regenerate()


def sign_in_cleared(scope: Any) -> None:
    names_after("def sign_in")["sign_in"](scope["session"], 42)


def sign_in_with_a_principal(scope: Any) -> None:
    scope["session"].principal = "ada"
    scope["session"].update(ADA)


def sign_in_replaced(scope: Any) -> None:
    scope["session"] = dict(ADA)


def sign_in_alone(scope: Any) -> None:
    scope["session"].update(ADA)


SIGN_INS = [sign_in_regenerated, sign_in_with_a_principal, sign_in_replaced, sign_in_cleared]


def plant(wrap: Wrap, act: Any, **options: Any) -> tuple[Browser, Browser]:
    """The attacker's browser and the visitor's, who signs in with the session that the attacker put there."""
    attacker = wrap(app_that(lambda scope: scope["session"].update(cart=["a trap"])), **options)
    attacker.get()
    visitor = open_session(wrap, app_that(act), attacker.cookies, **options)
    visitor.get()
    return open_session(wrap, visit, attacker.cookies, **options), open_session(wrap, visit, visitor.cookies, **options)


@pytest.mark.parametrize("act", [sign_in_alone, *SIGN_INS])
def test_a_session_planted_before_the_sign_in_gains_nothing(wrap: Wrap, act: Any) -> None:
    attacker, _ = plant(wrap, act)

    assert attacker.get("/whoami").json() == {"cart": ["a trap"]}


@pytest.mark.parametrize(
    ("act", "gained"), [(sign_in_alone, {"cart": ["a trap"], **ADA}), *[(act, {}) for act in SIGN_INS]]
)
def test_with_a_store_it_takes_a_new_id_at_the_sign_in(wrap: Wrap, act: Any, gained: Any) -> None:
    attacker, _ = plant(wrap, act, store=Records())

    assert attacker.get("/whoami").json() == gained


@pytest.mark.parametrize(
    ("act", "content"),
    [
        (sign_in_regenerated, {"cart": ["a trap"], **ADA}),
        (sign_in_with_a_principal, {"cart": ["a trap"], **ADA}),
        (sign_in_replaced, ADA),
        (sign_in_cleared, {"user_id": 42}),
    ],
)
def test_what_was_planted_stays_with_a_new_id_and_goes_with_clear(
    wrap: Wrap, act: Any, content: Any, store: Any
) -> None:
    _, visitor = plant(wrap, act, store=store)

    assert visitor.get("/whoami").json() == content


@pytest.mark.parametrize(
    ("store", "again", "gained"),
    [
        ("store", sign_in_with_a_principal, ADA),  # the same one, and the id stays
        ("store", sign_in_regenerated, {}),
        ("cookie", sign_in_regenerated, ADA),
    ],
    indirect=["store"],
)
def test_a_re_authentication_takes_regenerate_and_a_store(wrap: Wrap, store: Any, again: Any, gained: Any) -> None:
    browser = wrap(app_that(sign_in_with_a_principal), store=store)
    browser.get()
    thief = open_session(wrap, visit, browser.cookies, store=store)

    open_session(wrap, app_that(again), browser.cookies, store=store).get()

    assert thief.get("/whoami").json() == gained


# Other sites; tests/browser_tests tries them in Chromium

FORM = [(b"host", b"testserver"), (b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site")]
IN_A_FORM = [*FORM, (b"sec-fetch-mode", b"navigate")]
FOLLOWED = [*FORM[::2], (b"sec-fetch-mode", b"navigate")]
LOADED = [*FORM[::2], (b"sec-fetch-mode", b"no-cors")]  # <img>


def read_from(wrap: Wrap, method: str, said: list[Header], store: Any, **options: Any) -> Any:
    """What the session holds where the browser sends Ada's cookie along with such a request."""
    browser = wrap(visit, store=store)
    browser.get("/login")
    headers = [*browser.headers()[1:], *said]
    return open_session(wrap, visit, {}, store=store, **options).request(method, "/whoami", headers=headers).json()


@pytest.mark.parametrize(("method", "said"), [("POST", IN_A_FORM), ("GET", LOADED), ("POST", LOADED)])
def test_trusted_origins_keep_another_sites_requests_out(
    wrap: Wrap, method: str, said: list[Header], store: Any
) -> None:
    assert read_from(wrap, method, said, store) == ADA
    assert read_from(wrap, method, said, store, trusted_origins=()) == {}


def test_trusted_origins_let_links_in(wrap: Wrap, store: Any) -> None:
    assert read_from(wrap, "GET", FOLLOWED, store, trusted_origins=()) == ADA


@pytest.mark.parametrize(
    ("options", "session"),
    [({}, ADA), ({"same_site": "strict"}, ADA), ({"trusted_origins": ()}, {})],
    ids=["lax", "strict", "trusted_origins"],
)
def test_another_sites_form_signs_the_visitor_in_unless_origins_are_checked(
    wrap: Wrap, options: Any, session: Any, store: Any
) -> None:
    browser = wrap(visit, store=store, **options)

    browser.post("/login", headers=IN_A_FORM)

    assert browser.get("/whoami").json() == session


# Cookies of a sibling subdomain; tests/browser_tests/test_sibling.py asks Chromium which of them it sends


def read_with(wrap: Wrap, *values: str, name: str = "session", **options: Any) -> Any:
    cookies = "; ".join(f"{name}={value}" for value in values).encode()
    return wrap(visit, **options).get("/whoami", headers=[(b"cookie", cookies)]).json()


def test_of_two_that_verify_the_one_signed_last_wins(wrap: Wrap) -> None:
    with time_machine.travel(NOW - 60, tick=False):
        older = sign(ADA)

    assert read_with(wrap, sign(MALLORY), older) == MALLORY
    assert read_with(wrap, older, sign(MALLORY)) == MALLORY


def test_seven_that_do_not_verify_hide_nothing(wrap: Wrap) -> None:
    assert read_with(wrap, *["x"] * 7, sign(ADA)) == ADA


def test_eight_that_do_not_verify_hide_the_ninth(wrap: Wrap) -> None:
    assert read_with(wrap, *["x"] * 8, sign(ADA)) == {}


@pytest.mark.parametrize(
    "options", [{}, {"https_only": True, "path": "/app"}, {"https_only": True, "domain": "example.com"}]
)
def test_a_name_with_the_http_prefix_is_held_to_the_rules_of_host(options: Any) -> None:
    with pytest.raises(ValueError, match="__Host-Http-session"):
        SessionMiddleware(visit, KEY, session_cookie="__Host-Http-session", **options)


@pytest.mark.parametrize("name", ["__host-session", "__HOST-session", "session", "Host-session"])
def test_a_cookie_whose_name_lacks_the_prefix_is_no_candidate(wrap: Wrap, name: str) -> None:
    prefixed = "__Host-session"
    value = sign(MALLORY, name=prefixed)

    assert read_with(wrap, value, name=prefixed, session_cookie=prefixed, https_only=True) == MALLORY
    assert read_with(wrap, value, name=name, session_cookie=prefixed, https_only=True) == {}


# The production recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds the recipe around an app, with keys in the environment."""

    def build(key: str = KEY, *fallbacks: str, app: Any = visit) -> Any:
        monkeypatch.setenv("SESSION_SECRET", key)
        monkeypatch.setenv("SESSION_SECRET_FALLBACKS", " ".join(fallbacks))
        return names_after("SESSION_SECRET_FALLBACKS", app=app)["app"]

    return build


def test_the_recipe_sets_the_cookie_that_the_page_shows(recipe: Any) -> None:
    [line] = re.findall(r"^Set-Cookie: (.*)$", PAGE, re.MULTILINE)

    [set_cookie] = Browser(recipe()).get("/login").all(b"set-cookie")

    assert set_cookie.partition(b"=")[0] == b"__Host-Http-session"
    assert line.startswith("__Host-Http-session=")
    assert read_attributes(set_cookie) == read_attributes(line.encode())


def test_the_recipe_ends_a_session_half_an_hour_after_its_last_use(recipe: Any, clock: Any) -> None:
    browser = Browser(recipe())
    browser.get("/login")
    for _ in range(5):
        clock.shift(30 * 60)
        assert browser.get("/whoami").json() == ADA

    clock.shift(30 * 60 + 1)
    assert browser.get("/whoami").json() == {}


def test_the_recipe_ends_a_session_twelve_hours_after_the_sign_in(recipe: Any, clock: Any) -> None:
    browser = Browser(recipe())
    browser.get("/login")
    for _ in range(12 * 3 - 1):
        clock.shift(20 * 60)
        assert browser.get("/whoami").json() == ADA

    clock.shift(20 * 60)
    assert time.time() == NOW + 12 * 60 * 60
    assert browser.get("/whoami").json() == {}


def test_the_recipe_lets_no_form_of_another_site_in(recipe: Any) -> None:
    browser = Browser(recipe())
    browser.post("/login", headers=IN_A_FORM)
    assert browser.cookies == {}
    browser.post("/login")

    assert browser.get("/whoami").json() == ADA
    assert browser.post("/whoami", headers=[*browser.headers()[1:], *IN_A_FORM]).json() == {}


def test_the_recipe_counts_its_twelve_hours_from_the_sign_in(recipe: Any, clock: Any) -> None:
    browser = Browser(recipe(app=app_that(lambda scope: scope["session"].update(cart=["tea"]))))
    browser.get()
    for _ in range(4):
        clock.shift(30 * 60)
        browser.get()
    browser.app = recipe(app=app_that(lambda scope: names_after("def sign_in")["sign_in"](scope["session"], 42)))
    browser.get()

    browser.app = recipe()
    for _ in range(12 * 2 - 1):
        clock.shift(30 * 60)
        assert browser.get("/whoami").json() == {"user_id": 42}
    clock.shift(30 * 60)
    assert browser.get("/whoami").json() == {}


def test_rotating_the_key_as_the_page_says_signs_nobody_out(recipe: Any) -> None:
    old, new = "the-old-key-of-many-bytes", "the-new-key-of-many-bytes"
    browser = Browser(recipe(old))
    browser.get("/login")

    for keys in [(old, new), (new, old), (old, new), (new, old)]:  # servers of both steps side by side
        browser.app = recipe(*keys)
        assert browser.get("/whoami").json() == ADA

    browser.app = recipe(new)
    assert browser.get("/whoami").json() == ADA


def test_a_new_key_without_the_old_one_signs_everybody_out(recipe: Any) -> None:
    browser = Browser(recipe("the-key-that-has-leaked"))
    browser.get("/login")

    browser.app = recipe("the-new-key-of-many-bytes")

    assert browser.get("/whoami").json() == {}


def test_what_a_leaked_fallback_has_made_outlives_it(recipe: Any) -> None:
    leaked, present = "the-key-that-has-leaked", "the-key-that-has-not-leaked"
    forged = sign(MALLORY, leaked, "__Host-Http-session")
    browser = Browser(recipe(present, leaked), cookies={"__Host-Http-session": forged})

    assert browser.get("/whoami").json() == MALLORY
    browser.app = recipe(present)
    assert browser.get("/whoami").json() == MALLORY
    browser.app = recipe("the-newest-key-of-many-bytes")
    assert browser.get("/whoami").json() == {}


# Time


@either("idle", 30 - 5, 30 // 2)
def test_a_session_may_end_before_it_was_unused_for_max_age(wrap: Wrap, clock: Any, store: Any, idle: int) -> None:
    minute = 60
    browser = wrap(visit, store=store, max_age=30 * minute, refresh_after=5 * minute)
    browser.get("/login")
    clock.shift(30 * minute - idle * minute)
    assert browser.get("/whoami").all(b"set-cookie") == []  # the last use

    clock.shift(idle * minute)
    assert browser.get("/whoami").json() == ADA
    browser.get("/login")
    clock.shift(30 * minute - idle * minute)
    browser.get("/whoami")
    clock.shift(idle * minute + 1)
    assert browser.get("/whoami").json() == {}


def test_as_it_comes_reading_does_not_prolong_a_session(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit)
    browser.get("/login")
    for _ in range(14):
        clock.shift(DAY)
        assert browser.get("/whoami").json() == ADA

    clock.shift(1)
    assert browser.get("/whoami").json() == {}


def test_as_it_comes_a_session_that_is_changed_never_ends(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit)
    browser.get("/login")
    for _ in range(100):
        clock.shift(13 * DAY)
        browser.get("/add")

    assert browser.get("/whoami").json()["user"] == "ada"


def test_a_cookie_that_ends_with_the_browser_ends_on_the_server_as_well(wrap: Wrap, clock: Any, store: Any) -> None:
    def sign_in(scope: Any) -> None:
        scope["session"].update(ADA)
        scope["session"].max_age = None

    browser = wrap(app_that(sign_in), max_age=60, store=store)
    [set_cookie] = browser.get().all(b"set-cookie")
    assert read_attributes(set_cookie) == "path=/; httponly; samesite=lax"

    browser.app = SessionMiddleware(visit, KEY, max_age=60, store=store)
    clock.shift(60)
    assert browser.get("/whoami").json() == ADA
    clock.shift(1)
    assert browser.get("/whoami").json() == {}


def test_a_cookie_is_kept_no_longer_than_the_lifetime(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=60, lifetime=100)
    browser.get("/login")
    clock.shift(50)

    [set_cookie] = browser.get("/add").all(b"set-cookie")

    assert "; Max-Age=50; " in read_attributes(set_cookie) + "; "


def test_a_lifetime_begins_anew_with_regenerate(wrap: Wrap, clock: Any, store: Any) -> None:
    browser = wrap(visit, lifetime=100, store=store)
    browser.get("/login")
    clock.shift(99)
    regenerated = open_session(wrap, app_that(sign_in_regenerated), browser.cookies, lifetime=100, store=store)
    regenerated.get()
    browser.cookies = regenerated.cookies

    clock.shift(99)
    assert browser.get("/whoami").json() == ADA
    clock.shift(1)
    assert browser.get("/whoami").json() == {}


def test_a_cookie_is_taken_up_to_60_seconds_before_it_was_signed(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit)
    browser.get("/login")

    clock.shift(-60)
    assert browser.get("/whoami").json() == ADA
    clock.shift(-1)
    assert browser.get("/whoami").json() == {}


def test_a_max_age_of_over_400_days_is_sent_and_counted(wrap: Wrap, clock: Any) -> None:
    browser = wrap(visit, max_age=1000 * DAY)
    [set_cookie] = browser.get("/login").all(b"set-cookie")
    assert read_attributes(set_cookie) == f"path=/; Max-Age={1000 * DAY}; httponly; samesite=lax"

    clock.shift(999 * DAY)
    assert browser.get("/whoami").json() == ADA


# The tables


@pytest.mark.parametrize(
    ("scheme", "attributes"),
    [
        ("http", "path=/; Max-Age=1209600; httponly; samesite=lax"),
        ("https", "path=/; Max-Age=1209600; httponly; samesite=lax; secure"),
    ],
)
def test_as_it_comes_the_cookie_is_called_session_and_is_secure_on_https(
    wrap: Wrap, scheme: str, attributes: str
) -> None:
    [set_cookie] = wrap(visit, scheme=scheme).get("/login").all(b"set-cookie")

    assert set_cookie.startswith(b"session=")
    assert read_attributes(set_cookie) == attributes


@pytest.mark.parametrize("digest", [sha1, sha256])
def test_a_whole_signer_chooses_its_own_digest(wrap: Wrap, digest: Any) -> None:
    signer = TimestampSigner(KEY, digest_method=digest)

    assert open_session(wrap, visit, {"session": sign(ADA, signer=signer)}).get("/whoami").json() == {}
    for options in {"secret_key": signer}, {"secret_key": KEY, "fallbacks": [signer]}:
        browser = open_session(wrap, visit, {"session": sign(ADA, signer=signer)}, **options)
        assert browser.get("/whoami").json() == ADA


def test_a_key_is_of_sha256_and_a_value_says_nothing_of_how_it_was_signed(wrap: Wrap) -> None:
    browser = wrap(visit)
    browser.get("/login")

    payload, _, signature = browser.cookies["session"].split(".")
    assert json.loads(b64decode(payload)) == ADA
    assert len(signature) == 43  # 32 bytes in base64


def test_an_id_is_of_256_random_bits() -> None:
    store = Records()
    log_in, renew = (SessionMiddleware(app_that(act), KEY, store=store) for act in (sign_in_alone, sign_in_regenerated))
    ids, renewed = [], []
    for _ in range(300):
        browser = Browser(log_in, run=run_now)
        browser.get()
        ids.append(read_id(browser.cookies["session"]))
        browser.app = renew
        browser.get()
        renewed.append(read_id(browser.cookies["session"]))

    for kind in ids, renewed:
        values = [len(set(characters)) for characters in zip(*kind, strict=True)]
        assert len(values) == 43
        assert min(values[:42]) > 48  # of 64: six bits each
        assert values[42] >= 16  # the last four of 256
    assert [old[:22] for old in ids] == [new[:22] for new in renewed]
    assert not {old[22:] for old in ids} & {new[22:] for new in renewed}


@pytest.mark.parametrize("sep", [".", "!", "~"])
def test_a_value_of_a_whole_signer_is_of_characters_that_a_cookie_may_have(wrap: Wrap, sep: str) -> None:
    browser = wrap(visit, TimestampSigner(KEY, sep=sep))
    browser.get("/login")

    assert re.fullmatch(COOKIE_OCTETS, browser.cookies["session"])
    assert browser.get("/whoami").json() == ADA


@pytest.mark.parametrize("domain", [".example.com", "my_host.example.com"])
def test_a_domain_is_written_as_it_was_given(wrap: Wrap, domain: str) -> None:
    [set_cookie] = wrap(visit, domain=domain).get("/login").all(b"set-cookie")

    assert read_attributes(set_cookie).endswith(f"; domain={domain}")


@pytest.mark.parametrize("content", [{"a": "\U0001f375" * n} for n in range(3)] + [{"?": "x" * n} for n in range(4)])
def test_a_value_is_of_characters_that_a_cookie_may_have(wrap: Wrap, content: Any) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].update(content)))
    browser.get()

    assert re.fullmatch(COOKIE_OCTETS, browser.cookies["session"])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_every_test_that_the_page_names_is_here(name: str) -> None:
    assert name in globals()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE))))
def test_every_link_of_the_page_leads_somewhere(link: str) -> None:
    in_package = link.removeprefix("src/asgi_signed_session/")

    # The tests of the wheel have no src.
    assert (ROOT / link).exists() or (PACKAGE / in_package).exists()


def test_every_link_into_a_page_leads_to_a_heading() -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", PAGE):
        page = (ROOT / target).read_text(encoding="utf-8") if target else PAGE
        headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


STATES = {"met", "option", "store", "app", "no"}
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
JUDGED = [row for row in ROWS if len(row) > 3 and STATES & set(row[-3].split(", "))]


@pytest.mark.parametrize("row", [row for row in JUDGED if row[-3] != "app"], ids=lambda row: row[0])
def test_every_line_of_a_standard_that_says_more_than_app_names_where_it_is_tried_or_read(row: list[str]) -> None:
    assert set(row[-3].split(", ")) <= STATES
    assert re.search(r"`test_\w+`|\]\((tests|src)/", row[-1])


def test_the_page_has_lines_of_every_state() -> None:
    assert {state for row in JUDGED for state in row[-3].split(", ")} == STATES
