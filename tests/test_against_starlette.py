"""Held against Starlette's own middleware: what it does ours does, what it writes ours reads, what it loses we keep."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from asgi_signed_session import CookieTooLargeError, SessionMiddleware

from .apps import app_that
from .browser import Browser
from .conftest import KEY
from .wire import make_signer, read_attributes, set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")

BOTH = pytest.mark.parametrize("middleware", [StarlettesMiddleware, SessionMiddleware])


async def whoami(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


async def login(request: Request) -> JSONResponse:
    request.session["user"] = "ada"
    return JSONResponse(request.session)


async def add(request: Request) -> JSONResponse:
    request.session.setdefault("cart", [])
    request.session["cart"].append("tea")
    return JSONResponse(request.session)


async def logout(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse(request.session)


async def untouched(request: Request) -> JSONResponse:
    return JSONResponse(None)


async def handshake(websocket: WebSocket) -> None:
    websocket.session["handshakes"] = websocket.session.get("handshakes", 0) + 1
    await websocket.accept()
    await websocket.send_json(dict(websocket.session))
    await websocket.close()


ROUTES = [
    Route("/", whoami),
    Route("/login", login),
    Route("/add", add),
    Route("/logout", logout),
    Route("/untouched", untouched),
    WebSocketRoute("/ws", handshake),
]


def serve(middleware: Any, *args: Any, **options: Any) -> TestClient:
    scheme = "https" if options.get("https_only") else "http"
    app = Starlette(routes=ROUTES, middleware=[Middleware(middleware, *args, **options)])
    return TestClient(app, base_url=f"{scheme}://testserver")


def name_of(line: bytes) -> tuple[bytes, bool]:
    """The cookie that a ``Set-Cookie`` value sets, and whether it deletes it."""
    name, _, rest = line.partition(b"=")
    return name, rest.startswith(b"null;")


def add_one(scope: Any) -> Any:
    scope["session"]["n"] = scope["session"].get("n", 0) + 1
    return dict(scope["session"])


app = Starlette(routes=ROUTES)


# A drop-in


def test_options_are_starlettes_in_name_order_and_default_but_for_https_only() -> None:
    theirs = inspect.signature(StarlettesMiddleware).parameters.values()
    ours = [p for p in inspect.signature(SessionMiddleware).parameters.values() if p.kind is not p.KEYWORD_ONLY]

    assert [(p.name, p.default) for p in ours if p.name != "https_only"] == [
        (p.name, p.default) for p in theirs if p.name != "https_only"
    ]
    assert [p.name for p in ours] == [p.name for p in theirs]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"session_cookie": "sid"},
    {"max_age": 60},
    {"max_age": None},
    {"path": "/app"},
    {"same_site": "strict"},
    {"https_only": True},
    {"https_only": True, "same_site": "none"},
    {"https_only": True, "partitioned": True},
    {"domain": "testserver.local"},
    {"https_only": True, "partitioned": True, "same_site": "none", "domain": "a.b", "path": "/a", "max_age": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_a_cookie_is_set_and_deleted_with_starlettes_attributes_in_its_order(options: dict[str, Any]) -> None:
    theirs, ours = (
        [line for path in ("/login", "/logout") for line in browser.get(path).all(b"set-cookie")]
        for browser in (
            Browser(middleware(app, KEY, **options)) for middleware in (StarlettesMiddleware, SessionMiddleware)
        )
    )

    assert [name_of(line) for line in ours] == [name_of(line) for line in theirs]
    assert read_attributes(ours[0]) == read_attributes(theirs[0])
    # Max-Age too, which browsers prefer to the date.
    assert ours[1].replace(b"Max-Age=0; ", b"") == theirs[1]


@BOTH
def test_request_session_lives_from_login_to_logout(middleware: Any) -> None:
    client = serve(middleware, secret_key=KEY)

    assert client.get("/").json() == {}
    assert client.get("/login").json() == {"user": "ada"}
    assert client.get("/").json() == {"user": "ada"}
    assert client.get("/add").json() == {"user": "ada", "cart": ["tea"]}
    assert client.get("/").json() == {"user": "ada", "cart": ["tea"]}
    assert client.get("/logout").json() == {}
    assert client.get("/").json() == {}
    assert dict(client.cookies) == {}


@BOTH
def test_request_session_counts_as_access(middleware: Any) -> None:
    client = serve(middleware, secret_key=KEY)

    assert client.get("/").headers.get_list("vary") == ["Cookie"]
    assert client.get("/untouched").headers.get_list("vary") == []


@BOTH
def test_fastapi_takes_the_middleware_by_add_middleware(middleware: Any) -> None:
    api = FastAPI()
    api.add_middleware(middleware, secret_key=KEY, max_age=60)

    @api.get("/count")
    async def count(request: FastAPIRequest) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    client = TestClient(api)

    assert [client.get("/count").json() for _ in range(3)] == [1, 2, 3]


@BOTH
def test_starlette_takes_the_middleware_by_add_middleware(middleware: Any) -> None:
    starlette = Starlette(routes=ROUTES)
    starlette.add_middleware(middleware, secret_key=KEY, https_only=True)
    client = TestClient(starlette, base_url="https://testserver")

    client.get("/login")

    assert client.get("/").json() == {"user": "ada"}


# What can be done at the top level of a session, each by a name.
keys = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("set"), keys, st.integers(0, 9)),
    st.tuples(st.just("setdefault"), keys, st.integers(0, 9)),
    st.tuples(st.just("update"), keys, st.integers(0, 9)),
    st.tuples(st.just("ior"), keys, st.integers(0, 9)),
    st.tuples(st.just("pop"), keys),
    st.tuples(st.just("popitem")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("read")),
)


def take(session: Any, step: tuple[Any, ...]) -> None:
    match step:
        case "set", key, value:
            session[key] = value
        case "setdefault", key, value:
            session.setdefault(key, value)
        case "update", key, value:
            session.update({key: value})
        case "ior", key, value:
            session |= {key: value}
        case "pop", key:
            session.pop(key, None)
        case ("popitem",) if session:
            session.popitem()
        case ("clear",):
            session.clear()
        case _:
            len(session)


def take_all(scope: Any) -> Any:
    for step in scope["steps"]:
        take(Request(scope).session, step)
    return dict(Request(scope).session) if scope["steps"] else None


@settings(deadline=None, max_examples=150)
@given(requests=st.lists(st.lists(steps, max_size=3), max_size=4))
def test_any_steps_over_any_requests_give_the_same_session_and_set_a_cookie_alike(requests: list[Any]) -> None:
    theirs = Browser(StarlettesMiddleware(app_that(take_all), KEY))
    ours = Browser(SessionMiddleware(app_that(take_all), KEY))

    for request in requests:
        expected, response = theirs.get(steps=request), ours.get(steps=request)

        assert response.json() == expected.json()
        assert response.all(b"vary") == expected.all(b"vary")
        assert [name_of(line) for line in response.all(b"set-cookie")] == [
            name_of(line) for line in expected.all(b"set-cookie")
        ]


# Moving from Starlette, and back


CONTENT = {"user": "Zoë", "cart": [1, 2.5, None, True, {"nested": "~~~"}]}


def put_content(scope: Any) -> None:
    scope["session"].update(CONTENT)


def look(scope: Any) -> Any:
    return dict(scope["session"])


def test_starlettes_cookies_are_read_and_rewritten_with_its_signer_among_the_fallbacks() -> None:
    browser = Browser(StarlettesMiddleware(app_that(put_content), KEY))
    browser.get()
    browser.app = SessionMiddleware(app_that(look), KEY, fallbacks=[TimestampSigner(KEY)])

    first, second = browser.get(), browser.get()

    assert first.json() == second.json() == CONTENT
    assert first.all(b"set-cookie") == [set_cookie(CONTENT)]
    assert second.all(b"set-cookie") == []


def test_an_untouched_session_of_starlettes_is_not_rewritten() -> None:
    browser = Browser(StarlettesMiddleware(app_that(put_content), KEY))
    browser.get()
    browser.app = SessionMiddleware(app_that(lambda scope: None), KEY, fallbacks=[TimestampSigner(KEY)])

    assert browser.get().headers == []


def test_without_the_fallback_starlettes_cookies_are_rejected() -> None:
    browser = Browser(StarlettesMiddleware(app_that(put_content), KEY))
    browser.get()
    browser.app = SessionMiddleware(app_that(lambda scope: scope["session"].rejected), KEY)

    assert browser.get().json() == "bad-signature"


def test_starlette_and_ours_share_cookies_with_its_signer_as_the_key() -> None:
    """As in a rolling deployment, where each request may come to either."""
    browser = Browser(StarlettesMiddleware(app_that(put_content), KEY))
    browser.get()
    ours = SessionMiddleware(app_that(add_one), TimestampSigner(KEY))
    theirs = StarlettesMiddleware(app_that(add_one), KEY)

    seen = []
    for browser.app in (ours, theirs, ours, ours, theirs):
        seen.append(browser.get().json())

    assert seen == [{**CONTENT, "n": n} for n in range(1, 6)]


def test_a_way_back_writes_only_what_starlette_reads() -> None:
    browser = Browser(SessionMiddleware(app_that(put_content), KEY))
    browser.get()
    browser.app = SessionMiddleware(app_that(look), TimestampSigner(KEY), fallbacks=[make_signer()])
    assert browser.get().json() == CONTENT

    browser.app = StarlettesMiddleware(app_that(look), KEY)

    assert browser.get().json() == CONTENT


# What Starlette loses, and ours keeps


def test_a_nested_change_is_lost_by_starlette() -> None:
    client = serve(StarlettesMiddleware, secret_key=KEY)
    client.get("/add")
    client.get("/add")

    assert client.get("/").json() == {"cart": ["tea"]}


def test_a_nested_change_is_kept_by_ours() -> None:
    client = serve(SessionMiddleware, secret_key=KEY)
    client.get("/add")
    client.get("/add")

    assert client.get("/").json() == {"cart": ["tea", "tea"]}


def shake_hands(client: TestClient) -> Any:
    with client.websocket_connect("/ws") as websocket:
        cookies = [value for name, value in websocket.extra_headers or () if name == b"set-cookie"]
        return websocket.receive_json(), cookies


def test_a_write_on_a_websocket_is_lost_by_starlette() -> None:
    client = serve(StarlettesMiddleware, secret_key=KEY)

    assert [shake_hands(client) for _ in range(2)] == [({"handshakes": 1}, []), ({"handshakes": 1}, [])]


def test_a_write_on_a_websocket_is_kept_by_ours() -> None:
    client = serve(SessionMiddleware, secret_key=KEY)

    seen, [line] = shake_hands(client)

    assert (seen, line) == ({"handshakes": 1}, set_cookie({"handshakes": 1}))


def grow(scope: Any) -> None:
    scope["session"]["cart"] = "x" * 5000


def test_a_cookie_that_browsers_drop_is_sent_by_starlette() -> None:
    [line] = Browser(StarlettesMiddleware(app_that(grow), KEY)).get().all(b"set-cookie")

    assert len(line.partition(b";")[0]) > 4096 + len("=")


def test_a_cookie_that_browsers_drop_is_an_error_of_ours() -> None:
    with pytest.raises(CookieTooLargeError):
        Browser(SessionMiddleware(app_that(grow), KEY)).get()


def another_token() -> list[tuple[bytes, bytes]]:
    """A cookie that the key has signed, but for something else."""
    return [(b"cookie", f"session={sign(['no', 'session'], signer=TimestampSigner(KEY))}".encode())]


def test_another_token_of_the_same_key_is_a_500_with_starlette() -> None:
    browser = Browser(StarlettesMiddleware(app_that(look), KEY))

    with pytest.raises(ValueError, match="dictionary update sequence"):
        browser.get(headers=another_token())


def test_another_token_of_the_same_key_is_an_empty_session_with_ours() -> None:
    browser = Browser(SessionMiddleware(app_that(look), TimestampSigner(KEY)))

    assert browser.get(headers=another_token()).json() == {}
