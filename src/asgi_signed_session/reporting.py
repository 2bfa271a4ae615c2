"""Warnings of what no connection will see again, and of sessions that are not ours."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Literal

from .errors import SessionError
from .messages import Scope, accept_takes_headers
from .wording import name_of, printable, show_caller, show_key

logger: logging.Logger = logging.getLogger("asgi_signed_session")

UnsavedEvent = Literal["session.unsaved", "session.ended"]  # "session.ended": it was, or renewed, by another request

_MINUTE = 60  # seconds
_silent_until = [0.0]  # for a store that fails

_said: set[str] = set()  # warnings that are given once a process


def report_unsaved(scope: Scope, keys: list[str], wished: list[str], why: str, event: UnsavedEvent) -> None:
    """Names the ``keys`` whose change wasn't saved, and what else was ``wished`` of the session."""
    path = scope.get("path")
    names = ", ".join([*map(show_key, keys), *(f"its {wish}" for wish in wished)])
    extra = {"event": event, "path": path, "keys": keys}
    logger.warning("Session changes on %r not saved: %s. %s", path, names, why, extra=extra)


def report_merged(keys: list[str]) -> None:
    """Names the ``keys`` that two requests have changed at the same time; the change of the later one was kept."""
    extra = {"event": "session.merged", "keys": keys}
    names = ", ".join(map(show_key, keys))
    logger.info("Two requests have changed %s in the session; the later change was kept.", names, extra=extra)


def report_left_behind(keys: list[str]) -> None:
    """Names the ``keys`` that stay behind in a session which another request has renewed or ended."""
    extra = {"event": "session.left-behind", "keys": keys}
    logger.warning(
        "This request has signed in or called regenerate(), and another had renewed or ended the session meanwhile, so"
        " this one now has a session of its own, without %s. Set session.principal at the sign-in, which needs no call"
        " of regenerate(): then two requests that sign one user in keep what was there before.",
        ", ".join(map(show_key, keys)),
        extra=extra,
    )


def report_too_many(limit: int) -> None:
    """Says that the oldest sessions of a principal were ended."""
    logger.warning(
        "More than %d sessions of one session.principal: the oldest was ended. Give each user a principal of their"
        " own, and end sessions when a user signs out.",
        limit,
        extra={"event": "session.too-many"},
    )


def report_unreadable_index() -> None:
    """Says that the list of a principal's sessions can't be read, and that a new one was started."""
    logger.warning(
        "The list of the sessions of one session.principal can't be read, so a new one was started: Sessions won't"
        " find those that were in it. Give all apps that share the store the same keys; a new key has to be a fallback"
        " everywhere before it signs anywhere.",
        extra={"event": "session.unreadable-list"},
    )


def report_store_failed(error: Exception) -> None:
    """Says, once a minute, that the store can't be read."""
    now = time.monotonic()
    if now >= _silent_until[0]:
        _silent_until[0] = now + _MINUTE
        # Its type alone: the text of an error may have a URL with a password.
        logger.warning(
            "The session store can't be read (%s): visitors who have a session find an empty one. Make the store"
            " available again; this warning is logged once a minute.",
            name_of(type(error)),
            extra={"event": "session.store-failed"},
        )


def report_read_late(scope: Scope, cache_control: str) -> None:
    """Says that a response has let caches share it before it could say that it depends on the visitor."""
    path = scope.get("path")
    extra: dict[str, Any] = {"event": "session.read-late", "path": path}
    logger.warning(
        "The session on %r was first read after the start of a response that caches may share (Cache-Control:"
        " %s), so it was too late to add 'Vary: Cookie': read the session earlier, or send 'Cache-Control: private'.",
        path,
        cache_control,
        extra=extra,
    )


def report_not_renewed(scope: Scope, error: Exception) -> None:
    """Says that a session which was only to be signed again stays as it is, and why."""
    path = scope.get("path")
    # Of a store's error its type alone: the text may have a URL with a password.
    why = str(error) if isinstance(error, SessionError) else f"{name_of(type(error))}: see to the store."
    extra: dict[str, Any] = {"event": "session.not-renewed", "path": path}
    logger.warning(
        "The session on %r should have been signed again, but that failed; nothing is lost, and the session ends when"
        " it would have ended before. %s",
        path,
        why,
        extra=extra,
    )


def report_refused(scope: Scope, error: Exception) -> None:
    """Says why what was put in the session's place is no session."""
    path = scope.get("path")
    extra: dict[str, Any] = {"event": "session.unsaved", "path": path, "keys": []}
    logger.warning("Session on %r not saved: %s", path, error, extra=extra)


def report_other_inside(scope_key: str, other: type) -> None:
    """Says, once, that a middleware inside ours puts a session of its own in the place of ours."""
    _warn_once(
        f"scope[{scope_key!r}] holds a {_name(other)}: another session middleware inside this one has put its own"
        " session there. Inside that middleware the app finds that session, and this middleware's session stays as it"
        " is. Take one of the two out, or give this one another scope key:"
        f" SessionMiddleware(..., scope_key={'signed_' + scope_key!r}).",
    )


def report_other_outside(scope_key: str, other: type) -> None:
    """Says, once, that ours hides the session of a middleware around it."""
    _warn_once(
        f"scope[{scope_key!r}] held a {_name(other)} before: another session middleware is around this one. Inside"
        " this one the app finds this one's session, and outside it the other's. Take one of the two out, or give"
        f" this one another scope key: SessionMiddleware(..., scope_key={'signed_' + scope_key!r}).",
    )


def _name(other: type) -> str:
    return printable(f"{other.__module__}.{other.__qualname__}") if other is not dict else "dict"


def _warn_once(message: str, event: str = "session.other-middleware", key: str | None = None) -> None:
    if (key or message) not in _said:
        _said.add(key or message)
        logger.warning(message, extra={"event": event})


def report_stands_back(scope_key: str, session_cookie: str, unlike: Iterable[str]) -> None:
    """Says, once, that a middleware inside another of the same cookie leaves it to that one, whatever its options."""
    _warn_once(
        f"Two SessionMiddlewares, one inside the other, keep scope[{scope_key!r}] in the cookie {session_cookie!r}:"
        f" the outer one manages the session, and these options of the inner one have no effect: {', '.join(unlike)}."
        " Give both the same options, or give the inner one a session_cookie and a scope_key of its own.",
    )


def report_other_key(session_cookie: str) -> None:
    """Says, once, that a cookie which was signed just now was signed with another key."""
    _warn_once(
        f"A cookie {session_cookie!r} that was signed less than a minute ago was signed with a key that this process"
        " doesn't have. Give all workers one key, from the environment: a key that is made at start-up differs in"
        " each of them. After a change of key, pass the old one in fallbacks.",
        "session.other-key",
    )


def report_foreign_cookie(session_cookie: str) -> None:
    """Says, once, that something else sets the session's cookie, too."""
    _warn_once(
        f"A cookie {session_cookie!r} that was signed less than a minute ago was signed by other software, such as a"
        " Flask app on the same host, whose cookie has the same name, so each overwrites the other's session. Give this"
        " middleware a session_cookie of its own. If it was Starlette's middleware, which this one has replaced, pass"
        " fallbacks=[TimestampSigner(str(key))] instead, with Starlette's key: then nobody is signed out.",
        "session.name-taken",
    )


def report_own_cookie(session_cookie: str) -> None:
    """Says, once, that the app sets the session's cookie by itself."""
    _warn_once(
        f"The app itself sets a cookie {session_cookie!r}, in addition to this middleware's: a browser keeps only the"
        " last of them. Leave the cookie to the middleware, or give the middleware a session_cookie of its own.",
        "session.name-taken",
    )


def report_other_host(session_cookie: str, domain: str, host: str) -> None:
    """Says, once a domain, that browsers don't take the cookie."""
    _warn_once(
        f"The cookie {session_cookie!r} was set with domain={domain!r} on a request to another host ({show_key(host)}),"
        " and browsers drop such a cookie. Pass the domain that visitors see, or none; if a proxy changes the Host"
        " header, have it pass the visitor's on.",
        "session.other-domain",
        key=f"{session_cookie} {domain}",
    )


def report_changed_after_end() -> None:
    """Says that a session was changed which nobody saves any more, and where."""
    place = show_caller()
    logger.warning(
        "A session was changed after its connection had ended, in %s: the change is lost. If an exception handler or"
        " another middleware made the change, put SessionMiddleware(app, ...) around the whole app; if a task made"
        " it, have the task end before the request does.",
        place,
        extra={"event": "session.changed-after-end"},
    )


def why_unsaved(scope: Scope, failed: bool, is_cross_site: bool) -> str:
    """What to do about a change that wasn't saved; ``failed``: the app has raised an error."""
    if is_cross_site:
        return (
            "A page of another origin has caused this request: if it is yours, name it in trusted_origins; otherwise"
            " answer 403 where session.rejected is 'cross-site'."
        )
    if not accept_takes_headers(scope):
        return "This server sends no headers with websocket.accept; change the session on an HTTP request instead."
    if failed:
        return (
            "The app failed or was cancelled, and after this change, no response started and no websocket was accepted:"
            " make it earlier, or put the middleware around the code that answers errors."
        )
    return (
        "The cookie is sent when a response starts or a websocket is accepted, and neither happened after this"
        " change: make it earlier."
    )
