"""The demo as its users start it: a real server process, a real HTTP client, a real websocket client."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from asgi_signed_session import SessionSigner

from .daemons import DEADLINE, has_redis, redis
from .records import key_of, read_id
from .servers import ROOT, Server, browse, running, shake_hands

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    OpenDevice = Callable[..., httpx.Client]

KEY = "the key of the demo's tests"
OLD_KEY = "the-key-that-was-before-it"  # no space: fallbacks are separated by it
SIGNER = SessionSigner(KEY)
SIGNED_UNTIL_CLOSED = "path=/; httponly; samesite=lax"
DELETED = "session=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"


def read_set_cookie(response: httpx.Response) -> list[tuple[Any, str]]:
    """Verify each Set-Cookie line: what it signs, and its attributes."""
    return [verify(line) for line in response.headers.get_list("set-cookie")]


def verify(line: str) -> tuple[dict[str, Any], str]:
    cookie, _, attributes = line.partition("; ")
    return SIGNER.loads(cookie.removeprefix("session=")), attributes


class Page(NamedTuple):
    greeting: str
    visits: int
    notes: list[str]
    handshakes: int
    notice: str = ""


def read_page(response: httpx.Response) -> Page:
    assert response.status_code == 200
    return Page(
        greeting=find_all('<h2 id="greeting">(.*?)</h2>', response)[0],
        visits=int(find_all('<strong id="visits">(.*?)</strong>', response)[0]),
        notes=find_all("<li>(.*?)</li>", response),
        handshakes=int(find_all('<strong id="handshakes">(.*?)</strong>', response)[0]),
        notice=find_all('<p class="notice" role="status">(.*?)</p>', response)[0],
    )


def find_all(pattern: str, response: httpx.Response) -> list[str]:
    """Find what a reader sees of each match."""
    found = re.findall(pattern, response.text, re.DOTALL)
    return [unescape(re.sub("<.*?>", "", part)) for part in found]


def submit(client: httpx.Client, path: str, **form: str) -> Page:
    return read_page(client.post(path, data=form, follow_redirects=True))


def run_demo(key: str = KEY, *arguments: str, fallbacks: str = "", port: int = 0) -> AbstractContextManager[Server]:
    demo = ("examples/demo.py", f"--port={port}", *arguments)
    return running(*demo, SESSION_SECRET=key, SESSION_SECRET_FALLBACKS=fallbacks)


@pytest.fixture(scope="module")
def demo() -> Generator[Server]:
    with run_demo() as server:
        yield server


@pytest.fixture
def browser(demo: Server) -> Generator[httpx.Client]:
    with browse(demo) as client:
        yield client


def test_the_demo_counts_visits(browser: httpx.Client) -> None:
    assert read_page(browser.get("/")) == Page("Hello, stranger", visits=1, notes=[], handshakes=0)
    assert read_page(browser.get("/")) == Page("Hello, stranger", visits=2, notes=[], handshakes=0)


def test_the_demo_remembers_a_name_and_escapes_it(browser: httpx.Client) -> None:
    response = browser.post("/name", data={"name": ' <script>"Ada"&'}, follow_redirects=True)

    assert '<h2 id="greeting">Hello, &lt;script&gt;&quot;Ada&quot;&amp;</h2>' in response.text
    assert ' value="&lt;script&gt;&quot;Ada&quot;&amp;"' in response.text
    assert "<script>" not in response.text


def test_the_demo_answers_a_form_with_a_redirect_and_the_cookie(browser: httpx.Client) -> None:
    response = browser.post("/name", data={"name": "Ada"})

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert read_set_cookie(response) == [({"name": "Ada"}, SIGNED_UNTIL_CLOSED)]


def test_the_demos_list_grows(browser: httpx.Client) -> None:
    submit(browser, "/notes", note="bread")
    submit(browser, "/notes", note="jam & <butter>")

    assert submit(browser, "/notes", note=" ").notes == ["bread", "jam & <butter>"]


def test_the_demos_websocket_writes_on_its_handshake(browser: httpx.Client) -> None:
    browser.get("/")

    handshake = shake_hands(browser)

    assert handshake.message == {"visits": 1, "handshakes": 1}
    assert [verify(line) for line in handshake.set_cookie] == [({"visits": 1, "handshakes": 1}, SIGNED_UNTIL_CLOSED)]
    assert read_page(browser.get("/")) == Page("Hello, stranger", visits=2, notes=[], handshakes=1)


def test_the_demo_refuses_a_websocket_elsewhere(browser: httpx.Client) -> None:
    assert shake_hands(browser, "/elsewhere").status == 403


def test_the_demo_shows_the_cookie_that_came_and_what_is_inside(browser: httpx.Client) -> None:
    first = browser.get("/")
    cookie = browser.cookies["session"]
    second = browser.get("/")

    assert '<p class="none" id="no-cookie" >' in first.text
    assert '<p class="none" id="no-cookie" hidden>' in second.text
    assert find_all('<code id="cookie">(.*?)</code>', second) == [f"session={cookie}"]
    [inside] = find_all('<pre id="inside">(.*?)</pre>', second)
    assert {"visits": 1}.items() <= json.loads(inside).items()
    assert find_all("<dt>Expires</dt><dd>(.*?)</dd>", second) == ["when the browser closes"]
    assert f"<dd>{len('session' + cookie)} of 4096 bytes <meter" in second.text


def test_remember_me_gives_the_cookie_thirty_days(browser: httpx.Client) -> None:
    browser.get("/")

    [(_, remembered)] = read_set_cookie(browser.post("/remember", data={"remember": "on"}))
    ticked = browser.get("/").text
    [(_, forgotten)] = read_set_cookie(browser.post("/remember"))

    assert remembered == "path=/; Max-Age=2592000; httponly; samesite=lax"
    assert 'name="remember" checked>' in ticked
    assert forgotten == SIGNED_UNTIL_CLOSED


def test_signing_out_of_the_demo_deletes_the_cookie(browser: httpx.Client) -> None:
    submit(browser, "/notes", note="bread")

    response = browser.post("/sign-out")

    assert (response.status_code, response.headers["location"]) == (303, "/signed-out")
    assert response.headers.get_list("set-cookie") == [DELETED]
    assert read_page(browser.get("/signed-out")) == Page(
        "Hello, stranger",
        visits=0,
        notes=[],
        handshakes=0,
        notice="Signed out. The session is empty and the browser has dropped its cookie. Start a new one",
    )


def test_a_note_too_large_for_a_cookie_is_refused_kindly(browser: httpx.Client) -> None:
    submit(browser, "/notes", note="bread")

    response = browser.post("/notes", data={"note": "x" * 5000})

    assert (response.status_code, response.headers["location"]) == (303, "/too-large")
    assert response.headers.get_list("set-cookie") == []
    assert read_page(browser.get("/too-large")) == Page(
        "Hello, stranger",
        visits=1,
        notes=["bread"],
        handshakes=0,
        notice="That does not fit: a browser keeps 4096 bytes per cookie, so the change was refused"
        " and the session is as it was.",
    )


def test_a_visitor_whose_cookie_is_full_can_still_sign_out_of_the_demo(demo: Server) -> None:
    full = SIGNER.dumps({"notes": ["x" * 2990]})  # 4078 bytes with the name; a visit more takes over 4096
    with browse(demo, full) as client:
        visit = client.get("/")
        handshake = shake_hands(client)
        page = read_page(client.get("/too-large"))
        farewell = client.post("/sign-out")

    assert (visit.status_code, visit.headers["location"]) == (303, "/too-large")
    assert handshake.status == 403
    assert (page.visits, page.notes, page.handshakes) == (0, ["x" * 2990], 0)
    assert farewell.headers.get_list("set-cookie") == [DELETED]


def test_the_demo_says_why_it_did_not_use_a_cookie(demo: Server) -> None:
    with browse(demo, SessionSigner(OLD_KEY).dumps({"name": "Mallory"})) as client:
        page = read_page(client.get("/"))

    assert page.greeting == "Hello, stranger"
    assert page.notice == "The cookie that came was not used (bad-signature), so this is a new session."


@pytest.mark.parametrize(
    ("payload", "inside"),
    [
        (b'{"a": "<b>"}', '{\n  "a": "<b>"\n}'),
        (b'{"a": "\\ud800"}', '{\n  "a": "?"\n}'),  # half a surrogate pair, which UTF-8 has no bytes for
        (b"[" * 2500, "not readable"),  # deeper than Python's stack
        (b"[1]", "not readable"),
        (b"\xff", "not readable"),
        (b"", "not readable"),
    ],
)
def test_the_demo_shows_any_cookie_without_harm(demo: Server, payload: bytes, inside: str) -> None:
    with browse(demo, f"{b64encode(payload).decode()}.aaaaaa.forged") as client:
        response = client.get("/signed-out")

    assert response.status_code == 200
    assert find_all('<pre id="inside">(.*?)</pre>', response) == [inside]


@pytest.mark.parametrize(
    ("request_line", "content", "status", "allow"),
    [
        ("GET /elsewhere", "", 404, None),
        ("DELETE /", "", 405, "GET, HEAD"),
        ("GET /notes", "", 405, "POST"),
        ("POST /notes", "note=" + "x" * 65536, 413, None),
        ("POST /notes", "note=bread&" * 11, 400, None),  # more fields than any form here has
        ("POST /notes", "note=\xff", 400, None),
        ("POST /sign-in", "principal=ada", 404, None),  # this and what follows want a store
        ("POST /devices/end", "key=" + "0" * 64, 404, None),
        ("POST /devices/end-others", "", 404, None),
        ("POST /at-once", "batch=one&number=0", 404, None),
        ("GET /arrived", "", 404, None),
    ],
)
def test_the_demo_refuses_what_it_has_no_answer_to(
    browser: httpx.Client, request_line: str, content: str, status: int, allow: str | None
) -> None:
    response = browser.request(*request_line.split(), content=content)

    assert response.status_code == status
    assert response.text == f"{status} {HTTPStatus(status).phrase}\n"
    assert response.headers.get("allow") == allow
    assert response.headers.get_list("set-cookie") == []


@pytest.mark.parametrize("path", ["/demo.css", "/demo.js"])
def test_the_demos_files_leave_the_session_alone(browser: httpx.Client, path: str) -> None:
    response = browser.get(path)

    assert response.content == (ROOT / f"examples{path}").read_bytes()
    assert "vary" not in response.headers
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("key", "fallbacks", "visits"),
    [
        pytest.param(OLD_KEY, "", 2, id="the same key"),
        pytest.param(KEY, OLD_KEY, 2, id="a new key"),
        pytest.param(KEY, "", 1, id="a new key and the old one forgotten"),
    ],
)
def test_sessions_outlive_a_restart_of_the_demo_as_long_as_their_key_is_known(
    key: str, fallbacks: str, visits: int
) -> None:
    with run_demo(OLD_KEY) as server, browse(server) as client:
        client.get("/")
        cookie = client.cookies["session"]

    with run_demo(key, fallbacks=fallbacks) as server, browse(server, cookie) as client:
        assert read_page(client.get("/")).visits == visits


def test_the_demos_sessions_in_a_file_outlive_a_restart(tmp_path: Path) -> None:
    store = f"--store=sqlite:{tmp_path}/sessions.db"
    with run_demo(KEY, store) as server, browse(server) as client:
        client.get("/")
        cookie = client.cookies["session"]

    with run_demo(KEY, store) as server, browse(server, cookie) as client:
        page = client.get("/")

    assert read_page(page).visits == 2
    key = key_of(read_id(cookie, key=KEY))
    assert find_all('<pre id="inside">(.*?)</pre>', page) == [f"a random id; the store has the data under\n{key}"]


# With a store: the sessions of whoever is signed in, and requests at the same time.


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def demo_with_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    if request.param == "redis" and not has_redis():
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("store")
    with ExitStack() as stack:
        store = f"sqlite:{folder}/sessions.db"
        if request.param == "redis":
            pytest.importorskip("redis", reason="redis is not installed")
            store = stack.enter_context(redis(folder)).url
        server = stack.enter_context(run_demo(KEY, f"--store={store}"))
        yield server
    assert "Traceback" not in server.said


@pytest.fixture
def open_device(demo_with_store: Server) -> Generator[OpenDevice]:
    """Opens one browser more, and signs in: ``open_device("ada")``."""
    with ExitStack() as stack:

        def open_one(principal: str = "") -> httpx.Client:
            device = stack.enter_context(browse(demo_with_store))
            device.get("/")
            if principal:
                device.post("/sign-in", data={"principal": principal})
            return device

        yield open_one


def key_in(device: httpx.Client) -> str:
    return key_of(read_id(device.cookies["session"], key=KEY))


def list_devices(device: httpx.Client) -> dict[str, str]:
    """What the page says of each session of whom this one belongs to."""
    response = device.get("/")
    names = find_all('<li class="device"><span><code>(.*?)</code> since ', response)
    return dict(zip(names, find_all('<li class="device">.*?</span>(.*?)</li>', response), strict=True))


def is_signed_in(device: httpx.Client) -> bool:
    """Whether the page shows the form to sign in, or what comes after it."""
    page = device.get("/").text
    after = '<div class="devices" >' in page
    assert after != ('<form method="post" action="/sign-in" >' in page)
    return after


def test_the_demo_without_a_store_shows_no_devices(browser: httpx.Client) -> None:
    page = browser.get("/").text

    assert '<section class="wide" aria-labelledby="devices-title" hidden>' in page
    assert '<section class="wide" aria-labelledby="at-once-title" hidden>' in page


def test_signing_in_to_the_demo_gives_a_new_id_and_keeps_what_was_there(open_device: OpenDevice) -> None:
    device = open_device()
    submit(device, "/notes", note="bread")
    before = device.cookies["session"]

    page = submit(device, "/sign-in", principal=" ada ")

    assert page == Page("Hello, ada", visits=3, notes=["bread"], handshakes=0)
    assert read_id(device.cookies["session"], key=KEY) != read_id(before, key=KEY)
    assert is_signed_in(device)


def test_the_demo_escapes_whom_a_visitor_signs_in_as(open_device: OpenDevice) -> None:
    page = open_device('<script>"Eve"&').get("/").text

    assert '<strong id="signed-in">&lt;script&gt;&quot;Eve&quot;&amp;</strong>' in page
    assert "<script>" not in page


def test_the_demo_signs_nobody_in_without_a_name(open_device: OpenDevice) -> None:
    device = open_device()
    device.post("/sign-in", data={"principal": " "})

    assert not is_signed_in(device)


def test_the_demo_lists_the_devices_of_whoever_is_signed_in(open_device: OpenDevice) -> None:
    phone, laptop = open_device("bea"), open_device("bea")
    open_device("another")
    open_device()

    assert list_devices(phone) == {key_in(phone)[:8]: "This one", key_in(laptop)[:8]: "End"}
    assert list_devices(laptop) == {key_in(phone)[:8]: "End", key_in(laptop)[:8]: "This one"}


def test_a_visitor_to_the_demo_ends_one_of_their_devices(open_device: OpenDevice) -> None:
    phone, laptop, lost = open_device("cleo"), open_device("cleo"), open_device("cleo")
    key = key_in(lost)
    assert f'<input type="hidden" name="key" value="{key}">' in phone.get("/").text

    response = phone.post("/devices/end", data={"key": key})

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert read_page(lost.get("/")) == Page(
        "Hello, stranger", 1, [], 0, notice="Signed out elsewhere, or expired: this is a new session."
    )
    assert not is_signed_in(lost)
    assert list_devices(laptop) == {key_in(phone)[:8]: "End", key_in(laptop)[:8]: "This one"}


def test_a_visitor_to_the_demo_ends_all_devices_but_this_one(open_device: OpenDevice) -> None:
    phone, *others = [open_device("dora") for _ in range(3)]
    another = open_device("another")

    response = phone.post("/devices/end-others")

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert list_devices(phone) == {key_in(phone)[:8]: "This one"}
    assert [is_signed_in(device) for device in others] == [False, False]
    assert is_signed_in(another)


@pytest.mark.parametrize("principal", ["mallory", ""])
def test_nobody_ends_another_visitors_session_in_the_demo(principal: str, open_device: OpenDevice) -> None:
    victim, mallory, stranger = open_device("finn"), open_device(principal), open_device()

    for key in (key_in(victim), key_in(stranger), "", "finn"):
        mallory.post("/devices/end", data={"key": key})
    mallory.post("/devices/end-others")

    assert is_signed_in(victim)
    assert read_page(stranger.get("/")).visits == 2


def test_a_visitor_who_signs_out_of_the_demo_is_in_no_list(open_device: OpenDevice) -> None:
    phone, laptop = open_device("gus"), open_device("gus")

    laptop.post("/sign-out")

    assert list_devices(phone) == {key_in(phone)[:8]: "This one"}


def put_in(device: httpx.Client, batch: str, number: int) -> httpx.Response:
    return device.post("/at-once", data={"batch": batch, "number": number})


def test_six_requests_at_once_are_all_in_the_demos_session(open_device: OpenDevice) -> None:
    device = open_device()
    for batch in ("one", "two"):
        with ThreadPoolExecutor(6) as pool:
            responses = list(pool.map(partial(put_in, device, batch), range(6)))

        assert {(response.status_code, response.headers["location"]) for response in responses} == {(303, "/arrived")}
        assert device.get("/arrived").json() == dict.fromkeys("012345", batch)


def test_the_demo_holds_a_request_for_a_second_where_the_others_do_not_come(open_device: OpenDevice) -> None:
    device = open_device()

    response = put_in(device, "alone", 5)

    assert response.elapsed.total_seconds() >= 1
    assert device.get("/arrived").json() == {"5": "alone"}


@pytest.mark.parametrize(
    ("request_line", "content", "status"),
    [
        ("POST /at-once", "batch=one&number=6", 400),
        ("POST /at-once", "batch=one", 400),
        ("POST /at-once", f"batch={'x' * 41}&number=0", 400),
        ("POST /at-once", "batch=one&number=0", 409),  # the client has no session that the six could share
        ("GET /sign-in", "", 405),
        ("POST /arrived", "", 405),
    ],
)
def test_the_demo_with_a_store_refuses_what_it_has_no_answer_to(
    demo_with_store: Server, request_line: str, content: str, status: int
) -> None:
    with browse(demo_with_store) as client:
        response = client.request(*request_line.split(), content=content)

    assert response.status_code == status
    assert response.headers.get_list("set-cookie") == []


def test_a_note_too_large_for_the_store_is_refused_kindly(open_device: OpenDevice) -> None:
    device = open_device()

    response = device.post("/notes", data={"note": "x" * 65520})

    assert (response.status_code, response.headers["location"]) == (303, "/too-much")
    assert read_page(device.get("/too-much")).notice.startswith("That does not fit: a session in the store may have")
    assert read_page(device.get("/")) == Page("Hello, stranger", visits=2, notes=[], handshakes=0)


@contextmanager
def open_websocket(device: httpx.Client) -> Generator[ClientConnection]:
    """Open the page's websocket, which the demo keeps open where it has a store."""
    cookies = {"Cookie": f"session={device.cookies['session']}"}
    url = str(device.base_url.copy_with(scheme="ws", path="/ws"))
    with connect(url, additional_headers=cookies, open_timeout=DEADLINE, proxy=None) as websocket:
        assert json.loads(websocket.recv(timeout=DEADLINE))["handshakes"] == 1
        yield websocket


def end_elsewhere(device: httpx.Client, open_device: OpenDevice) -> None:
    open_device("hal").post("/devices/end", data={"key": key_in(device)})


def sign_in_anew(device: httpx.Client, open_device: OpenDevice) -> None:
    device.post("/sign-in", data={"principal": "hal's sister"})


@pytest.mark.parametrize(
    ("change", "reason"), [(end_elsewhere, "Signed out elsewhere."), (sign_in_anew, "Signed in anew elsewhere.")]
)
def test_the_demos_open_websocket_sees_the_end_of_its_session(
    change: Callable[..., None], reason: str, open_device: OpenDevice
) -> None:
    device = open_device("hal")
    with open_websocket(device) as websocket:
        websocket.send("Still there?")
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0.2)

        change(device, open_device)
        websocket.send("Still there?")

        with pytest.raises(ConnectionClosedOK):
            websocket.recv(timeout=DEADLINE)
        assert websocket.close_reason == reason


def test_a_visitor_may_leave_a_websocket_that_the_demo_keeps_open(open_device: OpenDevice) -> None:
    device = open_device()

    assert [shake_hands(device, leaves=True).message for _ in range(2)] == [
        {"visits": 1, "handshakes": n} for n in (1, 2)
    ]


def test_the_demo_says_which_stores_it_knows() -> None:
    refusal = ask_demo("--store=postgres")

    assert refusal.returncode == 2
    assert refusal.stderr.splitlines()[-1] == (
        "demo.py: error: argument --store: 'postgres' is neither sqlite nor sqlite:FILE nor redis://HOST:PORT"
    )


def test_the_demo_takes_a_free_port_when_the_usual_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with run_demo(port=port) as server, browse(server) as client:
            assert server.said == f"{server.url}/  (Ctrl+C stops it)\n"
            assert not server.url.endswith(f":{port}")
            assert read_page(client.get("/")).visits == 1


def test_the_demo_without_a_key_says_that_its_sessions_end_with_it() -> None:
    with run_demo(key="") as server:
        notice, _ = server.said.splitlines()

    assert notice == ("SESSION_SECRET is not set: signing with a random key, so sessions end with this process.")


def ask_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    demo = [sys.executable, "examples/demo.py", *arguments]
    return subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_the_demo_wants_a_certificate_for_https() -> None:
    refusal = ask_demo("--https")

    assert refusal.returncode == 2
    assert refusal.stderr.splitlines()[-1] == "demo.py: error: --https goes with both --certfile and --keyfile"
