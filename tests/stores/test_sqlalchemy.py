"""Sessions in real databases by SQLAlchemy: PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ..backends import Database, find_mariadb, find_postgresql, mariadb_server, postgresql_server
from ..daemons import DEADLINE
from . import NEW, OLD, OTHER, check_all, make_key, make_record

pytest.importorskip("sqlalchemy", minversion="2", reason="SQLAlchemy 2 is not installed")

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from asgi_signed_session.stores import SQLAlchemyStore

Ask = Callable[..., list[Any]]
Run = Callable[[Callable[[AsyncEngine], Awaitable[None]]], None]

NUMBERS = count()
SERVERS = {"postgresql": ("asyncpg", "psycopg"), "mariadb": ("asyncmy",), "sqlite": ("aiosqlite",)}
DRIVERS = [driver for drivers in SERVERS.values() for driver in drivers]


@pytest.fixture(scope="module")
def postgresql() -> Generator[Database]:
    skip_without(find_postgresql(), "PostgreSQL")
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Generator[Database]:
    skip_without(find_mariadb(), "MariaDB")
    with mariadb_server() as server:
        yield server


def skip_without(program: object, name: str) -> None:
    if program is None:
        pytest.skip(f"{name} is not installed")


def make_url(server: Database, driver: str) -> str:
    return server.url.replace("://", f"+{driver}://")


@pytest.fixture(params=DRIVERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    driver: str = request.param
    skip_without(find_spec(driver), driver)
    if driver == "aiosqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/sessions.db?timeout=60"  # so many at once wait long for its one lock
    server = request.getfixturevalue("mariadb" if driver == "asyncmy" else "postgresql")
    return make_url(server, driver)


@pytest.fixture
def run(url: str) -> Run:
    """Runs a coroutine function with an engine of its own."""
    return partial(run_with, url)


def run_with(url: str, main: Callable[[AsyncEngine], Awaitable[None]], **options: Any) -> None:
    async def open_and_run() -> None:
        engine = create_async_engine(url, **options)
        try:
            await main(engine)
        finally:
            await engine.dispose()

    with warnings.catch_warnings():
        # What was cancelled leaves its connection to SQLAlchemy, and that leaves aiosqlite's to the garbage collector.
        warnings.filterwarnings("ignore", "unclosed database", ResourceWarning)
        asyncio.run(open_and_run())
        gc.collect()


@pytest.fixture
def table() -> str:
    return f"sessions_{next(NUMBERS)}"


async def ask(engine: AsyncEngine, query: str, **values: Any) -> list[Any]:
    async with engine.begin() as connection:
        result = await connection.execute(text(query), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def make_store(engine: AsyncEngine, table: str) -> SQLAlchemyStore:
    store = SQLAlchemyStore(engine, table)
    await store.create_table()
    return store


# The promises of every store


def test_it_keeps_every_promise_of_a_store(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        await check_all(await make_store(engine, table))

    run(main)


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_it_keeps_them_whatever_the_apps_transactions_are_like(url: str, table: str, level: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        await check_all(await make_store(engine, table))

    run_with(url, main, isolation_level=level)


def test_fifty_that_merge_at_once_lose_nothing(run: Run, table: str) -> None:
    key = make_key()

    async def add(store: SQLAlchemyStore, number: int) -> None:
        expected = await store.get(key)
        while True:
            record = make_record((expected or b"")[32:] + bytes([number]))
            there = await store.swap(key, expected, record, ttl=60)
            if there is None:
                return
            expected = there

    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        await asyncio.gather(*(add(store, number) for number in range(50)))
        record = await store.get(key)
        assert record is not None
        assert sorted(record[32:]) == list(range(50))

    run(main)


def test_a_mariadb_that_is_called_so_holds_large_records_too(mariadb: Database, table: str) -> None:
    skip_without(find_spec("asyncmy"), "asyncmy")
    key, record = make_key(), make_record(bytes(1_000_000))

    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        assert await store.swap(key, None, record, ttl=None) is None
        assert await store.get(key) == record

    run_with(make_url(mariadb, "asyncmy").replace("mysql", "mariadb"), main)


# A swap that waits for another's transaction


WAITING = {
    "postgresql": "SELECT 1 FROM pg_locks WHERE NOT granted",
    "mysql": (  # not innodb_trx, which stays as it is while somebody looks
        "SELECT 1 FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND variable_value > 0"
    ),
}


async def wait_until_one_waits(engine: AsyncEngine) -> None:
    end = time.monotonic() + DEADLINE
    while not await ask(engine, WAITING[engine.dialect.name]):
        assert time.monotonic() < end, "nobody waits for a lock"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "query", "answer"),
    [
        (OLD, "UPDATE {0} SET record = :other, mac = :mac WHERE {1} = :key", OTHER),
        (OLD, "DELETE FROM {0} WHERE {1} = :key", b""),
        (OLD, "UPDATE {0} SET ends = NULL WHERE {1} = :key", None),
        (None, "INSERT INTO {0} VALUES (:key, :mac, :other, NULL)", OTHER),
    ],
    ids=["change", "delete", "prolong", "add"],
)
def test_a_swap_that_waited_for_another_answers_what_that_has_left(
    run: Run, url: str, table: str, before: bytes | None, query: str, answer: Any
) -> None:
    if url.startswith("sqlite"):
        return  # it has one lock, for which the driver waits
    key = make_key()

    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        if before is not None:
            assert await store.swap(key, None, before, ttl=60) is None
        own_name = engine.dialect.identifier_preparer.quote("key")
        values = {"key": key, "other": OTHER, "mac": OTHER[:32].hex()}
        async with engine.connect() as other:
            await other.execute(text(query.format(table, own_name)), _used(query, values))
            swap = asyncio.ensure_future(store.swap(key, before, NEW, ttl=60))
            await wait_until_one_waits(engine)
            await other.commit()
            assert await swap == answer

    run(main)


def _used(query: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f":{name}" in query}


# Records whose time is over


async def write_ten_times(store: SQLAlchemyStore) -> None:
    key, expected = make_key(), None
    for number in range(10):
        record = make_record(bytes([number]))
        assert await store.swap(key, expected, record, ttl=None) is None
        expected = record


async def add_outdated(engine: AsyncEngine, store: SQLAlchemyStore, number: int) -> None:
    rows = [{"key": str(n), "mac": "", "record": b"record", "ends": time.time() - 1} for n in range(number)]
    async with engine.begin() as connection:
        await connection.execute(store.table.insert(), rows)


def test_a_record_has_its_time_from_the_clock_of_this_machine(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        before = time.time()
        assert await store.swap(make_key(), None, OLD, ttl=60) is None
        after = time.time()
        ((end,),) = await ask(engine, f"SELECT ends FROM {table}")  # noqa: S608
        assert before + 60 <= end <= after + 60

    run(main)


def test_every_tenth_write_removes_twenty_records_whose_time_is_over(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        await add_outdated(engine, store, 25)
        left = []
        for _ in range(3):
            await write_ten_times(store)
            left += await ask(engine, f"SELECT count(*) FROM {table} WHERE ends IS NOT NULL")  # noqa: S608
        assert left == [(5,), (0,), (0,)]
        assert await ask(engine, f"SELECT count(*) FROM {table}") == [(3,)]  # noqa: S608 - those that have no end

    run(main)


def test_a_record_that_is_written_anew_while_they_are_removed_stays(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        await add_outdated(engine, store, 2)
        run_statement: Any = store._run

        async def write_before_removing(statement: Any, **values: Any) -> Any:
            if "keys" in values:
                assert await SQLAlchemyStore(engine, table).swap("1", None, NEW, ttl=60) is None
            return await run_statement(statement, **values)

        store._run = write_before_removing  # type: ignore[method-assign]
        await write_ten_times(store)
        assert await store.get("1") == NEW
        assert await ask(engine, f"SELECT count(*) FROM {table}") == [(2,)]  # noqa: S608

    run(main)


def test_a_write_holds_where_removing_them_fails(tmp_path: Path, table: str) -> None:
    skip_without(find_spec("aiosqlite"), "aiosqlite")

    async def main(engine: AsyncEngine) -> None:
        store = await make_store(engine, table)
        await add_outdated(engine, store, 1)
        await ask(
            engine,
            f"CREATE TRIGGER refuse BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'nothing is deleted here'); END",
        )
        await write_ten_times(store)
        assert await ask(engine, f"SELECT count(*) FROM {table}") == [(2,)]  # noqa: S608
        with pytest.raises(DBAPIError, match="nothing is deleted here"):
            await store.delete("0")

    run_with(f"sqlite+aiosqlite:///{tmp_path}/sessions.db", main)


# The table


SQL = {
    "postgresql+psycopg://": """\
CREATE TABLE sessions (
    key VARCHAR(64) NOT NULL,
    mac VARCHAR(64) NOT NULL,
    record BYTEA NOT NULL,
    ends DOUBLE PRECISION,
    PRIMARY KEY (key)
)""",
    "mysql+asyncmy://": """\
CREATE TABLE sessions (
    `key` VARCHAR(64) NOT NULL,
    mac VARCHAR(64) NOT NULL,
    record MEDIUMBLOB NOT NULL,
    ends DOUBLE,
    PRIMARY KEY (`key`)
)""",
    "sqlite+aiosqlite://": """\
CREATE TABLE sessions (
    "key" VARCHAR(64) NOT NULL,
    mac VARCHAR(64) NOT NULL,
    record BLOB NOT NULL,
    ends DOUBLE,
    PRIMARY KEY ("key")
)""",
}


@pytest.mark.parametrize("url", SQL)
def test_the_table_is_in_the_databases_own_words(url: str) -> None:
    skip_without(find_spec(url.partition("+")[2].removesuffix("://")), url)
    engine = create_async_engine(url)
    table = SQLAlchemyStore(engine).table
    (index,) = table.indexes

    assert str(CreateTable(table).compile(dialect=engine.dialect)).split() == SQL[url].split()
    assert str(CreateIndex(index).compile(dialect=engine.dialect)) == "CREATE INDEX sessions_ends ON sessions (ends)"


def test_a_migration_may_make_the_table_by_its_metadata(tmp_path: Path, table: str) -> None:
    skip_without(find_spec("aiosqlite"), "aiosqlite")
    path = f"{tmp_path}/sessions.db"

    async def main(engine: AsyncEngine) -> None:
        store = SQLAlchemyStore(engine, table)
        migration = create_engine(f"sqlite:///{path}")
        store.table.metadata.create_all(migration)
        migration.dispose()
        await write_ten_times(store)

    run_with(f"sqlite+aiosqlite:///{path}", main)


def test_many_processes_may_make_it_at_once_and_again(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        await asyncio.gather(*(SQLAlchemyStore(engine, table).create_table() for _ in range(10)))
        await SQLAlchemyStore(engine, table).create_table()
        assert await SQLAlchemyStore(engine, table).get(make_key()) is None

    run(main)


def test_nothing_is_made_until_it_is_asked_for(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        with pytest.raises(DBAPIError, match=table):
            await SQLAlchemyStore(engine, table).get(make_key())

    run(main)


def test_it_may_be_in_a_schema_and_have_the_names_of_sqls_own_words(run: Run, url: str, tmp_path: Path) -> None:
    async def main(engine: AsyncEngine) -> None:
        quote = engine.dialect.identifier_preparer.quote
        schema = f"order_{next(NUMBERS)}"
        if url.startswith("sqlite"):
            schema = "main"
        else:
            await ask(engine, f"CREATE SCHEMA {schema}")
        await write_ten_times(await make_store(engine, f"{schema}.user"))
        query = f"SELECT count(*) FROM {quote(schema)}.{quote('user')}"  # noqa: S608
        assert await ask(engine, query) == [(1,)]

    run(main)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a;b", "a.b.c", "1a", "Sessions", "a" * 59])
def test_a_table_that_is_no_plain_name_is_refused(tmp_path: Path, name: str) -> None:
    skip_without(find_spec("aiosqlite"), "aiosqlite")
    engine = create_async_engine("sqlite+aiosqlite://")

    with pytest.raises(
        ValueError, match=r"^table=.* must be a name or schema\.name, each of at most 58 characters: a-z"
    ):
        SQLAlchemyStore(engine, name)


def test_a_row_that_the_table_does_not_take_is_an_error(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        store = SQLAlchemyStore(engine, table)
        await ask(
            engine,
            str(CreateTable(store.table).compile(dialect=engine.dialect)).replace(
                "ends DOUBLE", "site INTEGER NOT NULL CHECK (site > 0), ends DOUBLE"
            ),
        )
        with pytest.raises(DBAPIError, match="site"):
            await asyncio.wait_for(store.swap(make_key(), None, NEW, ttl=60), DEADLINE)

    run(main)


# The engine


def test_the_engine_stays_the_apps(run: Run, table: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        pool = engine.pool
        store = await make_store(engine, table)
        await write_ten_times(store)
        assert [name for name in dir(store) if "close" in name or "dispose" in name] == []
        del store
        assert engine.pool is pool  # dispose() makes another
        assert pool.checkedout() == 0  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    run(main)


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("postgresql+asyncpg://tester:secret@127.0.0.1/postgres", "a str"),
        (None, "a NoneType"),
        (create_engine("sqlite://"), "a Engine"),
        (AsyncEngine, "the class AsyncEngine"),
    ],
    ids=["URL", "None", "not asynchronous", "class"],
)
def test_what_is_no_asynchronous_engine_is_refused(engine: Any, kind: str) -> None:
    with pytest.raises(TypeError) as caught:
        SQLAlchemyStore(engine)

    assert str(caught.value) == (
        f"SQLAlchemyStore takes an AsyncEngine, not {kind};"
        " write SQLAlchemyStore(create_async_engine('mysql+asyncmy://...'))."
    )


# A server that goes away


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "asyncmy"])
def test_an_error_of_the_server_reaches_the_caller_and_the_next_call_works_once_it_is_back(driver: str) -> None:
    skip_without(find_spec(driver), driver)
    if driver == "asyncmy":
        skip_without(find_mariadb(), "MariaDB")
    else:
        skip_without(find_postgresql(), "PostgreSQL")
    key = make_key()

    async def main(server: Database, engine: AsyncEngine) -> None:
        store = await make_store(engine, "sessions")
        assert await store.swap(key, None, OLD, ttl=60) is None
        server.stop()
        with pytest.raises((OSError, DBAPIError)):
            await store.swap(key, OLD, OTHER, ttl=60)
        server.start()
        assert await store.get(key) == OLD
        assert await store.swap(key, OLD, NEW, ttl=60) is None

    with (mariadb_server if driver == "asyncmy" else postgresql_server)() as server:
        run_with(make_url(server, driver), partial(main, server))
