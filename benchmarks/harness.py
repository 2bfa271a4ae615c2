"""Rounds interleaved subject by subject; overheads and ratios are taken within a round, then the median of all."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from benchmarks.asgi import App, Scope, receive, run_at_once, send
from benchmarks.scenarios import Scenario, fresh, judge
from benchmarks.subjects import NONE, STARLETTE, Subject


@dataclass(frozen=True)
class Plan:
    """How long to measure. A batch is short, so that what disturbs the machine hits all subjects of a round alike."""

    rounds: int = 60
    batch: int = 250  # requests of one subject in one round
    visitors: int = 1_000  # each with her own cookie, so that a cache of verified cookies gains nothing


QUICK = Plan(rounds=8, batch=100, visitors=400)


def time_requests(app: App, scopes: list[Scope]) -> float:
    """CPU time a request in nanoseconds: time in which another process had the core doesn't count.

    Nor does the first request, for which the processor's caches are full of another subject.
    """
    run_at_once(app(scopes.pop(), receive, send))
    count = len(scopes)
    start = time.thread_time_ns()
    while scopes:  # Each scope is let go after its request, as a server does.
        try:
            app(scopes.pop(), receive, send).send(None)
        except StopIteration:
            continue
    return (time.thread_time_ns() - start) / count


@dataclass
class Contender:
    """One subject in one scenario, and the nanoseconds a request took in each round."""

    subject: Subject
    app: App
    scopes: Callable[[int], list[Scope]]  # of a round, by its number
    time: Callable[[App, list[Scope]], float] = time_requests
    times: list[float] = field(default_factory=list)

    def take_turn(self, number: int) -> None:
        scopes = [fresh(scope) for scope in self.scopes(number)]
        gc.collect()
        self.times.append(self.time(self.app, scopes))


def measure(scenario: Scenario, subjects: Sequence[Subject], plan: Plan) -> dict[str, Any]:
    """For each subject its figures, or the words for a wrong answer."""
    [measured] = measure_together([scenario], subjects, plan)
    return measured


def measure_together(
    scenarios: Sequence[Scenario],
    subjects: Sequence[Subject],
    plan: Plan,
    conclude: Callable[[list["Contender"]], dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """As ``measure``, with the rounds of all scenarios interleaved, for figures that are compared with one another."""
    words = [{subject.name: judge(scenario, subject) for subject in subjects} for scenario in scenarios]
    contenders = [
        [contender(scenario, subject, plan) for subject in subjects if judged[subject.name] is None]
        for scenario, judged in zip(scenarios, words, strict=True)
    ]
    with quiet_memory():
        run_rounds(contenders, plan.rounds)
    conclude = conclude or figures
    return [judged | conclude(contest) for judged, contest in zip(words, contenders, strict=True)]


def contender(scenario: Scenario, subject: Subject, plan: Plan) -> Contender:
    everyone = scenario.scopes(subject, plan.visitors)

    def scopes(number: int) -> list[Scope]:
        start = number * plan.batch % len(everyone)
        return everyone[start : start + plan.batch]

    return Contender(subject, scenario.app(subject), scopes)


def run_rounds(contests: Sequence[list[Contender]], rounds: int) -> None:
    """The first round warms up; each starts with another subject."""
    for number in range(rounds + 1):
        for contenders in contests:
            first = number % len(contenders)
            for each in contenders[first:] + contenders[:first]:
                each.take_turn(number)


@contextmanager
def quiet_memory() -> Iterator[None]:
    """No garbage collection while the clock runs, and what exists already isn't looked at between."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def figures(contest: list[Contender]) -> dict[str, Any]:
    times = {contender.subject.name: contender.times[1:] for contender in contest}
    floor = times.pop(NONE.name)
    overheads = {name: minus(own, floor) for name, own in times.items()}
    starlette = overheads.get(STARLETTE.name)
    shown = {
        name: {"overhead_ns": summary(own), "ratio": summary(divided(own, starlette)) if starlette else None}
        for name, own in overheads.items()
    }
    return {NONE.name: {"time_ns": summary(floor)}, **shown}


def minus(times: list[float], floor: list[float]) -> list[float]:
    return [own - bare for own, bare in zip(times, floor, strict=True)]


def divided(overheads: list[float], starlette: list[float]) -> list[float]:
    return [own / theirs for own, theirs in zip(overheads, starlette, strict=True)]


@dataclass(frozen=True)
class Summary:
    median: float
    low: float  # the quarter of the rounds below
    high: float  # the quarter above


def summary(values: list[float]) -> dict[str, float]:
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {key: round(value, 4) for key, value in asdict(Summary(median(values), low, high)).items()}
