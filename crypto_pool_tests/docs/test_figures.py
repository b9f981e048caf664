"""A figure that a page takes from the benchmarks is the one that was kept.

A page writes it with its name behind: 0.47 (`pool_ratio_of_wall_s`), 48 s (`classic_member_s`).
"""

import json
import re

from benchmarks.__main__ import RESULTS
from crypto_pool_tests.conftest import ROOT
from crypto_pool_tests.docs.test_links import PAGES

KEPT = json.loads(RESULTS.read_text())
TAKEN = re.compile(r"(\d+(?:\.\d+)?)(?:\s[a-z%]+)?\s\(`(\w+)`\)")


def test_each_figure_that_is_named_is_the_one_kept():
    taken = [
        (page.name, name, number)
        for page in PAGES
        for number, name in TAKEN.findall(page.read_text())
        if name in KEPT
    ]
    assert len({name for _, name, _ in taken}) >= 5
    differing = [
        (page, name, number, KEPT[name])
        for page, name, number in taken
        if f"{KEPT[name]:.{len(number.partition('.')[2])}f}" != number
    ]
    assert differing == []


def test_what_the_readme_says_of_the_promise_is_what_its_page_has():
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs/how-it-works.md").read_text()
    said = re.findall(r"[+-]?\d\.\d+", readme.partition("## What it promises")[2])
    assert len(said) > 20
    assert set(said) - {"1.0"} <= set(re.findall(r"[+-]?\d\.\d+", page))
