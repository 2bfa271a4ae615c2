"""What a scope and its messages say, whatever the type of the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from asgiref.typing import ASGI3Application

from .wording import name_of

# Frameworks give scopes and messages types of their own, none of which is another's.
App: TypeAlias = "ASGI3Application | Callable[[Any, Any, Any], Awaitable[None]]"
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = Mapping[str, Any]
Start = Literal["response", "accept"]

_ALWAYS_A_SESSION = ("http", "websocket")  # even where their scopes have no headers
_STARTS: dict[str, Start] = {".response.start": "response", ".accept": "accept"}
_ENDS = (".response.body", ".response.pathsend", ".response.zerocopysend", ".close")


class _Starts(dict[str, "Start | None"]):
    """What carries a response's headers, by the type of message: its end tells."""

    def __missing__(self, message_type: str) -> Start | None:
        for end, start in _STARTS.items():
            if message_type.endswith(end):
                return start
        return None


# ``None``: it carries none. Those of nearly every connection stand here, as a look-up costs half of ``endswith``.
START_OF = _Starts(
    {
        "http.response.start": "response",
        "http.response.body": None,
        "websocket.accept": "accept",
        "websocket.send": None,
    }
)


def check_app(app: App) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """``app`` as it is. Raises ``TypeError`` unless it can be called."""
    if callable(app):
        return app
    kind = name_of(type(app))
    raise TypeError(f"app must be an ASGI app, not a {kind}; write SessionMiddleware(app, secret_key).")


def is_end(message: Message) -> bool:
    """Whether the response ends with ``message``: no more body follows."""
    ends: bool = message["type"].endswith(_ENDS)
    return ends and not message.get("more_body")


def accept_takes_headers(scope: Scope) -> bool:
    """Whether the server sends the headers of an accept: for websockets, since version 2.1 of the specification."""
    if scope["type"] != "websocket" or "asgi" not in scope:  # a server must give "asgi"; a test client may not
        return True
    with suppress(ValueError):
        return tuple(map(int, str(scope["asgi"].get("spec_version", "2.0")).split("."))) >= (2, 1)
    return True


def keep_headers(scope: Scope) -> Sequence[tuple[bytes, bytes]] | None:
    """The scope's headers for us and the app alike: the first reader of an iterator would use it up.

    ``None``: no connection that may have a session.
    """
    headers: Iterable[tuple[bytes, bytes]] | None = scope.get("headers")
    if not headers:
        return None if headers is None and scope["type"] not in _ALWAYS_A_SESSION else ()
    if isinstance(headers, (list, tuple)):
        return headers
    kept = scope["headers"] = list(headers)
    return kept


def find_host(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The name in the Host header, without the port; ``None`` where there is none, or no name in it."""
    for name, value in headers:
        if name.lower() == b"host":
            host, colon, port = value.rpartition(b":")
            has_port = colon and (not port or port.isdigit())
            return (host if has_port else value).decode("latin-1") or None
    return None
