"""Libraries that not every Python has, each as a list of none or one."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

ORJSON: list[Any] = [import_module("orjson")] if find_spec("orjson") else []  # there is none without the GIL
