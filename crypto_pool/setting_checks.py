"""Settings that do not go together, and names of the environment that are no settings."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from crypto_pool.domain.addresses import is_loopback, without_credentials
from crypto_pool.domain.label_windows import review_days_needed, rows_needed
from crypto_pool.domain.request_plans import read_plan
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_groups import Groups

PREFIX = "CRYPTO_POOL_"
PAGE = "docs/configuration.md"
# Settings of earlier releases, by what took their place: a home that has them still opens.
REMOVED = {
    "interval": "bars are daily",
    "alpha_vantage_per_second": "write the limit into alpha_vantage_plan",
    "alpha_vantage_per_minute": "write the limit into alpha_vantage_plan",
    "alpha_vantage_per_day": "write the limit into alpha_vantage_plan",
    "alpha_vantage_timeout_seconds": "it is 30",
    "promotion_margin": "the interval of the difference decides",
    "promotion_min_rows": "the interval of the difference decides",
    "champion_expires_after_days": "refresh_after_days decides",
    "quarantine_level": "the review has a level of its own",
    "catch_up_days": "it is 30",
    "retrain_after_rows": "it is 60",
    "drift_limit": "it is 0.5",
    "retrain_cooldown_days": "it is 7",
    "alert_deadline_hours": "it is 6",
    "keep_raw_answers_days": "it is 90",
    "keep_publications": "it is 3",
    "serving_loopback_rate_limit": "it is 50000/second",
}
# A test's own, and a shell's that completes `crypto-pool`.
NO_SETTING = re.compile(r"CRYPTO_POOL_(TEST_.+|COMPLETE)")
# Kubernetes tells each pod of a service `crypto-pool` or `crypto-pool-ui` in such variables.
OF_A_SERVICE = re.compile(
    r"CRYPTO_POOL_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_.+)?)"
)


def conflicts(settings: Groups) -> Iterator[str]:
    """Say which settings do not go together, and what would."""
    if settings.provider == "directory" and settings.market_data_dir is None:
        yield "the directory provider needs CRYPTO_POOL_MARKET_DATA_DIR, a folder of SYMBOL.csv"
    try:
        read_plan(settings.alpha_vantage_plan)
    except InvalidSetting as fault:
        yield f"CRYPTO_POOL_ALPHA_VANTAGE_PLAN: {fault}"
    yield from _unknown_provider(settings)
    yield from _too_short(settings)
    yield from _with_credentials(settings)
    yield from _unfit_folders(settings)
    yield from _out_of_reach(settings)


def load_extensions(settings: Groups) -> Mapping[str, str]:
    """Register the extensions of a pool; return why what is broken was left out, by name."""
    from crypto_pool.adapters.extensions import Extensions

    return Extensions(settings.extensions, str(settings.dagster_home.resolve())).load()


def variable_name(name: str) -> str:
    """Give the environment variable of a setting."""
    return "DAGSTER_HOME" if name == "dagster_home" else f"{PREFIX}{name.upper()}"


def unknown_names(given: Mapping[str, str | None], settings: Iterable[str]) -> Iterator[str]:
    """Say which variables of the pool's prefix are no settings, and what they may stand for."""
    known = {variable_name(name): name for name in settings}
    for name in sorted(given):
        variable = name.upper()
        if not variable.startswith(PREFIX) or variable in known:
            continue
        if variable.removeprefix(PREFIX).lower() in REMOVED or _is_foreign(variable, given[name]):
            continue
        near = get_close_matches(variable.removeprefix(PREFIX).lower(), known.values(), n=1)
        yield f"{variable}: there is no such setting; {_meant(map(variable_name, near))}"


def unknown_keys(place: str, given: Iterable[str], settings: Iterable[str]) -> Iterator[str]:
    """Say which keys of a file are no settings, and what they may stand for."""
    known = list(settings)
    for name in sorted(set(given) - {*known, *REMOVED}):
        plain = name.upper().removeprefix(PREFIX).lower()
        yield (
            f"{place}: there is no setting {name}; {_meant(get_close_matches(plain, known, n=1))}"
        )


def _meant(near: Iterable[str]) -> str:
    return next((f"did you mean {name}?" for name in near), f"{PAGE} lists all")


def _is_foreign(name: str, value: str | None) -> bool:
    if any(names.fullmatch(name) for names in (NO_SETTING, OF_A_SERVICE)):
        return True
    return name.endswith("_PORT") and "://" in (value or "")


def _unknown_provider(settings: Groups) -> Iterator[str]:
    from crypto_pool.adapters.providers import BUILT_IN, PROVIDERS

    if settings.provider not in BUILT_IN:
        broken = load_extensions(settings)
        if settings.provider not in PROVIDERS:
            known = ", ".join([*BUILT_IN, *PROVIDERS])
            why = "".join(f"; {name} is broken: {fault}" for name, fault in broken.items())
            yield f"CRYPTO_POOL_PROVIDER={settings.provider}: known are {known}{why}"


def _too_short(settings: Groups) -> Iterator[str]:
    horizon = settings.prediction_window_days
    way_out = f"raise it, or lower CRYPTO_POOL_PREDICTION_WINDOW_DAYS={horizon}"
    days = review_days_needed(horizon)
    if settings.review_window_days < days:
        yield (
            f"CRYPTO_POOL_REVIEW_WINDOW_DAYS={settings.review_window_days} never holds enough "
            f"outcomes for a verdict on a champion, {days} does: {way_out}"
        )
    rows = rows_needed(horizon)
    if settings.evaluation_policy == "purged_walk_forward" and settings.training_rows < rows:
        yield (
            f"CRYPTO_POOL_TRAINING_ROWS={settings.training_rows} are too few for the folds of "
            f"purged_walk_forward, {rows} are enough: {way_out}"
        )


def _unfit_folders(settings: Groups) -> Iterator[str]:
    """Paths of no folder, and those that MLflow, Dagster or DuckDB would read otherwise."""
    for name in ("dagster_home", "data_dir"):
        if (folder := getattr(settings, name)) is None:
            continue
        try:
            path = Path(os.path.realpath(folder))
        except FileNotFoundError:
            absolute = f"{variable_name(name)} absolute"
            yield f"the current folder is gone: go to another, or make {absolute}"
            continue
        shown = os.fsencode(path).decode(errors="replace")
        there = next(one for one in (path, *path.parents) if os.path.lexists(one))
        if unfit := sorted(set("?#%\\\N{REPLACEMENT CHARACTER}") & set(shown)):
            yield (
                f"{variable_name(name)}={shown} holds {' '.join(unfit)}, which is read otherwise "
                "in addresses of files: choose a folder without"
            )
        elif not there.is_dir():
            yield (
                f"{variable_name(name)}={shown}: {there} is no folder; choose another, or move it "
                "away"
            )


def _with_credentials(settings: Groups) -> Iterator[str]:
    """Addresses that MLflow and the tables would store with what lets one in."""
    links = ("page_url", "dagster_url", "mlflow_url")
    for name in ("parquet_root", "mlflow_artifact_root", *links):
        root = getattr(settings, name)
        if root is not None and without_credentials(root) != root:
            yield (
                f"{variable_name(name)} holds credentials, and would be stored with them: leave "
                "them out; a store takes them from its environment, such as AWS_ACCESS_KEY_ID"
            )


def _out_of_reach(settings: Groups) -> Iterator[str]:
    """What the workers of a Dask scheduler on another machine could not read."""
    scheduler = settings.dask_scheduler
    if scheduler is None or is_loopback(urlsplit(scheduler).hostname):
        return
    local = [
        variable_name(name)
        for name in ("parquet_root", "mlflow_backend_uri", "mlflow_artifact_root")
        if getattr(settings, name) is None
    ]
    if local:
        yield (
            f"workers of {without_credentials(scheduler)} cannot reach state of this machine; set "
            f"{', '.join(local)} to what they reach too"
        )
