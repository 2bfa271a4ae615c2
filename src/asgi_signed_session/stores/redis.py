"""Sessions in Redis or Valkey, by redis-py or valkey-py: for an app that runs on several machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final
from weakref import WeakKeyDictionary

from .store import MAC

_SWAP: Final = """\
local there = redis.call('GET', KEYS[1]) or ''
if string.sub(there, 1, 32) ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
"""
_SWAP_HASH: Final = sha1(_SWAP.encode(), usedforsecurity=False).hexdigest()
_RAW: Final[dict[str, Any]] = {"NEVER_DECODE": True}  # whatever the client does with other answers


class RedisStore:
    """Keeps sessions in Redis 3 or later, Valkey, a cluster of them, or what a Sentinel names as their master.

    ``client`` is one that the app has, ``redis.asyncio``'s ``Redis`` or ``RedisCluster``, ``Sentinel.master_for(...)``,
    or one of ``valkey.asyncio``; it stays the app's to close. Or it is a URL, ``redis://``, ``rediss://`` or
    ``unix://``: then each event loop has a client of its own, with at most ``max_connections``; requests wait for one.

    Each call is one command with one key, ``prefix`` and the record's key. Each reads from the primary: a client that
    reads from replicas does not see what was just written. Raises ``TypeError`` for what is neither, and ``ValueError``
    for another URL.
    """

    def __init__(self, client: Any, prefix: str = "session:", *, max_connections: int = 50) -> None:
        if not isinstance(client, str) and not _is_client(client):
            kind = f"the class {client.__name__}" if isinstance(client, type) else f"a {type(client).__name__}"
            raise TypeError(
                f"RedisStore takes a URL or a client of redis.asyncio, not {kind} of {type(client).__module__};"
                " write RedisStore('redis://127.0.0.1:6379')."
            )
        if not isinstance(prefix, str):
            raise TypeError(f"prefix={prefix!r} must be a str.")
        self._client: Any = client
        self._make_client = _prepare(client, max_connections) if isinstance(client, str) else None
        self._prefix = prefix
        self._max_connections = max_connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, asyncio.Semaphore]] = WeakKeyDictionary()

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        record: bytes | None = await self._ask("GET", self._prefix + key)
        return record

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Puts ``record`` in the place of ``expected``, or returns what is there instead."""
        arguments = [1, self._prefix + key, (expected or b"")[:MAC], record, *([] if ttl is None else ["EX", ttl])]
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
        """Forgets the record under ``key``."""
        await self._ask("DEL", self._prefix + key)

    async def aclose(self) -> None:
        """Closes the connections that were opened for a URL in this event loop."""
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.aclose()

    async def _ask(self, *command: Any) -> Any:
        if self._make_client is None:
            return await self._client.execute_command(*command, **_RAW)
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = self._make_client(), asyncio.Semaphore(self._max_connections)
        client, free = self._clients[loop]
        async with free:  # redis-py's own pool that waits takes 20 µs more for each command
            return await client.execute_command(*command, **_RAW)


def _is_client(client: object) -> bool:
    package, _, rest = type(client).__module__.partition(".")
    is_blocking = package in ("redis", "valkey") and not rest.startswith("asyncio")
    return not is_blocking and not isinstance(client, type) and callable(getattr(client, "execute_command", None))


def _prepare(url: str, max_connections: int) -> Callable[[], Any]:
    """Makes clients for ``url``. Raises ``ValueError`` for one that isn't Redis'."""
    # A client of valkey-py needs none of it.
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    def make_client() -> Any:
        # Once more, at once: a server that was restarted has closed each of the connections.
        return Redis.from_url(url, max_connections=max_connections, retry=Retry(NoBackoff(), 1))

    make_client()
    return make_client
