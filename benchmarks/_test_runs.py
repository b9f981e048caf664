"""Tests of a clone, run in processes forked from one that has imported the libraries."""

import ast
import builtins
import contextlib
import gc
import importlib.util
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.machinery import SourceFileLoader
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from types import CodeType
from typing import NoReturn

import pytest

from benchmarks._module_tests import CODE, TESTS
from crypto_pool_tests.forking import import_libraries

_MARK = "__entered_of_mutation_score__"
PYTEST = ("-x", "-q", "-p", "no:cacheprovider")
# Tests may take so many times as long as on the code as it is, and so much longer, of the
# processor; of the clock more, as others may work on the machine.
PATIENCE, GRACE_SECONDS, OF_THE_CLOCK = 3.0, 20.0, 20.0


class End(Enum):
    """What becomes of a mutant."""

    KILLED = "killed"
    TOO_LONG = "too long"
    SURVIVED = "survived"


@dataclass(frozen=True)
class Runs:
    """What tests belong to each module of a clone, their seconds, and what each of them enters."""

    root: Path
    tests: Mapping[Path, Sequence[Path]]
    seconds: Mapping[str, float]
    entered: Mapping[str, Sequence[str]]

    @classmethod
    def make(cls, root: Path, tests: Mapping[Path, Sequence[Path]]) -> "Runs":
        """Run all the tests on the code as it is.

        Raises:
            RuntimeError: some fail, or see another code than the clone's.
        """
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # as the tests have it; read at the import
        import_libraries()
        gc.freeze()  # a collection in a forked process would copy what all share
        files = sorted({*chain.from_iterable(tests.values())})
        record = root.parent / "record.json"
        if _in_a_fork(root, files, _Recorder(root, tests, record)):
            raise RuntimeError(f"fail as they are: {', '.join(map(str, files))}")
        return cls(root, tests, *json.loads(record.read_text()))

    def end(self, module: Path, line: int) -> End:
        """Run the tests of a module whose line was changed, those that enter the function first."""
        files = self.tests[module]
        own = {test: s for test, s in self.seconds.items() if Path(test.split("::")[0]) in files}
        function = f"{module}:{_function_at(line, (self.root / module).read_bytes())}"
        order = _Order({test for test in own if function in self.entered[test]}, own)
        patience = PATIENCE * sum(own.values()) + GRACE_SECONDS
        code = _in_a_fork(self.root, files, order, patience)
        if code in (None, -signal.SIGXCPU):
            return End.TOO_LONG
        return End.KILLED if code else End.SURVIVED


class _Recorder:
    """A plugin that writes how long each test takes, and what functions of modules it enters."""

    def __init__(self, root: Path, modules: Container[Path], file: Path) -> None:
        self.root, self.modules, self.file = root, modules, file
        self.seconds: dict[str, float] = {}
        self.entered: dict[str, list[str]] = {}

    def mark_functions(self) -> None:
        """Have the modules imported from now on tell which of their functions are entered."""
        setattr(builtins, _MARK, set().add)
        plain = SourceFileLoader.get_code

        def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
            path = Path(loader.path)
            module = path.relative_to(self.root) if path.is_relative_to(self.root) else path
            if module not in self.modules:
                return plain(loader, name)
            marked = _with_marks(module, path.read_bytes())
            return compile(marked, loader.path, "exec", dont_inherit=True)

        SourceFileLoader.get_code = get_code

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        entered: set[str] = set()
        setattr(builtins, _MARK, entered.add)
        started = process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = process_time() - started
            self.entered[item.nodeid] = sorted(entered)

    def pytest_unconfigure(self) -> None:
        self.file.write_text(json.dumps([self.seconds, self.entered]))


class _Order:
    """A plugin that puts some tests first, and then the files that take least."""

    def __init__(self, first: Container[str], seconds: Mapping[str, float]) -> None:
        self.first = first
        self.by_file: Counter[str] = Counter()
        for test, took in seconds.items():
            self.by_file[test.split("::")[0]] += took

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        def place(item: pytest.Item) -> tuple[bool, float, str]:
            file = item.nodeid.split("::")[0]
            return item.nodeid not in self.first, self.by_file[file], file

        items.sort(key=place)


def _in_a_fork(
    root: Path, files: Sequence[Path], plugin: object, patience: float | None = None
) -> int | None:
    """Run tests in a process whose children end with it; None is more than it may take."""
    process = get_context("fork").Process(target=_be_pytest, args=(root, files, plugin, patience))
    process.start()
    process.join(None if patience is None else OF_THE_CLOCK * patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.exitcode
    process.join()
    return code


def _be_pytest(
    root: Path, files: Sequence[Path], plugin: object, patience: float | None
) -> NoReturn:
    """Run tests on the clone's code, without any setting of a pool."""
    os.setsid()
    for name in [name for name in os.environ if "CRYPTO_POOL_" in name]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = sys.path[0] = str(root)
    for name in [name for name in sys.modules if name.partition(".")[0] in (f"{CODE}", f"{TESTS}")]:
        del sys.modules[name]
    found = importlib.util.find_spec("crypto_pool")
    if found is None or not Path(f"{found.origin}").is_relative_to(root):
        raise RuntimeError(f"the clone's tests would run on the code of {found}")
    if patience is not None:
        # What is compiled of one mutant would be taken for that of another.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        resource.setrlimit(resource.RLIMIT_CPU, (int(patience), resource.RLIM_INFINITY))
    if isinstance(plugin, _Recorder):
        plugin.mark_functions()
    code = pytest.main([*PYTEST, *map(str, files)], [plugin])
    sys.stdout.flush()
    os._exit(code)


def _with_marks(module: Path, source: bytes) -> ast.Module:
    """A module whose functions tell that they are entered."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            mark = ast.parse(f"{_MARK}({f'{module}:{_first_line(node)}'!r})").body
            node.body[bool(ast.get_docstring(node)) : 0] = mark
    return ast.fix_missing_locations(tree)


def _function_at(line: int, source: bytes) -> int:
    """The first line of the innermost function around a line, 0 for none."""
    starts = [
        _first_line(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= node.end_lineno
    ]
    return max(starts, default=0)


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])
