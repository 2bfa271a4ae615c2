"""Every Python block of the README runs, and what it links to is there."""

from __future__ import annotations

import asyncio
import re
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from asgi_signed_session import Session, SessionMiddleware, SessionSigner
from asgi_signed_session.stores import MemoryStore, Sessions

from .browser import Browser
from .conftest import KEY
from .pages import find_blocks, run_block

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = find_blocks(README)


def run(names: dict[str, Any], first_words: str) -> dict[str, Any]:
    return run_block(BLOCKS, first_words, names)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_runs(block: str, names: dict[str, Any]) -> None:
    exec(block, names)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "app = SessionMiddleware(" in block])
def test_every_app_answers(block: str, names: dict[str, Any]) -> None:
    exec(block, names)

    assert Browser(names["app"]).get().start["status"] == 200


def test_the_first_app_counts_visits(names: dict[str, Any]) -> None:
    browser = Browser(run(names, "visits")["app"])

    assert [browser.get().body, browser.get().body] == [b"Visit 1", b"Visit 2"]


def test_the_cart_is_saved_new_or_not(names: dict[str, Any]) -> None:
    add_to_cart = run(names, "def add_to_cart")["add_to_cart"]
    session = Session({"cart": ["tea"]})

    add_to_cart(session, "jam")

    assert (session, session.modified) == ({"cart": ["tea", "jam"]}, True)


@pytest.mark.parametrize(("remember_me", "max_age"), [(True, 30 * 86400), (False, None)])
def test_a_login_is_remembered_if_asked_to(remember_me: bool, max_age: int | None, names: dict[str, Any]) -> None:
    session = Session()

    run(names, "def login")["login"](session, 42, remember_me)

    assert (session, session.max_age) == ({"user_id": 42}, max_age)


def test_a_user_is_signed_out_elsewhere(names: dict[str, Any]) -> None:
    store = MemoryStore()
    sign_out = run(names, "def sign_out_elsewhere")["sign_out_elsewhere"]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].principal = "42"
        if scope["path"] == "/elsewhere":
            await sign_out(store, scope["session"])
        await send({"type": "http.response.start", "status": 200})

    phone, laptop = (Browser(SessionMiddleware(app, names["SECRET"], store=store)) for _ in range(2))
    for browser in (phone, laptop):
        browser.get()
    laptop.get("/elsewhere")

    assert len(asyncio.run(Sessions(store, names["SECRET"]).of("42"))) == 1


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ({}, [{"type": "websocket.close"}]),
        ({"user_id": 42}, [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "Hello 42"}]),
    ],
)
def test_the_websocket_app_knows_who_is_signed_in(content: Any, messages: Any, names: dict[str, Any]) -> None:
    browser = Browser(SessionMiddleware(run(names, "def websocket_app")["websocket_app"], KEY))
    browser.cookies["session"] = SessionSigner(KEY).dumps(content)

    assert [{**message, "headers": []} for message in browser.websocket().messages] == [
        {**message, "headers": []} for message in messages
    ]


def test_asgirefs_adapter_of_wsgi_apps_works_inside_and_warns_of_send() -> None:
    from asgiref.wsgi import WsgiToAsgi

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    adapted: Any = WsgiToAsgi(wsgi)  # type: ignore[no-untyped-call]
    browser = Browser(SessionMiddleware(adapted, KEY))

    with pytest.warns(UserWarning, match="async_to_sync was passed a non-async-marked callable"):
        response = browser.get(http_version="1.1")

    assert (response.start["status"], response.body) == (200, b"hello")


@pytest.mark.parametrize(("valid_from", "user"), [(0, {"sessions_valid_from": 0}), (4_000_000_000, None)])
def test_a_session_older_than_the_users_time_is_void(valid_from: int, user: Any, names: dict[str, Any]) -> None:
    current_user = run(names, "def current_user")["current_user"]
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current_user(scope["session"], {42: {"sessions_valid_from": valid_from}}))

    cookies = run(names, "signer.dumps")["cookies"]
    Browser(SessionMiddleware(app, KEY), cookies=cookies).get()

    assert seen == [user]


def test_the_cookie_on_the_wire_is_one_and_is_taken_apart_as_shown(names: dict[str, Any]) -> None:
    (line,) = re.findall(r"^Set-Cookie: (.*)$", README, re.MULTILINE)
    (parts,) = re.findall(r"^(\S+ \. \S+ \. \S+)$", README, re.MULTILINE)
    value = line.partition("=")[2].partition(";")[0]
    (sent,) = Browser(run(names, "visits")["app"], scheme="https").get().all(b"set-cookie")

    assert SessionSigner(KEY).loads(value) == {"visits": 1}
    assert parts.replace(" ", "") == value
    assert sent.decode().partition("; ")[2] == line.partition("; ")[2]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_into_the_repository_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_page_on_pypi_leads_into_no_repository() -> None:
    page = metadata("asgi-signed-session").json["description"]

    assert isinstance(page, str)
    assert page.startswith("# asgi-signed-session\n")
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", page) == []


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", README)) - anchors == set()
