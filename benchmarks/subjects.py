"""The middlewares compared, each run as its documentation says; to add one, add a function and name it below."""

# A peer is imported where it is used, so that the benchmark runs with those that are installed.

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, cast

from benchmarks.asgi import App, Run, Scope, run_at_once

Loader = Callable[[Scope], Awaitable[None]]


def none(app: App, key: str, fallbacks: Sequence[str]) -> App:
    """The floor: the harness puts a plain dict in its scope, filled beforehand."""
    return app


def ours(app: App, key: str, fallbacks: Sequence[str], serializer: Any = json) -> App:
    from asgi_signed_session import SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), key, fallbacks=fallbacks, serializer=serializer))


def ours_sign_in(scope: Scope) -> None:
    scope["session"].principal = "42"


def starlette(app: App, key: str, fallbacks: Sequence[str]) -> App:
    from starlette.middleware.sessions import SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), key))


def starsessions(app: App, key: str, fallbacks: Sequence[str]) -> App:
    from starsessions import CookieStore, SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), CookieStore(secret_key=key), lifetime=3600 * 24 * 14))


def starsessions_loader() -> Loader:
    """Its documentation: a view awaits ``load_session`` before it uses its session."""
    from starlette.requests import HTTPConnection
    from starsessions import load_session

    async def load(scope: Scope) -> None:
        await load_session(HTTPConnection(scope))

    return load


def starsessions_sign_in(scope: Scope) -> None:
    from starlette.requests import HTTPConnection
    from starsessions import regenerate_session_id

    regenerate_session_id(HTTPConnection(scope))


def asgi_sessions(app: App, key: str, fallbacks: Sequence[str]) -> App:
    from asgi_sessions import SessionMiddleware

    return cast("App", SessionMiddleware(cast("Any", app), session_type="jwt", secret_key=key))


def litestar(app: App, key: str, fallbacks: Sequence[str]) -> App:
    """Encrypted, which no other is; built as ``CookieBackendConfig.middleware`` builds it inside Litestar."""
    from litestar.middleware.session import SessionMiddleware
    from litestar.middleware.session.client_side import ClientSideSessionBackend, CookieBackendConfig

    backend = ClientSideSessionBackend(CookieBackendConfig(secret=key.encode()))
    return cast("App", SessionMiddleware(cast("Any", app), backend))


@cache
def litestar_context(store: Any = None) -> Scope:
    """What Litestar and its router have put into the scope when its middleware runs, which asks for it.

    A serializer is found by them and, where the sessions are on the server, the store.
    """
    from litestar import Litestar, get

    @get("/account", sync_to_thread=False)
    def account() -> None: ...

    app = Litestar([account], openapi_config=None, stores={"sessions": store} if store else None)
    route: Any = app.routes[0]
    return {"app": app, "litestar_app": app, "route_handler": route.route_handlers[0]}


def litestar_sign_out(scope: Scope) -> None:
    """Its documentation: ``request.clear_session()``; with a cleared dict, the store would keep an empty record."""
    from litestar.connection import ASGIConnection

    ASGIConnection[Any, Any, Any, Any](cast("Any", scope)).clear_session()


def limit(app: App, key: str, fallbacks: Sequence[str]) -> App:
    from benchmarks.limit import LimitMiddleware

    return LimitMiddleware(app, key).__call__


@dataclass(frozen=True)
class Subject:
    name: str
    wrap: Callable[[App, str, Sequence[str]], App]
    distribution: str | None = None
    loader: Callable[[], Loader] | None = None
    context: Callable[[], Scope] | None = None
    sign_in: Callable[[Scope], None] | None = None  # where its documentation has more for it than a key that is set
    sign_out: Callable[[Scope], None] | None = None  # where its documentation has more for it than ``clear``
    run: Run = run_at_once
    module: str | None = None  # where it isn't named as its distribution

    @property
    def is_available(self) -> bool:
        """Ours may run from ``src``, so the module is looked for, not the distribution."""
        return self.distribution is None or find_spec(self.module or self.distribution.replace("-", "_")) is not None


NONE = Subject("none", none)
OURS = Subject("ours", ours, "asgi-signed-session", sign_in=ours_sign_in)
STARLETTE = Subject("Starlette", starlette, "starlette")
STARSESSIONS = Subject("starsessions", starsessions, "starsessions", starsessions_loader, sign_in=starsessions_sign_in)
ASGI_SESSIONS = Subject("asgi-sessions", asgi_sessions, "asgi-sessions")
LITESTAR = Subject("Litestar", litestar, "litestar", context=litestar_context, sign_out=litestar_sign_out)
LIMIT = Subject("limit", limit)

SUBJECTS = (NONE, OURS, STARLETTE, STARSESSIONS, ASGI_SESSIONS, LITESTAR, LIMIT)


def with_orjson(subject: Subject) -> Subject:
    """Ours with ``serializer=orjson``; the others, which have no such option, as they are."""
    if subject is not OURS:
        return subject
    import orjson

    return replace(OURS, wrap=partial(ours, serializer=orjson))
