"""The power is cut during build and predict, and only what was synced is there afterwards.

By a recorder that LD_PRELOAD loads into the pool's processes (`recorder.c`, compiled here): it
keeps each file and each folder as it is when it is synced, so files that nobody synced are empty
and names that no synced folder holds are gone. For each cut the data folder is laid out from that,
in its place, and a process of its own reads the ledger and loads every model that it names.
"""

import multiprocessing
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from drills._pool import DrillPool

DAY = date(2023, 5, 31)
SEED = 11
# Forked from a server of its own: whoever asks may have threads, which no fork takes along.
_FRESH = multiprocessing.get_context("forkserver")
_FRESH.set_forkserver_preload(["mlflow.pyfunc", "crypto_pool.adapters.mlflow"])
LEDGER, FORECASTS = "promotions", "daily_predictions"


def run(cuts: int = 200, symbols: str = "BTC,ETH") -> dict[str, Any]:
    """Give what the ledger and the models lost, over all cuts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        pool = DrillPool(root / "home", {"SYMBOLS": symbols}, _recorder(root, root / "home/data"))
        pool.home.mkdir()
        pool.complete("build,predict", DAY)
        happenings = (root / "log").read_text().splitlines()
        inode = pool.data.stat().st_ino
        as_it_ended = _look_at(pool)
        pool.data.rename(root / "as it ended")
        moments = range(1, len(happenings) + 1)
        chosen = sorted(random.Random(SEED).sample(moments, min(cuts, len(moments))))
        # The last moment too: what is there then is what the pool promised to keep.
        chosen = [*chosen[:-1], len(happenings)]
        found = [_look_at(pool) for _ in _cut(root, pool.data, inode, happenings, chosen)]
    return {
        "cuts": len(found),
        "syncs": sum(line[0] != "C" for line in happenings),
        "entries_at_the_end": found[-1]["entries"],
        "entries_lost_at_the_end": as_it_ended["entries"] - found[-1]["entries"],
        "named_models_at_the_end": found[-1]["named"],
        "cuts_with_named_models": sum(one["named"] > 0 for one in found),
        "broken_entries": sum(one["broken"] for one in found),
        "named_models_missing": sum(len(one["missing"]) for one in found),
        "missing": sorted({text for one in found for text in one["missing"]})[:3],
    }


def _recorder(root: Path, recorded: Path) -> dict[str, str]:
    """Compile the recorder; give the environment that loads it."""
    library, source = root / "recorder.so", Path(__file__).with_name("recorder.c")
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the recorder needs a C compiler: install gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return {
        "LD_PRELOAD": str(library),
        "RECORD_ROOT": str(recorded),
        "RECORD_LOG": str(root / "log"),
    }


def _cut(
    root: Path, data: Path, inode: int, happenings: list[str], chosen: list[int]
) -> Iterator[int]:
    """Lay the data folder out as each cut leaves it."""
    synced: dict[str, Path] = {}
    wanted = iter(chosen)
    moment = next(wanted, None)
    for number, line in enumerate(happenings, 1):
        kind, which, *snapshot = line.split()
        if kind == "C":
            synced.pop(which, None)
        else:
            synced[which] = root / snapshot[0]
        while moment == number:
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir()
            _lay_out(data, str(inode), synced)
            yield number
            moment = next(wanted, None)


def _lay_out(folder: Path, inode: str, synced: dict[str, Path]) -> None:
    for line in synced[inode].read_text().splitlines() if inode in synced else ():
        kind, which, name = line.split(" ", 2)
        if kind == "d":
            (folder / name).mkdir()
            _lay_out(folder / name, which, synced)
        elif kind == "l":
            name, target = name.split("\t")
            (folder / name).symlink_to(target)
        elif which in synced:
            shutil.copyfile(synced[which], folder / name)
        else:
            (folder / name).touch()


def _look_at(pool: DrillPool) -> dict[str, Any]:
    """Read and load in a process of its own: no store or cache of one cut is another's."""
    here, there = multiprocessing.Pipe()
    process = _FRESH.Process(target=_read, args=(pool, there))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    finally:
        process.join()
    return found


def _read(pool: DrillPool, answer: Any) -> None:
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.errors import CryptoPoolError

    store = FrameStore(pool.frames_root)
    keys = [(table, key) for table in (LEDGER, FORECASTS) for key in store.keys(table)]
    broken, named, missing = 0, set(), []
    for table, key in keys:
        try:
            rows = store.read(table, key)
        except CryptoPoolError:
            broken += 1
            continue
        for column in {"model_version", "serving_version"} & set(rows.columns):
            known = rows.dropna(subset=[column])
            named |= set(
                zip(known["symbol"], known["trend"], known[column].astype(str), strict=True)
            )
    for symbol, trend, version in sorted(named):
        try:
            known = pool.registry.versions.get(f"{symbol}_{trend}", version)
            pool.registry.versions.load(known.member_name, version, known.model_hashes)
        except Exception as fault:  # whatever a store without its log or its files says
            missing.append(f"{symbol} {trend} version {version}: {str(fault)[:200]}")
    found = {"entries": len(keys), "broken": broken, "named": len(named), "missing": missing}
    answer.send(found)
