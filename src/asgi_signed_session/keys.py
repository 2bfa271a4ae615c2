"""A secret key, in whatever form a user's settings have it, and whether it can be one."""

from __future__ import annotations

import re
from typing import Protocol, TypeAlias, runtime_checkable

from .wording import name_of, warn_caller

MIN_KEY = 16  # bytes; fewer can be guessed
MIN_CHARACTERS = 5  # different ones

# None as text, in several languages, or what pydantic and Starlette show of a secret.
_STANDS_FOR_A_KEY = re.compile(r"(?i:none|null|nil|undefined)|\*+|b'\*+'|Secret\w*\(b?'\*+'\)")

# A key with these around it all is conceivable, so what stands between them has to be a name, in one case of letters.
_NAME = r"(?:[A-Z_][A-Z0-9_]+|[a-z_]{2,})"
_WORDS = r"(?:[A-Za-z]+|\d+)(?:[ _.'-](?:[A-Za-z]+|\d+))*"
_TO_BE_FILLED_IN = re.compile(
    rf"\$\(?{_NAME}\)?|\${{{_NAME}(?:[:?+=-].*)?}}"  # a shell's, Compose's and Kubernetes' variables
    rf"|%{_NAME}%|%\({_NAME}\)s|@@?{_NAME}@@?|__{_NAME}__|\#?{{{_NAME}}}\#?|\[{_WORDS}\]|<{_WORDS}>"
    r"|\$?{{[^{}]+}}|{%[^{}%]+%}|<%[^<>%]+%>"  # Jinja's, Helm's, ERB's; GitHub's have the "$"
)
_SAYS_WHERE = re.compile(r"op://.+|arn:aws[\w-]*:.+|/run/secrets/.+|ENC\[.+\]", re.DOTALL)  # 1Password, SOPS ...
_SHOWS_AN_OBJECT = re.compile(r"<.+ at 0x[0-9A-Fa-f]+>")  # the str() of what holds a key, or of a function that gets it

# Of such words alone consist the placeholders of samples, and with one of the first of them: "your-secret-key-here".
_MARK = re.compile(
    "change(?:d|me|this|it)?|replace(?:d|me|this)?|insert|enter|paste|fill|todo|fixme|tbd|placeholder|your(?:secret)?(?:key)?"
)
_FILLER = re.compile(
    "a|an|the|this|that|it|is|me|my|our|own|in|on|to|be|with|by|for|of|here|at|least|long|random|secure|strong|very|super"
    "|sessions?|cookie|signing|app|application|flask|django|fastapi|starlette|jwt|(?:super)?secrets?(?:key)?|keys?|password"
    "|passphrase|token|string|value|something|new|some|real|actual|unique|put|add|set|generate|use|prod|production"
    "|deployment|deploying|before|after|please|must|needs|should|has|bytes?|bits?|characters?|chars?|goes"
)
_GUESSED_FIRST = re.compile(
    r"(?:this(?:is)?|my|the|our|a|super|very|top|app|session|cookie|jwt|flask|django|fastapi|starlette)*"
    r"secret(?:key|string|token|password|value)?\d{0,4}|sessionkey|passw(?:or)?d\d{0,4}|keyboardcat"
)
# The documentation of FastAPI and, at one time or another, Flask has these.
_SHOWN_IN_DOCUMENTATION = frozenset(
    {
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        b'_5#y2L"F4Q8z\n\xec]/',
        '_5#y2L"F4Q8z\n\xec]/'.encode(),
        b"A0Zr98j/3yX R~XHH!jmN]LWX/,?RT",
    }
)
_MAKE_A_KEY = "Make one with 'python -m asgi_signed_session key' and keep it outside the code."
_MAX_SHOWN = 40  # characters of what stands in the place of a key


@runtime_checkable
class HasSecretValue(Protocol):
    """``pydantic.SecretStr`` and its like: their ``str()`` is ten stars."""

    def get_secret_value(self) -> str | bytes: ...


class StarletteSecret(Protocol):
    """``starlette.datastructures.Secret``, told by its one attribute: this package can't import it."""

    _value: str


BareKey: TypeAlias = str | bytes | HasSecretValue | StarletteSecret


def read_key(option: str, key: object, is_fallback: bool) -> str | bytes:
    """The key in ``key``. Raises ``TypeError`` or ``ValueError`` that names ``option`` where there is none."""
    if isinstance(key, HasSecretValue):
        key = key.get_secret_value()
    elif type(key).__name__ == "Secret" and hasattr(key, "_value"):
        key = str(key)
    if not isinstance(key, (str, bytes)):
        raise TypeError(_explain_type(option, key))
    check_key(option, key, is_fallback)
    return key


def _explain_type(option: str, key: object) -> str:
    if key is None:
        return f"{option} is None: the setting that it comes from is missing. {_MAKE_A_KEY}"
    kind = name_of(type(key))
    if isinstance(key, (list, tuple, set, frozenset)):
        return f"{option} is a {kind}: pass only the newest key, and the older ones as fallbacks=[...]."
    return f"{option} is of type {kind}: pass a str, bytes, or an itsdangerous.TimestampSigner."


def check_key(option: str, key: str | bytes, is_fallback: bool) -> None:
    """Warns of a weak key. Raises ``ValueError`` for one that is empty or only stands in the place of a key.

    A fallback of that kind may have been in use, and its visitors are to stay signed in: that is a warning.
    """
    try:
        raw = key.encode() if isinstance(key, str) else key
    except UnicodeEncodeError:
        raise ValueError(f"{option} is text that UTF-8 can't encode; pass it as bytes.") from None
    text = raw.decode("utf-8", "replace").strip()
    if not raw.strip():
        raise ValueError(f"{option} is empty. {_MAKE_A_KEY}")
    if _STANDS_FOR_A_KEY.fullmatch(text):
        raise ValueError(f"{option} is {text!r}, which stands for a hidden or missing key. {_MAKE_A_KEY}")
    what = _describe_placeholder(raw, text)
    if what is None:
        _warn_of_weakness(option, key, raw)
    elif is_fallback:
        warn_caller(f"{option} {what}: anybody can make sessions while it is accepted, and it needs to go soon.")
    else:
        raise ValueError(f"{option} {what}. {_MAKE_A_KEY}")


def _describe_placeholder(raw: bytes, text: str) -> str | None:
    """What is to be said of a key that a deployment forgot to fill in, or that everybody knows."""
    if raw in _SHOWN_IN_DOCUMENTATION:
        return "is one that the documentation of a framework shows, so everybody has it"
    text = text.strip("\"'")
    if _TO_BE_FILLED_IN.fullmatch(text):
        return f"is {_abridge(text)}, which is a placeholder that has to be filled in"
    if _SAYS_WHERE.fullmatch(text):
        return "says where a key is kept, and is none"
    if _SHOWS_AN_OBJECT.fullmatch(text):
        return "is how Python shows an object, another in each process, and no key"
    if _is_of_samples(text):
        return f"is {_abridge(text)}, which is a placeholder from samples"
    return None


def _is_of_samples(text: str) -> bool:
    if not text.isascii():
        return False
    text = text.lower()
    # Beside a number of five digits or more the rest may be random, too.
    words = set(re.findall(r"[a-z]+|\d{5,}", text))
    fillers = {word for word in words if not _MARK.fullmatch(word)}
    return fillers != words and all(map(_FILLER.fullmatch, fillers))


def _abridge(text: str) -> str:
    """``text`` for a message; what may be a real key, as a default in a template is, isn't in it."""
    ends = "[:=?|,'\"+-]" if text.startswith("${") else "[:=?|,'\"]"  # a shell's default may come after a dash
    start = re.split(ends, text[:_MAX_SHOWN])[0]
    return repr(text) if start == text else f"{start!r}..."


def _warn_of_weakness(option: str, key: str | bytes, raw: bytes) -> None:
    if raw != raw.strip() and (isinstance(key, str) or raw.isascii()):  # random bytes may well begin with a space
        warn_caller(
            f"{option} begins or ends with white space, such as the newline of a secret file: a server that reads the"
            " key without that white space accepts none of these cookies. Pass key.strip(), and if cookies are in"
            " use already, also pass the key as it is now as a fallback."
        )
    if raw.startswith(b"django-insecure-"):
        warn_caller(
            f"{option} begins with 'django-insecure-': Django has made it for development, and put it into a file that"
            f" others may have. {_MAKE_A_KEY}"
        )
    if raw.isascii() and _GUESSED_FIRST.fullmatch(re.sub(r"[^a-z0-9]", "", raw.decode("ascii").lower())):
        warn_caller(f"{option} is one of the first that anybody would guess, such as 'secret'. {_MAKE_A_KEY}")
    elif len(raw) < MIN_KEY:
        warn_caller(f"{option} has {len(raw)} bytes; under {MIN_KEY} can be guessed. {_MAKE_A_KEY}")
    elif len(set(key)) < MIN_CHARACTERS:
        warn_caller(f"{option} has fewer than {MIN_CHARACTERS} different characters and can be guessed. {_MAKE_A_KEY}")
