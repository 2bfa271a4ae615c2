"""The demo as its users start it: a real server process, a real HTTP client, a real websocket client."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from base64 import b64encode
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from asgi_signed_session import SessionSigner

from .daemons import DEADLINE
from .records import key_of, read_id
from .servers import ROOT, Server, browse, running, shake_hands

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

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
