"""The one code server of `up`: the UI and the daemon share it, and it launches the runs.

Without it each would start one of its own, the daemon a new one every minute.
"""

import socket
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from crypto_pool import CODE_LOCATION

# Runs say by it that they are of an `up`: crypto_pool.recovery knows them by its name.
SOCKET_NAME = "code_server.sock"
LONGEST_SOCKET_PATH = 100  # the system's limit is 104 to 108 bytes


class CodeServer(NamedTuple):
    """Where the code server listens, and the workspace file that says so to its clients."""

    address: Path
    workspace: Path

    @classmethod
    def prepare(cls, folder: Path) -> "CodeServer":
        """Write the workspace file; the socket lies beside it unless its path is too long there.

        The location keeps the name of its module: what was switched on or off is known by it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        address = folder / SOCKET_NAME
        if len(str(address).encode()) > LONGEST_SOCKET_PATH:
            address = Path(tempfile.mkdtemp(prefix="crypto_pool_")) / address.name
        address.unlink(missing_ok=True)
        workspace = folder / "workspace.yaml"
        workspace.write_text(
            "load_from:\n  - grpc_server:\n      host: localhost\n"
            f"      socket: {address}\n      location_name: {CODE_LOCATION}\n"
        )
        return cls(address, workspace)

    def answers(self) -> bool:
        """Whether it can be connected to."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.address)) == 0

    @property
    def command(self) -> tuple[str, ...]:
        """The command that serves the code location until it is ended."""
        return (
            sys.executable, "-m", "dagster", "code-server", "start", "--socket", str(self.address),
            "--module-name", CODE_LOCATION, "--location-name", CODE_LOCATION,
            "--log-level", "warning",
        )  # fmt: skip
