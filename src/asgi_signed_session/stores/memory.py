"""Sessions in the memory of one process: for tests, and for an app that may forget them when it restarts."""

from __future__ import annotations

import logging
import time
from threading import Lock

logger: logging.Logger = logging.getLogger("asgi_signed_session")

_SWEPT = 2  # of the records that were written longest ago are looked at with each new one


class MemoryStore:
    """Keeps at most ``max_records`` in this process. If it is full, it drops the record that was written longest ago.

    The list of a principal's sessions is a record, too, and is dropped after each of those. Safe to use from several
    threads and event loops. Raises ``ValueError`` unless ``max_records`` is positive.
    """

    def __init__(self, max_records: int = 10_000) -> None:
        if not isinstance(max_records, int) or max_records < 1:
            raise ValueError(f"max_records={max_records!r} must be a positive int.")
        self._max_records = max_records
        self._records: dict[str, tuple[bytes, float]] = {}  # and when each is over; by when it was written
        self._lists: dict[str, str] = {}  # by the key of a session, that of the list which it is in
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
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
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
            self._renew(self._lists.get(key))
        return None

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        with self._lock:
            self._forget(key)

    def _keep_list(self, key: str, session_key: str) -> None:
        """Keeps the list under ``key`` no shorter than the session under ``session_key``, which is to be written."""
        with self._lock:
            if len(self._lists) >= self._max_records:  # of sessions that were never written
                self._lists = {one: its_list for one, its_list in self._lists.items() if one in self._records}
            self._lists[session_key] = key

    def _renew(self, key: str | None) -> None:
        """Keeps the record under ``key`` as if it were written now."""
        if key in self._records:
            self._records[key] = self._records.pop(key)

    def _forget(self, key: str) -> None:
        self._records.pop(key, None)
        self._lists.pop(key, None)

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            oldest = next(iter(self._records), None)
            if oldest is None or self._records[oldest][1] > now:
                break
            self._forget(oldest)
        if len(self._records) >= self._max_records:
            self._forget(next(iter(self._records)))
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "MemoryStore has no room for more than %d sessions: for each new one, the one that was written"
                    " longest ago is lost. Give it a larger max_records, or use a SQLiteStore.",
                    self._max_records,
                    extra={"event": "session.evicted"},
                )
