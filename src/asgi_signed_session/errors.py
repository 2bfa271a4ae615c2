"""What an app can ask of a session that can't be done. Bad cookies are never an error."""


class SessionError(Exception):
    """Raised when the session can't be saved as the app left it: out of ``send``, before anything is sent.

    Or by ``session.save()``, ``session.regenerate()`` and setting ``session.principal``, where they come too late.
    """


class SessionNotLoadedError(SessionError):
    """Raised when a session is touched before ``await session.load()``, where the middleware has ``autoload=False``."""


class CookieTooLargeError(SessionError, ValueError):
    """Raised when the cookie would be larger than browsers and front ends keep: they would drop it without a word."""


class UnserializableSessionError(SessionError, TypeError):
    """Raised when the session holds a value that the serializer can't write; names its place and type."""
