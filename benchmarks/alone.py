"""A control: each middleware in a process of its own, with the garbage collector on, as a server runs it.

In the other tables all are in one process and take turns, which keeps the machine's moods out of the ratios. Here
nothing is shared, so what one of them leaves behind can't slow another down.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.asgi import App, Scope, receive, send
from benchmarks.harness import Contender, Plan, figures
from benchmarks.results import today
from benchmarks.scenarios import SCENARIOS, Scenario, fresh, judge
from benchmarks.subjects import SUBJECTS, Subject

CHOSEN = ("untouched, cookie", "read, cookie", "write, cookie", "nested, read")
BATCHES = 20  # in one process; the median counts as its figure
PROCESSES = Plan(rounds=11)
QUICK = Plan(rounds=1, batch=50, visitors=100)


def measure_alone(
    subjects: Sequence[Subject], plan: Plan, track: Callable[[Iterable[Any], str], Iterable[Any]]
) -> dict[str, Any]:
    """By scenario and subject, as ``harness.figures``: a round is one process of each subject."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in CHOSEN]
    turns = [(number, subject) for number in range(plan.rounds + 1) for subject in subjects]
    contests = {
        scenario.name: {each.name: Contender(each, no_app, no_scopes) for each in subjects} for scenario in scenarios
    }
    for _, subject in track(turns, "alone"):
        for name, taken in run_process(subject, plan).items():
            contests[name][subject.name].times.append(taken)
    return {
        "date": today(),
        "processes": plan.rounds,
        "scenarios": {name: figures_of(name, contest) for name, contest in contests.items()},
    }


def figures_of(name: str, contest: dict[str, Contender]) -> dict[str, Any]:
    """The first round warms up the machine, as everywhere; who answers wrongly has no figure."""
    [scenario] = [scenario for scenario in SCENARIOS if scenario.name == name]
    words = {each.subject.name: judge(scenario, each.subject) for each in contest.values()}
    return words | figures([each for each in contest.values() if words[each.subject.name] is None])


def no_app(*_: Any) -> Any:
    raise NotImplementedError  # it is in another process


def no_scopes(_number: int) -> list[Scope]:
    return []


def run_process(subject: Subject, plan: Plan) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.alone", subject.name, str(plan.batch), str(plan.visitors)]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))


def time_batches(scenario: Scenario, subject: Subject, batch: int, visitors: int) -> float:
    """Nanoseconds a request, the median of all batches; the first batch warms up."""
    app, everyone = scenario.app(subject), scenario.scopes(subject, visitors)
    times = []
    for number in range(BATCHES + 1):
        start = number * batch % len(everyone)
        times.append(time_batch(app, [fresh(scope) for scope in everyone[start : start + batch]]))
    return median(times[1:])


def time_batch(app: App, scopes: list[Scope]) -> float:
    count = len(scopes)
    start = time.thread_time_ns()
    while scopes:
        try:
            app(scopes.pop(), receive, send).send(None)
        except StopIteration:
            continue
    return (time.thread_time_ns() - start) / count


def main(name: str, batch: str, visitors: str) -> None:
    [subject] = [subject for subject in SUBJECTS if subject.name == name]
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in CHOSEN]
    right = [scenario for scenario in scenarios if judge(scenario, subject) is None]
    print(json.dumps({each.name: time_batches(each, subject, int(batch), int(visitors)) for each in right}))


if __name__ == "__main__":
    main(*sys.argv[1:])
