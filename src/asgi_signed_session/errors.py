"""Errors for what an app asks of a session and can't get. Bad cookies are never an error."""


class SessionError(Exception):
    """Raised by the app's ``send``, before anything is sent, when the session can't be saved as the app left it.

    ``session.save()``, ``session.regenerate()`` and setting ``session.principal`` raise it, too, if they come too late.
    """


class SessionNotLoadedError(SessionError):
    """Raised when the app touches a session before ``await session.load()``, with ``autoload=False``."""


class CookieTooLargeError(SessionError, ValueError):
    """Raised when the cookie would be too large: browsers and front ends would drop it silently."""


class UnserializableSessionError(SessionError, TypeError):
    """Raised when the session holds a value that the serializer can't write; the message names its place and type."""
