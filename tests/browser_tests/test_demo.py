"""The demo as a person uses it: every click in Chromium, every restart a real one."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from asgi_signed_session import SessionSigner

from ..daemons import DEADLINE
from ..servers import Server, running
from ..test_demo import KEY, OLD_KEY, SIGNER
from .conftest import read_jar
from .looks import CONTRASTS, STICKING_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

    from .conftest import Certificate, Chromium

    RunDemo = Callable[..., AbstractContextManager[Server]]


END = re.compile("^End [0-9a-f]{8}$")


class Seen(NamedTuple):
    """What a person sees of their session."""

    greeting: str
    visits: int
    notes: list[str]
    handshakes: int


# What the scheme makes no difference to.
on_http = pytest.mark.parametrize("run_demo", ["http"], indirect=True)
with_store = pytest.mark.parametrize("run_demo", ["store"], indirect=True)
with_store_or_without = pytest.mark.parametrize("run_demo", ["http", "store"], indirect=True)


def look(page: Page) -> Seen:
    return Seen(
        page.inner_text("#greeting"),
        int(page.inner_text("#visits")),
        page.locator("#notes li:not(.none)").all_inner_texts(),
        int(page.inner_text("#handshakes")),
    )


def save_name(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Save name").click()


def add_note(page: Page, note: str) -> None:
    page.get_by_label("Another note").fill(note)
    page.get_by_label("Another note").press("Enter")
    page.locator("#notes li", has_text=note).wait_for()


def remember(page: Page, *, ticked: bool) -> None:
    page.get_by_label("Remember for 30 days").set_checked(ticked)
    page.get_by_role("button", name="Save choice").click()


def open_a_websocket(page: Page) -> None:
    page.get_by_role("button", name="Open a websocket").click()
    page.get_by_text("Accepted, and the cookie with it.").wait_for()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out", exact=True).click()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Sign in as").fill(name)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.locator("#devices").wait_for()


def end(page: Page, name: str | re.Pattern[str]) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def list_devices(page: Page) -> list[str]:
    """What stands after each: its button, or that it is this one."""
    page.reload()
    return page.locator(".device > :last-child").all_inner_texts()


def read_cookie(person: BrowserContext) -> Any:
    """Verify the one cookie that the browser has, and say what it signs."""
    [cookie] = read_jar(person)
    return SIGNER.loads(cookie["value"])


@pytest.fixture(scope="module", params=["http", "https"])
def run_demo(
    request: pytest.FixtureRequest, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> RunDemo:
    """Runs the demo: ``run_demo(KEY, fallbacks=OLD_KEY, port=port)``."""
    options = {
        "http": (),
        "https": ("--https", f"--certfile={certificate.certfile}", f"--keyfile={certificate.keyfile}"),
        "store": (f"--store=sqlite:{tmp_path_factory.mktemp('store')}/sessions.db",),
    }

    @contextmanager
    def run(key: str = KEY, *, fallbacks: str = "", port: int = 0) -> Generator[Server]:
        arguments = ("examples/demo.py", f"--port={port}", *options[request.param])
        with running(*arguments, SESSION_SECRET=key, SESSION_SECRET_FALLBACKS=fallbacks) as server:
            yield server

    return run


@pytest.fixture(scope="module")
def demo(run_demo: RunDemo) -> Generator[Server]:
    with run_demo() as server:
        yield server


@pytest.fixture
def page(person: BrowserContext) -> Generator[Page]:
    """A tab in which nothing may go wrong unseen: no script's error, nothing that the policy forbids."""
    wrong: list[str] = []
    page = person.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in {"warning", "error"} else None)
    yield page
    assert wrong == []


def test_a_person_uses_the_whole_page(demo: Server, page: Page, person: BrowserContext) -> None:
    page.goto(demo.url)
    assert look(page) == Seen("Hello, stranger", 1, [], 0)

    save_name(page, "Ada <b>")
    assert look(page) == Seen("Hello, Ada <b>", 2, [], 0)

    add_note(page, "tea")
    add_note(page, "jam & <butter>")
    assert look(page) == Seen("Hello, Ada <b>", 4, ["tea", "jam & <butter>"], 0)

    open_a_websocket(page)
    assert look(page) == Seen("Hello, Ada <b>", 4, ["tea", "jam & <butter>"], 1)

    page.get_by_role("link", name="next visit").click()
    assert look(page) == Seen("Hello, Ada <b>", 5, ["tea", "jam & <butter>"], 1)
    sent = {"visits": 4, "name": "Ada <b>", "notes": ["tea", "jam & <butter>"], "handshakes": 1}
    assert all(f'"{key}"' in page.inner_text("#inside") for key in sent)

    sign_out(page)
    assert look(page) == Seen("Hello, stranger", 0, [], 0)
    assert page.get_by_text("No session cookie came with this request.").is_visible()
    assert read_jar(person) == []

    page.get_by_role("link", name="Start a new one").click()
    assert look(page) == Seen("Hello, stranger", 1, [], 0)


def test_the_page_shows_the_cookie_as_the_browser_has_it(demo: Server, page: Page, person: BrowserContext) -> None:
    page.goto(demo.url)
    [cookie] = read_jar(person)
    page.reload()

    assert page.inner_text("#cookie") == f"session={cookie['value']}"
    assert page.get_by_text(f"{len('session' + cookie['value'])} of 4096 bytes").is_visible()
    assert cookie["secure"] == demo.url.startswith("https")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)


def test_the_cookie_of_a_websockets_handshake_is_in_the_jar_before_any_other_request(
    demo: Server, page: Page, person: BrowserContext
) -> None:
    page.goto(f"{demo.url}/signed-out")  # which sets none
    before = read_jar(person)

    open_a_websocket(page)

    assert before == []
    assert read_cookie(person) == {"handshakes": 1}
    page.goto(demo.url)
    assert look(page) == Seen("Hello, stranger", 1, [], 1)


def test_two_tabs_share_one_session(demo: Server, page: Page, person: BrowserContext) -> None:
    page.goto(demo.url)
    other = person.new_page()
    other.goto(demo.url)

    save_name(page, "Ada")
    add_note(other, "tea")
    open_a_websocket(page)
    other.reload()
    page.reload()

    assert look(page) == look(other)._replace(visits=6) == Seen("Hello, Ada", 6, ["tea"], 1)

    sign_out(other)
    page.reload()

    assert look(page) == Seen("Hello, stranger", 1, [], 0)


@pytest.mark.parametrize(
    ("key", "fallbacks", "seen", "notice"),
    [
        pytest.param(OLD_KEY, "", Seen("Hello, Ada", 3, ["tea"], 1), "", id="the same key"),
        pytest.param(KEY, OLD_KEY, Seen("Hello, Ada", 3, ["tea"], 1), "", id="a new key"),
        pytest.param(
            KEY,
            "",
            Seen("Hello, stranger", 1, [], 0),
            "The cookie that came was not used (bad-signature), so this is a new session.",
            id="a new key and the old one forgotten",
        ),
    ],
)
def test_an_open_tab_goes_on_after_a_restart_of_the_server(
    key: str, fallbacks: str, seen: Seen, notice: str, run_demo: RunDemo, page: Page, person: BrowserContext
) -> None:
    with run_demo(OLD_KEY) as first:
        page.goto(first.url)
        save_name(page, "Ada")
        add_note(page, "tea")
        open_a_websocket(page)

    with run_demo(key, fallbacks=fallbacks, port=int(first.url.rpartition(":")[2])) as second:
        assert second.url == first.url
        page.reload()
        after = look(page)
        said = page.locator(".notice").inner_text()

    assert (after, said) == (seen._replace(visits=after.visits), notice)
    assert after.visits == (4 if seen.notes else 1)
    [cookie] = read_jar(person)
    assert SessionSigner(key).loads(cookie["value"])["visits"] == after.visits


@on_http
@pytest.mark.parametrize(
    ("choices", "visits"),
    [
        pytest.param([], 1, id="not remembered"),
        pytest.param([True], 3, id="remembered"),
        pytest.param([True, False], 1, id="remembered, then not"),
    ],
)
def test_a_session_outlives_the_browser_if_it_is_to_be_remembered(
    choices: list[bool], visits: int, demo: Server, chromium: Chromium, tmp_path: Path
) -> None:
    with chromium.open_profile(tmp_path) as person:
        page = person.new_page()
        page.goto(demo.url)
        for ticked in choices:
            remember(page, ticked=ticked)

    with chromium.open_profile(tmp_path) as person:
        page = person.new_page()
        page.goto(demo.url)
        assert look(page).visits == visits
        assert page.get_by_label("Remember for 30 days").is_checked() == (visits > 1)


@on_http
def test_a_note_too_large_is_refused_and_the_session_stays(demo: Server, page: Page) -> None:
    page.goto(demo.url)
    add_note(page, "tea")

    page.get_by_label("Another note").fill("x" * 5000)
    page.get_by_role("button", name="Add").click()

    assert "That does not fit" in page.inner_text(".notice")
    assert look(page) == Seen("Hello, stranger", 2, ["tea"], 0)


# With a store.


@with_store
def test_six_requests_at_once_are_all_in_the_session(demo: Server, page: Page) -> None:
    page.goto(demo.url)
    for _ in range(2):  # the second time the same keys are there
        with page.expect_response("**/arrived", timeout=DEADLINE * 1000):
            page.get_by_role("button", name="Send six requests at once").click()
        page.locator("#send:enabled").wait_for()

        assert page.inner_text("#arrived") == "6 of 6 are in the session."


@with_store
def test_a_person_ends_another_of_their_devices(demo: Server, page: Page, open_private: Callable[..., Page]) -> None:
    other = open_private()
    for device in (page, other):
        device.goto(demo.url)
        sign_in(device, "Ada <b>")
    assert sorted(list_devices(page)) == sorted(list_devices(other)) == ["End", "This one"]
    assert page.inner_text("#signed-in") == "Ada <b>"

    end(page, END)

    assert list_devices(page) == ["This one"]
    other.reload()
    assert other.inner_text(".notice") == "Signed out elsewhere, or expired: this is a new session."
    assert look(other) == Seen("Hello, stranger", 1, [], 0)
    assert other.get_by_label("Sign in as").is_visible()


@with_store
def test_an_open_websocket_says_that_its_session_was_ended_elsewhere(
    demo: Server, page: Page, open_private: Callable[..., Page]
) -> None:
    other = open_private()
    for device in (page, other):
        device.goto(demo.url)
        sign_in(device, "Bea")
    open_a_websocket(other)

    end(page, "Sign out everywhere else")

    other.get_by_text("Signed out elsewhere.", exact=True).wait_for()
    assert other.get_by_role("button", name="Open a websocket").is_enabled()
    assert list_devices(page) == ["This one"]


# The page itself.


@on_http
def test_all_but_the_websocket_works_without_javascript(demo: Server, open_private: Callable[..., Page]) -> None:
    page = open_private(java_script_enabled=False)
    page.goto(demo.url)
    save_name(page, "Ada")
    add_note(page, "tea")
    remember(page, ticked=True)

    assert look(page) == Seen("Hello, Ada", 4, ["tea"], 0)
    assert page.get_by_label("Remember for 30 days").is_checked()
    assert page.get_by_text("This part alone needs JavaScript.").is_visible()
    assert page.get_by_role("button", name="Open a websocket").count() == 0

    sign_out(page)

    assert look(page) == Seen("Hello, stranger", 0, [], 0)


@with_store
def test_without_javascript_a_person_has_their_devices_all_the_same(
    demo: Server, open_private: Callable[..., Page]
) -> None:
    page, other = [open_private(java_script_enabled=False) for _ in range(2)]
    for device in (page, other):
        device.goto(demo.url)
        sign_in(device, "Cleo")
    page.reload()
    end(page, END)

    assert list_devices(page) == ["This one"]
    assert list_devices(other) == []
    assert page.get_by_text("This part needs JavaScript, too.").is_visible()
    assert page.get_by_role("button", name="Send six requests at once").count() == 0


@with_store_or_without
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_of_the_page_however_narrow(
    width: int, demo: Server, page: Page, open_private: Callable[..., Page]
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(demo.url)
    if page.get_by_label("Sign in as").is_visible():
        other = open_private()
        other.goto(demo.url)
        sign_in(other, "W" * 40)
        sign_in(page, "W" * 40)
    save_name(page, "W" * 40)
    add_note(page, "w" * 400)
    page.reload()

    assert page.evaluate(STICKING_OUT) == []


@with_store_or_without
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: Any, demo: Server, page: Page) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(demo.url)
    if page.get_by_label("Sign in as").is_visible():
        sign_in(page, "Dora")
    add_note(page, "tea")
    page.goto(f"{demo.url}/too-large")

    contrasts = page.evaluate(CONTRASTS)

    assert len(contrasts) > 20
    assert {text: contrast for text, contrast in contrasts if contrast < 4.5} == {}  # WCAG 2.2, 1.4.3


def list_controls(page: Page) -> list[tuple[str, str]]:
    """Everything to press or fill in, and its name."""
    return re.findall(r"- (button|textbox|checkbox|link)(?: \"(.*?)\")?", page.locator("body").aria_snapshot())


@on_http
def test_everything_to_press_or_fill_in_has_a_name_of_its_own(demo: Server, page: Page) -> None:
    page.goto(demo.url)

    assert list_controls(page) == [
        ("textbox", "Your name"),
        ("button", "Save name"),
        ("textbox", "Another note"),
        ("button", "Add"),
        ("button", "Open a websocket"),
        ("checkbox", "Remember for 30 days"),
        ("button", "Save choice"),
        ("button", "Sign out"),
        ("link", "next visit"),
    ]


@with_store
def test_everything_to_press_about_devices_has_a_name_of_its_own(
    demo: Server, page: Page, open_private: Callable[..., Page]
) -> None:
    page.goto(demo.url)
    before = list_controls(page)[-4:]
    others = [open_private() for _ in range(2)]
    for device in (*others, page):
        device.goto(demo.url)
        sign_in(device, "Finn")
    *_, one, other, everywhere, _, _ = list_controls(page)

    assert before[:3] == [("textbox", "Sign in as"), ("button", "Sign in"), ("button", "Send six requests at once")]
    assert everywhere == ("button", "Sign out everywhere else")
    assert all(END.match(name) for _, name in (one, other))
    assert one != other
