"""Each attribute of the cookie does in Chromium what the option says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from asgi_signed_session import SessionSigner
from asgi_signed_session.cookies import MAX_COOKIE

from ..conftest import KEY
from ..wire import KEPT
from .app import FULL
from .conftest import read_jar

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext, Page

    from .conftest import At

ADA = {"user": "ada"}
TWO_WEEKS = 14 * 24 * 60 * 60  # seconds


def visit(page: Page, url: str) -> Any:
    """Go to ``url`` as if it had been typed, and read the session that the app saw there."""
    response = page.goto(url)
    assert response is not None
    return response.json()


def embed(page: Page, top: str, url: str) -> Any:
    """Go to ``top``, show ``url`` there in an iframe, and read the session that the app saw in it."""
    page.goto(top)
    return look_into_a_frame(page, url)


def look_into_a_frame(page: Page, url: str) -> Any:
    page.set_content(f'<iframe src="{url}"></iframe>')  # returns when the frame has loaded too
    return json.loads(page.frames[1].inner_text("body"))


def follow_a_link(page: Page, url: str) -> Any:
    page.set_content(f'<a href="{url}">Go</a>')
    with page.expect_navigation():
        page.click("a")
    return json.loads(page.inner_text("body"))


def post_a_form(page: Page, url: str) -> Any:
    page.set_content(f'<form method="post" action="{url}"><button>Go</button></form>')
    with page.expect_navigation():
        page.click("button")
    return json.loads(page.inner_text("body"))


def open_a_websocket(page: Page, url: str) -> Any:
    script = """url => new Promise((resolve, reject) => {
        const socket = new WebSocket(url)
        socket.onmessage = async ({data}) => resolve(JSON.parse(await data.text()))
        socket.onerror = () => reject("refused")
    })"""
    return page.evaluate(script, url.replace("http", "ws", 1))


def list_cookies(person: BrowserContext) -> list[dict[str, Any]]:
    """The browser's jar but for values and times, which differ."""
    varied = {"value", "expires", "_crHasCrossSiteAncestor"}
    return [{key: value for key, value in cookie.items() if key not in varied} for cookie in read_jar(person)]


def kept(**attributes: Any) -> dict[str, Any]:
    """What the jar says of the cookie that our defaults set on https."""
    defaults = {"name": "session", "domain": "shop.test", "path": "/", "httpOnly": True, "secure": True}
    return {**defaults, "sameSite": "Lax", **attributes}


COOKIES = [
    ("https", "defaults", kept()),
    ("http", "defaults", kept(secure=False)),
    ("https", "until-closed", kept()),
    ("https", "path", kept(path="/path")),
    ("https", "odd-path/%C3%A9,=@", kept(path="/odd-path/%C3%A9,=@")),
    ("https", "domain", kept(domain=".shop.test")),
    ("https", "host-prefix", kept(name="__Host-session")),
    ("https", "http-prefix", kept(name="__Host-Http-session")),
    ("https", "secure-prefix", kept(name="__Secure-session", domain=".shop.test")),
    ("https", "lax", kept()),
    ("https", "strict", kept(sameSite="Strict")),
    ("https", "none", kept(sameSite="None")),
    ("https", "partitioned", kept(name="__Host-session", sameSite="None", partitionKey="https://shop.test")),
    ("https", "never-secure", kept(secure=False)),
    ("http", "never-secure", kept(secure=False)),
    ("https", "always-secure", kept()),
]


@pytest.mark.parametrize(("scheme", "path", "cookie"), COOKIES)
def test_the_browser_keeps_the_cookie_as_the_options_say_and_deletes_it_on_sign_out(
    scheme: str, path: str, cookie: dict[str, Any], person: BrowserContext, page: Page, at: At
) -> None:
    def go(action: str) -> Any:
        return visit(page, at("shop.test", f"{path}/{action}", scheme))

    assert go("login") == ADA
    assert list_cookies(person) == [cookie]
    assert go("whoami") == ADA

    assert go("logout") == {}
    assert list_cookies(person) == []
    assert go("whoami") == {}


@pytest.mark.parametrize(("path", "max_age"), [("defaults", TWO_WEEKS), ("until-closed", None)])
def test_the_browser_keeps_the_cookie_for_max_age(
    path: str, max_age: int | None, person: BrowserContext, page: Page, at: At
) -> None:
    visit(page, at("shop.test", f"{path}/login"))

    [cookie] = read_jar(person)
    now = page.evaluate("Date.now() / 1000")
    assert cookie["expires"] == (-1 if max_age is None else pytest.approx(now + max_age, abs=60))


def test_a_script_can_neither_read_nor_overwrite_the_cookie_while_it_is_there(
    person: BrowserContext, page: Page, at: At
) -> None:
    visit(page, at("shop.test", "defaults/login"))
    before = read_jar(person)

    page.evaluate("document.cookie = 'session=forged; path=/; secure'")

    assert page.evaluate("document.cookie") == ""
    assert read_jar(person) == before


@pytest.mark.parametrize(
    ("path", "host", "session"),
    [
        ("defaults", "www.shop.test", {}),
        ("host-prefix", "www.shop.test", {}),
        ("domain", "www.shop.test", ADA),
        ("secure-prefix", "www.shop.test", ADA),
        ("domain", "other.test", {}),
    ],
)
def test_a_domain_shares_the_session_with_its_subdomains(
    path: str, host: str, session: dict[str, Any], page: Page, at: At
) -> None:
    visit(page, at("shop.test", f"{path}/login"))

    assert visit(page, at(host, f"{path}/whoami")) == session


def test_a_cookie_with_a_domain_is_deleted_from_a_subdomain_too(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("shop.test", "domain/login"))

    assert visit(page, at("www.shop.test", "domain/logout")) == {}
    assert read_jar(person) == []


# Secure.


def test_a_session_begun_on_https_is_not_seen_on_http(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("shop.test", "defaults/login"))

    assert visit(page, at("shop.test", "defaults/whoami", "http")) == {}
    assert list_cookies(person) == [kept()]


def test_a_session_begun_on_http_is_kept_from_http_once_it_is_written_on_https(
    person: BrowserContext, page: Page, at: At
) -> None:
    visit(page, at("shop.test", "defaults/login", "http"))

    assert visit(page, at("shop.test", "defaults/whoami")) == ADA
    visit(page, at("shop.test", "defaults/login?zoe"))
    assert list_cookies(person) == [kept()]
    assert visit(page, at("shop.test", "defaults/whoami", "http")) == {}


def test_https_only_sets_no_cookie_that_http_would_keep(person: BrowserContext, page: Page, at: At) -> None:
    visit(page, at("shop.test", "always-secure/login", "http"))

    assert read_jar(person) == []


# SameSite: what comes along from a page of another site.


@pytest.mark.parametrize(
    ("come", "comes_with"),
    [
        (visit, {"strict", "lax", "none"}),
        (follow_a_link, {"lax", "none"}),
        (post_a_form, {"none"}),
        (look_into_a_frame, {"none"}),
        (open_a_websocket, {"none"}),
    ],
)
@pytest.mark.parametrize("same_site", ["strict", "lax", "none"])
def test_same_site_says_what_brings_the_session_along_from_another_site(
    same_site: str, come: Callable[[Page, str], Any], comes_with: set[str], page: Page, at: At
) -> None:
    visit(page, at("shop.test", f"{same_site}/login"))
    visit(page, at("other.test", "defaults/whoami"))

    session = come(page, at("shop.test", f"{same_site}/whoami"))

    assert session == (ADA if same_site in comes_with else {})


@pytest.mark.parametrize("same_site", ["strict", "lax", "none"])
@pytest.mark.parametrize("come", [follow_a_link, post_a_form, look_into_a_frame, open_a_websocket])
def test_within_one_site_the_session_always_comes_along(
    same_site: str, come: Callable[[Page, str], Any], page: Page, at: At
) -> None:
    visit(page, at("shop.test", f"{same_site}/login"))
    visit(page, at("shop.test", "defaults/whoami"))

    assert come(page, at("shop.test", f"{same_site}/whoami")) == ADA


@pytest.mark.parametrize("same_site", ["strict", "lax"])
def test_an_iframe_of_another_site_keeps_no_session_but_with_same_site_none(
    same_site: str, person: BrowserContext, page: Page, at: At
) -> None:
    embed(page, at("other.test", "defaults/whoami"), at("shop.test", f"{same_site}/login"))

    assert read_jar(person) == []


def test_a_partitioned_session_is_another_one_within_each_site(person: BrowserContext, page: Page, at: At) -> None:
    def within(site: str, action: str) -> Any:
        return embed(page, at(site, "defaults/whoami"), at("shop.test", f"partitioned/{action}"))

    within("first.test", "login?ada")
    within("second.test", "login?zoe")

    assert within("first.test", "whoami") == {"user": "ada"}
    assert within("second.test", "whoami") == {"user": "zoe"}
    assert within("third.test", "whoami") == {}
    assert visit(page, at("shop.test", "partitioned/whoami")) == {}

    within("first.test", "logout")

    assert within("first.test", "whoami") == {}
    assert within("second.test", "whoami") == {"user": "zoe"}
    assert [cookie.get("partitionKey") for cookie in read_jar(person)] == ["https://second.test"]


def test_a_session_that_is_not_partitioned_is_the_same_within_each_site(
    person: BrowserContext, page: Page, at: At
) -> None:
    def within(site: str, action: str) -> Any:
        return embed(page, at(site, "defaults/whoami"), at("shop.test", f"none/{action}"))

    within("first.test", "login")

    assert within("second.test", "whoami") == ADA
    assert visit(page, at("shop.test", "none/whoami")) == ADA

    within("second.test", "logout")

    assert read_jar(person) == []


@pytest.mark.parametrize(("path", "session"), [("none", {}), ("partitioned", ADA)])
def test_where_third_party_cookies_are_blocked_an_iframe_keeps_a_partitioned_session_alone(
    path: str, session: dict[str, Any], open_private: Callable[[], Page], at: At
) -> None:
    page = open_private()  # which blocks them

    embed(page, at("other.test", "defaults/whoami"), at("shop.test", f"{path}/login"))

    assert look_into_a_frame(page, at("shop.test", f"{path}/whoami")) == session


# A websocket's handshake.


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cookie_set_on_a_handshake_is_in_the_jar_and_on_the_next_page_and_is_deleted_there(
    scheme: str, person: BrowserContext, page: Page, at: At
) -> None:
    page.goto(at("shop.test", "defaults/whoami", scheme))
    before = read_jar(person)

    assert open_a_websocket(page, at("shop.test", "defaults/login", scheme)) == ADA
    assert (before, list_cookies(person)) == ([], [kept(secure=scheme == "https")])
    assert visit(page, at("shop.test", "defaults/whoami", scheme)) == ADA

    assert open_a_websocket(page, at("shop.test", "defaults/logout", scheme)) == {}
    assert read_jar(person) == []


# What we hold for the browser's rules is what it does.


def test_a_session_at_exactly_our_limit_is_kept(person: BrowserContext, page: Page, at: At) -> None:
    signer = SessionSigner(KEY, FULL)
    attributes = f"; {KEPT}" + "; secure" * at("shop.test", FULL).startswith("https")
    room = MAX_COOKIE - len(f"{FULL}={attributes}")
    user = "x" * next(n for n in range(2800, 3100) if len(signer.dumps({"user": "x" * n})) == room)

    visit(page, at("shop.test", f"{FULL}/login?{user}"))

    [cookie] = read_jar(person)
    assert len(cookie["value"]) == room
    assert visit(page, at("shop.test", f"{FULL}/whoami")) == {"user": user}


@pytest.mark.parametrize(
    ("cookie", "is_kept"),
    [
        ("session=" + "x" * (MAX_COOKIE - 7), True),
        ("session=" + "x" * (MAX_COOKIE - 6), False),
        ("__Host-session=x; path=/; secure", True),
        ("__Host-session=x; path=/", False),
        ("__Host-session=x; path=/by-hand; secure", False),
        ("__Host-session=x; path=/; secure; domain=shop.test", False),
        ("__HOST-session=x; path=/", False),
        ("__Secure-session=x; path=/; secure", True),
        ("__Secure-session=x; path=/", False),
        ("__secure-session=x; path=/", False),
        ("__Http-session=x; path=/; httponly; secure", True),
        ("__Http-session=x; path=/; httponly", False),
        ("__Http-session=x; path=/; secure", False),
        ("__Host-Http-session=x; path=/; httponly; secure", True),
        ("__Host-Http-session=x; path=/; httponly", False),
        ("__Host-Http-session=x; path=/; secure", False),
        ("__Host-Http-session=x; path=/by-hand; httponly; secure", False),
        ("__Host-Http-session=x; path=/; httponly; secure; domain=shop.test", False),
        ("session=x; path=/; samesite=none; secure", True),
        ("session=x; path=/; samesite=none", False),
        ("session=x; path=/; secure; partitioned", True),
        ("session=x; path=/; partitioned", False),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 80 else None,
)
def test_what_we_refuse_the_browser_drops(
    cookie: str, is_kept: bool, person: BrowserContext, page: Page, at: At
) -> None:
    page.goto(at("shop.test", f"by-hand?{quote(cookie)}"))

    assert [f"{c['name']}={c['value']}" for c in read_jar(person)] == ([cookie.partition(";")[0]] if is_kept else [])
