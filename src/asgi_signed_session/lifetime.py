"""When a session ends: some time after it was signed, and some time after it began."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Literal, TypeAlias

from .record import Record

_CENTURY = 100 * 365 * 24 * 60 * 60  # seconds; stores have limits of theirs beyond it
CLOCK_SKEW = 60  # seconds that the clock of another server may be ahead

Seconds: TypeAlias = int | timedelta
Verdict = Literal["alive", "due", "over"]  # "due": to be signed again


class Lifetime:
    """How long sessions live. All three are seconds, a ``timedelta`` or ``None``.

    ``max_age`` counts from the last signing, ``lifetime`` from when the session began; one signed more than
    ``refresh_after`` ago is signed again. Raises ``TypeError`` or ``ValueError`` where they can't be.
    """

    def __init__(
        self, max_age: Seconds | None, refresh_after: Seconds | None = None, lifetime: Seconds | None = None
    ) -> None:
        self.max_age: int | None = read_seconds("max_age", max_age)
        refresh_after = read_seconds("refresh_after", refresh_after)
        self.lifetime: int | None = read_seconds("lifetime", lifetime)
        if refresh_after is not None and self.max_age is not None and refresh_after >= self.max_age:
            raise ValueError(
                f"refresh_after={refresh_after} must be less than max_age={self.max_age}, or the session expires before"
                " it is signed again; half of max_age is a good value."
            )
        self.refresh_after: float = inf if refresh_after is None else refresh_after

    @property
    def settled_until(self) -> float:
        """The age, in seconds, up to which a session without metadata is ``"alive"``."""
        if self.lifetime is not None:
            return -1  # its beginning counts too
        return self.refresh_after if self.max_age is None else min(self.max_age, self.refresh_after)

    def judge(self, record: Record, now: int) -> Verdict:
        """What has become of the session in ``record`` by ``now``, in Unix seconds."""
        if explain_end(record, now, self.max_age_of(record), self.lifetime) is not None:
            return "over"
        age = now - (record.signed_at or 0)
        own_max_age = record.metadata.get("max_age")
        if own_max_age is None or self.refresh_after == inf:
            return "due" if age > self.refresh_after else "alive"
        # One with a shorter life of its own is signed again at half of it.
        return "due" if age > min(self.refresh_after, own_max_age // 2) else "alive"

    def max_age_of(self, record: Record) -> int | None:
        """Seconds that the session in ``record`` lives after it was signed; an own ``None`` is of its cookie alone."""
        own_max_age: int | None = record.metadata.get("max_age")
        return self.max_age if own_max_age is None else own_max_age

    def is_past(self, parts: int, record: Record, now: int) -> bool | None:
        """Whether more than one of so many ``parts`` of the cookie's life has passed; ``None``: it has no end."""
        max_age = self.max_age_of(record)
        return None if max_age is None else (now - (record.signed_at or 0)) * parts > max_age

    def find_end(self, record: Record) -> int | None:
        """When the session in ``record`` is over, in Unix seconds; ``None``: never, or it is in no cookie yet."""
        max_age = self.max_age_of(record)
        ends = [] if max_age is None or record.signed_at is None else [record.signed_at + max_age]
        if self.lifetime is not None and record.issued_at is not None:
            ends.append(record.issued_at + self.lifetime)
        return min(ends, default=None)


def explain_end(record: Record, now: int, max_age: int | None, lifetime: int | None = None) -> str | None:
    """Why the session in ``record`` is over, or not yet signed, by ``now``; ``None`` where it is alive."""
    age = now - (record.signed_at or 0)
    if age < -CLOCK_SKEW:
        return f"Signed {-age} seconds in the future."
    if max_age is not None and age > max_age:
        return f"Signed {age} seconds ago, {age - max_age} more than max_age."
    begun = now - (record.issued_at or 0)
    if lifetime is not None and begun >= lifetime:
        return f"Begun {begun} seconds ago; its lifetime is {lifetime}."
    return None


def read_seconds(option: str, value: Seconds | None) -> int | None:
    """The seconds in ``value``. Raises ``TypeError`` or ``ValueError`` unless they are whole and positive."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        if value.microseconds:
            raise ValueError(f"{option}={value!r} must be whole seconds.")
        seconds = value // timedelta(seconds=1)
    elif isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    else:
        raise TypeError(f"{option}={value!r} must be a whole number of seconds (an int or a timedelta) or None.")
    if seconds <= 0:
        raise ValueError(f"{option}={value!r} must be a positive number of seconds, or None.")
    if seconds > _CENTURY:
        raise ValueError(f"{option}={value!r} must be at most {_CENTURY} seconds, a hundred years; or None.")
    return seconds
