"""The middlewares compared with their sessions in a store, each run as its documentation says."""

# As in subjects.py, a peer is imported where it is used.

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from benchmarks.asgi import App, Run
from benchmarks.subjects import LITESTAR, OURS, STARSESSIONS, Subject, litestar_context

Store = Any  # each middleware has a type of its own
Opened = AbstractAsyncContextManager[Store]


def ours(app: App, key: str, store: Store) -> App:
    from asgi_signed_session import SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), key, store=store))


@asynccontextmanager
async def ours_in_memory(_url: str) -> AsyncGenerator[Store]:
    from key_value.aio.stores.memory import MemoryStore

    yield MemoryStore()


@asynccontextmanager
async def ours_in_redis(url: str) -> AsyncGenerator[Store]:
    from key_value.aio.stores.redis import RedisStore

    async with RedisStore(url=url, default_collection="sessions") as store:
        yield store


@dataclass
class BareInRedis:
    """A store over Redis' own client, to tell what the middleware costs from what py-key-value does."""

    client: Any

    async def get(self, key: str) -> dict[str, Any] | None:
        value = await self.client.get(key)
        return None if value is None else cast("dict[str, Any]", json.loads(value))

    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        await self.client.set(key, json.dumps(value), ex=ttl)

    async def delete(self, key: str) -> None:
        await self.client.delete(key)


@dataclass
class BareInMemory:
    """The same over a dict, which starsessions' and Litestar's keep bytes in too."""

    values: dict[str, str] = field(default_factory=dict)

    async def get(self, key: str) -> dict[str, Any] | None:
        return cast("dict[str, Any]", json.loads(self.values[key])) if key in self.values else None

    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        self.values[key] = json.dumps(value)

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)


@asynccontextmanager
async def bare_in_memory(_url: str) -> AsyncGenerator[Store]:
    yield BareInMemory()


@asynccontextmanager
async def bare_in_redis(url: str) -> AsyncGenerator[Store]:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        yield BareInRedis(client)


def starsessions(app: App, key: str, store: Store) -> App:
    """Its ids aren't signed, so it takes no key."""
    from starsessions import SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), store, lifetime=3600 * 24 * 14))


@asynccontextmanager
async def starsessions_in_memory(_url: str) -> AsyncGenerator[Store]:
    from starsessions import InMemoryStore

    yield InMemoryStore()


@asynccontextmanager
async def starsessions_in_redis(url: str) -> AsyncGenerator[Store]:
    from redis.asyncio import Redis
    from starsessions.stores.redis import RedisStore

    async with Redis.from_url(url) as client:
        yield RedisStore(connection=client)


def litestar(app: App, key: str, store: Store) -> App:
    """Its ids aren't signed, so it takes no key; it finds its store through the scope."""
    from litestar.middleware.session import SessionMiddleware
    from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig

    return cast("App", SessionMiddleware(cast("Any", app), ServerSideSessionBackend(ServerSideSessionConfig())))


@asynccontextmanager
async def litestar_in_memory(_url: str) -> AsyncGenerator[Store]:
    from litestar.stores.memory import MemoryStore

    yield MemoryStore()


@asynccontextmanager
async def litestar_in_redis(url: str) -> AsyncGenerator[Store]:
    from litestar.stores.redis import RedisStore

    store = RedisStore.with_client(url=url)
    async with store:  # which returns nothing
        yield store


@dataclass(frozen=True)
class Stored:
    subject: Subject
    wrap: Callable[[App, str, Store], App]
    places: dict[str, Callable[[str], Opened]]  # what opens a store in each, by its URL

    def on(self, store: Store, run: Run) -> Subject:
        """The subject that keeps its sessions in ``store``."""
        context = partial(litestar_context, store) if self.subject is LITESTAR else self.subject.context
        return replace(
            self.subject, wrap=lambda app, key, _fallbacks: self.wrap(app, key, store), context=context, run=run
        )


MEMORY, REDIS = "memory", "Redis"
BARE = replace(OURS, name="ours, bare store")
STORED = (
    Stored(OURS, ours, {MEMORY: ours_in_memory, REDIS: ours_in_redis}),
    Stored(BARE, ours, {MEMORY: bare_in_memory, REDIS: bare_in_redis}),
    Stored(STARSESSIONS, starsessions, {MEMORY: starsessions_in_memory, REDIS: starsessions_in_redis}),
    Stored(LITESTAR, litestar, {MEMORY: litestar_in_memory, REDIS: litestar_in_redis}),
)
