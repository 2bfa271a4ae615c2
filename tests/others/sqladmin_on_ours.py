"""An admin with sqladmin that runs on our middleware alone."""

from __future__ import annotations

from fastapi import FastAPI, Request
from sqladmin import Admin
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import create_engine
from starlette.middleware import Middleware

from asgi_signed_session import SessionMiddleware


class Authentication(AuthenticationBackend):
    def __init__(self, secret_key: str) -> None:
        super().__init__(secret_key)
        self.middlewares = [Middleware(SessionMiddleware, secret_key=secret_key, session_cookie="admin")]

    async def login(self, request: Request) -> bool:
        request.session["admin"] = "root"
        return True

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return "admin" in request.session


app = FastAPI()
Admin(app, create_engine("sqlite://"), authentication_backend=Authentication("the key of the administrators'"))
