"""The documentation's site in Chromium: what a search answers, and what fits on a phone."""

from __future__ import annotations

from base64 import b64encode
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from benchmarks.figure import ON_DARK, TEXT

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

# The colours of a picture that has come as a data URL, which of them fill how many dots.
COLOURS = """async url => {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    canvas.drawImage(picture, 0, 0);
    const dots = canvas.getImageData(0, 0, picture.width, picture.height).data;
    const counts = {};
    for (let at = 0; at < dots.length; at += 4) {
        const colour = "#" + [...dots.slice(at, at + 3)].map(each => each.toString(16).padStart(2, "0")).join("");
        counts[colour] = (counts[colour] ?? 0) + 1;
    }
    return counts;
}"""


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_is_hardly_shrunk_on_a_phone_and_its_letters_stand_out_from_the_page(
    scheme: str, address: str, open_private: Callable[..., Page]
) -> None:
    page = open_private(viewport={"width": 390, "height": 844}, device_scale_factor=3, color_scheme=scheme)
    page.goto(f"{address}/reference/benchmarks/")
    figures = page.locator("img[src$=svg]")

    assert figures.count() == 4
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        assert figure.evaluate("each => each.width / each.naturalWidth") > 0.8
        shot = b64encode(figure.screenshot()).decode()
        colours = page.evaluate(COLOURS, f"data:image/png;base64,{shot}")
        [(background, _), *_] = sorted(colours.items(), key=lambda each: -each[1])
        letters = ON_DARK if scheme == "dark" else TEXT
        assert colours.get(letters, 0) > 100
        assert find_contrast(letters, background) > 5  # WCAG 2.2 asks for 4.5


def find_contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it."""
    dark, light = sorted(map(find_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def find_luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
