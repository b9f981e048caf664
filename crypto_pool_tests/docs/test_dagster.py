"""What the Dagster UI shows: its words name what there is, and docs/operating.md tells of it."""

import re

import pytest

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.tables import TABLES
from crypto_pool.settings import Settings
from crypto_pool_tests.conftest import ROOT
from crypto_pool_tests.docs.test_names import WORD, is_a_name

OPERATING = ROOT / "docs" / "operating.md"
HOW_IT_WORKS = ROOT / "docs" / "how-it-works.md"
OF_OTHERS = {"DuckDB", "crypto_pool"}
CUTS = {
    "StaticPartitionsDefinition": "coin",
    "MultiPartitionsDefinition": "coin x trend",
    "DailyPartitionsDefinition": "day",
    "NoneType": "",
}


@pytest.fixture(scope="module")
def described() -> dict[str, dict[str, str]]:
    """What is said of each thing by its name, kind by kind."""
    from crypto_pool.definitions import defs

    graph, shown = defs.resolve_asset_graph(), defs.get_repository_def()
    checks = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    return {
        "assets": {
            spec.key.to_user_string(): spec.description for spec in defs.resolve_all_asset_specs()
        },
        "checks": {spec.name: spec.description for spec in checks},
        "jobs": {
            one.name: one.description
            for one in shown.get_all_jobs()
            if not one.name.startswith("__")
        },
        "schedules": {one.name: one.description for one in shown.schedule_defs},
        "sensors": {one.name: one.description for one in shown.sensor_defs},
    }


def test_everything_is_described_by_names_that_there_are(described):
    columns = {name for table in TABLES.values() for name in (table.store_name, *table.names)}
    things = {name for kind in described.values() for name in kind}
    known = things | columns | OF_OTHERS | {*TABLES, *CANDIDATES, *Settings.model_fields}
    for kind, texts in described.items():
        for name, text in texts.items():
            assert text, f"{kind} {name} has no description"
            assert {word for word in WORD.findall(text) if is_a_name(word)} <= known, name


@pytest.mark.parametrize("kind", ["checks", "schedules", "sensors"])
def test_what_is_seen_while_it_runs_is_told_in_operating(described, kind):
    quoted = set(re.findall(r"`(\w+)`", OPERATING.read_text()))
    assert {*described[kind]} - quoted == set()


def test_the_table_of_how_it_works_is_the_graph():
    from crypto_pool.definitions import defs

    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    text = HOW_IT_WORKS.read_text().partition("## The graph")[2].partition("\n## ")[0]
    listed = set()
    for row in re.findall(r"^\| ([a-z]+ \| `.*)\|$", text, flags=re.MULTILINE):
        group, names, cut, _ = map(str.strip, row.split("|", 3))
        for name in re.findall(r"`([^`]+)`", names):
            algorithms = [*CANDIDATES] if "<" in name else [""]
            for key in (name.replace("<algorithm>", one) for one in algorithms):
                listed.add(key)
                assert specs[key].group_name == group
                assert CUTS[type(specs[key].partitions_def).__name__] == cut, key
    assert listed == set(specs)
