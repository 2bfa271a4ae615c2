"""How a session is saved in a store: what requests change at the same time is merged."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, NamedTuple

from .errors import SessionError
from .ids import renew_id
from .index import MAX_ENTRIES, MAX_TRIES, Entry, describe_refusal
from .keepers import Kept
from .payload import show_size
from .record import DELETED, NO_METADATA, NO_WISHES, Metadata, Record, Version, Wishes
from .reporting import report_left_behind, report_merged, report_too_many
from .sealing import Sealed
from .signing import BadData
from .store_reader import StoreReader, Unanswered, is_of_one_line, is_same_principal
from .stores import Store

Occasion = Literal["write", "renew", "late"]  # it has changed; it is only signed again; the cookie has gone out

# Of one connection, in an outage that it outlives: the first may have held as the store went, and the last as it came
# back, so those between go.
_MAX_UNANSWERED = 32
_PROLONG_AFTER = 10  # a change prolongs the session once this part of its life, a tenth, is over

ENDED = "The session was ended meanwhile, or has expired; the visitor's next request finds it empty."
RENEWED = (
    "Another request has signed in or called regenerate() meanwhile, so this one can't change the session any more;"
    " the visitor's next request finds that session."
)
_SUPERSEDED = (
    "The request's cookie is from before a sign-in, so its session stays empty; to sign in with it, call"
    " session.regenerate() or set session.principal."
)
_UNREADABLE = (
    "The record that is in the store now can't be read: give all apps that share it the same keys, the same cookie"
    " name and the same serializer."
)
_UNAVAILABLE = (
    "The store could not be read, so the visitor's session isn't known and nothing may be saved in its place; put a"
    " check of session.rejected == 'unavailable' before the change."
)
_TOO_LATE_TO_RENEW = "regenerate() needs a cookie, and none could be sent any more; nothing was saved after it."


class SessionEndedError(Exception):
    """Raised when a session can't be saved because it was ended, or has expired, since it was read."""


class Attempt(NamedTuple):
    """One try to save a session: what is to be in the store, and in place of what."""

    expected: bytes | None
    ttl: int | None
    version: Version  # once it has held
    record: Record  # likewise
    max_age: int | None  # of the cookie
    sets_cookie: bool
    overruled: list[str]  # keys in which what another request has written gives way


class StoreKeeper(StoreReader):
    """Keeps sessions in a store, and in the cookie an id that nobody else has. Raises what the store raises."""

    async def keep(
        self,
        content: Mapping[str, Any],
        wishes: Wishes,
        record: Record,
        secure: bool,
        how: Occasion,
        unanswered: Unanswered,
    ) -> Kept:
        """Writes ``content`` to the store, merged with what others have written since it was read.

        What it tries is in ``unanswered`` until it has held.

        Raises ``SessionError``, or ``SessionEndedError`` for what may not be saved any more. What is late and begins a
        new session has no cookie that could lead to it: it is dropped.
        """
        if record.version is None:
            self._check_rejected(wishes, record, how)
        if how == "late":
            if record.version is None or wishes.ended:
                return await self.drop(wishes, record, secure)
            if wishes.renewed:
                raise SessionEndedError(_TOO_LATE_TO_RENEW)
        for _ in range(MAX_TRIES):
            attempt = self._plan(content, wishes, record, how)
            stored = attempt.version.stored
            _note_unanswered(unanswered, attempt, wishes)
            principal: str | None = attempt.record.metadata.get("principal") if attempt.sets_cookie else None
            if principal is not None:
                await self._note(principal, attempt)
            there = await self._swap(attempt)
            if there is None or there == stored:
                if principal is not None:
                    await self._check_noted(principal, attempt)
                unanswered.clear()
                return self._conclude(attempt, secure)
            if there in unanswered:
                record, met = unanswered[there]
                wishes = wishes.beyond(met)
            else:
                record, wishes = self._meet(there, attempt, wishes, record)
        raise describe_refusal(self.store)

    async def _swap(self, attempt: Attempt) -> bytes | None:
        """Asks for it once more where it fails: it may have held, and only the answer be lost."""
        store: Store = self.store
        swap, key, stored = store.swap, attempt.version.id.key, attempt.version.stored
        try:
            return await swap(key, attempt.expected, stored, ttl=attempt.ttl)
        except Exception:  # each store has errors of its own; the second time it is raised
            return await swap(key, attempt.expected, stored, ttl=attempt.ttl)

    async def _note(self, principal: str, attempt: Attempt) -> None:
        """Notes whose session it is to be: first, or a crash could leave one that nobody finds to end it."""
        now = self._keyring.read_clock()
        entry = Entry(now, now, attempt.version.end)
        evicted = await self._index.add(principal, attempt.version.id.key, entry)
        for key in evicted:
            await self._evict(principal, key)
        if evicted:
            report_too_many(MAX_ENTRIES)

    async def _evict(self, principal: str, key: str) -> None:
        """Ends the session under ``key``, unless it has become another principal's."""
        stored = await self.store.get(key)
        with suppress(BadData):
            if stored is not None:
                record = self.codec.read(self._seal.open(key, stored).payload)
                if record.metadata.get("principal") == principal:
                    await self.store.delete(key)

    async def _check_noted(self, principal: str, attempt: Attempt) -> None:
        """Raises ``SessionEndedError`` where all sessions of the ``principal`` were ended meanwhile."""
        try:
            entries = await self._index.find(principal)
        except Exception:  # as of a swap, which has held here: without an answer nobody would have its cookie
            entries = await self._index.find(principal)
        if attempt.version.id.key not in entries:
            await self.store.delete(attempt.version.id.key)
            raise SessionEndedError(ENDED)

    def _check_rejected(self, wishes: Wishes, record: Record, how: Occasion) -> None:
        """Raises ``SessionError`` or ``SessionEndedError`` where what has come with the cookie forbids to save."""
        if record.rejected == "superseded" and not wishes.renewed:
            raise SessionEndedError(_SUPERSEDED)
        if record.rejected == "unavailable":
            raise SessionEndedError(_UNAVAILABLE) if how == "late" else SessionError(_UNAVAILABLE)

    def _plan(self, content: Mapping[str, Any], wishes: Wishes, record: Record, how: Occasion) -> Attempt:
        """How to save ``content`` where the store still has what ``record`` says."""
        before, wished = record.version, record if wishes is NO_WISHES else wishes.apply_to(record)
        now = self._keyring.read_clock()
        if wishes.renewed:
            wished = replace(wished, metadata=_mark(wished.metadata, wishes, now))
        metadata, max_age, seconds_left, issued_at = self._time(wished)
        sets_cookie = how != "late" and self.needs_cookie(wishes, record)
        if before is None:
            session_id = wishes.id or self.make_id()
        else:
            session_id = renew_id(before.id) if wishes.renewed else before.id
        end = (seconds_left and now + seconds_left) if sets_cookie or before is None else before.end
        if end is not None and end <= now:
            raise SessionEndedError(ENDED)
        own = payload = self.codec.write(content, metadata)
        overruled: list[str] = []
        if wished.without or (before and before.payload is not record.payload and not wishes.ended):
            content, overruled = self._merge(own, record, wished.without)
            payload = self.codec.write(content, metadata)
        if self._max_size is not None and len(payload) > self._max_size:
            raise self._describe_size(content, len(payload), self._max_size)
        proof = before.proof if before is not None and not wishes.renewed else session_id.proof
        stored = self._seal.close(session_id.key, Sealed(proof, end, payload))
        version = Version(session_id, proof, end, stored, payload)
        kept = wished.saved(own, issued_at, version)
        expected = before.stored if before else None
        return Attempt(expected, end and end - now, version, kept, max_age, sets_cookie, overruled)

    def needs_cookie(self, wishes: Wishes, record: Record) -> bool:
        """Whether a cookie has to go out: a mere change sets none, as it might arrive after that of a sign-in."""
        version = record.version
        if version is None or wishes.renewed:
            return True
        now = self._keyring.read_clock()
        if wishes.max_age is not False or record.signed_at is None:
            needed = True
        else:
            needed = wishes.prolongs and (record.due or self._lifetime.is_past(_PROLONG_AFTER, record, now) is True)
        return needed and version.proof == version.id.proof  # or the browser has a newer one

    def _meet(self, there: bytes, attempt: Attempt, wishes: Wishes, record: Record) -> tuple[Record, Wishes]:
        """``record`` and ``wishes`` after another request has written ``there``. Raises ``SessionEndedError``."""
        version = record.version
        if not there:
            return self._begin_anew(attempt, wishes, record, ENDED)
        try:
            proof, end, payload = self._seal.open(attempt.version.id.key, there)
            now_there = self.codec.read(payload, record.signed_at or 0)
        except BadData:
            return self._begin_anew(attempt, wishes, record, _UNREADABLE)
        assert version is not None, "Nobody else knows the id of a new session."
        if proof != version.proof:
            is_one_line = not wishes.ended and is_of_one_line(record, now_there)
            if is_one_line and wishes.principal:
                return replace(record, version=None), wishes  # a double click on "Sign in": what was nobody's stays
            if not is_one_line or not is_same_principal(record, now_there):
                return self._begin_anew(attempt, wishes, record, RENEWED)
            wishes = replace(wishes, renewed=0)  # it is new already, by the other's cookie
        version = Version(version.id, proof, end, there, payload)
        issued_at = now_there.issued_at or None
        return replace(record, metadata=now_there.metadata, issued_at=issued_at, version=version), wishes

    def _begin_anew(self, attempt: Attempt, wishes: Wishes, record: Record, why_ended: str) -> tuple[Record, Wishes]:
        """If this request signs in, begins a session with what it has put in. Raises ``SessionEndedError``."""
        if wishes.renewed:
            anew = replace(record, version=None, metadata=NO_METADATA, without=record.payload or record.without)
            own = self._read(attempt.record.payload, anew.without)
            if wishes.ended or wishes.principal or own:
                left = [] if wishes.ended else [key for key in self._read(record.payload, None) if key not in own]
                if left:
                    report_left_behind(left)
                return anew, wishes
        raise SessionEndedError(why_ended)

    def _conclude(self, attempt: Attempt, secure: bool) -> Kept:
        """What was saved, and the ``Set-Cookie`` value where one is needed."""
        if attempt.overruled:
            report_merged(attempt.overruled)
        if not attempt.sets_cookie:
            return attempt.record, None
        value = self._keyring.sign(attempt.version.id.text)
        return attempt.record, self._cookie.write(value, attempt.max_age, secure)

    def _describe_size(self, content: Mapping[str, Any], size: int, limit: int) -> SessionError:
        return SessionError(
            f"the session of cookie {self.session_cookie!r} is {show_size(size)}, and max_size is {show_size(limit)};"
            f" largest: {self.codec.show_largest(content)}. Store less, or pass a larger max_size."
        )

    async def drop(self, wishes: Wishes, record: Record, secure: bool) -> Kept:
        """Deletes the record, and the cookie that led to it."""
        if record.rejected == "unavailable":
            raise SessionError(_UNAVAILABLE)
        if record.version is not None:
            await self.store.delete(record.version.id.key)
            if "principal" in record.metadata:
                await self._index.remove(record.metadata["principal"], [record.version.id.key])
        is_superseded = record.version is None and record.rejected == "superseded"  # the browser may have a newer one
        return wishes.apply_to(record).saved(DELETED), None if is_superseded else self._cookie.delete(secure)


def _note_unanswered(unanswered: Unanswered, attempt: Attempt, wishes: Wishes) -> None:
    unanswered[attempt.version.stored] = attempt.record, wishes
    if len(unanswered) > _MAX_UNANSWERED:
        del unanswered[next(islice(unanswered, _MAX_UNANSWERED // 2, None))]


def _mark(metadata: Metadata, wishes: Wishes, now: int) -> Metadata:
    """``metadata`` of a new generation: since when it is, and of which line, which a clear begins."""
    new_line = {"line": secrets.token_urlsafe(6)} if wishes.ended else {}
    return {**metadata, "renewed": now, **new_line}
