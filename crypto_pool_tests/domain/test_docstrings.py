"""A public docstring of the domain names each error that is raised below it in its module."""

import ast
from collections.abc import Iterator

import pytest

from crypto_pool.errors import CryptoPoolError
from crypto_pool_tests.commands.test_exit_codes import tree
from crypto_pool_tests.conftest import ROOT

MODULES = sorted((ROOT / "crypto_pool" / "domain").glob("*.py"))
ERRORS = {kind.__name__ for kind in tree(CryptoPoolError)}
Function = ast.FunctionDef


def functions(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    """The functions and methods of a module, each with what its docstring and its class's say."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            about = ast.get_docstring(node) or ""
            for one in node.body:
                if isinstance(one, Function):
                    yield one, f"{about} {ast.get_docstring(one)}"


def raised(function: Function, known: dict[str, Function], seen: tuple[str, ...] = ()) -> set[str]:
    """The pool's errors that a function raises, itself or by what it calls in its module."""
    nodes = list(ast.walk(function))
    thrown = {getattr(node.exc, "func", node.exc) for node in nodes if isinstance(node, ast.Raise)}
    found = {getattr(one, "id", "") for one in thrown} & ERRORS
    caught = {
        name.id
        for node in nodes
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for name in ast.walk(node.type)
        if isinstance(name, ast.Name)
    }
    for node in nodes:
        name = getattr(getattr(node, "func", None), "id", "")
        if name in known and name not in seen:
            found |= raised(known[name], known, (*seen, name)) - caught
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_docstring_names_the_errors(path):
    found = list(functions(ast.parse(path.read_text())))
    known = {function.name: function for function, _ in found}
    for function, about in found:
        if not function.name.startswith("_"):
            assert {name for name in raised(function, known) if name not in about} == set(), (
                function.name
            )
