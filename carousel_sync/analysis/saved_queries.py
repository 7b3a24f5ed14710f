"""The queries as Athena's named queries in template.yaml, generated from the files.

    python -m carousel_sync.analysis.saved_queries            print them
    python -m carousel_sync.analysis.saved_queries --write    write them into template.yaml

A named query has no parameters that Athena asks for by name, so each parameter has an example as its value.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from carousel_sync.analysis.parameters import EXAMPLES
from carousel_sync.analysis.query_file import Query, queries
from carousel_sync.project import TEMPLATE
from schemas.sales_history import NAMESPACE

_START: Final = "  # Generated from queries/athena: python -m carousel_sync.analysis.saved_queries --write\n"
_END: Final = "  # End of the generated queries.\n"
_BLOCK: Final = re.compile(f"(?<={re.escape(_START)}).*?(?={re.escape(_END)})", re.DOTALL)


def saved() -> list[Query]:
    """Return the queries that the template has: those that change nothing."""
    return [query for query in queries().values() if not query.changes_the_table]


def logical_id(query: Query) -> str:
    """Return the name of the query's resource in the template."""
    return "Query" + "".join(word.capitalize() for word in query.name.split("-"))


def properties(query: Query) -> dict[str, Any]:
    """Return the properties of the query's resource."""
    return {
        "Name": query.name,
        "Description": _description(query),
        "WorkGroup": {"Ref": "AthenaWorkGroup"},
        "Database": NAMESPACE,
        "QueryString": query.sql(EXAMPLES),
    }


def as_text() -> str:
    """Return the resources as template.yaml has them."""
    return "\n".join(_resource(query) for query in saved())


def written_in(template: str) -> str | None:
    """Return the resources in a template, or None when the place for them is missing."""
    found = _BLOCK.search(template)
    return found[0] if found else None


def _description(query: Query) -> str:
    return f"{query.question} Replace the example values." if query.parameters else query.question


def _resource(query: Query) -> str:
    sql = "".join(f"        {line}" if line.strip() else line for line in query.sql(EXAMPLES).splitlines(keepends=True))
    return (
        f"  {logical_id(query)}:\n"
        "    Type: AWS::Athena::NamedQuery\n"
        "    Condition: HasAthena\n"
        "    Properties:\n"
        f"      Name: {query.name}\n"
        f"      Description: {_description(query)}\n"
        "      WorkGroup: !Ref AthenaWorkGroup\n"
        f"      Database: {NAMESPACE}\n"
        f"      QueryString: |\n{sql}"
    )


def main() -> None:
    """Print the resources, or write them into template.yaml."""
    if "--write" in sys.argv[1:]:
        TEMPLATE.write_text(_BLOCK.sub(lambda _: as_text(), TEMPLATE.read_text()))
    else:
        sys.stdout.write(as_text())


if __name__ == "__main__":
    main()
