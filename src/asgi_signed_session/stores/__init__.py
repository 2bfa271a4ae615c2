"""Where server-side sessions live: what a store has to do, and the stores that come with the package.

Each is imported when it is asked for: ``RedisStore`` alone needs redis-py.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .store import BareStore, Store, check_store

if TYPE_CHECKING:
    from ..sessions import Sessions, StoredSession
    from .keyvalue import KeyValueStore
    from .memory import MemoryStore
    from .postgres import PostgresStore
    from .redis import RedisStore
    from .sqlalchemy import SQLAlchemyStore
    from .sqlite import SQLiteStore

__all__ = [
    "BareStore",
    "KeyValueStore",
    "MemoryStore",
    "PostgresStore",
    "RedisStore",
    "SQLAlchemyStore",
    "SQLiteStore",
    "Sessions",
    "Store",
    "StoredSession",
    "check_store",
]

_MODULES = {
    "KeyValueStore": ".keyvalue",
    "MemoryStore": ".memory",
    "PostgresStore": ".postgres",
    "RedisStore": ".redis",
    "SQLAlchemyStore": ".sqlalchemy",
    "SQLiteStore": ".sqlite",
    "Sessions": "..sessions",
    "StoredSession": "..sessions",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"{__name__} has no {name}; use one of {', '.join(_MODULES)}.", name=name)


def __dir__() -> list[str]:
    return sorted(__all__)
