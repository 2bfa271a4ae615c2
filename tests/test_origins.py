"""Requests that another origin's page has caused: which of them find a session, and what becomes of a change."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_signed_session import SessionMiddleware
from asgi_signed_session.stores import MemoryStore

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, Wrap, warnings
from .records import Records
from .wire import cookie, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

ADA = {"user": "ada"}
TRUSTED = "https://app.example.com"
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
STORES = [None, Records, MemoryStore]

look = app_that(lambda scope: [dict(scope["session"]), scope["session"].rejected])


def send(app: Any, method: str | None, said: dict[str, str], trusted: Any = (TRUSTED,), **options: Any) -> Any:
    """What ``app`` answers to a request of Ada's browser, which says that of it; no method: a websocket's."""
    browser = Browser(SessionMiddleware(app, KEY, trusted_origins=trusted, **options))
    headers = [(b"cookie", f"session={sign(ADA)}".encode())]
    headers += [(name.encode(), value.encode()) for name, value in {"host": "example.com", **said}.items()]
    return browser.request(method, "/", headers=headers) if method else browser.websocket(headers=headers)


def finds_session(method: str | None, said: dict[str, str], **options: Any) -> bool:
    seen: list[Any] = []
    send(
        app_that(lambda scope: seen.append([dict(scope["session"]), scope["session"].rejected])),
        method,
        said,
        **options,
    )
    assert seen in ([[ADA, None]], [[{}, "cross-site"]])
    return bool(seen == [[ADA, None]])


def test_a_session_that_is_kept_from_another_site_says_how_long_a_session_lives() -> None:
    seen: list[Any] = []

    send(app_that(lambda scope: seen.append(scope["session"].max_age)), "POST", LINK, max_age=60)

    assert seen == [60]


# Which requests


UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "get", "QUERY", None]  # None: a websocket


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),  # typed, or a bookmark
        ({"sec-fetch-site": "same-site"}, False),  # a sibling subdomain
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "Same-Origin"}, False),  # nothing that a browser sends
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, True),  # which no page can make it say
        ({"sec-fetch-site": "cross-site", "origin": "https://example.com"}, False),
        ({"sec-fetch-site": "cross-site", "origin": TRUSTED}, True),
        ({"sec-fetch-site": "same-site", "origin": TRUSTED}, True),
        (LINK, False),
        # A browser of before 2023, or http, where no Sec-Fetch-Site is sent
        ({}, True),  # no browser
        ({"origin": "https://example.com"}, True),
        ({"origin": "http://example.com"}, True),  # TLS may end before the server
        ({"origin": "https://example.com:443"}, False),  # as no browser writes it
        ({"origin": "https://example.com:444"}, False),
        ({"origin": "https://example.com", "host": "example.com:443"}, True),
        ({"origin": "http://example.com", "host": "example.com:80"}, True),
        ({"origin": "http://example.com", "host": "example.com:443"}, False),
        ({"origin": "https://example.com:8000", "host": "example.com:8000"}, True),
        ({"origin": "https://example.com", "host": "example.com:8000"}, False),
        ({"origin": "https://example.com", "host": "EXAMPLE.com"}, True),
        ({"origin": "http://[::1]:8000", "host": "[::1]:8000"}, True),
        ({"origin": "https://example.com.evil.example"}, False),
        ({"origin": "https://evil.example/example.com"}, False),
        ({"origin": "null"}, False),  # a sandboxed frame, a file
        ({"origin": ""}, False),
        ({"origin": "example.com"}, False),
        ({"origin": "null", "host": ""}, False),
        ({"origin": "https://", "host": ""}, False),
        ({"origin": TRUSTED}, True),
        ({"origin": "http://app.example.com"}, False),
        ({"origin": "https://app.example.com:8443"}, False),
        ({"sec-fetch-mode": "navigate"}, True),
    ],
)
def test_what_may_change_something_finds_its_session_only_where_no_other_origins_page_has_caused_it(
    method: str | None, said: dict[str, str], expected: bool
) -> None:
    assert finds_session(method, said) is expected


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (LINK, True),  # of a search engine
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "https://evil.example"}, True),
        ({}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),  # <img>
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": TRUSTED}, True),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": ""}, False),
        ({"sec-fetch-mode": "websocket"}, True),  # and nothing else, as no browser sends it
    ],
)
def test_a_link_finds_its_session_and_what_another_sites_page_loads_does_not(
    method: str, said: dict[str, str], expected: bool
) -> None:
    assert finds_session(method, said) is expected


def test_what_a_header_says_twice_is_nothing_that_a_browser_sends() -> None:
    for name, value in (
        (b"sec-fetch-site", b"same-origin"),
        (b"origin", b"https://example.com"),
        (b"host", b"example.com"),
        (b"origin", b"null, https"),  # and the right one: side by side they would be of example.com
    ):
        browser = Browser(SessionMiddleware(look, KEY, trusted_origins=()))
        headers = [(b"host", b"example.com"), (b"origin", b"https://example.com")] if name != b"sec-fetch-site" else []

        answer = browser.post(headers=[cookie(ADA), (name, value), (name.upper(), value), *headers])

        assert answer.json() == [{}, "cross-site"]


def test_a_websocket_is_no_link_whatever_method_its_server_says_it_has() -> None:
    browser = Browser(
        SessionMiddleware(app_that(lambda scope: seen.append(scope["session"].rejected)), KEY, trusted_origins=())
    )
    headers = [cookie(ADA), (b"host", b"example.com"), (b"origin", b"https://evil.example")]
    seen: list[Any] = []

    browser.websocket(method="GET", headers=headers)
    browser.websocket(method="GET", headers=headers[:2])

    assert seen == ["cross-site", None]


@pytest.mark.parametrize("headers", [None, [], [(b"host", b"example.com"), (b"sec-fetch-site", b"same-origin")]])
def test_the_headers_that_came_count_whatever_is_put_into_the_scope_before_the_first_touch(
    wrap: Wrap, headers: Any
) -> None:
    def change(scope: Any) -> Any:
        scope["headers"] = headers
        return [dict(scope["session"]), scope["session"].rejected]

    visitor = wrap(app_that(change), trusted_origins=())

    assert visitor.post(headers=[cookie(ADA), (b"sec-fetch-site", b"cross-site")]).json() == [{}, "cross-site"]
    assert visitor.post(headers=iter([cookie(ADA), (b"sec-fetch-site", b"same-origin")])).json() == [ADA, None]


def test_headers_of_one_kind_take_no_more_than_linear_time() -> None:
    browser = Browser(SessionMiddleware(look, KEY, trusted_origins=()))
    many = [(b"origin", b"")] * 1_000_000  # minutes, where each is put to those before

    assert browser.post(headers=[cookie(ADA), *many]).json() == [{}, "cross-site"]


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_headers_are_found_in_any_case_and_kind_of_sequence(wrap: Wrap, kind: Any) -> None:
    headers = [cookie(ADA), (b"Sec-Fetch-Site", b"cross-site")]

    assert wrap(look, trusted_origins=()).post(headers=kind(headers)).json() == [{}, "cross-site"]
    assert wrap(look, trusted_origins=()).post(headers=kind(headers[:1])).json() == [ADA, None]


def test_without_trusted_origins_nothing_is_asked() -> None:
    assert finds_session("POST", {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, trusted=None)


@pytest.mark.parametrize(
    ("container", "origins"),
    [
        (list, ["HTTPS://App.Example.com"]),
        (tuple, ["https://app.example.com:443"]),
        (set, ["https://app.example.com", "http://localhost:3000"]),
        (iter, ["https://app.example.com"]),
    ],
)
def test_an_origin_is_trusted_however_it_is_written(container: Any, origins: list[str]) -> None:
    trusted = container(origins)

    assert finds_session("POST", {"sec-fetch-site": "cross-site", "origin": "https://app.example.com"}, trusted=trusted)


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://[2001:db8::1]:8443", "chrome-extension://abcdefgh", "http://127.0.0.1"]
)
def test_an_origin_may_have_any_scheme_host_and_port(origin: str) -> None:
    assert finds_session("POST", {"sec-fetch-site": "cross-site", "origin": origin}, trusted=[origin])


NO_LIST = "write trusted_origins=['https://app.example.com'], or () for the app's own origin only."
NO_ORIGIN = (
    "write scheme and host, a port if it isn't the scheme's usual one, and no path (punycode for other scripts):"
    " 'https://app.example.com'."
)


@pytest.mark.parametrize(
    ("trusted", "message"),
    [
        ("https://app.example.com", f"trusted_origins must be a list of origins, not a str; {NO_LIST}"),
        (True, f"trusted_origins must be a list of origins, not a bool; {NO_LIST}"),
        ([b"https://a.example"], "trusted_origins[0] is of type bytes; write a str: 'https://app.example.com'."),
    ],
)
def test_what_is_no_list_of_origins_is_refused_at_start_up(trusted: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        SessionMiddleware(look, KEY, trusted_origins=trusted)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    "origin",
    [
        *("app.example.com", "https://app.example.com/", "https://app.example.com/x", "https://", "//a.example"),
        *("*", "https://*.example.com", "null", "", " https://a.example", "https://a.example\n"),
        *("https://user@a.example", "https://a.example?x", "https://a.example:", "https://ä.example"),
        "https://a.example, https://b.example",
    ],
)
def test_what_is_no_origin_is_refused_at_start_up(origin: str) -> None:
    with pytest.raises(ValueError, match="isn't an origin") as caught:
        SessionMiddleware(look, KEY, trusted_origins=["https://a.example", origin])

    assert str(caught.value) == f"trusted_origins[1]={origin!r} isn't an origin; {NO_ORIGIN}"


# What becomes of a session


BY_ANOTHER_SITE = [(b"host", b"example.com"), (b"sec-fetch-site", b"cross-site"), (b"origin", b"https://evil.example")]
WHY = (
    "A page of another origin has caused this request: if it is yours, name it in trusted_origins; otherwise answer 403"
    " where session.rejected is 'cross-site'."
)


def sign_in(scope: Any) -> Any:
    session = scope["session"]
    session["user"] = "eve"
    session.regenerate()
    return dict(session)


def set_principal(scope: Any) -> None:
    scope["session"].principal = "eve"


def replace(scope: Any) -> None:
    scope["session"] = {"user": "eve"}


def delete(scope: Any) -> None:
    scope["session"].get("user")
    del scope["session"]


def set_max_age(scope: Any) -> None:
    scope["session"]["a"] = 1
    scope["session"].max_age = 5


CHANGES: dict[str, tuple[Any, str]] = {
    "sign-in": (sign_in, "'user', its renewal"),
    "principal": (set_principal, "its principal, its renewal"),
    "replacement": (replace, "'user', its end"),
    "clear": (lambda scope: scope["session"].clear(), "its end"),
    "deletion": (delete, "its end"),
    "nested": (lambda scope: scope["session"].setdefault("cart", []).append("tea"), "'cart'"),
    "own max_age": (set_max_age, "'a', its max_age"),
}


def signed_in(make_store: Any, app: Any) -> Browser:
    """Ada's browser, who has signed in where ``app`` is, with a store or without."""
    store = make_store and make_store()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")
    browser.app = SessionMiddleware(app, KEY, store=store, trusted_origins=())
    return browser


@pytest.mark.parametrize("make_store", STORES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_not_written_and_no_cookie_is_set_or_deleted_but_it_is_warned_about(
    make_store: Any, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    act, names = CHANGES[change]
    browser = signed_in(make_store, app_that(act))
    cookies = dict(browser.cookies)

    response = browser.post("/login", headers=[*browser.headers(), *BY_ANOTHER_SITE[1:]])

    assert response.all(b"set-cookie") == []
    assert warnings(caplog) == [f"Session changes on '/login' not saved: {names}. {WHY}"]
    middleware: Any = browser.app
    middleware.app = look
    assert browser.cookies == cookies
    assert browser.get().json() == [ADA, None]


@pytest.mark.parametrize("make_store", STORES)
def test_a_change_in_the_body_or_on_an_open_websocket_is_not_written_either(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = signed_in(make_store, app_that(lambda scope: None, late=sign_in_late))
    browser.post("/a", headers=[*browser.headers(), *BY_ANOTHER_SITE[1:]])
    browser.websocket("/b", headers=[*browser.headers(), *BY_ANOTHER_SITE[1:]])

    assert warnings(caplog) == [f"Session changes on '/{path}' not saved: 'user'. {WHY}" for path in "ab"]
    assert browser.websocket("/c").start["type"] == "websocket.accept"


def sign_in_late(scope: Any) -> None:
    scope["session"]["user"] = "eve"


@pytest.mark.parametrize("make_store", STORES)
def test_nobody_is_signed_in_by_another_sites_form_who_came_without_a_cookie(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store and make_store()
    browser = Browser(SessionMiddleware(app_that(sign_in), KEY, store=store, trusted_origins=()))

    response = browser.post("/login", headers=BY_ANOTHER_SITE)

    assert response.json() == {"user": "eve"}  # within the request the app sees what it has put in
    assert browser.cookies == {}
    assert len(warnings(caplog)) == 1


def test_its_own_pages_are_signed_in_and_out_as_ever(wrap: Wrap) -> None:
    own = [(b"host", b"example.com"), (b"sec-fetch-site", b"same-origin"), (b"origin", b"https://example.com")]
    browser = wrap(visit, trusted_origins=())

    assert browser.post("/login", headers=own).all(b"set-cookie") == [set_cookie(ADA)]
    browser.post("/logout", headers=[*own, *browser.headers()])
    assert browser.cookies == {}


def test_the_store_is_not_asked_for_another_sites_request() -> None:
    store = Records()
    browser = signed_in(lambda: store, look)
    store.forget()

    assert browser.post(headers=[*browser.headers(), *BY_ANOTHER_SITE[1:]]).json() == [{}, "cross-site"]
    assert store.asked == []
    assert browser.post().json() == [ADA, None]
    assert store.methods == ["get"]


def test_the_check_holds_where_the_app_loads_the_session_itself() -> None:
    store = Records()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].load()
        await scope["session"].load()
        seen.append([dict(scope["session"]), scope["session"].rejected])
        scope["session"]["n"] = 1
        await scope["session"].save()
        await look(scope, receive, send)

    browser = signed_in(lambda: store, look)
    browser.app = SessionMiddleware(app, KEY, store=store, autoload=False, trusted_origins=())
    store.forget()
    browser.post(headers=[*browser.headers(), *BY_ANOTHER_SITE[1:]])

    assert seen == [[{}, "cross-site"]]
    assert store.asked == []


def test_a_request_that_does_not_touch_its_session_is_not_checked(wrap: Wrap) -> None:
    response = wrap(app_that(lambda scope: None), trusted_origins=()).post(headers=[cookie(ADA), *BY_ANOTHER_SITE])

    assert response.headers == []


@pytest.mark.parametrize("came", [[], BY_ANOTHER_SITE], ids=["its own", "another's"])
def test_a_response_says_to_caches_on_what_it_depends_whoever_has_caused_the_request(wrap: Wrap, came: Any) -> None:
    app = app_that(lambda scope: scope["session"].get("user"), [(b"vary", b"accept, origin")])
    headers = [cookie(ADA), *came]

    assert wrap(app, trusted_origins=()).post(headers=headers).headers == [
        (b"vary", b"accept, origin, Cookie, Sec-Fetch-Mode, Sec-Fetch-Site")
    ]
    assert wrap(look, trusted_origins=()).post(headers=headers).headers == [
        (b"vary", b"Cookie, Origin, Sec-Fetch-Mode, Sec-Fetch-Site")
    ]
    assert wrap(look).post(headers=headers).headers == [(b"vary", b"Cookie")]


def test_a_cookie_that_is_due_is_not_signed_anew_for_another_site(wrap: Wrap, clock: Any) -> None:
    old = cookie(ADA)
    clock.shift(100)
    browser = wrap(look, trusted_origins=(), refresh_after=60)

    assert browser.post(headers=[old, *BY_ANOTHER_SITE]).all(b"set-cookie") == []
    assert len(browser.post(headers=[old]).all(b"set-cookie")) == 1


def test_the_three_lines_that_answer_403(wrap: Wrap) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["session"].rejected == "cross-site":
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"cross-site"})
            return
        await look(scope, receive, send)

    browser = wrap(app, trusted_origins=())

    assert browser.post(headers=[cookie(ADA), *BY_ANOTHER_SITE]).start["status"] == 403
    assert browser.post(headers=[cookie(ADA)]).start["status"] == 200


def test_a_callback_by_post_from_the_identity_provider_has_a_second_cookie_of_its_own() -> None:
    """SAML, OpenID Connect's form_post: the state of the sign-in comes back, and the app's own session doesn't."""
    provider = "https://idp.example"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/begin":
            scope["handshake"]["state"] = "x"
        await app_that(lambda scope: [dict(scope["handshake"]), dict(scope["session"])])(scope, receive, send)

    inner = SessionMiddleware(
        app, KEY, "handshake", 600, "/", "none", True, scope_key="handshake", trusted_origins=[provider]
    )
    browser = Browser(SessionMiddleware(inner, KEY, trusted_origins=()), scheme="https")
    browser.cookies["session"] = sign(ADA)
    browser.get("/begin")
    headers = [*browser.headers(), (b"sec-fetch-site", b"cross-site"), (b"origin", provider.encode())]

    assert browser.post("/callback", headers=headers).json() == [{"state": "x"}, {}]


def test_why_there_is_no_session_is_logged_as_of_any_cookie(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_signed_session")

    wrap(look, trusted_origins=()).post(headers=[cookie(ADA), *BY_ANOTHER_SITE])

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "Session cookie 'session' rejected: cross-site.")
    ]
