"""What the pages for those who come from elsewhere say of old cookies."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from itsdangerous import BadSignature, TimestampSigner
from pydantic import SecretStr
from starlette import __version__ as starlettes_version
from starlette.datastructures import Secret
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware

from asgi_signed_session import SessionMiddleware

from .apps import app_that, show_session, visit
from .browser import Browser
from .conftest import KEY
from .pages import KEYS, NEW_KEY, OLD_KEY, PAGES, Names, run_in_page, run_page
from .wire import set_cookie, sign

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def starlette(names: Names) -> Any:
    """An app in Starlette's own middleware."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/login":
            scope["session"].update(user="ada")
        body = json.dumps(dict(scope["session"])).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    names["app"] = app
    return StarlettesMiddleware(app, KEY)


def test_starlettes_cookies_are_read_and_signed_anew(starlette: Any, names: Names) -> None:
    browser = Browser(starlette)
    browser.get("/login")
    browser.app = run_in_page("how-to/from-starlette.md", "import TimestampSigner", names)["app"]

    response = browser.get()

    assert response.json() == {"user": "ada"}
    assert response.all(b"set-cookie") == [set_cookie({"user": "ada"})]


@pytest.mark.parametrize(("before", "after"), [("starlette", "step_1"), ("step_1", "step_2"), ("step_2", "step_3")])
def test_servers_of_two_steps_from_starlette_read_each_others_cookies(
    before: str, after: str, starlette: Any, names: Names
) -> None:
    names["TimestampSigner"] = TimestampSigner
    steps = run_in_page("how-to/from-starlette.md", "step_1", names) | {"starlette": starlette}

    for signing, reading in ((before, after), (after, before)):
        browser = Browser(steps[signing])
        browser.get("/login")
        browser.app = steps[reading]
        assert browser.get().json() == {"user": "ada"}


@pytest.mark.parametrize("key", [KEY, KEY.encode(), Secret(KEY)], ids=["str", "bytes", "Secret"])
def test_what_starlette_has_signed_with_any_kind_of_key_is_read(key: Any, names: Names) -> None:
    browser = Browser(StarlettesMiddleware(visit, key))
    browser.get("/login")
    names |= {"app": visit, "SECRET": key}
    browser.app = run_in_page("how-to/from-starlette.md", "import TimestampSigner", names)["app"]

    assert browser.get("/whoami").json() == {"user": "ada"}


def test_a_cookie_made_as_starlettes_is_an_empty_session_until_the_middleware_signs_so(names: Names) -> None:
    made = TimestampSigner(str(KEY)).sign(b64encode(json.dumps({"user_id": 42}).encode())).decode()
    names |= {"app": app_that(show_session), "TimestampSigner": TimestampSigner}

    def come(app: Any) -> Any:
        return Browser(app, cookies={"session": made}).get().json()

    assert come(SessionMiddleware(names["app"], KEY)) == [{}, "bad-signature"]
    page = run_in_page("how-to/from-starlette.md", "secret_key=TimestampSigner(str(SECRET)))\n", names)
    assert come(page["app"]) == [{"user_id": 42}, None]


def test_a_session_signer_makes_and_reads_what_the_middleware_does(names: Names) -> None:
    page = run_in_page("how-to/from-starlette.md", "import SessionSigner", names)
    app = SessionMiddleware(app_that(show_session), KEY)

    assert Browser(app, cookies={"session": page["cookie"]}).get().json() == [{"user_id": 42}, None]
    assert page["session"] == {"user_id": 42}
    with pytest.raises(BadSignature):
        TimestampSigner(str(KEY)).unsign(page["cookie"])


def test_a_key_that_is_replaced_while_the_app_runs_signs_from_then_on(names: Names) -> None:
    names |= {"app": app_that(show_session), "TimestampSigner": TimestampSigner}
    page = run_in_page("how-to/from-starlette.md", "def use_key", names)
    before, after = (sign({"user": "ada"}, signer=TimestampSigner(key)) for key in (KEY, NEW_KEY))

    def come() -> list[Any]:
        return [Browser(page["app"], cookies={"session": cookie}).get().json()[0] for cookie in (before, after)]

    assert come() == [{"user": "ada"}, {}]
    page["use_key"](NEW_KEY)
    assert come() == [{}, {"user": "ada"}]


FROM_STARLETTE = PAGES["how-to/from-starlette.md"]
GIVEN: Names = {**KEYS, "hashlib": hashlib, "TimestampSigner": TimestampSigner, "UUID": UUID, "app": visit}


def find_rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the table whose first column has that heading."""
    table = FROM_STARLETTE.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def find_options(cell: str) -> list[dict[str, Any]]:
    """The options of each piece of code in a cell."""
    found: list[dict[str, Any]] = []
    for code in re.findall(r"`(\w+=[^`]+)`", cell):
        exec(f"found.append(dict({code}))", GIVEN | {"found": found})
    return found


def make(middleware: Any, options: dict[str, Any]) -> Any:
    return middleware(**{"app": visit, "secret_key": KEY, **options})


@pytest.mark.parametrize(("statement", "instead"), find_rows("in Starlette's"))
def test_what_a_subclass_of_starlettes_sets_is_refused_and_has_its_option(statement: str, instead: str) -> None:
    def init(self: Any, app: Any) -> None:
        SessionMiddleware.__init__(self, app, KEY)
        exec(statement.strip("`"), GIVEN | {"self": self})

    subclass: Any = type("Mine", (SessionMiddleware,), {"__init__": init})

    with pytest.raises(AttributeError, match="can't be set on a middleware"):
        subclass(visit)
    for options in find_options(instead):
        Browser(make(SessionMiddleware, options)).get("/login")


def test_a_subclass_of_starlettes_that_rotates_keys_and_the_options_read_the_same_cookies() -> None:
    [[_, instead]] = [row for row in find_rows("in Starlette's") if "[OLD_KEY, NEW_KEY]" in row[0]]
    [options] = find_options(instead)

    for key in (NEW_KEY, OLD_KEY):
        browser = Browser(make(SessionMiddleware, options), cookies={"session": sign({"user": "ada"}, key=key)})
        assert browser.get("/whoami").json() == {"user": "ada"}


ROWS = find_rows("option")


def set_by_starlette(options: dict[str, Any]) -> str:
    [line] = Browser(make(StarlettesMiddleware, options)).get("/login").all(b"set-cookie")
    return line.decode() + ";"


def check_sends(options: dict[str, Any], what: str) -> None:
    line = set_by_starlette(options)
    assert what.strip("`") in line
    assert "without `Secure`" not in what or "; secure" not in line


def check_signs(options: dict[str, Any], what: str) -> None:
    assert make(StarlettesMiddleware, options).signer.secret_keys == [what.encode()]


def check_fails_when_it_comes_back(options: dict[str, Any]) -> None:
    browser = Browser(make(StarlettesMiddleware, options))
    browser.get("/login")
    with pytest.raises(TypeError):
        browser.get("/whoami")


def check_fails_at_the_first_request(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Browser(make(StarlettesMiddleware, options)).get("/login")


# What the page says of Starlette, and how that is tried.
CLAIMS: dict[str, Callable[..., None]] = {
    r"sends `(.+?)`.*": check_sends,
    r"signs with `(.+?)`": check_signs,
    r"signs with an empty key()": check_signs,
    r"raises `TypeError` when the cookie comes back": check_fails_when_it_comes_back,
    r"takes it, and fails at the first request": check_fails_at_the_first_request,
}


@pytest.mark.parametrize(("option", "theirs", "instead"), ROWS, ids=[row[0] for row in ROWS])
def test_an_option_is_refused_that_starlette_takes_as_the_page_says(option: str, theirs: str, instead: str) -> None:
    if option == "`max_age=0`" and tuple(map(int, starlettes_version.split(".")[:2])) < (1, 10):
        pytest.skip("the page speaks of the newest Starlette, and an older one sends no Max-Age")
    [refused] = find_options(option)
    [written] = find_options(instead)
    [(check, claim)] = [
        (check, match) for pattern, check in CLAIMS.items() if (match := re.fullmatch(pattern, theirs)) is not None
    ]

    check(refused, *claim.groups())
    with pytest.raises((TypeError, ValueError)):
        make(SessionMiddleware, refused)
    assert Browser(make(SessionMiddleware, written), scheme="https").get("/login").all(b"set-cookie") != []


@pytest.mark.parametrize(
    ("key", "signs_with"), [(SecretStr(NEW_KEY), "*" * 10), (NEW_KEY.encode(), f"b'{NEW_KEY}'")], ids=["stars", "bytes"]
)
def test_a_key_of_another_type_is_the_key_itself_here_and_its_text_in_starlettes(key: Any, signs_with: str) -> None:
    assert make(StarlettesMiddleware, {"secret_key": key}).signer.secret_keys == [signs_with.encode()]

    [line] = Browser(make(SessionMiddleware, {"secret_key": key})).get("/login").all(b"set-cookie")
    assert line == set_cookie({"user": "ada"}, key=NEW_KEY)


def test_quarts_own_session_has_no_permanent(names: Names) -> None:
    from starlette.testclient import TestClient

    run_page("how-to/from-flask.md", names)

    async def remember() -> str:
        try:
            names["session"].permanent = True
        except AttributeError as error:
            return type(error).__name__
        return "it has"

    names["app"].add_url_rule("/remember", view_func=remember)

    assert TestClient(names["app"]).get("/remember").text == "AttributeError"


def test_quarts_own_session_is_the_one_in_the_scope(names: Names) -> None:
    from quart import Quart, flash, get_flashed_messages
    from quart.sessions import SecureCookieSessionInterface
    from starlette.testclient import TestClient

    run_page("how-to/from-flask.md", names)

    async def flash_hello() -> str:
        await flash("hello")
        return ""

    async def flashed() -> list[Any]:
        return list(get_flashed_messages())

    names["app"].add_url_rule("/flash", view_func=flash_hello)
    names["app"].add_url_rule("/flashed", view_func=flashed)
    before = Quart("before")
    before.secret_key = OLD_KEY
    signer = SecureCookieSessionInterface().get_signing_serializer(before)
    assert signer is not None
    client = TestClient(names["app"])
    client.cookies.set("session", str(signer.dumps({"user": "ada"})), domain="testserver.local")

    assert client.get("/").json() == {"user": "ada"}
    client.get("/flash")
    assert [client.get("/flashed").json(), client.get("/flashed").json()] == [["hello"], []]


# What Django 5.2 made at NOW with OLD_KEY as its SECRET_KEY, of two sessions.
PLAIN = "eyJfYXV0aF91c2VyX2lkIjoiNDIiLCJuYW1lIjoiWm9cdTAwZWIifQ:1xocE4:BjBdhXkPTf3jXaD0-dISTXCc1kpfJqo_7jlvyzqRnFc"
COMPRESSED = ".eJyrVkpOLCpRsopWKklNVNKhmIytBQDc7Rel:1xocE4:1jd62UBJBo0_9IOmUAvRN7wyuc3o8DE22mVDc4fA0V8"


@pytest.fixture
def after_django(names: Names) -> Any:
    names["app"] = app_that(show_session)
    return run_in_page("how-to/from-django.md", "class DjangoSigner", names)["app"]


@pytest.mark.parametrize(
    ("value", "read"),
    [(PLAIN, {"_auth_user_id": "42", "name": "Zoë"}), (COMPRESSED, {"cart": ["tea"] * 12})],
    ids=["plain", "compressed"],
)
def test_djangos_cookies_are_read_and_signed_anew(value: str, read: Any, after_django: Any) -> None:
    response = Browser(after_django, cookies={"sessionid": value}).get()

    assert response.json() == [read, None]
    assert response.all(b"set-cookie") == [set_cookie(read, name="sessionid")]
