"""What goes over the wire, made with plain itsdangerous and nothing of ours."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

from itsdangerous import TimestampSigner

from .conftest import KEY

KEPT = "path=/; Max-Age=1209600; httponly; samesite=lax"
DELETED = b"session=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"


def make_signer(key: str = KEY, name: str = "session") -> TimestampSigner:
    return TimestampSigner(key, salt=f"asgi-signed-session.{name}", digest_method=sha256, key_derivation="hmac")


def sign_payload(payload: bytes, signer: TimestampSigner | None = None) -> str:
    return (signer or make_signer()).sign(b64encode(payload)).decode()


def sign(content: Any, key: str = KEY, name: str = "session", signer: TimestampSigner | None = None) -> str:
    """The cookie value of a session with that content, signed now."""
    payload = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return sign_payload(payload, signer or make_signer(key, name))


def set_cookie(content: Any, attributes: str = KEPT, key: str = KEY, name: str = "session") -> bytes:
    """The ``Set-Cookie`` value of a session with that content, signed now."""
    return f"{name}={sign(content, key, name)}; {attributes}".encode()


def cookie(content: Any, key: str = KEY, name: str = "session") -> tuple[bytes, bytes]:
    """The ``Cookie`` header of a browser with that session, signed now."""
    return b"cookie", f"{name}={sign(content, key, name)}".encode()


def read_payload(value: bytes) -> bytes:
    """What is under the signature of a ``Set-Cookie`` value or a cookie's."""
    return b64decode(value.partition(b"=")[2].partition(b".")[0])


def read_attributes(value: bytes) -> str:
    """The attributes of a ``Set-Cookie`` value."""
    return value.partition(b"; ")[2].decode()
