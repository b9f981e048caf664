"""What a page leads to is there: files, their headings, and each picture on some page."""

import re
from pathlib import Path

import pytest

from crypto_pool_tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
FENCED = re.compile(r"^```.*?^```", re.S | re.M)


def targets(page: Path) -> list[tuple[Path, str]]:
    """The files and headings that a page leads to, but for other sites."""
    links = [link for link in LINK.findall(FENCED.sub("", page.read_text())) if "://" not in link]
    parts = [link.partition("#") for link in links]
    return [((page.parent / file).resolve() if file else page, at) for file, _, at in parts]


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_link_leads_somewhere(page):
    missing = [
        f"{target.name}#{at}"
        for target, at in targets(page)
        if not target.exists() or (at and at not in anchors(target))
    ]
    assert missing == []


def test_each_picture_is_on_a_page():
    shown = {target for page in PAGES for target, _ in targets(page)}
    assert set((ROOT / "docs" / "images").iterdir()) <= shown
