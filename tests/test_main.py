"""The command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from asgi_signed_session import SessionSigner
from asgi_signed_session.__main__ import main, write_json

from .conftest import KEY
from .records import key_of
from .wire import make_signer, sign, sign_payload

OLD_KEY = "an-older-key-of-more-than-sixteen-bytes"  # the list is separated by white space
NOW = 1_700_000_000


@pytest.fixture(autouse=True)
def _key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_SECRET", KEY)
    monkeypatch.delenv("SESSION_SECRET_FALLBACKS", raising=False)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_key_prints_32_random_bytes_in_url_safe_base64(capsys: pytest.CaptureFixture[str]) -> None:
    (status, first, _), second = run(capsys, "key"), run(capsys, "key", "--json")[1]

    assert status == 0
    assert len(first.strip()) == len(json.loads(second)["key"]) == 43
    assert first.strip() != json.loads(second)["key"]
    SessionSigner(first.strip())


def test_sign_prints_a_value_that_the_middleware_reads(capsys: pytest.CaptureFixture[str]) -> None:
    status, value, _ = run(capsys, "sign", '{"user_id": 42}')

    assert (status, SessionSigner(KEY).loads(value.strip())) == (0, {"user_id": 42})


def test_sign_signs_for_the_cookie_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(run(capsys, "sign", "{}", "--cookie", "admin", "--json")[1])

    assert answer == {"cookie": "admin", "value": SessionSigner(KEY, "admin").dumps({})}


def test_a_dash_stands_for_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}\n'))
    value = run(capsys, "sign", "-")[1]
    monkeypatch.setattr("sys.stdin", io.StringIO(value))

    assert json.loads(run(capsys, "inspect", "-", "--json")[1])["payload"] == {"a": 1}


@pytest.mark.parametrize("command", ["inspect", "sign"])
def test_standard_input_that_is_no_text_is_refused(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))

    status, out, error = run(capsys, command, "-")

    assert (status, out) == (2, "")
    assert "standard input isn't text; give the value alone" in error


def test_what_the_terminal_has_no_letter_for_is_shown_as_json_escapes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="cp1252", write_through=True))

    assert main(["inspect", SessionSigner(KEY).dumps({"tea": "é茶🍵"})]) == 0
    assert shown.getvalue().decode("cp1252").splitlines()[0] == r'payload    {"tea": "é\u8336\ud83c\udf75"}'


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ("{", "the session is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1));"),
        ("[" * 100_000, "the session is not JSON ("),
        ("[1]", "the session must be a JSON object, such as '{\"user_id\": 42}'."),
        ('{"$session": 1}', "session['$session'] is reserved; use another key."),
    ],
)
def test_sign_says_what_is_wrong_with_the_session(
    session: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, error = run(capsys, "sign", session)

    assert (status, out) == (2, "")
    assert error.startswith(f"python -m asgi_signed_session: {reason}")


def test_sign_needs_the_key_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SESSION_SECRET")

    assert run(capsys, "sign", "{}") == (
        2,
        "",
        "python -m asgi_signed_session: SESSION_SECRET is not set: put the key into this environment variable.\n",
    )


@pytest.mark.parametrize("command", ["sign", "inspect"])
def test_a_key_that_cannot_be_one_is_refused(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_SECRET", "**********")
    argument = {"sign": "{}", "inspect": SessionSigner(KEY).dumps({})}[command]

    status, out, error = run(capsys, command, argument)

    assert (status, out) == (2, "")
    assert error.startswith("python -m asgi_signed_session: SESSION_SECRET is '**********', which stands for")


def test_inspect_shows_payload_time_age_and_key(
    capsys: pytest.CaptureFixture[str], clock: time_machine.Traveller
) -> None:
    value = SessionSigner(KEY).dumps({"name": "Zoë"})
    clock.shift(90)

    status, out, error = run(capsys, "inspect", value)

    assert (status, error) == (0, "")
    assert out.splitlines() == [
        'payload    {"name": "Zoë"}',
        "signed at  2023-11-14 22:13:20+00:00",
        "age        90 seconds",
        "verifies   yes, with SESSION_SECRET",
    ]


def test_inspect_shows_what_travels_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    value = sign({"a": 1, "$session": {"max_age": 60}})

    assert run(capsys, "inspect", value)[1].splitlines()[:2] == ['payload    {"a": 1}', 'metadata   {"max_age": 60}']


@pytest.mark.parametrize(
    ("signer", "key"),
    [
        (SessionSigner(KEY), "SESSION_SECRET"),
        (SessionSigner(TimestampSigner(KEY)), "SESSION_SECRET, as Starlette signs"),
        (SessionSigner(OLD_KEY), "SESSION_SECRET_FALLBACKS[1]"),
        (SessionSigner(TimestampSigner(OLD_KEY)), "SESSION_SECRET_FALLBACKS[1], as Starlette signs"),
    ],
)
def test_inspect_names_the_key_that_verifies(
    signer: SessionSigner, key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_SECRET_FALLBACKS", f"short  {OLD_KEY}")

    status, out, _ = run(capsys, "inspect", signer.dumps({"a": 1}), "--json")

    assert (status, json.loads(out)) == (
        0,
        {"payload": {"a": 1}, "signed_at": NOW, "age": 0, "verified": True, "key": key},
    )


def test_inspect_shows_where_the_store_has_the_session(capsys: pytest.CaptureFixture[str]) -> None:
    value = make_signer(KEY).sign("x" * 43).decode()
    key = key_of("x" * 43)

    status, out, _ = run(capsys, "inspect", value)
    assert (status, out.splitlines()) == (
        0,
        [
            f"record     {key}: the key, in the store, of the session's data",
            "signed at  2023-11-14 22:13:20+00:00",
            "age        0 seconds",
            "verifies   yes, with SESSION_SECRET",
        ],
    )
    report = json.loads(run(capsys, "inspect", value, "--json")[1])
    assert report == {"record": key, "signed_at": NOW, "age": 0, "verified": True, "key": "SESSION_SECRET"}


def test_inspect_takes_an_id_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for letter in "XxAa09-_":  # what begins with "-" is no option
        report = json.loads(run(capsys, "inspect", make_signer(KEY).sign(letter * 43).decode(), "--json")[1])

        assert (report["record"], report["verified"]) == (key_of(letter * 43), True)


@pytest.mark.parametrize("quoted", ['"{}"', ' "{}" \n', "{}\n"])
def test_inspect_takes_a_value_as_it_was_copied(quoted: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = quoted.format(SessionSigner(KEY).dumps({}))

    assert run(capsys, "inspect", value)[0] == 0


def test_inspect_fails_where_no_key_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "inspect", SessionSigner(OLD_KEY).dumps({}))

    assert (status, out.splitlines()[-1]) == (1, "verifies   no")


def test_inspect_tells_one_cookie_name_from_another(capsys: pytest.CaptureFixture[str]) -> None:
    value = SessionSigner(KEY, "admin").dumps({})

    assert (run(capsys, "inspect", value)[0], run(capsys, "inspect", value, "--cookie", "admin")[0]) == (1, 0)


def test_inspect_without_a_key_shows_what_anybody_can_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SESSION_SECRET")

    status, out, _ = run(capsys, "inspect", SessionSigner(KEY).dumps({"a": 1}))

    assert (status, out.splitlines()[0], out.splitlines()[-1]) == (
        3,
        'payload    {"a": 1}',
        "verifies   not checked: SESSION_SECRET is not set",
    )


@pytest.mark.parametrize(
    ("secret", "fallbacks", "status", "verified", "key"),
    [
        (None, None, 3, None, None),
        ("", " ", 3, None, None),
        (None, f"another-key-of-theirs {KEY.replace(' ', '-')}", 0, True, "SESSION_SECRET_FALLBACKS[1]"),
        (None, "another-key-of-theirs", 1, False, None),
        ("another key of theirs", None, 1, False, None),
    ],
)
def test_the_status_of_inspect_tells_what_verifies_from_what_nobody_has_checked(
    secret: str | None,
    fallbacks: str | None,
    status: int,
    verified: bool | None,
    key: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SESSION_SECRET")
    for name, value in (("SESSION_SECRET", secret), ("SESSION_SECRET_FALLBACKS", fallbacks)):
        if value is not None:
            monkeypatch.setenv(name, value)
    value = SessionSigner(KEY.replace(" ", "-")).dumps({})

    assert run(capsys, "inspect", value)[0] == status
    found, out, _ = run(capsys, "inspect", value, "--json")
    assert (found, json.loads(out)["verified"], json.loads(out)["key"]) == (status, verified, key)


def nest(depth: int) -> str:
    return '{"a": ' + "[" * depth + "]" * depth + "}"


# Python reads JSON as deep as the stack that is left: which depth that is depends on the version and on who calls.
@pytest.mark.parametrize(
    "depths", [range(10, 850, 80), range(850, 1000), [1530]]
)  # 1530: all that a cookie has room for
def test_inspect_shows_a_payload_of_any_depth(depths: Iterable[int], capsys: pytest.CaptureFixture[str]) -> None:
    for deep in map(nest, depths):
        value = sign_payload(deep.encode())
        shown = deep, json.dumps(deep)  # as it is, or as text

        status, out, error = run(capsys, "inspect", value)
        assert (status, error) == (0, "")
        assert out.splitlines()[0] in [f"payload    {payload}" for payload in shown]

        status, out, error = run(capsys, "inspect", value, "--json")
        assert (status, error) == (0, "")
        assert out.startswith(tuple(f'{{"payload": {payload}, "signed_at": ' for payload in shown))


def test_inspect_shows_deep_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    for deep in map(nest, range(800, 900)):
        value = sign_payload(f'{{"n": 1, "$session": {deep}}}'.encode())

        assert run(capsys, "inspect", value)[1].splitlines()[:2] == ['payload    {"n": 1}', f"metadata   {deep}"]


@pytest.mark.parametrize("depths", [range(10, 850, 80), range(850, 1000), [100_000]])
def test_sign_signs_a_session_of_any_depth_or_says_that_it_cannot(
    depths: Iterable[int], capsys: pytest.CaptureFixture[str]
) -> None:
    refusals = [f"python -m asgi_signed_session: {why}" for why in ("the session is not JSON (", "session['a'][0]")]
    for depth in depths:
        status, out, error = run(capsys, "sign", nest(depth), "--json")

        if status == 0:
            assert json.loads(out)["value"] == SessionSigner(KEY).dumps(json.loads(nest(depth)))
        else:
            assert (status, out) == (2, "")
            assert error.startswith(tuple(refusals))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, max_examples=200)
@given(content=values)
def test_what_is_printed_as_json_is_written_as_json_writes_it(content: Any) -> None:
    assert write_json(content) == json.dumps(content)
    assert write_json(content, ensure_ascii=False) == json.dumps(content, ensure_ascii=False)


WHAT_A_NAME_IS = "can't be a cookie's name; use ASCII letters, digits, '-', '_': 'session'."


@pytest.mark.parametrize("name", ["my session", "", "séance", "a;b"])
@pytest.mark.parametrize(
    "arguments", [["inspect", "e30=.AAAA.AAAA"], ["sign", "{}"], ["sessions", "--store=sqlite:none", "42"]]
)
@pytest.mark.parametrize("secret", [KEY, ""])
def test_a_name_that_no_cookie_can_have_is_refused(
    name: str,
    arguments: list[str],
    secret: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_SECRET", secret)

    assert run(capsys, *arguments, "--cookie", name) == (
        2,
        "",
        f"python -m asgi_signed_session: --cookie={name!r} {WHAT_A_NAME_IS}\n",
    )


def test_inspect_verifies_with_the_key_of_a_sample_and_sign_refuses_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_SECRET_FALLBACKS", "change-me-in-production")
    value = sign({"a": 1}, "change-me-in-production")

    assert run(capsys, "inspect", value)[1].splitlines()[-1] == "verifies   yes, with SESSION_SECRET_FALLBACKS[0]"
    monkeypatch.setenv("SESSION_SECRET", "change-me-in-production")
    assert run(capsys, "inspect", value)[1].splitlines()[-1] == "verifies   yes, with SESSION_SECRET"
    status, out, error = run(capsys, "sign", "{}")
    assert (status, out) == (2, "")
    assert error.startswith(
        "python -m asgi_signed_session: SESSION_SECRET is 'change-me-in-production', which is a placeholder from"
        " samples"
    )


def test_a_fallback_that_cannot_be_a_key_is_refused_by_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_SECRET_FALLBACKS", f"{OLD_KEY} **********")

    status, _, error = run(capsys, "inspect", SessionSigner(KEY).dumps({}))

    assert status == 2
    assert error.startswith("python -m asgi_signed_session: SESSION_SECRET_FALLBACKS[1] is '**********', which stands")


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(b"no JSON \xff", r'"no JSON \\xff"'), (b"[1]", "[1]"), (b"[" * 100_000, '"' + "[" * 100_000 + '"')],
)
def test_inspect_shows_a_payload_that_is_no_session(
    payload: bytes, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = sign_payload(payload)

    assert run(capsys, "inspect", value)[1].splitlines()[0] == f"payload    {shown}"


def test_inspect_writes_nothing_that_steers_a_terminal_or_that_it_has_no_letter_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = SessionSigner(KEY).dumps({"a": "é\x9b\u202e\ud83c\U000e0001"})

    assert run(capsys, "inspect", value)[1].splitlines()[0] == (
        'payload    {"a": "é\\u009b\\u202e\\ud83c\\udb40\\udc01"}'
    )


def test_inspect_shows_a_time_beyond_the_calendar(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "inspect", "e30=.__________8.x")[1].splitlines()[1] == (
        "signed at  18446744073709551615 (beyond the calendar)"
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abc", "It has no time and signature."),
        ("e.e.e", "Its time is not base64."),
        ("e.e30.x", "The payload is not base64."),
        ("e30=.e30=.e30.x", "The payload is not base64."),
        ("e30=.AAAAAAAAAAAA.x", "Its time is too long."),
        ("e30=." + "z" * 4000 + ".x", "Its time is too long."),
        ("\udcff", "It has no time and signature."),
    ],
)
def test_inspect_says_that_a_value_is_not_signed(value: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "inspect", value) == (
        2,
        "",
        f"python -m asgi_signed_session: not a signed value: {reason} Give what follows the cookie's name and '='.\n",
    )


EPILOG = """\

environment:
  SESSION_SECRET            the key that signs; it is never taken from the command line
  SESSION_SECRET_FALLBACKS  older keys, separated by white space, that only verify

exit status:
  0  done; for inspect: a key verifies the value
  1  inspect: no key verifies the value; sessions: none was ended
  2  the command, the value, the JSON or the environment can't be used
  3  inspect: there is no key to verify the value with
"""

HELP = {
    "": """\
usage: python -m asgi_signed_session [-h] COMMAND ...

Make a key, look into a session cookie, sign one, or list and end a user's sessions.

positional arguments:
  COMMAND
    key       print a fresh secret key
    inspect   show what a cookie value holds and whether it verifies
    sign      print a cookie value, for curl or a test
    sessions  list the sessions of a user, or end them

options:
  -h, --help  show this help message and exit
""",
    "key": """\
usage: python -m asgi_signed_session key [-h] [--json]

print a fresh secret key

options:
  -h, --help  show this help message and exit
  --json      print JSON
""",
    "inspect": """\
usage: python -m asgi_signed_session inspect [-h] [--json] [--cookie NAME] VALUE

show what a cookie value holds and whether it verifies

positional arguments:
  VALUE          the cookie's value; - reads it from standard input

options:
  -h, --help     show this help message and exit
  --json         print JSON
  --cookie NAME  name of the cookie (session)
""",
    "sign": """\
usage: python -m asgi_signed_session sign [-h] [--json] [--cookie NAME] JSON

print a cookie value, for curl or a test

positional arguments:
  JSON           the session, a JSON object; - reads it from standard input

options:
  -h, --help     show this help message and exit
  --json         print JSON
  --cookie NAME  name of the cookie (session)
""",
    "sessions": """\
usage: python -m asgi_signed_session sessions [-h] [--json] --store STORE [--end KEY | --end-all] \
[--cookie NAME] PRINCIPAL

list the sessions of a user, or end them

positional arguments:
  PRINCIPAL      whose: what the app has put into session.principal

options:
  -h, --help     show this help message and exit
  --json         print JSON
  --store STORE  sqlite:FILE or redis://HOST:PORT
  --end KEY      end the session with this key
  --end-all      end all of them
  --cookie NAME  name of the cookie (session)
""",
}


@pytest.mark.parametrize("command", HELP)
def test_help_says_what_a_command_takes_reads_and_returns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")

    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])

    assert (ended.value.code, capsys.readouterr().out) == (0, HELP[command] + EPILOG)


def test_without_a_command_it_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 2
    assert "usage: python -m asgi_signed_session [-h] COMMAND ..." in capsys.readouterr().err


def test_the_module_runs() -> None:
    command = [sys.executable, "-m", "asgi_signed_session", "key"]

    assert len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()) == 43
