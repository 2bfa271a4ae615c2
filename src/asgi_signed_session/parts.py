"""What all connections of one middleware share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from .cookies import SetCookie
from .keepers import CookieKeeper
from .lifetime import Lifetime
from .origins import OriginGuard
from .payload import Codec
from .reporting import report_stands_back
from .session import Keeper
from .signing import Keyring
from .store_keeper import StoreKeeper
from .store_reader import StoreOptions
from .stores import BareStore, Store, check_store


def make_keeper(
    store: Store | BareStore | None,
    use: StoreOptions,
    cookie: SetCookie,
    keyring: Keyring,
    codec: Codec,
    ends: Lifetime,
) -> CookieKeeper | StoreKeeper:
    """What keeps sessions in ``store``; in their cookies where it is ``None``. Raises ``TypeError`` for no store."""
    if store is None:
        return CookieKeeper(cookie, keyring, codec, ends)
    return StoreKeeper(check_store(store), use, cookie, keyring, codec, ends)


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
