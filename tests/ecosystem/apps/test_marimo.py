"""A notebook of marimo, behind its token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import marimo
import pytest

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def visitor(visit: Any, tmp_path: Path) -> Any:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    server = marimo.create_asgi_app(token="right", quiet=True)
    return visit(server.with_app(path="/one", root=str(tmp_path / "notebook.py")).build())


def test_a_notebook_opens_to_who_has_its_token_and_stays_open(visitor: Any) -> None:
    closed = visitor.get("/one/", follow_redirects=True)
    visitor.get("/one/?access_token=right")
    opened = visitor.get("/one/", follow_redirects=True)

    assert [closed.url.path.endswith("login"), opened.url.path] == [True, "/one/"]
    assert opened.status_code == 200


def test_a_wrong_token_opens_nothing(visitor: Any) -> None:
    visitor.get("/one/?access_token=wrong")

    assert visitor.get("/one/", follow_redirects=True).url.path.endswith("login")


def test_its_cookie_is_named_after_its_path_and_for_that_alone(visitor: Any) -> None:
    visitor.get("/one/?access_token=right")

    assert [(cookie.name, cookie.path) for cookie in visitor.cookies.jar] == [("session_one", "/one")]
