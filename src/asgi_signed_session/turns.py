"""One after another, under whichever event loop: the tasks of one connection that read and write its session."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial


class Turns:
    """Lets one task go on at a time. If no other task has the turn, there is no wait and no object for one."""

    _is_taken = False
    _wakers: tuple[Callable[[], object], ...] = ()

    def take_now(self) -> bool:
        """Takes the turn if nobody has it. Returns whether it did."""
        if self._is_taken:
            return False
        self._is_taken = True
        return True

    async def take(self) -> None:
        """Waits until nobody has the turn, and takes it."""
        while not self.take_now():
            wake, wait = _make_event()
            self._wakers += (wake,)
            if not self._is_taken:  # another thread has given it back meanwhile
                wake()
            await wait()

    def give_back(self) -> None:
        """Ends the turn. All who wait look again: one of them alone may have been cancelled."""
        self._is_taken = False
        wakers, self._wakers = self._wakers, ()
        for wake in wakers:
            with suppress(RuntimeError):  # its event loop has ended
                wake()


def _make_event() -> tuple[Callable[[], object], Callable[[], Awaitable[object]]]:
    """Two functions: one that wakes, from any thread, and one that waits for it."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        event, token = trio.Event(), trio.lowlevel.current_trio_token()
        return partial(token.run_sync_soon, event.set), event.wait
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return (lambda: None), _give_way
    own = asyncio.Event()
    return partial(loop.call_soon_threadsafe, own.set), own.wait


@types.coroutine
def _give_way() -> Generator[None]:
    """Yields to whoever drives the coroutine by hand."""
    yield
