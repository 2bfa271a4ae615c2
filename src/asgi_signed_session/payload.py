"""A session's content and metadata to the bytes of a payload and back: compact JSON, or a serializer of the user's."""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from .errors import UnserializableSessionError
from .merging import is_same
from .record import NO_METADATA, Metadata, Record
from .signing import BadPayload
from .wording import name_of, printable, show_key, warn_caller

Dumps: TypeAlias = Callable[[Any], bytes]
Loads: TypeAlias = Callable[[bytes], Any]

METADATA_KEY = "$session"  # of the payload; never in the mapping
MAX_DEPTH = 20  # levels of nesting that an error message names

# In the names of a serializer's loads, and of what that calls.
_RUNS_CODE = re.compile(r"pickle|marshal|shelve|\bdill\b|unsafe_?load", re.IGNORECASE)
_WHITESPACE = " \t\n\r"  # RFC 8259, 2

# More than their stubs tell is used of them.
_json: Any = json
_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


class Serializer(Protocol):
    """What itsdangerous takes as a serializer: ``json``, ``orjson``, or a class of one's own."""

    def dumps(self, obj: Any, /) -> str | bytes: ...

    def loads(self, payload: Any, /) -> Any: ...


class Codec:
    """Writes a session's content, and what travels beside it, as a payload, and reads it back.

    Raises ``TypeError`` for a serializer without ``dumps`` and ``loads``.
    """

    def __init__(self, serializer: Serializer = json) -> None:
        dumps, self._loads = prepare(serializer)
        # dict(): some take no subclass of it, others write which subclass it is.
        self._dumps = dumps if serializer is _json else lambda content: dumps(dict(content))

    def write(self, content: Mapping[str, Any], metadata: Metadata = NO_METADATA) -> bytes:
        """The payload that carries ``content`` and ``metadata``. Raises ``UnserializableSessionError``."""
        if METADATA_KEY in content:
            raise UnserializableSessionError(f"session[{METADATA_KEY!r}] is reserved; use another key.")
        try:
            return self._dumps({**content, METADATA_KEY: metadata} if metadata else content)
        except Exception as error:  # each serializer has errors of its own
            raise _describe_unserializable(self._dumps, content) from error

    def read_signed(self, encoded: bytes, signed_at: int, outdated: bool, is_foreign: bool) -> Record:
        """The session that a cookie carries whole, as ``Keyring.verify`` has found it. Raises ``BadPayload``.

        What travels beside it is left out where a foreign signer has signed it: its app may have let a visitor name a
        key of the session.
        """
        payload = decode_payload(encoded)
        content = self._load(payload)
        metadata = content.pop(METADATA_KEY, NO_METADATA)
        if metadata is NO_METADATA or is_foreign:
            return Record(content, NO_METADATA, payload, signed_at, signed_at, outdated)
        issued_at, metadata = _read_metadata(metadata)
        if issued_at > signed_at:
            raise BadPayload("It says that the session began after it was signed.")
        return Record(content, metadata, payload, signed_at, issued_at or signed_at, outdated)

    def read(self, payload: bytes, signed_at: int = 0) -> Record:
        """The session in the ``payload`` of a record, whose cookie was signed then. Raises ``BadPayload``."""
        content = self._load(payload)
        if METADATA_KEY not in content:
            return Record(content, NO_METADATA, payload, signed_at, signed_at)
        issued_at, metadata = _read_metadata(content.pop(METADATA_KEY))
        return Record(content, metadata, payload, signed_at, issued_at or signed_at)

    def _load(self, payload: bytes) -> dict[str, Any]:
        try:
            content = self._loads(payload)
        except Exception as error:  # each serializer has errors of its own, and json runs out of stack
            raise BadPayload("The payload is not what the serializer writes.", error) from error
        if not isinstance(content, dict):
            raise BadPayload("The payload is not an object.")
        return content

    def find_changes(self, payload: bytes | None, content: Mapping[str, Any]) -> list[str]:
        """The keys whose values differ between ``payload`` (``None``: an empty session) and ``content``."""
        before = self._read_back(payload)
        before.pop(METADATA_KEY, None)
        with suppress(Exception):  # each serializer has errors of its own
            content = self._loads(self._dumps(content))  # as it would come back: with keys that are text
        return [key for key in {**before, **content} if not is_same(before.get(key, ...), content.get(key, ...))]

    def _read_back(self, payload: bytes | None) -> dict[str, Any]:
        if not payload:
            return {}
        try:
            content: dict[str, Any] = self._loads(payload)
        except Exception:  # a serializer of the user's may not read all that it has written
            return {}
        return content

    def show_largest(self, content: Mapping[str, Any], count: int = 3) -> str:
        """The keys that take the most room, each with the size of its JSON."""
        sizes = {key: len(self._dumps({key: value})) for key, value in content.items()}
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:count]
        return ", ".join(f"{show_key(key)} ({show_size(size)})" for key, size in largest)


def decode_payload(encoded: bytes) -> bytes:
    """What ``encoded`` is the base64 of, strictly. Raises ``BadPayload``."""
    try:
        payload = a2b_base64(encoded)
    except ValueError as error:
        raise BadPayload("The payload is not base64.") from error
    # What isn't base64 was left out of the payload, which is then shorter than it should be.
    if len(encoded) != (len(payload) + 2) // 3 * 4:
        raise BadPayload("The payload is not base64.")
    return payload


def find_new_metadata(before: Metadata, metadata: Metadata) -> list[str]:
    """What a user may set of the ``metadata``, where it isn't as ``before``."""
    return [name for name in ("max_age", "principal") if before.get(name, False) != metadata.get(name, False)]


def show_size(size: int) -> str:
    """So many bytes, for a message."""
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.1f} kB"


def _read_metadata(metadata: Any) -> tuple[int, Metadata]:
    """When the session began, 0 where it isn't said, and what else travels beside the data."""
    if isinstance(metadata, dict):
        issued_at: Any = metadata.pop("iat", 0)
        max_age: Any = metadata.get("max_age")
        is_age = max_age is None or (type(max_age) is int and max_age > 0)
        are_times = type(issued_at) is int and type(metadata.get("renewed", 0)) is int
        if are_times and is_age and isinstance(metadata.get("principal", ""), str):
            return issued_at, metadata
    raise BadPayload("The payload's metadata is of another form.")


def prepare(serializer: Serializer) -> tuple[Dumps, Loads]:
    """The serializer's two functions, from and to bytes. Raises ``TypeError`` where it has none."""
    if serializer is _json:
        return _dumps_json, _loads_json
    if not (callable(getattr(serializer, "dumps", None)) and callable(getattr(serializer, "loads", None))):
        raise TypeError(
            f"serializer of type {name_of(type(serializer))} needs functions dumps and loads, as json and orjson have;"
            " write serializer=json."
        )
    if _runs_code(serializer):
        name = printable(str(getattr(serializer, "__name__", name_of(type(serializer)))))
        warn_caller(
            f"serializer={name} can run code that it finds in a payload: somebody who gets the key can run their code"
            " on this server; pass serializer=json, or asgi_signed_session.serializers.Tagged() for types that JSON"
            " doesn't have."
        )
    dumps: Callable[[Any], Any] = serializer.dumps
    if isinstance(serializer, type) and not _is_serializable(dumps, {}):
        name = name_of(serializer)
        raise TypeError(f"serializer is the class {name}; write serializer={name}().")
    if isinstance(dumps({}), str):
        return lambda content: dumps(content).encode(), lambda payload: serializer.loads(payload.decode())
    return dumps, serializer.loads


def _runs_code(serializer: Serializer) -> bool:
    """Whether it is ``pickle`` or its like, or calls one, as far as names tell."""
    loads: Any = serializer.loads
    loads = getattr(loads, "func", loads)  # of a functools.partial
    names = [getattr(place, "__name__", "") for place in (serializer, type(serializer))]
    names += [getattr(loads, "__module__", ""), getattr(loads, "__qualname__", "")]
    names += getattr(getattr(loads, "__code__", None), "co_names", ())
    return any(isinstance(name, str) and _RUNS_CODE.search(name) for name in names)


def make_json_dumps() -> Dumps:
    """Compact JSON in UTF-8; what UTF-8 has no bytes for, half a surrogate pair, becomes the escape JSON has for it."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
    make_c_encoder = getattr(_json.encoder, "c_make_encoder", None)
    if make_c_encoder is None:  # not CPython
        return lambda content: encoder.encode(content).encode("utf-8", "backslashreplace")
    # encode() makes one of these at each call: 2.4 instead of 1.3 µs. A cycle ends in a RecursionError.
    escape = _json.encoder.encode_basestring
    encode = make_c_encoder(None, encoder.default, escape, None, ":", ",", False, False, True)
    return lambda content: "".join(encode(content, 0)).encode("utf-8", "backslashreplace")


_dumps_json = make_json_dumps()


def _loads_json(payload: bytes) -> Any:
    # json.loads looks for the encoding and for white space: 2.7 instead of 1.0 µs.
    text = payload.decode("utf-8").strip(_WHITESPACE)
    try:
        content, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("No JSON value.") from None
    if end != len(text):
        raise ValueError("More than one JSON value.")
    return content


def _describe_unserializable(dumps: Dumps, content: Mapping[Any, Any]) -> UnserializableSessionError:
    """The error that names the place and type of what keeps ``content`` from being written."""
    path, kind = _find_unserializable(dumps, content)
    return UnserializableSessionError(
        f"session{path}: {kind} can't be written by the serializer, or is nested too deeply. Store a str, number,"
        " bool, None, list or dict, or pass a serializer that can write it:"
        " asgi_signed_session.serializers.Tagged() takes dates, UUIDs, decimals, bytes and sets."
    )


def _find_unserializable(dumps: Dumps, content: Any) -> tuple[str, str]:
    """Where it is, as in ``['cart'][0]``, and of what type."""
    path, value = "", content
    for _ in range(MAX_DEPTH):
        for key, child in _iter_children(value):
            if not _is_serializable(dumps, {key: ""}):
                return path, f"{name_of(type(key))} as a key"
            if not _is_serializable(dumps, {"": child}):
                path, value = f"{path}[{show_key(key)}]", child
                break
        else:
            break
    return path, name_of(type(value))


def _iter_children(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    children: Iterable[Any] = value if isinstance(value, (list, tuple)) else ()
    return enumerate(children)


def _is_serializable(dumps: Dumps, content: Any) -> bool:
    try:
        dumps(content)
    except Exception:  # each serializer has errors of its own
        return False
    return True
