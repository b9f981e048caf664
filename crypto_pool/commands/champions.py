"""Commands about one member's champion: `rollback`, `explain` and `reproduce`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.build import finish
from crypto_pool.commands.printing import messages, show
from crypto_pool.domain.members import Member
from crypto_pool.errors import ExitCode, InvalidSetting, ModelUnavailable

if TYPE_CHECKING:
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.settings import Settings

EXPLAINED = (
    *("feature_importance", "feature_importance_absolute", "reference_importance"),
    *("classifier", "explanation_method"),
)
MemberArgument = Annotated[
    str, typer.Argument(help="Member, for example BTC_uptrend.", show_default=False)
]


def rollback(
    member: MemberArgument,
    to: Annotated[
        str | None,
        typer.Option(
            help="Version that is to serve; default: the one before, unless a rollback has left it."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Let the previous version, or a named one, serve again."""
    from crypto_pool.building import open_instance, run_layers
    from crypto_pool.defs.stages import PUBLICATION
    from crypto_pool.workflow.promotion.rolling_back import roll_back
    from crypto_pool.workflow.reviewing import day_reached

    settings = options.chosen_settings()
    one, store, registry = _open(settings, member)
    day = day_reached(store, settings.last_closed(), settings.prediction_window_days)
    done = roll_back(store, registry, one, to, day, settings.now())
    speak = messages(as_json).print
    speak(done.summary)
    with open_instance(settings) as instance:
        report = run_layers(instance, settings, day, (PUBLICATION,), speak)
    finish(report, as_json, member=one.name, serves=done.after, replaced=done.before)


def explain(
    member: MemberArgument,
    date: Annotated[
        str | None, typer.Option(help="Bar date of a stored prediction, YYYY-MM-DD.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what a champion, or one of its forecasts, rests on."""
    settings = options.chosen_settings()
    one, store, registry = _open(settings, member)
    if date is not None:
        _explain_day(store, one, settings.closed_day("--date", date).isoformat(), as_json)
    else:
        _explain_champion(store, registry, one, as_json)


def reproduce(
    member: MemberArgument,
    version: Annotated[str, typer.Argument(help="Version in the registry.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Train a version again from its stored rows, and compare.

    The exit code is 1 if it predicts otherwise.
    """
    from crypto_pool.workflow.reproducing import reproduce as train_again

    settings = options.chosen_settings()
    one, store, registry = _open(settings, member)
    done = train_again(store, registry, one, version)
    verdict = "equal" if done.is_equal else "NOT equal"
    by_other = "The version was trained by other code than the code at hand."
    show(
        as_json,
        {**vars(done), "member": one.name, "equal": done.is_equal},
        f"{one.name} version {version}, {done.algorithm}: predictions are {verdict} on "
        f"{done.rows} rows (largest difference {done.largest_difference:.2g})",
        *([by_other] if done.trained_by_other_code else []),
    )
    if not done.is_equal:
        raise typer.Exit(ExitCode.MEMBERS_FAILED)


def _open(settings: "Settings", name: str) -> "tuple[Member, FrameStore, ModelRegistry]":
    """Give the member, if it is in the pool, and the pool's store and registry."""
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.adapters.schema_version import open_store

    member = Member.parse(name)
    if member.symbol not in settings.symbols:
        raise InvalidSetting(
            f"{name!r} is no member of this pool; its coins are {', '.join(settings.symbols)}."
        )
    store = open_store(settings.state_dir, settings.frames_root)
    return member, store, ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()


def _explain_day(store: "FrameStore", member: "Member", day: str, as_json: bool) -> None:
    from crypto_pool.domain.tables import PREDICTIONS
    from crypto_pool.workflow.day_rows import stored_rows

    rows = map(PREDICTIONS.row, stored_rows(store, PREDICTIONS, day))
    row = next(
        (r for r in rows if (r["symbol"], r["trend"]) == (member.symbol, member.trend)), None
    )
    if row is None:
        raise ModelUnavailable(
            f"{member.name} has no prediction for {day}: "
            f"make it with `crypto-pool predict --date {day}`"
        )
    contributions = json.loads(row["top_contributions"])
    names = ("model_version", "algorithm", "probability", "reference_probability")
    maker, version = row["algorithm"], row["model_version"]
    show(
        as_json,
        {"member": member.name, "prediction_date": day}
        | {name: row[name] for name in names}
        | {"top_contributions": contributions},
        f"{member.name} on {day}: {maker}{f' version {version}' if version else ''}, probability "
        f"{row['probability']:.3f}, reference {row['reference_probability']:.3f}. "
        "Largest contributions to the probability:",
        contributions,
    )


def _explain_champion(
    store: "FrameStore", registry: "ModelRegistry", member: "Member", as_json: bool
) -> None:
    from crypto_pool.adapters.ledger import Ledger
    from crypto_pool.domain.served_model import BASELINES
    from crypto_pool.workflow.promotion.reconciling import champion_of

    served = champion_of(registry, member, Ledger(store).of_member(member))
    champion = served.version
    if champion is None:
        lacks = served.fault or "it has no champion; `crypto-pool status` lists who serves."
        raise ModelUnavailable(f"{member.name}: {lacks}")
    try:
        tags = {name: champion.tags[name] for name in EXPLAINED}
    except KeyError as lost:
        raise ModelUnavailable(f"{member.name}: {lost} is gone in MLflow; train it again") from lost
    mean, absolute, reference = (json.loads(tags[name]) for name in EXPLAINED[:3])
    importance = [
        {"feature": name, "mean": mean[name], "mean_absolute": absolute[name]}
        for name in sorted(absolute, key=absolute.__getitem__, reverse=True)
    ]
    algorithm, method = tags["classifier"], tags["explanation_method"]
    about = {"member": member.name, "version": champion.version, "algorithm": algorithm}
    values = {"method": method, "reference_logit": reference, "feature_importance": importance}
    anchor = "" if algorithm in BASELINES else f"; reference_logit {100 * reference:+.2f}"
    show(
        as_json,
        {**about, **values},
        f"{member.name}: version {champion.version}, {algorithm}: how far each part moves the "
        f"probability, in percentage points, and whichever way ({method}){anchor}",
        [
            {
                "part": one["feature"],
                "points": round(100 * one["mean"], 2),
                "absolute_points": round(100 * one["mean_absolute"], 2),
            }
            for one in importance
        ],
    )
