"""Runs a package's tests on Starlette's middleware and on ours, in an environment of its own, and compares."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .packages import Package

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
THEIRS, OURS = "Starlette's", "ours"
LONGEST = 900  # seconds, for one run of one package's tests


class Run(NamedTuple):
    """What the plugin wrote down: the outcome of each test, and how many connections the middleware has served."""

    outcomes: dict[str, str]
    connections: int


def try_package(package: Package, wheel: Path, folder: Path) -> dict[str, Any]:
    """What is kept of both runs."""
    python = make_environment(folder / "environment", (package.asks or package.name, *package.needs, str(wheel)))
    versions = read_versions(python)
    distribution = re.split(r"[<\[ ]", package.name)[0]
    places = find_tests(package, f"{distribution}=={versions[normalize(distribution)]}", folder)
    theirs, ours = (run_tests(python, places, middleware, folder) for middleware in (THEIRS, OURS))
    return {
        "version": versions[normalize(distribution)],
        "starlette": versions["starlette"],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "theirs": dict(Counter(theirs.outcomes.values())),
        "ours": dict(Counter(ours.outcomes.values())),
        "connections": ours.connections,
        "differences": compare(theirs, ours),
    }


def compare(theirs: Run, ours: Run) -> dict[str, list[str]]:
    """The tests that don't come out alike, with both outcomes."""
    tests = sorted(theirs.outcomes.keys() | ours.outcomes.keys())
    both = {test: [run.outcomes.get(test, "not run") for run in (theirs, ours)] for test in tests}
    return {test: outcomes for test, outcomes in both.items() if len(set(outcomes)) > 1}


def problems(package: Package, result: dict[str, Any]) -> list[str]:
    """What isn't as it has to be."""
    found = []
    if not result["ours"].get("passed"):
        found.append("no test passes on ours")
    if not result["connections"]:
        found.append("ours was never used")
    expected = {test: ["failed", "passed"] for test in package.repaired}
    expected |= {test: ["passed", "failed"] for test in package.broken}
    for test in sorted(result["differences"].keys() | expected.keys()):
        outcomes = result["differences"].get(test)
        if outcomes != expected.get(test):
            found.append(f"{test}: {describe(outcomes)}; expected: {describe(expected.get(test))}")
    return [f"{package.name}: {problem}" for problem in found]


def describe(outcomes: list[str] | None) -> str:
    return "no difference" if outcomes is None else "{} on Starlette's, {} on ours".format(*outcomes)


def make_environment(folder: Path, requirements: tuple[str, ...]) -> Path:
    """Makes a virtual environment with these installed, and gives its Python."""
    call(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "pytest", *requirements)
    return python


def read_versions(python: Path) -> dict[str, str]:
    listed = json.loads(pip("--python", str(python), "list", "--format=json"))
    return {normalize(each["name"]): each["version"] for each in listed}


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def find_tests(package: Package, pinned: str, folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """The folders that hold tests, each with pytest's arguments there."""
    places: list[tuple[Path, tuple[str, ...]]] = []
    if package.own:
        sdist = unpack_sdist(pinned, folder / "sdist")
        if package.fixtures:
            shutil.copytree(HERE / "fixtures" / package.fixtures, sdist, dirs_exist_ok=True)
        places.append((sdist, package.own))
    if package.app:
        (folder / "app").mkdir()
        for name in ("conftest.py", package.app):
            shutil.copy(HERE / "apps" / name, folder / "app")
        (folder / "app" / "pytest.ini").write_text("[pytest]\n")  # it isn't the settings of a folder above that count
        places.append((folder / "app", (package.app,)))
    return places


def unpack_sdist(pinned: str, folder: Path) -> Path:
    pip("download", "--no-deps", "--no-binary", pinned.partition("==")[0], "--dest", str(folder), pinned)
    [sdist] = folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, folder)
    return folder / sdist.name.removesuffix(".tar.gz")


def run_tests(python: Path, places: list[tuple[Path, tuple[str, ...]]], middleware: str, folder: Path) -> Run:
    outcomes: dict[str, str] = {}
    connections = 0
    for place, arguments in places:
        result = folder / "result.json"
        result.unlink(missing_ok=True)
        environment = {
            "PYTHONPATH": str(HERE / "hook"),
            "SESSION_MIDDLEWARE": middleware,
            "SESSION_RESULT": str(result),
        }
        command = (str(python), "-m", "pytest", "-q", "-p", "session_swap", "-p", "no:cacheprovider", *arguments)
        said = call(*command, cwd=place, environment=environment, successes=(0, 1))  # 1: a test has failed
        assert result.exists(), said
        found = json.loads(result.read_text(encoding="utf-8"))
        outcomes |= found["outcomes"]
        connections += found["connections"]
    return Run(outcomes, connections)


def build_wheel(folder: Path) -> Path:
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


def pip(*arguments: str) -> str:
    return call(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def call(*command: str, cwd: Path = ROOT, environment: Any = None, successes: tuple[int, ...] = (0,)) -> str:
    """Runs a command and gives what it printed; a failure is an error with all that it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if done.returncode not in successes:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
