"""The ASGI flow that ties cookie, signature and session together."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from asgiref.typing import ASGI3Application

from .cookies import MAX_COOKIE, Header, SameSite, SetCookie, add_session_headers, find_cookies
from .errors import CookieTooLargeError, SessionError
from .serializing import Serializer
from .session import UNREAD, Metadata, Rejection, Session, UnreadSession, check_seconds
from .signing import BadData, SecretKey, SessionSigner, rejection_of

# Frameworks give scopes and messages types of their own, none of which is another's.
App: TypeAlias = "ASGI3Application | Callable[[Any, Any, Any], Awaitable[None]]"
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = Mapping[str, Any]

logger = logging.getLogger("asgi_signed_session")

_TYPES = ("http", "websocket")  # a session even where their scopes have no headers
_SECURE_SCHEMES = frozenset({"https", "wss"})
_STARTS = (".response.start", ".accept")  # the ends of the types of messages that carry the response's headers


class SessionMiddleware:
    """Gives ``app`` a signed session as ``scope["session"]``, on every connection that has headers.

    The options up to ``partitioned`` are those of Starlette's middleware. ``max_age``, ``refresh_after`` and
    ``lifetime`` are seconds. Raises ``TypeError`` or ``ValueError`` for options that can't work; what an app can't
    save raises a ``SessionError`` out of its ``send``.
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
    ) -> None:
        _check_callable(app)
        _check_times(max_age, refresh_after, lifetime)
        _check_scope_key(scope_key)
        self.app: Callable[[Any, Any, Any], Awaitable[None]] = app
        self.session_cookie = session_cookie
        self.max_age = max_age
        self.scope_key = scope_key
        self._marker = f"asgi_signed_session.{scope_key}"  # of the innermost session, whatever is in its place
        self._https_only = https_only
        self._refresh_after = refresh_after
        self._lifetime = lifetime
        self._cookie = SetCookie(
            session_cookie,
            path=path,
            same_site=same_site,
            https_only=https_only,
            domain=domain,
            partitioned=partitioned,
        )
        self._signer = SessionSigner(secret_key, session_cookie, fallbacks=fallbacks, serializer=serializer)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = scope.get("headers")
        if headers.__class__ is not list:
            if headers is None and scope["type"] not in _TYPES:
                await self.app(scope, receive, send)
                return
            headers = _keep_headers(scope)
        outer = scope.get(self._marker)
        if outer is not None:
            if outer._stage == "open":
                await self._call_nested(outer, scope, receive, send)
                return
            outer = outer if outer._stage == "hidden" else None
        scope_key = self.scope_key
        session = scope[scope_key] = scope[self._marker] = UnreadSession(UNREAD)
        session._loader = self
        session._source = headers
        session._accessed = False
        session._stage = "open"
        if outer is not None:
            session._outer = outer

        # Not async: a coroutine more for each message would cost 0.1 µs.
        def send_with_session(message: Message) -> Awaitable[None]:
            if (session._accessed or scope.get(scope_key) is not session) and message["type"].endswith(_STARTS):
                message = self._add_session(scope, session, message)
            return send(message)  # type: ignore[no-any-return]

        try:
            await self.app(scope, receive, send_with_session)
        finally:
            session._stage = "ended"
            if scope.get(scope_key) is not session or (session._accessed and session._is_changed()):
                self._report_unsaved(scope, session)

    async def _call_nested(self, outer: Session, scope: Scope, receive: Any, send: Any) -> None:
        """Calls the app inside another middleware of the same scope key, whose session is ``outer``."""
        own = self._find_own(outer)
        if own is outer:
            await self.app(scope, receive, send)
            return
        before = {key: scope[key] for key in (self.scope_key, self._marker) if key in scope}
        self._take_replacement(scope, outer)  # while it can be seen
        outer._stage = "hidden"
        try:
            if own is None:
                await self(scope, receive, send)
            else:
                own._stage = "open"
                scope[self.scope_key] = scope[self._marker] = own
                await self.app(scope, receive, send)
        finally:
            if own is not None:
                own._stage = "hidden"
            outer._stage = "open"
            scope.pop(self.scope_key, None)
            scope.update(before)

    def _find_own(self, outer: Session | None) -> Session | None:
        """The session, ``outer`` or one that it hides, that is kept in the same cookie."""
        while outer is not None and outer._loader.session_cookie != self.session_cookie:
            outer = getattr(outer, "_outer", None)
        return outer

    def load(self, session: UnreadSession, source: Iterable[Header]) -> None:
        """Fills ``session`` from the first of its cookies in the headers ``source`` that can be used."""
        rejected: Rejection | None = None
        for cookie in find_cookies(source, self._cookie.name):
            if len(cookie) > MAX_COOKIE:
                rejected = rejected or "malformed"
                continue
            try:
                content, payload, signed_at, issued_at, metadata, outdated = self._signer.read(cookie)
                age = self._signer.check_age(signed_at, issued_at, metadata, self.max_age, self._lifetime)
            except BadData as error:
                rejected = rejected or rejection_of(error)
            else:
                stale = outdated or (self._refresh_after is not None and age > self._refresh_after)
                session._fill(content, payload, signed_at, issued_at, metadata, stale and bool(content))
                return
        if rejected is not None:
            extra = {"event": "session.rejected", "reason": rejected}
            logger.debug("Session cookie %r rejected: %s", self.session_cookie, rejected, extra=extra)
        session._fill({}, rejected=rejected)

    def _add_session(self, scope: Scope, session: Session, message: Message) -> Message:
        """A message like ``message``, which starts the response, with the session's headers."""
        if scope.get(self.scope_key) is not session:
            self._take_replacement(scope, session)
        accept = message["type"].endswith(".accept")
        if not session._accessed or (accept and not _accept_takes_headers(scope)):
            return message
        set_cookie = None
        if session._changed or session._stale or (session._fingerprint is not None and session._is_changed()):
            set_cookie = self._write(scope, session) if session else self._delete(scope, session)
        headers: list[Header] = list(message.get("headers") or ())
        if not accept:
            add_session_headers(headers, set_cookie)
        elif set_cookie is not None:
            headers.append((b"set-cookie", set_cookie))
        return {**message, "headers": headers}

    def _take_replacement(self, scope: Scope, session: Session) -> None:
        """Gives ``session`` the content of what the app has put in its place."""
        replacement = scope.get(self.scope_key)
        if replacement is session or session._stage == "hidden":
            return
        session.mark_accessed()
        # A class stands for no session in some frameworks: Litestar's clear_session() leaves one.
        if replacement is None or isinstance(replacement, type):
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

    def _delete(self, scope: Scope, session: Session) -> bytes | None:
        came = session._came()
        session._commit(None)
        return self._cookie.delete(self._is_secure(scope)) if came else None

    def _write(self, scope: Scope, session: Session) -> bytes | None:
        try:
            metadata = session._metadata
            if self._lifetime is not None:
                metadata = {**metadata, "iat": session.issued_at or self._signer.now()}
            payload, value = self._signer.write(session, metadata)
            if len(self._cookie.name) + len(value) > MAX_COOKIE:
                if not session._is_changed():  # to be signed anew: the cookie that the browser has still serves
                    return None
                raise self._describe_size(session, value)
        except SessionError:
            session._give_up()
            raise
        session._commit(payload)
        max_age = metadata.get("max_age", self.max_age)
        if max_age is not None and self._lifetime is not None:
            max_age = self._cap_max_age(max_age, metadata)
        return self._cookie.write(value, max_age, self._is_secure(scope))

    def _cap_max_age(self, max_age: int, metadata: Metadata) -> int:
        """Seconds the browser may keep the cookie: no longer than the session's lifetime."""
        remaining = (metadata["iat"] or 0) + (self._lifetime or 0) - self._signer.now()
        return max(1, min(max_age, remaining))

    def _describe_size(self, session: Session, value: bytes) -> CookieTooLargeError:
        size = len(self._cookie.name) + len(value)
        largest = ", ".join(f"{key!r} ({_show_size(size)})" for key, size in self._signer.find_largest(session))
        return CookieTooLargeError(
            f"session cookie {self.session_cookie!r} is {size} bytes, {size - MAX_COOKIE} over the {MAX_COOKIE} a"
            f" browser keeps; largest: {largest}. Store less: keep the data on the server, and its id here."
        )

    def _report_unsaved(self, scope: Scope, session: Session) -> None:
        """Warns of changes that came when there was no longer a message to send them with."""
        path = scope.get("path")
        extra = {"event": "session.unsaved", "path": path}
        try:
            self._take_replacement(scope, session)
        except SessionError as error:
            logger.warning("Session on %r not saved: %s", path, error, extra={**extra, "keys": []})
        if session._is_changed() and (keys := self._signer.find_changes(session._payload, session)):
            names, why = ", ".join(map(repr, keys)), _why_unsaved(scope)
            logger.warning("Session changes on %r not saved: %s. %s", path, names, why, extra={**extra, "keys": keys})


def _keep_headers(scope: Scope) -> Sequence[Header]:
    """The scope's headers for us and the app alike: the first reader of an iterator would use it up."""
    headers: Iterable[Header] = scope.get("headers") or ()
    if isinstance(headers, (list, tuple)):
        return headers
    kept = scope["headers"] = list(headers)
    return kept


def _accept_takes_headers(scope: Scope) -> bool:
    """Whether the server sends the headers of an accept: for websockets, since version 2.1 of the specification."""
    if scope["type"] != "websocket" or "asgi" not in scope:  # a server must give "asgi"; a test client may not
        return True
    return tuple(map(int, scope["asgi"].get("spec_version", "2.0").split("."))) >= (2, 1)


def _why_unsaved(scope: Scope) -> str:
    if not _accept_takes_headers(scope):
        return "This server sends no headers with websocket.accept; change the session on an HTTP request instead."
    return "The cookie goes out with the start of the response or the accept of the websocket; change it before that."


def _show_size(size: int) -> str:
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.1f} kB"


def _check_callable(app: object) -> None:
    if not callable(app):
        raise TypeError(
            f"app must be an ASGI app, not a {type(app).__name__}; write SessionMiddleware(app, secret_key)."
        )


def _check_times(max_age: int | None, refresh_after: int | None, lifetime: int | None) -> None:
    check_seconds("max_age", max_age)
    check_seconds("refresh_after", refresh_after)
    check_seconds("lifetime", lifetime)
    if refresh_after is not None and max_age is not None and refresh_after >= max_age:
        raise ValueError(
            f"refresh_after={refresh_after} must be less than max_age={max_age}, or the session expires before it is"
            " signed anew; half of max_age is a good value."
        )


def _check_scope_key(scope_key: object) -> None:
    if not isinstance(scope_key, str) or not scope_key:
        raise TypeError(f"scope_key={scope_key!r} must be a str that isn't empty; write scope_key='session'.")
