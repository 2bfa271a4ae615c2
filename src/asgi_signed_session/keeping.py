"""How a session is kept from one connection to the next: here, whole in its cookie."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from .cookies import MAX_COOKIE, Header, SetCookie, find_cookies
from .errors import CookieTooLargeError, SessionError
from .expiry import Expiry
from .session import EMPTIED, Metadata, Rejection, Session, UnreadSession
from .signing import BadData, SessionSigner, rejection_of

logger: logging.Logger = logging.getLogger("asgi_signed_session")


class BaseKeeper:
    """What every way to keep a session has: a cookie, a signer, and an expiry."""

    def __init__(self, cookie: SetCookie, signer: SessionSigner, expiry: Expiry) -> None:
        self.session_cookie: str = cookie.name.decode("ascii")
        self.max_age: int | None = expiry.max_age
        self._cookie = cookie
        self._signer = signer
        self._expiry = expiry
        self._settled_until = expiry.settled_until

    def _reject(self, session: Session, reason: Rejection | None) -> None:
        """Makes ``session`` a new one; ``reason``: why the cookie that came was not used."""
        session._fill({}, rejected=reason)
        if reason is not None:  # once it is filled: a log filter may read the session
            extra = {"event": "session.rejected", "reason": reason}
            logger.debug("Session cookie %r rejected: %s.", self.session_cookie, reason, extra=extra)

    def _time(self, session: Session, metadata: Metadata) -> tuple[Metadata, int | None, int | None]:
        """The whole metadata if it is signed now, and seconds until the browser drops it and until the session ends."""
        max_age = metadata.get("max_age", self.max_age)
        if self._expiry.lifetime is None:
            return metadata, max_age, max_age
        now = self._signer.now()
        # From now on it has begun: with a store it may be saved once more on this connection.
        issued_at = session.issued_at = session.issued_at or now
        seconds_left = max(1, (self._expiry.find_end(metadata, now, issued_at) or 0) - now)
        return {**metadata, "iat": issued_at}, None if max_age is None else seconds_left, seconds_left


class CookieKeeper(BaseKeeper):
    """Keeps sessions whole in their cookies."""

    def load(self, session: UnreadSession, source: Iterable[Header]) -> None:
        """Fills ``session`` from the first of its cookies in the headers ``source`` that can be used."""
        rejected: Rejection | None = None
        for cookie in find_cookies(source, self._cookie.name):
            if len(cookie) > MAX_COOKIE:
                rejected = rejected or "malformed"
                continue
            try:
                content, payload, signed_at, issued_at, metadata, stale = self._signer.read(cookie)
                # Fast path, nearly every session: 0.4 -> 0.2 µs.
                if metadata or not 0 <= self._signer.now() - signed_at <= self._settled_until:
                    age = self._signer.check_age(signed_at, issued_at, metadata, self.max_age, self._expiry.lifetime)
                    stale = stale or self._expiry.is_stale(age, metadata)
            except BadData as error:
                rejected = rejected or rejection_of(error)
            else:
                session._fill(content, payload, signed_at, issued_at, metadata, stale and bool(content))
                return
        self._reject(session, rejected)

    def find_id(self, _session: Session) -> str | None:
        """``None``: the server knows of no session."""
        return None

    def save(self, session: Session, secure: bool) -> bytes | None:
        """The ``Set-Cookie`` value that keeps ``session``, or deletes it where it is empty; ``None``: none is needed.

        Raises ``SessionError``.
        """
        if not session:
            session._commit()
            if session._payload is None:  # there is no cookie to delete
                return None
            session._payload = EMPTIED
            return self._cookie.delete(secure)
        metadata, max_age, _ = self._time(session, session._metadata)
        # Before it is written: what another thread changes meanwhile is a change anew.
        session._commit()
        try:
            payload, value = self._signer.write(session, metadata)
            if len(self._cookie.name) + len(value) > MAX_COOKIE:
                if session._state == "read":  # only to be signed anew: the cookie that the browser has still serves
                    return None
                raise self._describe_size(session, value)
        except SessionError:
            session._give_up()
            raise
        session._payload = payload
        return self._cookie.write(value, max_age, secure)

    def _describe_size(self, session: Session, value: bytes) -> CookieTooLargeError:
        size = len(self._cookie.name) + len(value)
        largest = ", ".join(f"{key!r} ({_show_size(size)})" for key, size in self._signer.find_largest(session))
        return CookieTooLargeError(
            f"session cookie {self.session_cookie!r} is {size} bytes, {size - MAX_COOKIE} over the {MAX_COOKIE} a"
            f" browser keeps; largest: {largest}. Store less, or use a store."
        )


def _show_size(size: int) -> str:
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.1f} kB"
