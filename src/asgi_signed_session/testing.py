"""A session for a test's client, and what the app has stored after a request.

For the clients of httpx, Starlette, FastAPI, Litestar and Quart: each keeps its cookies in a ``CookieJar``. None of
them is imported. The app's own middleware writes and reads the session, around a small app in the place of the user's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from email.message import Message
from functools import partial
from http.cookiejar import Cookie, CookieJar
from types import FunctionType
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import Request

from .middleware import SessionMiddleware
from .session import Session, set_free
from .wording import describe, name_of

__all__ = ["agive_session", "aread_session", "give_session", "read_session"]

T = TypeVar("T")

_MAX_ASKED = 10  # a store that has failed is asked again
_HEADERS: list[tuple[bytes, bytes]] = [(b"content-length", b"0")]


def give_session(
    client: Any,
    content: Mapping[str, Any],
    *,
    principal: str | None = None,
    app: Any = None,
    session_cookie: str | None = None,
) -> None:
    """Gives ``client`` a session with this ``content``, as if the app had set it in an earlier response.

    If the app has a store, the session is put there, too. ``principal`` says whose session it is. ``app`` is the app,
    or a ``SessionMiddleware`` with the same options. Pass it for httpx's clients, which don't say which app they call,
    and if the middleware isn't found. If there are several middlewares, ``session_cookie`` names the one to use.

    Raises ``TypeError`` or ``ValueError`` if the arguments can't work, and ``SessionError`` if the session can't be
    saved. Raises ``RuntimeError`` if the store needs an event loop; then write ``await agive_session(...)``.
    """
    _run(agive_session(client, content, principal=principal, app=app, session_cookie=session_cookie), "agive_session")


def read_session(client: Any, *, app: Any = None, session_cookie: str | None = None) -> Session:
    """The session that the next request of ``client`` will find.

    ``app`` and ``session_cookie`` mean the same as with ``give_session``, and the same errors are raised.
    """
    return _run(aread_session(client, app=app, session_cookie=session_cookie), "aread_session")


async def agive_session(
    client: Any,
    content: Mapping[str, Any],
    *,
    principal: str | None = None,
    app: Any = None,
    session_cookie: str | None = None,
) -> None:
    """The same as ``give_session``, for a store that needs an event loop."""

    async def fill(session: Session) -> None:
        await session.load()
        session.update(content)
        if principal is not None:
            session.principal = principal

    if not content and principal is None:
        raise ValueError("The session is empty, and has no cookie: give it content, or use a client without one.")
    visitor = _find_visitor(client)
    middleware, visit = _find_middleware(client, app, session_cookie)
    visit.act = fill
    await middleware(visitor.make_scope(middleware.session_cookie, cookies=False), None, visit.send)
    visitor.keep(middleware.session_cookie, visit.set_cookies)


async def aread_session(client: Any, *, app: Any = None, session_cookie: str | None = None) -> Session:
    """The same as ``read_session``, for a store that needs an event loop."""
    found: list[Session] = []

    async def read(session: Session) -> None:
        await session.load()
        session.mark_accessed()
        found.append(session)

    visitor = _find_visitor(client)
    middleware, visit = _find_middleware(client, app, session_cookie)
    visit.act, visit.answers = read, False  # without an answer nothing is written, and nothing signed again
    await middleware(visitor.make_scope(middleware.session_cookie), None, visit.send)
    set_free(found[0])
    return found[0]


class _NoLoopError(Exception):
    """Raised in a store that waits, where there is no event loop."""


class _Visit:
    """The app inside of the middleware."""

    act: Callable[[Session], Coroutine[Any, Any, None]]
    answers = True

    def __init__(self) -> None:
        self.scope_key = "session"
        self.set_cookies: list[str] = []

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        await self.act(scope[self.scope_key])
        if self.answers:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send({"type": "http.response.body"})

    async def send(self, message: Any) -> None:
        self.set_cookies += [value.decode() for name, value in message.get("headers", ()) if name == b"set-cookie"]


class _Visitor(NamedTuple):
    """A client as its cookies show it: where it goes to, and what it has from there."""

    jar: CookieJar
    url: str

    def find(self, name: str) -> Iterator[Cookie]:
        return (cookie for cookie in list(self.jar) if cookie.name == name)

    def make_scope(self, name: str, cookies: bool = True) -> dict[str, Any]:
        """The scope of a request, with the ``cookies`` that the client would send."""
        request = self._make_request(name)
        if cookies:
            self.jar.add_cookie_header(request)
        url = urlsplit(request.full_url)
        cookie = [(b"cookie", value.encode("latin-1"))] if (value := request.get_header("Cookie")) else []
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", url.netloc.encode()), *cookie],
        }

    def _make_request(self, name: str) -> Request:
        """The domain and the path of the cookie of that name, if there is one."""
        paths = [cookie.path for cookie in self.find(name)]
        return Request(self.url + (paths[0] if paths else "/"))  # noqa: S310  # nothing is opened

    def _forget(self, name: str) -> list[Cookie]:
        """Takes the cookies of that name from the client, and returns them."""
        cookies = list(self.find(name))
        for cookie in cookies:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)
        return cookies

    def keep(self, name: str, set_cookies: Iterable[str]) -> None:
        """Gives the client a cookie as the app would, so that the app's own takes its place later."""
        message = Message()
        for value in set_cookies:
            message["Set-Cookie"] = value
        before = self._forget(name)
        self.jar.extract_cookies(cast("Any", _Headers(message)), self._make_request(name))
        request = self._make_request(name)
        self.jar.add_cookie_header(request)
        if f"{name}=" not in (request.get_header("Cookie") or ""):
            self._forget(name)
            for cookie in before:
                self.jar.set_cookie(cookie)
            raise ValueError(
                f"The client would not send the cookie to {self.url}, because its attributes don't allow it at this"
                f" address ({message['Set-Cookie'].partition('; ')[2]}): give the client a base_url that fits them,"
                " such as base_url='https://testserver' for a secure one."
            )


class _Headers(NamedTuple):
    """What a ``CookieJar`` asks of a response."""

    message: Message

    def info(self) -> Message:
        return self.message


def _find_visitor(client: Any) -> _Visitor:
    jar = getattr(client, "cookie_jar", None)
    if isinstance(jar, CookieJar):  # Quart's, which sends each of its cookies with every request
        return _Visitor(jar, "https://localhost")
    jar = getattr(getattr(client, "cookies", None), "jar", None)
    if not isinstance(jar, CookieJar):
        raise TypeError(
            f"client is {describe(client)}, and its cookies are in no CookieJar: pass a client of httpx, Starlette,"
            " Litestar or Quart. Django's own don't call the ASGI app; use httpx.AsyncClient with an ASGITransport."
        )
    url = urlsplit(str(client.base_url))
    if not url.netloc:
        raise ValueError("The client has no base_url: write AsyncClient(..., base_url='http://testserver').")
    return _Visitor(jar, f"{url.scheme}://{url.netloc}")


def _find_middleware(client: Any, app: Any, session_cookie: str | None) -> tuple[SessionMiddleware, _Visit]:
    """The middleware of the app, around another."""
    if app is None:
        app = getattr(client, "app", None)
    if app is None:
        raise TypeError(f"{name_of(type(client))} doesn't say which app it calls: pass it, app=app.")
    visit = _Visit()
    found: dict[str, SessionMiddleware] = {}
    for middleware in _make_middlewares(app, visit):
        found.setdefault(middleware.session_cookie, middleware)  # of two with one cookie, the outer one keeps it
    names = ", ".join(repr(name) for name in found)
    if session_cookie is None and len(found) > 1:
        raise ValueError(f"The app has several session middlewares: pass session_cookie=, one of {names}.")
    chosen = found.get(session_cookie or next(iter(found), ""))
    if chosen is None:
        raise ValueError(
            f"No SessionMiddleware{f' with a cookie {session_cookie!r}' if session_cookie else ''} was found around"
            f" {describe(app)}{f', only with {names}' if names else ''}; pass one that has the same options:"
            " app=SessionMiddleware(app, SECRET, ...)."
        )
    visit.scope_key = chosen.scope_key
    return chosen, visit


def _make_middlewares(app: Any, inner: _Visit) -> Iterator[SessionMiddleware]:
    """The middlewares that ``app`` is wrapped in, or will be when it starts, each around ``inner`` instead."""
    while app is not None:
        if isinstance(app, SessionMiddleware):
            middleware = copy.copy(app)
            middleware.app = inner
            yield middleware
        for entry in _find_entries(app):
            made = entry(inner)
            if isinstance(made, SessionMiddleware):
                yield made
        app = getattr(app, "app", None) or getattr(app, "asgi_app", None)


def _find_entries(app: Any) -> Iterator[Callable[[Any], Any]]:
    """What makes the middlewares that a framework will wrap its app in, where it may make one of ours."""
    for entries in (getattr(app, "user_middleware", ()), getattr(app, "middleware", ())):  # Starlette's, Litestar's
        for entry in entries if isinstance(entries, (list, tuple)) else ():
            kind = getattr(entry, "cls", None) or getattr(entry, "middleware", entry)
            if isinstance(kind, FunctionType) or (isinstance(kind, type) and issubclass(kind, SessionMiddleware)):
                yield partial(_make, kind, getattr(entry, "args", ()), getattr(entry, "kwargs", {}))


def _make(kind: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any], inner: _Visit) -> Any:
    return kind(inner, *args, **kwargs)


def _run(coroutine: Coroutine[Any, Any, T], name: str) -> T:
    """What ``coroutine`` returns, where it needs to wait for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    with suppress(StopIteration, _NoLoopError):
        for _ in range(_MAX_ASKED):  # pragma: no branch - each store gives up before
            coroutine.throw(_NoLoopError())  # as the store would
    raise RuntimeError(f"The store needs an event loop: write 'await {name}(...)', or give the app a MemoryStore.")
