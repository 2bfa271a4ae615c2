"""What the benchmark says is worth as much as its checks: of answers before they are timed, of the README after."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import figure, readme
from benchmarks.asgi import call, cookies_sent
from benchmarks.results import REQUIRED, missed_targets, save
from benchmarks.scenarios import SCENARIOS, Scenario, fresh, judge, read, visitor
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, Subject

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("subject", [NONE, OURS], ids=lambda subject: subject.name)
def test_ours_and_the_floor_answer_every_scenario_rightly(scenario: Scenario, subject: Subject) -> None:
    assert judge(scenario, subject) is None


@pytest.mark.parametrize(
    ("subject", "scenario", "words"),
    [
        (STARLETTE, "read, cookie", None),
        (STARLETTE, "nested, changed", "loses the change"),
        (STARLETTE, "websocket, written", "loses the change"),
        (STARLETTE, "third fallback, read", "loses the session"),  # it has no fallbacks
        (LIMIT, "write, cookie", None),
        (LIMIT, "bad signature, read", None),
        (LIMIT, "nested, changed", "loses the change"),
    ],
)
def test_a_wrong_answer_gets_words_instead_of_a_figure(subject: Subject, scenario: str, words: str | None) -> None:
    assert judge(BY_NAME[scenario], subject) == words


def test_a_subject_that_takes_any_signature_is_found_out() -> None:
    gullible = Subject("gullible", lambda app, _key, _fallbacks: OURS.wrap(app, "the only key, whatever is asked", ()))

    assert judge(BY_NAME["bad signature, read"], gullible) == "accepts it"


def test_every_visitor_has_her_own_cookie_and_session() -> None:
    scenario = Scenario("", "", read, visitor)
    scopes = [fresh(scope) for scope in scenario.scopes(OURS, 1_000)]
    app = scenario.app(OURS)

    for scope in scopes:
        call(app, scope)

    assert len({cookies_sent(scope)["session"] for scope in scopes}) == 1_000
    assert [scope["state"]["answer"] for scope in scopes] == [visitor(number)["user_id"] for number in range(1_000)]


def overhead(median: float, ratio: float) -> dict[str, Any]:
    return {"overhead_ns": spread(median, 100), "ratio": spread(ratio, 0.01)}


def spread(median: float, width: float) -> dict[str, float]:
    return {"median": median, "low": median - width, "high": median + width}


def results(ratio: float = 0.5, target: float | None = 0.6) -> dict[str, Any]:
    figures = {"ours": overhead(2_000 * ratio, ratio), "Starlette": overhead(2_000, 1), "limit": "loses the change"}
    share = {"of_bare": {"median": 0.9}, "p99_ms": {"median": 2.5}}
    return {
        "environment": {
            "python": "CPython 3.11.7",
            "cpu": "a CPU",
            "date": "2026-11-22",
            "versions": {"starlette": "1"},
        },
        "scenarios": {"read, cookie": {"why": "", "target": target, "figures": figures}},
        "growth": {"size": {}, "cookies": {}, "fallbacks": {}},
        "memory": {"read, cookie": {"ours": 1_000, "Starlette": 2_000}},
        "end_to_end": {"/read": {"none": share, "ours": share, "Starlette": share}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Committed results, with a README and a figure made from them."""
    for name in REQUIRED:
        save(results(), tmp_path / f"{name}.json")
    text = f"before\n{readme.START}\n{readme.END}\nafter\n"
    committed = dict.fromkeys(REQUIRED, results())
    (tmp_path / "README.md").write_text(readme.with_section(text, committed), encoding="utf-8")
    (tmp_path / "growth.svg").write_text(figure.digest(results()["growth"]), encoding="utf-8")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return readme.problems(folder / "README.md", folder / "growth.svg", folder)


def test_a_readme_made_from_the_results_has_no_problems(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")

    assert problems(folder) == []
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert (
        "| read, cookie | 1.0 ± 0.1 | 2.0 ± 0.1 | **0.50** ± 0.01 | - | - | - | loses the change |" in text.splitlines()
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_a_readme_older_than_any_of_the_results_is_a_problem(folder: Path, name: str) -> None:
    save(results(ratio=0.4), folder / f"{name}.json")

    assert problems(folder) == ["README.md is older than the results"]


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_results_are_a_problem(folder: Path, name: str) -> None:
    (folder / f"{name}.json").unlink()

    [problem] = problems(folder)

    assert problem.startswith("FileNotFoundError")
    assert name in problem


def test_a_readme_without_the_section_is_a_problem(folder: Path) -> None:
    (folder / "README.md").write_text("no markers", encoding="utf-8")

    [problem] = problems(folder)

    assert problem.startswith("LookupError")


def test_a_figure_of_other_results_is_a_problem(folder: Path) -> None:
    (folder / "growth.svg").write_text("<svg/>", encoding="utf-8")

    assert problems(folder) == ["growth.svg is older than the results"]


def test_where_ours_is_not_faster_is_said() -> None:
    committed = {**dict.fromkeys(REQUIRED, results()), "cpython-3.13": results(ratio=1.2)}

    assert "Where ours is not faster: read, cookie against Starlette (CPython 3.13)." in readme.section(committed)


def test_a_missed_target_is_named_with_both_figures() -> None:
    assert missed_targets(results(ratio=0.5, target=0.6)) == []
    assert missed_targets(results(ratio=0.7, target=0.6)) == ["read, cookie: 0.70, at most 0.60"]
    assert missed_targets(results(ratio=0.7, target=None)) == []
