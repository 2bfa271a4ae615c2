"""A store for tests: keeps records in a dict, writes down what it is asked, and fails or waits when told to."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from asgi_signed_session.sealing import Seal, Sealed
from asgi_signed_session.signing import Keyring

from .conftest import KEY
from .wire import make_signer


class Records:
    """Records as they would be in a database: ``records[key]`` is the record and its time to live."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[bytes, int | None]] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing: set[str] = set()
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    async def get(self, key: str) -> bytes | None:
        await self._ask("get", key)
        return self.records.get(key, (None, None))[0]

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        await self._ask("swap", key)
        there = self.records.get(key, (None, None))[0]
        if there != expected:
            return there or b""
        self.records[key] = record, ttl
        return None

    async def delete(self, key: str) -> None:
        await self._ask("delete", key)
        self.records.pop(key, None)

    async def _ask(self, method: str, key: str) -> None:
        self.asked.append((method, key))
        if method in self.before:
            await self.before[method]()
        if method in self.failing:
            raise ConnectionError(f"{method} failed")

    def forget(self) -> None:
        """Forgets what it was asked."""
        self.asked.clear()

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    @property
    def sessions(self) -> dict[str, Any]:
        """What each record holds."""
        return {key: read_payload(open_record(key, record).payload) for key, (record, _) in self.records.items()}

    @property
    def times_to_live(self) -> list[int | None]:
        return [ttl for _, ttl in self.records.values()]

    def write(self, key: str, content: Any, *, ttl: int | None = None, proof: bytes | None = None) -> None:
        """Another request puts ``content`` where a record is: of the same generation, unless there is a ``proof``."""
        before = open_record(key, self.records[key][0])
        end = before.end if ttl is None else int(time.time()) + ttl
        self.records[key] = close_record(key, content, proof or before.proof, end), ttl or self.records[key][1]


def read_payload(payload: bytes) -> Any:
    """What is in it, but for what tells one generation of a session from another."""
    content = json.loads(payload)
    metadata = {k: v for k, v in content.pop("$session", {}).items() if k not in ("renewed", "line")}
    return {**content, "$session": metadata} if metadata else content


def make_seal(key: str = KEY, name: str = "session") -> Seal:
    return Seal(Keyring(key, name).derive_keys(b"asgi-signed-session.record"))


def open_record(key: str, record: bytes) -> Sealed:
    """What is in a record, of whichever cookie."""
    for name in ("session", "admin", "inner", "a", "b"):
        try:
            return make_seal(name=name).open(key, record)
        except Exception:  # noqa: S112
            continue
    raise AssertionError(record)


def close_record(key: str, content: Any, proof: bytes, end: int | None = None) -> bytes:
    payload = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return make_seal().close(key, Sealed(proof, end, payload))


def read_id(value: str, name: str = "session", key: str = KEY) -> str:
    """The id under the signature of a cookie's value, verified by plain itsdangerous."""
    return make_signer(key, name).unsign(value).decode("ascii")


def key_of(session_id: str, name: str = "session") -> str:
    return sha256(f"{name}={session_id[:22]}".encode("ascii")).hexdigest()


def hash_proof(session_id: str) -> bytes:
    return sha256(session_id[22:].encode("ascii")).digest()[:16]
