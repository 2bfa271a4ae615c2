"""Responses that go on after their start, for test_streaming.py."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from asgi_signed_session import SessionMiddleware

from .backends import open_store


async def stream(request: Request) -> StreamingResponse:
    request.session["started"] = True
    return StreamingResponse(change_between(request, "one\n", "two\n"))


async def events(request: Request) -> StreamingResponse:
    request.session["started"] = True
    chunks = change_between(request, "data: one\n\n", "data: two\n\n")
    return StreamingResponse(chunks, media_type="text/event-stream")


async def change_between(request: Request, *chunks: str) -> AsyncIterator[str]:
    for number, chunk in enumerate(chunks):
        yield chunk
        request.session["sent"] = number + 1


async def background(request: Request) -> PlainTextResponse:
    request.session["started"] = True

    async def change() -> None:
        request.session["done"] = True

    return PlainTextResponse("started\n", background=BackgroundTask(change))


async def show(request: Request) -> PlainTextResponse:
    return PlainTextResponse(repr(dict(request.session)))


store = open_store(os.environ["STORE"]) if "STORE" in os.environ else None
app = Starlette(
    routes=[Route("/", show), Route("/stream", stream), Route("/events", events), Route("/background", background)],
    middleware=[Middleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"], store=store)],
)
