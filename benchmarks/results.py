"""A run's results: what was measured, with what, and where it is kept."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.subjects import SUBJECTS

FOLDER = Path(__file__).with_name("results")
# What the tables in README and docs are made from, so what has to be there.
REQUIRED: tuple[str, ...] = ("cpython-3.11", "cpython-3.13", "cpython-3.11-orjson")
# What the subjects and the server run on.
UNDERNEATH = (
    *("itsdangerous", "asgi-tools", "pyjwt", "cryptography", "msgspec", "orjson"),
    *("fastapi", "uvicorn", "httptools", "uvloop"),
)


def environment(serializer: str) -> dict[str, Any]:
    """What has to be known to repeat a run; nothing that names the machine."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": f"{cpu_model()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "date": today(),
        "serializer": serializer,
        "versions": versions(),
    }


def today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


def versions() -> dict[str, str]:
    peers = [subject.distribution for subject in SUBJECTS if subject.distribution]
    return {name: found for name in (*peers, *UNDERNEATH) if (found := installed_version(name))}


def installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def committed_file(serializer: str) -> Path:
    """Where this Python's belong, as in ``REQUIRED``: ``cpython-3.11.json``, ``cpython-3.11-orjson.json``."""
    name = f"{platform.python_implementation().lower()}-{sys.version_info.major}.{sys.version_info.minor}"
    return FOLDER / (f"{name}.json" if serializer == "json" else f"{name}-{serializer}.json")


def save(results: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def save_parts(results: dict[str, Any], path: Path) -> None:
    """Puts the parts that were measured in the place of those there. The environment is that of the scenarios."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = results if "scenarios" in results or not kept else {**results, "environment": kept["environment"]}
    save({**kept, **parts}, path)


def load_committed(folder: Path = FOLDER, names: Sequence[str] = REQUIRED) -> dict[str, dict[str, Any]]:
    """Results by name; raises ``FileNotFoundError`` for a missing one."""
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def missed_targets(results: dict[str, Any]) -> list[str]:
    """One line for each scenario whose ratio to Starlette, as it is shown, is above what was to be reached."""
    measured = [
        (name, entry["target"], ratio_of(entry["figures"].get("ours"))) for name, entry in scenarios_of(results)
    ]
    return [
        f"{name}: {ratio:.2f}, at most {target:.2f}"
        for name, target, ratio in measured
        if target and ratio and round(ratio, 2) > target
    ]


def scenarios_of(results: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(results.get("scenarios", {}).items())


def ratio_of(figures: Any) -> float | None:
    """The median ratio to Starlette; ``None`` where one of the two has no figure."""
    if not isinstance(figures, dict) or not figures.get("ratio"):
        return None
    return float(figures["ratio"]["median"])


def cell(figures: Any) -> str:
    """Microseconds with half the spread of the middle rounds; or the words that stand in place of a figure."""
    if not isinstance(figures, dict):
        return str(figures or "-")
    summary = figures["overhead_ns"]
    spread = (summary["high"] - summary["low"]) / 2
    return f"{summary['median'] / 1000:.1f} ± {spread / 1000:.1f}"


def commands(entry: dict[str, Any], subject: str) -> str:
    """What a store's server was asked for a request: ``2 get + set``."""
    counted = entry["commands"][subject].items()
    return " + ".join(name if count == 1 else f"{count:g} {name}" for name, count in counted) or "none"


def stored_cell(entry: dict[str, Any], subject: str, place: str) -> str:
    """As ``cell``, of a scenario with stores."""
    return cell(entry.get(place, {}).get(subject))


def wrong(figures: Any) -> str:
    """How often it went wrong; or the words that stand in place of that."""
    return f"{figures['wrong']} of {figures['of']}" if isinstance(figures, dict) else str(figures or "-")


def lost(figures: Any) -> str:
    """How many changes were lost: the median and, where they were kept, the least and the most of all runs."""
    if figures is None:
        return "-"
    spread = f" ({figures['least']} to {figures['most']})" if "least" in figures else ""
    return f"{figures['lost']:g} of {figures['of']}{spread}"


def columns_of(correctness: dict[str, Any]) -> list[str]:
    return list(next(iter(correctness["cases"].values())))


def lines_of_bytes(stores: dict[str, Any]) -> list[tuple[str, str]]:
    """What is in a session, and what that takes, by subject and place."""
    return [
        (
            content,
            ", ".join(f"{name} in {place} {size:,}" for place, sizes in places.items() for name, size in sizes.items()),
        )
        for content, places in stores["bytes"].items()
    ]
