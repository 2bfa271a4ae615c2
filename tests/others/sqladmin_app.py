"""A shop in our middleware, with sqladmin mounted as its documentation says: it brings Starlette's middleware along."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from sqladmin import Admin
from sqlalchemy import create_engine

from asgi_signed_session import SessionMiddleware

from .sqladmin_backend import Authentication

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="the key of the shop's sessions")


@app.get("/login")
def login(request: Request) -> None:
    request.session["user"] = "ada"


@app.get("/whoami")
def whoami(request: Request) -> dict[str, Any]:
    return dict(request.session)


authentication = Authentication("the key of the administrators'", session_cookie="admin")
Admin(app, create_engine("sqlite://"), authentication_backend=authentication)
