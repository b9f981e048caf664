"""What the pool does by itself between its daily runs: train the stale, catch up what failed."""

import hashlib
from datetime import UTC, datetime, timedelta

import dagster as dg

from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.jobs import predict_day, refresh_features, score_days, train_members
from crypto_pool.defs.requests import day_requests, is_running, pending_days, training_request
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.switches import DAILY
from crypto_pool.defs.training_requests import TrainingRequest, follow_requests, to_cursor
from crypto_pool.domain.members import Member
from crypto_pool.domain.staleness import judge_staleness, plan_training
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow.monitoring import OBSERVED_AT_ONCE
from crypto_pool.workflow.pulling import bar_spans

RETRAIN, CATCH_UP = "retrain_stale", "catch_up"
STATUS = dg.DefaultSensorStatus("RUNNING" if load_settings().automation_on else "STOPPED")


@dg.sensor(
    name=RETRAIN,
    job=train_members,
    minimum_interval_seconds=300,
    default_status=STATUS,
    description="Trains exactly the stale members in one run, the worst first, within a daily "
    "budget and with a cooldown.",
)
def retrain_stale(context: dg.SensorEvaluationContext, pool: PoolResource) -> dg.SensorResult:
    """Ask for the training of stale members whose bars are up to date."""
    if is_running(context.instance, [RETRAIN, DAILY, CATCH_UP]):
        return dg.SensorResult(skip_reason="a run of the pool has not ended yet")
    settings, today, now = pool.settings, pool.settings.last_closed(), pool.now()
    needed, members = settings.min_history_bars, pool.members
    spans = bar_spans(pool.store, {member.symbol for member in members})
    ready = {
        symbol
        for symbol, (rows, last) in spans.items()
        if last >= today and rows - (last - today).days >= needed
    }
    current = [member for member in members if member.symbol in ready]
    states, faults = pool.observe(current, OBSERVED_AT_ONCE)
    for name, fault in faults.items():
        context.log.warning(f"{name} {fault}")
    if len(states) + len(faults) < len(current):
        progress = f"{len(states)} of {len(current)} members are observed; the next tick goes on"
        return dg.SensorResult(skip_reason=progress)
    rules = settings.retrain_rules
    judged = [judge_staleness(state, today, rules) for state in states]
    requests = follow_requests(context.instance, context.cursor, now)
    retried = {member: one.words for member, one in requests.items() if one.retried_at}
    stale = [one for one in judged if one is not None and one.member not in retried]
    requested = {member: one.bar_date for member, one in requests.items()}
    requested_today = sum(day == today for day in requested.values())
    last = {
        state.member: max(day for day in (state.trained_as_of, requested.get(state.member)) if day)
        for state in states
        if state.trained_as_of or state.member in requested
    }
    plan = plan_training(stale, last, requested_today, today, rules)
    if not plan.chosen:
        waiting = [f"{member.name} ({why})" for member, why in {**plan.waiting, **retried}.items()]
        fresh = f"{len(states)} of {len(members)} members have today's bars, none is due"
        return dg.SensorResult(skip_reason="; ".join([fresh, *waiting]))
    for staleness in plan.chosen:
        context.log.info(f"{staleness.member.name}: {staleness.words}")
    chosen = [staleness.member for staleness in plan.chosen]
    asking = training_request(pool, chosen, RETRAIN, _run_key(now, chosen))
    requests |= dict.fromkeys(chosen, TrainingRequest(today, now, str(asking.run_key)))
    return dg.SensorResult(run_requests=[asking], cursor=to_cursor(requests))


@dg.sensor(
    name=CATCH_UP,
    jobs=[refresh_features, score_days, predict_day],
    minimum_interval_seconds=300,
    default_status=STATUS,
    description="Pulls coins whose bars are behind the last closed day, and makes what the day "
    "still lacks: one, two, four, eight and sixteen hours after its daily run.",
)
def catch_up(
    context: dg.SensorEvaluationContext, pool: PoolResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask again for what the daily run could not do."""
    if is_running(context.instance, [RETRAIN, DAILY, CATCH_UP]):
        return dg.SkipReason("a run of the pool has not ended yet")
    attempt = attempts_due(pool.settings)
    if attempt == 0:
        return dg.SkipReason("the first attempt is due an hour after the daily run")
    through = pool.settings.daily_begun().date() - timedelta(days=1)
    plan = pending_days(pool, through)
    if plan.is_empty:
        return dg.SkipReason(f"nothing is pending through {through}")
    return day_requests(pool, plan, CATCH_UP, f"{through}:{attempt}")


def attempts_due(settings: Settings) -> int:
    """How many times what the latest daily run was to do should have been tried again by now."""
    hours = (settings.now().astimezone(UTC) - settings.daily_begun()) // timedelta(hours=1)
    return hours.bit_length()


def _run_key(now: datetime, members: list[Member]) -> str:
    names = ",".join(sorted(member.name for member in members))
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}:{hashlib.sha256(names.encode()).hexdigest()[:12]}"


# Also without the automation: whoever materialises a champion by hand wants to see it.
publish_what_was_made = dg.AutomationConditionSensorDefinition(
    "publish_what_was_made",
    target=[prediction_tables],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Publishes the DuckDB file when a champion, forecast or outcome was made by hand.",
)

sensors = [retrain_stale, catch_up, publish_what_was_made]
