"""Pages of Markdown for tests: their code blocks, run with what a block may take for granted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


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
