"""The commands `backup` and `restore`: the state of a pool in one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import show

if TYPE_CHECKING:
    from crypto_pool.adapters.backup import PoolFolders
    from crypto_pool.settings import Settings


def backup(
    file: Annotated[
        Path, typer.Argument(dir_okay=False, help="Where to, for example pool.tar.gz.")
    ],
    as_json: options.Json = False,
) -> None:
    """Write the state of the pool into one file.

    All but secrets, dagster.yaml and modules of your own. Jobs may go on meanwhile.
    """
    from crypto_pool.adapters.backup import save_backup

    settings = options.chosen_settings()
    archived = save_backup(_folders(settings), file, settings.now(), check_champions)
    packed = file.stat().st_size
    show(
        as_json,
        {"file": str(file), **vars(archived), "packed_bytes": packed},
        f"{file}: {archived.files} files, {archived.bytes / 1e6:.1f} MB, "
        f"{packed / 1e6:.1f} MB packed",
    )


def restore(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A file written by `crypto-pool backup`."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be restored, and write nothing.")
    ] = False,
    max_gb: Annotated[
        float, typer.Option(help="Refuse a file that holds more, unpacked.", min=0)
    ] = 5,
    max_files: Annotated[
        int, typer.Option(help="Refuse a file that holds more files.", min=0)
    ] = 250_000,
    as_json: options.Json = False,
) -> None:
    """Unpack a backup into an empty home."""
    from crypto_pool.adapters.restoring import Bounds, inspect_backup, restore_backup

    settings = options.chosen_settings()
    folders = _folders(settings)
    bounds = Bounds(int(max_gb * 1e9), max_files)
    if dry_run:
        archived = inspect_backup(file, folders, bounds)
        places = [folders.data_dir, folders.frames_root, folders.dagster_home]
        show(
            as_json,
            {"would_restore_into": [*map(str, places)], **vars(archived)},
            f"would restore {archived.files} files, {archived.bytes / 1e6:.1f} MB: the pool into "
            f"{places[0]}, its tables into {places[1]}, Dagster's history into {places[2]}; "
            "nothing was written",
        )
        return
    archived = restore_backup(file, folders, bounds)
    champions = load_champions(folders)
    where, files = str(folders.data_dir), archived.files
    show(
        as_json,
        {"data_dir": where, "files": files, "champions": sorted(champions)},
        f"{where}: {files} files; each of {len(champions)} champions loads",
    )


def check_champions(folders: "PoolFolders") -> None:
    """Load each champion from a pool that holds what a backup does.

    Raises:
        BackupError: one is not in it, or does not load.
    """
    from crypto_pool.errors import BackupError, ModelUnavailable

    try:
        load_champions(folders)
    except ModelUnavailable as fault:
        raise BackupError(f"the backup would lack a champion: {fault}") from fault


def load_champions(folders: "PoolFolders") -> list[str]:
    """Load the champion of each member; raises ModelUnavailable."""
    from crypto_pool.adapters.backup import DATABASE
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.ledger import Ledger
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.errors import ModelUnavailable
    from crypto_pool.workflow.promotion import reconciling

    database = f"sqlite:///{folders.mlflow / DATABASE}"
    registry = ModelRegistry(database, folders.artifact_root).prepare()
    decisions = Ledger(FrameStore(folders.frames_root)).by_member()
    faults = reconciling.load_champions(registry, decisions)
    if lost := [f"{name}: {fault}" for name, fault in faults.items() if fault]:
        raise ModelUnavailable("; ".join(lost))
    return list(faults)


def _folders(settings: "Settings") -> "PoolFolders":
    from crypto_pool.adapters.backup import PoolFolders
    from crypto_pool.errors import BackupError

    elsewhere = [
        f"CRYPTO_POOL_{name.upper()}"
        for name in ("mlflow_backend_uri", "mlflow_artifact_root")
        if getattr(settings, name) is not None
    ]
    if elsewhere:
        raise BackupError(
            f"a file holds the state of one machine, and {', '.join(elsewhere)} puts MLflow's "
            "elsewhere: back the database up with pg_dump and the bucket by its own versions, "
            "as docs/scale-out.md says"
        )

    return PoolFolders(settings.state_dir, settings.frames_root, settings.dagster_home.resolve())
