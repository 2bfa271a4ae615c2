"""When a session ends: some time after it was signed, and some time after it began."""

from __future__ import annotations

from math import inf

from .session import Metadata, check_seconds


class Expiry:
    """How long sessions live. All three are seconds, or ``None``.

    ``max_age`` counts from the last signing, ``lifetime`` from when the session began; one signed more than
    ``refresh_after`` ago is signed anew. Raises ``TypeError`` or ``ValueError`` where they can't be.
    """

    def __init__(self, max_age: int | None, refresh_after: int | None, lifetime: int | None) -> None:
        check_seconds("max_age", max_age)
        check_seconds("refresh_after", refresh_after)
        check_seconds("lifetime", lifetime)
        if refresh_after is not None and max_age is not None and refresh_after >= max_age:
            raise ValueError(
                f"refresh_after={refresh_after} must be less than max_age={max_age}, or the session expires before it"
                " is signed anew; half of max_age is a good value."
            )
        self.max_age = max_age
        self.refresh_after: float = inf if refresh_after is None else refresh_after
        self.lifetime = lifetime

    @property
    def settled_until(self) -> float:
        """The age, in seconds, up to which a session without metadata neither ends nor is signed anew."""
        if self.lifetime is not None:
            return -1  # its beginning counts too
        return self.refresh_after if self.max_age is None else min(self.max_age, self.refresh_after)

    def is_stale(self, age: int, metadata: Metadata) -> bool:
        """Whether a session signed ``age`` seconds ago is to be signed anew; one with a shorter life, at half of it."""
        own_max_age = metadata.get("max_age")
        if own_max_age is None or self.refresh_after == inf:
            return age > self.refresh_after
        return age > min(self.refresh_after, own_max_age // 2)

    def find_end(self, metadata: Metadata, signed_at: int, issued_at: int) -> int | None:
        """When a session signed and issued then is over, in Unix seconds; ``None``: never."""
        max_age = metadata.get("max_age", self.max_age)
        if self.lifetime is None:
            return None if max_age is None else signed_at + max_age
        end = issued_at + self.lifetime
        return end if max_age is None else min(end, signed_at + max_age)
