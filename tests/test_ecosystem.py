"""What the page of packages says is worth as much as its checks: of the swap, of the comparison, of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .ecosystem import page
from .ecosystem.packages import PACKAGES, Package
from .ecosystem.run import HERE, OURS, THEIRS, Run, compare, problems

FOREIGN = """
import pytest
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

class Own(SessionMiddleware):
    pass

@pytest.mark.parametrize("middleware", [SessionMiddleware, Own])
def test_it_is_ours(middleware):
    app = Starlette()
    app.add_middleware(middleware, secret_key="a key of somebody else's tests")
    with TestClient(app) as client:
        client.get("/")
    assert any(base.__module__.startswith("asgi_signed_session") for base in middleware.__mro__)

@pytest.fixture
def failing():
    yield
    raise RuntimeError("not put away")

def test_it_fails_to_tear_down(failing):
    pass

@pytest.mark.skip
def test_it_is_skipped():
    pass
"""


def run_foreign(folder: Path, middleware: str) -> dict[str, Any]:
    (folder / "test_foreign.py").write_text(FOREIGN)
    (folder / "pytest.ini").write_text("[pytest]\n")
    result = folder / "result.json"
    path = os.pathsep.join([str(HERE / "hook"), str(HERE.parents[1] / "src")])
    environment = {"PYTHONPATH": path, "SESSION_MIDDLEWARE": middleware, "SESSION_RESULT": str(result)}
    command = (sys.executable, "-m", "pytest", "-q", "-p", "session_swap", "-p", "no:cacheprovider")
    subprocess.run(command, cwd=folder, env=os.environ | environment, check=False, capture_output=True)
    return dict(json.loads(result.read_text()))


@pytest.mark.parametrize(("middleware", "outcome"), [(THEIRS, "failed"), (OURS, "passed")])
def test_whoever_imports_starlettes_gets_the_one_that_is_asked_for_and_its_connections_count(
    tmp_path: Path, middleware: str, outcome: str
) -> None:
    found = run_foreign(tmp_path, middleware)

    assert found == {
        "connections": 2,
        "outcomes": {
            "test_foreign.py::test_it_is_ours[SessionMiddleware]": outcome,
            "test_foreign.py::test_it_is_ours[Own]": outcome,
            "test_foreign.py::test_it_fails_to_tear_down": "failed",
            "test_foreign.py::test_it_is_skipped": "skipped",
        },
    }


def test_what_does_not_come_out_alike_is_a_difference() -> None:
    theirs = Run({"same": "passed", "mended": "failed", "broken": "passed", "gone": "passed"}, 4)
    ours = Run({"same": "passed", "mended": "passed", "broken": "failed", "new": "passed"}, 4)

    assert compare(theirs, ours) == {
        "broken": ["passed", "failed"],
        "gone": ["passed", "not run"],
        "mended": ["failed", "passed"],
        "new": ["not run", "passed"],
    }


def result(**other: Any) -> dict[str, Any]:
    found = {"ours": {"passed": 2}, "theirs": {"passed": 2}, "connections": 2, "differences": {}}
    return {**found, "version": "1.0", "starlette": "1.10", "python": "CPython 3.11", "date": "2026-11-28", **other}


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"differences": {"a": ["failed", "passed"]}}, []),
        ({"differences": {}}, ["p: a: no difference; expected: failed on Starlette's, passed on ours"]),
        (
            {"differences": {"a": ["failed", "passed"], "b": ["passed", "failed"]}},
            ["p: b: passed on Starlette's, failed on ours; expected: no difference"],
        ),
        ({"differences": {"a": ["failed", "passed"]}, "connections": 0}, ["p: ours was never used"]),
        ({"differences": {"a": ["failed", "passed"]}, "ours": {"failed": 2}}, ["p: no test passes on ours"]),
    ],
)
def test_whatever_is_not_as_expected_is_a_problem(found: dict[str, Any], problem: list[str]) -> None:
    assert problems(Package("p", repaired=("a",)), result(**found)) == problem


def test_what_is_known_to_fail_on_ours_is_no_problem_until_it_passes() -> None:
    package = Package("p", broken=("a",))

    assert problems(package, result(differences={"a": ["passed", "failed"]})) == []
    assert problems(package, result()) == ["p: a: no difference; expected: passed on Starlette's, failed on ours"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_committed_results_are_as_expected(package: Package) -> None:
    assert problems(package, page.load()[package.name]) == []


def test_the_page_is_as_the_committed_results_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")

    assert page.with_table(text, page.load()) == text


def test_the_two_that_the_readme_says_are_repaired_are_so_in_their_newest_versions() -> None:
    newest = [package.name for package in PACKAGES if "<" not in package.asks]

    repaired = [name for name in newest if ["failed", "passed"] in page.load()[name]["differences"].values()]

    assert repaired == ["python-fasthtml", "sqladmin"]


def test_a_page_that_is_older_than_its_results_is_found_and_mended(tmp_path: Path) -> None:
    shown, results = tmp_path / "page.md", tmp_path / "results.json"
    shown.write_text(f"before\n{page.START}\n{page.END}\nafter\n")
    name = PACKAGES[0].name
    page.save({name: result()}, results)
    page.update(shown, results)
    written = shown.read_text()

    page.save({name: result(theirs={"passed": 1, "failed": 1})}, results)

    assert f"| {name} | 1.0 | 1.10 | its own | 2 of 2 | 2 of 2 | none |" in written.splitlines()
    assert page.with_table(written, page.load(results)) != written
    page.update(shown, results)
    assert page.with_table(shown.read_text(), page.load(results)) == shown.read_text()


def test_results_of_some_packages_leave_those_of_others(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    first, second = (package.name for package in PACKAGES[:2])
    page.save({second: result()}, results)

    page.save({first: result(connections=3)}, results)

    assert page.load(results) == {first: result(connections=3), second: result()}
    assert list(page.load(results)) == [first, second]
