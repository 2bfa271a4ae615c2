"""Whose sessions there are: listed, ended, and noted in an order that no crash and no race gets round."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from asgi_signed_session import Session, SessionError, SessionMiddleware, stores
from asgi_signed_session.__main__ import main as command_line
from asgi_signed_session.index import MAX_ENTRIES
from asgi_signed_session.stores import MemoryStore, Sessions, SQLiteStore, StoredSession

from .advice import ENDED
from .apps import app_that
from .browser import Browser
from .conftest import KEY, NOW, Wrap
from .daemons import free_port
from .records import Records, key_of, read_id

pytestmark = pytest.mark.usefixtures("clock")

DAY = 86400
OLD_KEY = "an old key of more than 16 bytes"


@pytest.fixture
def store() -> Records:
    return Records()


@pytest.fixture
def sessions(store: Records) -> Sessions:
    return Sessions(store, KEY)


def sign_in(principal: str, **content: Any) -> Any:
    def act(scope: Any) -> None:
        scope["session"].principal = principal
        scope["session"].update(content)

    return act


def look(scope: Any) -> Any:
    session: Session = scope["session"]
    return [session.principal, dict(session), session.rejected]


def visit(browser: Browser, act: Any, store: Any, **options: Any) -> Any:
    browser.app = SessionMiddleware(app_that(act), KEY, store=store, **options)
    response = browser.get("/page")
    return response.json() if response.body else None


def own_key(browser: Browser, secret_key: str = KEY) -> str:
    return key_of(read_id(browser.cookies["session"], key=secret_key))


def of(sessions: Sessions, principal: str) -> list[StoredSession]:
    return asyncio.run(sessions.of(principal))


def keys_of(sessions: Sessions, principal: str) -> list[str]:
    return [session.key for session in of(sessions, principal)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_sessions_of_a_principal_are_listed_the_newest_first(
    wrap: Wrap, store: Records, sessions: Sessions, clock: Any
) -> None:
    phone, laptop, other = (wrap(app_that(look), store=store) for _ in range(3))
    visit(phone, sign_in("42", device="phone"), store)
    clock.shift(60)
    visit(laptop, sign_in("42", device="laptop"), store)
    visit(other, sign_in("7", device="tablet"), store)

    assert of(sessions, "42") == [
        StoredSession(own_key(laptop), "42", NOW + 60, NOW + 60, {"device": "laptop"}),
        StoredSession(own_key(phone), "42", NOW, NOW, {"device": "phone"}),
    ]
    assert keys_of(sessions, "7") == [own_key(other)]
    assert of(sessions, "nobody") == []


def test_a_session_that_belongs_to_nobody_costs_nothing_extra(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, lambda scope: scope["session"].update(a=1), store)
    visit(browser, lambda scope: scope["session"].regenerate(), store)

    assert store.methods == ["swap", "get", "swap"]
    assert len(store.records) == 1


def test_a_change_of_somebodys_session_costs_nothing_extra(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    store.forget()
    visit(browser, lambda scope: scope["session"].update(a=1), store)

    assert store.methods == ["get", "swap"]


def test_a_sign_in_is_noted_before_the_session_is_written_and_looked_for_afterwards(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)

    [index] = store.records.keys() - {own_key(browser)}
    assert store.asked == [("get", index), ("swap", index), ("swap", own_key(browser)), ("get", index)]


@pytest.mark.parametrize("but_this_one", [False, True])
def test_all_sessions_of_a_principal_are_ended_or_all_but_one(
    wrap: Wrap, store: Records, sessions: Sessions, but_this_one: bool
) -> None:
    browsers = [wrap(app_that(look), store=store) for _ in range(4)]
    for browser, principal in zip(browsers, ("42", "42", "42", "7"), strict=True):
        visit(browser, sign_in(principal), store)
    here = own_key(browsers[0])

    ended = asyncio.run(sessions.end_all("42", but=here if but_this_one else None))

    assert ended == (2 if but_this_one else 3)
    found = [visit(browser, look, store)[2] for browser in browsers]
    assert found == [None if but_this_one else "expired", "expired", "expired", None]
    assert keys_of(sessions, "42") == ([here] if but_this_one else [])


def test_one_session_is_ended_by_its_key(wrap: Wrap, store: Records, sessions: Sessions) -> None:
    phone, laptop = (wrap(app_that(look), store=store) for _ in range(2))
    visit(phone, sign_in("42"), store)
    visit(laptop, sign_in("42"), store)

    assert asyncio.run(sessions.end(own_key(phone))) is True
    assert asyncio.run(sessions.end(own_key(phone))) is False
    assert [visit(browser, look, store)[2] for browser in (phone, laptop)] == ["expired", None]
    assert keys_of(sessions, "42") == [own_key(laptop)]


@pytest.mark.parametrize("fallbacks", [[], [OLD_KEY]])
def test_the_list_itself_is_no_session_that_could_be_ended(wrap: Wrap, store: Records, fallbacks: list[str]) -> None:
    secret_key = OLD_KEY if fallbacks else KEY
    browser = wrap(app_that(sign_in("42")), secret_key, store=store)
    browser.get()
    [index] = store.records.keys() - {own_key(browser, secret_key)}
    sessions = Sessions(store, KEY, fallbacks=fallbacks)

    assert asyncio.run(sessions.end(index)) is False
    assert len(of(sessions, "42")) == 1


@pytest.mark.parametrize("record", [b"", b"x" * 100])
def test_a_session_that_can_not_be_read_is_ended_by_its_key(
    wrap: Wrap, store: Records, sessions: Sessions, record: bytes
) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    store.records[own_key(browser)] = record, None

    assert asyncio.run(sessions.end(own_key(browser))) is True
    assert own_key(browser) not in store.records


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda scope: scope["session"].clear(), id="signed out"),
        pytest.param(sign_in("7"), id="signed in as another"),
    ],
)
def test_a_session_that_is_not_theirs_any_more_leaves_the_list(
    wrap: Wrap, store: Records, sessions: Sessions, leave: Any
) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    visit(browser, leave, store)
    records = len(store.records)

    assert of(sessions, "42") == []
    assert asyncio.run(sessions.end_all("42")) == 0
    assert len(store.records) == records


def test_a_session_that_has_expired_leaves_the_list(wrap: Wrap, store: Records, sessions: Sessions, clock: Any) -> None:
    old, new = (wrap(app_that(look), store=store) for _ in range(2))
    visit(old, sign_in("42"), store)
    clock.shift(14 * DAY)
    assert keys_of(sessions, "42") == [own_key(old)]
    clock.shift(1)
    assert of(sessions, "42") == []
    visit(new, sign_in("42"), store)

    assert keys_of(sessions, "42") == [own_key(new)]


def test_a_session_that_the_store_has_lost_leaves_the_list_when_its_sign_in_is_a_minute_ago(
    wrap: Wrap, store: Records, sessions: Sessions, clock: Any
) -> None:
    lost, kept = (wrap(app_that(look), store=store) for _ in range(2))
    for browser in (lost, kept):
        visit(browser, sign_in("42"), store)
    del store.records[own_key(lost)]
    [index] = store.records.keys() - {own_key(kept)}

    clock.shift(60)
    assert keys_of(sessions, "42") == [own_key(kept)]
    assert store.sessions[index].keys() == {own_key(lost), own_key(kept)}
    clock.shift(1)
    assert keys_of(sessions, "42") == [own_key(kept)]
    assert store.sessions[index].keys() == {own_key(kept)}


def test_a_session_that_is_written_while_all_are_ended_is_ended_and_counted(
    wrap: Wrap, store: Records, sessions: Sessions
) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    key = own_key(browser)
    late = {key: store.records.pop(key)}

    async def write() -> None:
        store.records.update(late)

    store.before["swap"] = write  # as the list is emptied

    assert asyncio.run(sessions.end_all("42")) == 1
    assert key not in store.records


def test_a_session_that_is_prolonged_stays_in_the_list(
    wrap: Wrap, store: Records, sessions: Sessions, clock: Any
) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    for _ in range(4):
        clock.shift(10 * DAY)
        visit(browser, lambda scope: scope["session"].update(seen=1), store)

    [index] = store.records.keys() - {own_key(browser)}
    assert store.records[index][1] == 14 * DAY
    assert of(sessions, "42") == [StoredSession(own_key(browser), "42", NOW, NOW + 40 * DAY, {"seen": 1})]


def test_a_session_that_is_renewed_keeps_its_key_in_the_list(wrap: Wrap, store: Records, sessions: Sessions) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    visit(browser, lambda scope: scope["session"].regenerate(), store)

    assert keys_of(sessions, "42") == [own_key(browser)]
    assert asyncio.run(sessions.end_all("42")) == 1
    assert visit(browser, look, store)[2] == "expired"


@pytest.mark.parametrize(("max_age", "ttl"), [(60, 60), (None, None)])
def test_the_list_lives_as_long_as_the_sessions_in_it(
    wrap: Wrap, store: Records, max_age: int | None, ttl: int | None
) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store, max_age=max_age)

    assert store.times_to_live == [ttl, ttl]


def test_a_principal_has_at_most_a_hundred_sessions_and_the_oldest_is_ended(
    wrap: Wrap, store: Records, sessions: Sessions, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browsers = [wrap(app_that(look), store=store) for _ in range(MAX_ENTRIES + 1)]
    for browser in browsers:
        clock.shift(1)
        visit(browser, sign_in("42"), store)

    assert len(keys_of(sessions, "42")) == MAX_ENTRIES == 100
    assert [visit(browser, look, store)[2] for browser in browsers[:2]] == ["expired", None]
    advice = "Give each user a principal of their own, and end sessions when a user signs out."
    assert warnings(caplog) == [f"More than 100 sessions of one session.principal: the oldest was ended. {advice}"]


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_sign_in_beside_the_end_of_all_sessions_is_ended_or_listed(
    wrap: Wrap, store: Records, sessions: Sessions, caplog: pytest.LogCaptureFixture, call: int
) -> None:
    """Before each call of the store in turn, all sessions are ended."""
    left = [call]

    async def end_all() -> None:
        left[0] -= 1
        if left[0] == -1:
            store.before.clear()
            await sessions.end_all("42")

    store.before = dict.fromkeys(["get", "swap"], end_all)
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42", name="Ada"), store)
    store.before.clear()

    living = keys_of(sessions, "42")
    assert living == ([own_key(browser)] if browser.cookies else [])
    assert (call in (2, 3)) == (not living)
    assert warnings(caplog) == (
        [] if living else [f"Session changes on '/page' not saved: 'name', its principal, its renewal. {ENDED}"]
    )
    assert living or not store.records or len(store.records) == 1


def test_sign_ins_at_the_same_time_are_all_in_the_list(sessions: Sessions, store: Records) -> None:
    async def sign_in_at_once() -> list[Browser]:
        async def give_way() -> None:
            await asyncio.sleep(0)

        store.before = dict.fromkeys(["get", "swap"], give_way)
        middleware = SessionMiddleware(app_that(sign_in("42")), KEY, store=store)

        async def send(message: Any) -> None: ...

        scopes = [{"type": "http", "path": "/", "headers": []} for _ in range(20)]
        await asyncio.gather(*[middleware(scope, None, send) for scope in scopes])
        return []

    asyncio.run(sign_in_at_once())

    assert len(of(sessions, "42")) == 20


def test_the_list_of_another_cookie_is_another(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)

    assert of(Sessions(store, KEY, "admin"), "42") == []


def test_a_list_that_somebody_else_has_written_is_not_believed(wrap: Wrap, store: Records, sessions: Sessions) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    [index] = store.records.keys() - {own_key(browser)}
    store.records[index] = b"x" * 100, None
    assert of(sessions, "42") == []
    visit(browser, sign_in("7"), store)
    visit(browser, sign_in("42"), store)

    assert keys_of(sessions, "42") == [own_key(browser)]


def test_a_list_that_a_server_cannot_read_is_begun_anew_with_a_warning(
    wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture
) -> None:
    for key in (OLD_KEY, KEY):
        wrap(app_that(sign_in("ada")), key, store=store).get()

    assert warnings(caplog)[0] == (
        "The list of the sessions of one session.principal can't be read, so a new one was started: Sessions won't"
        " find those"
        " that were in it. Give all apps that share the store the same keys; a new key has to be a fallback everywhere"
        " before it signs anywhere."
    )
    assert len(of(Sessions(store, KEY), "ada")) == 1


def test_sessions_that_an_older_key_has_signed_are_listed_with_it_as_a_fallback(wrap: Wrap, store: Records) -> None:
    browser = wrap(app_that(sign_in("42")), OLD_KEY, store=store)
    browser.get()

    assert of(Sessions(store, KEY), "42") == []
    assert len(of(Sessions(store, KEY, fallbacks=[OLD_KEY]), "42")) == 1


@pytest.mark.parametrize("principal", ["", " ", "é", "\ud800", "x" * 1000, "@", "=", "\0"])
def test_any_text_but_none_at_all_may_be_a_principal(
    wrap: Wrap, store: Records, sessions: Sessions, principal: str
) -> None:
    browser = wrap(app_that(look), store=store)
    if not principal:
        with pytest.raises(ValueError, match=r"^session.principal is empty; write None if the session is nobody's.$"):
            visit(browser, sign_in(principal), store)
        return
    visit(browser, sign_in(principal), store)

    assert keys_of(sessions, principal) == [own_key(browser)]


@pytest.mark.parametrize("wrong", [42, b"42", ["42"], True])
def test_what_is_no_text_is_no_principal(wrong: Any) -> None:
    with pytest.raises(TypeError) as error:
        Session().principal = wrong

    kind = type(wrong).__name__
    assert str(error.value) == f"session.principal is of type {kind}; write session.principal = str(user.id)."


# What a principal does to the session


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_from_nobody_to_someone_the_data_stays_and_from_one_to_another_it_is_cleared(
    wrap: Wrap, make_store: Any
) -> None:
    store = make_store()
    browser = wrap(app_that(look), store=store)
    visit(browser, lambda scope: scope["session"].update(cart=["tea"]), store)
    visit(browser, sign_in("42", name="Ada"), store)
    assert visit(browser, look, store) == ["42", {"cart": ["tea"], "name": "Ada"}, None]
    cookie = browser.cookies["session"]
    visit(browser, sign_in("42"), store)
    assert browser.cookies["session"] == cookie
    visit(browser, sign_in("7", name="Bob"), store)
    assert visit(browser, look, store) == ["7", {"name": "Bob"}, None]
    visit(browser, lambda scope: setattr(scope["session"], "principal", None), store)
    assert visit(browser, look, store) == [None, {}, None]
    assert browser.cookies == {}


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_a_principal_alone_is_a_session(wrap: Wrap, make_store: Any) -> None:
    store = make_store()
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    assert visit(browser, look, store) == ["42", {}, None]
    visit(browser, sign_in("7"), store)
    assert visit(browser, look, store) == ["7", {}, None]
    visit(browser, lambda scope: scope["session"].clear(), store)

    assert visit(browser, look, store) == [None, {}, None]


def test_a_principal_set_too_late_for_a_cookie_is_reported(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    wrap(app_that(look, late=sign_in("42"))).get("/page")

    [warning] = warnings(caplog)
    assert warning.startswith("Session changes on '/page' not saved: its principal, its renewal. ")


# The command line


@pytest.fixture
def file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SESSION_SECRET", KEY)
    path = f"{tmp_path}/sessions.db"
    store = SQLiteStore(path)
    for device in ("phone", "laptop"):
        visit(Browser(app_that(look)), sign_in("42", device=device), store)
    store.close()
    return path


def keys_in(file: str) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM sessions")}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = command_line(["sessions", *arguments])
    return status, capsys.readouterr().out


def test_the_command_line_lists_and_ends_sessions(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"--store=sqlite:{file}"
    status, out = run(capsys, store, "42")
    assert (status, len(out.splitlines())) == (0, 2)
    listed = json.loads(run(capsys, store, "42", "--json")[1])["sessions"]
    assert sorted(session["data"]["device"] for session in listed) == ["laptop", "phone"]
    for line, session in zip(out.splitlines(), listed, strict=True):
        shown = json.dumps(session["data"])
        assert line == f"{session['key']}  signed in 2027-01-15 08:00:00+00:00  {shown}"

    assert run(capsys, store, "7", f"--end={listed[0]['key']}") == (1, "ended: 0\n")
    [index] = keys_in(file) - {session["key"] for session in listed}
    assert run(capsys, store, "42", f"--end={index}") == (1, "ended: 0\n")
    assert run(capsys, store, "42", f"--end={listed[0]['key']}") == (0, "ended: 1\n")
    assert run(capsys, store, "42", f"--end={listed[0]['key']}") == (1, "ended: 0\n")
    assert run(capsys, store, "42", "--end-all", "--json") == (0, '{"ended": 1}\n')
    assert run(capsys, store, "42") == (0, "\n")


@pytest.mark.parametrize("depth", [100, 500, 800])
def test_the_command_line_lists_what_is_nested_deeply(
    depth: int, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    store = SQLiteStore(file)
    visit(Browser(app_that(look)), sign_in("7", deep=deep), store)
    store.close()
    shown = '{"deep": ' + "[" * (depth + 1) + "]" * (depth + 1) + "}"

    status, out = run(capsys, f"--store=sqlite:{file}", "7")
    assert (status, out.partition("+00:00")[2]) == (0, f"  {shown}\n")
    status, out = run(capsys, f"--store=sqlite:{file}", "7", "--json")
    assert status == 0
    assert out.endswith(f'"data": {shown}}}]}}\n')
    assert run(capsys, f"--store=sqlite:{file}", "7", "--end-all") == (0, "ended: 1\n")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "SESSION_SECRET",
            "${SECRET}",
            "SESSION_SECRET is '${SECRET}', which is a placeholder that has to be filled in.",
        ),
        ("SESSION_SECRET_FALLBACKS", "****", "SESSION_SECRET_FALLBACKS[0] is '****', which stands for a hidden or"),
    ],
)
def test_the_command_line_refuses_what_is_no_key(
    name: str, value: str, what: str, file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert command_line(["sessions", f"--store=sqlite:{file}", "42"]) == 2
    assert capsys.readouterr().err.startswith(f"python -m asgi_signed_session: {what}")


def test_the_command_line_says_that_a_store_does_not_answer(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["sessions", f"--store=redis://127.0.0.1:{free_port()}", "42"]) == 2
    assert capsys.readouterr().err == (
        "python -m asgi_signed_session: the store can't be asked (ConnectionError): give one that answers.\n"
    )


@pytest.mark.parametrize("store", ["sqlite:nowhere.db", "postgresql://:password@localhost", "sessions.db"])
def test_the_command_line_refuses_what_is_no_store(store: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["sessions", "--store", store, "42"]) == 2
    assert capsys.readouterr().err == (
        "python -m asgi_signed_session: the store is neither a file that exists nor a Redis: give sqlite:FILE or"
        " redis://HOST:PORT.\n"
    )


def test_the_command_line_needs_the_key(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSION_SECRET")

    assert command_line(["sessions", f"--store=sqlite:{file}", "42"]) == 2
    assert capsys.readouterr().err.endswith("SESSION_SECRET is not set: put the key into this environment variable.\n")


def test_a_record_that_is_no_session_is_not_listed(wrap: Wrap, store: Records, sessions: Sessions) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    store.records[own_key(browser)] = b"x" * 100, None

    assert of(sessions, "42") == []


class Refusing(Records):
    async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
        return await self.get(key) or b"x" * 100


@pytest.mark.parametrize("act", [sign_in("42"), lambda scope: scope["session"].update(a=1)])
def test_a_store_that_refuses_every_swap_is_found_out(wrap: Wrap, store: Records, act: Any) -> None:
    browser = wrap(app_that(look), store=store)
    visit(browser, lambda scope: scope["session"].update(user="ada"), store)
    refusing = Refusing()
    refusing.records = store.records
    with pytest.raises(SessionError) as error:
        visit(browser, act, refusing)

    assert str(error.value) == (
        "The store of type Refusing has refused 1000 swaps of one record: see whether its swap compares and answers as"
        " asgi_signed_session.stores.Store says."
    )


def test_what_the_stores_package_has_can_be_listed_and_nothing_else_asked_for() -> None:
    assert {"KeyValueStore", "Sessions", "Store"} <= {*dir(stores)}
    with pytest.raises(
        AttributeError, match=r"^asgi_signed_session.stores has no MongoStore; use one of KeyValueStore, "
    ):
        getattr(stores, "MongoStore")  # noqa: B009


def test_a_look_with_other_keys_leaves_the_list_as_it_is_and_the_end_of_all_ends_all(
    wrap: Wrap, store: Records
) -> None:
    old, new = wrap(app_that(sign_in("42")), OLD_KEY, store=store), wrap(app_that(look), store=store)
    old.get()
    visit(new, sign_in("42"), store, fallbacks=[OLD_KEY])
    assert len(of(Sessions(store, KEY), "42")) == 1

    assert len(of(Sessions(store, KEY, fallbacks=[OLD_KEY]), "42")) == 2
    assert asyncio.run(Sessions(store, KEY).end_all("42")) == 2
    assert visit(old, look, store, fallbacks=[OLD_KEY])[2] == "expired"


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_sign_in_goes_on_while_the_sessions_are_listed(
    wrap: Wrap, store: Records, sessions: Sessions, call: int
) -> None:
    left = [call]

    async def list_them() -> None:
        left[0] -= 1
        if left[0] == -1:
            store.before.clear()
            await sessions.of("42")

    store.before = dict.fromkeys(["get", "swap"], list_them)
    browser = wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    store.before.clear()

    assert keys_of(sessions, "42") == [own_key(browser)]


def test_a_session_that_has_become_anothers_is_not_ended_for_want_of_room(
    wrap: Wrap, store: Records, clock: Any
) -> None:
    kiosk = wrap(app_that(look), store=store)
    visit(kiosk, sign_in("42"), store)
    visit(kiosk, sign_in("7", name="bob"), store)
    for _ in range(MAX_ENTRIES):
        clock.shift(1)
        visit(wrap(app_that(look), store=store), sign_in("42"), store)

    assert visit(kiosk, look, store) == ["7", {"name": "bob"}, None]


def test_a_sign_out_makes_room_in_the_list(wrap: Wrap, store: Records, caplog: pytest.LogCaptureFixture) -> None:
    phone, job = wrap(app_that(look), store=store), wrap(app_that(look), store=store)
    visit(phone, sign_in("42"), store)
    for _ in range(MAX_ENTRIES):
        visit(job, sign_in("42"), store)
        visit(job, lambda scope: scope["session"].clear(), store)

    assert visit(phone, look, store)[2] is None
    assert warnings(caplog) == []


def test_an_evicted_session_that_cannot_be_read_is_left(wrap: Wrap, store: Records, clock: Any) -> None:
    browser, ended = wrap(app_that(look), store=store), wrap(app_that(look), store=store)
    visit(browser, sign_in("42"), store)
    visit(ended, sign_in("42"), store)
    store.records[own_key(browser)] = b"x" * 100, None
    del store.records[own_key(ended)]
    for _ in range(MAX_ENTRIES):
        clock.shift(1)
        visit(wrap(app_that(look), store=store), sign_in("42"), store)

    assert store.records[own_key(browser)] == (b"x" * 100, None)


def test_sessions_may_be_in_any_store() -> None:
    store = MemoryStore()
    visit(Browser(app_that(look)), sign_in("42"), store)

    assert len(of(Sessions(store, KEY), "42")) == 1
