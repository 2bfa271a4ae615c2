from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

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
