"""The growth of the overhead as an SVG figure that can be read on a light and on a dark page."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.growth import AXES, Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Middle tones, which stand out from white as from black; nothing is painted behind them.
TEXT = "#737b86"
LINES = {"Starlette": ("#db6d28", "-"), "ours": ("#2f81f7", "-"), "limit": (TEXT, ":")}
STYLE: Any = {
    "svg.hashsalt": "",  # the same results give the same file
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT),
}


def draw(growth: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl  # Here, as checking a figure needs none of it.
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.2), layout="constrained")
        panels = figure.subplots(1, len(AXES), sharey=True)
        for panel, axis in zip(panels, AXES, strict=True):
            draw_panel(panel, axis, growth[axis.name])
        panels[0].set_ylabel("overhead of reading a session, µs")
        panels[0].set_ylim(bottom=0)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Description": digest(growth)})


def draw_panel(panel: "Axes", axis: Axis, steps: dict[str, Any]) -> None:
    for name, (colour, style) in LINES.items():
        points = measured(steps, name)
        if len(points) == 1:  # Whoever has no fallbacks has one figure, drawn across to compare.
            panel.axhline(points[0][1], color=colour, linestyle=style, alpha=0.5)
        else:
            shown, overheads = zip(*points, strict=True)
            panel.plot(shown, overheads, color=colour, linestyle=style, label=name, marker="o", markersize=3)
    panel.set_xlabel(axis.unit)
    panel.locator_params(axis="x", nbins=6)  # so that the numbers don't touch
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(visible=True, alpha=0.25, color=TEXT)


def measured(steps: dict[str, Any], name: str) -> list[tuple[int, float]]:
    """Steps and microseconds, where the answer was right."""
    figures = [(int(step), subjects.get(name)) for step, subjects in steps.items()]
    return [(step, entry["overhead_ns"]["median"] / 1000) for step, entry in figures if isinstance(entry, dict)]


def is_drawn_from(growth: dict[str, Any], path: Path) -> bool:
    return path.exists() and digest(growth) in path.read_text(encoding="utf-8")


def digest(growth: dict[str, Any]) -> str:
    """What a figure carries to show from which results it was drawn."""
    return hashlib.sha256(json.dumps(growth, sort_keys=True).encode()).hexdigest()
