"""The command `crypto-pool`: which commands there are, and how a user's mistake ends."""

import logging
import os
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from crypto_pool import __version__, keep_loaded
from crypto_pool.adapters.terminal import PlainFormatter, Terminal
from crypto_pool.commands.alert import alert
from crypto_pool.commands.backup import backup, restore
from crypto_pool.commands.build import build, demo, live, predict, train
from crypto_pool.commands.champions import explain, reproduce, rollback
from crypto_pool.commands.compare import compare
from crypto_pool.commands.doctor import doctor
from crypto_pool.commands.exit_codes import disk_fault, exit_code, is_damaged_database, way_out
from crypto_pool.commands.history import accept_break, restart_history, retire
from crypto_pool.commands.known_truth import known_truth
from crypto_pool.commands.new import new, settings
from crypto_pool.commands.panel import odds, panel
from crypto_pool.commands.query import query
from crypto_pool.commands.replay import replay
from crypto_pool.commands.sandbox import sandbox
from crypto_pool.commands.serve import serve
from crypto_pool.commands.status import status
from crypto_pool.commands.up import up
from crypto_pool.errors import CryptoPoolError, ExitCode

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its panels name the type of each flag: --json <bool>
)
COMMANDS = (
    demo, new, settings, build, live, train, predict, query, status, rollback, explain, reproduce,
    replay, compare, doctor, accept_break, restart_history, retire, sandbox, serve, up, alert,
    backup, restore, known_truth, panel, odds,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


def say_version(is_asked: bool) -> None:
    """Print the version and end, if that is what was asked for."""
    if is_asked:
        print(f"crypto-pool {__version__}")
        raise typer.Exit


@app.callback()
def choose_home(
    home: Annotated[
        Path | None,
        typer.Option(help="The pool's home, a folder; default: DAGSTER_HOME, or dagster_home."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=say_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """A pool of crypto trend forecasters that runs itself."""
    if home is not None:
        os.environ["DAGSTER_HOME"] = str(home)


def main() -> None:
    """Run the command; a user's mistake is one message and the exit code of its cause."""
    # No module of a child process is taken from the working directory.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows few characters
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())
    try:
        app()
    except CryptoPoolError as error:
        Terminal(stderr=True).print(str(error), soft_wrap=True)
        sys.exit(exit_code(error))
    except Exception as error:
        code = exit_code(error)
        if code is ExitCode.DEFECT:
            Terminal(stderr=True).print(traceback.format_exc(), soft_wrap=True)
        else:
            fault = disk_fault(error)
            message = f"{fault}; {way_out(fault)}, then run it again"
            if is_damaged_database(error):
                from crypto_pool.home import damaged_databases
                from crypto_pool.setting_groups import DEFAULT_HOME
                from crypto_pool.setting_sources import chosen_home

                files = "; ".join(damaged_databases(chosen_home({}, DEFAULT_HOME))) or error
                message = (
                    f"a database is damaged: {files}: put the file back, or restore a backup into "
                    "another home"
                )
            Terminal(stderr=True).print(message, soft_wrap=True)
        sys.exit(code)
    finally:
        keep_loaded()


if __name__ == "__main__":
    main()
