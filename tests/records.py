"""A store for tests: keeps records in a dict, writes down what it is asked, and fails or waits when told to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from .conftest import KEY
from .wire import make_signer


class Records:
    """Records as they would be in a database: ``records[key]`` is the value as JSON and its time to live."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[str, int | None]] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing: set[str] = set()
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    async def get(self, key: str) -> Mapping[str, Any] | None:
        await self._ask("get", key)
        return json.loads(self.records[key][0]) if key in self.records else None

    async def put(self, key: str, value: Mapping[str, Any], *, ttl: int | None = None) -> None:
        written = json.dumps(value)
        await self._ask("put", key)
        self.records[key] = written, ttl

    async def delete(self, key: str) -> bool:
        await self._ask("delete", key)
        return self.records.pop(key, None) is not None

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
        return {key: json.loads(json.loads(value)["session"]) for key, (value, _) in self.records.items()}

    @property
    def times_to_live(self) -> list[int | None]:
        return [ttl for _, ttl in self.records.values()]


def read_id(value: str, name: str = "session", key: str = KEY) -> str:
    """The id under the signature of a cookie's value, verified by plain itsdangerous."""
    return make_signer(key, name).unsign(value).decode("ascii")


def key_of(session_id: str) -> str:
    return sha256(session_id.encode("ascii")).hexdigest()
