"""What KeyValueStore does beyond the protocol: it makes do with get, put and delete."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_signed_session.stores import KeyValueStore, MemoryStore, check_store

from ..daemons import Redis, has_redis, redis
from . import NEW, OLD, OTHER, Bare, make_key

KEY = make_key()


class Slow(Bare):
    """As a server is: others have their turn before it has done what it is to do."""

    async def get(self, key: str) -> dict[str, Any] | None:
        await checkpoint()
        return await super().get(key)

    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        await checkpoint()
        await super().put(key, value, ttl=ttl)


# What it wraps


def test_an_object_with_three_methods_is_taken_as_a_store() -> None:
    bare = Bare()

    store = check_store(bare)

    assert isinstance(store, KeyValueStore)
    asyncio.run(store.swap(KEY, None, OLD, ttl=60))
    assert list(bare.values) == [KEY]


def test_a_store_with_a_swap_of_its_own_is_not_wrapped() -> None:
    store = MemoryStore()

    assert check_store(store) is store


def test_a_value_is_a_dict_of_text_that_any_database_takes() -> None:
    bare = Bare()

    asyncio.run(KeyValueStore(bare).swap(KEY, None, bytes(range(64)), ttl=60))

    assert bare.values[KEY][0] == {
        "record": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
    }


def test_the_time_is_given_as_it_came() -> None:
    times: list[int | None] = []

    class Noting(Bare):
        async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
            times.append(ttl)
            await super().put(key, value, ttl=ttl)

    async def main() -> None:
        store = KeyValueStore(Noting())
        await store.swap(KEY, None, OLD, ttl=60)
        await store.swap(KEY, OLD, NEW, ttl=None)

    asyncio.run(main())

    assert times == [60, None]


@pytest.mark.parametrize("value", [{}, {"record": 5}, {"record": "="}, {"record": "abc"}, {"other": "AAAA"}, "text", 5])
def test_what_somebody_else_has_written_is_no_record_and_is_replaced_by_a_swap_against_it(value: Any) -> None:
    bare = Bare()
    bare.values[KEY] = value, float("inf")

    async def main() -> None:
        store = KeyValueStore(bare)
        there = await store.get(KEY)
        assert there
        assert len(there) < 32
        assert await store.swap(KEY, None, OLD, ttl=60) == there
        assert await store.swap(KEY, there, OLD, ttl=60) is None
        assert await store.get(KEY) == OLD

    asyncio.run(main())


# Its promise within a loop, and what is missing of it beyond


def test_swaps_of_one_key_wait_for_one_another(run: Any) -> None:
    store = KeyValueStore(Slow())
    answers: list[bytes | None] = []

    async def swap(record: bytes) -> None:
        answers.append(await store.swap(KEY, None, record, ttl=60))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(swap, OLD)
            tasks.start_soon(swap, NEW)
        assert answers == [None, await store.get(KEY)]

    run(main)


def test_a_delete_waits_for_a_swap_of_its_key(run: Any) -> None:
    store = KeyValueStore(Slow())

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: store.swap(KEY, None, OLD, ttl=60))
            await checkpoint()
            tasks.start_soon(store.delete, KEY)
        assert await store.get(KEY) is None

    run(main)


def test_calls_for_other_keys_do_not_wait(run: Any) -> None:
    async def main() -> None:
        other = make_key()
        is_met = anyio.Event()

        class Meeting(Bare):
            async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
                if key == KEY:
                    await is_met.wait()
                is_met.set()
                await super().put(key, value, ttl=ttl)

        store = KeyValueStore(Meeting())
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: store.swap(KEY, None, OLD, ttl=60))
                await checkpoint()
                tasks.start_soon(lambda: store.swap(other, None, OLD, ttl=60))
        assert await store.get(KEY) == await store.get(other) == OLD

    run(main)


def test_a_lock_is_forgotten_with_the_last_call_that_needs_it(run: Any) -> None:
    store = KeyValueStore(Slow())

    async def main() -> None:
        for _ in range(10):
            await store.swap(make_key(), None, OLD, ttl=60)

    run(main)
    gc.collect()

    assert len(store._locks) == 0


def test_a_failed_call_leaves_no_lock_behind(run: Any) -> None:
    class Failing(Bare):
        is_down = True

        async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
            if self.is_down:
                raise ConnectionError
            await super().put(key, value, ttl=ttl)

    bare = Failing()
    store = KeyValueStore(bare)

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await store.swap(KEY, None, OLD, ttl=60)
        bare.is_down = False
        with anyio.fail_after(20):
            assert await store.swap(KEY, None, OLD, ttl=60) is None

    run(main)


def test_one_store_serves_one_loop_after_another(run: Any) -> None:
    store = KeyValueStore(Bare())

    async def main() -> None:
        await store.swap(KEY, None, OLD, ttl=60)
        assert await store.get(KEY) == OLD

    run(main)
    run(main)


def test_two_processes_may_both_believe_that_they_have_won() -> None:
    """The weaker promise, as its docstring says it: here are two clients of one database."""

    async def main() -> None:
        clients = [Slow(), Slow()]
        clients[1].values = clients[0].values
        stores = [KeyValueStore(client) for client in clients]

        answers = await asyncio.gather(*(
            store.swap(KEY, None, record, ttl=60) for store, record in zip(stores, (OLD, NEW), strict=True)
        ))  # fmt: skip

        assert answers == [None, None]

    asyncio.run(main())


# What doesn't keep what it is given


class Forgetful(Bare):
    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        pass


def test_a_store_that_gives_nothing_back_is_found_out_at_the_first_swap() -> None:
    with pytest.raises(RuntimeError, match=r"^The store of type Forgetful does not give back what was put into it"):
        asyncio.run(KeyValueStore(Forgetful()).swap(KEY, None, OLD, ttl=60))


def test_a_store_that_cuts_a_record_is_found_out_at_the_first_swap() -> None:
    class Cutting(Bare):
        async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
            await super().put(key, {"record": value["record"][:-4]}, ttl=ttl)

    with pytest.raises(RuntimeError, match=r"^The store of type Cutting does not give back what was put into it"):
        asyncio.run(KeyValueStore(Cutting()).swap(KEY, None, OLD + bytes(3), ttl=60))


def test_the_first_record_alone_is_read_back() -> None:
    reads: list[str] = []

    class Noting(Bare):
        async def get(self, key: str) -> dict[str, Any] | None:
            reads.append(key)
            return await super().get(key)

    async def main() -> None:
        store = KeyValueStore(Noting())
        await store.swap(KEY, None, OLD, ttl=60)
        assert len(reads) == 2
        await store.swap(KEY, OLD, NEW, ttl=60)
        assert len(reads) == 3

    asyncio.run(main())


@pytest.fixture
def redis_server(tmp_path: Path) -> Generator[Redis]:
    pytest.importorskip("key_value.aio.stores.redis", reason="py-key-value-aio[redis] is not installed")
    if not has_redis():
        pytest.skip("redis-server is not installed")
    with redis(tmp_path, durable=False) as server:
        yield server


def test_py_key_value_s_redis_with_a_client_that_does_not_decode_fails_loudly(redis_server: Redis) -> None:
    from key_value.aio.stores.redis import RedisStore
    from redis.asyncio import Redis as Client

    async def main() -> None:
        async with Client.from_url(redis_server.url) as client:
            store = KeyValueStore(RedisStore(client=client))
            with pytest.raises(RuntimeError, match=r"needs a client with decode_responses=True; or use .*\.RedisStore"):
                await store.swap(KEY, None, OLD, ttl=60)

        async with Client.from_url(redis_server.url, decode_responses=True) as client:
            store = KeyValueStore(RedisStore(client=client))
            key = make_key()
            assert await store.swap(key, None, OLD, ttl=60) is None
            assert await store.swap(key, OLD, NEW, ttl=60) is None
            assert await store.swap(key, OLD, OTHER, ttl=60) == NEW

    asyncio.run(main())


def test_a_store_that_cannot_be_referred_to_weakly_is_taken_too() -> None:
    class Slotted:
        __slots__ = ("bare",)

        def __init__(self) -> None:
            self.bare = Bare()

        async def get(self, key: str) -> Any:
            return await self.bare.get(key)

        async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
            await self.bare.put(key, value, ttl=ttl)

        async def delete(self, key: str) -> None:
            await self.bare.delete(key)

    store = KeyValueStore(Slotted())

    async def main() -> None:
        assert await store.swap(KEY, None, OLD, ttl=60) is None
        assert await store.get(KEY) == OLD

    asyncio.run(main())
