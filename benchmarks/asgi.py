"""One ASGI connection driven by hand: no server and no event loop, so only the app and its middleware are timed."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Connection = Coroutine[Any, Any, None]
App = Callable[[Scope, Receive, Send], Connection]
Run = Callable[[Connection], None]
Cookies = Mapping[str, str]

MAX_COOKIE = 4096  # bytes of name and value a browser keeps (RFC 6265bis, 5.6)

BROWSER_HEADERS = [
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"referer", b"https://shop.example/catalogue"),
]


def make_scope(connection: str, cookies: Cookies) -> Scope:
    """A scope as uvicorn makes it, of type ``http`` or ``websocket``, from an ordinary browser."""
    own = {"method": "GET", "scheme": "https"} if connection == "http" else {"subprotocols": [], "scheme": "wss"}
    return {
        "type": connection,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 51234),
        "root_path": "",
        "path": "/account",
        "raw_path": b"/account",
        "query_string": b"",
        "headers": [*BROWSER_HEADERS, *cookie_header(cookies)],
        "state": {},
        **own,
    }


def cookie_header(cookies: Cookies) -> list[tuple[bytes, bytes]]:
    """The browser's ``cookie`` header as a list of one, or of none without cookies."""
    value = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return [(b"cookie", value.encode("latin-1"))] if cookies else []


def cookies_sent(scope: Scope) -> dict[str, str]:
    """The cookies of a scope made here."""
    value = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    return dict(pair.split("=", 1) for pair in value.split("; ") if pair)


def cookies_set(messages: Iterable[Message]) -> dict[str, str]:
    """The cookies a browser would keep from these messages."""
    headers = (header for message in messages for header in message.get("headers", ()))
    values = [bytes(value).decode("latin-1") for name, value in headers if name.lower() == b"set-cookie"]
    pairs = [value.split(";")[0].split("=", 1) for value in values]
    return {name: value for name, value in pairs if len(name) + len(value) <= MAX_COOKIE}


async def receive() -> Message:
    """The first event of a websocket; the HTTP app under test doesn't read its body."""
    return {"type": "websocket.connect"}


async def send(message: Message) -> None:
    """A server that takes no time."""


def run_at_once(connection: Connection) -> None:
    """Runs what never waits, without an event loop."""
    try:
        connection.send(None)
    except StopIteration:
        return
    raise RuntimeError("the app suspended: it can't be timed without an event loop")


def call(app: App, scope: Scope, run: Run = run_at_once) -> list[Message]:
    """The messages the app sends for one connection."""
    messages: list[Message] = []

    async def record(message: Message) -> None:
        messages.append(message)

    run(app(scope, receive, record))
    return messages
