from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

import asgi_signed_session
from asgi_signed_session import (
    CookieTooLargeError,
    SessionError,
    SessionMiddleware,
    SessionSigner,
    UnserializableSessionError,
)


def test_what_is_public_is_what_the_design_names_and_sorted() -> None:
    assert asgi_signed_session.__all__ == [
        "CookieTooLargeError",
        "Session",
        "SessionError",
        "SessionMiddleware",
        "SessionNotLoadedError",
        "SessionSigner",
        "UnserializableSessionError",
    ]
    assert [name for name in asgi_signed_session.__all__ if not hasattr(asgi_signed_session, name)] == []


@pytest.mark.parametrize(
    ("error", "usual"), [(CookieTooLargeError, ValueError), (UnserializableSessionError, TypeError)]
)
def test_one_name_catches_all_that_cannot_be_saved_and_so_does_the_one_that_python_raises(
    error: type[Exception], usual: type[Exception]
) -> None:
    assert error.__bases__ == (SessionError, usual)
    assert SessionError.__bases__ == (Exception,)


def defaults_of(make: Callable[..., Any], kind: Any) -> dict[str, Any]:
    return {p.name: p.default for p in inspect.signature(make).parameters.values() if p.kind is kind}


REQUIRED = inspect.Parameter.empty


def test_the_middleware_takes_the_options_that_the_design_names() -> None:
    assert defaults_of(SessionMiddleware, inspect.Parameter.POSITIONAL_OR_KEYWORD) == {
        "app": REQUIRED,
        "secret_key": REQUIRED,
        "session_cookie": "session",
        "max_age": 14 * 24 * 60 * 60,
        "path": "/",
        "same_site": "lax",
        "https_only": None,
        "domain": None,
        "partitioned": False,
    }
    assert defaults_of(SessionMiddleware, inspect.Parameter.KEYWORD_ONLY) == {
        "fallbacks": (),
        "serializer": json,
        "refresh_after": None,
        "lifetime": None,
        "scope_key": "session",
        "store": None,
        "autoload": True,
        "on_store_error": "raise",
        "max_size": 64 * 1024,
        "trusted_origins": None,
    }


def test_the_signer_takes_the_options_that_the_design_names() -> None:
    assert defaults_of(SessionSigner, inspect.Parameter.POSITIONAL_OR_KEYWORD) == {
        "secret_key": REQUIRED,
        "session_cookie": "session",
    }
    assert defaults_of(SessionSigner, inspect.Parameter.KEYWORD_ONLY) == {"fallbacks": (), "serializer": json}
