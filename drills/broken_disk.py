"""A full disk, and a data folder that is read-only: what is said, and that the pool heals.

The data folder lies on a small disk that is full, or is mounted read-only, in a mount namespace
of the drill's own; a system that permits none makes the drill say so instead.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from crypto_pool_tests.stages import STAGES_COMMAND
from drills._pool import ROOT, DrillPool, shortened

DAY, NEXT_DAY = date(2023, 5, 10), date(2023, 5, 11)
ENDED = "the stage ended with"
NAMESPACE = ("unshare", "--map-root-user", "--mount")


@dataclass(frozen=True)
class Disk:
    """A fault of the disk below $DATA, as shell, and the words that have to be said of it."""

    prepare: str
    mend: str
    said: tuple[str, ...]


DISKS = {
    "disk_full": Disk(
        """
        cp -a "$DATA" "$DATA.aside"
        size=$(du -sk "$DATA" | cut -f1)
        mount -t tmpfs -o "size=$((size + 65536))k" tmpfs "$DATA"
        cp -a "$DATA.aside/." "$DATA/"
        head -c 10G /dev/zero > "$DATA/filler" 2> /dev/null || true
        """,
        'rm "$DATA/filler"',
        ("No space left on device", "data/"),
    ),
    "read_only_data": Disk(
        'mount --bind "$DATA" "$DATA"; mount -o remount,bind,ro "$DATA"',
        'mount -o remount,bind,rw "$DATA"',
        ("Read-only file system", "data/"),
    ),
}


def run(symbols: str = "BTC,ETH") -> dict[str, Any]:
    """Break the disk in each way; give which faults were named and which healed."""
    if not may_mount():
        return {"faults": 0, "skipped": "no mount namespace is permitted here"}
    with tempfile.TemporaryDirectory() as folder:
        pool = DrillPool.make(Path(folder), SYMBOLS=symbols)
        pool.complete("build,predict,publish", DAY)
        figures = {name: _on_a_disk(pool, disk) for name, disk in DISKS.items()}
    return {
        "faults": len(figures),
        "failed": sum(figure["failed"] for figure in figures.values()),
        "named": sum(figure["named"] for figure in figures.values()),
        "healed": sum(figure["healed"] for figure in figures.values()),
        "by_fault": figures,
    }


def may_mount() -> bool:
    """Whether this process may mount what nobody else sees."""
    if shutil.which(NAMESPACE[0]) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _on_a_disk(pool: DrillPool, disk: Disk) -> dict[str, Any]:
    """Run a stage on the broken disk, and once more when it is mended."""
    script = f'{disk.prepare}\n"$@"; echo "{ENDED} $?"\n{disk.mend}\n"$@"; echo "{ENDED} $?"'
    stage = [*STAGES_COMMAND, "features,predict", NEXT_DAY.isoformat()]
    ran = subprocess.run(
        [*NAMESPACE, "sh", "-c", script, "sh", *stage],
        env={**pool.environment, "DATA": str(pool.data)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said, *codes = re.split(rf"{ENDED} (\d+)", ran.stdout)
    return {
        "failed": codes[0] != "0",
        "named": all(word in said for word in disk.said),
        "healed": codes[2] == "0",
        "said": shortened(said, disk.said),
    }
