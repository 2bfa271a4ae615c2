"""Every code block of docs/ runs, every command prints what is shown, and what the pages say of them holds."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import json
import logging
import re
import shlex
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import time_machine

from asgi_signed_session import Session, SessionMiddleware, SessionSigner
from asgi_signed_session.__main__ import main

from .apps import app_that, show_session, visit
from .browser import Browser
from .conftest import KEY, NOW
from .intents import INTENTS, MEANWHILE, TABLE, play, show
from .pages import (
    PAGES,
    Names,
    find_blocks,
    find_files,
    find_tabs,
    need_what_is_imported,
    read_console,
    run_in_page,
    run_page,
)
from .records import Records, key_of, read_id
from .servers import browse, running
from .wire import make_signer, read_payload, set_cookie, sign

WIRE_FORMAT = PAGES["explanation/wire-format.md"]
VALUE, STORED, RECORD = (text.strip() for text in find_blocks(WIRE_FORMAT, "text"))

APPS = find_tabs("tutorial.md")
FIRST_APPS = find_tabs("index.md")

pytestmark = pytest.mark.usefixtures("clock")


# Tabs are apps, each for a process of its own; a page with files is a project.
@pytest.mark.parametrize("page", [page for page in PAGES if not find_tabs(page) and not find_files(page)])
def test_the_blocks_of_a_page_run_one_after_the_other(page: str, names: Names) -> None:
    if "import orjson" in PAGES[page]:
        pytest.importorskip("orjson", reason="orjson is not installed")
    run_page(page, names)


def test_the_tests_that_are_shown_pass(names: Names) -> None:
    shown = [value for name, value in run_page("how-to/testing.md", names).items() if name.startswith("test_")]

    for test in shown:
        result = test()
        if result is not None:
            asyncio.run(result)

    assert len(shown) == 6


@pytest.mark.parametrize("page", PAGES)
def test_a_command_prints_what_is_shown(
    page: str,
    names: Names,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed, shown = "", ""
    for command, output in read_console(page):
        match shlex.split(command):
            case ["export", variable]:
                if "$(" not in variable:
                    monkeypatch.setenv(*variable.split("=", 1))
            case ["python", "-m", "asgi_signed_session", subcommand, *arguments] if output:
                clock.move_to(NOW + 12 * (subcommand == "inspect"))
                main([subcommand, *arguments])
                printed += capsys.readouterr().out
                shown += output
            case _:
                pass

    assert printed == shown


def test_no_command_is_shown_that_nothing_here_knows_of() -> None:
    commands = {shlex.split(command)[0] for page in PAGES for command, _ in read_console(page)}

    assert commands == {".", "curl", "export", "pip", "python", "python3", "uvicorn"}


def test_every_extra_that_is_named_exists() -> None:
    installed = {name for page in PAGES for name in re.findall(r"asgi-signed-session\[(\w+)\]", PAGES[page])}
    extras = set(metadata("asgi-signed-session").get_all("Provides-Extra") or [])

    assert installed == extras


def test_each_framework_has_its_tab_and_the_one_that_most_use_is_the_first() -> None:
    assert list(APPS) == list(FIRST_APPS) == ["FastAPI", "Starlette", "Litestar", "Quart", "Django", "Raw ASGI"]


@pytest.mark.parametrize("tab", FIRST_APPS)
def test_each_app_of_the_first_page_counts_visits(tab: str, tmp_path: Path) -> None:
    need_what_is_imported(FIRST_APPS[tab])
    (tmp_path / "app.py").write_text(FIRST_APPS[tab])
    command = ("-m", "uvicorn", "app:app", "--port=0", f"--app-dir={tmp_path}")

    with running(*command, SESSION_SECRET=KEY) as server, browse(server) as visitor:
        assert [visitor.get("/").json() for _ in range(3)] == [{"visits": visits} for visits in (1, 2, 3)]


@pytest.mark.parametrize("tab", APPS)
def test_each_app_counts_visits_and_forgets_them_with_the_headers_that_are_shown(tab: str, tmp_path: Path) -> None:
    need_what_is_imported(APPS[tab])
    (tmp_path / "app.py").write_text(APPS[tab])
    shown = {command: output for command, output in read_console("tutorial.md") if command.startswith("curl")}
    (visit_shown, forget_shown) = shown.values()

    with (
        running("-m", "uvicorn", "app:app", "--port=0", f"--app-dir={tmp_path}", SESSION_SECRET=KEY) as server,
        browse(server) as visitor,
        browse(server, cookie="anything") as another,
    ):
        answers = [visitor.get(path) for path in ("/", "/", "/forget", "/")]
        forget_sent = lines_of(another.get("/forget"), "set-cookie")

    assert [answer.text for answer in answers] == ["Visit 1\n", "Visit 2\n", "Forgotten\n", "Visit 1\n"]
    visit_sent = lines_of(answers[0], "vary", "set-cookie", "cache-control")
    assert hide_time(visit_sent) == hide_time(visit_shown)
    assert forget_sent == forget_shown
    value = re.findall(r"session=(\S+);", visit_sent)[0]
    assert SessionSigner(KEY).loads(value) == {"visits": 1}


def lines_of(response: Any, *names: str) -> str:
    """Those of a response's header lines, as curl prints them."""
    return "".join(f"{name}: {value}\n" for name, value in response.headers.items() if name in names)


def hide_time(lines: str) -> str:
    """Without the time of a cookie, and the signature that comes of it."""
    return re.sub(r"\.[\w-]{6}\.[\w-]{43};", ".TIME.SIGNATURE;", lines)


def test_the_table_of_options_is_the_constructors_signature() -> None:
    table = PAGES["reference/options.md"].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE)
    options = list(inspect.signature(SessionMiddleware).parameters.values())

    assert rows == [(option.name, describe_default(option)) for option in options]


def test_each_name_that_hides_a_key_in_a_template_is_listed() -> None:
    listed = PAGES["reference/api.md"].partition("called like one of these, write")[2].partition(". ")[0]
    own = {*dir(Session)} - {*dir(dict)}

    assert re.findall(r"`(\w+)`", listed) == sorted(name for name in own if name[0] != "_")


def test_the_events_are_logged_as_the_table_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_signed_session")
    app = SessionMiddleware(app_that(show_session, late=lambda scope: scope["session"].update(a=1)), KEY)
    Browser(app, cookies={"session": "forged"}).get("/page")
    play(INTENTS["set"], MEANWHILE["ended"])
    play(INTENTS["set"], MEANWHILE["the same key"])

    events = read_events()
    logged = [(record.name, record.levelname) for record in caplog.records]
    extra = [
        {name: getattr(record, name) for name in names}
        for record, (*_, names) in zip(caplog.records, events, strict=True)
    ]

    assert logged == [("asgi_signed_session", level) for _, level, _ in events]
    assert [fields["event"] for fields in extra] == [event for event, *_ in events]
    assert extra == [
        {"event": "session.rejected", "reason": "bad-signature"},
        {"event": "session.unsaved", "path": "/page", "keys": ["a"]},
        {"event": "session.ended", "path": "/", "keys": ["a"]},
        {"event": "session.merged", "keys": ["a"]},
    ]


def test_the_handler_counts(names: Names) -> None:
    run_page("reference/log.md", names)

    Browser(SessionMiddleware(app_that(show_session), KEY), cookies={"session": "forged"}).get()

    assert names["counts"] == {("session.rejected", "bad-signature"): 1}


def describe_default(option: inspect.Parameter) -> str:
    if option.default is inspect.Parameter.empty:
        return "required"
    return "`json`" if option.default is json else f"`{option.default!r}`".replace("'", '"')


def read_events() -> list[tuple[str, str, list[str]]]:
    """The events in the page's table, their levels, and the names of their extra fields."""
    rows = re.findall(r"^\| `(session\.\w+)` \| ([A-Z]+) \| .* \| (.*) \|$", PAGES["reference/log.md"], re.MULTILINE)
    return [(event, level, re.findall(r"`(\w+)`", extra)) for event, level, extra in rows]


def test_an_unread_session_is_shown_whole(names: Names) -> None:
    pytest.importorskip("orjson", reason="orjson is not installed")
    show = run_in_page("explanation/lazy.md", "def show", names)["show"]
    app = SessionMiddleware(app_that(lambda scope: [show(scope["session"]), show(scope["session"])]), KEY)

    answer = Browser(app, cookies={"session": sign({"user": "ada"})}).get().json()

    assert answer == ['{"user": "ada"}', '{"user":"ada"}']  # from json, then from orjson


def test_both_changes_are_saved(names: Names) -> None:
    add_to_cart = run_in_page("explanation/changes.md", "def add_to_cart", names)["add_to_cart"]
    app = SessionMiddleware(app_that(lambda scope: add_to_cart(scope["session"], "jam")), KEY)

    response = Browser(app, cookies={"session": sign({"cart": ["tea"]})}).get()

    assert response.all(b"set-cookie") == [set_cookie({"cart": ["tea", "jam"], "last_added": "jam"})]


def test_the_value_is_what_the_signer_makes() -> None:
    assert SessionSigner(KEY).dumps({"user_id": 42}) == VALUE


def test_each_part_is_where_the_table_says() -> None:
    rows = re.findall(r"^\| (\d+)(?: to (\d+))? \| `(.*?)(?:\.\.\.)?` \|", WIRE_FORMAT, re.MULTILINE)

    parts = [VALUE[int(first) : int(last or first) + 1] for first, last, _ in rows]

    assert "".join(parts) == VALUE
    assert [part.startswith(start) for part, (*_, start) in zip(parts, rows, strict=True)] == [True] * 5


def test_the_header_is_what_the_middleware_sends() -> None:
    app = SessionMiddleware(app_that(lambda scope: scope["session"].update(user_id=42)), KEY)
    [header] = find_blocks(WIRE_FORMAT, "http")

    assert Browser(app, scheme="https").get().all(b"set-cookie") == [
        header.removeprefix("Set-Cookie: ").strip().encode()
    ]


def test_metadata_travels_as_shown() -> None:
    def act(scope: Any) -> None:
        scope["session"]["user_id"] = 42
        scope["session"].max_age = 30 * 86400

    [set_cookie] = Browser(SessionMiddleware(app_that(act), KEY, lifetime=90 * 86400)).get().all(b"set-cookie")

    assert [read_payload(set_cookie).decode()] == [block.strip() for block in find_blocks(WIRE_FORMAT, "json")]


def test_with_a_store_the_value_signs_an_id_whose_hash_is_the_key() -> None:
    assert key_of(read_id(STORED)) == RECORD


def test_a_record_is_laid_out_as_the_table_says() -> None:
    store = Records()
    browser = Browser(SessionMiddleware(visit, KEY, store=store))
    with time_machine.travel(NOW, tick=False):
        browser.get("/login")

    [(key, (record, _))] = store.records.items()
    proof = read_id(browser.cookies["session"])[22:].encode()
    own_key = hmac.digest(make_signer().derive_key(), b"asgi-signed-session.record", "sha256")
    assert record[40:56] == hashlib.sha256(proof).digest()[:16]
    assert int.from_bytes(record[56:64], "big") == NOW + 14 * 86400
    assert record[64:] == b'{"user":"ada"}'
    assert record[:32] == hmac.digest(own_key, key.encode() + record[32:], "sha256")


def test_the_table_of_requests_at_the_same_time_is_the_one_that_the_tests_play() -> None:
    assert show(TABLE) in PAGES["how-to/parallel-requests.md"]
