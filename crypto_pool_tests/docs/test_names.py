"""What the pages quote as a name of the project stands in the project."""

import re

import pytest

from crypto_pool.adapters.providers import BUILT_IN
from crypto_pool.sandbox.faults import Fault
from crypto_pool.setting_checks import REMOVED
from crypto_pool.settings import Settings
from crypto_pool_tests.conftest import ROOT

CODE = ("crypto_pool", "benchmarks", "drills", "deploy")
# The changelog names what is gone; docs/tables.md is made of the tables by a command, and compared.
ELSEWHERE = {"CHANGELOG", "tables"}
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if page.stem not in ELSEWHERE
]
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
MEASURED = re.compile(r"<!-- (\w+) -->.*?<!-- /\1 -->", re.S)
WORD = re.compile(r"[A-Za-z_]\w*")
VARIABLE = re.compile(r"CRYPTO_POOL_([A-Z][A-Z_]*[A-Z])\b")
OF_OTHERS = {"PGPASSWORD", "DASK_DISTRIBUTED__COMM__TLS__", "MyClassifier"}


def is_a_name(word: str) -> bool:
    """Whether a quoted word can only be meant as a name in code."""
    return "_" in word.strip("_") or bool(re.search(r"[a-z][A-Z]", word))


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Each word of the code, of its files' names, and of the examples in the pages."""
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.*") if path.is_file()]
    files += [ROOT / "dagster_home" / "dagster.yaml", ROOT / "crypto_pool_tests" / "conftest.py"]
    tests = (ROOT / "crypto_pool_tests").rglob("*.py")
    words = {word for file in [*files, *tests] for word in WORD.findall(file.name)}
    for file in files:
        words |= set(WORD.findall(file.read_text(errors="ignore")))
    examples = [example for page in PAGES for example in FENCED.findall(page.read_text())]
    return words.union(OF_OTHERS, *map(WORD.findall, examples))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_quotes_no_name_that_is_gone(page, known):
    text = MEASURED.sub("", FENCED.sub("", page.read_text()))
    quoted = {word for part in re.findall(r"`([^`\n]+)`", text) for word in WORD.findall(part)}
    of_a_setting = {word for word in quoted if word.startswith("CRYPTO_POOL_")}
    names = {word.removeprefix("CRYPTO_POOL_").lower() for word in of_a_setting}
    names |= {word for word in quoted - of_a_setting if is_a_name(word)}
    assert names - known == set()


def test_each_variable_that_code_or_deploy_names_is_a_setting():
    """Of messages with a way out, above all; a setting that is gone is named as such."""
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.*") if path.is_file()]
    settings = {*Settings.model_fields, *REMOVED}
    named = {
        name: path
        for path in files
        for name in VARIABLE.findall(path.read_text(errors="ignore"))
        if path.suffix in (".py", ".html", ".yaml")
    }
    assert {name: path for name, path in named.items() if name.lower() not in settings} == {}


def test_the_page_of_market_data_lists_each_provider_and_each_fault_of_the_sandbox():
    quoted = set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / "market-data.md").read_text()))
    assert {*Fault, *BUILT_IN} <= quoted
