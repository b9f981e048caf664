"""What a run says on the terminal: the pool's own messages, without Dagster's events.

A message that begins with `done/total` moves a bar with the remaining time; off a terminal
it is a plain line like the others.
"""

import atexit
import logging
import re
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

STEP = re.compile(r"(\d+)/(\d+) (.*)")
FAILURE = re.compile(r"\S+ \[(.+?)\]: (.+)", re.DOTALL)  # as record_failure says it


@dg.logger(
    config_schema={"log_level": dg.Field(str, is_required=False, default_value="INFO")},
    description="The pool's own messages: a progress bar on a terminal, plain lines off one.",
)
def plain_console(context: dg.InitLoggerContext) -> logging.Logger:
    """Build a logger that prints messages of assets and leaves Dagster's events out."""
    from crypto_pool.adapters.terminal import Terminal

    logger = logging.Logger("crypto_pool", level=context.logger_config["log_level"])
    handler = ProgressHandler(Terminal(stderr=True))
    handler.addFilter(lambda record: not getattr(record, "dagster_meta", {}).get("dagster_event"))
    handler.addFilter(CauseFilter())
    logger.addHandler(handler)
    return logger


class CauseFilter(logging.Filter):
    """Leaves out what only follows from another failure, which would bury the cause.

    Nothing is lost by it: the command ends with the list of first causes, and Dagster keeps
    every failure.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, ...]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message tells a cause, for the first time of its partition, or no failure."""
        message = _message_of(record)
        if message.startswith("Dependencies for step "):
            return False
        failure = FAILURE.fullmatch(message)
        if failure is None:
            return True
        is_known = failure.groups() in self._told
        self._told.add(failure.groups())
        return not is_known and not failure[2].startswith("MissingPartition: ")


class ProgressHandler(logging.Handler):
    """Prints messages as lines; on a terminal, steps of a series move a bar instead."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console
        self._progress: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        message = _message_of(record)
        step = STEP.fullmatch(message)
        if step is None or not self._console.is_terminal:
            self._console.print(f"  {message}", soft_wrap=True)
            return
        done, total, text = int(step[1]), int(step[2]), step[3]
        if self._progress is None:
            from rich import progress

            self._progress = progress.Progress(
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.description}", markup=False),
                console=self._console,
            )
            self._progress.add_task(text, total=total)
            self._progress.start()
            atexit.register(self.close)  # an interrupted run must give the cursor back
        bar = self._progress.task_ids[0]
        self._progress.update(bar, completed=done, total=total, description=text)
        if done == total:
            self.close()

    def close(self) -> None:
        """End the bar, if there is one."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            atexit.unregister(self.close)
        super().close()


def _message_of(record: logging.LogRecord) -> str:
    return str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))
