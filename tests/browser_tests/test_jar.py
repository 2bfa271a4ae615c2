"""What a script in the app's own page (XSS) can do to a cookie that it can't read, by the cookie's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import read_jar
from .test_attributes import visit
from .test_sibling import ADA, MALLORY, mallorys_own

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from .conftest import At

APP = "www.shop.test"
BY_HTTP = "__Host-Http-session"  # Chromium 140, Firefox 143: set with HttpOnly and by a response, or refused

# A browser keeps some 180 cookies of a site, and gives up those that were not used for longest.
FILL = "for (let i = 0; i < 400; i++) document.cookie = `x${i}=x; path=/; secure`"
IS_FULL = "document.cookie.includes('x399=')"  # the jar takes them one by one, meanwhile

BY_DOCUMENT = "cookie => { document.cookie = `${cookie}; path=/; secure` }"
BY_COOKIE_STORE = """cookie => {
    const [, name, value] = /^([^=]*)=(.*)$/.exec(cookie)
    return cookieStore.set({name, value, path: "/"}).then(() => null, error => error.name)
}"""
WAYS = pytest.mark.parametrize("way", [BY_DOCUMENT, BY_COOKIE_STORE], ids=["document.cookie", "cookieStore"])


def push_out(person: BrowserContext, page: Page, name: str) -> None:
    page.evaluate(FILL)
    page.wait_for_function(IS_FULL)
    assert name not in names_in(person)


def attack(page: Page, way: str, cookie: str) -> None:
    page.evaluate(way, cookie)
    page.evaluate(BY_DOCUMENT, "after=x")  # and when the jar has this one, it has looked at the first
    page.wait_for_function("document.cookie.includes('after=x')")


def names_in(person: BrowserContext) -> set[str]:
    return {cookie["name"] for cookie in read_jar(person)}


@WAYS
@pytest.mark.parametrize(("path", "name"), [("defaults", "session"), ("host-prefix", "__Host-session")])
def test_a_script_that_fills_the_jar_puts_a_session_of_the_attackers_in_the_place_of_the_visitors(
    way: str, path: str, name: str, person: BrowserContext, page: Page, at: At
) -> None:
    visit(page, at(APP, f"{path}/login"))
    push_out(person, page, name)

    attack(page, way, mallorys_own(name))

    assert visit(page, at(APP, f"{path}/whoami")) == MALLORY


@WAYS
@pytest.mark.parametrize("before", ["", "="], ids=["name", "no-name"])
@pytest.mark.parametrize("name", [BY_HTTP, BY_HTTP.lower()])
def test_with_the_http_prefix_it_signs_the_visitor_out_and_no_more(
    way: str, before: str, name: str, person: BrowserContext, page: Page, at: At
) -> None:
    visit(page, at(APP, "http-prefix/login"))
    push_out(person, page, BY_HTTP)

    attack(page, way, before + mallorys_own(BY_HTTP).replace(BY_HTTP, name))

    assert visit(page, at(APP, "http-prefix/whoami")) == {}
    assert not {name, ""} & names_in(person)
    assert visit(page, at(APP, "http-prefix/login")) == ADA
    assert visit(page, at(APP, "http-prefix/whoami")) == ADA
