"""Backups made by somebody else, restored by `crypto-pool restore` into the user's home.

Each is an honest backup with one thing more. What ran, what was written and what of the user's
own changed is read from the disk.
"""

import gzip
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crypto_pool.adapters.frame_store import FrameStore
from drills._pool import DrillPool

RUNS_A_COMMAND = """
python_logs:
  dagster_handler_config:
    handlers:
      attack:
        class: subprocess.Popen
        args: [touch, {mark}]
"""
PIECE = 1 << 24
REFUSED = 4
OWN = {"dagster.yaml": "telemetry: {enabled: false}\n", "pool.toml": "", ".env": "KEPT=1\n"}


def run(
    chosen: Sequence[str] = (), gigabytes: float = 10, files: int = 1_000_000, *bounds: str
) -> dict[str, Any]:
    """Give how many attacks were refused, and what came of all of them together."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        honest = _honest_backup(root)
        mark = root / "a command ran"
        attacks = _attacks(mark, gigabytes, files)
        attacks = {name: attacks[name] for name in chosen or attacks}
        refused, seconds, written = [], [], 0
        for name in attacks:
            with _written_beside(honest, root / "attack.tar.gz") as add:
                attacks[name](add)
            pool = _home(root / name)
            if name == "own_storage":
                (pool.home / "storage").mkdir()
                (pool.home / "storage" / "kept").write_text("mine")
            before = _files(pool.home)
            begun = time.monotonic()
            if _restore(pool, root / "attack.tar.gz", *bounds) == REFUSED:
                refused.append(name)
            seconds.append(time.monotonic() - begun)
            written += len(set(_files(pool.home).items()) ^ set(before.items()))
        pool = _home(root / "honest")
        dry = _restore(pool, honest, "--dry-run") == 0 and not pool.data.exists()
        # Of children that were waited for: the largest restore.
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return {
            "attacks": len(attacks),
            "let_in": sorted(set(attacks) - set(refused)),
            "commands_run": int(mark.exists()),
            "files_written_or_changed": written,
            "longest_seconds": round(max(seconds), 1),
            "largest_megabytes": round(memory),
            "dry_run_writes_nothing": dry,
            "honest_backup_restored": _restore(pool, honest) == 0,
            "own_files_kept": all((pool.home / name).read_text() == OWN[name] for name in OWN),
        }


def _attacks(mark: Path, gigabytes: float, files: int) -> dict[str, Any]:
    config = RUNS_A_COMMAND.format(mark=mark).encode()
    size = int(gigabytes * 1e9)

    def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = size, kind, link
        return member.tobuf(tarfile.GNU_FORMAT)

    def many_small(add: Any) -> None:
        for number in range(files):
            add(header(f"parquet/t/{number}.parquet"))

    def many_large(add: Any) -> None:
        for number in range(100):
            add(header(f"parquet/t/{number}.parquet", size // 100), zeros=size // 100)

    return {
        "configuration": lambda add: add(header("dagster/dagster.yaml", len(config)), config),
        "own_storage": lambda add: add(header("dagster/storage/r/compute_logs/a.err")),
        "settings": lambda add: add(header("data/pool.toml", 1), b"x"),
        "secrets": lambda add: add(header("dagster/.env", 1), b"x"),
        "pickle": lambda add: add(header("dagster/storage/daily_bars", 1), b"x"),
        "way_out": lambda add: add(header("data/../../../outside", 1), b"x"),
        "link": lambda add: add(header("parquet/a.parquet", 0, tarfile.SYMTYPE, "/etc/passwd")),
        "one_large_file": lambda add: add(header("parquet/a.parquet", size), zeros=size),
        "many_large_files": many_large,
        "many_small_files": many_small,
        "long_header": lambda add: add(header("name", size, tarfile.GNUTYPE_LONGNAME), zeros=size),
        "endless_tail": lambda add: add(bytes(1024), zeros=size),
    }


@contextmanager
def _written_beside(honest: Path, target: Path) -> Iterator[Any]:
    """Give a function that adds to a copy of an honest backup, in pieces compressed once."""
    zero_piece = gzip.compress(bytes(PIECE))
    with target.open("wb") as file, gzip.open(honest) as packed:
        content = packed.read().rstrip(b"\0")
        file.write(gzip.compress(content + bytes(-len(content) % 512)))
        plain = bytearray()

        def add(header: bytes, content: bytes = b"", zeros: int = 0) -> None:
            plain.extend(header + content + bytes(-len(content) % 512))
            if zeros or len(plain) > PIECE:
                file.write(gzip.compress(bytes(plain)))
                plain.clear()
                file.writelines(zero_piece for _ in range(zeros // PIECE))
                rest = zeros % PIECE
                file.write(gzip.compress(bytes(rest + -zeros % 512)))

        yield add
        file.write(gzip.compress(bytes(plain) + bytes(10_240)))


def _honest_backup(root: Path) -> Path:
    """The backup of an empty pool, whose database is whole."""
    pool = _home(root / "stranger")
    pool.data.mkdir()
    FrameStore(pool.frames_root).claim("sandbox")
    (pool.data / "mlflow").mkdir()
    pool.registry.prepare()
    subprocess.run(
        [*_command("backup"), str(root / "honest.tar.gz")], env=pool.environment, check=True
    )
    return root / "honest.tar.gz"


def _home(folder: Path) -> DrillPool:
    pool = DrillPool.make(folder)
    for name, text in OWN.items():
        (folder / name).write_text(text)
    return pool


def _restore(pool: DrillPool, file: Path, *options: str) -> int:
    command = [*_command("restore"), str(file), *options]
    return subprocess.run(command, env=pool.environment, capture_output=True).returncode


def _command(name: str) -> list[str]:
    return [str(Path(sys.executable).parent / "crypto-pool"), name]


def _files(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}
