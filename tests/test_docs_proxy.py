"""What the page on proxies says of nginx and Caddy: each runs with the page's own configuration."""

from __future__ import annotations

import os
import shutil
import ssl
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from asgi_signed_session import SessionSigner
from asgi_signed_session.cookies import MAX_COOKIE

from .conftest import KEY
from .daemons import DEADLINE, free_port
from .pages import PAGES, find_blocks
from .servers import Server, keep, running, shake_hands, started
from .wire import KEPT, set_cookie, sign

if TYPE_CHECKING:
    from collections.abc import Generator

PAGE = PAGES["how-to/proxy.md"]
[NGINX] = find_blocks(PAGE, "nginx")
[CADDY] = [block for block in find_blocks(PAGE, "text") if "reverse_proxy" in block]

WHOLE_NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate "{certificate}";
        ssl_certificate_key "{key}";
{block}
    }}
}}
"""

WHOLE_CADDY = """
{{
    admin off
    auto_https disable_redirects
}}
{block}
"""

SECURE = f"{KEPT}; secure"
ELSEWHERE = "https://evil.example"
Certificate = tuple[Path, Path, ssl.SSLContext]


class Proxy(NamedTuple):
    """A running proxy, and what trusts its certificate."""

    server: Server
    tls: ssl.SSLContext


def replace(block: str, words: str, others: str) -> str:
    assert block.count(words) == 1, f"{words!r} is not once in the page's configuration"
    return block.replace(words, others)


def find_program(name: str) -> str:
    # Debian has nginx where only root looks for it.
    program = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


@contextmanager
def nginx(app: Server, folder: Path, certificate: Certificate, block: str = NGINX) -> Generator[Proxy]:
    """Nginx in one process, so that none is left behind."""
    program, port = find_program("nginx"), free_port()
    block = replace(block, "http://127.0.0.1:8000", app.url)
    settings = WHOLE_NGINX.format(block=block, port=port, certificate=certificate[0], key=certificate[1])
    (folder / "nginx.conf").write_text(settings)
    with started(program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr") as server:
        server.wait_for("(OS: )")  # it says so once it listens
        server.url = f"https://127.0.0.1:{port}"
        yield Proxy(server, certificate[2])


@contextmanager
def caddy(app: Server, folder: Path, certificate: Certificate) -> Generator[Proxy]:
    program, port = find_program("caddy"), free_port()
    url = f"https://127.0.0.1:{port}"
    local = f'{url} {{\n    bind 127.0.0.1\n    tls "{certificate[0]}" "{certificate[1]}"'
    block = replace(CADDY, "app.example.com {", local)
    block = replace(block, "127.0.0.1:8000", app.url.removeprefix("http://"))
    (folder / "Caddyfile").write_text(WHOLE_CADDY.format(block=block))
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    with started(program, "run", "--config", str(folder / "Caddyfile"), **places) as server:
        server.wait_for("(serving initial configuration)")
        server.url = url
        yield Proxy(server, certificate[2])


@pytest.fixture(scope="module")
def app() -> Generator[Server]:
    if find_spec("uvicorn") is None:
        pytest.skip("uvicorn is not installed")
    with running("-m", "uvicorn", "tests.guarded:app", "--port=0", SESSION_SECRET=KEY) as server:
        yield server


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, app: Server, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Proxy]:
    with request.param(app, tmp_path_factory.mktemp("proxy"), certificate) as proxy:
        yield proxy


@contextmanager
def browse(proxy: Proxy) -> Generator[httpx.Client]:
    url = proxy.server.url
    with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False, verify=proxy.tls) as client:
        yield client


@pytest.fixture
def visitor(proxy: Proxy) -> Generator[httpx.Client]:
    with browse(proxy) as client:
        yield client


def verify(lines: list[str]) -> list[tuple[dict[str, Any], str]]:
    """The content of each session that is set, and the attributes of its cookie."""
    cookies = [line.removeprefix("session=").partition("; ") for line in lines]
    return [(SessionSigner(KEY).loads(value), attributes) for value, _, attributes in cookies]


def verify_cookies(response: httpx.Response) -> list[tuple[dict[str, Any], str]]:
    return verify(response.headers.get_list("set-cookie"))


def find_largest_note() -> str:
    """The note of a session whose cookie is as large as the middleware lets it be."""
    notes = ("x" * length for length in range(MAX_COOKIE, 0, -1))
    return next(note for note in notes if len(set_cookie({"notes": [note]}, SECURE)) <= MAX_COOKIE)


# Behind both


def test_the_cookie_is_secure_though_the_proxy_speaks_http_with_the_server(visitor: httpx.Client) -> None:
    response = visitor.post("/notes?note=jam")

    assert verify_cookies(response) == [({"notes": ["jam"]}, SECURE)]


def test_a_scheme_that_the_client_sends_is_overwritten(visitor: httpx.Client) -> None:
    response = visitor.post("/notes?note=jam", headers={"X-Forwarded-Proto": "http"})

    assert verify_cookies(response) == [({"notes": ["jam"]}, SECURE)]


def test_a_form_of_the_apps_own_page_finds_the_session(proxy: Proxy, visitor: httpx.Client) -> None:
    keep(visitor, sign({"user": "ada"}))

    response = visitor.post("/notes?note=jam", headers={"Origin": proxy.server.url})

    assert response.json() == {"user": "ada", "notes": ["jam"], "handshakes": 0}
    assert verify_cookies(response) == [({"user": "ada", "notes": ["jam"]}, SECURE)]


@pytest.mark.parametrize("origin", [ELSEWHERE, "https://127.0.0.1"], ids=["another host", "another port"])
def test_a_form_of_another_origin_finds_an_empty_session(origin: str, visitor: httpx.Client) -> None:
    keep(visitor, sign({"user": "ada"}))

    response = visitor.post("/notes?note=jam", headers={"Origin": origin})

    assert response.json() == {"user": None, "notes": ["jam"], "handshakes": 0}
    assert verify_cookies(response) == []


def test_a_websocket_of_the_apps_own_page_finds_the_session_and_sets_its_cookie(
    proxy: Proxy, visitor: httpx.Client
) -> None:
    keep(visitor, sign({"user": "ada"}))

    handshake = shake_hands(visitor, tls=proxy.tls, origin=proxy.server.url)

    assert handshake.message == {"user": "ada", "notes": [], "handshakes": 1}
    assert verify(handshake.set_cookie) == [({"user": "ada", "handshakes": 1}, SECURE)]


def test_a_websocket_of_another_origin_finds_an_empty_session_and_is_refused(
    proxy: Proxy, visitor: httpx.Client
) -> None:
    keep(visitor, sign({"user": "ada"}))

    handshake = shake_hands(visitor, tls=proxy.tls, origin=ELSEWHERE)

    assert (handshake.status, handshake.set_cookie) == (403, [])


def test_the_largest_cookie_passes_both_ways(visitor: httpx.Client) -> None:
    note = find_largest_note()

    response = visitor.post("/notes", params={"note": note})

    assert verify_cookies(response) == [({"notes": [note]}, SECURE)]
    assert visitor.get("/").json() == {"user": None, "notes": [note], "handshakes": 0}


# What the lines of nginx's configuration are for


@pytest.fixture
def reconfigured(
    request: pytest.FixtureRequest, app: Server, certificate: Certificate, tmp_path: Path
) -> Generator[Proxy]:
    """Nginx with each first word of the test's pairs replaced by the second."""
    block = NGINX
    for words, others in request.param:
        block = replace(block, words, others)
    with nginx(app, tmp_path, certificate, block) as proxy:
        yield proxy


def with_nginx(*replaced: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reconfigured", [replaced], ids=["nginx"], indirect=True)


@with_nginx(("proxy_buffer_size 8k;", "proxy_buffer_size 4k;"))
def test_nginx_answers_502_if_the_headers_do_not_fit_into_its_buffer(reconfigured: Proxy) -> None:
    with browse(reconfigured) as client:
        response = client.post("/notes", params={"note": find_largest_note()})

    assert response.status_code == 502
    reconfigured.server.wait_for("(upstream sent too big header)")


@with_nginx(("Host $http_host;", "Host $host;"))
def test_without_the_port_in_host_the_apps_own_page_finds_an_empty_session(reconfigured: Proxy) -> None:
    with browse(reconfigured) as client:
        keep(client, sign({"user": "ada"}))
        response = client.post("/notes?note=jam", headers={"Origin": reconfigured.server.url})
        handshake = shake_hands(client, tls=reconfigured.tls, origin=reconfigured.server.url)

    assert (response.json()["user"], verify_cookies(response)) == (None, [])
    assert (handshake.status, handshake.set_cookie) == (403, [])


@with_nginx(("proxy_set_header X-Forwarded-Proto $scheme;", ""))
@pytest.mark.parametrize(("scheme", "attributes"), [("http", KEPT), ("https", SECURE)])
def test_a_client_whose_header_nginx_passes_on_chooses_the_scheme(
    scheme: str, attributes: str, reconfigured: Proxy
) -> None:
    with browse(reconfigured) as client:
        response = client.post("/notes?note=jam", headers={"X-Forwarded-Proto": scheme})

    assert verify_cookies(response) == [({"notes": ["jam"]}, attributes)]


@with_nginx(
    ("proxy_http_version 1.1;", ""),
    ("proxy_set_header Upgrade $http_upgrade;", ""),
    ('proxy_set_header Connection "upgrade";', ""),
)
def test_without_the_last_three_lines_nginx_makes_a_request_of_a_websocket(reconfigured: Proxy) -> None:
    with browse(reconfigured) as client:
        keep(client, sign({"user": "ada"}))
        handshake = shake_hands(client, tls=reconfigured.tls, origin=reconfigured.server.url)

    assert (handshake.status, handshake.set_cookie) == (404, [])
