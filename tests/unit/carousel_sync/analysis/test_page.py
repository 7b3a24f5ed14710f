"""docs/analysts.md lists every query and every column."""

from __future__ import annotations

import re

from carousel_sync.analysis.parameters import OPTIONS
from carousel_sync.analysis.query_file import queries
from carousel_sync.project import PROJECT_ROOT
from schemas.evolution.migration import current_schema

PAGE = (PROJECT_ROOT / "docs/analysts.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its header."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_query_is_listed_with_its_question_and_its_options() -> None:
    expected = {}
    for name, query in queries().items():
        options = {f"`{OPTIONS.get(parameter, f'--{parameter}')}`" for parameter in query.parameters}
        shown = {"Athena", "only"} if query.changes_the_table else options
        expected[f"[{name}](../queries/athena/{name}.sql)"] = (query.question, shown)
    listed = {name: (question, set(options.split())) for name, question, options in rows("Queries")}
    assert listed == expected


def test_every_column_is_explained() -> None:
    explained = {name for names, *_ in rows("Columns") for name in names.split(", ")}
    assert explained == {field.name for field in current_schema().fields}
