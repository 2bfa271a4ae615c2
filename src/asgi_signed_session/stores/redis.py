"""Sessions in Redis or Valkey, by redis-py or valkey-py: for an app that runs on several machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final
from weakref import WeakKeyDictionary

from ..wording import describe
from .store import MAC

_SWAP: Final = """\
local there = redis.call('GET', KEYS[1]) or ''
if string.sub(there, 1, 32) ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
"""
_SWAP_HASH: Final = sha1(_SWAP.encode(), usedforsecurity=False).hexdigest()
_RAW: Final[dict[str, Any]] = {"NEVER_DECODE": True}  # whatever the client does with other answers


class RedisStore:
    """Keeps sessions in Redis 3 or later, Valkey, a cluster of them, or the master that a Sentinel names.

    ``client`` is a client that the app has: ``redis.asyncio``'s ``Redis`` or ``RedisCluster``,
    ``Sentinel.master_for(...)``, or one of ``valkey.asyncio``. The app closes it. Or it is a URL, ``redis://``,
    ``rediss://`` or ``unix://``. Then each event loop has at most ``max_connections`` of its own, and requests wait for
    a free one.

    Each call is one command with one key, which is ``prefix`` and the record's key. It is two commands if there is a
    record already and none was expected. The client must read from the primary, because a replica doesn't see what was
    just written. Raises ``TypeError`` if ``client`` is neither, and ``ValueError`` for another kind of URL.
    """

    def __init__(self, client: Any, prefix: str = "session:", *, max_connections: int = 50) -> None:
        if not isinstance(client, str) and not _is_client(client):
            raise TypeError(
                "RedisStore takes a URL or a client of redis.asyncio, not"
                f" {describe(client)} of {type(client).__module__}; write RedisStore('redis://127.0.0.1:6379')."
            )
        if not isinstance(prefix, str):
            raise TypeError(f"prefix={prefix!r} must be a str.")
        self._client: Any = client
        self._make_client = _prepare(client) if isinstance(client, str) else None
        self._prefix = prefix
        self._max_connections = max_connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        record: bytes | None = await self._ask("GET", self._prefix + key)
        return record

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
        place, life = self._prefix + key, () if ttl is None else ("EX", ttl)
        # Nearly always enough for a new session: without the script, 8 µs less of 135.
        if expected is None and await self._ask("SET", place, record, "NX", *life):
            return None
        arguments = (1, place, (expected or b"")[:MAC], record, *life)
        there: bytes | None
        try:
            there = await self._ask("EVALSHA", _SWAP_HASH, *arguments)
        except Exception as error:
            if type(error).__name__ != "NoScriptError":  # redis-py and valkey-py have one each
                raise
            # The server has started since the script was last sent.
            there = await self._ask("EVAL", _SWAP, *arguments)
        return there

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        await self._ask("DEL", self._prefix + key)

    async def aclose(self) -> None:
        """Closes the connections that were opened for a URL in this event loop."""
        clients = self._clients.pop(asyncio.get_running_loop(), None)
        if clients is not None:
            await clients.aclose()

    async def _ask(self, *command: Any) -> Any:
        if self._make_client is None:
            return await self._client.execute_command(*command, **_RAW)
        loop = asyncio.get_running_loop()
        clients = self._clients.get(loop)
        if clients is None:
            clients = self._clients[loop] = _Clients(self._make_client, self._max_connections)
        return await clients.ask(*command)


class _Clients:
    """Those of one event loop, at most ``count``, each with one connection and for one command at a time.

    One client with a pool takes 9 µs more for each command, and one that waits for a connection 20 µs more.
    """

    def __init__(self, make_client: Callable[[], Any], count: int) -> None:
        self._make_client = make_client
        self._all: list[Any] = []
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(count)

    async def ask(self, *command: Any) -> Any:
        async with self._free:
            client = self._idle.pop() if self._idle else self._make_one()
            try:
                return await client.execute_command(*command, **_RAW)
            finally:
                self._idle.append(client)

    def _make_one(self) -> Any:
        client = self._make_client()
        self._all.append(client)
        return client

    async def aclose(self) -> None:
        for client in self._all:
            await client.aclose()


def _is_client(client: object) -> bool:
    package, _, rest = type(client).__module__.partition(".")
    is_blocking = package in ("redis", "valkey") and not rest.startswith("asyncio")
    return not is_blocking and not isinstance(client, type) and callable(getattr(client, "execute_command", None))


def _prepare(url: str) -> Callable[[], Any]:
    """Makes clients for ``url``. Raises ``ValueError`` for one that isn't Redis'."""
    # A client of valkey-py needs none of it.
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    def make_client() -> Any:
        # Once more, at once: a server that was restarted has closed each of the connections.
        return Redis.from_url(url, single_connection_client=True, retry=Retry(NoBackoff(), 1))

    make_client()
    return make_client
