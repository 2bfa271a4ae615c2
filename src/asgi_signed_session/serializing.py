"""A dict to the bytes of a payload and back: compact JSON, or a serializer of the user's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from .errors import UnserializableSessionError

Dumps: TypeAlias = Callable[[Any], bytes]
Loads: TypeAlias = Callable[[bytes], Any]

MAX_DEPTH = 20  # levels of nesting that an error message names

_WHITESPACE = " \t\n\r"  # RFC 8259, 2

# More than their stubs tell is used of them.
_json: Any = json
_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


class Serializer(Protocol):
    """What itsdangerous takes as a serializer: ``json``, ``orjson``, or a class of one's own."""

    def dumps(self, obj: Any, /) -> str | bytes: ...

    def loads(self, payload: Any, /) -> Any: ...


def prepare_serializer(serializer: Serializer) -> tuple[Dumps, Loads]:
    """The serializer's two functions, from and to bytes. Raises ``TypeError`` where it has none."""
    if serializer is _json:
        return _dumps_json, _loads_json
    if not (callable(getattr(serializer, "dumps", None)) and callable(getattr(serializer, "loads", None))):
        raise TypeError(
            f"serializer of type {type(serializer).__name__} needs functions dumps and loads, as json and orjson have;"
            " write serializer=json."
        )
    dumps: Callable[[Any], Any] = serializer.dumps
    # dict(): some take no subclass of it, others write which subclass it is.
    if isinstance(dumps({}), str):
        return lambda content: dumps(dict(content)).encode(), lambda payload: serializer.loads(payload.decode())
    return lambda content: dumps(dict(content)), serializer.loads


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
    content, end = _scan(text, 0)  # raises StopIteration where no JSON begins
    if end != len(text):
        raise ValueError("More than one JSON value.")
    return content


def describe_unserializable(dumps: Dumps, content: Mapping[Any, Any]) -> UnserializableSessionError:
    """The error that names the place and type of what keeps ``content`` from being written."""
    path, kind = _find_unserializable(dumps, content)
    return UnserializableSessionError(
        f"session{path}: {kind} is nothing that the serializer can write, or is nested too deeply."
        " Store a str, number, bool, None, list or dict, or pass a serializer that takes it."
    )


def _find_unserializable(dumps: Dumps, content: Any) -> tuple[str, str]:
    """Where it is, as in ``['cart'][0]``, and of what type."""
    path, value = "", content
    for _ in range(MAX_DEPTH):
        for key, child in _iter_children(value):
            if not _is_serializable(dumps, {key: ""}):
                return path, f"{type(key).__name__} as a key"
            if not _is_serializable(dumps, {"": child}):
                path, value = f"{path}[{key!r}]", child
                break
        else:
            break
    return path, type(value).__name__


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
