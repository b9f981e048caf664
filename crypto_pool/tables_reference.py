"""The page docs/tables.md, written from the tables themselves.

`python -m crypto_pool.tables_reference > docs/tables.md` renews it.
"""

from crypto_pool.domain.columns import Table
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.tables import TABLES, views

INTRODUCTION = """\
# Tables

What the DuckDB file `crypto_pool.duckdb` holds; `DESCRIBE table` and `duckdb_columns()` give the
same words. Written by `python -m crypto_pool.tables_reference`; a test fails when this page and
the tables differ.
"""


def tables_page() -> str:
    """Return the whole page as Markdown."""
    shown = [f"## {view.name}\n\n{view.comment} A view.\n" for view in views(feature_names())]
    return "\n".join([INTRODUCTION, *map(_section, TABLES.values()), *shown])


def _section(table: Table) -> str:
    rows = [f"| `{c.name}` | {c.kind.sql} | {c.comment} |" for c in table.columns]
    key = f"Key: {', '.join(f'`{name}`' for name in table.key)}."
    head = [f"## {table.name}", "", f"{table.comment} {key}", "", "| column | type | meaning |"]
    return "\n".join([*head, "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(tables_page(), end="")
