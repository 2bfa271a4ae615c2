"""A run's results in the terminal."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.growth import AXES
from benchmarks.origins import WITH, WITHOUT
from benchmarks.results import (
    cell,
    columns_of,
    commands,
    lines_of_bytes,
    lost,
    ratio_of,
    scenarios_of,
    stored_cell,
    wrong,
)
from benchmarks.serializers import SERIALIZERS
from benchmarks.stored import COLUMNS
from benchmarks.subjects import NONE, SUBJECTS
from benchmarks.unshown import is_shown
from benchmarks.window import PROCESSES

NAMES = [subject.name for subject in SUBJECTS if subject is not NONE]
HEADINGS = [name.replace("sessions", "\nsessions") for name in NAMES]
FEW = ("ours", "Starlette", "limit")
WIDE = 110  # columns of a terminal in which the reasons have room


def show(results: dict[str, Any], console: Console) -> None:
    if "scenarios" in results:
        console.print(scenario_table(results, wide=console.width >= WIDE), "")
    others = {
        "whole": whole_table,
        "alone": alone_table,
        "growth": growth_table,
        "memory": memory_table,
        "stores": stores_table,
        "correctness": correctness_table,
        "million": million_table,
        "serializers": serializers_table,
        "origins": origins_table,
        "window": window_table,
        "end_to_end": end_to_end_table,
    }
    for part, make_table in others.items():
        if part in results:
            console.print(make_table(results), "")
    console.print(describe(results["environment"]), style="dim", highlight=False)


def scenario_table(results: dict[str, Any], *, wide: bool) -> Table:
    table = new_table("CPU time over the bare app, µs a request; ratio: ours / Starlette")
    table.add_column("scenario", no_wrap=True)
    for column in (*HEADINGS, "ratio", "target"):
        table.add_column(column, justify="right", max_width=9)
    for name, entry in scenarios_of(results):
        cells = [stacked(entry["figures"].get(subject)) for subject in NAMES]
        table.add_row(Text.assemble(name, "\n", (entry["why"] if wide else "", "dim")), *cells, *verdict(entry))
    return table


def stacked(figures: Any) -> Text:
    """The median, its spread below; or the words in their place."""
    median, _, spread = cell(figures).partition(" ± ")
    return Text.assemble(median, "\n", (f"±{spread}", "dim")) if spread else Text(median, "dim red")


def verdict(entry: dict[str, Any]) -> tuple[Text, str]:
    """The ratio, red above its target; and the target."""
    ratio, target = ratio_of(entry["figures"].get("ours")), entry["target"]
    if ratio is None:
        return Text("-"), ""
    style = "bold" if target is None else "bold green" if round(ratio, 2) <= target else "bold red"
    return Text(f"{ratio:.2f}", style), f"{target:.2f}" if target else ""


def whole_table(results: dict[str, Any]) -> Table:
    table = new_table("A whole FastAPI request, without a server: CPU time, µs", "the endpoint")
    for column in ("none", "ours", "Starlette", "ours / Starlette"):
        table.add_column(column, justify="right")
    for name, figures in results["whole"]["endpoints"].items():
        times = [cell({"overhead_ns": figures[each]["time_ns"]}) for each in ("none", "ours", "Starlette")]
        table.add_row(name, *times, f"{figures['ours']['of_starlette']['median']:.2f}")
    return table


def alone_table(results: dict[str, Any]) -> Table:
    table = new_table("Each in a process of its own, garbage collector on: CPU time over the bare app, µs", "scenario")
    for column in (*HEADINGS, "ratio"):
        table.add_column(column, justify="right", max_width=9)
    for name, figures in results["alone"]["scenarios"].items():
        ratio, _ = verdict({"figures": figures, "target": None})
        table.add_row(name, *[stacked(figures.get(subject)) for subject in NAMES], ratio)
    return table


def growth_table(results: dict[str, Any]) -> Table:
    table = new_table("Overhead of reading a session as it grows, µs", "axis")
    for column in ("", *FEW):
        table.add_column(column, justify="right")
    for axis in AXES:
        for number, (step, figures) in enumerate(results["growth"][axis.name].items()):
            table.add_row("" if number else axis.unit, step, *[cell(figures.get(name)) for name in FEW])
        table.add_section()
    return table


def memory_table(results: dict[str, Any]) -> Table:
    table = new_table("Memory of an open websocket over the bare app's, bytes", "scenario")
    for column in FEW:
        table.add_column(column, justify="right")
    for name, sizes in results["memory"].items():
        table.add_row(name, *[str(sizes.get(subject, "-")) for subject in FEW])
    return table


def stores_table(results: dict[str, Any]) -> Table | Text:
    stores = results["stores"]
    if "skipped" in stores:
        return Text(f"Server-side sessions: skipped, {stores['skipped']}", "bold")
    table = new_table(
        "Server-side sessions: Redis' commands, µs a request; in memory µs of CPU", "scenario", "", "commands"
    )
    places = list(dict.fromkeys(place for _, place in COLUMNS))
    for place in places:
        table.add_column(place, justify="right")
    for name, entry in stores["scenarios"].items():
        for number, subject in enumerate(dict.fromkeys(subject for subject, _ in COLUMNS)):
            asked = commands(entry, subject) if subject in entry["commands"] else "-"
            times = [stored_cell(entry, subject, place) for place in places]
            table.add_row("" if number else name, subject, asked, *times)
        table.add_section()
    lines = [f"Bytes of a session with {content}: {sizes}." for content, sizes in lines_of_bytes(stores)]
    table.caption, table.caption_justify = "\n".join(lines), "left"
    return table


def correctness_table(results: dict[str, Any]) -> Table:
    correctness = results["correctness"]
    columns = [column for column in columns_of(correctness) if is_shown(column)]
    table = new_table("Requests of one visitor at the same time: how often it goes wrong", "case")
    for column in columns:
        table.add_column(column.replace(", ", "\n"), justify="right", max_width=12)
    for name, figures in correctness["cases"].items():
        table.add_row(name, *[wrong(figures.get(column)) for column in columns])
    return table


def million_table(results: dict[str, Any]) -> Table:
    table = new_table("SQLite: µs a call, median, 99th percentile and longest", "sessions")
    for column in ("read", "write", "file, MB"):
        table.add_column(column, justify="right")
    for count, figures in results["million"]["counts"].items():
        calls = [
            " / ".join(str(figures[call][part]) for part in ("median", "p99", "max"))
            for call in ("read_us", "write_us")
        ]
        table.add_row(count, *calls, str(figures["file_mb"]))
    return table


def serializers_table(results: dict[str, Any]) -> Table:
    sessions = results["serializers"]["sessions"]
    table = new_table("A write and a read of a session: bytes of the cookie, µs", "serializer", *sessions)
    for name in SERIALIZERS:
        figures = [sessions[session].get(name) for session in sessions]
        table.add_row(
            name, *[f"{each['bytes']}\n{cell({'overhead_ns': each['time_ns']})}" if each else "-" for each in figures]
        )
    return table


def origins_table(results: dict[str, Any]) -> Table:
    table = new_table("A form of the app's own page: CPU time over the bare app, µs", "trusted_origins")
    for name in (WITHOUT.name, WITH.name):
        table.add_column(name, justify="right")
    for name, figures in results["origins"]["forms"].items():
        table.add_row(name, *[cell(figures[each]) for each in (WITHOUT.name, WITH.name)])
    return table


def window_table(results: dict[str, Any]) -> Table:
    window = results["window"]
    table = new_table(f"Processes that write one session without pause: lost changes, {window['rounds']} runs", "place")
    for count in PROCESSES:
        table.add_column(f"{count} processes", justify="right")
    for place, counts in window["places"].items():
        table.add_row(place, *[lost(counts.get(str(count))) for count in PROCESSES])
    return table


def end_to_end_table(results: dict[str, Any]) -> Table | Text:
    end_to_end = results["end_to_end"]
    if "skipped" in end_to_end:
        return Text(f"End to end: skipped, {end_to_end['skipped']}", "bold")
    table = new_table("End to end: uvicorn under wrk, one server process each", "path", "middleware")
    for column in ("requests/s", "of the bare app's", "p99, ms"):
        table.add_column(column, justify="right")
    for path, subjects in end_to_end.items():
        for name, figures in subjects.items():
            rate, of_bare, p99 = (figures[key]["median"] for key in ("requests_per_second", "of_bare", "p99_ms"))
            table.add_row(path, name, f"{rate:,.0f}", f"{of_bare:.0%}", f"{p99:.1f}")
    return table


def new_table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def describe(environment: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return f"{environment['python']} on {environment['cpu']}, {environment['date']}; {versions}"
