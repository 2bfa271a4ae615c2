"""The command line: ``python -m asgi_signed_session key | inspect VALUE | sign JSON | sessions PRINCIPAL``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import stores
from .cookies import check_cookie_name
from .errors import UnserializableSessionError
from .ids import find_id
from .payload import METADATA_KEY, decode_payload
from .session_signer import SessionSigner
from .sessions import Sessions
from .signing import BadData, BadSignature, Keyring, TimestampSigner, read_unverified
from .wording import name_of

SECRET = "SESSION_SECRET"  # noqa: S105  # the name of an environment variable
FALLBACKS = "SESSION_SECRET_FALLBACKS"

_SIGNED = re.compile(r"^-[\w-]*\.[\w-]+\.[\w-]+$")

EPILOG = f"""\
environment:
  {SECRET}            the key that signs; it is never taken from the command line
  {FALLBACKS}  older keys, separated by white space, that only verify

exit status:
  0  done; for inspect: a key verifies the value
  1  inspect: no key verifies the value; sessions: none was ended
  2  the command, the value, the JSON or the environment can't be used
  3  inspect: there is no key to verify the value with
"""


class UsageError(Exception):
    """What was given can't be used; the message says what to give instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = make_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    # argparse takes what begins with a dash for an option, and a value that carries an id may begin with one.
    options = parser.parse_args([_SIGNED.sub(r" \g<0>", argument) for argument in arguments])
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        with _naming():
            check_cookie_name(getattr(options, "cookie", "session"))
        return command(options)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m asgi_signed_session",
        description="Make a key, look into a session cookie, sign one, or list and end a user's sessions.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_command(commands, "key", make_key, "print a fresh secret key")
    inspect = _add_command(commands, "inspect", inspect_value, "show what a cookie value holds and whether it verifies")
    inspect.add_argument("value", metavar="VALUE", help="the cookie's value; - reads it from standard input")
    sign = _add_command(commands, "sign", sign_session, "print a cookie value, for curl or a test")
    sign.add_argument("session", metavar="JSON", help="the session, a JSON object; - reads it from standard input")
    sessions = _add_command(commands, "sessions", list_sessions, "list the sessions of a user, or end them")
    sessions.add_argument("principal", metavar="PRINCIPAL", help="whose: what the app has put into session.principal")
    sessions.add_argument("--store", required=True, metavar="STORE", help="sqlite:FILE or redis://HOST:PORT")
    ending = sessions.add_mutually_exclusive_group()
    ending.add_argument("--end", metavar="KEY", help="end the session with this key")
    ending.add_argument("--end-all", action="store_true", help="end all of them")
    for command in (inspect, sign, sessions):
        command.add_argument("--cookie", default="session", metavar="NAME", help="name of the cookie (%(default)s)")
    return parser


def _add_command(commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = commands.add_parser(
        name, help=text, description=text, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function)
    return parser


def make_key(options: argparse.Namespace) -> int:
    """Prints a key of 32 random bytes."""
    key = secrets.token_urlsafe(32)
    print(json.dumps({"key": key}) if options.json else key)
    return 0


def sign_session(options: argparse.Namespace) -> int:
    """Prints a signed cookie value."""
    try:
        session = json.loads(_read_argument(options.session))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the session is not JSON ({error}); write for instance '{{\"user_id\": 42}}'.") from error
    if not isinstance(session, dict):
        raise UsageError("the session must be a JSON object, such as '{\"user_id\": 42}'.")
    if not os.environ.get(SECRET):
        raise UsageError(f"{SECRET} is not set: put the key into this environment variable.")
    value = _sign(session, options.cookie)
    print(json.dumps({"cookie": options.cookie, "value": value}) if options.json else value)
    return 0


def _sign(session: dict[str, Any], cookie: str) -> str:
    with _naming():
        signer = SessionSigner(os.environ[SECRET], cookie)
    try:
        return signer.dumps(session)
    except UnserializableSessionError as error:
        raise UsageError(str(error)) from error


def inspect_value(options: argparse.Namespace) -> int:
    """Prints what the value holds, and which key verifies it."""
    value = _read_argument(options.value).strip().strip('"').encode("utf-8", "surrogateescape")
    try:
        signed, signed_at = read_unverified(value)
        described = _describe(signed, options.cookie)
    except BadData as error:
        raise UsageError(f"not a signed value: {error} Give what follows the cookie's name and '='.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of short keys: a cookie is looked at here, no app configured
        keyrings = list(_make_keyrings(options.cookie))
    key = _find_key(value, keyrings)
    verified = key is not None if keyrings else None
    report = {**described, "signed_at": signed_at, "age": int(time.time()) - signed_at}
    report |= {"verified": verified, "key": key}
    print(write_json(report) if options.json else _show(report))
    return {True: 0, False: 1, None: 3}[verified]


def list_sessions(options: argparse.Namespace) -> int:
    """Prints the sessions of a principal, one a line, or how many were ended."""
    if not os.environ.get(SECRET):
        raise UsageError(f"{SECRET} is not set: put the key into this environment variable.")
    fallbacks = os.environ.get(FALLBACKS, "").split()

    async def answer() -> dict[str, Any]:
        store = _open_store(options.store)
        try:
            with _naming():
                sessions = Sessions(store, os.environ[SECRET], options.cookie, fallbacks=fallbacks)
            return await _answer(sessions, options)
        finally:
            if hasattr(store, "aclose"):
                await store.aclose()

    try:
        report = asyncio.run(answer())
    except UsageError:
        raise
    except Exception as error:  # each store has errors of its own; their text may have a password in it
        raise UsageError(f"the store can't be asked ({name_of(type(error))}): give one that answers.") from error
    print(write_json(report) if options.json else _show_sessions(report))
    return 1 if report.get("ended") == 0 else 0


async def _answer(sessions: Sessions, options: argparse.Namespace) -> dict[str, Any]:
    living = [{**vars(session)} for session in await sessions.of(options.principal)]
    if options.end is not None:
        is_theirs = options.end in [session["key"] for session in living]
        return {"ended": int(is_theirs and await sessions.end(options.end))}
    if options.end_all:
        return {"ended": await sessions.end_all(options.principal)}
    return {"sessions": living}


def _open_store(url: str) -> Any:
    kind, _, path = url.partition(":")
    if kind == "sqlite" and Path(path).is_file():
        return stores.SQLiteStore(path)
    if kind in ("redis", "rediss", "unix"):
        return stores.RedisStore(url)
    # Not what it holds: a URL may have a password in it.
    raise UsageError("the store is neither a file that exists nor a Redis: give sqlite:FILE or redis://HOST:PORT.")


def _show_sessions(report: dict[str, Any]) -> str:
    if "ended" in report:
        return f"ended: {report['ended']}"
    return "\n".join(
        f"{session['key']}  signed in {_show_time(session['issued_at'])}  {_show_content('data', session['data'])}"
        for session in report["sessions"]
    )


def _describe(signed: bytes, cookie: str) -> dict[str, Any]:
    session_id = find_id(cookie, signed)
    if session_id is not None:
        return {"record": session_id.key}
    payload = decode_payload(signed)
    try:
        session = json.loads(payload)
    except (ValueError, RecursionError):
        return {"payload": payload.decode("utf-8", "backslashreplace")}
    metadata = session.pop(METADATA_KEY, {}) if isinstance(session, dict) else {}
    return {"payload": session, "metadata": metadata} if metadata else {"payload": session}


def _find_key(value: bytes, keyrings: list[tuple[str, Keyring]]) -> str | None:
    for name, keyring in keyrings:
        with suppress(BadSignature):
            keyring.verify(value)
            return name
    return None


def _make_keyrings(cookie: str) -> Iterator[tuple[str, Keyring]]:
    keys = {SECRET: os.environ.get(SECRET, "")}
    keys |= {f"{FALLBACKS}[{place}]": key for place, key in enumerate(os.environ.get(FALLBACKS, "").split())}
    for name, key in keys.items():
        if key:
            with _naming(("fallbacks[0]", name)):
                # As a fallback, which a sample's key may be: here one finds out what was signed with it.
                yield name, Keyring(secrets.token_urlsafe(), cookie, [key])
                yield f"{name}, as Starlette signs", Keyring(secrets.token_urlsafe(), cookie, [TimestampSigner(key)])


@contextmanager
def _naming(*names: tuple[str, str]) -> Iterator[None]:
    """Calls an option that can't be used by its name here."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        for option, name in (*names, ("secret_key", SECRET), ("fallbacks", FALLBACKS), ("session_cookie", "--cookie")):
            text = name + text.removeprefix(option) if text.startswith(option) else text
        raise UsageError(text) from error


def _show(report: dict[str, Any]) -> str:
    verified = {None: f"not checked: {SECRET} is not set", True: f"yes, with {report['key']}", False: "no"}
    lines: dict[str, str] = {}
    for name in ("record", "payload", "metadata"):
        if name in report:
            lines[name] = _show_content(name, report[name])
    lines["signed at"] = _show_time(report["signed_at"])
    lines["age"] = f"{report['age']} seconds"
    lines["verifies"] = verified[report["verified"]]
    return "\n".join(f"{name:<10} {line}" for name, line in lines.items())


def _show_content(name: str, content: Any) -> str:
    if name == "record":
        return f"{content}: the key, in the store, of the session's data"
    text = write_json(content, ensure_ascii=False)
    # Anyone can make a cookie, and nothing in it is to steer the terminal, or to be what that has no letter for.
    return "".join(letter if _is_shown(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_shown(letter: str) -> bool:
    try:
        letter.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return letter.isprintable()


class _Written(str):
    """JSON, and not a value to be written as such."""

    __slots__ = ()


def write_json(content: Any, ensure_ascii: bool = True) -> str:
    """As ``json.dumps`` writes what ``json.loads`` has read, however deep it is: that runs out of stack."""
    pieces: list[str] = []
    todo = [content]
    while todo:
        value = todo.pop()
        if isinstance(value, _Written):
            pieces.append(value)
        elif isinstance(value, (dict, list)):
            todo += reversed([*_take_apart(value, ensure_ascii)])
        else:
            pieces.append(json.dumps(value, ensure_ascii=ensure_ascii))
    return "".join(pieces)


def _take_apart(content: dict[str, Any] | list[Any], ensure_ascii: bool) -> Iterator[Any]:
    start, end = "{}" if isinstance(content, dict) else "[]"
    yield _Written(start)
    for place, child in enumerate(content):
        if place:
            yield _Written(", ")
        if isinstance(content, dict):
            yield _Written(json.dumps(child, ensure_ascii=ensure_ascii) + ": ")
            yield content[child]
        else:
            yield child
    yield _Written(end)


def _show_time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(sep=" ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} (beyond the calendar)"


def _read_argument(argument: str) -> str:
    try:
        return sys.stdin.read() if argument == "-" else argument
    except UnicodeDecodeError as error:
        raise UsageError("standard input isn't text; give the value alone, as it is in the cookie.") from error


if __name__ == "__main__":  # pragma: no cover - a test runs it in a process of its own
    sys.exit(main())
