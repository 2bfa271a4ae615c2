"""How the overhead of reading a session grows: with its size, with the cookies around it, with the keys tried."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.harness import Plan, measure_together
from benchmarks.scenarios import KEY, OLD_KEYS, Scenario, flat_visitor, read, visitor
from benchmarks.subjects import LIMIT, NONE, OURS, STARLETTE

SUBJECTS = (NONE, OURS, STARLETTE, LIMIT)


@dataclass(frozen=True)
class Axis:
    name: str
    unit: str
    steps: Sequence[int]
    scenario: Callable[[int], Scenario]


def sized(size: int) -> Scenario:
    """Base64 makes four bytes of three."""
    return Scenario(f"{size} bytes", "", read, partial(flat_visitor, size=size * 3 // 4))


def accompanied(cookies: int) -> Scenario:
    return Scenario(f"{cookies} cookies", "", read, visitor, other_cookies=cookies - 1)


def rotated(fallbacks: int) -> Scenario:
    """The oldest key signed, so that each is tried."""
    keys = [KEY, *OLD_KEYS][: fallbacks + 1]
    return Scenario(f"{fallbacks} fallbacks", "", read, visitor, signed_with=keys[-1], fallbacks=keys[1:])


AXES = (
    Axis("size", "bytes of base64 in the session's cookie", (50, 200, 500, 1_000, 2_000, 3_500), sized),
    Axis("cookies", "cookies in the request", (1, 5, 10, 20, 30, 40, 50), accompanied),
    Axis("fallbacks", "fallback keys (Starlette: none)", range(9), rotated),
)


def measure_growth(plan: Plan, track: Callable[[Iterable[Any], str], Iterable[Any]]) -> dict[str, Any]:
    """For each axis the figures at each step: ``{"size": {"50": {"ours": ...}, ...}, ...}``."""
    return {axis.name: measure_axis(axis, plan) for axis in track(AXES, "growth")}


def measure_axis(axis: Axis, plan: Plan) -> dict[str, Any]:
    measured = measure_together([axis.scenario(step) for step in axis.steps], SUBJECTS, plan)
    return dict(zip(map(str, axis.steps), measured, strict=True))
