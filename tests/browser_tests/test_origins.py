"""What Chromium says of a request, and what pages of other origins get of a session with ``trusted_origins`` or not.

The app is at www.shop.test; evil.shop.test is its sibling and the same site, evil.test and provider.test are others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import read_jar
from .guarded import FRIENDS, PROVIDER
from .test_attributes import follow_a_link, look_into_a_frame, open_a_websocket, post_a_form, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext, Page

    from .conftest import At

    Come = Callable[[Page, str], Any]
    Found = tuple[dict[str, str], str | None]  # a session, and why it is empty

APP, SIBLING, STRANGER = "www.shop.test", "evil.shop.test", "evil.test"
ADA, MALLORY = {"user": "ada"}, {"user": "mallory"}
NOTHING: Found = ({}, None)
BARRED: Found = ({}, "cross-site")


def fetch(page: Page, url: str, method: str = "POST") -> Any:
    """Fetch ``url`` with the visitor's cookies, and read the answer where the browser lets the page."""
    script = """async ([url, method]) => {
        const response = await fetch(url, {method, credentials: "include"}).catch(() => null)
        return response && await response.json()
    }"""
    return page.evaluate(script, [url, method])


def fetch_by_get(page: Page, url: str) -> Any:
    return fetch(page, url, "GET")


def load_an_image(page: Page, url: str) -> None:
    script = """url => new Promise(resolve => {
        const image = new Image()
        image.onload = image.onerror = () => resolve()
        image.src = url
    })"""
    page.evaluate(script, url)


def post_a_form_without_referrer(page: Page, url: str) -> Any:
    """Send a form of a page that has, as some sites do for privacy, ``Referrer-Policy: no-referrer``."""
    page.set_content(
        f'<meta name="referrer" content="no-referrer"><form method="post" action="{url}"><button>Go</button></form>'
    )
    with page.expect_navigation():
        page.click("button")


def go_to(page: Page, at: At, host: str, scheme: str = "https") -> None:
    """Show a page of ``host``, whose content and scripts are ours."""
    page.goto(at(host, "by-hand", scheme))


def look(page: Page, at: At, scheme: str = "https") -> Found:
    """What the app found when it was last asked."""
    found = visit(page, at(APP, "found", scheme))
    return found["session"], found["rejected"]


def whoami(page: Page, at: At) -> Any:
    """Whose session the visitor has, by an address that is typed."""
    return visit(page, at(APP, "unguarded-lax/whoami"))["session"]


# The app's own site: a sibling.


OTHERS_WAYS = pytest.mark.parametrize("come", [post_a_form, fetch, fetch_by_get, load_an_image, open_a_websocket])


@OTHERS_WAYS
@pytest.mark.parametrize("same_site", ["strict", "lax"])
def test_without_the_option_a_siblings_page_uses_and_changes_the_session(
    come: Come, same_site: str, page: Page, at: At
) -> None:
    visit(page, at(APP, f"unguarded-{same_site}/login?ada"))
    go_to(page, at, SIBLING)

    come(page, at(APP, f"unguarded-{same_site}/login?mallory"))

    assert look(page, at) == (ADA, None)
    assert whoami(page, at) == MALLORY


@OTHERS_WAYS
def test_a_siblings_page_neither_finds_nor_changes_the_session(come: Come, page: Page, at: At) -> None:
    visit(page, at(APP, "guarded-lax/login?ada"))
    go_to(page, at, SIBLING)

    come(page, at(APP, "guarded-lax/login?mallory"))

    assert look(page, at) == BARRED
    assert whoami(page, at) == ADA


# Another site.


@OTHERS_WAYS
def test_without_the_option_another_sites_page_uses_and_changes_a_session_of_same_site_none(
    come: Come, page: Page, at: At
) -> None:
    visit(page, at(APP, "unguarded-none/login?ada"))
    go_to(page, at, STRANGER)

    come(page, at(APP, "unguarded-none/login?mallory"))

    assert look(page, at) == (ADA, None)
    assert whoami(page, at) == MALLORY


@OTHERS_WAYS
@pytest.mark.parametrize("same_site", ["strict", "lax", "none"])
def test_another_sites_page_neither_finds_nor_changes_the_session(
    come: Come, same_site: str, page: Page, at: At
) -> None:
    visit(page, at(APP, f"guarded-{same_site}/login?ada"))
    go_to(page, at, STRANGER)

    come(page, at(APP, f"guarded-{same_site}/login?mallory"))

    assert look(page, at) == BARRED
    assert whoami(page, at) == ADA


@pytest.mark.parametrize("same_site", ["strict", "lax"])
@pytest.mark.parametrize("before", [[], ["ada"]], ids=["signed-out", "signed-in"])
def test_without_the_option_another_sites_form_signs_the_visitor_in_as_somebody_else(
    same_site: str, before: list[str], page: Page, at: At
) -> None:
    """SameSite keeps the session's cookie back; it doesn't keep the answer from setting another."""
    for user in before:
        visit(page, at(APP, f"unguarded-{same_site}/login?{user}"))
    go_to(page, at, STRANGER)

    post_a_form(page, at(APP, f"unguarded-{same_site}/login?mallory"))

    assert look(page, at) == NOTHING
    assert whoami(page, at) == MALLORY


@pytest.mark.parametrize("same_site", ["strict", "lax", "none"])
@pytest.mark.parametrize("host", [SIBLING, STRANGER])
def test_nobody_is_signed_in_by_a_form_of_another_origin(
    same_site: str, host: str, person: BrowserContext, page: Page, at: At
) -> None:
    go_to(page, at, host)

    post_a_form(page, at(APP, f"guarded-{same_site}/login?mallory"))

    assert look(page, at) == BARRED
    assert read_jar(person) == []


# What is to work, works.


@pytest.mark.parametrize(
    "come",
    [
        *(visit, follow_a_link, post_a_form, post_a_form_without_referrer, look_into_a_frame),
        *(fetch, fetch_by_get, load_an_image, open_a_websocket),
    ],
)
def test_the_apps_own_pages_find_and_change_the_session(come: Come, page: Page, at: At) -> None:
    visit(page, at(APP, "guarded-strict/login?ada"))
    go_to(page, at, APP)

    come(page, at(APP, "guarded-strict/login?zoe"))

    assert look(page, at) == (ADA, None)
    assert whoami(page, at) == {"user": "zoe"}


@pytest.mark.parametrize("host", [SIBLING, STRANGER])
def test_who_follows_a_link_is_still_signed_in(host: str, page: Page, at: At) -> None:
    visit(page, at(APP, "guarded-lax/login?ada"))
    go_to(page, at, host)

    follow_a_link(page, at(APP, "guarded-lax/whoami"))

    assert look(page, at) == (ADA, None)


@pytest.mark.parametrize(("host", "same_site"), [(SIBLING, "lax"), (STRANGER, "none")])
def test_a_frame_is_a_link_and_finds_the_session(host: str, same_site: str, page: Page, at: At) -> None:
    """The framing page can't read what is in it. Whether it may show it says ``Content-Security-Policy``."""
    visit(page, at(APP, f"guarded-{same_site}/login?ada"))
    go_to(page, at, host)

    look_into_a_frame(page, at(APP, f"guarded-{same_site}/whoami"))

    assert look(page, at) == (ADA, None)


@pytest.mark.parametrize("come", [fetch, fetch_by_get])
@pytest.mark.parametrize(("host", "same_site"), list(zip(FRIENDS, ["lax", "none"], strict=True)))
def test_a_script_of_an_origin_in_the_list_sees_and_changes_the_session(
    come: Come, host: str, same_site: str, page: Page, at: At
) -> None:
    visit(page, at(APP, f"trusting-{same_site}/login?ada"))
    go_to(page, at, host)

    answer = come(page, at(APP, f"trusting-{same_site}/login?zoe"))

    assert answer["session"] == ADA
    assert whoami(page, at) == {"user": "zoe"}


@pytest.mark.parametrize("come", [fetch, fetch_by_get])
def test_a_script_of_an_origin_that_is_not_in_the_list_does_not(come: Come, page: Page, at: At) -> None:
    visit(page, at(APP, "trusting-none/login?ada"))
    go_to(page, at, STRANGER)

    assert come(page, at(APP, "trusting-none/login?mallory")) is None  # no CORS headers: the page may not read it
    assert look(page, at) == BARRED
    assert whoami(page, at) == ADA


def test_a_websocket_of_an_origin_in_the_list_has_the_session(page: Page, at: At) -> None:
    visit(page, at(APP, "trusting-lax/login?ada"))
    go_to(page, at, FRIENDS[0])

    assert open_a_websocket(page, at(APP, "trusting-lax/whoami"))["session"] == ADA


def test_a_callback_by_post_finds_its_state_and_signs_in_after_a_redirect(page: Page, at: At) -> None:
    """The redirect of a cross-site POST is a GET of a link: there, the session can be written."""
    visit(page, at(APP, "sign-in/begin?x"))
    go_to(page, at, PROVIDER)

    assert post_a_form(page, at(APP, "sign-in/callback?x")) == [ADA, {}]
    assert page.url == at(APP, "sign-in/finish")
    assert whoami(page, at) == ADA


@pytest.mark.parametrize(("host", "state"), [(STRANGER, "x"), (PROVIDER, "y")])
def test_a_callback_of_another_origin_or_state_signs_nobody_in(host: str, state: str, page: Page, at: At) -> None:
    visit(page, at(APP, "sign-in/begin?x"))
    go_to(page, at, host)

    session, _ = post_a_form(page, at(APP, f"sign-in/callback?{state}"))

    assert session == {}
    assert whoami(page, at) == {}


# What Chromium says of a request, which is what all of this relies upon.


WAYS_AND_MODES = [
    (follow_a_link, "navigate", False),  # a link never says its origin
    (look_into_a_frame, "navigate", False),
    (post_a_form, "navigate", True),
    (load_an_image, "no-cors", False),
    (fetch, "cors", True),
]


@pytest.mark.parametrize(("come", "mode", "says_origin"), WAYS_AND_MODES)
@pytest.mark.parametrize(("host", "site"), [(APP, "same-origin"), (SIBLING, "same-site"), (STRANGER, "cross-site")])
def test_on_https_the_browser_says_where_a_request_comes_from(
    come: Come, mode: str, says_origin: bool, host: str, site: str, page: Page, at: At
) -> None:
    go_to(page, at, host)

    come(page, at(APP, "guarded-lax/whoami"))

    origin = at(host, "").rstrip("/")
    assert visit(page, at(APP, "found"))["said"] == [site, mode, origin if says_origin else None]


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", [APP, SIBLING, STRANGER])
def test_of_a_websocket_it_says_nothing_but_the_origin(scheme: str, host: str, page: Page, at: At) -> None:
    """wss, too: so it is found by its Origin and Host, and a proxy has to leave Host as it is."""
    go_to(page, at, host, scheme)

    answer = open_a_websocket(page, at(APP, "guarded-lax/whoami", scheme))

    assert answer["said"] == [None, None, at(host, "", scheme).rstrip("/")]
    assert answer["rejected"] == (None if host == APP else "cross-site")


@pytest.mark.parametrize(
    ("come", "host", "origin", "is_barred"),
    [
        (post_a_form, APP, APP, False),
        (post_a_form, SIBLING, SIBLING, True),
        (fetch, SIBLING, SIBLING, True),
        (follow_a_link, SIBLING, None, False),
        # Nothing tells them from a link; from another site, SameSite keeps the cookie back.
        (load_an_image, SIBLING, None, False),
        (fetch_by_get, SIBLING, SIBLING, False),
        # The app's own form: without TLS, a page that says no referrer says no origin either.
        (post_a_form_without_referrer, APP, "null", True),
    ],
)
def test_on_http_it_says_the_origin_alone(
    come: Come, host: str, origin: str | None, is_barred: bool, page: Page, at: At
) -> None:
    visit(page, at(APP, "unguarded-lax/login?ada", "http"))
    go_to(page, at, host, "http")

    come(page, at(APP, "guarded-lax/whoami", "http"))

    said = at(origin, "", "http").rstrip("/") if origin in (APP, SIBLING) else origin
    assert visit(page, at(APP, "found", "http"))["said"] == [None, None, said]
    assert look(page, at, "http") == (BARRED if is_barred else (ADA, None))


@pytest.mark.parametrize(("host", "site"), [("localhost", "same-origin"), ("127.0.0.1", "cross-site")])
def test_on_localhost_it_says_as_much_as_on_https(host: str, site: str, page: Page, at: At) -> None:
    go_to(page, at, host, "http")

    post_a_form(page, at("localhost", "guarded-lax/whoami", "http"))

    found = visit(page, at("localhost", "found", "http"))
    assert found["said"] == [site, "navigate", at(host, "", "http").rstrip("/")]
    assert found["rejected"] == (None if host == "localhost" else "cross-site")
