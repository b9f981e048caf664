"""Text from outside reaches a terminal as text, whoever prints it."""

import json
import logging
import re
from io import StringIO

import pytest
from rich.table import Table
from rich.text import Text

from crypto_pool.adapters.terminal import PlainFormatter, Terminal
from crypto_pool_tests.conftest import ROOT

HOSTILE = "a\x1b[31m b\x9b2J c\u202ed \udcff"
SHOWN = r"a\u001b[31m b\u009b2J c\u202ed \udcff"


def printed(thing: object, **options: object) -> str:
    screen = StringIO()
    Terminal(file=screen, width=80, **options).print(thing)
    return screen.getvalue()


def table() -> Table:
    made = Table(HOSTILE, box=None)
    made.add_row(HOSTILE)
    return made


@pytest.mark.parametrize("thing", [HOSTILE, Text(HOSTILE), table()], ids=["text", "Text", "table"])
def test_control_characters_are_shown_escaped(thing):
    said = printed(thing)
    assert SHOWN[:12] in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


def test_brackets_are_no_markup():
    assert printed("[red]x.csv [/nowhere]") == "[red]x.csv [/nowhere]\n"


def test_colours_of_our_own_still_reach_a_terminal():
    said = printed("bold", force_terminal=True)
    assert said == "bold\n"
    assert "\x1b[1m" in printed(Text("bold", style="bold"), force_terminal=True)


def test_a_document_stays_the_same():
    text = json.dumps({"said": "a\x9b2J \u202e"}, ensure_ascii=False)
    assert json.loads(printed(text)) == json.loads(text)


def test_no_width_is_none_that_was_chosen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    screen = StringIO()
    Terminal(file=screen).print("all of it")
    assert screen.getvalue() == "all of it\n"


def test_what_is_logged_is_escaped_too():
    record = logging.LogRecord("pool", logging.WARNING, "", 0, "%s is broken", (HOSTILE,), None)
    assert PlainFormatter().format(record) == f"{SHOWN} is broken"


def test_the_package_prints_by_no_other_console():
    for module in (ROOT / "crypto_pool").rglob("*.py"):
        if module.stem != "terminal":
            assert not re.search(r"(?<!\w)Console\(", module.read_text()), module
