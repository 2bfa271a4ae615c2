"""What the start of a response owes a session that the app has touched: decided once, by facts alone."""

from __future__ import annotations

from typing import Final, Literal

Owed = Literal["nothing", "vary", "renew", "write", "delete"]

SAVING: Final = frozenset({"renew", "write", "delete"})


def decide(changed: bool, empty: bool, came: bool, due: bool, takes_headers: bool, barred: bool) -> Owed:
    """What a message that starts a response has to carry.

    ``changed``: since the session was read, or last saved. ``came``: the browser has a cookie, or had one that is to
    go. ``due``: to be signed again, though unchanged. ``takes_headers``: the message can carry headers.
    ``barred``: the request is another site's, and has no part in the session.

    ``"vary"``: only that the response depends on the cookie. ``"renew"``: what was read, signed again.
    """
    if not takes_headers:
        return "nothing"
    if barred:
        return "vary"
    if changed and not empty:
        return "write"
    if changed and came:
        return "delete"
    if due and not changed and not empty:
        return "renew"
    return "vary"
