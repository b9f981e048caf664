"""What is imported is declared, and what is declared is pinned."""

import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from crypto_pool.workflow.code_version import imported_names
from crypto_pool_tests.conftest import ROOT

OWN = {"crypto_pool", "crypto_pool_tests", "drills", "benchmarks", "docs"}
PART_OF = {"pydantic_core": "pydantic"}  # its errors, for the type checker alone


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared() -> dict[str, set[str]]:
    """Distributions by the list of pyproject.toml that names them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"runtime": project["dependencies"], **project["optional-dependencies"]}
    return {
        name: {normal(re.match(r"[\w.-]+", text)[0]) for text in texts}
        for name, texts in lists.items()
    }


def imported(folders: Iterable[str]) -> dict[str, str]:
    """Packages of others that the files of some folders import, each with one of these files."""
    found = {}
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            names = imported_names(file.read_bytes())
            found |= {name.split(".")[0]: str(file.relative_to(ROOT)) for name in names}
    return {k: v for k, v in found.items() if k not in OWN and k not in sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("folders", "lists"),
    [
        (("crypto_pool",), ("runtime", "scale")),
        (("crypto_pool_tests", "drills", "benchmarks", "docs"), ("runtime", "scale", "dev")),
    ],
)
def test_what_is_imported_is_declared(folders, lists):
    known = set().union(*(declared()[name] for name in lists))
    owners = packages_distributions()
    missing = {
        name: file
        for name, file in imported(folders).items()
        if not {normal(of) for of in owners.get(name, [name])} & known
        and PART_OF.get(name) not in known
    }
    assert not missing, f"declare them in pyproject.toml: {missing}"


def test_what_is_declared_is_pinned():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines}
    assert set().union(*declared().values()) - {"crypto-pool"} <= pinned
