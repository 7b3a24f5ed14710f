"""The errors of schema evolution."""

from __future__ import annotations


class OperationRefused(Exception):
    """The operation is unsafe for Iceberg, or for readers or writers of this table. Nothing was changed."""

    def __init__(self, reason: str, alternative: str, action: str = "The operation") -> None:
        super().__init__(reason, alternative)
        self.reason = reason
        self.alternative = alternative
        self.action = action

    def __str__(self) -> str:
        return f"{self.action} is refused: {self.reason}. Instead: {self.alternative}."


class MigrationError(Exception):
    """The migration files do not form a sequence, or a table's recorded version cannot be read."""


class CommitConflict(Exception):
    """Every attempt lost to another commit. Completed operations stay; a repeat continues after them."""
