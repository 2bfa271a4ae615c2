"""What a store has to do: the specification that ``asgi_signed_session.stores.conformance`` checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

from ..wording import name_of

MAC: Final = 32  # bytes at the beginning of a record that differ wherever the record does


class Store(Protocol):
    """Keeps records, which are bytes, under keys, which are 64 hexadecimal digits. Three verbs, each with one key.

    Each call is atomic, as if no other ran at the same time: from any task, thread, process or machine that the store
    says it serves. A record whose time is over is as good as absent. What a call raises is the driver's own error; it
    reaches the server that runs the app, and the next call works again where the cause is gone.

    A store may also have ``get_now``: as ``get``, but not ``async``, for one that answers at once without waiting for
    anybody. Then a session is read when the app first touches it, and costs nothing where it doesn't.
    """

    async def get(self, key: str, /) -> bytes | None:
        """The record under ``key``; ``None`` where there is none. It sees each swap that was answered before."""
        ...

    async def swap(self, key: str, expected: bytes | None, record: bytes, /, *, ttl: int | None) -> bytes | None:
        """Puts ``record`` in the place of ``expected``: compare-and-set.

        Where exactly ``expected`` is under ``key`` (``None``: nothing), it becomes ``record`` for ``ttl`` seconds
        (``None``: until it is deleted), and the answer is ``None``. Otherwise nothing changes, and the answer is what
        is there instead, ``b""`` where nothing is.

        The first 32 bytes of two records differ wherever anything in them does, so a store may compare these alone. A
        call that is cancelled has happened wholly or not at all. It may be asked twice, as a driver does that has lost
        the answer: the second time the answer is the record itself, which the caller takes for a success.
        """
        ...

    async def delete(self, key: str, /) -> Any:
        """Forgets the record under ``key``; there may be none."""


class BareStore(Protocol):
    """What ``KeyValueStore`` wraps: every ``AsyncKeyValue`` of ``py-key-value-aio``, or three methods of one's own.

    A key is 64 hexadecimal digits, a value a small dict of text.
    """

    async def get(self, key: str, /) -> Mapping[str, Any] | None:
        """The value under ``key``; ``None`` where there is none, or its time is over."""
        ...

    async def put(self, key: str, value: dict[str, Any], /, *, ttl: int | None) -> Any:
        """Keeps ``value`` under ``key`` for ``ttl`` seconds; ``None``: until it is deleted."""

    async def delete(self, key: str, /) -> Any:
        """Forgets ``key``; there may be nothing under it."""


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
