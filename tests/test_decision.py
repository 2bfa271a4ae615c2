"""What a response owes a session: every combination of facts, and the table that a person can check."""

from __future__ import annotations

from itertools import product

import pytest

from asgi_signed_session.decision import Owed, decide

# fmt: off
# changed: since it was read or last saved; came: the browser has a cookie; due: to be signed anew.
# "-" stands for either.
TABLE: list[tuple[str, Owed]] = [
    # changed  empty  came  due  takes headers
    (  "-      -      -     -    no",            "nothing"),
    (  "no     -      -     no   yes",           "vary"),
    (  "no     no     -     yes  yes",           "renew"),
    (  "no     yes    -     yes  yes",           "vary"),     # there is nothing to sign
    (  "yes    no     -     -    yes",           "write"),
    (  "yes    yes    yes   -    yes",           "delete"),
    (  "yes    yes    no    -    yes",           "vary"),     # there is no cookie to delete
]
# fmt: on

CASES = list(product((True, False), repeat=5))


def row_of(case: tuple[bool, ...]) -> list[Owed]:
    """What the rows that fit ``case`` say."""
    words = ["yes" if fact else "no" for fact in case]
    return [
        owed
        for facts, owed in TABLE
        if all(fact in ("-", word) for fact, word in zip(facts.split(), words, strict=True))
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_response_owes_what_the_table_says(case: tuple[bool, ...]) -> None:
    changed, empty, came, due, takes_headers = case

    assert [decide(changed, empty, came, due, takes_headers)] == row_of(case)


def test_each_row_of_the_table_says_something_of_its_own() -> None:
    assert sorted(len(row_of(case)) for case in CASES) == [1] * 32
