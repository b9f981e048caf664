"""Only an edit of code a model depends on makes it another model."""

from dataclasses import replace

import grimp
import pytest

from crypto_pool.domain import candidates, performance
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.workflow import code_version as versions
from crypto_pool.workflow.code_version import (
    PACKAGE,
    TRAINING,
    code_version,
    domain_version,
    reached_modules,
    training_version,
)


def test_what_training_depends_on_is_what_the_import_graph_says():
    graph = grimp.build_graph("crypto_pool")
    roots = {f"{PACKAGE}.{name}" for name in TRAINING}
    upstream = set().union(*(graph.find_upstream_modules(root) for root in roots)) | roots
    expected = {name for name in upstream if name.startswith(f"{PACKAGE}.")}
    assert {f"{PACKAGE}.{name}" for name in reached_modules(*TRAINING)} == expected


def test_imports_inside_functions_count_and_what_comes_after_training_does_not():
    reached = reached_modules(*TRAINING)
    assert {"purged", "neural_net", "calibration_fitting", "signal_threshold"} <= set(reached)
    assert not {"performance", "review", "staleness", "drift", "promotion", "explanation"} & set(
        reached
    )
    assert "features" in reached_modules(*TRAINING, "features")
    assert code_version(*TRAINING, "features") != code_version()


@pytest.mark.parametrize(("edited", "is_another"), [(candidates, True), (performance, False)])
def test_an_edit_counts_where_training_reaches_it(tmp_path, monkeypatch, edited, is_another):
    before, whole = code_version(), domain_version()
    for source in versions.FOLDER.glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    copy = tmp_path / edited.__file__.rpartition("/")[2]
    copy.write_text(copy.read_text() + "# edited\n")
    monkeypatch.setattr(versions, "FOLDER", tmp_path)
    code_version.cache_clear()
    try:
        assert (code_version() != before) == is_another
        assert domain_version() != whole
    finally:
        code_version.cache_clear()


def test_a_version_is_short_and_its_own_for_each_set_of_modules():
    versions = {code_version(), code_version("reference"), domain_version()}
    assert {len(version) for version in versions} == {16}
    assert len(versions) == 3


def test_the_code_of_an_extensions_candidate_is_part_of_what_training_runs(monkeypatch):
    assert training_version() == code_version()
    found = {training_version()}
    for code in ("a", "b"):
        own = replace(CANDIDATES["LightGBM"], name="Mine", code=code)
        monkeypatch.setitem(CANDIDATES, "Mine", own)
        found.add(training_version())
    assert {len(version) for version in found} == {16}
    assert len(found) == 3
    assert code_version() in found
