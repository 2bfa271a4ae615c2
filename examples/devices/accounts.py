"""Who has an account, in a file of SQLite. Each method waits for the disk or for scrypt: call it in a thread."""

from __future__ import annotations

import math
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from .passwords import COST, Cost, hash_password, is_right

FREE_TRIES = 5  # at one account's password; then each has to wait
FIRST_WAIT = 60  # seconds; it doubles with each wrong password after that
LONGEST_WAIT = 15 * 60
FORGOTTEN_AFTER = 24 * 60 * 60  # seconds without a try

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,29}")

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tries (name TEXT PRIMARY KEY, count INTEGER NOT NULL, last REAL NOT NULL);
"""


class User(NamedTuple):
    id: str
    name: str


class TooManyTriesError(Exception):
    """The password was not looked at, because too many were wrong."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"Too many wrong passwords: the next may be tried in {wait} seconds.")
        self.wait = wait  # seconds


class Accounts:
    def __init__(self, path: Path, cost: Cost = COST) -> None:
        self._path = path
        self._cost = cost
        self._nobodys = hash_password(secrets.token_hex(), cost)
        path.touch(mode=0o600)  # for nobody else to read, as SQLite gives its other files the same mode
        with self._open() as database:
            database.executescript(SCHEMA)

    def create(self, name: str, password: str) -> User | None:
        """The new account; ``None`` where the name is taken. Raises ``ValueError`` for one that can't be a name."""
        name = read_name(name)
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name for an account.")
        # Random: if this file is ever begun anew, the sessions of its first user must not be those of another.
        user = User(secrets.token_hex(16), name)
        kept = hash_password(password, self._cost)
        with self._open() as database:
            added = database.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)", (*user, kept))
            return user if added.rowcount else None

    def find(self, user_id: str) -> User | None:
        with self._open() as database:
            row = database.execute("SELECT id, name FROM accounts WHERE id = ?", (user_id,)).fetchone()
        return row and User(*row)

    def check(self, name: str, password: str) -> User | None:
        """The account, if that is its password. Raises ``TooManyTriesError``.

        Whether there is such an account shows neither in the answer nor in how long it takes.
        """
        name = read_name(name)
        self._count_try(name)
        with self._open() as database:
            row = database.execute("SELECT id, name, password FROM accounts WHERE name = ?", (name,)).fetchone()
        user_id, name, kept = row or (None, name, self._nobodys)
        if not is_right(password, kept) or user_id is None:
            return None
        with self._open() as database:
            database.execute("DELETE FROM tries WHERE name = ?", (name,))
        return User(user_id, name)

    def _count_try(self, name: str) -> None:
        """Counts it before the password is looked at, or a thousand guesses at once would all be free."""
        now = time.time()
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM tries WHERE last < ?", (now - FORGOTTEN_AFTER,))
            row = database.execute("SELECT count, last FROM tries WHERE name = ?", (name,)).fetchone()
            count, last = row or (0, now)
            wait = last + find_wait(count) - now
            if wait > 0:
                raise TooManyTriesError(math.ceil(wait))
            database.execute("INSERT OR REPLACE INTO tries VALUES (?, ?, ?)", (name, count + 1, now))
            database.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread; what was begun on it and not committed is undone."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            yield database


def read_name(text: str) -> str:
    return text.strip().lower()


def find_wait(count: int) -> int:
    """Seconds to wait after so many wrong passwords."""
    if count < FREE_TRIES:
        return 0
    return min(LONGEST_WAIT, FIRST_WAIT << min(count - FREE_TRIES, 10))
