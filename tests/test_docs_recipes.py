"""What the recipes say comes of it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Generator, Iterator
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlencode

import anyio
import httpx
import pytest
import time_machine
from itsdangerous import TimestampSigner

from asgi_signed_session import SessionMiddleware, SessionSigner
from asgi_signed_session.record import Rejection
from asgi_signed_session.serializers import Compressed
from asgi_signed_session.stores import MemoryStore, Sessions

from .apps import app_that, show_session, visit
from .browser import Browser
from .conftest import KEY, NOW
from .daemons import DEADLINE, Redis, has_redis, redis
from .intents import INTENTS, MEANWHILE, play
from .pages import OLD_KEY, PAGES, Names, find_blocks, run_in_page, run_page
from .records import Records
from .servers import browse, running
from .wire import sign, sign_payload

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400  # seconds
SIGNED_OUT = "recipes/signed-out.md"


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], set[str]]:
    """The events that were logged."""
    caplog.set_level(logging.DEBUG, "asgi_signed_session")
    return lambda: {vars(record)["event"] for record in caplog.records if record.name == "asgi_signed_session"}


# Why a visitor was signed out


def find_rows(heading: str) -> dict[str, list[str]]:
    """What the table under ``heading`` says in code, by what one sees: the cells after that, up to the cause."""
    section = PAGES[SIGNED_OUT].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:-2] for row in rows[1:]}


NOT_USED = find_rows("The cookie isn't used")
NOT_SENT = find_rows("The browser doesn't send it")
NOT_SAVED = find_rows("Session not saved")


def reject(cookie: str, path: str = "/", headers: Any = (), **options: Any) -> Any:
    """Why a cookie isn't used."""
    browser = Browser(SessionMiddleware(app_that(show_session), KEY, **options), cookies={"session": cookie})
    return browser.post(path, headers=[*browser.headers(), *headers]).json()[1]


def sign_with_another_key(age: int = 0) -> Any:
    with time_machine.travel(NOW - age, tick=False):
        cookie = sign({"user": "ada"}, key=OLD_KEY)
    return reject(cookie)


def sign_in_flask() -> Any:
    return reject(sign_payload(b'{"user": "ada"}', TimestampSigner(KEY, salt="cookie-session")))


def come_from_starlette() -> Any:
    return reject(sign({"user": "ada"}, signer=TimestampSigner(KEY)))


def come_late() -> Any:
    with time_machine.travel(NOW - 15 * DAY, tick=False):
        cookie = sign({"user": "ada"})
    return reject(cookie)


def sign_in(store: Any) -> Browser:
    app = app_that(lambda scope: setattr(scope["session"], "principal", "42"))
    browser = Browser(SessionMiddleware(app, KEY, store=store))
    browser.get()
    return browser


def end_in_store() -> Any:
    store = MemoryStore()
    cookie = sign_in(store).cookies["session"]
    asyncio.run(Sessions(store, KEY).end_all("42"))
    return reject(cookie, store=store)


def come_with_what_was_before_the_sign_in() -> Any:
    store = MemoryStore()
    browser = sign_in(store)
    old = browser.cookies["session"]
    browser.app = SessionMiddleware(app_that(lambda scope: scope["session"].regenerate()), KEY, store=store)
    browser.get()
    return reject(old, store=store)


def come_while_the_store_is_down() -> Any:
    store = Records()
    cookie = sign_in(store).cookies["session"]
    store.failing = {"get"}
    return reject(cookie, store=store, on_store_error="empty")


def come_from_another_site() -> Any:
    return reject(sign({"user": "ada"}), headers=[(b"sec-fetch-site", b"cross-site")], trusted_origins=())


def change_the_serializer() -> Any:
    app = app_that(lambda scope: scope["session"].update(a="a" * 999))
    browser = Browser(SessionMiddleware(app, KEY, serializer=Compressed()))
    browser.get()
    return reject(browser.cookies["session"])


# By the words with which their row begins.
UNUSED: dict[str, Callable[[], Any]] = {
    "all visitors are signed out after a deployment": lambda: sign_with_another_key(age=DAY),
    "all visitors are signed out after the move from Starlette": come_from_starlette,
    "visitors are signed out now and then": sign_with_another_key,
    "visitors are signed out when they use another app": sign_in_flask,
    "a visitor is signed out after some days": come_late,
    "with a store: a visitor is signed out on one device": end_in_store,
    "with a store: a copy of an old cookie": come_with_what_was_before_the_sign_in,
    "with a store: all visitors are signed out for a while": come_while_the_store_is_down,
    "a form or a websocket of another site": come_from_another_site,
    "visitors are signed out after a change of the serializer": change_the_serializer,
}


def find_row(rows: dict[str, list[str]], words: str) -> list[str]:
    [row] = [cells for seen, cells in rows.items() if seen.startswith(words)]
    return row


def test_every_reason_and_every_row_is_tried() -> None:
    shown = {cells[0] for cells in NOT_USED.values()}

    assert shown == {f'`"{reason}"`' for reason in get_args(Rejection)}
    assert [len(NOT_USED), len(NOT_SENT), len(NOT_SAVED)] == [len(UNUSED), len(UNSENT), len(UNSAVED)]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("words", UNUSED)
def test_a_cookie_is_not_used_for_the_reason_and_with_the_event_that_the_table_says(
    words: str, events: Callable[[], set[str]]
) -> None:
    rejected, event = find_row(NOT_USED, words)

    assert f'`"{UNUSED[words]()}"`' == rejected
    assert events() - {"session.rejected"} == set(re.findall(r"`(.+)`", event))


async def come_back(options: dict[str, Any], first: str = "/", *, closes: bool = False) -> Any:
    """What an app finds on ``/`` of a visitor who was at ``first`` before, where something was put into the session."""

    def act(scope: Any) -> Any:
        found = show_session(scope)
        scope["session"]["user"] = "ada"
        return found

    transport = httpx.ASGITransport(SessionMiddleware(app_that(act), KEY, **options))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example.com") as visitor:
        assert "set-cookie" in (await visitor.get(first)).headers
        if closes:
            visitor.cookies.jar.clear_session_cookies()
        return (await visitor.get("/")).json()


UNSENT: dict[str, tuple[dict[str, Any], str, bool]] = {
    "the browser drops the cookie on plain http": ({"https_only": True}, "/", False),
    "the browser drops the cookie at once": ({"domain": "another.example"}, "/", False),
    "the cookie is missing on some pages": ({"path": "/account"}, "/account/", False),
    "the cookie is gone when the browser was closed": ({"max_age": None}, "/", True),
}


@pytest.mark.parametrize("words", UNSENT)
def test_a_browser_does_not_send_the_cookie_for_the_cause_that_the_table_says(
    words: str, events: Callable[[], set[str]]
) -> None:
    [event] = find_row(NOT_SENT, words)
    options, first, closes = UNSENT[words]

    assert asyncio.run(come_back(options, first, closes=closes)) == [{}, None]
    assert events() == set(re.findall(r"`(.+)`", event))


def test_without_these_causes_the_browser_sends_the_cookie() -> None:
    assert asyncio.run(come_back({}, closes=True)) == [{"user": "ada"}, None]


def change_late() -> None:
    app = app_that(show_session, late=lambda scope: scope["session"].update(a=1))
    Browser(SessionMiddleware(app, KEY)).get()


def change_in_an_exception_handler() -> None:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=KEY)

    def fail() -> None:
        raise ValueError

    def change(request: Request, error: Exception) -> JSONResponse:
        request.session["a"] = 1
        return JSONResponse({}, 500)

    app.get("/")(fail)
    app.exception_handler(Exception)(change)

    async def get() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as visitor:
            await visitor.get("/")

    asyncio.run(get())


def change_twice_at_once() -> None:
    login = Browser(SessionMiddleware(visit, KEY))
    login.get("/login")

    def change(key: str) -> str:
        app = app_that(lambda scope: scope["session"].update({key: 1}))
        browser = Browser(SessionMiddleware(app, KEY), cookies=dict(login.cookies))
        browser.get()
        return browser.cookies["session"]

    first, last = change("a"), change("b")
    assert first != last
    assert SessionSigner(KEY).loads(last) == {"user": "ada", "b": 1}


UNSAVED: dict[str, Callable[[], object]] = {
    "a change in a background task": change_late,
    "a change in an exception handler": change_in_an_exception_handler,
    "with a store: a change is missing after a sign-out": lambda: play(INTENTS["set"], MEANWHILE["ended"]),
    "a change is missing now and then": change_twice_at_once,
}


@pytest.mark.parametrize("words", UNSAVED)
def test_a_change_is_lost_with_the_event_that_the_table_says(words: str, events: Callable[[], set[str]]) -> None:
    UNSAVED[words]()

    [event] = find_row(NOT_SAVED, words)
    assert events() == set(re.findall(r"`(.+)`", event))


@pytest.mark.parametrize("is_around", [True, False])
def test_starlette_says_that_there_is_no_middleware_where_another_one_is_around_it(is_around: bool) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request

    said = re.findall(r'^## "(.*)"$', PAGES[SIGNED_OUT], re.MULTILINE)

    def reading(app: Any) -> Any:
        async def read(scope: Any, receive: Any, send: Any) -> None:
            heard.append(dict(Request(scope).session))
            await app(scope, receive, send)

        return read

    heard: list[Any] = []
    app = Starlette()
    app.add_middleware(reading)
    app.add_middleware(SessionMiddleware, secret_key=KEY)
    if is_around:
        app = Starlette()
        app.add_middleware(SessionMiddleware, secret_key=KEY)
        app.add_middleware(reading)
        with pytest.raises(AssertionError) as raised:
            Browser(app).get()
        assert [str(raised.value)] == said
    else:
        Browser(app).get()
        assert heard == [{}]


def test_a_session_explains_why_it_is_empty(names: Names) -> None:
    explain = run_in_page(SIGNED_OUT, "def explain", names)["explain"]
    app = SessionMiddleware(app_that(lambda scope: explain(scope["session"])), KEY)

    answer = Browser(app, cookies={"session": "forged"}).get().json()

    assert answer == {"rejected": "bad-signature", "signed_at": None, "keys": []}


# The password again


@pytest.fixture
def account(names: Names) -> Browser:
    app = run_page("recipes/password-again.md", names)["app"]

    def add_to_cart(request: Any) -> None:
        request.session.setdefault("cart", []).append("tea")

    add_to_cart.__annotations__["request"] = names["Request"]
    app.post("/cart")(add_to_cart)
    browser = Browser(app)
    browser.post("/login", query_string=b"user=ada&password=secret")
    return browser


def test_who_has_just_typed_the_password_may_delete_the_account(
    clock: time_machine.Traveller, account: Browser
) -> None:
    assert account.post("/delete-account").start["status"] == 200
    assert account.cookies == {}


def test_ten_minutes_later_the_password_is_asked_for_again(clock: time_machine.Traveller, account: Browser) -> None:
    clock.shift(601)

    assert account.post("/delete-account").start["status"] == 401
    account.post("/confirm", query_string=b"password=secret")
    assert account.post("/delete-account").start["status"] == 200


def test_a_change_does_not_stand_in_for_the_password(clock: time_machine.Traveller, account: Browser) -> None:
    clock.shift(601)
    account.post("/cart")

    assert account.post("/delete-account").start["status"] == 401


def test_who_is_not_signed_in_deletes_nothing(account: Browser) -> None:
    account.cookies.clear()

    assert account.post("/delete-account").start["status"] == 401
    account.post("/cart")
    assert account.post("/delete-account").start["status"] == 401


# A limit of sessions


def test_the_fourth_device_ends_the_first_ones_session(names: Names, clock: time_machine.Traveller) -> None:
    run_page("recipes/session-limit.md", names)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/log-in":
            await names["log_in"](scope["session"], 42)
        await app_that(lambda scope: scope["session"].principal)(scope, receive, send)

    devices = [Browser(SessionMiddleware(app, KEY, store=names["store"])) for _ in range(4)]
    for device in devices:
        device.get("/log-in")
        clock.shift(1)

    assert [device.get().json() for device in devices] == [None, "42", "42", "42"]
    devices[1].get("/log-in")
    assert [device.get().json() for device in devices] == [None, "42", "42", "42"]


# Flash messages


def test_a_flash_survives_the_redirect_and_is_shown_once(names: Names) -> None:
    browser = Browser(run_page("recipes/flash-messages.md", names)["app"])

    redirect = browser.post("/address")

    assert (redirect.start["status"], redirect.all(b"location")) == (303, [b"/"])
    assert [browser.get().body, browser.get().body] == [b"<p>Your address was saved.</p>", b""]


# A CSRF token


class Field(HTMLParser):
    """The value of the hidden field of a form."""

    value = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if dict(attrs).get("name") == "csrf_token":
            self.value = dict(attrs)["value"] or ""


def test_a_form_is_taken_with_the_token_of_its_own_page_alone(names: Names) -> None:
    app = run_page("recipes/csrf-token.md", names)["app"]
    ada, mallory = Browser(app), Browser(app)
    field, another = Field(), Field()
    field.feed(ada.get("/transfer").body.decode())
    another.feed(mallory.get("/transfer").body.decode())

    def send(**token: str) -> Any:
        return ada.post("/transfer", urlencode({"amount": "7", **token}).encode()).start["status"]

    assert [send(csrf_token=field.value), send(csrf_token=another.value), send(csrf_token=""), send()] == [
        200,
        403,
        403,
        403,
    ]
    ada.cookies.clear()
    assert [send(csrf_token=field.value), send(csrf_token="")] == [403, 403]


# Sliding expiry


def test_a_session_in_use_lives_on_and_one_that_is_not_ends(names: Names, clock: time_machine.Traveller) -> None:
    names["app"] = app_that(show_session)
    app = run_page("recipes/sliding-expiry.md", names)["app"]
    browser = Browser(app, cookies={"session": sign({"user": "ada"})})

    for days, session in ((13, {"user": "ada"}), (13, {"user": "ada"}), (15, {})):
        clock.shift(days * DAY)
        assert browser.get().json()[0] == session


def test_both_ways_read_each_others_cookies_and_the_first_one_signs_one_of_a_minute_ago_anew(
    clock: time_machine.Traveller,
) -> None:
    sliding = SessionMiddleware(app_that(show_session), KEY, refresh_after=60)
    fixed = SessionMiddleware(app_that(show_session), KEY)
    browser = Browser(sliding, cookies={"session": sign({"user": "ada"})})
    sent = []

    for app, seconds in ((sliding, 59), (sliding, 2), (fixed, 90), (sliding, 1)):
        clock.shift(seconds)
        browser.app = app
        response = browser.get()
        assert response.json() == [{"user": "ada"}, None]
        sent.append(len(response.all(b"set-cookie")))

    assert sent == [0, 1, 0, 1]


# Open websockets

SOCKETS = "recipes/close-sockets.md"


def serve_sockets(watch: Any, **options: Any) -> Any:
    """An app whose websocket does nothing but to be closed by ``watch``."""
    from fastapi import FastAPI, Request, WebSocket

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=KEY, **options)

    async def log_in(request: Request) -> None:
        request.scope["session"].principal = "42"

    async def log_out(request: Request) -> None:
        request.session.clear()

    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.fail_after(DEADLINE):
            await watch(websocket.scope["session"], websocket)

    for function, kind in ((log_in, Request), (log_out, Request), (chat, WebSocket)):
        function.__annotations__ |= {"request": kind} if kind is Request else {"websocket": kind}
    app.post("/login")(log_in)
    app.post("/logout")(log_out)
    app.websocket("/chat")(chat)
    return app


def test_a_websocket_is_closed_when_its_session_expires(names: Names) -> None:
    from starlette.testclient import TestClient

    run_in_page(SOCKETS, "close_when_expired", names)
    with TestClient(serve_sockets(names["close_when_expired"], max_age=1)) as client:
        client.post("/login")
        with client.websocket_connect("/chat") as websocket:
            assert websocket.receive()["code"] == 4401


def test_a_silent_websocket_is_closed_once_its_user_has_signed_out(names: Names) -> None:
    from starlette.testclient import TestClient

    run_in_page(SOCKETS, "close_when_expired", names)
    close_when_signed_out = run_in_page(SOCKETS, "async def close_when_signed_out", names)["close_when_signed_out"]

    async def watch(session: Any, websocket: Any) -> None:
        await websocket.send_text("watching")
        await close_when_signed_out(session, websocket, every=0.01)

    with TestClient(serve_sockets(watch, store=MemoryStore())) as client:
        client.post("/login")
        with client.websocket_connect("/chat") as websocket:
            assert websocket.receive_text() == "watching"
            client.post("/logout")
            assert websocket.receive()["code"] == 4401


def test_a_websocket_that_talks_is_closed_too_and_ends_when_its_visitor_leaves(names: Names) -> None:
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient

    run_in_page(SOCKETS, "close_when_expired", names)
    watch = run_in_page(SOCKETS, "async def close_when_signed_out", names)["close_when_signed_out"]
    names["close_when_signed_out"] = partial(watch, every=0.01)
    app = serve_sockets(watch, store=MemoryStore())
    app.router.routes.insert(0, WebSocketRoute("/talk", run_in_page(SOCKETS, "tasks.start_soon", names)["chat"]))

    with TestClient(app) as client:
        client.post("/login")
        with client.websocket_connect("/talk") as websocket:  # which waits for the endpoint to end
            websocket.send_text("hello")
            assert websocket.receive_text() == "hello"
        with client.websocket_connect("/talk") as websocket:
            client.post("/logout")
            assert websocket.receive()["code"] == 4401


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    if not has_redis():
        pytest.skip("redis-server is not installed")
    with redis(tmp_path) as server:
        yield server


@pytest.fixture
def workers(redis_server: Redis, tmp_path: Path) -> Generator[list[httpx.Client]]:
    """A visitor's client for each of two servers."""
    app = "\n".join(find_blocks(PAGES[SOCKETS]))
    (tmp_path / "app.py").write_text(app)
    command = ("-m", "uvicorn", "app:app", "--port=0", f"--app-dir={tmp_path}")
    environment = {"SESSION_SECRET": KEY, "REDIS_URL": redis_server.url}
    with (
        running(*command, **environment) as one,
        running(*command, **environment) as another,
        browse(one) as first,
        browse(another) as second,
    ):
        yield [first, second]


def open_chat(client: httpx.Client, cookie: str) -> Any:
    from websockets.sync.client import connect

    url = str(client.base_url.copy_with(scheme="ws", path="/chat"))
    return connect(url, additional_headers={"Cookie": f"session={cookie}"}, open_timeout=DEADLINE, proxy=None)


def test_who_signs_out_at_one_worker_is_cut_off_at_the_other_and_nobody_else_is(workers: list[httpx.Client]) -> None:
    from websockets.exceptions import ConnectionClosed

    first, second = workers
    cookies = []
    for user in ("ada", "eve"):
        first.post("/login", params={"user": user})
        cookies.append(first.cookies.pop("session") or "")
    ada, eve = cookies

    with open_chat(second, ada) as of_ada, open_chat(second, eve) as of_eve:
        for chat in (of_ada, of_eve):
            chat.send("hello")
        assert [chat.recv(timeout=DEADLINE) for chat in (of_ada, of_eve)] == ["ada: hello", "eve: hello"]

        answer = first.post("/logout", headers={"Cookie": f"session={ada}"})

        with pytest.raises(ConnectionClosed) as closed:
            of_ada.recv(timeout=DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        of_eve.send("again")
        assert of_eve.recv(timeout=DEADLINE) == "eve: again"
    assert answer.headers["set-cookie"].startswith("session=null; ")
    with open_chat(second, ada) as late, pytest.raises(ConnectionClosed):
        late.recv(timeout=DEADLINE)


# Tenants


def ask(app: Any, host: str, cookies: dict[str, str]) -> Any:
    browser = Browser(app, cookies=cookies)
    headers = [(b"host", host.encode()), *[header for header in browser.headers() if header[0] == b"cookie"]]
    return browser.get(headers=headers).json()


def test_the_session_of_one_tenant_is_worth_nothing_at_another(names: Names) -> None:
    names["app"] = app_that(lambda scope: show_session(scope) if "session" in scope else None)
    run_page("recipes/multi-tenant.md", names)
    cookies = {"session": sign({"user": 42}, key=names["key_of"]("acme.example.com"))}

    found = [ask(names["app"], f"{name}.example.com", cookies) for name in ("acme", "ACME", "bolt", "else")]

    assert found == [[{"user": 42}, None], [{"user": 42}, None], [{}, "bad-signature"], None]


# Logs and metrics

METRICS = "recipes/logs-and-metrics.md"


def reject_and_lose() -> None:
    Browser(SessionMiddleware(app_that(show_session), KEY), cookies={"session": "forged"}).get()
    change_late()


def test_prometheus_counts_the_events(names: Names) -> None:
    registry = pytest.importorskip("prometheus_client", reason="prometheus-client is not installed").REGISTRY
    run_in_page(METRICS, "CountForPrometheus", names)
    reject_and_lose()

    def count(event: str, reason: str) -> Any:
        return registry.get_sample_value("session_events_total", {"event": event, "reason": reason})

    assert [count("session.rejected", "bad-signature"), count("session.unsaved", "")] == [1, 1]


def test_opentelemetry_counts_the_events_and_has_them_in_the_trace(names: Names) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="opentelemetry-sdk is not installed")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    tracing = pytest.importorskip("opentelemetry.sdk.trace")
    metrics, trace = (pytest.importorskip(f"opentelemetry.{name}") for name in ("metrics", "trace"))
    reader = export.InMemoryMetricReader()
    metrics.set_meter_provider(sdk.MeterProvider([reader]))
    trace.set_tracer_provider(tracing.TracerProvider())
    names |= {"logger": logging.getLogger("asgi_signed_session"), "logging": logging}
    names["logger"].setLevel(logging.DEBUG)
    run_in_page(METRICS, "SendToOpenTelemetry", names)

    with trace.get_tracer("test").start_as_current_span("request") as span:
        reject_and_lose()

    data: Any = reader.get_metrics_data()
    points = [
        point for metric in data.resource_metrics[0].scope_metrics[0].metrics for point in metric.data.data_points
    ]
    counted = {(point.attributes["event"], point.attributes["reason"]): point.value for point in points}
    assert counted == {("session.rejected", "bad-signature"): 1, ("session.unsaved", ""): 1}
    assert [event.name for event in span.events] == ["session.rejected", "session.unsaved"]


def test_a_line_of_json_holds_what_the_record_has(names: Names, capsys: pytest.CaptureFixture[str]) -> None:
    names |= {"logger": logging.getLogger("asgi_signed_session"), "logging": logging}
    names["logger"].setLevel(logging.DEBUG)
    run_in_page(METRICS, "AsJson", names)

    reject_and_lose()

    rejected, unsaved = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (rejected["event"], rejected["reason"]) == ("session.rejected", "bad-signature")
    assert (unsaved["event"], unsaved["path"], unsaved["keys"]) == ("session.unsaved", "/", ["a"])


# AWS Lambda


def test_a_function_counts_visits_by_the_events_of_an_api_gateway(names: Names) -> None:
    handler = run_page("recipes/aws-lambda.md", names)["handler"]

    def invoke(cookies: list[str]) -> Any:
        http = {"method": "GET", "path": "/", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1", "userAgent": ""}
        headers = {"host": "app.example.com", "x-forwarded-proto": "https", "x-forwarded-port": "443"}
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "rawQueryString": "",
            "cookies": cookies,
            "headers": headers,
            "requestContext": {"http": http, "stage": "$default", "domainName": "app.example.com"},
            "isBase64Encoded": False,
        }
        return handler(event, None)

    first = invoke([])
    [line] = first["cookies"]
    second = invoke([line.partition(";")[0]])

    assert [json.loads(answer["body"]) for answer in (first, second)] == [{"visits": 1}, {"visits": 2}]
    assert line.endswith("; secure")
