"""Whether who serves could go on, and is what was recorded of it."""

import json
from contextlib import suppress

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.candidate_run import tags_of
from crypto_pool.adapters.mlflow.version import METRICS_TAG, READ, Version, model_name
from crypto_pool.domain.members import Member
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.promotion.reconciling import champion_of, load_champions, ways_out
from crypto_pool.workflow.promotion.registering import measured
from crypto_pool.workflow.snapshots import load_snapshot


def examine_champions(
    store: FrameStore, registry: ModelRegistry, decisions: Decisions
) -> dict[str, str]:
    """Return by member what is at fault with who serves it, empty where nothing is.

    It loads, has the rows of its training, and its tags say what ledger and run do.
    """
    faults = load_champions(registry, decisions)
    for name in [name for name, fault in faults.items() if not fault]:
        member = Member.parse(name)
        version = champion_of(registry, member, decisions.of(member)).version
        if version is not None:
            try:
                load_snapshot(store, version.tags["data_hash"])
            except ModelUnavailable as fault:
                faults[name] = f"version {version.version} {fault}; {ways_out(member)}"
            else:
                faults[name] = _changed_tags(registry, version, decisions.of(member))
    return faults


def _changed_tags(registry: ModelRegistry, version: Version, decisions: pd.DataFrame) -> str:
    """Say which tags are not as they were recorded by the ledger or the run, if any."""
    own = decisions[decisions["model_version"].astype(str) == version.version]
    recorded = json.loads(own["challenger_metrics"].iloc[0] or "{}") if len(own) else {}
    said = measured(registry, version)
    promised = recorded.get("promised", {}).items()
    pairs = [(f"{name} of {METRICS_TAG}", said.get(name, was), was) for name, was in promised]
    with suppress(ModelUnavailable):  # a version outlives its run
        logged = tags_of(registry.runs.get(version.run_id))
        pairs += [(name, version.tags[name], was) for name, was in logged.items() if name in READ]
    changed = [f"{name} is {now} and was {was}" for name, now, was in pairs if now != was]
    of = f"of the tags of {model_name(version.member_name)} version {version.version} in MLflow"
    return f"{of} {', '.join(changed)}: set it back there" if changed else ""
