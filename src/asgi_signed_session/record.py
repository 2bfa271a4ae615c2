"""What was read of a session, or was last saved: values that never change, made anew instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from .ids import Id

Rejection = Literal["bad-signature", "expired", "malformed", "superseded", "unavailable", "cross-site"]
Metadata: TypeAlias = Mapping[str, Any]

NO_CONTENT: Final[dict[str, Any]] = {}  # never written to: a session copies it
NO_METADATA: Final[Metadata] = {}
DELETED: Final = b""  # the payload of a session whose cookie is to be deleted, or has been


@dataclass(slots=True)  # as a Record
class Version:
    """With a store: the version of a session's record that was read, or last saved, and where it is."""

    id: Id  # what the cookie carries, which may be of an earlier generation
    proof: bytes  # of the record's generation, hashed
    end: int | None  # when the record is over, in Unix seconds; None: never
    stored: bytes  # the whole record
    payload: bytes  # the part of it that is the session; not the record's own where another request has changed it


@dataclass(slots=True)  # not frozen: to make one would be 0.4 µs more. Nobody assigns to one, and a test sees to it.
class Record:
    """A session as it was read, or last saved; or, with ``rejected``, why the cookie that came was not used.

    Times are in Unix seconds, ``None`` for a session that has just begun.
    """

    content: dict[str, Any]  # as it was read; empty once it was saved
    metadata: Metadata
    payload: bytes | None = None  # None: the browser has no cookie that we know of
    signed_at: int | None = None
    issued_at: int | None = None
    due: bool = False  # to be signed again, though unchanged
    rejected: Rejection | None = None
    version: Version | None = None  # None: there is no store, or nothing of this session in it
    without: bytes | None = None  # the payload of a session that has ended, and no part of which is to be saved again
    end: int | None = None  # of a session that was saved here; None: it has none, or signed_at tells

    def saved(
        self, payload: bytes, issued_at: int | None = None, version: Version | None = None, end: int | None = None
    ) -> Record:
        """The record that takes this one's place once ``payload`` was saved."""
        return Record(
            NO_CONTENT,
            self.metadata,
            payload,
            self.signed_at,
            issued_at,
            False,
            self.rejected,
            version,
            self.without,
            end,
        )


REJECTED: Final[Mapping[Rejection | None, Record]] = {
    None: Record(NO_CONTENT, NO_METADATA),  # no cookie came
    "bad-signature": Record(NO_CONTENT, NO_METADATA, rejected="bad-signature"),
    "expired": Record(NO_CONTENT, NO_METADATA, rejected="expired"),
    "malformed": Record(NO_CONTENT, NO_METADATA, rejected="malformed"),
    "superseded": Record(NO_CONTENT, NO_METADATA, rejected="superseded"),
    "unavailable": Record(NO_CONTENT, NO_METADATA, rejected="unavailable"),
    "cross-site": Record(NO_CONTENT, NO_METADATA, rejected="cross-site"),
}
NOTHING: Final = REJECTED[None]


@dataclass(slots=True)  # as a Record
class Wishes:
    """What an app has asked of its session beyond its content."""

    max_age: int | Literal[False] | None = False  # of the session's own, in seconds; False: the one that it has
    principal: str | Literal[False] | None = False  # whose it is to be; False: whose it is
    # How often it was asked: it may be again while a store is written.
    renewed: int = 0  # it begins anew, with a new id
    ended: int = 0  # nothing of what was read stays; a cookie that was rejected is deleted
    id: Id | None = None  # of a session that is new, once somebody has asked for its key
    prolongs: bool = True  # this connection may sign the session again though nothing but its age asks for it

    def need_new_id(self, record: Record) -> bool:
        """Whether the session that ``record`` is of has to get an id that no browser knows yet."""
        return record.version is None or self.renewed > 0

    def end(self, record: Record) -> bool:
        """Whether nothing is to be kept of a session that is empty.

        It stays where it is somebody's, or where it is in a store and wasn't cleared.
        """
        if self.change(record.metadata).get("principal") is not None:
            return False
        return record.version is None or self.ended > 0

    def apply_to(self, record: Record) -> Record:
        """``record`` with these wishes met."""
        is_new = self.renewed > 0
        # Written out: dataclasses.replace takes 1 µs more, and for a new session another for its id.
        return Record(
            record.content,
            self.change(record.metadata),
            record.payload,
            None if is_new else record.signed_at,
            None if is_new else record.issued_at,
            record.due,
            record.rejected,
            record.version,
            None if is_new and self.ended else record.without,
        )

    def without_max_age(self) -> Wishes:
        """The same wishes without a ``max_age`` of the session's own."""
        return self if self.max_age is False else replace(self, max_age=False)

    def under(self, session_id: Id | None) -> Wishes:
        """The same wishes for a new session with this id."""
        return replace(self, id=session_id)

    def change(self, metadata: Metadata) -> Metadata:
        """``metadata`` with these wishes met."""
        changed = {} if self.ended else dict(metadata)
        if self.max_age is not False:
            changed["max_age"] = self.max_age
        if self.principal is not False:
            changed["principal"] = self.principal
            if self.principal is None:
                del changed["principal"]
        return changed

    def beyond(self, heard: Wishes) -> Wishes:
        """The wishes that are left once those ``heard`` are met: the app may go on while the store is written."""
        if self is heard and self.prolongs:
            return NO_WISHES
        return Wishes(
            False if self.max_age == heard.max_age else self.max_age,
            False if self.principal == heard.principal else self.principal,
            self.renewed - heard.renewed,
            self.ended - heard.ended,
            prolongs=self.prolongs,
        )


NO_WISHES: Final = Wishes()
