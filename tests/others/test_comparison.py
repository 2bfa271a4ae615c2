"""What the documentation says of other packages is what they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .peers import find_missing

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "comparison.md"


def test_the_table_of_other_packages_is_what_they_do() -> None:
    if missing := find_missing():
        pytest.skip(f"{', '.join(missing)} not installed")
    # In a process of its own, as Django has one configuration for each.
    command = [sys.executable, "-W", "ignore", "-m", "tests.others.peers"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout

    table = [line for line in printed.splitlines() if line.startswith("|")]

    assert len(table) > 7
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in table if line not in lines] == []
