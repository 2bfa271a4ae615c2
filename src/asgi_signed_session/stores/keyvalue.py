"""Sessions in whatever has get, put and delete: py-key-value's many backends, or three methods of one's own."""

from __future__ import annotations

import asyncio
import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..wording import name_of
from .store import BareStore

MAC: Final = 32  # bytes of a record that differ wherever the record does


Locks: TypeAlias = "WeakValueDictionary[tuple[int, str], Any]"  # by event loop and key

_locks: WeakKeyDictionary[Any, Locks] = WeakKeyDictionary()


class KeyValueStore:
    """Keeps sessions in ``store``, an ``AsyncKeyValue`` of ``py-key-value-aio`` or any object with those three methods.

    It promises less than the other stores, because such an object has no compare-and-set: ``swap`` reads and then
    writes. Within one event loop, a lock for each key keeps other calls out. Between two processes, there is a short
    time, as long as a write takes. If both write within it, a change is lost, or an ended session comes back. Two
    processes that write to one session without pause lose almost half of their changes; four lose more.

    Raises ``RuntimeError`` if the store doesn't give back the first record that was put into it.
    """

    def __init__(self, store: BareStore) -> None:
        self._store = store
        self._locks = _find_locks(store)
        self._is_checked = False

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        return _read(await self._store.get(key))

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
        async with self._find_lock(key):
            there = await self.get(key)
            if there != expected:
                return there or b""
            await self._store.put(key, _write(record), ttl=ttl)
            if not self._is_checked:
                await self._check(key, record)
        return None

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        async with self._find_lock(key):
            await self._store.delete(key)

    def _find_lock(self, key: str) -> Any:
        try:
            loop, make_lock = id(asyncio.get_running_loop()), asyncio.Lock
        except RuntimeError:  # not asyncio: trio is the other one that there is
            loop, make_lock = 0, sys.modules["trio"].Lock
        lock = self._locks.get((loop, key))
        if lock is None:
            lock = self._locks[loop, key] = make_lock()
        return lock

    async def _check(self, key: str, record: bytes) -> None:
        there = await self.get(key) or b""
        is_of_another = len(there) >= MAC and there[:MAC] != record[:MAC]  # process, which has written since
        if there != record and not is_of_another:
            raise RuntimeError(
                f"The store of type {name_of(type(self._store))} does not give back what was put into it, so nobody"
                " would stay signed in. A py-key-value RedisStore(client=...) needs a client with"
                " decode_responses=True; or use asgi_signed_session.stores.RedisStore, which takes any."
            )
        self._is_checked = True


def _find_locks(store: BareStore) -> Locks:
    """Those of this store, which several middlewares may use."""
    try:
        return _locks.setdefault(store, WeakValueDictionary())
    except TypeError:  # it can't be referred to weakly
        return WeakValueDictionary()


def _write(record: bytes) -> dict[str, Any]:
    return {"record": b2a_base64(record, newline=False).decode("ascii")}


def _read(value: object) -> bytes | None:
    """The record in ``value``; bytes that are no record where it is something else."""
    if value is None:
        return None
    text = value.get("record") if isinstance(value, Mapping) else None
    try:
        record = a2b_base64(text) if isinstance(text, str) else b""
    except ValueError:
        record = b""
    return record or b"?"  # not empty, as that is how a swap says that nothing is there
