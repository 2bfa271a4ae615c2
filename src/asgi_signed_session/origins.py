"""Requests that another origin's page has caused: browsers say so, in headers that no page can change.

As Go's ``http.CrossOriginProtection`` and the resource isolation policy of Fetch Metadata have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from .cookies import Header
from .ids import Id
from .messages import Scope
from .record import REJECTED, Record, Rejection
from .session import Keeper
from .wording import name_of

# Of a session that is guarded: the request's method, None for a websocket, and its headers. Not the scope, which holds
# the session in turn: an untouched one would be left to the garbage collector.
Source: TypeAlias = "tuple[str | None, Iterable[Header]]"

_ASKED = frozenset({b"host", b"origin", b"sec-fetch-mode", b"sec-fetch-site"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # of a link
_LINKS = (None, b"navigate")
_OWN_SITES = (b"same-origin", b"none")  # "none": the visitor has typed the address, or used a bookmark

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([0-9a-z_-]+(?:\.[0-9a-z_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # browsers leave them out


class OriginGuard:
    """Opens sessions by ``keeper``, but not for a request that a page of an origin beyond ``trusted`` has caused.

    Raises ``TypeError`` or ``ValueError`` for what is no origin.
    """

    def __init__(self, keeper: Keeper, trusted: Iterable[str]) -> None:
        self.max_age: int | None = keeper.max_age
        self.find_end: Callable[[Record], int | None] = keeper.find_end
        self.make_id: Callable[[], Id | None] = keeper.make_id
        self.report_rejected: Callable[[Rejection], None] = keeper.report_rejected
        self._open = keeper.open
        self.trusted: frozenset[bytes | None] = _read_origins(trusted)

    def open(self, source: Source | Record) -> Record:
        """The session, or why there is none for this request; what was found already."""
        if isinstance(source, Record):
            return source
        method, headers = source
        return REJECTED["cross-site"] if self.bars(method, headers) else self._open(headers)

    def bars(self, method: str | None, headers: Iterable[Header]) -> bool:
        """Whether the request is another origin's, and no mere link.

        ``headers`` are those that came: what is inside may have put others into the scope.
        """
        said: dict[bytes, bytes] = {}
        for header, value in headers:
            name = header.lower()
            if name in _ASKED:  # two of a kind are nothing that a browser sends, and are to be equal to nothing
                said[name] = b"" if name in said else value
        if method in _SAFE_METHODS and said.get(b"sec-fetch-mode") in _LINKS:
            return False
        site, origin = said.get(b"sec-fetch-site"), said.get(b"origin")
        if site is None and (origin is None or _is_of_host(origin, said.get(b"host", b""))):
            return False
        return site not in _OWN_SITES and origin not in self.trusted


def find_method(scope: Scope) -> str | None:
    """The method of a request; a websocket has none, whatever its scope says: it is no link."""
    return None if scope["type"] == "websocket" else scope.get("method")


def _is_of_host(origin: bytes, host: bytes) -> bool:
    """Whether the page is of the host that the request has gone to: its scheme a proxy may have changed."""
    scheme, _, authority = origin.partition(b"://")
    port = _DEFAULT_PORTS.get(scheme.decode("latin-1"), "").encode("ascii")
    host = host.lower()
    return host != b"" and host in (authority, authority + port)


def _read_origins(origins: Iterable[str]) -> frozenset[bytes | None]:
    if isinstance(origins, (str, bytes)) or not isinstance(origins, Iterable):
        raise TypeError(
            f"trusted_origins must be a list of origins, not a {name_of(type(origins))}; write"
            " trusted_origins=['https://app.example.com'], or () for the app's own origin only."
        )
    return frozenset(_read_origin(place, origin) for place, origin in enumerate(origins))


def _read_origin(place: int, origin: object) -> bytes:
    if not isinstance(origin, str):
        raise TypeError(
            f"trusted_origins[{place}] is of type {name_of(type(origin))}; write a str: 'https://app.example.com'."
        )
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        raise ValueError(
            f"trusted_origins[{place}]={origin!r} isn't an origin; write scheme and host, a port if it isn't the"
            " scheme's usual one, and no path (punycode for other scripts): 'https://app.example.com'."
        )
    scheme, host, port = match.groups(default="")
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS.get(scheme) else port}".encode("ascii")
