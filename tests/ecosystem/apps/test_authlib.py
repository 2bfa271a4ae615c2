"""Signing in with Authlib at a provider: what it must know when the visitor comes back is in the session."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CHALLENGES: dict[str, str] = {}  # of each code that the provider has given: what was asked with it


async def authorize(request: Request) -> Response:
    asked = request.query_params
    code = f"code-{len(CHALLENGES)}"
    CHALLENGES[code] = asked["code_challenge"]
    return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")


async def token(request: Request) -> Response:
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    sent = parse_qs((await request.body()).decode())
    if create_s256_code_challenge(sent["code_verifier"][0]) != CHALLENGES.pop(sent["code"][0]):
        return JSONResponse({"error": "invalid_grant"}, 400)
    return JSONResponse({"access_token": "for ada", "token_type": "Bearer", "expires_in": 60})


@pytest.fixture
def visitor(serve: Any, visit: Any) -> Any:
    provider = serve(Starlette(routes=[Route("/authorize", authorize), Route("/token", token, methods=["POST"])]))
    oauth = OAuth()
    oauth.register(
        "provider",
        client_id="an app",
        client_secret="its secret",
        authorize_url=f"{provider}/authorize",
        access_token_url=f"{provider}/token",
        client_kwargs={"code_challenge_method": "S256", "trust_env": False},
    )

    async def login(request: Request) -> Response:
        return await oauth.provider.authorize_redirect(request, request.url_for("callback"))

    async def callback(request: Request) -> Response:
        try:
            found = await oauth.provider.authorize_access_token(request)
        except OAuthError as error:
            return JSONResponse(error.error, 400)
        request.session["token"] = found["access_token"]
        return RedirectResponse("/")

    async def show(request: Request) -> Response:
        return JSONResponse(dict(request.session))

    routes = [Route("/login", login), Route("/callback", callback, name="callback"), Route("/", show)]
    middleware = [Middleware(SessionMiddleware, secret_key="the key of an app with Authlib")]
    return visit(Starlette(routes=routes, middleware=middleware))


def come_back(location: str) -> str:
    """Goes to the provider, and gives the address that it sends the visitor back to."""
    return httpx.get(location, trust_env=False).headers["location"]


def test_who_has_signed_in_at_the_provider_is_signed_in(visitor: Any) -> None:
    back = come_back(visitor.get("/login").headers["location"])
    answer = visitor.get(back)

    assert answer.headers["location"] == "/"
    assert visitor.get("/").json() == {"token": "for ada"}


def test_an_answer_that_this_visitor_has_not_asked_for_is_refused(visitor: Any) -> None:
    back = come_back(visitor.get("/login").headers["location"])
    visitor.cookies.clear()

    assert visitor.get(back).json() == "mismatching_state"


def test_an_answer_counts_once(visitor: Any) -> None:
    back = come_back(visitor.get("/login").headers["location"])
    visitor.get(back)

    assert visitor.get(back).json() == "mismatching_state"


def test_the_state_is_in_the_session_meanwhile(visitor: Any) -> None:
    location = visitor.get("/login").headers["location"]
    [state] = parse_qs(urlsplit(location).query)["state"]

    assert list(visitor.get("/").json()) == [f"_state_provider_{state}"]
