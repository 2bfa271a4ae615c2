"""What ``trusted_origins`` costs, in time: ``python -m benchmarks.origins`` prints a table."""

import time
from statistics import median
from typing import Any

from asgi_signed_session import SessionMiddleware, SessionSigner
from benchmarks.asgi import App, Scope, call, make_scope
from benchmarks.scenarios import KEY, make_app, read, visitor, write
from benchmarks.subjects import NONE

ROUNDS = 300
BATCH = 50  # requests of one app in one round

# As Chromium sends it with a form of the app's own page.
OWN_FORM = [(b"origin", b"https://shop.example"), (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"navigate")]
WORKS: dict[str, Any] = {"leaves the session alone": None, "reads it": read, "changes it": write}
OPTIONS: dict[str, dict[str, Any]] = {"without": {}, "with": {"trusted_origins": ()}}


def make_request(cookie: str) -> Scope:
    scope = make_scope("http", {"session": cookie})
    return {**scope, "method": "POST", "headers": [*scope["headers"], *OWN_FORM]}


def cookie_of(number: int) -> str:
    """What a visitor's browser has, who has signed in."""
    return SessionSigner(KEY).dumps(visitor(number))


def measure(work: Any) -> dict[str, float]:
    """The microseconds over the bare app; rounds are interleaved, and the median counts."""
    app = make_app(work, NONE)
    apps: dict[str, App] = {"bare": make_app(None, NONE)}
    apps |= {name: SessionMiddleware(app, KEY, **options) for name, options in OPTIONS.items()}
    request = make_request(cookie_of(1))
    times: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, subject in apps.items():
            scopes = [{**request, "state": {}} for _ in range(BATCH)]
            start = time.thread_time_ns()
            for scope in scopes:
                call(subject, scope)
            times[name].append((time.thread_time_ns() - start) / BATCH / 1000)
    found = {name: median(taken) for name, taken in times.items()}
    return {name: found[name] - found["bare"] for name in OPTIONS}


def make_table() -> str:
    """A row for each thing that an app does, in microseconds for a form of the app's own page."""
    lines = ["| a request that | without, µs | with, µs |", "|---|--:|--:|"]
    for words, work in WORKS.items():
        measured = measure(work)
        lines.append(f"| {words} | " + " | ".join(f"{measured[name]:.1f}" for name in OPTIONS) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(make_table())
