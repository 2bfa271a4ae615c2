"""What is timed, and the answer that has to be right first: the one a plain dict gives."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.asgi import App, Cookies, Message, Receive, Scope, Send, call, cookies_sent, cookies_set, make_scope
from benchmarks.subjects import NONE, Subject

Payload = dict[str, Any]
Work = Callable[[Payload], Any]

KEY = "current-key-current-key-current-"  # 32 bytes, which Litestar's AES key has to be
OLD_KEYS = [f"retired-key-{number}".ljust(32, "-") for number in range(1, 9)]
COOKIE = "session"


def visitor(number: int) -> Payload:
    """The session most apps have: who it is and a CSRF token."""
    return {"user_id": 100_000 + number, "csrf_token": f"{number:032x}"}


def nested_visitor(number: int) -> Payload:
    cart = [{"sku": f"A-{number + line}", "quantity": line, "price": "19.90"} for line in range(1, 4)]
    return {**visitor(number), "cart": cart, "seen": [number, number + 1]}


def flat_visitor(number: int, size: int) -> Payload:
    """A session of about ``size`` bytes as compact JSON, in values of 64 characters."""
    entries, rest = divmod(size - len('{"user_id":100000}'), len(',"key_00":""') + 64)
    filler = {f"key_{entry:02}": f"{number:064}" for entry in range(entries)}
    return {"user_id": 100_000 + number, **filler, "rest": "x" * (rest - len(',"rest":""'))}


def large_visitor(number: int) -> Payload:
    return flat_visitor(number, 2_850)  # As much as every subject still fits into one cookie.


def read(session: Payload) -> Any:
    return session.get("user_id")


def write(session: Payload) -> None:
    session["user_id"] = 42


def read_nested(session: Payload) -> Any:
    return session["cart"][0]["sku"]


def change_nested(session: Payload) -> None:
    session["cart"].append({"sku": "B-1", "quantity": 1, "price": "5.00"})


def clear(session: Payload) -> None:
    session.clear()


@dataclass(frozen=True)
class Scenario:
    name: str
    why: str
    work: Work | None = None  # What the app does with its session; None: it leaves it alone.
    payload: Callable[[int], Payload] | None = None  # A visitor's session by her number; None: she has no cookie.
    connection: str = "http"
    other_cookies: int = 0
    signed_with: str = KEY
    fallbacks: Sequence[str] = ()
    target: float | None = None  # Ours divided by Starlette's, at most.

    @property
    def is_trusted(self) -> bool:
        return self.signed_with in (KEY, *self.fallbacks)

    def app(self, subject: Subject) -> App:
        return subject.wrap(make_app(self.work, subject), KEY, self.fallbacks)

    def session(self, number: int) -> Payload:
        """What the app must find."""
        return self.payload(number) if self.payload and self.is_trusted else {}

    def scopes(self, subject: Subject, count: int) -> list[Scope]:
        """One scope for each of ``count`` visitors."""
        numbers = range(count)
        cookies = log_in(subject, [*map(self.payload, numbers)], self.signed_with) if self.payload else [{}] * count
        return [
            scope_for(subject, self.connection, among(own, self.other_cookies), self.session(number))
            for number, own in enumerate(cookies)
        ]


SCENARIOS = (
    Scenario("untouched, no cookie", "a health check, a static file", target=0.33),
    Scenario("untouched, cookie", "most requests of most apps", payload=visitor, target=0.07),
    Scenario("read, no cookie", "is anyone logged in? no", read, target=0.65),
    Scenario("read, cookie", "is anyone logged in? yes", read, visitor, target=0.38),
    Scenario("write, no cookie", "login", write, target=0.42),
    Scenario("write, cookie", "a change of a known visitor", write, visitor, target=0.38),
    Scenario("3 kB flat, read", "what the size of a session costs", read, large_visitor, target=0.65),
    Scenario("nested, read", "noticing nested changes costs here", read_nested, nested_visitor, target=0.60),
    Scenario("nested, changed", "a change most middlewares lose", change_nested, nested_visitor),
    Scenario("20 cookies, untouched", "analytics and consent", payload=visitor, other_cookies=19, target=0.05),
    Scenario("20 cookies, read", "one cookie among many", read, visitor, other_cookies=19, target=0.36),
    Scenario("bad signature, read", "anyone can send one", read, visitor, signed_with=OLD_KEYS[0]),
    Scenario(
        "third fallback, read", "after key rotation", read, visitor, signed_with=OLD_KEYS[2], fallbacks=OLD_KEYS[:3]
    ),
    Scenario("cleared", "logout", clear, visitor),
    Scenario("websocket, read", "who is connecting?", read, visitor, "websocket"),
    Scenario("websocket, written", "a session that starts on a websocket", write, connection="websocket"),
)


def make_app(work: Work | None, subject: Subject) -> App:
    """The app under test, the same for every subject but for what its documentation has a view do."""
    load = subject.loader() if subject.loader and work else None
    sign_out = subject.sign_out if work is clear else None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if load:
            await load(scope)
        if sign_out:
            sign_out(scope)
        elif work:
            scope["state"]["answer"] = work(open_session(scope))
        await respond(scope, receive, send)

    return app


def open_session(scope: Scope) -> Any:
    """What Starlette's ``request.session`` does, for every subject alike."""
    session = scope["session"]
    if hasattr(session, "mark_accessed"):
        session.mark_accessed()
    return session


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def scope_for(subject: Subject, connection: str, cookies: Cookies, session: Payload) -> Scope:
    """The floor finds its session in the scope; everyone else has to make it from the cookies."""
    scope = make_scope(connection, cookies)
    if subject.context:
        scope.update(subject.context())
    if subject is NONE:
        scope["session"] = session
    return scope


def fresh(scope: Scope) -> Scope:
    """A copy for one call, as middlewares and apps write into theirs."""
    copy = {**scope, "state": {}}
    if "session" in scope:
        copy["session"] = deepcopy(scope["session"])
    return copy


def log_in(subject: Subject, payloads: Sequence[Payload], key: str) -> list[dict[str, str]]:
    """Every visitor's cookies, made by the subject itself: no subject's format is known here."""
    remaining = iter(payloads)

    def fill(session: Payload) -> None:
        for name, value in next(remaining).items():
            session[name] = value  # asgi-sessions 1.3 doesn't notice `update`.

    app = subject.wrap(make_app(fill, subject), key, ())
    scope = scope_for(subject, "http", {}, {})
    return [cookies_set(call(app, fresh(scope), subject.run)) for _ in payloads]


def among(own: Cookies, others: int) -> dict[str, str]:
    """The subject's own cookies, in the middle of ``others`` that aren't."""
    strangers = [(f"_tracker_{number:02}", f"GA1.2.{number:09}.1763800000") for number in range(others)]
    middle = others // 2
    return dict([*strangers[:middle], *own.items(), *strangers[middle:]])


def judge(scenario: Scenario, subject: Subject) -> str | None:
    """``None`` for a right answer; otherwise the words that stand in the table in place of a figure."""
    expected = scenario.session(0)
    answer = scenario.work(expected) if scenario.work else None
    scope = fresh(scenario.scopes(subject, 1)[0])

    messages = call(scenario.app(subject), scope, subject.run)

    if scope["state"].get("answer") != answer:
        return "loses the session" if scenario.is_trusted else "accepts it"
    if session_after(scenario, subject, scope, messages) != expected:
        return "loses the change"
    return None


def session_after(scenario: Scenario, subject: Subject, scope: Scope, messages: list[Message]) -> Payload:
    """What the visitor's next request finds."""
    if subject is NONE:
        return dict(scope["session"])
    cookies = {**cookies_sent(scope), **cookies_set(messages)}
    later = scope_for(subject, "http", cookies, {})
    call(replace(scenario, work=dict).app(subject), later, subject.run)
    return dict(later["state"]["answer"])
