from __future__ import annotations

from typing import Any

import pytest

from ..browser import RUNNERS

LOOPS = (*RUNNERS, "uvloop")


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Any:
    """Runs a coroutine function, under asyncio, trio and uvloop: a store is asked straight from the loop."""
    if request.param != "uvloop":
        return RUNNERS[request.param]
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    return lambda main: uvloop.run(main())
