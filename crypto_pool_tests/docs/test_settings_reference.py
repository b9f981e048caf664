"""The page of settings is the settings, and every setting is read somewhere."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

from crypto_pool.domain.recipe import Recipe
from crypto_pool.setting_checks import REMOVED, variable_name
from crypto_pool.setting_groups import HIDDEN
from crypto_pool.setting_sources import is_secret
from crypto_pool.settings import Settings
from crypto_pool.settings_reference import grouped_settings
from crypto_pool_tests.conftest import ROOT
from docs.reference import settings_page

PAGE = ROOT / "docs" / "configuration.md"


def read_names(tree: ast.AST, names_of_settings: set[str]) -> Iterator[str]:
    """Attributes taken of something named settings, and names handed to getattr as text."""
    uses_getattr = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = getattr(owner, "id", getattr(owner, "attr", ""))
            if name in names_of_settings:
                yield node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
            first = node.args[0]
            uses_getattr |= getattr(first, "id", getattr(first, "attr", "")) in names_of_settings
    if uses_getattr:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def unread(sources: dict[str, str], wanted: set[str]) -> set[str]:
    """Settings that no source reads; the settings' own module reads itself as self."""
    read = set()
    for name, source in sources.items():
        owners = (
            {"self"} if name in ("settings.py", "setting_clock.py") else {"settings", "_settings"}
        )
        read |= set(read_names(ast.parse(source), owners))
    return wanted - read


def test_the_page_is_up_to_date():
    assert settings_page() == PAGE.read_text(), "renew it: python docs/reference.py"


def test_every_setting_has_a_row_and_a_group_of_its_own():
    page = PAGE.read_text()
    fields = Settings.model_fields.items()
    shown = {name for name, field in fields if field.json_schema_extra is not HIDDEN}
    for name in Settings.model_fields:
        assert page.count(f"| `{variable_name(name)}` |") == (name in shown)
    grouped = [name for names in grouped_settings().values() for name in names]
    assert sorted(grouped) == sorted(shown)
    assert len(grouped) <= 50


def test_the_example_of_an_env_file_has_each_secret_and_nothing_else():
    secrets = {name for name, field in Settings.model_fields.items() if is_secret(field)}
    shown = re.findall(r"^# (\w+)=$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert sorted(shown) == sorted(map(variable_name, secrets))


def test_the_changelog_tells_of_each_setting_that_is_gone():
    told = set(re.findall(r"`(\w+)`", (ROOT / "CHANGELOG.md").read_text()))
    assert set(REMOVED) <= told


def test_every_setting_is_read_somewhere():
    package = ROOT / "crypto_pool"
    sources = {path.name: path.read_text() for path in package.glob("*.py")}
    sources |= {str(path): path.read_text() for path in package.glob("*/**/*.py")}
    del sources["settings_reference.py"]
    by_the_recipe = set(Recipe().to_settings())
    nobodys = "a_setting_that_nobody_reads"
    assert unread(sources, {nobodys, *Settings.model_fields} - by_the_recipe) == {nobodys}


def test_the_recipe_reads_its_settings_by_their_names():
    changed = {"seed": 3, "target_pct": 0.07, "time_period": 9, "training_rows": 500}
    given = Settings(_env_file=None, **changed).recipe.to_settings()
    assert given == {**Recipe().to_settings(), **changed}
    assert given.keys() <= Settings.model_fields.keys()


def test_a_token_is_not_shown(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_SERVING_TOKEN", "the-secret-token")
    made = subprocess.run(
        [sys.executable, "-c", "from docs.reference import settings_page; print(settings_page())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "the-secret-token" not in made.stdout
