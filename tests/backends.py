"""Real stores for tests: in this process, on disk, and in a PostgreSQL server of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from asgi_signed_session import stores

from .daemons import DEADLINE, Daemon, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from asgi_signed_session.stores import Store


def open_store(url: str) -> Store:
    """The store that ``url`` names."""
    kind, _, rest = url.partition(":")
    if kind == "memory":
        return stores.MemoryStore()
    if kind == "sqlite":
        return stores.SQLiteStore(rest)
    if kind == "redis":
        return stores.RedisStore(url)
    raise ValueError(url)


@asynccontextmanager
async def disk_store(folder: str | Path) -> AsyncGenerator[Store]:
    """py-key-value's, closed at the end: of a connection that the garbage collector ends, SQLite warns."""
    from key_value.aio.stores.disk import DiskStore

    async with DiskStore(directory=folder) as store:
        yield stores.KeyValueStore(store)


def find_postgresql() -> Path | None:
    """The folder with Debian's newest ``initdb`` and ``postgres``, which are not on the path."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return programs[-1].parent if programs else None


class Database(Daemon):
    """A database server that may be asked at ``url``, once ``check`` succeeds where it listens before it is ready."""

    def __init__(self, command: Sequence[str], port: int, user: str | None, url: str, check: Sequence[str]) -> None:
        super().__init__(command, port, user)
        self.url = url
        self.check = check

    def start(self) -> None:
        super().start()
        end = time.monotonic() + DEADLINE
        while self.check and subprocess.run(self.check, check=False, stdout=subprocess.DEVNULL).returncode:
            assert time.monotonic() < end, f"it is still starting: {self.command}"
            Event().wait(0.02)

    def stop(self) -> None:
        """Ends it at once. PostgreSQL that is killed leaves processes behind, and can't be started again with them."""
        self.signal(signal.SIGQUIT)
        assert self.process is not None
        self.process.wait(DEADLINE)


@contextmanager
def postgresql() -> Generator[str]:
    """A PostgreSQL server's URL."""
    with postgresql_server() as server:
        yield server.url


@contextmanager
def postgresql_server() -> Generator[Database]:
    """A PostgreSQL server. It refuses to run as root, so there it runs as the user that Debian made for it."""
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
        check = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        server = Database(command, port, user, f"postgresql://tester@127.0.0.1:{port}/postgres", check)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def find_mariadb() -> str | None:
    """MariaDB's server, which Debian puts where only root looks."""
    return shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def mariadb() -> Generator[str]:
    """A MariaDB server's URL."""
    with mariadb_server() as server:
        yield server.url


@contextmanager
def mariadb_server() -> Generator[Database]:
    """A MariaDB server with an empty database ``test``. It runs as root no more than PostgreSQL does."""
    program = find_mariadb()
    assert program is not None
    user = "mysql" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if user is not None:
            shutil.chown(folder, user)
        options = ["--no-defaults", f"--datadir={folder}/data"]
        command = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user)
        port = free_port()
        options += [f"--socket={folder}/socket", f"--pid-file={folder}/pid", "--bind-address=127.0.0.1"]
        options += [f"--port={port}", "--innodb-flush-log-at-trx-commit=0"]
        server = Database([program, *options], port, user, f"mysql://root@127.0.0.1:{port}/test", [])
        server.start()
        try:
            yield server
        finally:
            server.kill()
