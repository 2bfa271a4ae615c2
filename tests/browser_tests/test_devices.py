"""The app in examples/devices as people use it: each browser is one of somebody's devices."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from ..daemons import has_redis, redis
from ..servers import Server
from ..test_devices import IPHONE, PASSWORD, WRONG, run_devices
from .looks import CONTRASTS, STICKING_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

    from .conftest import Chromium

    OpenDevice = Callable[..., Page]

PHONE = {"user_agent": IPHONE, "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SIGNED_OUT = "This device was signed out. Sign in again"
# Chromium says so of each page that isn't a 200, and of a websocket that it can't open.
EXPECTED = re.compile("Failed to load resource|WebSocket connection to")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with run_devices(tmp_path_factory.mktemp("devices")) as server:
        yield server
    assert "Traceback" not in server.said


@pytest.fixture
def open_device(open_private: Callable[..., Page]) -> Generator[OpenDevice]:
    """Opens one device more, on which nothing may go wrong unseen: no script's error, nothing that is forbidden."""
    wrong: list[str] = []

    def open_one(**options: Any) -> Page:
        page = open_private(**options)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"warning", "error"} else None)
        return page

    yield open_one
    assert [text for text in wrong if EXPECTED.match(text) is None] == []


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of an account that no other test has."""
    return f"u{sha256(request.node.nodeid.encode()).hexdigest()[:12]}"


def fill_in(page: Page, name: str, password: str, button: str, *, remember: bool = False) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Remember me for 30 days").set_checked(remember)
    page.get_by_role("button", name=button).click()


def sign_up(page: Page, server: Server, name: str) -> None:
    page.goto(server.url)
    page.get_by_role("link", name="Create an account").click()
    fill_in(page, name, PASSWORD, "Create account")
    page.get_by_role("heading", name="Your devices").wait_for()


def sign_in(page: Page, server: Server, name: str, *, remember: bool = False) -> None:
    page.goto(server.url)
    fill_in(page, name, PASSWORD, "Sign in", remember=remember)
    page.get_by_role("heading", name="Your devices").wait_for()


def list_devices(page: Page, server: Server) -> list[str]:
    """What each is called, and its button or that it is this one."""
    page.goto(server.url)
    items = page.locator(".devices > li")
    return [f"{item.locator('h2').inner_text()}: {item.locator('> :last-child').inner_text()}" for item in items.all()]


def open_chat(page: Page) -> None:
    page.get_by_role("link", name="Chat").click()
    page.get_by_text("Connected", exact=True).wait_for()


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_label("Message").press("Enter")


def hear(page: Page, name: str, text: str) -> None:
    message = page.get_by_role("log").get_by_role("listitem").filter(has=page.get_by_text(text, exact=True))
    message.wait_for()
    assert message.inner_text().startswith(name)


def test_a_person_uses_the_whole_app_on_a_phone_and_a_laptop(
    server: Server, name: str, open_device: OpenDevice
) -> None:
    phone, laptop = open_device(**PHONE), open_device()
    sign_up(phone, server, name)
    sign_in(laptop, server, name)
    assert list_devices(phone, server) == ["Safari on iPhone: This device", "Chrome on Linux: Sign out"]
    assert list_devices(laptop, server) == ["Chrome on Linux: This device", "Safari on iPhone: Sign out"]

    open_chat(phone)
    open_chat(laptop)
    say(phone, "From <b>the phone</b>.")
    hear(laptop, name, "From <b>the phone</b>.")
    say(laptop, "From the laptop.")
    hear(phone, name, "From the laptop.")

    phone.get_by_role("button", name="Sign out").click()
    phone.get_by_role("heading", name="Sign in").wait_for()
    assert phone.context.cookies() == []
    assert list_devices(laptop, server) == ["Chrome on Linux: This device"]


def test_a_phone_in_the_chat_says_that_it_was_signed_out_from_the_laptop(
    server: Server, name: str, open_device: OpenDevice
) -> None:
    phone, laptop = open_device(**PHONE), open_device()
    sign_up(laptop, server, name)
    sign_in(phone, server, name)
    open_chat(phone)

    laptop.reload()
    laptop.get_by_role("button", name="Sign out Safari on iPhone").click()

    assert laptop.get_by_role("status").inner_text() == "Signed out on Safari on iPhone."
    ended = phone.get_by_role("alert")
    ended.wait_for()
    assert ended.inner_text() == SIGNED_OUT
    assert phone.get_by_label("Message").is_disabled()
    assert phone.get_by_role("button", name="Send").is_disabled()
    assert list_devices(laptop, server) == ["Chrome on Linux: This device"]

    ended.get_by_role("link", name="Sign in again").click()
    assert phone.get_by_role("status").inner_text() == (
        "You are signed out here: from another device, or because you were away for long."
    )
    fill_in(phone, name, PASSWORD, "Sign in")
    open_chat(phone)


def test_what_is_said_on_a_device_that_was_signed_out_is_heard_by_nobody(
    server: Server, name: str, open_device: OpenDevice
) -> None:
    laptop, phone, lost = open_device(), open_device(**PHONE), open_device()
    sign_up(laptop, server, name)
    for device in (phone, lost):
        sign_in(device, server, name)
    open_chat(lost)
    say(lost, "I have the lost one.")
    hear(lost, name, "I have the lost one.")

    laptop.reload()
    laptop.get_by_role("button", name="Sign out everywhere else").click()
    laptop.get_by_text("Signed out on 2 other devices.").wait_for()
    open_chat(laptop)
    if lost.get_by_label("Message").is_enabled():
        lost.evaluate("document.getElementById('text').value = 'Still me.'; document.forms.say.requestSubmit()")
    lost.get_by_role("alert").wait_for()
    say(laptop, "Gone.")

    hear(laptop, name, "Gone.")
    assert laptop.get_by_role("log").get_by_role("listitem").count() == 1
    phone.reload()
    assert phone.get_by_role("heading", name="Sign in").is_visible()


def test_a_sign_out_in_another_tab_ends_the_chat_in_this_one(
    server: Server, name: str, open_device: OpenDevice
) -> None:
    page = open_device()
    sign_up(page, server, name)
    other = page.context.new_page()
    other.goto(server.url)
    open_chat(page)

    other.get_by_role("button", name="Sign out").click()

    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == SIGNED_OUT


@pytest.mark.parametrize("remember", [True, False])
def test_a_session_outlives_the_browser_if_it_is_to_be_remembered(
    remember: bool, server: Server, name: str, chromium: Chromium, open_device: OpenDevice, tmp_path: Path
) -> None:
    sign_up(open_device(), server, name)
    with chromium.open_profile(tmp_path) as person:
        sign_in(person.new_page(), server, name, remember=remember)

    with chromium.open_profile(tmp_path) as person:
        page = person.new_page()
        page.goto(server.url)
        heading = page.get_by_role("heading", level=1).inner_text()

    assert heading == ("Your devices" if remember else "Sign in")


def test_after_a_wrong_password_the_next_can_be_typed_at_once(
    server: Server, name: str, open_device: OpenDevice
) -> None:
    page = open_device(**PHONE)
    sign_up(page, server, name)
    page.get_by_role("button", name="Sign out").click()

    fill_in(page, name, WRONG, "Sign in")
    assert page.get_by_role("alert").inner_text() == "This name and password don't go together."
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Your devices").wait_for()


def test_five_wrong_passwords_make_the_next_wait(server: Server, name: str, open_device: OpenDevice) -> None:
    page = open_device()
    page.goto(server.url)
    for _ in range(6):
        fill_in(page, name, WRONG, "Sign in")

    problem = "Too many wrong passwords for this account. Try again in a minute."
    assert page.get_by_role("alert").inner_text() == problem


def test_the_chat_goes_on_after_a_restart_of_the_server(name: str, open_device: OpenDevice, tmp_path: Path) -> None:
    page = open_device()
    with run_devices(tmp_path) as server:
        sign_up(page, server, name)
        open_chat(page)
        say(page, "Before.")
        hear(page, name, "Before.")
    page.get_by_text("Not connected. Trying again…").wait_for()

    with run_devices(tmp_path, f"--port={server.url.rpartition(':')[2]}"):
        page.get_by_text("Connected", exact=True).wait_for()
        say(page, "After.")
        hear(page, name, "After.")
        assert page.get_by_role("log").get_by_role("listitem").count() == 2


def test_all_but_the_chat_works_without_javascript(server: Server, name: str, open_device: OpenDevice) -> None:
    page, other = [open_device(java_script_enabled=False) for _ in range(2)]
    sign_up(page, server, name)
    sign_in(other, server, name)
    page.goto(f"{server.url}/chat")
    assert page.get_by_text("The chat needs JavaScript; everything else here does without.").is_visible()

    page.goto(server.url)
    page.get_by_role("button", name="Sign out Chrome on Linux").click()

    assert list_devices(page, server) == ["Chrome on Linux: This device"]
    other.goto(server.url)
    assert other.get_by_role("heading", name="Sign in").is_visible()


# Another site, which has seen the app's pages.


@pytest.fixture
def evil(person: BrowserContext) -> Generator[Page]:
    """A page of another site in the person's browser."""
    person.route("http://evil.test/", lambda route: route.fulfill(body="<title>Evil</title>", content_type="text/html"))
    page = person.new_page()
    page.goto("http://evil.test/")
    yield page
    person.unroute("http://evil.test/")


POST = """([url, fields]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action: url})
    for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement("input"), {name, value}))
    }
    document.body.append(form)
    form.submit()
}"""
OPEN_WEBSOCKET = """url => new Promise(resolve => {
    const socket = new WebSocket(url)
    socket.onopen = () => resolve("open")
    socket.onclose = ({code}) => resolve(code)
})"""


def test_another_sites_form_signs_nobody_in(
    server: Server, name: str, evil: Page, person: BrowserContext, open_device: OpenDevice
) -> None:
    sign_up(open_device(), server, name)

    evil.evaluate(POST, [f"{server.url}/signin", {"name": name, "password": PASSWORD}])
    evil.get_by_role("heading", name="This request comes from another site.").wait_for()

    assert person.cookies() == []


def test_another_sites_form_signs_nobody_out_and_its_websocket_is_refused(
    server: Server, name: str, evil: Page, person: BrowserContext
) -> None:
    page = person.new_page()
    sign_up(page, server, name)

    assert evil.evaluate(OPEN_WEBSOCKET, f"ws{server.url.removeprefix('http')}/chat") == 1006
    evil.evaluate(POST, [f"{server.url}/signout", {}])
    evil.get_by_role("heading", name="This request comes from another site.").wait_for()

    assert list_devices(page, server) == ["Chrome on Linux: This device"]


# Several workers.


def test_two_workers_are_one_app(name: str, open_device: OpenDevice, tmp_path: Path) -> None:
    if not has_redis():
        pytest.skip("redis-server is not installed")
    (tmp_path / "redis").mkdir()
    arguments = ("--workers=2", "--store")
    with redis(tmp_path / "redis") as store, run_devices(tmp_path, *arguments, store.url) as server:
        phone, laptop = open_device(**PHONE), open_device()
        sign_up(phone, server, name)
        sign_in(laptop, server, name)
        for device in (phone, laptop):
            open_chat(device)
        say(phone, "From the phone.")
        hear(laptop, name, "From the phone.")

        page = laptop.context.new_page()
        page.goto(server.url)
        page.get_by_role("button", name="Sign out Safari on iPhone").click()

        phone.get_by_role("alert").wait_for()
        assert phone.get_by_role("alert").inner_text() == SIGNED_OUT
    assert "Traceback" not in server.said


# How it looks.


def visit_each(page: Page, server: Server, name: str, other: Page) -> Generator[str]:
    """Has ``page`` show each page of the app with all that may be on it, one after the other."""
    page.goto(server.url)
    yield "the sign-in"
    fill_in(page, name, WRONG, "Sign in")
    page.get_by_role("alert").wait_for()
    yield "a wrong password"
    page.goto(f"{server.url}/signup")
    yield "the sign-up"
    page.goto(f"{server.url}/elsewhere")
    yield "an error"
    sign_up(other, server, name)
    sign_in(page, server, name)
    yield "the devices"
    open_chat(page)
    yield "an empty chat"
    open_chat(other)
    for number in range(20):
        say(page, f"{number} " + "w" * 200)
        hear(other, name, f"{number} " + "w" * 200)
    say(other, "Well, well.")
    hear(page, name, "Well, well.")
    yield "a chat"
    other.get_by_role("link", name="Devices").click()
    other.get_by_role("button", name="Sign out everywhere else").click()
    page.get_by_role("alert").wait_for()
    yield "a chat that has ended"
    page.goto(server.url)
    page.get_by_role("status").wait_for()
    yield "signed out"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_of_a_page_however_narrow(
    width: int, server: Server, name: str, open_device: OpenDevice
) -> None:
    page = open_device(viewport={"width": width, "height": 800})

    seen = {where: page.evaluate(STICKING_OUT) for where in visit_each(page, server, name, open_device())}

    assert {where: found for where, found in seen.items() if found} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: Any, server: Server, name: str, open_device: OpenDevice) -> None:
    page = open_device(color_scheme=scheme)

    seen = {where: page.evaluate(CONTRASTS) for where in visit_each(page, server, name, open_device())}

    faint = {text: contrast for texts in seen.values() for text, contrast in texts if contrast < 4.5}
    assert min(map(len, seen.values())) > 2
    assert faint == {}  # WCAG 2.2, 1.4.3


def test_what_one_taps_is_large_enough(server: Server, name: str, open_device: OpenDevice) -> None:
    page = open_device(**PHONE)
    small = """() => [...document.querySelectorAll("button, nav a, .brand, label:has(input), input:not([type])")]
        .filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 44)
        .map(element => element.outerHTML)"""

    seen = {where: page.evaluate(small) for where in visit_each(page, server, name, open_device())}

    assert {where: found for where, found in seen.items() if found} == {}


def list_controls(page: Page) -> list[tuple[str, str]]:
    """Everything to press or fill in, and its name."""
    return re.findall(r"- (button|textbox|checkbox|link)(?: \"(.*?)\")?", page.locator("body").aria_snapshot())


def test_everything_to_press_or_fill_in_has_a_name(server: Server, name: str, open_device: OpenDevice) -> None:
    page = open_device(**PHONE)

    seen = {where: list_controls(page) for where in visit_each(page, server, name, open_device())}

    bar = [("link", "Campfire"), ("link", "Devices"), ("link", "Chat"), ("button", "Sign out")]
    fields = [("textbox", "Name"), ("textbox", "Password"), ("checkbox", "Remember me for 30 days")]
    sign_in_page = [bar[0], *fields, ("button", "Sign in"), ("link", "Create an account")]
    message = [("textbox", "Message"), ("button", "Send")]
    assert seen == {
        "the sign-in": sign_in_page,
        "a wrong password": sign_in_page,
        "the sign-up": [bar[0], *fields, ("button", "Create account"), ("link", "Sign in")],
        "an error": [bar[0], ("link", "To your devices")],
        "the devices": [*bar, ("button", "Sign out Chrome on Linux"), ("button", "Sign out everywhere else")],
        "an empty chat": [*bar, *message],
        "a chat": [*bar, *message],
        "a chat that has ended": [*bar, ("link", "Sign in again"), *message],
        "signed out": sign_in_page,
    }


def test_a_password_manager_knows_the_fields(server: Server, open_device: OpenDevice) -> None:
    page = open_device()
    completed = "() => [...document.querySelectorAll('input:not([type=checkbox])')].map(field => field.autocomplete)"
    page.goto(f"{server.url}/signin")
    signin = page.evaluate(completed)
    page.goto(f"{server.url}/signup")

    assert signin == ["username", "current-password"]
    assert page.evaluate(completed) == ["username", "new-password"]


def test_the_newest_message_is_in_sight(server: Server, name: str, open_device: OpenDevice) -> None:
    page = open_device(**PHONE)
    sign_up(page, server, name)
    open_chat(page)
    for number in range(30):
        say(page, f"Message {number}.")
        hear(page, name, f"Message {number}.")

    in_sight = """() => {
        const box = [...document.querySelectorAll("#messages li")].at(-1).getBoundingClientRect()
        const room = document.getElementById("messages").getBoundingClientRect()
        return room.top <= box.top && box.bottom <= room.bottom + 1 && room.bottom <= innerHeight
    }"""
    assert page.evaluate(in_sight)
    assert page.get_by_label("Message").is_visible()
