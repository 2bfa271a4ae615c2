"""Reads the session cookies of Flask and Quart, so that nobody is logged out when their app becomes another.

    app = SessionMiddleware(app, SECRET, fallbacks=[FlaskCookies(FLASK_SECRET_KEY)], max_age=31 * 86400)

A session is signed anew, as one of ours, when it is next accessed. Flask's cookies live for 31 days
(`PERMANENT_SESSION_LIFETIME`); after that time take the fallback out. `session_cookie`, `domain` and `path` must be
what Flask had, or there will be two cookies. What JSON doesn't have, Flask marks with a tag. The tags go: a tuple
becomes a list, a UUID, a datetime and Markup their text, bytes their base64.
"""

import json
import zlib
from base64 import b64encode
from hashlib import sha1
from typing import Any

from itsdangerous import TimestampSigner
from itsdangerous.encoding import base64_decode

TAGS = (" t", " b", " m", " u", " d")  # tuple, bytes, Markup, UUID, datetime
ESCAPED = " di"  # a dict of one key that could be taken for a tag


class FlaskCookies(TimestampSigner):
    """Verifies what Flask signed; for `fallbacks` only."""

    def __init__(self, secret_key: str | bytes) -> None:
        super().__init__(secret_key, salt="cookie-session", key_derivation="hmac", digest_method=sha1)

    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False) -> Any:
        """What Flask signed, as standard base64 of plain JSON."""
        value, signed_at = super().unsign(signed_value, max_age, return_timestamp=True)
        packed = base64_decode(value.removeprefix(b"."))
        tagged = zlib.decompress(packed) if value.startswith(b".") else packed
        payload = b64encode(json.dumps(json.loads(tagged, object_hook=untag)).encode())
        return (payload, signed_at) if return_timestamp else payload


def untag(value: dict[str, Any]) -> Any:
    """The value without its tag."""
    if len(value) != 1:
        return value
    [(key, content)] = value.items()
    if key == ESCAPED:
        return {name.removesuffix("__"): escaped for name, escaped in content.items()}
    return content if key in TAGS else value
