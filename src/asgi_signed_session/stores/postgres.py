"""Sessions in PostgreSQL, by the pool of asyncpg or psycopg that the app already has."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from ..wording import describe
from .store import MAC

# For a migration, in place of create_table(). An order by "C" outlives updates of the system.
CREATE_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS sessions (key text COLLATE "C" PRIMARY KEY, record bytea NOT NULL, ends timestamptz);
CREATE INDEX IF NOT EXISTS sessions_ends ON sessions (ends) WHERE ends IS NOT NULL;
"""
# IF NOT EXISTS alone fails where two processes create the table at once.
_CREATE: Final = "SELECT pg_advisory_xact_lock(hashtext('asgi_signed_session'));" + CREATE_TABLE

_GET: Final = "SELECT record FROM sessions WHERE key = $1 AND (ends IS NULL OR ends > now())"
_ADD: Final = """\
WITH written AS (
    INSERT INTO sessions AS there (key, record, ends) VALUES ($1, $2, now() + make_interval(secs => $3::float8))
    ON CONFLICT (key) DO UPDATE SET record = excluded.record, ends = excluded.ends WHERE there.ends <= now() RETURNING 1
)
"""
_REPLACE: Final = """\
WITH written AS (
    UPDATE sessions SET record = $2, ends = now() + make_interval(secs => $3::float8)
    WHERE key = $1 AND substr(record, 1, 32) = $4 AND (ends IS NULL OR ends > now()) RETURNING 1
)
"""
# NULL where it is written, else what was there when the statement began: a record, or nothing.
_ANSWER: Final = """\
SELECT CASE WHEN NOT EXISTS (SELECT FROM written) THEN
    coalesce((SELECT record FROM sessions WHERE key = $1 AND (ends IS NULL OR ends > now())), '')
END
"""
_DELETE: Final = "DELETE FROM sessions WHERE key = $1"
_SWEEP: Final = """\
DELETE FROM sessions WHERE ends <= now() AND key = ANY (ARRAY(
SELECT key FROM sessions WHERE ends <= now() LIMIT 20 FOR UPDATE SKIP LOCKED))
"""
SWEEP_EACH: Final = 10  # writes

_NAME: Final = r"[a-z_][a-z0-9_]{0,57}"  # PostgreSQL cuts names to 63 bytes, and the index's has five more


class PostgresStore:
    """Keeps sessions in ``table`` (or ``schema.table``), which ``create_table()`` or a migration has made.

    ``pool`` is an ``asyncpg.Pool`` or, from psycopg 3.2 on, a ``psycopg_pool.AsyncConnectionPool``. The app
    closes it. It must read from the primary, because a replica doesn't see what was just written. The time is the
    database's.

    Each call is one statement. In addition, asyncpg's pool sends a reset. psycopg's pool begins and commits a
    transaction, unless you make it with ``kwargs={"autocommit": True}``. These are one or two more round trips, which
    take as long again. Raises ``TypeError`` if ``pool`` is no such pool, and ``ValueError`` if ``table`` isn't a plain
    name.
    """

    def __init__(self, pool: Any, table: str = "sessions") -> None:
        self._pool = pool
        self._ask_once = _find_way(pool)
        schema, name = split_name(table)
        self._table = f'"{schema}"."{name}"' if schema else f'"{name}"'  # it may be one of SQL's own words
        self._index = f'"{name}_ends"'
        self._get, self._delete, self._sweep = map(self._name, (_GET, _DELETE, _SWEEP))
        self._add, self._replace = self._name(_ADD + _ANSWER), self._name(_REPLACE + _ANSWER)
        self._writes = 0

    async def create_table(self) -> None:
        """Makes the table and its index if they are missing. Any number of processes may do this at once."""
        await self._ask(self._name(_CREATE))

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        record = await self._ask(self._get, key)
        return None if record is None else bytes(record)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
        sql, more = (self._add, ()) if expected is None else (self._replace, (expected[:MAC],))
        # Refused, though what was there is what is expected: another was faster, and has written since.
        while (there := await self._ask(sql, key, record, ttl, *more)) == (expected or b""):
            continue
        self._writes += 1
        if self._writes % SWEEP_EACH == 0:
            with suppress(Exception):  # the write holds, and a later one sweeps
                await self._ask(self._sweep)
        return None if there is None else bytes(there)

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        await self._ask(self._delete, key)

    def _name(self, query: str) -> str:
        return re.sub(r"\bsessions\b", self._table, query.replace("sessions_ends", self._index))

    async def _ask(self, query: str, *values: Any) -> Any:
        """What ``query`` finds. It is asked again where transactions are stricter here than PostgreSQL's default."""
        while True:
            try:
                return await self._ask_once(self._pool, query, *values)
            except Exception as error:
                if getattr(error, "sqlstate", None) != "40001":  # serialization_failure: nothing has happened
                    raise


async def _ask_asyncpg(pool: Any, query: str, *values: Any) -> Any:
    return await (pool.fetchval(query, *values) if values else pool.execute(query))


async def _ask_psycopg(pool: Any, query: str, *values: Any) -> Any:
    async with pool.connection() as connection:
        # Not the cursor or the rows that the app may have chosen for this pool.
        cursor = import_module("psycopg").AsyncRawCursor(connection, row_factory=lambda _: lambda row: row[0])
        await cursor.execute(query, values or None, binary=bool(values))
        return await cursor.fetchone() if values and cursor.description else None


def _find_way(pool: Any) -> Any:
    if not isinstance(pool, type):
        if callable(getattr(pool, "fetchval", None)) and callable(getattr(pool, "acquire", None)):
            return _ask_asyncpg
        if callable(getattr(pool, "connection", None)) and inspect.iscoroutinefunction(getattr(pool, "getconn", None)):
            return _ask_psycopg
    raise TypeError(
        f"PostgresStore takes an asyncpg.Pool or a psycopg_pool.AsyncConnectionPool, not {describe(pool)};"
        " write PostgresStore(await asyncpg.create_pool(url))."
    )


def split_name(table: str) -> tuple[str | None, str]:
    """The schema and the name in ``table``. Raises ``ValueError`` unless each can be put into SQL."""
    match = re.fullmatch(rf"(?:({_NAME})\.)?({_NAME})", table)
    if match is None:
        raise ValueError(
            f"table={table!r} must be a name or schema.name, each of at most 58 characters: a-z, 0-9 and _, the first"
            " not a digit."
        )
    return match[1], match[2]
