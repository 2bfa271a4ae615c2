"""How a message shows what comes from outside, and whose line a warning points at."""

from __future__ import annotations

import sys
import warnings
from pathlib import PurePath
from types import FrameType


def printable(text: str) -> str:
    """``text`` on one line and without what steers a terminal: neither forges a line of a log nor hides one."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def name_of(kind: type) -> str:
    """The name of a class, which may have been made from anything."""
    return printable(kind.__name__)


def describe(given: object) -> str:
    """What was given where something else belongs; not what it holds: a URL may have a password in it."""
    return f"the class {name_of(given)}" if isinstance(given, type) else f"a {name_of(type(given))}"


def show_key(key: object) -> str:
    """A key of a session, as Python writes it; a subclass of ``str`` may have a ``repr`` of its own."""
    return str.__repr__(key) if isinstance(key, str) else printable(repr(key))


def warn_caller(message: str) -> None:
    """Warns at the line outside this package that passed what the warning is about."""
    level, _ = _find_caller()
    warnings.warn(message, stacklevel=level)


def show_caller() -> str:
    """The function outside this package that has called it, its file's name and the line."""
    _, frame = _find_caller()
    code = frame.f_code
    return printable(f"{code.co_name}() ({PurePath(code.co_filename).name}, line {frame.f_lineno})")


def _find_caller() -> tuple[int, FrameType]:
    """The frame outside this package, and how far it is from who asks."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__package__")).partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    return level, frame
