"""The mapping an app sees: a dict that is read when first touched and knows whether it has changed.

One object, three classes of one layout. An ``UnreadSession`` knows where its content is to come from; the first touch
of any kind fills it. If every value is immutable the object is then a ``Session``, and its reading methods are those of
dict. Otherwise it is an ``UnlentSession``: what the app was never handed it can't have changed, so only when the first
mutable value is handed out is a fingerprint of the values taken, and the object becomes a ``Session``. From then on a
change in a nested value shows when another fingerprint is compared with the first.
"""

from __future__ import annotations

import marshal
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from .errors import SessionError, SessionNotLoadedError
from .ids import Id
from .lifetime import Seconds, read_seconds
from .merging import is_same
from .record import DELETED, NO_WISHES, NOTHING, Record, Rejection, Wishes
from .reporting import report_changed_after_end
from .wording import name_of

State = Literal["read", "lent", "changed"]

# Every other method of dict reads. A test fails when dict has one that is in no group.
CHANGING: Final = frozenset(
    {"__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"}
)
CONSTRUCTING: Final = frozenset({"__class_getitem__", "__init__", "__new__", "fromkeys"})
HANDING_OUT_NOTHING: Final = frozenset(
    {"__contains__", "__iter__", "__len__", "__repr__", "__reversed__", "__sizeof__"}
)

# What an unread session holds. A reader in C that goes round the methods finds a key and a value that no serializer
# takes, and fails, rather than an empty dict.
_PLACEHOLDER: Final[Any] = object()
_UNREAD: Final[dict[Any, Any]] = {_PLACEHOLDER: _PLACEHOLDER}

_IMMUTABLE = frozenset(
    {bool, bytes, float, int, str, type(None)}
    # From serializers.Tagged: without a fingerprint, 30 -> 10 µs for a request that reads an aware datetime.
    | {Decimal, UUID, date, datetime, time, timedelta}
)
_ENDED: Final[Any] = object()
_TOLD: Final[Any] = object()  # as _ENDED, and it was said that a change is lost
_MARSHAL_VERSION = 2  # the last that writes equal values alike, however often an object is referred to


class Keeper(Protocol):
    """What reads a session from its source, and what a session asks of it later."""

    @property
    def max_age(self) -> int | None:
        """Seconds; what holds for a session that has no ``max_age`` of its own."""
        ...

    def open(self, source: Any, /) -> Record:
        """The record of the session that ``source`` leads to."""
        ...

    def find_end(self, record: Record, /) -> int | None:
        """When the session in ``record`` is over, in Unix seconds; ``None``: it has no end."""
        ...

    def make_id(self) -> Id | None:
        """A new id; ``None`` where the server knows of no session."""
        ...

    def report_rejected(self, reason: Rejection, /) -> None:
        """Logs why the cookie that came isn't used."""


class Exchange(Protocol):
    """The connection that a session in a store belongs to, as long as it is open."""

    async def load(self) -> None:
        """Reads the session from the store, whatever is known of it."""

    async def save(self) -> None:
        """Saves what has changed."""

    def check_renewal(self) -> None:
        """Raises ``SessionError`` where no cookie can carry a new id any more."""


class Session(dict[str, Any]):
    """The session of one connection: a dict that tells whether it was read and whether it has changed.

    ``Session({"a": 1})`` makes one by hand, for tests. It belongs to no connection, and neither does a copy.
    """

    __slots__ = ("_exchange", "_fingerprint", "_keeper", "_modified", "_record", "_source", "_state", "_wishes")

    _exchange: Exchange | None  # None: there is no store; _ENDED, _TOLD: the connection has ended
    _fingerprint: object  # of the values, when one was lent or when they were saved; None: none can change in place
    _keeper: Keeper  # unset where it was made by hand
    _modified: bool  # it has changed on this connection, whether or not it was saved since
    _record: Record  # what was read or last saved
    _source: Any  # what the keeper opens at the first touch
    # None: untouched. "read": as it was read or last saved. "lent": the app has a value that may change in place, and
    # the fingerprint tells. "changed": by a method.
    _state: State | None
    _wishes: Wishes  # since it was read or last saved
    _is_unread = False  # asked for in place of the class, which would be a call

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        self._fill_by_hand(dict(*args, **kwargs))

    def _fill_by_hand(self, content: dict[str, Any]) -> None:
        dict.clear(self)
        dict.update(self, content)
        if type(self) in (UnlentSession, UnreadSession):
            self.__class__ = Session  # pyright: ignore[reportAttributeAccessIssue]  # of the same layout
        self._fingerprint = None if _is_flat(content) else _freeze(list(content.values()))
        self._state = None
        self._modified = False
        self._record, self._wishes = NOTHING, NO_WISHES
        self._exchange = None

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None, /) -> Session:  # type: ignore[override]  # a Session
        """A session made by hand with ``value`` under each key."""
        return Session(dict.fromkeys(iterable, value))

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
        return self._modified or self._is_changed()

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self.mark_modified()
        else:
            take(self)
            self._record = replace(self._record, due=False)
            self._modified = False

    @property
    def rejected(self) -> Rejection | None:
        """``None``, or why the request's cookie was not used.

        ``"bad-signature"``, ``"expired"`` or ``"malformed"``. With ``trusted_origins`` also ``"cross-site"``: a page of
        another origin has caused the request, and nothing that the app puts into the session is saved. With a store
        also ``"superseded"``: the cookie is from before a sign-in or a ``regenerate()``, and the session is saved
        only if the app signs somebody in; and ``"unavailable"``: the store can't be read, the middleware has
        ``on_store_error="empty"``, and a change raises ``SessionError``.
        """
        return self._record.rejected

    @property
    def signed_at(self) -> int | None:
        """When the session was signed, in Unix seconds; ``None`` for a new one."""
        return None if self._wishes.renewed else self._record.signed_at

    @property
    def issued_at(self) -> int | None:
        """When the session began, in Unix seconds; ``None`` for a new one.

        Without the middleware's option ``lifetime``, the cookie doesn't hold this, and it is the same as ``signed_at``.
        """
        return None if self._wishes.renewed else self._record.issued_at

    @property
    def max_age(self) -> int | None:
        """Seconds that the session lives after it was signed; ``None``: until the browser is closed.

        Set it to seconds or a ``timedelta`` to give this session a value of its own, which it keeps. If you set it to
        ``None``, the server still ends the session by the middleware's ``max_age``. Raises ``ValueError`` or
        ``TypeError`` unless the value is ``None`` or a positive number of whole seconds.
        """
        keeper = getattr(self, "_keeper", None)
        default = keeper and keeper.max_age
        max_age: int | None = self._wishes.change(self._record.metadata).get("max_age", default)
        return max_age

    @max_age.setter
    def max_age(self, value: Seconds | None) -> None:
        self._wishes = replace(self._wishes, max_age=read_seconds("session.max_age", value))
        self.mark_modified()

    @property
    def expires_at(self) -> int | None:
        """When the session, as it was read or last saved, ends, in Unix seconds: to close a websocket in time.

        ``None`` if the session isn't saved yet, or if neither a ``max_age`` nor a ``lifetime`` ends it.
        """
        keeper = getattr(self, "_keeper", None)
        return None if keeper is None or self._record.payload in (None, DELETED) else keeper.find_end(self._record)

    @property
    def store_key(self) -> str | None:
        """With a store: the key of this session's record, to list and to end it by. ``None`` without.

        It stays the same as long as the session lives. It is a hash of the first half of the id in the cookie, so
        nobody can use the session with it.
        """
        version = self._record.version
        session_id = self._wishes.id if version is None else version.id
        if session_id is None:
            keeper = getattr(self, "_keeper", None)
            session_id = keeper and keeper.make_id()
            self._wishes = self._wishes.under(session_id)
        return session_id and session_id.key

    @property
    def principal(self) -> str | None:
        """Whose session it is, as the app has set it at the sign-in; ``None``: nobody has signed in.

        If the session belongs to another principal, setting it first clears the session. Setting a new one also calls
        ``regenerate()``. Raises ``TypeError`` unless it is a ``str`` or ``None``, and ``ValueError`` if it is empty.
        """
        principal: str | None = self._wishes.change(self._record.metadata).get("principal")
        return principal

    @principal.setter
    def principal(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(
                f"session.principal is of type {name_of(type(value))}; write session.principal = str(user.id)."
            )
        if value == "":
            raise ValueError("session.principal is empty; write None if the session is nobody's.")
        before = self.principal
        if value == before:
            return
        self._check_renewal()
        if before is not None:
            self.clear()
        self.regenerate()
        self._wishes = replace(self._wishes, principal=value)

    @property
    def prolong(self) -> bool:
        """Whether this request may prolong the session, ``True`` at first.

        ``session.prolong = False`` is for requests that a page sends by itself, every few seconds. The session is then
        not signed again for its age, nor because a fallback signed it, so ``refresh_after`` doesn't keep alive what
        nobody uses. A change is still saved; without a store, that signs the session again.
        """
        return self._wishes.prolongs

    @prolong.setter
    def prolong(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"session.prolong is of type {name_of(type(value))}; write session.prolong = False.")
        self._wishes = replace(self._wishes, prolongs=value)

    def mark_accessed(self) -> None:
        """Counts as reading the session."""
        if self._state is None:
            self._state = "read"

    def mark_modified(self) -> None:
        """Counts as changing the session: it will be saved."""
        self._state = "changed"
        if self._exchange is _ENDED:
            self._report_lost()

    def regenerate(self) -> None:
        """Gives the session a new beginning with the same data: a new ``issued_at``, and with a store a new id.

        Call it at login. With a store, it raises ``SessionError`` once the response has started.
        """
        self._check_renewal()
        self._wishes = replace(self._wishes, renewed=self._wishes.renewed + 1)
        self.mark_modified()

    def _check_renewal(self) -> None:
        exchange = self._find_exchange()
        if exchange is not None:
            exchange.check_renewal()

    def _find_exchange(self) -> Exchange | None:
        return None if self._has_ended() else self._exchange

    def _has_ended(self) -> bool:
        return self._exchange is _ENDED or self._exchange is _TOLD

    async def load(self) -> None:
        """With a store: reads the session now; without one it does nothing.

        If the middleware has ``autoload=False``, call it before the first use. On a long connection, such as a
        websocket, call it again: it takes over what other requests have changed, and keeps what was changed here. If
        the session was ended meanwhile, it is then empty, and ``rejected`` says why. Raises ``SessionNotLoadedError``
        once the connection has ended.
        """
        exchange = self._find_exchange()
        if exchange is not None:
            await exchange.load()
        elif self._has_ended() and self._keeper.make_id() is not None:
            raise SessionNotLoadedError(
                "The session can't be loaded any more, because its connection has ended: write 'await"
                " request.session.load()' before the app returns."
            )

    async def save(self) -> None:
        """With a store: saves now what has changed, for a long connection.

        A session that is new, cleared or has a new id needs a cookie. Before the response has started, it isn't saved
        now but at that start, which carries the cookie. Raises ``SessionError`` if something has changed and there is
        no store, or the connection has ended.
        """
        exchange = self._find_exchange()
        if exchange is not None:
            await exchange.save()
        elif self._is_changed():
            raise SessionError(
                "session.save() needs a store, SessionMiddleware(..., store=...), and a connection that is still open."
            )

    def clear(self) -> None:
        """Empties the session and ends it. What is put in afterwards is a new session, without its own ``max_age``."""
        super().clear()
        wishes = self._wishes
        self._wishes = replace(
            NO_WISHES,
            renewed=wishes.renewed + 1,
            ended=wishes.ended + 1,
            id=wishes.id,
            prolongs=wishes.prolongs,
        )
        if self._record.rejected is not None and self._record.payload is None:
            # The app wants nothing of what came: let the browser forget it, unless there will be another cookie.
            self._record = replace(self._record, payload=DELETED)
        self.mark_modified()

    def __setitem__(self, key: str, value: Any, /) -> None:
        super().__setitem__(key, value)
        self._state = "changed"
        if self._exchange is _ENDED:
            self._report_lost()

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
        """Whether it differs from what was read or last saved."""
        return self._state == "changed" or (
            self._fingerprint is not None and self._fingerprint != _freeze(list(self.values()))
        )

    def _report_lost(self) -> None:
        self._exchange = _TOLD  # it is said once
        report_changed_after_end()


def _is_flat(content: Mapping[str, Any]) -> bool:
    """Whether no value in ``content`` can change in place."""
    return content.__class__ is UnlentSession or _IMMUTABLE.issuperset(map(type, content.values()))


def _freeze(values: list[Any]) -> object:
    """A fingerprint, which tells one state of ``values`` from another.

    ``marshal`` is exact (1 is not ``True``) and takes a fifth of the time of JSON.
    """
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


class UnlentSession(Session):
    """A session that has been read, and none of whose mutable values the app has been handed."""

    __slots__ = ()

    def __getitem__(self, key: str, /) -> Any:
        value = dict.__getitem__(self, key)
        if value.__class__ not in _IMMUTABLE:
            _lend(self)
        return value

    def get(self, key: str, default: Any = None, /) -> Any:
        value = dict.get(self, key, default)
        if value.__class__ not in _IMMUTABLE:
            _lend(self)
        return value

    def __iter__(self) -> Iterator[str]:
        # Where a class has a method of its own for this, C code that copies a dict asks for its keys and values.
        return dict.__iter__(self)


def _lend(session: Session) -> None:
    """Makes ``session`` a ``Session``, as the app may now change its values in place."""
    if session.__class__ is not UnlentSession:  # a method that was looked up before may be called now
        return
    fingerprint = _freeze(list(dict.values(session)))
    # Another thread may have been handed a value, and have changed it, since this one was here.
    if session.__class__ is UnlentSession:
        session._fingerprint = fingerprint
        session._state = session._state if session._state == "changed" else "lent"
        session.__class__ = Session  # type: ignore[assignment]  # of the same layout


class UnreadSession(Session):
    """A session that nobody has touched: the first touch reads it, and turns the object into another class."""

    __slots__ = ()

    _fingerprint = None
    _is_unread = True
    # In C: 0.2 µs less for every connection.
    __init__: Any = dict.__init__

    def _show_class(self) -> type:
        # Quart asks, too, at every request.
        if str(sys._getframe(1).f_globals.get("__name__")).partition(".")[0] == "pydantic":
            self.mark_accessed()
        return type(self)

    __class__: Any = property(_show_class, vars(object)["__class__"].__set__)

    def mark_accessed(self) -> None:
        try:
            keeper = self._keeper
        except AttributeError:  # type(session)(...), as dataclasses.asdict makes it
            self._fill_by_hand(dict(dict.items(self)))
            return
        source = self._source
        if not self._is_unread:  # another thread has read it since the caller looked
            return
        record = keeper.open(source)
        content = record.content
        kind = Session if _IMMUTABLE.issuperset(map(type, content.values())) else UnlentSession
        # Two threads may do this at once, and the first may have changed the session before the second is here. A lock
        # would be 0.2 µs; CPython lets another thread in after a call, not between a check and what follows it.
        if self._is_unread:
            dict.update(self, content)
            dict.pop(self, _PLACEHOLDER, None)
        if self._is_unread:
            self.__class__ = kind
            self._state = "read"
            self._fingerprint = None
            self._modified = False
            self._source = None
            self._record = record
            self._wishes = NO_WISHES
            if record.rejected is not None:  # now that it is filled: a log filter may read the session
                keeper.report_rejected(record.rejected)

    # As the others below, written out: 0.2 µs less for the way in that nearly every app takes.
    def __getitem__(self, key: str, /) -> Any:
        self.mark_accessed()
        return self[key]

    def get(self, key: str, default: Any = None, /) -> Any:
        self.mark_accessed()
        return self.get(key, default)


def _lend_first(name: str) -> Callable[..., Any]:
    method = getattr(Session, name)

    def lend_first(self: UnlentSession, /, *args: Any, **kwargs: Any) -> Any:
        for other in args:  # of a comparison or a merge
            if isinstance(other, UnreadSession):
                other.mark_accessed()
        _lend(self)
        return method(self, *args, **kwargs)

    lend_first.__name__ = name
    return lend_first


def _read_first(name: str) -> Callable[..., Any]:
    def read_first(self: UnreadSession, /, *args: Any, **kwargs: Any) -> Any:
        self.mark_accessed()
        return getattr(self, name)(*args, **kwargs)

    read_first.__name__ = name
    return read_first


def _read_both_first(name: str) -> Callable[..., Any]:
    def read_both_first(self: UnreadSession, other: object) -> Any:
        self.mark_accessed()
        if isinstance(other, UnreadSession):
            other.mark_accessed()
        return getattr(self, name)(other)

    read_both_first.__name__ = name
    return read_both_first


def _read_first_property(name: str) -> property:
    def read(self: UnreadSession) -> Any:
        self.mark_accessed()
        return getattr(self, name)

    def write(self: UnreadSession, value: Any) -> None:
        self.mark_accessed()
        setattr(self, name, value)

    return property(read, write)


def _read_for_pydantic(name: str) -> property:
    def read(self: UnreadSession) -> Any:
        self.mark_accessed()
        return getattr(dict, name)  # there is none

    return property(read)


_OF_DICT = set(vars(dict)) - CONSTRUCTING - {"__doc__", "__getattribute__", "__hash__"}
for _name in _OF_DICT - HANDING_OUT_NOTHING - {"__getitem__", "get"}:
    setattr(UnlentSession, _name, _lend_first(_name))
for _name in (_OF_DICT | {"mark_modified", "regenerate"}) - {"__getitem__", "get"}:
    setattr(UnreadSession, _name, _read_first(_name))
for _name in ("__eq__", "__ne__"):
    setattr(UnreadSession, _name, _read_both_first(_name))
_PROPERTIES = {"expires_at", "issued_at", "max_age", "principal", "prolong", "rejected", "signed_at", "store_key"}
for _name in _PROPERTIES:
    setattr(UnreadSession, _name, _read_first_property(_name))
# Pydantic looks into the storage where it reads attributes, as FastAPI has it do for a response_model: a model of
# nothing but defaults would come of it. Before, it asks whether this is such a model: by one of these, and from 2.12 on
# by __class__ alone.
for _name in ("__pydantic_decorators__", "__pydantic_serializer__", "__pydantic_validator__"):
    setattr(UnreadSession, _name, _read_for_pydantic(_name))
setattr(UnreadSession, "modified", property(lambda _: False, _read_first_property("modified").fset))  # noqa: B010
# Setting it is no touch: Quart 0.23 does at every response, whoever looked at the session.
setattr(UnreadSession, "accessed", property(lambda _: False, lambda _, value: None))  # noqa: B010

READING: Final = _OF_DICT | _PROPERTIES | {"mark_modified", "regenerate"}  # what needs the content


# What a connection does with its session, beyond what an app may: it imports each of these by name.


def make_unread(keeper: Keeper, source: Any, exchange: Exchange | None = None) -> UnreadSession:
    """A session that ``keeper`` opens from ``source`` when it is first touched."""
    session: UnreadSession = UnreadSession(_UNREAD)
    session._keeper = keeper
    session._source = source
    session._state = None
    session._exchange = exchange
    return session


def read_now(session: UnreadSession, record: Record) -> None:
    """Fills ``session`` from ``record``."""
    session._source = record
    session.__class__ = UnreadSession  # of the same layout
    session.mark_accessed()


def take(session: Session) -> tuple[Record, Wishes]:
    """Returns what is to be saved, and the wishes for it. Changes from here on are new ones."""
    # First of all: another thread may change it while its values are looked at.
    changed, session._state = session._state == "changed", "read"
    before = session._fingerprint
    after = session._fingerprint = None if _is_flat(session) else _freeze(list(session.values()))
    if changed or before != after:
        session._modified = True
    if after is not None and session._state == "read":
        session._state = "lent"
    return session._record, session._wishes


def settle(session: Session, record: Record, wishes: Wishes) -> None:
    """Notes that ``record`` was saved, and that the ``wishes`` are met."""
    session._record = record
    if session._wishes is not NO_WISHES:
        session._wishes = session._wishes.beyond(wishes)


def give_up(session: Session) -> None:
    """Notes that what can't be saved need not be tried again, so that an error page can go out."""
    take(session)
    session._record = replace(session._record, due=False)
    if not isinstance(session._fingerprint, bytes):
        session._fingerprint = None


def stay_changed(session: Session) -> None:
    """Marks ``session`` as changed: it could not be saved, its app is told so, and may try again."""
    if session._exchange is _ENDED:
        session._exchange = _TOLD
    session.mark_modified()


def take_over(session: Session, content: Mapping[str, Any], record: Record) -> None:
    """Gives ``session`` this ``content``, and ``record`` as what it was read from; its own changes stay changes."""
    changed = session._is_changed()
    for key in session.keys() - content.keys():
        dict.__delitem__(session, key)
    for key, value in content.items():
        if key not in session or not is_same(session[key], value):  # the app may go on with what it has in hand
            dict.__setitem__(session, key, value)
    session._record = record
    modified = session._modified
    take(session)
    session._modified = modified
    if changed and record.rejected is None:
        session._state = "changed"


def forget_max_age(session: Session) -> None:
    """Drops the wish for a ``max_age`` of its own: no cookie can carry it any more."""
    session._wishes = session._wishes.without_max_age()


def set_free(session: Session) -> None:
    """Takes ``session`` from its connection: it is then as one that was made by hand."""
    session._exchange = None


def end(session: Session) -> None:
    """Notes that nobody saves ``session`` any more. The next change logs a warning."""
    session._exchange = _ENDED
