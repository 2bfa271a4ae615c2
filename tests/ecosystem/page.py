"""The table of docs/reference/ecosystem.md, generated from the committed results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .packages import PACKAGES, Package
from .run import ROOT

PAGE = ROOT / "docs" / "reference" / "ecosystem.md"
RESULTS = Path(__file__).parent / "results.json"
START, END = "<!-- ecosystem:start -->", "<!-- ecosystem:end -->"
BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
HEAD = ("package", "version", "Starlette", "tests", "pass on Starlette's", "pass on ours", "difference")


def load(results: Path = RESULTS) -> dict[str, Any]:
    return dict(json.loads(results.read_text(encoding="utf-8"))) if results.exists() else {}


def save(found: dict[str, Any], results: Path = RESULTS) -> None:
    """Puts what was found in the place of what was known of the same packages."""
    known = load(results) | found
    listed = {package.name: known[package.name] for package in PACKAGES if package.name in known}
    results.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def update(page: Path = PAGE, results: Path = RESULTS) -> None:
    page.write_text(with_table(page.read_text(encoding="utf-8"), load(results)), encoding="utf-8")


def with_table(text: str, results: dict[str, Any]) -> str:
    if len(BLOCK.findall(text)) != 1:
        raise LookupError(f"there is no single section between {START} and {END}")
    return BLOCK.sub(lambda _: f"{START}\n{section(results)}\n{END}", text)


def section(results: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [HEAD, ("---",) * 4 + ("--:",) * 2 + ("---",)]
    rows += [row(package, results[package.name]) for package in PACKAGES if package.name in results]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"{table}\n\n{conditions(list(results.values()))}"


def row(package: Package, result: dict[str, Any]) -> tuple[str, ...]:
    theirs, ours = (result[side] for side in ("theirs", "ours"))
    return (
        package.name,
        result["version"],
        result["starlette"],
        describe_tests(package),
        f"{theirs.get('passed', 0)} of {count(theirs)}",
        f"{ours.get('passed', 0)} of {count(ours)}",
        describe_difference(package),
    )


def describe_difference(package: Package) -> str:
    """What ``problems`` has found to be as the list says."""
    counts = [f"**{len(package.repaired)} repaired.**"] if package.repaired else []
    counts += [f"**{len(package.broken)} fails on ours.**"] if package.broken else []
    return " ".join([*counts, package.why]) if counts else "none"


def count(outcomes: dict[str, int]) -> int:
    """The tests that were run: all but those that were skipped."""
    return sum(outcomes.values()) - outcomes.get("skipped", 0)


def describe_tests(package: Package) -> str:
    own = ("its own, with fixtures of ours" if package.fixtures else "its own") if package.own else ""
    return " and ".join(filter(None, (own, "an app of ours" if package.app else "")))


def conditions(results: list[dict[str, Any]]) -> str:
    total = sum(result["connections"] for result in results)
    pythons, dates = ({result[key] for result in results} for key in ("python", "date"))
    return (
        f"Run on {', '.join(sorted(pythons))}, {' and '.join(sorted({min(dates), max(dates)}))}. Our middleware served "
        f"{total:,} connections in these tests. "
        "`nox --session ecosystem -- --write` runs them all and writes this table."
    )
