"""What SQLiteStore does beyond the protocol: a private file, which many processes share, and locks of others."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Timer, get_ident
from time import monotonic
from typing import Any

import pytest
import time_machine

from asgi_signed_session.stores import SQLiteStore, sqlite

from ..daemons import start_together
from . import NEW, OLD, OTHER, make_key, make_record

KEY = make_key()
DEADLINE = 20  # seconds

Make = Callable[..., SQLiteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def make(path: Path) -> Generator[Make]:
    stores: list[SQLiteStore] = []

    def make_store(at: Any = path, **options: Any) -> SQLiteStore:
        stores.append(SQLiteStore(at, **options))
        return stores[-1]

    yield make_store
    for store in stores:
        store.close()


@pytest.fixture
def store(make: Make) -> SQLiteStore:
    return make()


def keep(store: SQLiteStore, key: str = KEY, *, ttl: int | None = None) -> None:
    assert asyncio.run(store.swap(key, None, OLD, ttl=ttl)) is None


@contextmanager
def connected(path: Path) -> Generator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def writing(path: Path) -> Generator[sqlite3.Connection]:
    """Another, who holds the lock until it commits."""
    with connected(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    start = "import asyncio, os, sys, warnings\nfrom asgi_signed_session.stores import SQLiteStore\n"
    command = [sys.executable, "-W", "error", "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# The file


def test_only_its_user_may_read_the_file_and_those_beside_it(make: Make, path: Path) -> None:
    before = os.umask(0)
    try:
        keep(make())
    finally:
        os.umask(before)

    assert {file.name: stat.filemode(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "sessions.db": "-rw-------",
        "sessions.db-shm": "-rw-------",
        "sessions.db-wal": "-rw-------",
    }


@pytest.mark.parametrize("name", [":memory:", "", "file::memory:", "file:sessions.db?mode=memory"])
def test_memory_is_refused_and_the_error_names_what_is_for_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"isn.t a file; write MemoryStore\(\) to keep sessions in memory\.$"):
        SQLiteStore(name)


def test_a_missing_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SQLiteStore(tmp_path / "missing" / "sessions.db")


def test_a_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        SQLiteStore(tmp_path)


def test_a_file_of_something_else_is_an_error_at_once_and_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        SQLiteStore(path)

    assert path.read_bytes() == b"not a database" * 100


def test_what_is_no_path_is_an_error_at_once() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError):
        SQLiteStore(wrong)


def test_a_relative_path_stays_where_it_was(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    store = make("here.db")

    monkeypatch.chdir(tmp_path / "other")
    keep(store)

    assert store.get_now(KEY) == OLD
    assert list((tmp_path / "other").iterdir()) == []
    assert make(tmp_path / "here.db").get_now(KEY) == OLD


def test_sessions_survive_a_restart(make: Make) -> None:
    first = make()
    keep(first)
    first.close()

    assert make().get_now(KEY) == OLD


def test_sessions_survive_a_killed_process(make: Make, path: Path) -> None:
    code = "asyncio.run(SQLiteStore(sys.argv[1]).swap(sys.argv[2], None, b'x' * 32, ttl=60)); os._exit(9)"
    with run_python(code, path, KEY) as process:
        assert process.wait(DEADLINE) == 9

    assert make().get_now(KEY) == b"x" * 32


def test_a_closed_store_may_be_used_again(store: SQLiteStore, path: Path) -> None:
    keep(store)
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["sessions.db"]

    assert store.get_now(KEY) == OLD
    store.close()
    store.close()


def close_while(act: Callable[[], object], store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread has its turn as the store asks which process it is in."""
    process = os.getpid()

    def getpid() -> int:
        monkeypatch.setattr(os, "getpid", lambda: process)
        act()
        return process

    monkeypatch.setattr(os, "getpid", getpid)
    store.close()


def test_two_threads_may_close_a_store_at_the_same_time(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store)

    close_while(store.close, store, monkeypatch)

    assert [file.name for file in path.parent.iterdir()] == ["sessions.db"]


def test_a_store_may_be_opened_by_one_thread_while_another_closes_it(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store)
    found: list[bytes] = []

    close_while(lambda: found.append(store._ask(sqlite._select(KEY), 1.0)), store, monkeypatch)

    assert found == [OLD]
    assert store.get_now(KEY) == OLD


def test_a_store_serves_one_loop_after_another(store: SQLiteStore, run: Any) -> None:
    async def main() -> None:
        there = await store.get(KEY)
        assert await store.swap(KEY, there, make_record((there or b"")[32:] + b"x"), ttl=60) is None

    run(main)
    run(main)

    assert store.get_now(KEY) == make_record(b"xx")


# Records whose time is over


def count_rows(path: Path) -> int:
    with connected(path) as connection:
        count: int = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
        return count


def test_records_whose_time_is_over_are_removed_as_others_are_written(
    store: SQLiteStore, path: Path, clock: time_machine.Traveller
) -> None:
    forever = make_key()
    keep(store, forever)
    for _ in range(50):
        keep(store, make_key(), ttl=60)
    assert count_rows(path) == 51

    clock.shift(60)
    for _ in range(40):
        keep(store, make_key(), ttl=60)

    assert count_rows(path) == 41
    assert store.get_now(forever) == OLD


def test_a_record_is_there_until_its_last_moment(store: SQLiteStore, clock: time_machine.Traveller) -> None:
    keep(store, ttl=10)

    clock.shift(9.5)
    assert store.get_now(KEY) == OLD

    clock.shift(0.5)
    assert store.get_now(KEY) is None


def test_a_lock_of_another_puts_off_the_removal_and_raises_nothing(
    store: SQLiteStore, path: Path, clock: time_machine.Traveller
) -> None:
    keep(store, ttl=10)
    clock.shift(10)

    with writing(path):
        store._sweep(time.time())
        assert count_rows(path) == 1

    store._sweep(time.time())
    assert count_rows(path) == 0


# The log of what was written


def read_without_the_log(path: Path, key: str) -> bytes | None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    with connected(copy) as connection:
        found: tuple[bytes] | None = connection.execute("SELECT record FROM sessions WHERE key = ?", (key,)).fetchone()
        return found and found[0]


def note_threads_of_checkpoints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    threads: list[int] = []
    checkpoint = SQLiteStore._checkpoint

    def noting(store: SQLiteStore) -> None:
        threads.append(get_ident())
        checkpoint(store)

    monkeypatch.setattr(SQLiteStore, "_checkpoint", noting)
    return threads


def test_each_hundred_writes_the_log_is_moved_to_the_file_off_the_event_loop(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = note_threads_of_checkpoints(monkeypatch)
    keep(store)
    for _ in range(98):
        keep(store, make_key())
    assert (threads, read_without_the_log(path, KEY)) == ([], None)

    keep(store, make_key())

    assert read_without_the_log(path, KEY) == OLD
    assert len(threads) == 1
    assert threads != [get_ident()]


def test_under_trio_the_log_is_moved_to_the_file_too(
    store: SQLiteStore, path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        await store.swap(KEY, None, OLD, ttl=None)

    monkeypatch.setattr(sqlite, "_CHECKPOINT_EACH", 1)
    run(main)

    assert read_without_the_log(path, KEY) == OLD


def test_a_log_that_can_not_be_moved_raises_nothing(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT", "no SQL")
    monkeypatch.setattr(sqlite, "_CHECKPOINT_EACH", 1)

    keep(store)
    store._checkpoint()

    assert store.get_now(KEY) == OLD


def test_a_store_that_was_closed_meanwhile_stays_closed(store: SQLiteStore) -> None:
    keep(store)
    store.close()

    store._checkpoint()

    assert not store._databases


# Several processes and threads

COUNT = """
import time
from hashlib import sha256

async def count(path, key, times):
    store = SQLiteStore(path)
    for _ in range(times):
        there = await store.get(key)
        while True:
            body = str(int((there or b"")[32:] or b"0") + 1).encode()
            answer = await store.swap(key, there, sha256(body).digest() + body, ttl=60)
            if answer is None:
                break
            there = answer
    store.close()

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(count(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def test_nothing_is_lost_when_several_processes_begin_a_file_and_swap_one_record(make: Make, path: Path) -> None:
    processes = [run_python(COUNT, path, KEY, 100) for _ in range(4)]
    start_together(processes)

    said = [process.communicate(timeout=60)[1] for process in processes]

    assert said == [""] * 4
    assert make().get_now(KEY) == make_record(b"400")


FORK = """
store = SQLiteStore(sys.argv[1])

async def add(letter):
    there = await store.get("key")
    body = (there or b"")[32:] + letter
    while True:
        answer = await store.swap("key", there, os.urandom(32) + body, ttl=60)
        if answer is None:
            break
        there, body = answer, answer[32:] + letter

asyncio.run(add(b"p"))
child = os.fork()
if not child:
    warnings.simplefilter("ignore", ResourceWarning)  # what the parent has opened is left as it is
for _ in range(100):
    asyncio.run(add(b"p" if child else b"c"))
if child:
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(add(b"p"))
    body = store.get_now("key")[32:]
    assert sorted(body) == sorted(b"c" * 100 + b"p" * 102), body
    store.close()
    assert store.get_now("key")[32:] == body
store.close()
"""


def test_parent_and_child_may_both_go_on_after_a_fork(make: Make, path: Path) -> None:
    with run_python(FORK, path) as process:
        said = process.communicate(timeout=60)[1]

    assert (process.returncode, said) == (0, "")
    with connected(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_several_threads_may_read_and_write_at_once(store: SQLiteStore) -> None:
    keys = [make_key() for _ in range(4)]
    start = Barrier(8)

    async def write(key: str) -> None:
        start.wait()
        there = None
        for number in range(100):
            record = make_record(b"%d" % number)
            assert await store.swap(key, there, record, ttl=60) is None
            assert store.get_now(key) == await store.get(key) == record
            there = record

    def read(key: str) -> None:
        start.wait()
        last = -1
        for _ in range(300):
            record = store.get_now(key)
            number = int((record or b"")[32:] or b"-1")
            assert record in (None, make_record(b"%d" % number))
            assert number >= last
            last = number

    with ThreadPoolExecutor(8) as threads:
        for future in [
            *(threads.submit(asyncio.run, write(key)) for key in keys),
            *(threads.submit(read, key) for key in keys),
        ]:
            future.result()


# A lock that another holds


ASYNCIO = pytest.mark.parametrize("run", ["asyncio", "uvloop"], indirect=True)  # trio's loop waits, too


@ASYNCIO
def test_the_loop_goes_on_while_a_swap_waits_for_a_lock(store: SQLiteStore, path: Path, run: Any) -> None:
    async def main() -> None:
        with writing(path) as other:
            swap = asyncio.ensure_future(store.swap(KEY, None, OLD, ttl=60))
            for _ in range(50):
                await asyncio.sleep(0)
            assert not swap.done()
            assert await store.get(KEY) is None  # who reads doesn't wait
            other.execute("COMMIT")
            assert await asyncio.wait_for(swap, DEADLINE) is None
        assert await store.get(KEY) == OLD

    run(main)


def test_a_swap_waits_for_a_lock_under_asyncio_trio_and_uvloop(store: SQLiteStore, path: Path, run: Any) -> None:
    async def main() -> None:
        with writing(path) as other:
            Timer(0.1, lambda: other.execute("COMMIT")).start()
            assert await store.swap(KEY, None, OLD, ttl=60) is None

    run(main)


def test_a_lock_that_is_held_too_long_is_the_driver_s_error_and_the_next_call_works(
    make: Make, path: Path, run: Any
) -> None:
    store = make(timeout=0.2)
    keep(store)

    async def main() -> None:
        with writing(path):
            start = monotonic()
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                await store.swap(KEY, OLD, NEW, ttl=60)
            assert 0.15 < monotonic() - start < DEADLINE
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                await store.delete(KEY)
        assert await store.get(KEY) == OLD
        assert await store.swap(KEY, OLD, NEW, ttl=60) is None

    run(main)


@ASYNCIO
def test_a_swap_that_is_cancelled_while_it_waits_happens_wholly_or_not_at_all(
    store: SQLiteStore, path: Path, run: Any
) -> None:
    keep(store)

    async def main() -> None:
        with writing(path) as other:
            swap = asyncio.ensure_future(store.swap(KEY, OLD, NEW, ttl=60))
            for _ in range(50):
                await asyncio.sleep(0)
            swap.cancel()
            with pytest.raises(asyncio.CancelledError):
                await swap
            other.execute("COMMIT")
        there = await store.get(KEY)
        assert there in (OLD, NEW)
        answer = await store.swap(KEY, there, OTHER, ttl=60)
        if answer == NEW:
            answer = await store.swap(KEY, NEW, OTHER, ttl=60)
        assert answer is None

    run(main)

    assert store.get_now(KEY) == OTHER


@contextmanager
def keeping_all_others_out(path: Path) -> Generator[sqlite3.Connection]:
    """Who reads has to wait as well, as for one that repairs the file."""
    with connected(path) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM sessions WHERE key = 'nobody'")
        yield connection


def test_get_now_waits_where_even_reading_is_locked(make: Make, path: Path) -> None:
    keep(store := make())
    store.close()
    with keeping_all_others_out(path) as other:
        Timer(0.1, other.close).start()
        assert store.get_now(KEY) == OLD


def test_get_now_raises_where_reading_is_locked_for_too_long(make: Make, path: Path) -> None:
    keep(store := make(timeout=0.1))
    store.close()
    with keeping_all_others_out(path):
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            store.get_now(KEY)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            asyncio.run(store.get(KEY))
    assert store.get_now(KEY) == OLD


def test_a_store_begins_once_another_has_let_go_of_the_file(make: Make, path: Path) -> None:
    with connected(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        Timer(0.1, other.close).start()
        keep(make())


def test_a_store_that_can_not_begin_in_time_raises(path: Path) -> None:
    with connected(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            SQLiteStore(path, timeout=0.1)


def test_a_store_begins_where_sqlite_refuses_it_the_lock_without_a_wait(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it does to one of two who begin a file at the same moment."""
    ask, errors = sqlite._Database.ask, [sqlite3.OperationalError("database is locked")]

    def ask_in_vain(database: Any, query: Any) -> Any:
        if errors:
            raise errors.pop()
        return ask(database, query)

    monkeypatch.setattr(sqlite._Database, "ask", ask_in_vain)

    keep(make())


def test_a_store_that_can_not_begin_for_another_reason_raises_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_in_vain(database: Any, query: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite._Database, "ask", ask_in_vain)

    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        SQLiteStore(path)


def test_a_record_that_another_deletes_between_a_refusal_and_the_look_at_it_is_absent(
    store: SQLiteStore, path: Path
) -> None:
    keep(store)
    (database,) = store._databases.values()
    with connected(path) as other:

        def delete(statement: str) -> None:
            if statement.startswith("SELECT record"):
                database._connection.set_trace_callback(None)
                other.execute("DELETE FROM sessions")

        database._connection.set_trace_callback(delete)
        assert asyncio.run(store.swap(KEY, None, NEW, ttl=60)) is None

    assert store.get_now(KEY) == NEW


def test_another_error_reaches_the_caller_at_once(store: SQLiteStore, path: Path) -> None:
    with connected(path) as connection:
        connection.execute("ALTER TABLE sessions RENAME TO others")

        for call in (store.get(KEY), store.swap(KEY, None, OLD, ttl=60), store.delete(KEY)):
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                asyncio.run(call)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            store.get_now(KEY)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            store._sweep(0.0)

        connection.execute("ALTER TABLE others RENAME TO sessions")

    keep(store)


def test_a_full_disk_reaches_the_caller_and_the_next_call_works(store: SQLiteStore) -> None:
    keep(store)
    connections = [database._connection for database in store._databases.values()]
    for connection in connections:
        connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
        asyncio.run(store.swap(KEY, OLD, make_record(bytes(1_000_000)), ttl=60))
    assert store.get_now(KEY) == OLD

    for connection in connections:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert asyncio.run(store.swap(KEY, OLD, make_record(bytes(1_000_000)), ttl=60)) is None
