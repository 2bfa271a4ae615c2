"""A secret key, in whatever form a user's settings have it, and whether it can be one."""

from __future__ import annotations

import re
import sys
import warnings
from typing import Protocol, TypeAlias, runtime_checkable

MIN_KEY = 16  # bytes; fewer can be guessed

# None as text, or what pydantic and Starlette show of a secret.
_STANDS_FOR_A_KEY = re.compile(rb"None|\*+|Secret\w*\(b?'\*+'\)")
_MAKE_A_KEY = "Make one with 'python -m asgi_signed_session key' and keep it outside the code."


@runtime_checkable
class HasSecretValue(Protocol):
    """``pydantic.SecretStr`` and its like: their ``str()`` is ten stars."""

    def get_secret_value(self) -> str | bytes: ...


class StarletteSecret(Protocol):
    """``starlette.datastructures.Secret``, told by its one attribute: this package can't import it."""

    _value: str


BareKey: TypeAlias = str | bytes | HasSecretValue | StarletteSecret


def read_key(option: str, key: object) -> str | bytes:
    """The key in ``key``. Raises ``TypeError`` or ``ValueError`` that names ``option`` where there is none."""
    if isinstance(key, HasSecretValue):
        key = key.get_secret_value()
    elif type(key).__name__ == "Secret" and hasattr(key, "_value"):
        key = str(key)
    if not isinstance(key, (str, bytes)):
        raise TypeError(_explain_type(option, key))
    check_key(option, key)
    return key


def _explain_type(option: str, key: object) -> str:
    if key is None:
        return f"{option} is None: the setting that it comes from is missing. {_MAKE_A_KEY}"
    kind = type(key).__name__
    if isinstance(key, (list, tuple, set, frozenset)):
        return f"{option} is a {kind}: pass the newest key alone, the older ones as fallbacks=[...]."
    return f"{option} is of type {kind}: pass a str, bytes, or an itsdangerous.TimestampSigner."


def check_key(option: str, key: str | bytes) -> None:
    """Warns of a short key. Raises ``ValueError`` for one that is empty or stands for a hidden or missing one."""
    try:
        raw = key.encode() if isinstance(key, str) else key
    except UnicodeEncodeError:
        raise ValueError(f"{option} is text that UTF-8 can't encode; pass it as bytes.") from None
    if not raw.strip():
        raise ValueError(f"{option} is empty. {_MAKE_A_KEY}")
    if _STANDS_FOR_A_KEY.fullmatch(raw):
        raise ValueError(f"{option} is '{raw.decode()}', which stands for a hidden or missing key. {_MAKE_A_KEY}")
    if raw != raw.strip():
        _warn(
            f"{option} begins or ends with white space, such as the newline of a secret file: a server that reads the"
            " key without it accepts none of these cookies. Pass key.strip(), and where cookies are in use already, the"
            " key as it is now as a fallback."
        )
    if len(raw) < MIN_KEY:
        _warn(f"{option} has {len(raw)} bytes; under {MIN_KEY} can be guessed. {_MAKE_A_KEY}")


def _warn(message: str) -> None:
    """Warns at the line outside this package that passed the key."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
