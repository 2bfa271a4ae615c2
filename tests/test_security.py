"""What SECURITY.md says: who can do what, the production recipe, and the rotation of keys."""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, NOW, Wrap
from .records import Records, read_id
from .wire import make_signer, read_attributes, sign

pytestmark = pytest.mark.usefixtures("clock")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

ADA, MALLORY = {"user": "ada"}, {"user": "mallory"}


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


# A session planted before the sign-in


def sign_in_regenerated(scope: Any) -> None:
    scope["session"].update(ADA)
    scope["session"].regenerate()


def sign_in_cleared(scope: Any) -> None:
    names_after("def sign_in")["sign_in"](scope["session"], 42)


def sign_in_alone(scope: Any) -> None:
    scope["session"].update(ADA)


def plant(wrap: Wrap, act: Any, **options: Any) -> tuple[Browser, Browser]:
    """The attacker's browser and the visitor's, who signs in with the session that the attacker put there."""
    attacker = wrap(app_that(lambda scope: scope["session"].update(cart=["a trap"])), **options)
    attacker.get()
    visitor = open_session(wrap, app_that(act), attacker.cookies, **options)
    visitor.get()
    return open_session(wrap, visit, attacker.cookies, **options), open_session(wrap, visit, visitor.cookies, **options)


@pytest.mark.parametrize("act", [sign_in_alone, sign_in_regenerated, sign_in_cleared])
def test_a_session_planted_before_the_sign_in_gains_nothing(wrap: Wrap, act: Any) -> None:
    attacker, _ = plant(wrap, act)

    assert attacker.get("/whoami").json() == {"cart": ["a trap"]}


@pytest.mark.parametrize(
    ("act", "gained"),
    [(sign_in_alone, {"cart": ["a trap"], **ADA}), (sign_in_regenerated, {}), (sign_in_cleared, {})],
)
def test_with_a_store_it_takes_regenerate_at_the_sign_in(wrap: Wrap, act: Any, gained: Any) -> None:
    attacker, _ = plant(wrap, act, store=Records())

    assert attacker.get("/whoami").json() == gained


@pytest.mark.parametrize("kept_in", ["cookie", "store"])
@pytest.mark.parametrize(
    ("act", "content"),
    [(sign_in_regenerated, {"cart": ["a trap"], **ADA}), (sign_in_cleared, {"user_id": 42})],
)
def test_what_was_planted_stays_after_regenerate_and_goes_with_clear(
    wrap: Wrap, act: Any, content: Any, kept_in: str
) -> None:
    _, visitor = plant(wrap, act, store=Records() if kept_in == "store" else None)

    assert visitor.get("/whoami").json() == content


# Cookies of a sibling subdomain; tests/browser_tests/test_sibling.py asks Chromium which of them it sends


def read_with(wrap: Wrap, *values: str, name: str = "session", **options: Any) -> Any:
    cookies = "; ".join(f"{name}={value}" for value in values).encode()
    return wrap(visit, **options).get("/whoami", headers=[(b"cookie", cookies)]).json()


def test_of_two_that_verify_the_first_wins(wrap: Wrap) -> None:
    assert read_with(wrap, sign(MALLORY), sign(ADA)) == MALLORY
    assert read_with(wrap, sign(ADA), sign(MALLORY)) == ADA


def test_seven_that_do_not_verify_hide_nothing(wrap: Wrap) -> None:
    assert read_with(wrap, *["x"] * 7, sign(ADA)) == ADA


def test_eight_that_do_not_verify_hide_the_ninth(wrap: Wrap) -> None:
    assert read_with(wrap, *["x"] * 8, sign(ADA)) == {}


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
        return names_after("__Host-session", app=app)["app"]

    return build


def test_the_recipe_sets_the_cookie_that_the_page_shows(recipe: Any) -> None:
    [line] = re.findall(r"^Set-Cookie: (.*)$", PAGE, re.MULTILINE)

    [set_cookie] = Browser(recipe()).get("/login").all(b"set-cookie")

    assert set_cookie.startswith(b"__Host-session=")
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


# The tables


@pytest.mark.parametrize("content", [{"a": "\U0001f375" * n} for n in range(3)] + [{"?": "x" * n} for n in range(4)])
def test_a_value_is_of_characters_that_a_cookie_may_have(wrap: Wrap, content: Any) -> None:
    browser = wrap(app_that(lambda scope: scope["session"].update(content)))
    browser.get()

    # cookie-octet, RFC 6265, 4.1.1
    assert re.fullmatch(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+", browser.cookies["session"])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_every_test_that_the_page_names_is_here(name: str) -> None:
    assert name in globals()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE))))
def test_every_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_link_into_a_page_leads_to_a_heading() -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", PAGE):
        page = (ROOT / target).read_text(encoding="utf-8") if target else PAGE
        headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
