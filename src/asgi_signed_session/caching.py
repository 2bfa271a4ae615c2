"""What a response says to caches, so that none gives one visitor's response to another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .cookies import Header

VARY: Final = (b"vary", b"Cookie")
VARY_ON_ORIGIN: Final = (b"vary", b"Cookie, Origin, Sec-Fetch-Mode, Sec-Fetch-Site")

_NO_CACHE = (b"cache-control", b'no-cache="Set-Cookie"')
_DIRECTIVE = re.compile(rb'([^\s,="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')  # RFC 9111, 5.2


def add_session_headers(
    headers: Iterable[Header], set_cookies: Sequence[bytes] = (), vary: Header = VARY
) -> list[Header]:
    """``headers`` with ``set_cookies``, and with what keeps a shared cache from mixing up visitors."""
    added = list(headers)
    names: list[bytes] = []
    for name, _ in added:  # a comprehension is a call before CPython 3.12: 0.4 µs more
        names.append(name.lower())
    if b"vary" in names:
        _merge_vary(added, names, vary)
    else:
        added.append(vary)
    if set_cookies:
        added += [(b"set-cookie", set_cookie) for set_cookie in set_cookies]
        if b"cache-control" not in names:
            added.append(_NO_CACHE)
        elif lets_caches_share(added):
            _append(added, names, _NO_CACHE)
    return added


def lets_caches_share(headers: Iterable[Header]) -> bool:
    """Whether a ``Cache-Control`` in ``headers`` lets caches give one visitor's response, its cookie too, to others."""
    values = _values_of(b"cache-control", headers)
    for directive, fields in _DIRECTIVE.findall(b",".join(values)):
        name = directive.lower()
        # With fields, both speak of those alone.
        if name == b"no-store" or (
            name in (b"private", b"no-cache") and (not fields or b"set-cookie" in fields.lower())
        ):
            return False
    return bool(values)


def varies_on_cookie(headers: Iterable[Header]) -> bool:
    """Whether caches are told that the response depends on the cookie."""
    return bool(_split(_values_of(b"vary", headers)) & {b"cookie", b"*"})


def show_cache_control(headers: Iterable[Header]) -> str:
    """What ``headers`` say to caches, for a message."""
    return b", ".join(_values_of(b"cache-control", headers)).decode("latin-1")


def _values_of(wanted: bytes, headers: Iterable[Header]) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]


def _merge_vary(headers: list[Header], names: list[bytes], vary: Header) -> None:
    there = _split(value for (_, value), name in zip(headers, names, strict=False) if name == b"vary")
    missing = [token for token in vary[1].split(b", ") if token.lower() not in there]
    if missing and b"*" not in there:
        _append(headers, names, (b"vary", b", ".join(missing)))


def _split(values: Iterable[bytes]) -> set[bytes]:
    return {token.strip().lower() for token in b",".join(values).split(b",")}


def _append(headers: list[Header], names: list[bytes], header: Header) -> None:
    """Adds to the last of the headers of this name."""
    name, value = header
    place = len(names) - 1 - names[::-1].index(name)
    last = headers[place][1].strip()
    headers[place] = (name, last + b", " + value if last else value)
