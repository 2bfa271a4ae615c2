"""Many visitors at one time, on a real server with two workers."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from asgi_signed_session import SessionSigner

from .servers import running

KEY = "the key of the load test"
VISITORS = 200
REQUESTS = 50  # of each visitor
DEADLINE = 120  # seconds for all of them


async def visit(url: str, name: str) -> set[int]:
    """Count to ``REQUESTS``, seeing only the own session; the workers that answered."""
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE, trust_env=False) as client:
        for count in range(1, REQUESTS + 1):
            response = await client.get(name)
            assert (response.status_code, response.json()) == (200, {"name": name, "count": count})
        session = SessionSigner(KEY).loads(client.cookies["session"])
    assert (session["name"], len(session["counts"])) == (name, REQUESTS)
    return set(session["counts"])


async def visit_all(url: str) -> list[set[int]]:
    visits = asyncio.gather(*[visit(url, f"/visitor-{number}") for number in range(VISITORS)])
    return await asyncio.wait_for(visits, DEADLINE)


@pytest.mark.slow
def test_every_one_of_many_visitors_at_one_time_reads_exactly_the_own_counter() -> None:
    options = ("--port=0", "--workers=2", "--no-access-log")
    with running("-m", "uvicorn", "tests.loaded:app", *options, SESSION_SECRET=KEY) as server:
        workers = asyncio.run(visit_all(server.url))

    assert len(set().union(*workers)) == 2
    assert "not saved" not in server.said
