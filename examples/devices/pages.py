"""The pages, and what their forms do. None but a form's POST changes anything, as links come from anywhere."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response, WebSocket
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates

from asgi_signed_session import Session

from .accounts import NAME, TooManyTriesError, User, read_name
from .chat import MAX_TEXT, SIGNED_OUT, Conversation
from .dependencies import CurrentServices, CurrentSession, CurrentUser, Form, PossibleUser
from .devices import describe_browser, describe_time, format_time, list_devices, note_visit

REMEMBERED = 30 * 24 * 60 * 60  # seconds
MIN_PASSWORD = 15  # characters, where nothing else is asked for (NIST SP 800-63B-4, 3.1.1.2)
MAX_PASSWORD = 200

UserAgent = Annotated[str, Header()]

router = APIRouter(default_response_class=Response)
LIMITS = {"MIN_PASSWORD": MIN_PASSWORD, "MAX_PASSWORD": MAX_PASSWORD, "MAX_TEXT": MAX_TEXT}
# They escape what they are given.
templates = Jinja2Templates(Path(__file__).parent / "templates", context_processors=[lambda _: LIMITS])
templates.env.filters["ago"] = describe_time
templates.env.filters["utc"] = format_time


def show(request: Request, template: str, status: int = HTTPStatus.OK, **context: Any) -> Response:
    headers = {"cache-control": "no-store"}  # or "back" shows it after the sign-out
    return templates.TemplateResponse(request, template, context, status, headers)


def go_to(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def sign_in(session: Session, user: User, *, remember_me: bool, user_agent: str) -> None:
    session.clear()  # nothing of before has a part in it, even where the same user signs in again
    session.principal = user.id  # which gives the session a new id
    session.max_age = REMEMBERED if remember_me else None  # None: the cookie ends with the browser
    session["browser"] = describe_browser(user_agent)
    note_visit(session)


@router.get("/signin")
async def signin_page(request: Request, session: CurrentSession, user: PossibleUser) -> Response:
    if user is not None:
        return go_to("/")
    notice = "You are signed out here: from another device, or because you were away for long."
    return show(request, "signin.html", notice=notice if session.rejected == "expired" else None)


@router.post("/signin")
async def signin(
    request: Request, session: CurrentSession, services: CurrentServices, form: Form, user_agent: UserAgent = ""
) -> Response:
    name, password = form.get("name", ""), form.get("password", "")
    check = services.accounts.check
    try:
        user = await to_thread.run_sync(check, name, password, limiter=services.hashing)
    except TooManyTriesError as error:
        problem = f"Too many wrong passwords for this account. Try again in {describe_wait(error.wait)}."
        response = show(request, "signin.html", HTTPStatus.TOO_MANY_REQUESTS, name=name, problem=problem)
        response.headers["retry-after"] = str(error.wait)
        return response
    if user is None:
        problem = "This name and password don't go together."
        return show(request, "signin.html", HTTPStatus.FORBIDDEN, name=name, problem=problem)
    sign_in(session, user, remember_me="remember" in form, user_agent=user_agent)
    return go_to("/")


@router.get("/signup")
async def signup_page(request: Request, user: PossibleUser) -> Response:
    return show(request, "signup.html") if user is None else go_to("/")


@router.post("/signup")
async def signup(
    request: Request, session: CurrentSession, services: CurrentServices, form: Form, user_agent: UserAgent = ""
) -> Response:
    name, password = form.get("name", ""), form.get("password", "")
    problem = find_problem(name, password)
    if problem is None:
        user = await to_thread.run_sync(services.accounts.create, name, password, limiter=services.hashing)
        if user is not None:
            sign_in(session, user, remember_me="remember" in form, user_agent=user_agent)
            return go_to("/")
        problem = "This name is taken."
    return show(request, "signup.html", HTTPStatus.BAD_REQUEST, name=name, problem=problem)


def find_problem(name: str, password: str) -> str | None:
    """Why there can be no such account."""
    if NAME.fullmatch(read_name(name)) is None:
        return "A name is 2 to 30 letters, digits, hyphens and underscores, and begins with a letter or a digit."
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters."
    return None


@router.post("/signout")
async def signout(session: CurrentSession) -> Response:
    session.clear()
    return go_to("/signin")


@router.get("/")
async def devices_page(
    request: Request, session: CurrentSession, services: CurrentServices, user: CurrentUser
) -> Response:
    devices = await list_devices(services.sessions, session)
    return show(request, "devices.html", user=user, devices=devices, notice=session.pop("notice", None))


@router.post("/devices/end")
async def end_device(session: CurrentSession, services: CurrentServices, user: CurrentUser, form: Form) -> Response:
    """Signs out one of the user's own devices: a key of another's is none of these."""
    for device in await list_devices(services.sessions, session):
        if device.key == form.get("key") and not device.is_this_one:
            await services.sessions.end(device.key)
            session["notice"] = f"Signed out on {device.name}."
    return go_to("/")


@router.post("/devices/end-others")
async def end_other_devices(session: CurrentSession, services: CurrentServices, user: CurrentUser) -> Response:
    count = await services.sessions.end_all(user.id, but=session.store_key)
    session["notice"] = f"Signed out on {count} other device{'' if count == 1 else 's'}."
    return go_to("/")


@router.get("/chat")
async def chat_page(request: Request, user: CurrentUser) -> Response:
    return show(request, "chat.html", user=user)


@router.websocket("/chat")
async def chat(websocket: WebSocket, session: CurrentSession, services: CurrentServices, user: PossibleUser) -> None:
    await websocket.accept()
    if user is None:  # accepted all the same: a script isn't told why a handshake is refused
        await websocket.close(*SIGNED_OUT)
        return
    await Conversation(websocket, session, user, services.room, services.look_every).run()


def describe_wait(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
