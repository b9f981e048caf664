"""Members and symbols are read back from what they are written as, and others refused by name."""

import re
import unicodedata

import pytest

from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.symbols import parse_symbol
from crypto_pool.errors import InvalidSetting


def test_a_member_is_read_back_from_its_name_and_its_key():
    member = Member("BTC", Trend.UPTREND)
    assert (member.name, member.partition_key) == ("BTC_uptrend", "BTC|uptrend")
    assert Member.parse(member.name) == Member.parse(member.partition_key) == member
    for name in ("BTC_sideways", "_uptrend"):
        with pytest.raises(InvalidSetting, match=f"'{name}' names no member"):
            Member.parse(name)


@pytest.mark.parametrize("text", ["btc", " BTC ", "1INCH", "币安人生", "E\u0301TH"])
def test_a_symbol_is_letters_and_digits_of_any_script(text):
    assert parse_symbol(text) == unicodedata.normalize("NFC", text.strip()).upper()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("BTC/USD", "'/' is neither letter nor digit"),
        ("BTC.D", "'.' is neither"),
        ("../BTC", "'.' is neither"),
        ("BTC USD", "' ' is neither"),
        ("BTC_X", "'_' is neither"),
        ("", "it is empty"),
        ("A" * 21, "21 letters, at most 20"),
        ("\u00df", "is another form of 'SS'"),
        ("\ufb01l", "is another form of 'FI'"),
        ("\u017fol", "is another form of 'S'"),
        ("\u0131otx", "is another form of 'I'"),
        ("\u0149ear", "is another form of"),
        ("\uff22TC", "is another form of 'B'"),
        ("1inch\u00b2", "is another form of '2'"),
        ("\u0130otx", "is another form of"),
    ],
)
def test_what_is_no_symbol_is_refused_with_the_reason(text, why):
    with pytest.raises(InvalidSetting, match=re.escape(why)):
        parse_symbol(text)
