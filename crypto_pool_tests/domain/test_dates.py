"""Days as people give them."""

from datetime import date

import pytest

from crypto_pool.domain.dates import read_date
from crypto_pool.errors import InvalidSetting


@pytest.mark.parametrize("text", ["2009-01-01", "2024-02-29", "2099-12-31"])
def test_a_day_of_the_years_that_have_bars_is_read(text):
    assert read_date("--date", text) == date.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2008-12-31", "--date 2008-12-31: bars are of 2009 to 2099"),
        ("2100-01-01", "--date 2100-01-01: bars are of 2009 to 2099"),
        ("2023-02-29", "--date '2023-02-29' is not a date; use YYYY-MM-DD"),
        ("", "is not a date"),
    ],
)
def test_any_other_is_refused_with_the_way_out(text, why):
    with pytest.raises(InvalidSetting, match=why):
        read_date("--date", text)
