"""What the benchmark says is worth as much as its checks: of answers before they are timed, of the README after."""

import io
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figure, readme, window
from benchmarks.asgi import call, cookies_sent
from benchmarks.results import REQUIRED, missed_targets, save
from benchmarks.scenarios import SCENARIOS, Scenario, fresh, judge, read, visitor
from benchmarks.stores import CHOSEN, Visits, measure_stores
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, Subject

from .daemons import has_redis

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


def stored(median: float) -> dict[str, Any]:
    return {"overhead_ns": spread(median, 100), "ratio": None}


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
        "stores": {
            "versions": {"redis-server": "7"},
            "scenarios": {
                "read, cookie": {
                    "commands": {"ours": {"get": 2, "set": 1}, "ours, bare store": {"get": 1}, "starsessions": {}},
                    "Redis": {"ours": stored(1_000), "ours, bare store": stored(900), "starsessions": stored(2_000)},
                    "memory": {"ours": stored(3_000), "starsessions": stored(1_000), "Litestar": "loses the change"},
                }
            },
            "window": {
                "changes": 1_000,
                "median_ms": 0.25,
                "p99_ms": 0.4,
                "lost": {"read": False, "look": False, "write": True},
            },
        },
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

    assert "Where ours is not faster, or not clearly: read, cookie against Starlette (CPython 3.13)." in readme.section(
        committed
    )


def test_medians_apart_are_a_draw_where_the_middle_rounds_overlap() -> None:
    section = readme.section(dict.fromkeys(REQUIRED, results(ratio=0.96)))
    apart = readme.section(dict.fromkeys(REQUIRED, results(ratio=0.89)))

    assert "Where ours is not faster, or not clearly: read, cookie against Starlette (CPython 3.11), " in section
    assert "Where ours is not faster, or not clearly: nowhere in these tables." in apart


def test_where_ours_is_not_faster_in_the_figure_is_said() -> None:
    growth = {
        "size": {"50": {"ours": overhead(1_000, 0.5), "Starlette": overhead(2_000, 1)}},
        "cookies": {},
        "fallbacks": {
            "0": {"ours": overhead(1_000, 0.5), "Starlette": overhead(2_000, 1)},
            "6": {"ours": overhead(1_900, 0.95), "Starlette": "loses the session"},
            "7": {"ours": overhead(1_980, 0.99), "Starlette": "loses the session"},
            "8": {"ours": overhead(2_100, 1.05), "Starlette": "loses the session"},
        },
    }
    committed = {**dict.fromkeys(REQUIRED, results()), "cpython-3.11": {**results(), "growth": growth}}

    said = "Where ours is not faster than Starlette in the figure: 7, 8 fallback keys (Starlette: none)."
    assert said in readme.section(committed).splitlines()


# Server-side sessions


def test_the_readme_has_commands_times_and_the_window_of_server_side_sessions() -> None:
    lines = readme.section(dict.fromkeys(REQUIRED, results())).splitlines()

    assert (
        "| read, cookie | 2 get + set: 1.0 ± 0.1 | get: 0.9 ± 0.1 | none: 2.0 ± 0.1 | - "
        "| 3.0 ± 0.1 | - | 1.0 ± 0.1 | loses the change |" in lines
    )
    assert (
        "Where ours, on py-key-value's store, is not faster, or not clearly. "
        "In memory, against starsessions: read, cookie." in lines
    )
    assert (
        "A sign-out during a request that changes the session: before its read it holds, before its look it holds, "
        "before its write it is lost. From the look, which sees whether the record is still there, to the write "
        "0.25 ms pass with Redis (median of 1,000 changes, one at a time, by its own clock; 99th percentile 0.40 ms)."
        in lines
    )


def test_a_readme_from_a_machine_without_redis_says_so() -> None:
    without = {**results(), "stores": {"skipped": "redis-server isn't installed"}}

    section = readme.section({**dict.fromkeys(REQUIRED, results()), "cpython-3.11": without})

    assert "Server-side sessions: not measured, redis-server isn't installed." in section.splitlines()


def test_the_terminal_says_what_was_skipped() -> None:
    pytest.importorskip("rich", reason="rich is not installed")
    from rich.console import Console

    from benchmarks.report import show

    skipped = {"stores": {"skipped": "no redis-server"}, "end_to_end": {"skipped": "no wrk"}}
    console = Console(record=True, width=120, file=io.StringIO())

    show({"environment": results()["environment"], **skipped}, console)

    lines = console.export_text().splitlines()
    assert [line.rstrip() for line in lines if "skipped" in line] == [
        "Server-side sessions: skipped, no redis-server",
        "End to end: skipped, no wrk",
    ]


def test_a_sign_out_is_lost_between_the_look_and_the_write_alone() -> None:
    assert {call: window.is_lost(call) for call in window.CALLS} == {"read": False, "look": False, "write": True}


def test_redis_counts_what_each_peer_asks_it() -> None:
    if not has_redis():
        pytest.skip("redis-server is not installed")

    measured = measure_stores(Visits(rounds=1, batch=1, changes=10), lambda steps, _part: steps)

    assert {name: entry["commands"]["ours"] for name, entry in measured["scenarios"].items()} == {
        "untouched, no cookie": {},
        "untouched, cookie": {"get": 1},
        "read, no cookie": {},
        "read, cookie": {"get": 1},
        "write, no cookie": {"set": 1},
        "write, cookie": {"get": 2, "set": 1},
        "cleared": {"get": 1, "del": 1},
    }
    counted = measured["scenarios"]["write, cookie"]["commands"]
    assert counted.pop("ours") == counted.pop("ours, bare store")
    # A peer whose store isn't in this Redis would have nothing here.
    assert [commands for commands in counted.values() if commands != {"get": 1, "set": 1}] == []
    assert set(measured["scenarios"]) == CHOSEN
    assert measured["window"]["changes"] == 10


def test_a_missed_target_is_named_with_both_figures() -> None:
    assert missed_targets(results(ratio=0.5, target=0.6)) == []
    assert missed_targets(results(ratio=0.7, target=0.6)) == ["read, cookie: 0.70, at most 0.60"]
    assert missed_targets(results(ratio=0.7, target=None)) == []
