"""Panel and candidates are told apart: whose skill it is that a market's truth allows."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from typer.testing import CliRunner

from crypto_pool.cli import app
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import InvalidSetting
from crypto_pool.replay.known_truth import (
    MemberFinding,
    StudyTask,
    judge_member,
    study_known_truth,
    summarise,
)

ROWS = 1000


def judged(*, panel_knows: bool, candidate_knows: bool, selection: str) -> MemberFinding:
    """A member whose outcome has one cause, known to the panel or told by a feature."""
    random = np.random.default_rng(5)
    cause, noise = random.normal(0, 1.2, ROWS), random.normal(size=(ROWS, 2))
    reference = expit(0.1 * random.normal(size=ROWS))
    table = TrainingTable(
        features=pd.DataFrame(
            {"told": cause if candidate_knows else noise[:, 0], "noise": noise[:, 1]},
            index=pd.date_range("2020-01-01", periods=ROWS),
        ),
        labels=(random.random(ROWS) < expit(cause)).astype(int),
        reference_probability=reference,
        panel_probability=expit(0.8 * cause) if panel_knows else reference,
    )
    task = StudyTask("drift", 0, ("BTC",), ("RidgeClassifier",), ROWS)
    member = Member("BTC", Trend.UPTREND)
    return judge_member(task, member, table, Recipe(selection=selection))


def claims(finding: MemberFinding) -> tuple[int, int]:
    row = next(one for one in summarise([finding]) if one["members"])
    return row["claims_of_panel"], row["claims_of_candidates"]


def test_what_the_panel_knows_is_credited_to_no_candidate():
    """Not even where a candidate that is anchored to the panel wins by a hair."""
    for candidate_knows in (False, True):
        found = judged(panel_knows=True, candidate_knows=candidate_knows, selection="best")
        assert claims(found)[0] == 1
        assert found.panel.value > 0.1
    assert found.winner == "RidgeClassifier"
    row = next(one for one in summarise([found]) if one["members"])
    assert row["candidates_skill"] > 0.1  # over the reference it has the panel's
    assert found.added.value < 0.05


def test_what_a_candidate_knows_is_credited_to_no_panel():
    found = judged(panel_knows=False, candidate_knows=True, selection="one_standard_error")
    assert found.winner == "RidgeClassifier"
    assert claims(found) == (0, 1)
    assert found.added.low > 0.02
    assert found.panel.value == pytest.approx(0)


def test_where_nobody_knows_nobody_claims():
    found = judged(panel_knows=False, candidate_knows=False, selection="one_standard_error")
    assert claims(found) == (0, 0)
    assert not found.is_won


@pytest.mark.long
def test_the_study_trains_the_coins_of_each_market_on_one_panel(tmp_path):
    report = tmp_path / "truth.json"
    options = ["--seeds", "1", "--symbols", "BTC,ETH", "--candidates", "RidgeClassifier"]
    options += ["--training-rows", "2000", "--workers", "1", "--output", str(report)]
    answer = CliRunner().invoke(app, ["known-truth", *options])
    assert answer.exit_code == 0, answer.output
    told = json.loads(report.read_text())
    nothing, volatility, drift = told["planted"]
    assert [one["planted"] for one in told["planted"]] == ["nothing", "volatility", "drift"]
    assert {one["members"] for one in told["planted"]} == {4}
    assert nothing["claims_of_candidates"] == volatility["claims_of_candidates"] == 0
    assert abs(nothing["panel_skill"]) < 0.01
    assert drift["won_by_candidates"] >= 2
    assert drift["candidates_skill_low"] > 0
    assert {one["winner"] for one in told["members"]} == {"Panel", "RidgeClassifier"}


def test_a_study_of_nothing_is_refused():
    with pytest.raises(InvalidSetting, match="Magic"):
        study_known_truth(1, ("BTC",), ("Magic",), 500, 1)
