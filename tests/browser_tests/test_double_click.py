"""Two clicks on "Sign in", the second before the first is answered: the person is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_attributes import visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from .conftest import At

TIMES = 8

DOUBLE_CLICK = """pause => {
    const button = document.querySelector("button")
    setTimeout(() => button.click(), 0)
    setTimeout(() => button.click(), pause)
}"""


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("pause", [40, 100])  # milliseconds; the first answer comes after 120
def test_a_double_click_on_sign_in_signs_in(
    pause: int, scheme: str, person: BrowserContext, page: Page, at: At
) -> None:
    found = []
    for _ in range(TIMES):
        person.clear_cookies()
        page.goto(at("shop.test", "slow-login/", scheme))
        page.evaluate(DOUBLE_CLICK, pause)
        page.wait_for_function("location.pathname.endsWith('/whoami')")
        found.append(visit(page, at("shop.test", "slow-login/whoami", scheme)))

    assert found == [["ada", [None, None]]] * TIMES  # both clicks have come, and before anyone was signed in
