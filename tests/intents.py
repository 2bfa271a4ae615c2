"""What becomes of a request's changes when another changes the session meanwhile: the specification of the merge.

``python -m tests.intents`` prints the table for the docs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from asgi_signed_session import Session, SessionMiddleware
from asgi_signed_session.stores import MemoryStore

from .apps import app_that
from .browser import Browser
from .conftest import KEY

Act = Callable[[Session], Any]


def set_anew(session: Session) -> None:
    session.clear()
    session["a"] = 1


def change_and_renew(session: Session) -> None:
    session["b"] = 2
    session.regenerate()


def sign_in(session: Session, principal: str) -> None:
    session.principal = principal
    session["name"] = principal


# Of a request of Ada, whose session is {"cart": ["tea"]}.
INTENTS: dict[str, Act] = {
    "none": len,
    "pop to empty": lambda session: session.pop("cart"),
    "set": lambda session: session.update(a=1),
    "nested append": lambda session: session["cart"].append("milk"),
    "clear": lambda session: session.clear(),
    "clear and set": set_anew,
    "regenerate": lambda session: session.regenerate(),
    "new principal": lambda session: sign_in(session, "bob"),
}

# Of another request, which came with the same cookie, and whose answer is there before the first is saved.
MEANWHILE: dict[str, Act] = {
    "nothing": len,
    "another's key": lambda session: session.update(b=2),
    "the same key": lambda session: session.update(a=2),
    "appended": lambda session: session["cart"].append("salt"),
    "ended": lambda session: session.clear(),
    "renewed": change_and_renew,
    "signed in as another": lambda session: sign_in(session, "eve"),
}


class Outcome(NamedTuple):
    """What the two have done together."""

    found: str  # by the browser, with the cookies of both answers, the other's first
    other: str  # by a browser with the cookies of the other's answer alone
    logged: str  # "", "lost" for a warning, "gave way" for the event session.merged


TABLE = {
    ("none", "nothing"): ("ada: cart=tea", "ada: cart=tea", ""),
    ("none", "another's key"): ("ada: cart=tea, b=2", "ada: cart=tea, b=2", ""),
    ("none", "the same key"): ("ada: cart=tea, a=2", "ada: cart=tea, a=2", ""),
    ("none", "appended"): ("ada: cart=tea+salt", "ada: cart=tea+salt", ""),
    ("none", "ended"): ("no cookie", "no cookie", ""),
    ("none", "renewed"): ("ada: cart=tea, b=2", "ada: cart=tea, b=2", ""),
    ("none", "signed in as another"): ("eve: name=eve", "eve: name=eve", ""),
    ("pop to empty", "nothing"): ("ada: empty", "ada: empty", ""),
    ("pop to empty", "another's key"): ("ada: b=2", "ada: b=2", ""),
    ("pop to empty", "the same key"): ("ada: a=2", "ada: a=2", ""),
    ("pop to empty", "appended"): ("ada: cart=salt", "ada: cart=salt", ""),
    ("pop to empty", "ended"): ("no cookie", "no cookie", "lost"),
    ("pop to empty", "renewed"): ("ada: b=2", "ada: b=2", ""),
    ("pop to empty", "signed in as another"): ("eve: name=eve", "eve: name=eve", "lost"),
    ("set", "nothing"): ("ada: cart=tea, a=1", "ada: cart=tea, a=1", ""),
    ("set", "another's key"): ("ada: cart=tea, b=2, a=1", "ada: cart=tea, b=2, a=1", ""),
    ("set", "the same key"): ("ada: cart=tea, a=1", "ada: cart=tea, a=1", "gave way"),
    ("set", "appended"): ("ada: cart=tea+salt, a=1", "ada: cart=tea+salt, a=1", ""),
    ("set", "ended"): ("no cookie", "no cookie", "lost"),
    ("set", "renewed"): ("ada: cart=tea, b=2, a=1", "ada: cart=tea, b=2, a=1", ""),
    ("set", "signed in as another"): ("eve: name=eve", "eve: name=eve", "lost"),
    ("nested append", "nothing"): ("ada: cart=tea+milk", "ada: cart=tea+milk", ""),
    ("nested append", "another's key"): ("ada: cart=tea+milk, b=2", "ada: cart=tea+milk, b=2", ""),
    ("nested append", "the same key"): ("ada: cart=tea+milk, a=2", "ada: cart=tea+milk, a=2", ""),
    ("nested append", "appended"): ("ada: cart=tea+salt+milk", "ada: cart=tea+salt+milk", ""),
    ("nested append", "ended"): ("no cookie", "no cookie", "lost"),
    ("nested append", "renewed"): ("ada: cart=tea+milk, b=2", "ada: cart=tea+milk, b=2", ""),
    ("nested append", "signed in as another"): ("eve: name=eve", "eve: name=eve", "lost"),
    ("clear", "nothing"): ("no cookie", "expired", ""),
    ("clear", "another's key"): ("no cookie", "expired", ""),
    ("clear", "the same key"): ("no cookie", "expired", ""),
    ("clear", "appended"): ("no cookie", "expired", ""),
    ("clear", "ended"): ("no cookie", "no cookie", ""),
    ("clear", "renewed"): ("no cookie", "expired", ""),
    ("clear", "signed in as another"): ("no cookie", "expired", ""),
    ("clear and set", "nothing"): ("nobody: a=1", "superseded", ""),
    ("clear and set", "another's key"): ("nobody: a=1", "superseded", ""),
    ("clear and set", "the same key"): ("nobody: a=1", "superseded", ""),
    ("clear and set", "appended"): ("nobody: a=1", "superseded", ""),
    ("clear and set", "ended"): ("nobody: a=1", "no cookie", ""),
    ("clear and set", "renewed"): ("nobody: a=1", "ada: cart=tea, b=2", ""),
    ("clear and set", "signed in as another"): ("nobody: a=1", "eve: name=eve", ""),
    ("regenerate", "nothing"): ("ada: cart=tea", "superseded", ""),
    ("regenerate", "another's key"): ("ada: cart=tea, b=2", "superseded", ""),
    ("regenerate", "the same key"): ("ada: cart=tea, a=2", "superseded", ""),
    ("regenerate", "appended"): ("ada: cart=tea+salt", "superseded", ""),
    ("regenerate", "ended"): ("no cookie", "no cookie", "lost"),
    ("regenerate", "renewed"): ("ada: cart=tea, b=2", "ada: cart=tea, b=2", ""),
    ("regenerate", "signed in as another"): ("eve: name=eve", "eve: name=eve", "lost"),
    ("new principal", "nothing"): ("bob: name=bob", "superseded", ""),
    ("new principal", "another's key"): ("bob: name=bob", "superseded", ""),
    ("new principal", "the same key"): ("bob: name=bob", "superseded", ""),
    ("new principal", "appended"): ("bob: name=bob", "superseded", ""),
    ("new principal", "ended"): ("bob: name=bob", "no cookie", ""),
    ("new principal", "renewed"): ("bob: name=bob", "ada: cart=tea, b=2", ""),
    ("new principal", "signed in as another"): ("bob: name=bob", "eve: name=eve", ""),
}


class Events(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.INFO:
            self.heard.append(getattr(record, "event", record.getMessage()))


NAMES = {"session.unsaved": "lost", "session.ended": "lost", "session.merged": "gave way"}


def play(intent: Act, meanwhile: Act) -> Outcome:
    """Both requests, the one in the middle of the other."""
    store = MemoryStore()
    browser = Browser(SessionMiddleware(app_that(_begin), KEY, store=store))
    browser.get()
    other = Browser(SessionMiddleware(app_that(lambda scope: meanwhile(scope["session"])), KEY, store=store))
    other.cookies.update(browser.cookies)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        intent(scope["session"])
        other.get()
        browser.cookies = dict(other.cookies)  # as one browser has one jar
        await send({"type": "http.response.start", "status": 200})

    events = Events()
    logger = logging.getLogger("asgi_signed_session")
    level = logger.level
    logger.addHandler(events)
    logger.setLevel(logging.INFO)
    try:
        browser.run = other.run = run_now
        browser.app = SessionMiddleware(app, KEY, store=store)
        browser.get()
    finally:
        logger.removeHandler(events)
        logger.setLevel(level)
    heard = {NAMES[event] for event in events.heard}
    return Outcome(_look(browser), _look(other), ", ".join(sorted(heard)))


def _begin(scope: Any) -> None:
    scope["session"].principal = "ada"
    scope["session"]["cart"] = ["tea"]


def run_now(main: Any) -> None:
    """Runs one request, in the middle of another too: nothing here waits for anything."""
    try:
        main().send(None)
    except StopIteration:
        return
    raise AssertionError("The store was to answer at once.")


def _look(browser: Browser) -> str:
    def look(scope: Any) -> Any:
        session = scope["session"]
        return [session.rejected, session.principal, dict(session)]

    looking = Browser(browser.app, cookies=dict(browser.cookies))
    looking.app = SessionMiddleware(app_that(look), KEY, store=_store_of(browser))
    rejected, principal, content = looking.get().json()
    if rejected is not None or not browser.cookies:
        return str(rejected or "no cookie")
    shown = ", ".join(
        f"{key}={'+'.join(value) if isinstance(value, list) else value}" for key, value in content.items()
    )
    return f"{principal or 'nobody'}: {shown or 'empty'}"


def _store_of(browser: Browser) -> Any:
    app: Any = browser.app
    return app._parts.keeper.store


def play_all() -> dict[tuple[str, str], Outcome]:
    return {
        (intent, meanwhile): play(act, other)
        for intent, act in INTENTS.items()
        for meanwhile, other in MEANWHILE.items()
    }


def show(table: dict[tuple[str, str], Any]) -> str:
    """The table for people, a row for each intent."""
    lines = ["| | " + " | ".join(MEANWHILE) + " |", "|---" * (len(MEANWHILE) + 1) + "|"]
    for intent in INTENTS:
        outcomes = [Outcome(*table[intent, meanwhile]) for meanwhile in MEANWHILE]
        cells = [f"{outcome.found}{f' ({outcome.logged})' if outcome.logged else ''}" for outcome in outcomes]
        lines.append(f"| {intent} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    sys.stdout.write(show(play_all()) + "\n")


if __name__ == "__main__":
    main()
