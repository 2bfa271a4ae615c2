"""Every framework on a server, every server with an app: real processes, a real HTTP client, a real websocket client.

The table in docs/reference/servers.md is generated from ``SERVERS``, and each line of it is asked of the server here.
"""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from asgi_signed_session import SessionSigner

from .daemons import DEADLINE, free_port
from .servers import ROOT, Server, running, shake_hands

if TYPE_CHECKING:
    from collections.abc import Generator

KEY = "the key of the servers' tests"
SIGNER = SessionSigner(KEY)
KEPT = "path=/; Max-Age=1209600; httponly; samesite=lax"
DELETED = "session=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"
URL = r"(https?://127\.0\.0\.1:\d+)"


class Facts(NamedTuple):
    """What a server does with a websocket's handshake."""

    sends_accept_headers: bool
    sends_denial: bool
    is_warned_about: bool
    seen: str  # the version that it was seen with


class Command(NamedTuple):
    server: str
    arguments: list[str]
    listens: str = URL
    tls: bool = False


SERVERS = {
    "uvicorn": Facts(sends_accept_headers=True, sends_denial=True, is_warned_about=False, seen="0.54"),
    "hypercorn": Facts(sends_accept_headers=True, sends_denial=True, is_warned_about=False, seen="0.18"),
    "granian": Facts(sends_accept_headers=False, sends_denial=True, is_warned_about=False, seen="2.8"),
    "daphne": Facts(sends_accept_headers=False, sends_denial=False, is_warned_about=True, seen="4.2"),
}

COMMANDS = {
    "uvicorn": Command("uvicorn", ["APP", "--port=0"]),
    "uvicorn h11 asyncio": Command("uvicorn", ["APP", "--port=0", "--http=h11", "--loop=asyncio"]),
    "uvicorn h11 uvloop": Command("uvicorn", ["APP", "--port=0", "--http=h11", "--loop=uvloop"]),
    "uvicorn httptools asyncio": Command("uvicorn", ["APP", "--port=0", "--http=httptools", "--loop=asyncio"]),
    "uvicorn httptools uvloop": Command("uvicorn", ["APP", "--port=0", "--http=httptools", "--loop=uvloop"]),
    "hypercorn asyncio": Command("hypercorn", ["APP", "--bind=127.0.0.1:0"]),
    "hypercorn trio": Command("hypercorn", ["APP", "--bind=127.0.0.1:0", "--worker-class=trio"]),
    "hypercorn TLS": Command("hypercorn", ["APP", "--bind=127.0.0.1:0", "--certfile=CERT", "--keyfile=KEY"], tls=True),
    "granian": Command("granian", ["APP", "--interface=asgi", "--host=127.0.0.1", "--port=PORT"]),
    "granian TLS": Command(
        "granian",
        [
            *("APP", "--interface=asgi", "--host=127.0.0.1", "--port=PORT"),
            *("--ssl-certificate=CERT", "--ssl-keyfile=KEY"),
        ],
        tls=True,
    ),
    "daphne": Command(
        "daphne", ["APP", "--bind=127.0.0.1", "--port=0"], listens=r"Listening on TCP address (127\.0\.0\.1:\d+)"
    ),
}

# Every framework on uvicorn, raw on every server, and the pairs that people run.
CELLS = [
    *[("uvicorn", app) for app in ("starlette_app", "fastapi_app", "fastapi behind", "quart_app")],
    *[("uvicorn", app) for app in ("litestar_app", "django_app", "falcon_app", "blacksheep_app")],
    *[(command, "raw") for command in COMMANDS],
    ("hypercorn asyncio", "quart_app"),
    ("hypercorn trio", "starlette_app"),
    ("hypercorn TLS", "quart_app"),
    ("granian", "fastapi_app"),
    ("granian", "litestar_app"),
    ("daphne", "django_app"),
    ("daphne", "starlette_app"),
]

APPS = {
    "probe": ("tests.probe:app", "starlette"),
    "fastapi behind": ("tests.probe:make_fastapi_behind_a_base_http_middleware", "fastapi"),
}


class Cell(NamedTuple):
    """A running server with an app."""

    server: Server
    command: Command
    app: str
    tls: ssl.SSLContext | None

    @property
    def facts(self) -> Facts:
        return SERVERS[self.command.server]

    @property
    def attributes(self) -> str:
        return KEPT if self.tls is None else f"{KEPT}; secure"

    def browse(self, **options: Any) -> httpx.Client:
        verify = True if self.tls is None else self.tls
        return httpx.Client(base_url=self.server.url, timeout=DEADLINE, trust_env=False, verify=verify, **options)


def start(request: pytest.FixtureRequest, name: str, app: str) -> Generator[Cell]:
    command = COMMANDS[name]
    target, framework = APPS.get(app, (f"examples.{app}:app", app.removesuffix("_app")))
    for module in {command.server, framework, *name.split()[1:]} - {"raw", "asyncio", "TLS"}:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    certificate, key, tls = request.getfixturevalue("certificate") if command.tls else ("", "", None)
    here = {"APP": target, "PORT": str(free_port()), "=CERT": f"={certificate}", "=KEY": f"={key}"}
    arguments = list(command.arguments)
    for placeholder, value in here.items():
        arguments = [argument.replace(placeholder, value) for argument in arguments]
    if "make_" in target:
        arguments.append("--factory")
    with running("-m", command.server, *arguments, listens=command.listens, SESSION_SECRET=KEY) as server:
        if command.tls:
            server.url = server.url.replace("http:", "https:")
        yield Cell(server, command, app, tls)


@pytest.fixture(scope="module", params=CELLS, ids=" / ".join)
def cell(request: pytest.FixtureRequest) -> Generator[Cell]:
    yield from start(request, *request.param)


@pytest.fixture
def visitor(cell: Cell) -> Generator[httpx.Client]:
    with cell.browse() as client:
        yield client


@pytest.fixture(scope="module", params=COMMANDS)
def probed(request: pytest.FixtureRequest) -> Generator[Cell]:
    yield from start(request, request.param, "probe")


def verify(line: str) -> tuple[dict[str, Any], str]:
    cookie, _, attributes = line.partition("; ")
    return SIGNER.loads(cookie.removeprefix("session=")), attributes


def log_in(visitor: httpx.Client, user: str = "ada") -> httpx.Response:
    response = visitor.post("/login", params={"user": user})
    assert response.status_code == 200
    return response


# What every app does on every server


def test_a_request_that_leaves_the_session_alone_is_left_alone(visitor: httpx.Client) -> None:
    log_in(visitor)

    response = visitor.get("/elsewhere")

    assert response.status_code == 404
    assert response.headers.get_list("set-cookie") == []
    assert "cookie" not in response.headers.get("vary", "").lower()


def test_a_strangers_session_is_empty_and_sets_no_cookie(visitor: httpx.Client) -> None:
    response = visitor.get("/")

    assert response.json() == {"user": None, "notes": [], "handshakes": 0}
    assert response.headers.get_list("vary") == ["Cookie"]
    assert response.headers.get_list("set-cookie") == []


def test_login_sets_the_cookie(cell: Cell, visitor: httpx.Client) -> None:
    response = log_in(visitor, "Zoë")

    assert response.json() == {"user": "Zoë", "notes": [], "handshakes": 0}
    assert [verify(line) for line in response.headers.get_list("set-cookie")] == [({"user": "Zoë"}, cell.attributes)]
    assert response.headers.get_list("vary") == ["Cookie"]
    assert response.headers.get_list("cache-control") == ['no-cache="Set-Cookie"']


def test_the_next_request_is_logged_in_and_sets_no_cookie(visitor: httpx.Client) -> None:
    log_in(visitor)

    response = visitor.get("/")

    assert response.json() == {"user": "ada", "notes": [], "handshakes": 0}
    assert response.headers.get_list("set-cookie") == []


def test_a_nested_change_is_saved(visitor: httpx.Client) -> None:
    log_in(visitor)
    for note in ("bread", "jam"):
        visitor.post("/notes", params={"note": note})

    assert visitor.get("/").json() == {"user": "ada", "notes": ["bread", "jam"], "handshakes": 0}


def test_logout_deletes_the_cookie(cell: Cell, visitor: httpx.Client) -> None:
    log_in(visitor)

    response = visitor.post("/logout")

    assert response.json() == {"user": None, "notes": [], "handshakes": 0}
    deleted = DELETED if cell.tls is None else f"{DELETED}; secure"
    assert response.headers.get_list("set-cookie") == [deleted]
    assert visitor.get("/").json() == {"user": None, "notes": [], "handshakes": 0}


def without_websockets(cell: Cell) -> bool:
    return cell.app == "django_app"


def test_a_websocket_reads_the_session_and_writes_it_where_its_server_lets_it(
    cell: Cell, visitor: httpx.Client
) -> None:
    if without_websockets(cell):
        return
    log_in(visitor)
    handshake = shake_hands(visitor, tls=cell.tls)

    assert handshake.message == {"user": "ada", "notes": [], "handshakes": 1}
    written = ({"user": "ada", "handshakes": 1}, cell.attributes)
    assert [verify(line) for line in handshake.set_cookie] == [written] * cell.facts.sends_accept_headers
    assert visitor.get("/").json()["handshakes"] == cell.facts.sends_accept_headers


def test_a_strangers_websocket_is_refused(cell: Cell, visitor: httpx.Client) -> None:
    if without_websockets(cell):
        return
    handshake = shake_hands(visitor, tls=cell.tls)

    assert (handshake.status, handshake.set_cookie) == (403, [])


# What each server does


def test_the_facts_are_of_servers_that_are_tried() -> None:
    assert {command.server for command in COMMANDS.values()} == set(SERVERS)


def test_a_refused_websocket_writes_the_session_where_its_server_sends_a_response_of_the_apps(probed: Cell) -> None:
    with probed.browse() as client:
        handshake = shake_hands(client, tls=probed.tls)

    if probed.facts.sends_denial:
        assert (handshake.status, handshake.message) == (401, "denied")
        assert [verify(line) for line in handshake.set_cookie] == [({"denied": True}, probed.attributes)]
    else:
        assert (handshake.status, handshake.set_cookie) == (403, [])
        probed.server.wait_for(r"(Session changes on '/ws' not saved: 'denied'\.)")


def test_a_change_on_an_accept_without_headers_is_warned_about_where_it_shows(
    cell: Cell, visitor: httpx.Client
) -> None:
    if cell.app != "raw" or cell.facts.sends_accept_headers:
        return
    log_in(visitor)
    shake_hands(visitor, tls=cell.tls)
    visitor.get("/")  # once it is answered, the websocket's call has ended

    if cell.facts.is_warned_about:
        cell.server.wait_for(
            r"(Session changes on '/ws' not saved: 'handshakes'\. This server sends no headers with websocket\.accept;"
            r" change the session on an HTTP request instead\.)"
        )
    else:
        assert "not saved" not in cell.server.said


def test_cookies_that_an_http2_client_splits_are_one_list(probed: Cell) -> None:
    if not probed.command.tls:
        return
    if find_spec("h2") is None:
        pytest.skip("h2 is not installed")
    value = SIGNER.dumps({"user": "ada"})
    split = [("cookie", "first=1"), ("cookie", f"session={value}"), ("cookie", "last=2")]
    with probed.browse(http2=True) as client:
        response = client.get("/", headers=split)

    assert response.http_version == "HTTP/2"
    cookies = ["first=1", f"session={value}", "last=2"]
    # hypercorn's h2 joins them again, granian passes on what came.
    expected = cookies if probed.command.server == "granian" else ["; ".join(cookies)]
    assert response.json() == {"cookies": expected, "http": "2", "session": {"user": "ada"}}


def describe(server: str, facts: Facts) -> str:
    yes_or_no = {True: "yes", False: "no"}
    warned = "yes" if facts.is_warned_about else "no: it says that it sends them"
    return (
        f"| {server} {facts.seen} | {yes_or_no[facts.sends_accept_headers]} |"
        f" {'' if facts.sends_accept_headers else warned} | {yes_or_no[facts.sends_denial]} |"
    )


def test_the_documentations_table_of_servers_is_what_is_tried_here() -> None:
    table = [
        "| server | headers of `websocket.accept` | warns if a change is lost | denial response |",
        "| --- | --- | --- | --- |",
        *[describe(server, facts) for server, facts in SERVERS.items()],
    ]

    assert "\n".join(table) in (ROOT / "docs" / "reference" / "servers.md").read_text(encoding="utf-8")
