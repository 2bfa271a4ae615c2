"""What a store has to do: the specification that ``asgi_signed_session.stores.conformance`` checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

from ..wording import name_of

MAC: Final = 32  # bytes at the beginning of a record that differ wherever the record does


class Store(Protocol):
    """Keeps records, which are bytes, under keys, which are 64 hexadecimal digits. Each method takes one key.

    Each call is atomic, as if no other ran at the same time. That is true for calls from any task, thread, process or
    machine that the store says it serves. A record whose ``ttl`` has passed counts as absent. A call raises the
    driver's own error, which reaches the server that runs the app. The next call works again if the cause is gone.

    A store that answers without waiting may also have ``get_now``, which is ``get`` without ``async``. A session is
    then read when the app first touches it, and a request that doesn't touch it costs nothing.
    """

    async def get(self, key: str, /) -> bytes | None:
        """The record under ``key``; ``None`` if there is none. It sees every swap that was answered before."""
        ...

    async def swap(self, key: str, expected: bytes | None, record: bytes, /, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, if it is still there: compare-and-set.

        If the store has exactly ``expected`` under ``key`` (``None``: nothing), it puts ``record`` there for ``ttl``
        seconds (``None``: until it is deleted) and returns ``None``. Otherwise it changes nothing and returns what is
        there, or ``b""`` if nothing is there.

        If two records differ at all, their first 32 bytes differ, so a store may compare only these. If a call is
        cancelled, it has either done everything or nothing. The same call may come twice, because a driver that has
        lost the answer repeats it. The second call returns ``record`` itself, which the caller takes for a success.
        """
        ...

    async def delete(self, key: str, /) -> Any:
        """Deletes the record under ``key``, if there is one."""


class BareStore(Protocol):
    """What ``KeyValueStore`` wraps: any ``AsyncKeyValue`` of ``py-key-value-aio``, or three methods of your own.

    A key is 64 hexadecimal digits, and a value is a small dict of text.
    """

    async def get(self, key: str, /) -> Mapping[str, Any] | None:
        """The value under ``key``; ``None`` if there is none, or its ``ttl`` has passed."""
        ...

    async def put(self, key: str, value: dict[str, Any], /, *, ttl: int | None) -> Any:
        """Keeps ``value`` under ``key`` for ``ttl`` seconds; ``None``: until it is deleted."""

    async def delete(self, key: str, /) -> Any:
        """Deletes the value under ``key``, if there is one."""


def check_store(store: object) -> Store:
    """``store``, where need be as a ``KeyValueStore``. Raises ``TypeError`` unless it has the methods of one."""
    if not isinstance(store, type) and _has(store, "get", "delete"):
        if _has(store, "swap"):
            return cast("Store", store)
        if _has(store, "put"):
            from .keyvalue import KeyValueStore  # noqa: PLC0415  # as any store, where it is asked for

            return KeyValueStore(cast("BareStore", store))
    # Not what it holds: a URL may have a password in it.
    kind = f"the class {name_of(store)}" if isinstance(store, type) else f"of type {name_of(type(store))}"
    raise TypeError(
        f"store is {kind}: it needs the async methods get, swap and delete, as those of asgi_signed_session.stores"
        " have; write store=SQLiteStore('sessions.db') or store=RedisStore('redis://...')."
    )


def _has(store: object, *names: str) -> bool:
    return all(callable(getattr(store, name, None)) for name in names)
