"""What the serializers cost, in bytes of a cookie and in time."""

import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from asgi_signed_session import SessionSigner
from asgi_signed_session.payload import Codec, Serializer
from asgi_signed_session.serializers import Compressed, Encrypted, Tagged
from benchmarks.harness import quiet_memory, summary
from benchmarks.results import today

KEY = "a key of more than sixteen bytes"
ROUNDS, QUICK = 200, 20
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


def measure_serializers(track: Callable[[Iterable[Any], str], Iterable[Any]], rounds: int = ROUNDS) -> dict[str, Any]:
    """By session and serializer the bytes of the cookie's value, and the time of a write and a read of the payload."""
    return {
        "date": today(),
        "sessions": {session: measure_session(session, rounds) for session in track(SESSIONS, "serializers")},
    }


def measure_session(session: str, rounds: int) -> dict[str, Any]:
    content = SESSIONS[session]
    codecs = {name: Codec(make()) for name, make in SERIALIZERS.items() if takes(name, session)}
    for name, codec in codecs.items():
        assert codec.read(codec.write(content)).content == content, name
    times: dict[str, list[float]] = {name: [] for name in codecs}
    with quiet_memory():
        for _ in range(rounds):
            for name, codec in codecs.items():
                times[name].append(time_codec(codec, content))
    return {name: {"bytes": size_of(name, session), "time_ns": summary(taken)} for name, taken in times.items()}


def time_codec(codec: Codec, content: dict[str, Any]) -> float:
    start = time.thread_time_ns()
    for _ in range(BATCH):
        codec.read(codec.write(content))
    return (time.thread_time_ns() - start) / BATCH
