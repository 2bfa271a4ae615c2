"""The front door: options to parts, once; then a connection each time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from .compatibility import Shown, StarlettesAttributes
from .connection import Connection
from .cookies import SameSite, SetCookie
from .lifetime import Lifetime, Seconds
from .messages import App, check_app, keep_headers
from .origins import find_method
from .parts import Parts, make_keeper
from .payload import Codec, Serializer
from .place import ABSENT, find_open, find_owner
from .session import end, make_unread
from .signing import Keyring, SecretKey
from .store_reader import OnStoreError, StoreOptions
from .stored_connection import StoredConnection
from .stores import BareStore, Store


class SessionMiddleware(StarlettesAttributes):
    """Gives ``app`` a signed session as ``scope["session"]``, on every connection that has headers.

    The options up to ``partitioned`` are those of Starlette's middleware. ``max_age``, ``refresh_after`` and
    ``lifetime`` are seconds or a ``timedelta``. With a ``store`` the data is kept there, and the cookie carries a
    random id. With ``trusted_origins``, a request that a page of another origin has caused finds an empty session and
    can't set one.

    Raises ``TypeError`` or ``ValueError`` for options that can't work. If a session can't be saved, the app's ``send``
    raises ``SessionError``. If the store raises an error, the app's call or its ``send`` raises it.
    """

    def __init__(
        self,
        app: App,
        secret_key: SecretKey,
        session_cookie: str = "session",
        max_age: Seconds | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool | None = None,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        fallbacks: Iterable[SecretKey] = (),
        serializer: Serializer = json,
        refresh_after: Seconds | None = None,
        lifetime: Seconds | None = None,
        scope_key: str = "session",
        store: Store | BareStore | None = None,
        autoload: bool = True,
        on_store_error: OnStoreError = "raise",
        max_size: int | None = 64 * 1024,
        trusted_origins: Iterable[str] | None = None,
    ) -> None:
        self.app: Callable[[Any, Any, Any], Awaitable[None]] = check_app(app)
        ends = Lifetime(max_age, refresh_after, lifetime)
        cookie = SetCookie(session_cookie, path, same_site, https_only, domain, partitioned)
        keyring = Keyring(secret_key, session_cookie, fallbacks)
        use = StoreOptions(autoload, on_store_error, max_size).check()
        keeper = make_keeper(store, use, cookie, keyring, Codec(serializer), ends)
        self._shown = Shown(scope_key, cookie, keyring, ends, signs_json=store is None and serializer is json)
        self._parts = Parts(scope_key, keeper, https_only, trusted_origins)
        self._make_connection: Any = Connection if store is None else StoredConnection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = scope.get("headers")
        if headers.__class__ is not list:
            headers = keep_headers(scope)
            if headers is None:
                await self.app(scope, receive, send)
                return
        parts = self._parts
        scope_key, marker = parts.scope_key, parts.marker
        is_alone = scope_key not in scope and marker not in scope
        outer = () if is_alone else find_open(scope, marker)
        if outer and (owner := find_owner(outer, parts)) is not None:
            await owner.call_inside(outer, self.app, scope, receive, send)
            return
        connection = self._make_connection()
        connection.parts, connection.scope, connection.headers, connection.pass_on = parts, scope, headers, send
        connection.phase, connection.outer, connection.before = "open", outer, ABSENT
        connection.first_message = connection.set_cookie = None
        if not is_alone:
            connection.hide()
        source = headers if parts.guard is None else (find_method(scope), headers)
        if connection.__class__ is StoredConnection:
            await connection.serve(self.app, receive, source)
            return
        session = connection.session = scope[scope_key] = make_unread(parts.opener, source)
        scope[marker] = connection
        try:
            await self.app(scope, receive, connection.send)
        except BaseException:
            connection.close(failed=True)
            raise
        # Fast path, nearly every connection: 0.3 µs less. Nothing can have changed, and nothing was hidden.
        state = session._state
        is_well = state is None or (state == "read" and connection.first_message is None)
        if is_well and is_alone and scope.get(scope_key) is session:
            connection.phase = "closed"
            end(session)
            scope.pop(marker, None)
        else:
            connection.close(failed=False)
