"""Who may use the admin of the apps with sqladmin."""

from __future__ import annotations

from fastapi import Request
from sqladmin.authentication import AuthenticationBackend


class Authentication(AuthenticationBackend):
    async def login(self, request: Request) -> bool:
        request.session["admin"] = "root"
        return True

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return "admin" in request.session
