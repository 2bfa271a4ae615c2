"""Every message of the package, each really caused: ``python -m tests.messages`` prints them."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import logging
import pickle
import sys
import warnings
import zlib
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import httpx
import pytest
import time_machine
from itsdangerous import NoneAlgorithm, Signer, TimestampSigner

import asgi_signed_session
from asgi_signed_session import Session, SessionMiddleware, SessionSigner, reporting, serializers, stores
from asgi_signed_session.__main__ import main as command_line
from asgi_signed_session.testing import give_session

from .apps import app_that, visit
from .browser import Browser
from .conftest import KEY, NOW
from .records import Records
from .wire import make_signer, sign, sign_payload

PACKAGE = Path(asgi_signed_session.__file__).parent

VALUE = "earl grey"  # in the sessions below
SECRETS = (KEY, VALUE, "hidden-key", "password")

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


class Site(NamedTuple):
    """A statement that raises, warns or logs."""

    module: str
    line: int


class Message(NamedTuple):
    """What a site said; ``is_seen`` is false for an exception that the package itself catches."""

    site: Site
    kind: str
    text: str
    is_seen: bool = True
    extra: dict[str, Any] = {}  # noqa: RUF012  # never written to


# The places that can say something


def find_sites() -> dict[Site, range]:
    """The lines of every statement of the package that raises, warns or logs; a bare ``raise`` says nothing."""
    return {
        Site(path.stem, node.lineno): range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for path in PACKAGE.rglob("*.py")
        # The checks of the one are tried against broken stores; the others need what their names say.
        if path.stem != "conformance" and (path.stem != "sqlalchemy" or find_spec("sqlalchemy"))
        if path.stem != "serializers" or find_spec("cryptography")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Raise) and node.exc is not None) or (isinstance(node, ast.Call) and _says(node.func))
    }


def _says(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and (
        ast.unparse(function) == "warnings.warn"
        or (ast.unparse(function.value) == "logger" and function.attr in LEVELS)
    )


# What is said


class Listener(logging.Handler):
    """Writes down what is raised, caught or not, what is warned of and what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self._sites = find_sites()
        self._heard: list[BaseException] = []

    def _find_site(self, filename: str, line: int) -> Site | None:
        if PACKAGE in Path(filename).parents:
            for site, lines in self._sites.items():
                if site.module == Path(filename).stem and line in lines:
                    return site
        return None

    def listen(self, cause: Callable[[], object]) -> list[Message]:
        """What ``cause`` has the package say."""
        first = len(self.messages)
        before = sys.gettrace()
        escaped: Exception | None = None
        sys.settrace(self._trace)
        try:
            cause()
        except Exception as error:  # of any kind: all are messages
            escaped = error
        finally:
            sys.settrace(before)
        heard = self.messages[first:]
        if escaped is not None:
            heard = [message._replace(is_seen=message.is_seen or message.text == str(escaped)) for message in heard]
        self.messages[first:] = heard
        return heard

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "exception" and argument[1] not in self._heard:
            site = self._find_site(frame.f_code.co_filename, frame.f_lineno)
            if site is not None:
                self._heard.append(argument[1])
                kind = argument[0].__name__
                # The command line prints it.
                self.messages.append(Message(site, kind, str(argument[1]), is_seen=kind == "UsageError"))
        return self._trace if PACKAGE in Path(frame.f_code.co_filename).parents else None

    def emit(self, record: logging.LogRecord) -> None:
        site = self._find_site(record.pathname, record.lineno)
        assert site is not None
        extra = {name: value for name, value in vars(record).items() if name not in vars(logging.makeLogRecord({}))}
        extra.pop("message", None)
        self.messages.append(Message(site, record.levelname, record.getMessage(), extra=extra))

    def show_warning(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        """In place of ``warnings.showwarning``; the place that it is told is the user's, not ours."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            site = self._find_site(frame.f_code.co_filename, frame.f_lineno)
            if site is not None:
                self.messages.append(Message(site, category.__name__, str(message)))
                return
            frame = frame.f_back


def collect() -> dict[str, list[Message]]:
    """What each of the causes has the package say."""
    listener = Listener()
    reporting._said.clear()  # what is said once a process
    logger = logging.getLogger("asgi_signed_session")
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = listener.show_warning
            return {name: _listen(listener, cause) for name, cause in CAUSES.items()}
    finally:
        logger.setLevel(level)
        logger.removeHandler(listener)


def _listen(listener: Listener, cause: Callable[[], object]) -> list[Message]:
    with time_machine.travel(NOW, tick=False):
        return listener.listen(cause)


# The causes: options that can't work


def build(**options: Any) -> Callable[[], object]:
    arguments: dict[str, Any] = {"app": visit, "secret_key": KEY, **options}
    return lambda: SessionMiddleware(**arguments)


CAUSES: dict[str, Callable[[], object]] = {
    "app that isn't one": build(app=None),
    "arguments the wrong way round": build(app=KEY, secret_key=visit),
    "cookie name of another type": build(session_cookie=None),
    "cookie name with a space": build(session_cookie="my session"),
    "signer for a cookie of no name": lambda: SessionSigner(KEY, ""),
    "path of another type": build(path=None),
    "path with a semicolon": build(path="/a;b"),
    "domain of another type": build(domain=1),
    "domain with a scheme": build(domain="https://example.com"),
    "same_site that is none": build(same_site="sometimes"),
    "https_only of another type": build(https_only="yes"),
    "partitioned of another type": build(partitioned=None),
    "same_site none without https_only": build(same_site="none"),
    "partitioned without https_only": build(partitioned=True),
    "__Host- without https_only": build(session_cookie="__Host-session"),
    "__Host- with a domain": build(session_cookie="__Host-session", https_only=True, domain="example.com"),
    "__Host- with a path": build(session_cookie="__Host-session", https_only=True, path="/app"),
    "max_age as text": build(max_age="60"),
    "max_age of zero": build(max_age=0),
    "max_age of half a second": build(max_age=timedelta(seconds=0.5)),
    "refresh_after beyond max_age": build(refresh_after=60, max_age=60),
    "scope_key that is empty": build(scope_key=""),
    "trusted origins that are text": build(trusted_origins="https://app.example.com"),
    "trusted origin of another type": build(trusted_origins=[443]),
    "trusted origin with a path": build(trusted_origins=["https://app.example.com/login"]),
    "serializer that isn't one": build(serializer=KEY),
    "serializer that runs code": build(serializer=pickle),
    "store that is a URL": build(store="redis://:password@localhost"),
    "store that is a class": build(store=Records),
    "autoload of another type": build(autoload=None),
    "on_store_error that is none": build(on_store_error="ignore"),
    "max_size of zero": build(max_size=0),
    "max_age of a thousand years": build(max_age=timedelta(days=365_000)),
    "key that is None": build(secret_key=None),
    "key that is a list": build(secret_key=[KEY]),
    "key of another type": build(secret_key=1),
    "key with half a surrogate pair": build(secret_key="hidden-key hidden-key \ud800"),
    "key that is empty": build(secret_key=" "),
    "key that is stars": build(secret_key="**********"),
    "key that nobody has filled in": build(secret_key="${SECRET}"),
    "key that is guessed first": build(secret_key="my-super-secret-key"),
    "key of samples": build(secret_key="change-me-in-production"),
    "key of another framework's documentation": build(secret_key=b'_5#y2L"F4Q8z\n\xec]/'),
    "fallback of samples": build(fallbacks=["change-me-in-production"]),
    "older key of a signer that nobody has filled in": build(secret_key=TimestampSigner(["${SECRET}", KEY])),
    "key that Django has made for development": build(secret_key="django-insecure-and then hidden-key"),
    "key of two characters": build(secret_key="ab" * 10),
    "key with a line's end": build(secret_key=KEY + "\n"),
    "key that is short": build(secret_key="hidden-key"),
    "fallback that is short": build(fallbacks=["hidden-key"]),
    "fallbacks that are text": build(fallbacks=KEY),
    "signer without keys": build(secret_key=TimestampSigner([])),
    "signer that signs nothing": build(secret_key=TimestampSigner(KEY, algorithm=NoneAlgorithm())),
    "signer with a semicolon": build(secret_key=TimestampSigner(KEY, sep=";")),
    "signer with dashes": build(secret_key=TimestampSigner(KEY, sep="--")),
    "signer without time": build(secret_key=Signer(KEY)),
    "fallback without time": build(fallbacks=[Signer(KEY)]),
    "session.max_age as text": lambda: setattr(Session(), "max_age", "60"),
    "session.max_age of zero": lambda: setattr(Session(), "max_age", 0),
    "max_age that is set on a middleware": lambda: setattr(SessionMiddleware(visit, KEY), "max_age", 60),
    "max_age of a subclass": lambda: type("Mine", (SessionMiddleware,), {"max_age": 60}),
    "signer where there is a store": lambda: SessionMiddleware(visit, KEY, store=Records()).signer,
}


# What can't be saved


def put(value: Any, key: Any = "tea") -> Callable[[Any], Any]:
    return lambda scope: scope["session"].update({key: value})


def visit_that(
    act: Callable[[Any], Any], *, late: Callable[[Any], Any] | None = None, **options: Any
) -> Callable[[], object]:
    """A request whose app calls ``act``, and ``late`` once the cookie has gone out."""
    return lambda: Browser(SessionMiddleware(app_that(act, late=late), KEY, **options)).get("/cart")


def nothing(scope: Any) -> None:
    """Leaves the session alone."""


def accept_without_headers() -> None:
    app = SessionMiddleware(app_that(put(VALUE)), KEY)
    Browser(app).websocket("/chat", asgi={"version": "3.0", "spec_version": "2.0"})


def end(act: Callable[[Records, time_machine.Traveller], object], *, late: bool) -> Callable[[], object]:
    """A request during which its session, in a store, is over; the app changes it afterwards."""

    def cause() -> None:
        store = Records()
        with time_machine.travel(NOW, tick=False) as clock:
            browser = Browser(SessionMiddleware(visit, KEY, store=store))
            browser.get("/login")

            def change(scope: Any) -> None:
                len(scope["session"])
                act(store, clock)
                put(VALUE)(scope)

            app = app_that(nothing, late=change) if late else app_that(change)
            browser.app = SessionMiddleware(app, KEY, store=store)
            browser.get("/cart")

    return cause


def renew_elsewhere(store: Records, clock: object) -> None:
    [key] = store.records
    store.write(key, {"tea": VALUE, "$session": {"renewed": NOW}}, proof=b"another proof...")


def change_both() -> None:
    end(lambda store, clock: store.write(next(iter(store.records)), {"tea": 1}), late=False)()


def come_superseded() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")
    renew_elsewhere(store, None)
    browser.app = SessionMiddleware(app_that(put(VALUE)), KEY, store=store)
    browser.get("/cart")


def late_in_store(late: Callable[[Any], Any]) -> Callable[[], object]:
    return visit_that(put(VALUE), late=late, store=Records())


def renew_without_headers() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")
    browser.app = SessionMiddleware(app_that(lambda scope: scope["session"].regenerate()), KEY, store=store)
    browser.websocket("/chat", asgi={"version": "3.0", "spec_version": "2.0"})


def put_into(session: Session) -> None:
    session["tea"] = VALUE


def unavailable(*, late: bool, act: Callable[[Session], object] = put_into) -> Callable[[], object]:
    """A change of a session that could not be read."""

    def cause() -> None:
        store = Records()
        browser = Browser(SessionMiddleware(visit, KEY, store=store))
        browser.get("/login")
        store.failing = {"get"}

        def change(scope: Any) -> None:
            act(scope["session"])

        app = app_that(nothing, late=change) if late else app_that(change)
        browser.app = SessionMiddleware(app, KEY, store=store, on_store_error="empty")
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr("asgi_signed_session.reporting._silent_until", [0.0])
            browser.get("/cart")

    return cause


def save_without_a_store() -> None:
    session = Session()
    put_into(session)
    asyncio.run(session.save())


def renew_both() -> None:
    def renew(store: Records, clock: object) -> None:
        renew_elsewhere(store, clock)

    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")

    def act(scope: Any) -> None:
        len(scope["session"])
        renew(store, None)
        scope["session"]["rotated"] = 1
        scope["session"].regenerate()

    browser.app = SessionMiddleware(app_that(act), KEY, store=store)
    browser.get("/cart")


def sign_in_often() -> None:
    store = stores.MemoryStore()
    app = SessionMiddleware(app_that(lambda scope: setattr(scope["session"], "principal", "42")), KEY, store=store)
    for _ in range(101):
        Browser(app).get()


def sign_out_beside_a_sign_in() -> None:
    store = Records()
    sessions = stores.Sessions(store, KEY)

    async def sign_out() -> None:
        if store.methods == ["get", "swap", "swap"]:
            store.before.clear()
            await sessions.end_all("42")

    store.before["swap"] = sign_out

    def act(scope: Any) -> None:
        scope["session"].principal = "42"
        put(VALUE)(scope)

    Browser(SessionMiddleware(app_that(act), KEY, store=store)).get("/cart")


def fail_twice() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        put(VALUE)(scope)
        store.failing = {"swap"}
        raise ZeroDivisionError

    browser.app = SessionMiddleware(app, KEY, store=store)
    with contextlib.suppress(ZeroDivisionError):
        browser.get("/cart")


class FakePool:
    """As far as a store can see, one of asyncpg's."""

    def acquire(self) -> None: ...

    async def fetchval(self, *arguments: Any) -> None: ...


class Refusing(Records):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        return await super().get(key) or b"another"


def refuse_swaps() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    browser.get("/login")
    refusing = Refusing()
    refusing.records = store.records
    browser.app = SessionMiddleware(app_that(put(VALUE)), KEY, store=refusing)
    browser.get("/cart")


def fail_to_renew() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, "an old key of more than 16 bytes", store=store))
    browser.get("/login")
    store.failing.add("swap")
    browser.app = SessionMiddleware(visit, KEY, fallbacks=["an old key of more than 16 bytes"], store=store)
    browser.get("/whoami")


def read_cookie(value: str) -> None:
    Browser(SessionMiddleware(visit, KEY), cookies={"session": value}).get("/whoami")


def change_after_the_end() -> None:
    kept: list[Any] = []
    Browser(SessionMiddleware(app_that(lambda scope: kept.append(scope["session"])), KEY)).get()
    kept[0]["tea"] = VALUE


def load_too_late() -> None:
    sessions: list[Session] = []
    app = app_that(lambda scope: sessions.append(scope["session"]))
    Browser(SessionMiddleware(app, KEY, store=Records(), autoload=False)).get("/cart")
    asyncio.run(sessions[0].load())


def sign_in_with_two_keys() -> None:
    store = Records()
    for key in ("an old key of more than 16 bytes", KEY):
        app = app_that(lambda scope: setattr(scope["session"], "principal", "42"))
        Browser(SessionMiddleware(app, key, store=store)).get("/cart")


class Theirs(dict[str, Any]):
    """The session of another middleware."""


def fail_after_a_change() -> None:
    def act(scope: Any) -> None:
        put(VALUE)(scope)
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        visit_that(act)()


CAUSES.update(
    {
        "cookie over 4096 bytes": visit_that(put(VALUE * 500)),
        "value that isn't JSON": visit_that(put([datetime(2027, 1, 1, tzinfo=timezone.utc)])),
        "key that isn't JSON": visit_that(put(VALUE, key=(1, 2))),
        "key that is reserved": visit_that(put(VALUE, key="$session")),
        "session replaced by a list": visit_that(lambda scope: scope.update(session=[VALUE])),
        "session replaced by a list, late": visit_that(nothing, late=lambda scope: scope.update(session=[VALUE])),
        "change after the cookie went out": visit_that(nothing, late=put(VALUE)),
        "max_age after the cookie went out": visit_that(
            put(VALUE), late=lambda scope: setattr(scope["session"], "max_age", 60)
        ),
        "accept on a server that sends no headers": accept_without_headers,
        "session signed out by another request": end(lambda store, clock: store.records.clear(), late=False),
        "session renewed by another request": end(renew_elsewhere, late=False),
        "session whose record is overwritten": end(
            lambda store, clock: store.records.update(dict.fromkeys(store.records, (b"junk", None))), late=False
        ),
        "session changed by another request, too": change_both,
        "cookie of before a sign-in": come_superseded,
        "renewal after the cookie went out": late_in_store(lambda scope: scope["session"].regenerate()),
        "renewal on a server that sends no headers": renew_without_headers,
        "store that refuses every swap": refuse_swaps,
        "store that refuses every swap of an index": visit_that(
            lambda scope: setattr(scope["session"], "principal", "42"), store=Refusing()
        ),
        "session over max_size": visit_that(put(VALUE * 500), store=Records(), max_size=1000),
        "store that is unavailable": unavailable(late=False),
        "store that is unavailable, late": unavailable(late=True),
        "sign-out from a store that is unavailable": unavailable(late=False, act=lambda session: session.clear()),
        "session that isn't loaded": visit_that(put(VALUE), store=Records(), autoload=False),
        "save without a store": save_without_a_store,
        "renewals at the same time": renew_both,
        "more sessions than a user may have": sign_in_often,
        "sign-out everywhere beside a sign-in": sign_out_beside_a_sign_in,
        "store that fails as the app does": fail_twice,
        "list that a server can't read": sign_in_with_two_keys,
        "principal of another type": lambda: setattr(Session(), "principal", 42),
        "principal that is empty": lambda: setattr(Session(), "principal", ""),
        "app that fails after its change": fail_after_a_change,
        "another middleware's session in place of ours": visit_that(lambda scope: scope.update(session=Theirs())),
        "another middleware's session before ours": lambda: Browser(SessionMiddleware(visit, KEY)).get(
            session=Theirs()
        ),
        "session of the same cookie inside ours": lambda: Browser(
            SessionMiddleware(SessionMiddleware(visit, KEY, max_age=60), KEY)
        ).get(),
        "load after the connection has ended": load_too_late,
        "change after the connection has ended": change_after_the_end,
        "cookie of another worker's key": lambda: read_cookie(sign({"tea": VALUE}, "another key of 16 bytes or more")),
        "cookie of other software": lambda: read_cookie(TimestampSigner(KEY).sign(VALUE).decode()),
        "cookie that the app sets by itself": lambda: Browser(
            SessionMiddleware(app_that(put(VALUE), [(b"set-cookie", b"session=1")]), KEY)
        ).get(),
        "domain of another host": lambda: Browser(
            SessionMiddleware(app_that(put(VALUE)), KEY, domain="shop.test")
        ).get(),
        "prolong that is no bool": lambda: setattr(Session(), "prolong", None),
        "renewal that the store fails at": fail_to_renew,
        "session first read in a public stream": lambda: Browser(
            SessionMiddleware(app_that(nothing, [(b"cache-control", b"public")], late=lambda s: len(s["session"])), KEY)
        ).get("/cart"),
        "session that expires during a stream": end(lambda store, clock: clock.shift(15 * 86400), late=True),
    }
)


# What a store says


def run(main: Callable[[], Coroutine[Any, Any, object]]) -> Callable[[], object]:
    return lambda: asyncio.run(main())


async def fill_memory() -> None:
    store = stores.MemoryStore(max_records=1)
    for key in "ab":
        await store.swap(key * 64, None, b"x" * 64, ttl=None)


async def lose_what_was_put() -> None:
    class Losing:
        async def get(self, key: str) -> None: ...

        async def put(self, key: str, value: Any, *, ttl: int | None) -> None: ...

        async def delete(self, key: str) -> None: ...

    await stores.KeyValueStore(Losing()).swap("a" * 64, None, b"x" * 64, ttl=None)


def make_store(name: str, *arguments: Any, **options: Any) -> Callable[[], object]:
    return lambda: getattr(stores, name)(*arguments, **options)


CAUSES.update(
    {
        "store that there is not": lambda: getattr(stores, "MongoStore"),  # noqa: B009
        "store for no records": make_store("MemoryStore", max_records=0),
        "store in memory that is full": run(fill_memory),
        "store that loses what is put into it": run(lose_what_was_put),
        "file that is none": make_store("SQLiteStore", ":memory:"),
        "Redis that is none": make_store("RedisStore", 6379),
        "Redis with a prefix that is none": make_store("RedisStore", "redis://localhost", prefix=b""),
    }
)
CAUSES["pool that is none"] = make_store("PostgresStore", "postgresql://:password@localhost")
CAUSES["table's name that is none"] = make_store("PostgresStore", FakePool(), table="a; b")
if find_spec("sqlalchemy"):
    CAUSES["engine that is none"] = make_store("SQLAlchemyStore", "mysql://:password@localhost")


# Serializers


def serialize(content: Any = None, **options: Any) -> Callable[[], object]:
    """``Encrypted``, or where ``cryptography`` is not installed what it says of that."""
    return lambda: serializers.Encrypted(**options).dumps(content or {})


def put_into_itself() -> None:
    content: dict[str, Any] = {"tea": VALUE}
    content["again"] = [content]
    serializers.Tagged().dumps(content)


class Backwards:
    """A serializer that writes what begins as a zlib stream does."""

    def dumps(self, obj: Any) -> bytes:
        return b"x" * (serializers.MAX_INFLATED + 1)

    def loads(self, payload: bytes) -> Any: ...


def inflate(packed: bytes) -> Callable[[], object]:
    return lambda: serializers.Compressed().loads(packed)


def decrypt(payload: bytes, **options: Any) -> Callable[[], object]:
    return lambda: serializers.Encrypted(keys=[KEY], **options).loads(payload)


def encrypt_without_cryptography() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
        serializers.Encrypted(keys=[KEY])


CAUSES.update(
    {
        "serializer that is a class": build(serializer=serializers.Tagged),
        "list inside itself": put_into_itself,
        "payload that can't be told from a compressed one": lambda: serializers.Compressed(Backwards()).dumps({}),
        "compressed payload that is too large": inflate(zlib.compress(bytes(serializers.MAX_INFLATED + 1))),
        "compressed payload that is cut off": inflate(zlib.compress(b"{}")[:-1]),
        "accept_plain of another type": serialize(keys=[KEY], accept_plain=None),
        "keys that are text": serialize(keys=KEY),
        "keys without a first": serialize(keys={KEY}),
        "keys that are none": serialize(keys=[]),
        "key that can't encrypt": serialize(keys=[TimestampSigner(KEY)]),
        "encryption without cryptography": encrypt_without_cryptography,
    }
)
if find_spec("cryptography"):
    CAUSES["payload that is not encrypted"] = decrypt(b'{"tea":"earl grey"}')
    CAUSES["payload of another key"] = decrypt(b"\x80" + bytes(100))


# Cookies that can't be used


def come_with(cookie: str, **options: Any) -> Callable[[], object]:
    """A request with that cookie, whose app reads its session."""
    return lambda: Browser(
        SessionMiddleware(app_that(lambda scope: len(scope["session"])), KEY, **options), cookies={"session": cookie}
    ).get("/cart")


def load(value: str, max_age: int | None = None) -> Callable[[], object]:
    return lambda: SessionSigner(KEY).loads(value, max_age)


def signed_at(moment: int, content: Any = None) -> str:
    with time_machine.travel(moment, tick=False):
        return sign(content or {"tea": VALUE})


def come_with_record(record: bytes | None) -> Callable[[], object]:
    """A request with the cookie of a session whose record in the store is that one."""

    def cause() -> None:
        store = Records()
        browser = Browser(SessionMiddleware(visit, KEY, store=store))
        browser.get("/login")
        store.records = {} if record is None else dict.fromkeys(store.records, (record, None))
        browser.get("/whoami")

    return cause


def come_from_another_site() -> None:
    Browser(SessionMiddleware(app_that(put(VALUE)), KEY, trusted_origins=())).post(
        "/cart", headers=[(b"sec-fetch-site", b"cross-site")]
    )


CAUSES.update(
    {
        "cookie of another key": come_with(sign({"tea": VALUE}, key="another key of more than sixteen bytes")),
        "cookie that is too old": come_with(signed_at(NOW - 15 * 86400)),
        "cookie of no base64": come_with(make_signer().sign("a").decode()),
        "cookie of more than base64": come_with(make_signer().sign("e3@0=").decode()),
        "cookie that begins after it was signed": come_with(sign({"$session": {"iat": NOW + 1}})),
        "request of another site": come_from_another_site,
        "cookie over its lifetime": come_with(
            signed_at(NOW - 60, {"tea": VALUE, "$session": {"iat": NOW - 7200}}), lifetime=3600
        ),
        "cookie of data where there is a store": come_with(sign({"tea": VALUE}), store=Records()),
        "cookie beyond any browser's, with a store": come_with("x" * 5000, store=Records()),
        "cookie of a session that was ended": come_with_record(None),
        "record that is no session": come_with_record(b"earl grey"),
        "value of another key": load(sign({"tea": VALUE}, key="another key of more than sixteen bytes")),
        "value that is too old": load(signed_at(NOW - 61), max_age=60),
        "value from the future": load(signed_at(NOW + 61), max_age=60),
        "value of no base64": load(make_signer().sign("a").decode()),
        "value of no JSON": load(sign_payload(VALUE.encode())),
        "value of two JSON objects": load(sign_payload(b"{}{}")),
        "value of nothing": load(sign_payload(b"")),
        "value of no object": load(sign_payload(b"[]")),
        "value of other metadata": load(sign({"$session": VALUE})),
    }
)


# The helper for tests


def give(
    app: Any = None, base_url: str = "http://testserver", content: Any = None, **options: Any
) -> Callable[[], object]:
    client = httpx.Client(base_url=base_url)
    return lambda: give_session(client, {"a": 1} if content is None else content, app=app, **options)


def wait_for_store() -> None:
    store = Records()
    store.before["swap"] = lambda: asyncio.sleep(0)
    give(SessionMiddleware(visit, KEY, store=store))()


CAUSES.update(
    {
        "session for what is no client": lambda: give_session({}, {"a": 1}, app=visit),
        "session for a client without an address": give(visit, base_url=""),
        "session for a client that doesn't say its app": give(),
        "session in an app without the middleware": give(visit),
        "session of a cookie that no middleware has": give(SessionMiddleware(visit, KEY), session_cookie="sid"),
        "session of one of two middlewares": give(
            SessionMiddleware(SessionMiddleware(visit, KEY), KEY, session_cookie="sid")
        ),
        "session that is empty": give(SessionMiddleware(visit, KEY), content={}),
        "session whose cookie the client doesn't send": give(SessionMiddleware(visit, KEY, https_only=True)),
        "session in a store that waits, without a loop": wait_for_store,
    }
)


# The command line


def call(*arguments: str, secret: str = KEY, stdin: bytes = b"") -> Callable[[], object]:
    def cause() -> None:
        with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stderr(io.StringIO()):
            monkeypatch.setenv("SESSION_SECRET", secret)
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            assert command_line(arguments) == 2

    return cause


CAUSES.update(
    {
        "sign what isn't JSON": call("sign", VALUE),
        "sign what isn't an object": call("sign", "[]"),
        "sign without a key": call("sign", "{}", secret=""),
        "sign with a key that is None": call("sign", "{}", secret="None"),
        "sign for a cookie of no name": call("sign", "{}", "--cookie="),
        "sign what is reserved": call("sign", '{"$session": {}}'),
        "inspect what isn't signed": call("inspect", VALUE),
        "inspect what isn't base64": call("inspect", "a.a.a"),
        "inspect what isn't text": call("inspect", "-", stdin=b"\xff"),
        "sessions of no store": call("sessions", "--store=postgresql://:password@localhost", "42"),
        "sessions of a store that doesn't answer": call("sessions", "--store=redis://127.0.0.1:1", "42"),
        "sessions without a key": call("sessions", "--store=redis://localhost", "42", secret=""),
        "inspect a time that is too long": call("inspect", "e30=.AAAAAAAAAAAA.x"),
    }
)


def _lines(messages: dict[str, list[Message]]) -> Iterator[str]:
    for cause, said in messages.items():
        yield cause
        for message in said:
            caught = "" if message.is_seen else ", caught"
            extra = f"  {message.extra}" if message.extra else ""
            yield f"    {message.site.module}:{message.site.line} {message.kind}{caught}: {message.text}{extra}"


def show(messages: dict[str, list[Message]]) -> str:
    """The messages as a table for people."""
    return "\n".join(_lines(messages))


if __name__ == "__main__":
    sys.stdout.write(show(collect()) + "\n")
