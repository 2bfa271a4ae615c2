from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_signed_session import SessionMiddleware, SessionSigner
from asgi_signed_session.caching import add_session_headers
from asgi_signed_session.cookies import SetCookie, find_cookies

from .apps import app_that
from .browser import Browser
from .conftest import KEY, Wrap

Headers = list[tuple[bytes, bytes]]

NAME = b"session"


def set_cookie(name: str = "session", **options: Any) -> SetCookie:
    defaults: dict[str, Any] = {
        "path": "/",
        "same_site": "lax",
        "https_only": None,
        "domain": None,
        "partitioned": False,
    }
    return SetCookie(name, **{**defaults, **options})


def cookie(value: bytes) -> Headers:
    return [(b"cookie", value)]


# fmt: off
HEADERS = [
    # none of ours
    ([],                                                                  []),
    (cookie(b""),                                                         []),
    (cookie(b"other=1"),                                                  []),
    ([(b"x-cookie", b"session=1"), (b"cookies", b"session=1")],           []),
    ([(b"cookie2", b"session=1"), (b"set-cookie", b"session=1")],         []),
    ([(b"accept", b"session=1"), (b"cookix", b"session=1")],              []),
    # one, alone and among others
    (cookie(b"session=abc"),                                              [b"abc"]),
    (cookie(b"a=1; session=abc; b=2"),                                    [b"abc"]),
    (cookie(b"a=1;session=abc;b=2"),                                      [b"abc"]),  # some put no space
    (cookie(b";;; ;session=abc;;"),                                       [b"abc"]),
    (cookie(b"session=abc;"),                                             [b"abc"]),
    ([(b"host", b"h"), (b"cookie", b"session=abc"), (b"accept", b"*")],   [b"abc"]),
    # the header's name in any case, the cookie's exactly
    ([(b"Cookie", b"session=abc")],                                       [b"abc"]),
    ([(b"COOKIE", b"session=abc")],                                       [b"abc"]),
    (cookie(b"Session=abc; SESSION=abc"),                                 []),
    (cookie(b"xsession=1; sessionx=2; my.session=3; session.my=4"),       []),
    (cookie(b"xsession=1; sessionx=2; session=abc"),                      [b"abc"]),
    (cookie(b"my session=1; session my=2"),                               []),
    # the name inside another's value
    (cookie(b"a=session=1; b=session; session=abc; c=session=2"),         [b"abc"]),
    (cookie(b"session=session=session"),                                  [b"session=session"]),
    # only space and tab are trimmed
    (cookie(b" \t session \t = \t abc \t "),                              [b"abc"]),
    (cookie(b"\nsession=1; \rsession=2; \x0bsession=3; \x0csession=4"),   []),
    (cookie(b"\xa0session=1; session\xa0=2; \x00session=3"),              []),
    (cookie(b"session=\x0babc\x0c"),                                      [b"\x0babc\x0c"]),
    (cookie(b"session=abc\r\n"),                                          [b"abc\r\n"]),
    (cookie(b"session=\xa0abc\x85"),                                      [b"\xa0abc\x85"]),
    (cookie(b"session=a b"),                                              [b"a b"]),
    # empty, without "=", with more of them
    (cookie(b"session="),                                                 [b""]),
    (cookie(b"session= ; a=1"),                                           [b""]),
    (cookie(b"session"),                                                  []),  # a value without a name
    (cookie(b"session; session=abc"),                                     [b"abc"]),
    (cookie(b";session=abc"),                                             [b"abc"]),
    (cookie(b"=session"),                                                 []),
    (cookie(b"==session"),                                                []),
    (cookie(b"session=a=b=="),                                            [b"a=b=="]),
    (cookie(b"session==abc"),                                             [b"=abc"]),
    (cookie(b"Xsession=1"),                                               []),
    # quotes around a value
    (cookie(b'session="abc"'),                                            [b"abc"]),
    (cookie(b'session= "abc" ; a=1'),                                     [b"abc"]),
    (cookie(b'session=""'),                                               [b""]),
    (cookie(b'session=a"b"c'),                                            [b'a"b"c']),
    (cookie(b"session='abc'"),                                            [b"'abc'"]),
    (cookie(b'a="1; session=abc; b="'),                                   [b"abc"]),  # a quote doesn't hide a semicolon
    (cookie(b'session="a\\073b\\"c"'),                                    [b'a\\073b\\"c']),  # nothing is unescaped
    # any byte
    (cookie(b"session=\xff\xfe; a=\xc3"),                                 [b"\xff\xfe"]),
    (cookie(b"session=a\x00b"),                                           [b"a\x00b"]),
    (cookie("sessión=1; session=ünï".encode()),                           ["ünï".encode()]),
    (cookie(b"session=1,session=2"),                                      [b"1,session=2"]),  # RFC 2965 is history
    # duplicates and several headers are one list, in the order they came
    (cookie(b"session=1; session=2; a=3; session=1"),                     [b"1", b"2", b"1"]),
    (cookie(b"session=1; a=2") + cookie(b"session=3"),                    [b"1", b"3"]),
    ([*cookie(b"a=1"), (b"CooKie", b"session=2"), *cookie(b"session")],   [b"2"]),
    (cookie(b"session=") + cookie(b"=1"),                                 [b""]),  # not joined into one pair
    # at most eight
    (cookie(b"session=%d; " * 9 % (*range(9),)),                          [b"%d" % i for i in range(8)]),
    (cookie(b"session=0; session=1; session=2; session=3; session=4") * 2,
     [b"0", b"1", b"2", b"3", b"4", b"0", b"1", b"2"]),
    (cookie(b"session; xsession=1; " * 9 + b"session=abc"),               [b"abc"]),  # what isn't ours doesn't count
]
# fmt: on


@pytest.mark.parametrize(("headers", "expected"), HEADERS)
def test_cookies_are_found(headers: Headers, expected: list[bytes]) -> None:
    assert find_cookies(headers, NAME) == expected


@pytest.mark.parametrize("make", [list, tuple, iter, lambda headers: (header for header in headers)])
def test_headers_may_be_any_iterable(make: Callable[[Headers], Iterable[tuple[bytes, bytes]]]) -> None:
    assert find_cookies(make([(b"host", b"h"), (b"cookie", b"session=abc")]), NAME) == [b"abc"]


def test_a_name_may_hold_every_character_of_a_token() -> None:
    name = b"!#$%&'*+-.^_`|~09AZaz"

    assert find_cookies(cookie(b"a=1; %b=abc; b=2" % name), name) == [b"abc"]


AROUND = b' \t"'


def test_no_other_byte_is_dropped_around_a_value() -> None:
    values = [bytes([byte]) + b"a" + bytes([byte]) for byte in set(range(256)) - set(AROUND + b";")]

    assert [find_cookies(cookie(b"session=" + value), NAME) for value in values] == [[value] for value in values]


def find_by_splitting(headers: Headers, name: bytes) -> list[bytes]:
    values: list[bytes] = []
    for header, cookies in headers:
        if header.lower() == b"cookie":
            pairs = [pair.split(b"=", 1) for pair in cookies.split(b";") if b"=" in pair]
            values += [value.strip(AROUND) for key, value in pairs if key.strip(b" \t") == name]
    return values[:8]


PIECES = [b"s", b"ses", b"session", b"; session=", b"; s=", *(bytes([byte]) for byte in b'=; \t"\n\0\xffa')]
NAMES = [b"session", b"s", b"ss", b"ses"]
any_header = st.tuples(
    st.sampled_from([b"cookie", b"Cookie", b"COOKIE", b"cookies", b"host"]),
    st.binary() | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
)


@settings(deadline=None, max_examples=600)
@given(st.lists(any_header, max_size=4), st.sampled_from(NAMES))
def test_any_headers_are_read_as_splitting_them_would(headers: Headers, name: bytes) -> None:
    # What a lone quote is, and white space inside of a pair, is as may be: no signed value has any.
    assert [value.strip(AROUND) for value in find_cookies(headers, name)] == find_by_splitting(headers, name)


MB = 1_000_000
HOSTILE = {
    "nothing but the name": NAME * (MB // 7),
    "nearly the name": b"sessio" * (MB // 6),
    "the name without =": b"session;" * (MB // 8),
    "the name in other names": b"xsession=1;" * (MB // 11),
    "the name in one value": b"a=" + b"session=" * (MB // 8),
    "the name in many values": b"a=session;" * (MB // 10),
    "as many cookies as fit": b"session=;" * (MB // 9),
    "one quoted cookie": b'session="' + b"\\" * MB + b'"',
    "quotes": b"session=" + b'"' * MB,
    "white space": b"session=" + b" " * MB + b"a" + b"\t" * MB,
    "white space before =": b"session" + b" " * MB + b"=a",
    "semicolons": b";" * MB,
    "semicolons after the name": b"session;session" + b";" * MB,
    "the name after space": b" session" * (MB // 8),
    "the name with = after other names": b"xsession=;" * (MB // 10),
    "equals signs": b"session" + b"=" * MB,
    "no bytes of ASCII": b"session=" + b"\xff" * MB,
    "every byte that is no ASCII": bytes(range(0x80, 0x100)) * (MB // 128),
    "every byte that is no ASCII, after the name": b"session=" + bytes(range(0x80, 0x100)) * (MB // 128),
    "the name in another case": b"sessioN=1;" * (MB // 10),
    "the name cut off in many ways": b"".join(NAME[:end] + b"=;" for end in range(1, 7)) * (MB // 33),
    "as many cookies as fit, each of a value": b"session=a.b.c; " * (MB // 15),
    "one signed value again and again": b"session=" + b"e30=.ZVPxAA." * (MB // 12),
    "dots": b"session=" + b"." * MB,
}


def seconds_for(act: Callable[[], object]) -> float:
    """CPU time, the best of three, so that what else runs on the machine counts little."""
    times: list[float] = []
    for _ in range(3):
        start = time.process_time()
        act()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_megabyte_takes_no_more_than_linear_time(shape: str) -> None:
    headers = cookie(HOSTILE[shape])

    assert seconds_for(lambda: find_cookies(headers, NAME)) < 0.05  # a quadratic step takes minutes


def test_many_headers_take_no_more_than_linear_time() -> None:
    headers = cookie(b"session=1; a=2") * (MB // 14)

    assert seconds_for(lambda: find_cookies(headers, NAME)) < 0.25


whoami = app_that(lambda scope: [dict(scope["session"]), scope["session"].rejected])


def read(headers: Any, **options: Any) -> Any:
    """What the app sees of the session behind ``headers``: its content and ``rejected``."""
    return Browser(SessionMiddleware(whoami, KEY, **options)).get(headers=headers).json()


def signed(content: dict[str, Any]) -> bytes:
    return SessionSigner(KEY).dumps(content).encode()


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_megabyte_is_rejected_or_not_ours_in_no_time(shape: str) -> None:
    candidates = find_cookies(cookie(HOSTILE[shape]), NAME)
    answers: list[Any] = []

    assert seconds_for(lambda: answers.append(read(cookie(HOSTILE[shape])))) < 0.05
    assert [(content, rejected is None) for content, rejected in answers] == [({}, not candidates)] * 3


def test_duplicates_are_found_in_all_headers_in_quotes_and_after_what_is_not_signed() -> None:
    first, second = signed({"n": 1}), signed({"n": 2})

    headers = cookie(b"session=; session=forged") + cookie(b'session="%b"; session=%b' % (first, second))

    assert read(headers, path="/shop") == [{"n": 1}, None]


def test_no_more_than_eight_candidates_are_tried() -> None:
    good = b"session=" + signed({"n": 1})

    assert read(cookie(b"session=forged; " * 7 + good)) == [{"n": 1}, None]
    assert read(cookie(b"session=forged; " * 8 + good)) == [{}, "bad-signature"]


def test_a_cookie_behind_the_name_in_999_other_names_is_found_and_behind_1000_is_not() -> None:
    value = signed({"a": 1})

    assert read(cookie(b"xsession=1; " * 999 + b"session=" + value)) == [{"a": 1}, None]
    assert read(cookie(b"xsession=1; " * 1000 + b"session=" + value)) == [{}, None]


def test_no_candidate_over_4096_bytes_is_tried() -> None:
    largest, larger = signed({"a": "x" * 3024}), signed({"a": "x" * 3027})
    assert (len(largest), len(larger)) == (4095, 4099)

    assert read(cookie(b"session=" + largest)) == [{"a": "x" * 3024}, None]
    assert read(cookie(b"session=" + largest + b"=")) == [{"a": "x" * 3024}, None]  # itsdangerous takes the "="
    for value in (largest + b"==", larger):
        content, rejected = read(cookie(b"session=" + value))
        assert content == {}
        assert rejected is not None


def test_a_large_candidate_does_not_hide_the_next() -> None:
    assert read(cookie(b"session=%b; session=%b" % (b"x" * 5000, signed({"n": 1})))) == [{"n": 1}, None]


def test_an_iterator_of_headers_reaches_the_app() -> None:
    def act(scope: Any) -> Any:
        return [dict(scope["session"]), [value.decode() for _, value in scope["headers"]]]

    headers = cookie(b"a=1") + cookie(b"session=" + signed({"n": 1}))
    response = Browser(SessionMiddleware(app_that(act), KEY)).get(headers=iter(headers))

    assert response.json() == [{"n": 1}, [value.decode() for _, value in headers]]


class CountingSerializer:
    def __init__(self) -> None:
        self.parsed: list[bytes] = []

    def dumps(self, content: Any) -> bytes:
        return b"{}"

    def loads(self, payload: bytes) -> Any:
        self.parsed.append(payload)
        return {}


def test_nothing_is_parsed_before_it_is_verified() -> None:
    serializer = CountingSerializer()
    genuine = signed({})

    assert read(cookie(b"session=e30=.aaaaaa.%b; session=x%b" % (b"b" * 43, genuine)), serializer=serializer)[0] == {}
    assert serializer.parsed == []
    read(cookie(b"session=" + genuine), serializer=serializer)
    assert serializer.parsed == [b"{}"]


def test_a_rejected_cookie_is_kept_by_the_browser(wrap: Wrap) -> None:
    browser = wrap(whoami)

    response = browser.get(headers=cookie(b"session=forged"))

    assert response.json() == [{}, "bad-signature"]
    assert response.all(b"set-cookie") == []


def test_a_rejected_cookie_is_logged_with_its_reason_and_not_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    read(cookie(b"session=f0rg3d"))

    (record,) = [record for record in caplog.records if record.name == "asgi_signed_session"]
    assert record.levelno == logging.DEBUG
    assert (vars(record)["event"], vars(record)["reason"]) == ("session.rejected", "bad-signature")
    assert record.getMessage() == "Session cookie 'session' rejected: bad-signature."
    assert "f0rg3d" not in str(vars(record))


def alter(value: bytes, altered: list[tuple[int, bytes]]) -> bytes:
    for number, piece in altered:
        place = number % (len(value) + 1)
        value = value[:place] + piece + value[place + len(piece) // 2 :]
    return value


class Records(logging.Handler):
    """Keeps what is logged: pytest's own fixture doesn't go with hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.above_debug: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno > logging.DEBUG:
            self.above_debug.append(record)


@pytest.fixture(scope="module")
def records() -> Iterator[Records]:
    handler = Records()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=4)), max_size=3))
def test_any_bytes_give_a_session_or_an_empty_one_that_says_why(
    records: Records, tail: bytes, altered: list[tuple[int, bytes]]
) -> None:
    value = alter(signed({"n": 1}), altered) + tail

    with time_machine.travel(time.time() + 61):  # so that it isn't taken for another worker's
        content, rejected = read(cookie(b"session=" + value))

    assert (content, rejected) in [({"n": 1}, None), ({}, "bad-signature")]
    assert records.above_debug == []


# fmt: off
ATTRIBUTES = [
    ({},                                b"path=/; Max-Age=60; httponly; samesite=lax"),
    ({"path": "/app dir/:9<"},          b"path=/app dir/:9<; Max-Age=60; httponly; samesite=lax"),
    ({"same_site": "strict"},           b"path=/; Max-Age=60; httponly; samesite=strict"),
    ({"https_only": False},             b"path=/; Max-Age=60; httponly; samesite=lax"),
    ({"domain": "example.com"},         b"path=/; Max-Age=60; httponly; samesite=lax; domain=example.com"),
    ({"domain": ".example.com"},        b"path=/; Max-Age=60; httponly; samesite=lax; domain=.example.com"),
    ({"domain": "localhost"},           b"path=/; Max-Age=60; httponly; samesite=lax; domain=localhost"),
    ({"domain": "xn--bcher-kva.ch"},    b"path=/; Max-Age=60; httponly; samesite=lax; domain=xn--bcher-kva.ch"),
]
SECURE = {"https_only": True}
SECURE_ATTRIBUTES = [
    ({},                                b"path=/; Max-Age=60; httponly; samesite=lax; secure"),
    (SECURE,                            b"path=/; Max-Age=60; httponly; samesite=lax; secure"),
    ({"domain": "a.b"},                 b"path=/; Max-Age=60; httponly; samesite=lax; secure; domain=a.b"),
    ({**SECURE, "same_site": "none"},   b"path=/; Max-Age=60; httponly; samesite=none; secure"),
    ({**SECURE, "partitioned": True},   b"path=/; Max-Age=60; httponly; samesite=lax; secure; partitioned"),
    ({**SECURE, "partitioned": True,
      "domain": "a.b"},                 b"path=/; Max-Age=60; httponly; samesite=lax; secure; domain=a.b; partitioned"),
]
# fmt: on


@pytest.mark.parametrize(("options", "expected"), ATTRIBUTES)
def test_set_cookie_has_attributes_in_starlettes_order_and_case(options: dict[str, Any], expected: bytes) -> None:
    assert set_cookie(**options).write(b"VALUE", 60, secure=False) == b"session=VALUE; " + expected


@pytest.mark.parametrize(("options", "expected"), SECURE_ATTRIBUTES)
def test_set_cookie_on_https_has_secure_where_starlette_puts_it(options: dict[str, Any], expected: bytes) -> None:
    assert set_cookie(**options).write(b"VALUE", 60, secure=True) == b"session=VALUE; " + expected


def test_a_prefix_keeps_its_name() -> None:
    host, secure = set_cookie("__Host-s", **SECURE), set_cookie("__Secure-s", **SECURE, path="/a", domain="a.b")

    assert host.write(b"VALUE", 60, secure=True) == (
        b"__Host-s=VALUE; path=/; Max-Age=60; httponly; samesite=lax; secure"
    )
    assert secure.write(b"VALUE", 60, secure=True) == (
        b"__Secure-s=VALUE; path=/a; Max-Age=60; httponly; samesite=lax; secure; domain=a.b"
    )


def test_a_cookie_that_ends_with_the_browser_has_no_max_age() -> None:
    assert set_cookie().write(b"VALUE", None, secure=False) == b"session=VALUE; path=/; httponly; samesite=lax"


def test_deleting_takes_the_attributes_that_the_cookie_was_set_with() -> None:
    plain = set_cookie()
    full = set_cookie("s", path="/a", same_site="none", https_only=True, domain="a.b", partitioned=True)

    assert plain.delete(secure=False) == (
        b"session=null; path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"
    )
    assert full.delete(secure=True) == (
        b"s=null; path=/a; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT;"
        b" httponly; samesite=none; secure; domain=a.b; partitioned"
    )


NAME_RULE = "session_cookie={!r} can't be a cookie's name; use ASCII letters, digits, '-', '_': 'session'."
PATH_RULE = (
    "path={!r} can't be a cookie's path; start it with '/' and use printable ASCII without ';',"
    " percent-encoding the rest."
)
DOMAIN_RULE = (
    "domain={!r} can't be a cookie's domain; write a host name such as 'example.com', without scheme, port or path"
    " (punycode for other scripts), or None for this host only."
)
SAME_SITE_RULE = "same_site={!r} isn't one of the three values; write 'lax', 'strict' or 'none'."
NEEDS_SECURE = "{} needs https_only=True: browsers refuse such a cookie without Secure."
PREFIX_NEEDS_SECURE = "session_cookie={!r} needs https_only=True: browsers refuse the prefix without Secure."

# fmt: off
REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    *[(name, {}, ValueError, NAME_RULE.format(name))
      for name in ("", "a b", "a=", "a;", "a,", 'a"', "a\n", "a\0", "é", "a/b")],
    (b"a",          {},                         TypeError,
     "session_cookie must be a str, not bytes; write session_cookie='session'."),
    (None,          {},                         TypeError,
     "session_cookie must be a str, not NoneType; write session_cookie='session'."),
    *[("s", {"path": path}, ValueError, PATH_RULE.format(path))
      for path in ("", "app", "/;secure", "/\n", "/\x7f", "/\x1f", "/ä")],
    ("s",           {"path": None},             TypeError,  "path must be a str, not NoneType; write path='/'."),
    ("s",           {"path": b"/"},             TypeError,  "path must be a str, not bytes; write path='/'."),
    *[("s", {"domain": domain}, ValueError, DOMAIN_RULE.format(domain))
      for domain in ("", "a.b\r\nx: y", "a.b\n", "https://a.b", "a.b:80", "a.b/", "a.b; secure", "a..b", "bücher.ch")],
    ("s",           {"domain": b"a.b"},         TypeError,
     "domain must be a str or None, not bytes; write domain='example.com'."),
    *[("s", {"same_site": value}, ValueError, SAME_SITE_RULE.format(value)) for value in ("Laxer", "", None)],
    ("s",           {"same_site": "none"},      ValueError, NEEDS_SECURE.format("same_site='none'")),
    ("s",           {"same_site": "none",
                     "https_only": False},      ValueError, NEEDS_SECURE.format("same_site='none'")),
    ("s",           {"partitioned": True},      ValueError, NEEDS_SECURE.format("partitioned=True")),
    ("s",           {"https_only": 1},          TypeError,
     "https_only=1 must be True, False or None (Secure on https connections)."),
    ("s",           {"partitioned": None},      TypeError,  "partitioned=None must be True or False."),
    *[(name, {}, ValueError, PREFIX_NEEDS_SECURE.format(name))
      for name in ("__Host-s", "__host-s", "__Secure-s", "__SECURE-s", "__Http-s", "__Host-Http-s")],
    ("__Host-s",    {"https_only": False},      ValueError, PREFIX_NEEDS_SECURE.format("__Host-s")),
    ("__Host-s",    {**SECURE, "domain": "a.b"}, ValueError,
     "session_cookie='__Host-s' can't have a domain: write domain=None, or '__Secure-' instead."),
    ("__Host-s",    {**SECURE, "path": "/a"},   ValueError,
     "session_cookie='__Host-s' needs path='/': write that, or '__Secure-' instead."),
]
# fmt: on


@pytest.mark.parametrize(("name", "options", "error", "message"), REFUSED)
def test_a_cookie_that_no_browser_would_take_is_refused(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as from_cookie:
        set_cookie(name, **options)
    with pytest.raises(error) as from_middleware:
        SessionMiddleware(whoami, KEY, name, **options)

    assert [str(from_cookie.value), str(from_middleware.value)] == [message, message]


VARY = (b"vary", b"Cookie")
NO_CACHE = (b"cache-control", b'no-cache="Set-Cookie"')
SET = (b"set-cookie", b"session=VALUE")


# fmt: off
VARYING = [
    ([],                                                    [VARY]),
    ([(b"x", b"y")],                                        [(b"x", b"y"), VARY]),
    ([(b"vary", b"Accept")],                                [(b"vary", b"Accept, Cookie")]),
    ([(b"Vary", b"Accept"), (b"x", b"y")],                  [(b"vary", b"Accept, Cookie"), (b"x", b"y")]),
    ([(b"vary", b"")],                                      [VARY]),
    ([(b"vary", b" ")],                                     [VARY]),
    ([(b"vary", b"X-Cookie, cookies")],                     [(b"vary", b"X-Cookie, cookies, Cookie")]),
    ([(b"vary", b"a"), (b"vary", b"b")],                    [(b"vary", b"a"), (b"vary", b"b, Cookie")]),
    # already there, in any case and any of several
    ([(b"vary", b"Cookie")],                                [(b"vary", b"Cookie")]),
    ([(b"VARY", b"cookie")],                                [(b"VARY", b"cookie")]),
    ([(b"vary", b"Accept ,\tCOOKIE , Origin")],             [(b"vary", b"Accept ,\tCOOKIE , Origin")]),
    ([(b"vary", b"cookie"), (b"vary", b"b")],               [(b"vary", b"cookie"), (b"vary", b"b")]),
    ([(b"vary", b"a"), (b"vary", b"cookie")],               [(b"vary", b"a"), (b"vary", b"cookie")]),
    ([(b"vary", b"*")],                                     [(b"vary", b"*")]),
    ([(b"vary", b"Accept, *")],                             [(b"vary", b"Accept, *")]),
    ([(b"vary", b"*"), (b"vary", b"b")],                    [(b"vary", b"*"), (b"vary", b"b")]),
    # no cookie set, nothing to keep out of a cache
    ([(b"cache-control", b"public")],                       [(b"cache-control", b"public"), VARY]),
]
# fmt: on


@pytest.mark.parametrize(("headers", "expected"), VARYING)
def test_vary_is_merged_once(headers: Headers, expected: Headers) -> None:
    assert add_session_headers(headers) == expected


# fmt: off
CACHED = [
    ([],                                                    [VARY, SET, NO_CACHE]),
    ([(b"vary", b"*")],                                     [(b"vary", b"*"), SET, NO_CACHE]),
    ([(b"set-cookie", b"a=1")],                             [(b"set-cookie", b"a=1"), VARY, SET, NO_CACHE]),
    ([(b"cache-control", b"no-store")],                     [(b"cache-control", b"no-store"), VARY, SET]),
    ([(b"Cache-Control", b"private, max-age=9")],           [(b"Cache-Control", b"private, max-age=9"), VARY, SET]),
    ([(b"Cache-Control", b"public")],                       [(NO_CACHE[0], b"public, " + NO_CACHE[1]), VARY, SET]),
    ([(b"x-cache-control", b"a")],                          [(b"x-cache-control", b"a"), VARY, SET, NO_CACHE]),
]
# fmt: on


@pytest.mark.parametrize(("headers", "expected"), CACHED)
def test_a_set_cookie_is_kept_out_of_shared_caches_where_the_app_does_not_do_so_itself(
    headers: Headers, expected: Headers
) -> None:
    assert add_session_headers(headers, [SET[1]]) == expected
