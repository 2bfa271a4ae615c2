"""What a session keeps in memory for as long as a websocket is open."""

import gc
import tracemalloc
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Any

from benchmarks.asgi import App, Receive, Scope, Send, receive, send
from benchmarks.scenarios import KEY, Scenario, fresh, make_app, read, visitor
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, Subject

CONNECTIONS = 10_000
SUBJECTS = (NONE, OURS, STARLETTE, LIMIT)
SCENARIOS = (
    Scenario("untouched, no cookie", "", connection="websocket"),
    Scenario("untouched, cookie", "", payload=visitor, connection="websocket"),
    Scenario("read, cookie", "", read, visitor, "websocket"),
)


@coroutine
def wait_for_ever() -> Generator[None, None, None]:
    yield


def stay_open(app: App) -> App:
    """The app, whose connection then stays open."""

    async def open_app(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        await wait_for_ever()

    return open_app


def bytes_per_connection(scenario: Scenario, subject: Subject, count: int) -> float:
    app = subject.wrap(stay_open(make_app(scenario.work, subject)), KEY, ())
    scopes = [fresh(scope) for scope in scenario.scopes(subject, count)]
    return traced_bytes(lambda: [opened(app, scope) for scope in scopes]) / count


def opened(app: App, scope: Scope) -> Coroutine[Any, Any, None]:
    """A connection that waits, as far as an event loop would have brought it."""
    connection = app(scope, receive, send)
    connection.send(None)
    return connection


def traced_bytes(make: Callable[[], object]) -> int:
    """What is still allocated when ``make`` has returned."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return size


def measure_memory(track: Callable[[Iterable[Any], str], Iterable[Any]], count: int = CONNECTIONS) -> dict[str, Any]:
    """Bytes a connection above the bare app's, for each scenario and subject."""
    return {scenario.name: bytes_above_floor(scenario, count) for scenario in track(SCENARIOS, "memory")}


def bytes_above_floor(scenario: Scenario, count: int) -> dict[str, int]:
    sizes = {subject.name: bytes_per_connection(scenario, subject, count) for subject in SUBJECTS}
    return {name: round(size - sizes[NONE.name]) for name, size in sizes.items() if name != NONE.name}
