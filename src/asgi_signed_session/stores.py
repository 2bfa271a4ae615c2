"""Where server-side sessions live: what a store has to do, and how a payload is written in one."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from .signing import BadPayload


class Store(Protocol):
    """Where server-side sessions live; every ``AsyncKeyValue`` of ``py-key-value-aio`` is one.

    A key is 64 hexadecimal digits, a value a small dict of text. What they raise reaches the server that runs the app.
    """

    async def get(self, key: str, /) -> Mapping[str, Any] | None:
        """The value under ``key``; ``None`` where there is none, or its time is over."""
        ...

    async def put(self, key: str, value: dict[str, Any], /, *, ttl: int | None) -> Any:
        """Keeps ``value`` under ``key`` for ``ttl`` seconds; ``None``: until it is deleted."""

    async def delete(self, key: str, /) -> Any:
        """Forgets ``key``; there may be nothing under it."""


class SessionEndedError(Exception):
    """Raised when a session can't be saved because it was ended, or has expired, since it was read."""


def pack(payload: bytes) -> dict[str, Any]:
    """A record that people can read in the store, and every store can write."""
    try:
        return {"session": payload.decode("utf-8")}
    except UnicodeDecodeError:  # from a serializer of the user's
        return {"session_base64": b2a_base64(payload, newline=False).decode("ascii")}


def unpack(record: object) -> bytes:
    """The payload that ``pack`` was given. Raises ``BadPayload`` for what it never returned."""
    with suppress(ValueError):
        match record:
            case {"session": str(text)}:
                return text.encode("utf-8")
            case {"session_base64": str(text)}:
                return a2b_base64(text)
            case _:
                pass
    raise BadPayload("The record is no session.")


def check_store(store: Store) -> Store:
    """``store``. Raises ``TypeError`` unless it has the methods of one."""
    missing = [name for name in ("get", "put", "delete") if not callable(getattr(store, name, None))]
    if missing or isinstance(store, type):
        # Not what it holds: a URL may have a password in it.
        kind = f"the class {store.__name__}" if isinstance(store, type) else f"of type {type(store).__name__}"
        raise TypeError(
            f"store is {kind}: it needs the async methods get, put and delete that py-key-value-aio's stores have;"
            " write store=RedisStore(url='redis://...') or store=DiskStore(directory='...')."
        )
    return store
