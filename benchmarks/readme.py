"""The README's table of figures, generated from the committed results. The documentation's page has the rest."""

import re
from pathlib import Path
from typing import Any

from benchmarks.page import (
    Results,
    markdown_table,
    overhead_bars,
    picture,
    python,
    ratio_cell,
    spread_cell,
    time_cell,
    whole_cell,
)
from benchmarks.results import FOLDER, load_committed, wrong
from benchmarks.stored import MEMORY, REDIS
from benchmarks.subjects import OURS, STARLETTE
from benchmarks.whole import ENDPOINTS

README = Path(__file__).parents[1] / "README.md"
FIGURES = "docs/reference/figures"  # beside the README
START, END = "<!-- benchmark:start -->", "<!-- benchmark:end -->"
BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
COMPARED = (OURS.name, STARLETTE.name)
WHOLE = dict(zip((each.name for each in ENDPOINTS), ("left alone", "read", "changed"), strict=True))  # by endpoint
ALONE = {  # by scenario
    "untouched, cookie": "left alone",
    "read, cookie": "read",
    "write, cookie": "changed",
    "nested, read": "with lists in it read",
}
LOST = "6 changes at once: lost"
LATER = "not measured yet"


def update(readme: Path = README, folder: Path = FOLDER) -> None:
    results = load_committed(folder)
    readme.write_text(with_section(readme.read_text(encoding="utf-8"), results), encoding="utf-8")


def problems(readme: Path = README, folder: Path = FOLDER) -> list[str]:
    """What isn't as the committed results say."""
    try:
        results = load_committed(folder)
        text = readme.read_text(encoding="utf-8")
        return [] if with_section(text, results) == text else [f"{readme.name} is older than the results"]
    except (OSError, LookupError) as error:
        return [f"{type(error).__name__}: {error}"]


def with_section(text: str, results: dict[str, Results]) -> str:
    if len(BLOCK.findall(text)) != 1:
        raise LookupError(f"there is no single section between {START} and {END}")
    return BLOCK.sub(lambda _: f"{START}\n{section(results['cpython-3.11'])}\n{END}", text)


def section(results: Results) -> str:
    rows = [*whole_rows(results), *alone_rows(results), lost_row(results)]
    return "\n\n".join(
        [
            markdown_table(["", "ours", "Starlette", "ours / Starlette"], rows),
            conditions(results),
            picture("overhead.svg", overhead_bars(results), COMPARED, FIGURES),
        ]
    )


def whole_rows(results: Results) -> list[list[str]]:
    endpoints = results["whole"]["endpoints"] if "whole" in results else {}
    return [
        [f"A whole FastAPI request: session {done}, µs", *whole_cells(endpoints.get(name))]
        for name, done in WHOLE.items()
    ]


def whole_cells(figures: Any) -> list[str]:
    if figures is None:
        return [LATER, LATER, "-"]
    ours = figures[OURS.name]
    ratio = spread_cell(ours["of_starlette"]) if isinstance(ours, dict) and ours["of_starlette"] else "-"
    return [*(whole_cell(figures.get(each)) for each in COMPARED), ratio]


def alone_rows(results: Results) -> list[list[str]]:
    found = {name: results["scenarios"][name]["figures"] for name in ALONE if name in results["scenarios"]}
    return [
        [
            f"The middleware alone: session {ALONE[name]}, µs",
            *(time_cell(figures.get(each)) for each in COMPARED),
            ratio_cell(figures.get(OURS.name)),
        ]
        for name, figures in found.items()
    ]


def lost_row(results: Results) -> list[str]:
    case = results["correctness"]["cases"][LOST]
    place = REDIS if f"{OURS.name}, {REDIS}" in case else MEMORY
    ours, theirs = (wrong(case.get(column)) for column in (f"{OURS.name}, {place}", f"{STARLETTE.name}, cookie"))
    return ["Six changes at once: lost", f"{ours}, with a store ({place})", theirs, "-"]


def conditions(results: Results) -> str:
    environment, parts = results["environment"], ("whole", "correctness")
    dates = sorted({environment["date"], *(results[part]["date"] for part in parts if part in results)})
    names = {"starlette": "Starlette", "fastapi": "FastAPI"}
    versions = [f"{names[name]} {version}" for name, version in environment["versions"].items() if name in names]
    return (
        f"Median CPU time ± half the interquartile range; no server; every request brings a session's cookie. "
        f"{', '.join([python(results), *versions, environment['cpu'], *dates])}. `make bench` measures it anew."
    )
