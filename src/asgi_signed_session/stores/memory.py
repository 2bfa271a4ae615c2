"""Sessions in the memory of one process: for tests, and for an app that may forget them when it restarts."""

from __future__ import annotations

import logging
import time
from threading import Lock

logger: logging.Logger = logging.getLogger("asgi_signed_session")

_SWEPT = 2  # of the records that were written longest ago are looked at with each new one


class MemoryStore:
    """Keeps at most ``max_records`` in this process. Where there is no room, that which was written longest ago goes.

    Safe to use from several threads and event loops. Raises ``ValueError`` unless ``max_records`` is positive.
    """

    def __init__(self, max_records: int = 10_000) -> None:
        if not isinstance(max_records, int) or max_records < 1:
            raise ValueError(f"max_records={max_records!r} must be a positive int.")
        self._max_records = max_records
        self._records: dict[str, tuple[bytes, float]] = {}  # and when each is over; by when it was written
        self._lock = Lock()
        self._has_warned = False

    def get_now(self, key: str) -> bytes | None:
        """The record under ``key``."""
        with self._lock:  # a record that is being written anew is absent for a moment
            record, end = self._records.get(key, (None, 0.0))
        return record if end > time.time() else None

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        return self.get_now(key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Puts ``record`` in the place of ``expected``, or returns what is there instead."""
        now = time.time()
        end = float("inf") if ttl is None else now + ttl
        with self._lock:
            there, its_end = self._records.get(key, (None, 0.0))
            if its_end <= now:
                there = None
            if there != expected:
                return there or b""
            self._records.pop(key, None)
            if len(self._records) >= self._max_records or expected is None:
                self._sweep(now)
            self._records[key] = record, end
        return None

    async def delete(self, key: str) -> None:
        """Forgets the record under ``key``."""
        with self._lock:
            self._records.pop(key, None)

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            oldest = next(iter(self._records), None)
            if oldest is None or self._records[oldest][1] > now:
                break
            del self._records[oldest]
        if len(self._records) >= self._max_records:
            del self._records[next(iter(self._records))]
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "MemoryStore has no room for more than %d sessions: for each new one, that which was written"
                    " longest ago is lost. Give it a larger max_records, or use a SQLiteStore.",
                    self._max_records,
                    extra={"event": "session.evicted"},
                )
