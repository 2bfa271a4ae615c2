"""The smallest whole app on Django, whose ASGI handler knows no websockets.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.django_app:app
"""

import os
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from asgi_signed_session import Session, SessionMiddleware

# Without Django's own SessionMiddleware, which needs a database or a cache.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], MIDDLEWARE=[])


def session_of(request: ASGIRequest) -> Session:
    session: Session = request.scope["session"]
    return session


def describe(session: Session) -> JsonResponse:
    answer: dict[str, Any] = {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }
    return JsonResponse(answer)


async def whoami(request: ASGIRequest) -> JsonResponse:
    return describe(session_of(request))


@require_POST  # type: ignore[untyped-decorator]
async def login(request: ASGIRequest) -> JsonResponse:
    session = session_of(request)
    user = request.GET["user"]  # pyright: ignore[reportIndexIssue]
    session.principal = user  # first: it empties a session that belonged to somebody else
    session["user"] = user
    session.regenerate()
    return describe(session)


@require_POST  # type: ignore[untyped-decorator]
def add_note(request: ASGIRequest) -> JsonResponse:  # not async: Django calls it in a thread
    session = session_of(request)
    session.setdefault("notes", []).append(request.GET["note"])  # pyright: ignore[reportIndexIssue]
    return describe(session)


@require_POST  # type: ignore[untyped-decorator]
async def logout(request: ASGIRequest) -> JsonResponse:
    session = session_of(request)
    session.clear()
    return describe(session)


urlpatterns = [path("", whoami), path("login", login), path("notes", add_note), path("logout", logout)]

app = SessionMiddleware(get_asgi_application(), os.environ["SESSION_SECRET"])
