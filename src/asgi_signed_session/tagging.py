"""Values that JSON doesn't have, to plain JSON and back: each becomes an object with one key, which is its tag.

``{"born": date(1815, 12, 10)}`` becomes ``{"born": {"$date": "1815-12-10"}}``. A dict of the user's that has such a
key, and no other, is put into an object whose key is ``$``. Both ways go without recursion, so that content may be
nested as deeply as the serializer takes it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from .wording import name_of

# What is written in a value's place; and a copy in there whose own values are still to be written.
Written: TypeAlias = tuple[Any, "dict[Any, Any] | list[Any] | None"]

_ESCAPE = "$"
_SCALARS = frozenset({bool, float, int, str, type(None)})


def tag(content: Any) -> Any:
    """``content`` in plain JSON; it stays as it is, and what has to be changed is copied.

    Raises ``ValueError`` where something in it is inside itself.
    """
    whole = [content]
    inside: set[int] = set()  # which objects, by their ids
    stack: list[tuple[Any, Iterator[tuple[Any, Any]], int]] = [(whole, _iter_items(whole), 0)]
    while stack:
        container, items, identity = stack[-1]
        for key, value in items:
            if type(value) in _SCALARS:
                continue
            write = _WRITERS.get(type(value)) or _find_writer(type(value))
            container[key], copied = write(value)
            if copied is not None:
                if id(value) in inside:
                    raise ValueError(f"A {name_of(type(value))} is inside itself; change it so that it isn't.")
                inside.add(id(value))
                stack.append((copied, _iter_items(copied), id(value)))
                break
        else:
            stack.pop()
            inside.discard(identity)
    return whole[0]


def untag(content: Any) -> Any:
    """What ``tag`` was given. ``content`` itself is changed; what is no tag, or none that can be read, stays in it."""
    whole = [content]
    todo: list[Any] = [whole]
    tags: list[tuple[Any, Any, dict[Any, Any]]] = []
    for container in todo:  # grows meanwhile
        for key, value in _iter_items(container):
            if type(value) is list:
                todo.append(value)
            elif type(value) is dict:
                if _is_escaped(value):
                    inner = container[key] = value[_ESCAPE]
                    todo.append(inner)
                    continue
                if len(value) == 1 and next(iter(value)) in _READERS:
                    tags.append((container, key, value))
                todo.append(value)
    for container, key, value in reversed(tags):  # what is inside of another first
        container[key] = _read(value)
    return whole[0]


def _iter_items(container: dict[Any, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    return iter(container.items() if isinstance(container, dict) else enumerate(container))


def _is_tag(value: Mapping[Any, Any]) -> bool:
    """Whether it has the key of a tag, or of what an object is put into, and no other."""
    return len(value) == 1 and (next(iter(value)) in _READERS or _ESCAPE in value)


def _is_escaped(value: Mapping[Any, Any]) -> bool:
    """Whether it stands for a dict of the user's that looks like a tag."""
    return len(value) == 1 and type(value.get(_ESCAPE)) is dict and _is_tag(value[_ESCAPE])


# Each writer to what it writes


def _find_writer(kind: type) -> Callable[[Any], Written]:
    """That of ``kind``, or of the class that it is derived from."""
    for base in kind.__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    return _leave


def _leave(value: Any) -> Written:
    """For the serializer, which may take it or not."""
    return value, None


def _write_dict(value: dict[Any, Any]) -> Written:
    copied = None if _SCALARS.issuperset(map(type, value.values())) else dict(value)
    written = value if copied is None else copied
    return ({_ESCAPE: written} if _is_tag(value) else written), copied


def _write_list(value: list[Any]) -> Written:
    copied = None if _SCALARS.issuperset(map(type, value)) else list(value)
    return (value if copied is None else copied), copied


def _write_collection(name: str, value: Iterable[Any]) -> Written:
    copied = list(value)
    return {name: copied}, copied


def _write_leaf(name: str, write: Callable[[Any], Any], value: Any) -> Written:
    return {name: write(value)}, None


def _write_moment(format_: Callable[[Any], str], value: datetime | time) -> Any:
    """ISO 8601, and where that isn't all of it a list: of ISO 8601, ``fold``, and the name of the time zone."""
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    if zone is not None:
        return [format_(value.replace(tzinfo=None)), value.fold, zone]
    return [format_(value), value.fold] if value.fold else format_(value)


def _write_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_WRITERS: dict[type, Callable[[Any], Written]] = {
    dict: _write_dict,
    list: _write_list,
    tuple: partial(_write_collection, "$tuple"),
    set: partial(_write_collection, "$set"),
    frozenset: partial(_write_collection, "$frozenset"),
    datetime: partial(_write_leaf, "$datetime", partial(_write_moment, datetime.isoformat)),
    date: partial(_write_leaf, "$date", date.isoformat),
    time: partial(_write_leaf, "$time", partial(_write_moment, time.isoformat)),
    timedelta: partial(_write_leaf, "$timedelta", _write_timedelta),
    UUID: partial(_write_leaf, "$uuid", lambda value: value.hex),
    Decimal: partial(_write_leaf, "$decimal", Decimal.__str__),
    bytes: partial(_write_leaf, "$bytes", lambda value: b64encode(value).decode("ascii")),
}


# What is written to what it was


def _read(value: dict[str, Any]) -> Any:
    [(name, content)] = value.items()
    kind, read = _READERS[name]
    if not isinstance(content, kind):
        return value
    try:
        return read(content)
    except Exception:  # each type has errors of its own
        return value


def _read_moment(parse: Callable[[str], Any], content: str | list[Any]) -> Any:
    if isinstance(content, str):
        return parse(content)
    text, fold, *zone = content
    moment = parse(text).replace(fold=fold)
    return moment.replace(tzinfo=ZoneInfo(*zone)) if zone else moment


# What a tag holds, and what makes a value of that.
_READERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "$tuple": (list, tuple),
    "$set": (list, set),
    "$frozenset": (list, frozenset),
    "$datetime": ((str, list), partial(_read_moment, datetime.fromisoformat)),
    "$date": (str, date.fromisoformat),
    "$time": ((str, list), partial(_read_moment, time.fromisoformat)),
    "$timedelta": (list, lambda content: timedelta(*content)),
    "$uuid": (str, UUID),
    "$decimal": (str, Decimal),
    "$bytes": (str, lambda content: b64decode(content, validate=True)),
}
