"""What a cookie carries where there is a store: 22 characters that locate the record, 21 that prove its generation.

A new generation of a session has another proof under the same locator. Whoever reads the store learns neither: the
record's key is a hash of the one, and the record holds a hash of the other.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import NamedTuple

_LOCATOR = 22  # characters of base64: 16 random bytes, more than anyone can guess (OWASP asks for 8)
_PROOF = 21
_ID = re.compile(rb"[\w-]{43}", re.ASCII)  # data in a cookie is never of this length
PROOF_HASH = 16  # bytes


class Id(NamedTuple):
    """An id, and what of it the store may know."""

    text: str
    key: str  # of the record
    proof: bytes  # hashed


def make_id(session_cookie: str) -> Id:
    """One that nobody has, of this cookie alone."""
    return read_id(session_cookie, secrets.token_urlsafe(32))


def renew_id(session_id: Id) -> Id:
    """One of the same session, of a new generation."""
    text = session_id.text[:_LOCATOR] + secrets.token_urlsafe(16)[:_PROOF]
    return Id(text, session_id.key, _hash_proof(text))


def read_id(session_cookie: str, text: str) -> Id:
    """What there is to know of an id."""
    key = sha256(f"{session_cookie}={text[:_LOCATOR]}".encode("ascii")).hexdigest()
    return Id(text, key, _hash_proof(text))


def find_id(session_cookie: str, value: bytes) -> Id | None:
    """The id that ``value`` is, if it is one."""
    return read_id(session_cookie, value.decode("ascii")) if _ID.fullmatch(value) else None


def _hash_proof(text: str) -> bytes:
    return sha256(text[_LOCATOR:].encode("ascii")).digest()[:PROOF_HASH]
