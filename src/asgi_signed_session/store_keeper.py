"""How a session is kept in a store: its cookie carries an id, and requests that run at the same time are merged."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias

from .cookies import MAX_COOKIE, Header, SetCookie, find_cookies
from .errors import SessionError
from .ids import Id, find_id, make_id, renew_id
from .index import MAX_ENTRIES, MAX_TRIES, Entry, Index, describe_refusal
from .keepers import BaseKeeper, Kept, Occasion
from .lifetime import Lifetime
from .merging import find_added, merge
from .payload import Codec, show_size
from .record import DELETED, NO_CONTENT, NO_METADATA, NO_WISHES, REJECTED, Metadata, Place, Record, Rejection, Wishes
from .reporting import report_left_behind, report_merged, report_store_failed, report_too_many
from .sealing import RECORD, Seal, Sealed
from .signing import BadData, BadPayload, Keyring, rejection_of
from .stores import Store

OnStoreError = Literal["raise", "empty"]

_OVERTAKEN_WITHIN = 300  # seconds in which the answer with a new id may still be under way, after another's
_PROLONG_AFTER = 10  # a change prolongs the session once this part of its life, a tenth, is over

ENDED = "The session was ended meanwhile, or has expired; the visitor's next request finds it empty."
RENEWED = (
    "Another request has signed in or renewed the session meanwhile, and what was begun before has no part in it;"
    " the visitor's next request finds that session."
)
_SUPERSEDED = (
    "The cookie that came is of a time before a sign-in, and its session stays empty; to sign in with it, call"
    " session.regenerate() or set session.principal."
)
_UNREADABLE = (
    "What is in the store by now can't be read: give all apps that share it the same keys, the same cookie's name and"
    " the same serializer."
)
_UNAVAILABLE = (
    "The store could not be read, so the visitor's session isn't known and nothing may be saved in its place; put a"
    " check of session.rejected == 'unavailable' before the change."
)
_TOO_LATE_TO_RENEW = "regenerate() needs a cookie to go out, and none could; nothing was saved after it."


class StoreOptions(NamedTuple):
    """How a store is used. ``max_size`` is bytes of a session's payload; ``None``: no limit."""

    autoload: bool
    on_store_error: OnStoreError
    max_size: int | None

    def check(self) -> StoreOptions:
        """These options. Raises ``TypeError`` or ``ValueError`` where they can't be."""
        if not isinstance(self.autoload, bool):
            raise TypeError(f"autoload={self.autoload!r} must be True or False.")
        if self.on_store_error not in ("raise", "empty"):
            raise ValueError(f"on_store_error={self.on_store_error!r} must be 'raise' or 'empty'.")
        if self.max_size is None:
            return self
        if not isinstance(self.max_size, int) or isinstance(self.max_size, bool) or self.max_size <= 0:
            raise ValueError(f"max_size={self.max_size!r} must be a positive number of bytes, or None.")
        return self


class SessionEndedError(Exception):
    """Raised when a session can't be saved because it was ended, or has expired, since it was read."""


class Lead(NamedTuple):
    """Where a cookie leads, and when and how it was signed."""

    id: Id
    signed_at: int
    outdated: bool


class Attempt(NamedTuple):
    """One try to save a session: what is to be in the store, and in place of what."""

    expected: bytes | None
    ttl: int | None
    place: Place  # once it has held
    record: Record  # likewise
    max_age: int | None  # of the cookie
    sets_cookie: bool
    overruled: list[str]  # keys in which what another request has written gives way


# What a connection has tried to write and has no answer for, by what it would be in the store: the record that it would
# have then, and the wishes that were met.
Unanswered: TypeAlias = dict[bytes, tuple[Record, Wishes]]


class StoreKeeper(BaseKeeper):
    """Keeps sessions in a store, and in the cookie an id that nobody else has. Raises what the store raises."""

    def __init__(
        self,
        store: Store,
        options: StoreOptions,
        cookie: SetCookie,
        keyring: Keyring,
        codec: Codec,
        lifetime: Lifetime,
    ) -> None:
        super().__init__(cookie, keyring, codec, lifetime)
        self.autoload: bool = options.autoload
        self.store: Store = store
        self._raises = options.on_store_error == "raise"
        self._max_size = options.max_size
        self._seal = Seal(keyring.derive_keys(RECORD))
        self._index = Index(store, self._seal, self.session_cookie)
        self._get_now: Any = getattr(store, "get_now", None)
        self.reads_when_touched: bool = self._get_now is not None

    async def find(self, headers: Iterable[Header]) -> Record:
        """What the store has for the first of the cookies in ``headers`` that can be used."""
        rejected: Rejection | None = None
        for cookie in find_cookies(headers, self._cookie.name):
            found = self._follow(cookie)
            if isinstance(found, Lead):
                try:
                    stored = await self.store.get(found.id.key)
                except Exception as error:  # each store has errors of its own
                    if self._raises:
                        raise
                    report_store_failed(error)
                    return REJECTED["unavailable"]
                found = self._open(stored, found)
            if found.rejected is None:
                return found
            rejected = _choose(rejected, found.rejected)
        return REJECTED[rejected]

    def _find_now(self, headers: Iterable[Header]) -> Record:
        """As ``find``, in a store that answers at once: without a cookie, a generator for both takes 8 % more."""
        rejected: Rejection | None = None
        for cookie in find_cookies(headers, self._cookie.name):
            found = self._follow(cookie)
            if isinstance(found, Lead):
                try:
                    stored = self._get_now(found.id.key)
                except Exception as error:
                    if self._raises:
                        raise
                    report_store_failed(error)
                    return REJECTED["unavailable"]
                found = self._open(stored, found)
            if found.rejected is None:
                return found
            rejected = _choose(rejected, found.rejected)
        return REJECTED[rejected]

    async def look(self, record: Record) -> bytes | None:
        """What is in the store where a session is that isn't new."""
        return None if record.place is None else await self.store.get(record.place.id.key)

    def compare(
        self, stored: bytes | None, content: Mapping[str, Any], record: Record, unanswered: Unanswered
    ) -> tuple[Mapping[str, Any], Record]:
        """What a session with this ``content`` is by now, and from what; without content where it has ended."""
        if stored is None:
            return NO_CONTENT, REJECTED["expired"]
        if stored in unanswered:
            record, _ = unanswered[stored]
        place = record.place
        assert place is not None, "One that is new is in no store yet."
        try:
            proof, end, payload = self._seal.open(place.id.key, stored)
            now_there = self.codec.read(payload, record.signed_at or 0, record.due)
        except BadData:
            return NO_CONTENT, REJECTED["malformed"]
        if end is not None and int(self._keyring.read_clock()) > end:
            return NO_CONTENT, REJECTED["expired"]
        if proof != place.proof and not (_is_of_one_line(record, now_there) and _is_same_principal(record, now_there)):
            return NO_CONTENT, REJECTED["superseded"]
        place = Place(place.id, proof, end, stored, payload)
        issued_at, without = now_there.issued_at or None, record.without
        found = Record(
            NO_CONTENT, now_there.metadata, payload, record.signed_at, issued_at, place=place, without=without
        )
        own = self.codec.write(content, now_there.metadata)
        return self._merge(own, replace(found, payload=record.payload), record.without)[0], found

    def _follow(self, cookie: bytes) -> Lead | Record:
        """Where ``cookie`` leads, or why it can't be used."""
        try:
            if len(cookie) > MAX_COOKIE:
                raise BadPayload("Longer than a cookie can be.")
            unchecked_id, signed_at, outdated, _ = self._keyring.verify(cookie)
            session_id = find_id(self.session_cookie, unchecked_id)
            if session_id is None:
                raise BadPayload("It carries no id.")
        except BadData as error:
            return REJECTED[rejection_of(error)]
        return Lead(session_id, signed_at, outdated)

    def _open(self, stored: bytes | None, lead: Lead) -> Record:
        """The session in ``stored``, which is what the store has where the cookie leads."""
        if stored is None:
            return REJECTED["expired"]
        try:
            proof, end, payload = self._seal.open(lead.id.key, stored)
            record = self.codec.read(payload, lead.signed_at, lead.outdated)
        except BadData:
            return REJECTED["malformed"]
        now = int(self._keyring.read_clock())
        if proof != lead.id.proof:
            is_recent = now - record.metadata.get("renewed", 0) <= _OVERTAKEN_WITHIN
            return REJECTED["superseded" if is_recent else "expired"]
        verdict = self._lifetime.judge(record, now)
        if verdict == "over" or (end is not None and now > end):
            return REJECTED["expired"]
        due = lead.outdated or (verdict == "due" and self._is_past(2, record, now) is not False)
        place = Place(lead.id, proof, end, stored, payload)
        return Record(record.content, record.metadata, payload, lead.signed_at, record.issued_at, due, None, place)

    def _is_past(self, parts: int, record: Record, now: int) -> bool | None:
        """Whether more than one of so many ``parts`` of the cookie's life is over; ``None``: it has no end."""
        max_age: int | None = record.metadata.get("max_age") or self.max_age
        return None if max_age is None else (now - (record.signed_at or 0)) * parts > max_age

    def open(self, source: Any) -> Record:
        """What was found already, or what the store answers at once to the headers."""
        return source if isinstance(source, Record) else self._find_now(source)

    def make_id(self) -> Id:
        """What the cookie of a new session carries."""
        return make_id(self.session_cookie)

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
        if record.place is None:
            self._check_rejected(wishes, record, how)
        if how == "late":
            if record.place is None or wishes.ended:
                return await self.drop(wishes, record, secure)
            if wishes.renewed:
                raise SessionEndedError(_TOO_LATE_TO_RENEW)
        for _ in range(MAX_TRIES):
            attempt = self._plan(content, wishes, record, how)
            stored = attempt.place.stored
            unanswered[stored] = attempt.record, wishes
            principal: str | None = attempt.record.metadata.get("principal") if attempt.sets_cookie else None
            if principal is not None:
                await self._note(principal, attempt)
            there = await self._swap(attempt)
            if there is None or there == stored:
                unanswered.clear()
                if principal is not None:
                    await self._check_noted(principal, attempt)
                return self._conclude(attempt, secure)
            if there in unanswered:
                record, met = unanswered[there]
                wishes = wishes.beyond(met)
            else:
                record, wishes = self._meet(there, attempt, wishes, record)
        raise describe_refusal(self.store)

    async def _swap(self, attempt: Attempt) -> bytes | None:
        """Asks for it once more where it fails: it may have held, and only the answer be lost."""
        swap, key, stored = self.store.swap, attempt.place.id.key, attempt.place.stored
        try:
            return await swap(key, attempt.expected, stored, ttl=attempt.ttl)
        except Exception:  # each store has errors of its own; the second time it is raised
            return await swap(key, attempt.expected, stored, ttl=attempt.ttl)

    async def _note(self, principal: str, attempt: Attempt) -> None:
        """Notes whose session it is to be: first, or a crash could leave one that nobody finds to end it."""
        now = int(self._keyring.read_clock())
        entry = Entry(now, now, attempt.place.end)
        evicted = await self._index.add(principal, attempt.place.id.key, entry)
        for key in evicted:
            await self._evict(principal, key)
        if evicted:
            report_too_many(MAX_ENTRIES)

    async def _evict(self, principal: str, key: str) -> None:
        """Ends the session under ``key``, unless it has become another principal's."""
        stored = await self.store.get(key)
        with suppress(BadData):
            if stored is not None:
                record = self.codec.read(self._seal.open(key, stored).payload, 0, outdated=False)
                if record.metadata.get("principal") == principal:
                    await self.store.delete(key)

    async def _check_noted(self, principal: str, attempt: Attempt) -> None:
        """Raises ``SessionEndedError`` where all sessions of the ``principal`` were ended meanwhile."""
        try:
            entries = await self._index.find(principal)
        except Exception:  # as of a swap, which has held here: without an answer nobody would have its cookie
            entries = await self._index.find(principal)
        if attempt.place.id.key not in entries:
            await self.store.delete(attempt.place.id.key)
            raise SessionEndedError(ENDED)

    def _check_rejected(self, wishes: Wishes, record: Record, how: Occasion) -> None:
        """Raises ``SessionError`` or ``SessionEndedError`` where what has come with the cookie forbids to save."""
        if record.rejected == "superseded" and not wishes.renewed:
            raise SessionEndedError(_SUPERSEDED)
        if record.rejected == "unavailable":
            raise SessionEndedError(_UNAVAILABLE) if how == "late" else SessionError(_UNAVAILABLE)

    def _plan(self, content: Mapping[str, Any], wishes: Wishes, record: Record, how: Occasion) -> Attempt:
        """How to save ``content`` where the store still has what ``record`` says."""
        before, wished = record.place, record if wishes is NO_WISHES else wishes.apply_to(record)
        now = int(self._keyring.read_clock())
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
        place = Place(session_id, proof, end, stored, payload)
        kept = wished.saved(own, issued_at, place)
        expected = before.stored if before else None
        return Attempt(expected, end and end - now, place, kept, max_age, sets_cookie, overruled)

    def needs_cookie(self, wishes: Wishes, record: Record) -> bool:
        """Whether a cookie has to go out: a mere change sets none, as it might arrive after that of a sign-in."""
        place = record.place
        if place is None or wishes.renewed:
            return True
        now = int(self._keyring.read_clock())
        if record.due or wishes.max_age is not False or record.signed_at is None:
            needed = True
        else:
            needed = self._is_past(_PROLONG_AFTER, record, now) is True
        return needed and place.proof == place.id.proof  # or the browser has a newer one

    def _merge(self, own: bytes, record: Record, without: bytes | None) -> tuple[dict[str, Any], list[str]]:
        """``own`` on top of what others have written, and the keys in which theirs gave way."""
        ours = self._read(own, without)  # as it would come back, too: a list in the place of a tuple
        if record.place is None:
            return ours, []
        return merge(self._read(record.payload, without), ours, self._read(record.place.payload, None))

    def _read(self, payload: bytes | None, without: bytes | None) -> dict[str, Any]:
        """What is in a payload, ``without`` what has ended."""
        content = self.codec.read(payload, 0, outdated=False).content if payload else {}
        return content if without is None else find_added(self._read(without, None), content)

    def _meet(self, there: bytes, attempt: Attempt, wishes: Wishes, record: Record) -> tuple[Record, Wishes]:
        """Both as they are after another request has written ``there``. Raises ``SessionEndedError``."""
        place = record.place
        if not there:
            return self._begin_anew(attempt, wishes, record, ENDED)
        try:
            proof, end, payload = self._seal.open(attempt.place.id.key, there)
            now_there = self.codec.read(payload, record.signed_at or 0, record.due)
        except BadData:
            return self._begin_anew(attempt, wishes, record, _UNREADABLE)
        assert place is not None, "Nobody else knows the id of a new session."
        if proof != place.proof:
            is_of_one_line = not wishes.ended and _is_of_one_line(record, now_there)
            if is_of_one_line and wishes.principal and "principal" not in record.metadata:
                return replace(record, place=None), wishes  # a double click on "Sign in": what was nobody's stays
            if not is_of_one_line or not _is_same_principal(record, now_there):
                return self._begin_anew(attempt, wishes, record, RENEWED)
            wishes = replace(wishes, renewed=0)  # it is new already, by the other's cookie
        place = Place(place.id, proof, end, there, payload)
        issued_at = now_there.issued_at or None
        return replace(record, metadata=now_there.metadata, issued_at=issued_at, place=place), wishes

    def _begin_anew(self, attempt: Attempt, wishes: Wishes, record: Record, why_ended: str) -> tuple[Record, Wishes]:
        """What signs in has a session of its own, with what this request has put in and nothing of before."""
        if wishes.renewed:
            anew = replace(record, place=None, metadata=NO_METADATA, without=record.payload or record.without)
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
        value = self._keyring.sign(attempt.place.id.text)
        return attempt.record, self._cookie.write(value, attempt.max_age, secure)

    def _describe_size(self, content: Mapping[str, Any], size: int, limit: int) -> SessionError:
        return SessionError(
            f"the session of cookie {self.session_cookie!r} is {show_size(size)}, and max_size is {show_size(limit)};"
            f" largest: {self.codec.show_largest(content)}. Store less, or pass a larger max_size."
        )

    async def drop(self, wishes: Wishes, record: Record, secure: bool) -> Kept:
        """Deletes the record, and has the browser forget the id that led to it."""
        if record.rejected == "unavailable":
            raise SessionError(_UNAVAILABLE)
        if record.place is not None:
            await self.store.delete(record.place.id.key)
            if "principal" in record.metadata:
                await self._index.remove(record.metadata["principal"], [record.place.id.key])
        is_superseded = record.place is None and record.rejected == "superseded"  # the browser may have a newer one
        return wishes.apply_to(record).saved(DELETED), None if is_superseded else self._cookie.delete(secure)


def _choose(first: Rejection | None, rejection: Rejection) -> Rejection:
    """Of several reasons the first counts, but for one that forbids to set a cookie."""
    return rejection if first is None or rejection == "superseded" else first


def _mark(metadata: Metadata, wishes: Wishes, now: int) -> Metadata:
    """``metadata`` of a new generation: since when it is, and of which line, which a clear begins."""
    line = secrets.token_urlsafe(6) if wishes.ended else metadata.get("line")
    return {**metadata, "renewed": now} if line is None else {**metadata, "renewed": now, "line": line}


def _is_of_one_line(record: Record, other: Record) -> bool:
    """Whether the session was not cleared in between."""
    return bool(record.metadata.get("line") == other.metadata.get("line"))


def _is_same_principal(record: Record, other: Record) -> bool:
    principal = record.metadata.get("principal")
    return principal is not None and bool(principal == other.metadata.get("principal"))
