from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
import time_machine

from asgi_signed_session import SessionMiddleware, reporting

from .apps import visit
from .browser import RUNNERS, Browser

KEY = "a key of more than sixteen bytes"
NOW = 1_800_000_000  # Unix seconds

Wrap = Callable[..., Browser]

# The same examples each time, or a change could fail by what it didn't touch. New ones: --hypothesis-profile=random.
hypothesis.settings.register_profile("steady", derandomize=True)
hypothesis.settings.register_profile("random", print_blob=True)
hypothesis.settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="count a skipped test as failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--forbid-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which --forbid-skips forbids: {report.longreprtext}"
    return report


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Any:
    """Runs a coroutine function, under asyncio and under trio."""
    return RUNNERS[request.param]


@pytest.fixture
def wrap(run: Any) -> Wrap:
    """Makes a browser of an app in our middleware: ``wrap(app, scheme="https", max_age=60)``."""

    def make_browser(app: Any, secret_key: Any = KEY, *, scheme: str = "http", **options: Any) -> Browser:
        return Browser(SessionMiddleware(app, secret_key, **options), scheme=scheme, run=run)

    return make_browser


@pytest.fixture
def browser(wrap: Wrap) -> Browser:
    """A browser of an app with a route for each thing one does with a session."""
    return wrap(visit)


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once a process may be said again."""
    monkeypatch.setattr(reporting, "_said", set())
    monkeypatch.setattr(reporting, "_silent_until", [0.0])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def clock() -> Generator[time_machine.Traveller]:
    """Stops the clock at ``NOW``, so that whole cookies can be compared; ``clock.shift(60)`` moves it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, its key, and what trusts it."""
    if find_spec("trustme") is None:
        pytest.skip("trustme is not installed")
    import trustme

    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("tls")
    path, key = folder / "certificate.pem", folder / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(path))
    issued.private_key_pem.write_to_path(str(key))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return path, key, trust


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[dict[str, Any]]:
    """What a code block of the documentation may take for granted."""
    from .pages import make_names  # which imports every framework

    monkeypatch.chdir(tmp_path)  # one keeps its sessions in a folder
    monkeypatch.setenv("SESSION_SECRET", KEY)
    monkeypatch.setenv("REDIS_URL", "redis://localhost")  # which nobody asks
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/app")  # likewise
    monkeypatch.setenv("GITHUB_CLIENT_ID", "our name at the provider's")
    monkeypatch.setenv("GITHUB_CLIENT_SECRET", "our password there")
    monkeypatch.delenv("SESSION_SECRET_FALLBACKS", raising=False)
    logger = logging.getLogger("asgi_signed_session")
    handlers, level = list(logger.handlers), logger.level
    module = ModuleType("pages")  # a framework looks up there what an annotation means
    monkeypatch.setitem(sys.modules, "pages", module)
    names = vars(module)
    names |= make_names()
    yield names
    if "CountForPrometheus" in names:  # a process has one counter of a name
        sys.modules["prometheus_client"].REGISTRY.unregister(names["events"])
    if "Mangum" in names:  # it makes a loop for the life of a process
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)
    names.clear()  # closes a store now, and not when garbage is collected, of which sqlite3 warns
    logger.handlers[:] = handlers  # some show how to add one
    logger.setLevel(level)
