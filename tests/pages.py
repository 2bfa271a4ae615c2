"""Pages of Markdown for tests: their code blocks, run with what a block may take for granted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from asgi_signed_session import SessionMiddleware

from .conftest import KEY

Names = dict[str, Any]

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}

NEW_KEY = "the key that is to sign from now on"
OLD_KEY = "the key that has signed until now"
USER_KEY = "the key of the visitors' sessions"
ADMIN_KEY = "the key of the administrators' sessions"
KEYS = {
    "SECRET": KEY,
    "NEW_KEY": NEW_KEY,
    "OLD_KEY": OLD_KEY,
    "OLD_SECRET_KEY": OLD_KEY,
    "USER_KEY": USER_KEY,
    "ADMIN_KEY": ADMIN_KEY,
}


def find_blocks(page: str, language: str = "python") -> list[str]:
    """The code blocks of one language, in order, those inside of tabs and with a title too."""
    fenced = re.findall(rf'^( *)```{language}(?: title="[^"\n]*")?\n(.*?)^\1```$', page, re.DOTALL | re.MULTILINE)
    return [dedent(block) for _, block in fenced]


def find_files(page: str) -> list[tuple[str, str]]:
    """The Python blocks of ``page`` that are a file of a project, with its path."""
    return re.findall(r'^```python title="([^"\n]*)"\n(.*?)^```$', PAGES[page], re.DOTALL | re.MULTILINE)


def find_tabs(page: str) -> dict[str, str]:
    """The one Python block of each tab of ``page`` that has one."""
    tabs = re.findall(r'^=== "(.*)"\n((?:\n|    .*\n)*)', PAGES[page], re.MULTILINE)
    return {name: block for name, content in tabs for block in find_blocks(content)}


def need_what_is_imported(*blocks: str) -> None:
    """Skips a test where what its blocks import isn't installed."""
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {name.partition(".")[0] for name in named}:
                if find_spec(module) is None:
                    pytest.skip(f"{module} is not installed")


def run_block(blocks: Iterable[str], words: str, names: Names) -> Names:
    """Runs the one block that has ``words`` in it; ``names``, to which it adds its own."""
    (block,) = [block for block in blocks if words in block]
    execute(block, names)
    return names


def run_in_page(page: str, words: str, names: Names) -> Names:
    """Runs the one block of ``page`` that has ``words`` in it."""
    return run_block(find_blocks(PAGES[page]), words, names)


def run_page(page: str, names: Names) -> Names:
    """Runs the blocks of ``page`` one after the other."""
    need_what_is_imported(*find_blocks(PAGES[page]))
    for block in find_blocks(PAGES[page]):
        execute(block, names)
    return names


def execute(block: str, names: Names) -> None:
    """Runs a block as it stands, without this module's own imports from ``__future__``."""
    exec(compile(block, "<a block of a page>", "exec", dont_inherit=True), names)


def read_console(page: str) -> Iterator[tuple[str, str]]:
    """Each command that ``page`` shows, and the output that it shows for it."""
    for block in find_blocks(PAGES[page], "console"):
        for command_and_output in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = command_and_output.partition("\n")
            yield command, output


def make_names() -> Names:
    """What a block may take for granted: an app, keys, and an app of each framework."""
    from fastapi import FastAPI
    from quart import Quart
    from starlette.applications import Starlette

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    frameworks = {"starlette_app": Starlette(), "fastapi_app": FastAPI(), "quart_app": Quart("pages")}
    return {"__name__": "pages", "app": app, "SessionMiddleware": SessionMiddleware, **KEYS, **frameworks}
