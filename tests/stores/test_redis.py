"""What RedisStore does beyond the protocol: clients of the app's or its own, and what it does when Redis can't."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as Client

from asgi_signed_session.stores import RedisStore

from ..daemons import Daemon, Redis, free_port, has_redis
from ..daemons import redis as run_redis
from . import NEW, OLD, OTHER, make_key

KEY = make_key()

Talk = Callable[[RedisStore], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Redis]:
    skip_without_redis()
    with run_redis(tmp_path_factory.mktemp("redis"), durable=False) as server:
        yield server


@pytest.fixture
def admin(shared_server: Redis) -> Generator[Any]:
    """One who sets the server up, which is empty, and how it was for the next test."""
    with redis.Redis.from_url(shared_server.url) as client:
        client.flushall()
        client.script_flush()
        yield client
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 0)


@pytest.fixture
def url(shared_server: Redis, admin: Any) -> str:
    return shared_server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Generator[Redis]:
    """A server that a test may kill."""
    skip_without_redis()
    with run_redis(tmp_path) as server:
        yield server


def skip_without_redis() -> None:
    if not has_redis():
        pytest.skip("redis-server is not installed")


def talk_to(url: str, talk: Talk, **options: Any) -> None:
    """Runs ``talk`` with a store that has a client of the app's."""

    async def main() -> None:
        async with Client.from_url(url, **options) as client:
            await talk(RedisStore(client))

    asyncio.run(main())


# Clients


def test_it_never_closes_the_client_that_it_was_given(url: str) -> None:
    async def main() -> None:
        async with Client.from_url(url, single_connection_client=True) as client:
            number = await client.client_id()
            store = RedisStore(client)
            assert await store.swap(KEY, None, OLD, ttl=60) is None
            await store.aclose()
            assert await store.get(KEY) == OLD
            del store
            assert await client.client_id() == number

    asyncio.run(main())


def test_what_the_app_asks_of_its_client_is_decoded_as_before(url: str) -> None:
    async def main() -> None:
        async with Client.from_url(url, decode_responses=True) as client:
            await client.set("name", "é")
            store = RedisStore(client)
            await store.swap(KEY, None, OLD, ttl=60)
            assert [await client.get("name"), await store.get(KEY), await client.get("name")] == ["é", OLD, "é"]

    asyncio.run(main())


def test_each_call_is_one_command_once_the_server_knows_the_script_but_where_a_new_place_is_taken(url: str) -> None:
    asked: list[str] = []

    class Noting:
        def __init__(self, client: Any) -> None:
            self.client = client

        async def execute_command(self, *command: Any, **options: Any) -> Any:
            asked.append(command[0])
            return await self.client.execute_command(*command, **options)

    async def main() -> None:
        async with Client.from_url(url) as client:
            store = RedisStore(Noting(client))
            await store.swap(KEY, None, OLD, ttl=60)
            await store.swap(KEY, OLD, OLD, ttl=60)
            assert asked == ["SET", "EVALSHA", "EVAL"]
            asked.clear()

            await store.swap(KEY, OLD, NEW, ttl=None)
            await store.swap(KEY, OLD, OTHER, ttl=60)
            await store.get(KEY)
            await store.delete(KEY)
            assert asked == ["EVALSHA", "EVALSHA", "GET", "DEL"]
            asked.clear()

            await store.swap(KEY, None, OLD, ttl=None)
            assert await store.swap(KEY, None, NEW, ttl=None) == OLD
            assert asked == ["SET", "SET", "EVALSHA"]

    asyncio.run(main())


BLOCKING = [Client, redis.Redis()]  # a class, and a client that would hold up the event loop


@pytest.mark.parametrize("wrong", [None, 5, object(), b"redis://127.0.0.1", ["redis://127.0.0.1"], *BLOCKING])
def test_what_is_neither_client_nor_url_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^RedisStore takes a URL or a client of redis.asyncio, not .*; write Redis"):
        RedisStore(wrong)


def test_a_prefix_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^prefix=b'x' must be a str.$"):
        RedisStore("redis://127.0.0.1", prefix=b"x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("wrong", ["", "127.0.0.1:6379", "http://127.0.0.1", "memcached://:password@127.0.0.1"])
def test_a_url_of_something_else_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(ValueError, match="redis://, rediss://, unix://") as raised:
        RedisStore(wrong)

    assert "password" not in str(raised.value)


def test_redis_py_is_needed_for_a_url_alone() -> None:
    code = (
        "import sys\n"
        "sys.modules['redis'] = None\n"
        "from asgi_signed_session.stores import RedisStore\n"
        "class Client:\n"
        "    async def execute_command(self): ...\n"
        "RedisStore(Client())\n"
        "RedisStore('redis://127.0.0.1')\n"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "line 7, in <module>" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")


# A URL


def test_a_store_of_a_url_serves_one_loop_after_another(url: str) -> None:
    store = RedisStore(url)

    async def main(expected: bytes | None, record: bytes) -> None:
        assert await store.get(KEY) == expected
        assert await store.swap(KEY, expected, record, ttl=60) is None
        await store.aclose()

    asyncio.run(main(None, OLD))
    asyncio.run(main(OLD, NEW))


def test_a_store_of_a_url_serves_several_loops_at_once(url: str) -> None:
    store = RedisStore(url)
    meet = Barrier(3)

    async def main() -> None:
        for _ in range(20):
            key = make_key()
            meet.wait()
            assert await store.swap(key, None, OLD, ttl=60) is None
            assert await store.get(key) == OLD
        await store.aclose()

    with ThreadPoolExecutor(3) as threads:
        for future in [threads.submit(asyncio.run, main()) for _ in range(3)]:
            future.result()


def test_requests_wait_for_one_of_the_connections_that_a_url_may_have(url: str, admin: Any) -> None:
    before = admin.info("stats")["total_connections_received"]

    async def main() -> None:
        store = RedisStore(url, max_connections=3)
        keys = [make_key() for _ in range(200)]
        assert await asyncio.gather(*(store.swap(key, None, OLD, ttl=60) for key in keys)) == [None] * 200
        assert await asyncio.gather(*(store.get(key) for key in keys)) == [OLD] * 200
        await store.aclose()

    asyncio.run(main())

    assert admin.info("stats")["total_connections_received"] - before == 3


def test_closing_leaves_no_connection_and_the_store_may_be_used_again(url: str, admin: Any) -> None:
    async def main() -> None:
        store = RedisStore(url)
        await store.aclose()
        for _ in range(2):
            await store.get(KEY)
            assert len(admin.client_list()) == 2
            await store.aclose()

    asyncio.run(main())


def test_a_url_may_name_a_socket_and_a_database(tmp_path: Path) -> None:
    skip_without_redis()
    place = tmp_path / "socket"
    port = free_port()
    server = Daemon(["redis-server", "--port", str(port), "--unixsocket", str(place), "--save", ""], port)

    async def main() -> None:
        store = RedisStore(f"unix://{place}?db=3")
        assert await store.swap(KEY, None, OLD, ttl=60) is None
        await store.aclose()

    server.start()
    try:
        asyncio.run(main())
        with redis.Redis(port=port, db=3) as client:
            assert client.get(f"session:{KEY}") == OLD
    finally:
        server.kill()


# What is in Redis


def test_a_record_is_under_its_prefix_as_it_is_and_redis_ends_it(url: str, admin: Any) -> None:
    async def talk(store: RedisStore) -> None:
        await store.swap(KEY, None, OLD, ttl=60)
        assert (admin.keys(), admin.get(f"session:{KEY}"), admin.ttl(f"session:{KEY}")) == (
            [f"session:{KEY}".encode()],
            OLD,
            60,
        )

        await store.swap(KEY, OLD, NEW, ttl=None)
        assert admin.ttl(f"session:{KEY}") == -1

        await store.delete(KEY)
        assert admin.keys() == []

    talk_to(url, talk)


def test_two_stores_with_other_prefixes_do_not_meet(url: str) -> None:
    async def main() -> None:
        async with Client.from_url(url) as client:
            one, other = RedisStore(client, "one:"), RedisStore(client, prefix="other:")
            assert await one.swap(KEY, None, OLD, ttl=60) is None
            assert await other.get(KEY) is None
            assert await other.swap(KEY, None, NEW, ttl=60) is None
            await one.delete(KEY)
            assert (await one.get(KEY), await other.get(KEY)) == (None, NEW)

    asyncio.run(main())


# When Redis can't


def test_a_server_that_has_forgotten_the_script_gets_it_again(url: str, admin: Any) -> None:
    async def talk(store: RedisStore) -> None:
        for expected, record in ((None, OLD), (OLD, NEW), (NEW, OTHER)):
            assert await store.swap(KEY, expected, record, ttl=60) is None
            admin.script_flush()
        assert await store.swap(KEY, OLD, NEW, ttl=60) == OTHER

    talk_to(url, talk)


@pytest.mark.parametrize("kind", ["client", "url"])
def test_a_killed_server_is_the_driver_s_error_and_all_goes_on_when_it_is_back(own_server: Redis, kind: str) -> None:
    async def talk(store: RedisStore) -> None:
        assert await store.swap(KEY, None, OLD, ttl=60) is None
        own_server.kill()

        for call in (store.get(KEY), store.swap(KEY, OLD, NEW, ttl=60), store.delete(KEY)):
            with pytest.raises(redis.ConnectionError):
                await call

        own_server.start()
        assert await store.swap(KEY, OLD, NEW, ttl=60) is None
        assert await store.get(KEY) == NEW
        await store.aclose()

    if kind == "client":
        talk_to(own_server.url, talk)
    else:
        asyncio.run(talk(RedisStore(own_server.url)))


def test_something_else_under_a_key_is_the_driver_s_error(url: str, admin: Any) -> None:
    admin.rpush(f"session:{KEY}", "an item of a list")

    async def talk(store: RedisStore) -> None:
        for call in (store.get(KEY), store.swap(KEY, None, OLD, ttl=60), store.swap(KEY, OLD, NEW, ttl=60)):
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                await call
        assert admin.lrange(f"session:{KEY}", 0, -1) == [b"an item of a list"]

        await store.delete(KEY)
        assert await store.swap(KEY, None, OLD, ttl=60) is None

    talk_to(url, talk)


def test_a_server_without_room_is_the_driver_s_error_and_the_next_call_works(url: str, admin: Any) -> None:
    async def talk(store: RedisStore) -> None:
        assert await store.swap(KEY, None, OLD, ttl=60) is None
        admin.config_set("maxmemory", 1)

        for _ in range(2):
            with pytest.raises(redis.OutOfMemoryError):
                await store.swap(KEY, OLD, NEW, ttl=60)
        assert await store.get(KEY) == OLD

        admin.config_set("maxmemory", 0)
        assert await store.swap(KEY, OLD, NEW, ttl=60) is None

    talk_to(url, talk)


def test_a_replica_that_takes_no_writes_is_the_driver_s_error_and_the_next_call_works(url: str, admin: Any) -> None:
    async def talk(store: RedisStore) -> None:
        assert await store.swap(KEY, None, OLD, ttl=60) is None
        admin.replicaof("127.0.0.1", free_port())

        with pytest.raises(redis.ReadOnlyError):
            await store.swap(KEY, OLD, NEW, ttl=60)
        with pytest.raises(redis.ReadOnlyError):
            await store.delete(KEY)
        assert await store.get(KEY) == OLD

        admin.replicaof("NO", "ONE")
        assert await store.swap(KEY, OLD, NEW, ttl=60) is None

    talk_to(url, talk)


def test_an_error_of_the_first_swap_on_a_new_server_reaches_the_caller_as_well(url: str, admin: Any) -> None:
    admin.config_set("maxmemory", 1)

    async def talk(store: RedisStore) -> None:
        with pytest.raises(redis.OutOfMemoryError):
            await store.swap(KEY, None, OLD, ttl=60)

    talk_to(url, talk)
