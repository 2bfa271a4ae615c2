"""The mapping an app sees: a dict that is read when first touched and knows whether it has changed."""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, Protocol

Rejection = Literal["bad-signature", "expired", "malformed"]
Stage = Literal["open", "hidden", "ended"]  # of the connection
State = Literal["read", "stale", "changed", "saved"]
Metadata = Mapping[str, "int | None"]

# Every other method of dict reads. A test fails when dict has one that is in no group.
CHANGING: Final = frozenset(
    {"__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"}
)
CONSTRUCTING: Final = frozenset({"__class_getitem__", "__init__", "__new__", "fromkeys"})

_IMMUTABLE = frozenset({bool, bytes, float, int, str, type(None)})
NO_METADATA: Final[Metadata] = {}
EMPTIED: Final = b""  # the payload of a session whose cookie is to be deleted, or has been

_MARSHAL_VERSION = 2  # the last that writes equal values alike, however often an object is referred to

# What an unread session holds. A reader in C that goes round the methods finds a key and a value that no serializer
# takes, and fails, rather than an empty dict.
_PLACEHOLDER = object()
UNREAD: Final[dict[Any, Any]] = {_PLACEHOLDER: _PLACEHOLDER}


class Keeper(Protocol):
    """Where an unread session gets its content, and what keeps it afterwards."""

    @property
    def session_cookie(self) -> str:
        """The name of the cookie that the session is kept in."""
        ...

    @property
    def max_age(self) -> int | None:
        """Seconds; what holds for a session that has no ``max_age`` of its own."""
        ...

    def load(self, session: UnreadSession, source: Any) -> None:
        """Calls ``session._fill`` with what ``source`` holds."""

    def find_id(self, session: Session, /) -> str | None:
        """What tells the session from others on the server; ``None`` where nothing does."""
        ...


class Session(dict[str, Any]):
    """The session of one connection: a dict that tells whether it was read and whether it has changed.

    ``Session({"a": 1})`` makes one by hand, for tests; it belongs to no connection, and so does a copy.
    ``rejected`` is ``None``, or why the cookie that came was not used: ``"bad-signature"``, ``"expired"`` or
    ``"malformed"``. ``issued_at``, when the session began, and ``signed_at`` are in Unix seconds, ``None`` for a new
    session; ``issued_at`` is exact with the middleware's ``lifetime``, otherwise equal to ``signed_at``.
    """

    __slots__ = (
        "_cleared",
        "_end",
        "_fingerprint",
        "_id",
        "_keeper",
        "_key",
        "_metadata",
        "_outer",
        "_payload",
        "_refused",
        "_set_cookie",
        "_source",
        "_stage",
        "_state",
        "issued_at",
        "rejected",
        "signed_at",
    )

    _cleared: bool  # with a store: it owes nothing to the record that it came from; unset before fetch or clear
    _end: int | None  # with a store: when the session is over, in Unix seconds; None: never
    _fingerprint: object  # of what was read or last saved; None where no value can change in place
    _id: str | None  # with a store: what the cookie carries; None: to be made
    _keeper: Keeper  # unset where it was made by hand
    _key: str | None  # with a store: of the record that there is; None: there is none
    _metadata: Metadata
    _outer: tuple[Session, ...]  # what it hides in its scope, the nearest first; unset where there is nothing
    _payload: bytes | None  # as it came or as it was last written; None: the browser has no cookie that we know of
    _refused: object  # what an app has put in its place that is no mapping
    _set_cookie: bytes | None  # what the last commit sent to the browser; unset before one
    _source: Any
    _stage: Stage  # one made by hand, as a copy is, belongs to none: "ended"
    # What the methods have seen; a value that changed in place is seen by its fingerprint. None: untouched. "stale":
    # read, and to be signed anew though unchanged. "saved": changed on this connection, and not since the cookie left.
    _state: State | None
    issued_at: int | None
    rejected: Rejection | None
    signed_at: int | None

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        self._fill_by_hand(dict(*args, **kwargs))

    def _fill_by_hand(self, content: dict[str, Any]) -> None:
        dict.clear(self)
        dict.update(self, content)
        if self.__class__ is UnreadSession:
            self.__class__ = Session  # pyright: ignore[reportAttributeAccessIssue]  # of the same layout
        self._stage = "ended"
        self._fingerprint = None if _is_flat(content) else _fingerprint(content)
        self._metadata = NO_METADATA
        self._state = self._payload = self._refused = self.signed_at = self.issued_at = self.rejected = None

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None, /) -> Session:  # type: ignore[override]  # a Session
        """A session made by hand with ``value`` under each key."""
        return Session(dict.fromkeys(iterable, value))

    def _fill(
        self,
        content: dict[str, Any],
        payload: bytes | None = None,
        signed_at: int | None = None,
        issued_at: int | None = None,
        metadata: Metadata = NO_METADATA,
        stale: bool = False,
        rejected: Rejection | None = None,
    ) -> None:
        """Becomes a session that has just been read, unless it is one already."""
        fingerprint = None if not content or _is_flat(content) else _fingerprint(content)
        # Two threads may do this at once, and the first may have changed the session before the second is here. A lock
        # would be 0.2 µs; CPython lets another thread in after a call, not between a check and what follows it.
        if self.__class__ is UnreadSession:
            dict.update(self, content)
            dict.pop(self, _PLACEHOLDER, None)  # type: ignore[misc]  # a key of another type
        if self.__class__ is UnreadSession:
            self.__class__ = Session  # pyright: ignore[reportAttributeAccessIssue]  # of the same layout
            self._state = "stale" if stale else "read"
            self._fingerprint = fingerprint
            self._payload = payload
            self.signed_at = signed_at
            self.issued_at = issued_at
            self._metadata = metadata
            self.rejected = rejected
            self._refused = None

    @property
    def accessed(self) -> bool:
        """Whether the app has read or changed the session."""
        return self._state is not None or self.modified

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value:  # what was read stays so: the app may change what it was handed
            self.mark_accessed()

    @property
    def modified(self) -> bool:
        """Whether the session has changed on this connection, values nested in it included."""
        return self._state == "saved" or self._is_changed()

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self.mark_modified()
        else:
            self._state = "read"
            self._fingerprint = None if _is_flat(self) else _fingerprint(self)

    @property
    def max_age(self) -> int | None:
        """Seconds that the session lives after it was signed; ``None``: until the browser ends.

        Setting it gives this session a value of its own, remembered in the cookie, in place of the middleware's.
        Raises ``ValueError`` or ``TypeError`` unless it is a positive ``int`` or ``None``.
        """
        keeper = getattr(self, "_keeper", None)
        return self._metadata.get("max_age", keeper and keeper.max_age)

    @max_age.setter
    def max_age(self, seconds: int | None) -> None:
        check_seconds("session.max_age", seconds)
        self._metadata = {**self._metadata, "max_age": seconds}
        self.mark_modified()

    @property
    def id(self) -> str | None:
        """With a store: the key of this session's record, to list and to end it by. ``None`` without.

        It is the hash of what the cookie carries, and gives nobody the session.
        """
        keeper = getattr(self, "_keeper", None)
        return keeper and keeper.find_id(self)

    def mark_accessed(self) -> None:
        """Counts as reading the session."""
        if self._state is None:
            self._state = "read"

    def mark_modified(self) -> None:
        """Counts as changing the session: it will be saved."""
        self._state = "changed"

    def regenerate(self) -> None:
        """Starts the session anew with the same data: a new ``issued_at``, and with a store a new id.

        Call it at login.
        """
        self.issued_at = self.signed_at = self._id = None
        self.mark_modified()

    def clear(self) -> None:
        """Empties the session and ends it: what is put in afterwards is a new one, with no ``max_age`` of its own."""
        super().clear()
        self._metadata = NO_METADATA
        self._cleared = True
        self.regenerate()
        self._forget_rejected()

    def __setitem__(self, key: str, value: Any, /) -> None:
        super().__setitem__(key, value)
        self._state = "changed"

    def __delitem__(self, key: str, /) -> None:
        super().__delitem__(key)
        self.mark_modified()

    def __ior__(self, other: Any, /) -> Session:  # type: ignore[override,misc]  # typeshed gives a dict's own type
        self.update(other)
        return self

    def update(self, /, *args: Any, **kwargs: Any) -> None:
        try:
            super().update(*args, **kwargs)
        finally:  # some of it may be in
            self.mark_modified()

    def pop(self, key: str, /, *default: Any) -> Any:
        known = key in self
        value = super().pop(key, *default)
        if known:
            self.mark_modified()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        self.mark_modified()
        return item

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        known = key in self
        value = super().setdefault(key, default)
        if not known:
            self.mark_modified()
        return value

    def __reduce__(self) -> tuple[type[Session], tuple[dict[str, Any]]]:
        return Session, (dict(self),)

    def _is_changed(self) -> bool:
        """Whether it differs from what was read or last committed."""
        return self._state == "changed" or (self._fingerprint is not None and self._fingerprint != _fingerprint(self))

    def _commit(self) -> None:
        """Takes the present state as the saved one; ``modified`` still tells that there was a change."""
        self._state = "read" if self._state == "stale" and not self._is_changed() else "saved"
        self._fingerprint = None if _is_flat(self) else _fingerprint(self)

    def _give_up(self) -> None:
        """Takes the present state as one that can't be saved and need not be tried again."""
        self._commit()
        self._set_cookie = None
        if not isinstance(self._fingerprint, bytes):
            self._fingerprint = None

    def _forget_rejected(self) -> None:
        """Has the cookie that was rejected deleted, unless there will be another: the app wants none of it."""
        if self.rejected is not None and self._payload is None:
            self._payload = EMPTIED

    def _replace(self, content: Mapping[Any, Any]) -> None:
        """Takes the content of the mapping that an app has put in this session's place."""
        same = content.keys() == self.keys() and all(content[key] is self[key] for key in self)
        if same and (content or self.rejected is None):
            return
        content = dict(content)  # before it is cleared: it may be a view of this session
        super().clear()
        super().update(content)
        self.mark_modified()
        self._forget_rejected()


def _is_flat(content: Mapping[str, Any]) -> bool:
    """Whether no value in ``content`` can change in place."""
    return _IMMUTABLE.issuperset(map(type, content.values()))


def _fingerprint(content: Mapping[str, Any]) -> object:
    """Tells one state of the values in ``content`` from another.

    ``marshal`` is exact (1 is not ``True``) and takes a fifth of the time of JSON.
    """
    values = list(content.values())
    try:
        return marshal.dumps(values, _MARSHAL_VERSION)
    except ValueError:
        return _pickle(values)


def _pickle(values: list[Any]) -> object:
    # Values that JSON doesn't have, from a serializer of the user's or about to be refused by the one in use.
    try:
        return pickle.dumps(values)
    except Exception:  # whatever a user's object raises
        return object()  # equal to nothing: the session counts as changed


def check_seconds(option: str, seconds: int | None) -> None:
    """Raises ``TypeError`` or ``ValueError`` unless ``seconds`` is a positive ``int`` or ``None``."""
    if seconds is None:
        return
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise TypeError(f"{option}={seconds!r} must be a whole number of seconds (an int) or None.")
    if seconds <= 0:
        raise ValueError(f"{option}={seconds} must be a positive number of seconds, or None.")


class UnreadSession(Session):
    """A session that nobody has touched: the first touch loads it, and turns the object into a ``Session``."""

    __slots__ = ()

    _fingerprint = _refused = None
    # In C: 0.2 µs less for every connection.
    __init__: Any = dict.__init__

    def mark_accessed(self) -> None:
        try:
            keeper = self._keeper
        except AttributeError:  # type(session)(...), as dataclasses.asdict makes it
            self._fill_by_hand(dict(dict.items(self)))
        else:
            keeper.load(self, self._source)


def _load_first(name: str) -> Callable[..., Any]:
    method = getattr(Session, name)

    def load_first(self: UnreadSession, /, *args: Any, **kwargs: Any) -> Any:
        self.mark_accessed()
        return method(self, *args, **kwargs)

    load_first.__name__ = name
    return load_first


def _load_both_first(name: str) -> Callable[..., Any]:
    method = getattr(Session, name)

    def load_both_first(self: UnreadSession, other: object) -> Any:
        self.mark_accessed()
        if isinstance(other, UnreadSession):
            other.mark_accessed()
        return method(self, other)

    load_both_first.__name__ = name
    return load_both_first


def _load_first_property(name: str, read: Callable[[UnreadSession], Any]) -> property:
    def write(self: UnreadSession, value: Any) -> None:
        self.mark_accessed()
        setattr(self, name, value)

    return property(read, write)


def _load_and_get(name: str) -> Callable[[UnreadSession], Any]:
    def read(self: UnreadSession) -> Any:
        self.mark_accessed()
        return getattr(self, name)

    return read


for _name in {*vars(dict), "mark_modified", "regenerate"} - CONSTRUCTING - {"__doc__", "__getattribute__", "__hash__"}:
    setattr(UnreadSession, _name, _load_first(_name))
for _name in ("__eq__", "__ne__"):
    setattr(UnreadSession, _name, _load_both_first(_name))
for _name in ("id", "issued_at", "max_age", "rejected", "signed_at"):
    setattr(UnreadSession, _name, _load_first_property(_name, _load_and_get(_name)))
setattr(UnreadSession, "modified", _load_first_property("modified", lambda _: False))  # noqa: B010
# Setting it is no touch: Quart 0.23 does at every response, whoever looked at the session.
setattr(UnreadSession, "accessed", property(lambda _: False, lambda _, value: None))  # noqa: B010
