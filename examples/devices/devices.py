"""The devices of a user: each is one session, with what its browser is called and when it was last seen."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import NamedTuple

from asgi_signed_session import Session
from asgi_signed_session.stores import Sessions

SEEN_EVERY = 60  # seconds: "last seen" costs one write a minute for each device in use

# In this order: Edge says that it is Chrome, and Chrome that it is Safari.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}
HAND_HELD = ("iPhone", "iPad", "Android")


class Device(NamedTuple):
    key: str
    name: str
    is_hand_held: bool
    is_this_one: bool
    signed_in_at: int  # Unix seconds, as the next
    seen_at: int


async def list_devices(sessions: Sessions, session: Session) -> list[Device]:
    """The devices of whose session this is: this one, then those that were seen last."""
    if session.principal is None:
        return []
    found = [
        Device(
            key=stored.key,
            name=stored.data.get("browser", "Unknown browser"),
            is_hand_held=stored.data.get("browser", "").endswith(HAND_HELD),
            is_this_one=stored.key == session.store_key,
            signed_in_at=stored.issued_at,
            seen_at=stored.data.get("seen_at", stored.signed_at),
        )
        for stored in await sessions.of(session.principal)
    ]
    return sorted(found, key=lambda device: (not device.is_this_one, -device.seen_at))


def note_visit(session: Session) -> None:
    now = int(time.time())
    if now - session.get("seen_at", 0) >= SEEN_EVERY:
        session["seen_at"] = now


def describe_browser(user_agent: str) -> str:
    """What the browser calls itself, in short. Anyone can send anything: it is for the eye alone."""
    browser = _find(BROWSERS, user_agent) or "Unknown browser"
    system = _find(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _find(names: dict[str, str], user_agent: str) -> str | None:
    return next((name for mark, name in names.items() if mark in user_agent), None)


def describe_time(moment: int) -> str:
    """How long ago that was."""
    seconds = max(0, int(time.time()) - moment)
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if count := seconds // unit:
            return f"{count} {name}{'s' * (count > 1)} ago"
    return "just now"


def format_time(moment: int) -> str:
    """That moment, for a machine to read."""
    return datetime.fromtimestamp(moment, timezone.utc).isoformat()
