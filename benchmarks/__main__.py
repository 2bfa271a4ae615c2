"""The command: ``python -m benchmarks``."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks import figure, howtos, page, readme, report, results
from benchmarks.alone import PROCESSES, measure_alone
from benchmarks.alone import QUICK as QUICK_PROCESSES
from benchmarks.correctness import measure_correctness
from benchmarks.endtoend import QUICK as QUICK_LOAD
from benchmarks.endtoend import Load, measure_end_to_end
from benchmarks.growth import measure_growth
from benchmarks.harness import QUICK, Plan, measure
from benchmarks.memory import measure_memory
from benchmarks.million import measure_million
from benchmarks.origins import measure_origins
from benchmarks.parts import ON_REQUEST, PARTS, wants
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.serializers import QUICK as QUICK_ROUNDS
from benchmarks.serializers import ROUNDS, measure_serializers
from benchmarks.stores import QUICK as QUICK_VISITS
from benchmarks.stores import Visits, measure_stores
from benchmarks.subjects import SUBJECTS, Subject, with_orjson
from benchmarks.whole import measure_whole
from benchmarks.window import measure_window

COMMITTED = Path()  # stands for --json without a file


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.versions:
        print(*(f"{name} {version}" for name, version in results.versions().items()), sep="\n")
        return 0
    if options.update_readme:
        readme.update()
        page.update()
        howtos.update()
    if options.check_readme or options.update_readme:
        return complain([*readme.problems(), *page.problems(), *howtos.problems()])
    if options.check_targets:
        return complain(missed_targets())
    return run(options)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    only = f"a part ({', '.join((*PARTS, *ON_REQUEST))}), or the scenarios whose name contains this; can be repeated"
    save = "write the results here; without FILE into those in benchmarks/results, which README and docs show"
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help=only)
    parser.add_argument("--json", metavar="FILE", nargs="?", type=Path, const=COMMITTED, help=save)
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the growth here, as SVG")
    parser.add_argument("--quick", action="store_true", help="half a minute, for a first look")
    parser.add_argument("--serializer", choices=("json", "orjson"), default="json", help="what ours runs with")
    parser.add_argument("--versions", action="store_true", help="show what would be measured")
    parser.add_argument("--check-readme", action="store_true", help="fail if README or docs aren't as the results say")
    parser.add_argument("--update-readme", action="store_true", help="write the committed results into README and docs")
    parser.add_argument("--check-targets", action="store_true", help="fail if a committed result misses its target")
    return parser.parse_args(arguments)


def complain(found: list[str]) -> int:
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


def missed_targets() -> list[str]:
    """Those of the standard library's JSON: with another serializer there is nothing to reach."""
    committed = [(name, run) for name, run in results.load_committed().items() if "orjson" not in name]
    return [f"{name}: {missed}" for name, run in committed for missed in results.missed_targets(run)]


def run(options: argparse.Namespace) -> int:
    measured = {"environment": results.environment(options.serializer), **measure_parts(options)}
    report.show(measured, Console() if sys.stdout.isatty() else Console(width=120))
    if options.json:
        if options.json is COMMITTED:
            results.save_parts(measured, results.committed_file(options.serializer))
        else:
            results.save(measured, options.json)
    if options.plot and "growth" in measured:
        figure.draw(measured["growth"], options.plot)
    return 0


def measure_parts(options: argparse.Namespace) -> dict[str, Any]:
    scenarios, quick = chosen(options.only), options.quick
    plan = QUICK if quick else Plan()
    parts: dict[str, Callable[[], Any]] = {
        "whole": lambda: measure_whole(plan, progress),
        "scenarios": lambda: measure_scenarios(scenarios, subjects(options.serializer), plan),
        "alone": lambda: measure_alone(subjects("json"), QUICK_PROCESSES if quick else PROCESSES, progress),
        "growth": lambda: measure_growth(QUICK if quick else Plan(rounds=25), progress),
        "memory": lambda: measure_memory(progress, 1_000 if quick else 10_000),
        "stores": lambda: measure_stores(QUICK_VISITS if quick else Visits(), progress),
        "correctness": lambda: measure_correctness(progress),
        "million": lambda: measure_million(progress),
        "window": lambda: measure_window(progress),
        "serializers": lambda: measure_serializers(progress, QUICK_ROUNDS if quick else ROUNDS),
        "origins": lambda: measure_origins(plan, progress),
        "end-to-end": lambda: measure_end_to_end(QUICK_LOAD if quick else Load(), progress),
    }
    wanted = [part for part in parts if (scenarios if part == "scenarios" else wants(part, options.only))]
    return {part.replace("-", "_"): parts[part]() for part in wanted}


def chosen(only: list[str]) -> list[Scenario]:
    names = [name for name in only if name not in (*PARTS, *ON_REQUEST)]
    everything = wants("scenarios", only)
    return [scenario for scenario in SCENARIOS if everything or any(name in scenario.name for name in names)]


def subjects(serializer: str) -> list[Subject]:
    available = [subject for subject in SUBJECTS if subject.is_available]
    return [with_orjson(subject) for subject in available] if serializer == "orjson" else available


def measure_scenarios(scenarios: Sequence[Scenario], subjects: Sequence[Subject], plan: Plan) -> dict[str, Any]:
    return {
        scenario.name: {
            "why": scenario.why,
            "target": scenario.target,
            "figures": measure(scenario, subjects, plan),
        }
        for scenario in progress(scenarios, "scenarios")
    }


def progress(steps: Iterable[Any], part: str) -> Iterable[Any]:
    return track(list(steps), part.ljust(10), console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    raise SystemExit(main())
