"""The ASGI flow that ties cookie, signature and session together."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from asgiref.typing import ASGI3Application

from .cookies import Header, SameSite, SetCookie, add_session_headers
from .errors import SessionError
from .expiry import Expiry
from .keeping import CookieKeeper
from .messages import START_OF, Message, Scope, accept_takes_headers, is_end
from .serializing import Serializer
from .session import UNREAD, Session, UnreadSession
from .signing import SecretKey, SessionSigner
from .stores import SessionEndedError, Store, StoreKeeper
from .unsaved import report_refused, report_unsaved, why_unsaved

# Frameworks give scopes and messages types of their own, none of which is another's.
App: TypeAlias = "ASGI3Application | Callable[[Any, Any, Any], Awaitable[None]]"
T = TypeVar("T")

_TYPES = ("http", "websocket")  # a session even where their scopes have no headers
_SECURE_SCHEMES = frozenset({"https", "wss"})


class SessionMiddleware:
    """Gives ``app`` a signed session as ``scope["session"]``, on every connection that has headers.

    The options up to ``partitioned`` are those of Starlette's middleware. ``max_age``, ``refresh_after`` and
    ``lifetime`` are seconds. With a ``store`` the data lives there, and the cookie carries a random id. Raises
    ``TypeError`` or ``ValueError`` for options that can't work; what an app can't save raises a ``SessionError`` out
    of its ``send``, and what the store raises comes out of the app's call or its ``send``.
    """

    def __init__(
        self,
        app: App,
        secret_key: SecretKey,
        session_cookie: str = "session",
        max_age: int | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool | None = None,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        fallbacks: Iterable[SecretKey] = (),
        serializer: Serializer = json,
        refresh_after: int | None = None,
        lifetime: int | None = None,
        scope_key: str = "session",
        store: Store | None = None,
    ) -> None:
        _check_callable(app)
        _check_scope_key(scope_key)
        expiry = Expiry(max_age, refresh_after, lifetime)
        self.app: Callable[[Any, Any, Any], Awaitable[None]] = app
        self.session_cookie = session_cookie
        self.scope_key = scope_key
        self._marker = f"asgi_signed_session.{scope_key}"  # of the innermost session, whatever is in its place
        self._https_only = https_only
        cookie = SetCookie(
            session_cookie,
            path=path,
            same_site=same_site,
            https_only=https_only,
            domain=domain,
            partitioned=partitioned,
        )
        self._signer = SessionSigner(secret_key, session_cookie, fallbacks=fallbacks, serializer=serializer)
        self._keeper = CookieKeeper(cookie, self._signer, expiry)
        self._store_keeper = None if store is None else StoreKeeper(store, cookie, self._signer, expiry)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = scope.get("headers")
        if headers.__class__ is not list:
            if headers is None and scope["type"] not in _TYPES:
                await self.app(scope, receive, send)
                return
            headers = _keep_headers(scope)
        outer = scope.get(self._marker)
        if outer is not None and outer._stage == "open":
            await self._call_nested(outer, scope, receive, send)
            return
        scope_key = self.scope_key
        session = scope[scope_key] = scope[self._marker] = UnreadSession(UNREAD)
        session._keeper = self._keeper
        session._source = headers
        session._stage = "open"
        session._state = None
        if outer is not None and outer._stage == "hidden":
            session._outer = (outer, *getattr(outer, "_outer", ()))
        if self._store_keeper is not None:
            await self._call_with_store(self._store_keeper, scope, session, receive, send)
            return

        # Not async: a coroutine more for each message would cost 0.1 µs.
        def send_with_session(message: Message) -> Awaitable[None]:
            if (session._state is not None or scope.get(scope_key) is not session) and START_OF[message["type"]]:
                message = self._add_session(scope, session, message)
            return send(message)  # type: ignore[no-any-return]

        failed = True
        try:
            await self.app(scope, receive, send_with_session)
            failed = False
        finally:
            session._stage = "ended"
            if scope.get(scope_key) is not session or (session._state is not None and session._is_changed()):
                self._report_late(scope, session, failed)

    async def _call_with_store(
        self, keeper: StoreKeeper, scope: Scope, session: UnreadSession, receive: Any, send: Any
    ) -> None:
        """Calls the app with a ``session`` that is kept in a store."""
        session._keeper = keeper
        answered = False

        async def send_with_session(message: Message) -> None:
            nonlocal answered
            if START_OF[message["type"]]:
                answered = True
                message = await self._add_stored_session(keeper, scope, session, message)
            elif is_end(message):
                # So that the visitor's next request finds it, however long the app goes on.
                await self._save_late(keeper, scope, session)
            await send(message)

        try:
            await keeper.fetch(session)
            await self.app(scope, receive, send_with_session)
            answered = True
        except GeneratorExit:  # closed rather than cancelled: nothing can be awaited any more
            answered = False
            raise
        finally:
            session._stage = "ended"
            await self._save_late(keeper, scope, session, failed=not answered)

    async def _call_nested(self, outer: Session, scope: Scope, receive: Any, send: Any) -> None:
        """Calls the app inside another middleware of the same scope key, whose session is ``outer``."""
        own = self._find_own(outer)
        if own is outer:
            await self.app(scope, receive, send)
            return
        own_outer = getattr(own, "_outer", ())
        before = {key: scope[key] for key in (self.scope_key, self._marker) if key in scope}
        self._take_replacement(scope, outer)  # while it can be seen
        outer._stage = "hidden"
        try:
            if own is None:
                await self(scope, receive, send)
            else:
                own._outer = tuple(session for session in (outer, *outer._outer) if session is not own)
                own._stage = "open"
                scope[self.scope_key] = scope[self._marker] = own
                await self.app(scope, receive, send)
        finally:
            if own is not None:
                self._take_late_replacement(scope, own)
                own._stage = "hidden"
                own._outer = own_outer
            outer._stage = "open"
            scope.pop(self.scope_key, None)
            scope.update(before)

    def _find_own(self, outer: Session) -> Session | None:
        """The session, ``outer`` or one that it hides, that is kept in the same cookie."""
        active: tuple[Session, ...] = (outer, *getattr(outer, "_outer", ()))
        for session in active:
            if session._keeper.session_cookie == self.session_cookie:
                return session
        return None

    def _add_session(self, scope: Scope, session: Session, message: Message) -> Message:
        """A message like ``message``, which starts the response, with the session's headers."""
        if scope.get(self.scope_key) is not session:
            self._take_replacement(scope, session)
        accept = START_OF[message["type"]] == "accept"
        if session._state is None or (accept and not accept_takes_headers(scope)):
            return message
        # A second start, of an error page, comes where the first has not gone out, so the cookie hasn't either.
        set_cookie = None
        state = session._state
        if state in ("changed", "stale") or (session._fingerprint is not None and session._is_changed()):
            set_cookie = session._set_cookie = self._keeper.save(session, self._is_secure(scope))
        elif state == "saved":
            set_cookie = session._set_cookie
        return _add_headers(message, accept, set_cookie)

    async def _add_stored_session(
        self, keeper: StoreKeeper, scope: Scope, session: Session, message: Message
    ) -> Message:
        """As ``_add_session``, once the store has the session."""
        self._take_replacement(scope, session)
        accept = START_OF[message["type"]] == "accept"
        if session._state is None or (accept and not accept_takes_headers(scope)):
            return message
        set_cookie = None
        if session._state == "stale" or session._is_changed():
            try:
                saving = keeper.save(session, self._is_secure(scope))
                set_cookie = session._set_cookie = await self._report_cancelled(scope, session, saving)
            except SessionEndedError as error:
                report_unsaved(self._signer, scope, session, str(error))
        elif session._state == "saved":
            set_cookie = getattr(session, "_set_cookie", None)
        return _add_headers(message, accept, set_cookie)

    async def _save_late(self, keeper: StoreKeeper, scope: Scope, session: Session, failed: bool = False) -> None:
        """Saves what has changed since the cookie went out, unless the app has failed without an answer."""
        self._take_late_replacement(scope, session)
        if session._state is None or not session._is_changed():
            return
        why = why_unsaved(scope, failed)
        try:
            if not failed:
                await self._report_cancelled(scope, session, keeper.save_late(session))
        except SessionEndedError as error:
            why = str(error)
        report_unsaved(self._signer, scope, session, why)

    async def _report_cancelled(self, scope: Scope, session: Session, saving: Awaitable[T]) -> T:
        """Awaits ``saving``, and warns where it is cancelled: that is no error that anyone would see."""
        payload = session._payload
        try:
            return await saving
        except Exception:
            raise
        except BaseException:
            session._payload = payload
            report_unsaved(self._signer, scope, session, "The app was cancelled before the store had them.")
            raise

    def _take_replacement(self, scope: Scope, session: Session) -> None:
        """Gives ``session`` the content of what the app has put in its place."""
        replacement = scope.get(self.scope_key)
        if replacement is session or session._stage == "hidden":
            return
        session.mark_accessed()
        # Some frameworks have an object for no value: Litestar's clear_session() leaves a class or a member of an enum.
        if replacement is None or isinstance(replacement, (type, Enum)):
            session._replace({})
        elif isinstance(replacement, Mapping):
            session._replace(replacement)
        elif replacement is not session._refused:
            session._refused = replacement
            raise SessionError(
                f"scope[{self.scope_key!r}] was replaced by a {type(replacement).__name__};"
                " put a dict there, or delete the key to clear the session."
            )

    def _is_secure(self, scope: Scope) -> bool:
        return scope.get("scheme") in _SECURE_SCHEMES if self._https_only is None else self._https_only

    def _take_late_replacement(self, scope: Scope, session: Session) -> None:
        try:
            self._take_replacement(scope, session)
        except SessionError as error:
            report_refused(scope, error)

    def _report_late(self, scope: Scope, session: Session, failed: bool) -> None:
        """Warns of what has changed since the cookie went out."""
        self._take_late_replacement(scope, session)
        if session._is_changed():
            report_unsaved(self._signer, scope, session, why_unsaved(scope, failed))


def _keep_headers(scope: Scope) -> Sequence[Header]:
    """The scope's headers for us and the app alike: the first reader of an iterator would use it up."""
    headers: Iterable[Header] = scope.get("headers") or ()
    if isinstance(headers, (list, tuple)):
        return headers
    kept = scope["headers"] = list(headers)
    return kept


def _add_headers(message: Message, accept: bool, set_cookie: bytes | None) -> Message:
    headers = message.get("headers") or ()
    if not accept:
        return {**message, "headers": add_session_headers(headers, set_cookie)}
    own = () if set_cookie is None else ((b"set-cookie", set_cookie),)
    return {**message, "headers": [*headers, *own]}


def _check_callable(app: object) -> None:
    if not callable(app):
        raise TypeError(
            f"app must be an ASGI app, not a {type(app).__name__}; write SessionMiddleware(app, secret_key)."
        )


def _check_scope_key(scope_key: object) -> None:
    if not isinstance(scope_key, str) or not scope_key:
        raise TypeError(f"scope_key={scope_key!r} must be a str that isn't empty; write scope_key='session'.")
