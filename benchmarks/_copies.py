"""A member trained for real, and its rows in every store for any number of others."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import dagster as dg

    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.domain.members import Member

DAY = date(2022, 6, 1)
ALGORITHMS = ("LightGBM", "RidgeClassifier")
FORECAST_DAYS = 30
CHUNK = 50
TRAINED_A_DAY = 40
BY_COIN = ("daily_bars", "feature_table")
BY_MEMBER = ("candidate_scores", "champions", "promotions")
# Tables of MLflow's database, the column that says whose a row is, and others that do.
COPIED = {
    "experiments": "experiment_id",
    "runs": "run_uuid",
    **dict.fromkeys(("tags", "params", "metrics", "latest_metrics"), "run_uuid"),
    "registered_models": "name",
    **dict.fromkeys(("registered_model_tags", "registered_model_aliases"), "name"),
    **dict.fromkeys(("model_versions", "model_version_tags"), "name"),
}
COPIED_COLUMNS = {
    "experiments": ("experiment_id", "name"),
    "runs": ("run_uuid", "experiment_id"),
    "model_versions": ("name", "run_id"),
}


@dataclass(frozen=True)
class Template:
    """The member that was really trained, as its stores hold it."""

    member: "Member"
    run: Any
    tags: dict[str, str]
    tables: dict[str, Any]
    events: "Sequence[dg.AssetMaterialization]"

    @classmethod
    def train(cls, pool: "PoolResource", instance: "dg.DagsterInstance") -> "Template":
        """Pull, train and forecast one coin through the pool's own jobs."""
        from crypto_pool.adapters.ledger import Ledger
        from crypto_pool.defs.assets.models import candidate_key, champion
        from crypto_pool.defs.assets.raw import daily_bars
        from crypto_pool.workflow.promotion.reconciling import champions_of

        member = pool.members[0]
        key = member.partition_key
        _execute(instance, "refresh_features", [member.symbol])
        trained = [*(candidate_key(name) for name in ALGORITHMS), champion.key]
        _execute(instance, "train_members", [key], trained)
        _execute(instance, "predict_day", [DAY.isoformat()])
        record = champions_of(pool.registry, Ledger(pool.store).by_member(), [member])[
            member
        ].version
        if record is None:
            raise RuntimeError(f"{member.name} got no champion, so there is nothing to copy")
        store = pool.store
        tables = {
            "daily_bars": store.read("daily_bars", member.symbol),
            "feature_table": store.read("feature_table", member.symbol),
            **{name: store.read(name, key) for name in BY_MEMBER},
            "daily_predictions": store.read("daily_predictions", DAY.isoformat()),
        }
        events = [
            instance.fetch_materializations(asset, limit=1).records[0].asset_materialization
            for asset in (daily_bars.key, *trained)
        ]
        run = pool.registry.client.get_run(record.run_id)
        return cls(member, run, dict(record.tags), tables, events)


def fill(pool: "PoolResource", instance: "dg.DagsterInstance", template: Template) -> None:
    """Write for every other member what the template has."""
    import pandas as pd

    from crypto_pool.adapters.worker_pool import WorkerPool

    others = [member for member in pool.members if member != template.member]
    chunks = [others[start : start + CHUNK] for start in range(0, len(others), CHUNK)]
    tasks = [(pool.store, replace(template, events=()), chunk) for chunk in chunks]
    written = sum(n for _, n in WorkerPool(pool.settings.workers).map_unordered(copy_tables, tasks))
    assert written == len(others)
    copy_registry(pool.settings.state_dir / "mlflow" / "mlflow.db", template, others)
    assert "champion" in pool.registry.versions.aliases_of(others[-1].name)
    row = template.tables["daily_predictions"].iloc[[0]]
    rows = pd.concat([row.assign(**_owner(member)) for member in pool.members], ignore_index=True)
    for back in range(FORECAST_DAYS):
        day = DAY - timedelta(days=back)
        pool.store.write("daily_predictions", day.isoformat(), rows.assign(prediction_date=day))
    for member in others:
        for event in template.events:
            by_symbol = "|" not in str(event.partition)
            partition = member.symbol if by_symbol else member.partition_key
            if not by_symbol or member.trend == pool.members[0].trend:
                instance.report_runless_asset_event(event._replace(partition=partition))


def live_a_day(pool: "PoolResource", template: Template) -> None:
    """Write what the day after brings: a bar and features of each coin, forecasts, trainings."""
    from crypto_pool.adapters.worker_pool import WorkerPool

    symbols = list(dict.fromkeys(member.symbol for member in pool.members))
    chunks = [symbols[start : start + CHUNK] for start in range(0, len(symbols), CHUNK)]
    longer = {table: _with_a_day_more(template.tables[table]) for table in BY_COIN}
    tasks = [(pool.store, longer, chunk) for chunk in chunks]
    written = sum(n for _, n in WorkerPool(pool.settings.workers).map_unordered(write_coins, tasks))
    assert written == len(symbols)
    before = pool.store.read("daily_predictions", DAY.isoformat())
    day = DAY + timedelta(days=1)
    pool.store.write("daily_predictions", day.isoformat(), before.assign(prediction_date=day))
    copy_tables((pool.store, template, pool.members[2 : 2 + TRAINED_A_DAY]))


def _with_a_day_more(frame: Any) -> Any:
    import pandas as pd

    last = frame.tail(1)
    return pd.concat([frame, last.set_axis(last.index + pd.Timedelta(days=1))])


def write_coins(task: tuple["FrameStore", Mapping[str, Any], Sequence[str]]) -> int:
    """Runs in a worker: the same frames for some coins."""
    store, frames, symbols = task
    for symbol in symbols:
        for table, frame in frames.items():
            store.write(table, symbol, frame)
    return len(symbols)


def copy_registry(database: Path, template: Template, members: Sequence["Member"]) -> None:
    """Copy the rows of the template's experiment, run and registered version for each member."""
    from crypto_pool.adapters.mlflow.version import model_name

    run = template.run.info
    old = {
        "experiment_id": run.experiment_id,
        "run_uuid": run.run_id,
        "name": model_name(template.member.name),
    }
    with closing(sqlite3.connect(database)) as connection, connection:
        [(last,)] = connection.execute(
            "SELECT max(CAST(experiment_id AS INTEGER)) FROM experiments"
        )
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in COPIED
        }
        for number, member in enumerate(members, last + 1):
            run_id = uuid4().hex
            new = {
                "experiment_id": number,
                "run_uuid": run_id,
                "run_id": run_id,
                "name": model_name(member.name),
            }
            for table, key in COPIED.items():
                given = {**new, "name": member.name} if table == "experiments" else new
                wanted = COPIED_COLUMNS.get(table, (key,))
                values = [_copied(name, wanted, member) for name in columns[table]]
                connection.execute(
                    f"INSERT INTO {table} SELECT {', '.join(values)} FROM {table} "
                    f"WHERE {key} = :old",
                    {**given, "old": old[key]},
                )


def _copied(column: str, replaced: Sequence[str], member: "Member") -> str:
    """An SQL expression: the new key, the tag that names the member, or the same as before."""
    if column in replaced:
        return f":{column}"
    if column != "value":
        return f'"{column}"'
    named = {**_owner(member), "member": member.name}
    cases = " ".join(f"WHEN '{key}' THEN '{value}'" for key, value in named.items())
    return f"CASE key {cases} ELSE value END"


def copy_tables(task: tuple["FrameStore", Template, Sequence["Member"]]) -> int:
    """Runs in a worker: the Parquet files of some members."""
    store, template, members = task
    for member in members:
        key = member.partition_key
        rows = {name: frame.assign(**_owner(member)) for name, frame in template.tables.items()}
        for table in BY_MEMBER:
            store.write(table, key, rows[table])
        if member.trend != template.member.trend:
            for table in BY_COIN:
                store.write(table, member.symbol, template.tables[table])
    return len(members)


def _owner(member: "Member") -> dict[str, str]:
    return {"symbol": member.symbol, "trend": str(member.trend)}


def _execute(
    instance: "dg.DagsterInstance",
    job: str,
    partitions: Sequence[str],
    assets: "Sequence[dg.AssetKey] | None" = None,
) -> None:
    from crypto_pool.definitions import defs
    from crypto_pool.defs.run_tags import partition_range

    defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        tags=partition_range(partitions),
        asset_selection=assets,
    )
