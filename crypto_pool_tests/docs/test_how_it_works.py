"""The walks of docs/how-it-works.md name files and functions that exist."""

import ast
import re
from collections.abc import Iterator

import pytest

from crypto_pool_tests.conftest import ROOT

PAGE = ROOT / "docs" / "how-it-works.md"
QUOTED = re.compile(r"`([^`]+)`")


def steps() -> Iterator[tuple[list[str], list[str]]]:
    """The files and the names of each step."""
    for line in PAGE.read_text().splitlines():
        cells = line.strip("|").split(" | ")
        if len(cells) == 3 and re.search(r"`\w+/\S+\.py`", cells[1]):
            yield QUOTED.findall(cells[1]), QUOTED.findall(cells[2])


def defined(file: str) -> set[str]:
    """Functions, classes, their methods, and constants of a file."""
    found = set()
    for node in ast.parse((ROOT / "crypto_pool" / file).read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{sub.name}" for sub in node.body if hasattr(sub, "name")}
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("files", "names"), list(steps()))
def test_each_step_names_what_is_there(files, names):
    known = {name: file for file in files for name in defined(file)}
    assert names
    missing = [name for name in names if name not in known]
    assert not missing, f"{missing} not in {files}"
    idle = set(files) - {known[name] for name in names}
    assert not idle, f"nothing of {idle} is named"


@pytest.mark.parametrize("title", ["One bar", "One candidate"])
def test_a_walk_crosses_at_most_twenty_modules(title):
    walk = PAGE.read_text().partition(f"## {title}")[2].partition("\n## ")[0]
    crossed = set(re.findall(r"`(\w+/\S+\.py)`", walk))
    assert 10 < len(crossed) <= 20
