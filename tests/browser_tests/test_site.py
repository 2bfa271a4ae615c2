"""The documentation's site in Chromium: what a search answers, and what fits on a phone."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from ..servers import running
from ..test_site import ROOT, SEARCHED, build

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(not find_spec("mkdocs"), reason="MkDocs is not installed")

PAGES = ["", "how-to/cookie-or-store/", "how-to/parallel-requests/", "frameworks/fastapi/", "reference/options/"]

# Of a page: whether it is wider than the screen; and of its tables that people compare two things by, how many are.
FITS = """() => [
    document.documentElement.scrollWidth <= innerWidth,
    [...document.querySelectorAll(".md-typeset__scrollwrap")].filter(
        each => each.scrollWidth > each.clientWidth + 1 && each.querySelectorAll("thead th").length <= 3
    ).length,
]"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    site = tmp_path_factory.mktemp("site")
    built = build(ROOT, site)
    assert built.returncode == 0, built.stderr
    serve = ("-u", "-m", "http.server", "0", "--bind=127.0.0.1", f"--directory={site}")
    with running(*serve, listens=r"(http://127\.0\.0\.1:\d+)") as server:
        yield server.url


@pytest.mark.parametrize("words", SEARCHED)
def test_a_search_for_what_people_call_it_has_its_page_among_the_first_three(
    words: str, address: str, page: Page
) -> None:
    page.goto(f"{address}/?q={words}")
    page.wait_for_selector(".md-search-result__item")

    links = [each.get_attribute("href") or "" for each in page.query_selector_all("a.md-search-result__link")]
    found = list(dict.fromkeys(link.partition("?")[0].removeprefix(f"{address}/").rstrip("/") for link in links))

    assert SEARCHED[words] in found[:3]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_and_its_narrow_tables_fit_on_a_phone(
    scheme: str, path: str, address: str, open_private: Callable[..., Page]
) -> None:
    page = open_private(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(f"{address}/{path}")

    assert page.evaluate(FITS) == [True, 0]
