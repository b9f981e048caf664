"""A pool that lives through past days forecasts each as it would have been then."""

from datetime import UTC, date, datetime, timedelta

import pytest

from crypto_pool.living import Life, _clock_at
from crypto_pool.settings import load_settings

FIRST = date(2021, 3, 1)


def test_each_day_is_forecast_once_after_its_training_and_reviewed_within_ten():
    life = Life(FIRST, FIRST + timedelta(days=34), retrain_every_days=25)
    stretches = list(life.stretches())
    assert [day for _, days in stretches for day in days] == [
        FIRST + timedelta(days=n) for n in range(35)
    ]
    assert [(training, len(days)) for training, days in stretches] == [
        (FIRST, 10),
        (FIRST, 10),
        (FIRST, 5),
        (FIRST + timedelta(days=25), 10),
    ]
    assert life.trainings() == [FIRST, FIRST + timedelta(days=25)]


def test_the_clock_stands_where_it_stood_and_never_ahead_of_the_true_one():
    then = datetime(2021, 3, 2, 0, 40, tzinfo=UTC)
    with _clock_at(then):
        assert load_settings().now() == then
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with _clock_at(tomorrow):
        assert load_settings().now() <= datetime.now(UTC)
    assert not load_settings().is_clock_simulated
    load_settings.cache_clear()


@pytest.mark.long
def test_a_life_is_in_time_and_goes_on_where_it_was_stopped(new_pool):
    pool = new_pool(
        symbols="BTC",
        training_rows="300",
        sandbox_predictability="0.6",
        simulated_now="2024-03-01T12:00:00",
        first_prediction_date="2024-01-01",
    )
    dates = ("--from", "2024-01-31", "--to", "2024-02-29", "--retrain-every-days", "20")
    first = pool.run("live", *dates)
    assert "trained as of 2024-01-31" in first.stdout
    assert "trained as of 2024-02-20" in first.stdout
    rows = pool.table("predictions")
    assert not rows["late"].any()
    assert (
        rows["predicted_at_utc"].dt.date.astype(str) > rows["prediction_date"].astype(str)
    ).all()
    known = rows["prediction_date"].max() - timedelta(days=10)
    outcomes = pool.table("prediction_outcomes")
    assert outcomes["prediction_date"].max() == known
    again = pool.run("live", *dates)
    assert "trained as of" not in again.stdout
    refused = pool.run("live", "--from", "2023-01-01")
    assert (refused.returncode, "lies before 2024-01-01" in refused.stderr) == (2, True)
