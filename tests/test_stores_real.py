"""Sessions in real stores, through the middleware: what each store does alone is in tests/stores."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis as blocking_redis
from redis.asyncio import RedisCluster

from asgi_signed_session import SessionMiddleware
from asgi_signed_session.stores import RedisStore

from .apps import app_that, visit
from .backends import disk_store, open_store
from .browser import Browser
from .conftest import KEY
from .daemons import DEADLINE, Redis, has_redis, redis, redis_cluster, wait_until
from .records import key_of, read_id, read_payload
from .servers import Server, browse, running

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

ADA = {"user": "ada"}
CLIENTS = 50
REQUESTS = 10  # of each client


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Redis]:
    skip_without_redis()
    with redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[Redis]:
    """A Redis that a test may harm."""
    skip_without_redis()
    with redis(tmp_path) as server:
        yield server


def skip_without_redis() -> None:
    if not has_redis():
        pytest.skip("redis-server is not installed")


# What every store does


@pytest.fixture(params=["memory", "sqlite", "disk", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_server").url)
    return f"{request.param}:{tmp_path / 'sessions'}"


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    """One loop for all requests of a test, as the stores' connections belong to one."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def store(url: str, loop: asyncio.AbstractEventLoop) -> Generator[Any]:
    closing = AsyncExitStack()
    kind, _, folder = url.partition(":")
    if kind == "disk":
        store: Any = loop.run_until_complete(closing.enter_async_context(disk_store(folder)))
    else:
        store = open_store(url)
    if hasattr(store, "aclose"):
        closing.push_async_callback(store.aclose)
    if hasattr(store, "close"):
        closing.callback(store.close)
    yield store
    loop.run_until_complete(closing.aclose())


@pytest.fixture
def browser(store: Any, loop: asyncio.AbstractEventLoop) -> Browser:
    return Browser(SessionMiddleware(visit, KEY, store=store), run=lambda main: loop.run_until_complete(main()))


def read_record(record: bytes) -> Any:
    return read_payload(record[64:])


def own_key(browser: Browser) -> str:
    return key_of(read_id(browser.cookies["session"]))


def change_app(browser: Browser, app: Any, store: Any, **options: Any) -> None:
    browser.app = SessionMiddleware(app, KEY, store=store, **options)


def test_a_session_lives_from_login_to_logout(browser: Browser, store: Any, loop: Any) -> None:
    assert browser.get("/whoami").json() == {}
    browser.get("/login")
    assert browser.get("/whoami").json() == ADA
    browser.get("/add")
    browser.websocket("/add")
    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea", "tea"]}
    key = own_key(browser)
    assert read_record(loop.run_until_complete(store.get(key))) == {"user": "ada", "cart": ["tea", "tea"]}
    browser.get("/logout")
    assert loop.run_until_complete(store.get(key)) is None
    assert (browser.get("/whoami").json(), browser.cookies) == ({}, {})


def test_a_session_of_any_size_and_script_comes_back(browser: Browser, store: Any) -> None:
    content = {"text": "é\n\x00\ud800" * 100_000}
    seen: list[Any] = []
    change_app(browser, app_that(lambda scope: scope["session"].update(content)), store, max_size=None)
    browser.get()
    change_app(browser, app_that(lambda scope: seen.append(dict(scope["session"]))), store)
    browser.get()

    assert seen == [content]


def test_the_cookie_of_before_leads_nowhere_after_a_new_id(browser: Browser, store: Any, loop: Any) -> None:
    browser.get("/login")
    thief = Browser(browser.app, cookies=dict(browser.cookies), run=browser.run)
    change_app(browser, app_that(lambda scope: scope["session"].regenerate()), store)
    browser.get()

    assert thief.get("/whoami").json() == {}
    assert read_record(loop.run_until_complete(store.get(own_key(browser)))) == ADA


@pytest.mark.parametrize("count", [2, 6, 20])
def test_requests_at_the_same_time_lose_nothing(browser: Browser, store: Any, loop: Any, count: int) -> None:
    """All have read the session before the first of them answers."""
    browser.get("/login")
    have_read = 0
    all_have_read = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal have_read
        number = scope["path"][1:]
        scope["session"][number] = number
        scope["session"].setdefault("nested", {})[number] = number
        scope["session"].setdefault("cart", []).append(number)
        have_read += 1
        if have_read == count:
            all_have_read.set()
        await all_have_read.wait()
        await send({"type": "http.response.start", "status": 200})

    async def answer(message: Any) -> None:
        assert [name for name, _ in message["headers"]] == [b"vary"]

    async def visit_at_once() -> None:
        middleware = SessionMiddleware(app, KEY, store=store)
        scopes = [{"type": "http", "path": f"/{n}", "headers": browser.headers()} for n in range(count)]
        await asyncio.gather(*[middleware(scope, None, answer) for scope in scopes])

    loop.run_until_complete(visit_at_once())

    found = read_record(loop.run_until_complete(store.get(own_key(browser))))
    numbers = [str(number) for number in range(count)]
    assert sorted(found.pop("cart")) == sorted(numbers)
    assert found.pop("nested") == {number: number for number in numbers}
    assert found == {**ADA, **{number: number for number in numbers}}


def test_a_request_that_ends_after_the_sign_out_does_not_bring_the_session_back(
    browser: Browser, store: Any, loop: Any
) -> None:
    browser.get("/login")
    key = own_key(browser)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await store.delete(scope["session"].store_key)
        await visit(scope, receive, send)

    change_app(browser, slow, store)
    browser.get("/add")

    assert loop.run_until_complete(store.get(key)) is None


def test_a_record_lives_as_long_as_its_session(browser: Browser, store: Any, loop: Any) -> None:
    change_app(browser, visit, store, max_age=3600)
    browser.get("/login")

    record = loop.run_until_complete(store.get(own_key(browser)))

    assert time.time() + 3590 < int.from_bytes(record[56:64], "big") <= time.time() + 3600


# In a file


def running_counter(url: str, *options: str) -> AbstractContextManager[Server]:
    return running("-m", "uvicorn", "tests.stored:app", "--port=0", *options, SESSION_SECRET=KEY, STORE=url)


def count(client: httpx.Client) -> int:
    response = client.post("/")
    assert response.status_code == 200, response.text
    return int(response.json())


def test_sessions_in_a_file_outlive_a_restart(tmp_path: Path) -> None:
    with running_counter(f"sqlite:{tmp_path}/sessions.db") as server, browse(server) as client:
        assert count(client) == 1
        cookie = client.cookies["session"]
    with running_counter(f"sqlite:{tmp_path}/sessions.db") as server, browse(server, cookie) as client:
        assert count(client) == 2


# In Redis


def test_the_record_in_redis_lives_as_long_as_its_session_and_holds_no_id(redis_server: Redis) -> None:
    with running_counter(redis_server.url) as server, browse(server) as client:
        count(client)
        session_id = read_id(client.cookies["session"])
        with redis_server.client() as database:
            name = f"session:{key_of(session_id)}"
            assert 14 * 86400 - 5 <= database.ttl(name) <= 14 * 86400
            assert database.execute_command("STRLEN", name) == 64 + len('{"count":1}')
            everything = [
                part
                for key in database.scan_iter()
                for part in (key.encode(), database.execute_command("GET", key, NEVER_DECODE=True))
            ]
    assert not [part for part in everything if session_id[:22].encode() in part or session_id[22:].encode() in part]


def test_two_servers_on_one_redis_see_one_session(redis_server: Redis) -> None:
    with (
        running_counter(redis_server.url) as first,
        running_counter(redis_server.url) as second,
        browse(first) as client,
    ):
        assert count(client) == 1
        with browse(second, client.cookies["session"]) as other:
            assert count(other) == 2
        assert count(client) == 3


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_session_that_was_saved(redis_server: Redis) -> None:
    with running_counter(redis_server.url, "--workers=2") as server:
        cookie = None
        for number in (1, 2, 3):
            with browse(server, cookie) as client:
                assert count(client) == number
                cookie = client.cookies["session"]
                os.kill(client.get("/pid").json(), signal.SIGKILL)


@pytest.mark.slow
def test_redis_may_come_up_after_the_app(own_redis: Redis) -> None:
    own_redis.kill()
    with running_counter(own_redis.url) as server, browse(server) as client:
        assert client.get("/").json() is None
        assert client.post("/").status_code == 500
        own_redis.start()
        assert count(client) == 1


def test_a_redis_that_hangs_holds_up_only_who_has_a_session(own_redis: Redis) -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=DEADLINE, trust_env=False) as client:
            response = await client.post("/")
            cookie = {"cookie": f"session={response.cookies['session']}"}
            client.cookies.clear()
            own_redis.signal(signal.SIGSTOP)
            waiting = asyncio.create_task(client.get("/", headers=cookie))
            for _ in range(20):
                assert (await client.get("/")).json() is None
            assert not waiting.done()
            own_redis.signal(signal.SIGCONT)
            assert (await waiting).json() == 1

    with running_counter(own_redis.url) as server:
        asyncio.run(main(server.url))


# Redis hangs, and the app is given up


@pytest.fixture
def guarded(own_redis: Redis) -> Generator[Server]:
    program = ("-m", "uvicorn", "tests.giving_up:app", "--port=0")
    with running(*program, SESSION_SECRET=KEY, STORE=own_redis.url) as server:
        yield server


def ask(server: Server, path: str) -> str:
    """The answer to a visitor without a session, for whom Redis isn't asked."""
    with browse(server) as client:
        return client.get(path).text


@contextmanager
def visiting(server: Server, path: str, cookie: str | None) -> Generator[None]:
    """A visitor who asks for that, and goes away without an answer."""
    host, port = server.url.rpartition("/")[2].split(":")
    with socket.create_connection((host, int(port)), DEADLINE) as connection:
        header = f"cookie: session={cookie}\r\n" if cookie else ""
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{header}\r\n".encode())
        yield
    server.wait_for(f"({path} is given up)")


@contextmanager
def hanging(own_redis: Redis, server: Server) -> Generator[None]:
    """Redis hangs meanwhile, and goes on once the server has no task left of what it was asked."""
    tasks = ask(server, "/tasks")
    own_redis.signal(signal.SIGSTOP)
    yield
    wait_until(lambda: ask(server, "/tasks") == tasks)
    own_redis.signal(signal.SIGCONT)


@pytest.mark.parametrize("is_known", [False, True])
def test_who_goes_away_while_redis_hangs_leaves_no_task_and_the_next_request_works(
    guarded: Server, own_redis: Redis, is_known: bool
) -> None:
    with browse(guarded) as client:
        before = int(client.get("/").text) if is_known else 0
        with hanging(own_redis, guarded), visiting(guarded, "/away", client.cookies.get("session")):
            guarded.wait_for("(/away has begun)")

        assert [client.get("/").text for _ in range(2)] == [str(before + 1), str(before + 2)]


def test_a_write_at_which_redis_hangs_until_the_visitor_goes_away_is_whole_or_not_there(
    guarded: Server, own_redis: Redis
) -> None:
    with browse(guarded) as client:
        assert client.get("/").text == "1"
        tasks = ask(guarded, "/tasks")
        with visiting(guarded, "/gate", client.cookies["session"]):
            guarded.wait_for("(/gate has read)")
            own_redis.signal(signal.SIGSTOP)
            assert ask(guarded, "/open") == "open"
        wait_until(lambda: ask(guarded, "/tasks") == tasks)
        own_redis.signal(signal.SIGCONT)

        assert [client.get("/").text for _ in range(2)] in (["2", "3"], ["3", "4"])


@pytest.mark.parametrize("is_known", [False, True])
def test_an_app_whose_time_is_over_while_redis_hangs_sets_no_cookie_and_the_next_request_works(
    guarded: Server, own_redis: Redis, is_known: bool
) -> None:
    with browse(guarded) as client:
        before = int(client.get("/").text) if is_known else 0
        with hanging(own_redis, guarded):
            response = client.get("/in-time")
            assert (response.status_code, response.text) == (503, "too late")
            assert response.headers.get_list("set-cookie") == []

        assert [client.get("/").text for _ in range(2)] == [str(before + 1), str(before + 2)]


SESSIONS = 10_000


@pytest.mark.slow
def test_ten_thousand_sessions_in_a_cluster_are_all_read_back_and_each_node_has_a_share(tmp_path: Path) -> None:
    skip_without_redis()
    with redis_cluster(tmp_path) as ports:
        found = asyncio.run(fill_cluster(ports[0]))
        shares = []
        for port in ports:
            with blocking_redis.Redis(port=port) as node:
                shares.append(node.dbsize())

    assert found == {f"/{number}": f"/{number}" for number in range(SESSIONS)}
    assert sum(shares) == SESSIONS
    assert all(3_000 < share < 3_700 for share in shares)


async def fill_cluster(port: int) -> dict[str, str]:
    """Whose session each visitor finds, by who it is."""
    found: dict[str, str] = {}
    cookies: dict[str, bytes] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        visitor, session = scope["path"], scope["session"]
        if visitor in cookies:
            found[visitor] = session["visitor"]
        else:
            session["visitor"] = visitor
        await send({"type": "http.response.start", "status": 200, "visitor": visitor})

    async def keep(message: Any) -> None:
        for name, value in message["headers"]:
            if name == b"set-cookie":
                cookies[message["visitor"]] = value.partition(b";")[0]

    async def visit(numbers: range) -> None:
        for visitor in [f"/{number}" for number in numbers]:
            await middleware({"type": "http", "path": visitor, "headers": []}, None, keep)
        for visitor in [f"/{number}" for number in numbers]:
            await middleware({"type": "http", "path": visitor, "headers": [(b"cookie", cookies[visitor])]}, None, keep)

    async with RedisCluster(host="127.0.0.1", port=port) as client:
        middleware = SessionMiddleware(app, KEY, store=RedisStore(client))
        await asyncio.gather(*[visit(range(first, SESSIONS, CLIENTS)) for first in range(CLIENTS)])
    return found


class Visitor:
    """A client that counts, and what it was told."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.acknowledged = 0
        self.failed_since = 0

    async def count(self) -> bool:
        response = await self.client.post("/")
        if response.status_code == 500:
            assert (response.text, response.headers.get_list("set-cookie")) == ("Internal Server Error", [])
            self.failed_since += 1
            return False
        assert response.status_code == 200
        # A write that Redis made but could not acknowledge counts too, so more than one may be added.
        assert self.acknowledged < response.json() <= self.acknowledged + self.failed_since + 1
        self.acknowledged, self.failed_since = response.json(), 0
        return True


@pytest.mark.slow
def test_killing_redis_among_running_requests_loses_no_session_that_was_saved(own_redis: Redis) -> None:
    succeeded = failed = 0
    killed = restarted = False

    async def visit(visitor: Visitor) -> None:
        nonlocal succeeded, failed, killed, restarted
        for _ in range(REQUESTS):
            if await visitor.count():
                succeeded += 1
            else:
                failed += 1
            if succeeded >= CLIENTS * REQUESTS * 0.3 and not killed:
                killed = True
                own_redis.kill()
            if failed >= CLIENTS and not restarted:
                restarted = True
                own_redis.start()

    async def main(url: str) -> None:
        clients = [httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) for _ in range(CLIENTS)]
        visitors = [Visitor(client) for client in clients]
        await asyncio.gather(*[visitor.count() for visitor in visitors])  # everyone is signed in
        await asyncio.gather(*[visit(visitor) for visitor in visitors])
        assert await asyncio.gather(*[visitor.count() for visitor in visitors]) == [True] * CLIENTS
        for client in clients:
            await client.aclose()

    with running_counter(own_redis.url) as server:
        asyncio.run(main(server.url))
    assert (killed, restarted, succeeded + failed) == (True, True, CLIENTS * REQUESTS)
    assert failed >= CLIENTS
