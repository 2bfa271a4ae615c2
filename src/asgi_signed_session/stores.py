"""Server-side sessions: the cookie carries a signed random id, a store keeps the data under the id's hash."""

from __future__ import annotations

import re
import secrets
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from .cookies import MAX_COOKIE, Header, SetCookie, find_cookies
from .expiry import Expiry
from .keeping import BaseKeeper
from .session import EMPTIED, NO_METADATA, Metadata, Rejection, Session, UnreadSession
from .signing import BadData, BadPayload, SessionSigner, SignatureExpired, rejection_of

ID_BYTES = 32  # more than anyone can guess (OWASP asks for 16)
_ID = re.compile(rb"[\w-]{43}", re.ASCII)  # 32 bytes as base64; data in a cookie is never of this length

_ENDED = "The session was ended meanwhile, or has expired; the visitor's next request finds it empty."


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


class Found(NamedTuple):
    """A session as the store has it, or why there is none."""

    content: dict[str, Any] = {}  # noqa: RUF012  # never written to: a session copies it
    payload: bytes | None = None
    signed_at: int | None = None
    issued_at: int | None = None
    metadata: Metadata = NO_METADATA
    stale: bool = False
    rejected: Rejection | None = None
    id: str | None = None


class StoreKeeper(BaseKeeper):
    """Keeps sessions in a store, and in the cookie an id that nobody else has. Raises what the store raises."""

    def __init__(self, store: Store, cookie: SetCookie, signer: SessionSigner, expiry: Expiry) -> None:
        super().__init__(cookie, signer, expiry)
        _check_store(store)
        self._store = store

    async def fetch(self, session: UnreadSession) -> None:
        """Looks up what ``session`` is filled with when it is touched."""
        headers, session._source = session._source, Found()
        session._id = session._key = session._end = None
        session._cleared = False
        found = session._source = await self._find(headers)
        if found.id is not None:
            session._id, session._key = found.id, key_of(found.id)
            session._end = self._expiry.find_end(found.metadata, found.signed_at or 0, found.issued_at or 0)

    async def _find(self, headers: Iterable[Header]) -> Found:
        """What the store has for the first of the cookies in ``headers`` that can be used."""
        rejected: Rejection | None = None
        for cookie in find_cookies(headers, self._cookie.name):
            try:
                return await self._read(cookie)
            except BadData as error:
                rejected = rejected or rejection_of(error)
        return Found(rejected=rejected)

    async def _read(self, cookie: bytes) -> Found:
        if len(cookie) > MAX_COOKIE:
            raise BadPayload("Longer than a cookie can be.")
        unchecked_id, signed_at, outdated = self._signer.verify(cookie)
        if not is_id(unchecked_id):
            raise BadPayload("It carries no id.")
        session_id = unchecked_id.decode("ascii")
        record = await self._store.get(key_of(session_id))
        if record is None:
            raise SignatureExpired("The session has expired or was ended.")
        content, payload, signed_at, issued_at, metadata, _ = self._signer.parse(_unpack(record), signed_at, outdated)
        age = self._signer.check_age(signed_at, issued_at, metadata, self.max_age, self._expiry.lifetime)
        stale = outdated or self._expiry.is_stale(age, metadata)
        return Found(content, payload, signed_at, issued_at, metadata, stale, id=session_id)

    def load(self, session: UnreadSession, source: Found) -> None:
        """Fills ``session`` with what was found for it."""
        if source.id is None:
            self._reject(session, source.rejected)
        else:
            session._fill(*source[:6])
        session._source = Found()  # a websocket may be open for long, and its session cleared

    def find_id(self, session: Session) -> str:
        """The key that the store has ``session`` under, or will have it under once it is saved."""
        if session._id is None:
            session._id = secrets.token_urlsafe(ID_BYTES)
        return key_of(session._id)

    async def save(self, session: Session, secure: bool) -> bytes | None:
        """Saves ``session``, or deletes its record where it is empty; the ``Set-Cookie`` value that goes with it.

        Raises ``SessionError`` for what can't be saved, ``SessionEndedError`` for what may not be.
        """
        with _giving_up(session):
            record = await self._get_again(session)
            if not session:
                came = session._payload is not None
                await self._delete(session)
                return self._cookie.delete(secure) if came else None
            content: Mapping[str, Any] = session
            metadata = session._metadata
            if record is not None and not session._is_changed():  # to be signed anew: others may have changed it
                try:
                    content, _, _, _, metadata, _ = self._signer.parse(_unpack(record), 0, False)
                except BadData:  # the next request sees what has become of it
                    return None
            metadata, max_age, seconds_left = self._time(session, metadata)
            session._end = None if seconds_left is None else self._signer.now() + seconds_left
            session_id = await self._put(session, content, metadata, seconds_left)
        return self._cookie.write(self._signer.sign(session_id.encode("ascii")), max_age, secure)

    async def save_late(self, session: Session) -> None:
        """Saves what has changed since the cookie went out. Raises as ``save`` does.

        One that was cleared, or regenerated, lives on under an id that no cookie carries: its record is deleted.
        """
        with _giving_up(session):
            await self._get_again(session)
            if session and session._key == self.find_id(session):
                seconds_left = None if session._end is None else session._end - self._signer.now()
                if seconds_left is not None and seconds_left <= 0:
                    raise SessionEndedError(_ENDED)
                await self._put(session, session, self._time(session, session._metadata)[0], seconds_left)
            else:
                await self._delete(session)

    async def _get_again(self, session: Session) -> object:
        """The record as it is now, ``None`` for a session that has none. Raises ``SessionEndedError`` if it is gone."""
        if not session or session._cleared or session._key is None:
            return None
        record = await self._store.get(session._key)
        if record is None:
            raise SessionEndedError(_ENDED)
        return record

    async def _put(
        self, session: Session, content: Mapping[str, Any], metadata: Metadata, seconds_left: int | None
    ) -> str:
        """Writes the record, and deletes the one that it takes the place of; the id that leads to it."""
        before, key = session._key, self.find_id(session)
        assert session._id is not None
        session_id = session._id
        # Before it is written: what another task or thread changes meanwhile is a change anew.
        session._commit()
        session._payload = payload = self._signer.serialize(content, metadata)
        await self._store.put(key, _pack(payload), ttl=seconds_left)
        if before is not None and before != key:
            await self._store.delete(before)
        session._key = key  # only now, or a second try would leave the old record
        session._cleared = False
        return session_id

    async def _delete(self, session: Session) -> None:
        key, payload = session._key, session._payload
        session._key = None
        session._commit()
        if payload is not None:
            session._payload = EMPTIED
        try:
            if key is not None:
                await self._store.delete(key)
        except BaseException:  # a second try has it all to do
            session._key, session._payload = key, payload
            raise


def is_id(value: bytes) -> bool:
    """Whether ``value`` has the form of what a cookie carries when there is a store."""
    return _ID.fullmatch(value) is not None


def key_of(session_id: str) -> str:
    """The key of the record: whoever reads the store learns no id."""
    return sha256(session_id.encode("ascii")).hexdigest()


def _pack(payload: bytes) -> dict[str, Any]:
    """A record that people can read in the store, and every store can write."""
    try:
        return {"session": payload.decode("utf-8")}
    except UnicodeDecodeError:  # from a serializer of the user's
        return {"session_base64": b2a_base64(payload, newline=False).decode("ascii")}


def _unpack(record: object) -> bytes:
    """The payload that ``_pack`` was given. Raises ``BadPayload`` for what it never returned."""
    with suppress(ValueError):
        match record:
            case {"session": str(text)}:
                return text.encode("utf-8")
            case {"session_base64": str(text)}:
                return a2b_base64(text)
            case _:
                pass
    raise BadPayload("The record is no session.")


@contextmanager
def _giving_up(session: Session) -> Iterator[None]:
    try:
        yield
    except BaseException:  # a cancelled request too
        session._give_up()
        raise


def _check_store(store: object) -> None:
    missing = [name for name in ("get", "put", "delete") if not callable(getattr(store, name, None))]
    if missing or isinstance(store, type):
        # Not what it holds: a URL may have a password in it.
        kind = f"the class {store.__name__}" if isinstance(store, type) else f"of type {type(store).__name__}"
        raise TypeError(
            f"store is {kind}: it needs the async methods get, put and delete that py-key-value-aio's stores have;"
            " write store=RedisStore(url='redis://...') or store=DiskStore(directory='...')."
        )
