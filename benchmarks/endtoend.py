"""Requests a second through uvicorn, each server in its own process, loaded by wrk from another."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.asgi import App, Receive, Scope, Send, cookie_header
from benchmarks.harness import divided, summary
from benchmarks.scenarios import KEY, log_in, make_app, read, visitor
from benchmarks.subjects import NONE, OURS, STARLETTE, Subject
from tests.daemons import free_port

SUBJECTS = (NONE, OURS, STARLETTE)
PATHS = {"/untouched": None, "/read": read}
CHOSEN = "BENCHMARK_SUBJECT"  # the environment variable that tells a server what to serve
CONNECTIONS = 16
MEASURED = re.compile(r"99%\s+([\d.]+)(us|ms|s)\s.*Requests/sec:\s+([\d.]+)", re.DOTALL)
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1_000.0}


@dataclass(frozen=True)
class Load:
    rounds: int = 7
    seconds: int = 2  # of load for one subject and path in one round
    visitors: int = 1_000


QUICK = Load(rounds=1, seconds=1, visitors=100)


@dataclass
class Target:
    """One path of one running server, and what wrk said of it in each round."""

    subject: Subject
    path: str
    url: str
    cookies: Path
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def load(self, seconds: int) -> None:
        script = Path(__file__).with_name("visitors.lua")
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
        output = run("wrk", *options, self.url, "--", str(self.cookies))
        found = MEASURED.search(output)
        if not found or "Non-2xx" in output:
            raise RuntimeError(output)
        latency, unit, rate = found.groups()
        self.latencies.append(float(latency) * MILLISECONDS[unit])
        self.rates.append(float(rate))


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def application() -> App:
    """What a server process serves, by its environment."""
    [subject] = [subject for subject in SUBJECTS if subject.name == os.environ[CHOSEN]]
    # The bare app has no session to read, so it answers both paths alike.
    apps = {path: make_app(None if subject is NONE else work, subject) for path, work in PATHS.items()}

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["path"]](scope, receive, send)

    return subject.wrap(router, KEY, ())


def measure_end_to_end(load: Load, track: Callable[[Iterable[Any], str], Iterable[Any]]) -> dict[str, Any]:
    """Rates and latencies by path and subject; without wrk, the reason why not."""
    if not shutil.which("wrk"):
        return {"skipped": "wrk isn't installed (apt-get install wrk)"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        targets = [target for subject in SUBJECTS for target in targets_of(subject, load, folder, stack)]
        for number, target in track(turns(targets, load.rounds), "end to end"):
            target.load(load.seconds if number else 1)
    return {path: figures({t.subject.name: t for t in targets if t.path == path}) for path in PATHS}


def turns(targets: list[Target], rounds: int) -> list[tuple[int, Target]]:
    """Each target once a round; round 0 warms up."""
    return [(number, target) for number in range(rounds + 1) for target in targets]


def targets_of(subject: Subject, load: Load, folder: Path, stack: ExitStack) -> list[Target]:
    """The paths of one subject, whose server runs as long as ``stack`` is open."""
    cookies = folder / subject.name
    cookies.write_text("\n".join(visitors_cookies(subject, load.visitors)), encoding="ascii")
    url = stack.enter_context(serve(subject))
    return [Target(subject, path, url + path, cookies) for path in PATHS]


def visitors_cookies(subject: Subject, count: int) -> list[str]:
    """The ``cookie`` headers; the bare app's visitors have Starlette's, so that all send the same."""
    maker = STARLETTE if subject is NONE else subject
    jars = log_in(maker, [visitor(number) for number in range(count)], KEY)
    return [value.decode() for jar in jars for _, value in cookie_header(jar)]


@contextmanager
def serve(subject: Subject) -> Iterator[str]:
    """The URL of a server in its own process."""
    port = free_port()
    options = ["--factory", "--port", str(port), "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    command = [sys.executable, "-m", "uvicorn", *options, f"{__name__}:{application.__name__}"]
    process = subprocess.Popen(command, env={**os.environ, CHOSEN: subject.name})
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"uvicorn didn't answer on port {port} within {seconds} s")


def figures(targets: dict[str, Target]) -> dict[str, Any]:
    """By subject; the first round warmed up."""
    bare = targets[NONE.name].rates[1:]
    return {
        name: {
            "requests_per_second": summary(target.rates[1:]),
            "p99_ms": summary(target.latencies[1:]),
            "of_bare": summary(divided(target.rates[1:], bare)),
        }
        for name, target in targets.items()
    }
