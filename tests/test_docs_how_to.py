"""What the how-to pages say comes of it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from base64 import urlsafe_b64decode, urlsafe_b64encode
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine

from asgi_signed_session import Session, SessionMiddleware, SessionSigner
from asgi_signed_session.cookies import MAX_COOKIE
from asgi_signed_session.stores import MemoryStore, Sessions
from asgi_signed_session.stores.conformance import CHECKS
from benchmarks.serializers import SERIALIZERS as COMPOSITIONS
from benchmarks.serializers import SESSIONS, size_of, takes

from .apps import app_that, show_session, visit
from .browser import Browser
from .conftest import KEY, NOW
from .pages import (
    ADMIN_KEY,
    OLD_KEY,
    PAGES,
    USER_KEY,
    Names,
    find_blocks,
    find_tabs,
    read_console,
    run_in_page,
    run_page,
)
from .records import Records, key_of, read_id
from .servers import browse, running
from .wire import KEPT, read_attributes, set_cookie, sign

DAY = 86400  # seconds

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("words", ["NEW_KEY, fallbacks=[OLD_KEY])\n", "os.environ"])
def test_a_session_of_the_old_key_is_signed_anew_with_the_new(
    words: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key, old_key = "new-key-of-the-environment", "old-key-of-the-environment"
    monkeypatch.setenv("SESSION_SECRET", new_key)
    monkeypatch.setenv("SESSION_SECRET_FALLBACKS", f"{KEY.replace(' ', '-')} {old_key}")
    names |= {"app": visit, "NEW_KEY": new_key, "OLD_KEY": old_key}
    browser = Browser(
        run_in_page("how-to/rotate-keys.md", words, names)["app"],
        cookies={"session": sign({"user": "ada"}, key=old_key)},
    )

    response = browser.get("/whoami")

    assert response.json() == {"user": "ada"}
    assert response.all(b"set-cookie") == [set_cookie({"user": "ada"}, key=new_key)]


@pytest.mark.parametrize(("before", "after"), [("step_1", "step_2"), ("step_2", "step_3")])
def test_servers_of_two_steps_of_a_rotation_read_each_others_cookies(before: str, after: str, names: Names) -> None:
    names["app"] = visit
    run_in_page("how-to/rotate-keys.md", "step_1", names)

    for signing, reading in ((before, after), (after, before)):
        browser = Browser(names[signing])
        browser.get("/login")
        browser.app = names[reading]
        assert browser.get("/whoami").json() == {"user": "ada"}


def test_servers_of_the_present_and_the_first_step_read_each_others_cookies(names: Names) -> None:
    names["app"] = visit
    browser = Browser(SessionMiddleware(visit, OLD_KEY))
    browser.get("/login")
    browser.app = run_in_page("how-to/rotate-keys.md", "step_1", names)["step_1"]

    browser.get("/add")

    browser.app = SessionMiddleware(visit, OLD_KEY)
    assert browser.get("/whoami").json() == {"user": "ada", "cart": ["tea"]}


def test_without_the_leaked_key_everyone_is_logged_out(names: Names) -> None:
    names["app"] = app_that(show_session)
    exec(find_blocks(PAGES["how-to/rotate-keys.md"])[-1], names)
    browser = Browser(names["app"], cookies={"session": sign({"user": "ada"}, key=OLD_KEY)})

    assert browser.get().json() == [{}, "bad-signature"]


@pytest.fixture
def login(names: Names) -> Any:
    def act(scope: Any) -> Any:
        if scope["path"] != "/":
            names["log_in"](scope["session"], 42, scope["path"] == "/remembered")
        return show_session(scope)

    names["app"] = app_that(act)
    return run_in_page("how-to/remember-me.md", "def log_in", names)["log_in"]


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        ("/remembered", "path=/; Max-Age=2592000; httponly; samesite=lax"),
        ("/", "path=/; httponly; samesite=lax"),
    ],
)
def test_the_browser_remembers_who_asked_to_be(path: str, attributes: str, login: Any, names: Names) -> None:
    names["app"] = app_that(lambda scope: login(scope["session"], 42, path == "/remembered"))
    browser = Browser(run_in_page("how-to/remember-me.md", "refresh_after=86400)", names)["app"])

    [line] = browser.get(path).all(b"set-cookie")

    assert read_attributes(line) == attributes


@pytest.mark.usefixtures("login")
def test_the_30_days_of_who_is_remembered_count_from_the_last_visit(
    names: Names, clock: time_machine.Traveller
) -> None:
    browser = Browser(run_in_page("how-to/remember-me.md", "refresh_after=86400)", names)["app"])
    browser.get("/remembered")

    for days, session in ((29, {"user_id": 42}), (29, {"user_id": 42}), (31, {})):
        clock.shift(days * DAY)
        assert browser.get().json()[0] == session


@pytest.mark.usefixtures("login")
def test_a_session_in_use_is_signed_once_a_day(names: Names, clock: time_machine.Traveller) -> None:
    browser = Browser(run_in_page("how-to/remember-me.md", "refresh_after=86400)", names)["app"])
    browser.get("/remembered")
    signed = []

    for seconds in (DAY, 1, DAY):
        clock.shift(seconds)
        signed.append(len(browser.get().all(b"set-cookie")))

    assert signed == [0, 1, 0]


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize(("path", "days"), [("/remembered", 22), ("/not-remembered", 11)])
def test_90_days_after_the_login_the_session_is_over(
    path: str, days: int, names: Names, clock: time_machine.Traveller
) -> None:
    browser = Browser(run_in_page("how-to/remember-me.md", "lifetime=90", names)["app"])
    browser.get(path)

    for _ in range(88 // days):
        clock.shift(days * DAY)
        assert browser.get().json() == [{"user_id": 42}, None]
    clock.shift(2 * DAY)
    assert browser.get().json() == [{}, "expired"]


@pytest.mark.usefixtures("login")
def test_who_is_not_remembered_is_signed_out_by_the_server_too_after_14_days(
    names: Names, clock: time_machine.Traveller
) -> None:
    browser = Browser(run_in_page("how-to/remember-me.md", "refresh_after=86400)", names)["app"])
    browser.get("/not-remembered")

    clock.shift(14 * DAY + 1)

    assert browser.get().json() == [{}, "expired"]


def test_the_request_of_a_framework_has_the_same_session(login: Any, names: Names) -> None:
    from starlette.requests import Request

    request = Request({"type": "http", "session": Session()})

    asyncio.run(run_in_page("how-to/remember-me.md", "async def login", names)["login"](request))

    assert (request.session, request.scope["session"].max_age) == ({"user_id": 42}, 30 * DAY)


@pytest.fixture
def app_with_users(names: Names) -> Any:
    user = {"sessions_valid_from": 0}

    def act(scope: Any) -> Any:
        session = scope["session"]
        match scope["path"]:
            case "/login":
                session["user_id"] = 42
                session.regenerate()
            case "/change":
                session["last_page"] = "/change"
            case "/everywhere":
                names["log_out_everywhere"](user)
            case "/elsewhere":
                names["log_out_elsewhere"](user, session)
            case _:
                return names["current_user"](session, {42: user}) is user
        return None

    names["app"] = app_that(act)
    return run_page("how-to/log-out-everywhere.md", names)["app"]


@pytest.fixture
def devices(app_with_users: Any, clock: time_machine.Traveller) -> tuple[Browser, Browser]:
    phone, laptop = Browser(app_with_users), Browser(app_with_users)
    phone.get("/login")
    laptop.get("/login")
    clock.shift(1)
    assert [phone.get().json(), laptop.get().json()] == [True, True]
    return phone, laptop


def test_logging_out_everywhere_ends_every_session_until_the_next_login(
    devices: tuple[Browser, Browser], clock: time_machine.Traveller
) -> None:
    phone, laptop = devices

    phone.get("/everywhere")

    assert [phone.get().json(), laptop.get().json()] == [False, False]
    clock.shift(1)
    phone.get("/login")
    assert [phone.get().json(), laptop.get().json()] == [True, False]


def test_logging_out_everywhere_ends_a_login_of_the_same_second(
    app_with_users: Any, devices: tuple[Browser, Browser]
) -> None:
    phone, laptop = devices
    laptop.get("/login")

    phone.get("/everywhere")

    assert laptop.get().json() is False


def test_a_change_makes_no_old_session_new(devices: tuple[Browser, Browser], clock: time_machine.Traveller) -> None:
    phone, laptop = devices
    phone.get("/everywhere")
    clock.shift(5)

    assert len(laptop.get("/change").all(b"set-cookie")) == 1

    assert laptop.get().json() is False


def test_logging_out_elsewhere_ends_every_session_but_this_one(devices: tuple[Browser, Browser]) -> None:
    phone, laptop = devices

    phone.get("/elsewhere")

    assert [phone.get().json(), laptop.get().json()] == [True, False]


def test_each_session_is_saved_in_its_own_cookie(names: Names) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["user_id"] = 42
        await names["sign_in_admin"](scope)
        await send({"type": "http.response.start", "status": 200})

    names["app"] = app
    response = Browser(run_page("how-to/side-by-side.md", names)["app"]).get()

    assert response.all(b"set-cookie") == [
        set_cookie({"user_id": 42}, key=USER_KEY),
        set_cookie({"admin": 42}, "path=/; Max-Age=3600; httponly; samesite=strict", key=ADMIN_KEY, name="admin"),
    ]


def test_the_room_for_a_session_is_what_the_page_says() -> None:
    [row] = [line for line in PAGES["how-to/cookie-or-store.md"].splitlines() if line.startswith("| room ")]
    most = signature(SessionMiddleware).parameters["max_size"].default

    assert [int(figure.replace(",", "")) for figure in re.findall(r"[\d,]+(?= bytes)", row)] == [MAX_COOKIE, most]


def test_sessions_in_a_file_outlive_a_restart(names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names["app"] = visit
    browser = Browser(visit)
    answers = []

    for path in ("/login", "/whoami"):
        started = run_in_page("how-to/server-side.md", "SQLiteStore(", dict(names))
        browser.app = started["app"]
        answers.append(browser.get(path).json())
        started["store"].close()

    assert answers == [None, {"user": "ada"}]


def serve_devices(names: Names, store: MemoryStore) -> Any:
    """An app that answers with the devices of its session's user, after what its path says."""
    names["store"] = store
    run_in_page("how-to/server-side.md", "def list_devices", names)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        act, _, what = scope["path"][1:].partition("/")
        if act == "log-in":
            session.principal = what
        elif act == "end":
            await names["log_out_device"](session, what)
        elif act == "elsewhere":
            await names["log_out_elsewhere"](session)
        devices = await names["list_devices"](session)
        await send({"type": "http.response.start", "status": 200})
        body = json.dumps([[device["this_one"] for device in devices], session.rejected]).encode()
        await send({"type": "http.response.body", "body": body})

    return SessionMiddleware(app, KEY, store=store)


def test_devices_are_listed_and_can_be_ended(names: Names) -> None:
    app = serve_devices(names, MemoryStore())
    phone, laptop = Browser(app), Browser(app)
    phone.get("/log-in/42")
    laptop.get("/log-in/42")

    assert sorted(phone.get().json()[0]) == [False, True]
    key = key_of(read_id(phone.cookies["session"]))
    assert laptop.get(f"/end/{key}").json()[0] == [True]
    assert phone.get().json() == [[], "expired"]
    phone.get("/log-in/42")
    laptop.get("/elsewhere")
    assert (phone.get().json(), laptop.get().json()) == ([[], "expired"], [[True], None])


def test_nobody_ends_a_session_that_is_not_theirs(names: Names) -> None:
    app = serve_devices(names, MemoryStore())
    ada, mallory = Browser(app), Browser(app)
    ada.get("/log-in/42")
    mallory.get("/log-in/7")
    mallory.get(f"/end/{key_of(read_id(ada.cookies['session']))}")

    assert ada.get().json() == [[True], None]


def test_a_websocket_is_closed_once_its_user_has_signed_out_elsewhere(names: Names) -> None:
    store = MemoryStore()
    chat = run_in_page("how-to/server-side.md", "def chat", names)["chat"]
    browser = Browser(
        SessionMiddleware(app_that(lambda scope: setattr(scope["session"], "principal", "42")), KEY, store=store)
    )
    browser.get()
    browser.app = SessionMiddleware(chat, KEY, store=store)
    said = browser.websocket(texts=["one", "two"]).messages
    assert [message.get("text") for message in said[1:]] == ["one", "two"]

    sent: list[Any] = []
    incoming: list[Any] = [{"type": "websocket.connect"}, *[{"type": "websocket.receive", "text": "hello"}] * 2]

    async def receive() -> Any:
        if len(incoming) == 1:
            await Sessions(store, KEY).end_all("42")
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/", "headers": browser.headers()}
    asyncio.run(SessionMiddleware(chat, KEY, store=store)(scope, receive, send))
    assert sent == ["websocket.accept", "websocket.send", "websocket.close"]


def test_an_app_that_loads_the_session_itself_finds_it(names: Names) -> None:
    names["store"] = MemoryStore()
    login = app_that(lambda scope: setattr(scope["session"], "principal", "42"))
    browser = Browser(SessionMiddleware(login, KEY, store=names["store"]))
    browser.get()
    browser.app = run_in_page("how-to/server-side.md", "def whoami", names)["app"]

    assert browser.get().body == b"42"


def test_of_six_requests_that_find_an_expired_token_one_refreshes_it(names: Names) -> None:
    store = MemoryStore()
    refresh_once = run_in_page("how-to/server-side.md", "def refresh_once", names)["refresh_once"]
    refreshed: list[str] = []
    tokens: list[str] = []

    async def refresh(token: str) -> str:
        refreshed.append(token)
        await asyncio.sleep(0.01)
        return "new"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        if scope["path"] == "/begin":
            session["token"] = "old"
        elif session["token"] == "old":
            await refresh_once(store, session, refresh)
            tokens.append(session["token"])
        await send({"type": "http.response.start", "status": 200})

    browser = Browser(SessionMiddleware(app, KEY, store=store))
    browser.get("/begin")

    async def send(message: Any) -> None: ...

    async def main() -> None:
        scopes = [{"type": "http", "path": "/", "headers": browser.headers()} for _ in range(6)]
        await asyncio.gather(*[SessionMiddleware(app, KEY, store=store)(scope, None, send) for scope in scopes])

    with time_machine.travel(NOW, tick=True):
        asyncio.run(main())

    assert (refreshed, tokens) == (["old"], ["new"] * 6)


def test_who_signs_in_keeps_what_they_had_and_has_a_new_id(names: Names) -> None:
    run_in_page("how-to/server-side.md", "def log_in(", names)
    store = Records()

    def act(scope: Any) -> Any:
        if scope["path"] == "/log-in":
            names["log_in"](scope["session"], {"id": 42, "name": "Ada"})
        else:
            scope["session"].setdefault("cart", ["tea"])
        return [scope["session"].principal, *show_session(scope)]

    browser = Browser(SessionMiddleware(app_that(act), KEY, store=store))
    browser.get()
    before = browser.cookies["session"]

    assert browser.get("/log-in").json() == ["42", {"cart": ["tea"], "name": "Ada"}, None]
    assert browser.cookies["session"] != before


def test_a_store_may_be_tried_with_the_tests_of_ours(names: Names) -> None:
    names["store"] = MemoryStore()
    run_in_page("how-to/server-side.md", "CHECKS", names)

    asyncio.run(names["test_my_store"](CHECKS[0]))


def test_a_dict_is_a_store(names: Names) -> None:
    names["app"] = visit
    browser = Browser(run_in_page("how-to/server-side.md", "class DictStore", names)["app"])

    browser.get("/login")

    assert browser.get("/whoami").json() == {"user": "ada"}
    browser.get("/logout")
    assert browser.cookies == {}


@pytest.mark.parametrize(
    ("address", "attributes"), [("127.0.0.1", f"{KEPT}; secure"), ("10.0.0.5", KEPT)], ids=["trusted", "another"]
)
def test_uvicorn_believes_the_proxy_that_it_is_told_of(
    address: str, attributes: str, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(find_tabs("tutorial.md")["Raw ASGI"])
    [command] = [command for command, _ in read_console("how-to/proxy.md") if "10.0.0.5" in command]
    arguments = shlex.split(command.replace("10.0.0.5", address))

    with running("-m", *arguments, "--port=0", f"--app-dir={tmp_path}") as server, browse(server) as client:
        response = client.get("/", headers={"X-Forwarded-Proto": "https"})

    assert read_attributes(response.headers["set-cookie"].encode()) == attributes


@pytest.mark.usefixtures("names")
def test_on_cloud_run_the_cookie_is_secure(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(find_tabs("tutorial.md")["Raw ASGI"])
    [command] = [command for command, _ in read_console("how-to/proxy.md") if "$PORT" in command]
    arguments = shlex.split(command.replace("$PORT", "0").replace("0.0.0.0", "127.0.0.1"))

    with running("-m", *arguments, f"--app-dir={tmp_path}") as server, browse(server) as client:
        response = client.get("/", headers={"X-Forwarded-Proto": "https"})

    assert read_attributes(response.headers["set-cookie"].encode()) == f"{KEPT}; secure"


@pytest.mark.parametrize(
    ("words", "name"),
    [("SECRET, https", "session"), ("__Host-", "__Host-Http-session"), ("__session", "__session")],
)
def test_with_https_only_the_cookie_is_secure_whatever_the_server_knows(words: str, name: str, names: Names) -> None:
    names["app"] = visit

    response = Browser(run_in_page("how-to/proxy.md", words, names)["app"]).get("/login")

    assert response.all(b"set-cookie") == [set_cookie({"user": "ada"}, f"{KEPT}; secure", name=name)]


SERIALIZERS = "how-to/serializers.md"


def test_the_payload_that_is_shown_is_what_is_written(names: Names) -> None:
    run_page(SERIALIZERS, names)

    assert [block.encode() for block in find_blocks(PAGES[SERIALIZERS], "json")] == [names["payload"] + b"\n"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain", "step_1"),
        ("step_1", "step_2"),
        ("step_2", "step_3"),
        ("key_step_0", "key_step_1"),
        ("key_step_1", "key_step_2"),
        ("key_step_2", "key_step_3"),
    ],
)
def test_servers_of_two_steps_to_another_serializer_read_each_others_cookies(
    before: str, after: str, names: Names
) -> None:
    names["app"] = visit
    run_page(SERIALIZERS, names)
    names["plain"] = SessionMiddleware(visit, KEY)
    names["key_step_0"] = SessionMiddleware(visit, KEY, serializer=names["Encrypted"](keys=[OLD_KEY]))
    apps = [names[name] for name in (before, after)]
    for app in apps:
        app.app = visit  # on the page, each is around all those above it

    for signing, reading in (apps, apps[::-1]):
        browser = Browser(signing)
        browser.get("/login")
        browser.app = reading
        assert browser.get("/whoami").json() == {"user": "ada"}


def test_what_reads_in_the_first_step_to_compression_reads_both_kinds_of_cookie(names: Names) -> None:
    reading = run_page(SERIALIZERS, names)["reading"]
    content = {"cart": ["tea"] * 100}

    for serializer in (names["json"], names["Compressed"]()):
        cookie = SessionSigner(KEY, serializer=serializer).dumps(content)
        assert SessionSigner(KEY, serializer=reading).loads(cookie) == content


def test_the_sizes_in_the_table_are_those_of_the_cookies() -> None:
    table = PAGES[SERIALIZERS].partition("<!-- serializers:start -->")[2]
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in table.splitlines() if row.startswith("| `")]

    assert [name for name, *_ in rows] == list(COMPOSITIONS)
    for name, *cells in rows:
        assert cells[::2] == [
            near(size, size_of(name, session) if takes(name, session) else None, "Compressed" in name)
            for session, size in zip(SESSIONS, cells[::2], strict=True)
        ]


def test_the_sizes_in_the_text_are_those_of_the_cookies() -> None:
    added = [
        size_of("Encrypted(keys=[KEY])", session) - size_of("json", session)
        for session in SESSIONS
        if takes("json", session)
    ]
    cookie = SessionSigner(KEY, serializer=COMPOSITIONS["Encrypted(keys=[KEY])"]()).dumps(SESSIONS["a cart"])
    payload = cookie.partition(".")[0]
    token = urlsafe_b64encode(urlsafe_b64decode(payload))

    text = " ".join(PAGES[SERIALIZERS].split())
    assert f"encryption adds {min(added)} to {max(added)} bytes to a cookie" in text
    assert f"{len(payload)} bytes instead of {len(urlsafe_b64encode(token))} for the cart" in text


def near(shown: str, size: int | None, is_compressed: bool) -> str:
    """``size``, or what is shown where another version of zlib may have found that way to shorten."""
    if is_compressed and shown and size and abs(int(shown) - size) <= size * 0.03:
        return shown
    return "" if size is None else str(size)


FROM_ELSEWHERE = [(b"host", b"app.example.com"), (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")]


@pytest.fixture
def guarded(names: Names) -> Names:
    """The blocks of the page on cross-site requests, around an app that says what it finds."""
    names |= {"app": app_that(show_session), "verify": lambda form: int(form["id"][0])}
    return run_page("how-to/cross-site.md", names)


def show_in_fastapi(app: Any) -> None:
    from fastapi import Request

    async def show(request: Request) -> Any:
        return show_session(request.scope)

    show.__annotations__["request"] = Request
    app.api_route("/", methods=["GET", "POST"])(show)


@pytest.mark.parametrize(
    ("name", "origin", "found"),
    [
        ("fastapi_app", "https://evil.example", [{}, "cross-site"]),
        ("fastapi_app", "https://www.example.com", [{}, "cross-site"]),
        ("frontend_api", "https://evil.example", [{}, "cross-site"]),
        ("frontend_api", "https://www.example.com", [{"user": "ada"}, None]),
        ("frontend_api", "http://localhost:3000", [{"user": "ada"}, None]),
    ],
)
def test_a_form_from_elsewhere_finds_the_session_where_its_origin_is_listed(
    name: str, origin: str, found: list[Any], guarded: Names
) -> None:
    app = guarded[name]
    show_in_fastapi(app)
    headers = [(b"cookie", f"session={sign({'user': 'ada'})}".encode()), *FROM_ELSEWHERE, (b"origin", origin.encode())]

    response = Browser(app).post(headers=headers)

    assert response.json() == found
    may_read = [origin.encode()] if found[1] is None else []
    assert response.all(b"access-control-allow-origin") == may_read


@pytest.mark.parametrize("make", [lambda names: names["strict_app"], lambda names: run_refusing(names)["app"]])
def test_three_lines_answer_403_to_a_form_from_elsewhere_and_to_nothing_else(make: Any, guarded: Names) -> None:
    app = make(guarded)
    if app is guarded["strict_app"]:
        show_in_fastapi(app)
    browser = Browser(app, cookies={"session": sign({"user": "ada"})})

    assert browser.post(headers=FROM_ELSEWHERE).start["status"] == 403
    assert browser.get(headers=[*browser.headers(), *FROM_ELSEWHERE[1:]]).json() == [{"user": "ada"}, None]
    assert browser.post().json() == [{"user": "ada"}, None]


def run_refusing(names: Names) -> Names:
    return run_in_page("how-to/cross-site.md", "def refusing_cross_site", {**names, "app": app_that(show_session)})


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        (b"https://app.example.com", ["websocket.accept", "websocket.send", "websocket.close"]),
        (b"https://evil.example.com", ["websocket.close"]),
    ],
)
def test_a_page_from_elsewhere_gets_no_websocket(origin: bytes, sent: list[str], guarded: Names) -> None:
    headers = [(b"host", b"app.example.com"), (b"origin", origin)]

    response = Browser(guarded["fastapi_app"]).websocket("/chat", headers=headers)

    assert [message["type"] for message in response.messages] == sent


def sign_in_by_post(app: Any, origin: bytes, state: str | None = None) -> tuple[Browser, int]:
    """A browser that has been to the provider, whose page, or another's, has sent it back."""
    browser = Browser(app, scheme="https")
    [location] = browser.get("/login").all(b"location")
    state = state or parse_qs(urlsplit(location.decode()).query)["state"][0]
    from_there = [*FROM_ELSEWHERE[1:], (b"origin", origin)]
    body = urlencode({"state": state, "id": 42}).encode()
    response = browser.post("/callback", body, headers=[*browser.headers(), *from_there])
    browser.get("/signed-in", headers=[*browser.headers(), *FROM_ELSEWHERE[1:]])
    return browser, response.start["status"]


def test_a_sign_in_that_comes_back_by_post_ends_in_the_session(guarded: Names) -> None:
    browser, status = sign_in_by_post(guarded["sign_in_app"], b"https://login.example.net")

    assert status == 303
    assert list(browser.cookies) == ["session"]  # that of the handshake is deleted
    assert SessionSigner(KEY).loads(browser.cookies["session"]) == {"user_id": 42}


@pytest.mark.parametrize(
    ("origin", "state"), [(b"https://evil.example", None), (b"https://login.example.net", "another")]
)
def test_a_sign_in_that_was_not_begun_here_signs_nobody_in(origin: bytes, state: str | None, guarded: Names) -> None:
    browser, status = sign_in_by_post(guarded["sign_in_app"], origin, state)

    assert status == 403
    assert "session" not in browser.cookies


def test_behind_a_proxy_that_changes_host_the_apps_own_origin_is_listed(guarded: Names) -> None:
    names = run_in_page(
        "how-to/cross-site.md", 'trusted_origins=["https://app', {**guarded, "app": app_that(show_session)}
    )
    session = (b"cookie", f"session={sign({'user': 'ada'})}".encode())
    headers = [session, (b"host", b"10.0.0.5:8000"), (b"origin", b"https://app.example.com")]

    assert Browser(names["app"]).post(headers=headers).json() == [{"user": "ada"}, None]


TYPED = "how-to/typed-session.md"


def answer_in_page(act: str, names: Names, session: dict[str, Any]) -> Any:
    """What a function of the page on typed sessions makes of a visitor's session, and the cookie that it sets."""
    from starlette.requests import Request

    run_page(TYPED, names)
    app = app_that(lambda scope: repr(names[act](Request(scope))))
    response = Browser(SessionMiddleware(app, KEY), cookies={"session": sign(session)}).get()
    return response.json(), response.all(b"set-cookie")


def test_what_is_changed_in_a_typed_session_is_saved(names: Names) -> None:
    browser = Browser(run_page(TYPED, names)["app"])
    browser.post("/cart/tea")

    assert browser.post("/cart/jam").json() == 2

    signer = SessionSigner(names["os"].environ["SESSION_SECRET"])
    assert signer.loads(browser.cookies["session"]) == {"cart": ["tea", "jam"]}
    assert browser.get("/whoami").json() is None
    browser.cookies["session"] = signer.dumps({"user_id": 42})
    assert browser.get("/whoami").json() == 42


@pytest.mark.parametrize("act", ["read_visitor", "check_with_pydantic", "check_with_msgspec"])
def test_a_dataclass_is_made_of_the_session_and_sets_no_cookie(act: str, names: Names) -> None:
    answer, set_cookies = answer_in_page(act, names, {"user_id": 42, "cart": ["tea"]})

    assert answer == "Visitor(user_id=42, cart=['tea'])"
    assert set_cookies == []


def test_a_dataclass_is_put_back_into_the_session(names: Names) -> None:
    from starlette.requests import Request

    run_page(TYPED, names)
    app = app_that(lambda scope: names["write_visitor"](Request(scope), names["Visitor"](42, ["jam"])))
    response = Browser(SessionMiddleware(app, KEY), cookies={"session": sign({"cart": ["tea"]})}).get()

    assert response.all(b"set-cookie") == [set_cookie({"cart": ["jam"], "user_id": 42})]


def test_a_sign_in_under_both_types_is_one_session(names: Names) -> None:
    from starlette.requests import Request

    run_page(TYPED, names)
    app = app_that(lambda scope: names["log_in"](Request(scope), 42))
    response = Browser(SessionMiddleware(app, KEY), cookies={"session": sign({"cart": ["tea"]})}).get()

    signed_in = {"cart": ["tea"], "user_id": 42, "$session": {"principal": "42"}}
    assert response.all(b"set-cookie") == [set_cookie(signed_in)]


@pytest.mark.parametrize(
    ("act", "error"),
    [("read_visitor", TypeError), ("check_with_pydantic", ValueError), ("check_with_msgspec", ValueError)],
)
def test_a_session_of_another_shape_is_an_error(act: str, error: type[Exception], names: Names) -> None:
    session = {"name": "Ada"} if act == "read_visitor" else {"user_id": "Ada"}

    with pytest.raises(error):
        answer_in_page(act, names, session)
