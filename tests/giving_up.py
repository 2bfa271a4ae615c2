"""A counter in a session that is given up when its visitor goes away or, on /in-time, when half a second is over."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import anyio

from asgi_signed_session import SessionMiddleware

from .backends import open_store

gate = asyncio.Event()


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


async def count(scope: Any, receive: Any, send: Any) -> None:
    """On /gate it waits between reading and writing, until another visitor opens it."""
    session = scope["session"]
    session["count"] = session.get("count", 0) + 1
    if scope["path"] == "/gate":
        say("/gate has read")
        await gate.wait()
    await answer(send, str(session["count"]))


counter = SessionMiddleware(count, os.environ["SESSION_SECRET"], store=open_store(os.environ["STORE"]))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/tasks":
        await answer(send, str(len(asyncio.all_tasks())))
    elif scope["path"] == "/open":
        gate.set()
        await answer(send, "open")
    elif scope["path"] == "/in-time":
        await end_in_time(scope, receive, send)
    else:
        await end_with_the_visitor(scope, receive, send)


async def end_in_time(scope: Any, receive: Any, send: Any) -> None:
    try:
        await asyncio.wait_for(counter(scope, receive, send), 0.5)
    except asyncio.TimeoutError:
        await answer(send, "too late", 503)


async def end_with_the_visitor(scope: Any, receive: Any, send: Any) -> None:
    async def wait_for_the_end() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()
        say(f"{scope['path']} is given up")

    say(f"{scope['path']} has begun")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_the_end)
        await counter(scope, receive, send)
        tasks.cancel_scope.cancel()


async def answer(send: Any, text: str, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
