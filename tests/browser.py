"""A browser for tests: drives an ASGI app by raw messages and keeps its cookies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import trio

App = Callable[[Any, Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]
Runner = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]

RUNNERS: dict[str, Runner] = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}


@dataclass
class Response:
    """Everything that an app sent on one connection."""

    messages: list[dict[str, Any]]

    @property
    def start(self) -> dict[str, Any]:
        """The message that carries the headers."""
        return next(message for message in self.messages if message["type"].endswith((".start", ".accept")))

    @property
    def headers(self) -> list[Header]:
        return [(name, value) for name, value in self.start.get("headers", ())]

    def all(self, name: bytes) -> list[bytes]:
        """The values of the headers of that name."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages if m["type"].endswith(".body"))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """Sends requests to ``app`` with the cookies that it set before, as one visitor's browser does."""

    app: App
    scheme: str = "http"
    cookies: dict[str, str] = field(default_factory=dict)
    run: Runner = RUNNERS["asyncio"]

    def get(self, path: str = "/", **scope: Any) -> Response:
        return self.request("GET", path, **scope)

    def post(self, path: str = "/", body: bytes = b"", **scope: Any) -> Response:
        return self.request("POST", path, body, **scope)

    def request(self, method: str, path: str, body: bytes = b"", **scope: Any) -> Response:
        message = {"type": "http.request", "body": body, "more_body": False}
        return self.connect({"type": "http", "method": method, "path": path, **scope}, [message])

    def websocket(self, path: str = "/", texts: Iterable[str] = (), **scope: Any) -> Response:
        """Opens a websocket, sends ``texts`` and goes away."""
        scheme = {"http": "ws", "https": "wss"}[self.scheme]
        messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        messages += [{"type": "websocket.receive", "text": text} for text in texts]
        messages += [{"type": "websocket.disconnect", "code": 1000}]
        return self.connect({"type": "websocket", "path": path, "scheme": scheme, **scope}, messages)

    def connect(self, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> Response:
        """Calls the app with ``scope``, to which what is missing is added, and keeps the cookies that come back."""
        scope.setdefault("asgi", {"version": "3.0", "spec_version": "2.4"})
        scope.setdefault("scheme", self.scheme)
        scope.setdefault("query_string", b"")
        scope.setdefault("headers", self.headers())
        response = Response([])
        pending = iter(incoming)

        async def receive() -> dict[str, Any]:
            return next(pending)

        async def send(message: dict[str, Any]) -> None:
            response.messages.append(message)

        async def main() -> None:
            await self.app(scope, receive, send)

        try:
            self.run(main)
        finally:
            self._keep_cookies(response)
        return response

    def headers(self) -> list[Header]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return [(b"host", b"testserver"), *([(b"cookie", cookies.encode())] if cookies else [])]

    def _keep_cookies(self, response: Response) -> None:
        for message in response.messages:
            for name, value in message.get("headers", ()):
                if name == b"set-cookie":
                    self._keep_cookie(value.decode("ascii"))

    def _keep_cookie(self, set_cookie: str) -> None:
        pair, *attributes = set_cookie.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
