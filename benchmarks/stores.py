"""What a request costs with its session in a store, in commands and in time, and what a session takes there.

It is the time that passes, as most of it is waiting; in memory CPU time, as everywhere else.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.asgi import App, Run, Scope, call, receive, send
from benchmarks.harness import Contender, Plan, figures, quiet_memory, run_rounds
from benchmarks.results import installed_version, today
from benchmarks.scenarios import KEY, SCENARIOS, Scenario, flat_visitor, fresh, judge, log_in, visitor
from benchmarks.stored import MEMORY, POSTGRESQL, REDIS, SQLITE, opened
from benchmarks.subjects import NONE, Subject
from tests.backends import find_postgresql, postgresql
from tests.daemons import Redis, has_redis, redis

CHOSEN = {
    *(f"{work}, {cookie}" for work in ("untouched", "read", "write") for cookie in ("no cookie", "cookie")),
    "cleared",
}
AT_ONCE = 20  # visitors, each with a session of her own
CHOSEN_AT_ONCE = {f"{work}, {AT_ONCE} at once": f"{work}, cookie" for work in ("read", "write")}
COUNTED = 20  # requests over which Redis lists its commands
A_NEW_CONNECTION = ("hello", "client")  # begins with these
PAYLOADS = {"a user's id": {"user": 42}, "2 kB": flat_visitor(0, 2_000)}
UNDERNEATH = ("redis", "sqlalchemy", "asyncpg")  # what the subjects talk to their stores with

Subjects = Mapping[str, list[Subject]]  # by place


@dataclass(frozen=True)
class Visits(Plan):
    rounds: int = 40
    batch: int = 50
    sessions: int = 10_000  # in a file whose size is looked at


QUICK = Visits(rounds=3, batch=20, sessions=1_000)


def measure_stores(plan: Visits, track: Callable[[Iterable[Any], str], Iterable[Any]]) -> dict[str, Any]:
    """Commands and times by scenario, place and subject, and bytes; without Redis, the reason why not."""
    if not has_redis():
        return {"skipped": "redis-server isn't installed (apt-get install redis-server)"}
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    steps = [(name, scenarios[name], 1) for name in scenarios if name in CHOSEN]
    steps += [(name, scenarios[one], AT_ONCE) for name, one in CHOSEN_AT_ONCE.items()]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(redis(folder, durable=False))
        urls = {REDIS: server.url, MEMORY: "", SQLITE: str(folder / "sessions.db")}
        if has_postgresql():
            urls[POSTGRESQL] = stack.enter_context(postgresql())
        subjects = stack.enter_context(opened(urls))
        return {
            "date": today(),
            "versions": versions(server),
            "scenarios": {
                name: measure_scenario(scenario, subjects, server, plan, at_once)
                for name, scenario, at_once in track(steps, "stores")
            },
            "bytes": {name: measure_bytes(payload, subjects, server, plan) for name, payload in PAYLOADS.items()},
        }


def has_postgresql() -> bool:
    return find_postgresql() is not None and all(map(find_spec, ("sqlalchemy", "asyncpg")))


def versions(server: Redis) -> dict[str, str]:
    clients = {name: found for name in UNDERNEATH if (found := installed_version(name))}
    programs = {"redis-server": server.client().info("server")["redis_version"], "SQLite": sqlite3.sqlite_version}
    folder = find_postgresql() if has_postgresql() else None
    return {**clients, **programs, **({"PostgreSQL": folder.parent.name} if folder else {})}


def measure_scenario(
    scenario: Scenario, subjects: Subjects, server: Redis, plan: Visits, at_once: int
) -> dict[str, Any]:
    places = subjects if at_once == 1 else {REDIS: subjects[REDIS]}
    words = {place: {each.name: judge(scenario, each) for each in found} for place, found in places.items()}
    right = {place: [each for each in found if words[place][each.name] is None] for place, found in places.items()}
    run = subjects[REDIS][0].run
    count = at_once * (1 + plan.batch // at_once)
    contests = {
        place: [contender(scenario, each, clocked(run, clock_of(place), at_once), count) for each in (NONE, *found)]
        for place, found in right.items()
    }
    with quiet_memory():
        run_rounds(list(contests.values()), plan.rounds)
    times = {place: words[place] | figures(contest) for place, contest in contests.items()}
    return {"commands": {each.name: count_commands(scenario, each, server) for each in right[REDIS]}, **times}


def clock_of(place: str) -> Callable[[], int]:
    return time.thread_time_ns if place == MEMORY else time.perf_counter_ns


def contender(scenario: Scenario, subject: Subject, time: Callable[[App, list[Scope]], float], count: int) -> Contender:
    """Its visitors log in anew for each round, as the one before may have signed them out."""
    return Contender(subject, scenario.app(subject), lambda _number: scenario.scopes(subject, count), time)


def clocked(run: Run, clock: Callable[[], int], at_once: int) -> Callable[[App, list[Scope]], float]:
    """As ``harness.time_requests``, for what waits: by another clock, and on an event loop."""

    def time_requests(app: App, scopes: list[Scope]) -> float:
        count, took = len(scopes) - at_once, 0

        async def answer() -> None:
            if at_once == 1:
                await app(scopes.pop(), receive, send)
            else:
                await asyncio.gather(*(app(scopes.pop(), receive, send) for _ in range(at_once)))

        async def serve() -> None:
            nonlocal took
            await answer()
            start = clock()
            while scopes:
                await answer()
            took = clock() - start

        run(serve())
        return took / count

    return time_requests


def count_commands(scenario: Scenario, subject: Subject, server: Redis) -> dict[str, float]:
    """Commands a request, as Redis itself lists them: those that came from a client, not from a script."""
    log_in(subject, [visitor(0)], KEY)  # so that the connection is there, whose making takes commands too
    app, scopes = scenario.app(subject), scenario.scopes(subject, COUNTED)
    with server.client() as client, client.monitor() as monitor:
        for scope in scopes:
            call(app, fresh(scope), subject.run)
        server.client().echo("over")
        counted = Counter(until_over(monitor.listen()))
    return {name: count / COUNTED for name, count in counted.items()}


def until_over(seen: Iterable[dict[str, Any]]) -> Generator[str]:
    for command in seen:
        if command["command"] == "ECHO over":
            return
        name = command["command"].split()[0].lower()
        if command["client_type"] != "lua" and name not in A_NEW_CONNECTION:
            yield name


def measure_bytes(payload: dict[str, Any], subjects: Subjects, server: Redis, plan: Visits) -> dict[str, Any]:
    """What one session takes in each place, by subject."""
    return {
        REDIS: {each.name: bytes_in_redis(payload, each, server) for each in subjects[REDIS]},
        SQLITE: {each.name: bytes_in_sqlite(payload, plan.sessions) for each in subjects[SQLITE]},
    }


def bytes_in_redis(payload: dict[str, Any], subject: Subject, server: Redis) -> int:
    client = server.client()
    client.flushdb()
    log_in(subject, [payload], KEY)
    return sum(client.memory_usage(key) for key in client.scan_iter())


def bytes_in_sqlite(payload: dict[str, Any], count: int) -> int:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sessions.db"
        with opened({SQLITE: str(file)}) as subjects:
            [ours] = subjects[SQLITE]
            log_in(ours, [payload] * count, KEY)
        return round(file.stat().st_size / count)
