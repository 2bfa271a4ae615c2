"""Real stores for tests: in this process, on disk, and in servers that are started for the tests alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from .servers import DEADLINE, free_port

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from asgi_signed_session.stores import Store


def open_store(url: str) -> Store:
    """The store of py-key-value-aio that ``url`` names."""
    kind, _, rest = url.partition(":")
    if kind == "memory":
        from key_value.aio.stores.memory import MemoryStore

        return MemoryStore()
    if kind == "disk":
        from key_value.aio.stores.disk import DiskStore

        return DiskStore(directory=rest)
    if kind == "redis":
        from key_value.aio.stores.redis import RedisStore

        return RedisStore(url=url, default_collection="sessions")
    if kind == "postgresql":
        from key_value.aio.stores.postgresql import PostgreSQLStore

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # py-key-value: its way to name this store may change
            return PostgreSQLStore(url=url, table_name="sessions")
    raise ValueError(url)


class Daemon:
    """A database server in a folder of its own; it can be killed, stopped for a while and started again."""

    def __init__(self, command: Sequence[str], port: int, user: str | None = None) -> None:
        self.command = command
        self.port = port
        self.user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self.user
        )
        end = time.monotonic() + DEADLINE
        while True:
            assert self.process.poll() is None, f"it has ended: {self.command}"
            assert time.monotonic() < end, f"it does not answer: {self.command}"
            try:
                socket.create_connection(("127.0.0.1", self.port), DEADLINE).close()
            except ConnectionRefusedError:
                Event().wait(0.02)
            else:
                return

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(DEADLINE)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Redis(Daemon):
    """Redis that has written each change to disk before it answers."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        options = f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly yes --appendfsync always".split()
        super().__init__(["redis-server", *options, "--save", ""], port)
        self.url = f"redis://127.0.0.1:{port}"

    def client(self) -> Any:
        import redis

        return redis.Redis(port=self.port, decode_responses=True)


def has_redis() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis(folder: Path) -> Generator[Redis]:
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def find_postgresql() -> Path | None:
    """The folder with Debian's newest ``initdb`` and ``postgres``, which are not on the path."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return programs[-1].parent if programs else None


@contextmanager
def postgresql() -> Generator[str]:
    """A PostgreSQL server's URL. It refuses to run as root, so there it runs as the user that Debian made for it."""
    programs = find_postgresql()
    assert programs is not None
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if user is not None:
            shutil.chown(folder, user)
        options = ["--username=tester", "--auth=trust", "--no-sync", f"--pgdata={folder}"]
        subprocess.run([programs / "initdb", *options], check=True, stdout=subprocess.DEVNULL, user=user)
        port = free_port()
        command = [str(programs / "postgres"), "-D", folder, "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
        server = Daemon(command, port, user)
        server.start()
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            server.kill()
