"""A refresh of bars and features in a process of its own, and what it came to."""

import json
from datetime import UTC, date, datetime

from crypto_pool.sandbox.market import SyntheticMarket

LAST = date(2022, 6, 30)
NOON = datetime(2022, 7, 1, 12, tzinfo=UTC)
MARKET = SyntheticMarket(seed=6, predictability=0.5, epoch=date(2020, 6, 1))

REFRESH = """
import json
from crypto_pool.building import BuildReport, Work, open_instance, partitions_of, run_layer
from crypto_pool.defs.stages import FEATURES
from crypto_pool.settings import load_settings
settings = load_settings()
assets = ["daily_bars", "raw_indicators", "feature_table"]  # without the panel
with open_instance(settings) as instance:
    report, day = BuildReport(), settings.last_closed()
    symbols = partitions_of(FEATURES, settings, day)
    run_layer(instance, Work(FEATURES, day, symbols, symbols, assets), report)
    report.close(symbols)
    records = instance.get_records_for_run(report.runs[FEATURES.job]).records
    events = [record.event_log_entry.dagster_event for record in records]
    checks = {
        event.asset_check_evaluation_data.check_name: [
            event.asset_check_evaluation_data.passed,
            {k: str(v.value) for k, v in event.asset_check_evaluation_data.metadata.items()},
        ]
        for event in events if event and event.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    made = {
        event.partition: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in events
        if event and event.is_step_materialization
        and event.asset_key.to_user_string() == "daily_bars"
    }
print("REPORT" + json.dumps([report.failures, checks, made], default=str))
"""


class Refreshed:
    """What one refresh of bars and features came to."""

    def __init__(self, pool) -> None:
        done = pool.run_code(REFRESH)
        assert done.returncode == 0, done.stdout + done.stderr
        told = next(line for line in done.stdout.splitlines() if line.startswith("REPORT"))
        self.failures, self.checks, self.made = json.loads(told.removeprefix("REPORT"))
        self.said = done.stdout + done.stderr
