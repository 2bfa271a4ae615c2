"""Held against itsdangerous: what it signs we read, what we sign it reads, and what it refuses we refuse."""

from __future__ import annotations

import json
import re
import sys
import warnings
from base64 import b64decode, b64encode
from hashlib import sha1, sha256
from typing import Any

import pytest
import time_machine
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from itsdangerous import BadData, BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int

from asgi_signed_session import SessionSigner
from asgi_signed_session.keys import check_key
from asgi_signed_session.signing import PreparedSigner

from .conftest import KEY

NOW = 1_700_000_000  # Unix seconds
LAST_DATE = 253_402_300_799  # Unix seconds at the end of year 9999; itsdangerous has no date after it


def is_good(key: str | bytes) -> bool:
    """No key that is refused, or that a warning is due for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            check_key("key", key, is_fallback=False)
        except (UserWarning, ValueError):
            return False
    return True


keys: st.SearchStrategy[str | bytes] = (st.text(min_size=16) | st.binary(min_size=16, max_size=200)).filter(is_good)
names = st.from_regex(r"[a-zA-Z0-9_-]+", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), values, max_size=4)
moments = st.integers(0, LAST_DATE)


class SignerAt(TimestampSigner):
    """The original with a clock of its own: time-machine can't go past year 9999, nor fast."""

    now = NOW

    def get_timestamp(self) -> int:
        return self.now


class PreparedSignerAt(PreparedSigner):
    now = NOW

    def get_timestamp(self) -> int:
        return self.now


def options_of(name: str) -> dict[str, Any]:
    """What the design says that a bare key signs the cookie ``name`` with, in itsdangerous' own words."""
    return {"salt": "asgi-signed-session." + name, "digest_method": sha256, "key_derivation": "hmac"}


def plain_signer(key: str | bytes, name: str) -> TimestampSigner:
    return TimestampSigner(key, **options_of(name))


@settings(deadline=None)
@given(keys, names, contents)
def test_plain_itsdangerous_verifies_and_reads_whatever_we_sign(
    key: str | bytes, name: str, content: dict[str, Any]
) -> None:
    with time_machine.travel(NOW, tick=False):
        value = SessionSigner(key, name).dumps(content)

        payload, signed_at = plain_signer(key, name).unsign(value, return_timestamp=True)

    assert json.loads(b64decode(payload, validate=True)) == content
    assert signed_at.timestamp() == NOW


@settings(deadline=None)
@given(keys, names, contents)
def test_we_verify_and_read_whatever_plain_itsdangerous_signs(
    key: str | bytes, name: str, content: dict[str, Any]
) -> None:
    value = plain_signer(key, name).sign(b64encode(json.dumps(content).encode()))

    signer = SessionSigner(key, name)

    assert signer.loads(value) == content
    assert signer.loads(value.decode()) == content


@settings(deadline=None, max_examples=300)
@given(keys, names, st.binary() | st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**64 - 1))
@example(KEY, "session", b"", 0)
@example(KEY, "session", b".", 2**64 - 1)
def test_the_prepared_signer_writes_what_the_original_writes(
    key: str | bytes, name: str, value: str | bytes, now: int
) -> None:
    original, prepared = SignerAt(key, **options_of(name)), PreparedSignerAt(key, "asgi-signed-session." + name)
    original.now = prepared.now = now

    signed = prepared.sign(value)

    assert signed == original.sign(value)
    assert prepared.find_signed(signed) == (value.encode() if isinstance(value, str) else value, now)
    assert prepared.unsign(signed) == original.unsign(signed)


# From 3.15 on, base64 warns of a plus or slash.
pytestmark = pytest.mark.filterwarnings("ignore:invalid character:FutureWarning")

ORIGINAL = plain_signer(KEY, "session")
PREPARED = PreparedSigner(KEY, "asgi-signed-session.session")
SESSION_SIGNER = SessionSigner(KEY)


def read_by_original(signed_value: bytes) -> tuple[bytes, int] | None:
    """Payload and Unix seconds of what the original accepts. It has no date after year 9999 to tell, but accepts it."""
    try:
        payload = ORIGINAL.unsign(signed_value)
    except BadSignature:
        return None
    signed_at = bytes_to_int(base64_decode(signed_value.rsplit(b".", 2)[1]))
    if signed_at <= LAST_DATE:
        assert ORIGINAL.unsign(signed_value, return_timestamp=True)[1].timestamp() == signed_at
    return payload, signed_at


def is_read_alike(signed_value: bytes) -> bool:
    read, read_there = PREPARED.find_signed(signed_value), read_by_original(signed_value)
    # From 3.15 on, base64 asks for no padding, so the original also takes some values that are damaged.
    return read == read_there or (read is None and sys.version_info >= (3, 15))


PIECES = [b"==", "é".encode(), *(bytes([byte]) for byte in b'=-_+/. \n"\0\x80\xffAa')]
changes = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 200), st.sampled_from(PIECES) | st.binary(max_size=3)),
    st.tuples(st.just("replace"), st.integers(0, 200), st.sampled_from(PIECES) | st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("flip"), st.integers(0, 200), st.sampled_from([bytes([1 << bit]) for bit in range(8)])),
    st.tuples(st.just("remove"), st.integers(0, 200), st.just(b"")),
    st.tuples(st.just("truncate"), st.integers(0, 200), st.just(b"")),
    st.tuples(st.just("append"), st.just(0), st.sampled_from(PIECES) | st.binary(max_size=5)),
)


def change(value: bytes, how: str, place: int, piece: bytes) -> bytes:
    place %= len(value) or 1
    if how == "insert":
        return value[:place] + piece + value[place:]
    if how == "append":
        return value + piece
    if how == "truncate":
        return value[:place]
    if how == "flip":
        piece = bytes([value[place] ^ piece[0]]) if value else b""
    return value[:place] + piece + value[place + 1 :]


@settings(deadline=None, max_examples=1000)
@given(st.binary(max_size=30), st.lists(changes, max_size=3))
def test_an_altered_value_is_read_as_the_original_reads_it(
    payload: bytes, altered: list[tuple[str, int, bytes]]
) -> None:
    value = ORIGINAL.sign(payload)
    for alteration in altered:
        value = change(value, *alteration)

    assert is_read_alike(value)


@settings(deadline=None, max_examples=300)
@given(st.lists(changes, min_size=1, max_size=2), st.sampled_from(["signature", "timestamp"]))
def test_an_altered_signature_or_timestamp_is_read_as_the_original_reads_it(
    altered: list[tuple[str, int, bytes]], part: str
) -> None:
    signed_text, _, signature = ORIGINAL.sign(b"payload").rpartition(b".")
    payload, _, timestamp = signed_text.rpartition(b".")
    for alteration in altered:
        if part == "signature":
            signature = change(signature, *alteration)
        else:  # signed as it is: only its form can be wrong
            timestamp = change(timestamp, *alteration)
            signature = ORIGINAL.get_signature(payload + b"." + timestamp)
    value = payload + b"." + timestamp + b"." + signature

    assert is_read_alike(value)


def test_some_altered_signatures_are_accepted_by_both() -> None:
    value = ORIGINAL.sign(b"payload")

    accepted = [value + piece for piece in (b"=", b"==", b"\n" * 4, b"%" * 4, b"\xff" * 4)]

    assert [PREPARED.find_signed(altered) for altered in accepted] == [read_by_original(value)] * 5
    assert [read_by_original(altered) for altered in accepted] == [read_by_original(value)] * 5


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
@example(b"")
@example(b".")
@example(b"..")
@example(b"...")
def test_any_bytes_are_read_as_the_original_reads_them(value: bytes) -> None:
    assert PREPARED.find_signed(value) is None
    assert read_by_original(value) is None


def sign_text(text: bytes) -> bytes:
    """``text``, whatever stands where the timestamp should, with a signature that holds."""
    return text + b"." + ORIGINAL.get_signature(text)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=10), st.binary(max_size=12))
@example(b"payload", b"")
@example(b"payload", b"\x00" * 8)
@example(b"payload", b"\x00" * 9)
@example(b"payload", b"\xff" * 8)
@example(b"payload", b"\x01" + b"\x00" * 8)
def test_a_timestamp_of_any_length_is_read_as_the_original_reads_it(payload: bytes, timestamp: bytes) -> None:
    value = sign_text(payload + b"." + base64_encode(timestamp))

    expected = (payload, int.from_bytes(timestamp, "big")) if len(timestamp) <= 8 else None

    assert PREPARED.find_signed(value) == expected
    assert read_by_original(value) == expected


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=10), st.binary(max_size=8) | st.lists(st.sampled_from(PIECES), max_size=4).map(b"".join))
@example(b"payload", b"A")  # one character of base64 is no byte
def test_signed_text_in_place_of_a_timestamp_is_read_as_the_original_reads_it(payload: bytes, text: bytes) -> None:
    for value in (sign_text(payload + b"." + text), sign_text(text)):
        assert is_read_alike(value)


@settings(deadline=None)
@given(keys, keys, names, names)
def test_a_value_holds_for_its_key_and_its_cookie_alone(
    key: str | bytes, other_key: str | bytes, name: str, other_name: str
) -> None:
    assume((key, name) != (other_key, other_name))
    value = SessionSigner(key, name).dumps({"n": 1})

    # Two keys may be one: HMAC hashes a long key and pads a short one, and a str is its UTF-8.
    ours, original = SessionSigner(other_key, other_name), plain_signer(other_key, other_name)

    assert original.validate(value) == is_read_by(ours, value)
    if name != other_name:
        assert not original.validate(value)


def is_read_by(signer: SessionSigner, value: str | bytes) -> bool:
    try:
        signer.loads(value)
    except BadData:
        return False
    return True


BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")  # RFC 4648, 4


def read_strictly(encoded: bytes) -> Any:
    """What is in a payload whose signature holds; ``None`` where it is no session."""
    if not BASE64.fullmatch(encoded):  # b64decode(validate=True) takes "e30===", too
        return None
    try:
        content = json.loads(b64decode(encoded).decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


@settings(deadline=None, max_examples=300)
@given(contents, st.lists(changes, max_size=3), st.booleans())
@example({"a": "?>~"}, [("replace", 6, b"-")], True)  # the other alphabet
@example({}, [("append", 0, b"e30=")], True)  # two payloads in one
def test_an_altered_payload_that_is_signed_all_the_same_is_read_as_its_base64_and_json_are(
    content: dict[str, Any], altered: list[tuple[str, int, bytes]], encoded_first: bool
) -> None:
    payload = json.dumps(content).encode()
    encoded = b64encode(payload) if encoded_first else payload
    for alteration in altered:
        encoded = change(encoded, *alteration)
    encoded = encoded if encoded_first else b64encode(encoded)

    expected = read_strictly(encoded)

    try:
        assert repr(SESSION_SIGNER.loads(ORIGINAL.sign(encoded))) == repr(expected)
    except BadData:
        assert expected is None


WHOLE = [
    TimestampSigner(KEY),  # Starlette's
    TimestampSigner(KEY, salt="other"),
    TimestampSigner(KEY, digest_method=sha1, key_derivation="hmac"),
    TimestampSigner(KEY, digest_method=sha256, key_derivation="concat"),
    TimestampSigner(KEY, digest_method=sha256, sep=b"~"),
    TimestampSigner(["an older key of this signer", KEY]),
    plain_signer(KEY, "session"),
    SignerAt(KEY, **options_of("session")),
    PREPARED,
]


@pytest.mark.parametrize("signer", WHOLE)
@settings(deadline=None, max_examples=20)
@given(content=contents)
def test_a_whole_signer_is_used_as_it_is(signer: TimestampSigner, content: dict[str, Any]) -> None:
    ours = SessionSigner(signer)

    assert json.loads(b64decode(signer.unsign(ours.dumps(content)))) == content
    assert ours.loads(signer.sign(b64encode(json.dumps(content).encode()))) == content


@pytest.mark.parametrize("signer", WHOLE)
@settings(deadline=None, max_examples=40)
@given(altered=st.lists(changes, max_size=2))
def test_what_a_whole_signer_accepts_we_accept(signer: TimestampSigner, altered: list[tuple[str, int, bytes]]) -> None:
    value = signer.sign(b64encode(b'{"n":1}'))
    for alteration in altered:
        value = change(value, *alteration)

    assert is_read_by(SessionSigner(signer), value) == signer.validate(value)


@pytest.mark.parametrize("signer", WHOLE)
def test_a_whole_signer_serves_as_a_fallback(signer: TimestampSigner) -> None:
    value = signer.sign(b64encode(b'{"n":1}'))

    assert SessionSigner("a newer key of this app", fallbacks=[signer]).loads(value) == {"n": 1}


@pytest.mark.parametrize("signer", WHOLE)
def test_a_whole_signer_tells_the_time_that_it_signs(signer: TimestampSigner) -> None:
    with time_machine.travel(NOW, tick=False):
        value = SessionSigner(signer).dumps({})

        assert SessionSigner(signer).loads(value, max_age=1) == {}
        assert signer.unsign(value, return_timestamp=True)[1].timestamp() == NOW


class SecondsSince2011(TimestampSigner):
    """As itsdangerous' documentation lets one do: a timestamp of another epoch."""

    def get_timestamp(self) -> int:
        return super().get_timestamp() - 1_293_840_000

    def timestamp_to_datetime(self, ts: int) -> Any:
        return super().timestamp_to_datetime(ts + 1_293_840_000)


def test_a_signer_with_an_epoch_of_its_own_keeps_it() -> None:
    signer = SessionSigner(SecondsSince2011(KEY))
    with time_machine.travel(NOW, tick=False) as clock:
        value = signer.dumps({})
        clock.shift(10)

        assert signer.loads(value, max_age=10) == {}
        clock.shift(1)
        with pytest.raises(BadSignature, match="Signed 11 seconds ago, 1 more than max_age"):
            signer.loads(value, max_age=10)


def test_a_signer_with_a_clock_of_its_own_goes_by_it() -> None:
    its_own = SignerAt(KEY)  # far from the present
    signer = SessionSigner(its_own)
    value = signer.dumps({})
    assert signer.loads(value, max_age=10) == {}

    its_own.now += 11

    with pytest.raises(BadSignature, match="Signed 11 seconds ago, 1 more than max_age"):
        signer.loads(value, max_age=10)
