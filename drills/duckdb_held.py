"""The DuckDB file held open by a reader, then by a writer that is killed, while the pool publishes.

All runs are runs of the real jobs; only training is left out, since it touches no DuckDB file.
"""

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from datetime import date
from pathlib import Path
from typing import Any

from crypto_pool_tests.stages import run_stages
from drills._pool import DrillPool, figures_of

DAYS = (date(2023, 5, 1), date(2023, 5, 2), date(2023, 5, 3), date(2023, 5, 4))
COUNT = "SELECT count(*) FROM daily_bars"
READER = f"""
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(held.execute("{COUNT}").fetchone()[0], flush=True)
"""
# Leaves a committed row in its write-ahead log, and a transaction that is not over.
WRITER = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
held.execute("SET checkpoint_threshold = '1TB'")
held.execute("CREATE TABLE scribble (number INTEGER)")
held.execute("INSERT INTO scribble VALUES (1)")
held.execute("BEGIN")
held.execute("DELETE FROM daily_bars")
print(held.execute("SELECT count(*) FROM daily_bars").fetchone()[0], flush=True)
for _ in sys.stdin:
    print(held.execute("SELECT count(*) FROM daily_bars").fetchone()[0], flush=True)
"""


def run() -> dict[str, Any]:
    """Give what reader, writer and job saw; the pool runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        pool = DrillPool.make(Path(folder))
        return figures_of("drills.duckdb_held", (), pool.environment)


class Holder:
    """A process that holds the file and answers with the rows it sees."""

    def __init__(self, program: str, file: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rows(self) -> int:
        """Ask it once more."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.next_rows()

    def next_rows(self) -> int:
        """Read its next answer."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self, number: int) -> None:
        """Send a signal and wait."""
        self.process.send_signal(number)
        self.process.communicate()


def live() -> dict[str, Any]:
    """Publish day by day while others hold the file."""
    from crypto_pool.adapters.prediction_tables import LINK_NAME, query
    from crypto_pool.settings import load_settings

    scribbles = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'scribble'"
    failed = [_publish(DAYS[0])]
    data = load_settings().state_dir
    link = data / LINK_NAME

    def published() -> int:
        return int(query(data, COUNT).iloc[0, 0])

    first = published()
    reader = Holder(READER, link)
    read_before = reader.rows()
    failed.append(_publish(DAYS[1]))
    read_after, second = reader.rows(), published()
    reader.end(signal.SIGTERM)

    written = link.resolve()
    writer = Holder(WRITER, link)
    in_transaction = writer.next_rows()
    failed.append(_publish(DAYS[2]))
    still_writes, third = writer.rows() == in_transaction, published()
    writer.end(signal.SIGKILL)
    failed.append(_publish(DAYS[3]))
    return {
        "publications": len(DAYS),
        "publications_failed": sum(failed),
        "reader_keeps_its_rows": read_before == read_after == first,
        "new_reader_sees_new_rows": second > first,
        "writer_keeps_its_transaction": still_writes and in_transaction == 0,
        "published_beside_the_writer": third > second,
        "killed_writer_left_a_log": written.with_name(f"{written.name}.wal").exists(),
        "published_after_the_killed_writer": published() > third,
        "scribble_published": len(query(data, scribbles)),
        "unfinished_files": sum(1 for path in data.iterdir() if ".unfinished" in path.name),
    }


def _publish(day: date) -> int:
    """Run the jobs of bars, features and publication; give how much failed."""
    return run_stages(["features", "publish"], [day])


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        result = live()
    print(json.dumps(result))
