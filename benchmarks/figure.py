"""The growth of the overhead as an SVG figure that can be read on a light and on a dark page, and on a phone."""

import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.growth import AXES, Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = "#59636e"  # on a light page; nothing is painted behind it
ON_DARK = "#b7bfc9"
WIDTH = 4.4  # inches; a browser shows 422 px, of which a phone has most, so that it hardly shrinks the letters
# The other colours are middle tones, which stand out from white and from black.
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
        figure = Figure(figsize=(WIDTH, 1.9 * len(AXES)), layout="constrained")
        panels = figure.subplots(len(AXES), 1, sharey=True)
        for panel, axis in zip(panels, AXES, strict=True):
            draw_panel(panel, axis, growth[axis.name])
        panels[0].set_ylim(bottom=0)
        figure.supylabel("overhead of reading a session, µs", fontsize="medium")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        save(figure, digest(growth), path)


def save(figure: "Figure", drawn_from: str, path: Path) -> None:
    """As SVG, whose text and axes have another colour on a dark page."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Description": drawn_from})
    on_dark = "".join(f'[style*="{kind}: {TEXT}"]{{{kind}: {ON_DARK} !important}}' for kind in ("fill", "stroke"))
    style = f"@media (prefers-color-scheme: dark){{{on_dark}}}</style>"
    path.write_text(file.getvalue().replace("</style>", style, 1), encoding="utf-8")


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
