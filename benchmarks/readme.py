"""The benchmark section of the README, generated from the committed results."""

import re
from pathlib import Path
from typing import Any

from benchmarks import figure
from benchmarks.growth import AXES
from benchmarks.results import (
    FOLDER,
    cell,
    columns_of,
    commands,
    lines_of_bytes,
    load_committed,
    ratio_of,
    scenarios_of,
    stored_cell,
    wrong,
)
from benchmarks.stored import COLUMNS, MEMORY, REDIS
from benchmarks.stores import AT_ONCE
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, SUBJECTS
from benchmarks.unshown import is_shown

README = Path(__file__).parents[1] / "README.md"
GROWTH = FOLDER / "growth.svg"
START, END = "<!-- benchmark:start -->", "<!-- benchmark:end -->"
BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
PEERS = [subject.name for subject in SUBJECTS if subject not in (NONE, OURS, LIMIT)]
CONCLUSIVE = 0.97  # a ratio above it is called a draw, not a gain


def update(readme: Path = README, growth: Path = GROWTH, folder: Path = FOLDER) -> None:
    results = load_committed(folder)
    readme.write_text(with_section(readme.read_text(encoding="utf-8"), results), encoding="utf-8")
    figure.draw(results["cpython-3.11"]["growth"], growth)


def problems(readme: Path = README, growth: Path = GROWTH, folder: Path = FOLDER) -> list[str]:
    """What isn't as the committed results say."""
    try:
        results = load_committed(folder)
        text = readme.read_text(encoding="utf-8")
        stale = [] if with_section(text, results) == text else [f"{readme.name} is older than the results"]
    except (OSError, LookupError) as error:
        return [f"{type(error).__name__}: {error}"]
    drawn = figure.is_drawn_from(results["cpython-3.11"]["growth"], growth)
    return stale if drawn else [*stale, f"{growth.name} is older than the results"]


def with_section(text: str, results: dict[str, dict[str, Any]]) -> str:
    if len(BLOCK.findall(text)) != 1:
        raise LookupError(f"there is no single section between {START} and {END}")
    return BLOCK.sub(lambda _: f"{START}\n{section(results)}\n{END}", text)


def section(results: dict[str, dict[str, Any]]) -> str:
    older, newer, orjson = results["cpython-3.11"], results["cpython-3.13"], results["cpython-3.11-orjson"]
    return "\n\n".join(
        [
            f"CPU time over the bare app, µs a request (median, ± half the quartiles' distance): {python(older)}",
            table(older),
            f"<details><summary>The same on {python(newer)}</summary>\n\n{table(newer)}\n\n</details>",
            orjson_line(orjson),
            not_faster_line({"CPython 3.11": older, "CPython 3.13": newer}),
            "![Overhead against session size, cookies and fallback keys](benchmarks/results/growth.svg)",
            figure_line(older["growth"]),
            memory_line(older),
            *correctness_part(older),
            *stores_part(older),
            *million_part(older),
            end_to_end_line(older),
            conditions(older),
        ]
    )


def python(results: dict[str, Any]) -> str:
    return str(results["environment"]["python"])


def table(results: dict[str, Any]) -> str:
    head = ["", "ours", "Starlette", "**ours / Starlette**", *PEERS[1:], "limit"]
    return markdown_table(head, [row(name, entry["figures"]) for name, entry in scenarios_of(results)])


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def row(name: str, figures: dict[str, Any]) -> list[str]:
    others = [cell(figures.get(peer)) for peer in (*PEERS[1:], LIMIT.name)]
    return [
        name,
        cell(figures.get(OURS.name)),
        cell(figures.get(PEERS[0])),
        ratio_cell(figures.get(OURS.name)),
        *others,
    ]


def ratio_cell(figures: Any) -> str:
    if ratio_of(figures) is None:
        return "-"
    ratio = figures["ratio"]
    return f"**{ratio['median']:.2f}** ± {(ratio['high'] - ratio['low']) / 2:.2f}"


def orjson_line(results: dict[str, Any]) -> str:
    ratios = [(name, ratio_of(entry["figures"].get(OURS.name))) for name, entry in scenarios_of(results)]
    shown = ", ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios if ratio and "untouched" not in name)
    return f"With `serializer=orjson` the ratios become: {shown}."


def stores_part(results: dict[str, Any]) -> list[str]:
    stores = results["stores"]
    if "skipped" in stores:
        return [f"Server-side sessions: not measured, {stores['skipped']}."]
    versions = ", ".join(f"{name} {version}" for name, version in stores["versions"].items())
    conditions = (
        f"Server-side sessions, on {python(results)} with {versions}, {stores['date']}: µs a request over the bare "
        f"app's, as they pass, and in memory of CPU time. Before them, in Redis, the commands that a request takes; "
        f"`evalsha` is a compare-and-set. `{AT_ONCE} at once` are visitors with a session each, and the time of one of "
        f"them. Ours is on its own stores, in PostgreSQL on `SQLAlchemyStore`; only ours signs its ids and its records."
    )
    sizes = " ".join(f"With {content}: {sizes}." for content, sizes in lines_of_bytes(stores))
    return [
        conditions,
        stores_table(stores["scenarios"]),
        stores_not_faster_line(stores["scenarios"]),
        f"Bytes that a session takes in a store. {sizes}",
    ]


def stores_table(scenarios: dict[str, Any]) -> str:
    rows = [[name, *(commands_cell(entry, *column) for column in COLUMNS)] for name, entry in scenarios.items()]
    return markdown_table(["", *(f"{subject}, {place}" for subject, place in COLUMNS)], rows)


def commands_cell(entry: dict[str, Any], subject: str, place: str) -> str:
    time = stored_cell(entry, subject, place)
    return f"{commands(entry, subject)}: {time}" if place == REDIS and subject in entry["commands"] else time


def stores_not_faster_line(scenarios: dict[str, Any]) -> str:
    """As ``not_faster_line``, by place and peer, as there are many."""
    found = {
        f"{where}, against {peer}": [
            name for name, entry in scenarios.items() if place in entry and is_not_faster(entry[place], peer)
        ]
        for place, where in ((REDIS, "In Redis"), (MEMORY, "In memory"))
        for peer, its_place in COLUMNS
        if peer != OURS.name and its_place == place
    }
    shown = ". ".join(f"{where}: {'; '.join(names)}" for where, names in found.items() if names)
    return f"Where ours, in a store, is not faster, or not clearly. {shown or 'Nowhere in this table'}."


def correctness_part(results: dict[str, Any]) -> list[str]:
    correctness = results["correctness"]
    columns = [column for column in columns_of(correctness) if is_shown(column)]
    rows = [[name, *(wrong(figures.get(each)) for each in columns)] for name, figures in correctness["cases"].items()]
    conditions = (
        f"Requests of one visitor at the same time, how often it goes wrong. All have read the session before any "
        f"answers, and the answers arrive in any order at a browser that takes every cookie ({correctness['date']})."
    )
    return [conditions, markdown_table(["", *columns], rows)]


def million_part(results: dict[str, Any]) -> list[str]:
    if "million" not in results:
        return []
    shown = "; ".join(
        f"{count} sessions: {figures['read_us']['median']} to read, {figures['write_us']['median']} to write, "
        f"{figures['file_mb']:,} MB"
        for count, figures in results["million"]["counts"].items()
    )
    return [f"`SQLiteStore` as it grows, µs a call and the file's size ({results['million']['date']}): {shown}."]


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(map(line, [head, ["---", *["--:"] * (len(head) - 1)], *rows]))


def not_faster_line(runs: dict[str, dict[str, Any]]) -> str:
    """Where a peer with a right answer is as fast as ours, or where the middle halves of their rounds overlap."""
    found = [
        f"{name} against {peer} ({python})"
        for python, results in runs.items()
        for name, entry in scenarios_of(results)
        for peer in PEERS
        if is_not_faster(entry["figures"], peer)
    ]
    return f"Where ours is not faster, or not clearly: {', '.join(found) or 'nowhere in these tables'}."


def is_not_faster(figures: dict[str, Any], peer: str) -> bool:
    ours, theirs = figures[OURS.name], figures.get(peer)
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return False
    mine, other = ours["overhead_ns"], theirs["overhead_ns"]
    return bool(mine["median"] > CONCLUSIVE * other["median"] or mine["high"] >= other["low"])


def figure_line(growth: dict[str, Any]) -> str:
    found = {axis.unit: steps_not_faster(growth[axis.name]) for axis in AXES}
    shown = "; ".join(f"{', '.join(map(str, steps))} {unit}" for unit, steps in found.items() if steps)
    return f"Where ours is not faster than Starlette in the figure: {shown or 'nowhere'}."


def steps_not_faster(steps: dict[str, Any]) -> list[int]:
    """Where Starlette has one figure alone, it stands for all, as it is drawn."""
    ours, starlette = figure.measured(steps, OURS.name), dict(figure.measured(steps, STARLETTE.name))
    alone = next(iter(starlette.values())) if len(starlette) == 1 else None
    theirs = [(step, time, starlette.get(step, alone)) for step, time in ours]
    return [step for step, time, other in theirs if other is not None and time > CONCLUSIVE * other]


def memory_line(results: dict[str, Any]) -> str:
    shown = "; ".join(
        f"{name}: {sizes['ours']:,} (Starlette {sizes['Starlette']:,})" for name, sizes in results["memory"].items()
    )
    return f"Bytes that a session keeps while a websocket is open, over the bare app's: {shown}."


def end_to_end_line(results: dict[str, Any]) -> str:
    """Shares of the bare app's rate, as the rates themselves say more about the machine."""
    measured = results["end_to_end"]
    if "skipped" in measured:
        return f"End to end: not measured, {measured['skipped']}."
    shown = "; ".join(f"`{path}`: {shares(subjects)}" for path, subjects in measured.items())
    return f"End to end, uvicorn under `wrk`, requests a second as a share of the bare app's, and p99: {shown}."


def shares(subjects: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {figures['of_bare']['median']:.0%} ({figures['p99_ms']['median']:.1f} ms)"
        for name, figures in subjects.items()
    )


def conditions(results: dict[str, Any]) -> str:
    environment = results["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return (
        f"Measured on {environment['date']}, {environment['cpu']}, with {versions}. Every request is another "
        f"visitor's, and every answer was checked before it was timed: words in place of a figure say what was wrong. "
        f"Litestar's sessions are encrypted, all others signed; `limit` has no features and no checks. "
        f"To repeat it: `make bench` measures, `nox --session bench` writes all of this section."
    )
