"""A session to a cookie value and back: for tests, scripts and other services."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from typing import Any

from .lifetime import explain_end
from .payload import Codec, Serializer
from .signing import Keyring, SecretKey, SignatureExpired


class SessionSigner:
    """Makes a cookie value from a session, and reads it: for tests, scripts and other services.

    ``secret_key`` signs and verifies, and each of ``fallbacks`` only verifies. Each is a key (``str``, ``bytes``, or an
    object with ``get_secret_value()``) or a whole ``itsdangerous.TimestampSigner``. A key's signatures are valid for
    ``session_cookie`` only. Raises ``TypeError`` or ``ValueError`` as ``SessionMiddleware`` does.
    """

    def __init__(
        self,
        secret_key: SecretKey,
        session_cookie: str = "session",
        *,
        fallbacks: Iterable[SecretKey] = (),
        serializer: Serializer = json,
    ) -> None:
        self._keyring = Keyring(secret_key, session_cookie, fallbacks)
        self._codec = Codec(serializer)

    def dumps(self, session: Mapping[str, Any]) -> str:
        """``session`` as a cookie value, signed now. Raises ``UnserializableSessionError``."""
        payload = self._codec.write(dict(session))
        return self._keyring.sign(b2a_base64(payload, newline=False)).decode("ascii")

    def loads(self, value: str | bytes, max_age: int | None = None) -> dict[str, Any]:
        """What ``dumps`` was given.

        The value has expired if it was signed more than ``max_age`` seconds ago, or longer ago than the session's own
        ``max_age`` allows, or more than 60 seconds in the future. The signer doesn't know the middleware's ``max_age``
        and ``lifetime``.

        Raises ``itsdangerous.BadSignature``, its ``SignatureExpired``, or ``BadData`` if the payload isn't a session.
        """
        value = value.encode("utf-8", "replace") if isinstance(value, str) else value
        record = self._codec.read_signed(*self._keyring.verify(value))
        ages = [age for age in (record.metadata.get("max_age"), max_age) if age is not None]
        why_over = explain_end(record, self._keyring.read_clock(), min(ages, default=None))
        if why_over is not None:
            raise SignatureExpired(why_over)
        return record.content
