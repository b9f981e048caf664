"""The test files that belong to a module, in any clone of this repository."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

CODE, TESTS = Path("crypto_pool"), Path("crypto_pool_tests")


def tests_of(module: Path, root: Path) -> tuple[Path, ...]:
    """The tests of a module, as paths from the root of the clone, as the module's own is.

    In the test folder of its package: the file named after it, as `test_runs.py` or
    `test_mlflow_runs.py` is after `mlflow/runs.py`, and those that import it. A module
    without any is tested through the modules that import it, by their tests, and by the nearest
    tests elsewhere that import it: of other packages, else of the whole, which have the top and the
    folders that no package is mirrored by. Modules of its own package come before those of others,
    and where none of either has tests, so do those that import them. Failing all, its tests are
    those of its package.
    """
    if own := _own(module, root):
        return own
    folders = sorted(path.name for path in (root / TESTS).iterdir() if path.is_dir())
    mirrored = [name for name in folders if (root / CODE / name).is_dir()]
    whole = ["", *(name for name in folders if name not in mirrored)]
    modules = [path.relative_to(root) for path in sorted((root / CODE).rglob("*.py"))]
    nearest = _importing(module, _test_files(root, *mirrored), root)
    nearest = nearest or _importing(module, _test_files(root, *whole), root)
    level, seen = [module], {module}
    while level:
        users = [
            user
            for user in modules
            if user not in seen and any(_name(one) in _imports(root / user) for one in level)
        ]
        inside = [user for user in users if user.parts[1] == module.parts[1]]
        for chosen in (inside, users):
            found = [test for user in chosen for test in _own(user, root)]
            if found or nearest:
                return tuple(dict.fromkeys([*found, *nearest]))
        level, seen = users, {*seen, *users}
    return tuple(_test_files(root, module.parts[1]))


def _own(module: Path, root: Path) -> tuple[Path, ...]:
    """The tests in the folder of a module's package: named after it, then those that import it."""
    tests = _test_files(root, module.parts[1] if len(module.parts) > 2 else "")
    parts = _name(module).split(".")
    names = {f"test_{parts[-1]}.py", f"test_{'_'.join(parts[-2:])}.py"}
    named = [test for test in tests if test.name in names]
    return tuple(dict.fromkeys([*named, *_importing(module, tests, root)]))


def _importing(module: Path, files: Iterable[Path], root: Path) -> list[Path]:
    return [file for file in files if _name(module) in _imports(root / file)]


def _test_files(root: Path, *folders: str) -> list[Path]:
    files = [path for name in folders for path in sorted((root / TESTS / name).glob("test_*.py"))]
    return [path.relative_to(root) for path in files]


def _name(module: Path) -> str:
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


@cache
def _imports(file: Path) -> frozenset[str]:
    """The modules a file imports, and what it takes from them, which may be modules too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)
