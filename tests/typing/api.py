"""User code that is only type-checked: a checker accepts all of it but the lines that say what it must refuse.

mypy and pyright both complain of an ignore that isn't needed, so each line with one is an error, and no other is.
"""

import json
from typing import Any

import orjson
from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from key_value.aio.stores.disk import DiskStore
from key_value.aio.stores.memory import MemoryStore
from key_value.aio.stores.redis import RedisStore
from pydantic import SecretBytes, SecretStr
from quart import Quart
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.types import ASGIApp
from typing_extensions import assert_type

from asgi_signed_session import (
    CookieTooLargeError,
    Session,
    SessionError,
    SessionMiddleware,
    SessionSigner,
    UnserializableSessionError,
)
from asgi_signed_session.serializers import Compressed, Encrypted, Tagged
from asgi_signed_session.stores import BareStore, KeyValueStore, SQLiteStore, Store
from asgi_signed_session.stores import MemoryStore as OwnMemoryStore
from asgi_signed_session.stores import RedisStore as OwnRedisStore

KEY = "a key of more than sixteen bytes"


async def raw(scope: Any, receive: Any, send: Any) -> None: ...


async def typed(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None: ...


class Callable:
    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None: ...


# Every app, wrapped directly; what comes out is an app again, for every framework.
starlette, fastapi, quart = Starlette(), FastAPI(), Quart(__name__)

apps = [
    SessionMiddleware(raw, KEY),
    SessionMiddleware(typed, KEY),
    SessionMiddleware(Callable(), KEY),
    SessionMiddleware(starlette, KEY),
    SessionMiddleware(fastapi, KEY),
    SessionMiddleware(quart, KEY),
    SessionMiddleware(quart.asgi_app, KEY),
    SessionMiddleware(SessionMiddleware(raw, KEY), KEY, scope_key="admin"),
]
as_asgiref: ASGI3Application = apps[0]
as_starlette: ASGIApp = apps[0]
starlette.mount("/", apps[0])

# What it was made with.
assert_type(apps[0].signer, TimestampSigner)
assert_type(apps[0].session_cookie, str)
assert_type(apps[0].scope_key, str)
assert_type(apps[0].max_age, "int | None")
assert_type(apps[0].path, str)
assert_type(apps[0].security_flags, str)
SessionSigner(apps[0].signer)
apps[0].app = typed


class OfBoth(SessionMiddleware, StarlettesMiddleware): ...


starlette.add_middleware(OfBoth, secret_key=KEY)

# As middleware of a framework.
starlette.add_middleware(SessionMiddleware, secret_key=KEY)
starlette.add_middleware(SessionMiddleware, KEY, max_age=None, https_only=True, same_site="none")
fastapi.add_middleware(SessionMiddleware, secret_key=KEY, fallbacks=[KEY], lifetime=60)
Starlette(middleware=[Middleware(SessionMiddleware, secret_key=KEY, refresh_after=60)])

# Every key and every serializer.
SessionMiddleware(raw, b"a key of more than sixteen bytes")
SessionMiddleware(raw, SecretStr(KEY), fallbacks=[KEY, b"", SecretBytes(b""), Secret(KEY), TimestampSigner(KEY)])
SessionMiddleware(raw, SecretBytes(b""), fallbacks=(TimestampSigner(KEY),))
SessionMiddleware(raw, Secret(KEY), fallbacks={KEY})
SessionMiddleware(raw, TimestampSigner(KEY), serializer=json)
SessionMiddleware(raw, KEY, serializer=orjson)
SessionMiddleware(raw, KEY, "sid", 60, "/", "strict", False, "example.com", False)


class Serializer:
    def dumps(self, obj: Any) -> bytes:
        return orjson.dumps(obj)

    def loads(self, payload: bytes) -> Any:
        return orjson.loads(payload)


SessionMiddleware(raw, KEY, serializer=Serializer())
SessionMiddleware(raw, KEY, serializer=Tagged())
SessionMiddleware(raw, KEY, serializer=Compressed(Tagged(orjson)))
SessionSigner(
    KEY, serializer=Encrypted(Compressed(Tagged(Serializer())), keys=[KEY, SecretStr(KEY)], accept_plain=True)
)
assert_type(Encrypted(keys=(Secret(KEY),)).dumps({}), bytes)
assert_type(Tagged().loads(b""), Any)

# Every store.
SessionMiddleware(raw, KEY, store=DiskStore(directory="sessions"))
SessionMiddleware(raw, KEY, store=RedisStore(url="redis://localhost", default_collection="sessions"))
fastapi.add_middleware(SessionMiddleware, KEY, store=MemoryStore())


class OwnStore:
    async def get(self, key: str) -> dict[str, Any] | None: ...

    async def put(self, key: str, value: dict[str, Any], *, ttl: float | None = None) -> None: ...

    async def delete(self, key: str) -> None: ...


SessionMiddleware(raw, KEY, store=OwnStore())
as_bare_store: BareStore = OwnStore()


class OwnStoreOfBytes:
    async def get(self, key: str) -> bytes | None: ...

    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None: ...

    async def delete(self, key: str) -> None: ...


SessionMiddleware(raw, KEY, store=OwnStoreOfBytes())
as_store: Store = OwnStoreOfBytes()
SessionMiddleware(raw, KEY, store=SQLiteStore("sessions.db"))
SessionMiddleware(raw, KEY, store=OwnRedisStore("redis://localhost"))
SessionMiddleware(raw, KEY, store=OwnMemoryStore(max_records=100))
SessionMiddleware(raw, KEY, store=KeyValueStore(MemoryStore()))

# The session is a dict.
session = Session({"a": 1}, b=2)
as_dict: dict[str, Any] = session
assert_type(session["a"], Any)
assert_type(session.accessed, bool)
assert_type(session.modified, bool)
assert_type(session.issued_at, "int | None")
assert_type(session.signed_at, "int | None")
assert_type(session.max_age, "int | None")
assert_type(session.store_key, "str | None")
assert_type(session.principal, "str | None")
session.principal = "42"
session.principal = None
session.max_age = 60
session.max_age = None
session.regenerate()
session.mark_accessed()
session.mark_modified()
session |= {"c": 3}
if session.rejected == "expired":
    session.clear()

signer = SessionSigner(SecretStr(KEY), "sid", fallbacks=[TimestampSigner(KEY)], serializer=orjson)
assert_type(signer.dumps({"a": 1}), str)
assert_type(signer.dumps(session), str)
assert_type(signer.loads("", max_age=60), dict[str, Any])

errors: list[type[SessionError]] = [CookieTooLargeError, UnserializableSessionError]


# What must be refused.
SessionMiddleware(raw, KEY, max_ages=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
SessionMiddleware(raw, KEY, same_site="Lax")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, same_site=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, max_age="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, serializer=KEY)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, store="redis://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, store=RedisStore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, [KEY])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
apps[0].max_age = 60  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
apps[0].signer = TimestampSigner(KEY)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
apps[0].security_flags += "; partitioned"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
SessionMiddleware(lambda scope: raw, KEY)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, "sid", 60, "/", "lax", None, None, False, [KEY])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
starlette.add_middleware(SessionMiddleware, secret_key=KEY, max_ages=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fastapi.add_middleware(SessionMiddleware, KEY, same_site="Lax")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Middleware(SessionMiddleware, KEY, https_only="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(raw, KEY, serializer=Tagged)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Encrypted()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Encrypted(keys=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Encrypted(json, [KEY])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Compressed(KEY)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionSigner(KEY, max_age=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
session.max_age = "60"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
session[1] = 2  # type: ignore[index]  # pyright: ignore[reportArgumentType]
