"""What an app has asked of its session, as values: what they make of a record, and what is left of them once met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asgi_signed_session.ids import make_id
from asgi_signed_session.record import DELETED, NO_WISHES, NOTHING, Record, Version, Wishes

ID = make_id("session")
VERSION = Version(ID, b"proof", 2_000, b"stored", b"{}")
READ = Record({"user": "ada"}, {"max_age": 60}, b"{}", 1_000, 900, True, None, VERSION, b"ended", None)


def test_no_wishes_leave_a_record_as_it_is() -> None:
    assert NO_WISHES.apply_to(READ) == READ


@pytest.mark.parametrize("record", [READ, NOTHING, replace(READ, version=None), replace(READ, rejected="superseded")])
def test_what_travels_beside_the_data_changes_and_nothing_else_does(record: Record) -> None:
    wished = Wishes(max_age=30, principal="ada").apply_to(record)

    assert wished == replace(record, metadata={"max_age": 30, "principal": "ada"})


def test_a_new_beginning_forgets_when_it_began() -> None:
    assert Wishes(renewed=1).apply_to(READ) == replace(READ, signed_at=None, issued_at=None)


def test_an_end_with_a_new_beginning_also_forgets_what_must_not_be_saved_again() -> None:
    wished = Wishes(renewed=1, ended=1).apply_to(READ)

    assert wished == replace(READ, metadata={}, signed_at=None, issued_at=None, without=None)


@pytest.mark.parametrize(
    ("wishes", "metadata"),
    [
        (Wishes(), {"max_age": 60, "principal": "ada"}),
        (Wishes(max_age=None), {"max_age": None, "principal": "ada"}),
        (Wishes(principal="eve"), {"max_age": 60, "principal": "eve"}),
        (Wishes(principal=None), {"max_age": 60}),
        (Wishes(ended=1), {}),
        (Wishes(ended=1, max_age=5, principal="eve"), {"max_age": 5, "principal": "eve"}),
    ],
)
def test_each_wish_changes_what_it_names(wishes: Wishes, metadata: dict[str, Any]) -> None:
    before = {"max_age": 60, "principal": "ada"}

    assert wishes.change(before) == metadata
    assert before == {"max_age": 60, "principal": "ada"}


@pytest.mark.parametrize(
    ("wishes", "heard", "left"),
    [
        (Wishes(max_age=5, principal="ada", renewed=2, ended=1),) * 2 + (NO_WISHES,),
        (Wishes(max_age=5, prolongs=False),) * 2 + (Wishes(prolongs=False),),
        (Wishes(max_age=6, principal="eve"), Wishes(max_age=5, principal="ada"), Wishes(max_age=6, principal="eve")),
        (Wishes(max_age=5, principal="ada"), Wishes(max_age=5), Wishes(principal="ada")),
        (Wishes(max_age=5, principal="ada"), Wishes(principal="ada"), Wishes(max_age=5)),
        (Wishes(renewed=3, ended=2), Wishes(renewed=1, ended=1), Wishes(renewed=2, ended=1)),
        (Wishes(id=ID, max_age=5), Wishes(id=ID), Wishes(max_age=5)),
    ],
)
def test_what_is_asked_while_others_are_met_is_left(wishes: Wishes, heard: Wishes, left: Wishes) -> None:
    assert wishes.beyond(heard) == left


@pytest.mark.parametrize(("max_age", "without"), [(5, Wishes(renewed=1)), (None, Wishes(renewed=1))])
def test_a_max_age_that_no_cookie_can_carry_is_left_out(max_age: int | None, without: Wishes) -> None:
    assert Wishes(max_age=max_age, renewed=1).without_max_age() == without


@pytest.mark.parametrize(
    ("wishes", "record", "is_needed"),
    [
        (NO_WISHES, READ, False),
        (NO_WISHES, NOTHING, True),
        (Wishes(renewed=1), READ, True),
        (Wishes(max_age=5, principal="ada", ended=1), READ, False),
    ],
)
def test_a_new_id_is_needed_for_a_new_session_and_a_new_beginning(
    wishes: Wishes, record: Record, is_needed: bool
) -> None:
    assert wishes.need_new_id(record) is is_needed


@pytest.mark.parametrize(
    ("wishes", "record", "ends"),
    [
        (NO_WISHES, NOTHING, True),
        (NO_WISHES, READ, False),  # in a store, and not cleared
        (Wishes(ended=1), READ, True),
        (Wishes(ended=1, principal="ada"), READ, False),
        (NO_WISHES, replace(NOTHING, metadata={"principal": "ada"}), False),
        (Wishes(principal=None), replace(NOTHING, metadata={"principal": "ada"}), True),
    ],
)
def test_an_empty_session_stays_where_it_is_somebodys_or_in_a_store(wishes: Wishes, record: Record, ends: bool) -> None:
    assert wishes.end(record) is ends


def test_once_it_is_saved_a_record_says_what_it_was_and_what_is_new() -> None:
    saved = READ.saved(DELETED, 950, None, 3_000)

    expected = replace(READ, content={}, payload=DELETED, issued_at=950, due=False, version=None, end=3_000)
    assert saved == expected
