"""What the serializers cost, in bytes of a cookie and in time: ``python -m benchmarks.serializers`` prints a table."""

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID

from asgi_signed_session import SessionSigner
from asgi_signed_session.payload import Codec, Serializer
from asgi_signed_session.serializers import Compressed, Encrypted, Tagged

KEY = "a key of more than sixteen bytes"
ROUNDS = 200
BATCH = 20  # writes and reads of one serializer in one round

SIGNED_IN = {"user_id": 42, "csrf_token": "9f86d081884c7d659a2feaa0c55ad015"}
TYPED = {
    **SIGNED_IN,
    "tenant": UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    "since": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "balance": Decimal("12.50"),
    "groups": {1, 2, 3},
    "last_page": ("orders", 2),
}
CART = {
    **SIGNED_IN,
    "cart": [{"id": 1000 + 7 * number, "name": f"tea number {number}", "count": number % 3} for number in range(50)],
}
SESSIONS: dict[str, dict[str, Any]] = {"signed in": SIGNED_IN, "five types": TYPED, "a cart": CART}

SERIALIZERS: dict[str, Callable[[], Serializer]] = {
    "json": lambda: json,
    "Tagged()": Tagged,
    "Compressed()": Compressed,
    "Compressed(Tagged())": lambda: Compressed(Tagged()),
    "Encrypted(keys=[KEY])": lambda: Encrypted(keys=[KEY]),
    "Encrypted(Compressed(Tagged()), keys=[KEY])": lambda: Encrypted(Compressed(Tagged()), keys=[KEY]),
}


def takes(serializer: str, session: str) -> bool:
    return "Tagged" in serializer or session != "five types"


def size_of(serializer: str, session: str) -> int:
    """The bytes of the cookie's value."""
    return len(SessionSigner(KEY, serializer=SERIALIZERS[serializer]()).dumps(SESSIONS[session]))


def measure(session: str) -> dict[str, float]:
    """The microseconds of a write and a read, for each serializer; rounds are interleaved, and the median counts."""
    content = SESSIONS[session]
    codecs = {name: Codec(make()) for name, make in SERIALIZERS.items() if takes(name, session)}
    for name, codec in codecs.items():
        assert codec.read(codec.write(content), 0, outdated=False).content == content, name
    times: dict[str, list[float]] = {name: [] for name in codecs}
    for _ in range(ROUNDS):
        for name, codec in codecs.items():
            start = time.thread_time_ns()
            for _ in range(BATCH):
                codec.read(codec.write(content), 0, outdated=False)
            times[name].append((time.thread_time_ns() - start) / BATCH / 1000)
    return {name: median(taken) for name, taken in times.items()}


def make_table() -> str:
    """A row for each serializer: for each session the bytes of its cookie, and the microseconds."""
    measured = {session: measure(session) for session in SESSIONS}
    lines = ["| |" + "".join(f" {session}: bytes | µs |" for session in SESSIONS), "|---" + "|--:" * 6 + "|"]
    for name in SERIALIZERS:
        cells = [
            f" {size_of(name, session)} | {measured[session][name]:.0f} |" if takes(name, session) else " | |"
            for session in SESSIONS
        ]
        lines.append(f"| `{name}` |" + "".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    print(make_table())
