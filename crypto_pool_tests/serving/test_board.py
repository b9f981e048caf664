"""What the board does about a publication that it cannot read."""

from datetime import date

from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.domain.staleness import TrainingCalendar
from crypto_pool.serving.board import Board


def test_what_cannot_be_read_is_logged_once_and_again_when_it_changes(tmp_path, caplog):
    link = tmp_path / LINK_NAME
    board = Board(
        tmp_path, ("BTC",), lambda: date(2026, 11, 23), TrainingCalendar(), synthetic_source=True
    )
    for name in ("crypto_pool-1.duckdb", "crypto_pool-2.duckdb"):
        (tmp_path / name).write_text("no database")
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        for _ in range(3):
            board.refresh()
            assert name in board.fault
    assert len(caplog.records) == 2
