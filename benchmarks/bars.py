"""Figures of bars for the documentation, drawn from the results; like ``figure``, for a light and for a dark page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figure import STYLE, TEXT, WIDTH, digest, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "no sessions": "#9aa3af",
    "ours": "#2f81f7",
    "ours, cookie": "#8fa9cf",
    "Starlette": "#db6d28",
    "starsessions": "#8b6fd8",
    "asgi-sessions": "#b8862b",
    "Litestar": "#2f9d6a",
}
BAR = 0.19  # inches
ROOM = 0.14  # inches between two groups
AXIS = 0.55  # inches
NAMES_IN_A_ROW = 3  # of the legend
ROW = 0.2  # inches
TIGHT: Any = {"columnspacing": 1, "handlelength": 1.2, "handletextpad": 0.5, "frameon": False}


@dataclass(frozen=True)
class Bars:
    """Groups of bars, one below the other: ``groups["read, cookie"]["ours"]``, in ``unit``; ``None``: no answer."""

    unit: str
    groups: Mapping[str, Mapping[str, float | None]]
    shown: str  # how a value is written at its bar
    without: str = "wrong answer"  # in place of a bar
    largest: float | None = None

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for group in self.groups.values() for name in group))

    @property
    def digest(self) -> str:
        return digest({"unit": self.unit, "groups": self.groups, "shown": self.shown})


def draw(bars: Bars, path: Path) -> None:
    import matplotlib as mpl  # Here, as checking a figure needs none of it.
    from matplotlib.figure import Figure

    count = sum(map(len, bars.groups.values()))
    names = bars.names
    rows = math.ceil(len(names) / NAMES_IN_A_ROW)
    height = rows * ROW + count * BAR + len(bars.groups) * ROOM + AXIS
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panel = figure.subplots()
        handles = draw_panel(panel, bars)
        legend = [handles[name] for name in names]
        figure.legend(legend, names, loc="outside upper center", ncols=NAMES_IN_A_ROW, **TIGHT)
        save(figure, bars.digest, path)


def draw_panel(panel: "Axes", bars: Bars) -> dict[str, Any]:
    """The bars of each name, for the legend."""
    handles: dict[str, Any] = {}
    place, middles = 0.0, []
    for group in bars.groups.values():
        middles.append(place + (len(group) - 1) / 2)
        for name, value in group.items():
            handles[name] = panel.barh(place, value or 0, height=0.82, color=colour_of(name))
            words = bars.without if value is None else format(value, bars.shown)
            panel.annotate(words, (value or 0, place), xytext=(3, 0), textcoords="offset points", va="center", size=7.5)
            place += 1
        place += ROOM / BAR
    panel.set_yticks(middles, list(bars.groups))
    panel.invert_yaxis()
    panel.set_xlabel(bars.unit)
    panel.set_xlim(0, bars.largest or largest(bars) * 1.08)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.grid(visible=True, axis="x", alpha=0.25, color=TEXT)
    panel.set_axisbelow(True)
    return handles


def colour_of(name: str) -> str:
    return COLOURS.get(name) or COLOURS[name.partition(",")[0]]


def largest(bars: Bars) -> float:
    return max(value or 0 for group in bars.groups.values() for value in group.values())


def is_drawn_from(bars: Bars, path: Path) -> bool:
    return path.exists() and bars.digest in path.read_text(encoding="utf-8")


def describe(bars: Bars, choice: Sequence[str]) -> str:
    """The words of a figure for who doesn't see it: the values of ``choice``, group by group."""
    groups = [
        f"{title}: {', '.join(f'{name} {group[name]:{bars.shown}}' for name in choice if group.get(name) is not None)}"
        for title, group in bars.groups.items()
    ]
    return f"Bars, {bars.unit}. {'; '.join(groups)}.".replace("\n", " ")
