"""What the tests of the stores share: keys, records, and the least that a ``KeyValueStore`` can be made of."""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import Any


def make_key() -> str:
    return secrets.token_hex(32)


def make_record(body: bytes) -> bytes:
    return sha256(body).digest() + body


OLD, NEW, OTHER = (make_record(body) for body in (b"old", b"new", b"other"))


class Bare:
    """Three methods over a dict."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[dict[str, Any], float]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        value, end = self.values.get(key, (None, 0.0))
        return value if end > time.time() else None

    async def put(self, key: str, value: dict[str, Any], *, ttl: int | None) -> None:
        self.values[key] = value, time.time() + (float("inf") if ttl is None else ttl)

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)
