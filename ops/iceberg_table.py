"""Opening the Iceberg table for a command, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from pyiceberg.exceptions import RESTError, ValidationError
from pyiceberg.table import Table

from lambda_fn.errors import StoreUnavailable
from ops.target import Target


def load(target: Target) -> Table:
    """Load the target's table at its present head. Raises TableMissing, ConfigurationError and StoreUnavailable."""
    with readable_catalog_errors(target):
        return target.load_table()


@contextmanager
def readable_catalog_errors(target: Target) -> Iterator[None]:
    """Turn what the catalog and the file access raise into StoreUnavailable. Reading leaves nothing behind."""
    try:
        yield
    except (requests.RequestException, RESTError, ValidationError, OSError) as error:
        raise StoreUnavailable(
            f"The Iceberg table at {target} can't be read: {error}. Nothing was changed. Check that the network and "
            "the credentials are as they should be (the rights needed are s3tables:GetTableMetadataLocation and "
            "GetTableData), then run the command again."
        ) from error
