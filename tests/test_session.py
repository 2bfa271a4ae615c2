from __future__ import annotations

import copy
import json
import marshal
import operator
import pickle
import threading
import types
from collections import ChainMap, UserDict, defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from asgi_signed_session import Session, SessionMiddleware, SessionSigner
from asgi_signed_session.serializers import Tagged

from .apps import app_that
from .browser import Browser
from .conftest import KEY
from .libraries import ORJSON
from .records import Records
from .wire import sign

NOW = 1_800_000_000  # Unix seconds
CONTENT: dict[str, Any] = {"a": 1, "cart": ["tea", {"n": [1]}], "name": "Zoë"}
FLAT: dict[str, Any] = {"a": 1, "name": "Zoë"}  # no value can change in place, so only a method can tell of a change


@types.coroutine
def pause() -> Generator[None, None, None]:
    yield


@contextmanager
def open_session(content: dict[str, Any] | None = None, value: str | None = None, **options: Any) -> Iterator[Session]:
    """The session of an open connection that nobody has touched; a cookie came with ``content``, or as ``value``."""
    opened: list[Session] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        opened.append(scope["session"])
        await pause()

    if content is not None:
        value = SessionSigner(KEY, serializer=options.get("serializer", json)).dumps(content)
    headers = [] if value is None else [(b"cookie", b"session=" + value.encode())]
    middleware = SessionMiddleware(app, options.pop("secret_key", KEY), **options)
    connection = middleware({"type": "http", "path": "/", "headers": headers}, None, None)
    connection.send(None)
    try:
        yield opened[0]
    finally:
        connection.close()


@contextmanager
def open_touched(content: dict[str, Any] | None = None) -> Iterator[Session]:
    with open_session(content) as session:
        session.mark_accessed()
        yield session


@contextmanager
def make_by_hand(content: dict[str, Any] | None = None) -> Iterator[Session]:
    yield Session(copy.deepcopy(content or {}))


STATES = {"untouched": open_session, "touched": open_touched, "by hand": make_by_hand}
each_state = pytest.mark.parametrize("open_in_state", STATES.values(), ids=STATES)


# What one can call each method of dict with. Where it takes keys: one that is there and one that isn't.
# fmt: off
READING: dict[str, list[tuple[Any, ...]]] = {
    "__contains__": [("a",), ("z",), ([],)],
    "__eq__":       [({},), (CONTENT,), ({"a": 1},), (1,)],
    "__ge__":       [({},)],
    "__getitem__":  [("a",), ("cart",), ("z",), ([],)],
    "__gt__":       [({},)],
    "__iter__":     [()],
    "__le__":       [({},)],
    "__len__":      [()],
    "__lt__":       [({},)],
    "__ne__":       [({},), (CONTENT,), ({"a": 1},), (1,)],
    "__or__":       [({"a": 2, "z": 3},), ({},), ([("z", 1)],), (1,)],
    "__repr__":     [()],
    "__reversed__": [()],
    "__ror__":      [({"a": 2, "z": 3},), ({},), ([("z", 1)],), (1,)],
    "copy":         [()],
    "get":          [("a",), ("z",), ("z", 2), ([],), ()],
    "items":        [()],
    "keys":         [()],
    "values":       [()],
}
CHANGING: dict[str, list[tuple[Any, ...]]] = {
    "__delitem__":  [("a",), ("z",), ([],)],
    "__ior__":      [({"a": 2, "z": 3},), ({},), ([("z", 1)],)],
    "__setitem__":  [("a", 2), ("z", 3), ("a", 1), ([], 1)],
    "clear":        [()],
    "pop":          [("a",), ("z",), ("a", 2), ("z", 2), ()],
    "popitem":      [()],
    "setdefault":   [("a",), ("a", 2), ("z",), ("z", 3), ([],)],
    "update":       [({"a": 2, "z": 3},), ({},), (), ([("z", 1)],), ([("z", 1), 2],), (1,)],
}
ELSEWHERE = {
    "__class_getitem__", "__init__", "__new__", "fromkeys",  # make a new one
    "__doc__",
    "__getattribute__",   # finds a method; it is the call that touches
    "__hash__",           # None
    "__sizeof__",         # a Session is larger
}
# fmt: on
# These change a session whatever is in it; the others only where the content is another afterwards.
ALWAYS_CHANGING = {"__ior__", "__setitem__", "clear", "update"}

CALLS = [(name, args) for name, calls in {**READING, **CHANGING}.items() for args in calls]


def test_every_method_that_dict_has_is_known() -> None:
    # One that is new in your Python goes into READING or CHANGING, and into the source if it changes the dict.
    assert set(vars(dict)) - set(READING) - set(CHANGING) - ELSEWHERE == set()


def outcome_of(act: Callable[[Any], Any], mapping: Any) -> Any:
    """What ``act`` makes of ``mapping``: a result that can be compared, or an exception."""
    try:
        result = act(mapping)
    except Exception as error:
        return type(error), str(error)
    if result is mapping:
        return "itself"
    if isinstance(result, Iterator) or type(result).__name__.startswith("dict_"):
        return type(result), list(result)
    return type(result), result


@each_state
@pytest.mark.parametrize("content", [{}, FLAT, CONTENT, None], ids=["empty", "flat", "full", "new"])
@pytest.mark.parametrize(("name", "args"), CALLS)
def test_each_method_of_dict_does_what_it_does_on_a_dict_and_is_seen(
    open_in_state: Any, content: dict[str, Any] | None, name: str, args: tuple[Any, ...]
) -> None:
    plain = copy.deepcopy(content or {})
    before = copy.deepcopy(plain)

    with open_in_state(content) as session:
        outcome = outcome_of(lambda mapping: getattr(mapping, name)(*args), session)
        flags = session.accessed, session.modified

        expected = outcome_of(lambda mapping: getattr(mapping, name)(*args), plain)
        failed = isinstance(expected, tuple) and isinstance(expected[0], type) and issubclass(expected[0], Exception)
        assert outcome == expected or (failed and outcome[0] is expected[0])  # Python words some after the class
        changed = plain != before or (name in ALWAYS_CHANGING and not failed)
        read = open_in_state is not make_by_hand
        if changed or not failed:
            assert flags == (read or changed, changed)
        assert list(session.items()) == list(plain.items())


@each_state
@pytest.mark.parametrize("content", [{}, CONTENT], ids=["empty", "full"])
def test_a_call_that_fails_and_changes_nothing_is_no_change(open_in_state: Any, content: dict[str, Any]) -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda session: session.pop("z"),
        lambda session: session.pop([]),
        lambda session: session.__delitem__("z"),
        lambda session: session.__setitem__([], 1),
        lambda session: session.setdefault([], 1),
    ]
    with open_in_state(content) as session:
        for call in calls:
            with pytest.raises((KeyError, TypeError)):
                call(session)

        assert session.modified is False


def test_taking_an_item_from_an_empty_session_is_no_change() -> None:
    with open_session() as session:
        with pytest.raises(KeyError, match=r"^'popitem\(\): dictionary is empty'$"):
            session.popitem()

        assert (session.accessed, session.modified) == (True, False)


@each_state
def test_keyword_arguments_reach_the_methods_that_take_them(open_in_state: Any) -> None:
    with open_in_state({"a": 1}) as session:
        session.update({"a": 2}, b=3, self=4)

        assert (dict(session), session.modified) == ({"a": 2, "b": 3, "self": 4}, True)


@each_state
def test_a_session_cannot_be_hashed(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session, pytest.raises(TypeError, match="unhashable type"):
        hash(session)


@each_state
def test_the_size_of_a_session_is_that_of_its_content(open_in_state: Any) -> None:
    large = {str(n): n for n in range(1000)}

    with open_in_state({"a": 1}) as small_session, open_in_state() as session:
        session.update(large)

        assert session.__sizeof__() - small_session.__sizeof__() > large.__sizeof__() / 2


@pytest.mark.parametrize(("content", "touch"), [(FLAT, len), (CONTENT, lambda session: session["cart"])])
def test_once_touched_where_nothing_is_nested_or_a_nested_value_was_handed_out_reading_methods_are_dicts_own(
    content: dict[str, Any], touch: Callable[[Session], Any]
) -> None:
    with open_session(content) as session:
        touch(session)

        assert [name for name in READING if getattr(type(session), name) is not getattr(dict, name)] == []


@each_state
def test_looking_up_a_method_is_no_access(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        accessed = session.accessed

        assert callable(session.get)
        assert hasattr(session, "no_such_thing") is False
        assert session.accessed is accessed


def match_pattern(session: Any) -> Any:
    match session:
        case {"a": int(number), "cart": [*cart], **rest}:
            return number, cart, rest
        case {}:
            return "another"
        case _:
            return "no mapping"


def match_nothing(session: Any) -> Any:
    match session:
        case {"z": _}:
            return "z"
        case []:
            return "a list"
        case dict(found):
            return found
        case _:
            return "no dict"


def call_with(**kwargs: Any) -> dict[str, Any]:
    return kwargs


def pickle_and_back(value: Any, protocol: int | None = None) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - it comes from here


# fmt: off
READERS: dict[str, Callable[[Any], Any]] = {
    "bool":              bool,
    "call with **":      lambda s: call_with(**s),
    "comprehension":     lambda s: {key: s[key] for key in s},
    "copy.copy":         copy.copy,
    "copy.deepcopy":     copy.deepcopy,
    "dict()":            dict,
    "dict(**)":          lambda s: dict(**s),
    "dict.update":       lambda s: [d := {"q": 1}, d.update(s)],
    "equal":             lambda s: s == CONTENT,
    "equal to {}":       lambda s: s == {},
    "equal to an int":   lambda s: s == 1,
    "equal, reflected":  lambda s: operator.eq(CONTENT, s),
    "equal, nested":     lambda s: operator.eq([CONTENT, {"s": {}}], [s, {"s": s}]),
    "f-string":          lambda s: f"{s}",
    "f-string, repr":    lambda s: f"{s!r:>9}",
    "first of":          lambda s: next(iter(s), "nothing"),
    "format":            "{}".format,
    "format, an item":   "{0[a]} {0[cart][0]}".format,
    "format_map":        "{a} {name}".format_map,
    "in":                lambda s: ["a" in s, "z" in s, "a" not in s],
    "json.dumps":        json.dumps,
    # Loaded again: CPython 3.13 writes an empty untouched session on two lines, having looked at its size in C.
    "json.dumps, lines": lambda s: json.loads(json.dumps(s, indent=1, sort_keys=True)),
    "json, nested":      lambda s: json.dumps({"session": [s]}),
    "keys, a set":       lambda s: [s.keys() & {"a", "z"}, s.keys() | {"z"}, "a" in s.keys()],  # noqa: SIM118
    "keys, equal":       lambda s: s.keys() == CONTENT.keys(),
    "items, equal":      lambda s: s.items() == CONTENT.items(),
    "len":               len,
    "list":              list,
    "list, items":       lambda s: [*s.items()],
    "list, values":      lambda s: [*s.values()],
    "match":             match_pattern,
    "match, nothing":    match_nothing,
    "max":               lambda s: max(s, default=None),
    "not":               lambda s: not s,
    "not equal":         lambda s: s != CONTENT,
    "not equal to {}":   lambda s: s != {},
    "unequal, reflected": lambda s: operator.ne(CONTENT, s),
    "percent":           lambda s: operator.mod("%(a)s %(name)s", s),
    "percent, whole":    lambda s: operator.mod("%r", (s,)),
    "pickle":            lambda s: [pickle_and_back(s, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)],
    "reversed":          lambda s: [*reversed(s)],
    "set":               set,
    "sorted":            sorted,
    "str":               str,
    "sum of dicts":      lambda s: {**s, "z": 1},
    "tuple":             tuple,
    "unpacking":         lambda s: [*s],
    "|":                 lambda s: s | {"a": 2, "z": 1},
    "|, reflected":      lambda s: operator.or_({"a": 2, "z": 1}, s),
    "|=, on the right":  lambda s: (d := {"a": 2}).__ior__(s) and d,
}
# fmt: on


@each_state
@pytest.mark.parametrize("content", [{}, CONTENT], ids=["empty", "full"])
@pytest.mark.parametrize("reader", READERS)
def test_the_language_and_its_library_read_a_session_as_a_dict(
    open_in_state: Any, content: dict[str, Any], reader: str
) -> None:
    plain = copy.deepcopy(content)
    with open_in_state(content) as session:
        ours, expected = outcome_of(READERS[reader], session), outcome_of(READERS[reader], plain)

        assert ours == expected or (ours == (Session, expected[1]) and reader.startswith("copy."))
        assert (session.accessed, session.modified) == (open_in_state is not make_by_hand, False)


WRITERS: dict[str, Callable[[Any], Any]] = {
    "assign": lambda s: s.__setitem__("z", [1]),
    "in place, |=": lambda s: s.__ior__({"z": 1}),
    "a loop over a copy": lambda s: [s.pop(key) for key in list(s)],
    "exchange": lambda s: s.update({value: key for key, value in s.items() if isinstance(value, str)}),
    "nested, append": lambda s: s["cart"].append("mug"),
    "nested, insert": lambda s: s["cart"].insert(0, "mug"),
    "nested, delete": lambda s: s["cart"].pop(),
    "nested, sort": lambda s: s["cart"].reverse(),
    "nested, dict": lambda s: s["cart"][1].update(m=1),
    "nested, deeper": lambda s: s["cart"][1]["n"].append(2),
    "nested, by get": lambda s: s.get("cart").append(1),
    "nested, by values": lambda s: next(cart for cart in s.values() if isinstance(cart, list)).append(1),
    "nested, by setdefault": lambda s: s.setdefault("cart", []).append(1),
    "nested, by copy": lambda s: s.copy()["cart"].append(1),
    "nested, by match": lambda s: match_pattern(s)[1] and s["cart"][1]["n"].clear(),
    "nested, by | of a kind": lambda s: (s | {})["cart"].append(1),
    "True for 1": lambda s: s["cart"][1]["n"].__setitem__(0, True),
    "1.0 for 1": lambda s: s["cart"][1]["n"].__setitem__(0, 1.0),
    "the order of keys": lambda s: s["cart"][1].update(b=s["cart"][1].pop("n")) or s["cart"][1],
}


@each_state
@pytest.mark.parametrize("writer", WRITERS)
def test_a_change_at_any_depth_is_seen(open_in_state: Any, writer: str) -> None:
    plain = copy.deepcopy(CONTENT)
    with open_in_state(CONTENT) as session:
        WRITERS[writer](session)
        WRITERS[writer](plain)

        assert (session.accessed, session.modified) == (True, True)
        assert repr(session) == repr(plain)  # tells 1 from True


def match_value(session: Any) -> Any:
    match session:
        case {"cart": cart}:
            return cart
        case _:
            return None


def update(other: Any, session: Any) -> Any:
    other.update(session)
    return other


def merge(other: Any, session: Any) -> Any:
    other |= session
    return other


def keyword_arguments(**content: Any) -> Any:
    return content["cart"]


# Every way in which Python hands out the values of a dict.
HANDED_OUT: dict[str, Callable[[Any], Any]] = {
    "[]": lambda s: s["cart"],
    "get": lambda s: s.get("cart"),
    "__getitem__": lambda s: s.__getitem__("cart"),
    "itemgetter": operator.itemgetter("cart"),
    "values": lambda s: next(value for value in s.values() if isinstance(value, list)),
    "items": lambda s: dict(list(s.items()))["cart"],
    "keys().mapping": lambda s: s.keys().mapping["cart"],
    "dict": lambda s: dict(s)["cart"],
    "{**}": lambda s: {**s}["cart"],
    "|": lambda s: (s | {})["cart"],
    "| on the right": lambda s: ({} | s)["cart"],
    "|= into another": lambda s: merge({}, s)["cart"],
    "update of another": lambda s: update({}, s)["cart"],
    "dict method": lambda s: s.copy()["cart"],
    "copy.copy": lambda s: copy.copy(s)["cart"],
    "match": match_value,
    "keyword arguments": lambda s: keyword_arguments(**s),
    "ChainMap": lambda s: ChainMap(s)["cart"],
    "UserDict": lambda s: UserDict(s)["cart"],
    "Session": lambda s: Session(s)["cart"],
    "setdefault": lambda s: s.setdefault("cart", []),
    "pop and back": lambda s: s.setdefault("cart", s.pop("cart")),
    "sorted": lambda s: next(value for _, value in sorted(s.items(), key=str) if isinstance(value, list)),
    "a method found before": lambda s: [s.get, s.get("cart")][0]("cart"),
    "dict_factory": lambda s: defaultdict(list, s)["cart"],
    "max": lambda s: s[max(s, key=lambda key: len(repr(s[key])))],
}


@pytest.mark.parametrize("hand_out", HANDED_OUT.values(), ids=HANDED_OUT)
@pytest.mark.parametrize("first", [lambda s: s.mark_accessed(), len, lambda s: s["a"], lambda s: None])
def test_a_nested_value_is_watched_whatever_way_it_was_handed_out(hand_out: Any, first: Any) -> None:
    with open_session(CONTENT) as session:
        first(session)
        cart = hand_out(session)
        modified = session.modified
        cart.append("mug")

        assert modified == (hand_out is HANDED_OUT["pop and back"])
        assert session.modified
        assert session["cart"][-1] == "mug"


UNCHANGING = [
    datetime(2030, 1, 1, tzinfo=timezone.utc),
    date(2030, 1, 1),
    time(12),
    timedelta(1),
    Decimal("1.5"),
    UUID(int=1),
]

HANDING_OUT_NOTHING: dict[str, Callable[[Any], Any]] = {
    "an immutable value": lambda s: [s["a"], s.get("name"), s.get("z"), s.get("z", 2)],
    "its keys": lambda s: [*s, *reversed(s), "a" in s, len(s), bool(s)],
    "as text": lambda s: [repr(s), str(s), f"{s}"],
    "a flag": lambda s: [s.accessed, s.modified, s.rejected, s.max_age, s.signed_at],
    **{f"in C, by {each.__name__}": each.dumps for each in ORJSON},
}


@pytest.mark.parametrize("read", HANDING_OUT_NOTHING.values(), ids=HANDING_OUT_NOTHING)
def test_reading_what_is_not_nested_takes_no_fingerprint(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    """What the app was never handed it can't have changed; so nothing is compared when the response starts, either."""
    with open_session(CONTENT) as session:
        session.mark_accessed()
        monkeypatch.setattr(marshal, "dumps", None)
        read(session)

        assert (session.accessed, session.modified) == (True, False)


@pytest.mark.filterwarnings("ignore:serializer=pickle")
@pytest.mark.parametrize("value", UNCHANGING, ids=lambda value: type(value).__name__)
def test_what_can_not_change_is_not_watched(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    with open_session({"a": value, "b": 1}, serializer=Tagged()) as session:
        with monkeypatch.context() as context:
            for module in (marshal, pickle):
                context.setattr(module, "dumps", None)

            assert session["a"] == value
            assert (session.accessed, session.modified) == (True, False)
        session["a"] = value
        assert session.modified is True
    with pytest.raises((AttributeError, TypeError)):
        value.day = 1


def test_a_session_with_a_nested_value_reads_anew_after_marking_it_modified() -> None:
    with open_session(CONTENT) as session:
        session.mark_modified()
        cart = session["cart"]
        cart.append("mug")

        assert session.modified
        session.modified = False
        assert (session.accessed, session.modified) == (True, False)
        cart.append("pot")
        assert session.modified


def test_another_threads_change_of_what_it_was_handed_is_not_taken_for_what_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two threads are handed the first nested value; one has changed it before the other has its fingerprint."""
    with open_session(CONTENT) as session:
        session.mark_accessed()

        def change_meanwhile(*arguments: Any) -> bytes:
            monkeypatch.undo()
            session["cart"].append("mug")
            return marshal.dumps(*arguments)

        monkeypatch.setattr(marshal, "dumps", change_meanwhile)

        assert session["cart"][-1] == "mug"
        assert session.modified


@each_state
def test_a_nested_change_that_is_taken_back_is_no_change(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        session["cart"].append("mug")
        assert session.modified is True
        session["cart"].pop()

        assert session.modified is False


@each_state
@pytest.mark.parametrize(
    "content",
    [
        {"n": 1, "f": 0.5, "t": True, "none": None, "s": "ä"},
        {"cart": ["tea", {"n": [1]}], "deep": {"er": [[[{}]]]}},
        {"nan": [float("nan"), float("inf"), -0.0], "big": [10**30], "half": ["\ud800"]},
        {},
    ],
)
def test_reading_any_values_is_no_change(open_in_state: Any, content: dict[str, Any]) -> None:
    with open_in_state(content) as session:
        for value in session.values():
            repr(value)

        assert (session.accessed, session.modified) == (open_in_state is not make_by_hand, False)


def test_values_nested_deeply_are_read_and_their_change_is_seen() -> None:
    value = sign_nested(400)

    with open_session(value=value) as session:
        innermost = session["deep"]
        for _ in range(399):
            innermost = innermost[0]
        assert session.modified is False
        innermost.append(1)
        assert session.modified is True


def sign_nested(depth: int) -> str:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return sign({"deep": value})


@pytest.mark.filterwarnings("ignore:serializer=pickle")
@each_state
def test_values_that_json_does_not_have_are_followed_too(open_in_state: Any) -> None:
    content = {"day": date(2030, 1, 1), "tags": [{"tea"}]}
    options: Any = {} if open_in_state is make_by_hand else {"serializer": pickle}
    open_it = open_session if open_in_state is open_touched else open_in_state

    with open_it(content, **options) as session:
        assert session["day"] == date(2030, 1, 1)
        assert session.modified is False
        session["tags"][0].add("mug")

        assert session.modified is True


@pytest.mark.filterwarnings("ignore:serializer=pickle")
@pytest.mark.parametrize("other", [True, 1.0])
def test_a_value_that_equals_the_one_before_is_a_change_whatever_lies_beside_it(other: Any) -> None:
    with open_session({"day": date(2030, 1, 1), "n": [1]}, serializer=pickle) as session:
        session["n"][0] = other

        assert session.modified is True


class Uncomparable:
    """Refuses to be compared, copied and written."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("no")


def test_a_value_that_nothing_can_be_said_of_counts_as_changed() -> None:
    session = Session({"what": Uncomparable()})

    assert (session.accessed, session.modified) == (True, True)


@each_state
def test_a_session_is_a_dict_and_a_session(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        assert isinstance(session, dict)
        assert isinstance(session, Session)
        session.update(b=1)
        assert type(session) is Session


def test_a_session_stays_the_same_object_when_it_is_read() -> None:
    with open_session(CONTENT) as session:
        kept = [session]
        session["b"] = 1

        assert kept[0] is session
        assert kept == [{**CONTENT, "b": 1}]


def test_two_untouched_sessions_compare_by_what_they_hold() -> None:
    with open_session({"a": 1}) as one, open_session({"a": 1}) as other:
        assert one == other
        assert (one.accessed, other.accessed) == (True, True)
    with open_session({"a": 1}) as one, open_session({"a": 2}) as other:
        assert one != other
    with open_session() as one, open_session() as other:
        assert not one != other  # noqa: SIM202 - each operator has a method of its own


def test_untouched_sessions_are_merged_by_what_they_hold() -> None:
    with open_session({"a": 1}) as one, open_session({"b": 2}) as other:
        assert one | other == {"a": 1, "b": 2}
    with open_session({"a": 1}) as one, open_session({"b": 2}) as other:
        one.update(other)
        assert (dict(one), other.accessed, other.modified) == ({"a": 1, "b": 2}, True, False)


@pytest.mark.parametrize(
    ("act", "expected"), [(operator.eq, True), (operator.ne, False), (operator.or_, {"a": 1}), (operator.ior, {"a": 1})]
)
def test_a_touched_and_an_untouched_session_meet_as_two_dicts(act: Callable[[Any, Any], Any], expected: Any) -> None:
    with open_session({"a": 1}) as untouched:
        assert act(Session({"a": 1}), untouched) == expected
    with open_session({"a": 1}) as untouched:
        assert act(untouched, Session({"a": 1})) == expected


@pytest.mark.parametrize("content", [{}, CONTENT], ids=["empty", "full"])
@pytest.mark.parametrize(
    "dumps",
    [*(each.dumps for each in ORJSON), msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins],
)
def test_a_reader_that_goes_round_the_methods_fails_rather_than_sees_an_empty_session(
    dumps: Callable[[Any], Any], content: dict[str, Any]
) -> None:
    with open_session(content) as session:
        with pytest.raises(TypeError):
            dumps(session)
        with pytest.raises(TypeError):
            dumps({"session": [session]})
        len(session)

        assert dumps(session) == dumps(content)


def test_marshal_takes_a_session_no_more_than_any_class_of_dict() -> None:
    for open_in_state in STATES.values():
        with open_in_state(CONTENT) as session:
            with pytest.raises(ValueError, match="unmarshallable object"):
                marshal.dumps(session)
            assert marshal.dumps(dict(session)) != marshal.dumps({})


class CountingSigner(TimestampSigner):
    count = 0

    def unsign(self, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        return super().unsign(*args, **kwargs)


class CountingSerializer:
    def __init__(self) -> None:
        self.count = 0

    def dumps(self, content: Any) -> str:
        return json.dumps(content)

    def loads(self, payload: str) -> Any:
        self.count += 1
        return json.loads(payload)


@contextmanager
def open_counted() -> Iterator[tuple[Session, Callable[[], tuple[int, int]]]]:
    """An untouched session, and what tells how many signatures were checked and how many payloads were parsed."""
    signer, serializer = CountingSigner(KEY), CountingSerializer()
    with open_session(value=sign(CONTENT, signer=signer), secret_key=signer, serializer=serializer) as session:
        yield session, lambda: (signer.count, serializer.count)


def test_an_untouched_session_checks_no_signature_and_parses_nothing() -> None:
    with open_counted() as (session, counts):
        assert (session.accessed, session.modified, isinstance(session, dict)) == (False, False, True)
        assert counts() == (0, 0)


@pytest.mark.parametrize("reader", READERS)
def test_the_first_touch_reads_the_cookie_and_the_next_ones_do_not(reader: str) -> None:
    with open_counted() as (session, counts):
        for _ in range(2):
            READERS[reader](session)

            assert counts() == (1, 1)


# fmt: off
TOUCHES = [
    lambda s: s.mark_accessed(),
    lambda s: s.mark_modified(),
    lambda s: s.regenerate(),
    lambda s: s.clear(),
    lambda s: s.rejected,
    lambda s: s.issued_at,
    lambda s: s.signed_at,
    lambda s: s.max_age,
    lambda s: setattr(s, "max_age", 60),
]
# fmt: on


@pytest.mark.parametrize("touch", TOUCHES)
def test_what_a_session_has_beyond_dict_reads_the_cookie(touch: Callable[[Session], Any]) -> None:
    with open_counted() as (session, counts):
        touch(session)

        assert counts() == (1, 1)
        assert session.accessed is True
        touch(session)
        assert counts() == (1, 1)


@each_state
def test_marking_a_session_accessed_reads_it_and_changes_nothing(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        session.mark_accessed()

        assert (session.accessed, session.modified, dict(session)) == (True, False, CONTENT)


@each_state
def test_marking_a_session_modified_keeps_its_content(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        session.mark_modified()

        assert (session.accessed, session.modified, dict(session)) == (True, True, CONTENT)


@each_state
def test_the_flags_can_be_set_as_starlettes_can(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        session.modified = True
        assert (session.accessed, session.modified, dict(session)) == (True, True, CONTENT)
        session["cart"].append("mug")
        session.modified = False
        assert (session.accessed, session.modified) == (True, False)
        session["cart"].append("cup")
        assert session.modified is True
    with open_in_state(CONTENT) as session:
        session["cart"].append("mug")
        session.accessed = False
        assert (session.accessed, session.modified) == (True, True)  # or the change wouldn't be saved


@pytest.mark.parametrize("value", [True, False])
def test_setting_accessed_reads_nothing(value: bool) -> None:
    with open_session(CONTENT) as session:
        session.accessed = value
        assert (session.accessed, session.modified) == (False, False)
        assert session["a"] == CONTENT["a"]
        assert (session.accessed, session.modified) == (True, False)


def test_what_was_read_stays_so() -> None:
    with open_session(CONTENT) as session:
        cart = session["cart"]

        session.accessed = False
        assert (session.accessed, session.modified) == (True, False)

        cart.append("mug")
        assert (session.accessed, session.modified) == (True, True)


def test_a_session_made_by_hand_can_be_set_accessed() -> None:
    session = Session(CONTENT)

    session.accessed = True

    assert (session.accessed, session.modified) == (True, False)


@dataclass
class Context:
    session: dict[str, Any]


@each_state
def test_a_dataclass_with_a_session_becomes_a_dict(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        made = asdict(Context(session))["session"]

        assert made == CONTENT
        assert (type(made), made["cart"] is session["cart"]) == (Session, False)


@each_state
def test_the_class_of_any_session_makes_one_by_hand(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        made = type(session)([("a", 1)], b=2)

        assert (made, made.accessed, made.modified, made.store_key) == ({"a": 1, "b": 2}, False, False, None)
        made["c"] = 3
        assert (made, made.modified) == ({"a": 1, "b": 2, "c": 3}, True)


@pytest.mark.parametrize("args", [(), ({"a": 1},), ([("a", 1)],), (iter([("a", 1)]),)])
@pytest.mark.parametrize("kwargs", [{}, {"a": 2, "b": [1]}, {"self": 1}])
def test_a_session_is_made_by_hand_as_a_dict_is(args: Any, kwargs: Any) -> None:
    args, same_args = copy.deepcopy(args), copy.deepcopy(args)

    session = Session(*args, **kwargs)

    assert session == dict(*same_args, **kwargs)
    assert (session.accessed, session.modified) == (False, False)
    assert (session.rejected, session.issued_at, session.signed_at, session.max_age) == (None, None, None, None)


def test_a_session_is_made_from_keys_as_a_dict_is() -> None:
    session = Session.fromkeys(["a", "b"], 1)

    assert (type(session), session, session.modified) == (Session, {"a": 1, "b": 1}, False)
    assert Session.fromkeys("ab") == {"a": None, "b": None}
    with open_session(CONTENT) as untouched:
        assert (untouched.fromkeys("a"), untouched.accessed) == ({"a": None}, False)


@pytest.mark.parametrize("args", [(1,), ({}, {}), ([1],)])
def test_what_no_dict_is_made_from_no_session_is(args: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Session(*args)


def test_a_session_made_by_hand_does_not_share_what_it_is_made_from() -> None:
    plain = {"a": 1}
    session = Session(plain)
    session["b"] = 2

    assert plain == {"a": 1}


def test_a_change_of_a_session_made_by_hand_sets_both_flags() -> None:
    flat, nested = Session({"a": 1}), Session({"a": [1]})
    flat["a"] = 2
    nested["a"].append(2)

    assert [(session.accessed, session.modified) for session in (flat, nested)] == [(True, True), (True, True)]


@each_state
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle_and_back])
def test_a_copy_is_a_session_of_its_own(open_in_state: Any, how: Callable[[Session], Session]) -> None:
    with open_in_state(CONTENT) as session:
        copied = how(session)

        assert (type(copied), copied) == (Session, CONTENT)
        assert (copied.accessed, copied.modified) == (False, False)
        copied["b"] = 1
        assert (session.modified, "b" in session) == (False, False)


@each_state
def test_a_deep_copy_shares_nothing(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        copy.deepcopy(session)["cart"].append("mug")

        assert (session.modified, dict(session)) == (False, CONTENT)


def sign_at(when: int, content: Any, **metadata: Any) -> str:
    with time_machine.travel(when, tick=False):
        return sign({**content, **({"$session": metadata} if metadata else {})})


@pytest.mark.parametrize(
    ("value", "rejected"),
    [
        (None, None),
        (sign_at(NOW, {"a": 1}), None),
        ("", "bad-signature"),
        ("forged", "bad-signature"),
        (sign({"a": 1}, "a key that is not in use here"), "bad-signature"),
        (sign({"a": 1}, name="other"), "bad-signature"),
        (sign_at(NOW - 61, {"a": 1}), "expired"),
        (sign_at(NOW + 61, {"a": 1}), "expired"),
        (sign_at(NOW, {"a": 1}, max_age="1"), "malformed"),
    ],
    ids=[
        *("none", "signed now", "empty", "not signed", "another key", "another cookie", "too old", "of the future"),
        "a max_age that is text",
    ],
)
def test_a_session_tells_why_its_cookie_was_not_used(value: str | None, rejected: str | None) -> None:
    with time_machine.travel(NOW, tick=False), open_session(value=value, max_age=60) as session:
        assert session.rejected == rejected
        assert session == ({"a": 1} if value and rejected is None else {})
        assert (session.accessed, session.modified) == (True, False)


def test_a_session_still_tells_why_after_a_change() -> None:
    with open_session(value="forged") as session:
        session["a"] = 1

        assert (session.rejected, session) == ("bad-signature", {"a": 1})


def test_a_session_tells_when_it_was_signed() -> None:
    with time_machine.travel(NOW, tick=False), open_session(value=sign_at(NOW - 5, {"a": 1})) as session:
        assert (session.issued_at, session.signed_at) == (NOW - 5, NOW - 5)


@pytest.mark.parametrize("value", [None, "forged"])
def test_a_new_session_has_no_times(value: str | None) -> None:
    with open_session(value=value) as session:
        session["a"] = 1

        assert (session.issued_at, session.signed_at) == (None, None)


def test_a_session_tells_when_it_began_where_that_is_remembered() -> None:
    value = sign_at(NOW - 5, {"a": 1}, iat=NOW - 100)

    with time_machine.travel(NOW, tick=False), open_session(value=value, lifetime=1000) as session:
        assert (session.issued_at, session.signed_at, dict(session)) == (NOW - 100, NOW - 5, {"a": 1})


def test_the_beginning_of_a_session_outlives_every_signing_with_a_lifetime() -> None:
    times: list[tuple[int | None, int | None]] = []

    def count(scope: Any) -> None:
        session = scope["session"]
        times.append((session.issued_at, session.signed_at))
        session["n"] = session.get("n", 0) + 1

    browser = Browser(SessionMiddleware(app_that(count), KEY, lifetime=100))
    with time_machine.travel(NOW, tick=False) as clock:
        for seconds in (30, 69, 1, 0):
            browser.get()
            clock.shift(seconds)

    assert times == [(None, None), (NOW, NOW), (NOW, NOW + 30), (None, None)]  # after 100 s it is over


def test_without_a_lifetime_a_session_begins_when_it_was_signed() -> None:
    times: list[tuple[int | None, int | None]] = []

    def count(scope: Any) -> None:
        session = scope["session"]
        times.append((session.issued_at, session.signed_at))
        session["n"] = session.get("n", 0) + 1

    browser = Browser(SessionMiddleware(app_that(count), KEY))
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(3):
            browser.get()
            clock.shift(30)

    assert times == [(None, None), (NOW, NOW), (NOW + 30, NOW + 30)]


@each_state
def test_regenerating_keeps_the_data_and_begins_anew(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        session.regenerate()

        assert (session.issued_at, session.signed_at, dict(session)) == (None, None, CONTENT)
        assert (session.accessed, session.modified) == (True, True)


def test_a_regenerated_session_has_a_new_beginning_on_the_next_request() -> None:
    seen: list[tuple[int | None, Any]] = []

    def log_in(scope: Any) -> None:
        session = scope["session"]
        seen.append((session.issued_at, dict(session)))
        session["n"] = 1
        if scope["path"] == "/login":
            session.regenerate()

    browser = Browser(SessionMiddleware(app_that(log_in), KEY, lifetime=1000))
    with time_machine.travel(NOW, tick=False) as clock:
        for path in ("/", "/login", "/"):
            browser.get(path)
            clock.shift(10)

    assert seen == [(None, {}), (NOW, {"n": 1}), (NOW + 10, {"n": 1})]


def test_a_session_without_a_max_age_of_its_own_has_the_middlewares() -> None:
    with open_session(CONTENT) as default, open_session(max_age=60) as minute, open_session(max_age=None) as browser:
        assert [session.max_age for session in (default, minute, browser)] == [1209600, 60, None]
        assert [session.modified for session in (default, minute, browser)] == [False, False, False]


@each_state
@pytest.mark.parametrize("seconds", [1, 30 * 86400, None])
def test_setting_max_age_is_a_change(open_in_state: Any, seconds: int | None) -> None:
    with open_in_state(CONTENT) as session:
        session.max_age = seconds

        assert session.max_age == seconds
        assert (session.accessed, session.modified, dict(session)) == (True, True, CONTENT)


@pytest.mark.parametrize("seconds", [30, None])
def test_a_max_age_of_a_sessions_own_is_remembered(seconds: int | None) -> None:
    value = sign_at(NOW, {"a": 1}, max_age=seconds)

    with time_machine.travel(NOW, tick=False), open_session(value=value, max_age=60) as session:
        assert (session.max_age, dict(session), session.modified) == (seconds, {"a": 1}, False)


@each_state
@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (0, ValueError, "session.max_age=0 must be a positive number of seconds, or None."),
        (-1, ValueError, "session.max_age=-1 must be a positive number of seconds, or None."),
        (10**20, ValueError, f"session.max_age={10**20} must be at most 3153600000 seconds, a hundred years; or None."),
        (1.5, TypeError, "session.max_age=1.5 must be a whole number of seconds (an int or a timedelta) or None."),
        ("60", TypeError, "session.max_age='60' must be a whole number of seconds (an int or a timedelta) or None."),
        (True, TypeError, "session.max_age=True must be a whole number of seconds (an int or a timedelta) or None."),
    ],
)
def test_a_max_age_that_is_none_is_refused(open_in_state: Any, seconds: Any, error: Any, message: str) -> None:
    with open_in_state(CONTENT) as session:
        before = session.max_age
        with pytest.raises(error) as caught:
            session.max_age = seconds

        assert str(caught.value) == message
        assert (session.max_age, session.modified) == (before, False)


@each_state
def test_clearing_ends_the_session_and_its_max_age(open_in_state: Any) -> None:
    with open_in_state(CONTENT) as session:
        default = session.max_age
        session.max_age = 30
        session.clear()

        assert (dict(session), session.max_age, session.issued_at, session.signed_at) == ({}, default, None, None)
        assert (session.accessed, session.modified) == (True, True)


# Readers that meet


def in_a_thread(act: Callable[[], None]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [in_a_thread, lambda act: act()], ids=["another thread", "the serializer"])
def test_a_change_while_the_session_is_being_read_is_kept(run: Callable[[Callable[[], None]], None]) -> None:
    class Serializer:
        dumps = staticmethod(json.dumps)
        pending = True

        def loads(self, payload: str) -> Any:
            if self.pending:
                self.pending = False
                run(lambda: session.update(meanwhile=1))
            return json.loads(payload)

    value = SessionSigner(KEY).dumps(CONTENT)
    with open_session(value=value, serializer=Serializer()) as session:
        assert (session["a"], session["meanwhile"], session.modified) == (1, 1, True)


def test_threads_that_touch_a_session_at_once_each_have_their_change_kept() -> None:
    content = {"a": "x" * 2900}  # hashing more than 2 kB lets other threads run
    for _ in range(100):
        with open_session(content) as session:
            start = threading.Barrier(2)

            def touch(key: str, start: threading.Barrier = start, session: Session = session) -> None:
                start.wait()
                session[key] = 1

            threads = [threading.Thread(target=touch, args=key) for key in "bc"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert (session, session.modified) == ({**content, "b": 1, "c": 1}, True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
some_keys = st.sampled_from("abcd")
contents = st.dictionaries(some_keys, json_values, max_size=4)
Step = Callable[[Any], Any]


def call_of(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    def make(args: tuple[Any, ...]) -> Step:
        # Each mapping gets arguments of its own, or a change nested in one would be a change of the other.
        return lambda mapping: getattr(mapping, name)(*copy.deepcopy(args))

    return st.tuples(*args).map(make)


def change_nested(key: str, value: Any) -> Step:
    def step(mapping: Any) -> Any:
        nested = mapping.get(key)
        if isinstance(nested, list):
            nested.append(copy.deepcopy(value))
        elif isinstance(nested, dict):
            nested["n"] = copy.deepcopy(value)
        return nested

    return step


steps = st.one_of(
    call_of("__setitem__", some_keys, json_values),
    call_of("__delitem__", some_keys),
    call_of("__getitem__", some_keys),
    call_of("__contains__", some_keys),
    call_of("__len__"),
    call_of("__eq__", contents),
    call_of("__or__", contents),
    call_of("__ior__", contents),
    call_of("clear"),
    call_of("copy"),
    call_of("get", some_keys, json_values),
    call_of("items"),
    call_of("keys"),
    call_of("pop", some_keys),
    call_of("pop", some_keys, json_values),
    call_of("popitem"),
    call_of("setdefault", some_keys, json_values),
    call_of("update", contents),
    call_of("values"),
    st.builds(change_nested, some_keys, json_values),
)


@settings(deadline=None, max_examples=300)
@given(contents, st.lists(steps, max_size=8))
def test_any_operations_do_to_a_session_what_they_do_to_a_dict_and_no_change_is_lost(
    content: dict[str, Any], sequence: list[Step]
) -> None:
    plain = copy.deepcopy(content)
    with open_session(content) as session:
        for step in sequence:
            assert repr(outcome_of(step, session)) == repr(outcome_of(step, plain))
            assert session.modified or repr(plain) == repr(content)

        assert repr(session) == repr(plain)


@settings(deadline=None, max_examples=100)
@given(contents, st.lists(steps, max_size=6))
def test_any_operations_of_one_request_are_there_on_the_next(content: dict[str, Any], sequence: list[Step]) -> None:
    plain = copy.deepcopy(content)

    def act(scope: Any) -> Any:
        if scope["path"] == "/":
            return repr(scope["session"])
        for step in sequence:
            outcome_of(step, scope["session"])
        return None

    browser = Browser(SessionMiddleware(app_that(act), KEY), cookies={"session": SessionSigner(KEY).dumps(content)})
    browser.get("/act")
    for step in sequence:
        outcome_of(step, plain)

    assert browser.get("/").json() == repr(plain)


class Cart(Session):
    """A session of a user's own making."""


def test_a_subclass_made_by_hand_stays_one() -> None:
    cart = Cart({"tea": 1})

    assert (type(cart), cart, cart.modified) == (Cart, {"tea": 1}, False)


def test_a_session_with_nested_values_equals_one_that_nobody_has_touched_where_their_content_is_the_same() -> None:
    equal: list[bool] = []

    def compare(scope: Any) -> None:
        first, second = scope["session"], scope["other"]
        first.get("user")
        equal.append(first == second)

    inner = SessionMiddleware(app_that(compare), KEY, scope_key="other")
    browser = Browser(SessionMiddleware(inner, KEY))
    value = sign({"user": "ada", "cart": ["tea"]})
    browser.get(headers=[(b"cookie", f"session={value}".encode())])

    assert equal == [True]


@pytest.mark.parametrize("kind", ["cookie", "store"])
def test_a_first_touch_that_comes_after_another_threads_changes_nothing(kind: str) -> None:
    def touch_twice(scope: Any) -> Any:
        session = scope["session"]
        first_touch = session.mark_accessed  # of a session that nobody has read, as the slower thread finds it
        session["seen"] = session.get("user")
        first_touch()
        return dict(session)

    store = Records() if kind == "store" else None
    browser = Browser(SessionMiddleware(app_that(lambda scope: scope["session"].update(user="ada")), KEY, store=store))
    browser.get()
    browser.app = SessionMiddleware(app_that(touch_twice), KEY, store=store)

    assert browser.get().json() == {"user": "ada", "seen": "ada"}
