"""How many small faults in the code the tests find: the mutation score of two packages.

`python -m benchmarks.mutation_score 200 41397a6 domain` takes another number of mutants, another
commit than the last, and one package of the two.

Cosmic-ray changes one place of a module in a clone of the repository and runs the tests that belong
to the module. A mutant is killed when they fail or take too long; the score is the killed mutants
over all that were tried, and those that survive are printed for someone to write the test.

The mutants are a random sample, drawn by the hash of operator and line: what stands at two commits
is drawn at both. Left out of it are

- operators that raise wherever they run, and so tell only that a line is reached (bits of numbers,
  numbers of bits and sets), and identity in place of equality and the reverse, which is the same or
  left to the interpreter: `NOISE`, by cosmic-ray's own filter;
- mutants that do not compile: cosmic-ray takes the `*` of a signature, and the `**` of a dict
  display, for operators;
- mutants of annotations, of `if TYPE_CHECKING` and of `frozen=True`: what these say is for the type
  checker, and `X & None` in an annotation fails at the import.

Docstrings and `__all__` are safe: no operator changes a text.
"""

import ast
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks._module_tests import CODE, tests_of

if TYPE_CHECKING:
    from cosmic_ray.work_item import MutationSpec, WorkItem, WorkResult

ROOT = Path(__file__).parent.parent
PACKAGES = ("domain", "adapters")
SAMPLE = 40
SEED = 20
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
NOISE = (
    "core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|Bit)",
    "core/ReplaceBinaryOperator_(RShift|LShift|Bit...?)_(Add|Mul|Div|FloorDiv|Mod|Pow|.Shift)",
    "core/ReplaceUnaryOperator_(UAdd|USub)_(Invert|Not)",
    "core/ReplaceUnaryOperator_Invert_",
    "core/ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is",
    "core/ReplaceComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|Gt)",
)
# A mutant may take so many times as long as the code without one, and so much longer.
PATIENCE, GRACE_SECONDS = 3.0, 20.0


@dataclass(frozen=True)
class Score:
    """What became of the mutants of a package."""

    package: str
    killed: int
    survivors: Sequence[str]
    incompetent: int

    @property
    def tried(self) -> int:
        """The mutants that were tried, but for those cosmic-ray could not try."""
        return self.killed + len(self.survivors)

    @property
    def share(self) -> float:
        """The killed part of those tried."""
        return self.killed / self.tried

    def __str__(self) -> str:
        """The survivors, and the score."""
        said = f"{self.package}: {self.killed} of {self.tried} mutants killed ({self.share:.1%})"
        return "\n".join([*self.survivors, f"{said}, {self.incompetent} incompetent"])


def measure(
    size: int = SAMPLE, commit: str = "HEAD", packages: Sequence[str] = PACKAGES
) -> Iterator[Score]:
    """Try so many mutants of each package at a commit, two packages at a time.

    Raises:
        RuntimeError: tests fail without a mutant, or see another code than the clone's.
    """
    with ProcessPoolExecutor(len(PACKAGES)) as pool:
        begun = [pool.submit(score, package, size, commit) for package in packages]
        yield from (one.result() for one in begun)


def score(package: str, size: int, commit: str) -> Score:
    """Try so many mutants of one package in a clone."""
    from cosmic_ray.work_item import TestOutcome

    with tempfile.TemporaryDirectory() as folder:
        clone = Clone.make(Path(folder), commit)
        by_module: dict[Path, list[WorkItem]] = {}
        for item in clone.sample(package, size):
            by_module.setdefault(item.mutations[0].module_path, []).append(item)
        found = [
            pair
            for module, items in sorted(by_module.items())
            for pair in clone.outcomes(module, items)
        ]
    counts = Counter(result.test_outcome for _, result in found)
    survivors = [
        _described(item.mutations[0], result)
        for item, result in found
        if result.test_outcome == TestOutcome.SURVIVED
    ]
    killed = counts[TestOutcome.KILLED]
    return Score(package, killed, survivors, len(found) - killed - len(survivors))


@dataclass(frozen=True)
class Clone:
    """The repository at a commit, to be changed at will, and the sessions of cosmic-ray."""

    root: Path
    sessions: Path

    @classmethod
    def make(cls, folder: Path, commit: str) -> "Clone":
        """Clone the repository; its code is what the tests of the clone import."""
        clone = cls(folder / "clone", folder)
        subprocess.run(["git", "clone", "-q", "-n", ROOT, clone.root], check=True)
        subprocess.run(["git", "checkout", "-q", commit], cwd=clone.root, check=True)
        found = clone.run(sys.executable, "-c", "import crypto_pool; print(crypto_pool.__file__)")
        if not Path(found.stdout.strip()).is_relative_to(clone.root):
            raise RuntimeError(f"the clone's tests would run on the code of {found.stdout}")
        return clone

    def run(self, *command: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command on the clone's code, without any setting of a pool."""
        kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
        environment = {**kept, "PYTHONPATH": str(self.root)}
        return subprocess.run(
            command, cwd=self.root, env=environment, check=check, stdout=subprocess.PIPE, text=True
        )

    def sample(self, package: str, size: int) -> "list[WorkItem]":
        """Draw so many of the mutants of a package, or all there are."""
        from cosmic_ray.work_db import use_db

        config, session = self._configure(package, CODE / package)
        self.run(sys.executable, "-m", "cosmic_ray.cli", "init", config, session)
        filtering = "cosmic_ray.tools.filters.operators_filter"
        self.run(sys.executable, "-m", filtering, session, config)
        with use_db(session) as database:
            drawn = self._shuffled(database.pending_work_items)
        return list(islice((item for item in drawn if self._shows(item.mutations[0])), size))

    def outcomes(
        self, module: Path, mutants: "Sequence[WorkItem]"
    ) -> "Sequence[tuple[WorkItem, WorkResult]]":
        """Run the tests of a module on each of its mutants."""
        from cosmic_ray.work_db import use_db

        command = [*PYTEST, *map(str, tests_of(module, self.root))]
        started = perf_counter()
        whole = self.run(*command, check=False)
        if whole.returncode:
            raise RuntimeError(f"{module} fails as it is:\n{whole.stdout[-4000:]}")
        patience = PATIENCE * (perf_counter() - started) + GRACE_SECONDS
        config, session = self._configure("_".join(module.parts), module, command, patience)
        with use_db(session) as database:
            database.add_work_items(mutants)
        self.run(sys.executable, "-m", "cosmic_ray.cli", "exec", config, session)
        with use_db(session) as database:
            done: Sequence[tuple[WorkItem, WorkResult]] = database.completed_work_items
        return sorted(done, key=lambda pair: _place(pair[0].mutations[0]))

    def _configure(
        self, name: str, path: Path, command: Sequence[str] = PYTEST, patience: float = 0.0
    ) -> tuple[Path, Path]:
        """Write a configuration; give it and the session that goes with it."""
        from cosmic_ray.config import serialize_config

        config = {
            "module-path": str(path),
            "timeout": patience,
            "excluded-modules": [],
            "test-command": shlex.join(command),
            "distributor": {"name": "local"},
            "filters": {"operators-filter": {"exclude-operators": list(NOISE)}},
        }
        file = self.sessions / f"{name}.toml"
        file.write_text(serialize_config(config))
        return file, file.with_suffix(".sqlite")

    def _shuffled(self, items: "Sequence[WorkItem]") -> "list[WorkItem]":
        """Put mutants in a random order that depends on each of them alone."""
        equals: Counter[str] = Counter()
        by_hash = {}
        for item in sorted(items, key=lambda item: _place(item.mutations[0])):
            mutant = item.mutations[0]
            line = _text(self.root / mutant.module_path).splitlines()[mutant.start_pos[0] - 1]
            text = f"{mutant.module_path} {mutant.operator_name} {line.strip()}"
            equals[text] += 1
            by_hash[hashlib.sha256(f"{SEED} {text} {equals[text]}".encode()).digest()] = item
        return [by_hash[digest] for digest in sorted(by_hash)]

    def _shows(self, mutant: "MutationSpec") -> bool:
        """Say whether a mutant compiles, to something else than the module does."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        text = _text(self.root / mutant.module_path)
        changed = mutate_code(text, get_operator(mutant.operator_name)(), mutant.occurrence)
        try:
            return _meaning(changed) != _meaning(text)
        except SyntaxError:
            return False


class _Unseen(ast.NodeTransformer):
    """Takes away what no test can see."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg == "frozen" else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


@cache
def _text(file: Path) -> str:
    return file.read_text()


def _meaning(source: str) -> str:
    compile(source, "<mutant>", "exec")
    return ast.dump(_Unseen().visit(ast.parse(source)))


def _place(mutant: "MutationSpec") -> tuple[str, tuple[int, int], str, int]:
    return str(mutant.module_path), mutant.start_pos, mutant.operator_name, mutant.occurrence


def _described(mutant: "MutationSpec", result: "WorkResult") -> str:
    """Where a mutant is, its operator, and the lines before and after."""
    changed = [line for line in (result.diff or "").splitlines() if line[:1] in ("-", "+")]
    lines = [line for line in changed if line[:3] not in ("---", "+++")]
    place = f"{mutant.module_path}:{mutant.start_pos[0]} {mutant.operator_name}"
    return "\n".join([f"{place} {mutant.occurrence}", *lines])


def figures() -> dict[str, float]:
    """Give the score of each package, and the number of mutants behind it."""
    found: dict[str, float] = {}
    for one in measure():
        print(one, flush=True)
        found |= {
            f"mutation_score_{one.package}": one.share,
            f"mutants_tried_{one.package}": float(one.tried),
        }
    return found


def main(size: str = f"{SAMPLE}", commit: str = "HEAD", *packages: str) -> None:
    """Print the survivors and the score of each package."""
    for one in measure(int(size), commit, packages or PACKAGES):
        print(one, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
