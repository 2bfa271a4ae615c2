"""What each framework's page shows, as it stands there: on a real server, with real clients."""

from __future__ import annotations

import asyncio
import os
from base64 import urlsafe_b64encode
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import httpx2
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_signed_session import SessionMiddleware, SessionSigner
from asgi_signed_session.stores import MemoryStore, Sessions

from .conftest import KEY
from .daemons import DEADLINE
from .pages import PAGES, Names, execute, find_blocks, need_what_is_imported, run_page
from .servers import Server, browse, keep, running
from .wire import DELETED, KEPT

SIGNER = SessionSigner(KEY)

FRAMEWORKS = [page for page in PAGES if page.startswith("frameworks/")]
# These two have a test of their own below.
ALIKE = [page for page in FRAMEWORKS if page not in ("frameworks/django.md", "frameworks/socketio.md")]


def verify(line: str) -> tuple[dict[str, Any], str]:
    cookie, _, attributes = line.partition("; ")
    return SIGNER.loads(cookie.removeprefix("session=")), attributes


def cookies_set(response: httpx.Response) -> list[tuple[dict[str, Any], str]]:
    return [verify(line) for line in response.headers.get_list("set-cookie")]


class Talk(NamedTuple):
    """How a websocket's handshake was answered, and what was then said."""

    status: int
    set_cookie: list[str]
    answer: str | None


def talk(visitor: httpx.Client, text: str) -> Talk:
    """Open the chat with the visitor's cookies, say something, and keep the cookies that the handshake sets."""
    url = str(visitor.base_url.copy_with(scheme="ws", path="/chat"))
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    try:
        with connect(url, additional_headers=headers, open_timeout=DEADLINE, proxy=None) as websocket:
            assert websocket.response is not None
            set_cookie = websocket.response.headers.get_all("set-cookie")
            websocket.send(text)
            answer = str(websocket.recv(timeout=DEADLINE))
    except InvalidStatus as refusal:
        return Talk(refusal.response.status_code, refusal.response.headers.get_all("set-cookie"), None)
    for line in set_cookie:
        keep(visitor, line.partition(";")[0].removeprefix("session="))
    return Talk(101, set_cookie, answer)


# What the apps of all these pages do


@pytest.fixture(scope="module", params=ALIKE)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Uvicorn with the app of a page: its blocks one after the other, as one file."""
    blocks = find_blocks(PAGES[request.param])
    need_what_is_imported(*blocks)
    folder = tmp_path_factory.mktemp("page")
    (folder / "app.py").write_text("\n".join(blocks))
    github = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}
    command = ("-m", "uvicorn", "app:app", "--port=0", f"--app-dir={folder}")
    with running(*command, SESSION_SECRET=KEY, **github) as server:
        yield server


@pytest.fixture
def visitor(server: Server) -> Generator[httpx.Client]:
    with browse(server) as client:
        yield client


def test_who_signs_in_is_known_from_then_on(visitor: httpx.Client) -> None:
    response = visitor.post("/login", params={"user": "ada"})

    assert cookies_set(response) == [({"user": "ada"}, KEPT)]
    assert visitor.get("/whoami").json() == {"user": "ada"}


def test_a_stranger_is_nobody(visitor: httpx.Client) -> None:
    response = visitor.get("/whoami")

    assert response.status_code == 401 or response.json() == {"user": None}
    assert cookies_set(response) == []


def test_a_nested_change_is_saved(visitor: httpx.Client) -> None:
    visitor.post("/login", params={"user": "ada"})

    carts = [visitor.post("/cart", params={"item": item}) for item in ("tea", "jam")]

    assert [cart.json() for cart in carts] == [["tea"], ["tea", "jam"]]
    assert cookies_set(carts[1]) == [({"user": "ada", "cart": ["tea", "jam"]}, KEPT)]


def test_who_signs_in_finds_nothing_of_the_user_before(visitor: httpx.Client) -> None:
    visitor.post("/login", params={"user": "ada"})
    visitor.post("/cart", params={"item": "tea"})

    visitor.post("/login", params={"user": "eve"})

    assert visitor.post("/cart", params={"item": "jam"}).json() == ["jam"]


def test_who_signs_out_is_forgotten(visitor: httpx.Client) -> None:
    visitor.post("/login", params={"user": "ada"})

    response = visitor.post("/logout")

    assert response.headers.get_list("set-cookie") == [DELETED.decode()]
    assert "session" not in visitor.cookies


def test_a_websocket_knows_who_is_signed_in_and_sets_no_cookie(visitor: httpx.Client) -> None:
    visitor.post("/login", params={"user": "ada"})

    assert talk(visitor, "hello") == (101, [], "ada: hello")


def test_a_strangers_handshake_is_refused(visitor: httpx.Client) -> None:
    assert talk(visitor, "hello") == (403, [], None)


@pytest.mark.parametrize("page", ALIKE)
def test_the_tests_that_are_shown_pass(page: str, names: Names) -> None:
    shown = [value for name, value in run_page(page, names).items() if name.startswith("test_")]

    for test in shown:
        test()

    assert shown != []


# FastAPI


class Provider:
    """GitHub's part of a sign-in: an ASGI app that takes each code once, from who can prove to have asked for it."""

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}

    def send_back(self, location: str) -> str:
        """Where the visitor, who agrees, is sent from the page at ``location``."""
        asked = dict(parse_qsl(urlsplit(location).query))
        assert location.partition("?")[0] == "https://github.com/login/oauth/authorize"
        code = f"code {len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def answer(self, path: str, headers: dict[bytes, bytes], body: str) -> tuple[int, str]:
        if path == "/user":
            return (200, '{"id": 42, "login": "ada"}') if headers[b"authorization"] == b"Bearer token" else (401, "{}")
        form = dict(parse_qsl(body))
        asked = self.codes.pop(form["code"])
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        proven = challenge == asked["code_challenge"] and form["redirect_uri"] == asked["redirect_uri"]
        return (200, '{"access_token": "token", "token_type": "bearer"}') if proven else (400, "{}")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, answer = self.answer(scope["path"], dict(scope["headers"]), (await receive())["body"].decode())
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.encode()})


def sign_in_with_github(names: Names, state: str | None = None, visits: int = 1) -> list[Any]:
    """What a visitor is answered who goes to GitHub and comes back, ``visits`` times by the same link."""
    provider = Provider()
    run_page("frameworks/fastapi.md", names)
    names["oauth"].github.client_kwargs["transport"] = httpx2.ASGITransport(
        provider
    )  # which Authlib takes where it is installed

    async def visit() -> list[Any]:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as visitor:
            sent_away = await visitor.get("/github")
            back = provider.send_back(sent_away.headers["location"])
            if state is not None:
                back = back.replace(parse_qs(urlsplit(back).query)["state"][0], state)
            answers = [await visitor.get(back) for _ in range(visits)]
            return [*[answer.status_code for answer in answers], SIGNER.loads(visitor.cookies["session"])]

    return asyncio.run(visit())


def test_with_the_lines_for_a_store_fastapis_page_passes_its_tests_on_sqlite_and_keeps_two_users_apart(
    names: Names, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONS", str(tmp_path / "sessions.db"))
    text = PAGES["frameworks/fastapi.md"]
    source = "\n".join(find_blocks(text))
    for diff in find_blocks(text, "diff"):
        before = "\n".join(line[1:] for line in diff.splitlines() if line[0] in " -")
        after = "\n".join(line[1:] for line in diff.splitlines() if line[0] in " +")
        assert source.count(before) == 1
        source = source.replace(before, after)
    execute(source, names)
    shown = [value for name, value in names.items() if name.startswith("test_")]

    for test in shown:
        test()
    with names["TestClient"](names["app"]) as client:
        client.post("/login", params={"user": "ada"})
        client.post("/cart", params={"item": "tea"})
        client.post("/login", params={"user": "eve"})
        signed_in = client.get("/whoami").json()
        sessions = asyncio.run(Sessions(names["store"], os.environ["SESSION_SECRET"]).of("eve"))
        with client.websocket_connect("/chat") as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "eve: hello"
            client.post("/logout")
            websocket.send_text("hello")
            assert websocket.receive()["code"] == 4401

    assert len(shown) == 4
    assert signed_in == {"user": "eve"}
    assert [session.data for session in sessions] == [{"user": "eve"}]  # nothing of Ada's


def test_a_sign_in_with_github_ends_in_the_session_and_leaves_nothing_else_there(names: Names) -> None:
    assert sign_in_with_github(names) == [307, {"user": "github:42"}]


def test_a_sign_in_that_was_not_begun_here_signs_nobody_in(names: Names) -> None:
    [status, session] = sign_in_with_github(names, state="another")

    assert status == 403
    assert "user" not in session


def test_a_link_back_from_github_works_once(names: Names) -> None:
    assert sign_in_with_github(names, visits=2) == [307, 403, {"user": "github:42"}]


def change(request: Request) -> None:
    request.session["changes"] = request.session.get("changes", 0) + 1


def show(request: Request) -> dict[str, Any]:
    return dict(request.session)


def yield_and_change(request: Request) -> Generator[None]:
    yield
    change(request)


def change_in_a_task(request: Request, tasks: BackgroundTasks) -> None:
    tasks.add_task(change, request)


def change_while_streaming(request: Request) -> StreamingResponse:
    def chunks() -> Generator[str]:
        change(request)
        yield "chunk"

    return StreamingResponse(chunks())


def fail(error: str) -> None:
    raise {"Exception": ValueError(), "LookupError": KeyError()}.get(error, HTTPException(400))


def change_in_a_handler(request: Request, error: Exception) -> JSONResponse:
    change(request)
    return JSONResponse({}, status_code=400)


def make_app_that_is_late(**options: Any) -> FastAPI:
    """Changes the session where the page says that it's too late, and where it says that it's not."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=KEY, **options)
    app.get("/change")(change)
    app.get("/show")(show)
    app.get("/task")(change_in_a_task)
    app.get("/stream")(change_while_streaming)
    app.get("/yield", dependencies=[Depends(yield_and_change)])(lambda: None)
    app.get("/{error}")(fail)
    for error in (Exception, LookupError, HTTPException):
        app.exception_handler(error)(change_in_a_handler)
    return app


@pytest.mark.parametrize(
    ("path", "in_a_cookie", "in_a_store"),
    [
        ("/task", 1, 2),
        ("/stream", 1, 2),
        ("/yield", 1, 2),
        ("/Exception", 1, 1),
        ("/LookupError", 2, 2),
        ("/HTTPException", 2, 2),
    ],
)
def test_a_late_change_is_saved_in_a_store_and_one_outside_of_the_middleware_is_not(
    path: str, in_a_cookie: int, in_a_store: int
) -> None:
    async def visit(app: FastAPI) -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as visitor:
            await visitor.get("/change")
            await visitor.get(path)
            return (await visitor.get("/show")).json()

    changes = [asyncio.run(visit(make_app_that_is_late(store=store))) for store in (None, MemoryStore())]

    assert changes == [{"changes": in_a_cookie}, {"changes": in_a_store}]


# Litestar, Quart


def test_litestar_replaces_and_clears_the_session_and_does_not_encode_it_unread(names: Names) -> None:
    run_page("frameworks/litestar.md", names)
    request, get, log_out, show = (names[name] for name in ("Request", "get", "log_out", "show_session"))

    def handle(path: str, answer: Any, act: Any) -> Any:
        def handler(request: Any) -> Any:
            return act(request)

        handler.__annotations__ = {"request": request, "return": answer}
        return get(path, sync_to_thread=False)(handler)

    set_user = handle("/set", None, lambda request: request.set_session({"user": "bob"}))
    unread = handle("/unread", dict[str, Any], lambda request: request.session)
    app = names["Litestar"]([set_user, unread, log_out, show], middleware=names["app"].middleware)

    with names["TestClient"](app, cookies={"session": SIGNER.dumps({"user": "ada", "cart": []})}) as visitor:
        replaced = visitor.get("/set").headers["set-cookie"]
        cleared = visitor.post("/logout").headers["set-cookie"]
        status = visitor.get("/unread").status_code

    assert (verify(replaced), cleared, status) == (({"user": "bob"}, KEPT), DELETED.decode(), 500)


def test_quarts_session_transaction_finds_no_session(names: Names) -> None:
    run_page("frameworks/quart.md", names)

    async def put() -> None:
        async with names["app"].test_client().session_transaction() as session:
            session["user"] = "ada"

    with pytest.raises(KeyError, match=r"^'session'$"):
        asyncio.run(put())


# Socket.IO

SOCKETIO = "frameworks/socketio.md"


@pytest.fixture(params=["app", "live_app"])
def pages_and_sockets(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[tuple[str, Server]]:
    blocks = find_blocks(PAGES[SOCKETIO])
    need_what_is_imported(*blocks, "import aiohttp")
    (tmp_path / "app.py").write_text("\n".join(blocks))
    command = ("-m", "uvicorn", f"app:{request.param}", "--port=0", f"--app-dir={tmp_path}")
    with running(*command, SESSION_SECRET=KEY) as server:
        yield request.param, server


def use_socket(visitor: httpx.Client, act: Any, *transports: str, origin: str | None = None) -> Any:
    """What ``act`` makes of a Socket.IO client that connects with the visitor's cookies."""
    import aiohttp
    import socketio

    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    headers |= {} if origin is None else {"Origin": origin}

    async def main() -> Any:
        async with aiohttp.ClientSession(trust_env=False) as http:
            client = socketio.AsyncSimpleClient(http_session=http)
            await client.connect(str(visitor.base_url), headers=headers, transports=list(transports) or None)
            try:
                return await act(client)
            finally:
                await client.disconnect()

    return asyncio.run(main())


async def say_hello(client: Any) -> Any:
    await client.emit("say", "hello")
    return await client.receive(timeout=DEADLINE)


@pytest.mark.parametrize("begins_by", ["websocket", "polling"])
def test_a_socket_knows_who_is_signed_in(begins_by: str, pages_and_sockets: tuple[str, Server]) -> None:
    name, server = pages_and_sockets
    if (name, begins_by) == ("live_app", "polling"):
        return  # it takes only the other
    with browse(server) as visitor:
        visitor.post("/login", params={"user": "ada"})

        said = use_socket(visitor, say_hello, begins_by, "websocket")

    assert said == ["said", "ada: hello" if name == "app" else "ada, message 1: hello"]


def test_a_strangers_socket_is_refused(pages_and_sockets: tuple[str, Server]) -> None:
    import socketio.exceptions

    with browse(pages_and_sockets[1]) as visitor, pytest.raises(socketio.exceptions.ConnectionError):
        use_socket(visitor, say_hello, "websocket")


def test_a_socket_of_another_sites_page_is_refused(pages_and_sockets: tuple[str, Server]) -> None:
    import socketio.exceptions

    with browse(pages_and_sockets[1]) as visitor:
        visitor.post("/login", params={"user": "ada"})
        with pytest.raises(socketio.exceptions.ConnectionError):
            use_socket(visitor, say_hello, "websocket", origin="https://evil.example")


@pytest.mark.parametrize("pages_and_sockets", ["live_app"], indirect=True)
def test_what_a_socket_changes_another_sees_while_it_is_open(pages_and_sockets: tuple[str, Server]) -> None:
    with browse(pages_and_sockets[1]) as visitor:
        visitor.post("/login", params={"user": "ada"})

        async def say_hello_by_two(client: Any) -> list[Any]:
            first = await say_hello(client)
            return [first, await asyncio.to_thread(use_socket, visitor, say_hello, "websocket")]

        said = use_socket(visitor, say_hello_by_two, "websocket")

    assert said == [["said", "ada, message 1: hello"], ["said", "ada, message 2: hello"]]


@pytest.mark.parametrize("pages_and_sockets", ["live_app"], indirect=True)
def test_a_socket_notices_a_sign_out(pages_and_sockets: tuple[str, Server]) -> None:
    with browse(pages_and_sockets[1]) as visitor:
        visitor.post("/login", params={"user": "ada"})

        async def sign_out(client: Any) -> bool:
            await say_hello(client)
            visitor.post("/logout")
            await client.emit("say", "still there?")
            await asyncio.wait_for(client.client.wait(), DEADLINE)  # until the server ends the connection
            return bool(client.connected)

        assert not use_socket(visitor, sign_out, "websocket")
