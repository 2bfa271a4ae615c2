"""What the tests of the stores share: keys, records, all checks at once, and the least ``KeyValueStore`` there is."""

from __future__ import annotations

import asyncio
import secrets
import time
from hashlib import sha256
from typing import Any

from asgi_signed_session.stores.conformance import CHECKS


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


async def check_all(store: Any) -> None:
    """The checks at once, but for those that count seconds, which come after the others and so aren't kept waiting."""
    timed = [check for check in CHECKS if "_wait_for_a_record_of_a_second_to_go" in check.__code__.co_names]
    failed: dict[str, Any] = {}
    for checks in ([check for check in CHECKS if check not in timed], timed):
        answers = await asyncio.gather(*(check(store) for check in checks), return_exceptions=True)
        failed |= {check.__name__: answer for check, answer in zip(checks, answers, strict=True) if answer is not None}
    assert failed == {}
    assert len(timed) == 3
