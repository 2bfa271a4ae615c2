from __future__ import annotations

import copy
import marshal
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_signed_session.merging import find_added, is_same, merge

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b", 1.0]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
contents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged", "overruled"),
    [
        pytest.param({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, [], id="each adds a key"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, {}, {"b": 2}, [], id="they delete one, we add one"),
        pytest.param({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}, [], id="we delete one, they add one"),
        pytest.param({"a": 1, "b": 1}, {"b": 1}, {"a": 1}, {}, [], id="each deletes a key"),
        pytest.param({"a": 1}, {}, {}, {}, [], id="both delete the same"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, [], id="both change it alike"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, ["a"], id="both change it"),
        pytest.param({}, {"a": 2}, {"a": 3}, {"a": 2}, ["a"], id="both add it"),
        pytest.param({"a": 1}, {}, {"a": 3}, {}, ["a"], id="we delete what they change"),
        pytest.param({"a": 1}, {"a": 2}, {}, {"a": 2}, ["a"], id="they delete what we change"),
        pytest.param({"a": 1}, {"a": True}, {"a": 1, "b": 1}, {"a": True, "b": 1}, [], id="true is not one"),
        pytest.param(
            {"d": {"a": 1}},
            {"d": {"a": 2}},
            {"d": {"a": 1, "b": 1}},
            {"d": {"a": 2, "b": 1}},
            [],
            id="dicts, a level down",
        ),
        pytest.param(
            {"d": {"a": 1, "b": 1}},
            {"d": {"b": 2}},
            {"d": {"a": 1, "b": 1, "c": 1}},
            {"d": {"b": 2, "c": 1}},
            [],
            id="deleted, a level down",
        ),
        pytest.param({}, {"d": {"a": 1}}, {"d": {"b": 1}}, {"d": {"b": 1, "a": 1}}, [], id="both add a dict"),
        pytest.param(
            {"d": {"e": {"a": 1}}},
            {"d": {"e": {"a": 2}}},
            {"d": {"e": {"a": 3, "b": 1}}},
            {"d": {"e": {"a": 2, "b": 1}}},
            ["d"],
            id="the same key two levels down",
        ),
        pytest.param(
            {"d": 1}, {"d": {"a": 1}}, {"d": {"b": 1}}, {"d": {"b": 1, "a": 1}}, [], id="both put a dict there"
        ),
        pytest.param({"l": [1]}, {"l": [1, 2]}, {"l": [1, 3]}, {"l": [1, 3, 2]}, [], id="both append"),
        pytest.param({"l": [1]}, {"l": [1, 2]}, {"l": [1, 2]}, {"l": [1, 2, 2]}, [], id="both append the same"),
        pytest.param({}, {"l": [1]}, {"l": [2]}, {"l": [2, 1]}, [], id="both begin a list"),
        pytest.param({"l": [1, 2]}, {"l": [1, 2, 3]}, {"l": [2]}, {"l": [2, 3]}, [], id="they remove, we append"),
        pytest.param({"l": [1, 2]}, {"l": [2]}, {"l": [1, 2, 3]}, {"l": [2, 3]}, [], id="we remove, they append"),
        pytest.param({"l": [1, 2]}, {"l": [2]}, {"l": [1]}, {"l": [2]}, ["l"], id="both remove"),
        pytest.param({"l": [1]}, {"l": []}, {"l": [1, 2]}, {"l": [2]}, [], id="we take all, they append"),
        pytest.param({"l": [1]}, {}, {"l": [1, 2]}, {"l": [2]}, [], id="we take the list away, they append"),
        pytest.param({"l": [1]}, {"l": [1, 2]}, {}, {"l": [2]}, [], id="they take the list away, we append"),
        pytest.param({"l": [1, 2]}, {}, {"l": [2]}, {}, ["l"], id="we take the list away, they remove"),
        pytest.param(
            {"d": {"a": 1}}, {}, {"d": {"a": 1, "b": 2}}, {"d": {"b": 2}}, [], id="we take the dict, they add"
        ),
        pytest.param({"d": {"a": 1}}, {"d": {}}, {}, {}, [], id="they take the dict away, we empty it"),
        pytest.param({"l": [1]}, {"l": {"a": 1}}, {"l": [1, 2]}, {"l": {"a": 1}}, ["l"], id="a list becomes a dict"),
    ],
)
def test_what_becomes_of_two_changes_at_the_same_time(
    base: Any, ours: Any, theirs: Any, merged: Any, overruled: list[str]
) -> None:
    assert merge(base, ours, theirs) == (merged, overruled)


DAY = datetime(2027, 1, 1, tzinfo=timezone.utc)
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
LATER = datetime(2027, 1, 2, tzinfo=timezone.utc)


def test_a_value_that_is_no_plain_json_is_taken_whole() -> None:
    base: Any = {"when": DAY, "set": {1}, "pair": (1,), "in": {"when": DAY, "n": 1}}
    ours = {**copy.deepcopy(base), "set": {1, 2}, "in": {"when": DAY, "n": True}}
    theirs = {**copy.deepcopy(base), "when": LATER, "pair": (1, 2)}

    merged, overruled = merge(base, ours, theirs)

    assert merged == {"when": LATER, "set": {1, 2}, "pair": (1, 2), "in": {"when": DAY, "n": True}}
    assert (merged["in"]["n"] is True, overruled) == (True, [])


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1, True),
        (1, True, False),
        (1, 1.0, False),
        (float("nan"), float("nan"), True),
        (0.0, -0.0, False),
        ([1], (1,), False),
        ([DAY], [DAY], True),
        ([DAY, 1], [DAY, True], False),
        ([DAY], [DAY, DAY], False),
        ({"a": DAY}, {"b": DAY}, False),
        ({"a": (DAY, 1)}, {"a": (DAY, 1)}, True),
        (Unequal(), Unequal(), False),
        # What is equal, and not the same.
        (NOON, NOON.replace(tzinfo=ZoneInfo("UTC")), False),
        (NOON, NOON.replace(fold=1), False),
        (NOON.timetz(), NOON.timetz().replace(fold=1), False),
        (NOON, NOON.replace(), True),
        (Decimal("1.0"), Decimal("1.00"), False),
        (Decimal("NaN"), Decimal("NaN"), True),
        ([Decimal(0)], [Decimal("-0")], False),
        ({1, 2}, {1, 2, 3}, False),
        ({1}, {True}, False),
        ({NOON}, {NOON.replace(fold=1)}, False),
        ({8, 0}, {0, 8}, True),  # which are in another order
        (frozenset({NOON, 8, 0}), frozenset({0, 8, NOON}), True),
    ],
)
def test_two_values_are_the_same_in_every_part_or_not(one: Any, other: Any, same: bool) -> None:
    assert is_same(one, other) is same


def nest(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = {"d": value}
    return value


def test_what_lies_too_deep_to_be_merged_is_taken_whole() -> None:
    merged, overruled = merge(nest(500, {}), nest(500, {"a": 1}), nest(500, {"b": 1}))

    assert (merged, overruled) == (nest(500, {"a": 1}), ["d"])


@given(contents, contents)
def test_a_change_of_one_side_alone_is_that_sides(base: Any, changed: Any) -> None:
    for merged, overruled in (merge(base, changed, base), merge(base, base, changed)):
        assert is_same(sorted(merged.items(), key=str), sorted(changed.items(), key=str))
        assert overruled == []


@given(contents, contents, contents)
def test_a_merge_changes_nothing_that_it_was_given_and_makes_up_nothing(base: Any, ours: Any, theirs: Any) -> None:
    before = copy.deepcopy([base, ours, theirs])
    merged, overruled = merge(base, ours, theirs)

    assert is_same(before, [base, ours, theirs])
    assert set(merged) <= {*ours, *theirs}
    assert set(overruled) <= {*base, *ours, *theirs}
    for key in {*ours, *theirs} - {*overruled}:
        sides = [side.get(key, ...) for side in (ours, theirs)]
        are_containers = {type(side) for side in sides} <= {dict, list, type(...)}
        assert any(is_same(merged.get(key, ...), side) for side in sides) or are_containers


@pytest.mark.parametrize(
    ("base", "ours", "added"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {}),
        ({"a": 1, "b": "b", "c": 1}, {"a": 0, "b": "", "c": None}, {"a": 0, "b": "", "c": None}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({}, {"a": None}, {"a": None}),
        ({"d": {"a": 1}}, {"d": {"a": 1, "b": {}}}, {"d": {"b": {}}}),
        ({"d": {"a": 1, "b": 1}}, {"d": {"a": 1}}, {}),
        ({"d": 1}, {"d": {}}, {"d": {}}),
        ({}, {"d": {}, "l": []}, {"d": {}, "l": []}),
        ({"l": [1]}, {"l": [1, 2]}, {"l": [2]}),
        ({"l": [1, 2]}, {"l": [2, 3]}, {"l": [2, 3]}),
        ({"l": [1, 2]}, {"l": []}, {}),
    ],
)
def test_what_one_request_has_added(base: Any, ours: Any, added: Any) -> None:
    assert find_added(base, ours) == added


def test_a_change_deep_inside_is_compared_in_time_that_grows_with_the_size_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written anew for each level, a session of 50 kB that is 900 deep took 1.4 seconds."""

    def nest(leaf: Any) -> Any:
        for _ in range(400):
            leaf = {"k": leaf}
        return {"a": leaf}

    size, written = 10_000, []

    def dumps(*arguments: Any) -> bytes:
        written.append(real(*arguments))
        return written[-1]

    base, ours, theirs = (nest(["x" * size, number]) for number in range(3))
    real = marshal.dumps
    monkeypatch.setattr(marshal, "dumps", dumps)

    assert merge(base, ours, theirs) == (ours, ["a"])
    assert sum(map(len, written)) < 20 * 10 * size  # for each of the 20 levels that are merged, some ten times
