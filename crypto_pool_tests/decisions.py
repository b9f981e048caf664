"""A decision as the ledger of promotions keeps it, for tests that need some."""

from datetime import datetime
from typing import Any

from crypto_pool.adapters.ledger import Promotion
from crypto_pool.domain.members import Member


def a_decision(member: Member, decided_at_utc: datetime, **chosen: Any) -> Promotion:
    """Make one about version 1, promoted and served on the day it was decided, where not chosen."""
    version = chosen.get("model_version", "1")
    values = {
        "decided_at_utc": decided_at_utc,
        "as_of": decided_at_utc.date(),
        "member": member,
        "model_version": version,
        "algorithm": "LightGBM",
        "decision": "promoted",
        "serving_version": version,
        "reason": "it is better",
        "champion_metrics": {},
        "challenger_metrics": {},
        "data_hash": "d",
        "code_version": "c",
        "dagster_run_id": "r",
    }
    return Promotion(**values | chosen)
