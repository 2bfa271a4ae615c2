"""Which sessions a principal has: one more record of the same store, kept by the same three verbs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from .errors import SessionError
from .ids import PROOF_HASH
from .reporting import report_unreadable_index
from .sealing import Seal, Sealed
from .signing import BadPayload
from .stores import Store
from .wording import name_of

MAX_ENTRIES = 100  # of one principal
MAX_TRIES = 1000  # of one save: each that fails is one that another request has won

_NO_PROOF = b"\0" * PROOF_HASH  # no cookie leads to this record


class Entry(NamedTuple):
    """What the index knows of a session. All are Unix seconds; ``end`` is ``None`` where it has none."""

    issued_at: int
    signed_at: int
    end: int | None


Entries: TypeAlias = "dict[str, Entry]"  # by the key of the session's record


class Index:
    """The sessions of each principal of one cookie. An entry may be of a session that has ended."""

    def __init__(self, store: Store, seal: Seal, session_cookie: str) -> None:
        self._store = store
        self._seal = seal
        self._session_cookie = session_cookie
        # Of a store that may forget what has been written longest ago.
        self._keep_list: Callable[[str, str], None] | None = getattr(store, "_keep_list", None)

    async def find(self, principal: str) -> Entries:
        """The entries that are there."""
        key = self._key_of(principal)
        return self._read(key, await self._store.get(key))

    async def add(self, principal: str, key: str, entry: Entry) -> list[str]:
        """Adds or replaces the entry of a session. Returns the keys of the oldest, which have no room any more."""
        evicted: list[str] = []

        def change(entries: Entries) -> None:
            entries[key] = entry._replace(issued_at=entries.get(key, entry).issued_at)
            by_age = sorted(entries, key=lambda other: entries[other].signed_at)
            evicted[:] = [other for other in by_age[: max(0, len(entries) - MAX_ENTRIES)] if other != key]
            for other in evicted:
                del entries[other]

        await self._change(principal, change)
        if self._keep_list is not None:
            self._keep_list(self._key_of(principal), key)
        return evicted

    async def remove(self, principal: str, keys: list[str]) -> None:
        """Forgets the entries under ``keys``."""

        def change(entries: Entries) -> None:
            for key in keys:
                entries.pop(key, None)

        await self._change(principal, change)

    async def _change(self, principal: str, change: Callable[[Entries], None]) -> None:
        key = self._key_of(principal)
        there = await self._store.get(key)
        for _ in range(MAX_TRIES):
            now = int(time.time())
            entries = self._read(key, there)
            before = dict(entries)
            for other, entry in before.items():
                if entry.end is not None and entry.end < now:
                    del entries[other]
            change(entries)
            if entries == before:
                return
            end = _find_end(entries)
            record = self._seal.close(key, Sealed(_NO_PROOF, end, json.dumps(entries).encode("ascii")))
            answer = await self._store.swap(key, there, record, ttl=end and max(1, end - now))
            if answer is None or answer == record:
                return
            there = answer or None
        raise describe_refusal(self._store)

    def _read(self, key: str, record: bytes | None) -> Entries:
        if record is None:
            return {}
        try:
            payload = self._seal.open(key, record).payload
        except BadPayload:  # of other keys, or of nobody: what it says can't be believed
            report_unreadable_index()
            return {}
        return {key: Entry(*entry) for key, entry in json.loads(payload).items()}

    def _key_of(self, principal: str) -> str:
        name = f"{self._session_cookie}@{principal}"  # no id is hashed so: a cookie's name has no "@" in it
        return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def is_index(sealed: Sealed) -> bool:
    """Whether the record is an index, and no session."""
    return sealed.proof == _NO_PROOF


def describe_refusal(store: Store) -> SessionError:
    """What to say of a store that never takes a record."""
    return SessionError(
        f"The store of type {name_of(type(store))} has refused {MAX_TRIES} swaps of one record: see whether its swap"
        " compares and answers as asgi_signed_session.stores.Store says."
    )


def _find_end(entries: Entries) -> int | None:
    ends = [entry.end for entry in entries.values()]
    return None if None in ends else max((end for end in ends if end is not None), default=int(time.time()) + 1)
