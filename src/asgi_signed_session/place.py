"""A session's place in a scope: what was there before, and what an app puts there instead."""

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal

from .errors import SessionError, SessionNotLoadedError
from .messages import START_OF, Message, Scope
from .parts import Parts
from .record import DELETED
from .reporting import report_other_inside, report_other_outside, report_refused
from .session import Session, end
from .wording import name_of

Phase = Literal["open", "started", "closed"]  # "started": the headers are out, or on their way
Standing = Literal["nothing", "content", "another's session", "no session"]

ABSENT: Final[Any] = object()  # there was nothing under the scope key

# What an app may put in the session's place; another type is another middleware's.
_MAPPINGS = frozenset({dict, ChainMap, Counter, OrderedDict, UserDict, MappingProxyType, defaultdict})
_NO_SESSION = (str, bytes, bytearray, int, float, complex, list, tuple, set, frozenset)


def judge(value: object) -> Standing:
    """What ``value``, in a session's place, stands for: by its type, as another's may do anything when it is asked."""
    kind = type(value)
    # Some frameworks have an object for no value: Litestar's clear_session() leaves a class or a member of an enum.
    if value is None or issubclass(kind, (type, Enum)):
        return "nothing"
    if kind in _MAPPINGS or issubclass(kind, Session):
        return "content"
    return "no session" if issubclass(kind, _NO_SESSION) else "another's session"


class Place:
    """Where one connection's session stands.

    Its scope holds, under ``parts.marker``, the innermost of the connections that are open: that one's session is what
    stands under ``parts.scope_key``, and it alone takes what the app puts there instead.
    """

    __slots__ = ("before", "outer", "parts", "pass_on", "phase", "refused", "scope", "session", "unwrapped")

    before: Any  # what stood under the scope key; ABSENT: nothing
    outer: tuple[Place, ...]  # those around this one, the nearest first
    parts: Parts
    pass_on: Callable[[Any], Awaitable[None]]  # the server's send
    phase: Phase
    refused: object  # what the app has put in the session's place that is none; unset before
    scope: Scope
    session: Session
    unwrapped: Callable[[Any], Awaitable[None]]  # the server's send, where pass_on is another; otherwise unset

    def __reduce__(self) -> tuple[Callable[[], Place], tuple[()]]:
        """A scope that is copied wholly, or pickled, starts again from its cookie."""
        return _make_closed, ()

    def hide(self) -> None:
        """Keeps what stands under the scope key, to put it back at the end."""
        if self.outer:
            self.outer[0].take_replacement()  # while it can be seen
        before = self.scope.get(self.parts.scope_key, ABSENT)
        kind = type(before)  # alone: another's may do anything when it is asked for more
        is_ours = before is ABSENT or before is None or issubclass(kind, Session)
        if self.outer or not is_ours:  # otherwise it was left by an earlier call
            self.before = before
        is_the_apps = bool(self.outer) and judge(before) != "another's session"  # in the place of the outer one's
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
            if not answered and self.phase != "closed":
                for key, value in zip(keys, inside, strict=True):
                    _put(scope, key, value)

        self.unwrapped = send
        return pass_on

    def _put_back(self) -> None:
        """Puts back what the scope had before this connection. A session that hid nothing stays."""
        scope, parts = self.scope, self.parts
        _put(scope, parts.marker, self.outer[0] if self.outer else ABSENT)
        if self.outer or self.before is not ABSENT:
            _put(scope, parts.scope_key, self.before)
        elif scope.get(parts.scope_key) is not self.session:
            self._take_back()

    def _take_back(self) -> None:
        """Puts the session back where the app has put something else in its place."""
        scope, scope_key = self.scope, self.parts.scope_key
        if judge(scope.get(scope_key)) == "content":  # another call would take the first for another's
            scope[scope_key] = self.session

    def _leave(self) -> None:
        self.phase = "closed"
        self._put_back()
        end(self.session)
        if self.before is not ABSENT:
            self.pass_on = getattr(self, "unwrapped", self.pass_on)  # which doesn't know this connection

    def take_replacement(self, scope: Scope | None = None) -> None:
        """Gives the session the content of what the app has put in its place. Raises ``SessionError``."""
        scope, scope_key = scope or self.scope, self.parts.scope_key
        replacement: Any = scope.get(scope_key)
        if replacement is self.session or scope.get(self.parts.marker) is not self:
            return
        standing = judge(replacement)
        if standing == "nothing":
            self._replace({})
        elif standing == "content":
            # Starlette before 1.0, inside ours, puts an empty dict there for a visitor whom it doesn't know.
            is_the_apps = replacement or type(replacement) is not dict or self.session.accessed
            if is_the_apps and replacement is not self._find_refused():
                self._take_content(replacement)
        elif standing == "another's session":
            report_other_inside(scope_key, type(replacement))
        elif replacement is not self._find_refused():
            self._refuse(replacement)

    def _take_content(self, replacement: Mapping[str, Any]) -> None:
        try:
            self._replace(replacement)
        except SessionNotLoadedError:
            self.refused = replacement
            raise

    def _refuse(self, replacement: object) -> None:
        self.refused = replacement
        self.session.mark_accessed()
        raise SessionError(
            f"scope[{self.parts.scope_key!r}] was replaced by a {name_of(type(replacement))};"
            " put a dict there, or delete the key to clear the session."
        )

    def _find_refused(self) -> object:
        """What was refused already: it isn't refused again, so that an error page can go out."""
        return getattr(self, "refused", None)

    def _replace(self, content: Mapping[str, Any]) -> None:
        """Gives the session this ``content``, as a new session if a cookie can still lead to it."""
        session = self.session
        same = content.keys() == session.keys() and all(content[key] is session[key] for key in content)
        payload = session._record.payload
        is_new = payload == DELETED or (payload is None and session.rejected is None)
        if same and (content or (is_new and session.principal is None)):  # so nothing is to be ended
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

    async def call_inside(self, around: tuple[Place, ...], app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Calls ``app``, which is inside a second middleware with this one's cookie, with this connection's session."""
        innermost = around[0]
        if innermost is self and scope is self.scope:
            await app(scope, receive, send)
            return
        scope_key, marker, outer = self.parts.scope_key, self.parts.marker, self.outer
        innermost.take_replacement(scope)  # while it can be seen
        before = scope.get(scope_key, ABSENT)
        self.outer = tuple(place for place in around if place is not self)
        scope[marker], scope[scope_key] = self, self.session
        try:
            await app(scope, receive, send)
        finally:
            self._take_late_replacement(scope)  # a copy of this connection's scope may be gone by then
            self.outer, scope[marker] = outer, innermost
            _put(scope, scope_key, before)


def _make_closed() -> Place:
    place = Place()
    place.outer, place.phase = (), "closed"
    return place


def _put(scope: Scope, key: str, value: Any) -> None:
    if value is ABSENT:
        scope.pop(key, None)
    else:
        scope[key] = value


def find_open(scope: Scope, marker: str) -> tuple[Place, ...]:
    """The places in ``scope`` whose connections are open, the innermost first: a copy of a scope outlives its call."""
    innermost: Place | None = scope.get(marker)
    if innermost is None:
        return ()
    return tuple(place for place in (innermost, *innermost.outer) if place.phase != "closed")


def find_owner(around: tuple[Place, ...], parts: Parts) -> Place | None:
    """The place ``around`` whose session a middleware with these ``parts`` would keep in the same cookie."""
    for place in around:
        if place.parts.keeper.session_cookie == parts.keeper.session_cookie:
            place.parts.compare(parts)
            return place
    return None
