"""How many small faults in the code the tests find: the mutation score of three packages.

`python -m benchmarks.mutation_score 200 41397a6 domain` takes another number of mutants, another
commit than the last, and one package of the three; `--seed 7` draws other mutants.

Cosmic-ray changes one place of a module in a clone of the repository, and the tests that belong to
the module run in a process forked from one that has imported the libraries, first those that enter
the changed function. A mutant is killed when they fail or take too long; the score is the killed
mutants over all that were tried, and those that survive are printed for someone to write the test.

The mutants are a random sample, drawn by the hash of operator and line: what stands at two commits
is drawn at both. Left out of it are

- operators that raise wherever they run, and so tell only that a line is reached (bits of numbers,
  numbers of bits and sets), and identity in place of equality and the reverse, which is the same or
  left to the interpreter: `NOISE`, by cosmic-ray's own filter;
- mutants that do not compile: cosmic-ray takes the `*` of a signature, and the `**` of a dict
  display, for operators;
- those that it cannot make: of several exceptions it replaces bare names, and fails where one is
  dotted;
- mutants of annotations, of protocols, of `if TYPE_CHECKING` and of `frozen=True`: what these say
  is for the type checker, and `X & None` in an annotation fails at the import.

Docstrings and `__all__` are safe: no operator changes a text.
"""

import argparse
import ast
import difflib
import hashlib
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._module_tests import CODE, tests_of
from benchmarks._test_runs import End, Runs

if TYPE_CHECKING:
    from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parent.parent
PACKAGES = ("domain", "adapters", "workflow")
SAMPLE = 60
SEED = 20
AT_ONCE = 2
NOISE = (
    "core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|Bit)",
    "core/ReplaceBinaryOperator_(RShift|LShift|Bit...?)_(Add|Mul|Div|FloorDiv|Mod|Pow|.Shift)",
    "core/ReplaceUnaryOperator_(UAdd|USub)_(Invert|Not)",
    "core/ReplaceUnaryOperator_Invert_",
    "core/ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is",
    "core/ReplaceComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|Gt)",
)


@dataclass(frozen=True)
class Score:
    """What became of the mutants of a package."""

    package: str
    ends: Sequence[End]

    @property
    def tried(self) -> int:
        """The number of mutants."""
        return len(self.ends)

    @property
    def share(self) -> float:
        """The killed part of those tried."""
        return 1 - self.ends.count(End.SURVIVED) / self.tried

    def __str__(self) -> str:
        """The score."""
        killed = self.tried - self.ends.count(End.SURVIVED)
        return (
            f"{self.package}: {killed} of {self.tried} mutants killed ({self.share:.1%}), "
            f"{self.ends.count(End.TOO_LONG)} as they took too long"
        )


def measure(
    size: int = SAMPLE,
    commit: str = "HEAD",
    packages: Sequence[str] = PACKAGES,
    seed: int = SEED,
) -> Iterator[Score]:
    """Try so many mutants of each package at a commit, two packages at a time.

    Raises:
        RuntimeError: tests fail without a mutant, or see another code than the clone's.
    """
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        begun = [pool.submit(score, package, size, commit, seed) for package in packages]
        yield from (one.result() for one in begun)


def score(package: str, size: int, commit: str, seed: int) -> Score:
    """Try so many mutants of one package in a clone, and print those that survive."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone.make(Path(folder), commit)
        sample = clone.sample(package, size, seed)
        modules = sorted({mutant.module_path for mutant in sample})
        runs = Runs.make(clone.root, {module: tests_of(module, clone.root) for module in modules})
        ends = []
        for mutant in sample:
            ends.append(clone.end(mutant, runs))
            if ends[-1] is End.SURVIVED:
                print(_described(mutant), flush=True)
    return Score(package, ends)


@dataclass(frozen=True)
class Clone:
    """The repository at a commit, to be changed at will."""

    root: Path

    @classmethod
    def make(cls, folder: Path, commit: str) -> "Clone":
        """Clone the repository, and work in the clone from now on."""
        clone = cls(folder / "clone")
        subprocess.run(["git", "clone", "-q", "-n", ROOT, clone.root], check=True)
        subprocess.run(["git", "checkout", "-q", commit], cwd=clone.root, check=True)
        os.chdir(clone.root)
        return clone

    def sample(self, package: str, size: int, seed: int) -> "list[MutationSpec]":
        """Draw so many of the mutants of a package, or all there are, in the order of the code."""
        from cosmic_ray.commands import init
        from cosmic_ray.work_db import WorkDB

        mutants = WorkDB(":memory:", WorkDB.Mode.create)
        init(sorted((CODE / package).rglob("*.py")), mutants, {})
        every = [item.mutations[0] for item in mutants.work_items]
        told = [one for one in every if not re.match("|".join(NOISE), one.operator_name)]
        drawn = filter(_shows, _shuffled(told, seed))
        return sorted(islice(drawn, size), key=_place)

    def end(self, mutant: "MutationSpec", runs: Runs) -> End:
        """Run the tests of its module on a mutant."""
        from cosmic_ray.mutating import use_mutation
        from cosmic_ray.plugins import get_operator

        operator = get_operator(mutant.operator_name)()
        with use_mutation(mutant.module_path, operator, mutant.occurrence):
            return runs.end(mutant.module_path, mutant.start_pos[0])


def _shuffled(mutants: "Sequence[MutationSpec]", seed: int) -> "list[MutationSpec]":
    """Put mutants in a random order that depends on each of them alone."""
    equals: Counter[str] = Counter()
    by_hash = {}
    for mutant in sorted(mutants, key=_place):
        line = _text(mutant.module_path).splitlines()[mutant.start_pos[0] - 1]
        text = f"{mutant.module_path} {mutant.operator_name} {line.strip()}"
        equals[text] += 1
        by_hash[hashlib.sha256(f"{seed} {text} {equals[text]}".encode()).digest()] = mutant
    return [by_hash[digest] for digest in sorted(by_hash)]


def _shows(mutant: "MutationSpec") -> bool:
    """Say whether a mutant compiles, to something else than the module does."""
    try:
        return _meaning(_mutated(mutant)) != _meaning(_text(mutant.module_path))
    except (SyntaxError, AttributeError):  # it does not compile, or cannot be made
        return False


def _mutated(mutant: "MutationSpec") -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    operator = get_operator(mutant.operator_name)()
    return mutate_code(_text(mutant.module_path), operator, mutant.occurrence)


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

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | None:
        protocol = any("Protocol" in ast.unparse(base) for base in node.bases)
        return None if protocol else self.generic_visit(node)

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


def _described(mutant: "MutationSpec") -> str:
    """Where a mutant is, its operator, and the lines before and after."""
    before, after = _text(mutant.module_path).splitlines(), _mutated(mutant).splitlines()
    place = f"{mutant.module_path}:{mutant.start_pos[0]} {mutant.operator_name}"
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[3:]
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


def main() -> None:
    """Print the survivors and the score of each package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", type=int, nargs="?", default=SAMPLE)
    parser.add_argument("commit", nargs="?", default="HEAD")
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--seed", type=int, default=SEED)
    for one in measure(**vars(parser.parse_args())):
        print(one, flush=True)


if __name__ == "__main__":
    main()
