"""What every operation of a migration has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from schemas.evolution.errors import OperationRefused
from schemas.evolution.table_definition import TableDefinition


class Operation(ABC):
    """One change of a table's definition, which is one commit.

    An operation names a column by its field id, as data files and readers do (Iceberg specification, "Schema Evolution"
    and "Column Projection"). Operations are pure. One that is already done changes nothing.
    """

    readers: ClassVar[str]
    """The effect on readers."""

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return self._words(table)

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the definition after the operation. Raises OperationRefused if the operation is unsafe."""
        try:
            return self._applied(table)
        except OperationRefused as error:
            error.action = f"The operation '{self._words(table)}'"
            raise

    @abstractmethod
    def _words(self, table: TableDefinition) -> str: ...

    @abstractmethod
    def _applied(self, table: TableDefinition) -> TableDefinition: ...
