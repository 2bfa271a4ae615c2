"""What the benchmark says is worth as much as its checks: of answers before they are timed, of the README after."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import howtos, page, readme
from benchmarks.alone import CHOSEN as CHOSEN_ALONE
from benchmarks.alone import QUICK as QUICK_PROCESSES
from benchmarks.alone import measure_alone
from benchmarks.asgi import call, cookies_sent
from benchmarks.bars import Bars, describe
from benchmarks.correctness import CASES, Browser, measure_correctness
from benchmarks.harness import Plan
from benchmarks.million import measure_million
from benchmarks.origins import FORMS, WITH, WITHOUT, checking, measure_origins
from benchmarks.parts import ON_REQUEST, PARTS, wants
from benchmarks.results import REQUIRED, load_committed, missed_targets, ratio_of, save, save_parts, scenarios_of
from benchmarks.scenarios import SCENARIOS, Scenario, fresh, judge, read, visitor
from benchmarks.serializers import SESSIONS, measure_serializers
from benchmarks.stores import AT_ONCE, CHOSEN, CHOSEN_AT_ONCE, Visits, measure_stores
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE, Subject
from benchmarks.unshown import NAMES
from benchmarks.whole import ENDPOINTS, Endpoint, measure_whole
from benchmarks.window import DISK, PROCESSES, SQLITE, count_lost, measure_window

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
            "serializer": "json",
            "versions": {"starlette": "1"},
        },
        "scenarios": {"read, cookie": {"why": "", "target": target, "figures": figures}},
        "growth": {"size": {}, "cookies": {}, "fallbacks": {}},
        "memory": {"read, cookie": {"ours": 1_000, "Starlette": 2_000}},
        "stores": {
            "date": "2026-11-21",
            "versions": {"redis-server": "7"},
            "scenarios": {
                "read, cookie": {
                    "commands": {"ours": {"get": 1, "evalsha": 1}, "starsessions": {}},
                    "Redis": {"ours": stored(1_000), "starsessions": stored(2_000)},
                    "memory": {"ours": stored(3_000), "starsessions": stored(1_000), "Litestar": "loses the change"},
                    "SQLite": {"ours": stored(4_000)},
                },
                "read, 20 at once": {"commands": {"ours": {"get": 1}}, "Redis": {"ours": stored(900)}},
            },
            "bytes": {"2 kB": {"Redis": {"ours": 2_600, "starsessions": 2_700}, "SQLite": {"ours": 4_200}}},
        },
        "correctness": {
            "date": "2026-11-20",
            "cases": {
                readme.LOST: {"ours, Redis": {"wrong": 0, "of": 6}, "Starlette, cookie": {"wrong": 5, "of": 6}},
                "sign-out": {"ours, Redis": {"wrong": 1, "of": 40}, "Starlette, cookie": "has no way"},
            },
        },
        "end_to_end": {"/read": {"none": share, "ours": share, "Starlette": share}},
    }


def whole(endpoint: str) -> dict[str, Any]:
    figures = {
        name: {"time_ns": spread(time, 100), "of_starlette": spread(share, 0.01)}
        for name, time, share in (("none", 41_000, 0.65), ("ours", 45_000, 0.71), ("Starlette", 63_000, 1))
    }
    return {"date": "2026-11-23", "endpoints": {endpoint: figures}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Committed results, with a README made from them."""
    for name in REQUIRED:
        save(results(), tmp_path / f"{name}.json")
    text = f"before\n{readme.START}\n{readme.END}\nafter\n"
    committed = dict.fromkeys(REQUIRED, results())
    (tmp_path / "README.md").write_text(readme.with_section(text, committed), encoding="utf-8")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return readme.problems(folder / "README.md", folder)


def test_a_readme_made_from_the_results_has_no_problems(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")

    assert problems(folder) == []
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")


def test_the_readme_has_what_a_session_costs_in_ours_and_in_starlettes_and_how_much_is_lost() -> None:
    lines = readme.section(results()).splitlines()

    assert lines[:7] == [
        "|  | ours | Starlette | ours / Starlette |",
        "| --- | --: | --: | --: |",
        "| A whole FastAPI request: session left alone, µs | not measured yet | not measured yet | - |",
        "| A whole FastAPI request: session read, µs | not measured yet | not measured yet | - |",
        "| A whole FastAPI request: session changed, µs | not measured yet | not measured yet | - |",
        "| The middleware alone: session read, µs | 1.0 ± 0.1 | 2.0 ± 0.1 | **0.50** ± 0.01 |",
        "| Six changes at once: lost | 0 of 6, with a store (Redis) | 5 of 6 | - |",
    ]
    assert lines[8].endswith(
        "CPython 3.11.7, Starlette 1, a CPU, 2026-11-20, 2026-11-22. `make bench` measures it anew."
    )


def test_the_readme_has_a_whole_request_where_it_was_measured() -> None:
    lines = readme.section({**results(), "whole": whole("reads the session")}).splitlines()

    row = "| A whole FastAPI request: session read, µs | 45.0 ± 0.1 | 63.0 ± 0.1 | **0.71** ± 0.01 |"
    assert row in lines
    assert "| A whole FastAPI request: session changed, µs | not measured yet | not measured yet | - |" in lines


def test_the_committed_table_has_at_most_eight_rows_and_four_columns() -> None:
    table = [line for line in readme.section(load_committed()["cpython-3.11"]).splitlines() if line.startswith("|")]

    assert len(table) - 2 <= 8
    assert {line.count("|") - 1 for line in table} == {4}


def test_the_readme_of_this_repository_is_as_the_committed_results_say() -> None:
    assert readme.problems() == []


@pytest.mark.parametrize("name", ["cpython-3.11", "cpython-3.13"])
def test_the_share_of_starlettes_cost_that_the_readme_names_is_what_was_measured(name: str) -> None:
    scenarios = dict(scenarios_of(load_committed()[name]))
    left_alone, read = (scenarios[each]["figures"]["ours"] for each in ("untouched, cookie", "read, cookie"))

    assert (ratio_of(left_alone) or 1) < 1 / 10
    assert (ratio_of(read) or 1) < 2 / 3


def test_a_readme_older_than_the_results_is_a_problem(folder: Path) -> None:
    save(results(ratio=0.4), folder / "cpython-3.11.json")

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


# The page of the documentation


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A page with every part but no figures in it, beside committed results."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    steps = {
        step: {"ours": overhead(1_000, 0.5), "Starlette": overhead(2_000, 1), "limit": stored(500)} for step in "12"
    }
    growth = {"size": steps, "cookies": steps, "fallbacks": steps}
    for name in REQUIRED:
        save({**results(), "growth": growth}, tmp_path / f"{name}.json")
    parts = "".join(f"<!-- {name}:start -->\n<!-- {name}:end -->\n" for name in page.PARTS)
    (tmp_path / "benchmarks.md").write_text(f"before\n{parts}after\n", encoding="utf-8")
    return tmp_path


def test_a_page_is_right_once_it_is_written_and_older_once_the_results_are_others(written: Path) -> None:
    file = written / "benchmarks.md"
    stale = [*page.problems(file, written)]

    page.update(file, written)

    assert "benchmarks.md is older than the results" in stale
    assert page.problems(file, written) == []
    text = file.read_text(encoding="utf-8")
    assert (text.startswith("before\n"), text.endswith("\nafter\n")) == (True, True)
    committed = json.loads((written / f"{REQUIRED[0]}.json").read_text(encoding="utf-8"))
    save({**committed, "scenarios": results(ratio=0.4)["scenarios"]}, written / f"{REQUIRED[0]}.json")
    assert page.problems(file, written) == [
        "benchmarks.md is older than the results",
        "overhead.svg is older than the results",
    ]


def test_the_page_and_its_figures_are_as_the_committed_results_say() -> None:
    assert page.problems() == []


def test_a_page_with_a_figure_of_other_results_is_a_problem(written: Path) -> None:
    page.update(written / "benchmarks.md", written)
    (written / "figures" / "growth.svg").write_text("<svg/>", encoding="utf-8")

    assert page.problems(written / "benchmarks.md", written) == ["growth.svg is older than the results"]


def test_where_ours_is_not_faster_is_said() -> None:
    runs = {**dict.fromkeys(REQUIRED, results()), "cpython-3.13": results(ratio=1.2)}

    assert (
        "- In one process, CPython 3.11.7: read, cookie, against Starlette." in page.not_faster_part(runs).splitlines()
    )


def test_medians_apart_are_a_draw_where_the_middle_rounds_overlap() -> None:
    overlapping, apart = (
        page.not_faster_part({name: {**results(ratio=ratio), "stores": {}} for name in REQUIRED})
        for ratio in (0.96, 0.89)
    )

    assert "- In one process, CPython 3.11.7: read, cookie, against Starlette." in overlapping.splitlines()
    assert apart == "Nothing in these tables."


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
    runs = {**dict.fromkeys(REQUIRED, results()), "cpython-3.11": {**results(), "growth": growth}}

    said = "Ours is not faster than Starlette here: 7, 8 fallback keys (Starlette: none)."
    assert said in page.growth_part(runs).splitlines()


def test_every_step_of_the_figure_where_ours_is_not_faster_is_among_what_is_not_faster() -> None:
    steps = {"1": {"ours": overhead(2_100, 1.05), "Starlette": overhead(2_000, 1)}}
    growth = {"size": {}, "cookies": steps, "fallbacks": {}}
    runs = {**dict.fromkeys(REQUIRED, results()), "cpython-3.11": {**results(), "growth": growth}}

    said = "- As the session grows, against Starlette: 1 cookies in the request."
    assert said in page.not_faster_part(runs).splitlines()


def test_a_page_that_lacks_a_part_is_a_problem(written: Path) -> None:
    (written / "benchmarks.md").write_text("no parts", encoding="utf-8")

    [problem] = page.problems(written / "benchmarks.md", written)

    assert problem.startswith("LookupError")


def test_a_wrong_answer_has_no_time_but_a_row_of_its_own() -> None:
    runs = dict.fromkeys(REQUIRED, results())
    runs["cpython-3.11"]["scenarios"]["nested"] = {
        "why": "",
        "target": None,
        "figures": {"ours": overhead(1_000, 0.5), "Starlette": "loses the change"},
    }

    assert "| nested | 1.0 ± 0.1 | - | **0.50** ± 0.01 | - | - | - | - |" in page.scenarios_part(runs).splitlines()
    assert "| `nested` | right | loses the change | - | - | - |" in page.answers_part(runs).splitlines()
    assert page.answers_part(runs).endswith("All of them give the right answer to these: `read, cookie`.")


def test_what_was_not_measured_is_said() -> None:
    runs = dict.fromkeys(REQUIRED, results())

    assert page.whole_part(runs) == "Not measured yet. `make bench ARGS='--json --only whole'` measures it."
    assert page.alone_part(runs) == "Not measured yet. `make bench ARGS='--json --only alone'` measures it."


def test_the_words_of_a_figure_say_what_its_bars_show() -> None:
    bars = Bars("µs", {"the endpoint\nreads": {"ours": 57.2, "Starlette": 64.4, "Litestar": None}}, ".0f")

    assert describe(bars, bars.names) == "Bars, µs. the endpoint reads: ours 57, Starlette 64."


# The how-tos


def with_all() -> dict[str, Any]:
    """Results in which each part of the how-tos was measured."""
    sizes = {"json": {"bytes": 135, "time_ns": spread(2_100, 100)}, "Tagged()": {"bytes": 140, "time_ns": spread(9, 1)}}
    return {
        **results(),
        "serializers": {"date": "2026-11-24", "sessions": {"signed in": sizes, "five types": {}}},
        "origins": {"date": "2026-11-25", "forms": {"reads it": {"without": stored(1_000), "with": stored(2_000)}}},
        "window": {
            "date": "2026-11-26",
            "rounds": 3,
            "places": {
                SQLITE: {"2": {"lost": 0, "of": 400, "least": 0, "most": 0}},
                DISK: {"2": {"lost": 7.5, "of": 400}, "4": {"lost": 9, "of": 800, "least": 8, "most": 12}},
            },
        },
    }


@pytest.fixture
def how_tos(tmp_path: Path) -> Path:
    """The pages with every part but no figures in it, beside committed results."""
    for name in REQUIRED:
        save(with_all(), tmp_path / f"{name}.json")
    for name, parts in howtos.PAGES.items():
        text = "".join(f"<!-- {part}:start -->\n<!-- {part}:end -->\n" for part in parts)
        (tmp_path / name).write_text(f"---\nfront: matter\n---\nbefore\n{text}after\n", encoding="utf-8")
    return tmp_path


def test_how_tos_are_right_once_they_are_written_and_older_once_the_results_are_others(how_tos: Path) -> None:
    stale = howtos.problems(how_tos, how_tos)

    howtos.update(how_tos, how_tos)

    assert stale == [f"{name} is older than the results" for name in howtos.PAGES]
    assert howtos.problems(how_tos, how_tos) == []
    for name in howtos.PAGES:
        text = (how_tos / name).read_text(encoding="utf-8")
        assert text.startswith("---\nfront: matter\n---\nbefore\n")
        assert text.endswith("after\n")
    later = {**with_all(), "window": {"date": "2026-11-27", "rounds": 3, "places": {}}}
    save(later, how_tos / f"{REQUIRED[0]}.json")
    assert howtos.problems(how_tos, how_tos) == ["server-side.md is older than the results"]


def test_the_how_tos_of_this_repository_are_as_the_committed_results_say() -> None:
    assert howtos.problems() == []


def test_a_how_to_that_lacks_its_part_is_a_problem(how_tos: Path) -> None:
    (how_tos / "serializers.md").write_text("no parts", encoding="utf-8")

    [problem] = howtos.problems(how_tos, how_tos)

    assert problem.startswith("LookupError")


@pytest.mark.parametrize(
    ("page_name", "part", "rows"),
    [
        ("serializers.md", "serializers", ["| `json` | 135 | 2 |  |  |", "| `Tagged()` | 140 | 0 |  |  |"]),
        ("cross-site.md", "origins", ["| reads it | 1.0 ± 0.1 | 2.0 ± 0.1 |"]),
        (
            "server-side.md",
            "window",
            [f"| {SQLITE} | 0 of 400 (0 to 0) | - |", f"| {DISK} | 7.5 of 400 | 9 of 800 (8 to 12) |"],
        ),
        (
            "cookie-or-store.md",
            "cost",
            [
                "| in the cookie | 1.0 ± 0.1 | - | - |",
                "| in SQLite | 4.0 ± 0.1 | - | - |",
                "| in Redis | 1.0 ± 0.1 | - | 0 of 6 |",
            ],
        ),
    ],
)
def test_a_how_to_has_the_figures_of_the_results(page_name: str, part: str, rows: list[str]) -> None:
    lines = howtos.PAGES[page_name][part](dict.fromkeys(REQUIRED, with_all())).splitlines()

    assert [line for line in lines if line in rows] == rows


@pytest.mark.parametrize("part", ["serializers", "origins", "window"])
def test_a_how_to_says_what_was_not_measured(part: str) -> None:
    [make] = [parts[part] for parts in howtos.PAGES.values() if part in parts]

    said = make(dict.fromkeys(REQUIRED, results()))

    assert said == f"Not measured yet. `make bench ARGS='--json --only {part}'` measures it."


def test_each_serializer_is_measured_with_each_session_that_it_takes() -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")

    measured = measure_serializers(lambda steps, _part: steps, rounds=3)["sessions"]

    assert list(measured) == list(SESSIONS)
    assert "json" not in measured["five types"]
    assert measured["a cart"]["Compressed()"]["bytes"] < measured["a cart"]["json"]["bytes"]
    assert min(each["time_ns"]["median"] for figures in measured.values() for each in figures.values()) > 0


def test_a_form_of_the_apps_own_page_is_answered_rightly_and_timed_without_and_with_the_check() -> None:
    measured = measure_origins(Plan(rounds=3, batch=20, visitors=20), lambda steps, _part: steps)["forms"]

    assert list(measured) == [form.name for form in FORMS]
    for figures in measured.values():
        assert figures[WITHOUT.name]["overhead_ns"]["median"] > 0
        assert figures[WITH.name]["overhead_ns"]["median"] > 0


def test_the_forms_are_checked() -> None:
    def as_from_elsewhere(app: Any, key: str, fallbacks: Any) -> Any:
        checked = checking(app, key, fallbacks)

        async def call_it(scope: Any, receive: Any, send: Any) -> None:
            headers = [each for each in scope["headers"] if each[0] != b"sec-fetch-site"]
            await checked({**scope, "headers": [*headers, (b"sec-fetch-site", b"cross-site")]}, receive, send)

        return call_it

    assert judge(FORMS[1], Subject("from elsewhere", as_from_elsewhere)) == "loses the session"


# A whole request, and a process for each


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("subject", [NONE, OURS, STARLETTE], ids=lambda subject: subject.name)
def test_a_fastapi_app_answers_rightly_with_each_middleware(endpoint: Endpoint, subject: Subject) -> None:
    assert judge(endpoint, subject) is None


def test_a_fastapi_app_whose_middleware_loses_the_session_gets_words() -> None:
    forgetful = Subject("forgetful", lambda app, _key, _fallbacks: OURS.wrap(app, f"a key that is {id(app)}, anew", ()))

    assert judge(ENDPOINTS[1], forgetful) == "loses the session"


def test_a_whole_request_takes_longer_with_a_session_than_without() -> None:
    plan = Plan(rounds=3, batch=20, visitors=20)

    measured = measure_whole(plan, lambda steps, _part: steps)["endpoints"]

    assert list(measured) == [endpoint.name for endpoint in ENDPOINTS]
    figures = measured["writes the session"]
    assert 0 < figures["none"]["time_ns"]["median"] < figures["ours"]["time_ns"]["median"]
    assert figures["Starlette"]["of_starlette"]["median"] == 1


def test_each_subject_is_measured_in_a_process_of_its_own() -> None:
    measured = measure_alone([NONE, OURS], QUICK_PROCESSES, lambda steps, _part: steps)

    assert set(measured["scenarios"]) == {*CHOSEN_ALONE}
    assert measured["processes"] == 1
    for figures in measured["scenarios"].values():
        assert figures["none"]["time_ns"]["median"] > 0
        assert figures["ours"]["overhead_ns"]["median"] > 0


# Server-side sessions


def test_the_page_has_times_commands_and_bytes_of_server_side_sessions() -> None:
    lines = page.stores_part(dict.fromkeys(REQUIRED, results())).splitlines()

    assert (
        "| read, cookie | 1.0 ± 0.1 | 2.0 ± 0.1 | - | 3.0 ± 0.1 | 1.0 ± 0.1 | loses the change | 4.0 ± 0.1 | - |"
        in lines
    )
    assert "| read, cookie | get + evalsha | none | - |" in lines
    assert "- With 2 kB: ours in Redis 2,600, starsessions in Redis 2,700, ours in SQLite 4,200." in lines


def test_where_ours_in_a_store_is_not_faster_is_said() -> None:
    lines = page.not_faster_part(dict.fromkeys(REQUIRED, results())).splitlines()

    assert lines == ["- With the session in memory, against starsessions: read, cookie."]


def test_the_page_says_what_goes_wrong_when_requests_run_at_the_same_time() -> None:
    lines = page.losses_part(dict.fromkeys(REQUIRED, results())).splitlines()

    start = lines.index("| how often it goes wrong (2026-11-20) | ours, Redis | Starlette, cookie |")
    assert lines[start + 2 : start + 4] == [
        f"| {readme.LOST} | 0 of 6 | 5 of 6 |",
        "| sign-out | 1 of 40 | has no way |",
    ]


def test_what_is_measured_of_others_without_their_knowing_is_not_on_the_page() -> None:
    wrong = {"wrong": 5, "of": 6}
    correctness = {
        "date": "2026-11-20",
        "cases": {"6 at once": {"ours, Redis": wrong, **{f"{name}, Redis": wrong for name in NAMES}}},
    }
    part = page.losses_part({name: {**results(), "correctness": correctness} for name in REQUIRED})

    assert "| how often it goes wrong (2026-11-20) | ours, Redis |" in part.splitlines()
    assert [name for name in NAMES if name in part] == []


def test_the_page_has_a_million_sessions_where_they_were_measured() -> None:
    call = {"median": 6.0, "p99": 9.0, "max": 80.0}
    counts = {"1,000,000": {"read_us": call, "write_us": {**call, "median": 22.0}, "file_mb": 1_340.5}}
    million = {"date": "2026-11-23", "counts": counts}

    part = page.million_part({**dict.fromkeys(REQUIRED, results()), "cpython-3.11": {**results(), "million": million}})

    assert "| 1,000,000 | 6.0 (9.0) | 22.0 (9.0) | 1,340.5 MB |" in part.splitlines()


def test_a_page_from_a_machine_without_redis_says_so() -> None:
    without = {**results(), "stores": {"skipped": "redis-server isn't installed"}}

    part = page.stores_part({**dict.fromkeys(REQUIRED, results()), "cpython-3.11": without})

    assert part == "Not measured: redis-server isn't installed."


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


def test_the_terminal_shows_every_part() -> None:
    pytest.importorskip("rich", reason="rich is not installed")
    from rich.console import Console

    from benchmarks.report import show

    call = {"median": 6.0, "p99": 9.0, "max": 80.0}
    parts = ("environment", "stores", "correctness")
    measured = {name: part for name, part in results().items() if name in parts}
    counts = {"1,000,000": {"read_us": call, "write_us": call, "file_mb": 1_340.5}}
    measured["million"] = {"date": "2026-11-23", "counts": counts}
    measured |= {part: with_all()[part] for part in ("serializers", "origins", "window")}
    console = Console(record=True, width=120, file=io.StringIO())

    show(measured, console)

    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "read, cookie ours get + evalsha 1.0 ± 0.1 3.0 ± 0.1 4.0 ± 0.1 -" in lines
    assert f"{readme.LOST} 0 of 6 5 of 6" in lines
    assert "1,000,000 6.0 / 9.0 / 80.0 6.0 / 9.0 / 80.0 1340.5" in lines
    assert "json 135 -" in lines
    assert "reads it 1.0 ± 0.1 2.0 ± 0.1" in lines
    assert f"{DISK} 7.5 of 400 9 of 800 (8 to 12)" in lines


def test_redis_counts_what_each_peer_asks_it() -> None:
    if not has_redis():
        pytest.skip("redis-server is not installed")

    measured = measure_stores(Visits(rounds=1, batch=AT_ONCE, sessions=10), lambda steps, _part: steps)

    assert {name: entry["commands"]["ours"] for name, entry in measured["scenarios"].items()} == {
        "untouched, no cookie": {},
        "untouched, cookie": {"get": 1},
        "read, no cookie": {},
        "read, cookie": {"get": 1},
        "write, no cookie": {"set": 1},
        "write, cookie": {"get": 1, "evalsha": 1},
        "cleared": {"get": 1, "del": 1},
        "read, 20 at once": {"get": 1},
        "write, 20 at once": {"get": 1, "evalsha": 1},
    }
    counted = measured["scenarios"]["write, cookie"]["commands"]
    del counted["ours"]
    # A peer whose store isn't in this Redis would have nothing here.
    assert [commands for commands in counted.values() if commands != {"get": 1, "set": 1}] == []
    assert set(measured["scenarios"]) == {*CHOSEN, *CHOSEN_AT_ONCE}
    sizes = [size for places in measured["bytes"].values() for of in places.values() for size in of.values()]
    assert min(sizes) > 50


def test_nothing_goes_wrong_with_ours_when_requests_run_at_the_same_time() -> None:
    cases = measure_correctness(lambda steps, _part: steps)["cases"]

    places = ("memory", "SQLite", *(["Redis"] if has_redis() else []))
    ours = [figures[f"ours, {place}"]["wrong"] for figures in cases.values() for place in places]
    assert ours == [0] * len(CASES) * len(places)
    # Without a store, as every peer's: only what arrives last is kept.
    for column in ("Starlette, cookie", "ours, cookie"):
        assert cases["6 changes at once: lost"][column] == {"wrong": 100, "of": 120}
    assert cases["sign-in beside 5 changes: signed out"]["Starlette, cookie"]["wrong"] > 20


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ("", True),
        ("; Max-Age=0", False),
        ("; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly", False),
        ("; max-age=60; expires=Thu, 01 Jan 1970 00:00:00 GMT", True),  # as Litestar deletes: the browser keeps it
        ("; expires=Fri, 31 Dec 9999 00:00:00 GMT", True),
    ],
)
def test_the_browser_keeps_and_forgets_cookies_as_browsers_do(attributes: str, kept: bool) -> None:
    browser = Browser(OURS, {"session": "old", "other": "1"})

    browser.take([{"type": "http.response.start", "headers": [(b"Set-Cookie", f"session=new{attributes}".encode())]}])

    assert browser.cookies == {"other": "1", **({"session": "new"} if kept else {})}


def test_a_million_sessions_are_measured_only_when_asked_for() -> None:
    assert [part for part in (*PARTS, *ON_REQUEST) if wants(part, [])] == [*PARTS]
    for part in ("million", "window"):
        assert (wants(part, []), wants(part, [part])) == (False, True)

    measured = measure_million(lambda steps, _part: steps, (100, 200))

    assert list(measured["counts"]) == ["100", "200"]
    assert measured["counts"]["200"]["file_mb"] > 0


@pytest.mark.parametrize("place", [SQLITE, DISK])
def test_what_two_processes_lose_is_counted_and_a_store_with_compare_and_set_loses_nothing(
    place: str, tmp_path: Path
) -> None:
    pytest.importorskip("key_value.aio.stores.disk", reason="py-key-value-aio[disk] is not installed")

    lost = count_lost(place, str(tmp_path / "sessions"), 2, changes=20)

    assert lost in (range(1) if place == SQLITE else range(40))


def test_what_processes_lose_is_counted_in_each_place_and_by_their_number() -> None:
    pytest.importorskip("key_value.aio.stores.disk", reason="py-key-value-aio[disk] is not installed")

    places = measure_window(lambda steps, _part: steps, rounds=1, changes=5)["places"]

    assert {SQLITE, DISK} <= set(places)
    assert places[SQLITE] == {str(count): {"lost": 0, "least": 0, "most": 0, "of": 5 * count} for count in PROCESSES}


def test_a_part_that_is_measured_alone_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save_parts(results(), file)
    before = json.loads(file.read_text(encoding="utf-8"))

    save_parts({"environment": {"date": "later"}, "correctness": {"date": "later", "cases": {}}}, file)

    after = json.loads(file.read_text(encoding="utf-8"))
    assert after == {**before, "correctness": {"date": "later", "cases": {}}}
    save_parts({"environment": {"date": "later"}, "scenarios": {}}, file)
    assert json.loads(file.read_text(encoding="utf-8")) == {**after, "environment": {"date": "later"}, "scenarios": {}}


def test_a_missed_target_is_named_with_both_figures() -> None:
    assert missed_targets(results(ratio=0.5, target=0.6)) == []
    assert missed_targets(results(ratio=0.7, target=0.6)) == ["read, cookie: 0.70, at most 0.60"]
    assert missed_targets(results(ratio=0.7, target=None)) == []
