"""The command: python -m tests.ecosystem [NAME ...] [--write | --page]."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from . import page
from .packages import PACKAGES, Package
from .run import build_wheel, problems, try_package


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ecosystem", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a package of the list; all of them by default")
    parser.add_argument("--write", action="store_true", help="keep the results, and write the table of the docs anew")
    parser.add_argument("--page", action="store_true", help="write the table from the results that are there")
    arguments = parser.parse_args()
    if arguments.page:
        page.update()
        return 0

    unknown = set(arguments.names) - {package.name for package in PACKAGES}
    if unknown:
        parser.error(f"not in the list: {', '.join(sorted(unknown))}")
    chosen = [package for package in PACKAGES if not arguments.names or package.name in arguments.names]
    wrong = try_all(chosen, arguments.write)
    if arguments.write:
        page.update()
    print("\n".join(wrong) or f"{len(chosen)} packages, as expected")
    return len(wrong) > 0


def try_all(packages: list[Package], keeps: bool) -> list[str]:
    """Tries one after the other, and gives what is wrong; of a package that is as expected, the result may be kept."""
    wrong: list[str] = []
    with TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for package in packages:
            start = time.monotonic()
            result = try_package(package, wheel, Path(folder, package.name.replace(" ", "-")))
            found = problems(package, result)
            print(f"{package.name} {result['version']}: {result['ours']}, {time.monotonic() - start:.0f} s", flush=True)
            if keeps and not found:
                page.save({package.name: result})
            wrong += found
    return wrong


if __name__ == "__main__":
    sys.exit(main())
