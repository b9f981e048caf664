"""The page of the tables is the tables."""

from crypto_pool.domain.tables import TABLES
from crypto_pool_tests.conftest import ROOT
from docs.reference import tables_page

PAGE = ROOT / "docs" / "tables.md"


def test_the_page_is_up_to_date():
    assert tables_page() == PAGE.read_text(), "renew it: python docs/reference.py"


def test_every_column_has_a_meaning_and_every_key_its_columns():
    for table in TABLES.values():
        assert all(column.comment.endswith(".") for column in table.columns)
        assert set(table.key) <= set(table.names)
        assert len(set(table.names)) == len(table.names)
