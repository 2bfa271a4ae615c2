"""What is left of mutmut's run: ``python -m tests.mutants FILE...`` tries its survivors again with those tests.

mutmut puts a fault into a process that has imported the package already, so in what runs at the import, as the loop
that makes the methods of ``session.py``, no test could see it. Here each gets a process that imports it, but for those
that ``tests/mutants.md`` has, each with the reason why it can't matter. Exits with 1 where another lives, and where
less than 95 % are killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

REASONS = Path(__file__).with_suffix(".md")
ENOUGH = 0.95
MINUTES = 5  # for one mutant: it may make a test run for ever

# What a copy doesn't need, or would write into. The mutants themselves mutmut reads from its own folder.
LEFT_OUT = shutil.ignore_patterns(".*", "site", "dist", "__pycache__")


def mutmut(*arguments: str, folder: Path) -> str:
    command = (sys.executable, "-W", "ignore", "-m", "mutmut", *arguments)
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def read_results() -> dict[str, str]:
    """What mutmut says of each mutant, by its name."""
    lines = mutmut("results", "--all", "true", folder=Path()).splitlines()
    return {name.strip(): status.strip() for name, _, status in (line.partition(":") for line in lines) if status}


def passes(tests: list[str], folder: Path) -> bool:
    """Whether ``tests`` can start, and pass, on the source in ``folder``."""
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=False, timeout=MINUTES * 60
        )
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0


def survives(name: str, tests: list[str], folder: Path) -> bool:
    """Whether ``tests`` pass on the source in ``folder`` with the mutant called ``name``."""
    source = folder / "src" / Path(*name.split(".")[:-1]).with_suffix(".py")
    original = source.read_bytes()
    mutmut("apply", name, folder=folder)
    assert source.read_bytes() != original, name
    likely_first = sorted(tests, key=lambda file: source.stem.strip("_") not in file)
    try:
        return passes(likely_first, folder)
    finally:
        source.write_bytes(original)


def try_again(names: list[str], tests: list[str]) -> list[str]:
    """Those of ``names`` that survive in a process of their own."""
    folders: Queue[Path] = Queue()

    def in_any_folder(name: str) -> bool:
        folder = folders.get()
        try:
            return survives(name, tests, folder)
        finally:
            folders.put(folder)

    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        for number in range(os.cpu_count() or 1):
            folder = shutil.copytree(".", Path(scratch, str(number)), ignore=LEFT_OUT)
            if not passes(tests, folder):
                sys.exit(f"Without a mutant the tests have to pass: {tests}")
            folders.put(folder)
        lives = pool.map(in_any_folder, names)
        return [name for name, alive in zip(names, lives, strict=True) if alive]


def describe(name: str) -> str:
    """Where the mutant is and what it changes, as the beginning of a row of ``tests/mutants.md``."""
    lines = mutmut("show", name, folder=Path()).splitlines()
    [_, *modules, function] = name.rpartition("__mutmut_")[0].split(".")
    where = ".".join([*modules, *(function.split("ǁ")[1:] or [function.removeprefix("x_")])])
    before, after = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign) and line[1:3] != sign * 2) for sign in "-+"
    )
    return "| {} | `{}` | `{}` |".format(where, *(code.replace("|", "\\|") for code in (before, after)))


def main() -> int:
    results = read_results()
    print(f"{len(results)} mutants in mutmut's run: {dict(Counter(results.values()))}")
    explained = REASONS.read_text(encoding="utf-8")
    rows = {name: describe(name) for name, status in results.items() if status not in ("killed", "timeout")}
    left = try_again([name for name, row in rows.items() if row not in explained], sys.argv[1:])
    known = sum(row in explained for row in rows.values())
    killed = 1 - (known + len(left)) / len(results)
    print(f"{killed:.1%} were killed; {known} live that {REASONS.name} has, and {len(left)} that it hasn't:")
    print(*(rows[name] for name in left), sep="\n")
    return 1 if left or killed < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
