"""The errors that the function raises on purpose.

    CarouselSyncError
    ├── ConfigurationError      the function or the account is not set up; a retry does not help
    ├── StoreUnavailable        a store could not be reached, or refused; a later delivery may succeed
    │   ├── TableMissing        the Iceberg table does not exist
    │   ├── ColumnsMissing      the Iceberg table has no column for a fact of a sale
    │   └── OutOfTime           the deadline leaves no time for another request
    └── SaleNotCommitted        direct delivery only: the sale has to be delivered again

The command line raises these too, and defines its other errors in the modules that raise them. So do schemas and
catalog_config, which must not import this package, so that their errors do not derive from CarouselSyncError.

Two outcomes are values instead of errors: a rejected event (:class:`lambda_fn.ports.Rejection`) and a commit that is
not known to have landed (:class:`lambda_fn.ports.NotKnownToHaveLanded`).
"""

from __future__ import annotations

from collections.abc import Collection


class CarouselSyncError(Exception):
    """Base class of the errors above."""


class ConfigurationError(CarouselSyncError):
    """The environment or the account is not set up. The message names what is missing, and what to do."""


class StoreUnavailable(CarouselSyncError):
    """A store could not be reached, or refused. What was written before stays; the next delivery resolves it."""


class TableMissing(StoreUnavailable):
    """The Iceberg table does not exist. The message contains the command that creates it."""

    def __init__(self, table: str, catalog: str) -> None:
        super().__init__(
            f"The Iceberg table {table} does not exist in catalog {catalog}. Nothing was written and the events stay "
            f"in the queue. Create it with: carousel-sync evolve apply"
        )


class ColumnsMissing(StoreUnavailable):
    """The Iceberg table has no column for a fact of a sale. The message contains the command that adds it."""

    def __init__(self, columns: Collection[str]) -> None:
        super().__init__(
            f"The Iceberg table has no column for {', '.join(sorted(columns))}. Nothing of the sale was written and "
            f"its event stays in the queue. Add it with: carousel-sync evolve apply"
        )


class OutOfTime(StoreUnavailable):
    """The deadline leaves no time for another request."""


class SaleNotCommitted(CarouselSyncError):
    """Raised to the Lambda service in direct delivery, so that it delivers the event again."""
