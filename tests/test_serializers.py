"""What goes into a session with one of our serializers comes out as it was, of the same types; and little else does."""

from __future__ import annotations

import copy
import enum
import hmac
import json
import subprocess
import sys
import tracemalloc
import zlib
from base64 import b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
import time_machine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from itsdangerous import BadData
from pydantic import SecretStr
from starlette.datastructures import Secret

from asgi_signed_session import Session, SessionMiddleware, SessionSigner, UnserializableSessionError
from asgi_signed_session.payload import METADATA_KEY, Codec
from asgi_signed_session.serializers import MAX_INFLATED, Compressed, Encrypted, Tagged

from .apps import app_that, show_session
from .browser import Browser
from .conftest import KEY, NOW
from .libraries import ORJSON
from .records import Records
from .wire import KEPT, read_payload, set_cookie, sign

OTHER_KEY = "another key of more than sixteen bytes"
BERLIN = ZoneInfo("Europe/Berlin")
CEST = timezone(timedelta(hours=2))

needs_cryptography = pytest.mark.skipif(find_spec("cryptography") is None, reason="cryptography is not installed")


class Msgspec:
    """``msgspec.json`` under the names that a serializer has."""

    def dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)

    def loads(self, payload: bytes) -> Any:
        return msgspec.json.decode(payload)


class Spaced:
    """As ``json`` writes by itself: text, with spaces and escapes."""

    def dumps(self, obj: Any) -> str:
        return json.dumps(obj)

    def loads(self, payload: str) -> Any:
        return json.loads(payload)


def encrypt(serializer: Any = json, **options: Any) -> Any:
    chosen: dict[str, Any] = {"keys": [KEY], **options}
    return Encrypted(serializer, **chosen)


# What serializers take, and come back as, whatever is around them.
TAGGING = {
    "Tagged()": Tagged,
    **{f"Tagged({each.__name__})": partial(Tagged, each) for each in ORJSON},
    "Tagged(msgspec)": lambda: Tagged(Msgspec()),
    "Tagged(of text)": lambda: Tagged(Spaced()),
    "Tagged(Compressed())": lambda: Tagged(Compressed()),
    "Compressed(Tagged())": lambda: Compressed(Tagged()),
}
ENCRYPTING = {
    "Encrypted(Tagged())": lambda: encrypt(Tagged()),
    "Encrypted(Compressed(Tagged()))": lambda: encrypt(Compressed(Tagged())),
    "Tagged(Encrypted())": lambda: Tagged(encrypt()),
}
each_composition = pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name) for name, make in TAGGING.items()]
    + [pytest.param(make, id=name, marks=needs_cryptography) for name, make in ENCRYPTING.items()],
)


def plain(content: Any) -> bytes:
    """What the package writes without any of these serializers."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def spell(value: Any) -> Any:
    """Types and values in a form that can be compared: NaN is equal to nothing, and ``==`` knows of no ``fold``."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return kind, [spell(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(spell, value), key=repr)
    if isinstance(value, dict):
        return kind, [(key, spell(item)) for key, item in value.items()]
    return kind, repr(value)


# Any content

# Of whole seconds: datetime.fromisoformat takes an offset of less than one for none.
offsets = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
zones = st.none() | offsets | st.sampled_from([timezone.utc, BERLIN, ZoneInfo("UTC"), ZoneInfo("America/St_Johns")])
folds = st.sampled_from([0, 1])
moments = st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=zones), folds)
times = st.builds(lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold), st.times(), zones, folds)
of_json = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
) | st.text(max_size=5)
hashable_scalars = st.one_of(
    of_json,
    moments,
    times,
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.decimals().filter(lambda number: not number.is_snan()),  # which has no hash
    st.binary(max_size=5),
)
hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
# Those of the tags, and what is none or reserved.
keys = st.sampled_from(["$", "$date", "$set", "$tuple", "$uuid", "$none", METADATA_KEY, "a"]) | st.text(max_size=3)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=3)
    return lists | lists.map(tuple) | st.dictionaries(keys, inner, max_size=2) | st.sets(hashables, max_size=3)


values = st.recursive(hashables | st.just(Decimal("sNaN12")), containers, max_leaves=8)
contents = st.dictionaries(keys, values, max_size=4)
json_values = st.recursive(
    of_json,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys.filter(lambda key: key != "$"), inner, max_size=3),
    max_leaves=8,
)


def widen(value: Any) -> Any:
    if isinstance(value, list):
        return [widen(item) for item in value]
    if isinstance(value, dict):
        return {**{key: widen(item) for key, item in value.items()}, "": 0, " ": 0}
    return value


# In which nothing is a tag: an object with a single key gets another.
json_contents = st.dictionaries(st.text(max_size=3), json_values, max_size=4).map(widen)


@each_composition
@settings(deadline=None, max_examples=150)
@given(content=contents)
@example(content={"$date": "2030-01-01"})
@example(content={"$": {"$": {"$date": "2030-01-01"}}})
@example(content={"$": {"$set": {1}}})
@example(content={METADATA_KEY: {"max_age": 60}})
def test_whatever_goes_in_comes_back_of_the_same_types(make: Callable[[], Any], content: dict[str, Any]) -> None:
    serializer = make()
    before = spell(content)

    came_back = serializer.loads(serializer.dumps(content))

    assert spell(came_back) == before
    assert spell(content) == before


@settings(deadline=None)
@given(value=values)
def test_it_need_be_no_dict(value: Any) -> None:
    serializers: list[Any] = [Tagged(), *map(Tagged, ORJSON), Compressed(Tagged(Msgspec()))]
    for serializer in serializers:
        assert spell(serializer.loads(serializer.dumps(value))) == spell(value)


@settings(deadline=None)
@given(content=json_contents)
def test_what_is_plain_json_is_written_as_the_same_bytes_and_read_as_before(content: dict[str, Any]) -> None:
    expected: list[tuple[Any, bytes]] = [
        (json, plain(content)),
        *((each, each.dumps(content)) for each in ORJSON),
        (Msgspec(), msgspec.json.encode(content)),
    ]
    for inner, written in expected:
        serializer = Tagged(inner)

        assert serializer.dumps(content) == written
        assert spell(serializer.loads(written)) == spell(content)
        assert Compressed(inner).loads(written) == content


def test_what_plain_json_wrote_is_read_though_it_begins_with_white_space_or_holds_dollars() -> None:
    written = b' {"price": "$5", "$": 1, "$more": [{"$": 2}, {"$ref": "#"}, {}]} '

    assert Tagged().loads(written) == json.loads(written)


# Each type on the wire

# fmt: off
ON_THE_WIRE: list[tuple[Any, str]] = [
    (datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),    '{"$datetime":"2030-01-02T03:04:05+00:00"}'),
    (datetime(2030, 1, 2, 3, 4, 5, 6),                      '{"$datetime":"2030-01-02T03:04:05.000006"}'),  # noqa: DTZ001
    (datetime(2030, 10, 27, 2, tzinfo=CEST, fold=1),        '{"$datetime":["2030-10-27T02:00:00+02:00",1]}'),
    (datetime(2030, 10, 27, 2, tzinfo=BERLIN),              '{"$datetime":["2030-10-27T02:00:00",0,"Europe/Berlin"]}'),
    (datetime(2030, 10, 27, 2, tzinfo=BERLIN, fold=1),      '{"$datetime":["2030-10-27T02:00:00",1,"Europe/Berlin"]}'),
    (date(2030, 1, 2),                                      '{"$date":"2030-01-02"}'),
    (time(3, 4),                                            '{"$time":"03:04:00"}'),
    (time(3, 4, fold=1),                                    '{"$time":["03:04:00",1]}'),
    (time(3, 4, tzinfo=BERLIN),                             '{"$time":["03:04:00",0,"Europe/Berlin"]}'),
    (timedelta(-1, 3, 5),                                   '{"$timedelta":[-1,3,5]}'),
    (timedelta.max,                                         '{"$timedelta":[999999999,86399,999999]}'),
    (UUID(int=10),                                          '{"$uuid":"0000000000000000000000000000000a"}'),
    (Decimal("-0.00"),                                      '{"$decimal":"-0.00"}'),
    (Decimal("1E+1000"),                                    '{"$decimal":"1E+1000"}'),
    (Decimal("sNaN12"),                                     '{"$decimal":"sNaN12"}'),
    (Decimal("-Infinity"),                                  '{"$decimal":"-Infinity"}'),
    (b"\xff\0",                                             '{"$bytes":"/wA="}'),
    (b"",                                                   '{"$bytes":""}'),
    ((),                                                    '{"$tuple":[]}'),
    ((1, (b"",)),                                           '{"$tuple":[1,{"$tuple":[{"$bytes":""}]}]}'),
    ({1},                                                   '{"$set":[1]}'),
    ({frozenset({(1,)})},                                   '{"$set":[{"$frozenset":[{"$tuple":[1]}]}]}'),
    ({"$set": {1}},                                         '{"$":{"$set":{"$set":[1]}}}'),
    ([{"$set": 1}, {1}],                                    '[{"$":{"$set":1}},{"$set":[1]}]'),  # and what follows it
    ({"$": 1},                                              '{"$":{"$":1}}'),
    ({"$set": [1], "a": 1},                                 '{"$set":[1],"a":1}'),
    ({"$other": 1},                                         '{"$other":1}'),
]
# fmt: on


@pytest.mark.parametrize(("value", "written"), ON_THE_WIRE, ids=[written for _, written in ON_THE_WIRE])
@pytest.mark.parametrize("inner", [json, Msgspec(), *ORJSON], ids=["json", "msgspec", *(["orjson"] * len(ORJSON))])
def test_a_value_is_written_as_an_object_with_its_tag(inner: Any, value: Any, written: str) -> None:
    serializer = Tagged(inner)

    assert serializer.dumps({"a": [value]}) == b'{"a":[' + written.encode() + b"]}"
    assert spell(serializer.loads(serializer.dumps({"a": [value]}))) == spell({"a": [value]})


@pytest.mark.parametrize(
    "content",
    [
        {"$datetime": "yesterday"},
        {"$datetime": 1},
        {"$datetime": []},
        {"$datetime": ["2030-01-02T03:04:05", 2]},
        {"$datetime": ["2030-01-02T03:04:05", 0, "Europe/Nowhere"]},
        {"$datetime": ["2030-01-02T03:04:05", 0, "../../etc/passwd"]},
        {"$datetime": ["2030-01-02T03:04:05", 0, None]},
        {"$date": "2030-13-01"},
        {"$date": None},
        {"$time": "25:00"},
        {"$timedelta": [1e300]},
        {"$timedelta": {}},
        {"$uuid": "a"},
        {"$uuid": {"$uuid": []}},
        {"$decimal": "one"},
        {"$decimal": True},
        {"$bytes": "*"},
        {"$bytes": "é"},
        {"$tuple": "ab"},
        {"$set": {"title": "of an update of MongoDB's"}},
        {"$set": [[1]]},
        {"$frozenset": [{}]},
        {"$fraction": "1/3"},
        {"$": 1},
        {"$": {"a": 1}},
        {"$": {"$date": 1, "a": 1}},
        {"$": [{"$other": 1}]},
    ],
    ids=lambda content: json.dumps(content).replace("\\", ""),
)
def test_an_object_that_is_no_tag_of_this_version_stays_a_dict(content: dict[str, Any]) -> None:
    for within in (content, {"a": [content]}, {"a": {"b": content}}):
        content_read = Tagged().loads(plain(within))

        assert spell(content_read) == spell(within)
        assert spell(Tagged().loads(Tagged().dumps(content_read))) == spell(within)


def test_what_is_inside_of_such_an_object_is_read_all_the_same() -> None:
    assert Tagged().loads(b'{"a":{"$set":{"b":{"$set":[1]}}}}') == {"a": {"$set": {"b": {1}}}}


def test_a_tag_of_a_later_version_goes_through_an_earlier_one_unharmed() -> None:
    written = b'{"a":{"$fraction":"1/3"}}'

    assert Tagged().dumps(Tagged().loads(written)) == written


@pytest.mark.parametrize("number", [2, 3])
def test_what_travels_beside_the_content_is_no_tag(number: int) -> None:
    """A session that is empty but for its metadata is an object with a single key."""
    codec = Codec(Tagged())
    content = {"day": date(2030, 1, 1)} if number == 3 else {}

    record = codec.read(codec.write(content, {"principal": "42"}), NOW)

    assert (record.content, record.metadata) == (content, {"principal": "42"})
    assert b'"$session":{"principal":"42"}' in codec.write(content, {"principal": "42"})


# Subclasses


class Point(NamedTuple):
    x: Any
    y: Any


class Moment(datetime):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "now"


class Price(Decimal):
    def __str__(self) -> str:
        return f"{float(self)} €"


class Level(enum.IntEnum):
    HIGH = 3


class Color(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "came_back"),
    [
        (Point(1, {2}), (1, {2})),
        (Moment(2030, 1, 2, fold=1), datetime(2030, 1, 2, fold=1)),  # noqa: DTZ001
        (Price("1.50"), Decimal("1.50")),
        (type("Key", (UUID,), {})(int=1), UUID(int=1)),
        (type("Tags", (set,), {})("a"), {"a"}),
        (OrderedDict(a=(1,)), {"a": (1,)}),
        (OrderedDict({"$set": [1]}), {"$set": [1]}),
        (type("Cart", (list,), {})([(1,)]), [(1,)]),
        (Session({"a": {1}}), {"a": {1}}),
        (Level.HIGH, 3),
        (Color.RED, "red"),
        (type("Name", (str,), {})("ada"), "ada"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_instance_of_a_subclass_comes_back_as_one_of_the_class(value: Any, came_back: Any) -> None:
    assert spell(Tagged().loads(Tagged().dumps({"a": value}))) == spell({"a": came_back})


@pytest.mark.parametrize(
    "value",
    [object(), 1j, bytearray(b"a"), {"a": {(object(),)}}, {(1, 2): 3}],
    ids=["an object", "a complex number", "a bytearray", "an object inside", "a tuple as key"],
)
def test_what_neither_takes_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"is not JSON serializable|keys must be"):
        Tagged().dumps({"a": value})


def test_what_the_serializer_takes_beyond_json_is_left_to_it() -> None:
    class Word(msgspec.Struct):
        text: str

    assert Tagged(Msgspec()).dumps({"a": Word("tea"), "b": {1}}) == b'{"a":{"text":"tea"},"b":{"$set":[1]}}'


def test_keys_become_text_as_in_json() -> None:
    assert Tagged().dumps({1: (), None: 1}) == b'{"1":{"$tuple":[]},"null":1}'


def test_the_error_names_the_place_and_type_of_what_can_not_be_written() -> None:
    with pytest.raises(UnserializableSessionError, match=r"^session\['cart'\]\[1\]: complex can't be written by"):
        SessionSigner(KEY, serializer=Tagged()).dumps({"cart": [{1}, 1j]})


# Depth


def nest(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def outcome_of(act: Callable[[], Any]) -> str:
    try:
        act()
    except RecursionError:
        return "too deep"
    return "ok"


@pytest.mark.parametrize("depth", [100, 700, 5000, 200_000])
def test_content_may_be_nested_as_deeply_as_in_json(depth: int) -> None:
    nested = {"a": nest(depth, 1)}
    written = b'{"a":' + b"[" * depth + b'"$"' + b"]" * depth + b"}"

    assert outcome_of(lambda: Tagged().dumps(nested)) == outcome_of(lambda: json.dumps(nested, check_circular=False))
    assert outcome_of(lambda: Tagged().loads(written)) == outcome_of(lambda: json.loads(written))


def test_what_is_inside_itself_is_an_error_and_what_is_there_twice_is_not() -> None:
    twice: list[Any] = [{1}]
    cycle: dict[str, Any] = {"a": [1] * 1000, "twice": [twice, twice]}
    assert Tagged().loads(Tagged().dumps(cycle)) == cycle
    cycle["a"].append((cycle,))

    with pytest.raises(ValueError, match=r"^A dict is inside itself; change it so that it isn't.$"):
        Tagged().dumps(cycle)
    with pytest.raises(UnserializableSessionError):
        SessionSigner(KEY, serializer=Tagged()).dumps(cycle)


# Compressed

LONG = {"cart": [{"name": "tea", "number": number} for number in range(100)]}


class Backwards:
    """A serializer whose payloads begin as compressed ones do."""

    def dumps(self, obj: Any) -> bytes:
        return b"x" + plain(obj)

    def loads(self, payload: bytes) -> Any:
        assert payload[:1] == b"x"
        return json.loads(payload[1:])


def deflate(size: int) -> bytes:
    """A JSON object of so many bytes, most of them spaces, in a zlib stream."""
    packer = zlib.compressobj()
    pieces = [packer.compress(b"{}")]
    size -= 2
    while size:
        piece = min(size, MAX_INFLATED)
        pieces.append(packer.compress(b" " * piece))
        size -= piece
    return b"".join(pieces) + packer.flush()


def test_a_payload_is_a_zlib_stream_where_that_is_shorter() -> None:
    assert Compressed().dumps({"a": 1}) == plain({"a": 1})
    assert zlib.decompress(Compressed().dumps(LONG)) == plain(LONG)


@given(content=st.dictionaries(st.text("ab", max_size=30), st.text("ab", max_size=300), max_size=3))
def test_a_payload_is_never_longer_than_without(content: dict[str, str]) -> None:
    payload = Compressed().dumps(content)

    assert payload == min(plain(content), zlib.compress(plain(content)), key=len)
    assert Compressed().loads(payload) == Compressed().loads(plain(content)) == content


def test_what_is_compressed_may_be_a_mebibyte_and_no_byte_more() -> None:
    assert Compressed().loads(deflate(MAX_INFLATED)) == {}

    with pytest.raises(ValueError, match=r"^The payload would be over 1048576 bytes. Store less.$"):
        Compressed().loads(deflate(MAX_INFLATED + 1))


def test_a_bomb_takes_no_more_memory_than_it_may() -> None:
    bomb = deflate(256 * MAX_INFLATED)
    serializer = Compressed()

    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"Store less"):
            serializer.loads(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * MAX_INFLATED


@pytest.mark.parametrize("size", [MAX_INFLATED, MAX_INFLATED + 1])
def test_a_session_of_any_size_can_be_read_again(size: int) -> None:
    content = {"a": "b" * (size - len(plain({"a": ""})))}

    payload = Compressed().dumps(content)

    assert (payload == plain(content)) == (size > MAX_INFLATED)
    assert Compressed().loads(payload) == content


def test_a_compressed_payload_that_is_cut_off_or_goes_on_is_refused() -> None:
    payload = Compressed().dumps(LONG)

    for wrong in [payload[:length] for length in range(len(payload))] + [payload + b"\0", payload + payload]:
        with pytest.raises((ValueError, zlib.error)):
            Compressed().loads(wrong)
    for wrong in (payload[:-1], payload + b"\0"):
        with pytest.raises(
            ValueError, match=r"^The payload is cut off, or something comes after it; it must be one zlib stream\.$"
        ):
            Compressed().loads(wrong)


def test_a_serializer_whose_payloads_begin_as_compressed_ones_do_is_compressed_always() -> None:
    serializer = Compressed(Backwards())

    assert zlib.decompress(serializer.dumps({"a": 1})) == b'x{"a":1}'
    assert serializer.loads(serializer.dumps({"a": 1})) == {"a": 1}
    with pytest.raises(ValueError, match=r"^The payload of 1048585 bytes begins like a ") as caught:
        serializer.dumps({"a": "b" * MAX_INFLATED})
    assert str(caught.value) == (
        "The payload of 1048585 bytes begins like a compressed one, but is too large to be one. Store less, or use a"
        " serializer that writes JSON."
    )


# Encrypted


@needs_cryptography
def test_a_payload_is_a_fernet_token_without_its_base64() -> None:
    from cryptography.fernet import Fernet

    # HKDF-SHA256 (RFC 5869) without salt, for one block.
    extracted = hmac.digest(bytes(32), KEY.encode(), "sha256")
    key = hmac.digest(extracted, b"asgi-signed-session.encryption\x01", "sha256")

    payload = encrypt().dumps({"user": "ada"})

    assert Fernet(urlsafe_b64encode(key)).decrypt(urlsafe_b64encode(payload)) == b'{"user":"ada"}'
    assert len(payload) == 57 + 16  # version, time, IV and HMAC around blocks of 16 bytes


@needs_cryptography
@pytest.mark.parametrize("key", [KEY, KEY.encode(), SecretStr(KEY), Secret(KEY)], ids=lambda key: type(key).__name__)
def test_a_secret_is_the_same_in_whatever_form_settings_have_it(key: Any) -> None:
    assert encrypt().loads(encrypt(keys=[key]).dumps({"user": "ada"})) == {"user": "ada"}


@needs_cryptography
def test_no_wrong_key_reads_a_cookie_and_nothing_of_its_content_shows() -> None:
    content = {"user": "ada lovelace", "notes": ["the analytical engine"] * 20}
    value = SessionSigner(KEY, serializer=encrypt()).dumps(content)
    payload = b64decode(value.partition(".")[0])

    shown = {word for word in (b"user", b"ada", b"lovelace", b"notes", b"analytical", b"engine") if word in payload}
    read: list[Any] = []
    for number in range(1000):
        signer = SessionSigner(KEY, serializer=encrypt(keys=[f"a wrong key with the number {number}"]))
        try:
            read.append(signer.loads(value))
        except BadData:
            continue

    assert (shown, read) == (set(), [])
    assert encrypt().dumps(content) != encrypt().dumps(content)
    assert SessionSigner(KEY, serializer=encrypt()).loads(value) == content


@needs_cryptography
@given(content=contents, place=st.integers(min_value=0), other=st.integers(1, 255))
@settings(deadline=None)
def test_a_payload_of_which_a_byte_was_changed_is_refused(content: dict[str, Any], place: int, other: int) -> None:
    serializer = encrypt(Tagged())
    payload = bytearray(serializer.dumps(content))
    payload[place % len(payload)] ^= other

    with pytest.raises(ValueError, match=r"encrypt|decrypt"):
        serializer.loads(bytes(payload))


@needs_cryptography
def test_the_first_key_encrypts_and_each_decrypts() -> None:
    old, both, new = encrypt(keys=[OTHER_KEY]), encrypt(keys=[KEY, OTHER_KEY]), encrypt(keys=iter([KEY]))

    assert both.loads(old.dumps({"a": 1})) == {"a": 1}
    assert new.loads(both.dumps({"a": 1})) == {"a": 1}
    with pytest.raises(ValueError, match=r"^None of the keys decrypts the payload; pass the one that it was written"):
        new.loads(old.dumps({"a": 1}))


@needs_cryptography
def test_a_payload_has_no_age_of_its_own() -> None:
    with time_machine.travel(NOW, tick=False):
        payload = encrypt().dumps({"a": 1})
    for later in (-86400, 10 * 365 * 86400):
        with time_machine.travel(NOW + later, tick=False):
            assert encrypt().loads(payload) == {"a": 1}


@needs_cryptography
@pytest.mark.parametrize("inner", [json, Compressed()], ids=["json", "Compressed"])
def test_what_is_plain_is_read_only_where_that_was_asked_for(inner: Any) -> None:
    for content in ({"a": 1}, LONG):
        written = Codec(inner).write(content)

        assert encrypt(inner, accept_plain=True).loads(written) == content
        with pytest.raises(ValueError, match=r"^The payload is not encrypted; pass accept_plain=True while such"):
            encrypt(inner).loads(written)


@needs_cryptography
def test_what_other_keys_encrypted_is_not_taken_for_plain() -> None:
    payload = encrypt(keys=[OTHER_KEY]).dumps({"a": 1})

    with pytest.raises(ValueError, match=r"^None of the keys decrypts"):
        encrypt(accept_plain=True).loads(payload)


class Unsigning:
    def unsign(self) -> None: ...


@needs_cryptography
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"keys": KEY},
            TypeError,
            "keys must be a list of secrets, whose first one encrypts, not a str; write keys=",
        ),
        (
            {"keys": KEY.encode()},
            TypeError,
            "keys must be a list of secrets, whose first one encrypts, not a bytes;",
        ),
        ({"keys": SecretStr(KEY)}, TypeError, "keys must be a list of secrets, whose first one encrypts, not a Se"),
        (
            {"keys": None},
            TypeError,
            "keys must be a list of secrets, whose first one encrypts, not a NoneType; write",
        ),
        (
            {"keys": {"a": KEY}},
            TypeError,
            "keys must be a list of secrets, whose first one encrypts, not a dict; wr",
        ),
        ({"keys": {KEY}}, TypeError, "keys is a set, which has no order; pass a list, whose first key encrypts."),
        ({"keys": []}, ValueError, "keys is empty; write keys=[key]."),
        (
            {"keys": [KEY, None]},
            TypeError,
            "keys[1] is None: the setting that it comes from is missing. Make one with ",
        ),
        ({"keys": [KEY, ""]}, ValueError, "keys[1] is empty. Make one with "),
        ({"keys": [1]}, TypeError, "keys[0] is of type int: pass a str, bytes, or an object with get_secret_value()."),
        ({"keys": [[KEY]]}, TypeError, "keys[0] is of type list: pass a str, bytes, or an object with get_secret_valu"),
        ({"keys": [Unsigning()]}, TypeError, "keys[0] is of type Unsigning: pass a str, bytes, or an object with get_"),
        ({"accept_plain": KEY}, TypeError, f"accept_plain={KEY!r} must be True or False."),
        ({"serializer": KEY}, TypeError, "serializer of type str needs functions dumps and loads, as json and orjson "),
    ],
)
def test_options_that_can_not_work_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        encrypt(**options)

    assert str(caught.value).startswith(message)


@needs_cryptography
def test_a_key_that_is_still_to_be_filled_in_is_refused_where_it_encrypts_and_warned_about_where_it_only_decrypts() -> (
    None
):
    with pytest.raises(
        ValueError, match=r"^keys\[0\] is '<your-key>', which is a placeholder that has to be filled in\."
    ):
        Encrypted(keys=["<your-key>", KEY])
    with pytest.warns(
        UserWarning, match=r"^keys\[1\] is '<your-key>', which is a placeholder that has to be filled in: anybody"
    ):
        Encrypted(keys=[KEY, "<your-key>"])


@needs_cryptography
def test_a_warning_of_a_short_key_points_at_who_passed_it() -> None:
    with pytest.warns(UserWarning, match=r"^keys\[0\] has 5 bytes; under 16 can be guessed") as caught:
        Encrypted(keys=["short"])

    assert caught[0].filename == __file__


def test_without_cryptography_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)

    with pytest.raises(ImportError, match=r"^Encrypted needs the package cryptography; write pip install 'asgi-signed"):
        Encrypted(keys=[KEY])


def test_cryptography_is_imported_when_it_is_needed() -> None:
    program = (
        "import sys, asgi_signed_session\n"
        "assert 'asgi_signed_session.serializers' not in sys.modules\n"
        "from asgi_signed_session.serializers import Compressed, Encrypted, Tagged\n"
        "Compressed(Tagged())\n"
        "assert not [name for name in sys.modules if name.startswith('cryptography')]\n"
    )
    source = Path(sys.modules["asgi_signed_session"].__file__ or "").parents[1]

    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(source)})


@pytest.mark.parametrize("kind", [Tagged, Compressed])
def test_what_is_no_serializer_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"^serializer of type str needs functions dumps and loads"):
        kind(KEY)
    with pytest.raises(TypeError, match=r"^serializer is the class Tagged; write serializer=Tagged\(\)\.$"):
        kind(Tagged)


# In a session

CONTENT: dict[str, Any] = {
    "since": datetime(2030, 1, 2, tzinfo=BERLIN),
    "seen": {date(2030, 1, 2)},
    "total": Decimal("1.50"),
    "cart": [{"id": UUID(int=1), "sizes": (1, 2)}],
    "text": "a" * 200,
}


def put(scope: Any) -> None:
    scope["session"].update(copy.deepcopy(CONTENT))


def look(scope: Any) -> None:
    """Has everything in hand, and changes nothing."""
    repr(list(scope["session"].values()))


def change_nested(scope: Any) -> None:
    scope["session"]["seen"].add(b"more")


def show(scope: Any) -> Any:
    return repr([spell(dict(scope["session"])), scope["session"].max_age])


@each_composition
@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_a_session_is_saved_when_what_it_holds_has_changed(
    make: Callable[[], Any], make_store: Callable[[], Any]
) -> None:
    store = make_store()
    browser = Browser(visit_that(put, make(), store))
    browser.get()

    def is_saved(act: Callable[[Any], Any]) -> bool:
        before = dict(store.records if store else browser.cookies)
        browser.app = visit_that(act, make(), store)
        browser.get()
        return before != (store.records if store else browser.cookies)

    assert is_saved(look) is False
    assert is_saved(change_nested) is True
    assert is_saved(lambda scope: scope["session"].update(since=CONTENT["since"].replace(fold=1))) is True

    browser.app = visit_that(show, make(), store)
    expected = {**CONTENT, "since": CONTENT["since"].replace(fold=1), "seen": {date(2030, 1, 2), b"more"}}
    assert browser.get().json() == repr([spell(expected), 14 * 86400])


def visit_that(act: Callable[[Any], Any], serializer: Any, store: Any) -> SessionMiddleware:
    return SessionMiddleware(app_that(act), KEY, serializer=serializer, store=store, max_age=14 * 86400)


@each_composition
@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_a_session_keeps_its_own_max_age_and_principal(make: Callable[[], Any], make_store: Callable[[], Any]) -> None:
    def sign_in(scope: Any) -> None:
        scope["session"].principal = "42"
        scope["session"].max_age = 60
        put(scope)

    store = make_store()
    browser = Browser(visit_that(sign_in, make(), store))
    [line] = browser.get().all(b"set-cookie")
    browser.app = visit_that(lambda scope: [scope["session"].principal, show(scope)], make(), store)

    assert b"; Max-Age=60;" in line
    assert browser.get().json() == ["42", repr([spell(CONTENT), 60])]


@each_composition
def test_the_signer_reads_what_the_middleware_wrote_and_the_other_way_round(make: Callable[[], Any]) -> None:
    signer = SessionSigner(KEY, serializer=make())
    browser = Browser(visit_that(put, make(), None))
    browser.get()

    assert spell(signer.loads(browser.cookies["session"])) == spell(CONTENT)
    reader = Browser(visit_that(show, make(), None), cookies={"session": signer.dumps(CONTENT)})
    assert reader.get().json() == repr([spell(CONTENT), 14 * 86400])


@pytest.mark.parametrize(
    "make",
    [
        Tagged,
        Compressed,
        pytest.param(lambda: encrypt(accept_plain=True), marks=needs_cryptography),
        pytest.param(lambda: encrypt(Compressed(Tagged()), accept_plain=True), marks=needs_cryptography),
    ],
    ids=["Tagged", "Compressed", "Encrypted", "all"],
)
def test_a_cookie_from_before_is_still_read(make: Callable[[], Any]) -> None:
    content = {"user": "ada", "cart": [{"n": 1}], METADATA_KEY: {"max_age": 60}}
    browser = Browser(visit_that(show, make(), None), cookies={"session": sign(content)})

    assert browser.get().json() == repr([spell({"user": "ada", "cart": [{"n": 1}]}), 60])


def test_the_cookie_of_a_plain_session_is_the_same_byte_by_byte() -> None:
    with time_machine.travel(NOW, tick=False):
        act = app_that(lambda scope: scope["session"].update(user="ada", cart=[{"n": 1.5}]))
        browser = Browser(SessionMiddleware(act, KEY, serializer=Compressed(Tagged())))

        assert browser.get().all(b"set-cookie") == [set_cookie({"user": "ada", "cart": [{"n": 1.5}]}, KEPT)]


@needs_cryptography
@pytest.mark.parametrize(
    ("written", "read"),
    [
        (json, encrypt),
        (encrypt, json),
        (encrypt, lambda: encrypt(keys=[OTHER_KEY])),
        (lambda: Compressed(Tagged()), json),
    ],
    ids=["plain", "encrypted", "of another key", "compressed"],
)
def test_a_session_that_can_not_be_read_is_malformed(written: Any, read: Any) -> None:
    writer, reader = (make if make is json else make() for make in (written, read))
    value = SessionSigner(KEY, serializer=writer).dumps(LONG)
    browser = Browser(SessionMiddleware(app_that(show_session), KEY, serializer=reader), cookies={"session": value})

    assert browser.get().json() == [{}, "malformed"]


def test_a_bomb_that_the_app_signed_is_malformed() -> None:
    from .wire import sign_payload

    app = SessionMiddleware(app_that(show_session), KEY, serializer=Compressed())
    bomb = sign_payload(deflate(2 * MAX_INFLATED))

    assert len(bomb) < 4096
    assert Browser(app, cookies={"session": bomb}).get().json() == [{}, "malformed"]


@needs_cryptography
def test_a_store_has_the_session_encrypted() -> None:
    store = Records()
    Browser(visit_that(put, encrypt(Tagged()), store)).get()
    Browser(visit_that(put, Tagged(), plain_store := Records())).get()

    [(record, _)] = store.records.values()
    [(plain_record, _)] = plain_store.records.values()
    assert [b"$datetime" in record, b"$datetime" in plain_record] == [False, True]


def test_a_compressed_cookie_has_room_for_more() -> None:
    browser = Browser(visit_that(lambda scope: scope["session"].update(LONG), Compressed(), None))
    [line] = browser.get().all(b"set-cookie")

    assert len(plain(LONG)) > 2500
    assert len(line) < 800
    assert zlib.decompress(read_payload(line)) == plain(LONG)
