"""How many changes are lost through ``KeyValueStore``, which has no compare-and-set, between processes.

Each process saves its changes, one after another and each under a key of its own, in one session that all of them
share; whatever isn't in it at the end was lost. ``SQLiteStore``, which has a compare-and-set, stands beside it. This
takes minutes, so it is run only when asked for.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast

from asgi_signed_session import SessionMiddleware
from asgi_signed_session.stores import KeyValueStore, Store
from benchmarks.asgi import Message, Receive, Scope, Send, receive
from benchmarks.results import today
from benchmarks.scenarios import KEY
from benchmarks.stored import ours_in_sqlite
from tests.backends import disk_store
from tests.daemons import has_redis, redis, start_together

CHANGES = 200  # of each process
PROCESSES = (2, 4)
ROUNDS = 11


@asynccontextmanager
async def in_redis(url: str) -> AsyncGenerator[Store]:
    from key_value.aio.stores.redis import RedisStore
    from redis.asyncio import Redis

    async with Redis.from_url(url, decode_responses=True) as client:
        yield KeyValueStore(RedisStore(client=client))


SQLITE, DISK, REDIS = "SQLiteStore", "py-key-value on disk", "py-key-value in Redis"
OPEN: dict[str, Callable[[str], AbstractAsyncContextManager[Store]]] = {
    SQLITE: ours_in_sqlite,
    DISK: disk_store,
    REDIS: in_redis,
}


async def visit(store: Store, cookie: str, act: Callable[[Any], object]) -> str:
    """The cookie after a request whose app does that to its session."""
    answer: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        act(scope["session"])
        await send({"type": "http.response.start", "status": 200})

    async def record(message: Message) -> None:
        answer.append(message)

    scope = {"type": "http", "path": "/", "headers": [(b"cookie", cookie.encode())]}
    await SessionMiddleware(cast("Any", app), KEY, store=store)(scope, receive, cast("Any", record))
    sent = [value.decode() for name, value in answer[0]["headers"] if name == b"set-cookie"]
    return sent[0].partition(";")[0] if sent else cookie


def change(key: str, session: Any) -> None:
    session[key] = True


async def write(place: str, url: str, cookie: str, changes: str, name: str) -> None:
    """What one of the processes does, once it is told to go."""
    async with OPEN[place](url) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for number in range(int(changes)):
            await visit(store, cookie, partial(change, f"{name} {number}"))


def count_lost(place: str, url: str, count: int, changes: int = CHANGES) -> int:
    """Of the ``changes`` of each of ``count`` processes."""
    cookie = asyncio.run(begin(place, url))
    command = [sys.executable, "-m", "benchmarks.window", place, url, cookie, str(changes)]
    processes = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    start_together(processes)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    return count * changes - asyncio.run(count_kept(place, url, cookie))


async def begin(place: str, url: str) -> str:
    async with OPEN[place](url) as store:
        return await visit(store, "", partial(change, "begun"))


async def count_kept(place: str, url: str, cookie: str) -> int:
    found: list[str] = []
    async with OPEN[place](url) as store:
        await visit(store, cookie, found.extend)
    return len(found) - 1


@contextmanager
def places() -> Generator[dict[str, str]]:
    """Where each place is, of those that there are."""
    with TemporaryDirectory() as folder:
        found = {SQLITE: f"{folder}/sessions.db", DISK: f"{folder}/disk"}
        if not has_redis():
            yield found
            return
        with redis(Path(folder), durable=False) as server:
            yield {**found, REDIS: server.url}


def measure_window(
    track: Callable[[Iterable[Any], str], Iterable[Any]], rounds: int = ROUNDS, changes: int = CHANGES
) -> dict[str, Any]:
    """By place and number of processes, how many changes were lost: median, least and most of the rounds."""
    with places() as urls:
        measured = {
            place: {str(count): count_rounds(place, url, count, rounds, changes) for count in PROCESSES}
            for place, url in track(urls.items(), "window")
        }
    return {"date": today(), "rounds": rounds, "places": measured}


def count_rounds(place: str, url: str, count: int, rounds: int, changes: int) -> dict[str, float]:
    lost = [count_lost(place, url, count, changes) for _ in range(rounds)]
    return {"lost": median(lost), "least": min(lost), "most": max(lost), "of": count * changes}


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
