"""What a signed session costs at least: no options, no checks, only what no implementation in Python can avoid.

One wrapped ``send``, and on access: find the cookie, one HMAC, base64, JSON, each in the cheapest form known. No age
check, no fallbacks, no nested changes, no websocket writes: this isn't something to use. What another middleware costs
above it, that one has to explain.
"""

import hmac
import time
from _json import make_encoder
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from hashlib import sha256
from json.decoder import JSONDecoder
from json.encoder import encode_basestring
from typing import Any

from benchmarks.asgi import App, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

VARY = (b"vary", b"Cookie")
URL_SAFE = bytes.maketrans(b"+/", b"-_")
TIMESTAMP = 7  # characters, with its dot

# The C halves of json.loads and json.dumps, at half their price; neither is in the stubs as it is.
decoder: Any = JSONDecoder()
scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
make: Any = make_encoder
encode: Callable[[dict[str, Any], int], tuple[str, ...]] = make(
    None, None, encode_basestring, None, ":", ",", False, False, True
)


class LimitSession(dict[str, Any]):
    """A dict that is filled by ``mark_accessed``, which every app here calls first."""

    __slots__ = ("accessed", "headers", "modified", "read")
    read: Callable[[Headers], dict[str, Any]]
    headers: Headers

    def mark_accessed(self) -> None:
        self.accessed = True
        self.update(self.read(self.headers))

    def __setitem__(self, key: str, value: Any) -> None:
        self.modified = True
        super().__setitem__(key, value)

    def clear(self) -> None:
        self.modified = True
        super().clear()


class LimitMiddleware:
    def __init__(self, app: App, key: str) -> None:
        self.app = app
        block = key.encode().ljust(64, b"\0")
        # HMAC by hand (RFC 2104): two hashes copied cost 0.8 µs, hmac's object 1.4.
        self.inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self.outer = sha256(bytes(byte ^ 0x5C for byte in block))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["session"] = LimitSession()
        session.accessed = session.modified = False
        session.headers = scope["headers"]
        session.read = self.read

        async def send_with_session(message: Message) -> None:
            if session.accessed and message["type"] == "http.response.start":
                message["headers"].append(VARY)
                if session.modified:
                    message["headers"].append((b"set-cookie", self.write(session)))
            await send(message)

        await self.app(scope, receive, send_with_session)

    def signature(self, value: bytes) -> bytes:
        inner = self.inner.copy()
        inner.update(value)
        outer = self.outer.copy()
        outer.update(inner.digest())
        return b2a_base64(outer.digest(), newline=False).translate(URL_SAFE)

    def read(self, headers: Headers) -> dict[str, Any]:
        for name, value in headers:
            if name == b"cookie":
                _, _, rest = value.partition(b"session=")
                signed, _, signature = rest.partition(b";")[0].rpartition(b".")
                if hmac.compare_digest(signature, self.signature(signed)):
                    payload: dict[str, Any] = scan(a2b_base64(signed[:-TIMESTAMP]).decode(), 0)[0]
                    return payload
        return {}

    def write(self, session: LimitSession) -> bytes:
        payload = b2a_base64("".join(encode(session, 0)).encode(), newline=False)
        timestamp = b2a_base64(int(time.time()).to_bytes(4, "big"), newline=False)[:-2].translate(URL_SAFE)
        signed = payload + b"." + timestamp
        attributes = b"; path=/; Max-Age=1209600; httponly; samesite=lax; secure"
        return b"session=" + signed + b"." + self.signature(signed) + attributes
