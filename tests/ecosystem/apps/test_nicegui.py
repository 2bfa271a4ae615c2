"""Pages with NiceGUI in an app of FastAPI: what it keeps for a browser, and for its user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import serving
from fastapi import FastAPI

os.environ.pop("PYTEST_CURRENT_TEST", None)  # NiceGUI would take this for a test of its own

from nicegui import app as nicegui_app
from nicegui import ui


@nicegui_app.get("/login")
def login(name: str) -> None:
    nicegui_app.storage.user["name"] = name


@nicegui_app.get("/logout")
def logout() -> None:
    nicegui_app.storage.user.clear()


@nicegui_app.get("/browser")
def browser(words: str = "") -> dict[str, Any]:
    if words:
        nicegui_app.storage.browser["words"] = words
    return dict(nicegui_app.storage.browser)


@ui.page("/")
def index() -> None:
    ui.label(f"Hello {nicegui_app.storage.user.get('name')}")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """NiceGUI can start once in a process."""
    app = FastAPI()
    ui.run_with(app, storage_secret="the key of pages with NiceGUI")
    with serving(app) as address:
        yield address


@pytest.fixture
def visitor(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as visitor:
        yield visitor


def test_a_browser_keeps_its_id(visitor: Any) -> None:
    first = visitor.get("/browser").json()

    assert set(first) == {"id"}
    assert visitor.get("/browser").json() == first


def test_what_is_put_beside_the_id_is_kept(visitor: Any) -> None:
    visitor.get("/browser?words=kept")

    assert visitor.get("/browser").json()["words"] == "kept"


def test_a_page_knows_its_user_until_she_signs_out(visitor: Any) -> None:
    visitor.get("/")
    visitor.get("/login?name=ada")

    assert "Hello ada" in visitor.get("/").text
    visitor.get("/logout")
    assert "Hello None" in visitor.get("/").text


def test_another_browser_is_another_user(visitor: Any) -> None:
    visitor.get("/login?name=ada")
    visitor.cookies.clear()

    assert "Hello None" in visitor.get("/").text
