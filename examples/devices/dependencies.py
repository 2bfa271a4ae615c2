"""What an endpoint may ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, HTTPException, Request, WebSocketException, status
from fastapi.requests import HTTPConnection

from asgi_signed_session import Session
from asgi_signed_session.stores import Sessions

from .accounts import Accounts, User
from .chat import Room
from .devices import note_visit

MAX_FORM = 8 * 1024  # bytes


@dataclass(frozen=True)
class Services:
    """What all requests share."""

    accounts: Accounts
    sessions: Sessions
    room: Room
    look_every: float  # seconds after which an open websocket looks whether its session still is
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))  # 16 MiB and a core each


class NotSignedInError(Exception):
    """The visitor is sent to the sign-in."""


def get_services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


async def get_session(connection: HTTPConnection) -> Session:
    """The session, read from the store; nothing, where another site's page has caused the request."""
    session: Session = connection.scope["session"]
    await session.load()
    if session.rejected == "cross-site":
        if connection.scope["type"] == "websocket":
            raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
        raise HTTPException(status.HTTP_403_FORBIDDEN, "This request comes from another site.")
    return session


CurrentServices = Annotated[Services, Depends(get_services)]
CurrentSession = Annotated[Session, Depends(get_session)]


async def find_user(session: CurrentSession, services: CurrentServices) -> User | None:
    """Who is signed in. The account is looked up each time: the sessions of one that was deleted are nobody's."""
    user = None
    if session.principal is not None:
        user = await to_thread.run_sync(services.accounts.find, session.principal)
    if user is not None:
        note_visit(session)
    return user


PossibleUser = Annotated[User | None, Depends(find_user)]


def require_user(user: PossibleUser) -> User:
    if user is None:
        raise NotSignedInError
    return user


CurrentUser = Annotated[User, Depends(require_user)]


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form without files, which needs no package."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise HTTPException(status.HTTP_400_BAD_REQUEST) from None


Form = Annotated[dict[str, str], Depends(read_form)]
