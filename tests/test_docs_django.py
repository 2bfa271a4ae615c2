"""What Django's page shows: its files in a project that Django made, on a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_signed_session import SessionSigner

from .conftest import KEY
from .daemons import DEADLINE
from .pages import PAGES, find_blocks, find_files, need_what_is_imported
from .servers import Server, browse, running
from .wire import DELETED, KEPT

SIGNER = SessionSigner(KEY)
PAGE = "frameworks/django.md"

MORE_VIEWS = """
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.middleware.csrf import get_token
from django.urls import path

from .urls import urlpatterns


def put(request):
    request.session["put"] = True
    return JsonResponse({})


def flash(request):
    messages.success(request, "saved")
    return JsonResponse({})


def show_flashed(request):
    return JsonResponse({"flashed": [message.message for message in messages.get_messages(request)]})


def give_token(request):
    return JsonResponse({"token": get_token(request)})


def use_auth(request):
    said = []
    for act in (lambda: login(request, User(pk=1)), lambda: logout(request)):
        try:
            act()
        except AttributeError as error:
            said.append(error.name)
    return JsonResponse({"lacking": said})


urlpatterns = [
    *urlpatterns,
    path("put", put),
    path("flash", flash),
    path("flashed", show_flashed),
    path("token", give_token),
    path("auth", use_auth),
]
"""
MORE_SETTINGS = """
ROOT_URLCONF = "mysite.more"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_USE_SESSIONS = True
"""


def verify(response: httpx.Response) -> list[tuple[dict[str, Any], str]]:
    """What the session's cookies hold that a response sets, and their attributes."""
    lines = [line for line in response.headers.get_list("set-cookie") if line.startswith("session=")]
    parts = [line.removeprefix("session=").split("; ", 1) for line in lines]
    return [(SIGNER.loads(value), attributes) for value, attributes in parts]


class Project(NamedTuple):
    folder: Path

    def write(self, *files: tuple[str, str]) -> None:
        for path, block in files:
            (self.folder / path).write_text(block)

    @property
    def settings(self) -> Path:
        return self.folder / "mysite" / "settings.py"

    def serve(self) -> Any:
        return running("-m", "uvicorn", "mysite.asgi:application", "--port=0", f"--app-dir={self.folder}")


def start_project(folder: Path) -> Project:
    need_what_is_imported("import django", "import channels")
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", str(folder)], check=True)
    project = Project(folder)
    settings = project.settings.read_text()
    ours, made = re.subn(r"^SECRET_KEY = .*$", f"SECRET_KEY = {KEY!r}", settings, flags=re.MULTILINE)
    assert made == 1  # the key that Django makes is warned about
    project.settings.write_text(ours)
    return project


@pytest.fixture(scope="module", params=["alone", "with Channels"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Project, Server]]:
    project = start_project(tmp_path_factory.mktemp("project"))
    files = find_files(PAGE)
    if request.param == "alone":
        files.remove([file for file in files if file[0] == "mysite/asgi.py"][1])
    project.write(*files)
    with project.serve() as server:
        yield project, server


@pytest.fixture
def visitor(served: tuple[Project, Server]) -> Generator[httpx.Client]:
    with browse(served[1]) as client:
        client.get("/whoami")  # which sets the cookie that Django wants to see again
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        client.post("/login", data={"user": "ada"})
        yield client


def test_who_signs_in_is_known_from_then_on(visitor: httpx.Client) -> None:
    assert visitor.get("/whoami").json() == {"user": "ada"}


def test_a_stranger_is_nobody(served: tuple[Project, Server]) -> None:
    with browse(served[1]) as stranger:
        response = stranger.get("/whoami")

    assert (response.json(), verify(response)) == ({"user": None}, [])


def test_a_nested_change_in_a_view_that_is_not_async_is_saved(
    served: tuple[Project, Server], visitor: httpx.Client
) -> None:
    carts = [visitor.post("/cart", data={"item": item}) for item in ("tea", "jam")]

    assert carts[1].json() == {"cart": ["tea", "jam"]}
    assert verify(carts[1]) == [({"user": "ada", "cart": ["tea", "jam"]}, KEPT)]


def test_who_signs_out_is_forgotten(visitor: httpx.Client) -> None:
    assert visitor.post("/logout").headers.get_list("set-cookie") == [DELETED.decode()]


def chat(visitor: httpx.Client) -> Any:
    url = str(visitor.base_url.copy_with(scheme="ws", path="/chat"))
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    return connect(url, additional_headers=headers, open_timeout=DEADLINE, proxy=None)


@pytest.mark.parametrize("served", ["with Channels"], indirect=True)
def test_a_consumer_knows_who_is_signed_in(served: tuple[Project, Server], visitor: httpx.Client) -> None:
    with chat(visitor) as websocket:
        websocket.send("hello")

        assert websocket.recv(timeout=DEADLINE) == "ada: hello"


@pytest.mark.parametrize("served", ["with Channels"], indirect=True)
def test_a_strangers_handshake_is_refused(served: tuple[Project, Server]) -> None:
    with browse(served[1]) as stranger, pytest.raises(InvalidStatus) as refusal, chat(stranger):
        pass

    assert refusal.value.response.status_code == 403


def test_the_test_that_is_shown_passes(served: tuple[Project, Server]) -> None:
    command = [sys.executable, "manage.py", "test"]

    tried = subprocess.run(command, cwd=served[0].folder, capture_output=True, text=True, check=False)

    assert tried.returncode == 0, tried.stderr
    assert "Ran 1 test" in tried.stderr


def use_more(project: Project) -> Project:
    """The project with views that use more of Django, and as few cookies as it lets them."""
    project.write(*find_files(PAGE), ("mysite/more.py", MORE_VIEWS))
    project.settings.write_text(project.settings.read_text() + MORE_SETTINGS)
    return project


def test_djangos_own_session_is_beside_it(tmp_path: Path) -> None:
    project = use_more(start_project(tmp_path))

    with project.serve() as server, browse(server) as visitor:
        visitor.get("/put")
        token = visitor.get("/token").json()["token"]
        visitor.post("/login", data={"user": "ada"}, headers={"X-CSRFToken": token})

        assert sorted(visitor.cookies) == ["session", "sessionid"]
        assert SIGNER.loads(visitor.cookies["session"]) == {"user": "ada"}


@pytest.fixture(scope="module")
def in_its_place(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Project, Server]]:
    """The project with ours as ``request.session``."""
    project = use_more(start_project(tmp_path_factory.mktemp("project")))
    settings = project.settings.read_text()
    [diff] = find_blocks(PAGES[PAGE], "diff")
    old, new = (line[1:] for line in diff.splitlines())
    assert old in settings
    project.settings.write_text(settings.replace(old, new))
    with project.serve() as server:
        yield project, server


def test_as_djangos_session_it_keeps_messages(in_its_place: tuple[Project, Server]) -> None:
    with browse(in_its_place[1]) as visitor:
        visitor.get("/flash")

        assert list(visitor.cookies) == ["session"]
        assert [visitor.get("/flashed").json() for _ in range(2)] == [{"flashed": ["saved"]}, {"flashed": []}]


def test_as_djangos_session_it_keeps_the_token_against_forged_requests(in_its_place: tuple[Project, Server]) -> None:
    with browse(in_its_place[1]) as visitor:
        token = visitor.get("/token").json()["token"]
        assert list(visitor.cookies) == ["session"]

        assert visitor.post("/login", data={"user": "ada"}).status_code == 403
        assert visitor.post("/login", data={"user": "ada"}, headers={"X-CSRFToken": token}).json() == {"user": "ada"}


def test_as_djangos_session_it_does_not_serve_its_login(in_its_place: tuple[Project, Server]) -> None:
    with browse(in_its_place[1]) as visitor:
        assert visitor.get("/auth").json() == {"lacking": ["cycle_key", "flush"]}
