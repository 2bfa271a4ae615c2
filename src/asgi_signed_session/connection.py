"""One connection: what the app does to its session, from the scope that comes to the headers that go."""

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal
from weakref import WeakSet

from .caching import VARY, VARY_ON_ORIGIN, add_session_headers, lets_caches_share, show_cache_control, varies_on_cookie
from .cookies import is_within
from .decision import SAVING, Owed, decide
from .errors import SessionError, SessionNotLoadedError
from .keepers import CookieKeeper
from .messages import START_OF, Message, Scope, Start, accept_takes_headers, find_host, is_end
from .origins import OriginGuard, find_method
from .payload import find_new_metadata
from .record import DELETED, NOTHING, REJECTED, Record, Wishes
from .reporting import (
    UnsavedEvent,
    report_not_renewed,
    report_other_host,
    report_other_inside,
    report_other_outside,
    report_own_cookie,
    report_read_late,
    report_refused,
    report_stands_back,
    report_unsaved,
    why_unsaved,
)
from .session import Keeper, Session, make_unread
from .store_keeper import ENDED, RENEWED, SessionEndedError, StoreKeeper
from .store_reader import Unanswered
from .turns import Turns
from .unloaded import UnloadedSession
from .wording import name_of

Phase = Literal["open", "started", "closed"]  # "started": the headers are out, or on their way

ABSENT: Final[Any] = object()  # there was nothing under the scope key

_SET_COOKIE = (b"set-cookie", b"Set-Cookie")
_SECURE_SCHEMES = frozenset({"https", "wss"})
# What an app may put in the session's place; another type is another middleware's.
_MAPPINGS = frozenset({dict, ChainMap, Counter, OrderedDict, UserDict, MappingProxyType, defaultdict})
_NO_SESSION = (str, bytes, bytearray, int, float, complex, list, tuple, set, frozenset)


class Parts:
    """What all connections of one middleware share. Raises ``TypeError`` for a scope key that can't be one."""

    __slots__ = (
        *("__weakref__", "_compared", "cookie_start", "guard", "https_only", "keeper", "marker", "opener"),
        "scope_key",
    )

    def __init__(
        self,
        scope_key: str,
        keeper: CookieKeeper | StoreKeeper,
        https_only: bool | None,
        trusted_origins: Iterable[str] | None,
    ) -> None:
        if not isinstance(scope_key, str) or not scope_key:
            raise TypeError(f"scope_key={scope_key!r} must be a str that isn't empty; write scope_key='session'.")
        self.scope_key: str = scope_key
        self.marker: str = f"asgi_signed_session.{scope_key}"  # of the innermost connection that is open
        self.keeper: Any = keeper
        self.cookie_start: bytes = keeper.session_cookie.encode("ascii") + b"="
        self.guard: OriginGuard | None = None if trusted_origins is None else OriginGuard(keeper, trusted_origins)
        self.opener: Keeper = self.guard or keeper
        self.https_only: bool | None = https_only
        self._compared: WeakSet[Parts] = WeakSet()

    def compare(self, inner: Parts) -> None:
        """Warns where a middleware inside this one, with the same cookie, has been given what doesn't apply."""
        if inner is not self and inner not in self._compared:
            self._compared.add(inner)
            unlike = self.keeper.find_unlike(inner.keeper)
            if (self.guard and self.guard.trusted) != (inner.guard and inner.guard.trusted):
                unlike.append("trusted_origins")
            if unlike:
                report_stands_back(self.scope_key, self.keeper.session_cookie, unlike)


class Connection:
    """One connection whose session is kept in its cookie.

    Its scope holds, under ``parts.marker``, the innermost of the connections that are open: that one's session is what
    stands under ``parts.scope_key``, and it alone takes what the app puts there instead.
    """

    # Assigned where it is opened, in SessionMiddleware: a call less, 0.1 µs.
    __slots__ = (
        *("before", "first_message", "headers", "outer", "parts", "pass_on", "phase", "refused", "scope"),
        *("session", "set_cookie", "unwrapped"),
    )

    before: Any  # what stood under the scope key; ABSENT: nothing
    first_message: Message | None  # of those that went out before the session was touched
    headers: Any  # as they came
    outer: tuple[Connection, ...]  # those around this one, the nearest first
    parts: Parts
    pass_on: Callable[[Any], Awaitable[None]]  # the server's send
    phase: Phase
    refused: object  # what the app has put in the session's place that is none; unset before
    scope: Scope
    session: Session
    unwrapped: Callable[[Any], Awaitable[None]]  # the server's send, where pass_on is another; otherwise unset
    set_cookie: bytes | None  # what has gone to the browser: it goes again if the app starts once more

    def __reduce__(self) -> tuple[Callable[[], Connection], tuple[()]]:
        """A scope that is copied wholly, or pickled, starts again from its cookie."""
        return _make_closed, ()

    # Not async: a coroutine more for each message would cost 0.1 µs.
    def send(self, message: Message) -> Awaitable[None]:
        """Passes ``message`` on, with the session's headers where it starts the response: the app's ``send``."""
        session = self.session
        if session._state is not None or self.scope.get(self.parts.scope_key) is not session:
            start = START_OF[message["type"]]
            if start is not None:
                owed = self._find_owed(start)
                if owed in SAVING:
                    self._save(owed)
                message = self._add_headers(message, start, owed)
        elif self.first_message is None:
            self.first_message = message
        return self.pass_on(message)

    def _find_owed(self, start: Start) -> Owed:
        session = self.session
        if self.scope.get(self.parts.scope_key) is not session:
            self.take_replacement()
        state = session._state
        if state is None:
            return "nothing"
        record = session._record
        return decide(
            state == "changed" or (state == "lent" and session._is_changed()),
            not session and session._is_over(),
            record.payload is not None,
            record.due and session._wishes.prolongs,
            start == "response" or accept_takes_headers(self.scope),
            record.rejected == "cross-site",
        )

    def _add_headers(self, message: Message, start: Start, owed: Owed) -> Message:
        """A message like ``message``, with what is owed to the session."""
        if owed == "nothing":
            return message
        parts = self.parts
        headers = message.get("headers") or ()
        if not isinstance(headers, (list, tuple)):
            headers = list(headers)
        start_of_own = parts.cookie_start
        for name, value in headers:
            # A slice, as Daphne takes text, too.
            if name in _SET_COOKIE and value[: len(start_of_own)] == start_of_own:
                report_own_cookie(parts.keeper.session_cookie)
        set_cookies: tuple[bytes, ...] = () if self.set_cookie is None else (self.set_cookie,)
        if set_cookies and parts.keeper.domain is not None:
            set_cookies = (*self._delete_twin(parts.keeper), *set_cookies)
        if start == "response":
            vary = VARY if parts.guard is None else VARY_ON_ORIGIN
            return {**message, "headers": add_session_headers(headers, set_cookies, vary)}
        return {**message, "headers": [*headers, *((b"set-cookie", value) for value in set_cookies)]}

    def _delete_twin(self, keeper: Any) -> tuple[bytes, ...]:
        """What deletes the cookie of this host alone, where ``domain`` is set; warns where browsers don't take that.

        It goes out first: to some clients both are one cookie where the host is the domain itself.
        """
        host = find_host(self.headers)
        if host is not None and not is_within(host, keeper.domain):
            report_other_host(keeper.session_cookie, keeper.domain, host)
        twin: tuple[bytes, ...] = keeper.delete_twin(self.headers, self._is_secure())
        return twin

    def _save(self, owed: Owed) -> None:
        session, keeper = self.session, self.parts.keeper
        record, wishes = session._take()
        try:
            if owed == "delete":
                record, self.set_cookie = keeper.drop(wishes, record, self._is_secure())
            else:
                record, self.set_cookie = keeper.keep(session, wishes, record, self._is_secure())
        except Exception as error:
            session._give_up()
            self.set_cookie = None
            if owed != "renew":
                raise
            report_not_renewed(self.scope, error)  # the cookie that the browser has still serves
        else:
            session._settle(record, wishes)

    def _is_secure(self) -> bool:
        https_only = self.parts.https_only
        return self.scope.get("scheme") in _SECURE_SCHEMES if https_only is None else https_only

    def hide(self) -> None:
        """Makes note of what stands under the scope key, to put it back."""
        if self.outer:
            self.outer[0].take_replacement()  # while it can be seen
        before = self.scope.get(self.parts.scope_key, ABSENT)
        kind = type(before)  # alone: another's may do anything when it is asked for more
        is_ours = before is ABSENT or before is None or issubclass(kind, Session)
        if self.outer or not is_ours:  # otherwise it was left by an earlier call
            self.before = before
        is_the_apps = bool(self.outer) and kind in _MAPPINGS  # in the place of the outer one's session
        if not is_ours and not is_the_apps:
            report_other_outside(self.parts.scope_key, kind)
            self.pass_on = self._show_what_was_before(self.pass_on)

    def _show_what_was_before(self, send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """``send``, which finds the scope as the middleware around this one has left it."""
        scope, keys = self.scope, (self.parts.scope_key, self.parts.marker)
        answered = False

        async def pass_on(message: Message) -> None:
            nonlocal answered
            # Then for good: a BaseHTTPMiddleware passes it on only after this send has returned.
            answered = answered or START_OF[message["type"]] == "response"
            inside = [scope.get(key, ABSENT) for key in keys]
            self._put_back()
            await send(message)
            if not answered:
                for key, value in zip(keys, inside, strict=True):
                    _put(scope, key, value)

        self.unwrapped = send
        return pass_on

    def _put_back(self) -> None:
        """Has the scope as it was before this connection, but for a session that hid nothing."""
        scope, parts = self.scope, self.parts
        _put(scope, parts.marker, self.outer[0] if self.outer else ABSENT)
        if self.outer or self.before is not ABSENT:
            _put(scope, parts.scope_key, self.before)
        elif scope.get(parts.scope_key) is not self.session:
            self._take_back()

    def _take_back(self) -> None:
        """Has the scope show the session again where it has what the app has put in its place."""
        scope, scope_key = self.scope, self.parts.scope_key
        kind = type(scope.get(scope_key))
        if kind in _MAPPINGS or issubclass(kind, Session):  # another call would take the first for another's
            scope[scope_key] = self.session

    def _is_cross_site(self) -> bool:
        return self.session._record.rejected == "cross-site"

    def close(self, failed: bool) -> None:
        """Warns of what has changed since the cookie went out; ``failed``: the app has."""
        try:
            if self._may_have_changed():
                self._take_late_replacement(self.scope)
                if self.session._is_changed():
                    self._report(self._why_unsaved(failed))
            self._warn_of_late_reading()
        finally:
            self._leave()

    def _why_unsaved(self, failed: bool) -> str:
        return why_unsaved(self.scope, failed, self._is_cross_site())

    def _warn_of_late_reading(self) -> None:
        """Warns where the session was first read too late for the response to say that it depends on the cookie."""
        message = self.first_message
        if message is None or self.session._state is None or START_OF[message["type"]] != "response":
            return
        headers = list(message.get("headers") or ())
        if lets_caches_share(headers) and not varies_on_cookie(headers):
            report_read_late(self.scope, show_cache_control(headers))

    def _leave(self) -> None:
        self.phase = "closed"
        self.session._end()
        self._put_back()
        if self.before is not ABSENT:
            self.pass_on = getattr(self, "unwrapped", self.pass_on)  # which doesn't know this connection

    def _may_have_changed(self) -> bool:
        session = self.session
        return session._state not in (None, "read") or self.scope.get(self.parts.scope_key) is not session

    def take_replacement(self, scope: Scope | None = None) -> None:
        """Gives the session the content of what the app has put in its place. Raises ``SessionError``."""
        scope, scope_key = scope or self.scope, self.parts.scope_key
        replacement = scope.get(scope_key)
        if replacement is self.session or scope.get(self.parts.marker) is not self:
            return
        # Its type alone: another's may do anything when it is asked for more.
        kind = type(replacement)
        # Some frameworks have an object for no value: Litestar's clear_session() leaves a class or a member of an enum.
        if replacement is None or issubclass(kind, (type, Enum)):
            self._replace({})
        elif kind in _MAPPINGS or issubclass(kind, Session):
            # Starlette before 1.0, inside ours, puts an empty dict there for a visitor whom it doesn't know.
            if (replacement or kind is not dict or self.session.accessed) and replacement is not self._find_refused():
                try:
                    self._replace(replacement)
                except SessionNotLoadedError:
                    self.refused = replacement
                    raise
        elif not issubclass(kind, _NO_SESSION):
            report_other_inside(scope_key, kind)
        elif replacement is not self._find_refused():
            self.refused = replacement
            self.session.mark_accessed()
            raise SessionError(
                f"scope[{scope_key!r}] was replaced by a {name_of(kind)};"
                " put a dict there, or delete the key to clear the session."
            )

    def _find_refused(self) -> object:
        """What was said already to be no session: an error page is to go out all the same."""
        return getattr(self, "refused", None)

    def _replace(self, content: Mapping[str, Any]) -> None:
        """What the app has put in the session's place is a session of its own, where a cookie can still lead to it."""
        session = self.session
        same = content.keys() == session.keys() and all(content[key] is session[key] for key in content)
        payload = session._record.payload
        is_nothing = payload == DELETED or (payload is None and session.rejected is None)  # so nothing is to be ended
        if same and (content or is_nothing):
            return
        content = dict(content)  # before it is cleared: it may be a view of this session
        has_all = bool(session) and all(key in content and content[key] is session[key] for key in session)
        if has_all and self.phase != "started":
            session.regenerate()  # it may be how the app signs in
        if has_all or (content and self.phase == "started"):
            for key in [*session]:  # those that stay, too: the order is the replacement's
                del session[key]
        else:
            session.clear()
        session.update(content)

    def _take_late_replacement(self, scope: Scope) -> None:
        try:
            self.take_replacement(scope)
        except SessionError as error:
            report_refused(self.scope, error)

    def _report(self, why: str, event: UnsavedEvent = "session.unsaved") -> None:
        """Names the keys in which the session differs from what was last saved, where there are any."""
        codec, session = self.parts.keeper.codec, self.session
        record, wishes = session._take()
        keys = codec.find_changes(record.payload, session)
        wished = [] if session._is_over() else find_new_metadata(record.metadata, wishes.change(record.metadata))
        if wishes.renewed > wishes.ended:
            wished.append("renewal")
        if wishes.ended and record.rejected == "cross-site":
            wished.append("end")
        if keys or wished:
            report_unsaved(self.scope, keys, wished, why, event)

    async def call_inside(self, around: tuple[Connection, ...], app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Calls ``app``, which is inside a second middleware with this one's cookie, with this connection's session."""
        innermost = around[0]
        if innermost is self and scope is self.scope:
            await app(scope, receive, send)
            return
        scope_key, marker, outer = self.parts.scope_key, self.parts.marker, self.outer
        innermost.take_replacement(scope)  # while it can be seen
        before = scope.get(scope_key, ABSENT)
        self.outer = tuple(connection for connection in around if connection is not self)
        scope[marker], scope[scope_key] = self, self.session
        try:
            await app(scope, receive, send)
        finally:
            self._take_late_replacement(scope)  # a copy of this connection's scope may be gone by then
            self.outer, scope[marker] = outer, innermost
            _put(scope, scope_key, before)


def _make_closed() -> Connection:
    connection = Connection()
    connection.outer, connection.phase = (), "closed"
    return connection


def _put(scope: Scope, key: str, value: Any) -> None:
    if value is ABSENT:
        scope.pop(key, None)
    else:
        scope[key] = value


def find_open(scope: Scope, marker: str) -> tuple[Connection, ...]:
    """The connections of ``scope`` that are open, the innermost first: a copy of a scope outlives its call."""
    innermost: Connection | None = scope.get(marker)
    if innermost is None:
        return ()
    return tuple(connection for connection in (innermost, *innermost.outer) if connection.phase != "closed")


def find_owner(around: tuple[Connection, ...], parts: Parts) -> Connection | None:
    """That of the connections which keeps the session of another middleware's ``parts``, in the same cookie."""
    for connection in around:
        if connection.parts.keeper.session_cookie == parts.keeper.session_cookie:
            connection.parts.compare(parts)
            return connection
    return None


class StoredConnection(Connection):
    """One connection whose session is kept in a store: reading and saving are awaited, and late changes saved."""

    __slots__ = ("turns", "unanswered")

    turns: Turns  # of its tasks
    unanswered: Unanswered
    first_message: Message | None
    phase: Phase
    session: Session

    async def serve(self, app: Any, receive: Any) -> None:
        """Reads the session, calls ``app`` and saves what it has changed."""
        failed = True
        try:
            await self._read()
            await app(self.scope, receive, self.send)
            failed = False
        except GeneratorExit:  # closed rather than cancelled: nothing can be awaited any more
            self.phase, self.turns = "open", Turns()  # nor the turn that a task of the app may have
            raise
        finally:
            try:
                if self._may_have_changed():
                    await self._save_at_the_end(failed)
                self._warn_of_late_reading()
            finally:
                self._leave()

    async def _save_at_the_end(self, failed: bool) -> None:
        try:
            await self._save_late(failed=failed and self.phase == "open")
        except Exception:
            if not failed:
                raise
            self._report("The store failed to write them, and the app had failed before: see to the app's error first.")

    async def _read(self) -> None:
        keeper, headers = self.parts.keeper, self.headers
        self.turns, self.unanswered = Turns(), {}
        if keeper.reads_when_touched and keeper.autoload:
            self.session._belong_to(self)  # as the middleware has made it
            return
        source: Any = NOTHING  # where the store fails, an error page around us finds an empty session
        try:
            source = await self._find() if keeper.autoload else headers
        finally:
            session = self.session = self.scope[self.parts.scope_key] = make_unread(self.parts.opener, source)
            if not keeper.autoload:
                session.__class__ = UnloadedSession  # of the same layout
            session._belong_to(self)

    async def _find(self) -> Record:
        guard = self.parts.guard
        if guard is not None and guard.bars(find_method(self.scope), self.headers):
            return REJECTED["cross-site"]
        record: Record = await self.parts.keeper.find(self.headers)
        return record

    async def load(self) -> None:
        """Reads the session from the store: for the first time, or again."""
        is_first = isinstance(self.session, UnloadedSession)
        if not self.turns.take_now():
            await self.turns.take()
        try:
            await (self._load_first() if is_first else self._load_again())
        finally:
            self.turns.give_back()

    async def _load_first(self) -> None:
        session = self.session
        if isinstance(session, UnloadedSession):  # another task may have been quicker
            session._load(await self._find())

    async def _load_again(self) -> None:
        session, keeper = self.session, self.parts.keeper
        session.mark_accessed()
        if session.rejected == "unavailable":
            record = await keeper.find(self.headers)
            session._take_over(record.content, record)
        if session._has_new_id():  # it is new, or nothing of before is to stay: what is saved settles it
            return
        stored = await keeper.look(session._record)
        content, record = keeper.compare(stored, session, session._record, self.unanswered)
        if record.rejected is not None:
            self._report(RENEWED if record.rejected == "superseded" else ENDED, "session.ended")
        session._take_over(content, record)

    async def save(self) -> None:
        """Saves what has changed, unless it needs a cookie that is still to go out."""
        if not self._may_have_changed():
            return
        session = self.session
        if self.phase == "open":
            self.take_replacement()
            if self.parts.keeper.needs_cookie(session._wishes, session._record):
                return
        try:
            await self._save_late()
        except BaseException:
            session._stay_changed()
            raise

    def check_renewal(self) -> None:
        """Raises ``SessionError`` once the cookie has gone out: no browser would learn the new id."""
        if self.phase != "open":
            raise SessionError(
                "regenerate() or a new principal after the response has started or the websocket was accepted: no"
                " cookie can carry the new id any more. Call it earlier, or on a request of its own."
            )

    def send(self, message: Message) -> Awaitable[None]:
        start = START_OF[message["type"]]
        if start is None and not self._may_have_changed():
            return self.pass_on(message)
        return self._send_saved(message, start)

    async def _send_saved(self, message: Message, start: Start | None) -> None:
        if start is not None:
            if start == "accept" and not accept_takes_headers(self.scope):
                self.phase = "started"
            owed = self._find_owed(start)
            if owed in SAVING:
                owed = await self._save_at_the_start(start, owed)
            self.phase = "started"
            if self.first_message is None and self.session._state is None:
                self.first_message = message
            message = self._add_headers(message, start, owed)
        elif is_end(message):
            # So that the visitor's next request finds it, however long the app goes on.
            await self._save_late()
        await self.pass_on(message)

    async def _save_at_the_start(self, start: Start, owed: Owed) -> Owed:
        """Saves what a response's start owes the session; what that was, when its turn had come."""
        if not self.turns.take_now():
            await self.turns.take()
            owed = self._find_owed(start)
        before, self.phase = self.phase, "started"
        try:
            ended = await self._save_stored(owed) if owed in SAVING else None
        except BaseException:  # nothing goes out
            self.phase = before
            raise
        finally:
            self.turns.give_back()
        if ended is not None:
            self._report(str(ended), "session.ended")
        return owed

    async def _save_late(self, failed: bool = False) -> None:
        """Saves what has changed since the cookie went out, unless the app has failed without an answer."""
        if not self.turns.take_now():
            await self.turns.take()
        try:
            await self._save_changes(failed)
        finally:
            self.turns.give_back()

    async def _save_changes(self, failed: bool) -> None:
        self._take_late_replacement(self.scope)
        if self.session._is_changed():
            is_barred = failed or self._is_cross_site()
            ended = None if is_barred else await self._save_stored("late")
            if ended is not None:
                self._report(str(ended), "session.ended")
            elif is_barred or self.session._has_unmet():
                self._report(self._why_unsaved(failed))
                self.session._forget_max_age()

    async def _save_stored(self, owed: Owed | Literal["late"]) -> SessionEndedError | None:
        """Saves the session, or says why it may not be saved any more."""
        session, keeper = self.session, self.parts.keeper
        record, wishes = self._take(owed)
        before = self.set_cookie
        if owed != "late":
            self.set_cookie = None
        try:
            if owed == "delete" or session._is_over():
                record, set_cookie = await keeper.drop(wishes, record, self._is_secure())
            else:
                record, set_cookie = await keeper.keep(
                    session, wishes, record, self._is_secure(), owed, self.unanswered
                )
        except SessionEndedError as error:
            session._give_up()
            return error
        except BaseException as error:
            session._give_up()
            if not isinstance(error, Exception):  # no error that anyone would see
                self._report("The app was cancelled before the store had them.")
            elif owed == "renew":
                report_not_renewed(self.scope, error)
                return None
            raise
        if owed != "late":
            self.set_cookie = set_cookie or before  # that of a start which has failed to go out
        session._settle(record, wishes)
        return None

    def _take(self, owed: Owed | Literal["late"]) -> tuple[Record, Wishes]:
        """What is to be saved anew, and the wishes for it."""
        session = self.session
        record, wishes = session._take()
        if record.place is None and session.store_key is not None:
            record, wishes = session._take()  # with the id that it has now: a second try writes over the first
        # No cookie can carry it: it stays, and is reported.
        return record, wishes.without_max_age() if owed == "late" else wishes
