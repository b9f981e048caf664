import json

import pytest
from typer.testing import CliRunner

from crypto_pool.cli import app
from crypto_pool.errors import InvalidSetting
from crypto_pool.workflow.known_truth import MemberFinding, study_known_truth, summarise


def test_skill_is_found_where_it_is_planted_and_hardly_claimed_elsewhere(tmp_path):
    report = tmp_path / "truth.json"
    options = ["--seeds", "2", "--candidates", "RidgeClassifier,KNeighbors"]
    # A promise is charged for the choice: 1000 rows, as the pool trains on, can bear a claim.
    options += ["--training-rows", "1000", "--workers", "1"]
    answer = CliRunner().invoke(app, ["known-truth", *options, "--output", str(report)])
    assert answer.exit_code == 0, answer.output
    told = json.loads(report.read_text())
    walk, weaker, stronger = told["strengths"]
    assert (walk["strength"], walk["members"], walk["claims"]) == (0.0, 4, 0)
    assert stronger["mean_skill"] > max(weaker["mean_skill"], walk["mean_skill"])
    assert stronger["mean_skill"] > 0.05
    assert stronger["claims"] > 0
    strongest = [member for member in told["members"] if member["strength"] == 0.6]
    assert [member["winner"] != "RandomWalk" for member in strongest] == [True] * 4


def finding(low: float | None, skill: float | None) -> MemberFinding:
    return MemberFinding(0.0, 1, "BTC", "uptrend", "Ridge", skill, low, 0.2, None)


def test_a_claim_is_an_interval_above_zero():
    members = [finding(0.01, 0.1), finding(-0.01, 0.2), finding(None, None), finding(0.0, 0.0)]
    summary = summarise(0.0, members)
    assert (summary.members, summary.claims, summary.claim_share) == (4, 1, 0.25)
    assert summary.mean_skill == pytest.approx(0.1)
    assert summarise(0.5, members).claim_share is None


def test_a_study_of_nothing_is_refused():
    with pytest.raises(InvalidSetting, match="Magic"):
        study_known_truth(1, ("BTC",), ("Magic",), 500, 1)
