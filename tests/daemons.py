"""Database servers, for tests and benchmarks alike: each on a free port, in a folder of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

DEADLINE = 20  # seconds for a server to say where it listens, to answer, and to stop


def free_port() -> int:
    """Find a port for a server that can't choose one itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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
    """Redis that, where it is durable, has written each change to disk before it answers."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        port = free_port()
        options = f"--port {port} --bind 127.0.0.1 --dir {folder} --appendfsync always".split()
        options += ["--appendonly", "yes" if durable else "no", "--save", ""]
        super().__init__(["redis-server", *options], port)
        self.url = f"redis://127.0.0.1:{port}"

    def client(self) -> Any:
        import redis

        return redis.Redis(port=self.port, decode_responses=True)


def has_redis() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis(folder: Path, *, durable: bool = True) -> Generator[Redis]:
    server = Redis(folder, durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def keeping_nothing(*command: str) -> Generator[int]:
    """The port of a Redis or Valkey that has nothing of an earlier one."""
    port = free_port()
    server = Daemon([*command, *f"--port {port} --bind 127.0.0.1 --save".split(), ""], port)
    server.start()
    try:
        yield port
    finally:
        server.kill()


@contextmanager
def redis_cluster(folder: Path) -> Generator[list[int]]:
    """The ports of three nodes, each with a third of the keys."""
    import redis

    with ExitStack() as stack:
        ports: list[int] = []
        for number in range(3):
            (folder / str(number)).mkdir()
            options = f"--dir {folder / str(number)} --cluster-enabled yes --cluster-port {free_port()}"
            ports.append(stack.enter_context(keeping_nothing("redis-server", *options.split())))
        nodes: list[Any] = [stack.enter_context(redis.Redis(port=port)) for port in ports]
        slots = 16384
        bus = nodes[0].config_get("cluster-port")["cluster-port"]
        for number, node in enumerate(nodes):
            first, last = slots * number // 3, slots * (number + 1) // 3 - 1
            node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], bus)
        wait_until(lambda: all(node.cluster("info")["cluster_state"] == "ok" for node in nodes))
        yield ports


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end
        Event().wait(0.02)


def start_together(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Has each process go on once all of them have said that they are ready."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
