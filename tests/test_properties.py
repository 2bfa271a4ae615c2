"""What holds for any content, any headers, any operations in any order, any stack of middlewares."""

from __future__ import annotations

import copy
import json
import types
from base64 import b64encode
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from asgi_signed_session import CookieTooLargeError, SessionError, SessionMiddleware

from .apps import App, app_that
from .browser import Browser
from .conftest import KEY
from .records import Records
from .wire import KEPT, make_signer, sign

OTHER_KEY = "another key of more than sixteen bytes"
ADA = {"user": "ada"}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


def as_json(content: Any) -> Any:
    """What JSON makes of it: lists of tuples, text of keys."""
    return json.loads(json.dumps(content))


# Any cookie header


def spell(letters: list[bool]) -> bytes:
    return bytes(
        byte ^ 0x20 if upper else byte
        for byte, upper in zip(b"cookie", letters, strict=True)  # ASCII's other case
    )


genuine = sign(ADA).encode()
header_names = st.lists(st.booleans(), min_size=6, max_size=6).map(spell) | st.sampled_from([b"cookies", b"xcookie"])
pieces = st.sampled_from(
    [b"session=" + genuine, b"session=", genuine, b"session", b"xsession=", b"session2=", b"Session=", b"; ", b";"]
) | st.binary(max_size=3)
header_values = st.lists(pieces, max_size=12).map(b"".join)


def candidates_in(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The values of the first eight cookies, by taking the headers apart."""
    cookies = [value for name, value in headers if name.lower() == b"cookie"]
    pairs = [pair.partition(b"=") for value in cookies for pair in value.split(b";")]
    return [value.strip(b' \t"') for name, equals, value in pairs if equals and name.strip(b" \t") == b"session"][:8]


@pytest.mark.parametrize("make", [list, iter])
@settings(deadline=None, max_examples=300)
@given(headers=st.lists(st.tuples(header_names, header_values), max_size=5))
def test_any_headers_reach_the_app_once_with_the_session_that_itsdangerous_verifies(
    make: Any, headers: list[tuple[bytes, bytes]]
) -> None:
    calls: list[Any] = []
    app = app_that(lambda scope: calls.append([dict(scope["session"]), scope["session"].rejected]))

    response = Browser(SessionMiddleware(app, KEY, max_age=None)).get(headers=make(headers))

    candidates = candidates_in(headers)
    if any(make_signer().validate(value) for value in candidates):
        assert calls == [[ADA, None]]
    else:
        assert calls == [[{}, "bad-signature" if candidates else None]]
    assert (response.start["status"], response.headers) == (200, [(b"vary", b"Cookie")])


# Any content


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
@settings(deadline=None, max_examples=150)
@given(
    content=st.dictionaries(st.text(max_size=5).filter(lambda key: key != "$session"), values, min_size=1, max_size=4),
    more=st.just(0) | st.integers(2900, 3050),
)
def test_any_content_that_a_cookie_can_hold_comes_back_and_larger_is_refused(
    make_store: Callable[[], Any], content: dict[str, Any], more: int
) -> None:
    content = {"more": "x" * more, **content}

    def act(scope: Any) -> Any:
        if scope["path"] == "/put":
            scope["session"].update(copy.deepcopy(content))
        return repr(scope["session"])

    browser = Browser(SessionMiddleware(app_that(act), KEY, store=make_store()))
    payload = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if (
        make_store is not Records
        and len(b"session=" + make_signer().sign(b64encode(payload)) + b"; " + KEPT.encode()) > 4096
    ):
        with pytest.raises(CookieTooLargeError):
            browser.get("/put")
        content = {}
    else:
        browser.get("/put")

    assert browser.get("/").json() == repr(as_json(content))


# Any operations over several requests


@types.coroutine
def pause() -> Generator[None]:
    """Gives way to who drives the coroutine."""
    yield


keys = st.sampled_from(["a", "b", "c", "", 1])
contents = st.dictionaries(keys, scalars, max_size=3) | st.dictionaries(keys, values, max_size=3)
others: st.SearchStrategy[Any] = contents | st.lists(st.tuples(keys, values), max_size=2) | st.just([1])
Call = tuple[Any, ...]  # the name of a method and its arguments
calls: st.SearchStrategy[Call] = st.one_of(
    st.tuples(st.sampled_from(["__len__", "clear", "copy", "items", "keys", "popitem", "values"])),
    st.tuples(st.sampled_from(["__contains__", "__delitem__", "__getitem__", "get", "pop", "setdefault"]), keys),
    st.tuples(st.sampled_from(["__setitem__", "get", "pop", "setdefault"]), keys, values),
    st.tuples(st.sampled_from(["__eq__", "__ior__", "__ne__", "__or__", "update"]), others),
    st.tuples(st.just("change nested"), keys, values),
)


def call(mapping: Any, name: str, *arguments: Any) -> Any:
    if name == "change nested":
        key, value = arguments
        return change(mapping[key], value)
    return getattr(mapping, name)(*copy.deepcopy(arguments))


def change(container: Any, value: Any) -> None:
    """Changes a list or a dict in place."""
    if isinstance(container, list):
        container.append(copy.deepcopy(value))
    elif isinstance(container, dict):
        container["n"] = copy.deepcopy(value)


def outcome_of(act: Callable[[Any], Any], mapping: Any) -> str:
    """What ``act`` returns or raises, in a form that can be compared."""
    try:
        result = act(mapping)
    except Exception as error:
        return type(error).__name__
    if result is mapping:
        return "itself"
    if isinstance(result, dict):
        return repr(dict(result))
    return repr(list(result) if type(result).__name__.startswith("dict_") else result)


class Visits(RuleBasedStateMachine):
    """One visitor's requests, each with any operations on the session, held against a plain dict."""

    def __init__(self, make_store: Callable[[], Any]) -> None:
        super().__init__()
        self.store = make_store()
        self.middleware = SessionMiddleware(self.app, KEY, store=self.store)
        self.cookie: str | None = None
        self.left = False  # whether the cookie leads nowhere any more
        self.plain: dict[Any, Any] = {}
        self.connection: Coroutine[Any, Any, None]
        self.stage = "ended"

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        await pause()
        await send({"type": "http.response.start", "status": 200})
        await pause()

    async def send(self, message: Any) -> None:
        self.headers = message.get("headers", [])

    @property
    def session(self) -> Any:
        return self.scope["session"]

    nested = Bundle("nested")

    @initialize(content=contents)
    def begin(self, content: dict[Any, Any]) -> None:
        """The first request, at which ``content`` is put in."""
        self.connect()
        self.operate(("update", content))
        self.answer()
        self.end()

    @precondition(lambda self: self.stage == "ended")
    @rule()
    def connect(self) -> None:
        headers = [] if self.cookie is None else [(b"cookie", f"session={self.cookie}".encode())]
        self.connection = self.middleware({"type": "http", "path": "/", "headers": headers}, None, self.send)
        self.connection.send(None)
        self.stage = "open"
        self.touched = False
        self.before = copy.deepcopy(self.plain)
        self.cleared = False
        self.renewed = False

    @precondition(lambda self: self.stage != "ended")
    @rule(call_=calls)
    def operate(self, call_: Call) -> None:
        self.touched = True
        self.cleared |= call_[0] == "clear"
        self.left |= self.stage == "answered" and call_[0] == "clear"
        outcome = outcome_of(lambda mapping: call(mapping, *call_), self.session)
        assert outcome == outcome_of(lambda mapping: call(mapping, *call_), self.plain)

    @precondition(lambda self: self.stage != "ended")
    @rule()
    def regenerate(self) -> None:
        self.touched = True
        if self.store is not None and self.stage == "answered":
            with pytest.raises(SessionError):
                self.session.regenerate()
        else:
            self.renewed = True
            self.session.regenerate()

    @precondition(lambda self: self.stage != "ended")
    @rule(target=nested, key=keys)
    def keep_nested(self, key: Any) -> Any:
        """Something in the session, and the same in the plain dict, that may be changed much later."""
        self.touched = True
        return self.session.get(key), self.plain.get(key)

    @rule(both=nested, value=values)
    def change_nested(self, both: Any, value: Any) -> None:
        for container in both:
            change(container, value)

    @precondition(lambda self: self.stage == "ended")
    @rule(calls_=st.lists(calls, min_size=1, max_size=8))
    def visit(self, calls_: list[Call]) -> None:
        """Whole requests with one operation each, so that nothing else can have told of a change."""
        for call_ in calls_:
            self.connect()
            self.operate(call_)
            self.answer()
            self.end()

    def finish(self) -> None:
        with pytest.raises(StopIteration):
            self.connection.send(None)

    @precondition(lambda self: self.stage == "open")
    @rule(replacement=st.just(None) | contents)
    def replace(self, replacement: Any) -> None:
        """The last thing on this request: what is then done to a dict of the app's own is not seen."""
        if replacement is None:
            self.touched = True
            del self.scope["session"]
            self.plain = {}
        else:
            self.scope["session"] = copy.deepcopy(replacement)
            if replacement or self.touched:  # an empty dict in place of an untouched session is another middleware's
                self.touched, self.plain = True, replacement
        self.answer(replaced=True)
        self.end()

    @precondition(lambda self: self.stage == "open")
    @rule()
    def answer(self, replaced: bool = False) -> None:
        modified = not replaced and self.session.modified
        if self.touched and not replaced:
            assert repr(dict(self.session)) == repr(self.plain)
        self.connection.send(None)
        changed = repr(self.plain) != repr(self.before)
        lines = [value.decode() for name, value in self.headers if name == b"set-cookie"]
        if not replaced:
            assert modified or not changed
            assert self.session.modified == modified
            assert len(lines) == (modified and self.is_cookie_owed())
        assert ((b"vary", b"Cookie") in self.headers) == self.touched
        if self.store is None or replaced:
            assert lines or not changed or (self.plain, self.cookie) == ({}, None)
        for line in lines:
            deleted = "Max-Age=0" in line
            assert deleted == (self.plain == {} and (self.store is None or replaced or self.is_over()))
            self.cookie = None if deleted else line.partition(";")[0].removeprefix("session=")
            self.left = False
        self.answered = copy.deepcopy(self.plain)
        self.stage = "answered"

    def is_in_store(self) -> bool:
        return self.store is not None and self.cookie is not None and not self.left

    def is_over(self) -> bool:
        """Whether nothing is to be kept: in a store an empty session is, unless it was cleared."""
        return self.plain == {} and (self.cleared or not self.is_in_store())

    def is_cookie_owed(self) -> bool:
        """For a change: with a store only where the id is a new one."""
        if self.is_over():
            return self.cookie is not None and (self.cleared or self.session.rejected is None)
        return self.cleared or self.renewed or not self.is_in_store()

    @precondition(lambda self: self.stage == "answered")
    @rule()
    def end(self) -> None:
        self.finish()
        self.stage = "ended"
        if self.store is None:
            self.plain = self.answered
        elif self.cookie is None or self.left:
            self.plain = {}
        self.plain = as_json(self.plain)

    def teardown(self) -> None:
        if self.stage != "ended":
            self.connection.close()


@pytest.mark.parametrize("make_store", [lambda: None, Records], ids=["cookie", "store"])
def test_any_operations_over_several_requests_do_what_they_do_on_a_dict(make_store: Callable[[], Any]) -> None:
    make: Any = partial(Visits, make_store)  # typed as a class, and documented as anything that makes one
    run_state_machine_as_test(make, settings=settings(deadline=None, max_examples=60, stateful_step_count=30))


# Any stack of middlewares


class Layer(NamedTuple):
    """A middleware's options."""

    cookie: str
    scope_key: str
    key: str
    in_store: bool


layers = st.builds(
    Layer,
    st.sampled_from("ab"),
    st.sampled_from(["session", "other"]),
    st.sampled_from([KEY, OTHER_KEY]),
    st.booleans(),
)


stacks = st.lists(layers, min_size=2, max_size=4).filter(
    # Two that write one cookie must share the scope key: what else would tell them of each other?
    lambda stack: len({(layer.cookie, layer.scope_key) for layer in stack}) == len({layer.cookie for layer in stack})
)


def count_in(layer: Layer, name: str, app: App) -> App:
    """Counts, in the session that is seen inside ``layer``, under a name of the layer's own."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        session = scope[layer.scope_key]
        session[name] = session.get(name, 0) + 1
        scope["seen"][name] = layer.cookie, dict(session), session.rejected
        await app(scope, receive, send)

    return middleware


async def respond(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})


@settings(deadline=None, max_examples=150)
@given(stack=stacks)
def test_any_stack_of_middlewares_keeps_the_data_of_each_cookie_apart(stack: list[Layer]) -> None:
    store = Records()
    app: App = respond
    for number, layer in reversed(list(enumerate(stack))):
        app = count_in(layer, str(number), app)
        app = SessionMiddleware(
            app, layer.key, layer.cookie, scope_key=layer.scope_key, store=store if layer.in_store else None
        )
    browser = Browser(app)

    def visit(**cookies: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        browser.cookies.update(cookies)
        browser.get(seen=seen)
        return seen

    def expected(count: int, rejected: str | None = None) -> dict[str, Any]:
        # Each sees what those outside it have counted in this cookie now, and those inside it before.
        return {
            str(number): (
                layer.cookie,
                {
                    str(n): count - (n > number)
                    for n, other in enumerate(stack)
                    if other.cookie == layer.cookie and count - (n > number)
                },
                rejected,
            )
            for number, layer in enumerate(stack)
        }

    for count in (1, 2, 3):
        assert visit() == expected(count)
    if len(browser.cookies) == 2:
        a, b = browser.cookies["a"], browser.cookies["b"]
        assert visit(a=b, b=a) == expected(1, "bad-signature")
