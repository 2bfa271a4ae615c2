"""What frameworks and validators make of a session that nobody has touched: the session, or an error that is seen.

FastAPI's ways are tried with ``request.session``, which reads it since Starlette 1.0, and with what stands in the
scope, which is all that earlier ones gave.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, NamedTuple

import msgspec
import pydantic_core
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, ORJSONResponse
from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from asgi_signed_session import Session, SessionMiddleware

from .browser import Browser
from .conftest import KEY
from .wire import sign

CONTENT = {"user_id": 42, "cart": ["tea"]}


class Model(BaseModel):
    """Every field has a default: what finds none of them fails nowhere."""

    user_id: int | None = None
    cart: list[str] = []


class ModelOfAttributes(Model):
    model_config = ConfigDict(from_attributes=True)


class ModelOfAllAttributes(Model):
    model_config = ConfigDict(from_attributes=True, extra="allow")


class StrictModel(Model):
    model_config = ConfigDict(strict=True, extra="forbid")


class PageOfModel(BaseModel):
    session: Model


class PageOfDict(BaseModel):
    session: dict[str, Any]


class PageOfAny(BaseModel):
    session: Any


class Typed(TypedDict, total=False):
    user_id: int
    cart: list[str]


@dataclass
class Data:
    user_id: int | None = None
    cart: list[str] = field(default_factory=list)


class Struct(msgspec.Struct):
    user_id: int | None = None
    cart: list[str] = []


class Way(NamedTuple):
    """What an endpoint returns of its session, and what it is declared to return."""

    act: Callable[[Any], Any] = lambda session: session
    options: Mapping[str, Any] = {}
    annotation: Any = None
    error: type[Exception] | None = None  # where the session was not read before


def in_page(session: Any) -> Any:
    return {"session": session}


def validate(kind: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda session: TypeAdapter(kind).validate_python(session, **options)


RETURNED = {
    "as it is": Way(),
    "response_model: a model": Way(options={"response_model": Model}),
    "response_model: a model, without its defaults": Way(
        options={"response_model": Model, "response_model_exclude_unset": True}
    ),
    "response_model: dict": Way(options={"response_model": dict}),
    "response_model: dict[str, Any]": Way(options={"response_model": dict[str, Any]}),
    "response_model: a TypedDict": Way(options={"response_model": Typed}),
    "response_model: a model or a dict": Way(options={"response_model": Model | dict[str, Any]}),
    "-> a model": Way(annotation=Model),
    "-> a model or None": Way(annotation=Model | None),
    "-> a dataclass": Way(annotation=Data),
    "-> dict[str, Any]": Way(annotation=dict[str, Any]),
    "in a dict": Way(in_page),
    "in a dict, -> a model of a model": Way(in_page, annotation=PageOfModel),
    "in a dict, -> a model of a dict": Way(in_page, annotation=PageOfDict),
    "in a dict, -> a model of Any": Way(in_page, annotation=PageOfAny),
    "in a dict, -> dict[str, Any]": Way(in_page, annotation=dict[str, Any]),
    "in a model of a model": Way(lambda s: PageOfModel(session=s)),
    "in a model of a dict": Way(lambda s: PageOfDict(session=s)),
    "in a model of Any": Way(lambda s: PageOfAny(session=s)),
    "in a model that checks nothing": Way(lambda s: PageOfAny.model_construct(session=s)),
    "dict(session)": Way(dict),
    "{**session}": Way(lambda s: {**s}),
    "Model(**session)": Way(lambda s: Model(**s)),
    "copy.deepcopy": Way(copy.deepcopy),
    "jsonable_encoder": Way(jsonable_encoder),
    "JSONResponse": Way(JSONResponse),
    "ORJSONResponse": Way(ORJSONResponse, error=TypeError),
    "response_class: ORJSONResponse": Way(options={"response_class": ORJSONResponse}),
    "model_validate": Way(Model.model_validate),
    "model_validate, strict": Way(lambda s: Model.model_validate(s, strict=True)),
    "model_validate of a strict model": Way(StrictModel.model_validate),
    "model_validate of attributes": Way(ModelOfAttributes.model_validate),
    "model_validate of attributes, strict": Way(lambda s: Model.model_validate(s, strict=True, from_attributes=True)),
    "model_validate of all attributes": Way(ModelOfAllAttributes.model_validate),
    "a RootModel": Way(RootModel[dict[str, Any]].model_validate),
    "TypeAdapter(dict)": Way(validate(dict)),
    "TypeAdapter(dict[str, Any])": Way(validate(dict[str, Any])),
    "TypeAdapter(dict[str, Any]), strict": Way(validate(dict[str, Any], strict=True)),
    "TypeAdapter(Mapping)": Way(validate(Mapping[str, Any])),
    "TypeAdapter of a TypedDict": Way(validate(Typed)),
    "TypeAdapter of a TypedDict, strict": Way(validate(Typed, strict=True)),
    "TypeAdapter of a dataclass": Way(validate(Data)),
    "TypeAdapter of a model": Way(validate(Model)),
    "TypeAdapter of a list of models": Way(lambda s: validate(list[Model], from_attributes=True)([s])[0]),
    "TypeAdapter(Any)": Way(validate(Any)),
    "dump_python": Way(TypeAdapter(dict).dump_python, error=ValueError),
    "dump_python of Any": Way(TypeAdapter(Any).dump_python),
    "dump_json": Way(lambda s: Response(TypeAdapter(dict).dump_json(s)), error=PydanticSerializationError),
    "to_jsonable_python": Way(pydantic_core.to_jsonable_python),
    "to_json": Way(lambda s: Response(pydantic_core.to_json(s))),
    "msgspec.convert to a dict": Way(lambda s: msgspec.convert(s, dict), error=ValueError),
    "msgspec.convert to a dict[str, Any]": Way(
        lambda s: msgspec.convert(s, dict[str, Any]), error=msgspec.ValidationError
    ),
    "msgspec.convert to a TypedDict": Way(lambda s: msgspec.convert(s, Typed), error=msgspec.ValidationError),
    "msgspec.convert to a dataclass": Way(lambda s: msgspec.convert(s, Data), error=msgspec.ValidationError),
    "msgspec.convert to a Struct": Way(
        lambda s: msgspec.to_builtins(msgspec.convert(s, Struct)), error=msgspec.ValidationError
    ),
}


def answer(way: Way, find_session: Callable[[Request], Any]) -> Any:
    """The answer of an endpoint of FastAPI's, in the middleware, to a visitor who is known."""
    app = FastAPI()

    async def endpoint(request: Request) -> Any:
        return way.act(find_session(request))

    endpoint.__annotations__ = {"request": Request}
    if way.annotation is not None:
        endpoint.__annotations__["return"] = way.annotation
    app.get("/", **way.options)(endpoint)
    app.add_middleware(SessionMiddleware, secret_key=KEY)
    response = Browser(app, cookies={"session": sign(CONTENT)}).get()
    assert response.all(b"vary") == [b"Cookie"]
    found = response.json()
    return found.get("session", found)


pytestmark = pytest.mark.filterwarnings("ignore:ORJSONResponse is deprecated")


@pytest.mark.parametrize("way", RETURNED.values(), ids=RETURNED)
def test_an_endpoint_that_returns_its_session_in_any_way_shows_it(way: Way) -> None:
    assert answer(way, lambda request: request.session) == CONTENT


@pytest.mark.parametrize("way", RETURNED.values(), ids=RETURNED)
def test_what_returns_an_untouched_session_reads_it_or_fails(way: Way) -> None:
    if way.error is None:
        assert answer(way, lambda request: request.scope["session"]) == CONTENT
    else:
        with pytest.raises(way.error):
            answer(way, lambda request: request.scope["session"])


@pytest.mark.parametrize("way", RETURNED.values(), ids=RETURNED)
def test_a_copy_by_dict_is_taken_by_all(way: Way) -> None:
    assert answer(way, lambda request: dict(request.scope["session"])) == CONTENT


def ask(act: Callable[[Any], Any]) -> tuple[Any, list[bytes]]:
    """What ``act`` finds out about an untouched session, and the response's ``Vary``."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(act(scope["session"]))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    response = Browser(SessionMiddleware(app, KEY), cookies={"session": sign(CONTENT)}).get()
    return found[0], response.all(b"vary")


def test_asking_for_its_class_is_no_touch() -> None:
    """Quart asks whether it is a ``NullSession``, at every request."""
    kinds = (dict, Session, Mapping, Model, Data)

    assert ask(lambda session: [isinstance(session, kind) for kind in kinds]) == ([True] * 3 + [False] * 2, [])


@pytest.mark.parametrize(
    "name", ["__pydantic_validator__", "__pydantic_decorators__", "__pydantic_serializer__"], ids=["2.0", "2.11", "all"]
)
def test_a_pydantic_that_asks_for_an_attribute_of_its_own_reads_it(name: str) -> None:
    """Validation did until 2.11, and then looks into the storage."""
    assert ask(lambda session: (hasattr(session, name), dict.get(session, "user_id"))) == ((False, 42), [b"Cookie"])


@pytest.mark.skipif(find_spec("litestar") is None, reason="litestar is not installed")
@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda session: session, 500),
        (lambda session: {"session": session}, 500),
        (dict, 200),
        (lambda session: {"session": {**session}}, 200),
    ],
    ids=["as it is", "in a dict", "dict(session)", "{**session} in a dict"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_litestar_shows_a_session_or_fails(act: Callable[[Any], Any], status: int) -> None:
    from litestar import Litestar, get

    def show(scope: Any) -> Any:
        return act(scope["session"])

    show.__annotations__ = {"scope": dict, "return": dict[str, Any]}
    app = Litestar([get("/", sync_to_thread=False)(show)], middleware=[lambda app: SessionMiddleware(app, KEY)])

    response = Browser(app, cookies={"session": sign(CONTENT)}).get()

    found = response.json()
    assert response.start["status"] == status
    assert status == 500 or found.get("session", found) == CONTENT
