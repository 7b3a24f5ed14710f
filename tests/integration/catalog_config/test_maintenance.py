"""The table's maintenance: enabled by provisioning, with a snapshot age that keeps the metadata small."""

from __future__ import annotations

from typing import Any

import pytest

from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.table.apply import apply_to
from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.maintenance import SETTINGS, ensure_maintenance
from catalog_config.table_properties import PROPERTIES

SNAPSHOTS = "icebergSnapshotManagement"


@pytest.fixture
def target(stack: LocalStack) -> Target:
    return stack.target()


def table_name(target: Target) -> dict[str, Any]:
    settings = target.settings
    return {
        "tableBucketARN": settings.catalog.warehouse,
        "namespace": settings.namespace,
        "name": settings.table,
    }


def present(target: Target) -> dict[str, Any]:
    found: dict[str, Any] = target.client("s3tables").get_table_maintenance_configuration(**table_name(target))[
        "configuration"
    ]
    return found


def put(target: Target, kind: str, value: dict[str, Any]) -> None:
    target.client("s3tables").put_table_maintenance_configuration(**table_name(target), type=kind, value=value)


def ensure(target: Target) -> tuple[str, ...]:
    settings = target.settings
    return ensure_maintenance(target.client("s3tables"), settings.catalog, settings.namespace, settings.table)


def test_provisioning_enables_maintenance_and_a_repeat_changes_nothing(target: Target) -> None:
    apply_to(target)
    assert {kind: present(target)[kind] for kind in SETTINGS} == SETTINGS
    assert ensure(target) == ()


def test_disabled_and_default_settings_are_replaced(target: Target) -> None:
    put(target, "icebergCompaction", {"status": "disabled"})
    default = {"minSnapshotsToKeep": 1, "maxSnapshotAgeHours": 120}
    put(target, SNAPSHOTS, {"status": "enabled", "settings": {SNAPSHOTS: default}})
    assert set(ensure(target)) == SETTINGS.keys()
    assert {kind: present(target)[kind] for kind in SETTINGS} == SETTINGS


def test_an_operators_settings_stay(target: Target) -> None:
    chosen = {"status": "enabled", "settings": {SNAPSHOTS: {"minSnapshotsToKeep": 5, "maxSnapshotAgeHours": 24}}}
    put(target, SNAPSHOTS, chosen)
    assert ensure(target) == ()
    assert present(target)[SNAPSHOTS] == chosen
    put(target, SNAPSHOTS, SETTINGS[SNAPSHOTS])


def test_a_catalog_without_maintenance_is_not_called() -> None:
    client: Any = None
    assert ensure_maintenance(client, CatalogConfig(CatalogKind.REST, "eu-west-1", "any"), "n", "t") == ()


def test_the_metadata_stays_small_at_a_commit_per_second() -> None:
    hours = SETTINGS[SNAPSHOTS]["settings"][SNAPSHOTS]["maxSnapshotAgeHours"]
    assert hours * 3600 * 800 < 25e6


def test_no_property_of_the_table_switches_off_the_snapshot_management() -> None:
    assert not [name for name in PROPERTIES if name.startswith("history.expire")]
