"""Every error that this project raises on purpose.

    CarouselSyncError
    ├── ConfigurationError      the environment is not set up; waiting will not mend it
    ├── StoreUnavailable        a store could not be reached or refused; a later delivery may succeed
    │   ├── TableMissing        the Iceberg table does not exist yet
    │   ├── ColumnsMissing      the Iceberg table has no column for a fact of a sale yet
    │   └── OutOfTime           the deadline left no room for another request
    └── SaleNotCommitted        direct delivery only: the sale has to be delivered again

A rejected event is not an error: it is a :class:`lambda_fn.event.Rejection`. Nor is a commit whose outcome is unknown:
see :mod:`lambda_fn.iceberg.sales_table`.
"""

from __future__ import annotations

from collections.abc import Collection


class CarouselSyncError(Exception):
    """Base of every error that is raised on purpose."""


class ConfigurationError(CarouselSyncError):
    """The environment or the account is not set up as needed; the message names what, and what to do."""


class StoreUnavailable(CarouselSyncError):
    """A store could not be reached, or refused. What was written before stays; the next delivery resolves it."""


class TableMissing(StoreUnavailable):
    """The Iceberg table does not exist; the message carries the command that creates it."""

    def __init__(self, table: str, catalog: str) -> None:
        super().__init__(
            f"The Iceberg table {table} does not exist in catalog {catalog}. Nothing was written and the events stay "
            f"in the queue. Create it with: carousel-sync evolve apply"
        )


class ColumnsMissing(StoreUnavailable):
    """The Iceberg table has no column for a fact that a sale tells; the message carries the command that adds it."""

    def __init__(self, columns: Collection[str]) -> None:
        super().__init__(
            f"The Iceberg table has no column for {', '.join(sorted(columns))}. Nothing of the sale was written and "
            f"its event stays in the queue. Add it with: carousel-sync evolve apply"
        )


class OutOfTime(StoreUnavailable):
    """There is no time left for another request before the function's deadline."""


class SaleNotCommitted(CarouselSyncError):
    """Raised to the Lambda service in direct delivery, so that it delivers the event again."""
