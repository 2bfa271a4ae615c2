"""The attributes that code written for Starlette's middleware looks for: ours has them to be read, not to be set."""

from __future__ import annotations

from typing import Any, Generic, NoReturn, TypeVar, overload

from .cookies import SetCookie
from .lifetime import Lifetime
from .signing import Keyring, TimestampSigner
from .wording import name_of

T = TypeVar("T")


class Shown:
    """What a middleware was made with, under the names of the attributes that say it."""

    def __init__(
        self, scope_key: str, cookie: SetCookie, keyring: Keyring, lifetime: Lifetime, signs_json: bool
    ) -> None:
        self.scope_key: str = scope_key
        self.session_cookie: str = cookie.name.decode("ascii")
        self.path: str = cookie.path
        self.security_flags: str = cookie.security_flags
        self.max_age: int | None = lifetime.max_age
        self._signer = keyring.signer if signs_json else None

    @property
    def signer(self) -> TimestampSigner:
        """Raises ``AttributeError`` where what is signed isn't what those who ask for it take it for."""
        if self._signer is None:
            raise AttributeError(
                "signer is there only if the cookie holds the session as JSON. With another serializer, use"
                " SessionSigner with the same one; with a store the cookie holds an id, so sign in through the app."
            )
        return self._signer


class ReadOnly(Generic[T]):
    """An attribute that says what an option is; setting another value, which nothing would read, raises."""

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> ReadOnly[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else getattr(instance._shown, self._name)

    # NoReturn: a type checker refuses whatever is assigned.
    def __set__(self, instance: Any, value: NoReturn) -> None:
        shown = getattr(instance, "_shown", None)  # None: before super().__init__()
        if shown is None or value != getattr(shown, self._name, self):
            raise AttributeError(
                f"{self._name} can't be set on a middleware, which reads its options only when it is made; pass"
                f" {self._instead} to its constructor."
            )

    def check_override(self, cls: type) -> None:
        """Raises ``TypeError`` where ``cls`` has another attribute in this one's place."""
        if getattr(cls, self._name, None) is not self:
            raise TypeError(
                f"{name_of(cls)}.{self._name} would never be read; pass {self._instead} to super().__init__(), or give"
                " the attribute another name."
            )


class StarlettesAttributes:
    """Their values are in the form that Starlette's middleware has them."""

    _shown: Shown

    signer: ReadOnly[TimestampSigner] = ReadOnly("secret_key=TimestampSigner(...), and older keys as fallbacks=[...],")
    session_cookie: ReadOnly[str] = ReadOnly("session_cookie=...")
    max_age: ReadOnly[int | None] = ReadOnly("max_age=...")
    path: ReadOnly[str] = ReadOnly("path=...")
    security_flags: ReadOnly[str] = ReadOnly("same_site=..., https_only=..., domain=... or partitioned=...")
    scope_key: ReadOnly[str] = ReadOnly("scope_key=...")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for attribute in vars(StarlettesAttributes).values():
            if isinstance(attribute, ReadOnly):
                attribute.check_override(cls)
