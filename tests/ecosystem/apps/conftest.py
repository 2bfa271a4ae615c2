"""For the apps of this folder: a real server, and a real client that keeps cookies as a browser does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest
import uvicorn


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serves an app by uvicorn, and gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield "http://{}:{}".format(*listening.getsockname())
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))


@pytest.fixture
def visit(serve: Callable[[Any], str]) -> Iterator[Callable[[Any], httpx.Client]]:
    """Serves an app and makes its visitor."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(httpx.Client(base_url=serve(app), trust_env=False, timeout=30))
