from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from asgi_signed_session.payload import Codec, Dumps, make_json_dumps

TEXT = {"b": [], "a": {"é🍵": '"\\/\b\n\0\u2028'}}
# fmt: off
WRITTEN: list[tuple[dict[Any, Any], bytes]] = [
    ({},                                             b"{}"),
    ({"n": [1, -2.5, 1e400, None, True, False]},     b'{"n":[1,-2.5,Infinity,null,true,false]}'),
    ({"nan": math.nan},                              b'{"nan":NaN}'),  # as json has it
    ({0: "a", None: "b", True: "c", 2.5: "d"},       b'{"0":"a","null":"b","true":"c","2.5":"d"}'),
    (TEXT,                                           '{"b":[],"a":{"é🍵":"\\"\\\\/\\b\\n\\u0000\u2028"}}'.encode()),
    ({"half": "\ud83c"},                             b'{"half":"\\ud83c"}'),  # in UTF-8 it has no bytes
    ({"tuple": (1, (2,))},                           b'{"tuple":[1,[2]]}'),
    ({"n": [0] * 250_000},                           b'{"n":[' + b"0," * 249_999 + b"0]}"),  # written in pieces
]
# fmt: on


@pytest.fixture(params=["CPython", "another Python"])
def dumps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Dumps:
    if request.param != "CPython":
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    return make_json_dumps()


@pytest.mark.parametrize(("content", "payload"), WRITTEN)
def test_every_python_writes_the_same_json(dumps: Dumps, content: dict[Any, Any], payload: bytes) -> None:
    assert dumps(content) == payload


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, {(1, 2): 3}])
def test_what_json_has_no_form_for_is_an_error(dumps: Dumps, value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        dumps({"a": value})

    assert re.search(r" is not JSON serializable$|^keys must be ", str(caught.value))  # 3.14 adds a note on the place


def test_a_cycle_ends(dumps: Dumps) -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = [cycle]

    with pytest.raises(RecursionError):
        dumps(cycle)


@pytest.mark.parametrize(
    ("payload", "content"), [(b"{}", {"a": None}), (b'{"a":null}', {}), (None, {"a": None}), (b'{"a":null}', {"a": 0})]
)
def test_a_key_without_a_value_is_no_key_that_is_absent(payload: bytes | None, content: dict[str, Any]) -> None:
    assert Codec().find_changes(payload, content) == ["a"]
