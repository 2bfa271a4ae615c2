"""What goes wrong when requests of one visitor run at the same time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import time
from typing import Any

from benchmarks import unshown
from benchmarks.asgi import Message, Receive, Scope, Send, receive
from benchmarks.results import today
from benchmarks.scenarios import KEY, Payload, open_session, respond, scope_for
from benchmarks.stored import MEMORY, REDIS, SQLITE, STORED, opened
from benchmarks.subjects import LITESTAR, OURS, STARLETTE, Subject
from tests.daemons import has_redis, redis

SEED = 12
BESIDE = 5  # requests that each change a key of their own, while another signs in or out
COOKIE = "cookie"

View = Callable[[Scope], None]


class Meeting:
    """Lets nobody go before everybody has come."""

    def __init__(self, count: int) -> None:
        self.missing = count
        self.is_complete = asyncio.Event()

    async def wait(self) -> None:
        self.missing -= 1
        if self.missing == 0:
            self.is_complete.set()
        await self.is_complete.wait()


@dataclass
class Browser:
    """A visitor's. It takes every ``Set-Cookie``, in the order in which the answers arrive."""

    subject: Subject
    cookies: dict[str, str] = field(default_factory=dict)

    async def request(self, view: View, meeting: Meeting) -> list[Message]:
        """The answer of an app that reads its session, waits for the others and then does what ``view`` does."""
        load = self.subject.loader() if self.subject.loader else None

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if load:
                await load(scope)
            len(open_session(scope))
            await meeting.wait()
            view(scope)
            await respond(scope, receive, send)

        messages: list[Message] = []

        async def record(message: Message) -> None:
            messages.append(message)

        scope = scope_for(self.subject, "http", self.cookies, {})
        await self.subject.wrap(app, KEY, ())(scope, receive, record)
        return messages

    async def request_at_once(self, views: Sequence[View], chance: Random) -> None:
        """Requests that begin, and whose answers arrive, in any order."""
        meeting = Meeting(len(views))
        answers = await asyncio.gather(*(self.request(view, meeting) for view in chance.sample(views, len(views))))
        for messages in chance.sample(answers, len(answers)):
            self.take(messages)

    def take(self, messages: Iterable[Message]) -> None:
        headers = [header for message in messages for header in message.get("headers", ())]
        for value in [bytes(value).decode("latin-1") for name, value in headers if name.lower() == b"set-cookie"]:
            pair, *attributes = value.split(";")
            name, _, content = pair.partition("=")
            self.cookies[name] = content
            if is_over(dict(read_attribute(attribute) for attribute in attributes)):
                del self.cookies[name]

    async def visit(self, view: View) -> None:
        self.take(await self.request(view, Meeting(1)))

    async def find(self) -> Payload:
        """What the visitor's next request finds."""
        found: Payload = {}
        await self.visit(lambda scope: found.update(scope["session"]))
        return found


def read_attribute(attribute: str) -> tuple[str, str]:
    name, _, value = attribute.partition("=")
    return name.strip().lower(), value


def is_over(attributes: Mapping[str, str]) -> bool:
    """Whether a browser forgets the cookie (RFC 6265, 5.3): ``Max-Age`` counts, and only without it ``Expires``."""
    if "max-age" in attributes:
        return int(attributes["max-age"]) <= 0
    return "expires" in attributes and parsedate_to_datetime(attributes["expires"]).timestamp() <= time()


# What an app does


def change(key: str, scope: Scope) -> None:
    scope["session"][key] = True


CHANGES = [partial(change, f"key_{number}") for number in range(BESIDE)]


def sign_in(subject: Subject, scope: Scope) -> None:
    """As its documentation says, with a new id."""
    scope["session"]["user"] = "42"
    if subject.sign_in:
        subject.sign_in(scope)


def sign_out(subject: Subject, scope: Scope) -> None:
    if subject.sign_out:
        subject.sign_out(scope)
    else:
        scope["session"].clear()


# What is asked


async def count_lost(count: int, subject: Subject, chance: Random) -> int:
    """How many of ``count`` changes at once, each of a key of its own, aren't in the session afterwards."""
    browser = Browser(subject)
    await browser.visit(partial(change, "begun"))
    keys = [f"key_{number}" for number in range(count)]
    await browser.request_at_once([partial(change, key) for key in keys], chance)
    return len({*keys} - {*await browser.find()})


async def is_signed_out(subject: Subject, chance: Random) -> int:
    browser = Browser(subject)
    await browser.visit(partial(change, "begun"))
    await browser.request_at_once([partial(sign_in, subject), *CHANGES], chance)
    return "user" not in await browser.find()


async def is_revived(subject: Subject, chance: Random) -> int:
    """Whether the session is there again for the browser, or for whoever has the cookie of before."""
    browser = Browser(subject)
    await browser.visit(partial(sign_in, subject))
    before = Browser(subject, dict(browser.cookies))
    await browser.request_at_once([partial(sign_out, subject), *CHANGES], chance)
    return "user" in await browser.find() or "user" in await before.find()


@dataclass(frozen=True)
class Case:
    name: str
    play: Callable[[Subject, Random], Awaitable[int]]  # how much went wrong
    of: int  # at most
    rounds: int
    words: Mapping[str, str] = field(default_factory=dict)  # by the name of a subject or a column that can't be asked


CASES = (
    *(Case(f"{count} changes at once: lost", partial(count_lost, count), count, 20) for count in (2, 6, 20)),
    Case(f"sign-in beside {BESIDE} changes: signed out", is_signed_out, 1, 40, {LITESTAR.name: "has no new id"}),
    Case(
        f"sign-out beside {BESIDE} changes: revived",
        is_revived,
        1,
        40,
        {f"{each.name}, {COOKIE}": "has no way to end it" for each in (OURS, STARLETTE)},
    ),
)


def measure_correctness(
    track: Callable[[Iterable[Any], str], Iterable[Any]], cases: Sequence[Case] = CASES
) -> dict[str, Any]:
    """How often it went wrong, of how many times, by case and column; or the words that stand in its place."""
    with columns() as subjects:
        measured = {case.name: measure_case(case, subjects) for case in track(cases, "correctness")}
    return {"date": today(), "unshown": unshown.versions(), "cases": measured}


@contextmanager
def columns() -> Generator[dict[str, Subject]]:
    """The subjects in Redis, where there is one, in memory, in SQLite and, of ours and Starlette's, in a cookie."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        urls = {MEMORY: "", SQLITE: str(folder / "sessions.db")}
        if has_redis():
            urls = {REDIS: stack.enter_context(redis(folder, durable=False)).url, **urls}
            if unshown.has_valkey():
                urls[unshown.VALKEY] = stack.enter_context(unshown.valkey(folder))
        subjects = stack.enter_context(opened(urls, (*STORED, *unshown.UNSHOWN)))
        found = {f"{each.name}, {place}": each for place, them in subjects.items() for each in them}
        for each in (OURS, STARLETTE):
            if each.is_available:
                found[f"{each.name}, {COOKIE}"] = replace(each, run=subjects[MEMORY][0].run)
        yield found


def measure_case(case: Case, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    logging.disable(logging.WARNING)  # what can't be saved is warned about
    try:
        return {
            column: case.words.get(column) or case.words.get(subject.name) or play(case, subject)
            for column, subject in subjects.items()
        }
    finally:
        logging.disable(logging.NOTSET)


def play(case: Case, subject: Subject) -> dict[str, int]:
    chance, wrong = Random(SEED), 0  # noqa: S311  # an order of answers, and no secret

    async def run() -> None:
        nonlocal wrong
        for _ in range(case.rounds):
            wrong += await case.play(subject, chance)

    subject.run(run())
    return {"wrong": wrong, "of": case.of * case.rounds}
