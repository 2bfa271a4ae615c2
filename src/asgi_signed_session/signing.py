"""A dict to a signed value and back: keys, salt, age, and what travels beside the data. Knows itsdangerous."""

from __future__ import annotations

import json
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Literal, TypeAlias

from itsdangerous import BadData, BadPayload, BadSignature, SignatureExpired, Signer, TimestampSigner
from itsdangerous.encoding import int_to_bytes

from .errors import UnserializableSessionError
from .keys import BareKey, check_key, read_key
from .serializing import Serializer, describe_unserializable, prepare_serializer

__all__ = [
    "BadData",
    "BadPayload",
    "SecretKey",
    "SessionSigner",
    "SignatureExpired",
    "TimestampSigner",
    "decode_unverified",
    "read_unverified",
    "rejection_of",
]

CLOCK_SKEW = 60  # seconds that the clock of another server may be ahead
METADATA_KEY = "$session"  # of the payload; never in the mapping

Metadata: TypeAlias = Mapping[str, "int | None"]
NO_METADATA: Metadata = {}

_BLOCK = 64  # bytes of a SHA-256 block
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")
_TIME_BYTES = 8  # at most
_PADDING = (b"", b"===", b"==", b"=")  # of base64, by the length modulo 4


SecretKey: TypeAlias = BareKey | TimestampSigner
# Content, payload, signed at and issued at in Unix seconds, metadata, and whether a fallback signed it.
Signed: TypeAlias = "tuple[dict[str, Any], bytes, int, int, Metadata, bool]"
Find: TypeAlias = Callable[[bytes], "tuple[bytes, int] | None"]


class PreparedSigner(TimestampSigner):
    """A ``TimestampSigner`` of one key and SHA-256 that derives its key once; it signs and accepts the same."""

    def __init__(self, secret_key: str | bytes, salt: str) -> None:
        super().__init__(secret_key, salt=salt, key_derivation="hmac", digest_method=sha256)
        key = self.derive_key().ljust(_BLOCK, b"\0")
        self._inner = sha256(key.translate(_INNER_PAD))
        self._outer = sha256(key.translate(_OUTER_PAD))
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


def _encode_urlsafe(value: bytes) -> bytes:
    return b2a_base64(value, newline=False).rstrip(b"=").translate(_TO_URLSAFE)


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


def _read_clock() -> int:
    return int(time.time())


def _clock_of(signer: TimestampSigner) -> Callable[[], int]:
    if isinstance(signer, PreparedSigner):
        return _read_clock
    return lambda: int(signer.timestamp_to_datetime(signer.get_timestamp()).timestamp())


class SessionSigner:
    """Signs a session to a cookie value and back: for tests, scripts and other services.

    ``secret_key`` signs and verifies, each of ``fallbacks`` only verifies; both are a key (``str``, ``bytes``, or an
    object with ``get_secret_value()``) or a whole ``itsdangerous.TimestampSigner``. A key's signatures hold for
    ``session_cookie`` only. Raises ``TypeError`` or ``ValueError`` for a key or serializer that can't be used.
    """

    def __init__(
        self,
        secret_key: SecretKey,
        session_cookie: str = "session",
        *,
        fallbacks: Iterable[SecretKey] = (),
        serializer: Serializer = json,
    ) -> None:
        salt = f"asgi-signed-session.{session_cookie}"
        self._signer = _make_signer("secret_key", secret_key, salt)
        older = _make_fallbacks(fallbacks, salt)
        self.sign: Callable[[str | bytes], bytes] = self._signer.sign
        self._find_signed = _find_with(self._signer)
        self._find_signed_before = [_find_with(signer) for signer in older]
        self.now: Callable[[], int] = _clock_of(self._signer)  # Unix seconds
        self._dumps, self._loads = prepare_serializer(serializer)

    def dumps(self, session: Mapping[str, Any]) -> str:
        """``session`` as a cookie value, signed now. Raises ``UnserializableSessionError``."""
        return self.write(dict(session))[1].decode("ascii")

    def loads(self, value: str | bytes, max_age: int | None = None) -> dict[str, Any]:
        """What ``dumps`` was given.

        ``max_age``: seconds since it was signed; a session's own ``max_age`` goes first. Without it no age is checked,
        not even the session's own; a ``lifetime`` never is.

        Raises ``itsdangerous.BadSignature``, its ``SignatureExpired``, or ``BadData`` for a payload that is no session.
        """
        value = value.encode("utf-8", "replace") if isinstance(value, str) else value
        content, _, signed_at, issued_at, metadata, _ = self.read(value)
        if max_age is not None:
            self.check_age(signed_at, issued_at, metadata, max_age)
        return content

    def write(self, content: Mapping[str, Any], metadata: Metadata = NO_METADATA) -> tuple[bytes, bytes]:
        """The payload that carries ``content`` and ``metadata``, and the cookie value that carries the payload.

        Raises ``UnserializableSessionError``.
        """
        payload = self.serialize(content, metadata)
        return payload, self.sign(b2a_base64(payload, newline=False))

    def serialize(self, content: Mapping[str, Any], metadata: Metadata = NO_METADATA) -> bytes:
        """The payload that carries ``content`` and ``metadata``. Raises ``UnserializableSessionError``."""
        if METADATA_KEY in content:
            raise UnserializableSessionError(f"session[{METADATA_KEY!r}] is reserved; use another key.")
        try:
            return self._dumps({**content, METADATA_KEY: metadata} if metadata else content)
        except Exception as error:  # each serializer has errors of its own
            raise describe_unserializable(self._dumps, content) from error

    def read(self, value: bytes) -> Signed:
        """The session that ``value`` carries, whatever its age. Raises ``BadSignature`` or ``BadPayload``."""
        found = self._find_signed(value)
        outdated = found is None
        encoded, signed_at = found or self._verify_with_fallbacks(value)
        try:
            payload = a2b_base64(encoded)
        except ValueError as error:
            raise BadPayload("The payload is not base64.") from error
        return self.parse(payload, signed_at, outdated)

    def verify(self, value: bytes) -> tuple[bytes, int, bool]:
        """What was signed, when in Unix seconds, and whether with a fallback. Raises ``BadSignature``."""
        found = self._find_signed(value)
        payload, signed_at = found or self._verify_with_fallbacks(value)
        return payload, signed_at, found is None

    def _verify_with_fallbacks(self, value: bytes) -> tuple[bytes, int]:
        for find_signed in self._find_signed_before:
            found = find_signed(value)
            if found is not None:
                return found
        raise BadSignature("No key verifies the signature.")

    def parse(self, payload: bytes, signed_at: int, outdated: bool) -> Signed:
        """The session in a ``payload`` that was signed then. Raises ``BadPayload``."""
        try:
            content = self._loads(payload)
        except Exception as error:  # each serializer has errors of its own, and json runs out of stack
            raise BadPayload("The payload is not what the serializer writes.", error) from error
        if not isinstance(content, dict):
            raise BadPayload("The payload is not an object.")
        if METADATA_KEY not in content:
            return content, payload, signed_at, signed_at, NO_METADATA, outdated
        issued_at, metadata = _read_metadata(content.pop(METADATA_KEY))
        return content, payload, signed_at, issued_at or signed_at, metadata, outdated

    def is_signature_of(self, value: bytes) -> bool:
        """Whether a key verifies ``value``, whatever it holds."""
        try:
            self.verify(value)
        except BadSignature:
            return False
        return True

    def find_changes(self, payload: bytes | None, content: Mapping[str, Any]) -> list[str]:
        """The keys whose values differ between ``payload`` (``None``: an empty session) and ``content``."""
        before = self._read_back(payload)
        before.pop(METADATA_KEY, None)
        with suppress(Exception):  # what can't be written is told key by key
            content = self._loads(self._dumps(content))  # as it would come back: with keys that are text
        return [key for key in {**before, **content} if self._dump_key(before, key) != self._dump_key(content, key)]

    def is_max_age_new(self, payload: bytes | None, metadata: Metadata) -> bool:
        """Whether ``metadata`` has another ``max_age`` than ``payload`` (``None``: an empty session)."""
        return _max_age_in(self._read_back(payload).get(METADATA_KEY, {})) != _max_age_in(metadata)

    def _read_back(self, payload: bytes | None) -> dict[str, Any]:
        if not payload:
            return {}
        try:
            content: dict[str, Any] = self._loads(payload)
        except Exception:  # a serializer of the user's may not read all that it has written
            return {}
        return content

    def _dump_key(self, content: Mapping[str, Any], key: str) -> object:
        try:
            return self._dumps({key: content[key]})
        except KeyError:
            return None
        except Exception:  # each serializer has errors of its own
            return object()  # equal to nothing

    def find_largest(self, content: Mapping[str, Any], count: int = 3) -> list[tuple[str, int]]:
        """The keys that take the most room, each with the bytes of its JSON."""
        sizes = {key: len(self._dumps({key: value})) for key, value in content.items()}
        return sorted(sizes.items(), key=lambda item: -item[1])[:count]

    def check_age(
        self, signed_at: int, issued_at: int, metadata: Metadata, max_age: int | None, lifetime: int | None = None
    ) -> int:
        """Seconds since it was signed. Raises ``SignatureExpired`` if it is too old, or signed in the future."""
        now = self.now()
        age = now - signed_at
        if metadata:
            max_age = metadata.get("max_age", max_age)
        if age < -CLOCK_SKEW:
            raise SignatureExpired(f"Signed {-age} seconds in the future.")
        if max_age is not None and age > max_age:
            raise SignatureExpired(f"Signed {age} seconds ago, {age - max_age} more than max_age.")
        if lifetime is not None and now - issued_at >= lifetime:
            raise SignatureExpired(f"Begun {now - issued_at} seconds ago; its lifetime is {lifetime}.")
        return age


def read_unverified(value: bytes) -> tuple[bytes, int]:
    """What ``value`` claims to sign, and when, verified by nobody. Raises ``BadPayload``."""
    signed, dot, timestamp = value.rpartition(b".")[0].rpartition(b".")
    if not dot:
        raise BadPayload("It has no time and signature.")
    signed_at = decode_unverified(timestamp.translate(_FROM_URLSAFE) + b"===")
    if len(signed_at) > _TIME_BYTES:
        raise BadPayload("Its time is too long.")
    return signed, int.from_bytes(signed_at, "big")


def decode_unverified(value: bytes) -> bytes:
    """What ``value`` is the base64 of. Raises ``BadPayload``."""
    try:
        return a2b_base64(value)
    except ValueError as error:
        raise BadPayload("It is not base64.") from error


def rejection_of(error: BadData) -> Literal["bad-signature", "expired", "malformed"]:
    """What ``Session.rejected`` says of a cookie that can't be read because of ``error``."""
    if isinstance(error, SignatureExpired):
        return "expired"
    return "bad-signature" if isinstance(error, BadSignature) else "malformed"


def _max_age_in(metadata: Metadata) -> int | Literal[False] | None:
    return metadata.get("max_age", False)


def _read_metadata(metadata: Any) -> tuple[int, Metadata]:
    """When the session began, 0 where it isn't said, and what else travels beside the data."""
    if isinstance(metadata, dict):
        issued_at: Any = metadata.pop("iat", 0)
        max_age: Any = metadata.get("max_age")
        if type(issued_at) is int and (max_age is None or (type(max_age) is int and max_age > 0)):
            return issued_at, metadata
    raise BadPayload("The payload's metadata is of another form.")


def _make_signer(option: str, key: object, salt: str) -> TimestampSigner:
    if isinstance(key, TimestampSigner):
        if not key.secret_keys:
            raise ValueError(f"{option} is a signer without keys; write TimestampSigner(key).")
        for own_key in key.secret_keys:
            check_key(f"a key of the signer in {option}", own_key)
        return key
    if isinstance(key, Signer):
        raise TypeError(f"{option} is of type {type(key).__name__}, which signs no time; pass a TimestampSigner.")
    return PreparedSigner(read_key(option, key), salt)


def _make_fallbacks(fallbacks: Iterable[SecretKey], salt: str) -> list[TimestampSigner]:
    if isinstance(fallbacks, (str, bytes)) or not isinstance(fallbacks, Iterable):
        kind = type(fallbacks).__name__
        raise TypeError(f"fallbacks must be a list of keys, not a {kind}; write fallbacks=[old_key].")
    return [_make_signer(f"fallbacks[{place}]", key, salt) for place, key in enumerate(fallbacks)]
