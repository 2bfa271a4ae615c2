"""One chat for all workers, by Redis' publish and subscribe."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import create_task_group, sleep
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .chat import Room

CHANNEL = "devices:chat"

logger = logging.getLogger(__name__)


def connect(url: str) -> Redis:
    """A client whose requests wait for a connection, where the usual one fails when all are taken."""
    retry = Retry(NoBackoff(), 1)  # as a Redis that was restarted has closed each of the connections
    pool = BlockingConnectionPool.from_url(url, timeout=5, decode_responses=True, retry=retry)
    return Redis.from_pool(pool)


class RedisRoom(Room):
    """Who has the chat open in any process with the same Redis. What is said while Redis is away is lost."""

    def __init__(self, client: Redis) -> None:
        super().__init__()
        self._client = client

    async def say(self, message: str) -> None:
        await self._client.publish(CHANNEL, message)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self._client, self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(CHANNEL)
            async with create_task_group() as tasks:
                tasks.start_soon(self._listen, subscription)
                yield
                tasks.cancel_scope.cancel()

    async def _listen(self, subscription: PubSub) -> None:
        while True:
            try:
                async for heard in subscription.listen():  # it subscribes again when it has to connect again
                    self.pass_on(heard["data"])
            except RedisError:  # or the app would end with it
                logger.warning("Redis can't be reached: the chat hears nothing.")
            await sleep(1)
