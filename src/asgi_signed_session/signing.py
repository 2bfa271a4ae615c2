"""Bytes and keys to a signed value and back; the only module that knows itsdangerous."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any, TypeAlias

from itsdangerous import BadData, BadPayload, BadSignature, SignatureExpired, Signer, TimestampSigner
from itsdangerous.encoding import int_to_bytes

from .cookies import check_cookie_name
from .keys import BareKey, check_key, read_key
from .record import Rejection
from .wording import name_of

__all__ = [
    "BadData",
    "BadPayload",
    "BadSignature",
    "Keyring",
    "SecretKey",
    "SignatureExpired",
    "TimestampSigner",
    "begin_hmac",
    "read_unverified",
    "rejection_of",
]

_BLOCK = 64  # bytes of a SHA-256 block
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")
_TIME_BYTES = 8  # at most
_COOKIE_OCTETS = re.compile(rb"[!#-+\--:<-\[\]-~]+")  # RFC 6265, 4.1.1
_OF_A_SIGNATURE = re.compile(rb"[\w=-]+")
_PADDING = (b"", b"===", b"==", b"=")  # of base64, by the length modulo 4


SecretKey: TypeAlias = BareKey | TimestampSigner
Find: TypeAlias = Callable[[bytes], "tuple[bytes, int] | None"]
Verified: TypeAlias = "tuple[bytes, int, bool, bool]"


class PreparedSigner(TimestampSigner):
    """A ``TimestampSigner`` of one key and SHA-256 that derives its key once; it signs and accepts the same."""

    def __init__(self, secret_key: str | bytes, salt: str) -> None:
        super().__init__(secret_key, salt=salt, key_derivation="hmac", digest_method=sha256)
        self._inner, self._outer = begin_hmac(self.derive_key())
        self._timestamp = (-1, b"")  # a second, and how it is written

    def sign(self, value: str | bytes) -> bytes:
        """``value`` with the present time and a signature."""
        value = value.encode() if isinstance(value, str) else value
        now = self.get_timestamp()
        second, timestamp = self._timestamp
        if now != second:
            timestamp = b"." + _encode_urlsafe(int_to_bytes(now))
            self._timestamp = (now, timestamp)
        value += timestamp
        inner = self._inner.copy()
        inner.update(value)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return value + b"." + _encode_urlsafe(outer.digest())

    def find_signed(self, signed_value: bytes) -> tuple[bytes, int] | None:
        """What was signed and when, in Unix seconds; ``None`` where ``unsign`` would raise ``BadSignature``."""
        value, _, signature = signed_value.rpartition(b".")
        payload, dot, timestamp = value.rpartition(b".")
        # What could be helpers shared with sign stands here in full: 0.5 µs less.
        inner = self._inner.copy()
        inner.update(value)
        outer = self._outer.copy()
        outer.update(inner.digest())
        try:
            digest = a2b_base64(signature.translate(_FROM_URLSAFE) + _PADDING[len(signature) % 4])
            if dot and compare_digest(digest, outer.digest()):
                signed_at = a2b_base64(timestamp.translate(_FROM_URLSAFE) + _PADDING[len(timestamp) % 4])
                if len(signed_at) <= _TIME_BYTES:
                    return payload, int.from_bytes(signed_at, "big")
        except ValueError:  # not base64
            pass
        return None


class CombinedSigner(TimestampSigner):
    """Signs as the first of ``signers`` does, and reads what any of them has signed."""

    def __init__(self, signers: Sequence[TimestampSigner]) -> None:
        first = signers[0]
        super().__init__(
            first.secret_keys, first.salt, first.sep, first.key_derivation, first.digest_method, first.algorithm
        )
        self._signers = signers

    def sign(self, value: str | bytes) -> bytes:
        return self._signers[0].sign(value)

    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: Any = False) -> Any:
        for older in self._signers[1:]:
            with suppress(BadSignature):
                return older.unsign(signed_value, max_age, return_timestamp)
        return self._signers[0].unsign(signed_value, max_age, return_timestamp)


def _encode_urlsafe(value: bytes) -> bytes:
    return b2a_base64(value, newline=False).rstrip(b"=").translate(_TO_URLSAFE)


def begin_hmac(key: bytes) -> tuple[Any, Any]:
    """The inner and the outer hash of an HMAC with ``key``, of at most 64 bytes: to be copied and gone on with."""
    key = key.ljust(_BLOCK, b"\0")
    return sha256(key.translate(_INNER_PAD)), sha256(key.translate(_OUTER_PAD))


def _find_with(signer: TimestampSigner) -> Find:
    if isinstance(signer, PreparedSigner):
        return signer.find_signed

    def find_signed(signed_value: bytes) -> tuple[bytes, int] | None:
        try:
            payload, moment = signer.unsign(signed_value, return_timestamp=True)
        except Exception:  # BadSignature, or what a signer of the user's or a timestamp beyond year 9999 raises
            return None
        return payload, int(moment.timestamp())

    return find_signed


def _clock_of(signer: TimestampSigner) -> Callable[[], int]:
    if isinstance(signer, PreparedSigner):
        return signer.get_timestamp  # not time.time itself: freezegun puts another function there
    return lambda: int(signer.timestamp_to_datetime(signer.get_timestamp()).timestamp())


class Keyring:
    """The key that signs the values of one cookie, and the older ones that only verify them.

    Raises ``TypeError`` or ``ValueError`` for a key or a cookie's name that can't be used.
    """

    def __init__(self, secret_key: SecretKey, session_cookie: str, fallbacks: Iterable[SecretKey] = ()) -> None:
        check_cookie_name(session_cookie)
        salt = f"asgi-signed-session.{session_cookie}"
        signer = _make_signer("secret_key", secret_key, salt)
        older = _make_fallbacks(fallbacks, salt)
        self.sign: Callable[[str | bytes], bytes] = signer.sign
        self.read_clock: Callable[[], int] = _clock_of(signer)  # Unix seconds
        self._find_signed = _find_with(signer)
        self._find_signed_before = [(_find_with(signer), not isinstance(signer, PreparedSigner)) for signer in older]
        self._signers = [signer, *older]

    @property
    def signer(self) -> TimestampSigner:
        """Signs what this signs, and reads what this reads."""
        return CombinedSigner(self._signers) if len(self._signers) > 1 else self._signers[0]

    def verify(self, value: bytes) -> Verified:
        """What was signed, when in Unix seconds, whether with a fallback, whether a foreign one.

        Raises ``BadSignature``.
        """
        found = self._find_signed(value)
        if found is not None:
            payload, signed_at = found
            return payload, signed_at, False, False
        for find_signed, is_foreign in self._find_signed_before:
            found = find_signed(value)
            if found is not None:
                return (*found, True, is_foreign)
        raise BadSignature("No key verifies the signature.")

    def signs_alike(self, value: bytes) -> bool:
        """Whether the signature of ``value`` is as long as one of ours: of another key, not of other software."""
        try:
            signature = self.sign(b"").rpartition(b".")[2]
        except Exception:  # one of the user's may verify only, or raise and return what it likes
            return True
        return len(signature) == len(value.rpartition(b".")[2])

    def derive_keys(self, purpose: bytes) -> list[bytes]:
        """A key for another ``purpose`` from each of ours, the one that signs first."""
        return [
            digest(signer.derive_key(key), purpose, "sha256")
            for signer in self._signers
            for key in reversed(signer.secret_keys)
        ]


def read_unverified(value: bytes) -> tuple[bytes, int]:
    """What ``value`` claims to sign, and when, verified by nobody. Raises ``BadPayload``."""
    signed, dot, timestamp = value.rpartition(b".")[0].rpartition(b".")
    if not dot:
        raise BadPayload("It has no time and signature.")
    try:
        signed_at = a2b_base64(timestamp.translate(_FROM_URLSAFE) + b"===")
    except ValueError as error:
        raise BadPayload("Its time is not base64.") from error
    if len(signed_at) > _TIME_BYTES:
        raise BadPayload("Its time is too long.")
    return signed, int.from_bytes(signed_at, "big")


def rejection_of(error: BadData) -> Rejection:
    """What ``Session.rejected`` says of a cookie that can't be read because of ``error``."""
    return "bad-signature" if isinstance(error, BadSignature) else "malformed"


def _make_signer(option: str, key: object, salt: str, is_fallback: bool = False) -> TimestampSigner:
    if isinstance(key, TimestampSigner):
        if not key.secret_keys:
            raise ValueError(f"{option} is a signer without keys; write TimestampSigner(key).")
        *older, newest = key.secret_keys
        for own_key in older:
            check_key(f"a key of the signer in {option}", own_key, is_fallback=True)
        check_key(f"a key of the signer in {option}", newest, is_fallback)
        _check_signer(option, key)
        return key
    if isinstance(key, Signer):
        raise TypeError(
            f"{option} is of type {name_of(type(key))}, which doesn't sign the time; pass a TimestampSigner."
        )
    return PreparedSigner(read_key(option, key, is_fallback), salt)


def _check_signer(option: str, signer: TimestampSigner) -> None:
    """Raises ``ValueError`` for a signer whose values no cookie carries, nobody can take apart, or anybody can make."""
    sep = signer.sep
    if not _COOKIE_OCTETS.fullmatch(sep):
        raise ValueError(f"{option} is a signer with sep={sep!r}, which a cookie can't carry; write sep='.'.")
    if _OF_A_SIGNATURE.fullmatch(sep):
        raise ValueError(f"{option} is a signer with sep={sep!r}, which a signature may contain; write sep='.'.")
    if _accepts_forged(signer):
        raise ValueError(
            f"{option} is a signer that accepts what it hasn't signed, as one with NoneAlgorithm does: anybody could"
            " make sessions; pass a TimestampSigner with an algorithm that signs."
        )


def _accepts_forged(signer: TimestampSigner) -> bool:
    """Whether no signature, or that of another value, will do."""
    with suppress(Exception):  # one of the user's may verify only, or raise what it likes
        if signer.verify_signature(b"one", b""):
            return True
    with suppress(Exception):
        return signer.verify_signature(b"one", signer.get_signature(b"another"))
    return False


def _make_fallbacks(fallbacks: Iterable[SecretKey], salt: str) -> list[TimestampSigner]:
    if isinstance(fallbacks, (str, bytes, Mapping)) or not isinstance(fallbacks, Iterable):
        kind = name_of(type(fallbacks))
        raise TypeError(f"fallbacks must be a list of keys, not a {kind}; write fallbacks=[old_key].")
    return [_make_signer(f"fallbacks[{place}]", key, salt, is_fallback=True) for place, key in enumerate(fallbacks)]
