"""What somebody who controls evil.shop.test can do to visitors of www.shop.test, and what ``__Host-`` prevents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import time_machine

from asgi_signed_session import SessionSigner

from ..conftest import KEY
from .conftest import read_jar
from .test_attributes import visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from .conftest import At

ADA, MALLORY = {"user": "ada"}, {"user": "mallory"}
SHARED = "path=/; domain=shop.test; secure"


def plant(page: Page, at: At, cookie: str) -> None:
    """The visitor comes to a page of the sibling, which sets a cookie."""
    page.goto(at("evil.shop.test", f"by-hand?{quote(cookie)}"))


def mallorys_own(name: str = "session") -> str:
    """A session that the attacker was given at a sign-in of their own."""
    return f"{name}={SessionSigner(KEY, name).dumps(MALLORY)}"


def test_a_session_planted_before_the_sign_in_gives_way_to_it(page: Page, at: At) -> None:
    plant(page, at, f"{mallorys_own()}; {SHARED}")

    assert visit(page, at("www.shop.test", "defaults/login")) == ADA
    assert visit(page, at("www.shop.test", "defaults/whoami")) == ADA


@pytest.mark.parametrize("path", ["/", "/defaults"])
def test_a_session_of_the_attackers_own_takes_the_place_of_one_signed_before(page: Page, at: At, path: str) -> None:
    with time_machine.travel(time.time() - 60):
        adas = SessionSigner(KEY).dumps(ADA)
    page.goto(at("www.shop.test", f"by-hand?{quote(f'session={adas}; path=/; secure')}"))
    plant(page, at, f"{mallorys_own()}; path={path}; domain=shop.test; secure")

    assert visit(page, at("www.shop.test", "defaults/whoami")) == MALLORY


@pytest.mark.parametrize(
    "value",
    ["x", "a.b.c", SessionSigner("the attacker's own key").dumps(MALLORY)],
    ids=["a letter", "three parts", "signed with another key"],
)
def test_what_no_key_of_ours_signed_changes_nothing(page: Page, at: At, value: str) -> None:
    visit(page, at("www.shop.test", "defaults/login"))
    plant(page, at, f"session={value}; path=/defaults; domain=shop.test; secure")

    assert visit(page, at("www.shop.test", "defaults/whoami")) == ADA


def test_many_cookies_push_out_the_visitors_whatever_its_name(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("www.shop.test", "host-prefix/login"))
    page.goto(at("evil.shop.test", "by-hand"))
    page.evaluate(f"for (let i = 0; i < 400; i++) document.cookie = `x${{i}}=x; {SHARED}`")
    page.wait_for_function("document.cookie.includes('x399=')")  # the jar takes them one by one, meanwhile

    assert visit(page, at("www.shop.test", "host-prefix/whoami")) == {}


@pytest.mark.parametrize(
    "cookie",
    [
        f"{mallorys_own('__Host-session')}; {SHARED}",
        f"{mallorys_own('__Host-session')}; path=/host-prefix; domain=shop.test; secure",
        f"{mallorys_own('__Host-session')}; path=/; secure",  # the sibling's own, never sent to another host
        f"={mallorys_own('__Host-session')}; {SHARED}",  # without a name, which is not sent
        f"{mallorys_own('__host-session')}; {SHARED}",
        f" {mallorys_own('__Host-session')}; {SHARED}",
        f"{mallorys_own()}; {SHARED}",
    ],
)
def test_a_name_with_the_host_prefix_keeps_the_attackers_session_out(page: Page, at: At, cookie: str) -> None:
    plant(page, at, cookie)
    visit(page, at("www.shop.test", "host-prefix/login"))
    plant(page, at, cookie)

    assert visit(page, at("www.shop.test", "host-prefix/whoami")) == ADA


def test_a_session_of_this_host_alone_is_not_sent_to_the_sibling(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("www.shop.test", "defaults/login"))

    assert visit(page, at("evil.shop.test", "defaults/whoami")) == {}
    assert [cookie["domain"] for cookie in read_jar(person)] == ["www.shop.test"]
