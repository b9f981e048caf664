"""Tables of figures in the pages of docs, each between two comments with its name."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
GROWTH_SIZE = re.compile(r"\d+")


def renew(page: Path, name: str, lines: Iterable[str]) -> None:
    """Put a table in place of the page's old one."""
    text = page.read_text()
    start, end = _place(text, name)
    page.write_text(text[:start] + "".join(f"{line}\n" for line in lines) + text[end:])


def shown(page: Path, name: str) -> list[str]:
    """The lines of a table as the page has them."""
    text = page.read_text()
    start, end = _place(text, name)
    return text[start:end].splitlines()


def _place(text: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"the page has no place for {name}: {begin.strip()} and {end}")
    return text.index(begin) + len(begin), text.index(end)


def figure_table(results: Mapping[str, Any], goals: Mapping[str, float]) -> Iterator[str]:
    """The machine, then a row for each figure with its goal: the most; below 0, the least."""
    machine = results["machine"]
    yield f"Commit {results['commit']}, {machine['cores']} cores, {machine['platform']},"
    yield f"Python {machine['python']}, {machine['measured_at_utc'][:10]}."
    again = results.get("measured_again", {})
    if again:
        said = ", ".join(f"{name} at {commit}" for name, commit in sorted(again.items()))
        yield f"Measured again since: {said}."
    yield ""
    yield "| figure | measured | goal |"
    yield "|---|---:|---:|"
    for name, value in results.items():
        if isinstance(value, float) and not name.startswith("pool_of_"):
            yield f"| `{name}` | {value:.2f} | {goal_text(goals.get(name))} |"


def goal_text(goal: float | None) -> str:
    """A goal in words."""
    if goal is None:
        return ""
    return f"at most {goal:g}" if goal >= 0 else f"at least {-goal:g}"


def growth_table(growth: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A row for each figure, a column for each number of coins, and where it would stop."""
    sizes = sorted((size for size in growth if GROWTH_SIZE.fullmatch(size)), key=int)
    if not sizes:
        return
    stops = growth.get("stops_at_symbols", {})
    yield "| figure | " + " | ".join(f"{size} coins" for size in sizes) + " | stops at |"
    yield "|---|" + "---:|" * (len(sizes) + 1)
    for name in growth[sizes[-1]]:
        cells = " | ".join(f"{growth[size][name]:.2f}" for size in sizes)
        stop = f"{stops[name]:,} coins" if name in stops else ""
        yield f"| `{name}` | {cells} | {stop} |"


def size_table(results: Mapping[str, Any]) -> Iterator[str]:
    """A row for each figure of `pool_of_N_`, a column for each number of members."""
    sizes: dict[int, dict[str, float]] = {}
    for key, value in results.items():
        named = re.fullmatch(r"pool_of_(\d+)_(.+)", key)
        if named is not None:
            sizes.setdefault(int(named[1]), {})[named[2]] = value
    columns: Sequence[int] = sorted(sizes)
    yield "| figure | " + " | ".join(f"{size} members" for size in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for name in sizes[columns[-1]]:
        if name != "members":
            values = (sizes[size].get(name) for size in columns)
            cells = ("" if value is None else f"{value:.2f}" for value in values)
            yield f"| `{name}` | " + " | ".join(cells) + " |"
