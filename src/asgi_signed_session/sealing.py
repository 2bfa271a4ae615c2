"""How a record is written in a store: signed, for its key, so that whoever writes the store can't make or move one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any, NamedTuple

from .ids import PROOF_HASH
from .signing import BadPayload, begin_hmac
from .stores.store import MAC

RECORD = b"asgi-signed-session.record"  # what the key is derived for

_NONCE = 8  # so that of two requests that write the same, each knows which record is its own
_PROOF = MAC + _NONCE
_END = _PROOF + PROOF_HASH
_HEAD = _END + 8
_NEVER = b"\xff" * 8


class Sealed(NamedTuple):
    """What is in a record."""

    proof: bytes  # of its generation, hashed
    end: int | None  # when it is over, in Unix seconds; None: never
    payload: bytes


class Seal:
    """Signs records with the first of ``keys`` and accepts those of all.

    A record is a MAC of its key and of what follows, random bytes, the proof's hash, its end, its payload.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._begun = [begin_hmac(key) for key in keys]

    def close(self, key: str, sealed: Sealed) -> bytes:
        """The record that is to be under ``key``."""
        proof, end, payload = sealed
        body = os.urandom(_NONCE) + proof + (_NEVER if end is None else end.to_bytes(8, "big")) + payload
        return _make_mac(self._begun[0], key.encode("ascii") + body) + body

    def open(self, key: str, record: bytes) -> Sealed:
        """What is in the ``record`` under ``key``. Raises ``BadPayload`` unless it was sealed for this key."""
        if isinstance(record, bytes) and len(record) >= _HEAD:
            mac, signed = record[:MAC], key.encode("ascii") + record[MAC:]
            for begun in self._begun:
                if compare_digest(mac, _make_mac(begun, signed)):
                    end = record[_END:_HEAD]
                    is_endless = end == _NEVER
                    return Sealed(
                        record[_PROOF:_END], None if is_endless else int.from_bytes(end, "big"), record[_HEAD:]
                    )
        raise BadPayload("The record is none that was written under this key and with these keys.")


def _make_mac(begun: tuple[Any, Any], signed: bytes) -> bytes:
    """What ``hmac.digest`` makes with SHA-256 of ``signed``, in 0.6 instead of 1.6 µs."""
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(signed)
    outer.update(inner.digest())
    mac: bytes = outer.digest()
    return mac
