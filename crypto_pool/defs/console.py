"""What a run says on the terminal: the pool's own messages, without Dagster's events."""

import logging

import dagster as dg


@dg.logger(
    config_schema={"log_level": dg.Field(str, is_required=False, default_value="INFO")},
    description="The pool's own messages as plain lines.",
)
def plain_console(context: dg.InitLoggerContext) -> logging.Logger:
    """Build a logger that prints messages of assets and leaves Dagster's events out."""
    logger = logging.Logger("crypto_pool", level=context.logger_config["log_level"])
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: not getattr(record, "dagster_meta", {}).get("dagster_event"))
    handler.setFormatter(_Message())
    logger.addHandler(handler)
    return logger


class _Message(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        return f"  {meta.get('orig_message', record.getMessage())}"
