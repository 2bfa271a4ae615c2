"""What must hold for any bytes: each target takes those that a fuzzer makes up, and raises where something doesn't."""

from __future__ import annotations

import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

from itsdangerous import BadData, TimestampSigner

from asgi_signed_session import SessionError, SessionMiddleware, SessionSigner
from asgi_signed_session.cookies import find_cookies
from asgi_signed_session.serializers import MAX_INFLATED, Compressed, Encrypted, Tagged

KEY = "a key of more than sixteen bytes"
MOMENT = 1_700_000_000  # Unix seconds
GENUINE = {"user": "ada", "cart": [1, {"n": None}]}


class SignerAt(TimestampSigner):
    """Plain itsdangerous at a given moment, so that the same bytes always make the same value."""

    moment = MOMENT

    def get_timestamp(self) -> int:
        return self.moment


SIGNER = SignerAt(KEY, salt="asgi-signed-session.session", digest_method=sha256, key_derivation="hmac")
VALUE = SIGNER.sign(b64encode(b'{"user":"ada","cart":[1,{"n":null}]}'))


class Seen(NamedTuple):
    """What the app and the browser see of one request."""

    content: dict[str, Any]
    rejected: str | None
    headers: list[tuple[bytes, bytes]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    session = scope["session"]
    scope["seen"].append((dict(session), session.rejected))
    scope["act"](session)
    await send({"type": "http.response.start", "status": 200, "headers": []})


MIDDLEWARE = SessionMiddleware(app, KEY, max_age=None)
SESSION_SIGNER = SessionSigner(KEY)


def visit(headers: list[tuple[bytes, bytes]], act: Callable[[Any], None] = lambda session: None) -> Seen:
    """Sends a request with ``headers`` to an app that calls ``act`` with its session and answers 200."""
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": headers, "seen": [], "act": act}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    finish(MIDDLEWARE(scope, None, send))
    [(content, rejected)], [start] = scope["seen"], sent
    assert start["status"] == 200
    return Seen(content, rejected, start["headers"])


def finish(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("nothing here waits")


def split(headers: list[bytes]) -> list[bytes]:
    """The candidates as one finds them by taking the headers apart, as RFC 6265 has it."""
    pairs = [pair.split(b"=", 1) for header in headers for pair in header.split(b";") if b"=" in pair]
    return [value.strip(b' \t"') for name, value in pairs if name.strip(b" \t") == b"session"]


def cookies(data: bytes) -> None:
    """``data``, a header on each line, reaches the app once, with the session that came or an empty one."""
    lines = data.split(b"\n")
    headers = [(b"cookie", line) for line in lines]
    candidates = find_cookies(headers, b"session")
    if len(data) < 1000:  # less than the places that are looked at
        assert [value.strip(b' \t"') for value in candidates] == split(lines)[:8]

    content, rejected, answered = visit(headers)

    assert answered == [(b"vary", b"Cookie")]
    if content:
        assert (content, rejected) == (GENUINE, None)
    else:
        assert rejected in ({"bad-signature", "malformed", "expired"} if candidates else {None})


def payloads(data: bytes) -> None:
    """``data``, signed with the right key, is a session or refused, and a session can be changed and read again."""
    flags, payload = data[:1], data[1:]
    SIGNER.moment = int.from_bytes(payload[:8], "big") if flags in {b"t", b"T"} else MOMENT
    value = SIGNER.sign(payload if flags in {b"r", b"T"} else b64encode(payload))
    loaded: dict[str, Any] | None = None
    with suppress(BadData):
        loaded = SESSION_SIGNER.loads(value)

    headers = [(b"cookie", b"session=" + value)]
    content, rejected, _ = visit(headers)
    if len(value) > 4096 or loaded is None or rejected is not None:
        assert content == {}
        assert rejected is not None
        return
    assert repr(content) == repr(loaded)  # NaN is not equal to itself
    assert "$session" not in content
    try:
        seen = visit(headers, lambda session: session.update(seen=1))
    except SessionError:
        return
    [changed] = [line for name, line in seen.headers if name == b"set-cookie"]
    again = visit([(b"cookie", changed.partition(b";")[0])])
    assert repr(again.content) == repr({**content, "seen": 1})
    assert again.rejected is None


def make_serializers() -> dict[bytes, Any]:
    """By the byte that data begins with."""
    made: dict[bytes, Any] = {b"t": Tagged(), b"z": Compressed(Tagged()), b"T": Tagged(Compressed())}
    with suppress(ImportError):
        made[b"e"] = Encrypted(Compressed(Tagged()), keys=[KEY])
        made[b"p"] = Encrypted(Compressed(Tagged()), keys=[KEY], accept_plain=True)
    return made


SERIALIZERS = make_serializers()
MEMORY = 40 * MAX_INFLATED  # bytes; a mebibyte of JSON may be as many objects as it has braces


def serializers(data: bytes) -> None:
    """``data`` is a value or an ordinary exception, in bounded memory, and a value can be written and read again."""
    serializer = SERIALIZERS.get(data[:1], SERIALIZERS[b"t"])
    tracemalloc.start()
    try:
        value = serializer.loads(data[1:])
    except Exception:
        return
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEMORY
    with suppress(RecursionError):  # what reads may go deeper than what writes
        assert spell(serializer.loads(serializer.dumps(value))) == spell(value)


def spell(value: Any) -> Any:
    """A value in a form that can be compared: a set has no order, and NaN is equal to nothing."""
    kind = type(value).__name__
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(spell, value), key=repr)
    if isinstance(value, (list, tuple)):
        return kind, list(map(spell, value))
    if isinstance(value, dict):
        return kind, [(key, spell(item)) for key, item in value.items()]
    return kind, repr(value)


TARGETS: dict[str, Callable[[bytes], None]] = {"cookies": cookies, "payloads": payloads, "serializers": serializers}

SEEDS = {
    "cookies": [
        b"session=" + VALUE,
        b'theme=dark; session="' + VALUE + b'"; _ga=1',
        b"session=old\nsession=" + VALUE,
        b"xsession=1; session =\t" + VALUE + b" ; sessions=2",
        b"session=" + VALUE[:-1] + b"=",
        b"session; =; session==.; ;session=..",
        b"session=a;" * 9 + b"session=" + VALUE,
    ],
    "payloads": [
        b'j{"user":"ada","cart":[1,{"n":null}]}',
        b'j{"a":1,"$session":{"iat":1600000000,"max_age":60}}',
        b'j{"a":1,"$session":{"max_age":null}}',
        b'j{"a":[NaN,-Infinity,1e999,-0.0,0.1e-7],"a":"\\ud800\\u00e9\xc3\xa9"}',
        b"j" + b'{"a":' * 60 + b"{}" + b"}" * 60,
        b"j[{}]",
        b"t\x00\x00\x00\x00\x65\x53\xf1\x00",
        b"reyJhIjoxfQ==",
        b"T\x00\x00\x00\x00\x00\x00\x00\x00e30",
    ],
    "serializers": [
        b't{"a":[{"$datetime":["2030-10-27T02:00:00",1,"Europe/Berlin"]},{"$datetime":"2030-01-02T03:04:05+00:00"}]}',
        b't{"a":{"$set":[1,{"$tuple":[{"$frozenset":[]}]}]},"b":{"$":{"$bytes":{"$bytes":"/wA="}}},"$session":{}}',
        b't{"a":[{"$date":"2030-01-02"},{"$time":["03:04:00",1]},{"$timedelta":[-1,3,5]},{"$decimal":"-sNaN1"}]}',
        b't{"a":{"$uuid":"0000000000000000000000000000000a"},"b":{"$":{"$":1}},"c":{"$set":[[1]]}}',
        b't{"a":' + b"[" * 60 + b'{"$tuple":[]}' + b"]" * 60 + b"}",
        b"z" + zlib.compress(b'{"a":{"$set":[1]}}'),
        b"z" + zlib.compress(b"[" + b" " * 4 * MAX_INFLATED),
        b"z" + zlib.compress(b"{}")[:-1],
        b"T" + zlib.compress(b'{"a":{"$set":[1]}}'),
        b"e\x80" + bytes(72),
        b'e{"a":1}',
        b'p{"a":{"$set":[1]}}',
    ],
}
