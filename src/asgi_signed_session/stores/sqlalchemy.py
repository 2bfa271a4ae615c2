"""Sessions in the database that the app already has, by SQLAlchemy: MySQL, MariaDB, PostgreSQL, SQLite and others."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Column, Double, Executable, Index, LargeBinary, MetaData, String, Table, bindparam, or_
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ..wording import describe
from .postgres import SWEEP_EACH, split_name
from .store import MAC

_TRIES: Final = 20  # of a swap or a statement; where one fails, another's has held
# After which nothing has happened: MySQL's deadlock and MariaDB's changed record, and those of standard SQL.
_CONFLICTS: Final = frozenset((1213, 1020, "40001", "40P01"))
_SWEPT: Final = 20  # rows at once


class SQLAlchemyStore:
    """Keeps sessions in ``table`` (or ``schema.table``), which ``create_table()`` or a migration has made.

    ``engine`` is an ``AsyncEngine``. The app disposes of it. It must read from the primary, because a replica doesn't
    see what was just written. ``store.table`` is the ``Table``, and ``store.table.metadata`` is what Alembic needs. The
    time is that of the machine that the app runs on. If there are several machines, their clocks must agree.

    Each call is one statement in a transaction of its own, and a second one if the first is refused. For PostgreSQL,
    pass ``engine.execution_options(isolation_level="AUTOCOMMIT")``, which saves two of three round trips. Raises
    ``TypeError`` if ``engine`` is no such engine, and ``ValueError`` if ``table`` isn't a plain name.
    """

    def __init__(self, engine: AsyncEngine, table: str = "sessions") -> None:
        if not isinstance(engine, AsyncEngine):
            raise TypeError(
                f"SQLAlchemyStore takes an AsyncEngine, not {describe(engine)};"
                " write SQLAlchemyStore(create_async_engine('mysql+asyncmy://...'))."
            )
        schema, name = split_name(table)
        key = Column("key", String(64), primary_key=True)
        mac = Column("mac", String(2 * MAC), nullable=False)  # in hex, as not every database compares blobs
        record = Column("record", LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"), nullable=False)
        ends = Column("ends", Double)  # Unix seconds
        self.table: Table = Table(name, MetaData(), key, mac, record, ends, Index(f"{name}_ends", ends), schema=schema)
        self._engine = engine
        self._writes = 0

        its_row = key == bindparam("its_key")
        is_live, is_over = or_(ends.is_(None), ends > bindparam("now")), ends <= bindparam("now")
        self._get = self.table.select().with_only_columns(record).where(its_row, is_live)
        self._add = self.table.insert()
        self._renew = self.table.update().where(its_row, is_over)
        self._replace = self.table.update().where(its_row, mac == bindparam("its_mac"), is_live)
        self._delete = self.table.delete().where(its_row)
        self._find_over = self.table.select().with_only_columns(key).where(is_over).limit(_SWEPT)
        self._sweep = self.table.delete().where(key.in_(bindparam("keys", expanding=True)), is_over)

    async def create_table(self) -> None:
        """Makes the table and its index if they are missing. Any number of processes may do this at once."""
        try:
            await self._create()
        except DBAPIError:  # where another was faster, it is there now
            await self._create()

    async def get(self, key: str) -> bytes | None:
        """The record under ``key``."""
        rows = await self._run(self._get, its_key=key, now=time.time())
        return bytes(rows[0][0]) if rows else None

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        """Replaces ``expected`` with ``record``, or returns what is there instead."""
        now = time.time()
        row = {"mac": record[:MAC].hex(), "record": record, "ends": None if ttl is None else now + ttl}
        there = await self._swap(key, expected, row, now)
        self._writes += 1
        if self._writes % SWEEP_EACH == 0:
            with suppress(Exception):  # the write holds, and a later one sweeps
                rows = await self._run(self._find_over, now=now)
                if rows:
                    await self._run(self._sweep, keys=[row[0] for row in rows], now=now)
        return there

    async def delete(self, key: str) -> None:
        """Deletes the record under ``key``."""
        await self._run(self._delete, its_key=key)

    async def _create(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(self.table.create, checkfirst=True)

    async def _swap(self, key: str, expected: bytes | None, row: dict[str, Any], now: float) -> bytes | None:
        tries = 0
        while True:
            tries += 1
            try:
                if await self._write(key, expected, row, now):
                    return None
            except IntegrityError:  # another has put something there, or the row isn't what the table takes
                if tries == _TRIES:
                    raise
            there = await self.get(key) or b""
            if there != (expected or b"") or tries == _TRIES:
                return there

    async def _write(self, key: str, expected: bytes | None, row: dict[str, Any], now: float) -> bool:
        if expected is not None:
            its_mac = expected[:MAC].hex()
            return bool(await self._run(self._replace, its_key=key, its_mac=its_mac, now=now, **row) > 0)
        try:
            await self._run(self._add, key=key, **row)
        except IntegrityError:
            if await self._run(self._renew, its_key=key, now=now, **row) <= 0:
                raise
        return True

    async def _run(self, statement: Executable, **values: Any) -> Any:
        """The rows that ``statement`` finds, or how many it has changed.

        Each has a transaction of its own: one goes on seeing what there was when it began.
        """
        tries = 0
        while True:
            tries += 1
            try:
                async with self._engine.connect() as connection:
                    result = await connection.execute(statement, values)
                    if result.returns_rows:
                        return result.all()
                    await connection.commit()
                    return result.rowcount
            except DBAPIError as error:
                if tries == _TRIES or not _is_conflict(error):
                    raise


def _is_conflict(error: DBAPIError) -> bool:
    codes = {getattr(error.orig, "sqlstate", None), *getattr(error.orig, "args", ())[:1]}
    return not codes.isdisjoint(_CONFLICTS)
