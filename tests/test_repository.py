"""What the repository says of itself in more than one place is the same in each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asgi_signed_session.__main__ import main

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # by its lines: Python 3.10 has no tomllib

in_the_repository = pytest.mark.skipif(not GITHUB.exists(), reason="the sdist is without .github")


def read(name: str) -> str:
    return (GITHUB / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_the_version_that_is_built() -> None:
    [version] = re.findall(r'^version = "(.*)"$', PYPROJECT, re.MULTILINE)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    newest = re.search(r"^## (\S+) \((not released yet|\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE)

    assert newest is not None
    assert newest[1] == version


@in_the_repository
def test_the_pythons_that_are_claimed_are_those_that_have_to_pass() -> None:
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
    [lowest] = re.findall(r'^requires-python = ">=(.*)"$', PYPROJECT, re.MULTILINE)
    [tried] = re.findall(r"^ +python: \[(.*)\]$", read("workflows/tests.yml"), re.MULTILINE)
    [installed] = re.findall(r"python-version: \|.*\n((?: +3\.\d+\n)+)", read("workflows/tests.yml"))

    assert re.findall(r'"(.*?)"', tried) == claimed
    assert sorted(installed.split(), key=claimed.index) == claimed
    assert claimed[0] == lowest


@in_the_repository
def test_every_action_is_named_by_its_commit() -> None:
    used = [
        name
        for path in GITHUB.glob("workflows/*.yml")
        for name in re.findall(r"uses: (\S+)", read(f"workflows/{path.name}"))
    ]

    assert [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}|\./.*", name)] == []
    assert len(used) > 5  # it does find them


@in_the_repository
def test_the_form_shows_what_inspect_prints(capsys: pytest.CaptureFixture[str]) -> None:
    form = read("ISSUE_TEMPLATE/bug.yml")
    [shown] = re.findall(r"placeholder: \|\n((?: {8}\S.*\n)+)", form)
    main(["inspect", "eyJ1c2VyX2lkIjo0Mn0=.a0nSAA.OKoDzBtnPwzBCe9GxSBrt9TBRN48EaPKdY6Msj_x9vI"])

    printed = capsys.readouterr().out

    assert "python -m asgi_signed_session inspect VALUE" in form
    assert [line.split()[0] for line in shown.splitlines()] == [line.split()[0] for line in printed.splitlines()]
