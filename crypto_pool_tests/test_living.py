"""A pool that lives through past days forecasts each as it would have been then."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from crypto_pool.errors import InvalidSetting
from crypto_pool.living import _clock_at, stretches
from crypto_pool.replay.plan import Life
from crypto_pool.settings import load_settings

FIRST = date(2021, 3, 1)


def test_each_day_is_lived_alone_unless_a_grid_of_trainings_is_asked_for():
    end = FIRST + timedelta(days=34)
    life = Life(FIRST, end)
    assert [days for days in stretches(life)] == [[day] for day in life.days]
    assert len(life.days) == 35
    grid = Life(FIRST, end, retrain_every_days=25)
    together = list(stretches(grid))
    assert [day for days in together for day in days] == [*grid.days]
    assert [(days[0], len(days)) for days in together] == [
        (FIRST, 10),
        (FIRST + timedelta(days=10), 10),
        (FIRST + timedelta(days=20), 5),
        (FIRST + timedelta(days=25), 10),
    ]
    assert [day for day in grid.days if grid.is_training_day(day)] == [
        FIRST,
        FIRST + timedelta(days=25),
    ]
    with pytest.raises(InvalidSetting, match="retrain-every-days is 0"):
        Life(FIRST, end, retrain_every_days=0)


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
    assert "trained 2 of 2 members as of 2024-01-31" in first.stdout
    assert "trained 2 of 2 members as of 2024-02-20" in first.stdout
    rows = pool.table("predictions")
    assert not rows["late"].any()
    assert (
        rows["predicted_at_utc"].dt.date.astype(str) > rows["prediction_date"].astype(str)
    ).all()
    known = rows["prediction_date"].max() - timedelta(days=10)
    outcomes = pool.table("prediction_outcomes")
    assert outcomes["prediction_date"].max() == known
    again = pool.run("live", *dates)
    assert "trained" not in again.stdout
    assert "forecast" not in again.stdout
    refused = pool.run("live", "--from", "2023-01-01")
    assert (refused.returncode, "lies before 2024-01-01" in refused.stderr) == (2, True)


@pytest.mark.long
def test_without_a_grid_the_stale_alone_are_trained_and_each_day_is_reviewed(new_pool):
    pool = new_pool(
        symbols="BTC",
        training_rows="300",
        retrain_after_days="8",
        simulated_now="2024-03-01T12:00:00",
        first_prediction_date="2024-01-01",
    )
    done = pool.run("live", "--from", "2024-02-18", "--to", "2024-02-29")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line.rsplit(":", 1)[0] for line in done.stdout.splitlines()]
    forecast = [f"forecast 2024-02-{day}" for day in range(18, 30)]
    assert [line for line in said if line.startswith("forecast")] == forecast
    scored = [f"scored as of 2024-02-{day}" for day in (28, 29)]
    assert [line for line in said if line.startswith("scored")] == scored
    ledger = pool.table("promotions").sort_values("as_of")
    trained = ledger.groupby(["symbol", "trend"])["as_of"].unique()
    for days in trained:
        waits = {(after - before).days for before, after in pairwise(days)}
        assert waits <= {7, 8}  # without a champion once the cooldown is over, else by age
        assert f"{days[0]:%Y-%m-%d}" == "2024-02-18"
        assert len(days) == 2
