"""What the recipe of device-bound sessions says: a cookie is worth nothing without the key that it is bound to."""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from asgi_signed_session.stores import Sessions

from .browser import Browser, Response
from .conftest import KEY, NOW
from .pages import Names, run_page
from .records import Records

pytest.importorskip("dbsc", reason="dbsc is not installed: it needs Python 3.14")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DAY = 86400  # seconds
BOUND = "__Host-dbsc"

pytestmark = pytest.mark.usefixtures("clock")


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


class Key:
    """A key that never leaves its device, and what the device signs with it."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self._private = ec.generate_private_key(ec.SECP256R1())
        point = self._private.public_key().public_numbers()
        self.public = {"kty": "EC", "crv": "P-256", "x": encode_number(point.x), "y": encode_number(point.y)}

    def sign(self, challenge: str, **header: Any) -> str:
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA256

        parts = ({"alg": "ES256", "typ": "dbsc+jwt", **header}, {"jti": challenge})
        signed = ".".join(encode(json.dumps(part).encode()) for part in parts)
        r, s = utils.decode_dss_signature(self._private.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def encode_number(number: int) -> str:
    return encode(number.to_bytes(32, "big"))


class Chrome(Browser):
    """A browser that does what Chrome does with the headers of device-bound sessions."""

    def __init__(self, app: Any, **cookies: str) -> None:
        super().__init__(app, "https", cookies)
        self.key = Key()
        self.bound = ""  # the id of its device-bound session

    def ask(self, path: str, **headers: str) -> Response:
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return self.post(path, headers=[*self.headers(), *named])

    def log_in(self, user: str = "ada") -> str:
        """Signs in; the challenge that was offered."""
        offer = self.post("/login", query_string=f"user={user}".encode())
        [header] = offer.all(b"secure-session-registration")
        [challenge] = re.findall(r'^\(ES256\); path="/dbsc/register"; challenge="(\w+)"$', header.decode())
        return str(challenge)

    def register(self, challenge: str) -> int:
        """Answers an offer; the status."""
        answer = self.ask("/dbsc/register", secure_session_response=self.key.sign(challenge, jwk=self.key.public))
        status: int = answer.start["status"]
        if status == 200:
            self.bound = answer.json()["session_identifier"]
        return status

    def refresh(self, key: Key | None = None, bound: str = "") -> list[int]:
        """Asks for a challenge, and for a new cookie by a proof; the status of each answer."""
        bound = bound or self.bound
        asked = self.ask("/dbsc/refresh", sec_secure_session_id=bound)
        challenges = [re.findall(r'^"(\w+)"; id=', value.decode()) for value in asked.all(b"secure-session-challenge")]
        proof = (key or self.key).sign(challenges[0][0] if challenges else "none")
        proved = self.ask("/dbsc/refresh", sec_secure_session_id=bound, secure_session_response=f'"{proof}"')
        return [asked.start["status"], proved.start["status"]]

    def get_status(self, path: str = "/account") -> int:
        status: int = self.get(path).start["status"]
        return status


@pytest.fixture
def page(names: Names) -> Names:
    """What the page's file defines, and three routes more, which ask for no cookie but the session's."""
    run_page("recipes/device-bound-sessions.md", names)

    def renew(request: Any) -> None:
        request.scope["session"].regenerate()

    def show(request: Any) -> Any:
        return request.scope["session"].principal

    def note(request: Any) -> None:
        request.session["noted"] = time.time()

    for function in (renew, show, note):
        function.__annotations__["request"] = names["Request"]
    names["app"].post("/renew")(renew)
    names["app"].post("/note")(note)
    names["app"].get("/user")(show)
    return names


@pytest.fixture
def records(page: Names) -> Records:
    """Where the app keeps what dbsc knows, in place of SQLite."""
    records = Records()
    page["devices"] = page["DbscServer"](page["Config"](), page["DeviceStore"](records))
    return records


@pytest.fixture
def chrome(page: Names) -> Chrome:
    return Chrome(page["app"])


@pytest.fixture
def bound(chrome: Chrome, clock: time_machine.Traveller) -> Chrome:
    """Chrome, signed in and registered for a while."""
    assert chrome.register(chrome.log_in()) == 200
    clock.shift(60)
    return chrome


def find_record(page: Names, store_key: str) -> Any:
    return asyncio.run(page["store"].get(page["make_key"](store_key)))


def find_store_key(chrome: Chrome, page: Names) -> str:
    """The key of the visitor's session, as the list of sessions has it."""
    [session] = asyncio.run(Sessions(page["store"], KEY).of("ada"))
    return session.key


def test_who_has_the_key_goes_on_for_as_long_as_the_session(bound: Chrome, clock: time_machine.Traveller) -> None:
    for _ in range(3):
        assert bound.get("/account").json() == {"user": "ada"}
        clock.shift(301)
        del bound.cookies[BOUND]  # which has expired
        assert bound.get_status() == 401
        assert bound.refresh() == [403, 200]


def test_the_second_cookie_is_for_this_host_alone_and_for_five_minutes(chrome: Chrome) -> None:
    proof = chrome.key.sign(chrome.log_in(), jwk=chrome.key.public)

    answer = chrome.ask("/dbsc/register", secure_session_response=proof)

    [line] = [value for value in answer.all(b"set-cookie") if value.startswith(b"__Host-")]
    value = chrome.cookies[BOUND]
    expires = "Fri, 15 Jan 2027 08:05:00 GMT"  # NOW + 300
    assert NOW == 1_800_000_000
    assert line.decode() == f"{BOUND}={value}; expires={expires}; HttpOnly; Path=/; SameSite=lax; Secure"


def test_the_cookie_of_the_session_alone_is_worth_nothing_elsewhere(bound: Chrome) -> None:
    thief = Chrome(bound.app, session=bound.cookies["session"])

    assert thief.get_status() == 401
    assert thief.refresh(bound=bound.bound)[0] == 403
    assert bound.get_status() == 401  # his proof was signed by another key


def test_who_has_no_proof_ends_nobodys_session(bound: Chrome) -> None:
    thief = Chrome(bound.app, session=bound.cookies["session"])

    assert [thief.get_status(), thief.ask("/dbsc/refresh").start["status"]] == [401, 403]
    assert bound.get_status() == 200
    assert bound.refresh() == [403, 200]


def test_a_proof_of_a_challenge_that_is_no_longer_the_last_gets_another_one(bound: Chrome) -> None:
    late = bound.key.sign("of an hour ago")

    answer = bound.ask("/dbsc/refresh", sec_secure_session_id=bound.bound, secure_session_response=late)

    assert (answer.start["status"], len(answer.all(b"secure-session-challenge"))) == (403, 1)
    assert bound.get_status() == 200


def test_both_cookies_together_are_worth_nothing_once_the_second_has_ended(
    bound: Chrome, clock: time_machine.Traveller
) -> None:
    thief = Chrome(bound.app, **bound.cookies)
    assert bound.refresh() == [403, 200]
    assert thief.get_status() == 200

    clock.shift(301)

    assert thief.get_status() == 401


def test_a_page_that_was_asked_for_while_the_key_was_registered_is_shown(
    chrome: Chrome, clock: time_machine.Traveller
) -> None:
    chrome.register(chrome.log_in())
    del chrome.cookies[BOUND]

    assert chrome.get_status() == 200
    clock.shift(6)
    assert chrome.get_status() == 401


def test_a_websocket_opens_with_both_cookies_alone(page: Names, bound: Chrome) -> None:
    from fastapi import WebSocket

    async def chat(websocket: Any) -> None:
        if await page["is_on_its_device"](websocket):
            await websocket.accept()
        await websocket.close(4401)

    chat.__annotations__["websocket"] = WebSocket
    page["app"].websocket("/chat")(chat)
    thief = Chrome(bound.app, session=bound.cookies["session"])

    opened = [visitor.websocket("/chat").messages[0]["type"] for visitor in (bound, thief)]

    assert opened == ["websocket.accept", "websocket.close"]


def test_a_browser_that_registers_nothing_is_signed_in_as_before(chrome: Chrome, clock: time_machine.Traveller) -> None:
    chrome.log_in()
    clock.shift(DAY)

    assert chrome.get_status() == 200


def test_a_sign_out_ends_the_session_and_the_binding(page: Names, bound: Chrome) -> None:
    key = find_store_key(bound, page)
    thief = Chrome(bound.app, **bound.cookies)
    assert find_record(page, key) is not None

    answer = bound.post("/logout")

    assert [line.partition(b";")[0] for line in answer.all(b"set-cookie")] == [b'__Host-dbsc=""', b"session=null"]
    assert find_record(page, key) is None
    assert [thief.get_status(), *thief.refresh(bound.key, bound.bound)] == [401, 403, 401]


def test_an_offer_is_worth_nothing_after_the_sign_out(chrome: Chrome) -> None:
    challenge = chrome.log_in()
    session = chrome.cookies["session"]
    chrome.post("/logout")
    chrome.cookies["session"] = session

    assert chrome.register(challenge) == 401


def test_an_offer_is_used_once_and_by_its_own_session_alone(chrome: Chrome) -> None:
    another = Chrome(chrome.app)
    another.log_in()
    challenge = chrome.log_in()

    assert [another.register(challenge), chrome.register(challenge), chrome.register(challenge)] == [401, 200, 401]
    assert chrome.get_status() == 200


@pytest.mark.parametrize("user", ["ada", "eve"])
def test_a_second_sign_in_binds_anew_and_what_the_first_has_left_does_no_harm(
    user: str, bound: Chrome, clock: time_machine.Traveller
) -> None:
    before = bound.bound, bound.key
    challenge = bound.log_in(user)
    assert bound.get_status() == 200
    bound.key = Key()
    assert bound.register(challenge) == 200
    clock.shift(60)

    assert bound.refresh(before[1], before[0])[1] == 401  # Chrome still has it

    assert bound.get("/account").json() == {"user": user}
    assert bound.refresh() == [403, 200]


def test_a_session_that_begins_anew_stays_bound_for_as_long_as_it_lives(
    bound: Chrome, clock: time_machine.Traveller
) -> None:
    clock.shift(10 * DAY)
    assert bound.refresh() == [403, 200]
    clock.shift(299)
    assert bound.post("/renew").start["status"] == 200
    thief = Chrome(bound.app, session=bound.cookies["session"])
    clock.shift(14 * DAY - 1)

    assert thief.get("/user").json() == "ada"
    assert thief.get_status() == 401
    del bound.cookies[BOUND]
    assert bound.refresh() == [403, 200]
    assert bound.get_status() == 200


def test_no_session_lives_longer_than_its_lifetime_however_it_is_used(
    bound: Chrome, clock: time_machine.Traveller
) -> None:
    thief = Chrome(bound.app, session=bound.cookies["session"])
    for _ in range(13):
        clock.shift(DAY)
        assert thief.get("/user").json() == "ada"
        thief.post("/note")
    clock.shift(DAY)

    assert thief.get("/user").json() is None


def test_the_binding_of_another_user_lets_nobody_in(page: Names, records: Records, bound: Chrome) -> None:
    devices, key = page["DeviceStore"](records), find_store_key(bound, page)

    async def bind_to_another() -> None:
        await devices.put_binding(key, replace(await devices.get_binding(key), user_id="eve"))

    asyncio.run(bind_to_another())

    assert bound.get_status() == 401


def test_a_session_whose_binding_the_store_has_lost_is_refused(page: Names, bound: Chrome) -> None:
    asyncio.run(page["store"].delete(page["make_key"](find_store_key(bound, page))))

    assert bound.get_status() == 401


def test_a_record_that_can_not_be_read_lets_nobody_in(page: Names, records: Records, bound: Chrome) -> None:
    [(key, (record, ttl))] = records.records.items()
    for broken in (record[:-1], record[:32], record[:32] + b'[null, "{}"]'):
        records.records[key] = broken, ttl

        with pytest.raises(page["CorruptStateError"]):
            bound.get("/account")


def test_an_offer_is_kept_for_a_quarter_of_an_hour_and_a_binding_an_hour_longer_than_a_session(
    records: Records, chrome: Chrome
) -> None:
    challenge = chrome.log_in()
    assert records.times_to_live == [900]

    chrome.register(challenge)

    assert records.times_to_live == [14 * DAY + 3600]


def test_a_page_reads_one_record_more_and_each_request_for_a_new_cookie_writes_one(
    records: Records, bound: Chrome
) -> None:
    records.forget()
    bound.get("/account")
    assert records.methods == ["get"]

    records.forget()
    assert bound.refresh() == [403, 200]
    assert records.methods.count("swap") == 2


# In the order of swaps


def run_before_a_swap(records: Records, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Has ``meanwhile`` happen between what is read and the first swap."""

    async def once() -> None:
        del records.before["swap"]
        await meanwhile()

    records.before["swap"] = once


def describe(page: Names, **headers: str) -> Any:
    return page["RequestContext"]("a session", "ada", "https://app.example.com", headers)


async def offer(page: Names) -> str:
    response = await page["devices"].build_registration_header_response(describe(page))
    [challenge] = re.findall(r'challenge="(\w+)"', response.headers["Secure-Session-Registration"])
    return str(challenge)


def test_of_two_registrations_with_one_offer_the_one_that_swaps_first_is_bound(page: Names, records: Records) -> None:
    first, second = Key(), Key()

    async def main() -> Any:
        challenge = await offer(page)

        async def register(key: Key) -> Any:
            return await page["devices"].register(key.sign(challenge, jwk=key.public), describe(page))

        run_before_a_swap(records, lambda: register(first))
        with pytest.raises(page["DbscError"], match="no longer live"):
            await register(second)
        return await page["devices"].refresh(await prove(page, first), describe(page))

    assert asyncio.run(main()).status == 200


def test_of_two_offers_at_once_the_one_that_swaps_last_stands(page: Names, records: Records) -> None:
    key = Key()

    async def main() -> Any:
        run_before_a_swap(records, lambda: offer(page))
        proof = key.sign(await offer(page), jwk=key.public)
        return await page["devices"].register(proof, describe(page))

    assert asyncio.run(main()).status == 200


def test_an_offer_is_withdrawn_and_the_binding_stays(page: Names, records: Records) -> None:
    key = Key()

    async def main() -> Any:
        proof = key.sign(await offer(page), jwk=key.public)
        await page["devices"].register(proof, describe(page))
        proof = key.sign(await offer(page), jwk=key.public)
        await page["DeviceStore"](records).delete_pending_registration("a session")
        with pytest.raises(page["DbscError"], match="No pending registration"):
            await page["devices"].register(proof, describe(page))
        return await page["devices"].refresh(await prove(page, key), describe(page))

    assert asyncio.run(main()).status == 200


async def prove(page: Names, key: Key) -> str:
    challenge = (await page["devices"].issue_refresh_challenge(describe(page))).headers["Secure-Session-Challenge"]
    return key.sign(challenge.split('"')[1])


def test_a_sign_out_during_a_registration_or_a_refresh_stands(page: Names, records: Records) -> None:
    key = Key()

    async def main() -> None:
        def revoke() -> Any:
            return page["devices"].revoke(describe(page))

        challenge = await offer(page)
        run_before_a_swap(records, revoke)
        with pytest.raises(page["DbscError"], match="no longer live"):
            await page["devices"].register(key.sign(challenge, jwk=key.public), describe(page))
        assert records.records == {}

        proof = key.sign(await offer(page), jwk=key.public)
        await page["devices"].register(proof, describe(page))
        proof = await prove(page, key)
        run_before_a_swap(records, revoke)
        with pytest.raises(page["DbscError"], match="No DBSC session bound"):
            await page["devices"].refresh(proof, describe(page))
        assert records.records == {}

    asyncio.run(main())


def test_of_two_pages_at_once_one_hands_out_the_first_challenge(page: Names, records: Records) -> None:
    key = Key()

    async def main() -> list[bool]:
        proof = key.sign(await offer(page), jwk=key.public)
        await page["devices"].register(proof, describe(page))
        binding = await page["devices"].get_binding(describe(page))
        answers: list[Any] = []

        async def advertise() -> None:
            answers.append(await page["devices"].advertise_refresh_challenge(binding, describe(page)))

        run_before_a_swap(records, advertise)
        await advertise()
        return ["Secure-Session-Challenge" in answer.headers for answer in answers]

    assert asyncio.run(main()) == [True, False]


def test_a_swap_that_its_driver_repeats_counts_as_done(page: Names) -> None:
    class Repeating(Records):
        async def swap(self, key: str, expected: bytes | None, record: bytes, *, ttl: int | None) -> bytes | None:
            assert self.methods.count("swap") < 10, "it doesn't see that it is done"
            await super().swap(key, expected, record, ttl=ttl)
            return await super().swap(key, expected, record, ttl=ttl)

    page["devices"] = page["DbscServer"](page["Config"](), page["DeviceStore"](Repeating()))
    chrome = Chrome(page["app"])

    assert chrome.register(chrome.log_in()) == 200
    assert chrome.refresh() == [403, 200]
