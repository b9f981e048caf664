"""Every command that a page, a page's example or a message names can be run as it stands."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from crypto_pool.cli import app
from crypto_pool_tests.conftest import ROOT
from crypto_pool_tests.docs.test_names import PAGES

COMMAND = get_command(app)
QUOTED = re.compile(r"`crypto-pool(?: ([^`]+))?`")
SHOWN = re.compile(r"^(?:\w+=\S+ )*crypto-pool (.+)$", re.M)
OF_A_PAGE = re.compile(r"<code>crypto-pool ([^<]+)</code>")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.S | re.M)
PACKAGE = ROOT / "crypto_pool"


def commands_in(path: Path) -> Iterator[str]:
    """What stands behind `crypto-pool` wherever a file names a command."""
    text = path.read_text()
    if path.suffix == ".md":
        for block in FENCED.findall(text):
            yield from SHOWN.findall(block.replace("\\\n", ""))
        yield from QUOTED.findall(FENCED.sub("", text))
    elif path.suffix == ".html":
        yield from OF_A_PAGE.findall(text)
    else:
        for node in ast.walk(ast.parse(text)):
            yield from QUOTED.findall(said(node))


def said(node: ast.AST) -> str:
    """A text of the code, with a word in place of each value that is put into it."""
    if isinstance(node, ast.JoinedStr):
        parts = (one.value if isinstance(one, ast.Constant) else "BTC" for one in node.values)
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def why_not_runnable(line: str) -> str:
    """The fault of a command line; one that names a command alone speaks of it, and has none."""
    words = shlex.split(re.sub(r"[\[\]]", "", line))  # what may be left out, is taken along
    options = {"--help", *(name for one in COMMAND.params for name in one.opts)}
    while words and words[0] in options:
        words = words[2:] if words[0] == "--home" else words[1:]
    if not words:
        return ""
    name, *rest = words
    if name not in COMMAND.commands:
        return f"there is no command {name}"
    try:
        if rest:
            COMMAND.commands[name].make_context(name, rest)
    except Exception as fault:
        text = str(fault) or type(fault).__name__
        return "" if "does not exist" in text else text  # a file is an example
    return ""


def test_a_command_that_is_named_can_be_run():
    files = [*PAGES, *PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html")]
    named = {(file, line) for file in files for line in commands_in(file)}
    assert len(named) > 100
    faults = {(str(file), line): why_not_runnable(line) for file, line in named}
    assert {where: why for where, why in faults.items() if why} == {}


def test_a_command_is_held_to_its_options_and_arguments():
    assert why_not_runnable("compare") == ""
    assert "start" in why_not_runnable("compare --candidate NAME")
    assert why_not_runnable("retire SYMBOL [--from DATE]") == ""
    assert "--until" in why_not_runnable("retire SYMBOL --until DATE")
    assert why_not_runnable("retrain") == "there is no command retrain"
    assert why_not_runnable("--home my_pool odds BTC --move 8%") == ""
