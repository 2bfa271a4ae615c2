"""An admin with sqladmin that runs on our middleware alone."""

from __future__ import annotations

from fastapi import FastAPI
from sqladmin import Admin
from sqlalchemy import create_engine
from starlette.middleware import Middleware

from asgi_signed_session import SessionMiddleware

from .sqladmin_backend import Authentication


class OnOurs(Authentication):
    def __init__(self, secret_key: str) -> None:
        super().__init__(secret_key)
        self.middlewares = [Middleware(SessionMiddleware, secret_key=secret_key, session_cookie="admin")]


app = FastAPI()
Admin(app, create_engine("sqlite://"), authentication_backend=OnOurs("the key of the administrators'"))
