"""The life of a champion: promoted, kept, refreshed, rolled back, killed half-way."""

import json
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.explanation_plots import BAR_FILE, BEESWARM_FILE
from crypto_pool.adapters.ledger import serving_version
from crypto_pool.adapters.model_aliases import ModelAliases
from crypto_pool.domain.evaluation import Gates
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow import championing
from crypto_pool.workflow.repairing import complete_decision
from crypto_pool.workflow.reproducing import reproduce
from crypto_pool.workflow.reverting import ServiceRecord, roll_back
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    REFRESHED,
    SECOND,
    STAYS,
    noon_after,
)

ROOT = Path(__file__).parents[2]


def test_the_first_winner_serves_and_its_version_says_what_was_promised(pool):
    champion = pool.registry.champion(MEMBER.name)
    assert pool.serving == "1"
    tags = champion.tags
    low, high = json.loads(tags["precision_interval"])
    assert low <= float(tags["precision"]) <= high
    assert tags["candidates_tried"] == "2"
    assert json.loads(tags["effective_sample_size"]) > 0
    assert len(json.loads(tags["feature_importance"])) == 19
    assert tags["verdict"] == "promoted"
    assert list(pool.decisions["decision"]) == ["promoted"]
    assert json.loads(pool.decisions["challenger_metrics"][0])["promised"]["precision"] == float(
        tags["precision"]
    )


def test_the_champion_s_run_holds_the_pictures_of_its_explanation(pool):
    champion = pool.registry.champion(MEMBER.name)
    stored = {file.path for file in pool.registry.client.list_artifacts(champion.run_id)}
    assert {BEESWARM_FILE, BAR_FILE} <= stored
    assert 0 <= json.loads(champion.tags["explanation_standard_error"]) < 0.01


def test_the_same_build_again_adds_no_decision_and_no_version(pool):
    before = pool.decisions
    assert pool.appoint(FIRST).decision == "serves"
    pool.appoint(SECOND)
    pool.appoint(SECOND)
    assert len(pool.decisions) == len(before) + 1
    with pytest.raises(ModelUnavailable, match="no version 3: there are 1, 2"):
        pool.registry.version(MEMBER.name, "3")


def test_a_challenger_that_is_not_better_is_kept_in_the_shadow(pool):
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "kept"
    assert pool.serving == "1"
    shadow = pool.registry.challenger(MEMBER.name)
    assert shadow.version == "2"
    assert shadow.tags["verdict"] == "kept"
    record = pool.decisions.iloc[-1]
    assert (record["model_version"], record["serving_version"]) == ("2", "1")
    compared = json.loads(record["champion_metrics"])["compared"]
    assert compared["slice_size"] == 60
    assert decision.row["model_version"] == "1"


def test_a_rejection_says_once_what_the_best_candidate_lacks(pool, monkeypatch):
    monkeypatch.setattr(championing, "Gates", lambda: Gates(positive_accuracy=0.99))
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "rejected"
    assert re.fullmatch(
        r"none of 2 candidates passed the gates \(\w+, the best of them: "
        r"recall 0\.\d+, more than 0\.99 is needed\); version 1 stays: it is 80 days old "
        r"\(refresh_after_days is 10000\)",
        decision.reason,
    )


def test_an_old_champion_gives_way(pool):
    decision = pool.appoint(SECOND, REFRESHED)
    assert decision.decision == "refreshed"
    assert "80 days old (refresh_after_days is 30)" in decision.reason
    assert "on 60 rows that neither has seen" in decision.reason
    assert pool.serving == "2"
    assert pool.registry.previous(MEMBER.name).version == "1"
    assert pool.registry.challenger(MEMBER.name) is None


def test_an_old_champion_stands_down_where_the_winner_fails_the_gates(pool, monkeypatch):
    monkeypatch.setattr(Gates, "failures", lambda gates, metrics: ("recall is too low",))
    assert pool.appoint(SECOND, STAYS).decision == "rejected"
    assert pool.serving == "1"
    decision = pool.appoint(SECOND, REFRESHED)
    assert decision.decision == "stood down"
    assert (pool.serving, decision.row) == (None, None)
    assert pool.decisions["serving_version"].iloc[-1] is None
    assert pool.registry.previous(MEMBER.name).version == "1"
    # Killed before the alias was gone, the next build takes it away.
    pool.registry.set_champion(MEMBER.name, "1")
    pool.appoint(SECOND, REFRESHED)
    assert pool.serving is None


def test_a_champion_that_does_not_load_is_replaced(pool):
    run = pool.registry.run(pool.registry.champion(MEMBER.name).run_id)
    model = run.model_uri.removeprefix("models:/")
    for stored in (pool.folder / "models").rglob("calibration.json"):
        if model in str(stored):
            stored.write_text("{}")
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "replaced"
    assert "no longer loads" in decision.reason
    assert pool.serving == "2"


def test_an_older_build_moves_no_alias_back(pool):
    pool.appoint(SECOND, REFRESHED)
    decision = pool.appoint(FIRST, REFRESHED)
    assert decision.decision == "kept"
    assert pool.serving == "2"
    assert pool.registry.challenger(MEMBER.name) is None


def test_the_ledger_tells_who_served_on_a_day(pool):
    pool.appoint(SECOND, REFRESHED)
    decisions = pool.decisions
    assert serving_version(decisions, noon_after(date(2022, 5, 1))) is None
    assert serving_version(decisions, noon_after(date(2022, 7, 1))) == "1"
    assert serving_version(decisions, noon_after(date(2022, 9, 1))) == "2"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_promotion_and_run_again_it_ends_the_same(pool, moment):
    """Killed between registration and alias, the old champion serves until the next run."""
    call = "kill()" if moment == "before" else "(original(*given), kill())"
    script = f"""
import os, signal
from pathlib import Path
from crypto_pool.adapters.model_aliases import ModelAliases
from crypto_pool_tests.workflow.small_pool import REFRESHED, SECOND, SmallPool
original = ModelAliases.set_champion
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
ModelAliases.set_champion = lambda *given: {call}
SmallPool(Path({str(pool.folder)!r})).appoint(SECOND, REFRESHED)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert pool.registry.version(MEMBER.name, "2")
    assert pool.serving == ("1" if moment == "before" else "2")

    pool.appoint(SECOND, REFRESHED)
    assert pool.serving == "2"
    assert pool.registry.previous(MEMBER.name).version == "1"
    assert pool.registry.version(MEMBER.name, "2").tags["verdict"] == "refreshed"
    assert list(pool.decisions["decision"]) == ["promoted", "refreshed"]


def test_a_recorded_promotion_takes_effect_before_anything_else_is_decided(pool, monkeypatch):
    """A process that ends after the record leaves a decision whose alias has not moved."""
    monkeypatch.setattr(ModelAliases, "set_champion", lambda *_: None)
    pool.appoint(SECOND, REFRESHED)
    monkeypatch.undo()
    assert pool.serving == "1"
    assert complete_decision(pool.registry, MEMBER, pool.decisions)
    assert pool.serving == "2"
    assert pool.registry.previous(MEMBER.name).version == "1"
    assert not complete_decision(pool.registry, MEMBER, pool.decisions)
    assert not complete_decision(pool.registry, MEMBER, pd.DataFrame())


def test_rollback_serves_the_previous_version_and_no_build_undoes_it(pool):
    pool.appoint(SECOND, REFRESHED)
    done = roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    assert (done.before, done.after) == ("2", "1")
    assert done.told == (
        "AAA_uptrend: version 1 serves, version 2 does no more. Stored forecasts stay those of the "
        "version that made them; version 1 makes the next ones."
    )
    assert pool.serving == "1"
    assert pool.decisions["decision"].iloc[-1] == "rolled back"
    assert pool.store.read("champions", MEMBER.partition_key)["model_version"][0] == "1"

    assert "rolled back by hand" in pool.appoint(SECOND, REFRESHED).reason
    assert pool.serving == "1"
    roll_back(pool.store, pool.registry, MEMBER, "2", SECOND, noon_after(SECOND))
    assert pool.serving == "2"


def test_rollback_never_returns_to_a_version_that_was_left(pool):
    pool.appoint(SECOND, REFRESHED)
    store, registry, now = pool.store, pool.registry, noon_after(SECOND)
    roll_back(store, registry, MEMBER, None, SECOND, now)
    told = r"AAA_uptrend: no version before 1 .* --to 2 brings back the one that was left"
    with pytest.raises(ModelUnavailable, match=told):
        roll_back(store, registry, MEMBER, None, SECOND, now)
    assert pool.serving == "1"
    roll_back(store, registry, MEMBER, "2", SECOND, now)
    with pytest.raises(ModelUnavailable, match=r"no version before 2 .* --to 1 brings back"):
        roll_back(store, registry, MEMBER, None, SECOND, now)


@pytest.mark.parametrize(
    ("decided", "stays", "left"),
    [
        ("", "", ""),
        ("promoted 1, kept 1, refreshed 2, promoted 3", "123", ""),
        ("promoted 1, promoted 2, promoted 3, rolled back 2", "12", "3"),
        ("promoted 1, promoted 2, promoted 3, rolled back 2, rolled back 1", "1", "32"),
        ("promoted 1, promoted 2, promoted 3, rolled back 1", "1", "3"),  # 2 came after 1
        ("promoted 1, promoted 2, rolled back 1, promoted 3", "13", "2"),
        ("promoted 1, promoted 2, rolled back 1, promoted 2", "12", ""),
        ("promoted 1, promoted 2, rolled back 1, rolled back 2", "2", "1"),
        ("promoted 1, promoted 3, quarantined 3, rolled back 2", "12", "3"),  # 2 never served
    ],
)
def test_the_ledger_tells_where_a_rollback_may_go(decided, stays, left):
    words = [decision.rsplit(" ", 1) for decision in decided.split(", ") if decision]
    rows = pd.DataFrame(words, columns=["decision", "serving_version"])
    record = ServiceRecord.of(rows)
    assert ("".join(record.stays), "".join(record.left)) == (stays, left)
    assert record.before(stays[-1:]) == (stays[-2] if len(stays) > 1 else None)


def test_rollback_needs_somewhere_to_go(pool):
    with pytest.raises(ModelUnavailable, match="no previous version"):
        roll_back(pool.store, pool.registry, MEMBER, None, FIRST, noon_after(FIRST))
    with pytest.raises(ModelUnavailable, match="no version 9: there are 1"):
        roll_back(pool.store, pool.registry, MEMBER, "9", FIRST, noon_after(FIRST))
    with pytest.raises(ModelUnavailable, match="serves already"):
        roll_back(pool.store, pool.registry, MEMBER, "1", FIRST, noon_after(FIRST))


def test_a_version_is_reproduced_from_its_stored_rows(pool):
    done = reproduce(pool.store, pool.registry, MEMBER, "1")
    assert done.is_equal, done
    assert done.rows == 500

    key = pool.registry.champion(MEMBER.name).tags["data_hash"]
    rows: pd.DataFrame = pool.store.read("training_snapshots", key)
    pool.store.write("training_snapshots", key, rows.assign(label=1 - rows["label"]))
    assert not reproduce(pool.store, pool.registry, MEMBER, "1").is_equal
