"""The app in examples/devices: its sign-in, its list of devices and its chat, in-process and as its users start it."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import time_machine
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from examples.devices.accounts import FREE_TRIES, Accounts, TooManyTriesError, User
from examples.devices.app import COOKIE, HEADERS, Settings, create_app
from examples.devices.chat import BACKLOG, Room
from examples.devices.devices import describe_browser
from examples.devices.passwords import Cost, hash_password, is_right

from .conftest import KEY, NOW
from .daemons import DEADLINE, Redis, has_redis, redis, wait_until
from .servers import ROOT, Server, browse, running

CHEAP = Cost(n=2, r=1, p=1)
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
)

OpenDevice = Callable[..., TestClient]


# Accounts.


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "accounts.db", CHEAP)


@pytest.fixture
def ada(accounts: Accounts) -> User:
    user = accounts.create("ada", PASSWORD)
    assert user is not None
    return user


def try_wrongly(accounts: Accounts, name: str, times: int) -> None:
    for _ in range(times):
        assert accounts.check(name, WRONG) is None


def find_wait(accounts: Accounts, name: str, password: str = PASSWORD) -> int:
    """How long a further try has to wait."""
    with pytest.raises(TooManyTriesError) as refusal:
        accounts.check(name, password)
    return refusal.value.wait


def test_an_account_is_found_by_its_password_and_by_its_id(accounts: Accounts, ada: User) -> None:
    assert accounts.check(" Ada ", PASSWORD) == ada
    assert accounts.check("ada", WRONG) is None
    assert accounts.check("bea", PASSWORD) is None
    assert (accounts.find(ada.id), accounts.find("ada")) == (ada, None)


def test_a_name_is_taken_once(accounts: Accounts, ada: User) -> None:
    assert accounts.create("ADA", WRONG) is None
    assert accounts.check("ada", PASSWORD) == ada


def test_accounts_outlive_a_restart(accounts: Accounts, ada: User, tmp_path: Path) -> None:
    assert Accounts(tmp_path / "accounts.db", CHEAP).check("ada", PASSWORD) == ada


def test_of_a_password_a_salted_hash_is_kept(accounts: Accounts, ada: User, tmp_path: Path) -> None:
    accounts.create("bea", PASSWORD)

    assert PASSWORD.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert hash_password(PASSWORD, CHEAP) != hash_password(PASSWORD, CHEAP)


def test_a_password_is_the_same_however_a_keyboard_composes_its_letters() -> None:
    kept = hash_password("caf\u00e9", CHEAP)

    assert is_right("cafe\u0301", kept)
    assert not is_right("cafe", kept)


def test_what_was_kept_at_another_cost_still_holds() -> None:
    assert is_right(PASSWORD, hash_password(PASSWORD, Cost(n=4, r=2, p=3)))


def test_an_unknown_name_takes_as_long_as_a_known_one(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.db")
    accounts.create("ada", PASSWORD)
    seconds: list[float] = []
    for name in ("ada", "nobody"):
        begun = time.thread_time()
        accounts.check(name, WRONG)
        seconds.append(time.thread_time() - begun)

    known, unknown = seconds
    assert known / 2 < unknown < known * 2


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_after_five_wrong_passwords_a_name_has_to_wait_even_for_the_right_one(
    name: str, accounts: Accounts, ada: User, clock: time_machine.Traveller
) -> None:
    try_wrongly(accounts, name, 5)

    assert find_wait(accounts, name) == 60
    clock.shift(59.5)
    assert find_wait(accounts, name) == 1
    clock.shift(0.5)
    assert accounts.check("ada", PASSWORD) == ada


def test_each_wrong_password_more_doubles_the_wait_up_to_a_quarter_of_an_hour(
    accounts: Accounts, ada: User, clock: time_machine.Traveller
) -> None:
    try_wrongly(accounts, "ada", 5)
    waits: list[int] = []
    for _ in range(30):
        waits.append(find_wait(accounts, "ada"))
        clock.shift(waits[-1])
        try_wrongly(accounts, "ada", 1)

    assert waits == [60, 120, 240, 480] + [900] * 26


def test_the_right_password_has_the_wrong_ones_forgotten(
    accounts: Accounts, ada: User, clock: time_machine.Traveller
) -> None:
    try_wrongly(accounts, "ada", 4)
    accounts.check("ada", PASSWORD)
    try_wrongly(accounts, "ada", 5)

    assert find_wait(accounts, "ada") == 60


def test_a_day_without_a_try_has_the_wrong_ones_forgotten(
    accounts: Accounts, ada: User, clock: time_machine.Traveller
) -> None:
    try_wrongly(accounts, "ada", 5)
    clock.shift(24 * 60 * 60 + 1)
    try_wrongly(accounts, "ada", 5)

    assert find_wait(accounts, "ada") == 60


def test_of_many_guesses_at_once_no_more_are_looked_at_than_one_by_one(accounts: Accounts, ada: User) -> None:
    def guess(_: int) -> bool:
        try:
            accounts.check("ada", WRONG)
        except TooManyTriesError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        looked_at = sum(threads.map(guess, range(40)))

    assert looked_at == FREE_TRIES


# Devices.


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/138.0.0.0", "Edge on Windows"),
        (f"{CHROME} OPR/120.0.0.0", "Opera on Windows"),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/138.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) CriOS/138.0 Safari/604.1", "Chrome on iPad"),
        ("curl/8.14.1", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_a_device_is_called_by_its_browser_and_system(user_agent: str, name: str) -> None:
    assert describe_browser(user_agent) == name


# The app. What one test has another begin anew, as each has its own folder.


@pytest.fixture
def look_every() -> float:
    """Seconds; long enough that no test waits for it."""
    return 10 * DEADLINE


@pytest.fixture
def app(tmp_path: Path, look_every: float) -> FastAPI:
    return create_app(Settings(KEY, folder=tmp_path, look_every=look_every, cost=CHEAP))


@pytest.fixture
def open_device(app: FastAPI) -> Generator[OpenDevice]:
    """Opens one browser more, and signs in: ``open_device("ada", user_agent=IPHONE)``."""
    with TestClient(app) as running_app:

        def open_one(name: str = "", *, user_agent: str = FIREFOX, remember: bool = False) -> TestClient:
            device = TestClient(app, headers={"user-agent": user_agent}, follow_redirects=False)
            device.portal = running_app.portal  # one app, in one event loop
            if name:
                if post(device, "/signup", name=name, password=PASSWORD).status_code == 400:  # there is one already
                    sign_in(device, name)
                elif remember:
                    sign_in(device, name, remember="on")
            return device

        yield open_one


def post(device: TestClient, path: str, /, **form: str) -> Any:
    return device.post(path, data=form)


def sign_in(device: TestClient, name: str, password: str = PASSWORD, **form: str) -> None:
    response = post(device, "/signin", name=name, password=password, **form)
    assert (response.status_code, response.headers["location"]) == (303, "/")


def read(pattern: str, response: Any) -> list[str]:
    """What a reader sees of each match."""
    found = re.findall(pattern, response.text, re.DOTALL)
    return [" ".join(unescape(re.sub("<.*?>", " ", part)).split()) for part in found]


def read_problem(response: Any) -> str:
    [problem] = read('<p class="problem" id="problem" role="alert">(.*?)</p>', response)
    return problem


def read_notices(response: Any) -> list[str]:
    return read('<p class="notice" role="status">(.*?)</p>', response)


def list_devices(device: TestClient) -> list[str]:
    response = device.get("/")
    assert response.status_code == 200
    return read("<li>(.*?)</li>", response)


def find_keys(device: TestClient) -> list[str]:
    """The keys of the devices that this one may sign out."""
    return read('name="key" value="(.*?)"', device.get("/"))


def is_signed_in(device: TestClient) -> bool:
    response = device.get("/")
    return (response.status_code, response.headers.get("location")) != (303, "/signin")


def test_whoever_creates_an_account_is_signed_in(open_device: OpenDevice) -> None:
    device = open_device()
    assert not is_signed_in(device)

    response = post(device, "/signup", name=" Ada ", password=PASSWORD)

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert is_signed_in(device)
    assert read("<strong>(.*?)</strong>", device.get("/")) == ["ada"]


@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("bea", PASSWORD, "This name is taken."),
        ("BEA", PASSWORD, "This name is taken."),
        (
            "b",
            PASSWORD,
            "A name is 2 to 30 letters, digits, hyphens and underscores, and begins with a letter or a digit.",
        ),
        (
            "-a",
            PASSWORD,
            "A name is 2 to 30 letters, digits, hyphens and underscores, and begins with a letter or a digit.",
        ),
        (
            "ad<a",
            PASSWORD,
            "A name is 2 to 30 letters, digits, hyphens and underscores, and begins with a letter or a digit.",
        ),
        ("ada", "x" * 14, "A password has 15 to 200 characters."),
        ("ada", "x" * 201, "A password has 15 to 200 characters."),
    ],
)
def test_an_account_that_can_not_be_is_refused_with_the_reason(
    name: str, password: str, problem: str, open_device: OpenDevice
) -> None:
    open_device("bea")
    device = open_device()

    response = post(device, "/signup", name=name, password=password)

    assert (response.status_code, read_problem(response)) == (400, problem)
    assert unescape(read('name="name" value="(.*?)"', response)[0]) == name
    assert response.headers.get_list("set-cookie") == []
    assert not is_signed_in(device)


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(open_device: OpenDevice) -> None:
    open_device("ada")
    device = open_device()

    wrong = post(device, "/signin", name="ada", password=WRONG)
    unknown = post(device, "/signin", name="bea", password=PASSWORD)

    assert (wrong.status_code, read_problem(wrong)) == (403, "This name and password don't go together.")
    assert unknown.text == wrong.text.replace('value="ada"', 'value="bea"')
    assert (unknown.status_code, unknown.headers) == (wrong.status_code, wrong.headers)
    assert not is_signed_in(device)


def test_what_a_visitor_typed_is_escaped(open_device: OpenDevice) -> None:
    response = post(open_device(), "/signin", name='"><script>alert(1)</script>', password=WRONG)

    assert 'value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in response.text
    assert "<script" not in response.text


def test_who_guesses_at_a_password_has_to_wait_and_whoever_is_signed_in_has_not(open_device: OpenDevice) -> None:
    device, guesser = open_device("ada"), open_device()
    for _ in range(5):
        assert post(guesser, "/signin", name="ada", password=WRONG).status_code == 403

    response = post(guesser, "/signin", name="ada", password=PASSWORD)

    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert read_problem(response) == "Too many wrong passwords for this account. Try again in a minute."
    assert response.headers.get_list("set-cookie") == []
    assert is_signed_in(device)


@pytest.mark.parametrize(
    ("form", "attributes"),
    [
        ({"remember": "on"}, "path=/; Max-Age=2592000; httponly; samesite=lax"),
        ({}, "path=/; httponly; samesite=lax"),
    ],
    ids=["remembered", "not remembered"],
)
def test_remember_me_gives_the_cookie_thirty_days(
    form: dict[str, str], attributes: str, open_device: OpenDevice
) -> None:
    open_device("ada")

    response = post(open_device(), "/signin", name="ada", password=PASSWORD, **form)

    [line] = response.headers.get_list("set-cookie")
    cookie, _, found = line.partition("; ")
    assert (cookie.partition("=")[0], found) == (COOKIE, attributes)


@pytest.mark.parametrize(
    ("remember", "lasts"),
    [(True, 30 * 24 * 60 * 60), (False, 24 * 60 * 60)],
    ids=["remembered", "not remembered"],
)
def test_a_device_is_signed_out_when_it_was_away_for_long(
    remember: bool, lasts: int, open_device: OpenDevice, clock: time_machine.Traveller
) -> None:
    device = open_device("ada", remember=remember)

    clock.shift(lasts - 1)  # a visit, with which it begins again
    assert is_signed_in(device)
    clock.shift(lasts - 1)
    assert is_signed_in(device)
    clock.shift(lasts + 1)
    assert not is_signed_in(device)


def test_ninety_days_after_the_sign_in_the_password_is_asked_for(
    open_device: OpenDevice, clock: time_machine.Traveller
) -> None:
    device = open_device("ada", remember=True)
    for day in range(10, 91, 10):
        clock.move_to(NOW + day * 24 * 60 * 60 - 1)
        assert is_signed_in(device)

    clock.shift(1)

    assert not is_signed_in(device)


def test_the_devices_of_a_user_are_listed_with_when_they_were_last_seen(
    open_device: OpenDevice, clock: time_machine.Traveller
) -> None:
    open_device("ada", user_agent=CHROME)
    clock.shift(3600)
    phone = open_device("ada", user_agent=IPHONE)
    clock.shift(7200)
    laptop = open_device("ada", user_agent=FIREFOX)
    open_device("another")
    clock.shift(120)

    assert list_devices(laptop) == [
        "Firefox on Linux Signed in 2 minutes ago This device",
        "Safari on iPhone Last seen 2 hours ago Signed in 2 hours ago Sign out",
        "Chrome on Windows Last seen 3 hours ago Signed in 3 hours ago Sign out",
    ]

    phone.get("/chat")

    assert list_devices(laptop)[1] == "Safari on iPhone Last seen just now Signed in 2 hours ago Sign out"


def test_a_device_in_use_is_noted_once_a_minute(open_device: OpenDevice, clock: time_machine.Traveller) -> None:
    device, other = open_device("ada"), open_device("ada", user_agent=IPHONE)
    clock.shift(59)
    device.get("/")
    assert list_devices(other)[1].startswith("Firefox on Linux Last seen just now")

    clock.shift(30)
    assert list_devices(other)[1].startswith("Firefox on Linux Last seen 1 minute ago")
    device.get("/")
    assert list_devices(other)[1].startswith("Firefox on Linux Last seen just now")


def test_a_user_signs_out_one_device(open_device: OpenDevice) -> None:
    laptop, phone, tablet = open_device("ada"), open_device("ada", user_agent=IPHONE), open_device("ada")
    key = find_keys(laptop)[[name.split()[0] for name in list_devices(laptop)[1:]].index("Safari")]

    response = post(laptop, "/devices/end", key=key)

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert read_notices(laptop.get("/")) == ["Signed out on Safari on iPhone."]
    assert read_notices(laptop.get("/")) == []  # it is said once
    assert [is_signed_in(device) for device in (laptop, phone, tablet)] == [True, False, True]
    assert read_notices(phone.get("/signin")) == [
        "You are signed out here: from another device, or because you were away for long."
    ]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (0, "Signed out on 0 other devices."),
        (1, "Signed out on 1 other device."),
        (3, "Signed out on 3 other devices."),
    ],
)
def test_a_user_signs_out_all_devices_but_this_one(others: int, said: str, open_device: OpenDevice) -> None:
    laptop, another = open_device("ada"), open_device("another")
    devices = [open_device("ada") for _ in range(others)]

    post(laptop, "/devices/end-others")

    assert read_notices(laptop.get("/")) == [said]
    assert [is_signed_in(device) for device in (laptop, another, *devices)] == [True, True] + [False] * others


def test_nobody_signs_out_another_users_device(open_device: OpenDevice) -> None:
    device, _ = open_device("ada"), open_device("ada")
    [key] = find_keys(device)
    mallory = open_device("mallory")

    post(mallory, "/devices/end", key=key)
    post(mallory, "/devices/end", key="nonsense")
    post(mallory, "/devices/end")

    assert find_keys(device) == [key]


def test_a_device_that_signs_out_is_in_no_list_and_its_cookie_gone(open_device: OpenDevice) -> None:
    device, other = open_device("ada"), open_device("ada", user_agent=IPHONE)
    copy = device.cookies[COOKIE]

    response = post(device, "/signout")

    assert response.headers.get_list("set-cookie") == [
        f"{COOKIE}=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"
    ]
    assert not is_signed_in(device)
    assert len(list_devices(other)) == 1
    assert not is_signed_in(with_cookie(open_device(), copy))


def with_cookie(device: TestClient, cookie: str) -> TestClient:
    device.cookies.set(COOKIE, cookie, domain="testserver.local", path="/")
    return device


def test_a_session_that_was_planted_is_not_the_one_that_its_victim_signs_in_to(open_device: OpenDevice) -> None:
    open_device("ada")
    mallory = open_device("mallory")
    planted = mallory.cookies[COOKIE]
    victim = with_cookie(open_device(), planted)

    sign_in(victim, "ada")

    assert victim.cookies[COOKIE] != planted
    assert read("<strong>(.*?)</strong>", victim.get("/"))[0] == "ada"
    assert not is_signed_in(mallory)


def test_a_copy_of_a_cookie_is_void_once_its_user_has_signed_in_again(open_device: OpenDevice) -> None:
    device = open_device("ada")
    thief = with_cookie(open_device(), device.cookies[COOKIE])
    assert is_signed_in(thief)

    sign_in(device, "ada")

    assert is_signed_in(device)
    assert not is_signed_in(thief)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "origin": "https://evil.test"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "origin": "http://sibling.testserver"},
    ],
)
def test_another_sites_page_signs_nobody_in_or_out(headers: dict[str, str], open_device: OpenDevice) -> None:
    device, other, visitor = open_device("ada"), open_device("ada"), open_device()
    for each in (device, visitor):
        each.headers.update(headers)
    responses = [
        post(visitor, "/signin", name="ada", password=PASSWORD),
        post(visitor, "/signup", name="mallory", password=PASSWORD),
        post(device, "/signin", name="ada", password=PASSWORD),
        post(device, "/signout"),
        post(device, "/devices/end-others"),
    ]
    for each in (device, visitor):
        for name in headers:
            del each.headers[name]

    assert [response.status_code for response in responses] == [403] * 5
    assert [response.headers.get_list("set-cookie") for response in responses] == [[]] * 5
    assert [is_signed_in(each) for each in (device, other, visitor)] == [True, True, False]


def test_a_link_from_another_site_finds_its_visitor_signed_in(open_device: OpenDevice) -> None:
    device = open_device("ada")

    response = device.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/", "/chat"])
def test_whoever_is_not_signed_in_is_sent_to_the_sign_in(path: str, open_device: OpenDevice) -> None:
    response = open_device().get(path)

    assert (response.status_code, response.headers["location"]) == (303, "/signin")


@pytest.mark.parametrize("path", ["/devices/end", "/devices/end-others"])
def test_whoever_is_not_signed_in_ends_nothing(path: str, open_device: OpenDevice) -> None:
    response = post(open_device(), path, key="0" * 64)

    assert (response.status_code, response.headers["location"]) == (303, "/signin")


@pytest.mark.parametrize("path", ["/signin", "/signup"])
def test_whoever_is_signed_in_is_sent_to_their_devices(path: str, open_device: OpenDevice) -> None:
    response = open_device("ada").get(path)

    assert (response.status_code, response.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/elsewhere", b"", 404),
        ("GET", "/signout", b"", 405),
        ("POST", "/signin", b"name=" + b"x" * 8192, 413),
        ("POST", "/signin", b"name=a&" * 11, 400),  # more fields than any form here has
        ("POST", "/signin", b"name=\xff", 400),
    ],
)
def test_what_has_no_answer_gets_a_page_that_says_so(
    method: str, path: str, content: bytes, status: int, open_device: OpenDevice
) -> None:
    response = open_device().request(method, path, content=content)

    assert (response.status_code, read("<h1>(.*?)</h1>", response)) == (status, [HTTPStatus(status).phrase])


@pytest.mark.parametrize("path", ["/", "/chat", "/elsewhere", "/static/style.css"])
def test_each_answer_says_what_a_browser_may_do_with_it(path: str, open_device: OpenDevice) -> None:
    headers = open_device("ada").get(path).headers

    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert headers.get("cache-control") == (None if "static" in path else "no-store")


def test_a_style_sheet_leaves_the_session_alone(open_device: OpenDevice) -> None:
    headers = open_device("ada").get("/static/style.css").headers

    assert ("vary" in headers, "set-cookie" in headers) == (False, False)


# The chat.


def receive(websocket: WebSocketTestSession) -> dict[str, Any]:
    """The next message; its own method would wait for ever."""

    async def receive_in_time() -> Any:
        with anyio.fail_after(DEADLINE):
            return await websocket._send_rx.receive()

    message: dict[str, Any] = websocket.portal.call(receive_in_time)
    return message


def read_closing(websocket: WebSocketTestSession) -> tuple[int, str]:
    message = receive(websocket)
    assert message["type"] == "websocket.close"
    return message["code"], message["reason"]


def hear(websocket: WebSocketTestSession) -> tuple[str, str]:
    message = receive(websocket)
    assert message["type"] == "websocket.send"
    said = json.loads(message["text"])
    assert set(said) == {"from", "text", "at"}
    return said["from"], said["text"]


def test_everybody_in_the_chat_hears_what_is_said(open_device: OpenDevice) -> None:
    with open_device("ada").websocket_connect("/chat") as ada, open_device("bea").websocket_connect("/chat") as bea:
        ada.send_text(" <b>Hello</b> ")
        ada.send_text("  ")  # which is nothing
        ada.send_bytes(b"\0")  # nor is this
        ada.send_text("x" * 501)

        heard = [hear(bea), hear(bea)]

        assert heard == [("ada", "<b>Hello</b>"), ("ada", "x" * 500)]
        assert [hear(ada), hear(ada)] == heard


def test_a_message_counts_as_a_visit(open_device: OpenDevice, clock: time_machine.Traveller) -> None:
    phone, laptop = open_device("ada", user_agent=IPHONE), open_device("ada")
    with phone.websocket_connect("/chat") as websocket:
        clock.shift(3600)
        websocket.send_text("Hello")
        hear(websocket)

        assert list_devices(laptop)[1] == "Safari on iPhone Last seen just now Signed in 1 hour ago Sign out"


def end_from_elsewhere(device: TestClient, other: TestClient) -> None:
    post(other, "/devices/end-others")


def sign_out_in_another_tab(device: TestClient, other: TestClient) -> None:
    post(device, "/signout")


def sign_in_anew_in_another_tab(device: TestClient, other: TestClient) -> None:
    sign_in(device, "ada")


ENDS = pytest.mark.parametrize(
    ("end", "reason"),
    [
        (end_from_elsewhere, "This device was signed out."),
        (sign_out_in_another_tab, "This device was signed out."),
        (sign_in_anew_in_another_tab, "Somebody has signed in anew in this browser."),
    ],
)


@ENDS
def test_what_comes_from_a_device_that_was_signed_out_is_heard_by_nobody(
    end: Any, reason: str, open_device: OpenDevice
) -> None:
    device, other = open_device("ada"), open_device("ada")
    with device.websocket_connect("/chat") as websocket, other.websocket_connect("/chat") as listening:
        websocket.send_text("Still here.")
        assert hear(websocket) == hear(listening) == ("ada", "Still here.")

        end(device, other)
        websocket.send_text("And now?")

        assert read_closing(websocket) == (4401, reason)
        listening.send_text("Nothing.")
        assert hear(listening) == ("ada", "Nothing.")


@ENDS
@pytest.mark.parametrize("look_every", [0.01])
def test_a_device_that_only_listens_is_closed_soon_after_it_was_signed_out(
    end: Any, reason: str, open_device: OpenDevice
) -> None:
    device, other = open_device("ada"), open_device("ada")
    with device.websocket_connect("/chat") as websocket:
        websocket.send_text("Still here.")
        hear(websocket)

        end(device, other)

        assert read_closing(websocket) == (4401, reason)


@pytest.mark.parametrize("look_every", [0.01])
def test_the_chat_ends_when_the_session_does(open_device: OpenDevice, clock: time_machine.Traveller) -> None:
    with open_device("ada").websocket_connect("/chat") as websocket:
        websocket.send_text("Good night.")
        hear(websocket)

        clock.move_to(NOW + 24 * 60 * 60 + 1)

        assert read_closing(websocket) == (4401, "This device was signed out.")


def test_whoever_is_not_signed_in_is_told_so_by_the_chat(open_device: OpenDevice) -> None:
    with open_device().websocket_connect("/chat") as websocket:
        assert read_closing(websocket) == (4401, "This device was signed out.")


@pytest.mark.parametrize("origin", ["https://evil.test", "http://sibling.testserver", "null"])
def test_another_sites_page_gets_no_websocket(origin: str, open_device: OpenDevice) -> None:
    device = open_device("ada")

    with pytest.raises(WebSocketDisconnect) as refusal, device.websocket_connect("/chat", headers={"origin": origin}):
        pass

    assert refusal.value.code == 1008


def test_who_leaves_the_chat_is_told_nothing_more(open_device: OpenDevice, app: FastAPI) -> None:
    room: Room = app.state.services.room
    with open_device("ada").websocket_connect("/chat") as websocket:
        websocket.send_text("Bye.")
        hear(websocket)

    assert not room._listeners


def test_a_connection_that_does_not_keep_up_is_ended_and_holds_up_nobody() -> None:
    async def main() -> tuple[list[str], int]:
        room = Room()
        with room.join() as slow, room.join() as quick:
            for number in range(BACKLOG + 2):
                await room.say(str(number))
                assert await quick.receive() == str(number)
            return [message async for message in slow], len(room._listeners)

    heard, listening = anyio.run(main)

    assert heard == [str(number) for number in range(BACKLOG)]
    assert listening == 1


# As its users start it.


def run_devices(folder: Path, *arguments: str) -> AbstractContextManager[Server]:
    # An empty key is none, whatever the tests' own environment has.
    return running("-m", "examples.devices", "--port=0", *arguments, DEVICES_FOLDER=str(folder), SESSION_SECRET="")


@contextmanager
def signed_in(server: Server, path: str = "/signin") -> Generator[httpx.Client]:
    with browse(server) as device:
        response = device.post(path, data={"name": "ada", "password": PASSWORD})
        assert (response.status_code, response.headers["location"]) == (303, "/")
        yield device


def signed_up(server: Server) -> AbstractContextManager[httpx.Client]:
    return signed_in(server, "/signup")


@contextmanager
def chatting(device: httpx.Client) -> Generator[ClientConnection]:
    """The chat's websocket, once the device hears what is said."""
    url = str(device.base_url.copy_with(scheme="ws", path="/chat"))
    cookie = {"Cookie": f"{COOKIE}={device.cookies[COOKIE]}"}
    with connect(url, additional_headers=cookie, open_timeout=DEADLINE, proxy=None) as websocket:

        def is_heard() -> bool:
            websocket.send("Hello.")
            try:
                websocket.recv(timeout=0.1)
            except TimeoutError:
                return False
            return True

        wait_until(is_heard)
        yield websocket


def hear_until(websocket: ClientConnection, text: str) -> None:
    while json.loads(websocket.recv(timeout=DEADLINE))["text"] != text:
        pass


def test_sessions_and_accounts_outlive_a_restart_though_nobody_has_given_a_key(tmp_path: Path) -> None:
    with run_devices(tmp_path) as server, signed_up(server) as device:
        cookie = device.cookies[COOKIE]

    with run_devices(tmp_path) as server, browse(server) as device:
        device.cookies.set(COOKIE, cookie, domain="127.0.0.1", path="/")
        assert device.get("/").status_code == 200
        with signed_in(server):
            pass
    assert "Traceback" not in server.said


def test_nobody_else_reads_what_it_keeps(tmp_path: Path) -> None:
    with run_devices(tmp_path / "new") as server, signed_up(server):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}

    assert {"secret", "accounts.db", "sessions.db"} <= set(modes)
    assert modes == dict.fromkeys(modes, 0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def ask_devices(*arguments: str) -> str:
    """What it says last where it doesn't start."""
    command = [sys.executable, "-m", "examples.devices", *arguments]
    refusal = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (refusal.returncode, refusal.stdout) == (2, "")
    return refusal.stderr.splitlines()[-1].removeprefix("python -m examples.devices: error: ")


def test_a_store_that_it_does_not_know_is_refused() -> None:
    assert ask_devices("--store=postgres") == "'postgres' is neither sqlite nor redis://HOST:PORT"


def test_workers_without_redis_are_refused() -> None:
    assert (
        ask_devices("--workers=2")
        == "--workers needs --store redis://HOST:PORT: without it, each worker has a chat of its own"
    )


@pytest.fixture
def redis_server(tmp_path: Path) -> Generator[Redis]:
    if not has_redis():
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis", reason="redis is not installed")
    (tmp_path / "redis").mkdir()
    with redis(tmp_path / "redis") as server:
        yield server


def test_two_servers_have_one_chat_and_one_list_of_devices(tmp_path: Path, redis_server: Redis) -> None:
    with ExitStack() as stack:
        store = f"--store={redis_server.url}"
        one, two = [stack.enter_context(run_devices(tmp_path, store)) for _ in range(2)]
        here = stack.enter_context(signed_up(one))
        there = stack.enter_context(signed_in(two))
        chat_here, chat_there = stack.enter_context(chatting(here)), stack.enter_context(chatting(there))

        chat_there.send("From there.")
        hear_until(chat_here, "From there.")
        chat_here.send("From here.")
        hear_until(chat_there, "From here.")
        here.post("/devices/end-others")

        with pytest.raises(ConnectionClosed) as closed:
            hear_until(chat_there, "nothing that anybody says")
        assert closed.value.rcvd == Close(4401, "This device was signed out.")
        assert (here.get("/").status_code, there.get("/").status_code) == (200, 303)
    assert "Traceback" not in one.said + two.said


def test_two_workers_answer_as_one(tmp_path: Path, redis_server: Redis) -> None:
    with ExitStack() as stack:
        arguments = (f"--store={redis_server.url}", "--workers=2")
        server = stack.enter_context(run_devices(tmp_path, *arguments))
        stack.enter_context(signed_up(server))
        devices = [stack.enter_context(signed_in(server)) for _ in range(4)]
        chats = [stack.enter_context(chatting(device)) for device in devices]

        for number, chat in enumerate(chats):
            chat.send(f"From {number}.")
            for other in chats:
                hear_until(other, f"From {number}.")
        pages = [device.get("/") for device in devices]

        assert [len(read("<li>(.*?)</li>", page)) for page in pages] == [5] * 4
    assert "Traceback" not in server.said


def test_everything_goes_on_when_redis_was_away(tmp_path: Path, redis_server: Redis) -> None:
    with run_devices(tmp_path, f"--store={redis_server.url}") as server, signed_up(server) as device:
        redis_server.kill()
        redis_server.start()

        assert device.get("/").status_code == 200
        with chatting(device):
            pass
