"""How one request goes through the package: ``python -m tests.crossings`` prints each call and counts them.

A crossing is a call whose module is not that of the call before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import asgi_signed_session
from asgi_signed_session import Session, SessionMiddleware

from .apps import app_that
from .browser import Browser
from .conftest import KEY
from .records import Records

PACKAGE = Path(asgi_signed_session.__file__).parent


def read(session: Session) -> None:
    session.get("user")


def write(session: Session) -> None:
    session["user"] = "grace"


def trace(act: Callable[[Session], None], store: Records | None) -> list[str]:
    """The functions of the package, each as ``module.function``, that a request of a known visitor goes through."""
    browser = Browser(SessionMiddleware(app_that(lambda scope: write(scope["session"])), KEY, store=store))
    browser.get()
    browser.app = SessionMiddleware(app_that(lambda scope: act(scope["session"])), KEY, store=store)
    browser.get()  # what is made once is made
    calls: list[str] = []

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.parent == PACKAGE:
            calls.append(f"{file.stem}.{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        browser.get()
    finally:
        sys.setprofile(None)
    return calls


def count_crossings(calls: Iterable[str]) -> int:
    modules = [call.partition(".")[0] for call in calls]
    return sum(before != after for before, after in pairwise(modules))


def main() -> None:
    for where, make_store in (("cookie", lambda: None), ("store", Records)):
        for act in (read, write):
            calls = trace(act, make_store())
            sys.stdout.write(f"{where}, {act.__name__}: {len(calls)} calls, {count_crossings(calls)} crossings\n")
            sys.stdout.write("".join(f"    {call}\n" for call in calls))


if __name__ == "__main__":
    main()
