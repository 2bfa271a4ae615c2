"""What docs/reference/servers.md and docs/reference/limits.md say of websockets and of limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asgi_signed_session import SessionMiddleware, SessionSigner

from .apps import app_that, show_session
from .browser import Browser
from .conftest import KEY
from .pages import PAGES, Names, run_in_page

LIMITS = PAGES["reference/limits.md"]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ({}, [{"type": "websocket.close"}]),
        ({"user_id": 42}, [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "Hello 42"}]),
    ],
)
def test_the_websocket_app_knows_who_is_signed_in(content: Any, messages: Any, names: Names) -> None:
    app = run_in_page("reference/servers.md", "def websocket_app", names)["websocket_app"]
    browser = Browser(SessionMiddleware(app, KEY), cookies={"session": SessionSigner(KEY).dumps(content)})

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


def test_what_json_makes_of_it_comes_back() -> None:
    def act(scope: Any) -> Any:
        if scope["path"] == "/put":
            scope["session"].update({"pair": (1, 2), "names": {7: "seven"}})
        return show_session(scope)

    browser = Browser(SessionMiddleware(app_that(act), KEY))
    browser.get("/put")

    assert browser.get().json()[0] == {"pair": [1, 2], "names": {"7": "seven"}}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+\.py)`", LIMITS))))
def test_every_file_of_tests_that_the_page_names_is_here(name: str) -> None:
    assert (Path(__file__).parent / name).exists()
