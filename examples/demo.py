"""One page that shows a session living: raw ASGI, no framework, no build step, JavaScript where nothing else will do.

    python examples/demo.py [--port PORT] [--store STORE] [--https --certfile FILE --keyfile FILE]

The environment holds the key as SESSION_SECRET, and older keys as SESSION_SECRET_FALLBACKS, separated by spaces.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime, timezone
from functools import partial
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from asgi_signed_session import CookieTooLargeError, Session, SessionError, SessionMiddleware
from asgi_signed_session.stores import Sessions, SQLiteStore, Store, StoredSession

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

HOST = "127.0.0.1"
PORT = 8000
COOKIE = "session"
DAY = 24 * 60 * 60  # seconds
REMEMBERED = 30 * DAY
LIFETIME = 90 * DAY
MAX_COOKIE = 4096  # bytes of name, value and attributes that get through everywhere
MAX_FORM = 64 * 1024  # bytes
MAX_NAME = 40  # characters
AT_ONCE = 6  # requests: what a browser sends to one host at a time over HTTP/1.1

Form = dict[str, str]

SESSIONS = Path(__file__).parent.parent / ".demo-sessions.db"  # of --store sqlite

IN_COOKIE = "in one signed cookie. The server keeps nothing"
IN_STORE = "on the server. The cookie carries a signed random id"

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
HTML = b"text/html; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
# No inline style or script anywhere, so the strictest policy costs nothing.
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
    b" form-action 'self'; base-uri 'none'"
)


# What a visitor can do. Each returns the path to go on to. The forms need no token: a cookie with SameSite=lax
# doesn't come with a POST from another site.


def set_name(session: Session, form: Form) -> str:
    session["name"] = form.get("name", "").strip()[:MAX_NAME]
    return "/"


def add_note(session: Session, form: Form) -> str:
    if note := form.get("note", "").strip():
        session.setdefault("notes", []).append(note)
    return "/"


def remember(session: Session, form: Form) -> str:
    session.max_age = REMEMBERED if "remember" in form else None
    return "/"


def sign_out(session: Session, _form: Form) -> str:
    session.clear()
    return "/signed-out"


ACTIONS = {"/name": set_name, "/notes": add_note, "/remember": remember, "/sign-out": sign_out}


# What they can do where there is a store, too.


async def sign_in(_sessions: Sessions, session: Session, form: Form) -> str:
    """Believe anyone: this shows a session, and no password."""
    if name := form.get("principal", "").strip()[:MAX_NAME]:
        session.principal = session["name"] = name
    return "/"


async def end_device(sessions: Sessions, session: Session, form: Form) -> str:
    """End one of the visitor's own sessions, and nobody else's."""
    if form.get("key") in {device.key for device in await list_devices(sessions, session)}:
        await sessions.end(form["key"])
    return "/"


async def end_other_devices(sessions: Sessions, session: Session, _form: Form) -> str:
    if session.principal is not None:
        await sessions.end_all(session.principal, but=session.store_key)
    return "/"


async def arrive(_sessions: Sessions, session: Session, form: Form) -> str:
    """Put a key in, and answer when the whole batch has done so: none of them sees what another has put in."""
    batch, number = form.get("batch", ""), form.get("number", "")
    if number not in map(str, range(AT_ONCE)) or len(batch) > MAX_NAME:
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    if not session:  # each would begin one, with a cookie of its own
        raise HTTPError(HTTPStatus.CONFLICT)
    session.setdefault("arrived", {})[number] = batch
    await wait_for_the_others(batch)
    return "/arrived"


ACTIONS_WITH_STORE = {
    "/sign-in": sign_in,
    "/devices/end": end_device,
    "/devices/end-others": end_other_devices,
    "/at-once": arrive,
}


class Batch:
    def __init__(self) -> None:
        self.missing = AT_ONCE
        self.complete = asyncio.Event()


batches: dict[str, Batch] = {}


async def wait_for_the_others(name: str) -> None:
    """Wait until all requests of a batch are here, or for a second."""
    batch = batches.setdefault(name, Batch())
    batch.missing -= 1
    if batch.missing == 0:
        batch.complete.set()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(batch.complete.wait(), timeout=1)
    batches.pop(name, None)


async def list_devices(sessions: Sessions | None, session: Session) -> list[StoredSession]:
    """List the sessions of whom this one belongs to."""
    if sessions is None or session.principal is None:
        return []
    return await sessions.of(session.principal)


# These read the session without counting a visit, so they set no cookie.
NOTICES = {
    "/signed-out": "Signed out. The session is empty and the browser has dropped its cookie."
    ' <a href="/">Start a new one</a>',
    "/too-large": "That does not fit: a browser keeps 4096 bytes per cookie, so the change was refused"
    " and the session is as it was.",
    "/too-much": "That does not fit: a session in the store may have 64 kB, so the change was refused"
    " and the session is as it was.",
}

# These leave it alone.
FILES = {
    "/demo.css": (Path(__file__).with_suffix(".css").read_bytes(), b"text/css; charset=utf-8"),
    "/demo.js": (Path(__file__).with_suffix(".js").read_bytes(), b"text/javascript; charset=utf-8"),
}


# The app: one callable for every type of connection.


class HTTPError(Exception):
    def __init__(self, status: HTTPStatus, *headers: Header) -> None:
        super().__init__(f"{status.value} {status.phrase}")
        self.status = status
        self.headers = headers


async def demo(sessions: Sessions | None, scope: Scope, receive: Receive, send: Send) -> None:
    """``sessions`` are those in the store, where there is one."""
    if scope["type"] == "http":
        await answer(sessions, scope, receive, send)
    elif scope["type"] == "websocket":
        await shake_hands(sessions, scope, receive, send)
    elif scope["type"] == "lifespan":
        await live(receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def answer(sessions: Sessions | None, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        check_method(sessions, scope)
        await route(sessions, scope, receive, send)
    except HTTPError as error:
        await respond(send, f"{error}\n".encode(), TEXT, *error.headers, status=error.status)
    except SessionError as error:
        # It is raised before anything is sent, so another response can go out. The browser keeps the cookie it has.
        print(error, file=sys.stderr)
        await redirect(send, "/too-large" if isinstance(error, CookieTooLargeError) else "/too-much")


def check_method(sessions: Sessions | None, scope: Scope) -> None:
    if scope["path"] in (ACTIONS if sessions is None else {**ACTIONS, **ACTIONS_WITH_STORE}):
        allowed = ["POST"]
    elif scope["path"] in {"/", *NOTICES, *FILES} or (sessions is not None and scope["path"] == "/arrived"):
        allowed = ["GET", "HEAD"]
    else:
        raise HTTPError(HTTPStatus.NOT_FOUND)
    if scope["method"] not in allowed:
        raise HTTPError(HTTPStatus.METHOD_NOT_ALLOWED, (b"allow", ", ".join(allowed).encode()))


async def route(sessions: Sessions | None, scope: Scope, receive: Receive, send: Send) -> None:
    path: str = scope["path"]
    session: Session = scope["session"]
    if path in FILES:
        await respond(send, *FILES[path])
    elif path in ACTIONS:
        form = await read_form(receive)
        await redirect(send, ACTIONS[path](session, form))
    elif sessions is not None and path in ACTIONS_WITH_STORE:
        form = await read_form(receive)
        await redirect(send, await ACTIONS_WITH_STORE[path](sessions, session, form))
    elif path == "/arrived":
        await respond(send, json.dumps(session.get("arrived", {})).encode(), JSON)
    else:
        if path == "/":
            session["visits"] = session.get("visits", 0) + 1
        devices = await list_devices(sessions, session)
        await respond(send, render_page(scope, devices, NOTICES.get(path, "")), HTML)


async def read_form(receive: Receive) -> Form:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_FORM:
            raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        more = message.get("more_body", False)
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=10))
    except ValueError:
        raise HTTPError(HTTPStatus.BAD_REQUEST) from None


async def respond(
    send: Send, body: bytes, content_type: bytes, *headers: Header, status: HTTPStatus = HTTPStatus.OK
) -> None:
    common = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})


async def redirect(send: Send, location: str) -> None:
    await respond(send, b"", TEXT, (b"location", location.encode()), status=HTTPStatus.SEE_OTHER)


async def shake_hands(sessions: Sessions | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Count the handshake before it is accepted: the answer to it carries the new cookie."""
    await receive()
    session: Session = scope["session"]
    try:
        if scope["path"] == "/ws":
            session["handshakes"] = session.get("handshakes", 0) + 1
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(session)})
            if sessions is not None:
                await watch(session, receive, send)
                return
    except SessionError as error:
        print(error, file=sys.stderr)
    await send({"type": "websocket.close"})  # where it hasn't been accepted, this refuses it


async def watch(session: Session, receive: Receive, send: Send) -> None:
    """Close the websocket when the session is ended elsewhere. Each message that comes has the store asked."""
    while (await receive())["type"] == "websocket.receive":
        await session.load()
        if session.rejected is not None:
            change = "Signed in anew" if session.rejected == "superseded" else "Signed out"
            await send({"type": "websocket.close", "reason": f"{change} elsewhere."})
            return


async def live(receive: Receive, send: Send) -> None:
    for change in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{change}.complete"})


# The page. Whatever a visitor gave goes through escape().


def render_page(scope: Scope, devices: list[StoredSession], notice: str = "") -> bytes:
    session: Session = scope["session"]
    if session.rejected == "expired" and session.store_key is not None:
        notice = notice or "Signed out elsewhere, or expired: this is a new session."
    elif session.rejected:
        notice = notice or f"The cookie that came was not used ({session.rejected}), so this is a new session."
    name = escape(session.get("name", ""))
    page = PAGE.substitute(
        render_cookie(find_cookie(scope) or "", session.store_key)
        | render_devices(devices, session.principal, session.store_key),
        notice=notice,
        name=name,
        greeting=f"Hello, {name or 'stranger'}",
        max_name=MAX_NAME,
        visits=session.get("visits", 0),
        notes=render_notes(session.get("notes", [])),
        handshakes=session.get("handshakes", 0),
        remembered="checked" if session.max_age else "",
        facts="".join(f"<div><dt>{term}</dt><dd>{fact}</dd></div>" for term, fact in list_facts(session)),
    )
    return page.encode(errors="replace")  # a cookie of anyone's making can hold half a surrogate pair


def render_notes(notes: list[str]) -> str:
    return "".join(f"<li>{escape(note)}</li>" for note in notes) or '<li class="none">Nothing yet.</li>'


def render_devices(devices: list[StoredSession], principal: str | None, this_one: str | None) -> dict[str, object]:
    return {
        "hidden_without_store": "hidden" if this_one is None else "",
        "hidden_signed_in": "" if principal is None else "hidden",
        "hidden_signed_out": "hidden" if principal is None else "",
        "principal": escape(principal or ""),
        "devices": "".join(render_device(device, device.key == this_one) for device in devices),
    }


def render_device(device: StoredSession, is_this_one: bool) -> str:
    name = device.key[:8]
    end = (
        '<form method="post" action="/devices/end">'
        f'<input type="hidden" name="key" value="{device.key}"><button aria-label="End {name}">End</button></form>'
    )
    return (
        f'<li class="device"><span><code>{name}</code> since {render_time(device.issued_at)}</span>'
        f"{'<strong>This one</strong>' if is_this_one else end}</li>"
    )


def find_cookie(scope: Scope) -> str | None:
    """Find the session cookie as it came, whether or not it verifies."""
    for header, value in scope["headers"]:
        for pair in value.decode("latin-1").split(";") if header == b"cookie" else ():
            name, _, cookie = pair.strip(" \t").partition("=")
            if name == COOKIE:
                return str(cookie)
    return None


def render_cookie(cookie: str, record: str | None) -> dict[str, object]:
    payload, _, rest = cookie.partition(".")
    timestamp, _, signature = rest.partition(".")
    return {
        "hidden_with_cookie": "hidden" if cookie else "",
        "hidden_without_cookie": "" if cookie else "hidden",
        "cookie": COOKIE,
        "payload": escape(payload),
        "timestamp": escape(timestamp),
        "signature": escape(signature),
        "place": IN_COOKIE if record is None else IN_STORE,
        "inside": escape(
            decode_payload(payload) if record is None else f"a random id; the store has the data under\n{record}"
        ),
        "size": len(COOKIE) + len(cookie),
        "max_size": MAX_COOKIE,
    }


def decode_payload(payload: str) -> str:
    """Write the payload's JSON a key a line. It takes no secret: a signed cookie is not an encrypted one."""
    try:
        content = json.loads(b64decode(payload)).items()
        lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content]
    except (ValueError, AttributeError, RecursionError):  # anyone may send anything, and this is not verified
        return "not readable"
    return "\n".join(["{", ",\n".join(lines), "}"])


def list_facts(session: Session) -> list[tuple[str, str]]:
    if session.issued_at is None or session.signed_at is None:
        return []
    expires = "when the browser closes"
    if session.max_age is not None:
        expires = render_time(session.signed_at + session.max_age)
    return [
        ("Began", render_time(session.issued_at)),
        ("Last signed", render_time(session.signed_at)),
        ("Expires", expires),
        ("At the latest", render_time(session.issued_at + LIFETIME)),
    ]


def render_time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


# The server.


def create_app(store: Store | None = None) -> SessionMiddleware:
    """For `uvicorn --factory examples.demo:create_app` too."""
    secret = os.environ.get("SESSION_SECRET")
    if not secret:
        print(
            "SESSION_SECRET is not set: signing with a random key, so sessions end with this process.",
            file=sys.stderr,
        )
        secret = secrets.token_urlsafe(32)
    fallbacks = os.environ.get("SESSION_SECRET_FALLBACKS", "").split()
    sessions = None if store is None else Sessions(store, secret, COOKIE, fallbacks=fallbacks)
    app = partial(demo, sessions)
    return SessionMiddleware(app, secret, COOKIE, max_age=None, lifetime=LIFETIME, fallbacks=fallbacks, store=store)


def open_store(where: str) -> Store:
    """Make the store that ``--store`` names."""
    kind, _, rest = where.partition(":")
    if kind == "sqlite":
        return SQLiteStore(rest or SESSIONS)
    if kind in {"redis", "rediss"}:
        from asgi_signed_session.stores import RedisStore  # needs redis-py

        return RedisStore(where)
    raise argparse.ArgumentTypeError(f"{where!r} is neither sqlite nor sqlite:FILE nor redis://HOST:PORT")


def open_socket(port: int) -> socket.socket:
    """Listen on this port or, where it is taken, on any free one: now, so that nobody takes it meanwhile."""
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return socket.create_server((HOST, 0))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A page that shows a signed session living.")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to try first (default {PORT})")
    parser.add_argument(
        "--store", type=open_store, help="keep the sessions on the server: sqlite, sqlite:FILE or redis://HOST:PORT"
    )
    parser.add_argument("--https", action="store_true", help="serve https, with --certfile and --keyfile")
    parser.add_argument("--certfile", help="certificate in PEM")
    parser.add_argument("--keyfile", help="its key in PEM")
    options = parser.parse_args()
    if options.https != bool(options.certfile and options.keyfile):
        parser.error("--https goes with both --certfile and --keyfile")
    return options


def main() -> None:
    options = parse_options()
    app = create_app(options.store)
    listener = open_socket(options.port)
    print(f"http{'s' * options.https}://{HOST}:{listener.getsockname()[1]}/  (Ctrl+C stops it)", flush=True)
    config = uvicorn.Config(
        app,
        log_level="warning",
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
        timeout_graceful_shutdown=1,  # Chromium leaves the end of some TLS connections unanswered for half a minute
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
