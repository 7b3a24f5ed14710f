"""A catalog of one table in memory. The table's files are in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata

from schemas.evolution.migration import current_schema
from schemas.sales_history import PARTITION_SPEC

IDENTIFIER = ("n", "t")
SCHEMA_ID, SPEC_ID = 4, 3


class OneTable(NoopCatalog):
    """A catalog that has the table of sales. ``failures`` are raised by its next requests, one each."""

    def __init__(self, folder: Path, schema: Schema | None = None, spec: PartitionSpec = PARTITION_SPEC) -> None:
        super().__init__("one")
        self.location = f"file://{folder}"
        self.failures: list[Exception] = []
        self.commits = 0
        given = Schema(*(schema or current_schema()).fields, schema_id=SCHEMA_ID)
        made = new_table_metadata(given, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, self.location)
        # A new table gets new field ids.
        changes = {
            "schemas": [given],
            "current_schema_id": SCHEMA_ID,
            "partition_specs": [PartitionSpec(*spec.fields, spec_id=SPEC_ID)],
            "default_spec_id": SPEC_ID,
        }
        self.metadata = made.model_copy(update=changes)

    @property
    def table(self) -> Table:
        """The table as it is now."""
        config = {"region": "test"}
        return Table(IDENTIFIER, self.metadata, self._metadata_file(), load_file_io({}, self.location), self, config)

    def load_table(self, identifier: Any) -> Table:
        """Return the table."""
        self._fail()
        assert identifier == IDENTIFIER
        return self.table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        """Commit, if the requirements hold."""
        self._fail()
        assert table.name() == IDENTIFIER
        for requirement in requirements:
            requirement.validate(self.metadata)
        self.metadata = update_table_metadata(self.metadata, updates)
        self.commits += 1
        return CommitTableResponse(**{"metadata": self.metadata, "metadata-location": self._metadata_file()})

    def _metadata_file(self) -> str:
        return f"{self.location}/metadata/{self.commits}.json"

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
