"""Apps inside apps and beside one another, on a real server."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from asgi_signed_session import SessionSigner

from .servers import Server, browse, running, shake_hands

if TYPE_CHECKING:
    from collections.abc import Generator

KEY = "the key of the mounted apps"


@pytest.fixture(scope="module", params=["", "/proxied"])
def server(request: pytest.FixtureRequest) -> Generator[Server]:
    """The apps, at the root of the site and below a path that a proxy takes away."""
    options = (f"--root-path={request.param}",) if request.param else ()
    with running("-m", "uvicorn", "tests.mounted:app", "--port=0", *options, SESSION_SECRET=KEY) as server:
        yield server


@pytest.fixture
def visitor(server: Server) -> Generator[httpx.Client]:
    with browse(server) as client:
        yield client


def root_path(visitor: httpx.Client, mount: str) -> str:
    """Where the mounted app says that it is, which begins with what the proxy took away."""
    found: str = visitor.get(f"{mount}/").json()["root_path"]
    assert found in {mount, f"/proxied{mount}"}
    return found


def attributes(response: httpx.Response) -> list[str]:
    return [line.partition("; ")[2] for line in response.headers.get_list("set-cookie")]


def read(visitor: httpx.Client, name: str) -> dict[str, Any]:
    [value] = [cookie.value for cookie in visitor.cookies.jar if cookie.name == name]
    assert value is not None
    return SessionSigner(KEY, name).loads(value)


def test_an_app_inside_a_raw_app_shares_its_session(visitor: httpx.Client) -> None:
    response = visitor.post("/raw/put", params={"user": "ada"})

    prefix = root_path(visitor, "/raw").removesuffix("/raw")
    assert response.json()["user"] == "ada"
    assert attributes(response) == ["path=/; Max-Age=1209600; httponly; samesite=lax"]
    assert read(visitor, "session") == {"user": "ada", "paths": [f"{prefix}/raw/put", f"{prefix}/raw/"]}


def test_two_apps_side_by_side_have_two_sessions(visitor: httpx.Client) -> None:
    shop = visitor.post("/shop/put", params={"cart": "tea"})
    admin = visitor.post("/admin/put", params={"user": "root"})

    assert attributes(shop) == ["path=/shop; Max-Age=1209600; httponly; samesite=lax"]
    assert attributes(admin) == ["path=/admin; Max-Age=1209600; httponly; samesite=strict"]
    assert visitor.get("/shop/").json() == {"cart": "tea", "root_path": root_path(visitor, "/shop")}
    assert visitor.get("/admin/").json() == {"user": "root", "root_path": root_path(visitor, "/admin")}
    assert (read(visitor, "shop"), read(visitor, "admin")) == ({"cart": "tea"}, {"user": "root"})


def test_a_websocket_and_pages_of_a_mounted_app_share_one_session(visitor: httpx.Client) -> None:
    visitor.post("/raw/put", params={"user": "ada"})

    handshake = shake_hands(visitor, "/raw/ws")

    assert {"user": "ada", "handshakes": 1}.items() <= handshake.message.items()
    assert {"user": "ada", "handshakes": 1}.items() <= visitor.get("/raw/").json().items()


@pytest.mark.skipif(find_spec("django") is None, reason="django is not installed")
def test_django_inside_starlette_shares_its_session(visitor: httpx.Client) -> None:
    visitor.post("/around/put", params={"user": "ada"})
    visitor.post("/around/django/notes", params={"note": "bread"})

    assert visitor.get("/around/django/").json() == {"user": "ada", "notes": ["bread"], "handshakes": 0}
    assert visitor.get("/around/").json()["notes"] == ["bread"]
    visitor.post("/around/django/logout")
    assert visitor.get("/around/").json() == {"root_path": root_path(visitor, "/around")}
