"""When a sign-out is lost to a request that changes the session, and for how long that can happen."""

import logging
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from benchmarks.asgi import call
from benchmarks.harness import quiet_memory
from benchmarks.scenarios import SCENARIOS, fresh
from benchmarks.stored import STORED
from benchmarks.subjects import OURS, Subject
from tests.daemons import Redis

[CHANGE] = [scenario for scenario in SCENARIOS if scenario.name == "write, cookie"]
CALLS = ("read", "look", "write")  # a changed session's get, get and put


@dataclass
class SignedOut:
    """A store of one record, which a sign-out elsewhere deletes right before the request makes the call named."""

    before: str
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def get(self, key: str) -> Mapping[str, Any] | None:
        self.meet()
        return self.records.get(key)

    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        self.meet()
        self.records[key] = value

    async def delete(self, key: str) -> None:
        del self.records[key]

    def meet(self) -> None:
        self.calls.append(CALLS[len(self.calls) % len(CALLS)])
        if self.calls[-1] == self.before:
            self.records.clear()


def is_lost(before: str) -> bool:
    """Whether a record that is deleted right before that call is back after the request."""
    [ours] = [stored for stored in STORED if stored.subject is OURS]
    store = SignedOut("")
    subject = ours.on(store, OURS.run)
    [scope] = CHANGE.scopes(subject, 1)
    [key] = store.records
    store.before, store.calls = before, []
    logging.disable(logging.WARNING)  # A change that isn't saved is warned about.
    call(CHANGE.app(subject), fresh(scope))
    logging.disable(logging.NOTSET)
    return key in store.records


def measure_window(subject: Subject, server: Redis, changes: int) -> dict[str, Any]:
    """Seconds between the look and the write, by Redis' own clock, and which sign-outs are lost."""
    app, scopes = CHANGE.app(subject), CHANGE.scopes(subject, changes)
    with server.client() as client, client.monitor() as monitor, quiet_memory():
        for scope in scopes:
            call(app, fresh(scope), subject.run)
        server.client().echo("over")
        seen = [(command["command"].split()[0], command["time"]) for command in until_over(monitor.listen())]
    windows = [at - looked for (first, looked), (then, at) in pairwise(seen) if (first, then) == ("GET", "SET")]
    return {
        "changes": len(windows),
        "median_ms": round(median(windows) * 1000, 3),
        "p99_ms": round(quantiles(windows, n=100)[98] * 1000, 3),
        "lost": {name: is_lost(name) for name in CALLS},
    }


def until_over(commands: Iterable[dict[str, Any]]) -> Generator[dict[str, Any]]:
    for command in commands:
        if command["command"] == "ECHO over":
            return
        yield command
