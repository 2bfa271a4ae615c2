"""One connection: what the app does to its session, from the scope that comes to the headers that go."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from .caching import VARY, VARY_ON_ORIGIN, add_session_headers, lets_caches_share, show_cache_control, varies_on_cookie
from .cookies import is_within
from .decision import SAVING, Owed, decide
from .messages import START_OF, Message, Start, accept_takes_headers, find_host
from .payload import find_new_metadata
from .place import Place
from .reporting import (
    UnsavedEvent,
    report_not_renewed,
    report_other_host,
    report_own_cookie,
    report_read_late,
    report_unsaved,
    why_unsaved,
)
from .session import give_up, settle, take

_SET_COOKIE = (b"set-cookie", b"Set-Cookie")
_SECURE_SCHEMES = frozenset({"https", "wss"})


class Connection(Place):
    """One connection whose session is kept in its cookie."""

    # Assigned where it is opened, in SessionMiddleware: a call less, 0.1 µs.
    __slots__ = ("first_message", "headers", "set_cookie")

    first_message: Message | None  # of those that went out before the session was touched
    headers: Any  # as they came
    set_cookie: bytes | None  # what has gone to the browser: it goes again if the app starts once more

    # Not async: a coroutine more for each message would cost 0.1 µs.
    def send(self, message: Message) -> Awaitable[None]:
        """Passes ``message`` on, with the session's headers where it starts the response: the app's ``send``."""
        session = self.session
        if session._state is not None or self.scope.get(self.parts.scope_key) is not session:
            start = START_OF[message["type"]]
            if start is not None:
                owed = self._find_owed(start)
                if owed in SAVING:
                    self._save(owed)
                message = self._add_headers(message, start, owed)
        elif self.first_message is None:
            self.first_message = message
        return self.pass_on(message)

    def _find_owed(self, start: Start) -> Owed:
        session = self.session
        if self.scope.get(self.parts.scope_key) is not session:
            self.take_replacement()
        state = session._state
        if state is None:
            return "nothing"
        record = session._record
        return decide(
            state == "changed" or (state == "lent" and session._is_changed()),
            not session and session._wishes.end(record),
            record.payload is not None,
            record.due and session._wishes.prolongs,
            start == "response" or accept_takes_headers(self.scope),
            record.rejected == "cross-site",
        )

    def _add_headers(self, message: Message, start: Start, owed: Owed) -> Message:
        """``message`` with the headers that it owes to the session."""
        if owed == "nothing":
            return message
        parts = self.parts
        headers = message.get("headers") or ()
        if not isinstance(headers, (list, tuple)):
            headers = list(headers)
        start_of_own = parts.cookie_start
        for name, value in headers:
            # A slice, as Daphne takes text, too.
            if name in _SET_COOKIE and value[: len(start_of_own)] == start_of_own:
                report_own_cookie(parts.keeper.session_cookie)
        set_cookies: tuple[bytes, ...] = () if self.set_cookie is None else (self.set_cookie,)
        if set_cookies and parts.keeper.domain is not None:
            set_cookies = (*self._delete_twin(parts.keeper), *set_cookies)
        if start == "response":
            vary = VARY if parts.guard is None else VARY_ON_ORIGIN
            return {**message, "headers": add_session_headers(headers, set_cookies, vary)}
        return {**message, "headers": [*headers, *((b"set-cookie", value) for value in set_cookies)]}

    def _delete_twin(self, keeper: Any) -> tuple[bytes, ...]:
        """What deletes the cookie of this host alone, where ``domain`` is set; warns where browsers don't take that.

        It goes out first: to some clients both are one cookie where the host is the domain itself.
        """
        host = find_host(self.headers)
        if host is not None and not is_within(host, keeper.domain):
            report_other_host(keeper.session_cookie, keeper.domain, host)
        twin: tuple[bytes, ...] = keeper.delete_twin(self.headers, self._is_secure())
        return twin

    def _save(self, owed: Owed) -> None:
        session, keeper = self.session, self.parts.keeper
        record, wishes = take(session)
        try:
            if owed == "delete":
                record, self.set_cookie = keeper.drop(wishes, record, self._is_secure())
            else:
                record, self.set_cookie = keeper.keep(session, wishes, record, self._is_secure())
        except Exception as error:
            give_up(session)
            self.set_cookie = None
            if owed != "renew":
                raise
            report_not_renewed(self.scope, error)  # the cookie that the browser has still serves
        else:
            settle(session, record, wishes)

    def _is_secure(self) -> bool:
        https_only = self.parts.https_only
        return self.scope.get("scheme") in _SECURE_SCHEMES if https_only is None else https_only

    def _is_cross_site(self) -> bool:
        return self.session._record.rejected == "cross-site"

    def close(self, failed: bool) -> None:
        """Warns of what has changed since the cookie went out; ``failed``: the app has raised an error."""
        try:
            if self._may_have_changed():
                self._take_late_replacement(self.scope)
                if self.session._is_changed():
                    self._report(self._why_unsaved(failed))
            self._warn_of_late_reading()
        finally:
            self._leave()

    def _why_unsaved(self, failed: bool) -> str:
        return why_unsaved(self.scope, failed, self._is_cross_site())

    def _warn_of_late_reading(self) -> None:
        """Warns where the session was first read too late for the response to say that it depends on the cookie."""
        message = self.first_message
        if message is None or self.session._state is None or START_OF[message["type"]] != "response":
            return
        headers = list(message.get("headers") or ())
        if lets_caches_share(headers) and not varies_on_cookie(headers):
            report_read_late(self.scope, show_cache_control(headers))

    def _may_have_changed(self) -> bool:
        session = self.session
        return session._state not in (None, "read") or self.scope.get(self.parts.scope_key) is not session

    def _report(self, why: str, event: UnsavedEvent = "session.unsaved") -> None:
        """Names the keys in which the session differs from what was last saved, where there are any."""
        codec, session = self.parts.keeper.codec, self.session
        record, wishes = take(session)
        keys = codec.find_changes(record.payload, session)
        is_over = not session and wishes.end(record)
        wished = [] if is_over else find_new_metadata(record.metadata, wishes.change(record.metadata))
        if wishes.renewed > wishes.ended:
            wished.append("renewal")
        if wishes.ended and record.rejected == "cross-site":
            wished.append("end")
        if keys or wished:
            report_unsaved(self.scope, keys, wished, why, event)
