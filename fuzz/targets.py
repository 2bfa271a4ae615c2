"""What must hold for any bytes: each target takes those that a fuzzer makes up, and raises where something doesn't."""

from __future__ import annotations

import json
import re
import time
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
from asgi_signed_session.sealing import RECORD, Seal, Sealed
from asgi_signed_session.serializers import MAX_INFLATED, Compressed, Encrypted, Tagged
from asgi_signed_session.sessions import Sessions
from asgi_signed_session.signing import Keyring

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
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept", "headers": []})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})


MIDDLEWARE = SessionMiddleware(app, KEY, max_age=None)
SESSION_SIGNER = SessionSigner(KEY)


def visit(
    headers: list[tuple[bytes, bytes]],
    act: Callable[[Any], None] = lambda session: None,
    middleware: SessionMiddleware = MIDDLEWARE,
    **request: str,
) -> Seen:
    """Sends a request with ``headers`` to an app that calls ``act`` with its session and answers."""
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": headers, "seen": [], "act": act, **request}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    finish(middleware(scope, None, send))
    [(content, rejected)], [start] = scope["seen"], sent
    assert start["type"] in ("http.response.start", "websocket.accept")
    return Seen(content, rejected, start["headers"])


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
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


class Held:
    """A store of what it was given, and of nothing that is written to it."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.written: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.written.get(key, self.records.get(key))

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        there = await self.get(key)
        if there != expected:
            return there or b""
        self.written[key] = record
        return None

    async def delete(self, key: str) -> None:
        self.written[key] = b""


class HeldNow(Held):
    """As ``Held``, and answers at once."""

    def get_now(self, key: str) -> bytes | None:
        return self.written.get(key, self.records.get(key))


STORES = (Held(), HeldNow())
STORED = [SessionMiddleware(app, KEY, store=store, max_age=None) for store in STORES]
SEAL = Seal(Keyring(KEY, "session").derive_keys(RECORD))


class Account(NamedTuple):
    """A visitor who is signed in, and what the store has for her: two records."""

    cookie: bytes
    key: str
    record: bytes
    list_key: str
    listed: bytes


def sign_in(name: str) -> Account:
    store = Held()

    def act(session: Any) -> None:
        session.update(user=name, cart=[1, {"n": None}])
        session.principal = name

    seen = visit([], act, SessionMiddleware(app, KEY, store=store, max_age=None))
    [set_cookie] = [value for header, value in seen.headers if header == b"set-cookie"]
    list_key = sha256(f"session@{name}".encode()).hexdigest()
    [key] = store.written.keys() - {list_key}
    return Account(set_cookie.partition(b";")[0], key, store.written[key], list_key, store.written[list_key])


BEGUN = int(time.time())
ADA, BOB = sign_in("ada"), sign_in("bob")
OWN_PROOF = SEAL.open(ADA.key, ADA.record).proof
REAL = {b"e": ADA.record, b"b": BOB.record, b"i": ADA.listed, b"j": BOB.listed}  # by the byte that data begins with


def records(data: bytes) -> None:
    """``data`` in a store, or a record that it alters, is nobody's session; and one with our seal is as it says."""
    if data[:1] in {b"s", b"S"}:
        sealed_records(data)
        return
    record = alter(REAL[data[:1]], data[1:]) if data[:1] in REAL else data[1:]
    for store, middleware in zip(STORES, STORED, strict=True):
        check_record(store, middleware, ADA._replace(record=record))
        check_record(store, middleware, ADA._replace(listed=record))


def check_record(store: Held, middleware: SessionMiddleware, ada: Account) -> None:
    store.records = {ada.key: ada.record, ada.list_key: ada.listed, BOB.key: BOB.record, BOB.list_key: BOB.listed}
    store.written = {}
    headers, is_real = [(b"cookie", ada.cookie)], ada.record == ADA.record
    seen = visit(headers, middleware=middleware)
    assert (seen.content, seen.rejected) == ((GENUINE, None) if is_real else ({}, "malformed"))
    assert seen.headers == [(b"vary", b"Cookie")]

    sessions = Sessions(store, KEY)
    assert [session.data for session in finish(sessions.of("ada"))] == ([GENUINE] if ada == ADA else [])
    assert [session.key for session in finish(sessions.of("bob"))] == [BOB.key]

    visit(headers, lambda session: session.update(seen=1), middleware)
    [(key, written)] = store.written.items()
    assert (key == ADA.key) is is_real
    assert read_content(SEAL.open(key, written).payload) == ({**GENUINE, "seen": 1} if is_real else {"seen": 1})


def alter(record: bytes, data: bytes) -> bytes:
    """``record`` with the rest of ``data`` at a place, and in place of so many bytes, that its first three say."""
    place, length = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:3], "big")
    return record[:place] + data[3:] + record[place + length :]


def sealed_records(data: bytes) -> None:
    """A record that was sealed for its key holds what it holds, or is refused, and can be changed."""
    proof, end, payload = OWN_PROOF, None, data[1:]
    if data[:1] == b"S":  # of this generation or an earlier one, over whenever
        proof = OWN_PROOF if data[1:2] == b"o" else bytes(16)
        end, payload = int.from_bytes(data[2:10].ljust(8, b"\0"), "big"), data[10:]
    record = SEAL.close(ADA.key, Sealed(proof, end, payload))
    for store, middleware in zip(STORES, STORED, strict=True):
        store.records = {ADA.key: record, ADA.list_key: ADA.listed}
        store.written = {}
        headers = [(b"cookie", ADA.cookie)]
        seen = visit(headers, middleware=middleware)
        if seen.rejected is None:
            assert proof == OWN_PROOF
            assert end is None or end >= BEGUN
            assert repr(seen.content) == repr(read_content(payload))
        else:
            assert seen.content == {}
            assert seen.rejected in ("malformed", "expired", "superseded")
        for session in finish(Sessions(store, KEY).of("ada")):
            assert session.key == ADA.key
            assert json.loads(payload)["$session"]["principal"] == "ada"
            assert repr(session.data) == repr(read_content(payload))
        with suppress(SessionError):
            visit(headers, lambda session: session.update(seen=1), middleware)


def read_content(payload: bytes) -> Any:
    content = json.loads(payload)
    content.pop("$session", None)
    return content


HEADERS = {b"h": b"host", b"o": b"origin", b"m": b"sec-fetch-mode", b"s": b"sec-fetch-site", b"d": b"sec-fetch-dest"}
TRUSTED = ("https://app.example.com", "http://localhost:8000")
GUARDED = SessionMiddleware(app, KEY, max_age=None, trusted_origins=TRUSTED)
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^][:/?#@\s]+)(?::([0-9]+))?")  # RFC 9110, 7.2
PORTS = {b"http": b"80", b"https": b"443"}  # which browsers leave out


def origins(data: bytes) -> None:
    """``data``, a method and a header on each line, finds its session where the rule says so; no method: a websocket.

    The first byte of a header's line says which one it is.
    """
    method, *lines = data.split(b"\n")
    headers = [(HEADERS[line[:1].lower()], line) for line in lines if line[:1].lower() in HEADERS]
    said: dict[bytes, bytes] = {}
    for name, line in headers:  # several of one name no browser sends, and they say nothing that lets a request in
        said[name] = b"" if name in said else line[1:]
    asked = [(name.title() if line[:1].isupper() else name, line[1:]) for name, line in headers]

    kind = {"type": "http", "method": method.decode("latin-1")} if method else {"type": "websocket"}
    cookie = (b"cookie", b"session=" + VALUE)
    seen = visit([cookie, *asked], lambda session: session.update(seen=1), GUARDED, **kind)

    is_written = [name for name, _ in seen.headers if name == b"set-cookie"] == [b"set-cookie"]
    assert (seen.content, seen.rejected, is_written) in ((GENUINE, None, True), ({}, "cross-site", False))
    expected = passes(method, said)
    if expected is not None:
        assert is_written is expected


def passes(method: bytes, said: dict[bytes, bytes]) -> bool | None:
    """Whether a request may have its session, in the words of the rule; ``None``: its ``Host`` is none."""
    if method in (b"GET", b"HEAD", b"OPTIONS") and said.get(b"sec-fetch-mode", b"navigate") == b"navigate":
        return True
    origin = said.get(b"origin")
    if origin in [trusted.encode() for trusted in TRUSTED]:
        return True
    if b"sec-fetch-site" in said:
        return said[b"sec-fetch-site"] in (b"same-origin", b"none")
    return origin is None or is_own(origin, said.get(b"host", b""))


def is_own(origin: bytes, host: bytes) -> bool | None:
    """Whether its host and port are the request's own. Without a port, a ``Host`` has its scheme's, whichever it is."""
    scheme, separator, authority = origin.partition(b"://")
    own = HOST.fullmatch(host)
    if own is None:
        return None if host else False
    theirs = HOST.fullmatch(authority)
    if not separator or theirs is None or theirs[1] != own[1].lower():
        return False
    return theirs[2] is None if own[2] is None else own[2] == (theirs[2] or PORTS.get(scheme))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "cookies": cookies,
    "payloads": payloads,
    "records": records,
    "origins": origins,
    "serializers": serializers,
}

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
    "records": [
        b"e",
        b"b",
        b"i",
        b"j",
        b"r",
        b"r" + bytes(64),
        b"r" + bytes(56) + b"\xff" * 8 + b'{"user":"ada"}',
        b"e\x00\x00\x01\x00",
        b"e\x00\x38\x08\x00\x00\x00\x00\x00\x00\x00\x00",
        b'e\x00\x40\xff{"user":"bob"}',
        b"e\x00\x3f\xff",
        b"i\x00\x40\xff{}",
        b"s",
        b"s{}",
        b's{"user":"ada"}',
        b's{"a":1,"$session":{"principal":"ada","iat":1700000000,"max_age":60}}',
        b's{"a":1,"$session":{"principal":"bob"}}',
        b's{"a":1,"$session":{"principal":"ada","renewed":1700000000,"line":"x"}}',
        b's{"a":1,"$session":{"principal":"ada","max_age":null}}',
        b's{"a":1,"$session":{"max_age":' + b"9" * 40 + b"}}",
        b's{"a":1,"$session":{"iat":-' + b"9" * 40 + b"}}",
        b's{"a":' + b"[" * 60 + b"]" * 60 + b"}",
        b"Sx" + b"\xff" * 8 + b'{"a":1,"$session":{"renewed":9999999999,"line":"x","principal":"ada"}}',
        b"Sx" + b"\xff" * 8 + b'{"a":1,"$session":{"renewed":"x"}}',
        b"Sx" + b"\x7f" * 8 + b'{"a":1,"$session":{"principal":"ada"}}',
        b"So" + b"\x7f" * 8 + b'{"a":1,"$session":{"principal":"ada"}}',
        b"So" + bytes(8) + b'{"a":1,"$session":{"principal":"ada"}}',
        b"So" + b"\xff" * 8 + b"{}",
    ],
    "origins": [
        b"GET\nhexample.com\nscross-site\nmnavigate",
        b"GET\nhexample.com\nscross-site\nmno-cors\ndimage",
        b"POST\nhexample.com\nssame-origin\nohttps://example.com",
        b"POST\nhexample.com\nscross-site\nohttps://app.example.com",
        b"POST\nhexample.com\nssame-site\nonull",
        b"POST\nhexample.com:443\nohttps://example.com",
        b"POST\nhexample.com:80\nohttps://example.com",
        b"POST\nhEXAMPLE.com\nohttp://example.com",
        b"POST\nh[::1]:8000\nohttp://[::1]:8000",
        b"POST\nhexample.com\nohttps://example.com:443",
        b"POST\nhexample.com\nohttps://example.com.evil.example",
        b"POST\nhlocalhost\nohttp://localhost:8000",
        b"POST\nhexample.com\nsnone\nscross-site",
        b"POST\nhexample.com\nonull\nohttps://example.com",
        b"POST\nohttps://\nh",
        b"get\nhexample.com",
        b"\nhexample.com\nOhttps://evil.example",
        b"\nHexample.com\nScross-site\nMwebsocket\nOhttp://localhost:8000",
        b"\nsnone",
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
