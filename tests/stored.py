"""An app with a counter in its session, which is kept in the store that the environment names."""

from __future__ import annotations

import json
import os
from typing import Any

from asgi_signed_session import SessionMiddleware

from .backends import open_store


async def counter(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    answer: Any = os.getpid()
    if scope["path"] != "/pid":
        session = scope["session"]
        if scope["method"] == "POST":
            session["count"] = session.get("count", 0) + 1
        answer = session.get("count")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


app = SessionMiddleware(counter, os.environ["SESSION_SECRET"], store=open_store(os.environ["STORE"]))
