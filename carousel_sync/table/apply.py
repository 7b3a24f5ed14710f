"""Creates a target's Iceberg table, or brings it up to date."""

from __future__ import annotations

from collections.abc import Callable

from carousel_sync.aws.target import CATALOG_FAILURES, Target
from catalog_config.maintenance import ensure_maintenance
from catalog_config.provision import ProvisionError, ProvisionResult, ensure_table
from lambda_fn.errors import ConfigurationError
from schemas.evolution.migration import Step


def apply_to(
    target: Target, to: int | None = None, step_done: Callable[[Step], None] = lambda _: None
) -> ProvisionResult:
    """Create what is missing of the target's table, bring it to a version (default: the newest), and set maintenance.

    Raises ConfigurationError if an existing table does not match the migrations, OperationRefused if an operation is
    not safe for it, and StoreUnavailable if the catalog cannot be reached or refuses. Completed changes stay, and a
    repeat continues after them.
    """
    settings = target.settings
    try:
        result = ensure_table(target.catalog(), settings.namespace, settings.table, to, step_done=step_done)
        ensure_maintenance(target.client("s3tables"), settings.catalog, settings.namespace, settings.table)
        return result
    except ProvisionError as error:
        raise ConfigurationError(str(error)) from error
    except CATALOG_FAILURES as error:
        raise target.catalog_unavailable(error) from error
