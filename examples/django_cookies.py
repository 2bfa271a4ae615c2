"""Reads the session cookies of Django's `signed_cookies` backend, so that nobody is logged out by the move.

    app = SessionMiddleware(app, SECRET, "sessionid", fallbacks=[DjangoCookies(DJANGO_SECRET_KEY)])

A session is signed anew, as one of ours, when it is next accessed; take the fallback out after `max_age`, which is
14 days here and there (`SESSION_COOKIE_AGE`). `session_cookie`, `domain` and `path` must be what Django had, or there
will be two cookies. Django's keys come along: `_auth_user_id` is the user's; `_session_expiry` has no effect.

What can't be read: sessions that Django keeps on the server (its default), whose cookie is only their key; and those
of a `SESSION_SERIALIZER` that doesn't write JSON, which count as malformed and are never unpickled.
"""

import zlib
from base64 import b64encode
from datetime import datetime, timezone
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from itsdangerous import Signer, TimestampSigner
from itsdangerous.encoding import base64_decode

BASE62 = (digits + ascii_uppercase + ascii_lowercase).encode("ascii")
SALT = "django.contrib.sessions.backends.signed_cookies" + "signer"


class DjangoCookies(TimestampSigner):
    """Verifies what Django signed; for `fallbacks` only."""

    def __init__(self, secret_key: str | bytes) -> None:
        super().__init__(secret_key, salt=SALT, sep=":", key_derivation="concat", digest_method=sha256)

    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False) -> Any:
        """What Django signed, as standard base64; `max_age` is the middleware's to check."""
        value, _, timestamp = Signer.unsign(self, signed_value).rpartition(b":")
        packed = base64_decode(value.removeprefix(b"."))
        payload = b64encode(zlib.decompress(packed) if value.startswith(b".") else packed)
        return (payload, read_time(timestamp)) if return_timestamp else payload


def read_time(timestamp: bytes) -> datetime:
    """The moment that Django writes as seconds in base 62."""
    seconds = 0
    for digit in timestamp:
        seconds = seconds * 62 + BASE62.index(digit)
    return datetime.fromtimestamp(seconds, timezone.utc)
