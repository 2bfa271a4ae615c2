from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .pages import PAGES, find_blocks

API = Path(__file__).parent / "typing" / "api.py"


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_refuses_exactly_the_lines_of_user_code_that_say_so(tmp_path: Path) -> None:
    source = API.read_text(encoding="utf-8")
    expected = {
        (number, code)
        for number, line in enumerate(source.splitlines(), start=1)
        for code in re.findall(r"# type: ignore\[([\w-]+)\]", line)
    }
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"  # type: ignore.*", "", source), encoding="utf-8")

    command = [sys.executable, "-m", "mypy", "--strict", str(bare)]
    result = subprocess.run(command, cwd=API.parents[2], capture_output=True, text=True, check=False)

    errors = re.findall(r"bare\.py:(\d+): error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE)
    assert {(int(number), code) for number, code in errors} == expected, result.stdout + result.stderr
    assert len(expected) == 26


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The blocks of the page on typed sessions, as a user has them in a file."""
    file = tmp_path / "page.py"
    file.write_text("\n\n".join(find_blocks(PAGES["how-to/typed-session.md"])), encoding="utf-8")
    return file


def find_refused(page: Path) -> set[int]:
    lines = page.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if "  # error" in line}


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_takes_the_typed_session_and_refuses_what_the_page_says(page: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", str(page)]
    result = subprocess.run(command, cwd=API.parents[2], capture_output=True, text=True, check=False)

    errors = re.findall(r"page\.py:(\d+): error:", result.stdout)
    assert sorted(map(int, errors)) == sorted(find_refused(page)), result.stdout + result.stderr
    assert len(errors) == 3


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_takes_the_typed_session_and_refuses_what_the_page_says(page: Path) -> None:
    config = {"typeCheckingMode": "strict", "extraPaths": [str(API.parents[2] / "src")], "include": ["page.py"]}
    (page.parent / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    result = subprocess.run(command, cwd=page.parent, capture_output=True, text=True, check=False)

    said = json.loads(result.stdout)["generalDiagnostics"]
    assert {message["range"]["start"]["line"] + 1 for message in said} == find_refused(page), result.stdout
