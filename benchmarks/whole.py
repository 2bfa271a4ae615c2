"""What a whole request costs in FastAPI, without a server: what is over the bare app is seen beside everything else."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from benchmarks.asgi import App
from benchmarks.harness import Contender, Plan, divided, measure_together, summary
from benchmarks.results import today
from benchmarks.scenarios import KEY, Scenario, Work, read, visitor, write
from benchmarks.subjects import NONE, OURS, STARLETTE, Subject

SUBJECTS = (NONE, OURS, STARLETTE)


@dataclass(frozen=True)
class Endpoint(Scenario):
    """A scenario whose app is FastAPI's, with the middleware where ``add_middleware`` puts it."""

    def app(self, subject: Subject) -> App:
        from fastapi import FastAPI

        app = FastAPI(openapi_url=None)
        app.get("/account")(make_endpoint(self.work))
        if subject is not NONE:
            app.add_middleware(partial(wrap_in, subject))
        return cast("App", app)


def wrap_in(subject: Subject, app: Any) -> Any:
    return subject.wrap(app, KEY, ())


def make_endpoint(work: Work | None) -> Callable[..., Any]:
    from fastapi import Request

    async def account(request: Request) -> dict[str, bool]:
        if work:
            request.scope["state"]["answer"] = work(request.session)
        return {"ok": True}

    return account


ENDPOINTS = (
    Endpoint("leaves the session alone", "most requests of most apps", payload=visitor),
    Endpoint("reads the session", "is anyone logged in? yes", read, visitor),
    Endpoint("writes the session", "a change of a known visitor", write, visitor),
)


def measure_whole(
    plan: Plan, track: Callable[[Iterable[Any], str], Iterable[Any]], endpoints: Sequence[Endpoint] = ENDPOINTS
) -> dict[str, Any]:
    """By endpoint and subject the time of a request, and which part of Starlette's that is; or words."""
    steps = track(endpoints, "whole")
    return {
        "date": today(),
        "endpoints": {each.name: measure_together([each], SUBJECTS, plan, whole_figures)[0] for each in steps},
    }


def whole_figures(contest: Sequence[Contender]) -> dict[str, Any]:
    times = {contender.subject.name: contender.times[1:] for contender in contest}
    theirs = times.get(STARLETTE.name)
    return {
        name: {"time_ns": summary(own), "of_starlette": summary(divided(own, theirs)) if theirs else None}
        for name, own in times.items()
    }
