"""How a session is kept from one connection to the next: what every way has, and the one whole in its cookie.

A keeper has three verbs: ``find`` turns headers into a record, ``keep`` a session's content into a new record and a
``Set-Cookie`` value, ``drop`` ends a session. Those of ``StoreKeeper`` are awaited.
"""

from __future__ import annotations

import logging
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from .cookies import MAX_COOKIE, Header, SetCookie, find_cookies
from .errors import CookieTooLargeError
from .lifetime import Lifetime
from .payload import Codec
from .record import DELETED, NO_WISHES, NOTHING, REJECTED, Metadata, Record, Rejection, Wishes
from .reporting import report_foreign_cookie, report_other_key
from .signing import BadData, BadPayload, Keyring, read_unverified, rejection_of

logger: logging.Logger = logging.getLogger("asgi_signed_session")

Kept: TypeAlias = "tuple[Record, bytes | None]"  # and the Set-Cookie value; None: none is needed
Found = TypeVar("Found", bound=Any)  # with a signed_at

_JUST_NOW = 60  # seconds


class BaseKeeper:
    """What every way to keep a session has: a cookie, keys, a form for what is kept, and an end."""

    store: Any = None  # where it is kept, if not in the cookie

    def __init__(self, cookie: SetCookie, keyring: Keyring, codec: Codec, lifetime: Lifetime) -> None:
        self.session_cookie: str = cookie.name.decode("ascii")
        self.domain: str | None = cookie.domain
        self.max_age: int | None = lifetime.max_age
        self.codec = codec
        self._cookie = cookie
        self._keyring = keyring
        self._lifetime = lifetime
        self._settled_until = lifetime.settled_until

    def report_rejected(self, reason: Rejection) -> None:
        """Logs why the cookie that came isn't used."""
        extra = {"event": "session.rejected", "reason": reason}
        logger.debug("Session cookie %r rejected: %s.", self.session_cookie, reason, extra=extra)

    def delete_twin(self, headers: Iterable[Header], secure: bool) -> tuple[bytes, ...]:
        """With a ``domain``: what deletes the cookie of this host alone, where the browser has sent both."""
        has_two = len(find_cookies(headers, self._cookie.name)) > 1
        return (self._cookie.delete_of_host(secure),) if has_two else ()

    def find_end(self, record: Record) -> int | None:
        """When the session is over that was read or saved as ``record``, in Unix seconds."""
        if record.version is not None:
            return record.version.end
        return self._lifetime.find_end(record) if record.end is None else record.end

    def find_unlike(self, other: BaseKeeper) -> list[str]:
        """The options in which two keepers of one cookie's name are unlike."""
        purpose = b"asgi-signed-session.compare"
        alike = {
            "secret_key": self._keyring.derive_keys(purpose) == other._keyring.derive_keys(purpose),
            "store": self.store is other.store,
            **{option: value == vars(other._lifetime)[option] for option, value in vars(self._lifetime).items()},
        }
        return [option for option, is_alike in alike.items() if not is_alike]

    def _in_order(self, found: Sequence[Found]) -> Sequence[Found]:
        """What was found by the cookies of a request, in the order in which it is to be tried.

        With the path "/" that is the one signed last, and of one second the one that came last: the others are of a
        time before ``domain`` was changed, and a browser sends what is older first. With another path it is the first:
        a browser sends the longest path first.
        """
        if self._cookie.path != "/":
            return found
        verified = sorted((each for each in found if each.signed_at is not None), key=attrgetter("signed_at"))
        return [*verified[::-1], *(each for each in found if each.signed_at is None)]

    def _explain(self, error: BadData, cookie: bytes) -> Rejection:
        """Why ``cookie`` can't be used; warns where it can only have been signed by another process that runs now."""
        reason = rejection_of(error)
        if reason == "bad-signature" and len(cookie) <= MAX_COOKIE:
            with suppress(BadPayload):
                _, signed_at = read_unverified(cookie)
                if abs(self._keyring.read_clock() - signed_at) <= _JUST_NOW:
                    report = report_other_key if self._keyring.signs_alike(cookie) else report_foreign_cookie
                    report(self.session_cookie)
        return reason

    def _time(self, record: Record) -> tuple[Metadata, int | None, int | None, int | None]:
        """What travels beside the data, seconds until the browser drops the cookie, until the session ends; its start.

        ``record`` is signed now.
        """
        metadata = record.metadata
        max_age = metadata.get("max_age", self.max_age)
        seconds_left = self.max_age if max_age is None else max_age
        lifetime = self._lifetime.lifetime
        if lifetime is None:
            return metadata, max_age, seconds_left, record.issued_at
        now = self._keyring.read_clock()
        issued_at = min(record.issued_at or now, now)  # the clock of the server that said it may be ahead of this one's
        until_the_end = max(1, issued_at + lifetime - now)
        seconds_left = until_the_end if seconds_left is None else min(seconds_left, until_the_end)
        return {**metadata, "iat": issued_at}, None if max_age is None else seconds_left, seconds_left, issued_at


class CookieKeeper(BaseKeeper):
    """Keeps sessions whole in their cookies."""

    def find(self, headers: Iterable[Header]) -> Record:
        """The session in the first of the cookies in ``headers`` that can be used, in their order."""
        cookies = find_cookies(headers, self._cookie.name)
        if len(cookies) < 2:  # nearly always
            return self._read(cookies[0]) if cookies else NOTHING
        found = [self._read(cookie) for cookie in cookies]
        return next((record for record in self._in_order(found) if record.rejected is None), found[0])

    def _read(self, cookie: bytes) -> Record:
        """The session in ``cookie``, or why it can't be used."""
        if len(cookie) > MAX_COOKIE:
            return REJECTED["malformed"]
        try:
            record = self.codec.read_signed(*self._keyring.verify(cookie))
        except BadData as error:
            return REJECTED[self._explain(error, cookie)]
        now = self._keyring.read_clock()
        # Fast path, nearly every session: 0.4 -> 0.2 µs.
        if not record.metadata and 0 <= now - (record.signed_at or 0) <= self._settled_until:
            return record
        verdict = self._lifetime.judge(record, now)
        if verdict == "over":
            return REJECTED["expired"]
        return record if verdict == "alive" else replace(record, due=True)

    open = find  # at the first touch

    def make_id(self) -> None:
        """``None``: the server knows of no session."""

    def keep(self, content: Mapping[str, Any], wishes: Wishes, record: Record, secure: bool) -> Kept:
        """Signs ``content``. Raises ``SessionError``."""
        if wishes is not NO_WISHES:
            record = wishes.apply_to(record)
        metadata, max_age, seconds_left, issued_at = self._time(record)
        payload = self.codec.write(content, metadata)
        set_cookie = self._cookie.write(self._keyring.sign(b2a_base64(payload, newline=False)), max_age, secure)
        if len(set_cookie) > MAX_COOKIE:
            raise self._describe_size(content, set_cookie)
        end = None if seconds_left is None else self._keyring.read_clock() + seconds_left
        return record.saved(payload, issued_at, end=end), set_cookie

    def drop(self, wishes: Wishes, record: Record, secure: bool) -> Kept:
        """Has the browser forget the session."""
        return wishes.apply_to(record).saved(DELETED), self._cookie.delete(secure)

    def _describe_size(self, content: Mapping[str, Any], set_cookie: bytes) -> CookieTooLargeError:
        size = len(set_cookie)
        attributes = size - len(set_cookie.partition(b";")[0])
        return CookieTooLargeError(
            f"session cookie {self.session_cookie!r} is {size} bytes, {attributes} of them its attributes,"
            f" {size - MAX_COOKIE} over the {MAX_COOKIE} that browsers and front ends keep; largest:"
            f" {self.codec.show_largest(content)}."
            " Store less, compress it (asgi_signed_session.serializers.Compressed), or use a store."
        )
