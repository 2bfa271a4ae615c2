"""Ours in the place of the session middleware that a package brings, as the package is told to use it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from asgi_signed_session import SessionMiddleware, SessionSigner
from tests.browser import Browser
from tests.conftest import KEY
from tests.daemons import free_port
from tests.servers import browse, running


def test_sqladmin_takes_ours_as_its_only_middleware() -> None:
    pytest.importorskip("sqladmin")
    command = ("-m", "uvicorn", "tests.others.sqladmin_on_ours:app", "--port", "0", "--no-access-log")
    with running(*command) as server, browse(server) as visitor:
        assert visitor.get("/admin/").status_code == 302

        visitor.post("/admin/login", data={"username": "root", "password": "secret"})

        assert visitor.get("/admin/").status_code == 200
        signer = SessionSigner("the key of the administrators'", "admin")
        assert signer.loads(visitor.cookies["admin"]) == {"admin": "root"}
        visitor.get("/admin/logout")
        assert list(visitor.cookies) == []


def test_nicegui_uses_ours_if_it_finds_it_where_it_looks(tmp_path: Path) -> None:
    pytest.importorskip("nicegui")
    command = ("-m", "tests.others.nicegui_on_ours")
    environment = {"PORT": str(free_port()), "NICEGUI_STORAGE_PATH": str(tmp_path)}
    with running(*command, **environment) as server, browse(server) as visitor:
        assert "Hello None" in visitor.get("/").text

        visitor.get("/login?name=ada")

        assert "Hello ada" in visitor.get("/").text
        assert list(SessionSigner("the key of NiceGUI").loads(visitor.cookies["session"])) == ["id"]


def make_cookie(content: Any) -> str:
    """Makes the cookie as Starlette's middleware does, and as tests do for it."""
    return TimestampSigner(KEY).sign(b64encode(json.dumps(content).encode())).decode()


def fasthtml_app(middleware: Any) -> Any:
    app = pytest.importorskip("fasthtml.common").FastHTML(sess_cls=middleware, secret_key=KEY)

    def visit(request: Request) -> str:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return str(request.session["visits"])

    app.get("/")(visit)
    return app


def test_fasthtml_uses_ours_if_it_is_given_as_its_class() -> None:
    browser = Browser(fasthtml_app(SessionMiddleware))

    bodies = [browser.get().body for _ in range(2)]

    assert bodies == [b"1", b"2"]
    assert SessionSigner(KEY, "session_").loads(browser.cookies["session_"]) == {"visits": 2}


class SignsAsStarlette(SessionMiddleware):
    """For who makes or reads cookies as Starlette's middleware signs them."""

    def __init__(self, app: Any, secret_key: str, **options: Any) -> None:
        super().__init__(app, TimestampSigner(secret_key), **options)


@pytest.mark.parametrize(("middleware", "body"), [(SignsAsStarlette, b"7"), (SessionMiddleware, b"1")])
def test_cookies_that_fasthtml_makes_for_tests_are_read_by_a_subclass_that_signs_as_starlette(
    middleware: Any, body: bytes
) -> None:
    browser = Browser(fasthtml_app(middleware), cookies={"session_": make_cookie({"visits": 6})})

    assert browser.get().body == body


@pytest.mark.parametrize("name", ["session", "another"])
def test_tests_that_make_and_read_starlettes_cookies_go_on_with_a_timestamp_signer_as_the_key(name: str) -> None:
    async def visit(request: Request) -> Response:
        request.session["visits"] += 1
        return Response()

    app = Starlette()
    app.add_middleware(SessionMiddleware, secret_key=TimestampSigner(KEY), session_cookie=name)
    app.add_route("/", visit)
    browser = Browser(app, cookies={name: make_cookie({"visits": 6})})
    browser.get()

    payload = TimestampSigner(KEY).unsign(browser.cookies[name], max_age=60)

    assert json.loads(b64decode(payload)) == {"visits": 7}
