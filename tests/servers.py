"""Real servers for tests: each a process of its own, with a real HTTP client and a real websocket client."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from .daemons import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parent.parent


class Server:
    """A server process and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""
        self.said = ""
        self._changed = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.said += line
                self._changed.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Wait until it has printed ``pattern``, and return what its first group matched."""

        def is_over() -> bool:
            return re.search(pattern, self.said) is not None or not self._reader.is_alive()

        with self._changed:
            self._changed.wait_for(is_over, DEADLINE)
        found = re.search(pattern, self.said)
        assert found is not None, f"{pattern!r} is not in what it printed: {self.said}"
        return found[1]

    def wait_until_it_accepts(self) -> None:
        """Wait for those that say where they listen before they do."""
        host, port = self.url.rpartition("/")[2].split(":")
        end = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection((host, int(port)), DEADLINE).close()
            except ConnectionRefusedError:
                assert time.monotonic() < end, f"nobody listens at {self.url}: {self.said}"
                Event().wait(0.02)
            else:
                return

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait(DEADLINE)
            self._reader.join(DEADLINE)


@contextmanager
def started(*command: str, **environment: str) -> Generator[Server]:
    """Run a program, and stop it in the end."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        server = Server(process)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running(*arguments: str, listens: str = r"(https?://127\.0\.0\.1:\d+)", **environment: str) -> Generator[Server]:
    """Run a Python program, from when it has said where it listens, which the first group of ``listens`` finds."""
    with started(sys.executable, *arguments, **environment) as server:
        found = server.wait_for(listens)
        server.url = found if found.startswith("http") else f"http://{found}"
        server.wait_until_it_accepts()
        yield server


def browse(server: Server, cookie: str | None = None) -> httpx.Client:
    """Make a client that keeps cookies, as a browser does, and asks no proxy."""
    client = httpx.Client(base_url=server.url, timeout=DEADLINE, trust_env=False)
    if cookie is not None:
        keep(client, cookie)
    return client


def keep(client: httpx.Client, cookie: str) -> None:
    client.cookies.set("session", cookie, domain="127.0.0.1", path="/")


class Handshake(NamedTuple):
    """How a websocket's handshake was answered, and the first message after it."""

    status: int
    set_cookie: list[str]
    message: Any


def shake_hands(
    client: httpx.Client,
    path: str = "/ws",
    tls: ssl.SSLContext | None = None,
    *,
    leaves: bool = False,
    origin: Any = None,
) -> Handshake:
    """Open a websocket with the client's cookies, and keep those that its handshake sets.

    The app is to close it, unless the client ``leaves``: where both close at one moment, all of hypercorn on trio ends
    with a BusyResourceError.
    """
    url = str(client.base_url.copy_with(scheme="ws" if tls is None else "wss", path=path))
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    try:
        with connect(
            url, additional_headers=cookies, open_timeout=DEADLINE, proxy=None, ssl=tls, origin=origin
        ) as websocket:
            assert websocket.response is not None
            handshake = Handshake(
                websocket.response.status_code,
                websocket.response.headers.get_all("set-cookie"),
                json.loads(websocket.recv(timeout=DEADLINE)),
            )
            with suppress(ConnectionClosed):
                while not leaves:
                    websocket.recv(timeout=DEADLINE)
    except InvalidStatus as refusal:
        response = refusal.response
        handshake = Handshake(
            response.status_code, response.headers.get_all("set-cookie"), (response.body or b"").decode()
        )
    for line in handshake.set_cookie:
        keep(client, line.partition(";")[0].removeprefix("session="))
    return handshake
