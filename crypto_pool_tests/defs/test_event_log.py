"""How the event log of a run is written."""

from collections import defaultdict

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from crypto_pool.defs.event_log import write_at_once


@dg.asset
def made() -> None:
    """Nothing."""


def test_the_events_of_a_run_are_written_by_one_engine_a_file(tmp_path):
    write_at_once()
    connected = defaultdict(list)

    def note(connection: Connection) -> None:
        connected[str(connection.engine.url).rpartition("/")[2]].append(connection.engine)

    event.listen(Engine, "engine_connect", note)
    try:
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            run_id = dg.materialize([made], instance=instance).run_id
            ended = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_SUCCESS)
            assert instance.get_latest_materialization_event(made.key)
    finally:
        event.remove(Engine, "engine_connect", note)
    assert len(ended) == 1
    for name in (f"{run_id}.db", "index.db"):
        assert len(connected[name]) > 1 == len(set(connected[name]))
