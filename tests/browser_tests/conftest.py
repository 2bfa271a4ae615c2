from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ..daemons import DEADLINE
from ..servers import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

At = Callable[..., str]

# Otherwise the server waits half a minute for the end of some of Chromium's TLS connections.
HASTE = ("--timeout-graceful-shutdown=1",)


# Debian's Chromium blocks third-party cookies unless it is told not to.
THIRD_PARTY_COOKIES = '{"profile": {"cookie_controls_mode": 0}}'


class Chromium(NamedTuple):
    playwright: Playwright
    options: dict[str, Any]

    def open_profile(self, folder: Path) -> BrowserContext:
        """Start a browser that keeps in ``folder`` what browsers keep; closing the context ends it."""
        preferences = folder / "Default/Preferences"
        if not preferences.exists():
            preferences.parent.mkdir()
            preferences.write_text(THIRD_PARTY_COOKIES)
        context = self.playwright.chromium.launch_persistent_context(folder, **self.options)
        context.set_default_timeout(self.options["timeout"])
        return context


def read_jar(person: BrowserContext) -> list[dict[str, Any]]:
    return [dict(cookie) for cookie in person.cookies()]


class Certificate(NamedTuple):
    certfile: Path
    keyfile: Path
    pin: str  # what Chromium takes for trust: the hash of the public key


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    folder = tmp_path_factory.mktemp("certificate")
    issued = trustme.CA().issue_cert("127.0.0.1", "*.test", "*.shop.test")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(folder / "certificate.pem", append=True)
    public_key = load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).public_key()
    public_bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = b64encode(sha256(public_bytes).digest()).decode()
    return Certificate(folder / "certificate.pem", folder / "key.pem", pin)


@pytest.fixture(scope="package")
def chromium(certificate: Certificate) -> Generator[Chromium]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    arguments = [
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={certificate.pin}",
        "--no-proxy-server",
    ]
    with playwright.sync_playwright() as started:
        yield Chromium(started, {"executable_path": program, "args": arguments, "timeout": DEADLINE * 1000})


@pytest.fixture(scope="package")
def profile(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Generator[BrowserContext]:
    with chromium.open_profile(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def person(profile: BrowserContext) -> Generator[BrowserContext]:
    """Somebody at an ordinary window, with no cookies yet."""
    yield profile
    for page in profile.pages[1:]:  # a browser ends with its last one
        page.close()
    profile.clear_cookies()


@pytest.fixture
def page(person: BrowserContext) -> Page:
    return person.new_page()


@pytest.fixture(scope="package")
def browser(chromium: Chromium) -> Generator[Browser]:
    with chromium.playwright.chromium.launch(**chromium.options) as launched:
        yield launched


@pytest.fixture
def open_private(browser: Browser) -> Generator[Callable[..., Page]]:
    """Opens a private window: ``open_private(java_script_enabled=False)``."""
    with ExitStack() as stack:

        def open_page(**options: Any) -> Page:
            context = stack.enter_context(browser.new_context(**options))
            context.set_default_timeout(DEADLINE * 1000)
            return context.new_page()

        yield open_page


@pytest.fixture(scope="package")
def at(certificate: Certificate, chromium: Chromium) -> Generator[At]:
    """Makes URLs of the app, which answers to every name in .test: ``at("shop.test", "lax/login")``."""
    serve = ("-m", "uvicorn", "tests.browser_tests.app:app", "--port=0", "--no-access-log", *HASTE)
    tls = (f"--ssl-certfile={certificate.certfile}", f"--ssl-keyfile={certificate.keyfile}")
    with ExitStack() as stack:
        ports = {
            scheme: stack.enter_context(running(*serve, *arguments)).url.rpartition(":")[2]
            for scheme, arguments in {"http": (), "https": tls}.items()
        }
        yield lambda host, path, scheme="https": f"{scheme}://{host}:{ports[scheme]}/{path}"
