"""What the reader does about a publication that it cannot read."""

from datetime import date

import anyio
import pytest

from crypto_pool.adapters.prediction_tables import LINK_NAME, publish
from crypto_pool.domain.staleness import RetrainRules
from crypto_pool.serving.publication_reader import LOOK_AGAIN_MS, PublicationReader
from crypto_pool_tests.pool_frames import pool_frames


@pytest.fixture
def reader(tmp_path) -> PublicationReader:
    return PublicationReader(
        tmp_path, ("BTC",), lambda: date(2026, 11, 23), RetrainRules(), synthetic_source=True
    )


def test_what_cannot_be_read_is_logged_once_and_again_when_it_changes(reader, tmp_path, caplog):
    link = tmp_path / LINK_NAME
    for name in ("crypto_pool-1.duckdb", "crypto_pool-2.duckdb"):
        (tmp_path / name).write_text("no database")
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        for _ in range(3):
            reader.refresh()
            assert name in reader.fault
    assert len(caplog.records) == 2


def test_a_link_that_is_mended_has_no_fault_any_more(reader, tmp_path):
    published, link = publish(tmp_path, pool_frames()), tmp_path / LINK_NAME
    reader.refresh()
    for target, is_faulty in (("lost.duckdb", True), (published.name, False)):
        (tmp_path / "lost.duckdb").write_text("no database")
        link.unlink()
        link.symlink_to(target)
        reader.refresh()
        assert (reader.fault is not None) == is_faulty, target
    assert reader.state().publication == published.name
    reader.close()


def test_it_stops_following_without_waiting_for_the_next_look(reader):
    async def follow_and_stop() -> None:
        stop = anyio.Event()
        with anyio.fail_after(LOOK_AGAIN_MS / 2000):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader.follow, stop)
                await anyio.wait_all_tasks_blocked()
                stop.set()

    anyio.run(follow_and_stop)
