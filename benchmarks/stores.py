"""What a request costs with its session in a store, in commands and in time; and for how long a sign-out can be lost.

With Redis it is the time that passes, one request at a time, as most of it is waiting; in memory CPU time, as
everywhere else.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.asgi import App, Run, Scope, call, receive, send
from benchmarks.harness import Contender, Plan, figures, quiet_memory, run_rounds
from benchmarks.results import installed_version
from benchmarks.scenarios import KEY, SCENARIOS, Scenario, fresh, judge, log_in, visitor
from benchmarks.stored import MEMORY, REDIS, STORED
from benchmarks.subjects import NONE, Subject
from benchmarks.window import measure_window
from tests.daemons import Redis, has_redis, redis

CHOSEN = {
    *(f"{work}, {cookie}" for work in ("untouched", "read", "write") for cookie in ("no cookie", "cookie")),
    "cleared",
}
COUNTED = 20  # requests over which Redis counts its commands
CLOCKS = {MEMORY: time.thread_time_ns, REDIS: time.perf_counter_ns}
UNDERNEATH = ("py-key-value-aio", "redis")  # what the subjects talk to their stores with


@dataclass(frozen=True)
class Visits(Plan):
    rounds: int = 40
    batch: int = 50
    changes: int = 2_000  # among which the window of the hundredth is worth saying


QUICK = Visits(rounds=3, batch=20, changes=200)


def measure_stores(plan: Visits, track: Callable[[Iterable[Any], str], Iterable[Any]]) -> dict[str, Any]:
    """Commands and times by scenario, place and subject, and the window; without Redis, the reason why not."""
    if not has_redis():
        return {"skipped": "redis-server isn't installed (apt-get install redis-server)"}
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in CHOSEN]
    with TemporaryDirectory() as folder, redis(Path(folder), durable=False) as server, opened(server.url) as subjects:
        return {
            "versions": versions(server),
            "scenarios": {
                scenario.name: measure_scenario(scenario, subjects, server, plan)
                for scenario in track(scenarios, "stores")
            },
            "window": measure_window(subjects[REDIS][0], server, plan.changes),
        }


def versions(server: Redis) -> dict[str, str]:
    found = {name: installed_version(name) or "" for name in UNDERNEATH}
    return {**found, "redis-server": server.client().info("server")["redis_version"]}


@contextmanager
def opened(url: str) -> Generator[dict[str, list[Subject]]]:
    """The subjects in each place, on one event loop, as a connection to Redis belongs to one."""
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    try:
        yield {place: subjects_in(place, url, loop.run_until_complete, stack) for place in (MEMORY, REDIS)}
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


def subjects_in(place: str, url: str, run: Callable[..., Any], stack: AsyncExitStack) -> list[Subject]:
    available = [stored for stored in STORED if stored.subject.is_available]
    stores = [run(stack.enter_async_context(stored.places[place](url))) for stored in available]
    return [stored.on(store, run) for stored, store in zip(available, stores, strict=True)]


def measure_scenario(
    scenario: Scenario, subjects: dict[str, list[Subject]], server: Redis, plan: Visits
) -> dict[str, Any]:
    words = {place: {each.name: judge(scenario, each) for each in found} for place, found in subjects.items()}
    right = {place: [each for each in found if words[place][each.name] is None] for place, found in subjects.items()}
    run = subjects[REDIS][0].run
    contests = {
        place: [contender(scenario, each, clocked(run, CLOCKS[place]), plan.batch) for each in (NONE, *found)]
        for place, found in right.items()
    }
    with quiet_memory():
        run_rounds(list(contests.values()), plan.rounds)
    times = {place: words[place] | figures(contest) for place, contest in contests.items()}
    return {"commands": {each.name: count_commands(scenario, each, server) for each in right[REDIS]}, **times}


def contender(scenario: Scenario, subject: Subject, time: Callable[[App, list[Scope]], float], batch: int) -> Contender:
    """Its visitors log in anew for each round, as the one before may have signed them out."""
    return Contender(subject, scenario.app(subject), lambda _number: scenario.scopes(subject, 1 + batch), time)


def clocked(run: Run, clock: Callable[[], int]) -> Callable[[App, list[Scope]], float]:
    """As ``harness.time_requests``, for what waits: by another clock, and on an event loop."""

    def time_requests(app: App, scopes: list[Scope]) -> float:
        count, took = len(scopes) - 1, 0

        async def serve() -> None:
            nonlocal took
            await app(scopes.pop(), receive, send)
            start = clock()
            while scopes:
                await app(scopes.pop(), receive, send)
            took = clock() - start

        run(serve())
        return took / count

    return time_requests


def count_commands(scenario: Scenario, subject: Subject, server: Redis) -> dict[str, float]:
    """Commands a request, as Redis itself counts them: the same counter for everyone."""
    log_in(subject, [visitor(0)], KEY)  # so that the connection is there, whose making takes commands too
    app, scopes = scenario.app(subject), scenario.scopes(subject, COUNTED)
    client = server.client()
    client.config_resetstat()
    for scope in scopes:
        call(app, fresh(scope), subject.run)
    counted = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): stats["calls"] / COUNTED for name, stats in counted.items()}
    del calls["config|resetstat"]
    return {name: calls[name] for name in sorted(calls, key=lambda name: (name == "del", name))}
