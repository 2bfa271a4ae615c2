"""A session whose record the app has asked not to be read for it: ``autoload=False``."""

from __future__ import annotations

from typing import Any, NoReturn

from .errors import SessionNotLoadedError
from .session import READING, Session, UnreadSession


class UnloadedSession(UnreadSession):
    """A session of which nothing is known before ``load()`` was awaited: each touch raises ``SessionNotLoadedError``.

    It becomes an ``UnreadSession`` then.
    """

    __slots__ = ()

    def mark_accessed(self) -> None:
        """No touch: Starlette's ``request.session`` calls it on the way to ``await request.session.load()``."""

    def __sizeof__(self) -> int:
        return dict.__sizeof__(self)

    def __repr__(self) -> str:
        return "<a session that isn't loaded>"


def _raise(*_: Any, **__: Any) -> NoReturn:
    raise SessionNotLoadedError(
        "The session isn't loaded: write 'await request.session.load()' before it is first used,"
        " or leave out autoload=False."
    )


for _name in READING - {"__repr__", "__sizeof__"}:
    setattr(
        UnloadedSession, _name, property(_raise, _raise) if isinstance(vars(Session).get(_name), property) else _raise
    )
setattr(UnloadedSession, "modified", property(lambda _: False, _raise))  # noqa: B010
