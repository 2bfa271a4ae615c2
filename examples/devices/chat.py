"""A chat on a websocket that ends when its user is signed out, wherever that is done."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from anyio import BrokenResourceError, WouldBlock, create_memory_object_stream, create_task_group, sleep
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import WebSocket, WebSocketDisconnect

from asgi_signed_session import Session

from .accounts import User
from .devices import note_visit

MAX_TEXT = 500  # characters
BACKLOG = 50  # messages that a slow connection may be behind


class Closing(NamedTuple):
    code: int
    reason: str


SIGNED_OUT = Closing(4401, "This device was signed out.")
SIGNED_IN_ANEW = Closing(4401, "Somebody has signed in anew in this browser.")
TOO_SLOW = Closing(1013, "This connection is too slow.")


class Room:
    """Who has the chat open in this process."""

    def __init__(self) -> None:
        self._listeners: set[MemoryObjectSendStream[str]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """What has to run as long as the app does."""
        yield

    async def say(self, message: str) -> None:
        """Has everybody hear it."""
        self.pass_on(message)

    def pass_on(self, message: str) -> None:
        for listener in [*self._listeners]:
            try:
                listener.send_nowait(message)
            except (WouldBlock, BrokenResourceError):
                self._listeners.discard(listener)
                listener.close()  # its websocket, too, when it has said what it is behind

    @contextmanager
    def join(self) -> Iterator[MemoryObjectReceiveStream[str]]:
        listener, heard = create_memory_object_stream[str](BACKLOG)
        self._listeners.add(listener)
        try:
            with listener, heard:
                yield heard
        finally:
            self._listeners.discard(listener)


class Conversation:
    """One device's part in the chat."""

    def __init__(self, websocket: WebSocket, session: Session, user: User, room: Room, look_every: float) -> None:
        self._websocket = websocket
        self._session = session
        self._user = user
        self._room = room
        self._look_every = look_every

    async def run(self) -> None:
        """Goes on until the user leaves, is signed out or can't be reached any more."""
        closing: Closing | None = None
        with self._room.join() as heard:
            async with create_task_group() as tasks:

                async def run_part(part: Callable[[], Awaitable[Closing | None]]) -> None:
                    nonlocal closing
                    end = await part()
                    if not tasks.cancel_scope.cancel_called:  # the first to end is why
                        closing = end
                        tasks.cancel_scope.cancel()

                tasks.start_soon(run_part, self._listen)
                tasks.start_soon(run_part, lambda: self._tell(heard))
                tasks.start_soon(run_part, self._keep_looking)
        if closing is not None:
            await self._websocket.close(*closing)

    async def _listen(self) -> Closing | None:
        """Has the others hear what comes, as long as the user is signed in."""
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            if (closing := await self._look()) is not None:
                return closing
            note_visit(self._session)
            await self._session.save()
            text = (message.get("text") or "").strip()[:MAX_TEXT]
            if text:
                await self._room.say(json.dumps({"from": self._user.name, "text": text, "at": int(time.time())}))
        return None

    async def _tell(self, heard: MemoryObjectReceiveStream[str]) -> Closing | None:
        try:
            async for message in heard:
                await self._websocket.send_text(message)
        except WebSocketDisconnect:
            return None
        return TOO_SLOW

    async def _keep_looking(self) -> Closing:
        """Nobody tells a websocket that its session has ended, so it looks."""
        while True:
            if (closing := await self._look()) is not None:
                return closing
            await sleep(self._look_every)

    async def _look(self) -> Closing | None:
        """Reads the session again; why to close, where it is its user's no more."""
        await self._session.load()
        if self._session.principal == self._user.id:
            return None
        return SIGNED_IN_ANEW if self._session.rejected == "superseded" else SIGNED_OUT
