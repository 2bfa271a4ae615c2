"""What a response owes a session: every combination of facts, and the table that a person can check."""

from __future__ import annotations

from itertools import product

import pytest

from asgi_signed_session.decision import Owed, decide

# fmt: off
# changed: since it was read or last saved; came: the browser has a cookie; due: to be signed again; barred: the
# request is another site's. "-" stands for either.
TABLE: list[tuple[str, Owed]] = [
    # changed  empty  came  due  takes headers  barred
    (  "-      -      -     -    no             -",     "nothing"),
    (  "-      -      -     -    yes            yes",   "vary"),     # it may not be this visitor's wish
    (  "no     -      -     no   yes            no",    "vary"),
    (  "no     no     -     yes  yes            no",    "renew"),
    (  "no     yes    -     yes  yes            no",    "vary"),     # there is nothing to sign
    (  "yes    no     -     -    yes            no",    "write"),
    (  "yes    yes    yes   -    yes            no",    "delete"),
    (  "yes    yes    no    -    yes            no",    "vary"),     # there is no cookie to delete
]
# fmt: on

CASES = list(product((True, False), repeat=6))


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
    assert [decide(*case)] == row_of(case)


def test_each_row_of_the_table_says_something_of_its_own() -> None:
    assert sorted(len(row_of(case)) for case in CASES) == [1] * 64
