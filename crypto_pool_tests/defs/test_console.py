"""What a build prints: one bar on a terminal, a line for each message elsewhere."""

import io
import logging

from crypto_pool.adapters.terminal import Terminal
from crypto_pool.defs.console import CauseFilter, ProgressHandler

TRAINING_RUN = """
import warnings
import dagster as dg
from crypto_pool.defs.console import plain_console
from crypto_pool.defs.resources import mlflow_parent_run

@dg.op(required_resource_keys={"mlflow"})
def train(context):
    context.log.info("1/1 trained")
    warnings.warn("`another` is currently in beta", dg.BetaWarning)

@dg.job(resource_defs={"mlflow": mlflow_parent_run}, logger_defs={"console": plain_console})
def training():
    train()

training.execute_in_process(run_config={"loggers": {"console": {"config": {}}}})
"""


def shown(messages, *, terminal):
    screen = io.StringIO()
    handler = ProgressHandler(Terminal(file=screen, force_terminal=terminal, width=80))
    for message in messages:
        handler.emit(logging.makeLogRecord({"msg": message}))
    handler.close()
    return screen.getvalue()


def test_off_a_terminal_each_message_is_a_line():
    said = shown(["1/2 BTC_uptrend SVC: scored", "no [bars]"], terminal=False)
    assert said.splitlines() == ["  1/2 BTC_uptrend SVC: scored", "  no [bars]"]


def test_on_a_terminal_steps_move_one_bar_and_other_messages_stay_lines():
    said = shown(["1/2 first: scored", "BTC: no bars", "2/2 second: scored"], terminal=True)
    assert "  BTC: no bars" in said
    assert "2/2" in said
    assert "second: scored" in said
    assert "1/2 first" not in said
    assert said.endswith("\x1b[?25h")  # the cursor is back


def test_what_only_follows_from_another_failure_is_not_said():
    causes = CauseFilter()
    messages = [
        "daily_bars [BTC]: UnknownSymbol: no such coin",
        "Dependencies for step raw_indicators failed: ['daily_bars']. Not executing.",
        "candidates/XGBoost [BTC|uptrend]: MissingPartition: daily_bars/BTC does not exist",
        "candidates/XGBoost [ETH|uptrend]: CorruptPartition: cannot be read\nat all",
        "candidates/LightGBM [ETH|uptrend]: CorruptPartition: cannot be read\nat all",
        "candidates/LightGBM [ETH|downtrend]: CorruptPartition: cannot be read\nat all",
        "1/2 SOL_uptrend SVC: scored",
    ]
    said = [text for text in messages if causes.filter(logging.makeLogRecord({"msg": text}))]
    assert said == [messages[0], messages[3], messages[5], messages[6]]


def test_a_run_that_trains_shows_none_of_what_dagster_mlflow_says_of_itself(new_pool):
    pool = new_pool()
    done = pool.run_code_alone(TRAINING_RUN)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert "  1/1 trained" in said
    assert "mlflow" not in done.stderr
    # From Python 3.13 on the line of the code follows each.
    assert [line for line in said if "BetaWarning: " in line] == [
        "<string>:10: BetaWarning: `another` is currently in beta"
    ]
