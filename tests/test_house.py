"""Who owns what: which of the package's modules may touch what, read from their source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import asgi_signed_session
from asgi_signed_session import Session
from asgi_signed_session.record import Record, Wishes

from .crossings import count_crossings, read, trace, write
from .records import Records

PACKAGE = Path(asgi_signed_session.__file__).parent
TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
OF_A_SESSION = {name for name in {*vars(Session), *Session.__slots__} if name[0] == "_" and name[-2:] != "__"}


def attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def test_no_module_but_its_own_assigns_to_a_private_attribute_of_a_session() -> None:
    found = [
        (module, ast.unparse(node))
        for module, tree in TREES.items()
        for node in attributes(tree)
        if module != "session" and node.attr in OF_A_SESSION and not isinstance(node.ctx, ast.Load)
        if not is_own(node)
    ]

    assert found == []


def test_four_private_names_of_a_session_are_used_elsewhere_and_by_its_connection_alone() -> None:
    used = {
        (module, node.attr)
        for module, tree in TREES.items()
        for node in attributes(tree)
        if module != "session" and node.attr in OF_A_SESSION and not is_own(node)
    }

    assert {name for _, name in used} == {"_is_changed", "_record", "_state", "_wishes"}
    assert {module for module, _ in used} == {"connection", "middleware", "place", "stored_connection"}
    assert sorted(name for module, name in used if module in ("middleware", "place")) == ["_record", "_state"]


def test_nobody_assigns_to_what_never_changes() -> None:
    fields = {*Record.__slots__, *Wishes.__slots__}
    found = [
        (module, ast.unparse(node))
        for module, tree in TREES.items()
        for node in attributes(tree)
        if node.attr in fields and not isinstance(node.ctx, ast.Load)
        if ast.unparse(node.value) not in ("self", "session", "connection")
    ]

    assert found == []
    assert [name for name in Record.__slots__ if f"self.{name} =" in ast.unparse(TREES["record"])] == []


def test_one_module_knows_itsdangerous() -> None:
    importing = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("itsdangerous")
    ]

    assert set(importing) == {"signing"}


def test_nothing_is_imported_that_not_everybody_has_before_it_is_asked_for() -> None:
    found = {(name, module) for module, tree in TREES.items() for node in tree.body for name in imported_by(node)}

    others = {(name, module) for name, module in found if name not in sys.stdlib_module_names}
    assert {name for name, module in others if module != "sqlalchemy"} == {"asgiref", "itsdangerous"}


def imported_by(node: ast.stmt) -> list[str]:
    """The packages that a statement imports from, but for our own."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [(node.module or "").partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []


def test_one_module_knows_cryptography() -> None:
    importing = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptography")
    }

    assert importing == {"serializers"}


def test_no_message_is_put_together_with_the_name_of_a_class_as_it_is() -> None:
    found = [
        (module, ast.unparse(part))
        for module, tree in TREES.items()
        if module not in ("conformance", "wording")  # that of a store's author; that which makes it printable
        for part in ast.walk(tree)
        if isinstance(part, ast.JoinedStr) and f"printable({ast.unparse(part)})" not in ast.unparse(tree)
        for node in attributes(part)
        if node.attr in ("__name__", "__qualname__")
    ]

    assert found == []


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or 0) - node.body[0].lineno + 1
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]

    assert median(lengths) <= 7
    assert max(lengths) <= 40


@pytest.mark.parametrize(
    ("act", "make_store", "most"),
    [(read, lambda: None, 12), (write, lambda: None, 22), (read, Records, 21), (write, Records, 37)],
    ids=["cookie, read", "cookie, write", "store, read", "store, write"],
)
def test_one_request_does_not_go_to_and_fro_between_modules_more_than_it_did(
    act: Any, make_store: Any, most: int
) -> None:
    assert count_crossings(trace(act, make_store())) <= most
