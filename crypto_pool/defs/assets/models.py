"""Ten candidates a member, and who of them, or of the baseline, serves it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import dagster as dg

from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.batches import (
    OWNERS,
    batch_keys,
    batched_asset,
    record_failure,
    require_success,
)
from crypto_pool.defs.partitions import members
from crypto_pool.defs.pictures import Pictures, judgement_picture, price_picture
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import shown_table
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.members import Member
from crypto_pool.domain.performance import promised_verdict
from crypto_pool.domain.tables import CANDIDATE_SCORES, MEMBER
from crypto_pool.domain.training import TrainingTable
from crypto_pool.workflow.isolation import Failure
from crypto_pool.workflow.panel import stored_forecasts
from crypto_pool.workflow.promotion.promoting import PromotionResult, promote_members
from crypto_pool.workflow.promotion.registering import PromotionTask, measured
from crypto_pool.workflow.pulling import bars_until
from crypto_pool.workflow.training import (
    TrainingTask,
    Unscored,
    keep_scores,
    member_table,
    train_candidates,
)

# The columns of a leaderboard that tell why one was chosen, and the figures of a champion.
TELLING = ("algorithm", "status", "brier_score", "reference_brier_score", "skill_over_reference",
           "added_points", "precision", "overall_score", "reason")  # fmt: skip
PLOTTED = ("brier_score", "skill_over_reference", "added_points", "promised_skill_over_reference")
OUTCOMES: dict[type, str] = {Failure: "failed", Unscored: "unscored"}


def candidate_key(algorithm: str) -> dg.AssetKey:
    """The asset key of one algorithm."""
    return dg.AssetKey(["candidates", algorithm])


def training_tables(
    context: dg.AssetExecutionContext, pool: PoolResource, asset_keys: list[dg.AssetKey]
) -> tuple[dict[str, TrainingTable], list[str]]:
    """The labelled rows of each member of the batch, and the reasons of those without.

    A member of a coin with too few bars has neither.
    """
    tables, reasons, young = {}, [], []
    panel, needed = stored_forecasts(pool.store, pool.recipe.target), pool.settings.min_history_bars
    for key in batch_keys(context):
        member = Member.parse(key)
        try:
            if 0 < bars_until(pool.store, member.symbol, pool.as_of) < needed:
                young.append(key)
                continue
            tables[key] = member_table(pool.store, member, pool.as_of, pool.recipe, panel)
        except Exception as error:  # one coin's stored data never stops the others
            reason = f"{type(error).__name__}: {error}"
            reasons.append(f"{key}: {reason}")
            for asset_key in asset_keys:
                record_failure(context, asset_key, key, reason)
    if young:
        context.log.info(f"left to the panel, with fewer than {needed} bars: {', '.join(young)}")
    require_success(context, list(tables), reasons)
    return tables, reasons


def shared_by_members(
    context: dg.AssetExecutionContext, pool: PoolResource, mlflow: Any
) -> dict[str, Any]:
    """What the tasks of all members of a run have in common, the baseline's among them."""
    return {
        "as_of": pool.as_of,
        "recipe": pool.recipe,
        "synthetic": pool.provider.synthetic,
        "registry": pool.registry,
        "parent_run_id": mlflow.active_run().info.run_id,
        "dagster_run_id": context.run.run_id,
    }


@dg.multi_asset(
    name="candidates",
    group_name="models",
    specs=[
        dg.AssetSpec(
            candidate_key(name),
            deps=[feature_table, "panel_forecasts"],
            skippable=True,
            owners=OWNERS,
            kinds={"scikitlearn", "mlflow"},
            description=f"{name} of each member: trained, scored beside the reference, logged.",
        ).with_io_manager_key("succeeded")
        for name in CANDIDATES
    ],
    partitions_def=members,
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="member_training",
)
def candidates(
    context: dg.AssetExecutionContext, pool: PoolResource, mlflow: dg.ResourceParam[Any]
) -> Iterator[dg.Output[list[str]]]:
    """Train the chosen algorithms for every member of the batch, in worker processes."""
    algorithms = [name for name in CANDIDATES if candidate_key(name) in context.selected_asset_keys]
    tables, reasons = training_tables(context, pool, [candidate_key(name) for name in algorithms])
    shared = shared_by_members(context, pool, mlflow)
    tasks = [
        TrainingTask(member=Member.parse(key), algorithm=name, table=table, **shared)
        for key, table in tables.items()
        for name in algorithms
    ]
    succeeded: dict[str, list[str]] = {name: [] for name in algorithms}
    to_come = Counter(task.member for task in tasks)
    scored = defaultdict(list)
    trained = train_candidates(pool.workers, tasks, anew=pool.train_anew)
    for done, (task, result, is_reused) in enumerate(trained, 1):
        key, asset_key = task.member.partition_key, candidate_key(task.algorithm)
        outcome = OUTCOMES.get(type(result), "reused" if is_reused else "scored")
        context.log.info(f"{done}/{len(tasks)} {task.member.name} {task.algorithm}: {outcome}")
        to_come[task.member] -= 1
        if isinstance(result, Failure):
            reasons.append(f"{key} {task.algorithm}: {result.reason}")
            record_failure(context, asset_key, key, result.reason)
        else:
            scored[task.member].append((task, result, is_reused))
            succeeded[task.algorithm].append(key)
        if not to_come[task.member]:
            _keep(context, pool, scored.pop(task.member, []))
    require_success(context, [k for keys in succeeded.values() for k in keys], reasons)
    for name in algorithms:
        yield dg.Output(succeeded[name], output_name=candidate_key(name).to_python_identifier())


def _keep(
    context: dg.AssetExecutionContext,
    pool: PoolResource,
    outcomes: list[tuple[TrainingTask, TrainedCandidate | Unscored, bool]],
) -> None:
    """Keep a member's scores at once, and show each with whether its run was reused."""
    rows = keep_scores(pool.store, [(task, outcome) for task, outcome, _ in outcomes])
    for row, (task, outcome, is_reused) in zip(rows, outcomes, strict=True):
        figures = {name: v for name, v in row.items() if isinstance(v, str | float | int)}
        context.add_asset_metadata(
            {**figures, "reused": is_reused, **_run_metadata(pool, outcome)},
            asset_key=candidate_key(task.algorithm),
            partition_key=task.member.partition_key,
        )


def _run_metadata(pool: PoolResource, result: TrainedCandidate | Unscored) -> dict[str, Any]:
    """Where a candidate's run is looked at, and what its estimator was built with."""
    if isinstance(result, Unscored):
        return {}
    return {
        "mlflow_run": dg.MetadataValue.url(f"{pool.settings.mlflow_url}/#/runs/{result.run_id}"),
        "hyper_parameters": dg.MetadataValue.json(dict(result.hyper_parameters)),
    }


@batched_asset(
    "models",
    members,
    deps=[candidate_key(name) for name in CANDIDATES],
    pool="member_training",
    kinds={"mlflow", "shap"},
)
def champion(
    context: dg.AssetExecutionContext, pool: PoolResource, mlflow: dg.ResourceParam[Any]
) -> list[str]:
    """Who serves each member: the winner of its training, if it passes the gates and may take over.

    It is explained and registered, and the ledger and the alias follow.
    """
    tables, reasons = training_tables(context, pool, [context.asset_key])
    shared = shared_by_members(context, pool, mlflow)
    tasks = [
        PromotionTask(
            member=Member.parse(key),
            table=table,
            explained_rows=pool.settings.explained_rows,
            rules=pool.settings.promotion_rules,
            store=pool.store,
            now=pool.now(),
            **shared,
        )
        for key, table in tables.items()
    ]
    succeeded, price = [], cache(partial(price_picture, pool))
    for done, (task, decision) in enumerate(promote_members(pool.workers, tasks), 1):
        key = task.member.partition_key
        outcome = "failed" if isinstance(decision, Failure) else decision.decision
        context.log.info(f"{done}/{len(tasks)} {task.member.name} champion: {outcome}")
        if isinstance(decision, Failure):
            reasons.append(f"{key}: {decision.reason}")
            record_failure(context, context.asset_key, key, decision.reason)
            continue
        context.add_asset_metadata(shown_champion(pool, decision, price), partition_key=key)
        succeeded.append(key)
    require_success(context, succeeded, reasons)
    return succeeded


def shown_champion(
    pool: PoolResource, decision: PromotionResult, price: Callable[[str], Pictures]
) -> dict[str, Any]:
    """What the UI shows of one decision; what of it cannot be had fails nobody, and is named.

    `price` draws a coin, once for both its trends.
    """
    shown: dict[str, Any] = {"decision": decision.decision, "reason": decision.reason}
    shown["not_trained_on_this_data"] = ", ".join(decision.missing) or "none"
    for name, part in (
        ("champion", lambda: _serving_metadata(pool, decision)),
        ("leaderboard", lambda: _leaderboard(pool, decision.member)),
        ("price_with_labels", lambda: price(decision.member.symbol)),
        ("calibration_roc_confusion", lambda: judgement_picture(pool, decision)),
    ):
        try:
            shown |= part()
        except Exception as error:  # a picture that is gone is no fault of the member
            shown[name] = f"{type(error).__name__}: {error}"
    return shown


def _leaderboard(pool: PoolResource, member: Member) -> dict[str, Any]:
    scores = pool.store.read_all(CANDIDATE_SCORES.store_name, prefix=member.partition_key)
    if scores.empty:
        return {}
    rows = scores.sort_values("brier_score").to_dict("records")
    return {"leaderboard": shown_table(CANDIDATE_SCORES, rows, first=TELLING, without=MEMBER)}


def _serving_metadata(pool: PoolResource, decision: PromotionResult) -> dict[str, Any]:
    """Who serves: figures that the UI plots over time, and where it is looked at."""
    name, links = decision.member.name, pool.settings
    page = {"page": dg.MetadataValue.url(f"{links.page_url}/members/{name}.html")}
    if decision.serving is None:
        return page
    version, tags = decision.serving.version, decision.serving.tags
    known = measured(pool.registry, decision.serving)
    figures = {name: float(known[name]) for name in PLOTTED if known.get(name) is not None}
    model = f"{links.mlflow_url}/#/models/{name}_model/versions/{version}"
    return {
        "version": int(version),
        "algorithm": tags.get("classifier", ""),
        **figures,
        "promised_verdict": str(promised_verdict(known)),
        **page,
        "mlflow_version": dg.MetadataValue.url(model),
    }
