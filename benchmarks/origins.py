"""What ``trusted_origins`` costs, in time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from asgi_signed_session import SessionMiddleware
from benchmarks.asgi import App, Scope
from benchmarks.harness import Plan, measure
from benchmarks.results import today
from benchmarks.scenarios import Scenario, read, visitor, write
from benchmarks.subjects import NONE, OURS, Subject

# As Chromium sends it with a form of the app's own page.
OWN_FORM = [(b"origin", b"https://shop.example"), (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"navigate")]


class Form(Scenario):
    """A form that a page of the app sends."""

    def scopes(self, subject: Subject, count: int) -> list[Scope]:
        scopes = super().scopes(subject, count)
        return [{**scope, "method": "POST", "headers": [*scope["headers"], *OWN_FORM]} for scope in scopes]


def checking(app: App, key: str, fallbacks: Sequence[str]) -> App:
    return cast("App", SessionMiddleware(cast("Any", app), key, fallbacks=fallbacks, trusted_origins=()))


FORMS = (
    Form("leaves the session alone", "", payload=visitor),
    Form("reads it", "", read, visitor),
    Form("changes it", "", write, visitor),
)
WITHOUT, WITH = replace(OURS, name="without"), Subject("with", checking)


def measure_origins(plan: Plan, track: Callable[[Iterable[Any], str], Iterable[Any]]) -> dict[str, Any]:
    """By what the app does, the time over the bare app's, without the option and with it."""
    forms = {form.name: measure(form, (NONE, WITHOUT, WITH), plan) for form in track(FORMS, "origins")}
    return {"date": today(), "forms": forms}
