"""Passwords to what may be kept of them, by scrypt of the standard library."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from typing import NamedTuple


class Cost(NamedTuple):
    """What a guess costs: ``128 * n * r`` bytes of memory, ``p`` times."""

    n: int
    r: int
    p: int


COST = Cost(n=2**14, r=8, p=5)  # 16 MiB, and about a quarter of a second: what OWASP advises


def hash_password(password: str, cost: Cost = COST) -> str:
    """What to keep of ``password``; the cost is in it, so that a later version can have another."""
    salt = secrets.token_bytes(16)
    return f"scrypt${cost.n}${cost.r}${cost.p}${salt.hex()}${_derive(password, salt, cost).hex()}"


def is_right(password: str, kept: str) -> bool:
    _, n, r, p, salt, derived = kept.split("$")
    found = _derive(password, bytes.fromhex(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(found, bytes.fromhex(derived))


def _derive(password: str, salt: bytes, cost: Cost) -> bytes:
    # One keyboard sends "é" as one character, another as two.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    needed = 128 * cost.r * (cost.n + cost.p + 2)  # bytes; what OpenSSL allows unasked isn't enough for larger n
    return hashlib.scrypt(text, salt=salt, **cost._asdict(), maxmem=needed)
