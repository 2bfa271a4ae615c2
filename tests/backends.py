"""Real stores for tests: in this process, on disk, and in a PostgreSQL server of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .daemons import Daemon, free_port

if TYPE_CHECKING:
    from collections.abc import Generator

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
