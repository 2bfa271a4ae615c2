"""Every message that the package raises, warns of or logs: ``pytest -s`` shows them, and so does ``tests.messages``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from .messages import CAUSES, SECRETS, Message, collect, find_sites, show

# Of cookies that came: nobody has to do anything, and the visitor's session is empty.
OF_COOKIES = {"BadPayload", "BadSignature", "SignatureExpired", "DEBUG", "INFO"}

ADVICE = re.compile(
    r"\b(must be|needs|write|pass|use|[Pp]ut (?:a|the)|[Gg]ive|Make|Store|change|read the|name it|[cC]all"
    r"|see (?:to|whether)"
    r"|the visitor's next request finds (?:it empty|that session))\b"  # nothing is left to do
)
SIGNED = re.compile(r"[\w+/=-]+\.[\w-]{6}\.[\w-]{20,}")  # a cookie's value
RANDOM = re.compile(r"[\w-]{32,}")  # a key, an id, a signature


@pytest.fixture(scope="module")
def messages() -> dict[str, list[Message]]:
    messages = collect()
    sys.stdout.write("\n" + show(messages) + "\n")
    return messages


@pytest.fixture
def all_messages(messages: dict[str, list[Message]]) -> list[Message]:
    return [message for said in messages.values() for message in said]


def test_every_place_that_raises_warns_or_logs_is_among_them(all_messages: list[Message]) -> None:
    silent = set(find_sites()) - {message.site for message in all_messages}

    assert silent == set(), "give each of them a cause in tests/messages.py"


def test_every_cause_has_the_package_say_something(messages: dict[str, list[Message]]) -> None:
    assert [cause for cause, said in messages.items() if not any(message.is_seen for message in said)] == []
    assert list(messages) == list(CAUSES)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("cookie of data where there is a store", "It carries no id."),
        ("cookie beyond any browser's, with a store", "Longer than a cookie can be."),
        ("record that is no session", "The record is none that was written under this key and with these keys."),
    ],
)
def test_a_debugger_that_stops_at_what_is_wrong_with_a_cookie_is_told(
    messages: dict[str, list[Message]], cause: str, text: str
) -> None:
    assert text in [message.text for message in messages[cause]]


def test_every_message_is_whole_sentences_on_one_line(all_messages: list[Message]) -> None:
    assert [m.text for m in all_messages if not re.fullmatch(r"\S[^\n]*[^\s.]\.", m.text)] == []


def test_every_message_that_asks_someone_to_act_says_how(all_messages: list[Message]) -> None:
    assert [m.text for m in _of_others(all_messages) if not ADVICE.search(m.text)] == []


def _of_others(messages: list[Message]) -> Iterator[Message]:
    return (message for message in messages if message.is_seen and message.kind not in OF_COOKIES)


def test_no_message_holds_a_key_a_cookie_or_a_value_of_the_session(all_messages: list[Message]) -> None:
    shown = [f"{message.text} {message.extra}" for message in all_messages]

    assert [text for text in shown if any(secret in text for secret in SECRETS)] == []
    assert [text for text in shown if SIGNED.search(text) or RANDOM.search(text)] == []


def test_every_line_of_the_log_has_its_event_for_machines(all_messages: list[Message]) -> None:
    records = [message for message in all_messages if message.kind.isupper()]

    assert {(record.kind, record.extra["event"], *sorted({*record.extra} - {"event"})) for record in records} == {
        ("DEBUG", "session.rejected", "reason"),
        ("WARNING", "session.unsaved", "keys", "path"),
        ("WARNING", "session.ended", "keys", "path"),
        ("WARNING", "session.evicted"),
        ("WARNING", "session.left-behind", "keys"),
        ("WARNING", "session.not-renewed", "path"),
        ("WARNING", "session.store-failed"),
        ("WARNING", "session.too-many"),
        ("WARNING", "session.unreadable-list"),
        ("WARNING", "session.changed-after-end"),
        ("WARNING", "session.name-taken"),
        ("WARNING", "session.other-domain"),
        ("WARNING", "session.other-key"),
        ("WARNING", "session.other-middleware"),
        ("WARNING", "session.read-late", "path"),
        ("INFO", "session.merged", "keys"),
    }
