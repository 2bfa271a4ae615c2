"""What a session costs in SQLite where there are a million. It takes minutes, so it is run only when asked for."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from asgi_signed_session.stores import SQLiteStore
from benchmarks.results import today

COUNTS = (10_000, 1_000_000)
SAMPLE = 10_000  # reads and writes
SIZE = 150  # bytes of a record with a user's id and a CSRF token
DAY = 86_400


def measure_million(
    track: Callable[[Iterable[Any], str], Iterable[Any]], counts: Sequence[int] = COUNTS
) -> dict[str, Any]:
    """What a store's ``get`` and ``swap`` take, and the file, by the number of sessions."""
    measured = {f"{count:,}": asyncio.run(measure_count(count)) for count in track(counts, "million")}
    return {"date": today(), "counts": measured}


async def measure_count(count: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sessions.db"
        with closing(SQLiteStore(file)) as store:
            keys = [secrets.token_hex(32) for _ in range(count)]
            for key in keys:
                await store.swap(key, None, secrets.token_bytes(SIZE), ttl=14 * DAY)
            sample = keys[:: max(1, count // SAMPLE)]
            reads, records = await time_calls(partial(store.get, key) for key in sample)
            swaps = zip(sample, records, strict=True)
            writes, _ = await time_calls(
                partial(store.swap, key, there, secrets.token_bytes(SIZE), ttl=14 * DAY) for key, there in swaps
            )
        return {"read_us": summary(reads), "write_us": summary(writes), "file_mb": round(file.stat().st_size / 1e6, 1)}


async def time_calls(calls: Iterable[Callable[[], Awaitable[Any]]]) -> tuple[list[float], list[Any]]:
    """The microseconds that pass at each, and the answers."""
    times, answers = [], []
    for ask in calls:
        start = time.perf_counter_ns()
        answers.append(await ask())
        times.append((time.perf_counter_ns() - start) / 1000)
    return times, answers


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median": round(median(times), 1),
        "p99": round(quantiles(times, n=100)[98], 1),
        "max": round(max(times), 1),
    }
