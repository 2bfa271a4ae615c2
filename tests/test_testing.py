"""The helper for the tests of users: with the real client of each framework, with and without a store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import time_machine
from fastapi import FastAPI
from quart import Quart
from quart import request as quart_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from asgi_signed_session import SessionMiddleware, UnserializableSessionError
from asgi_signed_session.serializers import Encrypted
from asgi_signed_session.stores import MemoryStore, Sessions, SQLiteStore
from asgi_signed_session.testing import agive_session, aread_session, give_session, read_session

from .apps import visit
from .conftest import KEY
from .records import Records

OPTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cookie": lambda _: {},
    "memory": lambda _: {"store": MemoryStore()},
    "SQLite": lambda folder: {"store": SQLiteStore(folder / "sessions.db")},
    "memory, loaded by hand": lambda _: {"store": MemoryStore(), "autoload": False},
    "encrypted": lambda _: {"serializer": Encrypted(keys=[KEY])},
    "another name": lambda _: {"session_cookie": "sid"},
    "a prefix": lambda _: {"session_cookie": "__Host-sid", "https_only": True},
    "a path": lambda _: {"path": "/count"},
    "no other origin": lambda _: {"trusted_origins": ()},
}


def count(session: Any) -> dict[str, Any]:
    session["visits"] = session.get("visits", 0) + 1
    session["cart"].append("jam")
    return dict(session)


async def count_in_starlette(http_request: Request) -> JSONResponse:
    await http_request.session.load()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return JSONResponse(count(http_request.session))


def make_starlette(**options: Any) -> Starlette:
    app = Starlette(routes=[Route("/count", count_in_starlette)])
    app.add_middleware(SessionMiddleware, secret_key=KEY, **options)
    return app


def make_fastapi(**options: Any) -> FastAPI:
    app = FastAPI()
    app.add_route("/count", count_in_starlette)
    app.add_middleware(SessionMiddleware, secret_key=KEY, **options)
    app.add_middleware(CORSMiddleware)
    return app


def make_wrapped(**options: Any) -> Any:
    return CORSMiddleware(SessionMiddleware(Starlette(routes=[Route("/count", count_in_starlette)]), KEY, **options))


def allow_all(app: Any) -> CORSMiddleware:
    return CORSMiddleware(app, allow_origins="*")


def make_with_factory(**options: Any) -> Starlette:
    app = Starlette(routes=[Route("/count", count_in_starlette)], middleware=[Middleware(allow_all)])
    app.add_middleware(lambda app: SessionMiddleware(app, KEY, **options))
    return app


MAKERS = [make_starlette, make_fastapi, make_wrapped, make_with_factory]


@pytest.fixture(params=OPTIONS)
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    options = OPTIONS[request.param](tmp_path)
    yield options
    if request.param == "SQLite":
        options["store"].close()


@pytest.mark.parametrize("make", MAKERS)
def test_starlettes_client_arrives_with_a_session_and_the_next_one_is_read(make: Any, options: dict[str, Any]) -> None:
    client = TestClient(make(**options), base_url="https://testserver")

    give_session(client, {"cart": ["tea"]})
    answers = [client.get("/count").json(), client.get("/count").json()]

    first = {"visits": 1, "cart": ["tea", "jam"]}
    assert answers == [first, {"visits": 2, "cart": ["tea", "jam", "jam"]}]
    assert read_session(client) == answers[-1]


def test_httpxs_client_arrives_with_a_session_and_the_next_one_is_read(options: dict[str, Any]) -> None:
    async def main() -> Any:
        app = make_starlette(**options)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://example.com") as client:
            await agive_session(client, {"cart": ["tea"]}, app=app)
            await client.get("/count")
            await client.get("/count")
            return await aread_session(client, app=app)

    assert asyncio.run(main()) == {"visits": 2, "cart": ["tea", "jam", "jam"]}


def test_quarts_client_arrives_with_a_session_and_the_next_one_is_read(options: dict[str, Any]) -> None:
    app = Quart("quart")

    @app.get("/count")
    async def show() -> Any:
        session: Any = cast("Any", quart_request.scope)["session"]
        await session.load()
        return count(session)

    app.asgi_app = SessionMiddleware(app.asgi_app, KEY, **options)  # type: ignore[method-assign]

    async def main() -> Any:
        client = app.test_client()
        give_session(client, {"cart": ["tea"]})
        await client.get("/count")
        await client.get("/count")
        return read_session(client)

    assert asyncio.run(main()) == {"visits": 2, "cart": ["tea", "jam", "jam"]}


@pytest.mark.skipif(find_spec("litestar") is None, reason="litestar is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("is_defined", [True, False])
def test_litestars_client_arrives_with_a_session_and_the_next_one_is_read(
    is_defined: bool, options: dict[str, Any]
) -> None:
    from litestar import Litestar, get
    from litestar.middleware import DefineMiddleware
    from litestar.testing import TestClient as LitestarClient

    async def show(scope: Any) -> Any:
        await scope["session"].load()
        return count(scope["session"])

    show.__annotations__ = {"scope": dict, "return": dict[str, Any]}
    middleware: Any = (
        DefineMiddleware(SessionMiddleware, secret_key=KEY, **options)
        if is_defined
        else lambda app: SessionMiddleware(app, KEY, **options)
    )

    with LitestarClient(Litestar([get("/count")(show)], middleware=[middleware]), "https://example.com") as client:
        give_session(client, {"cart": ["tea"]})
        client.get("/count")
        client.get("/count")

        assert read_session(client) == {"visits": 2, "cart": ["tea", "jam", "jam"]}


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore], ids=["cookie", "store"])
def test_a_client_without_a_cookie_has_an_empty_session_and_gets_none_by_reading_it(make_store: Any) -> None:
    client = TestClient(make_starlette(store=make_store()))

    session = read_session(client)

    assert (session, session.rejected, len(client.cookies.jar)) == ({}, None, 0)


def test_a_cookie_that_can_not_be_used_is_said_by_the_session() -> None:
    client = TestClient(make_starlette())
    client.cookies.set("session", "forged", domain="testserver.local")

    assert read_session(client).rejected == "bad-signature"


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore], ids=["cookie", "store"])
def test_the_principal_is_whose_session_it_is(make_store: Any) -> None:
    store = make_store()
    client = TestClient(make_starlette(store=store))

    give_session(client, {"name": "Ada"}, principal="42")

    session = read_session(client)
    assert (session, session.principal) == ({"name": "Ada"}, "42")
    if store is not None:
        [stored] = asyncio.run(Sessions(store, KEY).of("42"))
        assert (stored.key, stored.data) == (session.store_key, {"name": "Ada"})


def test_a_second_session_takes_the_place_of_the_first() -> None:
    client = TestClient(make_starlette(), cookies={"session": "another"})

    give_session(client, {"user_id": 1})
    give_session(client, {"user_id": 2})

    assert read_session(client) == {"user_id": 2}
    assert len(client.cookies.jar) == 1


def test_reading_writes_nothing_where_the_next_request_would(clock: time_machine.Traveller) -> None:
    store = Records()
    client = TestClient(make_starlette(store=store, refresh_after=60, autoload=False))
    give_session(client, {"user_id": 42})
    clock.shift(8 * 86400)  # more than half of its life
    store.forget()

    assert read_session(client) == {"user_id": 42}
    assert set(store.methods) == {"get"}


@pytest.mark.parametrize(("base_url", "is_secure"), [("https://testserver", True), ("http://testserver", False)])
def test_the_cookie_is_secure_where_the_app_would_make_it_so(base_url: str, is_secure: bool) -> None:
    client = TestClient(make_starlette(), base_url=base_url)

    give_session(client, {"user_id": 42})

    assert [cookie.secure for cookie in client.cookies.jar] == [is_secure]


def test_of_several_middlewares_one_is_named() -> None:
    app = make_starlette()
    app.add_middleware(SessionMiddleware, secret_key=KEY, session_cookie="admin", scope_key="admin")
    client = TestClient(app)

    give_session(client, {"user_id": 1}, session_cookie="session")
    give_session(client, {"root": True}, session_cookie="admin")

    assert read_session(client, session_cookie="session") == {"user_id": 1}
    assert read_session(client, session_cookie="admin") == {"root": True}
    with pytest.raises(ValueError, match=r"pass session_cookie=, one of 'admin', 'session'\.$"):
        read_session(client)


def test_of_two_with_one_cookie_the_outer_one_has_the_session() -> None:
    inner = SessionMiddleware(visit, "the key of the inner one, unused")
    client = TestClient(SessionMiddleware(inner, KEY))

    give_session(client, {"user": "ada"})

    assert client.get("/whoami").json() == {"user": "ada"}


def test_a_middleware_with_the_same_options_stands_for_an_app_in_which_none_is_found() -> None:
    app = make_starlette()

    async def hidden(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    client = TestClient(hidden)
    middleware = SessionMiddleware(visit, KEY)

    give_session(client, {"cart": []}, app=middleware)
    client.get("/count")

    assert read_session(client, app=middleware) == {"visits": 1, "cart": ["jam"]}
    with pytest.raises(ValueError, match=r"No SessionMiddleware was found around a function;"):
        give_session(client, {"cart": []})


def test_a_store_that_waits_needs_an_event_loop() -> None:
    store = Records()
    store.before["swap"] = lambda: asyncio.sleep(0)
    client = TestClient(make_starlette(store=store))

    with pytest.raises(RuntimeError, match=r"write 'await agive_session\(\.\.\.\)'"):
        give_session(client, {"user_id": 1})
    asyncio.run(agive_session(client, {"user_id": 1}))

    store.before["get"] = lambda: asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"write 'await aread_session\(\.\.\.\)'"):
        read_session(client)
    assert asyncio.run(aread_session(client)) == {"user_id": 1}


@pytest.mark.parametrize(
    ("options", "base_url"),
    [
        ({"https_only": True}, "http://testserver"),
        ({"domain": "example.com"}, "http://testserver"),
    ],
)
def test_a_cookie_that_the_client_would_not_send_is_an_error(options: dict[str, Any], base_url: str) -> None:
    app = make_starlette(path="/count")
    client = TestClient(app, base_url=base_url)
    give_session(client, {"user": "ada"})

    with pytest.raises(ValueError, match=f"The client would not send the cookie to {base_url}"):
        give_session(client, {"user_id": 1}, app=make_starlette(**options))

    assert read_session(client) == {"user": "ada"}
    assert len(client.cookies.jar) == 1


def test_a_domain_that_fits_is_no_error() -> None:
    client = TestClient(make_starlette(domain="example.com"), base_url="http://www.example.com")

    give_session(client, {"cart": []})
    client.get("/count")

    assert read_session(client) == {"visits": 1, "cart": ["jam"]}


def test_what_the_app_could_not_save_can_not_be_given_either() -> None:
    client = TestClient(make_starlette())
    give_session(client, {"user": "ada"})

    with pytest.raises(UnserializableSessionError, match=r"session\['a'\]: object can't be written"):
        give_session(client, {"a": object()})

    assert read_session(client) == {"user": "ada"}


def test_an_empty_session_can_not_be_given() -> None:
    client = TestClient(make_starlette())
    give_session(client, {"user": "ada"})

    with pytest.raises(ValueError, match="The session is empty, and has no cookie"):
        give_session(client, {})

    assert read_session(client) == {"user": "ada"}


@pytest.mark.parametrize("make_store", [lambda: None, MemoryStore], ids=["cookie", "store"])
def test_what_was_read_may_be_changed_and_given_to_another_client(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_starlette(store=make_store())
    client, another = TestClient(app), TestClient(app)
    give_session(client, {"user": "ada"})

    session = read_session(client)
    session["cart"] = ["tea"]
    give_session(another, session)

    assert read_session(another) == {"user": "ada", "cart": ["tea"]}
    assert read_session(client) == {"user": "ada"}
    assert caplog.records == []


def test_a_client_that_says_no_address_or_no_app_is_an_error() -> None:
    app = make_starlette()

    with pytest.raises(ValueError, match="The client has no base_url"):
        give_session(httpx.AsyncClient(transport=httpx.ASGITransport(app)), {"a": 1}, app=app)
    with pytest.raises(TypeError, match="AsyncClient doesn't say which app it calls: pass it, app=app"):
        give_session(httpx.AsyncClient(base_url="http://testserver"), {"a": 1})


def test_what_is_no_client_is_an_error() -> None:
    with pytest.raises(TypeError, match="client is a dict, and its cookies are in no CookieJar"):
        read_session({}, app=make_starlette())


def test_it_imports_no_client_and_nobody_imports_it_unasked() -> None:
    code = (
        "import sys, asgi_signed_session; assert 'asgi_signed_session.testing' not in sys.modules;"
        "import asgi_signed_session.testing;"
        "print(sorted({'httpx', 'starlette', 'quart', 'litestar', 'django', 'pytest'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"
