"""The documentation as a site: nothing in it leads nowhere, and no page asks another host for anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
LOADING = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "track", "video"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not find_spec("mkdocs"), reason="MkDocs is not installed")]


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Builds the site as ``make docs`` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    built = build(ROOT, site)
    assert built.returncode == 0, built.stderr
    return site


class Loads(HTMLParser):
    """The addresses that a page makes a browser load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADING:
            self.addresses += [value for name, value in attrs if name in ("data", "href", "src") and value]


def find_loads(site: Path) -> Iterator[str]:
    for page in site.rglob("*.html"):
        yield from Loads(page.read_text(encoding="utf-8")).addresses
    for sheet in site.rglob("*.css"):
        yield from re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", sheet.read_text(encoding="utf-8"))


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    loads = list(find_loads(site))

    assert [address for address in loads if re.match(r"(https?:)?//", address)] == []
    assert [address for address in loads if "javascripts/" in address] != []  # it does find what is loaded


def test_the_docstrings_are_on_the_page_of_classes(site: Path) -> None:
    page = (site / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    package = "asgi_signed_session"
    classes = ("SessionMiddleware", "Session", "SessionSigner", "CookieTooLargeError", "stores.Store")

    headings = set(re.findall(r'id="([\w.]+)"', page))

    assert {f"{package}.{name}" for name in classes} <= headings
    assert {
        f"{package}.Session.regenerate",
        f"{package}.SessionSigner.loads",
        f"{package}.stores.Store.get",
    } <= headings


# What people search for, and a page that answers.
SEARCHED = {
    "logout": "how-to/log-out-everywhere",
    "remember me": "how-to/remember-me",
    "sticky session": "how-to/cookie-or-store",
    "SameSite": "reference/options",
    "session not saved": "recipes/signed-out",
    "SessionMiddleware must be installed": "recipes/signed-out",
    "rolling session": "recipes/sliding-expiry",
    "CSRF token": "recipes/csrf-token",
    "flash messages": "recipes/flash-messages",
    "Cloudflare": "how-to/proxy",
    "AWS Lambda": "recipes/aws-lambda",
    "Redis Sentinel": "recipes/databases",
    "Device Bound Session Credentials": "recipes/device-bound-sessions",
}


@pytest.mark.parametrize("words", SEARCHED)
def test_a_search_for_what_people_call_it_finds_its_page(words: str, site: Path) -> None:
    sections = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]

    found = {
        section["location"].partition("#")[0].rstrip("/")
        for section in sections
        if words.casefold() in " ".join(f"{section['title']} {section['text']}".split()).casefold()
    }

    assert SEARCHED[words] in found


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    links = [
        "[a page](nowhere.md)",
        "[a heading](tutorial.md#nowhere)",
        "[a heading of this page](#nowhere-here)",
        "[from the root](/nowhere-below-the-root)",
        "[a folder](nowhere-inside/)",
        "[a class][asgi_signed_session.nowhere]",
        "![a picture](nowhere.png)",
    ]
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n" + "\n\n".join(links))

    built = build(tmp_path, tmp_path / "site")

    assert built.returncode != 0
    addresses = [re.split(r"[][()]+", link)[2] for link in links]
    warnings = [line for line in built.stderr.splitlines() if line.startswith("WARNING")]
    assert [any(address in line for line in warnings) for address in addresses] == [True] * len(links)
