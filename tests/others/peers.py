"""What session packages do in the same few cases: ``python -m tests.others.peers`` prints the table of the docs.

Each runs as its documentation says, with what it has by default. A request is made without a server.
"""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from benchmarks.asgi import MAX_COOKIE, Message, cookie_header, receive
from benchmarks.correctness import Browser
from benchmarks.scenarios import KEY, respond, scope_for
from benchmarks.stored import MEMORY, SQLITE, STORED, opened
from benchmarks.subjects import LITESTAR, OURS, STARLETTE, STARSESSIONS, Subject

PACKAGES = {
    "starlette": "starlette",
    "starsessions": "starsessions",
    "litestar": "litestar",
    "flask": "flask",
    "quart": "quart",
    "flask-session": "flask_session",
    "cachelib": "cachelib",
    "django": "django",
}

View = Callable[[Any, Any], None]  # of a session, and of what its package signs out by
Ask = Callable[[dict[str, str], View], "Answer"]


@dataclass(frozen=True)
class Answer:
    status: int
    set_cookie: list[str]


@dataclass
class Peer:
    name: str
    ask: Ask
    sign_out: Callable[[Any, Any], None] = lambda session, _handle: session.clear()


@dataclass
class Visitor:
    """A browser, which takes the cookies that it is sent."""

    peer: Peer
    cookies: dict[str, str] = field(default_factory=dict)

    def visit(self, view: View) -> Answer:
        answer = self.peer.ask(dict(self.cookies), view)
        self.take(answer)
        return answer

    def take(self, answer: Answer) -> None:
        browser = Browser(OURS, self.cookies)
        header = [(b"set-cookie", value.encode("latin-1")) for value in answer.set_cookie]
        browser.take([{"type": "http.response.start", "headers": header}])

    def find(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.visit(lambda session, _: found.update(dict(session)))
        return {key: value for key, value in found.items() if key[0] != "_"}


# The cases


def put(session: Any, _handle: Any) -> None:
    session["user"] = "ada"
    session["cart"] = ["tea"]


def signed_in(peer: Peer) -> Visitor:
    visitor = Visitor(peer)
    visitor.visit(put)
    return visitor


def append(session: Any, _handle: Any) -> None:
    session["cart"].append("jam")


def nested(peer: Peer) -> str:
    visitor = signed_in(peer)
    visitor.visit(append)
    return "saved" if visitor.find()["cart"] == ["tea", "jam"] else "lost"


def while_another(peer: Peer, visitor: Visitor, another: View, late: View) -> None:
    """Two requests at once: both have read the session, ``another`` is answered, then ``late`` is done."""

    def first(session: Any, handle: Any) -> None:
        len(session.keys())
        in_thread(lambda: visitor.visit(another))
        late(session, handle)

    visitor.take(peer.ask(dict(visitor.cookies), first))


def in_thread(act: Callable[[], object]) -> None:
    """Where no event loop runs yet."""
    thread = Thread(target=act)
    thread.start()
    thread.join()


def set_key(key: str) -> View:
    def view(session: Any, _handle: Any) -> None:
        session[key] = 1

    return view


def two_at_once(peer: Peer) -> str:
    visitor = signed_in(peer)
    while_another(peer, visitor, set_key("a"), set_key("b"))
    return {2: "both kept", 1: "one lost", 0: "both lost"}[len({"a", "b"} & visitor.find().keys())]


def late_after_sign_out(peer: Peer) -> str:
    visitor = signed_in(peer)
    kept = Visitor(peer, dict(visitor.cookies))
    while_another(peer, visitor, peer.sign_out, set_key("late"))
    return "signed in again" if "user" in visitor.find() or "user" in kept.find() else "signed out"


def copy_after_sign_out(peer: Peer) -> str:
    visitor = signed_in(peer)
    copied = Visitor(peer, dict(visitor.cookies))
    visitor.visit(peer.sign_out)
    return "works" if "user" in copied.find() else "void"


def leave_alone(_session: Any, _handle: Any) -> None:
    pass


def left_alone(peer: Peer) -> str:
    visitor = signed_in(peer)
    return "sent" if visitor.visit(leave_alone).set_cookie else "none"


def try_value(peer: Peer, value: object) -> Any:
    """What comes back, ``None`` where nothing does; ``Exception`` for an error."""
    visitor = signed_in(peer)
    answer = visitor.visit(lambda session, _: session.update({"value": value}))
    if answer.status >= 500:
        return Exception
    if any(len(each.partition(";")[0]) > MAX_COOKIE for each in answer.set_cookie):  # a browser drops it
        return None
    return visitor.find().get("value")


def much(peer: Peer) -> str:
    value = Random(1).randbytes(3_000).hex()  # noqa: S311  # which can't be compressed to fit
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = try_value(peer, value)
    lost = "lost, with a warning" if any("too large" in str(each.message) for each in warned) else "lost, no warning"
    return "an error" if found is Exception else "kept" if found == value else lost


def a_datetime(peer: Peer) -> str:
    found = try_value(peer, datetime(2030, 1, 2, tzinfo=timezone.utc))
    return "an error" if found is Exception else "kept" if isinstance(found, datetime) else "as text"


CASES: dict[str, Callable[[Peer], str]] = {
    "change inside a list": nested,
    "two changes at once": two_at_once,
    "late request after the sign-out": late_after_sign_out,
    "copied cookie after the sign-out": copy_after_sign_out,
    "6 kB": much,
    "a `datetime`": a_datetime,
    "cookie for an untouched page": left_alone,
}


# ASGI


def asgi_peer(name: str, subject: Subject, sign_out: Callable[[Any], None] | None = None) -> Peer:
    load = subject.loader() if subject.loader else None

    def ask(cookies: dict[str, str], view: View) -> Answer:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if load and view is not leave_alone:
                await load(scope)
            view(scope["session"], scope)
            await respond(scope, receive, send)

        scope = scope_for(subject, "http", cookies, {})
        return run_asgi(subject.wrap(app, KEY, ()), scope)

    return Peer(name, ask, lambda session, scope: sign_out(scope) if sign_out else session.clear())


def run_asgi(app: Any, scope: Any) -> Answer:
    messages: list[Message] = []

    async def record(message: Message) -> None:
        messages.append(message)

    try:
        asyncio.run(app(scope, receive, record))
    except Exception as error:
        logging.getLogger(__name__).debug("a server answers 500", exc_info=error)
        return Answer(500, [])
    start = messages[0]
    headers = [(bytes(name).lower(), bytes(value).decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], [value for name, value in headers if name == b"set-cookie"])


def quart_peer() -> Peer:
    quart: Any = import_module("quart")

    def ask(cookies: dict[str, str], view: View) -> Answer:
        app = quart.Quart("peer")
        app.secret_key = KEY

        async def account() -> str:
            view(quart.session, None)
            return ""

        app.add_url_rule("/account", view_func=account)

        async def wait() -> Any:
            if not asked:
                asked.append(True)
                return {"type": "http.request"}
            return await asyncio.Event().wait()

        asked: list[bool] = []
        scope = {**scope_for(STARLETTE, "http", cookies, {}), "extensions": {}}
        return run_asgi(lambda scope, _, send: app(scope, wait, send), scope)

    return Peer("Quart", ask)


# WSGI


def wsgi_environ(cookies: dict[str, str]) -> dict[str, Any]:
    header = cookie_header(cookies)
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/account",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        **({"HTTP_COOKIE": header[0][1].decode("latin-1")} if header else {}),
    }


def run_wsgi(app: Any, cookies: dict[str, str]) -> Answer:
    began: list[Any] = []
    body = app(wsgi_environ(cookies), lambda status, headers, *_: began.extend((status, headers)))
    list(body)
    if hasattr(body, "close"):
        body.close()
    return Answer(int(began[0].split()[0]), [value for name, value in began[1] if name.lower() == "set-cookie"])


def flask_peer(name: str, configure: Callable[[Any], None]) -> Peer:
    flask: Any = import_module("flask")

    def ask(cookies: dict[str, str], view: View) -> Answer:
        app = flask.Flask("peer")
        app.secret_key = KEY
        app.logger.disabled = True
        configure(app)

        def account() -> str:
            view(flask.session, None)
            return ""

        app.add_url_rule("/account", view_func=account)

        return run_wsgi(app, cookies)

    return Peer(name, ask)


def flask_session_peer(folder: Path) -> Peer:
    def configure(app: Any) -> None:
        cachelib: Any = import_module("cachelib")
        app.config["SESSION_TYPE"] = "cachelib"
        app.config["SESSION_CACHELIB"] = cachelib.FileSystemCache(str(folder))
        import_module("flask_session").Session(app)

    return flask_peer("Flask-Session", configure)


def django_peer(folder: Path) -> Peer:
    django: Any = import_module("django")
    views: list[View] = []

    def account(request: Any) -> Any:
        views.pop()(request.session, request.session)
        return import_module("django.http").HttpResponse("")

    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "django.db")}
    import_module("django.conf").settings.configure(
        SECRET_KEY=KEY,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=(import_module("django.urls").path("account", account),),
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        INSTALLED_APPS=["django.contrib.sessions"],
        DATABASES={"default": database},
        LOGGING_CONFIG=None,
    )
    django.setup()
    import_module("django.core.management").call_command("migrate", verbosity=0)
    handler = import_module("django.core.handlers.wsgi").WSGIHandler()

    def ask(cookies: dict[str, str], view: View) -> Answer:
        views.append(view)
        return run_wsgi(handler, cookies)

    return Peer("Django", ask, lambda session, _: session.flush())


def find_peers(stack: ExitStack) -> list[Peer]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    stores = stack.enter_context(opened({MEMORY: "", SQLITE: str(folder / "ours.db")}, STORED))
    stored = {(each.name, place): each for place, subjects in stores.items() for each in subjects}
    litestar = stored[LITESTAR.name, MEMORY]
    return [
        asgi_peer("ours, cookie", OURS),
        asgi_peer("ours, store", stored[OURS.name, SQLITE]),
        asgi_peer("Starlette", STARLETTE),
        asgi_peer("starsessions", stored[STARSESSIONS.name, MEMORY]),
        asgi_peer("Litestar, cookie", LITESTAR, LITESTAR.sign_out),
        asgi_peer("Litestar, store", litestar, litestar.sign_out),
        flask_peer("Flask", lambda app: None),
        quart_peer(),
        flask_session_peer(folder / "flask"),
        django_peer(folder),
    ]


def make_table() -> str:
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        peers = find_peers(stack)
        rows = [[peer.name, *(play(peer) for play in CASES.values())] for peer in peers]
    head = ["", *CASES]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def find_missing() -> list[str]:
    """The packages that aren't installed."""
    return [name for name, module in PACKAGES.items() if find_spec(module) is None]


def describe_versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


if __name__ == "__main__":
    print(f"{make_table()}\n\n{date.today().isoformat()}, with {describe_versions()}.")  # noqa: DTZ011
