"""Sessions in a real PostgreSQL, by asyncpg's pool and psycopg's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from asgi_signed_session.stores import PostgresStore
from asgi_signed_session.stores.postgres import CREATE_TABLE

from ..backends import Database, find_postgresql, postgresql_server
from ..conftest import KEY
from ..daemons import DEADLINE
from ..pages import run_in_page
from . import NEW, OLD, OTHER, check_all, make_key, make_record

asyncpg: Any = pytest.importorskip("asyncpg", reason="asyncpg is not installed")
psycopg: Any = pytest.importorskip("psycopg", reason="psycopg is not installed")
psycopg_pool: Any = pytest.importorskip("psycopg_pool", reason="psycopg_pool is not installed")

Open = Callable[..., AbstractAsyncContextManager[Any]]
Ask = Callable[..., list[Any]]
Run = Callable[[Callable[[Any], Awaitable[None]]], None]

NUMBERS = count()
SERIALIZABLE = {"default_transaction_isolation": "serializable"}


def open_asyncpg(url: str, max_size: int = 10, **options: Any) -> Any:
    return asyncpg.create_pool(url, min_size=1, max_size=max_size, **options)


def open_psycopg(url: str, max_size: int = 10, **options: Any) -> Any:
    return psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=max_size, open=False, kwargs=options)


POOLS: dict[str, Open] = {
    "asyncpg": open_asyncpg,
    "psycopg": open_psycopg,
    "psycopg with autocommit": partial(open_psycopg, autocommit=True),
}
STRICT_POOLS: dict[str, Open] = {
    "asyncpg": partial(open_asyncpg, server_settings=SERIALIZABLE),
    "psycopg": partial(open_psycopg, options="-c default_transaction_isolation=serializable"),
    "psycopg with autocommit": partial(
        open_psycopg, autocommit=True, options="-c default_transaction_isolation=serializable"
    ),
}


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    skip_without_postgresql()
    with postgresql_server() as server:
        yield server.url


@pytest.fixture
def own_server() -> Generator[Database]:
    """A server that a test may harm."""
    skip_without_postgresql()
    with postgresql_server() as server:
        yield server


def skip_without_postgresql() -> None:
    if find_postgresql() is None:
        pytest.skip("PostgreSQL is not installed")


@pytest.fixture(params=POOLS)
def run(request: pytest.FixtureRequest, url: str) -> Run:
    """Runs a coroutine function with a pool of its own."""
    return partial(run_with, POOLS[request.param], url)


def run_with(open_pool: Open, url: str, main: Callable[[Any], Awaitable[None]]) -> None:
    async def open_and_run() -> None:
        async with open_pool(url) as pool:
            await main(pool)

    asyncio.run(open_and_run())


@pytest.fixture
def table() -> str:
    return f"sessions_{next(NUMBERS)}"


@pytest.fixture
def ask(url: str, table: str) -> Generator[Ask]:
    """Asks the same database by another connection. There, ``sessions`` is the test's own table."""
    with psycopg.connect(url, autocommit=True) as connection:

        def ask(query: str, *values: Any) -> list[Any]:
            cursor = connection.execute(query.replace("sessions", table), values)
            return list(cursor.fetchall()) if cursor.description else []

        yield ask


# The promises of every store


def test_it_keeps_every_promise_of_a_store(run: Run, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        await check_all(store)

    run(main)


@pytest.mark.parametrize("name", STRICT_POOLS)
def test_it_keeps_them_where_the_apps_transactions_are_serializable(url: str, table: str, name: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        await check_all(store)

    run_with(STRICT_POOLS[name], url, main)


def test_fifty_that_merge_at_once_lose_nothing(run: Run, table: str) -> None:
    key = make_key()

    async def add(store: PostgresStore, number: int) -> None:
        expected = await store.get(key)
        while True:
            record = make_record((expected or b"")[32:] + bytes([number]))
            there = await store.swap(key, expected, record, ttl=60)
            if there is None:
                return
            expected = there

    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        await asyncio.gather(*(add(store, number) for number in range(50)))
        record = await store.get(key)
        assert record is not None
        assert sorted(record[32:]) == list(range(50))

    run(main)


# A swap that waits for another's transaction


async def wait_until_one_waits(ask: Ask) -> None:
    end = time.monotonic() + DEADLINE
    while not ask("SELECT 1 FROM pg_locks WHERE NOT granted"):
        assert time.monotonic() < end, "nobody waits for a lock"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "expected", "query", "answer"),
    [
        (OLD, OLD, "UPDATE {} SET record = %(other)s WHERE key = %(key)s", OTHER),
        (OLD, OLD, "DELETE FROM {} WHERE key = %(key)s", b""),
        (OLD, OLD, "UPDATE {} SET ends = now() + interval '1 hour' WHERE key = %(key)s", None),
        (None, None, "INSERT INTO {} VALUES (%(key)s, %(other)s, NULL)", OTHER),
    ],
    ids=["change", "delete", "prolong", "add"],
)
def test_a_swap_that_waited_for_another_answers_what_that_has_left(
    run: Run, url: str, ask: Ask, table: str, before: bytes | None, expected: bytes | None, query: str, answer: Any
) -> None:
    key = make_key()

    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        if before is not None:
            assert await store.swap(key, None, before, ttl=60) is None
        with psycopg.connect(url) as other:
            other.execute(query.format(table), {"key": key, "other": OTHER})
            swap = asyncio.ensure_future(store.swap(key, expected, NEW, ttl=60))
            await wait_until_one_waits(ask)
            other.commit()
            assert await swap == answer

    run(main)


# Records whose time is over


def add_outdated(ask: Ask, number: int) -> None:
    ask("INSERT INTO sessions SELECT n, 'record', now() - interval '1 second' FROM generate_series(1, %s) n", number)


async def write_ten_times(store: PostgresStore, ttl: int | None = None) -> None:
    key, expected = make_key(), None
    for number in range(10):
        record = make_record(bytes([number]))
        assert await store.swap(key, expected, record, ttl=ttl) is None
        expected = record


def test_a_record_has_its_time_from_the_databases_clock(run: Run, ask: Ask, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        ((before,),) = ask("SELECT now()")
        assert await store.swap(make_key(), None, OLD, ttl=60) is None
        assert ask("SELECT ends - interval '60 seconds' BETWEEN %s AND now() FROM sessions", before) == [(True,)]

    run(main)


def test_every_tenth_write_removes_twenty_records_whose_time_is_over(run: Run, ask: Ask, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        add_outdated(ask, 25)
        left = []
        for _ in range(2):
            await write_ten_times(store)
            left.append(ask("SELECT count(*) FROM sessions WHERE ends IS NOT NULL")[0][0])
        assert left == [5, 0]
        assert ask("SELECT count(*) FROM sessions") == [(2,)]  # those that have no end

    run(main)


def test_removing_them_waits_for_nobody(run: Run, url: str, ask: Ask, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        add_outdated(ask, 3)
        with psycopg.connect(url) as other:
            other.execute("SELECT FROM ? WHERE key = (SELECT min(key) FROM ?) FOR UPDATE".replace("?", table))
            await asyncio.wait_for(write_ten_times(store), DEADLINE)
        assert ask("SELECT count(*) FROM sessions WHERE ends < now()") == [(1,)]

    run(main)


def test_a_write_holds_where_removing_them_fails(run: Run, ask: Ask, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        add_outdated(ask, 1)
        ask(
            "CREATE FUNCTION refuse_sessions() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'nothing is deleted here'; END$$;"
            " CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse_sessions()"
        )
        await write_ten_times(store)
        assert ask("SELECT count(*) FROM sessions") == [(2,)]
        with pytest.raises(Exception, match="nothing is deleted here"):
            await store.delete("1")

    run(main)


# The table


def describe(ask: Ask, table: str) -> Any:
    columns = ask(
        "SELECT column_name, data_type, is_nullable, collation_name FROM information_schema.columns"
        " WHERE table_name = %s ORDER BY ordinal_position",
        table,
    )
    indexes = ask("SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY 1", table)
    return columns, [definition.replace(table, "sessions") for (definition,) in indexes]


def test_the_sql_for_a_migration_makes_the_same_table(run: Run, ask: Ask, table: str) -> None:
    ask(CREATE_TABLE.replace("sessions", "sessions_migrated"))

    async def main(pool: Any) -> None:
        await PostgresStore(pool, table).create_table()

    run(main)
    assert describe(ask, table) == describe(ask, f"{table}_migrated")
    assert describe(ask, table) == (
        [
            ("key", "text", "NO", "C"),
            ("record", "bytea", "NO", None),
            ("ends", "timestamp with time zone", "YES", None),
        ],
        [
            "CREATE INDEX sessions_ends ON public.sessions USING btree (ends) WHERE (ends IS NOT NULL)",
            "CREATE UNIQUE INDEX sessions_pkey ON public.sessions USING btree (key)",
        ],
    )


def test_many_processes_may_make_it_at_once_and_again(run: Run, table: str) -> None:
    async def main(pool: Any) -> None:
        await asyncio.gather(*(PostgresStore(pool, table).create_table() for _ in range(10)))
        await PostgresStore(pool, table).create_table()
        assert await PostgresStore(pool, table).get(make_key()) is None

    run(main)


def test_nothing_is_made_until_it_is_asked_for(run: Run, table: str) -> None:
    async def main(pool: Any) -> None:
        with pytest.raises((asyncpg.UndefinedTableError, psycopg.errors.UndefinedTable), match=table):
            await PostgresStore(pool, table).get(make_key())

    run(main)


def test_it_may_be_in_a_schema_and_have_the_names_of_sqls_own_words(run: Run, ask: Ask) -> None:
    ask('DROP SCHEMA IF EXISTS "order" CASCADE; CREATE SCHEMA "order"')

    async def main(pool: Any) -> None:
        store = PostgresStore(pool, "order.user")
        await store.create_table()
        await write_ten_times(store)
        await store.delete(make_key())

    run(main)
    assert ask('SELECT count(*) FROM "order"."user"') == [(1,)]
    assert ask("SELECT indexname FROM pg_indexes WHERE schemaname = 'order' ORDER BY 1") == [
        ("user_ends",),
        ("user_pkey",),
    ]


def test_two_tables_know_nothing_of_each_other(run: Run, table: str) -> None:
    key = make_key()

    async def main(pool: Any) -> None:
        one, other = PostgresStore(pool, table), PostgresStore(pool, f"{table}_2")
        await one.create_table()
        await other.create_table()
        assert await one.swap(key, None, OLD, ttl=60) is None
        assert await other.get(key) is None

    run(main)


BAD_NAMES = [
    "", "a b", 'a"b', "a;b", "a'b", "a.b.c", ".a", "a.", "1a", "Sessions", "sessions\n", "séance", "a" * 59, "a-b", "$a"
]  # fmt: skip
POOL = SimpleNamespace(fetchval=print, acquire=print)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_table_that_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"^table=.* must be a name or schema\.name, each of at most 58 characters: a-z"
    ):
        PostgresStore(POOL, name)


@pytest.mark.parametrize("name", ["a", "_", "a1", "a.b", "a" * 58])
def test_a_plain_name_is_taken(name: str) -> None:
    PostgresStore(POOL, name)


# The pool


def test_the_pool_stays_the_apps(run: Run, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        await write_ten_times(store)
        assert [name for name in dir(store) if "close" in name] == []
        del store
        assert await PostgresStore(pool, table).get(make_key()) is None

    run(main)


def test_what_the_app_has_chosen_for_its_rows_and_cursors_does_not_matter(url: str, table: str) -> None:
    async def main(pool: Any) -> None:
        store = PostgresStore(pool, table)
        await store.create_table()
        await check_all(store)

    options = {"row_factory": psycopg.rows.dict_row, "cursor_factory": psycopg.AsyncClientCursor}
    run_with(partial(open_psycopg, **options), url, main)


@pytest.mark.parametrize(
    ("pool", "kind"),
    [
        ("postgresql://tester:secret@127.0.0.1/postgres", "a str"),
        (None, "a NoneType"),
        (psycopg_pool.ConnectionPool("", open=False), "a ConnectionPool"),
        (asyncpg.Pool, "the class Pool"),
        (psycopg_pool.AsyncConnectionPool, "the class AsyncConnectionPool"),
        (SimpleNamespace(fetchval=print), "a SimpleNamespace"),  # as a connection of asyncpg
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith(("a ", "the ")) else "",
)
def test_what_is_no_asynchronous_pool_is_refused(pool: Any, kind: str) -> None:
    with pytest.raises(TypeError) as caught:
        PostgresStore(pool)

    assert str(caught.value) == (
        f"PostgresStore takes an asyncpg.Pool or a psycopg_pool.AsyncConnectionPool, not {kind};"
        " write PostgresStore(await asyncpg.create_pool(url))."
    )


# A server that goes away


@pytest.mark.parametrize("name", POOLS)
def test_an_error_of_the_server_reaches_the_caller_and_the_next_call_works_once_it_is_back(
    own_server: Database, name: str
) -> None:
    key = make_key()

    async def main(pool: Any) -> None:
        store = PostgresStore(pool)
        await store.create_table()
        assert await store.swap(key, None, OLD, ttl=60) is None
        own_server.stop()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.OperationalError)):
            await store.swap(key, OLD, OTHER, ttl=60)
        own_server.start()
        assert await store.get(key) == OLD
        assert await store.swap(key, OLD, NEW, ttl=60) is None

    # Of more connections, each that psycopg's pool doesn't know to be lost would give an error of its own.
    run_with(partial(POOLS[name], max_size=1), own_server.url, main)


def test_the_fastapi_app_of_the_documentation_counts_visits(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SESSION_SECRET", KEY)
    names: dict[str, Any] = {"__name__": "pages"}
    app = run_in_page("recipes/databases.md", "lifespan=lifespan", names)["app"]

    with TestClient(app) as client:
        assert [client.get("/").json() for _ in range(2)] == [1, 2]
