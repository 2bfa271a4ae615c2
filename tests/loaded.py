"""Counts in a signed session, for test_load.py."""

from __future__ import annotations

import json
import os
from typing import Any

from asgi_signed_session import SessionMiddleware


async def counter(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    session = scope["session"]
    session.setdefault("name", scope["path"])
    session.setdefault("counts", []).append(os.getpid())
    answer = json.dumps({"name": session["name"], "count": len(session["counts"])}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


app = SessionMiddleware(counter, os.environ["SESSION_SECRET"])
