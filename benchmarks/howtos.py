"""The tables of figures in the how-tos, generated from the committed results as the page of benchmarks is."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.origins import WITH, WITHOUT
from benchmarks.page import LATER, Parts, Results, Runs, markdown_table, python, time_cell, with_parts
from benchmarks.readme import LOST
from benchmarks.results import FOLDER, load_committed, lost, stored_cell, wrong
from benchmarks.serializers import SERIALIZERS
from benchmarks.stored import REDIS, SQLITE
from benchmarks.subjects import OURS
from benchmarks.window import PROCESSES

HOW_TOS = Path(__file__).parents[1] / "docs" / "how-to"
WORDS = {2: "two", 4: "four"}


def update(folder: Path = HOW_TOS, results: Path = FOLDER) -> None:
    runs = load_committed(results)
    for name, parts in PAGES.items():
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(with_parts(text, runs, parts), encoding="utf-8")


def problems(folder: Path = HOW_TOS, results: Path = FOLDER) -> list[str]:
    """What isn't as the committed results say."""
    try:
        runs = load_committed(results)
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in PAGES}
        stale = [name for name, text in texts.items() if with_parts(text, runs, PAGES[name]) != text]
    except (OSError, LookupError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [f"{name} is older than the results" for name in stale]


def serializers_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    if "serializers" not in results:
        return LATER.format("serializers")
    sessions = results["serializers"]["sessions"]
    head = ["", *(word for session in sessions for word in (f"{session}: bytes", "µs"))]
    rows = [
        [f"`{name}`", *(each for figures in sessions.values() for each in size_and_time(figures.get(name)))]
        for name in SERIALIZERS
    ]
    return f"{markdown_table(head, rows)}\n\n{repeated(results, 'serializers')}"


def size_and_time(figures: Results | None) -> list[str]:
    return [f"{figures['bytes']}", f"{figures['time_ns']['median'] / 1000:.0f}"] if figures else ["", ""]


def origins_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    if "origins" not in results:
        return LATER.format("origins")
    rows = [
        [name, *(time_cell(figures.get(each.name)) for each in (WITHOUT, WITH))]
        for name, figures in results["origins"]["forms"].items()
    ]
    table = markdown_table(["a request that", "without, µs", "with, µs"], rows)
    return f"{table}\n\n{repeated(results, 'origins')}"


def window_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    if "window" not in results:
        return LATER.format("window")
    rows = [
        [place, *(lost(counts.get(str(count))) for count in PROCESSES)]
        for place, counts in results["window"]["places"].items()
    ]
    head = ["lost changes", *(f"{WORDS[count]} processes" for count in PROCESSES)]
    return f"{markdown_table(head, rows)}\n\n{repeated(results, 'window')}"


def repeated(results: Results, part: str) -> str:
    where = f"{python(results)}, {results['environment']['cpu']}, {results[part]['date']}"
    return f"({where}. `make bench ARGS='--only {part}'` measures it again.)"


def cookie_or_store_part(runs: Runs) -> str:
    results = runs["cpython-3.11"]
    scenarios, stores = results["scenarios"], results["stores"].get("scenarios", {})
    case = results["correctness"]["cases"][LOST]
    works = ("read, cookie", "write, cookie")
    rows = [
        ["in the cookie", *(time_cell(scenarios.get(work, {}).get("figures", {}).get(OURS.name)) for work in works)]
    ]
    rows += [
        [f"in {place}", *(stored_cell(stores.get(work, {}), OURS.name, place) for work in works)]
        for place in (SQLITE, REDIS)
    ]
    losses = [wrong(case.get(f"{OURS.name}, {place}")) for place in ("cookie", SQLITE, REDIS)]
    head = ["the session is kept", "µs to read it", "µs to change it", "changes lost when six requests run at once"]
    return markdown_table(head, [[*row, loss] for row, loss in zip(rows, losses, strict=True)])


PAGES: Mapping[str, Parts] = {
    "cookie-or-store.md": {"cost": cookie_or_store_part},
    "cross-site.md": {"origins": origins_part},
    "serializers.md": {"serializers": serializers_part},
    "server-side.md": {"window": window_part},
}
