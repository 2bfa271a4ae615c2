"""The packages, how the tests of each are run, and where a difference is known."""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """A package as PyPI names it, and its tests: those in its sdist, an app in apps/, or both."""

    name: str
    asks: str = ""  # what pip is asked for, where it isn't the name alone
    needs: tuple[str, ...] = ()  # what its tests import beyond what it installs
    own: tuple[str, ...] = ()  # pytest's arguments, where its sdist is unpacked
    fixtures: str = ""  # the folder in fixtures/ with what its sdist leaves out
    app: str = ""  # the file in apps/
    repaired: tuple[str, ...] = ()  # tests that fail on Starlette's middleware and pass on ours
    broken: tuple[str, ...] = ()  # and the other way round
    why: str = ""  # of either, in a sentence or two


def files(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_{name}.py" for name in names)


SHORT_KEY = "ignore:secret_key has"  # of ours, where a suite makes an error of any warning
SERVED = ("httpx", "itsdangerous", "starlette", "uvicorn")  # what each app is served and visited with
SQLALCHEMY = ("python-multipart", "sqlalchemy[asyncio]")
FLASH = "test_starlette_flash.py::test"

PACKAGES = (
    Package(
        "adminsite",
        asks="adminsite[excel]",
        needs=("aiosqlite", "fastapi", "httpx", "litestar", "pytest-asyncio", "sqlmodel", "uvicorn"),
        # What is about signing in; there are hundreds more, of forms and lists.
        own=(*files("account_menu", "audit_sign_in", "auth", "many_sites"), "-W", SHORT_KEY),
    ),
    Package("air", needs=SERVED, app="test_air.py"),
    Package("Authlib", needs=("python-multipart", *SERVED), app="test_authlib.py"),
    Package(
        "cross-inertia",
        asks="cross-inertia[fastapi]",
        needs=("httpx", "itsdangerous", "python-multipart"),
        own=("tests/fastapi",),
    ),
    Package(
        "fastapi-hotwire",
        asks="fastapi-hotwire[forms]",
        needs=("httpx", "itsdangerous", "pytest-asyncio", "python-multipart"),
        own=("tests",),
    ),
    Package("imia", needs=SERVED, app="test_imia.py"),
    Package("kupala", needs=SERVED, app="test_kupala.py"),
    Package("nicegui", needs=SERVED, app="test_nicegui.py"),
    Package(
        "python-fasthtml",
        needs=SERVED,
        own=("tests",),
        app="test_fasthtml.py",
        repaired=("test_fasthtml.py::test_a_second_toast_joins_one_that_waits",),
        why="`add_toast` appends to a list in the session. Starlette's middleware doesn't see it, and of two toasts "
        "that wait, the second is lost.",
    ),
    Package(
        "sqladmin",
        needs=("fastapi", *SQLALCHEMY, *SERVED),
        app="test_sqladmin.py",
        repaired=("test_sqladmin.py::test_a_second_flash_joins_one_that_waits",),
        why="`flash` appends to a list in the session. Starlette's middleware doesn't see it, and of two messages that "
        "wait, the second is lost.",
    ),
    Package("starlette-admin", needs=(*SQLALCHEMY, *SERVED), app="test_starlette_admin.py"),
    Package("starlette-flash", needs=SERVED, app="test_starlette_flash.py"),
    Package(
        "starlette-flash before 1.2.1",
        asks="starlette-flash<1.2.1",  # 1.2.1 tells the session of each change
        needs=SERVED,
        app="test_starlette_flash.py",
        repaired=(
            f"{FLASH}_a_message_after_others_were_shown_is_shown",
            f"{FLASH}_a_message_is_shown_once",
            f"{FLASH}_a_second_message_joins_one_that_waits",
            f"{FLASH}_messages_that_are_cleared_are_gone",
        ),
        why="It changes a list in the session. Starlette's middleware, from 1.0 on, doesn't see it: messages are lost, "
        "or shown again.",
    ),
    Package(
        "starlette-login",
        needs=("httpx", "pytest-asyncio", "pytest-cov", "python-multipart"),
        own=("tests", "--no-cov"),
        fixtures="starlette_login",
    ),
    Package(
        "Starlette-WTF",
        asks="Starlette-WTF[test]",
        # The others ask for more forms, and use no session.
        own=files("csrf", "form", "form_meta", "util"),
        fixtures="starlette_wtf",
    ),
)
