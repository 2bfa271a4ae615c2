"""The middlewares compared with their sessions in a store, each run as its documentation says."""

# As in subjects.py, a peer is imported where it is used.

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
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
    from asgi_signed_session.stores import MemoryStore

    yield MemoryStore(max_records=100_000)  # a run has more than the default has room for


@asynccontextmanager
async def ours_in_redis(url: str) -> AsyncGenerator[Store]:
    from asgi_signed_session.stores import RedisStore

    store = RedisStore(url)
    yield store
    await store.aclose()


@asynccontextmanager
async def ours_in_sqlite(path: str) -> AsyncGenerator[Store]:
    from asgi_signed_session.stores import SQLiteStore

    with closing(SQLiteStore(path)) as store:
        yield store


@asynccontextmanager
async def ours_in_postgresql(url: str) -> AsyncGenerator[Store]:
    from sqlalchemy.ext.asyncio import create_async_engine

    from asgi_signed_session.stores import SQLAlchemyStore

    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT")
    store = SQLAlchemyStore(engine)
    await store.create_table()
    yield store
    await engine.dispose()


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


REDIS, MEMORY, SQLITE, POSTGRESQL = "Redis", "memory", "SQLite", "PostgreSQL"
STORED = (
    Stored(
        OURS,
        ours,
        {REDIS: ours_in_redis, MEMORY: ours_in_memory, SQLITE: ours_in_sqlite, POSTGRESQL: ours_in_postgresql},
    ),
    Stored(STARSESSIONS, starsessions, {REDIS: starsessions_in_redis, MEMORY: starsessions_in_memory}),
    Stored(LITESTAR, litestar, {REDIS: litestar_in_redis, MEMORY: litestar_in_memory}),
)
COLUMNS = [
    (stored.subject.name, place)
    for place in (REDIS, MEMORY, SQLITE, POSTGRESQL)
    for stored in STORED
    if place in stored.places
]


@contextmanager
def opened(urls: Mapping[str, str], of: Sequence[Stored] = STORED) -> Generator[dict[str, list[Subject]]]:
    """These in each place, by its URL, on one event loop, as a connection to a server belongs to one."""
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    try:
        yield {place: subjects_in(place, url, of, loop.run_until_complete, stack) for place, url in urls.items()}
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


def subjects_in(
    place: str, url: str, of: Sequence[Stored], run: Callable[..., Any], stack: AsyncExitStack
) -> list[Subject]:
    available = [stored for stored in of if place in stored.places and stored.subject.is_available]
    stores = [run(stack.enter_async_context(stored.places[place](url))) for stored in available]
    return [stored.on(store, run) for stored, store in zip(available, stores, strict=True)]
