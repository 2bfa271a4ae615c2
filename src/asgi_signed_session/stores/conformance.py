"""Checks that say whether a store keeps the promises of ``Store``. They need no test runner, and nothing installed.

::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        asyncio.run(check(MyStore()))

Each runs under asyncio and trio, takes keys that nobody else has, so the store may be one that others use, and raises
``AssertionError`` where the store does something else. Three wait a second and a bit for a record's time to be over.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from hashlib import sha256
from typing import Any, Final, TypeVar

from .store import Store

Check = Callable[[Store], Coroutine[Any, Any, None]]
Answer = TypeVar("Answer")

MAC: Final = 32  # bytes at the start of a record that differ wherever the record does
AT_ONCE: Final = 50
LARGE: Final = 1 << 20  # bytes
YEAR: Final = 366 * 86400  # seconds
DEADLINE: Final = 5  # seconds for a record of one second to go: some databases count whole ones
TURNS: Final = (*range(32), *(2**power for power in range(5, 12)))  # of the loop, before a call is cancelled


# One call after another


async def nothing_is_under_a_new_key(store: Store) -> None:
    """``get`` answers ``None`` for a key that was never written."""
    _expect("get of a new key", await store.get(_make_key()), None)


async def a_swap_against_nothing_puts_the_record_there(store: Store) -> None:
    """``None`` as ``expected`` is for a new record."""
    key = _make_key()

    _expect("swap against nothing, where nothing is,", await store.swap(key, None, FIRST, ttl=60), None)

    _expect("get after it", await store.get(key), FIRST)


async def a_swap_against_what_is_there_puts_the_record_in_its_place(store: Store) -> None:
    """The record that is there as ``expected`` is for a change."""
    key = await _write(store, FIRST)

    _expect("swap against what is there", await store.swap(key, FIRST, SECOND, ttl=60), None)

    _expect("get after it", await store.get(key), SECOND)


async def a_swap_against_nothing_is_refused_where_a_record_is(store: Store) -> None:
    """The answer is the record that is there, and it stays."""
    key = await _write(store, FIRST)

    _expect("swap against nothing, where a record is,", await store.swap(key, None, SECOND, ttl=60), FIRST)

    _expect("get after it", await store.get(key), FIRST)


async def a_swap_against_a_record_is_refused_where_nothing_is(store: Store) -> None:
    """The answer is ``b""``, and nothing is there afterwards."""
    key = _make_key()

    _expect("swap against a record, where nothing is,", await store.swap(key, FIRST, SECOND, ttl=60), b"")

    _expect("get after it", await store.get(key), None)


async def a_swap_against_an_outdated_record_is_refused(store: Store) -> None:
    """The answer is the record that is there, and it stays."""
    key = await _write(store, FIRST)
    _expect("swap against what is there", await store.swap(key, FIRST, SECOND, ttl=60), None)

    _expect("swap against what was there before", await store.swap(key, FIRST, THIRD, ttl=60), SECOND)

    _expect("get after it", await store.get(key), SECOND)
    _expect("swap against what is there, after a refused one,", await store.swap(key, SECOND, THIRD, ttl=60), None)


async def a_swap_that_is_asked_twice_answers_the_record_itself(store: Store) -> None:
    """So a driver may ask again if the answer was lost."""
    key = await _write(store, FIRST)
    _expect("the same first swap again", await store.swap(key, None, FIRST, ttl=60), FIRST)
    _expect("swap against what is there", await store.swap(key, FIRST, SECOND, ttl=60), None)

    _expect("the same swap again", await store.swap(key, FIRST, SECOND, ttl=60), SECOND)

    _expect("get after it", await store.get(key), SECOND)


async def a_deleted_record_is_gone(store: Store) -> None:
    """A swap against it is refused, and one against nothing is taken."""
    key = await _write(store, FIRST)

    await store.delete(key)

    _expect("get after delete", await store.get(key), None)
    _expect("swap against the deleted record", await store.swap(key, FIRST, SECOND, ttl=60), b"")
    _expect("get after that", await store.get(key), None)
    _expect("swap against nothing, after delete,", await store.swap(key, None, THIRD, ttl=60), None)
    _expect("get after that", await store.get(key), THIRD)


async def deleting_what_is_not_there_does_nothing(store: Store) -> None:
    """``delete`` raises nothing for a key that was never written, or is deleted already."""
    key = _make_key()

    await store.delete(key)

    _expect("get after delete of a new key", await store.get(key), None)
    _expect("swap against nothing after it", await store.swap(key, None, FIRST, ttl=60), None)
    await store.delete(key)
    await store.delete(key)
    _expect("get after two deletes", await store.get(key), None)


async def keys_are_independent(store: Store) -> None:
    """Records under two keys know nothing of each other, however alike the keys are."""
    key = await _write(store, FIRST)
    for other in (_make_key(), key[:-1] + ("1" if key[-1] == "0" else "0"), ("1" if key[0] == "0" else "0") + key[1:]):
        _expect("get of another key", await store.get(other), None)
        _expect("swap of another key, against nothing,", await store.swap(other, None, SECOND, ttl=60), None)
        _expect("get of the one key", await store.get(key), FIRST)

        await store.delete(other)

        _expect("get of the one key after delete of another", await store.get(key), FIRST)
        _expect("swap against what is under the one key only", await store.swap(other, FIRST, THIRD, ttl=60), b"")


async def get_now_answers_as_get_does(store: Store) -> None:
    """A store need not have ``get_now``."""
    get_now: Callable[[str], bytes | None] | None = getattr(store, "get_now", None)
    if get_now is None:
        return
    key = _make_key()
    _expect("get_now of a new key", get_now(key), None)
    for expected, record in ((None, FIRST), (FIRST, SECOND)):
        _expect("swap against what is there", await store.swap(key, expected, record, ttl=60), None)
        _expect("get_now after it", get_now(key), record)
    await store.delete(key)
    _expect("get_now after delete", get_now(key), None)


# Records


async def every_byte_comes_back_as_it_was(store: Store) -> None:
    """From ``get`` as from a refused ``swap``, as ``bytes``; and it is compared as it was."""
    every = bytes(range(256))
    for record in (every, every[::-1], bytes(64), b"\xff" * 64, _make_record(every + b"\r\n"), _make_record(b"")):
        key = await _write(store, record)

        _expect("get", await store.get(key), record)
        _expect("swap against another record", await store.swap(key, FIRST, SECOND, ttl=60), record)
        _expect("swap against what is there", await store.swap(key, record, SECOND, ttl=60), None)


async def a_large_record_comes_back_whole(store: Store) -> None:
    """One of 1 MiB. Leave this out for a database that takes less, and say so to those who use your store."""
    record, changed = (_make_record(byte * LARGE) for byte in (b"\xfe", b"x"))
    key = await _write(store, record)

    _expect("get", await store.get(key), record)
    _expect("swap against another record", await store.swap(key, FIRST, SECOND, ttl=60), record)
    _expect("swap against what is there", await store.swap(key, record, changed, ttl=60), None)
    _expect("get after it", await store.get(key), changed)


async def a_difference_in_any_of_the_first_32_bytes_is_seen(store: Store) -> None:
    """Nothing else in two records needs to differ."""
    key = await _write(store, FIRST)
    for place in range(MAC):
        other = bytearray(FIRST)
        other[place] ^= 1
        expected = bytes(other)

        answer = await store.swap(key, expected, SECOND, ttl=60)

        _expect(f"swap against a record that differs in byte {place} of the one that is there", answer, FIRST)


# Time


async def a_record_is_absent_once_its_time_is_over(store: Store) -> None:
    """The same holds in ``swap``, and for a record that nothing has looked at."""
    get_now: Callable[[str], bytes | None] = getattr(store, "get_now", lambda key: None)
    changed, renewed, looked_at = [await _write(store, FIRST, ttl=1) for _ in range(3)]

    await _wait_for_a_record_of_a_second_to_go(store)

    _expect("swap against a record whose time is over", await store.swap(changed, FIRST, SECOND, ttl=60), b"")
    _expect("get after it", await store.get(changed), None)
    answer = await store.swap(renewed, None, SECOND, ttl=60)
    _expect("swap against nothing, where a record's time is over,", answer, None)
    _expect("get after it", await store.get(renewed), SECOND)
    _expect("get_now of a record whose time is over", get_now(looked_at), None)
    await store.delete(looked_at)
    _expect("get of it", await store.get(looked_at), None)


async def each_swap_gives_a_record_a_time_of_its_own(store: Store) -> None:
    """The new life may be longer or shorter than the old one, or without an end."""
    times = ((1, 60), (1, None), (None, None), (None, 60), (1, YEAR), (60, 1), (None, 1))  # before and after
    keys = []
    for before, ttl in times:
        key = await _write(store, FIRST, ttl=before)
        keys.append(key)
        _expect(f"swap with ttl={ttl}", await store.swap(key, FIRST, SECOND, ttl=ttl), None)

    await _wait_for_a_record_of_a_second_to_go(store)

    for key, (before, ttl) in zip(keys, times, strict=True):
        there = None if ttl == 1 else SECOND
        _expect(f"get, a second after swap with ttl={ttl} of a record with ttl={before},", await store.get(key), there)


async def a_refused_swap_leaves_a_record_the_time_it_has(store: Store) -> None:
    """A refused swap neither prolongs nor ends the record."""
    times = ((1, 60), (1, None), (60, 1), (None, 1))  # of the record, and of the swap that is refused
    keys = []
    for ttl, refused in times:
        key = await _write(store, FIRST, ttl=ttl)
        keys.append(key)
        _expect("swap against another record", await store.swap(key, SECOND, THIRD, ttl=refused), FIRST)

    await _wait_for_a_record_of_a_second_to_go(store)

    for key, (ttl, refused) in zip(keys, times, strict=True):
        there = None if ttl == 1 else FIRST
        _expect(
            f"get, a second after a refused swap with ttl={refused} of a record with ttl={ttl},",
            await store.get(key),
            there,
        )


# Calls at the same time


async def of_first_swaps_at_once_exactly_one_holds(store: Store) -> None:
    """The other calls return the record of the one that has won."""
    key = _make_key()
    records = [_make_record(bytes([number])) for number in range(AT_ONCE)]

    answers = await _run_at_once(partial(store.swap, key, None, record, ttl=60) for record in records)

    winners = [record for record, answer in zip(records, answers, strict=True) if answer is None]
    _expect(f"how many of {AT_ONCE} swaps against nothing held", len(winners), 1)
    for answer in answers:
        _expect("swap that came later", answer, None if answer is None else winners[0])
    _expect("get after all of them", await store.get(key), winners[0])


async def nothing_is_lost_when_many_swap_at_once(store: Store) -> None:
    """Each call adds to the record that it has read. If another call was faster, it adds to that one's record."""
    key = _make_key()

    await _run_at_once(partial(_add, store, key, bytes([number])) for number in range(AT_ONCE))

    record = await store.get(key) or b""
    _expect(f"what {AT_ONCE} have added", bytes(sorted(record[MAC:])), bytes(range(AT_ONCE)))


async def _add(store: Store, key: str, added: bytes) -> None:
    expected = await store.get(key)
    for _ in range(AT_ONCE):
        await _wait(0)  # so that all have read before one writes
        record = _make_record((expected or b"")[MAC:] + added)
        there = await store.swap(key, expected, record, ttl=60)
        if there is None or there == record:
            return
        if there == b"" or type(there) is not bytes:
            raise AssertionError(f"swap answered {_show(there)}, though a record was there")
        expected = there
    raise AssertionError(f"swap was refused {AT_ONCE} times, though no more than {AT_ONCE - 1} others were writing")


async def a_delete_beside_a_swap_leaves_nothing(store: Store) -> None:
    """Whichever comes first, the deleted record doesn't come back."""
    for is_swap_first in (True, False) * 10:
        key = await _write(store, FIRST)
        calls = (partial(store.swap, key, FIRST, SECOND, ttl=60), partial(store.delete, key))

        await _run_at_once(calls if is_swap_first else calls[::-1])

        _expect("get after a swap and a delete at once", await store.get(key), None)


async def a_cancelled_swap_has_happened_wholly_or_not_at_all(store: Store) -> None:
    """The calls after it get their own answers."""
    for turns in TURNS:
        are_over = [await _swap_cancelled(store, turns) for _ in range(3)]  # trio shuffles whose turn it is
        if all(are_over):
            break


async def _swap_cancelled(store: Store, turns: int) -> bool:
    key = await _write(store, FIRST)
    is_over = await _cancel_after(turns, partial(store.swap, key, FIRST, SECOND, ttl=60))

    there = await store.get(key)
    _expect("get after a cancelled swap", there, FIRST if there == FIRST and not is_over else SECOND)
    answer = await store.swap(key, there, THIRD, ttl=60)
    if answer == SECOND:  # it was on its way, and has happened only now
        answer = await store.swap(key, SECOND, THIRD, ttl=60)
    _expect("swap after a cancelled one", answer, None)
    _expect("get after it", await store.get(key), THIRD)
    return is_over


CHECKS: Final[tuple[Check, ...]] = (
    nothing_is_under_a_new_key,
    a_swap_against_nothing_puts_the_record_there,
    a_swap_against_what_is_there_puts_the_record_in_its_place,
    a_swap_against_nothing_is_refused_where_a_record_is,
    a_swap_against_a_record_is_refused_where_nothing_is,
    a_swap_against_an_outdated_record_is_refused,
    a_swap_that_is_asked_twice_answers_the_record_itself,
    a_deleted_record_is_gone,
    deleting_what_is_not_there_does_nothing,
    keys_are_independent,
    get_now_answers_as_get_does,
    every_byte_comes_back_as_it_was,
    a_large_record_comes_back_whole,
    a_difference_in_any_of_the_first_32_bytes_is_seen,
    a_record_is_absent_once_its_time_is_over,
    each_swap_gives_a_record_a_time_of_its_own,
    a_refused_swap_leaves_a_record_the_time_it_has,
    of_first_swaps_at_once_exactly_one_holds,
    nothing_is_lost_when_many_swap_at_once,
    a_delete_beside_a_swap_leaves_nothing,
    a_cancelled_swap_has_happened_wholly_or_not_at_all,
)


def _make_key() -> str:
    return secrets.token_hex(32)


def _make_record(body: bytes) -> bytes:
    return sha256(body).digest() + body


FIRST, SECOND, THIRD = (_make_record(body) for body in (b"first", b"second", b"third"))


async def _write(store: Store, record: bytes, *, ttl: int | None = 60) -> str:
    """The new key under which ``record`` is now."""
    key = _make_key()
    _expect("swap of a new key, against nothing,", await store.swap(key, None, record, ttl=ttl), None)
    return key


def _expect(what: str, came: object, wanted: object) -> None:
    """Raises ``AssertionError`` unless they are the same. Python's -O leaves this in, and ``assert`` out."""
    if type(came) is not type(wanted) or came != wanted:
        raise AssertionError(f"{what} should answer {_show(wanted)} and has answered {_show(came)}")


def _show(value: object) -> str:
    if isinstance(value, (bytes, str)) and len(value) > 2 * MAC:
        return f"{value[: 2 * MAC]!r}... ({len(value)} long)"
    return repr(value)


# What asyncio and trio each do their own way


def _find_trio() -> Any:
    """trio, where it runs this; ``None`` under asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return sys.modules["trio"]
    return None


async def _wait(seconds: float) -> None:
    await (_find_trio() or asyncio).sleep(seconds)


async def _wait_for_a_record_of_a_second_to_go(store: Store) -> None:
    key = await _write(store, FIRST, ttl=1)
    end = time.monotonic() + DEADLINE
    while await store.get(key) is not None:
        if time.monotonic() > end:
            raise AssertionError(f"a record with ttl=1 is still there after {DEADLINE} seconds")
        await _wait(0.02)


async def _run_at_once(calls: Iterable[Callable[[], Awaitable[Answer]]]) -> list[Answer]:
    """The answers in the order of ``calls``. When all are over it raises the first error of one."""
    answers: dict[int, Answer] = {}
    errors: list[Exception] = []

    async def run(place: int, call: Callable[[], Awaitable[Answer]]) -> None:
        try:
            answers[place] = await call()
        except Exception as error:
            errors.append(error)

    runs = [partial(run, place, call) for place, call in enumerate(calls)]
    trio = _find_trio()
    if trio is None:
        await asyncio.gather(*(start() for start in runs))
    else:
        async with trio.open_nursery() as nursery:
            for start in runs:
                nursery.start_soon(start)
    if errors:
        raise errors[0]
    return [answers[place] for place in range(len(runs))]


async def _cancel_after(turns: int, call: Callable[[], Coroutine[Any, Any, object]]) -> bool:
    """Starts ``call``, and cancels it after some turns of the loop. Whether it was over before."""
    ended: list[object] = []

    async def run() -> None:
        ended.append(await call())

    trio = _find_trio()
    if trio is None:
        task = asyncio.ensure_future(run())
        await _take_turns(turns)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await _take_turns(turns)
            nursery.cancel_scope.cancel()
    return bool(ended)


async def _take_turns(count: int) -> None:
    for _ in range(count):
        await _wait(0)
