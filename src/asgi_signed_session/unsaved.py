"""Warnings of what no connection will see again: changes that came too late, or that the server can't send."""

from __future__ import annotations

import logging
from typing import Any

from .messages import Scope, accept_takes_headers
from .session import Session
from .signing import SessionSigner

logger: logging.Logger = logging.getLogger("asgi_signed_session")


def report_unsaved(signer: SessionSigner, scope: Scope, session: Session, why: str) -> None:
    """Names the keys in which ``session`` differs from what was last saved, where there are any."""
    keys = signer.find_changes(session._payload, session)
    changes = list(map(repr, keys))
    if session and signer.is_max_age_new(session._payload, session._metadata):
        changes.append("its max_age")
    if changes:
        path, names = scope.get("path"), ", ".join(changes)
        extra = {"event": "session.unsaved", "path": path, "keys": keys}
        logger.warning("Session changes on %r not saved: %s. %s", path, names, why, extra=extra)


def report_refused(scope: Scope, error: Exception) -> None:
    """Says of what was put in the session's place why it is no session."""
    path = scope.get("path")
    extra: dict[str, Any] = {"event": "session.unsaved", "path": path, "keys": []}
    logger.warning("Session on %r not saved: %s", path, error, extra=extra)


def why_unsaved(scope: Scope, failed: bool) -> str:
    """What to do about a change that a cookie can't carry any more; ``failed``: the app has."""
    if not accept_takes_headers(scope):
        return "This server sends no headers with websocket.accept; change the session on an HTTP request instead."
    if failed:
        return (
            "The app failed or was cancelled, and neither the start of a response nor an accept came after this change:"
            " make it earlier, or put the middleware around what answers for errors."
        )
    return (
        "The cookie goes out with the start of the response or the accept of the websocket, and neither came after"
        " this change: make it earlier."
    )
