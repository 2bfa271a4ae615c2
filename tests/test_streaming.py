"""Streams, server-sent events and background tasks, on a real server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from asgi_signed_session import SessionSigner

from .advice import TOO_LATE
from .servers import Server, browse, running

if TYPE_CHECKING:
    from collections.abc import Generator

KEY = "the key of the streams' tests"

STREAMS = [
    pytest.param("/stream", "one\ntwo\n", "sent", 2, id="stream"),
    pytest.param("/events", "data: one\n\ndata: two\n\n", "sent", 2, id="server-sent events"),
    pytest.param("/background", "started\n", "done", True, id="background task"),
]


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with running("-m", "uvicorn", "tests.streaming:app", "--port=0", SESSION_SECRET=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def server_with_store() -> Generator[Server]:
    options = {"SESSION_SECRET": KEY, "STORE": "memory"}
    with running("-m", "uvicorn", "tests.streaming:app", "--port=0", **options) as server:
        yield server


@pytest.mark.parametrize(("path", "text", "key", "value"), STREAMS)
def test_the_session_is_written_at_the_start_and_a_later_change_is_warned_about(
    server: Server, path: str, text: str, key: str, value: object
) -> None:
    with browse(server) as client:
        response = client.get(path)

    assert response.text == text
    [line] = response.headers.get_list("set-cookie")
    cookie, _, attributes = line.partition("; ")
    assert SessionSigner(KEY).loads(cookie.removeprefix("session=")) == {"started": True}
    assert attributes == "path=/; Max-Age=1209600; httponly; samesite=lax"
    server.wait_for(rf"(?m)^(Session changes on '{path}' not saved: '{key}'\. {re.escape(TOO_LATE)})$")


@pytest.mark.parametrize(("path", "text", "key", "value"), STREAMS)
def test_with_a_store_a_later_change_is_saved(
    server_with_store: Server, path: str, text: str, key: str, value: object
) -> None:
    with browse(server_with_store) as client:
        assert client.get(path).text == text
        # On the same connection, so once the first request is done with.
        assert client.get("/").text == repr({"started": True, key: value})
    assert "not saved" not in server_with_store.said
