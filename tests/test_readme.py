"""Every Python block of the README runs, and what it links to is there."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from asgi_signed_session import SessionSigner

from .browser import Browser
from .conftest import KEY
from .pages import find_blocks, run_block
from .test_servers import CELLS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = find_blocks(README)


def run(names: dict[str, Any], first_words: str) -> dict[str, Any]:
    return run_block(BLOCKS, first_words, names)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_runs(block: str, names: dict[str, Any]) -> None:
    exec(block, names)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "app = SessionMiddleware(" in block])
def test_every_app_answers(block: str, names: dict[str, Any]) -> None:
    exec(block, names)

    assert Browser(names["app"]).get().start["status"] == 200


def test_the_first_app_counts_visits(names: dict[str, Any]) -> None:
    browser = Browser(run(names, "visits")["app"])

    assert [browser.get().body, browser.get().body] == [b"Visit 1", b"Visit 2"]


def test_the_app_on_fastapi_knows_a_visitor_again_and_tells_two_apart(names: dict[str, Any]) -> None:
    app = run(names, "FastAPI()")["app"]
    ada, bob = TestClient(app), TestClient(app)

    first, again, another = (client.get("/").json() for client in (ada, ada, bob))

    assert first == again != another


def test_fastapi_takes_eight_lines() -> None:
    [block] = [block for block in BLOCKS if "FastAPI()" in block]

    assert len([line for line in block.splitlines() if line]) == 8


def test_the_store_that_is_shown_keeps_the_session_in_its_file(names: dict[str, Any]) -> None:
    run(names, "visits")
    browser = Browser(run(names, "SQLiteStore")["app"])

    assert [browser.get().body, browser.get().body] == [b"Visit 1", b"Visit 2"]
    assert Path("sessions.db").exists()


def test_the_cookie_on_the_wire_is_one_and_the_app_sends_its_like(names: dict[str, Any]) -> None:
    (line,) = re.findall(r"^Set-Cookie: (.*)$", README, re.MULTILINE)
    value = line.partition("=")[2].partition(";")[0]
    (sent,) = Browser(run(names, "visits")["app"], scheme="https").get().all(b"set-cookie")

    assert SessionSigner(KEY).loads(value) == {"visits": 1}
    assert sent.decode().partition("; ")[2] == line.partition("; ")[2]


LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", README)))


@pytest.mark.parametrize(("link", "anchor"), LINKS)
def test_every_link_into_the_repository_leads_somewhere(link: str, anchor: str) -> None:
    assert (ROOT / link).exists()
    assert not anchor or anchor in find_anchors((ROOT / link).read_text(encoding="utf-8"))


def test_the_page_on_pypi_leads_into_no_repository() -> None:
    page = metadata("asgi-signed-session").json["description"]

    assert isinstance(page, str)
    assert page.startswith("# asgi-signed-session\n")
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", page) == []


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) - find_anchors(README) == set()


def find_anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_page_has_at_most_180_lines() -> None:
    assert len(README.splitlines()) <= 180


def test_the_pythons_and_the_dependencies_are_those_of_the_package() -> None:
    package = metadata("asgi-signed-session")
    pythons = [
        each for name in package.get_all("Classifier") or [] for each in re.findall(r"Python :: (3\.\d+)$", name)
    ]
    needed = [
        re.split(r"[<>=!~ ]", each)[0] for each in package.get_all("Requires-Dist") or [] if "extra ==" not in each
    ]
    [line] = re.findall(r"^It runs on CPython (.*), nothing else\.$", README, re.MULTILINE)

    assert line == f"{pythons[0]} to {pythons[-1]}, is typed, and needs {' and '.join(f'`{name}`' for name in needed)}"


def test_each_framework_that_is_named_is_tried_on_a_server() -> None:
    named = set(re.findall(r"docs/frameworks/([\w-]+)\.md", README))
    tried = {app.removesuffix("_app") for _, app in CELLS}

    assert {name.replace("-asgi", "") for name in named} <= tried
