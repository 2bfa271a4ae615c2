"""What a cookie carries where there is a store: a random id, whose hash is the key of the session's record."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

_BYTES = 32  # more than anyone can guess (OWASP asks for 16)
_ID = re.compile(rb"[\w-]{43}", re.ASCII)  # 32 bytes as base64; data in a cookie is never of this length


def make_id() -> str:
    """One that nobody has."""
    return secrets.token_urlsafe(_BYTES)


def is_id(value: bytes) -> bool:
    """Whether ``value`` has the form of one."""
    return _ID.fullmatch(value) is not None


def key_of(session_id: str) -> str:
    """The key of the record: whoever reads the store learns no id."""
    return sha256(session_id.encode("ascii")).hexdigest()
