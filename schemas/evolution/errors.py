"""The errors of schema evolution."""

from __future__ import annotations


class OperationRefused(Exception):
    """The operation is unsafe for Iceberg, or for readers or writers of this table. Nothing was changed."""

    def __init__(self, action: str, reason: str, alternative: str) -> None:
        super().__init__(f"{action} is refused: {reason}. Instead: {alternative}.")
        self.reason = reason
        self.alternative = alternative


class MigrationError(Exception):
    """The migration files do not form a sequence, or a table's recorded version cannot be read."""


class CommitConflict(Exception):
    """Every attempt lost to another commit. Completed operations stay; a repeat continues after them."""
