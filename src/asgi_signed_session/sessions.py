"""Lists and ends the sessions of a principal in a store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from .index import Entry, Index, is_index
from .payload import Codec, Serializer
from .record import Record
from .sealing import RECORD, Seal
from .signing import BadData, BadPayload, Keyring, SecretKey
from .stores import BareStore, Store, check_store

_SIGN_IN = 60  # seconds within which a session that was noted is in the store as well


@dataclass(frozen=True)
class StoredSession:
    """A session that is alive. ``key`` is its ``store_key``, and ``data`` is its content.

    ``issued_at`` is the time when its principal signed in, ``signed_at`` the time when it was last prolonged. Both are
    Unix seconds.
    """

    key: str
    principal: str
    issued_at: int
    signed_at: int
    data: dict[str, Any]


class Sessions:
    """Lists and ends the sessions of each principal in ``store``.

    Give it the same store, keys, cookie name and serializer as the middleware. It finds only sessions whose
    ``session.principal`` was set. Raises ``TypeError`` or ``ValueError`` as ``SessionMiddleware`` does, and whatever
    the store raises.
    """

    def __init__(
        self,
        store: Store | BareStore,
        secret_key: SecretKey,
        session_cookie: str = "session",
        *,
        fallbacks: Iterable[SecretKey] = (),
        serializer: Serializer = json,
    ) -> None:
        self._store = check_store(store)
        self._keyring = Keyring(secret_key, session_cookie, fallbacks)
        self._seal = Seal(self._keyring.derive_keys(RECORD))
        self._codec = Codec(serializer)
        self._index = Index(self._store, self._seal, session_cookie)

    async def of(self, principal: str) -> list[StoredSession]:
        """The sessions of ``principal`` that are alive, the newest first."""
        entries = await self._index.find(principal)
        found = [(key, entry, await self._read(key, principal)) for key, entry in entries.items()]
        before = self._keyring.read_clock() - _SIGN_IN
        gone = [key for key, entry, record in found if record is None and entry.signed_at < before]
        if gone:
            await self._index.remove(principal, gone)
        living = [
            _describe(key, principal, entry, record) for key, entry, record in found if isinstance(record, Record)
        ]
        return sorted(living, key=lambda session: -session.signed_at)

    async def end(self, key: str) -> bool:
        """Ends the session whose ``store_key`` is ``key``, whoever it belongs to. Returns whether there was one.

        A session that can't be read is ended, too. The list of a principal's sessions isn't a session, and stays.
        """
        there = await self._store.get(key)
        if there is None:
            return False
        with suppress(BadPayload):
            if is_index(self._seal.open(key, there)):
                return False
        await self._store.delete(key)
        return True

    async def end_all(self, principal: str, *, but: str | None = None) -> int:
        """Ends the sessions of ``principal``, except the one whose ``store_key`` is ``but``. Returns how many it ended.

        If the principal signs in at the same time, that session is ended, too, or it begins after this call.
        """
        ended = 0
        keys = [key for key in await self._index.find(principal) if key != but]
        for key in keys:
            ended += await self._end_if_of(principal, key)
        await self._index.remove(principal, keys)
        for key in keys:  # one whose record was written after its entry had been seen
            ended += await self._end_if_of(principal, key)
        return ended

    async def _end_if_of(self, principal: str, key: str) -> bool:
        """Ends the session, unless it has become another principal's. One that can't be read is ended."""
        if await self._read(key, principal) is None:
            return False
        return await self.end(key)

    async def _read(self, key: str, principal: str) -> Record | Literal["unreadable"] | None:
        """What is under ``key``, if it is a session of ``principal``, or can't be told."""
        stored = await self._store.get(key)
        if stored is None:
            return None
        try:
            _, end, payload = self._seal.open(key, stored)
            record = self._codec.read(payload)
        except BadData:
            return "unreadable"
        is_over = end is not None and self._keyring.read_clock() > end
        return None if is_over or record.metadata.get("principal") != principal else record


def _describe(key: str, principal: str, entry: Entry, record: Record) -> StoredSession:
    return StoredSession(key, principal, entry.issued_at, entry.signed_at, record.content)
