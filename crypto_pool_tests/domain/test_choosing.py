"""Who wins a training, and what the winner may promise for having been chosen."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.evaluation import brier_skill, evaluation_metrics
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.overfitting import CorrectedPromise, correct_promise, gain_test
from crypto_pool.domain.recipe import DEFAULT_RECIPE
from crypto_pool.domain.selection import choose_winner, promise_of, winner_of
from crypto_pool.errors import UnscoredCandidate
from crypto_pool_tests.domain.evaluations import blurred, frame

BASELINE = "RandomWalk"


def judged(seed: int, count: int = 5, noise: float = 0.15) -> dict[str, pd.DataFrame]:
    """The reference as baseline, and candidates that are it with noise."""
    base = frame(seed)
    reference = base["reference_probability"]
    random = np.random.default_rng(seed + 1000)
    evaluations = {BASELINE: base.assign(probability=reference)}
    for number in range(count):
        moved = blurred(reference.to_numpy(), random, noise)
        evaluations[f"N{number}"] = base.assign(probability=moved)
    return evaluations


def better(rows: pd.DataFrame, share: float = 0.5) -> pd.DataFrame:
    return rows.assign(
        probability=(1 - share) * rows["reference_probability"] + share * rows["label"]
    )


def test_on_noise_the_baseline_wins_under_its_own_name_and_the_reason_has_the_figures():
    winners = [choose_winner(judged(seed), BASELINE, "one_standard_error") for seed in range(40)]
    names = [name for name, _ in winners]
    assert names.count(BASELINE) >= 32
    reason = next(reason for name, reason in winners if name == BASELINE)
    assert reason.startswith("RandomWalk wins: N")
    assert "is needed (" in reason
    assert "on 660 rows" in reason


def test_the_lowest_loss_wins_if_that_is_the_setting():
    evaluations = judged(3)
    losses = {
        name: ((rows["probability"] - rows["label"]) ** 2).mean()
        for name, rows in evaluations.items()
    }
    assert choose_winner(evaluations, BASELINE, "best")[0] == min(losses, key=losses.__getitem__)


def test_a_candidate_that_knows_more_wins_and_of_several_the_lowest_loss():
    evaluations = judged(8)
    evaluations |= {"Good": better(evaluations[BASELINE]), "Best": better(evaluations["N0"], 0.6)}
    winner, reason = choose_winner(evaluations, BASELINE, "one_standard_error")
    assert winner == "Best"
    assert "best of 2 above RandomWalk" in reason


def test_on_fewer_than_five_blocks_of_rows_no_candidate_is_told_from_luck():
    evaluations = judged(8, count=1)
    evaluations["Good"] = better(evaluations[BASELINE], 0.9)
    for rows, winner in ((149, BASELINE), (150, "Good")):
        few = {name: one.iloc[:rows] for name, one in evaluations.items()}
        found, reason = choose_winner(few, BASELINE, "one_standard_error")
        assert found == winner
        assert f"{rows} rows" in reason
        assert choose_winner(few, BASELINE, "best")[0] == "Good"


def test_a_candidate_judged_on_few_rows_takes_none_from_the_others():
    """Early folds are too short for some; what the others are told by must not shrink to theirs."""
    day, evaluations = pd.Timestamp("2024-01-01"), judged(8, count=2)
    evaluations["Good"] = better(evaluations[BASELINE])

    def found(frames: dict[str, pd.DataFrame]) -> tuple[str, CorrectedPromise]:
        trained = {
            name: TrainedCandidate(name, 0.5, day, day, {}, rows) for name, rows in frames.items()
        }
        winner, _ = winner_of(trained, BASELINE, DEFAULT_RECIPE)
        return winner, promise_of(trained, winner, DEFAULT_RECIPE)

    few = {**evaluations, "Few": better(evaluations[BASELINE], 0.9).iloc[-149:]}
    assert found(few) == found(evaluations)
    enough = {**evaluations, "Few": better(evaluations[BASELINE], 0.9).iloc[-150:]}
    winner, promise = found(enough)
    assert (winner, promise.rows) == ("Few", 150)


def test_without_weight_or_without_a_difference_no_candidate_wins():
    evaluations = judged(8, count=1)
    evaluations["Good"] = better(evaluations[BASELINE])
    found = choose_winner(evaluations, BASELINE, "best", weightless={"Good"})
    assert found[0] != "Good"
    same = {BASELINE: evaluations[BASELINE], "Same": evaluations[BASELINE]}
    for selection in ("best", "one_standard_error"):
        assert choose_winner(same, BASELINE, selection)[0] == BASELINE
    assert choose_winner({BASELINE: evaluations[BASELINE]}, BASELINE, "best")[0] == BASELINE


def test_one_standard_error_is_one_for_one_candidate_and_more_for_ten():
    random = np.random.default_rng(1)
    gains = random.normal(size=(6000, 10))
    assert gain_test(gains[:, :1], 30).critical == pytest.approx(1.0, abs=0.1)
    assert gain_test(gains, 30).critical == pytest.approx(2.1, abs=0.1)
    alike = gains[:, :1] + 0.1 * gains
    assert 1.0 < gain_test(alike, 30).critical < 1.5
    np.testing.assert_allclose(gain_test(gains, 30).standard_error, 6000**-0.5, rtol=0.15)


def test_a_baseline_promises_what_was_measured_with_an_interval():
    evaluations = judged(5)
    promise = correct_promise(evaluations, BASELINE, baseline=BASELINE)
    measured = evaluation_metrics(evaluations[BASELINE])
    assert promise.promised["precision"].value == pytest.approx(measured["precision"])
    assert promise.promised["brier_score"].value == pytest.approx(measured["brier_score"])
    assert promise.promised["recall"].value == pytest.approx(measured["positive_accuracy"])
    assert promise.promised["skill_over_reference"] == pytest.approx((0.0, 0.0, 0.0))
    for figure in promise.promised.values():
        assert figure.low <= figure.value <= figure.high
    assert (promise.candidates_tried, promise.rows) == (5, 660)
    assert promise.effective_sample_size == 33


def test_a_winner_without_skill_promises_less_than_was_measured():
    """Of many members the few whose candidate won, which was luck."""
    claims, higher, found = 0, 0, 0
    for seed in range(150):
        evaluations = judged(seed)
        winner, _ = choose_winner(evaluations, BASELINE, "one_standard_error")
        if winner == BASELINE:
            continue
        found += 1
        rows = evaluations[winner]
        losses = (rows["probability"] - rows["label"]) ** 2
        reference = (rows["reference_probability"] - rows["label"]) ** 2
        promise = correct_promise(evaluations, winner, baseline=BASELINE).promised
        skill = promise["skill_over_reference"]
        higher += skill.value >= brier_skill(losses.sum(), reference.sum())
        assert promise["brier_score"].value > losses.mean()
        claims += skill.low > 0
    assert found >= 5
    assert higher == 0
    assert claims <= 1


def test_a_winner_that_flags_nothing_is_charged_for_its_choice_all_the_same():
    """As of a coin that hardly moves: its precision is undefined, and the rest is promised."""
    evaluations = judged(8) | {"Lucky": better(judged(8)[BASELINE], 0.02)}
    flagging = correct_promise(evaluations, "Lucky", baseline=BASELINE).promised
    rows = evaluations["Lucky"].assign(decision_threshold=1.0)
    silent = correct_promise({**evaluations, "Lucky": rows}, "Lucky", baseline=BASELINE).promised
    assert silent["precision"] == (None, None, None)
    assert silent["recall"].value == 0.0
    for name in ("brier_score", "skill_over_reference"):
        assert silent[name] == pytest.approx(flagging[name])


def test_real_skill_is_promised_nearly_whole():
    evaluations = judged(8)
    evaluations["Good"] = better(evaluations[BASELINE])
    promise = correct_promise(evaluations, "Good", baseline=BASELINE)
    skill = promise.promised["skill_over_reference"]
    assert skill.value == pytest.approx(0.75, abs=0.02)
    assert skill.low > 0.5
    assert promise.pbo == 0.0


def test_too_few_rows_promise_no_interval_and_no_rows_no_promise():
    short = {name: rows.iloc[:149] for name, rows in judged(9).items()}
    assert correct_promise(short, BASELINE, baseline=BASELINE).promised["precision"].low is None
    with pytest.raises(UnscoredCandidate, match="train it again"):
        correct_promise(short, "Nobody", baseline=BASELINE)
    apart = {**short, "N0": judged(9)["N0"].iloc[200:]}
    with pytest.raises(UnscoredCandidate, match="no common bar date"):
        correct_promise(apart, BASELINE, baseline=BASELINE)
