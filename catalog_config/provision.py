"""Create the namespace and the table of sales where they are missing, and check what is there.

Safe to repeat, and for two people at once: whoever comes second finds what the first has made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table

from catalog_config.table_properties import FORMAT_VERSION, PROPERTIES, SCHEMA_VERSION_PROPERTY
from schemas.sales_history import PARTITION_SPEC, SCHEMA

_ATTEMPTS: Final = 5


class ProvisionError(Exception):
    """The table can't be used as it is, or others kept changing it; the message says what, and what is left behind."""


@dataclass(frozen=True)
class ProvisionResult:
    """What was found missing and made."""

    table: str
    location: str
    namespace_created: bool = False
    table_created: bool = False
    properties_set: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.namespace_created or self.table_created or bool(self.properties_set)


def ensure_table(catalog: Catalog, namespace: str, table: str) -> ProvisionResult:
    """Create namespace, table and properties where they are missing; never change a column or touch data.

    Raises ProvisionError when the table that is there does not fit the schema (it is left as it is), and pyiceberg's
    or requests' own errors when the catalog can't be reached. Whatever was made until then stays, and a repeat goes on
    from there.
    """
    identifier = (namespace, table)
    namespace_created = table_created = False
    try:
        present = catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        namespace_created = _ensure_namespace(catalog, namespace)
        table_created = _create_table(catalog, identifier)
        present = catalog.load_table(identifier)
    _check(present)
    properties_set = _ensure_properties(catalog, present)
    return ProvisionResult(
        table=f"{namespace}.{table}",
        location=present.location(),
        namespace_created=namespace_created,
        table_created=table_created,
        properties_set=properties_set,
    )


def _ensure_namespace(catalog: Catalog, namespace: str) -> bool:
    try:
        catalog.load_namespace_properties(namespace)
        return False
    except NoSuchNamespaceError:
        pass
    try:
        catalog.create_namespace(namespace)
        return True
    except NamespaceAlreadyExistsError:
        return False


def _create_table(catalog: Catalog, identifier: tuple[str, str]) -> bool:
    try:
        catalog.create_table(
            identifier,
            schema=SCHEMA,
            partition_spec=PARTITION_SPEC,
            properties={"format-version": str(FORMAT_VERSION), **PROPERTIES},
        )
        return True
    except (TableAlreadyExistsError, CommitFailedException):
        # Somebody else was faster. Should it be missing all the same, the caller's load says so.
        return False


def _check(table: Table) -> None:
    """Compare the table with the schema by field id: that is what files and readers go by."""
    problems = []
    if table.metadata.format_version != FORMAT_VERSION:
        problems.append(f"format version {table.metadata.format_version} instead of {FORMAT_VERSION}")
    present = {column.field_id: column for column in table.schema().fields}
    for wanted in SCHEMA.fields:
        column = present.pop(wanted.field_id, None)
        if column is None:
            problems.append(f"no column with field id {wanted.field_id} ({wanted.name})")
        elif (column.name, column.field_type, column.required) != (wanted.name, wanted.field_type, wanted.required):
            problems.append(f"field id {wanted.field_id} is '{column}' instead of '{wanted}'")
    # A later version of the schema adds optional columns; a required one would make every append of ours fail.
    problems.extend(f"unknown required column '{column}'" for column in present.values() if column.required)
    if table.spec().fields != PARTITION_SPEC.fields:
        problems.append(f"partitions {table.spec()} instead of {PARTITION_SPEC}")
    if problems:
        raise ProvisionError(
            f"The table {'.'.join(table.name())} does not fit schemas/sales_history.py: {'; '.join(problems)}. It was "
            "left as it is. It was made by something else, or by another version of this project: use another table "
            "name (ICEBERG_TABLE), or bring the schema and the table together before any event is processed."
        )


def _ensure_properties(catalog: Catalog, table: Table) -> dict[str, str]:
    """Set what differs, in a commit of its own: not every catalog keeps the properties given at creation."""
    for _ in range(_ATTEMPTS):
        missing = {
            name: value
            for name, value in PROPERTIES.items()
            # The schema's version is only ever set here, never taken back from a later one.
            if (
                name not in table.properties if name == SCHEMA_VERSION_PROPERTY else table.properties.get(name) != value
            )
        }
        if not missing:
            return {}
        try:
            with table.transaction() as transaction:
                transaction.set_properties(missing)
            return missing
        except CommitFailedException:
            table = catalog.load_table(table.name())
    raise ProvisionError(
        f"The properties of {'.'.join(table.name())} could not be set: other commits were faster {_ATTEMPTS} times. "
        "The table is there and usable. Run carousel-sync evolve apply again."
    )
