"""What was read of a session, or was last saved: values that never change, made anew instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

Rejection = Literal["bad-signature", "expired", "malformed"]
Metadata: TypeAlias = Mapping[str, "int | None"]

NO_CONTENT: Final[dict[str, Any]] = {}  # never written to: a session copies it
NO_METADATA: Final[Metadata] = {}
DELETED: Final = b""  # the payload of a session whose cookie is to be deleted, or has been


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
    due: bool = False  # to be signed anew, though unchanged
    rejected: Rejection | None = None
    id: str | None = None  # with a store: what the cookie carries; None: there is no record in the store
    end: int | None = None  # with a store: when the session is over; None: never

    def saved(
        self, payload: bytes, issued_at: int | None = None, session_id: str | None = None, end: int | None = None
    ) -> Record:
        """What takes its place once ``payload`` was saved."""
        return Record(
            NO_CONTENT, self.metadata, payload, self.signed_at, issued_at, False, self.rejected, session_id, end
        )


REJECTED: Final[Mapping[Rejection | None, Record]] = {
    None: Record(NO_CONTENT, NO_METADATA),  # no cookie came
    "bad-signature": Record(NO_CONTENT, NO_METADATA, rejected="bad-signature"),
    "expired": Record(NO_CONTENT, NO_METADATA, rejected="expired"),
    "malformed": Record(NO_CONTENT, NO_METADATA, rejected="malformed"),
}
NOTHING: Final = REJECTED[None]


@dataclass(slots=True)  # as a Record
class Wishes:
    """What an app has asked of its session beyond its content."""

    max_age: int | Literal[False] | None = False  # of the session's own, in seconds; False: the one that it has
    # How often it was asked: it may be again while a store is written.
    renewed: int = 0  # it begins anew, with a new id
    ended: int = 0  # nothing of what was read stays; a cookie that was rejected is deleted
    id: str | None = None  # the new id, once somebody has asked for it

    def apply_to(self, record: Record) -> Record:
        """``record`` as it is wished to be."""
        metadata = NO_METADATA if self.ended else record.metadata
        if self.max_age is not False:
            metadata = {**metadata, "max_age": self.max_age}
        if not self.renewed:
            return replace(record, metadata=metadata, id=self.id or record.id)
        return Record(
            record.content,
            metadata,
            record.payload,
            due=record.due,
            rejected=record.rejected,
            id=self.id,
            end=record.end,
        )

    def beyond(self, heard: Wishes) -> Wishes:
        """What is left of these once those that were ``heard`` are met: the app may go on while a store is written."""
        if self is heard:
            return NO_WISHES
        max_age = False if self.max_age == heard.max_age else self.max_age
        renewed = self.renewed - heard.renewed
        return Wishes(max_age, renewed, self.ended - heard.ended, self.id if renewed else None)


NO_WISHES: Final = Wishes()
