"""Sessions in a file of SQLite: for an app on one machine, in any number of processes, with nothing to install."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias

_BEGIN: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, record BLOB NOT NULL, ends REAL);
"""
# Readers wait for nobody, and a power cut loses at most the last writes. 1000 pages are 4 MB: the log is only so long
# where _CHECKPOINT comes too late.
_SET_UP: Final = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 1000;"
# Moves the log's pages to the file, with syncs that take milliseconds.
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_CHECKPOINT_EACH: Final = 100  # writes, of one to three pages
_GET: Final = "SELECT record FROM sessions WHERE key = ? AND (ends IS NULL OR ends > ?)"
_ADD: Final = """
INSERT INTO sessions (record, ends, key) VALUES (?, ?, ?) ON CONFLICT (key)
DO UPDATE SET record = excluded.record, ends = excluded.ends WHERE sessions.ends <= ?
"""
_REPLACE: Final = "UPDATE sessions SET record = ?, ends = ? WHERE key = ? AND (ends IS NULL OR ends > ?) AND record = ?"
_DELETE: Final = "DELETE FROM sessions WHERE key = ?"
# Without an index on ends, which would cost each write a page more: a few rows are looked at, in turn.
_SWEEP: Final = "DELETE FROM sessions WHERE rowid >= ? AND rowid < ? AND ends <= ?"
_LAST: Final = "SELECT max(rowid) FROM sessions"
_SWEEP_EACH: Final = 10  # writes
_SWEPT: Final = 50  # rows

Query = Callable[[sqlite3.Connection], Any]


class _Database:
    """A connection for one thread at a time, which waits ``timeout`` seconds for a lock of another's."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            self._connection.executescript(_SET_UP)
        except BaseException:
            self._connection.close()
            raise

    def ask(self, query: Query) -> Any:
        with self._lock:
            return query(self._connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


_Databases: TypeAlias = dict[tuple[int, float], _Database]


class SQLiteStore:
    """Keeps sessions in the file at ``path``, which only the user who runs the app may read.

    It calls SQLite in the event loop, because that takes only microseconds, with asyncio, uvloop and trio. If another
    process holds the lock, it waits in a thread (with trio: in the loop) for at most ``timeout`` seconds, and then
    raises ``sqlite3.OperationalError``. The disk can hold up the loop: when four processes wrote as fast as they could,
    half of the writes took 25 µs, and the longest stall of the loop was 25 ms. SQLite's log beside the file grew to
    335 MB in four seconds of that. The file must not be on a network drive. Raises ``OSError`` or ``sqlite3.Error`` if
    there can be no such file, and ``ValueError`` for a file in memory.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        name = os.fsdecode(path)
        if name in ("", ":memory:") or name.startswith("file:"):
            raise ValueError(f"SQLiteStore({name!r}) isn't a file; write MemoryStore() to keep sessions in memory.")
        self._path = Path(name).absolute()  # the app may change its folder
        self._timeout = timeout
        # By process, as a fork must neither use nor close what its parent has opened; and by how long each waits.
        self._databases: _Databases = {}
        self._opening = Lock()
        weakref.finalize(self, _close_own, self._databases)  # at the end of the process, too
        self._writes = 0
        self._next_row = 1  # to be looked at, whether it is over
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._begin()

    def get_now(self, key: str) -> bytes | None:
        """The record under ``key``."""
        query = _select(key)
        record: bytes | None
        try:
            record = self._ask(query, 0)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            record = self._ask(query, self._timeout)
        return record

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        record: bytes | None = await self._wait(_select(key))
        return record

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
        now = time.time()
        values = record, ttl and now + ttl, key, now
        query = (_ADD, values) if expected is None else (_REPLACE, (*values, expected))

        def write(connection: sqlite3.Connection) -> bytes | None:
            while connection.execute(*query).rowcount == 0:
                there = connection.execute(_GET, (key, now)).fetchone()
                if there is None and expected is not None:
                    return b""
                if there is not None and there[0] != expected:
                    return bytes(there[0])
            return None

        there: bytes | None = await self._wait(write)
        self._writes += 1
        if self._writes % _SWEEP_EACH == 0:
            self._sweep(now)
        if self._writes % _CHECKPOINT_EACH == 0:
            self._begin_checkpoint()
        return there

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        await self._wait(lambda connection: connection.execute(_DELETE, (key,)))

    def close(self) -> None:
        """Closes what this process has opened. You may use the store again afterwards."""
        _close_own(self._databases)

    def _begin(self) -> None:
        database = _Database(self._path, self._timeout)
        end = time.monotonic() + self._timeout
        try:
            while True:
                try:
                    database.ask(lambda connection: connection.executescript(_BEGIN))
                    break
                except sqlite3.OperationalError as error:
                    # Of two who begin a file at once SQLite refuses one without a wait.
                    if not _is_locked(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.01)
        finally:
            database.close()

    def _sweep(self, now: float) -> None:
        def sweep(connection: sqlite3.Connection) -> None:
            connection.execute(_SWEEP, (self._next_row, self._next_row + _SWEPT, now))
            self._next_row += _SWEPT
            if self._next_row > (connection.execute(_LAST).fetchone()[0] or 0):
                self._next_row = 1

        try:
            self._ask(sweep, 0)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):  # then a later write does it
                raise

    def _begin_checkpoint(self) -> None:
        """Off the event loop, where it can: its syncs would hold it up, half of the time that a write takes."""
        try:
            asyncio.get_running_loop().run_in_executor(None, self._checkpoint)
        except RuntimeError:  # trio, or a loop about to be closed
            self._checkpoint()

    def _checkpoint(self) -> None:
        if self._databases:  # or it was closed meanwhile
            with suppress(sqlite3.Error):  # as SQLite does with those that it begins itself: a later write does it
                self._ask(lambda connection: connection.execute(_CHECKPOINT).fetchone(), self._timeout)

    async def _wait(self, query: Query) -> Any:
        """What ``query`` finds. It waits for a lock that another holds off the event loop, where it can."""
        try:
            return self._ask(query, 0)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio
            return self._ask(query, self._timeout)
        return await loop.run_in_executor(None, self._ask, query, self._timeout)

    def _ask(self, query: Query, timeout: float) -> Any:
        place = os.getpid(), timeout
        database = self._databases.get(place)
        if database is None:
            with self._opening:  # or two threads would open two
                database = self._databases.get(place) or _Database(self._path, timeout)
                self._databases[place] = database
        return database.ask(query)


def _close_own(databases: _Databases) -> None:
    for place in list(databases):  # a copy, as other threads may open or close one meanwhile
        if place[0] == os.getpid() and (database := databases.pop(place, None)):
            database.close()


def _select(key: str) -> Query:
    def select(connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute(_GET, (key, time.time())).fetchone()
        return None if row is None else row[0]

    return select


def _is_locked(error: sqlite3.OperationalError) -> bool:
    return str(error) == "database is locked"  # its code is there since Python 3.11 only
