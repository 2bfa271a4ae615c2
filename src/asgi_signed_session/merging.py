"""What becomes of a session that two requests have changed at the same time: a merge with three sides.

``base`` is what both have read, ``ours`` what this request made of it, ``theirs`` what is there by now. What one side
alone has changed is that side's. Where both have changed it, two dicts are merged in the same way, a level down; what
one side has only appended to a list comes after what the other has made of it; where one has taken a list or dict away,
what the other has added to it is left; and of anything else ours stays.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final

MAX_DEPTH = 20  # levels of dicts in dicts; what lies deeper is compared whole

_ABSENT: Final[Any] = object()
_PLAIN = (str, int, float, bytes)


def merge(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """What the session is now, and the keys at its top level in which something of theirs gave way to ours."""
    merged: dict[str, Any] = {}
    overruled: list[str] = []
    for key in {**theirs, **ours}:
        value, gave_way = _merge_values(
            base.get(key, _ABSENT), ours.get(key, _ABSENT), theirs.get(key, _ABSENT), MAX_DEPTH
        )
        if value is not _ABSENT:
            merged[key] = value
        if gave_way:
            overruled.append(key)
    return merged, overruled


def _merge_values(base: Any, ours: Any, theirs: Any, depth: int) -> tuple[Any, bool]:
    if is_same(base, ours):
        return theirs, False
    if is_same(base, theirs):
        return ours, False
    if ours is _ABSENT or theirs is _ABSENT:
        return _merge_with_nothing(base, ours, theirs)
    kind = type(ours)
    if kind is type(theirs) and kind in (dict, list) and depth:
        before = base if type(base) is kind else kind()
        merge_both: Any = _merge_dicts if kind is dict else _merge_lists
        merged: tuple[Any, bool] = merge_both(before, ours, theirs, depth - 1)
        return merged
    return ours, not is_same(ours, theirs)


def _merge_lists(base: list[Any], ours: list[Any], theirs: list[Any], _depth: int) -> tuple[list[Any], bool]:
    if begins_with(ours, base):
        return theirs + ours[len(base) :], False
    if begins_with(theirs, base):
        return ours + theirs[len(base) :], False
    return ours, not is_same(ours, theirs)


def _merge_with_nothing(base: Any, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """One side has taken the value away, as a flash is taken; what the other has added to it is left."""
    other = theirs if ours is _ABSENT else ours
    kind = type(other)
    if kind is type(base) and (kind is dict or (kind is list and begins_with(other, base))):
        return find_added({"": base}, {"": other}).get("", _ABSENT), False
    return ours, True


def _merge_dicts(
    base: Mapping[Any, Any], ours: Mapping[Any, Any], theirs: Mapping[Any, Any], depth: int
) -> tuple[dict[Any, Any], bool]:
    merged: dict[Any, Any] = {}
    any_gave_way = False
    for key in {**theirs, **ours}:
        value, gave_way = _merge_values(base.get(key, _ABSENT), ours.get(key, _ABSENT), theirs.get(key, _ABSENT), depth)
        if value is not _ABSENT:
            merged[key] = value
        any_gave_way |= gave_way
    return merged, any_gave_way


def find_added(base: Mapping[Any, Any], ours: Mapping[Any, Any]) -> dict[Any, Any]:
    """What ``ours`` has that ``base`` hasn't: whole values, keys of dicts in it, items at the end of lists."""
    added: dict[Any, Any] = {}
    for key, value in ours.items():
        before = base.get(key, _ABSENT)
        if type(value) is dict and type(before) is dict:
            rest: Any = find_added(before, value)
        elif type(value) is list and type(before) is list:
            rest = value[len(before) :] if begins_with(value, before) else value
        else:
            added |= {} if is_same(before, value) else {key: value}
            continue
        if rest:
            added[key] = rest
    return added


def begins_with(values: list[Any], first: list[Any]) -> bool:
    """Whether ``first`` is how the list ``values`` begins."""
    return is_same(values[: len(first)], first)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same in every part: 1 is neither 1.0 nor ``True``."""
    try:
        return type(one) is type(other) and (_is_written_alike(one, other) or _is_same(one, other))
    except RecursionError:
        return False


def _is_written_alike(one: Any, other: Any) -> bool:
    """Whether they are the same for ``marshal``, in a fifth of the time; two dicts of another order are not."""
    if one is other:
        return True
    with suppress(ValueError):  # raised where something in it is nothing that JSON has: from a serializer of the user's
        return marshal.dumps(one, 2) == marshal.dumps(other, 2)
    return False


def _is_same(one: Any, other: Any) -> bool:
    # Part by part, and marshal for the smallest alone: at each level it would take the square of the time.
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return one.keys() == other.keys() and all(_is_same(value, other[key]) for key, value in one.items())
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if one is other or type(one) in _PLAIN:
        return _is_written_alike(one, other)
    try:
        return (bool(one == other) and _spell(one) == _spell(other)) or pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # whatever a user's object raises
        return False


def _spell(value: Any) -> Any:
    """What tells equal values apart: noon in London and in Lisbon, 1.0 and 1.00, a set of 1 and one of ``True``."""
    if type(value) in (set, frozenset):
        return sorted(map(repr, value))
    return repr(value) if type(value) in (datetime, time, Decimal) else None
