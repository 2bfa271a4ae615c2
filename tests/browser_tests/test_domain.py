"""A site whose session's cookie was this host's alone and gets a ``domain``: what browsers do that have the old one."""

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

ADA, GRACE = {"user": "ada"}, {"user": "grace"}


@pytest.fixture(autouse=True)
def _signed_in_before_the_change(page: Page, at: At) -> None:
    with time_machine.travel(time.time() - 86400):
        value = SessionSigner(KEY).dumps(ADA)
    page.goto(at("www.shop.test", f"by-hand?{quote(f'session={value}; path=/; secure')}"))
    assert visit(page, at("www.shop.test", "domain/whoami")) == ADA


def test_a_sign_in_holds_though_the_old_cookie_is_sent_first(page: Page, at: At) -> None:
    assert visit(page, at("www.shop.test", "domain/login?grace")) == GRACE
    assert visit(page, at("www.shop.test", "domain/whoami")) == GRACE
    assert visit(page, at("api.shop.test", "domain/whoami")) == GRACE


def test_after_the_next_change_the_browser_has_one_cookie(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("www.shop.test", "domain/login?grace"))
    assert sorted(cookie["domain"] for cookie in read_jar(person)) == [".shop.test", "www.shop.test"]

    visit(page, at("www.shop.test", "domain/login?grace"))
    assert [cookie["domain"] for cookie in read_jar(person)] == [".shop.test"]


def test_a_sign_out_leaves_the_browser_no_cookie(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("www.shop.test", "domain/login?grace"))

    visit(page, at("www.shop.test", "domain/logout"))
    assert read_jar(person) == []
    assert visit(page, at("www.shop.test", "domain/whoami")) == {}
