"""The documentation's page of benchmarks: its words are written by hand, its tables and figures from the results.

Each generated part of docs/reference/benchmarks.md stands between ``<!-- NAME:start -->`` and ``<!-- NAME:end -->``.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import bars, figure
from benchmarks.bars import Bars
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
from benchmarks.stored import COLUMNS, MEMORY, REDIS, SQLITE
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, SUBJECTS
from benchmarks.unshown import is_shown

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"
BLOCK = re.compile(r"<!-- ([\w-]+):start -->\n.*?<!-- \1:end -->", re.DOTALL)
FIGURES = "figures"  # beside the page
PEERS = [subject.name for subject in SUBJECTS if subject not in (NONE, OURS, LIMIT)]
CONCLUSIVE = 0.97  # a ratio above it is called a draw, not a gain
DRAWN = ("untouched, cookie", "read, cookie", "write, cookie", "nested, read", "20 cookies, read")
SHOWN = (OURS.name, *PEERS)
LATER = "Not measured yet. `make bench ARGS='--json --only {}'` measures it."
WHERE = {REDIS: "in Redis", MEMORY: "in memory"}

Results = dict[str, Any]  # of one run
Runs = dict[str, Results]
Parts = Mapping[str, Callable[[Runs], str]]  # of a page, by name


def update(page: Path = PAGE, folder: Path = FOLDER) -> None:
    runs = load_committed(folder)
    page.write_text(with_parts(page.read_text(encoding="utf-8"), runs), encoding="utf-8")
    (page.parent / FIGURES).mkdir(exist_ok=True)
    figure.draw(runs["cpython-3.11"]["growth"], page.parent / FIGURES / "growth.svg")
    for name, each in figures_of(runs["cpython-3.11"]).items():
        bars.draw(each, page.parent / FIGURES / name)


def problems(page: Path = PAGE, folder: Path = FOLDER) -> list[str]:
    """What isn't as the committed results say."""
    try:
        runs = load_committed(folder)
        text = page.read_text(encoding="utf-8")
        found = [] if with_parts(text, runs) == text else [f"{page.name} is older than the results"]
    except (OSError, LookupError) as error:
        return [f"{type(error).__name__}: {error}"]
    growth = page.parent / FIGURES / "growth.svg"
    drawn = {growth: figure.is_drawn_from(runs["cpython-3.11"]["growth"], growth)}
    for name, each in figures_of(runs["cpython-3.11"]).items():
        drawn[page.parent / FIGURES / name] = bars.is_drawn_from(each, page.parent / FIGURES / name)
    return found + [f"{path.name} is older than the results" for path, is_drawn in drawn.items() if not is_drawn]


def with_parts(text: str, runs: Runs, parts: Parts | None = None) -> str:
    """The page, each part made anew. Raises ``LookupError`` unless it has each part once."""
    parts = PARTS if parts is None else parts
    there = BLOCK.findall(text)
    if sorted(there) != sorted(parts):
        raise LookupError(f"the page has the parts {', '.join(there)}; it must have {', '.join(parts)}")
    return BLOCK.sub(lambda block: f"<!-- {block[1]}:start -->\n{parts[block[1]](runs)}\n<!-- {block[1]}:end -->", text)


def figures_of(results: Results) -> dict[str, Bars]:
    drawn = {"overhead.svg": overhead_bars(results), "losses.svg": loss_bars(results)}
    return {"whole.svg": whole_bars(results), **drawn} if "whole" in results else drawn


def picture(name: str, each: Bars, choice: tuple[str, ...], folder: str = FIGURES) -> str:
    return f"![{bars.describe(each, choice)}]({folder}/{name})"


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(map(line, [head, ["---", *["--:"] * (len(head) - 1)], *rows]))


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


# A whole request


def whole_part(runs: Runs) -> str:
    if "whole" not in runs["cpython-3.11"]:
        return LATER.format("whole")
    each = whole_bars(runs["cpython-3.11"])
    tables = [
        f"{python(results)}, {results['whole']['date']}:\n\n{whole_table(results['whole']['endpoints'])}"
        for results in runs.values()
        if "whole" in results and results["environment"]["serializer"] == "json"
    ]
    return "\n\n".join([picture("whole.svg", each, tuple(each.names)), *tables])


def whole_bars(results: Results) -> Bars:
    groups = {
        f"the endpoint\n{name}": {
            ("no sessions" if subject == NONE.name else str(subject)): microseconds(figures, "time_ns")
            for subject, figures in entry.items()
        }
        for name, entry in results["whole"]["endpoints"].items()
    }
    return Bars("µs of CPU time for a whole FastAPI request", groups, ".0f")


def whole_table(endpoints: Results) -> str:
    rows = [
        [f"The endpoint {name}", *(whole_cell(entry.get(each)) for each in (NONE.name, OURS.name, STARLETTE.name))]
        for name, entry in endpoints.items()
    ]
    shares = [f"{entry[OURS.name]['of_starlette']['median']:.2f}" for entry in endpoints.values()]
    head = ["µs a request", "no sessions", "ours", "Starlette", "ours / Starlette"]
    return markdown_table(head, [[*row, share] for row, share in zip(rows, shares, strict=True)])


def whole_cell(figures: Any) -> str:
    return cell({"overhead_ns": figures["time_ns"]}) if isinstance(figures, dict) else str(figures or "-")


def microseconds(figures: Any, key: str = "overhead_ns") -> float | None:
    return float(figures[key]["median"]) / 1000 if isinstance(figures, dict) else None


# Right answers


def answers_part(runs: Runs) -> str:
    """Only the scenarios that somebody answers wrongly: for the rest, all answers are right."""
    scenarios = scenarios_of(runs["cpython-3.11"])
    rows = [
        [f"`{name}`", *(answer(entry["figures"].get(each)) for each in SHOWN)]
        for name, entry in scenarios
        if any(isinstance(entry["figures"].get(each), str) for each in SHOWN)
    ]
    all_right = ", ".join(f"`{name}`" for name, _ in scenarios if f"`{name}`" not in [row[0] for row in rows])
    table = markdown_table(["case", *SHOWN], rows).replace("--:", "---")
    return f"{table}\n\nAll of them give the right answer to these: {all_right}."


def answer(figures: Any) -> str:
    return "right" if isinstance(figures, dict) else str(figures or "-")


def losses_part(runs: Runs) -> str:
    correctness = runs["cpython-3.11"]["correctness"]
    columns = [column for column in columns_of(correctness) if is_shown(column)]
    rows = [[name, *(wrong(figures.get(each)) for each in columns)] for name, figures in correctness["cases"].items()]
    each = loss_bars(runs["cpython-3.11"])
    return "\n\n".join(
        [
            picture("losses.svg", each, tuple(each.names)),
            markdown_table([f"how often it goes wrong ({correctness['date']})", *columns], rows),
        ]
    )


def loss_bars(results: Results) -> Bars:
    cases = results["correctness"]["cases"]
    columns = [each for each in columns_of(results["correctness"]) if is_shown(each)]
    drawn = (
        [each for each in columns if not each.endswith((f", {MEMORY}", f", {SQLITE}"))]
        if f"{OURS.name}, {REDIS}" in columns
        else columns
    )
    groups = {
        name.replace(": ", ":\n"): {column: share(figures.get(column)) for column in drawn}
        for name, figures in cases.items()
    }
    return Bars("% that go wrong", groups, ".0f", "doesn't apply", 108)


def share(figures: Any) -> float | None:
    return 100 * figures["wrong"] / figures["of"] if isinstance(figures, dict) else None


# What a middleware adds


def overhead_part(runs: Runs) -> str:
    each = overhead_bars(runs["cpython-3.11"])
    return picture("overhead.svg", each, (OURS.name, STARLETTE.name))


def overhead_bars(results: Results) -> Bars:
    scenarios = dict(scenarios_of(results))
    chosen = [name for name in DRAWN if name in scenarios]
    groups = {name: {each: microseconds(scenarios[name]["figures"].get(each)) for each in SHOWN} for name in chosen}
    return Bars("µs of CPU time over the bare app", groups, ".1f")


def scenarios_part(runs: Runs) -> str:
    older, newer = runs["cpython-3.11"], runs["cpython-3.13"]
    return "\n\n".join(
        [
            f"{python(older)}, {older['environment']['date']}, in µs:",
            scenarios_table(older),
            f"{python(newer)}, {newer['environment']['date']}, in µs:",
            scenarios_table(newer),
            orjson_line(runs["cpython-3.11-orjson"]),
        ]
    )


def scenarios_table(results: Results) -> str:
    rows = [
        [
            name,
            *(time_cell(entry["figures"].get(each)) for each in (OURS.name, STARLETTE.name)),
            ratio_cell(entry["figures"].get(OURS.name)),
            *(time_cell(entry["figures"].get(each)) for each in (*PEERS[1:], LIMIT.name)),
        ]
        for name, entry in scenarios_of(results)
    ]
    return markdown_table(
        ["", "ours", "Starlette", "**ours / Starlette**", *PEERS[1:], "`limit` (a floor, without checks)"], rows
    )


def time_cell(figures: Any) -> str:
    """The words for a wrong answer have a table of their own."""
    return cell(figures) if isinstance(figures, dict) else "-"


def orjson_line(results: Results) -> str:
    ratios = [(name, ratio_of(entry["figures"].get(OURS.name))) for name, entry in scenarios_of(results)]
    shown = "; ".join(f"{name} {ratio:.2f}" for name, ratio in ratios if ratio and "untouched" not in name)
    return f"Ours / Starlette with `serializer=orjson`, on {python(results)}: {shown}."


def ratio_cell(figures: Any) -> str:
    return "-" if ratio_of(figures) is None else spread_cell(figures["ratio"])


def spread_cell(ratio: Any) -> str:
    return f"**{ratio['median']:.2f}** ± {(ratio['high'] - ratio['low']) / 2:.2f}"


def alone_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    if "alone" not in results:
        return LATER.format("alone")
    alone = results["alone"]
    together = {name: entry["figures"] for name, entry in scenarios_of(results)}
    rows = [
        row
        for name, figures in alone["scenarios"].items()
        for row in (control_row(f"{name}: together", together.get(name, {})), control_row(f"{name}: alone", figures))
    ]
    head = [f"µs ({python(results)}, {alone['date']})", "ours", "Starlette", "**ours / Starlette**", *PEERS[1:]]
    return markdown_table(head, rows)


def control_row(name: str, figures: Results) -> list[str]:
    cells = [time_cell(figures.get(each)) for each in (OURS.name, *PEERS)]
    return [name, *cells[:2], ratio_cell(figures.get(OURS.name)), *cells[2:]]


def growth_part(runs: Runs) -> str:
    shown = "; ".join(growth_not_faster(runs["cpython-3.11"]))
    return (
        f"![Three lines, ours, Starlette and limit, that rise with the size of a session, with the cookies beside it "
        f"and with the keys that are tried]({FIGURES}/growth.svg)\n\n"
        f"Ours is not faster than Starlette here: {shown or 'nowhere'}."
    )


def growth_not_faster(results: Results) -> list[str]:
    """For each axis with such steps: these, and what they count."""
    found = {axis.unit: steps_not_faster(results["growth"][axis.name]) for axis in AXES}
    return [f"{', '.join(map(str, steps))} {unit}" for unit, steps in found.items() if steps]


def steps_not_faster(steps: dict[str, Any]) -> list[int]:
    """Where Starlette has one figure alone, it stands for all, as it is drawn."""
    ours, starlette = figure.measured(steps, OURS.name), dict(figure.measured(steps, STARLETTE.name))
    alone = next(iter(starlette.values())) if len(starlette) == 1 else None
    theirs = [(step, time, starlette.get(step, alone)) for step, time in ours]
    return [step for step, time, other in theirs if other is not None and time > CONCLUSIVE * other]


def memory_part(runs: Runs) -> str:
    rows = [
        [name, *(f"{sizes[each]:,}" for each in (OURS.name, STARLETTE.name))]
        for name, sizes in runs["cpython-3.11"]["memory"].items()
    ]
    return markdown_table(["bytes", "ours", "Starlette"], rows)


# Sessions on the server


def stores_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    stores = results["stores"]
    if "skipped" in stores:
        return f"Not measured: {stores['skipped']}."
    versions = ", ".join(f"{name} {version}" for name, version in stores["versions"].items())
    rows = [
        [name, *(f"{stored_cell(entry, *column)}" for column in COLUMNS)] for name, entry in stores["scenarios"].items()
    ]
    asked = [
        [name, *(commands(entry, each) if each in entry["commands"] else "-" for each in store_subjects())]
        for name, entry in stores["scenarios"].items()
    ]
    sizes = "\n".join(f"- With {content}: {sizes}." for content, sizes in lines_of_bytes(stores))
    return "\n\n".join(
        [
            f"µs a request over the bare app ({python(results)}, {versions}, {stores['date']}):",
            markdown_table(["", *(f"{subject}, {place}" for subject, place in COLUMNS)], rows),
            "What Redis is asked for one request:",
            markdown_table(["", *store_subjects()], asked),
            f"Bytes that a session takes in the store:\n\n{sizes}",
        ]
    )


def store_subjects() -> list[str]:
    return list(dict.fromkeys(subject for subject, place in COLUMNS if place == REDIS))


def million_part(runs: Runs) -> str:
    if "million" not in runs["cpython-3.11"]:
        return LATER.format("million")
    million = runs["cpython-3.11"]["million"]
    rows = [
        [
            count,
            *(f"{figures[call]['median']} ({figures[call]['p99']})" for call in ("read_us", "write_us")),
            f"{figures['file_mb']:,} MB",
        ]
        for count, figures in million["counts"].items()
    ]
    return markdown_table([f"sessions ({million['date']})", "µs to read", "µs to write", "the file"], rows)


# What isn't faster, and the rest


def not_faster_part(runs: Runs) -> str:
    measured = {name: results for name, results in runs.items() if results["environment"]["serializer"] == "json"}
    found = [
        f"- In one process, {python(results)}: {name}, against {peer}."
        for results in measured.values()
        for name, entry in scenarios_of(results)
        for peer in PEERS
        if is_not_faster(entry["figures"], peer)
    ]
    found += [
        f"- As the session grows, against {STARLETTE.name}: {each}." for each in growth_not_faster(runs["cpython-3.11"])
    ]
    scenarios = runs["cpython-3.11"]["stores"].get("scenarios", {})
    for place, where in WHERE.items():
        for peer in [each for each, its_place in COLUMNS if its_place == place and each != OURS.name]:
            names = [name for name, entry in scenarios.items() if place in entry and is_not_faster(entry[place], peer)]
            found += [f"- With the session {where}, against {peer}: {'; '.join(names)}."] if names else []
    return "\n".join(found) or "Nothing in these tables."


def is_not_faster(figures: dict[str, Any], peer: str) -> bool:
    """Where a peer with a right answer is as fast, or where the middle halves of their rounds overlap."""
    ours, theirs = figures[OURS.name], figures.get(peer)
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return False
    mine, other = ours["overhead_ns"], theirs["overhead_ns"]
    return bool(mine["median"] > CONCLUSIVE * other["median"] or mine["high"] >= other["low"])


def served_part(runs: Runs) -> str:
    measured = runs["cpython-3.11"]["end_to_end"]
    if "skipped" in measured:
        return f"Not measured: {measured['skipped']}."
    rows = [
        [f"`{path}`", name, f"{figures['of_bare']['median']:.0%}", f"{figures['p99_ms']['median']:.1f} ms"]
        for path, subjects in measured.items()
        for name, figures in subjects.items()
    ]
    return markdown_table(["path", "sessions", "requests a second, compared with no sessions", "slowest in 100"], rows)


def conditions_part(runs: Runs) -> str:
    environment = runs["cpython-3.11"]["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return f"Measured on {environment['date']}, {environment['cpu']}, with {versions}."


def python(results: Results) -> str:
    return str(results["environment"]["python"])


PARTS: Parts = {
    "whole": whole_part,
    "answers": answers_part,
    "losses": losses_part,
    "overhead": overhead_part,
    "scenarios": scenarios_part,
    "alone": alone_part,
    "growth": growth_part,
    "memory": memory_part,
    "stores": stores_part,
    "million": million_part,
    "served": served_part,
    "not-faster": not_faster_part,
    "conditions": conditions_part,
}
