"""Signed sessions for any ASGI app."""

from .errors import CookieTooLargeError, SessionError, SessionNotLoadedError, UnserializableSessionError
from .middleware import SessionMiddleware
from .session import Session
from .session_signer import SessionSigner

__all__ = [
    "CookieTooLargeError",
    "Session",
    "SessionError",
    "SessionMiddleware",
    "SessionNotLoadedError",
    "SessionSigner",
    "UnserializableSessionError",
]
